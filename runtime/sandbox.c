#include "runtime/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"

#if defined(__has_feature) /* clang */
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN 1
#else
#define WITH_ASAN 0
#endif

#define STACK_BYTES (8ll << 20) /* Duktape's own limits end a recursion well before this */
#define NOBODY 65534
#define NOFILE_MAX 64 /* zygote: control, signals, and what a fork is about to get */

/* The flags of glibc's fork().  Anything else (threads, namespaces, a missing exit signal) dies. */
#define FORK_FLAGS (CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | SIGCHLD)

/* The lists are what dev/syscalls counts on amd64 with glibc 2.36 while the pool's tests run, by
 * level; it is run again when a list or a C library changes.  A filter stands above those below
 * it, so that ROOT also has all that its children need.
 *
 *   call                      who needs it, and what for
 *   read, write (3)           all: frames
 *   poll                      all: the next frame or timer (ppoll where there is no poll)
 *   mmap, munmap, mremap      all: malloc, for large frames; the heap is there already
 *   getrandom                 RUN, SERVE: crypto, Math.random's seed
 *   exit_group                all: every end
 *   restart_syscall           RUN, SERVE: a poll() goes on after SIGSTOP and SIGCONT
 *   madvise, timer_settime    SERVE: revert, CPU limit of a run
 *   pwrite64, fcntl(F_ADD_SEALS), mmap (4), close (4), seccomp   LOAD: freeze, go on to SERVE
 *   clone, set_robust_list, wait4   FUNCTION: fork() and the wait for it
 *   getppid, prctl(PDEATHSIG), prlimit64(CPU), seccomp   what FUNCTION forks makes itself a run
 *   recvmsg, sendmsg          ROOT: requests and answers with descriptors
 *   waitid, kill(KILL)        ROOT: ends of children, and what they leave behind
 *   pidfd_open                ROOT: what the daemon kills a child by
 *   dup2, close, close_range, setpgid, getpid, memfd_create, timer_create   ROOT's children,
 *                             before they enter a level of their own (dup3 where there is no dup2)
 *
 * And not counted: brk, for malloc when there are many small frames at once; clock_gettime and
 * gettimeofday, for machines whose clock the vDSO cannot read; rt_sigprocmask, which fork() of newer
 * C libraries makes. */

/* What every level may do, whatever the arguments. */
static const int run_calls[] = {
#if defined(SYS_poll)
    SCMP_SYS(poll),
#else
    SCMP_SYS(ppoll),
#endif
    SCMP_SYS(munmap),     SCMP_SYS(mremap),         SCMP_SYS(brk),
    SCMP_SYS(getrandom),  SCMP_SYS(clock_gettime),  SCMP_SYS(gettimeofday),
    SCMP_SYS(exit_group), SCMP_SYS(restart_syscall)};

/* A range of addresses. */
struct range {
	scmp_datum_t start, len;
};

/* fork() and the wait for it. */
static const int function_calls[] = {SCMP_SYS(set_robust_list), SCMP_SYS(rt_sigprocmask),
				     SCMP_SYS(wait4), SCMP_SYS(getppid)};

/* Taking requests with a descriptor, handing descriptors on, knowing and ending children; a memfd
 * and a timer for those. */
static const int root_calls[] = {
#if defined(SYS_dup2)
    SCMP_SYS(dup2),
#else
    SCMP_SYS(dup3),
#endif
    SCMP_SYS(recvmsg), SCMP_SYS(sendmsg),      SCMP_SYS(read),        SCMP_SYS(write),
    SCMP_SYS(close),   SCMP_SYS(close_range),  SCMP_SYS(waitid),      SCMP_SYS(pidfd_open),
    SCMP_SYS(getpid),  SCMP_SYS(memfd_create), SCMP_SYS(timer_create)};

/* AddressSanitizer: its allocator, its signal stack, its fork hooks, and the report it prints
 * (which goes nowhere in a run: descriptor 2 is closed).  Symbols cannot be looked up: that takes
 * files. */
static const int asan_calls[] = {SCMP_SYS(futex),    SCMP_SYS(sched_yield),   SCMP_SYS(sigaltstack),
				 SCMP_SYS(mprotect), SCMP_SYS(rt_sigaction),  SCMP_SYS(getpid),
				 SCMP_SYS(gettid),   SCMP_SYS(rt_sigreturn),  SCMP_SYS(madvise),
				 SCMP_SYS(write),    SCMP_SYS(rt_sigprocmask)};

