#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "http/client.h"
#include "http/guard.h"
#include "http/server.h"
#include "tests/lib/check.h"

/* Calls whose bodies go bit by bit.  One loop: the client, and our own server as its peer. */

enum { PATIENCE_MS = 20000, PIECE = 16 * 1024, HUNDRED_MB = 100 * 1000 * 1000, ROOM = 4 << 20 };

/* A request at the peer: what it does is in its path. */
struct job {
	struct http_request *request;
	int64_t left, taken; /* to send; read of the body */
	int64_t stop_at;     /* bytes to send, then no more */
	bool sinks, bomb, gone, ended, begun;
	struct http_call *relay;
	char method[16];
};

static struct rig {
	struct loop *loop;
	struct guard *guard;
	struct http_server *server;
	struct http_client *client;
	struct job jobs[20];
	int job_count;
	struct buf bomb; /* gzip, 50 MB of zeros */
} rig;

/* A call and what it saw. */
struct flow {
	struct http_call *call;
	int64_t up, given; /* to send; -1: without end */
	int64_t fail_at;   /* of given; 0: never */
	int64_t got;       /* of the answer */
	int64_t take_max;  /* of got: then on_body refuses */
	int refuse_each;   /* every so many pieces are refused once */
	int pieces, wants, heads, status;
	bool dry;      /* on_want has nothing */
	bool zeros;    /* the answer is not the pattern */
	bool collects; /* on_head does not want the stream */
	bool cancel_head, cancel_body, cancel_want, late;
	bool head_decoded, head_has_length;
	struct flow *cancels; /* what on_head cancels */
	/* the end */
	bool done, decoded;
	enum http_failure failure;
	int end_status;
	char code[40], text[200], body[64], url[200];
	size_t body_len;
};

static char
pattern(int64_t at)
{
	return (char)(at % 251);
}

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
check_growth(int64_t before, int64_t max)
{
#if !defined(__SANITIZE_ADDRESS__)
	check_int(peak_rss() - before, <, max);
#else
	(void)before;
	(void)max;
#endif
}

/* ---- the peer ---------------------------------------------------------------------------------
 */

static bool
path_is(struct http_request *request, const char *path)
{
	return slice_is(http_request_path(request), path);
}

static void
job_send(struct job *job)
{
	static char bytes[PIECE];

	while (job->left > 0) {
		size_t n = job->left < PIECE ? (size_t)job->left : PIECE;

		for (size_t i = 0; i < n; i++)
			bytes[i] = job->bomb ? rig.bomb.data[job->taken + (int64_t)i]
					     : pattern(job->taken + (int64_t)i);
		if (job->taken >= job->stop_at && job->stop_at > 0)
			return;
		if (!http_request_write(job->request, (struct slice){bytes, n}))
			return;
		job->left -= (int64_t)n;
		job->taken += (int64_t)n;
	}
	job->ended = true;
	http_request_reply_end(job->request, true);
	job->request = NULL;
}

static void
job_sink(struct job *job)
{
	static char bytes[PIECE];
	char text[64];
	int64_t n;

	while ((n = http_request_read(job->request, bytes, PIECE)) > 0) {
		for (int64_t i = 0; i < n; i++)
			check_int(bytes[i], ==, pattern(job->taken + i));
		job->taken += n;
	}
	if (n == 0)
		return;
	check_int(n, ==, HTTP_REQUEST_END);
	snprintf(text, sizeof(text), "%lld", (long long)job->taken);
	job->ended = true;
	http_request_reply(job->request,
			   &(struct http_reply){.status = 200, .body = slice_text(text)});
	job->request = NULL;
}

static void
on_event(void *arg)
{
	struct job *job = arg;

	if (job->relay != NULL)
		http_call_resume(job->relay);
	else if (job->request != NULL && job->sinks)
		job_sink(job);
	else if (job->request != NULL && job->left > 0)
		job_send(job);
}

/* ---- a peer that passes on what it is asked, as the proxy does: "/relay/x" is "/x" -----------------
 */

static int64_t
relay_want(void *arg, char *out, size_t size)
{
	struct job *job = arg;
	int64_t n = http_request_read(job->request, out, size);

	return n == HTTP_REQUEST_END ? HTTP_STREAM_END : n < 0 ? HTTP_STREAM_FAILED : n;
}

