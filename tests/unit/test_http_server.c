#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/server.h"
#include "tests/lib/check.h"

/* One process, one loop: the server and its clients, whose sockets are read between turns. */

#define END "Host: a\r\n\r\n"
#define GET "GET /echo HTTP/1.1\r\n" END

enum { BIG = 8 * 1024 * 1024, PATIENCE_MS = 5000 };

static struct rig {
	struct loop *loop;
	struct http_server *server;
	struct http_request *waiting[2000]; /* of /later */
	int waiting_count;
	int gone_count;
	int asked; /* on_request calls */
	char *big;
} rig;

struct client {
	int fd;
	struct buf got;
	bool eof, reset;
};

static void
reply_text(struct http_request *request, const char *text, size_t len)
{
	struct http_reply reply = {
	    .status = 200, .content_type = "text/plain", .body = {text, len}};

	http_request_reply(request, &reply);
}

/* "METHOD path body" */
static void
echo(struct http_request *request)
{
	struct buf text;

	buf_init(&text, SIZE_MAX / 2);
	buf_add_text(&text, http_request_method(request));
	buf_add_char(&text, ' ');
	buf_add_slice(&text, http_request_path(request));
	buf_add_char(&text, ' ');
	buf_add_slice(&text, http_request_body(request));
	reply_text(request, text.data, text.len);
	buf_fini(&text);
}

static void
on_head(void *arg, struct http_request *request, struct http_verdict *verdict)
{
	struct slice path = http_request_path(request);

	(void)arg;
	if (slice_is(path, "/small")) {
		verdict->body_max = 10;
	} else if (slice_is(path, "/huge")) {
		verdict->body_max = 75 * 1000 * 1000;
	} else if (slice_is(path, "/deny")) {
		verdict->status = 401;
		verdict->error_code = "unknown_key";
		verdict->error_text = "no such key";
		verdict->extra_headers = "WWW-Authenticate: Bearer\r\n";
	}
}

static void
on_request(void *arg, struct http_request *request)
{
	struct slice path = http_request_path(request);

	(void)arg;
	rig.asked++;
	if (slice_is(path, "/later")) {
		http_request_set_data(request, (void *)(intptr_t)rig.waiting_count);
		rig.waiting[rig.waiting_count++] = request;
	} else if (slice_is(path, "/big")) {
		reply_text(request, rig.big, BIG);
	} else if (slice_is(path, "/fail")) {
		http_request_fail(request, 500, "server_error", "it said \"no\"");
	} else if (slice_is(path, "/empty")) {
		http_request_reply(
		    request,
		    &(struct http_reply){.status = 204,
					 .extra_headers = "X-A: b\r\nContent-Length: 7\r\n"});
	} else {
		echo(request);
	}
}

static void
on_gone(void *arg, struct http_request *request)
{
	(void)arg;
	rig.gone_count++;
	check(http_request_is_gone(request));
	rig.waiting[(intptr_t)http_request_data(request)] = NULL;
	http_request_fail(request, 500, "gone", "nobody reads this");
}

static void
rig_start(const struct http_server_settings *settings)
{
	static const struct http_handler handler = {on_head, on_request, on_gone};
	struct sl_error error;

	rig = (struct rig){.loop = loop_new(), .big = sl_alloc(BIG)};
	memset(rig.big, 'x', BIG);
	rig.server = http_server_new(rig.loop, settings, &handler, NULL);
	check_int(http_server_listen(rig.server, "127.0.0.1:0", &error), ==, SL_OK);
	check_int(http_server_port(rig.server), >, 0);
}

static void
rig_start_quick(void)
{
	rig_start(&(struct http_server_settings){
	    .head_ms = 300, .body_gap_ms = 300, .flush_ms = 300, .idle_ms = 400});
}

static void
rig_stop(void)
{
	http_server_free(rig.server);
	loop_turn(rig.loop, 0);
	loop_free(rig.loop);
	free(rig.big);
	for (int i = 0; i < rig.waiting_count; i++)
		check(rig.waiting[i] == NULL); /* all replied to or gone */
}

static void
turn_for(int64_t ms)
{
	int64_t end = clock_mono_ms() + ms;

	while (clock_mono_ms() < end)
		loop_turn(rig.loop, 5);
}

#define WAIT_UNTIL(condition)                                      \
	do {                                                       \
		int64_t wait_end = clock_mono_ms() + PATIENCE_MS;  \
		while (!(condition) && clock_mono_ms() < wait_end) \
			loop_turn(rig.loop, 5);                    \
		check(condition);                                  \
	} while (0)

static void
client_open_with(struct client *client, int receive_buffer)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)http_server_port(rig.server)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	*client = (struct client){.fd = socket(AF_INET, SOCK_STREAM, 0)};
	buf_init(&client->got, SIZE_MAX / 2);
	if (receive_buffer > 0)
		setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(int));
	check_int(connect(client->fd, (struct sockaddr *)&to, sizeof(to)), ==, 0);
	fcntl(client->fd, F_SETFL, O_NONBLOCK);
}

static void
client_open(struct client *client)
{
	client_open_with(client, 0);
}

static void
client_close(struct client *client)
{
	close(client->fd);
	buf_fini(&client->got);
}

static void
client_abort(struct client *client)
{
	struct linger linger = {1, 0};

	setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	client_close(client);
}

/* Takes what has come; false when nothing did. */
static bool
client_read(struct client *client)
{
	static char bytes[65536];
	ssize_t n;

	if (client->eof || client->reset)
		return false;
	n = read(client->fd, bytes, sizeof(bytes));
	if (n > 0)
		buf_add(&client->got, bytes, (size_t)n);
	else if (n == 0)
		client->eof = true;
	else if (errno == ECONNRESET)
		client->reset = true;
	else
		return false;
	return true;
}

static bool
client_is_closed(struct client *client)
{
	while (client_read(client))
		;
	return client->eof || client->reset;
}

/* Sends all, letting the server run when the socket is full.  False: the server closed. */
static bool
client_send(struct client *client, const char *bytes, size_t len)
{
	int64_t end = clock_mono_ms() + PATIENCE_MS;

	while (len > 0 && clock_mono_ms() < end) {
		ssize_t n = send(client->fd, bytes, len, MSG_NOSIGNAL);

		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		} else if (errno != EAGAIN) {
			return false;
		}
		if (len > 0)
			loop_turn(rig.loop, 1);
	}
	return len == 0;
}

static bool
client_say(struct client *client, const char *text)
{
	return client_send(client, text, strlen(text));
}

/* The statuses of the answers so far: "200 400", read as a client would by Content-Length.
 * heads: one character per answer, 'H' where a HEAD was asked. */
