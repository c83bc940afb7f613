#include "provider/credential.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/secret.h"
#include "provider/expand.h"
#include "provider/moment.h"

/* Limits of wire.md section 15; for names and passwords it has none, theirs is that of a token. */
#define API_KEY_MAX 1024
#define TOKEN_MAX 16384
#define PEM_MAX 65536

enum field_kind { FIELD_TEXT, FIELD_LINES, FIELD_MOMENT, FIELD_OAUTH_CLIENT };

struct field {
	enum auth_mode mode;
	const char *name;   /* of POST /connections, and as it is sealed */
	const char *legacy; /* of POST /connection; NULL: not there */
	enum field_kind kind;
	bool required;
	size_t min, max; /* bytes */
};

static const struct field fields[] = {
    {AUTH_API_KEY, "apiKey", "api_key", FIELD_TEXT, true, 1, API_KEY_MAX},
    {AUTH_BASIC, "username", "username", FIELD_TEXT, true, 0, TOKEN_MAX},
    {AUTH_BASIC, "password", "password", FIELD_TEXT, true, 0, TOKEN_MAX},
    {AUTH_OAUTH2, "access_token", "access_token", FIELD_TEXT, true, 1, TOKEN_MAX},
    {AUTH_OAUTH2, "refresh_token", "refresh_token", FIELD_TEXT, false, 1, TOKEN_MAX},
    {AUTH_OAUTH2, "expires_at", "expires_at", FIELD_MOMENT, false, 0, 0},
    {AUTH_OAUTH2, "config_override", NULL, FIELD_OAUTH_CLIENT, false, 0, 0},
    /* The token is had with the first use when it is not given. */
    {AUTH_OAUTH2_CC, "token", "token", FIELD_TEXT, false, 1, TOKEN_MAX},
    {AUTH_OAUTH2_CC, "client_id", "client_id", FIELD_TEXT, true, 1, TOKEN_MAX},
    {AUTH_OAUTH2_CC, "client_secret", "client_secret", FIELD_TEXT, true, 1, TOKEN_MAX},
    {AUTH_OAUTH2_CC, "client_certificate", "client_certificate", FIELD_LINES, false, 1, PEM_MAX},
    {AUTH_OAUTH2_CC, "client_private_key", "client_private_key", FIELD_LINES, false, 1, PEM_MAX},
    {AUTH_OAUTH2_CC, "expires_at", "expires_at", FIELD_MOMENT, false, 0, 0},
};
#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

/* What a check is about, for its messages: "credentials." and where the path goes, or neither. */
struct place {
	const char *prefix;
	char *path; /* room 128, or NULL */
};

static enum sl_code
refuse(const struct place *place, const char *name, const char *why, struct sl_error *error)
{
	if (place->path != NULL)
		snprintf(place->path, 128, "%s%.100s", place->prefix, name);
	return sl_fail(error, SL_INVALID, "%s%.100s %s", place->prefix, name, why);
}

static bool
has_control(const char *text, bool lines)
{
	for (; *text != '\0'; text++)
		if (((unsigned char)*text < 0x20 && (!lines || strchr("\t\r\n", *text) == NULL)) ||
		    *text == 0x7f)
			return true;
	return false;
}

static enum sl_code
add_text(const struct field *field, const char *name, struct json_value value,
	 const struct place *place, struct json_writer *w, struct sl_error *error)
{
	enum sl_code code = SL_OK;
	size_t len;
	char *text;

	if (value.type != JSON_TEXT)
		return refuse(place, name, "must be a text", error);
	text = json_text(value, &len);
	if (text == NULL)
		return refuse(place, name, "must be a text", error);
	if (len < field->min)
		code = refuse(place, name, "is required", error);
	else if (len > field->max)
		code = refuse(place, name, "is too long", error);
	else if (strlen(text) != len ||
		 has_control(text, field->kind == FIELD_LINES)) /* it would not fit into a header */
		code = refuse(place, name, "holds a control character", error);
	else
		jw_member_text(w, field->name, text);
	secret_wipe(text, len);
	free(text);
	return code;
}

/* A date or milliseconds since 1970, kept as a date. */
static enum sl_code
add_moment(const struct field *field, const char *name, struct json_value value,
	   const struct place *place, struct json_writer *w, struct sl_error *error)
{
	static const int64_t year_9999_ms = INT64_C(253402300799999);
	char iso[CLOCK_ISO_SIZE];
	int64_t ms = -1;
	char *text = NULL;

	if (value.type == JSON_TEXT) {
		text = json_text(value, NULL);
		if (text == NULL || !moment_parse(text, clock_wall_ms(), &ms))
			ms = -1;
		free(text);
	} else if (!json_int(value, &ms)) {
		ms = -1;
	}
	if (ms < 0 || ms > year_9999_ms)
		return refuse(place, name, "must be a date", error);
	clock_iso(ms, iso);
	jw_member_text(w, field->name, iso);
	return SL_OK;
}

