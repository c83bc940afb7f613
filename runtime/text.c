#include "runtime/text.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

static bool
is_tail(const unsigned char *bytes, size_t left, size_t at)
{
	return at < left && (bytes[at] & 0xc0) == 0x80;
}

/* The length of the well-formed sequence at bytes (RFC 3629, section 4; surrogates count as
 * well-formed when allowed), or 0.  *bad is then the length of its maximal subpart, at least 1. */
static size_t
sequence(const unsigned char *bytes, size_t left, bool surrogates, size_t *bad)
{
	unsigned char lead = bytes[0], low = 0x80, high = 0xbf;
	size_t need;

	*bad = 1;
	if (lead < 0x80)
		return 1;
	if (lead < 0xc2 || lead > 0xf4)
		return 0;
	if (lead < 0xe0)
		need = 2;
	else if (lead < 0xf0)
		need = 3;
	else
		need = 4;
	if (lead == 0xe0)
		low = 0xa0;
	else if (lead == 0xed && !surrogates)
		high = 0x9f;
	else if (lead == 0xf0)
		low = 0x90;
	else if (lead == 0xf4)
		high = 0x8f;
	if (left < 2 || bytes[1] < low || bytes[1] > high)
		return 0;
	for (size_t at = 2; at < need; at++) {
		if (!is_tail(bytes, left, at)) {
			*bad = at;
			return 0;
		}
	}
	return need;
}

static unsigned
three_byte_unit(const unsigned char *bytes)
{
	return (bytes[0] & 0x0fu) << 12 | (bytes[1] & 0x3fu) << 6 | (bytes[2] & 0x3fu);
}

/* The surrogate at bytes when it is one in [first, first + 0x3ff], or 0. */
/* How many bytes at the start are ASCII, but for at most 7 of them. */
static size_t
plain_run(const unsigned char *bytes, size_t left)
{
	size_t at = 0;
	uint64_t word;

	for (; left - at >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, bytes + at, sizeof(word));
		if ((word & UINT64_C(0x8080808080808080)) != 0)
			break;
	}
	return at;
}

static unsigned
surrogate(const unsigned char *bytes, size_t left, unsigned first)
{
	size_t bad;
	unsigned unit;

	if (left < 3 || bytes[0] != 0xed || sequence(bytes, left, true, &bad) != 3)
		return 0;
	unit = three_byte_unit(bytes);
	return unit >= first && unit <= first + 0x3ff ? unit : 0;
}

static bool
add_character(struct buf *out, unsigned high, unsigned low)
{
	uint32_t c = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
	char bytes[4] = {
	    (char)(0xf0 | c >> 18),
	    (char)(0x80 | (c >> 12 & 0x3f)),
	    (char)(0x80 | (c >> 6 & 0x3f)),
	    (char)(0x80 | (c & 0x3f)),
	};

	return buf_add(out, bytes, sizeof(bytes));
}

static bool
add_lone(struct buf *out, unsigned unit, enum text_lone lone)
{
	switch (lone) {
	case TEXT_LONE_REPLACE:
		break;
	case TEXT_LONE_ESCAPE:
		return buf_printf(out, "\\u%04x", unit);
	}
	return buf_add(out, replacement, 3);
}

bool
text_to_utf8(struct slice cesu8, enum text_lone lone, struct buf *out)
{
	const unsigned char *bytes = (const unsigned char *)cesu8.data;
	size_t at = 0, plain = 0, len, bad;

	while (at < cesu8.len) {
		size_t left = cesu8.len - at;
		unsigned unit;

		len = plain_run(bytes + at, left);
		if (len > 0) {
			at += len;
			continue;
		}
		len = sequence(bytes + at, left, true, &bad);
		unit = len == 3 ? three_byte_unit(bytes + at) : 0;
		if (len != 0 && (unit < 0xd800 || unit > 0xdfff)) {
			at += len;
			continue;
		}
		buf_add(out, bytes + plain, at - plain);
		if (len == 0) {
			buf_add(out, replacement, 3);
			at++;
		} else {
			unsigned low = 0;

			if (unit < 0xdc00)
				low = surrogate(bytes + at + 3, left - 3, 0xdc00);
			if (low != 0)
				add_character(out, unit, low);
			else
				add_lone(out, unit, lone);
			at += low != 0 ? 6 : 3;
		}
		plain = at;
	}
	return buf_add(out, bytes + plain, at - plain) && !out->over;
}

