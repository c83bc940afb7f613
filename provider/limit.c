#include "provider/limit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One window as a set of headers tells it; -1: it does not. */
struct window {
	int64_t limit, remaining, reset_ms;
};

static const struct window unknown = {-1, -1, -1};

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

/* Whole ones: what is left of a fraction is none. */
static int64_t
count_of(const char *value)
{
	int64_t thousandths;

	return value != NULL && retry_number(value, &thousandths) ? thousandths / 1000 : -1;
}

/* The stricter of two: fewer left, then the one that is renewed later. */
static struct window
stricter(struct window a, struct window b)
{
	if (a.remaining < 0 || b.remaining < 0)
		return a.remaining >= 0 || (b.remaining < 0 && a.reset_ms >= b.reset_ms) ? a : b;
	if (a.remaining != b.remaining)
		return a.remaining < b.remaining ? a : b;
	return a.reset_ms >= b.reset_ms ? a : b;
}

static struct window
window_of(const struct http_answer *answer, const char *limit, const char *remaining,
	  const char *reset, int64_t wall_ms)
{
	return (struct window){count_of(header_of(answer, limit)),
			       count_of(header_of(answer, remaining)),
			       retry_reset_ms(header_of(answer, reset), wall_ms)};
}

/* A parameter of "default";r=50;t=30 or limit=100, remaining=50, reset=30; -1: not there. */
static int64_t
parameter(const char *text, size_t len, const char *name)
{
	size_t name_len = strlen(name);
	char number[32];

	for (size_t i = 0; i + name_len + 1 < len; i++) {
		bool starts = i == 0 || strchr("; ,\t", text[i - 1]) != NULL;

		if (!starts || strncmp(text + i, name, name_len) != 0 || text[i + name_len] != '=')
			continue;
		i += name_len + 1;
		snprintf(number, sizeof(number), "%.*s",
			 (int)(len - i < sizeof(number) ? len - i : sizeof(number) - 1), text + i);
		number[strcspn(number, ";, \t")] = '\0';
		return count_of(number);
	}
	return -1;
}

/* The RateLimit field of the IETF's drafts: one item a policy, or the older list of three. */
static struct window
window_of_draft(const struct http_answer *answer)
{
	const char *text = http_answer_header(answer, "ratelimit");
	struct window found = unknown;

	if (text == NULL)
		return found;
	if (parameter(text, strlen(text), "remaining") >= 0) {
		found.limit = parameter(text, strlen(text), "limit");
		found.remaining = parameter(text, strlen(text), "remaining");
		found.reset_ms = parameter(text, strlen(text), "reset");
		if (found.reset_ms > 0)
			found.reset_ms *= 1000;
		return found;
	}
	while (*text != '\0') {
		size_t len = strcspn(text, ",");
		struct window one = {-1, parameter(text, len, "r"), parameter(text, len, "t")};

		if (one.reset_ms > 0)
			one.reset_ms *= 1000;
		found = stricter(found, one);
		text += len + (text[len] != '\0' ? 1 : 0);
	}
	return found;
}

/* What says how long by itself: it counts whatever is left of a window. */
static int64_t
told_ms(const struct retry_rules *rules, const struct http_answer *answer, int64_t wall_ms)
{
	const struct provider *provider = rules->provider;
	int64_t ms = retry_after_ms(header_of(answer, "retry-after"), wall_ms);

	ms = larger(ms, retry_after_ms(header_of(answer, rules->header_after), wall_ms));
	ms = larger(ms, retry_reset_ms(header_of(answer, rules->header_at), wall_ms));
	if (provider == NULL)
		return ms;
	ms = larger(ms, retry_after_ms(header_of(answer, provider->retry_after_header), wall_ms));
	return larger(ms, retry_body_ms(provider, answer->body, wall_ms));
}

/* Of the statuses that may mean it, Retry-After or the body must say so: ends of windows come with any answer. */
static bool
says_to_wait(const struct provider *provider, const struct http_answer *answer, int64_t wall_ms)
{
	return retry_after_ms(header_of(answer, "retry-after"), wall_ms) >= 0 ||
	       retry_body_ms(provider, answer->body, wall_ms) >= 0;
}

static bool
is_limited(const struct provider *provider, const struct http_answer *answer, bool none_left,
	   int64_t wall_ms)
{
	if (answer->status == 429)
		return true;
	if (provider == NULL || answer->status < 400)
		return false;
	if (none_left)
		return true;
	for (int i = 0; i < provider->limit_code_count; i++)
		if (provider->limit_codes[i] == answer->status)
			return says_to_wait(provider, answer, wall_ms);
	return false;
}

static int64_t
cap(int64_t ms)
{
	return ms < LIMIT_WAIT_CAP_MS ? ms : LIMIT_WAIT_CAP_MS;
}

bool
limit_read(const struct retry_rules *rules, const struct http_answer *answer, int64_t wall_ms,
	   struct limit_news *out)
{
	static const char *const families[][3] = {
	    {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"},
	    {"x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset"},
	    {"ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"}};
	const struct provider *provider = rules->provider;
	struct window window = unknown;
	int64_t told;

	if (answer->failure != HTTP_ANSWERED)
		return false;
	if (provider != NULL)
		window =
		    window_of(answer, provider->retry_limit_header,
			      provider->retry_remaining_header, provider->retry_at_header, wall_ms);
	told = told_ms(rules, answer, wall_ms);
	*out = (struct limit_news){
	    .limited = is_limited(provider, answer, window.remaining == 0, wall_ms)};
	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		window = stricter(window, window_of(answer, families[i][0], families[i][1],
						    families[i][2], wall_ms));
	window = stricter(window, window_of_draft(answer));
	if (window.remaining == 0 && window.reset_ms < told)
		window.reset_ms = told;
	/* A window with room left is not the one that refused, unless nothing else says how long. */
	out->closed_ms = !out->limited                       ? -1
			 : window.remaining > 0 && told >= 0 ? cap(told)
							     : cap(larger(told, window.reset_ms));
	out->remaining = window.remaining;
	out->reset_ms = cap(window.reset_ms);
	out->limit = window.limit;
	return out->limited || out->remaining >= 0;
}
