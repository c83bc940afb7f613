#include "daemon/scheduler/schedule.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/metrics.h"
#include "daemon/scheduler/sweep.h"
#include "daemon/shard.h"
#include "daemon/submit.h"
#include "sql/account.h"
#include "sql/schedule.h"

#define AGAIN_MS 1000      /* after trouble */
#define CLOCK_BACK_MS 1000 /* less is a clock that is being set right */
#define ROOMS_MAX 1000     /* environments near their bound that are told apart */

/* What there is to ask, in this order and in turn. */
enum step { STEP_BACK, STEP_LOOK, STEP_TAKE, STEP_MAKE, STEP_REMOVE, STEP_COUNT };

struct schedule {
	struct daemon *daemon;
	struct schedule_store *store;
	struct loop_timer *timer; /* until something is due, or may be */
	bool leads, closed;
	bool asking;           /* a question is under way */
	bool todo[STEP_COUNT]; /* to be asked */
	enum step last;        /* asked */
	bool due;              /* the timer waits for a slot */
	int pushes;            /* whose answer the next pass waits for */
	int64_t pass_ms;       /* monotonic: when the last pass was answered */
	int64_t made;          /* syncs, since there was nothing to make */
	int64_t behind_ms;     /* the ledger's clock less ours, which is monotonic */
	bool compared;         /* behind_ms is known */
};

static void go_on(struct schedule *schedule);

static void
wait_for(struct schedule *schedule, int64_t ms, bool due)
{
	if (ms < SCHEDULE_LOOK_MS) {
		schedule->due = due;
		loop_timer_in(schedule->timer, ms);
	} else {
		schedule->due = false;
		loop_timer_in(schedule->timer, SCHEDULE_LOOK_MS);
	}
}

static void
on_timer(void *arg)
{
	struct schedule *schedule = arg;

	schedule->todo[schedule->due ? STEP_TAKE : STEP_LOOK] = true;
	go_on(schedule);
}

/* What a look or a pass has seen; full: the pass was, and goes on at once. */
static void
note_view(struct schedule *schedule, const struct schedule_view *view, bool full)
{
	int64_t now = clock_mono_ms(), behind_ms = view->wall_ms - now;
	int64_t gap_ms = schedule->pass_ms + SCHEDULE_GAP_MS - now;

	if (schedule->compared && behind_ms < schedule->behind_ms - CLOCK_BACK_MS) {
		log_warn("clock_set_back", "by_ms=%lld whose=%s",
			 (long long)(schedule->behind_ms - behind_ms), "the ledger's");
		schedule->todo[STEP_BACK] = true;
	}
	schedule->behind_ms = behind_ms;
	schedule->compared = true;
	schedule->todo[STEP_MAKE] |= view->make;
	schedule->todo[STEP_REMOVE] |= view->remove;
	if (full || (view->wait_ms == 0 && gap_ms <= 0))
		schedule->todo[STEP_TAKE] = true;
	else
		wait_for(schedule, view->wait_ms > gap_ms ? view->wait_ms : gap_ms, true);
}

/* False: the question failed, or is answered too late; nothing more is to be done with it. */
static bool
answered(struct schedule *schedule, enum sl_code code, const char *what,
	 const struct sl_error *error)
{
	schedule->asking = false;
	if (schedule->closed || !schedule->leads)
		return false;
	if (code == SL_OK)
		return true;
	log_warn("schedule_trouble", "what=%s code=%s error=%s", what, sl_code_name(code),
		 log_text(error != NULL ? error->text : ""));
	wait_for(schedule, AGAIN_MS, false);
	go_on(schedule);
	return false;
}

/* ---- due runs -------------------------------------------------------------------------------- */

static void
on_pushed(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct schedule *schedule = arg;

	(void)value;
	if (code != SL_OK)
		log_debug("push_left_to_sweep", "code=%s error=%s", sl_code_name(code),
			  log_text(error != NULL ? error->text : ""));
	FAULT_POINT("schedule_pushed");
	if (--schedule->pushes == 0)
		go_on(schedule);
}

static void
push(struct schedule *schedule, const struct reclaim_job *jobs, int count)
{
	struct reclaim_job *part = sl_calloc((size_t)count + 1, sizeof(*part));

	schedule->pushes++; /* ours, until all are sent */
	for (int shard = 0, left = count; left > 0; shard++) {
		int picked = 0;

		for (int i = 0; i < count; i++)
			if (shard_of(schedule->daemon, jobs[i].environment_id) == shard)
				part[picked++] = jobs[i];
		left -= picked;
		if (picked == 0)
			continue;
		schedule->pushes++;
		sweep_push(schedule->daemon, shard, part, picked, READY_NEW, on_pushed, schedule);
	}
	schedule->pushes--;
	free(part);
}

static void
on_pass(void *arg, enum sl_code code, const struct schedule_pass *pass,
	const struct sl_error *error)
{
	struct schedule *schedule = arg;
	struct metric *runs = &metrics[METRIC_SCHEDULE_RUNS];
	int taken = pass->count + pass->open + pass->postponed;

	if (code == SL_OK && taken > 0)
		FAULT_POINT("schedule_taken");
	schedule->pass_ms = clock_mono_ms();
	if (code == SL_OK) { /* whoever leads by now: they are in the ledger */
		metric_add(runs, METRIC_SCHEDULE_STARTED, 0, pass->count);
		metric_add(runs, METRIC_SCHEDULE_OPEN, 0, pass->open);
		metric_add(runs, METRIC_SCHEDULE_POSTPONED, 0, pass->postponed);
		for (int i = 0; i < pass->count; i++)
			metrics_count_kind(METRIC_JOBS_ENQUEUED, JOB_SYNC);
	}
	if (code == SL_OK && !schedule->closed)
		push(schedule, pass->jobs, pass->count);
	if (!answered(schedule, code, "due", error))
		return;
	note_view(schedule, &pass->view, taken == SCHEDULE_RUNS_MAX);
	go_on(schedule);
}

