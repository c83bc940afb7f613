/* daemon/api/proxy.h - what a client of /proxy asks for, in its headers (wire.md 8); for proxy.c. */
#ifndef SLUICE_DAEMON_API_PROXY_H
#define SLUICE_DAEMON_API_PROXY_H

#include <stdbool.h>

#include "daemon/api/api.h"
#include "http/client.h"

#define PROXY_HEADERS_MAX 64 /* that are passed on */
#define PROXY_CODES_MAX 32

struct proxy_ask { /* texts are borrowed from the request, or kept by the call */
	const char *integration, *connection;
	const char *endpoint; /* path with its '/' in front, or an absolute URL; as the client has spelt it */
	const char *query;    /* NULL: none */
	const char *base_url; /* Base-Url-Override; NULL: none */
	int retries;
	int retry_on[PROXY_CODES_MAX];
	int retry_on_count;
	bool decompress, forward_on_redirect;
	struct http_header headers[PROXY_HEADERS_MAX];
	int header_count;
};

/* False: the call is answered. */
bool proxy_read(struct api_call *call, struct proxy_ask *out);

#endif
