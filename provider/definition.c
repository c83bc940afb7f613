#include "provider/definition.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "provider/member.h"
#include "provider/template.h"

/* {"path":"error.retry_after","unit":"s"} */
static enum sl_code
read_in_body(const struct reading *r, json_t *in_body)
{
	static const struct member table[] = {
	    {"path", MEMBER_TEXT, true}, {"unit", MEMBER_TEXT, true}, {NULL, MEMBER_TEXT, false}};
	static const char *const units[] = {
	    [RETRY_UNIT_S] = "s", [RETRY_UNIT_MS] = "ms", [RETRY_UNIT_AT] = "at"};
	size_t unit = 0;

	if (in_body == NULL)
		return SL_OK;
	if (member_check_all(r, in_body, "proxy.retry.in_body.", table) != SL_OK)
		return SL_INVALID;
	while (unit < 3 && strcmp(units[unit], member_text(in_body, "unit")) != 0)
		unit++;
	if (unit == 3)
		return member_wrong(r, "proxy.retry.in_body.unit", "must be s, ms or at");
	r->entry->provider.retry_body_path = member_text(in_body, "path");
	r->entry->provider.retry_body_unit = (enum retry_unit)unit;
	return SL_OK;
}

static enum sl_code
read_codes(const struct reading *r, json_t *retry, const char *name, int **out, int *count)
{
	json_t *codes = json_object_get(retry, name), *code;
	char member[64];
	size_t index;

	*out = sl_calloc(json_array_size(codes) + 1, sizeof(**out));
	json_array_foreach(codes, index, code)
	{
		json_int_t number = json_integer_value(code); /* 0 when it is none */

		snprintf(member, sizeof(member), "proxy.retry.%s", name);
		if (number < 400 || number > 599)
			return member_wrong(r, member, "must hold statuses from 400 to 599");
		(*out)[(*count)++] = (int)number;
	}
	return SL_OK;
}

static enum sl_code
read_retry(const struct reading *r, json_t *retry)
{
	static const struct member table[] = {
	    {"at", MEMBER_TEXT, false},          {"after", MEMBER_TEXT, false},
	    {"remaining", MEMBER_TEXT, false},   {"limit", MEMBER_TEXT, false},
	    {"error_code", MEMBER_ARRAY, false}, {"limit_code", MEMBER_ARRAY, false},
	    {"in_body", MEMBER_OBJECT, false},   {NULL, MEMBER_TEXT, false}};
	struct provider *provider = &r->entry->provider;

	provider->retry_after_header = "retry-after";
	if (retry == NULL)
		return SL_OK;
	if (member_check_all(r, retry, "proxy.retry.", table) != SL_OK)
		return SL_INVALID;
	for (int i = 0; i < 4; i++) {
		const char *name = member_text(retry, table[i].name);
		char member[64];

		snprintf(member, sizeof(member), "proxy.retry.%s", table[i].name);
		if (name != NULL && !member_is_token(name))
			return member_wrong(r, member, "is not a header's name in lower case");
	}
	provider->retry_at_header = member_text(retry, "at");
	provider->retry_remaining_header = member_text(retry, "remaining");
	provider->retry_limit_header = member_text(retry, "limit");
	if (member_text(retry, "after") != NULL)
		provider->retry_after_header = member_text(retry, "after");
	if (read_codes(r, retry, "error_code", &r->entry->codes, &provider->retry_code_count) !=
		SL_OK ||
	    read_codes(r, retry, "limit_code", &r->entry->limit_codes,
		       &provider->limit_code_count) != SL_OK)
		return SL_INVALID;
	provider->retry_codes = r->entry->codes;
	provider->limit_codes = r->entry->limit_codes;
	return read_in_body(r, json_object_get(retry, "in_body"));
}

/* wire.md section 14.4 */
static enum sl_code
read_paginate(const struct reading *r, json_t *paginate)
{
	static const struct member table[] = {{"type", MEMBER_TEXT, true},
					      {"limit", MEMBER_INT, false},
					      {"limit_name_in_request", MEMBER_TEXT, false},
					      {"response_path", MEMBER_TEXT, false},
					      {"in_body", MEMBER_BOOL, false},
					      {"cursor_path_in_response", MEMBER_TEXT, false},
					      {"cursor_name_in_request", MEMBER_TEXT, false},
					      {"link_rel_in_response_header", MEMBER_TEXT, false},
					      {"link_path_in_response_body", MEMBER_TEXT, false},
					      {"offset_name_in_request", MEMBER_TEXT, false},
					      {"offset_start_value", MEMBER_INT, false},
					      {"offset_calculation_method", MEMBER_TEXT, false},
					      {NULL, MEMBER_TEXT, false}};
	static const char *const types[] = {"cursor", "link", "offset", NULL};
	static const char *const methods[] = {"by-response-size", "per-page", NULL};
	const char *method;

	if (paginate == NULL)
		return SL_OK;
	if (member_check_all(r, paginate, "proxy.paginate.", table) != SL_OK)
		return SL_INVALID;
	if (!member_is_one_of(member_text(paginate, "type"), types))
		return member_wrong(r, "proxy.paginate.type", "must be cursor, link or offset");
	method = member_text(paginate, "offset_calculation_method");
	if (method != NULL && !member_is_one_of(method, methods))
		return member_wrong(r, "proxy.paginate.offset_calculation_method",
				    "must be by-response-size or per-page");
	r->entry->paginate = json_dumps(paginate, JSON_COMPACT);
	if (r->entry->paginate == NULL)
		abort(); /* out of memory, as in base/alloc */
	r->entry->provider.paginate = slice_text(r->entry->paginate);
	return SL_OK;
}

