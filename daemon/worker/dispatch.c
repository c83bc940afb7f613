/* daemon/worker/dispatch.c - see dispatch.h: one session, a lane for each shard, calls, places.
 *
 * The session comes first and goes last: lanes join under it, and it is closed once all of them are out
 * and no turn is left. */
#include "daemon/worker/dispatch.h"

#include <assert.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/log.h"
#include "daemon/call.h"
#include "daemon/worker/calls.h"
#include "daemon/worker/guests.h"
#include "daemon/worker/lane.h"
#include "daemon/worker/room.h"
#include "daemon/worker/session.h"
#include "sql/settle.h"

#define FORCE_MS 2000
#define SHORT_MS 5000

struct dispatch {
	struct daemon *daemon;
	struct session *session;
	struct calls *calls;
	struct guests *guests;
	struct room *room;
	struct lane **lanes; /* one per shard */
	int lane_count;
	int first_lane;   /* that goes on first the next time: they take turns */
	int nested;       /* places for runs inside runs that are taken */
	bool release_due; /* keys are held that nothing here needs: tell the ledger */
	struct loop_timer *stop_timer;
	bool stopping, forced, stopped;
	bool quiet;    /* wanted so */
	bool is_short; /* of what functions need to start; until the timer says to try again */
	bool idle;     /* takes nothing, for one or the other */
	struct loop_timer *short_timer;
	void (*done)(void *arg);
	void *done_arg;
};

static void go_on(struct dispatch *dispatch);

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
	int running = (int)config_int(config, "runners") + (int)config_int(config, "call_runners") +
		      nested_max(config);

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
dispatch_lend(struct dispatch *dispatch, bool nested)
{
	if (!room_lend(dispatch->room))
		return false;
	dispatch->nested -= nested ? 1 : 0;
	return true;
}

void
dispatch_take_back(struct dispatch *dispatch, bool nested)
{
	room_unlend(dispatch->room);
	dispatch->nested += nested ? 1 : 0;
}

bool
dispatch_may_effect(const struct dispatch *dispatch)
{
	return session_may_effect(dispatch->session);
}

bool
dispatch_is_running(const struct dispatch *dispatch, const char *job_id)
{
	for (int i = 0; i < dispatch->lane_count; i++)
		for (const struct turn *turn = lane_turns(dispatch->lanes[i]); turn != NULL;
		     turn = turn->next)
			if (turn_has_job(turn, job_id))
				return true;
	return false;
}

bool
dispatch_is_ready(const struct dispatch *dispatch)
{
	for (int i = 0; i < dispatch->lane_count; i++)
		if (!lane_is_active(dispatch->lanes[i]))
			return false;
	return true;
}

static int
turn_count(const struct dispatch *dispatch)
{
	int count = 0;

	for (int i = 0; i < dispatch->lane_count; i++)
		count += dispatch->room->shares[i].all.turns;
	return count;
}

/* ---- cancelled jobs -------------------------------------------------------------------------- */

void
dispatch_cancel(struct dispatch *dispatch, int64_t key_id, int64_t seq, const char *job_id,
		bool kill)
{
	struct turn *next;

	for (int i = 0; i < dispatch->lane_count; i++) {
		lane_judge(dispatch->lanes[i], key_id, seq);
		for (struct turn *turn = lane_turns(dispatch->lanes[i]); turn != NULL;
		     turn = next) {
			next = turn->next; /* the turn may end, but it is not freed before the loop
					      goes on */
			if (turn->key_id == key_id)
				turn_cancel(turn, job_id, kill);
		}
	}
}

void
dispatch_each_job(const struct dispatch *dispatch,
		  void (*cb)(void *arg, int64_t key_id, int64_t seq, const char *job_id), void *arg)
{
	for (int i = 0; i < dispatch->lane_count; i++)
		for (const struct turn *turn = lane_turns(dispatch->lanes[i]); turn != NULL;
		     turn = turn->next)
			for (int at = turn->at; at < turn->count; at++)
				if (!turn->entry[at].skip)
					cb(arg, turn->key_id, turn->entry[at].envelope.seq,
					   turn->entry[at].envelope.job_id);
}

