#include "sql/settle.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "sql/resolve.h"
#include "sql/settle_batch.h"
#include "sql/unit.h"

#define SETTLE_BATCH_ROWS 1000
#define SETTLE_BATCH_BYTES (1 << 20)
/* Of a claim, which the turn can give back.  What a run did or is about to do waits as long as its
 * session may be live: a result that was dropped would leave its attempt open for ever. */
#define SETTLE_CLAIM_WAIT_MS 30000
#define SETTLE_BEAT_WAIT_MS 1000
#define SETTLE_TICK_MS 100

/* An item goes queue -> flight -> done and leaves with its callback.
 * IDLE: flight is empty.  SENT: its commit is under way.  AGAIN: it did not come to a commit.
 * DOUBT: the connection was lost meanwhile; the next send counts what is there as ours.
 * In AGAIN and DOUBT flight is sent again, but for claims that are too old. */
enum settle_state { SETTLE_IDLE, SETTLE_SENT, SETTLE_AGAIN, SETTLE_DOUBT };

struct settle_call { /* of open, beat, close */
	struct settle *settle;
	int64_t session;
	int lost; /* close: index of the commands of resolve.h */
	settle_cb *cb;
	void *arg;
};

struct settle {
	struct loop *loop;
	struct pg *pg;
	int64_t session;
	enum settle_state state;
	struct settle_items queue, flight, done;
	int64_t flight_session;
	struct settle_batch batch;
	int pending;
	struct settle_call *closing; /* waits until all before it is answered; owned */
	struct loop_timer *tick;     /* armed while anything is pending */
	bool outstanding;            /* flight is with pg, which will answer */
	bool flushing, closed;
};

static const struct unit_statement settle_open_session = {
    "settle_open_session", "INSERT INTO session (node) VALUES ($1::text) RETURNING id"};

static const struct unit_statement settle_beat_session = {
    "settle_beat_session",
    "UPDATE session SET beat = beat + 1 WHERE id = $1::bigint AND live RETURNING beat"};

static const struct unit_statement settle_end_session = {
    "settle_end_session",
    "UPDATE session SET live = false WHERE id = $1::bigint AND live RETURNING id"};

static const struct unit_statement settle_free_holds = {
    "settle_free_holds", "UPDATE hold SET session_id = NULL"
			 " WHERE session_id = $1::bigint AND NOT key_id = ANY ($2::bigint[])"};

static void settle_flush(struct settle *settle);

/* ---- answering ------------------------------------------------------------------------------ */

static void
settle_item_free(struct settle_item *item)
{
	free((char *)(uintptr_t)item->output.data);
	free((char *)(uintptr_t)item->run.result);
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
			item->claim_cb(item->arg, SL_OK, item->tenure, item->judged, item->count,
				       NULL);
		else
			item->claim_cb(item->arg, item->code, 0, NULL, 0, error);
		return;
	case SETTLE_RESULT:
	case SETTLE_RETRY:
	case SETTLE_BEGIN:
		item->cb(item->arg, item->code, error);
		return;
	}
}

/* A callback may hand in more, or free settle: that call then empties the list itself. */
static void
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

