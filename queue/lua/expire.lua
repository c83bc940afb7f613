-- expire - end leases past their deadline (or the one named) and put their keys in front.
--
-- KEYS: epoch, ready (zset: key by turn), held (hash: slot's name -> see exchange.lua), wake
--   (list), workers (zset: worker by deadline in ms), slots (hash), long (set), long_ready (zset),
--   long_wake (list; all four: see exchange.lua).
-- ARGV: epoch, list prefix, worker to end now or ''.
-- Returns how many leases ended, or -1 when the epoch differs; then nothing is written.
--
-- Jobs never left their lists; the next holder asks the ledger about each.  A clean token that the
-- lost worker had found is put back: it may have died before it claimed.
-- Cost: O(keys of the shard), and only when a worker is lost.  Repeatable.
-- Callers: lease_expire() in queue/lease.c: the scheduler each second; a worker that leaves.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return -1
end
local prefix, gone, ended = ARGV[2], {ARGV[3]}, 0
if ARGV[3] == '' then
	local time = redis.call('TIME')
	local now = time[1] * 1000 + math.floor(time[2] / 1000)
	gone = redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', now, 'LIMIT', 0, 1000)
	if #gone == 0 then
		return 0
	end
end
ended = redis.call('ZREM', KEYS[5], unpack(gone))

local lost = {}
for _, worker in ipairs(gone) do
	lost[worker] = true
end

-- Slot of key is free: whether it has jobs of its own is noted.  True when it has; how many are held.
local function free_slot(key, slot)
	local name = slot == '0' and key or key .. '.' .. slot
	local value = redis.call('HGET', KEYS[6], key) or ':'
	local held, left = string.match(value, '^([%d,]*):([%d,]*)$')
	local rest = {}
	left = left or ''
	for other in string.gmatch(held or '', '%d+') do
		if other ~= slot then
			rest[#rest + 1] = other
		end
	end
	if redis.call('EXISTS', prefix .. 's:' .. name) == 1 then
		left = left == '' and slot or left .. ',' .. slot
	end
	if #rest == 0 and left == '' then
		redis.call('HDEL', KEYS[6], key)
	else
		redis.call('HSET', KEYS[6], key, table.concat(rest, ',') .. ':' .. left)
	end
	return left ~= '', #rest
end

local function wake(token)
	if redis.call('LLEN', token) == 0 then
		redis.call('RPUSH', token, '1')
	end
end

local cursor, freed, freed_long = '0', false, false
-- In front of its line; in that of the long keys, of those with as many slots held.
local function line_up(key, busy)
	if redis.call('SISMEMBER', KEYS[7], key) == 0 then
		redis.call('ZADD', KEYS[2], 'NX', 0, key)
		freed = true
		return
	end
	local turn = (redis.call('ZSCORE', KEYS[8], key) or 0) % 2 ^ 40
	redis.call('ZADD', KEYS[8], busy * 2 ^ 40 + turn, key)
	freed_long = true
end

repeat
	local found = redis.call('HSCAN', KEYS[3], cursor, 'COUNT', 1000)
	cursor = found[1]
	for i = 1, #found[2], 2 do
		local name, value = found[2][i], found[2][i + 1]
		local mark, worker, token = string.match(value, '^([+*])([^ ]+) ?(.*)$')
		if worker and lost[worker] then
			if token == '' then
				token = worker .. ':?'
			end
			redis.call('HSET', KEYS[3], name, '-' .. token)
			local key, slot = string.match(name, '^([^.]*)%.?(%d*)$')
			local queue, front = prefix .. 'q:' .. key, prefix .. 'f:' .. key
			local left, busy = false, 0
			if mark == '*' then
				left, busy = free_slot(key, slot == '' and '0' or slot)
			end
			if left or redis.call('EXISTS', queue, front) > 0 then
				line_up(key, busy)
			end
		end
	end
until cursor == '0'
if freed then
	wake(KEYS[4])
end
if freed_long then
	wake(KEYS[9])
end
return ended
