#include "daemon/deliver/backoff.h"

#include <assert.h>
#include <string.h>

#define DELAY_MAX_MS (30 * 24 * 3600 * INT64_C(1000))

static const struct unit {
	const char *name;
	int64_t ms;
} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {"", 1000}};

/* len bytes of text as a duration; -1: none, or too long a one. */
static int64_t
parse_delay(const char *text, size_t len)
{
	int64_t number = 0;
	size_t digits = 0;

	for (; digits < len && text[digits] >= '0' && text[digits] <= '9'; digits++) {
		number = number * 10 + (text[digits] - '0');
		if (number > DELAY_MAX_MS)
			return -1;
	}
	for (size_t i = 0; digits > 0 && i < sizeof(units) / sizeof(units[0]); i++) {
		if (strlen(units[i].name) != len - digits ||
		    memcmp(units[i].name, text + digits, len - digits) != 0)
			continue;
		return number <= DELAY_MAX_MS / units[i].ms ? number * units[i].ms : -1;
	}
	return -1;
}

enum sl_code
backoff_parse(const char *text, struct backoff *out, struct sl_error *error)
{
	out->tries = 0;
	for (const char *at = text, *next; at != NULL; at = next) {
		size_t len = strcspn(at, ",");
		int64_t delay;

		next = at[len] == ',' ? at + len + 1 : NULL;
		for (; len > 0 && *at == ' '; len--)
			at++;
		while (len > 0 && at[len - 1] == ' ')
			len--;
		delay = parse_delay(at, len);
		if (delay < 0)
			return sl_fail(error, SL_INVALID,
				       "\"%.*s\" is no delay up to 30d: 500ms, 5s, 5m, 2h, 1d",
				       len < 40 ? (int)len : 40, at);
		if (out->tries == BACKOFF_TRIES_MAX)
			return sl_fail(error, SL_INVALID, "more than %d delays", BACKOFF_TRIES_MAX);
		if (out->tries == 0 && delay != 0)
			return sl_fail(error, SL_INVALID,
				       "the first delay is not 0s: an event is sent at once");
		out->delay_ms[out->tries++] = delay;
	}
	return SL_OK;
}

int64_t
backoff_delay_ms(const struct backoff *backoff, int round, int64_t asked_ms)
{
	int64_t delay;

	assert(round >= 1);
	if (round >= backoff->tries)
		return -1;
	delay = backoff->delay_ms[round];
	if (asked_ms > BACKOFF_ASKED_MAX_MS)
		asked_ms = BACKOFF_ASKED_MAX_MS;
	return asked_ms > delay ? asked_ms : delay;
}
