#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "runtime/pool_internal.h"

/* A load asks for nothing outside, so the wall clock bounds what CPU time it may use; the floor is
 * for machines under load. */
#define LOAD_MS_MIN 10000

static const bool process_allows[PROCESS_STATES][PROCESS_STATES] = {
    [PROCESS_WAITING] = {[PROCESS_FORKING] = true},
    [PROCESS_FORKING] = {[PROCESS_LOADING] = true, [PROCESS_DYING] = true},
    [PROCESS_LOADING] = {[PROCESS_RUNNING] = true, [PROCESS_IDLE] = true, [PROCESS_DYING] = true},
    [PROCESS_RUNNING] = {[PROCESS_IDLE] = true, [PROCESS_DYING] = true},
    [PROCESS_IDLE] = {[PROCESS_RUNNING] = true, [PROCESS_DYING] = true},
};

static int64_t
min64(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* When the present state has lasted too long. */
static int64_t
due_at(const struct process *process)
{
	int64_t deadline = process->run != NULL ? process->run->deadline_at_ms : INT64_MAX;
	int64_t load_ms = process->pool->settings.cpu_ms;

	switch (process->state) {
	case PROCESS_WAITING:
	case PROCESS_RUNNING:
		return deadline;
	case PROCESS_FORKING:
		return min64(deadline, process->entered_ms + POOL_STUCK_MS);
	case PROCESS_LOADING:
		if (load_ms < LOAD_MS_MIN)
			load_ms = LOAD_MS_MIN;
		return min64(deadline, process->entered_ms + load_ms);
	case PROCESS_IDLE:
		return process->entered_ms + process->pool->settings.idle_ms;
	case PROCESS_DYING:
		return process->entered_ms + POOL_STUCK_MS;
	}
	return INT64_MAX;
}

static void
arm(struct process *process)
{
	int64_t wait = due_at(process) - clock_mono_ms();

	loop_timer_in(process->timer, wait > 0 ? wait : 0);
}

static void
process_enter(struct process *process, enum process_state to)
{
	assert(process_allows[process->state][to]);
	assert(to != PROCESS_IDLE || process->run == NULL);
	assert(to != PROCESS_RUNNING || process->run != NULL);
	process->pool->waiting -= process->state == PROCESS_WAITING ? 1 : 0;
	process->state = to;
	process->entered_ms = clock_mono_ms();
	arm(process);
}

bool
process_exists(const struct process *process)
{
	return process->state != PROCESS_WAITING;
}

static void
kill_now(struct process *process)
{
	if (process->pidfd < 0)
		return; /* FORKED will bring it */
	if (syscall(SYS_pidfd_send_signal, process->pidfd, SIGKILL, NULL, 0) != 0 && errno != ESRCH)
		log_error("runner_kill", "pid=%d error=%s", (int)process->pid,
			  log_text(strerror(errno)));
}

static void
free_struct(void *arg)
{
	struct process *process = arg;

	free(process->name);
	free(process);
}

void
process_free(struct process *process)
{
	struct pool *pool = process->pool;

	pool->waiting -= process->state == PROCESS_WAITING ? 1 : 0;
	if (process->prev != NULL)
		process->prev->next = process->next;
	else
		pool->processes = process->next;
	if (process->next != NULL)
		process->next->prev = process->prev;
	channel_free(process->channel);
	process->channel = NULL;
	buf_fini(&process->opening);
	loop_timer_free(process->timer);
	process_end_warming(process, SL_UNAVAILABLE);
	if (process->memory >= 0)
		close(process->memory);
	if (process->pidfd >= 0)
		close(process->pidfd);
	if (process->remote >= 0)
		close(process->remote);
	loop_free_later(pool->loop, free_struct, process);
}

/* No frame is heard from it any more. */
static void
die(struct process *process)
{
	channel_free(process->channel);
	process->channel = NULL;
	process_enter(process, PROCESS_DYING);
	kill_now(process);
}

void
process_retire(struct process *process)
{
	switch (process->state) {
	case PROCESS_WAITING:
		process_free(process);
		return;
	case PROCESS_FORKING:
	case PROCESS_LOADING:
	case PROCESS_RUNNING:
	case PROCESS_IDLE:
		die(process);
		return;
	case PROCESS_DYING:
		return;
	}
}

static void
violate(struct process *process, const char *why)
{
	struct run *run = process->run;
	char text[160];

	snprintf(text, sizeof(text), "the function's process broke the protocol: %s", why);
	end_log_security(process, "protocol", why);
	process_retire(process);
	if (run == NULL)
		return;
	end_count(run, METRIC_KILL_PROTOCOL);
	run_finish_crashed(run, text);
}

void
process_end_warming(struct process *process, enum sl_code code)
{
	pool_warm_cb *cb = process->warm_cb;

	process->warm_cb = NULL;
	if (cb != NULL && !process->pool->freeing)
		cb(process->warm_arg, code);
}

static void
take_loaded(struct process *process, const struct frame *frame)
{
	struct run *run = process->run;

	buf_fini(&process->opening);
	if (frame->field[1].number == 0) {
		process_retire(process);
		if (run != NULL)
			run_finish(run, RUN_ERROR, frame->field[2].bytes,
				   "the function could not be loaded");
		return;
	}
	if (process->memory >= 0)
		image_keep(process->pool, process, process->memory);
	process->memory = -1;
	process_enter(process, run != NULL ? PROCESS_RUNNING : PROCESS_IDLE);
	process_end_warming(process, SL_OK);
	pool_pump(process->pool); /* others may have waited for the image, or for the room */
}

static void
consider_pause(struct process *process)
{
	const struct run *run = process->run;

	if (process->channel == NULL)
		return;
	channel_pause(process->channel, (run != NULL && (run->calls_open >= CALLS_OPEN_MAX ||
							 run->open_bytes >= CALLS_OPEN_BYTES)) ||
					    channel_waiting(process->channel) > CHANNEL_OUT_LOW);
}

void
process_resume_reading(struct process *process)
{
	consider_pause(process);
}

static void
take_call(struct process *process, const struct frame *frame)
{
	struct run *run = process->run;
	int64_t call_id = frame->field[2].number;
	size_t bytes = frame->field[4].bytes.len + frame->field[5].bytes.len;

	if (run->aborted)
		return;
	if (call_id != 0 && run->calls_open == CALLS_OPEN_MAX) { /* its channel has failed */
		violate(process, "more calls than are answered");
		return;
	}
	if (call_id != 0) {
		run->last_call = call_id;
		run->open[run->calls_open].id = call_id;
		run->open[run->calls_open++].bytes = bytes;
		run->open_bytes += bytes;
		consider_pause(process);
	}
	run->events->on_call(run->arg, run, call_id, frame->field[3].bytes, frame->field[4].bytes,
			     frame->field[5].bytes);
}

static void
take_done(struct process *process, const struct frame *frame)
{
	struct run *run = process->run;
	bool ok = frame->field[2].number != 0;

	if (run->aborted) { /* its caller has been promised a killed process */
		process_retire(process);
		run_finish_crashed(run, "aborted");
		return;
	}
	run_detach(run);
	process_enter(process, PROCESS_IDLE);
	run_finish(run, ok ? RUN_OK : RUN_ERROR, frame->field[3].bytes,
		   ok ? "" : "the function failed");
	consider_pause(process);
	pool_pump(process->pool);
}

/* The stream may have been left in the middle of a frame, so the process is not used again. */
static void
take_died(struct process *process, const struct frame *frame)
{
	struct run *run = process->run;

	process_retire(process);
	end_by_reason(process, run, frame->field[2].bytes, frame->field[3].number);
}

static void
on_frame(void *arg, const struct frame *frame)
{
	struct process *process = arg;
	struct run *run = process->run;
	struct runner_expect expect = {.loading = process->state == PROCESS_LOADING,
				       .run_id = run != NULL ? run->id : 0,
				       .last_call = run != NULL ? run->last_call : 0};
	const char *why = NULL;

	if (!runner_frame_ok(&expect, frame, &why)) {
		violate(process, why);
		return;
	}
	switch (frame->field[0].number) {
	case RUNNER_LOADED:
		take_loaded(process, frame);
		break;
	case RUNNER_CALL:
		take_call(process, frame);
		break;
	case RUNNER_DONE:
		take_done(process, frame);
		break;
	case RUNNER_DIED:
		take_died(process, frame);
		break;
	}
}

/* Why, if there is a run, will be seen from the wait status. */
static void
on_end(void *arg, const char *why)
{
	struct process *process = arg;

	if (process->state == PROCESS_WAITING) {
		violate(process, why);
		return;
	}
	die(process);
}

static void
on_drain(void *arg)
{
	consider_pause(arg);
}

static void
finish_timeout(struct process *process, const char *text)
{
	struct pool *pool = process->pool;
	struct run *run = process->run;

	process_retire(process);
	if (run != NULL) {
		end_count(run, METRIC_KILL_TIMEOUT);
		run_finish(run, RUN_TIMEOUT, SLICE_LITERAL(""), text);
	}
	pool_pump(pool);
}

static void
on_timer(void *arg)
{
	struct process *process = arg;
	bool past = process->run != NULL && process->run->deadline_at_ms <= clock_mono_ms();

	if (due_at(process) > clock_mono_ms()) {
		arm(process);
		return;
	}
	switch (process->state) {
	case PROCESS_WAITING:
	case PROCESS_RUNNING:
		finish_timeout(process, "the time limit was reached");
		return;
	case PROCESS_LOADING:
		finish_timeout(process, past ? "the time limit was reached"
					     : "loading the function took too long");
		return;
	case PROCESS_FORKING:
		if (past)
			finish_timeout(process, "the time limit was reached");
		else
			zygote_fail(process->pool, "does not answer");
		return;
	case PROCESS_IDLE:
		process_retire(process);
		return;
	case PROCESS_DYING:
		zygote_fail(process->pool, "does not report the end of a process");
		return;
	}
}

/* What was written to it behind at, for another process if this one cannot freeze its heap. */
static void
remember(struct process *process, size_t at)
{
	const struct buf *out = channel_out(process->channel);

	switch (process->state) {
	case PROCESS_WAITING:
	case PROCESS_FORKING:
	case PROCESS_LOADING:
		if (!process->forks)
			buf_add(&process->opening, out->data + at, out->len - at);
		return;
	case PROCESS_RUNNING:
	case PROCESS_IDLE:
	case PROCESS_DYING:
		return;
	}
}

static void
send_load(struct process *process, const struct pool_function *function)
{
	size_t at = channel_out(process->channel)->len;
	struct frame_writer w;

	frame_begin(&w, channel_out(process->channel), 5);
	frame_add_int(&w, RUNNER_LOAD);
	frame_add_int(&w, function->version_id);
	frame_add_text(&w, function->name);
	frame_add_text(&w, function->file);
	frame_add_bin(&w, function->code, function->code_len);
	frame_end(&w);
	remember(process, at);
}

static const struct channel_events process_events = {on_frame, on_end, on_drain};

/* One that WAITS, with nothing sent. */
static struct process *
open_process(struct pool *pool, int64_t version_id, int64_t environment_id, const char *name,
	     struct sl_error *error)
{
	struct process *process;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
		sl_fail(error, SL_UNAVAILABLE, "socketpair: %s", strerror(errno));
		return NULL;
	}
	process = sl_alloc(sizeof(*process));
	process->pool = pool;
	process->state = PROCESS_WAITING;
	pool->waiting++;
	process->entered_ms = clock_mono_ms();
	process->tag = ++pool->last_tag;
	process->version_id = version_id;
	process->environment_id = environment_id;
	process->name = sl_strdup(name);
	process->forks = pool->settings.isolation == POOL_FORK;
	buf_init(&process->opening, CHANNEL_OUT_MAX);
	process->pid = -1;
	process->pidfd = -1;
	process->remote = ends[1];
	process->memory = -1;
	process->channel = channel_new(pool->loop, ends[0], false, &process_events, process);
	channel_pause(process->channel, true); /* it may be quicker than the zygote's FORKED */
	process->timer = loop_timer_new(pool->loop, on_timer, process);
	process->next = pool->processes;
	if (process->next != NULL)
		process->next->prev = process;
	pool->processes = process;
	return process;
}

