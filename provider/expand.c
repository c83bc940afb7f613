#include "provider/expand.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/secret.h"
#include "provider/template.h"
#include "provider/url.h"

#define URL_VALUE_MAX 65536

/* The rest of name behind prefix, or NULL. */
static const char *
behind(const char *name, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(name, prefix, len) == 0 && name[len] != '\0' ? name + len : NULL;
}

static struct json_value
member(struct json_value object, const char *path)
{
	struct json_value value = json_get(object, path);

	return value.type != JSON_NONE ? value : json_path(object, path);
}

static struct json_value
find(const char *name, const struct expand_sources *sources)
{
	const char *rest;

	if (strcmp(name, "accessToken") == 0) { /* it is `token` in OAUTH2_CC */
		struct json_value token = json_get(sources->credentials, "access_token");

		return token.type != JSON_NONE ? token : json_get(sources->credentials, "token");
	}
	if (strcmp(name, "apiKey") == 0 || strcmp(name, "username") == 0 ||
	    strcmp(name, "password") == 0)
		return json_get(sources->credentials, name);
	if ((rest = behind(name, "credentials.")) != NULL)
		return member(sources->credentials, rest);
	if ((rest = behind(name, "connectionConfig.")) != NULL)
		return member(sources->connection_config, rest);
	if ((rest = behind(name, "metadata.")) != NULL)
		return member(sources->metadata, rest);
	return member(sources->integration_config, name);
}

static enum sl_code
add_value(const char *name, struct json_value value, struct buf *out, struct sl_error *error)
{
	char *text;
	bool added;

	if (value.type == JSON_NUMBER || value.type == JSON_BOOL) {
		added = buf_add_slice(out, value.raw);
	} else {
		text = json_text(value, NULL);
		if (text == NULL)
			return sl_fail(error, SL_INVALID, "%s is not set, or is not a text", name);
		added = buf_add_text(out, text);
		secret_wipe(text, strlen(text));
		free(text);
	}
	if (!added)
		return sl_fail(error, SL_EXHAUSTED, "%s is too long", name);
	return SL_OK;
}

/* RFC 7617 section 2 */
static enum sl_code
add_basic(const struct expand_sources *sources, struct buf *out, struct sl_error *error)
{
	struct buf pair;
	enum sl_code code;

	buf_init(&pair, out->cap);
	code = add_value("username", json_get(sources->credentials, "username"), &pair, error);
	if (code == SL_OK) {
		buf_add_char(&pair, ':');
		code =
		    add_value("password", json_get(sources->credentials, "password"), &pair, error);
	}
	if (code == SL_OK)
		base64_add(out, pair.data, pair.len);
	if (pair.data != NULL)
		secret_wipe(pair.data, pair.len);
	buf_fini(&pair);
	return code;
}

enum sl_code
expand_value(struct slice name, const struct expand_sources *sources, struct buf *out,
	     struct sl_error *error)
{
	char text[TEMPLATE_NAME_MAX + 1];

	if (name.len > TEMPLATE_NAME_MAX)
		return sl_fail(error, SL_INVALID, "a placeholder's name is too long");
	memcpy(text, name.data, name.len);
	text[name.len] = '\0';
	if (strcmp(text, "basic") == 0)
		return add_basic(sources, out, error);
	return add_value(text, find(text, sources), out, error);
}

enum sl_code
expand_template(const char *text, const struct expand_sources *sources, struct buf *out,
		struct sl_error *error)
{
	struct slice literal, name;
	bool done;

	for (;;) {
		enum sl_code code = template_next(&text, &literal, &name, &done, error);

		if (code != SL_OK || done)
			return code;
		buf_add_slice(out, literal);
		if (name.data != NULL)
			code = expand_value(name, sources, out, error);
		if (code != SL_OK)
			return code;
		if (out->over)
			return sl_fail(error, SL_EXHAUSTED, "the text grew too long");
	}
}

/* One alternative, into out only when all of it is set. */
static enum sl_code
expand_whole(const char *text, const struct expand_sources *sources, struct buf *out,
	     struct sl_error *error)
{
	struct buf whole;
	enum sl_code code;

	buf_init(&whole, out->cap);
	code = expand_template(text, sources, &whole, error);
	if (code == SL_OK && !buf_add_slice(out, buf_slice(&whole)))
		code = sl_fail(error, SL_EXHAUSTED, "the text grew too long");
	if (whole.data != NULL)
		secret_wipe(whole.data, whole.len);
	buf_fini(&whole);
	return code;
}

