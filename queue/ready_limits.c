/* queue/ready_limits.c - how many slots keys have; see ready.h.
 *
 * The limits are asked for by digest first: they seldom change, and there may be many. */
#include "queue/ready.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/secret.h"
#include "queue/core.h"
#include "queue/redis_reply.h"

#define ANOTHER_TYPE (-2)

struct limits {
	struct queue *queue;
	queue_cb *cb;
	void *arg;
	int count;
	struct ready_limit *limits; /* owned; by key, without those of 1 */
	char digest[SECRET_SHA256_HEX];
	bool whole; /* they were sent */
};

static void limits_send(struct limits *limits);

static int
by_key(const void *a, const void *b)
{
	const struct ready_limit *one = a, *other = b;

	return one->key_id < other->key_id ? -1 : one->key_id > other->key_id;
}

/* "" when each key has one slot: then the hash is not there at all. */
static void
limits_digest(struct limits *limits)
{
	struct slice bytes = {(const char *)limits->limits,
			      (size_t)limits->count * sizeof(*limits->limits)};

	if (limits->count > 0)
		secret_sha256_hex(bytes, limits->digest);
}

static void
limits_end(struct limits *limits, enum sl_code code, int64_t value, const struct sl_error *error)
{
	limits->cb(limits->arg, code, value, error);
	free(limits->limits);
	free(limits);
}

/* {-2}, or {as asked for, keys that would have expired} */
static void
on_limits(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct limits *limits = arg;
	struct sl_error why;
	bool integers = error == NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
			reply->element[0]->type == REDIS_REPLY_INTEGER;

	if (error != NULL) {
		limits_end(limits, error->code, 0, error);
	} else if (integers && reply->element[0]->integer == ANOTHER_TYPE) {
		log_error(
		    "queue_key_type",
		    "shard=%d error=\"a key of the shard is of another type: it is built anew\"",
		    limits->queue->shard);
		sl_fail(&why, SL_CONFLICT, "epoch");
		limits_end(limits, why.code, 0, &why);
	} else if (!integers || reply->elements != 2 ||
		   reply->element[1]->type != REDIS_REPLY_INTEGER) {
		redis_unexpected(&why, "limits", "two integers", reply);
		limits_end(limits, why.code, 0, &why);
	} else {
		if (reply->element[1]->integer > 0)
			log_warn("queue_mended", "shard=%d keys_that_would_expire=%lld",
				 limits->queue->shard, reply->element[1]->integer);
		if (reply->element[0]->integer == 1) {
			limits_end(limits, SL_OK, limits->whole, NULL);
			return;
		}
		limits->whole = true;
		limits_send(limits);
	}
}

static void
limits_send(struct limits *limits)
{
	static const enum key_noun nouns[] = {
	    KEY_LIMITS,     KEY_READY,   KEY_TURN,       KEY_HELD,     KEY_SLOTS,
	    KEY_WAKE,       KEY_WORKERS, KEY_FRONTS,     KEY_DEPTHS,   KEY_CALLS,
	    KEY_CALL_BYTES, KEY_LONG,    KEY_LONG_READY, KEY_LONG_WAKE};
	const int noun_count = (int)(sizeof(nouns) / sizeof(nouns[0]));
	struct queue_call *call =
	    queue_call_new(limits->queue, SCRIPT_LIMITS, 1 + noun_count, true);
	struct redis_args *args = queue_call_args(call);

	for (int i = 0; i < noun_count; i++)
		queue_call_key(call, nouns[i]);
	queue_call_epoch(call);
	redis_args_text(args, limits->queue->keys.prefix);
	redis_args_text(args, limits->digest);
	redis_args_text(args, limits->whole ? "=" : "?");
	for (int i = 0; i < limits->count && limits->whole; i++) {
		redis_args_int(args, limits->limits[i].key_id);
		redis_args_int(args, limits->limits[i].slots);
	}
	queue_call_send(call, on_limits, limits);
}

void
ready_limits(struct queue *queue, const struct ready_limit *limits, int count, queue_cb *cb,
	     void *arg)
{
	struct limits *all = sl_alloc(sizeof(*all));

	assert(count >= 0 && count <= READY_LIMITS_MAX);
	all->queue = queue;
	all->cb = cb;
	all->arg = arg;
	all->limits = sl_calloc((size_t)count + 1, sizeof(*all->limits));
	for (int i = 0; i < count; i++) {
		struct ready_limit *limit = &all->limits[all->count];

		assert(limits[i].slots >= 0 && limits[i].slots <= KEYS_SLOTS_MAX);
		if (limits[i].slots == 1)
			continue;
		limit->key_id = limits[i].key_id; /* not the padding: it is digested */
		limit->slots = limits[i].slots;
		all->count++;
	}
	qsort(all->limits, (size_t)all->count, sizeof(*all->limits), by_key);
	limits_digest(all);
	limits_send(all);
}
