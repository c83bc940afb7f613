#include "http/head.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "http/field.h"
#include "http/target.h"

#define BAD_REQUEST(...) http_refusal_set(refusal, 400, "invalid_request", __VA_ARGS__)
#define BAD_HEADERS(...) http_refusal_set(refusal, 400, "invalid_headers", __VA_ARGS__)

void
head_gate_init(struct head_gate *gate)
{
	*gate = (struct head_gate){.state = GATE_LEAD};
}

/* A byte inside a line that is not its CR. */
static bool
gate_line_byte(unsigned char c, struct http_refusal *refusal)
{
	if (c == '\n')
		return BAD_REQUEST("a line ends in LF alone; lines must end in CRLF");
	if ((c < 0x20 && c != '\t') || c == 0x7F)
		return BAD_REQUEST("the head holds the control byte 0x%02x; remove it", c);
	return true;
}

static bool
gate_line_start(struct head_gate *gate, unsigned char c, struct http_refusal *refusal)
{
	if (c == ' ' || c == '\t')
		return BAD_REQUEST("a line starts with a blank; folded headers are not accepted");
	if (gate->lines > HEAD_FIELDS_MAX)
		return http_refusal_set(refusal, 431, "header_too_large",
					"the request has more than %d header lines",
					HEAD_FIELDS_MAX);
	gate->state = GATE_LINE;
	return gate_line_byte(c, refusal);
}

static bool
gate_lead(struct head_gate *gate, unsigned char c, struct http_refusal *refusal)
{
	if (c == ' ' || c == '\t')
		return BAD_REQUEST("the request line starts with a blank");
	gate->state = GATE_LINE;
	gate->start = gate->seen;
	return gate_line_byte(c, refusal);
}

static bool
gate_lead_end(struct head_gate *gate, unsigned char c, struct http_refusal *refusal)
{
	if (c != '\n')
		return BAD_REQUEST("CR without LF; lines must end in CRLF");
	if (++gate->empty_lines > HEAD_EMPTY_LINES_MAX)
		return BAD_REQUEST("more than %d empty lines before the request line",
				   HEAD_EMPTY_LINES_MAX);
	gate->state = GATE_LEAD;
	return true;
}

/* Takes the byte at gate->seen.  False: refused. */
static bool
gate_byte(struct head_gate *gate, unsigned char c, struct http_refusal *refusal)
{
	switch (gate->state) {
	case GATE_LEAD:
		if (c != '\r')
			return gate_lead(gate, c, refusal);
		gate->state = GATE_LEAD_CR;
		return true;
	case GATE_LEAD_CR:
		return gate_lead_end(gate, c, refusal);
	case GATE_LINE:
		if (c != '\r')
			return gate_line_byte(c, refusal);
		gate->state = GATE_LINE_CR;
		return true;
	case GATE_LINE_CR:
	case GATE_LAST_CR:
		if (c != '\n')
			return BAD_REQUEST("CR without LF; lines must end in CRLF");
		gate->lines++;
		gate->state = GATE_LINE_START;
		return true;
	case GATE_LINE_START:
		if (c != '\r')
			return gate_line_start(gate, c, refusal);
		gate->state = GATE_LAST_CR;
		return true;
	}
	return true;
}

/* The caps, looked at before the byte at gate->seen is taken. */
static bool
gate_caps(const struct head_gate *gate, unsigned char c, struct http_refusal *refusal)
{
	size_t len = gate->seen - gate->start;

	if (gate->lines == 0 && gate->state == GATE_LINE && c != '\r' && len >= HEAD_LINE_MAX)
		return http_refusal_set(refusal, 414, "uri_too_long",
					"the request line is longer than %d bytes", HEAD_LINE_MAX);
	if (gate->state != GATE_LEAD && gate->state != GATE_LEAD_CR && len >= HEAD_BYTES_MAX)
		return http_refusal_set(refusal, 431, "header_too_large",
					"request line and headers are larger than %d bytes",
					HEAD_BYTES_MAX);
	return true;
}

enum head_progress
head_gate(struct head_gate *gate, const char *bytes, size_t len, struct http_refusal *refusal)
{
	while (gate->seen < len) {
		unsigned char c = (unsigned char)bytes[gate->seen];
		bool last = gate->state == GATE_LAST_CR;

		if (!gate_caps(gate, c, refusal) || !gate_byte(gate, c, refusal))
			return HEAD_REFUSED;
		gate->seen++;
		if (last)
			return HEAD_WHOLE;
	}
	return HEAD_MORE;
}

