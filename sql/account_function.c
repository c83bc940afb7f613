#include <stdlib.h>

#include "base/alloc.h"
#include "sql/account.h"
#include "sql/account_rows.h"

#define FUNCTION_COLUMNS                                                                           \
	"f.id, v.id, f.integration_id, f.environment_id, i.unique_key, f.type, f.name, v.version," \
	" v.event, v.source, v.definition, f.enabled, " ACCOUNT_MS("v.deployed_at") FUNCTION_LIMIT
/* By environment it is the environment's limit that holds. */
#define FUNCTION_LIMIT                                                                \
	", f.concurrency_by, CASE WHEN f.concurrency_by = 'environment' THEN (SELECT" \
	"  e.concurrency_limit FROM environment e WHERE e.id = f.environment_id)"     \
	" ELSE f.concurrency_limit END"
#define FUNCTION_FROM " FROM function f JOIN integration i ON i.id = f.integration_id"
#define FUNCTION_ACTIVE FUNCTION_FROM " JOIN function_version v ON v.id = f.version_id "
#define FUNCTION_THERE "f.deleted_at IS NULL AND f.environment_id = $1::bigint"

static const struct unit_statement function_list = {
    "function_list",
    "SELECT " FUNCTION_COLUMNS ", '', '',"
    " (SELECT count(*) FROM connection c WHERE c.integration_id = i.id)" FUNCTION_ACTIVE
    "WHERE " FUNCTION_THERE " AND ($2::text IS NULL OR i.unique_key = $2::text) ORDER BY f.id"};

static const struct unit_statement function_find = {
    "function_find", "SELECT " FUNCTION_COLUMNS ", '', '', 0::bigint" FUNCTION_ACTIVE
		     "WHERE " FUNCTION_THERE " AND i.unique_key = $2::text AND f.type = $3::text"
		     " AND f.name = $4::text"};

static const struct unit_statement function_version = {
    "function_version", "SELECT " FUNCTION_COLUMNS ", v.code, v.ts, 0::bigint" FUNCTION_FROM
			" JOIN function_version v ON v.function_id = f.id WHERE v.id = $1::bigint"};

static const struct unit_statement deploy_lock = {
    "deploy_lock", "SELECT require(pg_try_advisory_xact_lock(1397511492, $1::int), 'SL409',"
		   " 'another deploy of the environment is running')"};

/* What to write and remove was worked out from a list that was read before the lock: if another
 * deploy wrote meanwhile, it would be mixed with ours.  A statement of its own, so that its
 * snapshot is taken under the lock. */
static const struct unit_statement deploy_seen = {
    "deploy_seen",
    "SELECT require($2::bigint < 0 OR $2::bigint = (SELECT coalesce(max(f.version_id), 0)"
    " FROM function f WHERE " FUNCTION_THERE "), 'SL409',"
    " 'another deploy of the environment came in between')"};

/* Locked, so that none of them goes away before the end. */
static const struct unit_statement deploy_integrations = {
    "deploy_integrations",
    "SELECT require((SELECT count(*) FROM (SELECT id FROM integration WHERE id = ANY ($2::bigint[])"
    "  AND environment_id = $1::bigint FOR KEY SHARE) l)"
    " = (SELECT count(DISTINCT i) FROM unnest($2::bigint[]) i), 'SL404',"
    " 'there is no such integration in the environment')"};

static const struct unit_statement deploy_function = {
    "deploy_function",
    "INSERT INTO function (environment_id, integration_id, type, name)"
    " VALUES ($1::bigint, $2::bigint, $3::text, $4::text)"
    " ON CONFLICT (integration_id, type, name) WHERE deleted_at IS NULL DO NOTHING"};

