-- A handle's successor counts once it is shown: until then it names the handle that it replaces, which stays good.
ALTER TABLE handles ADD COLUMN replaces TEXT;
ALTER TABLE handles ADD COLUMN offered_at BIGINT;
CREATE INDEX handles_by_replaced ON handles (tenant, replaces) WHERE replaces IS NOT NULL;
