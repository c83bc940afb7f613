#include "http/server_state.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"

enum {
	RUN_REQUESTS = 16, /* of one connection before others get their turn */
	LINGER_MS = 2000,
	SURPLUS_MS = 2000,                /* for the head of a connection that is one too many */
	DRAIN_FRESH_MS = 500,             /* a drain's, for who has connected and not asked yet */
	LINGER_BYTES = 100 * 1000 * 1000, /* so that a client can read a 413 while it still sends */
	BODY_RATE = 1024,                 /* bytes a second, judged after body_gap_ms */
};

static const bool conn_allows[CONN_CLOSED + 1][CONN_CLOSED + 1] = {
    [CONN_HEAD] =
	{[CONN_BODY] = true,
	 [CONN_WAIT] = true,
	 [CONN_STREAM] = true,
	 [CONN_FLUSH] = true,
	 [CONN_CLOSED] = true},
    [CONN_BODY] = {[CONN_WAIT] = true, [CONN_FLUSH] = true, [CONN_CLOSED] = true},
    [CONN_WAIT] = {[CONN_FLUSH] = true, [CONN_CLOSED] = true},
    [CONN_STREAM] = {[CONN_FLUSH] = true, [CONN_CLOSED] = true},
    [CONN_FLUSH] = {[CONN_HEAD] = true,
		    [CONN_SKIP] = true,
		    [CONN_LINGER] = true,
		    [CONN_CLOSED] = true},
    [CONN_SKIP] = {[CONN_FLUSH] = true, [CONN_CLOSED] = true},
    [CONN_LINGER] = {[CONN_CLOSED] = true},
};

static void
conn_free(void *arg)
{
	struct http_conn *conn = arg;

	buf_fini(&conn->in);
	buf_fini(&conn->out);
	free(conn);
}

void
conn_enter(struct http_conn *conn, enum conn_state to)
{
	assert(conn_allows[conn->state][to]);
	conn->state = to;
	conn->clock = CLOCK_NONE; /* each state has a clock of its own, started anew */
	if (to == CONN_HEAD)
		head_gate_init(&conn->gate);
	if (to == CONN_SKIP) {
		conn->body_start_ms = clock_mono_ms();
		conn->body_raw = 0;
	}
	if (to == CONN_LINGER) {
		buf_fini(&conn->in); /* whatever else came is not listened to */
		/* Fails only for a client that is gone, which read() will tell. */
		shutdown(conn->fd, SHUT_WR);
	}
	if (to != CONN_CLOSED)
		return;
	loop_watch_free(conn->watch);
	loop_timer_free(conn->timer);
	close(conn->fd);
	LIST_REMOVE(conn, entry);
	LIST_REMOVE(conn, peer_entry);
	conn->server->conn_count--;
	exchange_drop(conn);
	loop_free_later(conn->server->loop, conn_free, conn);
}

void
conn_close(struct http_conn *conn)
{
	if (conn->state != CONN_CLOSED)
		conn_enter(conn, CONN_CLOSED);
}

