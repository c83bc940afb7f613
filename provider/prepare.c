#include "provider/prepare.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/secret.h"
#include "provider/expand.h"
#include "provider/template.h"
#include "provider/url.h"

#define URL_MAX 65536
#define VALUE_MAX 65536
#define HEADERS_MAX 200

/* Collects what becomes struct prepared. */
struct making {
	const struct provider *provider;
	const struct provider_ask *ask;
	struct expand_sources sources;
	struct buf url, value;
	struct prepared made;
	struct sl_error *error;
};

static void
wipe_buf(struct buf *buf)
{
	if (buf->data != NULL)
		secret_wipe(buf->data, buf->len);
	buf_fini(buf);
}

static void
wipe_text(char *text)
{
	if (text != NULL)
		secret_wipe(text, strlen(text));
	free(text);
}

static enum sl_code
sources_read(const struct provider_connection *connection, struct expand_sources *sources,
	     struct sl_error *error)
{
	const struct {
		const char *name;
		struct slice text;
		struct json_value *value;
	} all[] = {
	    {"credentials", connection->credentials, &sources->credentials},
	    {"connection_config", connection->connection_config, &sources->connection_config},
	    {"metadata", connection->metadata, &sources->metadata},
	    {"integration_config", connection->integration_config, &sources->integration_config},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		*all[i].value = (struct json_value){JSON_NONE, {NULL, 0}};
		if (all[i].text.len > 0 && json_check(all[i].text, all[i].value, NULL) != SL_OK)
			return sl_fail(error, SL_INVALID, "%s is not JSON", all[i].name);
	}
	return SL_OK;
}

static enum sl_code
base_expand(struct making *m, struct buf *base)
{
	struct sl_error why;
	enum sl_code code =
	    expand_url(m->provider->base_url, "a base URL", &m->sources, base, &why);

	if (code == SL_OK)
		return SL_OK;
	return sl_fail(m->error, SL_INVALID, "%s%s",
		       code == SL_NOT_FOUND ? "missing_api_url: " : "", why.text);
}

/* The override is the function's own text: no credential is put into it. */
static enum sl_code
make_base(struct making *m, struct buf *base, enum url_elsewhere *elsewhere)
{
	const char *override = m->ask->base_url_override;
	struct url url;

	if (override != NULL && override[0] != '\0') {
		*elsewhere = URL_SAME_ORIGIN;
		if (url_split(slice_text(override), &url, m->error) != SL_OK)
			return sl_fail(m->error, SL_INVALID,
				       "baseUrlOverride is not an http or https URL");
		if (!buf_add_text(base, override))
			return sl_fail(m->error, SL_INVALID, "baseUrlOverride is too long");
		return SL_OK;
	}
	*elsewhere = URL_ONLY_BASE;
	if (m->provider->base_url == NULL)
		return sl_fail(m->error, SL_INVALID, "missing_api_url: %s has no base URL",
			       m->provider->name);
	return base_expand(m, base);
}

static enum sl_code
expand(struct making *m, const char *text)
{
	buf_clear(&m->value);
	return expand_first(text, &m->sources, &m->value, m->error);
}

static void
url_add_pair(struct buf *url, const char *name, struct slice value)
{
	bool has = url->len > 0 && memchr(url->data, '?', url->len) != NULL;

	buf_add_char(url, has ? '&' : '?');
	url_encode(url, slice_text(name));
	buf_add_char(url, '=');
	url_encode(url, value);
}

/* Text of an integration_config member, or a copy of fallback (which may be NULL). */
static char *
integration_text(const struct making *m, const char *name, const char *fallback)
{
	char *text = json_text(json_get(m->sources.integration_config, name), NULL);

	return text != NULL || fallback == NULL ? text : sl_strdup(fallback);
}

/* Where the integration wants its key: names and template are the caller's to free. */
static enum sl_code
integration_key(const struct making *m, bool *in_query, char **name, char **value)
{
	char *placement = integration_text(m, "keyPlacement", "header");
	enum sl_code code = SL_OK;

	*in_query = strcmp(placement, "query") == 0;
	*name = integration_text(m, "keyName", NULL);
	*value = integration_text(m, "valueTemplate", "${apiKey}");
	if (!*in_query && strcmp(placement, "header") != 0)
		code = sl_fail(m->error, SL_INVALID,
			       "integration_config.keyPlacement must be header or query");
	else if (*name == NULL || **name == '\0')
		code = sl_fail(m->error, SL_INVALID, "integration_config.keyName is required");
	free(placement);
	return code;
}

