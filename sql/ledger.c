#include "sql/ledger.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/metrics.h"
#include "sql/ledger_state.h"
#include "sql/unit.h"

#define LEDGER_QUEUE_MS 5000  /* not sent by then: refused, the caller waits for an answer */
#define LEDGER_DOUBT_MS 10000 /* a commit still in doubt by then is reported as not made */
#define LEDGER_TICK_MS 100

struct accept {
	TAILQ_ENTRY(accept) link;
	struct ledger_job job; /* input owned */
	int64_t until_ms;      /* monotonic; of the queue */
	ledger_accept_cb *cb;
	void *arg;
	enum sl_code code; /* the answer, once in done */
	int64_t seq;
	struct sl_error error;
};
TAILQ_HEAD(accept_list, accept);

/* A job goes queue -> flight -> done and leaves with its callback.
 * IDLE: flight is empty.  SENT: its commit is under way.  DOUBT: the connection was lost meanwhile,
 * flight waits to be sent again, alone and in a form that finds what was committed. */
enum ledger_state { LEDGER_IDLE, LEDGER_SENT, LEDGER_DOUBT };

struct ledger {
	struct loop *loop;
	struct pg *writer;
	struct reads *reads; /* a poll does not wait for a commit */
	enum ledger_state state;
	struct accept_list queue, flight, done;
	int pending;
	int64_t doubt_until_ms;
	struct loop_timer *tick; /* armed while anything is pending */
	bool outstanding;        /* flight is with the writer, which will answer */
	bool flushing, closed;
};

/* ORDER BY: seq is given out in the order of the batch (I3). */
#define LEDGER_INSERT                                                                            \
	"INSERT INTO job (id, environment_id, key_id, function_version_id, connection_id, kind," \
	" max_retries, webhook, input)"                                                          \
	" SELECT i, e, k, f, c, t, m, w <> 0, p FROM unnest($1::uuid[], $2::bigint[],"           \
	" $3::bigint[], $4::bigint[], $5::bigint[], $6::smallint[], $7::smallint[],"             \
	" $8::smallint[], $9::bytea[]) WITH ORDINALITY u(i, e, k, f, c, t, m, w, p, o) ORDER BY o"

static const struct unit_statement ledger_insert = {"ledger_insert",
						    LEDGER_INSERT " RETURNING id, seq"};

/* After a commit in doubt: rows that are there are ours (the caller made the ids), the others are
 * added.  An insert of the lost connection that still runs is waited for. */
static const struct unit_statement ledger_repeat = {"ledger_repeat",
						    LEDGER_INSERT " ON CONFLICT (id) DO NOTHING"};

/* Rows are looked up by subqueries that the planner may not turn into joins; see settle_batch.c. */
static const struct unit_statement ledger_find = {
    "ledger_find",
    "SELECT j.id, j.seq FROM unnest($1::uuid[]) WITH ORDINALITY u(i, o)"
    " CROSS JOIN LATERAL (SELECT id, seq FROM job WHERE id = i LIMIT 1) j ORDER BY o"};

static void ledger_flush(struct ledger *ledger);

/* ---- answering ------------------------------------------------------------------------------ */

static void
accept_free(struct accept *accept)
{
	free((char *)(uintptr_t)accept->job.input.data);
	free(accept);
}

static void
ledger_finish(struct ledger *ledger, struct accept *accept, struct accept_list *from,
	      enum sl_code code, const struct sl_error *error)
{
	TAILQ_REMOVE(from, accept, link);
	accept->code = code;
	if (error != NULL)
		accept->error = *error;
	TAILQ_INSERT_TAIL(&ledger->done, accept, link);
}

/* Calls back for all that is done.  A callback may hand in more, or free the ledger: that call then
 * empties the list itself. */
static void
ledger_deliver(struct ledger *ledger)
{
	struct accept *accept;

	while ((accept = TAILQ_FIRST(&ledger->done)) != NULL) {
		TAILQ_REMOVE(&ledger->done, accept, link);
		ledger->pending--;
		accept->cb(accept->arg, accept->code, accept->seq,
			   accept->code == SL_OK ? NULL : &accept->error);
		accept_free(accept);
	}
}

