/* Where the system refuses or lies: Landlock, the self-checks at start, a heap that cannot be
 * frozen; and what is logged of a run that tried what is forbidden.  Each system is made by a
 * seccomp filter in a process of its own.  The runner is sluice-runner-mini, as in
 * test_runtime_pool.c. */
#include "runtime/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/sandbox.h"
#include "tests/lib/check.h"
#include "tests/unit/test_runtime_rig.h"

static const char echo[] = "exports.run = function (h, i) { h.done(i); }";
static const char calls[] =
    "exports.run = function (h) { h.call('http', {a: 1}, undefined, function () { h.done(1); }); }";

static int
status_of(void (*body)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		if (setjmp(check_escape) !=
		    0) /* a failed check must not go on as a second program */
			_exit(91);
		body();
		_exit(0);
	}
	check(pid > 0 && waitpid(pid, &status, 0) == pid);
	return status;
}

/* In a child: from here on the call, with these arguments if any, does nothing and answers like
 * this; 0 is a lie. */
static void
replace_some(int answer, int call, unsigned count, const struct scmp_arg_cmp *with)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);

	if (ctx == NULL || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO((uint32_t)answer), call, count, with) != 0 ||
	    seccomp_load(ctx) != 0)
		_exit(90);
	seccomp_release(ctx);
}

static void
replace(int call, int answer)
{
	replace_some(answer, call, 0, NULL);
}

static bool
has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, 1) > 0;
}

static void
deny_and_try(void)
{
	struct sockaddr_in to = {
	    .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct sl_error error = {0};
	int abi = -1, before = open("/dev/null", O_WRONLY), fd;

	if (before < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    landlock_deny_all(&abi, &error) != SL_OK || abi < 1)
		_exit(1);
	if (open("/etc/passwd", O_RDONLY) >= 0 || errno != EACCES)
		_exit(2);
	if (open("/tmp/landlock-made-this", O_WRONLY | O_CREAT, 0600) >= 0 || errno != EACCES)
		_exit(3);
	if (write(before, "x", 1) != 1)
		_exit(4);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (abi >= 4 && fd >= 0 &&
	    (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 || errno != EACCES))
		_exit(5);
	if (abi >= 6 && (kill(getppid(), 0) == 0 || errno != EPERM))
		_exit(6);
}

static void
landlock_takes_files_tcp_and_signals_and_leaves_what_is_open(void)
{
	if (has_landlock())
		check_int(status_of(deny_and_try), ==, 0);
}

static void
deny_without_landlock(void)
{
	struct sl_error error = {0};
	int abi = -1;

	replace(SCMP_SYS(landlock_create_ruleset), ENOSYS);
	if (landlock_deny_all(&abi, &error) != SL_OK || abi != 0)
		_exit(1);
}

static void
a_kernel_without_landlock_is_no_failure(void)
{
	check_int(status_of(deny_without_landlock), ==, 0);
}

static void
deny_refused(void)
{
	struct sl_error error = {0};
	int abi;

	replace(SCMP_SYS(landlock_restrict_self), EPERM);
	if (landlock_deny_all(&abi, &error) != SL_UNAVAILABLE)
		_exit(1);
}

static void
deny_with_a_lie(void)
{
	struct sl_error error = {0};
	int abi;

	replace(SCMP_SYS(landlock_restrict_self), 0);
	if (landlock_deny_all(&abi, &error) != SL_INTERNAL || abi != 0)
		_exit(1);
}

static void
a_landlock_that_refuses_or_does_nothing_is_a_failure(void)
{
	if (!has_landlock())
		return;
	check_int(status_of(deny_refused), ==, 0);
	check_int(status_of(deny_with_a_lie), ==, 0);
}

/* The runner says why on standard error and ends; the pool never has room. */
static void
pool_must_not_come_up(void)
{
	struct job job = {0};

	start_with(settings());
	pass_ms(400);
	if (pool_has_room(pool))
		_exit(1);
	if (try_submit(&job, 1, 1, echo, "{}", SAFE_MS) != SL_UNAVAILABLE)
		_exit(2);
	stop();
}

static void
start_where_filters_do_nothing(void)
{
	/* As the runner enters a level; libseccomp asks the kernel other things by this call. */
	struct scmp_arg_cmp enter[] = {SCMP_A0(SCMP_CMP_EQ, SECCOMP_SET_MODE_FILTER),
				       SCMP_A1(SCMP_CMP_EQ, 0)};

	replace_some(0, SCMP_SYS(seccomp), 2, enter);
	pool_must_not_come_up();
}

static void
start_where_landlock_does_nothing(void)
{
	replace(SCMP_SYS(landlock_restrict_self), 0);
	pool_must_not_come_up();
}

static void
a_runner_whose_self_check_fails_runs_nothing(void)
{
	check_int(status_of(start_where_filters_do_nothing), ==, 0);
	if (has_landlock())
		check_int(status_of(start_where_landlock_does_nothing), ==, 0);
}

/* The zygote's own memfd has another number, so only the heaps of functions cannot be frozen. */
static void
run_where_no_heap_freezes(void)
{
	struct scmp_arg_cmp memory = SCMP_A0(SCMP_CMP_EQ, SANDBOX_MEMORY);
	struct job job;

	replace_some(ENOSPC, SCMP_SYS(pwrite64), 1, &memory);
	start_with(settings());
	job = run_code(1, echo, SAFE_MS);
	if (job.end != RUN_OK || strcmp(job.payload, "{}") != 0)
		_exit(1);
	job = run_code(1, echo, SAFE_MS); /* the same process again */
	if (job.end != RUN_OK)
		_exit(2);
	job = run_code(2, "exports.run = function () { throw new Error('x'); }", SAFE_MS);
	if (job.end != RUN_ERROR)
		_exit(3);
	job = run_code(3, "exports.run = function () { for (;;) {} }", 1000);
	if (job.end != RUN_TIMEOUT)
		_exit(4);
	if (pool_running(pool) != 0)
		_exit(5);
	stop();
}

static void
a_heap_that_cannot_be_frozen_gives_forks_and_no_failed_run(void)
{
	if (isolation == POOL_SNAPSHOT)
		check_int(status_of(run_where_no_heap_freezes), ==, 0);
}

/* The process that executes a run, by way of /proc: the youngest descendant. */
static pid_t
child_of(pid_t parent)
{
	char path[64], text[64] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)parent, (int)parent);
	file = fopen(path, "r");
	if (file == NULL)
		return 0;
	if (fgets(text, sizeof(text), file) == NULL)
		text[0] = '\0';
	fclose(file);
	return (pid_t)strtol(text, NULL, 10);
}

