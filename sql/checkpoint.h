/* sql/checkpoint.h - where a function left off: one small JSON object per connection, function and
 * variant (wire.md 14.5).
 *
 * Versioned: a write names the version it saw, and a stale writer is refused. */
#ifndef SLUICE_SQL_CHECKPOINT_H
#define SLUICE_SQL_CHECKPOINT_H

#include "sql/sync.h"

struct checkpoint_place {
	int64_t connection_id, function_id; /* row ids */
	const char *variant;
};

/* value NULL: never saved, or cleared.  version 0: never saved. */
typedef void checkpoint_cb(void *arg, enum sl_code code, int64_t version, const char *value,
			   const struct sl_error *error);
void checkpoint_read(struct sync_store *store, const struct checkpoint_place *place,
		     checkpoint_cb *cb, void *arg);
/* value NULL clears.  seen: the version that the caller knows.  fence NULL: not asked.  cb gets the new
 * version.  SL_CONFLICT with the version CHECKPOINT_STALE: another version is there; with 0: refused by
 * the fence; nothing was written.  SL_NOT_FOUND: no such connection or function.
 * SL_UNAVAILABLE may mean that it was written: the same write again is SL_OK if it was and nobody
 * wrote since. */
#define CHECKPOINT_STALE (-1)
void checkpoint_write(struct sync_store *store, const struct checkpoint_place *place, int64_t seen,
		      const char *value, const struct sync_fence *fence, checkpoint_cb *cb,
		      void *arg);

#endif
