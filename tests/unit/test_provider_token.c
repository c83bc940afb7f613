/* provider/token: what token endpoints are asked, and what their answers are worth (bad inputs, row 54). */
#include "provider/token.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/check.h"

/* 2026-11-22T05:12:00Z */
#define NOW_MS INT64_C(1795324320000)

static struct provider provider;
static struct token_ask ask;
static struct sl_error error;
static struct buf out;

static void
reset(enum auth_mode mode)
{
	provider = (struct provider){.name = "p",
				     .auth_mode = mode,
				     .auth_mode_name = mode == AUTH_OAUTH2 ? "OAUTH2" : "OAUTH2_CC",
				     .token_url = "https://x.test/token"};
	token_ask_fini(&ask);
	error = (struct sl_error){0};
	buf_fini(&out);
	buf_init(&out, 65536);
}

static struct json_value
json(const char *text)
{
	struct json_value value = {JSON_NONE, {NULL, 0}};

	if (text != NULL)
		check_int(json_check(slice_text(text), &value, NULL), ==, SL_OK);
	return value;
}

static enum sl_code
request(const char *credentials, const char *client, const char *config, const char *integration)
{
	token_ask_fini(&ask);
	return token_request(&provider, json(credentials), json(client), json(config), json(NULL),
			     json(integration), &ask, &error);
}

static enum sl_code
answer(const char *credentials, int status, const char *type, const char *body)
{
	buf_clear(&out);
	error = (struct sl_error){0};
	return token_answer(&provider, json(credentials), status, type, slice_text(body), NOW_MS,
			    &out, &error);
}

#define CLIENT "{\"client_id\":\"id\",\"client_secret\":\"s&c t\",\"scopes\":\"a, b c\"}"
#define OLD                                                                        \
	"{\"type\":\"OAUTH2\",\"access_token\":\"old\",\"refresh_token\":\"r/1\"," \
	"\"expires_at\":\"2026-11-22T05:00:00.000Z\"}"
#define CC "{\"type\":\"OAUTH2_CC\",\"client_id\":\"mine\",\"client_secret\":\"s\"}"
#define JSON_TYPE "application/json; charset=utf-8"

static void
a_refresh_token_is_sent_as_a_form(void)
{
	reset(AUTH_OAUTH2);
	check_int(request(OLD, CLIENT, "{}", "{}"), ==, SL_OK);
	check_text(ask.url, "https://x.test/token");
	check_text(ask.content_type, "application/x-www-form-urlencoded");
	check_text(ask.body, "grant_type=refresh_token&refresh_token=r%2F1&client_id=id&"
			     "client_secret=s%26c%20t");
	check_int(ask.body_len, ==, strlen(ask.body));
	check(ask.authorization == NULL);
	provider.token_client = TOKEN_CLIENT_BASIC;
	check_int(request(OLD, CLIENT, "{}", "{}"), ==, SL_OK);
	check_text(ask.body, "grant_type=refresh_token&refresh_token=r%2F1");
	check_text(ask.authorization, "Basic aWQ6cyUyNmMlMjB0"); /* id:s%26c%20t */
	provider.token_json = true;
	check_int(request(OLD, CLIENT, "{}", "{}"), ==, SL_OK);
	check_text(ask.content_type, "application/json");
	check_text(ask.body, "{\"grant_type\":\"refresh_token\",\"refresh_token\":\"r/1\"}");
}

static void
the_connections_own_client_wins(void)
{
	reset(AUTH_OAUTH2);
	check_int(request("{\"type\":\"OAUTH2\",\"access_token\":\"a\",\"refresh_token\":\"r\","
			  "\"config_override\":{\"client_id\":\"own\",\"client_secret\":\"mine\"}}",
			  CLIENT, "{}", "{}"),
		  ==, SL_OK);
	check_text(ask.body,
		   "grant_type=refresh_token&refresh_token=r&client_id=own&client_secret=mine");
	check_int(request(OLD, NULL, "{}", "{}"), ==, SL_INVALID);
	check(strstr(error.text, "client_id") != NULL);
	check(ask.body == NULL && ask.url == NULL);
}

