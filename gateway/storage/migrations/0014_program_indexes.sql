-- What is swept each hour, and deleted with a person, is found without reading whole tables.
CREATE INDEX refresh_tokens_by_grant_alone ON refresh_tokens (grant_id);
CREATE INDEX refresh_tokens_by_use ON refresh_tokens (used_at);
CREATE INDEX grants_by_person ON grants (user_id);
CREATE INDEX grants_by_its_end ON grants (ended_at);
CREATE INDEX access_keys_by_person ON access_keys (user_id);
CREATE INDEX revoked_tokens_by_time ON revoked_tokens (until);
