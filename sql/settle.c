#include "sql/settle.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/metrics.h"
#include "sql/settle_batch.h"
#include "sql/settle_state.h"
#include "sql/unit.h"

#define SETTLE_BATCH_ROWS 1000
#define SETTLE_BATCH_BYTES (1 << 20)
/* Of a claim, which the turn can give back.  What a run did or is about to do waits as long as its
 * session may be live: a result that was dropped would leave its attempt open for ever. */
#define SETTLE_CLAIM_WAIT_MS 30000
#define SETTLE_TICK_MS 100
/* A batch of so many rows has the next one wait, for so long or for so many. */
#define SETTLE_BUSY_ROWS 4
#define SETTLE_GATHER_MS 4
#define SETTLE_GATHER_ROWS 128

static void settle_flush(struct settle *settle);

/* ---- answering ------------------------------------------------------------------------------ */

static void
settle_item_free(struct settle_item *item)
{
	free((char *)(uintptr_t)item->output.data);
	settle_left_free(item->run);
	if (item->report != NULL)
		free(item->report->last_call);
	free(item->report);
	free(item->judged);
	free(item);
}

static void
settle_finish(struct settle *settle, struct settle_items *from, struct settle_item *item)
{
	TAILQ_REMOVE(from, item, link);
	TAILQ_INSERT_TAIL(&settle->done, item, link);
}

static void
settle_fail(struct settle *settle, struct settle_items *from, struct settle_item *item,
	    enum sl_code code, const char *why)
{
	item->code = sl_fail(&item->error, code, "%s", why);
	settle_finish(settle, from, item);
}

static void
settle_fail_all(struct settle *settle, struct settle_items *from, enum sl_code code,
		const char *why)
{
	struct settle_item *item;

	while ((item = TAILQ_FIRST(from)) != NULL)
		settle_fail(settle, from, item, code, why);
}

static void
settle_answer(struct settle_item *item)
{
	const struct sl_error *error = item->code == SL_OK ? NULL : &item->error;

	switch (item->kind) {
	case SETTLE_CLAIM:
		if (item->code == SL_OK)
			item->claim_cb(item->arg, SL_OK, item->tenure, item->lost, item->judged,
				       item->count, NULL);
		else
			item->claim_cb(item->arg, item->code, 0, false, NULL, 0, error);
		return;
	case SETTLE_DEATH:
		item->death_cb(item->arg, item->code, item->report->ended, item->report->dead,
			       error);
		return;
	case SETTLE_RESULT:
	case SETTLE_RETRY:
	case SETTLE_SUSPECT:
	case SETTLE_BEGIN:
		item->cb(item->arg, item->code, error);
		return;
	}
}

/* A callback may hand in more, or free settle: that call then empties the list itself. */
void
settle_deliver(struct settle *settle)
{
	struct settle_item *item;

	while ((item = TAILQ_FIRST(&settle->done)) != NULL) {
		TAILQ_REMOVE(&settle->done, item, link);
		settle->pending--;
		settle_answer(item);
		settle_item_free(item);
	}
}

void
settle_lose_session(struct settle *settle, int64_t session)
{
	struct settle_item *item, *next;

	if (settle->session == session) {
		log_warn("session_lost", "session=%lld", (long long)session);
		metrics_count(METRIC_SESSION_LOST, 0);
		settle->session = 0;
	}
	for (item = TAILQ_FIRST(&settle->queue); item != NULL; item = next) {
		next = TAILQ_NEXT(item, link);
		if (item->session == session)
			settle_fail(settle, &settle->queue, item, SL_CONFLICT,
				    "the session was ended");
	}
}

/* ---- batches -------------------------------------------------------------------------------- */

static void settle_send_flight(struct settle *settle);

static void
settle_on_batch(void *arg, const struct unit_answer *answer)
{
	struct settle *settle = arg;
	struct settle_item *item;
	int rows = 0;

	if (settle->closed)
		return;
	settle->outstanding = false;
	if (answer->code == SL_CONFLICT && !settle->batch.careful) {
		settle->careful = true; /* nothing was written */
		settle->state = SETTLE_AGAIN;
		settle_send_flight(settle);
		return;
	}
	if (answer->code == SL_OK) {
		FAULT_POINT("settle_committed");
		if (!settle_batch_read(&settle->batch, answer, &settle->flight))
			settle_lose_session(settle, settle->flight_session);
		for (; (item = TAILQ_FIRST(&settle->flight)) != NULL; rows++)
			settle_finish(settle, &settle->flight, item);
		metric_observe(&metrics[METRIC_COMMIT_BATCH], METRIC_BATCH_SETTLE, 0, rows);
		settle->gather_until_ms =
		    rows < SETTLE_BUSY_ROWS ? 0 : clock_mono_ms() + SETTLE_GATHER_MS;
		settle->state = SETTLE_IDLE;
		settle->careful = false;
	} else if (answer->code == SL_UNAVAILABLE) {
		if (answer->in_doubt || settle->state == SETTLE_DOUBT)
			settle->state = SETTLE_DOUBT;
		else
			settle->state = SETTLE_AGAIN;
	} else {
		settle_fail_all(settle, &settle->flight, answer->code, answer->error.text);
		settle->state = SETTLE_IDLE;
		settle->careful = false;
	}
	settle_deliver(settle);
	/* After a refusal the tick sends again, after a loss the new connection does. */
	if (!settle->closed && settle->state == SETTLE_IDLE)
		settle_flush(settle);
}

