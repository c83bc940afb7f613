/* daemon/worker/attempt.h - one try of a function: resolve what it needs, run it, serve its calls,
 * end.
 *
 * An attempt of a job is made durable ("begun") right before its first effect, and has no effect
 * any more once the worker's session is in doubt.  A sync call is an attempt without a job: nothing
 * to fence. */
#ifndef SLUICE_DAEMON_WORKER_ATTEMPT_H
#define SLUICE_DAEMON_WORKER_ATTEMPT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/job.h"
#include "base/secret.h"
#include "daemon/api/directory.h"
#include "daemon/daemon.h"
#include "daemon/egress/gate.h"
#include "runtime/pool.h"
#include "sql/sync.h"

struct attempt_ask {
	const char *job_id; /* NULL: a sync call */
	int64_t seq;        /* of the job in the ledger; 0: a sync call */
	int number;         /* from 1 */
	int64_t environment_id, function_version_id, connection_id;
	enum job_kind kind;
	bool webhook; /* the environment is told how the action ended; the others tell it anyway */
	/* Not NULL: no effect before attempt_fenced(), which this asks for: fence(arg), at most once a
	 * start. */
	void (*fence)(void *arg);
	/* NULL, or told when its place may be used by another, because it waits for a provider's window, and
	 * (false) when it needs one again, at the end at the latest.  arg is cb's. */
	void (*lent)(void *arg, bool lent);
	/* JSON text, copied; empty: none.  JOB_ACTION: the function's input.  JOB_SYNC:
	 * {"sync":row id,"emptyCache":bool}.  JOB_WEBHOOK: {"sync":row id,"payload":any}.
	 * JOB_EVENT: none. */
	struct slice input;
};

struct settle_run;

#define ATTEMPT_LAST_CALL_MAX 200

struct attempt_death {                             /* the process that ran the function died */
	bool begun;                                /* after the try was made durable */
	int signal;                                /* 0: none, or not known */
	int64_t memory;                            /* bytes at most; 0: not known */
	char last_call[ATTEMPT_LAST_CALL_MAX + 1]; /* "": it asked for nothing */
};

struct attempt_end {
	enum job_state state; /* JOB_SUCCEEDED or JOB_FAILED */
	bool aborted; /* killed by attempt_abort() or refused by the ledger: nothing to record */
	bool refused; /* the ledger did not let it begin: what is known of its job is out of date */
	struct slice output;               /* output JSON, or the error object; borrowed */
	const struct settle_run *run;      /* what it leaves; NULL: nothing; borrowed */
	const struct attempt_death *death; /* NULL: it did not; borrowed */
	int64_t closed_ms; /* for so long it would wait for a provider's window; 0: for none */
};

typedef void attempt_cb(void *arg, const struct attempt_end *end);

/* RESOLVING -> PREPARING -> STARTING -> RUNNING -> CLOSING -> ENDED; an action skips PREPARING, only
 * a sync that tracks deletes, and a run whose process died while its begin was asked for, go through
 * CLOSING; any state may go to ENDED.
 * Invariant: run is set if and only if the state is RUNNING. */
enum attempt_state {
	ATTEMPT_RESOLVING, /* looks up what it needs */
	ATTEMPT_PREPARING, /* a sync marks its start and empties its cache */
	ATTEMPT_STARTING,  /* waits for a runner */
	ATTEMPT_RUNNING,
	ATTEMPT_CLOSING, /* the function has returned: what it did not see is deleted */
	ATTEMPT_ENDED,
};
enum attempt_begin { BEGIN_NOT_YET, BEGIN_FENCING, BEGIN_ASKED, BEGIN_DURABLE, BEGIN_REFUSED };

#define ATTEMPT_DEPTH_MAX 8 /* actions that run inside an action */

struct attempt_gate;
struct host_call;
struct sync_run;

/* What is known of the function's checkpoint; see host_state.c. */
struct attempt_checkpoint {
	bool known;      /* version and after are what the ledger had */
	int64_t version; /* as last read or written */
	char *before,
	    *after; /* before: as first read; after: as last read or written; NULL: none */
	struct host_call *first, **last; /* calls in the order asked; the first is under way */
};

struct attempt_lock { /* one that the function took and did not give back */
	struct attempt_lock *next;
	char *name;
	size_t name_len;
};

