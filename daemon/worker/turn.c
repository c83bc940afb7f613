/* daemon/worker/turn.c - see turn.h. */
#include "daemon/worker/turn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "daemon/api/action.h"
#include "daemon/sync_start.h"
#include "daemon/worker/attempt.h"
#include "daemon/settings.h"
#include "daemon/worker/dispatch.h"
#include "daemon/worker/held.h"
#include "sql/ledger.h"
#include "sql/settle.h"

#define TURN_SLICE_MS \
	5 /* after this a turn hands in what it has, so that other keys get their turn */
#define REFUSED_WAIT_MS 100 /* a refused key would come back at once */
#define RETRY_CAP_MS 600000

struct outcome { /* one result or retry on its way to the ledger */
	struct turn *turn;
	int index;
	char job_id[UUID_TEXT];
	int64_t again; /* the sync that goes on in another run; 0: none */
};

static void run_next(struct turn *turn);

struct turn *
turn_new(struct daemon *daemon, const struct lease_turn *taken, const struct held *held,
	 void (*on_idle)(void *arg, struct turn *turn), void *arg)
{
	struct turn *turn = sl_alloc(sizeof(*turn));
	int64_t first_seq = INT64_MAX;

	turn->daemon = daemon;
	turn->key_id = taken->key_id;
	turn->previous_session = taken->holder_session;
	turn->previous_tenure = taken->holder_tenure;
	turn->front = taken->lane == 'f';
	turn->clean = true;
	turn->started_ms = clock_mono_ms();
	turn->count = taken->count;
	turn->entry =
	    sl_calloc((size_t)(taken->count > 0 ? taken->count : 1), sizeof(*turn->entry));
	turn->on_idle = on_idle;
	turn->arg = arg;
	for (int i = 0; i < taken->count; i++) {
		struct turn_entry *entry = &turn->entry[i];
		struct slice bytes = taken->envelopes[i];
		struct sl_error error;

		entry->bytes = sl_memdup(bytes.data, bytes.len);
		bytes.data = entry->bytes;
		if (envelope_decode(bytes, daemon->envelope_key, &entry->envelope, &error) ==
			SL_OK &&
		    entry->envelope.key_id == turn->key_id) {
			turn->environment_id = entry->envelope.environment_id;
			if (entry->envelope.seq < first_seq)
				first_seq = entry->envelope.seq;
			continue;
		}
		/* The job, if there is one, is still open in the ledger: the sweep pushes it again.
		 */
		log_error("queue_entry_refused", "key=%lld bytes=%zu error=%s",
			  (long long)turn->key_id, bytes.len, log_text(error.text));
		memset(&entry->envelope, 0, sizeof(entry->envelope));
		entry->skip = entry->done = true;
	}
	turn->tenure = taken->kept ? held_tenure(held, turn->key_id, first_seq) : -1;
	return turn;
}

void
turn_free(struct turn *turn)
{
	assert(turn->attempt == NULL && turn->settling == 0);
	for (int i = 0; i < turn->count; i++)
		free(turn->entry[i].bytes);
	free(turn->entry);
	free(turn);
}

int
turn_done(const struct turn *turn)
{
	int done = 0;

	while (done < turn->count && turn->entry[done].done)
		done++;
	return done;
}

bool
turn_has_job(const struct turn *turn, const char *job_id)
{
	return turn->attempt != NULL && strcmp(turn->attempt->job_id, job_id) == 0;
}

static void
turn_idle(struct turn *turn)
{
	assert(turn->state != TURN_HANDING);
	turn->state = TURN_HANDING;
	turn->on_idle(turn->arg, turn);
}

/* ---- outcomes -------------------------------------------------------------------------------- */

static void
on_outcome(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct outcome *outcome = arg;
	struct turn *turn = outcome->turn;

	FAULT_POINT("result_committed");
	turn->settling--;
	if (code == SL_OK) {
		turn->entry[outcome->index].done = true;
		action_job_ended(turn->daemon, outcome->job_id);
		if (outcome->again != 0)
			sync_start_again(turn->daemon, outcome->again);
	} else {
		log_warn("result_refused", "job=%s code=%s error=%s", outcome->job_id,
			 sl_code_name(code), log_text(error != NULL ? error->text : ""));
		if (code == SL_CONFLICT && settle_session(turn->daemon->settle) != 0) {
			/* Ended by someone else: the entry has no business in the list any more. */
			turn->entry[outcome->index].done = true;
		} else {
			/* Only the end of the session can resolve what was begun under it. */
			turn->stopping = turn->suspect = true;
			dispatch_session_lost(turn->daemon->dispatch);
		}
	}
	free(outcome);
	if (turn->state == TURN_RUNNING && turn->attempt == NULL && !turn->reading)
		run_next(turn);
}