static const char *
statuses(struct client *client, const char *heads)
{
	static char out[512];
	char *at;
	size_t len = 0;

	while (client_read(client))
		;
	out[0] = '\0';
	at = client->got.data;
	for (int i = 0; at != NULL && at < client->got.data + client->got.len; i++) {
		char *end = strstr(at, "\r\n\r\n"), *length = strstr(at, "Content-Length: ");
		long body = 0;

		if (end == NULL || strncmp(at, "HTTP/1.1 ", 9) != 0 || len + 8 > sizeof(out))
			return "broken";
		if (length != NULL && length < end)
			body = strtol(length + 16, NULL, 10);
		if (strlen(heads) > (size_t)i && heads[i] == 'H')
			body = 0;
		if (end + 4 + body > client->got.data + client->got.len)
			break; /* not complete yet */
		len += (size_t)snprintf(out + len, sizeof(out) - len, "%s%.3s", len > 0 ? " " : "",
					at + 9);
		at = end + 4 + body;
	}
	return out;
}

#define WAIT_STATUSES(client, want)                                                           \
	do {                                                                                  \
		int64_t wait_end = clock_mono_ms() + PATIENCE_MS;                             \
		while (strcmp(statuses(client, ""), want) != 0 && clock_mono_ms() < wait_end) \
			loop_turn(rig.loop, 5);                                               \
		check_text(statuses(client, ""), want);                                       \
	} while (0)

/* A row of table A: bytes in, statuses out, and whether the connection ends. */
struct row {
	const char *name, *bytes, *want, *heads;
	bool closes;
};

#define CHUNKED "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END
#define WITH(headers) "POST /echo HTTP/1.1\r\n" headers END
#define TARGET(target) "GET " target " HTTP/1.1\r\n" END

