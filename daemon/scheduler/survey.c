#include "daemon/scheduler/survey.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/metrics.h"
#include "daemon/api/directory.h"
#include "queue/call.h"
#include "queue/overview.h"
#include "sql/reclaim.h"
#include "sql/sync.h"

#define SURVEY_LANES (METRIC_LANE_DELAYED + 1)

struct place { /* an environment in which something waits */
	int64_t id, depth;
	int64_t jobs[SURVEY_LANES];
	int64_t age_ms[SURVEY_LANES]; /* of the oldest that waits; 0: none does */
	bool paused, draining;
	const struct directory_environment *environment; /* held; NULL: not known */
};

/* IDLE -> SYNCS -> DELAYED -> LISTS -> CALLS -> LISTS (of the next shard) ... -> NAMES -> IDLE; each asks its questions
 * one by one.  What fails ends it: half a sample would look as if work had vanished. */
enum survey_state {
	SURVEY_IDLE,
	SURVEY_SYNCS,
	SURVEY_DELAYED,
	SURVEY_LISTS,
	SURVEY_CALLS,
	SURVEY_NAMES
};

struct survey {
	struct daemon *daemon;
	struct reclaim *reclaim;
	enum survey_state state;
	bool closed;
	int64_t due_ms;
	struct map *places;    /* id -> place, owned */
	struct place **sorted; /* owned; the deepest first */
	int count, at;         /* at: shard, or place, that is asked about */
	struct reclaim_syncs syncs;
	int64_t calls;
	int64_t beyond; /* depth of environments that are not told apart */
};

static void ask_lists(struct survey *survey);
static void ask_names(struct survey *survey);

static void
place_free(void *value)
{
	struct place *place = value;

	directory_release(place->environment);
	free(place);
}

static void
drop_places(struct survey *survey)
{
	map_free(survey->places, place_free);
	free(survey->sorted);
	survey->places = NULL;
	survey->sorted = NULL;
	survey->count = survey->at = 0;
}

static void
end(struct survey *survey)
{
	drop_places(survey);
	survey->state = SURVEY_IDLE;
}

static void
clear_metrics(void)
{
	metric_open_clear(&metrics[METRIC_QUEUE_DEPTH]);
	metric_open_clear(&metrics[METRIC_QUEUE_AGE]);
	metric_open_clear(&metrics[METRIC_QUEUE_PAUSED]);
	metric_set(&metrics[METRIC_QUEUE_CALLS], 0, 0, NAN);
	metric_set(&metrics[METRIC_SCHEDULES], METRIC_SCHEDULES_STARTED, 0, NAN);
	metric_set(&metrics[METRIC_SCHEDULES], METRIC_SCHEDULES_PAUSED, 0, NAN);
	metric_set(&metrics[METRIC_SCHEDULE_LATE], 0, 0, NAN);
	for (int i = 0; i <= METRIC_TROUBLE_REPEATS_PAGE; i++)
		metric_set(&metrics[METRIC_SYNCS_TROUBLE], i, 0, NAN);
}

/* True: go on with the answer. */
static bool
goes_on(struct survey *survey, enum survey_state state, enum sl_code code)
{
	assert(survey->closed || survey->state == state);
	if (survey->closed)
		return false;
	if (code == SL_OK)
		return true;
	log_debug("survey_failed", "state=%d code=%s", (int)state, sl_code_name(code));
	clear_metrics();
	end(survey);
	return false;
}

/* NULL: there are too many of them. */
static struct place *
place_of(struct survey *survey, int64_t environment_id)
{
	struct place *place = map_get_int(survey->places, environment_id);

	if (place != NULL || map_count(survey->places) >= SURVEY_ENVIRONMENTS)
		return place;
	place = sl_alloc(sizeof(*place));
	place->id = environment_id;
	map_put_int(survey->places, environment_id, place);
	return place;
}

/* ---- the numbers ----------------------------------------------------------------------------- */

