/* queue/call.h - sync calls that wait for a runner on any node, and the answers to them.
 *
 * A call is not a job: nobody but its asker knows it, and it is gone when Redis is.  It is given to
 * one worker at most; an answer that was lost is not given again, so the asker ends what it hears
 * nothing of.  Answers come at least once: the asker knows its calls by id.  Envelopes are made and
 * checked by base/envelope.h; here they are bytes. */
#ifndef SLUICE_QUEUE_CALL_H
#define SLUICE_QUEUE_CALL_H

#include "queue/queue.h"

#define CALLS_WAITING_MAX 1000
#define CALLS_WAITING_BYTES_MAX (64 << 20)
#define CALL_TAKE_MAX 100     /* calls asked for at once (asserted) */
#define CALL_ANSWERS_MAX 4096 /* that wait for one node; over it the node is taken for dead */
#define CALL_ANSWER_TTL_S 120 /* after the last answer */

/* Enters a call behind those that wait, and wakes a worker as a push does.  SL_EXHAUSTED: too many
 * wait, or too large ones; SL_CONFLICT: another epoch; SL_UNAVAILABLE: perhaps entered: withdraw. */
void call_push(struct queue *queue, struct slice envelope, queue_cb *cb, void *arg);

/* How many wait in this shard. */
void call_count(struct queue *queue, queue_cb *cb, void *arg);

/* envelopes: borrowed for the call; none on errors. */
typedef void call_take_cb(void *arg, enum sl_code code, const struct slice *envelopes, int count,
			  const struct sl_error *error);
/* Takes up to count (> 0) calls, the oldest first.  Passes the wake-up on when it leaves some. */
void call_take(struct queue *queue, int count, call_take_cb *cb, void *arg);

/* envelope: as it was pushed.  value 1: it waited, nobody will take it now; 0: it was taken. */
void call_withdraw(struct queue *queue, struct slice envelope, queue_cb *cb, void *arg);

/* Tells the node (LEASE_WORKER_MAX bytes of [A-Za-z0-9._-], asserted) what became of its call; kept
 * for CALL_ANSWER_TTL_S, also over a rebuild.  SL_EXHAUSTED: the node does not read its answers. */
void call_answer(struct queue *queue, const char *node, struct slice answer, queue_cb *cb,
		 void *arg);

/* Answers to calls of this node: those that are there, or those that come within wait_ms (none: SL_OK
 * and 0).  What was given is removed by the next call_wait(), which should follow within a minute;
 * after an error it may be given again.  On a connection of its own, made at first use; while that
 * is not up the time just passes.  One at a time, always the same node (both asserted). */
void call_wait(struct queue *queue, const char *node, int64_t wait_ms, call_take_cb *cb, void *arg);

#endif
