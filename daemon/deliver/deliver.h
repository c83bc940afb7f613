/* daemon/deliver/deliver.h - sends what is due in the ledger to the endpoints, again and again by
 * schedule, until it is delivered or exhausted (sql/delivery.h).
 *
 * Every node with the worker role has one.  A claim is a lease: a node that dies, or that ends
 * with a try under way, leaves it to the others, so a try can be sent twice but never by two
 * nodes at a time.  Endpoints have lanes (lane.h), so one that is slow or dead takes nothing from
 * another.  A worker that is quiet or drains claims nothing; what it has sent is still recorded. */
#ifndef SLUICE_DAEMON_DELIVER_DELIVER_H
#define SLUICE_DAEMON_DELIVER_DELIVER_H

#include <stdbool.h>

#include "daemon/daemon.h"

struct deliver; /* opaque */

struct deliver *deliver_new(struct daemon *daemon); /* with daemon->deliveries, webhook_client */
/* After webhook_client and deliveries, which call back with what was under way. */
void deliver_free(struct deliver *deliver); /* NULL is fine */
/* This process has committed events: they are looked for at once.  NULL is fine. */
void deliver_poke(struct deliver *deliver);
/* No new claims from now on.  True: nothing is under way.  To be called again until then, or until
 * the time is up: what is left is sent again by others when its lease is over. */
bool deliver_stop(struct deliver *deliver);
/* A setting of its capacity has changed. */
void deliver_reloaded(struct deliver *deliver);
int deliver_in_flight(const struct deliver *deliver); /* tries under way, for metrics */

#endif
