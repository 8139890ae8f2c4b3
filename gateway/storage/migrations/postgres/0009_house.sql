-- Everything that the house keeps, as version 9 of it stands in SQLite, with the same names; later versions change both alike.
-- Texts are ordered by their bytes, as there. `rowid` is what SQLite has of itself.

-- What SQLite calls so, for the statements that both are given.
CREATE FUNCTION json_each(text) RETURNS TABLE (key BIGINT, value TEXT) LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT nth - 1, one FROM json_array_elements_text($1::json) WITH ORDINALITY AS each (one, nth)
$$;
CREATE FUNCTION json_extract(text, text) RETURNS TEXT LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT $1::json ->> substring($2 FROM '[0-9]+')::int
$$;
CREATE FUNCTION max(bigint, bigint) RETURNS BIGINT LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT GREATEST($1, $2) $$;
CREATE FUNCTION hex(bytea) RETURNS TEXT LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT upper(encode($1, 'hex')) $$;

CREATE TABLE tenants (
    id TEXT COLLATE "C" PRIMARY KEY,
    spec TEXT COLLATE "C" NOT NULL,
    active_policy BIGINT
);
CREATE TABLE resources (
    tenant TEXT COLLATE "C" NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    kind TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    spec TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, kind, id)
);
CREATE TABLE guard_rails (
    name TEXT COLLATE "C" PRIMARY KEY,
    text TEXT COLLATE "C" NOT NULL
);
CREATE TABLE policy_versions (
    tenant TEXT COLLATE "C" NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    version BIGINT NOT NULL,
    hash TEXT COLLATE "C" NOT NULL,
    made_at BIGINT NOT NULL,
    body TEXT COLLATE "C" NOT NULL,
    sealed BYTEA NOT NULL DEFAULT '',
    rowid BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE,
    PRIMARY KEY (tenant, version)
);
CREATE TABLE users (
    id TEXT COLLATE "C" PRIMARY KEY,
    tenant TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    last_seen_at BIGINT,
    person BYTEA NOT NULL DEFAULT '',
    mark TEXT COLLATE "C" NOT NULL DEFAULT '',
    suspended_from TEXT COLLATE "C",
    rowid BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE
);
CREATE TABLE memberships (
    tenant TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    group_id TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (user_id, group_id)
);
CREATE INDEX memberships_by_group ON memberships (tenant, group_id, user_id);
CREATE TABLE factors (
    id TEXT COLLATE "C" PRIMARY KEY,
    tenant TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    kind TEXT COLLATE "C" NOT NULL,
    credential TEXT COLLATE "C",
    step BIGINT,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,
    sealed BYTEA NOT NULL DEFAULT '',
    rowid BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE
);
CREATE INDEX factors_by_user ON factors (tenant, user_id);
CREATE UNIQUE INDEX factors_by_credential ON factors (tenant, credential) WHERE credential IS NOT NULL;
CREATE TABLE tickets (
    hash TEXT COLLATE "C" PRIMARY KEY,
    tenant TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT,
    sealed BYTEA NOT NULL DEFAULT '',
    rowid BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE
);
CREATE INDEX tickets_by_subject ON tickets (tenant, kind, subject);
CREATE TABLE signing_keys (
    tenant TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    sealed TEXT COLLATE "C" NOT NULL,
    public TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    signs_from BIGINT NOT NULL,
    signs_until BIGINT NOT NULL,
    published_until BIGINT NOT NULL,
    rowid BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE,
    PRIMARY KEY (tenant, id)
);
CREATE TABLE secrets (
    tenant TEXT COLLATE "C" NOT NULL,
    purpose TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    sealed TEXT COLLATE "C" NOT NULL,
    public TEXT COLLATE "C" NOT NULL,
    not_before BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    rowid BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE,
    PRIMARY KEY (tenant, purpose, id)
);
CREATE TABLE certificates (
    tenant TEXT COLLATE "C" NOT NULL,
    serial TEXT COLLATE "C" NOT NULL,
    spiffe_id TEXT COLLATE "C" NOT NULL,
    service TEXT COLLATE "C" NOT NULL,
    issued_at BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    renews TEXT COLLATE "C",
    PRIMARY KEY (tenant, serial)
);
CREATE INDEX certificates_by_service ON certificates (tenant, service, not_after);
CREATE TABLE log (
    tenant TEXT COLLATE "C" NOT NULL,
    seq BIGINT NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL,
    event TEXT COLLATE "C" NOT NULL,
    app TEXT COLLATE "C",
    caller TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C",
    verdict TEXT COLLATE "C",
    leaf BYTEA NOT NULL,
    link BYTEA NOT NULL,
    sealed BYTEA NOT NULL DEFAULT '',
    admission BIGINT NOT NULL DEFAULT 0,
    person TEXT COLLATE "C",
    PRIMARY KEY (tenant, seq)
);
CREATE INDEX log_by_id ON log (id);
CREATE TABLE log_heads (
    tenant TEXT COLLATE "C" PRIMARY KEY,
    size BIGINT NOT NULL,
    link BYTEA NOT NULL
);
CREATE TABLE changes (
    seq BIGINT PRIMARY KEY,
    tenant TEXT COLLATE "C" NOT NULL,
    body TEXT COLLATE "C" NOT NULL,
    at BIGINT NOT NULL
);
CREATE TABLE sessions (
    tenant TEXT COLLATE "C" NOT NULL,
    id TEXT COLLATE "C" NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at BIGINT,
    ended_why TEXT COLLATE "C",
    sealed BYTEA NOT NULL DEFAULT '',
    rowid BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX sessions_by_user ON sessions (tenant, user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE TABLE handles (
    hash TEXT COLLATE "C" PRIMARY KEY,
    tenant TEXT COLLATE "C" NOT NULL,
    session TEXT COLLATE "C" NOT NULL,
    host TEXT COLLATE "C" NOT NULL,
    issued_at BIGINT NOT NULL,
    superseded_at BIGINT,
    replaces TEXT COLLATE "C",
    offered_at BIGINT,
    FOREIGN KEY (tenant, session) REFERENCES sessions (tenant, id) ON DELETE CASCADE
);
CREATE INDEX handles_by_session ON handles (tenant, session);
CREATE TABLE one_time (
    tenant TEXT COLLATE "C" NOT NULL,
    purpose TEXT COLLATE "C" NOT NULL,
    hash TEXT COLLATE "C" NOT NULL,
    body TEXT COLLATE "C" NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, purpose, hash)
);
CREATE INDEX one_time_by_expiry ON one_time (expires_at);
CREATE TABLE tries (
    tenant TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    count BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    forget_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, name)
);
CREATE INDEX tries_by_expiry ON tries (forget_at);
CREATE INDEX handles_by_replaced ON handles (tenant, replaces) WHERE replaces IS NOT NULL;
CREATE TABLE recovery_codes (
    factor TEXT COLLATE "C" NOT NULL REFERENCES factors (id) ON DELETE CASCADE,
    hash TEXT COLLATE "C" NOT NULL,
    used_at BIGINT,
    PRIMARY KEY (factor, hash)
);
CREATE TABLE tenant_keys (
    tenant TEXT COLLATE "C" NOT NULL,
    id BYTEA NOT NULL,
    nth BIGINT NOT NULL,
    sealed TEXT COLLATE "C" NOT NULL,
    retired_at BIGINT,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX tenant_keys_in_order ON tenant_keys (tenant, nth);
CREATE TABLE identities (
    tenant TEXT COLLATE "C" NOT NULL,
    provider TEXT COLLATE "C" NOT NULL,
    mark TEXT COLLATE "C" NOT NULL,
    sealed BYTEA NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    linked_at BIGINT NOT NULL,
    own BIGINT NOT NULL DEFAULT 0,
    used_at BIGINT,
    told BIGINT NOT NULL DEFAULT 1,
    rowid BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE,
    PRIMARY KEY (tenant, mark)
);
CREATE UNIQUE INDEX users_by_mark ON users (tenant, mark) WHERE status <> 'deleted';
CREATE INDEX users_by_status ON users (tenant, status, id);
CREATE INDEX users_in_order ON users (tenant, id);
CREATE INDEX identities_by_user ON identities (tenant, user_id);
CREATE INDEX log_by_person ON log (person, seq) WHERE person IS NOT NULL;
CREATE TABLE unlinked (
    tenant TEXT COLLATE "C" NOT NULL,
    provider TEXT COLLATE "C" NOT NULL,
    mark TEXT COLLATE "C" NOT NULL,
    sealed BYTEA NOT NULL,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id),
    linked_at BIGINT NOT NULL,
    told BIGINT NOT NULL DEFAULT 0,
    rowid BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE,
    PRIMARY KEY (tenant, user_id, mark)
);
