/* sql/account_concurrency.c - how many async actions may run at a time, and by what they are apart; how
 * many runs of syncs.
 *
 * A setting and the slots of the keys it governs change in one transaction.  It locks the
 * environment's row first, and so do sync_key() and sync_lane(), which add keys: a key that is made meanwhile
 * either is seen here or sees what was written here. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/loop.h"
#include "sql/account.h"
#include "sql/account_rows.h"

/* The lock comes as a command of its own: what follows reads what the one before it committed. */
static const struct unit_statement concurrency_lock = {
    "concurrency_lock", "SELECT id FROM environment WHERE id = $1::bigint FOR NO KEY UPDATE"};

static const struct unit_statement concurrency_environment = {
    "concurrency_environment",
    "UPDATE environment SET concurrency_by = $2::text, concurrency_limit = $3::bigint"
    " WHERE id = $1::bigint"};

static const struct unit_statement concurrency_function = {
    "concurrency_function",
    "UPDATE function SET concurrency_by = $3::text, concurrency_limit = nullif($4::bigint, 0)"
    " WHERE id = $2::bigint AND environment_id = $1::bigint AND deleted_at IS NULL"};

/* What no setting governs any more stays as it is, for the jobs that still wait there. */
static const struct unit_statement concurrency_keys = {
    "concurrency_keys",
    "UPDATE concurrency_key k SET slots = w.slots FROM (SELECT id,"
    "  concurrency_slots(environment_id, name) AS slots FROM concurrency_key"
    "  WHERE environment_id = $1::bigint AND (name = 'actions' OR name LIKE 'actions:%')) w"
    " WHERE k.id = w.id AND k.slots <> w.slots"};

static const struct unit_statement concurrency_syncs = {
    "concurrency_syncs",
    "UPDATE environment SET sync_limit = nullif($2::bigint, 0) WHERE id = $1::bigint"};

static const struct unit_statement concurrency_sync_key = {
    "concurrency_sync_key", "UPDATE concurrency_key SET slots = $2::bigint"
			    " WHERE environment_id = $1::bigint AND name = 'syncs'"};

#define CONCURRENCY_TOLD ACCOUNT_NOTIFY("e.id") ", pg_notify('" ACCOUNT_LIMITS "', (e.id)::text)"

static const struct unit_statement concurrency_environment_told = {
    "concurrency_environment_told",
    "SELECT e.id, " CONCURRENCY_TOLD " FROM environment e WHERE e.id = $1::bigint"};

static const struct unit_statement concurrency_function_told = {
    "concurrency_function_told",
    "SELECT f.id, " CONCURRENCY_TOLD
    " FROM environment e JOIN function f ON f.environment_id = e.id"
    " WHERE e.id = $1::bigint AND f.id = $2::bigint AND f.deleted_at IS NULL"};

static const char *const names[] = {
    [ACCOUNT_CONCURRENCY_ENVIRONMENT] = "environment",
    [ACCOUNT_CONCURRENCY_CONNECTION] = "connection",
    [ACCOUNT_CONCURRENCY_FUNCTION] = "function",
};

const char *
account_concurrency_name(enum account_concurrency by)
{
	return (size_t)by < sizeof(names) / sizeof(*names) ? names[by] : NULL;
}

enum account_concurrency
account_concurrency_parse(const char *name)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i] != NULL && strcmp(names[i], name) == 0)
			return (enum account_concurrency)i;
	return ACCOUNT_CONCURRENCY_INHERIT;
}

/* ---- refusing ------------------------------------------------------------------------------- */

struct refusal {
	account_done_cb *cb;
	void *arg;
	struct sl_error error;
};

static void
concurrency_on_refused(void *arg)
{
	struct refusal *refusal = arg;

	refusal->cb(refusal->arg, refusal->error.code, 0, &refusal->error);
	free(refusal);
}

static void
concurrency_refuse(struct account *account, const struct sl_error *error, account_done_cb *cb,
		   void *arg)
{
	struct refusal *refusal = sl_alloc(sizeof(*refusal));

	refusal->cb = cb;
	refusal->arg = arg;
	refusal->error = *error;
	loop_soon(account_loop(account), concurrency_on_refused, refusal);
}

