/* provider/credential: what is accepted, sealed, shown and put into requests. */
#include "provider/credential.h"

#include <stdlib.h>

#include "tests/lib/check.h"

static const struct provider api_key = {
    .name = "k", .auth_mode = AUTH_API_KEY, .auth_mode_name = "API_KEY"};
static const struct provider basic = {
    .name = "b", .auth_mode = AUTH_BASIC, .auth_mode_name = "BASIC"};
static const struct provider oauth2 = {
    .name = "o", .auth_mode = AUTH_OAUTH2, .auth_mode_name = "OAUTH2"};
static const struct provider client = {
    .name = "c", .auth_mode = AUTH_OAUTH2_CC, .auth_mode_name = "OAUTH2_CC"};
static const struct provider none = {.name = "n", .auth_mode = AUTH_NONE, .auth_mode_name = "NONE"};

static struct buf out;
static struct sl_error error;
static char path[128];

static struct json_value
value_of(const char *text)
{
	struct json_value value = {JSON_NONE, {NULL, 0}};

	if (text != NULL && json_check(slice_text(text), &value, &error) != SL_OK)
		printf("# the test's own JSON is wrong: %s\n", error.text);
	return value;
}

static void
reset(void)
{
	buf_fini(&out);
	buf_init(&out, 1 << 20);
	error = (struct sl_error){0};
	path[0] = '\0';
}

static const char *
sealed(const struct provider *provider, const char *credentials)
{
	reset();
	if (credential_check(provider, value_of(credentials), &out, path, &error) != SL_OK)
		return NULL;
	return out.data;
}

static const char *
legacy(const struct provider *provider, const char *body)
{
	reset();
	if (credential_from_legacy(provider, value_of(body), &out, &error) != SL_OK)
		return NULL;
	return out.data;
}

static const char *
shown(const char *opened, bool with_refresh_token)
{
	reset();
	credential_show(slice_text(opened), with_refresh_token, &out);
	return out.data;
}

static void
each_mode_is_sealed_with_its_members(void)
{
	check_text(sealed(&api_key, "{\"type\":\"API_KEY\",\"apiKey\":\"k-1\"}"),
		   "{\"type\":\"API_KEY\",\"apiKey\":\"k-1\"}");
	check_text(sealed(&basic, "{\"password\":\"\",\"username\":\"u\",\"type\":\"BASIC\"}"),
		   "{\"type\":\"BASIC\",\"username\":\"u\",\"password\":\"\"}");
	check_text(sealed(&oauth2, "{\"type\":\"OAUTH2\",\"access_token\":\"a\"}"),
		   "{\"type\":\"OAUTH2\",\"access_token\":\"a\"}");
	check_text(sealed(&oauth2,
			  "{\"type\":\"OAUTH2\",\"access_token\":\"a\",\"refresh_token\":\"r\","
			  "\"expires_at\":\"2026-11-22T06:12:00+01:00\","
			  "\"config_override\":{\"client_id\":\"c\"}}"),
		   "{\"type\":\"OAUTH2\",\"access_token\":\"a\",\"refresh_token\":\"r\","
		   "\"expires_at\":\"2026-11-22T05:12:00.000Z\","
		   "\"config_override\":{\"client_id\":\"c\"}}");
	check_text(sealed(&none, "{}"), "{}");
	check_text(sealed(&none, "{\"type\":\"NONE\"}"), "{}");
	check_text(sealed(&none, NULL), "{}");
}

