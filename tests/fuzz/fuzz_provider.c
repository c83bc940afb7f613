/* What providers answer: a token endpoint's answer ('T', a status, a content type, the body), and what an answer says
 * of a window ('L', a status, whose names, then a header a line).  A credential that comes out is whole JSON with a token
 * and an end that can be believed, and nothing comes out of a refusal; waits are neither negative nor beyond their cap.
 * Build: dev/check fuzz, or CONTRIBUTING.md for clang's -fsanitize=fuzzer. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "provider/limit.h"
#include "provider/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW_MS INT64_C(1795324320000)
#define TEN_YEARS_MS (10 * 365 * 24 * 3600 * INT64_C(1000))
#define HEADERS 16

static void
must(bool condition)
{
	if (!condition)
		abort();
}

static void
check_credential(struct slice made)
{
	struct json_value whole;
	int64_t end_ms;
	char *token;

	must(json_check(made, &whole, NULL) == SL_OK);
	token = token_text(whole);
	must(token != NULL);
	for (const char *c = token; *c != '\0'; c++)
		must((unsigned char)*c >= 0x20);
	free(token);
	end_ms = token_expires_ms(whole);
	must(end_ms == INT64_MAX || (end_ms > NOW_MS && end_ms <= NOW_MS + TEN_YEARS_MS));
	must(json_get(whole, "raw").type == JSON_OBJECT_);
}

static void
token(uint8_t status, uint8_t type, struct slice body)
{
	static const int statuses[] = {200, 201, 302, 400, 401, 403, 429, 500};
	static const char *const types[] = {NULL, "application/json",
					    "application/x-www-form-urlencoded", "text/plain"};
	static const char old[] = "{\"type\":\"OAUTH2\",\"access_token\":\"old-secret-1\","
				  "\"refresh_token\":\"old-secret-2\"}";
	const struct provider provider = {.name = "p",
					  .auth_mode = AUTH_OAUTH2,
					  .auth_mode_name = "OAUTH2",
					  .token_url = "https://x.test/",
					  .token_ttl_s = type & 4 ? 60 : 0};
	struct sl_error error = {0};
	struct json_value credentials;
	struct buf out;
	enum sl_code code;

	must(json_check(SLICE_LITERAL(old), &credentials, NULL) == SL_OK);
	buf_init(&out, 1 << 20);
	code = token_answer(&provider, credentials, statuses[status % 8], types[type % 4], body,
			    NOW_MS, &out, &error);
	if (code == SL_OK) {
		check_credential(buf_slice(&out));
	} else {
		must(code == SL_INVALID || code == SL_UNAVAILABLE);
		must(out.len == 0);
		must(error.text[0] != '\0');
		must(strstr(error.text, "old-secret-1") == NULL);
		must(strstr(error.text, "old-secret-2") == NULL);
	}
	buf_fini(&out);
}

static void
check_span(int64_t ms)
{
	must(ms >= -1 && ms <= LIMIT_WAIT_CAP_MS);
}

static void
limit(uint8_t status, uint8_t names, char *lines)
{
	static const int statuses[] = {200, 429, 403, 503, 404, 401};
	static const int codes[] = {403};
	const struct provider provider = {.name = "p",
					  .retry_at_header = names & 1 ? "x-opens" : NULL,
					  .retry_after_header =
					      names & 2 ? "x-wait" : "retry-after",
					  .retry_remaining_header = names & 4 ? "x-left" : NULL,
					  .retry_body_path = names & 8 ? "error.wait" : NULL,
					  .retry_body_unit = (enum retry_unit)(names / 16 % 3),
					  .limit_codes = codes,
					  .limit_code_count = 1};
	const struct retry_rules rules = {.provider = names & 64 ? NULL : &provider,
					  .header_at = "x-at",
					  .header_after = "x-after"};
	struct http_header headers[HEADERS];
	struct http_answer answer = {.failure = HTTP_ANSWERED,
				     .status = statuses[status % 6],
				     .headers = headers,
				     .body = slice_text(lines)};
	struct limit_news news;
	char *rest = NULL;

	for (int try = 1; try < 5; try++)
		must(retry_wait_ms(&rules, &answer, try, NOW_MS) >= 0);
	answer.body = (struct slice){NULL, 0};
	for (char *line = strtok_r(lines, "\n", &rest);
	     line != NULL && answer.header_count < HEADERS; line = strtok_r(NULL, "\n", &rest)) {
		char *colon = strchr(line, ':');

		if (colon == NULL)
			continue;
		*colon = '\0';
		headers[answer.header_count++] = (struct http_header){line, colon + 1};
	}
	if (limit_read(&rules, &answer, NOW_MS, &news)) {
		check_span(news.closed_ms);
		check_span(news.reset_ms);
		must(news.remaining >= -1 && news.limit >= -1);
		must(news.limited || news.closed_ms == -1);
		must(answer.status != 429 || news.limited);
	}
	for (int try = 1; try < 12; try++) {
		int64_t wait = retry_wait_ms(&rules, &answer, try, NOW_MS);

		must(wait >= 0 && wait <= RETRY_WAIT_CAP_MS);
		must(retry_spread_ms(wait, names & 1, (uint32_t)names * 16777619u) >= wait);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size < 3)
		return 0;
	text = malloc(size - 2);
	must(text != NULL);
	memcpy(text, data + 3, size - 3);
	text[size - 3] = '\0';
	if (data[0] == 'L')
		limit(data[1], data[2], text);
	else
		token(data[1], data[2], (struct slice){text, size - 3});
	free(text);
	return 0;
}