/* A name that the provider's definition sets is its own: the function's pair of that name goes. */
static enum sl_code
add_provider_pair(struct making *m, const char *name, const char *text)
{
	struct buf encoded;
	enum sl_code code;

	buf_init(&encoded, VALUE_MAX);
	url_encode(&encoded, slice_text(name));
	url_drop_query(&m->url, buf_slice(&encoded));
	url_drop_query(&m->url, slice_text(name));
	buf_fini(&encoded);
	code = expand(m, text);
	if (code == SL_OK)
		url_add_pair(&m->url, name, buf_slice(&m->value));
	return code;
}

static enum sl_code
make_url(struct making *m)
{
	enum url_elsewhere elsewhere = URL_ONLY_BASE;
	const char *endpoint = m->ask->endpoint != NULL ? m->ask->endpoint : "";
	struct buf base;
	enum sl_code code;

	buf_init(&base, URL_MAX);
	code = make_base(m, &base, &elsewhere);
	if (code == SL_OK)
		code =
		    url_join(buf_slice(&base), slice_text(endpoint), elsewhere, &m->url, m->error);
	wipe_buf(&base);
	if (code != SL_OK)
		return code;
	url_add_query(&m->url, slice_text(m->ask->query));
	if (m->url.over)
		return sl_fail(m->error, SL_INVALID, "the URL is too long");
	m->made.shown_url = sl_strndup(m->url.data, m->url.len);
	for (int i = 0; code == SL_OK && i < m->provider->query_count; i++)
		code =
		    add_provider_pair(m, m->provider->query[i].name, m->provider->query[i].value);
	if (code == SL_OK && m->provider->key_from_integration) {
		char *name, *value;
		bool in_query;

		code = integration_key(m, &in_query, &name, &value);
		if (code == SL_OK && in_query)
			code = add_provider_pair(m, name, value);
		free(name);
		free(value);
	}
	if (code == SL_OK && m->url.over)
		return sl_fail(m->error, SL_INVALID, "the URL is too long");
	if (code == SL_OK)
		m->made.url = sl_strndup(m->url.data, m->url.len);
	return code;
}

/* RFC 9110 section 5.1 */
static bool
is_token(const char *name)
{
	return name[0] != '\0' &&
	       name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "0123456789!#$%&'*+-.^_`|~")] == '\0';
}

static bool
is_field_value(const char *value)
{
	for (; *value != '\0'; value++)
		if (((unsigned char)*value < 0x20 && *value != '\t') || *value == 0x7f)
			return false;
	return true;
}

static bool
has_header(const struct making *m, const char *name)
{
	for (int i = 0; i < m->made.header_count; i++)
		if (strcasecmp(m->made.headers[i].name, name) == 0)
			return true;
	return false;
}

