/* daemon/worker/turn.c - see turn.h. */
#include "daemon/worker/turn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/metrics.h"
#include "daemon/shard.h"
#include "daemon/steer.h"
#include "daemon/worker/attempt.h"
#include "daemon/worker/held.h"
#include "daemon/worker/turn_parts.h"
#include "sql/dead.h"
#include "sql/ledger.h"

#define TURN_SLICE_MS \
	5 /* after this a turn hands in what it has, so that other keys get their turn */

/* ---- what was taken -------------------------------------------------------------------------- */

/* The job, if there is one, is still open in the ledger: the sweep pushes it again. */
void
turn_quarantine(struct turn *turn, struct slice bytes, const char *reason, bool security)
{
	struct quarantine_entry entry = {.shard = turn->shard,
					 .key_id = turn->key_id,
					 .reason = reason,
					 .bytes = bytes,
					 .security = security};

	log_error("queue_entry_refused", "shard=%d key=%lld bytes=%zu reason=%s", turn->shard,
		  (long long)turn->key_id, bytes.len, log_text(reason));
	metrics_count(METRIC_QUARANTINED,
		      security ? METRIC_QUARANTINE_FORGED : METRIC_QUARANTINE_BROKEN);
	if (security) {
		metrics_count(METRIC_SECURITY, METRIC_QUEUE_ENTRY);
		log_warn("security_event", "kind=security_queue_entry shard=%d key=%lld detail=%s",
			 turn->shard, (long long)turn->key_id, log_text(reason));
	}
	quarantine_add(turn->daemon->dead, &entry, NULL, NULL);
}

/* What is wrong with an entry that decodes; NULL: nothing. */
static const char *
misplaced(const struct turn *turn, const struct envelope *envelope)
{
	if (envelope->key_id != turn->key_id)
		return "it is of another key";
	if (shard_of(turn->daemon, envelope->environment_id) != turn->shard)
		return "its environment is of another shard";
	if (turn->environment_id != 0 && envelope->environment_id != turn->environment_id)
		return "it is of another environment than those before it";
	return NULL;
}

/* False: this and what stands behind it is not for this version. */
static bool
read_entry(struct turn *turn, struct turn_entry *entry, struct slice bytes)
{
	struct sl_error error;
	enum sl_code code;
	const char *wrong;

	entry->bytes = sl_memdup(bytes.data, bytes.len);
	entry->len = bytes.len;
	bytes.data = entry->bytes;
	code = envelope_decode(bytes, turn->daemon->envelope_key, &entry->envelope, &error);
	if (code == SL_UNAVAILABLE) {
		free(entry->bytes);
		return false;
	}
	wrong = code == SL_OK ? misplaced(turn, &entry->envelope) : error.text;
	if (wrong == NULL) {
		turn->environment_id = entry->envelope.environment_id;
		turn->is_long = turn->is_long || entry->envelope.kind == JOB_SYNC;
		return true;
	}
	turn_quarantine(turn, bytes, wrong, code != SL_INVALID);
	memset(&entry->envelope, 0, sizeof(entry->envelope));
	entry->skip = entry->done = true;
	return true;
}

static void
read_entries(struct turn *turn, const struct lease_turn *taken)
{
	turn->entry =
	    sl_calloc((size_t)(taken->count > 0 ? taken->count : 1), sizeof(*turn->entry));
	for (; turn->count < taken->count; turn->count++) {
		if (read_entry(turn, &turn->entry[turn->count], taken->envelopes[turn->count]))
			continue;
		log_warn("queue_entry_newer", "shard=%d key=%lld remedy=%s", turn->shard,
			 (long long)turn->key_id,
			 log_text("its job waits for a worker of the newer version"));
		turn->blocked = true;
		return;
	}
}

