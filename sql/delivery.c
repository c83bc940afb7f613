#include "sql/delivery.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "sql/delivery_store.h"

static const struct unit_statement delivery_relaxed = {
    "delivery_relaxed", "SELECT set_config('synchronous_commit', 'off', true)"};

/* From the first due row of one endpoint to that of the next by one look at the index each; no further
 * than the reader needs. */
#define LANE_ROW "SELECT endpoint_id, due_at FROM delivery_due"
#define LANE_FIRST " ORDER BY endpoint_id, due_at LIMIT 1"

/* $4 is in order, so that the room of each is found by halving. */
#define CLAIM_PLACE "width_bucket(id, $4::bigint[])"
#define CLAIM_ALL                                                                                  \
	"WITH RECURSIVE ahead (id, due_at) AS ("                                                   \
	"(" LANE_ROW " WHERE endpoint_id > $6::bigint" LANE_FIRST ")"                              \
	" UNION ALL SELECT n.* FROM ahead l CROSS JOIN LATERAL"                                    \
	" (" LANE_ROW " WHERE endpoint_id > l.id" LANE_FIRST ") n),"                               \
	" behind (id, due_at) AS ("                                                                \
	"(" LANE_ROW " WHERE endpoint_id <= $6::bigint" LANE_FIRST ")"                             \
	" UNION ALL SELECT n.* FROM behind l CROSS JOIN LATERAL"                                   \
	" (" LANE_ROW " WHERE endpoint_id > l.id AND endpoint_id <= $6::bigint" LANE_FIRST ") n)," \
	" lane AS (SELECT id, CASE WHEN ($4::bigint[])[" CLAIM_PLACE "] = id"                      \
	"   THEN ($5::bigint[])[" CLAIM_PLACE "] ELSE $7::bigint END AS room"                      \
	"  FROM (SELECT * FROM ahead UNION ALL SELECT * FROM behind) l WHERE due_at <= now()),"
#define CLAIM_LISTED \
	"WITH lane AS (SELECT id, room FROM unnest($4::bigint[], $5::bigint[]) l(id, room)),"

#define CLAIM_LEASE_END "now() + $2::bigint * interval '1 millisecond'"
/* Rows are looked up by LATERAL ... LIMIT and by = ANY (ARRAY ...), which the planner may not turn into
 * joins; see settle_batch.c.  What another claim has locked it will have.  A delivery whose event is
 * gone (retention was shorter) has nothing to send and ends here. */
#define CLAIM_REST                                                                                  \
	" taken AS MATERIALIZED (SELECT d.*, p.url, p.uuid, p.open_until IS NOT NULL AS probe,"     \
	"   p.failures > 0 AS failing FROM lane l"                                                  \
	"  CROSS JOIN LATERAL (SELECT url, uuid, open_until, failures FROM endpoint"                \
	"   WHERE id = l.id AND url <> '' AND paused_at IS NULL"                                    \
	"    AND (open_until IS NULL OR open_until <= now()) LIMIT 1) p"                            \
	"  CROSS JOIN LATERAL (SELECT delivery_id, endpoint_id, due_at, claim FROM delivery_due"    \
	"   WHERE endpoint_id = l.id AND due_at <= now() ORDER BY due_at"                           \
	"   LIMIT CASE WHEN p.open_until IS NULL THEN l.room ELSE 1 END"                            \
	"   FOR UPDATE SKIP LOCKED) d"                                                              \
	"  WHERE l.room > 0 LIMIT $1::bigint),"                                                     \
	" told AS MATERIALIZED (SELECT t.*, v.event_id, v.environment_id, v.tries, v.base, o.body," \
	"   sum(octet_length(o.body)) OVER (ROWS UNBOUNDED PRECEDING) AS bytes FROM taken t"        \
	"  LEFT JOIN LATERAL (SELECT event_id, environment_id, tries, base FROM delivery"           \
	"   WHERE id = t.delivery_id LIMIT 1) v ON true"                                            \
	"  LEFT JOIN LATERAL (SELECT body FROM outbox WHERE id = v.event_id LIMIT 1) o ON true),"   \
	" stray AS (DELETE FROM delivery_due WHERE delivery_id = ANY (ARRAY("                       \
	"   SELECT delivery_id FROM told WHERE body IS NULL)) RETURNING delivery_id),"              \
	" lost AS (UPDATE delivery SET state = 4, ended_at = now()"                                 \
	"  WHERE id = ANY (ARRAY(SELECT delivery_id FROM stray))),"                                 \
	" probed AS (UPDATE endpoint SET open_until = " CLAIM_LEASE_END                             \
	"  WHERE id = ANY (ARRAY(SELECT id FROM endpoint WHERE id = ANY (ARRAY("                    \
	"     SELECT endpoint_id FROM told WHERE probe AND body IS NOT NULL))"                      \
	"    AND open_until <= now() FOR UPDATE SKIP LOCKED)) RETURNING id),"                       \
	" mine AS MATERIALIZED (SELECT t.* FROM told t WHERE t.body IS NOT NULL"                    \
	"   AND (t.bytes <= $3::bigint OR t.bytes = octet_length(t.body))"                          \
	"   AND (NOT t.probe OR t.endpoint_id IN (SELECT id FROM probed))),"                        \
	" claimed AS (UPDATE delivery_due SET due_at = " CLAIM_LEASE_END ","                        \
	"   claim = claim + 1 + (claim & 1)"                                                        \
	"  WHERE delivery_id = ANY (ARRAY(SELECT delivery_id FROM mine)))"                          \
	" SELECT m.delivery_id, m.event_id, m.claim + 1 + (m.claim & 1), m.endpoint_id,"            \
	"  m.environment_id, m.tries + 1, m.tries + 1 - m.base, m.url, m.body, e.uuid,"             \
	"  e.signing_key, e.signing_key_before,"                                                    \
	"  coalesce((extract(epoch FROM now() - e.signing_key_at) * 1000)::bigint, -1),"            \
	"  (extract(epoch FROM now() - m.due_at) * 1000)::bigint, m.failing, m.uuid"                \
	" FROM mine m LEFT JOIN LATERAL (SELECT uuid, signing_key, signing_key_before,"             \
	"   signing_key_at FROM environment WHERE id = m.environment_id LIMIT 1) e ON true"

