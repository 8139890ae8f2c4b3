-- Names of tries told addresses, and accounts by a hash that anybody can compute: they are keyed marks from here on. What was
-- counted until now is forgotten, once.
DELETE FROM tries;
