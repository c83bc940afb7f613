/* runtime/arena.h - the memory of one Duktape heap, with a cap.
 *
 * A request that would pass the cap is refused; Duktape then collects garbage (ten times over) and
 * throws an error that a script can catch.  A script that goes on asking would spend its whole CPU
 * limit on such collections, so after ARENA_REFUSALS_MAX refusals the process exits with
 * RUNNER_EXIT_MEMORY.  Only C that runs under the cap's owner may call the hooks: they do not
 * return in that case. */
#ifndef SLUICE_RUNTIME_ARENA_H
#define SLUICE_RUNTIME_ARENA_H

#include <stdbool.h>
#include <stddef.h>

/* One failed allocation in a script is up to eleven refusals: the first, and one after each of
 * Duktape's emergency collections. */
#define ARENA_REFUSALS_MAX 44

struct arena {
	size_t used; /* bytes handed out, as the C library counts them */
	size_t cap;  /* bytes */
	unsigned refusals;
	void *owner; /* of the heap; for host functions that have only the heap at hand */
};

void arena_init(struct arena *arena, void *owner); /* without a cap */
/* Lets the heap grow by bytes from what is in use now; forgets refusals. */
void arena_set_room(struct arena *arena, size_t bytes);

/* duk_create_heap()'s hooks; udata is a struct arena. */
void *arena_alloc(void *udata, size_t size);
void *arena_realloc(void *udata, void *pointer, size_t size);
void arena_free(void *udata, void *pointer);

#endif
