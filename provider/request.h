/* provider/request.h - a request to a provider for one connection: URL, credentials, retries.
 *
 * Follows wire.md section 8 (proxy) and 14.2/14.6 (SDK): base URL with placeholders, credentials as
 * the provider's definition says, retries with Retry-After.  Credentials never leave this folder
 * but in the request itself. */
#ifndef SLUICE_PROVIDER_REQUEST_H
#define SLUICE_PROVIDER_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/loop.h"
#include "http/client.h"
#include "provider/catalog.h"

#define PROVIDER_RETRIES_MAX 10
#define PROVIDER_REDIRECTS_MAX 5
#define PROVIDER_RESPONSE_MAX (64 * 1024 * 1024) /* bytes of body, decompressed */

/* Who asks.  All texts are borrowed for the call of provider_request_start() only. */
struct provider_connection {
	const struct provider *provider; /* borrowed for the request's life (the catalog's) */
	struct slice credentials;        /* opened JSON: {"type":"API_KEY","apiKey":..},
					    {"type":"BASIC","username","password"},
					    {"type":"OAUTH2","access_token",..}, {} */
	struct slice connection_config;  /* JSON object */
	struct slice metadata;           /* JSON object or null */
	struct slice integration_config; /* JSON object: of the generic providers (baseUrl,
					    keyPlacement, keyName, valueTemplate) */
};

struct provider_ask {
	const char *method;   /* upper case */
	const char *endpoint; /* path with or without leading '/', or an absolute URL that repeats
				 the base */
	const char *base_url_override;     /* NULL or "": none */
	const struct http_header *headers; /* the function's own; its authorization header wins only
					      where the provider sets none */
	int header_count;
	const char *query; /* already encoded "a=b&c=d" to append, or NULL */
	struct slice body;
	bool has_body;
	int retries;         /* extra tries, 0..; capped at 10 */
	const int *retry_on; /* further statuses */
	int retry_on_count;
	const char *retry_header_at, *retry_header_after; /* from retryHeader; or NULL */
	bool decompress;
	bool forward_headers_on_redirect;
	int64_t timeout_ms; /* of one try, > 0; cut to what is left until the deadline */
	/* No try starts after this (clock_mono_ms; 0: none).  A wait that would pass it is not
	 * begun: the failure at hand is the answer. */
	int64_t deadline_mono_ms;
	const char *user_agent; /* default when the headers have none */
	/* NULL, or for whole bodies that are not held (http/client.h).  A body that is streamed in (on_want) is sent once:
	 * such a request has no retries once a byte of it was taken.  An answer that will be tried again is collected, up to
	 * PROVIDER_HELD_MAX; one that is larger is not tried again.  on_head comes for the answer that stays. */
	const struct http_stream *stream;
};
#define PROVIDER_HELD_MAX (1 << 20)

/* One try, as it ended. */
struct provider_try {
	int number; /* from 1 */
	const char *method,
	    *shown_url; /* without what the provider's definition adds to the query */
	const struct http_answer *answer; /* head only; its body may not be there */
	int64_t ms;      /* from sending to the end of the head of what is streamed, to the end of what is
			    collected, or to the failure */
	bool repeated;   /* another one follows, unless nothing can be done about a 401 */
	int64_t wait_ms; /* before it */
};

struct retry_rules;
struct provider_request; /* opaque */

struct provider_events {
	/* Asked right before each try goes out.  The worker checks its lease and makes the attempt
	 * durable, then calls provider_request_go(request, allowed) - from inside or later, exactly
	 * once per ask.  Not allowed ends the request with code "script_aborted".  NULL: always
	 * allowed. */
	void (*on_before_send)(void *arg, struct provider_request *request);
	/* The end, exactly once, from the loop: any HTTP status, or a failure after the last try.
	 * The answer's url is without what the provider's definition adds to the query (it may be a
	 * key). */
	void (*on_answer)(void *arg, const struct http_answer *answer);
	/* A try will be repeated (for the operation log): after on_try, and behind a 401 from inside
	 * provider_request_renew().  May be NULL. */
	void (*on_retry)(void *arg, int attempt, int status, const char *code, int64_t wait_ms);
	/* After each try that went out, before anything else that is told of its end; may be NULL. */
	void (*on_try)(void *arg, const struct provider_try *end);
	/* A 401, with tries left: answer once by provider_request_renew(), unless the request ends before (its
	 * deadline makes the 401 the answer).  NULL: a 401 is final. */
	void (*on_unauthorized)(void *arg, struct provider_request *request);
};

/* Starts a request.  SL_INVALID: no base URL (the text starts with "missing_api_url"), bad
 * override, bad template; error says which field.  No event comes from inside this call.  On SL_OK
 * *out is borrowed until on_answer; events and arg as well. */
SL_MUST_USE enum sl_code provider_request_start(struct loop *loop, struct http_client *client,
						const struct provider_connection *connection,
						const struct provider_ask *ask,
						const struct provider_events *events, void *arg,
						struct provider_request **out,
						struct sl_error *error);
void provider_request_go(struct provider_request *request, bool allowed);
/* Other credentials for the tries to come.  After on_unauthorized: connection NULL means that they have not changed, and
 * the 401 is the answer, as it is with SL_INVALID.  Also allowed between on_before_send and provider_request_go(): with
 * SL_INVALID, as of provider_request_start(), the request goes on with what it had. */
SL_MUST_USE enum sl_code provider_request_renew(struct provider_request *request,
						const struct provider_connection *connection,
						struct sl_error *error);
void provider_request_resume(struct provider_request *request); /* of its stream */
/* What decides about another try, for limit_read(); borrowed. */
const struct retry_rules *provider_request_rules(const struct provider_request *request);
/* Stops it: no further try; on_answer does not follow; memory is freed from the loop. */
void provider_request_cancel(struct provider_request *request);

#endif
