/* runtime/arena.h - the memory of one Duktape heap, in one piece and with a cap.
 *
 * All of the heap, and all that the allocator knows of it (struct arena_state), lies in one range
 * of reserved address space.  So a copy of the range's bytes is a copy of the heap: runtime/
 * snapshot.h puts one back.  Pages are taken from the system when they are touched.
 *
 * Blocks of at most 1 KiB come from a list per size, or else are cut one after the other from
 * chunks of 16 KiB, so that what a run allocates together lies together; they never change their
 * size or merge.  Larger blocks have boundary tags and merge with free neighbours.  Chunks are
 * large blocks: holes that growing arrays leave behind are filled by small blocks.
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

#include "base/error.h"

/* One failed allocation in a script is up to eleven refusals: the first, and one after each of
 * Duktape's emergency collections. */
#define ARENA_REFUSALS_MAX 44

/* Room for the prelude and a module beside the cap. */
#define ARENA_BESIDE (64u << 20)

struct arena_state;

/* Nothing here changes once there is a heap: what does is in state. */
struct arena {
	struct arena_state *state; /* at the start of the range; owned */
	char *spare;               /* as much again, right behind: for snapshot.h's view */
	size_t size;               /* bytes of address space */
	size_t page;               /* bytes of the system's page */
	void *owner; /* of the heap; for host functions that have only the heap at hand */
};

/* Reserves the range for a heap of at most heap_bytes beyond what arena_set_room() finds.  Twice
 * that, as small blocks do not merge; in pages touched it costs nothing.  Without a cap at first.
 * SL_EXHAUSTED: no address space. */
SL_MUST_USE enum sl_code arena_init(struct arena *arena, void *owner, size_t heap_bytes,
				    struct sl_error *error);
void arena_fini(struct arena *arena); /* the heap is gone, whatever it held */
/* Lets the heap grow by bytes from what is in use now; forgets refusals. */
void arena_set_room(struct arena *arena, size_t bytes);
size_t arena_used(const struct arena *arena); /* bytes handed out, with what the allocator adds */
unsigned arena_refusals(const struct arena *arena);
/* What is free now is never handed out again, and the next block starts on a page of its own: a
 * run then writes to pages that are its own anyway, instead of holes in pages it would share. */
void arena_close_holes(struct arena *arena);
/* Bytes from the start of the range on that may be other than zero; whole pages.  Those behind were
 * touched only by blocks that are gone. */
size_t arena_extent(const struct arena *arena);
/* The largest arena_extent() there has been. */
size_t arena_peak(const struct arena *arena);

/* duk_create_heap()'s hooks; udata is a struct arena. */
void *arena_alloc(void *udata, size_t size);
void *arena_realloc(void *udata, void *pointer, size_t size);
void arena_free(void *udata, void *pointer);

#endif
