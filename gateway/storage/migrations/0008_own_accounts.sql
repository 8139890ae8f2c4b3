-- Whether the person linked the account, from inside; else the provider's word brought them.
ALTER TABLE identities ADD COLUMN own BIGINT NOT NULL DEFAULT 0;
-- When it was last signed in with. Unknown of what was not since this.
ALTER TABLE identities ADD COLUMN used_at BIGINT;
