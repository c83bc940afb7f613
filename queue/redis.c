#include "queue/redis.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>
#include <hiredis/async.h>
#include <hiredis/adapters/libevent.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "queue/redis_login.h"
#include "queue/redis_lookup.h"
#include "queue/redis_reply.h"

#if HIREDIS_MAJOR == 0 && HIREDIS_MINOR < 14
#error "hiredis 0.14 or newer is needed"
#endif

#define BACKOFF_FIRST_MS 100
#define BACKOFF_LAST_MS 2000
#define FREE_PASSES 64 /* over commands that callbacks send while redis is freed */

enum redis_state {
	STATE_WAITING,    /* backoff timer armed */
	STATE_RESOLVING,  /* lookup is set */
	STATE_CONNECTING, /* context is set from here ... */
	STATE_SETUP,
	STATE_UP, /* ... to here */
	STATE_CLOSED,
	STATE_COUNT,
};

/* One command.  In exactly one of two lists until its callback has run: flight (sent, in the order
 * of their answers) or refused (never sent).  One that lost its connection stays allocated, without
 * a callback, until hiredis has let go of it. */
struct command {
	struct command *next;
	struct redis *redis;
	redis_reply_cb *cb; /* NULL: told already */
	void *arg;
	int64_t due_ms;        /* monotonic */
	int64_t sent_us;       /* monotonic; 0: it may wait on the server */
	struct sl_error error; /* refused: why */
};

struct command_list {
	struct command *head, *tail;
};

struct redis {
	struct loop *loop;
	const struct redis_url *url; /* borrowed */
	const char *name;
	struct redis_route route;
	struct redis_login login;
	struct redis_hooks hooks;
	void *arg;
	int timeout_ms;
	enum redis_state state;
	redisAsyncContext *context;
	struct redis_lookup *lookup;
	struct loop_timer *retry;   /* ends WAITING */
	struct loop_timer *overdue; /* looks at the oldest command, or at the connecting itself */
	int64_t connect_due_ms;
	int64_t up_ms; /* UP: since when */
	int backoff_ms;
	unsigned tries; /* picks among several addresses of a name */
	bool told_down; /* logged once per outage */
	bool refusing;  /* a pass over refused is asked for */
	struct command_list flight, refused;
	struct sl_error last;
};

static const bool state_allows[STATE_COUNT][STATE_COUNT] = {
    [STATE_WAITING] = {[STATE_WAITING] = true,
		       [STATE_RESOLVING] = true,
		       [STATE_CONNECTING] = true,
		       [STATE_CLOSED] = true},
    [STATE_RESOLVING] = {[STATE_WAITING] = true, [STATE_CONNECTING] = true, [STATE_CLOSED] = true},
    [STATE_CONNECTING] = {[STATE_WAITING] = true, [STATE_SETUP] = true, [STATE_CLOSED] = true},
    [STATE_SETUP] = {[STATE_WAITING] = true,
		     [STATE_RESOLVING] = true, /* it was a sentinel */
		     [STATE_CONNECTING] = true,
		     [STATE_UP] = true,
		     [STATE_CLOSED] = true},
    [STATE_UP] = {[STATE_WAITING] = true, [STATE_CLOSED] = true},
};

static void connect_now(void *arg);

static void
state_enter(struct redis *redis, enum redis_state to)
{
	assert(state_allows[redis->state][to]);
	redis->state = to;
}

/* ---- lists of commands ---- */

static void
list_add(struct command_list *list, struct command *command)
{
	command->next = NULL;
	if (list->tail != NULL)
		list->tail->next = command;
	else
		list->head = command;
	list->tail = command;
}

static struct command *
list_pop(struct command_list *list)
{
	struct command *command = list->head;

	if (command == NULL)
		return NULL;
	list->head = command->next;
	if (list->head == NULL)
		list->tail = NULL;
	return command;
}

static void
command_tell(struct command *command, redisReply *reply, const struct sl_error *error)
{
	redis_reply_cb *cb = command->cb;

	command->cb = NULL;
	if (cb != NULL)
		cb(command->arg, reply, error);
}

/* One pass: what its callbacks add waits for the next turn. */
static void
tell_refused(void *arg)
{
	struct redis *redis = arg;
	const struct command *last = redis->refused.tail;
	struct command *command;
	bool more = last != NULL;

	redis->refusing = false;
	while (more && (command = list_pop(&redis->refused)) != NULL) {
		more = command != last;
		command_tell(command, NULL, &command->error);
		free(command);
	}
}

static void
refuse(struct redis *redis, struct command *command, enum sl_code code, const char *text)
{
	sl_fail(&command->error, code, "%s", text);
	list_add(&redis->refused, command);
	if (!redis->refusing) {
		redis->refusing = true;
		loop_soon(redis->loop, tell_refused, redis);
	}
}

