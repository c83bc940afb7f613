#include "queue/lease.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "base/alloc.h"
#include "base/log.h"
#include "queue/core.h"
#include "queue/redis_reply.h"

#define HEAD_ELEMENTS 4 /* of the answer of exchange: deadline, lists put aside, calls, long keys */
#define TURN_ELEMENTS 4 /* then: slot's name, holder before, lane, envelopes */

bool
lease_name_ok(const char *name)
{
	size_t len =
	    strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	return len > 0 && len <= LEASE_WORKER_MAX && name[len] == '\0';
}

/* ---- join, expire, wake ---- */

void
lease_join(struct queue *queue, const char *worker, int64_t ttl_ms, queue_cb *cb, void *arg)
{
	struct queue_call *call = queue_call_new(queue, SCRIPT_JOIN, 2, false);

	assert(lease_name_ok(worker) && ttl_ms > 0);
	snprintf(queue->worker, sizeof(queue->worker), "%s", worker);
	queue_call_key(call, KEY_WORKERS);
	queue_call_epoch(call);
	redis_args_text(queue_call_args(call), worker);
	redis_args_int(queue_call_args(call), ttl_ms);
	queue_call_send(call, queue_ask_integer, queue_ask_new(queue, cb, arg));
}

void
lease_expire(struct queue *queue, const char *worker, queue_cb *cb, void *arg)
{
	static const enum key_noun nouns[] = {KEY_READY, KEY_HELD, KEY_WAKE,       KEY_WORKERS,
					      KEY_SLOTS, KEY_LONG, KEY_LONG_READY, KEY_LONG_WAKE};
	const int noun_count = (int)(sizeof(nouns) / sizeof(nouns[0]));
	struct queue_call *call = queue_call_new(queue, SCRIPT_EXPIRE, 1 + noun_count, false);

	assert(worker == NULL || lease_name_ok(worker));
	for (int i = 0; i < noun_count; i++)
		queue_call_key(call, nouns[i]);
	queue_call_epoch(call);
	redis_args_text(queue_call_args(call), queue->keys.prefix);
	redis_args_text(queue_call_args(call), worker != NULL ? worker : "");
	queue_call_send(call, queue_ask_integer, queue_ask_new(queue, cb, arg));
}

static void
on_old_lease_ended(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct queue *queue = arg;

	(void)value;
	if (code != SL_OK) /* lost again, and tried again; or another epoch */
		log_debug("lease_not_ended", "shard=%d error=%s", queue->shard,
			  log_text(error != NULL ? error->text : ""));
}

/* A server that is found again can have forgotten the last moments: a replica that was behind, a
 * restart from a file.  It may then say that the worker holds a key which the worker has handed in
 * since, and nobody would ever take that one.  So the lease ends, and the worker joins anew. */
void
lease_reconnected(struct queue *queue)
{
	if (queue->worker[0] != '\0' && queue->epoch[0] != '\0')
		lease_expire(queue, queue->worker, on_old_lease_ended, queue);
}

void
lease_wake(struct queue *queue, queue_cb *cb, void *arg)
{
	struct queue_call *call = queue_call_new(queue, SCRIPT_WAKE, 6, false);

	queue_call_key(call, KEY_READY);
	queue_call_key(call, KEY_WAKE);
	queue_call_key(call, KEY_CALLS);
	queue_call_key(call, KEY_LONG_READY);
	queue_call_key(call, KEY_LONG_WAKE);
	queue_call_epoch(call);
	queue_call_send(call, queue_ask_integer, queue_ask_new(queue, cb, arg));
}

void
lease_is_live(struct queue *queue, const char *worker, queue_cb *cb, void *arg)
{
	struct queue_call *call = queue_call_new(queue, SCRIPT_LIVE, 2, false);

	assert(lease_name_ok(worker));
	queue_call_key(call, KEY_WORKERS);
	queue_call_epoch(call);
	redis_args_text(queue_call_args(call), worker);
	queue_call_send(call, queue_ask_integer, queue_ask_new(queue, cb, arg));
}

/* ---- wait ---- */

static void
on_token(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct queue_ask *ask = arg;
	struct sl_error why;

	ask->queue->waiting = false;
	if (error != NULL) {
		if (error->code == SL_INTERNAL)
			log_error("queue_wait", "shard=%d error=%s", ask->queue->shard,
				  log_text(error->text));
		queue_ask_done(ask, error->code, 0, error);
	} else if (reply->type == REDIS_REPLY_NIL) {
		queue_ask_done(ask, SL_OK, 0, NULL);
	} else if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
		   reply->element[0]->type == REDIS_REPLY_STRING) {
		const char *list = ask->queue->keys.names[KEY_LONG_WAKE];

		queue_ask_done(ask, SL_OK,
			       strcmp(reply->element[0]->str, list) == 0 ? LEASE_TOKEN_LONG
									 : LEASE_TOKEN,
			       NULL);
	} else {
		redis_unexpected(&why, "BLPOP", "a token or nil", reply);
		queue_ask_done(ask, why.code, 0, &why);
	}
}