static const struct row rows[] = {
    /* valid requests */
    {"get", GET, "200", "", false},
    {"empty lines first", "\r\n\r\n" GET, "200", "", false},
    {"post", WITH("Content-Length: 3\r\n") "abc", "200", "", false},
    {"post, nothing", WITH("Content-Length: 0\r\n"), "200", "", false},
    {"chunks", CHUNKED "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n", "200", "", false},
    {"two", GET GET, "200 200", "", false},
    {"chunks then get", CHUNKED "3\r\nabc\r\n0\r\n\r\n" GET, "200 200", "", false},
    {"1.0", "GET /echo HTTP/1.0\r\n\r\n", "200", "", true},
    {"1.0 kept", "GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "200", "", false},
    {"close", "GET /echo HTTP/1.1\r\nConnection: close\r\n" END, "200", "", true},
    {"close, more", "GET /echo HTTP/1.1\r\nConnection: close\r\n" END GET, "200", "", true},
    {"delete with body", "DELETE /echo HTTP/1.1\r\nContent-Length: 2\r\n" END "ab", "200", "",
     false},
    {"get, length 0", "GET /echo HTTP/1.1\r\nContent-Length: 0\r\n" END, "200", "", false},
    {"options", "OPTIONS /echo HTTP/1.1\r\n" END, "200", "", false},
    {"absolute", TARGET("http://a/echo"), "200", "", false},
    {"escapes", TARGET("/echo/%2f%5c%C3%A4"), "200", "", false},
    {"identity", WITH("Content-Encoding: identity\r\nContent-Length: 1\r\n") "a", "200", "", false},
    /* 1, 2: bytes and syntax */
    {"control", "GET / HTTP/1.1\r\nX: \001\r\n" END, "400", "", true},
    {"del", "GET / HTTP/1.1\r\nX: \x7f\r\n" END, "400", "", true},
    {"no name", "GET / HTTP/1.1\r\n: x\r\n" END, "400", "", true},
    {"blank colon", "GET / HTTP/1.1\r\nX : x\r\n" END GET, "400", "", true},
    {"folded", "GET / HTTP/1.1\r\nX: a\r\n b\r\n" END GET, "400", "", true},
    {"bare lf", "GET / HTTP/1.1\nHost: a\n\n" GET, "400", "", true},
    {"bare cr", "GET / HTTP/1.1\rHost: a\r\n\r\n" GET, "400", "", true},
    {"0.9", "GET /\r\n\r\n", "400", "", true},
    {"version", "GET / HTTP/3.0\r\n" END, "505", "", true},
    {"tls", "\x16\x03\x01\x02", "400", "", true},
    {"garbage", "\r\nx\r\n\r\n", "400", "", true},
    /* 3, 4: framing */
    {"te and cl", WITH("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n") "0\r\n\r\n" GET,
     "400", "", true},
    {"te xchunked", WITH("Transfer-Encoding: xchunked\r\n") "0\r\n\r\n" GET, "501", "", true},
    {"te empty", WITH("Transfer-Encoding:\r\n") "0\r\n\r\n" GET, "501", "", true},
    {"te list", WITH("Transfer-Encoding: gzip, chunked\r\n") "0\r\n\r\n", "501", "", true},
    {"two cl", WITH("Content-Length: 1\r\nContent-Length: 1\r\n") "a" GET, "400", "", true},
    {"cl +3", WITH("Content-Length: +3\r\n") "abc" GET, "400", "", true},
    {"cl -1", WITH("Content-Length: -1\r\n") GET, "400", "", true},
    {"cl 0x3", WITH("Content-Length: 0x3\r\n") "abc", "400", "", true},
    {"cl 20 digits", WITH("Content-Length: 99999999999999999999\r\n"), "413", "", true},
    /* 5: chunks */
    {"chunk 0x3", CHUNKED "0x3\r\nabc\r\n0\r\n\r\n" GET, "400", "", true},
    {"chunk -1", CHUNKED "-1\r\n", "400", "", true},
    {"chunk huge", CHUNKED "fffffffffffffff\r\n", "413", "", true},
    {"chunk ext", CHUNKED "3;a\r\nabc\r\n0\r\n\r\n" GET, "400", "", true},
    {"chunk lf", CHUNKED "3\nabc\n0\n\n", "400", "", true},
    {"chunk long", CHUNKED "3\r\nabcd\r\n0\r\n\r\n", "400", "", true},
    {"trailer", CHUNKED "0\r\nX: y\r\n\r\n" GET, "400", "", true},
    /* 6: host */
    {"no host", "GET / HTTP/1.1\r\n\r\n", "400", "", true},
    {"two hosts", "GET / HTTP/1.1\r\nHost: b\r\n" END, "400", "", true},
    {"other host", TARGET("http://b/"), "400", "", true},
    /* 9: size */
    {"413 by length", "POST /small HTTP/1.1\r\nContent-Length: 11\r\n" END "01234567890" GET, "413",
     "", true},
    {"413 by chunks",
     "POST /small HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END
     "6\r\n012345\r\n5\r\n67890\r\n0\r\n\r\n" GET,
     "413", "", true},
    {"just fits", "POST /small HTTP/1.1\r\nContent-Length: 10\r\n" END "0123456789" GET, "200 200",
     "", false},
    /* 11: paths */
    {"%00", TARGET("/a%00"), "400", "", true},
    {"%zz", TARGET("/a%zz"), "400", "", true},
    {"%ff", TARGET("/%ff"), "400", "", false},
    {"dots", TARGET("/../a") GET, "404 200", "", false},
    {"encoded dots", TARGET("/%2e%2e/a") GET, "404 200", "", false},
    {"//", TARGET("//a") GET, "404 200", "", false},
    {"proxy raw", TARGET("/proxy//a/../%2e%2e/b%2Fc"), "200", "", false},
    {"declared", TARGET("/v1//a") GET, "200 200", "", false},
    {"proxyish", TARGET("/proxyx//a"), "404", "", false},
    /* 12: methods */
    {"brew", "BREW / HTTP/1.1\r\nHost: a\r\nContent-Length: 38\r\n\r\n" GET, "405", "", true},
    {"connect", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n" GET, "405", "", true},
    {"get with body", "GET /echo HTTP/1.1\r\nContent-Length: 5\r\n" END "hello", "400", "", true},
    {"get with chunks", "GET /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END "0\r\n\r\n",
     "400", "", true},
    {"head", "HEAD /echo HTTP/1.1\r\n" END, "200", "H", false},
    {"head then get", "HEAD /echo HTTP/1.1\r\n" END GET, "200 200", "H", false},
    {"head, error", "HEAD /fail HTTP/1.1\r\n" END, "500", "H", false},
    {"head, refused", "HEAD / HTTP/1.1\r\nHost: b\r\n" END, "400", "H", true},
    {"head, control", "HEAD / HTTP/1.1\r\nX: \001\r\n" END, "400", "H", true},
    {"head, deny", "HEAD /deny HTTP/1.1\r\n" END, "401", "H", false},
    {"expect x", WITH("Expect: x\r\nContent-Length: 1\r\n") "a", "417", "", true},
    {"expect, body there", WITH("Expect: 100-continue\r\n") GET, "200 200", "", false},
    /* 13: codings */
    {"gzip", WITH("Content-Encoding: gzip\r\nContent-Length: 3\r\n") "abc" GET, "415 200", "",
     false},
    /* 14: pipelines */
    {"second broken", GET "GET / HTTP/1.1\r\nHost : a\r\n\r\n" GET, "200 400", "", true},
    {"second cut off", GET "GET /\001", "200 400", "", true},
    {"third",
     GET WITH("Content-Length: 1\r\n") "a"
				       "BREW / HTTP/1.1\r\n" END GET,
     "200 200 405", "", true},
    /* verdicts of the layer above */
    {"denied", "POST /deny HTTP/1.1\r\nContent-Length: 3\r\n" END "abc" GET, "401 200", "", false},
    {"denied, chunks",
     "POST /deny HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END "3\r\nabc\r\n0\r\n\r\n" GET,
     "401 200", "", false},
    {"denied, bad chunks", "POST /deny HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END "x" GET,
     "401", "", true},
    {"denied, expect", "POST /deny HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n" END,
     "401", "", true},
    {"denied, large", "POST /deny HTTP/1.1\r\nContent-Length: 70000\r\n" END, "401", "", true},
    {"no content", TARGET("/empty") GET, "204 200", "", false},
};

/* cuts: how many pieces at most; 0: byte by byte. */
static void
run_row(const struct row *row, unsigned cuts, unsigned *seed)
{
	struct client client;
	size_t len = strlen(row->bytes), at = 0;
	int64_t end;

	client_open(&client);
	while (at < len) {
		size_t piece = cuts == 0 ? 1 : 1 + (size_t)rand_r(seed) % (len / cuts + 1);

		if (cuts == 1 || piece > len - at)
			piece = len - at;
		if (!client_send(&client, row->bytes + at, piece))
			break; /* closed: the answer was given before all was sent */
		at += piece;
		loop_turn(rig.loop, 0);
		loop_turn(rig.loop, 0);
	}
	end = clock_mono_ms() + PATIENCE_MS;
	while (clock_mono_ms() < end && (strcmp(statuses(&client, row->heads), row->want) != 0 ||
					 (row->closes && !client_is_closed(&client))))
		loop_turn(rig.loop, 2);
	loop_turn(rig.loop, 0);
	loop_turn(rig.loop, 0);
	if (strcmp(statuses(&client, row->heads), row->want) != 0 ||
	    client_is_closed(&client) != row->closes || client.reset)
		printf("# row \"%s\", %u cuts: closed %d, reset %d, got %s\n", row->name, cuts,
		       client.eof, client.reset, client.got.data ? client.got.data : "nothing");
	check_text(statuses(&client, row->heads), row->want);
	check_int(client_is_closed(&client), ==, row->closes);
	check(!client.reset);
	client_close(&client);
}

static void
rows_of_bad_and_good_bytes_get_their_answers_however_they_are_cut(void)
{
	unsigned seed = 20241122;

	printf("# seed %u\n", seed);
	rig_start(&(struct http_server_settings){0});
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		run_row(&rows[i], 1, &seed);
		run_row(&rows[i], 0, &seed);
		for (unsigned cuts = 2; cuts < 8; cuts++)
			run_row(&rows[i], cuts, &seed);
	}
	WAIT_UNTIL(http_server_connections(rig.server) == 0);
	check(http_server_is_idle(rig.server));
	rig_stop();
}

/* text, then count times filler, then end */
static void
say_filled(struct client *client, const char *text, const char *filler, int count, const char *end)
{
	struct buf bytes;

	buf_init(&bytes, SIZE_MAX / 2);
	buf_add_text(&bytes, text);
	for (int i = 0; i < count; i++)
		buf_add_text(&bytes, filler);
	buf_add_text(&bytes, end);
	client_send(client, bytes.data, bytes.len);
	buf_fini(&bytes);
}

static void
oversized_heads_are_refused_readably(void)
{
	static const struct {
		const char *text, *filler;
		int count;
		const char *end, *want;
	} cases[] = {
	    {"GET / HTTP/1.1\r\nX: ", "0123456789", 10000, "\r\n" END, "431"},
	    {"GET / HTTP/1.1\r\n", "X: y\r\n", 2000, END, "431"},
	    {"GET /", "0123456789", 6400, " HTTP/1.1\r\n" END, "414"},
	};
	struct client client;

	rig_start(&(struct http_server_settings){0});
	for (int i = 0; i < 3; i++) {
		client_open(&client);
		say_filled(&client, cases[i].text, cases[i].filler, cases[i].count, cases[i].end);
		WAIT_STATUSES(&client, cases[i].want);
		WAIT_UNTIL(client_is_closed(&client));
		check(!client.reset);
		client_close(&client);
	}
	rig_stop();
}

static void
answers_say_what_they_are(void)
{
	struct client client;

	rig_start(&(struct http_server_settings){0});
	client_open(&client);
	client_say(&client, TARGET("/fail"));
	WAIT_STATUSES(&client, "500");
	check(strncmp(client.got.data, "HTTP/1.1 500 Internal Server Error\r\nDate: ", 42) == 0);
	check(strstr(client.got.data, " GMT\r\nContent-Type: application/json; charset=utf-8\r\n"
				      "Content-Length: 60\r\n\r\n"
				      "{\"error\":{\"code\":\"server_error\",\"message\":"
				      "\"it said \\\"no\\\"\"}}") != NULL);
	buf_clear(&client.got);
	client_say(&client, TARGET("/empty"));
	WAIT_STATUSES(&client, "204");
	check(strstr(client.got.data, "X-A: b\r\n") != NULL);
	check(strstr(client.got.data, "Content-") == NULL);
	buf_clear(&client.got);
	client_say(&client, "POST /deny HTTP/1.1\r\n" END);
	WAIT_STATUSES(&client, "401");
	check(strstr(client.got.data, "WWW-Authenticate: Bearer\r\n") != NULL);
	buf_clear(&client.got);
	client_say(&client, "BREW / HTTP/1.1\r\n" END);
	WAIT_STATUSES(&client, "405");
	check(strstr(client.got.data, "Connection: close\r\n") != NULL);
	check(strstr(client.got.data, "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n") !=
	      NULL);
	client_close(&client);
	client_open(&client);
	client_say(&client, "GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	WAIT_STATUSES(&client, "200");
	check(strstr(client.got.data, "Connection: keep-alive\r\n") != NULL);
	client_close(&client);
	rig_stop();
}

static void
a_head_request_gets_no_byte_of_a_body(void)
{
	static const char *const asks[] = {
	    "HEAD /echo HTTP/1.1\r\n" END, "HEAD /fail HTTP/1.1\r\n" END,
	    "HEAD /a//b HTTP/1.1\r\n" END, "HEAD /%zz HTTP/1.1\r\n" END,
	    "HEAD / HTTP/1.1\r\nX\r\n" END};
	struct client client;

	rig_start(&(struct http_server_settings){0});
	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		client_open(&client);
		client_say(&client, asks[i]);
		WAIT_UNTIL(statuses(&client, "H")[0] != '\0');
		turn_for(20);
		client_read(&client);
		check(strcmp(strstr(client.got.data, "\r\n\r\n"), "\r\n\r\n") == 0);
		check(strstr(client.got.data, "Content-Length: ") != NULL);
		client_close(&client);
	}
	rig_stop();
}

static void
continue_is_sent_only_when_the_body_is_wanted_and_missing(void)
{
	struct client client;
	const char *ask = "POST /small HTTP/1.1\r\nExpect: 100-continue\r\n";

	rig_start(&(struct http_server_settings){0});
	client_open(&client);
	client_say(&client, ask);
	client_say(&client, "Content-Length: 5\r\n" END);
	WAIT_STATUSES(&client, "100");
	client_say(&client, "hello");
	WAIT_STATUSES(&client, "100 200");
	client_say(&client, ask);
	client_say(&client, "Content-Length: 11\r\n" END);
	WAIT_STATUSES(&client, "100 200 413");
	client_close(&client);
	client_open(&client);
	client_say(&client, "POST /small HTTP/1.1\r\nExpect: 100-continue\r\n"
			    "Content-Length: 5\r\n" END "hello");
	WAIT_STATUSES(&client, "200");
	client_close(&client);
	rig_stop();
}

static void
half_a_request_and_half_close_is_answered_400(void)
{
	static const char *const asks[] = {
	    "GET /\r\n",
	    "POST / HTTP/1.1\r\nHost: loc",
	    WITH("Content-Length: 5\r\n") "abc",
	    CHUNKED "3\r\nabc\r\n",
	    CHUNKED "3\r\nabc\r\n0\r\n",
	};
	struct client client;

	rig_start(&(struct http_server_settings){0});
	for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
		client_open(&client);
		client_say(&client, asks[i]);
		shutdown(client.fd, SHUT_WR);
		WAIT_STATUSES(&client, "400");
		WAIT_UNTIL(client_is_closed(&client));
		client_close(&client);
	}
	client_open(&client);
	client_say(&client, "\r\n");
	shutdown(client.fd, SHUT_WR);
	WAIT_UNTIL(client_is_closed(&client));
	check_int(client.got.len, ==, 0);
	client_close(&client);
	rig_stop();
}