static enum sl_code
add_header(struct making *m, const char *name, const char *value)
{
	struct http_header *header;
	char *lower;

	if (!is_token(name))
		return sl_fail(m->error, SL_INVALID, "a header's name is not one: %.60s", name);
	if (!is_field_value(value))
		return sl_fail(m->error, SL_INVALID, "header %.60s holds a control byte", name);
	if (m->made.header_count == HEADERS_MAX)
		return sl_fail(m->error, SL_INVALID, "more than %d headers", HEADERS_MAX);
	lower = sl_strdup(name);
	for (char *c = lower; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	header = &m->made.headers[m->made.header_count++];
	header->name = lower;
	header->value = sl_strdup(value);
	return SL_OK;
}

static enum sl_code
add_expanded_header(struct making *m, const char *name, const char *text)
{
	enum sl_code code = expand(m, text);

	if (code != SL_OK)
		return code;
	return add_header(m, name, m->value.data != NULL ? m->value.data : "");
}

/* Headers that carry a credential are the provider's, whatever the function sent. */
static enum sl_code
add_credential_headers(struct making *m)
{
	enum sl_code code = SL_OK;
	char *name, *value;
	bool in_query;

	for (int i = 0; code == SL_OK && i < m->provider->header_count; i++) {
		const struct provider_pair *pair = &m->provider->headers[i];

		if (template_has_credential(pair->value))
			code = add_expanded_header(m, pair->name, pair->value);
	}
	if (code != SL_OK || !m->provider->key_from_integration)
		return code;
	code = integration_key(m, &in_query, &name, &value);
	if (code == SL_OK && !in_query)
		code = add_expanded_header(m, name, value);
	free(name);
	free(value);
	return code;
}

/* Of the connection to the peer, which is ours, not of the message. */
static bool
is_of_transport(const char *name)
{
	static const char *const names[] = {
	    "connection", "content-length",      "expect",           "host",
	    "keep-alive", "proxy-authorization", "proxy-connection", "te",
	    "trailer",    "transfer-encoding",   "upgrade"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(names[i], name) == 0)
			return true;
	return false;
}

/* Whether a header says nothing but how to read and write the message.  All others stay behind when
 * a redirect leads to another origin: functions put keys into headers of any name. */
static bool
may_cross_origins(const char *name)
{
	static const char *const names[] = {"accept",        "accept-encoding", "accept-language",
					    "content-type",  "if-match",        "if-modified-since",
					    "if-none-match", "range",           "user-agent"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static void
list_credential_headers(struct making *m)
{
	int count = 0;

	m->made.credential_headers =
	    sl_calloc((size_t)m->made.header_count + 1, sizeof(*m->made.credential_headers));
	for (int i = 0; i < m->made.header_count; i++)
		if (!may_cross_origins(m->made.headers[i].name))
			m->made.credential_headers[count++] = m->made.headers[i].name;
}

static enum sl_code
make_headers(struct making *m)
{
	const struct provider_ask *ask = m->ask;
	enum sl_code code;
	int own;

	m->made.headers = sl_calloc(HEADERS_MAX, sizeof(*m->made.headers));
	code = add_credential_headers(m);
	own = m->made.header_count;
	for (int i = 0; code == SL_OK && i < ask->header_count; i++) {
		bool taken = false;

		for (int j = 0; j < own; j++)
			taken |= strcasecmp(m->made.headers[j].name, ask->headers[i].name) == 0;
		if (!taken && !is_of_transport(ask->headers[i].name))
			code = add_header(m, ask->headers[i].name, ask->headers[i].value);
	}
	for (int i = 0; code == SL_OK && i < m->provider->header_count; i++) {
		const struct provider_pair *pair = &m->provider->headers[i];

		if (!has_header(m, pair->name))
			code = add_expanded_header(m, pair->name, pair->value);
	}
	if (code == SL_OK && ask->user_agent != NULL && !has_header(m, "user-agent"))
		code = add_header(m, "user-agent", ask->user_agent);
	/* What the published client's HTTP library asks for when nobody says otherwise. */
	if (code == SL_OK && !has_header(m, "accept"))
		code = add_header(m, "accept", "application/json, text/plain, */*");
	if (code == SL_OK)
		list_credential_headers(m);
	return code;
}

enum sl_code
prepare_request(const struct provider_connection *connection, const struct provider_ask *ask,
		struct prepared *out, struct sl_error *error)
{
	struct making m = {.provider = connection->provider, .ask = ask, .error = error};
	enum sl_code code;

	buf_init(&m.url, URL_MAX);
	buf_init(&m.value, VALUE_MAX);
	code = sources_read(connection, &m.sources, error);
	if (code == SL_OK)
		code = make_url(&m);
	if (code == SL_OK)
		code = make_headers(&m);
	wipe_buf(&m.url);
	wipe_buf(&m.value);
	if (code != SL_OK)
		prepare_fini(&m.made);
	else
		*out = m.made;
	return code;
}

void
prepare_fini(struct prepared *prepared)
{
	for (int i = 0; i < prepared->header_count; i++) {
		free((char *)prepared->headers[i].name);
		wipe_text((char *)prepared->headers[i].value);
	}
	free(prepared->headers);
	free(prepared->credential_headers);
	wipe_text(prepared->url);
	wipe_text(prepared->shown_url);
	*prepared = (struct prepared){0};
}
