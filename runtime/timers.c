#include "runtime/timers.h"

#include <stdlib.h>

#include "base/alloc.h"

static bool
is_before(const struct timer *a, const struct timer *b)
{
	return a->due_ms != b->due_ms ? a->due_ms < b->due_ms : a->order < b->order;
}

static void
swap(struct timers *timers, size_t a, size_t b)
{
	struct timer kept = timers->heap[a];

	timers->heap[a] = timers->heap[b];
	timers->heap[b] = kept;
}

static void
sift_up(struct timers *timers, size_t at)
{
	while (at > 0 && is_before(&timers->heap[at], &timers->heap[(at - 1) / 2])) {
		swap(timers, at, (at - 1) / 2);
		at = (at - 1) / 2;
	}
}

static void
sift_down(struct timers *timers, size_t at)
{
	for (;;) {
		size_t first = at;

		for (size_t child = 2 * at + 1; child <= 2 * at + 2; child++) {
			if (child < timers->count &&
			    is_before(&timers->heap[child], &timers->heap[first]))
				first = child;
		}
		if (first == at)
			return;
		swap(timers, at, first);
		at = first;
	}
}

bool
timers_add(struct timers *timers, double id, int64_t due_ms)
{
	if (timers->count == TIMERS_MAX)
		return false;
	if (timers->count == timers->size) {
		timers->size = timers->size > 0 ? timers->size * 2 : 16;
		timers->heap = sl_realloc(timers->heap, timers->size * sizeof(*timers->heap));
	}
	timers->heap[timers->count] =
	    (struct timer){.due_ms = due_ms, .order = timers->order++, .id = id};
	sift_up(timers, timers->count++);
	return true;
}

static void
remove_at(struct timers *timers, size_t at)
{
	timers->heap[at] = timers->heap[--timers->count];
	if (at < timers->count) {
		sift_down(timers, at);
		sift_up(timers, at);
	}
}

void
timers_remove(struct timers *timers, double id)
{
	for (size_t at = 0; at < timers->count; at++) {
		if (timers->heap[at].id == id) {
			remove_at(timers, at);
			return;
		}
	}
}

int64_t
timers_wait_ms(const struct timers *timers, int64_t now_ms)
{
	if (timers->count == 0)
		return -1;
	return timers->heap[0].due_ms > now_ms ? timers->heap[0].due_ms - now_ms : 0;
}

bool
timers_take_due(struct timers *timers, int64_t now_ms, double *id)
{
	if (timers_wait_ms(timers, now_ms) != 0)
		return false;
	*id = timers->heap[0].id;
	remove_at(timers, 0);
	return true;
}

void
timers_fini(struct timers *timers)
{
	free(timers->heap);
	*timers = (struct timers){0};
}
