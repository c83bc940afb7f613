/* daemon/api/admin_steer.c - POST /admin/v1/queues/{environment}/pause, /drain and /resume. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/api/admin_queue.h"
#include "daemon/api/resources.h"
#include "daemon/steer.h"
#include "sql/inspect.h"
#include "sql/steer.h"

#define CANCEL_WAIT_MS 500   /* until every node knows that the environment drains */
#define CANCEL_TIME_MS 20000 /* one call cancels for so long; another one goes on */

struct cancel_job {
	int64_t key_id;
	char id[UUID_TEXT];
};

struct steering {
	struct admin_place place;
	enum steer_what what;
	bool cancel;
	struct loop_timer *timer;
	int64_t until_ms, cancelled;
	char after[UUID_TEXT];
	bool last;               /* page of open jobs */
	struct cancel_job *jobs; /* owned; of a page, by line */
	int count, at, group;
};

static const char *const names[] = {
    [STEER_PAUSE] = "pause", [STEER_DRAIN] = "drain", [STEER_RESUME] = "resume"};

/* ---- which environment, which line ------------------------------------------------------------- */

static void
on_line(void *arg, enum sl_code code, const struct inspect_line *lines, int count,
	const struct sl_error *error)
{
	struct admin_place *place = arg;

	if (code != SL_OK) {
		api_fail_sl(place->call, code, error);
	} else if (count == 0) {
		api_failf(
		    place->call, 404, "not_found",
		    "%.60s has no line %.100s; GET /admin/v1/queues?environment=%.60s lists them",
		    place->environment, place->line, place->environment);
	} else {
		place->key_id = lines[0].key_id;
		place->found(place);
	}
}

static void
on_environment(void *arg, enum sl_code code, const struct account_environment *rows, int count,
	       const struct sl_error *error)
{
	struct admin_place *place = arg;

	if (code == SL_NOT_FOUND || (code == SL_OK && count == 0)) {
		api_failf(place->call, 404, "not_found",
			  "there is no environment %.100s; GET /admin/v1/queues lists them",
			  place->environment);
	} else if (code != SL_OK) {
		api_fail_sl(place->call, code, error);
	} else {
		place->environment_id = rows[0].id;
		if (place->line != NULL)
			inspect_line(place->call->daemon->dead, rows[0].id, place->line, on_line,
				     place);
		else
			place->found(place);
	}
}

void
admin_find_place(struct admin_place *place)
{
	if (api_check_name(place->call, API_NAME_ENVIRONMENT, place->environment, place->error_code,
			   "environment"))
		account_environment_by_name(place->call->daemon->account, place->environment,
					    on_environment, place);
}

/* ---- drain: what waits is cancelled ------------------------------------------------------------ */

static void next_page(void *arg);
static void next_line(struct steering *steering);

static void
steering_end(struct steering *steering, enum sl_code code, const struct sl_error *error, bool more)
{
	struct api_call *call = steering->place.call;

	loop_timer_free(steering->timer);
	free(steering->jobs);
	steering->jobs = NULL;
	if (code != SL_OK)
		api_fail_sl(call, code, error);
	else
		admin_show_queue(call, steering->place.environment,
				 steering->what == STEER_DRAIN ? steering->cancelled : -1, more);
}

static int
by_line(const void *a, const void *b)
{
	const struct cancel_job *one = a, *other = b;

	if (one->key_id != other->key_id)
		return one->key_id < other->key_id ? -1 : 1;
	return strcmp(one->id, other->id);
}

static void
on_cancelled(void *arg, enum sl_code code, int64_t count, const struct sl_error *error)
{
	struct steering *steering = arg;

	if (code != SL_OK) {
		steering_end(steering, code, error, true);
		return;
	}
	steering->cancelled += count;
	steering->at += steering->group;
	next_line(steering);
}

