/* base/json_key.h - private to json*.c: strings of checked JSON, read as the bytes they stand for.
 *
 * A string is named by the address of its opening quote.  The text was checked, so the closing
 * quote is there and every escape is whole; nothing here needs to know where the text ends. */
#ifndef SLUICE_BASE_JSON_KEY_H
#define SLUICE_BASE_JSON_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"

/* The value that stands from at to end. */
struct json_value json_value_at(const char *at, const char *end);

/* Behind the closing quote. */
const char *json_string_end(const char *string);

/* Appends the bytes that string stands for; never more than it is long.  An escaped surrogate
 * without its partner becomes U+FFFD. */
void json_string_add(const char *string, struct buf *out);

/* Orders two strings by the bytes they stand for; lone surrogates stay different from each other
 * and from U+FFFD.  Reads no further than the shorter one, so sorting is O(bytes * log count). */
int json_string_compare(const char *a, const char *b);

bool json_string_is(const char *string, struct slice bytes);

/* A string of text that stands among keys twice, or NULL.  keys holds count offsets of opening
 * quotes and is sorted on the way. */
const char *json_repeated_key(const char *text, uint32_t *keys, size_t count);

#endif
