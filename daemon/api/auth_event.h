/* daemon/api/auth_event.h - what an environment is told of a connection's credentials (wire.md 9, type auth). */
#ifndef SLUICE_DAEMON_API_AUTH_EVENT_H
#define SLUICE_DAEMON_API_AUTH_EVENT_H

#include <stdbool.h>

#include "base/buf.h"
#include "sql/account.h"

#define AUTH_EVENT_MAX (1 << 20) /* tags of a connection and of its end user, and names */

/* Appends the body of a success.  operation: "creation" or "override". */
void auth_event_write(const char *environment, const char *auth_mode, const char *operation,
		      const struct account_connection *row, struct buf *out);
/* Likewise of a refresh that has failed: error_text is for the owner of the connection. */
void auth_event_write_failure(const char *environment, const char *auth_mode,
			      const struct account_connection *row, const char *error_type,
			      const char *error_text, struct buf *out);

#endif