/* First wait doubled per try, between half and all of it, so that jobs that failed together do not
 * come back together. */
static int64_t
backoff_ms(struct daemon *daemon, int attempt)
{
	int64_t wait = config_int(daemon->config, "retry_first");
	uint16_t random;

	for (int i = 1; i < attempt && wait < RETRY_CAP_MS; i++)
		wait *= 2;
	if (wait > RETRY_CAP_MS)
		wait = RETRY_CAP_MS;
	secret_random(&random, sizeof(random));
	return wait / 2 + wait * random / 65536 / 2;
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
record(struct turn *turn, const struct attempt_end *end)
{
	const struct turn_entry *entry = &turn->entry[turn->at];
	struct outcome *outcome = outcome_new(turn);
	int number = entry->envelope.attempt;

	if (end->again)
		outcome->again = end->run->sync_id;
	FAULT_POINT("result_known");
	if (end->state == JOB_FAILED && number <= entry->envelope.max_retries)
		settle_retry(turn->daemon->settle, outcome->job_id, number,
			     backoff_ms(turn->daemon, number), false, on_outcome, outcome);
	else
		settle_result(turn->daemon->settle, outcome->job_id, number, end->state,
			      end->output, end->run, false, on_outcome, outcome);
}

/* A first start may come too late; a retry waits as long as it must. */
static bool
is_late(const struct turn *turn)
{
	const struct envelope *envelope = &turn->entry[turn->at].envelope;

	return envelope->attempt == 1 &&
	       clock_wall_ms() - envelope->accepted_ms >
		   settings_start_limit_ms(turn->daemon->config, envelope->kind);
}

static void
record_expired(struct turn *turn)
{
	struct outcome *outcome = outcome_new(turn);

	log_warn("job_not_started", "job=%s kind=%s", outcome->job_id,
		 job_kind_name(turn->entry[turn->at].envelope.kind));
	settle_result(turn->daemon->settle, outcome->job_id, 0, JOB_EXPIRED,
		      SLICE_LITERAL(LEDGER_NOT_STARTED), NULL, false, on_outcome, outcome);
}

/* ---- running --------------------------------------------------------------------------------- */

static void
on_attempt_end(void *arg, const struct attempt_end *end)
{
	struct turn *turn = arg;

	turn->attempt = NULL;
	if (turn->entry[turn->at].skip && !turn->dead) { /* cancelled: the ledger has its result */
		turn->entry[turn->at].done = true;
		turn->at++;
	} else if (end->aborted || turn->dead) {
		turn->stopping = turn->suspect = true;
	} else {
		record(turn, end);
		/* The key's next job may start now: a crash before the commit ends or retries this
		 * one. */
		turn->at++;
	}
	if (clock_mono_ms() - turn->started_ms >= TURN_SLICE_MS)
		turn->stopping = true;
	run_next(turn);
}

static void
start_entry(struct turn *turn, struct slice input)
{
	const struct envelope *envelope = &turn->entry[turn->at].envelope;
	struct attempt_ask ask = {
	    .job_id = envelope->job_id,
	    .seq = envelope->seq,
	    .number = envelope->attempt,
	    .environment_id = envelope->environment_id,
	    .function_version_id = envelope->function_version_id,
	    .connection_id = envelope->connection_id,
	    .kind = envelope->kind,
	    .input = input,
	};

	FAULT_POINT("attempt_start");
	turn->attempt = attempt_start(turn->daemon, &ask, on_attempt_end, turn);
}

static void
on_input(void *arg, enum sl_code code, struct slice input, const struct sl_error *error)
{
	struct turn *turn = arg;

	turn->settling--;
	turn->reading = false;
	if (turn->entry[turn->at].skip) { /* cancelled meanwhile */
		run_next(turn);
		return;
	}
	if (code == SL_OK && !turn->stopping) {
		start_entry(turn, input);
		return;
	}
	if (code != SL_OK) {
		log_warn("input_not_read", "job=%s error=%s", turn->entry[turn->at].envelope.job_id,
			 log_text(error != NULL ? error->text : ""));
		turn->suspect = true; /* the job may be gone */
	}
	turn->stopping = true;
	run_next(turn);
}

static void
run_next(struct turn *turn)
{
	assert(turn->state == TURN_RUNNING && turn->attempt == NULL);
	while (turn->at < turn->count && !turn->stopping &&
	       (turn->entry[turn->at].skip || is_late(turn))) {
		if (!turn->entry[turn->at].skip)
			record_expired(turn);
		turn->at++;
	}
	if (turn->at < turn->count && !turn->stopping) {
		const struct envelope *envelope = &turn->entry[turn->at].envelope;

		if (envelope->has_input) {
			start_entry(turn, envelope->input);
		} else {
			turn->reading = true;
			turn->settling++; /* keeps the turn alive until the input is here */
			ledger_input(turn->daemon->ledger, envelope->job_id, on_input, turn);
		}
		return;
	}
	if (turn->settling > 0)
		return;
	if (turn_done(turn) == 0) /* it would come back at once */
		turn->hand_at_ms = clock_mono_ms() + REFUSED_WAIT_MS;
	turn_idle(turn);
}

/* ---- claiming -------------------------------------------------------------------------------- */

static void
on_claimed(void *arg, enum sl_code code, int64_t tenure, bool lost,
	   const struct settle_judged *judged, int count, const struct sl_error *error)
{
	struct turn *turn = arg;

	(void)lost;
	turn->settling--;
	if (code != SL_OK || turn->dead) {
		log_debug("claim_refused", "key=%lld code=%s error=%s", (long long)turn->key_id,
			  sl_code_name(code), log_text(error != NULL ? error->text : ""));
		turn_refuse(turn);
		if (code == SL_CONFLICT && settle_session(turn->daemon->settle) == 0)
			dispatch_session_lost(turn->daemon->dispatch);
		return;
	}
	turn->tenure = tenure;
	for (int i = 0, at = 0; i < turn->count && at < count; i++) {
		struct turn_entry *entry = &turn->entry[i];

		if (strcmp(entry->envelope.job_id, judged[at].job_id) != 0)
			continue;  /* it was not asked about */
		if (entry->skip) { /* cancelled since */
			at++;
			continue;
		}
		if (!judged[at].known || judged[at].ended || judged[at].waiting)
			entry->skip = entry->done = true;
		entry->envelope.attempt = judged[at].attempt + 1;
		if (!entry->skip && entry->envelope.attempt > entry->envelope.max_retries + 1)
			entry->skip =
			    true; /* begun by a lost worker: the scheduler ends it, not we */
		at++;
	}
	FAULT_POINT("turn_claimed");
	turn->state = TURN_RUNNING;
	run_next(turn);
}

void
turn_start(struct turn *turn)
{
	char(*ids)[UUID_TEXT];
	int count = 0;

	if (turn->tenure >= 0 && !turn->front) { /* held all along: nothing can have changed */
		turn->state = TURN_RUNNING;
		run_next(turn);
		return;
	}
	ids = sl_calloc((size_t)turn->count + 1, sizeof(*ids));
	for (int i = 0; i < turn->count; i++)
		if (!turn->entry[i].skip)
			memcpy(ids[count++], turn->entry[i].envelope.job_id, UUID_TEXT);
	turn->settling++;
	settle_claim(turn->daemon->settle, turn->key_id, 0, turn->previous_session,
		     turn->previous_tenure, (const char(*)[UUID_TEXT])ids, count, on_claimed, turn);
	free(ids);
}

void
turn_refuse(struct turn *turn)
{
	turn->clean = false;
	turn->hand_at_ms = clock_mono_ms() + REFUSED_WAIT_MS;
	turn->stopping = true;
	for (int i = 0; i < turn->count; i++)
		turn->entry[i].done = false;
	turn_idle(turn);
}

void
turn_cancel(struct turn *turn, const char *job_id)
{
	for (int i = turn->at; i < turn->count && turn->state != TURN_HANDING; i++) {
		struct turn_entry *entry = &turn->entry[i];

		if (entry->skip || strcmp(entry->envelope.job_id, job_id) != 0)
			continue;
		log_info("job_cancelled", "job=%s running=%d", job_id, turn_has_job(turn, job_id));
		entry->skip = true;
		if (i == turn->at && turn->attempt != NULL)
			attempt_abort(turn->attempt); /* its end marks the entry as done */
		else
			entry->done = true;
		return;
	}
}

void
turn_stop(struct turn *turn)
{
	turn->stopping = true;
}

void
turn_kill(struct turn *turn)
{
	turn->stopping = turn->dead = true;
	if (turn->attempt != NULL)
		attempt_abort(turn->attempt);
}
