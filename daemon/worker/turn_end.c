/* daemon/worker/turn_end.c - what becomes of a job that ended: its result, a retry, a death. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/metrics.h"
#include "daemon/api/action.h"
#include "daemon/deliver/deliver.h"
#include "daemon/settings.h"
#include "daemon/worker/dispatch.h"
#include "daemon/worker/turn_parts.h"
#include "sql/ledger.h"
#include "sql/settle.h"

#define RETRY_CAP_MS 600000

struct outcome { /* one result, retry or death on its way to the ledger */
	struct turn *turn;
	int index;
	char job_id[UUID_TEXT];
	enum sync_trouble trouble; /* of a sync */
	enum job_state state;      /* that the job ends in; 0: it does not, or the ledger says */
	bool told;                 /* events go with it */
	struct slice
	    output; /* owned; only where somebody waits for it, else how it ended is not told */
};

static void
count_trouble(const struct outcome *outcome)
{
	switch (outcome->trouble) {
	case SYNC_NO_TROUBLE:
		return;
	case SYNC_INTERRUPTED:
		metrics_count(METRIC_SYNCS_INTERRUPTED, 0);
		break;
	case SYNC_STALLED:
		metrics_count(METRIC_SYNCS_STALLED, 0);
		break;
	case SYNC_REPEATS_PAGE:
		metrics_count(METRIC_SYNCS_PAGE_REPEATED, 0);
		break;
	}
	log_info("sync_trouble", "job=%s trouble=%s", outcome->job_id,
		 sync_trouble_name(outcome->trouble));
}

static void
count_outcome(const struct outcome *outcome, enum sl_code code)
{
	enum job_kind kind = outcome->turn->entry[outcome->index].envelope.kind;

	if (code == SL_CONFLICT)
		metrics_count(METRIC_LATE_RESULTS, 0);
	else if (code == SL_OK && outcome->state != 0)
		metrics_finished(kind, outcome->state, false);
	if (code == SL_OK)
		count_trouble(outcome);
}

static void
on_outcome(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct outcome *outcome = arg;
	struct turn *turn = outcome->turn;

	FAULT_POINT("result_committed");
	turn->settling--;
	count_outcome(outcome, code);
	if (code == SL_OK) {
		turn->entry[outcome->index].done = true;
		if (outcome->told)
			deliver_poke(turn->daemon->deliver);
		action_job_ended(outcome->job_id, outcome->output.data != NULL ? outcome->state : 0,
				 outcome->output);
	} else {
		log_warn("result_refused", "job=%s code=%s error=%s", outcome->job_id,
			 sl_code_name(code), log_text(error != NULL ? error->text : ""));
		if (code == SL_CONFLICT && settle_session(turn->daemon->settle) != 0) {
			/* Ended by someone else: the entry has no business in the list any more. */
			turn->entry[outcome->index].done = true;
		} else {
			/* Only the end of the session can resolve what was begun under it. */
			turn->stopping = turn->unsure = true;
			dispatch_session_lost(turn->daemon->dispatch);
		}
	}
	free((char *)(uintptr_t)outcome->output.data);
	free(outcome);
	turn_go_on(turn);
}

static void
on_death(void *arg, enum sl_code code, bool ended, bool dead, const struct sl_error *error)
{
	struct outcome *outcome = arg;

	enum job_kind kind = outcome->turn->entry[outcome->index].envelope.kind;

	if (code == SL_OK)
		log_warn(dead ? "job_set_aside" : "job_died", "job=%s ended=%d", outcome->job_id,
			 ended);
	if (code == SL_OK && ended)
		metrics_finished(kind, JOB_FAILED, dead);
	else if (code == SL_OK)
		metrics_count_kind(METRIC_JOBS_RETRIED, kind);
	on_outcome(arg, code, error);
}

/* First wait doubled per try, between half and all of it, so that jobs that failed together do not
 * come back together.  A provider's window that is closed for longer is waited for. */
static int64_t
backoff_ms(struct daemon *daemon, int attempt, int64_t closed_ms)
{
	int64_t wait = config_int(daemon->config, "retry_first");
	uint16_t random;

	for (int i = 1; i < attempt && wait < RETRY_CAP_MS; i++)
		wait *= 2;
	if (wait > RETRY_CAP_MS)
		wait = RETRY_CAP_MS;
	secret_random(&random, sizeof(random));
	wait = wait / 2 + wait * random / 65536 / 2;
	return wait > closed_ms ? wait : closed_ms;
}

static struct outcome *
outcome_new(struct turn *turn)
{
	struct outcome *outcome = sl_alloc(sizeof(*outcome));

	outcome->turn = turn;
	outcome->index = turn->at;
	memcpy(outcome->job_id, turn->entry[turn->at].envelope.job_id, sizeof(outcome->job_id));
	turn->settling++;
	return outcome;
}

