#include "daemon/egress/send.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "daemon/egress/fresh.h"
#include "daemon/egress/gate.h"
#include "daemon/egress/shown.h"
#include "provider/catalog.h"
#include "provider/limit.h"
#include "provider/token.h"

/* What waits for so little holds nothing up. */
#define WAIT_TOLD_MS 100
/* After such a wait the credentials are looked at again. */
#define OPENED_FOR_MS 1000

/* OPENING -> DUE -> AT_GATE -> RENEWING -> ASKING -> SENDING, RENEWING being left out of a first try that did not
 * wait.  SENDING -> DUE (another try), UNAUTHORIZED -> DUE, or ENDED; FAILING is the way out for ends that are
 * ours.  Invariants: request is there in all states between OPENING and FAILING; pass is there from AT_GATE
 * until the try has ended; the timer is armed if and only if the state is FAILING. */
enum egress_state {
	EGRESS_OPENING,      /* credentials are asked for */
	EGRESS_DUE,          /* the request will ask for its next try, now or after a wait */
	EGRESS_AT_GATE,      /* until the provider's window is open */
	EGRESS_RENEWING,     /* credentials are asked for: those at hand are from before a wait */
	EGRESS_ASKING,       /* on_before_send was called: egress_go() is awaited */
	EGRESS_SENDING,      /* a try is on its way */
	EGRESS_UNAUTHORIZED, /* credentials are asked for: those at hand were refused */
	EGRESS_FAILING,      /* the timer will report failure, code and text */
	EGRESS_ENDED,        /* reported or cancelled */
};
#define EGRESS_STATES 9

#define EITHER_END [EGRESS_FAILING] = true, [EGRESS_ENDED] = true
static const bool egress_allows[EGRESS_STATES][EGRESS_STATES] = {
    [EGRESS_OPENING] = {[EGRESS_DUE] = true, EITHER_END},
    [EGRESS_DUE] = {[EGRESS_AT_GATE] = true, EITHER_END},
    [EGRESS_AT_GATE] = {[EGRESS_RENEWING] = true, [EGRESS_ASKING] = true, EITHER_END},
    [EGRESS_RENEWING] = {[EGRESS_ASKING] = true, EITHER_END},
    [EGRESS_ASKING] = {[EGRESS_AT_GATE] = true, [EGRESS_SENDING] = true, EITHER_END},
    [EGRESS_SENDING] = {[EGRESS_DUE] = true, [EGRESS_UNAUTHORIZED] = true, [EGRESS_ENDED] = true},
    [EGRESS_UNAUTHORIZED] = {[EGRESS_DUE] = true, EITHER_END},
    [EGRESS_FAILING] = {[EGRESS_ENDED] = true},
};

struct egress {
	enum egress_state state;
	struct daemon *daemon;
	const struct directory_connection *connection;   /* held */
	const struct directory_integration *integration; /* held */
	const struct provider *provider;                 /* the catalog's */
	const struct egress_events *events;              /* borrowed */
	void *arg;
	char *by, *job;                 /* for the log */
	const struct provider_ask *ask; /* the caller's, or kept; NULL once the request has it */
	struct egress_kept *kept;
	const struct http_stream *stream; /* the caller's */
	struct http_stream passed;        /* with our callbacks */
	struct provider_request *request;
	int64_t deadline_mono_ms;
	int tries; /* that were allowed */
	struct gate_place place;
	struct gate_pass *pass;
	int64_t gate_ms;  /* this try has waited there */
	int64_t retry_ms; /* and before that, because the one before had failed */
	bool waiting;     /* on_waiting() was told so */
	char *sent;       /* what tells the credentials in use from others: secret */
	bool asked;       /* a lookup will call back, also behind the end */
	struct loop_timer *timer;
	enum http_failure failure; /* of FAILING */
	const char *code;
	char *text;
};

/* ---- what was asked, for as long as credentials are awaited ------------------------------------ */

struct egress_kept {
	struct provider_ask ask;
	struct http_header *headers;
	char *body;
	void **texts;
	int count;
};

static const char *
keep(struct egress_kept *kept, const char *text)
{
	if (text == NULL)
		return NULL;
	return kept->texts[kept->count++] = sl_strdup(text);
}

