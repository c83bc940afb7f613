/* provider/catalog.h - what we know of each provider: base URL, how to authenticate, retry headers.
 *
 * One JSON file per provider under provider/catalog/ (installed in pkgdatadir/catalog), of our own
 * writing from public documentation.  Read once at start; immutable. */
#ifndef SLUICE_PROVIDER_CATALOG_H
#define SLUICE_PROVIDER_CATALOG_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

/* How its incoming webhooks say whom they are for (wire.md 10). */
enum provider_webhook {
	WEBHOOK_NONE,    /* not routed */
	WEBHOOK_GENERIC, /* the body is {"type","connectionId",...}, unsigned */
};

enum auth_mode { AUTH_NONE, AUTH_API_KEY, AUTH_BASIC, AUTH_OAUTH2 };

struct provider_pair {
	const char *name;
	const char *value; /* may hold ${...} */
};

struct provider {
	const char *name; /* "github" */
	const char *display_name;
	enum auth_mode auth_mode;
	const char *auth_mode_name; /* "OAUTH2", as on the wire */
	const char *base_url;       /* may hold ${connectionConfig.x}, ${baseUrl}; NULL: none */
	/* Injected into each request; ${accessToken}, ${apiKey}, ${username}, ${password},
	 * ${basic}: see credential.h.  Rows with a credential win over the function's own headers,
	 * the others are defaults. */
	const struct provider_pair *headers;
	int header_count;
	const struct provider_pair *query; /* likewise, into the query */
	int query_count;
	const char *retry_at_header;        /* header with the time the window opens, or NULL */
	const char *retry_after_header;     /* header with seconds to wait; default "retry-after" */
	const char *retry_remaining_header; /* "0" there means limited, or NULL */
	const int *retry_codes;             /* statuses to retry instead of 401, 429, 5xx */
	int retry_code_count;
	/* integration_config says where the key goes: keyPlacement, keyName, valueTemplate. */
	bool key_from_integration;
	enum provider_webhook webhook;
	struct slice paginate; /* defaults for nango.paginate() as a JSON object; empty: none */
	struct slice json; /* the whole definition, for GET /providers; with name and logo_url */
};

struct catalog; /* opaque */
/* directory: the catalog folder.  SL_INVALID names file and member of a bad definition. */
SL_MUST_USE enum sl_code catalog_load(const char *directory, struct catalog **out,
				      struct sl_error *error);
void catalog_free(struct catalog *catalog);
const struct provider *catalog_find(const struct catalog *catalog,
				    const char *name); /* NULL: unknown */
int catalog_count(const struct catalog *catalog);
const struct provider *catalog_at(const struct catalog *catalog, int index); /* sorted by name */

#endif
