/* sql/schedule_steer.h - schedules as users start, pause and change them.
 *
 * Each call is one transaction that tells SCHEDULE_CHANGED what it did: all of it happens, or none.
 * To ask for what is so already changes nothing, in particular no next slot. */
#ifndef SLUICE_SQL_SCHEDULE_STEER_H
#define SLUICE_SQL_SCHEDULE_STEER_H

#include "sql/sync_set.h"

/* found: syncs that were meant; changed: of these, those that were not so already. */
typedef void schedule_steer_cb(void *arg, enum sl_code code, int64_t found, int64_t changed,
			       const struct sl_error *error);
/* They go on with the next slot after now.  set is borrowed until the callback. */
void schedule_start(struct sync_store *store, const struct sync_set *set, schedule_steer_cb *cb,
		    void *arg);
/* A run that is open goes on.  set is borrowed until the callback. */
void schedule_pause(struct sync_store *store, const struct sync_set *set, schedule_steer_cb *cb,
		    void *arg);

/* declared: what the active version says; "": nothing (it never runs by itself). */
typedef void schedule_frequency_cb(void *arg, enum sl_code code, const char *declared,
				   const struct sl_error *error);
/* Gives one sync (a set of one connection and one pick with its variant) a frequency of its own, as
 * normalised by interval_normal(), or with NULL the function's again; the next slot is counted anew,
 * from the same anchor.  SL_NOT_FOUND: no such sync. */
void schedule_frequency(struct sync_store *store, const struct sync_set *set, const char *frequency,
			schedule_frequency_cb *cb, void *arg);

#endif
