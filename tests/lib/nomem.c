/* tests/lib/nomem.c - preloaded into sluiced: one of its allocations fails, or some in a row, when a test says so.
 *
 * NOMEM names a file of three numbers (int64), which test and process share: how many allocations are
 * still good, how many then fail, and how many have failed.  All zero: nothing happens.  Only a program
 * of the name sluiced counts, not what it starts.  A crash says on standard error where it was, and which
 * allocation was the last that failed. */
#define _GNU_SOURCE
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct plan {
	_Atomic int64_t good, failing, failed;
};

/* glibc's own, which need no dlsym(): that one allocates. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *pointer, size_t size);

static struct plan *plan;
static void *last[24]; /* where the last failed allocation was */
static int last_count;

static void
crashed(int signo)
{
	void *here[24];
	int count = backtrace(here, 24);

	backtrace_symbols_fd(here, count, STDERR_FILENO);
	(void)!write(STDERR_FILENO, "-- no memory at\n", 16);
	backtrace_symbols_fd(last, last_count, STDERR_FILENO);
	signal(signo, SIG_DFL);
	raise(signo);
}

__attribute__((constructor)) static void
start(void)
{
	const char *path = getenv("NOMEM");
	void *at;
	int fd;

	if (path == NULL || strcmp(program_invocation_short_name, "sluiced") != 0)
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		abort();
	at = mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (at == MAP_FAILED)
		abort();
	last_count = backtrace(last, 24); /* its first call allocates */
	signal(SIGSEGV, crashed);
	plan = at;
}

static int
fails(void)
{
	if (plan == NULL || atomic_load(&plan->failing) <= 0)
		return 0;
	if (atomic_fetch_sub(&plan->good, 1) > 0)
		return 0;
	atomic_fetch_sub(&plan->failing, 1);
	atomic_fetch_add(&plan->failed, 1);
	last_count = backtrace(last, 24);
	errno = ENOMEM;
	return 1;
}

void *
malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

void *
calloc(size_t count, size_t size)
{
	return fails() ? NULL : __libc_calloc(count, size);
}

void *
realloc(void *pointer, size_t size)
{
	return fails() ? NULL : __libc_realloc(pointer, size);
}
