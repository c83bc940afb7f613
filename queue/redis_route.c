#include "queue/redis_route.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "base/alloc.h"
#include "queue/redis_reply.h"

void
redis_route_init(struct redis_route *route, const struct redis_url *url)
{
	*route = (struct redis_route){.url = url};
}

/* False: no host or port that one could connect to; goal is unchanged. */
static bool
goal_set(struct redis_goal *goal, const char *host, size_t len, long long port)
{
	if (len == 0 || len > REDIS_HOST_MAX || memchr(host, '\0', len) != NULL || port < 1 ||
	    port > 65535)
		return false;
	memmove(goal->host, host, len);
	goal->host[len] = '\0';
	goal->port = (int)port;
	goal->is_sentinel = false;
	return true;
}

const struct redis_goal *
redis_route_next(struct redis_route *route)
{
	const struct redis_url *url = route->url;
	unsigned at;

	assert(url->place_count > 0);
	if (route->named) {
		route->named = false;
		return &route->goal;
	}
	at = route->turn++ % (unsigned)(url->place_count + route->node_count);
	if (at < (unsigned)url->place_count) {
		const struct redis_place *place = &url->places[at];
		bool good = goal_set(&route->goal, place->host, strlen(place->host), place->port);

		assert(good);
		(void)good;
		route->goal.is_sentinel = url->mode == REDIS_SENTINEL;
	} else {
		route->goal = route->nodes[at - (unsigned)url->place_count];
	}
	return &route->goal;
}

/* Digits to the end of the text; -1: something else. */
static long long
port_of(const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len > 5 || strspn(text, "0123456789") != len)
		return -1;
	return strtoll(text, NULL, 10);
}

/* MOVED SLOT [HOST]:PORT, where no host means the one that answers. */
bool
redis_route_moved(struct redis_route *route, const char *text)
{
	const char *place, *colon;
	long long port;

	if (route->url->mode != REDIS_CLUSTER || strncmp(text, "MOVED ", 6) != 0)
		return false;
	place = strrchr(text, ' ') + 1;
	colon = strrchr(place, ':'); /* the last: IPv6 has more */
	if (colon == NULL)
		return true;
	port = port_of(colon + 1);
	if (colon == place && port > 0 && port <= 65535) {
		route->goal.port = (int)port;
		route->named = true;
	} else {
		route->named = goal_set(&route->goal, place, (size_t)(colon - place), port);
	}
	return true;
}

enum sl_code
redis_route_master(struct redis_route *route, const struct redisReply *reply,
		   struct sl_error *error)
{
	static const char command[] = "SENTINEL GET-MASTER-ADDR-BY-NAME";
	const struct redisReply *host, *port;

	if (reply->type == REDIS_REPLY_NIL)
		return sl_fail(error, SL_NOT_FOUND,
			       "a sentinel does not know the master that redis_url names");
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)
		return redis_unexpected(error, command, "an address", reply);
	host = reply->element[0];
	port = reply->element[1];
	if (host->type != REDIS_REPLY_STRING || port->type != REDIS_REPLY_STRING ||
	    !goal_set(&route->goal, host->str, host->len, port_of(port->str)))
		return redis_unexpected(error, command, "a host and a port", reply);
	route->named = true;
	return SL_OK;
}

static bool
knows(const struct redis_route *route, const struct redis_goal *nodes, int count,
      const struct redis_goal *node)
{
	for (int i = 0; i < count; i++) {
		if (nodes[i].port == node->port && strcmp(nodes[i].host, node->host) == 0)
			return true;
	}
	for (int i = 0; i < route->url->place_count; i++) {
		const struct redis_place *place = &route->url->places[i];

		if (place->port == node->port && strcmp(place->host, node->host) == 0)
			return true;
	}
	return false;
}

/* {first slot, last slot, {host, port, ...}, replicas likewise ...}; a host that the node does not
 * know is nil or "?". */
static void
add_nodes(const struct redis_route *route, const struct redisReply *range, struct redis_goal *nodes,
	  int *count)
{
	for (size_t i = 2; i < range->elements; i++) {
		const struct redisReply *node = range->element[i];
		struct redis_goal goal;

		if (node->type != REDIS_REPLY_ARRAY || node->elements < 2 ||
		    node->element[0]->type != REDIS_REPLY_STRING ||
		    node->element[1]->type != REDIS_REPLY_INTEGER ||
		    strcmp(node->element[0]->str, "?") == 0)
			continue;
		if (*count < REDIS_NODES_MAX &&
		    goal_set(&goal, node->element[0]->str, node->element[0]->len,
			     node->element[1]->integer) &&
		    !knows(route, nodes, *count, &goal))
			nodes[(*count)++] = goal;
	}
}

enum sl_code
redis_route_nodes(struct redis_route *route, const struct redisReply *reply, struct sl_error *error)
{
	struct redis_goal *nodes;
	int count = 0;

	if (reply->type != REDIS_REPLY_ARRAY)
		return redis_unexpected(error, "CLUSTER SLOTS", "ranges of slots", reply);
	nodes = sl_calloc(REDIS_NODES_MAX, sizeof(*nodes));
	for (size_t i = 0; i < reply->elements; i++) {
		if (reply->element[i]->type == REDIS_REPLY_ARRAY)
			add_nodes(route, reply->element[i], nodes, &count);
	}
	if (count > 0) { /* a node that has lost its view keeps ours */
		memcpy(route->nodes, nodes, (size_t)count * sizeof(*nodes));
		route->node_count = count;
	}
	free(nodes);
	return SL_OK;
}
