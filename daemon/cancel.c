#include "daemon/cancel.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "daemon/api/action.h"
#include "daemon/worker/dispatch.h"
#include "sql/account.h"
#include "sql/ledger.h"

#define LOOK_AGAIN_MS 1000

struct job { /* one that ran or waited here when the look began */
	int64_t key_id, seq;
	char id[UUID_TEXT];
};

struct cancel_watch {
	struct daemon *daemon;
	struct loop_timer *again;
	bool looking,
	    due; /* due: one more look, because something may have been missed meanwhile */
	struct job *jobs;
	int count, size;
};

static void look(void *arg);

static void
collect(void *arg, int64_t key_id, int64_t seq, const char *job_id)
{
	struct cancel_watch *watch = arg;
	struct job *job;

	if (watch->count == watch->size) {
		watch->size = watch->size == 0 ? 64 : watch->size * 2;
		watch->jobs = sl_realloc(watch->jobs, (size_t)watch->size * sizeof(*watch->jobs));
	}
	job = &watch->jobs[watch->count++];
	job->key_id = key_id;
	job->seq = seq;
	memcpy(job->id, job_id, sizeof(job->id));
}

/* What ended, but not by this worker, was cancelled or cannot be settled here any more; what this
 * worker has just settled is not among the jobs of its turns by now. */
static void
on_ended(void *arg, enum sl_code code, const char (*job_ids)[UUID_TEXT], int count,
	 int64_t newest_seq)
{
	struct cancel_watch *watch = arg;
	struct dispatch *dispatch = watch->daemon->dispatch;

	watch->looking = false;
	if (code != SL_OK) {
		loop_timer_in(watch->again, LOOK_AGAIN_MS);
		return;
	}
	dispatch_judge_all(dispatch, newest_seq);
	for (int i = 0; i < count; i++)
		for (int at = 0; at < watch->count; at++)
			if (strcmp(watch->jobs[at].id, job_ids[i]) == 0)
				dispatch_cancel(dispatch, watch->jobs[at].key_id,
						watch->jobs[at].seq, job_ids[i], false);
	if (watch->due)
		look(watch);
}

static void
look(void *arg)
{
	struct cancel_watch *watch = arg;
	char(*ids)[UUID_TEXT];

	watch->due = watch->looking;
	if (watch->looking || watch->daemon->dispatch == NULL)
		return;
	watch->looking = true;
	watch->count = 0;
	dispatch_each_job(watch->daemon->dispatch, collect, watch);
	ids = sl_calloc((size_t)watch->count + 1, sizeof(*ids));
	for (int i = 0; i < watch->count; i++)
		memcpy(ids[i], watch->jobs[i].id, UUID_TEXT);
	ledger_ended(watch->daemon->ledger, (const char(*)[UUID_TEXT])ids, watch->count, on_ended,
		     watch);
	free(ids);
}

static void
on_notify(void *arg, const char *channel, const char *payload)
{
	struct cancel_watch *watch = arg;
	int64_t key_id, seq;
	char text[UUID_TEXT], id[UUID_TEXT], how[8] = "";

	(void)channel;
	if (payload == NULL) {
		look(watch);
		return;
	}
	if (sscanf(payload, "%" SCNd64 " %" SCNd64 " %36s %7s", &key_id, &seq, text, how) < 3 ||
	    !uuid_parse(slice_text(text), id)) {
		log_error("cancel_not_understood", "bytes=%zu", strlen(payload));
		return;
	}
	if (watch->daemon->dispatch != NULL)
		dispatch_cancel(watch->daemon->dispatch, key_id, seq, id, strcmp(how, "kill") == 0);
	action_job_ended(id, 0, (struct slice){NULL, 0});
}

struct cancel_watch *
cancel_watch_new(struct daemon *daemon)
{
	struct cancel_watch *watch = sl_alloc(sizeof(*watch));

	watch->daemon = daemon;
	watch->again = loop_timer_new(daemon->loop, look, watch);
	pg_listen(account_pg(daemon->account), LEDGER_CANCELLED, on_notify, watch);
	return watch;
}

void
cancel_watch_free(struct cancel_watch *watch)
{
	if (watch == NULL)
		return;
	loop_timer_free(watch->again);
	free(watch->jobs);
	free(watch);
}
