/* sql/settle_state.h - what the files of settle share.  Private to them. */
#ifndef SLUICE_SQL_SETTLE_STATE_H
#define SLUICE_SQL_SETTLE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "sql/settle.h"
#include "sql/settle_batch.h"

#define SETTLE_BEAT_WAIT_MS 1000

/* An item goes queue -> flight -> done and leaves with its callback.
 * IDLE: flight is empty.  SENT: its commit is under way.  AGAIN: it did not come to a commit.
 * DOUBT: the connection was lost meanwhile; the next send counts what is there as ours.
 * In AGAIN and DOUBT flight is sent again, but for claims that are too old. */
enum settle_state { SETTLE_IDLE, SETTLE_SENT, SETTLE_AGAIN, SETTLE_DOUBT };

struct settle_call { /* of open, beat, release, close */
	struct settle *settle;
	int64_t session;
	int resolved; /* close: see resolve_count() */
	settle_cb *cb;
	void *arg;
};

struct settle {
	struct loop *loop;
	struct pg *pg;
	int64_t session;
	enum settle_state state;
	struct settle_items queue, flight, done;
	int64_t flight_session;
	struct settle_batch batch;
	bool careful; /* flight met a row that was there already */
	int pending;
	struct settle_call *closing; /* waits until all before it is answered; owned */
	struct loop_timer *tick;     /* armed while anything is pending */
	struct loop_timer *gather;   /* armed while a batch waits for more rows */
	int64_t gather_until_ms;     /* monotonic; 0: the last batch was small, nothing waits */
	bool outstanding;            /* flight is with pg, which will answer */
	bool flushing, closed;
};

/* ---- of settle.c ---------------------------------------------------------------------------- */

/* A new item with its ids checked: its code says so if they are wrong. */
struct settle_item *settle_item_new(enum settle_kind kind, const char *job_id, int number,
				    settle_cb *cb, void *arg);
void settle_item_output(struct settle_item *item, struct slice output); /* copied */
/* Takes item; one whose code is not SL_OK is answered with it.  Rows are checked before they join a
 * batch: a bad one would fail all of it. */
void settle_queue(struct settle *settle, struct settle_item *item);
/* Flushes when this turn of the loop is over. */
void settle_flush_soon(struct settle *settle);
/* The session was found ended: nothing asked under it can succeed any more. */
void settle_lose_session(struct settle *settle, int64_t session);
void settle_deliver(struct settle *settle); /* answers what is done */

/* ---- of settle_session.c -------------------------------------------------------------------- */

/* Sends settle->closing, which nothing precedes any more. */
void settle_send_close(struct settle *settle);

#endif
