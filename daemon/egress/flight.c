#include "daemon/egress/flight.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/metrics.h"
#include "config.h"
#include "daemon/api/auth_event.h"
#include "daemon/api/directory.h"
#include "daemon/api/show.h"
#include "daemon/shard.h"
#include "http/client.h"
#include "provider/token.h"
#include "queue/lock.h"
#include "sql/refresh.h"

#define LOCK_MS 30000       /* how long the lock is taken for */
#define LOCK_ANSWER_MS 500  /* without an answer for so long it goes without the lock */
#define CLAIM_MS 90000      /* a claim outlasts the call: CALL_MS for each try, and the waits */
#define POLL_MS 120         /* somebody else is at it: looked again, with half of it by chance more */
#define PATIENCE_MS 60000   /* so long at most */
#define CALL_MS 15000       /* one call of a token endpoint */
#define CALLS_MAX 3         /* where the answer says nothing about the credentials */
#define CONFIRM_MS 1000     /* before a refusal is believed */
#define STORE_AGAIN_MS 250
#define STORE_MS 600000 /* so long a new token is offered to a ledger that is away */
#define PLAIN_MAX (1 << 20)

enum flight_state {
	FLIGHT_LOCKING,
	FLIGHT_CLAIMING,
	FLIGHT_LOOKING_UP, /* integration, environment */
	FLIGHT_WAITING,	   /* the timer says when `then` is gone on with */
	FLIGHT_FETCHING,
	FLIGHT_STORING,
	FLIGHT_FAILING,
	FLIGHT_LANDED, /* answered; something that was asked for may still come */
};

struct flight {
	struct daemon *daemon;
	enum flight_state state;
	fresh_cb *cb; /* NULL: answered */
	void *arg;
	bool forced, stale;
	int64_t connection_id, environment_id;
	const struct provider *provider;
	const struct directory_integration *integration;
	const struct directory_environment *environment;

	struct account_connection row; /* what is refreshed, as it is stored; its texts are owned */
	struct buf plain;              /* its credentials, opened */
	struct buf renewed, sealed;    /* what the endpoint has made of them */

	char owner[LOCK_OWNER_MAX + 1];
	bool locked;
	int64_t claim; /* 0: none */
	struct loop_timer *timer;
	void (*then)(struct flight *flight);
	struct http_call *call;
	struct token_ask ask;
	int calls, refusals;
	int pending; /* answers that will come whatever happens */
	int64_t began_ms, patient_until_ms, store_until_ms;
	char cause[300];
	char log_id[UUID_TEXT];
};

static void try_lock(struct flight *flight);
static void try_claim(struct flight *flight);
static void fetch(struct flight *flight);
static void store(struct flight *flight);

static const size_t row_texts[] = {
    offsetof(struct account_connection, connection_id),
    offsetof(struct account_connection, unique_key),
    offsetof(struct account_connection, provider),
    offsetof(struct account_connection, credentials),
    offsetof(struct account_connection, seal_row),
    offsetof(struct account_connection, connection_config),
    offsetof(struct account_connection, metadata),
    offsetof(struct account_connection, tags),
    offsetof(struct account_connection, end_user),
    offsetof(struct account_connection, webhook_url_override),
    offsetof(struct account_connection, failure_log_id),
};

static char **
row_text(struct account_connection *row, size_t i)
{
	return (char **)((char *)row + row_texts[i]);
}

static void
row_fini(struct account_connection *row)
{
	for (size_t i = 0; i < sizeof(row_texts) / sizeof(row_texts[0]); i++)
		free(*row_text(row, i));
}

static void
row_copy(struct account_connection *to, const struct account_connection *from)
{
	*to = *from;
	for (size_t i = 0; i < sizeof(row_texts) / sizeof(row_texts[0]); i++)
		*row_text(to, i) = sl_strdup(*row_text(to, i));
}

/* ---- ends -------------------------------------------------------------------------------------- */

static void
flight_free(void *arg)
{
	struct flight *flight = arg;

	loop_timer_free(flight->timer);
	directory_release(flight->integration);
	directory_release(flight->environment);
	token_ask_fini(&flight->ask);
	show_buf_wipe(&flight->plain);
	show_buf_wipe(&flight->renewed);
	buf_fini(&flight->sealed);
	row_fini(&flight->row);
	free(flight);
}

