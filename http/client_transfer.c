#include "http/client_state.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/secret.h"
#include "http/field.h"

static bool
is_allowed(const struct http_call *call, const struct sockaddr *address)
{
	char *host = NULL;
	bool allowed;

	if (curl_url_get(call->url, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		return false;
	allowed = guard_allows(call->client->guard, host, address);
	curl_free(host);
	return allowed;
}

/* The guard's place: the very address curl is about to connect to. */
static curl_socket_t
on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct http_call *call = arg;
	char host[INET6_ADDRSTRLEN] = "?";
	uint16_t port = 0;
	int fd;

	(void)purpose;
	if (call->address_refused) /* a name with one bad address is a bad name */
		return CURL_SOCKET_BAD;
	call->looked = true;
	if (address->family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, &address->addr, sizeof(in));
		inet_ntop(AF_INET, &in.sin_addr, host, sizeof(host));
		port = ntohs(in.sin_port);
	} else if (address->family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, &address->addr, sizeof(in6));
		inet_ntop(AF_INET6, &in6.sin6_addr, host, sizeof(host));
		port = ntohs(in6.sin6_port);
	}
	if (address->family == AF_UNIX && call->unix_path != NULL)
		snprintf(call->address, sizeof(call->address), "%s", call->unix_path);
	else
		snprintf(call->address, sizeof(call->address), "%s:%u", host, port);
	if (call->unix_path == NULL && !is_allowed(call, &address->addr)) {
		call->address_refused = true;
		return CURL_SOCKET_BAD;
	}
	if (call->looking)
		return CURL_SOCKET_BAD;
	fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	if (fd < 0)
		call->socket_errno = errno;
	return fd;
}

static size_t
on_body(char *bytes, size_t size, size_t count, void *arg)
{
	struct http_call *call = arg;
	size_t room = call->response_max - call->answer_body.len;

	if (call->streams_body)
		return stream_on_body(call, (struct slice){bytes, size * count});
	if (call->follows_on) {
		call->skipped += size * count;
		return call->skipped <= SKIP_MAX ? size * count : 0;
	}
	if (size * count <= room && buf_add(&call->answer_body, bytes, size * count))
		return size * count;
	call->cut = call->cuts;
	call->too_large = !call->cuts;
	if (call->cuts)
		(void)buf_add(&call->answer_body, bytes, room);
	return 0;
}

/* "HTTP/1.1 200 OK": a new head starts; what an interim answer (1xx) said is forgotten. */
static bool
take_status_line(struct http_call *call, struct slice line)
{
	const char *space = memchr(line.data, ' ', line.len);
	struct slice reason = {"", 0};

	buf_clear(&call->answer_head);
	call->field_count = 0;
	call->head_done = false;
	if (space != NULL && line.data + line.len - space > 5)
		reason = (struct slice){space + 5, (size_t)(line.data + line.len - space) - 5};
	free(call->reason);
	call->reason = sl_strndup(reason.data, reason.len);
	return field_is_value(reason);
}

/* Keeps "Name: value" with the name in lower case.  Headers with bytes that would let them become
 * two when they are passed on are not HTTP. */
static bool
take_field(struct http_call *call, struct slice line)
{
	const char *colon = memchr(line.data, ':', line.len);
	struct slice name, value;
	struct call_field field;

	if (colon == NULL)
		return false;
	name = (struct slice){line.data, (size_t)(colon - line.data)};
	value = field_trim((struct slice){colon + 1, line.len - name.len - 1});
	if (!field_is_token(name) || !field_is_value(value))
		return false;
	if (call->field_count == ANSWER_FIELDS_MAX) {
		call->head_too_large = true;
		return false;
	}
	field.name = call->answer_head.len;
	buf_add_slice(&call->answer_head, name);
	for (size_t i = field.name; i < call->answer_head.len; i++) {
		if (call->answer_head.data[i] >= 'A' && call->answer_head.data[i] <= 'Z')
			call->answer_head.data[i] += 'a' - 'A';
	}
	buf_add_char(&call->answer_head, '\0');
	field.value = call->answer_head.len;
	buf_add_slice(&call->answer_head, value);
	buf_add_char(&call->answer_head, '\0');
	call->fields[call->field_count++] = field;
	return true;
}

/* A line that goes on with the last value (RFC 9112 section 5.2: a client joins them by a blank).
 */
static bool
take_folded(struct http_call *call, struct slice more)
{
	call->answer_head.len--; /* the NUL */
	buf_add_char(&call->answer_head, ' ');
	buf_add_slice(&call->answer_head, more);
	buf_add_char(&call->answer_head, '\0');
	return field_is_value(more);
}

/* A head is whole. */
static bool
take_head(struct http_call *call)
{
	bool again = call->head_done; /* the end of a trailer */

	call->head_done = true;
	call->status = call_status(call);
	if (again || call->status == 0)
		return true;
	call->follows_on = call_is_redirect(call);
	if (call->paused_out && call->status >= 300) /* curl sends no more, but waits for us */
		call_wake(call);
	return call->follows_on || !call->streams || stream_on_head(call);
}

