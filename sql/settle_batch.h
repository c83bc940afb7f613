/* sql/settle_batch.h - one flush of a worker: what it sends and how its answers are read.  Private
 * to settle.c.
 *
 * The first command locks the session row, if it is live, against being ended; every other command
 * does nothing without it.  Then settle before begin (a key's next begin is never durable without
 * the previous result), then claims, then what became of the claimed jobs: a command of its own,
 * whose snapshot is later than the claim. */
#ifndef SLUICE_SQL_SETTLE_BATCH_H
#define SLUICE_SQL_SETTLE_BATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sql/settle.h"
#include "sql/unit.h"

enum settle_kind { SETTLE_RESULT, SETTLE_RETRY, SETTLE_BEGIN, SETTLE_CLAIM };

struct settle_item {
	TAILQ_ENTRY(settle_item) link;
	enum settle_kind kind;
	int64_t session;  /* the one it was asked under */
	int64_t until_ms; /* monotonic: fails when still not answered by then */
	char job_id[UUID_TEXT];
	int number;            /* of the attempt */
	enum job_state state;  /* SETTLE_RESULT */
	struct slice output;   /* SETTLE_RESULT; owned */
	struct settle_run run; /* SETTLE_RESULT; sync_id 0: not of a sync; result owned */
	int64_t delay_ms;      /* SETTLE_RETRY */
	int64_t key_id, previous_session, previous_tenure; /* SETTLE_CLAIM */
	struct settle_judged
	    *judged; /* SETTLE_CLAIM: the jobs, then what is known of them; owned */
	int count;
	int64_t tenure;
	enum sl_code code; /* the answer */
	struct sl_error error;
	settle_cb *cb;
	settle_claim_cb *claim_cb; /* SETTLE_CLAIM */
	void *arg;
};
TAILQ_HEAD(settle_items, settle_item);

struct settle_batch { /* index of each command in the unit; -1: not in it */
	bool repeat;
	int fence;
	int results, results_again;
	int retries, retry_rows, retries_again;
	int begins, begins_again;
	int holds, new_holds, judged;
};

/* Copies run into a result; its code becomes SL_INVALID if the row of the sync cannot take it. */
void settle_item_run(struct settle_item *item, const struct settle_run *run);
/* Fills unit for items.  repeat: an earlier try is in doubt, so what it may have written under this
 * session counts as ours. */
void settle_batch_build(struct settle_batch *batch, struct unit *unit,
			const struct settle_items *items, int64_t session, bool repeat);
/* Writes the answer of each item: SL_OK or SL_CONFLICT.  False: the session is no longer live. */
bool settle_batch_read(const struct settle_batch *batch, const struct unit_answer *answer,
		       struct settle_items *items);

#endif
