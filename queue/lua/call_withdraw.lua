-- call_withdraw - take a call back that nobody has taken.
--
-- KEYS: epoch, calls (list: oldest first), call_bytes (counter).  ARGV: epoch, envelope.
-- Returns 1 when it was still waiting, 0 when somebody has taken it (or it never came in), -1 when
-- the epoch differs.  Repeatable.  Caller: call_withdraw() in queue/call.c.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return -1
end
if redis.call('LREM', KEYS[2], 1, ARGV[2]) == 0 then
	return 0
end
if redis.call('EXISTS', KEYS[2]) == 1 then
	redis.call('DECRBY', KEYS[3], #ARGV[2])
else
	redis.call('DEL', KEYS[3])
end
return 1