static bool
relay_head(void *arg, const struct http_answer *head)
{
	struct job *job = arg;
	const char *length = http_answer_header(head, "content-length");

	job->begun = true;
	http_request_reply_head(job->request, &(struct http_reply){.status = head->status},
				length != NULL ? strtoll(length, NULL, 10) : -1);
	return true;
}

static bool
relay_body(void *arg, struct slice bytes)
{
	struct job *job = arg;

	return http_request_write(job->request, bytes);
}

static void
relay_end(void *arg, const struct http_answer *answer)
{
	struct job *job = arg;

	job->relay = NULL;
	job->ended = true;
	if (job->request != NULL && !job->begun)
		http_request_fail(job->request, 502, "no", "no answer");
	else if (job->request != NULL)
		http_request_reply_end(job->request, answer->failure == HTTP_ANSWERED);
	job->request = NULL;
}

static void
relay_start(struct job *job)
{
	struct http_stream stream = {.on_head = relay_head,
				     .on_body = relay_body,
				     .on_want = relay_want,
				     .length = http_request_length(job->request)};
	struct slice path = http_request_path(job->request);
	struct slice query = http_request_query(job->request);
	struct http_ask ask = {.method = http_request_method(job->request),
			       .timeout_ms = PATIENCE_MS,
			       .response_max = 1000,
			       .stream = &stream};
	char url[256];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d%.*s?%.*s", http_server_port(rig.server),
		 (int)path.len - 6, path.data + 6, (int)query.len, query.data);
	ask.url = url;
	job->relay = http_client_send(rig.client, &ask, relay_end, job);
}

static void
on_server_head(void *arg, struct http_request *request, struct http_verdict *verdict)
{
	(void)arg;
	(void)request;
	verdict->stream = true;
	verdict->body_max = INT64_MAX;
}

static void
answer_redirect(struct http_request *request)
{
	static char page[200 * 1024];
	int status = (int)strtol(http_request_query(request).data, NULL, 10);

	http_request_reply(
	    request,
	    &(struct http_reply){.status = status,
				 .extra_headers = "Location: /sink\r\n",
				 .body = {page, path_is(request, "/to") ? sizeof(page) : 10}});
}

static void
answer_source(struct job *job, const char *headers, bool announced)
{
	const struct http_reply reply = {.status = 200, .extra_headers = headers};

	http_request_reply_head(job->request, &reply, announced ? job->left : -1);
	job_send(job);
}

static void
on_request(void *arg, struct http_request *request)
{
	static const struct http_request_events events = {on_event, on_event};
	struct job *job = &rig.jobs[rig.job_count];

	(void)arg;
	check_int(rig.job_count, <, 20);
	if (path_is(request, "/to") || path_is(request, "/to-small")) {
		answer_redirect(request);
		return;
	}
	rig.job_count++;
	*job = (struct job){.request = request,
			    .left = strtoll(http_request_query(request).data, NULL, 10)};
	snprintf(job->method, sizeof(job->method), "%s", http_request_method(request));
	http_request_set_data(request, job);
	if (!path_is(request, "/hold"))
		http_request_listen(request, &events, job);
	if (http_request_path(request).len > 7 &&
	    memcmp(http_request_path(request).data, "/relay/", 7) == 0) {
		relay_start(job);
		return;
	}
	if (path_is(request, "/stop"))
		job->stop_at = PIECE;
	if (path_is(request, "/source") || path_is(request, "/source-n") ||
	    path_is(request, "/stop")) {
		answer_source(job, "X-A: b\r\n", !path_is(request, "/source"));
	} else if (path_is(request, "/bomb")) {
		job->bomb = true;
		job->left = (int64_t)rig.bomb.len;
		answer_source(job, "Content-Encoding: gzip\r\n", true);
	} else if (path_is(request, "/twice")) {
		job->left = 10;
		answer_source(job, "Content-Encoding: identity, identity\r\n", true);
	} else if (path_is(request, "/sink")) {
		job->sinks = true;
		job_sink(job);
	}
}

static void
on_gone(void *arg, struct http_request *request)
{
	struct job *job = http_request_data(request);

	(void)arg;
	job->gone = true;
	job->request = NULL;
	http_request_fail(request, 500, "gone", "gone");
}

