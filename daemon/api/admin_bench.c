/* daemon/api/admin_bench.c - POST /admin/v1/bench: an environment of its own for `sluice bench`, with a
 * function that does nothing, so that customers' numbers stay clean.
 *
 * Each step looks first and makes what is missing; two calls at once make one, whoever is first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "daemon/api/api.h"
#include "daemon/api/resources.h"

#define NAME "bench"
#define FUNCTION "noop"
#define STEPS_MAX 12 /* each is done once, or somebody else is faster */

/* As the compiler leaves modules: ES5, the function under `default`. */
static const char code_text[] =
    "exports.default = {type: 'action', description: 'Returns its input.',"
    " exec: function (nango, input) { return input; }};\n";
static const char ts_text[] =
    "export default { type: 'action', exec: async (_, input) => input };\n";
static const char definition[] =
    "{\"syncName\":\"" FUNCTION "\",\"providerConfigKey\":\"" NAME "\",\"models\":[],\"runs\":null,"
    "\"type\":\"action\",\"endpoints\":[],\"track_deletes\":false,\"features\":[],"
    "\"metadata\":{\"description\":\"Returns its input: what a job costs by itself\",\"scopes\":[]}}";

struct bench {
	struct api_call *call;
	int64_t environment_id, integration_id;
	int steps;
};

static void look(struct bench *bench);

/* May it go on?  SL_CONFLICT: somebody else has made it meanwhile, or deploys. */
static bool
made(struct bench *bench, enum sl_code code, const struct sl_error *error)
{
	if ((code == SL_OK || code == SL_CONFLICT) && bench->steps++ < STEPS_MAX)
		return true;
	api_fail_sl(bench->call, code == SL_OK ? SL_UNAVAILABLE : code, error);
	return false;
}

/* ---- the function ------------------------------------------------------------------------------ */

static void
on_deployed(void *arg, enum sl_code code, const struct account_deployed *rows, int count,
	    const struct sl_error *error)
{
	struct bench *bench = arg;

	(void)rows;
	(void)count;
	if (made(bench, code, error))
		look(bench);
}

static void
on_function(void *arg, enum sl_code code, const struct account_function *rows, int count,
	    const struct sl_error *error)
{
	struct bench *bench = arg;
	struct daemon *daemon = bench->call->daemon;
	struct account_deploy_item item = {.integration_id = bench->integration_id,
					   .type = "action",
					   .name = FUNCTION,
					   .event = "",
					   .source = "standalone",
					   .definition = definition,
					   .code = code_text,
					   .ts = ts_text};
	char digest[SECRET_SHA256_HEX];

	(void)rows;
	if (code != SL_OK && code != SL_NOT_FOUND) {
		api_fail_sl(bench->call, code, error);
		return;
	}
	if (code == SL_OK && count > 0) {
		directory_forget(daemon->directory);
		api_reply(bench->call, 200,
			  SLICE_LITERAL("{\"environment\":\"" NAME "\",\"integration\":\"" NAME
					"\",\"connection\":\"" NAME "\",\"function\":\"" FUNCTION
					"\"}"));
		return;
	}
	secret_sha256_hex(slice_text(code_text), digest);
	item.digest = digest;
	log_info("bench_made", "environment=%s", NAME);
	account_deploy(daemon->account, bench->environment_id, -1, &item, 1, NULL, 0, on_deployed,
		       bench);
}

/* ---- the connection ---------------------------------------------------------------------------- */

static void
on_connected(void *arg, enum sl_code code, const struct account_connection *row, bool overridden,
	     const struct sl_error *error)
{
	struct bench *bench = arg;

	(void)row;
	(void)overridden;
	if (made(bench, code, error))
		look(bench);
}

