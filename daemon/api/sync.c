/* daemon/api/sync.c - POST /sync/trigger, GET /sync/status (wire.md 3, 18.5). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "daemon/api/resources.h"
#include "daemon/api/sync_scope.h"
#include "daemon/sync_start.h"
#include "sql/checkpoint.h"
#include "sql/record_count.h"

#define TRIGGER_LANES 16 /* connections triggered at once */
#define SYNCS_MAX 256    /* as many as start and pause take; the original has no bound here */

/* Names without a connection or function are texts of a request: named, not trusted. */
static void
fail_missing(struct api_call *call, enum sync_missing missing, int status, const char *code)
{
	switch (missing) {
	case SYNC_MISSING_INTEGRATION:
		api_fail(
		    call, 400, "unknown_provider_config",
		    "there is no such integration in this environment; check provider_config_key");
		return;
	case SYNC_MISSING_CONNECTION:
		api_fail(call, status, code,
			 "there is no such connection of this integration; check connection_id");
		return;
	case SYNC_MISSING_NOTHING:
		break;
	}
	api_fail_sl(call, SL_INTERNAL, NULL);
}

/* ---- trigger ---------------------------------------------------------------------------------- */

struct start { /* the run that a lane is starting */
	struct trigger *trigger;
	struct sync_lane *lane;
};

struct trigger {
	struct api_call *call;
	struct sync_scope scope;
	struct sync_start_how how;
	int found, started;
	struct start starts[TRIGGER_LANES];
};

static void
trigger_fail(struct trigger *trigger, enum sl_code code, const struct sl_error *error)
{
	enum sync_missing missing = trigger->scope.missing;
	struct api_call *call = trigger->call;
	struct sl_error failed = error != NULL ? *error : (struct sl_error){.code = code};

	sync_scope_fini(&trigger->scope);
	if (missing != SYNC_MISSING_NOTHING)
		fail_missing(call, missing, 404, "unknown_connection");
	else /* what was started stays: asked for again, it is not started twice */
		api_fail_submit(call, call->environment->row.id, code, &failed);
}

static void
on_started(void *arg, enum sl_code code, bool started, const struct sl_error *error)
{
	struct start *start = arg;

	if (code != SL_OK) {
		sync_lane_fail(start->lane, code, error);
		return;
	}
	start->trigger->started += started;
	sync_lane_next(start->lane);
}

static void
on_trigger_row(void *arg, struct sync_lane *lane, const struct sync_row *row)
{
	struct trigger *trigger = arg;
	struct start *start = &trigger->starts[lane->index];

	if (row->version_id == 0) { /* disabled or removed meanwhile */
		sync_lane_next(lane);
		return;
	}
	trigger->found++;
	*start = (struct start){.trigger = trigger, .lane = lane};
	sync_start(trigger->call->daemon, row, &trigger->how, on_started, start);
}

static void
on_triggered(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct trigger *trigger = arg;
	struct api_call *call = trigger->call;
	int found = trigger->found;
	char header[48];

	if (code != SL_OK) {
		trigger_fail(trigger, code, error);
		return;
	}
	snprintf(header, sizeof(header), "X-Sluice-Started: %d\r\n", trigger->started);
	sync_scope_fini(&trigger->scope);
	if (found == 0)
		api_reply(call, 400,
			  SLICE_LITERAL(
			      "{\"error\":{\"code\":\"no_syncs_found\",\"message\":\"no such sync "
			      "is deployed and enabled for this integration, or it has no "
			      "connection\",\"payload\":{}}}"));
	else
		api_reply_headers(call, 200, SLICE_LITERAL("{\"success\":true}"), header);
}

static void
on_trigger_scope(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct trigger *trigger = arg;

	if (code != SL_OK)
		trigger_fail(trigger, code, error);
	else
		sync_scope_walk(&trigger->scope, TRIGGER_LANES, on_trigger_row, on_triggered,
				trigger);
}

/* An element of `syncs`: "name", "name::variant" or {name, variant}; NULL: fine, else what is
 * wrong with it. */
static const char *
read_want(struct sync_scope *scope, struct json_value value)
{
	char *text = NULL, *variant = NULL;
	const char *wrong = NULL;
	struct json_iter it;

	if (value.type == JSON_OBJECT_) {
		char *name = json_text(json_get(value, "name"), NULL);

		variant = json_text(json_get(value, "variant"), NULL);
		if (name != NULL && variant != NULL && strchr(name, ':') == NULL)
			text = sl_asprintf("%s::%s", name, variant);
		free(name);
		json_iter_init(&it, value);
		while (json_iter_next(&it))
			if (strcmp(it.key, "name") != 0 && strcmp(it.key, "variant") != 0)
				wrong = "unrecognized_keys";
		json_iter_fini(&it);
	} else {
		text = json_text(value, NULL);
	}
	if (wrong == NULL && text == NULL)
		wrong = "invalid_type";
	if (wrong == NULL && !sync_scope_want(scope, text))
		wrong = "invalid_format";
	free(variant);
	free(text);
	return wrong;
}

