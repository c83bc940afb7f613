#include "daemon/deliver/lane.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "base/alloc.h"
#include "base/map.h"

#define IDLE_MS (3600 * 1000)
#define CLAIM_MIN 16
#define CLAIM_MAX 64

struct lane {
	int64_t endpoint_id;
	int under_way, slow; /* slow: of these */
	int given, took;     /* by the claim in flight */
	bool proven;         /* has answered 2xx, and not failed since */
	bool more;           /* the last claim took all that it might */
	bool tripped;        /* the breaker was opened, and it has only failed since */
	bool timed_out;      /* and likewise its last failure was that */
	bool listed;         /* in the claim in flight */
	int64_t open_ms;     /* until then failures are no news; 0: no */
	int64_t failed_ms[LANE_FAILURES];
	int failures; /* of these, the last of them at the end */
	int64_t used_ms;
	TAILQ_ENTRY(lane) by_use, by_work;
	bool at_work; /* in `working`: under_way > 0 or more */
};

TAILQ_HEAD(lane_list, lane);

struct lanes {
	struct map *by_id;
	struct lane_list all;     /* roughly the one used longest ago first */
	struct lane_list working; /* those with something under way, or to be taken */
	int places, per_endpoint;
	int at_work[2]; /* lanes in `working`: that are not trusted, that are */
	int under_way;
	int doubtful;                 /* of these, of lanes that are not trusted */
	int room;                     /* of the claim in flight */
	struct delivery_lane *listed; /* owned */
	int listed_count, listed_size;
};

static bool
is_trusted(const struct lane *lane)
{
	return lane->proven && lane->slow == 0;
}

/* Any change of what is_trusted() looks at goes between these two. */
static void
lane_out(struct lanes *lanes, const struct lane *lane)
{
	lanes->under_way -= lane->under_way;
	lanes->doubtful -= is_trusted(lane) ? 0 : lane->under_way;
	lanes->at_work[is_trusted(lane)] -= lane->at_work;
	assert(lanes->under_way >= 0 && lanes->doubtful >= 0);
}

static void
lane_in(struct lanes *lanes, struct lane *lane)
{
	bool works = lane->under_way > 0 || lane->more;

	lanes->under_way += lane->under_way;
	lanes->doubtful += is_trusted(lane) ? 0 : lane->under_way;
	if (works && !lane->at_work)
		TAILQ_INSERT_TAIL(&lanes->working, lane, by_work);
	else if (!works && lane->at_work)
		TAILQ_REMOVE(&lanes->working, lane, by_work);
	lane->at_work = works;
	lanes->at_work[is_trusted(lane)] += works;
}

static void
lane_drop(struct lanes *lanes, struct lane *lane)
{
	assert(lane->under_way == 0);
	if (lane->at_work)
		TAILQ_REMOVE(&lanes->working, lane, by_work);
	lanes->at_work[is_trusted(lane)] -= lane->at_work;
	TAILQ_REMOVE(&lanes->all, lane, by_use);
	(void)map_remove_int(lanes->by_id, lane->endpoint_id);
	free(lane);
}

static struct lane *
lane_make(struct lanes *lanes, int64_t endpoint_id)
{
	struct lane *lane = TAILQ_FIRST(&lanes->all), *next;

	for (; lane != NULL && map_count(lanes->by_id) >= LANES_KEPT; lane = next) {
		next = TAILQ_NEXT(lane, by_use);
		if (!lane->at_work && !lane->listed)
			lane_drop(lanes, lane);
	}
	lane = sl_alloc(sizeof(*lane));
	lane->endpoint_id = endpoint_id;
	TAILQ_INSERT_TAIL(&lanes->all, lane, by_use);
	map_put_int(lanes->by_id, endpoint_id, lane);
	return lane;
}

static void
lane_use(struct lanes *lanes, struct lane *lane, int64_t now_ms)
{
	lane->used_ms = now_ms;
	TAILQ_REMOVE(&lanes->all, lane, by_use);
	TAILQ_INSERT_TAIL(&lanes->all, lane, by_use);
}

/* ---- claims ---------------------------------------------------------------------------------- */

static int
between(int low, int value, int high)
{
	return value < low ? low : value > high ? high : value;
}

static int
free_places(const struct lanes *lanes)
{
	return between(0, lanes->places - lanes->under_way, lanes->places);
}

/* Of those for endpoints that are trusted: their half is theirs, though others that were trusted
 * hold more than the other one. */
