#include "provider/expand.h"

#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "provider/template.h"

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

	if (strcmp(name, "accessToken") == 0)
		return json_get(sources->credentials, "access_token");
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
