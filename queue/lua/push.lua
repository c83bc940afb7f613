-- push - queue accepted jobs; mark keys that nobody holds ready, each in its line.
--
-- KEYS: epoch (or build, for the scheduler that rebuilds), ready (zset: key by turn), turn
--   (counter), held (hash: slot's name -> see exchange.lua), wake (list), fronts (set: keys whose
--   front lane may have jobs), depths (hash: environment -> entries in its lists), slots (hash), long
--   (set), long_ready (zset), long_wake (list; all four: see exchange.lua), then one list per key
--   pushed to.  An environment's keys are in the set prefix .. 'env:' .. environment.
-- ARGV: epoch the caller knows; lane ('q': new jobs, 'f': late ones and retries); list prefix;
--   count of environments, then these; then per list: key, its environment (place among these), '1'
--   if its jobs are long else '0', count, count envelopes in ledger order.
-- Returns {lists of another type put aside (normally 0), then the depth of each environment}, or -1
--   when the epoch differs: then nothing is written.
--
-- Repeatable: the ledger refuses a second start.
-- Invariant: lists only grow at the tail, so what a worker has in flight stays at the head.
-- Pushes of two nodes overtake each other, and a rebuild reads the ledger while new jobs come in:
-- entries older than the tail of lane q go to lane f, where they are merged by seq.  What comes late to
-- a lane f that nobody has in flight is put in its place, while that lane is short: a paused line may
-- gather several late pushes.
-- Caller: ready_push() in queue/ready.c.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return -1
end
local prefix = ARGV[3]
local aside = 0

local function seq(envelope)
	return tonumber(string.sub(envelope, 1, 12)) or 0
end

-- Appends to a list; its length, or an error.  Something else than a list must not stop the other
-- keys: it is kept under 'bad:' for a human.
local function append(list, lane, key, from, to)
	local length = redis.pcall('RPUSH', list, unpack(ARGV, from, to))
	if type(length) == 'number' or not string.find(length.err, 'WRONGTYPE', 1, true) then
		return length
	end
	redis.call('RENAME', list, prefix .. 'bad:' .. lane .. ':' .. key)
	aside = aside + 1
	return redis.call('RPUSH', list, unpack(ARGV, from, to))
end

local FRONT_MAX = 1000

-- Of lane f of key, whose last count entries have just come.
local function put_in_order(key, count)
	local list = prefix .. 'f:' .. key
	local length = redis.call('LLEN', list)
	if length == count or length > FRONT_MAX
		or string.byte(redis.call('HGET', KEYS[4], key) or '-') == 43
		or seq(redis.call('LINDEX', list, -count - 1)) <= seq(redis.call('LINDEX', list, -count)) then
		return
	end
	local entries = {}
	for i, envelope in ipairs(redis.call('LRANGE', list, 0, -1)) do
		entries[i] = {seq(envelope), i, envelope}
	end
	table.sort(entries, function(a, b)
		return a[1] < b[1] or a[1] == b[1] and a[2] < b[2]
	end)
	redis.call('DEL', list)
	for _, entry in ipairs(entries) do
		redis.call('RPUSH', list, entry[3])
	end
end

local environments = tonumber(ARGV[4])
local at, keys, fronts, more, owned, longs = 5 + environments, {}, {}, {}, {}, {}
for e = 1, environments do
	more[e], owned[e] = 0, {}
end
for k = 12, #KEYS do
	local key, e, count = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 3])
	local from, to = at + 4, at + 3 + count
	local lane = ARGV[2]
	local length = append(KEYS[k], lane, key, from, to)
	if type(length) ~= 'number' then
		return length -- memory is full: the first list already refused, nothing was written
	end
	if lane == 'q' and length > count
		and seq(redis.call('LINDEX', KEYS[k], -count - 1)) > seq(ARGV[from]) then
		redis.call('LTRIM', KEYS[k], 0, -count - 1)
		lane = 'f'
		append(prefix .. 'f:' .. key, lane, key, from, to)
	end
	keys[#keys + 1] = key
	more[e] = more[e] + count
	owned[e][#owned[e] + 1] = key
	if lane == 'f' then
		fronts[#fronts + 1] = key
		put_in_order(key, count)
	end
	if ARGV[at + 2] == '1' then
		longs[key] = true
	end
	at = to + 1
end
if #fronts > 0 then
	redis.call('SADD', KEYS[6], unpack(fronts))
end
local answer = {aside}
for e = 1, environments do
	redis.call('SADD', prefix .. 'env:' .. ARGV[4 + e], unpack(owned[e]))
	answer[1 + e] = redis.call('HINCRBY', KEYS[7], ARGV[4 + e], more[e])
end

local function wake(token)
	if redis.call('LLEN', token) == 0 then
		redis.call('RPUSH', token, '1')
	end
end

-- By slots held and turn, as exchange does.
local function line_up_long(key)
	local held = string.match(redis.call('HGET', KEYS[8], key) or '', '^[%d,]*') or ''
	local _, busy = string.gsub(held, '%d+', '')
	local turn = redis.call('INCR', KEYS[3])
	if redis.call('ZADD', KEYS[10], 'NX', busy * 2 ^ 40 + turn, key) > 0 then
		wake(KEYS[11])
	end
end

local held = redis.call('HMGET', KEYS[4], unpack(keys))
local add, free = {}, 0
for i, key in ipairs(keys) do
	local plain = held[i] and string.byte(held[i]) == 43 -- '+': its holder puts it back in line
	if longs[key] then
		redis.call('SADD', KEYS[9], key)
	end
	if longs[key] and not plain then
		line_up_long(key)
	elseif not plain then
		free = free + 1
		add[2 * free] = key
	end
end
if free > 0 then
	local turn = redis.call('INCRBY', KEYS[3], free) - free
	for i = 1, free do
		add[2 * i - 1] = turn + i
	end
	if redis.call('ZADD', KEYS[2], 'NX', unpack(add)) > 0 then
		wake(KEYS[5])
	end
end
return answer
