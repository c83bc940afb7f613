/* daemon/notify.c - see notify.h. */
#include "daemon/notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

#define BUSY_EVERY_MS 2000
#define BUSY_EXTEND_S 15 /* from each sign that a wait goes on */

struct notify {
	char *path; /* owned; NULL: nobody listens */
	int64_t watchdog_usec;
	int64_t busy_ms; /* when notify_busy() last sent something */
	char *busy_what;
};

static bool
read_positive(const char *text, int64_t *number)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*number = strtoll(text, &end, 10);
	return errno == 0 && *end == '\0' && *number > 0;
}

enum sl_code
notify_parse_watchdog(const char *usec_text, const char *pid, long self, int64_t *usec,
		      struct sl_error *error)
{
	int64_t who = self;

	*usec = 0;
	if (usec_text == NULL)
		return SL_OK;
	if (pid != NULL && !read_positive(pid, &who))
		return sl_fail(error, SL_INVALID, "WATCHDOG_PID is \"%.40s\"; it is a process id",
			       pid);
	if (who != self) /* asked of a parent of ours */
		return SL_OK;
	if (!read_positive(usec_text, usec)) {
		*usec = 0;
		return sl_fail(error, SL_INVALID,
			       "WATCHDOG_USEC is \"%.40s\"; it is a number of microseconds",
			       usec_text);
	}
	return SL_OK;
}

enum sl_code
notify_new(struct notify **out, struct sl_error *error)
{
	struct notify *notify = sl_alloc(sizeof(*notify));
	const char *path = getenv("NOTIFY_SOCKET");
	enum sl_code code = notify_parse_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"),
						  (long)getpid(), &notify->watchdog_usec, error);

	if (path != NULL && *path != '\0')
		notify->path = sl_strdup(path);
	notify->busy_ms = clock_mono_ms() - BUSY_EVERY_MS;
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
	*out = notify;
	return code;
}

void
notify_free(struct notify *notify)
{
	if (notify == NULL)
		return;
	free(notify->path);
	free(notify->busy_what);
	free(notify);
}

bool
notify_is_on(const struct notify *notify)
{
	return notify->path != NULL;
}

int64_t
notify_watchdog_usec(const struct notify *notify)
{
	return notify->path != NULL ? notify->watchdog_usec : 0;
}

void
notify_send(struct notify *notify, const char *state)
{
	const char *path = notify->path;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = path != NULL ? strlen(path) : 0;
	int fd;

	if (len == 0)
		return;
	if ((path[0] != '/' && path[0] != '@') || len >= sizeof(address.sun_path)) {
		log_warn("notify_failed", "error=%s",
			 log_text("NOTIFY_SOCKET is not a path or an abstract name"));
		free(notify->path);
		notify->path = NULL;
		return;
	}
	memcpy(address.sun_path, path, len);
	if (path[0] == '@') /* abstract */
		address.sun_path[0] = '\0';
	/* Never waits: a manager that does not read must not hold up the loop. */
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		log_warn("notify_failed", "error=%s", log_text(strerror(errno)));
	if (fd >= 0)
		close(fd);
}

void
notify_busy(struct notify *notify, const char *what)
{
	bool same = notify->busy_what != NULL && strcmp(notify->busy_what, what) == 0;
	int64_t now = clock_mono_ms();
	char *state;

	if (notify->path == NULL || (same && now - notify->busy_ms < BUSY_EVERY_MS))
		return;
	if (!same) {
		free(notify->busy_what);
		notify->busy_what = sl_strdup(what);
	}
	notify->busy_ms = now;
	state = sl_asprintf("EXTEND_TIMEOUT_USEC=%d\nSTATUS=%s", BUSY_EXTEND_S * 1000000, what);
	notify_send(notify, state);
	free(state);
}
