/* base/frame.h - length-prefixed msgpack messages over a stream: 4 bytes big-endian length, then
 * one msgpack array [type, ...].
 *
 * frame_reader treats its peer as hostile: the length is capped before memory is asked for, and
 * the array is walked without recursion (elements are scalars, text or bin only; containers inside
 * are refused), so a claimed item count costs nothing. */
#ifndef SLUICE_BASE_FRAME_H
#define SLUICE_BASE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

#define FRAME_FIELDS_MAX 12

enum frame_type { FRAME_NIL, FRAME_BOOL, FRAME_INT, FRAME_BYTES };

struct frame_field {
	enum frame_type type;
	int64_t number;     /* FRAME_INT, FRAME_BOOL (0 or 1) */
	struct slice bytes; /* FRAME_BYTES: text or bin, borrowed from the frame */
};

struct frame {
	size_t count;
	struct frame_field field[FRAME_FIELDS_MAX];
};

/* Decodes one body (without its length prefix).  SL_INVALID: not such an array, or bytes left over.
 */
SL_MUST_USE enum sl_code frame_decode(struct slice body, struct frame *out, struct sl_error *error);

/* The leading integer of an array, whatever follows it: lets a reader recognise messages of a later
 * version, which frame_decode may refuse.  false: no array, or it starts with something else. */
bool frame_peek_type(struct slice body, int64_t *type);

/* Looks at the front of a stream: 1 and *body, *used when a whole frame is there; 0 when more bytes
 * are needed; -1 when the claimed length is over cap or 0. */
int frame_peek(struct slice stream, size_t cap, struct slice *body, size_t *used);

/* Checks shape: a letter per field: i int, b bool, s bytes, ? anything.  "is" = exactly [int,
 * bytes]. */
bool frame_is(const struct frame *frame, const char *shape);

/* Encoding: frame_begin, then a call per field (as many as announced), then frame_end, which
 * writes the length prefix.  Several frames may stand in one buf. */
struct frame_writer {
	struct buf *out; /* borrowed */
	size_t start;    /* private: where the prefix is */
};
void frame_begin(struct frame_writer *w, struct buf *out, size_t fields);
void frame_add_int(struct frame_writer *w, int64_t number);
void frame_add_bool(struct frame_writer *w, bool yes);
void frame_add_nil(struct frame_writer *w);
void frame_add_text(struct frame_writer *w, const char *text);
void frame_add_bin(struct frame_writer *w, const void *bytes, size_t len);
void frame_end(struct frame_writer *w);

#endif
