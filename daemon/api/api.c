/* daemon/api/api.c - the way of each request: head -> route -> key -> rate -> scope -> body ->
 * handler. */
#include "daemon/api/api.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "daemon/api/webhook.h"
#include "daemon/node.h"

#define WEBHOOKS_MAX 4000 /* incoming webhooks a minute; said, not enforced (wire.md 1.5) */
#define SPARE_CONNECTIONS 256
#define STREAM_HEAD_MAX (256 * 1024) /* a provider's headers, and ours */

struct api {
	struct daemon *daemon;
	struct http_server *server;
	struct rates *rates;
	struct webhook_tests *webhook_tests;
};

static const char CORS_HEADERS[] =
    "Access-Control-Allow-Origin: *\r\n"
    "Access-Control-Expose-Headers: X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, "
    "Retry-After, X-Nango-Signature, X-Sluice-State, X-Sluice-Attempt, X-Sluice-Position, "
    "X-Sluice-Started\r\n";

/* ---- routing ----------------------------------------------------------------------------------
 */

static bool
segment_matches(const char *pattern, size_t len, const char *segment)
{
	if (pattern[0] == ':')
		return segment[0] != '\0';
	return strlen(segment) == len && memcmp(pattern, segment, len) == 0;
}

static bool
path_matches(const char *pattern, const char *const *segment, int segments)
{
	int at = 0;

	for (const char *p = pattern + 1;; at++) {
		size_t len = strcspn(p, "/");

		if (at < segments && strcmp(p, "*") == 0)
			return true;
		if (at >= segments || !segment_matches(p, len, segment[at]))
			return false;
		if (p[len] == '\0')
			return at + 1 == segments;
		p += len + 1;
	}
}

/* Clients write "/records/?..": one empty last segment is no segment. */
static int
request_segments(struct http_request *request, const char **segment, int max)
{
	int segments = http_request_segments(request, segment, max);

	if (segments > 1 && segment[segments - 1][0] == '\0')
		segments--;
	return segments;
}

static bool
is_proxied(const struct http_request *request)
{
	struct slice path = http_request_path(request);

	return path.len >= 7 && memcmp(path.data, "/proxy/", 7) == 0;
}

/* The route, or NULL with allow set to the methods that the path does have ("" if none). */
static const struct api_route *
find_route(struct http_request *request, struct buf *allow)
{
	const char *segment[10];
	int segments = request_segments(request, segment, 10);
	const char *method = http_request_method(request);

	bool proxied = is_proxied(request); /* of any depth and spelling */

	if (segments < 0 && !proxied)
		return NULL;
	for (const struct api_route *route = api_routes; route->method != NULL; route++) {
		if (proxied ? (route->flags & API_STREAM) == 0
			    : !path_matches(route->path, segment, segments))
			continue;
		if (strcmp(route->method, method) == 0 || strcmp(route->method, "*") == 0)
			return route;
		if (allow->len > 0)
			buf_add_text(allow, ", ");
		buf_add_text(allow, route->method);
	}
	return NULL;
}

static void
on_head(void *arg, struct http_request *request, struct http_verdict *verdict)
{
	static char headers[512]; /* read by the server before the next head */
	struct api *api = arg;
	const struct api_route *route;
	struct buf allow;

	verdict->body_max = 0;
	if (strcmp(http_request_method(request), "OPTIONS") == 0)
		return;
	buf_init(&allow, 256);
	route = find_route(request, &allow);
	if (route != NULL) {
		verdict->stream = (route->flags & API_STREAM) != 0;
		verdict->body_max =
		    verdict->stream ? config_int(api->daemon->config, "proxy_body_max") : route->body_max;
	} else if (allow.len > 0) {
		verdict->status = 405;
		verdict->error_code = "method_not_allowed";
		verdict->error_text = "this path does not have that method; see the Allow header";
		snprintf(headers, sizeof(headers), "Allow: %s, OPTIONS\r\n%s", allow.data,
			 CORS_HEADERS);
		verdict->extra_headers = headers;
	} else {
		verdict->status = 404;
		verdict->error_code = "not_found";
		verdict->error_text = "no such path";
		verdict->extra_headers = CORS_HEADERS;
	}
	buf_fini(&allow);
}

/* ---- the call -----------------------------------------------------------------------------------
 */

void *
api_state(struct api_call *call, size_t size)
{
	assert(call->state == NULL);
	call->state = sl_alloc(size);
	return call->state;
}

void *
api_keep(struct api_call *call, void *pointer)
{
	assert(call->kept_count < (int)(sizeof(call->kept) / sizeof(call->kept[0])));
	call->kept[call->kept_count++] = pointer;
	return pointer;
}

