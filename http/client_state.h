/* http/client_state.h - what the files of the client share; private to http/.
 *
 * A call runs in curl's multi handle, hop by hop, until it has an outcome; then it waits in the
 * client's list of due calls, so that its callback runs from the loop and outside of curl. */
#ifndef SLUICE_HTTP_CLIENT_STATE_H
#define SLUICE_HTTP_CLIENT_STATE_H

#include <curl/curl.h>
#include <netinet/in.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "base/loop.h"
#include "http/client.h"
#include "http/guard.h"

enum {
	ANSWER_HEAD_MAX = 128 * 1024, /* bytes of all header lines of one hop, 1xx included */
	ANSWER_FIELDS_MAX = 300,
	SKIP_MAX = 64 * 1024, /* bytes of the body of a redirect that is followed */
	STREAM_PIECE = 2048, /* bytes that are decoded in one go, see client_stream.c */
	ADDRESS_TEXT = INET6_ADDRSTRLEN + 8,
};

TAILQ_HEAD(http_calls, http_call);

struct http_client {
	struct loop *loop;         /* borrowed */
	const struct guard *guard; /* borrowed */
	CURLM *multi;
	struct loop_timer *timer; /* curl's */
	struct loop_timer *due_timer;
	struct http_calls running, due;
	struct http_calls woken; /* of those: what was done to them inside of a callback is due */
	int inside;              /* callbacks of a stream on the stack, and so curl */
	bool closed; /* http_client_free() was called */
};

/* RUNNING: in curl and in `running`.  DUE: in `due`, outcome is set. */
enum call_state { CALL_RUNNING, CALL_DUE };

struct call_field { /* offsets into answer_head, both texts end in NUL */
	size_t name, value;
};

struct call_header {
	char *name, *value; /* owned; the value is wiped */
	bool dropped;       /* by a redirect */
};

struct http_call {
	struct http_client *client;
	enum call_state state;
	http_answer_cb *cb;
	void *arg;

	/* what was asked; changed by redirects */
	char *method;
	CURLU *url;
	struct call_header *headers; /* owned */
	int header_count;
	char **credential_headers; /* owned, NULL-terminated */
	struct buf body;
	bool has_body, decompress, follows, forward_credentials, cuts;
	bool repeatable;
	struct curl_blob certificate, key; /* owned, wiped; len 0: none */
	char *unix_path;     /* NULL: by the URL */
	int64_t deadline_ms; /* monotonic */
	int64_t timeout_ms;
	size_t response_max;
	int redirects_left;

	/* its stream */
	bool streams;
	struct http_stream stream;
	bool source;           /* the request's body comes from on_want */
	int64_t taken;         /* bytes of it */
	bool source_ended, source_failed;
	bool headed;           /* the outcome's head is there: on_head was called */
	bool streams_body;     /* the answer's body goes to on_body */
	bool paused_in, paused_out;
	bool bad_coding;
	struct loop_timer *clock; /* NULL: there is no stall_ms */
	int64_t moved_ms;         /* when a byte last went either way, or we went on */
	bool woken, cancelled, start_due;
	TAILQ_ENTRY(http_call) woken_entry;

	/* the hop on its way */
	CURL *easy;
	struct curl_slist *lines;
	char curl_text[CURL_ERROR_SIZE];
	char address[ADDRESS_TEXT]; /* last one tried: "127.0.0.1:80" */
	bool looking, looked; /* the first round: see call_start_hop(); looked: at one at least */
	bool address_refused; /* by the guard: all others of this hop are, too */
	int socket_errno;     /* why there is not even a socket; curl does not tell */
	bool too_large, bad_head, head_too_large;

	/* its answer */
	size_t head_seen; /* bytes of header lines */
	bool head_done;
	bool cut;   /* its body */
	bool follows_on; /* it is a redirect to follow: its body is of no interest */
	size_t skipped;
	int status; /* 0: no head yet that is not an interim one */
	char *reason;
	struct buf answer_head;
	struct call_field fields[ANSWER_FIELDS_MAX];
	int field_count;
	struct buf answer_body;

	/* the outcome */
	enum http_failure failure;
	const char *code; /* constant */
	char *text;
	TAILQ_ENTRY(http_call) entry;
};

/* client.c */
void call_finish(struct http_call *call, enum http_failure failure, const char *code,
		 const char *format, ...) SL_PRINTF(4, 5);

/* Of the head that came last; 0: that was an interim one, and the answer is still to come. */
int call_status(const struct http_call *call);
bool call_is_redirect(const struct http_call *call); /* one to follow */
void call_drop_certificate(struct http_call *call);
/* What there is of an answer, borrowed; *url is to be freed by curl_free(). */
void call_show(struct http_call *call, struct http_header *headers, struct http_answer *out,
	       char **url);
void call_on_hop_over(struct http_call *call, CURLcode result);

/* client_stream.c */
void call_wake(struct http_call *call); /* client_wake() follows from the loop */
void call_forget_wake(struct http_call *call);
void client_wake(struct http_client *client);
bool call_has_clock(const struct http_call *call); /* of ours, in place of curl's */
void call_start_clock(struct http_call *call);
bool stream_on_head(struct http_call *call);
size_t stream_on_body(struct http_call *call, struct slice bytes);
size_t stream_on_want(char *out, size_t size, size_t count, void *arg);

/* client_url.c */
CURLU *url_parse(const char *text, const char **wrong); /* NULL: *wrong says why */
/* Turns call to the next hop.  False: it is finished instead. */
bool call_redirect(struct http_call *call, const char *location);

/* client_transfer.c */
/* False: finished instead.  A name is connected in two rounds, unless a kept connection serves: in the first
 * one curl is denied each socket, so that it shows all addresses of the name, and one bad address
 * refuses the name before anything is connected; the second one has them from curl's cache. */
bool call_start_hop(struct http_call *call);
/* Was that the first round, and is there a second one?  Then it has begun, or the call is finished. */
bool call_start_round(struct http_call *call, CURLcode result);
void call_end_hop(struct http_call *call); /* takes it out of curl; its answer stays */
const char *call_field_value(const struct http_call *call, const char *name);

/* client_failure.c */
void call_finish_curl(struct http_call *call, CURLcode result);
void call_finish_timeout(struct http_call *call);

#endif
