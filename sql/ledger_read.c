/* sql/ledger_read.c - what became of a job, and its input.
 *
 * Most of what Postgres pays for one read is the start of its statement, so reads are gathered as
 * accepts are: what is asked while a statement is under way goes into the next one; an idle
 * connection sends when the turn of the loop ends.  Reads that could harm their neighbours go alone:
 * an output above READ_INLINE_MAX (a batch has at most READ_ROWS_MAX of them in memory at a time),
 * and each of a batch that the server refused. */
#include <stdlib.h>
#include <sys/queue.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "sql/ledger_state.h"
#include "sql/unit.h"

#define READ_ROWS_MAX 256
#define READ_INLINE_MAX "16384"
#define READ_WAIT_MS 2000 /* for a connection; then the read fails */
#define READ_TICK_MS 100

struct read {
	TAILQ_ENTRY(read) link;
	char id[UUID_TEXT];
	int64_t environment_id;
	int64_t until_ms;          /* monotonic; of the queue */
	ledger_read_cb *status_cb; /* one of the two */
	ledger_input_cb *input_cb;
	void *arg;
	struct sl_error error; /* of one that was never sent */
};
TAILQ_HEAD(read_list, read);

/* A read goes queue -> flight and leaves with its callback, or from flight to a statement of its
 * own.  Invariant: flight holds none unless a batch is with the connection or is being answered. */
struct reads {
	struct loop *loop;
	struct pg *pg;
	struct read_list queue;
	struct read *flight[READ_ROWS_MAX]; /* by place in the batch; NULL: has left */
	int count;
	struct loop_timer *tick; /* armed while reads wait for a connection */
	bool outstanding;        /* flight is with the connection, which will answer */
	bool flushing, closed;
};

/* Of a job that has ended the result says all.  A retry is looked up by the job: min(due_at)
 * would walk all that are due, by their index. */
#define READ_COLUMNS                                                                             \
	"r.state, j.kind, j.seq, j.key_id, coalesce(a.number, r.attempt),"                       \
	" CASE WHEN a.ended_at IS NULL THEN"                                                     \
	"  (SELECT s.live FROM session s WHERE s.id = a.session_id) END,"                        \
	" CASE WHEN r.job_id IS NULL THEN (SELECT (extract(epoch FROM w.due_at) * 1000)::bigint" \
	"  FROM retry w WHERE w.job_id = j.id ORDER BY w.number LIMIT 1) END,"
/* Rows are looked up by subqueries that the planner may not turn into joins; see settle_batch.c. */
#define READ_RESULT                                                             \
	" LEFT JOIN LATERAL (SELECT job_id, attempt, state, output FROM result" \
	"  WHERE job_id = j.id LIMIT 1) r ON true"                              \
	" LEFT JOIN LATERAL (SELECT number, session_id, ended_at FROM attempt"  \
	"  WHERE job_id = j.id AND r.job_id IS NULL ORDER BY number DESC LIMIT 1) a ON true"

static const struct unit_statement read_one = {
    "read_one", "SELECT " READ_COLUMNS " r.output FROM job j" READ_RESULT
		" WHERE j.id = $1::uuid AND j.environment_id = $2::bigint"};

/* The last columns: which of the batch it is, and whether it has an output that is not sent along. */
static const struct unit_statement read_many = {
    "read_many", "SELECT " READ_COLUMNS " CASE WHEN octet_length(r.output) <= " READ_INLINE_MAX
		 " THEN r.output END, u.o, octet_length(r.output) > " READ_INLINE_MAX
		 " FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY u(i, e, o)"
		 " CROSS JOIN LATERAL (SELECT id, kind, seq, key_id FROM job"
		 "  WHERE id = u.i AND environment_id = u.e LIMIT 1) j" READ_RESULT};

