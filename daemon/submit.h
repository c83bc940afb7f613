/* daemon/submit.h - a job on its way in: into the ledger, then into the queue.
 *
 * The one place where jobs are pushed, whoever asks for them: the API, a function, a schedule. */
#ifndef SLUICE_DAEMON_SUBMIT_H
#define SLUICE_DAEMON_SUBMIT_H

#include "base/error.h"
#include "daemon/daemon.h"
#include "sql/ledger.h"

#define SUBMIT_PENDING_MAX 20000 /* accepts in flight on this node; past it SL_EXHAUSTED */

/* SL_OK: committed, and its push is under way; a push that fails is left to the sweep, a job with a
 * delay to the scheduler.  Else as
 * ledger_accept(), or SL_EXHAUSTED. */
typedef void submit_cb(void *arg, enum sl_code code, const struct sl_error *error);
/* job->id is the caller's; the rest is copied. */
void submit_job(struct daemon *daemon, const struct ledger_job *job, submit_cb *cb, void *arg);

/* As ledger_accept_once(), pushing what is new. */
void submit_job_once(struct daemon *daemon, const struct ledger_job *job,
		     const char *idempotency_key, const char *digest, ledger_accept_once_cb *cb,
		     void *arg);

#endif
