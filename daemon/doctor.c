#include "daemon/doctor.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

/* What several checks need to know, worked out once. */
struct judge {
	const struct doctor_facts *facts;
	struct doctor_report *report;
	bool redis; /* all shards are up and built */
	int workers, live, quiet, lost,
	    moving;       /* processes with the role worker; moving: start or stop */
	int places, busy; /* of the live ones */
	int mute;         /* live ones that cannot start a function */
	int schedulers;   /* processes with that role, not lost */
	const struct doctor_node *leader; /* says that it leads; it may be lost */
	const struct doctor_node *one_quiet, *one_lost, *one_mute;
};

/* ---- checks ---------------------------------------------------------------------------------- */

static struct doctor_check *add(struct judge *judge, const char *name, enum doctor_state state,
				const char *format, ...) SL_PRINTF(4, 5);
static void says(char out[DOCTOR_TEXT], const char *format, ...) SL_PRINTF(2, 3);

static struct doctor_check *
add(struct judge *judge, const char *name, enum doctor_state state, const char *format, ...)
{
	struct doctor_check *check = &judge->report->checks[judge->report->count++];
	va_list list;

	assert(judge->report->count <= DOCTOR_CHECKS_MAX);
	*check = (struct doctor_check){.name = name, .state = state};
	va_start(list, format);
	vsnprintf(check->text, sizeof(check->text), format, list);
	va_end(list);
	return check;
}

static void
says(char out[DOCTOR_TEXT], const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(out, DOCTOR_TEXT, format, list);
	va_end(list);
}

/* "850 ms", "12 s", "5 min", "3 h" */
static const char *
span(int64_t ms, char out[32])
{
	if (ms < 1000)
		snprintf(out, 32, "%" PRId64 " ms", ms);
	else if (ms < 120 * 1000)
		snprintf(out, 32, "%" PRId64 " s", ms / 1000);
	else if (ms < 120 * 60 * 1000)
		snprintf(out, 32, "%" PRId64 " min", ms / 60000);
	else
		snprintf(out, 32, "%" PRId64 " h", ms / 3600000);
	return out;
}

static int64_t
absolute(int64_t number)
{
	return number < 0 ? -number : number;
}

static void
count_node(struct judge *judge, const struct doctor_node *node)
{
	bool lost = node->state == DOCTOR_NODE_LOST;

	if (node->leads && (judge->leader == NULL || !lost))
		judge->leader = node;
	judge->schedulers += (node->roles & DOCTOR_SCHEDULER) != 0 && !lost;
	if ((node->roles & DOCTOR_WORKER) == 0)
		return;
	judge->workers++;
	switch (node->state) {
	case DOCTOR_NODE_LIVE:
		judge->live++;
		judge->places += node->runners;
		judge->busy += node->running;
		if (!node->runner_up) {
			judge->mute++;
			judge->one_mute = node;
		}
		return;
	case DOCTOR_NODE_QUIET:
		judge->quiet++;
		judge->one_quiet = node;
		return;
	case DOCTOR_NODE_LOST:
		judge->lost++;
		judge->one_lost = node;
		return;
	case DOCTOR_NODE_STARTING:
	case DOCTOR_NODE_DRAINING:
		judge->moving++;
		return;
	}
}

/* ---- Postgres, Redis ------------------------------------------------------------------------- */

static void
check_postgres(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	struct doctor_check *check;

	if (!facts->postgres) {
		check = add(judge, "postgres", DOCTOR_FAIL,
			    "Postgres does not answer: nothing is accepted, nothing is run");
		says(check->cause, "%s",
		     facts->postgres_error[0] != '\0' ? facts->postgres_error
						      : "no answer within 2 s");
		says(check->remedy,
		     "look at the server of database_url: is it up, reachable from this node, "
		     "and not out of disk or connections?  The nodes go on by themselves");
		check->runbook = "sluicepostgresdown";
		return;
	}
	add(judge, "postgres", DOCTOR_OK, "Postgres answers, schema version %d",
	    facts->ledger_version);
	if (facts->postgres_latency_ms <= DOCTOR_SLOW_MS) {
		add(judge, "postgres_latency", DOCTOR_OK, "%" PRId64 " ms",
		    facts->postgres_latency_ms);
		return;
	}
	check = add(judge, "postgres_latency", DOCTOR_WARN,
		    "Postgres took %" PRId64 " ms to answer", facts->postgres_latency_ms);
	says(check->cause, "the server is overloaded, its disk is slow, or the network to it is");
	says(check->remedy, "look at pg_stat_activity, the disk and the load of the server");
}