static bool
read_wants(struct trigger *trigger)
{
	struct json_value syncs = json_get(trigger->call->body, "syncs");
	const char *wrong = syncs.type == JSON_ARRAY_ ? NULL : "invalid_type";
	char path[40] = "syncs";
	struct json_iter it;

	if (wrong == NULL) {
		json_iter_init(&it, syncs);
		for (int at = 0; wrong == NULL && json_iter_next(&it); at++) {
			snprintf(path, sizeof(path), "syncs.%d", at);
			wrong = at == SYNCS_MAX ? "too_big" : read_want(&trigger->scope, it.value);
		}
		json_iter_fini(&it);
	}
	if (wrong == NULL)
		return true;
	sync_scope_fini(&trigger->scope);
	api_fail_issue(
	    trigger->call, "invalid_body", wrong, path,
	    "syncs must be an array of at most %d of \"name\", \"name::variant\" or {name, "
	    "variant}",
	    SYNCS_MAX);
	return false;
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

	trigger->call = scope->call = call;
	if (!api_strict(call, call->body, names) ||
	    !read_name(call, API_NAME_INTEGRATION, "provider_config_key", "provider-config-key",
		       &scope->integration) ||
	    !read_name(call, API_NAME_CONNECTION, "connection_id", "connection-id",
		       &scope->connection_id) ||
	    !read_mode(trigger, &mixed))
		return;
	if (!read_wants(trigger))
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
		sync_scope_find(scope, on_trigger_scope, trigger);
	}
}

/* ---- status ----------------------------------------------------------------------------------- */

struct status {
	struct api_call *call;
	struct sync_scope scope;
	struct sync_lane *lane;
	struct buf out;
	struct json_writer w;
	/* of the row in work */
	const struct account_function *function;
	char *variant; /* owned */
};

static void
status_end(struct status *status)
{
	sync_scope_fini(&status->scope);
	buf_fini(&status->out);
	free(status->variant);
}

static void
member_time(struct json_writer *w, const char *key, int64_t wall_ms)
{
	char text[CLOCK_ISO_SIZE];

	clock_iso(wall_ms, text);
	jw_member_text(w, key, text);
}

/* The schedule's part waits for schedules; PAUSED comes with them. */
static void
show_row(struct status *status, const struct sync_connection *connection,
	 const struct sync_row *row)
{
	struct json_writer *w = &status->w;
	bool failed = row->last_state != 0 && row->last_state != JOB_SUCCEEDED;
	struct json_value definition = {0};

	if (json_check(slice_text(row->definition), &definition, NULL) != SL_OK)
		definition.type = JSON_NONE;
	jw_object(w);
	jw_member_text(w, "id", row->uuid);
	jw_member_text(w, "connection_id", connection->name);
	jw_member_text(w, "type", row->last_success_ms > 0 ? "INCREMENTAL" : "INITIAL");
	if (row->last_ended_ms > 0)
		member_time(w, "finishedAt", row->last_ended_ms);
	jw_member_text(w, "nextScheduledSyncAt", NULL);
	jw_member_text(w, "name", row->name);
	jw_member_text(w, "variant", row->variant);
	jw_member_text(w, "status", row->running ? "RUNNING" : failed ? "ERROR" : "SUCCESS");
	jw_member_raw(w, "frequency", json_get(definition, "runs").raw);
	if (row->last_result[0] != '\0')
		jw_member_raw(w, "latestResult", slice_text(row->last_result));
	if (row->running || row->last_state != 0)
		jw_member_text(w, "latestExecutionStatus",
			       row->running ? "RUNNING"
			       : failed     ? "STOPPED"
					    : "SUCCESS");
}

static void
on_checkpoint(void *arg, enum sl_code code, int64_t version, const char *value,
	      const struct sl_error *error)
{
	struct status *status = arg;

	(void)version;
	if (code != SL_OK) {
		sync_lane_fail(status->lane, code, error);
		return;
	}
	jw_member_raw(&status->w, "checkpoint", slice_text(value));
	jw_object_end(&status->w);
	sync_lane_next(status->lane);
}

static int64_t
count_of(const struct record_count *rows, int count, const char *model, const char *variant)
{
	size_t len = strlen(model);

	for (int i = 0; i < count; i++) {
		const char *rest = rows[i].model + len;

		if (strncmp(rows[i].model, model, len) != 0)
			continue;
		if (rest[0] == '\0' ? strcmp(variant, SYNC_BASE) == 0
				    : strncmp(rest, "::", 2) == 0 && strcmp(rest + 2, variant) == 0)
			return rows[i].count;
	}
	return 0;
}

