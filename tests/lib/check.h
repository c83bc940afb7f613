/* tests/lib/check.h - assertions and a runner for unit tests; one program per module.
 *
 *   static void retry_after_overrides_backoff(void) { check_int(f(1), ==, 7000); }
 *   int main(void) { CHECK_RUN(retry_after_overrides_backoff); return check_done(); }
 * Output is TAP, read by automake's driver and by dev/check.  A failed check names file, line and
 * both values, and the rest of that test is skipped. */
#ifndef SLUICE_TESTS_CHECK_H
#define SLUICE_TESTS_CHECK_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static jmp_buf check_escape;
static int check_count, check_failures;

static inline void
check_fail_at(const char *file, int line, const char *what)
{
	printf("# %s:%d: %s\n", file, line, what);
	longjmp(check_escape, 1);
}

#define check(condition)                                                          \
	do {                                                                      \
		if (!(condition))                                                 \
			check_fail_at(__FILE__, __LINE__, "failed: " #condition); \
	} while (0)

#define check_int(a, op, b)                                                                 \
	do {                                                                                \
		long long check_a = (long long)(a), check_b = (long long)(b);               \
		if (!(check_a op check_b)) {                                                \
			printf("# %s:%d: %s is %lld, wanted " #op " %lld (%s)\n", __FILE__, \
			       __LINE__, #a, check_a, check_b, #b);                         \
			longjmp(check_escape, 1);                                           \
		}                                                                           \
	} while (0)

#define check_text(a, b)                                                                         \
	do {                                                                                     \
		const char *check_a = (a), *check_b = (b);                                       \
		if (check_a == NULL || check_b == NULL || strcmp(check_a, check_b) != 0) {       \
			printf("# %s:%d: %s is \"%s\", wanted \"%s\"\n", __FILE__, __LINE__, #a, \
			       check_a ? check_a : "(null)", check_b ? check_b : "(null)");      \
			longjmp(check_escape, 1);                                                \
		}                                                                                \
	} while (0)

#define CHECK_RUN(test)                                                 \
	do {                                                            \
		check_count++;                                          \
		if (setjmp(check_escape) == 0) {                        \
			test();                                         \
			printf("ok %d - %s\n", check_count, #test);     \
		} else {                                                \
			check_failures++;                               \
			printf("not ok %d - %s\n", check_count, #test); \
		}                                                       \
		fflush(stdout);                                         \
	} while (0)

static inline int
check_done(void)
{
	printf("1..%d\n", check_count);
	return check_failures > 0 ? 1 : 0;
}

#endif
