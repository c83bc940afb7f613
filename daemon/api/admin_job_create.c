/* daemon/api/admin_job_create.c - POST /admin/v1/jobs: an operator runs an action, in any environment. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/api/action.h"
#include "daemon/api/admin_queue.h"
#include "daemon/api/resources.h"
#include "daemon/call.h"
#include "daemon/concurrency.h"
#include "daemon/submit.h"

#define RETRIES_MAX 5

struct creation {
	struct admin_place place;
	const char *integration, *connection_id, *action;
	int64_t max_retries, began_ms;
	bool sync;
	struct slice input;
	const struct directory_environment *environment; /* held */
	const struct directory_connection *connection;   /* held */
	const struct directory_function *function;       /* held */
	char id[UUID_TEXT];
};

static struct api_call *
release(struct creation *creation)
{
	directory_release(creation->environment);
	directory_release(creation->connection);
	directory_release(creation->function);
	return creation->place.call;
}

/* ---- by the queue ------------------------------------------------------------------------------ */

static void
on_accepted(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct creation *creation = arg;
	int64_t environment_id = creation->environment->row.id;
	struct api_call *call = release(creation);
	char body[80];

	if (code != SL_OK) {
		api_fail_submit(call, environment_id, code, error);
		return;
	}
	snprintf(body, sizeof(body), "{\"id\":\"%s\"}", creation->id);
	api_reply(call, 202, slice_text(body));
}

static void
on_key(void *arg, enum sl_code code, int64_t key_id, const struct sl_error *error)
{
	struct creation *creation = arg;
	struct ledger_job job = {
	    .environment_id = creation->environment->row.id,
	    .key_id = key_id,
	    .function_version_id = creation->function->row.version_id,
	    .connection_id = creation->connection->row.id,
	    .kind = JOB_ACTION,
	    .max_retries = (int)creation->max_retries,
	    .webhook = directory_tells_of_action(creation->environment, creation->connection),
	    .input = creation->input,
	};

	if (code != SL_OK) {
		api_fail_sl(release(creation), code, error);
		return;
	}
	uuid_v7(creation->id);
	memcpy(job.id, creation->id, sizeof(job.id));
	submit_job(creation->place.call->daemon, &job, on_accepted, creation);
}

/* ---- at once ----------------------------------------------------------------------------------- */

static void
reply_failed(struct api_call *call, enum job_state state, struct slice output)
{
	struct json_value error;
	struct buf out;

	if (json_check(output, &error, NULL) != SL_OK || error.type != JSON_OBJECT_) {
		api_fail(call, 500, "action_script_failure", job_state_name(state));
		return;
	}
	buf_init(&out, output.len + 64);
	buf_add_text(&out, "{\"error\":");
	buf_add_slice(&out, output);
	buf_add_text(&out, "}");
	api_reply_buf(call, 500, &out);
}

static void
on_call_end(void *arg, const struct attempt_end *end)
{
	struct creation *creation = arg;
	struct api_call *call = release(creation);
	struct json_writer w;
	struct buf out;

	if (end->aborted) {
		api_fail(call, 500, "script_aborted", "the function was stopped");
		return;
	}
	if (end->state != JOB_SUCCEEDED) {
		reply_failed(call, end->state, end->output);
		return;
	}
	buf_init(&out, end->output.len + 128);
	jw_init(&w, &out);
	jw_object(&w);
	jw_member_raw(&w, "output", end->output.len > 0 ? end->output : SLICE_LITERAL("null"));
	jw_member_int(&w, "ms", clock_mono_ms() - creation->began_ms);
	jw_object_end(&w);
	api_reply_buf(call, 200, &out);
}

static void
run_sync(struct creation *creation)
{
	struct attempt_ask ask = {
	    .number = 1,
	    .environment_id = creation->environment->row.id,
	    .function_version_id = creation->function->row.version_id,
	    .connection_id = creation->connection->row.id,
	    .kind = JOB_ACTION,
	    .input = creation->input,
	};
	struct sl_error error;
	enum sl_code code;

	creation->began_ms = clock_mono_ms();
	code = call_run(creation->place.call->daemon, &ask, on_call_end, creation, &error);
	if (code != SL_OK)
		api_fail_sl(release(creation), code, &error);
}

