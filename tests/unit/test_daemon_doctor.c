#include <string.h>

#include "daemon/doctor.h"
#include "tests/lib/check.h"

#define ALL (DOCTOR_API | DOCTOR_WORKER | DOCTOR_SCHEDULER)

static struct doctor_facts facts;
static struct doctor_report report;

/* Three nodes that work, the first of which leads and answers; nothing waits. */
static void
healthy(void)
{
	static const char *const names[] = {"a:1:00000001", "b:2:00000002", "c:3:00000003"};

	facts = (struct doctor_facts){
	    .node = names[0],
	    .version = "0.1.0",
	    .roles = ALL,
	    .schema_version = 11,
	    .postgres = true,
	    .postgres_error = "",
	    .postgres_latency_ms = 2,
	    .ledger_version = 11,
	    .lock_held = true,
	    .sessions = 3,
	    .shard_count = 1,
	    .queues_known = true,
	    .runner_up = true,
	    .compiler = true,
	    .compiler_error = "",
	    .paused_endpoint = "",
	    .paused_in = "",
	    .descriptors = 50,
	    .descriptors_max = 1024,
	    .node_count = 3,
	};
	facts.shards[0] = (struct doctor_shard){
	    .up = true, .built = true, .answered = true, .latency_ms = 1, .error = ""};
	for (int i = 0; i < 3; i++)
		facts.nodes[i] = (struct doctor_node){.name = names[i],
						      .version = "0.1.0",
						      .roles = ALL,
						      .schema_version = 11,
						      .leads = i == 0,
						      .runners = 4,
						      .runner_up = true};
}

static const struct doctor_check *
find(const char *name)
{
	doctor_judge(&facts, &report);
	for (int i = 0; i < report.count; i++)
		if (strcmp(report.checks[i].name, name) == 0)
			return &report.checks[i];
	printf("# there is no check %s\n", name);
	check(!"a check of that name");
	return NULL;
}

/* The check is in this state, and its cause and remedy hold these words. */
static void
expect(const char *name, enum doctor_state state, const char *cause, const char *remedy)
{
	const struct doctor_check *found = find(name);

	if (found->state != state || strstr(found->cause, cause) == NULL ||
	    strstr(found->remedy, remedy) == NULL)
		printf("# %s: state %d, text \"%s\", cause \"%s\", remedy \"%s\"\n", name,
		       found->state, found->text, found->cause, found->remedy);
	check_int(found->state, ==, state);
	check(strstr(found->cause, cause) != NULL);
	check(strstr(found->remedy, remedy) != NULL);
}

static void
all_are(enum doctor_node_state state)
{
	for (int i = 0; i < facts.node_count; i++)
		facts.nodes[i].state = state;
}

static void
one_waits(int64_t oldest_ms)
{
	facts.queue_count = 1;
	facts.queues[0] = (struct doctor_queue){.environment = "dev",
						.line = "actions",
						.limit = 1,
						.depth = 7,
						.oldest_ms = oldest_ms};
}

static void
a_fleet_that_works_is_healthy(void)
{
	static const char *const wanted[] = {
	    "postgres",  "postgres_latency", "redis",     "redis_latency", "redis_policy",
	    "scheduler", "workers",          "capacity",  "queue_age",     "paused",
	    "dead",      "quarantine",       "schedules", "syncs",         "webhooks",
	    "endpoints", "backlog",          "versions",  "clocks",        "runner",
	    "compiler",  "descriptors"};

	healthy();
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		expect(wanted[i], DOCTOR_OK, "", "");
	check_int(report.count, ==, sizeof(wanted) / sizeof(wanted[0]));
	check_int(report.verdict, ==, DOCTOR_HEALTHY);
}

