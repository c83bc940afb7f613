#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "sql/account.h"
#include "sql/account_rows.h"

#define ENVIRONMENT_URL(slot)                                                             \
	"coalesce((SELECT p.url FROM endpoint p WHERE p.environment_id = e.id AND p.slot" \
	" = " slot "), '')"
#define ENVIRONMENT_SELECT                                                                                \
	"SELECT e.id, k.id, e.name, e.uuid, e.is_production, e.signing_key, e.settings,"                  \
	" e.callback_url, e.concurrency_by, e.concurrency_limit, coalesce(e.sync_limit, 0),"              \
	" e.webhook_events, " ENVIRONMENT_URL("1") ", " ENVIRONMENT_URL(                                  \
	    "2") ", e.signing_key_before, coalesce(" ACCOUNT_MS("e.signing_key_at") ", 0)"                \
										    " FROM environment e" \
										    " JOIN concurrency_key k ON k.environment_id = e.id AND k.name = 'actions' "

static const struct unit_statement environment_list = {"environment_list",
						       ENVIRONMENT_SELECT "ORDER BY e.id"};
static const struct unit_statement environment_by_id = {"environment_by_id", ENVIRONMENT_SELECT
							"WHERE e.id = $1::bigint"};
static const struct unit_statement environment_by_name = {"environment_by_name", ENVIRONMENT_SELECT
							  "WHERE e.name = $1::text"};

static const struct unit_statement environment_by_uuid = {"environment_by_uuid", ENVIRONMENT_SELECT
							  "WHERE e.uuid = $1::text"};

static const struct unit_statement environment_create = {
    "environment_create",
    "WITH e AS (INSERT INTO environment (name, uuid, is_production, signing_key, callback_url)"
    "  VALUES ($1::text, $2::text, $3::boolean, $4::text, $5::text) RETURNING id),"
    " k AS (INSERT INTO concurrency_key (environment_id, name) SELECT id, 'actions' FROM e),"
    " a AS (INSERT INTO api_key (environment_id, display_name, digest, scopes)"
    "  SELECT id, 'Default', $6::text, 'environment:*' FROM e)"
    " SELECT e.id, " ACCOUNT_NOTIFY("e.id") " FROM e"};

/* With an id when it was done, without one when the environment is there but was refused. */
static const struct unit_statement environment_delete = {
    "environment_delete",
    "WITH d AS (DELETE FROM environment WHERE id = $1::bigint AND NOT is_production"
    "  AND name <> 'prod' RETURNING id)"
    " SELECT d.id, CASE WHEN d.id IS NOT NULL THEN " ACCOUNT_NOTIFY(
	"d.id") " END"
		" FROM environment e LEFT JOIN d ON d.id = e.id WHERE e.id = $1::bigint"};

static const struct unit_statement environment_settings = {
    "environment_settings",
    "WITH u AS (UPDATE environment SET settings = $3::text"
    "  WHERE id = $1::bigint AND settings = $2::text RETURNING id)"
    " SELECT u.id, CASE WHEN u.id IS NOT NULL THEN " ACCOUNT_NOTIFY(
	"u.id") " END"
		" FROM environment e LEFT JOIN u ON u.id = e.id WHERE e.id = $1::bigint"};

static const struct unit_statement environment_signing_key = {
    "environment_signing_key",
    "UPDATE environment SET signing_key_before = signing_key, signing_key = $2::text,"
    " signing_key_at = now() WHERE id = $1::bigint RETURNING id, " ACCOUNT_NOTIFY("id")};

static const struct unit_statement environment_first_signing_key = {
    "environment_first_signing_key",
    "UPDATE environment SET signing_key = CASE signing_key WHEN '' THEN $2::text ELSE signing_key END"
    " WHERE id = $1::bigint RETURNING id, " ACCOUNT_NOTIFY("id")};

static const struct unit_statement environment_webhook = {
    "environment_webhook",
    "SELECT e.id, set_webhook(e.id, $2::text, $3::text, $4::bigint::int), " ACCOUNT_NOTIFY(
	"e.id") " FROM environment e WHERE e.id = $1::bigint"};

static const struct unit_statement key_find = {
    "key_find", "SELECT id, coalesce(environment_id, 0), display_name, scopes, " ACCOUNT_MS(
		    "created_at") " FROM api_key WHERE digest = $1::text"};

static const struct unit_statement key_create = {
    "key_create", "INSERT INTO api_key (environment_id, display_name, digest, scopes)"
		  " VALUES (nullif($1::bigint, 0), $2::text, $3::text, $4::text)"
		  " RETURNING id, " ACCOUNT_NOTIFY("coalesce(environment_id, 0)")};

static const struct unit_statement key_delete = {
    "key_delete",
    "DELETE FROM api_key WHERE id = $2::bigint AND coalesce(environment_id, 0) = $1::bigint"
    " RETURNING id, " ACCOUNT_NOTIFY("coalesce(environment_id, 0)")};

