#include "runtime/arena.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/channel.h"

#define UNIT ((size_t)16) /* of block sizes */
#define HEAD sizeof(size_t)
#define SMALL_MAX ((size_t)1024)
#define SMALL_CLASSES (SMALL_MAX / UNIT + 1)
#define LARGE_MIN (SMALL_MAX + UNIT)
#define CHUNK ((size_t)16 << 10)
#define BINS 128 /* of large free blocks: four for each power of two from 1 KiB on */
#define BIN_LOOKS 8

enum {
	BLOCK_SMALL = 1,
	BLOCK_FREE = 2,      /* large only; its last word repeats its size */
	BLOCK_PREV_FREE = 4, /* large only: the block that ends here is free and large */
	BLOCK_FLAGS = 15,
};

/* Starts 8 bytes before a multiple of UNIT, so that what it holds is aligned. */
struct block {
	size_t head;        /* bytes, head included, and flags */
	struct block *next; /* the rest only while it is free */
	struct block *prev;
};

/* Invariants: blocks lie from first to top without gaps; no two large free blocks touch, and none
 * touches top. */
struct arena_state {
	size_t used, cap; /* bytes of blocks that are handed out */
	unsigned refusals;
	char *first, *top, *end; /* of the range; nothing is in use from top on */
	char *peak;              /* the highest top; nothing was written from there on */
	char *chunk, *chunk_end; /* what is left of the present chunk */
	struct block *small[SMALL_CLASSES];
	uint64_t filled[BINS / 64]; /* a bit per bin */
	struct block *bin[BINS];
};

static size_t
page_up(size_t bytes, size_t page)
{
	return (bytes + page - 1) & ~(page - 1);
}

enum sl_code
arena_init(struct arena *arena, void *owner, size_t heap_bytes, struct sl_error *error)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = 2 * heap_bytes + ARENA_BESIDE;
	char *range;

	if (heap_bytes > SIZE_MAX / 8)
		return sl_fail(error, SL_EXHAUSTED, "no address space for the heap");
	size = page_up(size, page);
	/* Where the system counts what it has promised, the half that is only read counts nothing.
	 */
	range = mmap(NULL, 2 * size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (range == MAP_FAILED || mprotect(range, size, PROT_READ | PROT_WRITE) != 0)
		return sl_fail(error, SL_EXHAUSTED, "no address space for the heap: %s",
			       strerror(errno));
	/* A first touch would clear 2 MiB. The kernel may know no huge pages (EINVAL). */
	(void)madvise(range, size, MADV_NOHUGEPAGE);
	*arena = (struct arena){.state = (struct arena_state *)range,
				.size = size,
				.page = page,
				.spare = range + size,
				.owner = owner};
	arena->state->cap = SIZE_MAX;
	arena->state->first =
	    range + ((sizeof(struct arena_state) + UNIT - 1) & ~(UNIT - 1)) + UNIT - HEAD;
	arena->state->top = arena->state->peak = arena->state->first;
	arena->state->end = range + size;
	return SL_OK;
}

void
arena_fini(struct arena *arena)
{
	munmap(arena->state, 2 * arena->size);
	*arena = (struct arena){0};
}

void
arena_set_room(struct arena *arena, size_t bytes)
{
	struct arena_state *state = arena->state;

	state->cap = bytes > SIZE_MAX - state->used ? SIZE_MAX : state->used + bytes;
	state->refusals = 0;
}

size_t
arena_used(const struct arena *arena)
{
	return arena->state->used;
}

unsigned
arena_refusals(const struct arena *arena)
{
	return arena->state->refusals;
}

static size_t
size_of(const struct block *block)
{
	return block->head & ~(size_t)BLOCK_FLAGS;
}

static struct block *
block_of(void *pointer)
{
	return (struct block *)((char *)pointer - HEAD);
}

static void *
payload_of(struct block *block)
{
	return (char *)block + HEAD;
}

/* NULL: there is none, top is next. */
static struct block *
after(const struct arena_state *state, struct block *block)
{
	char *at = (char *)block + size_of(block);

	return at < state->top ? (struct block *)at : NULL;
}

static int
bin_of(size_t size)
{
	int log = 63 - __builtin_clzll(size);
	int bin = (log - 10) * 4 + (int)(size >> (log - 2) & 3);

	return bin < BINS ? bin : BINS - 1;
}

static void
unlink_free(struct arena_state *state, struct block *block)
{
	int bin = bin_of(size_of(block));

	if (block->prev != NULL)
		block->prev->next = block->next;
	else
		state->bin[bin] = block->next;
	if (block->next != NULL)
		block->next->prev = block->prev;
	if (state->bin[bin] == NULL)
		state->filled[bin / 64] &= ~(UINT64_C(1) << bin % 64);
}