static void
client_credentials_are_sent_with_their_scopes(void)
{
	static const struct provider_pair params[] = {
	    {"audience", "https://${connectionConfig.host}/"},
	    {"grant_type", "account_credentials"}};

	reset(AUTH_OAUTH2_CC);
	check_int(request(CC, NULL, "{}", "{}"), ==, SL_OK);
	check_text(ask.body, "grant_type=client_credentials&client_id=mine&client_secret=s");
	check_int(request(CC, CLIENT, NULL, NULL), ==, SL_OK);
	check_text(ask.body, "grant_type=client_credentials&scope=a%20b%20c&client_id=mine&"
			     "client_secret=s");
	check_int(request(CC, CLIENT, "{\"oauth_scopes_override\":[\"x\",\"y\"]}", NULL), ==,
		  SL_OK);
	check_text(ask.body, "grant_type=client_credentials&scope=x%20y&client_id=mine&"
			     "client_secret=s");
	provider.token_params = params;
	provider.token_param_count = 2;
	check_int(request(CC, NULL, "{\"host\":\"h\"}", NULL), ==, SL_OK);
	check_text(ask.body, "grant_type=account_credentials&client_id=mine&client_secret=s&"
			     "audience=https%3A%2F%2Fh%2F");
	check_int(request(CC, NULL, "{}", NULL), ==, SL_INVALID);
	check(strstr(error.text, "audience") != NULL);
	check(strstr(error.text, "connectionConfig.host") != NULL);
}

static void
a_client_may_show_a_certificate(void)
{
	reset(AUTH_OAUTH2_CC);
	check_int(request("{\"type\":\"OAUTH2_CC\",\"client_id\":\"mine\",\"client_certificate\":"
			  "\"-----A\\n\",\"client_private_key\":\"-----B\\n\"}",
			  NULL, NULL, NULL),
		  ==, SL_OK);
	check(slice_is(ask.client_certificate, "-----A\n"));
	check(slice_is(ask.client_key, "-----B\n"));
	check_text(ask.body, "grant_type=client_credentials&client_id=mine");
	check_int(request("{\"type\":\"OAUTH2_CC\",\"client_id\":\"mine\"}", NULL, NULL, NULL), ==,
		  SL_INVALID);
	check(strstr(error.text, "client_secret") != NULL);
	check_int(request("{\"type\":\"OAUTH2_CC\",\"client_id\":\"mine\",\"client_secret\":\"s\","
			  "\"client_certificate\":\"A\"}",
			  NULL, NULL, NULL),
		  ==, SL_INVALID);
	check(strstr(error.text, "client_private_key") != NULL);
}

static void
the_url_is_the_first_one_that_can_be_made(void)
{
	reset(AUTH_OAUTH2);
	provider.token_url = "https://${connectionConfig.sub}.x.test/t || https://x.test/t";
	check_int(request(OLD, CLIENT, "{\"sub\":\"eu\"}", NULL), ==, SL_OK);
	check_text(ask.url, "https://eu.x.test/t");
	check_int(request(OLD, CLIENT, "{}", NULL), ==, SL_OK);
	check_text(ask.url, "https://x.test/t");
	check_int(request(OLD, CLIENT, "{\"sub\":\"evil.test/\"}", NULL), ==, SL_INVALID);
	check(strstr(error.text, "connectionConfig.sub") != NULL);
	provider.token_url = "${tokenUrl}";
	check_int(request(OLD, CLIENT, NULL, "{\"tokenUrl\":\"http://127.0.0.1:9/t\"}"), ==, SL_OK);
	check_text(ask.url, "http://127.0.0.1:9/t");
	check_int(request(OLD, CLIENT, "{\"tokenUrl\":\"http://evil.test/\"}", NULL), ==,
		  SL_INVALID); /* of the integration only: it is sent the client's secret */
	check(strstr(error.text, "tokenUrl") != NULL);
	check_int(request(OLD, CLIENT, NULL, "{\"tokenUrl\":\"http://a@b/t\"}"), ==, SL_INVALID);
	check_int(request(OLD, CLIENT, NULL, "{\"tokenUrl\":\"ftp://b/t\"}"), ==, SL_INVALID);
	provider.refresh_url = "https://x.test/refresh";
	check_int(request(OLD, CLIENT, NULL, NULL), ==, SL_OK);
	check_text(ask.url, "https://x.test/refresh");
}

