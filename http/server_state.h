/* http/server_state.h - what the files of the server share; private to http/.
 *
 * A server has listeners and connections, a connection has one request in work at most.  A request
 * outlives its connection when the client goes away, until the layer above has replied. */
#ifndef SLUICE_HTTP_SERVER_STATE_H
#define SLUICE_HTTP_SERVER_STATE_H

#include <netinet/in.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/loop.h"
#include "http/body.h"
#include "http/head.h"
#include "http/refusal.h"
#include "http/server.h"
#include "http/target.h"

enum {
	CONN_READ_MARK = 64 * 1024, /* bytes of later requests held while one is in work */
	PEER_TEXT = INET6_ADDRSTRLEN + 1,
	PEER_BUCKETS = 1024,
	HTTP_DATE_SIZE = 32,
};

struct http_listener {
	struct http_server *server;
	int fd;
	struct loop_watch *watch;
	char *unix_path; /* owned; ours to unlink, or NULL */
	bool adopted;    /* others hold it too: who waits in its queue is theirs when we go */
	LIST_ENTRY(http_listener) entry;
};

LIST_HEAD(http_listeners, http_listener);
LIST_HEAD(http_conns, http_conn);
LIST_HEAD(http_requests, http_request);

struct http_server {
	struct loop *loop; /* borrowed */
	struct http_server_settings settings;
	struct http_handler handler;
	void *arg;
	struct http_listeners listeners;
	struct http_conns conns;
	struct http_conns peers[PEER_BUCKETS]; /* the same connections, by peer address */
	struct http_requests requests;         /* also those whose client is gone */
	int conn_count;                        /* those beyond connections_max included */
	int64_t body_bytes;                    /* of all requests */
	bool draining;
	struct loop_timer *accept_pause;
	int64_t pause_logged_ms;
	int64_t pauses; /* of accepting, for lack of descriptors */
	char date[HTTP_DATE_SIZE];
	int64_t date_s;
	char scratch[CONN_READ_MARK]; /* what read() fills */
};

/* HEAD -> (BODY ->) WAIT -> FLUSH -> HEAD, or FLUSH -> LINGER -> CLOSED.  A refusal goes from HEAD
 * or BODY to FLUSH; any state may go to CLOSED.  With a verdict of `stream` STREAM stands for BODY and
 * WAIT; a rest of its body that nobody read goes by in SKIP: FLUSH -> SKIP -> FLUSH.  Invariant:
 * `request` is set in BODY, WAIT and STREAM only.
 */
enum conn_state {
	CONN_HEAD,
	CONN_BODY,
	CONN_WAIT,
	CONN_STREAM,
	CONN_FLUSH,
	CONN_SKIP,
	CONN_LINGER,
	CONN_CLOSED
};

enum conn_clock { CLOCK_NONE, CLOCK_IDLE, CLOCK_HEAD, CLOCK_BODY, CLOCK_FLUSH, CLOCK_LINGER };

struct http_conn {
	struct http_server *server;
	enum conn_state state;
	int fd;
	struct loop_watch *watch;
	struct loop_timer *timer;
	enum conn_clock clock; /* what timer is armed for */
	struct buf in;         /* bytes read and not consumed, CONN_READ_MARK at most */
	struct buf out;        /* bytes to send */
	size_t sent;           /* of out */
	int queued;            /* in the kernel when the flush clock was armed */
	bool eof;              /* the client has sent its last byte */
	bool close;            /* after out is flushed */
	bool skip;             /* a rest of the last body, when out is flushed */
	bool running;          /* conn_run() is on the stack */
	bool yielded;          /* has more to do, lets others go first */
	bool fresh;            /* no request has come on it yet */
	bool surplus;          /* beyond connections_max: refused at its first head */
	struct head_gate gate;
	struct body_reader reader;
	int64_t body_start_ms;        /* monotonic */
	int64_t body_raw;             /* bytes of it that came, framing included */
	int64_t lingered;             /* bytes discarded */
	struct http_request *request; /* owned in BODY; else the layer above's duty */
	char peer[PEER_TEXT];
	LIST_ENTRY(http_conn) entry;
	LIST_ENTRY(http_conn) peer_entry;
};

