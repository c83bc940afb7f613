#include "base/json_merge.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/map.h"

struct member {
	struct slice key; /* as it stands in the patch */
	struct json_value value;
	bool written;
};

struct members {
	struct map *by_name; /* name -> index + 1: the array moves when it grows */
	struct member *member;
	size_t count, size;
};

static struct member *
find(const struct members *members, const struct json_iter *it)
{
	uintptr_t index = (uintptr_t)map_get(members->by_name, it->key, it->key_len);

	return index > 0 ? &members->member[index - 1] : NULL;
}

static void
members_read(struct members *members, struct json_value object)
{
	struct json_iter it;

	*members = (struct members){.by_name = map_new()};
	json_iter_init(&it, object);
	while (json_iter_next(&it)) {
		struct member *known = find(members, &it);

		if (known != NULL) {
			known->value = it.value;
			continue;
		}
		if (members->count == members->size) {
			members->size = members->size > 0 ? members->size * 2 : 16;
			members->member =
			    sl_realloc(members->member, members->size * sizeof(*members->member));
		}
		members->member[members->count++] =
		    (struct member){.key = it.raw_key, .value = it.value};
		map_put(members->by_name, it.key, it.key_len, (void *)(uintptr_t)members->count);
	}
	json_iter_fini(&it);
}

static void
add_key(struct buf *out, bool *first, struct slice key)
{
	if (!*first)
		buf_add_char(out, ',');
	*first = false;
	buf_add_slice(out, key);
	buf_add_char(out, ':');
}

/* Recursion is as deep as the documents: JSON_DEPTH_MAX. */
void
json_merge(struct json_value base, struct json_value patch, struct buf *out)
{
	struct members members;
	struct json_iter it;
	bool first = true;

	if (base.type != JSON_OBJECT_ || patch.type != JSON_OBJECT_) {
		buf_add_slice(out, patch.raw);
		return;
	}
	members_read(&members, patch);
	buf_add_char(out, '{');
	json_iter_init(&it, base);
	while (json_iter_next(&it)) {
		struct member *member = find(&members, &it);

		if (member != NULL && member->written)
			continue;
		add_key(out, &first, it.raw_key);
		if (member == NULL) {
			buf_add_slice(out, it.value.raw);
			continue;
		}
		member->written = true;
		json_merge(it.value, member->value, out);
	}
	json_iter_fini(&it);
	for (size_t i = 0; i < members.count; i++) {
		if (members.member[i].written)
			continue;
		add_key(out, &first, members.member[i].key);
		buf_add_slice(out, members.member[i].value.raw);
	}
	buf_add_char(out, '}');
	map_free(members.by_name, NULL);
	free(members.member);
}
