#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "http/client.h"
#include "http/guard.h"
#include "tests/lib/check.h"

/* One loop: the client, and a peer that answers each path with bytes of a script. */

enum { PATIENCE_MS = 5000, ASK_MAX = 8192 };

enum after { AFTER_KEEP, AFTER_CLOSE, AFTER_RESET, AFTER_REPEAT /* the bytes, without end */ };

struct script {
	const char *path; /* prefix of the target */
	const char *head;
	const char *body;
	size_t body_len; /* 0: strlen */
	enum after after;
};

static const char gzip_hello[] =
    "\037\213\010\000\000\000\000\000\002\003\313\110\315\311\311\127\310\100\220\000\200\210\371\345\021\000\000\000";
static const char gzip_bomb[] =
    "\037\213\010\000\000\000\000\000\002\003\355\301\061\001\000\000\000\302\240\254\353\137\302\032\036\100\001\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000\360\140\061\207\275\312\040\116\000\000"; /* 20000 bytes */

#define OK "HTTP/1.1 200 OK\r\n"
#define LENGTH(n) "Content-Length: " #n "\r\n\r\n"

static const struct script scripts[] = {
    {"/hello", OK "X-Two: a\r\nx-two:  b \r\nX-Fold: a\r\n b\r\n" LENGTH(5), "hello", 0,
     AFTER_KEEP},
    {"/teapot", "HTTP/1.1 418 I'm a teapot\r\n" LENGTH(0), "", 0, AFTER_KEEP},
    {"/interim", "HTTP/1.1 103 Early Hints\r\nX-Early: a\r\n\r\n" OK "X-Late: b\r\n" LENGTH(2),
     "ok", 0, AFTER_KEEP},
    {"/chunks", OK "Transfer-Encoding: chunked\r\n\r\n", "3\r\nabc\r\n0\r\nX-Trailer: t\r\n\r\n", 0,
     AFTER_KEEP},
    {"/silent", "", "", 0, AFTER_KEEP},
    {"/halfway", OK LENGTH(10), "abc", 0, AFTER_KEEP},
    {"/nothing", "", "", 0, AFTER_CLOSE},
    {"/reset-at-once", "", "", 0, AFTER_RESET},
    {"/reset-after-head", OK LENGTH(10), "", 0, AFTER_RESET},
    {"/interim-only", "HTTP/1.1 103 Early Hints\r\nX-Early: a\r\n\r\n", "", 0, AFTER_CLOSE},
    {"/no-content", "HTTP/1.1 204 No Content\r\n\r\n", "", 0, AFTER_KEEP},
    {"/gone", "HTTP/1.1 410 Gone\r\nConnection: close\r\n\r\n", "x", 0, AFTER_REPEAT},
    {"/many-fields", OK, "X-A: b\r\n", 0, AFTER_REPEAT},
    {"/short", OK LENGTH(10), "abc", 0, AFTER_CLOSE},
    {"/short-head", OK "X-Whole: a\r\n", "", 0, AFTER_CLOSE},
    {"/short-line", OK "X-Ha", "", 0, AFTER_CLOSE},
    {"/endless-body", OK "\r\n", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 0,
     AFTER_REPEAT},
    {"/endless-head", OK, "X-More: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n", 0,
     AFTER_REPEAT},
    {"/endless-line", OK "X-More: ", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", 0,
     AFTER_REPEAT},
    {"/endless-interim", "", "HTTP/1.1 100 Continue\r\n\r\n", 0, AFTER_REPEAT},
    {"/control", OK "X-Bad: a\001b\r\n" LENGTH(0), "", 0, AFTER_CLOSE},
    {"/bare-cr", OK "X-Bad: a\rSet-Cookie: b\r\n" LENGTH(0), "", 0, AFTER_CLOSE},
    {"/no-http", "SSH-2.0-OpenSSH_9\r\n", "", 0, AFTER_CLOSE},
    {"/gzip", OK "Content-Encoding: gzip\r\n" LENGTH(28), gzip_hello, 28, AFTER_KEEP},
    {"/bomb", OK "Content-Encoding: gzip\r\n" LENGTH(55), gzip_bomb, 55, AFTER_KEEP},
    {"/not-gzip", OK "Content-Encoding: gzip\r\n" LENGTH(5), "hello", 0, AFTER_KEEP},
    {"/to-hello", "HTTP/1.1 302 Found\r\nLocation: /hello?x\r\n" LENGTH(4), "moved", 4, AFTER_KEEP},
    {"/to-303", "HTTP/1.1 303 See Other\r\nLocation: hello\r\n" LENGTH(0), "", 0, AFTER_KEEP},
    {"/to-307", "HTTP/1.1 307 Temporary Redirect\r\nLocation: /hello\r\n" LENGTH(0), "", 0,
     AFTER_KEEP},
    {"/to-loop", "HTTP/1.1 302 Found\r\nLocation: /to-loop\r\n" LENGTH(0), "", 0, AFTER_KEEP},
    {"/to-name", "HTTP/1.1 302 Found\r\nLocation: http://ok.test:@PORT@/hello\r\n" LENGTH(0), "", 0,
     AFTER_KEEP},
    {"/to-private", "HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/\r\n" LENGTH(0), "", 0,
     AFTER_KEEP},
    {"/to-file", "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n" LENGTH(0), "", 0,
     AFTER_KEEP},
    {"/to-user", "HTTP/1.1 302 Found\r\nLocation: http://u:p@127.0.0.1/\r\n" LENGTH(0), "", 0,
     AFTER_KEEP},
    {"/to-nowhere", "HTTP/1.1 302 Found\r\n" LENGTH(0), "", 0, AFTER_KEEP},
    {NULL, NULL, NULL, 0, AFTER_KEEP},
};

