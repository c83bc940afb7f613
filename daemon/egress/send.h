/* daemon/egress/send.h - one request to a provider on behalf of a connection: the one way out for functions,
 * syncs and the proxy.
 *
 * Fresh credentials (fresh.h), then for each try: the gate (gate.h), the caller's leave (a worker makes its
 * attempt durable), the request (provider/request.h), one log line.  What answers say of windows goes to the gate.
 * A 401 is tried again only when a refresh changed the credentials. */
#ifndef SLUICE_DAEMON_EGRESS_SEND_H
#define SLUICE_DAEMON_EGRESS_SEND_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/api/directory.h"
#include "daemon/daemon.h"
#include "daemon/egress/gate.h"
#include "http/client.h"
#include "provider/request.h"

struct egress; /* opaque: one request with all its tries */

struct egress_ask {
	const struct directory_connection *connection;   /* held until the end */
	const struct directory_integration *integration; /* held until the end */
	struct provider_ask
	    ask;         /* as in provider/request.h; texts are copied, its stream borrowed */
	const char *by;  /* for the log: "function=NAME", "proxy", ...; copied */
	const char *job; /* id, or "" */
};

struct egress_events {
	/* Before each try: answer by egress_go(), once, from inside or later.  NULL: always allowed. */
	void (*on_before_send)(void *arg, struct egress *egress);
	/* It waits for a window (true), or does not any more: what it holds may be lent meanwhile.  NULL: fine. */
	void (*on_waiting)(void *arg, bool waiting);
	/* The end, exactly once, from the loop.  As in provider_events; with a failure of ours, failure is
	 * HTTP_CANCELLED and code one of: "invalid_credentials", "connection_refresh_backoff",
	 * "connection_refresh_exhausted", "unknown_provider", "unknown_connection", "missing_api_url",
	 * "invalid_request", "script_aborted", "server_error". */
	void (*on_answer)(void *arg, const struct http_answer *answer);
};

/* Never fails at once: what is wrong comes by on_answer. */
struct egress *egress_start(struct daemon *daemon, const struct egress_ask *ask,
			    const struct egress_events *events, void *arg);
void egress_go(struct egress *egress, bool allowed);
void egress_resume(struct egress *egress); /* of a stream that was paused */
void egress_cancel(struct egress *egress); /* on_answer does not follow */

/* The place whose window such a request waits for. */
void egress_place(const struct daemon *daemon, const struct directory_connection *connection,
		  const struct directory_integration *integration, struct gate_place *out);

#endif
