/* cli/bench.h - jobs of one function, sent and followed to their end; what is measured.
 *
 * Async: C requests at a time are accepted, and the oldest jobs that have not ended are asked for
 * with a growing pause, at most C at a time.  How long a job took is told by the ledger's own times
 * (accepted, ended), so that asking rarely costs no precision.  Sync: each request waits for its
 * result, and its time is ours. */
#ifndef SLUICE_CLI_BENCH_H
#define SLUICE_CLI_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "cli/client.h"

enum { BENCH_ID = 37, BENCH_CLIENTS_MAX = 128 /* connections to a host of http/client */ };

struct bench;

struct bench_job {
	struct bench *bench;
	char id[BENCH_ID]; /* "": not accepted yet */
	bool asking, ended;
	int64_t sent_us, next_ask_ms, pause_ms;
};

struct bench_samples { /* microseconds */
	int64_t *us;   /* owned; room for every job */
	int count;
};

struct bench {
	struct cli *cli;         /* borrowed */
	struct buf body;         /* of each request */
	const char *environment; /* borrowed */
	bool sync;
	int jobs, clients;
	int64_t seconds;

	struct bench_job *job; /* owned; jobs of them; those that were accepted come first */
	int sending, asking;   /* requests on their way */
	int accepted, ended, succeeded, failed;
	int held; /* answers that said: later */
	int64_t held_until_ms;
	int front;                               /* all before it have ended */
	int64_t began_us, accepted_us, ended_us; /* monotonic; of the last one */
	int64_t first_ms, last_ms; /* the ledger's: first accepted, last ended; 0: not known */
	struct bench_samples accept, result;
	bool interrupted, gave_up;
	struct answer why; /* why it gave up, or the first job's failure in sync mode */

	/* seen in the middle of it */
	int64_t line_limit, line_running, runners, running; /* -1: not seen */
	bool paused;                                        /* the environment or its line is */
};

void bench_run(struct bench *bench); /* until all ended, the time is over, or it gives up */
/* The value below which part (0..1) of the samples are, in ms; sorts them.  -1: there are none. */
double bench_part(struct bench_samples *samples, double part);
/* What kept it from being faster, in words. */
void bench_limit(const struct bench *bench, struct buf *out);
void bench_fini(struct bench *bench);

#endif