static bool
pairs_have_credential(const struct provider_pair *pairs, int count)
{
	for (int i = 0; i < count; i++)
		if (template_has_credential(pairs[i].value))
			return true;
	return false;
}

/* What a credential is for when the definition does not say: wire.md section 8. */
static enum sl_code
settle_auth(const struct reading *r)
{
	struct provider *provider = &r->entry->provider;
	const char *fallback = NULL;
	bool placed = pairs_have_credential(provider->headers, provider->header_count) ||
		      pairs_have_credential(provider->query, provider->query_count);

	switch (provider->auth_mode) {
	case AUTH_NONE:
		if (placed || provider->key_from_integration)
			return member_wrong(r, "proxy",
					    "holds a credential, but auth_mode is NONE");
		return SL_OK;
	case AUTH_API_KEY:
		if (placed == provider->key_from_integration)
			return member_wrong(r, "proxy",
					    "must say in one way where the API key goes");
		return SL_OK;
	case AUTH_BASIC:
		fallback = "Basic ${basic}";
		break;
	case AUTH_OAUTH2:
	case AUTH_OAUTH2_CC:
		fallback = "Bearer ${accessToken}";
		break;
	}
	if (provider->key_from_integration)
		return member_wrong(r, "proxy.key_from", "is for API keys only");
	for (int i = 0; i < provider->header_count; i++)
		placed |= strcmp(provider->headers[i].name, "authorization") == 0;
	if (!placed)
		r->entry->headers[provider->header_count++] =
		    (struct provider_pair){"authorization", fallback};
	return SL_OK;
}

static enum sl_code
read_proxy(const struct reading *r, json_t *proxy)
{
	static const struct member table[] = {
	    {"base_url", MEMBER_TEXT, false},   {"headers", MEMBER_OBJECT, false},
	    {"query", MEMBER_OBJECT, false},    {"retry", MEMBER_OBJECT, false},
	    {"paginate", MEMBER_OBJECT, false}, {"key_from", MEMBER_TEXT, false},
	    {NULL, MEMBER_TEXT, false}};
	struct definition *entry = r->entry;
	struct provider *provider = &entry->provider;
	const char *key_from = member_text(proxy, "key_from");

	if (member_check_all(r, proxy, "proxy.", table) != SL_OK)
		return SL_INVALID;
	provider->base_url = member_text(proxy, "base_url");
	if (provider->base_url != NULL &&
	    member_check_url(r, "proxy.base_url", provider->base_url) != SL_OK)
		return SL_INVALID;
	if (key_from != NULL && strcmp(key_from, "integration_config") != 0)
		return member_wrong(r, "proxy.key_from", "must be integration_config");
	provider->key_from_integration = key_from != NULL;
	if (member_read_pairs(r, json_object_get(proxy, "headers"), "proxy.headers",
			      &entry->headers, &provider->header_count) != SL_OK ||
	    member_read_pairs(r, json_object_get(proxy, "query"), "proxy.query", &entry->query,
			      &provider->query_count) != SL_OK)
		return SL_INVALID;
	provider->headers = entry->headers;
	provider->query = entry->query;
	if (read_retry(r, json_object_get(proxy, "retry")) != SL_OK)
		return SL_INVALID;
	return read_paginate(r, json_object_get(proxy, "paginate"));
}

static enum sl_code
read_auth_mode(const struct reading *r)
{
	static const char *const names[] = {[AUTH_NONE] = "NONE",
					    [AUTH_API_KEY] = "API_KEY",
					    [AUTH_BASIC] = "BASIC",
					    [AUTH_OAUTH2] = "OAUTH2",
					    [AUTH_OAUTH2_CC] = "OAUTH2_CC"};
	struct provider *provider = &r->entry->provider;
	const char *given = member_text(r->entry->root, "auth_mode");
	size_t mode = 0;

	while (mode < sizeof(names) / sizeof(names[0]) && strcmp(names[mode], given) != 0)
		mode++;
	if (mode == sizeof(names) / sizeof(names[0]))
		return member_wrong(r, "auth_mode",
				    "must be NONE, API_KEY, BASIC, OAUTH2 or OAUTH2_CC");
	provider->auth_mode = (enum auth_mode)mode;
	provider->auth_mode_name = names[mode];
	return SL_OK;
}

