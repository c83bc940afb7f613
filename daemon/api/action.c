/* daemon/api/action.c - POST /action/trigger (wire.md 2.1, 18.2). */
#include "daemon/api/action.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "daemon/call.h"
#include "daemon/concurrency.h"
#include "daemon/submit.h"
#include "daemon/worker/attempt.h"
#include "daemon/worker/dispatch.h"
#include "sql/ledger.h"

#define RETRIES_MAX 5

struct trigger {
	struct api_call *call;
	const char *integration, *connection_id, *action, *idempotency_key;
	bool is_async;
	int max_retries;
	int64_t delay_ms; /* X-Delay */
	struct slice input;
	const struct directory_connection *connection; /* held */
	const struct directory_function *function;     /* held */
	char id[UUID_TEXT];
};

/* ---- the end of a call ----------------------------------------------------------------------- */

int
action_status(struct slice error)
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

void
action_reply_outcome(struct api_call *call, enum job_state state, struct slice output)
{
	struct json_value error;
	struct buf out;

	if (state == JOB_SUCCEEDED) {
		api_reply(call, 200, output.len > 0 ? output : SLICE_LITERAL("null"));
		return;
	}
	if (json_check(output, &error, NULL) != SL_OK || error.type != JSON_OBJECT_) {
		api_fail(call, 500, "action_script_failure", job_state_name(state));
		return;
	}
	buf_init(&out, output.len + 64);
	buf_add_text(&out, "{\"error\":");
	buf_add_slice(&out, output);
	buf_add_text(&out, "}");
	api_reply_buf(call, action_status(output), &out);
}

static void
trigger_release(struct trigger *trigger)
{
	directory_release(trigger->connection);
	directory_release(trigger->function);
}

/* ---- async: ledger, then queue --------------------------------------------------------------- */

static void
reply_accepted(struct api_call *call, const char *id)
{
	char body[200], headers[100];

	snprintf(body, sizeof(body), "{\"id\":\"%s\",\"statusUrl\":\"/action/%s\"}", id, id);
	snprintf(headers, sizeof(headers), "Location: /action/%s\r\n", id);
	api_reply_headers(call, 202, slice_text(body), headers);
}

static void
accepted(struct trigger *trigger, enum sl_code code, const char *existing_id,
	 const struct sl_error *error)
{
	struct api_call *call = trigger->call;
	char id[UUID_TEXT];

	memcpy(id, existing_id != NULL ? existing_id : trigger->id, sizeof(id));
	trigger_release(trigger);
	if (code == SL_OK)
		reply_accepted(call, id);
	else if (code == SL_CONFLICT)
		api_fail(
		    call, 409, "idempotency_conflict",
		    "this Idempotency-Key was used with another request within 24 hours; use a new key");
	else
		api_fail_submit(call, call->environment->row.id, code, error);
}

static void
on_accepted(void *arg, enum sl_code code, const struct sl_error *error)
{
	accepted(arg, code, NULL, error);
}

static void
on_accepted_once(void *arg, enum sl_code code, int64_t seq, const char *existing_id,
		 const struct sl_error *error)
{
	(void)seq;
	accepted(arg, code, existing_id, error);
}

/* What must be equal for a repeated Idempotency-Key to mean the same request. */
static void
request_digest(const struct trigger *trigger, char *out)
{
	struct buf text;
	char retries[64];

	snprintf(retries, sizeof(retries), "%d", trigger->max_retries);
	if (trigger->delay_ms > 0) /* without one the digest is what it was before there were any */
		snprintf(retries, sizeof(retries), "%d after %lld", trigger->max_retries,
			 (long long)trigger->delay_ms);
	buf_init(&text, API_BODY_MAX + 4096);
	buf_add_text(&text, trigger->integration);
	buf_add_char(&text, '\n');
	buf_add_text(&text, trigger->connection_id);
	buf_add_char(&text, '\n');
	buf_add_text(&text, retries);
	buf_add_char(&text, '\n');
	buf_add_slice(&text, http_request_body(trigger->call->request));
	secret_sha256_hex(buf_slice(&text), out);
	buf_fini(&text);
}

