#include "daemon/shard.h"

#include "queue/queue.h"

int
shard_of(const struct daemon *daemon, int64_t environment_id)
{
	/* Identifiers are positive; a foreign entry may say anything. */
	return (int)((uint64_t)environment_id % (uint64_t)daemon->shard_count);
}

struct queue *
shard_queue(const struct daemon *daemon, int64_t environment_id)
{
	return daemon->queues[shard_of(daemon, environment_id)];
}

bool
shards_are_up(const struct daemon *daemon)
{
	for (int i = 0; i < daemon->shard_count; i++)
		if (!queue_is_up(daemon->queues[i]))
			return false;
	return true;
}
