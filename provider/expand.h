/* provider/expand.h - where the values of ${...} come from.
 *
 * Values are put in as they are and never looked at again: a value that holds ${...} stays so.
 * What a value may do to the text around it is for the caller to decide (headers, URLs). */
#ifndef SLUICE_PROVIDER_EXPAND_H
#define SLUICE_PROVIDER_EXPAND_H

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"

struct expand_sources { /* objects, or JSON_NONE / null: then they have no members */
	struct json_value credentials;
	struct json_value connection_config;
	struct json_value metadata;
	struct json_value integration_config;
};

/* Appends the value of one name (credential.h lists them).  SL_INVALID names what is not set,
 * SL_EXHAUSTED what does not fit into out. */
SL_MUST_USE enum sl_code expand_value(struct slice name, const struct expand_sources *sources,
				      struct buf *out, struct sl_error *error);
SL_MUST_USE enum sl_code expand_template(const char *text, const struct expand_sources *sources,
					 struct buf *out, struct sl_error *error);
/* "A || B" of the catalog: the first one whose names are all set. */
SL_MUST_USE enum sl_code expand_first(const char *text, const struct expand_sources *sources,
				      struct buf *out, struct sl_error *error);
/* A URL of the catalog: "A || B" is the first one whose names are all set.  What a value may be depends on where it
 * stands: a whole URL in front, part of a host, or one segment of the path, encoded.  what: "a base URL".
 * SL_NOT_FOUND: names are not set, error names one of the first alternative; SL_INVALID: a value that cannot stand
 * there. */
SL_MUST_USE enum sl_code expand_url(const char *text, const char *what,
				    const struct expand_sources *sources, struct buf *out,
				    struct sl_error *error);

#endif
