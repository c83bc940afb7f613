/* provider/request with the real client against a server of our own on 127.0.0.1: what arrives
 * there after retries and redirects. */
#include "provider/request.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "http/guard.h"
#include "tests/lib/check.h"

static struct loop *loop;
static struct guard *guard, *strict;
static struct http_client *client, *strict_client;
static struct evhttp *near, *far; /* far is another origin: its port differs */
static int near_port, far_port, visits;

#define LARGE (6 << 20)

/* --- the server --- */

static void
redirect(struct evhttp_request *req, int port, const char *path)
{
	char *to = sl_asprintf("http://127.0.0.1:%d%s", port, path);

	evhttp_add_header(evhttp_request_get_output_headers(req), "Location", to);
	free(to);
	evhttp_send_reply(req, 307, "Temporary Redirect", NULL);
}

/* Says what came: request line, the headers that the tests ask for, body. */
static void
echo(struct evhttp_request *req)
{
	static const char *const names[] = {"Authorization", "X-Own", "User-Agent",
					    "Content-Length"};
	struct evkeyvalq *headers = evhttp_request_get_input_headers(req);
	struct evbuffer *in = evhttp_request_get_input_buffer(req), *out = evbuffer_new();

	evbuffer_add_printf(out, "%d %s\n", (int)evhttp_request_get_command(req),
			    evhttp_request_get_uri(req));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = evhttp_find_header(headers, names[i]);

		if (value != NULL)
			evbuffer_add_printf(out, "%s=%s\n", names[i], value);
	}
	evbuffer_add_buffer(out, in);
	evhttp_send_reply(req, 200, "OK", out);
	evbuffer_free(out);
}

/* A refusal that asks to come again, with a body that nobody would hold. */
static void
large(struct evhttp_request *req)
{
	struct evbuffer *out = evbuffer_new();

	for (int i = 0; i < LARGE / 8; i++)
		evbuffer_add_printf(out, "%07d ", i);
	evhttp_add_header(evhttp_request_get_output_headers(req), "Retry-After", "0");
	evhttp_send_reply(req, 503, "Busy", out);
	evbuffer_free(out);
}

static void
count(struct evhttp_request *req)
{
	struct evbuffer *out = evbuffer_new();

	evbuffer_add_printf(out, "%zu", evbuffer_get_length(evhttp_request_get_input_buffer(req)));
	evhttp_send_reply(req, 200, "OK", out);
	evbuffer_free(out);
}

static void
serve(struct evhttp_request *req, void *arg)
{
	const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));

	(void)arg;
	visits++;
	if (strcmp(path, "/busy") == 0 && visits < 3) {
		evhttp_add_header(evhttp_request_get_output_headers(req), "Retry-After", "0");
		evhttp_send_reply(req, 503, "Busy", NULL);
	} else if (strcmp(path, "/large") == 0) {
		large(req);
	} else if (strcmp(path, "/count") == 0) {
		count(req);
	} else if (strcmp(path, "/loop") == 0) {
		redirect(req, near_port, "/loop");
	} else if (strcmp(path, "/near") == 0) {
		redirect(req, near_port, "/echo");
	} else if (strcmp(path, "/far") == 0) {
		redirect(req, far_port, "/echo");
	} else if (strcmp(path, "/teapot") == 0) {
		evhttp_send_reply(req, 418, "I'm a teapot", NULL);
	} else if (strcmp(path, "/hang") != 0) {
		echo(req);
	}
}

static struct evhttp *
server_new(int *port)
{
	struct evhttp *http = evhttp_new(loop_base(loop));
	struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(http, "127.0.0.1", 0);
	struct sockaddr_in address;
	socklen_t len = sizeof(address);

	evhttp_set_gencb(http, serve, NULL);
	if (bound == NULL ||
	    getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &len) != 0)
		exit(99);
	*port = ntohs(address.sin_port);
	return http;
}

/* --- the request --- */

static const struct provider_pair headers[] = {{"authorization", "Bearer ${accessToken}"}};
static const struct provider provider = {.name = "fake",
					 .auth_mode = AUTH_OAUTH2,
					 .base_url = "${baseUrl}",
					 .headers = headers,
					 .header_count = 1,
					 .retry_after_header = "retry-after"};
static struct provider_ask ask;
static struct sl_error error;
static int ends, retries, end_status;
static enum http_failure end_failure;
static char end_code[64], end_body[2048];

static void
on_answer(void *arg, const struct http_answer *answer)
{
	(void)arg;
	ends++;
	end_status = answer->status;
	end_failure = answer->failure;
	snprintf(end_code, sizeof(end_code), "%s", answer->code != NULL ? answer->code : "");
	snprintf(end_body, sizeof(end_body), "%.*s", (int)answer->body.len,
		 answer->body.len > 0 ? answer->body.data : "");
}

static void
on_retry(void *arg, int attempt, int status, const char *code, int64_t wait_ms)
{
	(void)arg, (void)attempt, (void)status, (void)code, (void)wait_ms;
	retries++;
}

