#include "sql/delivery_store.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/utf8.h"

#define RECORD_ROWS 256
#define RECORD_BYTES ((size_t)4 << 20) /* of answers in one transaction, more or less */
#define RECORD_AGAIN_MS 200
#define RECORD_KEEP_MS 60000 /* how long a record is tried */

/* The row of delivery_due is the fence: who takes it away, or makes its claim even, has written the
 * try.  What a repeat would find a second time is not there any more.  No joins, whose plans would be
 * those of an empty table: see settle_batch.c. */
static const struct unit_statement record_tries = {
    "delivery_tries",
    "WITH mine AS MATERIALIZED (SELECT u.* FROM unnest($1::uuid[], $2::bigint[], $3::bigint[],"
    "  $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::bigint[], $9::text[], $10::text[],"
    "  $11::text[], $12::bytea[], $13::bigint[], $14::bigint[], $15::bigint[]) WITH ORDINALITY"
    "  u(id, claim, number, at, took, node, url, status, failure, detail, headers, answer, cut,"
    "   outcome, delay, o) CROSS JOIN LATERAL (SELECT FROM delivery_due d"
    "   WHERE d.delivery_id = u.id AND d.claim = u.claim LIMIT 1 FOR UPDATE) d),"
    " ended AS (DELETE FROM delivery_due"
    "  WHERE delivery_id = ANY (ARRAY(SELECT id FROM mine WHERE outcome <> 1))),"
    " moved AS (UPDATE delivery_due SET claim = claim + 1, due_at = now()"
    "   + ($15::bigint[])[array_position($1::uuid[], delivery_id)] * interval '1 millisecond'"
    "  WHERE delivery_id = ANY (ARRAY(SELECT id FROM mine WHERE outcome = 1))),"
    " logged AS (INSERT INTO delivery_try (delivery_id, number, at, took_ms, node, url, status,"
    "   failure, detail, headers, answer, cut)"
    "  SELECT id, number, timestamptz 'epoch' + at * interval '1 millisecond', took, node, url,"
    "   status, failure, detail, headers, answer, cut <> 0 FROM mine ON CONFLICT DO NOTHING),"
    " good AS (UPDATE delivery SET tries = tries + 1, state = 3, ended_at = now()"
    "  WHERE id = ANY (ARRAY(SELECT id FROM mine WHERE outcome = 0))),"
    " again AS (UPDATE delivery SET tries = tries + 1, state = 2"
    "  WHERE id = ANY (ARRAY(SELECT id FROM mine WHERE outcome = 1))),"
    " over AS (UPDATE delivery SET tries = tries + 1, state = 4, ended_at = now()"
    "  WHERE id = ANY (ARRAY(SELECT id FROM mine WHERE outcome = 2)))"
    " SELECT o FROM mine"};

/* Which of them are written, by the unit that this one repeats or by this one. */
static const struct unit_statement record_again = {
    "delivery_tries_again",
    "SELECT o FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[]) WITH ORDINALITY"
    " u(id, number, at, node, o) WHERE (SELECT t.node = u.node"
    "   AND t.at = timestamptz 'epoch' + u.at * interval '1 millisecond'"
    "  FROM delivery_try t WHERE t.delivery_id = u.id AND t.number = u.number)"};

/* Behind the tries, and only for those that this transaction wrote.  An endpoint that is healthy and
 * stays so is read, not written. */