static void
publish_place(const struct place *place, bool named)
{
	const char *name =
	    named && place->environment != NULL ? place->environment->row.name : "other";

	for (int lane = 0; lane < SURVEY_LANES; lane++) {
		metric_open_set(&metrics[METRIC_QUEUE_DEPTH], name, lane,
				(double)place->jobs[lane]);
		metric_open_set(&metrics[METRIC_QUEUE_AGE], name, lane,
				(double)place->age_ms[lane] / 1000);
	}
	metric_open_set(&metrics[METRIC_QUEUE_PAUSED], name, METRIC_PAUSED, place->paused);
	metric_open_set(&metrics[METRIC_QUEUE_PAUSED], name, METRIC_DRAINING, place->draining);
}

static void
publish_syncs(const struct reclaim_syncs *syncs)
{
	static_assert((int)SYNC_INTERRUPTED == METRIC_TROUBLE_INTERRUPTED + 1 &&
			  (int)SYNC_STALLED == METRIC_TROUBLE_STALLED + 1 &&
			  (int)SYNC_REPEATS_PAGE == METRIC_TROUBLE_REPEATS_PAGE + 1,
		      "troubles are in the same order");
	metric_set(&metrics[METRIC_SCHEDULES], METRIC_SCHEDULES_STARTED, 0, (double)syncs->started);
	metric_set(&metrics[METRIC_SCHEDULES], METRIC_SCHEDULES_PAUSED, 0, (double)syncs->paused);
	metric_set(&metrics[METRIC_SCHEDULE_LATE], 0, 0, (double)syncs->late_ms / 1000);
	for (int i = 0; i <= METRIC_TROUBLE_REPEATS_PAGE; i++)
		metric_set(&metrics[METRIC_SYNCS_TROUBLE], i, 0, (double)syncs->trouble[i]);
}