static bool
take_line(struct http_call *call, struct slice line)
{
	while (line.len > 0 && (line.data[line.len - 1] == '\n' || line.data[line.len - 1] == '\r'))
		line.len--;
	if (line.len >= 5 && memcmp(line.data, "HTTP/", 5) == 0)
		return take_status_line(call, line);
	if (line.len == 0)
		return take_head(call);
	if (call->head_done) /* a trailer: nothing here reads those */
		return true;
	if ((line.data[0] == ' ' || line.data[0] == '\t') && call->field_count > 0)
		return take_folded(call, field_trim(line));
	return take_field(call, line);
}

static size_t
on_header(char *bytes, size_t size, size_t count, void *arg)
{
	struct http_call *call = arg;

	call->head_seen += size * count;
	if (call->head_seen > ANSWER_HEAD_MAX) {
		call->head_too_large = true;
		return 0;
	}
	if (!take_line(call, (struct slice){bytes, size * count})) {
		call->bad_head = !call->cancelled && !call->bad_coding;
		return 0;
	}
	return size * count;
}

const char *
call_field_value(const struct http_call *call, const char *name)
{
	for (int i = 0; i < call->field_count; i++) {
		if (strcmp(call->answer_head.data + call->fields[i].name, name) == 0)
			return call->answer_head.data + call->fields[i].value;
	}
	return NULL;
}

/* Fields that say how a message is framed or where it goes: curl writes those itself. */
static bool
is_ours(const char *name)
{
	static const char *const ours[] = {
	    "connection",        "content-length",   "expect", "host",
	    "keep-alive",        "proxy-connection", "te",     "trailer",
	    "transfer-encoding", "upgrade",          NULL};

	for (int i = 0; ours[i] != NULL; i++) {
		if (strcasecmp(name, ours[i]) == 0)
			return true;
	}
	return false;
}

static void
add_line(struct http_call *call, const char *line)
{
	struct curl_slist *lines = curl_slist_append(call->lines, line);

	assert(lines != NULL); /* no memory: as in base/alloc.h */
	call->lines = lines;
}

static void
make_lines(struct http_call *call)
{
	bool has_type = false;

	for (int i = 0; i < call->header_count; i++) {
		const struct call_header *header = &call->headers[i];
		char *line;

		if (header->dropped || is_ours(header->name))
			continue;
		has_type = has_type || strcasecmp(header->name, "content-type") == 0;
		/* "Name;" is curl's way to write an empty value; "Name:" would leave it out. */
		line = header->value[0] == '\0'
			   ? sl_asprintf("%s;", header->name)
			   : sl_asprintf("%s: %s", header->name, header->value);
		add_line(call, line);
		secret_wipe(line, strlen(line));
		free(line);
	}
	add_line(call, "Expect:"); /* no waiting for 100 before a large body */
	if (!has_type)
		add_line(call, "Content-Type:"); /* none was asked for */
}

static void
set_method(struct http_call *call)
{
	bool wants_length = strcmp(call->method, "POST") == 0 || strcmp(call->method, "PUT") == 0 ||
			    strcmp(call->method, "PATCH") == 0;

	if (strcmp(call->method, "HEAD") == 0) {
		curl_easy_setopt(call->easy, CURLOPT_NOBODY, 1L);
		return;
	}
	if (call->source) {
		curl_easy_setopt(call->easy, CURLOPT_POST, 1L);
		curl_easy_setopt(call->easy, CURLOPT_READFUNCTION, stream_on_want);
		curl_easy_setopt(call->easy, CURLOPT_READDATA, call);
		curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)call->stream.length);
	} else if (call->has_body || wants_length) {
		curl_easy_setopt(call->easy, CURLOPT_POST, 1L);
		curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, buf_slice(&call->body).data);
		curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)call->body.len);
	} else {
		curl_easy_setopt(call->easy, CURLOPT_HTTPGET, 1L);
	}
	/* curl sends again, by itself, what got no answer on a connection it had kept.  RFC 9110
	 * section 9.2.2: not for a method that is not idempotent, whose first sending may have had
	 * its effect; nor for a body that is there only once. */
	if (call->source ||
	    (!call->repeatable &&
	     (strcmp(call->method, "POST") == 0 || strcmp(call->method, "PATCH") == 0)))
		curl_easy_setopt(call->easy, CURLOPT_FRESH_CONNECT, 1L);
	curl_easy_setopt(call->easy, CURLOPT_CUSTOMREQUEST, call->method);
}

/* The guard looks at connections when they are made: those from before it changed must go.  curl
 * counts their life in whole seconds. */