static void
take(struct schedule *schedule)
{
	struct daemon *daemon = schedule->daemon;
	struct schedule_room *rooms = sl_calloc(ROOMS_MAX, sizeof(*rooms));
	struct schedule_ask ask = {
	    .jitter_ms = config_int(daemon->config, "schedule_jitter"),
	    .sync_limit = config_int(daemon->config, "sync_limit"),
	    .rooms = rooms,
	};

	ask.room_count = submit_rooms(daemon, rooms, ROOMS_MAX, &ask.default_room);
	schedule_take(schedule->store, &ask, on_pass, schedule);
	free(rooms);
}

/* ---- the other steps ------------------------------------------------------------------------- */

static void
on_view(void *arg, enum sl_code code, const struct schedule_view *view,
	const struct sl_error *error)
{
	struct schedule *schedule = arg;

	if (!answered(schedule, code, "look", error))
		return;
	note_view(schedule, view, false);
	go_on(schedule);
}

static void
on_made(void *arg, enum sl_code code, int64_t count, const struct sl_error *error)
{
	struct schedule *schedule = arg;

	if (code == SL_OK && count > 0)
		FAULT_POINT("schedule_made");
	if (!answered(schedule, code, "make", error))
		return;
	schedule->made += count;
	if (count == 0 && schedule->made > 0) {
		log_debug("syncs_scheduled", "looked_at=%lld", (long long)schedule->made);
		schedule->made = 0;
	}
	schedule->todo[STEP_MAKE] |= count > 0;
	schedule->todo[STEP_LOOK] |= count > 0; /* their first run is due */
	go_on(schedule);
}

static void
on_removed(void *arg, enum sl_code code, int64_t count, const struct sl_error *error)
{
	struct schedule *schedule = arg;

	if (code == SL_OK && count > 0)
		FAULT_POINT("schedule_removed");
	if (!answered(schedule, code, "remove", error))
		return;
	schedule->todo[STEP_REMOVE] |= count > 0;
	go_on(schedule);
}

static void
on_set_back(void *arg, enum sl_code code, int64_t count, const struct sl_error *error)
{
	struct schedule *schedule = arg;

	if (!answered(schedule, code, "set_back", error)) {
		schedule->todo[STEP_BACK] |= code != SL_OK;
		return;
	}
	if (count > 0)
		log_warn("schedules_set_back", "count=%lld", (long long)count);
	schedule->todo[STEP_LOOK] = true;
	go_on(schedule);
}

static void
ask(struct schedule *schedule, enum step step)
{
	int64_t jitter_ms = config_int(schedule->daemon->config, "schedule_jitter");

	schedule->todo[step] = false;
	schedule->last = step;
	schedule->asking = true;
	switch (step) {
	case STEP_BACK:
		schedule_set_back(schedule->store, jitter_ms, on_set_back, schedule);
		return;
	case STEP_LOOK:
		schedule_look(schedule->store, on_view, schedule);
		return;
	case STEP_TAKE:
		take(schedule);
		return;
	case STEP_MAKE:
		schedule_make(schedule->store, jitter_ms, on_made, schedule);
		return;
	case STEP_REMOVE:
		schedule_remove(schedule->store, on_removed, schedule);
		return;
	case STEP_COUNT:
		return;
	}
}

/* Asks what is to be asked next, the steps in turn, unless an answer is awaited. */
static void
go_on(struct schedule *schedule)
{
	if (schedule->closed || !schedule->leads || schedule->asking || schedule->pushes > 0)
		return;
	for (int i = 1; i <= STEP_COUNT; i++) {
		enum step step = (enum step)(((int)schedule->last + i) % STEP_COUNT);

		if (schedule->todo[step]) {
			ask(schedule, step);
			return;
		}
	}
}

/* ---- life ------------------------------------------------------------------------------------ */

static void
on_notify(void *arg, const char *channel, const char *payload)
{
	struct schedule *schedule = arg;

	(void)channel;
	(void)payload; /* NULL after a loss of the connection: it may have missed one */
	schedule->todo[STEP_LOOK] = schedule->leads;
	go_on(schedule);
}

void
schedule_tick(struct schedule *schedule)
{
	if (schedule->leads)
		return;
	schedule->leads = true;
	schedule->compared = false; /* the clock may have been set back while nobody looked */
	schedule->todo[STEP_BACK] = true;
	go_on(schedule);
}

void
schedule_rest(struct schedule *schedule)
{
	schedule->leads = false;
	loop_timer_stop(schedule->timer);
	for (int i = 0; i < STEP_COUNT; i++)
		schedule->todo[i] = false;
}

struct schedule *
schedule_new(struct daemon *daemon, const char *conninfo)
{
	struct schedule *schedule = sl_alloc(sizeof(*schedule));
	struct pg_settings settings = {
	    .conninfo = conninfo, .name = "sluiced schedule", .timeout_ms = 60000};

	schedule->daemon = daemon;
	schedule->store = schedule_store_new(daemon->loop, &settings);
	schedule->timer = loop_timer_new(daemon->loop, on_timer, schedule);
	pg_listen(account_pg(daemon->account), SCHEDULE_CHANGED, on_notify, schedule);
	return schedule;
}

void
schedule_free(struct schedule *schedule)
{
	schedule->closed = true;
	loop_timer_free(schedule->timer);
	schedule_store_free(schedule->store);
	/* Redis still answers, with failures, what is under way. */
	loop_free_later(schedule->daemon->loop, free, schedule);
}
