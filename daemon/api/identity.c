#include "daemon/api/identity.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "provider/url.h"

#define TAGS_MAX 10
#define TEXT_MAX 255 /* characters as JavaScript counts them */
#define URL_MAX_BYTES 2048
#define TAGS_CAP (1 << 20)

static const char *const made_names[] = {"end_user_id", "end_user_email", "end_user_display_name"};

/* What is wrong with a body; told after everything that was read is freed. */
struct refusal {
	const char *issue; /* NULL: nothing */
	char path[120];
	char text[200];
};

static bool
refuse(struct refusal *refusal, const char *issue, const char *path, const char *why)
{
	refusal->issue = issue;
	snprintf(refusal->path, sizeof(refusal->path), "%s", path);
	snprintf(refusal->text, sizeof(refusal->text), "%.110s %s", path, why);
	return false;
}

/* UTF-16 units of UTF-8 text: what the original counts. */
static size_t
text_units(const char *text)
{
	size_t units = 0;

	for (; *text != '\0'; text++)
		if (((unsigned char)*text & 0xC0) != 0x80)
			units += (unsigned char)*text >= 0xF0 ? 2 : 1;
	return units;
}

/* A text member; malloc'd.  Absent (or null) is NULL and fine unless required. */
static bool
read_text(struct json_value object, const char *name, const char *path, bool required, char **out,
	  struct refusal *refusal)
{
	struct json_value value = json_get(object, name);

	*out = NULL;
	if (value.type == JSON_NONE || (value.type == JSON_NULL_ && !required))
		return !required || refuse(refusal, "invalid_type", path, "is required");
	*out = json_text(value, NULL);
	if (*out == NULL)
		return refuse(refusal, "invalid_type", path, "must be a text without \\u0000");
	if (required && (*out)[0] == '\0')
		return refuse(refusal, "too_small", path, "must not be empty");
	if (text_units(*out) > TEXT_MAX)
		return refuse(refusal, "too_big", path, "is longer than 255 characters");
	return true;
}

/* ---- tags -------------------------------------------------------------------------------------
 */

struct tag {
	char *name, *value; /* owned */
};

struct tags {
	struct tag at[64]; /* TAGS_MAX given ones, those made, and what older rows may hold */
	int count;
};

static void
tags_fini(struct tags *tags)
{
	for (int i = 0; i < tags->count; i++) {
		free(tags->at[i].name);
		free(tags->at[i].value);
	}
	tags->count = 0;
}

static void
tags_drop(struct tags *tags, const char *name)
{
	for (int i = 0; i < tags->count; i++) {
		if (strcmp(tags->at[i].name, name) != 0)
			continue;
		free(tags->at[i].name);
		free(tags->at[i].value);
		tags->count--;
		memmove(&tags->at[i], &tags->at[i + 1],
			(size_t)(tags->count - i) * sizeof(tags->at[0]));
		return;
	}
}

/* The last value of a name counts.  False: there is no room. */
static bool
tags_set(struct tags *tags, const char *name, const char *value)
{
	tags_drop(tags, name);
	if (tags->count == (int)(sizeof(tags->at) / sizeof(tags->at[0])))
		return false;
	tags->at[tags->count++] = (struct tag){sl_strdup(name), sl_strdup(value)};
	return true;
}

static char *
tags_json(const struct tags *tags)
{
	struct json_writer w;
	struct buf out;

	buf_init(&out, TAGS_CAP);
	jw_init(&w, &out);
	jw_object(&w);
	for (int i = 0; i < tags->count; i++)
		jw_member_text(&w, tags->at[i].name, tags->at[i].value);
	jw_object_end(&w);
	return buf_take(&out, NULL);
}

/* One pair of a body; lower: names are kept in lower case. */
static bool
read_tag(const struct json_iter *it, const char *path, bool lower, struct tags *tags,
	 struct refusal *refusal)
{
	char name[TEXT_MAX + 1], member[100];
	char *value;
	bool set;

