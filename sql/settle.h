/* sql/settle.h - a worker's hand in the ledger: session, holds, attempts, results.
 *
 * The fence of every promise: one session row per worker process, one hold row per key.  All calls
 * gather into one flush - settle, then begin, then claim and judge, one transaction - and share its
 * commit; an idle connection flushes at once.  After the session was lost (session_lost callback)
 * every call fails with SL_CONFLICT until settle_open() made a new one.  A commit in doubt is
 * repeated after reconnect: settle and accept by primary key, begin: same session and number is
 * ours. */
#ifndef SLUICE_SQL_SETTLE_H
#define SLUICE_SQL_SETTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/job.h"
#include "base/loop.h"
#include "base/secret.h"
#include "sql/pg.h"

struct settle; /* opaque */

struct settle *settle_new(struct loop *loop, const struct pg_settings *settings);
void settle_free(struct settle *settle);
bool settle_is_up(const struct settle *settle);
int settle_pending(const struct settle *settle);

typedef void settle_cb(void *arg, enum sl_code code, const struct sl_error *error);

/* Opens a new session for this worker (node: a name for humans).  cb gets SL_OK, then
 * settle_session() is its id. */
void settle_open(struct settle *settle, const char *node, settle_cb *cb, void *arg);
int64_t settle_session(const struct settle *settle); /* 0: none */
/* Proof of life, every ttl / 3.  SL_CONFLICT: the session was ended by the scheduler. */
void settle_beat(struct settle *settle, settle_cb *cb, void *arg);
/* Lets go of all keys that the session holds but those of keep: any worker may claim them then.
 * Takes effect before every claim handed in later. */
void settle_release(struct settle *settle, const int64_t *keep, int count, settle_cb *cb,
		    void *arg);
/* Ends the session in the ledger: its holds fall free, attempts without a result are resolved as in
 * reclaim.h. */
void settle_close(struct settle *settle, settle_cb *cb, void *arg);

struct settle_judged { /* what the ledger knows of a job in a claimed turn */
	char job_id[UUID_TEXT];
	bool known;   /* false: no such row: the entry is foreign */
	bool ended;   /* has a result: skip it */
	bool waiting; /* a retry row waits: skip it, it comes back by itself */
	int attempt;  /* highest number begun; the next try is attempt + 1 */
	int max_retries;
};
/* Claims key (slot 0) by compare-and-set and judges jobs.  previous_session and previous_tenure
 * come from the release token; -1 when there was none.  SL_CONFLICT: refused, hand the turn back
 * with count 0. judged has count entries in the order asked. */
typedef void settle_claim_cb(void *arg, enum sl_code code, int64_t tenure,
			     const struct settle_judged *judged, int count,
			     const struct sl_error *error);
void settle_claim(struct settle *settle, int64_t key_id, int64_t previous_session,
		  int64_t previous_tenure, const char (*job_ids)[UUID_TEXT], int count,
		  settle_claim_cb *cb, void *arg);

/* Makes "attempt number of job started" durable, before its first effect.  SL_CONFLICT: refused
 * (ended meanwhile, or begun by someone else, or session gone): stop that run. */
void settle_begin(struct settle *settle, const char *job_id, int number, settle_cb *cb, void *arg);

/* What a run of a sync leaves in the sync's row (sql/sync.h), in the transaction of its result. */
struct settle_run {
	int64_t sync_id;
	int64_t began_ms;   /* wall time; becomes the last success if the run succeeded */
	const char *result; /* JSON: {"Model":{"added":1,"updated":0,"deleted":0}}; copied */
};
/* The terminal state.  output is copied.  run: of JOB_SYNC, else NULL.  SL_CONFLICT: ended by someone
 * else; count as late, drop. */
void settle_result(struct settle *settle, const char *job_id, int attempt, enum job_state state,
		   struct slice output, const struct settle_run *run, settle_cb *cb, void *arg);
/* A failed try with tries left: attempt row (if none yet) and retry row, due delay_ms from now. */
void settle_retry(struct settle *settle, const char *job_id, int attempt, int64_t delay_ms,
		  settle_cb *cb, void *arg);

#endif
