/* daemon/worker/host.c - see host.h.  The function is not trusted: every member is checked. */
#include "daemon/worker/host.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "config.h"
#include "daemon/api/metadata.h"
#include "daemon/api/show.h"
#include "daemon/worker/dispatch.h"
#include "provider/credential.h"
#include "provider/request.h"
#include "runtime/channel.h"

#define HEADERS_MAX 64
#define ANSWER_MAX (RUNNER_FRAME_MAX - 65536) /* one frame carries it */
#define CODES_MAX 32

struct host_call {
	struct host_call *next, **link; /* in attempt->calls */
	struct attempt *attempt;        /* NULL: it ended */
	int64_t id;
	void (*serve)(struct host_call *call); /* after the connection is known */
	char *meta_bytes, *body;
	size_t body_len;
	struct json_value meta;
	const struct directory_connection *connection;   /* held */
	const struct directory_integration *integration; /* held */
	struct provider_request *request;
	struct http_header header[HEADERS_MAX];
	int header_count;
	void *kept[HEADERS_MAX * 2 + 32];
	int kept_count;
	int status;   /* of the answer to a metadata call */
	bool pending; /* a lookup or a ledger call is under way and will come back */
};

static void
call_free(void *arg)
{
	struct host_call *call = arg;

	directory_release(call->connection);
	directory_release(call->integration);
	for (int i = 0; i < call->kept_count; i++)
		free(call->kept[i]);
	free(call->meta_bytes);
	free(call->body);
	free(call);
}

static void
unlink_call(struct host_call *call)
{
	if (call->link == NULL)
		return;
	*call->link = call->next;
	if (call->next != NULL)
		call->next->link = call->link;
	call->link = NULL;
}

/* Answers and ends the call. */
static void
answer(struct host_call *call, bool ok, struct slice meta, struct slice body)
{
	struct attempt *attempt = call->attempt;

	assert(attempt != NULL); /* is_orphan() was asked first */
	if (attempt->run != NULL && !attempt->aborting && call->id != 0)
		run_reply(attempt->run, call->id, ok, meta, body);
	unlink_call(call);
	call->attempt = NULL;
	loop_free_later(attempt->daemon->loop, call_free, call);
}

static void
answer_error(struct host_call *call, const char *code, const char *message)
{
	struct json_writer w;
	struct buf out;

	buf_init(&out, 1 << 16);
	jw_init(&w, &out);
	jw_object(&w);
	jw_member_text(&w, "code", code);
	jw_member_text(&w, "message", message);
	jw_object_end(&w);
	answer(call, false, buf_slice(&out), (struct slice){NULL, 0});
	buf_fini(&out);
}

/* Metadata and the like, whole or not at all. */
static void
answer_json(struct host_call *call, struct buf *out)
{
	if (out->over)
		answer_error(call, "response_too_large",
			     "the answer is larger than a function can be given (64 MiB)");
	else
		answer(call, true, buf_slice(out), (struct slice){NULL, 0});
}

static void
answer_sl(struct host_call *call, enum sl_code code, const struct sl_error *error)
{
	answer_error(call,
		     code == SL_NOT_FOUND ? "unknown_connection"
		     : code == SL_INVALID ? "invalid_request"
					  : "server_error",
		     code == SL_NOT_FOUND ? "there is no such connection in this environment"
		     : error != NULL      ? error->text
					  : "the service could not do this right now");
}

/* The attempt ended while something of this call was under way. */
static bool
is_orphan(struct host_call *call)
{
	call->pending = false;
	if (call->attempt != NULL)
		return false;
	call_free(call);
	return true;
}

void
host_cancel_all(struct attempt *attempt)
{
	while (attempt->calls != NULL) {
		struct host_call *call = attempt->calls;

		unlink_call(call);
		if (call->request != NULL) {
			provider_request_cancel(call->request);
			call->request = NULL;
		}
		call->attempt = NULL;
		if (!call->pending)
			loop_free_later(attempt->daemon->loop, call_free, call);
	}
}

