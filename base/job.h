/* base/job.h - what a job is called and which states it can be in; the same words in C, SQL, JSON.
 */
#ifndef SLUICE_BASE_JOB_H
#define SLUICE_BASE_JOB_H

enum job_kind { JOB_ACTION = 1, JOB_SYNC = 2, JOB_WEBHOOK = 3, JOB_EVENT = 4 };

/* Terminal states, as stored in result.state.  Numbers are part of the schema. */
enum job_state {
	JOB_SUCCEEDED = 1,
	JOB_FAILED = 2, /* the function's own failure; output is the error object */
	JOB_CANCELLED = 3,
	JOB_EXPIRED = 4,     /* not started in time */
	JOB_WORKER_LOST = 5, /* the worker died and no attempt is left */
};

const char *job_kind_name(enum job_kind kind);    /* "action", "sync", "webhook", "event" */
const char *job_state_name(enum job_state state); /* "succeeded", ... */

#endif
