#include "queue/queue.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "queue/core.h"
#include "queue/redis_reply.h"

#define TIMEOUT_DEFAULT_MS 5000

struct queue_call {
	struct queue *queue;
	enum script_id id;
	bool building; /* under the build epoch */
	bool bare;
	bool whole_text; /* sent by EVAL after NOSCRIPT: not again */
	char epoch[QUEUE_EPOCH_SIZE];
	struct redis_args args; /* 0: EVALSHA, 1: its SHA, 2: number of keys, ... */
	redis_reply_cb *cb;
	void *arg;
};

/* ---- epoch ---- */

void
queue_adopt_epoch(struct queue *queue, const char *epoch)
{
	if (strcmp(queue->epoch, epoch) == 0)
		return;
	log_info("queue_epoch", "shard=%d epoch=%s was=%s", queue->shard,
		 epoch[0] != '\0' ? log_text(epoch) : "none",
		 queue->epoch[0] != '\0' ? log_text(queue->epoch) : "none");
	snprintf(queue->epoch, sizeof(queue->epoch), "%s", epoch);
	queue->unbuilt_since_ms = clock_mono_ms();
}

int64_t
queue_unbuilt_ms(const struct queue *queue)
{
	if (!queue->up || queue->epoch[0] != '\0')
		return 0;
	return clock_mono_ms() - queue->unbuilt_since_ms + 1; /* never 0 */
}

/* An epoch ends in "-n<shards>". */
bool
queue_epoch_fits(const struct queue *queue, const char *epoch)
{
	char end[16];
	size_t len = strlen(epoch), end_len;

	end_len = (size_t)snprintf(end, sizeof(end), "-n%d", queue->shards);
	return len > end_len && strcmp(epoch + len - end_len, end) == 0;
}

/* Jobs would be looked for in shards where nobody puts them.  Told once for each such epoch. */
static void
tell_foreign(struct queue *queue, const char *epoch)
{
	const char *end = strrchr(epoch, 'n');

	if (strcmp(queue->foreign, epoch) == 0)
		return;
	snprintf(queue->foreign, sizeof(queue->foreign), "%s", epoch);
	log_error("queue_shards",
		  "shard=%d queue_shards=%d built_for=%s error=\"the queues were built for another "
		  "number of shards: set queue_shards to the same number on all nodes\"",
		  queue->shard, queue->shards, log_text(end != NULL ? end + 1 : "unknown"));
}

/* Adopts what GET of the epoch key answered.  SL_NOT_FOUND: there is none. */
static enum sl_code
epoch_from(struct queue *queue, const struct redisReply *reply, struct sl_error *error)
{
	if (reply->type == REDIS_REPLY_NIL) {
		queue_adopt_epoch(queue, "");
		return sl_fail(error, SL_NOT_FOUND, "no epoch");
	}
	if (reply->type != REDIS_REPLY_STRING)
		return redis_unexpected(error, "GET", "a string or nil", reply);
	if (reply->len == 0 || reply->len >= QUEUE_EPOCH_SIZE || strlen(reply->str) != reply->len)
		return sl_fail(error, SL_INTERNAL,
			       "the epoch key holds what nobody wrote (%zu bytes)",
			       (size_t)reply->len);
	if (!queue_epoch_fits(queue, reply->str)) {
		tell_foreign(queue, reply->str);
		queue_adopt_epoch(queue, "");
		return sl_fail(error, SL_NOT_FOUND, "an epoch of another number of shards");
	}
	queue_adopt_epoch(queue, reply->str);
	return SL_OK;
}

static void
epoch_args(struct queue *queue, struct redis_args *args)
{
	redis_args_init(args);
	redis_args_text(args, "GET");
	redis_args_text(args, queue->keys.names[KEY_EPOCH]);
}

static void
on_epoch(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct queue_ask *ask = arg;
	struct sl_error why;
	enum sl_code code;

	if (error != NULL) {
		queue_ask_done(ask, error->code, 0, error);
		return;
	}
	code = epoch_from(ask->queue, reply, &why);
	queue_ask_done(ask, code, 0, code != SL_OK ? &why : NULL);
}

void
queue_read_epoch(struct queue *queue, queue_cb *cb, void *arg)
{
	struct redis_args args;

	epoch_args(queue, &args);
	redis_send(queue->scripts, &args, 0, on_epoch, queue_ask_new(queue, cb, arg));
	redis_args_fini(&args);
}

