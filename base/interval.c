/* base/interval.c - see interval.h. */
#include "base/interval.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static const struct {
	const char *name;
	int64_t ms;
	const char *normal; /* of the words that take no number; NULL: may follow one */
} units[] = {
    {"s", SECOND, NULL},
    {"sec", SECOND, NULL},
    {"secs", SECOND, NULL},
    {"second", SECOND, NULL},
    {"seconds", SECOND, NULL},
    {"m", MINUTE, NULL},
    {"min", MINUTE, NULL},
    {"mins", MINUTE, NULL},
    {"minute", MINUTE, NULL},
    {"minutes", MINUTE, NULL},
    {"h", HOUR, NULL},
    {"hr", HOUR, NULL},
    {"hrs", HOUR, NULL},
    {"hour", HOUR, NULL},
    {"hours", HOUR, NULL},
    {"d", DAY, NULL},
    {"day", DAY, NULL},
    {"days", DAY, NULL},
    {"week", 7 * DAY, "7d"},
    {"month", 30 * DAY, "30d"},
    {"half day", DAY / 2, "12h"},
    {"half hour", HOUR / 2, "30m"},
    {"quarter hour", HOUR / 4, "15m"},
};

/* The count of text, *digits long, and where its unit begins. */
static const char *
split(const char *text, int64_t *count, int *digits)
{
	*count = 0;
	*digits = 0;
	if (strncmp(text, "every ", 6) == 0)
		text += 6;
	for (; *text >= '0' && *text <= '9' && *digits < 9; text++, (*digits)++)
		*count = *count * 10 + (*text - '0');
	return text + (*digits > 0 && *text == ' ');
}

enum sl_code
interval_parse(const char *text, int64_t *out, struct sl_error *error)
{
	int64_t count;
	int digits;
	const char *unit = split(text, &count, &digits);

	*out = -1;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(units[i].name, unit) != 0 || (digits > 0 && units[i].normal != NULL))
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

void
interval_normal(const char *text, char out[INTERVAL_TEXT])
{
	int64_t count;
	int digits;
	const char *unit = split(text, &count, &digits);

	if (strncmp(text, "every ", 6) == 0)
		text += 6;
	if (digits > 0)
		snprintf(out, INTERVAL_TEXT, "%s", text);
	else /* the first letter of a counted unit is its short form */
		snprintf(out, INTERVAL_TEXT, "1%c", unit[0]);
	for (size_t i = 0; digits == 0 && i < sizeof(units) / sizeof(units[0]); i++)
		if (units[i].normal != NULL && strcmp(units[i].name, unit) == 0)
			snprintf(out, INTERVAL_TEXT, "%s", units[i].normal);
}