static void
each_check_that_is_not_ok_has_a_cause_and_a_remedy(void)
{
	healthy();
	all_are(DOCTOR_NODE_LOST);
	facts.lock_held = false;
	facts.shards[0].evicts = true;
	facts.shards[0].latency_ms = facts.postgres_latency_ms = 1000;
	facts.shards[0].skew_ms = 9000;
	facts.dead_hour = facts.quarantined_hour = facts.strangers = 1;
	facts.late_ms = DOCTOR_VERY_OLD_MS;
	facts.stalled = DOCTOR_STALLED_MANY;
	facts.webhook_late_ms = DOCTOR_WEBHOOK_MS + 1;
	facts.endpoints_paused = 1;
	facts.backlog_full = true;
	facts.runner_up = facts.compiler = false;
	facts.compiler_error = "Node.js is not found";
	facts.descriptors = 1000;
	one_waits(DOCTOR_VERY_OLD_MS + 1);
	facts.stopped[0] = facts.queues[0];
	facts.stopped_total = facts.stopped_count = 1;
	doctor_judge(&facts, &report);
	for (int i = 0; i < report.count; i++) {
		bool fine = report.checks[i].state == DOCTOR_OK;

		check(report.checks[i].text[0] != '\0');
		check((report.checks[i].cause[0] == '\0') == fine);
		check((report.checks[i].remedy[0] == '\0') == fine);
	}
}

static void
without_postgres_it_is_down_and_nothing_is_guessed(void)
{
	healthy();
	facts.postgres = facts.lock_held = false;
	facts.node_count = 0;
	facts.postgres_error = "connection refused";
	expect("postgres", DOCTOR_FAIL, "connection refused", "database_url");
	check_int(report.verdict, ==, DOCTOR_DOWN);
	for (int i = 0; i < report.count; i++) { /* what only the ledger knows is not there */
		check(strcmp(report.checks[i].name, "workers") != 0);
		check(strcmp(report.checks[i].name, "scheduler") != 0);
	}
	facts.postgres_error = "";
	expect("postgres", DOCTOR_FAIL, "no answer within 2 s", "");
}

static void
without_redis_it_is_down_and_old_jobs_are_put_down_to_that(void)
{
	healthy();
	facts.shards[0] = (struct doctor_shard){.error = "Connection refused"};
	facts.queues_known = false;
	expect("redis", DOCTOR_FAIL, "Connection refused", "redis_url");
	expect("queue_age", DOCTOR_WARN, "Redis is away", "see redis");
	check_int(report.verdict, ==, DOCTOR_DOWN);
}

static void
one_shard_of_several_is_enough_to_be_down(void)
{
	healthy();
	facts.shard_count = 3;
	facts.shards[1] = facts.shards[0];
	facts.shards[2] = (struct doctor_shard){.up = true, .built = true, .error = ""};
	expect("redis", DOCTOR_FAIL, "no answer within 2 s", "");
	check(strstr(find("redis")->text, "1 of 3") != NULL);
	check_int(report.verdict, ==, DOCTOR_DOWN);
}

static void
an_empty_redis_is_built_only_by_a_scheduler(void)
{
	healthy();
	facts.shards[0].built = false;
	facts.shards[0].unbuilt_ms = DOCTOR_BUILD_MS;
	expect("redis", DOCTOR_WARN, "being built", "wait");
	facts.lock_held = false; /* for a moment */
	expect("redis", DOCTOR_WARN, "being built", "wait");
	check_int(report.verdict, ==, DOCTOR_DEGRADED);
	facts.shards[0].unbuilt_ms = DOCTOR_BUILD_MS + 1;
	expect("redis", DOCTOR_FAIL, "fails", "queue_shards");
	check_int(report.verdict, ==, DOCTOR_DOWN);
	facts.shards[0].unbuilt_ms = 1;
	for (int i = 0; i < 3; i++)
		facts.nodes[i].roles = DOCTOR_API | DOCTOR_WORKER;
	expect("redis", DOCTOR_FAIL, "no scheduler", "role scheduler");
}

