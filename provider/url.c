#include "provider/url.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static bool
is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static struct slice
cut(struct slice text, size_t from)
{
	return (struct slice){text.data + from, text.len - from};
}

/* Where the first of the bytes stands, or the end. */
static size_t
find_any(struct slice text, const char *bytes)
{
	size_t i = 0;

	while (i < text.len && (text.data[i] == '\0' || strchr(bytes, text.data[i]) == NULL))
		i++;
	return i;
}

static bool
starts_with_fold(struct slice text, const char *prefix)
{
	size_t len = strlen(prefix);

	return text.len >= len && strncasecmp(text.data, prefix, len) == 0;
}

bool
url_is_absolute(struct slice text)
{
	size_t i = 0;

	while (i < text.len && (is_letter_or_digit(text.data[i]) || text.data[i] == '+' ||
				text.data[i] == '-' || text.data[i] == '.'))
		i++;
	return i > 0 && text.len - i >= 3 && memcmp(text.data + i, "://", 3) == 0;
}

static bool
host_is_plain(struct slice host)
{
	bool bracketed = host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']';

	if (host.len == 0 || host.len > 255)
		return false;
	for (size_t i = bracketed ? 1 : 0; i < host.len - (bracketed ? 1 : 0); i++) {
		char c = host.data[i];

		if (bracketed ? !isxdigit((unsigned char)c) && c != ':' && c != '.'
			      : !is_letter_or_digit(c) && c != '.' && c != '-' && c != '_')
			return false;
	}
	return true;
}

static bool
port_read(struct slice text, int *out)
{
	int port = 0;

	if (text.len == 0 || text.len > 5)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		port = port * 10 + (text.data[i] - '0');
	}
	*out = port;
	return port >= 1 && port <= 65535;
}

static enum sl_code
authority_split(struct url *url, struct sl_error *error)
{
	struct slice all = url->authority;
	size_t colon = all.len;

	for (size_t i = all.len; i > 0 && all.data[i - 1] != ']'; i--)
		if (all.data[i - 1] == ':')
			colon = i - 1; /* with more than one, what follows the first is no port */
	url->host = (struct slice){all.data, colon};
	url->port = url->https ? 443 : 80;
	if (!host_is_plain(url->host))
		return sl_fail(error, SL_INVALID, "the URL's host is not one that we would call");
	if (colon < all.len && !port_read(cut(all, colon + 1), &url->port))
		return sl_fail(error, SL_INVALID, "the URL's port is not a port");
	return SL_OK;
}

enum sl_code
url_split(struct slice text, struct url *out, struct sl_error *error)
{
	struct slice rest;
	size_t end;

	*out = (struct url){0};
	if (starts_with_fold(text, "https://"))
		out->https = true;
	else if (!starts_with_fold(text, "http://"))
		return sl_fail(error, SL_INVALID, "the URL must start with https:// or http://");
	rest = cut(text, out->https ? 8 : 7);
	end = find_any(rest, "/?#\\");
	out->authority = (struct slice){rest.data, end};
	rest = cut(rest, end);
	end = find_any(rest, "#");
	rest.len = end;
	end = find_any(rest, "?");
	out->path = (struct slice){rest.data, end};
	out->query = end < rest.len ? cut(rest, end + 1) : (struct slice){rest.data + end, 0};
	if (out->path.len > 0 && out->path.data[0] == '\\')
		return sl_fail(error, SL_INVALID, "the URL holds a backslash behind its host");
	return authority_split(out, error);
}

bool
url_is_same_origin(const struct url *a, const struct url *b)
{
	return a->https == b->https && a->port == b->port && a->host.len == b->host.len &&
	       strncasecmp(a->host.data, b->host.data, a->host.len) == 0;
}

static void
add_encoded_byte(struct buf *out, unsigned char c)
{
	static const char digits[] = "0123456789ABCDEF";
	const char text[3] = {'%', digits[c >> 4], digits[c & 15]};

	buf_add(out, text, 3);
}

void
url_encode(struct buf *out, struct slice value)
{
	for (size_t i = 0; i < value.len; i++) {
		char c = value.data[i];

		if (is_letter_or_digit(c) || (c != '\0' && strchr("-._~", c) != NULL))
			buf_add_char(out, c);
		else
			add_encoded_byte(out, (unsigned char)c);
	}
}

/* As the WHATWG parser does in the path state and the query state of http URLs; but a backslash is
 * data here, not another way to write a slash.  A '%' stays: people write encoded endpoints. */
static void
add_cleaned(struct buf *out, struct slice text, const char *also)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if (c == '\t' || c == '\r' || c == '\n')
			continue;
		if (c <= 0x20 || c >= 0x7f || strchr("\"<>\\", c) != NULL ||
		    strchr(also, c) != NULL)
			add_encoded_byte(out, c);
		else
			buf_add_char(out, (char)c);
	}
}

