/* provider/limit: what answers say of a window, whatever they are written like. */
#include "provider/limit.h"

#include <string.h>

#include "tests/lib/check.h"

/* 2026-11-22T05:12:00Z */
#define NOW_MS INT64_C(1795324320000)

/* The one thing of http/client that this needs. */
const char *
http_answer_header(const struct http_answer *answer, const char *name)
{
	for (int i = 0; i < answer->header_count; i++)
		if (strcmp(answer->headers[i].name, name) == 0)
			return answer->headers[i].value;
	return NULL;
}

static struct provider provider;
static struct retry_rules rules;
static struct limit_news news;
static struct slice body;

static void
reset(void)
{
	provider = (struct provider){.name = "p", .retry_after_header = "retry-after"};
	rules = (struct retry_rules){.provider = &provider};
	body = (struct slice){NULL, 0};
}

/* Names and values in turn, NULL at the end. */
static bool
read_of(int status, const char *const *pairs)
{
	struct http_header headers[8];
	struct http_answer answer = {
	    .failure = HTTP_ANSWERED, .status = status, .headers = headers, .body = body};

	for (; pairs[0] != NULL; pairs += 2)
		headers[answer.header_count++] = (struct http_header){pairs[0], pairs[1]};
	return limit_read(&rules, &answer, NOW_MS, &news);
}
#define READ(status, ...) read_of(status, (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static void
an_answer_without_any_of_it_says_nothing(void)
{
	const struct http_answer failed = {.failure = HTTP_TIMEOUT, .code = "ETIMEDOUT"};

	reset();
	check(!READ(200));
	check(!READ(503, "retry-after", "5"));
	check(!READ(200, "x-ratelimit-remaining", "many"));
	check(!READ(200, "x-ratelimit-reset", "5"));
	check(!limit_read(&rules, &failed, NOW_MS, &news));
	rules.provider = NULL;
	check(!READ(404));
}

static void
retry_after_of_a_429_is_read_in_every_form(void)
{
	static const struct {
		const char *value;
		int64_t want;
	} rows[] = {
	    {"7", 7000},
	    {"0", 0},
	    {"Sun, 22 Nov 2026 05:12:30 GMT", 30000},
	    {"Sunday, 22-Nov-26 05:12:30 GMT", 30000},
	    {"6m0s", 360000},
	    {"250ms", 250},
	    {"1h2m3.5s", 3723500},
	    {"Sun, 22 Nov 2026 05:11:30 GMT", -1}, /* past */
	    {"-5", -1},
	    {"abc", -1},
	    {"5m5m", -1},
	    {"s", -1},
	    {"", -1},
	    {"315360000", LIMIT_WAIT_CAP_MS}, /* ten years */
	    {"Tue, 22 Nov 2036 05:12:30 GMT", LIMIT_WAIT_CAP_MS},
	    {"99999999999999999999999999", LIMIT_WAIT_CAP_MS},
	};

	reset();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		check(READ(429, "retry-after", rows[i].value));
		check(news.limited);
		if (news.closed_ms != rows[i].want)
			printf("# row \"%s\"\n", rows[i].value);
		check_int(news.closed_ms, ==, rows[i].want);
		check_int(news.remaining, ==, -1);
	}
	check(READ(429));
	check(news.limited);
	check_int(news.closed_ms, ==, -1);
}

static void
a_reset_is_seconds_left_or_a_moment_by_its_size(void)
{
	static const struct {
		const char *value;
		int64_t want;
	} rows[] = {
	    {"30", 30000},
	    {"0.5", 500},
	    {"999999", LIMIT_WAIT_CAP_MS},
	    {"1795324350", 30000},
	    {"1795324350000", 30000},
	    {"1795324319", -1}, /* past */
	    {"2026-11-22T05:12:30Z", 30000},
	    {"Sun, 22 Nov 2026 05:12:30 GMT", 30000},
	    {"1s", 1000},
	    {"-30", -1},
	    {"soon", -1},
	    {"2110684320", LIMIT_WAIT_CAP_MS},
	};

	reset();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		check(READ(429, "x-ratelimit-reset", rows[i].value));
		if (news.closed_ms != rows[i].want)
			printf("# row \"%s\"\n", rows[i].value);
		check_int(news.closed_ms, ==, rows[i].want);
		check(READ(200, "x-ratelimit-remaining", "0", "x-ratelimit-reset", rows[i].value));
		check(!news.limited);
		check_int(news.closed_ms, ==, -1);
		check_int(news.remaining, ==, 0);
		check_int(news.reset_ms, ==, rows[i].want);
	}
}

