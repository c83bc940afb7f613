#include "daemon/backlog_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/shard.h"
#include "queue/ready.h"

#define TICK_MS 500
#define PROBE_MS 1000
#define LOG_MS 10000
#define ASKS_MAX 200 /* environments asked for in a tick */
#define EPOCH_SIZE 64

struct probe { /* of a shard: an entry whose push failed */
	struct backlog_watch *watch;
	int shard;
	struct ready_entry entry; /* its envelope is bytes */
	char *bytes;              /* owned; NULL: none */
	bool out;
	int64_t sent_ms;
	char epoch[EPOCH_SIZE]; /* of the shard, as it was last seen; "": never */
};

struct backlog_watch {
	struct daemon *daemon;
	struct backlog *backlog; /* NULL once freed: only answers are waited for */
	struct loop_timer *timer;
	struct probe *probes; /* one for each shard */
	int asks;             /* without an answer yet, pushes of probes too */
	int64_t refused, logged_ms;
};

struct ask {
	struct backlog_watch *watch;
	int64_t environment_id;
};

static void
release(struct backlog_watch *watch)
{
	if (watch->backlog != NULL || watch->asks > 0)
		return;
	for (int i = 0; i < watch->daemon->shard_count; i++)
		free(watch->probes[i].bytes);
	free(watch->probes);
	free(watch);
}

static void
on_depth(void *arg, int64_t environment_id, int64_t depth)
{
	struct backlog_watch *watch = arg;

	if (watch->backlog != NULL)
		backlog_depth(watch->backlog, environment_id, depth, clock_mono_ms());
}

static void
on_asked(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct ask *ask = arg;
	struct backlog_watch *watch = ask->watch;

	(void)error; /* Redis is away: what it said last stands, nothing is taken from it either */
	watch->asks--;
	if (code == SL_OK)
		on_depth(watch, ask->environment_id, value);
	free(ask);
	release(watch);
}

static void
ask_near(struct backlog_watch *watch)
{
	int64_t ids[ASKS_MAX];
	size_t at = 0;
	int count;

	if (watch->asks > watch->daemon->shard_count) /* Redis is slow: it need not hear it twice */
		return;
	count = backlog_near(watch->backlog, &at, ids, ASKS_MAX);
	for (int i = 0; i < count; i++) {
		struct ask *ask = sl_alloc(sizeof(*ask));

		ask->watch = watch;
		ask->environment_id = ids[i];
		watch->asks++;
		ready_environment_depth(shard_queue(watch->daemon, ids[i]), ids[i], on_asked, ask);
	}
}

static void
on_probed(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct probe *probe = arg;
	struct backlog_watch *watch = probe->watch;

	(void)value;
	(void)error;
	watch->asks--;
	probe->out = false;
	if (code == SL_OK && watch->backlog != NULL)
		backlog_push_good(watch->backlog, probe->shard);
	release(watch);
}

/* A second copy is harmless: the ledger refuses a second start. */
static void
probe_send(struct probe *probe)
{
	struct backlog_watch *watch = probe->watch;
	int64_t now = clock_mono_ms();

	if (probe->bytes == NULL || probe->out || now - probe->sent_ms < PROBE_MS)
		return;
	probe->out = true;
	probe->sent_ms = now;
	watch->asks++;
	ready_push(watch->daemon->queues[probe->shard], READY_FRONT, &probe->entry, 1, on_probed,
		   probe);
}

static void
look_at_shard(struct backlog_watch *watch, int shard)
{
	const char *epoch = queue_epoch(watch->daemon->queues[shard]);
	struct probe *probe = &watch->probes[shard];

	if (epoch[0] != '\0' && strcmp(epoch, probe->epoch) != 0) {
		if (probe->epoch[0] != '\0')
			backlog_rebuilt(watch->backlog, shard);
		snprintf(probe->epoch, sizeof(probe->epoch), "%s", epoch);
	}
	if (backlog_is_stuck(watch->backlog, shard)) {
		probe_send(probe);
	} else if (!probe->out) {
		free(probe->bytes);
		probe->bytes = NULL;
	}
}

static void
log_refused(struct backlog_watch *watch, int64_t now)
{
	if (watch->refused == 0 || now - watch->logged_ms < LOG_MS)
		return;
	log_warn("jobs_refused", "count=%lld held=%lld left=%lld", (long long)watch->refused,
		 (long long)backlog_held(watch->backlog), (long long)backlog_left(watch->backlog));
	watch->refused = 0;
	watch->logged_ms = now;
}

static void
on_tick(void *arg)
{
	struct backlog_watch *watch = arg;
	int64_t now = clock_mono_ms();

	for (int i = 0; i < watch->daemon->shard_count; i++)
		look_at_shard(watch, i);
	backlog_swept(watch->backlog, now);
	ask_near(watch);
	log_refused(watch, now);
}

struct backlog_watch *
backlog_watch_new(struct daemon *daemon, struct backlog *backlog)
{
	struct backlog_watch *watch = sl_alloc(sizeof(*watch));

	watch->daemon = daemon;
	watch->backlog = backlog;
	watch->logged_ms = clock_mono_ms() - LOG_MS;
	watch->timer = loop_timer_new(daemon->loop, on_tick, watch);
	loop_timer_every(watch->timer, TICK_MS);
	watch->probes = sl_calloc((size_t)daemon->shard_count, sizeof(*watch->probes));
	for (int i = 0; i < daemon->shard_count; i++) {
		watch->probes[i].watch = watch;
		watch->probes[i].shard = i;
		queue_on_depth(daemon->queues[i], on_depth, watch);
	}
	return watch;
}

void
backlog_watch_free(struct backlog_watch *watch)
{
	if (watch == NULL)
		return;
	for (int i = 0; i < watch->daemon->shard_count; i++)
		queue_on_depth(watch->daemon->queues[i], NULL, NULL);
	loop_timer_free(watch->timer);
	watch->backlog = NULL;
	release(watch);
}

void
backlog_watch_left(struct backlog_watch *watch, const struct ready_entry *entry)
{
	struct probe *probe = &watch->probes[entry->environment_id % watch->daemon->shard_count];

	if (probe->bytes != NULL)
		return;
	probe->bytes = sl_memdup(entry->envelope.data, entry->envelope.len);
	probe->entry = *entry;
	probe->entry.envelope.data = probe->bytes;
	probe->sent_ms = clock_mono_ms();
}

void
backlog_watch_refused(struct backlog_watch *watch, int64_t environment_id,
		      enum backlog_verdict verdict)
{
	watch->refused++;
	log_debug("job_refused", "environment=%lld reason=%s estimate=%lld",
		  (long long)environment_id, verdict == BACKLOG_NODE_FULL ? "node" : "queue",
		  (long long)backlog_estimate(watch->backlog, environment_id));
	log_refused(watch, clock_mono_ms());
}