static void
on_retry(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct outcome *outcome = arg;

	if (code == SL_OK)
		metrics_count_kind(METRIC_JOBS_RETRIED,
				   outcome->turn->entry[outcome->index].envelope.kind);
	on_outcome(arg, code, error);
}

static void
record_death(struct turn *turn, const struct attempt_end *end)
{
	int number = turn->entry[turn->at].envelope.attempt;
	struct settle_death death = {.signal = end->death->signal,
				     .memory = end->death->memory,
				     .last_call = end->death->last_call};
	struct outcome *outcome = outcome_new(turn);

	log_warn("runner_died", "job=%s attempt=%d begun=%d signal=%d memory=%lld", outcome->job_id,
		 number, end->death->begun, death.signal, (long long)death.memory);
	settle_death(turn->daemon->settle, outcome->job_id, number, end->death->begun, &death,
		     (int)config_int(turn->daemon->config, "deaths_max"),
		     backoff_ms(turn->daemon, number, 0), end->output, on_death, outcome);
}

void
turn_record(struct turn *turn, const struct attempt_end *end)
{
	const struct turn_entry *entry = &turn->entry[turn->at];
	int number = entry->envelope.attempt;
	struct outcome *outcome;

	FAULT_POINT("result_known");
	if (end->death != NULL) {
		record_death(turn, end);
		return;
	}
	outcome = outcome_new(turn);
	if (end->run != NULL)
		outcome->trouble = end->run->trouble;
	if (end->state == JOB_FAILED && number <= entry->envelope.max_retries) {
		settle_retry(turn->daemon->settle, outcome->job_id, number,
			     backoff_ms(turn->daemon, number, end->closed_ms), entry->vouched,
			     on_retry, outcome);
	} else {
		outcome->state = end->state;
		outcome->told = end->run != NULL && end->run->event_count > 0;
		if (action_is_awaited(outcome->job_id))
			outcome->output = (struct slice){
			    sl_strndup(end->output.data, end->output.len), end->output.len};
		settle_result(turn->daemon->settle, outcome->job_id, number, end->state,
			      end->output, end->run, entry->vouched, on_outcome, outcome);
	}
}

/* A first start may come too late.  A retry waits as long as it must; so does a job that killed what ran
 * it, which comes back with the number it had. */
bool
turn_seems_late(const struct turn *turn)
{
	const struct turn_entry *entry = &turn->entry[turn->at];

	return entry->envelope.attempt == 1 && !entry->suspect && !entry->in_time &&
	       clock_wall_ms() - entry->envelope.accepted_ms >
		   settings_start_limit_ms(turn->daemon->config, entry->envelope.kind);
}

static void
record_expired(struct turn *turn)
{
	static const struct settle_run unstarted = {.unstarted = true};
	const struct turn_entry *entry = &turn->entry[turn->at];
	enum job_kind kind = entry->envelope.kind;
	bool tells = kind == JOB_SYNC || kind == JOB_WEBHOOK ||
		     (kind == JOB_ACTION && entry->envelope.webhook);
	struct outcome *outcome = outcome_new(turn);

	log_warn("job_not_started", "job=%s kind=%s", outcome->job_id,
		 job_kind_name(entry->envelope.kind));
	outcome->state = JOB_EXPIRED;
	outcome->told = tells;
	settle_result(turn->daemon->settle, outcome->job_id, 0, JOB_EXPIRED,
		      SLICE_LITERAL(LEDGER_NOT_STARTED), tells ? &unstarted : NULL, entry->vouched,
		      on_outcome, outcome);
}

static void
on_waited(void *arg, enum sl_code code, int64_t waited_ms, const struct sl_error *error)
{
	struct turn *turn = arg;
	struct turn_entry *entry = &turn->entry[turn->at];

	turn->settling--;
	turn->waiting = false;
	if (code != SL_OK) {
		log_warn("start_not_judged", "job=%s error=%s", entry->envelope.job_id,
			 log_text(error != NULL ? error->text : ""));
		turn->stopping = turn->unsure = true;
	} else if (waited_ms <=
		   settings_start_limit_ms(turn->daemon->config, entry->envelope.kind)) {
		log_warn("clocks_differ", "job=%s waited_ms=%lld remedy=%s", entry->envelope.job_id,
			 (long long)waited_ms,
			 log_text("set the clocks of this node and of the database's"));
		entry->in_time = true;
	} else if (!entry->skip && !turn->stopping) {
		record_expired(turn);
		turn->at++;
	}
	turn_run_next(turn);
}

void
turn_ask_late(struct turn *turn)
{
	turn->waiting = true;
	turn->settling++;
	ledger_waited(turn->daemon->ledger, turn->entry[turn->at].envelope.job_id, on_waited, turn);
}
