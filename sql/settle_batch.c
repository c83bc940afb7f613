#include "sql/settle_batch.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* Rows are looked up by scalar subqueries and by LATERAL ... LIMIT, which the planner may not turn
 * into joins.  It would plan a join with tables that are empty when it looks as a scan of the whole
 * table, and a generic plan would keep that (ledger.md, section 9). */
#define SETTLE_OPEN "(SELECT true FROM result r WHERE r.job_id = i) IS NULL"

static const struct unit_statement settle_fence = {
    "settle_fence", "SELECT id FROM session WHERE id = $1::bigint AND live FOR SHARE"};

/* A result that is there already is rare (a cancel at the same moment), and looking out for one costs
 * as much as the insert: the plain statements do not.  Under a live session they write every row, or
 * fail the unit. */
#define SETTLE_RESULTS                                                          \
	"INSERT INTO result (job_id, attempt, state, session_id, output)"       \
	" SELECT i, n, t, $5::bigint, o"                                        \
	" FROM unnest($1::uuid[], $2::smallint[], $3::smallint[], $4::bytea[])" \
	"  u(i, n, t, o) WHERE " SETTLE_LIVE("$5")

static const struct unit_statement settle_results = {"settle_results", SETTLE_RESULTS};

static const struct unit_statement settle_results_careful = {
    "settle_results_careful",
    SETTLE_RESULTS " ON CONFLICT (job_id) DO NOTHING RETURNING job_id, attempt"};

static const struct unit_statement settle_results_again = {
    "settle_results_again",
    "SELECT i, n"
    " FROM unnest($1::uuid[], $2::smallint[], $3::smallint[]) WITH ORDINALITY u(i, n, t, o)"
    " WHERE (SELECT r.attempt = n AND r.state = t AND r.session_id = $4::bigint"
    "  FROM result r WHERE r.job_id = i) ORDER BY o"};

/* The attempt decides once whether a retry follows, so that a repeated unit cannot queue a try that
 * was taken from the retry table meanwhile. */
static const struct unit_statement settle_retries = {
    "settle_retries",
    "INSERT INTO attempt AS a (job_id, number, session_id, ended_at)"
    " SELECT DISTINCT i, n, $3::bigint, now() FROM unnest($1::uuid[], $2::smallint[]) u(i, n)"
    " WHERE " SETTLE_LIVE("$3") " AND " SETTLE_OPEN
				" ON CONFLICT (job_id, number) DO UPDATE SET ended_at = now()"
				" WHERE a.session_id = excluded.session_id AND a.ended_at IS NULL"
				" RETURNING a.job_id, a.number"};

/* xmin: the attempt was written by this transaction, that is, by the command above. */
static const struct unit_statement settle_retry_rows = {
    "settle_retry_rows", "INSERT INTO retry (job_id, number, due_at)"
			 " SELECT i, n + 1, now() + d * interval '1 millisecond'"
			 " FROM unnest($1::uuid[], $2::smallint[], $3::bigint[]) u(i, n, d)"
			 " WHERE (SELECT a.session_id = $4::bigint AND a.ended_at IS NOT NULL"
			 "   AND a.xmin = pg_current_xact_id()::xid"
			 "  FROM attempt a WHERE a.job_id = i AND a.number = n)"
			 " ON CONFLICT DO NOTHING"};

static const struct unit_statement settle_retries_again = {
    "settle_retries_again",
    "SELECT i, n FROM unnest($1::uuid[], $2::smallint[]) WITH ORDINALITY u(i, n, o)"
    " WHERE (SELECT a.session_id = $3::bigint AND a.ended_at IS NOT NULL"
    "  FROM attempt a WHERE a.job_id = i AND a.number = n) ORDER BY o"};

/* Refused: job unknown or ended, more starts than were asked for (I5), begun by someone else. */
#define SETTLE_BEGINS                                                              \
	"INSERT INTO attempt (job_id, number, session_id)"                         \
	" SELECT i, n, $3::bigint FROM unnest($1::uuid[], $2::smallint[]) u(i, n)" \
	" WHERE (SELECT n <= j.max_retries + 1 FROM job j WHERE j.id = i)"         \
	" AND " SETTLE_LIVE("$3") " AND " SETTLE_OPEN

static const struct unit_statement settle_begins = {"settle_begins",
						    SETTLE_BEGINS " RETURNING job_id, number"};