static void
all_quiet_is_named_as_the_cause_with_the_command(void)
{
	healthy();
	all_are(DOCTOR_NODE_QUIET);
	one_waits(DOCTOR_OLD_MS + 1);
	expect("workers", DOCTOR_FAIL, "quiet", "sluice worker release c:3:00000003");
	expect("queue_age", DOCTOR_WARN, "all workers are quiet", "sluice worker release");
	check_int(report.verdict, ==, DOCTOR_DOWN);
	facts.nodes[1].state = DOCTOR_NODE_LIVE;
	expect("workers", DOCTOR_WARN, "c:3:00000003 quiet", "sluice worker release");
	check_int(report.verdict, ==, DOCTOR_DEGRADED);
}

static void
without_a_worker_nothing_is_run(void)
{
	healthy();
	for (int i = 0; i < 3; i++)
		facts.nodes[i].roles = DOCTOR_API | DOCTOR_SCHEDULER;
	one_waits(DOCTOR_OLD_MS + 1);
	expect("workers", DOCTOR_FAIL, "no process has the role worker", "role worker");
	expect("queue_age", DOCTOR_WARN, "no worker is live", "see workers");
	check_int(report.verdict, ==, DOCTOR_DOWN);
	facts.nodes[0].roles = ALL;
	facts.nodes[0].state = DOCTOR_NODE_STARTING;
	expect("workers", DOCTOR_WARN, "1 of them start", "wait");
	facts.nodes[0].state = DOCTOR_NODE_DRAINING;
	expect("workers", DOCTOR_FAIL, "stopping", "role worker");
	facts.strangers = 2; /* workers of the release before */
	expect("workers", DOCTOR_OK, "", "");
}

static void
a_lost_worker_is_named(void)
{
	healthy();
	facts.nodes[1].state = DOCTOR_NODE_LOST;
	facts.nodes[1].seen_ms = 150000;
	expect("workers", DOCTOR_WARN, "b:2:00000002 was not seen for 2 min",
	       "sluice worker release --force b:2:00000002");
	check_int(report.verdict, ==, DOCTOR_DEGRADED);
	one_waits(DOCTOR_OLD_MS + 1);
	expect("queue_age", DOCTOR_WARN, "b:2:00000002 is lost", "--force b:2:00000002");
	facts.nodes[1].seen_ms =
	    DOCTOR_RECENT_MS + 1; /* it was replaced since, or nobody wants it */
	expect("workers", DOCTOR_OK, "", "");
}

static void
a_scheduler_that_is_missing_frozen_or_behind_is_told_apart(void)
{
	healthy();
	for (int i = 0; i < 3; i++) {
		facts.nodes[i].roles = DOCTOR_API | DOCTOR_WORKER;
		facts.nodes[i].leads = false;
	}
	facts.lock_held = false;
	expect("scheduler", DOCTOR_FAIL, "role scheduler", "start a node");
	check_int(report.verdict, ==, DOCTOR_DEGRADED);
	healthy();
	facts.lock_held = facts.nodes[0].leads = false;
	expect("scheduler", DOCTOR_WARN, "another one takes over", "wait");
	healthy();
	facts.nodes[0].state = DOCTOR_NODE_LOST;
	facts.nodes[0].seen_ms = 20000;
	expect("scheduler", DOCTOR_WARN, "a:1:00000001 led and was not seen for 20 s", "wait");
	facts.nodes[2].leads = true; /* its successor */
	expect("scheduler", DOCTOR_OK, "", "");
	check(strstr(find("scheduler")->text, "c:3:00000003 leads") != NULL);
	healthy();
	facts.overdue_ms = DOCTOR_OVERDUE_MS + 1;
	expect("scheduler", DOCTOR_WARN, "behind", "log of a:1:00000001");
}

