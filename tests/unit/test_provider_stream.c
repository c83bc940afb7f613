/* provider/request with bodies that are not held: what is passed on, what is kept for another try.  The client
 * is a script here. */
#include "provider/request.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "tests/lib/check.h"

/* --- a client that gives its answers in pieces --- */

struct http_call {
	http_answer_cb *cb;
	void *arg;
	struct http_stream stream;
	bool has_stream, streams, headed, paused;
	struct http_answer answer;
	size_t given;
};

#define PIECE 65536
static struct loop *loop;
static struct http_answer script[4];
static struct http_call *current;
static int sent, wanted_bytes;
static bool hang;

static void
end_call(struct http_call *call)
{
	struct http_answer answer = call->answer;

	if (call->streams && answer.failure == HTTP_ANSWERED)
		answer.body = (struct slice){NULL, 0};
	call->cb(call->arg, &answer);
	free(call);
	current = NULL;
}

static void
step(void *arg)
{
	struct http_call *call = arg;
	struct http_answer head = call->answer;
	char bytes[8];

	while (call->has_stream && call->stream.on_want != NULL) {
		int64_t got = call->stream.on_want(call->arg, bytes, sizeof(bytes));

		if (got <= 0)
			break;
		wanted_bytes += (int)got;
	}
	head.body = (struct slice){NULL, 0};
	if (!call->headed && call->has_stream && call->stream.on_head != NULL && head.status != 0) {
		call->headed = true;
		call->streams = call->stream.on_head(call->arg, &head);
	}
	while (call->streams && call->given < call->answer.body.len) {
		size_t rest = call->answer.body.len - call->given;
		struct slice piece = {call->answer.body.data + call->given,
				      rest < PIECE ? rest : PIECE};

		if (call->answer.failure == HTTP_CANCELLED)
			break;
		if (!call->stream.on_body(call->arg, piece)) {
			call->paused = true;
			return;
		}
		call->given += piece.len;
	}
	if (!hang || call->answer.failure == HTTP_CANCELLED)
		end_call(call);
}

struct http_call *
http_client_send(struct http_client *client, const struct http_ask *ask, http_answer_cb *cb,
		 void *arg)
{
	struct http_call *call = sl_alloc(sizeof(*call));

	(void)client;
	check_int(sent, <, 4);
	*call = (struct http_call){.cb = cb, .arg = arg, .answer = script[sent++]};
	call->answer.url = ask->url;
	call->has_stream = ask->stream != NULL;
	if (ask->stream != NULL)
		call->stream = *ask->stream;
	current = call;
	loop_soon(loop, step, call);
	return call;
}

void
http_call_cancel(struct http_call *call)
{
	call->answer.failure = HTTP_CANCELLED;
	loop_soon(loop, step, call);
}

void
http_call_resume(struct http_call *call)
{
	check(call->paused);
	call->paused = false;
	loop_soon(loop, step, call);
}

const char *
http_answer_header(const struct http_answer *answer, const char *name)
{
	for (int i = 0; i < answer->header_count; i++)
		if (strcmp(answer->headers[i].name, name) == 0)
			return answer->headers[i].value;
	return NULL;
}

/* --- who asks --- */

static const struct provider provider = {.name = "p", .base_url = "https://x.test"};
static struct provider_ask ask;
static struct http_stream stream;
static struct provider_request *request;
static struct sl_error error;
static int heads, head_status, ends, end_status, tries, refusals, source_left;
static bool collects, refuses;
static size_t body_len, end_body_len;
static bool body_is_right;
static enum http_failure end_failure;
static char end_code[32];
static char *large;
#define LARGE (3 * PROVIDER_HELD_MAX)

static bool
on_head(void *arg, const struct http_answer *head)
{
	check(arg == &ask);
	check_text(head->url, "https://x.test/a");
	check_int(tries, ==, sent); /* on_try was first */
	heads++;
	head_status = head->status;
	return !collects;
}

static bool
on_body(void *arg, struct slice bytes)
{
	check(arg == &ask);
	check_int(heads, ==, 1);
	if (refuses)
		return false;
	for (size_t i = 0; i < bytes.len; i++)
		body_is_right = body_is_right && bytes.data[i] == large[body_len + i];
	body_len += bytes.len;
	return true;
}

