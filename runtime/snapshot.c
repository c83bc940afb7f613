#include "runtime/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"

#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
/* So many pages in a row that are as in the shared heap are left to it; fewer are not worth a
 * mapping of their own. */
#define SAME_PAGES_MIN 8

/* The first runs that show which pages are written; one may be unlike the others. */
#define LESSONS 2
/* What is kept private to be copied to or cleared, at most; a multiple of any system's page. */
#define HOT_BYTES ((size_t)1 << 20)
#define FRESH_BYTES ((size_t)256 << 10)
#define NEAR_PAGES 3

#if !defined(MFD_NOEXEC_SEAL)
#define MFD_NOEXEC_SEAL 8u
#endif

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

/* All is written and sealed before anything is mapped.  Nothing here writes to the arena. */
bool
snapshot_freeze(struct snapshot *snapshot, int fd)
{
	size_t at, len;

	snapshot->extent = arena_extent(snapshot->arena);
	for (at = 0; (len = next_changed(snapshot, &at)) > 0; at += len) {
		if (!write_at(fd, memory_of(snapshot) + at, len, at))
			return false;
	}
	if (fcntl(fd, F_ADD_SEALS, SEALS) != 0)
		return false;
	for (at = 0; (len = next_changed(snapshot, &at)) > 0; at += len) {
		if (!map_over(memory_of(snapshot), len, PROT_READ | PROT_WRITE, fd, at) ||
		    !map_over(snapshot->view, len, PROT_READ, fd, at))
			return false;
	}
	snapshot->hot = sl_alloc(snapshot->extent / snapshot->arena->page);
	snapshot->lessons = 0;
	if (!snapshot_revert(snapshot))
		return false;
	snapshot->lessons = LESSONS;
	return true;
}

/* Ranges of hot pages; what is between two that are near each other is copied along. */
static void
build_ranges(struct snapshot *snapshot)
{
	size_t page = snapshot->arena->page, last = 0;

	snapshot->ranges = 0;
	for (size_t at = 0; at < snapshot->extent; at += page) {
		if (!snapshot->hot[at / page])
			continue;
		if (snapshot->ranges > 0 && at - last <= NEAR_PAGES * page) {
			snapshot->range[snapshot->ranges - 1].len =
			    at + page - snapshot->range[snapshot->ranges - 1].at;
		} else {
			if (snapshot->ranges == SNAPSHOT_RANGES)
				return;
			snapshot->range[snapshot->ranges].at = at;
			snapshot->range[snapshot->ranges].len = page;
			snapshot->ranges++;
		}
		last = at;
	}
}

/* The last lesson leaves the view's pages to those who share them: what is copied from comes back.
 */
static bool
learn(struct snapshot *snapshot)
{
	size_t page = snapshot->arena->page, hot = 0;

	snapshot->lessons--;
	for (size_t at = 0; at < snapshot->extent && hot < HOT_BYTES; at += page) {
		if (!snapshot->hot[at / page] && !is_same(snapshot, at))
			snapshot->hot[at / page] = 1;
		hot += snapshot->hot[at / page] ? page : 0;
	}
	build_ranges(snapshot);
	return snapshot->lessons > 0 ||
	       madvise(snapshot->view, snapshot->extent, MADV_DONTNEED) == 0;
}

static bool
give_back(struct snapshot *snapshot, size_t from, size_t to)
{
	return from >= to || madvise(memory_of(snapshot) + from, to - from, MADV_DONTNEED) == 0;
}

bool
snapshot_revert(struct snapshot *snapshot)
{
	/* Of the run: the copying below reverts the arena's own state. */
	size_t peak = arena_peak(snapshot->arena), at = 0, fresh;
	char *memory = memory_of(snapshot);

	if (snapshot->lessons > 0 && !learn(snapshot))
		return false;
	for (int i = 0; i < snapshot->ranges; i++) {
		size_t start = snapshot->range[i].at, len = snapshot->range[i].len;

		if (!give_back(snapshot, at, start))
			return false;
		memcpy(memory + start, snapshot->view + start, len);
		at = start + len;
	}
	if (!give_back(snapshot, at, snapshot->extent))
		return false;
	fresh = snapshot->extent + FRESH_BYTES;
	if (fresh > snapshot->arena->size)
		fresh = snapshot->arena->size;
	if (peak > snapshot->extent)
		memset(memory + snapshot->extent, 0,
		       (peak < fresh ? peak : fresh) - snapshot->extent);
	return give_back(snapshot, fresh, snapshot->arena->size);
}
