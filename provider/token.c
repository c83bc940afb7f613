#include "provider/token.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/secret.h"
#include "provider/expand.h"
#include "provider/moment.h"
#include "provider/url.h"

#define REQUEST_MAX 131072
#define PARAMS_MAX 40

enum grant { GRANT_NONE, GRANT_REFRESH, GRANT_CLIENT };

struct param {
	const char *name; /* borrowed */
	char *value;      /* owned */
};

/* One request in the making. */
struct making {
	const struct provider *provider;
	struct expand_sources sources;
	struct json_value client;
	enum grant grant;
	char *client_id, *client_secret; /* owned; NULL: not there */
	struct param params[PARAMS_MAX];
	int param_count;
	struct token_ask ask;
	struct sl_error *error;
};

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

static bool
has_text(struct json_value object, const char *name)
{
	char *text = text_of(object, name);
	bool has = text != NULL;

	wipe_text(text);
	return has;
}

static bool
type_is(struct json_value credentials, const char *type)
{
	char *text = text_of(credentials, "type");
	bool is = text != NULL && strcmp(text, type) == 0;

	free(text);
	return is;
}

static enum grant
grant_of(const struct provider *provider, struct json_value credentials)
{
	if (provider->auth_mode == AUTH_OAUTH2 && type_is(credentials, "OAUTH2") &&
	    (provider->token_url != NULL || provider->refresh_url != NULL) &&
	    has_text(credentials, "refresh_token"))
		return GRANT_REFRESH;
	if (provider->auth_mode == AUTH_OAUTH2_CC && type_is(credentials, "OAUTH2_CC") &&
	    provider->token_url != NULL)
		return GRANT_CLIENT;
	return GRANT_NONE;
}

bool
token_is_refreshable(const struct provider *provider, struct json_value credentials)
{
	return grant_of(provider, credentials) != GRANT_NONE;
}

char *
token_text(struct json_value credentials)
{
	return text_of(credentials, type_is(credentials, "OAUTH2_CC") ? "token" : "access_token");
}

int64_t
token_expires_ms(struct json_value credentials)
{
	char *text = text_of(credentials, "expires_at");
	int64_t ms = INT64_MAX;

	if (type_is(credentials, "OAUTH2_CC") && !has_text(credentials, "token"))
		ms = 0;
	else if (text == NULL || !moment_parse(text, clock_wall_ms(), &ms))
		ms = INT64_MAX;
	free(text);
	return ms;
}

/* ---- the request -------------------------------------------------------------------------------- */

/* Takes value.  A parameter of that name goes. */
static void
param_set(struct making *m, const char *name, char *value)
{
	int i = 0;

	while (i < m->param_count && strcmp(m->params[i].name, name) != 0)
		i++;
	if (i == PARAMS_MAX) {
		wipe_text(value);
		m->param_count = PARAMS_MAX + 1; /* told at the end */
		return;
	}
	if (i < m->param_count)
		wipe_text(m->params[i].value);
	else if (m->param_count < PARAMS_MAX)
		m->param_count++;
	m->params[i] = (struct param){name, value};
}

/* The connection's own client wins, member by member: of client credentials it has one, with OAUTH2 it may. */
static enum sl_code
find_client(struct making *m)
{
	struct json_value own = m->grant == GRANT_CLIENT
				    ? m->sources.credentials
				    : json_get(m->sources.credentials, "config_override");

	m->client_id = text_of(own, "client_id");
	if (m->client_id == NULL)
		m->client_id = text_of(m->client, "client_id");
	m->client_secret = text_of(own, "client_secret");
	if (m->client_secret == NULL)
		m->client_secret = text_of(m->client, "client_secret");
	if (m->client_id == NULL)
		return sl_fail(m->error, SL_INVALID, "client_id is not set: give %s one",
			       m->grant == GRANT_CLIENT ? "the connection's credentials"
							: "the integration's credentials");
	return SL_OK;
}

