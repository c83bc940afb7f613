/* daemon/api/api.h - from an HTTP request to a handler: route, key, scope, rate limit, body; and
 * back.
 *
 * routes.c holds the one table; a resource is a file of handlers.  A handler gets a call whose key,
 * scope, path, content type and JSON were checked, and ends it with exactly one api_reply*() or
 * api_fail*(), now or later. */
#ifndef SLUICE_DAEMON_API_API_H
#define SLUICE_DAEMON_API_API_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "daemon/api/directory.h"
#include "daemon/api/rate.h"
#include "daemon/daemon.h"
#include "http/server.h"

enum {
	API_OPEN = 1,          /* no key needed */
	API_JSON = 2,          /* the body must be a JSON object; call->body */
	API_JSON_OPTIONAL = 4, /* a body may be missing; if there, an object */
	API_JSON_ANY = 8,      /* any JSON value */
	API_NO_QUERY = 16,     /* a query string is 400 invalid_query_params */
	API_ACCOUNT = 32,      /* an account-level key; environment keys get 403 */
	API_OPERATOR = 64,     /* a key of scope operator */
	API_RAW = 128,         /* any content type; the handler reads the body */
	API_WEBHOOK = 256,     /* counted apart from the account's requests */
	API_LOCAL = 512,       /* no key needed from loopback or a unix socket */
	/* A key of scope operator is known without asking the ledger (call->key may be NULL), so that this is
	 * answered when the ledger is away. */
	API_DOCTOR = 1024,
	/* The handler comes with the head; path and query are taken as they are, the body is read and the answer
	 * written bit by bit (http/server.h, streams; api_stream_head()). */
	API_STREAM = 2048,
};

struct api_call {
	struct daemon *daemon;
	struct http_request *request; /* borrowed until the reply */
	const struct api_route *route;
	const struct directory_key *key;                 /* held; NULL for API_OPEN */
	const struct directory_environment *environment; /* held; NULL for account keys */
	const char *segment[10];
	int segments;
	struct json_value body; /* checked; JSON_NONE when there is none */
	char rate_headers[RATE_HEADERS_SIZE];
	void *kept[24]; /* api_keep(): freed with the call */
	int kept_count;
	void *state; /* the handler's own; freed with the call (put it there by api_state()) */
	/* The client went away; the call is still owed its reply.  NULL: nothing is done about it. */
	void (*on_gone)(struct api_call *call);
};

typedef void api_handler(struct api_call *call);

struct api_route {
	const char *method; /* "*": any */
	/* "/connections/:id": a segment that starts with ':' matches any non-empty one; a last one
	 * "*" matches all that follows, at least one. */
	const char *path;
	const char *scope; /* "environment:connections:read", NULL: any valid key */
	unsigned flags;
	int64_t body_max; /* 0: no body allowed beyond empty */
	api_handler *handler;
};
extern const struct api_route api_routes[]; /* ends with method NULL */

struct webhook_tests; /* webhook_test.c */

struct api *api_new(struct daemon *daemon);
void api_free(struct api *api);
SL_MUST_USE enum sl_code api_listen(struct api *api, const char *address, struct sl_error *error);
/* A listening socket that was passed to us; owned from then on.  SL_INVALID: it is none. */
SL_MUST_USE enum sl_code api_adopt(struct api *api, int fd, struct sl_error *error);
/* Where it listens (http/listen.h), of several the first.  size: LISTEN_TEXT. */
void api_address(const struct api *api, char *out, size_t size);
void api_reloaded(struct api *api); /* the settings have changed */
void api_drain(struct api *api);
bool api_is_idle(const struct api *api);
int api_connections(const struct api *api); /* of clients, open ones */
struct rates *api_rates(struct api *api);
struct webhook_tests *api_webhook_tests(struct api *api);

/* ---- for handlers ------------------------------------------------------------------------------
 */
#define API_BODY_MAX (75 << 20)

/* Zeroed memory that is freed with the call; call->state points to it. */
void *api_state(struct api_call *call, size_t size);
/* Frees pointer with the call; returns it. */
void *api_keep(struct api_call *call, void *pointer);

/* Answers; the call is gone afterwards.  json is copied. */
void api_reply(struct api_call *call, int status, struct slice json);
/* As api_reply_buf(), of another type than JSON. */
void api_reply_text(struct api_call *call, const char *content_type, struct buf *text);
void api_reply_buf(struct api_call *call, int status,
		   struct buf *json); /* takes the buf's bytes; buf_fini'ed */
