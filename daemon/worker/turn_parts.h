/* daemon/worker/turn_parts.h - what the parts of a turn share.
 *
 *   turn        its entries, what is started next, its end
 *   turn_claim  the right to its slot, and what the ledger knows of its jobs
 *   turn_end    what becomes of a job that ended */
#ifndef SLUICE_DAEMON_WORKER_TURN_PARTS_H
#define SLUICE_DAEMON_WORKER_TURN_PARTS_H

#include "daemon/worker/attempt.h"
#include "daemon/worker/turn.h"

#define TURN_REFUSED_WAIT_MS 100 /* a refused key would come back at once */
#define TURN_BLOCKED_WAIT_MS 1000

/* ---- turn.c ---- */
void turn_run_next(struct turn *turn); /* in RUNNING, with nothing that runs or is waited for */
void turn_go_on(struct turn *turn);    /* the same, if that is so */
/* The entry is none of the turn's key: kept for a human, and not run. */
void turn_quarantine(struct turn *turn, struct slice bytes, const char *reason, bool security);

/* ---- turn_claim.c ---- */
void turn_note_claim(void); /* this worker may run a turn: a sign of progress */
void turn_claim(struct turn *turn); /* in CLAIMING; goes on to RUNNING or is refused */
/* May the ledger be asked later?  Says so once, before the start. */
bool turn_can_wait_to_claim(const struct turn *turn, const struct lease_turn *taken,
			    int64_t tenure);
void turn_fence(void *arg); /* the running attempt is about to have its first effect */
/* The first entry to be run is a suspect: tells the ledger, then goes on. */
void turn_ask_suspect(struct turn *turn);

/* ---- turn_end.c ---- */
void turn_record(struct turn *turn, const struct attempt_end *end); /* of entry[at] */
/* Entry[at] should have started before now, by this node's clock. */
bool turn_seems_late(const struct turn *turn);
/* Ends it if it is late by the ledger's clock, too; then goes on. */
void turn_ask_late(struct turn *turn);

#endif
