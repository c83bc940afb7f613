/* daemon/api/action.h - trigger and poll actions; what the worker tells the waiting polls. */
#ifndef SLUICE_DAEMON_API_ACTION_H
#define SLUICE_DAEMON_API_ACTION_H

#include "base/job.h"
#include "daemon/api/api.h"

void action_trigger(struct api_call *call);
/* Triggers as the headers say.  action (kept by the call; NULL: action_name of the body) gets input,
 * which stays until the answer. */
void action_run(struct api_call *call, const char *action, struct slice input);
void action_read(struct api_call *call);
void action_cancel(struct api_call *call);
/* The terminal state of a job is committed: long polls of it are answered.  state 0: it is known that it ended,
 * not how; they look again.  output as in action_reply_outcome(). */
void action_job_ended(const char *job_id, enum job_state state, struct slice output);
/* Does a long poll of this node wait for it? */
bool action_is_awaited(const char *job_id);

/* Answers with the outcome of a run; output is its result, or its error object. */
void action_reply_outcome(struct api_call *call, enum job_state state, struct slice output);
/* What a call shows of a run, to a client or to a function that triggered it (wire.md 2.1). */
int action_status(struct slice error);          /* the HTTP status of an error object */
struct slice action_shown(struct slice output); /* falsy outputs come back as null */

#endif
