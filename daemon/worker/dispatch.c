/* daemon/worker/dispatch.c - see dispatch.h.
 *
 *   OFF -> OPENING -> JOINING -> ACTIVE -> RESETTING -> CLOSING -> OFF (again OPENING unless
 * stopping); ACTIVE -> JOINING when only the lease is gone
 *
 * OPENING asks the ledger for a session, JOINING asks Redis for a lease under it, RESETTING waits
 * for the turns to end, CLOSING ends the session.  Turns are taken only in ACTIVE.
 *
 * The session is the fence, the lease is advice: while the session is live nobody else can claim a
 * key of a turn that runs.  So what runs survives the loss of Redis, as an orphan: it is not
 * handed in when it ends, and its key is not run by this worker before. */
#include "daemon/worker/dispatch.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/worker/calls.h"
#include "daemon/worker/held.h"
#include "daemon/worker/turn.h"
#include "queue/lease.h"
#include "sql/settle.h"

#define JOBS_PER_TURN 8
#define WAIT_MS 5000
#define REOPEN_MS 300
#define FORCE_MS 2000

enum dispatch_state {
	DISPATCH_OFF,
	DISPATCH_OPENING,
	DISPATCH_JOINING,
	DISPATCH_ACTIVE,
	DISPATCH_RESETTING,
	DISPATCH_CLOSING,
};

struct dispatch {
	struct daemon *daemon;
	enum dispatch_state state;
	char worker[LEASE_WORKER_MAX];
	int64_t ttl_ms;
	int64_t beat_ok_ms; /* when the last good beat was sent, monotonic */
	bool silent;        /* no effect any more under this session */
	struct turn *turns; /* all of them */
	int turn_count;
	struct held *held; /* keys that we may be handed again as "kept" */
	struct calls *calls;
	int nested; /* places for runs inside runs that are taken */
	bool exchanging, waiting_wake, want_exchange, renewing, beating;
	bool release_due; /* keys are held that nothing here needs: tell the ledger */
	int reserved;     /* turns asked for in the exchange in flight */
	struct turn *handing[64];
	int handing_count;
	struct loop_timer *renew, *reopen, *hand_timer, *stop_timer;
	bool stopping, forced, stopped;
	void (*done)(void *arg);
	void *done_arg;
};

static void exchange(struct dispatch *dispatch);
static void finish_stop(struct dispatch *dispatch);
static void reset(struct dispatch *dispatch, bool hard, const char *why);
static void release_keys(struct dispatch *dispatch);

static int
runners(const struct dispatch *dispatch)
{
	return (int)config_int(dispatch->daemon->config, "runners");
}

static int
room(const struct dispatch *dispatch)
{
	return runners(dispatch) - dispatch->turn_count - dispatch->reserved -
	       calls_running(dispatch->calls) - calls_waiting(dispatch->calls);
}

/* As many as there are runners, and never fewer than one chain of calls needs. */
static int
nested_max(const struct config *config)
{
	int64_t runners = config_int(config, "runners");

	return runners > ATTEMPT_DEPTH_MAX ? (int)runners : ATTEMPT_DEPTH_MAX;
}

int
dispatch_processes(const struct config *config)
{
	int kept = (int)config_int(config, "runner_processes");
	int running = (int)config_int(config, "runners") + nested_max(config);

	return kept > running ? kept : running;
}

bool
dispatch_nest(struct dispatch *dispatch)
{
	if (dispatch->nested >= nested_max(dispatch->daemon->config))
		return false;
	dispatch->nested++;
	return true;
}

void
dispatch_unnest(struct dispatch *dispatch)
{
	assert(dispatch->nested > 0);
	dispatch->nested--;
}

bool
dispatch_may_effect(const struct dispatch *dispatch)
{
	return !dispatch->silent &&
	       dispatch->beat_ok_ms > clock_mono_ms() - dispatch->ttl_ms * 2 / 3;
}

bool
dispatch_is_running(const struct dispatch *dispatch, const char *job_id)
{
	for (const struct turn *turn = dispatch->turns; turn != NULL; turn = turn->next)
		if (turn_has_job(turn, job_id))
			return true;
	return false;
}

bool
dispatch_is_ready(const struct dispatch *dispatch)
{
	return dispatch->state == DISPATCH_ACTIVE;
}

/* ---- cancelled jobs -------------------------------------------------------------------------- */