static void
on_unlocked(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	(void)arg; /* else it ends by itself */
	(void)code;
	(void)value;
	(void)error;
}

/* What it holds goes back; it goes once nothing is under way for it. */
static void
settle_down(struct flight *flight)
{
	if (flight->state != FLIGHT_LANDED || flight->pending > 0 || flight->call != NULL ||
	    loop_timer_is_armed(flight->timer))
		return;
	if (flight->claim != 0)
		refresh_drop(flight->daemon->account, flight->connection_id, flight->claim);
	if (flight->locked) {
		char name[40];

		snprintf(name, sizeof(name), "refresh:%lld", (long long)flight->connection_id);
		lock_release(shard_queue(flight->daemon, flight->environment_id), 0,
			     slice_text(name), flight->owner, on_unlocked, NULL);
	}
	flight->claim = 0;
	flight->locked = false;
	loop_free_later(flight->daemon->loop, flight_free, flight);
}

static void
answer(struct flight *flight, const struct fresh_answer *answer)
{
	fresh_cb *cb = flight->cb;

	flight->cb = NULL;
	if (cb != NULL)
		cb(flight->arg, answer);
}

static void
land(struct flight *flight, const struct fresh_answer *what)
{
	answer(flight, what);
	flight->state = FLIGHT_LANDED;
	settle_down(flight);
}

/* Is the stored token of use still? */
static bool
has_time_left(const struct flight *flight)
{
	struct json_value credentials;

	return !flight->stale &&
	       json_check(buf_slice(&flight->plain), &credentials, NULL) == SL_OK &&
	       token_expires_ms(credentials) > clock_wall_ms();
}

static void
land_unavailable(struct flight *flight, const struct sl_error *error)
{
	struct fresh_answer what = {.code = SL_UNAVAILABLE,
				    .wire_code = "server_error",
				    .text = error != NULL ? error->text : "the ledger is away"};

	metrics_count(METRIC_REFRESHES, METRIC_REFRESH_UNAVAILABLE);
	if (!flight->forced && has_time_left(flight))
		what = (struct fresh_answer){.row = &flight->row,
					     .credentials = buf_slice(&flight->plain)};
	land(flight, &what);
}

static void
land_gone(struct flight *flight)
{
	struct fresh_answer what = {.code = SL_NOT_FOUND,
				    .wire_code = "unknown_connection",
				    .text = "the connection was deleted meanwhile"};

	land(flight, &what);
}

/* ---- what is stored now ------------------------------------------------------------------------ */

/* The row as an answer, by what it needs.  False: it needs a refresh still.  same: what is stored are the
 * credentials that this flight began with. */
static bool
lands_by(struct flight *flight, const struct account_connection *row, bool *same)
{
	struct fresh_case c = {.row = row, .provider = flight->provider};
	struct fresh_answer what = {.row = row};
	struct sl_error error;
	struct buf plain;
	bool done = true;

	buf_init(&plain, PLAIN_MAX);
	if (show_open_credentials(flight->daemon->ring, row, &plain, &error) != SL_OK ||
	    json_check(buf_slice(&plain), &c.credentials, NULL) != SL_OK) {
		what.code = SL_INVALID;
		what.wire_code = "invalid_credentials";
		what.text = "the stored credentials cannot be opened with the keys of this server";
		*same = false;
		land(flight, &what);
		show_buf_wipe(&plain);
		return true;
	}
	*same = plain.len == flight->plain.len &&
		secret_equal(plain.data, flight->plain.data, plain.len);
	/* Another credential than the one that was to be refreshed is what was asked for, however it came. */
	c.force = flight->forced && *same;
	c.stale = flight->stale && *same;
	c.plain = buf_slice(&plain);
	switch (fresh_need(&c)) {
	case FRESH_AS_IT_IS:
		what.credentials = c.plain;
		break;
	case FRESH_BACKOFF:
		what.code = SL_INVALID;
		what.wire_code = "connection_refresh_backoff";
		what.text = FRESH_BACKOFF_TEXT;
		break;
	case FRESH_EXHAUSTED:
		what.code = SL_INVALID;
		what.wire_code = "connection_refresh_exhausted";
		what.text = FRESH_EXHAUSTED_TEXT;
		break;
	case FRESH_NEEDED:
		done = false;
		break;
	}
	if (done)
		land(flight, &what);
	show_buf_wipe(&plain);
	return done;
}

