#include "daemon/worker/held.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/map.h"

struct held_slot {
	struct held_slot *next;
	int number;
	int64_t tenure;
};

struct held_key {
	int64_t judge_to;
	struct held_slot *slots; /* never NULL: a key without one is dropped */
};

struct held {
	struct map *keys;
};

static void
key_free(void *value)
{
	struct held_key *key = value;

	while (key->slots != NULL) {
		struct held_slot *slot = key->slots;

		key->slots = slot->next;
		free(slot);
	}
	free(key);
}

struct held *
held_new(void)
{
	struct held *held = sl_alloc(sizeof(*held));

	held->keys = map_new();
	return held;
}

void
held_free(struct held *held)
{
	map_free(held->keys, key_free);
	free(held);
}

void
held_clear(struct held *held)
{
	map_free(held->keys, key_free);
	held->keys = map_new();
}

/* The link to the slot, or to NULL at the end. */
static struct held_slot **
find(struct held_key *key, int number)
{
	struct held_slot **link = &key->slots;

	while (*link != NULL && (*link)->number != number)
		link = &(*link)->next;
	return link;
}

void
held_put(struct held *held, int64_t key_id, int number, int64_t tenure, int64_t judge_to)
{
	struct held_key *key = map_get_int(held->keys, key_id);
	struct held_slot **slot;

	if (key == NULL) {
		key = sl_alloc(sizeof(*key));
		map_put_int(held->keys, key_id, key);
	}
	slot = find(key, number);
	if (*slot == NULL) {
		*slot = sl_alloc(sizeof(**slot));
		(*slot)->number = number;
	}
	(*slot)->tenure = tenure;
	if (judge_to > key->judge_to)
		key->judge_to = judge_to;
}

void
held_drop(struct held *held, int64_t key_id, int number)
{
	struct held_key *key = map_get_int(held->keys, key_id);
	struct held_slot **link, *slot;

	if (key == NULL || *(link = find(key, number)) == NULL)
		return;
	slot = *link;
	*link = slot->next;
	free(slot);
	if (key->slots == NULL)
		key_free(map_remove_int(held->keys, key_id));
}

int64_t
held_tenure(const struct held *held, int64_t key_id, int number, int64_t first_seq)
{
	struct held_key *key = map_get_int(held->keys, key_id);
	struct held_slot *slot = key == NULL ? NULL : *find(key, number);

	return slot == NULL || first_seq <= key->judge_to ? -1 : slot->tenure;
}

static void
judge(struct held_key *key, int64_t seq)
{
	if (seq > key->judge_to)
		key->judge_to = seq;
}

void
held_judge(struct held *held, int64_t key_id, int64_t seq)
{
	struct held_key *key = map_get_int(held->keys, key_id);

	if (key != NULL)
		judge(key, seq);
}

void
held_judge_all(struct held *held, int64_t seq)
{
	size_t at = 0;
	void *value;

	while (map_each(held->keys, &at, &value))
		judge(value, seq);
}
