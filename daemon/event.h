/* daemon/event.h - on-event functions: what happens around the life of a connection (wire.md 14.7).
 *
 * Queued ones are jobs, one after the other for each connection.  Awaited ones run at once on this
 * node, without a job: nobody would ask for their result later. */
#ifndef SLUICE_DAEMON_EVENT_H
#define SLUICE_DAEMON_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "daemon/daemon.h"

#define EVENT_CREATED "post-connection-creation"
#define EVENT_DELETING "pre-connection-deletion"
#define EVENT_VALIDATE "validate-connection"

#define EVENT_LIMIT_MS 300000 /* awaited functions of one event, together */

struct directory_functions;

/* Does an enabled function of an integration want event? */
bool event_is_wanted(const struct directory_functions *functions, const char *event);

struct event_place {
	int64_t environment_id, connection_id; /* row ids */
	const char *unique_key;                /* of the integration; copied */
};

typedef void event_cb(void *arg, enum sl_code code, const struct sl_error *error);
/* A job for each function of event.  cb once all are committed; SL_OK also when there is none.
 * SL_UNAVAILABLE: the ledger is away, or this node is full; what was not committed is lost, which is
 * the caller's to log. */
void event_submit(struct daemon *daemon, const struct event_place *place, const char *event,
		  event_cb *cb, void *arg);

/* SL_UNAVAILABLE: this node runs no functions, or the directory cannot be read.  SL_INVALID: a
 * function failed; output is its error object, empty when it did not end in time. */
typedef void event_end_cb(void *arg, enum sl_code code, struct slice output,
			  const struct sl_error *error);
/* Runs the functions of event, one after the other, until one fails. */
void event_run(struct daemon *daemon, const struct event_place *place, const char *event,
	       event_end_cb *cb, void *arg);

#endif
