/* tests/fuzz/fuzz_http.c - what our request parser takes, llhttp must take in the same way.
 *
 * The input is the bytes of a connection.  Two properties are checked: the verdict on each request
 * is the same however the bytes are cut, and each request that is taken reads the same to llhttp
 * (Debian's node-llhttp, sources under /usr/share/llhttp): method, target, headers, body and the
 * offset where it ends.  The same bytes then go through a server that streams (http/stream.c): the
 * requests it hands over are of those, in order and with the same bodies, also when each is answered
 * before its body is read.  Build with clang -fsanitize=fuzzer,address,undefined. */
#include <llhttp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/loop.h"
#include "http/body.h"
#include "http/field.h"
#include "http/head.h"
#include "http/server_state.h"
#include "http/target.h"

enum { BODY_CAP = 1 << 20, REQUESTS_MAX = 8 };

/* One request as one of the parsers saw it. */
struct seen {
	int status;      /* 0: taken; -1: more bytes needed; else of the refusal */
	size_t end;      /* offset behind it, or where it was refused */
	struct buf text; /* "METHOD target\nname: value\n...\n" */
	struct buf body;
};

static void
must(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "fuzz_http: %s\n", what);
	abort();
}

static void
seen_init(struct seen *seen)
{
	*seen = (struct seen){.status = -1};
	buf_init(&seen->text, 1 << 20);
	buf_init(&seen->body, BODY_CAP);
}

static void
seen_fini(struct seen *seen)
{
	buf_fini(&seen->text);
	buf_fini(&seen->body);
}

/* xorshift: cuts must depend on the input only. */
static size_t
next_piece(uint64_t *state, size_t left)
{
	size_t piece;

	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	piece = 1 + (size_t)(*state >> 33) % ((*state & 1) ? 3 : 40);
	return *state == 0 || piece > left ? left : piece;
}

static void
describe(struct buf *text, const struct head *head)
{
	buf_printf(text, "%s %.*s\n", head->method, (int)head->target.len, head->target.data);
	for (int i = 0; i < head->field_count; i++)
		buf_printf(text, "%s: %s\n", head->fields[i].name, head->fields[i].value);
	buf_add_char(text, '\n');
}

/* Decoding must hold for whatever the head let through. */
static void
decode_all(const struct head *head)
{
	struct http_refusal refusal;
	struct target_pieces pieces;

	target_check_path(head->path, &refusal);
	target_segments(head->path, &pieces);
	target_pieces_fini(&pieces);
	target_pairs(head->query, &pieces);
	target_pieces_fini(&pieces);
}

/* Our parsers over bytes from `from`; state 0: not cut at all. */
static void
read_ours(const char *bytes, size_t len, size_t from, uint64_t state, struct seen *seen)
{
	struct http_refusal refusal = {0};
	struct head_gate gate;
	struct body_reader reader;
	struct head head;
	enum head_progress progress = HEAD_MORE;
	enum body_progress body = BODY_MORE;
	size_t have = 0, used;

	head_gate_init(&gate);
	while (progress == HEAD_MORE && from + have < len) {
		have += state == 0 ? len - from : next_piece(&state, len - from - have);
		progress = head_gate(&gate, bytes + from, have, &refusal);
	}
	seen->end = from + gate.seen;
	if (progress != HEAD_WHOLE) {
		seen->status = progress == HEAD_MORE ? -1 : refusal.status;
		return;
	}
	if (!head_parse(&head, bytes + from + gate.start, gate.seen - gate.start, &refusal) ||
	    !body_start(&reader, &head, BODY_CAP, &refusal)) {
		seen->status = refusal.status;
		head_fini(&head);
		return;
	}
	describe(&seen->text, &head);
	decode_all(&head);
	head_fini(&head);
	do {
		size_t left = len - seen->end;
		size_t piece = state == 0 || left == 0 ? left : next_piece(&state, left);

		body = body_read(&reader, bytes + seen->end, piece, &used, &seen->body, &refusal);
		seen->end += used;
	} while (body == BODY_MORE && seen->end < len);
	seen->status = body == BODY_WHOLE ? 0 : body == BODY_MORE ? -1 : refusal.status;
}