void
dispatch_cancel(struct dispatch *dispatch, int64_t key_id, int64_t seq, const char *job_id)
{
	struct turn *next;

	held_judge(dispatch->held, key_id, seq);
	for (struct turn *turn = dispatch->turns; turn != NULL; turn = next) {
		next =
		    turn->next; /* the turn may end, but it is not freed before the loop goes on */
		if (turn->key_id != key_id)
			continue;
		if (seq > turn->judge_to)
			turn->judge_to = seq;
		turn_cancel(turn, job_id);
	}
}

void
dispatch_each_job(const struct dispatch *dispatch,
		  void (*cb)(void *arg, int64_t key_id, int64_t seq, const char *job_id), void *arg)
{
	for (const struct turn *turn = dispatch->turns; turn != NULL; turn = turn->next)
		for (int i = turn->at; i < turn->count; i++)
			if (!turn->entry[i].skip)
				cb(arg, turn->key_id, turn->entry[i].envelope.seq,
				   turn->entry[i].envelope.job_id);
}

void
dispatch_judge_all(struct dispatch *dispatch, int64_t seq)
{
	held_judge_all(dispatch->held, seq);
	for (struct turn *turn = dispatch->turns; turn != NULL; turn = turn->next)
		if (seq > turn->judge_to)
			turn->judge_to = seq;
}

/* ---- sync calls -------------------------------------------------------------------------- */

static void
start_calls(struct dispatch *dispatch)
{
	if (dispatch->stopped) /* those that end now are ended with the pool */
		return;
	calls_start(dispatch->calls, runners(dispatch) - dispatch->turn_count - dispatch->reserved -
					 calls_running(dispatch->calls));
}

static void
on_call_ended(void *arg)
{
	struct dispatch *dispatch = arg;

	start_calls(dispatch);
	exchange(dispatch);
	finish_stop(dispatch);
}

enum sl_code
dispatch_call(struct dispatch *dispatch, const struct attempt_ask *ask, attempt_cb *cb, void *arg,
	      struct sl_error *error)
{
	enum sl_code code;

	if (dispatch->stopping)
		return sl_fail(error, SL_UNAVAILABLE, "this node is shutting down");
	code = calls_add(dispatch->calls, ask, cb, arg, error);
	if (code == SL_OK)
		start_calls(dispatch);
	return code;
}

/* ---- the session's end ----------------------------------------------------------------------- */

static void
finish_stop(struct dispatch *dispatch)
{
	if (!dispatch->stopping || dispatch->stopped || dispatch->turn_count > 0 ||
	    calls_running(dispatch->calls) > 0 || calls_waiting(dispatch->calls) > 0 ||
	    dispatch->state != DISPATCH_OFF)
		return;
	dispatch->stopped = true;
	dispatch->done(dispatch->done_arg);
}

static void
on_closed(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct dispatch *dispatch = arg;

	(void)error;
	if (code != SL_OK && code != SL_CONFLICT)
		log_warn("session_not_closed", "code=%s", sl_code_name(code));
	dispatch->state = DISPATCH_OFF;
	if (dispatch->stopping)
		finish_stop(dispatch);
	else
		loop_timer_in(dispatch->reopen, REOPEN_MS);
}

static void
on_left(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	(void)arg;
	(void)value;
	if (code != SL_OK)
		log_debug("lease_not_left", "code=%s error=%s", sl_code_name(code),
			  log_text(error != NULL ? error->text : ""));
}

/* Once no turn is left: give back the lease (the keys stay in their lists) and end the session. */
static void
close_if_idle(struct dispatch *dispatch)
{
	if (dispatch->state != DISPATCH_RESETTING || dispatch->turn_count > 0 ||
	    dispatch->exchanging)
		return;
	dispatch->state = DISPATCH_CLOSING;
	held_clear(dispatch->held);
	if (queue_is_up(dispatch->daemon->queue))
		lease_expire(dispatch->daemon->queue, dispatch->worker, on_left, dispatch);
	if (settle_session(dispatch->daemon->settle) == 0) {
		on_closed(dispatch, SL_OK, NULL);
		return;
	}
	settle_close(dispatch->daemon->settle, on_closed, dispatch);
}

static void
drop_turn(struct dispatch *dispatch, struct turn *turn)
{
	for (struct turn **at = &dispatch->turns; *at != NULL; at = &(*at)->next) {
		if (*at != turn)
			continue;
		*at = turn->next;
		dispatch->turn_count--;
		turn_free(turn);
		return;
	}
	assert(!"turn is not of this dispatch");
}

