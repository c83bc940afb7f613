/* daemon/api/sync.c - POST /sync/trigger (wire.md 3, 18.5). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "daemon/api/resources.h"
#include "daemon/api/sync_request.h"
#include "daemon/sync_start.h"

#define TRIGGER_LANES 16 /* runs that are being started at once */

/* Syncs are read in pages; of one page, lanes start the runs one after the other. */
struct trigger {
	struct api_call *call;
	struct sync_scope scope;
	struct sync_start_how how;
	struct sync_row *rows; /* of the page, without texts; owned */
	int row_count, row_at;
	int found, started;
	int lanes_live;
	struct sync_place next;
	bool more;
	enum sl_code code; /* of the first failure */
	struct sl_error error;
};

static void
trigger_end(struct trigger *trigger)
{
	struct api_call *call = trigger->call;
	enum sl_code code = trigger->code;
	struct sl_error error = trigger->error;
	char header[48];

	free(trigger->rows);
	trigger->rows = NULL;
	if (trigger->scope.missing != SYNC_MISSING_NOTHING) {
		sync_fail(call, &trigger->scope, code, &error, 404, "unknown_connection");
		return;
	}
	sync_scope_fini(&trigger->scope);
	snprintf(header, sizeof(header), "X-Sluice-Started: %d\r\n", trigger->started);
	if (code != SL_OK) /* what was started stays: asked for again, it is not started twice */
		api_fail_submit(call, call->environment->row.id, code, &error);
	else if (trigger->found == 0)
		sync_fail_none(call);
	else
		api_reply_headers(call, 200, SLICE_LITERAL("{\"success\":true}"), header);
}

static void
note(struct trigger *trigger, enum sl_code code, const struct sl_error *error)
{
	if (code == SL_OK || trigger->code != SL_OK)
		return;
	trigger->code = code;
	trigger->error = error != NULL ? *error : (struct sl_error){.code = code};
}

static void read_page(struct trigger *trigger);
static void on_started(void *arg, enum sl_code code, bool started, const struct sl_error *error);

static void
lane_next(struct trigger *trigger)
{
	while (trigger->code == SL_OK && trigger->row_at < trigger->row_count) {
		const struct sync_row *row = &trigger->rows[trigger->row_at++];

		if (row->version_id == 0) /* disabled or removed meanwhile */
			continue;
		trigger->found++;
		sync_start(trigger->call->daemon, row, &trigger->how, on_started, trigger);
		return;
	}
	if (--trigger->lanes_live > 0)
		return;
	if (trigger->code == SL_OK && trigger->more)
		read_page(trigger);
	else
		trigger_end(trigger);
}

static void
on_started(void *arg, enum sl_code code, bool started, const struct sl_error *error)
{
	struct trigger *trigger = arg;

	trigger->started += code == SL_OK && started;
	note(trigger, code, error);
	lane_next(trigger);
}

static void
on_page(void *arg, enum sl_code code, const struct sync_page_row *rows, int count,
	const struct sync_place *next, bool more, const struct sl_error *error)
{
	struct trigger *trigger = arg;

	note(trigger, code, error);
	trigger->next = *next;
	trigger->more = more;
	trigger->row_at = 0;
	trigger->row_count = count;
	free(trigger->rows);
	trigger->rows = sl_calloc((size_t)count + 1, sizeof(*trigger->rows));
	for (int i = 0; i < count; i++) {
		trigger->rows[i] = rows[i].row;
		trigger->rows[i].name = trigger->rows[i].variant = "";
		trigger->rows[i].definition = trigger->rows[i].last_result = "";
	}
	/* A lane may end inside this loop; the page cannot before the last one has started. */
	trigger->lanes_live = TRIGGER_LANES;
	for (int i = 0; i < TRIGGER_LANES; i++)
		lane_next(trigger);
}

static void
read_page(struct trigger *trigger)
{
	sync_set_page(trigger->call->daemon->syncs, &trigger->scope.set, &trigger->next, on_page,
		      trigger);
}

static void
on_scope(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct trigger *trigger = arg;

	note(trigger, code, error);
	if (code != SL_OK)
		trigger_end(trigger);
	else
		read_page(trigger);
}

/* opts, or sync_mode and full_resync. */
static bool
read_mode(struct trigger *trigger, bool *mixed)
{
	static const char *const names[] = {"reset", "emptyCache", NULL};
	struct api_call *call = trigger->call;
	struct json_value opts;
	const char *mode;
	bool resync, empty;

	if (!api_object(call, call->body, "opts", false, &opts) || !api_strict(call, opts, names) ||
	    !api_bool(call, opts, "reset", false, &trigger->how.reset) ||
	    !api_bool(call, opts, "emptyCache", false, &empty) ||
	    !api_text(call, call->body, "sync_mode", false, 0, &mode) ||
	    !api_bool(call, call->body, "full_resync", false, &resync))
		return false;
	if (mode != NULL && strcmp(mode, "incremental") != 0 && strcmp(mode, "full_refresh") != 0 &&
	    strcmp(mode, "full_refresh_and_clear_cache") != 0) {
		api_fail_issue(
		    call, "invalid_body", "invalid_value", "sync_mode",
		    "sync_mode must be incremental, full_refresh or full_refresh_and_clear_cache");
		return false;
	}
	*mixed = opts.type == JSON_OBJECT_ &&
		 (mode != NULL || json_get(call->body, "full_resync").type != JSON_NONE);
	if (resync || (mode != NULL && strcmp(mode, "incremental") != 0))
		trigger->how.reset = true;
	if (mode != NULL && strcmp(mode, "full_refresh_and_clear_cache") == 0)
		empty = true;
	trigger->how.empty_cache =
	    empty && trigger->how.reset; /* ignored without reset: wire.md 3 */
	return true;
}

/* From the body, else from the header; *out NULL: in neither. */
static bool
read_name(struct api_call *call, enum api_name kind, const char *member, const char *header,
	  const char **out)
{
	if (!api_text(call, call->body, member, false, 4096, out))
		return false;
	if (*out != NULL)
		return api_check_name(call, kind, *out, "invalid_body", member);
	*out = http_request_header(call->request, header);
	if (*out == NULL)
		return true;
	return api_header(call, header, out) &&
	       api_check_name(call, kind, *out, "invalid_headers", header);
}

void
sync_trigger(struct api_call *call)
{
	static const char *const names[] = {"syncs", "provider_config_key", "connection_id",
					    "opts",  "sync_mode",           "full_resync",
					    NULL};
	struct trigger *trigger = api_state(call, sizeof(*trigger));
	struct sync_scope *scope = &trigger->scope;
	bool mixed = false;

	trigger->call = call;
	scope->daemon = call->daemon;
	scope->environment_id = call->environment->row.id;
	scope->enabled_only = true;
	if (!api_strict(call, call->body, names) ||
	    !read_name(call, API_NAME_INTEGRATION, "provider_config_key", "provider-config-key",
		       &scope->integration) ||
	    !read_name(call, API_NAME_CONNECTION, "connection_id", "connection-id",
		       &scope->connection_id) ||
	    !read_mode(trigger, &mixed))
		return;
	if (!sync_read_syncs(call, scope))
		return;
	if (scope->integration == NULL) {
		sync_scope_fini(scope);
		api_fail(call, 400, "missing_provider_config_key",
			 "provider_config_key is required, in the body or as a header");
	} else if (mixed) {
		sync_scope_fini(scope);
		api_fail(call, 400, "invalid_body",
			 "opts cannot be combined with sync_mode or full_resync");
	} else {
		sync_scope_find(scope, on_scope, trigger);
	}
}
