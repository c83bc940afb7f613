/* provider/prepare.h - what goes out for one request: its URL and headers, credentials included.
 *
 * Made once per request and sent with each try.  Touches neither network nor clock. */
#ifndef SLUICE_PROVIDER_PREPARE_H
#define SLUICE_PROVIDER_PREPARE_H

#include "base/error.h"
#include "http/client.h"
#include "provider/request.h"

struct prepared {
	char *url;                   /* secret where the provider wants its key in the query */
	char *shown_url;             /* without what the provider's definition adds to the query */
	struct http_header *headers; /* names in lower case; owned texts */
	int header_count;
	const char **credential_headers; /* names that must not follow to another origin; borrowed
					    from headers, NULL-terminated */
};

/* Fills *out, which prepare_fini() wipes and frees; after a failure there is nothing to free.
 * SL_INVALID: no base URL (the text starts with "missing_api_url"), or it names what is wrong. */
SL_MUST_USE enum sl_code prepare_request(const struct provider_connection *connection,
					 const struct provider_ask *ask, struct prepared *out,
					 struct sl_error *error);
void prepare_fini(struct prepared *prepared);

#endif
