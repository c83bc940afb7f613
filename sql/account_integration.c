#include <stdlib.h>

#include "base/alloc.h"
#include "sql/account.h"
#include "sql/account_rows.h"

#define INTEGRATION_SELECT                                                                   \
	"SELECT id, environment_id, unique_key, provider, display_name, forward_webhooks,"   \
	" credentials, seal_row, config, custom, " ACCOUNT_MS("created_at") ", " ACCOUNT_MS( \
	    "updated_at") " FROM integration WHERE environment_id = $1::bigint "

static const struct unit_statement integration_list = {"integration_list",
						       INTEGRATION_SELECT "ORDER BY id"};
static const struct unit_statement integration_find = {"integration_find", INTEGRATION_SELECT
						       "AND unique_key = $2::text"};

static const struct unit_statement integration_create = {
    "integration_create",
    "INSERT INTO integration (environment_id, unique_key, provider, display_name,"
    " forward_webhooks, credentials, seal_row, config, custom) VALUES ($1::bigint, $2::text,"
    " $3::text, $4::text, $5::boolean, $6::text, $7::text, $8::text, $9::text)"
    " RETURNING id, " ACCOUNT_NOTIFY("environment_id")};

/* Before the update: connections that are being added refer to the row, and wait or are seen. */
static const struct unit_statement integration_lock = {
    "integration_lock", "SELECT id FROM integration WHERE id = $2::bigint"
			" AND environment_id = $1::bigint FOR UPDATE"};

/* A connection is addressed by its integration's name, so one that has any keeps it. */
static const struct unit_statement integration_update = {
    "integration_update",
    "WITH u AS (UPDATE integration i SET unique_key = $3::text, provider = $4::text,"
    "  display_name = $5::text, forward_webhooks = $6::boolean, credentials = $7::text,"
    "  seal_row = $8::text, config = $9::text, custom = $10::text,"
    "  updated_at = greatest(now(), i.created_at + interval '1 millisecond')"
    "  WHERE id = $2::bigint AND environment_id = $1::bigint AND (unique_key = $3::text"
    "   OR NOT EXISTS (SELECT FROM connection c WHERE c.integration_id = i.id))"
    "  RETURNING id, environment_id)"
    " SELECT u.id, CASE WHEN u.id IS NOT NULL THEN " ACCOUNT_NOTIFY(
	"u.environment_id") " END"
			    " FROM integration e LEFT JOIN u ON u.id = e.id"
			    " WHERE e.id = $2::bigint AND e.environment_id = $1::bigint"};

static const struct unit_statement integration_delete = {
    "integration_delete",
    "DELETE FROM integration WHERE environment_id = $1::bigint AND unique_key = $2::text"
    " RETURNING id, " ACCOUNT_NOTIFY("environment_id")};

static void
account_on_integrations(void *arg, const struct unit_answer *answer)
{
	struct account_call *call = arg;
	struct account_integration *rows;
	struct sl_error error;
	int count;
	enum sl_code code = account_outcome(call, answer, &count, &error);

	rows = sl_calloc((size_t)count + 1, sizeof(*rows));
	for (int i = 0; i < count; i++) {
		const PGresult *result = account_rows(answer);

		rows[i].id = value_int(result, i, 0);
		rows[i].environment_id = value_int(result, i, 1);
		rows[i].unique_key = value_text(result, i, 2);
		rows[i].provider = value_text(result, i, 3);
		rows[i].display_name = value_text(result, i, 4);
		rows[i].forward_webhooks = value_bool(result, i, 5);
		rows[i].credentials = value_text(result, i, 6);
		rows[i].seal_row = value_text(result, i, 7);
		rows[i].config = value_text(result, i, 8);
		rows[i].custom = value_text(result, i, 9);
		rows[i].created_ms = value_int(result, i, 10);
		rows[i].updated_ms = value_int(result, i, 11);
	}
	call->cb.integrations(call->arg, code, rows, count, code == SL_OK ? NULL : &error);
	free(rows);
	free(call);
}

void
account_integration_list(struct account *account, int64_t environment_id,
			 account_integrations_cb *cb, void *arg)
{
	struct account_call *call = account_call_new(arg, NULL);
	struct unit *unit = unit_new();

	call->cb.integrations = cb;
	unit_add(unit, &integration_list);
	unit_bind_int(unit, environment_id);
	account_send(account, unit, account_on_integrations, call);
}

void
account_integration_find(struct account *account, int64_t environment_id, const char *unique_key,
			 account_integrations_cb *cb, void *arg)
{
	struct account_call *call = account_call_new(arg, "integration");
	struct unit *unit = unit_new();

	call->cb.integrations = cb;
	unit_add(unit, &integration_find);
	unit_bind_int(unit, environment_id);
	unit_bind_text(unit, unique_key);
	account_send(account, unit, account_on_integrations, call);
}

/* From $N on, in this order in create and update. */
static void
integration_bind(struct unit *unit, const struct account_integration *row)
{
	unit_bind_text(unit, row->unique_key);
	unit_bind_text(unit, row->provider);
	unit_bind_text(unit, row->display_name);
	unit_bind_bool(unit, row->forward_webhooks);
	unit_bind_text(unit, row->credentials);
	unit_bind_text(unit, row->seal_row);
	unit_bind_text(unit, row->config);
	unit_bind_text(unit, row->custom);
}

void
account_integration_create(struct account *account, const struct account_integration *row,
			   account_done_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &integration_create);
	unit_bind_int(unit, row->environment_id);
	integration_bind(unit, row);
	account_send_done(account, unit, "integration", cb, arg);
}

void
account_integration_update(struct account *account, const struct account_integration *row,
			   account_done_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &integration_lock);
	unit_bind_int(unit, row->environment_id);
	unit_bind_int(unit, row->id);
	unit_add(unit, &integration_update);
	unit_bind_int(unit, row->environment_id);
	unit_bind_int(unit, row->id);
	integration_bind(unit, row);
	account_send_done(account, unit, "integration", cb, arg);
}

void
account_integration_delete(struct account *account, int64_t environment_id, const char *unique_key,
			   account_done_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &integration_delete);
	unit_bind_int(unit, environment_id);
	unit_bind_text(unit, unique_key);
	account_send_done(account, unit, "integration", cb, arg);
}