enum {
	COL_STATE,
	COL_KIND,
	COL_SEQ,
	COL_KEY,
	COL_ATTEMPT,
	COL_LIVE,
	COL_DUE,
	COL_OUTPUT,
	COL_PLACE,
	COL_LONG
};

static const struct unit_statement read_input = {"read_input",
						 "SELECT input FROM job WHERE id = $1::uuid"};

static const struct unit_statement read_waited = {
    "read_waited", "SELECT (extract(epoch FROM now() - accepted_at) * 1000)::bigint"
		   " FROM job WHERE id = $1::uuid"};

static void reads_flush(struct reads *reads);

/* ---- answering ------------------------------------------------------------------------------ */

static void
read_fail(struct read *read, enum sl_code code, const struct sl_error *error)
{
	static const struct slice none = {"", 0};

	if (read->status_cb != NULL)
		read->status_cb(read->arg, code, NULL, error);
	else
		read->input_cb(read->arg, code, none, error);
	free(read);
}

static void
read_unknown(struct read *read)
{
	struct sl_error error;

	sl_fail(&error, SL_NOT_FOUND, "no such job");
	read_fail(read, SL_NOT_FOUND, &error);
}

static void
read_status(struct read *read, const PGresult *rows, int row)
{
	struct ledger_status status = {
	    .state = (enum job_state)value_int(rows, row, COL_STATE),
	    .kind = (enum job_kind)value_int(rows, row, COL_KIND),
	    .seq = value_int(rows, row, COL_SEQ),
	    .key_id = value_int(rows, row, COL_KEY),
	    .attempt = (int)value_int(rows, row, COL_ATTEMPT),
	    .attempt_live = value_bool(rows, row, COL_LIVE),
	    .retry_due_ms = value_int(rows, row, COL_DUE),
	    .output = value_bytes(rows, row, COL_OUTPUT),
	};

	read->status_cb(read->arg, SL_OK, &status, NULL);
	free(read);
}

static void
read_on_one(void *arg, const struct unit_answer *answer)
{
	struct read *read = arg;

	if (answer->code != SL_OK)
		read_fail(read, answer->code, &answer->error);
	else if (PQntuples(answer->results[0]) == 0)
		read_unknown(read);
	else
		read_status(read, answer->results[0], 0);
}

static void
read_add_one(struct unit *unit, const struct read *read)
{
	unit_add(unit, &read_one);
	unit_bind_text(unit, read->id);
	unit_bind_int(unit, read->environment_id);
}

static void
read_send_one(struct reads *reads, struct read *read)
{
	struct unit *unit = unit_new();

	read_add_one(unit, read);
	unit_send(unit, reads->pg, READ_WAIT_MS, read_on_one, read);
}

/* ---- batches -------------------------------------------------------------------------------- */

/* Takes the read of that place out of the batch; NULL: it has left, for a callback freed the ledger. */
static struct read *
reads_take(struct reads *reads, int64_t place)
{
	struct read *read = NULL;

	if (place >= 0 && place < reads->count) {
		read = reads->flight[place];
		reads->flight[place] = NULL;
	}
	return read;
}

static void
reads_answer(struct reads *reads, const PGresult *rows)
{
	struct read *read;

	for (int row = 0; row < PQntuples(rows); row++) {
		read = reads_take(reads, value_int(rows, row, COL_PLACE) - 1);
		if (read != NULL && value_bool(rows, row, COL_LONG))
			read_send_one(reads, read);
		else if (read != NULL)
			read_status(read, rows, row);
	}
	for (int i = 0; i < reads->count; i++)
		if ((read = reads_take(reads, i)) != NULL)
			read_unknown(read);
}