static const struct unit_statement record_trouble = {
    "delivery_trouble",
    "WITH seen AS MATERIALIZED (SELECT e, url, bool_or(ok = 1) AS ok,"
    "   count(*) FILTER (WHERE ok = 0) AS failed, bool_or(gone = 1) AS gone, max(open) AS open,"
    "   min(patience) AS patience"
    "  FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[],"
    "   $7::bigint[], $8::bigint[]) u(id, number, e, url, ok, gone, open, patience)"
    "  WHERE (SELECT t.xmin = pg_current_xact_id()::xid FROM delivery_try t"
    "   WHERE t.delivery_id = u.id AND t.number = u.number) GROUP BY e, url),"
    " held AS MATERIALIZED (SELECT s.*, p.* FROM (SELECT * FROM seen ORDER BY e) s"
    "  CROSS JOIN LATERAL (SELECT id, failures, failing_since, open_until, paused_at, pause_cause"
    "   FROM endpoint WHERE id = s.e AND url = s.url"
    "    AND (s.failed > 0 OR failing_since IS NOT NULL OR open_until IS NOT NULL)"
    "   LIMIT 1 FOR UPDATE) p),"
    " news AS MATERIALIZED (SELECT id, CASE WHEN ok THEN 0 ELSE failures END + failed AS failures,"
    "   CASE WHEN failed = 0 THEN NULL WHEN ok THEN now()"
    "    ELSE coalesce(failing_since, now()) END AS failing_since,"
    "   CASE WHEN open > 0 THEN greatest(open_until, now() + open * interval '1 millisecond')"
    "    WHEN NOT ok THEN open_until END AS open_until,"
    "   CASE WHEN paused_at IS NOT NULL THEN pause_cause WHEN gone THEN 2"
    "    WHEN failed > 0 AND NOT ok"
    "     AND failing_since < now() - patience * interval '1 millisecond' THEN 3"
    "    ELSE 0 END AS cause, paused_at FROM held)"
    " UPDATE endpoint p SET (failures, failing_since, open_until, pause_cause, paused_at) ="
    "   (SELECT n.failures, n.failing_since, n.open_until, n.cause,"
    "     CASE WHEN n.cause <> 0 THEN coalesce(n.paused_at, now()) END FROM news n"
    "    WHERE n.id = p.id LIMIT 1)"
    "  WHERE id = ANY (ARRAY(SELECT id FROM news))"
    " RETURNING id, coalesce(paused_at = now(), false), pause_cause"};

/* ---- items ---------------------------------------------------------------------------------- */

/* What is no UTF-8 becomes U+FFFD.  Owned by the caller. */
static char *
record_text(const char *text)
{
	size_t left = text == NULL ? 0 : strlen(text), len;
	struct buf out;

	buf_init(&out, left * 3 + 1);
	for (; left > 0; text += len, left -= len) {
		len = utf8_len(text, left);
		if (len > 0) {
			buf_add(&out, text, len);
		} else {
			buf_add_text(&out, "\xEF\xBF\xBD");
			len = 1;
		}
	}
	return out.len > 0 ? buf_take(&out, NULL) : sl_strdup("");
}

static struct delivery_item *
record_item_new(const struct delivery_tried *tried)
{
	struct delivery_item *item = sl_alloc(sizeof(*item));
	char *answer = sl_alloc(tried->answer.len + 1);

	if (tried->answer.len > 0)
		memcpy(answer, tried->answer.data, tried->answer.len);
	item->tried = *tried;
	item->tried.url = record_text(tried->url);
	item->tried.failure = record_text(tried->failure);
	item->tried.detail = record_text(tried->detail);
	item->tried.headers = record_text(tried->headers);
	item->tried.answer.data = answer;
	item->bytes = tried->answer.len + strlen(item->tried.headers);
	return item;
}

static void
record_item_free(struct delivery_item *item)
{
	free((char *)(uintptr_t)item->tried.url);
	free((char *)(uintptr_t)item->tried.failure);
	free((char *)(uintptr_t)item->tried.detail);
	free((char *)(uintptr_t)item->tried.headers);
	free((char *)(uintptr_t)item->tried.answer.data);
	free(item->node);
	free(item);
}

/* A callback may hand in more, or free the store. */
static void
record_answer(struct delivery_items *done, const struct sl_error *error)
{
	struct delivery_item *item;

	while ((item = TAILQ_FIRST(done)) != NULL) {
		TAILQ_REMOVE(done, item, link);
		item->cb(item->arg, item->code, item->paused, item->code == SL_OK ? NULL : error);
		record_item_free(item);
	}
}

/* ---- the unit ------------------------------------------------------------------------------- */

enum { /* columns of record_tries */
       COLUMN_ID,
       COLUMN_CLAIM,
       COLUMN_NUMBER,
       COLUMN_AT,
       COLUMN_TOOK,
       COLUMN_NODE,
       COLUMN_URL,
       COLUMN_STATUS,
       COLUMN_FAILURE,
       COLUMN_DETAIL,
       COLUMN_HEADERS,
       COLUMN_ANSWER,
       COLUMN_CUT,
       COLUMN_OUTCOME,
       COLUMN_DELAY,
       COLUMNS
};

