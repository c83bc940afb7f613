#include "base/config_value.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit no_units[] = {{"", 1}, {NULL, 0}};
static const struct unit durations[] = {/* in milliseconds */
					{"ms", 1},       {"s", 1000}, {"m", 60000}, {"h", 3600000},
					{"d", 86400000}, {"", 1000},  {NULL, 0}};
static const struct unit sizes[] = {{"", 1},
				    {"k", INT64_C(1) << 10},
				    {"KiB", INT64_C(1) << 10},
				    {"m", INT64_C(1) << 20},
				    {"MiB", INT64_C(1) << 20},
				    {"g", INT64_C(1) << 30},
				    {"GiB", INT64_C(1) << 30},
				    {"t", INT64_C(1) << 40},
				    {"TiB", INT64_C(1) << 40},
				    {NULL, 0}};

static bool
parse_number(const char *text, const struct unit *units, int64_t *number)
{
	bool minus = *text == '-';
	const char *at = text + minus;
	int64_t value = 0; /* counted downwards: there is one more negative number */

	if (*at < '0' || *at > '9' ||
	    (minus && units != no_units)) /* no size or time is negative */
		return false;
	for (; *at >= '0' && *at <= '9'; at++) {
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_sub_overflow(value, *at - '0', &value))
			return false;
	}
	while (units->name != NULL && strcasecmp(at, units->name) != 0)
		units++;
	if (units->name == NULL || __builtin_mul_overflow(value, units->factor, &value) ||
	    (!minus && value == INT64_MIN))
		return false;
	*number = minus ? value : -value;
	return true;
}

bool
config_parse_bool(const char *text, int64_t *number)
{
	static const char *const words[][2] = {
	    {"false", "true"}, {"0", "1"}, {"no", "yes"}, {"off", "on"}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		for (int yes = 0; yes < 2; yes++) {
			if (strcasecmp(text, words[i][yes]) == 0) {
				*number = yes;
				return true;
			}
		}
	}
	return false;
}

/* number with the largest unit that leaves no fraction. */
static void
write_number(enum config_type type, int64_t number, char *out, size_t size)
{
	static const struct unit none = {"", 1};
	const struct unit *best = &none;
	const struct unit *units = type == CONFIG_SECONDS ? durations
				   : type == CONFIG_BYTES ? sizes
							  : no_units;

	if (type == CONFIG_SECONDS)
		best = &durations[0];
	for (; units->name != NULL; units++) {
		if (*units->name != '\0' && number != 0 && number % units->factor == 0 &&
		    units->factor >= best->factor)
			best = units;
	}
	snprintf(out, size, "%lld%s", (long long)(number / best->factor), best->name);
}

static enum sl_code
check_bounds(const struct config_row *row, int64_t number, struct sl_error *error)
{
	char min[32], max[32];

	if ((row->min == 0 && row->max == 0) || (number >= row->min && number <= row->max))
		return SL_OK;
	write_number(row->type, row->min, min, sizeof(min));
	write_number(row->type, row->max, max, sizeof(max));
	return sl_fail(error, SL_INVALID, "must be from %s to %s", min, max);
}

enum sl_code
config_parse(const struct config_row *row, const char *text, int64_t *number,
	     struct sl_error *error)
{
	switch (row->type) {
	case CONFIG_TEXT:
		return SL_OK;
	case CONFIG_BOOL:
		if (!config_parse_bool(text, number))
			return sl_fail(error, SL_INVALID, "must be true or false");
		return SL_OK;
	case CONFIG_INT:
		if (!parse_number(text, no_units, number))
			return sl_fail(error, SL_INVALID, "must be a whole number");
		return check_bounds(row, *number, error);
	case CONFIG_SECONDS:
		if (!parse_number(text, durations, number))
			return sl_fail(error, SL_INVALID,
				       "must be a duration: 500ms, 15s, 5m, 2h or 7d");
		return check_bounds(row, *number, error);
	case CONFIG_BYTES:
		if (!parse_number(text, sizes, number))
			return sl_fail(error, SL_INVALID, "must be a size: 64k, 128MiB or 1g");
		return check_bounds(row, *number, error);
	}
	return sl_fail(error, SL_INTERNAL, "the table of settings has a row of no type");
}
