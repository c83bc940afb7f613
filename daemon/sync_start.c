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

static void
submit(struct start *start)
{
	char input[80];

	snprintf(input, sizeof(input), "{\"sync\":%lld,\"emptyCache\":%s}",
		 (long long)start->sync_id, start->how.empty_cache ? "true" : "false");
	start->job.input = slice_text(input); /* copied */
	start->admitted = false;
	submit_admitted(start->daemon, &start->job, on_submitted, start);
}

static void
on_reset(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct start *start = arg;

	if (code == SL_OK)
		submit(start);
	else
		finish(start, code, false, error);
}

static void on_claimed(void *arg, enum sl_code code, const struct sl_error *error);

static void
on_cancelled(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct start *start = arg;

	/* It may have ended by itself, or never have come into the ledger. */
	if (code == SL_OK || code == SL_CONFLICT || code == SL_NOT_FOUND)
		sync_claim_run(start->daemon->syncs, start->sync_id, start->job.id, on_claimed,
			       start);
	else
		finish(start, code, false, error);
}

/* The claim comes before the reset: a sync that runs keeps its checkpoint under its feet.  A reset
 * ends the run that is open; its process may last a moment longer, but has no effect from then on. */
static void
on_claimed(void *arg, enum sl_code code, const struct sl_error *error)
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
	} else if (start->how.reset) {
		sync_reset(start->daemon->syncs, start->sync_id, on_reset, start);
	} else {
		submit(start);
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
	sync_claim_run(start->daemon->syncs, start->sync_id, start->job.id, on_claimed, start);
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
	start->cb = cb;
	start->arg = arg;
	/* Before the claim, which would keep other runs away for a minute. */
	code = submit_admit(daemon, row->environment_id, how->must, &error);
	if (code != SL_OK) {
		finish(start, code, false, &error);
		return;
	}
	start->admitted = true;
	concurrency_sync_key(daemon, row->environment_id, on_key, start);
}
