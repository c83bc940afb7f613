/* base/interval.c - see interval.h. */
#include "base/interval.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static const struct {
	const char *name;
	int64_t ms;
	bool counted; /* may follow a number */
} units[] = {
    {"s", SECOND, true},
    {"sec", SECOND, true},
    {"secs", SECOND, true},
    {"second", SECOND, true},
    {"seconds", SECOND, true},
    {"m", MINUTE, true},
    {"min", MINUTE, true},
    {"mins", MINUTE, true},
    {"minute", MINUTE, true},
    {"minutes", MINUTE, true},
    {"h", HOUR, true},
    {"hr", HOUR, true},
    {"hrs", HOUR, true},
    {"hour", HOUR, true},
    {"hours", HOUR, true},
    {"d", DAY, true},
    {"day", DAY, true},
    {"days", DAY, true},
    {"week", 7 * DAY, false},
    {"month", 30 * DAY, false},
    {"half day", DAY / 2, false},
    {"half hour", HOUR / 2, false},
    {"quarter hour", HOUR / 4, false},
};

enum sl_code
interval_parse(const char *text, int64_t *out, struct sl_error *error)
{
	const char *at = text;
	int64_t count = 0;
	int digits = 0;

	if (strncmp(at, "every ", 6) == 0)
		at += 6;
	for (; *at >= '0' && *at <= '9' && digits < 9; at++, digits++)
		count = count * 10 + (*at - '0');
	if (digits > 0 && *at == ' ')
		at++;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(units[i].name, at) != 0 || (digits > 0 && !units[i].counted))
			continue;
		*out = (digits > 0 ? count : 1) * units[i].ms;
		if (*out < INTERVAL_MIN_MS)
			return sl_fail(error, SL_INVALID, "\"%.60s\" is shorter than 30 seconds",
				       text);
		if (*out > INTERVAL_MAX_MS)
			return sl_fail(error, SL_INVALID, "\"%.60s\" is longer than 366 days",
				       text);
		return SL_OK;
	}
	return sl_fail(
	    error, SL_INVALID,
	    "\"%.60s\" is no interval; write for example \"every 5 minutes\" or \"every day\"",
	    text);
}
