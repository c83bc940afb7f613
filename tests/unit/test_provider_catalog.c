/* provider/catalog: our own files load, and bad ones are named with file and member. */
#include "provider/catalog.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/json.h"
#include "tests/lib/check.h"

static struct sl_error error;
static char folder[64];

static struct catalog *
shipped(void)
{
	const char *top = getenv("srcdir");
	char *directory = sl_asprintf("%s/provider/catalog", top != NULL ? top : ".");
	struct catalog *catalog = NULL;

	if (catalog_load(directory, &catalog, &error) != SL_OK)
		printf("# %s\n", error.text);
	free(directory);
	return catalog;
}

static void
put(const char *file, const char *text)
{
	char *path = sl_asprintf("%s/%s", folder, file);
	FILE *f = fopen(path, "w");

	free(path);
	check(f != NULL);
	fputs(text, f);
	check_int(fclose(f), ==, 0);
}

static void
sweep(void)
{
	DIR *dir = opendir(folder);
	struct dirent *file;

	while (dir != NULL && (file = readdir(dir)) != NULL) {
		char *path = sl_asprintf("%s/%s", folder, file->d_name);

		if (file->d_name[0] != '.')
			unlink(path);
		free(path);
	}
	if (dir != NULL)
		closedir(dir);
}

static int
count_files(void)
{
	const char *top = getenv("srcdir");
	char pattern[4096];
	glob_t found;
	int count;

	snprintf(pattern, sizeof(pattern), "%s/provider/catalog/*.json", top != NULL ? top : ".");
	check_int(glob(pattern, 0, NULL, &found), ==, 0);
	count = (int)found.gl_pathc;
	globfree(&found);
	return count;
}

