/* daemon/api/admin_sync.c - GET /admin/v1/syncs: how syncs stand, and when they run next.
 *
 * Of a checkpoint only version and size are shown: its value is the customer's. */
#include "daemon/api/admin_sync.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "daemon/api/resources.h"
#include "daemon/api/sync_scope.h"
#include "daemon/worker/dispatch.h"
#include "sql/record_count.h"

static const struct {
	const char *name;
	enum inspect_sync_state state;
	enum sync_trouble trouble;
} states[] = {
    {"new", INSPECT_SYNC_NEW, SYNC_NO_TROUBLE},
    {"queued", INSPECT_SYNC_QUEUED, SYNC_NO_TROUBLE},
    {"running", INSPECT_SYNC_RUNNING, SYNC_NO_TROUBLE},
    {"paused", INSPECT_SYNC_PAUSED, SYNC_NO_TROUBLE},
    {"succeeded", INSPECT_SYNC_SUCCEEDED, SYNC_NO_TROUBLE},
    {"failed", INSPECT_SYNC_FAILED, SYNC_NO_TROUBLE},
    {"late", INSPECT_SYNC_LATE, SYNC_NO_TROUBLE},
    {"interrupted", INSPECT_SYNC_TROUBLE, SYNC_INTERRUPTED},
    {"stalled", INSPECT_SYNC_TROUBLE, SYNC_STALLED},
    {"repeats_page", INSPECT_SYNC_TROUBLE, SYNC_REPEATS_PAGE},
};
enum { STATES = sizeof(states) / sizeof(states[0]) };

static const char *
state_name(enum inspect_sync_state state)
{
	for (int i = 0; i < STATES; i++)
		if (states[i].state == state)
			return states[i].name;
	return NULL;
}

static void
show_schedule(struct json_writer *w, const struct inspect_sync *sync)
{
	jw_key(w, "schedule");
	if (!sync->scheduled) {
		jw_null(w);
		return;
	}
	jw_object(w);
	jw_member_bool(w, "paused", !sync->started);
	admin_show_name(w, "frequency",
			sync->frequency[0] != '\0' ? sync->frequency : sync->declared);
	jw_member_bool(w, "own_frequency", sync->frequency[0] != '\0');
	jw_key(w, "every_ms");
	if (sync->every_ms > 0)
		jw_int(w, sync->every_ms);
	else
		jw_null(w);
	admin_show_time(w, "next_run_at", sync->next_run_ms);
	jw_member_int(w, "late_ms", sync->late_ms);
	jw_object_end(w);
}

static void
show_last_run(struct json_writer *w, const struct inspect_sync *sync)
{
	bool known = sync->job[0] != '\0' && !sync->open;
	int64_t began_ms = sync->began_ms > 0 ? sync->began_ms : sync->accepted_ms;

	jw_key(w, "last_run");
	if (sync->last_state == 0) {
		jw_null(w);
		return;
	}
	jw_object(w);
	jw_member_text(w, "state", job_state_name(sync->last_state));
	jw_member_text(w, "job", known ? sync->job : NULL);
	admin_show_time(w, "began_at", known ? began_ms : 0);
	admin_show_time(w, "ended_at", sync->last_ended_ms);
	jw_key(w, "duration_ms");
	if (known && began_ms > 0 && sync->last_ended_ms >= began_ms)
		jw_int(w, sync->last_ended_ms - began_ms);
	else
		jw_null(w);
	jw_key(w, "result");
	if (sync->last_result[0] != '\0')
		jw_raw(w, slice_text(sync->last_result));
	else
		jw_null(w);
	jw_object_end(w);
}

/* Before its first effect only the worker that has it knows that it runs. */
static bool
runs_here(const struct daemon *daemon, const struct inspect_sync *sync)
{
	return sync->state == INSPECT_SYNC_QUEUED && daemon->dispatch != NULL &&
	       dispatch_is_running(daemon->dispatch, sync->job);
}

static void
show_open_run(struct json_writer *w, const struct daemon *daemon, const struct inspect_sync *sync)
{
	bool here = runs_here(daemon, sync);

	jw_key(w, "run");
	if (!sync->open) {
		jw_null(w);
		return;
	}
	jw_object(w);
	jw_member_text(w, "job", sync->job);
	admin_show_time(w, "accepted_at", sync->accepted_ms);
	admin_show_time(w, "began_at", sync->began_ms);
	jw_member_int(w, "attempt", sync->attempt);
	admin_show_name(w, "node", here ? daemon->node : sync->node);
	jw_object_end(w);
}

