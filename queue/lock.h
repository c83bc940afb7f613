/* queue/lock.h - named locks that functions take for a while.
 *
 * A lock lives in Redis only: it ends by itself, by Redis's clock, and a flushed or rebuilt Redis
 * has forgotten it.  It keeps functions out of each other's way; nothing of ours rests on it. */
#ifndef SLUICE_QUEUE_LOCK_H
#define SLUICE_QUEUE_LOCK_H

#include "queue/queue.h"

#define LOCK_NAME_MAX 1020                   /* bytes (asserted) */
#define LOCK_OWNER_MAX 100                   /* characters of an owner's name (asserted) */
#define LOCK_TTL_MAX_MS INT64_C(31536000000) /* a year (asserted) */

/* name is any bytes, 1 to LOCK_NAME_MAX, of its environment; owner tells holders apart.  ttl_ms > 0.
 * value 1: the owner holds it now, until ttl_ms from now (also when it held it before); 0: somebody
 * else does.  SL_UNAVAILABLE: Redis is away; whether it was taken is not known. */
void lock_acquire(struct queue *queue, int64_t environment_id, struct slice name, const char *owner,
		  int64_t ttl_ms, queue_cb *cb, void *arg);
/* value 1: it was the owner's and is free now; 0: it was not. */
void lock_release(struct queue *queue, int64_t environment_id, struct slice name, const char *owner,
		  queue_cb *cb, void *arg);

#endif
