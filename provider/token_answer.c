#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/secret.h"
#include "provider/moment.h"
#include "provider/token.h"

#define TOKEN_MAX 16384
#define TTL_MAX_S (10 * 365 * 24 * INT64_C(3600)) /* a longer life than this is not believed */
#define SAID_MAX 120                              /* bytes of what an endpoint says of its error */
#define WORD_MAX 24 /* longer words of such a text may be tokens: they are left out */

static void
wipe_text(char *text)
{
	if (text != NULL)
		secret_wipe(text, strlen(text));
	free(text);
}

static void
wipe_buf(struct buf *buf)
{
	if (buf->data != NULL)
		secret_wipe(buf->data, buf->len);
	buf_fini(buf);
}

/* A member that is a text with something in it, malloc'd, or NULL. */
static char *
text_of(struct json_value object, const char *name)
{
	char *text = json_text(json_get(object, name), NULL);

	if (text != NULL && text[0] == '\0') {
		free(text);
		return NULL;
	}
	return text;
}

/* ---- forms (GitHub answers so) ------------------------------------------------------------------ */

static struct slice
take_until(struct slice *rest, char c)
{
	const char *end = rest->len > 0 ? memchr(rest->data, c, rest->len) : NULL;
	struct slice taken = {rest->data, end != NULL ? (size_t)(end - rest->data) : rest->len};
	size_t used = taken.len + (end != NULL ? 1 : 0);

	*rest = (struct slice){rest->data + used, rest->len - used};
	return taken;
}

static void
decode(struct slice text, struct buf *out)
{
	buf_clear(out);
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '+') {
			buf_add_char(out, ' ');
		} else if (text.data[i] == '%' && i + 2 < text.len &&
			   hex_digit(text.data[i + 1]) >= 0 && hex_digit(text.data[i + 2]) >= 0) {
			buf_add_char(out, (char)(hex_digit(text.data[i + 1]) * 16 +
						 hex_digit(text.data[i + 2])));
			i += 2;
		} else {
			buf_add_char(out, text.data[i]);
		}
	}
}

/* Its pairs as a JSON object of texts.  Of pairs with the same name json_check() complains. */
static void
form_to_json(struct slice form, struct buf *out)
{
	struct json_writer w;
	struct buf part;

	buf_init(&part, form.len + 1);
	jw_init(&w, out);
	jw_object(&w);
	while (form.len > 0) {
		struct slice value = take_until(&form, '&'), name = take_until(&value, '=');

		if (name.len == 0)
			continue;
		decode(name, &part);
		jw_key_n(&w, part.data, part.len);
		decode(value, &part);
		jw_text_n(&w, part.data != NULL ? part.data : "", part.len);
	}
	jw_object_end(&w);
	wipe_buf(&part);
}

static struct slice
trim(struct slice text)
{
	while (text.len > 0 && strchr(" \t\r\n", text.data[0]) != NULL && text.data[0] != '\0')
		text = (struct slice){text.data + 1, text.len - 1};
	while (text.len > 0 && strchr(" \t\r\n", text.data[text.len - 1]) != NULL &&
	       text.data[text.len - 1] != '\0')
		text.len--;
	return text;
}

/* The answer as one JSON object.  json holds what was made for it. */
static bool
read_object(const char *content_type, struct slice body, struct buf *json, struct json_value *out)
{
	static const char form[] = "application/x-www-form-urlencoded";

	body = trim(body);
	if (body.len == 0 || body.len > TOKEN_ANSWER_MAX)
		return false;
	if (body.data[0] != '{') {
		bool plain =
		    content_type != NULL && strncasecmp(content_type, "text/plain", 10) == 0;

		if (content_type == NULL ||
		    (!plain && strncasecmp(content_type, form, sizeof(form) - 1) != 0))
			return false;
		form_to_json(body, json);
		if (json->over)
			return false;
		body = buf_slice(json);
	}
	return json_check(body, out, NULL) == SL_OK && out->type == JSON_OBJECT_;
}

/* ---- refusals ----------------------------------------------------------------------------------- */

static bool
is_one_of(const char *text, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strcasecmp(text, *words) == 0)
			return true;
	return false;
}

/* Says of the credentials that they are no good, whatever the status. */
static bool
is_refusal(const char *name)
{
	static const char *const words[] = {
	    /* RFC 6749 section 5.2 */
	    "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client",
	    "unsupported_grant_type", "invalid_scope", "access_denied",
	    /* what providers say in their place */
	    "bad_refresh_token", "invalid_refresh_token", "incorrect_client_credentials",
	    "token_revoked", "token_expired", "bad_client_secret", "invalid_client_id",
	    "invalid_token", "expired_token", "interaction_required", "consent_required",
	    "login_required", NULL};

	return is_one_of(name, words);
}

