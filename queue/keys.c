#include "queue/keys.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/secret.h"

static const char *const nouns[KEY_NOUNS] = {
    [KEY_EPOCH] = "epoch",     [KEY_BUILD] = "build",   [KEY_READY] = "ready",
    [KEY_TURN] = "turn",       [KEY_HELD] = "held",     [KEY_WAKE] = "wake",
    [KEY_WORKERS] = "workers", [KEY_FRONTS] = "fronts",
};

void
keys_init(struct keys *keys, int shard)
{
	assert(shard >= 0 && shard <= KEYS_SHARD_MAX);
	snprintf(keys->prefix, sizeof(keys->prefix), "sluice:{s%02d}:", shard);
	for (int i = 0; i < KEY_NOUNS; i++)
		snprintf(keys->names[i], sizeof(keys->names[i]), "sluice:{s%02d}:%s", shard,
			 nouns[i]);
}

void
keys_list(const struct keys *keys, bool front, int64_t key_id, char out[KEYS_LIST_SIZE])
{
	int len =
	    snprintf(out, KEYS_LIST_SIZE, "%s%c:%" PRId64, keys->prefix, front ? 'f' : 'q', key_id);

	assert(len > 0 && len < KEYS_LIST_SIZE);
}

void
keys_lock(const struct keys *keys, int64_t environment_id, struct slice text,
	  char out[KEYS_LOCK_SIZE])
{
	char digest[SECRET_SHA256_HEX];
	int len;

	secret_sha256_hex(text, digest);
	len = snprintf(out, KEYS_LOCK_SIZE, "%slock:%" PRId64 ":%s", keys->prefix, environment_id,
		       digest);
	assert(len > 0 && len < KEYS_LOCK_SIZE);
}

void
keys_pattern(const struct keys *keys, char out[KEYS_NAME_SIZE])
{
	int len = snprintf(out, KEYS_NAME_SIZE, "%s*", keys->prefix);

	assert(len > 0 &&
	       len < KEYS_NAME_SIZE); /* no character of a prefix is special in a pattern */
}