/* ---- going down and coming back ---- */

/* Fails what is in flight, then closes.  Callbacks may send again (refused: the state has changed)
 * or free redis, which empties the list under us. */
static void
context_close(struct redis *redis, const struct sl_error *error, bool is_gone)
{
	redisAsyncContext *context = redis->context;
	struct command *command;

	redis->context = NULL;
	while ((command = list_pop(&redis->flight)) != NULL)
		command_tell(command, NULL,
			     error); /* freed by on_reply(): hiredis still points at it */
	if (context != NULL && !is_gone)
		redisAsyncFree(context); /* inside a callback of hiredis: when that returns */
}

/* Some jitter, so that a fleet does not come back in step. */
static int
backoff_next(struct redis *redis)
{
	int delay_ms = redis->backoff_ms;

	redis->backoff_ms = delay_ms * 2 < BACKOFF_LAST_MS ? delay_ms * 2 : BACKOFF_LAST_MS;
	return delay_ms - (int)(clock_mono_us() % (delay_ms / 4 + 1));
}

static void
go_down(struct redis *redis, const struct sl_error *error, bool context_is_gone)
{
	struct sl_error why = *error; /* error may live in what is freed below */
	bool was_up = redis->state == STATE_UP;
	bool sent_on = redis->state == STATE_SETUP && redis->route.named; /* no fault yet */

	if (redis->state == STATE_CLOSED)
		return;
	state_enter(redis, STATE_WAITING);
	redis->last = why;
	log_event(redis->told_down || sent_on ? LOG_LEVEL_DEBUG : LOG_LEVEL_WARN, "redis_down",
		  "connection=%s error=%s", redis->name, log_text(why.text));
	redis->told_down = redis->told_down || !sent_on;
	if (redis->lookup != NULL)
		redis_lookup_cancel(redis->lookup);
	redis->lookup = NULL;
	loop_timer_stop(redis->overdue);
	/* A server that lets us in and then sends us away does not start the backoff anew. */
	if (was_up && clock_mono_ms() - redis->up_ms >= BACKOFF_LAST_MS)
		redis->backoff_ms = BACKOFF_FIRST_MS;
	loop_timer_in(redis->retry, backoff_next(redis));
	why.code = SL_UNAVAILABLE;
	context_close(redis, &why, context_is_gone);
	if (was_up && redis->state != STATE_CLOSED)
		redis->hooks.on_state(redis->arg, false);
}

void
redis_drop(struct redis *redis, const struct sl_error *error)
{
	if (redis->state != STATE_WAITING)
		go_down(redis, error, false);
}

static void
drop_text(struct redis *redis, const char *text)
{
	struct sl_error error;

	sl_fail(&error, SL_UNAVAILABLE, "%s", text);
	go_down(redis, &error, false);
}

static void
on_overdue(void *arg)
{
	struct redis *redis = arg;
	int64_t due_ms =
	    redis->flight.head != NULL ? redis->flight.head->due_ms : redis->connect_due_ms;
	int64_t now_ms = clock_mono_ms();
	struct sl_error error;

	if (redis->state == STATE_UP && redis->flight.head == NULL)
		return;
	if (due_ms > now_ms) {
		loop_timer_in(redis->overdue, due_ms - now_ms);
		return;
	}
	sl_fail(&error, SL_UNAVAILABLE,
		redis->flight.head != NULL ? "Redis gave no answer within %d ms"
					   : "no connection to Redis within %d ms",
		redis->timeout_ms);
	go_down(redis, &error, false);
}

/* ---- answers ---- */

static void
lost(const redisAsyncContext *context, const char *otherwise)
{
	struct redis *redis = context->data;
	bool known = context->errstr != NULL && context->errstr[0] != '\0';
	struct sl_error error;

	sl_fail(&error, SL_UNAVAILABLE, "Redis connection lost: %s",
		known ? context->errstr : otherwise);
	go_down(redis, &error, true);
}

static void
error_of(struct redis *redis, const char *text, struct sl_error *error)
{
	if (strncmp(text, "MOVED ", 6) == 0 && redis->url->mode != REDIS_CLUSTER)
		sl_fail(error, SL_UNAVAILABLE,
			"this Redis is a node of a cluster: redis_url needs ?cluster=yes");
	else
		redis_reply_error(text, error);
	redis_route_moved(&redis->route, text);
}

