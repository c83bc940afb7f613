-- gate_leave - a request came back from its provider: what its answer said of the window.
--
-- KEYS: window, out (zset: passes by the end of their lease), gates (zset: places by the end of their window's life).
-- ARGV: pass ("": none), when it was let out (Redis's ms; 0: not known), 1 when it was answered, 2 when it never went
-- (0: nobody knows), 1 when it was
-- refused for its rate, ms until the window opens, further requests, ms until they are renewed, requests of a whole
-- window (-1 each: not said), name of the place, environment, integration, connection, length of a lease, then
-- passes of the same node that are out.
-- Returns the ms that the window is closed, and 1 when it is this answer that closed it.
-- Repeatable but for what is learnt of its size.  Caller: queue_gate_tell() in queue/gate.c.
--
-- The window, a hash:
--   until   closed until, ms; only grows          shut     when a refusal last closed it
--   strikes refusals in a row                     by       what closed it: told | remaining | none (said)
--   rem     1 + what remains (0: not known), as the provider says; falls until reset, ms
--   limit   requests of a whole window, as the provider says; top: the most that it was seen to be
--   env, integ, conn   row ids, for those who look at it;  cleared  1: by an operator, and nothing was learnt since
-- and where the provider says no more than "not now": the window begins with the first request behind a refusal,
-- and what it lets through before the next one is its size.  From then on that many go, then none until it is over:
--   start, first, last   when the first went, when the first and the last answer came, of this window
--   prev    start of the one before               out, good   let out, and answered well
--   cap     requests that fit; 0: not known. Then `wide` hundredths may be out at once: one more with each good
--           answer up to four, then with each round, so that few are refused when it is found
--   len     how long it lasts at most             slide    1: it begins anew with each request, not with the first
--   clean   windows without a refusal; after `probe` of them cap is tried higher; taught: start of the one that
--           taught cap
local KEEP, WIDE, WIDE_MAX, STRIKE, STRIKE_MAX, PROBE, PROBE_MAX, SAME =
	600000, 400, 6400, 3000, 600000, 8, 256, 1500 -- SAME: some tell resets in whole seconds
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local gone, answered, limited = tonumber(ARGV[2]), ARGV[3] == '1', ARGV[4] == '1'
local wait, left, renew, whole = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local counted = ARGV[1] ~= '' and redis.call('ZREM', KEYS[2], ARGV[1]) == 1
local window, names = {}, redis.call('HGETALL', KEYS[1])
for i = 1, #names, 2 do
	window[names[i]] = tonumber(names[i + 1]) or names[i + 1]
end
local known = window['until'] ~= nil
if not known and not limited and (left < 0 or renew < 0) then
	return {0, 0}
end
local function has(name)
	return window[name] or 0
end
if not known then
	window = {['until'] = 0, wide = 100, probe = PROBE, env = ARGV[10], integ = ARGV[11], conn = ARGV[12]}
	for i = 14, #ARGV do -- those that nobody counted so far
		if ARGV[i] ~= ARGV[1] then
			redis.call('ZADD', KEYS[2], now + ARGV[13], ARGV[i])
		end
	end
end
local function closed()
	local till = window['until']
	if has('rem') == 1 and has('reset') > till then
		till = has('reset')
	end
	return math.max(0, till - now)
end
local before = closed()
local fresh = gone == 0 and before == 0 or gone > 0 and gone > has('shut')

if ARGV[3] == '2' and counted and has('start') > 0 and gone >= window.start then
	window.out = math.max(0, has('out') - 1)
end
if limited or answered and left >= 0 and renew >= 0 then
	window.cleared = 0
end
if answered and whole > 0 then
	window.limit = whole
end
if answered and left >= 0 and renew >= 0 then
	local reset = now + renew
	window.top = math.max(has('top'), left + 1)
	-- An answer of the same window may come late; one that ends clearly later is of a new one.
	if has('reset') <= now or has('rem') == 0 or left + 1 > has('rem') and reset > has('reset') + SAME then
		window.rem = left + 1
		window.reset = math.max(reset, has('reset') > now and has('reset') or 0)
	else
		window.rem = math.min(window.rem, left + 1)
		window.reset = math.max(window.reset, reset)
	end
	if left == 0 and before == 0 then
		window.by = 'remaining'
	end
elseif counted and has('rem') > 1 and ARGV[3] ~= '2' then
	window.rem = window.rem - 1 -- it may have been counted there
end

if limited then
	local by = 'told'
	if left == 0 and renew > wait then
		wait, by = renew, 'remaining'
	end
	if fresh then
		window.strikes = has('strikes') + 1
	end
	if wait < 0 then
		by = 'none'
		wait = fresh and math.min(STRIKE_MAX, STRIKE * 2 ^ math.min(10, window.strikes - 1)) or 0
	end
	local till = math.max(window['until'], now + wait)
	if fresh and has('start') > 0 and gone >= window.start then
		if has('good') == 0 then -- not open yet: it lasts longer than believed
			if has('prev') > 0 then
				window.len = math.max(has('len'), till - window.prev)
			end
		elseif has('cap') > 0 and window.good < window.cap and has('probing') == 0 and has('slide') == 0 then
			window.slide = 1
		else
			local lasts = till - window.start
			window.len = has('len') > 0 and math.min(window.len, lasts) or lasts
			window.cap, window.taught = window.good, window.start
			if has('probing') == 1 then
				window.probe = math.min(PROBE_MAX, has('probe') * 2)
			end
		end
		window.prev, window.probing, window.clean = window.start, 0, 0
	end
	if fresh then
		window.start, window.first, window.last, window.out, window.good, window.wide = 0, 0, 0, 0, 0, 100
		window.shut, window.by = now, by
	end
	window['until'] = till
elseif answered and gone > 0 then
	if gone > has('shut') then
		window.strikes = 0
		window.good = has('good') + 1
		local wide = math.max(100, has('wide'))
		window.wide = math.min(WIDE_MAX, wide < WIDE and wide + 100 or wide + 10000 / wide)
		if has('start') > 0 and gone >= window.start then
			window.first = has('first') > 0 and window.first or now
			window.last = now
		end
	elseif has('taught') > 0 and gone >= window.taught and has('cap') > 0 then
		window.cap = window.cap + 1 -- went with those that taught it
	end
end

local flat = {}
for name, value in pairs(window) do
	flat[#flat + 1] = name
	flat[#flat + 1] = type(value) == 'number' and string.format('%.0f', value) or value
end
redis.call('HSET', KEYS[1], unpack(flat))
local ends = math.max(window['until'], has('reset'), now + has('len')) + KEEP
redis.call('PEXPIREAT', KEYS[1], ends)
redis.call('PEXPIRE', KEYS[2], ARGV[13] + 1000)
redis.call('ZADD', KEYS[3], ends, ARGV[9])
if math.random(16) == 1 then
	redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now)
end
redis.call('PEXPIRE', KEYS[3], 2 * 86400000) -- no window is closed for longer than a day
local shut = closed()
return {shut, before == 0 and shut > 0 and 1 or 0}