static const char *
keep_text(struct host_call *call, struct json_value value)
{
	char *text = json_text(value, NULL);

	if (text != NULL) {
		assert(call->kept_count < (int)(sizeof(call->kept) / sizeof(call->kept[0])));
		call->kept[call->kept_count++] = text;
	}
	return text;
}

/* ---- http ------------------------------------------------------------------------------------ */

static void
on_effect_answer(void *arg, bool allowed)
{
	struct host_call *call = arg;

	if (call->attempt != NULL && call->request != NULL)
		provider_request_go(call->request, allowed);
}

static void
on_before_send(void *arg, struct provider_request *request)
{
	struct host_call *call = arg;

	call->request = request;
	attempt_effect(call->attempt, on_effect_answer, call);
}

/* A header that stands several times is one member: a list for set-cookie, else one text (RFC 9110
 * section 5.3).  Written where it stands first. */
static void
write_header(struct json_writer *w, const struct http_answer *got, int index)
{
	const char *name = got->headers[index].name;
	bool is_list = strcmp(name, "set-cookie") == 0;
	struct buf joined;

	for (int i = 0; i < index; i++)
		if (strcmp(got->headers[i].name, name) == 0)
			return;
	jw_key(w, name);
	buf_init(&joined, 1 << 20);
	if (is_list)
		jw_array(w);
	for (int i = index; i < got->header_count; i++) {
		if (strcmp(got->headers[i].name, name) != 0)
			continue;
		if (is_list) {
			jw_text(w, got->headers[i].value);
			continue;
		}
		if (joined.len > 0)
			buf_add_text(&joined, ", ");
		buf_add_text(&joined, got->headers[i].value);
	}
	if (is_list)
		jw_array_end(w);
	else
		jw_text_n(w, buf_slice(&joined).data, joined.len);
	buf_fini(&joined);
}

static void
on_http_answer(void *arg, const struct http_answer *got)
{
	struct host_call *call = arg;
	struct json_writer w;
	struct buf out;

	call->request = NULL;
	if (got->failure != HTTP_ANSWERED) {
		answer_error(call, got->code != NULL ? got->code : "ERR_NETWORK", got->text);
		return;
	}
	buf_init(&out, 1 << 20);
	jw_init(&w, &out);
	jw_object(&w);
	jw_member_int(&w, "status", got->status);
	jw_member_text(&w, "statusText", got->status_text);
	jw_key(&w, "headers");
	jw_object(&w);
	for (int i = 0; i < got->header_count; i++)
		write_header(&w, got, i);
	jw_object_end(&w);
	jw_object_end(&w);
	answer(call, true, buf_slice(&out), got->body);
	buf_fini(&out);
}

static void
on_retry(void *arg, int attempt, int status, const char *code, int64_t wait_ms)
{
	struct host_call *call = arg;

	log_info("provider_retry", "job=%s try=%d status=%d code=%s wait_ms=%lld",
		 call->attempt != NULL ? call->attempt->job_id : "", attempt, status,
		 code != NULL ? code : "none", (long long)wait_ms);
}

static bool
is_token(const char *text)
{
	for (; *text != '\0'; text++)
		if (!isalnum((unsigned char)*text) && strchr("!#$%&'*+-.^_`|~", *text) == NULL)
			return false;
	return true;
}

static bool
read_headers(struct host_call *call, struct json_value headers)
{
	struct json_iter it;
	bool ok = true;

	if (headers.type != JSON_OBJECT_)
		return true;
	json_iter_init(&it, headers);
	while (ok && json_iter_next(&it)) {
		char *name, *value;

		if (it.value.type == JSON_NULL_)
			continue;
		value = it.value.type == JSON_TEXT
			    ? json_text(it.value, NULL)
			    : sl_strndup(it.value.raw.data, it.value.raw.len);
		name = sl_strdup(it.key);
		ok = value != NULL && value[strcspn(value, "\r\n")] == '\0' && name[0] != '\0' &&
		     is_token(name) && call->header_count < HEADERS_MAX;
		if (!ok) {
			free(name);
			free(value);
			break;
		}
		call->kept[call->kept_count++] = name;
		call->kept[call->kept_count++] = value;
		call->header[call->header_count++] = (struct http_header){name, value};
	}
	json_iter_fini(&it);
	return ok;
}