/* The session was found ended: nothing asked under it can succeed any more. */
static void
settle_lose_session(struct settle *settle, int64_t session)
{
	struct settle_item *item, *next;

	if (settle->session == session) {
		log_warn("session_lost", "session=%lld", (long long)session);
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

static void
settle_on_batch(void *arg, const struct unit_answer *answer)
{
	struct settle *settle = arg;
	struct settle_item *item;

	if (settle->closed)
		return;
	settle->outstanding = false;
	if (answer->code == SL_OK) {
		FAULT_POINT("settle_committed");
		if (!settle_batch_read(&settle->batch, answer, &settle->flight))
			settle_lose_session(settle, settle->flight_session);
		while ((item = TAILQ_FIRST(&settle->flight)) != NULL)
			settle_finish(settle, &settle->flight, item);
		settle->state = SETTLE_IDLE;
	} else if (answer->code == SL_UNAVAILABLE) {
		if (answer->in_doubt || settle->state == SETTLE_DOUBT)
			settle->state = SETTLE_DOUBT;
		else
			settle->state = SETTLE_AGAIN;
	} else {
		settle_fail_all(settle, &settle->flight, answer->code, answer->error.text);
		settle->state = SETTLE_IDLE;
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
			   settle->state == SETTLE_DOUBT);
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
		if (item->run.result != NULL)
			bytes += strlen(item->run.result);
		if (rows > 0 && bytes > SETTLE_BATCH_BYTES)
			break;
		TAILQ_REMOVE(&settle->queue, item, link);
		TAILQ_INSERT_TAIL(&settle->flight, item, link);
		rows += 1 + item->count;
	}
}

static void
settle_on_close(void *arg, const struct unit_answer *answer)
{
	struct settle_call *call = arg;
	struct sl_error error = answer->error;
	enum sl_code code = answer->code;

	if (code == SL_OK && PQntuples(answer->results[0]) == 0)
		code = sl_fail(&error, SL_CONFLICT, "the session was ended");
	else if (code == SL_OK && resolve_count(answer, call->lost) > 0)
		log_warn("session_closed_with_attempts", "attempts=%lld",
			 (long long)resolve_count(answer, call->lost));
	if ((code == SL_OK || code == SL_CONFLICT) && call->settle->session == call->session)
		call->settle->session = 0;
	call->cb(call->arg, code, code == SL_OK ? NULL : &error);
	free(call);
}

static void
settle_send_close(struct settle *settle)
{
	struct settle_call *call = settle->closing;
	struct unit *unit = unit_new();

	settle->closing = NULL;
	unit_add(unit, &settle_end_session);
	unit_bind_int(unit, call->session);
	call->lost = resolve_add(unit);
	unit_send(unit, settle->pg, UNIT_WAIT_MS, settle_on_close, call);
}

/* Sends the next batch if the connection is free; one that did not succeed goes first. */
static void
settle_flush(struct settle *settle)
{
	if (settle->outstanding)
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

/* ---- handing in ----------------------------------------------------------------------------- */

/* Rows are checked before they join a batch: a bad one would fail all of it. */
static void
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
	if (settle->flushing)
		return;
	settle->flushing = true;
	loop_soon(settle->loop, settle_on_turn_end, settle);
}

static struct settle_item *
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
settle_begin(struct settle *settle, const char *job_id, int number, settle_cb *cb, void *arg)
{
	struct settle_item *item = settle_item_new(SETTLE_BEGIN, job_id, number, cb, arg);

	if (number < 1)
		item->code = sl_fail(&item->error, SL_INVALID, "the attempt is %d", number);
	settle_queue(settle, item);
}

void
settle_result(struct settle *settle, const char *job_id, int attempt, enum job_state state,
	      struct slice output, const struct settle_run *run, settle_cb *cb, void *arg)
{
	struct settle_item *item = settle_item_new(SETTLE_RESULT, job_id, attempt, cb, arg);

	item->state = state;
	if (run != NULL)
		settle_item_run(item, run);
	item->output = (struct slice){NULL, output.len};
	if (output.len > 0)
		item->output.data = sl_memdup(output.data, output.len);
	if (state < JOB_SUCCEEDED || state > JOB_WORKER_LOST)
		item->code = sl_fail(&item->error, SL_INVALID, "the state is %d", (int)state);
	settle_queue(settle, item);
}

void
settle_retry(struct settle *settle, const char *job_id, int attempt, int64_t delay_ms,
	     settle_cb *cb, void *arg)
{
	struct settle_item *item = settle_item_new(SETTLE_RETRY, job_id, attempt, cb, arg);

	item->delay_ms = delay_ms < 0 ? 0 : delay_ms;
	if (attempt < 1)
		item->code = sl_fail(&item->error, SL_INVALID, "the attempt is %d", attempt);
	settle_queue(settle, item);
}

void
settle_claim(struct settle *settle, int64_t key_id, int64_t previous_session,
	     int64_t previous_tenure, const char (*job_ids)[UUID_TEXT], int count,
	     settle_claim_cb *cb, void *arg)
{
	struct settle_item *item = sl_alloc(sizeof(*item));

	item->kind = SETTLE_CLAIM;
	item->key_id = key_id;
	item->previous_session = previous_session;
	item->previous_tenure = previous_tenure;
	item->judged = sl_calloc((size_t)count + 1, sizeof(*item->judged));
	item->count = count;
	item->claim_cb = cb;
	item->arg = arg;
	for (int i = 0; i < count; i++)
		if (!uuid_parse(slice_text(job_ids[i]), item->judged[i].job_id))
			item->code = sl_fail(&item->error, SL_INVALID, "a job id is no uuid");
	settle_queue(settle, item);
}

/* ---- session -------------------------------------------------------------------------------- */

static struct settle_call *
settle_call_new(struct settle *settle, settle_cb *cb, void *arg)
{
	struct settle_call *call = sl_alloc(sizeof(*call));

	call->settle = settle;
	call->session = settle->session;
	call->cb = cb;
	call->arg = arg;
	return call;
}

static void
settle_on_open(void *arg, const struct unit_answer *answer)
{
	struct settle_call *call = arg;

	if (answer->code == SL_OK)
		call->settle->session = value_int(answer->results[0], 0, 0);
	call->cb(call->arg, answer->code, answer->code == SL_OK ? NULL : &answer->error);
	free(call);
}

void
settle_open(struct settle *settle, const char *node, settle_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &settle_open_session);
	unit_bind_text(unit, node);
	unit_send(unit, settle->pg, UNIT_WAIT_MS, settle_on_open, settle_call_new(settle, cb, arg));
}

