/* base/buf.h - growable bytes with a hard cap.
 *
 * A buffer that would pass its cap refuses the bytes and stays `over`; the owner checks once at
 * the end instead of at each append.  A NUL always follows the last byte (not counted in len). */
#ifndef SLUICE_BASE_BUF_H
#define SLUICE_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct buf {
	char *data;  /* owned; NULL while nothing was added */
	size_t len;  /* bytes used */
	size_t size; /* bytes of room */
	size_t cap;  /* never more than this many bytes */
	bool over;   /* an append was refused */
};

/* A borrowed run of bytes, not NUL-terminated. */
struct slice {
	const char *data;
	size_t len;
};

#define SLICE_LITERAL(text) ((struct slice){(text), sizeof(text) - 1})

void buf_init(struct buf *buf, size_t cap); /* cap in bytes */
void buf_fini(struct buf *buf);             /* frees; buf can be used again after buf_init */
void buf_clear(struct buf *buf);            /* len 0, not over; keeps the room */
bool buf_add(struct buf *buf, const void *bytes, size_t len); /* false: refused, now over */
bool buf_add_text(struct buf *buf, const char *text);
bool buf_add_slice(struct buf *buf, struct slice slice);
bool buf_add_char(struct buf *buf, char c);
bool buf_printf(struct buf *buf, const char *format, ...) SL_PRINTF(2, 3);
bool buf_reserve(struct buf *buf, size_t more); /* room for more bytes behind len */
void buf_consume(struct buf *buf, size_t len);  /* drop len bytes from the front */
char *buf_take(struct buf *buf,
	       size_t *len); /* gives the bytes away (NUL-terminated, free()); buf is empty */
struct slice buf_slice(const struct buf *buf); /* borrowed until the next change */

struct slice slice_text(const char *text); /* "" for NULL */
bool slice_equal(struct slice a, struct slice b);
bool slice_is(struct slice a, const char *text);

int hex_digit(char c); /* 0 to 15 in either case; -1: none */

#endif