static int
allow_all(scmp_filter_ctx ctx, const int *calls, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);

		if (rc != 0)
			return rc;
	}
	return 0;
}

#define ALLOW_ALL(ctx, calls) allow_all(ctx, calls, sizeof(calls) / sizeof((calls)[0]))
#define ALLOW(...) seccomp_rule_add(ctx, SCMP_ACT_ALLOW, __VA_ARGS__)

#define NOT_EXECUTABLE SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)

/* Memory of the run's own, never executable. */
static int
allow_mmap(scmp_filter_ctx ctx)
{
	if (WITH_ASAN)
		return ALLOW(SCMP_SYS(mmap), 1, NOT_EXECUTABLE);
	return ALLOW(SCMP_SYS(mmap), 2, NOT_EXECUTABLE,
		     SCMP_A3(SCMP_CMP_EQ, MAP_PRIVATE | MAP_ANONYMOUS));
}

static int
allow_run(scmp_filter_ctx ctx)
{
	int rc = ALLOW_ALL(ctx, run_calls);

	if (rc == 0)
		rc = allow_mmap(ctx);
	if (rc == 0)
		rc = ALLOW(SCMP_SYS(read), 1, SCMP_A0(SCMP_CMP_EQ, SANDBOX_SOCKET));
	if (rc == 0)
		rc = ALLOW(SCMP_SYS(write), 1, SCMP_A0(SCMP_CMP_EQ, SANDBOX_SOCKET));
	if (rc == 0 && WITH_ASAN)
		rc = ALLOW_ALL(ctx, asan_calls);
	return rc;
}

/* A rule can look at each argument once.  Above the arena lies its snapshot's view.  mprotect() and
 * the return from a handler are for pages that a run writes and most do not (snapshot.h). */
static int
allow_serve(scmp_filter_ctx ctx, const struct range *arena)
{
	int rc = ALLOW(SCMP_SYS(timer_settime), 1, SCMP_A1(SCMP_CMP_EQ, 0));

	if (rc == 0 && !WITH_ASAN)
		rc = ALLOW(SCMP_SYS(madvise), 3, SCMP_A0(SCMP_CMP_GE, arena->start),
			   SCMP_A1(SCMP_CMP_LE, arena->len), SCMP_A2(SCMP_CMP_EQ, MADV_DONTNEED));
	if (rc == 0 && !WITH_ASAN)
		rc = ALLOW(SCMP_SYS(mprotect), 3, SCMP_A0(SCMP_CMP_GE, arena->start),
			   SCMP_A1(SCMP_CMP_LE, arena->len), NOT_EXECUTABLE);
	if (rc == 0 && !WITH_ASAN)
		rc = ALLOW(SCMP_SYS(rt_sigreturn), 0);
	return rc;
}

/* The memfd is memory that no limit of the process counts, so it must not grow past the arena. */
static int
allow_load(scmp_filter_ctx ctx, const struct range *arena)
{
	int rc = ALLOW(SCMP_SYS(pwrite64), 3, SCMP_A0(SCMP_CMP_EQ, SANDBOX_MEMORY),
		       SCMP_A2(SCMP_CMP_LE, arena->len), SCMP_A3(SCMP_CMP_LT, arena->len));

	if (rc == 0)
		rc = ALLOW(SCMP_SYS(fcntl), 2, SCMP_A0(SCMP_CMP_EQ, SANDBOX_MEMORY),
			   SCMP_A1(SCMP_CMP_EQ, F_ADD_SEALS));
	if (rc == 0 && !WITH_ASAN)
		rc = ALLOW(SCMP_SYS(mmap), 3, NOT_EXECUTABLE,
			   SCMP_A3(SCMP_CMP_EQ, MAP_PRIVATE | MAP_FIXED),
			   SCMP_A4(SCMP_CMP_EQ, SANDBOX_MEMORY));
	if (rc == 0)
		rc = ALLOW(SCMP_SYS(close), 1, SCMP_A0(SCMP_CMP_EQ, SANDBOX_MEMORY));
	if (rc == 0)
		rc = ALLOW(SCMP_SYS(seccomp), 1, SCMP_A0(SCMP_CMP_EQ, SECCOMP_SET_MODE_FILTER));
	return rc;
}

