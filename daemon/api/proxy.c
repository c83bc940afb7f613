/* daemon/api/proxy.c - a request of the app to a provider, with a connection's credentials (wire.md 8).
 *
 * READING (what is small enough to be kept for another try) -> SENDING -> ANSWERING.  The rest of a body is passed
 * on as it comes, in both directions, and nobody reads faster than the other side takes.  A body of which a part has
 * gone out that way cannot be sent again. */
#include "daemon/api/proxy.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "config.h"
#include "daemon/api/resources.h"
#include "daemon/egress/send.h"

#define KEPT_MAX (1 << 20)      /* of a request's body, for other tries */
#define SMALL_MAX (64 * 1024)   /* likewise where there are no others */
#define TOTAL_MS (15 * 60 * INT64_C(1000)) /* all tries and waits, until the answer's head */
#define STALL_MS 60000
#define HEADERS_MAX (128 * 1024)

struct proxy {
	struct api_call *call;
	struct proxy_ask ask;
	const struct directory_integration *integration; /* held */
	struct http_stream stream;
	struct egress *egress; /* NULL: not yet, or not any more */
	char *kept;            /* the first part of the body, owned */
	size_t kept_len, kept_max, kept_sent;
	bool whole;    /* that is all of it */
	bool looking;  /* what can be kept was read; directory and egress are asked */
	bool started;  /* the head of the answer went out */
	size_t passed; /* of the bytes that are offered again, so many went out already */
};

/* ---- ends -------------------------------------------------------------------------------------- */

static void
release(struct proxy *proxy)
{
	directory_release(proxy->integration);
	proxy->integration = NULL;
	if (proxy->kept != NULL)
		secret_wipe(proxy->kept, proxy->kept_len);
	free(proxy->kept);
	proxy->kept = NULL;
}

static void
count(int status)
{
	metrics_count(METRIC_PROXY_REQUESTS, status / 100 - 1);
}

static void
refuse(struct proxy *proxy, int status, const char *code, const char *text)
{
	struct api_call *call = proxy->call;

	release(proxy);
	count(status);
	api_fail(call, status, code, text);
}

/* What the original's HTTP library would have said: not wrapped. */
static void
fail_bare(struct proxy *proxy, const struct http_answer *answer)
{
	struct api_call *call = proxy->call;
	char method[32];
	struct json_writer w;
	struct buf out;

	snprintf(method, sizeof(method), "%s", http_request_method(call->request));
	for (char *at = method; *at != '\0'; at++)
		*at = (char)tolower((unsigned char)*at);
	buf_init(&out, 4096);
	jw_init(&w, &out);
	jw_object(&w);
	jw_member_text(&w, "message", answer->text != NULL ? answer->text : "no answer");
	jw_member_text(&w, "code", answer->code != NULL ? answer->code : "ERR_NETWORK");
	jw_member_text(&w, "method", method);
	jw_object_end(&w);
	release(proxy);
	count(500);
	api_reply_buf(call, 500, &out);
}

static void
fail(struct proxy *proxy, const struct http_answer *answer)
{
	static const struct {
		const char *ours;
		int status;
		const char *code;
	} rows[] = {
	    {"invalid_credentials", 424, "invalid_credentials"},
	    {"connection_refresh_backoff", 424, "connection_refresh_backoff"},
	    {"connection_refresh_exhausted", 424, "connection_refresh_exhausted"},
	    {"unknown_connection", 400, "server_error"},
	    {"unknown_provider", 400, "unsupported_provider"},
	    {"missing_api_url", 400, "missing_api_url"},
	    {"invalid_request", 400, "invalid_request"},
	    {"server_error", 503, "service_unavailable"},
	};

	if (answer->failure == HTTP_REFUSED_URL) {
		refuse(proxy, 400,
		       proxy->ask.base_url != NULL ? "base_url_override_not_allowed"
						   : "url_not_allowed",
		       answer->text);
		return;
	}
	for (size_t i = 0; answer->failure == HTTP_CANCELLED && answer->code != NULL &&
			   i < sizeof(rows) / sizeof(rows[0]);
	     i++)
		if (strcmp(rows[i].ours, answer->code) == 0) {
			refuse(proxy, rows[i].status, rows[i].code, answer->text);
			return;
		}
	fail_bare(proxy, answer);
}

static void
on_answer(void *arg, const struct http_answer *answer)
{
	struct proxy *proxy = arg;
	struct api_call *call = proxy->call;

	proxy->egress = NULL;
	if (!proxy->started) {
		fail(proxy, answer);
		return;
	}
	release(proxy);
	api_stream_end(call, answer->failure == HTTP_ANSWERED);
}

/* The client is gone: nobody reads what is replied, it frees the call. */
static void
drop(struct proxy *proxy)
{
	struct api_call *call = proxy->call;

	if (proxy->egress != NULL)
		egress_cancel(proxy->egress);
	proxy->egress = NULL;
	release(proxy);
	if (proxy->started)
		api_stream_end(call, false);
	else
		api_reply_empty(call, 204);
}

