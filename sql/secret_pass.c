/* sql/secret_pass.c - the row of the pass that seals anew: who is at it, and how far it came. */
#include <stdlib.h>

#include "base/alloc.h"
#include "sql/secret_store.h"
#include "sql/unit.h"

#define PASS_STRING(number) #number
#define PASS_TEXT(number) PASS_STRING(number)
#define PASS_MS(column) "(extract(epoch FROM " column ") * 1000)::bigint"
#define PASS_ALIVE                                                               \
	"(r.finished_at IS NULL AND r.seen_at > clock_timestamp() - " PASS_TEXT( \
	    SECRET_PASS_MS) " * interval '1 millisecond')"
#define PASS_COLUMNS                                                                           \
	"r.key_id, r.node, r.pass, r.kind, r.place, r.name, r.part, r.checked, r.sealed,"      \
	" r.failed, " PASS_MS("r.started_at") ", " PASS_MS("r.seen_at") ", coalesce(" PASS_MS( \
	    "r.finished_at") ", 0), " PASS_ALIVE

/* $1 the key, $2 this process.  One that nobody is at any more goes on where it was, if it is for the same key. */
#define PASS_AGAIN "(r.finished_at IS NOT NULL OR r.key_id <> excluded.key_id)"
#define PASS_ANEW(column, value) \
	column " = CASE WHEN " PASS_AGAIN " THEN " value " ELSE r." column " END"
static const struct unit_statement pass_begin = {
    "pass_begin",
    "INSERT INTO rekey AS r (key_id, node, pass, kind, place, name, part)"
    " VALUES ($1::text, $2::text, 1, 0, 0, '', '') ON CONFLICT (one) DO UPDATE SET"
    " key_id = excluded.key_id, node = excluded.node, pass = r.pass + 1,"
    " " PASS_ANEW("kind", "0") ", " PASS_ANEW("place", "0") ", " PASS_ANEW("name", "''") ", " PASS_ANEW("part", "''") ", " PASS_ANEW(
	"checked",
	"0") ", " PASS_ANEW("sealed",
			    "0") ", " PASS_ANEW("failed",
						"0") ", " PASS_ANEW("started_at",
								    "clock_timestamp()") ", seen_at = clock_timestamp(), finished_at = NULL"
											 " WHERE NOT (" PASS_ALIVE
											 " AND r.node <> excluded.node) RETURNING true"};

static const struct unit_statement pass_read = {"pass_read",
						"SELECT " PASS_COLUMNS " FROM rekey r"};

static const struct unit_statement pass_note = {
    "pass_note",
    "WITH noted AS (UPDATE rekey SET kind = $2::bigint, place = $3::bigint, name = $4::text,"
    " part = $5::text, checked = $6::bigint, sealed = $7::bigint, failed = $8::bigint,"
    " seen_at = clock_timestamp(),"
    " finished_at = CASE WHEN $9::boolean THEN clock_timestamp() END"
    " WHERE pass = $1::bigint AND finished_at IS NULL RETURNING true) SELECT count(*) FROM noted"};
static const struct unit_statement pass_tell = {
    "pass_tell", "SELECT 1::bigint FROM pg_notify('sluice_catalog', '')"};
static const struct unit_statement pass_relaxed = {
    "pass_relaxed", "SELECT set_config('synchronous_commit', 'off', true)"};

struct pass_call {
	secret_pass_cb *pass;
	secret_write_cb *noted;
	void *arg;
	bool begins;
};

static void
on_pass(void *arg, const struct unit_answer *answer)
{
	struct pass_call *call = arg;
	const PGresult *rows = answer->code == SL_OK ? answer->results[answer->count - 1] : NULL;
	bool known = rows != NULL && PQntuples(rows) == 1;
	struct sl_error error = answer->error;
	enum sl_code code = answer->code;
	struct secret_pass pass = {0};

	if (known)
		pass = (struct secret_pass){
		    .key_id = value_text(rows, 0, 0),
		    .node = value_text(rows, 0, 1),
		    .number = value_int(rows, 0, 2),
		    .kind = (enum secret_kind)value_int(rows, 0, 3),
		    .place = {value_int(rows, 0, 4), value_text(rows, 0, 5),
			      value_text(rows, 0, 6)},
		    .checked = value_int(rows, 0, 7),
		    .sealed = value_int(rows, 0, 8),
		    .failed = value_int(rows, 0, 9),
		    .started_ms = value_int(rows, 0, 10),
		    .seen_ms = value_int(rows, 0, 11),
		    .finished_ms = value_int(rows, 0, 12),
		    .alive = value_bool(rows, 0, 13),
		};
	if (code == SL_OK && call->begins && PQntuples(answer->results[0]) == 0)
		code = sl_fail(&error, SL_CONFLICT, "another process is at it: %s",
			       known ? pass.node : "");
	call->pass(call->arg, code, known ? &pass : NULL, code == SL_OK ? NULL : &error);
	free(call);
}

void
secret_pass_begin(struct secret_store *store, const char *key_id, const char *node,
		  secret_pass_cb *cb, void *arg)
{
	struct pass_call *call = sl_alloc(sizeof(*call));
	struct unit *unit = unit_new();

	*call = (struct pass_call){.pass = cb, .arg = arg, .begins = true};
	unit_add(unit, &pass_begin);
	unit_bind_text(unit, key_id);
	unit_bind_text(unit, node);
	unit_add(unit, &pass_read);
	unit_send(unit, secret_store_pg(store), UNIT_WAIT_MS, on_pass, call);
}

void
secret_pass_read(struct secret_store *store, secret_pass_cb *cb, void *arg)
{
	struct pass_call *call = sl_alloc(sizeof(*call));
	struct unit *unit = unit_new();

	*call = (struct pass_call){.pass = cb, .arg = arg};
	unit_add(unit, &pass_read);
	unit_send(unit, secret_store_pg(store), UNIT_WAIT_MS, on_pass, call);
}

static void
on_noted(void *arg, const struct unit_answer *answer)
{
	struct pass_call *call = arg;
	struct sl_error error = answer->error;
	enum sl_code code = answer->code;

	if (code == SL_OK && value_int(answer->results[0], 0, 0) == 0)
		code = sl_fail(&error, SL_CONFLICT, "another process has begun a pass");
	call->noted(call->arg, code, 0, code == SL_OK ? NULL : &error);
	free(call);
}

void
secret_pass_note(struct secret_store *store, const struct secret_pass *pass, bool finished,
		 secret_write_cb *cb, void *arg)
{
	struct pass_call *call = sl_alloc(sizeof(*call));
	struct unit *unit = unit_new();

	*call = (struct pass_call){.noted = cb, .arg = arg};
	unit_add(unit, &pass_note);
	unit_bind_int(unit, pass->number);
	unit_bind_int(unit, pass->kind);
	unit_bind_int(unit, pass->place.id);
	unit_bind_text(unit, pass->place.name);
	unit_bind_text(unit, pass->place.part);
	unit_bind_int(unit, pass->checked);
	unit_bind_int(unit, pass->sealed);
	unit_bind_int(unit, pass->failed);
	unit_bind_bool(unit, finished);
	unit_add(unit, finished ? &pass_tell : &pass_relaxed);
	unit_send(unit, secret_store_pg(store), UNIT_WAIT_MS, on_noted, call);
}
