-- wake - pass a wake-up on, if keys or calls wait and no token is there yet; likewise for long keys.
--
-- KEYS: epoch, ready (zset: key by turn), wake (list), calls (list), long_ready (zset), long_wake
--   (list; both: see exchange.lua).  ARGV: epoch.
-- Returns how many tokens were added, -1 when the epoch differs.
-- Invariant: at most one token in a list.  Repeatable.  Caller: lease_wake() in queue/lease.c.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return -1
end
local added = 0
if redis.call('EXISTS', KEYS[2], KEYS[4]) > 0 and redis.call('LLEN', KEYS[3]) == 0 then
	added = redis.call('RPUSH', KEYS[3], '1')
end
if redis.call('EXISTS', KEYS[5]) > 0 and redis.call('LLEN', KEYS[6]) == 0 then
	added = added + redis.call('RPUSH', KEYS[6], '1')
end
return added