static void
on_gone(struct api_call *call)
{
	struct proxy *proxy = call->state;

	if (!proxy->looking || proxy->egress != NULL)
		drop(proxy);
	/* else the lookup comes back, and sees it */
}

/* ---- the answer -------------------------------------------------------------------------------- */

static bool
is_one_of(const char *name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (strcasecmp(name, *names) == 0)
			return true;
	return false;
}

/* Between two neighbours only (RFC 9110 section 7.6.1), or what this server says itself. */
static bool
is_hop(const char *name)
{
	static const char *const names[] = {
	    "connection", "keep-alive",	       "proxy-authenticate",
	    "te",	  "proxy-authorization", "trailer",
	    "upgrade",	  "transfer-encoding", "content-length",
	    "date",	  "content-type",      "access-control-allow-origin",
	    "server",	  "proxy-connection",  "access-control-expose-headers",
	    NULL};

	return is_one_of(name, names);
}

/* A success that does not look like a download: what a client is meant to see of it. */
static bool
is_plain(const struct http_answer *head)
{
	const char *framing = http_answer_header(head, "transfer-encoding");
	const char *disposition = http_answer_header(head, "content-disposition");

	if (head->status >= 400 || (framing != NULL && strcasecmp(framing, "chunked") == 0))
		return false;
	return disposition == NULL || (strncasecmp(disposition, "attachment", 10) != 0 &&
				       strncasecmp(disposition, "inline", 6) != 0);
}

/* Whole lines of those that are passed on; false: they say something of a rate limit. */
static bool
write_headers(const struct http_answer *head, struct buf *out)
{
	static const char *const plain[] = {"mcp-session-id", "x-request-id", "x-correlation-id",
					    "content-encoding", NULL};
	bool only_plain = is_plain(head), silent = true;

	for (int i = 0; i < head->header_count; i++) {
		const struct http_header *header = &head->headers[i];

		if (is_hop(header->name) || (only_plain && !is_one_of(header->name, plain)))
			continue;
		silent = silent && strncmp(header->name, "x-ratelimit-", 12) != 0;
		buf_printf(out, "%s: %s\r\n", header->name, header->value);
	}
	return silent;
}

static int64_t
length_of(const struct http_answer *head)
{
	const char *text = http_answer_header(head, "content-length");
	char *end;
	long long length;

	if (text == NULL || text[0] < '0' || text[0] > '9')
		return -1;
	length = strtoll(text, &end, 10);
	return *end == '\0' ? (int64_t)length : -1;
}

static bool
on_head(void *arg, const struct http_answer *head)
{
	struct proxy *proxy = arg;
	const char *type = http_answer_header(head, "content-type");
	bool empty = head->status == 204 || head->status == 304;
	struct buf headers;
	bool own_limits;

	buf_init(&headers, HEADERS_MAX);
	own_limits = write_headers(head, &headers);
	proxy->started = true;
	count(head->status);
	api_stream_head(proxy->call, head->status, type != NULL && !empty ? type : "",
			headers.data != NULL ? headers.data : "", own_limits,
			empty ? 0 : length_of(head));
	buf_fini(&headers);
	return true;
}

static bool
on_body(void *arg, struct slice bytes)
{
	struct proxy *proxy = arg;

	while (proxy->passed < bytes.len) {
		struct slice part = {bytes.data + proxy->passed, bytes.len - proxy->passed};

		if (part.len > HTTP_STREAM_ROOM)
			part.len = HTTP_STREAM_ROOM;
		if (!http_request_write(proxy->call->request, part))
			return false; /* all of them come again */
		proxy->passed += part.len;
		metric_add(&metrics[METRIC_PROXY_BYTES], METRIC_PROXY_RECEIVED, 0,
			   (double)part.len);
	}
	proxy->passed = 0;
	return true;
}

static void
on_room(void *arg)
{
	struct proxy *proxy = arg;

	if (proxy->egress != NULL)
		egress_resume(proxy->egress);
}

/* ---- the request ------------------------------------------------------------------------------- */

static int64_t
on_want(void *arg, char *out, size_t size)
{
	struct proxy *proxy = arg;
	size_t left = proxy->kept_len - proxy->kept_sent;
	int64_t got;

	if (left > 0) {
		got = (int64_t)(left < size ? left : size);
		memcpy(out, proxy->kept + proxy->kept_sent, (size_t)got);
		proxy->kept_sent += (size_t)got;
	} else {
		got = http_request_read(proxy->call->request, out, size);
		if (got == HTTP_REQUEST_END)
			return HTTP_STREAM_END;
		if (got == HTTP_REQUEST_BROKEN)
			return HTTP_STREAM_FAILED;
	}
	metric_add(&metrics[METRIC_PROXY_BYTES], METRIC_PROXY_SENT, 0, (double)got);
	return got;
}