static void
check_redis(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	const struct doctor_shard *bad = NULL;
	struct doctor_check *check;
	int down = 0, unbuilt = 0;

	for (int i = 0; i < facts->shard_count; i++) {
		const struct doctor_shard *shard = &facts->shards[i];

		if (!shard->up || !shard->answered) {
			down++;
			bad = shard;
		} else if (!shard->built) {
			unbuilt++;
		}
	}
	judge->redis = down == 0 && unbuilt == 0;
	if (down > 0) {
		check = add(
		    judge, "redis", DOCTOR_FAIL,
		    "Redis does not answer (%d of %d shards): jobs are accepted, and none is run",
		    down, facts->shard_count);
		says(check->cause, "%s",
		     bad->error[0] != '\0' ? bad->error : "no answer within 2 s");
		says(check->remedy,
		     "look at the server of redis_url; nothing is lost, and when it is back, "
		     "empty or not, the queues are built from the ledger");
		check->runbook = "sluiceredisdown";
	} else if (unbuilt > 0) {
		check = add(judge, "redis", DOCTOR_FAIL,
			    "Redis answers, but holds no queues of this fleet (%d of %d shards)",
			    unbuilt, facts->shard_count);
		if (facts->postgres && !facts->lock_held)
			says(check->cause,
			     "it is new or was flushed, and no scheduler leads that would "
			     "build the queues");
		else
			says(check->cause,
			     "it is new or was flushed, and the queues are being built; or "
			     "another node has a different queue_shards");
		says(check->remedy,
		     facts->postgres && !facts->lock_held
			 ? "start a node with the role scheduler"
			 : "wait some seconds; then set queue_shards to the same number on all "
			   "nodes");
	} else {
		add(judge, "redis", DOCTOR_OK, "Redis answers (%d shard%s)", facts->shard_count,
		    facts->shard_count == 1 ? "" : "s");
	}
}

static void
check_redis_more(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	bool evicts = false, full = false, known = facts->shard_count > 0;
	struct doctor_check *check;
	int64_t latency = 0;

	for (int i = 0; i < facts->shard_count; i++) {
		const struct doctor_shard *shard = &facts->shards[i];

		known = known && shard->answered;
		evicts = evicts || (shard->answered && shard->evicts);
		full = full || (shard->answered && shard->memory_max > 0 &&
				shard->memory > shard->memory_max / 10 * 9);
		if (shard->answered && shard->latency_ms > latency)
			latency = shard->latency_ms;
	}
	if (!known)
		return;
	check = add(judge, "redis_latency", latency > DOCTOR_SLOW_MS ? DOCTOR_WARN : DOCTOR_OK,
		    "%" PRId64 " ms", latency);
	if (latency > DOCTOR_SLOW_MS) {
		says(check->cause, "Redis is busy with slow commands of somebody, or swaps");
		says(check->remedy,
		     "look at SLOWLOG and INFO of the server; give it to sluice alone");
	}
	if (evicts) {
		check = add(judge, "redis_policy", DOCTOR_WARN,
			    "Redis may throw entries away when its memory is full");
		says(check->cause, "maxmemory-policy is not noeviction");
		says(check->remedy,
		     "set maxmemory-policy to noeviction on the server of redis_url");
	} else if (full) {
		check =
		    add(judge, "redis_policy", DOCTOR_WARN, "Redis uses over 90 %% of maxmemory");
		says(check->cause, "more waits than the server was sized for, or it is shared");
		says(check->remedy, "raise maxmemory; look at `sluice queue ls` for what waits");
	} else {
		add(judge, "redis_policy", DOCTOR_OK, "nothing is thrown away");
	}
}

/* ---- the fleet ------------------------------------------------------------------------------- */

