/* provider/limit.h - what an answer says of the provider's rate limit.
 *
 * Sources, the strictest wins: Retry-After (RFC 9110 section 10.2.3), X-RateLimit-Limit/-Remaining/-Reset and the
 * RateLimit-* forms, the headers that the provider's definition names, and the request's retryHeader. */
#ifndef SLUICE_PROVIDER_LIMIT_H
#define SLUICE_PROVIDER_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "http/client.h"
#include "provider/retry.h"

#define LIMIT_WAIT_CAP_MS (24 * 3600 * INT64_C(1000)) /* longer ones are not believed */

struct limit_news {
	bool limited;      /* refused for its rate: 429, or as the definition says it */
	int64_t closed_ms; /* with limited: from now until the window opens; -1: it does not say */
	int64_t remaining; /* further requests of the window; -1: it does not say */
	int64_t reset_ms;  /* from now until remaining is renewed; -1: it does not say */
	int64_t limit;     /* requests of a whole window; -1: it does not say */
};

/* False: the answer says nothing of it. */
bool limit_read(const struct retry_rules *rules, const struct http_answer *answer, int64_t wall_ms,
		struct limit_news *out);

#endif
