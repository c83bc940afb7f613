#include "cli/client.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/loop.h"
#include "base/secret.h"
#include "cli/trouble.h"
#include "http/guard.h"

enum { ANSWER_MAX = 64 << 20 };

/* Also loopback and what else the guard pins: only blocks as narrow open those. */
#define EVERYWHERE "0.0.0.0/0 0.0.0.0/8 127.0.0.0/8 ::/0 ::/128 ::1/128"

static void
open_client(struct cli *cli)
{
	struct sl_error error;
	bool good;

	if (cli->http != NULL)
		return;
	good = guard_new(EVERYWHERE, &cli->guard, &error) == SL_OK &&
	       http_client_new(cli->loop, cli->guard, &cli->http, &error) == SL_OK;
	assert(good); /* a constant, and libcurl */
	(void)good;
}

struct http_call *
client_send(struct cli *cli, const char *method, const char *path, const struct buf *json,
	    bool repeatable, http_answer_cb *cb, void *arg)
{
	struct http_header headers[3];
	char *url, *key = NULL;
	struct http_call *call;
	struct http_ask ask = {.method = method,
			       .headers = headers,
			       .timeout_ms = cli->timeout_ms,
			       .response_max = ANSWER_MAX,
			       .decompress = true,
			       .unix_path = cli->target.unix_path,
			       .repeatable = repeatable};

	open_client(cli);
	headers[ask.header_count++] = (struct http_header){"Accept", "application/json"};
	if (cli->target.key != NULL) {
		key = sl_asprintf("Bearer %s", cli->target.key);
		headers[ask.header_count++] = (struct http_header){"Authorization", key};
	}
	if (json != NULL) {
		headers[ask.header_count++] =
		    (struct http_header){"Content-Type", "application/json"};
		ask.body = buf_slice(json);
		ask.has_body = true;
	}
	url = sl_asprintf("%s%s", cli->target.url, path);
	ask.url = url;
	call = http_client_send(cli->http, &ask, cb, arg);
	if (key != NULL)
		secret_wipe(key, strlen(key));
	free(key);
	free(url);
	return call;
}

/* ---- the answer ------------------------------------------------------------------------------- */

void
answer_take(struct answer *out, const struct http_answer *answer)
{
	const char *retry = http_answer_header(answer, "retry-after");
	const char *location = http_answer_header(answer, "location");

	*out = (struct answer){.failure = answer->failure,
			       .code = answer->code,
			       .status = answer->status,
			       .retry_after_s = -1};
	out->text = sl_strdup(answer->text != NULL ? answer->text : "");
	if (retry != NULL && retry[0] >= '0' && retry[0] <= '9')
		out->retry_after_s = (int)strtol(retry, NULL, 10);
	if (location != NULL)
		out->location = sl_strdup(location);
	buf_init(&out->body, answer->body.len + 1);
	buf_add_slice(&out->body, answer->body);
	if (json_check(buf_slice(&out->body), &out->json, NULL) != SL_OK)
		out->json = (struct json_value){.type = JSON_NONE};
}

void
answer_fini(struct answer *answer)
{
	free(answer->text);
	free(answer->location);
	buf_fini(&answer->body);
	*answer = (struct answer){0};
}

bool
answer_is_good(const struct answer *answer)
{
	return answer->failure == HTTP_ANSWERED && answer->status >= 200 && answer->status < 300 &&
	       answer->json.type == JSON_OBJECT_;
}

struct waiting {
	struct answer *answer;
	bool done;
};

static void
on_answer(void *arg, const struct http_answer *answer)
{
	struct waiting *waiting = arg;

	answer_take(waiting->answer, answer);
	waiting->done = true;
}

void
client_ask(struct cli *cli, const char *method, const char *path, const struct buf *json,
	   struct answer *out)
{
	struct waiting waiting = {.answer = out};

	client_send(cli, method, path, json, false, on_answer, &waiting);
	while (!waiting.done) /* the request has a deadline */
		loop_turn(cli->loop, 1000);
}

int
client_need(struct cli *cli, const char *method, const char *path, const struct buf *json,
	    struct answer *out)
{
	struct trouble trouble;

	*out = (struct answer){0};
	if (cli->target.key == NULL || cli->target.url == NULL) {
		trouble_no_key(cli, &trouble);
		return trouble_print(cli, &trouble, NULL);
	}
	client_ask(cli, method, path, json, out);
	if (answer_is_good(out))
		return EX_OK;
	trouble_of(cli, out, &trouble);
	return trouble_print(cli, &trouble, out);
}

void
client_pause(struct cli *cli, int64_t ms)
{
	int64_t until_ms = clock_mono_ms() + ms, now_ms;

	while ((now_ms = clock_mono_ms()) < until_ms)
		loop_turn(cli->loop, (int)(until_ms - now_ms));
}

/* ---- paths ------------------------------------------------------------------------------------ */

/* RFC 3986's unreserved characters stay. */
static void
add_encoded(struct buf *out, const char *text)
{
	for (const char *c = text; *c != '\0'; c++) {
		if ((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
		    (*c >= '0' && *c <= '9') || strchr("-._~", *c) != NULL)
			buf_add_char(out, *c);
		else
			buf_printf(out, "%%%02X", (unsigned char)*c);
	}
}

void
path_add(struct buf *path, const char *segment)
{
	buf_add_char(path, '/');
	add_encoded(path, segment);
}

bool
path_can_be(const char *text)
{
	return text[0] != '\0' && strcmp(text, ".") != 0 && strcmp(text, "..") != 0;
}

void
path_query(struct buf *path, const char *name, const char *value)
{
	if (value == NULL)
		return;
	buf_add_char(path, path->data != NULL && strchr(path->data, '?') != NULL ? '&' : '?');
	add_encoded(path, name);
	buf_add_char(path, '=');
	add_encoded(path, value);
}
