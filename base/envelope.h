/* base/envelope.h - what stands in Redis: for a job 12 digits of seq, then msgpack, then a MAC; for
 * calls msgpack and a MAC.
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
#define ENVELOPE_MAX (1 << 20) /* of any version: more is not looked at */

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

/* A call: a sync call that travels to a worker with a free runner, and what its asker is told.
 * msgpack, then a MAC as above; the key of each MAC is derived again, with a label of its own, so that
 * none of the three passes for another.  Version 1:
 * [1, id(16 bytes), node, environment id, function version id, connection id, kind, start by wall ms,
 *  input(bin) | nil] and [1, id, what, worker, state, aborted(bool), output(bin) | nil]. */
#define CALL_INPUT_MAX (8 << 20)
#define CALL_OUTPUT_MAX (4 << 20)
#define CALL_NODE_MAX 64 /* bytes of a node's or worker's name, of [A-Za-z0-9._-] */

struct call_envelope {
	char id[UUID_TEXT];
	char node[CALL_NODE_MAX + 1]; /* where the answer goes */
	int64_t environment_id;
	int64_t function_version_id;
	int64_t connection_id;
	enum job_kind kind;
	int64_t start_by_ms; /* wall clock: not started later; 0: the asker, who waits, sees to it */
	bool has_input;
	struct slice input; /* JSON text; borrowed */
};

enum call_what {
	CALL_STARTED = 1, /* worker says who has it */
	CALL_ENDED = 2,   /* state, aborted and output say how */
	CALL_REFUSED = 3, /* not started there, and never will be */
};

struct call_answer {
	char id[UUID_TEXT];
	enum call_what what;
	char worker[CALL_NODE_MAX + 1]; /* the name of its lease */
	int state;                      /* enum job_state when it ended, else 0 */
	bool aborted;
	bool has_output;
	struct slice output; /* borrowed */
};

void envelope_encode(const struct envelope *envelope, const uint8_t key[32], struct buf *out);
/* SL_INVALID: malformed (length, type, depth, input that is no UTF-8); SL_CONFLICT: wrong MAC; SL_UNAVAILABLE: a newer
 * version than we know. On SL_OK input borrows from bytes. */
SL_MUST_USE enum sl_code envelope_decode(struct slice bytes, const uint8_t key[32],
					 struct envelope *out, struct sl_error *error);
/* Names, ids and lengths must be sound (asserted).  Decoding: as envelope_decode(). */
void call_envelope_encode(const struct call_envelope *call, const uint8_t key[32], struct buf *out);
SL_MUST_USE enum sl_code call_envelope_decode(struct slice bytes, const uint8_t key[32],
					      struct call_envelope *out, struct sl_error *error);
void call_answer_encode(const struct call_answer *answer, const uint8_t key[32], struct buf *out);
SL_MUST_USE enum sl_code call_answer_decode(struct slice bytes, const uint8_t key[32],
					    struct call_answer *out, struct sl_error *error);
/* The MAC key for envelopes, derived from the ring's sealing key (HKDF-like: HMAC of a fixed
 * label). */
void envelope_key(const struct secret_ring *ring, uint8_t out[32]);

#endif
