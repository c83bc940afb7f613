-- publish - end a rebuild: its build epoch becomes the epoch.
--
-- KEYS: build, epoch.  ARGV: the build epoch.
-- Returns 1 (also when this epoch is published already: the answer was lost), or -1 when another
-- scheduler builds or has built; then nothing is written.  Caller: queue/rebuild.c.
if redis.call('GET', KEYS[1]) == ARGV[1] then
	redis.call('RENAME', KEYS[1], KEYS[2])
	return 1
end
if redis.call('GET', KEYS[2]) == ARGV[1] then
	return 1
end
return -1
