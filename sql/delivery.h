/* sql/delivery.h - the deliverer's hand in the ledger: which deliveries it may try now, and what
 * became of a try.
 *
 * A claim lasts as long as its lease: then the delivery is due again, for any node, and what the
 * one before says is refused.  Neither claims nor records wait for the disk: a crash of the server
 * takes back the last of them, and the event is sent once more under the same id.  All endpoints
 * take turns; one that cannot be sent to costs a claim one look at an index, however much waits for
 * it.  On a connection of its own. */
#ifndef SLUICE_SQL_DELIVERY_H
#define SLUICE_SQL_DELIVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/loop.h"
#include "base/secret.h"
#include "sql/pg.h"

enum delivery_state {
	DELIVERY_PENDING = 1,
	DELIVERY_RETRYING,
	DELIVERY_DELIVERED,
	DELIVERY_EXHAUSTED
};
enum endpoint_slot { ENDPOINT_PRIMARY = 1, ENDPOINT_SECONDARY, ENDPOINT_OVERRIDE };
enum endpoint_pause { ENDPOINT_PAUSE_OPERATOR = 1, ENDPOINT_PAUSE_GONE, ENDPOINT_PAUSE_FAILING };

struct delivery_store; /* opaque */

struct delivery_store *delivery_store_new(struct loop *loop, const struct pg_settings *settings);
/* What is under way is answered with SL_UNAVAILABLE first. */
void delivery_store_free(struct delivery_store *store);
bool delivery_store_is_up(const struct delivery_store *store);

/* ---- claiming ------------------------------------------------------------------------------- */

struct delivery_lane { /* of an endpoint that the node knows */
	int64_t endpoint_id;
	int room; /* what this claim may take of it; 0: nothing */
};

struct delivery_ask {
	int64_t
	    after; /* endpoints go by their id, behind this one first, once round; 0: from the first */
	int room;       /* 1 or more: rows in all */
	int fresh_room; /* of an endpoint that is not among lanes; 0: only lanes are looked at */
	const struct delivery_lane *lanes; /* in any order, each endpoint once */
	int lane_count;
	int64_t lease_ms; /* more than a try may take */
	int64_t bytes;    /* of bodies in all; the first row always goes; 0: as many as there are */
};

/* Claims what is due longest of each endpoint, and none of an endpoint that has no URL, is paused,
 * or whose circuit breaker is open.  Where the breaker was open a claim takes one row as a probe,
 * and keeps it open for the others of the fleet until the probe is recorded or the lease is over. */
struct delivery_claimed {
	char id[UUID_TEXT];       /* of the delivery */
	char event_id[UUID_TEXT]; /* the webhook-id */
	int64_t claim;            /* for delivery_record() */
	int64_t endpoint_id, environment_id;
	char endpoint_uuid[UUID_TEXT]; /* its name outside */
	int number;                    /* of this try, from 1 */
	int round;                     /* the same since the delivery was last resent */
	const char *url, *body;        /* these and the keys: borrowed until the callback returns */
	const char *environment_uuid, *signing_key, *signing_key_before; /* keys: sealed, "" none */
	int64_t signing_key_age_ms; /* by the ledger's clock; -1: never rotated */
	int64_t late_ms;            /* since when it was due */
	bool failing;               /* the endpoint has failed since it last took one */
};
/* last: the endpoint to go on behind.  A claim in doubt is SL_UNAVAILABLE: if it was made, its
 * lease runs out. */
typedef void delivery_claim_cb(void *arg, enum sl_code code, const struct delivery_claimed *rows,
			       int count, int64_t last, const struct sl_error *error);
void delivery_claim(struct delivery_store *store, const struct delivery_ask *ask,
		    delivery_claim_cb *cb, void *arg);

/* ---- recording ------------------------------------------------------------------------------ */

enum delivery_outcome {
	DELIVERY_OK,
	DELIVERY_AGAIN,   /* failed; due again in delay_ms */
	DELIVERY_GIVEN_UP /* failed, and it was the last try */
};

struct delivery_tried { /* copied */
	char id[UUID_TEXT];
	int64_t claim, endpoint_id;
	int number;
	int64_t at_ms, took_ms; /* at: wall clock of the node */
	const char *url;
	int status; /* 0: no answer */
	const char *failure, *detail,
	    *headers;        /* "" if none; headers: a JSON object.  What is no UTF-8 in
						   them is replaced */
	struct slice answer; /* any bytes */
	bool cut;            /* there was more of the answer */
	enum delivery_outcome outcome;
	int64_t delay_ms; /* DELIVERY_AGAIN */
	bool gone;        /* the endpoint wants no more (410): it is paused */
	int64_t open_ms;  /* above 0: nobody sends to the endpoint for so long */
};

/* paused: this try did it.  SL_CONFLICT: the claim was taken over, or the delivery is not there any
 * more; nothing was written.  SL_UNAVAILABLE, after 60 s of trying: it may have been. */
typedef void delivery_record_cb(void *arg, enum sl_code code, bool paused,
				const struct sl_error *error);
/* Calls gather while a transaction is under way and go with the next one.  A commit in doubt is
 * repeated; nothing is written twice (paused is then false even if it was).  A success clears the
 * endpoint's trouble; a failure of an endpoint that has failed for pause_after_ms pauses it.  What
 * an endpoint answered under a URL that it does not have any more is logged and no trouble of it. */
void delivery_record(struct delivery_store *store, const char *node,
		     const struct delivery_tried *tried, int64_t pause_after_ms,
		     delivery_record_cb *cb, void *arg);

/* ---- looking -------------------------------------------------------------------------------- */

#define DELIVERY_PENDING_MAX 100001 /* counted no further */

struct delivery_survey {
	int64_t pending; /* of all endpoints */
	int64_t
	    oldest_ms; /* how long the one has been due that is due longest, of endpoints that are
			      sent to; 0: none is */
	int64_t paused, open, failing; /* endpoints with a URL, each in the first that fits */
};
typedef void delivery_survey_cb(void *arg, enum sl_code code, const struct delivery_survey *survey,
				const struct sl_error *error);
void delivery_survey(struct delivery_store *store, delivery_survey_cb *cb, void *arg);

#endif
