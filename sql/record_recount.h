/* sql/record_recount.h - finds models whose number of records is not known, and counts them.
 *
 * Writers keep the number with each write (record_store.h), so a difference between the rows and the
 * number, seen at one moment, stays the same whatever is written meanwhile: it is added later,
 * without a lock that writers would wait for.  Only an earlier release, which writes and does not
 * count, makes a new one. */
#ifndef SLUICE_SQL_RECORD_RECOUNT_H
#define SLUICE_SQL_RECORD_RECOUNT_H

#include "sql/sync.h"

#define RECOUNT_MODELS 200 /* of one step */

struct recount_place {
	int64_t connection_id;
	char *model; /* owned by the holder of the place; NULL: the start */
};
/* more: go on from this place; its model is borrowed for the call. */
typedef void recount_found_cb(void *arg, enum sl_code code, bool more,
			      const struct recount_place *last, const struct sl_error *error);
/* Looks at the next models that have records: those that nobody has counted, or an earlier release
 * has written to, are marked. */
void recount_find(struct sync_store *store, const struct recount_place *after, recount_found_cb *cb,
		  void *arg);

typedef void recount_done_cb(void *arg, enum sl_code code, bool counted,
			     const struct sl_error *error);
/* Counts one model that is marked; counted false: there was none.  Reads all of the model. */
void recount_one(struct sync_store *store, recount_done_cb *cb, void *arg);

#endif