static void
on_epoch_again(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct queue *queue = arg;
	struct sl_error why;

	queue->reading_epoch = false;
	if (error == NULL && epoch_from(queue, reply, &why) == SL_INTERNAL)
		log_error("queue_epoch", "shard=%d error=%s", queue->shard, log_text(why.text));
}

static void
read_epoch_again(struct queue *queue)
{
	struct redis_args args;

	if (queue->reading_epoch)
		return;
	queue->reading_epoch = true;
	epoch_args(queue, &args);
	redis_send(queue->scripts, &args, 0, on_epoch_again, queue);
	redis_args_fini(&args);
}

const char *
queue_epoch(const struct queue *queue)
{
	return queue->epoch;
}

/* ---- script calls ---- */

struct queue_call *
queue_call_bare(struct queue *queue, enum script_id id, int keys)
{
	struct queue_call *call = sl_alloc(sizeof(*call));

	call->queue = queue;
	call->id = id;
	call->bare = true;
	redis_args_init(&call->args);
	redis_args_kept(&call->args, SLICE_LITERAL("EVALSHA"));
	redis_args_text(&call->args, queue->sha[id]);
	redis_args_int(&call->args, keys);
	return call;
}

struct queue_call *
queue_call_new(struct queue *queue, enum script_id id, int keys, bool building_too)
{
	struct queue_call *call = queue_call_bare(queue, id, keys);

	call->bare = false;
	call->building = building_too && queue->build[0] != '\0';
	memcpy(call->epoch, call->building ? queue->build : queue->epoch, sizeof(call->epoch));
	queue_call_key(call, call->building ? KEY_BUILD : KEY_EPOCH);
	return call;
}

struct redis_args *
queue_call_args(struct queue_call *call)
{
	return &call->args;
}

void
queue_call_key(struct queue_call *call, enum key_noun noun)
{
	redis_args_text(&call->args, call->queue->keys.names[noun]);
}

void
queue_call_epoch(struct queue_call *call)
{
	assert(!call->bare);
	redis_args_text(&call->args, call->epoch);
}

static void
call_free(struct queue_call *call)
{
	redis_args_fini(&call->args);
	free(call);
}

static void
call_end(struct queue_call *call, struct redisReply *reply, const struct sl_error *error)
{
	if (error != NULL && error->code == SL_INTERNAL)
		log_error("queue_script", "shard=%d script=%s error=%s", call->queue->shard,
			  scripts[call->id].name, log_text(error->text));
	call->cb(call->arg, reply, error);
	call_free(call);
}

static bool
is_other_epoch(const struct redisReply *reply)
{
	if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 1)
		reply = reply->element[0];
	return reply->type == REDIS_REPLY_INTEGER && reply->integer == -1;
}

/* Another epoch: the queues this process knew are gone.  Under a build epoch: another scheduler has
 * taken the build over, or it was flushed, too. */
static void
call_end_epoch(struct queue_call *call)
{
	struct queue *queue = call->queue;
	struct sl_error why;

	if (call->building && strcmp(queue->build, call->epoch) == 0)
		queue->build[0] = '\0';
	read_epoch_again(queue);
	sl_fail(&why, SL_CONFLICT, "epoch");
	call_end(call, NULL, &why);
}

static void
on_script_reply(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct queue_call *call = arg;

	if (error != NULL && !call->whole_text &&
	    strncmp(error->text, "Redis: NOSCRIPT", 15) == 0) {
		const struct script *script = &scripts[call->id];

		call->whole_text = true; /* EVAL also loads it for the calls to come */
		call->args.words[0] = (struct redis_word){"EVAL", 0, 4};
		call->args.words[1] = (struct redis_word){script->text, 0, script->len};
		redis_send(call->queue->scripts, &call->args, 0, on_script_reply, call);
		return;
	}
	if (error != NULL && !call->bare && strncmp(error->text, "Redis: ", 7) == 0 &&
	    redis_reply_is_moving(error->text + 7))
		memcpy(call->queue->damaged, call->epoch, sizeof(call->epoch));
	if (reply != NULL && !call->bare && is_other_epoch(reply))
		call_end_epoch(call);
	else
		call_end(call, reply, error);
}

void
queue_call_send(struct queue_call *call, redis_reply_cb *cb, void *arg)
{
	call->cb = cb;
	call->arg = arg;
	redis_send(call->queue->scripts, &call->args, 0, on_script_reply, call);
}

struct queue_ask *
queue_ask_new(struct queue *queue, queue_cb *cb, void *arg)
{
	struct queue_ask *ask = sl_alloc(sizeof(*ask));

	ask->queue = queue;
	ask->cb = cb;
	ask->arg = arg;
	return ask;
}

