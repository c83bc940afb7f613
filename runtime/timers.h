/* runtime/timers.h - the timers of one run, by due time; equal times keep the order of creation. */
#ifndef SLUICE_RUNTIME_TIMERS_H
#define SLUICE_RUNTIME_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMERS_MAX 65536 /* they lie outside the heap's cap */

struct timer {
	int64_t due_ms; /* CLOCK_MONOTONIC */
	uint64_t order;
	double id; /* the script's */
};

struct timers {
	struct timer *heap; /* owned; a binary heap, the earliest first */
	size_t count, size;
	uint64_t order; /* of the next one */
};

/* A zeroed struct is empty. */
bool timers_add(struct timers *timers, double id, int64_t due_ms); /* false: TIMERS_MAX are there */
void timers_remove(struct timers *timers, double id);              /* unknown ids are fine */
/* Milliseconds until the first one (0: due), or -1 when there is none. */
int64_t timers_wait_ms(const struct timers *timers, int64_t now_ms);
bool timers_take_due(struct timers *timers, int64_t now_ms, double *id); /* false: none is due */
void timers_fini(struct timers *timers);

#endif
