#include "daemon/deliver/post.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/secret.h"
#include "config.h"
#include "daemon/deliver/sign.h"
#include "http/client.h"
#include "provider/retry.h"

#define KEY_MAX 1024
#define DETAIL_MAX 500

struct post {
	const struct daemon *daemon; /* borrowed */
	post_cb *cb;
	void *arg;
	struct http_call *call;
	char unsigned_because[DETAIL_MAX]; /* not empty: nothing was sent */
	int64_t at_ms, sent_ms;            /* by the wall, by the monotonic clock */
	struct sign_headers sign;
	struct http_header sent[POST_HEADER_COUNT];
	int sent_count;
};

/* ---- the answer ------------------------------------------------------------------------------ */

static bool
is_good(int status)
{
	return status >= 200 && status < 300;
}

static const char *
failure_of(const struct http_answer *answer)
{
	switch (answer->failure) {
	case HTTP_ANSWERED:
		return is_good(answer->status) ? "" : "http_status";
	case HTTP_REFUSED_URL:
		return "refused_url";
	case HTTP_TIMEOUT:
		return "timeout";
	case HTTP_DNS:
	case HTTP_CONNECT:
	case HTTP_RESET:
	case HTTP_TLS:
	case HTTP_TOO_LARGE:
	case HTTP_PROTOCOL:
	case HTTP_CANCELLED:
		break;
	}
	return answer->code;
}

static void
describe(const struct http_answer *answer, char out[DETAIL_MAX])
{
	bool guarded = answer->code != NULL && strcmp(answer->code, "ERR_ADDRESS_NOT_ALLOWED") == 0;

	*out = '\0';
	if (answer->failure != HTTP_ANSWERED && answer->status != 0)
		snprintf(out, DETAIL_MAX, "answered %d, and then: %s", answer->status,
			 answer->text);
	else if (answer->failure != HTTP_ANSWERED)
		snprintf(out, DETAIL_MAX, "%s%s", answer->text,
			 guarded ? ": the setting egress_allow" : "");
	else if (answer->status < 400 && !is_good(answer->status))
		snprintf(out, DETAIL_MAX, "answered %d; redirects are not followed",
			 answer->status);
	else if (!is_good(answer->status))
		snprintf(out, DETAIL_MAX, "answered %d", answer->status);
}

/* The value of all fields of that name from the first on, joined as a list. */
static void
add_field(struct json_writer *w, const struct http_answer *answer, int first)
{
	const char *name = answer->headers[first].name;
	struct buf value;

	buf_init(&value, POST_HEADERS_MAX);
	for (int i = first; i < answer->header_count; i++) {
		if (strcmp(answer->headers[i].name, name) != 0)
			continue;
		if (i > first)
			buf_add_text(&value, ", ");
		buf_add_text(&value, answer->headers[i].value);
	}
	jw_key(w, name);
	jw_text_n(w, value.len > 0 ? value.data : "", value.len);
	buf_fini(&value);
}

static bool
is_first_of_its_name(const struct http_answer *answer, int at)
{
	for (int i = 0; i < at; i++)
		if (strcmp(answer->headers[i].name, answer->headers[at].name) == 0)
			return false;
	return true;
}

/* False: there are more than fit. */
static bool
write_headers(const struct http_answer *answer, struct buf *out)
{
	struct json_writer w;
	bool whole = true;

	jw_init(&w, out);
	jw_object(&w);
	for (int i = 0; whole && i < answer->header_count; i++) {
		size_t before = out->len;

		if (!is_first_of_its_name(answer, i))
			continue;
		add_field(&w, answer, i);
		whole = out->len <= POST_HEADERS_MAX;
		if (!whole)
			out->len = before;
	}
	jw_object_end(&w);
	return whole;
}

static void
on_answer(void *arg, const struct http_answer *got)
{
	struct post *post = arg;
	bool is_signed = post->unsigned_because[0] == '\0';
	struct post_answer answer = {
	    .at_ms = post->at_ms,
	    .took_ms = clock_mono_ms() - post->sent_ms,
	    .status = got->status,
	    .failure = is_signed ? failure_of(got) : "signing_key",
	    .body = got->body,
	    .retry_after_ms = -1,
	    .sent = post->sent,
	    .sent_count = post->sent_count,
	    .cancelled = got->failure == HTTP_CANCELLED,
	};
	struct buf headers;
	char detail[DETAIL_MAX];

	buf_init(&headers, 16 * POST_HEADERS_MAX);
	describe(got, detail);
	answer.detail = is_signed ? detail : post->unsigned_because;
	answer.cut = !write_headers(got, &headers) || got->cut;
	answer.headers = headers.data;
	if (*answer.failure != '\0')
		answer.retry_after_ms =
		    retry_after_ms(http_answer_header(got, "retry-after"), clock_wall_ms());
	post->cb(post->arg, &answer);
	buf_fini(&headers);
	free(post);
}

