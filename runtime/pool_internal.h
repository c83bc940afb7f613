/* runtime/pool_internal.h - the parts of the pool, for themselves only.
 *
 *   pool          the public calls; which process serves which run, and when there is room
 *   pool_image    frozen heaps: the next process of a version takes over what the first has loaded
 *   pool_process  one function process: its states, its frames, its end
 *   pool_end      what the end of a process means for its run; security events
 *   pool_zygote   the root process: spawn, fork requests, restart
 *
 * processes_max, or the number of runs where that is larger, bounds processes that exist, killed ones included until the zygote has reaped them:
 * a run whose process has to wait for that is in a WAITING process. */
#ifndef SLUICE_RUNTIME_POOL_INTERNAL_H
#define SLUICE_RUNTIME_POOL_INTERNAL_H

#include <sys/types.h>

#include "base/metrics.h"
#include "runtime/channel.h"
#include "runtime/pool.h"

/* A zygote or function process that has not answered a control matter for so long is stuck. */
#define POOL_STUCK_MS 15000
/* More calls in flight, or what comes after so many bytes of them, wait in the function's socket. */
#define CALLS_OPEN_MAX 64
#define CALLS_OPEN_BYTES ((size_t)RUNNER_FRAME_MAX)

/* DOWN -> STARTING (spawned) -> UP (said HELLO); any -> REAPING (killed) -> DOWN. */
enum zygote_state {
	ZYGOTE_DOWN,     /* waits for the backoff to pass */
	ZYGOTE_STARTING, /* no HELLO yet */
	ZYGOTE_UP,
	ZYGOTE_REAPING, /* killed, not waited for yet */
};

struct zygote {
	enum zygote_state state;
	pid_t pid;               /* our child, not reaped, while STARTING, UP or REAPING */
	struct channel *channel; /* while STARTING or UP */
	struct loop_timer *timer;
	int64_t backoff_ms;
	int64_t up_ms; /* when it came up */
	bool doubtful; /* the last start failed: nothing is promised until one works */
};

/* WAITING -> FORKING -> LOADING -> RUNNING <-> IDLE; any but WAITING -> DYING, the last one.  A
 * process that is loaded ahead of its first run goes from LOADING to IDLE.
 * Invariants: a run is attached in RUNNING, never in IDLE; in WAITING, FORKING and LOADING unless
 * the process is loaded ahead; in DYING only when its outcome hangs on how the process ended.  The process exists from FORKING on, and
 * pidfd is known from LOADING on. */
enum process_state {
	PROCESS_WAITING, /* for room or for the zygote; nothing exists yet */
	PROCESS_FORKING, /* FORK was sent */
	PROCESS_LOADING, /* LOAD and RUN were sent */
	PROCESS_RUNNING,
	PROCESS_IDLE,
	PROCESS_DYING, /* until GONE */
};
#define PROCESS_STATES 6

struct process {
	struct process *next, *prev; /* in pool->processes */
	struct pool *pool;
	enum process_state state;
	int64_t tag; /* of FORK */
	int64_t version_id, environment_id;
	char *name; /* owned: of the function */
	bool forks; /* its runs are forks */
	/* LOAD and RUN as they were sent, until LOADED: a process that cannot freeze its heap ends, and
	 * one with forks gets the same.  No customer code has had an effect by then. */
	struct buf opening;
	pid_t pid;
	int pidfd;               /* owned; -1: not known */
	int remote;              /* owned: the other end of channel until FORK is sent; -1 */
	struct channel *channel; /* NULL once DYING */
	struct loop_timer *timer;
	int64_t entered_ms;    /* when the state was entered */
	struct run *run;       /* NULL: none */
	int memory;            /* owned: the memfd it freezes its heap into, until LOADED; -1 */
	bool used;             /* it has had a run */
	pool_warm_cb *warm_cb; /* NULL: nobody waits for it to be loaded */
	void *warm_arg;
};

/* A sealed memfd with the heap of a loaded version; as good as a process that has loaded it, in a
 * fork of the zygote that it came from. */
struct image {
	struct image *next; /* in pool->images */
	int64_t version_id, environment_id;
	int fd; /* owned */
	int64_t used_ms;
};