/* A line in a transaction: its jobs share what has to be locked. */
static void
next_line(struct steering *steering)
{
	struct cancel_job *first = &steering->jobs[steering->at];
	char(*ids)[UUID_TEXT];
	int count = 0;

	if (steering->at >= steering->count) {
		if (steering->last)
			steering_end(steering, SL_OK, NULL, false);
		else if (clock_mono_ms() > steering->until_ms)
			steering_end(steering, SL_OK, NULL, true);
		else
			next_page(steering);
		return;
	}
	while (steering->at + count < steering->count && first[count].key_id == first->key_id)
		count++;
	steering->group = count;
	ids = sl_calloc((size_t)count, sizeof(*ids));
	for (int i = 0; i < count; i++)
		memcpy(ids[i], first[i].id, UUID_TEXT);
	steer_cancel(steering->place.call->daemon->dead, steering->place.environment_id,
		     (const char(*)[UUID_TEXT])ids, count, on_cancelled, steering);
	free(ids);
}

static void
on_page(void *arg, enum sl_code code, const struct inspect_job *jobs, int count,
	const struct sl_error *error)
{
	struct steering *steering = arg;

	if (code != SL_OK) {
		steering_end(steering, code, error, true);
		return;
	}
	free(steering->jobs);
	steering->jobs = sl_calloc((size_t)count + 1, sizeof(*steering->jobs));
	steering->count = steering->at = 0;
	steering->last = count < STEER_CANCEL_MAX;
	for (int i = 0; i < count; i++) {
		struct cancel_job *job = &steering->jobs[steering->count];

		if (strcmp(jobs[i].state, "running") == 0)
			continue;
		job->key_id = jobs[i].key_id;
		memcpy(job->id, jobs[i].id, sizeof(job->id));
		steering->count++;
	}
	if (count > 0)
		memcpy(steering->after, jobs[count - 1].id, sizeof(steering->after));
	qsort(steering->jobs, (size_t)steering->count, sizeof(*steering->jobs), by_line);
	next_line(steering);
}

static void
next_page(void *arg)
{
	struct steering *steering = arg;

	inspect_list(steering->place.call->daemon->dead, steering->place.environment_id, 0,
		     steering->after[0] != '\0' ? steering->after : NULL, STEER_CANCEL_MAX, on_page,
		     steering);
}

/* ---- all three --------------------------------------------------------------------------------- */

static void
on_set(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct steering *steering = arg;
	struct api_call *call = steering->place.call;

	if (code != SL_OK) {
		steering_end(steering, code, error, false);
		return;
	}
	log_info("queue_steered", "environment=%s line=%s what=%s cancel=%d",
		 log_text(steering->place.environment),
		 log_text(steering->place.line != NULL ? steering->place.line : "all"),
		 names[steering->what], steering->cancel);
	steer_reload(call->daemon->steer);
	if (!steering->cancel) {
		steering_end(steering, SL_OK, NULL, false);
		return;
	}
	steering->until_ms = clock_mono_ms() + CANCEL_TIME_MS;
	steering->timer = loop_timer_new(call->daemon->loop, next_page, steering);
	loop_timer_in(steering->timer, CANCEL_WAIT_MS);
}

static void
on_found(struct admin_place *place)
{
	struct steering *steering = (struct steering *)place;

	steer_set(place->call->daemon->dead, steering->what, place->environment_id, place->key_id,
		  on_set, steering);
}

static void
steer(struct api_call *call, enum steer_what what)
{
	const char *const known[] = {what == STEER_DRAIN ? "cancel" : "line", NULL};
	struct steering *steering = api_state(call, sizeof(*steering));

	steering->what = what;
	steering->place = (struct admin_place){.call = call,
					       .environment = call->segment[3],
					       .error_code = "invalid_uri_params",
					       .found = on_found};
	if (!api_strict(call, call->body, known) ||
	    !api_text(call, call->body, "line", false, 0, &steering->place.line) ||
	    !api_bool(call, call->body, "cancel", false, &steering->cancel))
		return;
	admin_find_place(&steering->place);
}

void
admin_queue_pause(struct api_call *call)
{
	steer(call, STEER_PAUSE);
}

void
admin_queue_drain(struct api_call *call)
{
	steer(call, STEER_DRAIN);
}

void
admin_queue_resume(struct api_call *call)
{
	steer(call, STEER_RESUME);
}
