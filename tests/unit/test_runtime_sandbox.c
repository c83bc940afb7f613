/* Each forbidden call, tried in a child under the filter itself, must end it with SIGSYS. */
#include "runtime/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/check.h"

#define FORK_FLAGS (CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | SIGCHLD)

#if defined(__SANITIZE_ADDRESS__)
#define UNDER_ASAN true
#else
#define UNDER_ASAN false
#endif

static struct sandbox sandbox;

struct attempt {
	const char *name;
	void (*make)(void);
	unsigned allowed; /* levels that may, as bits */
	bool asan;        /* AddressSanitizer needs it at every level */
};

#define AT(level) (1u << (level))
#define NOWHERE 0u
#define ROOT AT(SANDBOX_ROOT)
#define FUNCTION (ROOT | AT(SANDBOX_FUNCTION))
#define LOAD (ROOT | AT(SANDBOX_LOAD))
#define SERVE (LOAD | AT(SANDBOX_SERVE))
#define ARENA_LEN (1 << 16)
static char *arena; /* what the filters are made for */
#define CALL(name, ...)               \
	static void name(void)        \
	{                             \
		syscall(__VA_ARGS__); \
	}

CALL(do_open, SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY)
CALL(do_stat, SYS_newfstatat, AT_FDCWD, "/", NULL, 0)
CALL(do_readlink, SYS_readlinkat, AT_FDCWD, "/proc/self/exe", NULL, 0)
CALL(do_unlink, SYS_unlinkat, AT_FDCWD, "/nonexistent", 0)
CALL(do_getdents, SYS_getdents64, 3, NULL, 0)
CALL(do_ioctl, SYS_ioctl, 3, 0, NULL)
CALL(do_fcntl, SYS_fcntl, 3, F_GETFL)
CALL(do_socket, SYS_socket, AF_INET, SOCK_STREAM, 0)
CALL(do_connect, SYS_connect, 3, NULL, 0)
CALL(do_bind, SYS_bind, 3, NULL, 0)
CALL(do_accept, SYS_accept4, 3, NULL, NULL, 0)
CALL(do_sendto, SYS_sendto, 3, NULL, 0, 0, NULL, 0)
CALL(do_recvfrom, SYS_recvfrom, 3, NULL, 0, 0, NULL, NULL)
CALL(do_recvmsg, SYS_recvmsg, 3, NULL, 0)
CALL(do_sendmsg, SYS_sendmsg, 3, NULL, 0)
CALL(do_execve, SYS_execve, "/bin/true", NULL, NULL)
CALL(do_execveat, SYS_execveat, AT_FDCWD, "/bin/true", NULL, NULL, 0)
CALL(do_ptrace, SYS_ptrace, PTRACE_TRACEME, 0, NULL, NULL)
CALL(do_vm_read, SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0)
CALL(do_fork, SYS_clone, FORK_FLAGS, NULL, NULL, NULL, NULL)
CALL(do_thread, SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND, NULL, NULL, NULL, NULL)
CALL(do_namespace, SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL)
CALL(do_clone3, SYS_clone3, NULL, 0)
CALL(do_unshare, SYS_unshare, CLONE_NEWUSER)
CALL(do_kill_other, SYS_kill, 1, 0)
CALL(do_kill_kill, SYS_kill, 0x3fffffff, SIGKILL)
CALL(do_tkill, SYS_tkill, 1, 0)
CALL(do_tgkill, SYS_tgkill, 1, 1, 0)
CALL(do_pidfd_signal, SYS_pidfd_send_signal, 3, SIGKILL, NULL, 0)
CALL(do_pidfd_open, SYS_pidfd_open, 0, 0)
CALL(do_wait, SYS_wait4, 0x3fffffff, NULL, WNOHANG, NULL)
CALL(do_setuid, SYS_setuid, 0)
CALL(do_capset, SYS_capset, NULL, NULL)
CALL(do_mount, SYS_mount, NULL, NULL, NULL, 0, NULL)
CALL(do_bpf, SYS_bpf, 0, NULL, 0)
CALL(do_io_uring, SYS_io_uring_setup, 1, NULL)
CALL(do_memfd, SYS_memfd_create, "x", 0)
CALL(do_userfaultfd, SYS_userfaultfd, 0)
CALL(do_keyctl, SYS_keyctl, 0, 0, 0, 0, 0)
CALL(do_shmget, SYS_shmget, 0, 0, 0)
CALL(do_personality, SYS_personality, 0)
CALL(do_setpriority, SYS_setpriority, 0, 0, 0)
CALL(do_undumpable, SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0)
CALL(do_forget_parent, SYS_prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0)
CALL(do_setrlimit_as, SYS_prlimit64, 0, RLIMIT_AS, NULL, NULL)
CALL(do_prlimit_other, SYS_prlimit64, 1, RLIMIT_CPU, NULL, NULL)
CALL(do_prlimit_cpu, SYS_prlimit64, 0, RLIMIT_CPU, NULL, NULL)
CALL(do_executable, SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
CALL(do_mprotect, SYS_mprotect, NULL, 0, PROT_READ)
CALL(do_read_other, SYS_read, 4, NULL, 0)
CALL(do_write_other, SYS_write, 2, NULL, 0)
CALL(do_setpgid_other, SYS_setpgid, 0x3fffffff, 1)
CALL(do_setsid, SYS_setsid)
CALL(do_unknown, 0x7ff)
CALL(do_ppoll, SYS_ppoll, NULL, 0, NULL, NULL, 0)
CALL(do_dup3, SYS_dup3, 3, 5, 0)
CALL(do_nanosleep, SYS_nanosleep, NULL, NULL)
CALL(do_vmsplice, SYS_vmsplice, 3, NULL, 0, 0)
CALL(do_sigaction, SYS_rt_sigaction, SIGUSR1, NULL, NULL, 8)
CALL(do_uname, SYS_uname, NULL)
CALL(do_landlock, SYS_landlock_restrict_self, -1, 0)
CALL(do_perf, SYS_perf_event_open, NULL, 0, 0, -1, 0)
CALL(do_module, SYS_finit_module, 3, "", 0)
CALL(do_setns, SYS_setns, 3, 0)
CALL(do_pkey, SYS_pkey_mprotect, NULL, 0, PROT_EXEC, -1)
#define OVER (MAP_PRIVATE | MAP_FIXED)
CALL(do_fill, SYS_pwrite64, SANDBOX_MEMORY, NULL, 0, 0)
CALL(do_fill_far, SYS_pwrite64, SANDBOX_MEMORY, NULL, 0, ARENA_LEN)
CALL(do_fill_more, SYS_pwrite64, SANDBOX_MEMORY, NULL, ARENA_LEN + 1, 0)
CALL(do_fill_socket, SYS_pwrite64, SANDBOX_SOCKET, NULL, 0, 0)
CALL(do_seal, SYS_fcntl, SANDBOX_MEMORY, F_ADD_SEALS, 0)
CALL(do_get_seals, SYS_fcntl, SANDBOX_MEMORY, F_GET_SEALS)
CALL(do_close, SYS_close, SANDBOX_MEMORY)
CALL(do_close_socket, SYS_close, SANDBOX_SOCKET)
CALL(do_map, SYS_mmap, arena, ARENA_LEN, PROT_READ | PROT_WRITE, OVER, SANDBOX_MEMORY, 0)
CALL(do_map_other, SYS_mmap, arena, ARENA_LEN, PROT_READ, OVER, SANDBOX_MEMORY + 1, 0)
CALL(do_map_over, SYS_mmap, arena, ARENA_LEN, PROT_READ, OVER | MAP_ANONYMOUS, -1, 0)
CALL(do_map_shared, SYS_mmap, NULL, ARENA_LEN, PROT_READ, MAP_SHARED, SANDBOX_MEMORY, 0)
CALL(do_map_executable, SYS_mmap, arena, ARENA_LEN, PROT_EXEC, OVER, SANDBOX_MEMORY, 0)
CALL(do_seccomp, SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL)
CALL(do_revert, SYS_madvise, arena, ARENA_LEN, MADV_DONTNEED)
CALL(do_revert_part, SYS_madvise, arena, ARENA_LEN / 2, MADV_DONTNEED)
CALL(do_revert_more, SYS_madvise, arena, ARENA_LEN + 4096, MADV_DONTNEED)
CALL(do_revert_below, SYS_madvise, arena - 4096, 4096, MADV_DONTNEED)
CALL(do_populate, SYS_madvise, arena, ARENA_LEN, MADV_WILLNEED)
CALL(do_open_page, SYS_mprotect, arena, 4096, PROT_READ | PROT_WRITE)
CALL(do_open_code, SYS_mprotect, arena, 4096, PROT_READ | PROT_EXEC)
CALL(do_open_below, SYS_mprotect, arena - 4096, 4096, PROT_READ)
CALL(do_open_more, SYS_mprotect, arena, ARENA_LEN + 4096, PROT_READ)
CALL(do_timer, SYS_timer_create, CLOCK_PROCESS_CPUTIME_ID, NULL, NULL)
CALL(do_arm, SYS_timer_settime, 0, 0, NULL, NULL)
CALL(do_disarm, SYS_timer_delete, 0)

static const struct attempt attempts[] = {
    {"openat", do_open, NOWHERE, false},
    {"newfstatat", do_stat, NOWHERE, false},
    {"readlinkat", do_readlink, NOWHERE, false},
    {"unlinkat", do_unlink, NOWHERE, false},
    {"getdents64", do_getdents, NOWHERE, false},
    {"ioctl", do_ioctl, NOWHERE, false},
    {"fcntl", do_fcntl, NOWHERE, false},
    {"socket", do_socket, NOWHERE, false},
    {"connect", do_connect, NOWHERE, false},
    {"bind", do_bind, NOWHERE, false},
    {"accept4", do_accept, NOWHERE, false},
    {"sendto", do_sendto, NOWHERE, false},
    {"recvfrom", do_recvfrom, NOWHERE, false},
    {"recvmsg", do_recvmsg, ROOT, false},
    {"sendmsg", do_sendmsg, ROOT, false},
    {"execve", do_execve, NOWHERE, false},
    {"execveat", do_execveat, NOWHERE, false},
    {"ptrace", do_ptrace, NOWHERE, false},
    {"process_vm_readv", do_vm_read, NOWHERE, false},
    {"fork", do_fork, FUNCTION, false},
    {"clone of a thread", do_thread, NOWHERE, false},
    {"clone into a namespace", do_namespace, NOWHERE, false},
    {"clone3", do_clone3, NOWHERE, false},
    {"unshare", do_unshare, NOWHERE, false},
    {"kill with signal 0", do_kill_other, NOWHERE, false},
    {"kill with SIGKILL", do_kill_kill, ROOT, false},
    {"tkill", do_tkill, NOWHERE, false},
    {"tgkill", do_tgkill, NOWHERE, false},
    {"pidfd_send_signal", do_pidfd_signal, NOWHERE, false},
    {"pidfd_open", do_pidfd_open, ROOT, false},
    {"wait4", do_wait, FUNCTION, false},
    {"setuid", do_setuid, NOWHERE, false},
    {"capset", do_capset, NOWHERE, false},
    {"mount", do_mount, NOWHERE, false},
    {"bpf", do_bpf, NOWHERE, false},
    {"io_uring_setup", do_io_uring, NOWHERE, false},
    {"memfd_create", do_memfd, ROOT, false},
    {"userfaultfd", do_userfaultfd, NOWHERE, false},
    {"keyctl", do_keyctl, NOWHERE, false},
    {"shmget", do_shmget, NOWHERE, false},
    {"personality", do_personality, NOWHERE, false},
    {"setpriority", do_setpriority, NOWHERE, false},
    {"prctl(PR_SET_DUMPABLE)", do_undumpable, NOWHERE, false},
    {"prctl(PR_SET_PDEATHSIG, 0)", do_forget_parent, NOWHERE, false},
    {"prlimit64(RLIMIT_AS)", do_setrlimit_as, NOWHERE, false},
    {"prlimit64 of another", do_prlimit_other, NOWHERE, false},
    {"prlimit64(RLIMIT_CPU)", do_prlimit_cpu, FUNCTION, false},
    {"mmap of executable memory", do_executable, NOWHERE, false},
    {"mprotect", do_mprotect, NOWHERE, true},
    {"read of another descriptor", do_read_other, ROOT, false},
    {"write to another descriptor", do_write_other, ROOT, true},
    {"setpgid of another", do_setpgid_other, NOWHERE, false},
    {"setsid", do_setsid, NOWHERE, false},
    {"an unknown call", do_unknown, NOWHERE, false},
    {"nanosleep", do_nanosleep, NOWHERE, false},
    {"vmsplice", do_vmsplice, NOWHERE, false},
    {"rt_sigaction", do_sigaction, NOWHERE, true},
    {"uname", do_uname, NOWHERE, false},
    {"landlock_restrict_self", do_landlock, NOWHERE, false},
    {"perf_event_open", do_perf, NOWHERE, false},
    {"finit_module", do_module, NOWHERE, false},
    {"setns", do_setns, NOWHERE, false},
    {"pkey_mprotect", do_pkey, NOWHERE, false},
#if defined(SYS_poll) && defined(SYS_dup2) /* the older calls are what is used */
    {"ppoll", do_ppoll, NOWHERE, false},
    {"dup3", do_dup3, NOWHERE, false},
#endif
    {"pwrite64 to the memfd", do_fill, LOAD, false},
    {"pwrite64 behind the arena's length", do_fill_far, NOWHERE, false},
    {"pwrite64 of more than the arena", do_fill_more, NOWHERE, false},
    {"pwrite64 to the socket", do_fill_socket, NOWHERE, false},
    {"fcntl that seals the memfd", do_seal, LOAD, false},
    {"fcntl that reads the memfd's seals", do_get_seals, NOWHERE, false},
    {"close of the memfd", do_close, LOAD, false},
    {"close of the socket", do_close_socket, ROOT, false},
    {"mmap of the memfd", do_map, LOAD, true},
    {"mmap of another descriptor", do_map_other, NOWHERE, true},
    {"mmap over what is there", do_map_over, NOWHERE, true},
    {"mmap of the memfd, shared", do_map_shared, NOWHERE, true},
    {"mmap of the memfd, executable", do_map_executable, NOWHERE, false},
    {"seccomp", do_seccomp, FUNCTION | LOAD, false},
    {"madvise of the arena", do_revert, SERVE, true},
    {"madvise of a part of it", do_revert_part, SERVE, true},
    {"madvise of more", do_revert_more, NOWHERE, true},
    {"madvise below the arena", do_revert_below, NOWHERE, true},
    {"madvise of the arena otherwise", do_populate, NOWHERE, true},
    {"mprotect of a page of the arena", do_open_page, SERVE, true},
    {"mprotect of it, executable", do_open_code, NOWHERE, true},
    {"mprotect below the arena", do_open_below, NOWHERE, true},
    {"mprotect of more", do_open_more, NOWHERE, true},
    {"timer_create", do_timer, ROOT, false},
    {"timer_settime", do_arm, SERVE, false},
    {"timer_delete", do_disarm, NOWHERE, false},
};

static void
go_down(enum sandbox_level level)
{
	if (level != SANDBOX_ROOT)
		go_down(sandbox_above(level));
	if (sandbox_enter(&sandbox, level) != 0)
		_exit(1);
}

static int
status_of(enum sandbox_level level, void (*make)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		struct rlimit no_core = {0, 0};

		if (setrlimit(RLIMIT_CORE, &no_core) != 0 ||
		    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
			_exit(1);
		go_down(level);
		make();
		_exit(0);
	}
	check(pid > 0 && waitpid(pid, &status, 0) == pid);
	return status;
}

static void
check_level(enum sandbox_level level)
{
	bool all = true;

	for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
		const struct attempt *attempt = &attempts[i];
		bool allowed = (attempt->allowed & AT(level)) != 0 || (attempt->asan && UNDER_ASAN);
		int status = status_of(level, attempt->make);
		bool died = WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
		bool lived = WIFEXITED(status) && WEXITSTATUS(status) == 0;

		if (allowed ? !lived : !died) {
			printf("# level %d: %s: status %#x\n", (int)level, attempt->name,
			       (unsigned)status);
			all = false;
		}
	}
	check(all);
}