static void
check_scheduler(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	const struct doctor_node *leader = judge->leader;
	struct doctor_check *check;
	char age[32];

	if (judge->schedulers == 0 && !facts->lock_held) {
		check = add(judge, "scheduler", DOCTOR_FAIL,
			    "no scheduler: retries, delayed jobs, schedules and lost workers wait");
		says(check->cause, "no live process has the role scheduler");
		says(check->remedy,
		     "start a node with the role scheduler (role=api,worker,scheduler is the "
		     "default)");
		check->runbook = "sluicenoscheduler";
	} else if (!facts->lock_held || (leader != NULL && leader->state == DOCTOR_NODE_LOST)) {
		check = add(judge, "scheduler", DOCTOR_WARN, "no scheduler leads at the moment");
		if (leader != NULL && leader->state == DOCTOR_NODE_LOST)
			says(check->cause, "%s led and was not seen for %s", leader->name,
			     span(leader->seen_ms, age));
		else
			says(check->cause, "the one that led is gone, and another one takes over");
		says(check->remedy, judge->schedulers > 0
					? "wait for lease_ttl; if it stays so, restart that process"
					: "start a node with the role scheduler");
		check->runbook = "sluicenoscheduler";
	} else if (facts->overdue_ms > DOCTOR_OVERDUE_MS) {
		check = add(judge, "scheduler", DOCTOR_WARN,
			    "a retry is due for %s and was not brought into the queue",
			    span(facts->overdue_ms, age));
		says(check->cause, judge->redis ? "the scheduler that leads is behind"
						: "Redis is away: it cannot be brought there");
		says(check->remedy, judge->redis ? "look at the log of %s" : "see redis",
		     leader != NULL ? leader->name : "the process that leads");
	} else {
		add(judge, "scheduler", DOCTOR_OK, "%s leads",
		    leader != NULL ? leader->name : "a process of an earlier release");
	}
}

static void
check_workers(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	struct doctor_check *check;
	char age[32];

	if (judge->live == 0 && facts->strangers == 0) {
		if (judge->quiet > 0) {
			check = add(judge, "workers", DOCTOR_FAIL,
				    "all workers are quiet (%d): nothing is run", judge->quiet);
			says(check->cause, "an operator made them quiet");
			says(check->remedy, "sluice worker release %s", judge->one_quiet->name);
		} else if (judge->lost > 0) {
			check = add(judge, "workers", DOCTOR_FAIL,
				    "no worker is live, %d %s lost: nothing is run", judge->lost,
				    judge->lost == 1 ? "is" : "are");
			says(check->cause,
			     "%s was not seen for %s: killed, frozen, or cut off from Postgres",
			     judge->one_lost->name, span(judge->one_lost->seen_ms, age));
			says(check->remedy,
			     "start workers again; look at the journal of that machine");
		} else {
			check = add(judge, "workers", DOCTOR_FAIL,
				    "no worker is there: nothing is run");
			says(check->cause, judge->moving > 0 ? "those that there are start or stop"
							     : "no process has the role worker");
			says(check->remedy, "start a node with the role worker");
		}
		check->runbook = "sluicenoworkers";
	} else if (judge->lost > 0) {
		check = add(judge, "workers", DOCTOR_WARN, "%d live, %d quiet, %d lost",
			    judge->live, judge->quiet, judge->lost);
		says(check->cause,
		     "%s was not seen for %s: killed, frozen, or cut off from Postgres",
		     judge->one_lost->name, span(judge->one_lost->seen_ms, age));
		says(check->remedy,
		     "look at that machine; sluice worker release --force %s gives what it "
		     "ran to others now",
		     judge->one_lost->name);
		check->runbook = "sluiceworkerlost";
	} else if (judge->quiet > 0) {
		check = add(judge, "workers", DOCTOR_WARN, "%d live, %d quiet", judge->live,
			    judge->quiet);
		says(check->cause, "an operator made %s quiet", judge->one_quiet->name);
		says(check->remedy, "when its maintenance is over: sluice worker release %s",
		     judge->one_quiet->name);
	} else {
		add(judge, "workers", DOCTOR_OK, "%d live", judge->live + (int)facts->strangers);
	}
}

