/* daemon/api/check.c - the error form of the wire, and the checks that answer by themselves. */
#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "daemon/api/api.h"
#include "daemon/steer.h"
#include "daemon/submit.h"

#define REFUSED_POINTS 10 /* of a request without a good key */

static void
error_begin(struct buf *out, struct json_writer *w, const char *code, const char *text)
{
	buf_init(out, 1 << 20);
	jw_init(w, out);
	jw_object(w);
	jw_key(w, "error");
	jw_object(w);
	jw_member_text(w, "code", code);
	if (text != NULL)
		jw_member_text(w, "message", text);
}

static void
error_send(struct api_call *call, int status, struct buf *out, struct json_writer *w,
	   const char *headers)
{
	jw_object_end(w);
	jw_object_end(w);
	api_reply_headers(call, status, buf_slice(out), headers);
	buf_fini(out);
}

void
api_fail(struct api_call *call, int status, const char *code, const char *text)
{
	struct json_writer w;
	struct buf out;

	error_begin(&out, &w, code, text);
	error_send(call, status, &out, &w, NULL);
}

void
api_failf(struct api_call *call, int status, const char *code, const char *format, ...)
{
	char text[600];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	api_fail(call, status, code, text);
}

void
api_fail_rate(struct api_call *call, int retry_s)
{
	struct slice path = http_request_path(call->request);
	char headers[40];
	struct json_writer w;
	struct buf out;

	metrics_count(METRIC_REFUSED, METRIC_REFUSED_RATE);
	snprintf(headers, sizeof(headers), "Retry-After: %d\r\n", retry_s);
	error_begin(&out, &w, "too_many_request", NULL);
	jw_member_text(&w, "method", http_request_method(call->request));
	jw_key(&w, "path");
	jw_text_n(&w, path.data, path.len);
	error_send(call, 429, &out, &w, headers);
}

void
api_fail_auth(struct api_call *call, const char *code, const char *text)
{
	int64_t now = clock_wall_ms();
	struct rate *rate =
	    rate_of_peer(api_rates(call->daemon->api), http_request_peer(call->request), now);
	struct json_writer w;
	struct buf out;
	int retry_s;

	if (!rate_take(rate, config_int(call->daemon->config, "api_rate_limit"), REFUSED_POINTS,
		       now, call->rate_headers, &retry_s)) {
		api_fail_rate(call, retry_s);
		return;
	}
	metrics_count(METRIC_REFUSED, METRIC_REFUSED_AUTH);
	error_begin(&out, &w, code, text);
	jw_member_raw(&w, "payload", SLICE_LITERAL("{}"));
	error_send(call, 401, &out, &w, "WWW-Authenticate: Bearer\r\n");
}

void
api_fail_issue(struct api_call *call, const char *code, const char *issue, const char *path,
	       const char *format, ...)
{
	char text[600];
	struct json_writer w;
	struct buf out;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	error_begin(&out, &w, code, text);
	jw_key(&w, "errors");
	jw_array(&w);
	jw_object(&w);
	jw_member_text(&w, "code", issue);
	jw_member_text(&w, "message", text);
	jw_key(&w, "path");
	jw_array(&w);
	for (const char *at = path; *at != '\0';) {
		size_t len = strcspn(at, ".");

		jw_text_n(&w, at, len);
		at += len + (at[len] == '.');
	}
	jw_array_end(&w);
	jw_object_end(&w);
	jw_array_end(&w);
	error_send(call, 400, &out, &w, NULL);
}

void
api_fail_sl(struct api_call *call, enum sl_code code, const struct sl_error *error)
{
	const char *text = error != NULL ? error->text : "";
	struct json_writer w;
	struct buf out;
	char id[UUID_TEXT], message[200];

	switch (code) {
	case SL_NOT_FOUND:
		api_fail(call, 404, "not_found", "there is no such thing in this environment");
		return;
	case SL_CONFLICT:
		api_fail(call, 409, "conflict",
			 text[0] != '\0' ? text
					 : "somebody else changed it at the same time; try again");
		return;
	case SL_INVALID:
		api_fail(call, 400, "invalid_body", text);
		return;
	case SL_UNAVAILABLE:
	case SL_EXHAUSTED:
		metrics_count(METRIC_REFUSED, METRIC_REFUSED_UNAVAILABLE);
		log_warn("request_refused", "code=%s error=%s", sl_code_name(code), log_text(text));
		error_begin(&out, &w, "service_unavailable",
			    "a part of the service is not reachable right now; try again");
		error_send(call, 503, &out, &w, "Retry-After: 1\r\n");
		return;
	case SL_OK:
	case SL_INTERNAL:
		break;
	}
	uuid_v4(id);
	log_error("request_failed", "id=%s error=%s", id, log_text(text));
	snprintf(message, sizeof(message), "an internal error happened; the log has it under %s",
		 id);
	error_begin(&out, &w, "generic_error_support", message);
	jw_member_text(&w, "payload", id);
	error_send(call, 500, &out, &w, NULL);
}

