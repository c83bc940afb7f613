#include "base/json.h"

#include <stdlib.h>
#include <string.h>

#include "base/json_key.h"

/* Everything here walks text that json_check() accepted, so a token's end is always there. */

static bool
is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Behind the value at at; end is the end of what surrounds it. */
static const char *
value_end(const char *at, const char *end)
{
	size_t depth = 0;

	if (*at == '"')
		return json_string_end(at);
	if (*at != '{' && *at != '[') {
		while (at < end && !is_space(*at) && *at != ',' && *at != ']' && *at != '}')
			at++;
		return at;
	}
	do {
		if (*at == '"') {
			at = json_string_end(at);
			continue;
		}
		if (*at == '{' || *at == '[')
			depth++;
		else if (*at == '}' || *at == ']')
			depth--;
		at++;
	} while (depth > 0);
	return at;
}

/* A walk over a container without unescaping its keys. */
struct walk {
	const char *at, *end;
	bool in_object;
	const char *key, *key_end; /* with quotes; NULL in arrays */
	struct json_value value;
};

static void
walk_init(struct walk *walk, struct json_value container)
{
	*walk = (struct walk){.in_object = container.type == JSON_OBJECT_};
	if (container.type != JSON_OBJECT_ && container.type != JSON_ARRAY_)
		return;
	walk->at = container.raw.data + 1;
	walk->end = container.raw.data + container.raw.len - 1;
}

static bool
walk_next(struct walk *walk)
{
	const char *at = walk->at;

	while (at < walk->end && (is_space(*at) || *at == ','))
		at++;
	if (at == walk->end) {
		walk->at = at;
		return false;
	}
	if (walk->in_object) {
		walk->key = at;
		walk->key_end = at = json_string_end(at);
		while (is_space(*at) || *at == ':')
			at++;
	}
	walk->at = value_end(at, walk->end);
	walk->value = json_value_at(at, walk->at);
	return true;
}

void
json_iter_init(struct json_iter *it, struct json_value container)
{
	struct walk walk;

	walk_init(&walk, container);
	*it = (struct json_iter){.at = walk.at, .end = walk.end, .in_object = walk.in_object};
	buf_init(&it->name, container.raw.len);
}

bool
json_iter_next(struct json_iter *it)
{
	struct walk walk = {.at = it->at, .end = it->end, .in_object = it->in_object};
	bool more = walk_next(&walk);

	it->at = walk.at;
	it->key = NULL;
	it->key_len = 0;
	it->raw_key = (struct slice){"", 0};
	it->value = walk.value; /* JSON_NONE at the end */
	if (more && it->in_object) {
		buf_clear(&it->name);
		json_string_add(walk.key, &it->name);
		it->key = buf_slice(&it->name).data;
		it->key_len = it->name.len;
		it->raw_key = (struct slice){walk.key, (size_t)(walk.key_end - walk.key)};
	}
	return more;
}

void
json_iter_fini(struct json_iter *it)
{
	buf_fini(&it->name);
	it->key = NULL;
}

/* The last of equal keys counts, as it does for JSON.parse: the function that gets the same bytes
 * must not see another value than we do. */
static struct json_value
member(struct json_value object, struct slice key)
{
	struct json_value found = {.type = JSON_NONE};
	struct walk walk;

	if (object.type != JSON_OBJECT_)
		return found;
	walk_init(&walk, object);
	while (walk_next(&walk)) {
		if (json_string_is(walk.key, key))
			found = walk.value;
	}
	return found;
}

static struct json_value
element(struct json_value array, struct slice index)
{
	size_t left = 0;
	struct walk walk;

	if (index.len == 0 || index.len > 9)
		return (struct json_value){.type = JSON_NONE};
	for (size_t i = 0; i < index.len; i++) {
		if (index.data[i] < '0' || index.data[i] > '9')
			return (struct json_value){.type = JSON_NONE};
		left = left * 10 + (size_t)(index.data[i] - '0');
	}
	walk_init(&walk, array);
	while (walk_next(&walk)) {
		if (left-- == 0)
			return walk.value;
	}
	return (struct json_value){.type = JSON_NONE};
}

struct json_value
json_get(struct json_value object, const char *key)
{
	return member(object, slice_text(key));
}

struct json_value
json_path(struct json_value value, const char *path)
{
	while (*path != '\0' && value.type != JSON_NONE) {
		struct slice step = {path, strcspn(path, ".")};

		value = value.type == JSON_ARRAY_ ? element(value, step) : member(value, step);
		path += step.len;
		if (*path == '.')
			path++;
	}
	return value;
}

char *
json_text(struct json_value value, size_t *len)
{
	struct buf text;

	if (value.type != JSON_TEXT)
		return NULL;
	buf_init(&text, value.raw.len);
	json_string_add(value.raw.data, &text);
	if (len == NULL && text.len > 0 && memchr(text.data, '\0', text.len) != NULL) {
		buf_fini(&text);
		return NULL;
	}
	return buf_take(&text, len);
}

bool
json_is_yes(struct json_value value)
{
	return value.type == JSON_BOOL && value.raw.data[0] == 't';
}

/* The exponent's value; beyond +-10^9 the exact number no longer matters. */
static int64_t
exponent_of(const char *at, const char *end)
{
	int64_t exponent = 0;
	bool minus = at < end && *at == '-';

	if (at < end && (*at == '-' || *at == '+'))
		at++;
	for (; at < end && exponent < 1000000000; at++)
		exponent = exponent * 10 + (*at - '0');
	return minus ? -exponent : exponent;
}

/* 12, 12.0, 1.2e1 and 1200e-2 are all twelve. */
bool
json_int(struct json_value value, int64_t *out)
{
	const char *at = value.raw.data, *end = at + value.raw.len;
	bool minus, behind_point = false;
	int64_t number = 0, scale = 0,
		zeros = 0; /* number * 10^scale; zeros seen but not yet in number */

	if (value.type != JSON_NUMBER)
		return false;
	minus = *at == '-';
	for (at += minus; at < end && *at != 'e' && *at != 'E'; at++) {
		if (*at == '.') {
			behind_point = true;
			continue;
		}
		scale -= behind_point;
		zeros++;
		if (*at == '0')
			continue;
		for (; number != 0 && zeros > 1; zeros--) {
			if (__builtin_mul_overflow(number, 10, &number))
				return false;
		}
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_sub_overflow(number, *at - '0', &number))
			return false;
		zeros = 0;
	}
	if (number == 0) {
		*out = 0;
		return true;
	}
	scale += zeros;
	if (at < end)
		scale += exponent_of(at + 1, end);
	if (scale < 0) /* number ends in no zero: a fraction is left */
		return false;
	for (; scale > 0; scale--) {
		if (__builtin_mul_overflow(number, 10, &number))
			return false;
	}
	if (!minus && number == INT64_MIN)
		return false;
	*out = minus ? number : -number;
	return true;
}