/* A verdict of on_head that waits until a small body has been skipped. */
struct http_denial {
	int status;                        /* 0: none */
	char *code, *text, *extra_headers; /* owned; extra_headers may be NULL */
};

struct http_request {
	struct http_server *server; /* NULL when it was freed */
	struct http_conn *conn;     /* NULL when the client went away */
	struct head head;
	struct buf body;
	int64_t charged; /* of the server's body budget */
	int64_t began_us; /* when its head was there, monotonic */
	bool handed;     /* the layer above knows it and owes a reply */
	struct http_denial denial;
	struct request_stream *stream; /* owned, see stream.c; NULL: its body is collected */
	struct target_pieces segments, pairs; /* made when first asked for */
	bool has_segments, has_pairs;
	void *data;
	char peer[PEER_TEXT];
	LIST_ENTRY(http_request) entry;
};

/* conn.c */
void conn_open(struct http_server *server, int fd, const char *peer);
void conn_enter(struct http_conn *conn, enum conn_state to);
void conn_run(struct http_conn *conn);   /* goes on as far as it can */
void conn_close(struct http_conn *conn); /* at once; its request becomes gone */
bool conn_send(struct http_conn *conn);  /* what is there; false: the client is gone */
void conn_arm(struct http_conn *conn);   /* events and clock of its state; conn_run() ends with it */
void conn_drain(struct http_conn *conn); /* closes if it is between requests, or soon */
bool conn_is_idle(const struct http_conn *conn);

/* exchange.c; all but exchange_answer() are followed by more of conn_run() */
void exchange_start(struct http_conn *conn);     /* conn->request has its head */
void exchange_hand_over(struct http_conn *conn); /* and now its body */
void exchange_answer(struct http_conn *conn, const struct http_reply *reply);
void exchange_observe(const struct http_request *request); /* it is answered now */
/* Answers and closes: what is wrong with the framing of a request cannot be skipped. */
void exchange_refuse(struct http_conn *conn, const struct http_refusal *refusal);
void exchange_refuse_slow(struct http_conn *conn);
void exchange_deny(struct http_conn *conn, bool close); /* as on_head has said */
bool exchange_has_budget(const struct http_conn *conn, int64_t more, struct http_refusal *refusal);
/* Gives up the request in work, if any: freed when nobody else knows it, else gone. */
void exchange_drop(struct http_conn *conn);

/* stream.c */
struct request_stream;
void stream_start(struct http_conn *conn); /* conn->request has its head: hands it over */
bool stream_run(struct http_conn *conn);   /* in STREAM; true: there is more to do */
bool stream_skip(struct http_conn *conn);  /* in SKIP; likewise */
void stream_arm(struct http_conn *conn);
void stream_received(struct http_conn *conn, int64_t bytes);
bool stream_wants_bytes(const struct http_conn *conn);
bool stream_has_begun(const struct http_request *request); /* its answer */
/* False: the connection closes behind the answer.  Sets conn->skip. */
bool stream_keeps_connection(struct http_conn *conn);
void stream_leave(struct http_request *request); /* its connection is gone */
void stream_free(struct request_stream *stream); /* NULL is fine */

/* request.c */
struct http_request *request_new(struct http_conn *conn,
				 struct head *head); /* takes head's inside */
void request_charge(struct http_request *request);   /* for its body so far */
void request_deny(struct http_request *request, const struct http_verdict *verdict);
void request_free(struct http_request *request);

/* reply.c */
struct reply_form {
	int minor; /* HTTP/1.minor of the request */
	bool close;
	bool no_body; /* the request was HEAD */
	bool stream;  /* the body follows, `length` bytes of it; -1: nobody knows */
	int64_t length;
};
/* Appends a whole answer to out, or the head of one. */
void reply_write(struct http_server *server, struct buf *out, const struct reply_form *form,
		 const struct http_reply *reply);
/* {"error":{"code":..,"message":..}} */
void reply_error_body(struct buf *out, const char *code, const char *text);

#endif