static void
drop_idle_turns(struct dispatch *dispatch)
{
	struct turn *next;

	for (struct turn *turn = dispatch->turns; turn != NULL; turn = next) {
		next = turn->next;
		if (turn->state != TURN_HANDING)
			continue;
		/* Those that are handed in right now are dropped by the answer. */
		if (!turn->orphan && (dispatch->exchanging || dispatch->state == DISPATCH_ACTIVE))
			continue;
		dispatch->release_due = dispatch->release_due || turn->orphan;
		drop_turn(dispatch, turn);
	}
	release_keys(dispatch);
}

static void
on_settled_later(void *arg)
{
	struct dispatch *dispatch = arg;

	drop_idle_turns(dispatch);
	close_if_idle(dispatch);
	start_calls(dispatch);
	exchange(dispatch);
	finish_stop(dispatch);
}

static void
reset(struct dispatch *dispatch, bool hard, const char *why)
{
	if (dispatch->state == DISPATCH_ACTIVE || dispatch->state == DISPATCH_JOINING) {
		log_event(dispatch->stopping ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "worker_reset",
			  "worker=%s hard=%d reason=%s", dispatch->worker, hard, log_text(why));
		dispatch->state = DISPATCH_RESETTING;
	}
	if (dispatch->state != DISPATCH_RESETTING)
		return;
	dispatch->silent = dispatch->silent || hard;
	for (struct turn *turn = dispatch->turns; turn != NULL;) {
		struct turn *next = turn->next;

		if (hard)
			turn_kill(turn); /* may make it idle at once; on_turn_idle only asks for a
					    later look */
		else
			turn_stop(turn);
		turn = next;
	}
	/* From the loop: a turn may be on the stack. */
	loop_soon(dispatch->daemon->loop, on_settled_later, dispatch);
}

void
dispatch_session_lost(struct dispatch *dispatch)
{
	reset(dispatch, true, "session_lost");
}

/* ---- the lease's end ------------------------------------------------------------------------- */

static bool
needs_key(const struct turn *turn)
{
	return turn->state != TURN_HANDING || (turn->clean && !turn->orphan);
}

static void
on_released(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct dispatch *dispatch = arg;

	if (code == SL_OK)
		return;
	log_warn("keys_not_released", "error=%s", log_text(error != NULL ? error->text : ""));
	dispatch->release_due = true; /* on_renew() tries again */
}

/* Without a token nobody else could claim the keys that the session holds: lets go of them in the
 * ledger, but for those of turns that are still under way. */
static void
release_keys(struct dispatch *dispatch)
{
	struct settle_key *keep;
	int count = 0;

	if (!dispatch->release_due || settle_session(dispatch->daemon->settle) == 0)
		return;
	dispatch->release_due = false;
	keep = sl_calloc((size_t)dispatch->turn_count + 1, sizeof(*keep));
	for (const struct turn *turn = dispatch->turns; turn != NULL; turn = turn->next)
		if (needs_key(turn))
			keep[count++] = (struct settle_key){turn->key_id, 0};
	settle_release(dispatch->daemon->settle, keep, count, on_released, dispatch);
	free(keep);
}

static void
new_lease_name(struct dispatch *dispatch)
{
	uint32_t random;

	secret_random(&random, sizeof(random));
	snprintf(dispatch->worker, sizeof(dispatch->worker), "%lld.%08x",
		 (long long)settle_session(dispatch->daemon->settle), random);
}

/* Redis does not know the lease any more, or does not answer.  Goes on under another lease of the
 * same session. */
static void
rejoin(struct dispatch *dispatch, const char *why)
{
	if (dispatch->stopping || settle_session(dispatch->daemon->settle) == 0) {
		reset(dispatch, false, why);
		return;
	}
	assert(dispatch->state == DISPATCH_ACTIVE && !dispatch->exchanging);
	log_warn("worker_rejoins", "worker=%s turns=%d reason=%s", dispatch->worker,
		 dispatch->turn_count, log_text(why));
	dispatch->state = DISPATCH_JOINING;
	if (queue_is_up(dispatch->daemon->queue))
		lease_expire(dispatch->daemon->queue, dispatch->worker, on_left, dispatch);
	new_lease_name(dispatch);
	held_clear(dispatch->held);
	for (struct turn *turn = dispatch->turns; turn != NULL; turn = turn->next) {
		turn->orphan = true;
		turn_stop(turn);
	}
	dispatch->release_due = true;
	/* From the loop: a turn may be on the stack. */
	loop_soon(dispatch->daemon->loop, on_settled_later, dispatch);
	loop_timer_in(dispatch->reopen, REOPEN_MS);
}

