#include "provider/member.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "provider/template.h"
#include "provider/url.h"

#define URL_MAX 4096

enum sl_code
member_wrong(const struct reading *r, const char *member, const char *why)
{
	return sl_fail(r->error, SL_INVALID, "%s.json: %s %s", r->file, member, why);
}

bool
member_is_kind(const json_t *value, enum member_kind kind)
{
	switch (kind) {
	case MEMBER_TEXT:
		return json_is_string(value) && json_string_length(value) > 0;
	case MEMBER_BOOL:
		return json_is_boolean(value);
	case MEMBER_INT:
		return json_is_integer(value);
	case MEMBER_OBJECT:
		return json_is_object(value);
	case MEMBER_ARRAY:
		return json_is_array(value);
	}
	return false;
}

static const char *
kind_name(enum member_kind kind)
{
	switch (kind) {
	case MEMBER_TEXT:
		return "must be a text";
	case MEMBER_BOOL:
		return "must be true or false";
	case MEMBER_INT:
		return "must be a whole number";
	case MEMBER_OBJECT:
		return "must be an object";
	case MEMBER_ARRAY:
		return "must be an array";
	}
	return "";
}

enum sl_code
member_check_all(const struct reading *r, json_t *object, const char *path,
		 const struct member *table)
{
	const struct member *row;
	char member[160];
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		snprintf(member, sizeof(member), "%s%.80s", path, key);
		for (row = table; row->name != NULL && strcmp(row->name, key) != 0; row++)
			;
		if (row->name == NULL)
			return member_wrong(r, member, "is not a member that we know");
		if (!member_is_kind(value, row->kind))
			return member_wrong(r, member, kind_name(row->kind));
	}
	for (row = table; row->name != NULL; row++) {
		snprintf(member, sizeof(member), "%s%s", path, row->name);
		if (row->required && json_object_get(object, row->name) == NULL)
			return member_wrong(r, member, "is missing");
	}
	return SL_OK;
}

const char *
member_text(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

bool
member_is_token(const char *name)
{
	return name[0] != '\0' &&
	       name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_")] == '\0';
}

static bool
is_printable(const char *text)
{
	for (; *text != '\0'; text++)
		if (*text < 0x20 || *text > 0x7e)
			return false;
	return true;
}

/* A URL of ours with placeholders in it is judged with harmless values in their places. */
static enum sl_code
check_one_url(const struct reading *r, const char *member, const char *text)
{
	struct slice literal, name;
	struct buf url;
	struct url parts;
	struct sl_error why;
	bool done = false, bad = false;

	if (!is_printable(text))
		return member_wrong(r, member, "holds a byte that no URL has");
	if (template_check(text, &why) != SL_OK)
		return member_wrong(r, member, why.text);
	if (template_has_credential(text))
		return member_wrong(r, member, "must not hold a credential");
	buf_init(&url, URL_MAX);
	while (!bad && !done) {
		bad = template_next(&text, &literal, &name, &done, NULL) != SL_OK;
		if (bad || done)
			break;
		buf_add_slice(&url, literal);
		if (name.data != NULL)
			buf_add_text(&url, url.len == 0 ? "https://x" : "x");
	}
	bad = bad || url.over || url_split(buf_slice(&url), &parts, NULL) != SL_OK ||
	      parts.query.len > 0 || memchr(url.data, '#', url.len) != NULL;
	buf_fini(&url);
	return bad ? member_wrong(r, member, "is not an http or https URL without query") : SL_OK;
}

enum sl_code
member_check_url(const struct reading *r, const char *member, const char *text)
{
	enum sl_code code = SL_OK;

	for (const char *next; code == SL_OK && text != NULL; text = next) {
		char *one;

		next = strstr(text, " || ");
		one = next != NULL ? sl_strndup(text, (size_t)(next - text)) : sl_strdup(text);
		code = check_one_url(r, member, one);
		free(one);
		next = next != NULL ? next + 4 : NULL;
	}
	return code;
}

static int
compare_pairs(const void *a, const void *b)
{
	return strcmp(((const struct provider_pair *)a)->name,
		      ((const struct provider_pair *)b)->name);
}

enum sl_code
member_read_pairs(const struct reading *r, json_t *object, const char *path,
		  struct provider_pair **out, int *count)
{
	json_t *value;
	struct sl_error why;
	char member[160];
	const char *key;

	*out = sl_calloc(json_object_size(object) + 1, sizeof(**out));
	*count = 0;
	json_object_foreach(object, key, value)
	{
		const char *text = json_string_value(value);

		snprintf(member, sizeof(member), "%s.%.80s", path, key);
		if (strcmp(path, "proxy.headers") == 0 && !member_is_token(key))
			return member_wrong(r, member, "is not a header's name in lower case");
		if (text == NULL || !is_printable(text) || !is_printable(key) || key[0] == '\0')
			return member_wrong(r, member, "must be a printable text");
		if (template_check(text, &why) != SL_OK)
			return member_wrong(r, member, why.text);
		(*out)[(*count)++] = (struct provider_pair){key, text};
	}
	if (*count > 1)
		qsort(*out, (size_t)*count, sizeof(**out), compare_pairs);
	return SL_OK;
}

bool
member_is_one_of(const char *text, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strcmp(text, *words) == 0)
			return true;
	return false;
}
