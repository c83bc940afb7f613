#include "provider/retry.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "provider/moment.h"

#define SECONDS_BELOW INT64_C(1000000) /* of window ends: smaller numbers are seconds from now */
#define BODY_MAX (1 << 20)             /* bytes of a body that is looked into */

/* 10^11 is the year 5138 in seconds and 1973 in milliseconds: larger numbers are milliseconds. */
#define MOMENT_MS_FROM INT64_C(100000000000)

static bool
list_has(const int *list, int count, int status)
{
	for (int i = 0; i < count; i++)
		if (list[i] == status)
			return true;
	return false;
}

/* Digits, with a fraction allowed, in thousandths; a fraction is rounded up.  Numbers too large for
 * the type are as good as the largest one.  NULL: anything else, signs and exponents included; else
 * what follows. */
static const char *
take_thousandths(const char *text, int64_t *out)
{
	const int64_t most = INT64_MAX / 1000 - 1;
	int64_t whole = 0, part = 0;
	int scale = 100;
	bool more = false;

	if (*text < '0' || *text > '9')
		return NULL;
	for (; *text >= '0' && *text <= '9'; text++)
		whole = whole > most / 10 - 1 ? most : whole * 10 + (*text - '0');
	if (*text == '.') {
		text++;
		for (; *text >= '0' && *text <= '9'; text++) {
			if (scale > 0)
				part += (*text - '0') * scale;
			else if (*text != '0')
				more = true;
			scale /= 10;
		}
	}
	*out = whole * 1000 + part + (more ? 1 : 0);
	return text;
}

static bool
parse_thousandths(const char *text, int64_t *out)
{
	int64_t number;
	const char *end = take_thousandths(text, &number);

	if (end == NULL || *end != '\0')
		return false;
	*out = number;
	return true;
}

/* "1h2m3.5s", "250ms": numbers with their units, larger ones first. */
static bool
parse_duration(const char *text, int64_t *out)
{
	static const struct {
		const char *name;
		int64_t ms;
	} units[] = {{"d", 86400000}, {"h", 3600000}, {"ms", 1}, {"m", 60000}, {"s", 1000}};
	int64_t total = 0, last = INT64_MAX, number;

	while (*text != '\0') {
		size_t i = 0, len = 0;

		text = take_thousandths(text, &number);
		if (text == NULL || number > INT64_C(10000000000))
			return false;
		for (; i < sizeof(units) / sizeof(units[0]); i++) {
			len = strlen(units[i].name);
			if (strncmp(text, units[i].name, len) == 0)
				break;
		}
		if (i == sizeof(units) / sizeof(units[0]) || units[i].ms >= last)
			return false;
		last = units[i].ms;
		total += (number * last + 999) / 1000;
		text += len;
	}
	*out = total;
	return last != INT64_MAX;
}

/* Copies without the spaces around; false: empty or longer than any date. */
static bool
trim(const char *value, char *out, size_t size)
{
	size_t len;

	value += strspn(value, " \t");
	len = strlen(value);
	while (len > 0 && (value[len - 1] == ' ' || value[len - 1] == '\t'))
		len--;
	if (len == 0 || len >= size)
		return false;
	memcpy(out, value, len);
	out[len] = '\0';
	return true;
}

int64_t
retry_after_ms(const char *value, int64_t wall_ms)
{
	char text[64];
	int64_t number;

	if (value == NULL || !trim(value, text, sizeof(text)))
		return -1;
	if (parse_thousandths(text, &number) || parse_duration(text, &number))
		return number;
	if (!moment_parse(text, wall_ms, &number) || number < wall_ms)
		return -1;
	return number - wall_ms;
}

int64_t
retry_at_ms(const char *value, int64_t wall_ms)
{
	char text[64];
	int64_t number;

	if (value == NULL || !trim(value, text, sizeof(text)))
		return -1;
	if (parse_thousandths(text, &number)) {
		if (number / 1000 >= MOMENT_MS_FROM)
			number /= 1000;
	} else if (!moment_parse(text, wall_ms, &number)) {
		return -1;
	}
	return number < wall_ms ? -1 : number - wall_ms;
}

int64_t
retry_reset_ms(const char *value, int64_t wall_ms)
{
	char text[64];
	int64_t number;

	if (value == NULL || !trim(value, text, sizeof(text)))
		return -1;
	if (parse_duration(text, &number) ||
	    (parse_thousandths(text, &number) && number / 1000 < SECONDS_BELOW))
		return number;
	return retry_at_ms(value, wall_ms);
}

bool
retry_number(const char *value, int64_t *thousandths)
{
	char text[64];

	if (value == NULL)
		return false;
	value += strspn(value, " \t");
	snprintf(text, sizeof(text), "%.*s", (int)strcspn(value, ",; \t"), value);
	return parse_thousandths(text, thousandths);
}

static int64_t
of_unit(const char *text, enum retry_unit unit, int64_t wall_ms)
{
	int64_t ms;

	switch (unit) {
	case RETRY_UNIT_S:
		return retry_after_ms(text, wall_ms);
	case RETRY_UNIT_MS:
		ms = retry_after_ms(text, wall_ms);
		return ms > 0 ? (ms + 999) / 1000 : ms;
	case RETRY_UNIT_AT:
		return retry_at_ms(text, wall_ms);
	}
	return -1;
}

