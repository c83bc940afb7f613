/* daemon/api/sync_variant.c - POST and DELETE /sync/{name}/variant/{variant} (wire.md 3). */
#include <string.h>

#include "base/log.h"
#include "daemon/api/resources.h"
#include "daemon/api/sync_request.h"
#include "sql/ledger.h"
#include "sql/sync_variant.h"

struct variant;
struct variant_ask { /* create or delete */
	void (*go)(struct variant *it, int64_t function_id);
	void (*unknown)(struct api_call *call); /* no such sync */
	bool of_connection; /* an unknown integration is answered as one without that connection */
};

struct variant {
	struct api_call *call;
	const struct variant_ask *ask;
	struct sync_scope scope;
	const char *name, *variant; /* of the path */
};

static void
on_scope(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct variant *it = arg;

	if (it->ask->of_connection && it->scope.missing == SYNC_MISSING_INTEGRATION)
		it->scope.missing = SYNC_MISSING_CONNECTION;
	if (code != SL_OK) {
		sync_fail(it->call, &it->scope, code, error, 400, "unknown_connection");
	} else if (it->scope.set.pick_count == 0) {
		sync_scope_fini(&it->scope);
		it->ask->unknown(it->call);
	} else {
		it->ask->go(it, it->scope.set.picks[0].function_id);
	}
}

static void
find(struct api_call *call, const struct variant_ask *ask)
{
	static const char *const names[] = {"provider_config_key", "connection_id", NULL};
	struct variant *it = api_state(call, sizeof(*it));

	it->call = call;
	it->ask = ask;
	it->scope.daemon = call->daemon;
	it->scope.environment_id = call->environment->row.id;
	it->name = call->segment[1];
	it->variant = call->segment[3];
	if (!api_check_name(call, API_NAME_FUNCTION, it->name, "invalid_uri_params", "name") ||
	    !api_check_name(call, API_NAME_FUNCTION, it->variant, "invalid_uri_params",
			    "variant") ||
	    !api_strict(call, call->body, names) || !sync_read_names(call, &it->scope, true))
		return;
	if (strcmp(it->variant, SYNC_BASE) == 0) {
		api_fail(call, 400, "invalid_variant",
			 "the variant \"" SYNC_BASE "\" is the sync itself; choose another name");
		return;
	}
	sync_scope_want_variant(&it->scope, it->name, it->variant);
	sync_scope_find(&it->scope, on_scope, it);
}

/* ---- create ----------------------------------------------------------------------------------- */

static void
unknown_sync(struct api_call *call)
{
	api_fail(call, 400, "unknown_sync", "no such sync is deployed for this integration");
}

static void
on_created(void *arg, enum sl_code code, const struct sync_row *rows, int count,
	   const struct sl_error *error)
{
	struct variant *it = arg;
	struct api_call *call = it->call;
	struct json_writer w;
	struct buf out;

	(void)count;
	sync_scope_fini(&it->scope);
	switch (code) {
	case SL_OK:
		break;
	case SL_NOT_FOUND:
		unknown_sync(call);
		return;
	case SL_CONFLICT:
		api_fail(call, 400, "sync_variant_already_exists", error->text);
		return;
	case SL_EXHAUSTED:
		api_fail(call, 400, "resource_capped", error->text);
		return;
	case SL_INVALID:
	case SL_UNAVAILABLE:
	case SL_INTERNAL:
		api_fail_sl(call, code, error);
		return;
	}
	buf_init(&out, 4096);
	jw_init(&w, &out);
	jw_object(&w);
	jw_member_text(&w, "id", rows[0].uuid);
	jw_member_text(&w, "name", rows[0].name);
	jw_member_text(&w, "variant", rows[0].variant);
	jw_object_end(&w);
	api_reply_buf(call, 200, &out);
}

static void
create(struct variant *it, int64_t function_id)
{
	sync_variant_create(it->call->daemon->syncs, function_id, it->scope.set.connection_id,
			    it->variant, on_created, it);
}

void
sync_variant_post(struct api_call *call)
{
	static const struct variant_ask ask = {create, unknown_sync, false};

	find(call, &ask);
}

/* ---- delete ----------------------------------------------------------------------------------- */

static void
no_variant(struct api_call *call)
{
	api_fail(call, 404, "not_found", "the connection has no such sync in that variant");
}

/* What the run would still write is refused, whether or not it could be told. */
static void
on_cancelled(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct variant *it = arg;

	if (code != SL_OK && code != SL_CONFLICT && code != SL_NOT_FOUND)
		log_warn("variant_run_not_cancelled", "code=%s error=%s", sl_code_name(code),
			 log_text(error != NULL ? error->text : ""));
	api_reply_success(it->call);
}

static void
on_deleted(void *arg, enum sl_code code, const char *job_id, const struct sl_error *error)
{
	struct variant *it = arg;
	struct api_call *call = it->call;

	sync_scope_fini(&it->scope);
	if (code == SL_NOT_FOUND)
		no_variant(call);
	else if (code != SL_OK)
		api_fail_sl(call, code, error);
	else if (job_id[0] == '\0')
		api_reply_success(call);
	else
		ledger_cancel(call->daemon->ledger, job_id, call->environment->row.id, JOB_SYNC,
			      on_cancelled, it);
}

static void
drop(struct variant *it, int64_t function_id)
{
	sync_variant_delete(it->call->daemon->syncs, function_id, it->scope.set.connection_id,
			    it->variant, on_deleted, it);
}

void
sync_variant_drop(struct api_call *call)
{
	static const struct variant_ask ask = {drop, no_variant, true};

	find(call, &ask);
}
