#include "sql/health.h"

#include <assert.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "sql/unit.h"

#define HEALTH_STRING(number) #number
#define HEALTH_TEXT(number) HEALTH_STRING(number)
#define HEALTH_RECENT(table)                                                                \
	"(SELECT count(*) FROM (SELECT FROM " table " WHERE at > now() - interval '1 hour'" \
	" LIMIT " HEALTH_TEXT(HEALTH_COUNT_MAX) ") r)"

/* Of this transaction only. */
static const struct unit_statement health_limit = {
    NULL, "SELECT set_config('statement_timeout', '" HEALTH_TEXT(HEALTH_MS) "', true)"};

/* The lock is that of reclaim.c. */
static const struct unit_statement health_look = {
    NULL,
    "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint,"
    " (SELECT max(version) FROM schema_migration),"
    " EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted"
    "  AND l.classid = 1397511491 AND l.objid = 2 AND l.objsubid = 2 AND l.database ="
    "  (SELECT oid FROM pg_database WHERE datname = current_database())),"
    " (SELECT count(*) FROM session s WHERE s.live),"
    " (SELECT count(*) FROM session s WHERE s.live"
    "  AND NOT EXISTS (SELECT FROM node n WHERE n.name = s.node)),"
    " coalesce((SELECT greatest(extract(epoch FROM now() - w.due_at) * 1000, 0)"
    "  FROM retry w ORDER BY w.due_at LIMIT 1), 0)::bigint,"
    " " HEALTH_RECENT("dead") ", " HEALTH_RECENT(
	"quarantine") ","
		      " coalesce((SELECT greatest(extract(epoch FROM now() - c.next_run_at) * 1000, 0)"
		      "  FROM schedule c WHERE c.next_run_at IS NOT NULL ORDER BY c.next_run_at LIMIT 1), 0)::bigint,"
		      " (SELECT count(*) FROM (SELECT FROM sync s WHERE s.trouble = 2 AND s.trouble <> 0"
		      "  AND s.removed_at IS NULL LIMIT " HEALTH_TEXT(HEALTH_COUNT_MAX) ") r)"};

/* From lane to lane by the index: what waits behind the first of each is not looked at.  Also when the
 * statistics are those of an empty table. */
static const struct unit_statement health_by_index = {
    NULL,
    "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true)"};
static const struct unit_statement health_webhooks = {
    NULL,
    "WITH RECURSIVE lane AS ("
    " (SELECT w.endpoint_id, w.due_at FROM delivery_due w ORDER BY w.endpoint_id, w.due_at LIMIT 1)"
    " UNION ALL SELECT n.endpoint_id, n.due_at FROM lane l CROSS JOIN LATERAL"
    "  (SELECT w.endpoint_id, w.due_at FROM delivery_due w WHERE w.endpoint_id > l.endpoint_id"
    "   ORDER BY w.endpoint_id, w.due_at LIMIT 1) n)"
    " SELECT coalesce((SELECT greatest(extract(epoch FROM now() - min(l.due_at)) * 1000, 0)"
    "   FROM (SELECT * FROM lane LIMIT " HEALTH_TEXT(
	HEALTH_COUNT_MAX) ") l"
			  "   JOIN endpoint p ON p.id = l.endpoint_id"
			  "   WHERE p.paused_at IS NULL AND p.failing_since IS NULL AND p.url <> ''), 0)::bigint,"
			  " (SELECT count(*) FROM (SELECT FROM endpoint p WHERE p.paused_at IS NOT NULL"
			  "   LIMIT " HEALTH_TEXT(
			      HEALTH_COUNT_MAX) ") r),"
						" coalesce(one.uuid::text, ''), coalesce(one.name, ''), coalesce(one.pause_cause, 0)"
						" FROM (SELECT) always LEFT JOIN (SELECT p.uuid, e.name, p.pause_cause"
						"   FROM endpoint p JOIN environment e ON e.id = p.environment_id"
						"   WHERE p.paused_at IS NOT NULL ORDER BY p.pause_cause DESC, p.paused_at DESC LIMIT 1) one ON true"};

static const struct unit_statement health_keys = {
    NULL, "SELECT k.id, e.name, k.name, k.slots, e.paused_at IS NOT NULL"
	  "  OR EXISTS (SELECT FROM paused_line p WHERE p.key_id = k.id), e.draining_at IS NOT NULL"
	  " FROM concurrency_key k JOIN environment e ON e.id = k.environment_id"
	  " WHERE k.id = ANY ($1::bigint[])"};