void api_reply_headers(struct api_call *call, int status, struct slice json,
		       const char *extra_headers);
void api_reply_empty(struct api_call *call, int status); /* 204 */
void api_reply_success(struct api_call *call);           /* 200 {"success":true} */

/* The head of an answer that follows by http_request_write() and ends with api_stream_end().  extra_headers: whole
 * lines; own_limits false: without what this API says of its own rate limit.  length -1: not known. */
void api_stream_head(struct api_call *call, int status, const char *content_type,
		     const char *extra_headers, bool own_limits, int64_t length);
void api_stream_end(struct api_call *call, bool whole); /* the call is gone */

/* 429 too_many_request of wire.md 1.5. */
void api_fail_rate(struct api_call *call, int retry_s);
/* {"error":{"code":code,"message":text}}; text NULL: no message. */
void api_fail(struct api_call *call, int status, const char *code, const char *text);
void api_failf(struct api_call *call, int status, const char *code, const char *format, ...)
    SL_PRINTF(4, 5);
/* 401 in the form of wire.md 1.2, or 429: each costs 10 points of the peer's bucket, and says in the
 * usual headers what is left, so that a client with a wrong key sees why it is stopped.  A good key is
 * never refused for what others at its address (a proxy, say) did. */
void api_fail_auth(struct api_call *call, const char *code, const char *text);
/* 400 with errors[]: code "invalid_body", "invalid_query_params", "invalid_headers" or
 * "invalid_uri_params"; issue is a zod issue code ("invalid_type", "invalid_format",
 * "unrecognized_keys", "too_big", "custom"); path is dotted ("credentials.apiKey"). */
void api_fail_issue(struct api_call *call, const char *code, const char *issue, const char *path,
		    const char *format, ...) SL_PRINTF(5, 6);
/* By code: SL_UNAVAILABLE 503 `service_unavailable` with Retry-After: 1, SL_NOT_FOUND 404
 * `not_found`, SL_CONFLICT 409 `conflict`, else 500 `generic_error_support` (logged with an id that
 * the answer names). */
void api_fail_sl(struct api_call *call, enum sl_code code, const struct sl_error *error);

/* A job of the environment was not taken by daemon/submit: 429 `queue_full` when too many of it wait,
 * 503 when this node is full, 503 `queue_draining` when an operator wants no more of it, all with a
 * Retry-After that fits; else as api_fail_sl(). */
void api_fail_submit(struct api_call *call, int64_t environment_id, enum sl_code code,
		     const struct sl_error *error);

/* ---- checks that fail the call by themselves: false means it is answered and gone ------------ */
/* Required header, exactly once.  *out is borrowed. */
bool api_header(struct api_call *call, const char *name, const char **out);
/* Members of the body beyond the listed ones are 400 unrecognized_keys; names ends with NULL. */
bool api_strict(struct api_call *call, struct json_value object, const char *const *names);
/* Text member; required false and absent (or null): *out = NULL.  Kept by the call.  max 0: 255
 * bytes. */
bool api_text(struct api_call *call, struct json_value object, const char *name, bool required,
	      size_t max, const char **out);
bool api_bool(struct api_call *call, struct json_value object, const char *name, bool fallback,
	      bool *out);
/* Object member as raw JSON; absent: *out is empty. */
bool api_object(struct api_call *call, struct json_value object, const char *name, bool required,
		struct json_value *out);
/* Query parameter by name: last one wins; NULL when absent. */
const char *api_query(struct api_call *call, const char *name);
/* Query parameters beyond the listed ones are 400 invalid_query_params; a name that ends with '['
 * allows `name[..]`. */
bool api_query_strict(struct api_call *call, const char *const *names);
/* Identifier grammar of wire.md 1.6. */
enum api_name {
	API_NAME_INTEGRATION,
	API_NAME_CONNECTION,
	API_NAME_FUNCTION,
	API_NAME_MODEL,
	API_NAME_PROVIDER,
	API_NAME_ENVIRONMENT
};
bool api_name_is(enum api_name kind, const char *text);
/* Fails with code (invalid_headers, invalid_body, ...) naming path when text is not such a name. */
bool api_check_name(struct api_call *call, enum api_name kind, const char *text, const char *code,
		    const char *path);
/* Does the key hold scope (exactly, or by a `x:*`)? */
bool api_has_scope(const struct directory_key *key, const char *scope);

/* "2026-11-22T03:13:26.918+00:00" (plus true) or "...Z". */
void api_time(int64_t wall_ms, bool plus, char *out, size_t size);

#endif