void
url_add_query(struct buf *url, struct slice pairs)
{
	bool has = url->len > 0 && memchr(url->data, '?', url->len) != NULL;
	char last = url->len > 0 ? url->data[url->len - 1] : '\0';

	while (pairs.len > 0 && (pairs.data[0] == '?' || pairs.data[0] == '&'))
		pairs = cut(pairs, 1);
	if (pairs.len == 0)
		return;
	if (!has)
		buf_add_char(url, '?');
	else if (last != '?' && last != '&')
		buf_add_char(url, '&');
	add_cleaned(url, pairs, "'#");
}

void
url_drop_query(struct buf *url, struct slice name)
{
	char *query = url->len > 0 ? memchr(url->data, '?', url->len) : NULL;
	const char *end, *at;
	char *to;

	if (query == NULL)
		return;
	end = url->data + url->len;
	at = query + 1;
	to = query; /* the byte in front of each pair that stays: '?' or '&' */
	while (at < end) {
		const char *stop = memchr(at, '&', (size_t)(end - at));
		size_t len = (size_t)((stop != NULL ? stop : end) - at);
		bool named = len >= name.len && memcmp(at, name.data, name.len) == 0 &&
			     (len == name.len || at[name.len] == '=');

		if (!named && len > 0) {
			*to = to == query ? '?' : '&';
			memmove(to + 1, at, len);
			to += 1 + len;
		}
		at += len + 1;
	}
	url->len = (size_t)(to - url->data);
	url->data[url->len] = '\0';
}

static struct slice
without_slashes_behind(struct slice path)
{
	while (path.len > 0 && path.data[path.len - 1] == '/')
		path.len--;
	return path;
}

/* Whether endpoint is base or something below it; *rest is then what follows. */
static bool
is_below(const struct url *base, const struct url *endpoint, struct slice *rest)
{
	struct slice prefix = without_slashes_behind(base->path);

	if (!url_is_same_origin(base, endpoint) || endpoint->path.len < prefix.len ||
	    memcmp(endpoint->path.data, prefix.data, prefix.len) != 0)
		return false;
	*rest = cut(endpoint->path, prefix.len);
	return rest->len == 0 || rest->data[0] == '/';
}

static void
add_joined(const struct url *base, struct slice prefix, struct slice path, struct slice base_query,
	   struct slice query, struct buf *out)
{
	buf_add_text(out, base->https ? "https://" : "http://");
	buf_add_slice(out, base->authority);
	add_cleaned(out, without_slashes_behind(prefix), "`{}");
	if (path.len > 0) {
		if (path.data[0] == '/')
			path = cut(path, 1);
		buf_add_char(out, '/');
		add_cleaned(out, path, "`{}");
	}
	url_add_query(out, base_query);
	url_add_query(out, query);
}

static enum sl_code
join_clean(const struct url *base, struct slice endpoint, enum url_elsewhere elsewhere,
	   struct buf *out, struct sl_error *error)
{
	const struct slice nothing = {"", 0};
	struct url absolute;
	struct slice rest;
	size_t mark;

	if (!url_is_absolute(endpoint)) {
		endpoint.len = find_any(endpoint, "#");
		mark = find_any(endpoint, "?");
		rest = mark < endpoint.len ? cut(endpoint, mark + 1) : nothing;
		add_joined(base, base->path, (struct slice){endpoint.data, mark}, base->query, rest,
			   out);
		return SL_OK;
	}
	if (url_split(endpoint, &absolute, error) != SL_OK)
		return SL_INVALID;
	if (is_below(base, &absolute, &rest))
		add_joined(base, base->path, rest, base->query, absolute.query, out);
	else if (elsewhere == URL_SAME_ORIGIN && url_is_same_origin(base, &absolute))
		add_joined(base, nothing, absolute.path, nothing, absolute.query, out);
	else
		return sl_fail(error, SL_INVALID, "the endpoint is not below the base URL");
	return SL_OK;
}

enum sl_code
url_join(struct slice base, struct slice endpoint, enum url_elsewhere elsewhere, struct buf *out,
	 struct sl_error *error)
{
	struct buf clean;
	struct url url;
	enum sl_code code;

	if (url_split(base, &url, error) != SL_OK)
		return SL_INVALID;
	/* A line end inside "https://" must not hide that an endpoint is absolute. */
	buf_init(&clean, endpoint.len + 1);
	for (size_t i = 0; i < endpoint.len; i++)
		if (strchr("\t\r\n", endpoint.data[i]) == NULL || endpoint.data[i] == '\0')
			buf_add_char(&clean, endpoint.data[i]);
	while (clean.len > 0 && clean.data[clean.len - 1] == ' ')
		clean.len--;
	code = join_clean(&url, buf_slice(&clean), elsewhere, out, error);
	buf_fini(&clean);
	if (code == SL_OK && out->over)
		return sl_fail(error, SL_EXHAUSTED, "the URL is too long");
	return code;
}
