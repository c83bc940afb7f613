#include "queue/redis_reply.h"

#include <stdbool.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "base/log.h"

static bool
starts_with(const char *text, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strncmp(text, words[i], strlen(words[i])) == 0)
			return true;
	}
	return false;
}

bool
redis_reply_is_moving(const char *text)
{
	static const char *const words[] = {"ASK ", "TRYAGAIN "};

	/* A script in its middle: its named keys were still here, a list was not any more. */
	return starts_with(text, words, 2) || strstr(text, "access a non local key") != NULL;
}

bool
redis_reply_is_elsewhere(const char *text)
{
	static const char *const words[] = {"MOVED ",      "READONLY ", "CLUSTERDOWN ",
					    "MASTERDOWN ", "LOADING ",  "UNBLOCKED "};

	return starts_with(text, words, sizeof(words) / sizeof(words[0])) ||
	       redis_reply_is_moving(text);
}

/* Errors after which the same command may work later: the server's state, not the command. */
static bool
is_passing(const char *text)
{
	static const char *const words[] = {"OOM ",    "BUSY ",      "MISCONF ", "NOREPLICAS ",
					    "NOAUTH ", "WRONGPASS ", "NOPERM ",  "ERR max number "};
	return starts_with(text, words, sizeof(words) / sizeof(words[0])) ||
	       redis_reply_is_elsewhere(text);
}

enum sl_code
redis_reply_error(const char *text, struct sl_error *error)
{
	const char *echo = strstr(text, ", with args");
	int len = echo != NULL ? (int)(echo - text) : (int)strlen(text);

	return sl_fail(error, is_passing(text) ? SL_UNAVAILABLE : SL_INTERNAL, "Redis: %.*s", len,
		       text);
}

enum sl_code
redis_unexpected(struct sl_error *error, const char *command, const char *wanted,
		 const struct redisReply *reply)
{
	static const char *const types[] = {
	    [REDIS_REPLY_STRING] = "a string",    [REDIS_REPLY_ARRAY] = "an array",
	    [REDIS_REPLY_INTEGER] = "an integer", [REDIS_REPLY_NIL] = "nil",
	    [REDIS_REPLY_STATUS] = "a status",    [REDIS_REPLY_ERROR] = "an error",
	};
	const char *got = "another type";

	if (reply->type > 0 && (size_t)reply->type < sizeof(types) / sizeof(types[0]) &&
	    types[reply->type] != NULL)
		got = types[reply->type];
	sl_fail(error, SL_INTERNAL, "Redis answered %s with %s, wanted %s", command, got, wanted);
	log_error("redis_reply", "command=%s got=%s wanted=%s", command, log_text(got),
		  log_text(wanted));
	return SL_INTERNAL;
}
