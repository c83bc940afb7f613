/* tests/integration/sync_rig.h - an environment with an integration, two connections and functions,
 * and calls of sync.h that wait for their answer. */
#ifndef SLUICE_TESTS_SYNC_RIG_H
#define SLUICE_TESTS_SYNC_RIG_H

#include "sql/checkpoint.h"
#include "sql/ledger.h"
#include "sql/record.h"
#include "sql/sync.h"
#include "tests/integration/sql_rig.h"

/* Row ids of what sync_rig_rows() makes; action is no sync, foreign is of another integration. */
enum { RIG_ENVIRONMENT = 1, RIG_INTEGRATION = 1, RIG_FOREIGN_INTEGRATION };
static int64_t rig_connection, rig_second, rig_foreign, rig_function, rig_action;

static struct sync_store *rig_store;
static int rig_calls;
static enum sl_code rig_code;
static struct sl_error rig_error;

/* One call that is to end with this code. */
#define CALL(expected, ...)                        \
	do {                                       \
		rig_calls = 0;                     \
		__VA_ARGS__;                       \
		rig_until(rig_calls > 0);          \
		check_int(rig_calls, ==, 1);       \
		check_int(rig_code, ==, expected); \
	} while (0)

static void
rig_answered(enum sl_code code, const struct sl_error *error)
{
	check((code == SL_OK) == (error == NULL));
	rig_calls++;
	rig_code = code;
	if (error != NULL)
		rig_error = *error;
}

static inline void
rig_on_done(void *arg, enum sl_code code, const struct sl_error *error)
{
	(void)arg;
	rig_answered(code, error);
}

static inline void
rig_on_accepted(void *arg, enum sl_code code, int64_t seq, const struct sl_error *error)
{
	(void)arg;
	check((code == SL_OK) == (seq > 0));
	rig_answered(code, error);
}

/* A run of a sync of the rig's, as sync_start() accepts it; its key is the sync's own. */
static inline void
rig_accept(struct sync_store *store, int64_t sync_id, const char *job_id, bool reset,
	   sync_accept_cb *cb)
{
	struct ledger_job job = {
	    .environment_id = RIG_ENVIRONMENT,
	    .function_version_id = 1,
	    .connection_id = rig_connection,
	    .kind = JOB_SYNC,
	    .max_retries = 3,
	    .input = SLICE_LITERAL("{}"),
	};
	char text[100];

	snprintf(text, sizeof(text),
		 "SELECT coalesce((SELECT key_id FROM sync WHERE id = %lld), 1)",
		 (long long)sync_id);
	job.key_id = rig_sql(text);
	snprintf(job.id, sizeof(job.id), "%s", job_id);
	sync_accept(store, sync_id, &job, reset, cb, NULL);
}

static inline int64_t
rig_new_connection(const char *name, int integration)
{
	char text[300];

	snprintf(text, sizeof(text),
		 "INSERT INTO connection (environment_id, integration_id, connection_id,"
		 " credentials, seal_row, connection_config, metadata, tags, end_user,"
		 " webhook_url_override) VALUES (%d, %d, '%s', '', '', '{}', '{}', '{}', '{}', '')"
		 " RETURNING id",
		 RIG_ENVIRONMENT, integration, name);
	return rig_sql(text);
}

static inline int64_t
rig_new_function(const char *type, const char *name)
{
	char text[600];

	snprintf(text, sizeof(text),
		 "WITH f AS (INSERT INTO function (environment_id, integration_id, type, name)"
		 "  VALUES (%d, %d, '%s', '%s') RETURNING id),"
		 " v AS (INSERT INTO function_version (function_id, version, event, source,"
		 "  definition, code, ts, digest) SELECT id, '1', '', 'repo', '{\"runs\":\"%s\"}',"
		 "  '', '', '' FROM f) SELECT id FROM f",
		 RIG_ENVIRONMENT, RIG_INTEGRATION, type, name, name);
	return rig_sql(text);
}

static inline void
rig_sync_start(void)
{
	struct pg_settings settings = {NULL, "sluiced records", true, 0, false};

	rig_start();
	rig_migrate();
	rig_sql("INSERT INTO environment (name, uuid, is_production, signing_key, callback_url)"
		" VALUES ('dev', 'u', false, '', '')");
	rig_sql("INSERT INTO integration (environment_id, unique_key, provider, display_name,"
		" forward_webhooks, credentials, seal_row, config, custom)"
		" SELECT 1, k, 'p', '', false, '', '', '{}', '{}' FROM unnest('{a,b}'::text[]) k");
	rig_connection = rig_new_connection("one", RIG_INTEGRATION);
	rig_second = rig_new_connection("two", RIG_INTEGRATION);
	rig_foreign = rig_new_connection("three", RIG_FOREIGN_INTEGRATION);
	rig_function = rig_new_function("sync", "contacts");
	rig_action = rig_new_function("action", "create");
	rig_sql("UPDATE function f SET version_id = v.id FROM function_version v"
		" WHERE v.function_id = f.id");
	settings.conninfo = rig_conninfo;
	rig_store = sync_store_new(rig_loop, &settings);
}

static inline void
rig_sync_stop(void)
{
	sync_store_free(rig_store);
	rig_stop();
}

static inline int64_t
rig_new_session(void)
{
	return rig_sql("INSERT INTO session (node) VALUES ('n') RETURNING id");
}

static inline void
rig_end_session(int64_t session)
{
	char text[100];

	snprintf(text, sizeof(text), "UPDATE session SET live = false WHERE id = %lld",
		 (long long)session);
	rig_sql(text);
}

#endif
