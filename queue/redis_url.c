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
#define PORT_SENTINEL 26379
#define DB_MAX 65535
#define MASTER_MAX 200

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

/* HOST[:PORT] */
static enum sl_code
parse_place(const char *text, size_t len, struct redis_url *out, struct sl_error *error)
{
	const char *end = text + len, *host = text, *host_end, *port;
	struct redis_place *place;

	if (out->place_count == REDIS_PLACES_MAX)
		return sl_fail(error, SL_INVALID, "redis url: at most %d hosts", REDIS_PLACES_MAX);
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
	if (host_end == host || host_end - host > REDIS_HOST_MAX)
		return sl_fail(error, SL_INVALID, "redis url: a host is missing or too long");
	for (const char *c = host; c < host_end; c++) {
		if (*c <= ' ' || *c == '%' || *c == '\\' || *c == 0x7f)
			return sl_fail(error, SL_INVALID, "redis url: bad character in a host");
	}
	place = &out->places[out->place_count++];
	place->host = sl_strndup(host, (size_t)(host_end - host));
	place->port = out->mode == REDIS_SENTINEL ? PORT_SENTINEL : PORT_DEFAULT;
	if (port < end) {
		place->port = *port == ':' ? number(port + 1, (size_t)(end - port - 1), 65535) : -1;
		if (place->port < 1)
			return sl_fail(error, SL_INVALID, "redis url: a port must be 1 to 65535");
	}
	return SL_OK;
}

/* [LOGIN@]HOST[:PORT],... */
static enum sl_code
parse_authority(const char *text, size_t len, struct redis_url *out, struct sl_error *error)
{
	const char *end = text + len, *at = memrchr(text, '@', len), *comma;
	enum sl_code code;

	if (at != NULL) {
		code = parse_login(text, (size_t)(at - text), out, error);
		if (code != SL_OK)
			return code;
		text = at + 1;
	}
	do {
		comma = memchr(text, ',', (size_t)(end - text));
		code =
		    parse_place(text, (size_t)((comma != NULL ? comma : end) - text), out, error);
		text = comma != NULL ? comma + 1 : end;
	} while (code == SL_OK && comma != NULL);
	return code;
}

static enum sl_code
parse_db(const char *text, size_t len, struct redis_url *out, struct sl_error *error)
{
	out->db = number(text, len, DB_MAX);
	if (out->db < 0)
		return sl_fail(error, SL_INVALID, "redis url: the database must be a number");
	return SL_OK;
}

static enum sl_code
parse_cluster(const char *value, struct redis_url *out, struct sl_error *error)
{
	if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
		return sl_fail(error, SL_INVALID, "redis url: cluster must be yes or no");
	if (value[0] == 'y')
		out->mode = REDIS_CLUSTER;
	return SL_OK;
}

/* [LOGIN@]HOST[:PORT],...[/[DB]][?cluster=yes|no] */
static enum sl_code
parse_tcp(const char *rest, struct redis_url *out, struct sl_error *error)
{
	size_t authority = strcspn(rest, "/?#"), db_len;
	const char *tail = rest + authority;
	enum sl_code code = parse_authority(rest, authority, out, error);

	if (code == SL_OK && tail[0] == '/') {
		db_len = strcspn(++tail, "?");
		if (db_len > 0)
			code = parse_db(tail, db_len, out, error);
		tail += db_len;
	}
	if (code == SL_OK && strncmp(tail, "?cluster=", 9) == 0)
		code = parse_cluster(tail + 9, out, error);
	else if (code == SL_OK && tail[0] != '\0')
		return sl_fail(error, SL_INVALID,
			       "redis url: only /db and ?cluster=yes may follow the host");
	if (code != SL_OK)
		return code;
	if (out->mode == REDIS_SINGLE && out->place_count > 1)
		return sl_fail(error, SL_INVALID,
			       "redis url: several hosts need ?cluster=yes (Redis Cluster) or "
			       "redis+sentinel:// (sentinels)");
	if (out->mode == REDIS_CLUSTER && out->db != 0)
		return sl_fail(error, SL_INVALID,
			       "redis url: a cluster has no database but 0; leave /db out");
	return SL_OK;
}

static enum sl_code
parse_master(const char *text, size_t len, struct redis_url *out, struct sl_error *error)
{
	if (len == 0 || len > MASTER_MAX)
		return sl_fail(error, SL_INVALID,
			       "redis url: redis+sentinel://HOSTS/MASTER needs the master's name, "
			       "as the sentinels' configuration has it");
	out->master = decode(text, len);
	if (out->master == NULL)
		return sl_fail(error, SL_INVALID, "redis url: bad %% escape in the master's name");
	for (const char *c = out->master; *c != '\0'; c++) {
		if ((unsigned char)*c <= ' ' || *c == 0x7f)
			return sl_fail(error, SL_INVALID,
				       "redis url: bad character in the master's name");
	}
	return SL_OK;
}

/* [LOGIN@]HOST[:PORT],.../MASTER[/[DB]][?sentinel_password=PASSWORD] */
static enum sl_code
parse_sentinel(const char *rest, struct redis_url *out, struct sl_error *error)
{
	static const char wanted[] = "?sentinel_password=";
	size_t len = strcspn(rest, "/?#");
	const char *tail = rest + len;
	enum sl_code code;

	out->mode = REDIS_SENTINEL;
	code = parse_authority(rest, len, out, error);
	if (code != SL_OK)
		return code;
	tail += tail[0] == '/';
	len = strcspn(tail, "/?#");
	code = parse_master(tail, len, out, error);
	tail += len;
	if (code == SL_OK && tail[0] == '/') {
		len = strcspn(++tail, "?");
		if (len > 0)
			code = parse_db(tail, len, out, error);
		tail += len;
	}
	if (code != SL_OK || tail[0] == '\0')
		return code;
	if (strncmp(tail, wanted, sizeof(wanted) - 1) != 0 || strpbrk(tail, "&#") != NULL)
		return sl_fail(error, SL_INVALID,
			       "redis url: only /db and ?sentinel_password= may follow the "
			       "master's name (escape & and # in a password)");
	tail += sizeof(wanted) - 1;
	out->sentinel_password = decode(tail, strlen(tail));
	if (out->sentinel_password == NULL || out->sentinel_password[0] == '\0')
		return sl_fail(error, SL_INVALID,
			       "redis url: sentinel_password is empty or has a bad %% escape");
	return SL_OK;
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
	else if (strncasecmp(text, "redis+sentinel://", 17) == 0)
		code = parse_sentinel(text + 17, out, error);
	else if (strncasecmp(text, "unix://", 7) == 0)
		code = parse_unix(text + 7, out, error);
	else if (strncasecmp(text, "rediss://", 9) == 0)
		code = sl_fail(
		    error, SL_INVALID,
		    "redis url: rediss:// (TLS) is not supported; put a TLS proxy (stunnel, "
		    "HAProxy) on this machine and name it by redis:// or unix://");
	else
		code =
		    sl_fail(error, SL_INVALID,
			    "redis url: it must start with redis://, redis+sentinel:// or unix://");
	if (code != SL_OK)
		redis_url_fini(out);
	return code;
}

static void
wipe(char *secret)
{
	if (secret != NULL)
		secret_wipe(secret, strlen(secret));
	free(secret);
}

void
redis_url_fini(struct redis_url *url)
{
	wipe(url->password);
	wipe(url->sentinel_password);
	free(url->user);
	free(url->master);
	free(url->path);
	for (int i = 0; i < url->place_count; i++)
		free(url->places[i].host);
	*url = (struct redis_url){0};
}
