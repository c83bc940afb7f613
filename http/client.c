#include "http/client.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/secret.h"
#include "http/client_state.h"
#include "http/field.h"

enum {
	HOST_CONNECTIONS = 128,
	TOTAL_CONNECTIONS = 4096,
	IDLE_CONNECTIONS = 256,
};

/* Curl's wish to know about a descriptor. */
struct client_watch {
	struct http_client *client;
	int fd;
	struct loop_watch *watch;
};

static void
call_free(struct http_call *call)
{
	call_end_hop(call);
	call_forget_wake(call);
	loop_timer_free(call->clock);
	call_drop_certificate(call);
	for (int i = 0; i < call->header_count; i++) {
		secret_wipe(call->headers[i].value, strlen(call->headers[i].value));
		free(call->headers[i].value);
		free(call->headers[i].name);
	}
	free(call->headers);
	for (int i = 0; call->credential_headers[i] != NULL; i++)
		free(call->credential_headers[i]);
	free(call->credential_headers);
	curl_url_cleanup(call->url);
	buf_fini(&call->body);
	buf_fini(&call->answer_head);
	buf_fini(&call->answer_body);
	free(call->method);
	free(call->unix_path);
	free(call->reason);
	free(call->text);
	free(call);
}

int
call_status(const struct http_call *call)
{
	long status = 0;

	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	return status >= 200 ? (int)status : 0;
}

/* Sets the outcome.  The callback follows from the loop. */
void
call_finish(struct http_call *call, enum http_failure failure, const char *code, const char *format,
	    ...)
{
	char text[300] = "";
	va_list args;

	assert(call->state == CALL_RUNNING);
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	call->failure = failure;
	call->code = code;
	call->text = sl_strdup(text);
	if (call->easy != NULL && call->head_done)
		call->status = call_status(call);
	call_end_hop(call);
	if (call->clock != NULL)
		loop_timer_stop(call->clock);
	call->state = CALL_DUE;
	TAILQ_REMOVE(&call->client->running, call, entry);
	TAILQ_INSERT_TAIL(&call->client->due, call, entry);
	if (!loop_timer_is_armed(call->client->due_timer))
		loop_timer_in(call->client->due_timer, 0);
}

static bool
is_decoded(const struct http_call *call)
{
	const char *coding = call_field_value(call, "content-encoding");

	return call->decompress && coding != NULL && strcasecmp(coding, "identity") != 0;
}

/* The body was decoded: what describes its encoded form no longer holds. */
static bool
is_stale(const struct http_call *call, const char *name)
{
	return is_decoded(call) &&
	       (strcmp(name, "content-encoding") == 0 || strcmp(name, "content-length") == 0);
}

void
call_show(struct http_call *call, struct http_header *headers, struct http_answer *out, char **url)
{
	out->status_text = "";
	out->headers = headers;
	out->body = (struct slice){"", 0};
	if (out->failure == HTTP_ANSWERED || (call->cuts && call->status != 0)) {
		for (int i = 0; i < call->field_count; i++) {
			const char *name = call->answer_head.data + call->fields[i].name;

			if (!is_stale(call, name))
				headers[out->header_count++] = (struct http_header){
				    name, call->answer_head.data + call->fields[i].value};
		}
		out->status = call->status;
		out->status_text = call->reason != NULL ? call->reason : "";
		out->body = buf_slice(&call->answer_body);
		out->cut = call->cut;
		out->decoded = is_decoded(call);
	}
	*url = NULL;
	if (call->url != NULL)
		curl_url_get(call->url, CURLUPART_URL, url, 0);
	out->url = *url != NULL ? *url : "";
}

static void
call_deliver(struct http_call *call)
{
	struct http_header headers[ANSWER_FIELDS_MAX];
	struct http_answer answer = {
	    .failure = call->failure, .code = call->code, .text = call->text};
	char *url;

	call_show(call, headers, &answer, &url);
	call->cb(call->arg, &answer);
	curl_free(url);
	call_free(call);
}

static void
client_deliver(struct http_client *client)
{
	struct http_call *call;

	while ((call = TAILQ_FIRST(&client->due)) != NULL) {
		TAILQ_REMOVE(&client->due, call, entry);
		call_deliver(call); /* may send, cancel, or free the client */
	}
}

static void
client_on_due(void *arg)
{
	struct http_client *client = arg;

	client_wake(client);
	client_deliver(client);
}

