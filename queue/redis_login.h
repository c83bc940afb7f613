/* queue/redis_login.h - the first words on a new connection: login, and is this the right server?
 * For redis.c and redis_login.c only. */
#ifndef SLUICE_QUEUE_REDIS_LOGIN_H
#define SLUICE_QUEUE_REDIS_LOGIN_H

#include "queue/redis_route.h"

struct redis;

struct redis_login {
	struct redis *redis; /* borrowed, as all here */
	struct redis_route *route;
	const char *key; /* of the slot that is wanted; CLUSTER only */
	int left;        /* answers still to come */
};

/* In SETUP.  Calls redis_logged_in() when this is the server that is wanted, redis_follow() when it
 * was a sentinel that named it, or redis_drop(): wrong server, no login, no sense. */
void redis_login_start(struct redis_login *login);

void redis_logged_in(struct redis *redis);
void redis_follow(struct redis *redis); /* leaves for the goal that the route has learned */

#endif