/* Without a version of its own a deploy adds one to the last number of the active version. */
static const struct unit_statement deploy_version = {
    "deploy_version",
    "WITH f AS (SELECT f.id, v.version AS last FROM function f"
    "  LEFT JOIN function_version v ON v.id = f.version_id"
    "  WHERE f.integration_id = $2::bigint AND f.type = $3::text AND f.name = $4::text"
    "  AND f.environment_id = $1::bigint AND f.deleted_at IS NULL),"
    " v AS (INSERT INTO function_version (function_id, version, event, source, definition, code,"
    "   ts, digest) SELECT f.id, CASE WHEN $5::text IS NOT NULL THEN $5::text"
    "   WHEN f.last ~ '[0-9]$' THEN regexp_replace(f.last, '[0-9]+$', '')"
    "    || (substring(f.last FROM '[0-9]+$')::numeric + 1)::text"
    "   WHEN $3::text = 'on-event' THEN '0.0.1' ELSE '1' END,"
    "   $6::text, $7::text, $8::text, $9::text, $10::text, $11::text FROM f"
    "  RETURNING id, function_id, version),"
    " u AS (UPDATE function SET version_id = v.id FROM v WHERE function.id = v.function_id"
    "  RETURNING function.integration_id, type, name)"
    " SELECT u.type, u.name, i.unique_key, v.version, v.id"
    " FROM v, u JOIN integration i ON i.id = u.integration_id"};

static const struct unit_statement deploy_delete = {
    "deploy_delete",
    "UPDATE function SET deleted_at = now(), enabled = false WHERE environment_id = $1::bigint"
    " AND id = ANY ($2::bigint[]) AND deleted_at IS NULL"};

static const struct unit_statement deploy_notify = {
    "deploy_notify", "SELECT " ACCOUNT_NOTIFY("$1::bigint") ", pg_notify('" ACCOUNT_DEPLOYED
							    "', ($1::bigint)::text)"};

static void
account_on_functions(void *arg, const struct unit_answer *answer)
{
	struct account_call *call = arg;
	struct account_function *rows;
	struct sl_error error;
	int count;
	enum sl_code code = account_outcome(call, answer, &count, &error);

	rows = sl_calloc((size_t)count + 1, sizeof(*rows));
	for (int i = 0; i < count; i++) {
		const PGresult *result = account_rows(answer);

		rows[i].id = value_int(result, i, 0);
		rows[i].version_id = value_int(result, i, 1);
		rows[i].integration_id = value_int(result, i, 2);
		rows[i].environment_id = value_int(result, i, 3);
		rows[i].unique_key = value_text(result, i, 4);
		rows[i].type = value_text(result, i, 5);
		rows[i].name = value_text(result, i, 6);
		rows[i].version = value_text(result, i, 7);
		rows[i].event = value_text(result, i, 8);
		rows[i].source = value_text(result, i, 9);
		rows[i].definition = value_text(result, i, 10);
		rows[i].enabled = value_bool(result, i, 11);
		rows[i].deployed_ms = value_int(result, i, 12);
		rows[i].concurrency_by = account_concurrency_parse(value_text(result, i, 13));
		rows[i].concurrency_limit = (int)value_int(result, i, 14);
		rows[i].code = value_text(result, i, 15);
		rows[i].ts = value_text(result, i, 16);
		rows[i].connections = value_int(result, i, 17);
	}
	call->cb.functions(call->arg, code, rows, count, code == SL_OK ? NULL : &error);
	free(rows);
	free(call);
}

static void
function_send(struct account *account, struct unit *unit, const char *one, account_functions_cb *cb,
	      void *arg)
{
	struct account_call *call = account_call_new(arg, one);

	call->cb.functions = cb;
	account_send(account, unit, account_on_functions, call);
}

void
account_function_list(struct account *account, int64_t environment_id, const char *unique_key,
		      account_functions_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &function_list);
	unit_bind_int(unit, environment_id);
	unit_bind_text(unit, unique_key);
	function_send(account, unit, NULL, cb, arg);
}

void
account_function_find(struct account *account, int64_t environment_id, const char *unique_key,
		      const char *type, const char *name, account_functions_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &function_find);
	unit_bind_int(unit, environment_id);
	unit_bind_text(unit, unique_key);
	unit_bind_text(unit, type);
	unit_bind_text(unit, name);
	function_send(account, unit, "function", cb, arg);
}

