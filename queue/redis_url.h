/* queue/redis_url.h - where a Redis is and how to log in.
 *
 *   redis://[[user]:password@]host[:port][/db]     host: a name, IPv4 or [IPv6]; port 6379
 *   unix://[[user]:password@]/path[?db=n]
 * User and password are percent-decoded (RFC 3986).  No error text repeats any part of the URL. */
#ifndef SLUICE_QUEUE_REDIS_URL_H
#define SLUICE_QUEUE_REDIS_URL_H

#include "base/error.h"

struct redis_url {
	char *path; /* of the unix socket; NULL: host and port */
	char *host;
	char *user;     /* NULL: the default user */
	char *password; /* NULL: no login */
	int port;
	int db;
};

/* SL_INVALID, also for rediss:// (TLS is not spoken here).  On SL_OK out is the caller's to
 * redis_url_fini(); else there is nothing to free. */
SL_MUST_USE enum sl_code redis_url_parse(const char *text, struct redis_url *out,
					 struct sl_error *error);
void redis_url_fini(struct redis_url *url); /* wipes the password */

#endif
