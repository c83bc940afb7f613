/* sql/sync_store.h - what sync.c, record*.c and checkpoint.c share.  Private to them.
 *
 * Each call is one unit.  A unit that writes for a run starts with the fence (fence() of
 * 0015_sync_state.sql): until the commit neither the session nor the try can be ended and no other run
 * of the sync can begin; if one of it has happened the unit is refused as a whole, so what follows need
 * not ask again.  Locks are taken in one order everywhere: session, connection, sync, attempt, model,
 * rows. */
#ifndef SLUICE_SQL_SYNC_STORE_H
#define SLUICE_SQL_SYNC_STORE_H

#include "sql/checkpoint.h"
#include "sql/record.h"
#include "sql/sync.h"
#include "sql/unit.h"

/* Timestamps as numbers since 1970, and back; null stays null. */
#define SYNC_MS(column) "(extract(epoch FROM " column ") * 1000)::bigint"
#define SYNC_US(column) "(extract(epoch FROM " column ") * 1000000)::bigint"
#define SYNC_AT_US(param) "(timestamptz 'epoch' + " param "::bigint * interval '1 microsecond')"
#define SYNC_AT_MS(param) "(timestamptz 'epoch' + " param "::bigint * interval '1 millisecond')"

/* The newest run is open: in the ledger without a result, or noted less than a minute ago and not
 * there yet (an earlier release notes it before it accepts it).  Rows of the ledger are looked up by subqueries that the planner may not turn into
 * joins; see settle_batch.c. */
#define SYNC_OPEN                                                            \
	"(s.job_id IS NOT NULL"                                              \
	" AND (SELECT true FROM result r WHERE r.job_id = s.job_id) IS NULL" \
	" AND (s.claimed_at > now() - interval '1 minute'"                   \
	"  OR (SELECT true FROM job j WHERE j.id = s.job_id) IS NOT NULL))"

struct sync_call {
	union { /* the one that the reader of the answer knows */
		sync_rows_cb *rows;
		sync_done_cb *done;
		sync_key_cb *key;
		record_counts_cb *counts;
		record_rows_cb *records;
		record_keys_cb *keys;
		record_mark_cb *mark;
		checkpoint_cb *checkpoint;
		sync_accept_cb *accepted;
	} cb;
	void *arg;
	const char *one; /* what must be there: no row is SL_NOT_FOUND; NULL: may be none */
	unit_cb *answered;
	struct unit_answer refused; /* of a call that was not sent */
};

struct sync_call *sync_call_new(void *arg, const char *one); /* freed by the one that answers */
void sync_send(struct sync_store *store, struct unit *unit, unit_cb *answered,
	       struct sync_call *call);
/* Answers a call without asking the database: its input is wrong.  From the loop, like others. */
void sync_refuse(struct sync_store *store, unit_cb *answered, struct sync_call *call,
		 enum sl_code code, const char *why);
/* Adds the fence, unless it asks for nothing or is NULL. */
void sync_add_fence(struct unit *unit, const struct sync_fence *fence);
/* How a call ended, and how many rows its last command gave (0 unless SL_OK). */
enum sl_code sync_outcome(const struct sync_call *call, const struct unit_answer *answer,
			  int *count, struct sl_error *error);
const PGresult *sync_answer_rows(const struct unit_answer *answer); /* of the last command */
/* Answers with sync_done_cb. */
void sync_on_done(void *arg, const struct unit_answer *answer);

#endif
