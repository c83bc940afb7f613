-- clear - drop keys of the shard during a rebuild.
--
-- KEYS: build, then the keys to drop.  ARGV: the build epoch.
-- Returns how many were dropped, or -1 when another scheduler builds; then nothing is written.
-- Repeatable.  Caller: queue/rebuild.c, in steps of what SCAN found.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
	return -1
end
return redis.call('UNLINK', unpack(KEYS, 2))
