/* daemon/worker/host_trigger.c - functions that start functions: actions at once and inside the run
 * that asks, syncs by way of the queue.
 *
 * A failure is described as the answer of the API would be ({status, body} beside code and
 * message), because that is what functions expect to catch. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "daemon/api/action.h"
#include "daemon/api/sync_scope.h"
#include "daemon/submit.h"
#include "daemon/sync_start.h"
#include "daemon/worker/host_call.h"
#include "sql/schedule_steer.h"

/* error: what the answer's body has under that name; JSON object. */
static void
fail_as(struct host_call *call, int status, struct slice error)
{
	struct json_value value;
	struct json_writer w;
	struct buf out;
	char *code = NULL, *message = NULL;

	if (json_check(error, &value, NULL) == SL_OK) {
		code = json_text(json_get(value, "code"), NULL);
		message = json_text(json_get(value, "message"), NULL);
	}
	buf_init(&out, HOST_ANSWER_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	jw_member_text(&w, "code", code != NULL ? code : "action_script_failure");
	jw_member_text(&w, "message", message != NULL ? message : "the function failed");
	jw_member_int(&w, "status", status);
	jw_key(&w, "body");
	jw_object(&w);
	jw_member_raw(&w, "error", error);
	jw_object_end(&w);
	jw_object_end(&w);
	if (out.over)
		host_fail(call, "response_too_large", "the error is larger than 64 MiB");
	else
		host_answer(call, false, buf_slice(&out), (struct slice){NULL, 0});
	buf_fini(&out);
	free(code);
	free(message);
}

static void
refuse(struct host_call *call, int status, const char *code, const char *message)
{
	struct json_writer w;
	struct buf out;

	buf_init(&out, 1 << 16);
	jw_init(&w, &out);
	jw_object(&w);
	jw_member_text(&w, "code", code);
	jw_member_text(&w, "message", message);
	jw_object_end(&w);
	fail_as(call, status, buf_slice(&out));
	buf_fini(&out);
}

static void
refuse_sl(struct host_call *call, enum sl_code code, const struct sl_error *error)
{
	refuse(call, code == SL_UNAVAILABLE || code == SL_EXHAUSTED ? 503 : 500, "server_error",
	       error != NULL ? error->text : sl_code_name(code));
}

/* ---- finding what is named -------------------------------------------------------------------- */

struct target {
	const char *type; /* of the function */
	const char *name;
	const struct directory_function *function; /* held */
	void (*go)(struct host_call *call, struct target *target);
};

static void
target_free(void *state)
{
	struct target *target = state;

	directory_release(target->function);
	free(target);
}

static void
on_function(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct host_call *call = arg;
	struct target *target = call->state;
	char text[300];

	if (host_is_orphan(call))
		return;
	if (code == SL_NOT_FOUND) {
		snprintf(text, sizeof(text), "no %s \"%.100s\" is deployed for this integration",
			 target->type, target->name);
		refuse(call, 404, "not_found", text);
	} else if (code != SL_OK) {
		refuse_sl(call, code, error);
	} else if (!((const struct directory_function *)object)->row.enabled) {
		snprintf(text, sizeof(text), "the %s \"%.100s\" is disabled", target->type,
			 target->name);
		refuse(call, 404, "disabled_resource", text);
	} else {
		target->function = directory_hold(object);
		target->go(call, target);
	}
}

static void
on_connection(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct host_call *call = arg;
	struct target *target = call->state;

	if (host_is_orphan(call))
		return;
	if (code == SL_NOT_FOUND) {
		refuse(call, 400, "unknown_connection", "no such connection for this integration");
		return;
	}
	if (code != SL_OK) {
		refuse_sl(call, code, error);
		return;
	}
	call->connection = directory_hold(object);
	call->pending = true;
	directory_function(call->attempt->daemon->directory, call->attempt->environment_id,
			   call->connection->row.unique_key, target->type, target->name,
			   on_function, call);
}

/* target->name is there or the call is refused. */
static void
find(struct host_call *call, struct target *target)
{
	const char *key = host_keep_text(call, json_get(call->meta, "providerConfigKey"));
	const char *id = host_keep_text(call, json_get(call->meta, "connectionId"));

	call->state = target;
	call->state_free = target_free;
	if (key == NULL || id == NULL || target->name == NULL) {
		refuse(call, 400, "invalid_request",
		       "the integration, the connection and the function must be named");
		return;
	}
	call->pending = true;
	directory_connection(call->attempt->daemon->directory, call->attempt->environment_id, key,
			     id, on_connection, call);
}

/* ---- actions --------------------------------------------------------------------------------- */

static void
on_action_end(void *arg, const struct attempt_end *end)
{
	struct host_call *call = arg;

	call->nested = NULL;
	if (host_is_orphan(call))
		return;
	if (end->aborted)
		refuse(call, 410, "script_aborted", "the action was stopped");
	else if (end->state == JOB_SUCCEEDED)
		host_answer(call, true, action_shown(end->output), (struct slice){NULL, 0});
	else
		fail_as(call, action_status(end->output), end->output);
}

static void
run_action(struct host_call *call, struct target *target)
{
	struct attempt_ask ask = {
	    .number = 1,
	    .environment_id = call->attempt->environment_id,
	    .function_version_id = target->function->row.version_id,
	    .connection_id = call->connection->row.id,
	    .kind = JOB_ACTION,
	    .input = json_get(call->meta, "input").raw,
	};

	call->pending = true;
	call->nested = attempt_start_nested(call->attempt, &ask, on_action_end, call);
}

void
host_trigger_action(struct host_call *call)
{
	struct target *target = sl_alloc(sizeof(*target));

	target->type = "action";
	target->name = host_keep_text(call, json_get(call->meta, "actionName"));
	target->go = run_action;
	if (call->attempt->depth < ATTEMPT_DEPTH_MAX) {
		find(call, target);
		return;
	}
	free(target);
	refuse(call, 400, "resource_capped",
	       "actions that trigger actions may be 8 deep, this one would be the ninth");
}

/* ---- syncs ----------------------------------------------------------------------------------- */

struct sync_ask {
	struct sync_scope scope;
	struct sync_start_how how;
	void (*go)(struct host_call *call, struct sync_ask *ask);
};

static void
ask_free(void *state)
{
	struct sync_ask *ask = state;

	sync_scope_fini(&ask->scope);
	free(ask);
}

static void
refuse_none(struct host_call *call)
{
	refuse(call, 400, "no_syncs_found",
	       "no such sync is deployed and enabled for this integration, or it has no "
	       "connection");
}

static void
on_scope(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct host_call *call = arg;
	struct sync_ask *ask = call->state;

	if (host_is_orphan(call))
		return;
	if (ask->scope.missing == SYNC_MISSING_INTEGRATION)
		refuse(call, 400, "unknown_provider_config", "no such integration");
	else if (ask->scope.missing == SYNC_MISSING_CONNECTION)
		refuse(call, 404, "unknown_connection", "no such connection for this integration");
	else if (code != SL_OK)
		refuse_sl(call, code, error);
	else if (ask->scope.set.pick_count == 0)
		refuse_none(call);
	else
		ask->go(call, ask);
}

/* The ask is the call's from here on. */
static void
find_syncs(struct host_call *call, struct sync_ask *ask, const char *wrong)
{
	struct sync_scope *scope = &ask->scope;

	call->state = ask;
	call->state_free = ask_free;
	scope->daemon = call->attempt->daemon;
	scope->environment_id = call->attempt->environment_id;
	scope->integration = host_keep_text(call, json_get(call->meta, "providerConfigKey"));
	scope->connection_id = host_keep_text(call, json_get(call->meta, "connectionId"));
	if (wrong != NULL || scope->integration == NULL) {
		refuse(call, 400, "invalid_body",
		       wrong != NULL ? wrong : "the integration must be named");
		return;
	}
	call->pending = true;
	sync_scope_find(scope, on_scope, call);
}

static void
on_started(void *arg, enum sl_code code, bool started, const struct sl_error *error)
{
	struct host_call *call = arg;

	if (host_is_orphan(call))
		return;
	if (code == SL_EXHAUSTED) /* as the API answers */
		refuse(call, 429, "queue_full", error->text);
	else if (code == SL_UNAVAILABLE &&
		 submit_is_draining(call->attempt->daemon, call->attempt->environment_id))
		refuse(call, 503, "queue_draining", SUBMIT_DRAINING);
	else if (code != SL_OK)
		refuse_sl(call, code, error);
	else
		host_answer(call, true, started ? SLICE_LITERAL("true") : SLICE_LITERAL("false"),
			    (struct slice){NULL, 0});
}

static void
on_row(void *arg, enum sl_code code, const struct sync_page_row *rows, int count,
       const struct sync_place *next, bool more, const struct sl_error *error)
{
	struct host_call *call = arg;
	struct sync_ask *ask = call->state;

	(void)next;
	(void)more;
	if (host_is_orphan(call))
		return;
	if (code != SL_OK) {
		refuse_sl(call, code, error);
	} else if (count == 0 || rows[0].row.version_id == 0) {
		refuse_none(call);
	} else {
		call->pending = true;
		sync_start(call->attempt->daemon, &rows[0].row, &ask->how, on_started, call);
	}
}

static void
run_sync(struct host_call *call, struct sync_ask *ask)
{
	static const struct sync_place first;

	call->pending = true;
	sync_set_page(call->attempt->daemon->syncs, &ask->scope.set, &first, on_row, call);
}

/* {reset, emptyCache}, a sync_mode, or true for a full refresh (wire.md 3).  An emptied cache comes
 * only with a reset. */
static void
read_options(struct sync_ask *ask, struct json_value options)
{
	if (options.type == JSON_OBJECT_) {
		ask->how.reset = json_is_yes(json_get(options, "reset"));
		ask->how.empty_cache =
		    ask->how.reset && json_is_yes(json_get(options, "emptyCache"));
		return;
	}
	ask->how.empty_cache = slice_is(options.raw, "\"full_refresh_and_clear_cache\"");
	ask->how.reset = ask->how.empty_cache || json_is_yes(options) ||
			 slice_is(options.raw, "\"full_refresh\"");
}

void
host_trigger_sync(struct host_call *call)
{
	struct sync_ask *ask = sl_alloc(sizeof(*ask));
	const char *wrong = NULL;

	ask->go = run_sync;
	ask->scope.enabled_only = true;
	read_options(ask, json_get(call->meta, "options"));
	if (sync_scope_read(&ask->scope, json_get(call->meta, "sync")) != NULL)
		wrong = "the sync must be a name, \"name::variant\" or {name, variant}";
	else if (json_get(call->meta, "connectionId").type != JSON_TEXT)
		wrong = "the connection must be named";
	find_syncs(call, ask, wrong);
}

static void
on_steered(void *arg, enum sl_code code, int64_t found, int64_t changed,
	   const struct sl_error *error)
{
	struct host_call *call = arg;

	(void)changed;
	if (host_is_orphan(call))
		return;
	if (code != SL_OK)
		refuse_sl(call, code, error);
	else if (found == 0)
		refuse_none(call);
	else
		host_answer(call, true, SLICE_LITERAL("true"), (struct slice){NULL, 0});
}

static void
start_syncs(struct host_call *call, struct sync_ask *ask)
{
	call->pending = true;
	schedule_start(call->attempt->daemon->syncs, &ask->scope.set, on_steered, call);
}

void
host_start_sync(struct host_call *call)
{
	struct sync_ask *ask = sl_alloc(sizeof(*ask));
	int at;
	const char *wrong = sync_scope_read_all(&ask->scope, json_get(call->meta, "syncs"), &at);

	ask->go = start_syncs;
	find_syncs(call, ask, wrong != NULL ? SYNC_WANTS_RULE : NULL);
}
