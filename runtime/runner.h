/* runtime/runner.h - the parts of sluice-runner, in the order a process goes through them.
 *
 *   runner_main  drops rights, loads the prelude, checks its sandbox
 *   zygote       the root process: forks a function process for each FORK, reports its end
 *   function     a function process: LOAD once, then one RUN after the other
 *   run          a private copy of the warm heap for one run
 *   script       calls into the prelude
 *
 * Everything here is blocking and single-threaded.  Nothing is freed on the way out: a process of
 * the runner ends with _exit(), and its memory with it. */
#ifndef SLUICE_RUNTIME_RUNNER_H
#define SLUICE_RUNTIME_RUNNER_H

#include <duktape.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "runtime/arena.h"
#include "runtime/digest.h"
#include "runtime/sandbox.h"
#include "runtime/timers.h"

struct runner {
	struct arena arena; /* of ctx; owner points back here */
	duk_context *ctx;
	struct sandbox sandbox;
	struct digests digests;
	struct timers timers;
	struct buf in;   /* the frame being handled */
	struct buf file; /* the loaded module's file name, for stack traces */
	int64_t run_id;  /* 0: no run */
	bool done;       /* DONE was sent */
	pid_t self;      /* of the zygote or function process; their filters know no getpid */
};

/* zygote.c: serves the control socket (SANDBOX_SOCKET) until the daemon closes it.  signals: a
 * signalfd for SIGCHLD, which is blocked. */
_Noreturn void zygote_serve(struct runner *runner, int signals);

/* function.c, in the zygote's child: serves socket until the daemon closes it. */
_Noreturn void function_serve(struct runner *runner, int socket);

/* run.c.  A run may do to the heap what it likes; the next one starts from the same warm state.
 * run_begin() returns RUN_INSIDE where the run is to be executed, which run_end() then leaves, and
 * later RUN_OVER where the process goes on, with how the run ended.  How the state is kept apart
 * (today: each run is a fork) is known here and nowhere else. */
enum run_side {
	RUN_INSIDE,
	RUN_OVER,
};
struct run_outcome {
	const char *reason; /* NULL: DONE was sent; else the reason of DIED */
	int64_t detail;
};
enum run_side run_begin(struct runner *runner, int64_t cpu_ms, struct run_outcome *outcome);
_Noreturn void run_end(void);

/* script.c */
/* Creates the heap and evaluates the prelude. */
SL_MUST_USE enum sl_code script_boot(struct runner *runner, struct sl_error *error);
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