static void
call_free(struct api_call *call)
{
	directory_release(call->key);
	directory_release(call->environment);
	for (int i = 0; i < call->kept_count; i++)
		free(call->kept[i]);
	free(call->state);
	free(call);
}

static void
reply(struct api_call *call, int status, const char *content_type, struct slice body,
      const char *extra_headers)
{
	struct buf headers;
	struct http_reply reply = {.status = status, .content_type = content_type, .body = body};

	buf_init(&headers, 4096);
	buf_add_text(&headers, CORS_HEADERS);
	buf_add_text(&headers, call->rate_headers);
	if (extra_headers != NULL)
		buf_add_text(&headers, extra_headers);
	reply.extra_headers = headers.data;
	reply.close = call->daemon->draining;
	http_request_reply(call->request, &reply);
	buf_fini(&headers);
	call_free(call);
}

void
api_stream_head(struct api_call *call, int status, const char *content_type,
		const char *extra_headers, bool own_limits, int64_t length)
{
	struct http_reply reply = {.status = status, .content_type = content_type};
	struct buf headers;

	buf_init(&headers, STREAM_HEAD_MAX);
	buf_add_text(&headers, CORS_HEADERS);
	if (own_limits)
		buf_add_text(&headers, call->rate_headers);
	buf_add_text(&headers, extra_headers);
	reply.extra_headers = headers.data;
	reply.close = call->daemon->draining;
	http_request_reply_head(call->request, &reply, length);
	buf_fini(&headers);
}

void
api_stream_end(struct api_call *call, bool whole)
{
	http_request_reply_end(call->request, whole);
	call_free(call);
}

void
api_reply_headers(struct api_call *call, int status, struct slice json, const char *extra_headers)
{
	reply(call, status, NULL, json, extra_headers);
}

void
api_reply(struct api_call *call, int status, struct slice json)
{
	api_reply_headers(call, status, json, NULL);
}

static void
reply_buf(struct api_call *call, int status, const char *content_type, struct buf *body)
{
	if (body->over) {
		buf_fini(body);
		api_fail(call, 500, "server_error", "the answer is larger than this server sends");
		return;
	}
	reply(call, status, content_type, buf_slice(body), NULL);
	buf_fini(body);
}

void
api_reply_buf(struct api_call *call, int status, struct buf *json)
{
	reply_buf(call, status, NULL, json);
}

void
api_reply_text(struct api_call *call, const char *content_type, struct buf *text)
{
	reply_buf(call, 200, content_type, text);
}

void
api_reply_empty(struct api_call *call, int status)
{
	api_reply_headers(call, status, (struct slice){NULL, 0}, NULL);
}

void
api_reply_success(struct api_call *call)
{
	api_reply(call, 200, SLICE_LITERAL("{\"success\":true}"));
}

/* ---- the way to the handler ------------------------------------------------------------------ */

static bool
query_is_empty(const struct api_call *call)
{
	return http_request_query(call->request).len == 0;
}

static bool
check_content_type(struct api_call *call)
{
	const char *type = http_request_header(call->request, "content-type");

	if ((call->route->flags & API_RAW) != 0 || type == NULL ||
	    strncasecmp(type, "application/json", 16) == 0)
		return true;
	api_fail(call, 415, "invalid_content_type", "Content-Type must be application/json");
	return false;
}

static bool
check_body(struct api_call *call)
{
	unsigned flags = call->route->flags;
	struct slice body = http_request_body(call->request);
	struct sl_error error;

	if ((flags & (API_JSON | API_JSON_OPTIONAL | API_JSON_ANY)) == 0)
		return true;
	if (body.len == 0) {
		if ((flags & API_JSON) == 0)
			return true;
		api_fail_issue(call, "invalid_body", "invalid_type", "",
			       "a JSON object is expected as the body, and there is none");
		return false;
	}
	if (json_check(body, &call->body, &error) != SL_OK) {
		api_fail(call, 400, "invalid_json", error.text);
		return false;
	}
	if ((flags & API_JSON_ANY) == 0 && call->body.type != JSON_OBJECT_) {
		api_fail_issue(call, "invalid_body", "invalid_type", "",
			       "the body must be a JSON object");
		return false;
	}
	return true;
}

static void
dispatch_call(struct api_call *call)
{
	if (!check_content_type(call))
		return;
	if ((call->route->flags & API_NO_QUERY) != 0 && !query_is_empty(call)) {
		api_fail_issue(call, "invalid_query_params", "unrecognized_keys", "",
			       "this endpoint takes no query parameters");
		return;
	}
	if (!check_body(call))
		return;
	call->route->handler(call);
}