static void
other_kinds_are_not_refreshed(void)
{
	reset(AUTH_OAUTH2);
	check_int(request("{\"type\":\"OAUTH2\",\"access_token\":\"a\"}", CLIENT, NULL, NULL), ==,
		  SL_NOT_FOUND);
	check(
	    !token_is_refreshable(&provider, json("{\"type\":\"OAUTH2\",\"access_token\":\"a\"}")));
	check(token_is_refreshable(&provider, json(OLD)));
	check(!token_is_refreshable(&provider, json(CC)));
	provider.token_url = NULL;
	check(!token_is_refreshable(&provider, json(OLD)));
	check_int(request(OLD, CLIENT, NULL, NULL), ==, SL_NOT_FOUND);
	provider.auth_mode = AUTH_API_KEY;
	check_int(request("{\"type\":\"API_KEY\",\"apiKey\":\"a\"}", NULL, NULL, NULL), ==,
		  SL_NOT_FOUND);
}

static void
ends_and_texts_of_tokens(void)
{
	char *text = token_text(json(OLD));

	check_text(text, "old");
	free(text);
	check(token_text(json(CC)) == NULL);
	check_int(token_expires_ms(json(OLD)), ==, NOW_MS - 720000);
	check_int(token_expires_ms(json(CC)), ==, 0);
	check_int(token_expires_ms(json("{\"type\":\"OAUTH2_CC\",\"token\":\"t\"}")), ==,
		  INT64_MAX);
	check_int(token_expires_ms(json("{\"type\":\"OAUTH2\",\"expires_at\":\"soon\"}")), ==,
		  INT64_MAX);
}

static void
a_new_token_takes_the_place_of_the_old_one(void)
{
	reset(AUTH_OAUTH2);
	check_int(answer(OLD, 200, JSON_TYPE,
			 "{\"access_token\":\"new\",\"refresh_token\":\"r2\",\"expires_in\":3600,"
			 "\"scope\":\"a b\"}"),
		  ==, SL_OK);
	check_text(out.data,
		   "{\"type\":\"OAUTH2\",\"access_token\":\"new\",\"refresh_token\":\"r2\","
		   "\"expires_at\":\"2026-11-22T06:12:00.000Z\",\"raw\":{\"access_token\":"
		   "\"new\",\"refresh_token\":\"r2\",\"expires_in\":3600,\"scope\":\"a b\"}}");
	check_int(answer("{\"type\":\"OAUTH2\",\"access_token\":\"old\",\"refresh_token\":\"r1\","
			 "\"config_override\":{\"client_id\":\"c\"},\"raw\":{\"x\":1}}",
			 201, NULL, "{\"access_token\":\"new\"}"),
		  ==, SL_OK);
	check_text(out.data,
		   "{\"type\":\"OAUTH2\",\"access_token\":\"new\",\"refresh_token\":\"r1\","
		   "\"config_override\":{\"client_id\":\"c\"},"
		   "\"raw\":{\"access_token\":\"new\"}}");
	reset(AUTH_OAUTH2_CC);
	check_int(answer(CC, 200, JSON_TYPE,
			 "{\"access_token\":\"t\",\"refresh_token\":\"r\",\"expires_in\":\"60\"}"),
		  ==, SL_OK);
	check_text(out.data,
		   "{\"type\":\"OAUTH2_CC\",\"token\":\"t\",\"expires_at\":"
		   "\"2026-11-22T05:13:00.000Z\",\"client_id\":\"mine\",\"client_secret\":"
		   "\"s\",\"raw\":{\"access_token\":\"t\",\"refresh_token\":\"r\","
		   "\"expires_in\":\"60\"}}");
}

