#include "queue/overview.h"

#include <assert.h>
#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "base/alloc.h"
#include "queue/core.h"
#include "queue/redis_reply.h"

#define PER_ENVIRONMENT 4
#define PER_LINE (2 + 2 * OVERVIEW_LANES)

struct overview {
	overview_cb *cb;
	void *arg;
};

static void
add_lanes(struct overview_lane *sum, const struct overview_lane *lanes)
{
	for (int lane = 0; lane < OVERVIEW_LANES; lane++) {
		sum[lane].depth += lanes[lane].depth;
		if (lanes[lane].oldest_ms > sum[lane].oldest_ms)
			sum[lane].oldest_ms = lanes[lane].oldest_ms;
	}
}

static void
read_line(struct redisReply *const *values, struct overview_line *line)
{
	line->key_id = values[0]->integer;
	line->running = (int)values[1]->integer;
	line->oldest_ms = -1;
	for (int lane = 0; lane < OVERVIEW_LANES; lane++) {
		line->lanes[lane].depth = values[2 + 2 * lane]->integer;
		line->lanes[lane].oldest_ms = values[3 + 2 * lane]->integer;
		line->depth += line->lanes[lane].depth;
		if (line->lanes[lane].oldest_ms > line->oldest_ms)
			line->oldest_ms = line->lanes[lane].oldest_ms;
	}
}

/* out->line is the caller's to free. */
static void
read_environment(struct redisReply *const *values, struct overview_environment *out)
{
	const struct redisReply *lines = values[3];
	struct overview_line *line;

	out->environment_id = values[0]->integer;
	out->depth = values[1]->integer;
	out->lines = values[2]->integer;
	out->line_count = (int)(lines->elements / PER_LINE);
	out->oldest_ms = -1;
	for (int lane = 0; lane < OVERVIEW_LANES; lane++)
		out->lanes[lane].oldest_ms = -1;
	out->line = line = sl_calloc((size_t)out->line_count + 1, sizeof(*line));
	for (int i = 0; i < out->line_count; i++) {
		read_line(&lines->element[i * PER_LINE], &line[i]);
		add_lanes(out->lanes, line[i].lanes);
		out->running += line[i].running;
		if (line[i].oldest_ms > out->oldest_ms)
			out->oldest_ms = line[i].oldest_ms;
	}
}

static bool
are_integers(const struct redisReply *reply)
{
	for (size_t i = 0; i < reply->elements; i++)
		if (reply->element[i]->type != REDIS_REPLY_INTEGER)
			return false;
	return reply->elements % PER_LINE == 0;
}

static bool
is_overview(const struct redisReply *reply)
{
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements % PER_ENVIRONMENT != 0)
		return false;
	for (size_t i = 0; i < reply->elements; i++) {
		const struct redisReply *value = reply->element[i];

		if (i % PER_ENVIRONMENT < 3
			? value->type != REDIS_REPLY_INTEGER
			: value->type != REDIS_REPLY_ARRAY || !are_integers(value))
			return false;
	}
	return true;
}

static void
on_overview(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct overview *ask = arg;
	struct overview_environment *environments;
	struct sl_error why;
	int count;

	if (error == NULL && !is_overview(reply)) {
		redis_unexpected(&why, "overview", "four values for each environment", reply);
		error = &why;
	}
	if (error != NULL) {
		ask->cb(ask->arg, error->code, NULL, 0, error);
		free(ask);
		return;
	}
	count = (int)(reply->elements / PER_ENVIRONMENT);
	environments = sl_calloc((size_t)count + 1, sizeof(*environments));
	for (int i = 0; i < count; i++)
		read_environment(&reply->element[i * PER_ENVIRONMENT], &environments[i]);
	ask->cb(ask->arg, SL_OK, environments, count, NULL);
	for (int i = 0; i < count; i++)
		free((void *)(uintptr_t)environments[i].line);
	free(environments);
	free(ask);
}

void
queue_overview(struct queue *queue, const int64_t *ids, int count, overview_cb *cb, void *arg)
{
	static const enum key_noun nouns[] = {KEY_DEPTHS, KEY_SLOTS, KEY_HELD, KEY_FRONTS,
					      KEY_LONG};
	const int noun_count = (int)(sizeof(nouns) / sizeof(nouns[0]));
	struct queue_call *call = queue_call_new(queue, SCRIPT_OVERVIEW, 1 + noun_count, true);
	struct overview *ask = sl_alloc(sizeof(*ask));

	assert(count >= 0 && count <= OVERVIEW_ENVIRONMENTS_MAX);
	ask->cb = cb;
	ask->arg = arg;
	for (int i = 0; i < noun_count; i++)
		queue_call_key(call, nouns[i]);
	queue_call_epoch(call);
	redis_args_text(queue_call_args(call), queue->keys.prefix);
	redis_args_int(queue_call_args(call), OVERVIEW_LINES_MAX);
	for (int i = 0; i < count; i++)
		redis_args_int(queue_call_args(call), ids[i]);
	queue_call_send(call, on_overview, ask);
}

void
queue_runs(struct queue *queue, int64_t key_id, int64_t seq, queue_cb *cb, void *arg)
{
	struct queue_call *call = queue_call_new(queue, SCRIPT_RUNS, 3, true);

	queue_call_key(call, KEY_SLOTS);
	queue_call_key(call, KEY_HELD);
	queue_call_epoch(call);
	redis_args_text(queue_call_args(call), queue->keys.prefix);
	redis_args_int(queue_call_args(call), key_id);
	redis_args_int(queue_call_args(call), seq);
	queue_call_send(call, queue_ask_integer, queue_ask_new(queue, cb, arg));
}