static void
all_shipped_definitions_load(void)
{
	static const char *const names[] = {"airtable",
					    "asana",
					    "github",
					    "gitlab",
					    "gmail",
					    "google-calendar",
					    "google-drive",
					    "google-mail",
					    "hubspot",
					    "intercom",
					    "jira",
					    "linear",
					    "mailchimp",
					    "notion",
					    "private-api-basic",
					    "private-api-bearer",
					    "private-api-generic",
					    "salesforce",
					    "sendgrid",
					    "shopify",
					    "slack",
					    "stripe",
					    "stripe-api-key",
					    "twilio",
					    "unauthenticated",
					    "zendesk"};
	struct catalog *catalog = shipped();

	check(catalog != NULL);
	check_int(catalog_count(catalog), ==, count_files());
	for (int i = 0; i < catalog_count(catalog); i++) {
		const struct provider *provider = catalog_at(catalog, i);

		check(catalog_find(catalog, provider->name) == provider);
		check(provider->base_url != NULL);
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		check(catalog_find(catalog, names[i]) != NULL);
	check(catalog_find(catalog, "nope") == NULL);
	check(catalog_find(catalog, "") == NULL);
	check(catalog_at(catalog, -1) == NULL);
	check(catalog_at(catalog, catalog_count(catalog)) == NULL);
	catalog_free(catalog);
}

static void
a_definition_says_all_that_a_request_needs(void)
{
	struct catalog *catalog = shipped();
	const struct provider *p = catalog_find(catalog, "github");

	check_text(p->display_name, "GitHub");
	check_int(p->auth_mode, ==, AUTH_OAUTH2);
	check_text(p->auth_mode_name, "OAUTH2");
	check_text(p->base_url, "https://api.github.com");
	check_text(p->retry_at_header, "x-ratelimit-reset");
	check_text(p->retry_after_header, "retry-after");
	check_text(p->retry_remaining_header, "x-ratelimit-remaining");
	check_int(p->retry_code_count, ==, 0);
	check_int(p->header_count, ==, 1);
	check_text(p->headers[0].name, "authorization"); /* by auth mode */
	check_text(p->headers[0].value, "Bearer ${accessToken}");
	check(p->paginate.len > 0);
	p = catalog_find(catalog, "twilio");
	check_text(p->headers[0].value, "Basic ${basic}");
	p = catalog_find(catalog, "shopify");
	check_int(p->header_count, ==, 1); /* its own header instead of authorization */
	check_text(p->headers[0].name, "x-shopify-access-token");
	p = catalog_find(catalog, "hubspot");
	check_text(p->retry_after_header, "retry-after");
	check(catalog_find(catalog, "private-api-generic")->key_from_integration);
	p = catalog_find(catalog, "unauthenticated");
	check_int(p->header_count, ==, 0);
	check_int(p->webhook, ==, WEBHOOK_GENERIC);
	check_int(catalog_find(catalog, "github")->webhook, ==, WEBHOOK_NONE);
	catalog_free(catalog);
}

static void
a_definition_says_how_tokens_are_had(void)
{
	struct catalog *catalog = shipped();
	const struct provider *p = catalog_find(catalog, "notion");

	check_text(p->token_url, "https://api.notion.com/v1/oauth/token");
	check_int(p->token_client, ==, TOKEN_CLIENT_BASIC);
	check(p->token_json);
	p = catalog_find(catalog, "github");
	check_int(p->token_client, ==, TOKEN_CLIENT_BODY);
	check(!p->token_json);
	check(!p->limits_per_app);
	check_int(p->limit_code_count, ==, 1);
	check_int(p->limit_codes[0], ==, 403);
	check_text(catalog_find(catalog, "figma")->refresh_url,
		   "https://api.figma.com/v1/oauth/refresh");
	p = catalog_find(catalog, "zoom-oauth2-cc");
	check_int(p->auth_mode, ==, AUTH_OAUTH2_CC);
	check_int(p->token_param_count, ==, 2);
	check_text(p->token_params[1].name, "grant_type");
	check_text(p->headers[0].value, "Bearer ${accessToken}");
	check(catalog_find(catalog, "spotify")->limits_per_app);
	p = catalog_find(catalog, "discord");
	check_text(p->retry_body_path, "retry_after");
	check_int(p->retry_body_unit, ==, RETRY_UNIT_S);
	check_text(catalog_find(catalog, "private-api-oauth2")->token_url, "${tokenUrl}");
	check_int(catalog_find(catalog, "private-api-oauth2-cc")->auth_mode, ==, AUTH_OAUTH2_CC);
	catalog_free(catalog);
}

static void
the_json_of_each_is_what_the_wire_shows(void)
{
	struct catalog *catalog = shipped();

	for (int i = 0; i < catalog_count(catalog); i++) {
		const struct provider *p = catalog_at(catalog, i);
		struct json_value all;
		char *text;

		check_int(json_check(p->json, &all, &error), ==, SL_OK);
		text = json_text(json_get(all, "name"), NULL);
		check_text(text, p->name);
		free(text);
		text = json_text(json_get(all, "auth_mode"), NULL);
		check_text(text, p->auth_mode_name);
		free(text);
		check_int(json_get(all, "logo_url").type, ==, JSON_TEXT);
		check_int(json_get(all, "categories").type, ==, JSON_ARRAY_);
		check_int(json_path(all, "proxy.base_url").type, ==, JSON_TEXT);
		check((json_get(all, "token_url").type == JSON_TEXT) ==
		      (p->auth_mode == AUTH_OAUTH2 || p->auth_mode == AUTH_OAUTH2_CC));
	}
	catalog_free(catalog);
}

#define ROOT(mode, proxy)                                                       \
	"{\"display_name\":\"A\",\"auth_mode\":\"" mode "\",\"categories\":[]," \
	"\"docs\":\"https://x.test/\",\"proxy\":" proxy "}"
#define KEY "\"headers\":{\"x-key\":\"${apiKey}\"}"

static void
bad_definitions_are_named_with_file_and_member(void)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
	    {"{", "bad.json:1: string or '}' expected near end of file"},
	    {"[]", "bad.json: the file must hold one object"},
	    {"{\"auth_mode\":\"NONE\",\"auth_mode\":\"NONE\"}",
	     "bad.json:1: duplicate object key near '\"auth_mode\"'"},
	    {"{}", "bad.json: display_name is missing"},
	    {"{\"display_name\":7}", "bad.json: display_name must be a text"},
	    {"{\"name\":\"bad\"}", "bad.json: name is not a member that we know"},
	    {ROOT("MAGIC", "{}"), "bad.json: auth_mode must be NONE, API_KEY, BASIC, OAUTH2 or "
				  "OAUTH2_CC"},
	    {ROOT("OAUTH2", "{}"),
	     "bad.json: authorization_url must be there for OAUTH2, and only then"},
	    {ROOT("OAUTH2_CC", "{}"),
	     "bad.json: token_url must be there for OAUTH2 and OAUTH2_CC, and only then"},
	    {ROOT("OAUTH2_CC", "{},\"token_url\":\"https://x/ || ftp://x/\""),
	     "bad.json: token_url is not an http or https URL without query"},
	    {ROOT("OAUTH2_CC", "{},\"token_url\":\"https://x/\",\"refresh_url\":\"https://x/\""),
	     "bad.json: refresh_url must be there for OAUTH2, and only then"},
	    {ROOT("OAUTH2_CC",
		  "{},\"token_url\":\"https://x/\",\"token_request_auth_method\":\"post\""),
	     "bad.json: token_request_auth_method must be body or basic"},
	    {ROOT("OAUTH2_CC", "{},\"token_url\":\"https://x/\",\"body_format\":\"xml\""),
	     "bad.json: body_format must be form or json"},
	    {ROOT("OAUTH2_CC", "{},\"token_url\":\"https://x/\",\"token_params\":{\"a\":1}"),
	     "bad.json: token_params.a must be a printable text"},
	    {ROOT("OAUTH2_CC", "{},\"token_url\":\"https://x/\",\"token_expires_in_ms\":7"),
	     "bad.json: token_expires_in_ms must be from a second to ten years"},
	    {ROOT("NONE", "{},\"body_format\":\"json\""),
	     "bad.json: body_format is for OAUTH2 and OAUTH2_CC only"},
	    {ROOT("NONE", "{},\"rate_limit\":{\"scope\":\"world\"}"),
	     "bad.json: rate_limit.scope must be connection or app"},
	    {ROOT("NONE", "{\"retry\":{\"in_body\":{\"path\":\"a\"}}}"),
	     "bad.json: proxy.retry.in_body.unit is missing"},
	    {ROOT("NONE", "{\"retry\":{\"in_body\":{\"path\":\"a\",\"unit\":\"min\"}}}"),
	     "bad.json: proxy.retry.in_body.unit must be s, ms or at"},
	    {ROOT("NONE", "{\"retry\":{\"limit_code\":[200]}}"),
	     "bad.json: proxy.retry.limit_code must hold statuses from 400 to 599"},
	    {ROOT("NONE", "{},\"webhook\":\"magic\""), "bad.json: webhook must be generic"},
	    {ROOT("NONE", "[]"), "bad.json: proxy must be an object"},
	    {ROOT("NONE", "{\"url\":\"x\"}"), "bad.json: proxy.url is not a member that we know"},
	    {ROOT("NONE", "{\"base_url\":\"ftp://x\"}"),
	     "bad.json: proxy.base_url is not an http or https URL without query"},
	    {ROOT("NONE", "{\"base_url\":\"https://a@x\"}"),
	     "bad.json: proxy.base_url is not an http or https URL without query"},
	    {ROOT("NONE", "{\"base_url\":\"https://x/?a=b\"}"),
	     "bad.json: proxy.base_url is not an http or https URL without query"},
	    {ROOT("NONE", "{\"base_url\":\"https://${subdomain}.x\"}"),
	     "bad.json: proxy.base_url unknown placeholder ${subdomain}"},
	    {ROOT("API_KEY", "{\"base_url\":\"https://x/${apiKey}\"}"),
	     "bad.json: proxy.base_url must not hold a credential"},
	    {ROOT("NONE", "{\"base_url\":\"https://${x\"}"),
	     "bad.json: proxy.base_url a placeholder has no closing brace"},
	    {ROOT("API_KEY", "{\"headers\":{\"X-Key\":\"${apiKey}\"}}"),
	     "bad.json: proxy.headers.X-Key is not a header's name in lower case"},
	    {ROOT("API_KEY", "{\"headers\":{\"x-key\":\"${apikey}\"}}"),
	     "bad.json: proxy.headers.x-key unknown placeholder ${apikey}"},
	    {ROOT("API_KEY", "{\"headers\":{\"x-key\":\"a\\r\\nb\"}}"),
	     "bad.json: proxy.headers.x-key must be a printable text"},
	    {ROOT("API_KEY", "{}"), "bad.json: proxy must say in one way where the API key goes"},
	    {ROOT("API_KEY", "{" KEY ",\"key_from\":\"integration_config\"}"),
	     "bad.json: proxy must say in one way where the API key goes"},
	    {ROOT("NONE", "{" KEY "}"),
	     "bad.json: proxy holds a credential, but auth_mode is NONE"},
	    {ROOT("BASIC", "{\"key_from\":\"integration_config\"}"),
	     "bad.json: proxy.key_from is for API keys only"},
	    {ROOT("NONE", "{\"retry\":{\"at\":\"X-Reset\"}}"),
	     "bad.json: proxy.retry.at is not a header's name in lower case"},
	    {ROOT("NONE", "{\"retry\":{\"codes\":[]}}"),
	     "bad.json: proxy.retry.codes is not a member that we know"},
	    {ROOT("NONE", "{\"retry\":{\"error_code\":[429,\"503\"]}}"),
	     "bad.json: proxy.retry.error_code must hold statuses from 400 to 599"},
	    {ROOT("NONE", "{\"paginate\":{\"type\":\"pages\"}}"),
	     "bad.json: proxy.paginate.type must be cursor, link or offset"},
	    {ROOT("NONE", "{\"paginate\":{\"limit\":1}}"),
	     "bad.json: proxy.paginate.type is missing"},
	    {ROOT("NONE", "{\"paginate\":{\"type\":\"link\",\"limit\":1.5}}"),
	     "bad.json: proxy.paginate.limit must be a whole number"},
	};
	struct catalog *catalog;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		sweep();
		put("good.json", ROOT("NONE", "{}"));
		put("bad.json", rows[i].text);
		error = (struct sl_error){0};
		check_int(catalog_load(folder, &catalog, &error), ==, SL_INVALID);
		check_text(error.text, rows[i].want);
	}
}

