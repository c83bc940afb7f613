/* daemon/api/endpoint.c - ANY /v1/<path>: functions by the endpoint that they declare (wire.md 2.3).
 *
 * Deprecated, and kept for those who call it: an action runs with the body as its input, a sync
 * answers with the records of its model. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "daemon/api/action.h"
#include "daemon/api/record.h"
#include "daemon/api/resources.h"

#define SCOPE_ACTION "environment:actions:execute"
#define SCOPE_RECORDS "environment:records:read"

/* Behind "/v1", as it was sent: a declared path may begin with two slashes. */
static struct slice
asked_path(const struct api_call *call)
{
	struct slice path = http_request_path(call->request);

	path.data += strlen("/v1");
	path.len -= strlen("/v1");
	return path;
}

static bool
endpoint_matches(const struct api_call *call, struct json_value endpoint)
{
	char *method = json_text(json_get(endpoint, "method"), NULL);
	char *path = json_text(json_get(endpoint, "path"), NULL);
	struct slice asked = asked_path(call);
	bool fits = method != NULL && path != NULL &&
		    strcmp(method, http_request_method(call->request)) == 0;

	if (fits && path[0] != '/') {
		asked.data++;
		asked.len--;
	}
	fits = fits && slice_is(asked, path);
	free(method);
	free(path);
	return fits;
}

/* The place in `endpoints` of a definition, or -1. */
static int
find_endpoint(const struct api_call *call, struct json_value definition)
{
	struct json_value list = json_get(definition, "endpoints");
	struct json_iter it;
	int at = 0;

	if (endpoint_matches(call, json_get(definition, "endpoint")))
		return 0;
	if (list.type != JSON_ARRAY_)
		return -1;
	json_iter_init(&it, list);
	while (json_iter_next(&it)) {
		if (endpoint_matches(call, it.value)) {
			json_iter_fini(&it);
			return at;
		}
		at++;
	}
	json_iter_fini(&it);
	return -1;
}

/* The model that belongs to an endpoint of a sync: the one at its place, else the first. */
static char *
find_model(struct json_value definition, int place)
{
	struct json_value list = json_get(definition, "models");
	struct json_iter it;
	char *model = NULL;
	int at = 0;

	if (list.type != JSON_ARRAY_)
		return NULL;
	json_iter_init(&it, list);
	while (at <= place && json_iter_next(&it)) {
		if (at == 0 || at == place) {
			free(model);
			model = json_text(it.value, NULL);
		}
		at++;
	}
	json_iter_fini(&it);
	return model;
}

static bool
check_scope(struct api_call *call, const char *scope)
{
	if (api_has_scope(call->key, scope))
		return true;
	api_failf(call, 403, "forbidden", "this key lacks the scope %s", scope);
	return false;
}

/* Answers if row declares the endpoint. */
static bool
try_function(struct api_call *call, const struct account_function *row)
{
	struct json_value definition;
	char *model;
	int place;

	if (!row->enabled || json_check(slice_text(row->definition), &definition, NULL) != SL_OK)
		return false;
	place = find_endpoint(call, definition);
	if (place < 0)
		return false;
	if (strcmp(row->type, "action") == 0) {
		if (check_scope(call, SCOPE_ACTION))
			action_run(call, api_keep(call, sl_strdup(row->name)), call->body.raw);
		return true;
	}
	model = find_model(definition, place);
	if (model == NULL || strcmp(http_request_method(call->request), "GET") != 0) {
		free(model);
		return false;
	}
	api_keep(call, model);
	if (check_scope(call, SCOPE_RECORDS))
		record_reply(call, model);
	return true;
}

static void
on_functions(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	const struct directory_functions *functions = object;
	struct api_call *call = arg;

	if (code != SL_OK) {
		api_fail_sl(call, code, error);
		return;
	}
	for (int i = 0; i < functions->count; i++)
		if (try_function(call, &functions->rows[i]))
			return;
	api_reply(call, 404,
		  SLICE_LITERAL(
		      "{\"message\":\"no function of this integration declares that endpoint\"}"));
}

void
endpoint_call(struct api_call *call)
{
	const char *integration;

	if (!api_header(call, "provider-config-key", &integration) ||
	    !api_check_name(call, API_NAME_INTEGRATION, integration, "invalid_headers",
			    "provider-config-key"))
		return;
	directory_functions(call->daemon->directory, call->environment->row.id, integration,
			    on_functions, call);
}
