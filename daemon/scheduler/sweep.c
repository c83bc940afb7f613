/* daemon/scheduler/sweep.c - pages of open jobs, checked against Redis or pushed whole. */
#include "daemon/scheduler/sweep.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/envelope.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/metrics.h"
#include "daemon/scheduler/limits.h"
#include "daemon/settings.h"
#include "daemon/shard.h"

#define PAGE 500
#define SWEEP_AGE_MS 5000 /* younger jobs are on their way */

/* IDLE -> READING -> CHECKING or PUSHING -> READING ... -> IDLE; a rebuild goes BEGINNING ->
 * READING and ends by LIMITING and ENDING. */
enum sweep_state {
	SWEEP_IDLE,
	SWEEP_BEGINNING,
	SWEEP_READING,
	SWEEP_CHECKING,
	SWEEP_PUSHING,
	SWEEP_LIMITING,
	SWEEP_ENDING
};

struct page_job {
	struct reclaim_job job;
	char *input;
};

struct sweep {
	struct daemon *daemon;
	struct reclaim *reclaim;
	enum sweep_state state;
	bool rebuilding;
	bool *part; /* owned: which shards take part in this pass */
	int asked;  /* shards whose answer is awaited in BEGINNING or ENDING */
	char after[UUID_TEXT];
	struct page_job *page; /* sorted by key, then seq */
	int count, at;         /* at: first job of the key being checked */
	int group;             /* jobs of that key */
	int shard;             /* of that key */
	int64_t pushed;
};

struct shard_ask { /* a question to one shard */
	struct sweep *sweep;
	int shard;
};

static void read_page(struct sweep *sweep);
static void next_key(struct sweep *sweep);

struct sweep *
sweep_new(struct daemon *daemon, struct reclaim *reclaim)
{
	struct sweep *sweep = sl_alloc(sizeof(*sweep));

	sweep->daemon = daemon;
	sweep->reclaim = reclaim;
	sweep->part = sl_calloc((size_t)daemon->shard_count, sizeof(*sweep->part));
	return sweep;
}

static void
drop_page(struct sweep *sweep)
{
	for (int i = 0; i < sweep->count; i++)
		free(sweep->page[i].input);
	free(sweep->page);
	sweep->page = NULL;
	sweep->count = sweep->at = 0;
}

static void
free_now(void *arg)
{
	struct sweep *sweep = arg;

	drop_page(sweep);
	free(sweep->part);
	free(sweep);
}

/* The ledger and Redis still answer, with failures, what is under way. */
void
sweep_free(struct sweep *sweep)
{
	if (sweep != NULL)
		loop_free_later(sweep->daemon->loop, free_now, sweep);
}

bool
sweep_is_idle(const struct sweep *sweep)
{
	return sweep->state == SWEEP_IDLE;
}

bool
sweep_is_rebuilding(const struct sweep *sweep, int shard)
{
	return sweep->rebuilding && sweep->part[shard];
}

void
sweep_push(struct daemon *daemon, int shard, const struct reclaim_job *jobs, int count,
	   enum ready_lane lane, queue_cb *cb, void *arg)
{
	struct ready_entry *entries = sl_calloc((size_t)count + 1, sizeof(*entries));
	struct buf *bytes = sl_calloc((size_t)count + 1, sizeof(*bytes));

	for (int i = 0; i < count; i++) {
		const struct reclaim_job *job = &jobs[i];
		struct envelope envelope = {
		    .seq = job->seq,
		    .environment_id = job->environment_id,
		    .key_id = job->key_id,
		    .function_version_id = job->function_version_id,
		    .connection_id = job->connection_id,
		    .attempt = job->attempt,
		    .max_retries = job->max_retries,
		    .kind = job->kind,
		    .webhook = job->webhook,
		    .accepted_ms = job->accepted_ms,
		    .has_input = job->has_input,
		    .input = job->input,
		};

		memcpy(envelope.job_id, job->id, sizeof(envelope.job_id));
		buf_init(&bytes[i], ENVELOPE_INPUT_MAX + 1024);
		envelope_encode(&envelope, daemon->envelope_key, &bytes[i]);
		entries[i] = (struct ready_entry){.key_id = job->key_id,
						  .environment_id = job->environment_id,
						  .is_long = job->kind == JOB_SYNC,
						  .envelope = buf_slice(&bytes[i])};
	}
	ready_push(daemon->queues[shard], lane, entries, count, cb, arg);
	for (int i = 0; i < count; i++)
		buf_fini(&bytes[i]);
	free(bytes);
	free(entries);
}

static void
end(struct sweep *sweep, const char *why)
{
	if (sweep->rebuilding)
		log_info("queue_rebuilt", "jobs=%lld result=%s", (long long)sweep->pushed,
			 log_text(why));
	else
		metric_add(&metrics[METRIC_REPAIRS], METRIC_REPUSHED, 0, (double)sweep->pushed);
	if (!sweep->rebuilding && sweep->pushed > 0)
		log_warn("sweep_pushed", "jobs=%lld", (long long)sweep->pushed);
	drop_page(sweep);
	sweep->rebuilding = false;
	sweep->state = SWEEP_IDLE;
}

