/* daemon/scheduler/scheduler.c - one timer, several duties, each with one question in flight.
 *
 * Lost workers are judged by a beat that stood still for a ttl of this process's own monotonic
 * clock (I14); lost leases by Redis's clock, inside the script. */
#include "daemon/scheduler/scheduler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/envelope.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/map.h"
#include "base/metrics.h"
#include "daemon/scheduler/outgoing.h"
#include "daemon/scheduler/refresher.h"
#include "daemon/scheduler/schedule.h"
#include "daemon/scheduler/recount.h"
#include "daemon/scheduler/retention.h"
#include "daemon/scheduler/survey.h"
#include "daemon/scheduler/sweep.h"
#include "daemon/scheduler/upkeep.h"
#include "daemon/shard.h"
#include "queue/ready.h"
#include "sql/reclaim.h"

#define TICK_MS 500
#define RETRIES_AT_ONCE 500
#define PARTITIONS_MS (3600 * 1000)
#define RECONNECT_MS 3000 /* a connection that was lost is back within this time */

struct seen { /* a live session and since when its beat has stood still */
	int64_t id, beat, since_ms;
	bool marked; /* still in the ledger's list */
};

struct scheduler {
	struct daemon *daemon;
	struct reclaim *reclaim;
	struct upkeep *upkeep;
	struct survey *survey;
	struct schedule *schedule;
	struct retention *retention;
	struct recount *recount;
	struct outgoing *outgoing;
	struct refresher *refresher;
	struct loop_timer *timer;
	struct map *sessions; /* id -> seen */
	bool was_leader, asking_lead, asking_sessions, asking_retries, asking_partitions;
	bool cleared;
	enum sl_code clear_code;
	struct sl_error clear_error;
	int64_t partitions_ms;
	int64_t dropped; /* tables of this pass of retention */
	bool asking_beat;
	int64_t trouble_ms;                   /* when the ledger last did not answer */
	int64_t beat_ms;                      /* when to ask next */
	int64_t leader_beat, leader_since_ms; /* of another leader: since when it stands still */
};

/* ---- lost workers ---------------------------------------------------------------------------- */

static void
on_session_ended(void *arg, enum sl_code code, int64_t count, const struct sl_error *error)
{
	(void)arg;
	FAULT_POINT("session_ended");
	if (code == SL_OK) {
		metrics_count(METRIC_SESSIONS_ENDED, 0);
		metric_add(&metrics[METRIC_REPAIRS], METRIC_JOB_RESOLVED, 0, (double)count);
	}
	if (code == SL_OK)
		log_warn("worker_lost", "attempts_resolved=%lld", (long long)count);
	else if (code != SL_CONFLICT)
		log_warn("session_not_ended", "error=%s",
			 log_text(error != NULL ? error->text : ""));
}

static void
note_session(struct scheduler *scheduler, const struct reclaim_session *row, int64_t now)
{
	struct seen *seen = map_get_int(scheduler->sessions, row->id);

	if (seen == NULL) {
		seen = sl_alloc(sizeof(*seen));
		seen->id = row->id;
		map_put_int(scheduler->sessions, row->id, seen);
	}
	seen->marked = true;
	if (seen->since_ms == 0) {
		/* First seen.  After trouble the workers' connections may still be coming back. */
		seen->beat = row->beat;
		seen->since_ms =
		    now > scheduler->trouble_ms + RECONNECT_MS ? now : now + RECONNECT_MS;
	} else if (seen->beat != row->beat) {
		seen->beat = row->beat;
		seen->since_ms = now;
	} else if (now - seen->since_ms > config_int(scheduler->daemon->config, "lease_ttl")) {
		log_warn("session_expired", "session=%lld", (long long)row->id);
		seen->since_ms = now;
		reclaim_end_session(scheduler->reclaim, row->id, row->beat,
				    (int)config_int(scheduler->daemon->config, "deaths_max"),
				    on_session_ended, scheduler);
	}
}

static void
on_sessions(void *arg, enum sl_code code, const struct reclaim_session *sessions, int count)
{
	struct scheduler *scheduler = arg;
	int64_t now = clock_mono_ms();
	size_t at = 0;
	void *value;

	scheduler->asking_sessions = false;
	if (code != SL_OK) {
		scheduler->trouble_ms = now;
		return;
	}
	for (int i = 0; i < count; i++)
		note_session(scheduler, &sessions[i], now);
	while (map_each(scheduler->sessions, &at, &value)) {
		struct seen *seen = value;

		if (!seen->marked)
			free(map_remove_int(scheduler->sessions, seen->id));
		else
			seen->marked = false;
	}
}

static void
on_cleared(void *arg, enum sl_code code, int64_t count, const struct sl_error *error)
{
	struct scheduler *scheduler = arg;

	scheduler->cleared = true;
	scheduler->clear_code = code;
	if (error != NULL)
		scheduler->clear_error = *error;
	if (code == SL_OK && count > 0)
		log_info("earlier_sessions_ended", "count=%lld", (long long)count);
}