static void
half_close_while_waiting_is_still_answered(void)
{
	struct client client;

	rig_start(&(struct http_server_settings){0});
	client_open(&client);
	client_say(&client, TARGET("/later") GET);
	shutdown(client.fd, SHUT_WR);
	WAIT_UNTIL(rig.waiting_count == 1);
	turn_for(50);
	check_int(rig.gone_count, ==, 0);
	check_int(rig.asked, ==, 1); /* the second one is not looked at yet */
	check(!http_server_is_idle(rig.server));
	echo(rig.waiting[0]);
	rig.waiting[0] = NULL;
	WAIT_STATUSES(&client, "200 200");
	WAIT_UNTIL(client_is_closed(&client));
	check_int(http_server_connections(rig.server), ==, 0);
	client_close(&client);
	rig_stop();
}

static void
a_reset_frees_the_waiter_at_once(void)
{
	enum { COUNT = 200 };
	static struct client clients[COUNT];

	rig_start(&(struct http_server_settings){0});
	for (int i = 0; i < COUNT; i++) {
		client_open(&clients[i]);
		client_say(&clients[i], TARGET("/later"));
	}
	WAIT_UNTIL(rig.waiting_count == COUNT);
	for (int i = 0; i < COUNT; i++)
		client_abort(&clients[i]);
	turn_for(100);
	check_int(rig.gone_count, ==, COUNT);
	check_int(http_server_connections(rig.server), ==, 0);
	check(http_server_is_idle(rig.server));
	rig_stop();
}

