/* queue/redis.h - one asynchronous connection to Redis that comes back by itself.
 *
 * WAITING -> RESOLVING -> CONNECTING -> SETUP -> UP; from any of them back to WAITING when
 * something fails (backoff 100 ms..2 s, each loss anew), and to CLOSED by redis_free().  A unix
 * socket or a numeric address skips RESOLVING.  In SETUP the connection logs in and makes sure that
 * this is the server it wants, then the owner sends what it needs (on_setup) and declares the
 * connection up; only then others may send.  A sentinel's connection goes from SETUP to RESOLVING
 * or CONNECTING again, to the master that it named (redis_route.h says who is next).
 *
 * An answer which says that this server does not serve what was asked for (a replica, another node
 * of the cluster, a slot on its way, a server that loads) fails its command and ends the connection:
 * whom to ask is then found out anew.
 *
 * Each command gets exactly one callback, from the loop, never from inside redis_send().  A command
 * without an answer in time closes the connection: answers come in order, so those behind it would
 * be late too, and nobody could tell whose answer comes next. */
#ifndef SLUICE_QUEUE_REDIS_H
#define SLUICE_QUEUE_REDIS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/loop.h"
#include "queue/redis_args.h"
#include "queue/redis_url.h"

struct redis;      /* opaque */
struct redisReply; /* of hiredis */

/* reply: never an error reply, borrowed for the call (its strings may be written to); NULL when
 * error is set: SL_UNAVAILABLE (down, answer lost, Redis loading or full) or SL_INTERNAL (what
 * Redis said). */
typedef void redis_reply_cb(void *arg, struct redisReply *reply, const struct sl_error *error);

struct redis_hooks {
	void (*on_setup)(
	    void *arg); /* logged in: send with redis_send_setup(), then redis_set_up() */
	void (*on_state)(void *arg, bool up); /* each change */
};

/* url is borrowed for the life of the connection; name (for logs) and key too: any key of the slot
 * that the connection is for; in a cluster it goes to the node that has it.  Starts to connect. */
struct redis *redis_new(struct loop *loop, const struct redis_url *url, const char *key,
			const char *name, int timeout_ms, const struct redis_hooks *hooks,
			void *arg);
/* Commands in flight fail first, from inside; on_state is not called. */
void redis_free(struct redis *redis);
bool redis_is_up(const struct redis *redis);
const char *redis_last_error(
    const struct redis *redis); /* "" when there was none; without secrets */

/* args are borrowed for the call.  more_ms is added to the time the answer may take (blocking
 * commands). */
void redis_send(struct redis *redis, const struct redis_args *args, int64_t more_ms,
		redis_reply_cb *cb, void *arg);
void redis_send_setup(struct redis *redis, const struct redis_args *args, redis_reply_cb *cb,
		      void *arg);
void redis_set_up(struct redis *redis);
/* Closes the connection; it comes back after the backoff. */
void redis_drop(struct redis *redis, const struct sl_error *error);

#endif