static void
keep_ask(struct egress *egress)
{
	const struct provider_ask *ask = egress->ask;
	struct egress_kept *kept = sl_alloc(sizeof(*kept));
	struct provider_ask *own = &kept->ask;

	kept->texts = sl_calloc((size_t)ask->header_count * 2 + 8, sizeof(*kept->texts));
	*own = *ask;
	own->method = keep(kept, ask->method);
	own->endpoint = keep(kept, ask->endpoint);
	own->base_url_override = keep(kept, ask->base_url_override);
	own->query = keep(kept, ask->query);
	own->retry_header_at = keep(kept, ask->retry_header_at);
	own->retry_header_after = keep(kept, ask->retry_header_after);
	own->user_agent = keep(kept, ask->user_agent);
	if (ask->header_count > 0)
		kept->headers = sl_calloc((size_t)ask->header_count, sizeof(*kept->headers));
	for (int i = 0; i < ask->header_count; i++)
		kept->headers[i] = (struct http_header){keep(kept, ask->headers[i].name),
							keep(kept, ask->headers[i].value)};
	own->headers = kept->headers;
	if (ask->body.len > 0)
		kept->body = sl_memdup(ask->body.data, ask->body.len);
	own->body.data = kept->body;
	if (ask->retry_on_count > 0) {
		size_t size = (size_t)ask->retry_on_count * sizeof(*ask->retry_on);

		own->retry_on = kept->texts[kept->count++] = sl_memdup(ask->retry_on, size);
	}
	egress->kept = kept;
	egress->ask = own;
}

static void
drop_ask(struct egress *egress)
{
	struct egress_kept *kept = egress->kept;

	egress->ask = NULL;
	egress->kept = NULL;
	if (kept == NULL)
		return;
	for (int i = 0; i < kept->count; i++)
		free(kept->texts[i]);
	if (kept->body != NULL)
		secret_wipe(kept->body, kept->ask.body.len);
	free(kept->body);
	free(kept->headers);
	free(kept->texts);
	free(kept);
}

/* ---- states ---------------------------------------------------------------------------------- */

static void
forget_sent(struct egress *egress)
{
	if (egress->sent != NULL)
		secret_wipe(egress->sent, strlen(egress->sent));
	free(egress->sent);
	egress->sent = NULL;
}

static void
egress_free(void *arg)
{
	struct egress *egress = arg;

	directory_release(egress->connection);
	directory_release(egress->integration);
	loop_timer_free(egress->timer);
	forget_sent(egress);
	free(egress->by);
	free(egress->job);
	free(egress->text);
	free(egress);
}

static void
egress_enter(struct egress *egress, enum egress_state to)
{
	assert(egress_allows[egress->state][to]);
	egress->state = to;
	if (to != EGRESS_ENDED)
		return;
	loop_timer_stop(egress->timer);
	drop_ask(egress);
	if (!egress->asked) /* else the lookup calls once more */
		loop_free_later(egress->daemon->loop, egress_free, egress);
}

static void
leave_gate(struct egress *egress, const struct limit_news *news)
{
	struct gate_pass *pass = egress->pass;

	egress->pass = NULL;
	if (pass != NULL)
		gate_leave(pass, news);
}

/* Nothing is under way for it any more. */
static void
let_go(struct egress *egress)
{
	struct provider_request *request = egress->request;

	egress->request = NULL;
	leave_gate(egress, NULL);
	if (request != NULL)
		provider_request_cancel(request);
}

/* Never from inside the caller's own call, so it is reported by the timer. */
static void
fail(struct egress *egress, enum http_failure failure, const char *code, const char *text)
{
	let_go(egress);
	egress_enter(egress, EGRESS_FAILING);
	egress->failure = failure;
	egress->code = code;
	egress->text = sl_strdup(text);
	loop_timer_in(egress->timer, 0);
}

static void
on_timer(void *arg)
{
	struct egress *egress = arg;
	const struct http_answer answer = {.failure = egress->failure,
					   .code = egress->code,
					   .text = egress->text,
					   .status_text = "",
					   .url = ""};

	egress_enter(egress, EGRESS_ENDED);
	egress->events->on_answer(egress->arg, &answer);
}

static void
set_waiting(struct egress *egress, bool waiting)
{
	if (egress->waiting == waiting)
		return;
	egress->waiting = waiting;
	if (egress->events->on_waiting != NULL)
		egress->events->on_waiting(egress->arg, waiting);
}

/* ---- credentials ----------------------------------------------------------------------------- */

static void on_credentials(void *arg, const struct fresh_answer *answer);

