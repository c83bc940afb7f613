/* daemon/egress/gate.h - the provider's windows, which every node obeys (invariant I9).
 *
 * A window belongs to a connection, or to an integration where the provider limits per app.  It is kept in Redis
 * (queue/gate.h), by Redis's clock; this is the node's end: who waits for which window, in the order they came,
 * and what the node knows by itself while Redis is away.  Then it obeys the windows that it knows, lets one
 * request at a time out for each place, and publishes what it has learnt once Redis is back. */
#ifndef SLUICE_DAEMON_EGRESS_GATE_H
#define SLUICE_DAEMON_EGRESS_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/daemon.h"
#include "provider/limit.h"

struct gates;     /* opaque: one per process */
struct gate_pass; /* opaque: one request's place in the line, then its right to be out */

struct gate_place {
	int64_t environment_id;
	int64_t connection_id; /* row ids */
	int64_t integration_id;
	bool per_app; /* the provider limits per app (struct provider) */
};

/* allowed: it may be sent now; false: its window opens after give_up_mono_ms, and the pass is gone.
 * waited_ms: since gate_enter(). */
typedef void gate_cb(void *arg, bool allowed, int64_t waited_ms);
/* A wait begins that will last about wait_ms: at most once for a pass, before cb. */
typedef void gate_wait_cb(void *arg, int64_t wait_ms);

struct gates *gates_new(struct daemon *daemon);
/* The connection to Redis was lost, or is there again: it may have come back empty. */
void gates_store_changed(struct gates *gates, bool up);
void gates_close(struct gates *gates); /* before the queues go: Redis is asked nothing any more */
void gates_free(struct gates *gates);  /* behind whoever has a pass */
/* cb follows once, from the loop, never from inside; nor does on_wait, which may be NULL.  place is copied. */
struct gate_pass *gate_enter(struct gates *gates, const struct gate_place *place,
			     int64_t give_up_mono_ms, gate_wait_cb *on_wait, gate_cb *cb,
			     void *arg);
/* Right before the request goes, if cb may have been a while ago: true: go.  False: the pass stands in front of its
 * line again, as the window may have closed meanwhile, and cb follows once more. */
bool gate_confirm(struct gate_pass *pass);
/* Exactly once for each pass that cb did not refuse, also before cb came (then it does not follow): the request was
 * answered, or did not go out.  news: what the answer said of the window, each member -1 (and limited false) where it
 * said nothing; NULL: there was no answer. */
void gate_leave(struct gate_pass *pass, const struct limit_news *news);

/* How long the place's window stays closed as far as this node knows; 0: open. */
int64_t gate_closed_ms(const struct gates *gates, const struct gate_place *place);

/* For operators: how many wait here, and what was cleared in Redis: this node forgets it, too (connection 0: the
 * integration's window and those of its connections). */
int gate_waiting(const struct gates *gates, const struct gate_place *place);
void gates_forget(struct gates *gates, int64_t integration_id, int64_t connection_id);

#endif
