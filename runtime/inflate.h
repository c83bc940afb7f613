/* runtime/inflate.h - what a file in a ZIP archive holds (RFC 1951). */
#ifndef SLUICE_RUNTIME_INFLATE_H
#define SLUICE_RUNTIME_INFLATE_H

#include <duktape.h>

/* inflate(bytes, size) -> bytes, a function of Duktape's kind.  The result is made of size bytes
 * before anything is read, in the heap of the run, so that its limit holds; data of another size,
 * and data that is damaged, throws. */
duk_ret_t inflate_bytes(duk_context *ctx);

#endif
