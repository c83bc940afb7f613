/* sql/settle_run.c - what runs leave with their results. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "sql/settle_batch.h"

#define SETTLE_TIME_MAX_MS ((int64_t)1 << 47) /* thousands of years; Postgres takes more */

struct settle_left {
	struct settle_run run; /* what it points to is owned */
	struct settle_event *events;
	char (*ids)[UUID_TEXT]; /* of the events: made once, whatever is repeated */
	char again[UUID_TEXT];
	size_t bytes;
};

/* In the order of ids: two workers that settle runs of the same syncs wait for each other, not in a
 * circle. */
static const struct unit_statement settle_run_locks = {
    "settle_run_locks",
    "SELECT id FROM sync WHERE id = ANY ($1::bigint[]) ORDER BY id FOR NO KEY UPDATE"};

/* Of several runs of a sync, which its claim does not let happen, the last one counts. */
static const struct unit_statement settle_runs = {
    "settle_runs",
    "SELECT run_settled(i, n, t, $7::bigint, s,"
    " timestamptz 'epoch' + b * interval '1 millisecond', d, w::int, l::int, a::uuid)"
    " FROM unnest($1::uuid[], $2::smallint[], $3::smallint[], $4::bigint[], $5::bigint[],"
    "  $6::text[], $8::smallint[], $9::bigint[], $10::text[]) u(i, n, t, s, b, d, w, l, a)"};

/* Only with results that this transaction has written: one in doubt that had committed has them. */
#define SETTLE_OURS                                                           \
	"(SELECT r.attempt = n AND r.state = t AND r.session_id = $4::bigint" \
	" AND r.xmin = pg_current_xact_id()::xid FROM result r WHERE r.job_id = i)"

static const struct unit_statement settle_events = {
    "settle_events",
    "INSERT INTO outbox (id, environment_id, connection_id, job_id, type, outcome, body)"
    " SELECT k, e, c, i, y, q, b FROM unnest($1::uuid[], $2::smallint[], $3::smallint[],"
    "  $5::uuid[], $6::bigint[], $7::bigint[], $8::smallint[], $9::smallint[], $10::text[])"
    "  u(i, n, t, k, e, c, y, q, b) WHERE " SETTLE_OURS};

static const struct unit_statement settle_unstarted = {
    "settle_unstarted", "SELECT run_ended(i, t, o)"
			" FROM unnest($1::uuid[], $2::smallint[], $3::smallint[], $5::bytea[])"
			"  u(i, n, t, o)"
			" WHERE " SETTLE_OURS};

/* ---- handing in ----------------------------------------------------------------------------- */

/* JSON that was checked is text that Postgres takes. */
static void
settle_check(struct settle_item *item, struct slice json)
{
	struct json_value value;

	if (item->code == SL_OK)
		item->code = json_check(json, &value, &item->error);
}

void
settle_item_run(struct settle_item *item, const struct settle_run *run)
{
	struct settle_left *left = sl_alloc(sizeof(*left));

	item->run = left;
	left->run = *run;
	left->run.result = run->result == NULL ? NULL : sl_strdup(run->result);
	if (run->result != NULL) {
		settle_check(item, slice_text(run->result));
		left->bytes += strlen(run->result);
	}
	if (run->began_ms < 0 || run->began_ms > SETTLE_TIME_MAX_MS)
		item->code =
		    sl_fail(&item->error, SL_INVALID, "the start of the run is out of range");
	if (run->again != NULL && !uuid_parse(slice_text(run->again), left->again))
		item->code = sl_fail(&item->error, SL_INVALID, "the next run's id is no uuid");
	left->events = sl_calloc((size_t)run->event_count + 1, sizeof(*left->events));
	left->ids = sl_calloc((size_t)run->event_count + 1, sizeof(*left->ids));
	left->run.events = left->events;
	left->run.again = left->again;
	for (int i = 0; i < run->event_count; i++) {
		struct slice body = run->events[i].body;

		settle_check(item, body);
		left->events[i] = run->events[i];
		left->events[i].body.data = sl_strndup(body.data, body.len);
		left->bytes += body.len;
		uuid_v7(left->ids[i]);
	}
}

void
settle_left_free(struct settle_left *left)
{
	if (left == NULL)
		return;
	for (int i = 0; i < left->run.event_count; i++)
		free((char *)(uintptr_t)left->events[i].body.data);
	free(left->events);
	free(left->ids);
	free((char *)(uintptr_t)left->run.result);
	free(left);
}

size_t
settle_left_bytes(const struct settle_left *left)
{
	return left == NULL ? 0 : left->bytes;
}

/* ---- building ------------------------------------------------------------------------------- */

