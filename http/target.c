#include "http/target.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/utf8.h"

#define BAD_TARGET(...) http_refusal_set(refusal, 400, "invalid_request", __VA_ARGS__)

static bool
is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The part in brackets of an IPv6 literal; returns its length with both brackets, 0 if bad. */
static size_t
bracketed_len(struct slice text)
{
	const char *close = memchr(text.data, ']', text.len);

	if (close == NULL || close == text.data + 1)
		return 0;
	for (const char *c = text.data + 1; c < close; c++) {
		if (hex_digit(*c) < 0 && *c != ':' && *c != '.')
			return 0;
	}
	return (size_t)(close - text.data) + 1;
}

bool
target_is_host(struct slice text)
{
	size_t at = 0;

	if (text.len > 0 && text.data[0] == '[') {
		at = bracketed_len(text);
	} else {
		while (at < text.len &&
		       (is_alnum(text.data[at]) ||
			(text.data[at] != '\0' && strchr("-._~", text.data[at]) != NULL)))
			at++;
	}
	if (at == 0)
		return false;
	if (at == text.len)
		return true;
	if (text.data[at++] != ':')
		return false;
	for (; at < text.len; at++) {
		if (text.data[at] < '0' || text.data[at] > '9')
			return false;
	}
	return true;
}

static bool
check_bytes(struct slice target, struct http_refusal *refusal)
{
	for (size_t i = 0; i < target.len; i++) {
		char c = target.data[i];

		if (c <= 0x20 || c >= 0x7F || c == '#' || c == '\\')
			return BAD_TARGET("the target holds a byte that must be percent-encoded");
		if (c != '%')
			continue;
		if (target.len - i < 3 || hex_digit(target.data[i + 1]) < 0 ||
		    hex_digit(target.data[i + 2]) < 0)
			return BAD_TARGET("a percent sign in the target is not followed by two "
					  "hex digits; write %%25 for the sign itself");
		if (target.data[i + 1] == '0' && target.data[i + 2] == '0')
			return BAD_TARGET("the target holds %%00");
	}
	return true;
}

/* Cuts "http://host" off an absolute form. */
static bool
strip_absolute(struct slice *target, const char *host, struct http_refusal *refusal)
{
	static const char *const schemes[] = {"http://", "https://", NULL};
	size_t skip = 0, len;
	const char *slash;

	for (int i = 0; schemes[i] != NULL; i++) {
		len = strlen(schemes[i]);
		if (target->len > len && strncasecmp(target->data, schemes[i], len) == 0)
			skip = len;
	}
	if (skip == 0)
		return BAD_TARGET("the target must start with a slash");
	slash = memchr(target->data + skip, '/', target->len - skip);
	if (slash == NULL)
		return BAD_TARGET("the target has no path");
	len = (size_t)(slash - target->data) - skip;
	if (host == NULL || strlen(host) != len || strncasecmp(target->data + skip, host, len) != 0)
		return BAD_TARGET("the target's host is not that of the header Host");
	target->data += skip + len;
	target->len -= skip + len;
	return true;
}

bool
target_split(struct slice target, const char *host, struct slice *path, struct slice *query,
	     struct http_refusal *refusal)
{
	const char *mark;

	if (target.len == 0)
		return BAD_TARGET("the target is empty");
	if (!check_bytes(target, refusal))
		return false;
	if (target.data[0] != '/' && !strip_absolute(&target, host, refusal))
		return false;
	mark = memchr(target.data, '?', target.len);
	*path = target;
	*query = (struct slice){target.data + target.len, 0};
	if (mark != NULL) {
		path->len = (size_t)(mark - target.data);
		*query = (struct slice){mark + 1, target.len - path->len - 1};
	}
	return true;
}

static bool
is_dots(const char *text)
{
	return strcmp(text, ".") == 0 || strcmp(text, "..") == 0;
}