static void
on_counts(void *arg, enum sl_code code, const struct record_count *rows, int count,
	  const struct sl_error *error)
{
	struct status *status = arg;
	struct checkpoint_place place = {.connection_id = status->lane->connection->id,
					 .function_id = status->function->id,
					 .variant = status->variant};
	struct json_value definition;
	struct json_iter it;

	if (code != SL_OK) {
		sync_lane_fail(status->lane, code, error);
		return;
	}
	jw_key(&status->w, "recordCount");
	jw_object(&status->w);
	if (json_check(slice_text(status->function->definition), &definition, NULL) == SL_OK &&
	    json_get(definition, "models").type == JSON_ARRAY_) {
		json_iter_init(&it, json_get(definition, "models"));
		while (json_iter_next(&it)) {
			char *model = json_text(it.value, NULL);

			if (model != NULL)
				jw_member_int(&status->w, model,
					      count_of(rows, count, model, status->variant));
			free(model);
		}
		json_iter_fini(&it);
	}
	jw_object_end(&status->w);
	checkpoint_read(status->call->daemon->syncs, &place, on_checkpoint, status);
}

static void
on_status_row(void *arg, struct sync_lane *lane, const struct sync_row *row)
{
	struct status *status = arg;

	status->function = sync_scope_function(&status->scope, row->function_id);
	if (status->function == NULL) {
		sync_lane_next(lane);
		return;
	}
	status->lane = lane;
	free(status->variant);
	status->variant = sl_strdup(row->variant);
	show_row(status, lane->connection, row);
	record_count(status->call->daemon->syncs, row->connection_id, on_counts, status);
}

static void
on_status_end(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct status *status = arg;
	struct api_call *call = status->call;
	enum sync_missing missing = status->scope.missing;
	struct sl_error failed = error != NULL ? *error : (struct sl_error){.code = code};
	struct buf out;

	if (code == SL_OK) {
		jw_array_end(&status->w);
		jw_object_end(&status->w);
		out = status->out;
		buf_init(&status->out, 1);
		status_end(status);
		api_reply_buf(call, 200, &out);
		return;
	}
	status_end(status);
	if (missing != SYNC_MISSING_NOTHING)
		fail_missing(call, missing, 400, "invalid_body");
	else
		api_fail_sl(call, code, &failed);
}

static void
on_status_scope(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct status *status = arg;

	if (code != SL_OK) {
		on_status_end(status, code, error);
		return;
	}
	jw_init(&status->w, &status->out);
	jw_object(&status->w);
	jw_key(&status->w, "syncs");
	jw_array(&status->w);
	sync_scope_walk(&status->scope, 1, on_status_row, on_status_end, status);
}

/* "*", or names by commas. */
static bool
read_names(struct status *status, const char *text)
{
	bool fine = text != NULL;

	if (fine && strcmp(text, "*") == 0)
		return true;
	while (fine) {
		size_t len = strcspn(text, ",");
		char *one = sl_strndup(text, len);

		fine = sync_scope_want(&status->scope, one);
		free(one);
		if (fine && text[len] == '\0')
			return true;
		text += len + 1;
	}
	sync_scope_fini(&status->scope);
	api_fail_issue(status->call, "invalid_query_params",
		       text == NULL ? "invalid_type" : "invalid_format", "syncs",
		       "syncs must be * or names by commas, each \"name\" or \"name::variant\"");
	return false;
}

void
sync_status(struct api_call *call)
{
	static const char *const names[] = {"syncs", "provider_config_key", "connection_id", NULL};
	struct status *status = api_state(call, sizeof(*status));
	struct sync_scope *scope = &status->scope;

	status->call = scope->call = call;
	buf_init(&status->out, API_BODY_MAX);
	scope->integration = api_query(call, "provider_config_key");
	scope->connection_id = api_query(call, "connection_id");
	if (!api_query_strict(call, names))
		return;
	if (scope->integration == NULL) {
		api_fail_issue(call, "invalid_query_params", "invalid_type", "provider_config_key",
			       "provider_config_key is required");
		return;
	}
	if (!api_check_name(call, API_NAME_INTEGRATION, scope->integration, "invalid_query_params",
			    "provider_config_key") ||
	    (scope->connection_id != NULL &&
	     !api_check_name(call, API_NAME_CONNECTION, scope->connection_id,
			     "invalid_query_params", "connection_id")))
		return;
	if (read_names(status, api_query(call, "syncs")))
		sync_scope_find(scope, on_status_scope, status);
}
