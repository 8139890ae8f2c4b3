-- Whose account an entry tells of, so that people find what happened to theirs. Requests, which are nearly all, have none, and
-- the index holds none of them.
ALTER TABLE log ADD COLUMN person TEXT;
CREATE INDEX log_by_person ON log (person, seq) WHERE person IS NOT NULL;