struct turn *
turn_new(struct daemon *daemon, int shard, const struct lease_turn *taken, const struct held *held,
	 const struct turn_events *events, void *arg)
{
	struct turn *turn = sl_alloc(sizeof(*turn));
	int64_t first_seq = INT64_MAX, tenure;

	turn->daemon = daemon;
	turn->shard = shard;
	turn->key_id = taken->key_id;
	turn->slot = taken->slot;
	turn->lane = taken->lane;
	turn->previous_session = taken->holder_session;
	turn->previous_tenure = taken->holder_tenure;
	turn->clean = true;
	turn->started_ms = clock_mono_ms();
	turn->events = events;
	turn->arg = arg;
	read_entries(turn, taken);
	for (int i = 0; i < turn->count; i++)
		if (!turn->entry[i].skip && turn->entry[i].envelope.seq < first_seq)
			first_seq = turn->entry[i].envelope.seq;
	tenure = held_tenure(held, turn->key_id, turn->slot, first_seq);
	turn->unclaimed = turn_can_wait_to_claim(turn, taken, tenure);
	turn->tenure = taken->kept || turn->unclaimed ? tenure : -1;
	return turn;
}

void
turn_free(struct turn *turn)
{
	assert(turn->attempt == NULL && turn->settling == 0 && !turn->lent);
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

int64_t
turn_judge_to(const struct turn *turn)
{
	int64_t seq = turn->judge_to;

	for (int i = 0; i < turn->count && turn->lane != 's'; i++)
		if (turn->entry[i].done && turn->entry[i].envelope.seq > seq)
			seq = turn->entry[i].envelope.seq;
	return seq;
}

bool
turn_has_job(const struct turn *turn, const char *job_id)
{
	return turn->attempt != NULL && strcmp(turn->attempt->job_id, job_id) == 0;
}

/* ---- running --------------------------------------------------------------------------------- */

static void
on_attempt_end(void *arg, const struct attempt_end *end)
{
	struct turn *turn = arg;

	turn->attempt = NULL;
	if (!end->aborted)
		metrics_observe_ms(METRIC_JOB_RUN, turn->entry[turn->at].envelope.kind - JOB_ACTION,
				   clock_mono_ms() - turn->attempt_ms);
	if (turn->entry[turn->at].skip && !turn->dead) { /* the ledger has its result */
		turn->entry[turn->at].done = true;
		turn->at++;
	} else if (end->aborted || turn->dead) {
		turn->stopping = turn->unsure = true;
		/* It could not start here, or not go on: let another worker try before this one does.  One
		 * that was refused is judged when it is taken again, here as well as anywhere. */
		turn->blocked = turn->blocked || (!turn->dead && !end->refused);
	} else {
		turn_record(turn, end);
		/* The key's next job may start now: a crash before the commit ends or retries this
		 * one. */
		turn->at++;
	}
	if (clock_mono_ms() - turn->started_ms >= TURN_SLICE_MS)
		turn->stopping = true;
	turn_run_next(turn);
}

static void
on_lent(void *arg, bool lent)
{
	struct turn *turn = arg;

	turn->lent = lent;
	turn->events->lent(turn->arg, turn);
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
	    .webhook = envelope->webhook,
	    .input = input,
	    .fence = turn->unclaimed ? turn_fence : NULL,
	    .lent = on_lent,
	};

	FAULT_POINT("attempt_start");
	turn->attempt_ms = clock_mono_ms();
	if (envelope->attempt == 1)
		metrics_observe_ms(METRIC_JOB_WAIT, envelope->kind - JOB_ACTION,
				   clock_wall_ms() - envelope->accepted_ms);
	turn->attempt = attempt_start(turn->daemon, &ask, on_attempt_end, turn);
}

static void
on_input(void *arg, enum sl_code code, struct slice input, const struct sl_error *error)
{
	struct turn *turn = arg;

	turn->settling--;
	turn->waiting = false;
	if (turn->entry[turn->at].skip) { /* cancelled meanwhile */
		turn_run_next(turn);
		return;
	}
	if (steer_is_paused(turn->daemon->steer, turn->environment_id, turn->key_id))
		turn->stopping = turn->paused = true;
	if (code == SL_OK && !turn->stopping) {
		start_entry(turn, input);
		return;
	}
	if (code != SL_OK) {
		log_warn("input_not_read", "job=%s error=%s", turn->entry[turn->at].envelope.job_id,
			 log_text(error != NULL ? error->text : ""));
		turn->unsure = true; /* the job may be gone */
	}
	turn->stopping = true;
	turn_run_next(turn);
}