/* {client_id?, client_secret?}: an OAuth client of the connection's own. */
static enum sl_code
add_oauth_client(const struct field *field, struct json_value value, const struct place *place,
		 struct json_writer *w, struct sl_error *error)
{
	static const struct field parts[] = {
	    {AUTH_OAUTH2, "client_id", NULL, FIELD_TEXT, false, 1, TOKEN_MAX},
	    {AUTH_OAUTH2, "client_secret", NULL, FIELD_TEXT, false, 1, TOKEN_MAX},
	};
	enum sl_code code = SL_OK;
	struct json_iter it;
	unsigned seen = 0;

	if (value.type != JSON_OBJECT_)
		return refuse(place, field->name, "must be an object", error);
	jw_key(w, field->name);
	jw_object(w);
	json_iter_init(&it, value);
	while (code == SL_OK && json_iter_next(&it)) {
		char name[100];
		unsigned i = 0;

		snprintf(name, sizeof(name), "%s.%.60s", field->name, it.key);
		while (i < 2 && strcmp(it.key, parts[i].name) != 0)
			i++;
		if (i == 2)
			code = refuse(place, name, "is not known", error);
		else if ((seen & 1u << i) != 0)
			code = refuse(place, name, "is given twice", error);
		else
			code = add_text(&parts[i], name, it.value, place, w, error);
		seen |= 1u << i;
	}
	json_iter_fini(&it);
	jw_object_end(w);
	return code;
}

static enum sl_code
add_field(const struct field *field, const char *name, struct json_value value,
	  const struct place *place, struct json_writer *w, struct sl_error *error)
{
	if (value.type == JSON_NONE || (value.type == JSON_NULL_ && !field->required)) {
		if (!field->required)
			return SL_OK;
		return refuse(place, name, "is required", error);
	}
	switch (field->kind) {
	case FIELD_TEXT:
	case FIELD_LINES:
		return add_text(field, name, value, place, w, error);
	case FIELD_MOMENT:
		return add_moment(field, name, value, place, w, error);
	case FIELD_OAUTH_CLIENT:
		return add_oauth_client(field, value, place, w, error);
	}
	return SL_INTERNAL;
}

/* Which field of the mode has this name; FIELD_COUNT: none. */
static size_t
field_find(enum auth_mode mode, const char *name)
{
	size_t i = 0;

	while (i < FIELD_COUNT && (fields[i].mode != mode || strcmp(fields[i].name, name) != 0))
		i++;
	return i;
}

static enum sl_code
check_members(const struct provider *provider, struct json_value credentials,
	      const struct place *place, struct sl_error *error)
{
	enum sl_code code = SL_OK;
	struct json_iter it;
	unsigned seen = 0;

	json_iter_init(&it, credentials);
	while (code == SL_OK && json_iter_next(&it)) {
		/* An unescaped name may hold a NUL, and is then not the one it looks like. */
		bool is_type = it.key_len == 4 && strcmp(it.key, "type") == 0;
		size_t i = strlen(it.key) == it.key_len ? field_find(provider->auth_mode, it.key)
							: FIELD_COUNT;
		unsigned bit = is_type ? 1u << FIELD_COUNT : 1u << i;

		if (i == FIELD_COUNT && !is_type)
			code = refuse(place, it.key, "is not known", error);
		else if ((seen & bit) != 0)
			code = refuse(place, it.key, "is given twice", error);
		seen |= bit;
	}
	json_iter_fini(&it);
	return code;
}

static enum sl_code
check_type(const struct provider *provider, struct json_value type, const struct place *place,
	   struct sl_error *error)
{
	char why[80];
	char *text;
	bool same;

	if (type.type == JSON_NONE && provider->auth_mode == AUTH_NONE)
		return SL_OK;
	if (type.type == JSON_NONE)
		return refuse(place, "type", "is required", error);
	text = json_text(type, NULL);
	same = text != NULL && strcmp(text, provider->auth_mode_name) == 0;
	free(text);
	if (same)
		return SL_OK;
	snprintf(why, sizeof(why), "must be %s for this provider", provider->auth_mode_name);
	return refuse(place, "type", why, error);
}

static void
begin(const struct provider *provider, struct json_writer *w, struct buf *out)
{
	jw_init(w, out);
	jw_object(w);
	if (provider->auth_mode != AUTH_NONE)
		jw_member_text(w, "type", provider->auth_mode_name);
}

/* out gets nothing when the check failed: what is there would be half a credential. */
static enum sl_code
end(enum sl_code code, size_t start, struct json_writer *w, struct buf *out, struct sl_error *error)
{
	jw_object_end(w);
	if (code == SL_OK && out->over)
		code = sl_fail(error, SL_EXHAUSTED, "the credentials are too large");
	if (code != SL_OK && out->data != NULL) {
		secret_wipe(out->data + start, out->len - start);
		out->len = start;
		out->data[start] = '\0';
	}
	return code;
}

