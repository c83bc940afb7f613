-- limits - replace how many slots keys have; mend keys of the shard that somebody has touched.
--
-- KEYS: epoch (or build), limits (hash: key -> slots but for 1; '=' -> digest), ready (zset:
--   key by turn), turn (counter), held (hash), slots (hash; both: see exchange.lua), wake (list),
--   workers (zset), fronts (set), depths (hash), calls (list), call_bytes (counter), long (set),
--   long_ready (zset), long_wake (list; all three: see exchange.lua).
-- ARGV: epoch, list prefix, digest of the limits, '?' (are they these?) or '=' and then per key
--   with more than one slot, or with none (paused): key, slots.
-- Returns {1 when the limits are as asked for, else 0; keys that would have expired}, or {-1} when
--   the epoch differs; {-2} when a key was of another type: the epoch is dropped, so that the shard
--   is rebuilt.
--
-- What runs goes on: exchange looks at the limits when a slot is free.  Keys that got slots, or are
-- paused no more, are lined up.  Repeatable.  Caller: ready_limits() in queue/ready.c: the scheduler that leads.
local types = {'string', 'hash', 'zset', 'string', 'hash', 'hash', 'list', 'zset', 'set', 'hash',
	'list', 'string', 'set', 'zset', 'list'}
local prefix, lasting = ARGV[2], 0
for k, key in ipairs(KEYS) do
	local found = redis.call('TYPE', key).ok
	if found ~= 'none' and found ~= types[k] then
		redis.call('DEL', KEYS[1])
		return {-2}
	end
end
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return {-1}
end
for _, key in ipairs(KEYS) do
	lasting = lasting + redis.call('PERSIST', key)
end
local digest = redis.call('HGET', KEYS[2], '=') or ''
if digest == ARGV[3] then
	return {1, lasting}
end
if ARGV[4] == '?' then
	return {0, lasting}
end

local before, fields = {}, redis.call('HGETALL', KEYS[2])
for i = 1, #fields, 2 do
	before[fields[i]] = tonumber(fields[i + 1])
end
redis.call('DEL', KEYS[2])
local add, grown = {}, {}
for at = 5, #ARGV, 2 do
	add[#add + 1], add[#add + 2] = ARGV[at], ARGV[at + 1]
	if tonumber(ARGV[at + 1]) > (before[ARGV[at]] or 1) then
		grown[#grown + 1] = ARGV[at]
	end
	before[ARGV[at]] = nil
	if #add >= 1000 or at + 2 > #ARGV then
		redis.call('HSET', KEYS[2], unpack(add))
		add = {}
	end
end
if #ARGV > 4 then
	redis.call('HSET', KEYS[2], '=', ARGV[3])
end
for key, slots in pairs(before) do -- from here on they have one
	if slots == 0 then
		grown[#grown + 1] = key
	end
end
table.sort(grown, function(a, b) return tonumber(a) < tonumber(b) end)
local lined_up, long_lined_up = false, false
for _, key in ipairs(grown) do
	local held = redis.call('HGET', KEYS[5], key) or '-'
	local slots = redis.call('HGET', KEYS[6], key) or ':'
	local left = string.find(slots, ':%d')
	local queue, front = prefix .. 'q:' .. key, prefix .. 'f:' .. key
	if string.byte(held) ~= 43 -- '+': its holder lines it up
		and (left or redis.call('EXISTS', queue, front) > 0) then
		local turn = redis.call('INCR', KEYS[4])
		if redis.call('SISMEMBER', KEYS[13], key) == 1 then
			local _, busy = string.gsub(string.match(slots, '^[%d,]*'), '%d+', '')
			local score = busy * 2 ^ 40 + turn
			long_lined_up = redis.call('ZADD', KEYS[14], 'NX', score, key) == 1 or long_lined_up
		else
			lined_up = redis.call('ZADD', KEYS[3], 'NX', turn, key) == 1 or lined_up
		end
	end
end
if lined_up and redis.call('LLEN', KEYS[7]) == 0 then
	redis.call('RPUSH', KEYS[7], '1')
end
if long_lined_up and redis.call('LLEN', KEYS[15]) == 0 then
	redis.call('RPUSH', KEYS[15], '1')
end
return {1, lasting}
