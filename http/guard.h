/* http/guard.h - which addresses our own requests may reach.
 *
 * Loopback, private, link-local, shared, multicast, documentation, benchmarking, unspecified,
 * NAT64/6to4/mapped forms of these and the cloud metadata addresses are refused (IANA
 * special-purpose registries, RFC 6890) unless a CIDR block of the allow-list holds them.  The
 * check is made on the address that is about to be connected, so DNS rebinding cannot pass it. */
#ifndef SLUICE_HTTP_GUARD_H
#define SLUICE_HTTP_GUARD_H

#include <stdbool.h>
#include <sys/socket.h>

#include "base/error.h"

struct guard; /* opaque, immutable */

/* allow: comma- or space-separated CIDR blocks ("127.0.0.0/8, ::1/128"); "" or NULL: none. */
SL_MUST_USE enum sl_code guard_new(const char *allow, struct guard **out, struct sl_error *error);
void guard_free(struct guard *guard);
bool guard_allows(const struct guard *guard, const struct sockaddr *address);

#endif
