/* runtime/sandbox.h - what the kernel lets a runner do.
 *
 * Seccomp filters, each for less trust than the one above, stacked as a process goes down from the
 * root process to the one that runs customer code:
 *
 *   ROOT -> LOAD -> SERVE      with snapshots: load the module, freeze the heap, serve runs
 *   ROOT -> FUNCTION -> RUN    with forks: load the module and fork; one run
 *
 * A call that is not on a list kills the process with SIGSYS.  The lists are what strace showed to
 * be needed (see sandbox.c), no more: no files, no sockets other than the inherited ones, no exec,
 * no memory that can be executed.
 *
 * How many processes there may be is not limited here: RLIMIT_NPROC counts all of a user's, and the
 * user may be one that others have too.  Only FUNCTION may fork, and what it leaves behind is in its
 * process group, which the zygote kills; the service's TasksMax= is the bound for the whole of it (at
 * least 2 * runners + 16).
 *
 * Under AddressSanitizer the lists are longer by what its run time needs; nothing else differs. */
#ifndef SLUICE_RUNTIME_SANDBOX_H
#define SLUICE_RUNTIME_SANDBOX_H

#include <stddef.h>

#include "base/error.h"

struct sock_filter; /* of linux/filter.h */

/* The only descriptor in a function process and in a run: its socket. */
#define SANDBOX_SOCKET 3
/* And, at SANDBOX_LOAD alone, the memfd that the heap is frozen into. */
#define SANDBOX_MEMORY 4

enum sandbox_level {
	SANDBOX_ROOT,     /* the zygote: forks, passes descriptors, kills; runs no customer code */
	SANDBOX_FUNCTION, /* holds the loaded module: forks runs and waits for them */
	SANDBOX_RUN,      /* one run: its socket, memory, the clock, exit */
	SANDBOX_LOAD,     /* loads a module; may fill and map its memfd, and go on to SERVE */
	SANDBOX_SERVE, /* as RUN; protect the arena; and between runs: revert it, set the CPU timer */
};
#define SANDBOX_LEVELS 5

struct sandbox_program {
	struct sock_filter *code; /* owned */
	unsigned short len;       /* instructions */
};
struct sandbox {
	struct sandbox_program level[SANDBOX_LEVELS];
};

/* The level that a process must be at to enter this one; that of SANDBOX_ROOT is itself. */
enum sandbox_level sandbox_above(enum sandbox_level level);

/* Compiles the filters for a process whose arena is there (needs calls that the filters forbid, so
 * do it first).  SL_UNAVAILABLE: the kernel or libseccomp cannot. */
SL_MUST_USE enum sl_code sandbox_prepare(struct sandbox *sandbox, const void *arena,
					 size_t arena_len, struct sl_error *error);
void sandbox_fini(struct sandbox *sandbox);

/* Puts the calling process under a filter, for good; allocates nothing.  Returns 0 or an errno. */
SL_MUST_USE int sandbox_enter(const struct sandbox *sandbox, enum sandbox_level level);

/* No new privileges, no core, no ptrace by others, few descriptors, limits on memory
 * (address_bytes) and stack, and death with the parent.  Before sandbox_enter(). */
SL_MUST_USE enum sl_code sandbox_limit(long long address_bytes, struct sl_error *error);

/* Forks children that try a forbidden call at each level and must die of it.  For a process already
 * at SANDBOX_ROOT.  SL_INTERNAL: one of them lived. */
SL_MUST_USE enum sl_code sandbox_self_check(const struct sandbox *sandbox, struct sl_error *error);

#endif
