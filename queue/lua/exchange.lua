-- exchange - a worker's one call: renew its lease, hand in turns, take the next.
--
-- KEYS: epoch, ready (zset: key by turn), turn (counter), held (hash: key -> holder), wake (list),
--   workers (zset: worker by deadline in ms), fronts (set: keys whose front lane may have jobs).
--   A key's lists are prefix .. 'q:' or 'f:' .. key: in the same slot, not declared.
-- ARGV: epoch, worker, ttl in ms, turns wanted, jobs per turn, list prefix, then per turn handed
--   in: key, tenure, lane ('q', 'f'), count of jobs settled (from the head), '1' if clean else '0'.
-- Returns {deadline in ms, lists put aside, then per turn: key, holder before ('worker:tenure', ''
--   if none, the worker's own name if it never let go), lane, {envelope, ...}};
--   {-1} on another epoch; {0} when the lease had run out: the worker forgets its turns.  In both
--   cases nothing is written.
--
-- held[key] is '+worker' or '+worker token' while held, else '-' and the token: 'worker:tenure',
-- tenure '?' when nothing can be proved.  A clean token says that its worker had stopped: the
-- ledger lets the next one compare and set on it.  It is kept while the next one holds the key and
-- comes back if that one could not claim: a stale token is harmless, its tenure differs there.
-- Fair: a key handed in goes behind every key that waits; one handed in unclean is not taken again
-- in the same call.  Not repeatable: after a lost answer leave (expire) and join.
-- Caller: lease_exchange() in queue/lease.c.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return {-1}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local me, ttl, room = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local last, prefix = ARGV[5] - 1, ARGV[6]
local deadline = tonumber(redis.call('ZSCORE', KEYS[6], me) or 0)
if deadline <= now then
	return {0}
end
-- A full Redis refuses a script only until its first write: start with one that can only shrink, so
-- that leases go on and settled jobs make room.
redis.call('ZREM', KEYS[6], '')
if deadline - now < ttl * 0.9 then
	deadline = now + ttl
	redis.call('ZADD', KEYS[6], deadline, me)
end

local out = {deadline, 0}
local fronts = redis.call('EXISTS', KEYS[7]) == 1

local function seq(envelope)
	return tonumber(string.sub(envelope, 1, 12)) or 0
end

-- The head of a list.  Something else than a list is kept under 'bad:' for a human.
local function head(lane, key)
	local jobs = redis.pcall('LRANGE', prefix .. lane .. ':' .. key, 0, last)
	if not jobs.err then
		return jobs
	end
	redis.call('RENAME', prefix .. lane .. ':' .. key, prefix .. 'bad:' .. lane .. ':' .. key)
	out[2] = out[2] + 1
	return {}
end

-- Adds a turn of key to the answer: from the lane with the older head, up to the other one's head.
local function read(key, before)
	local lane, jobs, other = 'q', head('q', key), {}
	if fronts and redis.call('SISMEMBER', KEYS[7], key) == 1 then
		other = head('f', key)
		if #other == 0 then
			redis.call('SREM', KEYS[7], key)
		elseif #jobs == 0 or seq(other[1]) <= seq(jobs[1]) then
			lane, jobs, other = 'f', other, jobs
		end
	end
	if #jobs == 0 then
		return false
	end
	if #other > 0 then
		local stop, count = seq(other[1]), 1
		while jobs[count + 1] and seq(jobs[count + 1]) <= stop do
			count = count + 1
		end
		for i = #jobs, count + 1, -1 do
			jobs[i] = nil
		end
	end
	local n = #out
	out[n + 1], out[n + 2], out[n + 3], out[n + 4] = key, before, lane, jobs
	room = room - 1
	return true
end

-- Puts keys at the end of the line.
local function line_up(keys)
	if #keys == 0 then
		return
	end
	local turn, add = redis.call('INCRBY', KEYS[3], #keys) - #keys, {}
	for i, key in ipairs(keys) do
		add[2 * i - 1], add[2 * i] = turn + i, key
	end
	redis.call('ZADD', KEYS[2], 'NX', unpack(add))
end

-- Hand in.
local hands, put, again, unclean = {}, {}, {}, {}
local mine = '+' .. me
for at = 7, #ARGV, 5 do
	hands[#hands + 1] = ARGV[at]
end

-- Lets a key go: its token, and whether it has jobs and must line up.
local function let_go(key, value, tenure, clean, lines_up)
	local before = string.sub(value, #mine + 2)
	local token = me .. ':' .. tenure
	if not clean then
		token = before ~= '' and before or me .. ':?'
	end
	put[#put + 1] = key
	put[#put + 1] = '-' .. token
	if lines_up and redis.call('EXISTS', prefix .. 'q:' .. key, prefix .. 'f:' .. key) > 0 then
		local line = clean and again or unclean
		line[#line + 1] = key
	end
end

if #hands > 0 then
	local held = redis.call('HMGET', KEYS[4], unpack(hands))
	local keep = room - redis.call('ZCARD', KEYS[2]) -- room that nobody waits for
	for i, key in ipairs(hands) do
		local at, value = 2 + 5 * i, held[i] or ''
		if value == mine or string.sub(value, 1, #mine + 1) == mine .. ' ' then
			local tenure, lane, count = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
			local clean = ARGV[at + 4] == '1'
			if count ~= '0' then -- fails on another type: head() will see to it
				redis.pcall('LTRIM', prefix .. lane .. ':' .. key, count, -1)
			end
			if clean and keep > 0 and read(key, me) then
				keep = keep - 1
			else
				let_go(key, value, tenure, clean, keep <= 0 or not clean)
			end
		end
	end
	if #put > 0 then
		redis.call('HSET', KEYS[4], unpack(put))
	end
	line_up(again)
end

-- Take.
if room > 0 then
	local popped, keys = redis.call('ZPOPMIN', KEYS[2], room), {}
	for i = 1, #popped, 2 do
		keys[#keys + 1] = popped[i]
	end
	if #keys > 0 then
		local held, take = redis.call('HMGET', KEYS[4], unpack(keys)), {}
		for i, key in ipairs(keys) do
			local value = held[i] or '-'
			local token, free = string.sub(value, 2), string.byte(value) == 45
			if free and read(key, token) then -- not free: its holder lines it up
				local clean = token ~= '' and string.sub(token, -2) ~= ':?'
				take[#take + 1] = key
				take[#take + 1] = '+' .. me .. (clean and ' ' .. token or '')
			end
		end
		if #take > 0 then
			redis.call('HSET', KEYS[4], unpack(take))
		end
	end
end
line_up(unclean)

-- One token: whoever leaves work behind passes it on.
if (room == 0 or #unclean > 0) and redis.call('EXISTS', KEYS[2]) == 1
	and redis.call('LLEN', KEYS[5]) == 0 then
	redis.call('RPUSH', KEYS[5], '1')
end
return out
