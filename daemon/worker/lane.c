/* daemon/worker/lane.c - see lane.h. */
#include "daemon/worker/lane.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/secret.h"
#include "daemon/worker/held.h"
#include "queue/lease.h"
#include "sql/settle.h"

#define JOBS_PER_TURN 8
#define HANDS_MAX 64
#define WAIT_MS 5000
#define WAIT_SHORT_MS 1000 /* deaf to the token of long keys: there may be room by then */
#define REJOIN_MS 300
#define LOOK_MS 200

enum lane_state { LANE_OUT, LANE_JOINING, LANE_ACTIVE, LANE_LEAVING };

struct lane {
	struct daemon *daemon;
	struct queue *queue;
	int shard;
	int64_t ttl_ms;
	struct room *room;
	struct room_share *share; /* ours of room; its turns are those of the list */
	const struct lane_events *events;
	void *arg;
	enum lane_state state;
	char worker[LEASE_WORKER_MAX];
	char joins[LEASE_WORKER_MAX]; /* the name that the lease in flight is for */
	struct turn *turns;           /* all of them */
	struct held *held;            /* keys that we may be handed again as "kept" */
	bool joining, exchanging, waiting, renewing;
	bool stopping;
	bool deaf;  /* the wait that is out is not for the token of long keys */
	bool quiet; /* takes no turns, for now */
	int wanted; /* turns asked for in the exchange in flight */
	struct turn *handing[HANDS_MAX];
	int handing_count;
	struct loop_timer *rejoin, *hand_timer;
	struct loop_timer *look; /* armed while there is room that no wait is out for */
};

static void exchange(struct lane *lane);

bool
lane_is_out(const struct lane *lane)
{
	return lane->state == LANE_OUT;
}

bool
lane_is_active(const struct lane *lane)
{
	return lane->state == LANE_ACTIVE;
}

bool
lane_is_idle(const struct lane *lane)
{
	return lane->turns == NULL && !lane->exchanging;
}

const char *
lane_worker(const struct lane *lane)
{
	return lane->worker;
}

struct turn *
lane_turns(const struct lane *lane)
{
	return lane->turns;
}

void
lane_judge(struct lane *lane, int64_t key_id, int64_t seq)
{
	if (key_id == 0)
		held_judge_all(lane->held, seq);
	else
		held_judge(lane->held, key_id, seq);
	for (struct turn *turn = lane->turns; turn != NULL; turn = turn->next)
		if ((key_id == 0 || turn->key_id == key_id) && seq > turn->judge_to)
			turn->judge_to = seq;
}

static bool
takes_turns(const struct lane *lane)
{
	return !lane->stopping && !lane->quiet;
}

/* ---- turns that end -------------------------------------------------------------------------- */

static void
on_told(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	(void)arg;
	(void)value;
	if (code != SL_OK)
		log_debug("lease_not_told", "code=%s error=%s", sl_code_name(code),
			  log_text(error != NULL ? error->text : ""));
}

/* Once no turn is left: the lease is given back (the keys stay in their lists). */
static void
leave_if_idle(struct lane *lane)
{
	if (lane->state != LANE_LEAVING || !lane_is_idle(lane))
		return;
	lane->state = LANE_OUT;
	held_clear(lane->held);
	if (queue_is_up(lane->queue))
		lease_expire(lane->queue, lane->worker, on_told, lane);
}

static void
drop_turn(struct lane *lane, struct turn *turn)
{
	for (struct turn **at = &lane->turns; *at != NULL; at = &(*at)->next) {
		if (*at != turn)
			continue;
		*at = turn->next;
		lane->share->all.turns--;
		lane->share->longs.turns -= turn->is_long ? 1 : 0;
		turn_free(turn);
		return;
	}
	assert(!"turn is not of this lane");
}

static void
drop_idle_turns(struct lane *lane)
{
	struct turn *next;
	bool release = false;

	for (struct turn *turn = lane->turns; turn != NULL; turn = next) {
		next = turn->next;
		if (turn->state != TURN_HANDING)
			continue;
		/* Those that are handed in right now are dropped by the answer. */
		if (!turn->orphan && (lane->exchanging || lane->state == LANE_ACTIVE))
			continue;
		release = release || turn->orphan;
		drop_turn(lane, turn);
	}
	if (release)
		lane->events->release(lane->arg);
}

/* From the loop: a turn may have been on the stack. */
static void
on_later(void *arg)
{
	struct lane *lane = arg;

	drop_idle_turns(lane);
	leave_if_idle(lane);
	exchange(lane);
	lane->events->changed(lane->arg);
}

static void
set_hungry(struct lane *lane, bool hungry)
{
	lane->share->all.hungry = lane->share->longs.hungry = hungry;
}

