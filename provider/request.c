#include "provider/request.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/secret.h"
#include "provider/asked.h"
#include "provider/held.h"
#include "provider/prepare.h"
#include "provider/retry.h"

/* DUE -> ASKING -> SENDING -> DUE (another try) or ENDED, or over RENEWING when credentials were
 * refused; HOLDING gives out an answer that was to be tried again and is the outcome after all;
 * FAILING is the way out for ends that are ours.  Invariants: the timer is armed in DUE and
 * FAILING, in HOLDING unless its receiver paused, and for the deadline in RENEWING and behind the head
 * of a stream; call is there if and only if the client still owes us its callback (SENDING, or
 * ENDED by a cancel in SENDING); held is there in RENEWING and HOLDING. */
enum request_state {
	REQUEST_DUE,      /* the timer will ask for the next try, now or after a wait */
	REQUEST_ASKING,   /* on_before_send was called: provider_request_go() is awaited */
	REQUEST_SENDING,  /* a try is on its way */
	REQUEST_RENEWING, /* on_unauthorized was called: provider_request_renew() is awaited */
	REQUEST_HOLDING,  /* the timer will report what is held */
	REQUEST_FAILING,  /* the timer will report failure, code and text */
	REQUEST_ENDED,    /* reported or cancelled */
};
#define REQUEST_STATES 7

static const bool request_allows[REQUEST_STATES][REQUEST_STATES] = {
    [REQUEST_DUE] = {[REQUEST_ASKING] = true, [REQUEST_ENDED] = true},
    [REQUEST_ASKING] = {[REQUEST_SENDING] = true, [REQUEST_FAILING] = true, [REQUEST_ENDED] = true},
    [REQUEST_SENDING] = {[REQUEST_DUE] = true,
			 [REQUEST_RENEWING] = true,
			 [REQUEST_HOLDING] = true,
			 [REQUEST_ENDED] = true},
    [REQUEST_RENEWING] = {[REQUEST_DUE] = true, [REQUEST_HOLDING] = true, [REQUEST_ENDED] = true},
    [REQUEST_HOLDING] = {[REQUEST_ENDED] = true},
    [REQUEST_FAILING] = {[REQUEST_ENDED] = true},
};

/* What becomes of the answer to one try. */
enum verdict {
	VERDICT_STAYS,        /* it is the outcome */
	VERDICT_REPEATED,     /* another try follows */
	VERDICT_UNAUTHORIZED, /* another one follows when there are other credentials */
};

/* Where the body of the answer at hand goes. */
enum body_way {
	BODY_WITH_ANSWER, /* comes with it, whole */
	BODY_HELD,        /* is collected here */
	BODY_OWED,        /* what was collected goes to the asker's stream before any more */
	BODY_PASSED,      /* to the asker's stream */
};

struct provider_request {
	enum request_state state;
	struct loop *loop;                    /* borrowed */
	struct http_client *client;           /* borrowed */
	const struct provider_events *events; /* borrowed */
	void *arg;
	struct loop_timer *timer;
	struct http_call *call; /* the client's, until its callback */

	struct asked asked;
	struct prepared prepared;

	int tries;         /* begun */
	int64_t sent_ms;   /* the last of them, monotonic */
	int retries;       /* further tries allowed in all */
	int64_t due_ms;    /* of RENEWING: when the next one may go, monotonic */
	int64_t wait_ms;   /* and what was told of that wait */
	bool told;         /* the end of this try was told */
	bool taken;        /* bytes of the request's stream went out: they cannot go out again */
	bool overdue;      /* cancelled by us: the deadline passed behind the head */
	enum body_way way; /* of this try's answer */
	struct held held;

	enum http_failure failure; /* of REQUEST_FAILING */
	const char *code, *text;
};

static void
request_free(void *arg)
{
	struct provider_request *request = arg;

	loop_timer_free(request->timer);
	prepare_fini(&request->prepared);
	asked_fini(&request->asked);
	held_fini(&request->held);
	free(request);
}

static void
request_enter(struct provider_request *request, enum request_state to)
{
	assert(request_allows[request->state][to]);
	request->state = to;
	if (to != REQUEST_ENDED)
		return;
	loop_timer_stop(request->timer);
	if (request->call == NULL) /* else the client calls once more */
		loop_free_later(request->loop, request_free, request);
}

