#include "daemon/doctor.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/doctor_parts.h"

/* ---- checks ---------------------------------------------------------------------------------- */

struct doctor_check *
doctor_add(struct judge *judge, const char *name, enum doctor_state state, const char *format, ...)
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

void
doctor_says(char out[DOCTOR_TEXT], const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(out, DOCTOR_TEXT, format, list);
	va_end(list);
}

/* "850 ms", "12 s", "5 min", "3 h" */
const char *
doctor_span(int64_t ms, char out[32])
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

static void
count_node(struct judge *judge, const struct doctor_node *node)
{
	bool lost = node->state == DOCTOR_NODE_LOST;

	if (node->leads && (judge->leader == NULL || node->seen_ms < judge->leader->seen_ms))
		judge->leader = node;
	judge->schedulers += (node->roles & DOCTOR_SCHEDULER) != 0 && !lost;
	if ((node->roles & DOCTOR_WORKER) == 0 || (lost && node->seen_ms > DOCTOR_RECENT_MS))
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
		judge->starting++;
		return;
	case DOCTOR_NODE_DRAINING:
		judge->draining++;
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
		check = doctor_add(judge, "postgres", DOCTOR_FAIL,
				   "Postgres does not answer: nothing is accepted, nothing is run");
		doctor_says(check->cause, "%s",
			    facts->postgres_error[0] != '\0' ? facts->postgres_error
							     : "no answer within 2 s");
		doctor_says(
		    check->remedy,
		    "look at the server of database_url: is it up, reachable from this node, "
		    "and not out of disk or connections?  The nodes go on by themselves");
		check->runbook = "postgresdown";
		return;
	}
	doctor_add(judge, "postgres", DOCTOR_OK, "Postgres answers, schema version %d",
		   facts->ledger_version);
	if (facts->postgres_latency_ms <= DOCTOR_SLOW_MS) {
		doctor_add(judge, "postgres_latency", DOCTOR_OK, "%" PRId64 " ms",
			   facts->postgres_latency_ms);
		return;
	}
	check = doctor_add(judge, "postgres_latency", DOCTOR_WARN,
			   "Postgres took %" PRId64 " ms to answer", facts->postgres_latency_ms);
	doctor_says(check->cause,
		    "the server is overloaded, its disk is slow, or the network to it is");
	doctor_says(check->remedy, "look at pg_stat_activity, the disk and the load of the server");
	check->runbook = "postgresslow";
}

