/* The half of secret.h that needs no key: ids, base64, hexadecimal. */
#include <string.h>

#include "base/clock.h"
#include "base/secret.h"

#define V7_COUNTER_MAX 0xFFF

static void
uuid_write(const uint8_t bytes[16], char *out)
{
	static const char digits[] = "0123456789abcdef";
	size_t at = 0;

	for (size_t i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			out[at++] = '-';
		out[at++] = digits[bytes[i] >> 4];
		out[at++] = digits[bytes[i] & 0x0F];
	}
	out[at] = '\0';
}

static void
uuid_mark(uint8_t bytes[16], unsigned version)
{
	bytes[6] = (uint8_t)((bytes[6] & 0x0F) | version << 4);
	bytes[8] = (uint8_t)((bytes[8] & 0x3F) | 0x80);
}

void
uuid_v4(char *out)
{
	uint8_t bytes[16];

	secret_random(bytes, sizeof(bytes));
	uuid_mark(bytes, 4);
	uuid_write(bytes, out);
}

/* RFC 9562, section 6.2, method 1: rand_a counts within a millisecond, from a random start in its
 * lower half.  When it is used up, or the clock went back, the time field runs ahead of the clock:
 * order matters more than a few milliseconds. */
void
uuid_v7(char *out)
{
	static int64_t last_ms = -1;
	static unsigned counter;
	int64_t now_ms = clock_wall_ms();
	uint8_t bytes[16];

	secret_random(bytes, sizeof(bytes));
	if (now_ms <= last_ms && counter < V7_COUNTER_MAX) {
		counter++;
	} else {
		last_ms = now_ms > last_ms ? now_ms : last_ms + 1;
		counter = ((unsigned)bytes[6] << 8 | bytes[7]) & (V7_COUNTER_MAX >> 1);
	}
	for (int i = 0; i < 6; i++)
		bytes[i] = (uint8_t)(last_ms >> (40 - 8 * i));
	bytes[6] = (uint8_t)(counter >> 8);
	bytes[7] = (uint8_t)counter;
	uuid_mark(bytes, 7);
	uuid_write(bytes, out);
}

bool
uuid_parse(struct slice text, char *out)
{
	char lower[UUID_TEXT];

	if (text.len != UUID_TEXT - 1)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];

		if (i == 8 || i == 13 || i == 18 || i == 23) {
			if (c != '-')
				return false;
		} else if (c >= 'A' && c <= 'F') {
			c = (char)(c - 'A' + 'a');
		} else if ((c < '0' || c > '9') && (c < 'a' || c > 'f')) {
			return false;
		}
		lower[i] = c;
	}
	lower[UUID_TEXT - 1] = '\0';
	if (out != NULL)
		memcpy(out, lower, sizeof(lower));
	return true;
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void
base64_add(struct buf *out, const void *bytes, size_t len)
{
	const uint8_t *in = bytes;
	char *at;

	if (len == 0 || !buf_reserve(out, (len + 2) / 3 * 4))
		return;
	at = out->data + out->len;
	for (; len >= 3; len -= 3, in += 3, at += 4) {
		uint32_t group = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];

		at[0] = alphabet[group >> 18];
		at[1] = alphabet[group >> 12 & 63];
		at[2] = alphabet[group >> 6 & 63];
		at[3] = alphabet[group & 63];
	}
	if (len > 0) {
		uint32_t group = (uint32_t)in[0] << 16 | (len > 1 ? (uint32_t)in[1] << 8 : 0);

		at[0] = alphabet[group >> 18];
		at[1] = alphabet[group >> 12 & 63];
		at[2] = len > 1 ? alphabet[group >> 6 & 63] : '=';
		at[3] = '=';
		at += 4;
	}
	out->len = (size_t)(at - out->data);
	*at = '\0';
}

/* The value of a character and one; 0: it is no digit. */
/* clang-format off */
static const uint8_t digit_of[256] = {
    [32] = 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 63, 0, 0, 0, 64,
    [48] = 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 0, 0, 0, 0, 0, 0,
    [64] = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
    [80] = 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 0, 0, 0, 0, 0,
    [96] = 0, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41,
    [112] = 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 0, 0, 0, 0, 0,
};
/* clang-format on */

static int
base64_value(char c)
{
	return (int)digit_of[(unsigned char)c] - 1;
}

/* One group of four; returns how many bytes it stands for, 0 when it is malformed.  Bits that no
 * byte needs must be zero (RFC 4648, 3.5), so that a value has one encoding only. */
static size_t
base64_group(const char *four, bool last, uint8_t out[3])
{
	uint32_t group = 0;
	size_t pad = 0;

	if (last && four[3] == '=')
		pad = four[2] == '=' ? 2 : 1;
	for (size_t i = 0; i < 4 - pad; i++) {
		int value = base64_value(four[i]);

		if (value < 0)
			return 0;
		group |= (uint32_t)value << (18 - 6 * i);
	}
	if ((pad == 1 && (group & 0xFF) != 0) || (pad == 2 && (group & 0xFFFF) != 0))
		return 0;
	out[0] = (uint8_t)(group >> 16);
	out[1] = (uint8_t)(group >> 8);
	out[2] = (uint8_t)group;
	return 3 - pad;
}

/* On failure out is as it was. */
bool
base64_decode(struct slice text, struct buf *out)
{
	size_t before = out->len, left = text.len;
	const char *in = text.data;
	uint8_t *at;

	if (text.len % 4 != 0 ||
	    !buf_reserve(out, text.len / 4 * 3 >= 2 ? text.len / 4 * 3 - 2 : 0))
		return false;
	at = (uint8_t *)out->data + before;
	for (; left > 4; left -= 4, in += 4, at += 3) {
		uint32_t a = digit_of[(unsigned char)in[0]], b = digit_of[(unsigned char)in[1]],
			 c = digit_of[(unsigned char)in[2]], d = digit_of[(unsigned char)in[3]],
			 group = (a - 1) << 18 | (b - 1) << 12 | (c - 1) << 6 | (d - 1);

		if (a == 0 || b == 0 || c == 0 || d == 0)
			break;
		at[0] = (uint8_t)(group >> 16);
		at[1] = (uint8_t)(group >> 8);
		at[2] = (uint8_t)group;
	}
	out->len = (size_t)(at - (uint8_t *)out->data);
	for (; left > 0; left -= 4, in += 4) {
		uint8_t three[3];
		size_t len = base64_group(in, left == 4, three);

		if (len == 0 || !buf_add(out, three, len)) {
			out->len = before;
			out->data[before] = '\0';
			return false;
		}
	}
	return true;
}

void
hex_add(struct buf *out, const void *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *in = bytes;

	if (len > SIZE_MAX / 2 || !buf_reserve(out, 2 * len))
		return;
	for (size_t i = 0; i < len; i++) {
		buf_add_char(out, digits[in[i] >> 4]);
		buf_add_char(out, digits[in[i] & 0x0F]);
	}
}
