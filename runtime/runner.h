/* runtime/runner.h - the parts of sluice-runner, in the order a process goes through them.
 *
 *   runner_main  drops rights, loads the prelude, checks its sandbox
 *   zygote       the root process: forks a function process for each FORK, reports its end
 *   function     a function process: LOAD once, then one RUN after the other
 *   run          gives each run the warm heap as it was after LOAD
 *   script       calls into the prelude
 *
 * Everything here is blocking and single-threaded.  Nothing is freed on the way out: a process of
 * the runner ends with _exit(), and its memory with it.
 *
 * What a run may change is the heap, which lies in the arena, and the members of struct runner that
 * are marked below, which run_end() resets by hand.  There is no other state: no static variable
 * here or in Duktape, and OpenSSL's and ICU's is not of the run's making. */
#ifndef SLUICE_RUNTIME_RUNNER_H
#define SLUICE_RUNTIME_RUNNER_H

#include <duktape.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/buf.h"
#include "base/error.h"
#include "runtime/arena.h"
#include "runtime/digest.h"
#include "runtime/sandbox.h"
#include "runtime/snapshot.h"
#include "runtime/timers.h"
#include "runtime/unicode.h"

/* Buffers of C code that Duktape may leave by longjmp: here they are found again.  No two of a kind
 * are in use at once, as no JavaScript runs between asking for one and freeing it: scripts cannot
 * have finalizers, for the prelude takes Duktape's own object away. */
enum scratch {
	SCRATCH_META,
	SCRATCH_BODY,
	SCRATCH_FRAME,
	SCRATCH_TEXT,
};
#define SCRATCHES 4

struct runner {
	struct arena arena; /* of ctx; owner points back here */
	duk_context *ctx;
	struct sandbox sandbox;
	struct digests digests;
	struct unicode unicode;
	struct buf file;  /* the loaded module's file name, for stack traces */
	bool by_snapshot; /* runs are kept apart by snapshots, else by forks */
	struct snapshot snapshot;
	size_t used_before; /* bytes of the heap before LOAD */
	int memory; /* the memfd to freeze the heap into, or to adopt it from; -1.  Of the zygote:
		       that of the next function process */
	timer_t cpu_timer; /* with snapshots: ends the process when a run uses too much CPU */
	int landlock;      /* the kernel's version of it; 0: it has none */
	pid_t self;        /* of the zygote or function process; their filters know no getpid */

	/* of one run */
	struct timers timers;
	struct buf in; /* the frame being handled; each frame replaces it */
	struct buf scratch[SCRATCHES];
	int64_t run_id; /* 0: no run */
	bool done;      /* DONE was sent */
};

/* zygote.c: serves the control socket (SANDBOX_SOCKET) until the daemon closes it.  signals: a
 * signalfd for SIGCHLD, which is blocked. */
_Noreturn void zygote_serve(struct runner *runner, int signals);

/* function.c, in the zygote's child: serves socket until the daemon closes it.  frozen: the memfd
 * holds the heap of a process that has loaded this version. */
_Noreturn void function_serve(struct runner *runner, int socket, bool frozen);

/* run.c.  A run may do to the heap what it likes; the next one starts from the same warm state.
 * run_begin() returns RUN_INSIDE where the run is to be executed, up to run_end().  RUN_OVER: the
 * run was executed elsewhere and has ended, as outcome says.
 *
 * With snapshots the process itself is where the run is executed, and run_end() returns with
 * everything as run_freeze() left it; what must not go on ends the process, with the exit status or
 * signal that says why.  With forks it is a child, which run_end() ends. */
enum run_side {
	RUN_INSIDE,
	RUN_OVER,
};
struct run_outcome {
	const char *reason; /* NULL: DONE was sent; else the reason of DIED */
	int64_t detail;
};
/* Before the sandbox and the first LOAD: takes what run_freeze() will need beside the memfd that
 * came with the request to fork; where the system refuses it, runs will be forks. */
void run_prepare(struct runner *runner);
/* After LOAD, once: from here on no customer code outside of run_begin() and run_end().  Ends the
 * process with RUNNER_EXIT_FREEZE where the system refuses, before any run. */
void run_freeze(struct runner *runner);
/* Instead of LOAD and run_freeze(): the heap is what another process has frozen into the memfd. */
void run_adopt(struct runner *runner);
enum run_side run_begin(struct runner *runner, int64_t cpu_ms, struct run_outcome *outcome);
void run_end(struct runner *runner);
/* An empty buffer of at most cap bytes, which lives until it is asked for again or the run ends;
 * to free it earlier is fine. */
struct buf *run_scratch(struct runner *runner, enum scratch which, size_t cap);

/* script.c */
/* Creates the heap and evaluates the prelude. */
SL_MUST_USE enum sl_code script_boot(struct runner *runner, struct sl_error *error);
/* Names the module in messages; before the first run. */
void script_name(struct runner *runner, struct slice file);
/* Evaluates a module; slices are UTF-8.  False: error_json has the error object. */
bool script_load(struct runner *runner, struct slice name, struct slice file, struct slice code,
		 struct buf *error_json);
/* Executes one run up to DONE.  A daemon that breaks the protocol ends the process. */
void script_run(struct runner *runner, struct slice kind, struct slice input, struct slice context);
/* Sends DONE; payload is UTF-8 JSON. */
void script_send_done(struct runner *runner, bool ok, struct slice payload);
/* Appends the error object {"code":"script_internal_error","payload":{..}} for a plain message. */
void script_error_json(struct buf *out, const char *name, const char *message);

#endif
