#include "queue/call.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/envelope.h"
#include "base/log.h"
#include "queue/core.h"
#include "queue/lease.h"
#include "queue/redis_reply.h"

#define ANSWERS_AT_ONCE 8    /* of up to 4 MiB each */
#define CLOSE_PASSES 64      /* over waits that callbacks begin while the queue is closed */
#define TRIM_WITHIN_MS 60000 /* what was read has left the list then, or may be read again */

_Static_assert(CALL_NODE_MAX == LEASE_WORKER_MAX, "a node is named like a worker");

/* ---- calls ---- */

static void
on_called(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct sl_error why;

	if (error == NULL && reply->type == REDIS_REPLY_INTEGER && reply->integer == 0) {
		sl_fail(&why, SL_EXHAUSTED, "too many calls wait for a runner");
		error = &why;
	}
	queue_ask_integer(arg, reply, error);
}

void
call_push(struct queue *queue, struct slice envelope, queue_cb *cb, void *arg)
{
	struct queue_call *call = queue_call_new(queue, SCRIPT_CALL_PUSH, 4, false);
	struct redis_args *args = queue_call_args(call);

	queue_call_key(call, KEY_CALLS);
	queue_call_key(call, KEY_CALL_BYTES);
	queue_call_key(call, KEY_WAKE);
	queue_call_epoch(call);
	redis_args_bytes(args, envelope);
	redis_args_int(args, CALLS_WAITING_MAX);
	redis_args_int(args, CALLS_WAITING_BYTES_MAX);
	queue_call_send(call, on_called, queue_ask_new(queue, cb, arg));
}

void
call_withdraw(struct queue *queue, struct slice envelope, queue_cb *cb, void *arg)
{
	struct queue_call *call = queue_call_new(queue, SCRIPT_CALL_WITHDRAW, 3, false);

	queue_call_key(call, KEY_CALLS);
	queue_call_key(call, KEY_CALL_BYTES);
	queue_call_epoch(call);
	redis_args_bytes(queue_call_args(call), envelope);
	queue_call_send(call, queue_ask_integer, queue_ask_new(queue, cb, arg));
}

struct take {
	call_take_cb *cb;
	void *arg;
};

/* Gives the strings of an array from the given one on; false: there is something else in it. */
static bool
give(const struct take *take, const struct redisReply *reply, size_t from)
{
	size_t count = reply->elements - from;
	struct slice *bytes;

	for (size_t i = from; i < reply->elements; i++) {
		if (reply->element[i]->type != REDIS_REPLY_STRING)
			return false;
	}
	bytes = sl_calloc(count + 1, sizeof(*bytes));
	for (size_t i = 0; i < count; i++)
		bytes[i] =
		    (struct slice){reply->element[from + i]->str, reply->element[from + i]->len};
	take->cb(take->arg, SL_OK, bytes, (int)count, NULL);
	free(bytes);
	return true;
}

static void
on_call_taken(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct take *take = arg;
	struct sl_error why;

	if (error == NULL &&
	    (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0 || !give(take, reply, 1))) {
		redis_unexpected(&why, "call_take", "a count and calls", reply);
		error = &why;
	}
	if (error != NULL)
		take->cb(take->arg, error->code, NULL, 0, error);
	free(take);
}

void
call_count(struct queue *queue, queue_cb *cb, void *arg)
{
	struct redis_args args;

	redis_args_init(&args);
	redis_args_text(&args, "LLEN");
	redis_args_text(&args, queue->keys.names[KEY_CALLS]);
	redis_send(queue->scripts, &args, 0, queue_ask_integer, queue_ask_new(queue, cb, arg));
	redis_args_fini(&args);
}

void
call_take(struct queue *queue, int count, call_take_cb *cb, void *arg)
{
	struct queue_call *call = queue_call_new(queue, SCRIPT_CALL_TAKE, 4, false);
	struct take *take = sl_alloc(sizeof(*take));

	assert(count > 0 && count <= CALL_TAKE_MAX);
	*take = (struct take){cb, arg};
	queue_call_key(call, KEY_CALLS);
	queue_call_key(call, KEY_CALL_BYTES);
	queue_call_key(call, KEY_WAKE);
	queue_call_epoch(call);
	redis_args_int(queue_call_args(call), count);
	queue_call_send(call, on_call_taken, take);
}

