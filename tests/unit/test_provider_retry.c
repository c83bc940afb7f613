/* provider/retry and provider/moment: which failures are repeated, and after how long. */
#include "provider/retry.h"

#include <stdlib.h>

#include "provider/moment.h"
#include "tests/lib/check.h"

/* 2026-11-22T05:12:00Z */
#define NOW_MS INT64_C(1795324320000)

/* The one thing of http/client that retry needs; its own tests are elsewhere. */
const char *
http_answer_header(const struct http_answer *answer, const char *name)
{
	for (int i = 0; i < answer->header_count; i++)
		if (strcmp(answer->headers[i].name, name) == 0)
			return answer->headers[i].value;
	return NULL;
}

static struct http_answer
status(int number)
{
	return (struct http_answer){.failure = HTTP_ANSWERED, .status = number};
}

static int64_t
wait_of(const struct retry_rules *rules, int number, const struct http_header *headers, int count)
{
	struct http_answer answer = status(number);

	answer.headers = headers;
	answer.header_count = count;
	return retry_wait_ms(rules, &answer, 1, NOW_MS);
}

static void
retry_after_reads_seconds_and_dates_and_nothing_else(void)
{
	static const struct {
		const char *value;
		int64_t want;
	} rows[] = {
	    {"0", 0},
	    {"7", 7000},
	    {"  7\t", 7000},
	    {"0.65", 650},
	    {"0.0001", 1},
	    {"007", 7000},
	    {"315360000", INT64_C(315360000000)}, /* ten years */
	    {"Sun, 22 Nov 2026 05:12:30 GMT", 30000},
	    {"Sunday, 22-Nov-26 05:12:30 GMT", 30000},
	    {"Sun Nov 22 05:12:30 2026", 30000},
	    {"2026-11-22T05:12:30Z", 30000},
	    {"Sun, 22 Nov 2026 05:11:59 GMT", -1}, /* past */
	    {"Sun, 06 Nov 1994 08:49:37 GMT", -1},
	    {"-5", -1},
	    {"+5", -1},
	    {"abc", -1},
	    {"", -1},
	    {"   ", -1},
	    {"5 s", -1},
	    {"1e3", -1},
	    {"0x10", -1},
	    {"5, 5", -1},
	    {".5", -1},
	    {"1.2.3", -1},
	    {"Sun, 32 Nov 2026 05:12:30 GMT", -1},
	    {"Sun, 22 Nov 2026 25:12:30 GMT", -1},
	    {"Sun, 22 Nov 2026 05:12:30 CET", -1},
	    {"9999999999999999999999999999999999999999999999999999999999999999999999", -1},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t got = retry_after_ms(rows[i].value, NOW_MS);

		if (got != rows[i].want)
			printf("# row \"%s\"\n", rows[i].value);
		check_int(got, ==, rows[i].want);
	}
	check_int(retry_after_ms(NULL, NOW_MS), ==, -1);
	check_int(retry_after_ms("99999999999999999999999999", NOW_MS), >, INT64_C(1) << 50);
	check_int(retry_after_ms("9223372036854775807", NOW_MS), >, INT64_C(1) << 50);
}

static void
retry_at_reads_seconds_milliseconds_and_dates(void)
{
	static const struct {
		const char *value;
		int64_t want;
	} rows[] = {
	    {"1795324350", 30000},
	    {"1795324350.5", 30500},
	    {"1795324350000", 30000},
	    {"2026-11-22T05:12:30Z", 30000},
	    {"2026-11-22T05:12:30.250Z", 30250},
	    {"2026-11-22T05:12:30.123456789Z", 30123},
	    {"2026-11-22T05:12:30", 30000},
	    {"2026-11-22 05:13Z", 60000},
	    {"2026-11-22T06:12:30+01:00", 30000},
	    {"2026-11-22T00:42:30-0430", 30000},
	    {"2026-11-23", INT64_C(67680000)},
	    {"Sun, 22 Nov 2026 05:12:30 GMT", 30000},
	    {"1795324320", 0},
	    {"1795324319", -1}, /* past */
	    {"30", -1},         /* a delay, not a moment: 1970 */
	    {"0", -1},
	    {"-1795324350", -1},
	    {"garbage", -1},
	    {"2026-13-01T00:00:00Z", -1},
	    {"2026-02-29T00:00:00Z", -1},
	    {"2026-11-22T05:12:30+1", -1},
	    {"2026-11-22T05:12:30Zjunk", -1},
	    {"2026-11-22T05:12:30.Z", -1},
	    {"", -1},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t got = retry_at_ms(rows[i].value, NOW_MS);

		if (got != rows[i].want)
			printf("# row \"%s\"\n", rows[i].value);
		check_int(got, ==, rows[i].want);
	}
	check_int(retry_at_ms("99999999999999999999999999", NOW_MS), >, 0);
}

