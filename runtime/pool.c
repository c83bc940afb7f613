#include "runtime/pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "runtime/pool_internal.h"

#define PAYLOAD_MAX (RUNNER_FRAME_MAX - 4096) /* of LOAD or RUN, beside what frames them */

static void on_soon(void *arg);

enum sl_code
pool_new(struct loop *loop, const struct pool_settings *settings, struct pool **out,
	 struct sl_error *error)
{
	struct pool *pool;

	if (settings->processes_max < 1 || settings->heap_bytes < 1 << 20 || settings->cpu_ms < 1 ||
	    settings->idle_ms < 0)
		return sl_fail(error, SL_INVALID,
			       "runner settings: processes, heap (1 MiB or more) and CPU time "
			       "must be positive");
	pool = sl_alloc(sizeof(*pool));
	pool->loop = loop;
	pool->settings = *settings;
	pool->runner_path = sl_strdup(settings->runner_path);
	pool->settings.runner_path = pool->runner_path;
	pool->soon = loop_timer_new(loop, on_soon, pool);
	pool->chance = 1 + (uint64_t)clock_mono_us();
	zygote_start(pool);
	pool->had_room = pool_has_room(pool);
	*out = pool;
	return SL_OK;
}

static void
free_struct(void *arg)
{
	struct pool *pool = arg;

	free(pool->runner_path);
	free(pool);
}

void
pool_free(struct pool *pool)
{
	struct process *process;

	if (pool == NULL)
		return;
	pool->freeing = true;
	while ((process = pool->processes) != NULL) {
		struct run *run = process->run;

		process_retire(process);
		if (run != NULL)
			run_finish(run, RUN_ABORTED, SLICE_LITERAL(""), "the pool is closing");
		if (process == pool->processes)
			process_free(process);
	}
	zygote_stop(pool);
	image_forget_all(pool);
	loop_timer_free(pool->soon);
	loop_free_later(pool->loop, free_struct, pool);
}

int
pool_most(const struct pool *pool)
{
	int most = pool->settings.processes_max;

	return pool->running > most ? pool->running : most;
}

static int
runs_most(const struct pool *pool)
{
	return pool->settings.processes_max + pool->settings.waiting_max;
}

bool
pool_has_room(const struct pool *pool)
{
	return !pool->freeing && zygote_is_usable(pool) && pool->running < runs_most(pool);
}

bool
pool_is_up(const struct pool *pool)
{
	return zygote_is_usable(pool);
}

int
pool_running(const struct pool *pool)
{
	return pool->running;
}

void
pool_on_room(struct pool *pool, void (*cb)(void *arg), void *arg)
{
	pool->room_cb = cb;
	pool->room_arg = arg;
}

void
pool_note_room(struct pool *pool)
{
	bool room = pool_has_room(pool);

	if (room && !pool->had_room) {
		pool->room_due = true;
		loop_timer_in(pool->soon, 0);
	}
	if (!room)
		pool->room_due = false;
	pool->had_room = room;
}

static struct run *
find_aborted(struct pool *pool)
{
	for (struct process *process = pool->processes; process != NULL; process = process->next) {
		if (process->run != NULL && process->run->aborted)
			return process->run;
	}
	return NULL;
}

static void
on_soon(void *arg)
{
	struct pool *pool = arg;
	struct run *run;

	while ((run = find_aborted(pool)) != NULL) { /* on_end may abort others */
		process_retire(run->process);
		run_finish(run, RUN_ABORTED, SLICE_LITERAL(""), "aborted");
	}
	pool_pump(pool);
	if (!pool->room_due)
		return;
	pool->room_due = false;
	if (pool->room_cb != NULL)
		pool->room_cb(pool->room_arg);
}

/* Not for secrets: xorshift (Marsaglia 2003). */
static uint64_t
next_chance(struct pool *pool)
{
	pool->chance ^= pool->chance << 13;
	pool->chance ^= pool->chance >> 7;
	pool->chance ^= pool->chance << 17;
	return pool->chance;
}

/* Any idle process, or NULL.  Versions often take turns: with one more of them than processes, to end
 * the process that was used least recently would be to end, each time, the one that is needed next. */
static struct process *
find_any_idle(struct pool *pool)
{
	struct process *any = NULL;
	uint64_t seen = 0;

	for (struct process *process = pool->processes; process != NULL; process = process->next) {
		if (process->state == PROCESS_IDLE && next_chance(pool) % ++seen == 0)
			any = process;
	}
	return any;
}

/* The idle process for a function that was used last: its pages are the warmest. */
static struct process *
find_idle(struct pool *pool, const struct pool_function *function)
{
	struct process *newest = NULL;

	for (struct process *process = pool->processes; process != NULL; process = process->next) {
		if (process->state == PROCESS_IDLE && process->version_id == function->version_id &&
		    process->environment_id == function->environment_id &&
		    (newest == NULL || process->entered_ms > newest->entered_ms))
			newest = process;
	}
	return newest;
}