static void
request_end(struct provider_request *request, const struct http_answer *answer)
{
	struct http_answer shown = *answer;

	shown.url = request->prepared.shown_url;
	request_enter(request, REQUEST_ENDED);
	request->events->on_answer(request->arg, &shown);
}

/* Never from inside the caller's own call, so it is reported by the timer. */
static void
request_fail(struct provider_request *request, enum http_failure failure, const char *code,
	     const char *text)
{
	request_enter(request, REQUEST_FAILING);
	request->failure = failure;
	request->code = code;
	request->text = text;
	loop_timer_in(request->timer, 0);
}

static int64_t
left_ms(const struct provider_request *request)
{
	return request->asked.ask.deadline_mono_ms != 0
		   ? request->asked.ask.deadline_mono_ms - clock_mono_ms()
		   : INT64_MAX;
}

/* ---- the end of a try --------------------------------------------------------------------------- */

static enum verdict
judge(const struct provider_request *request, const struct http_answer *answer, int64_t *wait_ms)
{
	const struct retry_rules *rules = &request->asked.rules;
	bool unauthorized = answer->failure == HTTP_ANSWERED && answer->status == 401;
	int64_t wall_ms = clock_wall_ms();
	uint32_t random;

	*wait_ms = 0;
	if (request->tries > request->retries || request->taken ||
	    (unauthorized && request->events->on_unauthorized == NULL) ||
	    !retry_is_worth(rules, answer))
		return VERDICT_STAYS;
	secret_random(&random, sizeof(random));
	*wait_ms = retry_spread_ms(retry_wait_ms(rules, answer, request->tries, wall_ms),
				   retry_asked_ms(rules, answer, wall_ms) >= 0, random);
	if (*wait_ms >= left_ms(request)) {
		*wait_ms = 0;
		return VERDICT_STAYS;
	}
	return unauthorized ? VERDICT_UNAUTHORIZED : VERDICT_REPEATED;
}

static enum metric_provider
outcome_of(const struct http_answer *answer)
{
	if (answer->failure != HTTP_ANSWERED)
		return METRIC_PROVIDER_FAILED;
	if (answer->status == 429)
		return METRIC_PROVIDER_LIMITED;
	return answer->status >= 500   ? METRIC_PROVIDER_SERVER_ERROR
	       : answer->status >= 400 ? METRIC_PROVIDER_CLIENT_ERROR
				       : METRIC_PROVIDER_OK;
}

/* Once for each try.  The asker may cancel from inside. */
static void
tell_try(struct provider_request *request, const struct http_answer *answer, enum verdict verdict,
	 int64_t wait_ms)
{
	const struct provider_try end = {
	    .number = request->tries,
	    .method = request->asked.ask.method,
	    .shown_url = request->prepared.shown_url,
	    .answer = answer,
	    .ms = clock_mono_ms() - request->sent_ms,
	    .repeated = verdict != VERDICT_STAYS,
	    .wait_ms = wait_ms,
	};

	if (request->told)
		return;
	request->told = true;
	if (answer->failure != HTTP_CANCELLED) { /* by us: it tells nothing of the provider */
		metrics_count(METRIC_PROVIDER_REQUESTS, outcome_of(answer));
		metrics_observe_ms(METRIC_PROVIDER_LATENCY, 0, end.ms);
	}
	if (request->events->on_try != NULL)
		request->events->on_try(request->arg, &end);
}

/* Last in its caller: the asker may cancel from inside. */
static void
wait_for_next(struct provider_request *request, int status, const char *code, int64_t timer_ms,
	      int64_t wait_ms)
{
	request_enter(request, REQUEST_DUE);
	loop_timer_in(request->timer, timer_ms);
	if (request->events->on_retry != NULL)
		request->events->on_retry(request->arg, request->tries, status, code, wait_ms);
}

static void
hold(struct provider_request *request)
{
	request_enter(request, REQUEST_HOLDING);
	loop_timer_in(request->timer, 0);
}

static void
ask_for_credentials(struct provider_request *request, const struct http_answer *answer,
		    int64_t wait_ms)
{
	int64_t left = left_ms(request);

	if (!request->held.there) {
		held_head(&request->held, answer, PROVIDER_HELD_MAX);
		if (!held_add(&request->held, answer->body)) {
			request_end(request, answer);
			return;
		}
	}
	request->due_ms = clock_mono_ms() + wait_ms;
	request->wait_ms = wait_ms;
	request_enter(request, REQUEST_RENEWING);
	if (left != INT64_MAX)
		loop_timer_in(request->timer, left > 0 ? left : 0);
	request->events->on_unauthorized(request->arg, request);
}

