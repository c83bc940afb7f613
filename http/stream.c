#include "http/server_state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/metrics.h"

/* A request that is read, and answered, bit by bit.
 *
 * In: what read() gave is decoded at once into request->body, and read() is called only while that
 * holds less than READ_MARK: with one more read it is never above HTTP_STREAM_ROOM.  Out: what is
 * written goes to conn->out.  The layer above is called from conn_run() only, never from inside a
 * call of its own; what such a call finds out (the client is gone) waits for the next turn. */

enum {
	READ_MARK = HTTP_STREAM_ROOM - CONN_READ_MARK,
	SEND_MARK = 16 * 1024, /* smaller writes wait for the end of the turn: one send() for all */
	SKIP_MAX = 64 * 1024,  /* of a body that nobody read, to keep the connection */
	BODY_RATE = 1024,      /* bytes a second, judged after body_gap_ms */
	SIZE_LINE = 20,        /* of a chunk: 16 digits and two line ends */
};

enum stream_input { INPUT_OPEN, INPUT_ENDED, INPUT_BROKEN };

enum stream_output {
	OUTPUT_NONE,  /* the head was not given yet */
	OUTPUT_SIZED, /* `left` bytes to come */
	OUTPUT_CHUNKED,
	OUTPUT_CLOSED,  /* ends with the connection */
	OUTPUT_NOTHING, /* HEAD, 204, 304: bytes are taken and dropped */
};

struct request_stream {
	struct http_request_events events;
	void *arg;
	struct loop_timer *gap;  /* between bytes of the body; NULL when the connection is gone */
	struct loop_timer *soon; /* conn_run() at the end of this turn */
	enum stream_input input;
	size_t read;       /* bytes of request->body that were taken */
	int64_t since_ms;  /* when we began to read, or to read again */
	int64_t raw;       /* bytes since then, framing included */
	bool news;         /* on_readable is owed */
	bool continue_due; /* 100 Continue was asked for and not sent */
	enum stream_output output;
	int64_t left;
	bool excess; /* more was written than was announced */
	bool full;   /* on_room is owed */
	bool lost;   /* a write found the client gone */
};

static size_t
unread(const struct http_request *request)
{
	return request->body.len - request->stream->read;
}

static size_t
queued(const struct http_conn *conn)
{
	return conn->out.len - conn->sent;
}

bool
stream_wants_bytes(const struct http_conn *conn)
{
	if (conn->request->stream->input != INPUT_OPEN)
		return conn->in.len < CONN_READ_MARK; /* of later requests */
	return unread(conn->request) < READ_MARK;
}

/* The gap clock runs while we wait for the client, not while it waits for us. */
void
stream_arm(struct http_conn *conn)
{
	struct request_stream *stream = conn->request->stream;

	if (stream->input != INPUT_OPEN || stream->continue_due || !stream_wants_bytes(conn)) {
		loop_timer_stop(stream->gap);
	} else if (!loop_timer_is_armed(stream->gap)) {
		stream->since_ms = clock_mono_ms();
		stream->raw = 0;
		loop_timer_in(stream->gap, conn->server->settings.body_gap_ms);
	}
}

void
stream_received(struct http_conn *conn, int64_t bytes)
{
	struct request_stream *stream = conn->request->stream;

	if (stream->input != INPUT_OPEN)
		return;
	stream->continue_due = false; /* it did not wait for that */
	stream->raw += bytes;
	if (loop_timer_is_armed(stream->gap))
		loop_timer_in(stream->gap, conn->server->settings.body_gap_ms);
}

/* Before the answer has begun the transport says what is wrong, and the request is gone.  Behind
 * that the layer above finds out by reading. */
static void
break_input(struct http_conn *conn, const struct http_refusal *refusal)
{
	struct http_request *request = conn->request;
	struct request_stream *stream = request->stream;

	loop_timer_stop(stream->gap);
	stream->input = INPUT_BROKEN;
	stream->news = true;
	conn->close = true;
	buf_fini(&request->body);
	stream->read = 0;
	if (stream->output == OUTPUT_NONE)
		exchange_refuse(conn, refusal);
}

