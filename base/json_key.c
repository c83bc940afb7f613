#include "base/json_key.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

#define REPLACEMENT 0xFFFDu

/* A string read byte by byte, escapes resolved. */
struct reader {
	const char *at;
	bool keep_lone;        /* a lone surrogate is the three bytes it would have, not U+FFFD */
	unsigned char held[4]; /* of the escape that is being handed out */
	unsigned held_at, held_len;
};

static uint32_t
hex4(const char *digits)
{
	uint32_t value = 0;

	for (int i = 0; i < 4; i++) {
		uint32_t c = (unsigned char)digits[i];

		value = value << 4 | (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return value;
}

/* at is behind "\u"; moves it behind the last digit that belongs to the character. */
static uint32_t
escaped_code(const char **at, bool keep_lone)
{
	uint32_t code = hex4(*at), low;

	*at += 4;
	if (code < 0xD800 || code > 0xDFFF)
		return code;
	if (code < 0xDC00 && (*at)[0] == '\\' && (*at)[1] == 'u') {
		low = hex4(*at + 2);
		if (low >= 0xDC00 && low <= 0xDFFF) {
			*at += 6;
			return 0x10000 + ((code - 0xD800) << 10 | (low - 0xDC00));
		}
	}
	return keep_lone ? code : REPLACEMENT;
}

static uint32_t
escape_code(const char **at, bool keep_lone)
{
	char c = (*at)[1];

	*at += 2;
	switch (c) {
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	case 'u':
		return escaped_code(at, keep_lone);
	default: /* a quote, a slash or a backslash stands for itself */
		return (unsigned char)c;
	}
}

static int
reader_next(struct reader *reader) /* -1: at the closing quote */
{
	uint32_t code;

	if (reader->held_at < reader->held_len)
		return reader->held[reader->held_at++];
	if (*reader->at == '"')
		return -1;
	if (*reader->at != '\\')
		return (unsigned char)*reader->at++;
	code = escape_code(&reader->at, reader->keep_lone);
	reader->held_len = (unsigned)utf8_put(code, (char *)reader->held);
	reader->held_at = 1;
	return reader->held[0];
}

const char *
json_string_end(const char *string)
{
	const char *at = string + 1, *run;

	/* A checked string holds no NUL, so strchr() stops at its last quote at the latest.  A quote is
	 * escaped if an odd number of backslashes stands before it; the first quote ends any run. */
	for (;; at++) {
		at = strchr(at, '"');
		for (run = at; run[-1] == '\\'; run--)
			;
		if ((at - run) % 2 == 0)
			return at + 1;
	}
}

void
json_string_add(const char *string, struct buf *out)
{
	const char *at = string + 1;
	char bytes[4];

	while (*at != '"') {
		const char *plain = at;

		while (*at != '"' && *at != '\\')
			at++;
		buf_add(out, plain, (size_t)(at - plain));
		if (*at == '\\') {
			size_t len = utf8_put(escape_code(&at, false), bytes);

			buf_add(out, bytes, len);
		}
	}
}

int
json_string_compare(const char *a, const char *b)
{
	struct reader one = {.at = a + 1, .keep_lone = true};
	struct reader two = {.at = b + 1, .keep_lone = true};
	int c, d;

	do {
		c = reader_next(&one);
		d = reader_next(&two);
	} while (c == d && c >= 0);
	return c - d;
}

bool
json_string_is(const char *string, struct slice bytes)
{
	struct reader reader = {.at = string + 1};

	for (size_t i = 0; i < bytes.len; i++) {
		if (reader_next(&reader) != (unsigned char)bytes.data[i])
			return false;
	}
	return reader_next(&reader) < 0;
}

static int
compare_keys(const void *a, const void *b, void *text)
{
	const char *base = text;

	return json_string_compare(base + *(const uint32_t *)a, base + *(const uint32_t *)b);
}

const char *
json_repeated_key(const char *text, uint32_t *keys, size_t count)
{
	if (count > 1)
		qsort_r(keys, count, sizeof(*keys), compare_keys, (void *)(uintptr_t)text);
	for (size_t i = 1; i < count; i++) {
		if (json_string_compare(text + keys[i - 1], text + keys[i]) == 0)
			return text + keys[i];
	}
	return NULL;
}