/* ---- what is asked ----------------------------------------------------------------------------- */

static void
on_function(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct creation *creation = arg;
	const struct directory_function *function = object;

	if (code == SL_NOT_FOUND) {
		api_failf(release(creation), 404, "not_found",
			  "function: no action %.100s is deployed for %.100s in %.100s",
			  creation->action, creation->integration, creation->place.environment);
	} else if (code != SL_OK) {
		api_fail_sl(release(creation), code, error);
	} else if (!function->row.enabled) {
		api_failf(release(creation), 409, "conflict",
			  "function: the action %.100s is disabled: enable it first",
			  creation->action);
	} else {
		creation->function = directory_hold(object);
		if (creation->sync)
			run_sync(creation);
		else
			concurrency_key(creation->place.call->daemon, creation->environment,
					creation->function, creation->connection->row.id, on_key,
					creation);
	}
}

static void
on_connection(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct creation *creation = arg;

	if (code == SL_NOT_FOUND) {
		api_failf(release(creation), 404, "not_found",
			  "connection: there is no %.100s of integration %.100s in %.100s",
			  creation->connection_id, creation->integration,
			  creation->place.environment);
	} else if (code != SL_OK) {
		api_fail_sl(release(creation), code, error);
	} else {
		creation->connection = directory_hold(object);
		directory_function(creation->place.call->daemon->directory,
				   creation->environment->row.id, creation->integration, "action",
				   creation->action, on_function, creation);
	}
}

static void
on_environment(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct creation *creation = arg;

	if (code != SL_OK) {
		api_fail_sl(creation->place.call, code, error);
		return;
	}
	creation->environment = directory_hold(object);
	directory_connection(creation->place.call->daemon->directory, creation->environment->row.id,
			     creation->integration, creation->connection_id, on_connection,
			     creation);
}

static void
on_found(struct admin_place *place)
{
	struct creation *creation = (struct creation *)place;

	directory_environment(place->call->daemon->directory, place->environment_id, on_environment,
			      creation);
}

/* A name of the body, which must be there. */
static bool
read_name(struct api_call *call, const char *member, enum api_name kind, const char **out)
{
	return api_text(call, call->body, member, true, 4096, out) &&
	       api_check_name(call, kind, *out, "invalid_body", member);
}

static bool
read_retries(struct creation *creation)
{
	struct api_call *call = creation->place.call;
	struct json_value value = json_get(call->body, "max_retries");

	if (value.type == JSON_NONE)
		return true;
	if (!json_int(value, &creation->max_retries) || creation->max_retries < 0 ||
	    creation->max_retries > RETRIES_MAX) {
		api_fail_issue(call, "invalid_body", "invalid_value", "max_retries",
			       "max_retries must be a whole number from 0 to %d", RETRIES_MAX);
		return false;
	}
	if (!creation->sync || creation->max_retries == 0)
		return true;
	api_fail_issue(call, "invalid_body", "custom", "max_retries",
		       "max_retries is for jobs: leave it out with sync");
	return false;
}

void
admin_job_create(struct api_call *call)
{
	static const char *const known[] = {"environment", "integration", "function", "connection",
					    "input",       "max_retries", "sync",     NULL};
	struct creation *creation = api_state(call, sizeof(*creation));

	creation->place =
	    (struct admin_place){.call = call, .error_code = "invalid_body", .found = on_found};
	creation->input = json_get(call->body, "input").raw;
	if (!api_strict(call, call->body, known) ||
	    !read_name(call, "environment", API_NAME_ENVIRONMENT, &creation->place.environment) ||
	    !read_name(call, "integration", API_NAME_INTEGRATION, &creation->integration) ||
	    !read_name(call, "function", API_NAME_FUNCTION, &creation->action) ||
	    !read_name(call, "connection", API_NAME_CONNECTION, &creation->connection_id) ||
	    !api_bool(call, call->body, "sync", false, &creation->sync) || !read_retries(creation))
		return;
	admin_find_place(&creation->place);
}
