-- wake - pass a wake-up on, if keys or calls wait and no token is there yet.
--
-- KEYS: epoch, ready (zset: key by turn), wake (list), calls (list).  ARGV: epoch.
-- Returns 1 when a token was added, 0 when none was needed, -1 when the epoch differs.
-- Invariant: at most one token.  Repeatable.  Caller: lease_wake() in queue/lease.c.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return -1
end
if redis.call('EXISTS', KEYS[2], KEYS[4]) == 0 or redis.call('LLEN', KEYS[3]) > 0 then
	return 0
end
redis.call('RPUSH', KEYS[3], '1')
return 1
