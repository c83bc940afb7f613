#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "http/server.h"
#include "tests/lib/check.h"

/* Requests that are read and answered bit by bit.  One process, one loop: the server, and clients
 * whose sockets are read between turns. */

#define END "Host: a\r\n\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n" END
#define GET "GET /echo HTTP/1.1\r\n" END

enum { PATIENCE_MS = 10000, PIECE = 16 * 1024, HUNDRED_MB = 100 * 1000 * 1000 };

/* What a request does, by its path. */
enum mode {
	MODE_ECHO,   /* its body comes back; as long as it says, or in chunks */
	MODE_SINK,   /* counts its body and answers with the number */
	MODE_SOURCE, /* sends `left` bytes, announced when the path ends in "n" */
	MODE_HOLD,   /* does nothing until the test does */
};

struct job {
	struct http_request *request;
	enum mode mode;
	int64_t left, taken;
	char piece[PIECE]; /* read and not yet written */
	size_t held;
	bool begun, ended, broken, gone;
	bool pattern; /* the body is fill_pattern()'s */
	int readable; /* times */
};

static struct rig {
	struct loop *loop;
	struct http_server *server;
	struct job jobs[20];
	int job_count;
	int collected; /* requests of the usual kind */
} rig;

struct client {
	int fd;
	struct buf got;
	bool eof, reset;
};

/* ---- the server's side ------------------------------------------------------------------------
 */

static void
job_end(struct job *job, bool whole)
{
	struct http_request *request = job->request;

	job->request = NULL;
	job->ended = true;
	http_request_reply_end(request, whole);
}

static void
job_begin(struct job *job, int64_t length)
{
	static const struct http_reply reply = {.status = 200, .content_type = "text/plain"};

	job->begun = true;
	http_request_reply_head(job->request, &reply, length);
}

static void
job_echo(struct job *job)
{
	if (!job->begun)
		job_begin(job, http_request_length(job->request));
	for (;;) {
		int64_t n;

		if (job->held > 0 &&
		    !http_request_write(job->request, (struct slice){job->piece, job->held}))
			return;
		job->held = 0;
		n = http_request_read(job->request, job->piece, PIECE);
		if (n == 0)
			return;
		if (n < 0) {
			job->broken = n == HTTP_REQUEST_BROKEN;
			job_end(job, n == HTTP_REQUEST_END);
			return;
		}
		job->taken += n;
		job->held = (size_t)n;
	}
}

static void
job_sink(struct job *job)
{
	char text[32];
	int64_t n;

	while ((n = http_request_read(job->request, job->piece, PIECE)) > 0) {
		for (int64_t i = 0; job->pattern && i < n; i += 1021)
			check_int(job->piece[i], ==, (char)((job->taken + i) % 251));
		job->taken += n;
	}
	if (n == 0)
		return;
	job->broken = n == HTTP_REQUEST_BROKEN;
	snprintf(text, sizeof(text), "%lld", (long long)job->taken);
	job->ended = true;
	http_request_reply(job->request, &(struct http_reply){.status = job->broken ? 400 : 200,
							      .body = slice_text(text)});
	job->request = NULL;
}

static void
job_source(struct job *job)
{
	while (job->left > 0) {
		size_t n = job->left < PIECE ? (size_t)job->left : PIECE;

		memset(job->piece, 'x', n);
		if (!http_request_write(job->request, (struct slice){job->piece, n}))
			return;
		job->left -= (int64_t)n;
		job->taken += (int64_t)n;
	}
	job_end(job, true);
}

static void
job_run(struct job *job)
{
	if (job->request == NULL)
		return;
	switch (job->mode) {
	case MODE_ECHO:
		job_echo(job);
		return;
	case MODE_SINK:
		job_sink(job);
		return;
	case MODE_SOURCE:
		job_source(job);
		return;
	case MODE_HOLD:
		return;
	}
}

static void
on_readable(void *arg)
{
	struct job *job = arg;

	job->readable++;
	job_run(job);
}

static void
on_room(void *arg)
{
	job_run(arg);
}

static const struct http_request_events events = {on_readable, on_room};

static bool
path_starts(struct http_request *request, const char *prefix)
{
	struct slice path = http_request_path(request);

	return path.len >= strlen(prefix) && memcmp(path.data, prefix, strlen(prefix)) == 0;
}

