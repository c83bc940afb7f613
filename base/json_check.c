#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/json_key.h"
#include "base/utf8.h"

#define KEYS_IN_PLACE 64
#define KEY_SHOWN_MAX 60 /* bytes of a key that an error text shows */

/* The grammar of RFC 8259 as a machine with one bit of memory per open container. */
enum state {
	WANT_VALUE,
	WANT_VALUE_OR_END, /* behind [ */
	WANT_KEY,
	WANT_KEY_OR_END, /* behind { */
	WANT_COMMA_OR_END,
};

struct scan {
	const char *start, *at, *end;
	const char *expected; /* set when the scan fails at `at` */
	enum state state;
	size_t depth;
	uint64_t is_object[JSON_DEPTH_MAX / 64]; /* bit per depth */
	/* Offsets of the keys at the top level. */
	uint32_t *keys; /* keys_in_place, or owned */
	size_t key_count, key_size;
	uint32_t keys_in_place[KEYS_IN_PLACE];
};

static bool
fail(struct scan *s, const char *expected)
{
	s->expected = expected;
	return false;
}

static bool
is_digit(const struct scan *s)
{
	return s->at < s->end && *s->at >= '0' && *s->at <= '9';
}

static void
skip_space(struct scan *s)
{
	while (s->at < s->end &&
	       (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
		s->at++;
}

static bool
in_object(const struct scan *s)
{
	size_t bit = s->depth - 1;

	return (s->is_object[bit / 64] >> (bit % 64) & 1) != 0;
}

static bool
open_container(struct scan *s, bool object)
{
	uint64_t bit = UINT64_C(1) << (s->depth % 64);

	if (s->depth == JSON_DEPTH_MAX)
		return fail(s, "no deeper nesting (512 levels are allowed)");
	if (object)
		s->is_object[s->depth / 64] |= bit;
	else
		s->is_object[s->depth / 64] &= ~bit;
	s->depth++;
	s->at++;
	s->state = object ? WANT_KEY_OR_END : WANT_VALUE_OR_END;
	return true;
}

static void
close_container(struct scan *s)
{
	s->depth--;
	s->at++;
	s->state = WANT_COMMA_OR_END;
}

static bool
scan_escape(struct scan *s)
{
	s->at++;
	if (s->at == s->end || strchr("\"\\/bfnrtu", *s->at) == NULL || *s->at == '\0')
		return fail(s, "one of \"\\/bfnrtu behind a backslash");
	if (*s->at++ != 'u')
		return true;
	for (int i = 0; i < 4; i++, s->at++) {
		if (s->at == s->end || memchr("0123456789abcdefABCDEF", *s->at, 22) == NULL)
			return fail(s, "four hexadecimal digits behind \\u");
	}
	return true;
}

static bool
scan_string(struct scan *s)
{
	s->at++;
	while (s->at < s->end) {
		unsigned char c = (unsigned char)*s->at;

		if (c == '"') {
			s->at++;
			return true;
		} else if (c == '\\') {
			if (!scan_escape(s))
				return false;
		} else if (c < 0x20) {
			return fail(s, "an escape instead of a control byte");
		} else if (c < 0x80) {
			s->at++;
		} else {
			size_t len = utf8_len(s->at, (size_t)(s->end - s->at));

			if (len == 0)
				return fail(s, "valid UTF-8");
			s->at += len;
		}
	}
	return fail(s, "the end of a string");
}

static bool
scan_digits(struct scan *s, const char *expected)
{
	if (!is_digit(s))
		return fail(s, expected);
	while (is_digit(s))
		s->at++;
	return true;
}

static bool
scan_number(struct scan *s)
{
	if (*s->at == '-')
		s->at++;
	if (s->at < s->end && *s->at == '0') {
		s->at++;
		if (is_digit(s))
			return fail(s, "no digit behind a leading zero");
	} else if (!scan_digits(s, "a digit")) {
		return false;
	}
	if (s->at < s->end && *s->at == '.') {
		s->at++;
		if (!scan_digits(s, "a digit behind the decimal point"))
			return false;
	}
	if (s->at < s->end && (*s->at == 'e' || *s->at == 'E')) {
		s->at++;
		if (s->at < s->end && (*s->at == '+' || *s->at == '-'))
			s->at++;
		return scan_digits(s, "a digit in the exponent");
	}
	return true;
}

static bool
scan_word(struct scan *s, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0)
		return fail(s, "a value");
	s->at += len;
	return true;
}

static bool
scan_value(struct scan *s)
{
	s->state = WANT_COMMA_OR_END;
	switch (*s->at) {
	case '{':
		return open_container(s, true);
	case '[':
		return open_container(s, false);
	case '"':
		return scan_string(s);
	case 't':
		return scan_word(s, "true");
	case 'f':
		return scan_word(s, "false");
	case 'n':
		return scan_word(s, "null");
	default:
		return *s->at == '-' || is_digit(s) ? scan_number(s) : fail(s, "a value");
	}
}

static void
keep_key(struct scan *s)
{
	if (s->key_count == s->key_size) {
		uint32_t *more = sl_realloc(s->keys == s->keys_in_place ? NULL : s->keys,
					    s->key_size * 2 * sizeof(*more));

		if (s->keys == s->keys_in_place)
			memcpy(more, s->keys, sizeof(s->keys_in_place));
		s->keys = more;
		s->key_size *= 2;
	}
	s->keys[s->key_count++] = (uint32_t)(s->at - s->start);
}

static bool
scan_key(struct scan *s)
{
	if (s->depth == 1)
		keep_key(s);
	if (!scan_string(s))
		return false;
	skip_space(s);
	if (s->at == s->end || *s->at != ':')
		return fail(s, "':'");
	s->at++;
	s->state = WANT_VALUE;
	return true;
}

/* One token that is not space.  At the end of the text at is end. */
static bool
scan_token(struct scan *s)
{
	char c = '\0';

	if (s->at < s->end)
		c = *s->at;
	switch (s->state) {
	case WANT_VALUE_OR_END:
		if (c == ']') {
			close_container(s);
			return true;
		}
		return s->at < s->end ? scan_value(s) : fail(s, "a value or ']'");
	case WANT_VALUE:
		return s->at < s->end ? scan_value(s) : fail(s, "a value");
	case WANT_KEY_OR_END:
		if (c == '}') {
			close_container(s);
			return true;
		}
		return c == '"' ? scan_key(s) : fail(s, "a key or '}'");
	case WANT_KEY:
		return c == '"' ? scan_key(s) : fail(s, "a key");
	case WANT_COMMA_OR_END:
		if (c == ',') {
			s->state = in_object(s) ? WANT_KEY : WANT_VALUE;
			s->at++;
			return true;
		}
		if (c != (in_object(s) ? '}' : ']'))
			return fail(s, in_object(s) ? "',' or '}'" : "',' or ']'");
		close_container(s);
		return true;
	}
	return fail(s, "a value");
}

/* Leaves at behind the value. */
static bool
scan_whole(struct scan *s)
{
	do {
		skip_space(s);
		if (!scan_token(s))
			return false;
	} while (s->depth > 0);
	return true;
}

static enum json_type
type_of(char first)
{
	switch (first) {
	case '{':
		return JSON_OBJECT_;
	case '[':
		return JSON_ARRAY_;
	case '"':
		return JSON_TEXT;
	case 't':
	case 'f':
		return JSON_BOOL;
	case 'n':
		return JSON_NULL_;
	default:
		return JSON_NUMBER;
	}
}

struct json_value
json_value_at(const char *at, const char *end)
{
	return (struct json_value){type_of(*at), {at, (size_t)(end - at)}};
}

static enum sl_code
refuse_repeated(struct scan *s, struct sl_error *error)
{
	const char *key = json_repeated_key(s->start, s->keys, s->key_count);
	size_t len, shown = 0;

	if (key == NULL)
		return SL_OK;
	len = (size_t)(json_string_end(key) - key);
	while (shown < len && shown < KEY_SHOWN_MAX) /* whole characters */
		shown += utf8_len(key + shown, len - shown);
	return sl_fail(error, SL_INVALID, "JSON, byte %zu: the key %.*s%s stands there twice",
		       (size_t)(key - s->start), (int)shown, key, shown < len ? "..." : "");
}

enum sl_code
json_check(struct slice text, struct json_value *out, struct sl_error *error)
{
	struct scan s = {.start = text.data, .at = text.data, .end = text.data + text.len};
	const char *first, *last = NULL;
	enum sl_code code = SL_OK;

	*out = (struct json_value){.type = JSON_NONE};
	if (text.len >= UINT32_MAX)
		return sl_fail(error, SL_EXHAUSTED, "JSON text is over 4 GiB");
	s.keys = s.keys_in_place;
	s.key_size = KEYS_IN_PLACE;
	skip_space(&s);
	first = s.at;
	if (scan_whole(&s)) {
		last = s.at;
		skip_space(&s);
		if (s.at < s.end)
			fail(&s, "the end of the text");
	}
	if (s.expected != NULL)
		code = sl_fail(error, SL_INVALID, "JSON, byte %zu: expected %s",
			       (size_t)(s.at - s.start), s.expected);
	else
		code = refuse_repeated(&s, error);
	if (code == SL_OK)
		*out = json_value_at(first, last);
	if (s.keys != s.keys_in_place)
		free(s.keys);
	return code;
}