struct process *
process_new(struct pool *pool, const struct pool_function *function, struct sl_error *error)
{
	struct process *process = open_process(pool, function->version_id, function->environment_id,
					       function->name, error);

	if (process != NULL)
		send_load(process, function);
	return process;
}

/* Its run goes to another process, which runs it as a fork. */
static void
start_over_with_forks(struct process *process, struct run *run)
{
	struct pool *pool = process->pool;
	struct sl_error error = {0};
	struct process *other =
	    open_process(pool, process->version_id, process->environment_id, process->name, &error);

	if (!pool->told_forks)
		log_warn("runner_freeze",
			 "function=%s environment=%" PRId64 " version=%" PRId64 " effect=%s",
			 process->name, process->environment_id, process->version_id,
			 log_text("its heap cannot be frozen: each run is a fork"));
	pool->told_forks = true;
	run_detach(run);
	if (other == NULL) {
		run_finish_crashed(run, error.text);
		return;
	}
	other->forks = true;
	buf_add(channel_out(other->channel), buf_slice(&process->opening).data,
		process->opening.len);
	process_attach(other, run);
	channel_flush(other->channel);
}

void
process_attach(struct process *process, struct run *run)
{
	assert(process->run == NULL && process->channel != NULL);
	process->run = run;
	process->used = true;
	run->process = process;
	if (process->state == PROCESS_IDLE)
		process_enter(process, PROCESS_RUNNING);
	else
		arm(process);
}

