/* provider/token.h - what is sent to a token endpoint, and what its answer means.
 *
 * Refresh tokens (RFC 6749 section 6) and client credentials (section 4.4).  Pure: no network, no store.  Opened
 * credentials are those of credential.h, with what this module adds: "expires_at" (ISO 8601) and "raw", the whole last
 * answer.  Error texts hold no secret: what an endpoint says is cut, and what looks like a token is left out. */
#ifndef SLUICE_PROVIDER_TOKEN_H
#define SLUICE_PROVIDER_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "provider/catalog.h"

#define TOKEN_ANSWER_MAX (256 * 1024) /* bytes of an answer that is read */

/* A POST; all owned. */
struct token_ask {
	char *url;
	char *body;
	size_t body_len;
	const char *content_type;                    /* borrowed for good */
	char *authorization;                         /* NULL: none */
	struct slice client_certificate, client_key; /* PEM, NUL behind; data NULL: none */
};

/* client: opened credentials of the integration ({"client_id","client_secret","scopes",..}); config_override of the
 * connection wins over them.  SL_NOT_FOUND: these credentials are not of a kind that is refreshed.  SL_INVALID:
 * something is missing or cannot be sent; error names it.  Unless SL_OK, *out holds nothing. */
SL_MUST_USE enum sl_code token_request(const struct provider *provider,
				       struct json_value credentials, struct json_value client,
				       struct json_value connection_config,
				       struct json_value metadata,
				       struct json_value integration_config, struct token_ask *out,
				       struct sl_error *error);
void token_ask_fini(struct token_ask *ask); /* wipes; may be called again */

/* Appends the credential to seal to out: type, the new token, its end, "raw", and of the old one all that the answer
 * does not renew (a refresh token that is not sent again stays).
 * SL_INVALID: the endpoint refuses these credentials for good (RFC 6749 section 5.2), error says what it named.
 * SL_UNAVAILABLE: the answer says nothing about them (5xx, 429, HTML, no token): try later.  Then out is as it was. */
SL_MUST_USE enum sl_code token_answer(const struct provider *provider,
				      struct json_value credentials, int status,
				      const char *content_type, struct slice body, int64_t wall_ms,
				      struct buf *out, struct sl_error *error);

/* When the token ends, wall clock.  INT64_MAX: never, or it is not known; 0: there is none yet (OAUTH2_CC). */
int64_t token_expires_ms(struct json_value credentials);
/* False: token_request() would say SL_NOT_FOUND. */
bool token_is_refreshable(const struct provider *provider, struct json_value credentials);
/* The access token, malloc'd, to be wiped; NULL: there is none. */
char *token_text(struct json_value credentials);

#endif
