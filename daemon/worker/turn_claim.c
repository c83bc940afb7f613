/* daemon/worker/turn_claim.c - the right to run a turn: its slot's hold in the ledger.
 *
 * A claim is a commit of its own, and mostly it only confirms what is known: the key comes back with the
 * token that this worker left on it.  Then the claim waits until the turn's first effect:
 *
 * - It cannot be left out.  The token names a tenure at which anybody may claim, and it lies in Redis: an
 *   older copy of Redis, or a lease that ran out while this worker was slow, hands it to another worker,
 *   whose claim the ledger lets pass while this one runs.  With the claim the tenure moves on, the token is
 *   worth nothing any more, and of two who have it one is refused.
 * - Until then nothing needs it.  A run without an effect is seen by nobody, wherever else its job runs, and
 *   its result is taken once (primary key), under a live session.  A cancel is told to the worker as for
 *   keys that it kept (held.h), and the result of a cancelled job is refused.
 *
 * So a lone job without effects costs two commits, its own and its result's.  Only for lane q (a retry has to
 * be judged) of a key without slots (of several, one worker's token says nothing about the others), and for
 * actions: a sync's end writes more than its result. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/metrics.h"
#include "daemon/worker/dispatch.h"
#include "daemon/worker/turn_parts.h"
#include "sql/settle.h"

bool
turn_can_wait_to_claim(const struct turn *turn, const struct lease_turn *taken, int64_t tenure)
{
	if (taken->kept || tenure < 0 || turn->lane != 'q' || turn->slot != 0 ||
	    taken->holder_tenure != tenure ||
	    taken->holder_session != settle_session(turn->daemon->settle))
		return false;
	for (int i = 0; i < turn->count; i++)
		if (!turn->entry[i].skip && turn->entry[i].envelope.kind != JOB_ACTION)
			return false;
	return true;
}

void
turn_note_claim(void)
{
	metric_set(&metrics[METRIC_LAST_CLAIM], 0, 0, (double)clock_wall_ms() / 1000);
}

/* ---- what the ledger knows ------------------------------------------------------------------- */

/* A second copy of an entry: the job is running, in another slot of its key.  Should that run be lost, the job
 * comes back as a retry or by the sweep. */
static bool
runs_already(const struct turn *turn, const struct settle_judged *judged)
{
	struct daemon *daemon = turn->daemon;

	return judged->runner != 0 && (judged->runner != settle_session(daemon->settle) ||
				       dispatch_is_running(daemon->dispatch, judged->job_id));
}

static void
judge_entry(struct turn *turn, struct turn_entry *entry, const struct settle_judged *judged)
{
	bool mine = turn_has_job(turn, judged->job_id); /* it is judged again before its effect */

	if (!judged->known)
		turn_quarantine(turn, (struct slice){entry->bytes, entry->len},
				"the ledger has no such job", false);
	if (!judged->known || judged->ended || judged->waiting ||
	    (!mine && runs_already(turn, judged)))
		entry->skip = entry->done = true;
	entry->envelope.attempt = judged->attempt + 1;
	if (!entry->skip && entry->envelope.attempt > entry->envelope.max_retries + 1)
		entry->skip = true; /* begun by a lost worker: the scheduler ends it, not we */
	entry->suspect = judged->deaths > 0;
}

/* judged: some of the turn's entries, in their order. */
static void
judge(struct turn *turn, bool lost, const struct settle_judged *judged, int count)
{
	for (int i = 0, at = 0; i < turn->count && at < count; i++) {
		struct turn_entry *entry = &turn->entry[i];

		if (strcmp(entry->envelope.job_id, judged[at].job_id) != 0)
			continue; /* it was not asked about */
		if (!entry->skip) /* else it was cancelled since */
			judge_entry(turn, entry, &judged[at]);
		if (lost && !entry->skip && judged[at].attempt == 0) {
			entry->suspect = true;
			lost = false; /* one of them, the first, was running */
		}
		at++;
	}
}