static const struct unit_statement settle_begins_careful = {
    "settle_begins_careful",
    SETTLE_BEGINS " ON CONFLICT (job_id, number) DO NOTHING RETURNING job_id, number"};

static const struct unit_statement settle_begins_again = {
    "settle_begins_again",
    "SELECT i, n FROM unnest($1::uuid[], $2::smallint[]) WITH ORDINALITY u(i, n, o)"
    " WHERE (SELECT a.session_id = $3::bigint AND a.ended_at IS NULL"
    "  FROM attempt a WHERE a.job_id = i AND a.number = n)"
    " AND " SETTLE_LIVE("$3") " AND " SETTLE_OPEN " ORDER BY o"};

/* ---- building ------------------------------------------------------------------------------- */

struct settle_columns {
	struct value_array ids, numbers, states, outputs, delays;
};

static void
settle_collect(struct settle_columns *columns, const struct settle_items *items,
	       enum settle_kind kind)
{
	const struct settle_item *item;

	value_array_init(&columns->ids, VALUE_UUID);
	value_array_init(&columns->numbers, VALUE_INT2);
	value_array_init(&columns->states, VALUE_INT2);
	value_array_init(&columns->outputs, VALUE_BYTEA);
	value_array_init(&columns->delays, VALUE_INT8);
	for (item = TAILQ_FIRST(items); item != NULL; item = TAILQ_NEXT(item, link)) {
		if (item->kind != kind)
			continue;
		value_array_uuid(&columns->ids, item->job_id);
		value_array_int(&columns->numbers, item->number);
		value_array_int(&columns->states, item->state);
		value_array_bytes(&columns->outputs, item->output);
		value_array_int(&columns->delays, item->delay_ms);
	}
}

static void
settle_columns_fini(struct settle_columns *columns)
{
	value_array_fini(&columns->ids);
	value_array_fini(&columns->numbers);
	value_array_fini(&columns->states);
	value_array_fini(&columns->outputs);
	value_array_fini(&columns->delays);
}

/* A command with the columns ids and numbers, and with states and outputs or delays if asked for.
 */
enum { WITH_STATES = 1, WITH_OUTPUTS = 2, WITH_DELAYS = 4 };

static int
settle_command(struct unit *unit, const struct unit_statement *statement,
	       const struct settle_items *items, enum settle_kind kind, int with, int64_t session)
{
	struct settle_columns columns;
	int index = unit_add(unit, statement);

	settle_collect(&columns, items, kind);
	unit_bind_array(unit, &columns.ids);
	unit_bind_array(unit, &columns.numbers);
	if (with & WITH_STATES)
		unit_bind_array(unit, &columns.states);
	if (with & WITH_OUTPUTS)
		unit_bind_array(unit, &columns.outputs);
	if (with & WITH_DELAYS)
		unit_bind_array(unit, &columns.delays);
	unit_bind_int(unit, session);
	settle_columns_fini(&columns);
	return index;
}

static void
settle_batch_init(struct settle_batch *batch)
{
	*batch = (struct settle_batch){.fence = -1,
				       .results = -1,
				       .results_again = -1,
				       .retries = -1,
				       .retry_rows = -1,
				       .retries_again = -1,
				       .deaths = -1,
				       .suspects = -1,
				       .begins = -1,
				       .begins_again = -1,
				       .holds = -1,
				       .new_holds = -1,
				       .slot_holds = -1,
				       .new_slot_holds = -1,
				       .judged = -1};
}