static void
ledger_fail_flight(struct ledger *ledger, enum sl_code code, const struct sl_error *error)
{
	struct accept *accept;

	while ((accept = TAILQ_FIRST(&ledger->flight)) != NULL)
		ledger_finish(ledger, accept, &ledger->flight, code, error);
	ledger->state = LEDGER_IDLE;
}

/* Rows come in the order of the batch; one that is missing was not written. */
static void
ledger_commit_flight(struct ledger *ledger, const PGresult *rows)
{
	struct accept *accept;
	struct sl_error error;
	char id[UUID_TEXT];
	int row = 0;

	metric_observe(&metrics[METRIC_COMMIT_BATCH], METRIC_BATCH_ACCEPT, 0, PQntuples(rows));
	sl_fail(&error, SL_INTERNAL, "postgres: the answer does not name the job");
	while ((accept = TAILQ_FIRST(&ledger->flight)) != NULL) {
		if (row < PQntuples(rows))
			value_uuid(rows, row, 0, id);
		if (row >= PQntuples(rows) || strcmp(id, accept->job.id) != 0) {
			ledger_finish(ledger, accept, &ledger->flight, SL_INTERNAL, &error);
			continue;
		}
		accept->seq = value_int(rows, row++, 1);
		ledger_finish(ledger, accept, &ledger->flight, SL_OK, NULL);
	}
	ledger->state = LEDGER_IDLE;
}

/* ---- batches -------------------------------------------------------------------------------- */

enum {
	COL_ID,
	COL_ENV,
	COL_KEY,
	COL_VERSION,
	COL_CONN,
	COL_KIND,
	COL_RETRIES,
	COL_HOOK,
	COL_INPUT
};

static void
ledger_bind_flight(struct ledger *ledger, struct unit *unit)
{
	static const enum value_type types[] = {VALUE_UUID, VALUE_INT8, VALUE_INT8,
						VALUE_INT8, VALUE_INT8, VALUE_INT2,
						VALUE_INT2, VALUE_INT2, VALUE_BYTEA};
	struct value_array columns[COL_INPUT + 1];
	struct accept *accept;

	for (int i = 0; i <= COL_INPUT; i++)
		value_array_init(&columns[i], types[i]);
	for (accept = TAILQ_FIRST(&ledger->flight); accept != NULL;
	     accept = TAILQ_NEXT(accept, link)) {
		const struct ledger_job *job = &accept->job;

		value_array_uuid(&columns[COL_ID], job->id);
		value_array_int(&columns[COL_ENV], job->environment_id);
		value_array_int(&columns[COL_KEY], job->key_id);
		value_array_int(&columns[COL_VERSION], job->function_version_id);
		value_array_int(&columns[COL_CONN], job->connection_id);
		value_array_int(&columns[COL_KIND], job->kind);
		value_array_int(&columns[COL_RETRIES], job->max_retries);
		value_array_int(&columns[COL_HOOK], job->webhook);
		value_array_bytes(&columns[COL_INPUT], job->input);
	}
	for (int i = 0; i <= COL_INPUT; i++)
		unit_bind_array(unit, &columns[i]);
}

static void
ledger_on_batch(void *arg, const struct unit_answer *answer)
{
	struct ledger *ledger = arg;

	if (ledger->closed)
		return;
	ledger->outstanding = false;
	if (answer->code == SL_OK) {
		FAULT_POINT("accept_committed");
		ledger_commit_flight(ledger, answer->results[ledger->state == LEDGER_DOUBT]);
	} else if (answer->in_doubt) {
		if (ledger->state == LEDGER_SENT)
			ledger->doubt_until_ms = clock_mono_ms() + LEDGER_DOUBT_MS;
		ledger->state = LEDGER_DOUBT;
	} else if (ledger->state == LEDGER_SENT || answer->code != SL_UNAVAILABLE) {
		ledger_fail_flight(ledger, answer->code, &answer->error);
	}
	/* The next batch first: Postgres works on it while the callbacks answer this one. */
	if (ledger->state == LEDGER_IDLE)
		ledger_flush(ledger);
	ledger_deliver(ledger);
}

