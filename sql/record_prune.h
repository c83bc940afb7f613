/* sql/record_prune.h - emptying payloads of records that were read (PATCH /records/prune).
 *
 * A pruned record keeps its id, its digest and its place in the order: readers do not see it again,
 * and a sync still sees what has changed.  When it is saved again, its payload comes back in its old
 * place (sql/record.c). */
#ifndef SLUICE_SQL_RECORD_PRUNE_H
#define SLUICE_SQL_RECORD_PRUNE_H

#include "sql/sync.h"

struct record_prune {
	int64_t connection_id; /* row id */
	const char *model;     /* "Model" or "Model::variant" */
	int64_t until_us;      /* with until_uuid: the last place that is pruned */
	const char *until_uuid;
	int limit; /* 1 to 10,000 */
};
/* more: records up to that place still have a payload. */
typedef void record_pruned_cb(void *arg, enum sl_code code, int64_t count, bool more,
			      const struct sl_error *error);
/* Empties the oldest first, deleted ones too.  It holds the model's lock like a writer.
 * SL_NOT_FOUND: the connection is gone.  SL_UNAVAILABLE may mean that it was done: to ask again is
 * harmless. */
void record_prune(struct sync_store *store, const struct record_prune *prune, record_pruned_cb *cb,
		  void *arg);

#endif
