/* provider/retry.h - which failures are worth another try, and how long to wait first.
 *
 * wire.md sections 8 and 14.6: network errors; the provider's own list of statuses if it has one,
 * else 401 (only when credentials may have changed: the caller says), 429 and 5xx; the request's
 * retryOn; an exhausted "remaining" header.  Wait: the largest of the headers, else what the body
 * says where the definition names a place in it, else 3 s doubling, cap 10 min. */
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
/* What headers, else the body, ask for, uncapped; -1: nothing. */
int64_t retry_asked_ms(const struct retry_rules *rules, const struct http_answer *answer,
		       int64_t wall_ms);
/* Milliseconds before try number next (1 = first repeat).  Never negative, at most
 * RETRY_WAIT_CAP_MS. */
int64_t retry_wait_ms(const struct retry_rules *rules, const struct http_answer *answer, int next,
		      int64_t wall_ms);
/* Such a wait with jitter, so that those who failed together do not come back together: a fifth more at most
 * of our own, within the cap; a quarter more of one that was asked for, 250 ms at most.  Never less. */
int64_t retry_spread_ms(int64_t wait_ms, bool asked, uint32_t random);

/* Retry-After: seconds or an HTTP date (RFC 9110 section 10.2.3), or seconds with their unit as some providers
 * write them ("6m0s", "250ms"): -1 when it says nothing usable. */
int64_t retry_after_ms(const char *value, int64_t wall_ms);
/* A moment: unix seconds, unix milliseconds, ISO 8601 or HTTP date -> ms from now; -1 unusable or
 * past. */
int64_t retry_at_ms(const char *value, int64_t wall_ms);
/* The end of a window, written as either of them: a number under 10^6 is seconds from now. */
int64_t retry_reset_ms(const char *value, int64_t wall_ms);
/* What the definition's place in the body says; -1: nothing usable. */
int64_t retry_body_ms(const struct provider *provider, struct slice body, int64_t wall_ms);
/* A number in thousandths, with a fraction rounded up; of a list ("10, 100;w=60") the first.  False: it is none. */
bool retry_number(const char *value, int64_t *thousandths);

#endif
