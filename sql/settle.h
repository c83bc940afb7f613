/* sql/settle.h - a worker's hand in the ledger: session, holds, attempts, results, deaths.
 *
 * The fence of every promise: one session row per worker process, one hold row per key and slot.
 * All calls gather into one flush - settle, then begin, then claim and judge, one transaction - and
 * share its commit; an idle connection flushes at once, or under load after some milliseconds, with what
 * gathered.  After the session was lost (session_lost callback)
 * every call fails with SL_CONFLICT until settle_open() made a new one.  A commit in doubt is
 * repeated after reconnect: settle and accept by primary key, begin: same session and number is
 * ours, deaths by a token that the report carries.
 *
 * A death is a runner that died while it ran a job, or a worker that was lost while it did.  Deaths
 * count apart from tries; a job that has deaths_max of them is set aside (sql/dead.h). */
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
#include "sql/sync.h"

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
struct settle_key {
	int64_t key_id;
	int slot;
};
/* Lets go of all that the session holds but keep: any worker may claim it then.  Takes effect before
 * every claim handed in later. */
void settle_release(struct settle *settle, const struct settle_key *keep, int count, settle_cb *cb,
		    void *arg);
/* Ends the session in the ledger, cleanly: its holds fall free, so that nobody finds them lost;
 * attempts without a result are resolved as in reclaim.h, but are no deaths. */
void settle_close(struct settle *settle, settle_cb *cb, void *arg);

struct settle_judged { /* what the ledger knows of a job in a claimed turn */
	char job_id[UUID_TEXT];
	bool known;     /* false: no such row: the entry is foreign */
	bool ended;     /* has a result: skip it */
	bool waiting;   /* a retry row waits: skip it, it comes back by itself */
	int attempt;    /* highest number begun; the next try is attempt + 1 */
	int64_t runner; /* the live session under which a try is begun and open; 0: none.  It runs
			 * there, or that session's end resolves it */
	int max_retries;
	int deaths; /* above 0: settle_suspect() before it is started */
};
/* Claims a slot of a key by compare-and-set and judges jobs.  previous_session and previous_tenure
 * come from the release token; -1 when there was none.  SL_CONFLICT: refused (held by another live
 * session, or a slot at or above the key's limit), hand the turn back with count 0.
 *
 * lost: the slot came from a session that was ended without a token, so whatever it ran may have killed
 * its worker: the first job that has not been begun is a suspect.  judged has count entries in the
 * order asked. */
typedef void settle_claim_cb(void *arg, enum sl_code code, int64_t tenure, bool lost,
			     const struct settle_judged *judged, int count,
			     const struct sl_error *error);
void settle_claim(struct settle *settle, int64_t key_id, int slot, int64_t previous_session,
		  int64_t previous_tenure, const char (*job_ids)[UUID_TEXT], int count,
		  settle_claim_cb *cb, void *arg);

/* Before the start of a job that may have killed its worker: the claim said lost, or the job has
 * deaths.  SL_OK: durable; if this session is lost before the job is settled or retried (with suspect
 * true), that is a death.  Start it.  SL_CONFLICT: the job has ended, perhaps set aside just now, or the
 * session is gone: skip it.
 *
 * A job without deaths is counted one for the worker that was lost: an innocent one once, because from
 * then on every start of it is recorded, and only a worker that is lost during one counts again.  That
 * one count never ends a job. */
void settle_suspect(struct settle *settle, const char *job_id, int deaths_max, settle_cb *cb,
		    void *arg);

/* Makes "attempt number of job started" durable, before its first effect.  SL_CONFLICT: refused
 * (ended meanwhile, or begun by someone else, or session gone): stop that run. */
void settle_begin(struct settle *settle, const char *job_id, int number, settle_cb *cb, void *arg);

enum settle_event_type { /* part of the schema */
			 SETTLE_EVENT_SYNC = 1,
			 SETTLE_EVENT_ASYNC_ACTION = 2,
			 SETTLE_EVENT_AUTH = 3
};
/* What came of it, as far as an environment chooses by it what it is told (enum account_webhook): of a sync,
 * of a connection's credentials (FAILED: they could not be refreshed).  Part of the schema, where 0 stands for
 * an event of an earlier release. */
enum settle_event_outcome {
	SETTLE_EVENT_CHANGED = 1,
	SETTLE_EVENT_UNCHANGED = 2,
	SETTLE_EVENT_FAILED = 3
};
struct settle_event { /* something that the environment is to be told: a row of the outbox */
	int64_t environment_id, connection_id; /* row ids */
	enum settle_event_type type;
	enum settle_event_outcome outcome;
	struct slice body; /* JSON text, the bytes that will be sent; copied */
};
/* What a run leaves in the transaction of its result: in the outbox; that of a sync, or of its webhook, also
 * in the sync's row (sql/sync.h), and the run that goes on where it was interrupted. */
struct settle_run {
	int64_t sync_id;    /* 0: of a webhook or an action, which tell no row anything */
	int64_t began_ms;   /* by the ledger's clock; the last success, if it was one */
	const char *result; /* JSON: {"Model":{"added":1,"updated":0,"deleted":0}}; copied */
	enum sync_trouble trouble;
	int still_runs; /* as in struct sync_row */
	const char
	    *again; /* the id of the next run, which is accepted with the result; NULL: none */
	const struct settle_event *events;
	int event_count;
	bool
	    unstarted; /* nothing ran, nothing of the above is known: the ledger finds out what to tell */
};
/* The terminal state.  output is copied.  run: NULL: it leaves nothing.  suspect: settle_suspect() was
 * called before its start; closes what that wrote.  SL_CONFLICT: ended by someone else; count as late,
 * drop. */
void settle_result(struct settle *settle, const char *job_id, int attempt, enum job_state state,
		   struct slice output, const struct settle_run *run, bool suspect, settle_cb *cb,
		   void *arg);
/* A failed try with tries left: attempt row (if none yet) and retry row, due delay_ms from now.
 * suspect: as above. */
void settle_retry(struct settle *settle, const char *job_id, int attempt, int64_t delay_ms,
		  bool suspect, settle_cb *cb, void *arg);

#define SETTLE_LAST_CALL_MAX 200

enum settle_cause { SETTLE_RUNNER_DIED = 1, SETTLE_WORKER_LOST = 2 }; /* part of the schema */
struct settle_death {
	int signal;            /* that ended the runner; 0: none, or not known */
	int64_t memory;        /* bytes it used at most; 0: not known */
	const char *last_call; /* copied: what it asked for last; NULL: nothing */
};
/* The runner of a try died.  begun: settle_begin() of that number was answered SL_OK; then the try is used
 * up, else the same try comes again.  The job is queued delay_ms from now, or ends: without a try left
 * as JOB_FAILED with output (copied), after deaths_max deaths as dead, with an output that says so.
 * SL_CONFLICT: it had ended, or that try is another session's. */
typedef void settle_death_cb(void *arg, enum sl_code code, bool ended, bool dead,
			     const struct sl_error *error);
void settle_death(struct settle *settle, const char *job_id, int number, bool begun,
		  const struct settle_death *death, int deaths_max, int64_t delay_ms,
		  struct slice output, settle_death_cb *cb, void *arg);

#endif