static int
read_codes(struct json_value list, int *out)
{
	struct json_iter it;
	int count = 0;

	if (list.type != JSON_ARRAY_)
		return 0;
	json_iter_init(&it, list);
	while (json_iter_next(&it) && count < CODES_MAX) {
		int64_t code;

		if (json_int(it.value, &code) && code >= 100 && code <= 599)
			out[count++] = (int)code;
	}
	json_iter_fini(&it);
	return count;
}

/* The function's own query: a text, or an object that the SDK serialised already. */
static const char *
read_query(struct host_call *call)
{
	struct json_value params = json_get(call->meta, "params");

	return params.type == JSON_TEXT ? keep_text(call, params) : NULL;
}

static void
send_request(struct host_call *call, struct slice credentials)
{
	static const struct provider_events events = {
	    .on_before_send = on_before_send, .on_answer = on_http_answer, .on_retry = on_retry};
	struct daemon *daemon = call->attempt->daemon;
	const struct account_connection *row = &call->connection->row;
	struct provider_connection connection = {
	    .provider = catalog_find(daemon->catalog, row->provider),
	    .credentials = credentials,
	    .connection_config = slice_text(row->connection_config),
	    .metadata = slice_text(row->metadata),
	    .integration_config = slice_text(call->integration->row.config),
	};
	struct json_value retry_header = json_get(call->meta, "retryHeader");
	int codes[CODES_MAX];
	int64_t retries = 0;
	struct provider_ask ask = {
	    .method = keep_text(call, json_get(call->meta, "method")),
	    .endpoint = keep_text(call, json_get(call->meta, "endpoint")),
	    .base_url_override = keep_text(call, json_get(call->meta, "baseUrlOverride")),
	    .headers = call->header,
	    .query = read_query(call),
	    .body = {call->body, call->body_len},
	    .has_body = call->body_len > 0,
	    .retry_on = codes,
	    .retry_on_count = read_codes(json_get(call->meta, "retryOn"), codes),
	    .retry_header_at = keep_text(call, json_get(retry_header, "at")),
	    .retry_header_after = keep_text(call, json_get(retry_header, "after")),
	    .decompress = true,
	    .forward_headers_on_redirect =
		json_is_yes(json_get(call->meta, "forwardHeadersOnRedirect")),
	    .timeout_ms = config_int(daemon->config, "provider_timeout"),
	    .deadline_mono_ms = call->attempt->deadline_mono_ms,
	    .user_agent = "sluice/" PACKAGE_VERSION,
	};
	struct sl_error error;

	if (ask.method == NULL || !is_token(ask.method) || ask.endpoint == NULL) {
		answer_error(call, "invalid_request", "a request needs a method and an endpoint");
		return;
	}
	if (!read_headers(call, json_get(call->meta, "headers"))) {
		answer_error(call, "invalid_request",
			     "a request header has a bad name or value, or there are more than 64");
		return;
	}
	ask.header_count = call->header_count;
	if (json_int(json_get(call->meta, "retries"), &retries) && retries > 0)
		ask.retries = retries > 10 ? 10 : (int)retries;
	if (connection.provider == NULL) {
		answer_error(call, "unknown_provider",
			     "this node does not know the connection's provider");
		return;
	}
	if (provider_request_start(daemon->loop, daemon->client, &connection, &ask, &events, call,
				   &call->request, &error) != SL_OK)
		answer_error(call, "invalid_request", error.text);
}

