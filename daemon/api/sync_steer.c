/* daemon/api/sync_steer.c - POST /sync/start and /sync/pause, PUT /sync/update-connection-frequency
 * (wire.md 3). */
#include <stdlib.h>
#include <string.h>

#include "base/interval.h"
#include "daemon/api/resources.h"
#include "daemon/api/sync_request.h"
#include "sql/schedule_steer.h"

struct steering {
	struct api_call *call;
	struct sync_scope scope;
	bool start;
	/* of a new frequency */
	char frequency[INTERVAL_TEXT]; /* "": the function's */
};

static struct steering *
begin(struct api_call *call)
{
	struct steering *steering = api_state(call, sizeof(*steering));

	steering->call = call;
	steering->scope.daemon = call->daemon;
	steering->scope.environment_id = call->environment->row.id;
	return steering;
}

/* ---- start, pause ----------------------------------------------------------------------------- */

static void
on_steered(void *arg, enum sl_code code, int64_t found, int64_t changed,
	   const struct sl_error *error)
{
	struct steering *steering = arg;
	struct api_call *call = steering->call;

	(void)changed;
	if (code != SL_OK) {
		sync_fail(call, &steering->scope, code, error, 404, "unknown_connection");
		return;
	}
	sync_scope_fini(&steering->scope);
	if (found == 0)
		sync_fail_none(call);
	else
		api_reply_success(call);
}

static void
on_scope(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct steering *steering = arg;
	const struct sync_set *set = &steering->scope.set;

	if (code != SL_OK || set->pick_count == 0)
		on_steered(steering, code, 0, 0, error);
	else if (steering->start)
		schedule_start(steering->call->daemon->syncs, set, on_steered, steering);
	else
		schedule_pause(steering->call->daemon->syncs, set, on_steered, steering);
}

static void
steer(struct api_call *call, bool start)
{
	static const char *const names[] = {"syncs", "provider_config_key", "connection_id", NULL};
	struct steering *steering = begin(call);

	steering->start = start;
	if (api_strict(call, call->body, names) && sync_read_names(call, &steering->scope, false) &&
	    sync_read_syncs(call, &steering->scope))
		sync_scope_find(&steering->scope, on_scope, steering);
}

void
sync_steer_start(struct api_call *call)
{
	steer(call, true);
}

void
sync_steer_pause(struct api_call *call)
{
	steer(call, false);
}

/* ---- frequency -------------------------------------------------------------------------------- */

static void
on_written(void *arg, enum sl_code code, const char *declared, const struct sl_error *error)
{
	struct steering *steering = arg;
	struct api_call *call = steering->call;
	const char *now = steering->frequency[0] != '\0' ? steering->frequency
			  : declared[0] != '\0'          ? declared
							 : NULL;
	struct json_writer w;
	struct buf out;

	if (code == SL_NOT_FOUND) {
		sync_scope_fini(&steering->scope);
		api_fail(call, 400, "unknown_sync", NULL);
		return;
	}
	if (code != SL_OK) {
		sync_fail(call, &steering->scope, code, error, 400, "unknown_connection");
		return;
	}
	buf_init(&out, 4096);
	jw_init(&w, &out);
	jw_object(&w);
	jw_member_text(&w, "frequency", now);
	jw_object_end(&w);
	sync_scope_fini(&steering->scope);
	api_reply_buf(call, 200, &out);
}

static void
on_frequency_scope(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct steering *steering = arg;
	struct sync_scope *scope = &steering->scope;
	const char *frequency = steering->frequency[0] != '\0' ? steering->frequency : NULL;

	if (code == SL_NOT_FOUND) { /* an unknown integration has no such connection */
		sync_scope_fini(scope);
		api_fail(steering->call, 400, "unknown_connection", NULL);
	} else if (code != SL_OK) {
		sync_fail(steering->call, scope, code, error, 400, "unknown_connection");
	} else if (scope->set.pick_count == 0) {
		on_written(steering, SL_NOT_FOUND, "", NULL);
	} else {
		schedule_frequency(steering->call->daemon->syncs, &scope->set, frequency,
				   on_written, steering);
	}
}

/* The grammar is an issue of the member; what it says may still be too often or too rare. */
static bool
read_frequency(struct api_call *call, char out[INTERVAL_TEXT])
{
	struct json_value value = json_get(call->body, "frequency");
	struct sl_error error;
	const char *text;
	int64_t every_ms;

	out[0] = '\0';
	if (value.type == JSON_NULL_)
		return true;
	if (!api_text(call, call->body, "frequency", true, 0, &text))
		return false;
	if (interval_parse(text, &every_ms, &error) == SL_OK) {
		interval_normal(text, out);
		return true;
	}
	if (every_ms < 0)
		api_fail_issue(
		    call, "invalid_body", "invalid_format", "frequency",
		    "frequency must match ^(every )?((<number>?\\s?(s|secs?|seconds?|m|mins?|"
		    "minutes?|h|hrs?|hours?|d|days?))|month|week|half day|half hour|quarter "
		    "hour)$: %s",
		    error.text);
	else
		api_failf(call, 400, "invalid_body", "frequency %s", error.text);
	return false;
}

static bool
read_sync(struct api_call *call, struct sync_scope *scope)
{
	const char *name, *variant;

	if (!api_text(call, call->body, "sync_name", true, 4096, &name) ||
	    !api_check_name(call, API_NAME_FUNCTION, name, "invalid_body", "sync_name") ||
	    !api_text(call, call->body, "sync_variant", false, 4096, &variant) ||
	    (variant != NULL &&
	     !api_check_name(call, API_NAME_FUNCTION, variant, "invalid_body", "sync_variant")))
		return false;
	sync_scope_want_variant(scope, name, variant != NULL ? variant : SYNC_BASE);
	return true;
}

void
sync_frequency(struct api_call *call)
{
	static const char *const names[] = {"sync_name",     "sync_variant", "provider_config_key",
					    "connection_id", "frequency",    NULL};
	struct steering *steering = begin(call);

	if (api_strict(call, call->body, names) && sync_read_names(call, &steering->scope, true) &&
	    read_frequency(call, steering->frequency) && read_sync(call, &steering->scope))
		sync_scope_find(&steering->scope, on_frequency_scope, steering);
}
