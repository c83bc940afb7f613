#include <assert.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/channel.h"
#include "runtime/runner.h"

#define COLLECT_BYTES ((size_t)8 << 20) /* of a loaded module: more may be garbage in cycles */

void
run_prepare(struct runner *runner)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGXCPU};

	runner->used_before = arena_used(&runner->arena);
	if (runner->by_snapshot && runner->memory < 0)
		runner->memory = snapshot_open();
	if (!runner->by_snapshot) {
		if (runner->memory >= 0)
			close(runner->memory);
		runner->memory = -1;
		return;
	}
	if (runner->memory >= 0 &&
	    timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &runner->cpu_timer) == 0)
		return;
	if (runner->memory >= 0)
		close(runner->memory);
	runner->memory = -1;
	runner->by_snapshot = false;
}

struct buf *
run_scratch(struct runner *runner, enum scratch which, size_t cap)
{
	struct buf *buf = &runner->scratch[which];

	buf_fini(buf);
	buf_init(buf, cap);
	return buf;
}

/* All C state that a run may have changed.  What stays of runner->in is the frame that is no longer
 * looked at. */
static void
reset(struct runner *runner)
{
	timers_fini(&runner->timers);
	for (int i = 0; i < SCRATCHES; i++)
		buf_fini(&runner->scratch[i]);
	runner->run_id = 0;
	runner->done = false;
}

static bool
is_reset(const struct runner *runner)
{
	for (int i = 0; i < SCRATCHES; i++) {
		if (runner->scratch[i].data != NULL)
			return false;
	}
	return runner->timers.heap == NULL && runner->timers.count == 0 &&
	       runner->timers.order == 0 && runner->run_id == 0 && !runner->done &&
	       arena_refusals(&runner->arena) == 0;
}

/* ms 0: no limit.  RLIMIT_CPU counts from the process's start, so it cannot be the limit of a run.
 */
static void
limit_cpu(struct runner *runner, int64_t ms)
{
	struct itimerspec at = {.it_value = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}};

	if (timer_settime(runner->cpu_timer, 0, &at, NULL) != 0)
		_exit(RUNNER_EXIT_SETUP);
}

static void
revert(struct runner *runner)
{
	reset(runner);
	if (!snapshot_revert(&runner->snapshot))
		_exit(RUNNER_EXIT_SETUP);
	assert(is_reset(runner));
}

static void
close_memory(struct runner *runner)
{
	if (close(runner->memory) != 0)
		_exit(RUNNER_EXIT_SETUP);
	runner->memory = -1;
}

void
run_freeze(struct runner *runner)
{
	if (!runner->by_snapshot)
		return;
	reset(runner);
	/* It writes to every page (5 ms), and most modules leave next to nothing to collect. */
	if (arena_used(&runner->arena) > runner->used_before + COLLECT_BYTES)
		duk_gc(runner->ctx, 0);
	arena_close_holes(&runner->arena);
	if (!snapshot_freeze(&runner->snapshot, runner->memory))
		_exit(RUNNER_EXIT_FREEZE);
	close_memory(runner);
	assert(is_reset(runner));
}

void
run_adopt(struct runner *runner)
{
	reset(runner);
	if (runner->memory < 0 || !snapshot_adopt(&runner->snapshot, runner->memory))
		_exit(RUNNER_EXIT_FREEZE);
	close_memory(runner);
	assert(is_reset(runner));
}

/* In a child: whatever fails here must not let customer code run. */
static void
enter_child(struct runner *runner, int64_t cpu_ms)
{
	rlim_t seconds = (rlim_t)((cpu_ms + 999) / 1000);
	struct rlimit cpu = {.rlim_cur = seconds, .rlim_max = seconds + 1};

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != runner->self ||
	    setrlimit(RLIMIT_CPU, &cpu) != 0 || sandbox_enter(&runner->sandbox, SANDBOX_RUN) != 0)
		_exit(RUNNER_EXIT_SETUP);
}

static struct run_outcome
outcome_of(int status)
{
	if (WIFSIGNALED(status)) {
		if (WTERMSIG(status) == SIGXCPU)
			return (struct run_outcome){.reason = "cpu"};
		return (struct run_outcome){.reason = "signal", .detail = WTERMSIG(status)};
	}
	switch (WEXITSTATUS(status)) {
	case RUNNER_EXIT_OK:
		return (struct run_outcome){.reason = NULL};
	case RUNNER_EXIT_MEMORY:
		return (struct run_outcome){.reason = "memory"};
	case RUNNER_EXIT_FATAL:
		return (struct run_outcome){.reason = "fatal"};
	}
	return (struct run_outcome){.reason = "exit", .detail = WEXITSTATUS(status)};
}

enum run_side
run_begin(struct runner *runner, int64_t cpu_ms, struct run_outcome *outcome)
{
	int status;
	pid_t pid;

	if (runner->by_snapshot) {
		limit_cpu(runner, cpu_ms);
		return RUN_INSIDE;
	}
	pid = fork();
	if (pid == 0) {
		enter_child(runner, cpu_ms);
		return RUN_INSIDE;
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		*outcome = (struct run_outcome){.reason = "exit", .detail = -1};
	else
		*outcome = outcome_of(status);
	return RUN_OVER;
}

void
run_end(struct runner *runner)
{
	if (!runner->by_snapshot)
		_exit(RUNNER_EXIT_OK);
	limit_cpu(runner, 0);
	revert(runner);
}