struct peer_conn {
	int fd;
	struct loop_watch *watch;
	struct buf in;
	const struct script *repeat;
};

static struct rig {
	struct loop *loop;
	struct guard *guard;
	struct http_client *client;
	int listener, port;
	struct loop_watch *listen_watch;
	struct peer_conn conns[64];
	int conn_count;
	char last_ask[ASK_MAX]; /* the last request's bytes */
	int asks;
} rig;

/* Results of one call. */
static struct outcome {
	bool done, cut;
	enum http_failure failure;
	int status, header_count;
	char code[64], text[256], reason[64], body[4096], url[256], x_two[16], encoding[16];
	size_t body_len;
	char first_value[64];
} outcome;

/* In place of libc's: names ending in .test are ours, all others go nowhere. */
int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
	    struct addrinfo **out)
{
	static const struct {
		const char *name, *first, *second;
	} names[] = {{"ok.test", "127.0.0.1", NULL},
		     {"private.test", "10.1.2.3", NULL},
		     {"mixed.test", "10.1.2.3", "127.0.0.1"},
		     {"hang.test", "127.0.0.1", NULL},
		     {"localhost.", "127.0.0.1", NULL}};
	const char *addresses[3] = {node, NULL, NULL};
	struct addrinfo **tail = out;
	uint32_t number;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(node, names[i].name) == 0) {
			addresses[0] = names[i].first;
			addresses[1] = names[i].second;
		}
	}
	if (strcmp(node, "hang.test") == 0)
		usleep(1500 * 1000);
	*out = NULL;
	for (int i = 0; addresses[i] != NULL; i++) {
		struct sockaddr_in *in;

		if (inet_pton(AF_INET, addresses[i], &number) != 1)
			return EAI_NONAME;
		*tail = calloc(1, sizeof(**tail) + sizeof(*in));
		in = (struct sockaddr_in *)(*tail + 1);
		in->sin_family = AF_INET;
		in->sin_port = htons(service != NULL ? (uint16_t)strtol(service, NULL, 10) : 0);
		in->sin_addr.s_addr = number;
		(*tail)->ai_family = AF_INET;
		(*tail)->ai_socktype = hints != NULL ? hints->ai_socktype : SOCK_STREAM;
		(*tail)->ai_addrlen = sizeof(*in);
		(*tail)->ai_addr = (struct sockaddr *)in;
		tail = &(*tail)->ai_next;
	}
	return 0;
}

void
freeaddrinfo(struct addrinfo *list)
{
	while (list != NULL) {
		struct addrinfo *next = list->ai_next;

		free(list);
		list = next;
	}
}

static void
peer_close(struct peer_conn *conn, bool reset)
{
	struct linger linger = {1, 0};

	if (conn->watch == NULL)
		return;
	if (reset)
		setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	loop_watch_free(conn->watch);
	conn->watch = NULL;
	close(conn->fd);
	buf_fini(&conn->in);
}

/* Sends text with @PORT@ replaced. */
static void
peer_send_head(struct peer_conn *conn, const char *text)
{
	const char *mark = strstr(text, "@PORT@");
	char bytes[1024];

	if (mark == NULL)
		snprintf(bytes, sizeof(bytes), "%s", text);
	else
		snprintf(bytes, sizeof(bytes), "%.*s%d%s", (int)(mark - text), text, rig.port,
			 mark + 6);
	check(send(conn->fd, bytes, strlen(bytes), MSG_NOSIGNAL) >= 0);
}

