/* queue/lock against a real Redis.  SLUICE_TEST_REDIS names the server (a URL or a socket's path);
 * it is emptied.  77: not set. */
#include "queue/lock.h"

#include "tests/integration/queue_rig.h"

static struct rig rig;

static struct said
acquire(int64_t environment, const char *name, const char *owner, int64_t ttl_ms)
{
	struct said said = {0};

	lock_acquire(rig.queue, environment, slice_text(name), owner, ttl_ms, on_said, &said);
	rig_until(&rig, &said.done);
	return said;
}

static struct said
release(int64_t environment, const char *name, const char *owner)
{
	struct said said = {0};

	lock_release(rig.queue, environment, slice_text(name), owner, on_said, &said);
	rig_until(&rig, &said.done);
	return said;
}

static void
a_lock_is_one_owners(void)
{
	rig_open(&rig, rig_url());
	check_int(acquire(1, "k", "a", 60000).value, ==, 1);
	check_int(acquire(1, "k", "b", 60000).value, ==, 0);
	check_int(acquire(2, "k", "b", 60000).value, ==, 1); /* another environment */
	check_int(acquire(1, "l", "b", 60000).value, ==, 1); /* another name */
	rig_close(&rig);
}

static void
an_owner_takes_it_again_and_for_longer(void)
{
	rig_open(&rig, rig_url());
	check_int(acquire(1, "k", "a", 300).value, ==, 1);
	check_int(acquire(1, "k", "a", 60000).value, ==, 1);
	rig_sleep(400);
	check_int(acquire(1, "k", "b", 60000).value, ==, 0);
	rig_close(&rig);
}

static void
a_lock_ends_with_its_time(void)
{
	rig_open(&rig, rig_url());
	check_int(acquire(1, "k", "a", 100).value, ==, 1);
	rig_sleep(150);
	check_int(acquire(1, "k", "b", 60000).value, ==, 1);
	check_int(release(1, "k", "a").value, ==, 0); /* it is not a's any more */
	check_int(acquire(1, "k", "a", 60000).value, ==, 0);
	rig_close(&rig);
}

static void
only_its_owner_releases_a_lock(void)
{
	rig_open(&rig, rig_url());
	check_int(release(1, "k", "a").value, ==, 0);
	check_int(acquire(1, "k", "a", 60000).value, ==, 1);
	check_int(release(1, "k", "b").value, ==, 0);
	check_int(release(1, "k", "a").value, ==, 1);
	check_int(acquire(1, "k", "b", 60000).value, ==, 1);
	rig_close(&rig);
}

static void
a_name_is_any_bytes(void)
{
	const struct slice one = SLICE_LITERAL("a\0b"), two = SLICE_LITERAL("a\0c");
	struct said said[2] = {{0}, {0}};

	rig_open(&rig, rig_url());
	lock_acquire(rig.queue, 1, one, "a", 60000, on_said, &said[0]);
	lock_acquire(rig.queue, 1, two, "b", 60000, on_said, &said[1]);
	rig_until(&rig, &said[1].done);
	check_int(said[0].value, ==, 1);
	check_int(said[1].value, ==, 1);
	rig_close(&rig);
}

static void
without_redis_a_lock_is_unavailable(void)
{
	struct said said;

	rig_open_queue(&rig, "unix:///nonexistent/redis", 0, 1000);
	said = acquire(1, "k", "a", 1000);
	check_int(said.code, ==, SL_UNAVAILABLE);
	rig_close(&rig);
}

int
main(void)
{
	if (rig_url() == NULL) {
		printf("1..0 # SKIP SLUICE_TEST_REDIS is not set\n");
		return 77;
	}
	log_set_level((enum log_level)0); /* these faults are meant */
	CHECK_RUN(a_lock_is_one_owners);
	CHECK_RUN(an_owner_takes_it_again_and_for_longer);
	CHECK_RUN(a_lock_ends_with_its_time);
	CHECK_RUN(only_its_owner_releases_a_lock);
	CHECK_RUN(a_name_is_any_bytes);
	CHECK_RUN(without_redis_a_lock_is_unavailable);
	return check_done();
}
