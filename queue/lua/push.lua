-- push - queue accepted jobs; mark keys that nobody holds ready.
--
-- KEYS: epoch (or build, for the scheduler that rebuilds), ready (zset: key by turn), turn
--   (counter), held (hash: key -> see exchange.lua), wake (list), fronts (set: keys whose front
--   lane may have jobs), then one list per key pushed to.
-- ARGV: epoch the caller knows; lane ('q': new jobs, 'f': late ones and retries); list prefix;
--   '1' while rebuilding, else '0' (not looked at); then per list: key, count, count envelopes in
--   ledger order.
-- Returns how many lists of another type were put aside (normally 0), or -1 when the epoch differs:
--   then nothing is written.
--
-- Repeatable: the ledger refuses a second start.
-- Invariant: lists only grow at the tail, so what a worker has in flight stays at the head.
-- Pushes of two nodes overtake each other, and a rebuild reads the ledger while new jobs come in:
-- entries older than the tail of lane q go to lane f, where they are merged by seq.
-- Caller: ready_push() in queue/ready.c.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return -1
end
local prefix = ARGV[3]
local aside = 0

local function seq(envelope)
	return tonumber(string.sub(envelope, 1, 12)) or 0
end

-- Something else than a list must not stop the other keys: it is kept under 'bad:' for a human.
local function append(list, lane, key, from, to)
	local done = redis.pcall('RPUSH', list, unpack(ARGV, from, to))
	if type(done) ~= 'table' or not done.err then
		return nil
	end
	if not string.find(done.err, 'WRONGTYPE', 1, true) then
		return done
	end
	redis.call('RENAME', list, prefix .. 'bad:' .. lane .. ':' .. key)
	redis.call('RPUSH', list, unpack(ARGV, from, to))
	aside = aside + 1
	return nil
end

local at, keys, fronts = 5, {}, {}
for k = 7, #KEYS do
	local key, from, to = ARGV[at], at + 2, at + 1 + tonumber(ARGV[at + 1])
	local lane, list = ARGV[2], KEYS[k]
	if lane == 'q' then
		local tail = redis.pcall('LINDEX', list, -1)
		if type(tail) == 'string' and seq(tail) > seq(ARGV[from]) then
			lane, list = 'f', prefix .. 'f:' .. key
		end
	end
	local failed = append(list, lane, key, from, to)
	if failed then
		return failed -- memory is full: the first list already refused, nothing was written
	end
	keys[#keys + 1] = key
	if lane == 'f' then
		fronts[#fronts + 1] = key
	end
	at = to + 1
end
if #fronts > 0 then
	redis.call('SADD', KEYS[6], unpack(fronts))
end

local held = redis.call('HMGET', KEYS[4], unpack(keys))
local add, turn = {}, tonumber(redis.call('GET', KEYS[3]) or 0)
for i, key in ipairs(keys) do
	if not held[i] or string.byte(held[i]) ~= 43 then -- '+': its holder puts it back in line
		turn = turn + 1
		add[#add + 1] = turn
		add[#add + 1] = key
	end
end
if #add > 0 and redis.call('ZADD', KEYS[2], 'NX', unpack(add)) > 0 then
	redis.call('SET', KEYS[3], turn)
	if redis.call('LLEN', KEYS[5]) == 0 then
		redis.call('RPUSH', KEYS[5], '1')
	end
end
return aside