bool
conn_send(struct http_conn *conn)
{
	while (conn->sent < conn->out.len) {
		ssize_t n = send(conn->fd, conn->out.data + conn->sent, conn->out.len - conn->sent,
				 MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK;
		conn->sent += (size_t)n;
		if (conn->state == CONN_FLUSH || conn->state == CONN_STREAM)
			conn->clock = CLOCK_NONE; /* progress: the clock starts anew */
	}
	conn->sent = 0;
	buf_fini(&conn->out); /* an idle connection holds no buffers */
	return true;
}

/* Reads once.  False: the client is gone. */
static bool
conn_receive(struct http_conn *conn)
{
	struct http_server *server = conn->server;
	size_t room = conn->state == CONN_LINGER ? sizeof(server->scratch)
						 : sizeof(server->scratch) - conn->in.len;
	ssize_t n;

	if (conn->eof || room == 0 || (conn->state == CONN_STREAM && !stream_wants_bytes(conn)))
		return true;
	n = read(conn->fd, server->scratch, room);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
	if (n == 0)
		conn->eof = true;
	else if (conn->state == CONN_LINGER)
		conn->lingered += n;
	else
		buf_add(&conn->in, server->scratch, (size_t)n);
	if (n > 0 && conn->state == CONN_STREAM)
		stream_received(conn, n);
	if (n > 0 && (conn->state == CONN_BODY || conn->state == CONN_SKIP)) {
		conn->body_raw += n;
		conn->clock = CLOCK_NONE; /* the gap between bytes starts anew */
	}
	return true;
}

/* True: there is more to do in the state we are in now. */
static bool
conn_run_head(struct http_conn *conn)
{
	struct http_refusal refusal = {0};
	struct head head;

	switch (head_gate(&conn->gate, conn->in.data, conn->in.len, &refusal)) {
	case HEAD_MORE:
		if (!conn->eof)
			return false;
		if (conn->gate.state == GATE_LEAD) { /* nothing was asked */
			conn_close(conn);
			return false;
		}
		http_refusal_set(&refusal, 400, "invalid_request",
				 "the request ends in the middle of its head");
		break;
	case HEAD_REFUSED:
		break;
	case HEAD_WHOLE:
		if (head_parse(&head, conn->in.data + conn->gate.start,
			       conn->gate.seen - conn->gate.start, &refusal)) {
			conn->request = request_new(conn, &head);
			conn->fresh = false;
			buf_consume(&conn->in, conn->gate.seen);
			exchange_start(conn);
			return true;
		}
		head_fini(&head);
		break;
	}
	exchange_refuse(conn, &refusal);
	return true;
}

/* Judged once enough time went by; the clock sees to it that bytes come at all. */
static bool
body_is_too_slow(const struct http_conn *conn)
{
	int64_t took_ms = clock_mono_ms() - conn->body_start_ms;

	return took_ms > conn->server->settings.body_gap_ms &&
	       conn->body_raw * 1000 < took_ms * BODY_RATE;
}

static bool
conn_run_body(struct http_conn *conn)
{
	struct http_request *request = conn->request;
	struct http_refusal refusal = {0};
	enum body_progress progress;
	size_t used;

	progress =
	    body_read(&conn->reader, conn->in.data, conn->in.len, &used, &request->body, &refusal);
	buf_consume(&conn->in, used);
	request_charge(request);
	if (progress == BODY_WHOLE) {
		exchange_hand_over(conn);
		return true;
	}
	if (progress == BODY_MORE && exchange_has_budget(conn, 0, &refusal)) {
		if (conn->eof) {
			http_refusal_set(&refusal, 400, "invalid_request",
					 "the body ends before its announced length");
		} else if (body_is_too_slow(conn)) {
			exchange_refuse_slow(conn);
			return true;
		} else {
			return false;
		}
	}
	if (request->denial.status != 0)
		exchange_deny(conn, true);
	else
		exchange_refuse(conn, &refusal);
	return true;
}

static bool
conn_run_flush(struct http_conn *conn)
{
	if (conn->out.len > 0)
		return false;
	if (conn->close) {
		conn_enter(conn, CONN_LINGER);
		return true;
	}
	if (conn->skip) {
		conn_enter(conn, CONN_SKIP);
		return true;
	}
	if (conn->server->draining && conn->in.len == 0) {
		conn_close(conn);
		return false;
	}
	conn_enter(conn, CONN_HEAD);
	if (conn->in.len == 0)
		buf_fini(&conn->in);
	return true;
}

static bool
conn_run_skip(struct http_conn *conn)
{
	if (stream_skip(conn))
		return true;
	if (body_is_too_slow(conn))
		conn_close(conn); /* its answer was sent */
	return false;
}

static bool
conn_run_linger(struct http_conn *conn)
{
	if (conn->eof || conn->lingered > LINGER_BYTES)
		conn_close(conn);
	return false;
}

static bool
conn_step(struct http_conn *conn)
{
	switch (conn->state) {
	case CONN_HEAD:
		return conn_run_head(conn);
	case CONN_BODY:
		return conn_run_body(conn);
	case CONN_FLUSH:
		return conn_run_flush(conn);
	case CONN_STREAM:
		return stream_run(conn);
	case CONN_SKIP:
		return conn_run_skip(conn);
	case CONN_LINGER:
		return conn_run_linger(conn);
	case CONN_WAIT:
	case CONN_CLOSED:
		return false;
	}
	return false;
}

static enum conn_clock
conn_wanted_clock(const struct http_conn *conn)
{
	switch (conn->state) {
	case CONN_HEAD:
		return conn->in.len == 0 ? CLOCK_IDLE : CLOCK_HEAD;
	case CONN_BODY:
	case CONN_SKIP:
		return CLOCK_BODY;
	case CONN_STREAM: /* for the other direction it has one of its own */
		return conn->out.len > 0 ? CLOCK_FLUSH : CLOCK_NONE;
	case CONN_FLUSH:
		return CLOCK_FLUSH;
	case CONN_LINGER:
		return CLOCK_LINGER;
	case CONN_WAIT:
	case CONN_CLOSED:
		return CLOCK_NONE;
	}
	return CLOCK_NONE;
}

static int64_t
clock_ms(const struct http_conn *conn, enum conn_clock clock)
{
	const struct http_server_settings *settings = &conn->server->settings;

	if (conn->server->draining && clock == CLOCK_IDLE)
		return DRAIN_FRESH_MS;
	if (conn->surplus && (clock == CLOCK_IDLE || clock == CLOCK_HEAD))
		return SURPLUS_MS;
	switch (clock) {
	case CLOCK_NONE:
		break;
	case CLOCK_IDLE:
		return settings->idle_ms;
	case CLOCK_HEAD:
		return settings->head_ms;
	case CLOCK_BODY:
		return settings->body_gap_ms;
	case CLOCK_FLUSH:
		return settings->flush_ms;
	case CLOCK_LINGER:
		return LINGER_MS;
	}
	return 0;
}

/* Bytes the kernel still has to get rid of.  It lets us write again only when much of its room is
 * free, so a slow reader is told from a dead one by this number. */
static int
conn_queued(const struct http_conn *conn)
{
	int queued;

	return ioctl(conn->fd, SIOCOUTQ, &queued) == 0 ? queued : 0;
}

/* Which events, and which clock unless it is running already. */
void
conn_arm(struct http_conn *conn)
{
	enum conn_clock wanted = conn_wanted_clock(conn);
	bool full = conn->state != CONN_LINGER && conn->in.len >= CONN_READ_MARK;
	int what = 0;

	if (conn->state == CONN_STREAM) {
		full = !stream_wants_bytes(conn);
		stream_arm(conn);
	}
	if (!conn->eof && !full && conn->state != CONN_FLUSH)
		what |= LOOP_READ;
	if (conn->out.len > 0)
		what |= LOOP_WRITE;
	loop_watch_set(conn->watch, what);
	if (conn->yielded) {
		loop_timer_in(conn->timer, 0);
		return;
	}
	if (wanted == conn->clock && wanted != CLOCK_NONE)
		return;
	if (wanted == CLOCK_FLUSH)
		conn->queued = conn_queued(conn);
	if (wanted == CLOCK_NONE)
		loop_timer_stop(conn->timer);
	else
		loop_timer_in(conn->timer, clock_ms(conn, wanted));
	conn->clock = wanted;
}

/* Goes on until bytes, time or an answer are needed.  Not entered twice: an answer given from
 * inside on_request only changes the state, and the loop below goes on from there. */
void
conn_run(struct http_conn *conn)
{
	int requests = 0;
	bool more = true;

	if (conn->running || conn->state == CONN_CLOSED)
		return;
	conn->running = true;
	conn->yielded = false;
	while (more && conn->state != CONN_CLOSED) {
		enum conn_state before = conn->state;

		if (!conn_send(conn)) {
			conn_close(conn);
			break;
		}
		more = conn_step(conn);
		if (before == CONN_FLUSH && conn->state == CONN_HEAD &&
		    ++requests == RUN_REQUESTS && conn->in.len > 0) {
			conn->yielded = true;
			break;
		}
	}
	conn->running = false;
	if (conn->state != CONN_CLOSED)
		conn_arm(conn);
}

static void
conn_on_event(void *arg, int what)
{
	struct http_conn *conn = arg;

	if ((what & LOOP_READ) && !conn_receive(conn))
		conn_close(conn);
	else
		conn_run(conn);
}

static void
conn_on_timer(void *arg)
{
	struct http_conn *conn = arg;

	if (conn->yielded) {
		conn->clock = CLOCK_NONE;
		conn_run(conn);
		return;
	}
	switch (conn->state) {
	case CONN_HEAD:
		if (conn->in.len == 0) {
			conn_close(conn);
			return;
		}
		exchange_refuse_slow(conn);
		break;
	case CONN_BODY:
		exchange_refuse_slow(conn);
		break;
	case CONN_STREAM:
	case CONN_FLUSH:
		if (conn_queued(conn) >= conn->queued) {
			conn_close(conn);
			return;
		}
		conn->clock = CLOCK_NONE; /* the client does read, slowly */
		break;
	case CONN_SKIP:
	case CONN_LINGER:
		conn_close(conn);
		return;
	case CONN_WAIT: /* its clock is the layer above's */
	case CONN_CLOSED:
		return;
	}
	conn_run(conn);
}

/* What has come is read first: closing over unread bytes would reset a request that its sender takes
 * for delivered.  A connection on which nothing was asked yet gets a moment: its client has just been
 * let in. */
void
conn_drain(struct http_conn *conn)
{
	if (conn->state != CONN_HEAD || conn->in.len > 0)
		return;
	if (!conn_receive(conn) || (conn->in.len == 0 && !conn->eof && !conn->fresh)) {
		conn_close(conn);
		return;
	}
	conn->clock = CLOCK_NONE; /* the moment begins now */
	conn_run(conn);
}

bool
conn_is_idle(const struct http_conn *conn)
{
	return conn->state == CONN_HEAD && conn->in.len == 0 &&
	       !(conn->fresh && conn->server->draining);
}

static unsigned
peer_bucket(const char *peer)
{
	unsigned hash = 2166136261u; /* FNV-1a */

	for (; *peer != '\0'; peer++)
		hash = (hash ^ (unsigned char)*peer) * 16777619u;
	return hash % PEER_BUCKETS;
}

void
conn_open(struct http_server *server, int fd, const char *peer)
{
	struct http_conns *bucket = &server->peers[peer_bucket(peer)];
	struct http_conn *conn;
	int peer_max = server->settings.peer_connections_max, same = 0;
	int conn_max = server->settings.connections_max;

	if (peer_max > 0) {
		LIST_FOREACH(conn, bucket, peer_entry)
		{
			same += strcmp(conn->peer, peer) == 0;
		}
	}
	if (server->conn_count >= conn_max + server->settings.connections_spare ||
	    (peer_max > 0 && same >= peer_max)) {
		close(fd);
		return;
	}
	conn = sl_alloc(sizeof(*conn));
	conn->server = server;
	conn->fd = fd;
	conn->state = CONN_HEAD;
	conn->fresh = true;
	conn->surplus = server->conn_count >= conn_max;
	head_gate_init(&conn->gate);
	buf_init(&conn->in, CONN_READ_MARK);
	buf_init(&conn->out, SIZE_MAX / 2);
	memcpy(conn->peer, peer, strlen(peer) + 1);
	LIST_INSERT_HEAD(&server->conns, conn, entry);
	LIST_INSERT_HEAD(bucket, conn, peer_entry);
	server->conn_count++;
	conn->watch = loop_watch_new(server->loop, fd, conn_on_event, conn);
	conn->timer = loop_timer_new(server->loop, conn_on_timer, conn);
	conn_arm(conn);
}