/* True: the values are good.  Otherwise cb comes from the loop, as any answer does. */
static bool
concurrency_check(struct account *account, enum account_concurrency by, bool may_inherit, int limit,
		  account_done_cb *cb, void *arg)
{
	struct sl_error error = {0};

	if (by == ACCOUNT_CONCURRENCY_INHERIT && may_inherit)
		return true;
	if (account_concurrency_name(by) == NULL)
		sl_fail(&error, SL_INVALID,
			"concurrency.by must be environment, connection or function");
	else if (limit < 1 || limit > ACCOUNT_CONCURRENCY_MAX)
		sl_fail(&error, SL_INVALID, "concurrency.limit is %d; it must be 1 to %d", limit,
			ACCOUNT_CONCURRENCY_MAX);
	else
		return true;
	concurrency_refuse(account, &error, cb, arg);
	return false;
}

/* ---- public --------------------------------------------------------------------------------- */

void
account_environment_concurrency(struct account *account, int64_t environment_id,
				enum account_concurrency by, int limit, account_done_cb *cb,
				void *arg)
{
	struct unit *unit;

	if (!concurrency_check(account, by, false, limit, cb, arg))
		return;
	unit = unit_new();
	unit_add(unit, &concurrency_lock);
	unit_bind_int(unit, environment_id);
	unit_add(unit, &concurrency_environment);
	unit_bind_int(unit, environment_id);
	unit_bind_text(unit, account_concurrency_name(by));
	unit_bind_int(unit, limit);
	unit_add(unit, &concurrency_keys);
	unit_bind_int(unit, environment_id);
	unit_add(unit, &concurrency_environment_told);
	unit_bind_int(unit, environment_id);
	account_send_done(account, unit, "environment", cb, arg);
}

void
account_function_concurrency(struct account *account, int64_t environment_id, int64_t function_id,
			     enum account_concurrency by, int limit, account_done_cb *cb, void *arg)
{
	struct unit *unit;

	if (!concurrency_check(account, by, true, limit, cb, arg))
		return;
	unit = unit_new();
	unit_add(unit, &concurrency_lock);
	unit_bind_int(unit, environment_id);
	unit_add(unit, &concurrency_function);
	unit_bind_int(unit, environment_id);
	unit_bind_int(unit, function_id);
	unit_bind_text(unit, account_concurrency_name(by));
	unit_bind_int(unit, by == ACCOUNT_CONCURRENCY_INHERIT ? 0 : limit);
	unit_add(unit, &concurrency_keys);
	unit_bind_int(unit, environment_id);
	unit_add(unit, &concurrency_function_told);
	unit_bind_int(unit, environment_id);
	unit_bind_int(unit, function_id);
	account_send_done(account, unit, "function", cb, arg);
}

void
account_environment_sync_limit(struct account *account, int64_t environment_id, int limit,
			       int standard, account_done_cb *cb, void *arg)
{
	struct sl_error error;
	struct unit *unit;

	if (limit < 0 || limit > ACCOUNT_CONCURRENCY_MAX) {
		sl_fail(&error, SL_INVALID, "sync_limit is %d; it must be 1 to %d", limit,
			ACCOUNT_CONCURRENCY_MAX);
		concurrency_refuse(account, &error, cb, arg);
		return;
	}
	unit = unit_new();
	unit_add(unit, &concurrency_lock);
	unit_bind_int(unit, environment_id);
	unit_add(unit, &concurrency_syncs);
	unit_bind_int(unit, environment_id);
	unit_bind_int(unit, limit);
	unit_add(unit, &concurrency_sync_key);
	unit_bind_int(unit, environment_id);
	unit_bind_int(unit, limit > 0 ? limit : standard);
	unit_add(unit, &concurrency_environment_told);
	unit_bind_int(unit, environment_id);
	account_send_done(account, unit, "environment", cb, arg);
}
