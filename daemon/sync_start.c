#include "daemon/sync_start.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "daemon/concurrency.h"
#include "daemon/submit.h"

struct start {
	struct daemon *daemon;
	struct sync_start_how how;
	int64_t sync_id;
	char running[UUID_TEXT]; /* the run that was open when the row was read; "": none */
	bool cancelled;          /* it was asked to end */
	bool admitted;           /* has a place that the job has not used yet */
	struct ledger_job job;
	char input[80]; /* of the job */
	sync_start_cb *cb;
	void *arg;
};

static void
finish(struct start *start, enum sl_code code, bool started, const struct sl_error *error)
{
	if (start->admitted)
		submit_withdraw(start->daemon, start->job.environment_id);
	start->cb(start->arg, code, started, error);
	free(start);
}

static void
on_submitted(void *arg, enum sl_code code, const struct sl_error *error)
{
	finish(arg, code, code == SL_OK, error);
}

static void on_accepted(void *arg, enum sl_code code, int64_t seq, const struct sl_error *error);

static void
take(struct start *start)
{
	sync_accept(start->daemon->syncs, start->sync_id, &start->job, start->how.reset,
		    on_accepted, start);
}

static void
on_cancelled(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct start *start = arg;

	/* It may have ended by itself, or never have come into the ledger. */
	if (code == SL_OK || code == SL_CONFLICT || code == SL_NOT_FOUND)
		take(start);
	else
		finish(start, code, false, error);
}

/* A sync that runs keeps its checkpoint under its feet: a reset ends the run that is open first; its
 * process may last a moment longer, but has no effect from then on. */
static void
on_accepted(void *arg, enum sl_code code, int64_t seq, const struct sl_error *error)
{
	struct start *start = arg;

	if (code == SL_CONFLICT && start->how.reset && !start->cancelled &&
	    start->running[0] != '\0') {
		start->cancelled = true;
		ledger_cancel(start->daemon->ledger, start->running, start->job.environment_id,
			      JOB_SYNC, on_cancelled, start);
	} else if (code == SL_CONFLICT) {
		finish(start, SL_OK, false, NULL);
	} else if (code != SL_OK) {
		finish(start, code, false, error);
	} else {
		start->admitted = false;
		submit_committed(start->daemon, &start->job, seq, on_submitted, start);
	}
}

static void
on_key(void *arg, enum sl_code code, int64_t key_id, const struct sl_error *error)
{
	struct start *start = arg;

	if (code != SL_OK) {
		finish(start, code, false, error);
		return;
	}
	start->job.key_id = key_id;
	take(start);
}

void
sync_start(struct daemon *daemon, const struct sync_row *row, const struct sync_start_how *how,
	   sync_start_cb *cb, void *arg)
{
	struct start *start = sl_alloc(sizeof(*start));
	struct sl_error error;
	enum sl_code code;

	start->daemon = daemon;
	start->how = *how;
	start->sync_id = row->id;
	if (row->running)
		memcpy(start->running, row->job_id, sizeof(start->running));
	start->job = (struct ledger_job){
	    .environment_id = row->environment_id,
	    .function_version_id = row->version_id,
	    .connection_id = row->connection_id,
	    .kind = JOB_SYNC,
	};
	uuid_v7(start->job.id);
	snprintf(start->input, sizeof(start->input), "{\"sync\":%lld,\"emptyCache\":%s}",
		 (long long)row->id, how->empty_cache ? "true" : "false");
	start->job.input = slice_text(start->input);
	start->cb = cb;
	start->arg = arg;
	code = submit_admit(daemon, row->environment_id, how->must, &error);
	if (code != SL_OK) {
		finish(start, code, false, &error);
		return;
	}
	start->admitted = true;
	concurrency_sync_key(daemon, row->environment_id, on_key, start);
}
