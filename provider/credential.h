/* provider/credential.h - from stored credentials to headers, and the forms the wire shows. */
#ifndef SLUICE_PROVIDER_CREDENTIAL_H
#define SLUICE_PROVIDER_CREDENTIAL_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "provider/catalog.h"

/* Checks what POST /connections sends as `credentials` against the provider's auth mode and writes
 * the form to be sealed (wire.md 5.3).  SL_INVALID: error text names the member
 * ("credentials.apiKey is required"); path (may be NULL) gets the member's path for errors[].path
 * (e.g. "credentials.apiKey"), room 128.  out gets nothing then. */
SL_MUST_USE enum sl_code credential_check(const struct provider *provider,
					  struct json_value credentials, struct buf *out,
					  char *path, struct sl_error *error);
/* The flat legacy form of POST /connection (api_key, access_token, username, ...) to the same.
 * SL_INVALID: the text starts with the member's name ("api_key is required"). */
SL_MUST_USE enum sl_code credential_from_legacy(const struct provider *provider,
						struct json_value body, struct buf *out,
						struct sl_error *error);
/* What GET shows (wire.md 5.2): `credentials` of F.  with_refresh_token: show it. */
void credential_show(struct slice opened, bool with_refresh_token, struct buf *out);
/* Replaces ${name} in a template by values from the sources; unknown names are SL_INVALID naming
 * them. Names: accessToken, apiKey, username, password, basic (base64 of username:password),
 * connectionConfig.x, metadata.x, credentials.x, and members of integration_config. */
SL_MUST_USE enum sl_code credential_expand(const char *text, struct json_value credentials,
					   struct json_value connection_config,
					   struct json_value metadata,
					   struct json_value integration_config, struct buf *out,
					   struct sl_error *error);

#endif
