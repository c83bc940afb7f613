-- call_take - take the calls that wait longest.
--
-- KEYS: epoch, calls (list: oldest first), call_bytes (counter), wake (list).  ARGV: epoch, count.
-- Returns {calls that still wait, envelope, ...}, or {-1} when the epoch differs.
-- Not repeatable: a call is given away once, and lost with the answer (its asker ends it in time).
-- Caller: call_take() in queue/call.c.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return {-1}
end
local taken = redis.call('LRANGE', KEYS[2], 0, ARGV[2] - 1)
local answer, bytes = {0}, 0
if #taken == 0 then
	return answer
end
redis.call('LTRIM', KEYS[2], #taken, -1)
for i, envelope in ipairs(taken) do
	answer[1 + i] = envelope
	bytes = bytes + #envelope
end
answer[1] = redis.call('LLEN', KEYS[2])
if answer[1] == 0 then
	redis.call('DEL', KEYS[3])
else
	redis.call('DECRBY', KEYS[3], bytes)
	if redis.call('LLEN', KEYS[4]) == 0 then
		redis.call('RPUSH', KEYS[4], '1')
	end
end
return answer