void
lease_wait(struct queue *queue, int64_t wait_ms, bool longs, queue_cb *cb, void *arg)
{
	struct redis_args args;
	char seconds[32];

	assert(!queue->waiting);
	if (wait_ms < 1)
		wait_ms = 1; /* 0 would wait for ever */
	snprintf(seconds, sizeof(seconds), "%" PRId64 ".%03d", wait_ms / 1000,
		 (int)(wait_ms % 1000));
	redis_args_init(&args);
	redis_args_text(&args, "BLPOP");
	redis_args_text(&args, queue->keys.names[KEY_WAKE]);
	if (longs)
		redis_args_text(&args, queue->keys.names[KEY_LONG_WAKE]);
	redis_args_text(&args, seconds);
	queue->waiting = true;
	redis_send(queue->waiter, &args, wait_ms, on_token, queue_ask_new(queue, cb, arg));
	redis_args_fini(&args);
}

/* ---- exchange ---- */

struct exchange {
	struct queue *queue;
	lease_exchange_cb *cb;
	void *arg;
	char worker[LEASE_WORKER_MAX + 1];
};

/* Decimal digits only, to their end. */
static bool
parse_number(const char *text, const char *end, int64_t *out)
{
	char *stop;

	if (text == end || *text < '0' || *text > '9')
		return false;
	errno = 0;
	*out = strtoll(text, &stop, 10);
	return errno == 0 && stop == end;
}

/* before: "" (nobody), the worker's own name (kept), or `session.random:tenure` with tenure `?`
 * when nothing is proved.  Cut in place, so that the turn's holder is a string. */
static bool
parse_holder(struct redisReply *before, const char *worker, struct lease_turn *turn)
{
	char *colon, *dot, *end;

	turn->holder_session = -1;
	turn->holder_tenure = -1;
	if (before->type != REDIS_REPLY_STRING)
		return false;
	turn->holder = before->str;
	turn->kept = strcmp(before->str, worker) == 0;
	if (turn->kept || before->len == 0)
		return true;
	end = before->str + before->len;
	colon = memrchr(before->str, ':', before->len);
	if (colon == NULL)
		return false;
	dot = memchr(before->str, '.', (size_t)(colon - before->str));
	if (dot == NULL || !parse_number(colon + 1, end, &turn->holder_tenure) ||
	    !parse_number(before->str, dot, &turn->holder_session)) {
		turn->holder_session = -1;
		turn->holder_tenure = -1;
	}
	*colon = '\0';
	return true;
}

static bool
parse_turn(struct redisReply *const *parts, const char *worker, struct lease_turn *turn,
	   struct slice *envelopes)
{
	const struct redisReply *name = parts[0], *lane = parts[2], *jobs = parts[3];

	if (name->type != REDIS_REPLY_STRING ||
	    !keys_slot_parse((struct slice){name->str, name->len}, &turn->key_id, &turn->slot))
		return false;
	if (!parse_holder(parts[1], worker, turn))
		return false;
	if (lane->type != REDIS_REPLY_STRING || lane->len != 1 ||
	    memchr("qfs", lane->str[0], 3) == NULL || (lane->str[0] != 's' && turn->slot != 0))
		return false;
	turn->lane = lane->str[0];
	if (jobs->type != REDIS_REPLY_ARRAY || jobs->elements == 0)
		return false;
	turn->count = (int)jobs->elements;
	turn->envelopes = envelopes;
	for (size_t i = 0; i < jobs->elements; i++) {
		if (jobs->element[i]->type != REDIS_REPLY_STRING)
			return false;
		envelopes[i] = (struct slice){jobs->element[i]->str, jobs->element[i]->len};
	}
	return true;
}

static void
exchange_fail(struct exchange *exchange, const struct sl_error *error)
{
	exchange->cb(exchange->arg, error->code, NULL, 0, NULL, error);
	free(exchange);
}

/* {HEAD_ELEMENTS integers, then TURN_ELEMENTS per turn} */
static bool
is_turns_reply(const struct redisReply *reply)
{
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements < HEAD_ELEMENTS ||
	    (reply->elements - HEAD_ELEMENTS) % TURN_ELEMENTS != 0)
		return false;
	for (size_t i = 0; i < HEAD_ELEMENTS; i++) {
		if (reply->element[i]->type != REDIS_REPLY_INTEGER)
			return false;
	}
	return true;
}

