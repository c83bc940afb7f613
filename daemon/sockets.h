/* daemon/sockets.h - listening sockets that the service manager passes (sd_listen_fds(3)).
 *
 * LISTEN_PID names us, LISTEN_FDS counts descriptors from 3 on, LISTEN_FDNAMES names them by colons.
 * "metrics" is for metrics_listen, all else the API's: "api", no name, or a socket unit's own name (the
 * manager's default). */
#ifndef SLUICE_DAEMON_SOCKETS_H
#define SLUICE_DAEMON_SOCKETS_H

#include "base/error.h"

#define SOCKETS_FIRST 3
#define SOCKETS_MAX 16

struct sockets {
	int api[SOCKETS_MAX], metrics[SOCKETS_MAX]; /* descriptors */
	int api_count, metrics_count;
};

/* The three variables' texts, NULL where unset; self: our process id.  *out is empty when nothing was
 * passed, or not to us.  SL_INVALID names the variable and what it should be. */
SL_MUST_USE enum sl_code sockets_parse(const char *pid, const char *fds, const char *names,
				       long self, struct sockets *out, struct sl_error *error);
/* As the environment says; children inherit neither the variables nor the descriptors, which are the
 * caller's.  SL_UNAVAILABLE: one is not open. */
SL_MUST_USE enum sl_code sockets_take(struct sockets *out, struct sl_error *error);

#endif
