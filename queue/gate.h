/* queue/gate.h - the Redis side of the providers' windows (daemon/egress/gate.h).
 *
 * A window belongs to a place: a connection, or an integration.  It has nothing to do with the epoch: it outlives
 * a rebuild of the queue, and a Redis that lost it learns it again.  How it works stands in lua/gate_leave.lua. */
#ifndef SLUICE_QUEUE_GATE_H
#define SLUICE_QUEUE_GATE_H

#include "queue/queue.h"

#define QUEUE_GATE_ASK_MAX 64    /* passes asked for at once (asserted) */
#define QUEUE_GATE_NAME_SIZE 48  /* of a pass, with its NUL */
#define QUEUE_GATE_OTHERS_MAX 64 /* of the same node (asserted) */
#define QUEUE_GATE_LEASE_MS 15000
#define QUEUE_GATE_LIST_MAX 1000

struct queue_gate {
	int64_t environment_id, integration_id, connection_id; /* row ids */
	bool per_app;                                          /* the integration's window */
};

/* granted: the first so many may go.  wait_ms: the others ask again then.  closed_ms: how long nobody gets out, 0:
 * open.  counted: each of them is to be told of when it is back.  now_ms: Redis's clock. */
struct queue_gate_answer {
	int granted;
	int64_t wait_ms, closed_ms, now_ms;
	bool counted;
};
/* answer NULL unless SL_OK.  From the loop. */
typedef void queue_gate_ask_cb(void *arg, enum sl_code code,
			       const struct queue_gate_answer *answer);
/* names: of count passes (copied).  A pass without a leave ends QUEUE_GATE_LEASE_MS later. */
void queue_gate_ask(struct queue *queue, const struct queue_gate *gate,
		    const char (*names)[QUEUE_GATE_NAME_SIZE], int count, queue_gate_ask_cb *cb,
		    void *arg);

/* What came of a request; -1: not said. */
struct queue_gate_news {
	const char *pass;  /* "": it had none */
	int64_t gone_ms;   /* Redis's clock when it was let out; 0: not known */
	bool answered;     /* false: the rest says nothing */
	bool unused;       /* it did not go out after all */
	bool limited;      /* refused for its rate */
	int64_t closed_ms; /* from now on */
	int64_t remaining, reset_ms, limit;
	const char (*others)
	    [QUEUE_GATE_NAME_SIZE]; /* passes of this node that are out, if nobody counted them */
	int other_count;
};
/* value: ms that the window is closed; by_this: this answer closed it. */
typedef void queue_gate_tell_cb(void *arg, enum sl_code code, int64_t closed_ms, bool by_this);
void queue_gate_tell(struct queue *queue, const struct queue_gate *gate,
		     const struct queue_gate_news *news, queue_gate_tell_cb *cb, void *arg);

struct queue_gate_window {
	struct queue_gate gate;
	int64_t closed_ms;           /* 0: open */
	int64_t remaining, reset_ms; /* -1: not known */
	int64_t out;                 /* requests */
	int64_t fits;                /* requests of a whole window, told or learnt; -1: not known */
	char by[16]; /* "told", "remaining", "none" (said how long), "": never closed */
};
/* rows: borrowed for the call; none on errors. */
typedef void queue_gate_list_cb(void *arg, enum sl_code code, const struct queue_gate_window *rows,
				int count, const struct sl_error *error);
/* Of this shard, at most QUEUE_GATE_LIST_MAX. */
void queue_gate_list(struct queue *queue, queue_gate_list_cb *cb, void *arg);
/* Forgets the window of a connection; connection_id 0: those of the integration and all its connections.  value:
 * how many. */
void queue_gate_clear(struct queue *queue, int64_t integration_id, int64_t connection_id,
		      queue_cb *cb, void *arg);

#endif
