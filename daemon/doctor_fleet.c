/* daemon/doctor_fleet.c - the doctor's checks of the processes of the fleet. */
#include <inttypes.h>
#include <string.h>

#include "daemon/doctor_parts.h"

static int64_t
absolute(int64_t number)
{
	return number < 0 ? -number : number;
}

void
doctor_check_scheduler(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	const struct doctor_node *leader = judge->leader;
	struct doctor_check *check;
	char age[32];

	if (judge->schedulers == 0 && !facts->lock_held) {
		check = doctor_add(
		    judge, "scheduler", DOCTOR_FAIL,
		    "no scheduler: retries, delayed jobs, schedules and lost workers wait");
		doctor_says(check->cause, "no live process has the role scheduler");
		doctor_says(
		    check->remedy,
		    "start a node with the role scheduler (role=api,worker,scheduler is the "
		    "default)");
		check->runbook = "noschedulerleads";
	} else if (!facts->lock_held || (leader != NULL && leader->state == DOCTOR_NODE_LOST)) {
		check =
		    doctor_add(judge, "scheduler", DOCTOR_WARN, "no scheduler leads at the moment");
		if (leader != NULL && leader->state == DOCTOR_NODE_LOST)
			doctor_says(check->cause, "%s led and was not seen for %s", leader->name,
				    doctor_span(leader->seen_ms, age));
		else
			doctor_says(check->cause,
				    "the one that led is gone, and another one takes over");
		doctor_says(check->remedy,
			    judge->schedulers > 0
				? "wait for lease_ttl; if it stays so, restart that process"
				: "start a node with the role scheduler");
		check->runbook = "noschedulerleads";
	} else if (facts->overdue_ms > DOCTOR_OVERDUE_MS) {
		check = doctor_add(judge, "scheduler", DOCTOR_WARN,
				   "a retry is due for %s and was not brought into the queue",
				   doctor_span(facts->overdue_ms, age));
		doctor_says(check->cause, judge->redis
					      ? "the scheduler that leads is behind"
					      : "Redis is away: it cannot be brought there");
		doctor_says(check->remedy, judge->redis ? "look at the log of %s" : "see redis",
			    leader != NULL ? leader->name : "the process that leads");
	} else {
		doctor_add(judge, "scheduler", DOCTOR_OK, "%s leads",
			   leader != NULL ? leader->name : "a process of an earlier release");
	}
}

void
doctor_check_workers(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	struct doctor_check *check;
	char age[32];

	if (judge->live == 0 && facts->strangers == 0) {
		if (judge->quiet > 0) {
			check =
			    doctor_add(judge, "workers", DOCTOR_FAIL,
				       "all workers are quiet (%d): nothing is run", judge->quiet);
			doctor_says(check->cause, "an operator made them quiet");
			doctor_says(check->remedy, "sluice worker release %s",
				    judge->one_quiet->name);
		} else if (judge->lost > 0) {
			check = doctor_add(judge, "workers", DOCTOR_FAIL,
					   "no worker is live, %d %s lost: nothing is run",
					   judge->lost, judge->lost == 1 ? "is" : "are");
			doctor_says(
			    check->cause,
			    "%s was not seen for %s: killed, frozen, or cut off from Postgres",
			    judge->one_lost->name, doctor_span(judge->one_lost->seen_ms, age));
			doctor_says(check->remedy,
				    "start workers again; look at the journal of that machine");
		} else if (judge->starting > 0) {
			check = doctor_add(judge, "workers", DOCTOR_WARN, "no worker is live yet");
			doctor_says(check->cause, "%d of them start", judge->starting);
			doctor_says(check->remedy, "wait some seconds, then look at their journal");
		} else {
			check = doctor_add(judge, "workers", DOCTOR_FAIL,
					   "no worker is there: nothing is run");
			doctor_says(check->cause, judge->draining > 0
						      ? "those that there were are stopping"
						      : "no process has the role worker");
			doctor_says(check->remedy, "start a node with the role worker");
		}
		check->runbook = "noworkers";
	} else if (judge->lost > 0) {
		check = doctor_add(judge, "workers", DOCTOR_WARN, "%d live, %d quiet, %d lost",
				   judge->live, judge->quiet, judge->lost);
		doctor_says(check->cause,
			    "%s was not seen for %s: killed, frozen, or cut off from Postgres",
			    judge->one_lost->name, doctor_span(judge->one_lost->seen_ms, age));
		doctor_says(check->remedy,
			    "look at that machine; sluice worker release --force %s gives what it "
			    "ran to others now",
			    judge->one_lost->name);
		check->runbook = "workerslost";
	} else if (judge->quiet > 0) {
		check = doctor_add(judge, "workers", DOCTOR_WARN, "%d live, %d quiet", judge->live,
				   judge->quiet);
		doctor_says(check->cause, "an operator made %s quiet", judge->one_quiet->name);
		doctor_says(check->remedy, "when its maintenance is over: sluice worker release %s",
			    judge->one_quiet->name);
	} else {
		doctor_add(judge, "workers", DOCTOR_OK, "%d live",
			   judge->live + (int)facts->strangers);
	}
}