static void
take_row(struct flight *flight, const struct account_connection *row)
{
	struct sl_error error;

	row_fini(&flight->row);
	row_copy(&flight->row, row);
	secret_wipe(flight->plain.data, flight->plain.len);
	buf_clear(&flight->plain);
	if (show_open_credentials(flight->daemon->ring, row, &flight->plain, &error) != SL_OK)
		buf_clear(&flight->plain); /* lands_by() has opened it a moment ago */
}

static void
wait_then(struct flight *flight, int64_t ms, void (*then)(struct flight *flight))
{
	flight->state = FLIGHT_WAITING;
	flight->then = then;
	loop_timer_in(flight->timer, ms);
}

static int64_t
poll_ms(void)
{
	uint16_t random;

	secret_random(&random, sizeof(random));
	return POLL_MS + POLL_MS / 2 * random / 65536;
}

static void
on_timer(void *arg)
{
	struct flight *flight = arg;

	assert(flight->state == FLIGHT_WAITING || flight->state == FLIGHT_LOCKING);
	if (flight->state == FLIGHT_LOCKING)
		try_claim(flight); /* Redis does not answer */
	else
		flight->then(flight);
}

/* ---- the lock, which saves the ledger from being asked by all -------------------------------------- */

static void
on_looked(void *arg, enum sl_code code, const struct account_connection *rows, int count,
	  const struct sl_error *error)
{
	struct flight *flight = arg;
	bool same;

	(void)count;
	flight->pending--;
	if (flight->state == FLIGHT_LANDED)
		settle_down(flight);
	else if (code == SL_NOT_FOUND)
		land_gone(flight);
	else if (code != SL_OK)
		land_unavailable(flight, error);
	else if (!lands_by(flight, &rows[0], &same))
		wait_then(flight, poll_ms(),
			  clock_mono_ms() < flight->patient_until_ms ? try_lock : try_claim);
}

static void
on_lock(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct flight *flight = arg;

	(void)error;
	flight->pending--;
	flight->locked = flight->locked || (code == SL_OK && value == 1);
	if (flight->state != FLIGHT_LOCKING) { /* it has gone on without, or landed */
		settle_down(flight);
		return;
	}
	loop_timer_stop(flight->timer);
	if (code == SL_OK && value == 0) {
		flight->state = FLIGHT_CLAIMING;
		flight->pending++;
		account_connection_by_id(flight->daemon->account, flight->connection_id, on_looked,
					 flight);
	} else {
		try_claim(flight);
	}
}

static void
try_lock(struct flight *flight)
{
	struct queue *queue = flight->daemon->queues != NULL
				  ? shard_queue(flight->daemon, flight->environment_id)
				  : NULL;
	char name[40];

	if (queue == NULL || !queue_is_up(queue)) {
		try_claim(flight);
		return;
	}
	snprintf(name, sizeof(name), "refresh:%lld", (long long)flight->connection_id);
	flight->state = FLIGHT_LOCKING;
	flight->pending++;
	loop_timer_in(flight->timer, LOCK_ANSWER_MS);
	lock_acquire(queue, 0, slice_text(name), flight->owner, LOCK_MS, on_lock, flight);
}

/* ---- the claim, which decides ---------------------------------------------------------------------- */

static void
on_integration(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct flight *flight = arg;

	flight->pending--;
	if (flight->state == FLIGHT_LANDED) {
		settle_down(flight);
	} else if (code != SL_OK) {
		land_unavailable(flight, error);
	} else {
		flight->integration = directory_hold(object);
		fetch(flight);
	}
}

static void
on_environment(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct flight *flight = arg;

	flight->pending--;
	if (flight->state == FLIGHT_LANDED) {
		settle_down(flight);
		return;
	}
	if (code != SL_OK) {
		land_unavailable(flight, error);
		return;
	}
	flight->environment = directory_hold(object);
	flight->pending++;
	directory_integration(flight->daemon->directory, flight->environment_id,
			      flight->row.unique_key, on_integration, flight);
}