static void
on_gone_stream(void *arg, struct http_request *request)
{
	struct job *job = http_request_data(request);

	if (job->left == 0 && job->stop_at == 0 && job->relay == NULL) {
		on_gone(arg, request);
		return;
	}
	job->gone = true;
	job->request = NULL;
	if (job->relay != NULL) {
		http_call_cancel(job->relay);
		if (!job->begun) {
			http_request_fail(request, 500, "gone", "gone");
			return;
		}
	}
	http_request_reply_end(request, false);
}

/* ---- the caller -------------------------------------------------------------------------------
 */

static bool
take_head(void *arg, const struct http_answer *head)
{
	struct flow *flow = arg;

	flow->late = flow->late || flow->done || flow->cancel_want;
	flow->heads++;
	flow->status = head->status;
	flow->head_decoded = head->decoded;
	flow->head_has_length = http_answer_header(head, "content-length") != NULL;
	if (flow->cancels != NULL)
		http_call_cancel(flow->cancels->call);
	if (flow->cancel_head)
		http_call_cancel(flow->call);
	return !flow->collects;
}

static bool
take_body(void *arg, struct slice bytes)
{
	struct flow *flow = arg;

	flow->late = flow->late || flow->done || flow->cancel_head;
	if (flow->cancel_body) {
		http_call_cancel(flow->call);
		return true;
	}
	if (flow->take_max > 0 && flow->got >= flow->take_max)
		return false;
	flow->pieces++;
	if (flow->refuse_each > 0 && flow->pieces % flow->refuse_each == 0) {
		http_call_resume(flow->call);
		return false;
	}
	for (size_t i = 0; i < bytes.len; i++)
		check_int(bytes.data[i], ==, flow->zeros ? 0 : pattern(flow->got + (int64_t)i));
	flow->got += (int64_t)bytes.len;
	return true;
}

static int64_t
give_body(void *arg, char *out, size_t size)
{
	struct flow *flow = arg;
	int64_t left = flow->up - flow->given;

	flow->late = flow->late || flow->done;
	flow->wants++;
	if (flow->cancel_want)
		http_call_cancel(flow->call);
	if (flow->dry)
		return 0;
	if (flow->refuse_each > 0 && flow->wants % flow->refuse_each == 0) {
		http_call_resume(flow->call);
		return 0;
	}
	if (flow->fail_at > 0 && flow->given >= flow->fail_at)
		return HTTP_STREAM_FAILED;
	if (left == 0)
		return HTTP_STREAM_END;
	if (flow->up >= 0 && (int64_t)size > left)
		size = (size_t)left;
	for (size_t i = 0; i < size; i++)
		out[i] = pattern(flow->given + (int64_t)i);
	flow->given += (int64_t)size;
	return (int64_t)size;
}

static void
on_answer(void *arg, const struct http_answer *answer)
{
	struct flow *flow = arg;

	check(!flow->done);
	flow->done = true;
	flow->failure = answer->failure;
	flow->end_status = answer->status;
	flow->decoded = answer->decoded;
	flow->body_len = answer->body.len;
	snprintf(flow->code, sizeof(flow->code), "%s", answer->code != NULL ? answer->code : "");
	snprintf(flow->text, sizeof(flow->text), "%s", answer->text != NULL ? answer->text : "");
	snprintf(flow->body, sizeof(flow->body), "%.*s",
		 (int)(answer->body.len < 60 ? answer->body.len : 60), answer->body.data);
	snprintf(flow->url, sizeof(flow->url), "%s", answer->url);
}

static const struct http_stream down = {.on_head = take_head, .on_body = take_body};
static const struct http_stream up = {
    .on_head = take_head, .on_body = take_body, .on_want = give_body, .length = -1};

static struct http_ask
ask_of(const char *method, const char *path, const struct http_stream *stream)
{
	static char url[256];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", http_server_port(rig.server), path);
	return (struct http_ask){.method = method,
				 .url = url,
				 .timeout_ms = 15000,
				 .response_max = 1000,
				 .redirects_max = 3,
				 .stream = stream};
}

static void
start(struct flow *flow, const struct http_ask *ask)
{
	flow->call = http_client_send(rig.client, ask, on_answer, flow);
}

#define WAIT_UNTIL(condition)                                      \
	do {                                                       \
		int64_t wait_end = clock_mono_ms() + PATIENCE_MS;  \
		while (!(condition) && clock_mono_ms() < wait_end) \
			loop_turn(rig.loop, 5);                    \
		check(condition);                                  \
	} while (0)

static void
run(struct flow *flow, const struct http_ask *ask)
{
	start(flow, ask);
	WAIT_UNTIL(flow->done);
	check(!flow->late);
}

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