void
doctor_check_versions(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	const struct doctor_node *other = NULL;
	struct doctor_check *check;

	for (int i = 0; i < facts->node_count; i++) {
		const struct doctor_node *node = &facts->nodes[i];

		if (node->state != DOCTOR_NODE_LOST &&
		    (strcmp(node->version, facts->version) != 0 ||
		     node->schema_version != facts->schema_version))
			other = node;
	}
	if (facts->ledger_version > facts->schema_version) {
		check = doctor_add(judge, "versions", DOCTOR_WARN,
				   "the schema is at version %d, %s knows %d",
				   facts->ledger_version, facts->node, facts->schema_version);
		doctor_says(check->cause, "an upgrade is under way, or was not finished");
		doctor_says(
		    check->remedy,
		    "restart this node with the newer build: once stopped, the old one does "
		    "not start again");
	} else if (other != NULL || facts->strangers > 0) {
		check =
		    doctor_add(judge, "versions", DOCTOR_WARN, "several builds run side by side");
		check->runbook = "mixedversions";
		if (other != NULL)
			doctor_says(check->cause, "%s runs %s (schema %d), %s runs %s (schema %d)",
				    facts->node, facts->version, facts->schema_version, other->name,
				    other->version, other->schema_version);
		else
			doctor_says(check->cause, "%" PRId64 " worker%s of an earlier release",
				    facts->strangers, facts->strangers == 1 ? "" : "s");
		doctor_says(check->remedy, "finish the upgrade: restart the others one by one");
	} else {
		doctor_add(judge, "versions", DOCTOR_OK, "%s everywhere", facts->version);
	}
}

void
doctor_check_clocks(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	bool with_redis = facts->shard_count > 0 && facts->shards[0].answered;
	int64_t postgres = facts->postgres_skew_ms;
	int64_t redis = with_redis ? facts->shards[0].skew_ms : postgres;
	struct doctor_check *check;

	if (absolute(postgres) <= DOCTOR_SKEW_MS && absolute(redis) <= DOCTOR_SKEW_MS) {
		doctor_add(judge, "clocks", DOCTOR_OK, "within %d s", DOCTOR_SKEW_MS / 1000);
		return;
	}
	check = doctor_add(judge, "clocks", DOCTOR_WARN,
			   "clocks differ: Postgres is %+" PRId64 " ms from this node%s", postgres,
			   with_redis ? "" : " (Redis is not known)");
	if (with_redis)
		doctor_says(check->text,
			    "clocks differ: Postgres is %+" PRId64 " ms and Redis %+" PRId64
			    " ms from this node",
			    postgres, redis);
	if (absolute(postgres - redis) <= DOCTOR_SKEW_MS)
		doctor_says(check->cause, "the clock of this node (%s) is wrong", facts->node);
	else
		doctor_says(check->cause, "the clock of %s is wrong",
			    absolute(postgres) > absolute(redis) ? "Postgres's machine"
								 : "Redis's machine");
	doctor_says(check->remedy,
		    "run chrony or systemd-timesyncd there; no lease depends on it, but start "
		    "limits, delays and times shown do");
}
