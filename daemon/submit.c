#include "daemon/submit.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/envelope.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/metrics.h"
#include "daemon/backlog.h"
#include "daemon/backlog_watch.h"
#include "daemon/shard.h"
#include "daemon/steer.h"
#include "daemon/worker/dispatch.h"
#include "queue/ready.h"
#include "sql/schedule.h"

#define AGAIN_MS 100
#define AGAIN_MAX 30 /* so long does it take at most to learn of a queue that was built anew */

struct submit { /* from the place taken to the answered push */
	struct submits *submits;
	struct ledger_job job; /* input borrows from bytes, until the push */
	char *bytes;
	int64_t seq;
	submit_cb *cb;
	ledger_accept_once_cb *once_cb;
	void *arg;
	bool answered; /* the caller has its answer */
	int64_t until_ms;
	struct slice envelope;     /* owned; of a push under way */
	TAILQ_ENTRY(submit) entry; /* of waiting, until answered */
	TAILQ_ENTRY(submit) late;  /* of again */
	int again;                 /* pushes that met another epoch */
};

TAILQ_HEAD(submit_list, submit);

struct submits {
	struct daemon *daemon;
	struct backlog *backlog;
	struct backlog_watch *watch;
	struct submit_list waiting; /* for their push, the oldest first: all wait equally long */
	struct loop_timer *timer;   /* when the first of them has waited long enough */
	struct submit_list again;   /* to be pushed once more */
	struct loop_timer *again_timer;
	bool closing;
};

/* ---- the answer ------------------------------------------------------------------------------ */

static void
answer(struct submit *submit, enum sl_code code, const char *existing_id,
       const struct sl_error *error)
{
	submit->answered = true;
	if (submit->once_cb != NULL)
		submit->once_cb(submit->arg, code, submit->seq, existing_id, error);
	else
		submit->cb(submit->arg, code, error);
	FAULT_POINT("accept_answered");
}

static void
submit_free(struct submit *submit)
{
	free((char *)(uintptr_t)submit->envelope.data);
	free(submit->bytes);
	free(submit);
}

static void
answer_waiting(struct submits *submits, struct submit *submit)
{
	TAILQ_REMOVE(&submits->waiting, submit, entry);
	answer(submit, SL_OK, NULL, NULL);
}

static void
on_wait_over(void *arg)
{
	struct submits *submits = arg;
	int64_t now = clock_mono_ms();
	struct submit *submit;

	while ((submit = TAILQ_FIRST(&submits->waiting)) != NULL && submit->until_ms <= now)
		answer_waiting(submits, submit);
	if (submit != NULL)
		loop_timer_in(submits->timer, submit->until_ms - now);
}

static void
wait_for_push(struct submit *submit)
{
	struct submits *submits = submit->submits;

	submit->until_ms = clock_mono_ms() + SUBMIT_PUSH_WAIT_MS;
	if (TAILQ_EMPTY(&submits->waiting))
		loop_timer_in(submits->timer, SUBMIT_PUSH_WAIT_MS);
	TAILQ_INSERT_TAIL(&submits->waiting, submit, entry);
}

/* ---- the push -------------------------------------------------------------------------------- */

static struct ready_entry
entry_of(const struct submit *submit)
{
	return (struct ready_entry){.key_id = submit->job.key_id,
				    .environment_id = submit->job.environment_id,
				    .is_long = submit->job.kind == JOB_SYNC,
				    .envelope = submit->envelope};
}