void
lane_leave(struct lane *lane, bool hard)
{
	struct turn *next;

	if (lane->state == LANE_OUT)
		return;
	lane->state = LANE_LEAVING;
	set_hungry(lane, false);
	for (struct turn *turn = lane->turns; turn != NULL; turn = next) {
		next = turn->next;
		if (hard)
			turn_kill(turn); /* may make it idle at once; on_turn_idle only asks for a
					    later look */
		else
			turn_stop(turn);
	}
	loop_soon(lane->daemon->loop, on_later, lane);
}

/* ---- the lease's end ------------------------------------------------------------------------- */

static void
new_lease_name(struct lane *lane)
{
	uint32_t random;

	secret_random(&random, sizeof(random));
	snprintf(lane->worker, sizeof(lane->worker), "%lld.%08x",
		 (long long)settle_session(lane->daemon->settle), random);
}

/* Redis does not know the lease any more, or does not answer.  Goes on under another lease of the
 * same session. */
static void
rejoin(struct lane *lane, const char *why)
{
	if (lane->stopping || settle_session(lane->daemon->settle) == 0) {
		lane->events->in_doubt(lane->arg, why);
		return;
	}
	assert(lane->state == LANE_ACTIVE && !lane->exchanging);
	metrics_count(METRIC_LEASE_LOST, 0);
	log_warn("worker_rejoins", "worker=%s shard=%d turns=%d reason=%s", lane->worker,
		 lane->shard, lane->share->all.turns, log_text(why));
	lane->state = LANE_JOINING;
	set_hungry(lane, false);
	if (queue_is_up(lane->queue))
		lease_expire(lane->queue, lane->worker, on_told, lane);
	new_lease_name(lane);
	held_clear(lane->held);
	for (struct turn *turn = lane->turns; turn != NULL; turn = turn->next) {
		turn->orphan = true;
		turn_stop(turn);
	}
	lane->events->release(lane->arg);
	loop_soon(lane->daemon->loop, on_later, lane);
	loop_timer_in(lane->rejoin, REJOIN_MS);
}

/* ---- taking and handing in ------------------------------------------------------------------- */

static void
on_turn_idle(void *arg, struct turn *turn)
{
	struct lane *lane = arg;

	if (lane->state == LANE_ACTIVE && !turn->orphan)
		exchange(lane);
	else /* from the loop: the turn is still on the stack */
		loop_soon(lane->daemon->loop, on_later, lane);
}

static void
on_turn_lent(void *arg, struct turn *turn)
{
	struct lane *lane = arg;

	room_lend_turn(lane->room, lane->shard, turn->is_long, turn->lent);
	if (turn->lent)
		lane->events->changed(lane->arg);
}

static bool
has_slot(const struct lane *lane, int64_t key_id, int slot)
{
	for (const struct turn *turn = lane->turns; turn != NULL; turn = turn->next)
		if (turn->key_id == key_id && turn->slot == slot)
			return true;
	return false;
}

static const struct turn_events turn_events = {on_turn_idle, on_turn_lent};

static void
take_turn(struct lane *lane, const struct lease_turn *taken)
{
	bool taken_already = has_slot(lane, taken->key_id, taken->slot); /* by an orphan */
	struct turn *turn =
	    turn_new(lane->daemon, lane->shard, taken, lane->held, &turn_events, lane);

	FAULT_POINT("turn_taken");
	turn->next = lane->turns;
	lane->turns = turn;
	lane->share->all.turns++;
	lane->share->longs.turns += turn->is_long ? 1 : 0;
	if (!takes_turns(lane))
		turn_stop(turn); /* asked for before */
	if (taken_already)
		turn_refuse(turn);
	else
		turn_start(turn);
}

static void
drop_handed(struct lane *lane)
{
	bool release = false;

	for (int i = 0; i < lane->handing_count; i++) {
		struct turn *turn = lane->handing[i];

		if (turn->clean && !turn->unsure)
			held_put(lane->held, turn->key_id, turn->slot, turn->tenure,
				 turn_judge_to(turn));
		else
			held_drop(lane->held, turn->key_id, turn->slot);
		release = release || turn->blocked; /* somebody else is to have it */
		drop_turn(lane, turn);
		FAULT_POINT("turn_handed");
	}
	lane->handing_count = 0;
	if (release)
		lane->events->release(lane->arg);
}