static void
peer_answer(struct peer_conn *conn)
{
	char *target = strchr(conn->in.data, ' ') + 1;

	for (const struct script *script = scripts; script->path != NULL; script++) {
		size_t len = strlen(script->path);
		size_t body_len = script->body_len > 0 ? script->body_len : strlen(script->body);

		if (strncmp(target, script->path, len) != 0 || strchr(" ?", target[len]) == NULL)
			continue;
		peer_send_head(conn, script->head);
		if (strncmp(conn->in.data, "HEAD ", 5) != 0)
			check(send(conn->fd, script->body, body_len, MSG_NOSIGNAL) >= 0);
		if (script->after == AFTER_REPEAT) {
			conn->repeat = script;
			loop_watch_set(conn->watch, LOOP_READ | LOOP_WRITE);
		} else if (script->after != AFTER_KEEP) {
			peer_close(conn, script->after == AFTER_RESET);
		}
		return;
	}
	peer_send_head(conn, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
}

/* The request in conn->in is whole: head and as much body as it says. */
static bool
ask_is_whole(const struct buf *in)
{
	const char *end = in->len > 0 ? strstr(in->data, "\r\n\r\n") : NULL;
	const char *length = end != NULL ? strcasestr(in->data, "\r\nContent-Length: ") : NULL;
	size_t body = length != NULL && length < end ? strtoul(length + 18, NULL, 10) : 0;

	return end != NULL && in->data + in->len >= end + 4 + body;
}

static void
peer_on_event(void *arg, int what)
{
	struct peer_conn *conn = arg;
	char bytes[4096];
	ssize_t n;

	if ((what & LOOP_WRITE) && conn->repeat != NULL) {
		for (int i = 0; i < 100; i++)
			send(conn->fd, conn->repeat->body, strlen(conn->repeat->body),
			     MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	if (!(what & LOOP_READ))
		return;
	n = read(conn->fd, bytes, sizeof(bytes));
	if (n <= 0) {
		if (n == 0 || errno != EAGAIN)
			peer_close(conn, false);
		return;
	}
	buf_add(&conn->in, bytes, (size_t)n);
	if (!ask_is_whole(&conn->in))
		return;
	snprintf(rig.last_ask, sizeof(rig.last_ask), "%s", conn->in.data);
	rig.asks++;
	peer_answer(conn);
	if (conn->watch != NULL)
		buf_clear(&conn->in);
}

static void
peer_on_accept(void *arg, int what)
{
	struct peer_conn *conn = &rig.conns[rig.conn_count];

	(void)arg;
	(void)what;
	conn->fd = accept4(rig.listener, NULL, NULL, SOCK_NONBLOCK);
	if (conn->fd < 0)
		return;
	rig.conn_count++;
	check_int(rig.conn_count, <, 64);
	buf_init(&conn->in, ASK_MAX);
	conn->watch = loop_watch_new(rig.loop, conn->fd, peer_on_event, conn);
	loop_watch_set(conn->watch, LOOP_READ);
}

static void
rig_start(const char *allow)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	struct sl_error error;

	rig = (struct rig){.loop = loop_new()};
	outcome = (struct outcome){0};
	check_int(guard_new(allow, &rig.guard, &error), ==, SL_OK);
	check_int(http_client_new(rig.loop, rig.guard, &rig.client, &error), ==, SL_OK);
	rig.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	check_int(bind(rig.listener, (struct sockaddr *)&at, sizeof(at)), ==, 0);
	check_int(listen(rig.listener, 20), ==, 0);
	getsockname(rig.listener, (struct sockaddr *)&at, &len);
	rig.port = ntohs(at.sin_port);
	rig.listen_watch = loop_watch_new(rig.loop, rig.listener, peer_on_accept, NULL);
	loop_watch_set(rig.listen_watch, LOOP_READ);
}

static void
rig_stop(void)
{
	http_client_free(rig.client);
	guard_free(rig.guard);
	for (int i = 0; i < rig.conn_count; i++)
		peer_close(&rig.conns[i], false);
	loop_watch_free(rig.listen_watch);
	close(rig.listener);
	loop_turn(rig.loop, 0);
	loop_free(rig.loop);
}

static void
on_answer(void *arg, const struct http_answer *answer)
{
	const char *encoding = http_answer_header(answer, "content-encoding");
	const char *x_two = http_answer_header(answer, "x-two");

	(void)arg;
	check(!outcome.done); /* exactly once */
	outcome.done = true;
	outcome.failure = answer->failure;
	outcome.cut = answer->cut;
	outcome.status = answer->status;
	outcome.header_count = answer->header_count;
	outcome.body_len = answer->body.len;
	snprintf(outcome.code, sizeof(outcome.code), "%s", answer->code ? answer->code : "");
	snprintf(outcome.text, sizeof(outcome.text), "%s", answer->text ? answer->text : "");
	snprintf(outcome.reason, sizeof(outcome.reason), "%s", answer->status_text);
	snprintf(outcome.body, sizeof(outcome.body), "%.*s", (int)answer->body.len,
		 answer->body.data);
	snprintf(outcome.url, sizeof(outcome.url), "%s", answer->url);
	snprintf(outcome.encoding, sizeof(outcome.encoding), "%s", encoding ? encoding : "");
	snprintf(outcome.x_two, sizeof(outcome.x_two), "%s", x_two ? x_two : "");
	for (int i = 0; i < answer->header_count; i++) {
		if (strcmp(answer->headers[i].name, "x-fold") == 0)
			snprintf(outcome.first_value, sizeof(outcome.first_value), "%s",
				 answer->headers[i].value);
	}
}

/* A GET of path at host, with defaults a test may change first. */
static struct http_ask
ask_of(const char *host, const char *path)
{
	static char url[512];

	snprintf(url, sizeof(url), "http://%s:%d%s", host, rig.port, path);
	return (struct http_ask){
	    .method = "GET", .url = url, .timeout_ms = 2000, .response_max = 100000};
}

static void
wait_done(void)
{
	int64_t end = clock_mono_ms() + PATIENCE_MS;

	while (!outcome.done && clock_mono_ms() < end)
		loop_turn(rig.loop, 10);
	check(outcome.done);
}

static void
run(const struct http_ask *ask)
{
	outcome = (struct outcome){0};
	rig.last_ask[0] = '\0';
	check(http_client_send(rig.client, ask, on_answer, NULL) != NULL);
	check(!outcome.done); /* never from inside the call */
	wait_done();
}

static void
get(const char *path)
{
	struct http_ask ask = ask_of("127.0.0.1", path);

	run(&ask);
}

static void
check_failed(enum http_failure failure, const char *code)
{
	check_text(outcome.code, code);
	check_int(outcome.failure, ==, failure);
	check(outcome.text[0] != '\0');
	check_int(outcome.status, ==, 0);
}

static void
an_answer_comes_with_all_its_parts(void)
{
	rig_start("127.0.0.0/8");
	get("/hello?a=b#c");
	check_int(outcome.failure, ==, HTTP_ANSWERED);
	check_int(outcome.status, ==, 200);
	check_text(outcome.reason, "OK");
	check_text(outcome.body, "hello");
	check_text(outcome.x_two, "a");
	check_text(outcome.first_value, "a b");
	check_int(outcome.header_count, ==, 4);
	check(strstr(rig.last_ask, "GET /hello?a=b HTTP/1.1\r\nHost: 127.0.0.1:") == rig.last_ask);
	get("/teapot");
	check_int(outcome.status, ==, 418);
	check_text(outcome.reason, "I'm a teapot");
	get("/interim");
	check_int(outcome.header_count, ==, 2);
	check_text(outcome.body, "ok");
	get("/chunks");
	check_int(outcome.header_count, ==, 1); /* not the trailer */
	check_text(outcome.body, "abc");
	check_int(rig.conn_count, ==, 1); /* one connection served all */
	rig_stop();
}

static void
requests_say_what_was_asked_and_no_more(void)
{
	static const struct http_header headers[] = {{"X-A", "b"},
						     {"X-Empty", ""},
						     {"Content-Length", "99"},
						     {"Transfer-Encoding", "chunked"},
						     {"Host", "evil"},
						     {"Content-Type", "text/x"}};
	struct http_ask ask;

	rig_start("127.0.0.0/8");
	ask = ask_of("127.0.0.1", "/hello");
	ask.method = "POST";
	ask.body = SLICE_LITERAL("abc");
	ask.has_body = true;
	ask.headers = headers;
	ask.header_count = 6;
	run(&ask);
	check(strncmp(rig.last_ask, "POST /hello HTTP/1.1\r\n", 22) == 0);
	check(strstr(rig.last_ask, "\r\nX-A: b\r\n") != NULL);
	check(strstr(rig.last_ask, "\r\nX-Empty:\r\n") != NULL);
	check(strstr(rig.last_ask, "\r\nContent-Length: 3\r\n") != NULL);
	check(strstr(rig.last_ask, "\r\nContent-Type: text/x\r\n") != NULL);
	check(strstr(rig.last_ask, ": 99\r") == NULL && strstr(rig.last_ask, "evil") == NULL);
	check(strstr(rig.last_ask, "hunked") == NULL && strstr(rig.last_ask, "Expect") == NULL);
	check(strstr(rig.last_ask, "\r\n\r\nabc") != NULL);
	ask = ask_of("127.0.0.1", "/hello");
	ask.method = "PATCH";
	run(&ask);
	check(strncmp(rig.last_ask, "PATCH /hello HTTP/1.1\r\n", 23) == 0);
	check(strstr(rig.last_ask, "\r\nContent-Length: 0\r\n") != NULL);
	check(strstr(rig.last_ask, "Content-Type") == NULL);
	ask.method = "DELETE";
	run(&ask);
	check(strncmp(rig.last_ask, "DELETE ", 7) == 0);
	check(strstr(rig.last_ask, "Content-Length") == NULL);
	ask.method = "HEAD";
	run(&ask);
	check_int(outcome.status, ==, 200);
	check_int(outcome.body_len, ==, 0);
	check(strncmp(rig.last_ask, "HEAD ", 5) == 0);
	rig_stop();
}

static void
time_runs_out(void)
{
	static const char *const paths[] = {"/silent", "/halfway"};
	struct http_ask ask;
	int64_t start;

	rig_start("127.0.0.0/8");
	for (int i = 0; i < 2; i++) {
		ask = ask_of("127.0.0.1", paths[i]);
		ask.timeout_ms = 150;
		start = clock_mono_ms();
		run(&ask);
		check_failed(HTTP_TIMEOUT, "ECONNABORTED");
		check_text(outcome.text, "timeout of 150ms exceeded");
		check_int(clock_mono_ms() - start, >=, 140);
		check_int(clock_mono_ms() - start, <, 1000);
	}
	ask = ask_of("127.0.0.1", "/hello");
	ask.timeout_ms = 0;
	run(&ask);
	check_failed(HTTP_TIMEOUT, "ECONNABORTED");
	rig_stop();
}

static void
a_resolver_that_hangs_holds_nothing_up(void)
{
	struct http_ask ask;
	int64_t start = clock_mono_ms();

	rig_start("127.0.0.0/8");
	ask = ask_of("hang.test", "/hello");
	ask.timeout_ms = 200;
	run(&ask);
	check_int(outcome.failure, ==, HTTP_TIMEOUT);
	check_int(clock_mono_ms() - start, <, 1000);
	get("/hello");
	check_int(outcome.status, ==, 200);
	rig_stop();
	check_int(clock_mono_ms() - start, <, 1200);
	usleep(1600 * 1000); /* lets the resolver's thread end before leaks are counted */
}

static void
a_refused_port_is_told_as_node_tells_it(void)
{
	char want[64];

	rig_start("127.0.0.0/8");
	loop_watch_set(rig.listen_watch, 0);
	close(rig.listener);
	rig.listener = -1;
	get("/hello");
	check_failed(HTTP_CONNECT, "ECONNREFUSED");
	snprintf(want, sizeof(want), "connect ECONNREFUSED 127.0.0.1:%d", rig.port);
	check_text(outcome.text, want);
	rig_stop();
}

static void
an_unknown_name_is_enotfound(void)
{
	struct http_ask ask;

	rig_start("127.0.0.0/8");
	ask = ask_of("none.test", "/");
	run(&ask);
	check_failed(HTTP_DNS, "ENOTFOUND");
	check_text(outcome.text, "getaddrinfo ENOTFOUND none.test");
	rig_stop();
}

static void
connections_that_break_are_resets(void)
{
	static const char *const paths[] = {"/nothing", "/reset-at-once", "/reset-after-head",
					    "/short",   "/short-head",    "/short-line"};

	rig_start("127.0.0.0/8");
	for (int i = 0; i < 6; i++) {
		get(paths[i]);
		check_failed(HTTP_RESET, "ECONNRESET");
	}
	rig_stop();
}

static void
no_descriptor_is_our_failure_not_the_servers(void)
{
	struct rlimit limit, none;

	rig_start("127.0.0.0/8");
	check_int(getrlimit(RLIMIT_NOFILE, &limit), ==, 0);
	none = limit;
	none.rlim_cur = 0;
	check_int(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
	get("/hello");
	check_int(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);
	check_failed(HTTP_CONNECT, "EMFILE");
	get("/hello");
	check_int(outcome.status, ==, 200);
	rig_stop();
}

static void
a_post_is_sent_once_though_a_kept_connection_breaks(void)
{
	struct http_ask ask;
	int before;

	rig_start("127.0.0.0/8");
	get("/hello"); /* leaves a connection that curl would use, and send again after */
	ask = ask_of("127.0.0.1", "/nothing");
	ask.method = "POST";
	ask.has_body = true;
	before = rig.asks;
	run(&ask);
	check_failed(HTTP_RESET, "ECONNRESET");
	check_int(rig.asks - before, ==, 1);
	rig_stop();
}

static void
answers_over_the_cap_are_refused(void)
{
	struct http_ask ask;

	rig_start("127.0.0.0/8");
	get("/endless-body");
	check_failed(HTTP_TOO_LARGE, "ERR_BAD_RESPONSE");
	ask = ask_of("127.0.0.1", "/hello");
	ask.response_max = 4;
	run(&ask);
	check_failed(HTTP_TOO_LARGE, "ERR_BAD_RESPONSE");
	ask.response_max = 5;
	run(&ask);
	check_text(outcome.body, "hello");
	rig_stop();
}

static struct http_ask
ask_cut(const char *path)
{
	struct http_ask ask = ask_of("127.0.0.1", path);

	ask.method = "POST";
	ask.has_body = true;
	ask.repeatable = true;
	ask.cut = true;
	ask.timeout_ms = 300;
	return ask;
}

static void
who_wants_what_there_is_gets_a_body_up_to_the_cap(void)
{
	static const struct {
		const char *path;
		int status, max, len;
		bool cut;
	} cases[] = {{"/endless-body", 200, 1000, 1000, true},
		     {"/gone", 410, 7, 7, true},
		     {"/hello", 200, 4, 4, true},
		     {"/hello", 200, 0, 0, true},
		     {"/hello", 200, 5, 5, false},
		     {"/no-content", 204, 5, 0, false},
		     {"/to-hello", 302, 5, 4, false}};

	rig_start("127.0.0.0/8");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct http_ask ask = ask_cut(cases[i].path);

		ask.response_max = cases[i].max;
		run(&ask);
		check_int(outcome.failure, ==, HTTP_ANSWERED);
		check_int(outcome.status, ==, cases[i].status);
		check_int(outcome.body_len, ==, cases[i].len);
		check_int(outcome.cut, ==, cases[i].cut);
	}
	rig_stop();
}

static void
who_wants_what_there_is_learns_what_came_before_the_failure(void)
{
	static const struct {
		const char *path, *code;
		enum http_failure failure;
		int status, fields;
	} cases[] = {{"/reset-after-head", "ECONNRESET", HTTP_RESET, 200, 1},
		     {"/short", "ECONNRESET", HTTP_RESET, 200, 1},
		     {"/halfway", "ECONNABORTED", HTTP_TIMEOUT, 200, 1},
		     {"/silent", "ECONNABORTED", HTTP_TIMEOUT, 0, 0},
		     {"/short-head", "ECONNRESET", HTTP_RESET, 0, 0},
		     {"/interim-only", "ECONNRESET", HTTP_RESET, 0, 0},
		     {"/endless-head", "HPE_HEADER_OVERFLOW", HTTP_PROTOCOL, 0, 0},
		     {"/many-fields", "HPE_HEADER_OVERFLOW", HTTP_PROTOCOL, 0, 0}};

	rig_start("127.0.0.0/8");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct http_ask ask = ask_cut(cases[i].path);

		ask.response_max = 1000;
		run(&ask);
		check_text(outcome.code, cases[i].code);
		check_int(outcome.failure, ==, cases[i].failure);
		check_int(outcome.status, ==, cases[i].status);
		check_int(outcome.header_count, ==, cases[i].fields);
	}
	check_text(outcome.body, "");
	rig_stop();
}

static void
heads_without_end_and_without_sense_are_refused(void)
{
	static const char *const bad[] = {"/control", "/bare-cr"};
	static const char *const endless[] = {"/endless-head", "/endless-interim"};

	rig_start("127.0.0.0/8");
	for (int i = 0; i < 2; i++) {
		get(endless[i]);
		check_failed(HTTP_PROTOCOL, "HPE_HEADER_OVERFLOW");
		get(bad[i]);
		check_failed(HTTP_PROTOCOL, "HPE_INVALID_HEADER_TOKEN");
	}
	get("/endless-line");
	check_int(outcome.failure, !=, HTTP_ANSWERED);
	check_int(outcome.failure, !=, HTTP_TIMEOUT);
	get("/no-http");
	check_failed(HTTP_PROTOCOL, "HPE_INVALID_CONSTANT");
	rig_stop();
}

static void
compressed_answers_are_opened_when_asked_and_capped_after(void)
{
	struct http_ask ask;

	rig_start("127.0.0.0/8");
	get("/gzip");
	check_text(outcome.encoding, "gzip");
	check_int(outcome.body_len, ==, sizeof(gzip_hello) - 1);
	check(strcasestr(rig.last_ask, "accept-encoding") == NULL);
	ask = ask_of("127.0.0.1", "/gzip");
	ask.decompress = true;
	run(&ask);
	check_text(outcome.body, "hello hello hello");
	check_text(outcome.encoding, "");
	check_int(outcome.header_count, ==, 0); /* its length was of the closed form */
	check(strcasestr(rig.last_ask, "accept-encoding: ") != NULL);
	ask = ask_of("127.0.0.1", "/bomb");
	ask.decompress = true;
	ask.response_max = 19999;
	run(&ask);
	check_failed(HTTP_TOO_LARGE, "ERR_BAD_RESPONSE");
	ask.response_max = 20000;
	run(&ask);
	check_int(outcome.body_len, ==, 20000);
	ask = ask_of("127.0.0.1", "/not-gzip");
	ask.decompress = true;
	run(&ask);
	check_failed(HTTP_PROTOCOL, "Z_DATA_ERROR");
	rig_stop();
}

static const struct http_header secrets[] = {{"Authorization", "Bearer top"},
					     {"X-Api-Key", "key"},
					     {"X-Plain", "plain"},
					     {"Content-Type", "text/x"}};
static const char *const secret_names[] = {"x-api-key", NULL};

static struct http_ask
ask_with_secrets(const char *path)
{
	struct http_ask ask = ask_of("127.0.0.1", path);

	ask.method = "POST";
	ask.has_body = true;
	ask.body = SLICE_LITERAL("abc");
	ask.headers = secrets;
	ask.header_count = 4;
	ask.credential_headers = secret_names;
	ask.redirects_max = 5;
	return ask;
}

static void
redirects_are_answers_unless_asked_for(void)
{
	struct http_ask ask;
	char want[64];

	rig_start("127.0.0.0/8");
	get("/to-hello");
	check_int(outcome.status, ==, 302);
	check_text(outcome.body, "move");
	ask = ask_of("127.0.0.1", "/to-hello");
	ask.redirects_max = 1;
	run(&ask);
	check_int(outcome.status, ==, 200);
	check_text(outcome.body, "hello");
	snprintf(want, sizeof(want), "http://127.0.0.1:%d/hello?x", rig.port);
	check_text(outcome.url, want);
	ask = ask_of("127.0.0.1", "/to-nowhere");
	ask.redirects_max = 1;
	run(&ask);
	check_int(outcome.status, ==, 302);
	rig_stop();
}

static void
redirects_change_the_method_as_everyone_does(void)
{
	static const struct {
		const char *path, *first_line;
		bool body;
	} cases[] = {{"/to-hello", "GET /hello?x HTTP/1.1\r\n", false},
		     {"/to-303", "GET /hello HTTP/1.1\r\n", false},
		     {"/to-307", "POST /hello HTTP/1.1\r\n", true}};

	rig_start("127.0.0.0/8");
	for (int i = 0; i < 3; i++) {
		struct http_ask ask = ask_with_secrets(cases[i].path);

		run(&ask);
		check_int(outcome.status, ==, 200);
		check(strncmp(rig.last_ask, cases[i].first_line, strlen(cases[i].first_line)) == 0);
		check_int(strstr(rig.last_ask, "\r\n\r\nabc") != NULL, ==, cases[i].body);
		check_int(strstr(rig.last_ask, "Content-Type") != NULL, ==, cases[i].body);
		/* the same host: credentials stay */
		check(strstr(rig.last_ask, "Bearer top") != NULL);
		check(strstr(rig.last_ask, "X-Api-Key: key") != NULL);
	}
	rig_stop();
}

static void
credentials_do_not_follow_to_another_host(void)
{
	struct http_ask ask;

	rig_start("127.0.0.0/8");
	ask = ask_with_secrets("/to-name");
	run(&ask);
	check_int(outcome.status, ==, 200);
	check(strncmp(rig.last_ask, "GET /hello HTTP/1.1\r\nHost: ok.test:", 35) == 0);
	check(strstr(rig.last_ask, "Bearer") == NULL);
	check(strstr(rig.last_ask, "X-Api-Key") == NULL);
	check(strstr(rig.last_ask, "X-Plain: plain") != NULL);
	ask.forward_credentials = true;
	run(&ask);
	check(strstr(rig.last_ask, "Bearer top") != NULL);
	check(strstr(rig.last_ask, "X-Api-Key: key") != NULL);
	rig_stop();
}

static void
redirect_loops_end(void)
{
	struct http_ask ask;

	rig_start("127.0.0.0/8");
	ask = ask_of("127.0.0.1", "/to-loop");
	ask.redirects_max = 5;
	run(&ask);
	check_failed(HTTP_PROTOCOL, "ERR_FR_TOO_MANY_REDIRECTS");
	check_int(rig.asks, ==, 6);
	rig_stop();
}

static void
redirects_to_forbidden_places_are_refused(void)
{
	static const char *const paths[] = {"/to-private", "/to-file", "/to-user"};
	struct http_ask ask;

	rig_start("127.0.0.0/8");
	for (int i = 0; i < 3; i++) {
		ask = ask_of("127.0.0.1", paths[i]);
		ask.redirects_max = 3;
		run(&ask);
		check_int(outcome.failure, ==, HTTP_REFUSED_URL);
	}
	rig_stop();
}

static void
forbidden_addresses_are_never_connected(void)
{
	/* Every way to write our own address, and names that lead there. */
	static const char *const hosts[] = {
	    "127.0.0.1",  "127.1",   "2130706433",     "0x7f.1",          "0177.0.0.1",
	    "0.0.0.0",    "[::1]",   "[::]",           "[::ffff:7f00:1]", "[64:ff9b::7f00:1]",
	    "localhost.", "ok.test", "%31%32%37.0.0.1"};
	struct http_ask ask;

	rig_start("");
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		ask = ask_of(hosts[i], "/hello");
		run(&ask);
		if (outcome.failure != HTTP_REFUSED_URL)
			printf("# %s: %s\n", hosts[i], outcome.text);
		check_failed(HTTP_REFUSED_URL, "ERR_ADDRESS_NOT_ALLOWED");
	}
	ask.url = "http://169.254.169.254/latest/meta-data/";
	run(&ask);
	check_failed(HTTP_REFUSED_URL, "ERR_ADDRESS_NOT_ALLOWED");
	for (int i = 0; i < 10; i++)
		loop_turn(rig.loop, 5);
	check_int(rig.conn_count, ==, 0);
	rig_stop();
}

