#include "daemon/worker/held.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/map.h"

struct held_key {
	int64_t tenure, judge_to;
};

struct held {
	struct map *keys;
};

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
	map_free(held->keys, free);
	free(held);
}

void
held_clear(struct held *held)
{
	map_free(held->keys, free);
	held->keys = map_new();
}

void
held_put(struct held *held, int64_t key_id, int64_t tenure, int64_t judge_to)
{
	struct held_key *key = map_get_int(held->keys, key_id);

	if (key == NULL) {
		key = sl_alloc(sizeof(*key));
		map_put_int(held->keys, key_id, key);
	}
	key->tenure = tenure;
	if (judge_to > key->judge_to)
		key->judge_to = judge_to;
}

void
held_drop(struct held *held, int64_t key_id)
{
	free(map_remove_int(held->keys, key_id));
}

int64_t
held_tenure(const struct held *held, int64_t key_id, int64_t first_seq)
{
	const struct held_key *key = map_get_int(held->keys, key_id);

	return key == NULL || first_seq <= key->judge_to ? -1 : key->tenure;
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