enum sl_code
expand_first(const char *text, const struct expand_sources *sources, struct buf *out,
	     struct sl_error *error)
{
	enum sl_code code = SL_INVALID;

	for (const char *next; code == SL_INVALID && text != NULL; text = next) {
		char *one;

		next = strstr(text, " || ");
		one = next != NULL ? sl_strndup(text, (size_t)(next - text)) : sl_strdup(text);
		code = expand_whole(one, sources, out, error);
		free(one);
		next = next != NULL ? next + 4 : NULL;
	}
	return code;
}

/* Whether the end of a URL so far is its host: a value put there decides where the credentials
 * go. */
static bool
ends_in_host(const struct buf *url)
{
	const char *host = url->data != NULL ? strstr(url->data, "://") : NULL;

	return host != NULL && strpbrk(host + 3, "/?#") == NULL;
}

static bool
is_host_value(const char *value)
{
	return value[0] != '\0' &&
	       value[strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789.-_:")] == '\0';
}

static bool
is_url_value(const char *value)
{
	for (const char *c = value; *c != '\0'; c++)
		if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f ||
		    strchr("@?#\\", *c) != NULL)
			return false;
	return url_is_absolute(slice_text(value));
}

/* Appends a value to the URL so far; false: it cannot stand there. */
static bool
url_add_value(struct buf *url, struct slice value)
{
	const char *text = value.data != NULL ? value.data : "";

	if (url->len == 0)
		return is_url_value(text) && (buf_add_text(url, text) || url->over);
	if (ends_in_host(url))
		return is_host_value(text) && (buf_add_text(url, text) || url->over);
	if (strcmp(text, ".") == 0 || strcmp(text, "..") == 0)
		return false;
	url_encode(url, value);
	return true;
}

static enum sl_code
url_value(struct slice name, const struct expand_sources *sources, struct buf *value,
	  struct sl_error *error)
{
	struct sl_error why;
	enum sl_code code = expand_value(name, sources, value, &why);

	if (code == SL_INVALID && slice_is(name, "baseUrl")) {
		buf_clear(value);
		code =
		    expand_value(SLICE_LITERAL("connectionConfig.baseUrl"), sources, value, &why);
	}
	return code == SL_OK ? SL_OK : sl_fail(error, SL_NOT_FOUND, "%s", why.text);
}

static enum sl_code
expand_one_url(const char *text, const char *what, const struct expand_sources *sources,
	       struct buf *out, struct sl_error *error)
{
	struct slice literal, name;
	struct buf value, url;
	enum sl_code code;
	bool done;

	buf_init(&value, URL_VALUE_MAX);
	buf_init(&url, URL_VALUE_MAX);
	for (;;) {
		code = template_next(&text, &literal, &name, &done, error);
		if (code != SL_OK || done)
			break;
		buf_add_slice(&url, literal);
		if (name.data == NULL)
			continue;
		buf_clear(&value);
		code = url_value(name, sources, &value, error);
		if (code == SL_OK && !url_add_value(&url, buf_slice(&value)))
			code = sl_fail(error, SL_INVALID, "%.*s cannot be part of %s",
				       (int)name.len, name.data, what);
		if (code != SL_OK)
			break;
	}
	if (code == SL_OK && (url.over || !buf_add_slice(out, buf_slice(&url))))
		code = sl_fail(error, SL_INVALID, "%s is too long", what);
	if (value.data != NULL)
		secret_wipe(value.data, value.len);
	buf_fini(&value);
	buf_fini(&url);
	return code;
}

enum sl_code
expand_url(const char *text, const char *what, const struct expand_sources *sources,
	   struct buf *out, struct sl_error *error)
{
	enum sl_code code = SL_NOT_FOUND;
	struct sl_error first, why;

	for (int i = 0; code == SL_NOT_FOUND && text != NULL; i++) {
		const char *next = strstr(text, " || ");
		char *one =
		    next != NULL ? sl_strndup(text, (size_t)(next - text)) : sl_strdup(text);

		code = expand_one_url(one, what, sources, out, i == 0 ? &first : &why);
		if (code != SL_OK && (i == 0 || code != SL_NOT_FOUND) && error != NULL)
			*error = i == 0 ? first : why;
		free(one);
		text = next != NULL ? next + 4 : NULL;
	}
	return code;
}