static void
on_exchanged(void *arg, enum sl_code code, const struct lease_turn *turns, int count,
	     const struct lease_waits *waits, const struct sl_error *error)
{
	struct lane *lane = arg;

	lane->exchanging = false;
	room_answered(lane->room, lane->shard);
	drop_handed(lane);
	if (lane->state != LANE_ACTIVE) {
		drop_idle_turns(lane);
		leave_if_idle(lane); /* what was taken meanwhile falls back with the lease */
	} else if (code == SL_OK) {
		/* As many as were asked for: there may be more. */
		lane->share->all.hungry = count >= lane->wanted;
		lane->share->longs.hungry = waits->longs > 0;
		lane->events->calls(lane->arg, lane->shard, waits->calls);
		for (int i = 0; i < count; i++)
			take_turn(lane, &turns[i]);
		exchange(lane);
	} else {
		rejoin(lane, error != NULL ? error->text : "");
	}
	lane->events->changed(lane->arg);
}

static void
on_hand_timer(void *arg)
{
	exchange(arg);
}

/* Gathers what can be handed in now; arms the timer for what has to wait. */
static int
gather_hands(struct lane *lane, struct lease_hand *hands, int max)
{
	int64_t now = clock_mono_ms(), next = INT64_MAX;
	int count = 0;

	for (struct turn *turn = lane->turns; turn != NULL && count < max; turn = turn->next) {
		if (turn->state != TURN_HANDING || turn->orphan)
			continue;
		/* It waits so that it does not come back at once: to who takes none it cannot. */
		if (turn->hand_at_ms > now && takes_turns(lane)) {
			if (turn->hand_at_ms < next)
				next = turn->hand_at_ms;
			continue;
		}
		hands[count] = (struct lease_hand){.key_id = turn->key_id,
						   .slot = turn->slot,
						   .tenure = turn->tenure,
						   .lane = turn->lane,
						   .count = turn_done(turn),
						   .clean = turn->clean,
						   .environment_id = turn->environment_id};
		lane->handing[count++] = turn;
	}
	if (next != INT64_MAX)
		loop_timer_in(lane->hand_timer, next - now + 1);
	return count;
}

static void on_wake(void *arg, enum sl_code code, int64_t value, const struct sl_error *error);

/* Without room for turns a wake-up is somebody else's.  If calls could still be run, they are looked for; so
 * are long keys while the wait that is out is deaf to them. */
static void
wait_for_work(struct lane *lane)
{
	if (lane->state != LANE_ACTIVE || !takes_turns(lane) || !queue_is_up(lane->queue))
		return;
	if (room_left(lane->room) <= 0) {
		if (room_for_calls(lane->room) > 0 && !loop_timer_is_armed(lane->look))
			loop_timer_in(lane->look, LOOK_MS);
	} else if (!lane->waiting) {
		lane->waiting = true;
		lane->deaf = room_long_left(lane->room) <= 0;
		lease_wait(lane->queue, lane->deaf ? WAIT_SHORT_MS : WAIT_MS, !lane->deaf, on_wake,
			   lane);
	} else if (lane->deaf && room_long_left(lane->room) > 0 &&
		   !loop_timer_is_armed(lane->look)) {
		loop_timer_in(lane->look, LOOK_MS);
	}
}

static int
more(int places, int handed)
{
	return places > handed ? places - handed : 0;
}

static void
exchange(struct lane *lane)
{
	struct lease_hand hands[HANDS_MAX];
	struct room_places handed = {0}, places = {0};
	struct lease_want want = {.jobs = JOBS_PER_TURN};

	if (lane->state != LANE_ACTIVE || lane->exchanging)
		return;
	handed.all = gather_hands(lane, hands, HANDS_MAX);
	for (int i = 0; i < handed.all; i++)
		handed.longs += lane->handing[i]->is_long ? 1 : 0;
	if (handed.all > 0 ||
	    lane->renewing) /* its key may have more; a wake-up may have been lost */
		set_hungry(lane, true);
	if (takes_turns(lane))
		places = room_for_share(lane->room, lane->shard, handed);
	want.turns = places.all < LEASE_TURNS_MAX ? places.all : LEASE_TURNS_MAX;
	want.longs = places.longs < want.turns ? places.longs : want.turns;
	if (handed.all == 0 && !lane->renewing && want.turns == 0) {
		wait_for_work(lane);
		return;
	}
	lane->renewing = false;
	lane->exchanging = true;
	lane->handing_count = handed.all;
	lane->wanted = want.turns;
	room_ask(
	    lane->room, lane->shard,
	    (struct room_places){more(want.turns, handed.all), more(want.longs, handed.longs)});
	lease_exchange(lane->queue, lane->worker, lane->ttl_ms, &want, hands, handed.all,
		       on_exchanged, lane);
}