void
settle_batch_build(struct settle_batch *batch, struct unit *unit, const struct settle_items *items,
		   int64_t session, bool repeat, bool careful)
{
	int count[SETTLE_KINDS] = {0}, suspects = 0;
	bool runs = false;
	const struct settle_item *item;

	settle_batch_init(batch);
	batch->repeat = repeat;
	batch->careful = careful || repeat;
	for (item = TAILQ_FIRST(items); item != NULL; item = TAILQ_NEXT(item, link)) {
		count[item->kind]++;
		runs = runs || item->run != NULL;
		suspects += item->suspect;
	}
	batch->fence = unit_add(unit, &settle_fence);
	unit_bind_int(unit, session);
	if (count[SETTLE_RESULT] > 0)
		batch->results =
		    settle_command(unit, batch->careful ? &settle_results_careful : &settle_results,
				   items, SETTLE_RESULT, WITH_STATES | WITH_OUTPUTS, session);
	if (runs)
		settle_run_add(unit, items, session);
	if (count[SETTLE_RESULT] > 0 && repeat)
		batch->results_again = settle_command(unit, &settle_results_again, items,
						      SETTLE_RESULT, WITH_STATES, session);
	if (count[SETTLE_RETRY] > 0) {
		batch->retries =
		    settle_command(unit, &settle_retries, items, SETTLE_RETRY, 0, session);
		batch->retry_rows = settle_command(unit, &settle_retry_rows, items, SETTLE_RETRY,
						   WITH_DELAYS, session);
	}
	if (count[SETTLE_RETRY] > 0 && repeat)
		batch->retries_again =
		    settle_command(unit, &settle_retries_again, items, SETTLE_RETRY, 0, session);
	if (suspects > 0)
		settle_death_clear(unit, items, session);
	settle_death_add(batch, unit, items, count, session);
	if (count[SETTLE_BEGIN] > 0)
		batch->begins =
		    settle_command(unit, batch->careful ? &settle_begins_careful : &settle_begins,
				   items, SETTLE_BEGIN, 0, session);
	if (count[SETTLE_BEGIN] > 0 && repeat)
		batch->begins_again =
		    settle_command(unit, &settle_begins_again, items, SETTLE_BEGIN, 0, session);
	if (count[SETTLE_CLAIM] > 0)
		settle_claim_add(batch, unit, items, count[SETTLE_CLAIM], session);
}

/* ---- reading -------------------------------------------------------------------------------- */

/* The next item that is this row; rows come in the order of items, with gaps. */
static struct settle_item *
settle_match(struct settle_items *items, struct settle_item *from, enum settle_kind kind,
	     const char *id, int number)
{
	struct settle_item *item = from;

	do {
		if (item == NULL)
			item = TAILQ_FIRST(items);
		if (item->kind == kind && item->code != SL_OK && item->number == number &&
		    strcmp(item->job_id, id) == 0)
			return item;
		item = TAILQ_NEXT(item, link);
	} while (item != from);
	return NULL;
}

/* The command that repeats, if there is one, knows more than the one that writes. */
static void
settle_mark(const struct unit_answer *answer, int command, int again, struct settle_items *items,
	    enum settle_kind kind)
{
	struct settle_item *next = NULL, *item;
	const PGresult *rows;
	char id[UUID_TEXT];

	if (command < 0)
		return;
	rows = answer->results[again >= 0 ? again : command];
	for (int row = 0; row < PQntuples(rows); row++) {
		value_uuid(rows, row, 0, id);
		item = settle_match(items, next, kind, id, (int)value_int(rows, row, 1));
		if (item == NULL)
			continue;
		item->code = SL_OK;
		next = TAILQ_NEXT(item, link);
	}
}

/* The plain command wrote all, unless the session is not live. */
static void
settle_mark_all(const struct unit_answer *answer, int command, struct settle_items *items,
		enum settle_kind kind)
{
	struct settle_item *item;

	if (command < 0 || strcmp(PQcmdTuples(answer->results[command]), "0") == 0)
		return;
	for (item = TAILQ_FIRST(items); item != NULL; item = TAILQ_NEXT(item, link))
		if (item->kind == kind)
			item->code = SL_OK;
}

bool
settle_batch_read(const struct settle_batch *batch, const struct unit_answer *answer,
		  struct settle_items *items)
{
	bool live = PQntuples(answer->results[batch->fence]) == 1;
	struct settle_item *item;

	for (item = TAILQ_FIRST(items); item != NULL; item = TAILQ_NEXT(item, link))
		item->code = sl_fail(&item->error, SL_CONFLICT, "%s",
				     live ? "refused by the ledger" : "the session was ended");
	if (batch->careful)
		settle_mark(answer, batch->results, batch->results_again, items, SETTLE_RESULT);
	else
		settle_mark_all(answer, batch->results, items, SETTLE_RESULT);
	settle_mark(answer, batch->retries, batch->retries_again, items, SETTLE_RETRY);
	settle_mark(answer, batch->begins, batch->begins_again, items, SETTLE_BEGIN);
	settle_death_read(batch, answer, items);
	settle_claim_read(batch, answer, items);
	return live;
}