static const struct unit_statement delivery_claim_all = {"delivery_claim_all",
							 CLAIM_ALL CLAIM_REST};
static const struct unit_statement delivery_claim_listed = {"delivery_claim_listed",
							    CLAIM_LISTED CLAIM_REST};

static const struct unit_statement delivery_look = {
    "delivery_look",
    "WITH RECURSIVE lane (id, due_at) AS ((" LANE_ROW LANE_FIRST ")"
    " UNION ALL SELECT n.* FROM lane l CROSS JOIN LATERAL"
    " (" LANE_ROW " WHERE endpoint_id > l.id" LANE_FIRST ") n) SELECT"
    " (SELECT count(*) FROM (SELECT FROM delivery_due LIMIT $1::bigint) d),"
    " coalesce((SELECT (extract(epoch FROM now() - min(l.due_at)) * 1000)::bigint FROM lane l"
    "  WHERE l.due_at <= now() AND (SELECT p.url <> '' AND p.paused_at IS NULL"
    "    AND (p.open_until IS NULL OR p.open_until <= now())"
    "   FROM endpoint p WHERE p.id = l.id)), 0), t.paused, t.open, t.failing FROM ("
    "  SELECT count(*) FILTER (WHERE paused) AS paused,"
    "   count(*) FILTER (WHERE NOT paused AND open) AS open,"
    "   count(*) FILTER (WHERE NOT paused AND NOT open) AS failing FROM ("
    "   SELECT paused_at IS NOT NULL AS paused, coalesce(open_until > now(), false) AS open"
    "   FROM endpoint WHERE (paused_at IS NOT NULL OR failing_since IS NOT NULL)"
    "    AND url <> '') p) t"};

struct delivery_call {
	delivery_claim_cb *claim_cb; /* one of the two */
	delivery_survey_cb *survey_cb;
	void *arg;
	int64_t after; /* claim */
};

/* ---- the store ------------------------------------------------------------------------------ */

struct delivery_store *
delivery_store_new(struct loop *loop, const struct pg_settings *settings)
{
	struct delivery_store *store = sl_alloc(sizeof(*store));
	struct pg_settings hot = *settings;

	hot.hot = true; /* every statement goes by an index */
	store->loop = loop;
	store->pg = pg_new(loop, &hot, NULL, NULL);
	delivery_record_init(store);
	return store;
}

void
delivery_store_free(struct delivery_store *store)
{
	if (store == NULL)
		return;
	store->closed = true;
	pg_free(store->pg);
	delivery_record_fini(store);
	loop_free_later(store->loop, free, store);
}

bool
delivery_store_is_up(const struct delivery_store *store)
{
	return pg_is_up(store->pg);
}

void
delivery_add_relaxed(struct unit *unit)
{
	unit_add(unit, &delivery_relaxed);
}

static struct delivery_call *
delivery_call_new(void *arg)
{
	struct delivery_call *call = sl_alloc(sizeof(*call));

	call->arg = arg;
	return call;
}

/* ---- claiming ------------------------------------------------------------------------------- */

