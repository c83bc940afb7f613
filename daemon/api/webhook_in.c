/* daemon/api/webhook_in.c - POST /webhook/{environment}/{integration}: what providers tell us
 * (wire.md 10).
 *
 * The path is the only secret, so little is believed: the body picks among the connections and
 * subscriptions that are there, and is handed to their functions as it came.  The answer waits until
 * every job is committed; a provider that hears 503 sends again, and functions may see a webhook
 * twice. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "daemon/api/resources.h"
#include "daemon/api/sync_scope.h"
#include "daemon/submit.h"
#include "provider/catalog.h"

struct incoming {
	struct api_call *call;
	const struct directory_environment *environment; /* held */
	struct json_value payload;
	char *type, *connection_name; /* owned; NULL: the body does not say */
	int64_t connection_id;
	const struct directory_functions *functions; /* held */
	int at;
	struct ledger_job job;
	int64_t sync_id;
};

static void
incoming_release(struct incoming *incoming)
{
	directory_release(incoming->environment);
	directory_release(incoming->functions);
	free(incoming->type);
	free(incoming->connection_name);
}

static void
incoming_fail(struct incoming *incoming, enum sl_code code, const struct sl_error *error)
{
	struct api_call *call = incoming->call;

	incoming_release(incoming);
	api_fail_sl(call, code, error);
}

static void
incoming_done(struct incoming *incoming)
{
	struct api_call *call = incoming->call;

	incoming_release(incoming);
	api_reply(call, 200, SLICE_LITERAL("{\"status\":\"success\"}"));
}

/* ---- a job for each sync that subscribes ------------------------------------------------------ */

static bool
subscribes(const struct account_function *row, const char *type)
{
	struct json_value definition, list;
	struct json_iter it;
	bool found = false;

	if (strcmp(row->type, "sync") != 0 || !row->enabled ||
	    json_check(slice_text(row->definition), &definition, NULL) != SL_OK)
		return false;
	list = json_get(definition, "webhookSubscriptions");
	if (list.type != JSON_ARRAY_)
		return false;
	json_iter_init(&it, list);
	while (!found && json_iter_next(&it)) {
		char *text = json_text(it.value, NULL);

		found = text != NULL &&
			(strcmp(text, "*") == 0 || (type != NULL && strcmp(text, type) == 0));
		free(text);
	}
	json_iter_fini(&it);
	return found;
}

static void next_sync(struct incoming *incoming);

static void
on_submitted(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct incoming *incoming = arg;

	struct api_call *call = incoming->call;
	int64_t environment_id = incoming->environment->row.id;

	if (code == SL_OK) {
		next_sync(incoming);
	} else {
		incoming_release(incoming);
		api_fail_submit(call, environment_id, code, error);
	}
}

static void
on_key(void *arg, enum sl_code code, int64_t key_id, const struct sl_error *error)
{
	struct incoming *incoming = arg;
	struct slice payload = incoming->payload.raw;
	struct buf input;

	if (code != SL_OK) {
		incoming_fail(incoming, code, error);
		return;
	}
	buf_init(&input, payload.len + 80);
	buf_printf(&input, "{\"sync\":%lld,\"payload\":", (long long)incoming->sync_id);
	buf_add_slice(&input, payload);
	buf_add_char(&input, '}');
	incoming->job.key_id = key_id;
	incoming->job.input = buf_slice(&input); /* copied */
	uuid_v7(incoming->job.id);
	submit_job(incoming->call->daemon, &incoming->job, on_submitted, incoming);
	buf_fini(&input);
}

static void
on_sync(void *arg, enum sl_code code, const struct sync_row *rows, int count,
	const struct sl_error *error)
{
	struct incoming *incoming = arg;
	char name[48];

	(void)count;
	if (code == SL_NOT_FOUND || (code == SL_OK && rows[0].version_id == 0)) {
		next_sync(incoming); /* removed or disabled meanwhile */
		return;
	}
	if (code != SL_OK) {
		incoming_fail(incoming, code, error);
		return;
	}
	incoming->sync_id = rows[0].id;
	incoming->job = (struct ledger_job){
	    .environment_id = rows[0].environment_id,
	    .function_version_id = rows[0].version_id,
	    .connection_id = rows[0].connection_id,
	    .kind = JOB_WEBHOOK,
	};
	snprintf(name, sizeof(name), "webhook:%lld", (long long)rows[0].id);
	sync_key(incoming->call->daemon->syncs, rows[0].environment_id, name, 1, on_key, incoming);
}

