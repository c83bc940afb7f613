#include "queue/keys.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/secret.h"

static const char *const nouns[KEY_NOUNS] = {
    [KEY_EPOCH] = "epoch",
    [KEY_BUILD] = "build",
    [KEY_READY] = "ready",
    [KEY_TURN] = "turn",
    [KEY_HELD] = "held",
    [KEY_WAKE] = "wake",
    [KEY_WORKERS] = "workers",
    [KEY_FRONTS] = "fronts",
    [KEY_LIMITS] = "limits",
    [KEY_SLOTS] = "slots",
    [KEY_DEPTHS] = "depths",
    [KEY_CALLS] = "calls",
    [KEY_CALL_BYTES] = "call_bytes",
    [KEY_LONG] = "long",
    [KEY_LONG_READY] = "long_ready",
    [KEY_LONG_WAKE] = "long_wake",
    [KEY_GATES] = "gates",
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
keys_list(const struct keys *keys, char lane, int64_t key_id, char out[KEYS_LIST_SIZE])
{
	int len = snprintf(out, KEYS_LIST_SIZE, "%s%c:%" PRId64, keys->prefix, lane, key_id);

	assert((lane == 'q' || lane == 'f') && len > 0 && len < KEYS_LIST_SIZE);
}

void
keys_slot(int64_t key_id, int slot, char out[KEYS_SLOT_SIZE])
{
	int len = slot == 0 ? snprintf(out, KEYS_SLOT_SIZE, "%" PRId64, key_id)
			    : snprintf(out, KEYS_SLOT_SIZE, "%" PRId64 ".%d", key_id, slot);

	assert(slot >= 0 && len > 0 && len < KEYS_SLOT_SIZE);
}

/* Decimal digits without sign or leading zero, to their end. */
static bool
number(const char *text, size_t len, int64_t most, int64_t *out)
{
	*out = 0;
	if (len == 0 || (len > 1 && text[0] == '0'))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9' || *out > (most - (text[i] - '0')) / 10)
			return false;
		*out = *out * 10 + (text[i] - '0');
	}
	return true;
}

bool
keys_slot_parse(struct slice name, int64_t *key_id, int *slot)
{
	const char *dot = name.len > 0 ? memchr(name.data, '.', name.len) : NULL;
	size_t len = dot != NULL ? (size_t)(dot - name.data) : name.len;
	int64_t value = 0;

	if (!number(name.data, len, INT64_MAX, key_id))
		return false;
	if (dot != NULL &&
	    (!number(dot + 1, name.len - len - 1, KEYS_SLOTS_MAX - 1, &value) || value == 0))
		return false;
	*slot = (int)value;
	return true;
}

void
keys_reply(const struct keys *keys, bool bell, const char *node, char out[KEYS_REPLY_SIZE])
{
	int len =
	    snprintf(out, KEYS_REPLY_SIZE, "%s%s:%s", keys->prefix, bell ? "bell" : "reply", node);

	assert(len > 0 && len < KEYS_REPLY_SIZE);
}

static bool
begins(struct slice name, const char *with)
{
	size_t len = strlen(with);

	return name.len >= len && memcmp(name.data, with, len) == 0;
}

bool
keys_outlives(const struct keys *keys, struct slice name)
{
	size_t len = strlen(keys->prefix);
	struct slice noun;

	if (!begins(name, keys->prefix))
		return false;
	noun = (struct slice){name.data + len, name.len - len};
	return begins(noun, "reply:") || begins(noun, "bell:") || begins(noun, "gate:") ||
	       slice_is(name, keys->names[KEY_GATES]);
}

void
keys_gate(const struct keys *keys, const char *place, bool out, char name[KEYS_GATE_SIZE])
{
	int len =
	    snprintf(name, KEYS_GATE_SIZE, "%sgate:%s%s", keys->prefix, place, out ? ":out" : "");

	assert(len > 0 && len < KEYS_GATE_SIZE);
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
