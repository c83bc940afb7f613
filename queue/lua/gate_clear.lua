-- gate_clear - forget windows: those of an integration, or one connection's.
--
-- KEYS: gates (zset: places by the end of their window's life).  ARGV: prefix of a window's name, integration, and
-- connection (row ids); connection 0: the integration's own window and those of all its connections.
-- Returns how many there were.  Repeatable.  Caller: queue_gate_clear() in queue/gate.c.
local count = 0
local places = ARGV[3] == '0' and redis.call('ZRANGE', KEYS[1], 0, -1) or {'c' .. ARGV[3]}
for _, place in ipairs(places) do
	local key = ARGV[1] .. place
	local held = redis.call('HMGET', key, 'integ', 'conn')
	if held[1] == ARGV[2] then
		count = count + 1
		redis.call('UNLINK', key, key .. ':out')
		redis.call('ZREM', KEYS[1], place)
	elseif not held[1] then
		redis.call('ZREM', KEYS[1], place)
	end
end
return count