bool
target_check_path(struct slice path, struct http_refusal *refusal)
{
	struct target_pieces pieces;
	bool dots = false, empty = false, bad;

	target_segments(path, &pieces);
	bad = pieces.count < 0;
	for (int i = 0; i < pieces.count; i++) {
		dots = dots || is_dots(pieces.texts[i]);
		empty = empty || (pieces.texts[i][0] == '\0' && i < pieces.count - 1);
	}
	target_pieces_fini(&pieces);
	if (bad)
		return BAD_TARGET("the path is not UTF-8");
	if (dots || empty)
		return http_refusal_set(refusal, 404, "not_found",
					"no route has empty or dot segments in its path");
	return true;
}

long
target_decode(struct slice text, bool plus, char *out)
{
	size_t len = 0;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];

		if (c == '+' && plus) {
			c = ' ';
		} else if (c == '%') {
			int high = text.len - i >= 3 ? hex_digit(text.data[i + 1]) : -1;
			int low = text.len - i >= 3 ? hex_digit(text.data[i + 2]) : -1;

			if (high < 0 || low < 0)
				return -1;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (c == '\0')
			return -1;
		out[len++] = c;
	}
	out[len] = '\0';
	return (long)len;
}

static bool
is_utf8(const char *text, size_t len)
{
	while (len > 0) {
		size_t step = utf8_len(text, len);

		if (step == 0)
			return false;
		text += step;
		len -= step;
	}
	return true;
}

/* Decodes one piece at *out and moves *out behind it. */
static bool
add_piece(struct target_pieces *pieces, struct slice text, bool plus, char **out)
{
	long len = target_decode(text, plus, *out);

	if (len < 0 || !is_utf8(*out, (size_t)len)) {
		target_pieces_fini(pieces);
		pieces->count = -1;
		return false;
	}
	pieces->texts[pieces->count++] = *out;
	*out += len + 1;
	return true;
}

/* Cuts text at the first `at`; *rest is what follows, with data NULL when there is no more. */
static struct slice
cut(struct slice text, char at, struct slice *rest)
{
	const char *mark = text.len > 0 ? memchr(text.data, at, text.len) : NULL;

	*rest = (struct slice){NULL, 0};
	if (mark == NULL)
		return text;
	*rest = (struct slice){mark + 1, text.len - (size_t)(mark - text.data) - 1};
	return (struct slice){text.data, (size_t)(mark - text.data)};
}

static size_t
count_char(struct slice text, char c)
{
	size_t count = 0;

	for (size_t i = 0; i < text.len; i++)
		count += text.data[i] == c;
	return count;
}

void
target_segments(struct slice path, struct target_pieces *out)
{
	size_t count = count_char(path, '/');
	struct slice rest;
	char *at;

	*out = (struct target_pieces){0};
	if (count == 0)
		return;
	out->texts = sl_calloc(count, sizeof(*out->texts));
	out->bytes = at = sl_alloc(path.len + 1);
	cut(path, '/', &rest); /* nothing stands before the first one */
	while (rest.data != NULL) {
		struct slice segment = cut(rest, '/', &rest);

		if (!add_piece(out, segment, false, &at))
			return;
	}
}

void
target_pairs(struct slice query, struct target_pieces *out)
{
	struct slice rest = query;
	char *at;

	*out = (struct target_pieces){0};
	if (query.len == 0)
		return;
	out->texts = sl_calloc(2 * (count_char(query, '&') + 1), sizeof(*out->texts));
	/* Each pair ends in two NULs where it had one '&' and maybe one '='. */
	out->bytes = at = sl_alloc(2 * query.len + 2);
	while (rest.data != NULL) {
		struct slice pair = cut(rest, '&', &rest), value;
		struct slice name = cut(pair, '=', &value);

		if (pair.len == 0)
			continue;
		if (value.data == NULL)
			value = (struct slice){"", 0};
		if (!add_piece(out, name, true, &at) || !add_piece(out, value, true, &at))
			return;
	}
}

void
target_pieces_fini(struct target_pieces *pieces)
{
	free(pieces->texts);
	free(pieces->bytes);
	*pieces = (struct target_pieces){0};
}
