/* sql/sync_set.h - many syncs at once: those that a request names, read in pages.
 *
 * Of the functions that a set picks, syncs of the variant "base" that are missing are made, with their
 * schedules: nobody has to wait for the scheduler.  Other variants exist only once somebody made them
 * (sync_variant.h). */
#ifndef SLUICE_SQL_SYNC_SET_H
#define SLUICE_SQL_SYNC_SET_H

#include "sql/sync.h"

#define SYNC_BASE "base"
#define SYNC_VARIANT_MAX 255

struct sync_pick {
	int64_t function_id; /* of type sync */
	const char *variant; /* NULL: every one */
};

struct sync_set {
	int64_t integration_id;        /* row id */
	int64_t connection_id;         /* row id; 0: every connection of the integration */
	const struct sync_pick *picks; /* none: no sync at all */
	int pick_count;
};

struct sync_place { /* a sync in the order of pages; zeroed: before the first one */
	int64_t connection_id;
	char name[SYNC_VARIANT_MAX + 1], variant[SYNC_VARIANT_MAX + 1];
};

struct sync_page_row {
	struct sync_row row;    /* its definition is "": functions have it once */
	const char *connection; /* connection id */
	const char *checkpoint; /* JSON; "null": none is saved */
};

/* next: where to go on, if more; a page may be empty and still have followers. */
typedef void sync_page_cb(void *arg, enum sl_code code, const struct sync_page_row *rows, int count,
			  const struct sync_place *next, bool more, const struct sl_error *error);
/* Some hundred syncs behind a place, ordered by connection (row id, that is, by age), name and
 * variant.  set and after are borrowed for the call. */
void sync_set_page(struct sync_store *store, const struct sync_set *set,
		   const struct sync_place *after, sync_page_cb *cb, void *arg);

#endif