/* An answer none of which has gone to the asker's stream. */
static void
settle_try(struct provider_request *request, const struct http_answer *answer)
{
	int64_t wait_ms;
	enum verdict verdict = judge(request, answer, &wait_ms);

	tell_try(request, answer, verdict, wait_ms);
	if (request->state != REQUEST_SENDING)
		return;
	switch (verdict) {
	case VERDICT_STAYS:
		if (request->held.there)
			hold(request);
		else
			request_end(request, answer);
		return;
	case VERDICT_REPEATED:
		wait_for_next(request, answer->status, answer->code, wait_ms, wait_ms);
		return;
	case VERDICT_UNAUTHORIZED:
		ask_for_credentials(request, answer, wait_ms);
		return;
	}
}

/* The head is with the asker: whatever comes is the end. */
static void
settle_passed(struct provider_request *request, const struct http_answer *answer)
{
	struct http_answer end = *answer;

	if (request->overdue) {
		end.failure = HTTP_TIMEOUT;
		end.code = "ETIMEDOUT";
		end.text = "the run's time was over before the answer had come whole";
	} else if (request->way == BODY_HELD && request->held.answer.cut) {
		end.failure = HTTP_TOO_LARGE;
		end.code = "ERR_BAD_RESPONSE";
		end.text = "the answer is larger than what is read of one";
	} else if (request->way == BODY_HELD && answer->failure == HTTP_ANSWERED) {
		end = request->held.answer;
	} else if (request->way == BODY_OWED && answer->failure == HTTP_ANSWERED) {
		hold(request); /* all has come, but its receiver pauses */
		return;
	}
	request_end(request, &end);
}

static void
request_on_call_answer(void *arg, const struct http_answer *answer)
{
	struct provider_request *request = arg;

	request->call = NULL;
	switch (request->state) {
	case REQUEST_SENDING:
		loop_timer_stop(request->timer);
		if (request->told) {
			settle_passed(request, answer);
		} else if (request->way == BODY_HELD && answer->failure == HTTP_ANSWERED) {
			settle_try(request, &request->held.answer);
		} else {
			held_fini(&request->held);
			settle_try(request, answer);
		}
		return;
	case REQUEST_ENDED: /* cancelled meanwhile, and kept for this call only */
		loop_free_later(request->loop, request_free, request);
		return;
	case REQUEST_DUE:
	case REQUEST_ASKING:
	case REQUEST_RENEWING:
	case REQUEST_HOLDING:
	case REQUEST_FAILING:
		assert(!"an answer without a call");
	}
}

/* ---- streams ------------------------------------------------------------------------------------ */

/* Behind the head only the deadline bounds a stream as a whole. */
static void
watch_deadline(struct provider_request *request)
{
	int64_t left = left_ms(request);

	if (request->asked.stream.stall_ms > 0 && left != INT64_MAX)
		loop_timer_in(request->timer, left > 0 ? left : 0);
}

/* Whether the asker takes the body bit by bit. */
static bool
pass_head(struct provider_request *request, const struct http_answer *head)
{
	struct http_answer shown = *head;

	shown.url = request->prepared.shown_url;
	return request->asked.stream.on_head(request->arg, &shown);
}

static bool
is_longer_than_held(const struct http_answer *head)
{
	const char *length = http_answer_header(head, "content-length");
	int64_t thousandths;

	return length != NULL && retry_number(length, &thousandths) &&
	       thousandths / 1000 > PROVIDER_HELD_MAX;
}

static bool
request_on_head(void *arg, const struct http_answer *head)
{
	struct provider_request *request = arg;
	int64_t wait_ms;

	if (request->state != REQUEST_SENDING)
		return false;
	if (judge(request, head, &wait_ms) != VERDICT_STAYS && !is_longer_than_held(head)) {
		held_head(&request->held, head, PROVIDER_HELD_MAX);
		request->way = BODY_HELD;
		return true;
	}
	tell_try(request, head, VERDICT_STAYS, 0);
	if (request->state != REQUEST_SENDING)
		return false;
	watch_deadline(request);
	request->way = pass_head(request, head) ? BODY_PASSED : BODY_WITH_ANSWER;
	return request->way == BODY_PASSED;
}