static void
the_root_process_may_not_touch_files_network_or_strangers(void)
{
	check_level(SANDBOX_ROOT);
}

static void
a_function_process_may_fork_and_wait_and_little_else(void)
{
	check_level(SANDBOX_FUNCTION);
}

static void
a_run_may_use_its_socket_memory_and_clock(void)
{
	check_level(SANDBOX_RUN);
}

static void
a_process_that_loads_may_freeze_its_heap_and_not_fork(void)
{
	check_level(SANDBOX_LOAD);
}

static void
a_process_that_serves_may_revert_its_heap_and_little_else(void)
{
	check_level(SANDBOX_SERVE);
}

static void
do_what_a_run_does(void)
{
	char byte = 'x', noise;
	char *large = malloc(1 << 20), *small = malloc(100);
	struct pollfd wait = {.fd = SANDBOX_SOCKET, .events = POLLIN};
	struct timespec now;

	if (large == NULL || small == NULL)
		_exit(2);
	memset(large, 1, 1 << 20);
	large = realloc(large, 4 << 20);
	free(large);
	free(small);
	if (syscall(SYS_getrandom, &noise, 1, 0) != 1 ||
	    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now) != 0 || time(NULL) == 0)
		_exit(3);
	if (write(SANDBOX_SOCKET, &byte, 1) != 1 || poll(&wait, 1, 1000) != 1 ||
	    read(SANDBOX_SOCKET, &byte, 1) != 1)
		_exit(4);
}

