/* http/guard.h - which addresses our own requests may reach.
 *
 * Loopback, private, link-local, shared, multicast, documentation, benchmarking, unspecified,
 * NAT64/6to4/mapped forms of these and the cloud metadata addresses are refused (IANA
 * special-purpose registries, RFC 6890) unless a CIDR block of the allow-list holds them.  The
 * check is made on every address of a name before one is connected, and again on the one that is about to be,
 * so DNS rebinding cannot pass it. */
#ifndef SLUICE_HTTP_GUARD_H
#define SLUICE_HTTP_GUARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"

struct guard; /* opaque; changes by guard_allow() only */

/* allow: comma- or space-separated CIDR blocks ("127.0.0.0/8, ::1/128"); "" or NULL: none. */
SL_MUST_USE enum sl_code guard_new(const char *allow, struct guard **out, struct sl_error *error);
/* Another list for the same guard; connections made under the one before are not used again
 * (http/client).  Unless SL_OK the guard is as it was. */
SL_MUST_USE enum sl_code guard_allow(struct guard *guard, const char *allow,
				     struct sl_error *error);
/* When guard_allow() was last called, monotonic milliseconds; 0: never. */
int64_t guard_changed_ms(const struct guard *guard);
void guard_free(struct guard *guard);
bool guard_allows(const struct guard *guard, const struct sockaddr *address);

#endif