static void
rig_start(void)
{
	static const struct http_handler handler = {on_server_head, on_request, on_gone_stream};
	const struct http_server_settings settings = {0};
	struct sl_error error;

	rig = (struct rig){.loop = loop_new()};
	check_int(guard_new("127.0.0.0/8", &rig.guard, &error), ==, SL_OK);
	check_int(http_client_new(rig.loop, rig.guard, &rig.client, &error), ==, SL_OK);
	rig.server = http_server_new(rig.loop, &settings, &handler, NULL);
	check_int(http_server_listen(rig.server, "127.0.0.1:0", &error), ==, SL_OK);
}

static void
rig_stop(void)
{
	http_client_free(rig.client);
	http_server_free(rig.server);
	guard_free(rig.guard);
	loop_turn(rig.loop, 0);
	loop_free(rig.loop);
	buf_fini(&rig.bomb);
}

/* ---- claims -----------------------------------------------------------------------------------
 */

static void
a_hundred_megabytes_come_with_a_chunk_of_memory(void)
{
	static const char *const paths[] = {"/source?100000000", "/source-n?100000000"};

	for (int i = 0; i < 2; i++) {
		struct flow flow = {.refuse_each = 7};
		struct http_ask ask;
		int64_t before;

		rig_start();
		ask = ask_of("GET", paths[i], &down);
		before = peak_rss();
		run(&flow, &ask);
		check_int(flow.failure, ==, HTTP_ANSWERED);
		check_int(flow.got, ==, HUNDRED_MB);
		check_int(flow.heads, ==, 1);
		check_int(flow.end_status, ==, 200);
		check_int(flow.body_len, ==, 0);
		check_growth(before, ROOM);
		rig_stop();
	}
}

static void
a_hundred_megabytes_go_with_a_chunk_of_memory(void)
{
	for (int i = 0; i < 2; i++) {
		struct http_stream stream = up;
		struct flow flow = {.up = HUNDRED_MB, .refuse_each = 7, .collects = true};
		struct http_ask ask;
		int64_t before;

		rig_start();
		stream.length = i == 0 ? -1 : HUNDRED_MB;
		ask = ask_of("PUT", "/sink", &stream);
		before = peak_rss();
		run(&flow, &ask);
		check_text(flow.text, "");
		check_text(flow.body, "100000000");
		check_growth(before, ROOM);
		rig_stop();
	}
}

static void
a_caller_that_takes_no_more_stops_the_peer(void)
{
	struct flow flow = {.take_max = 1000 * 1000};
	struct http_ask ask;

	rig_start();
	ask = ask_of("GET", "/source?60000000", &down);
	start(&flow, &ask);
	WAIT_UNTIL(flow.got >= flow.take_max);
	turn_until_quiet();
	check_int(rig.jobs[0].taken, <, 30 * 1000 * 1000); /* what the kernel holds */
	check(!flow.done);
	flow.take_max = 0;
	http_call_resume(flow.call);
	WAIT_UNTIL(flow.done);
	check_int(flow.got, ==, 60000000);
	rig_stop();
}

static void
a_source_that_has_nothing_yet_is_asked_again_when_it_says_so(void)
{
	struct flow flow = {.up = 100000, .dry = true, .collects = true};
	struct http_ask ask;
	int wants;

	rig_start();
	ask = ask_of("POST", "/sink", &up);
	start(&flow, &ask);
	WAIT_UNTIL(flow.wants > 0 && rig.job_count == 1);
	wants = flow.wants;
	turn_for(50);
	check_int(flow.wants, ==, wants);
	check_int(rig.jobs[0].taken, ==, 0);
	flow.dry = false;
	http_call_resume(flow.call);
	WAIT_UNTIL(flow.done);
	check_text(flow.body, "100000");
	check_int(flow.heads, ==, 1);
	rig_stop();
}

static void
a_source_that_breaks_off_takes_the_request_back(void)
{
	static const struct {
		int64_t up, fail_at, length;
	} cases[] = {{-1, 50000, -1}, {100000, 50000, 100000}, {50000, 0, 100000}};
	int failed = 0;

	for (int i = 0; i < 3; i++) {
		struct http_stream stream = up;
		struct flow flow = {.up = cases[i].up, .fail_at = cases[i].fail_at};
		struct http_ask ask;

		rig_start();
		stream.length = cases[i].length;
		ask = ask_of("POST", "/sink", &stream);
		run(&flow, &ask);
		failed += flow.failure == HTTP_CANCELLED;
		check_text(flow.text, "the request's body broke off");
		WAIT_UNTIL(http_server_connections(rig.server) == 0);
		check(!rig.jobs[0].ended); /* it saw no end */
		rig_stop();
	}
	check_int(failed, ==, 3);
}

