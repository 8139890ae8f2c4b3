-- Since when an account at a provider opens nothing, because the provider said that it is disabled over there.
ALTER TABLE identities ADD COLUMN off_at BIGINT;
