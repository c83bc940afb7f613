/* base/map.c - open addressing with tombstones; grows at three quarters. */
#include "base/map.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/secret.h"

struct slot {
	char *key; /* NULL: never used, or a tombstone when dead */
	size_t key_len;
	uint64_t hash;
	void *value;
	bool dead;
};

struct map {
	struct slot *slot;
	size_t size; /* a power of two */
	size_t live, used;
	uint64_t seed;
};

/* FNV-1a from a random start, finished by a multiply-xorshift: enough that a tenant cannot aim at
 * one bucket without knowing the seed. */
static uint64_t
hash_bytes(uint64_t seed, const void *key, size_t len)
{
	const uint8_t *at = key;
	uint64_t hash = seed ^ UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
	hash ^= hash >> 29;
	hash *= UINT64_C(0xbf58476d1ce4e5b9);
	return hash ^ (hash >> 32);
}

struct map *
map_new(void)
{
	struct map *map = sl_alloc(sizeof(*map));

	map->size = 16;
	map->slot = sl_calloc(map->size, sizeof(*map->slot));
	secret_random(&map->seed, sizeof(map->seed));
	return map;
}

void
map_free(struct map *map, void (*free_fn)(void *value))
{
	if (map == NULL)
		return;
	for (size_t i = 0; i < map->size; i++) {
		if (map->slot[i].key == NULL)
			continue;
		if (free_fn != NULL)
			free_fn(map->slot[i].value);
		free(map->slot[i].key);
	}
	free(map->slot);
	free(map);
}

size_t
map_count(const struct map *map)
{
	return map->live;
}

static struct slot *
find(const struct map *map, const void *key, size_t len, uint64_t hash)
{
	for (size_t i = hash & (map->size - 1);; i = (i + 1) & (map->size - 1)) {
		struct slot *slot = &map->slot[i];

		if (slot->key == NULL && !slot->dead)
			return NULL;
		if (slot->key != NULL && slot->hash == hash && slot->key_len == len &&
		    memcmp(slot->key, key, len) == 0)
			return slot;
	}
}

static void
place(struct map *map, struct slot entry)
{
	size_t i = entry.hash & (map->size - 1);

	while (map->slot[i].key != NULL)
		i = (i + 1) & (map->size - 1);
	if (!map->slot[i].dead)
		map->used++;
	map->slot[i] = entry;
	map->live++;
}

static void
grow(struct map *map)
{
	struct slot *old = map->slot;
	size_t size = map->size;

	if (map->live * 2 >= map->size)
		map->size *= 2;
	map->slot = sl_calloc(map->size, sizeof(*map->slot));
	map->live = map->used = 0;
	for (size_t i = 0; i < size; i++)
		if (old[i].key != NULL)
			place(map, old[i]);
	free(old);
}

void *
map_get(const struct map *map, const void *key, size_t key_len)
{
	struct slot *slot = find(map, key, key_len, hash_bytes(map->seed, key, key_len));

	return slot != NULL ? slot->value : NULL;
}

void *
map_put(struct map *map, const void *key, size_t key_len, void *value)
{
	uint64_t hash = hash_bytes(map->seed, key, key_len);
	struct slot *slot = find(map, key, key_len, hash);
	struct slot entry = {.key_len = key_len, .hash = hash, .value = value};

	assert(value != NULL);
	if (slot != NULL) {
		void *before = slot->value;

		slot->value = value;
		return before;
	}
	if ((map->used + 1) * 4 > map->size * 3)
		grow(map);
	entry.key = sl_memdup(key, key_len);
	place(map, entry);
	return NULL;
}

void *
map_remove(struct map *map, const void *key, size_t key_len)
{
	struct slot *slot = find(map, key, key_len, hash_bytes(map->seed, key, key_len));
	void *value;

	if (slot == NULL)
		return NULL;
	value = slot->value;
	free(slot->key);
	*slot = (struct slot){.dead = true};
	map->live--;
	return value;
}

void *
map_get_text(const struct map *map, const char *key)
{
	return map_get(map, key, strlen(key));
}

void *
map_put_text(struct map *map, const char *key, void *value)
{
	return map_put(map, key, strlen(key), value);
}

void *
map_remove_text(struct map *map, const char *key)
{
	return map_remove(map, key, strlen(key));
}

void *
map_get_int(const struct map *map, int64_t key)
{
	return map_get(map, &key, sizeof(key));
}

void *
map_put_int(struct map *map, int64_t key, void *value)
{
	return map_put(map, &key, sizeof(key), value);
}

void *
map_remove_int(struct map *map, int64_t key)
{
	return map_remove(map, &key, sizeof(key));
}

bool
map_each(const struct map *map, size_t *at, void **value)
{
	for (; *at < map->size; (*at)++) {
		if (map->slot[*at].key == NULL)
			continue;
		*value = map->slot[*at].value;
		(*at)++;
		return true;
	}
	return false;
}