static void
next_sync(struct incoming *incoming)
{
	const struct directory_functions *functions = incoming->functions;

	while (incoming->at < functions->count) {
		const struct account_function *row = &functions->rows[incoming->at++];

		if (!subscribes(row, incoming->type))
			continue;
		sync_ensure(incoming->call->daemon->syncs, row->id, incoming->connection_id,
			    SYNC_BASE, on_sync, incoming);
		return;
	}
	incoming_done(incoming);
}

/* ---- whom it is for --------------------------------------------------------------------------- */

static void
on_functions(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct incoming *incoming = arg;

	if (code != SL_OK) {
		incoming_fail(incoming, code, error);
		return;
	}
	incoming->functions = directory_hold(object);
	next_sync(incoming);
}

static void
on_connection(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct incoming *incoming = arg;
	const struct directory_connection *connection = object;
	struct api_call *call = incoming->call;

	if (code == SL_NOT_FOUND) {
		incoming_done(incoming); /* as the original: the sender learns nothing */
		return;
	}
	if (code != SL_OK) {
		incoming_fail(incoming, code, error);
		return;
	}
	incoming->connection_id = connection->row.id;
	directory_functions(call->daemon->directory, incoming->environment->row.id,
			    call->segment[2], on_functions, incoming);
}

/* WEBHOOK_GENERIC: {type, connectionId, ...}, unsigned. */
static void
route_generic(struct incoming *incoming)
{
	struct api_call *call = incoming->call;
	struct sl_error error;

	if (json_check(http_request_body(call->request), &incoming->payload, &error) != SL_OK) {
		incoming_release(incoming);
		api_fail(call, 400, "invalid_json", error.text);
		return;
	}
	incoming->type = json_text(json_get(incoming->payload, "type"), NULL);
	incoming->connection_name = json_text(json_get(incoming->payload, "connectionId"), NULL);
	if (incoming->connection_name == NULL ||
	    !api_name_is(API_NAME_CONNECTION, incoming->connection_name)) {
		incoming_done(incoming);
		return;
	}
	directory_connection(call->daemon->directory, incoming->environment->row.id,
			     call->segment[2], incoming->connection_name, on_connection, incoming);
}

static void
on_integration(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct incoming *incoming = arg;
	const struct directory_integration *integration = object;
	const struct provider *provider = NULL;
	struct api_call *call = incoming->call;

	if (code != SL_OK) {
		incoming_release(incoming);
		if (code == SL_NOT_FOUND)
			api_fail(call, 404, "unknown_provider_config", NULL);
		else
			api_fail_sl(call, code, error);
		return;
	}
	provider = catalog_find(call->daemon->catalog, integration->row.provider);
	if (provider == NULL || provider->webhook == WEBHOOK_NONE) {
		incoming_release(incoming);
		api_reply_empty(call, 204);
		return;
	}
	route_generic(incoming);
}

static void
on_environment(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct incoming *incoming = arg;
	struct api_call *call = incoming->call;

	if (code == SL_NOT_FOUND) {
		api_fail(call, 404, "unknown_environment", NULL);
		return;
	}
	if (code != SL_OK) {
		api_fail_sl(call, code, error);
		return;
	}
	incoming->environment = directory_hold(object);
	if (!api_name_is(API_NAME_INTEGRATION, call->segment[2])) {
		incoming_release(incoming);
		api_fail(call, 404, "unknown_provider_config", NULL);
		return;
	}
	directory_integration(call->daemon->directory, incoming->environment->row.id,
			      call->segment[2], on_integration, incoming);
}

void
webhook_in(struct api_call *call)
{
	struct incoming *incoming = api_state(call, sizeof(*incoming));
	char uuid[UUID_TEXT];

	incoming->call = call;
	if (!uuid_parse(slice_text(call->segment[1]), uuid))
		api_fail(call, 404, "unknown_environment", NULL);
	else
		directory_environment_by_uuid(call->daemon->directory, uuid, on_environment,
					      incoming);
}