/* llhttp's view, gathered by its callbacks. */
struct other {
	llhttp_t parser;
	struct seen seen;
	struct buf field, value;
	bool complete;
};

static int
other_on_url(llhttp_t *parser, const char *at, size_t len)
{
	struct other *other = parser->data;

	if (other->seen.text.len == 0)
		buf_printf(&other->seen.text, "%s ",
			   llhttp_method_name((llhttp_method_t)parser->method));
	buf_add(&other->seen.text, at, len);
	return 0;
}

static int
other_on_url_complete(llhttp_t *parser)
{
	struct other *other = parser->data;

	buf_add_char(&other->seen.text, '\n');
	return 0;
}

static int
other_on_field(llhttp_t *parser, const char *at, size_t len)
{
	struct other *other = parser->data;

	buf_add(&other->field, at, len);
	return 0;
}

static int
other_on_value(llhttp_t *parser, const char *at, size_t len)
{
	struct other *other = parser->data;

	buf_add(&other->value, at, len);
	return 0;
}

static int
other_on_value_complete(llhttp_t *parser)
{
	struct other *other = parser->data;
	struct slice value = field_trim(buf_slice(&other->value));

	buf_add_slice(&other->seen.text, buf_slice(&other->field));
	buf_add_text(&other->seen.text, ": ");
	buf_add_slice(&other->seen.text, value);
	buf_add_char(&other->seen.text, '\n');
	buf_clear(&other->field);
	buf_clear(&other->value);
	return 0;
}

static int
other_on_headers_complete(llhttp_t *parser)
{
	struct other *other = parser->data;

	buf_add_char(&other->seen.text, '\n');
	return 0;
}

static int
other_on_body(llhttp_t *parser, const char *at, size_t len)
{
	struct other *other = parser->data;

	buf_add(&other->seen.body, at, len);
	return 0;
}

static int
other_on_message_complete(llhttp_t *parser)
{
	struct other *other = parser->data;

	must(!other->complete, "llhttp sees two requests where we see one");
	other->complete = true;
	return 0;
}

/* Feeds exactly the bytes we took, cut at random; the request must end with the last one. */
static void
read_other(struct other *other, const char *bytes, size_t len, uint64_t state)
{
	llhttp_settings_t settings;
	size_t at = 0;

	llhttp_settings_init(&settings);
	settings.on_url = other_on_url;
	settings.on_url_complete = other_on_url_complete;
	settings.on_header_field = other_on_field;
	settings.on_header_value = other_on_value;
	settings.on_header_value_complete = other_on_value_complete;
	settings.on_headers_complete = other_on_headers_complete;
	settings.on_body = other_on_body;
	settings.on_message_complete = other_on_message_complete;
	llhttp_init(&other->parser, HTTP_REQUEST, &settings);
	other->parser.data = other;
	while (at < len) {
		size_t piece = at == len - 1 ? 1 : next_piece(&state, len - 1 - at);
		llhttp_errno_t error;

		must(!other->complete, "llhttp sees the request end before we do");
		error = llhttp_execute(&other->parser, bytes + at, piece);
		if (error != HPE_OK && error != HPE_PAUSED_UPGRADE) {
			fprintf(stderr, "%s: %s\n", llhttp_errno_name(error),
				llhttp_get_error_reason(&other->parser));
			must(false, "llhttp refuses what we take");
		}
		at += piece;
	}
	must(other->complete, "llhttp does not see the request end");
}

static void
compare_with_llhttp(const char *bytes, size_t from, const struct seen *ours, uint64_t state)
{
	struct other other = {.complete = false};

	seen_init(&other.seen);
	buf_init(&other.field, 1 << 16);
	buf_init(&other.value, 1 << 16);
	read_other(&other, bytes + from, ours->end - from, state);
	if (!slice_equal(buf_slice(&ours->text), buf_slice(&other.seen.text)))
		fprintf(stderr, "ours:\n%s\nllhttp:\n%s\n", ours->text.data, other.seen.text.data);
	must(slice_equal(buf_slice(&ours->text), buf_slice(&other.seen.text)), "heads differ");
	must(slice_equal(buf_slice(&ours->body), buf_slice(&other.seen.body)), "bodies differ");
	buf_fini(&other.field);
	buf_fini(&other.value);
	seen_fini(&other.seen);
}