void
dispatch_judge_all(struct dispatch *dispatch, int64_t seq)
{
	for (int i = 0; i < dispatch->lane_count; i++)
		lane_judge(dispatch->lanes[i], 0, seq);
}

/* ---- sync calls ------------------------------------------------------------------------------ */

static void
start_calls(struct dispatch *dispatch)
{
	if (dispatch->stopped) /* those that end now are ended with the pool */
		return;
	calls_start(dispatch->calls, room_for_calls(dispatch->room));
	guests_go_on(dispatch->guests);
}

bool
dispatch_has_place(const struct dispatch *dispatch)
{
	return !dispatch->stopping && !dispatch->idle &&
	       room_for_calls(dispatch->room) > calls_waiting(dispatch->calls);
}

void
dispatch_jobs_come(struct dispatch *dispatch, int shard)
{
	lane_expect(dispatch->lanes[shard]);
}

void
dispatch_calls_wait(struct dispatch *dispatch, int shard)
{
	guests_wait(dispatch->guests, shard, 1);
	start_calls(dispatch);
}

static void
on_call_ended(void *arg)
{
	go_on(arg);
}

enum sl_code
dispatch_call(struct dispatch *dispatch, const struct attempt_ask *ask, attempt_cb *cb, void *arg,
	      struct sl_error *error)
{
	enum sl_code code;

	if (dispatch->stopping)
		return sl_fail(error, SL_UNAVAILABLE, "this node is shutting down");
	if (dispatch->quiet)
		return sl_fail(error, SL_UNAVAILABLE,
			       "this worker is quiet (sluice worker release), and the call cannot "
			       "travel to another one: Redis is away, or the input is over 8 MiB");
	code = calls_add(dispatch->calls, ask, cb, arg, error);
	if (code == SL_OK)
		start_calls(dispatch);
	return code;
}

/* ---- the session's end ----------------------------------------------------------------------- */

static void
finish_stop(struct dispatch *dispatch)
{
	if (!dispatch->stopping || dispatch->stopped || turn_count(dispatch) > 0 ||
	    calls_running(dispatch->calls) > 0 || calls_waiting(dispatch->calls) > 0 ||
	    !guests_are_told(dispatch->guests) || session_state(dispatch->session) != SESSION_OFF)
		return;
	dispatch->stopped = true;
	dispatch->done(dispatch->done_arg);
}

static void
reset(struct dispatch *dispatch, bool hard, const char *why)
{
	enum session_state state = session_state(dispatch->session);

	if (state == SESSION_LIVE) {
		log_event(dispatch->stopping ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "worker_reset",
			  "session=%lld hard=%d reason=%s",
			  (long long)settle_session(dispatch->daemon->settle), hard, log_text(why));
		session_end(dispatch->session);
	} else if (state != SESSION_ENDING) {
		return;
	}
	if (hard)
		session_silence(dispatch->session);
	for (int i = 0; i < dispatch->lane_count; i++)
		lane_leave(dispatch->lanes[i], hard); /* changed() follows from the loop */
}

void
dispatch_session_lost(struct dispatch *dispatch)
{
	reset(dispatch, true, "session_lost");
}

static void
close_if_out(struct dispatch *dispatch)
{
	if (session_state(dispatch->session) != SESSION_ENDING)
		return;
	for (int i = 0; i < dispatch->lane_count; i++)
		if (!lane_is_out(dispatch->lanes[i]))
			return;
	session_close(dispatch->session);
}

/* What was taken is handed in: a stop can end the session. */
static void
leave_if_stopped(struct dispatch *dispatch)
{
	if (!dispatch->stopping || session_state(dispatch->session) != SESSION_LIVE)
		return;
	for (int i = 0; i < dispatch->lane_count; i++)
		if (!lane_is_idle(dispatch->lanes[i]))
			return;
	reset(dispatch, false, "stopping");
}

/* Something ended: whoever waited for that goes on. */
static void
go_on(struct dispatch *dispatch)
{
	start_calls(dispatch);
	dispatch->first_lane = (dispatch->first_lane + 1) % dispatch->lane_count;
	for (int i = 0; i < dispatch->lane_count; i++)
		lane_go_on(dispatch->lanes[(dispatch->first_lane + i) % dispatch->lane_count]);
	leave_if_stopped(dispatch);
	close_if_out(dispatch);
	finish_stop(dispatch);
}

