#include "provider/template.h"

#include <string.h>

enum sl_code
template_next(const char **text, struct slice *literal, struct slice *name, bool *done,
	      struct sl_error *error)
{
	const char *open = strstr(*text, "${"), *close;

	*done = **text == '\0';
	*name = (struct slice){NULL, 0};
	if (open == NULL) {
		*literal = slice_text(*text);
		*text += literal->len;
		return SL_OK;
	}
	close = strchr(open, '}');
	if (close == NULL)
		return sl_fail(error, SL_INVALID, "a placeholder has no closing brace");
	*literal = (struct slice){*text, (size_t)(open - *text)};
	*name = (struct slice){open + 2, (size_t)(close - open - 2)};
	if (name->len == 0 || name->len > TEMPLATE_NAME_MAX)
		return sl_fail(error, SL_INVALID, "a placeholder's name is empty or too long");
	*text = close + 1;
	return SL_OK;
}

static bool
is_credential(struct slice name)
{
	static const char prefix[] = "credentials.";

	return slice_is(name, "accessToken") || slice_is(name, "apiKey") ||
	       slice_is(name, "username") || slice_is(name, "password") ||
	       slice_is(name, "basic") ||
	       (name.len >= sizeof(prefix) && memcmp(name.data, prefix, sizeof(prefix) - 1) == 0);
}

static bool
is_of_catalog(struct slice name)
{
	static const char *const prefixes[] = {"connectionConfig.", "metadata."};

	if (is_credential(name) || slice_is(name, "baseUrl") || slice_is(name, "tokenUrl") ||
	    slice_is(name, "authorizationUrl"))
		return true;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t len = strlen(prefixes[i]);

		if (name.len > len && memcmp(name.data, prefixes[i], len) == 0)
			return true;
	}
	return false;
}

enum sl_code
template_check(const char *text, struct sl_error *error)
{
	struct slice literal, name;
	bool done;

	for (;;) {
		enum sl_code code = template_next(&text, &literal, &name, &done, error);

		if (code != SL_OK || done)
			return code;
		if (name.data != NULL && !is_of_catalog(name))
			return sl_fail(error, SL_INVALID, "unknown placeholder ${%.*s}",
				       (int)name.len, name.data);
	}
}

bool
template_has_credential(const char *text)
{
	struct slice literal, name;
	bool done;

	while (template_next(&text, &literal, &name, &done, NULL) == SL_OK && !done)
		if (name.data != NULL && is_credential(name))
			return true;
	return false;
}