static void
add_pair(struct buf *out, const unsigned char *bytes)
{
	uint32_t c = (bytes[0] & 7u) << 18 | (bytes[1] & 0x3fu) << 12 | (bytes[2] & 0x3fu) << 6 |
		     (bytes[3] & 0x3fu);
	unsigned units[2] = {0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff)};

	for (int i = 0; i < 2; i++) {
		char unit[3] = {(char)0xed, (char)(0x80 | (units[i] >> 6 & 0x3f)),
				(char)(0x80 | (units[i] & 0x3f))};

		buf_add(out, unit, sizeof(unit));
	}
}

bool
text_from_utf8(struct slice utf8, struct buf *out)
{
	const unsigned char *bytes = (const unsigned char *)utf8.data;
	size_t at = 0, plain = 0, len, bad;

	while (at < utf8.len) {
		len = sequence(bytes + at, utf8.len - at, false, &bad);
		if (len != 0 && len < 4) {
			at += len;
			continue;
		}
		buf_add(out, bytes + plain, at - plain);
		if (len == 4)
			add_pair(out, bytes + at);
		else
			buf_add(out, replacement, 3);
		at += len == 4 ? 4 : bad;
		plain = at;
	}
	return buf_add(out, bytes + plain, at - plain) && !out->over;
}

bool
text_is_plain(struct slice utf8)
{
	const unsigned char *bytes = (const unsigned char *)utf8.data;
	size_t at = 0, len, bad;

	while (at < utf8.len) {
		len = sequence(bytes + at, utf8.len - at, false, &bad);
		if (len == 0 || len == 4)
			return false;
		at += len;
	}
	return true;
}

size_t
text_to_units(struct slice cesu8, uint16_t *out)
{
	const unsigned char *bytes = (const unsigned char *)cesu8.data;
	size_t at = 0, count = 0, bad;

	while (at < cesu8.len) {
		size_t len = sequence(bytes + at, cesu8.len - at, true, &bad);

		switch (len) {
		case 1:
			out[count++] = bytes[at];
			break;
		case 2:
			out[count++] =
			    (uint16_t)((bytes[at] & 0x1fu) << 6 | (bytes[at + 1] & 0x3fu));
			break;
		case 3:
			out[count++] = (uint16_t)three_byte_unit(bytes + at);
			break;
		default: /* nothing that Duktape makes */
			out[count++] = 0xfffd;
			len = 1;
		}
		at += len;
	}
	return count;
}

bool
text_from_units(const uint16_t *units, size_t count, struct buf *out)
{
	for (size_t i = 0; i < count; i++) {
		unsigned c = units[i];
		char bytes[3];

		if (c < 0x80) {
			buf_add_char(out, (char)c);
		} else if (c < 0x800) {
			bytes[0] = (char)(0xc0 | c >> 6);
			bytes[1] = (char)(0x80 | (c & 0x3f));
			buf_add(out, bytes, 2);
		} else {
			bytes[0] = (char)(0xe0 | c >> 12);
			bytes[1] = (char)(0x80 | (c >> 6 & 0x3f));
			bytes[2] = (char)(0x80 | (c & 0x3f));
			buf_add(out, bytes, 3);
		}
	}
	return !out->over;
}

