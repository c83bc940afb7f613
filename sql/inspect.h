/* sql/inspect.h - jobs and lines as the ledger knows them, for operators to look at.
 *
 * On the connection of sql/dead.h.  Every call answers once, from the loop; rows are borrowed for the
 * call, texts are never NULL. */
#ifndef SLUICE_SQL_INSPECT_H
#define SLUICE_SQL_INSPECT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/job.h"
#include "base/secret.h"
#include "sql/dead.h"

#define INSPECT_JOBS_MAX 1000
#define INSPECT_OUTPUT_MAX 4096

struct inspect_job {
	char id[UUID_TEXT];
	int64_t seq, environment_id, key_id;
	const char *environment, *line; /* names */
	const char *integration, *function, *version,
	    *connection; /* names; "": deleted meanwhile */
	/* "queued", "running", "retrying", "delayed", or how it ended: "succeeded", "failed", "expired",
	 * "cancelled", "dead".  A job that runs and has had no effect is "queued": only the worker that
	 * has it, and Redis (queue_runs()), know. */
	const char *state;
	const char *node; /* that runs it; "": none is known */
	enum job_kind kind;
	int attempt; /* tries begun */
	int max_retries, deaths;
	int64_t accepted_ms;
	int64_t due_ms;      /* the next try; 0: none waits */
	int64_t ended_ms;    /* 0: it is open */
	struct slice output; /* of one that ended, at most INSPECT_OUTPUT_MAX bytes; only shown */
	bool cut;            /* there is more of it */
};
struct inspect_attempt {
	int number;
	int64_t began_ms;
	const char *node; /* "": its session is forgotten */
};

typedef void inspect_jobs_cb(void *arg, enum sl_code code, const struct inspect_job *jobs,
			     int count, const struct sl_error *error);
/* Open jobs of an environment, oldest first, behind the one with id after (NULL: from the oldest).
 * key_id 0: of all lines.  limit: 1..INSPECT_JOBS_MAX (asserted). */
void inspect_list(struct dead_store *store, int64_t environment_id, int64_t key_id,
		  const char *after, int limit, inspect_jobs_cb *cb, void *arg);

typedef void inspect_job_cb(void *arg, enum sl_code code, const struct inspect_job *job,
			    const struct inspect_attempt *attempts, int count,
			    const struct sl_error *error);
/* SL_NOT_FOUND: there is no such job (any more).  job_id as uuid_parse() wrote it. */
void inspect_show(struct dead_store *store, const char *job_id, inspect_job_cb *cb, void *arg);

struct inspect_line {
	int64_t key_id, environment_id;
	const char *name;
	int slots;
	bool paused; /* by itself */
};
typedef void inspect_lines_cb(void *arg, enum sl_code code, const struct inspect_line *lines,
			      int count, const struct sl_error *error);
/* Of an environment: those with these ids, those that are paused, and `actions`; by id. */
void inspect_lines(struct dead_store *store, int64_t environment_id, const int64_t *key_ids,
		   int count, inspect_lines_cb *cb, void *arg);
/* The one of that name; count 0: there is none. */
void inspect_line(struct dead_store *store, int64_t environment_id, const char *name,
		  inspect_lines_cb *cb, void *arg);

struct inspect_delayed {
	int64_t environment_id;
	int64_t count;
};
typedef void inspect_delayed_cb(void *arg, enum sl_code code, const struct inspect_delayed *rows,
				int count, const struct sl_error *error);
/* Jobs that wait for a try or for their first start; environments without one are left out.
 * environment_id 0: of all. */
void inspect_delayed(struct dead_store *store, int64_t environment_id, inspect_delayed_cb *cb,
		     void *arg);

#endif
