/* provider/moment.h - dates as providers write them.
 *
 * ISO 8601 (the profile of RFC 3339; a missing zone means UTC, a missing time midnight) and the
 * three forms of RFC 9110 section 5.6.7: IMF-fixdate, RFC 850, asctime.  Independent of locale and
 * time zone. */
#ifndef SLUICE_PROVIDER_MOMENT_H
#define SLUICE_PROVIDER_MOMENT_H

#include <stdbool.h>
#include <stdint.h>

/* Milliseconds since 1970.  wall_ms (now) decides the century of a two-digit year.  False: no date
 * that we read; *out is then unchanged. */
bool moment_parse(const char *text, int64_t wall_ms, int64_t *out);

#endif
