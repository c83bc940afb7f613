/* queue/ready_ask.c - what is asked about lists; see ready.h. */
#include "queue/ready.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "base/alloc.h"
#include "base/log.h"
#include "queue/core.h"
#include "queue/redis_reply.h"

#define SEQ_DIGITS 12

struct missing_ask {
	struct queue *queue;
	int64_t key_id;
	ready_missing_cb *cb;
	void *arg;
	int count;
};

static struct queue_call *
list_call(struct queue *queue, enum script_id id, const enum key_noun *nouns, int count,
	  int64_t key_id)
{
	struct queue_call *call = queue_call_new(queue, id, 1 + count, true);

	for (int i = 0; i < count; i++)
		queue_call_key(call, nouns[i]);
	queue_call_epoch(call);
	redis_args_text(queue_call_args(call), queue->keys.prefix);
	redis_args_int(queue_call_args(call), key_id);
	return call;
}

static void
add_seq(struct queue_call *call, int64_t seq)
{
	char text[24];

	snprintf(text, sizeof(text), "%0*" PRId64, SEQ_DIGITS, seq);
	redis_args_text(queue_call_args(call), text);
}

static enum ready_place
place_of(char mark)
{
	if (mark == '1')
		return READY_MISSING;
	return mark == '2' ? READY_WAITS : READY_THERE;
}

static void
on_missing(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct missing_ask *ask = arg;
	enum ready_place *places;
	struct sl_error why;

	if (error == NULL && (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
			      reply->element[0]->type != REDIS_REPLY_STRING ||
			      reply->element[0]->len != (size_t)ask->count ||
			      reply->element[1]->type != REDIS_REPLY_INTEGER)) {
		redis_unexpected(&why, "missing", "a character per seq and a count", reply);
		error = &why;
	}
	if (error != NULL) {
		ask->cb(ask->arg, error->code, NULL, 0);
		free(ask);
		return;
	}
	if (reply->element[1]->integer > 0)
		log_warn("queue_mended", "shard=%d key=%lld repairs=%lld", ask->queue->shard,
			 (long long)ask->key_id, reply->element[1]->integer);
	places = sl_calloc((size_t)ask->count, sizeof(*places));
	for (int i = 0; i < ask->count; i++)
		places[i] = place_of(reply->element[0]->str[i]);
	ask->cb(ask->arg, SL_OK, places, ask->count);
	free(places);
	free(ask);
}

void
ready_missing(struct queue *queue, int64_t key_id, const int64_t *seqs, int count,
	      ready_missing_cb *cb, void *arg)
{
	struct missing_ask *ask = sl_alloc(sizeof(*ask));
	static const enum key_noun nouns[] = {KEY_SLOTS, KEY_HELD,       KEY_READY,
					      KEY_TURN,  KEY_WAKE,       KEY_LIMITS,
					      KEY_LONG,  KEY_LONG_READY, KEY_LONG_WAKE};
	struct queue_call *call = list_call(queue, SCRIPT_MISSING, nouns,
					    (int)(sizeof(nouns) / sizeof(nouns[0])), key_id);

	assert(count > 0 && count <= READY_MISSING_MAX);
	ask->queue = queue;
	ask->key_id = key_id;
	ask->cb = cb;
	ask->arg = arg;
	ask->count = count;
	for (int i = 0; i < count; i++)
		add_seq(call, seqs[i]);
	queue_call_send(call, on_missing, ask);
}

static void
on_position(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct queue_ask *ask = arg;
	struct sl_error why;

	if (error == NULL && (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
			      reply->element[1]->type != REDIS_REPLY_INTEGER)) {
		redis_unexpected(&why, "position", "two integers", reply);
		error = &why;
	}
	if (error != NULL)
		queue_ask_done(ask, error->code, 0, error);
	else
		queue_ask_done(ask, SL_OK, reply->element[1]->integer, NULL);
}

void
ready_position(struct queue *queue, int64_t key_id, int64_t seq, queue_cb *cb, void *arg)
{
	static const enum key_noun nouns[] = {KEY_SLOTS};
	struct queue_call *call = list_call(queue, SCRIPT_POSITION, nouns, 1, key_id);

	add_seq(call, seq);
	queue_call_send(call, on_position, queue_ask_new(queue, cb, arg));
}

void
ready_environment_depth(struct queue *queue, int64_t environment_id, queue_cb *cb, void *arg)
{
	struct queue_call *call = queue_call_new(queue, SCRIPT_DEPTH, 3, true);

	queue_call_key(call, KEY_DEPTHS);
	queue_call_key(call, KEY_SLOTS);
	queue_call_epoch(call);
	redis_args_text(queue_call_args(call), queue->keys.prefix);
	redis_args_int(queue_call_args(call), environment_id);
	queue_call_send(call, queue_ask_integer, queue_ask_new(queue, cb, arg));
}