static void
on_pushed(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct submit *submit = arg;
	struct submits *submits = submit->submits;
	const struct ledger_job *job = &submit->job;
	struct ready_entry entry = entry_of(submit);

	(void)value;
	/* The queue was built anew, and we are told of its epoch about now.  That the job is in it already
	 * is no harm: the ledger refuses a second start. */
	if (code == SL_CONFLICT && !submits->closing && submit->again++ < AGAIN_MAX) {
		if (TAILQ_EMPTY(&submits->again))
			loop_timer_in(submits->again_timer, AGAIN_MS);
		TAILQ_INSERT_TAIL(&submits->again, submit, late);
		return;
	}
	backlog_leave(submits->backlog, job->environment_id,
		      code == SL_OK ? BACKLOG_PUSHED : BACKLOG_LEFT, clock_mono_ms());
	/* Redis is away or was rebuilt: the job is in the ledger, the scheduler's sweep brings it.
	 */
	if (code != SL_OK) {
		log_debug("push_left_to_sweep", "code=%s error=%s", sl_code_name(code),
			  log_text(error != NULL ? error->text : ""));
		if (!submits->closing)
			backlog_watch_left(submits->watch, &entry);
	}
	if (!submit->answered)
		answer_waiting(submits, submit);
	submit_free(submit);
}

static void
send_push(struct submit *submit)
{
	struct ready_entry entry = entry_of(submit);

	ready_push(shard_queue(submit->submits->daemon, entry.environment_id), READY_NEW, &entry, 1,
		   on_pushed, submit);
}

static void
on_again(void *arg)
{
	struct submits *submits = arg;
	struct submit_list list;
	struct submit *submit;

	TAILQ_INIT(&list); /* what comes back meanwhile waits for the next time */
	TAILQ_CONCAT(&list, &submits->again, late);
	while ((submit = TAILQ_FIRST(&list)) != NULL) {
		TAILQ_REMOVE(&list, submit, late);
		send_push(submit);
	}
}

static void
push(struct submit *submit)
{
	struct daemon *daemon = submit->submits->daemon;
	const struct ledger_job *job = &submit->job;
	struct queue *queue = shard_queue(daemon, job->environment_id);
	struct envelope envelope = {
	    .seq = submit->seq,
	    .environment_id = job->environment_id,
	    .key_id = job->key_id,
	    .function_version_id = job->function_version_id,
	    .connection_id = job->connection_id,
	    .attempt = 1,
	    .max_retries = job->max_retries,
	    .kind = job->kind,
	    .webhook = job->webhook,
	    .accepted_ms = clock_wall_ms(),
	    .has_input = job->input.len <= ENVELOPE_INPUT_MAX,
	    .input = job->input,
	};
	struct buf bytes;

	memcpy(envelope.job_id, job->id, sizeof(envelope.job_id));
	buf_init(&bytes, ENVELOPE_INPUT_MAX + 1024);
	envelope_encode(&envelope, daemon->envelope_key, &bytes);
	free(submit->bytes); /* large inputs stay in the ledger */
	submit->bytes = NULL;
	submit->job.input = (struct slice){NULL, 0};
	submit->envelope = (struct slice){sl_memdup(bytes.data, bytes.len), bytes.len};
	buf_fini(&bytes);
	wait_for_push(submit);
	/* Known to be down, or not built: the push fails by itself, and nobody need wait for that. */
	if (!queue_is_up(queue) || queue_epoch(queue)[0] == '\0')
		answer_waiting(submit->submits, submit);
	send_push(submit);
	if (daemon->dispatch != NULL && job->kind != JOB_SYNC)
		dispatch_jobs_come(daemon->dispatch, shard_of(daemon, job->environment_id));
}

/* ---- the ledger ------------------------------------------------------------------------------ */

static void
on_accepted_once(void *arg, enum sl_code code, int64_t seq, const char *existing_id,
		 const struct sl_error *error)
{
	struct submit *submit = arg;
	struct submits *submits = submit->submits;

	FAULT_POINT("accept_committed");
	submit->seq = seq;
	if (code == SL_OK && existing_id == NULL)
		metrics_count_kind(METRIC_JOBS_ENQUEUED, submit->job.kind);
	if (code == SL_OK && existing_id == NULL && submit->job.delay_ms == 0 &&
	    !submits->closing) {
		push(submit);
		FAULT_POINT("accept_pushed");
		return;
	}
	backlog_leave(submits->backlog, submit->job.environment_id, BACKLOG_GONE, clock_mono_ms());
	answer(submit, code, existing_id, error);
	submit_free(submit);
}

