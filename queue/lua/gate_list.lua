-- gate_list - the windows of a shard, for those who look at them.
--
-- KEYS: gates (zset: places by the end of their window's life).  ARGV: prefix of a window's name, how many at most.
-- Returns for each, those that live longest first: place, environment, integration, connection (row ids), ms that
-- it is closed, what remains (-1: not known), ms until that is renewed (-1), requests that are out, requests that
-- fit (-1: not known), what closed it last ("": nothing).
-- Reads only.  Caller: queue_gate_list() in queue/gate.c.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local out = {}
for _, place in ipairs(redis.call('ZREVRANGE', KEYS[1], 0, ARGV[2] - 1)) do
	local key = ARGV[1] .. place
	local w = redis.call('HMGET', key, 'until', 'rem', 'reset', 'limit', 'cap', 'env', 'integ', 'conn', 'by', 'cleared')
	if w[1] and w[10] ~= '1' then
		for i = 1, 8 do
			w[i] = tonumber(w[i] or 0)
		end
		local rem, reset = -1, -1
		if w[3] > now and w[2] > 0 then
			rem, reset = w[2] - 1, w[3] - now
		end
		local shut = math.max(0, w[1] - now, rem == 0 and reset or 0)
		local fits = w[4] > 0 and w[4] or w[5] > 0 and w[5] or -1
		for _, value in ipairs({place, w[6], w[7], w[8], shut, rem, reset, redis.call('ZCOUNT', key .. ':out', now, '+inf'),
			fits, w[9] or ''}) do
			out[#out + 1] = value
		end
	end
end
return out
