#include "sql/inspect_sync.h"

#include <assert.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "sql/dead_store.h"

struct inspect_sync_call {
	union { /* the one that the reader of the answer knows */
		inspect_syncs_cb *rows;
		inspect_sync_cb *row;
	} cb;
	void *arg;
	int limit, scan;
};

#define INSPECT_SYNC_STRING(number) #number
#define INSPECT_SYNC_TEXT(number) INSPECT_SYNC_STRING(number)
#define INSPECT_SYNC_LATE_BEFORE \
	"now() - interval '" INSPECT_SYNC_TEXT(INSPECT_SYNC_LATE_MS) " milliseconds'"

/* What is said of a sync without a look at the ledger's jobs: f, i, c, p. */
#define INSPECT_SYNC_BASE                                                                               \
	"SELECT s.id, s.uuid, s.environment_id, s.connection_id, s.function_id, s.variant,"             \
	"  s.job_id, s.claimed_at, s.last_state, s.last_ended, s.last_result, s.last_success,"          \
	"  s.trouble, s.trouble_at, s.still_runs, f.name, v.id AS version_id, v.version, i.unique_key," \
	"  i.id AS integration_id, c.connection_id AS connection,"                                      \
	"  p.sync_id IS NOT NULL AS scheduled, p.started,"                                              \
	"  p.frequency, p.every_ms, p.next_run_at"                                                      \
	" FROM sync s JOIN function f ON f.id = s.function_id"                                          \
	"  JOIN integration i ON i.id = f.integration_id"                                               \
	"  JOIN connection c ON c.id = s.connection_id AND c.integration_id = i.id"                     \
	"  LEFT JOIN function_version v ON v.id = f.version_id AND f.enabled"                           \
	"  LEFT JOIN schedule p ON p.sync_id = s.id"                                                    \
	" WHERE s.removed_at IS NULL AND f.deleted_at IS NULL AND "

#define INSPECT_SYNC_OPEN                           \
	"(b.job_id IS NOT NULL AND e.state IS NULL" \
	" AND (j.accepted_at IS NOT NULL"           \
	"  OR b.claimed_at > now() - interval '1 minute'))"

/* What the definitions of rows b say of frequencies: each is read once, and they may be large. */
#define INSPECT_SYNC_DECLARED                                                               \
	", d AS MATERIALIZED (SELECT v.id, definition_member(v.definition, 'runs') AS runs" \
	"  FROM function_version v WHERE v.id IN (SELECT b.version_id FROM b))"

/* Times in one place, for the sake of those who read the rest. */
#define INSPECT_SYNC_AT(column) "coalesce(" DEAD_MS(column) ", 0)"
#define INSPECT_SYNC_RUN_TIMES INSPECT_SYNC_AT("j.accepted_at") ", " INSPECT_SYNC_AT("a.began")
#define INSPECT_SYNC_END_TIMES \
	INSPECT_SYNC_AT("coalesce(e.ended_at, b.last_ended)") ", " INSPECT_SYNC_AT("b.last_success")
#define INSPECT_SYNC_TIMES                                                \
	INSPECT_SYNC_AT("b.trouble_at")                                   \
	", " INSPECT_SYNC_AT("b.next_run_at") ", " INSPECT_SYNC_RUN_TIMES \
					      ", " INSPECT_SYNC_END_TIMES

/* Of a row b of the above.  The ledger is looked up row by row, in ways that the planner cannot turn into
 * joins (settle_batch.c); the numbers are those of enum inspect_sync_state. */
#define INSPECT_SYNC_SHOWN                                                                    \
	"b.id, b.uuid, b.environment_id::bigint, b.connection_id AS row, b.function_id,"      \
	" b.integration_id, coalesce(n.name, ''), b.unique_key, b.connection, b.name,"        \
	" b.variant, coalesce(b.version, ''), coalesce(d.runs, ''), b.trouble, b.still_runs," \
	" b.scheduled, coalesce(b.started, false), coalesce(b.frequency, ''),"                \
	" coalesce(b.every_ms, 0), greatest(coalesce((extract(epoch FROM now()"               \
	" - b.next_run_at) * 1000)::bigint, 0), 0), b.job_id, coalesce(a.number, 0)::bigint," \
	" coalesce(l.node, ''), coalesce(e.state, b.last_state, 0)::bigint,"                  \
	" coalesce(b.last_result, ''), "
