/* daemon/sockets.c - see sockets.h. */
#include "daemon/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"

/* Digits only; false also past max. */
static bool
read_number(const char *text, long max, long *number)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*number = strtol(text, &end, 10);
	return errno == 0 && *end == '\0' && *number <= max;
}

static bool
is_ours(struct slice name)
{
	static const char unit[] = ".socket";
	const size_t len = sizeof(unit) - 1;

	return name.len == 0 || slice_is(name, "api") || slice_is(name, "unknown") ||
	       (name.len > len && memcmp(name.data + name.len - len, unit, len) == 0);
}

enum sl_code
sockets_parse(const char *pid, const char *fds, const char *names, long self, int *count,
	      struct sl_error *error)
{
	long number, named = 0;

	*count = 0;
	if (pid == NULL || fds == NULL)
		return SL_OK;
	if (!read_number(pid, LONG_MAX, &number))
		return sl_fail(error, SL_INVALID, "LISTEN_PID is \"%.40s\"; it is a process id",
			       pid);
	if (number != self) /* left over from a parent of ours */
		return SL_OK;
	if (!read_number(fds, SOCKETS_MAX, &number))
		return sl_fail(error, SL_INVALID,
			       "LISTEN_FDS is \"%.40s\"; it is a number up to %d", fds,
			       SOCKETS_MAX);
	*count = (int)number;
	if (names == NULL)
		return SL_OK;
	for (const char *at = names;; at += strcspn(at, ":") + 1) {
		struct slice name = {at, strcspn(at, ":")};

		if (!is_ours(name))
			return sl_fail(
			    error, SL_INVALID,
			    "LISTEN_FDNAMES has \"%.*s\"; a socket of sluiced is named api "
			    "(FileDescriptorName=api)",
			    (int)(name.len < 40 ? name.len : 40), name.data);
		named++;
		if (at[name.len] == '\0')
			break;
	}
	if (named != number && *names != '\0')
		return sl_fail(error, SL_INVALID, "LISTEN_FDNAMES has %ld names for LISTEN_FDS=%ld",
			       named, number);
	return SL_OK;
}

enum sl_code
sockets_take(int *count, struct sl_error *error)
{
	enum sl_code code = sockets_parse(getenv("LISTEN_PID"), getenv("LISTEN_FDS"),
					  getenv("LISTEN_FDNAMES"), (long)getpid(), count, error);

	for (int i = 0; code == SL_OK && i < *count; i++)
		if (fcntl(SOCKETS_FIRST + i, F_SETFD, FD_CLOEXEC) != 0)
			code =
			    sl_fail(error, SL_UNAVAILABLE, "LISTEN_FDS=%d, but descriptor %d: %s",
				    *count, SOCKETS_FIRST + i, strerror(errno));
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_PIDFDID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	return code;
}