static void
what_a_run_needs_is_allowed_at_both_of_its_levels(void)
{
	int ends[2], status;
	char byte;

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	if (ends[0] != SANDBOX_SOCKET) {
		check(dup2(ends[0], SANDBOX_SOCKET) == SANDBOX_SOCKET);
		close(ends[0]);
	}
	check(write(ends[1], "y", 1) == 1);
	status = status_of(SANDBOX_RUN, do_what_a_run_does);
	check_int(status, ==, 0);
	check(read(ends[1], &byte, 1) == 1 && byte == 'x');
	check(write(ends[1], "y", 1) == 1);
	status = status_of(SANDBOX_SERVE, do_what_a_run_does);
	check_int(status, ==, 0);
	check(read(ends[1], &byte, 1) == 1 && byte == 'x');
	close(ends[1]);
	close(SANDBOX_SOCKET);
}

static void
limit_and_check(void)
{
	struct sl_error error = {0};
	struct rlimit now;

	if (sandbox_limit(1ll << 32, &error) != SL_OK)
		_exit(2);
	if (getrlimit(RLIMIT_CORE, &now) != 0 || now.rlim_max != 0)
		_exit(3);
	if (!UNDER_ASAN && (getrlimit(RLIMIT_AS, &now) != 0 || now.rlim_max > (1ll << 32)))
		_exit(4);
	if (prctl(PR_GET_DUMPABLE) != 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		_exit(5);
	if (sandbox_enter(&sandbox, SANDBOX_ROOT) != 0)
		_exit(6);
	if (sandbox_self_check(&sandbox, &error) != SL_OK)
		_exit(7);
}

static int
status_bare(void (*make)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		make();
		_exit(0);
	}
	check(pid > 0 && waitpid(pid, &status, 0) == pid);
	return status;
}

