#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "sql/account.h"
#include "sql/account_rows.h"

/* $2 connection id, $3 search, $4 end user, $5 organization: null for any; $6 integrations, $7 and
 * $8 names and values of tags: empty for any; $9 limit: 0 for all.  json_view() reads a document
 * that jsonb cannot hold as null: it matches no filter. */
static const struct unit_statement connection_list = {
    "connection_list",
    "SELECT " ACCOUNT_CONNECTION_COLUMNS ACCOUNT_CONNECTION_FROM "WHERE c.environment_id = $1::bigint"
    " AND ($2::text IS NULL OR c.connection_id = $2::text)"
    " AND (cardinality($6::text[]) = 0 OR i.unique_key = ANY ($6::text[]))"
    " AND ($3::text IS NULL OR position(lower($3::text) IN lower(c.connection_id)) > 0 OR"
    "  EXISTS (SELECT FROM (SELECT json_view(c.end_user) AS u) e"
    "   WHERE position(lower($3::text) IN lower(concat_ws(E'\\n', u ->> 'id', u ->> 'email',"
    "    u ->> 'display_name', u ->> 'name'))) > 0))"
    " AND ($4::text IS NULL OR json_view(c.end_user) ->> 'id' = $4::text)"
    " AND ($5::text IS NULL OR json_view(c.end_user) -> 'organization' ->> 'id' = $5::text)"
    " AND (cardinality($7::text[]) = 0 OR"
    "  json_view(c.tags) @> jsonb_object($7::text[], $8::text[]))"
    " ORDER BY c.id DESC LIMIT nullif($9::bigint, 0) OFFSET $10::bigint"};

static const struct unit_statement connection_find = {
    "connection_find",
    "SELECT " ACCOUNT_CONNECTION_COLUMNS ACCOUNT_CONNECTION_FROM "WHERE i.environment_id = $1::bigint"
    " AND i.unique_key = $2::text AND c.connection_id = $3::text"};

static const struct unit_statement connection_by_id = {
    "connection_by_id", "SELECT " ACCOUNT_CONNECTION_COLUMNS ACCOUNT_CONNECTION_FROM "WHERE c.id = $1::bigint"};

/* updated_at differs from created_at exactly when a row was there. */
/* Credentials that somebody has just given have not failed, and a refresh of those before comes too late. */
static const struct unit_statement connection_refreshed = {
    "connection_refreshed",
    "UPDATE refresh SET claim = claim + 1, claimed_until = NULL, refreshed_at = NULL, failed_at = NULL,"
    " failing_day = NULL, failing_days = 0, cause = '', log_id = NULL"
    " WHERE connection_id = (SELECT id FROM connection WHERE integration_id = $1::bigint"
    "  AND connection_id = $2::text)"};

static const struct unit_statement connection_upsert = {
    "connection_upsert",
    "WITH c AS (INSERT INTO connection AS o (environment_id, integration_id, connection_id,"
    "  credentials, seal_row, connection_config, metadata, tags, end_user, webhook_url_override)"
    "  VALUES ($1::bigint, $2::bigint, $3::text, $4::text, $5::text, $6::text, $7::text, $8::text,"
    "  $9::text, $10::text)"
    "  ON CONFLICT (integration_id, connection_id) DO UPDATE SET credentials = excluded.credentials,"
    "  seal_row = excluded.seal_row, connection_config = excluded.connection_config,"
    "  metadata = excluded.metadata, tags = excluded.tags, end_user = excluded.end_user,"
    "  webhook_url_override = excluded.webhook_url_override, last_fetched_at = now(),"
    "  updated_at = greatest(now(), o.created_at + interval '1 millisecond')"
    "  RETURNING *)"
    " SELECT " ACCOUNT_CONNECTION_COLUMNS ", c.updated_at <> c.created_at, " ACCOUNT_NOTIFY(
	"c.environment_id") " FROM c JOIN integration i ON i.id = c.integration_id"
			    " LEFT JOIN refresh r ON r.connection_id = c.id"};

