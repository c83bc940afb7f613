-- join - enter a worker with a lease.
--
-- KEYS: epoch, workers (zset: worker by deadline in ms).  ARGV: epoch, worker, ttl in ms.
-- Returns the deadline in ms, or -1 when the epoch differs; then nothing is written.
-- Repeatable: only the deadline moves.  A worker that was in before ends its lease first (expire):
-- joining frees no key.  Caller: lease_join() in queue/lease.c.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return -1
end
local time = redis.call('TIME')
local deadline = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3]
redis.call('ZREM', KEYS[2], '') -- so that a full Redis lets workers in: see exchange.lua
redis.call('ZADD', KEYS[2], deadline, ARGV[2])
return deadline
