#include "http/body.h"

#include <assert.h>
#include <inttypes.h>

#define BAD_CHUNK(text) http_refusal_set(refusal, 400, "invalid_request", text)

enum { SIZE_DIGITS_MAX = 16 }; /* 64 bits */

static bool
too_large(int64_t max, struct http_refusal *refusal)
{
	return http_refusal_set(refusal, 413, "payload_too_large",
				"the body is larger than the %" PRId64 " bytes allowed here", max);
}

bool
body_start(struct body_reader *reader, const struct head *head, int64_t max,
	   struct http_refusal *refusal)
{
	*reader = (struct body_reader){.state = BODY_DONE, .max = max};
	switch (head->body) {
	case HEAD_BODY_NONE:
		return true;
	case HEAD_BODY_LENGTH:
		if (head->length > max)
			return too_large(max, refusal);
		reader->state = BODY_FIXED;
		reader->left = (uint64_t)head->length;
		return true;
	case HEAD_BODY_CHUNKED:
		reader->state = BODY_SIZE;
		return true;
	}
	return true;
}

/* Keeps what belongs to this run of data; returns how much that was. */
static size_t
take_data(struct body_reader *reader, const char *bytes, size_t len, struct buf *out)
{
	size_t take = reader->left < len ? (size_t)reader->left : len;
	bool kept = buf_add(out, bytes, take);

	assert(kept); /* out's cap is not below max, and max was checked at the length */
	reader->left -= take;
	reader->kept += (int64_t)take;
	return take;
}

static bool
size_byte(struct body_reader *reader, char c, struct http_refusal *refusal)
{
	int digit;

	if (c >= '0' && c <= '9')
		digit = c - '0';
	else if (c >= 'a' && c <= 'f')
		digit = c - 'a' + 10;
	else if (c >= 'A' && c <= 'F')
		digit = c - 'A' + 10;
	else if (c == '\r' && reader->digits > 0) {
		reader->state = BODY_SIZE_LF;
		return true;
	} else
		return BAD_CHUNK("a chunk's size must be hex digits and CRLF; extensions are not "
				 "accepted");
	if (++reader->digits > SIZE_DIGITS_MAX)
		return BAD_CHUNK("a chunk's size has more than 16 digits");
	reader->left = reader->left << 4 | (uint64_t)digit;
	return true;
}

static bool
size_end(struct body_reader *reader, struct http_refusal *refusal)
{
	reader->digits = 0;
	if (reader->left > (uint64_t)(reader->max - reader->kept))
		return too_large(reader->max, refusal);
	reader->state = reader->left > 0 ? BODY_DATA : BODY_LAST_CR;
	return true;
}

/* A byte of framing, not of data. */
static bool
frame_byte(struct body_reader *reader, char c, struct http_refusal *refusal)
{
	switch (reader->state) {
	case BODY_SIZE:
		return size_byte(reader, c, refusal);
	case BODY_SIZE_LF:
		if (c != '\n')
			return BAD_CHUNK("a chunk's size line must end in CRLF");
		return size_end(reader, refusal);
	case BODY_DATA_CR:
	case BODY_DATA_LF:
		if (c != (reader->state == BODY_DATA_CR ? '\r' : '\n'))
			return BAD_CHUNK("a chunk's data must be followed by CRLF");
		reader->state = reader->state == BODY_DATA_CR ? BODY_DATA_LF : BODY_SIZE;
		return true;
	case BODY_LAST_CR:
	case BODY_LAST_LF:
		if (c != (reader->state == BODY_LAST_CR ? '\r' : '\n'))
			return BAD_CHUNK("the last chunk must be followed by an empty line; "
					 "trailers are not accepted");
		reader->state = reader->state == BODY_LAST_CR ? BODY_LAST_LF : BODY_DONE;
		return true;
	case BODY_FIXED:
	case BODY_DATA:
	case BODY_DONE:
		return true;
	}
	return true;
}

enum body_progress
body_read(struct body_reader *reader, const char *bytes, size_t len, size_t *used, struct buf *out,
	  struct http_refusal *refusal)
{
	*used = 0;
	while (reader->state != BODY_DONE) {
		if (*used == len)
			return BODY_MORE;
		if (reader->state == BODY_FIXED || reader->state == BODY_DATA) {
			*used += take_data(reader, bytes + *used, len - *used, out);
			if (reader->left == 0)
				reader->state =
				    reader->state == BODY_FIXED ? BODY_DONE : BODY_DATA_CR;
		} else {
			if (!frame_byte(reader, bytes[*used], refusal))
				return BODY_REFUSED;
			++*used;
		}
	}
	return BODY_WHOLE;
}
