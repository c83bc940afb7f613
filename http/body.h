/* http/body.h - where a request's body ends: Content-Length or chunks (RFC 9112 sections 6, 7).
 *
 * A chunk's size line is hex digits and CRLF, nothing else; trailers are refused.  Bytes are
 * counted against the cap before they are kept. */
#ifndef SLUICE_HTTP_BODY_H
#define SLUICE_HTTP_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "http/refusal.h"
#include "http/head.h"

enum body_state {
	BODY_FIXED,   /* `left` bytes to come */
	BODY_SIZE,    /* digits of a chunk's size */
	BODY_SIZE_LF, /* the CR behind them came */
	BODY_DATA,    /* `left` bytes of this chunk */
	BODY_DATA_CR, /* CRLF behind the data */
	BODY_DATA_LF,
	BODY_LAST_CR, /* the empty line behind the last chunk */
	BODY_LAST_LF,
	BODY_DONE,
};

enum body_progress { BODY_MORE, BODY_WHOLE, BODY_REFUSED };

struct body_reader {
	enum body_state state;
	uint64_t left;
	int digits; /* of the size line */
	int64_t kept, max;
};

/* False: its Content-Length alone is over max. */
bool body_start(struct body_reader *reader, const struct head *head, int64_t max,
		struct http_refusal *refusal);
/* Takes bytes off the front, *used of them, and appends the body's own to out.  Stops behind the
 * body's last byte. */
enum body_progress body_read(struct body_reader *reader, const char *bytes, size_t len,
			     size_t *used, struct buf *out, struct http_refusal *refusal);

#endif
