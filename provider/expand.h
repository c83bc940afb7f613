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

#endif