static void
check_redis(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	const struct doctor_shard *bad = NULL;
	struct doctor_check *check;
	int down = 0, unbuilt = 0;
	int64_t unbuilt_ms = 0;

	for (int i = 0; i < facts->shard_count; i++) {
		const struct doctor_shard *shard = &facts->shards[i];

		if (!shard->up || !shard->answered) {
			down++;
			bad = shard;
		} else if (!shard->built) {
			unbuilt++;
			if (shard->unbuilt_ms > unbuilt_ms)
				unbuilt_ms = shard->unbuilt_ms;
		}
	}
	judge->redis = down == 0 && unbuilt == 0;
	if (down > 0) {
		check = doctor_add(
		    judge, "redis", DOCTOR_FAIL,
		    "Redis does not answer (%d of %d shards): jobs are accepted, and none is run",
		    down, facts->shard_count);
		doctor_says(check->cause, "%s",
			    bad->error[0] != '\0' ? bad->error : "no answer within 2 s");
		doctor_says(
		    check->remedy,
		    "look at the server of redis_url; nothing is lost, and when it is back, "
		    "empty or not, the queues are built from the ledger");
		check->runbook = "redisdown";
	} else if (unbuilt > 0) {
		bool nobody = facts->postgres && judge->schedulers == 0 && !facts->lock_held;
		bool young = unbuilt_ms <= DOCTOR_BUILD_MS && !nobody;

		check =
		    doctor_add(judge, "redis", young ? DOCTOR_WARN : DOCTOR_FAIL,
			       "Redis answers, but holds no queues of this fleet (%d of %d shards)",
			       unbuilt, facts->shard_count);
		doctor_says(check->cause, "it is new or was flushed, and %s",
			    nobody  ? "there is no scheduler that would build the queues"
			    : young ? "the queues are being built"
				    : "building the queues fails, or another node has a different "
				      "queue_shards");
		doctor_says(
		    check->remedy, "%s",
		    nobody  ? "start a node with the role scheduler"
		    : young ? "wait some seconds"
			    : "look for queue_rebuild in the log of the scheduler that leads; set "
			      "queue_shards to the same number on all nodes");
	} else {
		doctor_add(judge, "redis", DOCTOR_OK, "Redis answers (%d shard%s)",
			   facts->shard_count, facts->shard_count == 1 ? "" : "s");
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
	check =
	    doctor_add(judge, "redis_latency", latency > DOCTOR_SLOW_MS ? DOCTOR_WARN : DOCTOR_OK,
		       "%" PRId64 " ms", latency);
	if (latency > DOCTOR_SLOW_MS) {
		doctor_says(check->cause, "Redis is busy with slow commands of somebody, or swaps");
		doctor_says(check->remedy,
			    "look at SLOWLOG and INFO of the server; give it to sluice alone");
		check->runbook = "redisslow";
	}
	if (evicts) {
		check = doctor_add(judge, "redis_policy", DOCTOR_WARN,
				   "Redis may throw entries away when its memory is full");
		doctor_says(check->cause, "maxmemory-policy is not noeviction");
		doctor_says(check->remedy,
			    "set maxmemory-policy to noeviction on the server of redis_url");
	} else if (full) {
		check = doctor_add(judge, "redis_policy", DOCTOR_WARN,
				   "Redis uses over 90 %% of maxmemory");
		doctor_says(check->cause,
			    "more waits than the server was sized for, or it is shared");
		doctor_says(check->remedy,
			    "raise maxmemory; look at `sluice queue ls` for what waits");
	} else {
		doctor_add(judge, "redis_policy", DOCTOR_OK, "nothing is thrown away");
	}
}

/* ---- the node that answers ------------------------------------------------------------------- */

static void
check_backlog(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	struct doctor_check *check;

	if (facts->backlog_left == 0 && !facts->backlog_full) {
		doctor_add(judge, "backlog", DOCTOR_OK,
			   "%" PRId64 " jobs are on their way to Redis", facts->backlog);
		return;
	}
	check = doctor_add(judge, "backlog", facts->backlog_full ? DOCTOR_FAIL : DOCTOR_WARN,
			   "%" PRId64 " accepted jobs are not in Redis%s", facts->backlog,
			   facts->backlog_full ? ": this node accepts no more" : "");
	doctor_says(check->cause, judge->redis ? "Redis was away; the scheduler's sweep brings them"
					       : "Redis is away");
	doctor_says(check->remedy, judge->redis ? "wait half a minute" : "see redis");
	check->runbook = "backlogleft";
}

static void
check_runner(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	bool here = (facts->roles & DOCTOR_WORKER) != 0 && !facts->runner_up;
	struct doctor_check *check;

	if (!here && judge->mute == 0) {
		doctor_add(judge, "runner", DOCTOR_OK, "functions can be started");
		return;
	}
	check = doctor_add(judge, "runner", DOCTOR_FAIL, "%s cannot start functions",
			   here ? facts->node : judge->one_mute->name);
	doctor_says(check->cause,
		    "sluice-runner does not start or its sandbox is refused there (memory, "
		    "processes, seccomp, landlock)");
	doctor_says(check->remedy,
		    "look for zygote in its log; raise LimitNPROC and memory, check runner_path");
	check->runbook = "runnerdown";
}

static void
check_compiler(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	struct doctor_check *check;

	if ((facts->roles & DOCTOR_API) == 0)
		return;
	if (facts->compiler) {
		doctor_add(judge, "compiler", DOCTOR_OK, "deploys can be compiled");
		return;
	}
	check = doctor_add(judge, "compiler", DOCTOR_WARN,
			   "this node cannot take deploys; all else works");
	doctor_says(check->cause, "%s", facts->compiler_error);
	doctor_says(check->remedy,
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
	check = doctor_add(judge, "descriptors",
			   facts->descriptors > facts->descriptors_max / 10 * 9 ? DOCTOR_WARN
										: DOCTOR_OK,
			   "%" PRId64 " of %" PRId64 " descriptors are used", facts->descriptors,
			   facts->descriptors_max);
	if (check->state == DOCTOR_OK)
		return;
	doctor_says(check->cause, "more connections and runners than the limit was made for");
	doctor_says(check->remedy, "raise LimitNOFILE of the unit (over connections_max), or lower "
				   "connections_max");
	check->runbook = "fdsnearlimit";
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
		doctor_check_scheduler(&judge);
		doctor_check_workers(&judge);
		doctor_check_capacity(&judge);
		doctor_check_queue_age(&judge);
		doctor_check_paused(&judge);
		doctor_check_set_aside(&judge);
		doctor_check_schedules(&judge);
		doctor_check_syncs(&judge);
		doctor_check_webhooks(&judge);
		doctor_check_endpoints(&judge);
		doctor_check_versions(&judge);
		doctor_check_clocks(&judge);
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
