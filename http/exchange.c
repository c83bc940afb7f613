#include "http/server_state.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/metrics.h"

/* What becomes of a request on its connection: who judges it, who answers it, who drops it. */

enum {
	DENIED_BODY_MAX = 64 * 1024, /* skipped to keep the connection; larger ones close it */
	BODY_MAX_DEFAULT = 1024 * 1024,
};

void
exchange_drop(struct http_conn *conn)
{
	struct http_request *request = conn->request;
	struct http_server *server = conn->server;

	if (request == NULL)
		return;
	conn->request = NULL;
	request->conn = NULL;
	if (request->stream != NULL)
		stream_leave(request);
	if (!request->handed)
		request_free(request);
	else if (server->handler.on_gone != NULL)
		server->handler.on_gone(server->arg, request);
}

/* Ends the request in work, if there is one, with an answer of the transport's own. */
static void
refuse(struct http_conn *conn, int status, const char *code, const char *text, const char *lines,
       bool close)
{
	struct reply_form form = {.minor = 1};
	struct http_reply reply = {.status = status, .extra_headers = lines};
	struct buf body;

	if (conn->request != NULL) {
		form.minor = conn->request->head.minor;
		form.no_body = strcmp(conn->request->head.method, "HEAD") == 0;
		close = close || !conn->request->head.keep_alive;
	} else { /* its head was refused: at least its first bytes tell whether it was a HEAD */
		form.no_body = conn->in.len >= conn->gate.start + 5 &&
			       memcmp(conn->in.data + conn->gate.start, "HEAD ", 5) == 0;
	}
	conn->close = form.close = close || conn->server->draining;
	buf_init(&body, SIZE_MAX / 2);
	reply_error_body(&body, code, text);
	reply.body = buf_slice(&body);
	reply_write(conn->server, &conn->out, &form, &reply);
	buf_fini(&body);
	exchange_drop(conn);
	conn_enter(conn, CONN_FLUSH);
}

void
exchange_refuse(struct http_conn *conn, const struct http_refusal *refusal)
{
	const char *own = conn->server->settings.refusal_headers;
	struct buf lines;

	buf_init(&lines, SIZE_MAX / 2);
	if (refusal->status == 405)
		buf_add_text(&lines, "Allow: " HEAD_METHODS "\r\n");
	else if (refusal->status == 503)
		buf_add_text(&lines, "Retry-After: 1\r\n");
	if (own != NULL)
		buf_add_text(&lines, own);
	refuse(conn, refusal->status, refusal->code, refusal->text, lines.data, true);
	buf_fini(&lines);
}

void
exchange_deny(struct http_conn *conn, bool close)
{
	/* The texts live in the request, which refuse() frees after it has used them. */
	const struct http_denial *denial = &conn->request->denial;

	refuse(conn, denial->status, denial->code, denial->text, denial->extra_headers, close);
}

void
exchange_hand_over(struct http_conn *conn)
{
	struct http_request *request = conn->request;
	struct http_server *server = conn->server;

	if (request->denial.status != 0) {
		exchange_deny(conn, false);
		return;
	}
	request->handed = true;
	conn_enter(conn, CONN_WAIT);
	server->handler.on_request(server->arg, request); /* may reply at once, may close us */
}

/* Under /proxy/ a path is passed on, under /v1/ it is compared with what customers declared. */
static bool
is_opaque(struct slice path)
{
	static const char *const prefixes[] = {"/proxy/", "/v1/"};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		size_t len = strlen(prefixes[i]);

		if (path.len >= len && memcmp(path.data, prefixes[i], len) == 0)
			return true;
	}
	return false;
}

/* What the transport itself says about a well-framed request, then the layer above. */
static void
ask_verdict(struct http_conn *conn, struct http_verdict *verdict, struct http_refusal *own)
{
	struct http_server *server = conn->server;
	const struct head *head = &conn->request->head;

	*verdict = (struct http_verdict){.body_max = BODY_MAX_DEFAULT};
	if (!is_opaque(head->path))
		target_check_path(head->path, own);
	if (own->status == 0 && server->handler.on_head != NULL)
		server->handler.on_head(server->arg, conn->request, verdict);
	if (own->status == 0 && head->encoded && !verdict->stream) /* a stream is passed on as it is */
		http_refusal_set(own, 415, "unsupported_media_type",
				 "compressed bodies are not taken; send it without "
				 "Content-Encoding");
	if (own->status != 0) {
		verdict->status = own->status;
		verdict->error_code = own->code;
		verdict->error_text = own->text;
		verdict->extra_headers = server->settings.refusal_headers;
	}
}