static void
send_it(struct proxy *proxy, const struct directory_connection *connection)
{
	static const struct egress_events events = {.on_answer = on_answer};
	struct api_call *call = proxy->call;
	const struct proxy_ask *asked = &proxy->ask;
	struct egress_ask ask = {
	    .connection = connection,
	    .integration = proxy->integration,
	    .by = "proxy",
	    .job = "",
	    .ask = {.method = http_request_method(call->request),
		    .endpoint = asked->endpoint,
		    .base_url_override = asked->base_url,
		    .headers = asked->headers,
		    .header_count = asked->header_count,
		    .query = asked->query,
		    .retries = asked->retries,
		    .retry_on = asked->retry_on,
		    .retry_on_count = asked->retry_on_count,
		    .decompress = asked->decompress,
		    .forward_headers_on_redirect = asked->forward_on_redirect,
		    .timeout_ms = config_int(call->daemon->config, "proxy_timeout"),
		    .deadline_mono_ms = clock_mono_ms() + TOTAL_MS,
		    .user_agent = "sluice/" PACKAGE_VERSION},
	};

	proxy->stream = (struct http_stream){.on_head = on_head,
					     .on_body = on_body,
					     .length = http_request_length(call->request),
					     .stall_ms = STALL_MS};
	ask.ask.stream = &proxy->stream;
	if (proxy->whole) {
		ask.ask.body = (struct slice){proxy->kept, proxy->kept_len};
		ask.ask.has_body = http_request_length(call->request) != 0;
		metric_add(&metrics[METRIC_PROXY_BYTES], METRIC_PROXY_SENT, 0,
			   (double)proxy->kept_len);
	} else {
		proxy->stream.on_want = on_want;
	}
	proxy->egress = egress_start(call->daemon, &ask, &events, proxy);
}

static void
on_connection(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct proxy *proxy = arg;
	struct api_call *call = proxy->call;

	if (http_request_is_gone(call->request)) {
		drop(proxy);
	} else if (code == SL_OK) {
		send_it(proxy, object);
	} else if (code == SL_NOT_FOUND) {
		refuse(proxy, 400, "server_error",
		       "there is no such connection of this integration; check Connection-Id");
	} else {
		release(proxy);
		api_fail_sl(call, code, error);
	}
}

static void
on_integration(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct proxy *proxy = arg;
	struct api_call *call = proxy->call;

	if (http_request_is_gone(call->request)) {
		drop(proxy);
	} else if (code == SL_OK) {
		proxy->integration = directory_hold(object);
		directory_connection(call->daemon->directory, call->environment->row.id,
				     proxy->ask.integration, proxy->ask.connection, on_connection,
				     proxy);
	} else if (code == SL_NOT_FOUND) {
		refuse(proxy, 404, "unknown_provider_config",
		       "there is no such integration in this environment; check Provider-Config-Key");
	} else {
		release(proxy);
		api_fail_sl(call, code, error);
	}
}

static void
look_up(struct proxy *proxy)
{
	proxy->looking = true;
	directory_integration(proxy->call->daemon->directory, proxy->call->environment->row.id,
			      proxy->ask.integration, on_integration, proxy);
}

/* Keeps the body as far as it may; then the lookups. */
static void
read_body(struct proxy *proxy)
{
	while (proxy->kept_len < proxy->kept_max) {
		int64_t got = http_request_read(proxy->call->request, proxy->kept + proxy->kept_len,
						proxy->kept_max - proxy->kept_len);

		if (got == 0)
			return; /* on_readable follows */
		if (got < 0) { /* broken: the transport refuses it, and on_gone follows */
			proxy->whole = got == HTTP_REQUEST_END;
			if (proxy->whole)
				look_up(proxy);
			return;
		}
		proxy->kept_len += (size_t)got;
	}
	look_up(proxy);
}

static void
on_readable(void *arg)
{
	struct proxy *proxy = arg;

	if (!proxy->looking)
		read_body(proxy);
	else if (proxy->egress != NULL)
		egress_resume(proxy->egress);
}

void
proxy_call(struct api_call *call)
{
	static const struct http_request_events events = {.on_readable = on_readable,
							  .on_room = on_room};
	struct proxy *proxy = api_state(call, sizeof(*proxy));
	int64_t length = http_request_length(call->request);

	proxy->call = call;
	if (!proxy_read(call, &proxy->ask))
		return;
	call->on_gone = on_gone;
	http_request_listen(call->request, &events, proxy);
	proxy->kept_max = proxy->ask.retries > 0 ? KEPT_MAX : SMALL_MAX;
	if (length == 0) {
		proxy->whole = true;
		look_up(proxy);
	} else if (length > (int64_t)proxy->kept_max) {
		look_up(proxy);
	} else {
		if (length > 0) /* and one more, to see the end */
			proxy->kept_max = (size_t)length + 1;
		proxy->kept = sl_alloc(proxy->kept_max);
		read_body(proxy);
	}
}