void
api_fail_submit(struct api_call *call, int64_t environment_id, enum sl_code code,
		const struct sl_error *error)
{
	struct json_writer w;
	struct buf out;
	char headers[40];

	bool is_full = code == SL_UNAVAILABLE && submit_is_full(call->daemon);

	if (code == SL_UNAVAILABLE && submit_is_draining(call->daemon, environment_id)) {
		snprintf(headers, sizeof(headers), "Retry-After: %d\r\n", STEER_RETRY_S);
		metrics_count(METRIC_REFUSED, METRIC_REFUSED_UNAVAILABLE);
		error_begin(&out, &w, "queue_draining", SUBMIT_DRAINING);
		error_send(call, 503, &out, &w, headers);
		return;
	}
	if (code != SL_EXHAUSTED && !is_full) {
		api_fail_sl(call, code, error);
		return;
	}
	snprintf(headers, sizeof(headers), "Retry-After: %d\r\n",
		 submit_retry_s(call->daemon, environment_id));
	if (is_full)
		error_begin(&out, &w, "service_unavailable",
			    "this node holds as many jobs as it can; try again after the time in "
			    "Retry-After");
	else
		error_begin(&out, &w, "queue_full",
			    error != NULL ? error->text : "too many jobs of this environment wait");
	error_send(call, is_full ? 503 : 429, &out, &w, headers);
}

/* ---- names ----------------------------------------------------------------------------------- */

static bool
all_of(const char *text, const char *extra)
{
	for (; *text != '\0'; text++)
		if (!((unsigned char)*text < 128 && isalnum((unsigned char)*text)) &&
		    strchr(extra, *text) == NULL)
			return false;
	return true;
}

bool
api_name_is(enum api_name kind, const char *text)
{
	size_t len = strlen(text);

	if (len == 0 || len > 255)
		return false;
	switch (kind) {
	case API_NAME_INTEGRATION:
		return all_of(text, "~:.@ _-");
	case API_NAME_CONNECTION:
		return all_of(text, ",.;:=+~[]|@${}\"'\\/_ -") && text[strspn(text, " ")] != '\0';
	case API_NAME_FUNCTION:
	case API_NAME_PROVIDER:
		return all_of(text, "_-");
	case API_NAME_MODEL:
		return len >= 2 && text[0] >= 'A' && text[0] <= 'Z' && all_of(text, "_-");
	case API_NAME_ENVIRONMENT:
		for (const char *at = text; *at != '\0'; at++)
			if (*at >= 'A' && *at <= 'Z')
				return false;
		return all_of(text, "_-");
	}
	return false;
}

static const char *
name_rule(enum api_name kind)
{
	switch (kind) {
	case API_NAME_INTEGRATION:
		return "letters, digits and ~:.@ _- (1 to 255)";
	case API_NAME_CONNECTION:
		return "letters, digits, spaces and ,.;:=+~[]|@${}\"'\\/_- (1 to 255, not only spaces)";
	case API_NAME_FUNCTION:
	case API_NAME_PROVIDER:
		return "letters, digits, _ and - (1 to 255)";
	case API_NAME_MODEL:
		return "an upper-case letter, then letters, digits, _ and - (2 to 255)";
	case API_NAME_ENVIRONMENT:
		return "lower-case letters, digits, _ and - (1 to 255)";
	}
	return "";
}

bool
api_check_name(struct api_call *call, enum api_name kind, const char *text, const char *code,
	       const char *path)
{
	if (api_name_is(kind, text))
		return true;
	api_fail_issue(call, code, strlen(text) > 255 ? "too_big" : "invalid_format", path,
		       "%s must be %s", path, name_rule(kind));
	return false;
}

/* ---- headers, query, members ----------------------------------------------------------------- */

