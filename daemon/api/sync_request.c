#include "daemon/api/sync_request.h"

#include <stdio.h>
#include <string.h>

bool
sync_read_syncs(struct api_call *call, struct sync_scope *scope)
{
	char path[40] = "syncs";
	int at;
	const char *wrong = sync_scope_read_all(scope, json_get(call->body, "syncs"), &at);

	if (wrong == NULL)
		return true;
	if (at >= 0)
		snprintf(path, sizeof(path), "syncs.%d", at);
	sync_scope_fini(scope);
	api_fail_issue(call, "invalid_body", wrong, path, "%s", SYNC_WANTS_RULE);
	return false;
}

bool
sync_read_names(struct api_call *call, struct sync_scope *scope, bool connection_required)
{
	return api_text(call, call->body, "provider_config_key", true, 4096, &scope->integration) &&
	       api_check_name(call, API_NAME_INTEGRATION, scope->integration, "invalid_body",
			      "provider_config_key") &&
	       api_text(call, call->body, "connection_id", connection_required, 4096,
			&scope->connection_id) &&
	       (scope->connection_id == NULL ||
		api_check_name(call, API_NAME_CONNECTION, scope->connection_id, "invalid_body",
			       "connection_id"));
}

/* Names without a connection or function are texts of a request: named, not trusted. */
void
sync_fail(struct api_call *call, struct sync_scope *scope, enum sl_code code,
	  const struct sl_error *error, int status, const char *connection_code)
{
	enum sync_missing missing = scope->missing;
	struct sl_error failed = error != NULL ? *error : (struct sl_error){.code = code};

	sync_scope_fini(scope);
	switch (missing) {
	case SYNC_MISSING_INTEGRATION:
		api_fail(
		    call, 400, "unknown_provider_config",
		    "there is no such integration in this environment; check provider_config_key");
		return;
	case SYNC_MISSING_CONNECTION:
		api_fail(call, status, connection_code,
			 "there is no such connection of this integration; check connection_id");
		return;
	case SYNC_MISSING_NOTHING:
		break;
	}
	api_fail_sl(call, code, &failed);
}

void
sync_fail_none(struct api_call *call)
{
	api_reply(
	    call, 400,
	    SLICE_LITERAL("{\"error\":{\"code\":\"no_syncs_found\",\"message\":\"no such sync is "
			  "deployed and enabled for this integration, or it has no "
			  "connection\",\"payload\":{}}}"));
}