static void
an_announced_length_is_kept_to_and_none_is_a_body_of_none(void)
{
	struct http_stream stream = up;
	struct flow flow = {.up = -1, .collects = true};
	struct http_ask ask;

	rig_start();
	stream.length = 70000; /* the source would go on */
	ask = ask_of("POST", "/sink", &stream);
	run(&flow, &ask);
	check_text(flow.body, "70000");
	check_int(flow.given, ==, 70000);
	stream.length = 0;
	flow = (struct flow){.up = -1, .collects = true};
	ask.stream = &stream;
	run(&flow, &ask);
	check_text(flow.body, "0");
	check_int(flow.wants, ==, 0);
	rig_stop();
}

static void
a_redirect_is_not_the_outcome_and_a_body_goes_once(void)
{
	static const struct {
		const char *method, *path;
		bool dry;
		const char *body, *at; /* "": it fails */
	} cases[] = {
	    {"POST", "/to?303", false, "0", "GET"},
	    {"POST", "/to?302", false, "0", "GET"},
	    {"POST", "/to?307", false, "", ""},
	    {"PUT", "/to?302", false, "", ""},
	    {"POST", "/to?308", true, "1000000", "POST"}, /* nothing of it was taken */
	    {"POST", "/to?303", true, "0", "GET"},
	    {"POST", "/to-small?303", true, "0", "GET"},
	};

	for (int i = 0; i < 7; i++) {
		struct flow flow = {.up = 1000000, .dry = cases[i].dry, .collects = true};
		struct http_ask ask;
		int64_t since_ms = clock_mono_ms();

		rig_start();
		ask = ask_of(cases[i].method, cases[i].path, &up);
		start(&flow, &ask);
		WAIT_UNTIL(flow.done || flow.wants > 0);
		WAIT_UNTIL(flow.done || !flow.dry || rig.job_count == 1);
		check_int(clock_mono_ms() - since_ms, <,
			  5000); /* a source that waits delays nothing */
		flow.dry = false;
		http_call_resume(flow.call);
		WAIT_UNTIL(flow.done);
		check_text(flow.body, cases[i].body);
		check_int(flow.heads, ==, cases[i].body[0] != '\0');
		check_text(rig.jobs[0].method, cases[i].at);
		check_text(flow.code, cases[i].body[0] == '\0' ? "ERR_BODY_NOT_REPEATABLE" : "");
		rig_stop();
	}
}

static void
an_answer_that_is_not_wanted_as_a_stream_is_collected(void)
{
	struct flow flow = {.collects = true};
	struct http_ask ask;

	rig_start();
	ask = ask_of("GET", "/source-n?50", &down);
	run(&flow, &ask);
	check_int(flow.body_len, ==, 50);
	check_int(flow.pieces, ==, 0);
	check(flow.head_has_length && !flow.head_decoded);
	flow = (struct flow){.collects = true};
	ask = ask_of("GET", "/source-n?5000", &down);
	run(&flow, &ask);
	check_int(flow.failure, ==, HTTP_TOO_LARGE); /* 1000: response_max holds */
	flow = (struct flow){.up = 0};
	ask = ask_of("HEAD", "/source-n?5000", &down);
	run(&flow, &ask);
	check_int(flow.failure, ==, HTTP_ANSWERED);
	check_int(flow.pieces, ==, 0);
	rig_stop();
}

