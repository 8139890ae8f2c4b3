//! What Redis does in one step (Lua runs alone). Times are microseconds as the caller tells them; `PX` is the bound
//! beside them. Keys that a script makes of a stem are of the tenant whose keys it is given, and so in the same slot. Numbers stay below 2^53, which a Lua number holds exactly.

/// A script with its digest, by which a server that has run it knows it.
pub(super) struct Script {
    code: String,
    hash: String,
}

impl Script {
    fn new(code: &str) -> Self {
        Self { code: code.to_owned(), hash: ::redis::Script::new(code).get_hash().to_owned() }
    }

    pub(super) fn code(&self) -> &str {
        &self.code
    }

    pub(super) fn hash(&self) -> &str {
        &self.hash
    }
}

/// Scripts with their digests, made once.
pub(super) struct Scripts {
    pub(super) session_insert: Script,
    pub(super) session_open: Script,
    pub(super) handle_insert: Script,
    pub(super) handle_offer: Script,
    pub(super) handle_shown: Script,
    pub(super) handle_settled: Script,
    pub(super) session_replace: Script,
    pub(super) session_touch: Script,
    pub(super) end_all: Script,
    pub(super) live: Script,
    pub(super) count: Script,
    pub(super) take: Script,
    pub(super) swap: Script,
    pub(super) rates_add: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            session_insert: Script::new(&format!("{COUNTED}{SESSION_INSERT}")),
            session_open: Script::new(&format!("{COUNTED}{SESSION_OPEN}{SESSION_INSERT}")),
            handle_insert: Script::new(HANDLE_INSERT),
            handle_offer: Script::new(HANDLE_OFFER),
            handle_shown: Script::new(HANDLE_SHOWN),
            handle_settled: Script::new(HANDLE_SETTLED),
            session_replace: Script::new(&format!("{COUNTED}{SESSION_REPLACE}{SESSION_INSERT}")),
            session_touch: Script::new(SESSION_TOUCH),
            end_all: Script::new(&format!("{COUNTED}{END_ALL}")),
            live: Script::new(LIVE),
            count: Script::new(COUNT),
            take: Script::new(TAKE),
            swap: Script::new(SWAP),
            rates_add: Script::new(RATES_ADD),
        }
    }
}

/// Counts a session among those that live, or no more: by the minute in which it ends, as in [`super::keys::Keys::live`]. What is not
/// counted is not taken away.
const COUNTED: &str = "
local function counted(key, ends, by)
  local minute = math.ceil(tonumber(ends) / 60000000)
  if by < 0 and redis.call('HEXISTS', key, minute) == 0 then return end
  redis.call('HINCRBY', key, minute, by)
end";

/// Keeps a session, after [`COUNTED`]: KEYS session, sessions-of, live; ARGV user and session, version, seen, expires, before when what ended is past
/// whatever clocks say, px, then `ended_at` and `ended_why` or two empty texts; three that are another script's; what is sealed, in
/// pieces. What is past goes: from the sessions of users each time, and from the minutes once they are twice as many as it lives.
const SESSION_INSERT: &str = "
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'v', ARGV[2], 's', ARGV[3], 'e', ARGV[4])
for i = 12, #ARGV do redis.call('HSET', KEYS[1], i - 11, ARGV[i]) end
redis.call('PEXPIRE', KEYS[1], ARGV[6])
local lives = 1
if ARGV[7] ~= '' then
  lives = 0
  redis.call('HSET', KEYS[1], 'at', ARGV[7], 'why', ARGV[8])
end
counted(KEYS[3], ARGV[4], lives)
if redis.call('HLEN', KEYS[3]) * 30000 > tonumber(ARGV[6]) then
  for _, minute in ipairs(redis.call('HKEYS', KEYS[3])) do
    if minute * 60000000 <= tonumber(ARGV[5]) then redis.call('HDEL', KEYS[3], minute) end
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[5])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
for i = 2, 3 do
  if redis.call('PTTL', KEYS[i]) < tonumber(ARGV[6]) then redis.call('PEXPIRE', KEYS[i], ARGV[6]) end
end
return 1";

/// Keeps a session's first handle; what follows it ([`SESSION_INSERT`], with its keys and arguments) keeps the session.
/// KEYS[4] handle; ARGV[9] session, ARGV[10] host, ARGV[11] issued. A Redis that is full refuses the first write, and keeps neither.
const SESSION_OPEN: &str = "
if redis.call('EXISTS', KEYS[4]) == 0 then
  redis.call('HSET', KEYS[4], 'n', ARGV[9], 'h', ARGV[10], 'i', ARGV[11])
  redis.call('PEXPIRE', KEYS[4], ARGV[6])
end";

/// Keeps a handle: KEYS handle; ARGV session, host, issued, px.
const HANDLE_INSERT: &str = "
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], 'n', ARGV[1], 'h', ARGV[2], 'i', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1";

