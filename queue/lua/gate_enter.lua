-- gate_enter - let requests of one place (a connection, or an integration) out to its provider.
--
-- KEYS: window (hash, see gate_leave), out (zset: passes by the end of their lease).
-- ARGV: how many want to go, then a name for each of their passes; how long a pass is leased, ms.
-- Returns how many may go now (the first ones), the ms until the others should ask again, the ms that the
-- window stays closed (0: it is open), 1 when passes are counted, and Redis's time in ms.
-- Not repeatable: after a lost answer the passes end with their lease.  Caller: queue_gate_ask() in
-- queue/gate.c.  A place of which nothing is known costs one HMGET, and nothing is written.
local POLL, SPREAD, ARRIVE = 50, 8, 1000 -- ARRIVE: a request has reached its provider by then
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local want, lease = tonumber(ARGV[1]), tonumber(ARGV[#ARGV])
local held = redis.call('HMGET', KEYS[1], 'until', 'rem', 'reset', 'limit', 'start', 'first', 'last', 'out', 'cap', 'len',
	'wide', 'clean', 'probe', 'slide', 'probing', 'top', 'shut')
if not held[1] then
	return {want, 0, 0, 0, now}
end
local closed, rem, reset, limit, start, first, last, out, cap, len, wide, clean, probe, slide, probing, top, shut_at
for i = 1, #held do
	held[i] = tonumber(held[i] or 0)
end
closed, rem, reset, limit, start, first, last, out, cap, len, wide, clean, probe, slide, probing, top, shut_at = unpack(held)
if closed > now then
	return {0, closed - now, closed - now, 1, now}
end

-- Those that went before a window's end, and not just now, were counted there or died with their node.
local ended = math.max(shut_at, reset <= now and reset or 0)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', math.max(now, math.min(ended, now - ARRIVE) + lease))
local flying = redis.call('ZCARD', KEYS[2])
local may, wait, shut = 0, POLL, 0
local set = {}
local function put(name, value)
	set[#set + 1] = name
	set[#set + 1] = value
end

-- What the provider itself said counts before anything learnt.  rem is one more than what remains: 0 is unknown.
if reset > 0 and reset <= now then
	reset, rem = 0, limit > 0 and limit + 1 or top > 0 and top + 1 or 0
	start, first, last, out = 0, 0, 0, 0
	put('reset', 0)
	put('rem', rem)
	put('good', 0)
elseif rem == 1 and reset == 0 then -- the answers of a new window said nothing
	rem = 0
	put('rem', 0)
end
if rem > 0 then
	may = rem - 1 - flying
	if rem == 1 and reset > now then
		wait, shut = reset - now, reset - now
	end
elseif cap > 0 and len > 0 then
	local from = slide == 1 and last or first
	if from == 0 and start > 0 and flying == 0 then
		from = start -- who went first never came back
	end
	if start > 0 and from > 0 and from + len <= now then
		if out >= cap then
			clean = probing == 1 and probe or clean + 1 -- a try that went well is followed by the next
			put('probing', 0)
		end
		if clean >= probe then -- it may have grown; costs a refusal where it has not
			cap, clean = cap + math.max(1, math.floor(cap / SPREAD)), 0
			put('cap', cap)
			put('probing', 1)
		end
		put('clean', clean)
		put('prev', start)
		put('good', 0)
		start, first, last, out, from = 0, 0, 0, 0, 0
	end
	may = cap - out
	if may <= 0 and from > 0 then
		wait = from + len - now
		shut = wait
	end
else
	may = math.floor(wide / 100) - flying
end

may = math.max(0, math.min(may, want))
if may > 0 and start == 0 then
	start = now
end
put('start', start)
put('first', first)
put('last', last)
put('out', out + may)
redis.call('HSET', KEYS[1], unpack(set))
if may > 0 then
	local passes = {}
	for i = 1, may do
		passes[#passes + 1] = now + lease
		passes[#passes + 1] = ARGV[1 + i]
	end
	redis.call('ZADD', KEYS[2], unpack(passes))
	redis.call('PEXPIRE', KEYS[2], lease + 1000)
end
return {may, may < want and math.max(1, wait) or 0, may == 0 and shut or 0, 1, now}
