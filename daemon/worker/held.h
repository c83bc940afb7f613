/* daemon/worker/held.h - keys that this worker holds without a turn: what it needs to run their next
 * turn without asking the ledger, or before it asks (turn_claim.c).
 *
 * A slot that is handed in and comes back as "kept" has the same tenure, and nothing can have changed
 * but one thing: jobs of its key may have been cancelled.  judge_to says up to where: a turn whose first job
 * is not behind it must be judged like one of a key that is new here.  Bounded by the slots held. */
#ifndef SLUICE_DAEMON_WORKER_HELD_H
#define SLUICE_DAEMON_WORKER_HELD_H

#include <stdint.h>

struct held; /* opaque */

struct held *held_new(void);
void held_free(struct held *held);
void held_clear(struct held *held);
void held_put(struct held *held, int64_t key_id, int slot, int64_t tenure, int64_t judge_to);
void held_drop(struct held *held, int64_t key_id, int slot);
/* The tenure for a turn whose first job is first_seq; -1: the slot is not held, or must be judged. */
int64_t held_tenure(const struct held *held, int64_t key_id, int slot, int64_t first_seq);
/* Jobs up to seq may have been cancelled: of one key, or of all of them. */
void held_judge(struct held *held, int64_t key_id, int64_t seq);
void held_judge_all(struct held *held, int64_t seq);

#endif