static const struct unit_statement variable_list = {
    "variable_list",
    "SELECT name, value FROM environment_variable WHERE environment_id = $1::bigint ORDER BY name"};

static const struct unit_statement variable_put = {
    "variable_put", "INSERT INTO environment_variable AS v (environment_id, name, value)"
		    " VALUES ($1::bigint, $2::text, $3::text)"
		    " ON CONFLICT (environment_id, name) DO UPDATE SET value = excluded.value"
		    " RETURNING v.environment_id, " ACCOUNT_NOTIFY("v.environment_id")};

static const struct unit_statement variable_delete = {
    "variable_delete",
    "DELETE FROM environment_variable WHERE environment_id = $1::bigint AND name = $2::text"
    " RETURNING environment_id, " ACCOUNT_NOTIFY("environment_id")};

/* ---- environments --------------------------------------------------------------------------- */

static void
account_on_environments(void *arg, const struct unit_answer *answer)
{
	struct account_call *call = arg;
	struct account_environment *rows;
	struct sl_error error;
	int count;
	enum sl_code code = account_outcome(call, answer, &count, &error);

	rows = sl_calloc((size_t)count + 1, sizeof(*rows));
	for (int i = 0; i < count; i++) {
		const PGresult *result = account_rows(answer);

		rows[i].id = value_int(result, i, 0);
		rows[i].key_id = value_int(result, i, 1);
		rows[i].name = value_text(result, i, 2);
		rows[i].uuid = value_text(result, i, 3);
		rows[i].is_production = value_bool(result, i, 4);
		rows[i].signing_key = value_text(result, i, 5);
		rows[i].settings = value_text(result, i, 6);
		rows[i].callback_url = value_text(result, i, 7);
		rows[i].concurrency_by = account_concurrency_parse(value_text(result, i, 8));
		rows[i].concurrency_limit = (int)value_int(result, i, 9);
		rows[i].sync_limit = (int)value_int(result, i, 10);
		rows[i].webhook_events = (int)value_int(result, i, 11);
		rows[i].webhook_url = value_text(result, i, 12);
		rows[i].webhook_url_secondary = value_text(result, i, 13);
		rows[i].signing_key_before = value_text(result, i, 14);
		rows[i].signing_key_ms = value_int(result, i, 15);
	}
	call->cb.environments(call->arg, code, rows, count, code == SL_OK ? NULL : &error);
	free(rows);
	free(call);
}

static void
account_send_environments(struct account *account, struct unit *unit, const char *one,
			  account_environments_cb *cb, void *arg)
{
	struct account_call *call = account_call_new(arg, one);

	call->cb.environments = cb;
	account_send(account, unit, account_on_environments, call);
}

void
account_environment_list(struct account *account, account_environments_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &environment_list);
	account_send_environments(account, unit, NULL, cb, arg);
}

void
account_environment_by_id(struct account *account, int64_t id, account_environments_cb *cb,
			  void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &environment_by_id);
	unit_bind_int(unit, id);
	account_send_environments(account, unit, "environment", cb, arg);
}

void
account_environment_by_uuid(struct account *account, const char *uuid, account_environments_cb *cb,
			    void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &environment_by_uuid);
	unit_bind_text(unit, uuid);
	account_send_environments(account, unit, "environment", cb, arg);
}

void
account_environment_by_name(struct account *account, const char *name, account_environments_cb *cb,
			    void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &environment_by_name);
	unit_bind_text(unit, name);
	account_send_environments(account, unit, "environment", cb, arg);
}

void
account_environment_create(struct account *account, const struct account_new_environment *row,
			   account_done_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &environment_create);
	unit_bind_text(unit, row->name);
	unit_bind_text(unit, row->uuid);
	unit_bind_bool(unit, row->is_production);
	unit_bind_text(unit, row->signing_key);
	unit_bind_text(unit, row->callback_url);
	unit_bind_text(unit, row->key_digest);
	account_send_done(account, unit, "environment", cb, arg);
}

void
account_environment_delete(struct account *account, int64_t id, account_done_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &environment_delete);
	unit_bind_int(unit, id);
	account_send_done(account, unit, "environment", cb, arg);
}

void
account_environment_settings(struct account *account, int64_t id, const char *expected,
			     const char *settings, account_done_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &environment_settings);
	unit_bind_int(unit, id);
	unit_bind_text(unit, expected);
	unit_bind_text(unit, settings);
	account_send_done(account, unit, "environment", cb, arg);
}

void
account_environment_signing_key(struct account *account, int64_t id, const char *sealed,
				account_done_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &environment_signing_key);
	unit_bind_int(unit, id);
	unit_bind_text(unit, sealed);
	account_send_done(account, unit, "environment", cb, arg);
}

void
account_environment_first_signing_key(struct account *account, int64_t id, const char *sealed,
				      account_done_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &environment_first_signing_key);
	unit_bind_int(unit, id);
	unit_bind_text(unit, sealed);
	account_send_done(account, unit, "environment", cb, arg);
}

/* ---- webhooks ------------------------------------------------------------------------------- */