static void
on_accepted(void *arg, enum sl_code code, int64_t seq, const struct sl_error *error)
{
	on_accepted_once(arg, code, seq, NULL, error);
}

static struct submit *
submit_new(struct daemon *daemon, const struct ledger_job *job, void *arg)
{
	struct submit *submit = sl_alloc(sizeof(*submit));

	submit->submits = daemon->submits;
	submit->job = *job;
	submit->bytes = sl_memdup(job->input.data, job->input.len);
	submit->job.input.data = submit->bytes;
	submit->arg = arg;
	return submit;
}

/* ---- the bounds ------------------------------------------------------------------------------ */

bool
submit_is_full(const struct daemon *daemon)
{
	return backlog_is_full(daemon->submits->backlog) ||
	       ledger_pending(daemon->ledger) >= SUBMIT_PENDING_MAX;
}

bool
submit_is_draining(const struct daemon *daemon, int64_t environment_id)
{
	return steer_is_draining(daemon->steer, environment_id);
}

enum sl_code
submit_admit(struct daemon *daemon, int64_t environment_id, bool must, struct sl_error *error)
{
	struct submits *submits = daemon->submits;
	enum backlog_verdict verdict;

	if (submits->closing)
		return sl_fail(error, SL_UNAVAILABLE, "the node is shutting down");
	if (!must && submit_is_draining(daemon, environment_id)) {
		metrics_count(METRIC_REFUSED, METRIC_REFUSED_DRAINING);
		return sl_fail(error, SL_UNAVAILABLE, SUBMIT_DRAINING);
	}
	verdict = backlog_judge(submits->backlog, environment_id);
	if (submit_is_full(daemon))
		verdict = BACKLOG_NODE_FULL;
	if (verdict == BACKLOG_QUEUE_FULL && must) {
		log_warn("queue_over_bound", "environment=%lld waiting=%lld",
			 (long long)environment_id,
			 (long long)backlog_estimate(submits->backlog, environment_id));
		verdict = BACKLOG_FINE;
	}
	if (verdict != BACKLOG_FINE)
		metrics_count(METRIC_REFUSED, verdict == BACKLOG_QUEUE_FULL
						  ? METRIC_REFUSED_QUEUE_FULL
						  : METRIC_REFUSED_NODE_FULL);
	if (verdict != BACKLOG_FINE)
		backlog_watch_refused(submits->watch, environment_id, verdict);
	switch (verdict) {
	case BACKLOG_QUEUE_FULL:
		return sl_fail(error, SL_EXHAUSTED,
			       "%lld jobs of this environment wait already, and queued_max allows "
			       "no more; try again after the time in Retry-After",
			       (long long)backlog_estimate(submits->backlog, environment_id));
	case BACKLOG_NODE_FULL:
		return sl_fail(error, SL_UNAVAILABLE,
			       "this node holds as many jobs that are not in the queue yet as it "
			       "can; try again after the time in Retry-After");
	case BACKLOG_FINE:
		break;
	}
	backlog_enter(submits->backlog, environment_id);
	return SL_OK;
}

void
submit_withdraw(struct daemon *daemon, int64_t environment_id)
{
	backlog_leave(daemon->submits->backlog, environment_id, BACKLOG_GONE, clock_mono_ms());
}

int
submit_rooms(const struct daemon *daemon, struct schedule_room *rooms, int max, int64_t *others)
{
	const struct backlog *backlog = daemon->submits->backlog;
	int64_t queued_max = config_int(daemon->config, "queued_max"), ids[64];
	size_t at = 0;
	int count = 0, found;

	*others = (queued_max + 1) / 2; /* less than half of it waits, or they were near */
	while (count < max && (found = backlog_near(backlog, &at, ids, 64)) > 0)
		for (int i = 0; i < found && count < max; i++)
			rooms[count++] = (struct schedule_room){
			    .environment_id = ids[i],
			    .room = queued_max - backlog_estimate(backlog, ids[i])};
	return count;
}

