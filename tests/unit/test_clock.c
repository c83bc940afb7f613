#include "base/clock.h"

#include "tests/lib/check.h"

static void
the_test_clock_stands_until_it_is_cleared(void)
{
	clock_test_set(5000, 1764821520123);
	check_int(clock_mono_ms(), ==, 5000);
	check_int(clock_mono_us(), ==, 5000000);
	check_int(clock_wall_ms(), ==, 1764821520123);
	clock_test_set(1, 2);
	check_int(clock_mono_ms(), ==, 1);
	check_int(clock_wall_ms(), ==, 2);
	clock_test_clear();
	check_int(clock_wall_ms(), >, 1700000000000);
}

static void
monotonic_time_does_not_go_back(void)
{
	int64_t before = clock_mono_us();

	for (int i = 0; i < 1000; i++) {
		int64_t now = clock_mono_us();

		check_int(now, >=, before);
		before = now;
	}
	check_int(clock_mono_ms(), >=, before / 1000);
}

static void
iso_shows_utc_with_milliseconds(void)
{
	char text[CLOCK_ISO_SIZE];

	clock_iso(0, text);
	check_text(text, "1970-01-01T00:00:00.000Z");
	clock_iso(1764821520123, text);
	check_text(text, "2025-12-04T04:12:00.123Z");
	clock_iso(951782400007, text); /* 29 February of a century that has one */
	check_text(text, "2000-02-29T00:00:00.007Z");
	clock_iso(253402300799999, text);
	check_text(text, "9999-12-31T23:59:59.999Z");
}

static void
iso_rounds_down_before_1970(void)
{
	char text[CLOCK_ISO_SIZE];

	clock_iso(-1, text);
	check_text(text, "1969-12-31T23:59:59.999Z");
	clock_iso(-1000, text);
	check_text(text, "1969-12-31T23:59:59.000Z");
}

static void
iso_stays_in_its_room_at_both_ends_of_time(void)
{
	char text[CLOCK_ISO_SIZE];

	clock_iso(INT64_MAX, text);
	check_int(strlen(text), <, CLOCK_ISO_SIZE);
	clock_iso(INT64_MIN, text);
	check_int(strlen(text), <, CLOCK_ISO_SIZE);
}

int
main(void)
{
	CHECK_RUN(the_test_clock_stands_until_it_is_cleared);
	CHECK_RUN(monotonic_time_does_not_go_back);
	CHECK_RUN(iso_shows_utc_with_milliseconds);
	CHECK_RUN(iso_rounds_down_before_1970);
	CHECK_RUN(iso_stays_in_its_room_at_both_ends_of_time);
	return check_done();
}
