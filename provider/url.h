/* provider/url.h - putting a provider's base URL, an endpoint and a query together.
 *
 * Endpoints are written by people and by providers (links to a next page), so they are read as the
 * WHATWG URL standard reads them: tabs and line ends are dropped, what may not stand in a URL is
 * percent-encoded, a fragment is cut off.  Hosts are not: a host with anything unusual in it is
 * refused, never repaired. */
#ifndef SLUICE_PROVIDER_URL_H
#define SLUICE_PROVIDER_URL_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

struct url { /* slices of the text it was made from */
	bool https;
	struct slice authority; /* host, or host:port */
	struct slice host;
	int port;
	struct slice path;  /* from its '/', or empty */
	struct slice query; /* without '?' */
};

/* Takes apart an absolute http or https URL.  SL_INVALID: another scheme, user info, a host with
 * bytes other than letters, digits, '.', '-' and '_' (or an address in brackets), a bad port. */
SL_MUST_USE enum sl_code url_split(struct slice text, struct url *out, struct sl_error *error);
bool url_is_absolute(struct slice text); /* starts with scheme:// */
bool url_is_same_origin(const struct url *a, const struct url *b);

/* What an absolute endpoint may be. */
enum url_elsewhere {
	URL_ONLY_BASE,   /* the base URL and what follows it */
	URL_SAME_ORIGIN, /* anything on the base URL's origin; then its path is not joined */
};

/* Appends base, without slashes behind, and endpoint to out, and the queries of both.  One slash is put
 * between them; of those in front of endpoint it replaces one, as in the original (wire.md 8).
 * endpoint may be empty.  SL_INVALID: bad base, or an absolute endpoint that may not be. */
SL_MUST_USE enum sl_code url_join(struct slice base, struct slice endpoint,
				  enum url_elsewhere elsewhere, struct buf *out,
				  struct sl_error *error);
/* Appends "?" or "&" and the pairs, cleaned; a leading '?' or '&' of pairs is dropped. */
void url_add_query(struct buf *url, struct slice pairs);
/* Takes each pair named name (as it is written) out of the query of url. */
void url_drop_query(struct buf *url, struct slice name);
/* Percent-encodes everything but RFC 3986's unreserved bytes. */
void url_encode(struct buf *out, struct slice value);

#endif