static void
a_name_with_one_forbidden_address_is_refused(void)
{
	struct http_ask ask;

	rig_start("127.0.0.0/8");
	ask = ask_of("mixed.test", "/hello");
	run(&ask);
	check_failed(HTTP_REFUSED_URL, "ERR_ADDRESS_NOT_ALLOWED");
	check(strstr(outcome.text, "10.1.2.3") != NULL);
	ask = ask_of("private.test", "/hello");
	run(&ask);
	check_failed(HTTP_REFUSED_URL, "ERR_ADDRESS_NOT_ALLOWED");
	check_int(rig.conn_count, ==, 0);
	rig_stop();
}

static void
urls_that_are_none_are_refused(void)
{
	static const char *const urls[] = {"",
					   "/hello",
					   "hello",
					   "file:///etc/passwd",
					   "ftp://a/",
					   "gopher://a/",
					   "http:/a/",
					   "http://",
					   "http:///x",
					   "http://u@a/",
					   "http://u:p@a/",
					   "http://@a/",
					   "http://a:0/",
					   "http://a:65536/",
					   "http://a:x/",
					   "http://a\\b/",
					   "http:\\\\a/",
					   "http://a\tb/",
					   "http://a\r\nX: y/",
					   "http://a b/",
					   "http://\xc3\xa4.test/",
					   "http://a#@b/\x7f",
					   "http://[::1/",
					   "http://a<b/",
					   " http://a/"};
	struct http_ask ask;

	rig_start("127.0.0.0/8");
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		ask = ask_of("a", "/");
		ask.url = urls[i];
		run(&ask);
		if (outcome.failure != HTTP_REFUSED_URL)
			printf("# %s: %s\n", urls[i], outcome.text);
		check_failed(HTTP_REFUSED_URL, "ERR_INVALID_URL");
	}
	rig_stop();
}