static const struct unit_statement connection_patch = {
    "connection_patch",
    "UPDATE connection SET tags = coalesce($2::text, tags), end_user = coalesce($3::text, end_user),"
    " webhook_url_override = coalesce($4::text, webhook_url_override),"
    " updated_at = greatest(now(), created_at + interval '1 millisecond')"
    " WHERE id = $1::bigint RETURNING id, " ACCOUNT_NOTIFY("environment_id")};

static const struct unit_statement connection_empty = {
    "connection_empty",
    "SELECT empty_connection(c.id, $4::bigint::int) FROM connection c JOIN integration i"
    " ON i.id = c.integration_id WHERE i.environment_id = $1::bigint"
    " AND i.unique_key = $2::text AND c.connection_id = $3::text"};

static const struct unit_statement connection_delete = {
    "connection_delete",
    "DELETE FROM connection c USING integration i WHERE i.id = c.integration_id"
    " AND i.environment_id = $1::bigint AND i.unique_key = $2::text AND c.connection_id = $3::text"
    " RETURNING c.id, " ACCOUNT_NOTIFY("c.environment_id")};

/* In the order of ids: two writers of the same rows wait for each other, not in a circle. */
static const struct unit_statement connection_lock = {
    "connection_lock",
    "SELECT id FROM connection WHERE id = ANY ($1::bigint[]) ORDER BY id FOR UPDATE"};

static const struct unit_statement connection_metadata = {
    "connection_metadata",
    "WITH u AS (UPDATE connection c SET metadata = m,"
    "  updated_at = greatest(now(), c.created_at + interval '1 millisecond')"
    "  FROM unnest($1::bigint[], $2::text[], $3::text[]) w(id, e, m)"
    "  WHERE c.id = w.id AND (e IS NULL OR c.metadata = e) RETURNING c.id, c.environment_id),"
    " n AS (SELECT count(*) AS written FROM u)"
    " SELECT max(u.id), " ACCOUNT_NOTIFY(
	"max(u.environment_id)") ", require((SELECT written FROM n)"
				 "  = (SELECT count(DISTINCT id) FROM unnest($1::bigint[]) w(id)), 'SL409',"
				 "  'the metadata changed meanwhile') FROM u"};

/* How long ago by the ledger's clock, as a moment of this process's; null: never. */
static int64_t
mono_of(const PGresult *result, int i, int column)
{
	return PQgetisnull(result, i, column) ? 0
					      : clock_mono_ms() - value_int(result, i, column);
}

void
account_connection_read(struct account_connection *row, const PGresult *result, int i)
{
	row->id = value_int(result, i, 0);
	row->environment_id = value_int(result, i, 1);
	row->integration_id = value_int(result, i, 2);
	row->connection_id = value_text(result, i, 3);
	row->unique_key = value_text(result, i, 4);
	row->provider = value_text(result, i, 5);
	row->credentials = value_text(result, i, 6);
	row->seal_row = value_text(result, i, 7);
	row->connection_config = value_text(result, i, 8);
	row->metadata = value_text(result, i, 9);
	row->tags = value_text(result, i, 10);
	row->end_user = value_text(result, i, 11);
	row->webhook_url_override = value_text(result, i, 12);
	row->created_ms = value_int(result, i, 13);
	row->updated_ms = value_int(result, i, 14);
	row->last_fetched_ms = value_int(result, i, 15);
	row->failure_log_id = value_text(result, i, 16);
	row->failed_mono_ms = mono_of(result, i, 17);
	row->failing_days = (int)value_int(result, i, 18);
	row->refreshed_mono_ms = mono_of(result, i, 19);
}

