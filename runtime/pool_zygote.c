#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "runtime/pool_internal.h"

#define BACKOFF_MIN_MS 100
#define BACKOFF_MAX_MS 10000
#define UP_LONG_MS 10000 /* one that was up so long starts the backoff anew */
#define REAP_EVERY_MS 10
#define FORK_AGAIN_MS 10
#define CONTROL_FD 3 /* in the runner */

static const bool zygote_allows[4][4] = {
    [ZYGOTE_DOWN] = {[ZYGOTE_STARTING] = true, [ZYGOTE_DOWN] = true},
    [ZYGOTE_STARTING] = {[ZYGOTE_UP] = true, [ZYGOTE_REAPING] = true},
    [ZYGOTE_UP] = {[ZYGOTE_REAPING] = true},
    [ZYGOTE_REAPING] = {[ZYGOTE_DOWN] = true},
};

static void
zygote_enter(struct zygote *zygote, enum zygote_state to)
{
	assert(zygote_allows[zygote->state][to]);
	zygote->state = to;
	switch (to) {
	case ZYGOTE_DOWN:
		loop_timer_in(zygote->timer, zygote->backoff_ms);
		zygote->backoff_ms = zygote->backoff_ms * 2 > BACKOFF_MAX_MS
					 ? BACKOFF_MAX_MS
					 : zygote->backoff_ms * 2;
		return;
	case ZYGOTE_STARTING:
		loop_timer_in(zygote->timer, POOL_STUCK_MS);
		return;
	case ZYGOTE_UP:
		zygote->up_ms = clock_mono_ms();
		loop_timer_stop(zygote->timer);
		return;
	case ZYGOTE_REAPING:
		loop_timer_in(zygote->timer, 0);
		return;
	}
}

bool
zygote_is_usable(const struct pool *pool)
{
	return pool->zygote.state == ZYGOTE_UP ||
	       (pool->zygote.state == ZYGOTE_STARTING && !pool->zygote.doubtful);
}

