/* daemon/doctor_queue.c - the doctor's checks of what waits, of what was set aside, and of syncs. */
#include <inttypes.h>
#include <string.h>

#include "daemon/doctor_parts.h"

/* Why jobs of this line wait, the surest reason first. */
static void
explain_wait(struct judge *judge, const struct doctor_queue *queue, struct doctor_check *check)
{
	const struct doctor_facts *facts = judge->facts;

	if (!judge->redis) {
		doctor_says(check->cause, "Redis is away or its queues are being built");
		doctor_says(check->remedy, "see redis");
	} else if (judge->live == 0 && judge->quiet > 0 && facts->strangers == 0) {
		doctor_says(check->cause, "all workers are quiet");
		doctor_says(check->remedy, "sluice worker release %s", judge->one_quiet->name);
	} else if (judge->live == 0 && facts->strangers == 0) {
		doctor_says(check->cause, "no worker is live");
		doctor_says(check->remedy, "see workers");
	} else if (queue->paused) {
		doctor_says(check->cause, "it is paused");
		doctor_says(check->remedy, "sluice queue resume %s%s%s", queue->environment,
			    queue->line != NULL ? " --line " : "",
			    queue->line != NULL ? queue->line : "");
	} else if (judge->mute > 0 && judge->mute == judge->live) {
		doctor_says(check->cause, "no worker can start functions");
		doctor_says(check->remedy, "see runner");
	} else if (judge->places > 0 && judge->busy >= judge->places) {
		doctor_says(check->cause, "all %d places of %d worker%s are busy", judge->places,
			    judge->live, judge->live == 1 ? "" : "s");
		doctor_says(check->remedy,
			    "add workers, or raise runners where there is CPU and memory left");
	} else if (queue->limit > 0 && queue->running >= queue->limit) {
		doctor_says(check->cause, "%d of its jobs run%s, and no more may at once",
			    queue->running, queue->running == 1 ? "s" : "");
		doctor_says(
		    check->remedy,
		    "raise its limit (doc/queue.md, How many at a time), or look at what runs: "
		    "sluice queue peek %s",
		    queue->environment);
	} else if (judge->lost > 0) {
		doctor_says(check->cause, "%s is lost and may still hold it",
			    judge->one_lost->name);
		doctor_says(check->remedy, "sluice worker release --force %s",
			    judge->one_lost->name);
	} else if (!facts->lock_held) {
		doctor_says(check->cause,
			    "no scheduler leads that would find what was left behind");
		doctor_says(check->remedy, "see scheduler");
	} else {
		doctor_says(check->cause,
			    "no reason is known: places are free and nothing holds it");
		doctor_says(check->remedy,
			    "look at the workers' logs for claim and session errors");
	}
}

void
doctor_check_queue_age(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	const struct doctor_queue *oldest = NULL;
	struct doctor_check *check;
	char age[32];

	if (!facts->queues_known) {
		check = doctor_add(judge, "queue_age", DOCTOR_WARN,
				   "how old the queues are is not known");
		doctor_says(check->cause, judge->redis
					      ? "they could not be read in time"
					      : "Redis is away or its queues are being built");
		doctor_says(check->remedy, judge->redis ? "ask again" : "see redis");
		return;
	}
	/* One that somebody paused is waited for by nobody: it counts only if all others are young. */
	for (int i = 0; i < facts->queue_count; i++) {
		const struct doctor_queue *queue = &facts->queues[i];

		if (oldest == NULL ||
		    (oldest->paused && !queue->paused && queue->oldest_ms > DOCTOR_OLD_MS))
			oldest = queue;
	}
	if (oldest == NULL || oldest->oldest_ms <= DOCTOR_OLD_MS) {
		doctor_add(
		    judge, "queue_age", DOCTOR_OK, "the oldest job that waits is %s old",
		    doctor_span(oldest != NULL && oldest->oldest_ms > 0 ? oldest->oldest_ms : 0,
				age));
		return;
	}
	check = doctor_add(
	    judge, "queue_age",
	    oldest->oldest_ms > DOCTOR_VERY_OLD_MS && !oldest->paused ? DOCTOR_FAIL : DOCTOR_WARN,
	    "a job of %s%s%s waits for %s (%" PRId64 " there)", oldest->environment,
	    oldest->line != NULL ? ", line " : "", oldest->line != NULL ? oldest->line : "",
	    doctor_span(oldest->oldest_ms, age), oldest->depth);
	explain_wait(judge, oldest, check);
	check->runbook = "queueagehigh";
}

