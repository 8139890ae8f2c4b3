-- Requests that gateways admitted under a rate, added up for all of them. Names are marks; times are microseconds, what is used is
-- in millionths of a request. What is lost here is forgotten, and nothing worse: it is written to no
-- log, and waits for no disk.
CREATE UNLOGGED TABLE rates (
    tenant TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    requests BIGINT NOT NULL,
    seconds BIGINT NOT NULL,
    used BIGINT NOT NULL,
    ever BIGINT NOT NULL,
    as_of BIGINT NOT NULL,
    forget_at BIGINT NOT NULL,
    PRIMARY KEY (tenant, name)
);
CREATE INDEX rates_by_expiry ON rates (forget_at);

-- The oldest version that a program may know to go on beside this one; where nothing is said, this one.
ALTER TABLE migrations ADD COLUMN goes_on_from BIGINT;
