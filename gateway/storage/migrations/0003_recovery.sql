-- Recovery codes of a factor, by their keyed hashes. They go with the factor, and a spent one stays until then, so that it
-- is told from one that never was.
CREATE TABLE recovery_codes (
    factor TEXT NOT NULL REFERENCES factors (id) ON DELETE CASCADE,
    hash TEXT NOT NULL,
    used_at BIGINT,
    PRIMARY KEY (factor, hash)
);