static void
blanks_and_letters_in_a_path_are_escaped(void)
{
	struct http_ask ask;

	rig_start("127.0.0.0/8");
	ask = ask_of("127.0.0.1", "/hello?a b=\xc3\xa4%20");
	run(&ask);
	check(strncmp(rig.last_ask, "GET /hello?a+b=%c3%a4%20 HTTP/1.1\r\n", 35) == 0 ||
	      strncmp(rig.last_ask, "GET /hello?a%20b=%c3%a4%20 HTTP/1.1\r\n", 37) == 0);
	rig_stop();
}

static void
headers_that_are_none_are_refused(void)
{
	static const struct http_header bad[] = {
	    {"X-A", "b\r\nX-C: d"}, {"X-A", "b\nc"}, {"X A", "b"}, {"", "b"}, {"X:", "b"}};
	struct http_ask ask;

	rig_start("127.0.0.0/8");
	for (int i = 0; i < 5; i++) {
		ask = ask_of("127.0.0.1", "/hello");
		ask.headers = &bad[i];
		ask.header_count = 1;
		run(&ask);
		check_failed(HTTP_PROTOCOL, "ERR_INVALID_CHAR");
	}
	ask = ask_of("127.0.0.1", "/hello");
	ask.method = "GET / HTTP/1.1\r\n";
	run(&ask);
	check_failed(HTTP_PROTOCOL, "ERR_INVALID_HTTP_TOKEN");
	check_int(rig.conn_count, ==, 0);
	rig_stop();
}

