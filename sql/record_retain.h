/* sql/record_retain.h - what becomes of records that nobody changes any more, for the scheduler that
 * leads.
 *
 * A payload is emptied some time after the record's last change; a record is deleted some time after
 * its sync last ran.  Both go in chunks, each a short transaction of its own that never waits for a
 * model: a busy one is SL_CONFLICT and comes again.  Where emptying goes on is in the ledger
 * (record_model.pruned_to); deleting begins anew, and finds less. */
#ifndef SLUICE_SQL_RECORD_RETAIN_H
#define SLUICE_SQL_RECORD_RETAIN_H

#include "sql/sync.h"

#define RETAIN_FIND_MAX 200

struct retain_model { /* of a connection; sync_id only where records are deleted */
	int64_t sync_id, connection_id;
	const char *model;
};
typedef void retain_models_cb(void *arg, enum sl_code code, const struct retain_model *models,
			      int count, const struct sl_error *error);
/* What time it is by the ledger's clock, which dated the records; us since 1970. */
typedef void retain_now_cb(void *arg, enum sl_code code, int64_t now_us,
			   const struct sl_error *error);
void retain_now(struct sync_store *store, retain_now_cb *cb, void *arg);

/* Models that may hold payloads of records unchanged since before_us (wall time), behind
 * (connection_id, model) of after, by both; at most RETAIN_FIND_MAX.  after: model NULL: from the
 * first. */
void retain_find_old(struct sync_store *store, int64_t before_us, const struct retain_model *after,
		     retain_models_cb *cb, void *arg);
/* Models that may hold records of syncs whose last run began and ended before before_us; behind
 * after (sync_id, model), by both.  A sync is left alone for twice its interval, whatever before_us. */
void retain_find_idle(struct sync_store *store, int64_t before_us, const struct retain_model *after,
		      retain_models_cb *cb, void *arg);

struct retain_chunk {
	struct retain_model model;
	int64_t before_us;
	int64_t after_us; /* with after_uuid: the place to go on after; "": from the first */
	char after_uuid[UUID_TEXT];
};
/* next: the chunk to go on with; NULL: the model is done. */
typedef void retain_chunk_cb(void *arg, enum sl_code code, int64_t count,
			     const struct retain_chunk *next, const struct sl_error *error);
/* Empties some payloads of records that were last changed before before_us. */
void retain_empty(struct sync_store *store, const struct retain_chunk *chunk, retain_chunk_cb *cb,
		  void *arg);
/* Deletes some records that the sync wrote last.  A model to which anything was written since
 * before_us is kept whole (count -1): something still feeds it, a webhook for one. */
void retain_delete(struct sync_store *store, const struct retain_chunk *chunk, retain_chunk_cb *cb,
		   void *arg);
/* Notes that a sync has no such records left; retain_find_idle() passes it for as long again. */
void retain_emptied(struct sync_store *store, int64_t sync_id, sync_done_cb *cb, void *arg);

#endif
