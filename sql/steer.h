/* sql/steer.h - what an operator wants of queues: pauses, drains, jobs ended or accepted again.
 *
 * The ledger keeps what was asked for; a paused key has no slot in what the scheduler tells Redis
 * (key_limits() of 0012_steer.sql), workers and api nodes keep a list of it (daemon/steer.h) and hear of
 * changes by ACCOUNT_LIMITS.  On the connection of sql/dead.h, operators' own.  Every call answers once,
 * from the loop; rows are borrowed for the call. */
#ifndef SLUICE_SQL_STEER_H
#define SLUICE_SQL_STEER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/job.h"
#include "base/secret.h"
#include "sql/dead.h"

struct steer_row {
	int64_t environment_id;
	int64_t key_id; /* 0: the environment as a whole */
	bool paused, draining;
};
typedef void steer_rows_cb(void *arg, enum sl_code code, const struct steer_row *rows, int count,
			   const struct sl_error *error);
/* All that is paused or drains. */
void steer_list(struct dead_store *store, steer_rows_cb *cb, void *arg);

enum steer_what {
	STEER_PAUSE, /* nothing of it is started; what runs goes on */
	STEER_DRAIN, /* no new job is accepted (of an environment) */
	STEER_RESUME /* neither; a line that is paused by itself stays so when its environment is resumed */
};
typedef void steer_cb(void *arg, enum sl_code code, const struct sl_error *error);
/* key_id 0: the environment; else the line, which is of that environment (STEER_DRAIN: asserted to be
 * 0).  Repeatable.  SL_NOT_FOUND: there is no such environment or line. */
void steer_set(struct dead_store *store, enum steer_what what, int64_t environment_id,
	       int64_t key_id, steer_cb *cb, void *arg);

typedef void steer_count_cb(void *arg, enum sl_code code, int64_t count,
			    const struct sl_error *error);
/* Cancels open jobs of one line of the environment, in one transaction; count: those that were open.
 * At most STEER_CANCEL_MAX. */
#define STEER_CANCEL_MAX 500
void steer_cancel(struct dead_store *store, int64_t environment_id,
		  const char (*job_ids)[UUID_TEXT], int count, steer_count_cb *cb, void *arg);

enum steer_retried {
	STEER_ACCEPTED = 1, /* as a new job */
	STEER_UNKNOWN,
	STEER_SYNC,
	STEER_NO_FUNCTION,
	STEER_DISABLED,
	STEER_OPEN, /* queued, or it runs */
	STEER_DUE,  /* the try that it waited for is due now */
	STEER_DRAINS,
	STEER_NO_CONNECTION,
};
/* new_id: "" unless STEER_ACCEPTED. */
typedef void steer_retry_cb(void *arg, enum sl_code code, enum steer_retried what,
			    const char *new_id, const struct sl_error *error);
/* Accepts a job that has ended as a new one: same input, retries, connection and line, the function's
 * active version; the scheduler brings it into the queue.  A commit in doubt is repeated for 10 s: it
 * accepts nothing twice.  job_id as uuid_parse() wrote it. */
void steer_retry(struct dead_store *store, const char *job_id, steer_retry_cb *cb, void *arg);

#endif