/* PEM texts of a client that shows a certificate (RFC 8705). */
static enum sl_code
find_certificate(struct making *m)
{
	char *certificate = text_of(m->sources.credentials, "client_certificate");
	char *key = text_of(m->sources.credentials, "client_private_key");

	if (certificate != NULL)
		m->ask.client_certificate = (struct slice){certificate, strlen(certificate)};
	if (key != NULL)
		m->ask.client_key = (struct slice){key, strlen(key)};
	if ((certificate == NULL) != (key == NULL))
		return sl_fail(m->error, SL_INVALID,
			       "%s is not set, but its counterpart in the credentials is",
			       key == NULL ? "client_private_key" : "client_certificate");
	if (m->client_secret == NULL && certificate == NULL)
		return sl_fail(m->error, SL_INVALID,
			       "client_secret is not set: give the connection's credentials one");
	return SL_OK;
}

/* Integrations keep their scopes as one text, with commas or spaces; RFC 6749 section 3.3 wants spaces. */
static void
scopes_of_client(const struct making *m, struct buf *out)
{
	char *scopes = text_of(m->client, "scopes"), *rest = NULL;

	for (char *one = scopes != NULL ? strtok_r(scopes, ", \t\r\n", &rest) : NULL; one != NULL;
	     one = strtok_r(NULL, ", \t\r\n", &rest)) {
		if (out->len > 0)
			buf_add_char(out, ' ');
		buf_add_text(out, one);
	}
	free(scopes);
}

static void
scopes_of_connection(struct json_value scopes, struct buf *out)
{
	struct json_iter it;

	json_iter_init(&it, scopes);
	while (json_iter_next(&it)) {
		char *one = json_text(it.value, NULL);

		if (one != NULL && one[0] != '\0') {
			if (out->len > 0)
				buf_add_char(out, ' ');
			buf_add_text(out, one);
		}
		free(one);
	}
	json_iter_fini(&it);
}

static enum sl_code
add_scopes(struct making *m)
{
	struct json_value given = json_get(m->sources.connection_config, "oauth_scopes_override");
	struct buf scopes;

	buf_init(&scopes, REQUEST_MAX);
	if (given.type == JSON_ARRAY_)
		scopes_of_connection(given, &scopes);
	else
		scopes_of_client(m, &scopes);
	if (scopes.over) {
		buf_fini(&scopes);
		return sl_fail(m->error, SL_INVALID, "the scopes are too long");
	}
	if (scopes.len > 0)
		param_set(m, "scope", buf_take(&scopes, NULL));
	buf_fini(&scopes);
	return SL_OK;
}

/* Form-encoded before it is base64 (RFC 6749 section 2.3.1). */
static void
add_basic(struct making *m)
{
	struct buf pair, header;

	buf_init(&pair, REQUEST_MAX);
	buf_init(&header, 2 * REQUEST_MAX);
	url_encode(&pair, slice_text(m->client_id));
	buf_add_char(&pair, ':');
	url_encode(&pair, slice_text(m->client_secret));
	buf_add_text(&header, "Basic ");
	base64_add(&header, pair.data, pair.len);
	m->ask.authorization = buf_take(&header, NULL);
	wipe_buf(&pair);
}

static void
add_client(struct making *m)
{
	if (m->provider->token_client == TOKEN_CLIENT_BASIC && m->client_secret != NULL) {
		add_basic(m);
		return;
	}
	param_set(m, "client_id", sl_strdup(m->client_id));
	if (m->client_secret != NULL)
		param_set(m, "client_secret", sl_strdup(m->client_secret));
}

/* What the definition adds, or has in other words. */
static enum sl_code
add_own_params(struct making *m)
{
	bool first = m->grant == GRANT_CLIENT;
	const struct provider_pair *pairs =
	    first ? m->provider->token_params : m->provider->refresh_params;
	int count = first ? m->provider->token_param_count : m->provider->refresh_param_count;
	enum sl_code code = SL_OK;

	for (int i = 0; code == SL_OK && i < count; i++) {
		struct sl_error why;
		struct buf value;

		buf_init(&value, REQUEST_MAX);
		code = expand_first(pairs[i].value, &m->sources, &value, &why);
		if (code == SL_OK)
			param_set(m, pairs[i].name,
				  value.len > 0 ? buf_take(&value, NULL) : sl_strdup(""));
		else
			sl_fail(m->error, SL_INVALID, "%s of the token request: %s", pairs[i].name,
				why.text);
		wipe_buf(&value);
	}
	return code == SL_OK ? SL_OK : SL_INVALID;
}

static void
write_json(const struct making *m, struct buf *out)
{
	struct json_writer w;

	jw_init(&w, out);
	jw_object(&w);
	for (int i = 0; i < m->param_count; i++)
		jw_member_text(&w, m->params[i].name, m->params[i].value);
	jw_object_end(&w);
}