static void
on_wake(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct lane *lane = arg;
	bool woken = code == SL_OK && value > 0;
	bool is_long = woken && value == LEASE_TOKEN_LONG;

	(void)error;
	lane->waiting = false;
	if (lane->state != LANE_ACTIVE || !takes_turns(lane) || code != SL_OK) {
		if (woken)
			lease_wake(lane->queue, on_told, lane); /* for somebody else */
		return;
	}
	/* Without room nobody listens: there may be work by then. */
	if ((woken && !is_long) || room_left(lane->room) <= 0)
		lane->share->all.hungry = true;
	if (is_long || room_left(lane->room) <= 0)
		lane->share->longs.hungry = true;
	/* Calls, or other shards, took what was free. */
	if (woken && (is_long ? room_long_left(lane->room) : room_left(lane->room)) <= 0)
		lease_wake(lane->queue, on_told, lane);
	exchange(lane);
	wait_for_work(lane);
}

void
lane_go_on(struct lane *lane)
{
	exchange(lane);
}

void
lane_expect(struct lane *lane)
{
	if (lane->state != LANE_ACTIVE || lane->exchanging || lane->turns != NULL)
		return;
	lane->share->all.hungry = true;
	exchange(lane);
}

static void
on_look(void *arg)
{
	lane_renew(arg);
}

void
lane_renew(struct lane *lane)
{
	if (lane->state != LANE_ACTIVE || lane->exchanging)
		return;
	lane->renewing = true; /* also looks for work whose wake-up was lost */
	exchange(lane);
}

void
lane_stop(struct lane *lane)
{
	lane->stopping = true;
	for (struct turn *turn = lane->turns; turn != NULL; turn = turn->next)
		turn_stop(turn);
	exchange(lane);
}

void
lane_quiet(struct lane *lane, bool quiet)
{
	lane->quiet = quiet;
	set_hungry(lane, !quiet && lane->state == LANE_ACTIVE);
	for (struct turn *turn = lane->turns; quiet && turn != NULL; turn = turn->next)
		turn_stop(turn);
	exchange(lane); /* hands in, or asks for work */
}

/* ---- the lease's start ----------------------------------------------------------------------- */

static void
on_joined(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct lane *lane = arg;

	(void)value;
	lane->joining = false;
	if (lane->state != LANE_JOINING)
		return;
	if (strcmp(lane->joins, lane->worker) != 0) { /* asked for under an earlier session */
		loop_timer_in(lane->rejoin, 0);
		return;
	}
	if (code != SL_OK) { /* Redis away or being rebuilt: the session stays, try again */
		log_debug("join_failed", "shard=%d code=%s error=%s", lane->shard,
			  sl_code_name(code), log_text(error != NULL ? error->text : ""));
		loop_timer_in(lane->rejoin, REJOIN_MS);
		return;
	}
	lane->state = LANE_ACTIVE;
	set_hungry(lane, true);
	log_info("worker_ready", "worker=%s shard=%d", lane->worker, lane->shard);
	lane->events->joined(lane->arg, lane->shard);
	exchange(lane);
	wait_for_work(lane);
}

static void
on_rejoin(void *arg)
{
	struct lane *lane = arg;

	if (lane->state != LANE_JOINING)
		return;
	if (lane->joining || !queue_is_up(lane->queue)) {
		loop_timer_in(lane->rejoin, REJOIN_MS);
		return;
	}
	lane->joining = true;
	memcpy(lane->joins, lane->worker, sizeof(lane->joins));
	lease_join(lane->queue, lane->worker, lane->ttl_ms, on_joined, lane);
}

void
lane_join(struct lane *lane)
{
	assert(lane->state == LANE_OUT);
	lane->state = LANE_JOINING;
	new_lease_name(lane);
	loop_timer_in(lane->rejoin, 0);
}

struct lane *
lane_new(struct daemon *daemon, int shard, int64_t ttl_ms, struct room *room,
	 const struct lane_events *events, void *arg)
{
	struct lane *lane = sl_alloc(sizeof(*lane));

	lane->daemon = daemon;
	lane->queue = daemon->queues[shard];
	lane->shard = shard;
	lane->ttl_ms = ttl_ms;
	lane->room = room;
	lane->share = &room->shares[shard];
	lane->events = events;
	lane->arg = arg;
	lane->held = held_new();
	lane->rejoin = loop_timer_new(daemon->loop, on_rejoin, lane);
	lane->hand_timer = loop_timer_new(daemon->loop, on_hand_timer, lane);
	lane->look = loop_timer_new(daemon->loop, on_look, lane);
	return lane;
}

void
lane_free(struct lane *lane)
{
	if (lane == NULL)
		return;
	loop_timer_free(lane->rejoin);
	loop_timer_free(lane->hand_timer);
	loop_timer_free(lane->look);
	held_free(lane->held);
	while (lane->turns != NULL) {
		struct turn *turn = lane->turns;

		lane->turns = turn->next;
		turn->attempt = NULL;
		turn->settling = 0;
		turn_free(turn);
	}
	free(lane);
}