/* One that loads ahead and has no run yet; function NULL: any that exists. */
static struct process *
find_warming(struct pool *pool, const struct pool_function *function)
{
	for (struct process *process = pool->processes; process != NULL; process = process->next) {
		bool is_it = function == NULL
				 ? process->state != PROCESS_WAITING
				 : process->version_id == function->version_id &&
				       process->environment_id == function->environment_id;

		if (is_it && process->run == NULL && process->state != PROCESS_IDLE &&
		    process->state != PROCESS_DYING)
			return process;
	}
	return NULL;
}

/* Another one loads the version into an image: to wait for that costs less than to do the same. */
static bool
is_being_loaded(const struct process *waiting)
{
	for (const struct process *process = waiting->pool->processes; process != NULL;
	     process = process->next) {
		if (process->memory >= 0 && process->version_id == waiting->version_id &&
		    process->environment_id == waiting->environment_id &&
		    (process->state == PROCESS_FORKING || process->state == PROCESS_LOADING))
			return true;
	}
	return false;
}

/* The one that has waited longest, those with a run first; NULL: none can be forked now.  The list
 * has the newest first. */
static struct process *
find_waiting(struct pool *pool)
{
	struct process *first = NULL;

	for (struct process *process = pool->processes; process != NULL; process = process->next) {
		if (process->state == PROCESS_WAITING && !is_being_loaded(process) &&
		    (first == NULL || process->run != NULL || first->run == NULL))
			first = process;
	}
	return first;
}

void
pool_pump(struct pool *pool)
{
	int existing = 0, dying = 0, waiting = 0, pressing = 0;

	if (pool->waiting == 0) /* as after most runs: to look at all processes would cost more */
		return;
	for (struct process *process = pool->processes; process != NULL; process = process->next) {
		existing += process_exists(process) ? 1 : 0;
		dying += process->state == PROCESS_DYING ? 1 : 0;
		waiting += process->state == PROCESS_WAITING ? 1 : 0;
		pressing += process->state == PROCESS_WAITING && process->run != NULL ? 1 : 0;
	}
	while (waiting > 0 && existing < pool_most(pool)) {
		struct process *first = find_waiting(pool);

		if (first == NULL || !zygote_fork(pool, first))
			return;
		existing++;
		waiting--;
		pressing -= pressing > 0 ? 1 : 0;
	}
	while (pressing > dying) {
		struct process *idle = find_any_idle(pool);

		if (idle == NULL)
			idle = find_warming(pool, NULL);
		if (idle == NULL)
			return;
		process_retire(idle);
		dying++;
	}
}

int
pool_processes(const struct pool *pool)
{
	int existing = 0;

	for (const struct process *process = pool->processes; process != NULL;
	     process = process->next)
		existing += process_exists(process) ? 1 : 0;
	return existing;
}

static struct run *
run_new(struct pool *pool, const char *job, int64_t deadline_ms, const struct run_events *events,
	void *arg)
{
	struct run *run = sl_alloc(sizeof(*run));

	run->pool = pool;
	run->id = ++pool->last_run;
	run->job = sl_strdup(job != NULL ? job : "");
	run->deadline_at_ms = clock_mono_ms() + (deadline_ms > 0 ? deadline_ms : 0);
	run->events = events;
	run->arg = arg;
	return run;
}

enum sl_code
pool_run(struct pool *pool, const struct pool_function *function, const char *kind,
	 struct slice input, struct slice context, int64_t deadline_ms,
	 const struct run_events *events, void *arg, struct run **out, struct sl_error *error)
{
	enum metric_start start = METRIC_START_COLD;
	struct process *process;

	if (pool->freeing || !zygote_is_usable(pool))
		return sl_fail(error, SL_UNAVAILABLE, "no runner right now");
	if (pool->running >= runs_most(pool))
		return sl_fail(error, SL_EXHAUSTED, "all %d runner processes are busy",
			       runs_most(pool));
	if (function->code_len > PAYLOAD_MAX || input.len > PAYLOAD_MAX ||
	    context.len > PAYLOAD_MAX - input.len)
		return sl_fail(error, SL_INVALID, "the function or its input is over %u bytes",
			       (unsigned)PAYLOAD_MAX);
	process = find_idle(pool, function);
	if (process != NULL)
		start = METRIC_START_WARM;
	else if (image_find(pool, function->version_id, function->environment_id) != NULL)
		start = METRIC_START_IMAGE;
	if (process == NULL)
		process = find_warming(pool, function);
	if (process == NULL)
		process = process_new(pool, function, error);
	if (process == NULL)
		return SL_UNAVAILABLE;
	metrics_count(METRIC_RUNNER_STARTS, start);
	*out = run_new(pool, function->job, deadline_ms, events, arg);
	pool->running++;
	process_attach(process, *out);
	process_send_run(process, kind, input, context);
	pool_pump(pool);
	pool_note_room(pool);
	return SL_OK;
}

static void
free_run(void *arg)
{
	struct run *run = arg;

	free(run->job);
	free(run);
}