/* The shard is left to the next pass; the others go on. */
static void
leave_out(struct sweep *sweep, int shard, enum sl_code code, const struct sl_error *error)
{
	sweep->part[shard] = false;
	log_warn("shard_left_out", "shard=%d rebuild=%d error=%s", shard, sweep->rebuilding,
		 log_text(error != NULL ? error->text : sl_code_name(code)));
}

static bool
nobody_is_left(const struct sweep *sweep)
{
	for (int i = 0; i < sweep->daemon->shard_count; i++)
		if (sweep->part[i])
			return false;
	return true;
}

/* ---- jobs that nobody starts ----------------------------------------------------------------- */

static void
on_expired(void *arg, enum sl_code code, int64_t count, const struct sl_error *error)
{
	(void)arg;
	if (code != SL_OK)
		log_warn("jobs_not_expired", "error=%s",
			 log_text(error != NULL ? error->text : ""));
	else if (count > 0)
		log_warn("jobs_expired", "count=%lld", (long long)count);
}

/* Of count jobs from first on, those that are late.  places: those that wait in line, in nobody's hands;
 * NULL: whatever of them belongs to a key that no worker holds. */
static void
expire_late(struct sweep *sweep, int first, int count, const enum ready_place *places)
{
	struct reclaim_late *late = sl_calloc((size_t)count + 1, sizeof(*late));
	int64_t now = clock_wall_ms();
	int found = 0;

	for (int i = 0; i < count; i++) {
		const struct reclaim_job *job = &sweep->page[first + i].job;
		int64_t limit = settings_start_limit_ms(sweep->daemon->config, job->kind);

		if (job->attempt > 1 || now - job->accepted_ms <= limit ||
		    (places != NULL && places[i] != READY_WAITS))
			continue;
		memcpy(late[found].job_id, job->id, sizeof(late[found].job_id));
		late[found++].limit_ms = limit;
	}
	if (found > 0)
		reclaim_expire(sweep->reclaim, late, found, places != NULL, on_expired, NULL);
	free(late);
}

/* ---- pushing --------------------------------------------------------------------------------- */

static void
next_group(struct sweep *sweep)
{
	sweep->at += sweep->group;
	next_key(sweep);
}

static void
on_pushed(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct sweep *sweep = arg;

	(void)value;
	FAULT_POINT(sweep->rebuilding ? "rebuild_pushed" : "sweep_pushed");
	assert(sweep->state == SWEEP_PUSHING);
	if (code != SL_OK)
		leave_out(sweep, sweep->shard, code, error);
	next_group(sweep);
}

/* Pushes the jobs of the current key that are missing (all when places is NULL). */
static void
push_group(struct sweep *sweep, const enum ready_place *places)
{
	struct reclaim_job *jobs = sl_calloc((size_t)sweep->group, sizeof(*jobs));
	int count = 0;

	for (int i = 0; i < sweep->group; i++)
		if (places == NULL || places[i] == READY_MISSING)
			jobs[count++] = sweep->page[sweep->at + i].job;
	sweep->state = SWEEP_PUSHING;
	sweep->pushed += count;
	if (count > 0)
		sweep_push(sweep->daemon, sweep->shard, jobs, count,
			   sweep->rebuilding ? READY_NEW : READY_FRONT, on_pushed, sweep);
	else
		on_pushed(sweep, SL_OK, 0, NULL);
	free(jobs);
}

static void
on_missing(void *arg, enum sl_code code, const enum ready_place *places, int count)
{
	struct sweep *sweep = arg;

	assert(sweep->state == SWEEP_CHECKING);
	if (code != SL_OK || count != sweep->group) {
		leave_out(sweep, sweep->shard, code, NULL);
		next_group(sweep);
		return;
	}
	expire_late(sweep, sweep->at, sweep->group, places);
	push_group(sweep, places);
}

static void
on_published(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct shard_ask *ask = arg;
	struct sweep *sweep = ask->sweep;

	(void)value;
	FAULT_POINT("rebuild_published");
	if (code == SL_OK)
		metrics_count(METRIC_REPAIRS, METRIC_REBUILT);
	else
		leave_out(sweep, ask->shard, code, error);
	free(ask);
	if (--sweep->asked == 0)
		end(sweep, nobody_is_left(sweep) ? "failed" : "ok");
}

typedef void shard_question(struct queue *queue, queue_cb *cb, void *arg);

/* Asks all shards that take part; none of them answers from inside. */
static void
ask_shards(struct sweep *sweep, shard_question *question, queue_cb *cb)
{
	assert(sweep->asked == 0);
	for (int i = 0; i < sweep->daemon->shard_count; i++) {
		struct shard_ask *ask;

		if (!sweep->part[i])
			continue;
		ask = sl_alloc(sizeof(*ask));
		ask->sweep = sweep;
		ask->shard = i;
		sweep->asked++;
		question(sweep->daemon->queues[i], cb, ask);
	}
}

static void
publish(struct sweep *sweep)
{
	sweep->state = SWEEP_ENDING;
	ask_shards(sweep, queue_rebuild_end, on_published);
}

