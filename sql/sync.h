/* sql/sync.h - syncs: one function for one connection and variant, and how it last ran.
 *
 * Runs go under a key that they share in their environment; two of one sync never overlap because
 * its row names the run that is open.  (key_id is where an earlier release starts runs.)  Its row is
 * made by the scheduler once there are function and connection, or the first time it is asked for.  One
 * struct sync_store is one connection, shared by sync*.h, schedule_steer.h, record.h and checkpoint.h;
 * every call answers once, from the loop; rows are borrowed for the call. */
#ifndef SLUICE_SQL_SYNC_H
#define SLUICE_SQL_SYNC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/job.h"
#include "base/loop.h"
#include "base/secret.h"
#include "sql/pg.h"

struct sync_store; /* opaque */

/* The connection is a hot one (pg.h) whatever settings say. */
struct sync_store *sync_store_new(struct loop *loop, const struct pg_settings *settings);
void sync_store_free(struct sync_store *store); /* NULL is fine */
bool sync_store_is_up(const struct sync_store *store);

/* What is wrong with the newest run that ended; part of the schema. */
enum sync_trouble {
	SYNC_NO_TROUBLE = 0,
	SYNC_INTERRUPTED, /* near its time limit, behind a saved checkpoint: it goes on at once */
	SYNC_STALLED, /* again and again, and the checkpoint does not move: it waits for its schedule */
	SYNC_REPEATS_PAGE, /* the provider gave the same page over and over */
};
const char *sync_trouble_name(enum sync_trouble trouble); /* "stalled"; NULL: well */

struct sync_row {
	int64_t id;
	char uuid[UUID_TEXT]; /* what users see */
	int64_t environment_id, function_id, connection_id, key_id;
	const char *name, *variant; /* of the function; "base" is the usual variant */
	int64_t version_id;         /* the active version; 0: none, or the function is disabled */
	const char *definition;     /* of that version, JSON; "" if none */
	int64_t last_success_ms;    /* wall time at which the newest good run began; 0: none */
	char job_id[UUID_TEXT];     /* the newest run; "": none was started yet */
	bool running;               /* that run has no result yet */
	enum job_state last_state;  /* of the newest run that ended, lost ones too; 0: none */
	int64_t last_ended_ms;      /* 0: none */
	const char *last_result;    /* JSON as in settle_run.result; "" if none */
	bool scheduled;             /* it has a schedule, and what follows is of that */
	bool started;               /* false: paused */
	int64_t every_ms;           /* 0: it never runs by itself */
	int64_t next_run_ms;        /* wall; 0: paused, or never by itself */
	const char *frequency;      /* the connection's own; "": the function's */
	enum sync_trouble trouble;
	int64_t trouble_since_ms; /* 0: well */
	int still_runs; /* interrupted runs in a row up to the newest whose checkpoint did not move */
};
typedef void sync_rows_cb(void *arg, enum sl_code code, const struct sync_row *rows, int count,
			  const struct sl_error *error);
/* Finds or makes it: 1 row.  SL_NOT_FOUND: no such function (of type sync) or connection, or they
 * belong to different integrations. */
void sync_ensure(struct sync_store *store, int64_t function_id, int64_t connection_id,
		 const char *variant, sync_rows_cb *cb, void *arg);
void sync_read(struct sync_store *store, int64_t id, sync_rows_cb *cb, void *arg); /* 1 row */

typedef void sync_done_cb(void *arg, enum sl_code code, const struct sl_error *error);
struct ledger_job; /* sql/ledger.h */
/* Makes the job, whose id is new, the newest run of the sync and puts it into the ledger, both or
 * neither; seq is its place there.  With reset, in the same transaction: last success, checkpoint and
 * windows of tracked deletes are forgotten; the checkpoint keeps counting versions, so a run that saw
 * the old one cannot write it any more.  SL_CONFLICT: a run is open already; SL_NOT_FOUND: no such
 * sync; SL_UNAVAILABLE: not as far as can be known: a commit in doubt is repeated once. */
typedef void sync_accept_cb(void *arg, enum sl_code code, int64_t seq,
			    const struct sl_error *error);
void sync_accept(struct sync_store *store, int64_t id, const struct ledger_job *job, bool reset,
		 sync_accept_cb *cb, void *arg);

/* Who writes records, windows and checkpoints.  A write is refused with SL_CONFLICT, and nothing of it
 * happens, unless all that is asked for holds; it goes on to hold until the write has committed. */
struct sync_fence {
	int64_t session; /* must be live in the ledger (settle.h); 0: not asked */
	const char
	    *job_id; /* a uuid, borrowed for the call: must have no result; NULL or "": not asked */
	int number;  /* its attempt: the newest one, begun by that session and not given up */
	int64_t sync_id; /* must be there, else SL_NOT_FOUND; 0: writes for no sync */
	bool newest;     /* of JOB_SYNC: the job is the newest run of the sync */
};

/* The concurrency key of that name in an environment, made if missing, with so many slots (1 to
 * SYNC_SLOTS_MAX); one with another number gets this one.  The settings of the environment and its
 * functions go before what a caller believes: where they govern the name (0010_concurrency.sql),
 * they decide.  A change is told on ACCOUNT_LIMITS.  SL_NOT_FOUND: no such environment. */
#define SYNC_SLOTS_MAX 500
typedef void sync_key_cb(void *arg, enum sl_code code, int64_t key_id,
			 const struct sl_error *error);
void sync_key(struct sync_store *store, int64_t environment_id, const char *name, int slots,
	      sync_key_cb *cb, void *arg);
/* The key of an environment's runs of syncs, made if missing, with so many slots (1 to SYNC_SLOTS_MAX)
 * unless the environment says it for itself.  SL_NOT_FOUND: no such environment. */
void sync_lane(struct sync_store *store, int64_t environment_id, int slots, sync_key_cb *cb,
	       void *arg);

#endif