/* The next surrogate without its partner from at on; cesu8.len: there is none. */
static size_t
next_lone(struct slice cesu8, size_t at)
{
	const unsigned char *bytes = (const unsigned char *)cesu8.data;

	while (at < cesu8.len) {
		const unsigned char *found = memchr(bytes + at, 0xed, cesu8.len - at);
		size_t left;

		if (found == NULL)
			return cesu8.len;
		at = (size_t)(found - bytes);
		left = cesu8.len - at;
		if (surrogate(found, left, 0xd800) != 0 &&
		    surrogate(found + 3, left - 3, 0xdc00) != 0)
			at += 6;
		else if (surrogate(found, left, 0xd800) != 0 || surrogate(found, left, 0xdc00) != 0)
			return at;
		else
			at++;
	}
	return cesu8.len;
}

bool
text_has_lone(struct slice cesu8)
{
	return next_lone(cesu8, 0) < cesu8.len;
}

bool
text_escape_lone(struct slice cesu8, struct buf *out)
{
	const unsigned char *bytes = (const unsigned char *)cesu8.data;
	size_t at = 0;

	for (;;) {
		size_t lone = next_lone(cesu8, at);

		buf_add(out, bytes + at, lone - at);
		if (lone >= cesu8.len)
			return !out->over;
		buf_printf(out, "\\u%04x", three_byte_unit(bytes + lone));
		at = lone + 3;
	}
}

bool
text_add_base64(struct slice bytes, bool url_safe, struct buf *out)
{
	static const char standard[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static const char url[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const char *digits = url_safe ? url : standard;
	const unsigned char *in = (const unsigned char *)bytes.data;

	for (size_t at = 0; at < bytes.len; at += 3) {
		size_t left = bytes.len - at;
		uint32_t group = (uint32_t)in[at] << 16;
		char four[4];

		if (left > 1)
			group |= (uint32_t)in[at + 1] << 8;
		if (left > 2)
			group |= in[at + 2];
		four[0] = digits[group >> 18];
		four[1] = digits[group >> 12 & 63];
		four[2] = left > 1 ? digits[group >> 6 & 63] : '=';
		four[3] = left > 2 ? digits[group & 63] : '=';
		buf_add(out, four, left > 2 || !url_safe ? 4 : left + 1);
	}
	return !out->over;
}

static int
base64_digit(unsigned char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	if (c == '/' || c == '_')
		return 63;
	return -1;
}

/* A character above U+00FF counts by its low byte, as Node has it. */
bool
text_add_base64_decoded(struct slice text, struct buf *out)
{
	uint32_t group = 0;
	int bits = 0;

	for (size_t at = 0, len = 1, bad; at < text.len; at += len) {
		const unsigned char *bytes = (const unsigned char *)text.data + at;
		unsigned char c = bytes[0];
		int digit;

		len = sequence(bytes, text.len - at, true, &bad);
		if (len == 3)
			c = (unsigned char)three_byte_unit(bytes);
		else if (len == 2 && bytes[0] > 0xc3)
			c = (unsigned char)(bytes[0] << 6 | (bytes[1] & 0x3f));
		else if (len == 0)
			len = 1;
		digit = base64_digit(c);
		if (c == '=')
			break;
		if (digit < 0)
			continue;
		group = group << 6 | (uint32_t)digit;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			buf_add_char(out, (char)(group >> bits & 0xff));
		}
	}
	return !out->over;
}

bool
text_add_hex(struct slice bytes, struct buf *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t at = 0; at < bytes.len; at++) {
		unsigned char c = (unsigned char)bytes.data[at];

		buf_add_char(out, digits[c >> 4]);
		buf_add_char(out, digits[c & 15]);
	}
	return !out->over;
}

bool
text_add_hex_decoded(struct slice text, struct buf *out)
{
	for (size_t at = 0; at + 1 < text.len; at += 2) {
		int high = hex_digit(text.data[at]), low = hex_digit(text.data[at + 1]);

		if (high < 0 || low < 0)
			break;
		buf_add_char(out, (char)(high << 4 | low));
	}
	return !out->over;
}