static void
old_jobs_get_the_surest_reason(void)
{
	healthy();
	one_waits(DOCTOR_OLD_MS);
	expect("queue_age", DOCTOR_OK, "", "");
	one_waits(DOCTOR_OLD_MS + 1);
	expect("queue_age", DOCTOR_WARN, "no reason is known", "logs");
	facts.queues[0].running = 1;
	expect("queue_age", DOCTOR_WARN, "1 of its jobs runs, and no more may", "limit");
	for (int i = 0; i < 3; i++)
		facts.nodes[i].running = 4;
	expect("queue_age", DOCTOR_WARN, "all 12 places of 3 workers are busy", "add workers");
	expect("capacity", DOCTOR_WARN, "more work than 3 workers", "add workers");
	for (int i = 0; i < 3; i++)
		facts.nodes[i].runner_up = false;
	expect("queue_age", DOCTOR_WARN, "no worker can start functions", "see runner");
	facts.queues[0].paused = true;
	expect("queue_age", DOCTOR_WARN, "paused", "sluice queue resume dev --line actions");
	healthy();
	one_waits(DOCTOR_VERY_OLD_MS + 1);
	expect("queue_age", DOCTOR_FAIL, "", "");
	check_int(report.verdict, ==, DOCTOR_DEGRADED);
}

static void
a_paused_line_does_not_hide_one_that_is_stuck(void)
{
	healthy();
	one_waits(DOCTOR_VERY_OLD_MS * 9);
	facts.queues[0].paused = true;
	facts.queues[1] = (struct doctor_queue){
	    .environment = "prod", .line = "actions", .depth = 1, .oldest_ms = DOCTOR_OLD_MS + 1};
	facts.queue_count = 2;
	check(strstr(find("queue_age")->text, "prod") != NULL);
	facts.queues[1].oldest_ms = 10;
	check(strstr(find("queue_age")->text, "dev") != NULL);
	facts.stopped[0] = facts.queues[0];
	facts.stopped_total = facts.stopped_count = 1;
	expect("paused", DOCTOR_WARN, "an operator paused it", "sluice queue resume dev");
}

static void
busy_places_are_no_trouble_while_nothing_waits(void)
{
	healthy();
	for (int i = 0; i < 3; i++)
		facts.nodes[i].running = 4;
	expect("capacity", DOCTOR_OK, "", "");
	check(strstr(find("capacity")->text, "12 of 12") != NULL);
}

static void
a_wrong_clock_is_found_by_the_other_two(void)
{
	healthy();
	facts.postgres_skew_ms = facts.shards[0].skew_ms = -DOCTOR_SKEW_MS;
	expect("clocks", DOCTOR_OK, "", "");
	facts.postgres_skew_ms = facts.shards[0].skew_ms = -3600 * 1000;
	expect("clocks", DOCTOR_WARN, "this node (a:1:00000001)", "chrony");
	facts.shards[0].skew_ms = 5;
	expect("clocks", DOCTOR_WARN, "Postgres's machine", "");
	facts.postgres_skew_ms = 0;
	facts.shards[0].skew_ms = DOCTOR_SKEW_MS + 1;
	expect("clocks", DOCTOR_WARN, "Redis's machine", "");
}

static void
builds_that_differ_are_an_upgrade_that_is_not_finished(void)
{
	healthy();
	facts.nodes[2].version = "0.2.0";
	facts.nodes[2].schema_version = 12;
	expect("versions", DOCTOR_WARN, "c:3:00000003 runs 0.2.0 (schema 12)", "one by one");
	facts.nodes[2].state = DOCTOR_NODE_LOST; /* it runs no more */
	expect("versions", DOCTOR_OK, "", "");
	facts.strangers = 1;
	expect("versions", DOCTOR_WARN, "1 worker of an earlier release", "one by one");
	facts.ledger_version = 12;
	expect("versions", DOCTOR_WARN, "upgrade", "newer build");
}

static void
redis_must_keep_what_it_is_given(void)
{
	healthy();
	facts.shards[0].evicts = true;
	expect("redis_policy", DOCTOR_WARN, "maxmemory-policy", "noeviction");
	healthy();
	facts.shards[0].memory_max = 1000;
	facts.shards[0].memory = 899;
	expect("redis_policy", DOCTOR_OK, "", "");
	facts.shards[0].memory = 950;
	expect("redis_policy", DOCTOR_WARN, "sized", "maxmemory");
}