/* Says that the endpoint cannot tell now. */
static bool
is_passing(const char *name)
{
	static const char *const words[] = {"temporarily_unavailable",
					    "server_error",
					    "slow_down",
					    "rate_limited",
					    "ratelimited",
					    "rate_limit_exceeded",
					    "internal_error",
					    "fatal_error",
					    "request_timeout",
					    "service_unavailable",
					    "timeout",
					    NULL};

	return is_one_of(name, words);
}

/* The error's name and text: {"error":"..","error_description":".."}, {"error":{"message":".."}}, {"message":".."}. */
static void
find_error(struct json_value object, char **name, char **text)
{
	struct json_value error = json_get(object, "error");

	if (error.type == JSON_OBJECT_) {
		*name = text_of(error, "type");
		*text = text_of(error, "message");
	} else {
		*name = text_of(object, "error");
		*text = NULL;
		if (*name == NULL)
			*name = text_of(object, "status");
	}
	if (*text == NULL)
		*text = text_of(object, "error_description");
	if (*text == NULL)
		*text = text_of(object, "message");
}

static bool
is_token_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("-._~+/=%", c) != NULL);
}

/* Replaces what the credentials hold: an endpoint may say back what it was sent. */
static void
blot_values(struct json_value object, char *text)
{
	struct json_iter it;

	json_iter_init(&it, object);
	while (object.type == JSON_OBJECT_ && json_iter_next(&it)) {
		char *value = json_text(it.value, NULL);
		size_t len = value != NULL ? strlen(value) : 0;

		for (char *at = text;
		     len >= 4 && strcmp(it.key, "type") != 0 && (at = strstr(at, value)) != NULL;
		     at += len)
			memset(at, '*', len);
		wipe_text(value);
	}
	json_iter_fini(&it);
}

/* Appends text without control bytes and without words that could be tokens, cut. */
static void
add_said(struct json_value credentials, char *text, char *out, size_t size)
{
	size_t used = strlen(out), start = used;

	blot_values(credentials, text);
	blot_values(json_get(credentials, "config_override"), text);
	while (*text != '\0' && used - start < SAID_MAX && used + 8 < size) {
		size_t word = 0;

		while (is_token_char(text[word]))
			word++;
		if (word > WORD_MAX) {
			memcpy(out + used, "[...]", 5);
			used += 5;
			text += word;
		} else if (word > 0 && used + word + 8 < size) {
			memcpy(out + used, text, word);
			used += word;
			text += word;
		} else {
			out[used++] = *text >= 0x20 && *text < 0x7f ? *text : ' ';
			text++;
		}
	}
	out[used] = '\0';
}

static enum sl_code
tell_refusal(struct json_value credentials, char *name, char *text, int status,
	     struct sl_error *error)
{
	char said[2 * SAID_MAX + 40] = "";

	if (name != NULL)
		add_said(credentials, name, said, sizeof(said));
	if (name != NULL && text != NULL)
		strncat(said, ": ", sizeof(said) - strlen(said) - 1);
	if (text != NULL)
		add_said(credentials, text, said, sizeof(said));
	return sl_fail(error, SL_INVALID, "the token endpoint refused (%d): %s", status,
		       said[0] != '\0' ? said : "it gave no reason");
}

/* What an answer without a token means. */
static enum sl_code
judge(struct json_value credentials, struct json_value object, int status, struct sl_error *error)
{
	char *name, *text;
	bool final;
	enum sl_code code;

	find_error(object, &name, &text);
	if (status == 429 || status >= 500 || (name != NULL && is_passing(name)))
		final = false;
	else if (name != NULL && is_refusal(name))
		final = true;
	else /* 400 and 401 are refusals in whatever words; others may come from something in between */
		final = (status == 400 || status == 401) &&
			(name != NULL || text != NULL ||
			 json_get(object, "error").type == JSON_OBJECT_);
	code = final ? tell_refusal(credentials, name, text, status, error)
		     : sl_fail(error, SL_UNAVAILABLE,
			       "the token endpoint answered %d without a token", status);
	wipe_text(name);
	wipe_text(text);
	return code;
}

/* ---- the new credential ------------------------------------------------------------------------- */

/* Seconds as a number or as a text of one; -1: none that is believed. */
static int64_t
seconds_of(struct json_value value)
{
	char *text = value.type == JSON_NUMBER ? sl_strndup(value.raw.data, value.raw.len)
					       : json_text(value, NULL);
	char *end = text;
	double number = -1;

	if (text != NULL && strspn(text, "0123456789.eE+-") == strlen(text))
		number = strtod(text, &end);
	if (text == NULL || end == text || *end != '\0' || !(number >= 1 && number <= TTL_MAX_S))
		number = -1;
	free(text);
	return (int64_t)number;
}

