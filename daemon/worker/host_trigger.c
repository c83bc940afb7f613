/* daemon/worker/host_trigger.c - functions that start functions: actions at once and inside the run
 * that asks, syncs by way of the queue.
 *
 * A failure is described as the answer of the API would be ({status, body} beside code and
 * message), because that is what functions expect to catch. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "daemon/submit.h"
#include "daemon/worker/host_call.h"
#include "sql/sync.h"

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
	bool reset, empty_cache;
	int64_t sync_id, key_id;
	char job_id[UUID_TEXT];
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

static int
status_of(struct slice error)
{
	struct json_value value;
	struct slice code = {NULL, 0};

	if (json_check(error, &value, NULL) == SL_OK)
		code = json_get(value, "code").raw;
	if (slice_is(code, "\"script_http_error\"") ||
	    slice_is(code, "\"script_api_rate_limit_error\""))
		return 424;
	return slice_is(code, "\"script_aborted\"") ? 410 : 500;
}

/* As POST /action/trigger has it (wire.md 2.1): falsy outputs come back as null. */
static struct slice
shown_output(struct slice output)
{
	static const char *const falsy[] = {"false", "0", "\"\"", "-0", ""};

	for (size_t i = 0; i < sizeof(falsy) / sizeof(falsy[0]); i++)
		if (slice_is(output, falsy[i]))
			return SLICE_LITERAL("null");
	return output;
}

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
		host_answer(call, true, shown_output(end->output), (struct slice){NULL, 0});
	else
		fail_as(call, status_of(end->output), end->output);
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
on_submitted(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct host_call *call = arg;

	if (host_is_orphan(call))
		return;
	if (code == SL_OK)
		host_answer(call, true, SLICE_LITERAL("true"), (struct slice){NULL, 0});
	else
		refuse_sl(call, code, error);
}

static void
submit(struct host_call *call, const struct target *target)
{
	char input[80];
	struct ledger_job job = {
	    .environment_id = call->attempt->environment_id,
	    .key_id = target->key_id,
	    .function_version_id = target->function->row.version_id,
	    .connection_id = call->connection->row.id,
	    .kind = JOB_SYNC,
	};

	snprintf(input, sizeof(input), "{\"sync\":%lld,\"emptyCache\":%s}",
		 (long long)target->sync_id, target->empty_cache ? "true" : "false");
	job.input = slice_text(input);
	memcpy(job.id, target->job_id, sizeof(job.id));
	call->pending = true;
	submit_job(call->attempt->daemon, &job, on_submitted, call);
}

static void
on_reset(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct host_call *call = arg;

	if (host_is_orphan(call))
		return;
	if (code == SL_OK)
		submit(call, call->state);
	else
		refuse_sl(call, code, error);
}

static void
on_claimed(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct host_call *call = arg;
	struct target *target = call->state;

	if (host_is_orphan(call))
		return;
	if (code == SL_CONFLICT) { /* it runs already: nothing is started, and that is fine */
		host_answer(call, true, SLICE_LITERAL("false"), (struct slice){NULL, 0});
	} else if (code != SL_OK) {
		refuse_sl(call, code, error);
	} else if (target->reset) {
		call->pending = true;
		sync_reset(call->attempt->daemon->syncs, target->sync_id, on_reset, call);
	} else {
		submit(call, target);
	}
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
	target->sync_id = rows[0].id;
	target->key_id = rows[0].key_id;
	uuid_v7(target->job_id);
	call->pending = true;
	sync_claim_run(call->attempt->daemon->syncs, target->sync_id, target->job_id, on_claimed,
		       call);
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
		target->reset = json_is_yes(json_get(options, "reset"));
		target->empty_cache = target->reset && json_is_yes(json_get(options, "emptyCache"));
		return;
	}
	target->empty_cache = slice_is(options.raw, "\"full_refresh_and_clear_cache\"");
	target->reset = target->empty_cache || json_is_yes(options) ||
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
