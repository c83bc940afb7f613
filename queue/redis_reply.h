/* queue/redis_reply.h - what an answer that was not wanted means. */
#ifndef SLUICE_QUEUE_REDIS_REPLY_H
#define SLUICE_QUEUE_REDIS_REPLY_H

#include "base/error.h"

struct redisReply; /* of hiredis */

/* An error reply: SL_UNAVAILABLE when the same command may work later (loading, full, a replica, no
 * login), else SL_INTERNAL.  The text is what Redis said, without what it may repeat of the command
 * (a password, if it does not know AUTH). */
enum sl_code redis_reply_error(const char *text, struct sl_error *error);

/* An answer of a type or shape that the command cannot have: SL_INTERNAL, and logged. */
enum sl_code redis_unexpected(struct sl_error *error, const char *command, const char *wanted,
			      const struct redisReply *reply);

#endif