/* ---- the request ----------------------------------------------------------------------------- */

static void
add_header(struct post *post, const char *name, const char *value)
{
	if (*value != '\0')
		post->sent[post->sent_count++] = (struct http_header){name, value};
}

static enum sl_code
open_key(const struct post *post, const char *sealed, const char *row, struct buf *key,
	 struct sl_error *error)
{
	buf_init(key, KEY_MAX);
	if (*sealed == '\0')
		return SL_OK;
	return secret_open(post->daemon->ring, slice_text(sealed), row, key, error);
}

static void
key_fini(struct buf *key)
{
	if (key->data != NULL)
		secret_wipe(key->data, key->size);
	buf_fini(key);
}

static enum sl_code
sign(struct post *post, const struct post_ask *ask, struct sl_error *error)
{
	bool both = ask->signing_key_age_ms >= 0 && ask->signing_key_age_ms < POST_KEY_BEFORE_MS;
	char *row = sl_asprintf("environment:%s:signing_key", ask->environment_uuid);
	struct buf key, before;
	enum sl_code code = open_key(post, ask->signing_key, row, &key, error);

	buf_init(&before, 0);
	if (code == SL_OK && both)
		code = open_key(post, ask->signing_key_before, row, &before, error);
	if (code == SL_OK)
		sign_webhook(buf_slice(&key), buf_slice(&before), ask->id, post->at_ms / 1000,
			     ask->body, &post->sign);
	key_fini(&key);
	key_fini(&before);
	free(row);
	return code;
}

static void
send_it(struct post *post, const struct post_ask *ask)
{
	struct http_ask request = {
	    .method = "POST",
	    /* No URL is none that the client would call: it says so by the callback. */
	    .url = post->unsigned_because[0] == '\0' ? ask->url : "",
	    .headers = post->sent,
	    .body = ask->body,
	    .has_body = true,
	    .timeout_ms = config_int(post->daemon->config, "delivery_timeout"),
	    .response_max = POST_ANSWER_MAX,
	    .cut = true,
	    .repeatable = !ask->fresh, /* under the same id */
	};

	add_header(post, "content-type", "application/json");
	add_header(post, "user-agent", "sluice/" PACKAGE_VERSION);
	add_header(post, "X-Nango-Signature", post->sign.nango_signature);
	add_header(post, "X-Nango-Hmac-Sha256", post->sign.nango_hmac);
	add_header(post, "webhook-id", post->sign.id);
	add_header(post, "webhook-timestamp", post->sign.timestamp);
	add_header(post, "webhook-signature", post->sign.signature);
	request.header_count = post->sent_count;
	post->call = http_client_send(post->daemon->webhook_client, &request, on_answer, post);
}

struct post *
post_send(const struct daemon *daemon, const struct post_ask *ask, post_cb *cb, void *arg)
{
	struct post *post = sl_alloc(sizeof(*post));
	struct sl_error error;

	post->daemon = daemon;
	post->cb = cb;
	post->arg = arg;
	post->at_ms = clock_wall_ms();
	post->sent_ms = clock_mono_ms();
	if (sign(post, ask, &error) != SL_OK) {
		log_error("webhook_not_signed", "environment=%s error=%s remedy=%s",
			  ask->environment_uuid, log_text(error.text),
			  log_text("encryption_key_file lacks the key that sealed it: add it, or "
				   "rotate the signing key"));
		snprintf(post->unsigned_because, sizeof(post->unsigned_because),
			 "the signing key does not open: %s", error.text);
	}
	send_it(post, ask);
	return post;
}

void
post_cancel(struct post *post)
{
	http_call_cancel(post->call);
}

/* ---- logs ------------------------------------------------------------------------------------ */

void
post_url_shown(const char *url, char out[POST_URL_SHOWN])
{
	const char *host = strstr(url, "://"), *user;
	size_t authority;

	host = host != NULL ? host + 3 : url;
	authority = strcspn(host, "/?#\\");
	user = memrchr(host, '@', authority);
	snprintf(out, POST_URL_SHOWN, "%.*s%.*s", (int)(host - url), url,
		 (int)strcspn(user != NULL ? user + 1 : host, "?#"),
		 user != NULL ? user + 1 : host);
}
