-- lock_acquire - take a lock, or push back the end of one that the caller holds.
--
-- KEYS: the lock (string: its owner).  ARGV: owner, time to live in ms.
-- Returns 1 when the caller holds it now, 0 when somebody else does; then nothing is written.
-- Repeatable: only the end moves.  Caller: lock_acquire() in queue/lock.c.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
	return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