static void
slow_servers_are_told(void)
{
	healthy();
	facts.postgres_latency_ms = DOCTOR_SLOW_MS + 1;
	expect("postgres_latency", DOCTOR_WARN, "overloaded", "pg_stat_activity");
	facts.shards[0].latency_ms = DOCTOR_SLOW_MS + 1;
	expect("redis_latency", DOCTOR_WARN, "busy", "SLOWLOG");
	check_int(report.verdict, ==, DOCTOR_DEGRADED);
}

static void
the_node_that_answers_looks_at_itself(void)
{
	healthy();
	facts.runner_up = false;
	expect("runner", DOCTOR_FAIL, "sandbox", "runner_path");
	facts.runner_up = true;
	facts.nodes[1].runner_up = false; /* or at another one */
	check(strstr(find("runner")->text, "b:2:00000002") != NULL);
	healthy();
	facts.compiler = false;
	facts.compiler_error = "Node.js (node) is not found";
	expect("compiler", DOCTOR_WARN, "Node.js (node) is not found", "node_path");
	facts.roles = DOCTOR_WORKER; /* takes no deploys */
	doctor_judge(&facts, &report);
	for (int i = 0; i < report.count; i++)
		check(strcmp(report.checks[i].name, "compiler") != 0);
	healthy();
	facts.descriptors = 930;
	expect("descriptors", DOCTOR_WARN, "connections", "LimitNOFILE");
	healthy();
	facts.backlog = facts.backlog_left = 5;
	expect("backlog", DOCTOR_WARN, "sweep", "wait");
	facts.backlog_full = true;
	facts.shards[0].up = false;
	expect("backlog", DOCTOR_FAIL, "Redis is away", "see redis");
}

static void
what_was_set_aside_is_told(void)
{
	healthy();
	facts.dead_hour = 1;
	facts.quarantined_hour = 2;
	expect("dead", DOCTOR_WARN, "killed", "sluice dead ls");
	expect("quarantine", DOCTOR_WARN, "encryption_key_file", "quarantine");
	check(strstr(find("dead")->text, "1 job was") != NULL);
	check(strstr(find("quarantine")->text, "2 queue entries were") != NULL);
}

static void
late_schedules_are_put_down_to_who_should_have_started_them(void)
{
	healthy();
	facts.late_ms = DOCTOR_LATE_MS;
	expect("schedules", DOCTOR_OK, "", "");
	facts.late_ms = 5 * 60 * 1000;
	expect("schedules", DOCTOR_WARN, "behind", "sluice sync ls --state late");
	check(strstr(find("schedules")->text, "5 min") != NULL);
	facts.late_ms = DOCTOR_VERY_OLD_MS + 1;
	expect("schedules", DOCTOR_FAIL, "behind", "a:1:00000001");
	check_int(report.verdict, ==, DOCTOR_DEGRADED);
	facts.nodes[0].schema_version--;
	expect("schedules", DOCTOR_FAIL, "an earlier release leads", "upgrade");
	facts.nodes[0].leads = false; /* one without a row holds the lock */
	expect("schedules", DOCTOR_FAIL, "an earlier release leads", "upgrade");
	facts.lock_held = false;
	expect("schedules", DOCTOR_FAIL, "no scheduler leads", "see scheduler");
	healthy();
	facts.late_ms = DOCTOR_LATE_MS + 1;
	facts.nodes[0].state = DOCTOR_NODE_LOST;
	expect("schedules", DOCTOR_WARN, "no scheduler leads", "see scheduler");
}

