#include "sql/secret.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "sql/secret_store.h"
#include "sql/unit.h"

#define SECRET_STRING(number) #number
#define SECRET_TEXT(number) SECRET_STRING(number)
#define SECRET_PAGE_BYTES "8388608" /* sealed bytes of a page, but for its first value */

/* $1, $2, $3 the place, $4 the key: the values behind it, up to a number of rows and bytes.  Those under
 * the key come without their bytes. */
#define SECRET_PAGE(columns, sealed, key, table, condition)                                   \
	"WITH page AS MATERIALIZED (SELECT " columns ", " sealed " AS sealed FROM " table     \
	" WHERE " condition " LIMIT " SECRET_TEXT(                                            \
	    SECRET_PAGE_ROWS) "),"                                                            \
			      " taken AS MATERIALIZED (SELECT *, octet_length(sealed) = 0"    \
			      "   OR substring(sealed FROM 4 FOR 8) = " key " AS fresh,"      \
			      "  sum(octet_length(sealed)) OVER (ORDER BY id, name, part"     \
			      "   ROWS UNBOUNDED PRECEDING) - octet_length(sealed) AS before" \
			      "  FROM page)"                                                  \
			      " SELECT id, name, part, CASE WHEN NOT fresh THEN row END,"     \
			      " CASE WHEN NOT fresh THEN sealed END, fresh FROM taken"        \
			      " WHERE before < " SECRET_PAGE_BYTES " ORDER BY id, name, part"
#define SECRET_KEY "$4::text"
#define SECRET_BY_ID "id > $1::bigint AND $2::text IS NOT NULL AND $3::text IS NOT NULL ORDER BY id"
#define SECRET_ID "id::bigint, '' AS name, '' AS part, "

/* $1, $2, $3 the places, $4 what was read, $5 what is written, as arrays. */
#define SECRET_ITEMS(type)                                                             \
	" FROM unnest($1::bigint[], $2::text[], $3::text[], $4::" type "[], $5::" type \
	"[]) u(id, name, part, before, after)"
/* A value is one row, and a row that changed meanwhile is looked at again. */
#define SECRET_WRITE(table, column, match)                                 \
	"WITH done AS (UPDATE " table " t SET " column                     \
	" = u.after" SECRET_ITEMS("text") " WHERE " match " AND t." column \
					  " = u.before RETURNING true) SELECT count(*) FROM done"
#define SECRET_COUNT(column, table)                                                        \
	"SELECT substring(" column " FROM 4 FOR 8), count(*) FROM " table " WHERE " column \
	" <> '' GROUP BY 1 ORDER BY 1"

struct secret_sql {
	const char *name;
	struct unit_statement page, write, count;
};

#define SECRET_SIGNING(column)                                                            \
	{"secret_page_" column,                                                           \
	 SECRET_PAGE(SECRET_ID "'environment:' || uuid || ':signing_key' AS row", column, \
		     SECRET_KEY, "environment", SECRET_BY_ID)},                           \
	    {"secret_write_" column, SECRET_WRITE("environment", column, "t.id = u.id")}, \
	{                                                                                 \
		NULL, SECRET_COUNT(column, "environment")                                 \
	}