static void
on_head(void *arg, struct http_request *request, struct http_verdict *verdict)
{
	(void)arg;
	verdict->stream = !path_starts(request, "/collect");
	verdict->body_max = path_starts(request, "/small") ? 10 : INT64_MAX;
}

static void
on_request(void *arg, struct http_request *request)
{
	struct job *job = &rig.jobs[rig.job_count];

	(void)arg;
	if (path_starts(request, "/collect")) {
		rig.collected++;
		http_request_reply(request, &(struct http_reply){.status = 200});
		return;
	}
	if (path_starts(request, "/early")) {
		http_request_fail(request, 401, "no", "not you");
		return;
	}
	rig.job_count++;
	*job = (struct job){.request = request};
	http_request_set_data(request, job);
	if (path_starts(request, "/sink") || path_starts(request, "/small/sink"))
		job->mode = MODE_SINK;
	else if (path_starts(request, "/source"))
		job->mode = MODE_SOURCE;
	else if (path_starts(request, "/hold"))
		job->mode = MODE_HOLD;
	job->pattern = path_starts(request, "/sink/pattern");
	if (job->mode == MODE_HOLD)
		return;
	http_request_listen(request, &events, job);
	if (job->mode == MODE_SOURCE) {
		job->left = strtoll(http_request_query(request).data, NULL, 10);
		job_begin(job, path_starts(request, "/source-n") ? job->left : -1);
		job_source(job);
	}
}

static void
on_gone(void *arg, struct http_request *request)
{
	struct job *job = http_request_data(request);

	(void)arg;
	check(http_request_is_gone(request));
	check_int(http_request_read(request, job->piece, 1), ==, HTTP_REQUEST_BROKEN);
	job->gone = true;
	job->request = NULL;
	if (job->begun) {
		check(http_request_write(request, SLICE_LITERAL("nobody reads this")));
		http_request_reply_end(request, true);
	} else {
		http_request_fail(request, 500, "gone", "nor this");
	}
}

static void
rig_start_with(const struct http_server_settings *settings)
{
	static const struct http_handler handler = {on_head, on_request, on_gone};
	struct sl_error error;

	rig = (struct rig){.loop = loop_new()};
	rig.server = http_server_new(rig.loop, settings, &handler, NULL);
	check_int(http_server_listen(rig.server, "127.0.0.1:0", &error), ==, SL_OK);
}

static void
rig_start(void)
{
	rig_start_with(&(struct http_server_settings){.body_budget = 1});
}

static void
rig_stop(void)
{
	http_server_free(rig.server);
	loop_turn(rig.loop, 0);
	loop_free(rig.loop);
	for (int i = 0; i < rig.job_count; i++)
		check(rig.jobs[i].request == NULL);
}

#define WAIT_UNTIL(condition)                                      \
	do {                                                       \
		int64_t wait_end = clock_mono_ms() + PATIENCE_MS;  \
		while (!(condition) && clock_mono_ms() < wait_end) \
			loop_turn(rig.loop, 5);                    \
		check(condition);                                  \
	} while (0)

static void
turn_for(int64_t ms)
{
	int64_t end = clock_mono_ms() + ms;

	while (clock_mono_ms() < end)
		loop_turn(rig.loop, 5);
}

/* Until nothing moves any more; fails when it goes on and on. */
static void
turn_until_quiet(void)
{
	int64_t end = clock_mono_ms() + PATIENCE_MS;
	int quiet = 0;

	while (quiet < 5 && clock_mono_ms() < end)
		quiet = loop_turn(rig.loop, 20) ? 0 : quiet + 1;
	check_int(quiet, ==, 5);
}

/* ---- the client's side ------------------------------------------------------------------------
 */

static void
client_open(struct client *client)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)http_server_port(rig.server)),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int buffer = 64 * 1024;

	*client = (struct client){.fd = socket(AF_INET, SOCK_STREAM, 0)};
	buf_init(&client->got, SIZE_MAX / 2);
	setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(int));
	setsockopt(client->fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(int));
	check_int(connect(client->fd, (struct sockaddr *)&to, sizeof(to)), ==, 0);
	fcntl(client->fd, F_SETFL, O_NONBLOCK);
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