/* ---- taking and handing in ------------------------------------------------------------------- */

static void
on_turn_idle(void *arg, struct turn *turn)
{
	struct dispatch *dispatch = arg;

	if (dispatch->state == DISPATCH_ACTIVE && !turn->orphan)
		exchange(dispatch);
	else /* from the loop: the turn is still on the stack */
		loop_soon(dispatch->daemon->loop, on_settled_later, dispatch);
}

static bool
has_key(const struct dispatch *dispatch, int64_t key_id)
{
	for (const struct turn *turn = dispatch->turns; turn != NULL; turn = turn->next)
		if (turn->key_id == key_id)
			return true;
	return false;
}

static void
take_turn(struct dispatch *dispatch, const struct lease_turn *taken)
{
	bool taken_already = has_key(dispatch, taken->key_id); /* by an orphan */
	struct turn *turn =
	    turn_new(dispatch->daemon, taken, dispatch->held, on_turn_idle, dispatch);

	turn->next = dispatch->turns;
	dispatch->turns = turn;
	dispatch->turn_count++;
	if (dispatch->stopping)
		turn_stop(turn); /* asked for before the stop */
	if (taken_already)
		turn_refuse(turn);
	else
		turn_start(turn);
}

static void
on_exchanged(void *arg, enum sl_code code, const struct lease_turn *turns, int count, int64_t calls,
	     const struct sl_error *error)
{
	struct dispatch *dispatch = arg;
	const char *why = error != NULL ? error->text : "";

	(void)calls;
	dispatch->exchanging = false;
	dispatch->reserved = 0;
	for (int i = 0; i < dispatch->handing_count; i++) {
		struct turn *turn = dispatch->handing[i];

		if (turn->clean && !turn->suspect)
			held_put(dispatch->held, turn->key_id, turn->tenure, turn->judge_to);
		else
			held_drop(dispatch->held, turn->key_id);
		drop_turn(dispatch, turn);
	}
	dispatch->handing_count = 0;
	if (dispatch->state != DISPATCH_ACTIVE) {
		drop_idle_turns(dispatch);
		close_if_idle(dispatch); /* what was taken meanwhile falls back with the lease */
		start_calls(dispatch);
		return;
	}
	if (code == SL_OK) {
		for (int i = 0; i < count; i++)
			take_turn(dispatch, &turns[i]);
		start_calls(dispatch);
		exchange(dispatch);
		return;
	}
	dispatch->want_exchange = false;
	rejoin(dispatch, why);
}

static void
on_hand_timer(void *arg)
{
	exchange(arg);
}

/* Gathers what can be handed in now; arms the timer for what has to wait. */
static int
gather_hands(struct dispatch *dispatch, struct lease_hand *hands, int max)
{
	int64_t now = clock_mono_ms(), next = INT64_MAX;
	int count = 0;

	for (struct turn *turn = dispatch->turns; turn != NULL && count < max; turn = turn->next) {
		if (turn->state != TURN_HANDING || turn->orphan)
			continue;
		if (turn->hand_at_ms > now) {
			if (turn->hand_at_ms < next)
				next = turn->hand_at_ms;
			continue;
		}
		hands[count] = (struct lease_hand){.key_id = turn->key_id,
						   .tenure = turn->tenure,
						   .lane = turn->front ? 'f' : 'q',
						   .environment_id = turn->environment_id,
						   .count = turn_done(turn),
						   .clean = turn->clean};
		dispatch->handing[count++] = turn;
	}
	if (next != INT64_MAX)
		loop_timer_in(dispatch->hand_timer, next - now + 1);
	return count;
}

static void on_wake(void *arg, enum sl_code code, int64_t value, const struct sl_error *error);

static void
wait_for_work(struct dispatch *dispatch)
{
	if (dispatch->state != DISPATCH_ACTIVE || dispatch->waiting_wake || dispatch->stopping ||
	    room(dispatch) <= 0 || !queue_is_up(dispatch->daemon->queue))
		return;
	dispatch->waiting_wake = true;
	lease_wait(dispatch->daemon->queue, WAIT_MS, on_wake, dispatch);
}

