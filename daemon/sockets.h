/* daemon/sockets.h - listening sockets that the service manager passes (sd_listen_fds(3)).
 *
 * LISTEN_PID names us, LISTEN_FDS counts descriptors from 3 on, LISTEN_FDNAMES names them by colons.
 * All are the API's: the name "api", none, or a socket unit's own name (the manager's default). */
#ifndef SLUICE_DAEMON_SOCKETS_H
#define SLUICE_DAEMON_SOCKETS_H

#include "base/error.h"

#define SOCKETS_FIRST 3
#define SOCKETS_MAX 16

/* The three variables' texts, NULL where unset; self: our process id.  *count is 0 when nothing was
 * passed, or not to us.  SL_INVALID names the variable and what it should be. */
SL_MUST_USE enum sl_code sockets_parse(const char *pid, const char *fds, const char *names,
				       long self, int *count, struct sl_error *error);
/* As the environment says; children inherit neither the variables nor the descriptors, which are
 * SOCKETS_FIRST and so on, and the caller's.  SL_UNAVAILABLE: one is not open. */
SL_MUST_USE enum sl_code sockets_take(int *count, struct sl_error *error);

#endif