/* The row as it is now, then its credentials; stale: those that were refused, or NULL. */
static void
on_row(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct egress *egress = arg;
	struct fresh_ask ask = {.row = &egress->connection->row};
	const struct fresh_answer gone = {.code = SL_NOT_FOUND};

	(void)error;
	if (egress->state == EGRESS_ENDED) {
		on_credentials(egress, &gone);
		return;
	}
	if (code == SL_NOT_FOUND) {
		on_credentials(egress, &gone);
		return;
	}
	if (code == SL_OK) {
		const struct directory_connection *held = egress->connection;

		egress->connection = directory_hold(object);
		directory_release(held);
		ask.row = &egress->connection->row;
	}
	if (egress->state == EGRESS_UNAUTHORIZED)
		ask.stale = egress->sent;
	fresh_get(egress->daemon->fresh, &ask, on_credentials, egress);
}

/* A wait lies behind: the row may be another one now. */
static void
ask_again(struct egress *egress)
{
	egress->asked = true;
	directory_connection_by_id(egress->daemon->directory, egress->connection->row.id, on_row,
				   egress);
}

/* What tells these credentials from others. */
static char *
identity(struct slice credentials)
{
	struct json_value value;
	char *token = NULL;

	if (json_check(credentials, &value, NULL) == SL_OK)
		token = token_text(value);
	return token != NULL ? token : sl_strndup(credentials.data, credentials.len);
}

/* Takes note of the credentials; true: they are others than before. */
static bool
note_sent(struct egress *egress, struct slice credentials)
{
	char *sent = identity(credentials);
	bool same = egress->sent != NULL && strcmp(sent, egress->sent) == 0;

	forget_sent(egress);
	egress->sent = sent;
	return !same;
}

static struct provider_connection
connection_of(const struct egress *egress, const struct fresh_answer *answer)
{
	const struct account_connection *row = answer->row;

	return (struct provider_connection){
	    .provider = egress->provider,
	    .credentials = answer->credentials,
	    .connection_config = slice_text(row->connection_config),
	    .metadata = slice_text(row->metadata),
	    .integration_config = slice_text(egress->integration->row.config),
	};
}

static void
fail_credentials(struct egress *egress, const struct fresh_answer *answer)
{
	if (answer->code == SL_NOT_FOUND)
		fail(egress, HTTP_CANCELLED, "unknown_connection", "the connection is gone");
	else
		fail(egress, HTTP_CANCELLED,
		     answer->wire_code != NULL ? answer->wire_code : "server_error",
		     answer->text != NULL ? answer->text
					  : "the service could not read the credentials right now");
}

static const char *
shown_job(const struct egress *egress)
{
	return egress->job[0] != '\0' ? egress->job : "none";
}

/* ---- tries ----------------------------------------------------------------------------------- */

static void
ask_leave(struct egress *egress)
{
	egress_enter(egress, EGRESS_ASKING);
	set_waiting(egress, false);
	if (egress->events->on_before_send != NULL)
		egress->events->on_before_send(egress->arg, egress);
	else
		egress_go(egress, true);
}

void
egress_go(struct egress *egress, bool allowed)
{
	if (egress->state != EGRESS_ASKING) /* cancelled in the same turn */
		return;
	if (allowed && egress->pass != NULL && !gate_confirm(egress->pass)) {
		egress_enter(egress, EGRESS_AT_GATE); /* the leave took long: the window may have closed */
		return;
	}
	FAULT_POINT("provider_call");
	egress_enter(egress, EGRESS_SENDING);
	egress->tries++;
	if (!allowed)
		leave_gate(egress, NULL);
	provider_request_go(egress->request, allowed);
}

static void
on_gate(void *arg, bool allowed, int64_t waited_ms)
{
	struct egress *egress = arg;

	egress->gate_ms = waited_ms;
	if (!allowed) {
		egress->pass = NULL;
		log_info("provider_request_late",
			 "by=%s job=%s connection=%s try=%d gate_ms=%lld effect=%s",
			 log_text(egress->by), shown_job(egress),
			 log_text(egress->connection->row.connection_id), egress->tries + 1,
			 (long long)waited_ms,
			 log_text("the provider's limit lasts longer than this may take"));
		fail(egress, HTTP_TIMEOUT, "ETIMEDOUT",
		     "the provider's limit lasts longer than this request may wait");
	} else if (egress->tries > 0 || waited_ms >= OPENED_FOR_MS) {
		egress_enter(egress, EGRESS_RENEWING);
		ask_again(egress);
	} else {
		ask_leave(egress);
	}
}

static void
on_gate_wait(void *arg, int64_t wait_ms)
{
	if (wait_ms >= WAIT_TOLD_MS)
		set_waiting(arg, true);
}