static void
reads_on_batch(void *arg, const struct unit_answer *answer)
{
	struct reads *reads = arg;
	struct read *read;

	if (reads->closed)
		return;
	reads->outstanding = false;
	if (reads->count == 1)
		read_on_one(reads_take(reads, 0), answer);
	else if (answer->code == SL_OK)
		reads_answer(reads, answer->results[0]);
	for (int i = 0; i < reads->count; i++) {
		if ((read = reads_take(reads, i)) == NULL)
			continue;
		if (answer->code == SL_UNAVAILABLE)
			read_fail(read, answer->code, &answer->error);
		else /* the row of one of them, perhaps, cannot be read */
			read_send_one(reads, read);
	}
	reads->count = 0;
	if (!reads->closed)
		reads_flush(reads);
}

static void
reads_send(struct reads *reads)
{
	struct unit *unit = unit_new();
	struct value_array ids, environments;

	reads->outstanding = true;
	if (reads->count == 1) { /* the lighter statement */
		read_add_one(unit, reads->flight[0]);
		unit_send(unit, reads->pg, READ_WAIT_MS, reads_on_batch, reads);
		return;
	}
	value_array_init(&ids, VALUE_UUID);
	value_array_init(&environments, VALUE_INT8);
	for (int i = 0; i < reads->count; i++) {
		value_array_uuid(&ids, reads->flight[i]->id);
		value_array_int(&environments, reads->flight[i]->environment_id);
	}
	unit_add(unit, &read_many);
	unit_bind_array(unit, &ids);
	unit_bind_array(unit, &environments);
	unit_send(unit, reads->pg, READ_WAIT_MS, reads_on_batch, reads);
}

/* Sends the next batch if the connection is free. */
static void
reads_flush(struct reads *reads)
{
	struct read *read;

	if (reads->outstanding || !pg_is_up(reads->pg))
		return;
	while (reads->count < READ_ROWS_MAX && (read = TAILQ_FIRST(&reads->queue)) != NULL) {
		TAILQ_REMOVE(&reads->queue, read, link);
		reads->flight[reads->count++] = read;
	}
	if (reads->count > 0)
		reads_send(reads);
}

static void
reads_on_turn_end(void *arg)
{
	struct reads *reads = arg;

	reads->flushing = false;
	if (!reads->closed)
		reads_flush(reads);
}

static void
reads_on_state(void *arg, bool up)
{
	struct reads *reads = arg;

	if (up && !reads->closed)
		reads_flush(reads);
}

/* Only what waits for a connection is given up: what waits for its turn will be sent. */
static void
reads_on_tick(void *arg)
{
	struct reads *reads = arg;
	struct read *read;
	struct sl_error error;

	if (!reads->outstanding)
		reads_flush(reads);
	while (!pg_is_up(reads->pg) && (read = TAILQ_FIRST(&reads->queue)) != NULL &&
	       read->until_ms <= clock_mono_ms()) {
		TAILQ_REMOVE(&reads->queue, read, link);
		sl_fail(&error, SL_UNAVAILABLE, "postgres does not answer: %s",
			pg_last_error(reads->pg));
		read_fail(read, SL_UNAVAILABLE, &error);
		if (reads->closed)
			return;
	}
	if (!TAILQ_EMPTY(&reads->queue))
		loop_timer_in(reads->tick, READ_TICK_MS);
}

/* ---- for ledger.c --------------------------------------------------------------------------- */

struct reads *
reads_new(struct loop *loop, const struct pg_settings *settings)
{
	struct reads *reads = sl_alloc(sizeof(*reads));

	reads->loop = loop;
	TAILQ_INIT(&reads->queue);
	reads->tick = loop_timer_new(loop, reads_on_tick, reads);
	reads->pg = pg_new(loop, settings, reads_on_state, reads);
	return reads;
}

void
reads_free(struct reads *reads)
{
	struct read *read;
	struct sl_error error;

	reads->closed = true;
	pg_free(reads->pg);
	sl_fail(&error, SL_UNAVAILABLE, "the ledger was closed");
	for (int i = 0; i < reads->count; i++)
		if ((read = reads_take(reads, i)) != NULL)
			read_fail(read, SL_UNAVAILABLE, &error);
	while ((read = TAILQ_FIRST(&reads->queue)) != NULL) {
		TAILQ_REMOVE(&reads->queue, read, link);
		read_fail(read, SL_UNAVAILABLE, &error);
	}
	loop_timer_free(reads->tick);
	loop_free_later(reads->loop, free, reads);
}

