/* queue/keys.h - every name in Redis, built in one place.
 *
 * All keys of a shard carry its hash tag, `sluice:{s07}:noun`, so that on a cluster they share a
 * slot. epoch    string: which build of the queues this is; missing: nobody has built them build
 * string: the epoch of an unfinished build ready    zset: key id by turn, the keys with work that
 * nobody holds turn     counter behind the scores of ready held     hash: key id -> holder or
 * release token (lua/exchange.lua) wake     list: at most one token; idle workers block on it
 *   workers  zset: worker by deadline of its lease, ms of Redis time
 *   fronts   set: key ids whose lane f may have entries
 *   q:KEY    list: envelopes of a key in ledger order; f:KEY: late ones and retries
 *   lock:ENVIRONMENT:DIGEST
 *            string: owner of a function's lock (lock.h), with its time to live
 *   bad:...  what stood where a list should be, put aside
 * Lua builds list names itself, as prefix .. 'q:' .. key; that is the only other place. */
#ifndef SLUICE_QUEUE_KEYS_H
#define SLUICE_QUEUE_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

enum key_noun {
	KEY_EPOCH,
	KEY_BUILD,
	KEY_READY,
	KEY_TURN,
	KEY_HELD,
	KEY_WAKE,
	KEY_WORKERS,
	KEY_FRONTS,
	KEY_NOUNS, /* how many */
};

#define KEYS_SHARD_MAX 9999
#define KEYS_NAME_SIZE 32  /* of a noun's name, with its NUL */
#define KEYS_LIST_SIZE 48  /* of a list's name, with its NUL */
#define KEYS_LOCK_SIZE 128 /* of a lock's name, with its NUL */

struct keys {
	char prefix[KEYS_NAME_SIZE]; /* "sluice:{s07}:" */
	char names[KEY_NOUNS][KEYS_NAME_SIZE];
};

void keys_init(struct keys *keys, int shard); /* shard: 0..KEYS_SHARD_MAX (asserted) */
/* The list of a concurrency key: lane q, or lane f when front. */
void keys_list(const struct keys *keys, bool front, int64_t key_id, char out[KEYS_LIST_SIZE]);
/* The lock that functions of an environment call text (any bytes: its digest stands in the name). */
void keys_lock(const struct keys *keys, int64_t environment_id, struct slice text,
	       char out[KEYS_LOCK_SIZE]);
/* A pattern for SCAN that all keys of the shard match and no other. */
void keys_pattern(const struct keys *keys, char out[KEYS_NAME_SIZE]);

#endif
