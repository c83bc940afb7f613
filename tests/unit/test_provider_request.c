/* provider/request: tries, waits, deadline, leave to send, cancel.  The client is a script here. */
#include "provider/request.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "tests/lib/check.h"

/* --- a client that answers from a list --- */

struct http_call {
	http_answer_cb *cb;
	void *arg;
	struct http_answer answer;
};

static struct loop *loop;
static struct http_answer script[16];
static int sent, cancelled;
static struct http_ask last_ask;
static char last_url[256], last_body[64], last_method[16];
static bool hang;

static void
answer_call(void *arg)
{
	struct http_call *call = arg;

	call->cb(call->arg, &call->answer);
	free(call);
}

struct http_call *
http_client_send(struct http_client *client, const struct http_ask *ask, http_answer_cb *cb,
		 void *arg)
{
	struct http_call *call = sl_alloc(sizeof(*call));

	(void)client;
	check_int(sent, <, 16);
	*call = (struct http_call){cb, arg, script[sent++]};
	call->answer.url = ask->url;
	last_ask = *ask;
	snprintf(last_url, sizeof(last_url), "%s", ask->url);
	snprintf(last_method, sizeof(last_method), "%s", ask->method);
	snprintf(last_body, sizeof(last_body), "%.*s", (int)ask->body.len,
		 ask->body.len > 0 ? ask->body.data : "");
	if (!hang)
		loop_soon(loop, answer_call, call);
	return call;
}

void
http_call_cancel(struct http_call *call)
{
	cancelled++;
	call->answer = (struct http_answer){.failure = HTTP_CANCELLED};
	loop_soon(loop, answer_call, call);
}

void
http_call_resume(struct http_call *call)
{
	(void)call;
	check(!"nothing is streamed here");
}

const char *
http_answer_header(const struct http_answer *answer, const char *name)
{
	for (int i = 0; i < answer->header_count; i++)
		if (strcmp(answer->headers[i].name, name) == 0)
			return answer->headers[i].value;
	return NULL;
}

/* --- what the request told us --- */

static const struct provider_pair key[] = {{"key", "${apiKey}"}};
static struct provider provider;
static struct provider_ask ask;
static struct provider_request *request, *asked;
static struct sl_error error;
static int ends, asks, retries, last_retry_status;
static int64_t last_wait_ms;
static enum http_failure end_failure;
static int end_status;
static char end_code[64], end_url[256], end_body[64];

enum leave { LEAVE_YES, LEAVE_NO, LEAVE_LATER, LEAVE_CANCEL };
static enum leave leave;

static void
on_before_send(void *arg, struct provider_request *of)
{
	check(arg == &ask);
	check(of == request);
	check_int(ends, ==, 0);
	asks++;
	asked = of;
	switch (leave) {
	case LEAVE_YES:
		provider_request_go(of, true);
		return;
	case LEAVE_NO:
		provider_request_go(of, false);
		check_int(ends, ==, 0); /* not from inside our own call */
		return;
	case LEAVE_LATER:
		return;
	case LEAVE_CANCEL:
		provider_request_cancel(of);
		return;
	}
}

static void
on_answer(void *arg, const struct http_answer *answer)
{
	check(arg == &ask);
	ends++;
	end_failure = answer->failure;
	end_status = answer->status;
	snprintf(end_code, sizeof(end_code), "%s", answer->code != NULL ? answer->code : "");
	snprintf(end_url, sizeof(end_url), "%s", answer->url);
	snprintf(end_body, sizeof(end_body), "%.*s", (int)answer->body.len,
		 answer->body.len > 0 ? answer->body.data : "");
}

static bool cancel_on_retry;

static void
on_retry(void *arg, int attempt, int status, const char *code, int64_t wait_ms)
{
	check(arg == &ask);
	(void)code;
	retries++;
	check_int(attempt, ==, retries);
	last_retry_status = status;
	last_wait_ms = wait_ms;
	if (cancel_on_retry)
		provider_request_cancel(request);
}

/* --- tries that end, and credentials that are refused --- */