static const struct secret_sql secret_sql[SECRET_KINDS] = {
    [SECRET_OWN] = {"own",
		    {"secret_page_own",
		     SECRET_PAGE(
			 "0::bigint AS id, name, '' AS part, 'secret:' || name AS row", "sealed",
			 SECRET_KEY, "secret",
			 "name > $2::text AND $1::bigint IS NOT NULL AND $3::text IS NOT NULL"
			 " ORDER BY name")},
		    {"secret_write_own", SECRET_WRITE("secret", "sealed", "t.name = u.name")},
		    {NULL, SECRET_COUNT("sealed", "secret")}},
    [SECRET_SIGNING_KEY] = {"signing_keys", SECRET_SIGNING("signing_key")},
    [SECRET_SIGNING_KEY_BEFORE] = {"signing_keys_before", SECRET_SIGNING("signing_key_before")},
    [SECRET_VARIABLE] =
	{"variables",
	 {"secret_page_variable",
	  SECRET_PAGE("environment_id::bigint AS id, name, '' AS part,"
		      " format('variable:%s:%s', environment_id, name) AS row",
		      "value", SECRET_KEY, "environment_variable",
		      "(environment_id, name) > ($1::bigint, $2::text) AND $3::text IS NOT NULL"
		      " ORDER BY environment_id, name")},
	 {"secret_write_variable", SECRET_WRITE("environment_variable", "value",
						"t.environment_id = u.id AND t.name = u.name")},
	 {NULL, SECRET_COUNT("value", "environment_variable")}},
    [SECRET_INTEGRATION] = {"integrations",
			    {"secret_page_integration",
			     SECRET_PAGE(SECRET_ID "seal_row AS row", "credentials", SECRET_KEY,
					 "integration", SECRET_BY_ID)},
			    {"secret_write_integration",
			     SECRET_WRITE("integration", "credentials", "t.id = u.id")},
			    {NULL, SECRET_COUNT("credentials", "integration")}},
    /* Not while they are refreshed: the new ones are written over the bytes that were read before. */
    [SECRET_CONNECTION] =
	{"connections",
	 {"secret_page_connection", SECRET_PAGE(SECRET_ID "seal_row AS row", "credentials",
						SECRET_KEY, "connection", SECRET_BY_ID)},
	 {"secret_write_connection",
	  SECRET_WRITE("connection", "credentials",
		       "t.id = u.id AND NOT EXISTS (SELECT FROM refresh f WHERE f.connection_id ="
		       " t.id AND f.claimed_until > clock_timestamp())")},
	 {NULL, SECRET_COUNT("credentials", "connection")}},
    [SECRET_RECORD] =
	{"records",
	 {"secret_page_record",
	  SECRET_PAGE("connection_id AS id, model AS name, record.id AS part,"
		      " format('record:%s:%s:%s', connection_id, model, record.id) AS row",
		      "payload", "convert_to($4::text, 'UTF8')", "record",
		      "(connection_id, model, record.id) > ($1::bigint, $2::text, $3::text)"
		      " ORDER BY connection_id, model, record.id")},
	 {"secret_write_record",
	  "WITH done AS (UPDATE record t SET payload = u.after" SECRET_ITEMS(
	      "bytea") " WHERE t.connection_id = u.id AND t.model = u.name AND t.id = u.part"
		       " AND t.payload = u.before RETURNING true) SELECT count(*) FROM done"},
	 {NULL, "SELECT encode(substring(payload FROM 4 FOR 8), 'escape'), count(*) FROM record"
		" WHERE octet_length(payload) > 0 GROUP BY 1 ORDER BY 1"}},
};

/* What other writers of records hold (record_store.h); a connection that goes is waited for first. */
static const struct unit_statement secret_lock = {
    "secret_lock",
    "SELECT require((SELECT true FROM connection WHERE id = $1::bigint FOR KEY SHARE), 'SL404',"
    " 'there is no such connection'), pg_advisory_xact_lock(hashtextextended($2::text, $1::bigint))"};
/* Claims that are being made are waited for, and those that come wait: who has one reads the bytes as they are then. */
static const struct unit_statement secret_claims = {"secret_claims", "SELECT hold_claims()"};
/* What a crash of the server takes back is done again by the next pass, whose place is later in the log. */
static const struct unit_statement secret_relaxed = {
    "secret_relaxed", "SELECT set_config('synchronous_commit', 'off', true)"};
/* All are read to be counted; no index helps. */
static const struct unit_statement secret_scan = {
    NULL, "SELECT set_config('enable_seqscan', 'on', true)"};

struct secret_store {
	struct loop *loop;
	struct pg *pg;
};

struct secret_call {
	union { /* the one that the reader of the answer knows */
		secret_page_cb *page;
		secret_write_cb *write;
		secret_counts_cb *counts;
	} cb;
	void *arg;
};

const char *
secret_kind_name(enum secret_kind kind)
{
	return secret_sql[kind].name;
}

struct pg *
secret_store_pg(struct secret_store *store)
{
	return store->pg;
}

struct secret_store *
secret_store_new(struct loop *loop, const struct pg_settings *settings)
{
	struct secret_store *store = sl_alloc(sizeof(*store));
	struct pg_settings hot = *settings;

	hot.hot = true; /* pages go by the primary key, whatever the statistics say */
	store->loop = loop;
	store->pg = pg_new(loop, &hot, NULL, NULL);
	return store;
}

void
secret_store_free(struct secret_store *store)
{
	if (store == NULL)
		return;
	pg_free(store->pg);
	loop_free_later(store->loop, free, store);
}

static struct secret_call *
call_new(void *arg)
{
	struct secret_call *call = sl_alloc(sizeof(*call));

	call->arg = arg;
	return call;
}

/* ---- pages ----------------------------------------------------------------------------------- */