static int64_t
record_at_most(int64_t number, int64_t most)
{
	return number < 0 ? 0 : number > most ? most : number;
}

static void
record_add_tries(struct unit *unit, const struct delivery_items *items)
{
	static const enum value_type types[COLUMNS] = {
	    VALUE_UUID, VALUE_INT8,  VALUE_INT8, VALUE_INT8, VALUE_INT8,
	    VALUE_TEXT, VALUE_TEXT,  VALUE_INT8, VALUE_TEXT, VALUE_TEXT,
	    VALUE_TEXT, VALUE_BYTEA, VALUE_INT8, VALUE_INT8, VALUE_INT8};
	struct value_array columns[COLUMNS];
	const struct delivery_item *item;

	for (int i = 0; i < COLUMNS; i++)
		value_array_init(&columns[i], types[i]);
	for (item = TAILQ_FIRST(items); item != NULL; item = TAILQ_NEXT(item, link)) {
		const struct delivery_tried *tried = &item->tried;

		value_array_uuid(&columns[COLUMN_ID], tried->id);
		value_array_int(&columns[COLUMN_CLAIM], tried->claim);
		value_array_int(&columns[COLUMN_NUMBER], tried->number);
		value_array_int(&columns[COLUMN_AT], tried->at_ms);
		value_array_int(&columns[COLUMN_TOOK], record_at_most(tried->took_ms, INT_MAX));
		value_array_text(&columns[COLUMN_NODE], item->node);
		value_array_text(&columns[COLUMN_URL], tried->url);
		value_array_int(&columns[COLUMN_STATUS], record_at_most(tried->status, SHRT_MAX));
		value_array_text(&columns[COLUMN_FAILURE], tried->failure);
		value_array_text(&columns[COLUMN_DETAIL], tried->detail);
		value_array_text(&columns[COLUMN_HEADERS], tried->headers);
		value_array_bytes(&columns[COLUMN_ANSWER], tried->answer);
		value_array_int(&columns[COLUMN_CUT], tried->cut);
		value_array_int(&columns[COLUMN_OUTCOME], tried->outcome);
		value_array_int(&columns[COLUMN_DELAY], record_at_most(tried->delay_ms, INT_MAX));
	}
	unit_add(unit, &record_tries);
	for (int i = 0; i < COLUMNS; i++)
		unit_bind_array(unit, &columns[i]);
}

static void
record_add_again(struct unit *unit, const struct delivery_items *items)
{
	struct value_array ids, numbers, times, nodes;
	const struct delivery_item *item;

	value_array_init(&ids, VALUE_UUID);
	value_array_init(&numbers, VALUE_INT8);
	value_array_init(&times, VALUE_INT8);
	value_array_init(&nodes, VALUE_TEXT);
	for (item = TAILQ_FIRST(items); item != NULL; item = TAILQ_NEXT(item, link)) {
		value_array_uuid(&ids, item->tried.id);
		value_array_int(&numbers, item->tried.number);
		value_array_int(&times, item->tried.at_ms);
		value_array_text(&nodes, item->node);
	}
	unit_add(unit, &record_again);
	unit_bind_array(unit, &ids);
	unit_bind_array(unit, &numbers);
	unit_bind_array(unit, &times);
	unit_bind_array(unit, &nodes);
}

struct record_place { /* an item and its place in the batch */
	const struct delivery_item *item;
	int place;
};

/* The latest of each endpoint first. */
static int
record_by_endpoint(const void *a, const void *b)
{
	const struct record_place *one = a, *other = b;
	int64_t left = one->item->tried.endpoint_id, right = other->item->tried.endpoint_id;

	if (left != right)
		return (left > right) - (left < right);
	return other->place - one->place;
}

/* What the endpoints' trouble depends on: of each the last success, the failures behind it, and
 * whatever says that it is gone. */