/* What was to be tried again is too large to be held: it is the outcome. */
static void
give_up_holding(struct provider_request *request)
{
	tell_try(request, &request->held.answer, VERDICT_STAYS, 0);
	if (request->state != REQUEST_SENDING)
		return;
	watch_deadline(request);
	if (pass_head(request, &request->held.answer))
		request->way = BODY_OWED;
	else /* it wants it whole */
		request->held.body.cap = PROVIDER_RESPONSE_MAX;
}

static bool
request_on_body(void *arg, struct slice bytes)
{
	struct provider_request *request = arg;
	const struct http_stream *stream = &request->asked.stream;

	if (request->state != REQUEST_SENDING)
		return true; /* cancelled: nobody wants them */
	if (request->way == BODY_HELD) {
		if (held_add(&request->held, bytes))
			return true;
		if (!request->told)
			give_up_holding(request);
		if (request->state != REQUEST_SENDING)
			return true;
		if (request->way == BODY_HELD) {
			if (held_add(&request->held, bytes))
				return true;
			request->held.answer.cut = true; /* told at the end; the rest is dropped */
			return true;
		}
	}
	if (request->way == BODY_OWED) {
		if (!stream->on_body(request->arg, request->held.answer.body))
			return false;
		request->way = BODY_PASSED;
		held_fini(&request->held);
		if (request->state != REQUEST_SENDING)
			return true;
	}
	return stream->on_body(request->arg, bytes);
}

static int64_t
request_on_want(void *arg, char *out, size_t size)
{
	struct provider_request *request = arg;
	int64_t got;

	if (request->state != REQUEST_SENDING)
		return HTTP_STREAM_FAILED;
	got = request->asked.stream.on_want(request->arg, out, size);
	if (got != 0)
		request->taken = true;
	return got;
}

/* What is held goes the way of any other answer. */
static void
give_held(struct provider_request *request)
{
	const struct http_stream *stream = request->asked.ask.stream;
	struct http_answer *answer = &request->held.answer;

	if (stream != NULL && stream->on_head != NULL) {
		if (request->way != BODY_OWED) {
			if (!pass_head(request, answer)) {
				if (request->state == REQUEST_HOLDING)
					request_end(request, answer);
				return;
			}
			request->way = BODY_OWED;
		}
		if (request->state != REQUEST_HOLDING)
			return;
		if (answer->body.len > 0 && !stream->on_body(request->arg, answer->body))
			return; /* again after provider_request_resume() */
		if (request->state != REQUEST_HOLDING)
			return;
		answer->body = (struct slice){NULL, 0};
	}
	request_end(request, answer);
}

void
provider_request_resume(struct provider_request *request)
{
	if (request->state == REQUEST_SENDING && request->call != NULL)
		http_call_resume(request->call);
	else if (request->state == REQUEST_HOLDING)
		loop_timer_in(request->timer, 0);
}

/* ---- a try -------------------------------------------------------------------------------------- */

static void
request_send(struct provider_request *request, int64_t left)
{
	const struct provider_ask *asked = &request->asked.ask;
	struct http_stream stream;
	struct http_ask ask = {
	    .method = asked->method,
	    .url = request->prepared.url,
	    .headers = request->prepared.headers,
	    .header_count = request->prepared.header_count,
	    .body = asked->body,
	    .has_body = asked->has_body,
	    .timeout_ms = asked->timeout_ms < left ? asked->timeout_ms : left,
	    .response_max = PROVIDER_RESPONSE_MAX,
	    .redirects_max = PROVIDER_REDIRECTS_MAX,
	    .forward_credentials = asked->forward_headers_on_redirect,
	    .credential_headers = request->prepared.credential_headers,
	    .decompress = asked->decompress,
	};

	if (asked->stream != NULL) {
		stream = *asked->stream;
		stream.on_head = stream.on_head != NULL ? request_on_head : NULL;
		stream.on_body = stream.on_body != NULL ? request_on_body : NULL;
		stream.on_want = stream.on_want != NULL ? request_on_want : NULL;
		ask.stream = &stream;
	}
	held_fini(&request->held);
	request_enter(request, REQUEST_SENDING);
	request->way = BODY_WITH_ANSWER;
	request->told = false;
	request->tries++;
	request->sent_ms = clock_mono_ms();
	request->call = http_client_send(request->client, &ask, request_on_call_answer, request);
}

