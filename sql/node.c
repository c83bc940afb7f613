#include "sql/node.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "sql/migrate.h"
#include "sql/resolve.h"
#include "sql/unit.h"

#define NODE_STRING(number) #number
#define NODE_TEXT(number) NODE_STRING(number)

#define NODE_AGE "extract(epoch FROM clock_timestamp() - n.seen_at) * 1000"
#define NODE_IS_LOST NODE_AGE " > n.beat_ms * " NODE_TEXT(NODE_LOST_BEATS)

#define NODE_SELECT                                                              \
	"SELECT n.name, n.version, n.roles, n.schema_version,"                   \
	" (extract(epoch FROM n.started_at) * 1000)::bigint, greatest(" NODE_AGE \
	", 0)::bigint, n.beat_ms, n.state, " NODE_IS_LOST ", n.quiet, n.leads,"  \
	" n.session_id, n.doing, n.keys FROM node n "

static const struct unit_statement node_upsert = {
    "node_upsert",
    "INSERT INTO node (name, roles, version, schema_version, beat_ms, state, quiet, leads,"
    " session_id, doing, keys) VALUES ($1::text, $2::bigint, $3::text, $4::bigint, $5::bigint, $6::bigint,"
    " $11::boolean, $8::boolean, nullif($9::bigint, 0), $10::text, $12::text)"
    " ON CONFLICT (name) DO UPDATE SET seen_at = clock_timestamp(), state = excluded.state,"
    " quiet = coalesce($7::boolean, node.quiet), leads = excluded.leads,"
    " session_id = excluded.session_id, doing = excluded.doing, keys = excluded.keys RETURNING quiet"};

/* A beat that a crash of the server takes back is repeated; it must not hold up what stands behind it on the
 * account's connection, as a commit does whose standby is away. */
static const struct unit_statement node_relaxed = {
    "node_relaxed", "SELECT set_config('synchronous_commit', 'off', true)"};

static const struct unit_statement node_operators = {
    "node_operators", "SELECT digest FROM api_key WHERE environment_id IS NULL"
		      " AND 'operator' = ANY (string_to_array(scopes, ' '))"
		      " ORDER BY id LIMIT " NODE_TEXT(NODE_OPERATORS_MAX)};

static const struct unit_statement node_forget = {
    "node_forget", "DELETE FROM node WHERE seen_at < clock_timestamp() - interval '1 hour'"};

static const struct unit_statement node_delete = {"node_delete",
						  "DELETE FROM node WHERE name = $1::text"};

static const struct unit_statement node_all = {
    "node_all", NODE_SELECT "ORDER BY n.started_at, n.name LIMIT " NODE_TEXT(NODE_ROWS_MAX)};

static const struct unit_statement node_one = {"node_one", NODE_SELECT "WHERE n.name = $1::text"};

static const struct unit_statement node_want = {
    "node_want", "UPDATE node SET quiet = $2::boolean WHERE name = $1::text"};

static const struct unit_statement node_tell = {
    "node_tell", "SELECT pg_notify('" NODE_CHANNEL "', name) FROM node WHERE name = $1::text"};

/* Locks the row: a beat that comes meanwhile waits, one that came before is seen. */
static const struct unit_statement node_lost = {
    NULL, "UPDATE node n SET quiet = false WHERE n.name = $1::text AND " NODE_IS_LOST
	  " RETURNING n.name"};

static const struct unit_statement node_end = {
    NULL, "UPDATE session s SET live = false WHERE s.node = $1::text AND s.live"
	  " AND EXISTS (SELECT FROM node n WHERE n.name = $1::text AND " NODE_IS_LOST ")"
	  " RETURNING s.id"};

struct node_call {
	node_beat_cb *beat_cb; /* one of the three */
	node_rows_cb *rows_cb;
	node_done_cb *done_cb;
	void *arg;
	int lost; /* index of the commands of resolve.h */
};

static struct node_call *
node_call_new(void *arg)
{
	struct node_call *call = sl_alloc(sizeof(*call));

	call->arg = arg;
	return call;
}

/* ---- the process itself --------------------------------------------------------------------- */

static void
node_on_beat(void *arg, const struct unit_answer *answer)
{
	struct node_call *call = arg;
	const char *operators[NODE_OPERATORS_MAX];
	bool quiet = false;
	int count = 0;

	if (answer->code == SL_OK) {
		quiet = value_bool(answer->results[0], 0, 0);
		for (; count < PQntuples(answer->results[1]) && count < NODE_OPERATORS_MAX; count++)
			operators[count] = value_text(answer->results[1], count, 0);
	}
	call->beat_cb(call->arg, answer->code, quiet, operators, count,
		      answer->code == SL_OK ? NULL : &answer->error);
	free(call);
}

void
node_write(struct pg *pg, const struct node_beat *beat, node_beat_cb *cb, void *arg)
{
	struct node_call *call = node_call_new(arg);
	struct unit *unit = unit_new();

	call->beat_cb = cb;
	unit_add(unit, &node_upsert);
	unit_bind_text(unit, beat->name);
	unit_bind_int(unit, beat->roles);
	unit_bind_text(unit, beat->version);
	unit_bind_int(unit, migrate_version());
	unit_bind_int(unit, beat->beat_ms);
	unit_bind_int(unit, beat->state);
	if (beat->says_quiet)
		unit_bind_bool(unit, beat->quiet);
	else
		unit_bind_text(unit, NULL);
	unit_bind_bool(unit, beat->leads);
	unit_bind_int(unit, beat->session_id);
	unit_bind_text(unit, beat->doing);
	unit_bind_bool(unit, beat->quiet); /* if the row is new, or was forgotten meanwhile */
	unit_bind_text(unit, beat->keys != NULL ? beat->keys : "");
	unit_add(unit, &node_operators);
	if (!beat->says_quiet) /* that is said once */
		unit_add(unit, &node_relaxed);
	if (beat->leads)
		unit_add(unit, &node_forget);
	unit_send(unit, pg, UNIT_WAIT_MS, node_on_beat, call);
}