static void
check_versions(struct judge *judge)
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
		check =
		    add(judge, "versions", DOCTOR_WARN, "the schema is at version %d, %s knows %d",
			facts->ledger_version, facts->node, facts->schema_version);
		says(check->cause, "an upgrade is under way, or was not finished");
		says(check->remedy,
		     "restart this node with the newer build: once stopped, the old one does "
		     "not start again");
	} else if (other != NULL || facts->strangers > 0) {
		check = add(judge, "versions", DOCTOR_WARN, "several builds run side by side");
		if (other != NULL)
			says(check->cause, "%s runs %s (schema %d), %s runs %s (schema %d)",
			     facts->node, facts->version, facts->schema_version, other->name,
			     other->version, other->schema_version);
		else
			says(check->cause, "%" PRId64 " worker%s of an earlier release",
			     facts->strangers, facts->strangers == 1 ? "" : "s");
		says(check->remedy, "finish the upgrade: restart the others one by one");
	} else {
		add(judge, "versions", DOCTOR_OK, "%s everywhere", facts->version);
	}
}

static void
check_clocks(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	bool with_redis = facts->shard_count > 0 && facts->shards[0].answered;
	int64_t postgres = facts->postgres_skew_ms;
	int64_t redis = with_redis ? facts->shards[0].skew_ms : postgres;
	struct doctor_check *check;

	if (absolute(postgres) <= DOCTOR_SKEW_MS && absolute(redis) <= DOCTOR_SKEW_MS) {
		add(judge, "clocks", DOCTOR_OK, "within %d s", DOCTOR_SKEW_MS / 1000);
		return;
	}
	check = add(judge, "clocks", DOCTOR_WARN,
		    "clocks differ: Postgres is %+" PRId64 " ms from this node%s", postgres,
		    with_redis ? "" : " (Redis is not known)");
	if (with_redis)
		says(check->text,
		     "clocks differ: Postgres is %+" PRId64 " ms and Redis %+" PRId64
		     " ms from this node",
		     postgres, redis);
	if (absolute(postgres - redis) <= DOCTOR_SKEW_MS)
		says(check->cause, "the clock of this node (%s) is wrong", facts->node);
	else
		says(check->cause, "the clock of %s is wrong",
		     absolute(postgres) > absolute(redis) ? "Postgres's machine"
							  : "Redis's machine");
	says(check->remedy,
	     "run chrony or systemd-timesyncd there; no lease depends on it, but start "
	     "limits, delays and times shown do");
}

/* ---- what waits ------------------------------------------------------------------------------ */

/* Why jobs of this line wait, the surest reason first. */
static void
explain_wait(struct judge *judge, const struct doctor_queue *queue, struct doctor_check *check)
{
	const struct doctor_facts *facts = judge->facts;

	if (!judge->redis) {
		says(check->cause, "Redis is away or its queues are being built");
		says(check->remedy, "see redis");
	} else if (judge->live == 0 && judge->quiet > 0 && facts->strangers == 0) {
		says(check->cause, "all workers are quiet");
		says(check->remedy, "sluice worker release %s", judge->one_quiet->name);
	} else if (judge->live == 0 && facts->strangers == 0) {
		says(check->cause, "no worker is live");
		says(check->remedy, "see workers");
	} else if (queue->paused) {
		says(check->cause, "it is paused");
		says(check->remedy, "sluice queue resume %s%s%s", queue->environment,
		     queue->line != NULL ? " --line " : "", queue->line != NULL ? queue->line : "");
	} else if (judge->mute > 0 && judge->mute == judge->live) {
		says(check->cause, "no worker can start functions");
		says(check->remedy, "see runner");
	} else if (judge->places > 0 && judge->busy >= judge->places) {
		says(check->cause, "all %d places of %d worker%s are busy", judge->places,
		     judge->live, judge->live == 1 ? "" : "s");
		says(check->remedy,
		     "add workers, or raise runners where there is CPU and memory left");
	} else if (queue->limit > 0 && queue->running >= queue->limit) {
		says(check->cause, "%d of its jobs run%s, and no more may at once", queue->running,
		     queue->running == 1 ? "s" : "");
		says(check->remedy,
		     "raise its limit (doc/queue.md, How many at a time), or look at what runs: "
		     "sluice queue peek %s",
		     queue->environment);
	} else if (judge->lost > 0) {
		says(check->cause, "%s is lost and may still hold it", judge->one_lost->name);
		says(check->remedy, "sluice worker release --force %s", judge->one_lost->name);
	} else if (!facts->lock_held) {
		says(check->cause, "no scheduler leads that would find what was left behind");
		says(check->remedy, "see scheduler");
	} else {
		says(check->cause, "no reason is known: places are free and nothing holds it");
		says(check->remedy, "look at the workers' logs for claim and session errors");
	}
}