static void
settle_send_flight(struct settle *settle)
{
	struct unit *unit = unit_new();

	settle_batch_build(&settle->batch, unit, &settle->flight, settle->flight_session,
			   settle->state == SETTLE_DOUBT, settle->careful);
	if (settle->state == SETTLE_IDLE)
		settle->state = SETTLE_SENT;
	settle->outstanding = true;
	unit_send(unit, settle->pg, SETTLE_BEAT_WAIT_MS, settle_on_batch, settle);
}

static void
settle_fill_flight(struct settle *settle)
{
	struct settle_item *item;
	size_t bytes = 0;
	int rows = 0;

	settle->flight_session = settle->session;
	while (rows < SETTLE_BATCH_ROWS && (item = TAILQ_FIRST(&settle->queue)) != NULL) {
		if (item->session != settle->session) {
			settle_fail(settle, &settle->queue, item, SL_CONFLICT,
				    "the session was ended");
			continue;
		}
		bytes += item->output.len;
		bytes += settle_left_bytes(item->run);
		if (rows > 0 && bytes > SETTLE_BATCH_BYTES)
			break;
		TAILQ_REMOVE(&settle->queue, item, link);
		TAILQ_INSERT_TAIL(&settle->flight, item, link);
		rows += 1 + item->count;
	}
}

/* A commit costs Postgres as much CPU as twenty results.  When the batch before was not small, others
 * will follow soon: the next one waits for them, a little.  After a small one nothing waits, so that a
 * lone job, or a key whose jobs go one by one, is as fast as it can be. */
static bool
settle_gathers(struct settle *settle)
{
	int64_t left = settle->gather_until_ms - clock_mono_ms();

	if (settle->state != SETTLE_IDLE || settle->closing != NULL || left <= 0 ||
	    settle->pending >= SETTLE_GATHER_ROWS)
		return false;
	if (settle->pending > 0 && !loop_timer_is_armed(settle->gather))
		loop_timer_in(settle->gather, left);
	return true;
}

static void
settle_on_gathered(void *arg)
{
	settle_flush(arg);
}

/* Sends the next batch if the connection is free; one that did not succeed goes first. */
static void
settle_flush(struct settle *settle)
{
	if (settle->outstanding || settle_gathers(settle))
		return;
	if (settle->closing != NULL && TAILQ_EMPTY(&settle->queue) && TAILQ_EMPTY(&settle->flight))
		settle_send_close(settle);
	if (!pg_is_up(settle->pg))
		return;
	if (settle->state == SETTLE_IDLE)
		settle_fill_flight(settle);
	if (!TAILQ_EMPTY(&settle->flight))
		settle_send_flight(settle);
	settle_deliver(settle); /* items of an older session */
}

static void
settle_on_turn_end(void *arg)
{
	struct settle *settle = arg;

	settle->flushing = false;
	if (settle->closed)
		return;
	settle_deliver(settle);
	if (!settle->closed && (settle->state == SETTLE_IDLE || settle->state == SETTLE_SENT))
		settle_flush(settle);
}

static void
settle_on_state(void *arg, bool up)
{
	struct settle *settle = arg;

	if (up && !settle->closed)
		settle_flush(settle);
}

static void
settle_expire(struct settle *settle, struct settle_items *from)
{
	struct settle_item *item, *next;
	int64_t now = clock_mono_ms();

	for (item = TAILQ_FIRST(from); item != NULL; item = next) {
		next = TAILQ_NEXT(item, link);
		if (item->kind == SETTLE_CLAIM && item->until_ms <= now)
			settle_fail(settle, from, item, SL_UNAVAILABLE,
				    "postgres did not answer in time");
	}
}

static void
settle_on_tick(void *arg)
{
	struct settle *settle = arg;

	settle_expire(settle, &settle->queue);
	if (!settle->outstanding)
		settle_expire(settle, &settle->flight);
	if (TAILQ_EMPTY(&settle->flight) && !settle->outstanding)
		settle->state = SETTLE_IDLE;
	if (!TAILQ_EMPTY(&settle->queue) || !TAILQ_EMPTY(&settle->flight))
		loop_timer_in(settle->tick, SETTLE_TICK_MS);
	settle_deliver(settle);
	if (!settle->closed)
		settle_flush(settle);
}

void
settle_flush_soon(struct settle *settle)
{
	if (settle->flushing)
		return;
	settle->flushing = true;
	loop_soon(settle->loop, settle_on_turn_end, settle);
}