	snprintf(member, sizeof(member), "%s.%.60s", path, it->key);
	if (it->key_len == 0 || it->key_len > TEXT_MAX || strlen(it->key) != it->key_len)
		return refuse(refusal, "invalid_format", path,
			      "must have names of 1 to 255 bytes without \\u0000");
	for (size_t i = 0; i <= it->key_len; i++) {
		unsigned char c = (unsigned char)it->key[i];

		name[i] = (char)(lower && c < 128 ? tolower(c) : c);
	}
	value = json_text(it->value, NULL);
	if (value == NULL)
		return refuse(refusal, "invalid_type", member, "must be a text without \\u0000");
	if (text_units(value) > TEXT_MAX) {
		free(value);
		return refuse(refusal, "too_big", member, "is longer than 255 characters");
	}
	set = tags_set(tags, name, value);
	free(value);
	return set || refuse(refusal, "too_big", path, "has too many members");
}

static bool
read_tags(struct json_value value, const char *path, bool lower, struct tags *tags,
	  struct refusal *refusal)
{
	struct json_iter it;
	bool fine = true;

	if (value.type == JSON_NONE || value.type == JSON_NULL_)
		return true;
	if (value.type != JSON_OBJECT_)
		return refuse(refusal, "invalid_type", path, "must be an object of texts");
	json_iter_init(&it, value);
	while (fine && json_iter_next(&it)) {
		fine = read_tag(&it, path, lower, tags, refusal);
		if (fine && tags->count > TAGS_MAX)
			fine = refuse(refusal, "too_big", path, "may have at most 10 members");
	}
	json_iter_fini(&it);
	return fine;
}

/* ---- end user ---------------------------------------------------------------------------------
 */

struct end_user {
	char *id, *email, *display_name; /* owned */
	struct tags tags;
};

static void
end_user_fini(struct end_user *user)
{
	free(user->id);
	free(user->email);
	free(user->display_name);
	tags_fini(&user->tags);
}

static bool
email_is(const char *text)
{
	const char *at = strchr(text, '@');

	if (at == NULL || at == text || at[1] == '\0' || strchr(at + 1, '@') != NULL)
		return false;
	for (; *text != '\0'; text++)
		if ((unsigned char)*text <= ' ' || *text == 0x7f)
			return false;
	return true;
}

static bool
read_end_user(struct json_value value, struct end_user *user, struct refusal *refusal)
{
	static const char *const names[] = {"id", "email", "display_name", "tags"};
	struct json_iter it;
	bool known = true;

	if (value.type != JSON_OBJECT_)
		return refuse(refusal, "invalid_type", "end_user", "must be an object");
	json_iter_init(&it, value);
	while (known && json_iter_next(&it)) {
		known = false;
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			known = known ||
				(strlen(names[i]) == it.key_len && strcmp(names[i], it.key) == 0);
	}
	json_iter_fini(&it);
	if (!known)
		return refuse(refusal, "unrecognized_keys", "end_user",
			      "may have id, email, display_name and tags only");
	if (!read_text(value, "id", "end_user.id", true, &user->id, refusal) ||
	    !read_text(value, "email", "end_user.email", false, &user->email, refusal) ||
	    !read_text(value, "display_name", "end_user.display_name", false, &user->display_name,
		       refusal) ||
	    !read_tags(json_get(value, "tags"), "end_user.tags", false, &user->tags, refusal))
		return false;
	if (user->email != NULL && !email_is(user->email))
		return refuse(refusal, "invalid_format", "end_user.email",
			      "must be an e-mail address");
	return true;
}

static char *
end_user_json(const struct end_user *user)
{
	char *tags = tags_json(&user->tags);
	struct json_writer w;
	struct buf out;

	buf_init(&out, TAGS_CAP);
	jw_init(&w, &out);
	jw_object(&w);
	jw_member_text(&w, "id", user->id);
	jw_member_text(&w, "display_name", user->display_name);
	jw_member_text(&w, "email", user->email);
	jw_member_raw(&w, "tags", slice_text(tags));
	jw_key(&w, "organization");
	jw_null(&w);
	jw_object_end(&w);
	free(tags);
	return buf_take(&out, NULL);
}