static void
write_form(const struct making *m, struct buf *out)
{
	for (int i = 0; i < m->param_count; i++) {
		if (i > 0)
			buf_add_char(out, '&');
		url_encode(out, slice_text(m->params[i].name));
		buf_add_char(out, '=');
		url_encode(out, slice_text(m->params[i].value));
	}
}

static enum sl_code
write_body(struct making *m)
{
	struct buf body;

	if (m->param_count > PARAMS_MAX) {
		m->param_count = PARAMS_MAX;
		return sl_fail(m->error, SL_INVALID, "the token request has too many parameters");
	}
	buf_init(&body, REQUEST_MAX);
	if (m->provider->token_json)
		write_json(m, &body);
	else
		write_form(m, &body);
	m->ask.content_type =
	    m->provider->token_json ? "application/json" : "application/x-www-form-urlencoded";
	if (body.over) {
		wipe_buf(&body);
		return sl_fail(m->error, SL_INVALID, "the token request is too long");
	}
	m->ask.body = buf_take(&body, &m->ask.body_len);
	return SL_OK;
}

static enum sl_code
make_url(struct making *m)
{
	const struct provider *provider = m->provider;
	bool other = m->grant == GRANT_REFRESH && provider->refresh_url != NULL;
	struct sl_error why = {0};
	struct buf url;
	struct url parts;
	enum sl_code code;

	buf_init(&url, REQUEST_MAX);
	code = expand_url(other ? provider->refresh_url : provider->token_url, "a token URL",
			  &m->sources, &url, &why);
	if (code == SL_OK)
		code = url_split(buf_slice(&url), &parts, &why);
	if (code == SL_OK)
		m->ask.url = buf_take(&url, NULL);
	else
		code = sl_fail(m->error, SL_INVALID, "token URL: %s", why.text);
	buf_fini(&url);
	return code;
}

static enum sl_code
make_request(struct making *m)
{
	enum sl_code code = make_url(m);

	if (code == SL_OK)
		code = find_client(m);
	if (code == SL_OK && m->grant == GRANT_CLIENT)
		code = find_certificate(m);
	if (code != SL_OK)
		return code;
	if (m->grant == GRANT_REFRESH) {
		param_set(m, "grant_type", sl_strdup("refresh_token"));
		param_set(m, "refresh_token", text_of(m->sources.credentials, "refresh_token"));
	} else {
		param_set(m, "grant_type", sl_strdup("client_credentials"));
		code = add_scopes(m);
	}
	add_client(m);
	if (code == SL_OK)
		code = add_own_params(m);
	return code == SL_OK ? write_body(m) : code;
}

enum sl_code
token_request(const struct provider *provider, struct json_value credentials,
	      struct json_value client, struct json_value connection_config,
	      struct json_value metadata, struct json_value integration_config,
	      struct token_ask *out, struct sl_error *error)
{
	struct making m = {
	    .provider = provider,
	    .sources = {credentials, connection_config, metadata, integration_config},
	    .client = client,
	    .grant = grant_of(provider, credentials),
	    .error = error,
	};
	enum sl_code code;

	*out = (struct token_ask){0};
	if (m.grant == GRANT_NONE)
		return sl_fail(error, SL_NOT_FOUND,
			       "these credentials are not of a kind that is refreshed");
	code = make_request(&m);
	wipe_text(m.client_id);
	wipe_text(m.client_secret);
	for (int i = 0; i < m.param_count && i < PARAMS_MAX; i++)
		wipe_text(m.params[i].value);
	if (code == SL_OK)
		*out = m.ask;
	else
		token_ask_fini(&m.ask);
	return code;
}

static void
wipe_slice(struct slice *text)
{
	if (text->data != NULL)
		secret_wipe((char *)text->data, text->len);
	free((char *)text->data);
	*text = (struct slice){NULL, 0};
}

void
token_ask_fini(struct token_ask *ask)
{
	struct slice body = {ask->body, ask->body_len};

	wipe_slice(&body);
	wipe_text(ask->url);
	wipe_text(ask->authorization);
	wipe_slice(&ask->client_certificate);
	wipe_slice(&ask->client_key);
	*ask = (struct token_ask){0};
}