static bool
method_is_known(struct slice method)
{
	static const char *const known[] = {"GET",   "HEAD",   "POST",    "PUT",
					    "PATCH", "DELETE", "OPTIONS", NULL};

	for (int i = 0; known[i] != NULL; i++) {
		if (slice_is(method, known[i])) /* case matters */
			return true;
	}
	return false;
}

static bool
parse_version(struct head *head, struct slice version, struct http_refusal *refusal)
{
	const char *v = version.data;

	if (version.len != 8 || memcmp(v, "HTTP/", 5) != 0 || v[5] < '0' || v[5] > '9' ||
	    v[6] != '.' || v[7] < '0' || v[7] > '9')
		return BAD_REQUEST("the request line must end in HTTP/1.1 or HTTP/1.0");
	if (v[5] != '1' || v[7] > '1')
		return http_refusal_set(refusal, 505, "version_not_supported",
					"only HTTP/1.1 and HTTP/1.0 are spoken here");
	head->minor = v[7] - '0';
	return true;
}

/* line: without its CRLF, inside head->bytes. */
static bool
parse_request_line(struct head *head, char *line, size_t len, struct http_refusal *refusal)
{
	char *first = memchr(line, ' ', len);
	char *second =
	    first != NULL ? memchr(first + 1, ' ', (size_t)(line + len - first - 1)) : NULL;
	struct slice method, version;

	if (second == NULL)
		return BAD_REQUEST("the request line must be: method, target, HTTP/1.1");
	method = (struct slice){line, (size_t)(first - line)};
	head->target = (struct slice){first + 1, (size_t)(second - first - 1)};
	version = (struct slice){second + 1, (size_t)(line + len - second - 1)};
	if (!field_is_token(method))
		return BAD_REQUEST("the method is not a token");
	if (memchr(version.data, ' ', version.len) != NULL)
		return BAD_REQUEST("the request line has more than two spaces");
	if (!parse_version(head, version, refusal))
		return false;
	if (!method_is_known(method))
		return http_refusal_set(refusal, 405, "method_not_allowed",
					"the method is not one of " HEAD_METHODS);
	*first = '\0'; /* ends the method; the target stays a slice */
	head->method = line;
	return true;
}

/* Cuts head->bytes into fields; the gate made sure of CRLF and of no folding. */
static bool
parse_fields(struct head *head, char *at, char *end, struct http_refusal *refusal)
{
	head->fields = sl_calloc(HEAD_FIELDS_MAX, sizeof(*head->fields));
	while (at < end) {
		char *line_end = memchr(at, '\r', (size_t)(end - at));
		char *colon;
		struct slice value;

		if (line_end == NULL || line_end == at)
			break; /* the empty line */
		colon = memchr(at, ':', (size_t)(line_end - at));
		if (colon == NULL)
			return BAD_HEADERS("a header line has no colon");
		if (!field_is_token((struct slice){at, (size_t)(colon - at)}))
			return BAD_HEADERS("a header name is empty or not a token; no blank may "
					   "stand before the colon");
		value = field_trim((struct slice){colon + 1, (size_t)(line_end - colon - 1)});
		head->fields[head->field_count++] = (struct head_field){
		    at, value.data, memchr(colon, '\t', (size_t)(line_end - colon)) != NULL};
		*colon = '\0';
		at[(size_t)(value.data - at) + value.len] = '\0';
		at = line_end + 2;
	}
	return true;
}

static bool
parse_length(struct head *head, const char *value, struct http_refusal *refusal)
{
	size_t len = strlen(value);
	int64_t length = 0;

	if (len == 0 || strspn(value, "0123456789") != len)
		return BAD_HEADERS("Content-Length must be digits only");
	if (len > 18)
		return http_refusal_set(refusal, 413, "payload_too_large",
					"Content-Length has more than 18 digits");
	for (size_t i = 0; i < len; i++)
		length = length * 10 + (value[i] - '0');
	head->length = length;
	if (length > 0)
		head->body = HEAD_BODY_LENGTH;
	return true;
}

/* The field that may stand once at most; *field is NULL when it is absent. */
static bool
only_field(const struct head *head, const char *name, const struct head_field **field,
	   struct http_refusal *refusal)
{
	*field = NULL;
	for (int i = 0; i < head->field_count; i++) {
		if (strcasecmp(head->fields[i].name, name) != 0)
			continue;
		if (*field != NULL)
			return BAD_HEADERS("the header %s stands twice; send it once", name);
		*field = &head->fields[i];
	}
	return true;
}