static void
check_queue_age(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	const struct doctor_queue *oldest = NULL;
	struct doctor_check *check;
	char age[32];

	if (!facts->queues_known) {
		check = add(judge, "queue_age", DOCTOR_WARN, "how old the queues are is not known");
		says(check->cause, judge->redis ? "they could not be read in time"
						: "Redis is away or its queues are being built");
		says(check->remedy, judge->redis ? "ask again" : "see redis");
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
		add(judge, "queue_age", DOCTOR_OK, "the oldest job that waits is %s old",
		    span(oldest != NULL && oldest->oldest_ms > 0 ? oldest->oldest_ms : 0, age));
		return;
	}
	check = add(judge, "queue_age",
		    oldest->oldest_ms > DOCTOR_VERY_OLD_MS && !oldest->paused ? DOCTOR_FAIL
									      : DOCTOR_WARN,
		    "a job of %s%s%s waits for %s (%" PRId64 " there)", oldest->environment,
		    oldest->line != NULL ? ", line " : "", oldest->line != NULL ? oldest->line : "",
		    span(oldest->oldest_ms, age), oldest->depth);
	explain_wait(judge, oldest, check);
	check->runbook = "sluicequeueold";
}

static void
check_capacity(struct judge *judge)
{
	struct doctor_check *check;
	bool waits = judge->facts->queue_count > 0 && judge->facts->queues[0].oldest_ms > 1000;

	if (judge->places == 0 || judge->busy < judge->places || !waits) {
		add(judge, "capacity", DOCTOR_OK, "%d of %d places are busy", judge->busy,
		    judge->places);
		return;
	}
	check = add(judge, "capacity", DOCTOR_WARN, "all %d places are busy, and jobs wait",
		    judge->places);
	says(check->cause,
	     judge->quiet + judge->lost > 0
		 ? "there is more work than %d workers have places for; %d more are quiet or lost"
		 : "there is more work than %d workers have places for",
	     judge->live, judge->quiet + judge->lost);
	says(check->remedy, "add workers, or raise runners where there is CPU and memory left");
	check->runbook = "sluicesaturated";
}

static void
check_paused(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	const struct doctor_queue *one = facts->stopped;
	struct doctor_check *check;

	if (facts->stopped_total == 0) {
		add(judge, "paused", DOCTOR_OK, "nothing is paused");
		return;
	}
	check = add(judge, "paused", DOCTOR_WARN, "%d queue%s paused or draining: %s%s%s%s",
		    facts->stopped_total, facts->stopped_total == 1 ? " is" : "s are",
		    one->environment, one->line != NULL ? ", line " : "",
		    one->line != NULL ? one->line : "", facts->stopped_total > 1 ? ", ..." : "");
	says(check->cause, "an operator %s it", one->paused ? "paused" : "drains");
	says(check->remedy, "sluice queue resume %s%s%s", one->environment,
	     one->line != NULL ? " --line " : "", one->line != NULL ? one->line : "");
}

static void
check_set_aside(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	struct doctor_check *check;

	check = add(judge, "dead", facts->dead_hour > 0 ? DOCTOR_WARN : DOCTOR_OK,
		    "%" PRId64 " job%s set aside in the last hour", facts->dead_hour,
		    facts->dead_hour == 1 ? " was" : "s were");
	if (facts->dead_hour > 0) {
		says(check->cause, "they killed what ran them, again and again");
		says(check->remedy,
		     "sluice dead ls; deploy the mended function, then sluice dead replay");
		check->runbook = "sluicejobssetaside";
	}
	check = add(judge, "quarantine", facts->quarantined_hour > 0 ? DOCTOR_WARN : DOCTOR_OK,
		    "%" PRId64 " queue entr%s quarantined in the last hour",
		    facts->quarantined_hour, facts->quarantined_hour == 1 ? "y was" : "ies were");
	if (facts->quarantined_hour > 0) {
		says(check->cause, "somebody else writes to this Redis, or nodes have different "
				   "encryption_key_file");
		says(check->remedy,
		     "GET /admin/v1/quarantine; give Redis a password and to sluice alone");
	}
}