/* Bytes that came, kept or only counted; 0: none now. */
static size_t
client_take(struct client *client, bool keep)
{
	static char bytes[65536];
	ssize_t n = read(client->fd, bytes, sizeof(bytes));

	if (n > 0 && keep)
		buf_add(&client->got, bytes, (size_t)n);
	client->eof = client->eof || n == 0;
	client->reset = client->reset || (n < 0 && errno == ECONNRESET);
	return n > 0 ? (size_t)n : 0;
}

static bool
client_has(struct client *client, const char *text)
{
	while (client_take(client, true) > 0)
		continue;
	return client->got.len > 0 && strstr(client->got.data, text) != NULL;
}

static bool
client_is_closed(struct client *client)
{
	while (client_take(client, true) > 0)
		continue;
	return client->eof || client->reset;
}

/* How often it stands in what came. */
static int
client_count(struct client *client, const char *text)
{
	int count = 0;

	while (client_take(client, true) > 0)
		continue;
	for (char *at = client->got.data; at != NULL && (at = strstr(at, text)) != NULL; at++)
		count++;
	return count;
}

static ssize_t
client_try(struct client *client, const char *bytes, size_t len)
{
	ssize_t n = send(client->fd, bytes, len, MSG_NOSIGNAL);

	check(n >= 0 || errno == EAGAIN);
	return n > 0 ? n : 0;
}

static void
client_say(struct client *client, const char *text)
{
	size_t len = strlen(text);

	while (len > 0) {
		ssize_t n = client_try(client, text, len);

		text += n;
		len -= (size_t)n;
		loop_turn(rig.loop, 0);
	}
}

/* The next bytes of the pattern that MODE_SINK checks. */
static size_t
fill_pattern(char *out, size_t size, int64_t at)
{
	for (size_t i = 0; i < size; i++)
		out[i] = (char)((at + (int64_t)i) % 251);
	return size;
}

/* Peak of this process's resident memory, bytes. */
static int64_t
peak_rss(void)
{
	char line[256];
	int64_t kib = 0;
	FILE *file = fopen("/proc/self/status", "r");

	check(file != NULL);
	while (fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, "VmHWM:", 6) == 0)
			kib = strtoll(line + 6, NULL, 10);
	}
	fclose(file);
	return kib * 1024;
}

/* Since before; a sanitizer keeps what was freed. */
static void
check_growth(int64_t before)
{
#if !defined(__SANITIZE_ADDRESS__)
	check_int(peak_rss() - before, <, 4 * 1024 * 1024);
#else
	(void)before;
#endif
}

/* ---- claims -----------------------------------------------------------------------------------
 */

static void
a_body_is_handed_over_as_it_comes_and_its_answer_goes_out_as_it_is_made(void)
{
	struct client client;

	rig_start();
	client_open(&client);
	client_say(&client, "POST /echo HTTP/1.1\r\n" CHUNKED "3\r\nabc\r\n");
	WAIT_UNTIL(client_has(&client, "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"));
	client_say(&client, "4\r\ndefg\r\n");
	WAIT_UNTIL(client_has(&client, "\r\n4\r\ndefg\r\n"));
	check(!rig.jobs[0].ended);
	client_say(&client, "0\r\n\r\n" GET);
	WAIT_UNTIL(client_has(&client, "\r\n4\r\ndefg\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"));
	WAIT_UNTIL(rig.jobs[1].ended); /* a pipelined one, without a body */
	check_int(rig.jobs[1].taken, ==, 0);
	check(client_has(&client, "Content-Length: 0\r\n\r\n"));
	client_say(&client, "POST /echo HTTP/1.1\r\nContent-Length: 5\r\n" END "hel");
	WAIT_UNTIL(client_has(&client, "Content-Length: 5\r\n\r\nhel"));
	client_say(&client, "lo" GET);
	WAIT_UNTIL(client_has(&client, "\r\n\r\nhelloHTTP/1.1 200 OK\r\n"));
	WAIT_UNTIL(http_server_is_idle(rig.server));
	client_close(&client);
	rig_stop();
}

