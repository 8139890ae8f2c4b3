-- What lay open, after it was sealed.
DROP INDEX users_by_email;
ALTER TABLE users DROP COLUMN email;
ALTER TABLE users DROP COLUMN name;
CREATE UNIQUE INDEX users_by_mark ON users (tenant, mark) WHERE status <> 'deleted';
DROP INDEX users_by_status;
CREATE INDEX users_by_status ON users (tenant, status, id);
CREATE INDEX users_in_order ON users (tenant, id);
ALTER TABLE factors DROP COLUMN name;
ALTER TABLE factors DROP COLUMN data;
ALTER TABLE tickets DROP COLUMN payload;
ALTER TABLE tickets DROP COLUMN author;
ALTER TABLE policy_versions DROP COLUMN author;
ALTER TABLE policy_versions DROP COLUMN note;
ALTER TABLE sessions DROP COLUMN body;
ALTER TABLE log DROP COLUMN body;
DROP TABLE identities_before;
CREATE INDEX identities_by_user ON identities (tenant, user_id);
