-- Accounts at providers that were taken from somebody: a provider's word makes them theirs no more; they themselves may.
CREATE TABLE unlinked (
    tenant TEXT NOT NULL,
    provider TEXT NOT NULL,
    -- As it was in `identities`, so that the seal fits.
    mark TEXT NOT NULL,
    sealed BLOB NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    linked_at BIGINT NOT NULL,
    -- Whether its entry is written.
    told BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, user_id, mark)
);
-- The same of linking. Of what was linked before this, it is.
ALTER TABLE identities ADD COLUMN told BIGINT NOT NULL DEFAULT 1;