static void
a_hundred_megabytes_go_in_with_a_chunk_of_memory(void)
{
	static char bytes[PIECE + 64];
	struct client client;
	char line[64];
	int64_t sent = 0, before;
	size_t have = 0, at = 0;

	rig_start();
	client_open(&client);
	client_say(&client, "POST /sink/pattern HTTP/1.1\r\n" CHUNKED);
	before = peak_rss();
	while (sent < HUNDRED_MB || at < have) {
		if (at == have) {
			at = 0;
			have = (size_t)snprintf(bytes, sizeof(bytes), "%x\r\n", PIECE);
			have += fill_pattern(bytes + have, PIECE, sent);
			memcpy(bytes + have, "\r\n", 2);
			have += 2;
			sent += PIECE;
		}
		at += (size_t)client_try(&client, bytes + at, have - at);
		loop_turn(rig.loop, 0);
	}
	client_say(&client, "0\r\n\r\n");
	snprintf(line, sizeof(line), "\r\n\r\n%lld", (long long)sent);
	WAIT_UNTIL(client_has(&client, line));
	check_growth(before);
	client_close(&client);
	rig_stop();
}

static void
a_hundred_megabytes_go_out_with_a_chunk_of_memory(void)
{
	static const char *const paths[] = {"/source?", "/source-n?"};

	for (int i = 0; i < 2; i++) {
		struct client client;
		int64_t got = 0, before;
		char ask[128];

		rig_start();
		client_open(&client);
		snprintf(ask, sizeof(ask), "GET %s%d HTTP/1.1\r\nConnection: close\r\n" END,
			 paths[i], HUNDRED_MB);
		client_say(&client, ask);
		before = peak_rss();
		while (!client.eof && !client.reset) {
			got += (int64_t)client_take(&client, false);
			loop_turn(rig.loop, 0);
		}
		check(client.eof && rig.jobs[0].ended);
		check_int(got, >, HUNDRED_MB);
		check_int(got, <, HUNDRED_MB + HUNDRED_MB / 1000);
		check_growth(before);
		client_close(&client);
		rig_stop();
	}
}

static void
a_reader_that_stops_pauses_the_source_and_goes_on_where_it_was(void)
{
	struct client client;
	int64_t got = 0;

	rig_start();
	client_open(&client);
	client_say(&client, "GET /source-n?20000000 HTTP/1.1\r\nConnection: close\r\n" END);
	WAIT_UNTIL(rig.jobs[0].taken > 0);
	turn_until_quiet();
	check_int(rig.jobs[0].taken, <, 10 * 1000 * 1000); /* what the kernel holds, and our room */
	while (!client.eof && !client.reset) {
		got += (int64_t)client_take(&client, false);
		loop_turn(rig.loop, 0);
	}
	check_int(got, >, 20000000);
	check(rig.jobs[0].ended);
	client_close(&client);
	rig_stop();
}

static void
a_layer_above_that_does_not_read_stops_the_client(void)
{
	static char bytes[PIECE];
	struct client client;
	struct job *job = &rig.jobs[0];
	int64_t sent = 0, n;
	int full = 0;

	rig_start_with(&(struct http_server_settings){.body_gap_ms = 100});
	client_open(&client);
	client_say(&client, "POST /hold HTTP/1.1\r\nContent-Length: 30000000\r\n" END);
	while (full < 200) { /* more than 200 ms: no clock of the body's runs meanwhile */
		n = client_try(&client, bytes, fill_pattern(bytes, PIECE, sent));
		sent += n;
		full = n > 0 ? 0 : full + 1;
		loop_turn(rig.loop, 1);
	}
	check_int(sent, <, 20 * 1000 * 1000);
	check(!job->gone && job->request != NULL);
	job->mode = MODE_SINK;
	job->pattern = true;
	http_request_listen(job->request, &events, job);
	while (sent < 30000000) {
		size_t want = 30000000 - sent < PIECE ? (size_t)(30000000 - sent) : PIECE;

		sent += client_try(&client, bytes, fill_pattern(bytes, want, sent));
		loop_turn(rig.loop, 0);
	}
	WAIT_UNTIL(client_has(&client, "\r\n\r\n30000000"));
	client_close(&client);
	rig_stop();
}

