/* daemon/deliver/backoff.h - when a delivery that failed is tried again: the setting
 * delivery_schedule, and what the endpoint asked for. */
#ifndef SLUICE_DAEMON_DELIVER_BACKOFF_H
#define SLUICE_DAEMON_DELIVER_BACKOFF_H

#include <stdint.h>

#include "base/error.h"

#define BACKOFF_TRIES_MAX 32
#define BACKOFF_ASKED_MAX_MS (24 * 3600 * INT64_C(1000)) /* more is not granted */

struct backoff {
	int tries;                           /* of a delivery, until it is exhausted */
	int64_t delay_ms[BACKOFF_TRIES_MAX]; /* before each of them; the first is 0 */
};

/* "0s,5s,5m": durations as in other settings, each by a comma; blanks around them do not count.
 * SL_INVALID: not so, the first is not 0, or one is longer than 30 days. */
SL_MUST_USE enum sl_code backoff_parse(const char *text, struct backoff *out,
				       struct sl_error *error);
/* How long to wait when try `round` (from 1) has failed: the schedule's delay, or what the
 * endpoint asked for (asked_ms; none below 1) if that is longer.  -1: it was the last one. */
int64_t backoff_delay_ms(const struct backoff *backoff, int round, int64_t asked_ms);

#endif