static void
on_claim(void *arg, enum sl_code code, int64_t claim, const struct account_connection *row,
	 const struct sl_error *error)
{
	struct flight *flight = arg;
	bool same;

	flight->pending--;
	flight->claim = code == SL_OK ? claim : 0;
	if (flight->state == FLIGHT_LANDED) {
		settle_down(flight);
	} else if (code == SL_NOT_FOUND) {
		land_gone(flight);
	} else if (code != SL_OK) {
		land_unavailable(flight, error);
	} else if (lands_by(flight, row, &same)) {
		return;
	} else if (claim == 0) {
		if (clock_mono_ms() < flight->patient_until_ms)
			wait_then(flight, poll_ms(), try_claim);
		else
			land_unavailable(flight, NULL);
	} else {
		take_row(flight, row);
		flight->state = FLIGHT_LOOKING_UP;
		flight->pending++;
		directory_environment(flight->daemon->directory, flight->environment_id,
				      on_environment, flight);
	}
}

static void
try_claim(struct flight *flight)
{
	flight->state = FLIGHT_CLAIMING;
	flight->pending++;
	refresh_begin(flight->daemon->account, flight->connection_id, CLAIM_MS, on_claim, flight);
}

/* ---- how it ends ------------------------------------------------------------------------------- */

static void
on_failed(void *arg, enum sl_code code, const struct account_connection *rows, int count,
	  const struct sl_error *error)
{
	struct flight *flight = arg;
	struct fresh_answer what = {.wire_code = "invalid_credentials", .text = flight->cause};
	struct buf plain;
	struct sl_error failed;
	bool used;

	(void)count;
	flight->pending--;
	flight->claim = 0;
	if (flight->state == FLIGHT_LANDED) {
		settle_down(flight);
		return;
	}
	if (code != SL_OK) {
		land_unavailable(flight, error);
		return;
	}
	buf_init(&plain, PLAIN_MAX);
	/* Others may have stored something better; what is refused for good is of no use, time left or not. */
	used = show_open_credentials(flight->daemon->ring, &rows[0], &plain, &failed) == SL_OK &&
	       (plain.len != flight->plain.len ||
		!secret_equal(plain.data, flight->plain.data, plain.len) ||
		(flight->log_id[0] == '\0' && !flight->forced));
	what.row = &rows[0];
	what.code = used ? SL_OK : SL_INVALID;
	if (used)
		what = (struct fresh_answer){.row = &rows[0], .credentials = buf_slice(&plain)};
	land(flight, &what);
	show_buf_wipe(&plain);
}

static void
fail(struct flight *flight, bool refused)
{
	bool told = refused || !has_time_left(flight);
	struct refresh_failure failure = {.cause = flight->cause};
	struct settle_event event = {.environment_id = flight->environment_id,
				     .connection_id = flight->connection_id,
				     .type = SETTLE_EVENT_AUTH,
				     .outcome = SETTLE_EVENT_FAILED};
	struct buf body;

	buf_init(&body, AUTH_EVENT_MAX);
	if (told) {
		uuid_v4(flight->log_id);
		failure.log_id = flight->log_id;
		auth_event_write_failure(flight->environment->row.name,
					 flight->provider->auth_mode_name, &flight->row,
					 refused ? "refresh_token_refused" : "refresh_failed", flight->cause,
					 &body);
		event.body = buf_slice(&body);
		failure.event = &event;
	}
	log_warn("refresh_failed", "connection=%lld provider=%s calls=%d log_id=%s refused=%d cause=%s",
		 (long long)flight->connection_id, flight->row.provider, flight->calls,
		 told ? flight->log_id : "none", refused, log_text(flight->cause));
	metrics_count(METRIC_REFRESHES,
		      refused ? METRIC_REFRESH_REFUSED : METRIC_REFRESH_UNAVAILABLE);
	flight->state = FLIGHT_FAILING;
	flight->pending++;
	refresh_fail(flight->daemon->account, flight->connection_id, flight->claim,
		     flight->row.credentials, &failure, on_failed, flight);
	buf_fini(&body);
}