static void
account_on_connections(void *arg, const struct unit_answer *answer)
{
	struct account_call *call = arg;
	struct account_connection *rows;
	struct sl_error error;
	int count;
	enum sl_code code = account_outcome(call, answer, &count, &error);

	rows = sl_calloc((size_t)count + 1, sizeof(*rows));
	for (int i = 0; i < count; i++)
		account_connection_read(&rows[i], account_rows(answer), i);
	call->cb.connections(call->arg, code, rows, count, code == SL_OK ? NULL : &error);
	free(rows);
	free(call);
}

void
account_send_connections(struct account *account, struct unit *unit, const char *one,
			 account_connections_cb *cb, void *arg)
{
	struct account_call *call = account_call_new(arg, one);

	call->cb.connections = cb;
	account_send(account, unit, account_on_connections, call);
}

static void
connection_bind_texts(struct unit *unit, const char *const *texts, int count)
{
	struct value_array array;

	value_array_init(&array, VALUE_TEXT);
	for (int i = 0; i < count; i++)
		value_array_text(&array, texts[i]);
	unit_bind_array(unit, &array);
}

void
account_connection_list(struct account *account, const struct account_connection_filter *filter,
			account_connections_cb *cb, void *arg)
{
	struct account_call *call = account_call_new(arg, NULL);
	struct unit *unit = unit_new();

	call->cb.connections = cb;
	unit_add(unit, &connection_list);
	unit_bind_int(unit, filter->environment_id);
	unit_bind_text(unit, filter->connection_id);
	unit_bind_text(unit, filter->search);
	unit_bind_text(unit, filter->end_user_id);
	unit_bind_text(unit, filter->end_user_organization_id);
	connection_bind_texts(unit, filter->unique_keys, filter->unique_key_count);
	connection_bind_texts(unit, filter->tag_names, filter->tag_count);
	connection_bind_texts(unit, filter->tag_values, filter->tag_count);
	unit_bind_int(unit, filter->limit > 0 ? filter->limit : 0);
	unit_bind_int(unit, filter->offset > 0 ? filter->offset : 0);
	account_send(account, unit, account_on_connections, call);
}

void
account_connection_find(struct account *account, int64_t environment_id, const char *unique_key,
			const char *connection_id, account_connections_cb *cb, void *arg)
{
	struct account_call *call = account_call_new(arg, "connection");
	struct unit *unit = unit_new();

	call->cb.connections = cb;
	unit_add(unit, &connection_find);
	unit_bind_int(unit, environment_id);
	unit_bind_text(unit, unique_key);
	unit_bind_text(unit, connection_id);
	account_send(account, unit, account_on_connections, call);
}

void
account_connection_by_id(struct account *account, int64_t id, account_connections_cb *cb, void *arg)
{
	struct account_call *call = account_call_new(arg, "connection");
	struct unit *unit = unit_new();

	call->cb.connections = cb;
	unit_add(unit, &connection_by_id);
	unit_bind_int(unit, id);
	account_send(account, unit, account_on_connections, call);
}

static void
account_on_upsert(void *arg, const struct unit_answer *answer)
{
	struct account_call *call = arg;
	struct account_connection row;
	struct sl_error error;
	int count;
	enum sl_code code = account_outcome(call, answer, &count, &error);

	if (code == SL_OK) {
		account_connection_read(&row, account_rows(answer), 0);
		call->cb.connection(call->arg, SL_OK, &row, value_bool(account_rows(answer), 0, 20),
				    NULL);
	} else {
		call->cb.connection(call->arg, code, NULL, false, &error);
	}
	free(call);
}

void
account_connection_upsert(struct account *account, const struct account_connection *row,
			  account_upsert_cb *cb, void *arg)
{
	struct account_call *call = account_call_new(arg, "integration");
	struct unit *unit = unit_new();

	call->cb.connection = cb;
	unit_add(unit, &connection_refreshed);
	unit_bind_int(unit, row->integration_id);
	unit_bind_text(unit, row->connection_id);
	unit_add(unit, &connection_upsert);
	unit_bind_int(unit, row->environment_id);
	unit_bind_int(unit, row->integration_id);
	unit_bind_text(unit, row->connection_id);
	unit_bind_text(unit, row->credentials);
	unit_bind_text(unit, row->seal_row);
	unit_bind_text(unit, row->connection_config);
	unit_bind_text(unit, row->metadata);
	unit_bind_text(unit, row->tags);
	unit_bind_text(unit, row->end_user);
	unit_bind_text(unit, row->webhook_url_override);
	account_send(account, unit, account_on_upsert, call);
}

