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
#include "daemon/submit.h"
#include "daemon/sync_start.h"
#include "daemon/worker/host_call.h"

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
	/* of a sync */
	char *variant;
	struct sync_start_how how;
};

static void
target_free(void *state)
{
	struct target *target = state;

	directory_release(target->function);
	free(target->variant);
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
on_sync(void *arg, enum sl_code code, const struct sync_row *rows, int count,
	const struct sl_error *error)
{
	struct host_call *call = arg;
	struct target *target = call->state;

	if (host_is_orphan(call))
		return;
	if (code != SL_OK || count != 1) {
		refuse_sl(call, code, error);
		return;
	}
	call->pending = true;
	sync_start(call->attempt->daemon, &rows[0], &target->how, on_started, call);
}

static void
run_sync(struct host_call *call, struct target *target)
{
	call->pending = true;
	sync_ensure(call->attempt->daemon->syncs, target->function->row.id,
		    call->connection->row.id, target->variant, on_sync, call);
}

/* "name", "name::variant" or {name, variant}. */
static void
read_sync(struct host_call *call, struct target *target, struct json_value sync)
{
	char *separator;

	if (sync.type == JSON_OBJECT_) {
		target->name = host_keep_text(call, json_get(sync, "name"));
		target->variant = json_text(json_get(sync, "variant"), NULL);
	} else {
		target->name = host_keep_text(call, sync);
		separator = target->name != NULL ? strstr(target->name, "::") : NULL;
		if (separator != NULL) {
			target->variant = sl_strdup(separator + 2);
			*separator = '\0'; /* the text is the call's own */
		}
	}
	if (target->variant == NULL || target->variant[0] == '\0') {
		free(target->variant);
		target->variant = sl_strdup("base");
	}
}

/* {reset, emptyCache}, a sync_mode, or true for a full refresh (wire.md 3).  An emptied cache comes
 * only with a reset. */
static void
read_options(struct target *target, struct json_value options)
{
	if (options.type == JSON_OBJECT_) {
		target->how.reset = json_is_yes(json_get(options, "reset"));
		target->how.empty_cache =
		    target->how.reset && json_is_yes(json_get(options, "emptyCache"));
		return;
	}
	target->how.empty_cache = slice_is(options.raw, "\"full_refresh_and_clear_cache\"");
	target->how.reset = target->how.empty_cache || json_is_yes(options) ||
			    slice_is(options.raw, "\"full_refresh\"");
}

void
host_trigger_sync(struct host_call *call)
{
	struct target *target = sl_alloc(sizeof(*target));

	target->type = "sync";
	target->go = run_sync;
	read_sync(call, target, json_get(call->meta, "sync"));
	read_options(target, json_get(call->meta, "options"));
	find(call, target);
}

void
host_start_sync(struct host_call *call)
{
	host_fail(call, "unsupported",
		  "this version of sluice has no schedules to start; use triggerSync for one run");
}
