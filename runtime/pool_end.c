#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/metrics.h"
#include "runtime/pool_internal.h"

void
end_count(const struct run *run, enum metric_kill reason)
{
	if (!run->aborted) /* else run_finish() says so */
		metrics_count(METRIC_SANDBOX_KILLS, reason);
}

static void
finish_memory(struct run *run)
{
	char text[80];

	end_count(run, METRIC_KILL_MEMORY);
	snprintf(text, sizeof(text), "the heap limit of %" PRId64 " bytes was reached",
		 run->pool->settings.heap_bytes);
	run_finish(run, RUN_MEMORY, SLICE_LITERAL(""), text);
}

static void
finish_cpu(struct run *run)
{
	char text[80];

	end_count(run, METRIC_KILL_CPU);
	snprintf(text, sizeof(text), "the CPU time limit of %" PRId64 " ms was reached",
		 run->pool->settings.cpu_ms);
	run_finish(run, RUN_TIMEOUT, SLICE_LITERAL(""), text);
}

static void
finish_signal(struct run *run, int signo)
{
	char text[120];

	run->death.signal = signo;
	end_count(run, signo == SIGSYS ? METRIC_KILL_SYSCALL : METRIC_KILL_SIGNAL);
	if (signo == SIGSYS)
		snprintf(text, sizeof(text),
			 "the function's process made a system call that is forbidden (SIGSYS)");
	else
		snprintf(text, sizeof(text), "the function's process was killed by signal %d (%s)",
			 signo, strsignal(signo));
	run_finish_crashed(run, text);
}

static void
finish_exit(struct run *run, int64_t status)
{
	char text[120];

	end_count(run, METRIC_KILL_FATAL);
	snprintf(text, sizeof(text), "the function's process exited with status %" PRId64, status);
	run_finish_crashed(run, text);
}

static void
finish_fatal(struct run *run)
{
	end_count(run, METRIC_KILL_FATAL);
	run_finish_crashed(run, "the engine met a fatal error");
}

void
end_log_security(const struct process *process, const char *kind, const char *detail)
{
	metrics_count(METRIC_SECURITY,
		      strcmp(kind, "protocol") == 0 ? METRIC_PROTOCOL : METRIC_FORBIDDEN_CALL);
	log_warn("security_event",
		 "kind=%s function=%s environment=%" PRId64 " version=%" PRId64
		 " job=%s pid=%d detail=%s",
		 kind, log_text(process->name), process->environment_id, process->version_id,
		 process->run != NULL && process->run->job[0] != '\0' ? process->run->job : "none",
		 (int)process->pid, log_text(detail));
}

static void
log_forbidden_call(const struct process *process)
{
	end_log_security(process, "forbidden_call",
			 "killed by SIGSYS; the kernel's log of type 1326 names the call");
}

void
end_note_status(const struct process *process, int status)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		log_forbidden_call(process);
}

void
end_by_status(struct run *run, int status)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
		finish_cpu(run);
	else if (WIFSIGNALED(status))
		finish_signal(run, WTERMSIG(status));
	else if (WEXITSTATUS(status) == RUNNER_EXIT_MEMORY)
		finish_memory(run);
	else if (WEXITSTATUS(status) == RUNNER_EXIT_FATAL)
		finish_fatal(run);
	else
		finish_exit(run, WEXITSTATUS(status));
}

void
end_by_reason(const struct process *process, struct run *run, struct slice reason, int64_t detail)
{
	if (slice_is(reason, "signal") && detail == SIGSYS)
		log_forbidden_call(process);
	if (slice_is(reason, "memory"))
		finish_memory(run);
	else if (slice_is(reason, "cpu"))
		finish_cpu(run);
	else if (slice_is(reason, "fatal"))
		finish_fatal(run);
	else if (slice_is(reason, "signal") && detail > 0 && detail < NSIG)
		finish_signal(run, (int)detail);
	else
		finish_exit(run, detail);
}
