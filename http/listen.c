#include "http/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

union any_address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

static enum sl_code
bad_address(const char *address, struct sl_error *error)
{
	return sl_fail(error, SL_INVALID,
		       "cannot listen on \"%.100s\": write 127.0.0.1:3003, [::1]:3003 or "
		       "unix:/path",
		       address);
}

/* Splits "host:port" and "[host]:port". */
static bool
parse_tcp(const char *address, union any_address *out, socklen_t *len)
{
	char host[INET6_ADDRSTRLEN];
	const char *start = address, *colon = strrchr(address, ':'), *end = colon;
	char *rest;
	long port;

	if (colon == NULL || colon[1] < '0' || colon[1] > '9')
		return false;
	port = strtol(colon + 1, &rest, 10);
	if (*rest != '\0' || port > 65535)
		return false;
	if (*address == '[') {
		start++;
		if (end == start || *--end != ']')
			return false;
	}
	if (end <= start || (size_t)(end - start) >= sizeof(host))
		return false;
	memcpy(host, start, (size_t)(end - start));
	host[end - start] = '\0';
	*out = (union any_address){0};
	if (*address == '[') {
		out->in6.sin6_family = AF_INET6;
		out->in6.sin6_port = htons((uint16_t)port);
		*len = sizeof(out->in6);
		return inet_pton(AF_INET6, host, &out->in6.sin6_addr) == 1;
	}
	out->in.sin_family = AF_INET;
	out->in.sin_port = htons((uint16_t)port);
	*len = sizeof(out->in);
	return inet_pton(AF_INET, host, &out->in.sin_addr) == 1;
}

static bool
parse_unix(const char *path, union any_address *out, socklen_t *len)
{
	size_t size = strlen(path) + 1;

	*out = (union any_address){0};
	if (size == 1 || size > sizeof(out->un.sun_path))
		return false;
	out->un.sun_family = AF_UNIX;
	memcpy(out->un.sun_path, path, size);
	*len = sizeof(out->un);
	return true;
}

/* A socket file nobody listens on any more is left over from a crash. */
static void
unlink_stale(const union any_address *address, socklen_t len)
{
	struct stat st;
	int fd;

	if (lstat(address->un.sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, &address->any, len) < 0 && errno == ECONNREFUSED)
		unlink(address->un.sun_path);
	close(fd);
}

static enum sl_code
fail_errno(const char *address, struct sl_error *error)
{
	int cause = errno;

	return sl_fail(error, cause == EADDRINUSE ? SL_CONFLICT : SL_UNAVAILABLE,
		       "cannot listen on %.100s: %s", address, strerror(cause));
}

enum sl_code
listen_open(const char *address, bool reuse_port, int *out, const char **unix_path,
	    struct sl_error *error)
{
	const bool is_unix = strncmp(address, "unix:", 5) == 0;
	union any_address where;
	enum sl_code code;
	socklen_t len;
	int on = 1, fd;

	*unix_path = is_unix ? address + 5 : NULL;
	if (is_unix ? !parse_unix(address + 5, &where, &len) : !parse_tcp(address, &where, &len))
		return bad_address(address, error);
	if (is_unix)
		unlink_stale(&where, len);
	fd = socket(where.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail_errno(address, error);
	if ((!is_unix && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0) ||
	    (!is_unix && reuse_port &&
	     setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0) ||
	    bind(fd, &where.any, len) < 0 || listen(fd, BACKLOG) < 0) {
		code = fail_errno(address, error);
		close(fd);
		return code;
	}
	*out = fd;
	return SL_OK;
}

enum sl_code
listen_check(int fd, struct sl_error *error)
{
	int listens = 0, type = 0, family = 0, flags;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) < 0)
		return sl_fail(error, SL_INVALID, "descriptor %d: %s", fd, strerror(errno));
	if (!listens || type != SOCK_STREAM ||
	    (family != AF_INET && family != AF_INET6 && family != AF_UNIX))
		return sl_fail(error, SL_INVALID,
			       "descriptor %d is not a listening TCP or unix stream socket", fd);
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return sl_fail(error, SL_INVALID, "descriptor %d: %s", fd, strerror(errno));
	return SL_OK;
}

void
listen_text(int fd, char *out, size_t size)
{
	union any_address any = {0};
	socklen_t len = sizeof(any);
	char host[INET6_ADDRSTRLEN];

	out[0] = '\0';
	if (getsockname(fd, &any.any, &len) < 0)
		return;
	if (any.any.sa_family == AF_INET &&
	    inet_ntop(AF_INET, &any.in.sin_addr, host, sizeof(host)) != NULL)
		snprintf(out, size, "%s:%d", host, ntohs(any.in.sin_port));
	else if (any.any.sa_family == AF_INET6 &&
		 inet_ntop(AF_INET6, &any.in6.sin6_addr, host, sizeof(host)) != NULL)
		snprintf(out, size, "[%s]:%d", host, ntohs(any.in6.sin6_port));
	else if (any.any.sa_family == AF_UNIX)
		snprintf(out, size, "unix:%.*s", (int)sizeof(any.un.sun_path), any.un.sun_path);
}

void
listen_peer_text(const struct sockaddr *address, char *out, size_t size)
{
	union any_address any;

	snprintf(out, size, "unix");
	if (address->sa_family == AF_INET) {
		memcpy(&any.in, address, sizeof(any.in));
		inet_ntop(AF_INET, &any.in.sin_addr, out, (socklen_t)size);
	} else if (address->sa_family == AF_INET6) {
		memcpy(&any.in6, address, sizeof(any.in6));
		if (IN6_IS_ADDR_V4MAPPED(&any.in6.sin6_addr))
			inet_ntop(AF_INET, any.in6.sin6_addr.s6_addr + 12, out, (socklen_t)size);
		else
			inet_ntop(AF_INET6, &any.in6.sin6_addr, out, (socklen_t)size);
	}
}