/* A server whose requests all are streams, and what it handed over. */
static struct streamed {
	struct loop *loop;
	struct http_server *server;
	bool early;              /* each is answered before its body is read */
	struct http_request *at; /* the one in work */
	bool begun;
	struct buf log;  /* of log_request() */
	struct buf body; /* of the one in work */
	char piece[100];
	size_t held;
} streamed;

/* "METHOD target body", the last one as a number, "-" when it did not come whole or was not read. */
static void
log_request(struct buf *log, struct slice head, const struct buf *body)
{
	uint64_t hash = 0xcbf29ce484222325u;

	buf_add_slice(log, head);
	if (body == NULL) {
		buf_add_text(log, " -\n");
		return;
	}
	for (size_t i = 0; i < body->len; i++)
		hash = (hash ^ (unsigned char)body->data[i]) * 0x100000001b3u;
	buf_printf(log, " %016llx %zu\n", (unsigned long long)hash, body->len);
}

static void
streamed_log(const struct http_request *request, const struct buf *body)
{
	struct buf head;

	buf_init(&head, SIZE_MAX / 2);
	buf_printf(&head, "%s %.*s", request->head.method, (int)request->head.target.len,
		   request->head.target.data);
	log_request(&streamed.log, buf_slice(&head), body);
	buf_fini(&head);
}

static void
streamed_end(bool whole)
{
	struct http_request *request = streamed.at;

	streamed_log(request, whole ? &streamed.body : NULL);
	buf_clear(&streamed.body);
	streamed.at = NULL;
	http_request_reply_end(request, whole);
}

static void
streamed_echo(void *arg)
{
	(void)arg;
	while (streamed.at != NULL) {
		int64_t n;

		if (streamed.held > 0 &&
		    !http_request_write(streamed.at, (struct slice){streamed.piece, streamed.held}))
			return;
		streamed.held = 0;
		n = http_request_read(streamed.at, streamed.piece, sizeof(streamed.piece));
		if (n == 0)
			return;
		if (n > 0 && !streamed.begun)
			http_request_reply_head(streamed.at, &(struct http_reply){.status = 200},
						-1);
		streamed.begun = streamed.begun || n > 0;
		if (n > 0) {
			buf_add(&streamed.body, streamed.piece, (size_t)n);
			streamed.held = (size_t)n;
			continue;
		}
		if (!streamed.begun)
			http_request_reply_head(streamed.at, &(struct http_reply){.status = 204},
						-1);
		streamed_end(n == HTTP_REQUEST_END);
	}
}

static void
streamed_on_head(void *arg, struct http_request *request, struct http_verdict *verdict)
{
	(void)arg;
	(void)request;
	verdict->stream = true;
	verdict->body_max = BODY_CAP;
}

static void
streamed_on_request(void *arg, struct http_request *request)
{
	static const struct http_request_events events = {streamed_echo, streamed_echo};

	(void)arg;
	must(streamed.at == NULL, "two requests of one connection are in work");
	if (streamed.early) {
		streamed_log(request, NULL);
		http_request_fail(request, 401, "no", "not even looked at");
		return;
	}
	streamed.at = request;
	streamed.begun = false;
	streamed.held = 0;
	http_request_listen(request, &events, NULL);
}

static void
streamed_on_gone(void *arg, struct http_request *request)
{
	(void)arg;
	must(request == streamed.at, "a request is gone that was not in work");
	must(http_request_read(request, streamed.piece, 1) == HTTP_REQUEST_BROKEN,
	     "a request that is gone can be read");
	if (!streamed.begun)
		http_request_reply_head(request, &(struct http_reply){.status = 200}, -1);
	streamed_end(false);
}

static void
streamed_start(bool early)
{
	static const struct http_handler handler = {streamed_on_head, streamed_on_request,
						    streamed_on_gone};
	const struct http_server_settings settings = {0};

	if (streamed.loop == NULL) {
		streamed.loop = loop_new();
		streamed.server = http_server_new(streamed.loop, &settings, &handler, NULL);
	}
	streamed.early = early;
	buf_init(&streamed.log, SIZE_MAX / 2);
	buf_init(&streamed.body, SIZE_MAX / 2);
}