static void
refuse_slow(struct http_conn *conn)
{
	struct http_refusal refusal;

	http_refusal_set(&refusal, 408, "request_timeout", "the request came too slowly");
	break_input(conn, &refusal);
}

static bool
is_too_slow(const struct http_conn *conn)
{
	const struct request_stream *stream = conn->request->stream;
	int64_t took_ms = clock_mono_ms() - stream->since_ms;

	return loop_timer_is_armed(stream->gap) && took_ms > conn->server->settings.body_gap_ms &&
	       stream->raw * 1000 < took_ms * BODY_RATE;
}

/* Decodes what came. */
static void
take_input(struct http_conn *conn)
{
	struct http_request *request = conn->request;
	struct request_stream *stream = request->stream;
	struct http_refusal refusal = {0};
	enum body_progress progress;
	size_t before, used;

	if (stream->read > 0) {
		buf_consume(&request->body, stream->read);
		stream->read = 0;
	}
	before = request->body.len;
	progress =
	    body_read(&conn->reader, conn->in.data, conn->in.len, &used, &request->body, &refusal);
	buf_consume(&conn->in, used);
	stream->news = stream->news || request->body.len > before;
	switch (progress) {
	case BODY_WHOLE:
		stream->input = INPUT_ENDED;
		stream->news = true;
		return;
	case BODY_REFUSED:
		break_input(conn, &refusal);
		return;
	case BODY_MORE:
		break;
	}
	if (conn->eof) {
		http_refusal_set(&refusal, 400, "invalid_request",
				 "the body ends before its announced length");
		break_input(conn, &refusal);
	} else if (is_too_slow(conn)) {
		refuse_slow(conn);
	}
}

/* True: the request is over, and there is more to do. */
bool
stream_run(struct http_conn *conn)
{
	struct http_request *request = conn->request;
	struct request_stream *stream = request->stream;

	if (stream->lost) {
		conn_close(conn);
		return false;
	}
	if (stream->input == INPUT_OPEN)
		take_input(conn);
	if (conn->request != request)
		return true;
	if (stream->news && stream->events.on_readable != NULL) {
		stream->news = false;
		stream->events.on_readable(stream->arg); /* may end the request */
		if (conn->request != request)
			return true;
	}
	if (stream->full && queued(conn) <= HTTP_STREAM_ROOM / 2) {
		stream->full = false;
		if (stream->events.on_room != NULL)
			stream->events.on_room(stream->arg);
	}
	return conn->request != request;
}

static void
on_gap(void *arg)
{
	struct http_conn *conn = arg;

	refuse_slow(conn);
	conn_run(conn);
}

static void
on_soon(void *arg)
{
	conn_run(arg);
}

void
stream_start(struct http_conn *conn)
{
	struct http_server *server = conn->server;
	struct http_request *request = conn->request;
	struct request_stream *stream = sl_alloc(sizeof(*stream));

	stream->gap = loop_timer_new(server->loop, on_gap, conn);
	stream->soon = loop_timer_new(server->loop, on_soon, conn);
	if (request->head.body == HEAD_BODY_NONE) {
		stream->input = INPUT_ENDED;
		stream->news = true;
	} else {
		stream->continue_due = request->head.expects_continue && conn->in.len == 0;
	}
	buf_init(&request->body, HTTP_STREAM_ROOM);
	request->stream = stream;
	request->handed = true;
	conn_enter(conn, CONN_STREAM);
	server->handler.on_request(server->arg, request); /* may reply at once */
}

void
stream_leave(struct http_request *request)
{
	struct request_stream *stream = request->stream;

	loop_timer_free(stream->gap);
	loop_timer_free(stream->soon);
	stream->gap = stream->soon = NULL;
	buf_fini(&request->body);
	stream->read = 0;
}

void
stream_free(struct request_stream *stream)
{
	if (stream == NULL)
		return;
	loop_timer_free(stream->gap);
	loop_timer_free(stream->soon);
	free(stream);
}

