#include "daemon/scheduler/limits.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "daemon/shard.h"
#include "queue/ready.h"

struct write {
	struct daemon *daemon;
	bool *part;    /* owned: shards that are asked for */
	bool *written; /* owned */
	int asked;     /* shards whose answer is awaited */
	limits_cb *cb;
	void *arg;
};

struct write_shard {
	struct write *write;
	int shard;
};

static void
finish(struct write *write)
{
	write->cb(write->arg, write->written);
	free(write->part);
	free(write->written);
	free(write);
}

static void
on_written(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct write_shard *shard = arg;
	struct write *write = shard->write;

	write->written[shard->shard] = code == SL_OK;
	if (code != SL_OK)
		log_warn("limits_not_written", "shard=%d error=%s", shard->shard,
			 log_text(error != NULL ? error->text : sl_code_name(code)));
	else if (value == 1)
		log_info("limits_written", "shard=%d", shard->shard);
	free(shard);
	if (--write->asked == 0)
		finish(write);
}

static void
write_shard(struct write *write, int shard, const struct reclaim_limit *limits, int count)
{
	struct ready_limit *own = sl_calloc((size_t)count + 1, sizeof(*own));
	struct write_shard *ask = sl_alloc(sizeof(*ask));
	int kept = 0;

	ask->write = write;
	ask->shard = shard;
	for (int i = 0; i < count && kept < READY_LIMITS_MAX; i++)
		if (shard_of(write->daemon, limits[i].environment_id) == shard)
			own[kept++] = (struct ready_limit){limits[i].key_id, limits[i].slots};
	ready_limits(write->daemon->queues[shard], own, kept, on_written, ask);
	free(own);
}

static void
on_limits(void *arg, enum sl_code code, const struct reclaim_limit *limits, int count)
{
	struct write *write = arg;

	if (code != SL_OK)
		log_warn("limits_not_read", "code=%s", sl_code_name(code));
	for (int i = 0; i < write->daemon->shard_count; i++)
		write->asked += code == SL_OK && write->part[i] ? 1 : 0;
	if (write->asked == 0) {
		finish(write);
		return;
	}
	for (int i = 0; i < write->daemon->shard_count; i++)
		if (write->part[i])
			write_shard(write, i, limits, count);
}

void
limits_write(struct daemon *daemon, struct reclaim *reclaim, const bool *shards, limits_cb *cb,
	     void *arg)
{
	struct write *write = sl_alloc(sizeof(*write));
	size_t count = (size_t)daemon->shard_count;

	write->daemon = daemon;
	write->part = sl_calloc(count, sizeof(*write->part));
	write->written = sl_calloc(count, sizeof(*write->written));
	memcpy(write->part, shards, count * sizeof(*shards));
	write->cb = cb;
	write->arg = arg;
	reclaim_limits(reclaim, (int)config_int(daemon->config, "sync_limit"), on_limits, write);
}
