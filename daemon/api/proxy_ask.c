#include "daemon/api/proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "provider/url.h"

#define FORWARDED "nango-proxy-"

/* A header that may be left out; NULL: it is, or it is empty. */
static bool
read_one(struct api_call *call, const char *name, const char **out)
{
	*out = http_request_header(call->request, name);
	if (*out != NULL && (*out)[0] == '\0')
		*out = NULL;
	return *out == NULL || api_header(call, name, out);
}

static bool
read_flag(struct api_call *call, const char *name, bool *out)
{
	const char *value;

	if (!read_one(call, name, &value))
		return false;
	*out = value != NULL && strcmp(value, "true") == 0;
	if (value == NULL || *out || strcmp(value, "false") == 0)
		return true;
	api_fail_issue(call, "invalid_headers", "invalid_value", name, "%s must be true or false",
		       name);
	return false;
}

/* Digits; -1: something else, or more than 9 of them. */
static int
read_digits(const char *text, size_t len)
{
	int number = 0;

	if (len == 0 || len > 9)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		number = number * 10 + (text[i] - '0');
	}
	return number;
}

static bool
read_retries(struct api_call *call, struct proxy_ask *out)
{
	const char *value;

	if (!read_one(call, "retries", &value))
		return false;
	out->retries = value != NULL ? read_digits(value, strlen(value)) : 0;
	if (out->retries >= 0)
		return true;
	api_fail_issue(call, "invalid_headers", "invalid_type", "retries",
		       "retries must be a whole number, 0 or more");
	return false;
}

static bool
read_codes(struct api_call *call, struct proxy_ask *out)
{
	const char *value;

	if (!read_one(call, "retry-on", &value))
		return false;
	while (value != NULL) {
		size_t len = strcspn(value, ",");
		int code = read_digits(value, len);

		if (code < 0 || out->retry_on_count == PROXY_CODES_MAX) {
			api_fail_issue(call, "invalid_headers", "invalid_format", "retry-on",
				       "retry-on must be statuses with commas between, as in "
				       "\"409,423\", %d of them at most",
				       PROXY_CODES_MAX);
			return false;
		}
		out->retry_on[out->retry_on_count++] = code;
		value = value[len] == ',' ? value + len + 1 : NULL;
	}
	return true;
}

static bool
read_base(struct api_call *call, struct proxy_ask *out)
{
	struct sl_error error;
	struct url url;

	if (!read_one(call, "base-url-override", &out->base_url))
		return false;
	if (out->base_url == NULL || url_split(slice_text(out->base_url), &url, &error) == SL_OK)
		return true;
	api_fail_issue(call, "invalid_headers", "invalid_format", "base-url-override",
		       "base-url-override must be an http or https URL: %s", error.text);
	return false;
}

/* Of the client's own headers only those that it has marked go out, and what its body is. */
static bool
read_headers(struct api_call *call, struct proxy_ask *out)
{
	int count = http_request_headers(call->request);
	bool has_type = false;

	for (int i = 0; i < count; i++) {
		const char *name, *value;

		http_request_header_at(call->request, i, &name, &value);
		if (strncasecmp(name, FORWARDED, strlen(FORWARDED)) != 0 ||
		    name[strlen(FORWARDED)] == '\0')
			continue;
		name += strlen(FORWARDED);
		if (out->header_count == PROXY_HEADERS_MAX - 1) {
			api_fail_issue(call, "invalid_headers", "too_big", "nango-proxy-*",
				       "at most %d headers can be passed on",
				       PROXY_HEADERS_MAX - 1);
			return false;
		}
		has_type = has_type || strcasecmp(name, "content-type") == 0;
		out->headers[out->header_count++] = (struct http_header){name, value};
	}
	if (!has_type && http_request_length(call->request) != 0 &&
	    http_request_header(call->request, "content-type") != NULL)
		out->headers[out->header_count++] = (struct http_header){
		    "content-type", http_request_header(call->request, "content-type")};
	return true;
}

/* Of no use here, but a wrong one is a mistake somewhere. */
static bool
check_others(struct api_call *call)
{
	const char *log_id;
	bool flag;

	if (!read_flag(call, "nango-is-sync", &flag) ||
	    !read_flag(call, "nango-is-dry-run", &flag) ||
	    !read_one(call, "nango-activity-log-id", &log_id))
		return false;
	if (log_id == NULL || strlen(log_id) <= 255)
		return true;
	api_fail_issue(call, "invalid_headers", "too_big", "nango-activity-log-id",
		       "nango-activity-log-id is longer than 255 bytes");
	return false;
}

bool
proxy_read(struct api_call *call, struct proxy_ask *out)
{
	struct slice path = http_request_path(call->request);
	struct slice query = http_request_query(call->request);

	if (!api_header(call, "provider-config-key", &out->integration) ||
	    !api_check_name(call, API_NAME_INTEGRATION, out->integration, "invalid_headers",
			    "provider-config-key") ||
	    !api_header(call, "connection-id", &out->connection) ||
	    !api_check_name(call, API_NAME_CONNECTION, out->connection, "invalid_headers",
			    "connection-id") ||
	    !read_retries(call, out) || !read_codes(call, out) || !read_base(call, out) ||
	    !read_flag(call, "decompress", &out->decompress) ||
	    !read_flag(call, "forward-headers-on-redirect", &out->forward_on_redirect) ||
	    !check_others(call) || !read_headers(call, out))
		return false;
	path.data += strlen("/proxy");
	path.len -= strlen("/proxy");
	if (url_is_absolute((struct slice){path.data + 1, path.len - 1})) {
		path.data++;
		path.len--;
	}
	out->endpoint = api_keep(call, sl_strndup(path.data, path.len));
	out->query = query.len > 0 ? api_keep(call, sl_strndup(query.data, query.len)) : NULL;
	return true;
}
