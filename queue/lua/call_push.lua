-- call_push - a sync call that found no free runner where it came in waits for one anywhere.
--
-- KEYS: epoch, calls (list: oldest first), call_bytes (counter), wake (list).
-- ARGV: epoch, envelope, calls that may wait, bytes that may wait.
-- Returns 1, 0 when too many wait (then nothing is written), or -1 when the epoch differs.
-- Not repeatable: after a lost answer call_withdraw() tells.  Caller: call_push() in queue/call.c.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return -1
end
local waiting = redis.call('LLEN', KEYS[2])
local bytes = waiting > 0 and tonumber(redis.call('GET', KEYS[3]) or 0) or 0
if waiting >= tonumber(ARGV[3]) or waiting > 0 and bytes + #ARGV[2] > tonumber(ARGV[4]) then
	return 0
end
redis.call('RPUSH', KEYS[2], ARGV[2])
redis.call('SET', KEYS[3], bytes + #ARGV[2])
if redis.call('LLEN', KEYS[4]) == 0 then
	redis.call('RPUSH', KEYS[4], '1')
end
return 1