/* The answers are read, and dropped, as they come. */
static void
streamed_turn(int fd)
{
	char bytes[4096];

	loop_turn(streamed.loop, 0);
	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		continue;
}

/* Are the lines of part lines of whole, in the same order?  The server answers some by itself. */
static bool
is_part_of(const struct buf *part, const struct buf *whole)
{
	const char *at = part->data, *from = whole->data;

	while (at != NULL && *at != '\0' && from != NULL && *from != '\0') {
		size_t len = (size_t)(strchr(at, '\n') + 1 - at);

		if (strncmp(at, from, len) == 0)
			at += len;
		from = strchr(from, '\n') + 1;
	}
	return at == NULL || *at == '\0';
}

/* log: what the parsers saw. */
static void
compare_with_streams(const char *bytes, size_t len, uint64_t state, bool early,
		     const struct buf *log)
{
	int ends[2];
	size_t at = 0;

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0, "no socket");
	streamed_start(early);
	conn_open(streamed.server, ends[0], "fuzz");
	while (at < len && http_server_connections(streamed.server) > 0) {
		size_t piece = next_piece(&state, len - at);
		ssize_t n = send(ends[1], bytes + at, piece, MSG_NOSIGNAL | MSG_DONTWAIT);

		at += n > 0 ? (size_t)n : 0;
		if (state % 3 != 0 || n <= 0)
			streamed_turn(ends[1]);
	}
	shutdown(ends[1], SHUT_WR);
	for (int i = 0; i < 10000 && http_server_connections(streamed.server) > 0; i++)
		streamed_turn(ends[1]);
	must(http_server_connections(streamed.server) == 0, "a connection does not end");
	must(streamed.at == NULL, "a request is left over");
	if (!is_part_of(&streamed.log, log))
		fprintf(stderr, "parsers:\n%s\nstreams:\n%s\n", log->data != NULL ? log->data : "",
			streamed.log.data);
	must(is_part_of(&streamed.log, log), "streams see other requests");
	close(ends[1]);
	loop_turn(streamed.loop, 0);
	buf_fini(&streamed.log);
	buf_fini(&streamed.body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	uint64_t state = 0x9e3779b97f4a7c15u;
	struct buf log, early_log;
	size_t from = 0;
	bool taken = true;

	buf_init(&log, SIZE_MAX / 2);
	buf_init(&early_log, SIZE_MAX / 2);
	for (size_t i = 0; i < size; i++)
		state = (state ^ data[i]) * 0x100000001b3u;
	state |= 1;
	for (int i = 0; taken && i < REQUESTS_MAX && from < size; i++) {
		struct seen whole, cut;

		seen_init(&whole);
		seen_init(&cut);
		read_ours(bytes, size, from, 0, &whole);
		read_ours(bytes, size, from, state, &cut);
		must(whole.status == cut.status && whole.end == cut.end,
		     "the verdict depends on the cuts");
		must(slice_equal(buf_slice(&whole.text), buf_slice(&cut.text)) &&
			 slice_equal(buf_slice(&whole.body), buf_slice(&cut.body)),
		     "the request depends on the cuts");
		taken = whole.status == 0;
		if (taken)
			compare_with_llhttp(bytes, from, &whole, state);
		from = whole.end;
		if (whole.text.len > 0) { /* its head was taken */
			struct slice head = {
			    whole.text.data,
			    (size_t)(strchr(whole.text.data, '\n') - whole.text.data)};

			log_request(&log, head, taken ? &whole.body : NULL);
			log_request(&early_log, head, NULL);
		}
		seen_fini(&whole);
		seen_fini(&cut);
	}
	if (from == size || !taken) { /* else there were more than REQUESTS_MAX */
		compare_with_streams(bytes, size, state, false, &log);
		compare_with_streams(bytes, size, state, true, &early_log);
	}
	buf_fini(&log);
	buf_fini(&early_log);
	return 0;
}
