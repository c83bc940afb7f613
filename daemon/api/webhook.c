#include "daemon/api/webhook.h"

#include <string.h>

#include "base/alloc.h"

static const struct {
	const char *name;
	enum settle_event_type type;
} types[] = {
    {"async_action", SETTLE_EVENT_ASYNC_ACTION},
    {"sync", SETTLE_EVENT_SYNC},
    {"auth", SETTLE_EVENT_AUTH},
};
enum { TYPES = sizeof(types) / sizeof(types[0]) };

static bool
is_operator(const struct api_call *call)
{
	return (call->route->flags & API_OPERATOR) != 0;
}

static bool
is_read(const struct api_call *call)
{
	return strcmp(call->route->method, "GET") == 0;
}

void *
webhook_place_new(struct api_call *call, size_t size)
{
	struct webhook_place *place = api_state(call, size);

	place->call = call;
	return place;
}

bool
webhook_strict(struct webhook_place *place, const char *const *names)
{
	struct api_call *call = place->call;

	if (!is_operator(call))
		names++;
	return is_read(call) ? api_query_strict(call, names) : api_strict(call, call->body, names);
}

static void
on_environment(void *arg, enum sl_code code, const struct account_environment *rows, int count,
	       const struct sl_error *error)
{
	struct webhook_place *place = arg;
	struct api_call *call = place->call;

	if (code == SL_NOT_FOUND || (code == SL_OK && count == 0)) {
		api_failf(call, 404, "not_found",
			  "there is no environment %.100s; GET /admin/v1/environments lists them",
			  place->environment);
	} else if (code != SL_OK) {
		api_fail_sl(call, code, error);
	} else {
		place->environment_id = rows[0].id;
		place->go(place);
	}
}

void
webhook_find(struct webhook_place *place, bool required, void (*go)(struct webhook_place *place))
{
	struct api_call *call = place->call;
	const char *code = is_read(call) ? "invalid_query_params" : "invalid_body";

	place->go = go;
	if (!is_operator(call)) {
		place->environment_id = call->environment->row.id;
		go(place);
		return;
	}
	if (is_read(call))
		place->environment = api_query(call, "environment");
	else if (!api_text(call, call->body, "environment", required, 0, &place->environment))
		return;
	if (place->environment == NULL)
		go(place);
	else if (api_check_name(call, API_NAME_ENVIRONMENT, place->environment, code,
				"environment"))
		account_environment_by_name(call->daemon->account, place->environment,
					    on_environment, place);
}

bool
webhook_id(struct api_call *call, const char *what, char out[UUID_TEXT])
{
	/* /webhooks/deliveries/:id, or behind /admin/v1 */
	if (uuid_parse(slice_text(call->segment[is_operator(call) ? 4 : 2]), out))
		return true;
	api_fail_issue(call, "invalid_uri_params", "invalid_format", "id",
		       "the id of a %s must be a UUID, as the list shows it", what);
	return false;
}

bool
webhook_uuid(struct api_call *call, const char *code, const char *name, const char *text,
	     const char **out)
{
	char *uuid;

	*out = NULL;
	if (text == NULL)
		return true;
	uuid = api_keep(call, sl_alloc(UUID_TEXT));
	*out = uuid;
	if (uuid_parse(slice_text(text), uuid))
		return true;
	api_fail_issue(call, code, "invalid_format", name,
		       strcmp(name, "cursor") == 0 ? "%s must be `next` of the page before"
						   : "%s must be a UUID, as answers show it",
		       name);
	return false;
}

bool
webhook_type(struct api_call *call, const char *code, const char *text, int *out)
{
	*out = 0;
	if (text == NULL)
		return true;
	for (int i = 0; i < TYPES; i++)
		if (strcmp(text, types[i].name) == 0) {
			*out = (int)types[i].type;
			return true;
		}
	api_fail_issue(call, code, "invalid_value", "type",
		       "type must be async_action, sync or auth");
	return false;
}

const char *
webhook_type_name(int type)
{
	for (int i = 0; i < TYPES; i++)
		if ((int)types[i].type == type)
			return types[i].name;
	return NULL;
}
