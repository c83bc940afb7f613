/* daemon/api/admin_job.c - jobs for operators: look at what waits, show one, retry, cancel, kill. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/utf8.h"
#include "daemon/api/admin_queue.h"
#include "daemon/api/resources.h"
#include "daemon/shard.h"
#include "daemon/worker/dispatch.h"
#include "queue/overview.h"
#include "queue/ready.h"
#include "sql/inspect.h"
#include "sql/ledger.h"
#include "sql/steer.h"

/* Before its first effect only the worker that has it knows that it runs. */
static const char *
state_of(const struct daemon *daemon, const struct inspect_job *job)
{
	if (strcmp(job->state, "queued") == 0 && daemon->dispatch != NULL &&
	    dispatch_is_running(daemon->dispatch, job->id))
		return "running";
	return job->state;
}

/* ---- GET /admin/v1/queues/{environment}/jobs ---------------------------------------------------- */

struct listing {
	struct admin_place place;
	int64_t limit;
	char after[UUID_TEXT];
};

static void
list_job(const struct daemon *daemon, const struct inspect_job *job, struct json_writer *w)
{
	const char *state = state_of(daemon, job);
	bool here = job->node[0] == '\0' && strcmp(state, "running") == 0;

	jw_object(w);
	jw_member_text(w, "id", job->id);
	admin_show_name(w, "line", job->line);
	jw_member_text(w, "kind", job_kind_name(job->kind));
	admin_show_name(w, "integration", job->integration);
	admin_show_name(w, "function", job->function);
	admin_show_name(w, "connection", job->connection);
	jw_member_text(w, "state", state);
	jw_member_int(w, "attempt", job->attempt);
	admin_show_time(w, "accepted_at", job->accepted_ms);
	admin_show_time(w, "due_at", job->due_ms);
	admin_show_name(w, "node", here ? daemon->node : job->node);
	jw_object_end(w);
}

