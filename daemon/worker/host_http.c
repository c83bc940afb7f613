/* daemon/worker/host_http.c - requests to the provider, with the connection's credentials. */
#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "config.h"
#include "daemon/egress/send.h"
#include "daemon/worker/host_call.h"

#define CODES_MAX 32

static void
on_effect_answer(void *arg, bool allowed)
{
	struct host_call *call = arg;

	if (call->attempt != NULL && call->egress != NULL)
		egress_go(call->egress, allowed);
}

static void
on_before_send(void *arg, struct egress *egress)
{
	struct host_call *call = arg;

	assert(egress == call->egress);
	attempt_effect(call->attempt, on_effect_answer, call);
}

static void
on_waiting(void *arg, bool waiting)
{
	struct host_call *call = arg;

	call->waits = waiting;
	if (call->attempt != NULL)
		attempt_look_at_calls(call->attempt);
}

/* A header that stands several times is one member: a list for set-cookie, else one text (RFC 9110
 * section 5.3).  Written where it stands first. */
static void
write_header(struct json_writer *w, const struct http_answer *got, int index)
{
	const char *name = got->headers[index].name;
	bool is_list = strcmp(name, "set-cookie") == 0;
	struct buf joined;

	for (int i = 0; i < index; i++)
		if (strcmp(got->headers[i].name, name) == 0)
			return;
	jw_key(w, name);
	buf_init(&joined, 1 << 20);
	if (is_list)
		jw_array(w);
	for (int i = index; i < got->header_count; i++) {
		if (strcmp(got->headers[i].name, name) != 0)
			continue;
		if (is_list) {
			jw_text(w, got->headers[i].value);
			continue;
		}
		if (joined.len > 0)
			buf_add_text(&joined, ", ");
		buf_add_text(&joined, got->headers[i].value);
	}
	if (is_list)
		jw_array_end(w);
	else
		jw_text_n(w, buf_slice(&joined).data, joined.len);
	buf_fini(&joined);
}

void
host_write_answer(struct json_writer *w, const struct http_answer *got)
{
	jw_member_int(w, "status", got->status);
	jw_member_text(w, "statusText", got->status_text);
	jw_key(w, "headers");
	jw_object(w);
	for (int i = 0; i < got->header_count; i++)
		write_header(w, got, i);
	jw_object_end(w);
}

/* The job's next try had better come behind the window. */
static void
note_limit(const struct host_call *call, const struct http_answer *got)
{
	struct daemon *daemon = call->attempt->daemon;
	struct gate_place place;

	if (got->failure == HTTP_ANSWERED && got->status < 400)
		return;
	egress_place(daemon, call->connection, call->integration, &place);
	if (gate_closed_ms(daemon->gates, &place) > 0)
		attempt_note_limit(call->attempt, &place);
}

/* Nothing was sent: the credentials are no good. */
static bool
is_refusal(const struct http_answer *got)
{
	return got->failure == HTTP_CANCELLED && got->code != NULL &&
	       (strcmp(got->code, "invalid_credentials") == 0 ||
		strncmp(got->code, "connection_refresh_", strlen("connection_refresh_")) == 0);
}

static void
on_http_answer(void *arg, const struct http_answer *got)
{
	struct host_call *call = arg;
	struct json_writer w;
	struct buf out;

	FAULT_POINT("provider_answered");
	call->egress = NULL;
	note_limit(call, got);
	if (is_refusal(got)) {
		host_fail_credentials(call, got->code, got->text, &call->connection->row);
		return;
	}
	if (got->failure != HTTP_ANSWERED) {
		host_fail(call, got->code != NULL ? got->code : "ERR_NETWORK", got->text);
		return;
	}
	buf_init(&out, 1 << 20);
	jw_init(&w, &out);
	jw_object(&w);
	host_write_answer(&w, got);
	jw_object_end(&w);
	host_answer(call, true, buf_slice(&out), got->body);
	buf_fini(&out);
}

bool
host_is_token(const char *text)
{
	for (; *text != '\0'; text++)
		if (!isalnum((unsigned char)*text) && strchr("!#$%&'*+-.^_`|~", *text) == NULL)
			return false;
	return true;
}