/* Per account; the headers go on every authenticated answer. */
static bool
take_points(struct api_call *call)
{
	/* The SDK says so inside functions (wire.md 1.5). */
	const char *script = http_request_header(call->request, "nango-is-script");
	bool is_script = script != NULL && strcmp(script, "true") == 0;
	/* Operators must get through a flood of their customers. */
	int64_t points = api_has_scope(call->key, "operator") ? 0 : 1;
	struct rate *rate =
	    rate_of(call->daemon->api->rates, is_script ? RATE_FUNCTIONS : RATE_ACCOUNT);
	int retry_s;

	if (rate_take(rate, config_int(call->daemon->config, "api_rate_limit"), points,
		      clock_wall_ms(), call->rate_headers, &retry_s))
		return true;
	api_fail_rate(call, retry_s);
	return false;
}

bool
api_has_scope(const struct directory_key *key, const char *scope)
{
	size_t want = strlen(scope);

	for (const char *at = key->scopes; *at != '\0';) {
		size_t len = strcspn(at, " ");

		if (len == want && memcmp(at, scope, len) == 0)
			return true;
		if (len >= 2 && at[len - 1] == '*' && at[len - 2] == ':' && len - 1 <= want &&
		    memcmp(at, scope, len - 1) == 0)
			return true;
		at += len + (at[len] == ' ');
	}
	return false;
}

static bool
check_scope(struct api_call *call)
{
	unsigned flags = call->route->flags;
	bool is_operator = api_has_scope(call->key, "operator");

	if ((flags & API_OPERATOR) != 0) {
		if (is_operator)
			return true;
		api_fail(call, 403, "forbidden", "this path needs a key of scope operator");
		return false;
	}
	if (call->route->scope != NULL && !api_has_scope(call->key, call->route->scope)) {
		api_failf(call, 403, "forbidden", "this key lacks the scope %s",
			  call->route->scope);
		return false;
	}
	if ((flags & API_ACCOUNT) == 0 && call->key->environment_id == 0) {
		api_fail(call, 403, "forbidden", "this path needs the key of an environment");
		return false;
	}
	return true;
}

static void
on_environment(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct api_call *call = arg;

	if (code != SL_OK) {
		api_fail_sl(call, code == SL_NOT_FOUND ? SL_UNAVAILABLE : code, error);
		return;
	}
	call->environment = directory_hold(object);
	dispatch_call(call);
}

static void
on_key(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct api_call *call = arg;

	if (code == SL_NOT_FOUND) {
		api_fail_auth(call, "unknown_account", "no environment or account has this key");
		return;
	}
	if (code != SL_OK) {
		api_fail_sl(call, code, error);
		return;
	}
	call->key = directory_hold(object);
	if (!take_points(call) || !check_scope(call))
		return;
	if (call->key->environment_id == 0) {
		dispatch_call(call);
		return;
	}
	directory_environment(call->daemon->directory, call->key->environment_id, on_environment,
			      call);
}

static bool
is_uuid_v4(const char *text)
{
	return uuid_parse(slice_text(text), NULL) && text[14] == '4' &&
	       strchr("89abAB", text[19]) != NULL;
}

static bool
is_known_operator(const struct api_call *call, const char *key_text)
{
	char digest[SECRET_SHA256_HEX];

	secret_sha256_hex(slice_text(key_text), digest);
	return node_knows_operator(call->daemon->self, digest);
}

/* RFC 6750: exactly one Authorization header, `Bearer` in any case, one key. */
static void
authenticate(struct api_call *call)
{
	const char *header = http_request_header(call->request, "authorization");

	if (header == NULL) {
		api_fail_auth(
		    call, "missing_auth_header",
		    "the Authorization header is missing; send `Authorization: Bearer <key>`");
	} else if (http_request_header_count(call->request, "authorization") > 1) {
		api_fail_issue(call, "invalid_headers", "custom", "authorization",
			       "the Authorization header stands twice");
	} else if (strncasecmp(header, "Bearer", 6) != 0 ||
		   (header[6] != ' ' && header[6] != '\0')) {
		api_fail_auth(call, "malformed_auth_header",
			      "the Authorization header must be `Bearer <key>`");
	} else {
		header += 6 + strspn(header + 6, " ");
		if (header[0] == '\0')
			api_fail_auth(call, "malformed_auth_header",
				      "there is no key after `Bearer`");
		else if (!is_uuid_v4(header))
			api_fail_auth(
			    call, "invalid_secret_key_format",
			    "the key is not of the form of a UUID v4; copy it whole from keys.env");
		else if ((call->route->flags & API_DOCTOR) != 0 && is_known_operator(call, header))
			dispatch_call(call);
		else
			directory_key(call->daemon->directory, header, on_key, call);
	}
}