static void
record_add_trouble(struct unit *unit, const struct delivery_items *items)
{
	enum { ID, NUMBER, ENDPOINT, URL, OK, GONE, OPEN, PATIENCE, TROUBLE_COLUMNS };
	struct value_array columns[TROUBLE_COLUMNS];
	struct record_place sorted[RECORD_ROWS];
	const struct delivery_item *item;
	int64_t endpoint = 0, cleared = 0;
	int count = 0;

	for (item = TAILQ_FIRST(items); item != NULL; item = TAILQ_NEXT(item, link), count++)
		sorted[count] = (struct record_place){item, count};
	qsort(sorted, (size_t)count, sizeof(*sorted), record_by_endpoint);
	for (int i = 0; i < TROUBLE_COLUMNS; i++)
		value_array_init(&columns[i], i == ID    ? VALUE_UUID
					      : i == URL ? VALUE_TEXT
							 : VALUE_INT8);
	for (int i = 0; i < count; i++) {
		const struct delivery_tried *tried = &sorted[i].item->tried;
		bool ok = tried->outcome == DELIVERY_OK;

		endpoint = tried->endpoint_id;
		if (cleared == endpoint && !tried->gone)
			continue;
		if (ok)
			cleared = endpoint;
		value_array_uuid(&columns[ID], tried->id);
		value_array_int(&columns[NUMBER], tried->number);
		value_array_int(&columns[ENDPOINT], endpoint);
		value_array_text(&columns[URL], tried->url);
		value_array_int(&columns[OK], ok);
		value_array_int(&columns[GONE], tried->gone);
		value_array_int(&columns[OPEN], record_at_most(tried->open_ms, INT_MAX));
		value_array_int(&columns[PATIENCE], sorted[i].item->pause_after_ms);
	}
	unit_add(unit, &record_trouble);
	for (int i = 0; i < TROUBLE_COLUMNS; i++)
		unit_bind_array(unit, &columns[i]);
}

/* ---- sending -------------------------------------------------------------------------------- */

static void record_flush(struct delivery_store *store);

/* Tells the try that brought the pause about; one of them, if several did. */
static void
record_mark_paused(struct delivery_items *items, int64_t endpoint_id, enum endpoint_pause cause)
{
	struct delivery_item *item;

	for (item = TAILQ_FIRST(items); item != NULL; item = TAILQ_NEXT(item, link)) {
		const struct delivery_tried *tried = &item->tried;

		if (item->code != SL_OK || tried->endpoint_id != endpoint_id ||
		    tried->outcome == DELIVERY_OK || tried->gone != (cause == ENDPOINT_PAUSE_GONE))
			continue;
		item->paused = true;
		return;
	}
}

/* Units are: relaxed, tries, trouble, and tries again of one that repeats. */
static void
record_read(struct delivery_store *store, const struct unit_answer *answer)
{
	const PGresult *rows = answer->results[store->doubt ? 3 : 1], *paused = answer->results[2];
	struct delivery_item *item, *items[RECORD_ROWS];
	int count = 0;

	for (item = TAILQ_FIRST(&store->flight); item != NULL; item = TAILQ_NEXT(item, link)) {
		item->code = SL_CONFLICT;
		items[count++] = item;
	}
	for (int i = 0; i < PQntuples(rows); i++)
		items[value_int(rows, i, 0) - 1]->code = SL_OK;
	for (int i = 0; i < PQntuples(paused); i++)
		if (value_bool(paused, i, 1))
			record_mark_paused(&store->flight, value_int(paused, i, 0),
					   (enum endpoint_pause)value_int(paused, i, 2));
}

/* Moves those that were tried for long enough. */
static void
record_expire(struct delivery_items *from, struct delivery_items *late)
{
	struct delivery_item *item, *next;
	int64_t now = clock_mono_ms();

	for (item = TAILQ_FIRST(from); item != NULL; item = next) {
		next = TAILQ_NEXT(item, link);
		if (item->until_ms > now)
			continue;
		TAILQ_REMOVE(from, item, link);
		TAILQ_INSERT_TAIL(late, item, link);
		item->code = SL_UNAVAILABLE;
	}
}