/* ---- keys of the ledger ---------------------------------------------------------------------- */

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
	dispatch->release_due = true; /* the next tick tries again */
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
	keep = sl_calloc((size_t)turn_count(dispatch) + 1, sizeof(*keep));
	for (int i = 0; i < dispatch->lane_count; i++)
		for (const struct turn *turn = lane_turns(dispatch->lanes[i]); turn != NULL;
		     turn = turn->next)
			if (needs_key(turn))
				keep[count++] = (struct settle_key){turn->key_id, turn->slot};
	settle_release(dispatch->daemon->settle, keep, count, on_released, dispatch);
	free(keep);
}

/* ---- events ---------------------------------------------------------------------------------- */

static void
on_lane_changed(void *arg)
{
	go_on(arg);
}

static void
on_lane_release(void *arg)
{
	struct dispatch *dispatch = arg;

	dispatch->release_due = true;
	release_keys(dispatch);
}

static void
on_lane_in_doubt(void *arg, const char *why)
{
	reset(arg, false, why);
}

static void
on_lane_calls(void *arg, int shard, int64_t calls)
{
	struct dispatch *dispatch = arg;

	guests_wait(dispatch->guests, shard, calls); /* changed() follows */
}

static void
on_lane_joined(void *arg, int shard)
{
	struct dispatch *dispatch = arg;

	guests_moved(dispatch->guests, shard);
}

static const char *
lease_of(void *arg, int shard)
{
	return dispatch_lease(arg, shard);
}

static void
on_guests_changed(void *arg)
{
	go_on(arg);
}

static void
on_session_opened(void *arg)
{
	struct dispatch *dispatch = arg;

	dispatch->release_due = false;
	for (int i = 0; i < dispatch->lane_count; i++)
		lane_join(dispatch->lanes[i]);
	leave_if_stopped(dispatch);
}

static void
on_session_lost(void *arg)
{
	dispatch_session_lost(arg);
}

static void
on_session_tick(void *arg)
{
	struct dispatch *dispatch = arg;

	release_keys(dispatch);
	for (int i = 0; i < dispatch->lane_count; i++)
		lane_renew(dispatch->lanes[i]);
}

static void
on_session_closed(void *arg)
{
	finish_stop(arg);
}

static const struct session_events session_events = {on_session_opened, on_session_lost,
						     on_session_tick, on_session_closed};
static const struct lane_events lane_events = {on_lane_changed, on_lane_release, on_lane_in_doubt,
					       on_lane_calls, on_lane_joined};
static const struct guests_events guests_events = {lease_of, on_guests_changed};

/* ---- quiet ----------------------------------------------------------------------------------- */

/* Those that wait here go elsewhere if they can. */
static void
pass_calls_on(struct dispatch *dispatch)
{
	while (calls_pass_on(dispatch->calls, call_travel, dispatch->daemon))
		continue;
}

static void
heed(struct dispatch *dispatch)
{
	bool idle = dispatch->quiet || dispatch->is_short;

	if (dispatch->idle == idle || dispatch->stopping)
		return;
	dispatch->idle = idle;
	guests_quiet(dispatch->guests, idle);
	if (idle)
		pass_calls_on(dispatch);
	for (int i = 0; i < dispatch->lane_count; i++)
		lane_quiet(dispatch->lanes[i], idle);
	go_on(dispatch);
}

void
dispatch_quiet(struct dispatch *dispatch, bool quiet)
{
	dispatch->quiet = quiet;
	heed(dispatch);
}

bool
dispatch_is_quiet(const struct dispatch *dispatch)
{
	return dispatch->quiet;
}

/* Armed for at once when the trouble begins (a turn is on the stack then), and for its end. */
static void
on_short_timer(void *arg)
{
	struct dispatch *dispatch = arg;

	dispatch->is_short = !dispatch->is_short;
	if (dispatch->is_short)
		loop_timer_in(dispatch->short_timer, SHORT_MS);
	heed(dispatch);
}