static void
a_form_is_read_as_well(void)
{
	reset(AUTH_OAUTH2);
	check_int(answer(OLD, 200, "application/x-www-form-urlencoded; charset=utf-8",
			 "access_token=gho%5F1&expires_in=28800&scope=&token_type=bearer+x"),
		  ==, SL_OK);
	check_text(
	    out.data,
	    "{\"type\":\"OAUTH2\",\"access_token\":\"gho_1\",\"expires_at\":"
	    "\"2026-11-22T13:12:00.000Z\",\"refresh_token\":\"r/1\",\"raw\":{\"access_token\":"
	    "\"gho_1\",\"expires_in\":\"28800\",\"scope\":\"\",\"token_type\":\"bearer x\"}}");
	check_int(answer(OLD, 200, "application/x-www-form-urlencoded",
			 "error=bad_refresh_token&error_description=The+refresh+token+is+wrong."),
		  ==, SL_INVALID);
	check_text(error.text, "the token endpoint refused (200): bad_refresh_token: The refresh "
			       "token is wrong.");
}

static void
ends_that_cannot_be_are_as_none(void)
{
	static const char *const odd[] = {
	    "0",  "-1",       "\"soon\"", "\"\"",    "1000000000000", "1e99",  "null",
	    "{}", "\"0x10\"", "\"nan\"",  "\"-60\"", "0.001",         "[3600]"};
	static const char *const fine[] = {"3600", "3600.7", "\"3600\"", "3.6e3"};
	char body[120];

	reset(AUTH_OAUTH2);
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		snprintf(body, sizeof(body), "{\"access_token\":\"n\",\"expires_in\":%s}", odd[i]);
		provider.token_ttl_s = 0;
		check_int(answer(OLD, 200, JSON_TYPE, body), ==, SL_OK);
		if (strstr(out.data, "\"expires_at\"") != NULL)
			printf("# row %s\n", odd[i]);
		check(strstr(out.data, "\"expires_at\"") == NULL);
		provider.token_ttl_s = 60;
		check_int(answer(OLD, 200, JSON_TYPE, body), ==, SL_OK);
		check(strstr(out.data, "\"expires_at\":\"2026-11-22T05:13:00.000Z\"") != NULL);
	}
	provider.token_ttl_s = 0;
	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++) {
		snprintf(body, sizeof(body), "{\"access_token\":\"n\",\"expires_in\":%s}", fine[i]);
		check_int(answer(OLD, 200, JSON_TYPE, body), ==, SL_OK);
		check(strstr(out.data, "\"expires_at\":\"2026-11-22T06:12:00.000Z\"") != NULL);
	}
	check_int(answer(OLD, 200, JSON_TYPE, "{\"access_token\":\"n\",\"expires_at\":1795324380}"),
		  ==, SL_OK);
	check(strstr(out.data, "\"expires_at\":\"2026-11-22T05:13:00.000Z\"") != NULL);
	check_int(answer(OLD, 200, JSON_TYPE, "{\"access_token\":\"n\",\"expires_at\":17953243}"),
		  ==, SL_OK);
	check(strstr(out.data, "\"expires_at\":\"") == NULL); /* past */
}

static void
answers_that_say_nothing_of_the_grant_are_for_later(void)
{
	static const struct {
		int status;
		const char *type, *body;
	} rows[] = {
	    {200, "text/html", "<html>maintenance</html>"},
	    {400, "text/html", "<html>bad request</html>"},
	    {200, JSON_TYPE, ""},
	    {204, NULL, ""},
	    {200, JSON_TYPE, "{}"},
	    {200, JSON_TYPE, "[]"},
	    {200, JSON_TYPE, "{\"access_token\":\"a\""},
	    {200, JSON_TYPE, "{\"access_token\":\"a\",\"access_token\":\"b\"}"},
	    {200, JSON_TYPE, "{\"access_token\":7}"},
	    {200, JSON_TYPE, "{\"access_token\":null}"},
	    {200, JSON_TYPE, "{\"access_token\":\"\"}"},
	    {200, JSON_TYPE, "{\"access_token\":\"a\\r\\nx: y\"}"},
	    {302, JSON_TYPE, "{\"access_token\":\"a\"}"},
	    {500, JSON_TYPE, "{\"error\":\"invalid_grant\"}"},
	    {503, JSON_TYPE, "{\"access_token\":\"a\"}"},
	    {429, JSON_TYPE, "{\"error\":\"invalid_request\"}"},
	    {400, JSON_TYPE, "{\"error\":\"temporarily_unavailable\"}"},
	    {400, JSON_TYPE, "{}"},
	    {403, JSON_TYPE, "{\"message\":\"blocked by a firewall\"}"},
	    {404, JSON_TYPE, "{\"error\":\"not_found\"}"},
	    {200, JSON_TYPE, "{\"ok\":false,\"error\":\"ratelimited\"}"},
	    {200, "application/x-www-form-urlencoded", "&&=&%"},
	};

	reset(AUTH_OAUTH2);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum sl_code code = answer(OLD, rows[i].status, rows[i].type, rows[i].body);

		if (code != SL_UNAVAILABLE)
			printf("# row %d %s\n", rows[i].status, rows[i].body);
		check_int(code, ==, SL_UNAVAILABLE);
		check_int(out.len, ==, 0);
		check(error.text[0] != '\0');
	}
}

