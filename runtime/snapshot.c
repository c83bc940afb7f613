#include "runtime/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"

#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
/* So many pages in a row that are as in the shared heap are left to it; fewer are not worth a
 * mapping of their own. */
#define SAME_PAGES_MIN 8

/* The runs that show which pages are written; one may be unlike the others.  A process that is evicted
 * after a few runs never gets its costs back, so they are not the first ones. */
#define LESSONS 2
#define RUNS_BEFORE_LESSONS 3
/* What is kept private to be copied to or cleared, at most; multiples of any system's page. */
#define HOT_BYTES ((size_t)2 << 20)
#define HOT_SPARE_BYTES ((size_t)512 << 10) /* more, for pages that opened windows */
#define FRESH_BYTES ((size_t)256 << 10)
#define WINDOW_PAGES 16 /* as many as the kernel maps at once when one is read */
#define SPARE_LESSONS 48

#define TABLE_RANGES 1022

/* The end of a frozen memfd: which parts of the heap it holds.  The file is as long as the arena,
 * each part is where it belongs, and there is nothing between them. */
struct table {
	uint64_t extent, count;
	struct {
		uint64_t at, len;
	} range[TABLE_RANGES];
};

#if !defined(MFD_NOEXEC_SEAL)
#define MFD_NOEXEC_SEAL 8u
#endif

/* A handler is given nothing of ours. */
static struct snapshot *watched;

