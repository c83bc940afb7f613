/* http/server.h - HTTP/1.1 as transport: bytes and limits, no meaning.
 *
 * Strict by design (doc: http-front design note; RFC 9110, 9112): a request that two parsers could
 * read differently is refused and the connection closed.  One request in work per connection; an
 * answer is given with http_reply() at any later time.  Caps on every dimension; clocks for head,
 * body, flush and idle. */
#ifndef SLUICE_HTTP_SERVER_H
#define SLUICE_HTTP_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/loop.h"

struct http_server;  /* opaque */
struct http_request; /* opaque: one request and the duty to answer it exactly once */

struct http_server_settings {
	int connections_max;      /* over all listeners */
	int connections_spare;    /* so many beyond it are read as far as their first head, which is
				     answered 503 with Retry-After; further ones are closed at once */
	int peer_connections_max; /* of one peer address; 0: no cap (behind a proxy) */
	bool reuse_port;          /* SO_REUSEPORT: several processes share the port */
	int64_t body_budget;      /* bytes of bodies held at once over all connections; past it 503.
				     Memory follows it only while malloc's mmap threshold is fixed
				     (mallopt M_MMAP_THRESHOLD, in main): left alone it grows after
				     the first large body, and later ones are copied as they grow */
	int64_t head_ms, body_gap_ms, flush_ms,
	    idle_ms; /* clocks of http-front.md rule 9; 0: its defaults */
	/* Whole lines "Name: value\r\n" on each refusal that is the server's own (413, 405, 503,
	 * ..); borrowed for its life, NULL: none. */
	const char *refusal_headers;
};

/* What the layer above says about a request whose head is complete, before any of its body is read.
 */
struct http_verdict {
	int64_t body_max; /* bytes of body this request may have; more is 413 */
	int status; /* not 0: refuse now with this status and body (JSON), skipping or closing */
	const char *error_code; /* of the refusal: {"error":{"code":..,"message":..}} */
	const char *error_text;
	const char *extra_headers; /* whole header lines "Name: value\r\n", or NULL (e.g. Allow) */
	bool stream; /* on_request comes with the head; the body is read by http_request_read() */
};

struct http_handler {
	/* Head complete: route, limits.  Must not answer by http_reply().  May be NULL: body_max 1
	 * MiB. A request that fails later (its body is too slow, too large, ends early) is freed
	 * without another call, so nothing that needs freeing may be hung on it here. */
	void (*on_head)(void *arg, struct http_request *request, struct http_verdict *verdict);
	/* Body complete (maybe empty).  Answer now or later by http_reply(). */
	void (*on_request)(void *arg, struct http_request *request);
	/* The client went away before the answer: the request is still owed http_reply(), which
	 * then only frees it; long waits should end now.  Only for requests on_request has seen.
	 * May be NULL. */
	void (*on_gone)(void *arg, struct http_request *request);
};

struct http_server *http_server_new(struct loop *loop, const struct http_server_settings *settings,
				    const struct http_handler *handler, void *arg);
/* address: "127.0.0.1:3003", "[::1]:0", "unix:/path".  SL_CONFLICT: in use.  SO_REUSEPORT is set
 * only when asked for. */
SL_MUST_USE enum sl_code http_server_listen(struct http_server *server, const char *address,
					    struct sl_error *error);
/* Takes over an open listening socket (socket activation); checked with getsockopt. */
SL_MUST_USE enum sl_code http_server_adopt(struct http_server *server, int fd,
					   struct sl_error *error);
/* Other caps from now on; what is there stays. */
void http_server_caps(struct http_server *server, int connections_max, int64_t body_budget);
/* As listen_text() writes it: of the listener that was added first, "" if none. */
void http_server_address(const struct http_server *server, char *out, size_t size);
int http_server_port(const struct http_server
			 *server); /* of the first TCP listener, 0 if none (tests listen on :0) */
/* Stops accepting, closes idle connections, answers carry `Connection: close`.  Who has connected and
 * asked nothing yet may ask within half a second. */
void http_server_drain(struct http_server *server);
bool http_server_is_idle(
    const struct http_server *server); /* no request in work, nothing to flush */
int http_server_connections(const struct http_server *server);
void http_server_free(
    struct http_server *server); /* closes everything; requests in work become gone */

/* Accessors; strings and slices are borrowed until http_reply(). */
const char *http_request_method(const struct http_request *request);
struct slice http_request_path(const struct http_request *request); /* raw, before '?' */
struct slice http_request_query(
    const struct http_request *request); /* raw, after '?'; empty if none */