static void
exchange(struct dispatch *dispatch)
{
	struct lease_hand hands[64];
	int count, want;

	if (dispatch->state != DISPATCH_ACTIVE || dispatch->exchanging)
		return;
	count = gather_hands(dispatch, hands, 64);
	want = dispatch->stopping ? 0 : room(dispatch) + count;
	if (want < 0)
		want = 0;
	if (want > LEASE_TURNS_MAX)
		want = LEASE_TURNS_MAX;
	if (count == 0 && !dispatch->renewing && !(dispatch->want_exchange && want > 0)) {
		if (dispatch->stopping && dispatch->turn_count == 0)
			reset(dispatch, false, "stopping");
		else
			wait_for_work(dispatch);
		return;
	}
	/* A kept key comes back with its hand; one that waits elsewhere needs a wake or this flag.
	 */
	dispatch->want_exchange = dispatch->renewing = false;
	dispatch->exchanging = true;
	dispatch->handing_count = count;
	dispatch->reserved = want - count > 0 ? want - count : 0;
	lease_exchange(dispatch->daemon->queue, dispatch->worker, dispatch->ttl_ms, want,
		       JOBS_PER_TURN, hands, count, on_exchanged, dispatch);
}

static void
on_wake(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct dispatch *dispatch = arg;

	(void)error;
	dispatch->waiting_wake = false;
	if (dispatch->state != DISPATCH_ACTIVE || dispatch->stopping || code != SL_OK) {
		if (code == SL_OK && value == 1)
			lease_wake(dispatch->daemon->queue, on_left,
				   dispatch); /* for somebody else */
		return;
	}
	if (value == 1)
		dispatch->want_exchange = true;
	if (value == 1 && room(dispatch) <= 0) /* sync calls took what was free */
		lease_wake(dispatch->daemon->queue, on_left, dispatch);
	exchange(dispatch);
	wait_for_work(dispatch);
}

/* ---- proof of life --------------------------------------------------------------------------- */

struct renewal {
	struct dispatch *dispatch;
	int64_t sent_ms;
	int64_t session;
};

static void
on_beat(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct renewal *renewal = arg;
	struct dispatch *dispatch = renewal->dispatch;

	dispatch->beating = false;
	if (code == SL_OK && renewal->session == settle_session(dispatch->daemon->settle))
		dispatch->beat_ok_ms = renewal->sent_ms;
	else if (code == SL_CONFLICT && settle_session(dispatch->daemon->settle) == 0)
		dispatch_session_lost(dispatch);
	else if (code != SL_OK)
		log_warn("beat_failed", "code=%s error=%s", sl_code_name(code),
			 log_text(error != NULL ? error->text : ""));
	free(renewal);
}

static void
on_renew(void *arg)
{
	struct dispatch *dispatch = arg;
	struct renewal *renewal;

	if (settle_session(dispatch->daemon->settle) == 0) {
		dispatch_session_lost(
		    dispatch); /* nothing to do unless it was thought to be there */
		return;
	}
	release_keys(dispatch);
	if (!dispatch->beating) {
		renewal = sl_alloc(sizeof(*renewal));
		renewal->dispatch = dispatch;
		renewal->sent_ms = clock_mono_ms();
		renewal->session = settle_session(dispatch->daemon->settle);
		dispatch->beating = true;
		settle_beat(dispatch->daemon->settle, on_beat, renewal);
	}
	if (dispatch->state != DISPATCH_ACTIVE || dispatch->exchanging)
		return;
	dispatch->renewing = true; /* also looks for work whose wake-up was lost */
	exchange(dispatch);
}

/* ---- the session's start --------------------------------------------------------------------- */

static void
on_joined(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct dispatch *dispatch = arg;

	(void)value;
	if (dispatch->state != DISPATCH_JOINING)
		return;
	if (dispatch->stopping) {
		reset(dispatch, false, "stopping");
		return;
	}
	if (code != SL_OK) { /* Redis away or being rebuilt: the session stays, try again */
		log_debug("join_failed", "code=%s error=%s", sl_code_name(code),
			  log_text(error != NULL ? error->text : ""));
		loop_timer_in(dispatch->reopen, REOPEN_MS);
		return;
	}
	dispatch->state = DISPATCH_ACTIVE;
	dispatch->want_exchange = true;
	log_info("worker_ready", "worker=%s", dispatch->worker);
	exchange(dispatch);
	wait_for_work(dispatch);
}