#define INSPECT_SYNC_STATE                                                                   \
	"CASE WHEN " INSPECT_SYNC_OPEN " THEN CASE WHEN l.node IS NULL THEN 2 ELSE 3 END"    \
	" WHEN b.started = false THEN 4 WHEN coalesce(e.state, b.last_state) IS NULL THEN 1" \
	" WHEN coalesce(e.state, b.last_state) = 1 THEN 5 ELSE 6 END::bigint"
#define INSPECT_SYNC_FROM                                                                        \
	" FROM b LEFT JOIN environment n ON n.id = b.environment_id"                             \
	" LEFT JOIN d ON d.id = b.version_id"                                                    \
	" LEFT JOIN LATERAL (SELECT r.state, r.ended_at FROM result r"                           \
	"  WHERE r.job_id = b.job_id LIMIT 1) e ON true"                                         \
	" LEFT JOIN LATERAL (SELECT t.accepted_at FROM job t WHERE t.id = b.job_id LIMIT 1)"     \
	"  j ON true"                                                                            \
	" LEFT JOIN LATERAL (SELECT min(t.started_at) AS began, max(t.number) AS number"         \
	"  FROM attempt t WHERE t.job_id = b.job_id) a ON true"                                  \
	" LEFT JOIN LATERAL (SELECT x.node FROM attempt t JOIN session x ON x.id = t.session_id" \
	"  WHERE t.job_id = b.job_id AND e.state IS NULL AND t.ended_at IS NULL AND x.live"      \
	"  LIMIT 1) l ON true"
#define INSPECT_SYNC_ROW                                                       \
	"SELECT " INSPECT_SYNC_SHOWN INSPECT_SYNC_TIMES ", " INSPECT_SYNC_OPEN \
	", " INSPECT_SYNC_STATE " AS state" INSPECT_SYNC_FROM

enum { INSPECT_SYNC_COLUMNS = 33 }; /* of INSPECT_SYNC_ROW */

/* Planned each time: filters that were not asked for fold away.  There is always a row, which says how far
 * the page has looked; without a match its id is null. */
static const struct unit_statement inspect_sync_page = {
    NULL,
    "WITH b AS MATERIALIZED (" INSPECT_SYNC_BASE "s.id > $1::bigint"
    "  AND ($2::bigint = 0 OR s.environment_id = $2::bigint)"
    "  AND ($3::text IS NULL OR i.unique_key = $3::text)"
    "  AND ($4::text IS NULL OR c.connection_id = $4::text)"
    "  AND ($5::text IS NULL OR f.name = $5::text)"
    "  AND ($6::bigint = 0 OR s.trouble = $6::bigint)"
    "  AND ($7::bigint <> 4 OR p.started = false)"
    "  AND ($7::bigint <> 7 OR p.next_run_at < " INSPECT_SYNC_LATE_BEFORE ")"
    "  ORDER BY s.id LIMIT $8::bigint)" INSPECT_SYNC_DECLARED ","
    " m AS (SELECT * FROM (" INSPECT_SYNC_ROW ") y"
    "  WHERE $7::bigint NOT BETWEEN 1 AND 6 OR y.state = $7::bigint ORDER BY y.id LIMIT $9::bigint)"
    " SELECT m.*, t.seen, t.last FROM (SELECT count(*) AS seen, coalesce(max(id), 0) AS last"
    "  FROM b) t LEFT JOIN m ON true ORDER BY m.id"};

static const struct unit_statement inspect_sync_one = {
    "inspect_sync_one", "WITH b AS MATERIALIZED (" INSPECT_SYNC_BASE
			"s.uuid = $1::uuid)" INSPECT_SYNC_DECLARED " " INSPECT_SYNC_ROW};