static int
trusted_places(const struct lanes *lanes)
{
	int half = lanes->places - lanes->places / 2;
	int own = half - (lanes->under_way - lanes->doubtful), all = free_places(lanes);
	int most = LANES_OVER * lanes->places - lanes->under_way;

	return between(0, own > all ? own : all, most > 0 ? most : 0);
}

/* Of those for endpoints that are not trusted. */
static int
doubtful_places(const struct lanes *lanes)
{
	int half = lanes->places / 2;

	return between(0, half - lanes->doubtful, free_places(lanes));
}

static int
lane_room(const struct lanes *lanes, const struct lane *lane)
{
	bool trusted = is_trusted(lane);
	int spare = (trusted ? trusted_places(lanes) : doubtful_places(lanes)) / 8;
	int share = (trusted ? lanes->places : lanes->places / 2) /
		    between(1, lanes->at_work[trusted], lanes->places);
	int most = between(1, spare < share ? spare : share, lanes->per_endpoint);

	/* Over the places: who stopped to answer as others did is found out by one try each. */
	if (!lane->proven || lanes->under_way >= lanes->places)
		most = 1;
	return between(0, most - lane->under_way, most);
}

static void
list_lane(struct lanes *lanes, struct lane *lane, int room)
{
	if (lanes->listed_count == lanes->listed_size) {
		lanes->listed_size = lanes->listed_size > 0 ? 2 * lanes->listed_size : 64;
		lanes->listed =
		    sl_realloc(lanes->listed, (size_t)lanes->listed_size * sizeof(*lanes->listed));
	}
	lanes->listed[lanes->listed_count++] =
	    (struct delivery_lane){.endpoint_id = lane->endpoint_id, .room = room};
	lane->listed = true;
	lane->given = room;
}

/* Trusted ones that are idle: in turn, since there may be more of them than a claim names. */
static void
list_idle(struct lanes *lanes)
{
	struct lane *lane = TAILQ_FIRST(&lanes->all), *next;
	size_t left = map_count(lanes->by_id);
	int listed = 0;

	for (; left > 0 && listed < LANES_LISTED; left--, lane = next) {
		next = TAILQ_NEXT(lane, by_use);
		TAILQ_REMOVE(&lanes->all, lane, by_use);
		TAILQ_INSERT_TAIL(&lanes->all, lane, by_use);
		if (lane->at_work || !is_trusted(lane))
			continue;
		list_lane(lanes, lane, lane_room(lanes, lane));
		listed++;
	}
}

bool
lanes_ask(struct lanes *lanes, enum lanes_claim kind, struct delivery_ask *ask)
{
	int room = kind == LANES_ALL ? doubtful_places(lanes) : trusted_places(lanes), most;
	struct lane *lane;

	most = between(CLAIM_MIN, room / 4, CLAIM_MAX);
	lanes->listed_count = 0;
	lanes->room = between(0, room, most);
	if (lanes->room == 0 ||
	    (kind == LANES_TRUSTED && doubtful_places(lanes) > lanes->places / 16))
		return false;
	TAILQ_FOREACH(lane, &lanes->working, by_work)
	if (kind == LANES_ALL || is_trusted(lane))
		list_lane(lanes, lane, lane_room(lanes, lane));
	if (kind == LANES_TRUSTED)
		list_idle(lanes);
	ask->room = lanes->room;
	ask->fresh_room = kind == LANES_ALL ? 1 : 0;
	ask->lanes = lanes->listed;
	ask->lane_count = lanes->listed_count;
	return kind == LANES_ALL || lanes->listed_count > 0;
}

static void
take(struct lanes *lanes, int64_t endpoint_id, int64_t now_ms)
{
	struct lane *lane = map_get_int(lanes->by_id, endpoint_id);

	if (lane == NULL)
		lane = lane_make(lanes, endpoint_id);
	if (!lane->listed)
		list_lane(lanes, lane, 1);
	lane_out(lanes, lane);
	lane->under_way++;
	lane->took++;
	lane_in(lanes, lane);
	lane_use(lanes, lane, now_ms);
}