static void
on_concurrency_key(void *arg, enum sl_code code, int64_t key_id, const struct sl_error *error)
{
	struct trigger *trigger = arg;
	struct api_call *call = trigger->call;
	struct ledger_job job = {
	    .environment_id = call->environment->row.id,
	    .key_id = key_id,
	    .function_version_id = trigger->function->row.version_id,
	    .connection_id = trigger->connection->row.id,
	    .kind = JOB_ACTION,
	    .max_retries = trigger->max_retries,
	    .webhook = directory_tells_of_action(call->environment, trigger->connection),
	    .delay_ms = trigger->delay_ms,
	    .input = trigger->input,
	};

	if (code != SL_OK) {
		trigger_release(trigger);
		api_fail_sl(call, code, error);
		return;
	}
	uuid_v7(trigger->id);
	memcpy(job.id, trigger->id, sizeof(job.id));
	if (trigger->idempotency_key != NULL) {
		char digest[SECRET_SHA256_HEX];

		request_digest(trigger, digest);
		submit_job_once(call->daemon, &job, trigger->idempotency_key, digest,
				on_accepted_once, trigger);
	} else {
		submit_job(call->daemon, &job, on_accepted, trigger);
	}
}

static void
run_async(struct trigger *trigger)
{
	struct api_call *call = trigger->call;

	concurrency_key(call->daemon, call->environment, trigger->function,
			trigger->connection->row.id, on_concurrency_key, trigger);
}

/* ---- sync ------------------------------------------------------------------------------------ */

struct slice
action_shown(struct slice output)
{
	static const char *const falsy[] = {"false", "0", "\"\"", "-0", ""};

	for (size_t i = 0; i < sizeof(falsy) / sizeof(falsy[0]); i++)
		if (slice_is(output, falsy[i]))
			return SLICE_LITERAL("null");
	return output;
}

static void
on_call_end(void *arg, const struct attempt_end *end)
{
	struct trigger *trigger = arg;
	struct api_call *call = trigger->call;

	trigger_release(trigger);
	if (end->aborted)
		api_fail(call, 410, "script_aborted", "the function was stopped");
	else
		action_reply_outcome(call, end->state,
				     end->state == JOB_SUCCEEDED ? action_shown(end->output)
								 : end->output);
}

static void
run_sync(struct trigger *trigger)
{
	struct api_call *call = trigger->call;
	struct attempt_ask ask = {
	    .number = 1,
	    .environment_id = call->environment->row.id,
	    .function_version_id = trigger->function->row.version_id,
	    .connection_id = trigger->connection->row.id,
	    .kind = JOB_ACTION,
	    .input = trigger->input,
	};
	struct sl_error error;
	enum sl_code code;

	code = call_run(call->daemon, &ask, on_call_end, trigger, &error);
	if (code != SL_OK) {
		trigger_release(trigger);
		api_fail_sl(call, code, &error);
	}
}

/* ---- what is asked --------------------------------------------------------------------------- */

static void
on_function(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct trigger *trigger = arg;
	struct api_call *call = trigger->call;
	const struct directory_function *function = object;

	if (code != SL_OK || !function->row.enabled) {
		trigger_release(trigger);
		if (code == SL_OK)
			api_failf(call, 404, "disabled_resource", "the action %s is disabled",
				  function->row.name);
		else if (code == SL_NOT_FOUND)
			api_fail(
			    call, 404, "not_found",
			    "no such action is deployed for this integration; deploy it, or check action_name");
		else
			api_fail_sl(call, code, error);
		return;
	}
	trigger->function = directory_hold(object);
	if (trigger->is_async)
		run_async(trigger);
	else
		run_sync(trigger);
}

static void
on_connection(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct trigger *trigger = arg;
	struct api_call *call = trigger->call;

	if (code == SL_NOT_FOUND) {
		api_fail(
		    call, 400, "unknown_connection",
		    "no such connection for this integration; check Connection-Id and Provider-Config-Key");
		return;
	}
	if (code != SL_OK) {
		api_fail_sl(call, code, error);
		return;
	}
	trigger->connection = directory_hold(object);
	directory_function(call->daemon->directory, call->environment->row.id, trigger->integration,
			   "action", trigger->action, on_function, trigger);
}

static bool
once(struct api_call *call, const char *name)
{
	if (http_request_header_count(call->request, name) <= 1)
		return true;
	api_fail_issue(call, "invalid_headers", "custom", name, "the header %s stands twice", name);
	return false;
}