/* A large block, already merged with its neighbours, which is not at top. */
static void
link_free(struct arena_state *state, struct block *block)
{
	size_t size = size_of(block);
	int bin = bin_of(size);
	struct block *next = after(state, block);

	block->head = size | BLOCK_FREE;
	memcpy((char *)block + size - sizeof(size), &size, sizeof(size));
	next->head |= BLOCK_PREV_FREE;
	block->prev = NULL;
	block->next = state->bin[bin];
	if (block->next != NULL)
		block->next->prev = block;
	state->bin[bin] = block;
	state->filled[bin / 64] |= UINT64_C(1) << bin % 64;
}

/* Makes a large block free; its flags but BLOCK_PREV_FREE say nothing yet. */
static void
give_large(struct arena_state *state, struct block *block)
{
	size_t size = size_of(block);
	struct block *next = after(state, block);

	if (next != NULL && (next->head & BLOCK_FREE) != 0) {
		unlink_free(state, next);
		size += size_of(next);
	}
	if ((block->head & BLOCK_PREV_FREE) != 0) {
		size_t before;

		memcpy(&before, (char *)block - sizeof(before), sizeof(before));
		block = (struct block *)((char *)block - before);
		unlink_free(state, block);
		size += before;
	}
	block->head = size;
	if (after(state, block) == NULL)
		state->top = (char *)block;
	else
		link_free(state, block);
}

/* A free block of at least size: one of its own bin that happens to fit, or any of a higher one. */
static struct block *
find_free(struct arena_state *state, size_t size)
{
	int bin = bin_of(size), looks = 0;
	uint64_t bits;

	for (struct block *block = state->bin[bin]; block != NULL && looks < BIN_LOOKS;
	     block = block->next, looks++) {
		if (size_of(block) >= size)
			return block;
	}
	if (++bin >= BINS)
		return NULL;
	bits = state->filled[bin / 64] & ~UINT64_C(0) << bin % 64;
	if (bits == 0 && bin < 64) {
		bin = 64;
		bits = state->filled[1];
	}
	return bits != 0 ? state->bin[(bin & 64) + __builtin_ctzll(bits)] : NULL;
}

/* Cuts what a used block has beyond size off it, if that can be a block. */
static void
trim(struct arena_state *state, struct block *block, size_t size)
{
	size_t rest = size_of(block) - size;
	struct block *tail = (struct block *)((char *)block + size);

	if (rest < LARGE_MIN)
		return;
	block->head = size | (block->head & BLOCK_PREV_FREE);
	tail->head = rest;
	give_large(state, tail);
}

static void
raise_top(struct arena_state *state, size_t size)
{
	state->top += size;
	if (state->top > state->peak)
		state->peak = state->top;
}

static struct block *
take_large(struct arena_state *state, size_t size)
{
	struct block *block = find_free(state, size), *next;

	if (block == NULL) {
		if (size > (size_t)(state->end - state->top))
			return NULL;
		block = (struct block *)state->top;
		block->head = size;
		raise_top(state, size);
		return block;
	}
	unlink_free(state, block);
	block->head = size_of(block);
	next = after(state, block);
	next->head &= ~(size_t)BLOCK_PREV_FREE;
	trim(state, block, size);
	return block;
}

static void
give_small(struct arena_state *state, struct block *block)
{
	size_t class = size_of(block) / UNIT;

	block->next = state->small[class];
	state->small[class] = block;
}

static bool
next_chunk(struct arena_state *state)
{
	struct block *chunk = take_large(state, CHUNK);

	if (chunk == NULL)
		return false;
	if (state->chunk < state->chunk_end) {
		struct block *rest = (struct block *)state->chunk;

		rest->head = (size_t)(state->chunk_end - state->chunk) | BLOCK_SMALL;
		give_small(state, rest);
	}
	/* Its blocks are off the multiples of UNIT as it is itself. */
	state->chunk = (char *)chunk + UNIT;
	state->chunk_end = (char *)chunk + size_of(chunk);
	return true;
}

static struct block *
take_small(struct arena_state *state, size_t size)
{
	struct block *block = state->small[size / UNIT];

	if (block != NULL) {
		state->small[size / UNIT] = block->next;
		return block;
	}
	if ((size_t)(state->chunk_end - state->chunk) < size && !next_chunk(state))
		return NULL;
	block = (struct block *)state->chunk;
	block->head = size | BLOCK_SMALL;
	state->chunk += size;
	return block;
}

static struct block *
take(struct arena_state *state, size_t size)
{
	return size <= SMALL_MAX ? take_small(state, size) : take_large(state, size);
}

