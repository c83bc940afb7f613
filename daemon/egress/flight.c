#include "daemon/egress/flight.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "daemon/api/directory.h"
#include "daemon/api/show.h"
#include "daemon/egress/flight_parts.h"
#include "daemon/shard.h"
#include "http/client.h"
#include "sql/refresh.h"

#define LOCK_MS 30000      /* how long the lock is taken for */
#define LOCK_ANSWER_MS 500 /* without an answer for so long it goes without the lock */
#define CLAIM_MS 90000     /* a claim outlasts the calls, and the waits between them */
#define POLL_MS 120 /* somebody else is at it: looked again, with half of it by chance more */
/* so long at most: a node that died with a claim is outlasted */
#define OLD_AFTER_MS 5000 /* then a token that has not ended is used as it is */
#define PATIENCE_MS (CLAIM_MS + 5000)

static void try_lock(struct flight *flight);
static void try_claim(struct flight *flight);

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

void
flight_settle_down(struct flight *flight)
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

void
flight_land(struct flight *flight, const struct fresh_answer *what)
{
	answer(flight, what);
	flight->state = FLIGHT_LANDED;
	flight_settle_down(flight);
}

bool
flight_has_time_left(const struct flight *flight)
{
	struct json_value credentials;

	return !flight->stale &&
	       json_check(buf_slice(&flight->plain), &credentials, NULL) == SL_OK &&
	       token_expires_ms(credentials) > clock_wall_ms();
}

void
flight_land_unavailable(struct flight *flight, const struct sl_error *error)
{
	struct fresh_answer what = {.code = SL_UNAVAILABLE,
				    .wire_code = "server_error",
				    .text = error != NULL ? error->text : "the ledger is away"};

	metrics_count(METRIC_REFRESHES, METRIC_REFRESH_UNAVAILABLE);
	if (!flight->forced && flight_has_time_left(flight))
		what = (struct fresh_answer){.row = &flight->row,
					     .credentials = buf_slice(&flight->plain)};
	flight_land(flight, &what);
}

void
flight_land_gone(struct flight *flight)
{
	struct fresh_answer what = {.code = SL_NOT_FOUND,
				    .wire_code = "unknown_connection",
				    .text = "the connection was deleted meanwhile"};

	flight_land(flight, &what);
}

/* ---- what is stored now ------------------------------------------------------------------------ */

bool
flight_lands_by(struct flight *flight, const struct account_connection *row, bool *same)
{
	struct fresh_case c = {.row = row, .provider = flight->provider};
	struct fresh_answer what = {.row = row};
	struct sl_error error;
	struct buf plain;
	bool done = true;

	buf_init(&plain, FLIGHT_PLAIN_MAX);
	if (show_open_credentials(flight->daemon->ring, row, &plain, &error) != SL_OK ||
	    json_check(buf_slice(&plain), &c.credentials, NULL) != SL_OK) {
		what.code = SL_INVALID;
		what.wire_code = "invalid_credentials";
		what.text = "the stored credentials cannot be opened with the keys of this server";
		*same = false;
		flight_land(flight, &what);
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
		flight_land(flight, &what);
	show_buf_wipe(&plain);
	return done;
}

void
flight_take_row(struct flight *flight, const struct account_connection *row)
{
	struct sl_error error;

	row_fini(&flight->row);
	row_copy(&flight->row, row);
	secret_wipe(flight->plain.data, flight->plain.len);
	buf_clear(&flight->plain);
	if (show_open_credentials(flight->daemon->ring, row, &flight->plain, &error) != SL_OK)
		buf_clear(&flight->plain); /* flight_lands_by() has opened it a moment ago */
}

void
flight_wait_then(struct flight *flight, int64_t ms, void (*then)(struct flight *flight))
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

/* Somebody else is at it, and may be dead: a token that has not ended serves meanwhile. */
static bool
lands_by_old(struct flight *flight)
{
	const struct fresh_answer what = {.row = &flight->row,
					  .credentials = buf_slice(&flight->plain)};

	if (flight->forced || clock_mono_ms() - flight->began_ms < OLD_AFTER_MS ||
	    !flight_has_time_left(flight))
		return false;
	flight_land(flight, &what);
	return true;
}

static void
on_looked(void *arg, enum sl_code code, const struct account_connection *rows, int count,
	  const struct sl_error *error)
{
	struct flight *flight = arg;
	bool same;

	(void)count;
	flight->pending--;
	if (flight->state == FLIGHT_LANDED)
		flight_settle_down(flight);
	else if (code == SL_NOT_FOUND)
		flight_land_gone(flight);
	else if (code != SL_OK)
		flight_land_unavailable(flight, error);
	else if (!flight_lands_by(flight, &rows[0], &same) && !lands_by_old(flight))
		flight_wait_then(flight, poll_ms(),
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
		flight_settle_down(flight);
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
		flight_settle_down(flight);
	} else if (code != SL_OK) {
		flight_land_unavailable(flight, error);
	} else {
		flight->integration = directory_hold(object);
		flight_fetch(flight);
	}
}

static void
on_environment(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct flight *flight = arg;

	flight->pending--;
	if (flight->state == FLIGHT_LANDED) {
		flight_settle_down(flight);
		return;
	}
	if (code != SL_OK) {
		flight_land_unavailable(flight, error);
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
	struct sl_error busy;
	bool same;

	flight->pending--;
	flight->claim = code == SL_OK ? claim : 0;
	if (flight->state == FLIGHT_LANDED) {
		flight_settle_down(flight);
	} else if (code == SL_NOT_FOUND) {
		flight_land_gone(flight);
	} else if (code != SL_OK) {
		flight_land_unavailable(flight, error);
	} else if (flight_lands_by(flight, row, &same)) {
		return;
	} else if (claim == 0) {
		if (lands_by_old(flight))
			return;
		if (clock_mono_ms() < flight->patient_until_ms) {
			flight_wait_then(flight, poll_ms(), try_claim);
			return;
		}
		sl_fail(
		    &busy, SL_UNAVAILABLE,
		    "these credentials are being refreshed elsewhere, which has not ended in %d s",
		    PATIENCE_MS / 1000);
		flight_land_unavailable(flight, &busy);
	} else {
		flight_take_row(flight, row);
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
	buf_init(&flight->plain, FLIGHT_PLAIN_MAX);
	buf_init(&flight->renewed, FLIGHT_PLAIN_MAX);
	buf_init(&flight->sealed, 2 * FLIGHT_PLAIN_MAX);
	buf_add_slice(&flight->plain, c->plain);
	flight->began_ms = clock_mono_ms();
	flight->patient_until_ms = flight->began_ms + PATIENCE_MS;
	uuid_v4(flight->owner);
	flight->timer = loop_timer_new(daemon->loop, on_timer, flight);
	flight_wait_then(flight, 0, try_lock); /* never from inside */
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
	struct fresh_answer what = {
	    .code = SL_UNAVAILABLE, .wire_code = "server_error", .text = "this node stops"};

	loop_timer_stop(flight->timer);
	if (flight->call != NULL)
		http_call_cancel(flight->call);
	if (flight->state == FLIGHT_STORING)
		log_error(
		    "refresh_lost", "connection=%lld effect=%s", (long long)flight->connection_id,
		    log_text(
			"the new token may not be stored; if its refresh fails, connect again"));
	flight_land(flight, &what);
}