/* ---- handing in ----------------------------------------------------------------------------- */

void
settle_queue(struct settle *settle, struct settle_item *item)
{
	settle->pending++;
	item->session = settle->session;
	item->until_ms = clock_mono_ms() + SETTLE_CLAIM_WAIT_MS;
	if (item->code == SL_OK && settle->closed)
		item->code = sl_fail(&item->error, SL_UNAVAILABLE, "settle was closed");
	if (item->code == SL_OK && settle->session == 0)
		item->code = sl_fail(&item->error, SL_CONFLICT, "there is no session");
	if (item->code != SL_OK) {
		TAILQ_INSERT_TAIL(&settle->done, item, link);
	} else {
		TAILQ_INSERT_TAIL(&settle->queue, item, link);
		if (!loop_timer_is_armed(settle->tick))
			loop_timer_in(settle->tick, SETTLE_TICK_MS);
	}
	settle_flush_soon(settle);
}

struct settle_item *
settle_item_new(enum settle_kind kind, const char *job_id, int number, settle_cb *cb, void *arg)
{
	struct settle_item *item = sl_alloc(sizeof(*item));

	item->kind = kind;
	item->number = number;
	item->cb = cb;
	item->arg = arg;
	if (!uuid_parse(slice_text(job_id), item->job_id))
		item->code = sl_fail(&item->error, SL_INVALID, "the job id is no uuid");
	else if (number < 0 || number >= INT16_MAX)
		item->code = sl_fail(&item->error, SL_INVALID, "the attempt is %d", number);
	return item;
}

void
settle_item_output(struct settle_item *item, struct slice output)
{
	item->output = (struct slice){NULL, output.len};
	if (output.len > 0)
		item->output.data = sl_memdup(output.data, output.len);
}

void
settle_begin(struct settle *settle, const char *job_id, int number, settle_cb *cb, void *arg)
{
	struct settle_item *item = settle_item_new(SETTLE_BEGIN, job_id, number, cb, arg);

	if (number < 1)
		item->code = sl_fail(&item->error, SL_INVALID, "the attempt is %d", number);
	settle_queue(settle, item);
}

void
settle_result(struct settle *settle, const char *job_id, int attempt, enum job_state state,
	      struct slice output, const struct settle_run *run, bool suspect, settle_cb *cb,
	      void *arg)
{
	struct settle_item *item = settle_item_new(SETTLE_RESULT, job_id, attempt, cb, arg);

	item->state = state;
	item->suspect = suspect;
	if (run != NULL)
		settle_item_run(item, run);
	settle_item_output(item, output);
	if (state < JOB_SUCCEEDED || state > JOB_WORKER_LOST)
		item->code = sl_fail(&item->error, SL_INVALID, "the state is %d", (int)state);
	settle_queue(settle, item);
}

void
settle_retry(struct settle *settle, const char *job_id, int attempt, int64_t delay_ms, bool suspect,
	     settle_cb *cb, void *arg)
{
	struct settle_item *item = settle_item_new(SETTLE_RETRY, job_id, attempt, cb, arg);

	item->suspect = suspect;
	item->delay_ms = delay_ms < 0 ? 0 : delay_ms;
	if (attempt < 1)
		item->code = sl_fail(&item->error, SL_INVALID, "the attempt is %d", attempt);
	settle_queue(settle, item);
}

/* ---- life ----------------------------------------------------------------------------------- */

struct settle *
settle_new(struct loop *loop, const struct pg_settings *settings)
{
	struct settle *settle = sl_alloc(sizeof(*settle));

	settle->loop = loop;
	TAILQ_INIT(&settle->queue);
	TAILQ_INIT(&settle->flight);
	TAILQ_INIT(&settle->done);
	settle->tick = loop_timer_new(loop, settle_on_tick, settle);
	settle->gather = loop_timer_new(loop, settle_on_gathered, settle);
	settle->pg = pg_new(loop, settings, settle_on_state, settle);
	return settle;
}

void
settle_free(struct settle *settle)
{
	struct settle_call *closing;
	struct sl_error error;

	if (settle == NULL)
		return;
	closing = settle->closing;
	settle->closing = NULL;
	settle->closed = true;
	settle_fail_all(settle, &settle->flight, SL_UNAVAILABLE, "settle was closed");
	settle_fail_all(settle, &settle->queue, SL_UNAVAILABLE, "settle was closed");
	pg_free(settle->pg);
	settle_deliver(settle);
	if (closing != NULL) {
		sl_fail(&error, SL_UNAVAILABLE, "settle was closed");
		closing->cb(closing->arg, SL_UNAVAILABLE, &error);
		free(closing);
	}
	loop_timer_free(settle->tick);
	loop_timer_free(settle->gather);
	loop_free_later(settle->loop, free, settle);
}

bool
settle_is_up(const struct settle *settle)
{
	return pg_is_up(settle->pg);
}

int
settle_pending(const struct settle *settle)
{
	return settle->pending;
}