static struct provider_try tries[16];
static int try_count, try_status[16], refusals;
enum renewal { RENEW_OTHER, RENEW_SAME, RENEW_BAD, RENEW_LATER, RENEW_CANCEL };
static enum renewal renewal;

static enum sl_code
renew(struct provider_request *of, const char *credentials)
{
	const struct provider_connection other = {.provider = &provider,
						  .credentials = slice_text(credentials)};

	return provider_request_renew(of, credentials != NULL ? &other : NULL, &error);
}

static void
on_try(void *arg, const struct provider_try *end)
{
	check(arg == &ask);
	check_int(ends, ==, 0);
	check_int(end->number, ==, sent);
	check_int(strncmp(end->shown_url, "https://x.test/a", 16), ==, 0);
	check(strstr(end->shown_url, "key=") == NULL);
	check_int(end->ms, >=, 0);
	try_status[try_count] = end->answer->status;
	tries[try_count++] = *end;
}

static void
on_unauthorized(void *arg, struct provider_request *of)
{
	check(arg == &ask);
	check(of == request);
	check_int(try_count, ==, sent); /* on_try was first */
	check(tries[try_count - 1].repeated);
	refusals++;
	switch (renewal) {
	case RENEW_OTHER:
		check_int(renew(of, "{\"apiKey\":\"other\"}"), ==, SL_OK);
		return;
	case RENEW_SAME:
		check_int(renew(of, NULL), ==, SL_OK);
		check_int(ends, ==, 0); /* not from inside our own call */
		return;
	case RENEW_BAD:
		check_int(renew(of, "{}"), ==, SL_INVALID);
		return;
	case RENEW_LATER:
		return;
	case RENEW_CANCEL:
		provider_request_cancel(of);
		return;
	}
}

static const struct provider_events plain_events = {
    .on_before_send = on_before_send, .on_answer = on_answer, .on_retry = on_retry};
static const struct provider_events all_events = {.on_before_send = on_before_send,
						  .on_answer = on_answer,
						  .on_retry = on_retry,
						  .on_try = on_try,
						  .on_unauthorized = on_unauthorized};
static const struct provider_events *events;

static void
reset(void)
{
	static const struct http_header now = {"retry-after", "0"};

	provider = (struct provider){
	    .name = "p", .base_url = "https://x.test", .query = key, .query_count = 1};
	ask = (struct provider_ask){.method = "GET", .endpoint = "/a", .timeout_ms = 5000};
	sent = cancelled = ends = asks = retries = last_retry_status = end_status = 0;
	last_wait_ms = -1;
	leave = LEAVE_YES;
	hang = cancel_on_retry = false;
	request = asked = NULL;
	events = &plain_events;
	try_count = refusals = 0;
	renewal = RENEW_OTHER;
	end_body[0] = '\0';
	error = (struct sl_error){0};
	for (int i = 0; i < 16; i++)
		script[i] = (struct http_answer){
		    .failure = HTTP_ANSWERED, .status = 503, .headers = &now, .header_count = 1};
}

static enum sl_code
start(void)
{
	static const char credentials[] = "{\"type\":\"API_KEY\",\"apiKey\":\"secret\"}";
	const struct provider_connection connection = {.provider = &provider,
						       .credentials = slice_text(credentials)};
	enum sl_code code =
	    provider_request_start(loop, NULL, &connection, &ask, events, &ask, &request, &error);

	check_int(asks, ==, 0);
	check_int(sent, ==, 0);
	check_int(ends, ==, 0);
	return code;
}

static void
turn(int times)
{
	while (times-- > 0)
		loop_turn(loop, 5);
}

static void
run(void)
{
	check_int(start(), ==, SL_OK);
	for (int i = 0; i < 200 && ends == 0; i++)
		loop_turn(loop, 20);
	turn(3);
	check_int(ends, ==, 1);
}

static void
an_answer_comes_once_and_its_url_hides_the_key(void)
{
	reset();
	script[0].status = 200;
	run();
	check_int(sent, ==, 1);
	check_int(asks, ==, 1);
	check_int(end_status, ==, 200);
	check_text(last_url, "https://x.test/a?key=secret");
	check_text(end_url, "https://x.test/a");
	check_int(last_ask.redirects_max, ==, 5);
	check_int(last_ask.timeout_ms, ==, 5000);
	check(!last_ask.forward_credentials && !last_ask.has_body);
}