int
submit_retry_s(const struct daemon *daemon, int64_t environment_id)
{
	return backlog_retry_s(daemon->submits->backlog, environment_id);
}

void
submit_admitted(struct daemon *daemon, const struct ledger_job *job, submit_cb *cb, void *arg)
{
	struct submit *submit = submit_new(daemon, job, arg);

	submit->cb = cb;
	if (job->delay_ms > 0)
		ledger_accept_once(daemon->ledger, &submit->job, NULL, NULL, on_accepted_once,
				   submit);
	else
		ledger_accept(daemon->ledger, &submit->job, on_accepted, submit);
}

void
submit_committed(struct daemon *daemon, const struct ledger_job *job, int64_t seq, submit_cb *cb,
		 void *arg)
{
	struct submit *submit = submit_new(daemon, job, arg);

	submit->cb = cb;
	on_accepted(submit, SL_OK, seq, NULL);
}

void
submit_job(struct daemon *daemon, const struct ledger_job *job, submit_cb *cb, void *arg)
{
	struct sl_error error;
	enum sl_code code = submit_admit(daemon, job->environment_id, false, &error);

	if (code == SL_OK)
		submit_admitted(daemon, job, cb, arg);
	else
		cb(arg, code, &error);
}

void
submit_job_once(struct daemon *daemon, const struct ledger_job *job, const char *idempotency_key,
		const char *digest, ledger_accept_once_cb *cb, void *arg)
{
	struct submit *submit;
	struct sl_error error;
	enum sl_code code = submit_admit(daemon, job->environment_id, false, &error);

	if (code != SL_OK) {
		cb(arg, code, 0, NULL, &error);
		return;
	}
	submit = submit_new(daemon, job, arg);
	submit->once_cb = cb;
	ledger_accept_once(daemon->ledger, &submit->job, idempotency_key, digest, on_accepted_once,
			   submit);
}

void
submit_backlog(const struct daemon *daemon, int64_t *held, int64_t *left)
{
	*held = backlog_held(daemon->submits->backlog);
	*left = backlog_left(daemon->submits->backlog);
}

/* ---- life ------------------------------------------------------------------------------------ */

struct submits *
submits_new(struct daemon *daemon)
{
	struct submits *submits = sl_alloc(sizeof(*submits));

	submits->daemon = daemon;
	submits->backlog =
	    backlog_new(config_int(daemon->config, "queued_max"),
			config_int(daemon->config, "backlog_max"), daemon->shard_count);
	submits->watch = backlog_watch_new(daemon, submits->backlog);
	TAILQ_INIT(&submits->waiting);
	TAILQ_INIT(&submits->again);
	submits->again_timer = loop_timer_new(daemon->loop, on_again, submits);
	submits->timer = loop_timer_new(daemon->loop, on_wait_over, submits);
	return submits;
}

void
submits_reloaded(struct submits *submits)
{
	const struct config *config = submits->daemon->config;

	backlog_bounds(submits->backlog, config_int(config, "queued_max"),
		       config_int(config, "backlog_max"));
}

void
submits_close(struct submits *submits)
{
	struct submit *submit;

	if (submits == NULL || submits->closing)
		return;
	submits->closing = true;
	loop_timer_stop(submits->timer);
	backlog_watch_free(submits->watch);
	loop_timer_stop(submits->again_timer);
	while ((submit = TAILQ_FIRST(&submits->again)) != NULL) {
		TAILQ_REMOVE(&submits->again, submit, late);
		if (!submit->answered)
			answer_waiting(submits, submit);
		submit_free(submit);
	}
	while ((submit = TAILQ_FIRST(&submits->waiting)) != NULL)
		answer_waiting(submits, submit);
}

void
submits_free(struct submits *submits)
{
	if (submits == NULL)
		return;
	loop_timer_free(submits->timer);
	loop_timer_free(submits->again_timer);
	backlog_free(submits->backlog);
	free(submits);
}
