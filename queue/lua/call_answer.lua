-- call_answer - tell a node what became of a call of its own.
--
-- KEYS: the node's answers (list), its bell (list: at most one token; the node blocks on it).
-- ARGV: answer, seconds to live, answers that may wait.
-- Returns 1, or 0 when too many wait (the node is gone); then nothing is written.
-- An epoch does not matter: answers outlive a rebuild.  Repeatable: a node knows its calls by id.
-- Caller: call_answer() in queue/call.c.
if redis.call('LLEN', KEYS[1]) >= tonumber(ARGV[3]) then
	return 0
end
redis.call('RPUSH', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
if redis.call('LLEN', KEYS[2]) == 0 then
	redis.call('RPUSH', KEYS[2], '1')
end
redis.call('EXPIRE', KEYS[2], ARGV[2])
return 1