static void
reset(const char *endpoint)
{
	ask = (struct provider_ask){.method = "GET",
				    .endpoint = endpoint,
				    .timeout_ms = 5000,
				    .user_agent = "sluice-test",
				    .deadline_mono_ms = clock_mono_ms() + 20000};
	visits = ends = retries = end_status = 0;
	end_body[0] = '\0';
}

static struct provider_request *
start(struct http_client *with, int port)
{
	static const struct provider_events events = {.on_answer = on_answer, .on_retry = on_retry};
	char *config = sl_asprintf("{\"baseUrl\":\"http://127.0.0.1:%d\"}", port);
	const struct provider_connection connection = {
	    .provider = &provider,
	    .credentials = SLICE_LITERAL("{\"type\":\"OAUTH2\",\"access_token\":\"tok\"}"),
	    .connection_config = slice_text(config)};
	struct provider_request *request;

	check_int(
	    provider_request_start(loop, with, &connection, &ask, &events, NULL, &request, &error),
	    ==, SL_OK);
	free(config);
	return request;
}

static void
finish(void)
{
	int64_t until = clock_mono_ms() + 15000;

	while (ends == 0 && clock_mono_ms() < until)
		loop_turn(loop, 50);
	check_int(ends, ==, 1);
}

static void
the_request_arrives_with_credentials_query_and_body(void)
{
	const struct http_header own = {"X-Own", "1"};

	reset("/echo?a=b c");
	ask.method = "POST";
	ask.query = "d=e%26f";
	ask.headers = &own;
	ask.header_count = 1;
	ask.body = SLICE_LITERAL("{\"n\":1}");
	ask.has_body = true;
	start(client, near_port);
	finish();
	check_int(end_failure, ==, HTTP_ANSWERED);
	check_int(end_status, ==, 200);
	check_text(end_body, "2 /echo?a=b%20c&d=e%26f\nAuthorization=Bearer tok\nX-Own=1\n"
			     "User-Agent=sluice-test\nContent-Length=7\n{\"n\":1}");
}

static void
a_busy_provider_is_asked_again_as_it_says(void)
{
	reset("/busy");
	ask.retries = 4;
	start(client, near_port);
	finish();
	check_int(end_status, ==, 200);
	check_int(visits, ==, 3);
	check_int(retries, ==, 2);
}

static void
an_error_of_the_provider_is_passed_on(void)
{
	reset("/teapot");
	ask.retries = 4;
	start(client, near_port);
	finish();
	check_int(end_status, ==, 418);
	check_int(visits, ==, 1);
}

static void
credentials_follow_a_redirect_only_on_the_same_origin(void)
{
	const struct http_header own = {"X-Own", "secret"};

	reset("/near");
	ask.headers = &own;
	ask.header_count = 1;
	start(client, near_port);
	finish();
	check(strstr(end_body, "Authorization=Bearer tok\nX-Own=secret\n") != NULL);
	reset("/far");
	ask.headers = &own;
	ask.header_count = 1;
	start(client, near_port);
	finish();
	check_int(end_status, ==, 200);
	check(strstr(end_body, "/echo") != NULL);
	check(strstr(end_body, "Authorization") == NULL);
	check(strstr(end_body, "X-Own") == NULL);
	reset("/far");
	ask.forward_headers_on_redirect = true;
	start(client, near_port);
	finish();
	check(strstr(end_body, "Authorization=Bearer tok\n") != NULL);
}

static void
a_redirect_loop_ends(void)
{
	reset("/loop");
	ask.retries = 3;
	start(client, near_port);
	finish();
	check_int(end_failure, !=, HTTP_ANSWERED);
	check_int(visits, ==, 1 + PROVIDER_REDIRECTS_MAX);
	check_int(retries, ==, 0);
}

static void
a_hanging_provider_times_out(void)
{
	reset("/hang");
	ask.timeout_ms = 100;
	start(client, near_port);
	finish();
	check_int(end_failure, ==, HTTP_TIMEOUT);
}

static void
a_refused_connection_is_repeated_until_the_deadline_forbids(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);

	/* bound but not listening: nobody else gets the port, and it refuses */
	check_int(bind(fd, (struct sockaddr *)&address, sizeof(address)), ==, 0);
	check_int(getsockname(fd, (struct sockaddr *)&address, &len), ==, 0);
	reset("/");
	ask.retries = 3;
	ask.deadline_mono_ms = clock_mono_ms() + 2500; /* the first wait is 3 s */
	start(client, ntohs(address.sin_port));
	finish();
	close(fd);
	check_int(end_failure, ==, HTTP_CONNECT);
	check_text(end_code, "ECONNREFUSED");
	check_int(retries, ==, 0);
}

static void
addresses_that_are_not_allowed_are_not_called(void)
{
	reset("/echo");
	ask.retries = 3;
	start(strict_client, near_port);
	finish();
	check_int(end_failure, ==, HTTP_REFUSED_URL);
	check_int(visits, ==, 0);
	check_int(retries, ==, 0);
}

