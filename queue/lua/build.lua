-- build - start a rebuild: nobody else may read or write the shard from here on.
--
-- KEYS: epoch, build.  ARGV: the build epoch, known to its scheduler only.
-- Returns 1.  Without an epoch every other script answers -1.  A build that another scheduler left
-- unfinished is taken over: that one is refused from here on.  Caller: queue/rebuild.c.
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], ARGV[1])
return 1
