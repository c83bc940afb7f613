/* sql/settle_death.c - jobs whose runner died, and jobs that may have killed their worker.
 *
 * Both are rare, so what they mean is decided by functions of the schema (0009_dead.sql) that are
 * called under the batch's fence. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/metrics.h"
#include "base/utf8.h"
#include "sql/settle_state.h"

enum death_answer { DEATH_REFUSED, DEATH_AGAIN, DEATH_ENDED, DEATH_SET_ASIDE };

/* A row for each job asked about, in their order; none if the session is not live. */
static const struct unit_statement death_jobs = {
    "death_jobs",
    "SELECT job_died(i, k, n, b > 0, $10::bigint, m, d, w, g::int, y, c)"
    " FROM unnest($1::uuid[], $2::uuid[], $3::smallint[], $4::smallint[], $5::bigint[],"
    "  $6::bigint[], $7::bytea[], $8::bigint[], $9::bigint[], $11::text[])"
    "  u(i, k, n, b, m, d, w, g, y, c) WHERE " SETTLE_LIVE("$10")};

static const struct unit_statement death_suspects = {
    "death_suspects",
    "SELECT suspect_job(i, k, $4::bigint, m), (SELECT j.kind FROM job j WHERE j.id = i"
    "  AND NOT EXISTS (SELECT FROM result r WHERE r.job_id = i))"
    " FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) u(i, k, m) WHERE " SETTLE_LIVE("$4")};

static const struct unit_statement death_clear = {
    "death_clear", "DELETE FROM death d WHERE d.job_id = ANY ($1::uuid[])"
		   " AND d.session_id = $2::bigint AND d.open AND " SETTLE_LIVE("$2")};

/* ---- handing in ----------------------------------------------------------------------------- */

static void
death_report(struct settle_item *item, int deaths_max)
{
	item->report = sl_alloc(sizeof(*item->report));
	item->report->deaths_max = deaths_max;
	uuid_v7(item->report->token);
	if (deaths_max < 1)
		item->code = sl_fail(&item->error, SL_INVALID, "deaths_max is %d", deaths_max);
}

/* What Postgres takes as text, whatever a runner made the caller write. */
static char *
death_text(const char *text)
{
	size_t left = strlen(text), at = 0;
	char *out = sl_alloc(SETTLE_LAST_CALL_MAX + 1);

	while (left > 0) {
		size_t len = utf8_len(text, left), read = len == 0 ? 1 : len;

		if (at + read > SETTLE_LAST_CALL_MAX)
			break;
		if (len == 0)
			out[at] = '?';
		else
			memcpy(out + at, text, len);
		at += read;
		text += read;
		left -= read;
	}
	return out;
}

void
settle_death(struct settle *settle, const char *job_id, int number, bool begun,
	     const struct settle_death *death, int deaths_max, int64_t delay_ms,
	     struct slice output, settle_death_cb *cb, void *arg)
{
	struct settle_item *item = settle_item_new(SETTLE_DEATH, job_id, number, NULL, arg);

	item->death_cb = cb;
	item->delay_ms = delay_ms < 0 ? 0 : delay_ms;
	settle_item_output(item, output);
	death_report(item, deaths_max);
	item->report->begun = begun;
	item->report->signal = death->signal;
	item->report->memory = death->memory;
	if (death->last_call != NULL)
		item->report->last_call = death_text(death->last_call);
	if (number < 1)
		item->code = sl_fail(&item->error, SL_INVALID, "the attempt is %d", number);
	settle_queue(settle, item);
}

void
settle_suspect(struct settle *settle, const char *job_id, int deaths_max, settle_cb *cb, void *arg)
{
	struct settle_item *item = settle_item_new(SETTLE_SUSPECT, job_id, 0, cb, arg);

	death_report(item, deaths_max);
	settle_queue(settle, item);
}

/* ---- building ------------------------------------------------------------------------------- */