static int64_t
on_want(void *arg, char *out, size_t size)
{
	check(arg == &ask);
	if (source_left == 0)
		return HTTP_STREAM_END;
	memset(out, 'x', size);
	source_left--;
	return 1;
}

static void
on_answer(void *arg, const struct http_answer *answer)
{
	check(arg == &ask);
	ends++;
	end_status = answer->status;
	end_failure = answer->failure;
	end_body_len = answer->body.len;
	snprintf(end_code, sizeof(end_code), "%s", answer->code != NULL ? answer->code : "");
}

static void
on_try(void *arg, const struct provider_try *end)
{
	check(arg == &ask);
	(void)end;
	tries++;
}

static void
on_unauthorized(void *arg, struct provider_request *of)
{
	check(arg == &ask);
	refusals++;
	check_int(provider_request_renew(of, NULL, &error), ==, SL_OK);
}

static const struct provider_events events = {
    .on_answer = on_answer, .on_try = on_try, .on_unauthorized = on_unauthorized};

static void
reset(void)
{
	static const struct http_header now = {"retry-after", "0"};

	stream = (struct http_stream){.on_head = on_head, .on_body = on_body, .stall_ms = 1000};
	ask = (struct provider_ask){
	    .method = "GET", .endpoint = "/a", .timeout_ms = 5000, .stream = &stream};
	sent = heads = head_status = ends = end_status = tries = refusals = wanted_bytes = 0;
	body_len = end_body_len = 0;
	collects = refuses = hang = false;
	body_is_right = true;
	for (int i = 0; i < 4; i++)
		script[i] = (struct http_answer){.failure = HTTP_ANSWERED,
						 .status = 503,
						 .headers = &now,
						 .header_count = 1,
						 .body = {large, 1000}};
}

static void
start(void)
{
	const struct provider_connection connection = {.provider = &provider,
						       .credentials = SLICE_LITERAL("{}")};

	check_int(
	    provider_request_start(loop, NULL, &connection, &ask, &events, &ask, &request, &error),
	    ==, SL_OK);
	stream = (struct http_stream){0}; /* it was copied */
}

static void
run(void)
{
	start();
	for (int i = 0; i < 200 && ends == 0; i++)
		loop_turn(loop, 10);
	loop_turn(loop, 5);
	check_int(ends, ==, 1);
}

static void
an_answer_that_stays_is_passed_on(void)
{
	reset();
	script[0].status = 200;
	script[0].body.len = LARGE;
	run();
	check_int(heads, ==, 1);
	check_int(head_status, ==, 200);
	check_int(body_len, ==, LARGE);
	check(body_is_right);
	check_int(end_status, ==, 200);
	check_int(end_body_len, ==, 0);
	check_int(tries, ==, 1);
	reset(); /* the asker wants it whole */
	collects = true;
	script[0].status = 200;
	run();
	check_int(heads, ==, 1);
	check_int(body_len, ==, 0);
	check_int(end_body_len, ==, 1000);
}

static void
an_answer_that_is_tried_again_is_not_seen(void)
{
	reset();
	ask.retries = 2;
	script[1].status = 429;
	script[2].status = 200;
	run();
	check_int(sent, ==, 3);
	check_int(tries, ==, 3);
	check_int(heads, ==, 1);
	check_int(head_status, ==, 200);
	check_int(body_len, ==, 1000);
}

static void
one_that_is_too_large_to_be_held_is_the_outcome(void)
{
	reset();
	ask.retries = 2;
	script[0].body.len = LARGE;
	run();
	check_int(sent, ==, 1);
	check_int(heads, ==, 1);
	check_int(head_status, ==, 503);
	check_int(body_len, ==, LARGE);
	check(body_is_right);
	reset(); /* wanted whole */
	ask.retries = 2;
	collects = true;
	script[0].body.len = LARGE;
	run();
	check_int(end_body_len, ==, LARGE);
	check_int(end_status, ==, 503);
	check_int(heads, ==, 1);
}

static void
a_receiver_may_pause_also_in_front_of_what_was_held(void)
{
	reset();
	ask.retries = 2;
	refuses = true;
	script[0].body.len = LARGE;
	start();
	for (int i = 0; i < 8; i++)
		loop_turn(loop, 5);
	check_int(heads, ==, 1);
	check_int(body_len + (size_t)ends, ==, 0);
	check(current->paused);
	refuses = false;
	provider_request_resume(request);
	for (int i = 0; i < 8; i++)
		loop_turn(loop, 5);
	check_int(body_len, ==, LARGE);
	check(body_is_right);
	check_int(ends, ==, 1);
	check_int(sent, ==, 1);
}

