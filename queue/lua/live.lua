-- live - does a worker's lease stand?
--
-- KEYS: epoch, workers (zset: worker by deadline in ms).  ARGV: epoch, worker.
-- Returns 1 or 0, or -1 when the epoch differs.  Reads only.
-- Caller: lease_is_live() in queue/lease.c.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return -1
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local deadline = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[2]) or 0)
return deadline > now and 1 or 0