static void
on_before_send(void *arg, struct provider_request *request)
{
	struct egress *egress = arg;
	int64_t until = egress->deadline_mono_ms != 0 ? egress->deadline_mono_ms : INT64_MAX;

	assert(request == egress->request);
	egress_enter(egress, EGRESS_AT_GATE);
	if (egress->daemon->gates != NULL)
		egress->pass = gate_enter(egress->daemon->gates, &egress->place, until,
					  on_gate_wait, on_gate, egress);
	else
		on_gate(egress, true, 0);
}

static void
log_try(const struct egress *egress, const struct provider_try *end)
{
	struct buf url;

	buf_init(&url, 65536 + 16);
	shown_url(end->shown_url, &url);
	buf_add_char(&url, '\0');
	log_info("provider_request",
		 "by=%s job=%s connection=%s method=%s url=%s status=%d code=%s ms=%lld try=%d "
		 "gate_ms=%lld retry_ms=%lld",
		 log_text(egress->by), shown_job(egress),
		 log_text(egress->connection->row.connection_id), end->method,
		 log_text(url.data != NULL ? url.data : ""), end->answer->status,
		 end->answer->code != NULL ? end->answer->code : "none", (long long)end->ms,
		 end->number, (long long)egress->gate_ms, (long long)egress->retry_ms);
	buf_fini(&url);
}

static void
on_try(void *arg, const struct provider_try *end)
{
	static const struct limit_news nothing = {
	    .closed_ms = -1, .remaining = -1, .reset_ms = -1, .limit = -1};
	struct egress *egress = arg;
	struct limit_news news;

	if (!limit_read(provider_request_rules(egress->request), end->answer, clock_wall_ms(),
			&news))
		news = nothing;
	leave_gate(egress, end->answer->failure == HTTP_ANSWERED ? &news : NULL);
	log_try(egress, end);
	egress->retry_ms = end->wait_ms;
}

static void
on_retry(void *arg, int attempt, int status, const char *code, int64_t wait_ms)
{
	struct egress *egress = arg;

	(void)attempt;
	(void)status;
	(void)code;
	egress_enter(egress, EGRESS_DUE);
	if (wait_ms >= WAIT_TOLD_MS)
		set_waiting(egress, true);
}

static void
on_unauthorized(void *arg, struct provider_request *request)
{
	struct egress *egress = arg;

	(void)request;
	egress_enter(egress, EGRESS_UNAUTHORIZED);
	ask_again(egress);
}

static void
on_answer(void *arg, const struct http_answer *answer)
{
	struct egress *egress = arg;

	egress->request = NULL;
	leave_gate(egress, NULL);
	egress_enter(egress, EGRESS_ENDED);
	egress->events->on_answer(egress->arg, answer);
}

/* ---- streams: the caller's, called with the caller's arg ---------------------------------------- */

static bool
on_stream_head(void *arg, const struct http_answer *head)
{
	const struct egress *egress = arg;

	return egress->stream->on_head(egress->arg, head);
}

static bool
on_stream_body(void *arg, struct slice bytes)
{
	const struct egress *egress = arg;

	return egress->stream->on_body(egress->arg, bytes);
}

static int64_t
on_stream_want(void *arg, char *out, size_t size)
{
	const struct egress *egress = arg;

	return egress->stream->on_want(egress->arg, out, size);
}

