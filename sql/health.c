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
    NULL, "SET LOCAL statement_timeout = " HEALTH_TEXT(HEALTH_MS)};

/* The lock is that of reclaim.c. */
static const struct unit_statement health_look = {
    NULL, "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint,"
	  " (SELECT max(version) FROM schema_migration),"
	  " EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted"
	  "  AND l.classid = 1397511491 AND l.objid = 2 AND l.objsubid = 2 AND l.database ="
	  "  (SELECT oid FROM pg_database WHERE datname = current_database())),"
	  " (SELECT count(*) FROM session s WHERE s.live),"
	  " (SELECT count(*) FROM session s WHERE s.live"
	  "  AND NOT EXISTS (SELECT FROM node n WHERE n.name = s.node)),"
	  " coalesce((SELECT greatest(extract(epoch FROM now() - w.due_at) * 1000, 0)"
	  "  FROM retry w ORDER BY w.due_at LIMIT 1), 0)::bigint,"
	  " " HEALTH_RECENT("dead") ", " HEALTH_RECENT("quarantine")};

static const struct unit_statement health_keys = {
    NULL, "SELECT k.id, e.name, k.name, k.slots FROM concurrency_key k"
	  " JOIN environment e ON e.id = k.environment_id WHERE k.id = ANY ($1::bigint[])"};

struct health_call {
	health_cb *cb; /* or lines_cb */
	health_lines_cb *lines_cb;
	void *arg;
};

static void
health_on_look(void *arg, const struct unit_answer *answer)
{
	struct health_call *call = arg;
	struct health health = {0};

	if (answer->code == SL_OK) {
		const PGresult *row = answer->results[1];

		health.clock_ms = value_int(row, 0, 0);
		health.version = (int)value_int(row, 0, 1);
		health.lock_held = value_bool(row, 0, 2);
		health.sessions = value_int(row, 0, 3);
		health.strangers = value_int(row, 0, 4);
		health.overdue_ms = value_int(row, 0, 5);
		health.dead = value_int(row, 0, 6);
		health.quarantined = value_int(row, 0, 7);
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
			lines[count] = (struct health_line){
			    .key_id = value_int(answer->results[1], count, 0),
			    .environment = value_text(answer->results[1], count, 1),
			    .name = value_text(answer->results[1], count, 2),
			    .slots = (int)value_int(answer->results[1], count, 3),
			};
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
