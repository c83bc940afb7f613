/* provider/url and provider/prepare: which URL and which headers a request goes out with. */
#include "provider/prepare.h"

#include <stdlib.h>
#include <strings.h>

#include "base/alloc.h"
#include "provider/url.h"
#include "tests/lib/check.h"

static struct sl_error error;
static struct buf url;
static struct prepared prepared;

static const char *
joined(const char *base, const char *endpoint, enum url_elsewhere elsewhere)
{
	buf_fini(&url);
	buf_init(&url, 65536);
	error = (struct sl_error){0};
	if (url_join(slice_text(base), slice_text(endpoint), elsewhere, &url, &error) != SL_OK)
		return NULL;
	return url.data;
}

static void
base_and_endpoint_meet_at_one_slash(void)
{
	static const struct {
		const char *base, *endpoint, *want;
	} rows[] = {
	    {"https://x.test", "a/b", "https://x.test/a/b"},
	    {"https://x.test", "/a/b", "https://x.test/a/b"},
	    {"https://x.test/", "/a/b", "https://x.test/a/b"},
	    {"https://x.test//", "//a//b", "https://x.test//a//b"},
	    {"https://x.test/v1", "a", "https://x.test/v1/a"},
	    {"https://x.test/v1/", "/a/", "https://x.test/v1/a/"},
	    {"https://x.test/v1", "", "https://x.test/v1"},
	    {"https://x.test/v1/", "", "https://x.test/v1"},
	    {"https://x.test", "", "https://x.test"},
	    {"https://x.test/v1", "/", "https://x.test/v1/"},
	    {"https://x.test/v1", "?a=b", "https://x.test/v1?a=b"},
	    {"https://x.test/v1", "/a?b=c&d=e", "https://x.test/v1/a?b=c&d=e"},
	    {"https://x.test/v1?t=1", "/a?b=c", "https://x.test/v1/a?t=1&b=c"},
	    {"https://x.test/v1", "/a?", "https://x.test/v1/a"},
	    {"https://x.test/v1", "/a?b=c#d?e", "https://x.test/v1/a?b=c"},
	    {"https://x.test/v1#frag", "/a", "https://x.test/v1/a"},
	    {"HTTP://x.test:8080", "a", "http://x.test:8080/a"},
	    {"http://[::1]:80", "a", "http://[::1]:80/a"},
	    /* data in a path stays data */
	    {"https://x.test", "/a%2Fb/%zz", "https://x.test/a%2Fb/%zz"},
	    {"https://x.test", "/a b/\xc3\xbc", "https://x.test/a%20b/%C3%BC"},
	    {"https://x.test", "/q?s='a b'&t={\"u\":1}",
	     "https://x.test/q?s=%27a%20b%27&t={%22u%22:1}"},
	    {"https://x.test", "/a\\b", "https://x.test/a%5Cb"},
	    {"https://x.test", "/a\r\nHost: evil\tx ", "https://x.test/aHost:%20evilx"},
	    {"https://x.test", "/q?next=https://y.test/z",
	     "https://x.test/q?next=https://y.test/z"},
	    {"https://x.test", "//evil.test/a", "https://x.test//evil.test/a"},
	    {"https://x.test", "@evil.test/a", "https://x.test/@evil.test/a"},
	    {"https://x.test", ".evil.test/a", "https://x.test/.evil.test/a"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_text(joined(rows[i].base, rows[i].endpoint, URL_ONLY_BASE), rows[i].want);
}

static void
an_endpoint_may_repeat_the_base_url(void)
{
	check_text(joined("https://x.test/v1", "https://x.test/v1/a?b=c", URL_ONLY_BASE),
		   "https://x.test/v1/a?b=c");
	check_text(joined("https://x.test/v1/", "HTTPS://X.test:443/v1/a", URL_ONLY_BASE),
		   "https://x.test/v1/a");
	check_text(joined("https://x.test/v1", "https://x.test/v1", URL_ONLY_BASE),
		   "https://x.test/v1");
	check_text(joined("https://x.test", "https://x.test?a=b", URL_ONLY_BASE),
		   "https://x.test?a=b");
}

static void
an_endpoint_elsewhere_is_refused(void)
{
	static const char *const endpoints[] = {"https://evil.test/v1/a",
						"http://x.test/v1/a",
						"https://x.test:444/v1/a",
						"https://x.test/v10/a",
						"https://x.test/other",
						"https://x.test.evil.test/v1/a",
						"https://x.test@evil.test/",
						"https://evil.test\\@x.test/v1",
						"ftp://x.test/v1/a",
						"ht\ntps://evil.test/v1",
						"https://x.test%2eevil.test/v1",
						"http://x.test:443/v1/a"};

	for (size_t i = 0; i < sizeof(endpoints) / sizeof(endpoints[0]); i++)
		if (joined("https://x.test/v1", endpoints[i], URL_ONLY_BASE) != NULL)
			check_text(endpoints[i], "refused");
}

static void
an_endpoint_on_the_overrides_origin_is_taken_as_it_is(void)
{
	check_text(joined("https://x.test/v1", "https://x.test/other?a=b", URL_SAME_ORIGIN),
		   "https://x.test/other?a=b");
	check_text(joined("https://x.test/v1?t=1", "https://x.test/v1/a", URL_SAME_ORIGIN),
		   "https://x.test/v1/a?t=1");
	check(joined("https://x.test/v1", "https://y.test/v1", URL_SAME_ORIGIN) == NULL);
	check(joined("https://x.test/v1", "http://x.test/v1", URL_SAME_ORIGIN) == NULL);
}

static void
only_plain_hosts_are_called(void)
{
	static const char *const bases[] = {"x.test",
					    "//x.test",
					    "ftp://x.test",
					    "file:///etc/passwd",
					    "https://",
					    "https:///a",
					    "https://u@x.test",
					    "https://u:p@x.test",
					    "https://x.test:0",
					    "https://x.test:65536",
					    "https://x.test:",
					    "https://x.test:80a",
					    "https://x.test:1:2",
					    "https://x test",
					    "https://x\ttest",
					    "https://x\r\ntest",
					    "https://x.test\\a",
					    "https://x%2etest",
					    "https://b\xc3\xbc.test",
					    "https://[::1",
					    "https://[x]",
					    "https://::1",
					    "https://[]",
					    "https:/x.test",
					    "gopher://x",
					    ""};

	for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++)
		if (joined(bases[i], "a", URL_ONLY_BASE) != NULL)
			check_text(bases[i], "refused");
}

static void
pairs_of_a_name_can_be_dropped(void)
{
	static const struct {
		const char *before, *after;
	} rows[] = {
	    {"h?key=1&a=2", "h?a=2"},         {"h?a=2&key=1", "h?a=2"},        {"h?key=1", "h"},
	    {"h?key&keys=1&a", "h?keys=1&a"}, {"h?a=key=1&&b", "h?a=key=1&b"}, {"h", "h"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buf_fini(&url);
		buf_init(&url, 100);
		buf_add_text(&url, rows[i].before);
		url_drop_query(&url, SLICE_LITERAL("key"));
		check_text(url.data, rows[i].after);
	}
}

/* --- whole requests --- */

static const struct provider_pair bearer[] = {{"accept", "application/vnd.x+json"},
					      {"authorization", "Bearer ${accessToken}"}};
static const struct provider oauth = {.name = "o",
				      .auth_mode = AUTH_OAUTH2,
				      .base_url = "https://api.test",
				      .headers = bearer,
				      .header_count = 2};
static const struct provider generic = {.name = "private-api-generic",
					.auth_mode = AUTH_API_KEY,
					.base_url = "${baseUrl}",
					.key_from_integration = true};
static const struct provider_pair key_query[] = {{"api key", "${apiKey}"}};
static const struct provider in_query = {.name = "q",
					 .auth_mode = AUTH_API_KEY,
					 .base_url = "https://q.test/v1",
					 .query = key_query,
					 .query_count = 1};

static enum sl_code
prepared_of(const struct provider *provider, const char *credentials, const char *config,
	    const char *integration, const struct provider_ask *ask)
{
	const struct provider_connection connection = {
	    .provider = provider,
	    .credentials = slice_text(credentials),
	    .connection_config = slice_text(config),
	    .metadata = slice_text("null"),
	    .integration_config = slice_text(integration),
	};

	prepare_fini(&prepared);
	error = (struct sl_error){0};
	return prepare_request(&connection, ask, &prepared, &error);
}

static const char *
header(const char *name)
{
	const char *found = NULL;

	for (int i = 0; i < prepared.header_count; i++) {
		if (strcasecmp(prepared.headers[i].name, name) != 0)
			continue;
		if (found != NULL)
			return "(twice)";
		found = prepared.headers[i].value;
	}
	return found;
}

static bool
stays_behind(const char *name)
{
	for (int i = 0; prepared.credential_headers[i] != NULL; i++)
		if (strcmp(prepared.credential_headers[i], name) == 0)
			return true;
	return false;
}

static void
credentials_win_over_the_functions_headers(void)
{
	const struct http_header headers[] = {{"Authorization", "Bearer mine"},
					      {"AUTHORIZATION", "Bearer mine too"},
					      {"Accept", "text/plain"},
					      {"X-Own", "1"},
					      {"Host", "evil.test"},
					      {"Content-Length", "7"},
					      {"Transfer-Encoding", "chunked"}};
	const struct provider_ask ask = {
	    .endpoint = "/me", .headers = headers, .header_count = 7, .user_agent = "sluice/1"};

	check_int(prepared_of(&oauth, "{\"access_token\":\"at\"}", "", "", &ask), ==, SL_OK);
	check_text(prepared.url, "https://api.test/me");
	check_text(header("authorization"), "Bearer at");
	check_text(header("accept"), "text/plain");
	check_text(header("x-own"), "1");
	check_text(header("user-agent"), "sluice/1");
	check(header("host") == NULL && header("content-length") == NULL &&
	      header("transfer-encoding") == NULL);
	check_int(prepared.header_count, ==, 4);
	check(stays_behind("authorization") && stays_behind("x-own"));
	check(!stays_behind("accept") && !stays_behind("user-agent"));
}

static void
a_function_may_bring_its_user_agent_and_an_authorization_nobody_sets(void)
{
	const struct http_header headers[] = {{"User-Agent", "mine"},
					      {"Authorization", "Bearer mine"}};
	const struct provider_ask ask = {
	    .endpoint = "x", .headers = headers, .header_count = 2, .user_agent = "sluice/1"};
	const struct provider open = {.name = "n", .base_url = "https://n.test"};

	check_int(prepared_of(&open, "{}", "{}", "{}", &ask), ==, SL_OK);
	check_text(header("user-agent"), "mine");
	check_text(header("authorization"), "Bearer mine");
	check(stays_behind("authorization"));
}

static void
headers_cannot_be_split(void)
{
	const struct http_header bad[] = {{"x-a", "b\r\nx-c: d"},
					  {"x-a", "b\nc"},
					  {"x a", "b"},
					  {"x:", "b"},
					  {"", "b"},
					  {"x\n", "b"}};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct provider_ask ask = {
		    .endpoint = "x", .headers = &bad[i], .header_count = 1};

		check_int(prepared_of(&oauth, "{\"access_token\":\"at\"}", "", "", &ask), ==,
			  SL_INVALID);
	}
	check_int(prepared_of(&oauth, "{\"access_token\":\"a\\r\\nx: y\"}", "", "",
			      &(struct provider_ask){.endpoint = "x"}),
		  ==, SL_INVALID);
	check_text(error.text, "header authorization holds a control byte");
}

static void
missing_credentials_are_named(void)
{
	const struct provider_ask ask = {.endpoint = "x"};

	check_int(prepared_of(&oauth, "{}", "", "", &ask), ==, SL_INVALID);
	check_text(error.text, "accessToken is not set, or is not a text");
	check_int(prepared_of(&oauth, "{", "", "", &ask), ==, SL_INVALID);
	check_text(error.text, "credentials is not JSON");
}

static void
a_key_in_the_query_replaces_the_functions_and_is_not_shown(void)
{
	const struct provider_ask ask = {.endpoint = "/a?api%20key=mine&b=1",
					 .query = "c=2&api key=x"};

	check_int(prepared_of(&in_query, "{\"apiKey\":\"k/&=\"}", "", "", &ask), ==, SL_OK);
	check_text(prepared.url, "https://q.test/v1/a?b=1&c=2&api%20key=k%2F%26%3D");
	check_text(prepared.shown_url, "https://q.test/v1/a?api%20key=mine&b=1&c=2&api%20key=x");
}

static void
the_base_url_of_a_private_api_has_three_sources(void)
{
	struct provider_ask ask = {.endpoint = "/a"};
	const char *key = "{\"apiKey\":\"k\"}", *name = "{\"keyName\":\"X-Key\"}";

	check_int(prepared_of(&generic, key, "{\"baseUrl\":\"https://c.test\"}",
			      "{\"baseUrl\":\"https://i.test/v2/\",\"keyName\":\"X-Key\"}", &ask),
		  ==, SL_OK);
	check_text(prepared.url, "https://i.test/v2/a");
	check_int(prepared_of(&generic, key, "{\"baseUrl\":\"https://c.test\"}", name, &ask), ==,
		  SL_OK);
	check_text(prepared.url, "https://c.test/a");
	ask.base_url_override = "";
	check_int(prepared_of(&generic, key, "{}", name, &ask), ==, SL_INVALID);
	check_int(strncmp(error.text, "missing_api_url", 15), ==, 0);
	ask.base_url_override = "http://o.test:81/x";
	check_int(prepared_of(&generic, key, "{}", name, &ask), ==, SL_OK);
	check_text(prepared.url, "http://o.test:81/x/a");
	ask.base_url_override = "o.test";
	check_int(prepared_of(&generic, key, "{}", name, &ask), ==, SL_INVALID);
	check_text(error.text, "baseUrlOverride is not an http or https URL");
	ask.base_url_override = NULL;
	check_int(prepared_of(&(struct provider){.name = "bare"}, "", "", "", &ask), ==,
		  SL_INVALID);
	check_text(error.text, "missing_api_url: bare has no base URL");
}

static void
the_integration_says_where_a_generic_key_goes(void)
{
	const struct http_header mine = {"x-KEY", "mine"};
	const struct provider_ask ask = {.endpoint = "a", .headers = &mine, .header_count = 1};
	const char *key = "{\"apiKey\":\"k\"}";

	check_int(prepared_of(&generic, key, "",
			      "{\"baseUrl\":\"https://i.test\",\"keyName\":\"X-Key\"}", &ask),
		  ==, SL_OK);
	check_text(header("x-key"), "k");
	check(stays_behind("x-key"));
	check_int(
	    prepared_of(&generic, key, "",
			"{\"baseUrl\":\"https://i.test\",\"keyPlacement\":\"header\","
			"\"keyName\":\"Authorization\",\"valueTemplate\":\"Token ${apiKey}\"}",
			&ask),
	    ==, SL_OK);
	check_text(header("authorization"), "Token k");
	check_int(prepared_of(&generic, key, "",
			      "{\"baseUrl\":\"https://i.test\",\"keyPlacement\":\"query\","
			      "\"keyName\":\"key\"}",
			      &ask),
		  ==, SL_OK);
	check_text(prepared.url, "https://i.test/a?key=k");
	check_text(prepared.shown_url, "https://i.test/a");
	check_int(prepared_of(&generic, key, "", "{\"baseUrl\":\"https://i.test\"}", &ask), ==,
		  SL_INVALID);
	check_text(error.text, "integration_config.keyName is required");
	check_int(prepared_of(&generic, key, "",
			      "{\"baseUrl\":\"https://i.test\",\"keyName\":\"k\",\"keyPlacement\":"
			      "\"body\"}",
			      &ask),
		  ==, SL_INVALID);
	check_text(error.text, "integration_config.keyPlacement must be header or query");
}

static enum sl_code
with_config(const char *base, const char *value)
{
	const struct provider provider = {.name = "p", .base_url = base};
	char *config = sl_asprintf("{\"x\":\"%s\"}", value);
	enum sl_code code =
	    prepared_of(&provider, "", config, "", &(struct provider_ask){.endpoint = "/a"});

	free(config);
	return code;
}

static void
a_value_cannot_leave_its_place_in_a_base_url(void)
{
	static const char host[] = "https://${connectionConfig.x}.shop.test";
	static const char path[] = "https://api.test/t/${connectionConfig.x}/v1";
	static const char whole[] = "${connectionConfig.x}";
	static const char *const bad_hosts[] = {
	    "evil.test/", "evil.test?", "evil.test#",   "u@evil.test", "evil.test\\\\",
	    "a\\r\\nb",   "",           "evil.test:80", "evil.test:",  "a b",
	    "\\u00fc",    "a%2f",       "evil.test\\t", "[::1]",       "a;b"};
	static const char *const bad_urls[] = {
	    "https://u@evil.test", "evil.test", "https://a/?b",       "https://a/#",
	    "https://a\\\\b",      "",          "file:///etc/passwd", "https://a/\\n"};

	check_int(with_config(host, "acme-1"), ==, SL_OK);
	check_text(prepared.url, "https://acme-1.shop.test/a");
	check_int(with_config("https://${connectionConfig.x}/r", "self.test:8443"), ==, SL_OK);
	check_text(prepared.url, "https://self.test:8443/r/a");
	for (size_t i = 0; i < sizeof(bad_hosts) / sizeof(bad_hosts[0]); i++)
		if (with_config(host, bad_hosts[i]) != SL_INVALID)
			check_text(bad_hosts[i], "refused");
	check_int(with_config(path, "c/..?#@%"), ==, SL_OK);
	check_text(prepared.url, "https://api.test/t/c%2F..%3F%23%40%25/v1/a");
	check_int(with_config(path, ".."), ==, SL_INVALID);
	check_int(with_config(whole, "https://i.test/sub/"), ==, SL_OK);
	check_text(prepared.url, "https://i.test/sub/a");
	for (size_t i = 0; i < sizeof(bad_urls) / sizeof(bad_urls[0]); i++)
		if (with_config(whole, bad_urls[i]) != SL_INVALID)
			check_text(bad_urls[i], "refused");
}

static void
an_override_is_no_template(void)
{
	const struct provider_ask ask = {.endpoint = "a",
					 .base_url_override = "https://evil.test/${accessToken}"};

	check_int(prepared_of(&oauth, "{\"access_token\":\"at\"}", "", "", &ask), ==, SL_OK);
	check_text(prepared.url, "https://evil.test/$%7BaccessToken%7D/a");
}

static void
an_override_gets_the_credentials_wherever_it_leads(void)
{
	const struct provider_ask ask = {.endpoint = "/a%2Fb/c%20d?x=%2F",
					 .base_url_override = "https://other.test/v9/"};

	check_int(prepared_of(&oauth, "{\"access_token\":\"at\"}", "", "", &ask), ==, SL_OK);
	check_text(prepared.url, "https://other.test/v9/a%2Fb/c%20d?x=%2F");
	check_text(header("authorization"), "Bearer at");
}

static void
the_first_alternative_that_is_set_is_sent(void)
{
	static const struct provider_pair headers[] = {
	    {"x-version", "${connectionConfig.version} || 2022-11-28"},
	    {"x-who", "${connectionConfig.a} || ${connectionConfig.b} || nobody"}};
	static const struct provider provider = {.name = "v",
						 .base_url =
						     "https://${connectionConfig.sub}.x.test || "
						     "https://x.test",
						 .headers = headers,
						 .header_count = 2};
	const struct provider_ask ask = {.endpoint = "a"};

	check_int(prepared_of(&provider, "{}", "{}", "", &ask), ==, SL_OK);
	check_text(prepared.url, "https://x.test/a");
	check_text(header("x-version"), "2022-11-28");
	check_text(header("x-who"), "nobody");
	check_int(prepared_of(&provider, "{}",
			      "{\"sub\":\"eu\",\"version\":\"7 || 8\",\"b\":\"b\"}", "", &ask),
		  ==, SL_OK);
	check_text(prepared.url, "https://eu.x.test/a");
	check_text(header("x-version"), "7 || 8"); /* a value is never looked at again */
	check_text(header("x-who"), "b");
}

static void
what_is_too_long_is_refused(void)
{
	static char text[70000];
	struct provider_ask ask = {.endpoint = text};

	memset(text, 'a', sizeof(text) - 1);
	check_int(prepared_of(&oauth, "{\"access_token\":\"at\"}", "", "", &ask), !=, SL_OK);
	ask = (struct provider_ask){.endpoint = "a", .query = text};
	check_int(prepared_of(&oauth, "{\"access_token\":\"at\"}", "", "", &ask), !=, SL_OK);
	ask = (struct provider_ask){.endpoint = "a", .base_url_override = text};
	check_int(prepared_of(&oauth, "{\"access_token\":\"at\"}", "", "", &ask), !=, SL_OK);
}

int
main(void)
{
	buf_init(&url, 65536);
	CHECK_RUN(base_and_endpoint_meet_at_one_slash);
	CHECK_RUN(an_endpoint_may_repeat_the_base_url);
	CHECK_RUN(an_endpoint_elsewhere_is_refused);
	CHECK_RUN(an_endpoint_on_the_overrides_origin_is_taken_as_it_is);
	CHECK_RUN(only_plain_hosts_are_called);
	CHECK_RUN(pairs_of_a_name_can_be_dropped);
	CHECK_RUN(credentials_win_over_the_functions_headers);
	CHECK_RUN(a_function_may_bring_its_user_agent_and_an_authorization_nobody_sets);
	CHECK_RUN(headers_cannot_be_split);
	CHECK_RUN(missing_credentials_are_named);
	CHECK_RUN(a_key_in_the_query_replaces_the_functions_and_is_not_shown);
	CHECK_RUN(the_base_url_of_a_private_api_has_three_sources);
	CHECK_RUN(the_integration_says_where_a_generic_key_goes);
	CHECK_RUN(a_value_cannot_leave_its_place_in_a_base_url);
	CHECK_RUN(an_override_is_no_template);
	CHECK_RUN(an_override_gets_the_credentials_wherever_it_leads);
	CHECK_RUN(the_first_alternative_that_is_set_is_sent);
	CHECK_RUN(what_is_too_long_is_refused);
	prepare_fini(&prepared);
	buf_fini(&url);
	return check_done();
}