static void
bytes_may_be_read_without_waiting_to_be_told(void)
{
	struct client client;
	char bytes[8];
	int64_t n = 0;

	rig_start();
	client_open(&client);
	client_say(&client, "POST /hold HTTP/1.1\r\n" CHUNKED "5\r\nhello\r\n");
	WAIT_UNTIL(n > 0 || (rig.job_count == 1 &&
			     (n = http_request_read(rig.jobs[0].request, bytes, 3)) != 0));
	check_int(n, ==, 3);
	check_int(http_request_length(rig.jobs[0].request), ==, -1);
	client_say(&client, "1\r\n!\r\n0\r\n\r\n"); /* behind what is left */
	turn_for(20);
	check_int(http_request_read(rig.jobs[0].request, bytes, 8), ==, 3);
	check(memcmp(bytes, "lo!", 3) == 0);
	check_int(http_request_read(rig.jobs[0].request, bytes, 8), ==, HTTP_REQUEST_END);
	job_begin(&rig.jobs[0], -1);
	job_end(&rig.jobs[0], true);
	WAIT_UNTIL(client_has(&client, "\r\n\r\n0\r\n\r\n"));
	client_close(&client);
	rig_stop();
}

/* How it goes wrong, and what is answered while nothing was. */
static void
a_body_that_breaks_off_is_refused_as_long_as_nothing_was_answered(void)
{
	static const struct {
		const char *ask, *want;
		bool half_close;
	} cases[] = {
	    {"POST /sink HTTP/1.1\r\nContent-Length: 5\r\n" END "abc", "HTTP/1.1 400 ", true},
	    {"POST /sink HTTP/1.1\r\n" CHUNKED "3\r\nab", "HTTP/1.1 400 ", true},
	    {"POST /sink HTTP/1.1\r\n" CHUNKED "3\r\nabcd\r\n", "HTTP/1.1 400 ", false},
	    {"POST /sink HTTP/1.1\r\n" CHUNKED "x", "HTTP/1.1 400 ", false},
	    {"POST /small/sink HTTP/1.1\r\nContent-Length: 11\r\n" END, "HTTP/1.1 413 ", false},
	    {"POST /small/sink HTTP/1.1\r\n" CHUNKED "6\r\nabcdef\r\n5\r\n", "HTTP/1.1 413 ",
	     false},
	    {"POST /sink HTTP/1.1\r\nContent-Length: 5\r\n" END "abc", "HTTP/1.1 408 ", false},
	};
	struct client client;

	rig_start_with(&(struct http_server_settings){.body_gap_ms = 100});
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		client_open(&client);
		client_say(&client, cases[i].ask);
		if (cases[i].half_close)
			shutdown(client.fd, SHUT_WR);
		WAIT_UNTIL(client_is_closed(&client));
		check(client_has(&client, cases[i].want));
		check_int(client_count(&client, "HTTP/1.1"), ==, 1);
		client_close(&client);
	}
	check_int(rig.job_count, ==, 6); /* one was refused by its length */
	for (int i = 0; i < rig.job_count; i++)
		check(rig.jobs[i].gone);
	rig_stop();
}

static void
a_body_that_breaks_off_behind_the_head_breaks_the_answer(void)
{
	static const char *const cases[][2] = {
	    {"POST /echo HTTP/1.1\r\n" CHUNKED "3\r\nabc\r\n", "x"},
	    {"POST /small/echo HTTP/1.1\r\n" CHUNKED "3\r\nabc\r\n", "a\r\n0123456789"},
	    {"POST /echo HTTP/1.1\r\n" CHUNKED "3\r\nabc\r\n", ""}, /* and no more */
	    {"POST /echo HTTP/1.1\r\nContent-Length: 9\r\n" END "abc", ""},
	};
	struct client client;

	rig_start_with(&(struct http_server_settings){.body_gap_ms = 100});
	for (int i = 0; i < 4; i++) {
		client_open(&client);
		client_say(&client, cases[i][0]);
		WAIT_UNTIL(client_has(&client, "abc"));
		client_say(&client, cases[i][1]);
		WAIT_UNTIL(client_is_closed(&client));
		check(rig.jobs[i].ended && rig.jobs[i].broken);
		check_int(client_count(&client, "HTTP/1.1"), ==, 1);
		check_int(client_count(&client, "\r\n0\r\n"), ==, 0);
		client_close(&client);
	}
	rig_stop();
}