static void
set_connection_age(struct http_call *call)
{
	int64_t changed_ms = guard_changed_ms(call->client->guard);
	int64_t age_s = (clock_mono_ms() - changed_ms) / 1000;

	if (changed_ms == 0)
		return;
	if (age_s < 2)
		curl_easy_setopt(call->easy, CURLOPT_FRESH_CONNECT, 1L);
	else
		curl_easy_setopt(call->easy, CURLOPT_MAXLIFETIME_CONN, (long)age_s - 1);
}

static void
set_limits(struct http_call *call, int64_t left_ms)
{
	CURL *easy = call->easy;

	if (!call_has_clock(call))
		curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)left_ms);
	set_connection_age(call);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* also none from the environment */
	curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* never wait for a resolver that hangs */
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, call);
	if (call->unix_path != NULL)
		curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, call->unix_path);
}

static void
forget_answer(struct http_call *call)
{
	buf_clear(&call->answer_head);
	buf_clear(&call->answer_body);
	call->field_count = 0;
	call->head_seen = 0;
	call->head_done = false;
	call->cut = false;
	call->follows_on = false;
	call->skipped = 0;
	call->paused_in = call->paused_out = false;
	call->socket_errno = 0;
	call->status = 0;
	call->address[0] = '\0';
	call->curl_text[0] = '\0';
}

static void
set_decoding(struct http_call *call)
{
	if (!call->decompress)
		return;
	if (call->streams && call->stream.on_body != NULL) {
		curl_easy_setopt(call->easy, CURLOPT_ACCEPT_ENCODING, "gzip, deflate");
		curl_easy_setopt(call->easy, CURLOPT_BUFFERSIZE, (long)STREAM_PIECE);
	} else {
		curl_easy_setopt(call->easy, CURLOPT_ACCEPT_ENCODING, ""); /* all that curl knows */
	}
}

static bool
has_name(const struct http_call *call)
{
	struct in_addr in;
	char *host = NULL;
	bool name;

	if (call->unix_path != NULL ||
	    curl_url_get(call->url, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		return false;
	name = host[0] != '[' && inet_pton(AF_INET, host, &in) != 1;
	curl_free(host);
	return name;
}

static bool
start_round(struct http_call *call)
{
	int64_t left_ms = call->deadline_ms - clock_mono_ms();
	CURL *easy;

	forget_answer(call);
	if (left_ms <= 0) {
		call_finish(call, HTTP_TIMEOUT, "ECONNABORTED", "timeout of %lldms exceeded",
			    (long long)call->timeout_ms);
		return false;
	}
	easy = call->easy = curl_easy_init();
	assert(easy != NULL);
	set_limits(call, left_ms);
	set_method(call);
	make_lines(call);
	curl_easy_setopt(easy, CURLOPT_CURLU, call->url);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->lines);
	curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->curl_text);
	/* Not for a stream: this curl holds up the other streams of a connection while one is paused. */
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
			 call->streams ? (long)CURL_HTTP_VERSION_1_1
				       : (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	if (call->certificate.len > 0)
		curl_easy_setopt(easy, CURLOPT_SSLCERT_BLOB, &call->certificate);
	if (call->key.len > 0)
		curl_easy_setopt(easy, CURLOPT_SSLKEY_BLOB, &call->key);
	set_decoding(call);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
	if (curl_multi_add_handle(call->client->multi, easy) != CURLM_OK) {
		call_finish(call, HTTP_PROTOCOL, "ERR_INTERNAL", "the request could not start");
		return false;
	}
	return true;
}

/* A kept connection is not asked about its address again. */
static bool
may_name(const struct http_call *call)
{
	char *host = NULL;
	bool allowed;

	if (curl_url_get(call->url, CURLUPART_HOST, &host, 0) != CURLUE_OK)
		return false;
	allowed = guard_allows_host(call->client->guard, host);
	curl_free(host);
	return allowed;
}

bool
call_start_hop(struct http_call *call)
{
	call->looking = has_name(call);
	call->looked = false;
	if (call->unix_path == NULL && !may_name(call)) {
		call_finish(call, HTTP_REFUSED_URL, "ERR_ADDRESS_NOT_ALLOWED",
			    "the setting egress_deny refuses this host");
		return false;
	}
	call_start_clock(call);
	return start_round(call);
}

bool
call_start_round(struct http_call *call, CURLcode result)
{
	if (!call->looking || !call->looked || call->address_refused ||
	    result != CURLE_COULDNT_CONNECT)
		return false;
	call->looking = false;
	call_end_hop(call);
	start_round(call);
	return true;
}

void
call_end_hop(struct http_call *call)
{
	if (call->easy == NULL)
		return;
	curl_multi_remove_handle(call->client->multi, call->easy);
	curl_easy_cleanup(call->easy);
	call->easy = NULL;
	for (struct curl_slist *line = call->lines; line != NULL; line = line->next)
		secret_wipe(line->data, strlen(line->data));
	curl_slist_free_all(call->lines);
	call->lines = NULL;
}
