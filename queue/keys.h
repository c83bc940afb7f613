/* queue/keys.h - every name in Redis, built in one place.
 *
 * All keys of a shard carry its hash tag, `sluice:{s07}:noun`, so that on a cluster they share a
 * slot.
 *   epoch    string: which build of the queues this is; missing: nobody has built them.  Its end says
 *            how many shards it was built for.
 *   build    string: the epoch of an unfinished build
 *   ready    zset: key id by turn, the keys with work that may start, but for the long ones
 *   turn     counter behind the scores of ready
 *   held     hash: slot's name -> holder or release token (lua/exchange.lua)
 *   wake     list: at most one token; idle workers block on it
 *   workers  zset: worker by deadline of its lease, ms of Redis time
 *   fronts   set: key ids whose lane f may have entries
 *   limits   hash: key id -> slots, of keys with more than one, and 0 of those that are paused
 *   slots    hash: key id -> which of its slots are held, and which have jobs of their own
 *   depths   hash: environment -> entries in its lists; env:ENVIRONMENT is the set of its keys
 *   calls    list: sync calls that wait for a runner anywhere; call_bytes: how large they are
 *   long     set: key ids whose jobs may run for hours; long_ready: zset of those with work that may
 *            start, by slots held and turn; long_wake: list, their token
 *   q:KEY    list: envelopes of a key in ledger order; f:KEY: late ones and retries;
 *   s:SLOT   list: envelopes that a slot has taken; slot 0 is named KEY, the others KEY.1, KEY.2, ...
 *   lock:ENVIRONMENT:DIGEST
 *            string: owner of a function's lock (lock.h), with its time to live
 *   reply:NODE, bell:NODE
 *            lists: what became of calls of that node, and its token
 *   gates    zset: places with a window of their provider, by the end of its life
 *   gate:PLACE
 *            hash: the window of c<connection> or i<integration> (row ids; lua/gate_leave.lua);
 *   gate:PLACE:out  zset: requests that are out, by the end of their lease
 *   bad:...  what stood where a list should be, put aside
 * Lua builds names of lists and env: itself, from the prefix; that is the only other place. */
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
	KEY_LIMITS,
	KEY_SLOTS,
	KEY_DEPTHS,
	KEY_CALLS,
	KEY_CALL_BYTES,
	KEY_LONG,
	KEY_LONG_READY,
	KEY_LONG_WAKE,
	KEY_GATES,
	KEY_NOUNS, /* how many */
};

#define KEYS_SHARD_MAX 9999
#define KEYS_NAME_SIZE 32  /* of a noun's name, with its NUL */
#define KEYS_LIST_SIZE 48  /* of a list's name, with its NUL */
#define KEYS_LOCK_SIZE 128 /* of a lock's name, with its NUL */
#define KEYS_SLOT_SIZE 32  /* of a slot's name, with its NUL */
#define KEYS_REPLY_SIZE 128
#define KEYS_GATE_SIZE 64
#define KEYS_SLOTS_MAX 500 /* slots of a key */

struct keys {
	char prefix[KEYS_NAME_SIZE]; /* "sluice:{s07}:" */
	char names[KEY_NOUNS][KEYS_NAME_SIZE];
};

void keys_init(struct keys *keys, int shard); /* shard: 0..KEYS_SHARD_MAX (asserted) */
/* The list of a concurrency key: lane 'q' or 'f' (asserted). */
void keys_list(const struct keys *keys, char lane, int64_t key_id, char out[KEYS_LIST_SIZE]);
/* A slot's name in held and of its list, and back; false: no such name. */
void keys_slot(int64_t key_id, int slot, char out[KEYS_SLOT_SIZE]);
SL_MUST_USE bool keys_slot_parse(struct slice name, int64_t *key_id, int *slot);
/* Where a node finds answers to its calls, or the bell that is rung for them.  node: at most 64
 * bytes of [A-Za-z0-9._-]. */
void keys_reply(const struct keys *keys, bool bell, const char *node, char out[KEYS_REPLY_SIZE]);
/* The window of a place, "c42" or "i7", or who is out there. */
void keys_gate(const struct keys *keys, const char *place, bool out, char name[KEYS_GATE_SIZE]);
/* A key of this shard that a rebuild leaves alone: answers to calls and providers' windows, which expire by
 * themselves. */
bool keys_outlives(const struct keys *keys, struct slice name);
/* The lock that functions of an environment call text (any bytes: its digest stands in the name). */
void keys_lock(const struct keys *keys, int64_t environment_id, struct slice text,
	       char out[KEYS_LOCK_SIZE]);
/* A pattern for SCAN that all keys of the shard match and no other. */
void keys_pattern(const struct keys *keys, char out[KEYS_NAME_SIZE]);

#endif