static void
an_answer_that_breaks_off_is_seen_to_do_so(void)
{
	static const struct {
		const char *ask;
		int64_t length;
		bool resets;
	} cases[] = {
	    {"GET /hold HTTP/1.1\r\n" END, -1, false},
	    {"GET /hold HTTP/1.1\r\n" END, 10, false},
	    {"GET /hold HTTP/1.0\r\n\r\n", 10, false},
	    {"GET /hold HTTP/1.0\r\n\r\n", -1, true}, /* its end would be taken for the answer's */
	};
	struct client client;

	rig_start();
	for (int i = 0; i < 4; i++) {
		client_open(&client);
		client_say(&client, cases[i].ask);
		WAIT_UNTIL(rig.job_count == i + 1);
		job_begin(&rig.jobs[i], cases[i].length);
		check(http_request_write(rig.jobs[i].request, SLICE_LITERAL("abc")));
		WAIT_UNTIL(client_has(&client, "abc"));
		check(client_has(&client, "Transfer-Encoding") == (cases[i].length < 0 && i < 2));
		job_end(&rig.jobs[i], i == 1); /* one says "whole", and is short */
		WAIT_UNTIL(client_is_closed(&client));
		check_int(client.reset, ==, cases[i].resets);
		check(!client_has(&client, "\r\n0\r\n"));
		client_close(&client);
	}
	rig_stop();
}