/* Once in doubt a batch is always sent in the form that repeats. */
static void
ledger_send_flight(struct ledger *ledger)
{
	struct unit *unit = unit_new();

	if (ledger->state == LEDGER_DOUBT) {
		struct value_array ids;
		struct accept *accept;

		unit_add(unit, &ledger_repeat);
		ledger_bind_flight(ledger, unit);
		value_array_init(&ids, VALUE_UUID);
		for (accept = TAILQ_FIRST(&ledger->flight); accept != NULL;
		     accept = TAILQ_NEXT(accept, link))
			value_array_uuid(&ids, accept->job.id);
		unit_add(unit, &ledger_find);
		unit_bind_array(unit, &ids);
	} else {
		ledger->state = LEDGER_SENT;
		unit_add(unit, &ledger_insert);
		ledger_bind_flight(ledger, unit);
	}
	ledger->outstanding = true;
	unit_send(unit, ledger->writer, LEDGER_QUEUE_MS, ledger_on_batch, ledger);
}

/* Sends the next batch if the connection is free.  A batch in doubt goes first, until it is
 * settled. */
static void
ledger_flush(struct ledger *ledger)
{
	struct accept *accept;
	size_t bytes = 0;
	int rows = 0;

	if (ledger->outstanding || !pg_is_up(ledger->writer))
		return;
	if (ledger->state == LEDGER_DOUBT) {
		ledger_send_flight(ledger);
		return;
	}
	while (rows < LEDGER_BATCH_ROWS && (accept = TAILQ_FIRST(&ledger->queue)) != NULL) {
		bytes += accept->job.input.len;
		if (rows > 0 && bytes > LEDGER_BATCH_BYTES)
			break;
		TAILQ_REMOVE(&ledger->queue, accept, link);
		TAILQ_INSERT_TAIL(&ledger->flight, accept, link);
		rows++;
	}
	if (rows > 0)
		ledger_send_flight(ledger);
}

/* Jobs handed in during one turn of the loop share a batch even when the connection is idle. */
static void
ledger_on_turn_end(void *arg)
{
	struct ledger *ledger = arg;

	ledger->flushing = false;
	if (!ledger->closed)
		ledger_flush(ledger);
}

static void
ledger_on_state(void *arg, bool up)
{
	struct ledger *ledger = arg;

	if (up && !ledger->closed)
		ledger_flush(ledger);
}

static void
ledger_on_tick(void *arg)
{
	struct ledger *ledger = arg;
	int64_t now = clock_mono_ms();
	struct accept *accept;
	struct sl_error error;

	sl_fail(&error, SL_UNAVAILABLE, "postgres does not answer: %s",
		pg_last_error(ledger->writer));
	while ((accept = TAILQ_FIRST(&ledger->queue)) != NULL && accept->until_ms <= now)
		ledger_finish(ledger, accept, &ledger->queue, SL_UNAVAILABLE, &error);
	if (ledger->state == LEDGER_DOUBT && !ledger->outstanding &&
	    ledger->doubt_until_ms <= now) {
		sl_fail(&error, SL_UNAVAILABLE, "postgres went away during the commit: %s",
			pg_last_error(ledger->writer));
		ledger_fail_flight(ledger, SL_UNAVAILABLE, &error);
	}
	if (!TAILQ_EMPTY(&ledger->queue) || !TAILQ_EMPTY(&ledger->flight))
		loop_timer_in(ledger->tick, LEDGER_TICK_MS);
	ledger_deliver(ledger);
	if (!ledger->closed)
		ledger_flush(ledger);
}

/* ---- public --------------------------------------------------------------------------------- */

struct ledger *
ledger_new(struct loop *loop, const struct pg_settings *settings)
{
	struct ledger *ledger = sl_alloc(sizeof(*ledger));
	struct pg_settings reader = *settings;
	char *name = sl_asprintf("%s reads", settings->name);

	ledger->loop = loop;
	TAILQ_INIT(&ledger->queue);
	TAILQ_INIT(&ledger->flight);
	TAILQ_INIT(&ledger->done);
	ledger->tick = loop_timer_new(loop, ledger_on_tick, ledger);
	ledger->writer = pg_new(loop, settings, ledger_on_state, ledger);
	reader.name = name;
	ledger->reads = reads_new(loop, &reader);
	free(name);
	return ledger;
}

