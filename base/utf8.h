/* base/utf8.h - one UTF-8 sequence at a time, strictly (RFC 3629): no overlong forms, no
 * surrogates, nothing above U+10FFFF. */
#ifndef SLUICE_BASE_UTF8_H
#define SLUICE_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Bytes (1 to 4) of the well-formed sequence at the front of bytes; 0: none, or len is 0. */
static inline size_t
utf8_len(const char *bytes, size_t len)
{
	const unsigned char *b = (const unsigned char *)bytes;
	unsigned char low = 0x80, high = 0xBF; /* what the second byte may be */
	size_t need;

	if (len == 0)
		return 0;
	if (b[0] < 0x80)
		return 1;
	if (b[0] < 0xC2 || b[0] > 0xF4)
		return 0;
	need = b[0] >= 0xF0 ? 4 : b[0] >= 0xE0 ? 3 : 2;
	if (b[0] == 0xE0)
		low = 0xA0;
	else if (b[0] == 0xED)
		high = 0x9F;
	else if (b[0] == 0xF0)
		low = 0x90;
	else if (b[0] == 0xF4)
		high = 0x8F;
	if (len < need || b[1] < low || b[1] > high)
		return 0;
	for (size_t i = 2; i < need; i++) {
		if ((b[i] & 0xC0) != 0x80)
			return 0;
	}
	return need;
}

/* Writes code (at most U+10FFFF) to out, which has room for 4 bytes; returns how many.  A
 * surrogate is written as if it were a character: callers who must not do that replace it first. */
static inline size_t
utf8_put(uint32_t code, char *out)
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xC0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3F));
		return 2;
	}
	if (code < 0x10000) {
		out[0] = (char)(0xE0 | code >> 12);
		out[1] = (char)(0x80 | (code >> 6 & 0x3F));
		out[2] = (char)(0x80 | (code & 0x3F));
		return 3;
	}
	out[0] = (char)(0xF0 | code >> 18);
	out[1] = (char)(0x80 | (code >> 12 & 0x3F));
	out[2] = (char)(0x80 | (code >> 6 & 0x3F));
	out[3] = (char)(0x80 | (code & 0x3F));
	return 4;
}

#endif