/* A worker that finds the new epoch finds the limits, too. */
static void
on_limits(void *arg, const bool *written)
{
	struct sweep *sweep = arg;

	assert(sweep->state == SWEEP_LIMITING);
	for (int i = 0; i < sweep->daemon->shard_count; i++)
		if (sweep->part[i] && !written[i])
			leave_out(sweep, i, SL_UNAVAILABLE, NULL);
	if (nobody_is_left(sweep))
		end(sweep, "failed");
	else
		publish(sweep);
}

static void
write_limits(struct sweep *sweep)
{
	sweep->state = SWEEP_LIMITING;
	limits_write(sweep->daemon, sweep->reclaim, sweep->part, on_limits, sweep);
}

static void
next_page(struct sweep *sweep)
{
	bool last = sweep->count < PAGE;

	drop_page(sweep);
	if (nobody_is_left(sweep))
		end(sweep, "failed");
	else if (!last)
		read_page(sweep);
	else if (sweep->rebuilding)
		write_limits(sweep);
	else
		end(sweep, "ok");
}

static void
next_key(struct sweep *sweep)
{
	int64_t seqs[PAGE];

	for (; sweep->at < sweep->count; sweep->at += sweep->group) {
		const struct page_job *first = &sweep->page[sweep->at];

		sweep->group = 0;
		while (sweep->at + sweep->group < sweep->count &&
		       first[sweep->group].job.key_id == first->job.key_id) {
			seqs[sweep->group] = first[sweep->group].job.seq;
			sweep->group++;
		}
		sweep->shard = shard_of(sweep->daemon, first->job.environment_id);
		if (sweep->part[sweep->shard])
			break;
	}
	if (sweep->at >= sweep->count) {
		next_page(sweep);
	} else if (sweep->rebuilding) {
		push_group(sweep, NULL);
	} else {
		sweep->state = SWEEP_CHECKING;
		ready_missing(sweep->daemon->queues[sweep->shard],
			      sweep->page[sweep->at].job.key_id, seqs, sweep->group, on_missing,
			      sweep);
	}
}

static int
by_key(const void *a, const void *b)
{
	const struct reclaim_job *x = &((const struct page_job *)a)->job,
				 *y = &((const struct page_job *)b)->job;

	if (x->key_id != y->key_id)
		return x->key_id < y->key_id ? -1 : 1;
	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static void
on_page(void *arg, enum sl_code code, const struct reclaim_job *jobs, int count)
{
	struct sweep *sweep = arg;

	assert(sweep->state == SWEEP_READING);
	if (code != SL_OK) {
		end(sweep, "ledger");
		return;
	}
	sweep->page = sl_calloc((size_t)count + 1, sizeof(*sweep->page));
	sweep->count = count;
	for (int i = 0; i < count; i++) {
		sweep->page[i].job = jobs[i];
		sweep->page[i].input = sl_memdup(jobs[i].input.data, jobs[i].input.len);
		sweep->page[i].job.input.data = sweep->page[i].input;
	}
	if (count > 0)
		memcpy(sweep->after, jobs[count - 1].id, sizeof(sweep->after));
	expire_late(sweep, 0, count, NULL);
	qsort(sweep->page, (size_t)count, sizeof(*sweep->page), by_key);
	next_key(sweep);
}

static void
read_page(struct sweep *sweep)
{
	sweep->state = SWEEP_READING;
	reclaim_open_jobs(sweep->reclaim, sweep->rebuilding ? 0 : SWEEP_AGE_MS, sweep->after, PAGE,
			  on_page, sweep);
}

void
sweep_start(struct sweep *sweep)
{
	assert(sweep->state == SWEEP_IDLE);
	for (int i = 0; i < sweep->daemon->shard_count; i++)
		sweep->part[i] = queue_is_up(sweep->daemon->queues[i]) &&
				 queue_epoch(sweep->daemon->queues[i])[0] != '\0';
	sweep->after[0] = '\0';
	sweep->pushed = 0;
	read_page(sweep);
}

static void
on_begun(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct shard_ask *ask = arg;
	struct sweep *sweep = ask->sweep;

	(void)value;
	FAULT_POINT("rebuild_begun");
	if (code != SL_OK)
		leave_out(sweep, ask->shard, code, error);
	free(ask);
	if (--sweep->asked > 0)
		return;
	if (nobody_is_left(sweep))
		end(sweep, "failed");
	else
		read_page(sweep);
}

void
sweep_rebuild(struct sweep *sweep, const bool *shards)
{
	assert(sweep->state == SWEEP_IDLE);
	for (int i = 0; i < sweep->daemon->shard_count; i++) {
		sweep->part[i] = shards[i];
		if (shards[i])
			log_info("queue_rebuild", "shard=%d reason=no_epoch", i);
	}
	sweep->rebuilding = true;
	sweep->after[0] = '\0';
	sweep->pushed = 0;
	sweep->state = SWEEP_BEGINNING;
	ask_shards(sweep, queue_rebuild_begin, on_begun);
}
