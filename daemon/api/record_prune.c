/* daemon/api/record_prune.c - PATCH /records/prune (wire.md 4.2). */
#include <stdio.h>
#include <string.h>

#include "daemon/api/resources.h"
#include "daemon/record_show.h"
#include "sql/record_prune.h"

#define LIMIT_MAX 10000
#define LIMIT_DEFAULT 1000
#define CURSOR_MAX 1000

struct pruning {
	struct api_call *call;
	const char *integration, *connection_id;
	char model[2 * 256 + 4]; /* with its variant */
	char until_uuid[UUID_TEXT];
	struct record_prune prune;
};

static void
on_pruned(void *arg, enum sl_code code, int64_t count, bool more, const struct sl_error *error)
{
	struct pruning *pruning = arg;
	char text[80];

	if (code != SL_OK) {
		api_fail_sl(pruning->call, code, error);
		return;
	}
	snprintf(text, sizeof(text), "{\"count\":%lld,\"has_more\":%s}", (long long)count,
		 more ? "true" : "false");
	api_reply(pruning->call, 200, slice_text(text));
}

static void
on_connection(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct pruning *pruning = arg;
	const struct directory_connection *connection = object;

	if (code == SL_NOT_FOUND) {
		api_fail(
		    pruning->call, 400, "unknown_connection",
		    "no such connection for this integration; check Connection-Id and Provider-Config-Key");
		return;
	}
	if (code != SL_OK) {
		api_fail_sl(pruning->call, code, error);
		return;
	}
	pruning->prune.connection_id = connection->row.id;
	record_prune(pruning->call->daemon->syncs, &pruning->prune, on_pruned, pruning);
}

static bool
read_model(struct pruning *pruning)
{
	struct api_call *call = pruning->call;
	const char *model, *variant;

	if (!api_text(call, call->body, "model", true, 0, &model) ||
	    !api_text(call, call->body, "variant", false, 0, &variant) ||
	    !api_check_name(call, API_NAME_MODEL, model, "invalid_body", "model") ||
	    (variant != NULL &&
	     !api_check_name(call, API_NAME_FUNCTION, variant, "invalid_body", "variant")))
		return false;
	if (variant != NULL && strcmp(variant, "base") != 0)
		snprintf(pruning->model, sizeof(pruning->model), "%s::%s", model, variant);
	else
		snprintf(pruning->model, sizeof(pruning->model), "%s", model);
	pruning->prune.model = pruning->model;
	return true;
}

static bool
read_limit(struct pruning *pruning)
{
	struct json_value value = json_get(pruning->call->body, "limit");
	int64_t limit = LIMIT_DEFAULT;

	if (value.type != JSON_NONE &&
	    (!json_int(value, &limit) || limit < 1 || limit > LIMIT_MAX)) {
		api_fail_issue(pruning->call, "invalid_body",
			       value.type == JSON_NUMBER && limit > LIMIT_MAX ? "too_big"
									      : "invalid_type",
			       "limit", "limit must be a whole number from 1 to 10000");
		return false;
	}
	pruning->prune.limit = (int)limit;
	return true;
}

static bool
read_until(struct pruning *pruning)
{
	struct api_call *call = pruning->call;
	const char *cursor;

	if (!api_text(call, call->body, "until_cursor", true, CURSOR_MAX, &cursor))
		return false;
	if (cursor[0] == '\0') {
		api_fail_issue(call, "invalid_body", "too_small", "until_cursor",
			       "until_cursor must have 1 to 1000 characters");
		return false;
	}
	pruning->prune.until_uuid = pruning->until_uuid;
	if (record_place_parse(cursor, &pruning->prune.until_us, pruning->until_uuid))
		return true;
	api_fail(
	    call, 400, "invalid_cursor",
	    "until_cursor is not one that this server gave; take next_cursor of a page, or the "
	    "cursor of a record");
	return false;
}

void
record_prune_run(struct api_call *call)
{
	static const char *const names[] = {"model", "variant", "until_cursor", "limit", NULL};
	struct pruning *pruning = api_state(call, sizeof(*pruning));

	pruning->call = call;
	if (!api_header(call, "connection-id", &pruning->connection_id) ||
	    !api_header(call, "provider-config-key", &pruning->integration) ||
	    !api_check_name(call, API_NAME_CONNECTION, pruning->connection_id, "invalid_headers",
			    "connection-id") ||
	    !api_check_name(call, API_NAME_INTEGRATION, pruning->integration, "invalid_headers",
			    "provider-config-key") ||
	    !api_strict(call, call->body, names) || !read_model(pruning) || !read_limit(pruning) ||
	    !read_until(pruning))
		return;
	directory_connection(call->daemon->directory, call->environment->row.id,
			     pruning->integration, pruning->connection_id, on_connection, pruning);
}