/* ---- the token endpoint -------------------------------------------------------------------------- */

static void
on_stored(void *arg, enum sl_code code, const struct account_connection *rows, int count,
	  const struct sl_error *error)
{
	struct flight *flight = arg;
	struct fresh_answer what = {.row = rows, .credentials = buf_slice(&flight->renewed)};
	bool same;

	(void)count;
	flight->pending--;
	if (flight->state == FLIGHT_LANDED) {
		settle_down(flight);
	} else if (code == SL_NOT_FOUND) {
		flight->claim = 0;
		land_gone(flight);
	} else if (code != SL_OK && clock_mono_ms() < flight->store_until_ms) {
		log_warn("refresh_not_stored", "connection=%lld error=%s",
			 (long long)flight->connection_id, log_text(error->text));
		wait_then(flight, STORE_AGAIN_MS, store);
	} else if (code != SL_OK) {
		land_unavailable(flight, error);
	} else if (strcmp(rows[0].credentials, flight->sealed.data) == 0) {
		FAULT_POINT("token_stored");
		flight->claim = 0;
		metrics_count(METRIC_REFRESHES, METRIC_REFRESH_OK);
		metrics_observe_ms(METRIC_REFRESH_SECONDS, 0, clock_mono_ms() - flight->began_ms);
		log_info("refresh_done", "connection=%lld provider=%s calls=%d ms=%lld",
			 (long long)flight->connection_id, flight->row.provider, flight->calls,
			 (long long)(clock_mono_ms() - flight->began_ms));
		land(flight, &what);
	} else if (lands_by(flight, &rows[0], &same)) {
		log_info("refresh_overtaken", "connection=%lld", (long long)flight->connection_id);
	} else if (same) { /* the same under another key: the new ones go over it all the same */
		take_row(flight, &rows[0]);
		store(flight);
	} else {
		land_unavailable(flight, NULL);
	}
}

static void
store(struct flight *flight)
{
	flight->state = FLIGHT_STORING;
	flight->pending++;
	refresh_store(flight->daemon->account, flight->connection_id, flight->claim,
		      flight->row.credentials, flight->sealed.data, on_stored, flight);
}

/* What became of a call: the new token, a refusal that one more call confirms, or nothing to go by. */
static void
judge(struct flight *flight, enum sl_code code, const struct sl_error *error)
{
	if (code == SL_OK) {
		FAULT_POINT("token_answered");
		buf_clear(&flight->sealed);
		secret_seal(flight->daemon->ring, buf_slice(&flight->renewed), flight->row.seal_row,
			    &flight->sealed);
		flight->store_until_ms = clock_mono_ms() + STORE_MS;
		store(flight);
		return;
	}
	snprintf(flight->cause, sizeof(flight->cause), "%s", error->text);
	if (code == SL_INVALID) {
		flight->refusals++;
		if (flight->refusals == 1)
			wait_then(flight, CONFIRM_MS, fetch);
		else
			fail(flight, true);
	} else if (flight->calls < CALLS_MAX) {
		wait_then(flight, flight->calls == 1 ? 500 : 1000, fetch);
	} else {
		fail(flight, false);
	}
}

static void
on_token(void *arg, const struct http_answer *got)
{
	struct flight *flight = arg;
	struct json_value credentials;
	struct sl_error error;
	enum sl_code code;

	flight->call = NULL;
	if (flight->state == FLIGHT_LANDED) {
		settle_down(flight);
		return;
	}
	if (got->failure == HTTP_REFUSED_URL) {
		code = sl_fail(&error, SL_INVALID, "the token URL is refused: %.160s", got->text);
		flight->refusals++; /* by us: there is nothing to confirm */
	} else if (got->failure != HTTP_ANSWERED) {
		code = sl_fail(&error, SL_UNAVAILABLE, "the token endpoint: %.160s",
			       got->text != NULL ? got->text : "no answer");
	} else if (json_check(buf_slice(&flight->plain), &credentials, NULL) != SL_OK) {
		code = sl_fail(&error, SL_INVALID, "the stored credentials are not JSON");
	} else {
		code = token_answer(flight->provider, credentials, got->status,
				    http_answer_header(got, "content-type"), got->body,
				    clock_wall_ms(), &flight->renewed, &error);
	}
	judge(flight, code, &error);
}

