/* daemon/worker/turn.h - a turn of one slot of a key: its entries, run one after the other, settled, handed
 * in.
 *
 * CLAIMING -> RUNNING -> HANDING; a refused claim goes CLAIMING -> HANDING with nothing done.
 * Invariant: at most one attempt runs, and only in RUNNING; an entry counts as done when its
 * outcome is committed or it was judged to need none. */
#ifndef SLUICE_DAEMON_WORKER_TURN_H
#define SLUICE_DAEMON_WORKER_TURN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/envelope.h"
#include "daemon/daemon.h"
#include "queue/lease.h"

struct attempt;
struct held;

enum turn_state { TURN_CLAIMING, TURN_RUNNING, TURN_HANDING };

struct turn_entry {
	struct envelope envelope; /* input borrows from bytes */
	char *bytes;
	size_t len;
	bool skip; /* malformed, foreign, ended, cancelled or waiting for its retry */
	bool done;
	bool suspect; /* it may have killed a worker, or has killed something before */
	bool vouched; /* the ledger knows that we start it although it is a suspect */
	bool in_time; /* the ledger's clock says so, ours does not */
};

struct turn {
	struct turn *next;
	struct daemon *daemon;
	enum turn_state state;
	int shard;
	int64_t key_id, tenure;
	int slot;
	char lane; /* 'q': new jobs; 'f': late ones and retries; 's': moved to the slot */
	int64_t environment_id;                    /* 0: no entry said */
	bool is_long;                              /* it runs a sync */
	int64_t previous_session, previous_tenure; /* of the release token; -1: none */
	bool clean;                                /* the release token may vouch for us */
	bool unclaimed; /* the ledger is asked at the first effect: see turn_claim.c */
	bool refused;   /* and then it said no */
	bool
	    blocked; /* what is left is for somebody else: newer than we are, or not to be run here */
	bool stopping; /* start nothing more */
	bool paused;   /* because an operator wants so */
	int64_t started_ms;
	int64_t attempt_ms; /* when the attempt in hand was started */
	int64_t judge_to;   /* jobs of the key up to here may have been cancelled meanwhile */
	int64_t hand_at_ms; /* not before (a refused claim waits) */
	struct turn_entry *entry;
	int count, at; /* at: the entry that runs or is next */
	int settling;  /* questions to the ledger that have no answer yet */
	bool waiting;  /* one of them is about entry[at]: nothing may start */
	bool unsure; /* an entry was started and is not done: judge it before it is started again */
	bool orphan; /* its lease is gone, its session is not: it ends, and is not handed in */
	struct attempt *attempt;
	bool lent; /* its run waits for a provider's window, and others may have its place */
	bool dead; /* the session or lease it was taken under is gone: drop it without a trace */
	const struct turn_events *events; /* borrowed */
	void *arg;
};

struct turn_events {
	void (*idle)(void *arg, struct turn *turn); /* state became HANDING */
	void (*lent)(void *arg, struct turn *turn); /* it is, or is not any more */
};

/* Copies what was taken from a shard; held: keys that may be kept.  What is no job of this key goes to
 * quarantine.  events->idle follows when the turn can be handed in. */
struct turn *turn_new(struct daemon *daemon, int shard, const struct lease_turn *taken,
		      const struct held *held, const struct turn_events *events, void *arg);
void turn_start(struct turn *turn);
void turn_refuse(struct turn *turn); /* instead of turn_start(): hands it back after a while */
void turn_stop(struct turn *turn);   /* after the running attempt nothing more is started */
void turn_kill(struct turn *turn);   /* ends the running attempt, records nothing more */
/* The job was cancelled in the ledger: if it waits here it is not started; if it runs it has no effect any
 * more and is ended (attempt_cancel()), with kill at once. */
void turn_cancel(struct turn *turn, const char *job_id, bool kill);
int turn_done(const struct turn *turn); /* entries done from the head: what may be handed in */
/* Up to where the next turn of its key must be judged although the key is kept: what this one has run may
 * stand there a second time (the scheduler pushed it as well: sweep.h), but not behind younger entries. */
int64_t turn_judge_to(const struct turn *turn);
bool turn_has_job(const struct turn *turn, const char *job_id); /* it runs right now */
void turn_free(struct turn *turn);

#endif