/* Environments, and lines that are paused by themselves. */
static const struct unit_statement health_stopped = {
    NULL,
    "SELECT coalesce(k.id, 0), e.name, coalesce(k.name, ''), coalesce(k.slots, 0), s.paused,"
    " s.draining, count(*) OVER () FROM"
    " (SELECT id::bigint AS environment_id, NULL::bigint AS key_id, paused_at IS NOT NULL AS paused,"
    "   draining_at IS NOT NULL AS draining FROM environment"
    "   WHERE paused_at IS NOT NULL OR draining_at IS NOT NULL"
    "  UNION ALL SELECT k.environment_id::bigint, k.id, true, false"
    "   FROM paused_line p JOIN concurrency_key k ON k.id = p.key_id) s"
    " JOIN environment e ON e.id = s.environment_id"
    " LEFT JOIN concurrency_key k ON k.id = s.key_id"
    " ORDER BY e.name, k.name NULLS FIRST LIMIT " HEALTH_TEXT(HEALTH_STOPPED_MAX)};

struct health_call {
	health_cb *cb; /* or lines_cb */
	health_lines_cb *lines_cb;
	void *arg;
};

static struct health_line
health_line(const PGresult *rows, int i)
{
	return (struct health_line){
	    .key_id = value_int(rows, i, 0),
	    .environment = value_text(rows, i, 1),
	    .name = value_text(rows, i, 2),
	    .slots = (int)value_int(rows, i, 3),
	    .paused = value_bool(rows, i, 4),
	    .draining = value_bool(rows, i, 5),
	};
}

static void
health_on_look(void *arg, const struct unit_answer *answer)
{
	struct health_call *call = arg;
	struct health_line stopped[HEALTH_STOPPED_MAX];
	struct health health = {.stopped = stopped};

	if (answer->code == SL_OK) {
		const PGresult *row = answer->results[1], *rows = answer->results[2];
		const PGresult *webhooks = answer->results[4];

		health.clock_ms = value_int(row, 0, 0);
		health.version = (int)value_int(row, 0, 1);
		health.lock_held = value_bool(row, 0, 2);
		health.sessions = value_int(row, 0, 3);
		health.strangers = value_int(row, 0, 4);
		health.overdue_ms = value_int(row, 0, 5);
		health.dead = value_int(row, 0, 6);
		health.quarantined = value_int(row, 0, 7);
		health.late_ms = value_int(row, 0, 8);
		health.stalled = value_int(row, 0, 9);
		health.webhook_late_ms = value_int(webhooks, 0, 0);
		health.endpoints_paused = value_int(webhooks, 0, 1);
		health.paused_endpoint = value_text(webhooks, 0, 2);
		health.paused_in = value_text(webhooks, 0, 3);
		health.paused_cause = (int)value_int(webhooks, 0, 4);
		for (int i = 0; i < PQntuples(rows) && i < HEALTH_STOPPED_MAX; i++)
			stopped[health.stopped_count++] = health_line(rows, i);
		health.stopped_total = health.stopped_count > 0 ? value_int(rows, 0, 6) : 0;
	}
	call->cb(call->arg, answer->code, answer->code == SL_OK ? &health : NULL,
		 answer->code == SL_OK ? NULL : &answer->error);
	free(call);
}

void
health_ask(struct pg *pg, health_cb *cb, void *arg)
{
	struct health_call *call = sl_alloc(sizeof(*call));
	struct unit *unit = unit_new();

	call->cb = cb;
	call->arg = arg;
	unit_add(unit, &health_limit);
	unit_add(unit, &health_look);
	unit_add(unit, &health_stopped);
	unit_add(unit, &health_by_index);
	unit_add(unit, &health_webhooks);
	unit_send(unit, pg, HEALTH_MS, health_on_look, call);
}

static void
health_on_lines(void *arg, const struct unit_answer *answer)
{
	struct health_call *call = arg;
	struct health_line lines[HEALTH_LINES_MAX];
	int count = 0;

	if (answer->code == SL_OK)
		for (; count < PQntuples(answer->results[1]) && count < HEALTH_LINES_MAX; count++)
			lines[count] = health_line(answer->results[1], count);
	call->lines_cb(call->arg, answer->code, lines, count,
		       answer->code == SL_OK ? NULL : &answer->error);
	free(call);
}

void
health_lines(struct pg *pg, const int64_t *key_ids, int count, health_lines_cb *cb, void *arg)
{
	struct health_call *call = sl_alloc(sizeof(*call));
	struct unit *unit = unit_new();
	struct value_array ids;

	assert(count >= 1 && count <= HEALTH_LINES_MAX);
	call->lines_cb = cb;
	call->arg = arg;
	value_array_init(&ids, VALUE_INT8);
	for (int i = 0; i < count; i++)
		value_array_int(&ids, key_ids[i]);
	unit_add(unit, &health_limit);
	unit_add(unit, &health_keys);
	unit_bind_array(unit, &ids);
	unit_send(unit, pg, HEALTH_MS, health_on_lines, call);
}
