/* tests/unit/test_deliver_backoff.c - daemon/deliver/backoff. */
#include "daemon/deliver/backoff.h"

#include <string.h>

#include "tests/lib/check.h"

#define HOUR INT64_C(3600000)

static struct backoff backoff;

static void
the_default_gives_eight_tries_within_a_day_and_a_bit(void)
{
	static const int64_t want[] = {0,        5000,     5 * 60000, 30 * 60000,
				       2 * HOUR, 5 * HOUR, 10 * HOUR, 10 * HOUR};

	check_int(backoff_parse("0s,5s,5m,30m,2h,5h,10h,10h", &backoff, NULL), ==, SL_OK);
	check_int(backoff.tries, ==, 8);
	for (int i = 0; i < 8; i++)
		check_int(backoff.delay_ms[i], ==, want[i]);
}

static void
delays_are_written_as_in_other_settings(void)
{
	check_int(backoff_parse("0", &backoff, NULL), ==, SL_OK);
	check_int(backoff.tries, ==, 1);
	check_int(backoff_parse(" 0ms , 7,250ms ,30d", &backoff, NULL), ==, SL_OK);
	check_int(backoff.tries, ==, 4);
	check_int(backoff.delay_ms[1], ==, 7000);
	check_int(backoff.delay_ms[2], ==, 250);
	check_int(backoff.delay_ms[3], ==, 720 * HOUR);
}

static void
what_is_no_schedule_is_refused(void)
{
	static const char *const bad[] = {"",        " ",
					  ",",       "0s,",
					  ",5s",     "0s,,5s",
					  "5s",      "0s,x",
					  "0s,-5s",  "0s,5 s",
					  "0s,5sec", "0s,+1",
					  "0s;5s",   "0s,1.5s",
					  "0s,31d",  "0s,99999999999999999999s",
					  "0s,721h", "0s,18446744073709551617",
					  "0x0"};
	char many[200] = "0";
	struct sl_error error;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		error.text[0] = '\0';
		check_int(backoff_parse(bad[i], &backoff, &error), ==, SL_INVALID);
		check(error.text[0] != '\0');
	}
	for (int i = 1; i < BACKOFF_TRIES_MAX; i++)
		strcat(many, ",1");
	check_int(backoff_parse(many, &backoff, NULL), ==, SL_OK);
	strcat(many, ",1");
	check_int(backoff_parse(many, &backoff, NULL), ==, SL_INVALID);
}

static void
each_round_waits_as_the_schedule_says_and_the_last_one_ends_it(void)
{
	check_int(backoff_parse("0s,5s,1h", &backoff, NULL), ==, SL_OK);
	check_int(backoff_delay_ms(&backoff, 1, -1), ==, 5000);
	check_int(backoff_delay_ms(&backoff, 2, -1), ==, HOUR);
	check_int(backoff_delay_ms(&backoff, 3, -1), ==, -1);
	check_int(backoff_delay_ms(&backoff, 9, -1), ==, -1); /* the setting was longer once */
}

static void
what_the_endpoint_asks_for_is_granted_when_longer_up_to_a_day(void)
{
	check_int(backoff_parse("0s,5s,1h", &backoff, NULL), ==, SL_OK);
	check_int(backoff_delay_ms(&backoff, 1, 0), ==, 5000);
	check_int(backoff_delay_ms(&backoff, 1, 4000), ==, 5000);
	check_int(backoff_delay_ms(&backoff, 1, 7000), ==, 7000);
	check_int(backoff_delay_ms(&backoff, 1, 10 * 365 * 24 * HOUR), ==, 24 * HOUR);
	check_int(backoff_delay_ms(&backoff, 1, INT64_MAX), ==, 24 * HOUR);
	check_int(backoff_delay_ms(&backoff, 1, INT64_MIN), ==, 5000);
	check_int(backoff_delay_ms(&backoff, 3, 7000), ==, -1); /* no try is left for it */
	check_int(backoff_parse("0s,30d", &backoff, NULL), ==, SL_OK);
	check_int(backoff_delay_ms(&backoff, 1, INT64_MAX), ==, 720 * HOUR);
}

int
main(void)
{
	CHECK_RUN(the_default_gives_eight_tries_within_a_day_and_a_bit);
	CHECK_RUN(delays_are_written_as_in_other_settings);
	CHECK_RUN(what_is_no_schedule_is_refused);
	CHECK_RUN(each_round_waits_as_the_schedule_says_and_the_last_one_ends_it);
	CHECK_RUN(what_the_endpoint_asks_for_is_granted_when_longer_up_to_a_day);
	return check_done();
}