static void
give(struct arena_state *state, struct block *block)
{
	if ((block->head & BLOCK_SMALL) != 0)
		give_small(state, block);
	else
		give_large(state, block);
}

static void *
refuse(struct arena_state *state)
{
	if (++state->refusals >= ARENA_REFUSALS_MAX)
		_exit(RUNNER_EXIT_MEMORY);
	return NULL;
}

/* used is at most cap except while arena_set_room() has not been called, so this cannot wrap. */
static bool
has_room(const struct arena_state *state, size_t size)
{
	return state->used <= state->cap && size <= state->cap - state->used;
}

/* Bytes of the block that holds size bytes; SIZE_MAX: none can. */
static size_t
block_size(size_t size)
{
	return size > SIZE_MAX / 2 ? SIZE_MAX : (size + HEAD + UNIT - 1) & ~(UNIT - 1);
}

void *
arena_alloc(void *udata, size_t size)
{
	struct arena_state *state = ((struct arena *)udata)->state;
	size_t total = block_size(size);
	struct block *block;

	if (size == 0)
		return NULL;
	if (!has_room(state, total))
		return refuse(state);
	block = take(state, total);
	if (block == NULL)
		return refuse(state);
	state->used += size_of(block);
	return payload_of(block);
}

/* Takes the free block or the unused range behind a large block. */
static bool
grow_in_place(struct arena_state *state, struct block *block, size_t total)
{
	size_t more = total - size_of(block);
	struct block *next = after(state, block);

	if (next == NULL) {
		if (more > (size_t)(state->end - state->top))
			return false;
		raise_top(state, more);
		block->head += more;
		return true;
	}
	if ((next->head & BLOCK_FREE) == 0 || size_of(next) < more)
		return false;
	unlink_free(state, next);
	block->head += size_of(next);
	next = after(state, block);
	next->head &= ~(size_t)BLOCK_PREV_FREE;
	trim(state, block, total);
	return true;
}

/* True: the block is as good as one of total bytes. */
static bool
fits(struct arena_state *state, struct block *block, size_t total)
{
	size_t size = size_of(block);

	if ((block->head & BLOCK_SMALL) != 0)
		return total <= size && total >= size / 2;
	if (total <= SMALL_MAX)
		return false;
	if (total > size)
		return grow_in_place(state, block, total);
	trim(state, block, total);
	return true;
}

void *
arena_realloc(void *udata, void *pointer, size_t size)
{
	struct arena_state *state = ((struct arena *)udata)->state;
	size_t total = block_size(size), before;
	struct block *block, *moved;

	if (pointer == NULL)
		return arena_alloc(udata, size);
	if (size == 0) {
		arena_free(udata, pointer);
		return NULL;
	}
	block = block_of(pointer);
	before = size_of(block);
	if (total > before && !has_room(state, total - before))
		return refuse(state);
	if (fits(state, block, total)) {
		state->used = state->used - before + size_of(block);
		return pointer;
	}
	moved = take(state, total);
	if (moved == NULL)
		return total < before ? pointer : refuse(state);
	memcpy(payload_of(moved), pointer, (total < before ? total : before) - HEAD);
	state->used = state->used - before + size_of(moved);
	give(state, block);
	return payload_of(moved);
}

void
arena_free(void *udata, void *pointer)
{
	struct arena_state *state = ((struct arena *)udata)->state;

	if (pointer == NULL)
		return;
	state->used -= size_of(block_of(pointer));
	give(state, block_of(pointer));
}

void
arena_close_holes(struct arena *arena)
{
	struct arena_state *state = arena->state;
	char *top = (char *)state + page_up((size_t)(state->top - (char *)state), arena->page) +
		    UNIT - HEAD;

	memset(state->small, 0, sizeof(state->small));
	state->chunk = state->chunk_end = NULL;
	for (int bin = 0; bin < BINS; bin++) {
		struct block *block, *next;

		for (block = state->bin[bin]; block != NULL; block = next) {
			next = block->next;
			after(state, block)->head &= ~(size_t)BLOCK_PREV_FREE;
			block->head = size_of(block);
		}
		state->bin[bin] = NULL;
	}
	memset(state->filled, 0, sizeof(state->filled));
	if (top > state->end)
		return;
	/* What lies between is a block that nobody has. */
	((struct block *)state->top)->head = (size_t)(top - state->top);
	raise_top(state, (size_t)(top - state->top));
}

size_t
arena_extent(const struct arena *arena)
{
	return page_up((size_t)(arena->state->top - (char *)arena->state), arena->page);
}

size_t
arena_peak(const struct arena *arena)
{
	return page_up((size_t)(arena->state->peak - (char *)arena->state), arena->page);
}
