-- What people have let programs do, and what programs prove themselves by.
CREATE TABLE grants (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    client TEXT NOT NULL,
    -- Of the code that it was given for, so that a code which comes twice ends it.
    code TEXT,
    sealed BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at BIGINT,
    ended_why TEXT,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX grants_by_user ON grants (tenant, user_id);
CREATE UNIQUE INDEX grants_by_code ON grants (tenant, code) WHERE code IS NOT NULL;
CREATE INDEX grants_by_end ON grants (expires_at);
CREATE TABLE refresh_tokens (
    tenant TEXT NOT NULL,
    hash TEXT NOT NULL,
    grant_id TEXT NOT NULL,
    issued_at BIGINT NOT NULL,
    -- From then on it has a successor.
    used_at BIGINT,
    -- A mark of the address from which it was used.
    used_from TEXT,
    PRIMARY KEY (tenant, hash)
);
CREATE INDEX refresh_tokens_by_grant ON refresh_tokens (tenant, grant_id);
CREATE TABLE access_keys (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    hash TEXT NOT NULL,
    sealed BLOB NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    last_used_at BIGINT,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX access_keys_by_hash ON access_keys (tenant, hash);
CREATE INDEX access_keys_by_user ON access_keys (tenant, user_id);
CREATE TABLE client_secrets (
    tenant TEXT NOT NULL,
    client TEXT NOT NULL,
    hash TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, client, hash)
);
-- Access tokens that were given back before their time.
CREATE TABLE revoked_tokens (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    until BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);
-- When all that somebody let programs do was last ended: a yes from before is worth nothing after it.
CREATE TABLE programs_ended (
    tenant TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    at BIGINT NOT NULL,
    PRIMARY KEY (tenant, user_id)
);
