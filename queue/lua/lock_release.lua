-- lock_release - give a lock back.
--
-- KEYS: the lock (string: its owner).  ARGV: owner.
-- Returns 1 when the caller held it, else 0; then nothing is written.
-- Caller: lock_release() in queue/lock.c.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return 0
end
redis.call('DEL', KEYS[1])
return 1