static const struct unit_statement inspect_sync_definition = {
    "inspect_sync_definition",
    "SELECT v.definition FROM sync s JOIN function f ON f.id = s.function_id"
    " JOIN function_version v ON v.id = f.version_id AND f.enabled WHERE s.uuid = $1::uuid"};

static const struct unit_statement inspect_sync_checkpoint = {
    "inspect_sync_checkpoint",
    "SELECT k.version, octet_length(k.value)::bigint FROM sync s JOIN checkpoint k"
    " ON k.function_id = s.function_id AND k.connection_id = s.connection_id"
    " AND k.variant = s.variant WHERE s.uuid = $1::uuid AND k.value IS NOT NULL"};

static const struct unit_statement inspect_sync_windows = {
    "inspect_sync_windows", "SELECT w.model FROM sync s JOIN track_window w ON w.sync_id = s.id"
			    " WHERE s.uuid = $1::uuid ORDER BY w.model"};

static struct inspect_sync_call *
inspect_sync_call_new(void *arg)
{
	struct inspect_sync_call *call = sl_alloc(sizeof(*call));

	call->arg = arg;
	return call;
}

static void
inspect_sync_read(struct inspect_sync *sync, const PGresult *rows, int row)
{
	int at = 0;

	sync->id = value_int(rows, row, at++);
	value_uuid(rows, row, at++, sync->uuid);
	sync->environment_id = value_int(rows, row, at++);
	sync->connection_row = value_int(rows, row, at++);
	sync->function_id = value_int(rows, row, at++);
	sync->integration_id = value_int(rows, row, at++);
	sync->environment = value_text(rows, row, at++);
	sync->integration = value_text(rows, row, at++);
	sync->connection = value_text(rows, row, at++);
	sync->name = value_text(rows, row, at++);
	sync->variant = value_text(rows, row, at++);
	sync->version = value_text(rows, row, at++);
	sync->declared = value_text(rows, row, at++);
	sync->trouble = (enum sync_trouble)value_int(rows, row, at++);
	sync->still_runs = (int)value_int(rows, row, at++);
	sync->scheduled = value_bool(rows, row, at++);
	sync->started = value_bool(rows, row, at++);
	sync->frequency = value_text(rows, row, at++);
	sync->every_ms = value_int(rows, row, at++);
	sync->late_ms = value_int(rows, row, at++);
	if (!PQgetisnull(rows, row, at))
		value_uuid(rows, row, at, sync->job);
	at++;
	sync->attempt = (int)value_int(rows, row, at++);
	sync->node = value_text(rows, row, at++);
	sync->last_state = (enum job_state)value_int(rows, row, at++);
	sync->last_result = value_text(rows, row, at++);
	sync->trouble_ms = value_int(rows, row, at++);
	sync->next_run_ms = value_int(rows, row, at++);
	sync->accepted_ms = value_int(rows, row, at++);
	sync->began_ms = value_int(rows, row, at++);
	sync->last_ended_ms = value_int(rows, row, at++);
	sync->last_success_ms = value_int(rows, row, at++);
	sync->open = value_bool(rows, row, at++);
	sync->state = (enum inspect_sync_state)value_int(rows, row, at++);
	assert(at == INSPECT_SYNC_COLUMNS);
}

/* ---- a page --------------------------------------------------------------------------------- */

static void
inspect_on_syncs(void *arg, const struct unit_answer *answer)
{
	struct inspect_sync_call *call = arg;
	const PGresult *rows = answer->code == SL_OK ? answer->results[0] : NULL;
	int count = rows != NULL && !PQgetisnull(rows, 0, 0) ? PQntuples(rows) : 0;
	struct inspect_sync *syncs = sl_calloc((size_t)count + 1, sizeof(*syncs));
	int64_t next = 0;

	for (int i = 0; i < count; i++)
		inspect_sync_read(&syncs[i], rows, i);
	if (count == call->limit)
		next = syncs[count - 1].id;
	else if (rows != NULL && value_int(rows, 0, INSPECT_SYNC_COLUMNS) == call->scan)
		next = value_int(rows, 0, INSPECT_SYNC_COLUMNS + 1);
	call->cb.rows(call->arg, answer->code, syncs, count, next,
		      answer->code == SL_OK ? NULL : &answer->error);
	free(syncs);
	free(call);
}