static void
requests_in_work_become_gone_with_the_server(void)
{
	struct client client;

	rig_start(&(struct http_server_settings){0});
	client_open(&client);
	client_say(&client, TARGET("/later"));
	WAIT_UNTIL(rig.waiting_count == 1);
	http_server_free(rig.server);
	check_int(rig.gone_count, ==, 1);
	rig.server = NULL;
	rig_stop();
	client_close(&client);
}

static void
later_requests_stay_unread_above_the_mark(void)
{
	struct client client;
	size_t sent = 0;
	int full = 0;

	rig_start(&(struct http_server_settings){0});
	client_open(&client);
	client_say(&client, TARGET("/later"));
	WAIT_UNTIL(rig.waiting_count == 1);
	while (full < 50 && sent < 100 * 1000 * 1000) {
		ssize_t n = send(client.fd, rig.big, BIG, MSG_NOSIGNAL);

		loop_turn(rig.loop, 1);
		full = n > 0 ? 0 : full + 1;
		sent += n > 0 ? (size_t)n : 0;
	}
	check_int(sent, <, 30 * 1000 * 1000); /* what the kernel holds, and 64 KiB */
	check(!loop_turn(rig.loop, 20));      /* and nothing turns in circles */
	http_request_fail(rig.waiting[0], 400, "x", "y");
	rig.waiting[0] = NULL;
	client_abort(&client);
	WAIT_UNTIL(http_server_connections(rig.server) == 0);
	rig_stop();
}

static void
many_pipelined_requests_are_answered_in_order_and_by_turns(void)
{
	enum { COUNT = 1500 };
	struct client client;
	struct buf asks;
	char *at, want[80];

	rig_start(&(struct http_server_settings){0});
	client_open(&client);
	buf_init(&asks, SIZE_MAX / 2);
	for (int i = 0; i < COUNT; i++)
		buf_printf(&asks, "GET /n/%d HTTP/1.1\r\n" END, i);
	check_int(send(client.fd, asks.data, asks.len, MSG_NOSIGNAL), ==, asks.len);
	buf_fini(&asks);
	while (rig.asked == 0)
		loop_turn(rig.loop, 5);
	check_int(rig.asked, <=, 16); /* then others get their turn */
	WAIT_UNTIL((client_read(&client), rig.asked == COUNT));
	turn_for(20);
	while (client_read(&client))
		loop_turn(rig.loop, 1);
	at = client.got.data;
	for (int i = 0; i < COUNT; i++) {
		snprintf(want, sizeof(want), "GET /n/%d ", i);
		at = strstr(at, "GET /n/");
		check(at != NULL && strncmp(at, want, strlen(want)) == 0);
		at++;
	}
	client_close(&client);
	rig_stop();
}

/* Sends one byte each step_ms until closed; returns how long the server bore it. */
static int64_t
trickle(struct client *client, const char *bytes, int step_ms)
{
	int64_t start = clock_mono_ms();

	while (!client_is_closed(client) && clock_mono_ms() - start < PATIENCE_MS) {
		if (*bytes != '\0' && send(client->fd, bytes, 1, MSG_NOSIGNAL) == 1)
			bytes++;
		turn_for(step_ms);
	}
	return clock_mono_ms() - start;
}

static void
slow_heads_are_ended_in_bounded_time(void)
{
	struct client client;
	int64_t took_ms;

	rig_start_quick();
	client_open(&client);
	took_ms = trickle(&client, GET GET, 25);
	check_int(took_ms, >=, 290);
	check_int(took_ms, <, 900);
	WAIT_STATUSES(&client, "408");
	client_close(&client);
	rig_stop();
}

static void
the_clock_of_a_second_head_starts_with_its_own_first_byte(void)
{
	struct client client;

	rig_start_quick();
	client_open(&client);
	client_say(&client, GET);
	turn_for(200);
	client_say(&client, "GET /echo HT");
	turn_for(200); /* 400 ms since the first one, 200 since the second's first byte */
	client_say(&client, "TP/1.1\r\n" END "GET");
	turn_for(200);
	client_say(&client, " /echo HTTP/1.1\r\n" END);
	WAIT_STATUSES(&client, "200 200 200");
	client_close(&client);
	rig_stop();
}

static void
silent_and_trickling_bodies_are_ended(void)
{
	struct client client;
	int64_t took_ms;

	rig_start_quick();
	client_open(&client);
	client_say(&client, WITH("Content-Length: 500\r\n") "abc");
	took_ms = trickle(&client, "", 10);
	check_int(took_ms, >=, 290);
	check_int(took_ms, <, 900);
	WAIT_STATUSES(&client, "408");
	client_close(&client);
	client_open(&client);
	client_say(&client, WITH("Content-Length: 500\r\n") "abc");
	took_ms = trickle(&client, "0123456789012345678901234567890123456789", 20);
	check_int(took_ms, <, 900); /* under 1 kB/s */
	WAIT_STATUSES(&client, "408");
	client_close(&client);
	rig_stop();
}

static void
a_body_that_is_steady_takes_its_time(void)
{
	struct client client;
	char block[400];

	memset(block, 'b', sizeof(block));
	rig_start_quick();
	client_open(&client);
	client_say(&client, WITH("Content-Length: 16000\r\n"));
	for (int i = 0; i < 40; i++) {
		client_send(&client, block, sizeof(block));
		turn_for(20);
	}
	WAIT_STATUSES(&client, "200");
	client_close(&client);
	rig_stop();
}

static void
idle_connections_are_closed_and_waiting_ones_are_not(void)
{
	struct client idle, used, waiting;

	rig_start_quick();
	client_open(&idle);
	client_open(&used);
	client_open(&waiting);
	client_say(&used, GET);
	client_say(&waiting, TARGET("/later"));
	WAIT_UNTIL(rig.waiting_count == 1);
	turn_for(200);
	check(!client_is_closed(&idle));
	turn_for(500);
	check(client_is_closed(&idle) && idle.got.len == 0);
	check(client_is_closed(&used));
	check_text(statuses(&used, ""), "200");
	check(!client_is_closed(&waiting));
	echo(rig.waiting[0]);
	rig.waiting[0] = NULL;
	WAIT_STATUSES(&waiting, "200");
	client_close(&idle);
	client_close(&used);
	client_close(&waiting);
	rig_stop();
}

static void
a_client_that_does_not_read_is_dropped(void)
{
	enum { COUNT = 5 };
	static struct client clients[COUNT];
	int64_t start;

	rig_start_quick();
	for (int i = 0; i < COUNT; i++) {
		client_open_with(&clients[i], 4096);
		client_say(&clients[i], TARGET("/big"));
	}
	WAIT_UNTIL(rig.asked == COUNT);
	start = clock_mono_ms();
	WAIT_UNTIL(http_server_connections(rig.server) == 0);
	check_int(clock_mono_ms() - start, <, 1500);
	for (int i = 0; i < COUNT; i++)
		client_close(&clients[i]);
	rig_stop();
}

