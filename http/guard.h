/* http/guard.h - which addresses our own requests may reach.
 *
 * Loopback, private, link-local, shared, multicast, documentation, benchmarking, unspecified,
 * NAT64/6to4/mapped forms of these and the cloud metadata addresses are refused (IANA
 * special-purpose registries, RFC 6890) unless a CIDR block of the allow-list holds them; the policy says what else.  The
 * check is made on every address of a name before one is connected, and again on the one that is about to be,
 * so DNS rebinding cannot pass it. */
#ifndef SLUICE_HTTP_GUARD_H
#define SLUICE_HTTP_GUARD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"

struct guard; /* opaque; changes by guard_set() only */

enum guard_policy {
	GUARD_DENYLIST,   /* everything but the above, and what deny names */
	GUARD_ALLOWLIST,  /* nothing but what allow names */
	GUARD_PERMISSIVE, /* as DENYLIST, but private, shared and link-local addresses may be reached, too */
};

/* Lists have commas or blanks between their entries: CIDR blocks ("127.0.0.0/8, ::1/128") and host names, exact
 * ("api.example.org") or all below one ("*.example.org").  "" or NULL: none.  What deny names is refused whatever
 * allow says.  A name in allow counts for GUARD_ALLOWLIST only, and never opens an address of the above: only a block
 * does. */
struct guard_rules {
	enum guard_policy policy;
	const char *allow, *deny;
};

/* As GUARD_DENYLIST with these blocks. */
SL_MUST_USE enum sl_code guard_new(const char *allow, struct guard **out, struct sl_error *error);
/* Other rules for the same guard; connections made under those before are not used again (http/client).  SL_INVALID
 * names the entry; then the guard is as it was. */
SL_MUST_USE enum sl_code guard_set(struct guard *guard, const struct guard_rules *rules,
				   struct sl_error *error);
/* When guard_set() was last called, monotonic milliseconds; 0: never. */
int64_t guard_changed_ms(const struct guard *guard);
void guard_free(struct guard *guard);

/* May a URL name this host at all?  Its addresses are judged by themselves. */
bool guard_allows_host(const struct guard *guard, const char *host);
/* host: as the URL has it; NULL: not known. */
bool guard_allows(const struct guard *guard, const char *host, const struct sockaddr *address);
/* Is there a host name among the entries of a list? */
bool guard_list_has_name(const char *list);

#endif
