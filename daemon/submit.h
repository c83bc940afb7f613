/* daemon/submit.h - a job on its way in: past the bounds, into the ledger, then into the queue.
 *
 * The one place where jobs are pushed, whoever asks for them: the API, a function, a schedule.
 *
 * The callback comes after the push was answered, so that a job whose 202 was seen stands in the
 * queue before any job that is asked for later, on whatever node (I3).  The wait is bounded:
 * SUBMIT_PUSH_WAIT_MS after the commit, and none when Redis is known to be down.  What was not
 * pushed by then is late: it comes by its push or by the sweep, merged by ledger order. */
#ifndef SLUICE_DAEMON_SUBMIT_H
#define SLUICE_DAEMON_SUBMIT_H

#include "base/error.h"
#include "daemon/daemon.h"
#include "sql/ledger.h"

#define SUBMIT_PENDING_MAX 20000 /* accepts in flight on this node; past it SL_UNAVAILABLE */
#define SUBMIT_PUSH_WAIT_MS 1000
#define SUBMIT_DRAINING                                                                     \
	"an operator has this environment drain: it takes no new jobs until it is resumed " \
	"(POST /admin/v1/queues/{environment}/resume, or `sluice queue resume`); try again later"

struct submits; /* what is on its way, of this process; opaque */
struct submits *submits_new(struct daemon *daemon); /* after the queues */
void submits_reloaded(struct submits *submits);     /* the settings have changed */
/* Start of the end: answers what waits for its push, and pushes nothing more. */
void submits_close(struct submits *submits);
void submits_free(struct submits *submits); /* after ledger and queues; NULL is fine */

/* May a job of the environment come in (daemon/backlog.h)?  If so its place is taken: it goes on by
 * submit_admitted() or ends by submit_withdraw().  SL_EXHAUSTED: the environment has as many waiting
 * as it may; SL_UNAVAILABLE: this node holds as many as it can, or the environment drains.  must:
 * what is said of the environment does not count, for what has happened already and cannot be
 * refused. */
enum sl_code submit_admit(struct daemon *daemon, int64_t environment_id, bool must,
			  struct sl_error *error);
void submit_withdraw(struct daemon *daemon, int64_t environment_id);
/* How many more jobs may come in, as far as this node knows: of environments near their bound, up to max of
 * them, the count; of others, as others says. */
struct schedule_room; /* sql/schedule.h */
int submit_rooms(const struct daemon *daemon, struct schedule_room *rooms, int max,
		 int64_t *others);
/* Is it that an operator lets the environment drain? */
bool submit_is_draining(const struct daemon *daemon, int64_t environment_id);
/* Is it this node that takes no more? */
bool submit_is_full(const struct daemon *daemon);
/* After how many seconds a refused caller should come back. */
int submit_retry_s(const struct daemon *daemon, int64_t environment_id);

/* What this node has let in and does not know to be in Redis; of that, what is left to the sweep. */
void submit_backlog(const struct daemon *daemon, int64_t *held, int64_t *left);

/* SL_OK: committed, and pushed unless that took too long; a push that fails is left to the sweep, a
 * job with a delay to the scheduler.  Else as ledger_accept() or submit_admit(): nothing was written.
 */
typedef void submit_cb(void *arg, enum sl_code code, const struct sl_error *error);
/* job->id is the caller's; the rest is copied. */
void submit_job(struct daemon *daemon, const struct ledger_job *job, submit_cb *cb, void *arg);
void submit_admitted(struct daemon *daemon, const struct ledger_job *job, submit_cb *cb, void *arg);
/* As submit_admitted() for a job without delay that the caller has put into the ledger, at seq. */
void submit_committed(struct daemon *daemon, const struct ledger_job *job, int64_t seq,
		      submit_cb *cb, void *arg);

/* As ledger_accept_once(), pushing what is new. */
void submit_job_once(struct daemon *daemon, const struct ledger_job *job,
		     const char *idempotency_key, const char *digest, ledger_accept_once_cb *cb,
		     void *arg);

#endif
