/* sql/record.h - the records cache: one row per (connection, model with its variant, record id).
 *
 * Payloads are sealed by the caller and kept as bytes.  A record whose digest did not change is not
 * rewritten, only noted as seen.  Deletes are soft.  Order of "seen" is a database sequence, so no
 * clock matters to tracked deletes.  Writes of a run are refused once another one may
 * have taken its place (struct sync_fence).
 *
 * SL_UNAVAILABLE may mean that it was written: to repeat it is harmless, and it tells what it did if
 * it has a name.
 * Writers of a model wait for each other, so its places in the order grow as they are committed. */
#ifndef SLUICE_SQL_RECORD_H
#define SLUICE_SQL_RECORD_H

#include "base/buf.h"
#include "sql/sync.h"

#define RECORD_DIGEST 16 /* bytes */
#define RECORD_BATCH_MAX 1000

struct record_item {
	const char *id;                  /* 1 to 255 bytes, unique in a batch */
	struct slice payload;            /* sealed; text */
	uint8_t digest[RECORD_DIGEST];   /* of the plain JSON */
	uint8_t expected[RECORD_DIGEST]; /* record_update only: what it was read as */
	int64_t deleted_ms;              /* record_delete only: wall time; 0: now */
};

struct record_batch {
	int64_t connection_id, sync_id; /* row ids */
	const char *model;              /* "Model" or "Model::variant" */
	struct sync_fence fence;        /* all 0: not asked */
	int64_t
	    unless_changed_since_us; /* not 0: leaves rows alone that changed after this wall time
					  */
	const struct record_item *items; /* copied */
	int count;                       /* <= RECORD_BATCH_MAX */
	/* Names this write, without spaces; NULL: it has none.  Repeated soon, because its answer was
	 * lost, it tells what it did the first time. */
	const char *write;
};

struct record_counts {
	int64_t added, updated, deleted, unchanged;
	int64_t refused; /* record_update: changed since they were read, or gone */
	int64_t at_us;   /* the ledger's wall time of what was written; 0: nothing was asked */
};
typedef void record_counts_cb(void *arg, enum sl_code code, const struct record_counts *counts,
			      const struct sl_error *error);
/* New or deleted before: added; another digest: updated; else only seen.  SL_CONFLICT: refused by
 * the fence; nothing was written. */
void record_save(struct sync_store *store, const struct record_batch *batch, record_counts_cb *cb,
		 void *arg);
/* Writes the rows that are there, not deleted and have the expected digest. */
void record_update(struct sync_store *store, const struct record_batch *batch, record_counts_cb *cb,
		   void *arg);
/* Soft delete; the payload becomes the one given.  An unknown id makes a deleted row that is not
 * counted; one deleted before is left as it is. */
void record_delete(struct sync_store *store, const struct record_batch *batch, record_counts_cb *cb,
		   void *arg);

enum record_action { RECORD_ADDED = 1, RECORD_UPDATED = 2, RECORD_DELETED = 4 };

struct record_row {
	const char *id;
	struct slice payload; /* sealed; empty: pruned */
	uint8_t digest[RECORD_DIGEST];
	enum record_action last_action;
	int64_t first_seen_us, last_modified_us, deleted_us, pruned_us; /* wall; 0: not */
	char
	    uuid[UUID_TEXT]; /* of the row: with last_modified_us the record's place in the order */
};
typedef void record_rows_cb(void *arg, enum sl_code code, const struct record_row *rows, int count,
			    bool more, const struct sl_error *error);

struct record_query {
	int64_t connection_id;
	const char *model;
	int64_t
	    after_us; /* with after_uuid: strictly after this place; after_uuid "": from the start */
	const char *after_uuid;
	int64_t modified_since_us; /* 0: any */
	unsigned actions;          /* enum record_action bits of the last action; 0: any */
	const char *const *ids;
	int id_count; /* 0: all */
	int limit;    /* 1 to 10,000 */
};
/* Ordered by (last_modified, uuid).  more: go on after the last row; a page whose payloads pass
 * 64 MiB has fewer rows than asked for. */
void record_list(struct sync_store *store, const struct record_query *query, record_rows_cb *cb,
		 void *arg);

/* Opens the window of tracked deletes of a model, unless one is open (it survives runs).  fence NULL, here
 * and below: not asked. */
void record_track_start(struct sync_store *store, int64_t sync_id, const char *model,
			const struct sync_fence *fence, sync_done_cb *cb, void *arg);
/* Soft-deletes what was not seen since the window opened, keeping payloads, and closes it.
 * SL_NOT_FOUND: no window is open.  ids: borrowed for the call.  write: as of a batch. */
typedef void record_keys_cb(void *arg, enum sl_code code, const char *const *ids, int count,
			    const struct sl_error *error);
void record_track_end(struct sync_store *store, int64_t connection_id, int64_t sync_id,
		      const char *model, const struct sync_fence *fence, const char *write,
		      record_keys_cb *cb, void *arg);
/* The place in the order of "seen" as of now, and the deprecated delete of what was not seen since
 * such a place.  at_ms: the wall time of the ledger, whose clock the times of records are of: none that
 * is written from now on has an earlier one. */
typedef void record_mark_cb(void *arg, enum sl_code code, int64_t mark, int64_t at_ms,
			    const struct sl_error *error);
/* A run of that sync begins (0: a webhook, which is no such run): what only earlier ones had to know
 * of unchanged records is dropped. */
void record_mark(struct sync_store *store, int64_t connection_id, int64_t sync_id,
		 record_mark_cb *cb, void *arg);
void record_delete_unseen(struct sync_store *store, int64_t connection_id, int64_t sync_id,
			  const char *model, int64_t mark, const struct sync_fence *fence,
			  const char *write, record_keys_cb *cb, void *arg);
/* Removes every record of a sync for good (emptyCache), some at a time: a failure leaves the rest. */
void record_clear(struct sync_store *store, int64_t connection_id, int64_t sync_id,
		  const struct sync_fence *fence, sync_done_cb *cb, void *arg);

#endif
