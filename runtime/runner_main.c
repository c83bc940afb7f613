/* sluice-runner HEAP_BYTES [fork] - runs customer code; started by sluiced, never by hand.
 *
 * Runs are kept apart by snapshots of the heap; or, with `fork` and where the system has no sealed
 * memfds, each run is a process of its own.
 *
 * Descriptor 3 is the control socket of runtime/channel.h; every other one but 2 is closed.  What
 * needs files or the lazy set-up of OpenSSL and ICU happens here, before the sandbox; customer code is first
 * seen by a child of a child.  Whatever fails is fatal: there is no running without the sandbox. */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "runtime/channel.h"
#include "runtime/landlock.h"
#include "runtime/runner.h"

#define HEAP_MIN (1ll << 20)
#define HEAP_MAX (64ll << 30)
/* Beside the arena and the view of its snapshot: the program, the frames of a call in both forms,
 * and what malloc loses; the cap should be met first. */
#define ADDRESS_BESIDE_ARENA (768ll << 20)
#define ALLOC_STEP (256 << 10) /* how much more the C library asks the kernel for at once */

static bool
is_socket(int fd)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

static enum sl_code
close_others(struct sl_error *error)
{
	if (!is_socket(SANDBOX_SOCKET))
		return sl_fail(error, SL_INVALID,
			       "descriptor 3 is no socket; sluice-runner is started by sluiced");
	if (close_range(0, 1, 0) != 0 || close_range(SANDBOX_SOCKET + 1, ~0u, 0) != 0)
		return sl_fail(error, SL_UNAVAILABLE, "close_range: %s", strerror(errno));
	return SL_OK;
}

/* The C library reads the zone's file at the first tzset() and none later, as TZ stays. */
static enum sl_code
fix_zone(struct sl_error *error)
{
	time_t now = time(NULL);
	struct tm ignored;

	if (clearenv() != 0 || setenv("TZ", "UTC", 1) != 0)
		return sl_fail(error, SL_INTERNAL, "the environment cannot be set");
	tzset();
	if (gmtime_r(&now, &ignored) == NULL || localtime_r(&now, &ignored) == NULL)
		return sl_fail(error, SL_INTERNAL, "the time zone cannot be set");
	return SL_OK;
}

static enum sl_code
open_signals(int *out, struct sl_error *error)
{
	sigset_t chld;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	if (sigprocmask(SIG_SETMASK, &chld, NULL) != 0)
		return sl_fail(error, SL_UNAVAILABLE, "sigprocmask: %s", strerror(errno));
	*out = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	if (*out < 0)
		return sl_fail(error, SL_UNAVAILABLE, "signalfd: %s", strerror(errno));
	return SL_OK;
}

/* The heap as all function processes find it. */
static enum sl_code
warm_up(struct runner *runner, long long heap_bytes, struct sl_error *error)
{
	enum sl_code code = script_boot(runner, error);

	if (code != SL_OK)
		return code;
	arena_set_room(&runner->arena, (size_t)heap_bytes);
	if (!runner->by_snapshot)
		return SL_OK;
	snapshot_init(&runner->snapshot, &runner->arena);
	code = snapshot_share(&runner->snapshot, error);
	if (code == SL_OK)
		snapshot_watch(&runner->snapshot);
	if (code == SL_UNAVAILABLE) {
		fprintf(stderr, "sluice-runner: each run is a fork: %s\n", error->text);
		runner->by_snapshot = false;
		return SL_OK;
	}
	return code;
}

static enum sl_code
prepare(struct runner *runner, long long heap_bytes, int *signals, struct sl_error *error)
{
	enum sl_code code = close_others(error);
	int rc;

	if (code == SL_OK)
		code = fix_zone(error);
	if (code == SL_OK)
		code = arena_init(&runner->arena, runner, (size_t)heap_bytes, error);
	if (code == SL_OK)
		code =
		    sandbox_limit(2 * (long long)runner->arena.size + ADDRESS_BESIDE_ARENA, error);
	if (code == SL_OK)
		code = open_signals(signals, error);
	if (code == SL_OK)
		code = digest_open(&runner->digests, error);
	if (code == SL_OK)
		code = unicode_open(&runner->unicode, error);
	if (code == SL_OK)
		code = sandbox_prepare(&runner->sandbox, runner->arena.state, runner->arena.size,
				       error);
	if (code == SL_OK)
		code = warm_up(runner, heap_bytes, error);
	if (code == SL_OK)
		code = landlock_deny_all(&runner->landlock, error);
	if (code != SL_OK)
		return code;
	runner->self = getpid();
	rc = sandbox_enter(&runner->sandbox, SANDBOX_ROOT);
	if (rc != 0)
		return sl_fail(error, SL_UNAVAILABLE, "seccomp: %s", strerror(rc));
	return sandbox_self_check(&runner->sandbox, error);
}

int
main(int argc, char **argv)
{
	static struct runner runner;
	struct sl_error error = {0};
	long long heap_bytes = 0;
	char *end = NULL;
	int signals = -1;

	runner.by_snapshot = true;
	runner.memory = -1;
	if (argc == 3 && strcmp(argv[2], "fork") == 0)
		runner.by_snapshot = false;
	if (argc == 2 || (argc == 3 && !runner.by_snapshot))
		heap_bytes = strtoll(argv[1], &end, 10);
	if (end == NULL || *end != '\0' || heap_bytes < HEAP_MIN || heap_bytes > HEAP_MAX) {
		fprintf(stderr, "usage: sluice-runner HEAP_BYTES [fork] (started by sluiced)\n");
		return 2;
	}
	mallopt(M_TOP_PAD, ALLOC_STEP);
	buf_init(&runner.in, RUNNER_FRAME_MAX);
	if (prepare(&runner, heap_bytes, &signals, &error) != SL_OK) {
		fprintf(stderr, "sluice-runner: %s\n", error.text);
		return RUNNER_EXIT_SETUP;
	}
	zygote_serve(&runner, signals);
}