static bool
is_redirect(int status)
{
	return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool
call_is_redirect(const struct http_call *call)
{
	return is_redirect(call->status) && call->follows &&
	       call_field_value(call, "location") != NULL;
}

/* A hop is over: an answer, another hop, or a failure. */
void
call_on_hop_over(struct http_call *call, CURLcode result)
{
	const char *location;
	bool follows;
	char *to;

	if (call->cancelled || call->source_failed) {
		call_finish(call, HTTP_CANCELLED, "ERR_CANCELED", "%s",
			    call->cancelled ? "canceled" : "the request's body broke off");
		return;
	}
	if (call_start_round(call, result))
		return;
	if (result == CURLE_WRITE_ERROR &&
	    (call->cut || call->follows_on)) /* we have had enough of it */
		result = CURLE_OK;
	if (result == CURLE_OK && !call->head_done) /* curl is content with a head that was cut */
		result = CURLE_PARTIAL_FILE;
	if (result != CURLE_OK) {
		call_finish_curl(call, result);
		return;
	}
	call->status = call_status(call);
	if (!call_is_redirect(call)) {
		call_finish(call, HTTP_ANSWERED, NULL, "%s", "");
		return;
	}
	location = call_field_value(call, "location");
	to = sl_strdup(location); /* the next hop forgets this answer */
	call_end_hop(call);
	follows = call_redirect(call, to);
	free(to);
	if (follows)
		call_start_hop(call);
}

static void
client_collect(struct http_client *client)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
		struct http_call *call = NULL;
		CURLcode result = message->data.result; /* the message dies with the handle */

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
		call_on_hop_over(call, result);
	}
}

static void
client_act(struct http_client *client, curl_socket_t fd, int what)
{
	int running;

	curl_multi_socket_action(client->multi, fd, what, &running);
	client_collect(client);
}

static void
client_on_timer(void *arg)
{
	client_act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static void
client_on_event(void *arg, int what)
{
	const struct client_watch *watch = arg;

	client_act(watch->client, watch->fd,
		   ((what & LOOP_READ) ? CURL_CSELECT_IN : 0) |
		       ((what & LOOP_WRITE) ? CURL_CSELECT_OUT : 0));
}

static int
on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct http_client *client = arg;
	struct client_watch *watch = socket_arg;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (watch == NULL)
			return 0;
		loop_watch_free(watch->watch);
		curl_multi_assign(client->multi, fd, NULL);
		loop_free_later(client->loop, free, watch);
		return 0;
	}
	if (watch == NULL) {
		watch = sl_alloc(sizeof(*watch));
		watch->client = client;
		watch->fd = fd;
		watch->watch = loop_watch_new(client->loop, fd, client_on_event, watch);
		curl_multi_assign(client->multi, fd, watch);
	}
	loop_watch_set(watch->watch, ((what & CURL_POLL_IN) ? LOOP_READ : 0) |
					 ((what & CURL_POLL_OUT) ? LOOP_WRITE : 0));
	return 0;
}

static int
on_curl_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct http_client *client = arg;

	(void)multi;
	if (timeout_ms < 0)
		loop_timer_stop(client->timer);
	else
		loop_timer_in(client->timer, timeout_ms);
	return 0;
}

enum sl_code
http_client_new(struct loop *loop, const struct guard *guard, struct http_client **out,
		struct sl_error *error)
{
	struct http_client *client;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return sl_fail(error, SL_INTERNAL, "libcurl does not start");
	client = sl_alloc(sizeof(*client));
	client->loop = loop;
	client->guard = guard;
	client->multi = curl_multi_init();
	assert(client->multi != NULL);
	TAILQ_INIT(&client->running);
	TAILQ_INIT(&client->due);
	TAILQ_INIT(&client->woken);
	client->timer = loop_timer_new(loop, client_on_timer, client);
	client->due_timer = loop_timer_new(loop, client_on_due, client);
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
	curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
	curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
	http_client_limit(client, HOST_CONNECTIONS, TOTAL_CONNECTIONS, IDLE_CONNECTIONS);
	*out = client;
	return SL_OK;
}

void
http_client_limit(struct http_client *client, int64_t per_host, int64_t in_all, int64_t idle)
{
	/* Curl counts idle connections with the others, and closes one for each new host at its limit. */
	curl_multi_setopt(client->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)per_host);
	curl_multi_setopt(client->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)(in_all + idle));
	curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)idle);
}

void
http_client_free(struct http_client *client)
{
	struct http_call *call;

	if (client == NULL)
		return;
	assert(client->inside == 0); /* curl is on the stack */
	client->closed = true;
	while ((call = TAILQ_FIRST(&client->running)) != NULL)
		call_finish(call, HTTP_CANCELLED, "ERR_CANCELED", "canceled");
	client_deliver(client);
	curl_multi_cleanup(client->multi);
	loop_timer_free(client->timer);
	loop_timer_free(client->due_timer);
	curl_global_cleanup();
	loop_free_later(client->loop, free, client); /* we may be inside one of its callbacks */
}

static void
copy_credential_names(struct http_call *call, const char *const *names)
{
	size_t count = 0;

	while (names != NULL && names[count] != NULL)
		count++;
	call->credential_headers = sl_calloc(count + 1, sizeof(char *));
	for (size_t i = 0; i < count; i++)
		call->credential_headers[i] = sl_strdup(names[i]);
}

