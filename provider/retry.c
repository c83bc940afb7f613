#include "provider/retry.h"

#include <assert.h>
#include <string.h>

#include "provider/moment.h"

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
 * the type are as good as the largest one.  False: anything else, signs and exponents included. */
static bool
parse_thousandths(const char *text, int64_t *out)
{
	const int64_t most = INT64_MAX / 1000 - 1;
	int64_t whole = 0, part = 0;
	int scale = 100;
	bool more = false;

	if (*text < '0' || *text > '9')
		return false;
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
	if (*text != '\0')
		return false;
	*out = whole * 1000 + part + (more ? 1 : 0);
	return true;
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
	if (parse_thousandths(text, &number))
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

/* The provider counts what is left of its window, and this is what it says; -1: it says nothing. */
static int
remaining_says(const struct retry_rules *rules, const struct http_answer *answer)
{
	const char *name = rules->provider != NULL ? rules->provider->retry_remaining_header : NULL;
	const char *value = name != NULL ? http_answer_header(answer, name) : NULL;
	char text[64];
	int64_t left;

	if (value == NULL || !trim(value, text, sizeof(text)) || !parse_thousandths(text, &left))
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
	wait =
	    larger(wait, retry_after_ms(header_of(answer, provider->retry_after_header), wall_ms));
	/* Many providers send the end of their window with every answer: a 502 in a window with
	 * room left is not to wait for it. */
	if (answer->status == 429 || remaining_says(rules, answer) != 1)
		wait = larger(wait,
			      retry_at_ms(header_of(answer, provider->retry_at_header), wall_ms));
	return wait;
}

int64_t
retry_wait_ms(const struct retry_rules *rules, const struct http_answer *answer, int next,
	      int64_t wall_ms)
{
	int64_t wait = -1;

	assert(next >= 1);
	if (answer->failure == HTTP_ANSWERED)
		wait = headers_say_ms(rules, answer, wall_ms);
	if (wait < 0) {
		wait = RETRY_WAIT_FIRST_MS;
		for (int i = 1; i < next && wait < RETRY_WAIT_CAP_MS; i++)
			wait *= 2;
	}
	return wait < RETRY_WAIT_CAP_MS ? wait : RETRY_WAIT_CAP_MS;
}