static void
on_listed(void *arg, enum sl_code code, const struct inspect_job *jobs, int count,
	  const struct sl_error *error)
{
	struct listing *listing = arg;
	struct api_call *call = listing->place.call;
	struct json_writer w;
	struct buf out;

	if (code != SL_OK) {
		api_fail_sl(call, code, error);
		return;
	}
	buf_init(&out, API_BODY_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	jw_key(&w, "jobs");
	jw_array(&w);
	for (int i = 0; i < count; i++)
		list_job(call->daemon, &jobs[i], &w);
	jw_array_end(&w);
	jw_member_text(&w, "next", count == listing->limit ? jobs[count - 1].id : NULL);
	jw_object_end(&w);
	api_reply_buf(call, 200, &out);
}

static void
list(struct admin_place *place)
{
	struct listing *listing = (struct listing *)place;

	inspect_list(place->call->daemon->dead, place->environment_id, place->key_id,
		     listing->after[0] != '\0' ? listing->after : NULL, (int)listing->limit,
		     on_listed, listing);
}

void
admin_job_list(struct api_call *call)
{
	static const char *const known[] = {"line", "limit", "after", NULL};
	struct listing *listing = api_state(call, sizeof(*listing));
	const char *after = api_query(call, "after");

	listing->limit = ADMIN_LIMIT_DEFAULT;
	listing->place = (struct admin_place){.call = call,
					      .environment = call->segment[3],
					      .line = api_query(call, "line"),
					      .error_code = "invalid_uri_params",
					      .found = list};
	if (!api_query_strict(call, known) ||
	    !admin_read_number(call, "limit", INSPECT_JOBS_MAX, &listing->limit))
		return;
	if (after != NULL && !uuid_parse(slice_text(after), listing->after))
		api_fail_issue(call, "invalid_query_params", "invalid_format", "after",
			       "after must be the id of a job: `next` of the page before");
	else
		admin_find_place(&listing->place);
}

/* ---- GET /admin/v1/jobs/{id} -------------------------------------------------------------------- */

struct showing {
	struct api_call *call;
	struct buf out;
	struct json_writer w;
	char state[16];
	int64_t environment_id, key_id, seq;
};

/* Whole characters only. */
static void
show_output(struct json_writer *w, const struct inspect_job *job)
{
	size_t len = 0, next;

	while (len < job->output.len &&
	       (next = utf8_len(job->output.data + len, job->output.len - len)) > 0)
		len += next;
	jw_key(w, "output");
	if (job->output.len > 0)
		jw_text_n(w, job->output.data, len);
	else
		jw_null(w);
}

static void
show_result(struct json_writer *w, const struct inspect_job *job)
{
	jw_key(w, "result");
	if (job->ended_ms == 0) {
		jw_null(w);
		return;
	}
	jw_object(w);
	admin_show_time(w, "at", job->ended_ms);
	show_output(w, job);
	jw_member_bool(w, "cut", job->cut);
	jw_object_end(w);
}

static void
show_attempts(struct json_writer *w, const struct inspect_attempt *attempts, int count)
{
	jw_key(w, "attempts");
	jw_array(w);
	for (int i = 0; i < count; i++) {
		jw_object(w);
		jw_member_int(w, "number", attempts[i].number);
		admin_show_time(w, "began_at", attempts[i].began_ms);
		admin_show_name(w, "node", attempts[i].node);
		jw_object_end(w);
	}
	jw_array_end(w);
}

/* Its state and its place in the line are still to come; the objects stay open. */
static void
show_job(struct showing *showing, const struct inspect_job *job,
	 const struct inspect_attempt *attempts, int count)
{
	struct json_writer *w = &showing->w;

	jw_object(w);
	jw_key(w, "job");
	jw_object(w);
	jw_member_text(w, "id", job->id);
	admin_show_name(w, "environment", job->environment);
	jw_member_text(w, "kind", job_kind_name(job->kind));
	admin_show_name(w, "integration", job->integration);
	admin_show_name(w, "function", job->function);
	admin_show_name(w, "version", job->version);
	admin_show_name(w, "connection", job->connection);
	admin_show_name(w, "line", job->line);
	admin_show_time(w, "accepted_at", job->accepted_ms);
	admin_show_time(w, "due_at", job->due_ms);
	jw_member_int(w, "max_retries", job->max_retries);
	show_attempts(w, attempts, count);
	jw_member_int(w, "deaths", job->deaths);
	show_result(w, job);
	snprintf(showing->state, sizeof(showing->state), "%s",
		 state_of(showing->call->daemon, job));
	showing->environment_id = job->environment_id;
	showing->key_id = job->key_id;
	showing->seq = job->seq;
}

static void
on_position(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct showing *showing = arg;
	struct buf out;

	(void)error;
	jw_member_text(&showing->w, "state", showing->state);
	jw_key(&showing->w, "position");
	if (code == SL_OK && value >= 0)
		jw_int(&showing->w, value);
	else
		jw_null(&showing->w);
	jw_object_end(&showing->w);
	jw_object_end(&showing->w);
	out = showing->out; /* which goes with the call */
	api_reply_buf(showing->call, 200, &out);
}

/* It may run on another node, and have asked for nothing yet. */
static void
on_runs(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct showing *showing = arg;
	struct queue *queue = shard_queue(showing->call->daemon, showing->environment_id);

	(void)error;
	if (code == SL_OK && value == 1) {
		snprintf(showing->state, sizeof(showing->state), "running");
		on_position(showing, SL_OK, -1, NULL);
	} else {
		ready_position(queue, showing->key_id, showing->seq, on_position, showing);
	}
}

static void
fail_job(struct api_call *call, enum sl_code code, const struct sl_error *error)
{
	if (code == SL_NOT_FOUND)
		api_fail(
		    call, 404, "not_found",
		    "there is no such job; those that ended are kept for the setting retention");
	else
		api_fail_sl(call, code, error);
}

static void
on_shown(void *arg, enum sl_code code, const struct inspect_job *job,
	 const struct inspect_attempt *attempts, int count, const struct sl_error *error)
{
	struct showing *showing = arg;
	struct queue *queue;

	if (code != SL_OK) {
		fail_job(showing->call, code, error);
		return;
	}
	buf_init(&showing->out, API_BODY_MAX);
	jw_init(&showing->w, &showing->out);
	show_job(showing, job, attempts, count);
	queue = shard_queue(showing->call->daemon, job->environment_id);
	if (strcmp(showing->state, "queued") == 0 && queue_is_up(queue))
		queue_runs(queue, job->key_id, job->seq, on_runs, showing);
	else
		on_position(showing, SL_UNAVAILABLE, -1, NULL);
}

/* Of a path; false: the call was answered. */
static bool
read_id(struct api_call *call, char id[UUID_TEXT])
{
	if (uuid_parse(slice_text(call->segment[3]), id))
		return true;
	api_fail_issue(call, "invalid_uri_params", "invalid_format", "id",
		       "the job id must be a UUID");
	return false;
}

void
admin_job_read(struct api_call *call)
{
	struct showing *showing = api_state(call, sizeof(*showing));
	char id[UUID_TEXT];

	showing->call = call;
	if (read_id(call, id))
		inspect_show(call->daemon->dead, id, on_shown, showing);
}

/* ---- retry -------------------------------------------------------------------------------------- */

struct change {
	struct api_call *call;
	char id[UUID_TEXT];

	bool kill;
};

static void
retry_refused(struct change *change, enum steer_retried what)
{
	struct api_call *call = change->call;
	const char *why = "";

	switch (what) {
	case STEER_ACCEPTED:
	case STEER_DUE:
		break;
	case STEER_UNKNOWN:
		fail_job(call, SL_NOT_FOUND, NULL);
		return;
	case STEER_DRAINS:
		api_reply_headers(
		    call, 503,
		    SLICE_LITERAL("{\"error\":{\"code\":\"queue_draining\",\"message\":\""
				  "its environment drains: resume it first\"}}"),
		    "Retry-After: 30\r\n");
		return;
	case STEER_SYNC:
		why = "a run of a sync is not repeated: start the sync (POST /sync/trigger)";
		break;
	case STEER_NO_FUNCTION:
		why = "its function was deleted: deploy it, then trigger it anew";
		break;
	case STEER_DISABLED:
		why = "its function is disabled: enable it first";
		break;
	case STEER_OPEN:
		why = "it is queued or running: cancel it first";
		break;
	case STEER_NO_CONNECTION:
		why = "its connection was deleted: trigger the function with another one";
		break;
	}
	api_fail(call, 409, "conflict", why);
}

static void
on_retried(void *arg, enum sl_code code, enum steer_retried what, const char *new_id,
	   const struct sl_error *error)
{
	struct change *change = arg;
	char body[160];

	if (code != SL_OK) {
		api_fail_sl(change->call, code, error);
		return;
	}
	if (what != STEER_ACCEPTED && what != STEER_DUE) {
		retry_refused(change, what);
		return;
	}
	log_info("job_retried", "job=%s new=%s", change->id, new_id[0] != '\0' ? new_id : "none");
	if (what == STEER_ACCEPTED)
		snprintf(body, sizeof(body), "{\"id\":\"%s\",\"retry_of\":\"%s\"}", new_id,
			 change->id);
	else
		snprintf(body, sizeof(body), "{\"id\":\"%s\"}", change->id);
	api_reply(change->call, what == STEER_ACCEPTED ? 201 : 200, slice_text(body));
}

static struct change *
change_new(struct api_call *call)
{
	static const char *const none[] = {NULL};
	struct change *change = api_state(call, sizeof(*change));

	change->call = call;
	if (!api_strict(call, call->body, none) || !read_id(call, change->id))
		return NULL;
	return change;
}

void
admin_job_retry(struct api_call *call)
{
	struct change *change = change_new(call);

	if (change != NULL)
		steer_retry(call->daemon->dead, change->id, on_retried, change);
}

/* ---- cancel, kill ------------------------------------------------------------------------------- */

static void
on_ended(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct change *change = arg;
	struct api_call *call = change->call;
	char body[100];

	if (code == SL_CONFLICT) {
		api_fail(call, 409, "conflict",
			 "the job has ended already; its result stays as it is");
		return;
	}
	if (code != SL_OK) {
		fail_job(call, code, error);
		return;
	}
	snprintf(body, sizeof(body), "{\"id\":\"%s\",\"state\":\"cancelled\"}", change->id);
	api_reply(call, 200, slice_text(body));
}

static void
on_job_found(void *arg, enum sl_code code, const struct inspect_job *job,
	     const struct inspect_attempt *attempts, int count, const struct sl_error *error)
{
	struct change *change = arg;
	struct ledger *ledger = change->call->daemon->ledger;

	(void)attempts;
	(void)count;
	if (code != SL_OK)
		fail_job(change->call, code, error);
	else if (change->kill)
		ledger_kill(ledger, change->id, job->environment_id, on_ended, change);
	else
		ledger_cancel(ledger, change->id, job->environment_id, (enum job_kind)0, on_ended,
			      change);
}

static void
end_job(struct api_call *call, bool kill)
{
	struct change *change = change_new(call);

	if (change == NULL)
		return;
	change->kill = kill;
	inspect_show(call->daemon->dead, change->id, on_job_found, change);
}

void
admin_job_cancel(struct api_call *call)
{
	end_job(call, false);
}

void
admin_job_kill(struct api_call *call)
{
	end_job(call, true);
}