bool
lanes_claimed(struct lanes *lanes, const struct delivery_claimed *rows, int count, int64_t now_ms)
{
	bool full = count >= lanes->room, more = full;

	for (int i = 0; i < count; i++)
		take(lanes, rows[i].endpoint_id, now_ms);
	for (int i = 0; i < lanes->listed_count; i++) {
		struct lane *lane = map_get_int(lanes->by_id, lanes->listed[i].endpoint_id);

		lane_out(lanes, lane);
		if (lane->given > 0 && lane->took >= lane->given)
			lane->more = true;
		else if (lane->given > 0 && !full)
			lane->more = false;
		lane->given = lane->took = 0;
		lane->listed = false;
		lane_in(lanes, lane);
		more = more || (lane->more && lane_room(lanes, lane) > 0);
	}
	lanes->listed_count = 0;
	return more;
}

/* ---- tries ----------------------------------------------------------------------------------- */

void
lanes_slow(struct lanes *lanes, int64_t endpoint_id)
{
	struct lane *lane = map_get_int(lanes->by_id, endpoint_id);

	lane_out(lanes, lane);
	lane->slow++;
	assert(lane->slow <= lane->under_way);
	lane_in(lanes, lane);
}

/* Have LANE_FAILURES come within their time, this one included? */
static bool
fails_fast(struct lane *lane, int64_t now_ms)
{
	if (lane->failures == LANE_FAILURES) {
		for (int i = 1; i < LANE_FAILURES; i++)
			lane->failed_ms[i - 1] = lane->failed_ms[i];
		lane->failures--;
	}
	lane->failed_ms[lane->failures++] = now_ms;
	return lane->failures == LANE_FAILURES && now_ms - lane->failed_ms[0] <= LANE_FAILURES_MS;
}

static int64_t
note_failure(struct lane *lane, bool timed_out, int64_t now_ms)
{
	bool opens = fails_fast(lane, now_ms) || lane->tripped || (timed_out && lane->timed_out);

	lane->proven = false;
	lane->timed_out = timed_out;
	if (!opens || now_ms < lane->open_ms) /* of those that were under way when it opened */
		return 0;
	lane->tripped = true;
	lane->failures = 0;
	lane->open_ms = now_ms + LANE_OPEN_MS;
	return LANE_OPEN_MS;
}

int64_t
lanes_answered(struct lanes *lanes, int64_t endpoint_id, enum lane_end end, int64_t now_ms)
{
	struct lane *lane = map_get_int(lanes->by_id, endpoint_id);
	int64_t open_ms = 0;

	lane_out(lanes, lane);
	switch (end) {
	case LANE_DELIVERED:
		lane->proven = true;
		lane->tripped = lane->timed_out = false;
		lane->failures = 0;
		lane->open_ms = 0;
		break;
	case LANE_FAILED:
	case LANE_TIMED_OUT:
		open_ms = note_failure(lane, end == LANE_TIMED_OUT, now_ms);
		break;
	case LANE_LEFT:
		break;
	}
	lane_in(lanes, lane);
	return open_ms;
}

bool
lanes_ended(struct lanes *lanes, int64_t endpoint_id, bool slow, int64_t now_ms)
{
	struct lane *lane = map_get_int(lanes->by_id, endpoint_id);

	lane_out(lanes, lane);
	assert(lane->under_way > 0 && lane->slow >= slow);
	lane->under_way--;
	lane->slow -= slow;
	lane_in(lanes, lane);
	lane_use(lanes, lane, now_ms);
	return lane->more;
}

/* ---- all ------------------------------------------------------------------------------------- */

int
lanes_under_way(const struct lanes *lanes)
{
	return lanes->under_way;
}

int
lanes_count(const struct lanes *lanes)
{
	return (int)map_count(lanes->by_id);
}

void
lanes_forget_idle(struct lanes *lanes, int64_t now_ms)
{
	struct lane *lane;

	while ((lane = TAILQ_FIRST(&lanes->all)) != NULL && lane->under_way == 0 && !lane->listed &&
	       now_ms - lane->used_ms > IDLE_MS)
		lane_drop(lanes, lane);
}

void
lanes_limit(struct lanes *lanes, int places, int per_endpoint)
{
	lanes->places = places;
	lanes->per_endpoint = per_endpoint;
}

struct lanes *
lanes_new(void)
{
	struct lanes *lanes = sl_alloc(sizeof(*lanes));

	lanes->by_id = map_new();
	TAILQ_INIT(&lanes->all);
	TAILQ_INIT(&lanes->working);
	return lanes;
}

void
lanes_free(struct lanes *lanes)
{
	if (lanes == NULL)
		return;
	map_free(lanes->by_id, free);
	free(lanes->listed);
	free(lanes);
}
