#include "queue/lock.h"

#include <assert.h>
#include <string.h>

#include "queue/core.h"

/* A lock has nothing to do with the epoch: it is as good under the next one. */
static struct queue_call *
lock_call(struct queue *queue, enum script_id id, int64_t environment_id, struct slice name,
	  const char *owner)
{
	struct queue_call *call = queue_call_bare(queue, id, 1);
	char key[KEYS_LOCK_SIZE];

	assert(name.len > 0 && name.len <= LOCK_NAME_MAX);
	assert(owner[0] != '\0' && strlen(owner) <= LOCK_OWNER_MAX);
	keys_lock(&queue->keys, environment_id, name, key);
	redis_args_text(queue_call_args(call), key);
	redis_args_text(queue_call_args(call), owner);
	return call;
}

void
lock_acquire(struct queue *queue, int64_t environment_id, struct slice name, const char *owner,
	     int64_t ttl_ms, queue_cb *cb, void *arg)
{
	struct queue_call *call =
	    lock_call(queue, SCRIPT_LOCK_ACQUIRE, environment_id, name, owner);

	assert(ttl_ms > 0 && ttl_ms <= LOCK_TTL_MAX_MS);
	redis_args_int(queue_call_args(call), ttl_ms);
	queue_call_send(call, queue_ask_integer, queue_ask_new(queue, cb, arg));
}

void
lock_release(struct queue *queue, int64_t environment_id, struct slice name, const char *owner,
	     queue_cb *cb, void *arg)
{
	queue_call_send(lock_call(queue, SCRIPT_LOCK_RELEASE, environment_id, name, owner),
			queue_ask_integer, queue_ask_new(queue, cb, arg));
}