static void
files_that_are_no_definitions_are_left_alone(void)
{
	struct catalog *catalog;

	sweep();
	put("one.json", ROOT("NONE", "{\"retry\":{\"error_code\":[423]}}"));
	put("one.json~", "junk");
	put("README", "junk");
	check_int(catalog_load(folder, &catalog, &error), ==, SL_OK);
	check_int(catalog_count(catalog), ==, 1);
	check_int(catalog_at(catalog, 0)->retry_codes[0], ==, 423);
	check(catalog_at(catalog, 0)->base_url == NULL);
	check_int(catalog_at(catalog, 0)->paginate.len, ==, 0);
	catalog_free(catalog);
	put("Two.json", ROOT("NONE", "{}"));
	check_int(catalog_load(folder, &catalog, &error), ==, SL_INVALID);
	check_text(error.text, "Two.json: not a provider's name (a-z 0-9 - _)");
}

static void
a_folder_without_definitions_is_an_error(void)
{
	struct catalog *catalog;

	sweep();
	check_int(catalog_load(folder, &catalog, &error), ==, SL_INVALID);
	check_int(catalog_load("/nonexistent/catalog", &catalog, &error), ==, SL_INVALID);
	check_text(error.text, "catalog /nonexistent/catalog: No such file or directory");
}

int
main(void)
{
	snprintf(folder, sizeof(folder), "/tmp/sluice-catalog-XXXXXX");
	if (mkdtemp(folder) == NULL)
		return 99;
	CHECK_RUN(all_shipped_definitions_load);
	CHECK_RUN(a_definition_says_all_that_a_request_needs);
	CHECK_RUN(a_definition_says_how_tokens_are_had);
	CHECK_RUN(the_json_of_each_is_what_the_wire_shows);
	CHECK_RUN(bad_definitions_are_named_with_file_and_member);
	CHECK_RUN(files_that_are_no_definitions_are_left_alone);
	CHECK_RUN(a_folder_without_definitions_is_an_error);
	sweep();
	rmdir(folder);
	return check_done();
}
