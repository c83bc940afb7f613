#include "daemon/scheduler/survey.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/envelope.h"
#include "base/log.h"
#include "base/map.h"
#include "base/metrics.h"
#include "daemon/api/directory.h"
#include "daemon/shard.h"
#include "queue/sample.h"
#include "sql/reclaim.h"

#define SURVEY_LANES (METRIC_LANE_DELAYED + 1)

struct place { /* an environment in which something waits */
	int64_t id, depth;
	int64_t jobs[SURVEY_LANES];
	int64_t age_ms[SURVEY_LANES]; /* of the oldest that waits; 0: none does */
	const struct directory_environment *environment; /* held; NULL: not known */
};

/* IDLE -> DELAYED -> DEPTHS -> LISTS -> NAMES -> IDLE; each asks its questions one by one.  What fails ends
 * it: half a sample would look as if work had vanished. */
enum survey_state { SURVEY_IDLE, SURVEY_DELAYED, SURVEY_DEPTHS, SURVEY_LISTS, SURVEY_NAMES };

struct survey {
	struct daemon *daemon;
	struct reclaim *reclaim;
	enum survey_state state;
	bool closed;
	int64_t due_ms;
	struct map *places;    /* id -> place, owned */
	struct place **sorted; /* owned; the deepest first */
	int count, at;         /* at: shard, or place, that is asked about */
	uint64_t cursor;
	int pages, place_pages; /* asked for, in all and of the place */
	int64_t calls;
	int64_t beyond; /* depth of environments that are not told apart */
};

static void ask_depths(struct survey *survey);
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
	metric_set(&metrics[METRIC_QUEUE_CALLS], 0, 0, NAN);
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

static int64_t
age_of(const struct survey *survey, struct slice entry)
{
	struct envelope envelope;
	int64_t age;

	/* Forged and broken ones are the worker's matter. */
	if (entry.len == 0 ||
	    envelope_decode(entry, survey->daemon->envelope_key, &envelope, NULL) != SL_OK)
		return 0;
	age = clock_wall_ms() - envelope.accepted_ms;
	return age > 1 ? age : 1;
}

/* What was not looked at. */
static void
finish_place(struct place *place)
{
	int64_t left =
	    place->depth - place->jobs[METRIC_LANE_FRONT] - place->jobs[METRIC_LANE_SLOT];

	if (left > place->jobs[METRIC_LANE_NEW])
		place->jobs[METRIC_LANE_NEW] = left;
}

static void
on_lists(void *arg, enum sl_code code, uint64_t cursor, const struct sample_lists *lists)
{
	struct survey *survey = arg;
	struct place *place;

	if (!goes_on(survey, SURVEY_LISTS, code))
		return;
	place = survey->sorted[survey->at];
	for (int lane = 0; lane < SAMPLE_LANES; lane++) {
		int64_t age = age_of(survey, lists->oldest[lane]);

		place->jobs[lane] += lists->entries[lane];
		if (age > place->age_ms[lane])
			place->age_ms[lane] = age;
	}
	survey->pages++;
	survey->place_pages++;
	survey->cursor = cursor;
	if (cursor == 0 || survey->at >= METRIC_OPEN_MAX ||
	    survey->place_pages >= SURVEY_ENVIRONMENT_PAGES) {
		finish_place(place);
		survey->at++;
		survey->cursor = 0;
		survey->place_pages = 0;
	}
	ask_lists(survey);
}

static void
ask_lists(struct survey *survey)
{
	static_assert((int)SAMPLE_NEW == METRIC_LANE_NEW &&
			  (int)SAMPLE_FRONT == METRIC_LANE_FRONT &&
			  (int)SAMPLE_SLOT == METRIC_LANE_SLOT,
		      "lanes have the same numbers");
	survey->state = SURVEY_LISTS;
	for (; survey->at < survey->count; survey->at++) {
		struct place *place = survey->sorted[survey->at];

		if (place->depth > 0 && survey->pages < SURVEY_PAGES) {
			sample_lists(shard_queue(survey->daemon, place->id), place->id,
				     survey->cursor, on_lists, survey);
			return;
		}
		finish_place(place);
		survey->cursor = 0;
		survey->place_pages = 0;
	}
	survey->at = 0;
	ask_names(survey);
}

/* ---- depths ---------------------------------------------------------------------------------- */

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
	survey->cursor = 0;
	survey->pages = survey->place_pages = 0;
}

static void
on_depths(void *arg, enum sl_code code, uint64_t cursor, int64_t calls,
	  const struct sample_depth *depths, int count)
{
	struct survey *survey = arg;

	if (!goes_on(survey, SURVEY_DEPTHS, code))
		return;
	for (int i = 0; i < count; i++) {
		struct place *place = place_of(survey, depths[i].environment_id);

		if (place != NULL)
			place->depth = depths[i].depth > 0 ? depths[i].depth : 0;
		else
			survey->beyond += depths[i].depth;
	}
	survey->cursor = cursor;
	if (cursor == 0) {
		survey->calls += calls;
		survey->at++;
	}
	ask_depths(survey);
}

static void
ask_depths(struct survey *survey)
{
	survey->state = SURVEY_DEPTHS;
	if (survey->at < survey->daemon->shard_count) {
		sample_depths(survey->daemon->queues[survey->at], survey->cursor, on_depths,
			      survey);
		return;
	}
	sort_places(survey);
	ask_lists(survey);
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
	}
	survey->at = 0;
	survey->cursor = 0;
	ask_depths(survey);
}

void
survey_tick(struct survey *survey)
{
	if (survey->state != SURVEY_IDLE || clock_mono_ms() < survey->due_ms)
		return;
	survey->due_ms = clock_mono_ms() + SURVEY_MS;
	survey->places = map_new();
	survey->calls = survey->beyond = 0;
	survey->state = SURVEY_DELAYED;
	reclaim_delayed(survey->reclaim, on_delayed, survey);
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
