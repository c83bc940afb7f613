/* A rebuild: hide the shard (build), drop what is left of it in steps of SCAN (clear), let the
 * scheduler push under the build epoch, publish.  Each step is refused when another scheduler has
 * entered a build epoch of its own meanwhile; the ledger's leadership makes that rare. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "queue/core.h"
#include "queue/redis_reply.h"

#define SCAN_STEP "500" /* keys looked at per SCAN: a millisecond or so of the server's time */

enum rebuild_state {
	REBUILD_HIDING,
	REBUILD_SCANNING,
	REBUILD_CLEARING,
	REBUILD_PUBLISHING,
	REBUILD_ENDED,
	REBUILD_STATES,
};

struct rebuild {
	struct queue *queue;
	enum rebuild_state state;
	char epoch[QUEUE_EPOCH_SIZE]; /* the build epoch */
	char cursor[24];              /* of SCAN; "0" when it has come around */
	int64_t dropped;
	queue_cb *cb;
	void *arg;
};

static const bool rebuild_allows[REBUILD_STATES][REBUILD_STATES] = {
    [REBUILD_HIDING] = {[REBUILD_SCANNING] = true, [REBUILD_ENDED] = true},
    [REBUILD_SCANNING] =
	{[REBUILD_SCANNING] = true, [REBUILD_CLEARING] = true, [REBUILD_ENDED] = true},
    [REBUILD_CLEARING] = {[REBUILD_SCANNING] = true, [REBUILD_ENDED] = true},
    [REBUILD_PUBLISHING] = {[REBUILD_ENDED] = true},
};

static void scan(struct rebuild *rebuild);

static void
rebuild_enter(struct rebuild *rebuild, enum rebuild_state to)
{
	assert(rebuild_allows[rebuild->state][to]);
	rebuild->state = to;
	if (to == REBUILD_ENDED) {
		assert(rebuild->queue->rebuild == rebuild);
		rebuild->queue->rebuild = NULL;
	}
}

static struct rebuild *
rebuild_new(struct queue *queue, enum rebuild_state state, queue_cb *cb, void *arg)
{
	struct rebuild *rebuild = sl_alloc(sizeof(*rebuild));

	assert(queue->rebuild == NULL); /* one step at a time: begin, pushes, end */
	rebuild->queue = queue;
	rebuild->state = state;
	rebuild->cb = cb;
	rebuild->arg = arg;
	queue->rebuild = rebuild;
	return rebuild;
}

static void
rebuild_end(struct rebuild *rebuild, enum sl_code code, int64_t value, const struct sl_error *error)
{
	rebuild_enter(rebuild, REBUILD_ENDED);
	if (code == SL_OK)
		log_info("queue_rebuild", "shard=%d epoch=%s keys=%lld", rebuild->queue->shard,
			 rebuild->epoch, (long long)value);
	else
		log_warn("queue_rebuild", "shard=%d code=%s error=%s", rebuild->queue->shard,
			 sl_code_name(code), log_text(error->text));
	rebuild->cb(rebuild->arg, code, value, error);
	free(rebuild);
}

/* The integer of a script's answer; false: the rebuild has ended. */
static bool
integer(struct rebuild *rebuild, const struct redisReply *reply, const struct sl_error *error,
	int64_t *out)
{
	struct sl_error why;

	if (error != NULL) {
		rebuild_end(rebuild, error->code, 0, error);
		return false;
	}
	if (reply->type != REDIS_REPLY_INTEGER) {
		redis_unexpected(&why, "a script", "an integer", reply);
		rebuild_end(rebuild, why.code, 0, &why);
		return false;
	}
	if (reply->integer == -1) {
		rebuild->queue->build[0] = '\0';
		sl_fail(&why, SL_CONFLICT, "another scheduler rebuilds");
		rebuild_end(rebuild, why.code, 0, &why);
		return false;
	}
	*out = reply->integer;
	return true;
}

static void
cleared(struct rebuild *rebuild)
{
	struct queue *queue = rebuild->queue;

	if (strcmp(rebuild->cursor, "0") != 0) {
		rebuild_enter(rebuild, REBUILD_SCANNING);
		scan(rebuild);
		return;
	}
	memcpy(queue->build, rebuild->epoch, sizeof(queue->build));
	queue_adopt_epoch(queue, ""); /* nobody works before it is published */
	rebuild_end(rebuild, SL_OK, rebuild->dropped, NULL);
}

static void
on_cleared(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct rebuild *rebuild = arg;
	int64_t dropped;

	if (!integer(rebuild, reply, error, &dropped))
		return;
	rebuild->dropped += dropped;
	cleared(rebuild);
}

/* The build key says that we build; answers to calls are nobody's queue. */
static bool
is_kept(const struct queue *queue, const struct redisReply *key)
{
	struct slice name = {key->str, key->len};

	return slice_is(name, queue->keys.names[KEY_BUILD]) || keys_outlives(&queue->keys, name);
}