struct attempt {
	struct daemon *daemon;
	enum attempt_state state;
	enum attempt_begin begin;
	char job_id[UUID_TEXT]; /* "" for a sync call */
	int64_t seq;            /* of the job; 0: none */
	int number;
	int64_t environment_id, version_id, connection_id;
	enum job_kind kind;
	bool webhook;
	char *input;
	size_t input_len;
	/* Runs inside this one, whose job, session and effects are its own; NULL: stands alone. */
	struct attempt *parent;
	int depth;
	bool placed;  /* holds one of dispatch's places for nested runs */
	bool is_lent; /* the place that it runs in: see attempt_wait.c */
	const struct directory_environment *environment; /* held */
	const struct directory_function *function;       /* held */
	const struct directory_connection *connection;   /* held */
	const struct directory_logger *logger;           /* held */
	struct sync_run *sync; /* of JOB_SYNC and JOB_WEBHOOK, once it is known */
	struct run *run;
	struct attempt_gate *gate;
	struct loop_timer *timer; /* waits for a runner, or to ask the ledger again */
	int64_t deadline_mono_ms;
	int64_t soft_mono_ms;      /* from here on a saved checkpoint interrupts a sync */
	bool interrupted;          /* it did */
	enum sync_trouble trouble; /* of JOB_SYNC: how it ended */
	int still_runs;
	int64_t began_ms; /* wall time of the start */
	int starts_left;
	bool aborting;
	bool cancelled;          /* attempt_cancel() was called while it ran */
	int closing;             /* models whose unseen records are still to be deleted */
	bool pending;            /* the ledger will answer in PREPARING or CLOSING */
	int64_t log_bytes;       /* of lines that the function logged */
	bool log_full;           /* past the setting log_volume: no more of them */
	struct host_call *calls; /* in flight; unlinked by host.c */
	struct attempt_checkpoint checkpoint;
	struct attempt_lock *locks;
	char owner[100]; /* of its locks */
	bool died;       /* its process did */
	char *why_died;  /* owned */
	struct attempt_death death;
	void (*fence)(void *arg); /* NULL: none is needed any more */
	void (*lent)(void *arg, bool lent);
	struct gate_place limit; /* that it was last held up by; connection_id 0: by none */
	attempt_cb *cb;
	void *arg;
};

/* Starts it; cb is called once, from the loop, and the attempt is gone after it.  Borrowed until
 * then. */
struct attempt *attempt_start(struct daemon *daemon, const struct attempt_ask *ask, attempt_cb *cb,
			      void *arg);
/* Kills the run, stops its requests; cb follows with aborted set. */
void attempt_abort(struct attempt *attempt);
/* From here on it has no effect: what it asked for is stopped, and whatever it asks for is refused with
 * the error `script_aborted`.  Its function may return within ATTEMPT_GRACE_MS, then it is killed;
 * cb follows with aborted set. */
#define ATTEMPT_GRACE_MS 5000
void attempt_cancel(struct attempt *attempt);
/* The answer to its fence: effects may go on, or (false) it is aborted. */
void attempt_fenced(struct attempt *attempt, bool allowed);

/* Runs an action inside parent, at most ATTEMPT_DEPTH_MAX deep (asserted).  It ends with parent at
 * the latest, and waits for nothing that parent's peers hold (dispatch_nest()). */
struct attempt *attempt_start_nested(struct attempt *parent, const struct attempt_ask *ask,
				     attempt_cb *cb, void *arg);

/* ---- for the other files of this folder ------------------------------------------------------ */
/* Asks whether an effect may happen now: cb(arg, true) when the attempt is durable and the
 * session's last beat is good.  May be called from inside; never once the attempt has ended. */
typedef void attempt_effect_cb(void *arg, bool allowed);
void attempt_effect(struct attempt *attempt, attempt_effect_cb *cb, void *arg);

/* A request of it came to nothing behind this window. */
void attempt_note_limit(struct attempt *attempt, const struct gate_place *place);
/* Its calls are other ones now, or wait, or do not any more: lends its place, or takes it back. */
void attempt_look_at_calls(struct attempt *attempt);

/* What the function asks for now, for those who will wonder what it died of; at: behind the op, may be NULL,
 * is cut off at its query. */
void attempt_note_call(struct attempt *attempt, const char *op, const char *method, const char *at);

/* The job's id, of the outermost attempt; "" for a sync call. */
const char *attempt_job(const struct attempt *attempt);
/* What its writes of records and checkpoints must name: the outermost attempt, which they are refused with.
 * A sync call names nothing.  job_id is borrowed from the attempt. */
struct sync_fence attempt_write_fence(const struct attempt *attempt);

#endif