void
queue_ask_done(struct queue_ask *ask, enum sl_code code, int64_t value,
	       const struct sl_error *error)
{
	ask->cb(ask->arg, code, value, error);
	free(ask);
}

void
queue_ask_integer(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct sl_error why;

	if (error != NULL) {
		queue_ask_done(arg, error->code, 0, error);
	} else if (reply->type != REDIS_REPLY_INTEGER) {
		redis_unexpected(&why, "a script", "an integer", reply);
		queue_ask_done(arg, why.code, 0, &why);
	} else {
		queue_ask_done(arg, SL_OK, reply->integer, NULL);
	}
}

/* ---- setting the connections up ---- */

/* One SCRIPT LOAD. */
struct load {
	struct queue *queue;
	enum script_id id;
};

static void
on_loaded(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct load *load = arg;
	struct queue *queue = load->queue;
	struct sl_error why;

	if (error != NULL) {
		redis_drop(queue->scripts, error);
	} else if (reply->type != REDIS_REPLY_STRING || reply->len != QUEUE_SHA_SIZE - 1) {
		redis_unexpected(&why, "SCRIPT LOAD", "a SHA", reply);
		redis_drop(queue->scripts, &why);
	} else {
		memcpy(queue->sha[load->id], reply->str, QUEUE_SHA_SIZE);
	}
	free(load);
}

static void
set_up(struct queue *queue)
{
	queue->damaged[0] = '\0';
	redis_set_up(queue->scripts);
}

static void
on_retired(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct queue *queue = arg;

	(void)reply; /* 0: another process was first */
	if (error != NULL) {
		redis_drop(queue->scripts, error);
		return;
	}
	log_warn("queue_retired", "shard=%d reason=%s", queue->shard,
		 log_text("its slot was moved to another node while it was used"));
	queue_adopt_epoch(queue, "");
	set_up(queue);
}

/* Deletes the epoch key if it is still that of the damaged queues: the script of locks. */
static void
retire_epoch(struct queue *queue)
{
	struct redis_args args;

	redis_args_init(&args);
	redis_args_text(&args, "EVALSHA");
	redis_args_text(&args, queue->sha[SCRIPT_LOCK_RELEASE]);
	redis_args_int(&args, 1);
	redis_args_text(&args, queue->keys.names[KEY_EPOCH]);
	redis_args_text(&args, queue->damaged);
	redis_send_setup(queue->scripts, &args, on_retired, queue);
	redis_args_fini(&args);
}

/* The last answer of the setup: those before it were good, or the connection had been dropped. */
static void
on_first_epoch(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct queue *queue = arg;
	struct sl_error why;

	if (error != NULL)
		redis_drop(queue->scripts, error);
	else if (epoch_from(queue, reply, &why) == SL_INTERNAL)
		redis_drop(queue->scripts, &why);
	else if (queue->damaged[0] != '\0' && strcmp(queue->damaged, queue->epoch) == 0)
		retire_epoch(queue);
	else
		set_up(queue);
}

static void
scripts_on_setup(void *arg)
{
	struct queue *queue = arg;
	struct redis_args args;

	for (int i = 0; i < SCRIPT_COUNT; i++) {
		struct load *load = sl_alloc(sizeof(*load));

		load->queue = queue;
		load->id = (enum script_id)i;
		redis_args_init(&args);
		redis_args_text(&args, "SCRIPT");
		redis_args_text(&args, "LOAD");
		redis_args_kept(&args, (struct slice){scripts[i].text, scripts[i].len});
		redis_send_setup(queue->scripts, &args, on_loaded, load);
		redis_args_fini(&args);
	}
	epoch_args(queue, &args);
	redis_send_setup(queue->scripts, &args, on_first_epoch, queue);
	redis_args_fini(&args);
}

static void
on_pong(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct queue *queue = arg;
	struct sl_error why;

	if (error != NULL) {
		redis_drop(queue->waiter, error);
	} else if (reply->type != REDIS_REPLY_STATUS) {
		redis_unexpected(&why, "PING", "a status", reply);
		redis_drop(queue->waiter, &why);
	} else {
		redis_set_up(queue->waiter);
	}
}

static void
waiter_on_setup(void *arg)
{
	struct queue *queue = arg;
	struct redis_args args;

	redis_args_init(&args);
	redis_args_text(&args, "PING");
	redis_send_setup(queue->waiter, &args, on_pong, queue);
	redis_args_fini(&args);
}

