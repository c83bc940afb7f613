#include "daemon/backlog.h"

#include <assert.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/map.h"

#define RATE_MS 200 /* between two samples of what drains */
#define RETRY_UNKNOWN_S 2
#define RETRY_MAX_S 30
#define RETRY_NODE_S 5

struct place { /* of an environment; gone when all is 0 */
	int64_t environment_id;
	int64_t depth;   /* in Redis */
	int64_t held;    /* let in, neither pushed nor left */
	int64_t left;    /* push failed */
	int64_t sampled; /* depth at sampled_ms */
	int64_t sampled_ms;
	int64_t pushed; /* by this node, since */
	double per_s;   /* drained a second, smoothed; negative: not known */
};

struct shard {
	int64_t bad_ms; /* when a push failed last */
	bool stuck;     /* and none has got through since */
};

struct backlog {
	int64_t queued_max, node_max;
	struct map *places;
	int64_t held, left; /* of all places */
	struct shard *shards;
	int shard_count;
};

void
backlog_bounds(struct backlog *backlog, int64_t queued_max, int64_t node_max)
{
	backlog->queued_max = queued_max;
	backlog->node_max = node_max;
}

struct backlog *
backlog_new(int64_t queued_max, int64_t node_max, int shards)
{
	struct backlog *backlog = sl_alloc(sizeof(*backlog));

	backlog_bounds(backlog, queued_max, node_max);
	backlog->places = map_new();
	backlog->shards = sl_calloc((size_t)shards, sizeof(*backlog->shards));
	backlog->shard_count = shards;
	return backlog;
}

void
backlog_free(struct backlog *backlog)
{
	if (backlog == NULL)
		return;
	map_free(backlog->places, free);
	free(backlog->shards);
	free(backlog);
}

static struct place *
place_of(struct backlog *backlog, int64_t environment_id)
{
	struct place *place = map_get_int(backlog->places, environment_id);

	if (place != NULL)
		return place;
	place = sl_alloc(sizeof(*place));
	place->environment_id = environment_id;
	place->per_s = -1;
	map_put_int(backlog->places, environment_id, place);
	return place;
}

static void
drop_if_empty(struct backlog *backlog, struct place *place)
{
	if (place->depth > 0 || place->held > 0 || place->left > 0)
		return;
	map_remove_int(backlog->places, place->environment_id);
	free(place);
}

static int64_t
estimate(const struct place *place)
{
	return place->depth + place->held + place->left;
}

int64_t
backlog_estimate(const struct backlog *backlog, int64_t environment_id)
{
	const struct place *place = map_get_int(backlog->places, environment_id);

	return place != NULL ? estimate(place) : 0;
}

int64_t
backlog_held(const struct backlog *backlog)
{
	return backlog->held + backlog->left;
}

int64_t
backlog_left(const struct backlog *backlog)
{
	return backlog->left;
}

bool
backlog_is_full(const struct backlog *backlog)
{
	return backlog_held(backlog) >= backlog->node_max;
}

bool
backlog_is_stuck(const struct backlog *backlog, int shard)
{
	return backlog->shards[shard].stuck;
}

enum backlog_verdict
backlog_judge(const struct backlog *backlog, int64_t environment_id)
{
	if (backlog_is_full(backlog))
		return BACKLOG_NODE_FULL;
	if (backlog_estimate(backlog, environment_id) >= backlog->queued_max)
		return BACKLOG_QUEUE_FULL;
	return BACKLOG_FINE;
}

void
backlog_enter(struct backlog *backlog, int64_t environment_id)
{
	place_of(backlog, environment_id)->held++;
	backlog->held++;
}

void
backlog_push_good(struct backlog *backlog, int shard)
{
	backlog->shards[shard].stuck = false;
}

void
backlog_leave(struct backlog *backlog, int64_t environment_id, enum backlog_fate fate,
	      int64_t now_ms)
{
	struct place *place = place_of(backlog, environment_id);
	struct shard *shard = &backlog->shards[environment_id % backlog->shard_count];

	assert(place->held > 0 && backlog->held > 0);
	place->held--;
	backlog->held--;
	switch (fate) {
	case BACKLOG_PUSHED:
		place->pushed++;
		shard->stuck = false;
		break;
	case BACKLOG_LEFT:
		place->left++;
		backlog->left++;
		shard->bad_ms = now_ms;
		shard->stuck = true;
		break;
	case BACKLOG_GONE:
		break;
	}
	drop_if_empty(backlog, place);
}

void
backlog_depth(struct backlog *backlog, int64_t environment_id, int64_t depth, int64_t now_ms)
{
	struct place *place = place_of(backlog, environment_id);
	int64_t took_ms = now_ms - place->sampled_ms;

	place->depth = depth > 0 ? depth : 0;
	if (place->sampled_ms == 0 || took_ms >= RATE_MS) {
		double drained = (double)(place->sampled + place->pushed - depth);
		double per_s = drained > 0 ? drained * 1000 / (double)took_ms : 0;

		if (place->sampled_ms != 0)
			place->per_s = place->per_s < 0 ? per_s : 0.7 * place->per_s + 0.3 * per_s;
		place->sampled = depth;
		place->sampled_ms = now_ms;
		place->pushed = 0;
	}
	drop_if_empty(backlog, place);
}

static void
forget_left(struct backlog *backlog, int shard)
{
	size_t at = 0;
	void *value;

	while (map_each(backlog->places, &at, &value)) {
		struct place *place = value;

		if (place->environment_id % backlog->shard_count != shard)
			continue;
		backlog->left -= place->left;
		place->left = 0;
		drop_if_empty(backlog, place);
	}
}

void
backlog_rebuilt(struct backlog *backlog, int shard)
{
	backlog->shards[shard].stuck = false;
	forget_left(backlog, shard);
}

void
backlog_swept(struct backlog *backlog, int64_t now_ms)
{
	for (int i = 0; i < backlog->shard_count && backlog->left > 0; i++) {
		const struct shard *shard = &backlog->shards[i];

		if (!shard->stuck && now_ms - shard->bad_ms >= BACKLOG_SWEPT_MS)
			forget_left(backlog, i);
	}
}

/* Until there is room for a tenth of the bound, so that not all come back for one place. */
int
backlog_retry_s(const struct backlog *backlog, int64_t environment_id)
{
	const struct place *place = map_get_int(backlog->places, environment_id);
	int64_t over;
	double wait_s;

	if (backlog_is_full(backlog))
		return RETRY_NODE_S;
	if (place == NULL || place->per_s < 0)
		return RETRY_UNKNOWN_S;
	over = estimate(place) - backlog->queued_max + backlog->queued_max / 10 + 1;
	wait_s = place->per_s > 0 ? (double)over / place->per_s : RETRY_MAX_S;
	if (wait_s >= RETRY_MAX_S)
		return RETRY_MAX_S;
	return wait_s <= 1 ? 1 : (int)wait_s + 1;
}

int
backlog_near(const struct backlog *backlog, size_t *at, int64_t *ids, int max)
{
	int count = 0;
	void *value;

	while (count < max && map_each(backlog->places, at, &value)) {
		const struct place *place = value;

		if (2 * estimate(place) >= backlog->queued_max)
			ids[count++] = place->environment_id;
	}
	return count;
}
