/* daemon/egress/flight_token.c - the call of the token endpoint, and what is recorded of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/metrics.h"
#include "config.h"
#include "daemon/api/auth_event.h"
#include "daemon/api/directory.h"
#include "daemon/api/show.h"
#include "daemon/egress/flight_parts.h"
#include "http/client.h"
#include "sql/refresh.h"

#define CALL_MS 15000   /* one call of a token endpoint */
#define CALLS_MAX 3     /* where the answer says nothing about the credentials */
#define CONFIRM_MS 1000 /* before a refusal is believed */
#define STORE_AGAIN_MS 250
#define STORE_MS 600000 /* so long a new token is offered to a ledger that is away */

static void store(struct flight *flight);

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
		flight_settle_down(flight);
		return;
	}
	if (code != SL_OK) {
		flight_land_unavailable(flight, error);
		return;
	}
	buf_init(&plain, FLIGHT_PLAIN_MAX);
	/* Others may have stored something better; what is refused for good is of no use, time left or not. */
	used = show_open_credentials(flight->daemon->ring, &rows[0], &plain, &failed) == SL_OK &&
	       (plain.len != flight->plain.len ||
		!secret_equal(plain.data, flight->plain.data, plain.len) ||
		(flight->log_id[0] == '\0' && !flight->forced));
	what.row = &rows[0];
	what.code = used ? SL_OK : SL_INVALID;
	if (used)
		what = (struct fresh_answer){.row = &rows[0], .credentials = buf_slice(&plain)};
	flight_land(flight, &what);
	show_buf_wipe(&plain);
}

static void
fail(struct flight *flight, bool refused)
{
	bool told = refused || !flight_has_time_left(flight);
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
		auth_event_write_failure(
		    flight->environment->row.name, flight->provider->auth_mode_name, &flight->row,
		    refused ? "refresh_token_refused" : "refresh_failed", flight->cause, &body);
		event.body = buf_slice(&body);
		failure.event = &event;
	}
	log_warn("refresh_failed",
		 "connection=%lld provider=%s calls=%d log_id=%s refused=%d cause=%s",
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
		flight_settle_down(flight);
	} else if (code == SL_NOT_FOUND) {
		flight->claim = 0;
		flight_land_gone(flight);
	} else if (code != SL_OK && clock_mono_ms() < flight->store_until_ms) {
		log_warn("refresh_not_stored", "connection=%lld error=%s",
			 (long long)flight->connection_id, log_text(error->text));
		flight_wait_then(flight, STORE_AGAIN_MS, store);
	} else if (code != SL_OK) {
		flight_land_unavailable(flight, error);
	} else if (strcmp(rows[0].credentials, flight->sealed.data) == 0) {
		FAULT_POINT("token_stored");
		flight->claim = 0;
		metrics_count(METRIC_REFRESHES, METRIC_REFRESH_OK);
		metrics_observe_ms(METRIC_REFRESH_SECONDS, 0, clock_mono_ms() - flight->began_ms);
		log_info("refresh_done", "connection=%lld provider=%s calls=%d ms=%lld",
			 (long long)flight->connection_id, flight->row.provider, flight->calls,
			 (long long)(clock_mono_ms() - flight->began_ms));
		flight_land(flight, &what);
	} else if (flight_lands_by(flight, &rows[0], &same)) {
		log_info("refresh_overtaken", "connection=%lld", (long long)flight->connection_id);
	} else if (same) { /* the same under another key: the new ones go over it all the same */
		flight_take_row(flight, &rows[0]);
		store(flight);
	} else {
		flight_land_unavailable(flight, NULL);
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
			flight_wait_then(flight, CONFIRM_MS, flight_fetch);
		else
			fail(flight, true);
	} else if (flight->calls < CALLS_MAX) {
		flight_wait_then(flight, flight->calls == 1 ? 500 : 1000, flight_fetch);
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
		flight_settle_down(flight);
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

void
flight_fetch(struct flight *flight)
{
	const struct account_integration *integration = &flight->integration->row;
	struct sl_error error;
	struct buf client;
	enum sl_code code = SL_OK;

	buf_init(&client, FLIGHT_PLAIN_MAX);
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
