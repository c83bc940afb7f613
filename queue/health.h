/* queue/health.h - how the Redis of a shard does: for the doctor. */
#ifndef SLUICE_QUEUE_HEALTH_H
#define SLUICE_QUEUE_HEALTH_H

#include "queue/queue.h"

struct queue_health {
	int64_t latency_ms;         /* of TIME */
	int64_t skew_ms;            /* its wall clock less ours */
	bool evicts;                /* maxmemory-policy is not noeviction */
	int64_t memory, memory_max; /* bytes; memory_max 0: no bound */
};
typedef void queue_health_cb(void *arg, enum sl_code code, const struct queue_health *health,
			     const struct sl_error *error);
/* Two commands, no keys.  cb once, from the loop; health is borrowed, NULL on errors. */
void queue_health(struct queue *queue, queue_health_cb *cb, void *arg);

#endif
