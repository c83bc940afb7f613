/* sql/reclaim.h - what the scheduler asks the ledger: lost sessions, due retries, open jobs,
 * leadership.
 *
 * Not on the hot path: a connection of its own, with plans of its own. */
#ifndef SLUICE_SQL_RECLAIM_H
#define SLUICE_SQL_RECLAIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/job.h"
#include "base/loop.h"
#include "base/secret.h"
#include "sql/pg.h"

struct reclaim; /* opaque */

struct reclaim *reclaim_new(struct loop *loop, const struct pg_settings *settings);
void reclaim_free(struct reclaim *reclaim);

typedef void reclaim_cb(void *arg, enum sl_code code, int64_t count, const struct sl_error *error);

/* Tries to become the one active scheduler (advisory lock of this connection).  count 1: leader.
 * Leadership ends with the connection; ask again after each turn of trouble. */
void reclaim_lead(struct reclaim *reclaim, reclaim_cb *cb, void *arg);
bool reclaim_is_leader(const struct reclaim *reclaim); /* false as soon as the connection is lost */

/* The leader bumps its beat, everybody else reads it (count: the beat). */
void reclaim_leader_beat(struct reclaim *reclaim, reclaim_cb *cb, void *arg);
/* A leader whose beat stood still for a ttl of the caller's monotonic clock is frozen, and its
 * connection keeps the lock: ends that connection, if the beat is still the one seen.  count:
 * connections ended. */
void reclaim_depose(struct reclaim *reclaim, int64_t beat, reclaim_cb *cb, void *arg);

/* Live sessions and their beats. */
struct reclaim_session {
	int64_t id;
	int64_t beat;
};
typedef void reclaim_sessions_cb(void *arg, enum sl_code code,
				 const struct reclaim_session *sessions, int count);
void reclaim_sessions(struct reclaim *reclaim, reclaim_sessions_cb *cb, void *arg);
/* Ends a session whose beat stood still (only if it is still at beat), then resolves what it ran in
 * the same transaction.  What it had begun or what was suspected (sql/settle.h) counts a death; a job
 * with deaths_max of them is set aside (sql/dead.h).  Of the others that were begun: no tries left ->
 * result worker_lost (output: error object), else a retry row due now.  count: jobs resolved.
 * SL_CONFLICT: it moved meanwhile. */
void reclaim_end_session(struct reclaim *reclaim, int64_t id, int64_t beat, int deaths_max,
			 reclaim_cb *cb, void *arg);
/* Ends every live session (standalone start: nobody else can be alive).  count: sessions ended. */
void reclaim_end_all_sessions(struct reclaim *reclaim, int deaths_max, reclaim_cb *cb, void *arg);

struct reclaim_limit {
	int64_t key_id, environment_id;
	int slots; /* above 1, or 0: paused */
};
/* Every key that more than one job may run of at a time, or that is paused (sql/steer.h), by id. */
typedef void reclaim_limits_cb(void *arg, enum sl_code code, const struct reclaim_limit *limits,
			       int count);
/* Before that, the keys of runs of syncs get sync_limit slots where their environment says no number. */
void reclaim_limits(struct reclaim *reclaim, int sync_limit, reclaim_limits_cb *cb, void *arg);

struct reclaim_job { /* what an envelope needs */
	char id[UUID_TEXT];
	int64_t seq, environment_id, key_id, function_version_id, connection_id;
	enum job_kind kind;
	int max_retries, attempt; /* attempt: the next number */
	bool webhook;
	int64_t accepted_ms; /* wall; of a delayed job the end of its delay */
	struct slice input;  /* empty when larger than the envelope takes */
	bool has_input;
};
typedef void reclaim_jobs_cb(void *arg, enum sl_code code, const struct reclaim_job *jobs,
			     int count);
/* Takes up to limit due retry rows (deletes them) and returns their jobs, in seq order. */
void reclaim_due_retries(struct reclaim *reclaim, int limit, reclaim_jobs_cb *cb, void *arg);
/* Open jobs without a waiting retry, accepted more than age_ms ago, in id order behind after_id (""
 * or NULL: from the oldest); at most limit.  For the sweep and for rebuilding Redis. */
void reclaim_open_jobs(struct reclaim *reclaim, int64_t age_ms, const char *after_id, int limit,
		       reclaim_jobs_cb *cb, void *arg);
/* Environments that an operator has paused or lets drain, and jobs that wait for a retry or for the end of
 * their delay, by environment: the first RECLAIM_DELAYED_MAX that are due.  late_ms: since when the first of them could have been taken; 0: none
 * is due. */
#define RECLAIM_DELAYED_MAX 10000
struct reclaim_delayed {
	int64_t environment_id, jobs, late_ms;
	bool paused, draining;
};
typedef void reclaim_delayed_cb(void *arg, enum sl_code code, const struct reclaim_delayed *rows,
				int count);
void reclaim_delayed(struct reclaim *reclaim, reclaim_delayed_cb *cb, void *arg);
/* How the schedules of all syncs stand.  late_ms: since when the first that is due was not taken; 0: none is
 * due.  trouble: syncs by enum sync_trouble, less one. */
struct reclaim_syncs {
	int64_t started, paused, late_ms;
	int64_t trouble[3];
};
/* syncs is borrowed, and zeroed unless code is SL_OK. */
typedef void reclaim_syncs_cb(void *arg, enum sl_code code, const struct reclaim_syncs *syncs);
void reclaim_syncs(struct reclaim *reclaim, reclaim_syncs_cb *cb, void *arg);
/* Ends jobs that nobody has begun and nobody can be running as JOB_EXPIRED, if they could have started
 * for more than their start limit (and some seconds, for clocks that differ) by the ledger's clock.
 * A key that a live session holds is left to that worker, unless Redis says that these jobs are waiting
 * and in nobody's hands; a job that has died was started.  count: jobs ended. */
struct reclaim_late {
	char job_id[UUID_TEXT];
	int64_t limit_ms;
};
void reclaim_expire(struct reclaim *reclaim, const struct reclaim_late *late, int count,
		    bool waiting, reclaim_cb *cb, void *arg);
/* Drops one table of a day that ended more than keep_ms ago and has no open job and none that ended
 * within keep_ms; count: tables dropped, 0 when none is left. */
void reclaim_drop_old(struct reclaim *reclaim, int64_t keep_ms, reclaim_cb *cb, void *arg);
/* The same for rows of days without tables (count: jobs), for deaths and dead rows whose jobs are gone,
 * for quarantined entries, and for sessions that ended and that no hold and no open attempt names. */
void reclaim_delete_old(struct reclaim *reclaim, int64_t keep_ms, reclaim_cb *cb, void *arg);
/* Deletes some of the events that are older than keep_ms, with their deliveries and tries, and of what waits
 * for endpoints that are gone; count: how many rows, 0 when none is left. */
void reclaim_drop_old_events(struct reclaim *reclaim, int64_t keep_ms, reclaim_cb *cb, void *arg);
/* Creates the partitions of the coming days (count: how many were new) and forgets idempotency keys
 * that expired. */
void reclaim_partitions(struct reclaim *reclaim, reclaim_cb *cb, void *arg);

#endif