/* A run is started with a CPU limit, tied to its parent's life and put under the next filter. */
static int
allow_function(scmp_filter_ctx ctx)
{
	int rc = ALLOW_ALL(ctx, function_calls);

	if (rc == 0)
		rc = ALLOW(SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_EQ, FORK_FLAGS));
	if (rc == 0)
		rc = ALLOW(SCMP_SYS(prctl), 2, SCMP_A0(SCMP_CMP_EQ, PR_SET_PDEATHSIG),
			   SCMP_A1(SCMP_CMP_EQ, SIGKILL));
	if (rc == 0)
		rc = ALLOW(SCMP_SYS(prlimit64), 2, SCMP_A0(SCMP_CMP_EQ, 0),
			   SCMP_A1(SCMP_CMP_EQ, RLIMIT_CPU));
	if (rc == 0)
		rc = ALLOW(SCMP_SYS(seccomp), 1, SCMP_A0(SCMP_CMP_EQ, SECCOMP_SET_MODE_FILTER));
	return rc;
}

static int
allow_root(scmp_filter_ctx ctx)
{
	int rc = ALLOW_ALL(ctx, root_calls);

	if (rc == 0)
		rc = ALLOW(SCMP_SYS(kill), 1, SCMP_A1(SCMP_CMP_EQ, SIGKILL));
	if (rc == 0)
		rc = ALLOW(SCMP_SYS(setpgid), 2, SCMP_A0(SCMP_CMP_EQ, 0), SCMP_A1(SCMP_CMP_EQ, 0));
	return rc;
}

/* Reads the compiled filter back from the pipe: libseccomp can only write it to a descriptor. */
static enum sl_code
read_program(int fd, struct sandbox_program *program, struct sl_error *error)
{
	size_t size = BPF_MAXINSNS * sizeof(struct sock_filter);
	ssize_t got;

	program->code = sl_alloc(size);
	got = read(fd, program->code, size);
	if (got <= 0 || (size_t)got % sizeof(struct sock_filter) != 0)
		return sl_fail(error, SL_UNAVAILABLE, "the filter cannot be read back");
	program->len = (unsigned short)((size_t)got / sizeof(struct sock_filter));
	program->code = sl_realloc(program->code, (size_t)got);
	return SL_OK;
}

static int
add_rules(scmp_filter_ctx ctx, enum sandbox_level level, const struct range *arena)
{
	bool root = level == SANDBOX_ROOT;
	int rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

	if (rc == 0)
		rc = allow_run(ctx);
	if (rc == 0 && (root || level == SANDBOX_LOAD || level == SANDBOX_SERVE))
		rc = allow_serve(ctx, arena);
	if (rc == 0 && (root || level == SANDBOX_LOAD))
		rc = allow_load(ctx, arena);
	if (rc == 0 && (root || level == SANDBOX_FUNCTION))
		rc = allow_function(ctx);
	if (rc == 0 && root)
		rc = allow_root(ctx);
	return rc;
}

/* A pipe holds 64 KiB, which is twice what the kernel takes as a filter. */
static enum sl_code
compile(enum sandbox_level level, const struct range *arena, struct sandbox_program *program,
	struct sl_error *error)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	enum sl_code code = SL_OK;
	int ends[2], rc;

	if (ctx == NULL)
		return sl_fail(error, SL_UNAVAILABLE, "seccomp_init failed");
	rc = add_rules(ctx, level, arena);
	if (rc == 0 && pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
		rc = -errno;
	if (rc == 0) {
		rc = seccomp_export_bpf(ctx, ends[1]);
		close(ends[1]);
		if (rc == 0)
			code = read_program(ends[0], program, error);
		close(ends[0]);
	}
	if (rc != 0)
		code = sl_fail(error, SL_UNAVAILABLE, "the seccomp filter cannot be built: %s",
			       strerror(-rc));
	seccomp_release(ctx);
	return code;
}

enum sandbox_level
sandbox_above(enum sandbox_level level)
{
	switch (level) {
	case SANDBOX_RUN:
		return SANDBOX_FUNCTION;
	case SANDBOX_SERVE:
		return SANDBOX_LOAD;
	case SANDBOX_ROOT:
	case SANDBOX_FUNCTION:
	case SANDBOX_LOAD:
		return SANDBOX_ROOT;
	}
	return SANDBOX_ROOT;
}

enum sl_code
sandbox_prepare(struct sandbox *sandbox, const void *arena, size_t arena_len,
		struct sl_error *error)
{
	struct range range = {(scmp_datum_t)(uintptr_t)arena, arena_len};

