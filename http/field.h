/* http/field.h - syntax of header fields, shared by the server, its answers and the client.
 *
 * RFC 9110 sections 5.1 (names are tokens) and 5.5 (values). */
#ifndef SLUICE_HTTP_FIELD_H
#define SLUICE_HTTP_FIELD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

bool field_is_token(struct slice text); /* one or more token characters */
/* No control byte but tab (NUL, CR and LF included); bytes over 0x7F are allowed. */
bool field_is_value(struct slice text);
/* Without spaces and tabs at both ends. */
struct slice field_trim(struct slice text);
bool field_equal(struct slice a, const char *b); /* ASCII case does not matter */
/* Is word one of the comma-separated elements of value? */
bool field_lists(struct slice value, const char *word);

#endif
