/* sql/sync_variant.h - variants of a sync: runs of the same function for the same connection that
 * have a schedule, a checkpoint and records of their own. */
#ifndef SLUICE_SQL_SYNC_VARIANT_H
#define SLUICE_SQL_SYNC_VARIANT_H

#include "sql/sync_set.h"

#define SYNC_VARIANTS_MAX 100 /* of a function and connection, beside "base" */

/* Makes it with its schedule, as the function's definition says: 1 row.  SL_NOT_FOUND: no such
 * function for that connection.  SL_CONFLICT: it is there already.  SL_EXHAUSTED: there are
 * SYNC_VARIANTS_MAX.  SL_UNAVAILABLE also: records of one of that name that was deleted are still
 * being removed; try again. */
void sync_variant_create(struct sync_store *store, int64_t function_id, int64_t connection_id,
			 const char *variant, sync_rows_cb *cb, void *arg);

/* Takes it away: schedule and checkpoint at once, its records by the scheduler; no run can be claimed
 * any more.  job_id: the run that was open, which the caller cancels; "": none was.  SL_NOT_FOUND. */
typedef void sync_removed_cb(void *arg, enum sl_code code, const char *job_id,
			     const struct sl_error *error);
void sync_variant_delete(struct sync_store *store, int64_t function_id, int64_t connection_id,
			 const char *variant, sync_removed_cb *cb, void *arg);

#endif