static void
many_stalled_syncs_are_told_and_few_are_only_counted(void)
{
	healthy();
	facts.stalled = DOCTOR_STALLED_MANY - 1;
	expect("syncs", DOCTOR_OK, "", "");
	check(strstr(find("syncs")->text, "9 syncs are") != NULL);
	facts.stalled++;
	expect("syncs", DOCTOR_WARN, "sync_timeout", "sluice sync ls --state stalled");
	check_int(report.verdict, ==, DOCTOR_DEGRADED);
}

static void
late_webhooks_are_put_down_to_missing_workers_or_to_apps(void)
{
	healthy();
	facts.webhook_late_ms = DOCTOR_WEBHOOK_MS;
	expect("webhooks", DOCTOR_OK, "", "");
	facts.webhook_late_ms++;
	expect("webhooks", DOCTOR_WARN, "answers slowly", "sluice webhook endpoints");
	check_int(report.verdict, ==, DOCTOR_DEGRADED);
	check_text(find("webhooks")->runbook, "webhookslate");
	all_are(DOCTOR_NODE_LOST);
	expect("webhooks", DOCTOR_WARN, "no worker is live", "see workers");
	all_are(DOCTOR_NODE_QUIET);
	expect("webhooks", DOCTOR_WARN, "no worker is live", "see workers");
}

static void
a_paused_endpoint_is_told_with_its_cause_and_the_command(void)
{
	static const char *const causes[] = {"an operator", "410", "delivery_pause_after"};

	healthy();
	facts.paused_endpoint = "0c7a";
	facts.paused_in = "dev";
	facts.endpoints_paused = 1;
	for (int i = 0; i < 3; i++) {
		facts.paused_cause = (enum doctor_pause)(DOCTOR_PAUSE_OPERATOR + i);
		expect("endpoints", DOCTOR_WARN, causes[i], "sluice webhook resume 0c7a");
	}
	check(strstr(find("endpoints")->text, "1 endpoint of webhooks is paused: 0c7a of dev") !=
	      NULL);
	facts.endpoints_paused = 2;
	check(strstr(find("endpoints")->text, "2 endpoints of webhooks are paused") != NULL);
	check_text(find("endpoints")->runbook, "webhookendpointpaused");
}

int
main(void)
{
	CHECK_RUN(a_fleet_that_works_is_healthy);
	CHECK_RUN(each_check_that_is_not_ok_has_a_cause_and_a_remedy);
	CHECK_RUN(without_postgres_it_is_down_and_nothing_is_guessed);
	CHECK_RUN(without_redis_it_is_down_and_old_jobs_are_put_down_to_that);
	CHECK_RUN(one_shard_of_several_is_enough_to_be_down);
	CHECK_RUN(an_empty_redis_is_built_only_by_a_scheduler);
	CHECK_RUN(all_quiet_is_named_as_the_cause_with_the_command);
	CHECK_RUN(without_a_worker_nothing_is_run);
	CHECK_RUN(a_lost_worker_is_named);
	CHECK_RUN(a_scheduler_that_is_missing_frozen_or_behind_is_told_apart);
	CHECK_RUN(old_jobs_get_the_surest_reason);
	CHECK_RUN(a_paused_line_does_not_hide_one_that_is_stuck);
	CHECK_RUN(busy_places_are_no_trouble_while_nothing_waits);
	CHECK_RUN(a_wrong_clock_is_found_by_the_other_two);
	CHECK_RUN(builds_that_differ_are_an_upgrade_that_is_not_finished);
	CHECK_RUN(redis_must_keep_what_it_is_given);
	CHECK_RUN(slow_servers_are_told);
	CHECK_RUN(the_node_that_answers_looks_at_itself);
	CHECK_RUN(what_was_set_aside_is_told);
	CHECK_RUN(late_schedules_are_put_down_to_who_should_have_started_them);
	CHECK_RUN(many_stalled_syncs_are_told_and_few_are_only_counted);
	CHECK_RUN(late_webhooks_are_put_down_to_missing_workers_or_to_apps);
	CHECK_RUN(a_paused_endpoint_is_told_with_its_cause_and_the_command);
	return check_done();
}