enum sl_code
credential_check(const struct provider *provider, struct json_value credentials, struct buf *out,
		 char *path, struct sl_error *error)
{
	const struct place place = {"credentials.", path};
	bool none = credentials.type == JSON_NONE || credentials.type == JSON_NULL_;
	size_t start = out->len;
	struct json_writer w;
	enum sl_code code;

	if (!none && credentials.type != JSON_OBJECT_) {
		const struct place whole = {"", path};

		return refuse(&whole, "credentials", "must be an object", error);
	}
	if (none && provider->auth_mode != AUTH_NONE) {
		const struct place whole = {"", path};

		return refuse(&whole, "credentials", "is required", error);
	}
	if (!none) {
		code = check_type(provider, json_get(credentials, "type"), &place, error);
		if (code == SL_OK)
			code = check_members(provider, credentials, &place, error);
		if (code != SL_OK)
			return code;
	}
	begin(provider, &w, out);
	code = SL_OK;
	for (size_t i = 0; code == SL_OK && i < FIELD_COUNT; i++)
		if (fields[i].mode == provider->auth_mode)
			code = add_field(&fields[i], fields[i].name,
					 json_get(credentials, fields[i].name), &place, &w, error);
	return end(code, start, &w, out, error);
}

enum sl_code
credential_from_legacy(const struct provider *provider, struct json_value body, struct buf *out,
		       struct sl_error *error)
{
	const struct place place = {"", NULL};
	size_t start = out->len;
	enum sl_code code = SL_OK;
	struct json_writer w;

	if (body.type != JSON_OBJECT_)
		return sl_fail(error, SL_INVALID, "the body must be an object");
	if (provider->auth_mode == AUTH_OAUTH2 && !json_is_yes(json_get(body, "no_expiration")) &&
	    json_get(body, "access_token").type != JSON_NONE) {
		enum json_type given = json_get(body, "expires_at").type;

		if (given == JSON_NONE || given == JSON_NULL_)
			return refuse(&place, "expires_at", "is required (or no_expiration: true)",
				      error);
	}
	begin(provider, &w, out);
	for (size_t i = 0; code == SL_OK && i < FIELD_COUNT; i++)
		if (fields[i].mode == provider->auth_mode && fields[i].legacy != NULL)
			code = add_field(&fields[i], fields[i].legacy,
					 json_get(body, fields[i].legacy), &place, &w, error);
	return end(code, start, &w, out, error);
}

/* What the token endpoint said, without the refresh token unless it may be seen. */
static void
show_raw(struct json_value raw, bool with_refresh_token, struct json_writer *w)
{
	struct json_iter it;

	jw_key(w, "raw");
	jw_object(w);
	json_iter_init(&it, raw);
	while (raw.type == JSON_OBJECT_ && json_iter_next(&it)) {
		if (strcmp(it.key, "refresh_token") == 0 && !with_refresh_token)
			continue;
		jw_key_n(w, it.key, it.key_len);
		jw_raw(w, it.value.raw);
	}
	json_iter_fini(&it);
	jw_object_end(w);
}

static void
show_oauth(struct json_value sealed, const char *const *names, bool with_refresh_token,
	   struct json_writer *w)
{
	jw_object(w);
	for (; *names != NULL; names++) {
		struct json_value value = json_get(sealed, *names);

		if (value.type == JSON_NONE)
			continue;
		if (strcmp(*names, "refresh_token") == 0 && !with_refresh_token)
			continue;
		jw_member_raw(w, *names, value.raw);
	}
	show_raw(json_get(sealed, "raw"), with_refresh_token, w);
	jw_object_end(w);
}

void
credential_show(struct slice opened, bool with_refresh_token, struct buf *out)
{
	static const char *const oauth2[] = {"type",       "access_token",    "refresh_token",
					     "expires_at", "config_override", NULL};
	static const char *const client[] = {"type",
					     "token",
					     "client_id",
					     "client_secret",
					     "client_certificate",
					     "client_private_key",
					     "expires_at",
					     NULL};
	struct json_value sealed;
	struct json_writer w;
	char *type;

	jw_init(&w, out);
	if (json_check(opened, &sealed, NULL) != SL_OK ||
	    (type = json_text(json_get(sealed, "type"), NULL)) == NULL) {
		jw_object(&w);
		jw_object_end(&w);
		return;
	}
	if (strcmp(type, "OAUTH2") == 0)
		show_oauth(sealed, oauth2, with_refresh_token, &w);
	else if (strcmp(type, "OAUTH2_CC") == 0)
		show_oauth(sealed, client, with_refresh_token, &w);
	else
		jw_raw(&w, sealed.raw);
	free(type);
}

enum sl_code
credential_expand(const char *text, struct json_value credentials,
		  struct json_value connection_config, struct json_value metadata,
		  struct json_value integration_config, struct buf *out, struct sl_error *error)
{
	const struct expand_sources sources = {credentials, connection_config, metadata,
					       integration_config};

	return expand_template(text, &sources, out, error);
}