/* A URL that is there when it must be, and only when it may be. */
static enum sl_code
read_url(const struct reading *r, const char *name, bool may, bool must, const char *modes,
	 const char **out)
{
	const char *url = member_text(r->entry->root, name);
	char why[80];

	snprintf(why, sizeof(why), "must be there for %s, and only then", modes);
	if (url == NULL ? must : !may)
		return member_wrong(r, name, why);
	if (url != NULL && member_check_url(r, name, url) != SL_OK)
		return SL_INVALID;
	*out = url;
	return SL_OK;
}

/* One of two words, the first one when there is none; *second tells which. */
static enum sl_code
read_choice(const struct reading *r, const char *name, const char *a, const char *b, bool *second)
{
	const char *given = member_text(r->entry->root, name);
	char why[64];

	*second = given != NULL && strcmp(given, b) == 0;
	if (given == NULL || *second || strcmp(given, a) == 0)
		return SL_OK;
	snprintf(why, sizeof(why), "must be %s or %s", a, b);
	return member_wrong(r, name, why);
}

#define TOKEN_TTL_MAX_MS (10 * 365 * 24 * 3600 * INT64_C(1000))

static enum sl_code
read_token_ttl(const struct reading *r)
{
	const json_t *value = json_object_get(r->entry->root, "token_expires_in_ms");
	json_int_t ms = json_integer_value(value);

	if (value == NULL)
		return SL_OK;
	if (ms < 1000 || ms > TOKEN_TTL_MAX_MS)
		return member_wrong(r, "token_expires_in_ms", "must be from a second to ten years");
	r->entry->provider.token_ttl_s = ms / 1000;
	return SL_OK;
}

static enum sl_code
read_params(const struct reading *r, const char *name, struct provider_pair **out,
	    const struct provider_pair **shown, int *count)
{
	enum sl_code code =
	    member_read_pairs(r, json_object_get(r->entry->root, name), name, out, count);

	*shown = *out;
	return code;
}

/* What provider/token.h needs. */
static enum sl_code
read_token(const struct reading *r)
{
	static const char *const names[] = {"refresh_url",    "token_request_auth_method",
					    "body_format",    "token_params",
					    "refresh_params", "token_expires_in_ms"};
	struct definition *entry = r->entry;
	struct provider *provider = &entry->provider;
	bool oauth2 = provider->auth_mode == AUTH_OAUTH2;
	bool any = oauth2 || provider->auth_mode == AUTH_OAUTH2_CC;
	const char *unused;
	bool basic;

	if (read_url(r, "authorization_url", oauth2, oauth2, "OAUTH2", &unused) != SL_OK ||
	    read_url(r, "token_url", any, any, "OAUTH2 and OAUTH2_CC", &provider->token_url) !=
		SL_OK)
		return SL_INVALID;
	for (size_t i = 0; !any && i < sizeof(names) / sizeof(names[0]); i++)
		if (json_object_get(entry->root, names[i]) != NULL)
			return member_wrong(r, names[i], "is for OAUTH2 and OAUTH2_CC only");
	if (json_object_get(entry->root, "token_params") != NULL && oauth2)
		return member_wrong(r, "token_params", "is for OAUTH2_CC only");
	if (read_url(r, "refresh_url", oauth2, false, "OAUTH2", &provider->refresh_url) != SL_OK ||
	    read_choice(r, "token_request_auth_method", "body", "basic", &basic) != SL_OK ||
	    read_choice(r, "body_format", "form", "json", &provider->token_json) != SL_OK)
		return SL_INVALID;
	provider->token_client = basic ? TOKEN_CLIENT_BASIC : TOKEN_CLIENT_BODY;
	if (read_params(r, "token_params", &entry->token_params, &provider->token_params,
			&provider->token_param_count) != SL_OK ||
	    read_params(r, "refresh_params", &entry->refresh_params, &provider->refresh_params,
			&provider->refresh_param_count) != SL_OK)
		return SL_INVALID;
	return read_token_ttl(r);
}