static void
calls_may_be_cancelled_and_sent_from_inside_of_callbacks(void)
{
	struct flow flow;
	struct http_ask ask;

	rig_start();
	ask = ask_of("POST", "/source?1000000", &up);
	for (int i = 0; i < 3; i++) {
		flow = (struct flow){.up = i == 2 ? 1000000 : 0,
				     .cancel_head = i == 0,
				     .cancel_body = i == 1,
				     .cancel_want = i == 2};
		run(&flow, &ask);
		check_int(flow.failure, ==, HTTP_CANCELLED);
		check_int(flow.got, ==, 0);
		check_text(flow.code, "ERR_CANCELED");
	}
	{
		struct flow other = {.dry = true, .up = 10};

		start(&other, &ask);
		WAIT_UNTIL(other.wants > 0);
		flow = (struct flow){.cancels = &other};
		ask = ask_of("GET", "/source?1000000", &down);
		run(&flow, &ask);
		check_int(flow.got, ==, 1000000);
		WAIT_UNTIL(other.done);
		check_int(other.failure, ==, HTTP_CANCELLED);
		check(!other.late);
	}
	WAIT_UNTIL(http_server_is_idle(rig.server));
	rig_stop();
}

static struct flow sent_inside;

static bool
send_from_head(void *arg, const struct http_answer *head)
{
	struct http_ask ask = ask_of("GET", "/source-n?50", NULL);

	start(&sent_inside, &ask);
	return take_head(arg, head);
}

static void
a_call_sent_from_a_callback_is_answered(void)
{
	struct http_stream stream = down;
	struct flow flow = {.got = 0};
	struct http_ask ask;

	rig_start();
	sent_inside = (struct flow){.got = 0};
	stream.on_head = send_from_head;
	ask = ask_of("GET", "/source?1000", &stream);
	run(&flow, &ask);
	WAIT_UNTIL(sent_inside.done);
	check_int(sent_inside.failure, ==, HTTP_ANSWERED);
	check_int(sent_inside.body_len, ==, 50);
	rig_stop();
}

static void
a_peer_that_stalls_is_left_and_one_that_waits_for_us_is_not(void)
{
	struct http_stream stream = up;
	struct flow flow = {.up = 0};
	struct http_ask ask;

	rig_start();
	stream.stall_ms = 150;
	ask = ask_of("GET", "/stop?100000", &stream);
	ask.timeout_ms = 1000;
	stream.on_want = NULL;
	run(&flow, &ask);
	check_text(flow.text, "no byte came or went for 150ms");
	check_int(flow.failure, ==, HTTP_TIMEOUT);
	check_int(flow.got, ==, PIECE);
	flow = (struct flow){.take_max = 1};
	ask = ask_of("GET", "/source?500000", &stream);
	ask.timeout_ms = 300; /* of the head only */
	start(&flow, &ask);
	turn_for(450);
	check(!flow.done && flow.got > 0);
	flow.take_max = 0;
	http_call_resume(flow.call);
	WAIT_UNTIL(flow.done);
	check_int(flow.got, ==, 500000);
	/* the peer has the whole request and thinks */
	flow = (struct flow){.up = 10};
	stream.on_want = give_body;
	ask = ask_of("POST", "/hold", &stream);
	ask.timeout_ms = 400;
	run(&flow, &ask);
	check_text(flow.text, "timeout of 400ms exceeded");
	check_int(flow.failure, ==, HTTP_TIMEOUT);
	/* and one that does not take it */
	flow = (struct flow){.up = -1};
	ask.timeout_ms = 10000;
	run(&flow, &ask);
	check_text(flow.text, "no byte came or went for 150ms");
	rig_stop();
}

static void
an_answer_that_breaks_off_is_a_failure_behind_its_head(void)
{
	struct flow flow = {.got = 0};
	struct http_ask ask;

	rig_start();
	ask = ask_of("GET", "/stop?100000", &down);
	start(&flow, &ask);
	WAIT_UNTIL(flow.got == PIECE);
	http_request_reply_end(rig.jobs[0].request, false);
	WAIT_UNTIL(flow.done);
	check_int(flow.heads, ==, 1);
	check_int(flow.failure, ==, HTTP_RESET);
	check_text(flow.code, "ECONNRESET");
	rig_stop();
}

static void
make_bomb(void)
{
	char bytes[4096];
	size_t n;
	FILE *gzip = popen("head -c 50000000 /dev/zero | gzip -c", "r");

	check(gzip != NULL);
	buf_init(&rig.bomb, SIZE_MAX / 2);
	while ((n = fread(bytes, 1, sizeof(bytes), gzip)) > 0)
		buf_add(&rig.bomb, bytes, n);
	check_int(pclose(gzip), ==, 0);
	check_int(rig.bomb.len, <, 100000);
}