static void
leap_days_and_centuries_are_counted(void)
{
	int64_t ms = 0;

	check(moment_parse("1970-01-01T00:00:00Z", NOW_MS, &ms));
	check_int(ms, ==, 0);
	check(moment_parse("2000-02-29T12:00:00Z", NOW_MS, &ms));
	check_int(ms, ==, INT64_C(951825600000));
	check(moment_parse("2024-03-01", NOW_MS, &ms));
	check_int(ms, ==, INT64_C(1709251200000));
	check(!moment_parse("1900-02-29", NOW_MS, &ms));
	check(moment_parse("Sunday, 06-Nov-94 08:49:37 GMT", NOW_MS, &ms));
	check_int(ms, ==, INT64_C(784111777000));
	check(moment_parse("Sun Nov  6 08:49:37 1994", NOW_MS, &ms));
	check_int(ms, ==, INT64_C(784111777000));
}

static void
by_default_429_and_5xx_are_repeated(void)
{
	static const struct {
		int status;
		bool want;
	} rows[] = {{200, false}, {204, false}, {304, false}, {400, false}, {401, false},
		    {403, false}, {404, false}, {418, false}, {429, true},  {500, true},
		    {502, true},  {503, true},  {599, true}};
	const struct retry_rules rules = {0};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_answer answer = status(rows[i].status);

		if (retry_is_worth(&rules, &answer) != rows[i].want)
			printf("# status %d\n", rows[i].status);
		check(retry_is_worth(&rules, &answer) == rows[i].want);
	}
}

static void
network_failures_are_repeated_but_not_those_that_stay(void)
{
	static const struct {
		enum http_failure failure;
		const char *code;
		bool want;
	} rows[] = {
	    {HTTP_RESET, "ECONNRESET", true},
	    {HTTP_RESET, "UND_ERR_SOCKET", true},
	    {HTTP_TIMEOUT, "ETIMEDOUT", true},
	    {HTTP_TIMEOUT, "ECONNABORTED", true},
	    {HTTP_CONNECT, "ECONNREFUSED", true},
	    {HTTP_CONNECT, "EHOSTUNREACH", true},
	    {HTTP_DNS, "EAI_AGAIN", true},
	    {HTTP_DNS, "ENOTFOUND", false},
	    {HTTP_REFUSED_URL, "ECONNREFUSED", false},
	    {HTTP_TLS, "CERT_HAS_EXPIRED", false},
	    {HTTP_TOO_LARGE, NULL, false},
	    {HTTP_PROTOCOL, "ECONNRESET", false},
	    {HTTP_CANCELLED, "ECONNRESET", false},
	    {HTTP_CONNECT, NULL, false},
	};
	const struct retry_rules rules = {0};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_answer answer = {.failure = rows[i].failure, .code = rows[i].code};

		if (retry_is_worth(&rules, &answer) != rows[i].want)
			printf("# %s\n", rows[i].code != NULL ? rows[i].code : "(none)");
		check(retry_is_worth(&rules, &answer) == rows[i].want);
	}
}

static void
the_list_of_a_provider_replaces_the_default(void)
{
	static const int codes[] = {401, 423};
	const struct provider provider = {.retry_codes = codes, .retry_code_count = 2};
	struct retry_rules rules = {.provider = &provider};
	struct http_answer a423 = status(423), a500 = status(500), a429 = status(429),
			   a401 = status(401);

	check(retry_is_worth(&rules, &a423));
	check(!retry_is_worth(&rules, &a500));
	check(!retry_is_worth(&rules, &a429));
	check(!retry_is_worth(&rules, &a401));
	rules.credentials_changed = true;
	check(retry_is_worth(&rules, &a401));
}

static void
statuses_of_the_request_are_added(void)
{
	static const int wanted[] = {404, 401, 200};
	const struct retry_rules rules = {.retry_on = wanted, .retry_on_count = 3};
	struct http_answer a404 = status(404), a401 = status(401), a500 = status(500),
			   a200 = status(200);

	check(retry_is_worth(&rules, &a404));
	check(retry_is_worth(&rules, &a401));
	check(retry_is_worth(&rules, &a500));
	check(!retry_is_worth(&rules, &a200)); /* a success is the answer */
}

static void
a_401_is_repeated_only_with_other_credentials(void)
{
	struct retry_rules rules = {0};
	struct http_answer answer = status(401);

	check(!retry_is_worth(&rules, &answer));
	rules.credentials_changed = true;
	check(retry_is_worth(&rules, &answer));
}

