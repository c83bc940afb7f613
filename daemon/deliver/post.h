/* daemon/deliver/post.h - one POST of an event to an endpoint: signed, bounded in time and bytes,
 * told as it is kept in the log of tries.
 *
 * Everything but a complete 2xx is a failure; a 2xx whose body passes POST_ANSWER_MAX is
 * complete enough.  Redirects are not followed, and the guard of daemon->webhook_client decides
 * which addresses may be reached.  No repeats here: who asks decides. */
#ifndef SLUICE_DAEMON_DELIVER_POST_H
#define SLUICE_DAEMON_DELIVER_POST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "daemon/daemon.h"

#define POST_ANSWER_MAX (64 << 10)                     /* bytes of an answer's body that are kept */
#define POST_HEADERS_MAX (16 << 10)                    /* bytes of its header fields, as JSON */
#define POST_KEY_BEFORE_MS (24 * 3600 * INT64_C(1000)) /* so long the key before a rotation signs */
#define POST_HEADER_COUNT 7

struct http_header;
struct post; /* opaque: under way */

struct post_ask { /* all texts borrowed for the call */
	const char *url;
	const char *id; /* webhook-id: the event's */
	struct slice body;
	/* Sealed, as the environment has them; "" for none.  Without a key the event goes
	 * unsigned: an environment has one from its first day, and who checks signatures will
	 * refuse it. */
	const char *environment_uuid, *signing_key, *signing_key_before;
	int64_t signing_key_age_ms; /* since the last rotation; -1: there was none */
	/* On a connection of its own: on one that was kept curl sends again, by itself, what got no
	 * answer.  For an endpoint that fails, so that it gets what the log says. */
	bool fresh;
};

struct post_answer {     /* borrowed for the callback; every text is valid UTF-8 without NUL */
	int64_t at_ms;   /* wall clock: sent */
	int64_t took_ms; /* monotonic */
	int status;      /* 0: none came */
	const char *
	    failure; /* "" for a complete 2xx; "http_status", "timeout", "refused_url", "signing_key",
				or what Node would call it: "ECONNREFUSED", "ENOTFOUND", "CERT_HAS_EXPIRED" */
	const char *detail;  /* for humans; "" for a complete 2xx */
	const char *headers; /* of the answer: a JSON object, names in lower case; "{}" */
	struct slice body;   /* of the answer: any bytes */
	bool cut;            /* there was more of headers or body */
	int64_t
	    retry_after_ms; /* what the answer's Retry-After says, from now on; -1: nothing that we read */
	const struct http_header *sent; /* the request's own header fields, signatures included */
	int sent_count;
	bool cancelled; /* by post_cancel() or the end of the client: nothing is known */
};

typedef void post_cb(void *arg, const struct post_answer *answer);

/* Takes delivery_timeout at most.  cb once, from the loop, never from inside this call. */
struct post *post_send(const struct daemon *daemon, const struct post_ask *ask, post_cb *cb,
		       void *arg);
void post_cancel(struct post *post); /* cb follows, cancelled */

#define POST_URL_SHOWN 200
/* The URL as it may stand in a log: scheme, host, port and path; a long one is cut. */
void post_url_shown(const char *url, char out[POST_URL_SHOWN]);

#endif
