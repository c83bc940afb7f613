/* The heap's allocator and its snapshots under any order of calls, beside a model: blocks lie in
 * the arena, are aligned and keep their bytes whatever happens to others; the cap holds; a revert
 * brings back each block that there was when the heap was frozen.  Build: dev/check fuzz, or
 * CONTRIBUTING.md for clang's -fsanitize=fuzzer. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/snapshot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAP ((size_t)1 << 20)
#define BLOCKS 256
#define STEPS_MAX 2000

struct block {
	unsigned char *at; /* NULL: none */
	size_t len;
	unsigned char with; /* what it is filled with */
};

struct model {
	struct arena arena;
	struct snapshot snapshot;
	struct block block[BLOCKS], frozen[BLOCKS];
	bool is_frozen;
	size_t used_frozen;
};

static void
must(bool condition)
{
	if (!condition)
		abort();
}

static void
check_filled(const struct block *block, size_t len)
{
	for (size_t i = 0; i < len; i++)
		must(block->at[i] == block->with);
}

static void
check_placed(const struct model *model, const struct block *block)
{
	const unsigned char *start = (const unsigned char *)model->arena.state;

	must((uintptr_t)block->at % 16 == 0);
	must(block->at > start && block->at + block->len <= start + model->arena.size);
	must(block->at + block->len <= start + arena_extent(&model->arena));
}

static void
check_all(const struct model *model)
{
	for (int i = 0; i < BLOCKS; i++) {
		if (model->block[i].at == NULL)
			continue;
		check_placed(model, &model->block[i]);
		check_filled(&model->block[i], model->block[i].len);
	}
	must(arena_extent(&model->arena) <= arena_peak(&model->arena) ||
	     model->is_frozen); /* a revert reverts the peak as well */
}

/* A cap that is met often; asking on would end the process, as it should. */
static void
keep_asking(struct model *model)
{
	if (arena_refusals(&model->arena) > ARENA_REFUSALS_MAX / 2)
		arena_set_room(&model->arena, HEAP);
}

static void
resize(struct model *model, struct block *block, size_t len, unsigned char with)
{
	unsigned char *at = arena_realloc(&model->arena, block->at, len);

	if (len == 0) {
		*block = (struct block){0};
		return;
	}
	if (at == NULL) { /* refused: the old block stays as it was */
		if (block->at != NULL)
			check_filled(block, block->len);
		keep_asking(model);
		return;
	}
	block->at = at;
	check_filled(block, block->len < len ? block->len : len);
	block->len = len;
	block->with = with;
	check_placed(model, block);
	memset(at, with, len);
}

static void
release(struct model *model, struct block *block)
{
	if (block->at != NULL)
		check_filled(block, block->len);
	arena_free(&model->arena, block->at);
	*block = (struct block){0};
}

static void
freeze(struct model *model)
{
	int fd;

	if (model->is_frozen)
		return;
	fd = snapshot_open();
	arena_close_holes(&model->arena);
	must(fd >= 0 && snapshot_freeze(&model->snapshot, fd));
	close(fd);
	memcpy(model->frozen, model->block, sizeof(model->frozen));
	model->used_frozen = arena_used(&model->arena);
	model->is_frozen = true;
}

static void
revert(struct model *model)
{
	if (!model->is_frozen)
		return;
	must(snapshot_revert(&model->snapshot));
	memcpy(model->block, model->frozen, sizeof(model->block));
	must(arena_used(&model->arena) == model->used_frozen);
}

static void
step(struct model *model, const uint8_t *code)
{
	struct block *block = &model->block[code[1]];
	size_t len = code[2] | (size_t)code[3] << 8;

	switch (code[0] % 16) {
	case 0:
		freeze(model);
		break;
	case 1:
		revert(model);
		break;
	case 2:
		check_all(model);
		break;
	case 3: /* no size that any arena has */
		must(arena_alloc(&model->arena, SIZE_MAX - len) == NULL);
		keep_asking(model);
		break;
	case 4:
	case 5:
		release(model, block);
		break;
	case 6:
		resize(model, block, len * 16, code[0]);
		break;
	default:
		resize(model, block, len % 2048, code[0]);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct model model;

	memset(&model, 0, sizeof(model));
	must(arena_init(&model.arena, NULL, HEAP, NULL) == SL_OK);
	arena_set_room(&model.arena, HEAP);
	snapshot_init(&model.snapshot, &model.arena);
	for (size_t i = 0; i + 4 <= size && i < (size_t)4 * STEPS_MAX; i += 4)
		step(&model, data + i);
	check_all(&model);
	snapshot_fini(&model.snapshot);
	arena_fini(&model.arena);
	return 0;
}