/* ---- the node that answers ------------------------------------------------------------------- */

static void
check_backlog(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	struct doctor_check *check;

	if (facts->backlog_left == 0 && !facts->backlog_full) {
		add(judge, "backlog", DOCTOR_OK, "%" PRId64 " jobs are on their way to Redis",
		    facts->backlog);
		return;
	}
	check = add(judge, "backlog", facts->backlog_full ? DOCTOR_FAIL : DOCTOR_WARN,
		    "%" PRId64 " accepted jobs are not in Redis%s", facts->backlog,
		    facts->backlog_full ? ": this node accepts no more" : "");
	says(check->cause,
	     judge->redis ? "Redis was away; the scheduler's sweep brings them" : "Redis is away");
	says(check->remedy, judge->redis ? "wait half a minute" : "see redis");
	check->runbook = "sluicebacklog";
}

static void
check_runner(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	bool here = (facts->roles & DOCTOR_WORKER) != 0 && !facts->runner_up;
	struct doctor_check *check;

	if (!here && judge->mute == 0) {
		add(judge, "runner", DOCTOR_OK, "functions can be started");
		return;
	}
	check = add(judge, "runner", DOCTOR_FAIL, "%s cannot start functions",
		    here ? facts->node : judge->one_mute->name);
	says(check->cause, "sluice-runner does not start or its sandbox is refused there (memory, "
			   "processes, seccomp, landlock)");
	says(check->remedy,
	     "look for zygote in its log; raise LimitNPROC and memory, check runner_path");
	check->runbook = "sluicerunnerdown";
}

static void
check_compiler(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	struct doctor_check *check;

	if ((facts->roles & DOCTOR_API) == 0)
		return;
	if (facts->compiler) {
		add(judge, "compiler", DOCTOR_OK, "deploys can be compiled");
		return;
	}
	check =
	    add(judge, "compiler", DOCTOR_WARN, "this node cannot take deploys; all else works");
	says(check->cause, "%s", facts->compiler_error);
	says(check->remedy,
	     "install Node.js or set node_path and compiler_dir; or send deploys to another "
	     "node");
}

static void
check_descriptors(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	struct doctor_check *check;

	if (facts->descriptors_max <= 0)
		return;
	check = add(judge, "descriptors",
		    facts->descriptors > facts->descriptors_max / 10 * 9 ? DOCTOR_WARN : DOCTOR_OK,
		    "%" PRId64 " of %" PRId64 " descriptors are used", facts->descriptors,
		    facts->descriptors_max);
	if (check->state == DOCTOR_OK)
		return;
	says(check->cause, "more connections and runners than the limit was made for");
	says(check->remedy, "raise LimitNOFILE of the unit (over connections_max), or lower "
			    "connections_max");
}

/* ---- verdict --------------------------------------------------------------------------------- */

static bool
stops_all(const struct doctor_check *check)
{
	return check->state == DOCTOR_FAIL &&
	       (strcmp(check->name, "postgres") == 0 || strcmp(check->name, "redis") == 0 ||
		strcmp(check->name, "workers") == 0);
}

void
doctor_judge(const struct doctor_facts *facts, struct doctor_report *out)
{
	struct judge judge = {.facts = facts, .report = out};

	memset(out, 0, sizeof(*out));
	for (int i = 0; i < facts->node_count; i++)
		count_node(&judge, &facts->nodes[i]);
	check_postgres(&judge);
	check_redis(&judge);
	check_redis_more(&judge);
	if (facts->postgres) { /* what only the ledger knows */
		check_scheduler(&judge);
		check_workers(&judge);
		check_capacity(&judge);
		check_queue_age(&judge);
		check_paused(&judge);
		check_set_aside(&judge);
		check_versions(&judge);
		check_clocks(&judge);
	}
	check_backlog(&judge);
	check_runner(&judge);
	check_compiler(&judge);
	check_descriptors(&judge);
	for (int i = 0; i < out->count; i++) {
		if (stops_all(&out->checks[i]))
			out->verdict = DOCTOR_DOWN;
		else if (out->checks[i].state != DOCTOR_OK && out->verdict == DOCTOR_HEALTHY)
			out->verdict = DOCTOR_DEGRADED;
	}
}