enum sl_code
scheduler_clear(struct scheduler *scheduler, struct sl_error *error)
{
	reclaim_end_all_sessions(scheduler->reclaim,
				 (int)config_int(scheduler->daemon->config, "deaths_max"),
				 on_cleared, scheduler);
	while (!scheduler->cleared) /* bounded: a command that gets no answer fails */
		loop_turn(scheduler->daemon->loop, 100);
	if (scheduler->clear_code != SL_OK)
		return sl_fail(error, scheduler->clear_code, "%s", scheduler->clear_error.text);
	return SL_OK;
}

/* ---- due retries ----------------------------------------------------------------------------- */

static void
on_pushed(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	(void)arg;
	(void)value;
	if (code != SL_OK) /* open and in no list: the sweep finds them */
		log_debug("push_left_to_sweep", "code=%s error=%s", sl_code_name(code),
			  log_text(error != NULL ? error->text : ""));
}

static void
on_retries(void *arg, enum sl_code code, const struct reclaim_job *jobs, int count)
{
	struct scheduler *scheduler = arg;

	scheduler->asking_retries = false;
	if (code == SL_OK && count > 0)
		FAULT_POINT("retries_taken");
	for (int at = 0, next; code == SL_OK && at < count; at = next) {
		int shard = shard_of(scheduler->daemon, jobs[at].environment_id);

		/* Those that stand together; their order is by seq within a key, whatever the shard. */
		for (next = at + 1; next < count; next++)
			if (shard_of(scheduler->daemon, jobs[next].environment_id) != shard)
				break;
		sweep_push(scheduler->daemon, shard, &jobs[at], next - at, READY_FRONT, on_pushed,
			   NULL);
	}
}

/* ---- the tick -------------------------------------------------------------------------------- */

static void
on_deposed(void *arg, enum sl_code code, int64_t count, const struct sl_error *error)
{
	(void)arg;
	if (code != SL_OK)
		log_warn("leader_not_deposed", "error=%s",
			 log_text(error != NULL ? error->text : ""));
	else if (count > 0)
		log_warn("leader_deposed", "reason=%s", "its beat stood still");
}

/* The leader's own beat tells it nothing; the others watch it. */
static void
on_leader_beat(void *arg, enum sl_code code, int64_t beat, const struct sl_error *error)
{
	struct scheduler *scheduler = arg;
	int64_t now = clock_mono_ms();

	(void)error;
	scheduler->asking_beat = false;
	if (code != SL_OK)
		scheduler->trouble_ms = now;
	if (code != SL_OK || reclaim_is_leader(scheduler->reclaim))
		return;
	if (beat != scheduler->leader_beat || scheduler->leader_since_ms == 0) {
		scheduler->leader_beat = beat;
		scheduler->leader_since_ms = now;
	} else if (now - scheduler->leader_since_ms >
		   config_int(scheduler->daemon->config, "lease_ttl")) {
		scheduler->leader_since_ms = 0;
		reclaim_depose(scheduler->reclaim, beat, on_deposed, scheduler);
	}
}

static void
ask_leader_beat(struct scheduler *scheduler)
{
	if (scheduler->asking_beat || clock_mono_ms() < scheduler->beat_ms)
		return;
	scheduler->beat_ms =
	    clock_mono_ms() + config_int(scheduler->daemon->config, "lease_ttl") / 4;
	scheduler->asking_beat = true;
	reclaim_leader_beat(scheduler->reclaim, on_leader_beat, scheduler);
}

static void
on_lead(void *arg, enum sl_code code, int64_t count, const struct sl_error *error)
{
	struct scheduler *scheduler = arg;

	(void)error;
	scheduler->asking_lead = false;
	if (code != SL_OK || (count == 1 && scheduler->was_leader))
		scheduler->trouble_ms =
		    clock_mono_ms(); /* it led before: its connection was lost */
	if (code == SL_OK && count == 1) {
		log_info("scheduler_leads", "node=%s", scheduler->daemon->node);
		upkeep_lead(scheduler->upkeep);
		scheduler->was_leader = true;
		map_free(scheduler->sessions, free);
		scheduler->sessions = map_new();
	}
}

/* A piece at a time, until none is left. */
static void
on_events_deleted(void *arg, enum sl_code code, int64_t count, const struct sl_error *error)
{
	struct scheduler *scheduler = arg;

	if (code != SL_OK)
		log_warn("old_events_not_deleted", "error=%s",
			 log_text(error != NULL ? error->text : ""));
	else if (count > 0)
		reclaim_drop_old_events(scheduler->reclaim,
					config_int(scheduler->daemon->config, "delivery_retention"),
					on_events_deleted, scheduler);
}

static void
on_deleted_old(void *arg, enum sl_code code, int64_t count, const struct sl_error *error)
{
	struct scheduler *scheduler = arg;

	if (code != SL_OK)
		log_warn("old_rows_not_deleted", "error=%s",
			 log_text(error != NULL ? error->text : ""));
	else if (count > 0)
		log_info("old_rows_deleted", "jobs=%lld", (long long)count);
	if (code == SL_OK)
		on_events_deleted(scheduler, SL_OK, 1, NULL);
}