static void
limits_hold_and_the_self_check_passes_inside(void)
{
	check_int(status_bare(limit_and_check), ==, 0);
}

static void
check_without_a_filter(void)
{
	struct sandbox open = {0};
	struct sl_error error = {0};

	if (sandbox_self_check(&open, &error) != SL_INTERNAL)
		_exit(1);
}

static void
the_self_check_fails_where_there_is_no_sandbox(void)
{
	check_int(status_bare(check_without_a_filter), ==, 0);
}

int
main(void)
{
	struct sl_error error = {0};

	arena = mmap(NULL, ARENA_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (arena == MAP_FAILED)
		return 1;
	if (sandbox_prepare(&sandbox, arena, ARENA_LEN, &error) != SL_OK) {
		printf("# %s\n", error.text);
		return 1;
	}
	CHECK_RUN(the_root_process_may_not_touch_files_network_or_strangers);
	CHECK_RUN(a_function_process_may_fork_and_wait_and_little_else);
	CHECK_RUN(a_run_may_use_its_socket_memory_and_clock);
	CHECK_RUN(a_process_that_loads_may_freeze_its_heap_and_not_fork);
	CHECK_RUN(a_process_that_serves_may_revert_its_heap_and_little_else);
	CHECK_RUN(what_a_run_needs_is_allowed_at_both_of_its_levels);
	CHECK_RUN(limits_hold_and_the_self_check_passes_inside);
	CHECK_RUN(the_self_check_fails_where_there_is_no_sandbox);
	sandbox_fini(&sandbox);
	return check_done();
}
