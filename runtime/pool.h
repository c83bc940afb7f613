/* runtime/pool.h - the daemon's end of the runners: spawn, hand out, recycle, kill.
 *
 * One zygote (sluice-runner, exec'ed clean, sandboxed) per pool; it forks a function process per
 * function version and environment on demand.  A function process runs one run at a time; more
 * concurrency is more processes.  A process never changes its environment or version.  Idle ones
 * are evicted, any of them.  SIGKILL is always safe. */
#ifndef SLUICE_RUNTIME_POOL_H
#define SLUICE_RUNTIME_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/loop.h"

struct pool; /* opaque */
struct run;  /* opaque: one execution of a function */

/* How runs on one process are kept apart. */
enum pool_isolation {
	POOL_SNAPSHOT, /* the heap is put back after each; FORK where the system cannot do that */
	POOL_FORK,     /* each run is a process of its own */
};

struct pool_settings {
	const char *runner_path; /* sluice-runner */
	int processes_max;       /* function processes at most, and runs at once */
	int waiting_max;    /* runs beyond that, of those that only wait: with a process each */
	int64_t heap_bytes; /* cap of a run's JavaScript heap */
	int64_t idle_ms;    /* an idle function process ends after this long */
	int64_t cpu_ms;     /* CPU time one run may use */
	enum pool_isolation isolation;
};

struct pool_function {
	int64_t version_id; /* with environment_id: which process may serve it */
	int64_t environment_id;
	const char *name; /* function name */
	const char *file; /* "<name>-<integration>.cjs", for stack traces */
	const char *code; /* ES5; NUL-terminated */
	size_t code_len;
	const char *job; /* of this run, for log lines; NULL or empty: none */
};

enum run_end {
	RUN_OK,      /* payload is the output JSON; empty: undefined */
	RUN_ERROR,   /* payload is the error object */
	RUN_TIMEOUT, /* wall or CPU limit; killed */
	RUN_MEMORY,  /* heap limit; killed */
	RUN_CRASHED, /* signal, fatal engine error, or protocol violation; text says which, and
		      * run_death() more.  Forbidden
		      * system calls and violations are logged as security_event as well. */
	RUN_ABORTED, /* run_abort() was called */
};

/* What a run reports, all from the loop.  Strings and slices are borrowed for the call. */
struct run_events {
	/* The function asks for something; answer with run_reply() now or later, exactly once, when
	 * call_id is not 0.  Frames for a run that ended are never reported. */
	void (*on_call)(void *arg, struct run *run, int64_t call_id, struct slice op,
			struct slice meta, struct slice body);
	/* Exactly once, last; the run is gone after it returns. */
	void (*on_end)(void *arg, struct run *run, enum run_end end, struct slice payload,
		       const char *text);
};

/* Starts the zygote; runs may be asked for at once.  The pool restarts a zygote that dies, with
 * backoff. */
SL_MUST_USE enum sl_code pool_new(struct loop *loop, const struct pool_settings *settings,
				  struct pool **out, struct sl_error *error);
void pool_free(struct pool *pool); /* kills everything; runs still there end as RUN_ABORTED first */

/* True when a run would start at once (an idle process, or room for another one). */
bool pool_has_room(const struct pool *pool);
int pool_running(const struct pool *pool);
int pool_processes(const struct pool *pool); /* that exist, idle and dying ones too */
/* Does the zygote live (or start, and its last start was good)?  Without it nothing can run. */
bool pool_is_up(const struct pool *pool);

/* Starts a run; function, kind, input and context are copied as needed before this returns.
 * deadline_ms: wall-clock limit of the run from now.  SL_EXHAUSTED: no room (pool_has_room() was
 * false). SL_UNAVAILABLE: no zygote right now.  On SL_OK *out is borrowed until on_end. */
SL_MUST_USE enum sl_code pool_run(struct pool *pool, const struct pool_function *function,
				  const char *kind, struct slice input, struct slice context,
				  int64_t deadline_ms, const struct run_events *events, void *arg,
				  struct run **out, struct sl_error *error);
/* Answers a call; meta is JSON.  A reply to a run that has ended cannot happen: the caller drops
 * its own state in on_end. */
void run_reply(struct run *run, int64_t call_id, bool ok, struct slice meta, struct slice body);
/* Of a run that ends as RUN_CRASHED, inside on_end. */
struct run_death {
	int signal;     /* that ended its process; 0: none, or not known */
	int64_t memory; /* bytes that the process used at most; 0: not known */
};
struct run_death run_death(const struct run *run);
/* Kills the run's process; on_end(RUN_ABORTED) follows from the loop, not from inside this call. */
void run_abort(struct run *run);

/* Loads a version ahead of its first run, in a process of its own that then waits for it: where
 * there is room, or one can go that has had no run for POOL_RECENT_MS.  At most half of the
 * processes are such that have had no run yet.  cb comes once, from the loop, unless the pool is
 * freed before: SL_OK, or SL_UNAVAILABLE when the module cannot be loaded or its process was needed
 * for runs.  SL_CONFLICT: it is loaded already; SL_EXHAUSTED: no room; SL_UNAVAILABLE: no
 * zygote; no cb then. */
#define POOL_RECENT_MS 60000
typedef void pool_warm_cb(void *arg, enum sl_code code);
SL_MUST_USE enum sl_code pool_warm(struct pool *pool, const struct pool_function *function,
				   pool_warm_cb *cb, void *arg, struct sl_error *error);

/* Called from the loop whenever room appears where there was none. */
void pool_on_room(struct pool *pool, void (*cb)(void *arg), void *arg);

#endif
