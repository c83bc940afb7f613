/* sql/schedule.h - what the scheduler that leads asks the ledger about schedules: runs that are due, syncs
 * that are to be made or removed.
 *
 * A run's job, the note at its sync and the schedule's next slot are one transaction, and rows that another
 * scheduler has locked are passed over: two that lead at once do each slot once.  All times are the ledger's
 * clock; whoever waits for the next slot does so by a monotonic one, for as long as it is told here.
 *
 * One connection of its own.  Every call answers once, from the loop; what it hands out is borrowed for the
 * call. */
#ifndef SLUICE_SQL_SCHEDULE_H
#define SLUICE_SQL_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/loop.h"
#include "sql/pg.h"
#include "sql/reclaim.h"

#define SCHEDULE_CHANGED "sluice_schedule" /* channel: something is due earlier, or is to be made */
#define SCHEDULE_RUNS_MAX 500              /* due schedules taken in one transaction */
#define SCHEDULE_NEVER INT64_MAX

struct schedule_store; /* opaque */

struct schedule_store *schedule_store_new(struct loop *loop, const struct pg_settings *settings);
/* What is under way fails with SL_UNAVAILABLE first.  NULL is fine. */
void schedule_store_free(struct schedule_store *store);

struct schedule_view {
	int64_t wait_ms;   /* until the next is due; 0: one is; SCHEDULE_NEVER: none ever */
	int64_t wall_ms;   /* the ledger's clock */
	bool make, remove; /* there is work of that sort */
};
typedef void schedule_view_cb(void *arg, enum sl_code code, const struct schedule_view *view,
			      const struct sl_error *error);
void schedule_look(struct schedule_store *store, schedule_view_cb *cb, void *arg);

struct schedule_room { /* how many more jobs of an environment may come in */
	int64_t environment_id, room;
};
struct schedule_ask {
	int64_t jitter_ms;    /* a slot comes up to so much later, by chance; 0: exact */
	int64_t default_room; /* of environments that are not named */
	const struct schedule_room *rooms;
	int room_count;
	int64_t
	    sync_limit; /* the setting; an environment's lane (sync_lane()) is made when missing */
};
struct schedule_pass {
	const struct reclaim_job *jobs; /* accepted, in seq order; open, and in no list yet */
	int count;
	int open, postponed; /* schedules moved on without a run, as schedule_take() says */
	struct schedule_view view;
};
typedef void schedule_pass_cb(void *arg, enum sl_code code, const struct schedule_pass *pass,
			      const struct sl_error *error);
/* Takes up to SCHEDULE_RUNS_MAX schedules that are due, the longest due first.  Slots that were missed
 * meanwhile count as one.  What becomes of one:
 *   - its run is accepted: the next slot is the first in the future;
 *   - the run before is open: the slot is left out (open);
 *   - its function is disabled, or has no version: the slot is left out (postponed), as the pause of a
 *     function is nothing to catch up with;
 *   - its environment drains, or has no room: asked for again within one and a half minutes (postponed),
 *     so that a sync that runs once a day does not lose the day;
 *   - its environment has room, but for fewer than are due: still due, for the next pass.
 * A paused environment accepts runs, which wait like all its jobs.  In doubt about the commit it fails with
 * SL_UNAVAILABLE: what was accepted is found by the sweep. */
void schedule_take(struct schedule_store *store, const struct schedule_ask *ask,
		   schedule_pass_cb *cb, void *arg);

typedef void schedule_count_cb(void *arg, enum sl_code code, int64_t count,
			       const struct sl_error *error);
/* Makes syncs and schedules for functions that were deployed and connections that are new, about
 * SCHEDULE_MAKE_MAX in one transaction; count 0: nothing is left, or another scheduler does it. */
#define SCHEDULE_MAKE_MAX 1000
void schedule_make(struct schedule_store *store, int64_t jitter_ms, schedule_count_cb *cb,
		   void *arg);
/* Removes what removed syncs have left, walking through about SCHEDULE_REMOVE_MAX records in one
 * transaction; count 0: as above. */
#define SCHEDULE_REMOVE_MAX 5000
void schedule_remove(struct schedule_store *store, schedule_count_cb *cb, void *arg);
/* After the ledger's clock was set back: schedules whose next slot is now farther away than their
 * interval (and the jitter) get the first one in the future.  count: of them. */
void schedule_set_back(struct schedule_store *store, int64_t jitter_ms, schedule_count_cb *cb,
		       void *arg);

#endif