void
ledger_free(struct ledger *ledger)
{
	struct accept *accept;
	struct sl_error error;

	if (ledger == NULL)
		return;
	ledger->closed = true;
	sl_fail(&error, SL_UNAVAILABLE, "the ledger was closed");
	ledger_fail_flight(ledger, SL_UNAVAILABLE, &error);
	while ((accept = TAILQ_FIRST(&ledger->queue)) != NULL)
		ledger_finish(ledger, accept, &ledger->queue, SL_UNAVAILABLE, &error);
	pg_free(ledger->writer);
	reads_free(ledger->reads);
	ledger_deliver(ledger);
	loop_timer_free(ledger->tick);
	loop_free_later(ledger->loop, free, ledger);
}

bool
ledger_is_closed(const struct ledger *ledger)
{
	return ledger->closed;
}

struct pg *
ledger_writer(const struct ledger *ledger)
{
	return ledger->writer;
}

struct pg *
ledger_reader(const struct ledger *ledger)
{
	return reads_pg(ledger->reads);
}

struct reads *
ledger_reads(const struct ledger *ledger)
{
	return ledger->reads;
}

bool
ledger_is_up(const struct ledger *ledger)
{
	return pg_is_up(ledger->writer);
}

int
ledger_pending(const struct ledger *ledger)
{
	return ledger->pending;
}

enum sl_code
ledger_check(const struct ledger_job *job, char *id, struct sl_error *error)
{
	if (!uuid_parse(slice_text(job->id), id))
		return sl_fail(error, SL_INVALID, "the job id is no uuid");
	if (job->max_retries < 0 || job->max_retries >= INT16_MAX)
		return sl_fail(error, SL_INVALID, "max_retries is %d", job->max_retries);
	if (job->delay_ms < 0 || job->delay_ms > LEDGER_DELAY_MAX_MS)
		return sl_fail(error, SL_INVALID, "delay_ms is %lld", (long long)job->delay_ms);
	if (job->environment_id < 0 || job->environment_id > INT32_MAX ||
	    job->function_version_id < 0 || job->function_version_id > INT32_MAX)
		return sl_fail(error, SL_INVALID, "an id is out of range");
	return SL_OK;
}

static void
ledger_on_invalid(void *arg)
{
	struct accept *accept = arg;

	accept->cb(accept->arg, accept->code, 0, &accept->error);
	accept_free(accept);
}

/* One bad row would fail the whole batch, so rows are checked before they join one. */
void
ledger_accept(struct ledger *ledger, const struct ledger_job *job, ledger_accept_cb *cb, void *arg)
{
	struct accept *accept = sl_alloc(sizeof(*accept));

	accept->job = *job;
	accept->job.input.data = NULL;
	accept->cb = cb;
	accept->arg = arg;
	accept->code = ledger_check(job, accept->job.id, &accept->error);
	if (accept->code == SL_OK && job->delay_ms > 0)
		accept->code =
		    sl_fail(&accept->error, SL_INVALID, "a delayed job is accepted by itself");
	if (ledger->closed)
		accept->code = sl_fail(&accept->error, SL_UNAVAILABLE, "the ledger was closed");
	if (accept->code != SL_OK) {
		loop_soon(ledger->loop, ledger_on_invalid, accept);
		return;
	}
	if (job->input.len > 0)
		accept->job.input.data = sl_memdup(job->input.data, job->input.len);
	accept->until_ms = clock_mono_ms() + LEDGER_QUEUE_MS;
	TAILQ_INSERT_TAIL(&ledger->queue, accept, link);
	ledger->pending++;
	if (!loop_timer_is_armed(ledger->tick))
		loop_timer_in(ledger->tick, LEDGER_TICK_MS);
	if (ledger->state == LEDGER_IDLE && !ledger->flushing) {
		ledger->flushing = true;
		loop_soon(ledger->loop, ledger_on_turn_end, ledger);
	}
}