static void
without_retries_the_failure_is_the_answer(void)
{
	reset();
	run();
	check_int(sent, ==, 1);
	check_int(retries, ==, 0);
	check_int(end_status, ==, 503);
}

static void
tries_go_on_until_one_succeeds_each_after_leave_to_send(void)
{
	reset();
	ask.retries = 5;
	ask.method = "POST";
	ask.has_body = true;
	ask.body = SLICE_LITERAL("{\"n\":1}");
	script[2].status = 201;
	run();
	check_int(sent, ==, 3);
	check_int(asks, ==, 3);
	check_int(retries, ==, 2);
	check_int(last_retry_status, ==, 503);
	check_int(end_status, ==, 201);
	check_text(last_body, "{\"n\":1}");
	check_text(last_method, "POST");
}

static void
retries_are_counted_and_capped(void)
{
	reset();
	ask.retries = 2;
	run();
	check_int(sent, ==, 3);
	check_int(end_status, ==, 503);
	reset();
	ask.retries = 1000000;
	run();
	check_int(sent, ==, 1 + PROVIDER_RETRIES_MAX);
	reset();
	ask.retries = -7;
	run();
	check_int(sent, ==, 1);
}

static void
the_requests_own_list_and_header_are_used(void)
{
	static const int wanted[] = {404};
	static const struct http_header header = {"x-wait", "0.01"};

	reset();
	ask.retries = 1;
	ask.retry_on = wanted;
	ask.retry_on_count = 1;
	ask.retry_header_after = "X-Wait";
	script[0] = (struct http_answer){
	    .failure = HTTP_ANSWERED, .status = 404, .headers = &header, .header_count = 1};
	script[1].status = 200;
	run();
	check_int(sent, ==, 2);
	check_int(last_wait_ms, >=, 10);
	check_int(last_wait_ms, <=, 12); /* with jitter, never less */
}

static void
a_wait_that_would_pass_the_deadline_is_not_begun(void)
{
	reset();
	ask.retries = 3;
	ask.deadline_mono_ms = clock_mono_ms() + 2000;
	script[0].header_count = 0; /* 3 s by default */
	run();
	check_int(sent, ==, 1);
	check_int(retries, ==, 0);
	check_int(end_status, ==, 503);
	check_int(last_ask.timeout_ms, <=, 2000);
	check_int(last_ask.timeout_ms, >, 0);
}

static void
no_try_starts_after_the_deadline(void)
{
	reset();
	ask.deadline_mono_ms = clock_mono_ms() - 1;
	run();
	check_int(sent, ==, 0);
	check_int(end_failure, ==, HTTP_TIMEOUT);
	check_text(end_code, "ETIMEDOUT");
	check_text(end_url, "https://x.test/a");
}

static void
a_request_that_may_not_go_ends_as_script_aborted(void)
{
	reset();
	leave = LEAVE_NO;
	run();
	check_int(sent, ==, 0);
	check_int(asks, ==, 1);
	check_int(end_failure, ==, HTTP_CANCELLED);
	check_text(end_code, "script_aborted");
}

static void
leave_may_come_later(void)
{
	reset();
	leave = LEAVE_LATER;
	script[0].status = 200;
	check_int(start(), ==, SL_OK);
	turn(5);
	check_int(asks, ==, 1);
	check_int(sent, ==, 0);
	provider_request_go(asked, true);
	provider_request_go(asked, true); /* a second one does nothing */
	turn(5);
	check_int(sent, ==, 1);
	check_int(ends, ==, 1);
	check_int(end_status, ==, 200);
}