static void
cancelled_calls_end_once_as_cancelled(void)
{
	struct http_ask ask;
	struct http_call *call;

	rig_start("127.0.0.0/8");
	ask = ask_of("127.0.0.1", "/silent");
	call = http_client_send(rig.client, &ask, on_answer, NULL);
	while (rig.asks == 0)
		loop_turn(rig.loop, 5);
	http_call_cancel(call);
	check(!outcome.done);
	wait_done();
	check_failed(HTTP_CANCELLED, "ERR_CANCELED");
	outcome = (struct outcome){0};
	ask.url = "file:///";
	call = http_client_send(rig.client, &ask, on_answer, NULL);
	http_call_cancel(call); /* refused already, not told yet */
	wait_done();
	check_failed(HTTP_CANCELLED, "ERR_CANCELED");
	rig_stop();
}

static void
on_answer_free_client(void *arg, const struct http_answer *answer)
{
	struct http_client *client = rig.client;

	on_answer(arg, answer);
	rig.client = NULL;
	http_client_free(client);
}

static void
freeing_the_client_ends_its_calls(void)
{
	struct http_ask ask;

	rig_start("127.0.0.0/8");
	ask = ask_of("127.0.0.1", "/silent");
	http_client_send(rig.client, &ask, on_answer, NULL);
	while (rig.asks == 0)
		loop_turn(rig.loop, 5);
	http_client_free(rig.client);
	check_failed(HTTP_CANCELLED, "ERR_CANCELED");
	rig.client = NULL;
	rig_stop();
	rig_start("127.0.0.0/8");
	ask = ask_of("127.0.0.1", "/hello");
	http_client_send(rig.client, &ask, on_answer_free_client, NULL);
	wait_done();
	check_int(outcome.status, ==, 200);
	rig_stop();
}