static void
on_page(void *arg, const struct unit_answer *answer)
{
	struct secret_call *call = arg;
	const PGresult *rows = answer->code == SL_OK ? answer->results[0] : NULL;
	int checked = rows != NULL ? PQntuples(rows) : 0, count = 0;
	struct secret_value *values = sl_calloc((size_t)checked + 1, sizeof(*values));
	struct secret_place last = {0, "", ""};

	for (int i = 0; i < checked; i++) {
		last = (struct secret_place){value_int(rows, i, 0), value_text(rows, i, 1),
					     value_text(rows, i, 2)};
		if (!value_bool(rows, i, 5))
			values[count++] = (struct secret_value){last, value_text(rows, i, 3),
								value_bytes(rows, i, 4)};
	}
	call->cb.page(call->arg, answer->code, values, count, checked, &last,
		      answer->code == SL_OK ? NULL : &answer->error);
	free(values);
	free(call);
}

void
secret_page(struct secret_store *store, enum secret_kind kind, const struct secret_place *after,
	    const char *key_id, secret_page_cb *cb, void *arg)
{
	struct secret_call *call = call_new(arg);
	struct unit *unit = unit_new();

	call->cb.page = cb;
	unit_add(unit, &secret_sql[kind].page);
	unit_bind_int(unit, after->id);
	unit_bind_text(unit, after->name);
	unit_bind_text(unit, after->part);
	unit_bind_text(unit, key_id);
	unit_send(unit, store->pg, UNIT_WAIT_MS, on_page, call);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* The number of the last command. */
static void
on_written(void *arg, const struct unit_answer *answer)
{
	struct secret_call *call = arg;
	int64_t sealed = 0;

	if (answer->code == SL_OK)
		sealed = value_int(answer->results[answer->count - 1], 0, 0);
	call->cb.write(call->arg, answer->code, sealed,
		       answer->code == SL_OK ? NULL : &answer->error);
	free(call);
}

void
secret_write(struct secret_store *store, enum secret_kind kind, const struct secret_value *values,
	     const struct slice *after, int count, secret_write_cb *cb, void *arg)
{
	enum value_type type = kind == SECRET_RECORD ? VALUE_BYTEA : VALUE_TEXT;
	struct value_array ids, names, parts, before, sealed;
	struct secret_call *call = call_new(arg);
	struct unit *unit = unit_new();

	assert(count > 0);
	call->cb.write = cb;
	value_array_init(&ids, VALUE_INT8);
	value_array_init(&names, VALUE_TEXT);
	value_array_init(&parts, VALUE_TEXT);
	value_array_init(&before, type);
	value_array_init(&sealed, type);
	for (int i = 0; i < count; i++) {
		assert(kind != SECRET_RECORD || values[i].place.id == values[0].place.id);
		if (after[i].data == NULL)
			continue;
		value_array_int(&ids, values[i].place.id);
		value_array_text(&names, values[i].place.name);
		value_array_text(&parts, values[i].place.part);
		value_array_bytes(&before, values[i].sealed);
		value_array_bytes(&sealed, after[i]);
	}
	if (kind == SECRET_RECORD) {
		unit_add(unit, &secret_lock);
		unit_bind_int(unit, values[0].place.id);
		unit_bind_text(unit, values[0].place.name);
	}
	if (kind == SECRET_CONNECTION)
		unit_add(unit, &secret_claims);
	unit_add(unit, &secret_relaxed);
	unit_add(unit, &secret_sql[kind].write);
	unit_bind_array(unit, &ids);
	unit_bind_array(unit, &names);
	unit_bind_array(unit, &parts);
	unit_bind_array(unit, &before);
	unit_bind_array(unit, &sealed);
	unit_send(unit, store->pg, UNIT_WAIT_MS, on_written, call);
}

/* ---- counting -------------------------------------------------------------------------------- */

static void
on_counts(void *arg, const struct unit_answer *answer)
{
	struct secret_call *call = arg;
	const PGresult *rows = answer->code == SL_OK ? answer->results[1] : NULL;
	int count = rows != NULL ? PQntuples(rows) : 0;
	struct secret_count *counts = sl_calloc((size_t)count + 1, sizeof(*counts));

	for (int i = 0; i < count; i++)
		counts[i] = (struct secret_count){value_text(rows, i, 0), value_int(rows, i, 1)};
	call->cb.counts(call->arg, answer->code, counts, count,
			answer->code == SL_OK ? NULL : &answer->error);
	free(counts);
	free(call);
}

void
secret_counts(struct secret_store *store, enum secret_kind kind, secret_counts_cb *cb, void *arg)
{
	struct secret_call *call = call_new(arg);
	struct unit *unit = unit_new();

	call->cb.counts = cb;
	unit_add(unit, &secret_scan);
	unit_add(unit, &secret_sql[kind].count);
	unit_send(unit, store->pg, UNIT_WAIT_MS, on_counts, call);
}
