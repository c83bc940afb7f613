#include <limits.h>

#include "daemon/notify.h"
#include "daemon/sockets.h"
#include "tests/lib/check.h"

#define SELF 4711L

static struct sl_error error;
static struct sockets sockets;

static int
passed(const char *pid, const char *fds, const char *names)
{
	error.text[0] = '\0';
	if (sockets_parse(pid, fds, names, SELF, &sockets, &error) != SL_OK)
		return -1;
	return sockets.api_count + sockets.metrics_count;
}

static void
sockets_are_ours_when_listen_pid_is_our_process(void)
{
	check_int(passed("4711", "2", NULL), ==, 2);
	check_int(passed("4711", "0", NULL), ==, 0);
	check_int(passed("4712", "2", NULL), ==, 0);
	check_int(passed("4712", "junk", "junk"), ==, 0); /* not our business */
	check_int(passed(NULL, "2", NULL), ==, 0);
	check_int(passed("4711", NULL, NULL), ==, 0);
	check_int(passed(NULL, NULL, NULL), ==, 0);
}

static void
a_number_that_is_none_is_named(void)
{
	static const char *const bad[] = {"",    " 4711", "-1", "+2",
					  "0x3", "2 ",    "17", "99999999999999999999"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		check_int(passed("4711", bad[i], NULL), ==, -1);
		check(strstr(error.text, "LISTEN_FDS") != NULL);
	}
	check_int(passed("me", "1", NULL), ==, -1);
	check(strstr(error.text, "LISTEN_PID") != NULL);
	check_int(passed("", "1", NULL), ==, -1);
}

static void
a_socket_is_named_api_after_its_unit_or_not_at_all(void)
{
	check_int(passed("4711", "1", "api"), ==, 1);
	check_int(passed("4711", "2", "api:api"), ==, 2);
	check_int(passed("4711", "2", "sluiced.socket:api"), ==, 2);
	check_int(passed("4711", "1", "unknown"), ==, 1);
	check_int(passed("4711", "2", ""), ==, 2);
	check_int(passed("4711", "2", ":"), ==, 2);
	check_int(passed("4711", "1", "web"), ==, -1);
	check(strstr(error.text, "\"web\"") != NULL);
	check(strstr(error.text, "FileDescriptorName=api") != NULL);
	check_int(passed("4711", "1", ".socket"), ==, -1);
	check_int(passed("4711", "1", "apis"), ==, -1);
}

static void
a_socket_named_metrics_is_for_them(void)
{
	check_int(passed("4711", "3", "api:metrics:sluiced.socket"), ==, 3);
	check_int(sockets.api_count, ==, 2);
	check_int(sockets.api[0], ==, 3);
	check_int(sockets.api[1], ==, 5);
	check_int(sockets.metrics_count, ==, 1);
	check_int(sockets.metrics[0], ==, 4);
	check_int(passed("4711", "2", NULL), ==, 2);
	check_int(sockets.api_count, ==, 2);
}

static void
there_are_as_many_names_as_sockets(void)
{
	check_int(passed("4711", "2", "api"), ==, -1);
	check(strstr(error.text, "LISTEN_FDNAMES") != NULL);
	check_int(passed("4711", "1", "api:api"), ==, -1);
	check_int(passed("4711", "1", "api:"), ==, -1);
}

static int64_t
period(const char *usec, const char *pid)
{
	int64_t found = -1;

	error.text[0] = '\0';
	return notify_parse_watchdog(usec, pid, SELF, &found, &error) == SL_OK ? found : -1;
}

static void
signs_of_life_are_due_when_we_are_asked(void)
{
	check_int(period("30000000", "4711"), ==, 30000000);
	check_int(period("1", NULL), ==, 1);
	check_int(period("9223372036854775807", NULL), ==, INT64_MAX);
	check_int(period(NULL, "4711"), ==, 0);
	check_int(period("30000000", "1"), ==, 0);
	check_int(period("junk", "1"), ==, 0); /* somebody else's */
}

static void
a_period_that_is_none_is_named(void)
{
	static const char *const bad[] = {"", "0", "-1", "1s", " 1", "9223372036854775808"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		check_int(period(bad[i], NULL), ==, -1);
		check(strstr(error.text, "WATCHDOG_USEC") != NULL);
	}
	check_int(period("1", "me"), ==, -1);
	check(strstr(error.text, "WATCHDOG_PID") != NULL);
}

int
main(void)
{
	CHECK_RUN(sockets_are_ours_when_listen_pid_is_our_process);
	CHECK_RUN(a_number_that_is_none_is_named);
	CHECK_RUN(a_socket_is_named_api_after_its_unit_or_not_at_all);
	CHECK_RUN(a_socket_named_metrics_is_for_them);
	CHECK_RUN(there_are_as_many_names_as_sockets);
	CHECK_RUN(signs_of_life_are_due_when_we_are_asked);
	CHECK_RUN(a_period_that_is_none_is_named);
	return check_done();
}
