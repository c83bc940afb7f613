/* base/envelope.h - what stands in a Redis queue for a job: 12 digits of seq, then msgpack, then a
 * MAC.
 *
 * The digits let scripts compare ledger order without decoding.  The msgpack array is version 1:
 * [1, job id(16 bytes), environment id, key id, function version id, connection id, attempt,
 *  max_retries, kind, webhook(bool), accepted at wall ms, input(bin) | nil].  Input over 16 KiB is
 * nil and is read from the ledger.  The last 16 bytes are HMAC-SHA256 over everything before them,
 * cut; the key is derived from the sealing key, so an entry written by someone else with access to
 * Redis is refused. */
#ifndef SLUICE_BASE_ENVELOPE_H
#define SLUICE_BASE_ENVELOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/job.h"
#include "base/secret.h"

#define ENVELOPE_INPUT_MAX 16384
#define ENVELOPE_SEQ_DIGITS 12

struct envelope {
	int64_t seq;
	char job_id[UUID_TEXT];
	int64_t environment_id;
	int64_t key_id;
	int64_t function_version_id;
	int64_t connection_id;
	int attempt; /* the try this entry asks for, from 1 */
	int max_retries;
	enum job_kind kind;
	bool webhook;
	int64_t accepted_ms; /* wall clock */
	bool has_input;
	struct slice input; /* JSON text; borrowed */
};

void envelope_encode(const struct envelope *envelope, const uint8_t key[32], struct buf *out);
/* SL_INVALID: malformed (length, type, depth); SL_CONFLICT: wrong MAC; SL_UNAVAILABLE: a newer
 * version than we know. On SL_OK input borrows from bytes. */
SL_MUST_USE enum sl_code envelope_decode(struct slice bytes, const uint8_t key[32],
					 struct envelope *out, struct sl_error *error);
/* The MAC key for envelopes, derived from the ring's sealing key (HKDF-like: HMAC of a fixed
 * label). */
void envelope_key(const struct secret_ring *ring, uint8_t out[32]);

#endif
