/* runtime/bytecode.h - the prelude as Duktape bytecode, made by mkbytecode at build time.
 *
 * Duktape loads bytecode unchecked, so the library that loads it must be the version that made it.
 */
#ifndef SLUICE_RUNTIME_BYTECODE_H
#define SLUICE_RUNTIME_BYTECODE_H

#include <stddef.h>

extern const long bytecode_version; /* DUK_VERSION of the library that made it */
extern const size_t bytecode_len;   /* bytes */
extern const unsigned char bytecode_data[];

#endif