/* {"scope":"app"}: whose the provider's windows are. */
static enum sl_code
read_rate_limit(const struct reading *r)
{
	static const struct member table[] = {{"scope", MEMBER_TEXT, true},
					      {NULL, MEMBER_TEXT, false}};
	static const char *const scopes[] = {"connection", "app", NULL};
	json_t *limit = json_object_get(r->entry->root, "rate_limit");

	if (limit == NULL)
		return SL_OK;
	if (member_check_all(r, limit, "rate_limit.", table) != SL_OK)
		return SL_INVALID;
	if (!member_is_one_of(member_text(limit, "scope"), scopes))
		return member_wrong(r, "rate_limit.scope", "must be connection or app");
	r->entry->provider.limits_per_app = strcmp(member_text(limit, "scope"), "app") == 0;
	return SL_OK;
}

static enum sl_code
read_webhook(const struct reading *r)
{
	const char *webhook = member_text(r->entry->root, "webhook");

	if (webhook == NULL)
		return SL_OK;
	if (strcmp(webhook, "generic") != 0)
		return member_wrong(r, "webhook", "must be generic");
	r->entry->provider.webhook = WEBHOOK_GENERIC;
	return SL_OK;
}

static enum sl_code
read_root(const struct reading *r)
{
	static const struct member table[] = {{"display_name", MEMBER_TEXT, true},
					      {"auth_mode", MEMBER_TEXT, true},
					      {"proxy", MEMBER_OBJECT, true},
					      {"categories", MEMBER_ARRAY, true},
					      {"docs", MEMBER_TEXT, true},
					      {"authorization_url", MEMBER_TEXT, false},
					      {"token_url", MEMBER_TEXT, false},
					      {"refresh_url", MEMBER_TEXT, false},
					      {"token_request_auth_method", MEMBER_TEXT, false},
					      {"body_format", MEMBER_TEXT, false},
					      {"token_params", MEMBER_OBJECT, false},
					      {"refresh_params", MEMBER_OBJECT, false},
					      {"token_expires_in_ms", MEMBER_INT, false},
					      {"rate_limit", MEMBER_OBJECT, false},
					      {"webhook", MEMBER_TEXT, false},
					      {NULL, MEMBER_TEXT, false}};
	json_t *root = r->entry->root, *category;
	size_t index;

	if (!json_is_object(root))
		return member_wrong(r, "the file", "must hold one object");
	if (member_check_all(r, root, "", table) != SL_OK)
		return SL_INVALID;
	r->entry->provider.display_name = member_text(root, "display_name");
	json_array_foreach(json_object_get(root, "categories"), index, category)
	{
		if (!member_is_kind(category, MEMBER_TEXT))
			return member_wrong(r, "categories", "must hold texts");
	}
	if (member_check_url(r, "docs", member_text(root, "docs")) != SL_OK ||
	    read_auth_mode(r) != SL_OK || read_token(r) != SL_OK || read_rate_limit(r) != SL_OK ||
	    read_webhook(r) != SL_OK || read_proxy(r, json_object_get(root, "proxy")) != SL_OK)
		return SL_INVALID;
	return settle_auth(r);
}

/* The definition as GET /providers shows it. */
static void
make_json(struct definition *entry)
{
	char *logo = sl_asprintf("/images/template-logos/%s.svg", entry->name);
	json_t *shown = json_object();

	if (shown == NULL || json_object_set_new(shown, "name", json_string(entry->name)) != 0 ||
	    json_object_update(shown, entry->root) != 0 ||
	    json_object_set_new(shown, "logo_url", json_string(logo)) != 0 ||
	    (entry->json = json_dumps(shown, JSON_COMPACT)) == NULL)
		abort(); /* out of memory, as in base/alloc */
	json_decref(shown);
	free(logo);
	entry->provider.json = slice_text(entry->json);
}

void
definition_free(struct definition *entry)
{
	if (entry == NULL)
		return;
	json_decref(entry->root);
	free(entry->name);
	free(entry->json);
	free(entry->paginate);
	free(entry->headers);
	free(entry->query);
	free(entry->token_params);
	free(entry->refresh_params);
	free(entry->codes);
	free(entry->limit_codes);
	free(entry);
}

enum sl_code
definition_read(const char *directory, const char *name, struct definition **out,
		struct sl_error *error)
{
	struct definition *entry = sl_alloc(sizeof(*entry));
	struct reading r = {name, entry, error};
	char *path = sl_asprintf("%s/%s.json", directory, name);
	json_error_t at;
	enum sl_code code;

	entry->name = sl_strdup(name);
	entry->provider.name = entry->name;
	entry->root = json_load_file(path, JSON_REJECT_DUPLICATES, &at);
	if (entry->root == NULL)
		code = sl_fail(error, SL_INVALID, "%s.json:%d: %s", name, at.line, at.text);
	else
		code = read_root(&r);
	free(path);
	if (code != SL_OK) {
		definition_free(entry);
		return code;
	}
	make_json(entry);
	*out = entry;
	return SL_OK;
}