static void
on_state(void *arg, bool connection_up)
{
	struct queue *queue = arg;
	bool up = connection_up && redis_is_up(queue->scripts) && redis_is_up(queue->waiter);

	if (up == queue->up || queue->closing)
		return;
	queue->up = up;
	queue->unbuilt_since_ms = clock_mono_ms();
	if (queue->state_cb != NULL)
		queue->state_cb(queue->arg, up);
}

static void
scripts_on_state(void *arg, bool connection_up)
{
	if (connection_up)
		lease_reconnected(arg); /* before the owner sends anything */
	on_state(arg, connection_up);
}

enum sl_code
queue_new(struct loop *loop, const struct queue_settings *settings, queue_state_cb *cb, void *arg,
	  struct queue **out, struct sl_error *error)
{
	static const struct redis_hooks scripts_hooks = {scripts_on_setup, scripts_on_state};
	static const struct redis_hooks waiter_hooks = {waiter_on_setup, on_state};
	int timeout_ms = settings->timeout_ms > 0 ? settings->timeout_ms : TIMEOUT_DEFAULT_MS;
	int shards = settings->shards != 0 ? settings->shards : 1;
	struct queue *queue;
	struct redis_url url;
	enum sl_code code;

	if (shards < 1 || shards > QUEUE_SHARDS_MAX)
		return sl_fail(error, SL_INVALID, "queue_shards: %d is not in 1..%d", shards,
			       QUEUE_SHARDS_MAX);
	if (settings->shard < 0 || settings->shard >= shards)
		return sl_fail(error, SL_INVALID, "shard %d is not in 0..%d", settings->shard,
			       shards - 1);
	code = redis_url_parse(settings->url, &url, error);
	if (code != SL_OK)
		return code;
	queue = sl_alloc(sizeof(*queue));
	queue->loop = loop;
	queue->url = url;
	queue->shard = settings->shard;
	queue->shards = shards;
	queue->timeout_ms = timeout_ms;
	queue->state_cb = cb;
	queue->arg = arg;
	keys_init(&queue->keys, settings->shard);
	queue->scripts = redis_new(loop, &queue->url, queue->keys.names[KEY_EPOCH], "scripts",
				   timeout_ms, &scripts_hooks, queue);
	queue->waiter = redis_new(loop, &queue->url, queue->keys.names[KEY_WAKE], "waiter",
				  timeout_ms, &waiter_hooks, queue);
	*out = queue;
	return SL_OK;
}

static void
queue_free_now(void *arg)
{
	struct queue *queue = arg;

	redis_url_fini(&queue->url);
	free(queue);
}

void
queue_free(struct queue *queue)
{
	if (queue == NULL || queue->closing)
		return;
	queue->closing = true;
	queue->up = false;
	redis_free(queue->scripts);
	redis_free(queue->waiter);
	call_close(queue);
	ready_close(queue);
	rebuild_close(queue);
	loop_free_later(queue->loop, queue_free_now, queue); /* callers up the stack may hold it */
}

bool
queue_is_up(const struct queue *queue)
{
	return queue->up;
}

const char *
queue_last_error(const struct queue *queue)
{
	const char *text = redis_last_error(queue->scripts);

	return text[0] != '\0' ? text : redis_last_error(queue->waiter);
}

/* ---- policy ---- */

/* The value of a line `maxmemory_policy:VALUE` is noeviction. */
static void
on_info(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	static const char wanted[] = "\r\nmaxmemory_policy:";
	struct queue_ask *ask = arg;
	struct sl_error why;
	const char *line;

	if (error != NULL) {
		queue_ask_done(ask, error->code, 0, error);
		return;
	}
	if (reply->type != REDIS_REPLY_STRING) {
		redis_unexpected(&why, "INFO", "a string", reply);
		queue_ask_done(ask, why.code, 0, &why);
		return;
	}
	line = strstr(reply->str, wanted);
	if (line == NULL) {
		sl_fail(&why, SL_INTERNAL, "INFO memory of this Redis names no maxmemory_policy");
		queue_ask_done(ask, why.code, 0, &why);
		return;
	}
	queue_ask_done(ask, SL_OK, strncmp(line + sizeof(wanted) - 1, "noeviction\r\n", 12) == 0,
		       NULL);
}

/* By INFO: managed servers forbid CONFIG GET. */
void
queue_check_policy(struct queue *queue, queue_cb *cb, void *arg)
{
	struct redis_args args;

	redis_args_init(&args);
	redis_args_text(&args, "INFO");
	redis_args_text(&args, "memory");
	redis_send(queue->scripts, &args, 0, on_info, queue_ask_new(queue, cb, arg));
	redis_args_fini(&args);
}
