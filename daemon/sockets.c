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
is_api(struct slice name)
{
	static const char unit[] = ".socket";
	const size_t len = sizeof(unit) - 1;

	return name.len == 0 || slice_is(name, "api") || slice_is(name, "unknown") ||
	       (name.len > len && memcmp(name.data + name.len - len, unit, len) == 0);
}

static enum sl_code
sort_in(struct slice name, int fd, struct sockets *out, struct sl_error *error)
{
	if (slice_is(name, "metrics"))
		out->metrics[out->metrics_count++] = fd;
	else if (is_api(name))
		out->api[out->api_count++] = fd;
	else
		return sl_fail(error, SL_INVALID,
			       "LISTEN_FDNAMES has \"%.*s\"; a socket of sluiced is named api or "
			       "metrics (FileDescriptorName=api)",
			       (int)(name.len < 40 ? name.len : 40), name.data);
	return SL_OK;
}

enum sl_code
sockets_parse(const char *pid, const char *fds, const char *names, long self, struct sockets *out,
	      struct sl_error *error)
{
	const char *at = names != NULL ? names : "";
	bool named = *at != '\0';
	long number;

	*out = (struct sockets){0};
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
	for (int i = 0; i < number; i++) {
		struct slice name = {at, strcspn(at, ":")};
		bool last = i + 1 == number;

		if (sort_in(name, SOCKETS_FIRST + i, out, error) != SL_OK)
			return SL_INVALID;
		if (named && last != (at[name.len] == '\0'))
			return sl_fail(
			    error, SL_INVALID,
			    "LISTEN_FDNAMES has not as many names as LISTEN_FDS says: %ld", number);
		at += name.len + (at[name.len] == ':');
	}
	return SL_OK;
}

enum sl_code
sockets_take(struct sockets *out, struct sl_error *error)
{
	enum sl_code code = sockets_parse(getenv("LISTEN_PID"), getenv("LISTEN_FDS"),
					  getenv("LISTEN_FDNAMES"), (long)getpid(), out, error);
	int count = out->api_count + out->metrics_count;

	for (int fd = SOCKETS_FIRST; code == SL_OK && fd < SOCKETS_FIRST + count; fd++)
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
			code =
			    sl_fail(error, SL_UNAVAILABLE, "LISTEN_FDS=%d, but descriptor %d: %s",
				    count, fd, strerror(errno));
	(void)unsetenv("LISTEN_PID");
	(void)unsetenv("LISTEN_PIDFDID");
	(void)unsetenv("LISTEN_FDS");
	(void)unsetenv("LISTEN_FDNAMES");
	return code;
}