static void
nothing_remaining_is_worth_a_try(void)
{
	const struct provider provider = {.retry_remaining_header = "x-left"};
	const struct retry_rules rules = {.provider = &provider};
	static const struct http_header none = {"x-left", "0"}, some = {"x-left", "12"},
					odd = {"x-left", "many"};
	struct http_answer answer = status(403);

	check(!retry_is_worth(&rules, &answer));
	answer.header_count = 1;
	answer.headers = &none;
	check(retry_is_worth(&rules, &answer));
	answer.headers = &some;
	check(!retry_is_worth(&rules, &answer));
	answer.headers = &odd;
	check(!retry_is_worth(&rules, &answer));
	answer = status(200); /* the last request of a window succeeded */
	answer.headers = &none;
	answer.header_count = 1;
	check(!retry_is_worth(&rules, &answer));
}

static void
without_headers_the_wait_doubles_up_to_the_cap(void)
{
	const struct retry_rules rules = {0};
	struct http_answer answer = status(503);

	check_int(retry_wait_ms(&rules, &answer, 1, NOW_MS), ==, 3000);
	check_int(retry_wait_ms(&rules, &answer, 2, NOW_MS), ==, 6000);
	check_int(retry_wait_ms(&rules, &answer, 3, NOW_MS), ==, 12000);
	check_int(retry_wait_ms(&rules, &answer, 8, NOW_MS), ==, 384000);
	check_int(retry_wait_ms(&rules, &answer, 9, NOW_MS), ==, RETRY_WAIT_CAP_MS);
	check_int(retry_wait_ms(&rules, &answer, 1000000, NOW_MS), ==, RETRY_WAIT_CAP_MS);
	answer = (struct http_answer){.failure = HTTP_RESET, .code = "ECONNRESET"};
	check_int(retry_wait_ms(&rules, &answer, 1, NOW_MS), ==, 3000);
}

static void
retry_after_counts_for_any_provider(void)
{
	static const struct http_header after = {"retry-after", "7"};
	const struct provider bare = {0};
	const struct provider own = {.retry_after_header = "x-wait"};

	check_int(wait_of(&(struct retry_rules){0}, 429, &after, 1), ==, 7000);
	check_int(wait_of(&(struct retry_rules){.provider = &bare}, 503, &after, 1), ==, 7000);
	check_int(wait_of(&(struct retry_rules){.provider = &own}, 429, &after, 1), ==, 7000);
}

static void
the_largest_header_wins(void)
{
	static const struct http_header headers[] = {{"retry-after", "7"},
						     {"x-wait", "9"},
						     {"x-reset", "1795324331"},
						     {"my-after", "13"},
						     {"my-at", "2026-11-22T05:12:15Z"}};
	const struct provider provider = {.retry_after_header = "x-wait",
					  .retry_at_header = "x-reset"};
	struct retry_rules rules = {.provider = &provider};

	check_int(wait_of(&rules, 429, headers, 1), ==, 7000);
	check_int(wait_of(&rules, 429, headers, 2), ==, 9000);
	check_int(wait_of(&rules, 429, headers, 5), ==, 11000);
	rules.header_after = "my-after";
	check_int(wait_of(&rules, 429, headers, 5), ==, 13000);
	rules.header_at = "my-at";
	check_int(wait_of(&rules, 429, headers, 5), ==, 15000);
}

static void
a_window_with_room_left_does_not_hold_up_a_5xx(void)
{
	static const struct http_header headers[] = {{"x-reset", "1795324420"}, {"x-left", "4999"}};
	static const struct http_header empty[] = {{"x-reset", "1795324420"}, {"x-left", "0"}};
	const struct provider provider = {.retry_at_header = "x-reset",
					  .retry_remaining_header = "x-left"};
	const struct retry_rules rules = {.provider = &provider};

	check_int(wait_of(&rules, 502, headers, 2), ==, 3000);
	check_int(wait_of(&rules, 429, headers, 2), ==, 100000);
	check_int(wait_of(&rules, 403, empty, 2), ==, 100000);
}

static void
waits_are_capped_and_never_negative(void)
{
	static const char *const values[] = {
	    "315360000", "99999999999999999999999999",   "Tue, 22 Nov 2050 05:12:30 GMT", "-5",
	    "abc",       "Sun, 06 Nov 1994 08:49:37 GMT"};
	const struct retry_rules rules = {.header_at = "x-at"};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		const struct http_header headers[] = {{"retry-after", values[i]},
						      {"x-at", values[i]}};
		int64_t wait = wait_of(&rules, 429, headers, 2);

		check_int(wait, ==, i < 3 ? RETRY_WAIT_CAP_MS : RETRY_WAIT_FIRST_MS);
	}
}

