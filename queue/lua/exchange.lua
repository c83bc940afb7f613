-- exchange - a worker's one call: renew its lease, hand in turns, take the next.
--
-- KEYS: epoch, ready (zset: key by turn), turn (counter), held (hash: slot's name -> holder), wake
--   (list), workers (zset: worker by deadline in ms), fronts (set: keys whose front lane may have
--   jobs), limits (hash: key -> slots, but for those that have one; 0: paused), slots (hash: key ->
--   'held:left', the numbers of its slots that are held, and of those that are free but have jobs
--   of their own), calls (list), depths (hash: environment -> entries in its lists), long (set: keys
--   whose jobs are long), long_ready (zset: these, by slots held and turn), long_wake (list).
--   Lists are prefix .. 'q:' or 'f:' .. key and 's:' .. slot's name: same Redis slot, not declared.
-- ARGV: epoch, worker, ttl in ms, turns wanted, jobs per turn, list prefix, how many of the turns may
--   be of long keys, then per turn handed in: slot's name, tenure, lane ('q', 'f', 's'), count of jobs
--   settled (from the head), '1' if clean else '0', environment.
-- Returns {deadline in ms, lists put aside, calls that wait, long keys that wait, then per turn: slot's
--   name, holder before ('worker:tenure', '' if none, the worker's own name if it never let go), lane,
--   {envelope, ...}}; {-1} on another epoch; {0} when the lease had run out: the worker forgets its
--   turns.  In both cases nothing is written.
--
-- Slot 0 of key K is named K, slot 3 is K.3.  A key with a limit of 1 is held plainly: its turn is
-- the head of lane q or f, in place.  With a limit above 1 a slot's jobs are moved to its own list
-- when it gets its turn.  What it did not run stays there and goes first; in ready there is only
-- the key, so that many slots give it no more turns than another.
-- held is '+worker' (plain) or '*worker' (a slot), ' ' and a token behind it or not, while held,
-- else '-' and the token: 'worker:tenure', tenure '?' when nothing can be proved.  A clean token
-- says that its worker had stopped: the ledger lets the next one compare and set on it.  It is kept
-- while the next one holds the slot and comes back if that one could not claim: a stale token is
-- harmless, its tenure differs there.
-- Long keys (their jobs may run for hours) have a line of their own, so that they are in nobody's way
-- while no worker has a place for them, and a token of their own, which only those await who have one.
-- The key with the fewest slots held is the next, between equals the one that waits longest: a score is
-- slots held * 2^40 + turn.  They are always held by slots, with one job in each.
-- Fair: a key handed in goes behind every key that waits; one handed in unclean is not taken again
-- in the same call; a key gets a second slot only when no other waits.
-- A paused key gets no turn, is not kept and not lined up.  A push or a lost lease may line it up;
-- it is dropped when it is popped, and limits lines it up when it is paused no more.
-- Invariant: a key with jobs that it may start is in its line, or its plain holder puts it there.
-- Not repeatable: after a lost answer leave (expire) and join.
-- Caller: lease_exchange() in queue/lease.c.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return {-1}
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local me, ttl, room = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local last, prefix, long_room = ARGV[5] - 1, ARGV[6], tonumber(ARGV[7])
local deadline = tonumber(redis.call('ZSCORE', KEYS[6], me) or 0)
if deadline <= now then
	return {0}
end
-- A full Redis refuses a script only until its first write: it must be one that can only shrink, so
-- that leases go on and settled jobs make room.  LTRIM and ZPOPMIN below are such, too.
local renews = deadline - now < ttl * 0.9
if renews or ARGV[11] == '0' then
	redis.call('ZREM', KEYS[6], '')
end
if renews then
	deadline = now + ttl
	redis.call('ZADD', KEYS[6], deadline, me)
end

local HAND, OLD_MAX, CLASS = 6, 1000, 2 ^ 40
local out = {deadline, 0, 0, 0}
local fronts, longs, limited, long_waits = false, false, false, 0
-- Mostly there is none of them.
if redis.call('EXISTS', KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[12], KEYS[13]) > 0 then
	fronts = redis.call('EXISTS', KEYS[7]) == 1
	longs = redis.call('EXISTS', KEYS[12], KEYS[13]) > 0
	limited = longs or redis.call('EXISTS', KEYS[8], KEYS[9]) > 0
	long_waits = longs and redis.call('ZCARD', KEYS[13]) or 0
	out[3] = redis.call('LLEN', KEYS[10])
end
local known, touched = {}, {} -- key -> what limits and slots say of it

local function seq(envelope)
	return tonumber(string.sub(envelope, 1, 12)) or 0
end

-- The first entries of a list, up to index to.  Something else than a list is kept under 'bad:' for
-- a human.
local function head(lane, name, to)
	local jobs = redis.pcall('LRANGE', prefix .. lane .. ':' .. name, 0, to)
	if not jobs.err then
		return jobs
	end
	redis.call('RENAME', prefix .. lane .. ':' .. name, prefix .. 'bad:' .. lane .. ':' .. name)
	out[2] = out[2] + 1
	return {}
end

-- The heads of both lanes.
local function lanes(key, to)
	local jobs, other = head('q', key, to), {}
	if fronts and redis.call('SISMEMBER', KEYS[7], key) == 1 then
		other = head('f', key, to)
		if #other == 0 then
			redis.call('SREM', KEYS[7], key)
		end
	end
	return jobs, other
end

local function give(name, before, lane, jobs)
	local n = #out
	out[n + 1], out[n + 2], out[n + 3], out[n + 4] = name, before, lane, jobs
	room = room - 1
	return true
end

-- Adds a plain turn of key to the answer: from the lane with the older head, up to the other one's.
local function read(key, before)
	local lane, jobs, other = 'q', lanes(key, last)
	if #other > 0 and (#jobs == 0 or seq(other[1]) <= seq(jobs[1])) then
		lane, jobs, other = 'f', other, jobs
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
	return give(key, before, lane, jobs)
end

-- Puts keys at the end of their line.
local function line_up(keys)
	if #keys == 0 then
		return
	end
	local turn, add = redis.call('INCRBY', KEYS[3], #keys) - #keys, {}
	for i, key in ipairs(keys) do
		local k = known[key]
		if k and k.long then
			local new = redis.call('ZADD', KEYS[13], 'NX', k.busy * CLASS + turn + i, key)
			long_waits = long_waits + new
		else
			add[#add + 1], add[#add + 2] = turn + i, key
		end
	end
	if #add > 0 then
		redis.call('ZADD', KEYS[2], 'NX', unpack(add))
	end
end

local function has_jobs(key)
	return redis.call('EXISTS', prefix .. 'q:' .. key, prefix .. 'f:' .. key) > 0
end

local put, again, unclean = {}, {}, {} -- of held; keys to line up before and after the take
local function hold(name, mark, before)
	local clean = before ~= '' and string.sub(before, -2) ~= ':?'
	put[#put + 1] = name
	put[#put + 1] = mark .. me .. (clean and ' ' .. before or '')
end

-- Lets a slot go: its token.
local function let_go(name, value, tenure, clean)
	local before = string.sub(value, #me + 3)
	local token = me .. ':' .. tenure
	if not clean then
		token = before ~= '' and before or me .. ':?'
	end
	put[#put + 1] = name
	put[#put + 1] = '-' .. token
end

-- ---- slots: only while a key of the shard has some

local hands = {}
for at = 8, #ARGV, HAND do
	hands[#hands + 1] = ARGV[at]
	limited = limited or ARGV[at + 2] == 's' -- also when somebody has removed the hashes
end
local learn, about, serve, can_start, hand_in_slot

local function with_slots()
	local function name_of(key, slot)
		return slot == 0 and key or key .. '.' .. slot
	end

	-- Reads what limits, slots and long say of keys.
	learn = function(keys)
		if #keys == 0 then
			return
		end
		local limits = redis.call('HMGET', KEYS[8], unpack(keys))
		local slots = redis.call('HMGET', KEYS[9], unpack(keys))
		local long = longs and redis.call('SMISMEMBER', KEYS[12], unpack(keys)) or {}
		for i, key in ipairs(keys) do
			local limit = tonumber(limits[i] or 1) or 1
			local k = {limit = limit, long = long[i] == 1, held = {}, busy = 0, left = {}, refused = {}}
			local held, left = string.match(slots[i] or '', '^([%d,]*):([%d,]*)$')
			for slot in string.gmatch(held or '', '%d+') do
				k.held[tonumber(slot)] = true
				k.busy = k.busy + 1
			end
			for slot in string.gmatch(left or '', '%d+') do
				if not k.held[tonumber(slot)] then
					k.left[#k.left + 1] = tonumber(slot)
				end
			end
			known[key] = known[key] or k
		end
	end

	about = function(key)
		if not known[key] then
			learn({key})
		end
		return known[key]
	end

	can_start = function(key)
		local k = about(key)
		return not k.plain and k.busy < k.limit and (#k.left > 0 or has_jobs(key))
	end

	-- Jobs of slots that the key has no more go back to lane f, in ledger order.
	local function give_back(key, slots)
		local front, jobs = prefix .. 'f:' .. key, {}
		local function add(entries)
			for _, envelope in ipairs(entries) do
				jobs[#jobs + 1] = {seq(envelope), #jobs, envelope}
			end
		end
		for _, slot in ipairs(slots) do
			add(head('s', name_of(key, slot), -1))
			redis.call('DEL', prefix .. 's:' .. name_of(key, slot))
		end
		local old = head('f', key, OLD_MAX)
		local merge = #old <= OLD_MAX -- else in front: all but late pushes are younger
		if merge then
			add(old)
			redis.call('DEL', front)
		end
		table.sort(jobs, function(a, b)
			return a[1] < b[1] or a[1] == b[1] and a[2] < b[2]
		end)
		for i = 1, #jobs do
			local at = merge and i or #jobs + 1 - i
			redis.call(merge and 'RPUSH' or 'LPUSH', front, jobs[at][3])
		end
		if #jobs > 0 then
			redis.call('SADD', KEYS[7], key)
			fronts = true
		end
	end

	-- Moves the next jobs of key to the list of a slot: its share, in ledger order.
	local function draw(key, name)
		local to = about(key).long and 0 or last
		local first, second = lanes(key, to)
		local waiting = redis.call('LLEN', prefix .. 'q:' .. key)
		if #second > 0 then
			waiting = waiting + redis.call('LLEN', prefix .. 'f:' .. key)
		end
		local jobs, a, b = {}, 1, 1
		local share = math.max(1, math.floor(waiting / about(key).limit))
		share = math.min(share, to + 1)
		while #jobs < share and (first[a] or second[b]) do
			local lane = 'q'
			if second[b] and (not first[a] or seq(second[b]) <= seq(first[a])) then
				lane, jobs[#jobs + 1], b = 'f', second[b], b + 1
			else
				jobs[#jobs + 1], a = first[a], a + 1
			end
			local from, to = prefix .. lane .. ':' .. key, prefix .. 's:' .. name
			redis.call('LMOVE', from, to, 'LEFT', 'RIGHT')
		end
		return jobs
	end

	-- The jobs of a slot: its own, or new ones.
	local function fill(key, name)
		local jobs = head('s', name, about(key).long and 0 or last)
		return #jobs > 0 and jobs or draw(key, name)
	end

	-- A slot that may have a turn now, and what held says of it.
	local function free_slot(key, k)
		for i, slot in ipairs(k.left) do
			if not k.held[slot] and not k.refused[slot] then
				table.remove(k.left, i)
				touched[key] = true
				return slot, redis.call('HGET', KEYS[4], name_of(key, slot)) or '-'
			end
		end
		for slot = 0, k.limit - 1 do
			if not k.held[slot] and not k.refused[slot] then
				local value = redis.call('HGET', KEYS[4], name_of(key, slot)) or '-'
				if string.byte(value) == 45 then
					return slot, value
				end
				k.held[slot] = true -- slots had lost it
				k.busy = k.busy + 1
				touched[key] = true
			end
			if k.busy >= k.limit then
				return nil
			end
		end
	end

	-- Gives key, which nobody holds plainly, a turn in a free slot, if it may have one.
	serve = function(key, value)
		local k, gone = about(key), {}
		for i = #k.left, 1, -1 do
			if k.limit > 0 and (k.limit == 1 and not k.long or k.left[i] >= k.limit) then
				gone[#gone + 1] = table.remove(k.left, i)
				touched[key] = true
			end
		end
		if #gone > 0 then
			give_back(key, gone)
		end
		if k.busy >= k.limit then -- who lets go lines the key up
			return false
		end
		if k.limit == 1 and not k.long then
			local before = string.sub(value, 2)
			if string.byte(value) == 45 and read(key, before) then
				hold(key, '+', before)
				k.plain = true
				return true
			end
			return false
		end
		local slot, free = free_slot(key, k)
		if not slot then
			return false
		end
		local name, before = name_of(key, slot), string.sub(free, 2)
		local jobs = fill(key, name)
		if #jobs == 0 then
			return false
		end
		k.held[slot] = true
		k.busy = k.busy + 1
		touched[key] = true
		hold(name, '*', before)
		long_room = long_room - (k.long and 1 or 0)
		return give(name, before, 's', jobs)
	end

	-- A slot's turn is handed in; true: it goes on with the next.
	hand_in_slot = function(name, value, tenure, clean, keep)
		local key, digits = string.match(name, '^(%d+)%.?(%d*)$')
		local k, slot = about(key), tonumber(digits) or 0
		if clean and keep > 0 and k.held[slot] and slot < k.limit and k.limit > 1
			and k.busy <= k.limit and #k.left == 0 and not k.long then
			local jobs = fill(key, name)
			if #jobs > 0 then
				return give(name, me, 's', jobs)
			end
		end
		if k.held[slot] then
			k.held[slot] = nil
			k.busy = k.busy - 1
		end
		touched[key] = true
		k.refused[slot] = not clean
		if redis.call('EXISTS', prefix .. 's:' .. name) == 1 then
			k.left[#k.left + 1] = slot
		end
		let_go(name, value, tenure, clean)
		if can_start(key) then
			local line = clean and again or unclean
			line[#line + 1] = key
		end
		return false
	end
end
if limited then
	with_slots()
end

-- ---- hand in

local settled = {} -- environment -> entries
if #hands > 0 then
	local held = redis.call('HMGET', KEYS[4], unpack(hands))
	-- Room that nobody waits for.
	local keep = room - redis.call('ZCARD', KEYS[2]) - math.min(long_room, long_waits)
	if limited then
		learn(hands) -- slots above 0 are looked up by their key
	end
	for i, name in ipairs(hands) do
		local at, value = 2 + HAND * i, held[i] or ''
		local tenure, lane, count = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
		local clean, mine = ARGV[at + 4] == '1', (lane == 's' and '*' or '+') .. me
		if value == mine or string.sub(value, 1, #mine + 1) == mine .. ' ' then
			if count ~= '0' then -- fails on another type: head() will see to it
				redis.pcall('LTRIM', prefix .. lane .. ':' .. name, count, -1)
				settled[ARGV[at + 5]] = (settled[ARGV[at + 5]] or 0) + count
			end
			if lane == 's' then
				if hand_in_slot(name, value, tenure, clean, keep) then
					keep = keep - 1
				end
			else
				local k = limited and about(name) or {limit = 1}
				local slots = k.limit > 1 or k.long -- from now on
				if clean and keep > 0 and k.limit == 1 and not slots and read(name, me) then
					keep = keep - 1
				else
					let_go(name, value, tenure, clean)
					if k.limit > 0 and (keep <= 0 or not clean or slots) and has_jobs(name) then
						local line = clean and again or unclean
						line[#line + 1] = name
					end
				end
			end
		end
	end
	if #put > 0 then
		redis.call('HSET', KEYS[4], unpack(put))
		put = {}
	end
	for environment, count in pairs(settled) do
		if redis.call('HINCRBY', KEYS[11], environment, -count) <= 0 then
			redis.call('HDEL', KEYS[11], environment)
		end
	end
	line_up(again)
end

-- ---- take

-- Takes keys off the line whose turn it is: one of the long ones, or up to room of the others.  Second:
-- of the long ones; third: others may wait.
local function next_keys()
	local count = room
	if long_room > 0 and long_waits > 0 then
		local first = redis.call('ZRANGE', KEYS[13], 0, 0, 'WITHSCORES')
		local other = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
		if #first > 0 and (#other == 0 or first[2] % CLASS <= tonumber(other[2])) then
			redis.call('ZREM', KEYS[13], first[1])
			long_waits = long_waits - 1
			return {first[1]}, true, true
		end
		count = 1
	end
	local popped, keys = redis.call('ZPOPMIN', KEYS[2], count), {}
	for i = 1, #popped, 2 do
		keys[#keys + 1] = popped[i]
	end
	return keys, false, limited and #popped == 2 * count
end

local more, drained = {}, false -- keys that can start more; nobody else waits
while room > 0 and not drained do
	local keys, long, others = next_keys()
	drained = not others
	local held = #keys > 0 and redis.call('HMGET', KEYS[4], unpack(keys))
	if limited then
		learn(keys)
	end
	for i, key in ipairs(keys) do
		local value = held[i] or '-'
		local k = limited and about(key)
		if k and k.long and not long then -- lined up by who did not know
			line_up({key})
			drained = drained and long_room <= 0
		elseif k then
			if long and not k.long then -- somebody has removed it
				redis.call('SADD', KEYS[12], key)
				k.long = true
			end
			if string.byte(value) ~= 43 and serve(key, value) and can_start(key) then
				if long then
					line_up({key})
				else
					more[#more + 1] = key
				end
			end
		elseif string.byte(value) == 45 and read(key, string.sub(value, 2)) then
			hold(key, '+', string.sub(value, 2)) -- not free: its holder lines it up
		end
	end
end
while drained and room > 0 and #more > 0 do -- room that nobody waits for
	local key = table.remove(more, 1)
	if serve(key, '') and can_start(key) then
		more[#more + 1] = key
	end
end
if #put > 0 then
	redis.call('HSET', KEYS[4], unpack(put))
end
for key in pairs(touched) do
	local k, held = known[key], {}
	for slot in pairs(k.held) do
		held[#held + 1] = slot
	end
	if k.busy == 0 and #k.left == 0 then
		redis.call('HDEL', KEYS[9], key)
	else
		local value = table.concat(held, ',') .. ':' .. table.concat(k.left, ',')
		redis.call('HSET', KEYS[9], key, value)
	end
end
line_up(more)
line_up(unclean)
if longs then
	for key in pairs(touched) do
		local score = known[key].long and redis.call('ZSCORE', KEYS[13], key)
		if score then
			redis.call('ZADD', KEYS[13], known[key].busy * CLASS + score % CLASS, key)
		end
	end
	out[4] = redis.call('ZCARD', KEYS[13])
	if out[4] > 0 and redis.call('LLEN', KEYS[14]) == 0 then
		redis.call('RPUSH', KEYS[14], '1')
	end
end

-- One token: whoever leaves work behind passes it on.
if (room <= 0 or #unclean > 0) and redis.call('EXISTS', KEYS[2]) == 1
	and redis.call('LLEN', KEYS[5]) == 0 then
	redis.call('RPUSH', KEYS[5], '1')
end
return out
