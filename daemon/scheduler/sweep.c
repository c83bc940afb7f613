/* daemon/scheduler/sweep.c - pages of open jobs, checked against Redis or pushed whole. */
#include "daemon/scheduler/sweep.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/envelope.h"
#include "base/log.h"
#include "daemon/settings.h"

#define PAGE 500
#define SWEEP_AGE_MS 5000 /* younger jobs are on their way */

/* IDLE -> READING -> CHECKING or PUSHING -> READING ... -> IDLE; a rebuild goes BEGINNING ->
 * READING and ends by ENDING. */
enum sweep_state {
	SWEEP_IDLE,
	SWEEP_BEGINNING,
	SWEEP_READING,
	SWEEP_CHECKING,
	SWEEP_PUSHING,
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
	char after[UUID_TEXT];
	struct page_job *page; /* sorted by key, then seq */
	int count, at;         /* at: first job of the key being checked */
	int group;             /* jobs of that key */
	int64_t pushed;
};

static void read_page(struct sweep *sweep);
static void next_key(struct sweep *sweep);

struct sweep *
sweep_new(struct daemon *daemon, struct reclaim *reclaim)
{
	struct sweep *sweep = sl_alloc(sizeof(*sweep));

	sweep->daemon = daemon;
	sweep->reclaim = reclaim;
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
	drop_page(arg);
	free(arg);
}

/* The ledger and Redis still answer, with failures, what is under way. */
void
sweep_free(struct sweep *sweep)
{
	if (sweep != NULL)
		loop_free_later(sweep->daemon->loop, free_now, sweep);
}

bool
sweep_is_rebuilding(const struct sweep *sweep)
{
	return sweep->rebuilding;
}

void
sweep_push(struct daemon *daemon, const struct reclaim_job *jobs, int count, enum ready_lane lane,
	   queue_cb *cb, void *arg)
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
						  .envelope = buf_slice(&bytes[i])};
	}
	ready_push(daemon->queue, lane, entries, count, cb, arg);
	for (int i = 0; i < count; i++)
		buf_fini(&bytes[i]);
	free(bytes);
	free(entries);
}

static void
end(struct sweep *sweep, const char *why)
{
	if (sweep->rebuilding)
		log_info("queue_rebuilt", "jobs=%lld result=%s", (long long)sweep->pushed, why);
	else if (sweep->pushed > 0)
		log_warn("sweep_pushed", "jobs=%lld", (long long)sweep->pushed);
	drop_page(sweep);
	sweep->rebuilding = false;
	sweep->state = SWEEP_IDLE;
}

static void
on_published(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	(void)value;
	end(arg, code == SL_OK ? "ok" : error != NULL ? error->text : sl_code_name(code));
}

static void
on_pushed(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct sweep *sweep = arg;

	(void)value;
	assert(sweep->state == SWEEP_PUSHING);
	if (code != SL_OK) { /* the next pass starts over */
		end(sweep, error != NULL ? error->text : sl_code_name(code));
		return;
	}
	sweep->at += sweep->group;
	next_key(sweep);
}

/* Pushes the jobs of the current key for which missing says so (all when NULL). */
static void
push_group(struct sweep *sweep, const bool *missing)
{
	struct reclaim_job *jobs = sl_calloc((size_t)sweep->group, sizeof(*jobs));
	int count = 0;

	for (int i = 0; i < sweep->group; i++)
		if (missing == NULL || missing[i])
			jobs[count++] = sweep->page[sweep->at + i].job;
	sweep->state = SWEEP_PUSHING;
	sweep->pushed += count;
	if (count > 0)
		sweep_push(sweep->daemon, jobs, count, sweep->rebuilding ? READY_NEW : READY_FRONT,
			   on_pushed, sweep);
	else
		on_pushed(sweep, SL_OK, 0, NULL);
	free(jobs);
}

static void
on_missing(void *arg, enum sl_code code, const bool *missing, int count)
{
	struct sweep *sweep = arg;

	assert(sweep->state == SWEEP_CHECKING);
	if (code != SL_OK || count != sweep->group) {
		end(sweep, "redis");
		return;
	}
	push_group(sweep, missing);
}

static void
next_key(struct sweep *sweep)
{
	int64_t seqs[PAGE];

	if (sweep->at >= sweep->count) {
		bool last = sweep->count < PAGE;

		drop_page(sweep);
		if (!last) {
			read_page(sweep);
		} else if (sweep->rebuilding) {
			sweep->state = SWEEP_ENDING;
			queue_rebuild_end(sweep->daemon->queue, on_published, sweep);
		} else {
			end(sweep, "ok");
		}
		return;
	}
	sweep->group = 0;
	while (sweep->at + sweep->group < sweep->count &&
	       sweep->page[sweep->at + sweep->group].job.key_id ==
		   sweep->page[sweep->at].job.key_id) {
		seqs[sweep->group] = sweep->page[sweep->at + sweep->group].job.seq;
		sweep->group++;
	}
	if (sweep->rebuilding) {
		push_group(sweep, NULL);
		return;
	}
	sweep->state = SWEEP_CHECKING;
	ready_missing(sweep->daemon->queue, sweep->page[sweep->at].job.key_id, seqs, sweep->group,
		      on_missing, sweep);
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
on_expired(void *arg, enum sl_code code, int64_t count, const struct sl_error *error)
{
	(void)arg;
	if (code != SL_OK)
		log_warn("jobs_not_expired", "error=%s",
			 log_text(error != NULL ? error->text : ""));
	else if (count > 0)
		log_warn("jobs_expired", "count=%lld", (long long)count);
}

/* Jobs that nobody takes; those of a key that a worker holds are that worker's. */
static void
expire_late(struct sweep *sweep)
{
	struct reclaim_late *late = sl_calloc((size_t)sweep->count + 1, sizeof(*late));
	int64_t now = clock_wall_ms();
	int count = 0;

	for (int i = 0; i < sweep->count; i++) {
		const struct reclaim_job *job = &sweep->page[i].job;
		int64_t limit = settings_start_limit_ms(sweep->daemon->config, job->kind);

		if (job->attempt > 1 || now - job->accepted_ms <= limit)
			continue;
		memcpy(late[count].job_id, job->id, sizeof(late[count].job_id));
		late[count++].limit_ms = limit;
	}
	if (count > 0)
		reclaim_expire(sweep->reclaim, late, count, on_expired, NULL);
	free(late);
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
	expire_late(sweep);
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
	if (sweep->state != SWEEP_IDLE)
		return;
	sweep->after[0] = '\0';
	sweep->pushed = 0;
	read_page(sweep);
}

static void
on_begun(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct sweep *sweep = arg;

	(void)value;
	if (code != SL_OK) {
		end(sweep, error != NULL ? error->text : sl_code_name(code));
		return;
	}
	read_page(sweep);
}

void
sweep_rebuild(struct sweep *sweep)
{
	if (sweep->state != SWEEP_IDLE)
		return;
	log_info("queue_rebuild", "reason=no_epoch");
	sweep->rebuilding = true;
	sweep->after[0] = '\0';
	sweep->pushed = 0;
	sweep->state = SWEEP_BEGINNING;
	queue_rebuild_begin(sweep->daemon->queue, on_begun, sweep);
}