static bool
only_value(const struct head *head, const char *name, const char **value,
	   struct http_refusal *refusal)
{
	const struct head_field *field;
	bool good = only_field(head, name, &field, refusal);

	*value = field != NULL ? field->value : NULL;
	return good;
}

/* Of the two fields that frame a body.  A tab is a legal blank there, which parsers in use
 * (llhttp) do not take for one: such a field could be read in two ways. */
static bool
framing_value(const struct head *head, const char *name, const char **value,
	      struct http_refusal *refusal)
{
	const struct head_field *field;

	*value = NULL;
	if (!only_field(head, name, &field, refusal))
		return false;
	if (field != NULL && field->tabbed)
		return BAD_HEADERS("the header %s holds a tab; write a space", name);
	*value = field != NULL ? field->value : NULL;
	return true;
}

/* RFC 9112 section 6.  Two ways to tell where a body ends are an attack or a bug. */
static bool
judge_framing(struct head *head, struct http_refusal *refusal)
{
	const char *length, *coding;

	if (!framing_value(head, "Content-Length", &length, refusal) ||
	    !framing_value(head, "Transfer-Encoding", &coding, refusal))
		return false;
	if (length != NULL && coding != NULL)
		return BAD_HEADERS("Content-Length and Transfer-Encoding stand in one request");
	if (length != NULL && !parse_length(head, length, refusal))
		return false;
	if (coding != NULL) {
		if (head->minor == 0)
			return BAD_HEADERS("Transfer-Encoding in an HTTP/1.0 request");
		if (strcasecmp(coding, "chunked") != 0)
			return http_refusal_set(refusal, 501, "not_implemented",
						"the only Transfer-Encoding taken is chunked");
		head->body = HEAD_BODY_CHUNKED;
	}
	if (head->body != HEAD_BODY_NONE &&
	    (strcmp(head->method, "GET") == 0 || strcmp(head->method, "HEAD") == 0))
		return BAD_REQUEST("a %s request may not have a body", head->method);
	return true;
}

static bool
judge_host(struct head *head, struct http_refusal *refusal)
{
	const char *host;

	if (!only_value(head, "Host", &host, refusal))
		return false;
	if (host == NULL && head->minor == 1)
		return BAD_HEADERS("the header Host is missing");
	if (host != NULL && !target_is_host(slice_text(host)))
		return BAD_HEADERS("the header Host is not a host name with an optional port");
	return target_split(head->target, host, &head->path, &head->query, refusal);
}

static bool
judge_rest(struct head *head, struct http_refusal *refusal)
{
	const char *expect, *encoding;
	bool close = false, keep = false;

	if (!only_value(head, "Expect", &expect, refusal) ||
	    !only_value(head, "Content-Encoding", &encoding, refusal))
		return false;
	if (expect != NULL && strcasecmp(expect, "100-continue") != 0)
		return http_refusal_set(refusal, 417, "expectation_failed",
					"the only Expect taken is 100-continue");
	/* RFC 9110 section 10.1.1: in HTTP/1.0 the expectation is ignored. */
	head->expects_continue = expect != NULL && head->minor == 1;
	head->encoded =
	    encoding != NULL && encoding[0] != '\0' && strcasecmp(encoding, "identity") != 0;
	for (int i = 0; i < head->field_count; i++) {
		struct slice value = slice_text(head->fields[i].value);

		if (strcasecmp(head->fields[i].name, "Connection") != 0)
			continue;
		close = close || field_lists(value, "close");
		keep = keep || field_lists(value, "keep-alive");
	}
	head->keep_alive = !close && (head->minor == 1 || keep);
	return true;
}

bool
head_parse(struct head *head, const char *bytes, size_t len, struct http_refusal *refusal)
{
	char *line_end;

	*head = (struct head){.bytes = sl_memdup(bytes, len)};
	line_end = memchr(head->bytes, '\r', len);
	if (line_end == NULL)
		return BAD_REQUEST("the request line does not end");
	return parse_request_line(head, head->bytes, (size_t)(line_end - head->bytes), refusal) &&
	       parse_fields(head, line_end + 2, head->bytes + len, refusal) &&
	       judge_framing(head, refusal) && judge_host(head, refusal) &&
	       judge_rest(head, refusal);
}

void
head_fini(struct head *head)
{
	free(head->bytes);
	free(head->fields);
	*head = (struct head){0};
}
