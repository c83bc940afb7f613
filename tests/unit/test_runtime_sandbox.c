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
	enum sandbox_level allowed_at; /* the last level that may; -1: none */
	bool asan;                     /* AddressSanitizer needs it at every level */
};

#define NOWHERE ((enum sandbox_level) - 1)
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
    {"recvmsg", do_recvmsg, SANDBOX_ROOT, false},
    {"sendmsg", do_sendmsg, SANDBOX_ROOT, false},
    {"execve", do_execve, NOWHERE, false},
    {"execveat", do_execveat, NOWHERE, false},
    {"ptrace", do_ptrace, NOWHERE, false},
    {"process_vm_readv", do_vm_read, NOWHERE, false},
    {"fork", do_fork, SANDBOX_FUNCTION, false},
    {"clone of a thread", do_thread, NOWHERE, false},
    {"clone into a namespace", do_namespace, NOWHERE, false},
    {"clone3", do_clone3, NOWHERE, false},
    {"unshare", do_unshare, NOWHERE, false},
    {"kill with signal 0", do_kill_other, NOWHERE, false},
    {"kill with SIGKILL", do_kill_kill, SANDBOX_ROOT, false},
    {"tkill", do_tkill, NOWHERE, false},
    {"tgkill", do_tgkill, NOWHERE, false},
    {"pidfd_send_signal", do_pidfd_signal, NOWHERE, false},
    {"pidfd_open", do_pidfd_open, SANDBOX_ROOT, false},
    {"wait4", do_wait, SANDBOX_FUNCTION, false},
    {"setuid", do_setuid, NOWHERE, false},
    {"capset", do_capset, NOWHERE, false},
    {"mount", do_mount, NOWHERE, false},
    {"bpf", do_bpf, NOWHERE, false},
    {"io_uring_setup", do_io_uring, NOWHERE, false},
    {"memfd_create", do_memfd, NOWHERE, false},
    {"userfaultfd", do_userfaultfd, NOWHERE, false},
    {"keyctl", do_keyctl, NOWHERE, false},
    {"shmget", do_shmget, NOWHERE, false},
    {"personality", do_personality, NOWHERE, false},
    {"setpriority", do_setpriority, NOWHERE, false},
    {"prctl(PR_SET_DUMPABLE)", do_undumpable, NOWHERE, false},
    {"prctl(PR_SET_PDEATHSIG, 0)", do_forget_parent, NOWHERE, false},
    {"prlimit64(RLIMIT_AS)", do_setrlimit_as, NOWHERE, false},
    {"prlimit64 of another", do_prlimit_other, NOWHERE, false},
    {"prlimit64(RLIMIT_CPU)", do_prlimit_cpu, SANDBOX_FUNCTION, false},
    {"mmap of executable memory", do_executable, NOWHERE, false},
    {"mprotect", do_mprotect, NOWHERE, true},
    {"read of another descriptor", do_read_other, SANDBOX_ROOT, false},
    {"write to another descriptor", do_write_other, SANDBOX_ROOT, true},
    {"setpgid of another", do_setpgid_other, NOWHERE, false},
    {"setsid", do_setsid, NOWHERE, false},
    {"an unknown call", do_unknown, NOWHERE, false},
};

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
		for (int down = SANDBOX_ROOT; down <= (int)level; down++) {
			if (sandbox_enter(&sandbox, down) != 0)
				_exit(1);
		}
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
		bool allowed =
		    (int)level <= (int)attempt->allowed_at || (attempt->asan && UNDER_ASAN);
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
what_a_run_needs_is_allowed(void)
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

	if (sandbox_prepare(&sandbox, &error) != SL_OK) {
		printf("# %s\n", error.text);
		return 1;
	}
	CHECK_RUN(the_root_process_may_not_touch_files_network_or_strangers);
	CHECK_RUN(a_function_process_may_fork_and_wait_and_little_else);
	CHECK_RUN(a_run_may_use_its_socket_memory_and_clock);
	CHECK_RUN(what_a_run_needs_is_allowed);
	CHECK_RUN(limits_hold_and_the_self_check_passes_inside);
	CHECK_RUN(the_self_check_fails_where_there_is_no_sandbox);
	sandbox_fini(&sandbox);
	return check_done();
}