static void
on_reply(redisAsyncContext *context, void *data, void *arg)
{
	struct command *command = arg;
	struct redis *redis = command->redis;
	redisReply *reply = data;
	struct sl_error error;

	if (command->cb != NULL && reply == NULL)
		lost(context, "closed"); /* tells this command and those behind it */
	if (command->cb == NULL) {       /* redis may be gone, too */
		free(command);
		return;
	}
	assert(redis->flight.head == command); /* answers come in order */
	list_pop(&redis->flight);
	if (command->sent_us > 0)
		metric_observe(&metrics[METRIC_REDIS_LATENCY], 0, 0,
			       (double)(clock_mono_us() - command->sent_us) / 1e6);
	if (reply->type == REDIS_REPLY_ERROR) {
		bool elsewhere = redis_reply_is_elsewhere(reply->str);

		error_of(redis, reply->str, &error);
		command_tell(command, NULL, &error);
		if (elsewhere && redis->context == context)
			redis_drop(redis, &error);
	} else {
		command_tell(command, reply, NULL);
	}
	free(command);
}

static bool
command_write(struct redis *redis, const struct redis_args *args, struct command *command)
{
	const char **words = sl_calloc((size_t)args->count, sizeof(*words));
	size_t *lens = sl_calloc((size_t)args->count, sizeof(*lens));
	bool sent;

	redis_args_point(args, words, lens);
	sent = redisAsyncCommandArgv(redis->context, on_reply, command, args->count, words, lens) ==
	       REDIS_OK;
	free(words);
	free(lens);
	return sent;
}

static void
send_when(struct redis *redis, enum redis_state state, const struct redis_args *args,
	  int64_t more_ms, redis_reply_cb *cb, void *arg)
{
	struct command *command = sl_alloc(sizeof(*command));
	int64_t wait_ms = redis->timeout_ms + more_ms;

	command->redis = redis;
	command->cb = cb;
	command->arg = arg;
	command->due_ms = clock_mono_ms() + wait_ms;
	command->sent_us = more_ms == 0 ? clock_mono_us() : 0;
	if (redis->state != state) {
		refuse(redis, command, SL_UNAVAILABLE,
		       redis->last.text[0] != '\0' ? redis->last.text
						   : "Redis is not connected yet");
		return;
	}
	if (args->bytes.over) {
		refuse(redis, command, SL_EXHAUSTED, "the command is too long");
		return;
	}
	if (!command_write(redis, args, command)) {
		refuse(redis, command, SL_UNAVAILABLE, "Redis connection is closing");
		return;
	}
	if (redis->flight.head == NULL) /* else it watches an older one */
		loop_timer_in(redis->overdue, wait_ms);
	list_add(&redis->flight, command);
}

void
redis_send(struct redis *redis, const struct redis_args *args, int64_t more_ms, redis_reply_cb *cb,
	   void *arg)
{
	send_when(redis, STATE_UP, args, more_ms, cb, arg);
}

void
redis_send_setup(struct redis *redis, const struct redis_args *args, redis_reply_cb *cb, void *arg)
{
	send_when(redis, STATE_SETUP, args, 0, cb, arg);
}

/* ---- connecting ---- */

void
redis_set_up(struct redis *redis)
{
	state_enter(redis, STATE_UP);
	redis->up_ms = clock_mono_ms();
	log_event(redis->told_down ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG, "redis_up", "connection=%s",
		  redis->name);
	redis->told_down = false;
	redis->last = (struct sl_error){0};
	redis->hooks.on_state(redis->arg, true);
}

void
redis_logged_in(struct redis *redis)
{
	assert(redis->state == STATE_SETUP);
	redis->hooks.on_setup(redis->arg);
}

/* hiredis frees the context itself after a failure; until then it is not ours to free (0.14 would
 * free it twice). */
static void
on_connect(const redisAsyncContext *context, int status)
{
	struct redis *redis = context->data;
	struct sl_error error;

	if (redis->context != context)
		return;
	if (status != REDIS_OK) {
		sl_fail(&error, SL_UNAVAILABLE, "cannot connect to Redis: %s",
			context->errstr != NULL && context->errstr[0] != '\0' ? context->errstr
									      : strerror(errno));
		go_down(redis, &error, true);
		return;
	}
	state_enter(redis, STATE_SETUP);
	redis_login_start(&redis->login);
}

static void
on_disconnect(const redisAsyncContext *context, int status)
{
	struct redis *redis = context->data;

	(void)status;
	if (redis->context == context) /* else: closed by us */
		lost(context, "closed by the server");
}