int
snapshot_open(void)
{
	int fd = memfd_create("heap", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) /* a kernel before 6.3 */
		fd = memfd_create("heap", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd;
}

static bool
write_at(int fd, const char *bytes, size_t len, size_t at)
{
	while (len > 0) {
		ssize_t put = pwrite(fd, bytes, len, (off_t)at);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return false;
		bytes += put;
		len -= (size_t)put;
		at += (size_t)put;
	}
	return true;
}

static bool
map_over(char *memory, size_t len, int protection, int fd, size_t at)
{
	return mmap(memory + at, len, protection, MAP_PRIVATE | MAP_FIXED, fd, (off_t)at) !=
	       MAP_FAILED;
}

static char *
memory_of(const struct snapshot *snapshot)
{
	return (char *)snapshot->arena->state;
}

void
snapshot_init(struct snapshot *snapshot, struct arena *arena)
{
	*snapshot = (struct snapshot){.arena = arena, .view = arena->spare};
}

void
snapshot_fini(struct snapshot *snapshot)
{
	if (watched == snapshot)
		watched = NULL;
	free(snapshot->hot);
	*snapshot = (struct snapshot){0};
}

enum sl_code
snapshot_share(struct snapshot *snapshot, struct sl_error *error)
{
	enum sl_code code = SL_OK;
	size_t len;
	int fd = snapshot_open();

	if (fd < 0)
		return sl_fail(error, SL_UNAVAILABLE, "memfd_create: %s", strerror(errno));
	arena_close_holes(snapshot->arena);
	len = arena_extent(snapshot->arena);
	if (!write_at(fd, memory_of(snapshot), len, 0) || fcntl(fd, F_ADD_SEALS, SEALS) != 0 ||
	    !map_over(snapshot->view, len, PROT_READ, fd, 0))
		code = sl_fail(error, SL_UNAVAILABLE, "the heap cannot be frozen: %s",
			       strerror(errno));
	else if (!map_over(memory_of(snapshot), len, PROT_READ | PROT_WRITE, fd, 0))
		code =
		    sl_fail(error, SL_INTERNAL, "the heap cannot be mapped: %s", strerror(errno));
	close(fd);
	snapshot->shared_len = code == SL_OK ? len : 0;
	return code;
}

static bool
is_same(const struct snapshot *snapshot, size_t at)
{
	return memcmp(memory_of(snapshot) + at, snapshot->view + at, snapshot->arena->page) == 0;
}

static bool
is_shared(const struct snapshot *snapshot, size_t at)
{
	return at < snapshot->shared_len && is_same(snapshot, at);
}

/* Finds the next run of pages from *at on that are to be frozen, and its length; 0: no more. */
static size_t
next_changed(const struct snapshot *snapshot, size_t *at)
{
	size_t page = snapshot->arena->page, start = *at, end, same = 0;

	while (start < snapshot->extent && is_shared(snapshot, start))
		start += page;
	end = start;
	for (size_t look = start; look < snapshot->extent && same < SAME_PAGES_MIN; look += page) {
		if (is_shared(snapshot, look)) {
			same++;
		} else {
			same = 0;
			end = look + page;
		}
	}
	*at = start;
	return end - start;
}

static size_t
table_len(const struct snapshot *snapshot)
{
	size_t page = snapshot->arena->page;

	return (sizeof(struct table) + page - 1) & ~(page - 1);
}

/* Where the table is in the memfd, and in the view. */
static size_t
table_at(const struct snapshot *snapshot)
{
	return snapshot->arena->size - table_len(snapshot);
}

static void
list_changed(const struct snapshot *snapshot, struct table *table)
{
	size_t at, len;

	table->extent = snapshot->extent;
	for (at = 0; (len = next_changed(snapshot, &at)) > 0; at += len) {
		if (table->count == TABLE_RANGES - 1)
			len = snapshot->extent - at; /* the rest as one */
		table->range[table->count].at = at;
		table->range[table->count++].len = len;
	}
}

static bool
write_table(const struct snapshot *snapshot, const struct table *table, int fd)
{
	for (size_t i = 0; i < table->count; i++) {
		size_t at = table->range[i].at;

		if (!write_at(fd, memory_of(snapshot) + at, table->range[i].len, at))
			return false;
	}
	return write_at(fd, (const char *)table, table_len(snapshot), table_at(snapshot));
}

static bool
map_table(struct snapshot *snapshot, const struct table *table, int fd)
{
	for (size_t i = 0; i < table->count; i++) {
		size_t at = table->range[i].at, len = table->range[i].len;

		if (!map_over(memory_of(snapshot), len, PROT_READ | PROT_WRITE, fd, at) ||
		    !map_over(snapshot->view, len, PROT_READ, fd, at))
			return false;
	}
	return true;
}

static bool
give_back(struct snapshot *snapshot, size_t from, size_t to)
{
	return from >= to || madvise(memory_of(snapshot) + from, to - from, MADV_DONTNEED) == 0;
}

/* Its pages are left to those who share them; what is copied from comes back. */
static bool
leave_view(struct snapshot *snapshot)
{
	return madvise(snapshot->view, snapshot->extent, MADV_DONTNEED) == 0;
}

static bool
begin_lessons(struct snapshot *snapshot)
{
	snapshot->hot = sl_alloc(snapshot->extent / snapshot->arena->page);
	if (!give_back(snapshot, 0, snapshot->arena->size) || !leave_view(snapshot))
		return false;
	snapshot->lessons = LESSONS + RUNS_BEFORE_LESSONS;
	snapshot->spare_lessons = SPARE_LESSONS;
	return true;
}

/* All is written and sealed before anything is mapped.  Nothing here writes to the arena. */
bool
snapshot_freeze(struct snapshot *snapshot, int fd)
{
	struct table *table;
	bool ok;

	snapshot->extent = arena_extent(snapshot->arena);
	if (snapshot->extent > table_at(snapshot))
		return false;
	table = sl_alloc(table_len(snapshot));
	list_changed(snapshot, table);
	ok = write_table(snapshot, table, fd) && fcntl(fd, F_ADD_SEALS, SEALS) == 0 &&
	     map_table(snapshot, table, fd);
	free(table);
	return ok && begin_lessons(snapshot);
}

static bool
table_is_sound(const struct snapshot *snapshot, const struct table *table)
{
	size_t page = snapshot->arena->page, last = 0;

	if (table->extent == 0 || table->extent % page != 0 || table->extent > table_at(snapshot) ||
	    table->count > TABLE_RANGES)
		return false;
	for (size_t i = 0; i < table->count; i++) {
		size_t at = table->range[i].at, len = table->range[i].len;

		if (at % page != 0 || len % page != 0 || len == 0 || at < last ||
		    at > table->extent || len > table->extent - at)
			return false;
		last = at + len;
	}
	return true;
}

bool
snapshot_adopt(struct snapshot *snapshot, int fd)
{
	size_t at = table_at(snapshot), len = table_len(snapshot);
	const struct table *table = (const struct table *)(const void *)(snapshot->view + at);

	if (!map_over(snapshot->view, len, PROT_READ, fd, at) || !table_is_sound(snapshot, table))
		return false;
	snapshot->extent = table->extent;
	return map_table(snapshot, table, fd) && begin_lessons(snapshot);
}

/* Ranges of hot pages, and of nothing else: what is copied besides costs more, by the memory that it
 * takes from the caches when many processes take turns, than a mapping more does. */
static void
build_ranges(struct snapshot *snapshot)
{
	size_t page = snapshot->arena->page, end = 0;

	snapshot->ranges = 0;
	for (size_t at = 0; at < snapshot->extent; at += page) {
		if (!snapshot->hot[at / page])
			continue;
		if (snapshot->ranges > 0 && at == end) {
			snapshot->range[snapshot->ranges - 1].len += page;
		} else {
			if (snapshot->ranges == SNAPSHOT_RANGES)
				return;
			snapshot->range[snapshot->ranges].at = at;
			snapshot->range[snapshot->ranges++].len = page;
		}
		end = at + page;
	}
}

static void
make_hot(struct snapshot *snapshot, size_t at, size_t most)
{
	unsigned char *hot = &snapshot->hot[at / snapshot->arena->page];

	if (*hot != 0 || snapshot->hot_bytes >= most)
		return;
	*hot = 1;
	snapshot->hot_bytes += snapshot->arena->page;
}

static bool
open_all(struct snapshot *snapshot)
{
	snapshot->guarded = false;
	return mprotect(memory_of(snapshot), snapshot->extent, PROT_READ | PROT_WRITE) == 0;
}

/* Pages whose first write opened a window, and with it the page: a count that goes up and down again
 * leaves no difference.  Without a guard, those that differ. */
static bool
learn(struct snapshot *snapshot)
{
	size_t page = snapshot->arena->page;

	for (int i = 0; i < snapshot->windows; i++)
		make_hot(snapshot, snapshot->window[i].page, HOT_BYTES + HOT_SPARE_BYTES);
	for (size_t at = 0; at < snapshot->extent && !snapshot->guarded; at += page) {
		if (!is_same(snapshot, at))
			make_hot(snapshot, at, HOT_BYTES);
	}
	build_ranges(snapshot);
	return snapshot->guarded || leave_view(snapshot);
}

/* Calls fn for each part of [from, to) that is not hot. */
static bool
each_gap(struct snapshot *snapshot, size_t from, size_t to,
	 bool (*fn)(struct snapshot *snapshot, size_t from, size_t to))
{
	for (int i = 0; i < snapshot->ranges && from < to; i++) {
		size_t start = snapshot->range[i].at, end = start + snapshot->range[i].len;

		if (start > from && !fn(snapshot, from, start < to ? start : to))
			return false;
		if (end > from)
			from = end;
	}
	return from >= to || fn(snapshot, from, to);
}

static bool
give_back_and_guard(struct snapshot *snapshot, size_t from, size_t to)
{
	return give_back(snapshot, from, to) &&
	       mprotect(memory_of(snapshot) + from, to - from, PROT_READ) == 0;
}

static size_t
window_end(const struct snapshot *snapshot, size_t start)
{
	size_t end = start + WINDOW_PAGES * snapshot->arena->page;

	return end < snapshot->extent ? end : snapshot->extent;
}

static bool
open_window(struct snapshot *snapshot, size_t at)
{
	size_t page = snapshot->arena->page, start = at - at % (WINDOW_PAGES * page);

	if (snapshot->windows == SNAPSHOT_WINDOWS)
		return open_all(snapshot);
	snapshot->window[snapshot->windows].start = start;
	snapshot->window[snapshot->windows++].page = at - at % page;
	return mprotect(memory_of(snapshot) + start, window_end(snapshot, start) - start,
			PROT_READ | PROT_WRITE) == 0;
}

/* With the signal blocked, as it is in its handler, another fault ends the process as if there were no
 * handler; the sandbox leaves no call that could. */
__attribute__((no_sanitize("undefined"))) static void
fault_again(void)
{
	volatile char *volatile nowhere = NULL;

	*nowhere = 0;
}

static void
on_fault(int signo, siginfo_t *info, void *context)
{
	uintptr_t at = (uintptr_t)info->si_addr - (uintptr_t)memory_of(watched);
	int saved = errno;

	(void)signo;
	(void)context;
	if (info->si_code != SEGV_ACCERR || !watched->guarded || at >= watched->extent ||
	    !open_window(watched, at))
		fault_again();
	errno = saved;
}

void
snapshot_watch(struct snapshot *snapshot)
{
	struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

	watched = snapshot;
	if (sigaction(SIGSEGV, &action, NULL) != 0)
		watched = NULL;
}

/* All that is not hot, as far as it may have been written. */
static bool
revert_cold(struct snapshot *snapshot)
{
	bool guards = watched == snapshot && snapshot->lessons == 0 && !snapshot->gives_up;

	if (!snapshot->guarded) {
		snapshot->guarded = guards;
		snapshot->windows = 0;
		return each_gap(snapshot, 0, snapshot->extent,
				guards ? give_back_and_guard : give_back);
	}
	while (snapshot->windows > 0) {
		size_t start = snapshot->window[--snapshot->windows].start;

		if (!each_gap(snapshot, start, window_end(snapshot, start), give_back_and_guard))
			return false;
	}
	return true;
}

/* Is it time to learn which pages are written?  Counts. */
static bool
is_lesson(struct snapshot *snapshot)
{
	if (snapshot->lessons > 0)
		return snapshot->lessons-- <= LESSONS;
	if (watched != snapshot || snapshot->windows == 0)
		return false;
	if (snapshot->spare_lessons == 0) {
		snapshot->gives_up = !snapshot->guarded;
		return false;
	}
	snapshot->spare_lessons--;
	return true;
}

bool
snapshot_revert(struct snapshot *snapshot)
{
	/* Of the run: the copying below reverts the arena's own state. */
	size_t peak = arena_peak(snapshot->arena), fresh = snapshot->extent + FRESH_BYTES;
	char *memory = memory_of(snapshot);

	if (is_lesson(snapshot) && !learn(snapshot))
		return false;
	for (int i = 0; i < snapshot->ranges; i++) {
		size_t start = snapshot->range[i].at;

		memcpy(memory + start, snapshot->view + start, snapshot->range[i].len);
	}
	if (!revert_cold(snapshot))
		return false;
	if (fresh > snapshot->arena->size)
		fresh = snapshot->arena->size;
	if (peak > snapshot->extent)
		memset(memory + snapshot->extent, 0,
		       (peak < fresh ? peak : fresh) - snapshot->extent);
	return give_back(snapshot, fresh, snapshot->arena->size);
}
