/* base/clock.h - monotonic time for leases and timeouts, wall time for display and schedules.
 *
 * Tests may stand still or jump: clock_test_set() replaces both until clock_test_clear(). */
#ifndef SLUICE_BASE_CLOCK_H
#define SLUICE_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t clock_mono_ms(void); /* CLOCK_MONOTONIC */
int64_t clock_mono_us(void);
int64_t clock_wall_ms(void); /* milliseconds since 1970, UTC */
void clock_test_set(int64_t mono_ms, int64_t wall_ms);
void clock_test_clear(void);

#define CLOCK_ISO_SIZE 40
/* "2026-11-22T05:12:00.123Z"; out has room for CLOCK_ISO_SIZE bytes. */
void clock_iso(int64_t wall_ms, char *out);

#endif
