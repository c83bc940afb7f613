#include "daemon/egress/send.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "daemon/api/show.h"
#include "provider/catalog.h"

/* OPENING -> DUE -> ASKING -> SENDING -> DUE (another try) or ENDED; FAILING is the way out for ends that are
 * ours.  Invariants: request is there in DUE, ASKING and SENDING only; the timer is armed if and only if the
 * state is FAILING. */
enum egress_state {
	EGRESS_OPENING, /* credentials are asked for */
	EGRESS_DUE,     /* the request will ask for its next try, now or after a wait */
	EGRESS_ASKING,  /* on_before_send was called: egress_go() is awaited */
	EGRESS_SENDING, /* a try is on its way */
	EGRESS_FAILING, /* the timer will report code and text */
	EGRESS_ENDED,   /* reported or cancelled */
};
#define EGRESS_STATES 6

static const bool egress_allows[EGRESS_STATES][EGRESS_STATES] = {
    [EGRESS_OPENING] = {[EGRESS_DUE] = true, [EGRESS_FAILING] = true, [EGRESS_ENDED] = true},
    [EGRESS_DUE] = {[EGRESS_ASKING] = true, [EGRESS_ENDED] = true},
    [EGRESS_ASKING] = {[EGRESS_SENDING] = true, [EGRESS_ENDED] = true},
    [EGRESS_SENDING] = {[EGRESS_DUE] = true, [EGRESS_ENDED] = true},
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
	char *by, *job; /* for the log */
	bool waiting;   /* on_waiting() was told so */
	struct provider_request *request;
	struct loop_timer *timer;
	const char *code; /* of FAILING */
	char *text;
};

static void
egress_free(void *arg)
{
	struct egress *egress = arg;

	directory_release(egress->connection);
	directory_release(egress->integration);
	loop_timer_free(egress->timer);
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
	loop_free_later(egress->daemon->loop, egress_free, egress);
}

/* Never from inside the caller's own call, so it is reported by the timer. */
static void
fail(struct egress *egress, const char *code, const char *text)
{
	egress_enter(egress, EGRESS_FAILING);
	egress->code = code;
	egress->text = sl_strdup(text);
	loop_timer_in(egress->timer, 0);
}

static void
on_timer(void *arg)
{
	struct egress *egress = arg;
	const struct http_answer answer = {.failure = HTTP_CANCELLED,
					   .code = egress->code,
					   .text = egress->text,
					   .status_text = "",
					   .url = ""};

	egress_enter(egress, EGRESS_ENDED);
	egress->events->on_answer(egress->arg, &answer);
}

/* What waits for so little holds nothing up. */
#define WAIT_TOLD_MS 100

static void
set_waiting(struct egress *egress, bool waiting)
{
	if (egress->waiting == waiting)
		return;
	egress->waiting = waiting;
	if (egress->events->on_waiting != NULL)
		egress->events->on_waiting(egress->arg, waiting);
}

/* ---- tries ----------------------------------------------------------------------------------- */

static void
on_before_send(void *arg, struct provider_request *request)
{
	struct egress *egress = arg;

	assert(request == egress->request);
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
	egress_enter(egress, EGRESS_SENDING);
	provider_request_go(egress->request, allowed);
}

static void
on_retry(void *arg, int attempt, int status, const char *code, int64_t wait_ms)
{
	struct egress *egress = arg;

	log_info("provider_retry", "job=%s try=%d status=%d code=%s wait_ms=%lld", egress->job,
		 attempt, status, code != NULL ? code : "none", (long long)wait_ms);
	egress_enter(egress, EGRESS_DUE);
	if (wait_ms >= WAIT_TOLD_MS)
		set_waiting(egress, true);
}

static void
on_answer(void *arg, const struct http_answer *answer)
{
	struct egress *egress = arg;

	egress->request = NULL;
	egress_enter(egress, EGRESS_ENDED);
	egress->events->on_answer(egress->arg, answer);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void
start_request(struct egress *egress, const struct provider_ask *ask, struct slice credentials)
{
	static const struct provider_events events = {
	    .on_before_send = on_before_send, .on_answer = on_answer, .on_retry = on_retry};
	const struct account_connection *row = &egress->connection->row;
	const struct provider_connection connection = {
	    .provider = egress->provider,
	    .credentials = credentials,
	    .connection_config = slice_text(row->connection_config),
	    .metadata = slice_text(row->metadata),
	    .integration_config = slice_text(egress->integration->row.config),
	};
	struct sl_error error;

	if (provider_request_start(egress->daemon->loop, egress->daemon->client, &connection, ask,
				   &events, egress, &egress->request, &error) != SL_OK)
		fail(egress,
		     strncmp(error.text, "missing_api_url", strlen("missing_api_url")) == 0
			 ? "missing_api_url"
			 : "invalid_request",
		     error.text);
	else
		egress_enter(egress, EGRESS_DUE);
}

static void
open_credentials(struct egress *egress, const struct provider_ask *ask)
{
	struct sl_error error;
	struct buf plain;

	buf_init(&plain, 1 << 20);
	if (show_open_credentials(egress->daemon->ring, &egress->connection->row, &plain, &error) !=
	    SL_OK)
		fail(egress, "invalid_credentials", error.text);
	else
		start_request(egress, ask, buf_slice(&plain));
	show_buf_wipe(&plain);
}

struct egress *
egress_start(struct daemon *daemon, const struct egress_ask *ask,
	     const struct egress_events *events, void *arg)
{
	struct egress *egress = sl_alloc(sizeof(*egress));

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
	};
	egress->timer = loop_timer_new(daemon->loop, on_timer, egress);
	if (egress->provider == NULL)
		fail(egress, "unknown_provider",
		     "this node does not know the connection's provider");
	else
		open_credentials(egress, &ask->ask);
	return egress;
}

void
egress_resume(struct egress *egress)
{
	(void)egress;
}

void
egress_cancel(struct egress *egress)
{
	struct provider_request *request = egress->request;

	if (egress->state == EGRESS_ENDED)
		return;
	egress->request = NULL;
	egress_enter(egress, EGRESS_ENDED);
	if (request != NULL)
		provider_request_cancel(request);
}
