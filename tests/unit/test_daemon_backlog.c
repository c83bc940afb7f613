/* tests/unit/test_daemon_backlog.c - daemon/backlog. */
#include "daemon/backlog.h"

#include "tests/lib/check.h"

enum { DEV = 1, PROD = 2 };

static void
an_environment_at_its_bound_is_refused_and_others_are_not(void)
{
	struct backlog *backlog = backlog_new(3, 100, 1);

	for (int i = 0; i < 3; i++) {
		check_int(backlog_judge(backlog, DEV), ==, BACKLOG_FINE);
		backlog_enter(backlog, DEV);
	}
	check_int(backlog_judge(backlog, DEV), ==, BACKLOG_QUEUE_FULL);
	check_int(backlog_judge(backlog, PROD), ==, BACKLOG_FINE);
	backlog_leave(backlog, DEV, BACKLOG_GONE, 1);
	check_int(backlog_judge(backlog, DEV), ==, BACKLOG_FINE);
	backlog_depth(backlog, DEV, 2, 1); /* those of another node, and the two on their way */
	check_int(backlog_estimate(backlog, DEV), ==, 4);
	check_int(backlog_judge(backlog, DEV), ==, BACKLOG_QUEUE_FULL);
	backlog_leave(backlog, DEV, BACKLOG_PUSHED, 2);
	backlog_leave(backlog, DEV, BACKLOG_PUSHED, 2);
	check_int(backlog_judge(backlog, DEV), ==, BACKLOG_FINE);
	backlog_depth(backlog, DEV, 0, 3);
	check_int(backlog_estimate(backlog, DEV), ==, 0);
	backlog_free(backlog);
}

static void
what_could_not_be_pushed_counts_until_the_sweep_has_brought_it(void)
{
	struct backlog *backlog = backlog_new(1000, 2, 2);

	for (int i = 0; i < 2; i++) {
		backlog_enter(backlog, DEV);
		backlog_leave(backlog, DEV, BACKLOG_LEFT, 1000);
	}
	check_int(backlog_judge(backlog, PROD), ==, BACKLOG_NODE_FULL);
	check(backlog_is_stuck(backlog, DEV % 2) && !backlog_is_stuck(backlog, PROD % 2));
	backlog_swept(backlog, 1000 + 10 * BACKLOG_SWEPT_MS); /* no push went well since */
	check_int(backlog_left(backlog), ==, 2);
	backlog_push_good(backlog, DEV % 2);
	check(!backlog_is_stuck(backlog, DEV % 2));
	backlog_swept(backlog, 1000 + BACKLOG_SWEPT_MS - 1);
	check_int(backlog_held(backlog), ==, 2);
	backlog_swept(backlog, 1000 + BACKLOG_SWEPT_MS);
	check_int(backlog_held(backlog), ==, 0);
	check_int(backlog_estimate(backlog, DEV), ==, 0);
	check_int(backlog_judge(backlog, PROD), ==, BACKLOG_FINE);
	backlog_free(backlog);
}

static void
what_could_not_be_pushed_is_in_a_shard_that_was_built_anew(void)
{
	struct backlog *backlog = backlog_new(1000, 10, 2);

	for (int environment = DEV; environment <= PROD; environment++) {
		backlog_enter(backlog, environment);
		backlog_leave(backlog, environment, BACKLOG_LEFT, 1000);
	}
	backlog_rebuilt(backlog, DEV % 2);
	check_int(backlog_left(backlog), ==, 1);
	check_int(backlog_estimate(backlog, DEV), ==, 0);
	check(!backlog_is_stuck(backlog, DEV % 2) && backlog_is_stuck(backlog, PROD % 2));
	backlog_free(backlog);
}

static void
refused_callers_are_told_to_come_back_by_what_drains(void)
{
	struct backlog *backlog = backlog_new(100, 5, 1);

	check_int(backlog_retry_s(backlog, DEV), ==, 2); /* nothing is known */
	backlog_depth(backlog, DEV, 100, 1000);
	check_int(backlog_retry_s(backlog, DEV), ==, 2);
	backlog_depth(backlog, DEV, 99, 2000); /* one a second: ten more for room */
	check_int(backlog_retry_s(backlog, DEV), ==, 11);
	for (int64_t i = 1; i <= 20; i++) /* fifty a second, filled up again by this node */
		for (int n = 0; n < 50; n++) {
			backlog_enter(backlog, DEV);
			backlog_leave(backlog, DEV, BACKLOG_PUSHED, 2000 + i * 1000);
			backlog_depth(backlog, DEV, 100, 2000 + i * 1000);
		}
	check_int(backlog_retry_s(backlog, DEV), ==, 1);
	for (int64_t i = 1; i <= 40; i++) /* stuck */
		backlog_depth(backlog, DEV, 100, 30000 + i * 1000);
	check_int(backlog_retry_s(backlog, DEV), ==, 30);
	for (int i = 0; i < 5; i++)
		backlog_enter(backlog, PROD);
	check_int(backlog_retry_s(backlog, PROD), ==, 5); /* the node is full */
	backlog_free(backlog);
}

static void
environments_near_their_bound_are_asked_for_and_only_those(void)
{
	struct backlog *backlog = backlog_new(10, 1000, 1);
	int64_t ids[4];
	size_t at = 0;

	backlog_depth(backlog, DEV, 4, 1);
	check_int(backlog_near(backlog, &at, ids, 4), ==, 0);
	at = 0;
	backlog_depth(backlog, PROD, 5, 1);
	check_int(backlog_near(backlog, &at, ids, 4), ==, 1);
	check_int(ids[0], ==, PROD);
	backlog_free(backlog);
}

int
main(void)
{
	CHECK_RUN(an_environment_at_its_bound_is_refused_and_others_are_not);
	CHECK_RUN(what_could_not_be_pushed_counts_until_the_sweep_has_brought_it);
	CHECK_RUN(what_could_not_be_pushed_is_in_a_shard_that_was_built_anew);
	CHECK_RUN(refused_callers_are_told_to_come_back_by_what_drains);
	CHECK_RUN(environments_near_their_bound_are_asked_for_and_only_those);
	return check_done();
}