struct pg *
reads_pg(const struct reads *reads)
{
	return reads->pg;
}

/* ---- public --------------------------------------------------------------------------------- */

static void
read_on_refused(void *arg)
{
	struct read *read = arg;

	read_fail(read, read->error.code, &read->error);
}

void
ledger_read(struct ledger *ledger, const char *job_id, int64_t environment_id, ledger_read_cb *cb,
	    void *arg)
{
	struct reads *reads = ledger_reads(ledger);
	struct read *read = sl_alloc(sizeof(*read));

	read->environment_id = environment_id;
	read->status_cb = cb;
	read->arg = arg;
	if (reads->closed)
		sl_fail(&read->error, SL_UNAVAILABLE, "the ledger was closed");
	else if (!uuid_parse(slice_text(job_id), read->id))
		sl_fail(&read->error, SL_INVALID, "the job id is no uuid");
	if (read->error.code != SL_OK) {
		loop_soon(reads->loop, read_on_refused, read);
		return;
	}
	read->until_ms = clock_mono_ms() + READ_WAIT_MS;
	TAILQ_INSERT_TAIL(&reads->queue, read, link);
	if (!pg_is_up(reads->pg) && !loop_timer_is_armed(reads->tick))
		loop_timer_in(reads->tick, READ_TICK_MS);
	if (!reads->outstanding && !reads->flushing) {
		reads->flushing = true;
		loop_soon(reads->loop, reads_on_turn_end, reads);
	}
}

static void
read_on_input(void *arg, const struct unit_answer *answer)
{
	struct read *read = arg;

	if (answer->code != SL_OK) {
		read_fail(read, answer->code, &answer->error);
	} else if (PQntuples(answer->results[0]) == 0) {
		read_unknown(read);
	} else {
		read->input_cb(read->arg, SL_OK, value_bytes(answer->results[0], 0, 0), NULL);
		free(read);
	}
}

/* Not gathered: only inputs that are too long for an envelope are read. */
void
ledger_input(struct ledger *ledger, const char *job_id, ledger_input_cb *cb, void *arg)
{
	struct read *read = sl_alloc(sizeof(*read));
	struct unit *unit = unit_new();

	read->input_cb = cb;
	read->arg = arg;
	unit_add(unit, &read_input);
	unit_bind_text(unit, job_id);
	unit_send(unit, reads_pg(ledger_reads(ledger)), READ_WAIT_MS, read_on_input, read);
}

/* ---- the start limit ------------------------------------------------------------------------ */

struct waited {
	ledger_waited_cb *cb;
	void *arg;
};

static void
read_on_waited(void *arg, const struct unit_answer *answer)
{
	struct waited *waited = arg;
	struct sl_error error = answer->error;
	enum sl_code code = answer->code;

	if (code == SL_OK && PQntuples(answer->results[0]) == 0)
		code = sl_fail(&error, SL_NOT_FOUND, "there is no such job");
	waited->cb(waited->arg, code, code == SL_OK ? value_int(answer->results[0], 0, 0) : 0,
		   code == SL_OK ? NULL : &error);
	free(waited);
}

void
ledger_waited(struct ledger *ledger, const char *job_id, ledger_waited_cb *cb, void *arg)
{
	struct waited *waited = sl_alloc(sizeof(*waited));
	struct unit *unit = unit_new();

	waited->cb = cb;
	waited->arg = arg;
	unit_add(unit, &read_waited);
	unit_bind_text(unit, job_id);
	unit_send(unit, reads_pg(ledger_reads(ledger)), READ_WAIT_MS, read_on_waited, waited);
}
