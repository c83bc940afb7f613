/* queue/redis_lookup.h - the address of a host name without blocking the loop (libevent's
 * resolver). */
#ifndef SLUICE_QUEUE_REDIS_LOOKUP_H
#define SLUICE_QUEUE_REDIS_LOOKUP_H

#include "base/loop.h"

struct redis_lookup; /* opaque; gone after its callback or redis_lookup_cancel() */

/* address: numeric, borrowed for the call; NULL: error says why. */
typedef void redis_lookup_cb(void *arg, const char *address, const char *error);

/* Reads resolv.conf and hosts anew, asks, and calls back once from the loop.  Of several addresses
 * it takes the one at `pick` modulo their number. */
struct redis_lookup *redis_lookup_start(struct loop *loop, const char *host, unsigned pick,
					redis_lookup_cb *cb, void *arg);
void redis_lookup_cancel(struct redis_lookup *lookup); /* no callback any more */

#endif