static void
serve_http(struct host_call *call)
{
	struct buf plain;
	struct sl_error error;

	buf_init(&plain, 1 << 20);
	if (show_open_credentials(call->attempt->daemon->ring, &call->connection->row, &plain,
				  &error) != SL_OK)
		answer_error(call, "invalid_credentials", error.text);
	else
		send_request(call, buf_slice(&plain));
	secret_wipe(plain.data, plain.len);
	buf_fini(&plain);
}

static void
on_integration(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct host_call *call = arg;

	if (is_orphan(call))
		return;
	if (code != SL_OK) {
		answer_sl(call, code, error);
		return;
	}
	call->integration = directory_hold(object);
	call->serve(call);
}

static void
on_connection(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct host_call *call = arg;

	if (is_orphan(call))
		return;
	if (code != SL_OK) {
		answer_sl(call, code, error);
		return;
	}
	call->connection = directory_hold(object);
	call->pending = true;
	directory_integration(call->attempt->daemon->directory, call->attempt->environment_id,
			      call->connection->row.unique_key, on_integration, call);
}

/* Looks the connection up afresh: a setMetadata() of this run must be seen by the next
 * getMetadata(). */
static void
with_connection(struct host_call *call, void (*serve)(struct host_call *call))
{
	const struct account_connection *own = &call->attempt->connection->row;
	const char *key = keep_text(call, json_get(call->meta, "providerConfigKey"));
	const char *id = keep_text(call, json_get(call->meta, "connectionId"));

	call->serve = serve;
	call->pending = true;
	directory_connection(call->attempt->daemon->directory, call->attempt->environment_id,
			     key != NULL ? key : own->unique_key,
			     id != NULL ? id : own->connection_id, on_connection, call);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void
serve_connection(struct host_call *call)
{
	struct sl_error error;
	struct buf out;

	buf_init(&out, ANSWER_MAX);
	if (show_connection(
		call->attempt->daemon->ring, &call->connection->row,
		SHOW_CREDENTIALS |
		    (json_is_yes(json_get(call->meta, "refreshToken")) ? SHOW_REFRESH_TOKEN : 0),
		&out, &error) != SL_OK)
		answer_error(call, "invalid_credentials", error.text);
	else
		answer_json(call, &out);
	secret_wipe(out.data, out.len);
	buf_fini(&out);
}

static void
serve_integration(struct host_call *call)
{
	struct sl_error error;
	struct buf out;

	buf_init(&out, ANSWER_MAX);
	if (show_integration(call->attempt->daemon, &call->integration->row, 0, &out, &error) !=
	    SL_OK)
		answer_error(call, "server_error", error.text);
	else
		answer_json(call, &out);
	buf_fini(&out);
}

static void
on_variables(void *arg, enum sl_code code, const struct account_variable *rows, int count,
	     const struct sl_error *error)
{
	struct host_call *call = arg;
	struct sl_error failed;
	struct buf out;

	if (is_orphan(call))
		return;
	if (code != SL_OK) {
		answer_sl(call, code, error);
		return;
	}
	buf_init(&out, ANSWER_MAX);
	if (show_variables(call->attempt->daemon->ring, call->attempt->environment_id, rows, count,
			   &out, &failed) != SL_OK)
		answer_error(call, "server_error", failed.text);
	else
		answer_json(call, &out);
	secret_wipe(out.data, out.len);
	buf_fini(&out);
}

/* ---- metadata -------------------------------------------------------------------------------- */

static void
on_metadata(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct host_call *call = arg;
	struct json_writer w;
	struct buf out;

	if (is_orphan(call))
		return;
	if (code != SL_OK) {
		answer_sl(call, code, error);
		return;
	}
	directory_forget(call->attempt->daemon->directory);
	buf_init(&out, ANSWER_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	jw_member_int(&w, "status", call->status);
	jw_member_raw(&w, "data", call->meta.raw);
	jw_object_end(&w);
	answer_json(call, &out);
	buf_fini(&out);
}

static void
write_metadata(void *arg, bool allowed)
{
	struct host_call *call = arg;
	const struct account_connection *row;

	if (call->attempt == NULL)
		return;
	if (!allowed) {
		answer_error(call, "script_aborted",
			     "the worker may not act for this run any more");
		return;
	}
	row = &call->connection->row;
	call->pending = true;
	metadata_write(call->attempt->daemon, row->id, json_get(call->meta, "metadata").raw,
		       call->status == 200, on_metadata, call);
}

static void
serve_metadata(struct host_call *call)
{
	if (json_get(call->meta, "metadata").type != JSON_OBJECT_) {
		answer_error(call, "invalid_request", "metadata must be an object");
		return;
	}
	attempt_effect(call->attempt, write_metadata, call);
}

static void
serve_paginate(struct host_call *call)
{
	const struct provider *provider =
	    catalog_find(call->attempt->daemon->catalog, call->connection->row.provider);

	if (provider != NULL && provider->paginate.len > 0)
		answer(call, true, provider->paginate, (struct slice){NULL, 0});
	else
		answer_error(call, "unsupported", "this provider has no defaults for pagination");
}

/* ---- log ------------------------------------------------------------------------------------- */

static void
serve_log(struct host_call *call)
{
	const char *level = keep_text(call, json_get(call->meta, "level"));
	const char *message = keep_text(call, json_get(call->meta, "message"));
	enum log_level at = LOG_LEVEL_INFO;

	if (level != NULL && strcmp(level, "error") == 0)
		at = LOG_LEVEL_ERROR;
	else if (level != NULL && strcmp(level, "warn") == 0)
		at = LOG_LEVEL_WARN;
	else if (level != NULL && strcmp(level, "debug") == 0)
		at = LOG_LEVEL_DEBUG;
	log_event(at, "function_log", "job=%s function=%s connection=%s message=%s",
		  call->attempt->job_id, call->attempt->function->row.name,
		  log_text(call->attempt->connection->row.connection_id),
		  log_text(message != NULL ? message : ""));
	answer(call, true, SLICE_LITERAL("null"), (struct slice){NULL, 0});
}

/* ---- the table ------------------------------------------------------------------------------- */

static void
serve_op(struct host_call *call, struct slice op)
{
	if (slice_is(op, "http")) {
		with_connection(call, serve_http);
	} else if (slice_is(op, "connection")) {
		with_connection(call, serve_connection);
	} else if (slice_is(op, "integration")) {
		with_connection(call, serve_integration);
	} else if (slice_is(op, "paginate_defaults")) {
		with_connection(call, serve_paginate);
	} else if (slice_is(op, "metadata_set") || slice_is(op, "metadata_update")) {
		call->status = slice_is(op, "metadata_set") ? 201 : 200;
		with_connection(call, serve_metadata);
	} else if (slice_is(op, "environment_variables")) {
		call->pending = true;
		account_variable_list(call->attempt->daemon->account, call->attempt->environment_id,
				      on_variables, call);
	} else if (slice_is(op, "log")) {
		serve_log(call);
	} else {
		answer_error(call, "unsupported",
			     "this version of sluice does not offer that call yet");
	}
}

void
host_serve(struct attempt *attempt, int64_t call_id, struct slice op, struct slice meta,
	   struct slice body)
{
	struct host_call *call = sl_alloc(sizeof(*call));
	struct sl_error error;

	call->attempt = attempt;
	call->id = call_id;
	call->meta_bytes = sl_memdup(meta.data, meta.len);
	call->body = sl_memdup(body.data, body.len);
	call->body_len = body.len;
	call->next = attempt->calls;
	call->link = &attempt->calls;
	if (call->next != NULL)
		call->next->link = &call->next;
	attempt->calls = call;
	if (meta.len > 0 &&
	    json_check((struct slice){call->meta_bytes, meta.len}, &call->meta, &error) != SL_OK) {
		answer_error(call, "invalid_request", "the call's description is no JSON");
		return;
	}
	serve_op(call, op);
}