static void
a_401_that_changes_nothing_is_passed_on(void)
{
	reset();
	ask.retries = 2;
	refuses = true;
	script[0].status = 401;
	start();
	for (int i = 0; i < 8; i++)
		loop_turn(loop, 5);
	check_int(refusals, ==, 1);
	check_int(heads, ==, 1);
	check_int(ends, ==, 0);
	refuses = false;
	provider_request_resume(request);
	for (int i = 0; i < 8; i++)
		loop_turn(loop, 5);
	check_int(body_len, ==, 1000);
	check(body_is_right);
	check_int(ends, ==, 1);
	check_int(end_status, ==, 401);
	check_int(end_body_len, ==, 0);
	reset(); /* wanted whole */
	ask.retries = 2;
	collects = true;
	script[0].status = 401;
	run();
	check_int(end_body_len, ==, 1000);
	check_int(heads, ==, 1);
}

static void
a_body_that_streams_in_is_sent_once(void)
{
	reset();
	ask.retries = 3;
	stream.on_want = on_want;
	source_left = 5;
	run();
	check_int(wanted_bytes, ==, 5);
	check_int(sent, ==, 1);
	check_int(end_status, ==, 503);
	check_int(body_len, ==, 1000);
	reset(); /* without a stream for the answer */
	stream = (struct http_stream){.on_want = on_want};
	source_left = 1;
	script[0].status = 200;
	run();
	check_int(heads, ==, 0);
	check_int(end_body_len, ==, 1000);
}

static void
nothing_is_tried_again_behind_a_head_that_was_seen(void)
{
	reset();
	ask.retries = 3;
	hang = true;
	script[0].status = 200;
	start();
	for (int i = 0; i < 5; i++)
		loop_turn(loop, 5);
	check_int(body_len, ==, 1000);
	hang = false;
	current->answer = (struct http_answer){.failure = HTTP_RESET, .code = "ECONNRESET"};
	loop_soon(loop, step, current);
	for (int i = 0; i < 5; i++)
		loop_turn(loop, 5);
	check_int(ends, ==, 1);
	check_int(sent, ==, 1);
	check_int(tries, ==, 1);
	check_int(end_failure, ==, HTTP_RESET);
}

static void
the_deadline_ends_a_stream(void)
{
	reset();
	hang = true;
	script[0].status = 200;
	ask.deadline_mono_ms = clock_mono_ms() + 40;
	run();
	check_int(body_len, ==, 1000);
	check_int(end_failure, ==, HTTP_TIMEOUT);
	check_text(end_code, "ETIMEDOUT");
}

static void
a_cancelled_stream_says_nothing_more(void)
{
	reset();
	hang = true;
	script[0].status = 200;
	start();
	for (int i = 0; i < 5; i++)
		loop_turn(loop, 5);
	check_int(heads, ==, 1);
	provider_request_cancel(request);
	for (int i = 0; i < 5; i++)
		loop_turn(loop, 5);
	check_int(ends, ==, 0);
	check(current == NULL);
}

int
main(void)
{
	loop = loop_new();
	large = sl_alloc(LARGE);
	for (size_t i = 0; i < LARGE; i++)
		large[i] = (char)(i * 2654435761u >> 13);
	CHECK_RUN(an_answer_that_stays_is_passed_on);
	CHECK_RUN(an_answer_that_is_tried_again_is_not_seen);
	CHECK_RUN(one_that_is_too_large_to_be_held_is_the_outcome);
	CHECK_RUN(a_receiver_may_pause_also_in_front_of_what_was_held);
	CHECK_RUN(a_401_that_changes_nothing_is_passed_on);
	CHECK_RUN(a_body_that_streams_in_is_sent_once);
	CHECK_RUN(nothing_is_tried_again_behind_a_head_that_was_seen);
	CHECK_RUN(the_deadline_ends_a_stream);
	CHECK_RUN(a_cancelled_stream_says_nothing_more);
	free(large);
	loop_free(loop);
	return check_done();
}
