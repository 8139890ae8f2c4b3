-- What is over of the short-lived state that a Redis holds, written before anybody is told: whatever that forgets, it stays over.
CREATE TABLE ended (
    tenant TEXT NOT NULL,
    -- A session's id, `handle:` and the hash of one that was superseded, or `once:`, purpose and hash of a value that was taken.
    what TEXT NOT NULL,
    at BIGINT NOT NULL,
    -- Why a session ended.
    why TEXT NOT NULL,
    -- When Redis has dropped it by itself.
    until BIGINT NOT NULL,
    PRIMARY KEY (tenant, what)
);
CREATE INDEX ended_by_time ON ended (until);
-- All sessions of a user that were begun before a time, but one.
CREATE TABLE ended_users (
    tenant TEXT NOT NULL,
    user_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    why TEXT NOT NULL,
    spared TEXT NOT NULL,
    until BIGINT NOT NULL,
    PRIMARY KEY (tenant, user_id, at, spared)
);
CREATE INDEX ended_users_by_time ON ended_users (until);