void
process_send_run(struct process *process, const char *kind, struct slice input,
		 struct slice context)
{
	size_t at = channel_out(process->channel)->len;
	struct frame_writer w;

	frame_begin(&w, channel_out(process->channel), 6);
	frame_add_int(&w, RUNNER_RUN);
	frame_add_int(&w, process->run->id);
	frame_add_text(&w, kind);
	frame_add_bin(&w, input.data, input.len);
	frame_add_bin(&w, context.data, context.len);
	frame_add_int(&w, process->pool->settings.cpu_ms);
	frame_end(&w);
	remember(process, at);
	channel_flush(process->channel);
}

void
process_on_fork_sent(struct process *process, int memory)
{
	process->memory = memory;
	close(process->remote);
	process->remote = -1;
	process_enter(process, PROCESS_FORKING);
}

void
process_on_forked(struct process *process, pid_t pid, int pidfd)
{
	assert(process->pidfd < 0);
	process->pid = pid;
	process->pidfd = pidfd;
	if (process->state == PROCESS_DYING) { /* nobody waits for it any more */
		kill_now(process);
		return;
	}
	process_enter(process, PROCESS_LOADING);
	channel_pause(process->channel, false);
}

static bool
could_not_freeze(const struct process *process, int status)
{
	return WIFEXITED(status) && WEXITSTATUS(status) == RUNNER_EXIT_FREEZE &&
	       process->run != NULL && !process->run->aborted && process->opening.len > 0;
}

void
process_on_gone(struct process *process, int status, int64_t peak)
{
	struct run *run;

	/* What it said before its end counts: DONE, LOADED with an error, DIED. */
	if (process->channel != NULL)
		channel_catch_up(process->channel);
	run = process->run;
	/* Not the module's fault alone, for all one can know. */
	if (process->state == PROCESS_LOADING)
		image_forget(process->pool, process->version_id, process->environment_id);
	if (process->state == PROCESS_IDLE && WIFSIGNALED(status))
		log_warn("runner_idle_died", "pid=%d signal=%d", (int)process->pid,
			 WTERMSIG(status));
	end_note_status(process, status);
	if (could_not_freeze(process, status)) {
		start_over_with_forks(process, run);
		run = NULL;
	}
	process_free(process);
	if (run != NULL) {
		run->death.memory = peak;
		end_by_status(run, status);
	}
}

void
process_lost(struct process *process, const char *text)
{
	struct run *run = process->run;

	kill_now(process);
	process_free(process);
	if (run == NULL)
		return;
	end_count(run, METRIC_KILL_SIGNAL);
	run_finish_crashed(run, text);
}