	memset(sandbox, 0, sizeof(*sandbox));
	for (int level = 0; level < SANDBOX_LEVELS; level++) {
		enum sl_code code = compile(level, &range, &sandbox->level[level], error);

		if (code != SL_OK)
			return code;
	}
	return SL_OK;
}

void
sandbox_fini(struct sandbox *sandbox)
{
	for (int level = 0; level < SANDBOX_LEVELS; level++)
		free(sandbox->level[level].code);
	memset(sandbox, 0, sizeof(*sandbox));
}

int
sandbox_enter(const struct sandbox *sandbox, enum sandbox_level level)
{
	struct sock_fprog program = {.len = sandbox->level[level].len,
				     .filter = sandbox->level[level].code};

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
		return errno;
	return 0;
}

static bool
limit(int resource, rlim_t value)
{
	struct rlimit now;

	if (getrlimit(resource, &now) != 0)
		return false;
	if (now.rlim_max != RLIM_INFINITY && value > now.rlim_max)
		value = now.rlim_max;
	return setrlimit(resource, &(struct rlimit){value, value}) == 0;
}

/* Started by root: become nobody.  A user namespace that knows no other user (EINVAL) leaves uid 0,
 * which without capabilities is nobody in particular. */
static bool
drop_root(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2];

	memset(none, 0, sizeof(none));
	if (geteuid() == 0) {
		if (setgroups(0, NULL) != 0 && errno != EPERM)
			return false;
		if ((setresgid(NOBODY, NOBODY, NOBODY) != 0 ||
		     setresuid(NOBODY, NOBODY, NOBODY) != 0) &&
		    errno != EINVAL)
			return false;
	}
	return syscall(SYS_capset, &header, none) == 0;
}

enum sl_code
sandbox_limit(long long address_bytes, struct sl_error *error)
{
	/* AddressSanitizer reserves terabytes of address space for its shadow. */
	bool limited = WITH_ASAN || limit(RLIMIT_AS, (rlim_t)address_bytes);

	limited = limited && limit(RLIMIT_CORE, 0) && limit(RLIMIT_NOFILE, NOFILE_MAX) &&
		  limit(RLIMIT_STACK, STACK_BYTES);
	if (!limited)
		return sl_fail(error, SL_UNAVAILABLE, "setrlimit: %s", strerror(errno));
	if (!drop_root()) /* before PDEATHSIG, which a change of user clears */
		return sl_fail(error, SL_UNAVAILABLE, "cannot give up root: %s", strerror(errno));
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_DUMPABLE, 0) != 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
		return sl_fail(error, SL_UNAVAILABLE, "prctl: %s", strerror(errno));
	return SL_OK;
}

static void
go_down(const struct sandbox *sandbox, enum sandbox_level level)
{
	if (level == SANDBOX_ROOT)
		return;
	go_down(sandbox, sandbox_above(level));
	if (sandbox_enter(sandbox, level) != 0)
		_exit(1);
}

static void
try_forbidden(const struct sandbox *sandbox, enum sandbox_level level)
{
	go_down(sandbox, level);
	switch (level) {
	case SANDBOX_ROOT:
		syscall(SYS_openat, AT_FDCWD, "/", O_RDONLY);
		_exit(0);
	case SANDBOX_FUNCTION:
		syscall(SYS_recvmsg, SANDBOX_SOCKET, NULL, 0);
		_exit(0);
	case SANDBOX_RUN:
	case SANDBOX_LOAD:
		syscall(SYS_clone, FORK_FLAGS, NULL, NULL, NULL, NULL);
		_exit(0);
	case SANDBOX_SERVE:
		syscall(SYS_pwrite64, SANDBOX_MEMORY, NULL, 0, 0);
		_exit(0);
	}
}

enum sl_code
sandbox_self_check(const struct sandbox *sandbox, struct sl_error *error)
{
	for (int level = 0; level < SANDBOX_LEVELS; level++) {
		int status = 0;
		pid_t pid = fork();

		if (pid == 0)
			try_forbidden(sandbox, level);
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			return sl_fail(error, SL_INTERNAL, "sandbox self-check: cannot fork");
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			return sl_fail(error, SL_INTERNAL,
				       "sandbox self-check: a forbidden call at level %d was not "
				       "stopped (status %d)",
				       level, status);
	}
	return SL_OK;
}