/* Nothing of ours but the socket and stderr; no signal blocked or ignored; an empty environment. */
static int
spawn(const struct pool *pool, int remote, pid_t *pid)
{
	char heap[32], zone[] = "TZ=UTC", by_fork[] = "fork";
	char *argv[] = {(char *)pool->runner_path, heap,
			pool->settings.isolation == POOL_FORK ? by_fork : NULL, NULL};
	char *environment[] = {zone, NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int rc;

	snprintf(heap, sizeof(heap), "%" PRId64, pool->settings.heap_bytes);
	sigemptyset(&none);
	sigfillset(&all);
	rc = posix_spawn_file_actions_init(&actions);
	if (rc != 0)
		return rc;
	rc = posix_spawnattr_init(&attributes);
	if (rc != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return rc;
	}
	rc = posix_spawn_file_actions_adddup2(&actions, remote, CONTROL_FD);
	if (rc == 0)
		rc = posix_spawn_file_actions_addclosefrom_np(&actions, CONTROL_FD + 1);
	if (rc == 0)
		rc = posix_spawnattr_setsigmask(&attributes, &none);
	if (rc == 0)
		rc = posix_spawnattr_setsigdefault(&attributes, &all);
	if (rc == 0)
		rc = posix_spawnattr_setflags(&attributes,
					      POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	if (rc == 0)
		rc = posix_spawn(pid, pool->runner_path, &actions, &attributes, argv, environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return rc;
}

static struct process *
find_by_tag(struct pool *pool, int64_t tag)
{
	for (struct process *process = pool->processes; process != NULL; process = process->next) {
		if (process->tag == tag)
			return process;
	}
	return NULL;
}

static struct process *
find_by_pid(struct pool *pool, int64_t pid)
{
	for (struct process *process = pool->processes; process != NULL; process = process->next) {
		if (process->pid == pid && process->pidfd >= 0)
			return process;
	}
	return NULL;
}

static void
take_hello(struct pool *pool, const struct frame *frame)
{
	char *engine = sl_strndup(frame->field[2].bytes.data, frame->field[2].bytes.len);

	log_info("runner_up", "pid=%d engine=%s", (int)pool->zygote.pid, log_text(engine));
	free(engine);
	pool->zygote.doubtful = false;
	zygote_enter(&pool->zygote, ZYGOTE_UP);
	pool_pump(pool);
	pool_note_room(pool);
}

static void
take_forked(struct pool *pool, const struct frame *frame)
{
	struct process *process = find_by_tag(pool, frame->field[1].number);
	int64_t pid = frame->field[2].number;
	int pidfd = pid > 0 ? channel_take_descriptor(pool->zygote.channel) : -1;
	bool expected = process != NULL && process->pidfd < 0 &&
			(process->state == PROCESS_FORKING || process->state == PROCESS_DYING);

	if (!expected || (pid > 0 && (pidfd < 0 || find_by_pid(pool, pid) != NULL))) {
		if (pidfd >= 0)
			close(pidfd);
		zygote_fail(pool, "sent a FORKED that was not expected");
		return;
	}
	if (pid > 0) {
		process_on_forked(process, (pid_t)pid, pidfd);
		return;
	}
	log_error("runner_fork", "reason=%s", log_text("the zygote cannot fork"));
	process_lost(process, "the runner cannot fork: out of processes or memory");
	pool_pump(pool);
}

static void
take_gone(struct pool *pool, const struct frame *frame)
{
	struct process *process = find_by_pid(pool, frame->field[1].number);

	if (process == NULL) {
		zygote_fail(pool, "reported a process that is not known");
		return;
	}
	process_on_gone(process, (int)frame->field[2].number, frame->field[3].number * 1024);
	pool_pump(pool);
}

static void
on_frame(void *arg, const struct frame *frame)
{
	struct pool *pool = arg;
	const char *why = NULL;

	if (!runner_control_ok(pool->zygote.state == ZYGOTE_UP, frame, &why)) {
		zygote_fail(pool, why);
		return;
	}
	switch (frame->field[0].number) {
	case RUNNER_HELLO:
		take_hello(pool, frame);
		break;
	case RUNNER_FORKED:
		take_forked(pool, frame);
		break;
	case RUNNER_GONE:
		take_gone(pool, frame);
		break;
	}
}

static void
on_end(void *arg, const char *why)
{
	zygote_fail(arg, why);
}

static const struct channel_events zygote_events = {on_frame, on_end, NULL};

static void
start_failed(struct pool *pool, const char *what, int errnum)
{
	log_error("runner_start", "path=%s step=%s error=%s", log_text(pool->runner_path), what,
		  log_text(strerror(errnum)));
	pool->zygote.doubtful = true;
	zygote_enter(&pool->zygote, ZYGOTE_DOWN);
}

static void
try_start(struct pool *pool)
{
	struct zygote *zygote = &pool->zygote;
	int ends[2], rc;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
		start_failed(pool, "socketpair", errno);
		return;
	}
	rc = spawn(pool, ends[1], &zygote->pid);
	close(ends[1]);
	if (rc != 0) {
		close(ends[0]);
		start_failed(pool, "spawn", rc);
		return;
	}
	zygote->channel = channel_new(pool->loop, ends[0], true, &zygote_events, pool);
	zygote_enter(zygote, ZYGOTE_STARTING);
}

/* True: the zygote is no child of ours any more. */
static bool
try_reap(struct zygote *zygote, int flags)
{
	int status = 0;
	pid_t pid;

	do {
		pid = waitpid(zygote->pid, &status, flags);
	} while (pid < 0 && errno == EINTR);
	if (pid == 0)
		return false;
	if (pid == zygote->pid)
		log_info("runner_ended", "pid=%d %s=%d", (int)pid,
			 WIFSIGNALED(status) ? "signal" : "status",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	zygote->pid = -1;
	return true;
}

static void
on_timer(void *arg)
{
	struct pool *pool = arg;
	struct zygote *zygote = &pool->zygote;

	switch (zygote->state) {
	case ZYGOTE_DOWN:
		try_start(pool);
		pool_note_room(pool);
		return;
	case ZYGOTE_STARTING:
		zygote_fail(pool, "does not come up");
		return;
	case ZYGOTE_REAPING:
		if (try_reap(zygote, WNOHANG))
			zygote_enter(zygote, ZYGOTE_DOWN);
		else
			loop_timer_in(zygote->timer, REAP_EVERY_MS);
		return;
	case ZYGOTE_UP: /* its socket was full */
		pool_pump(pool);
		return;
	}
}

void
zygote_start(struct pool *pool)
{
	pool->zygote.state = ZYGOTE_DOWN;
	pool->zygote.pid = -1;
	pool->zygote.backoff_ms = BACKOFF_MIN_MS;
	pool->zygote.timer = loop_timer_new(pool->loop, on_timer, pool);
	try_start(pool);
}

static int
send_memory(struct pool *pool, int memory)
{
	struct frame_writer w;
	struct buf frame;
	int rc;

	buf_init(&frame, 64);
	frame_begin(&w, &frame, 1);
	frame_add_int(&w, RUNNER_MEMORY);
	frame_end(&w);
	rc = channel_send_descriptor(pool->zygote.channel, buf_slice(&frame), memory);
	buf_fini(&frame);
	return rc;
}

static int
send_fork(struct pool *pool, const struct process *process, enum runner_fork how)
{
	struct frame_writer w;
	struct buf frame;
	int rc;

	buf_init(&frame, 64);
	frame_begin(&w, &frame, 3);
	frame_add_int(&w, RUNNER_FORK);
	frame_add_int(&w, process->tag);
	frame_add_int(&w, how);
	frame_end(&w);
	rc = channel_send_descriptor(pool->zygote.channel, buf_slice(&frame), process->remote);
	buf_fini(&frame);
	return rc;
}

bool
zygote_fork(struct pool *pool, struct process *process)
{
	struct image *image = NULL;
	int memory = -1, rc = 1;

	if (pool->zygote.state != ZYGOTE_UP)
		return false;
	if (!process->forks)
		image = image_find(pool, process->version_id, process->environment_id);
	if (image != NULL)
		image->used_ms = clock_mono_ms();
	if (!process->forks)
		memory = image != NULL ? image->fd : image_open(pool);
	if (memory >= 0)
		rc = send_memory(pool, memory);
	if (rc > 0)
		rc = send_fork(pool, process,
			       process->forks  ? RUNNER_FORK_RUNS
			       : image != NULL ? RUNNER_FORK_ADOPT
					       : RUNNER_FORK_LOAD);
	if (rc > 0) {
		process_on_fork_sent(process, image != NULL ? -1 : memory);
		return true;
	}
	if (image == NULL && memory >= 0)
		close(memory);
	if (rc < 0) /* of 0 the end of the zygote will be told */
		loop_timer_in(pool->zygote.timer, FORK_AGAIN_MS);
	return false;
}

/* Function processes die with the zygote (PR_SET_PDEATHSIG); they are killed here as well, and not
 * waited for: there is nobody left to report them. */
void
zygote_fail(struct pool *pool, const char *why)
{
	struct zygote *zygote = &pool->zygote;
	bool was_up = zygote->state == ZYGOTE_UP;
	struct process *process, *next;
	char text[160];

	if (zygote->state != ZYGOTE_UP && zygote->state != ZYGOTE_STARTING)
		return;
	log_error("runner_lost", "pid=%d reason=%s", (int)zygote->pid, log_text(why));
	if (was_up && clock_mono_ms() - zygote->up_ms >= UP_LONG_MS)
		zygote->backoff_ms = BACKOFF_MIN_MS;
	zygote->doubtful = !was_up;
	kill(zygote->pid, SIGKILL); /* not reaped yet, so the pid is its own */
	channel_free(zygote->channel);
	zygote->channel = NULL;
	zygote_enter(zygote, ZYGOTE_REAPING);
	image_forget_all(pool); /* they have addresses of this zygote */
	pool_note_room(pool);
	snprintf(text, sizeof(text), "the runners' root process %s", was_up ? "ended" : why);
	/* on_end cannot add processes now: pool_run() finds the zygote not usable.  It may abort
	 * runs, which only marks them. */
	for (process = pool->processes; process != NULL; process = next) {
		next = process->next;
		if (was_up && process->state == PROCESS_WAITING)
			continue; /* none of its code has run: it waits for the next zygote */
		process_lost(process, text);
	}
}

void
zygote_stop(struct pool *pool)
{
	struct zygote *zygote = &pool->zygote;

	if (zygote->pid > 0) {
		kill(zygote->pid, SIGKILL);
		try_reap(zygote, 0); /* it cannot refuse, so this is short */
	}
	channel_free(zygote->channel);
	zygote->channel = NULL;
	loop_timer_free(zygote->timer);
}
