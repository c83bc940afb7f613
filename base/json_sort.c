/* base/json_sort.c - JSON with the keys of every object in order. */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/json_key.h"

struct sorted_member {
	struct slice key; /* with its quotes */
	struct json_value value;
};

static int
by_key(const void *a, const void *b)
{
	const struct sorted_member *left = a, *right = b;

	return json_string_compare(left->key.data, right->key.data);
}

static void
add_array(struct json_value array, struct buf *out)
{
	struct json_iter it;
	bool first = true;

	buf_add_char(out, '[');
	json_iter_init(&it, array);
	while (json_iter_next(&it)) {
		if (!first)
			buf_add_char(out, ',');
		first = false;
		json_add_sorted(it.value, out);
	}
	json_iter_fini(&it);
	buf_add_char(out, ']');
}

/* Recursion is as deep as the document: JSON_DEPTH_MAX. */
void
json_add_sorted(struct json_value value, struct buf *out)
{
	struct sorted_member *members = NULL;
	size_t count = 0, size = 0;
	struct json_iter it;

	if (value.type == JSON_ARRAY_) {
		add_array(value, out);
		return;
	}
	if (value.type != JSON_OBJECT_) {
		buf_add_slice(out, value.raw);
		return;
	}
	json_iter_init(&it, value);
	while (json_iter_next(&it)) {
		if (count == size) {
			size = size > 0 ? size * 2 : 16;
			members = sl_realloc(members, size * sizeof(*members));
		}
		members[count++] = (struct sorted_member){.key = it.raw_key, .value = it.value};
	}
	json_iter_fini(&it);
	if (count > 1)
		qsort(members, count, sizeof(*members), by_key);
	buf_add_char(out, '{');
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			buf_add_char(out, ',');
		buf_add_slice(out, members[i].key);
		buf_add_char(out, ':');
		json_add_sorted(members[i].value, out);
	}
	buf_add_char(out, '}');
	free(members);
}
