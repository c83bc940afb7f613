/* runtime/number.h - numbers to and from text as ECMA-262 has them.
 *
 * Duktape rounds a long text of digits up where it lies halfway between two numbers, and the last
 * digits of a number in another base than ten differ from V8's.  These take the place of its
 * functions (ECMA-262, 19.2.4, 19.2.5, 21.1); all but the first are functions of Duktape's kind. */
#ifndef SLUICE_RUNTIME_NUMBER_H
#define SLUICE_RUNTIME_NUMBER_H

#include <duktape.h>
#include <stddef.h>

#define NUMBER_TEXT_MAX 2304 /* bytes of a number in any base, with its NUL */

/* Writes value, which is finite, in base radix (2 to 36), and answers the length: as many digits as
 * tell it from its neighbours. */
size_t number_in_base(double value, int radix, char out[NUMBER_TEXT_MAX]);

duk_ret_t number_construct(duk_context *ctx);   /* Number */
duk_ret_t number_parse_float(duk_context *ctx); /* parseFloat */
duk_ret_t number_parse_int(duk_context *ctx);   /* parseInt */
duk_ret_t number_to_string(duk_context *ctx);   /* Number.prototype.toString */
duk_ret_t number_to_fixed(duk_context *ctx);    /* Number.prototype.toFixed */
duk_ret_t number_round(duk_context *ctx);       /* Math.round */
duk_ret_t number_cbrt(duk_context *ctx);        /* Math.cbrt */

#endif