static void
record_on_answer(void *arg, const struct unit_answer *answer)
{
	struct delivery_store *store = arg;
	struct delivery_items done = TAILQ_HEAD_INITIALIZER(done);
	struct delivery_item *item;
	struct sl_error error = answer->error;

	if (store->closed)
		return;
	store->outstanding = false;
	if (answer->code == SL_UNAVAILABLE) {
		store->doubt = store->doubt || answer->in_doubt;
		record_expire(&store->flight, &done);
		record_expire(&store->queue, &done);
		loop_timer_in(store->again, RECORD_AGAIN_MS);
	} else {
		if (answer->code == SL_OK) {
			record_read(store, answer);
			sl_fail(&error, SL_CONFLICT, "the claim was taken over");
		}
		TAILQ_CONCAT(&done, &store->flight, link);
		for (item = TAILQ_FIRST(&done); item != NULL && answer->code != SL_OK;
		     item = TAILQ_NEXT(item, link))
			item->code = answer->code;
		store->doubt = false;
	}
	record_answer(&done, &error);
	if (!store->closed)
		record_flush(store);
}

static void
record_send(struct delivery_store *store)
{
	struct unit *unit = unit_new();

	delivery_add_relaxed(unit);
	record_add_tries(unit, &store->flight);
	record_add_trouble(unit, &store->flight);
	if (store->doubt)
		record_add_again(unit, &store->flight);
	store->outstanding = true;
	unit_send(unit, store->pg, UNIT_WAIT_MS, record_on_answer, store);
}

static void
record_fill_flight(struct delivery_store *store)
{
	struct delivery_item *item;
	size_t bytes = 0;

	store->doubt = false;
	for (int rows = 0; rows < RECORD_ROWS && (item = TAILQ_FIRST(&store->queue)) != NULL;
	     rows++) {
		bytes += item->bytes;
		if (rows > 0 && bytes > RECORD_BYTES)
			return;
		TAILQ_REMOVE(&store->queue, item, link);
		TAILQ_INSERT_TAIL(&store->flight, item, link);
	}
}

/* What did not succeed goes first, as it was. */
static void
record_flush(struct delivery_store *store)
{
	if (store->outstanding || loop_timer_is_armed(store->again))
		return;
	if (TAILQ_EMPTY(&store->flight))
		record_fill_flight(store);
	if (!TAILQ_EMPTY(&store->flight))
		record_send(store);
}

static void
record_on_again(void *arg)
{
	record_flush(arg);
}

static void
record_on_turn_end(void *arg)
{
	struct delivery_store *store = arg;

	store->flushing = false;
	if (!store->closed)
		record_flush(store);
}

void
delivery_record(struct delivery_store *store, const char *node, const struct delivery_tried *tried,
		int64_t pause_after_ms, delivery_record_cb *cb, void *arg)
{
	struct delivery_item *item = record_item_new(tried);

	item->node = sl_strdup(node);
	item->pause_after_ms = pause_after_ms;
	item->until_ms = clock_mono_ms() + RECORD_KEEP_MS;
	item->cb = cb;
	item->arg = arg;
	TAILQ_INSERT_TAIL(&store->queue, item, link);
	if (store->flushing || store->closed)
		return;
	store->flushing = true;
	loop_soon(store->loop, record_on_turn_end, store);
}

void
delivery_record_init(struct delivery_store *store)
{
	TAILQ_INIT(&store->queue);
	TAILQ_INIT(&store->flight);
	store->again = loop_timer_new(store->loop, record_on_again, store);
}

void
delivery_record_fini(struct delivery_store *store)
{
	struct sl_error error;
	struct delivery_item *item;

	loop_timer_free(store->again);
	sl_fail(&error, SL_UNAVAILABLE, "the connection was closed");
	while (!TAILQ_EMPTY(&store->flight) || !TAILQ_EMPTY(&store->queue)) {
		struct delivery_items done = TAILQ_HEAD_INITIALIZER(done);

		TAILQ_CONCAT(&done, &store->flight, link);
		TAILQ_CONCAT(&done, &store->queue, link);
		for (item = TAILQ_FIRST(&done); item != NULL; item = TAILQ_NEXT(item, link))
			item->code = SL_UNAVAILABLE;
		record_answer(&done, &error);
	}
}
