/* daemon/worker/host_fetch.c - uncontrolledFetch: one request to anywhere the guard allows, without
 * credentials and without retries. */
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "config.h"
#include "daemon/worker/host_call.h"

#define REDIRECTS_MAX 10

static void
on_answer(void *arg, const struct http_answer *got)
{
	struct host_call *call = arg;
	struct json_value asked;
	struct json_writer w;
	struct buf out;

	call->fetch = NULL;
	if (host_is_orphan(call))
		return;
	if (got->failure == HTTP_REFUSED_URL) {
		host_fail(call, "url_not_allowed", got->text);
		return;
	}
	if (got->failure != HTTP_ANSWERED) {
		host_fail(call, got->code != NULL ? got->code : "ERR_NETWORK", got->text);
		return;
	}
	asked = json_get(call->meta, "url");
	buf_init(&out, 1 << 20);
	jw_init(&w, &out);
	jw_object(&w);
	host_write_answer(&w, got);
	jw_member_text(&w, "url", got->url);
	jw_member_bool(&w, "redirected", strcmp(host_keep_text(call, asked), got->url) != 0);
	jw_object_end(&w);
	host_answer(call, true, buf_slice(&out), got->body);
	buf_fini(&out);
}

static bool
has_header(const struct host_call *call, const char *name)
{
	for (int i = 0; i < call->header_count; i++)
		if (strcasecmp(call->header[i].name, name) == 0)
			return true;
	return false;
}

void
host_fetch(struct host_call *call)
{
	const struct config *config = call->attempt->daemon->config;
	int64_t left = call->attempt->deadline_mono_ms - clock_mono_ms();
	struct http_ask ask = {
	    .method = host_keep_text(call, json_get(call->meta, "method")),
	    .url = host_keep_text(call, json_get(call->meta, "url")),
	    .headers = call->header,
	    .body = {call->body, call->body_len},
	    .has_body = call->body_len > 0,
	    .timeout_ms = config_int(config, "provider_timeout"),
	    .response_max = config_int(config, "provider_response_max"),
	    .redirects_max = REDIRECTS_MAX,
	    .decompress = true,
	};

	if (ask.url == NULL || ask.method == NULL || ask.method[0] == '\0' ||
	    !host_is_token(ask.method)) {
		host_fail(call, "invalid_request", "a fetch needs a URL and a method");
		return;
	}
	if (!host_read_headers(call, json_get(call->meta, "headers"))) {
		host_failf(call, "invalid_request",
			   "a header has a bad name or value, or there are more than %d",
			   HOST_HEADERS_MAX);
		return;
	}
	if (!has_header(call, "user-agent") && call->header_count < HOST_HEADERS_MAX)
		call->header[call->header_count++] =
		    (struct http_header){"user-agent", "sluice/" PACKAGE_VERSION};
	ask.header_count = call->header_count;
	if (left < ask.timeout_ms)
		ask.timeout_ms = left > 1 ? left : 1;
	call->pending = true;
	call->fetch = http_client_send(call->attempt->daemon->client, &ask, on_answer, call);
}