static void
pass_stream(struct egress *egress)
{
	egress->passed = *egress->stream;
	if (egress->stream->on_head != NULL)
		egress->passed.on_head = on_stream_head;
	if (egress->stream->on_body != NULL)
		egress->passed.on_body = on_stream_body;
	if (egress->stream->on_want != NULL)
		egress->passed.on_want = on_stream_want;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void
start_request(struct egress *egress, const struct fresh_answer *answer)
{
	static const struct provider_events events = {.on_before_send = on_before_send,
						      .on_answer = on_answer,
						      .on_retry = on_retry,
						      .on_try = on_try,
						      .on_unauthorized = on_unauthorized};
	const struct provider_connection connection = connection_of(egress, answer);
	struct provider_ask ask = *egress->ask;
	struct sl_error error;
	enum sl_code code;

	if (egress->stream != NULL) {
		pass_stream(egress);
		ask.stream = &egress->passed;
	}
	(void)note_sent(egress, answer->credentials);
	code = provider_request_start(egress->daemon->loop, egress->daemon->client, &connection,
				      &ask, &events, egress, &egress->request, &error);
	drop_ask(egress);
	if (code == SL_OK)
		egress_enter(egress, EGRESS_DUE);
	else
		fail(egress, HTTP_CANCELLED,
		     strncmp(error.text, "missing_api_url", strlen("missing_api_url")) == 0
			 ? "missing_api_url"
			 : "invalid_request",
		     error.text);
}

/* What a wait has left of them. */
static void
renew(struct egress *egress, const struct fresh_answer *answer)
{
	struct provider_connection connection;
	struct sl_error error;

	if (answer->code == SL_INVALID || answer->code == SL_NOT_FOUND) {
		fail_credentials(egress, answer);
		return;
	}
	if (answer->code == SL_OK && note_sent(egress, answer->credentials)) {
		connection = connection_of(egress, answer);
		if (provider_request_renew(egress->request, &connection, &error) != SL_OK)
			log_warn("credentials_not_renewed", "connection=%s error=%s",
				 log_text(egress->connection->row.connection_id),
				 log_text(error.text));
	}
	ask_leave(egress);
}

/* They were refused.  Only others are worth another try. */
static void
renew_refused(struct egress *egress, const struct fresh_answer *answer)
{
	struct provider_connection connection;
	struct sl_error error;
	enum sl_code code;

	if (answer->code == SL_OK && note_sent(egress, answer->credentials)) {
		connection = connection_of(egress, answer);
		code = provider_request_renew(egress->request, &connection, &error);
	} else {
		code = provider_request_renew(egress->request, NULL, &error);
	}
	(void)code; /* on_retry or on_answer tells */
}

static void
on_credentials(void *arg, const struct fresh_answer *answer)
{
	struct egress *egress = arg;

	egress->asked = false;
	switch (egress->state) {
	case EGRESS_OPENING:
		if (answer->code == SL_OK)
			start_request(egress, answer);
		else
			fail_credentials(egress, answer);
		return;
	case EGRESS_RENEWING:
		renew(egress, answer);
		return;
	case EGRESS_UNAUTHORIZED:
		renew_refused(egress, answer);
		return;
	case EGRESS_ENDED:
		loop_free_later(egress->daemon->loop, egress_free, egress);
		return;
	case EGRESS_DUE:
	case EGRESS_AT_GATE:
	case EGRESS_ASKING:
	case EGRESS_SENDING:
	case EGRESS_FAILING:
		assert(!"credentials that nobody asked for");
	}
}

void
egress_place(const struct daemon *daemon, const struct directory_connection *connection,
	     const struct directory_integration *integration, struct gate_place *out)
{
	const struct provider *provider = catalog_find(daemon->catalog, connection->row.provider);

	*out = (struct gate_place){.environment_id = connection->row.environment_id,
				   .connection_id = connection->row.id,
				   .integration_id = integration->row.id,
				   .per_app = provider != NULL && provider->limits_per_app};
}

struct egress *
egress_start(struct daemon *daemon, const struct egress_ask *ask,
	     const struct egress_events *events, void *arg)
{
	struct egress *egress = sl_alloc(sizeof(*egress));
	const struct fresh_ask fresh = {.row = &ask->connection->row};

	*egress = (struct egress){
	    .state = EGRESS_OPENING,
	    .daemon = daemon,
	    .connection = directory_hold(ask->connection),
	    .integration = directory_hold(ask->integration),
	    .provider = catalog_find(daemon->catalog, ask->connection->row.provider),
	    .events = events,
	    .arg = arg,
	    .by = sl_strdup(ask->by),
	    .job = sl_strdup(ask->job),
	    .ask = &ask->ask,
	    .stream = ask->ask.stream,
	    .deadline_mono_ms = ask->ask.deadline_mono_ms,
	};
	egress_place(daemon, egress->connection, egress->integration, &egress->place);
	egress->timer = loop_timer_new(daemon->loop, on_timer, egress);
	if (egress->provider == NULL) {
		fail(egress, HTTP_CANCELLED, "unknown_provider",
		     "this node does not know the connection's provider");
		return egress;
	}
	egress->asked = true;
	fresh_get(daemon->fresh, &fresh, on_credentials, egress);
	if (egress->state == EGRESS_OPENING)
		keep_ask(egress);
	return egress;
}

void
egress_resume(struct egress *egress)
{
	if (egress->request != NULL)
		provider_request_resume(egress->request);
}

void
egress_cancel(struct egress *egress)
{
	if (egress->state == EGRESS_ENDED)
		return;
	let_go(egress);
	egress_enter(egress, EGRESS_ENDED);
}