static void
a_slow_reader_gets_all_of_a_large_answer(void)
{
	struct client client;
	int64_t start = clock_mono_ms();

	rig_start_quick();
	client_open_with(&client, 64 * 1024);
	client_say(&client, TARGET("/big"));
	while (client.got.len < BIG && !client.eof && !client.reset &&
	       clock_mono_ms() - start < 30000) {
		client_read(&client);
		turn_for(10);
	}
	check_int(clock_mono_ms() - start, >, 600); /* twice the flush clock, which saw progress */
	WAIT_STATUSES(&client, "200");
	client_close(&client);
	rig_stop();
}

/* Opens a connection by a unix socket the server listens on in a new folder. */
static void
client_open_unix(struct client *client, char *folder)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	char address[128];
	struct sl_error error;

	check(mkdtemp(folder) != NULL);
	snprintf(address, sizeof(address), "unix:%s/s", folder);
	check_int(http_server_listen(rig.server, address, &error), ==, SL_OK);
	snprintf(to.sun_path, sizeof(to.sun_path), "%s/s", folder);
	*client = (struct client){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)};
	buf_init(&client->got, SIZE_MAX / 2);
	check_int(connect(client->fd, (struct sockaddr *)&to, sizeof(to)), ==, 0);
}

/* The kernel says "write again" only when half of its room is free, here after some 430 ms. */
static void
a_reader_slower_than_the_kernel_s_wakeups_is_not_taken_for_dead(void)
{
	struct client client;
	char folder[] = "/tmp/sluice-http-XXXXXX", bytes[24 * 1024];

	rig_start_quick();
	client_open_unix(&client, folder);
	client_say(&client, TARGET("/big"));
	for (int i = 0; i < 15; i++) {
		check_int(read(client.fd, bytes, sizeof(bytes)), !=, 0);
		turn_for(100);
	}
	check_int(http_server_connections(rig.server), ==, 1);
	client_close(&client);
	rig_stop();
	rmdir(folder);
}

static void
a_client_still_sending_can_read_its_413(void)
{
	struct client client;

	rig_start(&(struct http_server_settings){0});
	for (int chunked = 0; chunked < 2; chunked++) {
		client_open(&client);
		client_say(&client, chunked ? "POST /small HTTP/1.1\r\n"
					      "Transfer-Encoding: chunked\r\n" END "800000\r\n"
					    : "POST /small HTTP/1.1\r\n"
					      "Content-Length: 8388608\r\n" END);
		check(client_send(&client, rig.big, BIG));
		shutdown(client.fd, SHUT_WR);
		WAIT_STATUSES(&client, "413");
		WAIT_UNTIL(client_is_closed(&client));
		check(!client.reset);
		check(strstr(client.got.data, "\"payload_too_large\"") != NULL);
		client_close(&client);
	}
	WAIT_UNTIL(http_server_connections(rig.server) == 0);
	rig_stop();
}

static void
a_refused_client_that_stays_is_cut_off_after_the_linger(void)
{
	struct client client;
	int64_t start = clock_mono_ms();

	rig_start(&(struct http_server_settings){0});
	client_open(&client);
	client_say(&client, "BREW / HTTP/1.1\r\n" END);
	WAIT_STATUSES(&client, "405");
	WAIT_UNTIL(http_server_connections(rig.server) == 0);
	check_int(clock_mono_ms() - start, >=, 1900);
	check_int(clock_mono_ms() - start, <, 3500);
	client_close(&client);
	rig_stop();
}

static void
bodies_of_all_connections_share_one_budget(void)
{
	enum { COUNT = 6, PART = 2 * 1024 * 1024 };
	static struct client clients[COUNT];
	int busy = 0, waiting = 0;

	rig_start(&(struct http_server_settings){.body_budget = 3 * PART, .body_gap_ms = 400});
	for (int i = 0; i < COUNT; i++) {
		client_open(&clients[i]);
		client_say(&clients[i], "POST /huge HTTP/1.1\r\nContent-Length: 6000000\r\n" END);
		client_send(&clients[i], rig.big, PART);
		turn_for(10);
	}
	for (int i = 0; i < COUNT; i++) {
		const char *got = statuses(&clients[i], "");

		busy += strcmp(got, "503") == 0;
		waiting += got[0] == '\0';
		if (strcmp(got, "503") == 0)
			check(strstr(clients[i].got.data, "Retry-After: 1\r\n") != NULL);
	}
	check_int(busy + waiting, ==, COUNT);
	check_int(waiting, >=, 1); /* the first one got room ... */
	check_int(busy, >=, 3);    /* ... and those after it did not */
	turn_for(800);             /* all end in 408; then there is room again */
	for (int i = 0; i < COUNT; i++)
		client_close(&clients[i]);
	client_open(&clients[0]);
	for (int i = 0; i < 5; i++) {
		client_say(&clients[0], "POST /huge HTTP/1.1\r\nContent-Length: 2097152\r\n" END);
		client_send(&clients[0], rig.big, PART);
		WAIT_STATUSES(&clients[0], "200");
		buf_clear(&clients[0].got);
	}
	client_close(&clients[0]);
	rig_stop();
}

static void
connections_over_the_caps_are_closed_at_once(void)
{
	struct client clients[5];

	rig_start(&(struct http_server_settings){.connections_max = 3});
	for (int i = 0; i < 5; i++)
		client_open(&clients[i]);
	turn_for(30);
	check_int(http_server_connections(rig.server), ==, 3);
	for (int i = 0; i < 5; i++)
		check_int(client_is_closed(&clients[i]), ==, i >= 3);
	client_say(&clients[0], GET);
	WAIT_STATUSES(&clients[0], "200");
	for (int i = 0; i < 5; i++)
		client_close(&clients[i]);
	rig_stop();
	rig_start(&(struct http_server_settings){.peer_connections_max = 2});
	for (int i = 0; i < 5; i++)
		client_open(&clients[i]);
	turn_for(30);
	check_int(http_server_connections(rig.server), ==, 2);
	for (int i = 0; i < 5; i++)
		client_close(&clients[i]);
	rig_stop();
}