static void
refusals_are_told_by_name_without_secrets(void)
{
	static const struct {
		int status;
		const char *body, *want;
	} rows[] = {
	    {400, "{\"error\":\"invalid_grant\",\"error_description\":\"Token has been revoked.\"}",
	     "the token endpoint refused (400): invalid_grant: Token has been revoked."},
	    {401, "{\"error\":\"invalid_client\"}",
	     "the token endpoint refused (401): invalid_client"},
	    {403, "{\"error\":\"invalid_grant\"}",
	     "the token endpoint refused (403): invalid_grant"},
	    {200, "{\"ok\":false,\"error\":\"token_revoked\"}",
	     "the token endpoint refused (200): token_revoked"},
	    {400, "{\"status\":\"BAD_REFRESH_TOKEN\",\"message\":\"missing or invalid\"}",
	     "the token endpoint refused (400): BAD_REFRESH_TOKEN: missing or invalid"},
	    {400, "{\"error\":{\"type\":\"OAuthException\",\"message\":\"expired\\u0007\\n\"}}",
	     "the token endpoint refused (400): OAuthException: expired"},
	    {400, "{\"error\":{\"message\":\"inner\"},\"error_description\":\"outer\"}",
	     "the token endpoint refused (400): inner"},
	    {400, "{\"error\":{}}", "the token endpoint refused (400): it gave no reason"},
	    {400,
	     "{\"error\":\"invalid_grant\",\"error_description\":\"secret-refresh is unknown\"}",
	     "the token endpoint refused (400): invalid_grant: ************** is unknown"},
	    {400,
	     "{\"error\":\"invalid_grant\",\"error_description\":\"no "
	     "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl here\"}",
	     "the token endpoint refused (400): invalid_grant: no [...] here"},
	};
	char text[3000] = "{\"error\":\"invalid_grant\",\"error_description\":\"";

	reset(AUTH_OAUTH2);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		check_int(answer("{\"type\":\"OAUTH2\",\"refresh_token\":\"secret-refresh\"}",
				 rows[i].status, JSON_TYPE, rows[i].body),
			  ==, SL_INVALID);
		check_text(error.text, rows[i].want);
		check_int(out.len, ==, 0);
	}
	while (strlen(text) < 2900)
		strcat(text, "word ");
	strcat(text, "\"}");
	check_int(answer(OLD, 400, JSON_TYPE, text), ==, SL_INVALID);
	check_int(strlen(error.text), <, 200);
}

int
main(void)
{
	buf_init(&out, 65536);
	CHECK_RUN(a_refresh_token_is_sent_as_a_form);
	CHECK_RUN(the_connections_own_client_wins);
	CHECK_RUN(client_credentials_are_sent_with_their_scopes);
	CHECK_RUN(a_client_may_show_a_certificate);
	CHECK_RUN(the_url_is_the_first_one_that_can_be_made);
	CHECK_RUN(other_kinds_are_not_refreshed);
	CHECK_RUN(ends_and_texts_of_tokens);
	CHECK_RUN(a_new_token_takes_the_place_of_the_old_one);
	CHECK_RUN(a_form_is_read_as_well);
	CHECK_RUN(ends_that_cannot_be_are_as_none);
	CHECK_RUN(answers_that_say_nothing_of_the_grant_are_for_later);
	CHECK_RUN(refusals_are_told_by_name_without_secrets);
	token_ask_fini(&ask);
	buf_fini(&out);
	return check_done();
}
