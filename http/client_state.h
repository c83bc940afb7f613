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
	char *unix_path;     /* NULL: by the URL */
	int64_t deadline_ms; /* monotonic */
	int64_t timeout_ms;
	size_t response_max;
	int redirects_left;

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

#endif