static void
node_on_done(void *arg, const struct unit_answer *answer)
{
	struct node_call *call = arg;

	call->done_cb(call->arg, answer->code, 0, answer->code == SL_OK ? NULL : &answer->error);
	free(call);
}

void
node_remove(struct pg *pg, const char *name, node_done_cb *cb, void *arg)
{
	struct node_call *call = node_call_new(arg);
	struct unit *unit = unit_new();

	call->done_cb = cb;
	unit_add(unit, &node_delete);
	unit_bind_text(unit, name);
	unit_send(unit, pg, UNIT_WAIT_MS, node_on_done, call);
}

/* ---- operators ------------------------------------------------------------------------------ */

static void
node_read_row(struct node_row *row, const PGresult *rows, int i)
{
	row->name = value_text(rows, i, 0);
	row->version = value_text(rows, i, 1);
	row->roles = (unsigned)value_int(rows, i, 2);
	row->schema_version = (int)value_int(rows, i, 3);
	row->started_ms = value_int(rows, i, 4);
	row->seen_ms = value_int(rows, i, 5);
	row->beat_ms = value_int(rows, i, 6);
	row->state = (enum node_state)value_int(rows, i, 7);
	row->lost = value_bool(rows, i, 8);
	row->quiet = value_bool(rows, i, 9);
	row->leads = value_bool(rows, i, 10);
	row->session_id = value_int(rows, i, 11);
	row->doing = value_text(rows, i, 12);
	row->keys = value_text(rows, i, 13);
}

/* The last command's rows. */
static void
node_answer_rows(struct node_call *call, const struct unit_answer *answer, bool one)
{
	const PGresult *rows = answer->code == SL_OK ? answer->results[answer->count - 1] : NULL;
	int count = rows != NULL ? PQntuples(rows) : 0;
	struct node_row *list = sl_calloc((size_t)count + 1, sizeof(*list));
	struct sl_error error = answer->error;
	enum sl_code code = answer->code;

	for (int i = 0; i < count; i++)
		node_read_row(&list[i], rows, i);
	if (code == SL_OK && one && count == 0)
		code = sl_fail(&error, SL_NOT_FOUND, "there is no such process");
	call->rows_cb(call->arg, code, list, count, code == SL_OK ? NULL : &error);
	free(list);
	free(call);
}

static void
node_on_list(void *arg, const struct unit_answer *answer)
{
	node_answer_rows(arg, answer, false);
}

static void
node_on_one(void *arg, const struct unit_answer *answer)
{
	node_answer_rows(arg, answer, true);
}

void
node_list(struct pg *pg, node_rows_cb *cb, void *arg)
{
	struct node_call *call = node_call_new(arg);
	struct unit *unit = unit_new();

	call->rows_cb = cb;
	unit_add(unit, &node_all);
	unit_send(unit, pg, UNIT_WAIT_MS, node_on_list, call);
}

void
node_find(struct pg *pg, const char *name, node_rows_cb *cb, void *arg)
{
	struct node_call *call = node_call_new(arg);
	struct unit *unit = unit_new();

	call->rows_cb = cb;
	unit_add(unit, &node_one);
	unit_bind_text(unit, name);
	unit_send(unit, pg, UNIT_WAIT_MS, node_on_one, call);
}

void
node_set_quiet(struct pg *pg, const char *name, bool quiet, node_rows_cb *cb, void *arg)
{
	struct node_call *call = node_call_new(arg);
	struct unit *unit = unit_new();

	call->rows_cb = cb;
	unit_add(unit, &node_want);
	unit_bind_text(unit, name);
	unit_bind_bool(unit, quiet);
	unit_add(unit, &node_tell);
	unit_bind_text(unit, name);
	unit_add(unit, &node_one);
	unit_bind_text(unit, name);
	unit_send(unit, pg, UNIT_WAIT_MS, node_on_one, call);
}

static void
node_on_ended(void *arg, const struct unit_answer *answer)
{
	struct node_call *call = arg;
	struct sl_error error = answer->error;
	enum sl_code code = answer->code;
	int64_t resolved = 0;

	if (code == SL_OK && PQntuples(answer->results[0]) == 0)
		code = sl_fail(&error, SL_CONFLICT, "it is not lost");
	else if (code == SL_OK)
		resolved = resolve_count(answer, call->lost);
	call->done_cb(call->arg, code, resolved, code == SL_OK ? NULL : &error);
	free(call);
}

void
node_end_sessions(struct pg *pg, const char *name, int deaths_max, node_done_cb *cb, void *arg)
{
	struct node_call *call = node_call_new(arg);
	struct unit *unit = unit_new();

	call->done_cb = cb;
	unit_add(unit, &node_lost);
	unit_bind_text(unit, name);
	unit_add(unit, &node_end);
	unit_bind_text(unit, name);
	call->lost = resolve_add(unit, deaths_max);
	unit_send(unit, pg, UNIT_WAIT_MS, node_on_ended, call);
}
