#include "queue/health.h"

#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "queue/core.h"
#include "queue/redis_reply.h"

struct ask {
	struct queue *queue;
	int64_t sent_ms; /* monotonic */
	struct queue_health health;
	queue_health_cb *cb;
	void *arg;
};

static void
done(struct ask *ask, const struct sl_error *error)
{
	ask->cb(ask->arg, error != NULL ? error->code : SL_OK, error != NULL ? NULL : &ask->health,
		error);
	free(ask);
}

/* The text behind `name:` at the start of a line of INFO, or NULL. */
static const char *
field(const char *info, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = strstr(info, name); at != NULL; at = strstr(at + 1, name))
		if (at > info && at[-1] == '\n' && at[len] == ':')
			return at + len + 1;
	return NULL;
}

static int64_t
number(const char *info, const char *name)
{
	const char *text = field(info, name);

	return text != NULL ? strtoll(text, NULL, 10) : 0;
}

static void
on_info(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct ask *ask = arg;
	struct sl_error why;
	const char *policy;

	if (error == NULL && reply->type != REDIS_REPLY_STRING) {
		redis_unexpected(&why, "INFO", "a string", reply);
		error = &why;
	}
	if (error == NULL) {
		policy = field(reply->str, "maxmemory_policy");
		ask->health.evicts = policy != NULL && strncmp(policy, "noeviction", 10) != 0;
		ask->health.memory = number(reply->str, "used_memory");
		ask->health.memory_max = number(reply->str, "maxmemory");
	}
	done(ask, error);
}

static void
on_time(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct ask *ask = arg;
	int64_t now = clock_mono_ms();
	struct redis_args args;
	struct sl_error why;

	if (error == NULL && (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
			      reply->element[0]->type != REDIS_REPLY_STRING ||
			      reply->element[1]->type != REDIS_REPLY_STRING)) {
		redis_unexpected(&why, "TIME", "two strings", reply);
		error = &why;
	}
	if (error != NULL) {
		done(ask, error);
		return;
	}
	ask->health.latency_ms = now - ask->sent_ms;
	/* Its clock was read somewhere on the way: half of it is the best guess. */
	ask->health.skew_ms = strtoll(reply->element[0]->str, NULL, 10) * 1000 +
			      strtoll(reply->element[1]->str, NULL, 10) / 1000 +
			      ask->health.latency_ms / 2 - clock_wall_ms();
	redis_args_init(&args);
	redis_args_text(&args, "INFO"); /* managed servers forbid CONFIG GET */
	redis_args_text(&args, "memory");
	redis_send(ask->queue->scripts, &args, 0, on_info, ask);
	redis_args_fini(&args);
}

void
queue_health(struct queue *queue, queue_health_cb *cb, void *arg)
{
	struct ask *ask = sl_alloc(sizeof(*ask));
	struct redis_args args;

	ask->queue = queue;
	ask->sent_ms = clock_mono_ms();
	ask->cb = cb;
	ask->arg = arg;
	redis_args_init(&args);
	redis_args_text(&args, "TIME");
	redis_send(queue->scripts, &args, 0, on_time, ask);
	redis_args_fini(&args);
}
