#include "runtime/arena.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/channel.h"

void
arena_init(struct arena *arena, void *owner)
{
	arena->used = 0;
	arena->cap = SIZE_MAX;
	arena->refusals = 0;
	arena->owner = owner;
}

void
arena_set_room(struct arena *arena, size_t bytes)
{
	arena->cap = bytes > SIZE_MAX - arena->used ? SIZE_MAX : arena->used + bytes;
	arena->refusals = 0;
}

static void *
refuse(struct arena *arena)
{
	if (++arena->refusals >= ARENA_REFUSALS_MAX)
		_exit(RUNNER_EXIT_MEMORY);
	return NULL;
}

/* used is at most cap except while arena_set_room() has not been called, so this cannot wrap. */
static bool
has_room(const struct arena *arena, size_t size)
{
	return arena->used <= arena->cap && size <= arena->cap - arena->used;
}

void *
arena_alloc(void *udata, size_t size)
{
	struct arena *arena = udata;
	void *pointer;

	if (size == 0)
		return NULL;
	if (!has_room(arena, size))
		return refuse(arena);
	pointer = malloc(size);
	if (pointer == NULL)
		return refuse(arena);
	arena->used += malloc_usable_size(pointer);
	return pointer;
}

void *
arena_realloc(void *udata, void *pointer, size_t size)
{
	struct arena *arena = udata;
	size_t before;
	void *moved;

	if (pointer == NULL)
		return arena_alloc(arena, size);
	if (size == 0) {
		arena_free(arena, pointer);
		return NULL;
	}
	before = malloc_usable_size(pointer);
	if (size > before && !has_room(arena, size - before))
		return refuse(arena);
	moved = realloc(pointer, size);
	if (moved == NULL)
		return refuse(arena);
	arena->used = arena->used - before + malloc_usable_size(moved);
	return moved;
}

void
arena_free(void *udata, void *pointer)
{
	struct arena *arena = udata;

	if (pointer == NULL)
		return;
	arena->used -= malloc_usable_size(pointer);
	free(pointer);
}
