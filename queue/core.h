/* queue/core.h - what the files of queue/ that make script calls share; for these files only. */
#ifndef SLUICE_QUEUE_CORE_H
#define SLUICE_QUEUE_CORE_H

#include "queue/keys.h"
#include "queue/lease.h"
#include "queue/queue.h"
#include "queue/ready.h"
#include "queue/redis.h"
#include "queue/scripts.h"

struct push_request; /* of ready.c */
struct rebuild;      /* of rebuild.c */
struct caller;       /* of call.c */

#define QUEUE_EPOCH_SIZE 48 /* ours are 32 characters; a longer one of somebody else is refused */
#define QUEUE_SHA_SIZE 41

struct queue {
	struct loop *loop;
	struct keys keys;
	struct redis_url url;
	struct redis *scripts; /* connection for everything that answers at once */
	struct redis *waiter;  /* connection that only blocks on the wake list */
	queue_state_cb *state_cb;
	void *arg;
	bool up;
	bool closing;
	int shard, shards;
	int timeout_ms;
	char foreign[QUEUE_EPOCH_SIZE]; /* an epoch for another number of shards; told once */
	char sha[SCRIPT_COUNT][QUEUE_SHA_SIZE];
	char epoch[QUEUE_EPOCH_SIZE]; /* "": none seen */
	int64_t unbuilt_since_ms;     /* monotonic: and that while it is up */
	char build[QUEUE_EPOCH_SIZE]; /* "": this process is not rebuilding */
	/* "", or the epoch under which a script met a slot that was being moved: it, or one of another
	 * process, may have stopped halfway.  Retired at the next setup, so that it is rebuilt. */
	char damaged[QUEUE_EPOCH_SIZE];
	char worker[LEASE_WORKER_MAX + 1]; /* that joined last; "": none */
	bool reading_epoch;                /* after a -1 */
	bool waiting;                      /* lease_wait() is out */
	struct rebuild *rebuild;           /* a begin or end that runs; NULL: none */

	/* ready.c: pushes not sent yet, and those whose entries are (partly) in the call in flight
	 */
	struct push_request *push_head, *push_tail;
	size_t push_bytes;                 /* of both, waiting */
	struct push_request *push_refused; /* to be told soon; the newest first */
	bool push_in_flight;
	queue_depth_cb *depth_cb; /* NULL: nobody wants to know */
	void *depth_arg;

	struct caller *caller; /* of call.c: the connection that waits for answers; NULL: not yet */
};

/* A script call.  Made, filled (the keys behind KEYS[1], then the epoch, then the arguments), sent;
 * it frees itself.  reply is as in redis.h, but never the answer to another epoch: that is
 * SL_CONFLICT "epoch", after which the epoch is read again. */
struct queue_call;
/* KEYS[1] is the epoch key, or the build key: when building_too and this process rebuilds. */
struct queue_call *queue_call_new(struct queue *queue, enum script_id id, int keys,
				  bool building_too);
/* Without KEYS[1] and epoch of its own: for the scripts that build. */
struct queue_call *queue_call_bare(struct queue *queue, enum script_id id, int keys);
struct redis_args *queue_call_args(struct queue_call *call); /* borrowed until it is sent */
void queue_call_key(struct queue_call *call, enum key_noun noun);
void queue_call_epoch(struct queue_call *call); /* ARGV[1] */
void queue_call_send(struct queue_call *call, redis_reply_cb *cb, void *arg);

/* A queue_cb and its argument, for calls that need nothing else. */
struct queue_ask {
	struct queue *queue;
	queue_cb *cb;
	void *arg;
};
struct queue_ask *queue_ask_new(struct queue *queue, queue_cb *cb, void *arg);
/* redis_reply_cb: an integer is the value; error and other types are passed on as such. */
void queue_ask_integer(void *arg, struct redisReply *reply, const struct sl_error *error);
void queue_ask_done(struct queue_ask *ask, enum sl_code code, int64_t value,
		    const struct sl_error *error); /* frees */

/* Takes over what the epoch key says ("" when there is none). */
void queue_adopt_epoch(struct queue *queue, const char *epoch);

/* The scripts' connection is a new one: ends the lease that was joined on an earlier one. */
void lease_reconnected(struct queue *queue);

/* Whether the epoch was made for as many shards as this process has. */
bool queue_epoch_fits(const struct queue *queue, const char *epoch);

void call_close(struct queue *queue);    /* what waits for answers fails */
void ready_close(struct queue *queue);   /* fails what was not sent */
void rebuild_close(struct queue *queue); /* after the connections: nothing is in flight any more */

#endif
