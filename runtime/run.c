#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/channel.h"
#include "runtime/runner.h"

/* In the child: whatever fails here must not let customer code run. */
static void
enter(struct runner *runner, int64_t cpu_ms)
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
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		enter(runner, cpu_ms);
		return RUN_INSIDE;
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		*outcome = (struct run_outcome){.reason = "exit", .detail = -1};
	else
		*outcome = outcome_of(status);
	return RUN_OVER;
}

void
run_end(void)
{
	_exit(RUNNER_EXIT_OK);
}
