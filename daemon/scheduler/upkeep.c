#include "daemon/scheduler/upkeep.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "daemon/scheduler/limits.h"
#include "daemon/scheduler/sweep.h"
#include "queue/lease.h"
#include "sql/account.h"

#define SWEEP_MS 10000
#define GATHER_MS 20 /* shards that were lost together are built together */

struct upkeep_shard {
	struct upkeep *upkeep;
	int shard;
	bool asking_expire, asking_epoch;
};

struct upkeep {
	struct daemon *daemon;
	struct reclaim *reclaim;
	struct sweep *sweep;
	struct upkeep_shard *shards; /* owned */
	bool *missing;               /* owned: shards without an epoch */
	struct loop_timer *rebuild;  /* armed while one is missing */
	int64_t sweep_ms;            /* when the next one is due */
	bool closed;
	bool limiting;   /* limits are being written */
	bool limits_due; /* and will be again: they have changed since */
};

static void
on_expired(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct upkeep_shard *shard = arg;

	(void)error;
	shard->asking_expire = false;
	if (code == SL_OK && value > 0)
		metric_add(&metrics[METRIC_REPAIRS], METRIC_LEASE_EXPIRED, 0, (double)value);
	if (code == SL_OK && value > 0)
		log_warn("leases_expired", "shard=%d count=%lld", shard->shard, (long long)value);
}

static void
on_epoch(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct upkeep_shard *shard = arg;
	struct upkeep *upkeep = shard->upkeep;

	(void)value;
	(void)error;
	shard->asking_epoch = false;
	upkeep->missing[shard->shard] = code == SL_NOT_FOUND;
	if (code == SL_NOT_FOUND && !loop_timer_is_armed(upkeep->rebuild))
		loop_timer_in(upkeep->rebuild, GATHER_MS);
}

static void
on_rebuild(void *arg)
{
	struct upkeep *upkeep = arg;
	bool any = false;

	for (int i = 0; i < upkeep->daemon->shard_count; i++)
		any = any || upkeep->missing[i];
	/* A pass that is under way ends first; the epochs are asked for again at the next tick. */
	if (!any || !reclaim_is_leader(upkeep->reclaim) || !sweep_is_idle(upkeep->sweep))
		return;
	sweep_rebuild(upkeep->sweep, upkeep->missing);
	for (int i = 0; i < upkeep->daemon->shard_count; i++)
		upkeep->missing[i] = false;
}

/* ---- limits ---------------------------------------------------------------------------------- */

static void write_limits(struct upkeep *upkeep);

static void
on_limits(void *arg, const bool *written)
{
	struct upkeep *upkeep = arg;

	(void)written; /* what failed is written with the next sweep */
	upkeep->limiting = false;
	if (upkeep->limits_due)
		write_limits(upkeep);
}

static bool
is_built(const struct upkeep *upkeep, int shard)
{
	const struct queue *queue = upkeep->daemon->queues[shard];

	return queue_is_up(queue) && queue_epoch(queue)[0] != '\0';
}

static void
write_limits(struct upkeep *upkeep)
{
	bool *shards;

	upkeep->limits_due = upkeep->limiting;
	if (upkeep->limiting || upkeep->closed || !reclaim_is_leader(upkeep->reclaim))
		return;
	shards = sl_calloc((size_t)upkeep->daemon->shard_count, sizeof(*shards));
	for (int i = 0; i < upkeep->daemon->shard_count; i++) /* a rebuild writes its own */
		shards[i] = is_built(upkeep, i) && !sweep_is_rebuilding(upkeep->sweep, i);
	upkeep->limiting = true;
	limits_write(upkeep->daemon, upkeep->reclaim, shards, on_limits, upkeep);
	free(shards);
}

static void
on_notify(void *arg, const char *channel, const char *payload)
{
	(void)channel;
	(void)payload; /* NULL after a loss of the connection: it may have missed one */
	write_limits(arg);
}

/* ---- the tick -------------------------------------------------------------------------------- */

void
upkeep_lead(struct upkeep *upkeep)
{
	upkeep->sweep_ms = 0;
}

static bool
has_epoch(const struct upkeep *upkeep)
{
	for (int i = 0; i < upkeep->daemon->shard_count; i++)
		if (is_built(upkeep, i))
			return true;
	return false;
}

void
upkeep_tick(struct upkeep *upkeep)
{
	for (int i = 0; i < upkeep->daemon->shard_count; i++) {
		struct upkeep_shard *shard = &upkeep->shards[i];
		struct queue *queue = upkeep->daemon->queues[i];

		if (!queue_is_up(queue) || sweep_is_rebuilding(upkeep->sweep, i))
			continue;
		if (!shard->asking_epoch) {
			shard->asking_epoch = true;
			queue_read_epoch(queue, on_epoch, shard);
		}
		if (!shard->asking_expire) {
			shard->asking_expire = true;
			lease_expire(queue, NULL, on_expired, shard);
		}
	}
	if (clock_mono_ms() >= upkeep->sweep_ms && has_epoch(upkeep) &&
	    sweep_is_idle(upkeep->sweep)) {
		upkeep->sweep_ms = clock_mono_ms() + SWEEP_MS;
		sweep_start(upkeep->sweep);
		write_limits(upkeep);
	}
}

struct upkeep *
upkeep_new(struct daemon *daemon, struct reclaim *reclaim)
{
	struct upkeep *upkeep = sl_alloc(sizeof(*upkeep));

	upkeep->daemon = daemon;
	upkeep->reclaim = reclaim;
	upkeep->sweep = sweep_new(daemon, reclaim);
	upkeep->rebuild = loop_timer_new(daemon->loop, on_rebuild, upkeep);
	upkeep->shards = sl_calloc((size_t)daemon->shard_count, sizeof(*upkeep->shards));
	upkeep->missing = sl_calloc((size_t)daemon->shard_count, sizeof(*upkeep->missing));
	for (int i = 0; i < daemon->shard_count; i++) {
		upkeep->shards[i].upkeep = upkeep;
		upkeep->shards[i].shard = i;
	}
	pg_listen(account_pg(daemon->account), ACCOUNT_LIMITS, on_notify, upkeep);
	return upkeep;
}

static void
free_now(void *arg)
{
	struct upkeep *upkeep = arg;

	free(upkeep->shards);
	free(upkeep->missing);
	free(upkeep);
}

/* Redis still answers, with failures, what is under way. */
void
upkeep_free(struct upkeep *upkeep)
{
	upkeep->closed = true;
	loop_timer_free(upkeep->rebuild);
	sweep_free(upkeep->sweep);
	loop_free_later(upkeep->daemon->loop, free_now, upkeep);
}