/* address: numeric, or NULL for the unix socket; a name here would block in getaddrinfo(). */
static void
open_context(struct redis *redis, const char *address)
{
	redisAsyncContext *context;
	char text[200];

	state_enter(redis, STATE_CONNECTING);
	redis->connect_due_ms = clock_mono_ms() + redis->timeout_ms;
	loop_timer_in(redis->overdue, redis->timeout_ms);
	context = redis->url->path != NULL ? redisAsyncConnectUnix(redis->url->path)
					   : redisAsyncConnect(address, redis->route.goal.port);
	if (context == NULL) {
		drop_text(redis, "cannot connect to Redis: no memory");
		return;
	}
	if (context->err != 0) {
		snprintf(text, sizeof(text), "cannot connect to Redis: %s", context->errstr);
		redisAsyncFree(context);
		drop_text(redis, text);
		return;
	}
	redis->context = context;
	context->data = redis;
	/* Runners are forked from this process and must not inherit it. */
	if (fcntl(context->c.fd, F_SETFD, FD_CLOEXEC) != 0 ||
	    redisLibeventAttach(context, loop_base(redis->loop)) != REDIS_OK ||
	    redisAsyncSetConnectCallback(context, on_connect) != REDIS_OK ||
	    redisAsyncSetDisconnectCallback(context, on_disconnect) != REDIS_OK)
		drop_text(redis, "cannot attach the Redis connection to the loop");
}

static void
on_address(void *arg, const char *address, const char *error)
{
	struct redis *redis = arg;
	struct sl_error why;

	redis->lookup = NULL;
	if (address == NULL) {
		sl_fail(&why, SL_UNAVAILABLE, "cannot resolve the host of Redis: %s", error);
		go_down(redis, &why, false);
		return;
	}
	open_context(redis, address);
}

static void
connect_now(void *arg)
{
	struct redis *redis = arg;
	const struct redis_goal *goal;
	unsigned char numeric[16];

	if (redis->url->path != NULL) {
		open_context(redis, NULL);
		return;
	}
	goal = redis_route_next(&redis->route);
	if (inet_pton(AF_INET, goal->host, numeric) == 1 ||
	    inet_pton(AF_INET6, goal->host, numeric) == 1) {
		open_context(redis, goal->host);
		return;
	}
	state_enter(redis, STATE_RESOLVING);
	redis->connect_due_ms = clock_mono_ms() + redis->timeout_ms;
	loop_timer_in(redis->overdue, redis->timeout_ms);
	redis->lookup =
	    redis_lookup_start(redis->loop, goal->host, redis->tries++, on_address, redis);
}

void
redis_follow(struct redis *redis)
{
	struct sl_error error;

	assert(redis->state == STATE_SETUP && redis->flight.head == NULL);
	sl_fail(&error, SL_UNAVAILABLE, "left for the master");
	context_close(redis, &error, false);
	connect_now(redis);
}

struct redis *
redis_new(struct loop *loop, const struct redis_url *url, const char *key, const char *name,
	  int timeout_ms, const struct redis_hooks *hooks, void *arg)
{
	struct redis *redis = sl_alloc(sizeof(*redis));

	assert(timeout_ms > 0);
	redis->loop = loop;
	redis->url = url;
	redis->name = name;
	redis->hooks = *hooks;
	redis->arg = arg;
	redis->timeout_ms = timeout_ms;
	redis_route_init(&redis->route, url);
	redis->login = (struct redis_login){.redis = redis, .route = &redis->route, .key = key};
	redis->backoff_ms = BACKOFF_FIRST_MS;
	redis->retry = loop_timer_new(loop, connect_now, redis);
	redis->overdue = loop_timer_new(loop, on_overdue, redis);
	connect_now(redis);
	return redis;
}

static void
redis_free_now(void *arg)
{
	struct redis *redis = arg;

	loop_timer_free(redis->retry);
	loop_timer_free(redis->overdue);
	free(redis);
}

void
redis_free(struct redis *redis)
{
	struct command *command;
	struct sl_error error;

	if (redis == NULL || redis->state == STATE_CLOSED)
		return;
	state_enter(redis, STATE_CLOSED);
	sl_fail(&error, SL_UNAVAILABLE, "the queue is closing");
	if (redis->lookup != NULL)
		redis_lookup_cancel(redis->lookup);
	redis->lookup = NULL;
	loop_timer_stop(redis->retry);
	loop_timer_stop(redis->overdue);
	context_close(redis, &error, false);
	for (int pass = 0; redis->refused.head != NULL && pass < FREE_PASSES; pass++)
		tell_refused(redis);
	while ((command = list_pop(&redis->refused)) != NULL) /* its sender cannot be stopped */
		free(command);
	loop_free_later(redis->loop, redis_free_now, redis); /* callers up the stack may hold it */
}

bool
redis_is_up(const struct redis *redis)
{
	return redis->state == STATE_UP;
}

const char *
redis_last_error(const struct redis *redis)
{
	return redis->last.text;
}