static void
a_few_connections_over_the_cap_are_told_so(void)
{
	const struct http_server_settings settings = {
	    .connections_max = 2, .connections_spare = 2, .refusal_headers = "X-Own: yes\r\n"};
	struct client clients[5];
	int64_t since_ms;

	rig_start(&settings);
	for (int i = 0; i < 5; i++)
		client_open(&clients[i]);
	turn_for(30);
	check_int(http_server_connections(rig.server), ==, 4);
	check(client_is_closed(&clients[4]));
	client_say(&clients[2], GET);
	WAIT_STATUSES(&clients[2], "503");
	check(strstr(clients[2].got.data, "\r\nRetry-After: 1\r\n") != NULL);
	check(strstr(clients[2].got.data, "\r\nX-Own: yes\r\n") != NULL);
	WAIT_UNTIL(client_is_closed(&clients[2]));
	since_ms = clock_mono_ms();
	WAIT_UNTIL(client_is_closed(&clients[3])); /* it says nothing: not for long */
	check_int(clock_mono_ms() - since_ms, <, 3000);
	client_say(&clients[0], GET);
	WAIT_STATUSES(&clients[0], "200");
	client_close(&clients[2]);
	client_close(&clients[3]);
	client_open(&clients[2]);
	turn_for(30);
	client_close(&clients[1]); /* there is room by the time it asks */
	WAIT_UNTIL(http_server_connections(rig.server) == 2);
	client_say(&clients[2], GET);
	WAIT_STATUSES(&clients[2], "200");
	for (int i = 0; i < 5; i++)
		if (i != 1 && i != 3)
			client_close(&clients[i]);
	rig_stop();
}

static void
a_drain_lets_work_end_and_closes_the_rest(void)
{
	struct client idle, waiting, partial, late;
	int port;

	rig_start(&(struct http_server_settings){0});
	client_open(&idle);
	client_open(&waiting);
	client_open(&partial);
	client_say(&idle, GET);
	client_say(&waiting, TARGET("/later"));
	client_say(&partial, "GET /echo HTTP/1.1\r\n");
	WAIT_UNTIL(rig.waiting_count == 1);
	WAIT_STATUSES(&idle, "200");
	port = http_server_port(rig.server);
	http_server_drain(rig.server);
	check(!http_server_is_idle(rig.server));
	WAIT_UNTIL(client_is_closed(&idle));
	client_say(&partial, END);
	WAIT_STATUSES(&partial, "200");
	check(strstr(partial.got.data, "Connection: close\r\n") != NULL);
	WAIT_UNTIL(client_is_closed(&partial));
	check(!client_is_closed(&waiting));
	echo(rig.waiting[0]);
	rig.waiting[0] = NULL;
	WAIT_STATUSES(&waiting, "200");
	check(strstr(waiting.got.data, "Connection: close\r\n") != NULL);
	client_close(&idle);
	client_close(&waiting);
	client_close(&partial);
	WAIT_UNTIL(http_server_is_idle(rig.server));
	check_int(http_server_connections(rig.server), ==, 0);
	late.fd = socket(AF_INET, SOCK_STREAM, 0);
	check(connect(late.fd,
		      (struct sockaddr *)&(struct sockaddr_in){.sin_family = AF_INET,
							       .sin_port = htons((uint16_t)port),
							       .sin_addr.s_addr =
								   htonl(INADDR_LOOPBACK)},
		      sizeof(struct sockaddr_in)) < 0);
	close(late.fd);
	rig_stop();
}

static void
a_drain_answers_who_was_just_let_in_and_closes_who_asks_nothing(void)
{
	struct client queued, asked, late, silent;

	rig_start(&(struct http_server_settings){0});
	client_open(&silent);
	client_open(&late);
	client_open(&asked);
	WAIT_UNTIL(http_server_connections(rig.server) == 3);
	client_open(&queued); /* in the kernel's queue: the loop does not turn before the drain */
	client_say(&queued, GET);
	client_say(&asked, GET);
	http_server_drain(rig.server);
	check(!http_server_is_idle(rig.server));
	client_say(&late, GET);
	WAIT_STATUSES(&queued, "200");
	WAIT_STATUSES(&asked, "200");
	WAIT_STATUSES(&late, "200");
	check(strstr(late.got.data, "Connection: close\r\n") != NULL);
	WAIT_UNTIL(client_is_closed(&silent));
	check_int(silent.got.len, ==, 0);
	client_close(&queued);
	client_close(&asked);
	client_close(&late);
	client_close(&silent);
	WAIT_UNTIL(http_server_is_idle(rig.server));
	rig_stop();
}

static void
a_drain_closes_behind_an_answer_on_its_way(void)
{
	struct client client;

	rig_start(&(struct http_server_settings){0});
	client_open_with(&client, 64 * 1024);
	client_say(&client, TARGET("/big"));
	WAIT_UNTIL(rig.asked == 1);
	http_server_drain(rig.server); /* too late for its Connection: close */
	WAIT_UNTIL(client_is_closed(&client));
	WAIT_STATUSES(&client, "200");
	check(strstr(client.got.data, "Connection: close") == NULL);
	check_int(http_server_connections(rig.server), ==, 0);
	client_close(&client);
	rig_stop();
}

static void
running_out_of_descriptors_pauses_accepting(void)
{
	struct client client, second;
	struct rlimit old, low;
	int top, files = 0;

	rig_start(&(struct http_server_settings){0});
	client_open(&client); /* connected, not accepted yet */
	getrlimit(RLIMIT_NOFILE, &old);
	top = dup(0);
	low = (struct rlimit){(rlim_t)top, old.rlim_max}; /* lower ones are all taken */
	close(top);
	setrlimit(RLIMIT_NOFILE, &low);
	log_set_level(LOG_LEVEL_ERROR);
	client_say(&client, GET);
	for (int64_t end = clock_mono_ms() + 250; clock_mono_ms() < end; files++)
		loop_turn(rig.loop, 50);
	check_int(files, <, 20); /* paused, not spinning */
	check_int(http_server_connections(rig.server), ==, 0);
	setrlimit(RLIMIT_NOFILE, &old);
	log_set_level(LOG_LEVEL_INFO);
	WAIT_STATUSES(&client, "200");
	client_open(&second);
	client_say(&second, GET);
	WAIT_STATUSES(&second, "200");
	client_close(&client);
	client_close(&second);
	rig_stop();
}

