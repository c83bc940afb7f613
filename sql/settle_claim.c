/* sql/settle_claim.c - claims of keys: who may take a slot, and what is known of the jobs in its turn.
 *
 * Slot 0 goes a way of its own: a key always has it, so its statements do not look at the key's limit,
 * and they are all that runs while no key has a limit above 1. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "sql/settle_state.h"

/* A hold may be taken when it is free, ours, released to us by a token that names its session and
 * tenure, or its session is seen to be ended.  Seen: a session that this snapshot does not know may
 * be younger than it and live.
 *
 * lost: the one case in which nobody said that the slot was handed over in order.  A claim that is
 * repeated because its commit is in doubt ($5) keeps what it found the first time. */
#define CLAIM_TOKEN(match)                                                                      \
	"(SELECT bool_or(s = h.session_id AND t = h.tenure)"                                    \
	"  FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $6::smallint[]) u(k, s, t, n)" \
	"  WHERE " match ")"
#define CLAIM_SET                                                           \
	"UPDATE hold h SET session_id = $4::bigint, tenure = h.tenure + 1," \
	" lost = CASE WHEN h.session_id IS NULL THEN false"                 \
	"  WHEN h.session_id = $4::bigint THEN h.lost AND $5::bool ELSE NOT coalesce("
#define CLAIM_WHERE                               \
	", false) END WHERE " SETTLE_LIVE(        \
	    "$4") " AND (h.session_id IS NULL"    \
		  " OR h.session_id = $4::bigint" \
		  " OR (SELECT NOT o.live FROM session o WHERE o.id = h.session_id) OR "
#define CLAIM_RETURNS " RETURNING h.key_id, h.slot, h.tenure, h.lost"

static const struct unit_statement claim_holds = {
    "claim_holds",
    CLAIM_SET CLAIM_TOKEN("k = h.key_id") CLAIM_WHERE CLAIM_TOKEN(
	"k = h.key_id") ") AND h.key_id = ANY ($1::bigint[]) AND h.slot = 0" CLAIM_RETURNS};

static const struct unit_statement claim_new_holds = {
    "claim_new_holds",
    "INSERT INTO hold (key_id, slot, tenure, session_id)"
    " SELECT k, 0, 1, $2::bigint FROM unnest($1::bigint[]) u(k) WHERE " SETTLE_LIVE(
	"$2") " ON CONFLICT (key_id, slot) DO NOTHING RETURNING key_id, slot, tenure, lost"};

/* A cancel of one of the key's jobs holds all its slots locked, in order; a slot that has no row yet
 * waits for it at slot 0.  Before the slots themselves, so that nobody waits in a circle. */
static const struct unit_statement claim_slot_locks = {
    "claim_slot_locks", "SELECT FROM hold WHERE key_id = ANY ($1::bigint[]) AND slot = 0"
			" ORDER BY key_id FOR KEY SHARE"};

static const struct unit_statement claim_slots = {
    "claim_slots",
    CLAIM_SET CLAIM_TOKEN("k = h.key_id AND n = h.slot") CLAIM_WHERE CLAIM_TOKEN(
	"k = h.key_id AND n = h.slot") ") AND h.key_id = ANY ($1::bigint[])"
				       " AND h.slot = ANY ($6::smallint[]) AND (SELECT true"
				       "  FROM unnest($1::bigint[], $6::smallint[]) u(k, n)"
				       "  WHERE k = h.key_id AND n = h.slot LIMIT 1)"
				       " AND (SELECT h.slot < c.slots FROM concurrency_key c"
				       "  WHERE c.id = h.key_id)" CLAIM_RETURNS};

static const struct unit_statement claim_new_slots = {
    "claim_new_slots",
    "INSERT INTO hold (key_id, slot, tenure, session_id)"
    " SELECT k, n, 1, $2::bigint FROM unnest($1::bigint[], $3::smallint[]) u(k, n)"
    " WHERE (SELECT n < c.slots FROM concurrency_key c WHERE c.id = k) AND " SETTLE_LIVE(
	"$2") " ON CONFLICT (key_id, slot) DO NOTHING RETURNING key_id, slot, tenure, lost"};