static void
a_gzip_bomb_goes_off_slowly_or_not_at_all(void)
{
	struct flow flow = {.zeros = true, .refuse_each = 3};
	struct http_ask ask;
	int64_t before;

	rig_start();
	make_bomb();
	ask = ask_of("GET", "/bomb", &down);
	ask.decompress = true;
	before = peak_rss();
	run(&flow, &ask);
	check_int(flow.failure, ==, HTTP_ANSWERED);
	check_int(flow.got, ==, 50000000);
	check(flow.head_decoded && flow.decoded && !flow.head_has_length);
	check_growth(before, 8 << 20);
	ask.stream = NULL;
	flow = (struct flow){.got = 0};
	ask.response_max = 1000 * 1000;
	run(&flow, &ask);
	check_int(flow.failure, ==, HTTP_TOO_LARGE);
	flow = (struct flow){.cancel_body = true};
	ask = ask_of("GET", "/bomb", &down); /* as it is */
	run(&flow, &ask);
	check_int(flow.failure, ==, HTTP_CANCELLED);
	check(!flow.head_decoded && flow.head_has_length);
	check_growth(before, 8 << 20);
	flow = (struct flow){.got = 0};
	ask = ask_of("GET", "/twice", &down);
	ask.decompress = true;
	run(&flow, &ask);
	check_int(flow.failure, ==, HTTP_PROTOCOL); /* two codings at once */
	check_text(flow.text, "the body's content-encoding is not one that was asked for");
	rig_stop();
}

static void
a_hundred_megabytes_pass_a_relay_with_a_chunk_of_memory(void)
{
	struct http_stream stream = up;
	struct flow flow = {.up = HUNDRED_MB, .collects = true};
	struct http_ask ask;
	int64_t before;

	rig_start();
	before = peak_rss();
	ask = ask_of("PUT", "/relay/sink?", &stream);
	run(&flow, &ask);
	check_int(flow.end_status, ==, 200);
	check_text(flow.body, "100000000");
	flow = (struct flow){.refuse_each = 5};
	ask = ask_of("GET", "/relay/source-n?100000000", &down);
	run(&flow, &ask);
	check_int(flow.failure, ==, HTTP_ANSWERED);
	check_int(flow.got, ==, HUNDRED_MB);
	check_growth(before, ROOM);
	rig_stop();
}

static void
what_breaks_at_one_end_of_a_relay_is_seen_at_the_other(void)
{
	struct flow flow = {.up = -1, .fail_at = 500000};
	struct http_ask ask;

	rig_start();
	ask = ask_of("POST", "/relay/sink?", &up);
	run(&flow, &ask);
	WAIT_UNTIL(rig.jobs[0].ended && rig.jobs[1].gone);
	flow = (struct flow){.got = 0};
	ask = ask_of("GET", "/relay/stop?100000", &down);
	start(&flow, &ask);
	WAIT_UNTIL(flow.got == PIECE);
	http_request_reply_end(rig.jobs[3].request, false);
	WAIT_UNTIL(flow.done);
	check_int(flow.failure, ==, HTTP_RESET);
	rig_stop();
}

int
main(void)
{
	CHECK_RUN(a_hundred_megabytes_pass_a_relay_with_a_chunk_of_memory);
	CHECK_RUN(what_breaks_at_one_end_of_a_relay_is_seen_at_the_other);
	CHECK_RUN(a_hundred_megabytes_come_with_a_chunk_of_memory);
	CHECK_RUN(a_hundred_megabytes_go_with_a_chunk_of_memory);
	CHECK_RUN(a_caller_that_takes_no_more_stops_the_peer);
	CHECK_RUN(a_source_that_has_nothing_yet_is_asked_again_when_it_says_so);
	CHECK_RUN(a_source_that_breaks_off_takes_the_request_back);
	CHECK_RUN(an_announced_length_is_kept_to_and_none_is_a_body_of_none);
	CHECK_RUN(a_redirect_is_not_the_outcome_and_a_body_goes_once);
	CHECK_RUN(an_answer_that_is_not_wanted_as_a_stream_is_collected);
	CHECK_RUN(calls_may_be_cancelled_and_sent_from_inside_of_callbacks);
	CHECK_RUN(a_call_sent_from_a_callback_is_answered);
	CHECK_RUN(a_peer_that_stalls_is_left_and_one_that_waits_for_us_is_not);
	CHECK_RUN(an_answer_that_breaks_off_is_a_failure_behind_its_head);
	CHECK_RUN(a_gzip_bomb_goes_off_slowly_or_not_at_all);
	return check_done();
}