static void
proxies_of_the_environment_are_ignored(void)
{
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	rig_start("127.0.0.0/8");
	get("/hello");
	check_int(outcome.status, ==, 200);
	rig_stop();
	unsetenv("http_proxy");
	unsetenv("ALL_PROXY");
}

/* The peer moves to a unix socket; the guard allows nothing at all. */
static void
a_unix_socket_is_reached_by_the_path_the_caller_names_and_by_no_url(void)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct http_ask ask;

	rig_start("");
	loop_watch_free(rig.listen_watch);
	close(rig.listener);
	snprintf(at.sun_path, sizeof(at.sun_path), "test_http_client.%ld.sock", (long)getpid());
	rig.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	check_int(bind(rig.listener, (struct sockaddr *)&at, sizeof(at)), ==, 0);
	check_int(listen(rig.listener, 20), ==, 0);
	rig.listen_watch = loop_watch_new(rig.loop, rig.listener, peer_on_accept, NULL);
	loop_watch_set(rig.listen_watch, LOOP_READ);
	ask = ask_of("localhost", "/hello");
	ask.unix_path = at.sun_path;
	http_client_send(rig.client, &ask, on_answer, NULL);
	wait_done();
	check_int(outcome.status, ==, 200);
	check_text(outcome.body, "hello");
	unlink(at.sun_path);
	outcome.done = false;
	ask.unix_path = "nowhere.sock";
	http_client_send(rig.client, &ask, on_answer, NULL);
	wait_done();
	check_failed(HTTP_CONNECT, "ENOENT");
	rig_stop();
}