void
doctor_check_capacity(struct judge *judge)
{
	struct doctor_check *check;
	bool waits = judge->facts->queue_count > 0 && judge->facts->queues[0].oldest_ms > 1000;

	if (judge->places == 0 || judge->busy < judge->places || !waits) {
		doctor_add(judge, "capacity", DOCTOR_OK, "%d of %d places are busy", judge->busy,
			   judge->places);
		return;
	}
	check = doctor_add(judge, "capacity", DOCTOR_WARN, "all %d places are busy, and jobs wait",
			   judge->places);
	doctor_says(
	    check->cause,
	    judge->quiet + judge->lost > 0
		? "there is more work than %d workers have places for; %d more are quiet or lost"
		: "there is more work than %d workers have places for",
	    judge->live, judge->quiet + judge->lost);
	doctor_says(check->remedy,
		    "add workers, or raise runners where there is CPU and memory left");
	check->runbook = "workerssaturated";
}

void
doctor_check_paused(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	const struct doctor_queue *one = facts->stopped;
	struct doctor_check *check;

	if (facts->stopped_total == 0) {
		doctor_add(judge, "paused", DOCTOR_OK, "nothing is paused");
		return;
	}
	check =
	    doctor_add(judge, "paused", DOCTOR_WARN, "%d queue%s paused or draining: %s%s%s%s",
		       facts->stopped_total, facts->stopped_total == 1 ? " is" : "s are",
		       one->environment, one->line != NULL ? ", line " : "",
		       one->line != NULL ? one->line : "", facts->stopped_total > 1 ? ", ..." : "");
	doctor_says(check->cause, "an operator %s it", one->paused ? "paused" : "drains");
	doctor_says(check->remedy, "sluice queue resume %s%s%s", one->environment,
		    one->line != NULL ? " --line " : "", one->line != NULL ? one->line : "");
}

void
doctor_check_set_aside(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	struct doctor_check *check;

	check = doctor_add(judge, "dead", facts->dead_hour > 0 ? DOCTOR_WARN : DOCTOR_OK,
			   "%" PRId64 " job%s set aside in the last hour", facts->dead_hour,
			   facts->dead_hour == 1 ? " was" : "s were");
	if (facts->dead_hour > 0) {
		doctor_says(check->cause, "they killed what ran them, again and again");
		doctor_says(check->remedy,
			    "sluice dead ls; deploy the mended function, then sluice dead replay");
		check->runbook = "deadjobs";
	}
	check = doctor_add(
	    judge, "quarantine", facts->quarantined_hour > 0 ? DOCTOR_WARN : DOCTOR_OK,
	    "%" PRId64 " queue entr%s quarantined in the last hour", facts->quarantined_hour,
	    facts->quarantined_hour == 1 ? "y was" : "ies were");
	if (facts->quarantined_hour > 0) {
		doctor_says(check->cause,
			    "somebody else writes to this Redis, or nodes have different "
			    "encryption_key_file");
		doctor_says(check->remedy,
			    "GET /admin/v1/quarantine; give Redis a password and to sluice alone");
		check->runbook = "quarantined";
	}
}

void
doctor_check_schedules(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	const struct doctor_node *leader = judge->leader;
	bool leads = facts->lock_held && (leader == NULL || leader->state != DOCTOR_NODE_LOST);
	bool old = leader == NULL || leader->schema_version < facts->schema_version;
	struct doctor_check *check;
	char age[32];

	if (facts->late_ms <= DOCTOR_LATE_MS) {
		doctor_add(judge, "schedules", DOCTOR_OK, "syncs are started when they are due");
		return;
	}
	check = doctor_add(
	    judge, "schedules", facts->late_ms > DOCTOR_VERY_OLD_MS ? DOCTOR_FAIL : DOCTOR_WARN,
	    "a run of a sync is due for %s and was not started", doctor_span(facts->late_ms, age));
	if (!leads) {
		doctor_says(check->cause, "no scheduler leads that would start it");
		doctor_says(check->remedy, "see scheduler");
	} else if (old) {
		doctor_says(check->cause, "a scheduler of an earlier release leads");
		doctor_says(check->remedy,
			    "finish the upgrade of the nodes with the role scheduler");
	} else {
		doctor_says(check->cause,
			    "the scheduler that leads is behind, or Postgres is slow to it");
		doctor_says(check->remedy,
			    "sluice sync ls --state late; look for errors in the log of %s",
			    leader->name);
	}
	check->runbook = "scheduleslate";
}

void
doctor_check_syncs(struct judge *judge)
{
	int64_t stalled = judge->facts->stalled;
	struct doctor_check *check;

	check = doctor_add(judge, "syncs", stalled >= DOCTOR_STALLED_MANY ? DOCTOR_WARN : DOCTOR_OK,
			   "%" PRId64 " sync%s cut run after run and do%s not get on", stalled,
			   stalled == 1 ? " is" : "s are", stalled == 1 ? "es" : "");
	if (stalled < DOCTOR_STALLED_MANY)
		return;
	doctor_says(check->cause,
		    "sync_timeout is too short for them, or a function that many connections have "
		    "saves the same checkpoint again and again");
	doctor_says(check->remedy, "sluice sync ls --state stalled; sluice sync show ID");
	check->runbook = "syncsstalled";
}