static void
send_ask(struct flight *flight)
{
	struct http_header headers[4] = {{"content-type", flight->ask.content_type},
					 {"accept", "application/json"},
					 {"user-agent", "sluice/" PACKAGE_VERSION},
					 {"authorization", flight->ask.authorization}};
	const struct http_ask ask = {
	    .method = "POST",
	    .url = flight->ask.url,
	    .headers = headers,
	    .header_count = flight->ask.authorization != NULL ? 4 : 3,
	    .body = {flight->ask.body, flight->ask.body_len},
	    .has_body = true,
	    .timeout_ms = CALL_MS,
	    .response_max = TOKEN_ANSWER_MAX,
	    .decompress = true,
	    .client_certificate = flight->ask.client_certificate,
	    .client_key = flight->ask.client_key,
	};

	flight->calls++;
	flight->state = FLIGHT_FETCHING;
	flight->call = http_client_send(flight->daemon->client, &ask, on_token, flight);
}

static struct json_value
parsed(struct slice text)
{
	struct json_value value;

	return json_check(text, &value, NULL) == SL_OK ? value : (struct json_value){0};
}

static void
fetch(struct flight *flight)
{
	const struct account_integration *integration = &flight->integration->row;
	struct sl_error error;
	struct buf client;
	enum sl_code code = SL_OK;

	buf_init(&client, PLAIN_MAX);
	token_ask_fini(&flight->ask);
	if (integration->credentials[0] != '\0')
		code = secret_open(flight->daemon->ring, slice_text(integration->credentials),
				   integration->seal_row, &client, &error);
	if (code == SL_OK)
		code = token_request(flight->provider, parsed(buf_slice(&flight->plain)),
				     parsed(buf_slice(&client)),
				     parsed(slice_text(flight->row.connection_config)),
				     parsed(slice_text(flight->row.metadata)),
				     parsed(slice_text(integration->config)), &flight->ask, &error);
	show_buf_wipe(&client);
	if (code == SL_OK) {
		send_ask(flight);
		return;
	}
	snprintf(flight->cause, sizeof(flight->cause), "%s", error.text);
	fail(flight, true);
}

/* ---- life -------------------------------------------------------------------------------------- */

struct flight *
flight_start(struct daemon *daemon, const struct fresh_case *c, fresh_cb *cb, void *arg)
{
	struct flight *flight = sl_alloc(sizeof(*flight));

	flight->daemon = daemon;
	flight->cb = cb;
	flight->arg = arg;
	flight->forced = c->force;
	flight->stale = c->stale;
	flight->connection_id = c->row->id;
	flight->environment_id = c->row->environment_id;
	flight->provider = c->provider;
	row_copy(&flight->row, c->row);
	buf_init(&flight->plain, PLAIN_MAX);
	buf_init(&flight->renewed, PLAIN_MAX);
	buf_init(&flight->sealed, 2 * PLAIN_MAX);
	buf_add_slice(&flight->plain, c->plain);
	flight->began_ms = clock_mono_ms();
	flight->patient_until_ms = flight->began_ms + PATIENCE_MS;
	uuid_v4(flight->owner);
	flight->timer = loop_timer_new(daemon->loop, on_timer, flight);
	wait_then(flight, 0, try_lock); /* never from inside */
	return flight;
}

void
flight_force(struct flight *flight)
{
	flight->forced = true;
}

void
flight_abort(struct flight *flight)
{
	struct fresh_answer what = {.code = SL_UNAVAILABLE,
				    .wire_code = "server_error",
				    .text = "this node stops"};

	loop_timer_stop(flight->timer);
	if (flight->call != NULL)
		http_call_cancel(flight->call);
	if (flight->state == FLIGHT_STORING)
		log_error("refresh_lost", "connection=%lld effect=%s",
			  (long long)flight->connection_id,
			  log_text("the new token may not be stored; if its refresh fails, connect again"));
	land(flight, &what);
}