static void
the_strictest_of_all_headers_wins(void)
{
	reset();
	check(
	    READ(429, "retry-after", "2", "x-ratelimit-remaining", "0", "x-ratelimit-reset", "9"));
	check_int(news.closed_ms, ==, 9000);
	check(READ(429, "retry-after", "12", "x-ratelimit-reset", "9"));
	check_int(news.closed_ms, ==, 12000);
	/* A window with room left is not the one that refused ... */
	check(READ(429, "retry-after", "2", "x-ratelimit-remaining", "4000", "x-ratelimit-reset",
		   "3000"));
	check_int(news.closed_ms, ==, 2000);
	/* ... unless it is all that there is. */
	check(READ(429, "x-ratelimit-remaining", "4000", "x-ratelimit-reset", "3000"));
	check_int(news.closed_ms, ==, 3000000);
	check(READ(200, "x-ratelimit-remaining", "5", "x-ratelimit-reset", "50",
		   "x-rate-limit-remaining", "0", "x-rate-limit-reset", "3", "x-ratelimit-limit",
		   "100"));
	check_int(news.remaining, ==, 0);
	check_int(news.reset_ms, ==, 3000);
	/* Nothing is left, and only Retry-After tells until when. */
	check(READ(200, "x-ratelimit-remaining", "0", "retry-after", "4"));
	check(!news.limited);
	check_int(news.reset_ms, ==, 4000);
}

static void
the_forms_of_the_drafts_are_read(void)
{
	reset();
	check(READ(200, "ratelimit-limit", "100, 100;w=60", "ratelimit-remaining", "41",
		   "ratelimit-reset", "7"));
	check_int(news.limit, ==, 100);
	check_int(news.remaining, ==, 41);
	check_int(news.reset_ms, ==, 7000);
	check(READ(200, "ratelimit", "limit=100, remaining=0, reset=7"));
	check_int(news.limit, ==, 100);
	check_int(news.remaining, ==, 0);
	check_int(news.reset_ms, ==, 7000);
	check(READ(200, "ratelimit", "\"day\";r=500;t=4000, \"minute\";r=0;t=30"));
	check_int(news.remaining, ==, 0);
	check_int(news.reset_ms, ==, 30000);
	check(!READ(200, "ratelimit", "\"x\";q=5, ,;;=,r,t="));
	check(READ(200, "x-ratelimit-remaining", "0.7")); /* no whole one */
	check_int(news.remaining, ==, 0);
}

static void
names_of_the_definition_and_of_the_request_count(void)
{
	static const int codes[] = {403};

	reset();
	provider.retry_remaining_header = "x-left";
	provider.retry_at_header = "x-opens";
	provider.retry_limit_header = "x-most";
	check(READ(200, "x-left", "3", "x-opens", "1795324350", "x-most", "10"));
	check(!news.limited);
	check_int(news.remaining, ==, 3);
	check_int(news.reset_ms, ==, 30000);
	check_int(news.limit, ==, 10);
	check(READ(403, "x-left", "0", "x-opens", "1795324350"));
	check(news.limited); /* the definition names the header */
	check_int(news.closed_ms, ==, 30000);
	check(READ(403, "x-ratelimit-remaining", "0"));
	check(!news.limited); /* it does not name this one */
	check(!READ(403, "retry-after", "9"));
	provider.limit_codes = codes;
	provider.limit_code_count = 1;
	check(READ(403, "retry-after", "9"));
	check(news.limited);
	check_int(news.closed_ms, ==, 9000);
	check(!READ(403)); /* it does not say how long: it may be about rights */
	rules.header_at = "x-opens";
	check(!READ(403, "x-opens", "1795324350")); /* that is sent with any answer */
	provider.retry_after_header = "x-wait";
	check(READ(429, "x-wait", "11", "retry-after", "2"));
	check_int(news.closed_ms, ==, 11000);
	rules.header_after = "x-mine";
	check(READ(429, "x-wait", "11", "x-mine", "20"));
	check_int(news.closed_ms, ==, 20000);
	rules.header_at = "x-until";
	check(READ(429, "x-until", "1795324380"));
	check_int(news.closed_ms, ==, 60000);
	provider.retry_body_path = "error.retry_in";
	provider.retry_body_unit = RETRY_UNIT_MS;
	body = SLICE_LITERAL("{\"error\":{\"retry_in\":1500}}");
	check(READ(429));
	check_int(news.closed_ms, ==, 1500);
}

int
main(void)
{
	CHECK_RUN(an_answer_without_any_of_it_says_nothing);
	CHECK_RUN(retry_after_of_a_429_is_read_in_every_form);
	CHECK_RUN(a_reset_is_seconds_left_or_a_moment_by_its_size);
	CHECK_RUN(the_strictest_of_all_headers_wins);
	CHECK_RUN(the_forms_of_the_drafts_are_read);
	CHECK_RUN(names_of_the_definition_and_of_the_request_count);
	return check_done();
}