/* Drops the keys that one step of SCAN found, but those that are kept. */
static void
clear(struct rebuild *rebuild, const struct redisReply *found)
{
	struct queue *queue = rebuild->queue;
	struct queue_call *call;
	int count = 0;

	for (size_t i = 0; i < found->elements; i++)
		count += !is_kept(queue, found->element[i]);
	if (count == 0) {
		cleared(rebuild);
		return;
	}
	rebuild_enter(rebuild, REBUILD_CLEARING);
	call = queue_call_bare(queue, SCRIPT_CLEAR, count + 1);
	queue_call_key(call, KEY_BUILD);
	for (size_t i = 0; i < found->elements; i++) {
		const struct redisReply *key = found->element[i];

		if (!is_kept(queue, key))
			redis_args_bytes(queue_call_args(call), (struct slice){key->str, key->len});
	}
	redis_args_text(queue_call_args(call), rebuild->epoch);
	queue_call_send(call, on_cleared, rebuild);
}

static bool
is_scan_reply(const struct redisReply *reply)
{
	const struct redisReply *cursor, *keys;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)
		return false;
	cursor = reply->element[0];
	keys = reply->element[1];
	if (cursor->type != REDIS_REPLY_STRING || cursor->len == 0 ||
	    cursor->len >= sizeof(((struct rebuild *)NULL)->cursor) ||
	    keys->type != REDIS_REPLY_ARRAY)
		return false;
	for (size_t i = 0; i < keys->elements; i++) {
		if (keys->element[i]->type != REDIS_REPLY_STRING)
			return false;
	}
	return true;
}

static void
on_scanned(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct rebuild *rebuild = arg;
	struct sl_error why;

	if (error != NULL) {
		rebuild_end(rebuild, error->code, 0, error);
		return;
	}
	if (!is_scan_reply(reply)) {
		redis_unexpected(&why, "SCAN", "a cursor and keys", reply);
		rebuild_end(rebuild, why.code, 0, &why);
		return;
	}
	snprintf(rebuild->cursor, sizeof(rebuild->cursor), "%s", reply->element[0]->str);
	clear(rebuild, reply->element[1]);
}

static void
scan(struct rebuild *rebuild)
{
	struct queue *queue = rebuild->queue;
	char pattern[KEYS_NAME_SIZE];
	struct redis_args args;

	keys_pattern(&queue->keys, pattern);
	redis_args_init(&args);
	redis_args_text(&args, "SCAN");
	redis_args_text(&args, rebuild->cursor);
	redis_args_text(&args, "MATCH");
	redis_args_text(&args, pattern);
	redis_args_text(&args, "COUNT");
	redis_args_text(&args, SCAN_STEP);
	redis_send(queue->scripts, &args, 0, on_scanned, rebuild);
	redis_args_fini(&args);
}

static void
on_hidden(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct rebuild *rebuild = arg;
	int64_t one;

	if (!integer(rebuild, reply, error, &one))
		return;
	rebuild_enter(rebuild, REBUILD_SCANNING);
	scan(rebuild);
}

/* Time first, so that a human sees which of two is the newer one. */
static void
epoch_make(const struct queue *queue, char out[QUEUE_EPOCH_SIZE])
{
	unsigned char random[10];
	int len = snprintf(out, QUEUE_EPOCH_SIZE, "%011llx-", (unsigned long long)clock_wall_ms());

	secret_random(random, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++)
		len += snprintf(out + len, QUEUE_EPOCH_SIZE - (size_t)len, "%02x", random[i]);
	snprintf(out + len, QUEUE_EPOCH_SIZE - (size_t)len, "-n%d", queue->shards);
	assert(queue_epoch_fits(queue, out));
}

void
queue_rebuild_begin(struct queue *queue, queue_cb *cb, void *arg)
{
	struct rebuild *rebuild = rebuild_new(queue, REBUILD_HIDING, cb, arg);
	struct queue_call *call = queue_call_bare(queue, SCRIPT_BUILD, 2);

	queue->build[0] = '\0';
	epoch_make(queue, rebuild->epoch);
	memcpy(rebuild->cursor, "0", 2);
	queue_call_key(call, KEY_EPOCH);
	queue_call_key(call, KEY_BUILD);
	redis_args_text(queue_call_args(call), rebuild->epoch);
	queue_call_send(call, on_hidden, rebuild);
}

static void
on_published(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct rebuild *rebuild = arg;
	struct queue *queue = rebuild->queue;
	int64_t one;

	if (!integer(rebuild, reply, error, &one))
		return;
	queue->build[0] = '\0';
	queue_adopt_epoch(queue, rebuild->epoch);
	rebuild_end(rebuild, SL_OK, 0, NULL);
}

void
queue_rebuild_end(struct queue *queue, queue_cb *cb, void *arg)
{
	struct rebuild *rebuild = rebuild_new(queue, REBUILD_PUBLISHING, cb, arg);
	struct queue_call *call = queue_call_bare(queue, SCRIPT_PUBLISH, 2);

	/* "" when a push has found the build taken over: no epoch is "", so this is refused as
	 * well. */
	memcpy(rebuild->epoch, queue->build, sizeof(rebuild->epoch));
	queue_call_key(call, KEY_BUILD);
	queue_call_key(call, KEY_EPOCH);
	redis_args_text(queue_call_args(call), rebuild->epoch);
	queue_call_send(call, on_published, rebuild);
}

void
rebuild_close(struct queue *queue)
{
	assert(queue->rebuild == NULL); /* its command has failed with the connection */
	(void)queue;
}