static void
what_is_wrong_is_named_with_its_path(void)
{
	static const struct {
		const struct provider *provider;
		const char *given, *path, *text;
	} rows[] = {
	    {&api_key, NULL, "credentials", "credentials is required"},
	    {&api_key, "[]", "credentials", "credentials must be an object"},
	    {&api_key, "{\"apiKey\":\"k\"}", "credentials.type", "credentials.type is required"},
	    {&api_key, "{\"type\":\"BASIC\",\"username\":\"u\",\"password\":\"p\"}",
	     "credentials.type", "credentials.type must be API_KEY for this provider"},
	    {&api_key, "{\"type\":7,\"apiKey\":\"k\"}", "credentials.type",
	     "credentials.type must be API_KEY for this provider"},
	    {&api_key, "{\"type\":\"API_KEY\"}", "credentials.apiKey",
	     "credentials.apiKey is required"},
	    {&api_key, "{\"type\":\"API_KEY\",\"apiKey\":\"\"}", "credentials.apiKey",
	     "credentials.apiKey is required"},
	    {&api_key, "{\"type\":\"API_KEY\",\"apiKey\":7}", "credentials.apiKey",
	     "credentials.apiKey must be a text"},
	    {&api_key, "{\"type\":\"API_KEY\",\"apiKey\":null}", "credentials.apiKey",
	     "credentials.apiKey must be a text"},
	    {&api_key, "{\"type\":\"API_KEY\",\"apiKey\":\"k\",\"apikey\":\"k\"}",
	     "credentials.apikey", "credentials.apikey is not known"},
	    {&api_key, "{\"type\":\"API_KEY\",\"apiKey\":\"k\\r\\nx: y\"}", "credentials.apiKey",
	     "credentials.apiKey holds a control character"},
	    {&api_key, "{\"type\":\"API_KEY\",\"apiKey\":\"k\\u0000\"}", "credentials.apiKey",
	     "credentials.apiKey holds a control character"},
	    {&api_key, "{\"type\":\"API_KEY\",\"apiKey\\u0000\":\"k\"}", "credentials.apiKey",
	     "credentials.apiKey is not known"},
	    {&basic, "{\"type\":\"BASIC\",\"username\":\"u\"}", "credentials.password",
	     "credentials.password is required"},
	    {&oauth2, "{\"type\":\"OAUTH2\",\"access_token\":\"a\",\"expires_at\":\"soon\"}",
	     "credentials.expires_at", "credentials.expires_at must be a date"},
	    {&oauth2, "{\"type\":\"OAUTH2\",\"access_token\":\"a\",\"expires_at\":-1}",
	     "credentials.expires_at", "credentials.expires_at must be a date"},
	    {&oauth2, "{\"type\":\"OAUTH2\",\"access_token\":\"a\",\"expires_at\":1e400}",
	     "credentials.expires_at", "credentials.expires_at must be a date"},
	    {&oauth2, "{\"type\":\"OAUTH2\",\"access_token\":\"a\",\"config_override\":{\"x\":1}}",
	     "credentials.config_override.x", "credentials.config_override.x is not known"},
	    {&none, "{\"type\":\"API_KEY\"}", "credentials.type",
	     "credentials.type must be NONE for this provider"},
	    {&none, "{\"apiKey\":\"k\"}", "credentials.apiKey", "credentials.apiKey is not known"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		reset();
		check_int(
		    credential_check(rows[i].provider, value_of(rows[i].given), &out, path, &error),
		    ==, SL_INVALID);
		check_text(error.text, rows[i].text);
		check_text(path, rows[i].path);
		check_int(out.len, ==, 0);
	}
}

static void
a_member_given_twice_is_refused(void)
{
	struct json_value body =
	    value_of("{\"credentials\":{\"type\":\"API_KEY\",\"apiKey\":\"a\",\"apiKey\":\"b\"}}");

	reset();
	check_int(credential_check(&api_key, json_get(body, "credentials"), &out, path, &error), ==,
		  SL_INVALID);
	check_text(error.text, "credentials.apiKey is given twice");
}

static void
keys_are_limited_and_tokens_are_longer(void)
{
	static char text[17000];

	memset(text, 'k', sizeof(text));
	memcpy(text, "{\"type\":\"API_KEY\",\"apiKey\":\"", 28);
	memcpy(text + 28 + 1024, "\"}", 3);
	check(sealed(&api_key, text) != NULL);
	memset(text + 28, 'k', 1100);
	memcpy(text + 28 + 1025, "\"}", 3);
	check(sealed(&api_key, text) == NULL);
	check_text(error.text, "credentials.apiKey is too long");
	memset(text, 'k', sizeof(text));
	memcpy(text, "{\"type\":\"OAUTH2\",\"access_token\":\"", 33);
	memcpy(text + 33 + 16384, "\"}", 3);
	check(sealed(&oauth2, text) != NULL);
}

static void
the_legacy_form_gives_the_same(void)
{
	check_text(legacy(&api_key, "{\"connection_id\":\"c\",\"api_key\":\"k\",\"metadata\":{}}"),
		   "{\"type\":\"API_KEY\",\"apiKey\":\"k\"}");
	check_text(legacy(&basic, "{\"username\":\"u\",\"password\":\"p\"}"),
		   "{\"type\":\"BASIC\",\"username\":\"u\",\"password\":\"p\"}");
	check_text(legacy(&oauth2, "{\"access_token\":\"a\",\"no_expiration\":true}"),
		   "{\"type\":\"OAUTH2\",\"access_token\":\"a\"}");
	check_text(legacy(&oauth2, "{\"access_token\":\"a\",\"expires_at\":1795324320000}"),
		   "{\"type\":\"OAUTH2\",\"access_token\":\"a\","
		   "\"expires_at\":\"2026-11-22T05:12:00.000Z\"}");
	check_text(legacy(&none, "{\"connection_id\":\"c\"}"), "{}");
	check(legacy(&api_key, "{}") == NULL);
	check_text(error.text, "api_key is required");
	check(legacy(&oauth2, "{}") == NULL);
	check_text(error.text, "access_token is required");
	check(legacy(&oauth2, "{\"access_token\":\"a\"}") == NULL);
	check_text(error.text, "expires_at is required (or no_expiration: true)");
	check(legacy(&basic, "{\"username\":\"u\"}") == NULL);
	check_text(error.text, "password is required");
}

static void
a_refresh_token_is_shown_only_when_asked_for(void)
{
	static const char opened[] =
	    "{\"type\":\"OAUTH2\",\"access_token\":\"a\",\"refresh_token\":\"r\","
	    "\"raw\":{\"scope\":\"s\",\"refresh_token\":\"r\",\"n\":1.0}}";

	check_text(shown(opened, false), "{\"type\":\"OAUTH2\",\"access_token\":\"a\","
					 "\"raw\":{\"scope\":\"s\",\"n\":1.0}}");
	check_text(shown(opened, true),
		   "{\"type\":\"OAUTH2\",\"access_token\":\"a\",\"refresh_token\":\"r\","
		   "\"raw\":{\"scope\":\"s\",\"refresh_token\":\"r\",\"n\":1.0}}");
	check_text(shown("{\"type\":\"OAUTH2\",\"access_token\":\"a\"}", false),
		   "{\"type\":\"OAUTH2\",\"access_token\":\"a\",\"raw\":{}}");
}

static void
client_credentials_may_come_without_a_token(void)
{
	static const char whole[] =
	    "{\"type\":\"OAUTH2_CC\",\"token\":\"t\",\"client_id\":\"i\",\"client_secret\":\"s\","
	    "\"client_certificate\":\"-----BEGIN\\nA\\n\",\"client_private_key\":\"-----K\\n\","
	    "\"expires_at\":\"2026-11-22T05:12:00.000Z\"}";
	char with_raw[400];

	check_text(sealed(&client, "{\"type\":\"OAUTH2_CC\",\"client_id\":\"i\","
				   "\"client_secret\":\"s\"}"),
		   "{\"type\":\"OAUTH2_CC\",\"client_id\":\"i\",\"client_secret\":\"s\"}");
	check_text(sealed(&client, whole), whole);
	check(sealed(&client, "{\"type\":\"OAUTH2_CC\",\"client_id\":\"i\"}") == NULL);
	check_text(error.text, "credentials.client_secret is required");
	check(sealed(&client, "{\"type\":\"OAUTH2_CC\",\"client_id\":\"i\\n\","
			      "\"client_secret\":\"s\"}") == NULL);
	check_text(error.text, "credentials.client_id holds a control character");
	check(sealed(&client, "{\"type\":\"OAUTH2_CC\",\"client_id\":\"i\",\"client_secret\":\"s\","
			      "\"client_certificate\":\"a\\u0001\"}") == NULL);
	check_text(legacy(&client, "{\"client_id\":\"i\",\"client_secret\":\"s\"}"),
		   "{\"type\":\"OAUTH2_CC\",\"client_id\":\"i\",\"client_secret\":\"s\"}");
	check_text(
	    shown("{\"type\":\"OAUTH2_CC\",\"client_id\":\"i\",\"client_secret\":\"s\"}", false),
	    "{\"type\":\"OAUTH2_CC\",\"client_id\":\"i\",\"client_secret\":\"s\",\"raw\":{}}");
	snprintf(with_raw, sizeof(with_raw), "%.*s,\"raw\":{\"access_token\":\"t\"}}",
		 (int)sizeof(whole) - 2, whole);
	check_text(shown(with_raw, false), with_raw);
}

static void
other_modes_are_shown_as_they_were_sealed(void)
{
	check_text(shown("{\"type\":\"API_KEY\",\"apiKey\":\"k\"}", false),
		   "{\"type\":\"API_KEY\",\"apiKey\":\"k\"}");
	check_text(shown("{}", true), "{}");
	check_text(shown("", true), "{}");
	check_text(shown("[broken", true), "{}");
}

static const char *
expanded(const char *text)
{
	struct json_value credentials =
	    value_of("{\"access_token\":\"at\",\"apiKey\":\"ke\\u00fc\",\"username\":\"Aladdin\","
		     "\"password\":\"open sesame\",\"extra\":{\"id\":\"e\"}}");
	struct json_value config =
	    value_of("{\"subdomain\":\"acme\",\"port\":8080,\"a.b\":\"dotted\",\"list\":[],"
		     "\"evil\":\"${apiKey}\"}");
	struct json_value integration = value_of("{\"baseUrl\":\"https://x\"}");

	reset();
	if (credential_expand(text, credentials, config, value_of("null"), integration, &out,
			      &error) != SL_OK)
		return NULL;
	return out.data != NULL ? out.data : "";
}

static void
templates_get_their_values(void)
{
	check_text(expanded("Bearer ${accessToken}"), "Bearer at");
	check_text(expanded("${apiKey}${apiKey}"), "ke\xc3\xbc"
						   "ke\xc3\xbc");
	check_text(expanded("Basic ${basic}"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
	check_text(expanded("${username}:${password}"), "Aladdin:open sesame");
	check_text(expanded("${connectionConfig.subdomain}.x:${connectionConfig.port}"),
		   "acme.x:8080");
	check_text(expanded("${connectionConfig.a.b}"), "dotted");
	check_text(expanded("${credentials.extra.id}"), "e");
	check_text(expanded("${baseUrl}/v1"), "https://x/v1");
	check_text(expanded("plain $ {} }"), "plain $ {} }");
	check_text(expanded(""), "");
}

static void
values_are_never_expanded_again(void)
{
	check_text(expanded("${connectionConfig.evil}"), "${apiKey}");
}

static void
unknown_names_are_named(void)
{
	check(expanded("${connectionConfig.nope}") == NULL);
	check_text(error.text, "connectionConfig.nope is not set, or is not a text");
	check(expanded("${metadata.x}") == NULL);
	check_text(error.text, "metadata.x is not set, or is not a text");
	check(expanded("${connectionConfig.list}") == NULL);
	check(expanded("${nope}") == NULL);
	check(expanded("${}") == NULL);
	check(expanded("${apiKey") == NULL);
	check_text(error.text, "a placeholder has no closing brace");
}

int
main(void)
{
	buf_init(&out, 1 << 20);
	CHECK_RUN(each_mode_is_sealed_with_its_members);
	CHECK_RUN(what_is_wrong_is_named_with_its_path);
	CHECK_RUN(a_member_given_twice_is_refused);
	CHECK_RUN(keys_are_limited_and_tokens_are_longer);
	CHECK_RUN(the_legacy_form_gives_the_same);
	CHECK_RUN(a_refresh_token_is_shown_only_when_asked_for);
	CHECK_RUN(client_credentials_may_come_without_a_token);
	CHECK_RUN(other_modes_are_shown_as_they_were_sealed);
	CHECK_RUN(templates_get_their_values);
	CHECK_RUN(values_are_never_expanded_again);
	CHECK_RUN(unknown_names_are_named);
	buf_fini(&out);
	return check_done();
}
