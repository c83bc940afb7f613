/* daemon/egress/flight_parts.h - what flight.c and flight_token.c share. */
#ifndef SLUICE_DAEMON_EGRESS_FLIGHT_PARTS_H
#define SLUICE_DAEMON_EGRESS_FLIGHT_PARTS_H

#include "daemon/egress/flight.h"
#include "provider/token.h"
#include "queue/lock.h"

#define FLIGHT_PLAIN_MAX (1 << 20)

struct directory_environment;
struct directory_integration;

enum flight_state {
	FLIGHT_LOCKING,
	FLIGHT_CLAIMING,
	FLIGHT_LOOKING_UP, /* integration, environment */
	FLIGHT_WAITING,    /* the timer says when `then` is gone on with */
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

/* ---- flight.c */
/* Answers, and gives back what it holds. */
void flight_land(struct flight *flight, const struct fresh_answer *what);
void flight_land_unavailable(struct flight *flight, const struct sl_error *error);
void flight_land_gone(struct flight *flight);
/* The row as an answer, by what it needs.  False: it needs a refresh still.  same: what is stored are the
 * credentials that this flight began with. */
bool flight_lands_by(struct flight *flight, const struct account_connection *row, bool *same);
void flight_take_row(struct flight *flight,
		     const struct account_connection *row); /* from now on this is refreshed */
void flight_wait_then(struct flight *flight, int64_t ms, void (*then)(struct flight *flight));
/* LANDED, and one more answer came: it goes once nothing is under way for it. */
void flight_settle_down(struct flight *flight);
bool flight_has_time_left(const struct flight *flight); /* is the stored token of use still? */

/* ---- flight_token.c */
void flight_fetch(struct flight *flight); /* under the claim, with integration and environment */

#endif