/* Tags that the end user makes, unless the body gives one of that name itself. */
static void
make_tags(const struct end_user *user, struct tags *tags)
{
	const char *const values[] = {user->id, user->email, user->display_name};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		bool given = values[i] == NULL;

		for (int j = 0; j < tags->count; j++)
			given = given || strcmp(tags->at[j].name, made_names[i]) == 0;
		if (!given)
			(void)tags_set(tags, made_names[i], values[i]); /* TAGS_MAX left room */
	}
}

/* ---- the body ----------------------------------------------------------------------------------
 */

bool
identity_url_is(const char *text)
{
	struct url url;

	if (strlen(text) > URL_MAX_BYTES)
		return false;
	for (const char *at = text; *at != '\0'; at++)
		if ((unsigned char)*at <= ' ' || *at == 0x7f)
			return false;
	return url_split(slice_text(text), &url, NULL) == SL_OK;
}

static bool
read_url(struct json_value body, char **out, struct refusal *refusal)
{
	struct json_value value = json_get(body, "webhook_url_override");

	*out = NULL;
	if (value.type == JSON_NONE)
		return true;
	*out = value.type == JSON_NULL_ ? sl_strdup("") : json_text(value, NULL);
	if (*out == NULL)
		return refuse(refusal, "invalid_type", "webhook_url_override", "must be a text");
	if ((*out)[0] != '\0' && !identity_url_is(*out))
		return refuse(refusal, "invalid_format", "webhook_url_override",
			      "must be an http or https URL");
	return true;
}

bool
identity_read(struct api_call *call, struct identity *out)
{
	struct json_value user_value = json_get(call->body, "end_user");
	struct json_value tags_value = json_get(call->body, "tags");
	bool has_user = user_value.type != JSON_NONE && user_value.type != JSON_NULL_;
	struct end_user user = {0};
	struct refusal refusal = {0};
	struct tags tags = {0};
	char *url = NULL;
	bool fine;

	*out = (struct identity){0};
	out->has_tags = tags_value.type != JSON_NONE && tags_value.type != JSON_NULL_;
	fine = read_tags(tags_value, "tags", true, &tags, &refusal) &&
	       (!has_user || read_end_user(user_value, &user, &refusal)) &&
	       read_url(call->body, &url, &refusal);
	if (fine && has_user) {
		make_tags(&user, &tags);
		out->end_user = api_keep(call, end_user_json(&user));
	}
	if (fine && (has_user || out->has_tags))
		out->tags = api_keep(call, tags_json(&tags));
	if (fine && url != NULL)
		out->webhook_url_override = api_keep(call, url);
	else
		free(url);
	end_user_fini(&user);
	tags_fini(&tags);
	if (!fine)
		api_fail_issue(call, "invalid_body", refusal.issue, refusal.path, "%s",
			       refusal.text);
	return fine;
}

/* Adds the pairs of a stored row: ours, so nothing is refused; what does not fit is left out. */
static void
add_stored(const char *json, struct tags *tags)
{
	struct json_value value;
	struct json_iter it;

	if (json_check(slice_text(json), &value, NULL) != SL_OK || value.type != JSON_OBJECT_)
		return;
	json_iter_init(&it, value);
	while (json_iter_next(&it)) {
		char *text = json_text(it.value, NULL);

		if (text != NULL)
			(void)tags_set(tags, it.key, text);
		free(text);
	}
	json_iter_fini(&it);
}

char *
identity_patched_tags(const struct identity *identity, const char *stored)
{
	struct tags tags = {0};
	char *json;

	if (identity->tags == NULL)
		return NULL;
	if (!identity->has_tags) {
		add_stored(stored, &tags);
		for (size_t i = 0; i < sizeof(made_names) / sizeof(made_names[0]); i++)
			tags_drop(&tags, made_names[i]);
	}
	add_stored(identity->tags, &tags);
	json = tags_json(&tags);
	tags_fini(&tags);
	return json;
}
