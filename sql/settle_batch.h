/* sql/settle_batch.h - one flush of a worker: what it sends and how its answers are read.  Private
 * to settle_*.c.
 *
 * The first command locks the session row, if it is live, against being ended; every other command
 * does nothing without it.  Then settle before begin (a key's next begin is never durable without
 * the previous result; a death is settled too), then claims, then what became of the claimed jobs: a
 * command of its own, whose snapshot is later than the claim. */
#ifndef SLUICE_SQL_SETTLE_BATCH_H
#define SLUICE_SQL_SETTLE_BATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sql/settle.h"
#include "sql/unit.h"

enum settle_kind {
	SETTLE_RESULT,
	SETTLE_RETRY,
	SETTLE_DEATH,
	SETTLE_SUSPECT,
	SETTLE_BEGIN,
	SETTLE_CLAIM
};
#define SETTLE_KINDS (SETTLE_CLAIM + 1)

/* The fence command holds the session's row locked, so a later look at it in the same unit stays
 * true. */
#define SETTLE_LIVE(param) "EXISTS (SELECT FROM session WHERE id = " param "::bigint AND live)"

struct settle_report { /* SETTLE_DEATH and SETTLE_SUSPECT */
	char token[UUID_TEXT];
	int64_t deaths_max;
	bool begun;
	int signal;
	int64_t memory;
	char *last_call;  /* owned; NULL: none */
	bool ended, dead; /* the answer to a death */
};

struct settle_left; /* what a run leaves; of settle_run.c */

struct settle_item {
	TAILQ_ENTRY(settle_item) link;
	enum settle_kind kind;
	int64_t session;  /* the one it was asked under */
	int64_t until_ms; /* monotonic: fails when still not answered by then */
	char job_id[UUID_TEXT];
	int number;                   /* of the attempt */
	enum job_state state;         /* SETTLE_RESULT */
	bool suspect;                 /* SETTLE_RESULT, SETTLE_RETRY */
	struct slice output;          /* SETTLE_RESULT, SETTLE_DEATH; owned */
	struct settle_left *run;      /* SETTLE_RESULT; owned; NULL: it leaves nothing */
	int64_t delay_ms;             /* SETTLE_RETRY, SETTLE_DEATH */
	struct settle_report *report; /* owned; NULL but for the kinds it is of */
	int64_t key_id, previous_session, previous_tenure; /* SETTLE_CLAIM */
	int slot;
	struct settle_judged
	    *judged; /* SETTLE_CLAIM: the jobs, then what is known of them; owned */
	int count;
	int64_t tenure;
	bool lost;
	enum sl_code code; /* the answer */
	struct sl_error error;
	settle_cb *cb;
	settle_claim_cb *claim_cb; /* SETTLE_CLAIM */
	settle_death_cb *death_cb; /* SETTLE_DEATH */
	void *arg;
};
TAILQ_HEAD(settle_items, settle_item);

struct settle_batch { /* index of each command in the unit; -1: not in it */
	bool repeat, careful;
	int fence;
	int results, results_again;
	int retries, retry_rows, retries_again;
	int deaths, suspects;
	int begins, begins_again;
	int holds, new_holds, slot_holds, new_slot_holds, judged;
};

/* Fills unit for items.  repeat: an earlier try is in doubt, so what it may have written under this
 * session counts as ours.  careful, which repeat implies: a row that is there already is left alone;
 * else it fails the unit with SL_CONFLICT, which then is to be sent again, carefully. */
void settle_batch_build(struct settle_batch *batch, struct unit *unit,
			const struct settle_items *items, int64_t session, bool repeat,
			bool careful);
/* Writes the answer of each item: SL_OK or SL_CONFLICT.  False: the session is no longer live. */
bool settle_batch_read(const struct settle_batch *batch, const struct unit_answer *answer,
		       struct settle_items *items);

/* ---- of settle_run.c ------------------------------------------------------------------------ */

/* Copies run into a result; its code becomes SL_INVALID if the ledger cannot take it. */
void settle_item_run(struct settle_item *item, const struct settle_run *run);
void settle_left_free(struct settle_left *left); /* NULL is fine */
size_t settle_left_bytes(const struct settle_left *left);
/* Behind the command that writes the results. */
void settle_run_add(struct unit *unit, const struct settle_items *items, int64_t session);

/* ---- of settle_claim.c ---------------------------------------------------------------------- */

void settle_claim_add(struct settle_batch *batch, struct unit *unit,
		      const struct settle_items *items, int claims, int64_t session);
void settle_claim_read(const struct settle_batch *batch, const struct unit_answer *answer,
		       struct settle_items *items);

/* ---- of settle_death.c ---------------------------------------------------------------------- */

void settle_death_add(struct settle_batch *batch, struct unit *unit,
		      const struct settle_items *items, const int count[SETTLE_KINDS],
		      int64_t session);
void settle_death_read(const struct settle_batch *batch, const struct unit_answer *answer,
		       struct settle_items *items);
/* Closes what settle_suspect() wrote for the results and retries among items. */
void settle_death_clear(struct unit *unit, const struct settle_items *items, int64_t session);

#endif