static void
end_by_forbidden_call(void)
{
	struct job job = {0};
	pid_t run;

	log_set_level(LOG_LEVEL_WARN);
	start_with(settings());
	submit(&job, 7, calls, SAFE_MS);
	wait_calls(&job, 1);
	run = child_of(child_of(getpid()));
	if (isolation == POOL_FORK)
		run = child_of(run);
	if (run <= 1 || kill(run, SIGSYS) != 0)
		_exit(1);
	wait_end(&job);
	if (job.end != RUN_CRASHED || strstr(job.text, "forbidden (SIGSYS)") == NULL)
		_exit(2);
	stop();
}

static void
log_of_forbidden_call(void)
{
	int ends[2];
	pid_t pid;
	char text[4096];
	size_t len = 0;
	ssize_t got;

	if (pipe(ends) != 0 || (pid = fork()) < 0)
		_exit(10);
	if (pid == 0) {
		dup2(ends[1], STDERR_FILENO);
		end_by_forbidden_call();
		_exit(0);
	}
	close(ends[1]);
	while (len < sizeof(text) - 1 &&
	       (got = read(ends[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)got;
	text[len] = '\0';
	if (strstr(text, "security_event") == NULL || strstr(text, "kind=forbidden_call") == NULL ||
	    strstr(text, "function=\"test\"") == NULL || strstr(text, "environment=1") == NULL ||
	    strstr(text, "version=7") == NULL || strstr(text, "job=job-of-the-test") == NULL) {
		printf("# %s\n", text);
		fflush(stdout);
		_exit(11);
	}
	if (waitpid(pid, &(int){0}, 0) != pid)
		_exit(12);
}

static void
a_run_killed_for_a_forbidden_call_is_a_security_event_with_its_job(void)
{
	check_int(status_of(end_by_forbidden_call), ==, 0);
	check_int(status_of(log_of_forbidden_call), ==, 0);
}

static void
calls_in_flight_are_bounded_and_the_rest_wait_in_the_socket(void)
{
	static const char code[] =
	    "exports.run = function (h) { var n = 0; function one() { if (++n === 1000) h.done(n); }"
	    " for (var i = 0; i < 1000; i++) h.call('http', {i: i}, undefined, one); }";
	struct job job = {0};

	start_with(settings());
	submit(&job, 1, code, SAFE_MS);
	wait_calls(&job, 64);
	pass_ms(200);
	check_int(job.calls, ==, 64);
	job.answer = true;
	for (int64_t id = 1; id <= 64; id++)
		run_reply(job.run, id, true, SLICE_LITERAL("{}"), SLICE_LITERAL(""));
	wait_end(&job);
	check_int(job.end, ==, RUN_OK);
	check_int(job.calls, ==, 1000);
	stop();
}

int
main(int argc, char **argv)
{
	runner_path = argc > 1 ? argv[1] : getenv("SLUICE_TEST_RUNNER_MINI");
	if (runner_path == NULL)
		runner_path = "./sluice-runner-mini";
	log_set_level(LOG_LEVEL_ERROR);
	CHECK_RUN(landlock_takes_files_tcp_and_signals_and_leaves_what_is_open);
	CHECK_RUN(a_kernel_without_landlock_is_no_failure);
	CHECK_RUN(a_landlock_that_refuses_or_does_nothing_is_a_failure);
	for (isolation = POOL_SNAPSHOT; isolation <= POOL_FORK; isolation++) {
		CHECK_RUN(a_runner_whose_self_check_fails_runs_nothing);
		CHECK_RUN(a_heap_that_cannot_be_frozen_gives_forks_and_no_failed_run);
		CHECK_RUN(calls_in_flight_are_bounded_and_the_rest_wait_in_the_socket);
		CHECK_RUN(a_run_killed_for_a_forbidden_call_is_a_security_event_with_its_job);
	}
	return check_done();
}