bool
api_header(struct api_call *call, const char *name, const char **out)
{
	const char *value = http_request_header(call->request, name);

	if (value == NULL || value[0] == '\0') {
		api_fail_issue(call, "invalid_headers", "invalid_type", name,
			       "the header %s is required", name);
		return false;
	}
	if (http_request_header_count(call->request, name) > 1) {
		api_fail_issue(call, "invalid_headers", "custom", name,
			       "the header %s stands twice", name);
		return false;
	}
	*out = value;
	return true;
}

bool
api_strict(struct api_call *call, struct json_value object, const char *const *names)
{
	struct json_iter it;
	char unknown[64] = "";
	bool found = false;

	if (object.type != JSON_OBJECT_)
		return true;
	json_iter_init(&it, object);
	while (!found && json_iter_next(&it)) {
		int i = 0;

		while (names[i] != NULL && (strlen(names[i]) != it.key_len ||
					    memcmp(names[i], it.key, it.key_len) != 0))
			i++;
		if (names[i] == NULL) {
			found = true;
			snprintf(unknown, sizeof(unknown), "%s", it.key);
		}
	}
	json_iter_fini(&it);
	if (found)
		api_fail_issue(call, "invalid_body", "unrecognized_keys", "",
			       "unrecognized key: \"%s\"", unknown);
	return !found;
}

bool
api_text(struct api_call *call, struct json_value object, const char *name, bool required,
	 size_t max, const char **out)
{
	struct json_value value = json_get(object, name);
	char *text;

	*out = NULL;
	if (value.type == JSON_NONE || (value.type == JSON_NULL_ && !required)) {
		if (!required)
			return true;
		api_fail_issue(call, "invalid_body", "invalid_type", name, "%s is required", name);
		return false;
	}
	text = json_text(value, NULL);
	if (text == NULL) {
		api_fail_issue(call, "invalid_body", "invalid_type", name,
			       "%s must be a text without \\u0000", name);
		return false;
	}
	*out = api_keep(call, text);
	if (strlen(text) <= (max > 0 ? max : 255))
		return true;
	api_fail_issue(call, "invalid_body", "too_big", name, "%s is longer than %zu bytes", name,
		       max > 0 ? max : 255);
	return false;
}

bool
api_bool(struct api_call *call, struct json_value object, const char *name, bool fallback,
	 bool *out)
{
	struct json_value value = json_get(object, name);

	*out = value.type == JSON_NONE ? fallback : json_is_yes(value);
	if (value.type == JSON_NONE || value.type == JSON_BOOL)
		return true;
	api_fail_issue(call, "invalid_body", "invalid_type", name, "%s must be true or false",
		       name);
	return false;
}

bool
api_object(struct api_call *call, struct json_value object, const char *name, bool required,
	   struct json_value *out)
{
	*out = json_get(object, name);
	if (out->type == JSON_OBJECT_ || (out->type == JSON_NONE && !required))
		return true;
	if (out->type == JSON_NULL_ && !required) {
		*out = (struct json_value){0};
		return true;
	}
	api_fail_issue(call, "invalid_body", "invalid_type", name,
		       out->type == JSON_NONE ? "%s is required" : "%s must be an object", name);
	return false;
}

const char *
api_query(struct api_call *call, const char *name)
{
	int count = http_request_query_pairs(call->request);
	const char *found = NULL;

	for (int i = 0; i < count; i++) {
		const char *key, *value;

		http_request_query_at(call->request, i, &key, &value);
		if (strcmp(key, name) == 0)
			found = value;
	}
	return found;
}

bool
api_query_strict(struct api_call *call, const char *const *names)
{
	int count = http_request_query_pairs(call->request);

	for (int i = 0; i < count; i++) {
		const char *key, *value;
		int n = 0;

		http_request_query_at(call->request, i, &key, &value);
		for (; names[n] != NULL; n++) {
			size_t len = strlen(names[n]);

			if (strcmp(key, names[n]) == 0 ||
			    (names[n][len - 1] == '[' && strncmp(key, names[n], len) == 0))
				break;
		}
		if (names[n] == NULL) {
			api_fail_issue(call, "invalid_query_params", "unrecognized_keys", "",
				       "unrecognized query parameter: \"%.60s\"", key);
			return false;
		}
	}
	return true;
}

void
api_time(int64_t wall_ms, bool plus, char *out, size_t size)
{
	char iso[CLOCK_ISO_SIZE];

	clock_iso(wall_ms, iso);
	snprintf(out, size, "%.23s%s", iso, plus ? "+00:00" : "Z");
}