static void
publish(struct survey *survey)
{
	const struct place rest = {.jobs[METRIC_LANE_NEW] = survey->beyond};

	clear_metrics();
	if (!reclaim_is_leader(survey->reclaim)) {
		end(survey);
		return;
	}
	publish_place(&rest, false); /* there is always one, so that nothing is not silence */
	for (int i = 0; i < survey->count; i++)
		publish_place(survey->sorted[i], i < METRIC_OPEN_MAX);
	metric_set(&metrics[METRIC_QUEUE_CALLS], 0, 0, (double)survey->calls);
	publish_syncs(&survey->syncs);
	end(survey);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void
on_name(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct survey *survey = arg;

	(void)error; /* one that was deleted meanwhile is among the others */
	if (!goes_on(survey, SURVEY_NAMES, SL_OK))
		return;
	if (code == SL_OK)
		survey->sorted[survey->at]->environment = directory_hold(object);
	survey->at++;
	ask_names(survey);
}

/* A row that is cached answers at once, one call deep for each name: METRIC_OPEN_MAX at most. */
static void
ask_names(struct survey *survey)
{
	survey->state = SURVEY_NAMES;
	if (survey->at >= survey->count || survey->at >= METRIC_OPEN_MAX)
		publish(survey);
	else
		directory_environment(survey->daemon->directory, survey->sorted[survey->at]->id,
				      on_name, survey);
}

/* ---- lists ----------------------------------------------------------------------------------- */

static int
by_depth(const void *a, const void *b)
{
	const struct place *x = *(struct place *const *)a, *y = *(struct place *const *)b;
	int64_t left = x->depth + x->jobs[METRIC_LANE_DELAYED],
		right = y->depth + y->jobs[METRIC_LANE_DELAYED];

	if (left != right)
		return left > right ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static void
sort_places(struct survey *survey)
{
	void *value;
	size_t at = 0;

	survey->sorted = sl_calloc(map_count(survey->places) + 1, sizeof(*survey->sorted));
	while (map_each(survey->places, &at, &value))
		survey->sorted[survey->count++] = value;
	qsort(survey->sorted, (size_t)survey->count, sizeof(*survey->sorted), by_depth);
	survey->at = 0;
}

static void
take_environment(struct survey *survey, const struct overview_environment *found)
{
	struct place *place = place_of(survey, found->environment_id);
	int64_t left = found->depth;

	if (place == NULL) {
		survey->beyond += found->depth;
		return;
	}
	place->depth = found->depth;
	for (int lane = 0; lane < OVERVIEW_LANES; lane++) {
		place->jobs[lane] = found->lanes[lane].depth;
		place->age_ms[lane] =
		    found->lanes[lane].oldest_ms > 0 ? found->lanes[lane].oldest_ms : 0;
		left -= found->lanes[lane].depth;
	}
	if (left > 0 && found->line_count < found->lines) /* what was not looked at */
		place->jobs[METRIC_LANE_NEW] += left;
}

static void
on_calls(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct survey *survey = arg;

	(void)error;
	if (!goes_on(survey, SURVEY_CALLS, code))
		return;
	survey->calls += value;
	survey->at++;
	ask_lists(survey);
}

static void
on_lists(void *arg, enum sl_code code, const struct overview_environment *environments, int count,
	 const struct sl_error *error)
{
	struct survey *survey = arg;

	(void)error;
	if (!goes_on(survey, SURVEY_LISTS, code))
		return;
	for (int i = 0; i < count; i++)
		take_environment(survey, &environments[i]);
	survey->state = SURVEY_CALLS;
	call_count(survey->daemon->queues[survey->at], on_calls, survey);
}

static void
ask_lists(struct survey *survey)
{
	static_assert((int)OVERVIEW_NEW == METRIC_LANE_NEW &&
			  (int)OVERVIEW_FRONT == METRIC_LANE_FRONT &&
			  (int)OVERVIEW_SLOT == METRIC_LANE_SLOT,
		      "lanes have the same numbers");
	if (survey->at < survey->daemon->shard_count) {
		survey->state = SURVEY_LISTS;
		queue_overview(survey->daemon->queues[survey->at], NULL, 0, on_lists, survey);
		return;
	}
	sort_places(survey);
	ask_names(survey);
}

/* ---- what is delayed, and the start ---------------------------------------------------------- */

static void
on_delayed(void *arg, enum sl_code code, const struct reclaim_delayed *rows, int count)
{
	struct survey *survey = arg;

	if (!goes_on(survey, SURVEY_DELAYED, code))
		return;
	for (int i = 0; i < count; i++) {
		struct place *place = place_of(survey, rows[i].environment_id);

		if (place == NULL) {
			survey->beyond += rows[i].jobs;
			continue;
		}
		place->jobs[METRIC_LANE_DELAYED] = rows[i].jobs;
		place->age_ms[METRIC_LANE_DELAYED] = rows[i].late_ms;
		place->paused = rows[i].paused;
		place->draining = rows[i].draining;
	}
	survey->at = 0;
	ask_lists(survey);
}

static void
on_syncs(void *arg, enum sl_code code, const struct reclaim_syncs *syncs)
{
	struct survey *survey = arg;

	if (!goes_on(survey, SURVEY_SYNCS, code))
		return;
	survey->syncs = *syncs;
	survey->state = SURVEY_DELAYED;
	reclaim_delayed(survey->reclaim, on_delayed, survey);
}

void
survey_tick(struct survey *survey)
{
	if (survey->state != SURVEY_IDLE || clock_mono_ms() < survey->due_ms)
		return;
	survey->due_ms = clock_mono_ms() + SURVEY_MS;
	survey->places = map_new();
	survey->calls = survey->beyond = 0;
	survey->state = SURVEY_SYNCS;
	reclaim_syncs(survey->reclaim, on_syncs, survey);
}

void
survey_forget(struct survey *survey)
{
	survey->due_ms = 0; /* the next leader's first one comes at once */
	clear_metrics();
}

struct survey *
survey_new(struct daemon *daemon, struct reclaim *reclaim)
{
	struct survey *survey = sl_alloc(sizeof(*survey));

	survey->daemon = daemon;
	survey->reclaim = reclaim;
	return survey;
}

static void
free_now(void *arg)
{
	struct survey *survey = arg;

	drop_places(survey);
	free(survey);
}

void
survey_free(struct survey *survey)
{
	if (survey == NULL)
		return;
	survey->closed = true;
	loop_free_later(survey->daemon->loop, free_now, survey);
}