/* Header by name (any case): NULL when absent; NUL-terminated (control bytes were refused). */
const char *http_request_header(const struct http_request *request, const char *name);
int http_request_header_count(const struct http_request *request,
			      const char *name); /* how often it stands */
/* All headers in order, for those who forward them. */
int http_request_headers(const struct http_request *request);
void http_request_header_at(const struct http_request *request, int index, const char **name,
			    const char **value);
struct slice http_request_body(const struct http_request *request);
/* Peer address as text without port ("127.0.0.1", "::1", "unix"). */
const char *http_request_peer(const struct http_request *request);
bool http_request_is_gone(const struct http_request *request);        /* client went away */
void http_request_set_data(struct http_request *request, void *data); /* the layer above's own */
void *http_request_data(const struct http_request *request);

/* Segments of the path, each percent-decoded after splitting at '/' ("%2f" is data).  "/a/b/" has 3
 * with an empty last one.  Returns the count, or -1 when there are more than max.  Decoded text is
 * NUL-terminated and borrowed until http_reply(). */
int http_request_segments(struct http_request *request, const char **segments, int max);
/* Query pairs, decoded ('+' is a space), in order: count, then each.  -1: bad escape or invalid
 * UTF-8. */
int http_request_query_pairs(struct http_request *request);
void http_request_query_at(const struct http_request *request, int index, const char **name,
			   const char **value);

struct http_reply {
	int status;
	const char *content_type;  /* NULL: "application/json; charset=utf-8"; "": none; never sent
				      with 204, 304 */
	const char *extra_headers; /* whole lines "Name: value\r\n"..., or NULL; CR/LF inside values
				      are the caller's bug (asserted). Date, Content-Type and what
				      frames the answer are left out: they are written here */
	struct slice body;         /* copied */
	bool close;                /* close the connection after it */
};
/* ---- streams: bodies that are too large to be held --------------------------------------------
 * Of a request whose verdict was `stream`.  Bytes are taken from the connection no faster than they are read, and
 * handed to it no faster than it sends them: HTTP_STREAM_ROOM each way is all that is held.  Such a body is not
 * charged to body_budget, and Content-Encoding is none of the transport's business.
 *
 * The body's clocks run while we wait for the client and not while it waits for us.  A body that breaks off (too
 * slow, too large, badly framed, cut) before http_request_reply_head() is refused by the transport as it refuses any
 * other (408, 413, 400), and the request is gone (on_gone); later it reads HTTP_REQUEST_BROKEN.  A client that
 * expects 100-continue is sent it by the first http_request_read() or http_request_listen(); one that is answered
 * without those loses its connection.  http_request_reply() and _fail() answer a stream, too, in place of the three
 * calls below. */
#define HTTP_STREAM_ROOM (128 * 1024)
struct http_request_events {
	void (*on_readable)(void *arg); /* there are bytes, or the body has ended, or it broke off */
	void (*on_room)(void *arg);     /* http_request_write() takes bytes again */
};
/* Both come from the loop, never from inside a call of these, until the reply ends or the client is gone (on_gone of the handler). */
void http_request_listen(struct http_request *request, const struct http_request_events *events,
			 void *arg);
int64_t http_request_length(const struct http_request *request); /* Content-Length; -1: chunked; 0: no body */
/* Bytes of the body, size at most; 0: none now; HTTP_REQUEST_END; HTTP_REQUEST_BROKEN: it will not come whole. */
int64_t http_request_read(struct http_request *request, char *out, size_t size);
#define HTTP_REQUEST_END (-1)
#define HTTP_REQUEST_BROKEN (-2)
/* The head of an answer whose body follows; body of *reply is not looked at.  length -1: chunked (HTTP/1.0: until
 * the connection closes).  An unread rest of the request's body is skipped or the connection closed, as with any reply. */
void http_request_reply_head(struct http_request *request, const struct http_reply *reply,
			     int64_t length);
/* Takes all of the bytes (true) or none (false: on_room follows).  At most HTTP_STREAM_ROOM at a time (asserted).
 * Those of an answer that has no body (HEAD, 204), or whose client is gone, are taken and dropped. */
bool http_request_write(struct http_request *request, struct slice bytes);
/* Ends the request, which is gone.  whole false, or not as many bytes as were announced: the body broke off, and the
 * client must notice: the connection is reset or closed without the last chunk. */
void http_request_reply_end(struct http_request *request, bool whole);

/* Answers and ends the request, which is gone after this call.  HEAD answers carry no body. */
void http_request_reply(struct http_request *request, const struct http_reply *reply);
/* {"error":{"code":code,"message":text}} with status, and the server's refusal_headers. */
void http_request_fail(struct http_request *request, int status, const char *code,
		       const char *text);

#endif