/* A refused request keeps its connection when its body is worth skipping. */
static bool
start_denied(struct http_conn *conn, const struct http_verdict *verdict)
{
	const struct head *head = &conn->request->head;
	struct http_refusal ignored;

	request_deny(conn->request, verdict);
	if (head->expects_continue || !body_start(&conn->reader, head, DENIED_BODY_MAX, &ignored)) {
		exchange_deny(conn, true);
		return false;
	}
	return true;
}

bool
exchange_has_budget(const struct http_conn *conn, int64_t more, struct http_refusal *refusal)
{
	const struct http_server *server = conn->server;

	if (server->body_bytes + more <= server->settings.body_budget)
		return true;
	return http_refusal_set(refusal, 503, "server_busy",
				"too many bytes of requests are held at the moment; try again "
				"later");
}

/* The head is parsed: finds out whether and how the body is to be read. */
void
exchange_start(struct http_conn *conn)
{
	const struct head *head = &conn->request->head;
	struct http_verdict verdict;
	struct http_refusal own = {0}, refusal;
	int64_t more = head->body == HEAD_BODY_LENGTH ? head->length : 0;

	conn->surplus =
	    conn->surplus && conn->server->conn_count > conn->server->settings.connections_max;
	if (conn->surplus) {
		http_refusal_set(&refusal, 503, "too_many_connections",
				 "this server has as many connections as it takes; try again "
				 "later, or close some");
		exchange_refuse(conn, &refusal);
		return;
	}
	ask_verdict(conn, &verdict, &own);
	if (verdict.status != 0) {
		if (!start_denied(conn, &verdict))
			return;
	} else if (!body_start(&conn->reader, head, verdict.body_max, &refusal) ||
		   (head->body != HEAD_BODY_NONE && !verdict.stream &&
		    !exchange_has_budget(conn, more, &refusal))) {
		exchange_refuse(conn, &refusal);
		return;
	}
	if (verdict.status == 0 && verdict.stream) {
		stream_start(conn);
		return;
	}
	if (head->body == HEAD_BODY_NONE) {
		exchange_hand_over(conn);
		return;
	}
	buf_init(&conn->request->body, (size_t)(more > 0 ? more : conn->reader.max));
	conn->body_start_ms = clock_mono_ms();
	conn->body_raw = (int64_t)conn->in.len;
	if (head->expects_continue && conn->in.len == 0)
		buf_add_text(&conn->out, "HTTP/1.1 100 Continue\r\n\r\n");
	conn_enter(conn, CONN_BODY);
}

void
exchange_refuse_slow(struct http_conn *conn)
{
	struct http_refusal refusal;

	http_refusal_set(&refusal, 408, "request_timeout", "the request came too slowly");
	exchange_refuse(conn, &refusal);
}

void
exchange_observe(const struct http_request *request)
{
	metric_observe(&metrics[METRIC_HTTP_LATENCY], 0, 0,
		       (double)(clock_mono_us() - request->began_us) / 1e6);
}

void
exchange_answer(struct http_conn *conn, const struct http_reply *reply)
{
	struct http_request *request = conn->request;
	struct reply_form form = {
	    .minor = request->head.minor,
	    .close = reply->close || !request->head.keep_alive || conn->server->draining,
	    .no_body = strcmp(request->head.method, "HEAD") == 0,
	};

	assert(conn->state == CONN_WAIT || conn->state == CONN_STREAM);
	if (request->stream != NULL) {
		assert(!stream_has_begun(request));
		form.close = form.close || !stream_keeps_connection(conn);
	}
	exchange_observe(request);
	conn->close = form.close;
	reply_write(conn->server, &conn->out, &form, reply);
	conn->request = NULL;
	request_free(request); /* after the answer was copied: it may be made of the request */
	conn_enter(conn, CONN_FLUSH);
	conn_run(conn);
}