static const struct unit_statement claim_judge = {
    "claim_judge",
    "SELECT i, (SELECT true FROM result r WHERE r.job_id = i) IS NOT NULL,"
    " (SELECT true FROM retry w WHERE w.job_id = i LIMIT 1) IS NOT NULL,"
    " (SELECT coalesce(max(a.number), 0)::int FROM attempt a WHERE a.job_id = i), j.max_retries,"
    " (SELECT count(*) FROM death d WHERE d.job_id = i AND NOT d.open),"
    " coalesce((SELECT a.session_id FROM attempt a JOIN session s ON s.id = a.session_id"
    "  WHERE a.job_id = i AND a.ended_at IS NULL AND s.live LIMIT 1), 0)::bigint"
    " FROM unnest($1::uuid[]) WITH ORDINALITY u(i, o)"
    " CROSS JOIN LATERAL (SELECT max_retries FROM job WHERE id = i LIMIT 1) j ORDER BY o"};

void
settle_claim(struct settle *settle, int64_t key_id, int slot, int64_t previous_session,
	     int64_t previous_tenure, const char (*job_ids)[UUID_TEXT], int count,
	     settle_claim_cb *cb, void *arg)
{
	struct settle_item *item = sl_alloc(sizeof(*item));

	item->kind = SETTLE_CLAIM;
	item->key_id = key_id;
	item->slot = slot;
	item->previous_session = previous_session;
	item->previous_tenure = previous_tenure;
	item->judged = sl_calloc((size_t)count + 1, sizeof(*item->judged));
	item->count = count;
	item->claim_cb = cb;
	item->arg = arg;
	if (slot < 0 || slot >= INT16_MAX)
		item->code = sl_fail(&item->error, SL_INVALID, "the slot is %d", slot);
	for (int i = 0; i < count; i++)
		if (!uuid_parse(slice_text(job_ids[i]), item->judged[i].job_id))
			item->code = sl_fail(&item->error, SL_INVALID, "a job id is no uuid");
	settle_queue(settle, item);
}

/* ---- building ------------------------------------------------------------------------------- */

static int
claim_by_key(const void *a, const void *b)
{
	const struct settle_item *const *left = a, *const *right = b;

	if ((*left)->key_id != (*right)->key_id)
		return (*left)->key_id > (*right)->key_id ? 1 : -1;
	return (*left)->slot - (*right)->slot;
}

struct claim_columns {
	struct value_array keys, sessions, tenures, slots;
};

static void
claim_collect(struct claim_columns *columns, struct settle_item *const *claims, int count,
	      bool above)
{
	value_array_init(&columns->keys, VALUE_INT8);
	value_array_init(&columns->sessions, VALUE_INT8);
	value_array_init(&columns->tenures, VALUE_INT8);
	value_array_init(&columns->slots, VALUE_INT2);
	for (int i = 0; i < count; i++) {
		if ((claims[i]->slot > 0) != above)
			continue;
		value_array_int(&columns->keys, claims[i]->key_id);
		value_array_int(&columns->sessions, claims[i]->previous_session);
		value_array_int(&columns->tenures, claims[i]->previous_tenure);
		value_array_int(&columns->slots, claims[i]->slot);
	}
}

/* Holds that are there, of slot 0 or of those above. */
static int
claim_add_holds(struct unit *unit, struct settle_item *const *claims, int count, bool above,
		int64_t session, bool repeat)
{
	int index = unit_add(unit, above ? &claim_slots : &claim_holds);
	struct claim_columns columns;

	claim_collect(&columns, claims, count, above);
	unit_bind_array(unit, &columns.keys);
	unit_bind_array(unit, &columns.sessions);
	unit_bind_array(unit, &columns.tenures);
	unit_bind_int(unit, session);
	unit_bind_bool(unit, repeat);
	unit_bind_array(unit, &columns.slots);
	return index;
}

/* Holds that are not there yet. */
static int
claim_add_new(struct unit *unit, struct settle_item *const *claims, int count, bool above,
	      int64_t session)
{
	int index = unit_add(unit, above ? &claim_new_slots : &claim_new_holds);
	struct claim_columns columns;

	claim_collect(&columns, claims, count, above);
	unit_bind_array(unit, &columns.keys);
	unit_bind_int(unit, session);
	if (above)
		unit_bind_array(unit, &columns.slots);
	else
		value_array_fini(&columns.slots);
	value_array_fini(&columns.sessions);
	value_array_fini(&columns.tenures);
	return index;
}

