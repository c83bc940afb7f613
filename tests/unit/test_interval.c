/* tests/unit/test_interval.c - base/interval. */
#include "base/interval.h"

#include "tests/lib/check.h"

static int64_t
ms(const char *text)
{
	int64_t out = -1;

	return interval_parse(text, &out, NULL) == SL_OK ? out : -1;
}

static void
reads_every_form_of_the_grammar(void)
{
	check_int(ms("every 5 minutes"), ==, 300000);
	check_int(ms("5m"), ==, 300000);
	check_int(ms("1h"), ==, 3600000);
	check_int(ms("30s"), ==, 30000);
	check_int(ms("every 45 secs"), ==, 45000);
	check_int(ms("every hour"), ==, 3600000);
	check_int(ms("every 2 hrs"), ==, 7200000);
	check_int(ms("every day"), ==, 86400000);
	check_int(ms("every week"), ==, 604800000);
	check_int(ms("every month"), ==, INT64_C(2592000000));
	check_int(ms("every half day"), ==, 43200000);
	check_int(ms("half hour"), ==, 1800000);
	check_int(ms("every quarter hour"), ==, 900000);
}

static void
refuses_what_is_too_short_too_long_or_none(void)
{
	static const char *const bad[] = {
	    "every 0s",   "every 29s",   "every 1e9d", "every 999999999d", "",     "every ",
	    "garbage",    "every -5m",   "5  m",       "every 2 weeks",    "5 m ", "EVERY 5M",
	    "every 1.5h", "9999999999s", "s"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (ms(bad[i]) != -1)
			printf("# %s\n", bad[i]);
		check_int(ms(bad[i]), ==, -1);
	}
}

static void
tells_what_is_out_of_bounds_from_what_is_none(void)
{
	int64_t out;

	check_int(interval_parse("every 0s", &out, NULL), ==, SL_INVALID);
	check_int(out, ==, 0);
	check_int(interval_parse("every 29s", &out, NULL), ==, SL_INVALID);
	check_int(out, ==, 29000);
	check_int(interval_parse("400 days", &out, NULL), ==, SL_INVALID);
	check_int(out, ==, INT64_C(400) * 86400000);
	check_int(interval_parse("29 garbage", &out, NULL), ==, SL_INVALID);
	check_int(out, ==, -1);
}

static void
is_kept_without_every_and_with_a_count(void)
{
	static const char *const forms[][2] = {
	    {"every 1h", "1h"},
	    {"every 5 minutes", "5 minutes"},
	    {"45 secs", "45 secs"},
	    {"every hour", "1h"},
	    {"hr", "1h"},
	    {"every minute", "1m"},
	    {"every day", "1d"},
	    {"every week", "7d"},
	    {"every month", "30d"},
	    {"every half day", "12h"},
	    {"half hour", "30m"},
	    {"every quarter hour", "15m"},
	    {"every 000000030s", "000000030s"},
	};
	char text[INTERVAL_TEXT];

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		interval_normal(forms[i][0], text);
		check_text(text, forms[i][1]);
		check_int(ms(text), ==, ms(forms[i][0]));
	}
}

int
main(void)
{
	CHECK_RUN(reads_every_form_of_the_grammar);
	CHECK_RUN(refuses_what_is_too_short_too_long_or_none);
	CHECK_RUN(tells_what_is_out_of_bounds_from_what_is_none);
	CHECK_RUN(is_kept_without_every_and_with_a_count);
	return check_done();
}
