#include "provider/request.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/secret.h"
#include "provider/prepare.h"
#include "provider/retry.h"

/* DUE -> ASKING -> SENDING -> DUE (another try) or ENDED; FAILING is the way out for ends that are
 * ours.  Invariants: the timer is armed if and only if the state is DUE or FAILING; call is there
 * if and only if the client still owes us its callback (SENDING, or ENDED by a cancel in SENDING).
 */
enum request_state {
	REQUEST_DUE,     /* the timer will ask for the next try, now or after a wait */
	REQUEST_ASKING,  /* on_before_send was called: provider_request_go() is awaited */
	REQUEST_SENDING, /* a try is on its way */
	REQUEST_FAILING, /* the timer will report failure, code and text */
	REQUEST_ENDED,   /* reported or cancelled */
};
#define REQUEST_STATES 5

static const bool request_allows[REQUEST_STATES][REQUEST_STATES] = {
    [REQUEST_DUE] = {[REQUEST_ASKING] = true, [REQUEST_ENDED] = true},
    [REQUEST_ASKING] = {[REQUEST_SENDING] = true, [REQUEST_FAILING] = true, [REQUEST_ENDED] = true},
    [REQUEST_SENDING] = {[REQUEST_DUE] = true, [REQUEST_ENDED] = true},
    [REQUEST_FAILING] = {[REQUEST_ENDED] = true},
};

struct provider_request {
	enum request_state state;
	struct loop *loop;                    /* borrowed */
	struct http_client *client;           /* borrowed */
	const struct provider_events *events; /* borrowed */
	void *arg;
	struct loop_timer *timer;
	struct http_call *call; /* the client's, until its callback */

	struct prepared prepared;
	char *method;
	char *body; /* NULL: empty */
	size_t body_len;
	bool has_body, decompress, forward_headers;
	int64_t timeout_ms, deadline_mono_ms;

	struct retry_rules rules; /* its list and names are owned */
	int tries;                /* begun */
	int64_t sent_ms;          /* the last of them, monotonic */
	int retries;              /* further tries allowed in all */

	enum http_failure failure; /* of REQUEST_FAILING */
	const char *code, *text;
};

static void
request_free(void *arg)
{
	struct provider_request *request = arg;

	loop_timer_free(request->timer);
	prepare_fini(&request->prepared);
	free(request->method);
	if (request->body != NULL)
		secret_wipe(request->body, request->body_len);
	free(request->body);
	free((int *)request->rules.retry_on);
	free((char *)request->rules.header_at);
	free((char *)request->rules.header_after);
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
	return request->deadline_mono_ms != 0 ? request->deadline_mono_ms - clock_mono_ms()
					      : INT64_MAX;
}

/* Whether there will be another try, and after how long. */
static bool
is_repeated(const struct provider_request *request, const struct http_answer *answer,
	    int64_t *wait_ms)
{
	if (request->tries > request->retries || !retry_is_worth(&request->rules, answer))
		return false;
	*wait_ms = retry_wait_ms(&request->rules, answer, request->tries, clock_wall_ms());
	return *wait_ms < left_ms(request);
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

static void
count_answer(const struct provider_request *request, const struct http_answer *answer)
{
	if (answer->failure == HTTP_CANCELLED) /* by us: it tells nothing of the provider */
		return;
	metrics_count(METRIC_PROVIDER_REQUESTS, outcome_of(answer));
	metrics_observe_ms(METRIC_PROVIDER_LATENCY, 0, clock_mono_ms() - request->sent_ms);
}

static void
request_on_call_answer(void *arg, const struct http_answer *answer)
{
	struct provider_request *request = arg;
	int64_t wait_ms;

	request->call = NULL;
	count_answer(request, answer);
	switch (request->state) {
	case REQUEST_SENDING:
		if (!is_repeated(request, answer, &wait_ms)) {
			request_end(request, answer);
			return;
		}
		request_enter(request, REQUEST_DUE);
		loop_timer_in(request->timer, wait_ms);
		if (request->events->on_retry != NULL) /* last: it may cancel */
			request->events->on_retry(request->arg, request->tries, answer->status,
						  answer->code, wait_ms);
		return;
	case REQUEST_ENDED: /* cancelled meanwhile, and kept for this call only */
		loop_free_later(request->loop, request_free, request);
		return;
	case REQUEST_DUE:
	case REQUEST_ASKING:
	case REQUEST_FAILING:
		assert(!"an answer without a call");
	}
}

static void
request_send(struct provider_request *request, int64_t left)
{
	const struct http_ask ask = {
	    .method = request->method,
	    .url = request->prepared.url,
	    .headers = request->prepared.headers,
	    .header_count = request->prepared.header_count,
	    .body = {request->body, request->body_len},
	    .has_body = request->has_body,
	    .timeout_ms = request->timeout_ms < left ? request->timeout_ms : left,
	    .response_max = PROVIDER_RESPONSE_MAX,
	    .redirects_max = PROVIDER_REDIRECTS_MAX,
	    .forward_credentials = request->forward_headers,
	    .credential_headers = request->prepared.credential_headers,
	    .decompress = request->decompress,
	};

	request_enter(request, REQUEST_SENDING);
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
	case REQUEST_FAILING:
		answer.failure = request->failure;
		answer.code = request->code;
		request_end(request, &answer);
		return;
	case REQUEST_ASKING:
	case REQUEST_SENDING:
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

/* Header names are looked up in lower case; functions write them as they like. */
static char *
lower_copy(const char *name)
{
	char *copy;

	if (name == NULL || name[0] == '\0')
		return NULL;
	copy = sl_strdup(name);
	for (char *c = copy; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return copy;
}

static void
rules_init(struct retry_rules *rules, const struct provider *provider,
	   const struct provider_ask *ask)
{
	rules->provider = provider;
	if (ask->retry_on_count > 0) {
		rules->retry_on =
		    sl_memdup(ask->retry_on, (size_t)ask->retry_on_count * sizeof(*ask->retry_on));
		rules->retry_on_count = ask->retry_on_count;
	}
	rules->header_at = lower_copy(ask->retry_header_at);
	rules->header_after = lower_copy(ask->retry_header_after);
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
	    .method = sl_strdup(ask->method),
	    .has_body = ask->has_body,
	    .decompress = ask->decompress,
	    .forward_headers = ask->forward_headers_on_redirect,
	    .timeout_ms = ask->timeout_ms,
	    .deadline_mono_ms = ask->deadline_mono_ms,
	    .retries = ask->retries < 0                      ? 0
		       : ask->retries > PROVIDER_RETRIES_MAX ? PROVIDER_RETRIES_MAX
							     : ask->retries,
	};
	if (ask->has_body && ask->body.len > 0) {
		request->body = sl_memdup(ask->body.data, ask->body.len);
		request->body_len = ask->body.len;
	}
	rules_init(&request->rules, connection->provider, ask);
	request->timer = loop_timer_new(loop, request_on_timer, request);
	loop_timer_in(request->timer, 0);
	*out = request;
	return SL_OK;
}