/* One table per transaction, until none is left. */
static void
on_dropped(void *arg, enum sl_code code, int64_t count, const struct sl_error *error)
{
	struct scheduler *scheduler = arg;
	int64_t keep = config_int(scheduler->daemon->config, "retention");

	if (code != SL_OK) {
		log_warn("old_tables_not_dropped", "error=%s",
			 log_text(error != NULL ? error->text : ""));
	} else if (count > 0) {
		scheduler->dropped += count;
		reclaim_drop_old(scheduler->reclaim, keep, on_dropped, scheduler);
		return;
	} else {
		reclaim_delete_old(scheduler->reclaim, keep, on_deleted_old, scheduler);
	}
	if (scheduler->dropped > 0)
		log_info("old_tables_dropped", "tables=%lld", (long long)scheduler->dropped);
	scheduler->dropped = 0;
	scheduler->asking_partitions = false;
}

static void
on_partitions(void *arg, enum sl_code code, int64_t count, const struct sl_error *error)
{
	struct scheduler *scheduler = arg;

	scheduler->asking_partitions = code == SL_OK;
	if (code == SL_OK) {
		scheduler->partitions_ms = clock_mono_ms() + PARTITIONS_MS;
		reclaim_drop_old(scheduler->reclaim,
				 config_int(scheduler->daemon->config, "retention"), on_dropped,
				 scheduler);
	} else {
		log_warn("partitions_not_made", "error=%s",
			 log_text(error != NULL ? error->text : ""));
	}
	if (code == SL_OK && count > 0)
		log_info("partitions_made", "count=%lld", (long long)count);
}

static void
on_tick(void *arg)
{
	struct scheduler *scheduler = arg;

	ask_leader_beat(scheduler);
	if (!reclaim_is_leader(scheduler->reclaim)) {
		survey_forget(scheduler->survey);
		schedule_rest(scheduler->schedule);
		retention_stop(scheduler->retention);
		recount_stop(scheduler->recount);
		outgoing_stop(scheduler->outgoing);
		if (!scheduler->asking_lead) {
			scheduler->asking_lead = true;
			reclaim_lead(scheduler->reclaim, on_lead, scheduler);
		}
		return;
	}
	if (!scheduler->asking_sessions) {
		scheduler->asking_sessions = true;
		reclaim_sessions(scheduler->reclaim, on_sessions, scheduler);
	}
	if (!scheduler->asking_retries) {
		scheduler->asking_retries = true;
		reclaim_due_retries(scheduler->reclaim, RETRIES_AT_ONCE, on_retries, scheduler);
	}
	if (!scheduler->asking_partitions && clock_mono_ms() >= scheduler->partitions_ms) {
		scheduler->asking_partitions = true;
		reclaim_partitions(scheduler->reclaim, on_partitions, scheduler);
	}
	upkeep_tick(scheduler->upkeep);
	survey_tick(scheduler->survey);
	schedule_tick(scheduler->schedule);
	retention_tick(scheduler->retention);
	recount_tick(scheduler->recount);
	outgoing_tick(scheduler->outgoing);
	refresher_tick(scheduler->refresher);
}

bool
scheduler_leads(const struct scheduler *scheduler)
{
	return reclaim_is_leader(scheduler->reclaim);
}

struct scheduler *
scheduler_new(struct daemon *daemon, const char *conninfo)
{
	struct scheduler *scheduler = sl_alloc(sizeof(*scheduler));
	struct pg_settings settings = {
	    .conninfo = conninfo, .name = "sluiced scheduler", .timeout_ms = 60000};

	scheduler->daemon = daemon;
	scheduler->reclaim = reclaim_new(daemon->loop, &settings);
	scheduler->upkeep = upkeep_new(daemon, scheduler->reclaim);
	scheduler->survey = survey_new(daemon, scheduler->reclaim);
	scheduler->schedule = schedule_new(daemon, conninfo);
	scheduler->retention = retention_new(daemon, conninfo);
	scheduler->recount = recount_new(daemon, conninfo);
	scheduler->outgoing = outgoing_new(daemon, conninfo);
	scheduler->refresher = refresher_new(daemon);
	scheduler->sessions = map_new();
	scheduler->timer = loop_timer_new(daemon->loop, on_tick, scheduler);
	loop_timer_every(scheduler->timer, TICK_MS);
	loop_soon(daemon->loop, on_tick, scheduler);
	return scheduler;
}

static void
free_now(void *arg)
{
	struct scheduler *scheduler = arg;

	map_free(scheduler->sessions, free);
	free(scheduler);
}

void
scheduler_free(struct scheduler *scheduler)
{
	if (scheduler == NULL)
		return;
	loop_timer_free(scheduler->timer);
	upkeep_free(scheduler->upkeep);
	survey_free(scheduler->survey);
	schedule_free(scheduler->schedule);
	retention_free(scheduler->retention);
	recount_free(scheduler->recount);
	outgoing_free(scheduler->outgoing);
	refresher_free(scheduler->refresher);
	reclaim_free(scheduler->reclaim);
	/* Redis still answers, with failures, what is under way. */
	loop_free_later(scheduler->daemon->loop, free_now, scheduler);
}
