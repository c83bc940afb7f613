#include "daemon/event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/secret.h"
#include "daemon/api/directory.h"
#include "daemon/submit.h"
#include "daemon/worker/attempt.h"
#include "daemon/worker/dispatch.h"
#include "sql/sync.h"

struct event {
	struct daemon *daemon;
	int64_t environment_id, connection_id;
	char *name;
	bool awaited;
	int64_t *versions; /* of the functions that want it */
	int count, at;
	int64_t key_id;
	event_cb *cb;
	event_end_cb *end_cb;
	void *arg;
	struct loop_timer *timer; /* of an awaited one */
	bool answered;            /* the time was over: what still runs ends by its own limit */
};

static void
event_free(struct event *event)
{
	loop_timer_free(event->timer);
	free(event->versions);
	free(event->name);
	free(event);
}

static bool
wants(const struct account_function *row, const char *event)
{
	return strcmp(row->type, "on-event") == 0 && row->enabled && strcmp(row->event, event) == 0;
}

bool
event_is_wanted(const struct directory_functions *functions, const char *event)
{
	for (int i = 0; i < functions->count; i++)
		if (wants(&functions->rows[i], event))
			return true;
	return false;
}

/* ---- queued ----------------------------------------------------------------------------------- */

static void
queued_end(struct event *event, enum sl_code code, const struct sl_error *error)
{
	event->cb(event->arg, code, error);
	event_free(event);
}

static void submit_next(struct event *event);

static void
on_submitted(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct event *event = arg;

	if (code == SL_OK)
		submit_next(event);
	else
		queued_end(event, code, error);
}

static void
submit_next(struct event *event)
{
	struct ledger_job job = {
	    .environment_id = event->environment_id,
	    .key_id = event->key_id,
	    .connection_id = event->connection_id,
	    .kind = JOB_EVENT,
	};
	struct sl_error error;
	enum sl_code code;

	if (event->at == event->count) {
		queued_end(event, SL_OK, NULL);
		return;
	}
	/* What it is about has happened, so a queue that is full is no reason to refuse it. */
	code = submit_admit(event->daemon, job.environment_id, true, &error);
	if (code != SL_OK) {
		queued_end(event, code, &error);
		return;
	}
	job.function_version_id = event->versions[event->at++];
	uuid_v7(job.id);
	submit_admitted(event->daemon, &job, on_submitted, event);
}

static void
on_key(void *arg, enum sl_code code, int64_t key_id, const struct sl_error *error)
{
	struct event *event = arg;

	event->key_id = key_id;
	on_submitted(event, code, error);
}

static void
submit_all(struct event *event)
{
	char name[48];

	if (event->count == 0) {
		queued_end(event, SL_OK, NULL);
		return;
	}
	snprintf(name, sizeof(name), "events:%lld", (long long)event->connection_id);
	sync_key(event->daemon->syncs, event->environment_id, name, 1, on_key, event);
}

/* ---- awaited ---------------------------------------------------------------------------------- */

static void
awaited_end(struct event *event, enum sl_code code, struct slice output,
	    const struct sl_error *error)
{
	if (!event->answered)
		event->end_cb(event->arg, code, output, error);
	event_free(event);
}

static void run_next(struct event *event);

static void
on_run_end(void *arg, const struct attempt_end *end)
{
	struct event *event = arg;
	struct sl_error error;

	if (end->aborted) {
		(void)sl_fail(&error, SL_UNAVAILABLE, "the function was stopped");
		awaited_end(event, SL_UNAVAILABLE, (struct slice){NULL, 0}, &error);
	} else if (end->state == JOB_SUCCEEDED && !event->answered) {
		run_next(event);
	} else {
		(void)sl_fail(&error, SL_INVALID, "the %s function failed", event->name);
		awaited_end(event, SL_INVALID, end->output, &error);
	}
}

static void
run_next(struct event *event)
{
	struct attempt_ask ask = {
	    .number = 1,
	    .environment_id = event->environment_id,
	    .connection_id = event->connection_id,
	    .kind = JOB_EVENT,
	};
	struct sl_error error;
	enum sl_code code;

	if (event->at == event->count) {
		awaited_end(event, SL_OK, (struct slice){NULL, 0}, NULL);
		return;
	}
	if (event->daemon->dispatch == NULL) {
		code = sl_fail(&error, SL_UNAVAILABLE, "this node runs no functions (role worker)");
	} else {
		ask.function_version_id = event->versions[event->at++];
		code = dispatch_call(event->daemon->dispatch, &ask, on_run_end, event, &error);
	}
	if (code != SL_OK)
		awaited_end(event, SL_UNAVAILABLE, (struct slice){NULL, 0}, &error);
}

static void
on_time_over(void *arg)
{
	struct event *event = arg;
	struct sl_error error;

	event->answered = true;
	(void)sl_fail(&error, SL_INVALID, "the %s function did not end within %d s", event->name,
		      EVENT_LIMIT_MS / 1000);
	event->end_cb(event->arg, SL_INVALID, (struct slice){NULL, 0}, &error);
}

/* ---- both ------------------------------------------------------------------------------------- */

static void
event_end(struct event *event, enum sl_code code, const struct sl_error *error)
{
	if (event->awaited)
		awaited_end(event, code, (struct slice){NULL, 0}, error);
	else
		queued_end(event, code, error);
}

static void
on_functions(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	const struct directory_functions *functions = object;
	struct event *event = arg;

	if (code != SL_OK) {
		event_end(event, SL_UNAVAILABLE, error);
		return;
	}
	event->versions = sl_calloc((size_t)functions->count + 1, sizeof(*event->versions));
	for (int i = 0; i < functions->count; i++)
		if (wants(&functions->rows[i], event->name))
			event->versions[event->count++] = functions->rows[i].version_id;
	if (!event->awaited) {
		submit_all(event);
		return;
	}
	event->timer = loop_timer_new(event->daemon->loop, on_time_over, event);
	loop_timer_in(event->timer, EVENT_LIMIT_MS);
	run_next(event);
}

static void
event_start(struct daemon *daemon, const struct event_place *place, const char *name,
	    const struct event *like)
{
	struct event *event = sl_memdup(like, sizeof(*like));

	event->daemon = daemon;
	event->environment_id = place->environment_id;
	event->connection_id = place->connection_id;
	event->name = sl_strdup(name);
	directory_functions(daemon->directory, place->environment_id, place->unique_key,
			    on_functions, event);
}

void
event_submit(struct daemon *daemon, const struct event_place *place, const char *event,
	     event_cb *cb, void *arg)
{
	const struct event like = {.cb = cb, .arg = arg};

	event_start(daemon, place, event, &like);
}

void
event_run(struct daemon *daemon, const struct event_place *place, const char *event,
	  event_end_cb *cb, void *arg)
{
	const struct event like = {.awaited = true, .end_cb = cb, .arg = arg};

	event_start(daemon, place, event, &like);
}
