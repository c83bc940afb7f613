#include "base/clock.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

static struct {
	bool set;
	int64_t mono_ms, wall_ms;
} test_clock;

static int64_t
read_us(clockid_t id)
{
	struct timespec now;
	int failed = clock_gettime(id, &now);

	assert(failed == 0); /* both clocks exist on every Linux */
	(void)failed;
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t
clock_mono_us(void)
{
	return test_clock.set ? test_clock.mono_ms * 1000 : read_us(CLOCK_MONOTONIC);
}

int64_t
clock_mono_ms(void)
{
	return test_clock.set ? test_clock.mono_ms : read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t
clock_wall_ms(void)
{
	return test_clock.set ? test_clock.wall_ms : read_us(CLOCK_REALTIME) / 1000;
}

void
clock_test_set(int64_t mono_ms, int64_t wall_ms)
{
	test_clock.set = true;
	test_clock.mono_ms = mono_ms;
	test_clock.wall_ms = wall_ms;
}

void
clock_test_clear(void)
{
	test_clock.set = false;
}

void
clock_iso(int64_t wall_ms, char *out)
{
	int64_t ms = wall_ms % 1000;
	time_t seconds;
	struct tm tm;
	size_t len;

	seconds = (time_t)(wall_ms / 1000);
	if (ms < 0) { /* before 1970: C rounds to zero, the calendar rounds down */
		ms += 1000;
		seconds--;
	}
	if (gmtime_r(&seconds, &tm) == NULL) { /* the year does not fit an int */
		snprintf(out, CLOCK_ISO_SIZE, "%lldms", (long long)wall_ms);
		return;
	}
	len = strftime(out, CLOCK_ISO_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + len, CLOCK_ISO_SIZE - len, ".%03uZ", (unsigned)ms % 1000);
}