static void
settle_add_syncs(struct unit *unit, const struct settle_items *items, int64_t session)
{
	struct value_array ids, numbers, states, locked, syncs, begans, results, troubles, still,
	    again;
	const struct settle_item *item;

	value_array_init(&ids, VALUE_UUID);
	value_array_init(&numbers, VALUE_INT2);
	value_array_init(&states, VALUE_INT2);
	value_array_init(&locked, VALUE_INT8);
	value_array_init(&syncs, VALUE_INT8);
	value_array_init(&begans, VALUE_INT8);
	value_array_init(&results, VALUE_TEXT);
	value_array_init(&troubles, VALUE_INT2);
	value_array_init(&still, VALUE_INT8);
	value_array_init(&again, VALUE_TEXT);
	for (item = TAILQ_FIRST(items); item != NULL; item = TAILQ_NEXT(item, link)) {
		const struct settle_left *left = item->run;

		if (left == NULL || left->run.sync_id == 0)
			continue;
		value_array_uuid(&ids, item->job_id);
		value_array_int(&numbers, item->number);
		value_array_int(&states, item->state);
		value_array_int(&locked, left->run.sync_id);
		value_array_int(&syncs, left->run.sync_id);
		value_array_int(&begans, left->run.began_ms);
		value_array_text(&results, left->run.result);
		value_array_int(&troubles, left->run.trouble);
		value_array_int(&still, left->run.still_runs);
		value_array_text(&again, left->again[0] == '\0' ? NULL : left->again);
	}
	unit_add(unit, &settle_run_locks);
	unit_bind_array(unit, &locked);
	unit_add(unit, &settle_runs);
	unit_bind_array(unit, &ids);
	unit_bind_array(unit, &numbers);
	unit_bind_array(unit, &states);
	unit_bind_array(unit, &syncs);
	unit_bind_array(unit, &begans);
	unit_bind_array(unit, &results);
	unit_bind_int(unit, session);
	unit_bind_array(unit, &troubles);
	unit_bind_array(unit, &still);
	unit_bind_array(unit, &again);
}

static void
settle_add_events(struct unit *unit, const struct settle_items *items, int64_t session)
{
	struct value_array jobs, numbers, states, ids, environments, connections, types, outcomes,
	    bodies;
	const struct settle_item *item;

	value_array_init(&jobs, VALUE_UUID);
	value_array_init(&numbers, VALUE_INT2);
	value_array_init(&states, VALUE_INT2);
	value_array_init(&ids, VALUE_UUID);
	value_array_init(&environments, VALUE_INT8);
	value_array_init(&connections, VALUE_INT8);
	value_array_init(&types, VALUE_INT2);
	value_array_init(&outcomes, VALUE_INT2);
	value_array_init(&bodies, VALUE_TEXT);
	for (item = TAILQ_FIRST(items); item != NULL; item = TAILQ_NEXT(item, link)) {
		const struct settle_left *left = item->run;

		for (int i = 0; left != NULL && i < left->run.event_count; i++) {
			const struct settle_event *event = &left->events[i];

			value_array_uuid(&jobs, item->job_id);
			value_array_int(&numbers, item->number);
			value_array_int(&states, item->state);
			value_array_uuid(&ids, left->ids[i]);
			value_array_int(&environments, event->environment_id);
			value_array_int(&connections, event->connection_id);
			value_array_int(&types, event->type);
			value_array_int(&outcomes, event->outcome);
			value_array_text(&bodies, event->body.data);
		}
	}
	unit_add(unit, &settle_events);
	unit_bind_array(unit, &jobs);
	unit_bind_array(unit, &numbers);
	unit_bind_array(unit, &states);
	unit_bind_int(unit, session);
	unit_bind_array(unit, &ids);
	unit_bind_array(unit, &environments);
	unit_bind_array(unit, &connections);
	unit_bind_array(unit, &types);
	unit_bind_array(unit, &outcomes);
	unit_bind_array(unit, &bodies);
}

static void
settle_add_unstarted(struct unit *unit, const struct settle_items *items, int64_t session)
{
	struct value_array ids, numbers, states, outputs;
	const struct settle_item *item;

	value_array_init(&ids, VALUE_UUID);
	value_array_init(&numbers, VALUE_INT2);
	value_array_init(&states, VALUE_INT2);
	value_array_init(&outputs, VALUE_BYTEA);
	for (item = TAILQ_FIRST(items); item != NULL; item = TAILQ_NEXT(item, link)) {
		if (item->run == NULL || !item->run->run.unstarted)
			continue;
		value_array_uuid(&ids, item->job_id);
		value_array_int(&numbers, item->number);
		value_array_int(&states, item->state);
		value_array_bytes(&outputs, item->output);
	}
	unit_add(unit, &settle_unstarted);
	unit_bind_array(unit, &ids);
	unit_bind_array(unit, &numbers);
	unit_bind_array(unit, &states);
	unit_bind_int(unit, session);
	unit_bind_array(unit, &outputs);
}

void
settle_run_add(struct unit *unit, const struct settle_items *items, int64_t session)
{
	bool syncs = false, events = false, unstarted = false;
	const struct settle_item *item;

	for (item = TAILQ_FIRST(items); item != NULL; item = TAILQ_NEXT(item, link)) {
		if (item->run == NULL)
			continue;
		syncs = syncs || item->run->run.sync_id != 0;
		events = events || item->run->run.event_count > 0;
		unstarted = unstarted || item->run->run.unstarted;
	}
	if (syncs)
		settle_add_syncs(unit, items, session);
	if (events)
		settle_add_events(unit, items, session);
	if (unstarted)
		settle_add_unstarted(unit, items, session);
}