int64_t
settle_session(const struct settle *settle)
{
	return settle->session;
}

static void
settle_on_beat(void *arg, const struct unit_answer *answer)
{
	struct settle_call *call = arg;
	struct settle *settle = call->settle;
	struct sl_error error = answer->error;
	enum sl_code code = answer->code;

	if (code == SL_OK && PQntuples(answer->results[0]) == 0) {
		code = sl_fail(&error, SL_CONFLICT, "the session was ended");
		settle_lose_session(settle, call->session);
	}
	call->cb(call->arg, code, code == SL_OK ? NULL : &error);
	free(call);
	settle_deliver(settle);
}

/* Not part of a batch: it does not wait for one to fill, and a lost beat is not repeated. */
void
settle_beat(struct settle *settle, settle_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &settle_beat_session);
	unit_bind_int(unit, settle->session);
	unit_send(unit, settle->pg, SETTLE_BEAT_WAIT_MS, settle_on_beat,
		  settle_call_new(settle, cb, arg));
}

static void
settle_on_released(void *arg, const struct unit_answer *answer)
{
	struct settle_call *call = arg;

	call->cb(call->arg, answer->code, answer->code == SL_OK ? NULL : &answer->error);
	free(call);
}

void
settle_release(struct settle *settle, const int64_t *keep, int count, settle_cb *cb, void *arg)
{
	struct unit *unit = unit_new();
	struct value_array keys;

	value_array_init(&keys, VALUE_INT8);
	for (int i = 0; i < count; i++)
		value_array_int(&keys, keep[i]);
	unit_add(unit, &settle_free_holds);
	unit_bind_int(unit, settle->session);
	unit_bind_array(unit, &keys);
	unit_send(unit, settle->pg, SETTLE_BEAT_WAIT_MS, settle_on_released,
		  settle_call_new(settle, cb, arg));
}

void
settle_close(struct settle *settle, settle_cb *cb, void *arg)
{
	assert(settle->closing == NULL);
	settle->closing = settle_call_new(settle, cb, arg);
	if (settle->flushing)
		return;
	settle->flushing = true;
	loop_soon(settle->loop, settle_on_turn_end, settle);
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