/* ---- answers ---- */

static void
on_answered(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct sl_error why;

	if (error == NULL && reply->type == REDIS_REPLY_INTEGER && reply->integer == 0) {
		sl_fail(&why, SL_EXHAUSTED, "the node does not read its answers");
		error = &why;
	}
	queue_ask_integer(arg, reply, error);
}

void
call_answer(struct queue *queue, const char *node, struct slice answer, queue_cb *cb, void *arg)
{
	struct queue_call *call = queue_call_bare(queue, SCRIPT_CALL_ANSWER, 2);
	struct redis_args *args = queue_call_args(call);
	char name[KEYS_REPLY_SIZE];

	assert(lease_name_ok(node));
	keys_reply(&queue->keys, false, node, name);
	redis_args_text(args, name);
	keys_reply(&queue->keys, true, node, name);
	redis_args_text(args, name);
	redis_args_bytes(args, answer);
	redis_args_int(args, CALL_ANSWER_TTL_S);
	redis_args_int(args, CALL_ANSWERS_MAX);
	queue_call_send(call, on_answered, queue_ask_new(queue, cb, arg));
}

/* IDLE -> CONNECTING -> READING -> IDLE, or READING -> LISTENING -> READING.  A wait is out in every
 * state but IDLE. */
enum caller_state { CALLER_IDLE, CALLER_CONNECTING, CALLER_READING, CALLER_LISTENING };

struct caller {
	struct queue *queue;
	struct redis *redis;
	struct loop_timer *timer; /* CONNECTING: how long the wait lasts */
	enum caller_state state;
	char node[LEASE_WORKER_MAX + 1];
	struct take take;
	int64_t wait_ms;
	bool listened; /* what there is now is what came */
	int given;     /* entries at the head of the list that the node has */
	int64_t given_ms;
};

static void caller_read(struct caller *caller);

/* answers: NULL: none. */
static void
caller_end(struct caller *caller, const struct redisReply *answers, const struct sl_error *error)
{
	struct take take = caller->take;

	caller->state = CALLER_IDLE;
	loop_timer_stop(caller->timer);
	if (error != NULL)
		take.cb(take.arg, error->code, NULL, 0, error);
	else if (answers == NULL)
		take.cb(take.arg, SL_OK, NULL, 0, NULL);
	else
		give(&take, answers, 0);
}

static void
caller_send(struct caller *caller, const char *const *words, int count, bool bell, int64_t more_ms,
	    redis_reply_cb *cb)
{
	char name[KEYS_REPLY_SIZE];
	struct redis_args args;

	keys_reply(&caller->queue->keys, bell, caller->node, name);
	redis_args_init(&args);
	redis_args_text(&args, words[0]);
	redis_args_text(&args, name);
	for (int i = 1; i < count; i++)
		redis_args_text(&args, words[i]);
	redis_send(caller->redis, &args, more_ms, cb, caller);
	redis_args_fini(&args);
}

/* Its failure is that of the commands behind it. */
static void
on_nothing(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	(void)arg;
	(void)reply;
	(void)error;
}

static void
on_bell(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct caller *caller = arg;

	(void)reply; /* a token or nil: it may have been lost, so look in any case */
	if (error != NULL) {
		caller_end(caller, NULL, error);
		return;
	}
	caller->listened = true;
	caller_read(caller);
}

static void
caller_listen(struct caller *caller)
{
	char seconds[32];

	caller->state = CALLER_LISTENING;
	snprintf(seconds, sizeof(seconds), "%" PRId64 ".%03d", caller->wait_ms / 1000,
		 (int)(caller->wait_ms % 1000));
	caller_send(caller, (const char *const[]){"BLPOP", seconds}, 2, true, caller->wait_ms,
		    on_bell);
}

static void
on_answers(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct caller *caller = arg;
	struct sl_error why;

	if (error == NULL && reply->type != REDIS_REPLY_ARRAY) {
		redis_unexpected(&why, "LRANGE", "an array", reply);
		error = &why;
	}
	if (error != NULL) {
		caller_end(caller, NULL, error);
	} else if (reply->elements == 0 && !caller->listened) {
		caller_listen(caller);
	} else {
		caller->given = (int)reply->elements; /* LRANGE gives strings only */
		caller->given_ms = clock_mono_ms();
		caller_end(caller, reply, NULL);
	}
}

