/* runtime/wire.h - the runner's end of a socket: whole frames, blocking.
 *
 * A frame is read to its end before any script runs again, so a run that ends leaves the stream at
 * the start of a frame for the process that reads it next. */
#ifndef SLUICE_RUNTIME_WIRE_H
#define SLUICE_RUNTIME_WIRE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/frame.h"

/* Reads one frame into body (cleared first) and decodes it; frame borrows from body.  passed, when
 * not NULL, gets the one descriptor that came with it or -1, owned by the caller.  1: a frame;
 * 0: the peer closed; -1: malformed, too long, or the socket failed. */
int wire_read(int fd, struct buf *body, struct frame *frame, int *passed);

/* Writes all of bytes.  passed >= 0: goes along with the first byte (stays the caller's). */
SL_MUST_USE bool wire_write(int fd, struct slice bytes, int passed);

#endif