void
dispatch_short(struct dispatch *dispatch, const char *why)
{
	if (dispatch->is_short || dispatch->stopping || loop_timer_is_armed(dispatch->short_timer))
		return;
	log_warn("worker_short", "wait_s=%d error=%s", SHORT_MS / 1000, log_text(why));
	loop_timer_in(dispatch->short_timer, 0);
}

/* ---- looking --------------------------------------------------------------------------------- */

void
dispatch_each_run(const struct dispatch *dispatch, void (*cb)(void *arg, const char *job_id),
		  void *arg)
{
	for (int i = 0; i < dispatch->lane_count; i++)
		for (const struct turn *turn = lane_turns(dispatch->lanes[i]); turn != NULL;
		     turn = turn->next)
			if (turn->attempt != NULL)
				cb(arg, turn->entry[turn->at].envelope.job_id);
}

static void
count_run(void *arg, const char *job_id)
{
	int *count = arg;

	(void)job_id;
	++*count;
}

void
dispatch_load(const struct dispatch *dispatch, struct dispatch_load *out)
{
	*out = (struct dispatch_load){.runners = dispatch->room->runners,
				      .calls = calls_running(dispatch->calls),
				      .waiting = dispatch->room->waiting};
	dispatch_each_run(dispatch, count_run, &out->running);
	for (int i = 0; i < dispatch->lane_count; i++)
		out->running -= dispatch->room->shares[i].all.lent;
}

const char *
dispatch_lease(const struct dispatch *dispatch, int shard)
{
	return lane_is_active(dispatch->lanes[shard]) ? lane_worker(dispatch->lanes[shard]) : "";
}

/* ---- life ------------------------------------------------------------------------------------ */

struct dispatch *
dispatch_new(struct daemon *daemon)
{
	struct dispatch *dispatch = sl_alloc(sizeof(*dispatch));
	int64_t ttl_ms = config_int(daemon->config, "lease_ttl");

	dispatch->daemon = daemon;
	dispatch->lane_count = daemon->shard_count;
	dispatch->calls = calls_new(daemon, on_call_ended, dispatch);
	dispatch->room = room_new(daemon->config, dispatch->calls, dispatch->lane_count);
	dispatch->guests =
	    guests_new(daemon, dispatch->calls, dispatch->room, &guests_events, dispatch);
	dispatch->lanes = sl_calloc((size_t)dispatch->lane_count, sizeof(struct lane *));
	for (int i = 0; i < dispatch->lane_count; i++)
		dispatch->lanes[i] =
		    lane_new(daemon, i, ttl_ms, dispatch->room, &lane_events, dispatch);
	dispatch->short_timer = loop_timer_new(daemon->loop, on_short_timer, dispatch);
	dispatch->session = session_new(daemon, ttl_ms, &session_events, dispatch);
	return dispatch;
}

static void
on_stop_timer(void *arg)
{
	struct dispatch *dispatch = arg;

	if (dispatch->stopped)
		return;
	log_warn("drain_timeout", "turns=%d calls=%d", turn_count(dispatch),
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
	FAULT_POINT("drain_begun");
	dispatch->stopping = true;
	dispatch->done = done;
	dispatch->done_arg = arg;
	dispatch->stop_timer = loop_timer_new(dispatch->daemon->loop, on_stop_timer, dispatch);
	loop_timer_in(dispatch->stop_timer, timeout_ms);
	session_stop(dispatch->session);
	guests_stop(dispatch->guests);
	pass_calls_on(dispatch);
	for (int i = 0; i < dispatch->lane_count; i++)
		lane_stop(dispatch->lanes[i]);
	leave_if_stopped(dispatch);
	finish_stop(dispatch);
}

void
dispatch_hurry(struct dispatch *dispatch)
{
	if (dispatch->stopping && !dispatch->forced)
		on_stop_timer(dispatch);
}

void
dispatch_free(struct dispatch *dispatch)
{
	if (dispatch == NULL)
		return;
	loop_timer_free(dispatch->stop_timer);
	loop_timer_free(dispatch->short_timer);
	session_free(dispatch->session);
	for (int i = 0; i < dispatch->lane_count; i++)
		lane_free(dispatch->lanes[i]);
	free(dispatch->lanes);
	guests_free(dispatch->guests);
	calls_free(dispatch->calls);
	room_free(dispatch->room);
	free(dispatch);
}