/* What was read stays in the list until the next read: an answer whose way here was cut is read
 * again.  It is made to live on, so that the count still says what has been read. */
static void
caller_read(struct caller *caller)
{
	char number[16];

	caller->state = CALLER_READING;
	if (caller->given > 0 && clock_mono_ms() - caller->given_ms < TRIM_WITHIN_MS) {
		snprintf(number, sizeof(number), "%d", caller->given);
		caller_send(caller, (const char *const[]){"LTRIM", number, "-1"}, 3, false, 0,
			    on_nothing);
	}
	caller->given = 0;
	snprintf(number, sizeof(number), "%d", CALL_ANSWER_TTL_S);
	caller_send(caller, (const char *const[]){"EXPIRE", number}, 2, false, 0, on_nothing);
	snprintf(number, sizeof(number), "%d", ANSWERS_AT_ONCE - 1);
	caller_send(caller, (const char *const[]){"LRANGE", "0", number}, 3, false, 0, on_answers);
}

static void
on_caller_pong(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct caller *caller = arg;

	(void)reply;
	if (error != NULL)
		redis_drop(caller->redis, error);
	else
		redis_set_up(caller->redis);
}

static void
caller_on_setup(void *arg)
{
	struct caller *caller = arg;
	struct redis_args args;

	redis_args_init(&args);
	redis_args_text(&args, "PING");
	redis_send_setup(caller->redis, &args, on_caller_pong, caller);
	redis_args_fini(&args);
}

static void
caller_on_state(void *arg, bool up)
{
	struct caller *caller = arg;

	if (up && caller->state == CALLER_CONNECTING) {
		loop_timer_stop(caller->timer);
		caller_read(caller);
	}
}

static void
on_caller_timer(void *arg)
{
	struct caller *caller = arg;

	if (caller->state == CALLER_CONNECTING)
		caller_end(caller, NULL, NULL);
}

static struct caller *
caller_new(struct queue *queue, const char *node)
{
	static const struct redis_hooks hooks = {caller_on_setup, caller_on_state};
	struct caller *caller = sl_alloc(sizeof(*caller));

	caller->queue = queue;
	caller->timer = loop_timer_new(queue->loop, on_caller_timer, caller);
	snprintf(caller->node, sizeof(caller->node), "%s", node);
	caller->redis = redis_new(queue->loop, &queue->url, queue->keys.names[KEY_WAKE], "caller",
				  queue->timeout_ms, &hooks, caller);
	return caller;
}

void
call_wait(struct queue *queue, const char *node, int64_t wait_ms, call_take_cb *cb, void *arg)
{
	struct caller *caller = queue->caller;

	assert(lease_name_ok(node) && (caller != NULL || !queue->closing));
	if (caller == NULL)
		caller = queue->caller = caller_new(queue, node);
	assert(caller->state == CALLER_IDLE && strcmp(caller->node, node) == 0);
	caller->take = (struct take){cb, arg};
	caller->wait_ms = wait_ms > 0 ? wait_ms : 1; /* 0 would wait for ever */
	caller->listened = false;
	if (redis_is_up(caller->redis)) {
		caller_read(caller);
		return;
	}
	caller->state = CALLER_CONNECTING;
	loop_timer_in(caller->timer, caller->wait_ms);
}

static void
caller_free(void *arg)
{
	struct caller *caller = arg;

	loop_timer_free(caller->timer);
	free(caller);
}

void
call_close(struct queue *queue)
{
	struct caller *caller = queue->caller;
	struct sl_error why;

	if (caller == NULL)
		return;
	redis_free(caller->redis);
	sl_fail(&why, SL_UNAVAILABLE, "the queue is closing");
	for (int i = 0; i < CLOSE_PASSES && caller->state == CALLER_CONNECTING; i++)
		caller_end(caller, NULL, &why);
	queue->caller = NULL;
	loop_free_later(queue->loop, caller_free, caller);
}