bool
stream_has_begun(const struct http_request *request)
{
	return request->stream->output != OUTPUT_NONE;
}

/* What becomes of the connection when the answer is over before the request is: a small rest is
 * skipped, behind the answer. */
bool
stream_keeps_connection(struct http_conn *conn)
{
	const struct request_stream *stream = conn->request->stream;
	struct body_reader *reader = &conn->reader;

	conn->skip = false;
	if (stream->input == INPUT_ENDED)
		return true;
	if (stream->input == INPUT_BROKEN || stream->continue_due || conn->eof ||
	    ((reader->state == BODY_FIXED || reader->state == BODY_DATA) &&
	     reader->left > SKIP_MAX))
		return false;
	if (reader->max - reader->kept > SKIP_MAX)
		reader->max = reader->kept + SKIP_MAX;
	conn->skip = true;
	return true;
}

/* True: there is more to do. */
bool
stream_skip(struct http_conn *conn)
{
	struct http_refusal ignored;
	enum body_progress progress;
	struct buf nobody;
	size_t used;

	buf_init(&nobody, CONN_READ_MARK);
	progress = body_read(&conn->reader, conn->in.data, conn->in.len, &used, &nobody, &ignored);
	buf_fini(&nobody);
	buf_consume(&conn->in, used);
	if (progress == BODY_MORE && !conn->eof)
		return false;
	conn->skip = false;
	conn->close = conn->close || progress != BODY_WHOLE;
	conn_enter(conn, CONN_FLUSH); /* which has nothing to flush, and goes where it should */
	return true;
}

/* ---- what the layer above calls ---------------------------------------------------------------
 */

static void
run_soon(struct http_conn *conn)
{
	loop_timer_in(conn->request->stream->soon, 0);
}

static void
arm(struct http_conn *conn)
{
	if (!conn->running) /* else conn_run() does at its end */
		conn_arm(conn);
}

/* Much goes out now, a little at the end of the turn: with what else is written until then. */
static void
flush(struct http_conn *conn)
{
	struct request_stream *stream = conn->request->stream;

	if (queued(conn) < SEND_MARK) {
		run_soon(conn);
		return;
	}
	if (!stream->lost && !conn_send(conn)) {
		stream->lost = true;
		run_soon(conn);
	}
	arm(conn);
}

/* The body is wanted: says so to a client that waits for it. */
static void
want_body(struct http_conn *conn)
{
	struct request_stream *stream = conn->request->stream;

	if (!stream->continue_due || stream->output != OUTPUT_NONE)
		return;
	stream->continue_due = false;
	buf_add_text(&conn->out, "HTTP/1.1 100 Continue\r\n\r\n");
	run_soon(conn);
}

void
http_request_listen(struct http_request *request, const struct http_request_events *events,
		    void *arg)
{
	struct request_stream *stream = request->stream;

	assert(stream != NULL);
	stream->events = *events;
	stream->arg = arg;
	if (request->conn == NULL)
		return;
	want_body(request->conn);
	if (stream->news || stream->full)
		run_soon(request->conn);
}

int64_t
http_request_length(const struct http_request *request)
{
	switch (request->head.body) {
	case HEAD_BODY_NONE:
		return 0;
	case HEAD_BODY_LENGTH:
		return request->head.length;
	case HEAD_BODY_CHUNKED:
		return -1;
	}
	return -1;
}

int64_t
http_request_read(struct http_request *request, char *out, size_t size)
{
	struct request_stream *stream = request->stream;
	size_t take;
	bool wanted;

	assert(stream != NULL);
	if (request->conn == NULL || stream->input == INPUT_BROKEN)
		return HTTP_REQUEST_BROKEN;
	want_body(request->conn);
	wanted = stream_wants_bytes(request->conn);
	take = unread(request) < size ? unread(request) : size;
	if (take > 0)
		memcpy(out, request->body.data + stream->read, take);
	stream->read += take;
	if (unread(request) == 0) {
		stream->read = 0;
		if (stream->input == INPUT_ENDED)
			buf_fini(&request->body);
		else
			buf_clear(&request->body);
	}
	if (!wanted && stream_wants_bytes(request->conn))
		arm(request->conn);
	if (take > 0)
		return (int64_t)take;
	return stream->input == INPUT_ENDED ? HTTP_REQUEST_END : 0;
}