/* By the connection alone: what a header says of the client, anybody can write. */
static bool
is_local(const struct http_request *request)
{
	const char *peer = http_request_peer(request);

	return strcmp(peer, "unix") == 0 || strcmp(peer, "::1") == 0 ||
	       strncmp(peer, "127.", 4) == 0;
}

static void
reply_options(struct http_request *request)
{
	static const char headers[] =
	    "Access-Control-Allow-Origin: *\r\n"
	    "Access-Control-Allow-Methods: GET, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
	    "Access-Control-Allow-Headers: *, Authorization, Content-Type, Connection-Id, Provider-Config-Key, "
	    "X-Async, X-Max-Retries, Idempotency-Key\r\n"
	    "Access-Control-Max-Age: 600\r\n";
	struct http_reply reply = {.status = 204, .extra_headers = headers};

	http_request_reply(request, &reply);
}

static void
on_request(void *arg, struct http_request *request)
{
	struct api *api = arg;
	struct api_call *call;
	struct buf allow;
	const struct api_route *route;
	int retry_s;

	if (strcmp(http_request_method(request), "OPTIONS") == 0) {
		reply_options(request);
		return;
	}
	buf_init(&allow, 256);
	route = find_route(request, &allow);
	buf_fini(&allow);
	if (route == NULL) { /* on_head refuses these; a bad escape shows only here */
		http_request_fail(request, 400, "invalid_request", "the path cannot be decoded");
		return;
	}
	call = sl_alloc(sizeof(*call));
	call->daemon = api->daemon;
	call->request = request;
	call->route = route;
	http_request_set_data(request, call);
	if ((route->flags & API_STREAM) == 0)
		call->segments = request_segments(request, call->segment, 10);
	if ((route->flags & API_STREAM) == 0 && http_request_query_pairs(request) < 0) {
		api_fail_issue(call, "invalid_query_params", "custom", "",
			       "the query string has a bad escape or is not UTF-8");
		return;
	}
	if ((route->flags & API_WEBHOOK) != 0)
		(void)rate_take(rate_of(api->rates, RATE_WEBHOOKS), WEBHOOKS_MAX, 1,
				clock_wall_ms(), call->rate_headers, &retry_s);
	if ((route->flags & API_OPEN) != 0 ||
	    ((route->flags & API_LOCAL) != 0 && is_local(request)))
		dispatch_call(call);
	else
		authenticate(call);
}

static void
on_gone(void *arg, struct http_request *request)
{
	struct api_call *call = http_request_data(request);

	(void)arg;
	if (call != NULL && call->on_gone != NULL)
		call->on_gone(call);
}

struct api *
api_new(struct daemon *daemon)
{
	static const struct http_handler handler = {
	    .on_head = on_head, .on_request = on_request, .on_gone = on_gone};
	struct api *api = sl_alloc(sizeof(*api));
	struct http_server_settings settings = {
	    .connections_max = (int)config_int(daemon->config, "connections_max"),
	    .connections_spare = SPARE_CONNECTIONS,
	    .body_budget = config_int(daemon->config, "body_budget"),
	    .refusal_headers = CORS_HEADERS,
	};

	api->daemon = daemon;
	api->rates = rates_new();
	api->webhook_tests = webhook_tests_new();
	api->server = http_server_new(daemon->loop, &settings, &handler, api);
	return api;
}

void
api_free(struct api *api)
{
	if (api == NULL)
		return;
	http_server_free(api->server);
	rates_free(api->rates);
	webhook_tests_free(api->webhook_tests);
	free(api);
}

enum sl_code
api_listen(struct api *api, const char *address, struct sl_error *error)
{
	return http_server_listen(api->server, address, error);
}

enum sl_code
api_adopt(struct api *api, int fd, struct sl_error *error)
{
	return http_server_adopt(api->server, fd, error);
}

void
api_address(const struct api *api, char *out, size_t size)
{
	http_server_address(api->server, out, size);
}

void
api_reloaded(struct api *api)
{
	const struct config *config = api->daemon->config;

	http_server_caps(api->server, (int)config_int(config, "connections_max"),
			 config_int(config, "body_budget"));
}

void
api_drain(struct api *api)
{
	http_server_drain(api->server);
}

bool
api_is_idle(const struct api *api)
{
	return http_server_is_idle(api->server);
}

int
api_connections(const struct api *api)
{
	return http_server_connections(api->server);
}

struct rates *
api_rates(struct api *api)
{
	return api->rates;
}

struct webhook_tests *
api_webhook_tests(struct api *api)
{
	return api->webhook_tests;
}
