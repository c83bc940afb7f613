/* queue/redis_route.h - which server the next connection goes to.
 *
 * One server: always that.  Sentinels: one of them, in turn, and then the master that it names.
 * Cluster: a node, in turn - those of the URL and those that a node told about - and then the one
 * that it redirects to.  Every name learned is good for one connection; after its loss the question
 * is asked anew, so that a demoted or moved server is left by itself. */
#ifndef SLUICE_QUEUE_REDIS_ROUTE_H
#define SLUICE_QUEUE_REDIS_ROUTE_H

#include <stdbool.h>

#include "base/error.h"
#include "queue/redis_url.h"

#define REDIS_NODES_MAX 64 /* nodes of a cluster that are remembered; others are ignored */

struct redisReply; /* of hiredis */

struct redis_goal {
	char host[REDIS_HOST_MAX + 1];
	int port;
	bool is_sentinel; /* only to be asked where the master is */
};

struct redis_route {
	const struct redis_url *url; /* borrowed */
	struct redis_goal goal;      /* of the connection under way */
	struct redis_goal nodes[REDIS_NODES_MAX];
	int node_count;
	unsigned turn; /* over places and nodes */
	bool named;    /* goal is where to go next: learned, not used yet */
};

void redis_route_init(struct redis_route *route, const struct redis_url *url);
/* The next goal; not for unix sockets. */
const struct redis_goal *redis_route_next(struct redis_route *route);

/* text: an error reply.  True: it was a redirection, and the next goal is the node it names.  A
 * redirection that names none leaves the choice to the turn. */
bool redis_route_moved(struct redis_route *route, const char *text);
/* reply to SENTINEL GET-MASTER-ADDR-BY-NAME.  SL_OK: the next goal is the master; SL_NOT_FOUND: this
 * sentinel does not know it; SL_INTERNAL: another shape. */
SL_MUST_USE enum sl_code redis_route_master(struct redis_route *route,
					    const struct redisReply *reply, struct sl_error *error);
/* reply to CLUSTER SLOTS: its nodes replace those known.  SL_INTERNAL: another shape; nothing is
 * changed. */
SL_MUST_USE enum sl_code redis_route_nodes(struct redis_route *route,
					   const struct redisReply *reply, struct sl_error *error);

#endif
