-- What people have let programs do, and what programs prove themselves by.
CREATE TABLE grants (
    tenant TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    client TEXT COLLATE "C" NOT NULL,
    -- Of the code that it was given for, so that a code which comes twice ends it.
    code TEXT COLLATE "C",
    sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at BIGINT,
    ended_why TEXT COLLATE "C",
    rowid BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX grants_by_user ON grants (tenant, user_id);
CREATE UNIQUE INDEX grants_by_code ON grants (tenant, code) WHERE code IS NOT NULL;
CREATE INDEX grants_by_end ON grants (expires_at);
CREATE TABLE refresh_tokens (
    tenant TEXT COLLATE "C" NOT NULL,
    hash TEXT COLLATE "C" NOT NULL,
    grant_id TEXT COLLATE "C" NOT NULL,
    issued_at BIGINT NOT NULL,
    -- From then on it has a successor.
    used_at BIGINT,
    -- A mark of the address from which it was used.
    used_from TEXT COLLATE "C",
    PRIMARY KEY (tenant, hash)
);
CREATE INDEX refresh_tokens_by_grant ON refresh_tokens (tenant, grant_id);
CREATE TABLE access_keys (
    tenant TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    hash TEXT COLLATE "C" NOT NULL,
    sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    last_used_at BIGINT,
    rowid BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX access_keys_by_hash ON access_keys (tenant, hash);
CREATE INDEX access_keys_by_user ON access_keys (tenant, user_id);
CREATE TABLE client_secrets (
    tenant TEXT COLLATE "C" NOT NULL,
    client TEXT COLLATE "C" NOT NULL,
    hash TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, client, hash)
);
-- Access tokens that were given back before their time.
CREATE TABLE revoked_tokens (
    tenant TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    until BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);
-- When all that somebody let programs do was last ended: a yes from before is worth nothing after it.
CREATE TABLE programs_ended (
    tenant TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    at BIGINT NOT NULL,
    PRIMARY KEY (tenant, user_id)
);