static void
a_cancelled_request_says_nothing_more(void)
{
	reset(); /* before the first turn */
	check_int(start(), ==, SL_OK);
	provider_request_cancel(request);
	turn(5);
	check_int(asks + sent + ends, ==, 0);

	reset(); /* while leave is awaited, from inside the event */
	leave = LEAVE_CANCEL;
	check_int(start(), ==, SL_OK);
	turn(5);
	check_int(asks, ==, 1);
	check_int(sent + ends, ==, 0);

	reset(); /* while a try is on its way */
	hang = true;
	check_int(start(), ==, SL_OK);
	turn(5);
	check_int(sent, ==, 1);
	provider_request_cancel(request);
	provider_request_cancel(request);
	turn(5);
	check_int(cancelled, ==, 1);
	check_int(ends, ==, 0);

	reset(); /* during a wait, from inside the event */
	ask.retries = 3;
	cancel_on_retry = true;
	check_int(start(), ==, SL_OK);
	turn(8);
	check_int(sent, ==, 1);
	check_int(retries, ==, 1);
	check_int(ends, ==, 0);
}

static void
each_try_is_told_with_what_follows(void)
{
	static const struct http_header soon = {"retry-after", "0.04"};

	reset();
	events = &all_events;
	ask.retries = 1;
	script[0].headers = &soon;
	script[1].status = 200;
	run();
	check_int(try_count, ==, 2);
	check_int(try_status[0], ==, 503);
	check(tries[0].repeated);
	check_int(tries[0].wait_ms, >=, 40);
	check_int(tries[0].wait_ms, <=, 50); /* a quarter more at most */
	check_int(last_wait_ms, ==, tries[0].wait_ms);
	check_int(try_status[1], ==, 200);
	check(!tries[1].repeated);
}

static void
a_401_is_repeated_with_the_credentials_of_a_refresh(void)
{
	static const struct http_header mine = {"x-mine", "kept"};
	char query[] = "q=1";

	reset();
	events = &all_events;
	ask.retries = 3;
	ask.headers = &mine;
	ask.header_count = 1;
	ask.query = query;
	script[0].status = 401;
	script[1].status = 200;
	provider.query_count = 1;
	check_int(start(), ==, SL_OK);
	ask.headers = NULL; /* what it needs again is its own */
	query[0] = 'z';
	for (int i = 0; i < 200 && ends == 0; i++)
		loop_turn(loop, 20);
	check_int(refusals, ==, 1);
	check_int(sent, ==, 2);
	check_int(asks, ==, 2);
	check_int(end_status, ==, 200);
	check_text(last_url, "https://x.test/a?q=1&key=other");
	check_int(last_ask.header_count, >=, 1);
}

static void
a_401_that_changes_nothing_is_final(void)
{
	static const int wanted[] = {401};

	for (renewal = RENEW_SAME; renewal <= RENEW_BAD; renewal++) {
		enum renewal now = renewal;

		reset();
		renewal = now;
		events = &all_events;
		ask.retries = 3;
		ask.retry_on = wanted;
		ask.retry_on_count = 1;
		script[0].status = 401;
		script[0].body = SLICE_LITERAL("who are you?");
		run();
		check_int(sent, ==, 1);
		check_int(refusals, ==, 1);
		check_int(retries, ==, 0);
		check_int(end_status, ==, 401);
		check_text(end_body, "who are you?");
		check_text(end_url, "https://x.test/a");
	}
	reset(); /* nobody who could help */
	ask.retries = 3;
	ask.retry_on = wanted;
	ask.retry_on_count = 1;
	script[0].status = 401;
	run();
	check_int(sent, ==, 1);
	reset(); /* no tries left */
	events = &all_events;
	script[0].status = 401;
	run();
	check_int(refusals, ==, 0);
	check_int(sent, ==, 1);
	reset(); /* a second 401 with the last try */
	events = &all_events;
	ask.retries = 1;
	script[0].status = script[1].status = 401;
	run();
	check_int(refusals, ==, 1);
	check_int(sent, ==, 2);
	check_int(end_status, ==, 401);
}