static void
connect_bench(struct bench *bench)
{
	char uuid[UUID_TEXT], seal_row[UUID_TEXT + 16];
	struct account_connection row = {.environment_id = bench->environment_id,
					 .integration_id = bench->integration_id,
					 .connection_id = NAME,
					 .unique_key = NAME,
					 .provider = "unauthenticated",
					 .seal_row = seal_row,
					 .connection_config = "{}",
					 .metadata = "{}",
					 .tags = "{}",
					 .end_user = "null",
					 .webhook_url_override = ""};
	struct buf sealed;

	uuid_v4(uuid);
	snprintf(seal_row, sizeof(seal_row), "connection:%s", uuid);
	buf_init(&sealed, 4096);
	secret_seal(bench->call->daemon->ring, SLICE_LITERAL("{}"), seal_row, &sealed);
	row.credentials = sealed.data;
	account_connection_upsert(bench->call->daemon->account, &row, on_connected, bench);
	buf_fini(&sealed);
}

static void
on_connection(void *arg, enum sl_code code, const struct account_connection *rows, int count,
	      const struct sl_error *error)
{
	struct bench *bench = arg;

	(void)rows;
	if (code == SL_NOT_FOUND || (code == SL_OK && count == 0))
		connect_bench(bench);
	else if (code != SL_OK)
		api_fail_sl(bench->call, code, error);
	else
		account_function_find(bench->call->daemon->account, bench->environment_id, NAME,
				      "action", FUNCTION, on_function, bench);
}

/* ---- integration, environment ------------------------------------------------------------------ */

static void
on_made(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
{
	struct bench *bench = arg;

	(void)id;
	if (made(bench, code, error))
		look(bench);
}

static void
integrate(struct bench *bench)
{
	struct account_integration row = {.environment_id = bench->environment_id,
					  .unique_key = NAME,
					  .provider = "unauthenticated",
					  .display_name = "",
					  .credentials = "",
					  .config = "{}",
					  .custom = "{}"};
	char *seal_row = sl_asprintf("integration:%lld:%s", (long long)row.environment_id, NAME);

	row.seal_row = seal_row;
	account_integration_create(bench->call->daemon->account, &row, on_made, bench);
	free(seal_row);
}

static void
on_integration(void *arg, enum sl_code code, const struct account_integration *rows, int count,
	       const struct sl_error *error)
{
	struct bench *bench = arg;

	if (code == SL_NOT_FOUND || (code == SL_OK && count == 0)) {
		integrate(bench);
	} else if (code != SL_OK) {
		api_fail_sl(bench->call, code, error);
	} else {
		bench->integration_id = rows[0].id;
		account_connection_find(bench->call->daemon->account, bench->environment_id, NAME,
					NAME, on_connection, bench);
	}
}

/* Its first key is known to nobody, as with POST /environments. */
static void
create_environment(struct bench *bench)
{
	char uuid[UUID_TEXT], secret[UUID_TEXT], digest[SECRET_SHA256_HEX];
	struct account_new_environment row = {.name = NAME,
					      .uuid = uuid,
					      .signing_key = "",
					      .callback_url = "",
					      .key_digest = digest};

	uuid_v4(uuid);
	uuid_v4(secret);
	secret_sha256_hex(slice_text(secret), digest);
	account_environment_create(bench->call->daemon->account, &row, on_made, bench);
}

static void
on_environment(void *arg, enum sl_code code, const struct account_environment *rows, int count,
	       const struct sl_error *error)
{
	struct bench *bench = arg;

	if (code == SL_NOT_FOUND || (code == SL_OK && count == 0)) {
		create_environment(bench);
	} else if (code != SL_OK) {
		api_fail_sl(bench->call, code, error);
	} else {
		bench->environment_id = rows[0].id;
		account_integration_find(bench->call->daemon->account, bench->environment_id, NAME,
					 on_integration, bench);
	}
}

static void
look(struct bench *bench)
{
	account_environment_by_name(bench->call->daemon->account, NAME, on_environment, bench);
}

void
admin_bench(struct api_call *call)
{
	static const char *const none[] = {NULL};
	struct bench *bench = api_state(call, sizeof(*bench));

	bench->call = call;
	if (api_strict(call, call->body, none))
		look(bench);
}
