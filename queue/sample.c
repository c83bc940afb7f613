#include "queue/sample.h"

#include <stdio.h>
#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "base/alloc.h"
#include "queue/core.h"
#include "queue/redis_reply.h"

struct sample_ask {
	sample_depths_cb *depths_cb; /* one of the two */
	sample_lists_cb *lists_cb;
	void *arg;
};

static void
send_sample(struct queue *queue, const char *environment, uint64_t cursor, int count,
	    redis_reply_cb *cb, const struct sample_ask *ask)
{
	struct queue_call *call = queue_call_new(queue, SCRIPT_SAMPLE, 5, false);
	struct redis_args *args = queue_call_args(call);
	char text[24];

	queue_call_key(call, KEY_DEPTHS);
	queue_call_key(call, KEY_SLOTS);
	queue_call_key(call, KEY_HELD);
	queue_call_key(call, KEY_CALLS);
	queue_call_epoch(call);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)cursor);
	redis_args_text(args, queue->keys.prefix);
	redis_args_text(args, environment);
	redis_args_text(args, text);
	redis_args_int(args, count);
	queue_call_send(call, cb, sl_memdup(ask, sizeof(*ask)));
}

/* An array whose first element is a cursor. */
static bool
is_page(const struct redisReply *reply, size_t elements_min)
{
	return reply->type == REDIS_REPLY_ARRAY && reply->elements >= elements_min &&
	       reply->element[0]->type == REDIS_REPLY_STRING;
}

static int64_t
number_of(const struct redisReply *reply)
{
	if (reply->type == REDIS_REPLY_INTEGER)
		return reply->integer;
	return reply->type == REDIS_REPLY_STRING ? strtoll(reply->str, NULL, 10) : 0;
}

static void
on_depths(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct sample_ask *ask = arg;
	struct sample_depth *depths;
	struct sl_error why;
	int count = 0;

	if (error == NULL && (!is_page(reply, 2) || reply->elements % 2 != 0)) {
		redis_unexpected(&why, "sample", "a cursor, calls and depths", reply);
		error = &why;
	}
	if (error != NULL) {
		ask->depths_cb(ask->arg, error->code, 0, 0, NULL, 0);
		free(ask);
		return;
	}
	depths = sl_calloc(reply->elements, sizeof(*depths));
	for (size_t at = 2; at < reply->elements; at += 2)
		depths[count++] = (struct sample_depth){number_of(reply->element[at]),
							number_of(reply->element[at + 1])};
	ask->depths_cb(ask->arg, SL_OK, strtoull(reply->element[0]->str, NULL, 10),
		       number_of(reply->element[1]), depths, count);
	free(depths);
	free(ask);
}

void
sample_depths(struct queue *queue, uint64_t cursor, sample_depths_cb *cb, void *arg)
{
	const struct sample_ask ask = {.depths_cb = cb, .arg = arg};

	send_sample(queue, "", cursor, SAMPLE_ENVIRONMENTS, on_depths, &ask);
}

static void
on_lists(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct sample_ask *ask = arg;
	struct sample_lists lists = {{0}, {{NULL, 0}}};
	struct sl_error why;

	if (error == NULL && (!is_page(reply, 1) || reply->elements != 1 + 2 * SAMPLE_LANES)) {
		redis_unexpected(&why, "sample", "a cursor, three counts and three entries", reply);
		error = &why;
	}
	if (error != NULL) {
		ask->lists_cb(ask->arg, error->code, 0, &lists);
		free(ask);
		return;
	}
	for (int i = 0; i < SAMPLE_LANES; i++) {
		const struct redisReply *oldest = reply->element[1 + SAMPLE_LANES + i];

		lists.entries[i] = number_of(reply->element[1 + i]);
		if (oldest->type == REDIS_REPLY_STRING)
			lists.oldest[i] = (struct slice){oldest->str, oldest->len};
	}
	ask->lists_cb(ask->arg, SL_OK, strtoull(reply->element[0]->str, NULL, 10), &lists);
	free(ask);
}

void
sample_lists(struct queue *queue, int64_t environment_id, uint64_t cursor, sample_lists_cb *cb,
	     void *arg)
{
	const struct sample_ask ask = {.lists_cb = cb, .arg = arg};
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)environment_id);
	send_sample(queue, text, cursor, SAMPLE_KEYS, on_lists, &ask);
}