static void
a_body_says_how_long_where_headers_do_not(void)
{
	static const struct {
		enum retry_unit unit;
		const char *body;
		int64_t want;
	} rows[] = {
	    {RETRY_UNIT_S, "{\"e\":{\"w\":1.5}}", 1500},
	    {RETRY_UNIT_S, "{\"e\":{\"w\":\"2\"}}", 2000},
	    {RETRY_UNIT_MS, "{\"e\":{\"w\":1500}}", 1500},
	    {RETRY_UNIT_MS, "{\"e\":{\"w\":0.5}}", 1},
	    {RETRY_UNIT_AT, "{\"e\":{\"w\":1795324350}}", 30000},
	    {RETRY_UNIT_AT, "{\"e\":{\"w\":\"2026-11-22T05:12:30Z\"}}", 30000},
	    {RETRY_UNIT_AT, "{\"e\":{\"w\":1795324319}}", 3000}, /* past */
	    {RETRY_UNIT_S, "{\"e\":{\"w\":-1}}", 3000},
	    {RETRY_UNIT_S, "{\"e\":{\"w\":null}}", 3000},
	    {RETRY_UNIT_S, "{\"e\":7}", 3000},
	    {RETRY_UNIT_S, "<html>", 3000},
	    {RETRY_UNIT_S, "", 3000},
	};
	static const struct http_header header = {"retry-after", "9"};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct provider provider = {.retry_body_path = "e.w",
						  .retry_body_unit = rows[i].unit};
		const struct retry_rules rules = {.provider = &provider};
		struct http_answer answer = status(429);

		answer.body = slice_text(rows[i].body);
		if (retry_wait_ms(&rules, &answer, 1, NOW_MS) != rows[i].want)
			printf("# row %s\n", rows[i].body);
		check_int(retry_wait_ms(&rules, &answer, 1, NOW_MS), ==, rows[i].want);
		answer.headers = &header;
		answer.header_count = 1;
		check_int(retry_wait_ms(&rules, &answer, 1, NOW_MS), ==, 9000);
	}
}

static void
jitter_adds_within_its_bounds_and_never_takes_away(void)
{
	int64_t most_own = 0, most_asked = 0;

	for (uint32_t random = 0; random < 5000; random++) {
		int64_t own = retry_spread_ms(3000, false, random * 2654435761u),
			asked = retry_spread_ms(10000, true, random * 2654435761u);

		check_int(own, >=, 3000);
		check_int(own, <=, 3600);
		check_int(asked, >=, 10000);
		check_int(asked, <=, 10250);
		most_own = own > most_own ? own : most_own;
		most_asked = asked > most_asked ? asked : most_asked;
	}
	check_int(most_own, >, 3500);
	check_int(most_asked, >, 10200);
	check_int(retry_spread_ms(RETRY_WAIT_CAP_MS, false, 4242), ==, RETRY_WAIT_CAP_MS);
	check_int(retry_spread_ms(0, true, 4242), ==, 0);
	check_int(retry_spread_ms(100, true, UINT32_MAX), <=, 125);
}

static void
the_end_of_a_window_with_room_left_is_not_waited_for(void)
{
	const struct provider provider = {.retry_after_header = "x-reset-in",
					  .retry_remaining_header = "x-left"};
	const struct retry_rules rules = {.provider = &provider};
	static const struct http_header room[] = {{"x-reset-in", "6m0s"}, {"x-left", "40"}},
					full[] = {{"x-reset-in", "6m0s"}, {"x-left", "0"}};

	check_int(wait_of(&rules, 500, room, 2), ==, 3000);
	check_int(wait_of(&rules, 500, full, 2), ==, 360000);
	check_int(wait_of(&rules, 429, room, 2), ==, 360000);
}

int
main(void)
{
	CHECK_RUN(retry_after_reads_seconds_and_dates_and_nothing_else);
	CHECK_RUN(retry_at_reads_seconds_milliseconds_and_dates);
	CHECK_RUN(leap_days_and_centuries_are_counted);
	CHECK_RUN(by_default_429_and_5xx_are_repeated);
	CHECK_RUN(network_failures_are_repeated_but_not_those_that_stay);
	CHECK_RUN(the_list_of_a_provider_replaces_the_default);
	CHECK_RUN(statuses_of_the_request_are_added);
	CHECK_RUN(a_401_is_repeated_only_with_other_credentials);
	CHECK_RUN(nothing_remaining_is_worth_a_try);
	CHECK_RUN(without_headers_the_wait_doubles_up_to_the_cap);
	CHECK_RUN(retry_after_counts_for_any_provider);
	CHECK_RUN(the_largest_header_wins);
	CHECK_RUN(a_window_with_room_left_does_not_hold_up_a_5xx);
	CHECK_RUN(waits_are_capped_and_never_negative);
	CHECK_RUN(a_body_says_how_long_where_headers_do_not);
	CHECK_RUN(jitter_adds_within_its_bounds_and_never_takes_away);
	CHECK_RUN(the_end_of_a_window_with_room_left_is_not_waited_for);
	return check_done();
}
