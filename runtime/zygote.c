#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/frame.h"
#include "runtime/channel.h"
#include "runtime/runner.h"
#include "runtime/wire.h"

#define CONTROL SANDBOX_SOCKET /* until a function process puts its own socket there */
#define FRAME_SMALL 256

/* The function processes that live.  Others that come to be reaped here are orphans of theirs. */
struct children {
	pid_t *pid; /* owned */
	size_t count, size;
};

static void
children_add(struct children *children, pid_t pid)
{
	if (children->count == children->size) {
		children->size = children->size > 0 ? children->size * 2 : 64;
		children->pid = sl_realloc(children->pid, children->size * sizeof(*children->pid));
	}
	children->pid[children->count++] = pid;
}

static bool
children_remove(struct children *children, pid_t pid)
{
	for (size_t i = 0; i < children->count; i++) {
		if (children->pid[i] == pid) {
			children->pid[i] = children->pid[--children->count];
			return true;
		}
	}
	return false;
}

static void
send_or_exit(struct buf *out, int passed)
{
	if (!wire_write(CONTROL, buf_slice(out), passed))
		_exit(RUNNER_EXIT_PROTOCOL);
	buf_fini(out);
}

static void
send_hello(const struct runner *runner)
{
	struct frame_writer w;
	struct buf out;
	char engine[80];

	snprintf(engine, sizeof(engine), "duktape %ld.%ld.%ld, landlock %d",
		 (long)DUK_VERSION / 10000, (long)DUK_VERSION / 100 % 100, (long)DUK_VERSION % 100,
		 runner->landlock);
	buf_init(&out, FRAME_SMALL);
	frame_begin(&w, &out, 3);
	frame_add_int(&w, RUNNER_HELLO);
	frame_add_int(&w, RUNNER_PROTOCOL);
	frame_add_text(&w, engine);
	frame_end(&w);
	send_or_exit(&out, -1);
}

static void
send_numbers(const int64_t *numbers, int count, int passed)
{
	struct frame_writer w;
	struct buf out;

	buf_init(&out, FRAME_SMALL);
	frame_begin(&w, &out, (unsigned)count);
	for (int i = 0; i < count; i++)
		frame_add_int(&w, numbers[i]);
	frame_end(&w);
	send_or_exit(&out, passed);
}

static void
send_forked(int64_t tag, int64_t pid, int pidfd)
{
	int64_t numbers[] = {RUNNER_FORKED, tag, pid};

	send_numbers(numbers, 3, pidfd);
}

static void
send_gone(pid_t pid, int status, const struct rusage *used)
{
	int64_t numbers[] = {RUNNER_GONE, pid, status, used->ru_maxrss};

	send_numbers(numbers, 4, -1);
}

/* While the dead process is not reaped yet, its pid, and with it the process group, is its own: so
 * what it may have left behind is killed first. */
static void
reap(struct children *children)
{
	for (;;) {
		siginfo_t info = {.si_pid = 0};
		struct rusage used = {.ru_maxrss = 0};
		int status = 0;

		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
			return;
		if (children_remove(children, info.si_pid)) {
			kill(-info.si_pid, SIGKILL);
			wait4(info.si_pid, &status, 0, &used);
			send_gone(info.si_pid, status, &used);
		} else {
			waitpid(info.si_pid, &status, 0);
		}
	}
}

/* fd, which is taken over, is for the next function process. */
static void
take_memory(struct runner *runner, int fd)
{
	if (runner->memory >= 0)
		close(runner->memory);
	runner->memory = fd;
}

static void
start_function(struct runner *runner, struct children *children, int64_t tag, enum runner_fork how,
	       int socket)
{
	pid_t pid = fork();
	int pidfd;

	if (pid == 0) {
		runner->by_snapshot = runner->by_snapshot && how != RUNNER_FORK_RUNS;
		function_serve(runner, socket, how == RUNNER_FORK_ADOPT);
	}
	close(socket);
	take_memory(runner, -1);
	if (pid < 0) {
		send_forked(tag, -1, -1);
		return;
	}
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) { /* one that the daemon could not kill must not live */
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		send_forked(tag, -1, -1);
		return;
	}
	children_add(children, pid);
	send_forked(tag, pid, pidfd);
	close(pidfd);
}

static void
take_request(struct runner *runner, struct children *children)
{
	struct frame frame;
	int socket;
	int rc = wire_read(CONTROL, &runner->in, &frame, &socket);

	if (rc == 0)
		_exit(RUNNER_EXIT_OK); /* the children die with us */
	if (rc < 0 || socket < 0)
		_exit(RUNNER_EXIT_PROTOCOL);
	if (frame_is(&frame, "i") && frame.field[0].number == RUNNER_MEMORY)
		take_memory(runner, socket);
	else if (frame_is(&frame, "iii") && frame.field[0].number == RUNNER_FORK)
		start_function(runner, children, frame.field[1].number,
			       (enum runner_fork)frame.field[2].number, socket);
	else
		_exit(RUNNER_EXIT_PROTOCOL);
}

void
zygote_serve(struct runner *runner, int signals)
{
	struct children children = {0};
	struct pollfd wait[2] = {{.fd = CONTROL, .events = POLLIN},
				 {.fd = signals, .events = POLLIN}};

	send_hello(runner);
	for (;;) {
		struct signalfd_siginfo ignored;

		if (poll(wait, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			_exit(RUNNER_EXIT_PROTOCOL);
		}
		if (wait[1].revents != 0 && read(signals, &ignored, sizeof(ignored)) > 0)
			reap(&children);
		if (wait[0].revents != 0)
			take_request(runner, &children);
	}
}