/* A moment as seconds, milliseconds or a date; -1: none in the time to come. */
static int64_t
moment_of(struct json_value value, int64_t wall_ms)
{
	static const int64_t ms_from = INT64_C(100000000000); /* as in provider/retry */
	int64_t ms = -1;
	char *text;

	if (value.type == JSON_NUMBER) {
		if (!json_int(value, &ms) || ms < 0)
			return -1;
		if (ms < ms_from)
			ms *= 1000;
	} else {
		text = json_text(value, NULL);
		if (text == NULL || !moment_parse(text, wall_ms, &ms))
			ms = -1;
		free(text);
	}
	return ms > wall_ms && ms <= wall_ms + TTL_MAX_S * 1000 ? ms : -1;
}

/* When the new token ends; -1: the answer does not say, and neither does the definition. */
static int64_t
end_of(const struct provider *provider, struct json_value answer, int64_t wall_ms)
{
	struct json_value in = json_get(answer, "expires_in");
	int64_t seconds = seconds_of(in), at;

	if (seconds > 0)
		return wall_ms + seconds * 1000;
	at = in.type == JSON_NONE ? moment_of(json_get(answer, "expires_at"), wall_ms) : -1;
	if (at > 0)
		return at;
	return provider->token_ttl_s > 0 ? wall_ms + provider->token_ttl_s * 1000 : -1;
}

static bool
is_usable(const char *token)
{
	if (token == NULL || strlen(token) > TOKEN_MAX)
		return false;
	for (; *token != '\0'; token++)
		if ((unsigned char)*token < 0x20 || *token == 0x7f)
			return false;
	return true;
}

static void
write_credential(const struct provider *provider, struct json_value old, struct json_value answer,
		 int64_t wall_ms, struct buf *out)
{
	bool client = provider->auth_mode == AUTH_OAUTH2_CC;
	const char *token_name = client ? "token" : "access_token";
	char *refresh = client ? NULL : text_of(answer, "refresh_token");
	int64_t end_ms = end_of(provider, answer, wall_ms);
	char iso[CLOCK_ISO_SIZE];
	struct json_iter it;
	struct json_writer w;

	if (!is_usable(refresh)) {
		wipe_text(refresh);
		refresh = NULL;
	}
	jw_init(&w, out);
	jw_object(&w);
	jw_member_text(&w, "type", provider->auth_mode_name);
	jw_member_raw(&w, token_name, json_get(answer, "access_token").raw);
	if (refresh != NULL)
		jw_member_text(&w, "refresh_token", refresh);
	if (end_ms >= 0) {
		clock_iso(end_ms, iso);
		jw_member_text(&w, "expires_at", iso);
	}
	json_iter_init(&it, old);
	while (json_iter_next(&it)) {
		if (strcmp(it.key, "type") == 0 || strcmp(it.key, token_name) == 0 ||
		    strcmp(it.key, "expires_at") == 0 || strcmp(it.key, "raw") == 0 ||
		    (refresh != NULL && strcmp(it.key, "refresh_token") == 0))
			continue;
		jw_key_n(&w, it.key, it.key_len);
		jw_raw(&w, it.value.raw);
	}
	json_iter_fini(&it);
	jw_member_raw(&w, "raw", answer.raw);
	jw_object_end(&w);
	wipe_text(refresh);
}

enum sl_code
token_answer(const struct provider *provider, struct json_value credentials, int status,
	     const char *content_type, struct slice body, int64_t wall_ms, struct buf *out,
	     struct sl_error *error)
{
	size_t start = out->len;
	struct json_value answer;
	struct buf json;
	enum sl_code code = SL_OK;
	char *token = NULL;

	buf_init(&json, 2 * TOKEN_ANSWER_MAX);
	if (!read_object(content_type, body, &json, &answer)) {
		code = sl_fail(error, SL_UNAVAILABLE,
			       "the token endpoint answered %d with %s, not with a token", status,
			       body.len == 0 ? "nothing" : "something that is not JSON");
	} else {
		token = text_of(answer, "access_token");
		if (status < 200 || status > 299 || !is_usable(token))
			code = judge(credentials, answer, status, error);
		else
			write_credential(provider, credentials, answer, wall_ms, out);
	}
	if (code == SL_OK && out->over) {
		secret_wipe(out->data + start, out->len - start);
		out->len = start;
		out->data[start] = '\0';
		code = sl_fail(error, SL_UNAVAILABLE, "the token endpoint's answer is too large");
	}
	wipe_text(token);
	wipe_buf(&json);
	return code;
}
