/* queue/redis_url.h - where Redis is and how to log in.
 *
 *   redis://[LOGIN@]HOST[:PORT][/DB]                          one server; port 6379
 *   unix://[LOGIN@]/PATH[?db=DB]                              one server
 *   redis://[LOGIN@]HOST[:PORT],...[/0]?cluster=yes           Redis Cluster: any of its nodes
 *   redis+sentinel://[LOGIN@]HOST[:PORT],.../MASTER[/DB][?sentinel_password=PASSWORD]
 *                                                             the sentinels; port 26379
 *
 * LOGIN is [user]:password and goes to the servers; the sentinels get sentinel_password, if any.
 * HOST is a name, IPv4 or [IPv6]; at most REDIS_PLACES_MAX of them.  User, passwords and MASTER are
 * percent-decoded (RFC 3986).  No error text repeats any part of the URL. */
#ifndef SLUICE_QUEUE_REDIS_URL_H
#define SLUICE_QUEUE_REDIS_URL_H

#include "base/error.h"

#define REDIS_PLACES_MAX 16
#define REDIS_HOST_MAX 253 /* bytes; RFC 1035 */

enum redis_mode {
	REDIS_SINGLE,
	REDIS_CLUSTER,  /* places: nodes to ask first */
	REDIS_SENTINEL, /* places: the sentinels */
};

struct redis_place {
	char *host;
	int port;
};

struct redis_url {
	enum redis_mode mode;
	char *path; /* of the unix socket; NULL: places */
	struct redis_place places[REDIS_PLACES_MAX];
	int place_count;
	char *master;            /* SENTINEL: the name that the sentinels know it by */
	char *user;              /* NULL: the default user */
	char *password;          /* NULL: no login */
	char *sentinel_password; /* NULL: the sentinels want none */
	int db;
};

/* SL_INVALID, also for rediss:// (TLS is not spoken here).  On SL_OK out is the caller's to
 * redis_url_fini(); else there is nothing to free. */
SL_MUST_USE enum sl_code redis_url_parse(const char *text, struct redis_url *out,
					 struct sl_error *error);
void redis_url_fini(struct redis_url *url); /* wipes the passwords */

#endif