void
account_connection_patch(struct account *account, int64_t id, const char *tags,
			 const char *end_user, const char *webhook_url_override,
			 account_done_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &connection_patch);
	unit_bind_int(unit, id);
	unit_bind_text(unit, tags);
	unit_bind_text(unit, end_user);
	unit_bind_text(unit, webhook_url_override);
	account_send_done(account, unit, "connection", cb, arg);
}

/* ---- deleting ------------------------------------------------------------------------------- */

#define REMOVAL_RECORDS 10000 /* in one transaction */

struct removal {
	struct account *account;
	int64_t environment_id;
	char *unique_key, *connection_id; /* owned */
	account_done_cb *cb;
	void *arg;
};

static void
removal_bind(struct unit *unit, const struct removal *removal)
{
	unit_bind_int(unit, removal->environment_id);
	unit_bind_text(unit, removal->unique_key);
	unit_bind_text(unit, removal->connection_id);
}

static void
removal_free(struct removal *removal)
{
	free(removal->unique_key);
	free(removal->connection_id);
	free(removal);
}

static void removal_empty(struct removal *removal);

static void
removal_on_emptied(void *arg, const struct unit_answer *answer)
{
	struct account_call *call = arg;
	struct removal *removal = call->arg;
	struct sl_error error;
	int count;
	enum sl_code code = account_outcome(call, answer, &count, &error);

	free(call);
	if (code != SL_OK) {
		removal->cb(removal->arg, code, 0, &error);
	} else if (count == 1 && value_int(account_rows(answer), 0, 0) == REMOVAL_RECORDS) {
		removal_empty(removal);
		return;
	} else {
		struct unit *unit = unit_new();

		unit_add(unit, &connection_delete);
		removal_bind(unit, removal);
		account_send_done(removal->account, unit, "connection", removal->cb, removal->arg);
	}
	removal_free(removal);
}

static void
removal_empty(struct removal *removal)
{
	struct unit *unit = unit_new();

	unit_add(unit, &connection_empty);
	removal_bind(unit, removal);
	unit_bind_int(unit, REMOVAL_RECORDS);
	account_send(removal->account, unit, removal_on_emptied, account_call_new(removal, NULL));
}

void
account_connection_delete(struct account *account, int64_t environment_id, const char *unique_key,
			  const char *connection_id, account_done_cb *cb, void *arg)
{
	struct removal *removal = sl_alloc(sizeof(*removal));

	removal->account = account;
	removal->environment_id = environment_id;
	removal->unique_key = sl_strdup(unique_key);
	removal->connection_id = sl_strdup(connection_id);
	removal->cb = cb;
	removal->arg = arg;
	removal_empty(removal);
}

static void
connection_bind_ids(struct unit *unit, const int64_t *ids, int count)
{
	struct value_array array;

	value_array_init(&array, VALUE_INT8);
	for (int i = 0; i < count; i++)
		value_array_int(&array, ids[i]);
	unit_bind_array(unit, &array);
}

void
account_connection_metadata(struct account *account, const int64_t *ids,
			    const char *const *expected, const char *const *metadata, int count,
			    account_done_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &connection_lock);
	connection_bind_ids(unit, ids, count);
	unit_add(unit, &connection_metadata);
	connection_bind_ids(unit, ids, count);
	connection_bind_texts(unit, expected, count);
	connection_bind_texts(unit, metadata, count);
	account_send_done(account, unit, "connection", cb, arg);
}