void
provider_request_go(struct provider_request *request, bool allowed)
{
	int64_t left;

	if (request->state != REQUEST_ASKING) /* cancelled in the same turn */
		return;
	left = left_ms(request);
	if (!allowed)
		request_fail(request, HTTP_CANCELLED, "script_aborted",
			     "the run was stopped before this request was sent");
	else if (left <= 0)
		request_fail(request, HTTP_TIMEOUT, "ETIMEDOUT",
			     "the run's time was over before this request was sent");
	else
		request_send(request, left);
}

enum sl_code
provider_request_renew(struct provider_request *request,
		       const struct provider_connection *connection, struct sl_error *error)
{
	struct prepared prepared;
	enum sl_code code = SL_OK;
	int64_t rest;

	if (request->state != REQUEST_RENEWING && request->state != REQUEST_ASKING)
		return SL_OK; /* cancelled or over in the same turn */
	if (connection != NULL) {
		code = prepare_request(connection, &request->asked.ask, &prepared, error);
		if (code == SL_OK) {
			prepare_fini(&request->prepared);
			request->prepared = prepared;
		}
	}
	if (request->state == REQUEST_ASKING)
		return code;
	loop_timer_stop(request->timer);
	if (connection == NULL || code != SL_OK) {
		hold(request);
		return code;
	}
	rest = request->due_ms - clock_mono_ms();
	wait_for_next(request, request->held.answer.status, NULL, rest > 0 ? rest : 0,
		      request->wait_ms);
	return SL_OK;
}

static void
request_on_timer(void *arg)
{
	struct provider_request *request = arg;
	struct http_answer answer = {.status_text = "", .text = request->text};

	switch (request->state) {
	case REQUEST_DUE:
		request_enter(request, REQUEST_ASKING);
		if (request->events->on_before_send != NULL)
			request->events->on_before_send(request->arg, request);
		else
			provider_request_go(request, true);
		return;
	case REQUEST_RENEWING: /* no time is left for another try */
		hold(request);
		return;
	case REQUEST_HOLDING:
		give_held(request);
		return;
	case REQUEST_SENDING:
		request->overdue = true;
		http_call_cancel(request->call);
		return;
	case REQUEST_FAILING:
		answer.failure = request->failure;
		answer.code = request->code;
		request_end(request, &answer);
		return;
	case REQUEST_ASKING:
	case REQUEST_ENDED:
		return;
	}
}

void
provider_request_cancel(struct provider_request *request)
{
	if (request->state == REQUEST_ENDED)
		return;
	request_enter(request, REQUEST_ENDED);
	if (request->call != NULL)
		http_call_cancel(request->call);
}

const struct retry_rules *
provider_request_rules(const struct provider_request *request)
{
	return &request->asked.rules;
}

static bool
is_method(const char *method)
{
	size_t len = strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

	return len > 0 && len <= 16 && method[len] == '\0';
}

enum sl_code
provider_request_start(struct loop *loop, struct http_client *client,
		       const struct provider_connection *connection, const struct provider_ask *ask,
		       const struct provider_events *events, void *arg,
		       struct provider_request **out, struct sl_error *error)
{
	struct provider_request *request;
	struct prepared prepared;
	enum sl_code code;

	if (!is_method(ask->method))
		return sl_fail(error, SL_INVALID, "method is not an HTTP method");
	if (ask->timeout_ms <= 0)
		return sl_fail(error, SL_INVALID, "timeout_ms must be positive");
	if (ask->stream != NULL && (ask->stream->on_head == NULL) != (ask->stream->on_body == NULL))
		return sl_fail(error, SL_INVALID, "a stream has both on_head and on_body, or none");
	code = prepare_request(connection, ask, &prepared, error);
	if (code != SL_OK)
		return code;
	request = sl_alloc(sizeof(*request));
	*request = (struct provider_request){
	    .state = REQUEST_DUE,
	    .loop = loop,
	    .client = client,
	    .events = events,
	    .arg = arg,
	    .prepared = prepared,
	    .retries = ask->retries < 0                      ? 0
		       : ask->retries > PROVIDER_RETRIES_MAX ? PROVIDER_RETRIES_MAX
							     : ask->retries,
	};
	asked_init(&request->asked, ask, connection->provider);
	request->asked.rules.credentials_changed = events->on_unauthorized != NULL;
	request->timer = loop_timer_new(loop, request_on_timer, request);
	loop_timer_in(request->timer, 0);
	*out = request;
	return SL_OK;
}