static void
ask(struct turn *turn, int64_t session, int64_t tenure, settle_claim_cb *cb)
{
	char(*ids)[UUID_TEXT] = sl_calloc((size_t)turn->count + 1, sizeof(*ids));
	int count = 0;

	for (int i = turn->at; i < turn->count; i++)
		if (!turn->entry[i].skip)
			memcpy(ids[count++], turn->entry[i].envelope.job_id, UUID_TEXT);
	turn->settling++;
	settle_claim(turn->daemon->settle, turn->key_id, turn->slot, session, tenure,
		     (const char(*)[UUID_TEXT])ids, count, cb, turn);
	free(ids);
}

static void
log_refused(const struct turn *turn, enum sl_code code, const struct sl_error *error)
{
	log_debug("claim_refused", "key=%lld slot=%d code=%s error=%s", (long long)turn->key_id,
		  turn->slot, sl_code_name(code), log_text(error != NULL ? error->text : ""));
}

/* ---- before the start ------------------------------------------------------------------------ */

static void
on_claimed(void *arg, enum sl_code code, int64_t tenure, bool lost,
	   const struct settle_judged *judged, int count, const struct sl_error *error)
{
	struct turn *turn = arg;

	turn->settling--;
	if (code != SL_OK || turn->dead) {
		log_refused(turn, code, error);
		turn_refuse(turn);
		if (code == SL_CONFLICT && settle_session(turn->daemon->settle) == 0)
			dispatch_session_lost(turn->daemon->dispatch);
		return;
	}
	turn->tenure = tenure;
	judge(turn, lost, judged, count);
	FAULT_POINT("turn_claimed");
	turn_note_claim();
	turn->state = TURN_RUNNING;
	turn_run_next(turn);
}

void
turn_claim(struct turn *turn)
{
	assert(turn->state == TURN_CLAIMING);
	ask(turn, turn->previous_session, turn->previous_tenure, on_claimed);
}

/* ---- before the first effect ----------------------------------------------------------------- */

static void
on_fenced(void *arg, enum sl_code code, int64_t tenure, bool lost,
	  const struct settle_judged *judged, int count, const struct sl_error *error)
{
	struct turn *turn = arg;
	bool ours = code == SL_OK && !turn->dead;

	turn->settling--;
	if (ours) {
		turn->tenure = tenure;
		turn->unclaimed = false;
		judge(turn, lost, judged, count);
		FAULT_POINT("turn_fenced");
	} else { /* what runs has no effect, and nothing else starts */
		log_refused(turn, code, error);
		turn->refused = turn->stopping = turn->unsure = true;
	}
	if (turn->attempt != NULL) {
		const struct turn_entry *entry = &turn->entry[turn->at];
		bool same = !entry->skip && entry->envelope.attempt == turn->attempt->number;

		attempt_fenced(turn->attempt, ours && same);
	} else {
		turn_go_on(turn);
	}
	if (code == SL_CONFLICT && settle_session(turn->daemon->settle) == 0)
		dispatch_session_lost(turn->daemon->dispatch);
}

void
turn_fence(void *arg)
{
	struct turn *turn = arg;

	assert(turn->unclaimed);
	ask(turn, turn->previous_session, turn->previous_tenure, on_fenced);
}

/* ---- suspects -------------------------------------------------------------------------------- */

static void
on_suspect(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct turn *turn = arg;
	struct turn_entry *entry = &turn->entry[turn->at];

	turn->settling--;
	turn->waiting = false;
	if (code == SL_OK) {
		entry->vouched = true;
	} else if (code == SL_CONFLICT && settle_session(turn->daemon->settle) != 0) {
		log_warn("suspect_not_started", "job=%s", entry->envelope.job_id);
		entry->skip = entry->done = true;
	} else {
		log_warn("suspect_not_noted", "job=%s code=%s error=%s", entry->envelope.job_id,
			 sl_code_name(code), log_text(error != NULL ? error->text : ""));
		turn->stopping = turn->unsure = true;
	}
	turn_run_next(turn);
	if (code == SL_CONFLICT && settle_session(turn->daemon->settle) == 0)
		dispatch_session_lost(turn->daemon->dispatch);
}

void
turn_ask_suspect(struct turn *turn)
{
	turn->waiting = true;
	turn->settling++;
	settle_suspect(turn->daemon->settle, turn->entry[turn->at].envelope.job_id,
		       (int)config_int(turn->daemon->config, "deaths_max"), on_suspect, turn);
}