/// Gives a handle a successor, in the place of one that was never shown: KEYS before, next; ARGV session, host, issued and px of next,
/// hash of before, hash of next, when before was given one as read (empty: never), stem of handle keys.
const HANDLE_OFFER: &str = "
local stood = redis.call('HMGET', KEYS[1], 'n', 's', 'o', 'x')
if not stood[1] or stood[2] or (stood[3] or '') ~= ARGV[7] then return 0 end
if stood[4] then redis.call('DEL', ARGV[8] .. stood[4]) end
redis.call('HSET', KEYS[1], 'o', ARGV[3], 'x', ARGV[6])
redis.call('HSET', KEYS[2], 'n', ARGV[1], 'h', ARGV[2], 'i', ARGV[3], 'r', ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return 1";

/// Notes that a successor was shown: KEYS handle, the one that it replaces; ARGV at, hash of the one that it replaces. Until it is
/// written elsewhere what it superseded, when, and for how many milliseconds that counts, `w` tells it; it is given, or nothing
/// where nothing is owed. False where the handle is not kept.
const HANDLE_SHOWN: &str = "
if redis.call('EXISTS', KEYS[1]) == 0 then return false end
if redis.call('HEXISTS', KEYS[1], 'r') == 1 then
  redis.call('HSET', KEYS[1], 'w', ARGV[2] .. ARGV[1] .. ' ' .. redis.call('PTTL', KEYS[1]))
  redis.call('HDEL', KEYS[1], 'r')
  if redis.call('EXISTS', KEYS[2]) == 1 then
    redis.call('HSETNX', KEYS[2], 's', ARGV[1])
    redis.call('HDEL', KEYS[2], 'o', 'x')
  end
end
return redis.call('HGET', KEYS[1], 'w') or ''";

/// Notes that it is written: KEYS handle; ARGV what was owed.
const HANDLE_SETTLED: &str = "
if redis.call('HGET', KEYS[1], 'w') == ARGV[1] then redis.call('HDEL', KEYS[1], 'w') end
return 0";

/// Ends a session, after [`COUNTED`]; what follows it ([`SESSION_INSERT`], with its keys and arguments) keeps the next. KEYS[4] the one
/// that ends; ARGV[9] at, ARGV[10] why.
const SESSION_REPLACE: &str = "
local ends = tonumber(redis.call('HGET', KEYS[4], 'e') or '')
if not ends or redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
if redis.call('HSETNX', KEYS[4], 'at', ARGV[9]) == 0 then return 0 end
redis.call('HSET', KEYS[4], 'why', ARGV[10])
redis.call('HINCRBY', KEYS[4], 'v', 1)
counted(KEYS[3], ends, -1)";

/// Notes a use: KEYS session; ARGV at.
const SESSION_TOUCH: &str = "
local seen = redis.call('HGET', KEYS[1], 's')
if seen and tonumber(seen) < tonumber(ARGV[1]) then redis.call('HSET', KEYS[1], 's', ARGV[1]) end
return 0";

/// Ends sessions, after [`COUNTED`]: KEYS live, then the sessions; ARGV at, why. How many.
const END_ALL: &str = "
local done = 0
for i = 2, #KEYS do
  local ends = tonumber(redis.call('HGET', KEYS[i], 'e') or '')
  if ends and redis.call('HSETNX', KEYS[i], 'at', ARGV[1]) == 1 then
    redis.call('HSET', KEYS[i], 'why', ARGV[2])
    redis.call('HINCRBY', KEYS[i], 'v', 1)
    counted(KEYS[1], ends, -1)
    done = done + 1
  end
end
return done";

/// Live sessions of a user: KEYS sessions-of; ARGV now, user, stem of session keys. A list of ids, each with its fields.
const LIVE: &str = "
local found = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf')) do
  if string.sub(member, 1, #ARGV[2]) == ARGV[2] then
    local id = string.sub(member, #ARGV[2] + 1)
    local key = ARGV[3] .. id
    if redis.call('HEXISTS', key, 'e') == 1 and redis.call('HEXISTS', key, 'at') == 0 then
      found[#found + 1] = {id, redis.call('HGETALL', key)}
    end
  end
end
return found";

/// Counts live sessions: KEYS live; ARGV now.
const COUNT: &str = "
local live, all = 0, redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if all[i] * 60000000 > tonumber(ARGV[1]) then live = live + math.max(0, all[i + 1]) end
end
return live";

/// Takes a one-time value: KEYS value; ARGV now. What is past its time goes too, but is given to nobody.
const TAKE: &str = "
local value = redis.call('GET', KEYS[1])
if not value then return false end
redis.call('DEL', KEYS[1])
if tonumber(string.match(value, '^%-?%d+')) <= tonumber(ARGV[1]) then return false end
return value";

/// Changes a text by compare-and-set: KEYS text; ARGV what stands (empty: nothing), what shall stand, px.
const SWAP: &str = "
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1";

/// Adds to levels: KEYS levels; ARGV now, then for each its requests, seconds, what was used and its `PX`. What is kept of
/// each is told. A number beyond 2^53 is off by less than what a millionth of it is worth. A Redis that hung does what it was asked
/// meanwhile, and asked again: nobody owes more than ten times their rate for that.
const RATES_ADD: &str = "
local now, told = tonumber(ARGV[1]), {}
for i, key in ipairs(KEYS) do
  local requests, seconds, used = tonumber(ARGV[4 * i - 2]), tonumber(ARGV[4 * i - 1]), tonumber(ARGV[4 * i])
  local level, at, ever = string.match(redis.call('GET', key) or '0 0 0', '^(%d+) (%d+) (%d+)$')
  level, at, ever = tonumber(level), tonumber(at), tonumber(ever)
  level = math.max(0, level - math.floor(math.max(0, now - at) * requests / seconds)) + used
  level = math.min(level, math.max(used, 10 * requests * 1000000))
  told[i] = string.format('%.0f %.0f %.0f', level, math.max(at, now), ever + used)
  redis.call('SET', key, told[i], 'PX', ARGV[4 * i + 1])
end
return told";