static void
old_clients_and_heads_get_what_they_can_read(void)
{
	struct client client;
	struct job *job = rig.jobs;

	rig_start();
	client_open(&client);
	client_say(&client, "GET /source?5 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	WAIT_UNTIL(client_is_closed(&client));
	check(client.eof && client_has(&client, "Connection: close\r\n\r\nxxxxx"));
	check(!client_has(&client, "Transfer-Encoding") && !client_has(&client, "Content-Length"));
	client_close(&client);
	client_open(&client);
	client_say(&client, "HEAD /source?70000 HTTP/1.1\r\n" END);
	client_say(&client, "HEAD /source-n?70000 HTTP/1.1\r\n" END "HEAD /hold HTTP/1.1\r\n" END);
	WAIT_UNTIL(rig.job_count == 4);
	http_request_reply_head(job[3].request, &(struct http_reply){.status = 204}, -1);
	job_end(&job[3], true);
	client_say(&client, GET);
	WAIT_UNTIL(client_count(&client, "HTTP/1.1 200 OK") == 3);
	check_int(client_count(&client, "HTTP/1.1"), ==, 4);
	check_int(client_count(&client, "xxx"), ==, 0);
	check_int(client_count(&client, "Content-Length: 70000\r\n"), ==, 1);
	check_int(client_count(&client, "Transfer-Encoding: chunked\r\n"), ==, 1);
	check_int(client_count(&client, "HTTP/1.1 204 No Content\r\n"), ==, 1);
	client_close(&client);
	rig_stop();
}

static void
an_answer_before_the_end_of_the_request_skips_a_small_rest_only(void)
{
	struct client client;
	static char filler[200 * 1024];

	rig_start();
	client_open(&client);
	client_say(&client, "POST /early HTTP/1.1\r\nContent-Length: 9\r\n" END "123");
	WAIT_UNTIL(client_has(&client, "HTTP/1.1 401 "));
	check(!client_has(&client, "Connection: close"));
	client_say(&client, "456789" GET);
	WAIT_UNTIL(client_has(&client, "HTTP/1.1 200 OK"));
	client_say(&client, "POST /early HTTP/1.1\r\n" CHUNKED "3\r\nabc\r\n0\r\n\r\n" GET);
	WAIT_UNTIL(client_count(&client, "HTTP/1.1 200 OK") == 2);
	client_say(&client, "POST /early HTTP/1.1\r\nContent-Length: 200000\r\n" END);
	memset(filler, 'x', sizeof(filler) - 1);
	client_say(&client, filler); /* lingers: the answer can be read while this is sent */
	WAIT_UNTIL(client_count(&client, "HTTP/1.1 401 ") == 3);
	check(client_has(&client, "Connection: close\r\n"));
	shutdown(client.fd, SHUT_WR);
	WAIT_UNTIL(client_is_closed(&client));
	check(!client.reset);
	client_close(&client);
	client_open(&client);
	client_say(&client, "POST /early HTTP/1.1\r\n" CHUNKED);
	for (int i = 0; i < 6; i++) { /* 96 KiB in chunks: too much to skip */
		client_say(&client, "4000\r\n");
		filler[0x4000] = '\0';
		client_say(&client, filler);
		client_say(&client, "\r\n");
		filler[0x4000] = 'x';
	}
	client_say(&client, "0\r\n\r\n" GET);
	shutdown(client.fd, SHUT_WR);
	WAIT_UNTIL(client_is_closed(&client));
	check_int(client_count(&client, "HTTP/1.1"), ==, 1);
	client_close(&client);
	rig_stop();
}

static void
continue_is_sent_when_the_body_is_wanted(void)
{
	struct client client;
	char bytes[8];
	int64_t n = 0;
	const char *ask =
	    "POST /hold HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n" END;

	rig_start_with(&(struct http_server_settings){.body_gap_ms = 200});
	client_open(&client);
	client_say(&client, ask);
	WAIT_UNTIL(rig.job_count == 1);
	turn_for(300); /* the body's clock does not run: we have not asked for it */
	check_int(client_count(&client, "HTTP/1.1"), ==, 0);
	check(!rig.jobs[0].gone);
	check_int(http_request_read(rig.jobs[0].request, bytes, 8), ==, 0);
	WAIT_UNTIL(client_has(&client, "HTTP/1.1 100 Continue\r\n\r\n"));
	client_say(&client, "ab");
	WAIT_UNTIL(n > 0 || (n = http_request_read(rig.jobs[0].request, bytes, 8)) != 0);
	check_int(n, ==, 2);
	job_begin(&rig.jobs[0], 0);
	job_end(&rig.jobs[0], true);
	client_say(&client, ask);
	WAIT_UNTIL(rig.job_count == 2);
	job_begin(&rig.jobs[1], 0); /* not wanted: whether it comes is not known any more */
	job_end(&rig.jobs[1], true);
	WAIT_UNTIL(client_is_closed(&client));
	check_int(client_count(&client, "100 Continue"), ==, 1);
	check_int(client_count(&client, "Connection: close"), ==, 1);
	client_close(&client);
	rig_stop();
}

static void
a_client_that_goes_away_is_told_in_both_directions(void)
{
	struct client client;

	rig_start();
	client_open(&client);
	client_say(&client, "POST /echo HTTP/1.1\r\nContent-Length: 9\r\n" END "abc");
	WAIT_UNTIL(client_has(&client, "abc"));
	client_abort(&client);
	WAIT_UNTIL(rig.jobs[0].gone);
	client_open(&client);
	client_say(&client, "GET /source?100000000 HTTP/1.1\r\n" END);
	turn_for(20);
	client_abort(&client);
	WAIT_UNTIL(rig.jobs[1].gone);
	client_open(&client);
	client_say(&client, "GET /hold HTTP/1.1\r\n" END);
	WAIT_UNTIL(rig.job_count == 3);
	client_abort(&client);
	WAIT_UNTIL(rig.jobs[2].gone);
	client_open(&client);
	client_say(&client, "GET /source?100000000 HTTP/1.1\r\n" END);
	WAIT_UNTIL(rig.job_count == 4);
	http_server_free(rig.server);
	rig.server = NULL;
	check(rig.jobs[3].gone);
	client_close(&client);
	rig_stop();
}

static void
a_client_that_does_not_read_is_dropped_and_a_slow_one_is_not(void)
{
	struct client client;
	int64_t since_ms, got = 0;

	rig_start_with(&(struct http_server_settings){.flush_ms = 400});
	client_open(&client);
	client_say(&client, "GET /source?100000000 HTTP/1.1\r\n" END);
	since_ms = clock_mono_ms();
	WAIT_UNTIL(rig.jobs[0].gone);
	check_int(clock_mono_ms() - since_ms, >=, 350);
	client_close(&client);
	client_open(&client);
	client_say(&client, "GET /source?100000000 HTTP/1.1\r\n" END);
	for (int i = 0; i < 14; i++) {
		got += (int64_t)client_take(&client, false);
		turn_for(50);
	}
	check(got > 0 && !rig.jobs[1].gone);
	client_abort(&client);
	WAIT_UNTIL(rig.jobs[1].gone);
	rig_stop();
}

static void
a_body_that_trickles_is_ended_and_one_that_waited_for_us_is_not(void)
{
	static char filler[HTTP_STREAM_ROOM];
	struct client client;
	struct job *job = &rig.jobs[1];

	rig_start_with(&(struct http_server_settings){.body_gap_ms = 200});
	client_open(&client);
	client_say(&client, "POST /sink HTTP/1.1\r\nContent-Length: 1000\r\n" END);
	for (int i = 0; i < 12 && !client_is_closed(&client); i++) {
		send(client.fd, "x", 1, MSG_NOSIGNAL);
		turn_for(50);
	}
	check(client_has(&client, "HTTP/1.1 408 "));
	client_close(&client);
	client_open(&client);
	client_say(&client, "POST /hold HTTP/1.1\r\nContent-Length: 131074\r\n" END);
	fill_pattern(filler, sizeof(filler), 0);
	for (size_t at = 0; at < sizeof(filler); loop_turn(rig.loop, 0))
		at += (size_t)client_try(&client, filler + at, sizeof(filler) - at);
	turn_for(500);
	check(!job->gone);
	job->mode = MODE_SINK;
	job->pattern = true;
	http_request_listen(job->request, &events, job);
	turn_for(50); /* its average since the start would not do any more */
	check(!job->gone);
	fill_pattern(filler, 2, sizeof(filler));
	client_try(&client, filler, 2);
	WAIT_UNTIL(client_has(&client, "\r\n\r\n131074"));
	client_close(&client);
	rig_stop();
}

static void
a_drain_waits_for_streams(void)
{
	struct client client;

	rig_start();
	client_open(&client);
	client_say(&client, "POST /echo HTTP/1.1\r\nContent-Length: 6\r\n" END "abc");
	WAIT_UNTIL(client_has(&client, "abc"));
	http_server_drain(rig.server);
	turn_for(20);
	check(!http_server_is_idle(rig.server) && !client_is_closed(&client));
	client_say(&client, "def");
	WAIT_UNTIL(client_is_closed(&client));
	check(client_has(&client, "abcdef") && client.eof);
	check(http_server_is_idle(rig.server));
	client_close(&client);
	rig_stop();
}

static void
compressed_bodies_pass_a_stream_and_nothing_else(void)
{
	struct client client;

	rig_start();
	client_open(&client);
	client_say(&client,
		   "POST /echo HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n" END
		   "abc");
	WAIT_UNTIL(client_has(&client, "\r\n\r\nabc"));
	client_say(&client,
		   "POST /collect HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n" END
		   "abc");
	WAIT_UNTIL(client_has(&client, "HTTP/1.1 415 "));
	check_int(rig.collected, ==, 0);
	client_close(&client);
	rig_stop();
}

int
main(void)
{
	CHECK_RUN(a_body_is_handed_over_as_it_comes_and_its_answer_goes_out_as_it_is_made);
	CHECK_RUN(a_hundred_megabytes_go_in_with_a_chunk_of_memory);
	CHECK_RUN(a_hundred_megabytes_go_out_with_a_chunk_of_memory);
	CHECK_RUN(a_reader_that_stops_pauses_the_source_and_goes_on_where_it_was);
	CHECK_RUN(a_layer_above_that_does_not_read_stops_the_client);
	CHECK_RUN(bytes_may_be_read_without_waiting_to_be_told);
	CHECK_RUN(a_body_that_breaks_off_is_refused_as_long_as_nothing_was_answered);
	CHECK_RUN(a_body_that_breaks_off_behind_the_head_breaks_the_answer);
	CHECK_RUN(an_answer_that_breaks_off_is_seen_to_do_so);
	CHECK_RUN(old_clients_and_heads_get_what_they_can_read);
	CHECK_RUN(an_answer_before_the_end_of_the_request_skips_a_small_rest_only);
	CHECK_RUN(continue_is_sent_when_the_body_is_wanted);
	CHECK_RUN(a_client_that_goes_away_is_told_in_both_directions);
	CHECK_RUN(a_client_that_does_not_read_is_dropped_and_a_slow_one_is_not);
	CHECK_RUN(a_body_that_trickles_is_ended_and_one_that_waited_for_us_is_not);
	CHECK_RUN(a_drain_waits_for_streams);
	CHECK_RUN(compressed_bodies_pass_a_stream_and_nothing_else);
	return check_done();
}
