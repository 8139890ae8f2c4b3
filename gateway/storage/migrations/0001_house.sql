-- Everything that the house keeps. Ids are text, times are microseconds since 1970, structures are JSON; nothing here
-- is peculiar to one database but the name of the type for bytes.

-- Resources: what administrators write.
CREATE TABLE tenants (
    id TEXT PRIMARY KEY,
    spec TEXT NOT NULL,
    active_policy BIGINT
);

CREATE TABLE resources (
    tenant TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    spec TEXT NOT NULL,
    PRIMARY KEY (tenant, kind, id)
);

CREATE TABLE guard_rails (
    name TEXT PRIMARY KEY,
    text TEXT NOT NULL
);

CREATE TABLE policy_versions (
    tenant TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    version BIGINT NOT NULL,
    hash TEXT NOT NULL,
    author TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    note TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (tenant, version)
);

-- The pool. A deleted user's row stays, emptied, so that the id is never given to another.
CREATE TABLE users (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    email TEXT NOT NULL,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    last_seen_at BIGINT
);
CREATE UNIQUE INDEX users_by_email ON users (tenant, email) WHERE status <> 'deleted';
CREATE INDEX users_by_status ON users (tenant, status);

CREATE TABLE memberships (
    tenant TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    group_id TEXT NOT NULL,
    PRIMARY KEY (user_id, group_id)
);
CREATE INDEX memberships_by_group ON memberships (tenant, group_id, user_id);

CREATE TABLE factors (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    data TEXT NOT NULL,
    credential TEXT,
    step BIGINT,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT
);
CREATE INDEX factors_by_user ON factors (tenant, user_id);
CREATE UNIQUE INDEX factors_by_credential ON factors (tenant, credential) WHERE credential IS NOT NULL;

CREATE TABLE identities (
    tenant TEXT NOT NULL,
    provider TEXT NOT NULL,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    linked_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, provider, issuer, subject)
);
CREATE INDEX identities_by_user ON identities (tenant, user_id);

-- One-time tokens that live for days.
CREATE TABLE tickets (
    hash TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    payload TEXT NOT NULL,
    author TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);
CREATE INDEX tickets_by_subject ON tickets (tenant, kind, subject);

-- Keys, always sealed.
CREATE TABLE signing_keys (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    sealed TEXT NOT NULL,
    public TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    signs_from BIGINT NOT NULL,
    signs_until BIGINT NOT NULL,
    published_until BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE TABLE secrets (
    tenant TEXT NOT NULL,
    purpose TEXT NOT NULL,
    id TEXT NOT NULL,
    sealed TEXT NOT NULL,
    public TEXT NOT NULL,
    not_before BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    PRIMARY KEY (tenant, purpose, id)
);

CREATE TABLE certificates (
    tenant TEXT NOT NULL,
    serial TEXT NOT NULL,
    spiffe_id TEXT NOT NULL,
    service TEXT NOT NULL,
    issued_at BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    renews TEXT,
    PRIMARY KEY (tenant, serial)
);
CREATE INDEX certificates_by_service ON certificates (tenant, service, not_after);

-- The logs, one per tenant; the operator's own has the empty name, which no tenant can have.
CREATE TABLE log (
    tenant TEXT NOT NULL,
    seq BIGINT NOT NULL,
    id TEXT NOT NULL,
    at BIGINT NOT NULL,
    event TEXT NOT NULL,
    app TEXT,
    caller TEXT NOT NULL,
    reason TEXT,
    verdict TEXT,
    body TEXT NOT NULL,
    leaf BLOB NOT NULL,
    link BLOB NOT NULL,
    PRIMARY KEY (tenant, seq)
);
-- Not unique: a repeated id is a defect to be seen in the log, not a reason to lose the log.
CREATE INDEX log_by_id ON log (id);

CREATE TABLE log_heads (
    tenant TEXT PRIMARY KEY,
    size BIGINT NOT NULL,
    link BLOB NOT NULL
);

-- What each change touched, for other processes.
CREATE TABLE changes (
    seq BIGINT PRIMARY KEY,
    tenant TEXT NOT NULL,
    body TEXT NOT NULL,
    at BIGINT NOT NULL
);

-- Shared short-lived state, where it is not in Redis.
CREATE TABLE sessions (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    body TEXT NOT NULL,
    version BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at BIGINT,
    ended_why TEXT,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX sessions_by_user ON sessions (tenant, user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE handles (
    hash TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    session TEXT NOT NULL,
    host TEXT NOT NULL,
    issued_at BIGINT NOT NULL,
    superseded_at BIGINT,
    FOREIGN KEY (tenant, session) REFERENCES sessions (tenant, id) ON DELETE CASCADE
);
CREATE INDEX handles_by_session ON handles (tenant, session);

CREATE TABLE one_time (
    tenant TEXT NOT NULL,
    purpose TEXT NOT NULL,
    hash TEXT NOT NULL,
    body TEXT NOT NULL,
    expires_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, purpose, hash)
);
CREATE INDEX one_time_by_expiry ON one_time (expires_at);

CREATE TABLE tries (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    count BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    forget_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, name)
);
CREATE INDEX tries_by_expiry ON tries (forget_at);
