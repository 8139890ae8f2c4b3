-- Each tenant's own keys, sealed under the operator's; the operator's own log and secrets have keys under the empty name.
-- The greatest `nth` seals. Of a key that was destroyed with its tenant the name stays, so that what it sealed is told from
-- what was changed.
CREATE TABLE tenant_keys (
    tenant TEXT NOT NULL,
    id BLOB NOT NULL,
    nth BIGINT NOT NULL,
    sealed TEXT NOT NULL,
    retired_at BIGINT,
    PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX tenant_keys_in_order ON tenant_keys (tenant, nth);

-- What is personal or secret is kept sealed, in bytes. What it was before is sealed by the program, which has the keys,
-- between this file and the one after it.
ALTER TABLE users ADD COLUMN person BLOB NOT NULL DEFAULT x'';
-- A keyed hash of the address; empty for the deleted.
ALTER TABLE users ADD COLUMN mark TEXT NOT NULL DEFAULT '';
ALTER TABLE factors ADD COLUMN sealed BLOB NOT NULL DEFAULT x'';
ALTER TABLE tickets ADD COLUMN sealed BLOB NOT NULL DEFAULT x'';
ALTER TABLE policy_versions ADD COLUMN sealed BLOB NOT NULL DEFAULT x'';
ALTER TABLE sessions ADD COLUMN sealed BLOB NOT NULL DEFAULT x'';
ALTER TABLE log ADD COLUMN sealed BLOB NOT NULL DEFAULT x'';
-- Whether the entry tells of a request that was admitted, and leaves its end to another.
ALTER TABLE log ADD COLUMN admission BIGINT NOT NULL DEFAULT 0;

ALTER TABLE identities RENAME TO identities_before;
CREATE TABLE identities (
    tenant TEXT NOT NULL,
    provider TEXT NOT NULL,
    -- A keyed hash of provider, issuer and subject.
    mark TEXT NOT NULL,
    sealed BLOB NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id),
    linked_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, mark)
);

-- They live for ten minutes at the most.
DELETE FROM one_time;
