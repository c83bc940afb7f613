#include "http/server_state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/clock.h"

struct http_request *
request_new(struct http_conn *conn, struct head *head)
{
	struct http_request *request = sl_alloc(sizeof(*request));

	request->server = conn->server;
	request->conn = conn;
	request->began_us = clock_mono_us();
	request->head = *head;
	*head = (struct head){0};
	memcpy(request->peer, conn->peer, sizeof(request->peer));
	buf_init(&request->body, 0);
	LIST_INSERT_HEAD(&conn->server->requests, request, entry);
	return request;
}

void
request_charge(struct http_request *request)
{
	int64_t held = (int64_t)request->body.len;

	request->server->body_bytes += held - request->charged;
	request->charged = held;
}

void
request_deny(struct http_request *request, const struct http_verdict *verdict)
{
	struct http_denial *denial = &request->denial;

	denial->status = verdict->status;
	denial->code = sl_strdup(verdict->error_code);
	denial->text = sl_strdup(verdict->error_text);
	if (verdict->extra_headers != NULL)
		denial->extra_headers = sl_strdup(verdict->extra_headers);
}

void
request_free(struct http_request *request)
{
	if (request->server != NULL) {
		request->server->body_bytes -= request->charged;
		LIST_REMOVE(request, entry);
	}
	head_fini(&request->head);
	buf_fini(&request->body);
	stream_free(request->stream);
	target_pieces_fini(&request->segments);
	target_pieces_fini(&request->pairs);
	free(request->denial.code);
	free(request->denial.text);
	free(request->denial.extra_headers);
	free(request);
}

const char *
http_request_method(const struct http_request *request)
{
	return request->head.method;
}

struct slice
http_request_path(const struct http_request *request)
{
	return request->head.path;
}

struct slice
http_request_query(const struct http_request *request)
{
	return request->head.query;
}

const char *
http_request_header(const struct http_request *request, const char *name)
{
	for (int i = 0; i < request->head.field_count; i++) {
		if (strcasecmp(request->head.fields[i].name, name) == 0)
			return request->head.fields[i].value;
	}
	return NULL;
}

int
http_request_header_count(const struct http_request *request, const char *name)
{
	int count = 0;

	for (int i = 0; i < request->head.field_count; i++)
		count += strcasecmp(request->head.fields[i].name, name) == 0;
	return count;
}

int
http_request_headers(const struct http_request *request)
{
	return request->head.field_count;
}

void
http_request_header_at(const struct http_request *request, int index, const char **name,
		       const char **value)
{
	assert(index >= 0 && index < request->head.field_count);
	*name = request->head.fields[index].name;
	*value = request->head.fields[index].value;
}

struct slice
http_request_body(const struct http_request *request)
{
	return buf_slice(&request->body);
}

const char *
http_request_peer(const struct http_request *request)
{
	return request->peer;
}

bool
http_request_is_gone(const struct http_request *request)
{
	return request->conn == NULL;
}

void
http_request_set_data(struct http_request *request, void *data)
{
	request->data = data;
}

void *
http_request_data(const struct http_request *request)
{
	return request->data;
}

int
http_request_segments(struct http_request *request, const char **segments, int max)
{
	if (!request->has_segments)
		target_segments(request->head.path, &request->segments);
	request->has_segments = true;
	if (request->segments.count < 0 || request->segments.count > max)
		return -1;
	for (int i = 0; i < request->segments.count; i++)
		segments[i] = request->segments.texts[i];
	return request->segments.count;
}

int
http_request_query_pairs(struct http_request *request)
{
	if (!request->has_pairs)
		target_pairs(request->head.query, &request->pairs);
	request->has_pairs = true;
	return request->pairs.count < 0 ? -1 : request->pairs.count / 2;
}

void
http_request_query_at(const struct http_request *request, int index, const char **name,
		      const char **value)
{
	assert(index >= 0 && index < request->pairs.count / 2);
	*name = request->pairs.texts[2 * index];
	*value = request->pairs.texts[2 * index + 1];
}

void
http_request_reply(struct http_request *request, const struct http_reply *reply)
{
	struct http_conn *conn = request->conn;

	assert(request->handed); /* not from on_head */
	if (conn != NULL)
		exchange_answer(conn, reply); /* may go on to the next request of the connection */
	else
		request_free(request);
}

void
http_request_fail(struct http_request *request, int status, const char *code, const char *text)
{
	struct buf body;
	struct http_reply reply = {.status = status};

	if (request->server != NULL)
		reply.extra_headers = request->server->settings.refusal_headers;
	buf_init(&body, SIZE_MAX / 2);
	reply_error_body(&body, code, text);
	reply.body = buf_slice(&body);
	http_request_reply(request, &reply);
	buf_fini(&body);
}
