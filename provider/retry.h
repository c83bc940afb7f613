/* provider/retry.h - which failures are worth another try, and how long to wait first.
 *
 * wire.md sections 8 and 14.6: network errors; the provider's own list of statuses if it has one,
 * else 401 (only when credentials may have changed: the caller says), 429 and 5xx; the request's
 * retryOn; an exhausted "remaining" header.  Wait: the largest of the headers, else 3 s doubling,
 * cap 10 min. */
#ifndef SLUICE_PROVIDER_RETRY_H
#define SLUICE_PROVIDER_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "http/client.h"
#include "provider/catalog.h"

#define RETRY_WAIT_FIRST_MS 3000
#define RETRY_WAIT_CAP_MS 600000

struct retry_rules {
	const struct provider *provider; /* may be NULL */
	const int *retry_on;
	int retry_on_count;
	const char *header_at, *header_after; /* the request's retryHeader, or NULL */
	bool credentials_changed;             /* a 401 is worth a try */
};

bool retry_is_worth(const struct retry_rules *rules, const struct http_answer *answer);
/* Milliseconds before try number next (1 = first repeat).  Never negative, at most
 * RETRY_WAIT_CAP_MS. */
int64_t retry_wait_ms(const struct retry_rules *rules, const struct http_answer *answer, int next,
		      int64_t wall_ms);
/* Retry-After: seconds or an HTTP date (RFC 9110 section 10.2.3): -1 when it says nothing usable.
 */
int64_t retry_after_ms(const char *value, int64_t wall_ms);
/* A moment: unix seconds, unix milliseconds, ISO 8601 or HTTP date -> ms from now; -1 unusable or
 * past. */
int64_t retry_at_ms(const char *value, int64_t wall_ms);

#endif