static void
accessors_show_what_was_asked(void)
{
	struct client client;
	struct http_request *request;
	const char *segments[4], *name, *value;

	rig_start(&(struct http_server_settings){0});
	client_open(&client);
	client_say(&client, "POST /later?a=b+c&d HTTP/1.1\r\nX-Two: 1\r\nx-two: 2\r\n"
			    "Content-Length: 2\r\n" END "hi");
	WAIT_UNTIL(rig.waiting_count == 1);
	request = rig.waiting[0];
	check_text(http_request_method(request), "POST");
	check(slice_is(http_request_query(request), "a=b+c&d"));
	check(slice_is(http_request_body(request), "hi"));
	check_text(http_request_peer(request), "127.0.0.1");
	check_text(http_request_header(request, "X-TWO"), "1");
	check_int(http_request_header_count(request, "X-Two"), ==, 2);
	check(http_request_header(request, "X-Three") == NULL);
	check_int(http_request_headers(request), ==, 4);
	http_request_header_at(request, 1, &name, &value);
	check_text(name, "x-two");
	check_text(value, "2");
	check_int(http_request_segments(request, segments, 4), ==, 1);
	check_text(segments[0], "later");
	check_int(http_request_segments(request, segments, 0), ==, -1);
	check_int(http_request_query_pairs(request), ==, 2);
	http_request_query_at(request, 0, &name, &value);
	check_text(name, "a");
	check_text(value, "b c");
	check(!http_request_is_gone(request));
	echo(request);
	rig.waiting[0] = NULL;
	WAIT_STATUSES(&client, "200");
	client_close(&client);
	rig_stop();
}

static void
addresses_to_listen_on_are_checked(void)
{
	static const char *const bad[] = {
	    "",      "3003", "localhost:80", "127.0.0.1:", ":80", "[::1:80", "127.0.0.1:65536",
	    "unix:", "[]:1", "1.2.3.4:+1"};
	struct http_server *other;
	struct sl_error error;
	char address[64], path[] = "/tmp/sluice-http-XXXXXX", unix_address[96];
	struct client client = {0};
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	static const struct http_handler handler = {.on_request = on_request};
	int fd;

	rig_start(&(struct http_server_settings){0});
	other = http_server_new(rig.loop, &(struct http_server_settings){0}, &handler, NULL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_int(http_server_listen(other, bad[i], &error), ==, SL_INVALID);
	snprintf(address, sizeof(address), "127.0.0.1:%d", http_server_port(rig.server));
	check_int(http_server_listen(other, address, &error), ==, SL_CONFLICT);
	fd = open("/dev/null", O_RDONLY);
	check_int(http_server_adopt(other, fd, &error), ==, SL_INVALID);
	close(fd);
	check(mkdtemp(path) != NULL);
	snprintf(unix_address, sizeof(unix_address), "unix:%s/s", path);
	check_int(http_server_listen(other, unix_address, &error), ==, SL_OK);
	check_int(http_server_listen(rig.server, unix_address, &error), ==, SL_CONFLICT);
	snprintf(to.sun_path, sizeof(to.sun_path), "%s/s", path);
	client.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	buf_init(&client.got, SIZE_MAX / 2);
	check_int(connect(client.fd, (struct sockaddr *)&to, sizeof(to)), ==, 0);
	client_say(&client, TARGET("/later"));
	WAIT_UNTIL(rig.waiting_count == 1);
	check_text(http_request_peer(rig.waiting[0]), "unix");
	echo(rig.waiting[0]);
	rig.waiting[0] = NULL;
	WAIT_STATUSES(&client, "200");
	client_close(&client);
	http_server_free(other);
	check_int(access(to.sun_path, F_OK), <, 0); /* unlinked */
	/* A left-over socket file is no conflict. */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	check_int(bind(fd, (struct sockaddr *)&to, sizeof(to)), ==, 0);
	close(fd);
	check_int(http_server_listen(rig.server, unix_address, &error), ==, SL_OK);
	rig_stop();
	rmdir(path);
}

static void
an_open_listening_socket_is_adopted(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	static const struct http_handler handler = {.on_request = on_request};
	struct client client;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sl_error error;

	rig_start(&(struct http_server_settings){0});
	http_server_free(rig.server);
	rig.server = http_server_new(rig.loop, &(struct http_server_settings){0}, &handler, NULL);
	check_int(http_server_adopt(rig.server, fd, &error), ==, SL_INVALID);
	check_int(bind(fd, (struct sockaddr *)&at, sizeof(at)), ==, 0);
	check_int(listen(fd, 5), ==, 0);
	check_int(http_server_adopt(rig.server, fd, &error), ==, SL_OK);
	client_open(&client);
	client_say(&client, GET);
	WAIT_STATUSES(&client, "200");
	client_close(&client);
	rig_stop();
}

int
main(void)
{
	CHECK_RUN(rows_of_bad_and_good_bytes_get_their_answers_however_they_are_cut);
	CHECK_RUN(oversized_heads_are_refused_readably);
	CHECK_RUN(answers_say_what_they_are);
	CHECK_RUN(a_head_request_gets_no_byte_of_a_body);
	CHECK_RUN(continue_is_sent_only_when_the_body_is_wanted_and_missing);
	CHECK_RUN(half_a_request_and_half_close_is_answered_400);
	CHECK_RUN(half_close_while_waiting_is_still_answered);
	CHECK_RUN(a_reset_frees_the_waiter_at_once);
	CHECK_RUN(requests_in_work_become_gone_with_the_server);
	CHECK_RUN(later_requests_stay_unread_above_the_mark);
	CHECK_RUN(many_pipelined_requests_are_answered_in_order_and_by_turns);
	CHECK_RUN(slow_heads_are_ended_in_bounded_time);
	CHECK_RUN(the_clock_of_a_second_head_starts_with_its_own_first_byte);
	CHECK_RUN(silent_and_trickling_bodies_are_ended);
	CHECK_RUN(a_body_that_is_steady_takes_its_time);
	CHECK_RUN(idle_connections_are_closed_and_waiting_ones_are_not);
	CHECK_RUN(a_client_that_does_not_read_is_dropped);
	CHECK_RUN(a_slow_reader_gets_all_of_a_large_answer);
	CHECK_RUN(a_reader_slower_than_the_kernel_s_wakeups_is_not_taken_for_dead);
	CHECK_RUN(a_client_still_sending_can_read_its_413);
	CHECK_RUN(a_refused_client_that_stays_is_cut_off_after_the_linger);
	CHECK_RUN(bodies_of_all_connections_share_one_budget);
	CHECK_RUN(connections_over_the_caps_are_closed_at_once);
	CHECK_RUN(a_few_connections_over_the_cap_are_told_so);
	CHECK_RUN(a_drain_lets_work_end_and_closes_the_rest);
	CHECK_RUN(a_drain_answers_who_was_just_let_in_and_closes_who_asks_nothing);
	CHECK_RUN(a_drain_closes_behind_an_answer_on_its_way);
	CHECK_RUN(running_out_of_descriptors_pauses_accepting);
	CHECK_RUN(accessors_show_what_was_asked);
	CHECK_RUN(addresses_to_listen_on_are_checked);
	CHECK_RUN(an_open_listening_socket_is_adopted);
	return check_done();
}