void
account_version_find(struct account *account, int64_t version_id, account_functions_cb *cb,
		     void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &function_version);
	unit_bind_int(unit, version_id);
	function_send(account, unit, "function version", cb, arg);
}

/* ---- deploys -------------------------------------------------------------------------------- */

/* The unit: lock, integrations, delete, two commands per item, notify. */
enum { DEPLOY_FIRST = 4, DEPLOY_PER_ITEM = 2, DEPLOY_LAST = 1 };

static void
account_on_deployed(void *arg, const struct unit_answer *answer)
{
	struct account_call *call = arg;
	struct account_deployed *rows;
	struct sl_error error;
	int count = (answer->count - DEPLOY_FIRST - DEPLOY_LAST) / DEPLOY_PER_ITEM, ignored;
	enum sl_code code = account_outcome(call, answer, &ignored, &error);

	rows = sl_calloc((size_t)count + 1, sizeof(*rows));
	for (int i = 0; code == SL_OK && i < count; i++) {
		const PGresult *result =
		    answer->results[DEPLOY_FIRST + DEPLOY_PER_ITEM * i + DEPLOY_PER_ITEM - 1];

		rows[i].type = value_text(result, 0, 0);
		rows[i].name = value_text(result, 0, 1);
		rows[i].unique_key = value_text(result, 0, 2);
		rows[i].version = value_text(result, 0, 3);
		rows[i].version_id = value_int(result, 0, 4);
	}
	call->cb.deployed(call->arg, code, rows, code == SL_OK ? count : 0,
			  code == SL_OK ? NULL : &error);
	free(rows);
	free(call);
}

static void
deploy_add_item(struct unit *unit, int64_t environment_id, const struct account_deploy_item *item)
{
	unit_add(unit, &deploy_function);
	unit_bind_int(unit, environment_id);
	unit_bind_int(unit, item->integration_id);
	unit_bind_text(unit, item->type);
	unit_bind_text(unit, item->name);
	unit_add(unit, &deploy_version);
	unit_bind_int(unit, environment_id);
	unit_bind_int(unit, item->integration_id);
	unit_bind_text(unit, item->type);
	unit_bind_text(unit, item->name);
	unit_bind_text(unit, item->version);
	unit_bind_text(unit, item->event);
	unit_bind_text(unit, item->source);
	unit_bind_text(unit, item->definition);
	unit_bind_text(unit, item->code);
	unit_bind_text(unit, item->ts);
	unit_bind_text(unit, item->digest);
}

void
account_deploy(struct account *account, int64_t environment_id, int64_t seen_version,
	       const struct account_deploy_item *items, int count, const int64_t *delete_ids,
	       int delete_count, account_deploy_cb *cb, void *arg)
{
	struct account_call *call = account_call_new(arg, NULL);
	struct unit *unit = unit_new();
	struct value_array integrations, ids;

	call->cb.deployed = cb;
	value_array_init(&integrations, VALUE_INT8);
	for (int i = 0; i < count; i++)
		value_array_int(&integrations, items[i].integration_id);
	value_array_init(&ids, VALUE_INT8);
	for (int i = 0; i < delete_count; i++)
		value_array_int(&ids, delete_ids[i]);
	unit_add(unit, &deploy_lock);
	unit_bind_int(unit, environment_id);
	unit_add(unit, &deploy_seen);
	unit_bind_int(unit, environment_id);
	unit_bind_int(unit, seen_version);
	unit_add(unit, &deploy_integrations);
	unit_bind_int(unit, environment_id);
	unit_bind_array(unit, &integrations);
	unit_add(unit, &deploy_delete);
	unit_bind_int(unit, environment_id);
	unit_bind_array(unit, &ids);
	for (int i = 0; i < count; i++)
		deploy_add_item(unit, environment_id, &items[i]);
	unit_add(unit, &deploy_notify);
	unit_bind_int(unit, environment_id);
	account_send(account, unit, account_on_deployed, call);
}