bool
host_read_headers(struct host_call *call, struct json_value headers)
{
	struct json_iter it;
	bool ok = true;

	if (headers.type != JSON_OBJECT_)
		return true;
	json_iter_init(&it, headers);
	while (ok && json_iter_next(&it)) {
		char *name, *value;

		if (it.value.type == JSON_NULL_)
			continue;
		value = it.value.type == JSON_TEXT
			    ? json_text(it.value, NULL)
			    : sl_strndup(it.value.raw.data, it.value.raw.len);
		name = sl_strdup(it.key);
		ok = value != NULL && value[strcspn(value, "\r\n")] == '\0' && name[0] != '\0' &&
		     host_is_token(name) && call->header_count < HOST_HEADERS_MAX;
		if (!ok) {
			free(name);
			free(value);
			break;
		}
		call->kept[call->kept_count++] = name;
		call->kept[call->kept_count++] = value;
		call->header[call->header_count++] = (struct http_header){name, value};
	}
	json_iter_fini(&it);
	return ok;
}

static int
read_codes(struct json_value list, int *out)
{
	struct json_iter it;
	int count = 0;

	if (list.type != JSON_ARRAY_)
		return 0;
	json_iter_init(&it, list);
	while (json_iter_next(&it) && count < CODES_MAX) {
		int64_t code;

		if (json_int(it.value, &code) && code >= 100 && code <= 599)
			out[count++] = (int)code;
	}
	json_iter_fini(&it);
	return count;
}

/* The function's own query: a text, or an object that the SDK serialised already. */
static const char *
read_query(struct host_call *call)
{
	struct json_value params = json_get(call->meta, "params");

	return params.type == JSON_TEXT ? host_keep_text(call, params) : NULL;
}

void
host_http(struct host_call *call)
{
	static const struct egress_events events = {.on_before_send = on_before_send,
						    .on_waiting = on_waiting,
						    .on_answer = on_http_answer};
	struct daemon *daemon = call->attempt->daemon;
	struct json_value retry_header = json_get(call->meta, "retryHeader");
	int codes[CODES_MAX];
	int64_t retries = 0;
	struct provider_ask ask = {
	    .method = host_keep_text(call, json_get(call->meta, "method")),
	    .endpoint = host_keep_text(call, json_get(call->meta, "endpoint")),
	    .base_url_override = host_keep_text(call, json_get(call->meta, "baseUrlOverride")),
	    .headers = call->header,
	    .query = read_query(call),
	    .body = {call->body, call->body_len},
	    .has_body = call->body_len > 0,
	    .retry_on = codes,
	    .retry_on_count = read_codes(json_get(call->meta, "retryOn"), codes),
	    .retry_header_at = host_keep_text(call, json_get(retry_header, "at")),
	    .retry_header_after = host_keep_text(call, json_get(retry_header, "after")),
	    .decompress = true,
	    .forward_headers_on_redirect =
		json_is_yes(json_get(call->meta, "forwardHeadersOnRedirect")),
	    .timeout_ms = config_int(daemon->config, "provider_timeout"),
	    .deadline_mono_ms = call->attempt->deadline_mono_ms,
	    .user_agent = "sluice/" PACKAGE_VERSION,
	};
	struct egress_ask egress = {.connection = call->connection,
				    .integration = call->integration,
				    .job = attempt_job(call->attempt)};
	char by[200];

	if (ask.method == NULL || !host_is_token(ask.method) || ask.endpoint == NULL) {
		host_fail(call, "invalid_request", "a request needs a method and an endpoint");
		return;
	}
	if (!host_read_headers(call, json_get(call->meta, "headers"))) {
		host_fail(call, "invalid_request",
			  "a request header has a bad name or value, or there are more than 64");
		return;
	}
	ask.header_count = call->header_count;
	if (json_int(json_get(call->meta, "retries"), &retries) && retries > 0)
		ask.retries = retries > 10 ? 10 : (int)retries;
	snprintf(by, sizeof(by), "function=%s", call->attempt->function->row.name);
	egress.ask = ask;
	egress.by = by;
	call->egress = egress_start(daemon, &egress, &events, call);
}