int64_t
retry_body_ms(const struct provider *provider, struct slice body, int64_t wall_ms)
{
	struct json_value root, value;
	char number[64];
	int64_t ms = -1;
	char *text;

	if (provider == NULL || provider->retry_body_path == NULL || body.len == 0 ||
	    body.len > BODY_MAX || json_check(body, &root, NULL) != SL_OK)
		return -1;
	value = json_path(root, provider->retry_body_path);
	if (value.type == JSON_NUMBER && value.raw.len < sizeof(number)) {
		snprintf(number, sizeof(number), "%.*s", (int)value.raw.len, value.raw.data);
		ms = of_unit(number, provider->retry_body_unit, wall_ms);
	} else if (value.type == JSON_TEXT && (text = json_text(value, NULL)) != NULL) {
		ms = of_unit(text, provider->retry_body_unit, wall_ms);
		free(text);
	}
	return ms;
}

/* The provider counts what is left of its window, and this is what it says; -1: it says nothing. */
static int
remaining_says(const struct retry_rules *rules, const struct http_answer *answer)
{
	const char *name = rules->provider != NULL ? rules->provider->retry_remaining_header : NULL;
	const char *value = name != NULL ? http_answer_header(answer, name) : NULL;
	int64_t left;

	if (!retry_number(value, &left))
		return -1;
	return left > 0 ? 1 : 0;
}

static bool
is_network_failure(const struct http_answer *answer)
{
	static const char *const codes[] = {"ECONNRESET",    "ETIMEDOUT",    "ECONNABORTED",
					    "ECONNREFUSED",  "EHOSTUNREACH", "EAI_AGAIN",
					    "UND_ERR_SOCKET"};

	if (answer->code == NULL)
		return false;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (strcmp(answer->code, codes[i]) == 0)
			return true;
	return false;
}

static bool
is_status_worth(const struct retry_rules *rules, const struct http_answer *answer)
{
	const struct provider *provider = rules->provider;
	int status = answer->status;

	if (status >= 200 && status < 300)
		return false;
	if (list_has(rules->retry_on, rules->retry_on_count, status))
		return true;
	if (status == 401 && !rules->credentials_changed)
		return false; /* the same credentials would be refused again */
	if (remaining_says(rules, answer) == 0)
		return true;
	if (provider != NULL && provider->retry_code_count > 0)
		return list_has(provider->retry_codes, provider->retry_code_count, status);
	return status == 401 || status == 429 || status >= 500;
}

bool
retry_is_worth(const struct retry_rules *rules, const struct http_answer *answer)
{
	switch (answer->failure) {
	case HTTP_ANSWERED:
		return is_status_worth(rules, answer);
	case HTTP_DNS:
	case HTTP_CONNECT:
	case HTTP_RESET:
	case HTTP_TIMEOUT:
		return is_network_failure(answer);
	case HTTP_REFUSED_URL:
	case HTTP_TLS:
	case HTTP_TOO_LARGE:
	case HTTP_PROTOCOL:
	case HTTP_CANCELLED:
		return false;
	}
	return false;
}

static int64_t
larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static const char *
header_of(const struct http_answer *answer, const char *name)
{
	return name != NULL ? http_answer_header(answer, name) : NULL;
}

static int64_t
headers_say_ms(const struct retry_rules *rules, const struct http_answer *answer, int64_t wall_ms)
{
	const struct provider *provider = rules->provider;
	int64_t wait = retry_after_ms(header_of(answer, "retry-after"), wall_ms);

	wait = larger(wait, retry_after_ms(header_of(answer, rules->header_after), wall_ms));
	wait = larger(wait, retry_at_ms(header_of(answer, rules->header_at), wall_ms));
	if (provider == NULL)
		return wait;
	/* Many providers send the end of their window with every answer: a 502 in a window with
	 * room left is not to wait for it. */
	if (answer->status != 429 && remaining_says(rules, answer) == 1)
		return wait;
	wait =
	    larger(wait, retry_after_ms(header_of(answer, provider->retry_after_header), wall_ms));
	wait = larger(wait, retry_at_ms(header_of(answer, provider->retry_at_header), wall_ms));
	return wait;
}

int64_t
retry_asked_ms(const struct retry_rules *rules, const struct http_answer *answer, int64_t wall_ms)
{
	int64_t wait;

	if (answer->failure != HTTP_ANSWERED)
		return -1;
	wait = headers_say_ms(rules, answer, wall_ms);
	return wait >= 0 ? wait : retry_body_ms(rules->provider, answer->body, wall_ms);
}

int64_t
retry_wait_ms(const struct retry_rules *rules, const struct http_answer *answer, int next,
	      int64_t wall_ms)
{
	int64_t wait = retry_asked_ms(rules, answer, wall_ms);

	assert(next >= 1);
	if (wait < 0) {
		wait = RETRY_WAIT_FIRST_MS;
		for (int i = 1; i < next && wait < RETRY_WAIT_CAP_MS; i++)
			wait *= 2;
	}
	return wait < RETRY_WAIT_CAP_MS ? wait : RETRY_WAIT_CAP_MS;
}

int64_t
retry_spread_ms(int64_t wait_ms, bool asked, uint32_t random)
{
	int64_t most = asked ? wait_ms / 4 : wait_ms / 5, spread;

	if (asked && most > 250)
		most = 250;
	spread = wait_ms + (int64_t)(random % (uint64_t)(most + 1));
	return !asked && spread > RETRY_WAIT_CAP_MS ? RETRY_WAIT_CAP_MS : spread;
}