static const struct {
	enum account_webhook event;
	const char *name;
} webhooks[] = {
    {ACCOUNT_WEBHOOK_SYNC, "sync"},
    {ACCOUNT_WEBHOOK_SYNC_UNCHANGED, "sync_unchanged"},
    {ACCOUNT_WEBHOOK_SYNC_ERROR, "sync_error"},
    {ACCOUNT_WEBHOOK_ASYNC_ACTION, "async_action"},
    {ACCOUNT_WEBHOOK_AUTH_CREATION, "auth_creation"},
    {ACCOUNT_WEBHOOK_AUTH_REFRESH_ERROR, "auth_refresh_error"},
};

const char *
account_webhook_name(enum account_webhook event)
{
	for (size_t i = 0; i < sizeof(webhooks) / sizeof(*webhooks); i++)
		if (webhooks[i].event == event)
			return webhooks[i].name;
	return NULL;
}

enum account_webhook
account_webhook_parse(const char *name)
{
	for (size_t i = 0; i < sizeof(webhooks) / sizeof(*webhooks); i++)
		if (strcmp(webhooks[i].name, name) == 0)
			return webhooks[i].event;
	return 0;
}

void
account_environment_webhook(struct account *account, int64_t environment_id, const char *primary,
			    const char *secondary, int events, account_done_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &environment_webhook);
	unit_bind_int(unit, environment_id);
	unit_bind_text(unit, primary);
	unit_bind_text(unit, secondary);
	unit_bind_int(unit, events);
	account_send_done(account, unit, "environment", cb, arg);
}

/* ---- keys ----------------------------------------------------------------------------------- */

static void
account_on_key(void *arg, const struct unit_answer *answer)
{
	struct account_call *call = arg;
	struct account_key row;
	struct sl_error error;
	int count;
	enum sl_code code = account_outcome(call, answer, &count, &error);

	if (code == SL_OK) {
		const PGresult *result = account_rows(answer);

		row.id = value_int(result, 0, 0);
		row.environment_id = value_int(result, 0, 1);
		row.display_name = value_text(result, 0, 2);
		row.scopes = value_text(result, 0, 3);
		row.created_ms = value_int(result, 0, 4);
		call->cb.key(call->arg, SL_OK, &row, NULL);
	} else {
		call->cb.key(call->arg, code, NULL, &error);
	}
	free(call);
}

void
account_key_find(struct account *account, const char *digest, account_key_cb *cb, void *arg)
{
	struct account_call *call = account_call_new(arg, "key");
	struct unit *unit = unit_new();

	call->cb.key = cb;
	unit_add(unit, &key_find);
	unit_bind_text(unit, digest);
	account_send(account, unit, account_on_key, call);
}

void
account_key_create(struct account *account, int64_t environment_id, const char *display_name,
		   const char *digest, const char *scopes, account_done_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &key_create);
	unit_bind_int(unit, environment_id);
	unit_bind_text(unit, display_name);
	unit_bind_text(unit, digest);
	unit_bind_text(unit, scopes);
	account_send_done(account, unit, "key", cb, arg);
}

void
account_key_delete(struct account *account, int64_t environment_id, int64_t key_id,
		   account_done_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &key_delete);
	unit_bind_int(unit, environment_id);
	unit_bind_int(unit, key_id);
	account_send_done(account, unit, "key", cb, arg);
}

/* ---- variables ------------------------------------------------------------------------------ */

static void
account_on_variables(void *arg, const struct unit_answer *answer)
{
	struct account_call *call = arg;
	struct account_variable *rows;
	struct sl_error error;
	int count;
	enum sl_code code = account_outcome(call, answer, &count, &error);

	rows = sl_calloc((size_t)count + 1, sizeof(*rows));
	for (int i = 0; i < count; i++) {
		rows[i].name = value_text(account_rows(answer), i, 0);
		rows[i].value = value_text(account_rows(answer), i, 1);
	}
	call->cb.variables(call->arg, code, rows, count, code == SL_OK ? NULL : &error);
	free(rows);
	free(call);
}

void
account_variable_list(struct account *account, int64_t environment_id, account_variables_cb *cb,
		      void *arg)
{
	struct account_call *call = account_call_new(arg, NULL);
	struct unit *unit = unit_new();

	call->cb.variables = cb;
	unit_add(unit, &variable_list);
	unit_bind_int(unit, environment_id);
	account_send(account, unit, account_on_variables, call);
}

void
account_variable_put(struct account *account, int64_t environment_id, const char *name,
		     const char *sealed, account_done_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &variable_put);
	unit_bind_int(unit, environment_id);
	unit_bind_text(unit, name);
	unit_bind_text(unit, sealed);
	account_send_done(account, unit, "environment", cb, arg);
}

void
account_variable_delete(struct account *account, int64_t environment_id, const char *name,
			account_done_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &variable_delete);
	unit_bind_int(unit, environment_id);
	unit_bind_text(unit, name);
	account_send_done(account, unit, "variable", cb, arg);
}