static void
a_cancelled_request_is_silent(void)
{
	struct provider_request *request;

	reset("/hang");
	request = start(client, near_port);
	for (int i = 0; i < 100 && visits == 0; i++)
		loop_turn(loop, 20);
	check_int(visits, ==, 1);
	provider_request_cancel(request);
	for (int i = 0; i < 5; i++)
		loop_turn(loop, 5);
	check_int(ends, ==, 0);
}

/* --- streams --- */

static struct provider_request *streamed;
static size_t received, to_send;
static int heads, head_status, pauses;
static bool in_order;
static char piece[9]; /* the number under way */

static void
resume(void *arg)
{
	(void)arg;
	if (ends == 0)
		provider_request_resume(streamed);
}

static bool
on_head(void *arg, const struct http_answer *head)
{
	(void)arg;
	heads++;
	head_status = head->status;
	return true;
}

static bool
on_body(void *arg, struct slice bytes)
{
	(void)arg;
	if (pauses < 20 && received >= (size_t)pauses * (LARGE / 20)) {
		pauses++;
		loop_soon(loop, resume, NULL);
		return false;
	}
	for (size_t i = 0; i < bytes.len; i++, received++) {
		piece[received % 8] = bytes.data[i];
		if (received % 8 == 7)
			in_order = in_order && (size_t)atol(piece) == received / 8;
	}
	return true;
}

static int64_t
on_want(void *arg, char *out, size_t size)
{
	size_t len = size < to_send ? size : to_send;

	(void)arg;
	if (to_send == 0)
		return HTTP_STREAM_END;
	if (pauses < 5) {
		pauses++;
		loop_soon(loop, resume, NULL);
		return 0;
	}
	memset(out, 'u', len);
	to_send -= len;
	return (int64_t)len;
}

static void
a_large_answer_passes_in_pieces_also_when_it_was_to_be_repeated(void)
{
	static const struct http_stream stream = {
	    .on_head = on_head, .on_body = on_body, .stall_ms = 5000};

	reset("/large");
	ask.retries = 3;
	ask.stream = &stream;
	heads = pauses = 0;
	received = 0;
	in_order = true;
	streamed = start(client, near_port);
	finish();
	check_int(visits, ==, 1);
	check_int(heads, ==, 1);
	check_int(head_status, ==, 503);
	check_int(received, ==, LARGE);
	check(in_order);
	check_int(pauses, ==, 20);
	check_int(end_status, ==, 503);

	reset("/busy"); /* a small one is held, and the last is passed on */
	ask.retries = 3;
	ask.stream = &stream;
	heads = 0;
	received = 0;
	streamed = start(client, near_port);
	finish();
	check_int(visits, ==, 3);
	check_int(heads, ==, 1);
	check_int(head_status, ==, 200);
	check_int(received, >, 10);
}

static void
a_body_streams_in_with_pauses(void)
{
	static const struct http_stream stream = {
	    .on_want = on_want, .length = LARGE, .stall_ms = 5000};

	reset("/count");
	ask.method = "POST";
	ask.retries = 3;
	ask.stream = &stream;
	pauses = 0;
	to_send = LARGE;
	streamed = start(client, near_port);
	finish();
	check_int(end_status, ==, 200);
	check_text(end_body, "6291456");
	check_int(visits, ==, 1);
}

int
main(void)
{
	loop = loop_new();
	if (guard_new("127.0.0.0/8", &guard, &error) != SL_OK ||
	    guard_new(NULL, &strict, &error) != SL_OK ||
	    http_client_new(loop, guard, &client, &error) != SL_OK ||
	    http_client_new(loop, strict, &strict_client, &error) != SL_OK)
		return 99;
	near = server_new(&near_port);
	far = server_new(&far_port);
	CHECK_RUN(the_request_arrives_with_credentials_query_and_body);
	CHECK_RUN(a_busy_provider_is_asked_again_as_it_says);
	CHECK_RUN(an_error_of_the_provider_is_passed_on);
	CHECK_RUN(credentials_follow_a_redirect_only_on_the_same_origin);
	CHECK_RUN(a_redirect_loop_ends);
	CHECK_RUN(a_hanging_provider_times_out);
	CHECK_RUN(a_refused_connection_is_repeated_until_the_deadline_forbids);
	CHECK_RUN(addresses_that_are_not_allowed_are_not_called);
	CHECK_RUN(a_cancelled_request_is_silent);
	CHECK_RUN(a_large_answer_passes_in_pieces_also_when_it_was_to_be_repeated);
	CHECK_RUN(a_body_streams_in_with_pauses);
	http_client_free(client);
	http_client_free(strict_client);
	evhttp_free(near);
	evhttp_free(far);
	loop_free(loop);
	guard_free(guard);
	guard_free(strict);
	return check_done();
}