static void
claim_add_locks(struct unit *unit, struct settle_item *const *claims, int count)
{
	struct value_array keys;

	value_array_init(&keys, VALUE_INT8);
	for (int i = 0; i < count; i++)
		if (claims[i]->slot > 0)
			value_array_int(&keys, claims[i]->key_id);
	unit_add(unit, &claim_slot_locks);
	unit_bind_array(unit, &keys);
}

/* In the order of keys and slots: two workers that claim the same ones wait for each other, not in a
 * circle. */
void
settle_claim_add(struct settle_batch *batch, struct unit *unit, const struct settle_items *items,
		 int claims, int64_t session)
{
	struct settle_item **sorted = sl_calloc((size_t)claims, sizeof(struct settle_item *)),
			   *item;
	struct value_array jobs;
	int n = 0, above = 0;

	value_array_init(&jobs, VALUE_UUID);
	for (item = TAILQ_FIRST(items); item != NULL; item = TAILQ_NEXT(item, link)) {
		if (item->kind != SETTLE_CLAIM)
			continue;
		sorted[n++] = item;
		above += item->slot > 0;
		for (int i = 0; i < item->count; i++)
			value_array_uuid(&jobs, item->judged[i].job_id);
	}
	qsort(sorted, (size_t)n, sizeof(*sorted), claim_by_key);
	if (above < n) {
		batch->holds = claim_add_holds(unit, sorted, n, false, session, batch->repeat);
		batch->new_holds = claim_add_new(unit, sorted, n, false, session);
	}
	if (above > 0) {
		claim_add_locks(unit, sorted, n);
		batch->slot_holds = claim_add_holds(unit, sorted, n, true, session, batch->repeat);
		batch->new_slot_holds = claim_add_new(unit, sorted, n, true, session);
	}
	batch->judged = unit_add(unit, &claim_judge);
	unit_bind_array(unit, &jobs);
	free(sorted);
}

/* ---- reading -------------------------------------------------------------------------------- */

static void
claim_read_holds(const struct unit_answer *answer, int command, struct settle_items *items)
{
	const PGresult *rows;
	struct settle_item *item;

	if (command < 0)
		return;
	rows = answer->results[command];
	for (int row = 0; row < PQntuples(rows); row++) {
		int64_t key = value_int(rows, row, 0), slot = value_int(rows, row, 1);

		for (item = TAILQ_FIRST(items); item != NULL; item = TAILQ_NEXT(item, link)) {
			if (item->kind != SETTLE_CLAIM || item->key_id != key || item->slot != slot)
				continue;
			item->code = SL_OK;
			item->tenure = value_int(rows, row, 2);
			item->lost = value_bool(rows, row, 3);
		}
	}
}

/* Rows come in the order asked; a job without one is unknown. */
static void
claim_read_judged(const PGresult *rows, struct settle_items *items)
{
	struct settle_item *item;
	char id[UUID_TEXT];
	int row = 0;

	for (item = TAILQ_FIRST(items); item != NULL; item = TAILQ_NEXT(item, link)) {
		for (int i = 0; item->kind == SETTLE_CLAIM && i < item->count; i++) {
			struct settle_judged *judged = &item->judged[i];

			if (row == PQntuples(rows))
				return;
			value_uuid(rows, row, 0, id);
			if (strcmp(id, judged->job_id) != 0)
				continue;
			judged->known = true;
			judged->ended = value_bool(rows, row, 1);
			judged->waiting = value_bool(rows, row, 2);
			judged->attempt = (int)value_int(rows, row, 3);
			judged->max_retries = (int)value_int(rows, row, 4);
			judged->deaths = (int)value_int(rows, row, 5);
			judged->runner = value_int(rows, row, 6);
			row++;
		}
	}
}

void
settle_claim_read(const struct settle_batch *batch, const struct unit_answer *answer,
		  struct settle_items *items)
{
	if (batch->judged < 0)
		return;
	claim_read_holds(answer, batch->holds, items);
	claim_read_holds(answer, batch->new_holds, items);
	claim_read_holds(answer, batch->slot_holds, items);
	claim_read_holds(answer, batch->new_slot_holds, items);
	claim_read_judged(answer->results[batch->judged], items);
}