static void
delivery_read(struct delivery_claimed *row, const PGresult *rows, int at)
{
	value_uuid(rows, at, 0, row->id);
	value_uuid(rows, at, 1, row->event_id);
	row->claim = value_int(rows, at, 2);
	row->endpoint_id = value_int(rows, at, 3);
	row->environment_id = value_int(rows, at, 4);
	row->number = (int)value_int(rows, at, 5);
	row->round = (int)value_int(rows, at, 6);
	row->url = value_text(rows, at, 7);
	row->body = value_text(rows, at, 8);
	row->environment_uuid = value_text(rows, at, 9);
	row->signing_key = value_text(rows, at, 10);
	row->signing_key_before = value_text(rows, at, 11);
	row->signing_key_age_ms = value_int(rows, at, 12);
	row->late_ms = value_int(rows, at, 13);
	row->failing = value_bool(rows, at, 14);
	value_uuid(rows, at, 15, row->endpoint_uuid);
}

static void
delivery_on_claimed(void *arg, const struct unit_answer *answer)
{
	struct delivery_call *call = arg;
	const PGresult *rows = answer->code == SL_OK ? answer->results[1] : NULL;
	int count = rows != NULL ? PQntuples(rows) : 0;
	struct delivery_claimed *claimed = sl_calloc((size_t)count + 1, sizeof(*claimed));

	for (int i = 0; i < count; i++)
		delivery_read(&claimed[i], rows, i);
	call->claim_cb(call->arg, answer->code, claimed, count,
		       count > 0 ? claimed[count - 1].endpoint_id : call->after,
		       answer->code == SL_OK ? NULL : &answer->error);
	free(claimed);
	free(call);
}

static int
delivery_by_endpoint(const void *a, const void *b)
{
	const struct delivery_lane *one = a, *other = b;

	return (one->endpoint_id > other->endpoint_id) - (one->endpoint_id < other->endpoint_id);
}

/* By id; of a claim that looks at nothing else, those behind after first. */
static void
delivery_bind_lanes(struct unit *unit, const struct delivery_ask *ask)
{
	size_t count = (size_t)ask->lane_count, first = 0;
	struct delivery_lane *lanes = sl_calloc(count + 1, sizeof(*lanes));
	struct value_array ids, rooms;

	if (count > 0)
		memcpy(lanes, ask->lanes, count * sizeof(*lanes));
	qsort(lanes, count, sizeof(*lanes), delivery_by_endpoint);
	while (ask->fresh_room <= 0 && first < count && lanes[first].endpoint_id <= ask->after)
		first++;
	value_array_init(&ids, VALUE_INT8);
	value_array_init(&rooms, VALUE_INT8);
	for (size_t i = 0; i < count; i++) {
		const struct delivery_lane *lane = &lanes[(first + i) % count];

		value_array_int(&ids, lane->endpoint_id);
		value_array_int(&rooms, lane->room > 0 ? lane->room : 0);
	}
	unit_bind_array(unit, &ids);
	unit_bind_array(unit, &rooms);
	free(lanes);
}

void
delivery_claim(struct delivery_store *store, const struct delivery_ask *ask, delivery_claim_cb *cb,
	       void *arg)
{
	struct delivery_call *call = delivery_call_new(arg);
	struct unit *unit = unit_new();

	call->claim_cb = cb;
	call->after = ask->after;
	delivery_add_relaxed(unit);
	unit_add(unit, ask->fresh_room > 0 ? &delivery_claim_all : &delivery_claim_listed);
	unit_bind_int(unit, ask->room);
	unit_bind_int(unit, ask->lease_ms);
	unit_bind_int(unit, ask->bytes > 0 ? ask->bytes : INT64_MAX);
	delivery_bind_lanes(unit, ask);
	if (ask->fresh_room > 0) {
		unit_bind_int(unit, ask->after);
		unit_bind_int(unit, ask->fresh_room);
	}
	unit_send(unit, store->pg, UNIT_WAIT_MS, delivery_on_claimed, call);
}

/* ---- looking -------------------------------------------------------------------------------- */

static void
delivery_on_look(void *arg, const struct unit_answer *answer)
{
	struct delivery_call *call = arg;
	struct delivery_survey survey = {0};

	if (answer->code == SL_OK) {
		const PGresult *row = answer->results[0];

		survey.pending = value_int(row, 0, 0);
		survey.oldest_ms = value_int(row, 0, 1);
		survey.paused = value_int(row, 0, 2);
		survey.open = value_int(row, 0, 3);
		survey.failing = value_int(row, 0, 4);
	}
	call->survey_cb(call->arg, answer->code, answer->code == SL_OK ? &survey : NULL,
			answer->code == SL_OK ? NULL : &answer->error);
	free(call);
}

void
delivery_survey(struct delivery_store *store, delivery_survey_cb *cb, void *arg)
{
	struct delivery_call *call = delivery_call_new(arg);
	struct unit *unit = unit_new();

	call->survey_cb = cb;
	unit_add(unit, &delivery_look);
	unit_bind_int(unit, DELIVERY_PENDING_MAX);
	unit_send(unit, store->pg, UNIT_WAIT_MS, delivery_on_look, call);
}