static int
death_add_jobs(struct unit *unit, const struct settle_items *items, int64_t session)
{
	struct value_array ids, tokens, numbers, begun, limits, delays, outputs, signals, memories,
	    calls;
	int index = unit_add(unit, &death_jobs);

	value_array_init(&ids, VALUE_UUID);
	value_array_init(&tokens, VALUE_UUID);
	value_array_init(&numbers, VALUE_INT2);
	value_array_init(&begun, VALUE_INT2);
	value_array_init(&limits, VALUE_INT8);
	value_array_init(&delays, VALUE_INT8);
	value_array_init(&outputs, VALUE_BYTEA);
	value_array_init(&signals, VALUE_INT8);
	value_array_init(&memories, VALUE_INT8);
	value_array_init(&calls, VALUE_TEXT);
	for (const struct settle_item *item = TAILQ_FIRST(items); item != NULL;
	     item = TAILQ_NEXT(item, link)) {
		if (item->kind != SETTLE_DEATH)
			continue;
		value_array_uuid(&ids, item->job_id);
		value_array_uuid(&tokens, item->report->token);
		value_array_int(&numbers, item->number);
		value_array_int(&begun, item->report->begun);
		value_array_int(&limits, item->report->deaths_max);
		value_array_int(&delays, item->delay_ms);
		value_array_bytes(&outputs, item->output);
		value_array_int(&signals, item->report->signal);
		value_array_int(&memories, item->report->memory);
		value_array_text(&calls, item->report->last_call);
	}
	unit_bind_array(unit, &ids);
	unit_bind_array(unit, &tokens);
	unit_bind_array(unit, &numbers);
	unit_bind_array(unit, &begun);
	unit_bind_array(unit, &limits);
	unit_bind_array(unit, &delays);
	unit_bind_array(unit, &outputs);
	unit_bind_array(unit, &signals);
	unit_bind_array(unit, &memories);
	unit_bind_int(unit, session);
	unit_bind_array(unit, &calls);
	return index;
}

static int
death_add_suspects(struct unit *unit, const struct settle_items *items, int64_t session)
{
	struct value_array ids, tokens, limits;
	int index = unit_add(unit, &death_suspects);

	value_array_init(&ids, VALUE_UUID);
	value_array_init(&tokens, VALUE_UUID);
	value_array_init(&limits, VALUE_INT8);
	for (const struct settle_item *item = TAILQ_FIRST(items); item != NULL;
	     item = TAILQ_NEXT(item, link)) {
		if (item->kind != SETTLE_SUSPECT)
			continue;
		value_array_uuid(&ids, item->job_id);
		value_array_uuid(&tokens, item->report->token);
		value_array_int(&limits, item->report->deaths_max);
	}
	unit_bind_array(unit, &ids);
	unit_bind_array(unit, &tokens);
	unit_bind_array(unit, &limits);
	unit_bind_int(unit, session);
	return index;
}

void
settle_death_add(struct settle_batch *batch, struct unit *unit, const struct settle_items *items,
		 const int count[SETTLE_KINDS], int64_t session)
{
	if (count[SETTLE_DEATH] > 0)
		batch->deaths = death_add_jobs(unit, items, session);
	if (count[SETTLE_SUSPECT] > 0)
		batch->suspects = death_add_suspects(unit, items, session);
}

void
settle_death_clear(struct unit *unit, const struct settle_items *items, int64_t session)
{
	struct value_array ids;

	value_array_init(&ids, VALUE_UUID);
	for (const struct settle_item *item = TAILQ_FIRST(items); item != NULL;
	     item = TAILQ_NEXT(item, link))
		if (item->suspect)
			value_array_uuid(&ids, item->job_id);
	unit_add(unit, &death_clear);
	unit_bind_array(unit, &ids);
	unit_bind_int(unit, session);
}

/* ---- reading -------------------------------------------------------------------------------- */

static void
death_read_jobs(const PGresult *rows, struct settle_items *items)
{
	struct settle_item *item = TAILQ_FIRST(items);

	for (int row = 0; item != NULL && row < PQntuples(rows); item = TAILQ_NEXT(item, link)) {
		enum death_answer answer;

		if (item->kind != SETTLE_DEATH)
			continue;
		answer = (enum death_answer)value_int(rows, row++, 0);
		if (answer == DEATH_REFUSED)
			continue;
		item->code = SL_OK;
		item->report->ended = answer != DEATH_AGAIN;
		item->report->dead = answer == DEATH_SET_ASIDE;
	}
}

/* One that was refused although it had not ended before was set aside. */
static void
death_read_suspects(const PGresult *rows, struct settle_items *items)
{
	struct settle_item *item = TAILQ_FIRST(items);

	for (int row = 0; item != NULL && row < PQntuples(rows); item = TAILQ_NEXT(item, link)) {
		int64_t kind;

		if (item->kind != SETTLE_SUSPECT)
			continue;
		kind = value_int(rows, row, 1);
		if (value_bool(rows, row++, 0))
			item->code = SL_OK;
		else if (kind != 0)
			metrics_finished((enum job_kind)kind, JOB_FAILED, true);
	}
}

void
settle_death_read(const struct settle_batch *batch, const struct unit_answer *answer,
		  struct settle_items *items)
{
	if (batch->deaths >= 0)
		death_read_jobs(answer->results[batch->deaths], items);
	if (batch->suspects >= 0)
		death_read_suspects(answer->results[batch->suspects], items);
}