/* Whether a sync is in such a state is known when the ledger was asked about it. */
static bool
inspect_sync_must_look(enum inspect_sync_state state)
{
	return state >= INSPECT_SYNC_NEW && state <= INSPECT_SYNC_FAILED;
}

void
inspect_sync_list(struct dead_store *store, const struct inspect_sync_filter *filter,
		  inspect_syncs_cb *cb, void *arg)
{
	struct inspect_sync_call *call = inspect_sync_call_new(arg);
	struct unit *unit = unit_new();

	assert(filter->limit >= 1 && filter->limit <= INSPECT_SYNCS_MAX);
	assert(INSPECT_SYNCS_MAX < INSPECT_SYNCS_SCAN);
	call->cb.rows = cb;
	call->limit = filter->limit;
	call->scan = inspect_sync_must_look(filter->state) ? INSPECT_SYNCS_SCAN : filter->limit;
	unit_add(unit, &inspect_sync_page);
	unit_bind_int(unit, filter->after);
	unit_bind_int(unit, filter->environment_id);
	unit_bind_text(unit, filter->integration);
	unit_bind_text(unit, filter->connection);
	unit_bind_text(unit, filter->name);
	unit_bind_int(unit, filter->state == INSPECT_SYNC_TROUBLE ? (int64_t)filter->trouble : 0);
	unit_bind_int(unit, filter->state);
	unit_bind_int(unit, call->scan);
	unit_bind_int(unit, filter->limit);
	unit_send(unit, store->pg, UNIT_WAIT_MS, inspect_on_syncs, call);
}

/* ---- one ------------------------------------------------------------------------------------ */

static void
inspect_on_sync(void *arg, const struct unit_answer *answer)
{
	struct inspect_sync_call *call = arg;
	struct inspect_sync_more more = {0};
	struct sl_error error = answer->error;
	enum sl_code code = answer->code;
	struct inspect_sync sync = {0};

	if (code == SL_OK && PQntuples(answer->results[0]) == 0)
		code = sl_fail(&error, SL_NOT_FOUND, "there is no such sync");
	if (code == SL_OK) {
		const PGresult *definition = answer->results[1];
		const PGresult *checkpoint = answer->results[2], *windows = answer->results[3];

		inspect_sync_read(&sync, answer->results[0], 0);
		more.definition = PQntuples(definition) > 0 ? value_text(definition, 0, 0) : "";
		more.checkpoint = PQntuples(checkpoint) > 0;
		if (more.checkpoint) {
			more.checkpoint_version = value_int(checkpoint, 0, 0);
			more.checkpoint_bytes = value_int(checkpoint, 0, 1);
		}
		more.window_count = PQntuples(windows);
		more.windows = sl_calloc((size_t)more.window_count + 1, sizeof(*more.windows));
		for (int i = 0; i < more.window_count; i++)
			more.windows[i] = value_text(windows, i, 0);
	}
	call->cb.row(call->arg, code, code == SL_OK ? &sync : NULL, code == SL_OK ? &more : NULL,
		     code == SL_OK ? NULL : &error);
	free(more.windows);
	free(call);
}

void
inspect_sync_show(struct dead_store *store, const char *uuid, inspect_sync_cb *cb, void *arg)
{
	struct inspect_sync_call *call = inspect_sync_call_new(arg);
	struct unit *unit = unit_new();

	call->cb.row = cb;
	unit_add(unit, &inspect_sync_one);
	unit_bind_text(unit, uuid);
	unit_add(unit, &inspect_sync_definition);
	unit_bind_text(unit, uuid);
	unit_add(unit, &inspect_sync_checkpoint);
	unit_bind_text(unit, uuid);
	unit_add(unit, &inspect_sync_windows);
	unit_bind_text(unit, uuid);
	unit_send(unit, store->pg, UNIT_WAIT_MS, inspect_on_sync, call);
}