void
run_detach(struct run *run)
{
	assert(run->process->run == run);
	run->process->run = NULL;
	run->process = NULL;
}

void
run_finish(struct run *run, enum run_end end, struct slice payload, const char *text)
{
	struct pool *pool = run->pool;

	if (run->process != NULL)
		run_detach(run);
	pool->running--;
	if (run->aborted) {
		metrics_count(METRIC_SANDBOX_KILLS, METRIC_KILL_ABORTED);
		end = RUN_ABORTED;
		payload = SLICE_LITERAL("");
		text = "aborted";
	}
	loop_free_later(pool->loop, free_run, run);
	run->events->on_end(run->arg, run, end, payload, text);
	pool_note_room(pool);
}

void
run_finish_crashed(struct run *run, const char *text)
{
	run_finish(run, RUN_CRASHED, SLICE_LITERAL(""), text);
}

struct run_death
run_death(const struct run *run)
{
	return run->death;
}

static void
note_answered(struct run *run, int64_t call_id)
{
	int at = 0;

	while (at < run->calls_open && run->open[at].id != call_id)
		at++;
	assert(at < run->calls_open); /* answered once */
	run->open_bytes -= run->open[at].bytes;
	run->open[at] = run->open[--run->calls_open];
}

void
run_reply(struct run *run, int64_t call_id, bool ok, struct slice meta, struct slice body)
{
	struct process *process = run->process;
	struct frame_writer w;

	assert(process != NULL && call_id > 0 && call_id <= run->last_call);
	if (run->aborted || process->channel == NULL)
		return;
	note_answered(run, call_id);
	if (meta.len > PAYLOAD_MAX || body.len > PAYLOAD_MAX - meta.len) {
		ok = false;
		meta = SLICE_LITERAL("{\"code\":\"response_too_large\","
				     "\"message\":\"the answer is too large for a function\"}");
		body = SLICE_LITERAL("");
	}
	frame_begin(&w, channel_out(process->channel), 6);
	frame_add_int(&w, RUNNER_REPLY);
	frame_add_int(&w, run->id);
	frame_add_int(&w, call_id);
	frame_add_bool(&w, ok);
	frame_add_bin(&w, meta.data, meta.len);
	frame_add_bin(&w, body.data, body.len);
	frame_end(&w);
	channel_flush(process->channel);
	process_resume_reading(process);
}

void
run_abort(struct run *run)
{
	if (run->aborted || run->process == NULL)
		return;
	run->aborted = true;
	loop_timer_in(run->pool->soon, 0);
}

/* What pool_warm() finds. */
struct census {
	int existing;                  /* dying ones too, and those that wait */
	int unused;                    /* loaded ahead, or about to be, without a run so far */
	struct process *oldest_unused; /* idle */
	struct process *oldest;        /* idle, and its last run is not recent */
};

static bool
is_older(const struct process *process, const struct process *than)
{
	return than == NULL || process->entered_ms < than->entered_ms;
}

static struct census
count_processes(struct pool *pool)
{
	int64_t recent = clock_mono_ms() - POOL_RECENT_MS;
	struct census census = {0};

	for (struct process *process = pool->processes; process != NULL; process = process->next) {
		bool idle = process->state == PROCESS_IDLE;
		bool unused = !process->used && process->state != PROCESS_DYING;

		census.existing++;
		census.unused += unused ? 1 : 0;
		if (idle && unused && is_older(process, census.oldest_unused))
			census.oldest_unused = process;
		if (idle && (unused || process->entered_ms < recent) &&
		    is_older(process, census.oldest))
			census.oldest = process;
	}
	return census;
}

enum sl_code
pool_warm(struct pool *pool, const struct pool_function *function, pool_warm_cb *cb, void *arg,
	  struct sl_error *error)
{
	struct census census = count_processes(pool);
	struct process *process, *goes = NULL;
	int most = pool_most(pool);

	if (pool->freeing || pool->zygote.state != ZYGOTE_UP)
		return sl_fail(error, SL_UNAVAILABLE, "no runner right now");
	if (function->code_len > PAYLOAD_MAX)
		return sl_fail(error, SL_INVALID, "the function is over %u bytes",
			       (unsigned)PAYLOAD_MAX);
	if (find_idle(pool, function) != NULL || find_warming(pool, function) != NULL ||
	    image_find(pool, function->version_id, function->environment_id) != NULL)
		return sl_fail(error, SL_CONFLICT, "the function is loaded already");
	if (census.unused > 0 && census.unused >= most / 2)
		goes = census.oldest_unused;
	else if (census.existing >= most)
		goes = census.oldest;
	if (goes == NULL && (census.unused >= (most + 1) / 2 || census.existing >= most))
		return sl_fail(error, SL_EXHAUSTED, "all %d runner processes are in use", most);
	if (goes != NULL)
		process_retire(goes);
	process = process_new(pool, function, error);
	if (process == NULL)
		return SL_UNAVAILABLE;
	process->warm_cb = cb;
	process->warm_arg = arg;
	pool_pump(pool);
	return SL_OK;
}