static bool
read_async(struct trigger *trigger)
{
	static const char *const yes[] = {"true", "1", "yes", "on", "y", "enabled"};
	static const char *const no[] = {"false", "0", "no", "off", "n", "disabled"};
	const char *value = http_request_header(trigger->call->request, "x-async");

	if (value == NULL)
		return true;
	if (!once(trigger->call, "x-async"))
		return false;
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
		if (strcasecmp(value, yes[i]) == 0) {
			trigger->is_async = true;
			return true;
		}
		if (strcasecmp(value, no[i]) == 0)
			return true;
	}
	api_fail_issue(trigger->call, "invalid_headers", "invalid_value", "x-async",
		       "X-Async must be true or false");
	return false;
}

static bool
read_retries(struct trigger *trigger)
{
	const char *value = http_request_header(trigger->call->request, "x-max-retries");

	if (value == NULL)
		return true;
	if (!once(trigger->call, "x-max-retries"))
		return false;
	if (value[0] >= '0' && value[0] <= '0' + RETRIES_MAX && value[1] == '\0') {
		trigger->max_retries = value[0] - '0';
		return true;
	}
	api_fail_issue(trigger->call, "invalid_headers", "too_big", "x-max-retries",
		       "X-Max-Retries must be a whole number from 0 to %d", RETRIES_MAX);
	return false;
}

static bool
read_delay(struct trigger *trigger)
{
	const char *value = http_request_header(trigger->call->request, "x-delay");
	size_t digits = value == NULL ? 0 : strspn(value, "0123456789");

	if (value == NULL)
		return true;
	if (!once(trigger->call, "x-delay"))
		return false;
	if (!trigger->is_async) {
		api_fail_issue(trigger->call, "invalid_headers", "custom", "x-delay",
			       "X-Delay needs X-Async: a sync call starts at once");
		return false;
	}
	if (digits > 0 && digits < 10 && value[digits] == '\0')
		trigger->delay_ms = strtoll(value, NULL, 10) * 1000;
	if (digits > 0 && digits < 10 && value[digits] == '\0' &&
	    trigger->delay_ms <= LEDGER_DELAY_MAX_MS)
		return true;
	api_fail_issue(trigger->call, "invalid_headers", "invalid_value", "x-delay",
		       "X-Delay must be whole seconds from 0 to %lld",
		       (long long)(LEDGER_DELAY_MAX_MS / 1000));
	return false;
}

static bool
read_idempotency(struct trigger *trigger)
{
	const char *value = http_request_header(trigger->call->request, "idempotency-key");

	if (value == NULL)
		return true;
	if (!once(trigger->call, "idempotency-key"))
		return false;
	for (const char *at = value; *at != '\0'; at++)
		if ((unsigned char)*at < 0x21 || (unsigned char)*at > 0x7e)
			goto bad;
	if (value[0] == '\0' || strlen(value) > 255)
		goto bad;
	trigger->idempotency_key = value;
	return true;
bad:
	api_fail_issue(trigger->call, "invalid_headers", "invalid_format", "idempotency-key",
		       "Idempotency-Key must be 1 to 255 visible ASCII characters");
	return false;
}

void
action_run(struct api_call *call, const char *action, struct slice input)
{
	struct trigger *trigger = api_state(call, sizeof(*trigger));

	trigger->call = call;
	trigger->action = action;
	trigger->input = input;
	if (!api_header(call, "provider-config-key", &trigger->integration) ||
	    !api_header(call, "connection-id", &trigger->connection_id) ||
	    !api_check_name(call, API_NAME_INTEGRATION, trigger->integration, "invalid_headers",
			    "provider-config-key") ||
	    !api_check_name(call, API_NAME_CONNECTION, trigger->connection_id, "invalid_headers",
			    "connection-id") ||
	    !read_async(trigger) || !read_retries(trigger) || !read_delay(trigger) ||
	    !read_idempotency(trigger) ||
	    (action == NULL &&
	     !api_text(call, call->body, "action_name", true, 4096, &trigger->action)) ||
	    !api_check_name(call, API_NAME_FUNCTION, trigger->action, "invalid_body",
			    "action_name"))
		return;
	directory_connection(call->daemon->directory, call->environment->row.id,
			     trigger->integration, trigger->connection_id, on_connection, trigger);
}

void
action_trigger(struct api_call *call)
{
	action_run(call, NULL, json_get(call->body, "input").raw);
}