static void
turn_idle(struct turn *turn)
{
	assert(turn->state != TURN_HANDING);
	turn->state = TURN_HANDING;
	turn->events->idle(turn->arg, turn);
}

/* Nothing is left to start, and all of it is settled. */
static void
finish(struct turn *turn)
{
	if (turn->settling > 0)
		return;
	if (turn->refused || turn->blocked)
		turn->clean = false; /* what stands there now is for somebody else */
	if (turn->blocked)
		turn->hand_at_ms = clock_mono_ms() + TURN_BLOCKED_WAIT_MS;
	else if (turn->paused) /* until Redis has heard of it, it would come back at once */
		turn->hand_at_ms = clock_mono_ms() + TURN_REFUSED_WAIT_MS;
	else if (turn_done(turn) == 0 || turn->refused) /* it would come back at once */
		turn->hand_at_ms = clock_mono_ms() + TURN_REFUSED_WAIT_MS;
	turn_idle(turn);
}

void
turn_run_next(struct turn *turn)
{
	const struct turn_entry *entry;

	assert(turn->state == TURN_RUNNING && turn->attempt == NULL && !turn->waiting);
	while (turn->at < turn->count && !turn->stopping && turn->entry[turn->at].skip)
		turn->at++;
	if (turn->at < turn->count && !turn->stopping &&
	    steer_is_paused(turn->daemon->steer, turn->environment_id, turn->key_id))
		turn->stopping = turn->paused = true;
	if (turn->at >= turn->count || turn->stopping) {
		finish(turn);
		return;
	}
	entry = &turn->entry[turn->at];
	if (turn_seems_late(turn)) {
		turn_ask_late(turn);
	} else if (entry->suspect && !entry->vouched) {
		turn_ask_suspect(turn);
	} else if (entry->envelope.has_input) {
		start_entry(turn, entry->envelope.input);
	} else {
		turn->waiting = true;
		turn->settling++; /* keeps the turn alive until the input is here */
		ledger_input(turn->daemon->ledger, entry->envelope.job_id, on_input, turn);
	}
}

void
turn_go_on(struct turn *turn)
{
	if (turn->state == TURN_RUNNING && turn->attempt == NULL && !turn->waiting)
		turn_run_next(turn);
}

/* ---- start, stop ----------------------------------------------------------------------------- */

void
turn_start(struct turn *turn)
{
	/* Kept: held all along, and nothing can have changed.  Nothing to run: nothing to claim. */
	if ((turn->tenure >= 0 && turn->lane == 'q') || turn->count == 0) {
		turn->state = TURN_RUNNING;
		if (turn->count > 0)
			turn_note_claim();
		turn_run_next(turn);
	} else {
		turn_claim(turn);
	}
}

void
turn_refuse(struct turn *turn)
{
	turn->clean = false;
	turn->hand_at_ms = clock_mono_ms() + TURN_REFUSED_WAIT_MS;
	turn->stopping = true;
	for (int i = 0; i < turn->count; i++)
		turn->entry[i].done = false;
	turn_idle(turn);
}

void
turn_cancel(struct turn *turn, const char *job_id, bool kill)
{
	for (int i = turn->at; i < turn->count && turn->state != TURN_HANDING; i++) {
		struct turn_entry *entry = &turn->entry[i];

		bool runs = i == turn->at && turn->attempt != NULL;

		/* One that was cancelled and has its time to return may still be killed. */
		if ((entry->skip && !(kill && runs)) || strcmp(entry->envelope.job_id, job_id) != 0)
			continue;
		log_info("job_cancelled", "job=%s running=%d kill=%d", job_id, runs, kill);
		entry->skip = true;
		if (!runs)
			entry->done = true;
		else if (kill)
			attempt_abort(turn->attempt); /* its end marks the entry as done */
		else
			attempt_cancel(turn->attempt); /* likewise */
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