static void
a_refresh_is_waited_for_until_the_deadline(void)
{
	reset();
	events = &all_events;
	ask.retries = 1;
	renewal = RENEW_LATER;
	script[0].status = 401;
	script[1].status = 200;
	check_int(start(), ==, SL_OK);
	turn(8);
	check_int(refusals, ==, 1);
	check_int(ends, ==, 0);
	check_int(renew(request, "{\"apiKey\":\"late\"}"), ==, SL_OK);
	turn(8);
	check_int(ends, ==, 1);
	check_int(end_status, ==, 200);
	check_text(last_url, "https://x.test/a?key=late");

	reset();
	events = &all_events;
	ask.retries = 1;
	renewal = RENEW_LATER;
	ask.deadline_mono_ms = clock_mono_ms() + 40;
	script[0].status = 401;
	run();
	check_int(sent, ==, 1);
	check_int(end_status, ==, 401);

	reset();
	events = &all_events;
	ask.retries = 1;
	renewal = RENEW_CANCEL;
	script[0].status = 401;
	check_int(start(), ==, SL_OK);
	turn(8);
	check_int(refusals, ==, 1);
	check_int(ends, ==, 0);
}

static void
credentials_may_be_renewed_before_a_try(void)
{
	reset();
	leave = LEAVE_LATER;
	script[0].status = 200;
	check_int(start(), ==, SL_OK);
	turn(5);
	check_int(renew(asked, "{}"), ==, SL_INVALID); /* goes on with what it had */
	check_int(renew(asked, "{\"apiKey\":\"fresh\"}"), ==, SL_OK);
	check_int(renew(asked, NULL), ==, SL_OK);
	provider_request_go(asked, true);
	turn(5);
	check_text(last_url, "https://x.test/a?key=fresh");
	check_int(ends, ==, 1);
}

static void
events_that_are_not_wanted_may_be_left_out(void)
{
	static const struct provider_events few = {.on_answer = on_answer};
	const struct provider_connection connection = {
	    .provider = &provider, .credentials = SLICE_LITERAL("{\"apiKey\":\"k\"}")};

	reset();
	ask.retries = 1;
	script[1].status = 200;
	check_int(
	    provider_request_start(loop, NULL, &connection, &ask, &few, &ask, &request, &error), ==,
	    SL_OK);
	for (int i = 0; i < 200 && ends == 0; i++)
		loop_turn(loop, 20);
	check_int(sent, ==, 2);
	check_int(end_status, ==, 200);
}

static void
what_cannot_be_sent_is_refused_at_once(void)
{
	reset();
	provider.base_url = NULL;
	check_int(start(), ==, SL_INVALID);
	check_int(strncmp(error.text, "missing_api_url", 15), ==, 0);
	reset();
	ask.base_url_override = "javascript:1";
	check_int(start(), ==, SL_INVALID);
	reset();
	ask.method = "GET /";
	check_int(start(), ==, SL_INVALID);
	reset();
	ask.method = "";
	check_int(start(), ==, SL_INVALID);
	reset();
	ask.timeout_ms = 0;
	check_int(start(), ==, SL_INVALID);
	turn(3);
	check_int(asks + sent + ends, ==, 0);
}

int
main(void)
{
	loop = loop_new();
	CHECK_RUN(an_answer_comes_once_and_its_url_hides_the_key);
	CHECK_RUN(without_retries_the_failure_is_the_answer);
	CHECK_RUN(tries_go_on_until_one_succeeds_each_after_leave_to_send);
	CHECK_RUN(retries_are_counted_and_capped);
	CHECK_RUN(the_requests_own_list_and_header_are_used);
	CHECK_RUN(a_wait_that_would_pass_the_deadline_is_not_begun);
	CHECK_RUN(no_try_starts_after_the_deadline);
	CHECK_RUN(a_request_that_may_not_go_ends_as_script_aborted);
	CHECK_RUN(leave_may_come_later);
	CHECK_RUN(a_cancelled_request_says_nothing_more);
	CHECK_RUN(each_try_is_told_with_what_follows);
	CHECK_RUN(a_401_is_repeated_with_the_credentials_of_a_refresh);
	CHECK_RUN(a_401_that_changes_nothing_is_final);
	CHECK_RUN(a_refresh_is_waited_for_until_the_deadline);
	CHECK_RUN(credentials_may_be_renewed_before_a_try);
	CHECK_RUN(events_that_are_not_wanted_may_be_left_out);
	CHECK_RUN(what_cannot_be_sent_is_refused_at_once);
	loop_free(loop);
	return check_done();
}
