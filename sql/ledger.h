/* sql/ledger.h - accept jobs and read them back; the truth about each job (doc: ledger design
 * note).
 *
 * Group commit: jobs handed in while a commit is in flight share the next one; an idle connection
 * flushes at once.  At most LEDGER_BATCH_ROWS rows or LEDGER_BATCH_BYTES of input a commit. */
#ifndef SLUICE_SQL_LEDGER_H
#define SLUICE_SQL_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/job.h"
#include "base/loop.h"
#include "base/secret.h"
#include "sql/pg.h"

#define LEDGER_BATCH_ROWS 1000
#define LEDGER_BATCH_BYTES (1 << 20)
#define LEDGER_DELAY_MAX_MS (365 * 24 * 3600 * INT64_C(1000))
/* NOTIFY with "key_id seq job_id" for each job that was cancelled; " kill" behind it: its run is to end at
 * once. */
#define LEDGER_CANCELLED "sluice_cancel"
/* What a cancelled job has as output. */
#define LEDGER_CANCELLED_OUTPUT \
	"{\"code\":\"script_aborted\",\"message\":\"The run was cancelled\"}"
/* What a job that was not started in time has as output (JOB_EXPIRED). */
#define LEDGER_NOT_STARTED                                                                   \
	"{\"code\":\"action_script_failure\",\"payload\":{\"error\":\"not_started: the job " \
	"was not started within its start limit; its state is expired\"}}"

struct ledger; /* opaque */

struct ledger_job {
	char id[UUID_TEXT]; /* UUIDv7, made by the caller */
	int64_t environment_id, key_id, function_version_id, connection_id;
	enum job_kind kind;
	int max_retries;
	bool webhook;
	/* The first start is due this long after the accept; only with ledger_accept_once(). */
	int64_t delay_ms;
	struct slice input; /* JSON text, copied; empty: none */
};

struct ledger *ledger_new(struct loop *loop, const struct pg_settings *settings);
void ledger_free(struct ledger *ledger);
bool ledger_is_up(const struct ledger *ledger);
/* Jobs and bytes taken but not yet committed, for backpressure. */
int ledger_pending(const struct ledger *ledger);

/* SL_OK: committed, seq is its place in the order.  SL_UNAVAILABLE: not committed as far as can be
 * known: a commit in doubt is resolved by reading back the id after reconnect (bounded by 10 s)
 * before this is called.  Called exactly once, from the loop, in seq order for jobs of one batch.
 */
typedef void ledger_accept_cb(void *arg, enum sl_code code, int64_t seq,
			      const struct sl_error *error);
void ledger_accept(struct ledger *ledger, const struct ledger_job *job, ledger_accept_cb *cb,
		   void *arg);

/* Like ledger_accept, once per idempotency key and environment within 24 h: the key's row commits
 * with the job.  SL_OK with *existing_id NULL: accepted now.  SL_OK with *existing_id: this key was
 * used before with the same digest; nothing was written.  SL_CONFLICT: used before with another
 * digest.
 *
 * idempotency_key NULL: accepted by itself, for a job with a delay: its row and the one that says when
 * it is due commit together, and the scheduler pushes it then. */
typedef void ledger_accept_once_cb(void *arg, enum sl_code code, int64_t seq,
				   const char *existing_id, const struct sl_error *error);
void ledger_accept_once(struct ledger *ledger, const struct ledger_job *job,
			const char *idempotency_key, const char *digest, ledger_accept_once_cb *cb,
			void *arg); /* digest: SHA-256 hex of the request */

struct ledger_status {
	enum job_state state; /* 0: still open */
	enum job_kind kind;
	int64_t seq, key_id;
	int attempt;          /* highest number that was begun; 0: none.  Ended: its result's */
	bool attempt_live;    /* that attempt's session is alive: it runs now, as far as the ledger
				 knows */
	int64_t retry_due_ms; /* wall time of the next try; 0: none is waiting */
	struct slice output;  /* of a terminal state; empty: none */
};
/* SL_NOT_FOUND: no such job in that environment.  SL_UNAVAILABLE: could not be read.  Reads that come
 * while one is under way share the next statement. */
typedef void ledger_read_cb(void *arg, enum sl_code code, const struct ledger_status *status,
			    const struct sl_error *error);
void ledger_read(struct ledger *ledger, const char *job_id, int64_t environment_id,
		 ledger_read_cb *cb, void *arg);
/* Ends an open job as JOB_CANCELLED, drops a retry or delay that waits, and sends LEDGER_CANCELLED, in
 * one transaction; kind 0: of any kind.  The first end state wins, and once cancelled the job cannot
 * begin any more.  SL_OK: cancelled.  SL_CONFLICT: it had ended.  SL_NOT_FOUND: no such job in that
 * environment.  SL_UNAVAILABLE: not cancelled as far as can be known. */
typedef void ledger_cancel_cb(void *arg, enum sl_code code, const struct sl_error *error);
void ledger_cancel(struct ledger *ledger, const char *job_id, int64_t environment_id,
		   enum job_kind kind, ledger_cancel_cb *cb, void *arg);
/* The same of any kind, and its run is ended at once; SL_OK also when it had been cancelled before. */
void ledger_kill(struct ledger *ledger, const char *job_id, int64_t environment_id,
		 ledger_cancel_cb *cb, void *arg);
/* Which of these jobs have a result, and the newest place given out in the order of jobs: for who may
 * have missed a LEDGER_CANCELLED. */
typedef void ledger_ended_cb(void *arg, enum sl_code code, const char (*job_ids)[UUID_TEXT],
			     int count, int64_t newest_seq);
void ledger_ended(struct ledger *ledger, const char (*job_ids)[UUID_TEXT], int count,
		  ledger_ended_cb *cb, void *arg);
/* The stored input of a job, for entries whose envelope carries none. */
typedef void ledger_input_cb(void *arg, enum sl_code code, struct slice input,
			     const struct sl_error *error);
void ledger_input(struct ledger *ledger, const char *job_id, ledger_input_cb *cb, void *arg);
/* For how long the job could have started, in ms by the ledger's clock: the clocks of two nodes may be
 * days apart.  SL_NOT_FOUND: no such job. */
typedef void ledger_waited_cb(void *arg, enum sl_code code, int64_t waited_ms,
			      const struct sl_error *error);
void ledger_waited(struct ledger *ledger, const char *job_id, ledger_waited_cb *cb, void *arg);

#endif
