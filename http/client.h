/* http/client.h - one HTTP request to somewhere else: deadline, size cap, address guard, no retry.
 *
 * libcurl multi on the loop; connections are reused per host; HTTP/2 where the peer offers it.
 * Environment proxies are ignored.  Only http and https. */
#ifndef SLUICE_HTTP_CLIENT_H
#define SLUICE_HTTP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/loop.h"

struct guard;
struct http_answer;
struct http_client; /* opaque */
struct http_call;   /* opaque: a request on its way */

struct http_header {
	const char *name;
	const char *value;
};

/* For bodies that are too large to be held: both ways bit by bit, with back pressure.  All are called from the
 * loop, with the call's arg, never after the end or http_call_cancel(); each may be NULL: then that part is as without
 * a stream.  From inside of them calls may be sent, cancelled and resumed, but the client not freed.
 *
 * Such a call uses HTTP/1.1, and one with on_want a connection of its own; a redirect that asks for its body a second
 * time ends it (HTTP_PROTOCOL) once a byte was taken.  With decompress only gzip and deflate are asked for: what a
 * piece of them can swell to has a bound. */
struct http_stream {
	/* The head of the answer that will be the outcome (not of a redirect that is followed); it may still break off,
	 * and then the end is a failure.  True: its body goes to
	 * on_body; false: it is collected, as without a stream.  NULL: all bodies go to on_body, if there is one. */
	bool (*on_head)(void *arg, const struct http_answer *head);
	/* Takes all of the bytes, or none (false): then they come again after http_call_resume().  response_max does
	 * not count here. */
	bool (*on_body)(void *arg, struct slice bytes);
	/* Fills out with bytes of the request's body, size at most.  0: none now, http_call_resume() tells when;
	 * HTTP_STREAM_END, or HTTP_STREAM_FAILED: its source broke off, and the call ends as HTTP_CANCELLED. */
	int64_t (*on_want)(void *arg, char *out, size_t size);
	int64_t length;   /* of the request's body; -1: not known (chunked) */
	int64_t stall_ms; /* no byte either way for this long ends the call as HTTP_TIMEOUT; timeout_ms counts until the
			     head only.  While paused by us it does not count, nor while the peer has all of the
			     request and no head came.  0: none, and timeout_ms is for the whole exchange */
};
#define HTTP_STREAM_END (-1)
#define HTTP_STREAM_FAILED (-2)

struct http_ask {
	const char *method;
	const char
	    *url; /* absolute; user info, port 0, control bytes and backslashes are refused */
	const struct http_header *headers;
	int header_count;
	struct slice body;    /* copied */
	bool has_body;        /* an empty body is sent as Content-Length: 0 */
	int64_t timeout_ms;   /* whole exchange */
	int64_t response_max; /* bytes of body, after decompression; more is HTTP_TOO_LARGE */
	bool cut;          /* the caller wants what there is: a body beyond response_max is cut and
				 the answer stands, and a failure shows what had come before it */
	int redirects_max; /* 0: a 3xx is the answer.  Followed by hand: each hop is guarded, and
				 credential_headers are dropped when scheme, host or port changes */
	bool forward_credentials;              /* keep them even then (forwardHeadersOnRedirect) */
	const char *const *credential_headers; /* names (lower case), NULL-terminated, or NULL */
	bool decompress;
	const char
	    *unix_path;  /* NULL, or the socket to connect to in place of the URL's host: copied,
				  not guarded, so never one that came from outside */
	bool repeatable; /* sent twice does no harm: a POST, too, may use a kept connection, on
				  which curl sends again what got no answer */
	const struct http_stream *stream; /* NULL, or: copied; with on_want `body` is not looked at */
	/* PEM, or empty: who we are, to servers that ask for it (copied, wiped).  Never shown to another
	 * origin than the first one. */
	struct slice client_certificate, client_key;
};

enum http_failure {
	HTTP_ANSWERED,    /* status, headers and body are there */
	HTTP_REFUSED_URL, /* not a URL we would call, or an address the guard refuses */
	HTTP_DNS,         /* ENOTFOUND / EAI_AGAIN */
	HTTP_CONNECT,     /* ECONNREFUSED, EHOSTUNREACH */
	HTTP_RESET,       /* ECONNRESET: closed in the middle */
	HTTP_TIMEOUT,     /* ETIMEDOUT / ECONNABORTED */
	HTTP_TLS,
	HTTP_TOO_LARGE,
	HTTP_PROTOCOL, /* not HTTP, too many redirects */
	HTTP_CANCELLED,
};

struct
    http_answer { /* borrowed for the callback; what follows `text` is of an answer, and with http_ask.cut
			of a failure, too, once its head had come whole (else status is 0) */
	enum http_failure failure;
	const char *code; /* what Node would call it: "ECONNREFUSED", "ENOTFOUND", ...; NULL when
			     answered */
	const char *text; /* for humans: "connect ECONNREFUSED 127.0.0.1:1" */
	int status;
	const char *status_text;           /* reason phrase or "" */
	const struct http_header *headers; /* of the last hop; names in lower case */
	int header_count;
	struct slice body;
	bool cut;        /* there was more of the body */
	bool decoded;    /* the body was compressed and is not any more: what its headers said of that
			    form (content-encoding, content-length) is left out of them */
	const char *url; /* of the last hop */
};

typedef void http_answer_cb(void *arg, const struct http_answer *answer);

SL_MUST_USE enum sl_code http_client_new(struct loop *loop, const struct guard *guard,
					 struct http_client **out,
					 struct sl_error *error); /* guard is borrowed */
/* Calls under way per host, and in all, at a time: further ones wait, their deadline
 * running.  idle: connections that are kept beside those. */
void http_client_limit(struct http_client *client, int64_t per_host, int64_t in_all, int64_t idle);
void http_client_free(
    struct http_client *client); /* calls still there end as HTTP_CANCELLED first */
/* cb is called exactly once, from the loop, never from inside this call (also for refusals). */
struct http_call *http_client_send(struct http_client *client, const struct http_ask *ask,
				   http_answer_cb *cb, void *arg);
void http_call_cancel(struct http_call *call); /* cb follows with HTTP_CANCELLED */
void http_call_resume(struct http_call *call); /* there is room, or there are bytes, again: asked from the loop */
/* Header of an answer by lower-case name, or NULL. */
const char *http_answer_header(const struct http_answer *answer, const char *name);

#endif
