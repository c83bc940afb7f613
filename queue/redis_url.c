#include "queue/redis_url.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "base/alloc.h"
#include "base/secret.h"

#define PORT_DEFAULT 6379
#define DB_MAX 65535
#define HOST_MAX 253

/* Percent-decodes into a new string.  NULL: a bad escape, or an escaped NUL. */
static char *
decode(const char *text, size_t len)
{
	char *out = sl_alloc(len + 1);
	size_t used = 0;

	for (size_t i = 0; i < len; i++) {
		int high, low;

		if (text[i] != '%') {
			out[used++] = text[i];
			continue;
		}
		high = i + 2 < len ? hex_digit(text[i + 1]) : -1;
		low = i + 2 < len ? hex_digit(text[i + 2]) : -1;
		if (high < 0 || low < 0 || (high == 0 && low == 0)) {
			secret_wipe(out, len + 1);
			free(out);
			return NULL;
		}
		out[used++] = (char)(high * 16 + low);
		i += 2;
	}
	out[used] = '\0';
	return out;
}

/* Digits only, 0..max; -1 otherwise. */
static int
number(const char *text, size_t len, int max)
{
	int value = 0;

	if (len == 0 || len > 5)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		value = value * 10 + (text[i] - '0');
	}
	return value <= max ? value : -1;
}

/* user:password, :password or user (which nobody can log in with: refused). */
static enum sl_code
parse_login(const char *text, size_t len, struct redis_url *out, struct sl_error *error)
{
	const char *colon = memchr(text, ':', len);

	if (colon == NULL)
		return sl_fail(error, SL_INVALID,
			       "redis url: a user without a password (write user:password@)");
	if (colon > text) {
		out->user = decode(text, (size_t)(colon - text));
		if (out->user == NULL)
			return sl_fail(error, SL_INVALID, "redis url: bad %% escape in the user");
	}
	out->password = decode(colon + 1, len - (size_t)(colon + 1 - text));
	if (out->password == NULL)
		return sl_fail(error, SL_INVALID, "redis url: bad %% escape in the password");
	if (out->password[0] == '\0')
		return sl_fail(error, SL_INVALID, "redis url: the password is empty");
	return SL_OK;
}

/* host[:port] or [IPv6][:port] */
static enum sl_code
parse_host(const char *text, size_t len, struct redis_url *out, struct sl_error *error)
{
	const char *end = text + len, *host = text, *host_end, *port;

	if (len > 0 && text[0] == '[') {
		host = text + 1;
		host_end = memchr(text, ']', len);
		if (host_end == NULL)
			return sl_fail(error, SL_INVALID, "redis url: [ without ]");
		port = host_end + 1;
	} else {
		host_end = memchr(text, ':', len);
		if (host_end == NULL)
			host_end = end;
		port = host_end;
	}
	if (host_end == host || host_end - host > HOST_MAX)
		return sl_fail(error, SL_INVALID, "redis url: the host is missing or too long");
	for (const char *c = host; c < host_end; c++) {
		if (*c <= ' ' || *c == '%' || *c == '\\' || *c == 0x7f)
			return sl_fail(error, SL_INVALID, "redis url: bad character in the host");
	}
	out->host = sl_strndup(host, (size_t)(host_end - host));
	out->port = PORT_DEFAULT;
	if (port < end) {
		out->port = *port == ':' ? number(port + 1, (size_t)(end - port - 1), 65535) : -1;
		if (out->port < 1)
			return sl_fail(error, SL_INVALID, "redis url: the port must be 1 to 65535");
	}
	return SL_OK;
}

static enum sl_code
parse_db(const char *text, size_t len, struct redis_url *out, struct sl_error *error)
{
	out->db = number(text, len, DB_MAX);
	if (out->db < 0)
		return sl_fail(error, SL_INVALID, "redis url: the database must be a number");
	return SL_OK;
}

/* [login@]host[:port][/[db]] */
static enum sl_code
parse_tcp(const char *rest, struct redis_url *out, struct sl_error *error)
{
	size_t authority = strcspn(rest, "/?#");
	const char *tail = rest + authority, *at = memrchr(rest, '@', authority);
	enum sl_code code;

	if (at != NULL) {
		code = parse_login(rest, (size_t)(at - rest), out, error);
		if (code != SL_OK)
			return code;
		authority -= (size_t)(at + 1 - rest);
		rest = at + 1;
	}
	code = parse_host(rest, authority, out, error);
	if (code != SL_OK || tail[0] == '\0' || strcmp(tail, "/") == 0)
		return code;
	if (tail[0] != '/')
		return sl_fail(error, SL_INVALID, "redis url: only /db may follow the host");
	return parse_db(tail + 1, strlen(tail + 1), out, error);
}

/* [login@]/path[?db=n] */
static enum sl_code
parse_unix(const char *rest, struct redis_url *out, struct sl_error *error)
{
	const char *path = strchr(rest, '/'), *query;
	size_t len;
	enum sl_code code;

	if (path == NULL)
		return sl_fail(error, SL_INVALID, "redis url: unix:// needs an absolute path");
	if (path > rest) {
		if (path[-1] != '@')
			return sl_fail(error, SL_INVALID,
				       "redis url: unix:// needs an absolute path");
		code = parse_login(rest, (size_t)(path - 1 - rest), out, error);
		if (code != SL_OK)
			return code;
	}
	query = strchr(path, '?');
	len = query != NULL ? (size_t)(query - path) : strlen(path);
	if (len < 2 || len >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return sl_fail(error, SL_INVALID,
			       "redis url: the socket's path is empty or too long");
	out->path = sl_strndup(path, len);
	if (query == NULL)
		return SL_OK;
	if (strncmp(query, "?db=", 4) != 0)
		return sl_fail(error, SL_INVALID, "redis url: only ?db=n may follow the path");
	return parse_db(query + 4, strlen(query + 4), out, error);
}

enum sl_code
redis_url_parse(const char *text, struct redis_url *out, struct sl_error *error)
{
	enum sl_code code;

	*out = (struct redis_url){0};
	if (strncasecmp(text, "redis://", 8) == 0)
		code = parse_tcp(text + 8, out, error);
	else if (strncasecmp(text, "unix://", 7) == 0)
		code = parse_unix(text + 7, out, error);
	else if (strncasecmp(text, "rediss://", 9) == 0)
		code = sl_fail(
		    error, SL_INVALID,
		    "redis url: rediss:// (TLS) is not supported; put a TLS proxy (stunnel, "
		    "HAProxy) on this machine and name it by redis:// or unix://");
	else
		code =
		    sl_fail(error, SL_INVALID, "redis url: it must start with redis:// or unix://");
	if (code != SL_OK)
		redis_url_fini(out);
	return code;
}

void
redis_url_fini(struct redis_url *url)
{
	if (url->password != NULL)
		secret_wipe(url->password, strlen(url->password));
	free(url->password);
	free(url->user);
	free(url->host);
	free(url->path);
	*url = (struct redis_url){0};
}
