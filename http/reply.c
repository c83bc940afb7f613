#include "http/server_state.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/metrics.h"
#include "http/field.h"

static const struct {
	int status;
	const char *reason;
} reasons[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

/* The phrase may be empty (RFC 9112 section 4). */
static const char *
reason_of(int status)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (reasons[i].status == status)
			return reasons[i].reason;
	}
	return "";
}

/* IMF-fixdate (RFC 9110 section 5.6.7), made once a second; not strftime, whose words follow the
 * locale. */
static const char *
date_now(struct http_server *server)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int64_t now_s = clock_wall_ms() / 1000;
	time_t now = (time_t)now_s;
	struct tm tm;
	struct buf text;

	if (server->date_s == now_s && server->date[0] != '\0')
		return server->date;
	if (gmtime_r(&now, &tm) == NULL)
		return server->date;
	buf_init(&text, HTTP_DATE_SIZE - 1);
	if (buf_printf(&text, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday,
		       tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
		       tm.tm_sec)) {
		memcpy(server->date, text.data, text.len + 1);
		server->date_s = now_s;
	}
	buf_fini(&text);
	return server->date;
}

/* Fields that say how an answer is framed, which is decided here. */
static bool
is_framing_field(struct slice name)
{
	static const char *const names[] = {"connection", "content-length", "transfer-encoding",
					    "keep-alive", "trailer",        "upgrade",
					    "date",       "content-type",   NULL};

	for (int i = 0; names[i] != NULL; i++) {
		if (field_equal(name, names[i]))
			return true;
	}
	return false;
}

/* Appends the caller's lines but those of framing.  A line that is none would let a value write
 * headers or a second answer: that is a bug of the caller's. */
static void
add_lines(struct buf *out, const char *lines)
{
	while (lines != NULL && *lines != '\0') {
		const char *end = strstr(lines, "\r\n");
		const char *colon = end != NULL ? memchr(lines, ':', (size_t)(end - lines)) : NULL;
		struct slice name, value;

		assert(colon != NULL);
		name = (struct slice){lines, (size_t)(colon - lines)};
		value = (struct slice){colon + 1, (size_t)(end - colon - 1)};
		assert(field_is_token(name) && field_is_value(value));
		if (!is_framing_field(name))
			buf_add(out, lines, (size_t)(end - lines) + 2);
		lines = end + 2;
	}
}

void
reply_write(struct http_server *server, struct buf *out, const struct reply_form *form,
	    const struct http_reply *reply)
{
	const char *type = reply->content_type;
	bool empty = reply->status == 204 || reply->status == 304;

	assert(reply->status >= 200 && reply->status <= 599);
	metrics_count(METRIC_HTTP_REQUESTS, reply->status / 100 - 1);
	if (type == NULL)
		type = "application/json; charset=utf-8";
	assert(field_is_value(slice_text(type)));
	buf_printf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\n", reply->status, reason_of(reply->status),
		   date_now(server));
	if (!empty && type[0] != '\0')
		buf_printf(out, "Content-Type: %s\r\n", type);
	if (!empty && form->stream && form->length >= 0)
		buf_printf(out, "Content-Length: %" PRId64 "\r\n", form->length);
	else if (!empty && form->stream && form->minor > 0)
		buf_add_text(out, "Transfer-Encoding: chunked\r\n");
	else if (!empty && !form->stream)
		buf_printf(out, "Content-Length: %zu\r\n", reply->body.len);
	if (form->close)
		buf_add_text(out, "Connection: close\r\n");
	else if (form->minor == 0)
		buf_add_text(out, "Connection: keep-alive\r\n");
	add_lines(out, reply->extra_headers);
	buf_add_text(out, "\r\n");
	if (!empty && !form->no_body && !form->stream)
		buf_add_slice(out, reply->body);
}

void
reply_error_body(struct buf *out, const char *code, const char *text)
{
	struct json_writer w;

	jw_init(&w, out);
	jw_object(&w);
	jw_key(&w, "error");
	jw_object(&w);
	jw_member_text(&w, "code", code);
	jw_member_text(&w, "message", text);
	jw_object_end(&w);
	jw_object_end(&w);
}