/* Copies the headers; false when one of them is none. */
static bool
copy_headers(struct http_call *call, const struct http_header *headers, int count)
{
	bool good = true;

	call->headers = sl_calloc((size_t)count + 1, sizeof(*call->headers));
	for (int i = 0; i < count; i++) {
		call->headers[i].name = sl_strdup(headers[i].name);
		call->headers[i].value = sl_strdup(headers[i].value);
		good = good && field_is_token(slice_text(headers[i].name)) &&
		       field_is_value(slice_text(headers[i].value));
	}
	call->header_count = count;
	return good;
}

static void
copy_blob(struct curl_blob *blob, struct slice from)
{
	blob->len = from.len;
	blob->flags = CURL_BLOB_NOCOPY; /* ours outlives each handle */
	if (from.len > 0)
		blob->data = memcpy(sl_alloc(from.len), from.data, from.len);
}

void
call_drop_certificate(struct http_call *call)
{
	struct curl_blob *const blobs[] = {&call->certificate, &call->key};

	for (int i = 0; i < 2; i++) {
		if (blobs[i]->data != NULL)
			secret_wipe(blobs[i]->data, blobs[i]->len);
		free(blobs[i]->data);
		*blobs[i] = (struct curl_blob){0};
	}
}

static void
copy_stream(struct http_call *call, const struct http_stream *stream)
{
	call->streams = stream != NULL && (stream->on_body != NULL || stream->on_want != NULL);
	if (!call->streams)
		return;
	call->stream = *stream;
	call->source = stream->on_want != NULL && stream->length != 0;
	call->has_body = call->has_body || stream->on_want != NULL;
}

static void
call_start_hop_soon(struct http_call *call)
{
	if (call->client->inside == 0) {
		call_start_hop(call);
		return;
	}
	call->start_due = true;
	call_wake(call);
}

struct http_call *
http_client_send(struct http_client *client, const struct http_ask *ask, http_answer_cb *cb,
		 void *arg)
{
	struct http_call *call = sl_alloc(sizeof(*call));
	const char *wrong;
	bool headers_good;

	call->client = client;
	call->cb = cb;
	call->arg = arg;
	call->method = sl_strdup(ask->method);
	call->has_body = ask->has_body;
	call->decompress = ask->decompress;
	call->repeatable = ask->repeatable;
	call->cuts = ask->cut;
	call->unix_path = ask->unix_path != NULL ? sl_strdup(ask->unix_path) : NULL;
	call->forward_credentials = ask->forward_credentials;
	call->timeout_ms = ask->timeout_ms;
	call->deadline_ms = clock_mono_ms() + ask->timeout_ms;
	call->follows = ask->redirects_max > 0;
	call->redirects_left = ask->redirects_max;
	call->response_max = ask->response_max > 0 ? (size_t)ask->response_max : 0;
	copy_stream(call, ask->stream);
	if (call->stream.on_want == NULL) {
		buf_init(&call->body, ask->body.len);
		buf_add_slice(&call->body, ask->body);
	}
	copy_blob(&call->certificate, ask->client_certificate);
	copy_blob(&call->key, ask->client_key);
	buf_init(&call->answer_head, 2 * ANSWER_HEAD_MAX);
	buf_init(&call->answer_body, call->response_max);
	copy_credential_names(call, ask->credential_headers);
	headers_good = copy_headers(call, ask->headers, ask->header_count);
	TAILQ_INSERT_TAIL(&client->running, call, entry);
	call->url = url_parse(ask->url, &wrong);
	if (client->closed)
		call_finish(call, HTTP_CANCELLED, "ERR_CANCELED", "canceled");
	else if (call->url == NULL)
		call_finish(call, HTTP_REFUSED_URL, "ERR_INVALID_URL", "%s", wrong);
	else if (!field_is_token(slice_text(ask->method)))
		call_finish(call, HTTP_PROTOCOL, "ERR_INVALID_HTTP_TOKEN",
			    "the method is not a token");
	else if (!headers_good)
		call_finish(call, HTTP_PROTOCOL, "ERR_INVALID_CHAR",
			    "a header's name or value holds a byte it may not");
	else
		call_start_hop_soon(call);
	return call;
}

void
http_call_cancel(struct http_call *call)
{
	if (call->state == CALL_RUNNING && call->client->inside > 0) {
		call->cancelled = true;
		call_wake(call);
		return;
	}
	if (call->state == CALL_RUNNING) {
		call_finish(call, HTTP_CANCELLED, "ERR_CANCELED", "canceled");
		return;
	}
	free(call->text);
	call->failure = HTTP_CANCELLED;
	call->code = "ERR_CANCELED";
	call->text = sl_strdup("canceled");
}

const char *
http_answer_header(const struct http_answer *answer, const char *name)
{
	for (int i = 0; i < answer->header_count; i++) {
		if (strcmp(answer->headers[i].name, name) == 0)
			return answer->headers[i].value;
	}
	return NULL;
}
