/* provider/catalog.h - what we know of each provider: base URL, how to authenticate, retry headers.
 *
 * One JSON file per provider under provider/catalog/ (installed in pkgdatadir/catalog), of our own
 * writing from public documentation.  Read once at start; immutable. */
#ifndef SLUICE_PROVIDER_CATALOG_H
#define SLUICE_PROVIDER_CATALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

/* How its incoming webhooks say whom they are for (wire.md 10). */
enum provider_webhook {
	WEBHOOK_NONE,    /* not routed */
	WEBHOOK_GENERIC, /* the body is {"type","connectionId",...}, unsigned */
};

enum auth_mode { AUTH_NONE, AUTH_API_KEY, AUTH_BASIC, AUTH_OAUTH2, AUTH_OAUTH2_CC };

/* How a provider takes the client's id and secret at its token endpoint (RFC 6749 section 2.3.1). */
enum token_client { TOKEN_CLIENT_BODY, TOKEN_CLIENT_BASIC };

/* What the number or text in a body means: seconds or milliseconds to wait, or a moment. */
enum retry_unit { RETRY_UNIT_S, RETRY_UNIT_MS, RETRY_UNIT_AT };

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
	const char *retry_limit_header;     /* requests of a whole window, or NULL */
	const char *retry_body_path;        /* where a refusal's body says how long, or NULL */
	enum retry_unit retry_body_unit;
	const int *retry_codes; /* statuses to retry instead of 401, 429, 5xx */
	int retry_code_count;
	/* Statuses beside 429 that refuse for the rate, with Retry-After. */
	const int *limit_codes;
	int limit_code_count;
	/* integration_config says where the key goes: keyPlacement, keyName, valueTemplate. */
	bool key_from_integration;
	bool limits_per_app; /* its windows are the integration's, not the connection's */
	/* Of OAUTH2 and OAUTH2_CC.  token_url may hold ${connectionConfig.x} and members of integration_config; NULL: it
	 * cannot be refreshed. */
	const char *token_url, *refresh_url; /* refresh_url: when it is another one; else NULL */
	enum token_client token_client;
	bool token_json; /* the token request is JSON, not a form */
	/* Put into the request, in place of those that the grant has of the same name: token_params of client
	 * credentials, refresh_params of refresh tokens. */
	const struct provider_pair *token_params, *refresh_params;
	int token_param_count, refresh_param_count;
	int64_t token_ttl_s; /* of tokens whose answer does not say; 0: they do not end */
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