void
http_request_reply_head(struct http_request *request, const struct http_reply *reply,
			int64_t length)
{
	struct request_stream *stream = request->stream;
	struct http_conn *conn = request->conn;
	struct reply_form form = {.minor = request->head.minor,
				  .no_body = strcmp(request->head.method, "HEAD") == 0,
				  .stream = true,
				  .length = length};

	assert(stream != NULL && stream->output == OUTPUT_NONE && length >= -1);
	if (form.no_body || reply->status == 204 || reply->status == 304)
		stream->output = OUTPUT_NOTHING;
	else if (length >= 0)
		stream->output = OUTPUT_SIZED;
	else
		stream->output = form.minor > 0 ? OUTPUT_CHUNKED : OUTPUT_CLOSED;
	stream->left = length;
	if (conn == NULL)
		return;
	form.close = reply->close || !request->head.keep_alive || conn->server->draining ||
		     stream->continue_due || stream->output == OUTPUT_CLOSED;
	conn->close = form.close;
	exchange_observe(request);
	reply_write(conn->server, &conn->out, &form, reply);
	run_soon(conn);
}

/* Bytes behind those that were sent go to the front before there are too many in front of them. */
static void
compact_out(struct http_conn *conn)
{
	if (conn->sent < HTTP_STREAM_ROOM / 4)
		return;
	buf_consume(&conn->out, conn->sent);
	conn->sent = 0;
}

bool
http_request_write(struct http_request *request, struct slice bytes)
{
	struct request_stream *stream = request->stream;
	struct http_conn *conn = request->conn;

	assert(stream != NULL && stream->output != OUTPUT_NONE && bytes.len <= HTTP_STREAM_ROOM);
	if (conn == NULL || stream->output == OUTPUT_NOTHING || bytes.len == 0)
		return true;
	if (queued(conn) > 0 && queued(conn) + bytes.len + SIZE_LINE > HTTP_STREAM_ROOM) {
		stream->full = true;
		return false;
	}
	if (stream->output == OUTPUT_SIZED) {
		stream->excess = stream->excess || (int64_t)bytes.len > stream->left;
		if ((int64_t)bytes.len > stream->left)
			bytes.len = (size_t)stream->left;
		stream->left -= (int64_t)bytes.len;
	}
	compact_out(conn);
	if (stream->output == OUTPUT_CHUNKED)
		buf_printf(&conn->out, "%zx\r\n", bytes.len);
	buf_add_slice(&conn->out, bytes);
	if (stream->output == OUTPUT_CHUNKED)
		buf_add_text(&conn->out, "\r\n");
	flush(conn);
	return true;
}

/* Without a length only a reset tells the client that the end is none. */
static void
reset(struct http_conn *conn)
{
	struct linger linger = {1, 0};

	setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	conn_close(conn);
}

void
http_request_reply_end(struct http_request *request, bool whole)
{
	struct request_stream *stream = request->stream;
	struct http_conn *conn = request->conn;
	bool needs_reset;

	assert(stream != NULL && stream->output != OUTPUT_NONE);
	if (conn == NULL) {
		request_free(request);
		return;
	}
	if (stream->output == OUTPUT_SIZED && (stream->left > 0 || stream->excess))
		whole = false;
	needs_reset = !whole && stream->output == OUTPUT_CLOSED;
	if (whole && stream->output == OUTPUT_CHUNKED)
		buf_add_text(&conn->out, "0\r\n\r\n");
	if (!whole || conn->close || !stream_keeps_connection(conn))
		conn->close = true;
	conn->request = NULL;
	request_free(request);
	if (needs_reset) {
		reset(conn);
		return;
	}
	conn_enter(conn, CONN_FLUSH);
	conn_run(conn);
}
