-- gate_clear - forget windows: those of an integration, or one connection's.
--
-- KEYS: gates (zset: places by the end of their window's life).  ARGV: prefix of a window's name, integration, and
-- connection (row ids); connection 0: the integration's own window and those of all its connections.
-- Returns how many there were.  Repeatable.  Caller: queue_gate_clear() in queue/gate.c.
-- What is left says, until it would have opened, that it was cleared and not lost: a node that remembers the window
-- tells it again to a Redis that knows nothing.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local count = 0
local places = ARGV[3] == '0' and redis.call('ZRANGE', KEYS[1], 0, -1) or {'c' .. ARGV[3]}
for _, place in ipairs(places) do
	local key = ARGV[1] .. place
	local held = redis.call('HMGET', key, 'integ', 'until', 'reset', 'env', 'conn', 'cleared')
	if held[1] == ARGV[2] and held[6] ~= '1' then
		local ends = math.max(now, tonumber(held[2]), tonumber(held[3] or 0)) + 30000
		count = count + 1
		redis.call('UNLINK', key, key .. ':out')
		redis.call('HSET', key, 'until', 0, 'cleared', 1, 'wide', 6400, 'probe', 8, 'env', held[4], 'integ', held[1],
			'conn', held[5])
		redis.call('PEXPIREAT', key, ends)
		redis.call('ZADD', KEYS[1], ends, place)
	elseif not held[1] then
		redis.call('ZREM', KEYS[1], place)
	end
end
return count
