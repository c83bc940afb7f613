#include "daemon/worker/again.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "daemon/submit.h"
#include "sql/sync.h"

struct again {
	struct daemon *daemon;
	int64_t sync_id;
	struct ledger_job job;
};

static void
again_end(struct again *again, enum sl_code code, const struct sl_error *error)
{
	if (code == SL_OK)
		log_info("sync_goes_on", "sync=%lld job=%s", (long long)again->sync_id,
			 again->job.id);
	else if (code != SL_CONFLICT) /* a trigger was quicker */
		log_error("sync_not_resumed", "sync=%lld code=%s error=%s",
			  (long long)again->sync_id, sl_code_name(code),
			  log_text(error != NULL ? error->text : ""));
	free(again);
}

static void
on_submitted(void *arg, enum sl_code code, const struct sl_error *error)
{
	again_end(arg, code, error);
}

static void
on_claimed(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct again *again = arg;
	char input[80];

	if (code != SL_OK) {
		again_end(again, code, error);
		return;
	}
	snprintf(input, sizeof(input), "{\"sync\":%lld,\"emptyCache\":false}",
		 (long long)again->sync_id);
	again->job.input = slice_text(input); /* copied */
	submit_job(again->daemon, &again->job, on_submitted, again);
}

static void
on_row(void *arg, enum sl_code code, const struct sync_row *row, int count,
       const struct sl_error *error)
{
	struct again *again = arg;

	(void)count;
	if (code != SL_OK || row->version_id == 0) { /* disabled or removed meanwhile */
		again_end(again, code == SL_OK ? SL_CONFLICT : code, error);
		return;
	}
	again->job = (struct ledger_job){
	    .environment_id = row->environment_id,
	    .key_id = row->key_id,
	    .function_version_id = row->version_id,
	    .connection_id = row->connection_id,
	    .kind = JOB_SYNC,
	};
	uuid_v7(again->job.id);
	sync_claim_run(again->daemon->syncs, again->sync_id, again->job.id, on_claimed, again);
}

void
again_start(struct daemon *daemon, int64_t sync_id)
{
	struct again *again = sl_alloc(sizeof(*again));

	again->daemon = daemon;
	again->sync_id = sync_id;
	sync_read(daemon->syncs, sync_id, on_row, again);
}