static void
a_post_that_may_be_repeated_keeps_its_connection(void)
{
	struct http_ask ask;

	rig_start("127.0.0.0/8");
	for (int repeatable = 0; repeatable < 2; repeatable++) {
		for (int i = 0; i < 3; i++) {
			ask = ask_of("127.0.0.1", "/hello");
			ask.method = "POST";
			ask.repeatable = repeatable == 1;
			outcome.done = false;
			http_client_send(rig.client, &ask, on_answer, NULL);
			wait_done();
			check_int(outcome.status, ==, 200);
		}
		check_int(rig.conn_count, ==, 3); /* the second three use one of the first */
	}
	rig_stop();
}

static void
on_counted(void *arg, const struct http_answer *answer)
{
	int *answered = arg;

	(*answered)++;
	check_int(answer->status, ==, 200);
}

static void
calls_over_the_limit_wait_for_a_connection(void)
{
	int64_t end = clock_mono_ms() + PATIENCE_MS;
	struct http_ask ask;
	int answered = 0;

	rig_start("127.0.0.0/8");
	http_client_limit(rig.client, 2, 2, 2);
	ask = ask_of("127.0.0.1", "/hello");
	for (int i = 0; i < 10; i++)
		http_client_send(rig.client, &ask, on_counted, &answered);
	while (answered < 10 && clock_mono_ms() < end)
		loop_turn(rig.loop, 10);
	check_int(answered, ==, 10);
	check_int(rig.conn_count, ==, 2);
	rig_stop();
}

int
main(void)
{
	CHECK_RUN(an_answer_comes_with_all_its_parts);
	CHECK_RUN(requests_say_what_was_asked_and_no_more);
	CHECK_RUN(time_runs_out);
	CHECK_RUN(a_resolver_that_hangs_holds_nothing_up);
	CHECK_RUN(a_refused_port_is_told_as_node_tells_it);
	CHECK_RUN(an_unknown_name_is_enotfound);
	CHECK_RUN(connections_that_break_are_resets);
	CHECK_RUN(no_descriptor_is_our_failure_not_the_servers);
	CHECK_RUN(a_post_is_sent_once_though_a_kept_connection_breaks);
	CHECK_RUN(answers_over_the_cap_are_refused);
	CHECK_RUN(who_wants_what_there_is_gets_a_body_up_to_the_cap);
	CHECK_RUN(who_wants_what_there_is_learns_what_came_before_the_failure);
	CHECK_RUN(heads_without_end_and_without_sense_are_refused);
	CHECK_RUN(compressed_answers_are_opened_when_asked_and_capped_after);
	CHECK_RUN(redirects_are_answers_unless_asked_for);
	CHECK_RUN(redirects_change_the_method_as_everyone_does);
	CHECK_RUN(credentials_do_not_follow_to_another_host);
	CHECK_RUN(redirect_loops_end);
	CHECK_RUN(redirects_to_forbidden_places_are_refused);
	CHECK_RUN(forbidden_addresses_are_never_connected);
	CHECK_RUN(a_name_with_one_forbidden_address_is_refused);
	CHECK_RUN(urls_that_are_none_are_refused);
	CHECK_RUN(blanks_and_letters_in_a_path_are_escaped);
	CHECK_RUN(headers_that_are_none_are_refused);
	CHECK_RUN(cancelled_calls_end_once_as_cancelled);
	CHECK_RUN(freeing_the_client_ends_its_calls);
	CHECK_RUN(proxies_of_the_environment_are_ignored);
	CHECK_RUN(a_unix_socket_is_reached_by_the_path_the_caller_names_and_by_no_url);
	CHECK_RUN(a_post_that_may_be_repeated_keeps_its_connection);
	CHECK_RUN(calls_over_the_limit_wait_for_a_connection);
	return check_done();
}
