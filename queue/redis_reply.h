/* queue/redis_reply.h - what an answer that was not wanted means. */
#ifndef SLUICE_QUEUE_REDIS_REPLY_H
#define SLUICE_QUEUE_REDIS_REPLY_H

#include <stdbool.h>

#include "base/error.h"

struct redisReply; /* of hiredis */

/* An error reply: SL_UNAVAILABLE when the same command may work later (loading, full, a replica, no
 * login), else SL_INTERNAL.  The text is what Redis said, without what it may repeat of the command
 * (a password, if it does not know AUTH). */
enum sl_code redis_reply_error(const char *text, struct sl_error *error);

/* text: what Redis said, behind "Redis: " of redis_reply_error().  Its slot is on the way from one
 * node to another. */
bool redis_reply_is_moving(const char *text);
/* Likewise: this server does not serve what was asked for, now or any more: a replica, another node,
 * a slot that moves, a server that loads.  Includes the above. */
bool redis_reply_is_elsewhere(const char *text);

/* An answer of a type or shape that the command cannot have: SL_INTERNAL, and logged. */
enum sl_code redis_unexpected(struct sl_error *error, const char *command, const char *wanted,
			      const struct redisReply *reply);

#endif