/* The members; the object stays open. */
static void
show_sync(struct json_writer *w, const struct daemon *daemon, const struct inspect_sync *sync)
{
	jw_object(w);
	jw_member_text(w, "id", sync->uuid);
	admin_show_name(w, "environment", sync->environment);
	jw_member_text(w, "integration", sync->integration);
	jw_member_text(w, "connection", sync->connection);
	jw_member_text(w, "name", sync->name);
	jw_member_text(w, "variant", sync->variant);
	admin_show_name(w, "version", sync->version);
	jw_member_text(w, "state", runs_here(daemon, sync) ? "running" : state_name(sync->state));
	jw_member_text(w, "trouble", sync_trouble_name(sync->trouble));
	admin_show_time(w, "trouble_since", sync->trouble_ms);
	jw_member_int(w, "still_runs", sync->still_runs);
	show_schedule(w, sync);
	show_open_run(w, daemon, sync);
	show_last_run(w, sync);
	admin_show_time(w, "last_success_at", sync->last_success_ms);
}

/* ---- GET /admin/v1/syncs ---------------------------------------------------------------------- */

struct listing {
	struct api_call *call;
	struct inspect_sync_filter filter;
};

static void
on_listed(void *arg, enum sl_code code, const struct inspect_sync *rows, int count, int64_t next,
	  const struct sl_error *error)
{
	struct listing *listing = arg;
	struct api_call *call = listing->call;
	struct json_writer w;
	struct buf out;
	char *cursor;

	if (code != SL_OK) {
		api_fail_sl(call, code, error);
		return;
	}
	buf_init(&out, API_BODY_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	jw_key(&w, "syncs");
	jw_array(&w);
	for (int i = 0; i < count; i++) {
		show_sync(&w, call->daemon, &rows[i]);
		jw_object_end(&w);
	}
	jw_array_end(&w);
	cursor = sl_asprintf("%lld", (long long)next);
	jw_member_text(&w, "next", next > 0 ? cursor : NULL);
	free(cursor);
	jw_object_end(&w);
	api_reply_buf(call, 200, &out);
}

static void
on_environment(void *arg, enum sl_code code, const struct account_environment *rows, int count,
	       const struct sl_error *error)
{
	struct listing *listing = arg;
	struct api_call *call = listing->call;

	if (code == SL_NOT_FOUND || (code == SL_OK && count == 0)) {
		api_failf(call, 404, "not_found",
			  "there is no environment %.100s; GET /admin/v1/queues lists them",
			  api_query(call, "environment"));
	} else if (code != SL_OK) {
		api_fail_sl(call, code, error);
	} else {
		listing->filter.environment_id = rows[0].id;
		inspect_sync_list(call->daemon->dead, &listing->filter, on_listed, listing);
	}
}

static bool
read_state(struct api_call *call, struct inspect_sync_filter *filter)
{
	const char *state = api_query(call, "state");

	if (state == NULL)
		return true;
	for (int i = 0; i < STATES; i++)
		if (strcmp(state, states[i].name) == 0) {
			filter->state = states[i].state;
			filter->trouble = states[i].trouble;
			return true;
		}
	api_fail_issue(call, "invalid_query_params", "invalid_value", "state",
		       "state must be new, queued, running, paused, succeeded, failed, late, "
		       "interrupted, stalled or repeats_page");
	return false;
}

/* Absent, or a name of that kind. */
static bool
read_filter(struct api_call *call, const char *name, enum api_name kind, const char **out)
{
	*out = api_query(call, name);
	return *out == NULL || api_check_name(call, kind, *out, "invalid_query_params", name);
}

void
admin_sync_list(struct api_call *call)
{
	static const char *const known[] = {"environment", "integration", "connection", "name",
					    "state",       "limit",       "cursor",     NULL};
	struct listing *listing = api_state(call, sizeof(*listing));
	struct inspect_sync_filter *filter = &listing->filter;
	int64_t limit = ADMIN_LIMIT_DEFAULT;
	const char *environment;

	listing->call = call;
	if (!api_query_strict(call, known) ||
	    !read_filter(call, "environment", API_NAME_ENVIRONMENT, &environment) ||
	    !read_filter(call, "integration", API_NAME_INTEGRATION, &filter->integration) ||
	    !read_filter(call, "connection", API_NAME_CONNECTION, &filter->connection) ||
	    !read_filter(call, "name", API_NAME_FUNCTION, &filter->name) ||
	    !read_state(call, filter) ||
	    !admin_read_number(call, "limit", INSPECT_SYNCS_MAX, &limit) ||
	    !admin_read_number(call, "cursor", INT64_MAX, &filter->after))
		return;
	filter->limit = (int)limit;
	if (environment != NULL)
		account_environment_by_name(call->daemon->account, environment, on_environment,
					    listing);
	else
		inspect_sync_list(call->daemon->dead, filter, on_listed, listing);
}

/* ---- GET /admin/v1/syncs/{id} ----------------------------------------------------------------- */

struct showing {
	struct api_call *call;
	int started;
	struct buf out;
	struct json_writer w;
	char *definition, *variant; /* owned */
};

static void
showing_fail(struct showing *showing, enum sl_code code, const struct sl_error *error)
{
	struct api_call *call = showing->call;

	buf_fini(&showing->out);
	free(showing->definition);
	free(showing->variant);
	admin_sync_fail(call, code, error);
}

static int64_t
count_of(const struct record_count *rows, int count, const char *model)
{
	for (int i = 0; i < count; i++)
		if (strcmp(rows[i].model, model) == 0)
			return rows[i].count;
	return 0;
}

/* {"Model": records that are there}: of the models that the function declares, in the sync's variant. */
static void
show_records(struct showing *showing, const struct record_count *rows, int count)
{
	struct json_value definition, models = {.type = JSON_NONE};
	struct json_iter it;

	jw_key(&showing->w, "records");
	jw_object(&showing->w);
	if (json_check(slice_text(showing->definition), &definition, NULL) == SL_OK)
		models = json_get(definition, "models");
	if (models.type == JSON_ARRAY_) {
		json_iter_init(&it, models);
		while (json_iter_next(&it)) {
			char *model = json_text(it.value, NULL);
			char *full = model == NULL || strcmp(showing->variant, SYNC_BASE) == 0
					 ? NULL
					 : sl_asprintf("%s::%s", model, showing->variant);

			if (model != NULL)
				jw_member_int(&showing->w, model,
					      count_of(rows, count, full != NULL ? full : model));
			free(model);
			free(full);
		}
		json_iter_fini(&it);
	}
	jw_object_end(&showing->w);
}

static void
on_counts(void *arg, enum sl_code code, const struct record_count *rows, int count,
	  const struct sl_error *error)
{
	struct showing *showing = arg;
	struct api_call *call = showing->call;
	struct buf out;

	if (code != SL_OK) {
		showing_fail(showing, code, error);
		return;
	}
	show_records(showing, rows, count);
	jw_object_end(&showing->w);
	if (showing->started >= 0)
		jw_member_bool(&showing->w, "started", showing->started != 0);
	jw_object_end(&showing->w);
	free(showing->definition);
	free(showing->variant);
	out = showing->out; /* which goes with the call */
	api_reply_buf(call, 200, &out);
}

static void
show_more(struct json_writer *w, const struct inspect_sync_more *more)
{
	jw_key(w, "checkpoint");
	if (more->checkpoint) {
		jw_object(w);
		jw_member_int(w, "version", more->checkpoint_version);
		jw_member_int(w, "bytes", more->checkpoint_bytes);
		jw_object_end(w);
	} else {
		jw_null(w);
	}
	jw_key(w, "delete_windows");
	jw_array(w);
	for (int i = 0; i < more->window_count; i++)
		jw_text(w, more->windows[i]);
	jw_array_end(w);
}

static void
on_shown(void *arg, enum sl_code code, const struct inspect_sync *sync,
	 const struct inspect_sync_more *more, const struct sl_error *error)
{
	struct showing *showing = arg;
	struct api_call *call = showing->call;

	if (code != SL_OK) {
		admin_sync_fail(call, code, error);
		return;
	}
	buf_init(&showing->out, API_BODY_MAX);
	jw_init(&showing->w, &showing->out);
	jw_object(&showing->w);
	jw_key(&showing->w, "sync");
	show_sync(&showing->w, call->daemon, sync);
	show_more(&showing->w, more);
	showing->definition = sl_strdup(more->definition);
	showing->variant = sl_strdup(sync->variant);
	record_count(call->daemon->syncs, &sync->connection_row, 1, on_counts, showing);
}

void
admin_show_sync(struct api_call *call, const char *uuid, int started)
{
	struct showing *showing = api_keep(call, sl_alloc(sizeof(*showing)));

	showing->call = call;
	showing->started = started;
	inspect_sync_show(call->daemon->dead, uuid, on_shown, showing);
}

bool
admin_sync_id(struct api_call *call, char uuid[UUID_TEXT])
{
	if (uuid_parse(slice_text(call->segment[3]), uuid))
		return true;
	api_fail_issue(call, "invalid_uri_params", "invalid_format", "id",
		       "the id of a sync must be a UUID; GET /admin/v1/syncs lists them");
	return false;
}

void
admin_sync_fail(struct api_call *call, enum sl_code code, const struct sl_error *error)
{
	if (code == SL_NOT_FOUND)
		api_fail(call, 404, "not_found",
			 "there is no such sync; GET /admin/v1/syncs lists them");
	else
		api_fail_sl(call, code, error);
}

void
admin_sync_read(struct api_call *call)
{
	char uuid[UUID_TEXT];

	if (admin_sync_id(call, uuid))
		admin_show_sync(call, uuid, -1);
}