static void
on_opened(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct dispatch *dispatch = arg;
	assert(dispatch->state == DISPATCH_OPENING);
	if (code != SL_OK) {
		log_debug("session_not_opened", "error=%s",
			  log_text(error != NULL ? error->text : ""));
		dispatch->state = DISPATCH_OFF;
		if (dispatch->stopping)
			finish_stop(dispatch);
		else
			loop_timer_in(dispatch->reopen, REOPEN_MS);
		return;
	}
	new_lease_name(dispatch);
	dispatch->beat_ok_ms = clock_mono_ms();
	dispatch->silent = dispatch->release_due = false;
	dispatch->state = DISPATCH_JOINING;
	if (dispatch->stopping)
		reset(dispatch, false, "stopping");
	else
		loop_timer_in(dispatch->reopen, 0);
}

static void
on_reopen(void *arg)
{
	struct dispatch *dispatch = arg;

	switch (dispatch->state) {
	case DISPATCH_OFF:
		if (dispatch->stopping) {
			finish_stop(dispatch);
			return;
		}
		dispatch->state = DISPATCH_OPENING;
		settle_open(dispatch->daemon->settle, dispatch->daemon->node, on_opened, dispatch);
		return;
	case DISPATCH_JOINING:
		if (!queue_is_up(dispatch->daemon->queue)) {
			loop_timer_in(dispatch->reopen, REOPEN_MS);
			return;
		}
		lease_join(dispatch->daemon->queue, dispatch->worker, dispatch->ttl_ms, on_joined,
			   dispatch);
		return;
	case DISPATCH_OPENING:
	case DISPATCH_ACTIVE:
	case DISPATCH_RESETTING:
	case DISPATCH_CLOSING:
		return;
	}
}

struct dispatch *
dispatch_new(struct daemon *daemon)
{
	struct dispatch *dispatch = sl_alloc(sizeof(*dispatch));

	dispatch->daemon = daemon;
	dispatch->ttl_ms = config_int(daemon->config, "lease_ttl");
	dispatch->held = held_new();
	dispatch->calls = calls_new(daemon, on_call_ended, dispatch);
	dispatch->renew = loop_timer_new(daemon->loop, on_renew, dispatch);
	dispatch->reopen = loop_timer_new(daemon->loop, on_reopen, dispatch);
	dispatch->hand_timer = loop_timer_new(daemon->loop, on_hand_timer, dispatch);
	loop_timer_every(dispatch->renew, dispatch->ttl_ms / 3);
	loop_timer_in(dispatch->reopen, 0);
	return dispatch;
}

static void
on_stop_timer(void *arg)
{
	struct dispatch *dispatch = arg;

	if (dispatch->stopped)
		return;
	log_warn("drain_timeout", "turns=%d calls=%d", dispatch->turn_count,
		 calls_running(dispatch->calls));
	if (dispatch
		->forced) { /* what is left is in the ledger: the next session's claim finds it */
		dispatch->stopped = true;
		dispatch->done(dispatch->done_arg);
		return;
	}
	dispatch->forced = true;
	calls_refuse(dispatch->calls);
	reset(dispatch, true, "drain timeout");
	loop_timer_in(dispatch->stop_timer, FORCE_MS);
}

void
dispatch_stop(struct dispatch *dispatch, int64_t timeout_ms, void (*done)(void *arg), void *arg)
{
	dispatch->stopping = true;
	dispatch->done = done;
	dispatch->done_arg = arg;
	dispatch->stop_timer = loop_timer_new(dispatch->daemon->loop, on_stop_timer, dispatch);
	loop_timer_in(dispatch->stop_timer, timeout_ms);
	for (struct turn *turn = dispatch->turns; turn != NULL; turn = turn->next)
		turn_stop(turn);
	switch (dispatch->state) {
	case DISPATCH_ACTIVE:
		exchange(dispatch);
		return;
	case DISPATCH_JOINING:
		reset(dispatch, false, "stopping");
		return;
	case DISPATCH_OFF:
		finish_stop(dispatch);
		return;
	case DISPATCH_OPENING:
	case DISPATCH_RESETTING:
	case DISPATCH_CLOSING:
		return;
	}
}

void
dispatch_free(struct dispatch *dispatch)
{
	if (dispatch == NULL)
		return;
	loop_timer_free(dispatch->renew);
	loop_timer_free(dispatch->reopen);
	loop_timer_free(dispatch->hand_timer);
	calls_free(dispatch->calls);
	loop_timer_free(dispatch->stop_timer);
	held_free(dispatch->held);
	while (dispatch->turns != NULL) {
		struct turn *turn = dispatch->turns;

		dispatch->turns = turn->next;
		turn->attempt = NULL;
		turn->settling = 0;
		turn_free(turn);
	}
	free(dispatch);
}
