/* provider/template.h - the form of texts with ${...}: headers, queries and URLs of the catalog. */
#ifndef SLUICE_PROVIDER_TEMPLATE_H
#define SLUICE_PROVIDER_TEMPLATE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

#define TEMPLATE_NAME_MAX 128 /* bytes of a placeholder's name */

/* Takes the next literal and the placeholder's name behind it off the front of *text; name.data is
 * NULL where the text ends.  *done: nothing was left.  SL_INVALID: ${ without }, or an empty name.
 */
SL_MUST_USE enum sl_code template_next(const char **text, struct slice *literal, struct slice *name,
				       bool *done, struct sl_error *error);
/* For our own files: each name must be one that the catalog may use, so a typing error is found
 * when it is loaded.  SL_INVALID names it. */
SL_MUST_USE enum sl_code template_check(const char *text, struct sl_error *error);
/* Whether the text asks for a credential; false also when it is malformed. */
bool template_has_credential(const char *text);

#endif