struct run {
	struct pool *pool;
	struct process *process; /* NULL once ended */
	int64_t id;
	char *job; /* owned; "": none */
	int64_t deadline_at_ms;
	int64_t last_call;
	/* Asked and not answered, and what they hold. */
	struct {
		int64_t id;
		size_t bytes;
	} open[CALLS_OPEN_MAX];
	int calls_open;
	size_t open_bytes;
	bool aborted;           /* run_abort(): whatever comes, it ends as RUN_ABORTED */
	struct run_death death; /* as far as it is known */
	const struct run_events *events;
	void *arg;
};

struct pool {
	struct loop *loop;
	char *runner_path; /* owned */
	struct pool_settings settings;
	struct zygote zygote;
	struct process *processes;
	int waiting; /* of them */
	struct image *images;
	int image_count;
	int running; /* runs that have not ended */
	int64_t last_tag, last_run;
	uint64_t chance;         /* never 0 */
	struct loop_timer *soon; /* for what must not happen inside a caller's call */
	void (*room_cb)(void *arg);
	void *room_arg;
	bool had_room, room_due;
	bool freeing;
	bool told_forks; /* the log has it that heaps cannot be frozen */
};

/* pool.c */
void pool_pump(struct pool *pool);      /* forks waiting processes as far as there is room */
void pool_note_room(struct pool *pool); /* after anything that may have made or taken room */
/* Ends a run: detaches it from its process, then reports.  The process's state must be settled
 * before, for on_end may start the next run. */
void run_finish(struct run *run, enum run_end end, struct slice payload, const char *text);
void run_detach(struct run *run); /* for those who must do the first half earlier */
void run_finish_crashed(struct run *run, const char *text);

/* pool_image.c */
struct image *image_find(struct pool *pool, int64_t version_id, int64_t environment_id);
/* An empty memfd; -1: runs are forks, or the system has none. */
int image_open(struct pool *pool);
/* Takes fd over, which the process said it has frozen its heap into.  Nothing of it is looked at
 * but its seals and its size: only processes of that version and environment get it. */
void image_keep(struct pool *pool, const struct process *process, int fd);
void image_forget(struct pool *pool, int64_t version_id, int64_t environment_id);
void image_forget_all(struct pool *pool);

/* pool_process.c */
struct process *process_new(struct pool *pool, const struct pool_function *function,
			    struct sl_error *error);
void process_attach(struct process *process, struct run *run); /* arms the deadline */
void process_send_run(struct process *process, const char *kind, struct slice input,
		      struct slice context);
int pool_most(const struct pool *pool);                         /* processes, now */
bool process_exists(const struct process *process);             /* counts against processes_max */
void process_on_fork_sent(struct process *process, int memory); /* takes memory */
/* Tells who asked for it to be loaded ahead, once. */
void process_end_warming(struct process *process, enum sl_code code);
void process_on_forked(struct process *process, pid_t pid, int pidfd);   /* takes pidfd */
void process_on_gone(struct process *process, int status, int64_t peak); /* bytes */
/* Kills it; its run, if any, must have been detached or is ended by the caller next. */
void process_retire(struct process *process);
/* The zygote is gone, and with it this process. */
void process_lost(struct process *process, const char *text);
/* The struct, and with it its run's pointer to it, lives to the end of this turn of the loop. */
void process_free(struct process *process);
void process_resume_reading(struct process *process); /* after a reply */

/* pool_end.c: what becomes of a run whose process ended under it; each but the first three ends it */
void end_count(const struct run *run, enum metric_kill reason); /* a run ended by force */
/* Logs what an attack may look like; detail is ours, never the function's. */
void end_log_security(const struct process *process, const char *kind, const char *detail);
void end_note_status(const struct process *process, int status); /* before its run is detached */
void end_by_status(struct run *run, int status);                 /* of wait */
void end_by_reason(const struct process *process, struct run *run, struct slice reason,
		   int64_t detail); /* of DIED */

/* pool_zygote.c */
void zygote_start(struct pool *pool);
bool zygote_is_usable(const struct pool *pool); /* up, or on the way */
/* Asks for a function process; false: not now (the zygote is not up or its socket is full). */
bool zygote_fork(struct pool *pool, struct process *process);
/* Kills it, ends all runs, restarts after the backoff. */
void zygote_fail(struct pool *pool, const char *why);
void zygote_stop(struct pool *pool); /* for good, and waits for its end */

#endif