static void
on_turns(struct exchange *exchange, struct redisReply *reply)
{
	struct redisReply *const *parts = reply->element + HEAD_ELEMENTS;
	size_t count = (reply->elements - HEAD_ELEMENTS) / TURN_ELEMENTS, total = 0, used = 0;
	struct lease_turn *turns = sl_calloc(count + 1, sizeof(*turns));
	struct slice *envelopes;
	struct sl_error why;
	bool good = true;

	if (reply->element[1]->integer > 0)
		log_error("queue_list_put_aside", "shard=%d script=exchange lists=%lld",
			  exchange->queue->shard, reply->element[1]->integer);
	for (size_t i = 0; i < count; i++) {
		const struct redisReply *jobs = parts[i * TURN_ELEMENTS + 3];

		total += jobs->type == REDIS_REPLY_ARRAY ? jobs->elements : 0;
	}
	envelopes = sl_calloc(total + 1, sizeof(*envelopes));
	for (size_t i = 0; i < count && good; i++) {
		good = parse_turn(parts + i * TURN_ELEMENTS, exchange->worker, &turns[i],
				  envelopes + used);
		used += good ? (size_t)turns[i].count : 0;
	}
	if (good) {
		struct lease_waits waits = {.calls = reply->element[2]->integer,
					    .longs = reply->element[3]->integer};

		exchange->cb(exchange->arg, SL_OK, turns, (int)count, &waits, NULL);
		free(exchange);
	} else {
		redis_unexpected(&why, "exchange", "turns of slot, holder, lane and envelopes",
				 reply);
		exchange_fail(exchange, &why);
	}
	free(envelopes);
	free(turns);
}

static void
on_exchanged(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct exchange *exchange = arg;
	struct sl_error why;

	if (error != NULL) {
		exchange_fail(exchange, error);
		return;
	}
	if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 &&
	    reply->element[0]->type == REDIS_REPLY_INTEGER && reply->element[0]->integer == 0) {
		sl_fail(&why, SL_CONFLICT, "lease");
		exchange_fail(exchange, &why);
		return;
	}
	if (!is_turns_reply(reply)) {
		redis_unexpected(&why, "exchange", "a deadline and turns", reply);
		exchange_fail(exchange, &why);
		return;
	}
	on_turns(exchange, reply);
}

void
lease_exchange(struct queue *queue, const char *worker, int64_t ttl_ms,
	       const struct lease_want *want, const struct lease_hand *hands, int hand_count,
	       lease_exchange_cb *cb, void *arg)
{
	static const enum key_noun nouns[] = {
	    KEY_READY, KEY_TURN,  KEY_HELD,   KEY_WAKE, KEY_WORKERS,    KEY_FRONTS,   KEY_LIMITS,
	    KEY_SLOTS, KEY_CALLS, KEY_DEPTHS, KEY_LONG, KEY_LONG_READY, KEY_LONG_WAKE};
	const int noun_count = (int)(sizeof(nouns) / sizeof(nouns[0]));
	struct exchange *exchange = sl_alloc(sizeof(*exchange));
	struct queue_call *call = queue_call_new(queue, SCRIPT_EXCHANGE, 1 + noun_count, false);
	struct redis_args *args = queue_call_args(call);

	assert(lease_name_ok(worker) && ttl_ms > 0 && want->jobs > 0);
	assert(want->turns >= 0 && want->turns <= LEASE_TURNS_MAX && want->longs >= 0);
	assert(hand_count >= 0 && hand_count <= LEASE_TURNS_MAX);
	exchange->queue = queue;
	exchange->cb = cb;
	exchange->arg = arg;
	snprintf(exchange->worker, sizeof(exchange->worker), "%s", worker);
	for (int i = 0; i < noun_count; i++)
		queue_call_key(call, nouns[i]);
	queue_call_epoch(call);
	redis_args_text(args, worker);
	redis_args_int(args, ttl_ms);
	redis_args_int(args, want->turns);
	redis_args_int(args, want->jobs);
	redis_args_text(args, queue->keys.prefix);
	redis_args_int(args, want->longs);
	for (int i = 0; i < hand_count; i++) {
		const struct lease_hand *hand = &hands[i];
		char name[KEYS_SLOT_SIZE];

		assert(hand->count >= 0 && memchr("qfs", hand->lane, 3) != NULL);
		assert(hand->slot == 0 || hand->lane == 's');
		keys_slot(hand->key_id, hand->slot, name);
		redis_args_text(args, name);
		redis_args_int(args, hand->tenure);
		redis_args_bytes(args, (struct slice){&hand->lane, 1});
		redis_args_int(args, hand->count);
		redis_args_text(args, hand->clean ? "1" : "0");
		redis_args_int(args, hand->environment_id);
	}
	queue_call_send(call, on_exchanged, exchange);
}
