/* base/interval.h - how often a sync runs, as people write it: "every 5 minutes", "1h", "every half
 * day".
 *
 * Grammar of wire.md section 3: an optional "every ", then a count and a unit (s, sec, second, m,
 * min, minute, h, hr, hour, d, day and their plurals), or one of month (30 days), week, half day,
 * half hour, quarter hour; a unit alone stands for one. */
#ifndef SLUICE_BASE_INTERVAL_H
#define SLUICE_BASE_INTERVAL_H

#include <stdint.h>

#include "base/error.h"

#define INTERVAL_MIN_MS 30000
#define INTERVAL_MAX_MS (INT64_C(366) * 24 * 3600 * 1000)

/* Milliseconds.  SL_INVALID: no such interval (*out is -1), or outside 30 s .. 366 days (*out is what
 * it says); error says which. */
SL_MUST_USE enum sl_code interval_parse(const char *text, int64_t *out, struct sl_error *error);

/* How a frequency is kept that interval_parse() takes: without "every ", and with a count: "every 5
 * minutes" as "5 minutes", "every hour" as "1h", "half day" as "12h". */
#define INTERVAL_TEXT 32
void interval_normal(const char *text, char out[INTERVAL_TEXT]);

#endif
