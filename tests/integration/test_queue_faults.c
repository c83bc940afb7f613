/* queue/ against a real Redis that is flushed, restarted, hung, full, locked or holds wrong types.
 * SLUICE_TEST_REDIS names a server (a URL or a socket's path), which is emptied; what needs a
 * server of its own starts one.  77: not set. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "tests/integration/queue_rig.h"

#define A "1.aaaa"
#define B "2.bbbb"

static struct rig rig, other;
static struct taken taken;
static struct server server;

static void
open_rig(void)
{
	rig_open(&rig, rig_url());
}

static void
close_rig(void)
{
	taken_fini(&taken);
	rig_close(&rig);
}

static bool
own_server(const char *const *extra)
{
	server_stop(&server);
	if (server_start(&server, extra))
		return true;
	printf("# no redis-server to start: not tested\n");
	return false;
}

static struct said
read_epoch(struct rig *from)
{
	struct said said = {0};

	queue_read_epoch(from->queue, on_said, &said);
	rig_until(from, &said.done);
	return said;
}

/* ---- scripts and types ---- */

static void
flushed_scripts_are_loaded_again(void)
{
	open_rig();
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	for (int i = 1; i <= 3; i++) {
		raw_int(&rig, "SCRIPT FLUSH");
		check_int(push_run(&rig, READY_NEW, 1, i, i).code, ==, SL_OK);
		raw_int(&rig, "SCRIPT FLUSH");
		exchange(&rig, A, 1, 64, NULL, 0, &taken);
		check_int(taken.code, ==, SL_OK);
	}
	check_int(taken.count, ==, 0); /* held since the first time */
	check_int(raw_int(&rig, "LLEN sluice:{s00}:q:1"), ==, 3);
	check_int(rig.downs, ==, 0);
	close_rig();
}

static void
a_shard_key_of_another_type_is_an_error_not_a_crash(void)
{
	static const char *const nouns[] = {"ready", "held", "workers", "turn"};
	struct said said;

	open_rig();
	for (size_t i = 0; i < 4; i++) {
		raw_int(&rig, "FLUSHALL");
		check_int(rig_rebuild(&rig), ==, SL_OK);
		check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
		raw_int(&rig, "DEL sluice:{s00}:%s", nouns[i]);
		raw_int(&rig, "RPUSH sluice:{s00}:%s x", nouns[i]);
		said = push_run(&rig, READY_NEW, 1, 1, 1);
		exchange(&rig, A, 1, 1, NULL, 0, &taken);
		check(said.code == SL_INTERNAL || taken.code == SL_INTERNAL);
		check(strstr(said.code == SL_INTERNAL ? said.text : taken.text, "WRONGTYPE") !=
		      NULL);
	}
	raw_int(&rig, "DEL sluice:{s00}:wake");
	raw_int(&rig, "SET sluice:{s00}:wake x");
	said = wait_token(&rig, 100);
	check_int(said.code, ==, SL_INTERNAL);
	raw_int(&rig, "DEL sluice:{s00}:epoch");
	raw_int(&rig, "RPUSH sluice:{s00}:epoch x");
	said = read_epoch(&rig);
	check_int(said.code, ==, SL_INTERNAL);
	check(strstr(said.text, "WRONGTYPE") != NULL);
	check(queue_is_up(rig.queue));
	check_int(rig_rebuild(&rig), ==, SL_OK); /* mends them all */
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	close_rig();
}

static void
a_list_of_another_type_is_put_aside_and_its_key_goes_on(void)
{
	struct said said = {0};

	open_rig();
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	raw_int(&rig, "SET sluice:{s00}:q:1 x");
	check_int(push_run(&rig, READY_NEW, 1, 1, 1).code, ==, SL_OK);
	check_int(raw_int(&rig, "EXISTS sluice:{s00}:bad:q:1"), ==, 1);
	push_run(&rig, READY_NEW, 2, 2, 2);
	push_run(&rig, READY_FRONT, 3, 3, 3);
	raw_int(&rig, "DEL sluice:{s00}:q:2 sluice:{s00}:f:3");
	raw_int(&rig, "SADD sluice:{s00}:q:2 x");
	raw_int(&rig, "SADD sluice:{s00}:f:3 x");
	ready_position(rig.queue, 2, 2, on_said, &said);
	rig_until(&rig, &said.done);
	check_int(said.value, ==, -1);
	exchange(&rig, A, 5, 64, NULL, 0, &taken);
	check_int(taken.code, ==, SL_OK);
	check_int(taken.count, ==, 1);
	check_int(taken.turns[0].key, ==, 1);
	check_int(raw_int(&rig, "EXISTS sluice:{s00}:bad:q:2 sluice:{s00}:bad:f:3"), ==, 2);
	check_int(push_run(&rig, READY_FRONT, 2, 2, 2).code, ==, SL_OK); /* the sweep */
	exchange(&rig, A, 5, 64, NULL, 0, &taken);
	check_int(taken.count, ==, 1);
	check_int(taken.turns[0].key, ==, 2);
	close_rig();
}

static void
entries_that_nobody_could_have_written_reach_the_worker(void)
{
	open_rig();
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	push_run(&rig, READY_NEW, 1, 5, 5);
	push_run(&rig, READY_FRONT, 1, 4, 4);
	raw_int(&rig, "LPUSH sluice:{s00}:q:1 %b", "", (size_t)0);
	raw_int(&rig, "LPUSH sluice:{s00}:f:1 %b", "x\0y", (size_t)3);
	exchange(&rig, A, 1, 64, NULL, 0, &taken);
	check_int(taken.code, ==, SL_OK);
	check_int(taken.turns[0].lens[0], ==, 3);
	close_rig();
}

static void
held_and_ready_entries_that_make_no_sense_are_survived(void)
{
	static const char *const values[] = {
	    "",    "-",      "-:", "-x",    "-1.a:", "-1.a:99999999999999999999",
	    "-:?", "-a.b:1", "x",  "-9.z:3"};
	open_rig();
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK);
	for (int i = 0; i < 10; i++) {
		raw_int(&rig, "HSET sluice:{s00}:held %d %s", i, values[i]);
		push_run(&rig, READY_NEW, i, 1, 1);
		exchange(&rig, A, 1, 1, NULL, 0, &taken);
		if (taken.code == SL_OK && taken.count == 1) {
			check_int(taken.turns[0].session, ==, i == 9 ? 9 : -1);
			check_int(taken.turns[0].tenure, ==, i == 9 ? 3 : -1);
		} else if (taken.code != SL_OK) {
			check_int(taken.code, ==, SL_INTERNAL);
		}
	}
	raw_int(&rig, "ZADD sluice:{s00}:ready 0 nokey");
	raw_int(&rig, "RPUSH sluice:{s00}:q:nokey 000000000001");
	exchange(&rig, A, 1, 1, NULL, 0, &taken);
	check_int(taken.code, ==, SL_INTERNAL);
	check(queue_is_up(rig.queue));
	close_rig();
}

/* ---- the server goes away ---- */

static void
a_restarted_server_is_found_again_without_its_epoch(void)
{
	struct said said;

	if (!own_server(NULL))
		return;
	rig_open(&rig, server.url);
	check_int(push_run(&rig, READY_NEW, 1, 1, 1).code, ==, SL_OK);
	server_kill(&server);
	rig_until_up(&rig, false);
	check_int(rig.downs, ==, 1);
	said = push_run(&rig, READY_NEW, 1, 2, 2);
	check_int(said.code, ==, SL_UNAVAILABLE);
	check(said.text[0] != '\0');
	exchange(&rig, A, 1, 1, NULL, 0, &taken);
	check_int(taken.code, ==, SL_UNAVAILABLE);
	check_int(wait_token(&rig, 10).code, ==, SL_UNAVAILABLE);
	check(queue_last_error(rig.queue)[0] != '\0');
	check(server_start(&server, NULL));
	rig_until_up(&rig, true);
	check_int(rig.ups, ==, 2);
	check_text(queue_epoch(rig.queue), "");
	check_int(push_run(&rig, READY_NEW, 1, 1, 1).code, ==, SL_CONFLICT);
	check_int(rig_rebuild(&rig), ==, SL_OK);
	check_int(push_run(&rig, READY_NEW, 1, 1, 1).code, ==, SL_OK);
	close_rig();
}

static void
a_hung_server_is_given_up_in_time(void)
{
	struct said said[3] = {0}, waited = {0};
	const struct queue_settings settings = {.timeout_ms = 300};
	int64_t start_ms;

	if (!own_server(NULL))
		return;
	rig_open(&rig, server.url);
	rig_open_queue(&other, server.url, 0, settings.timeout_ms);
	rig_until_up(&other, true);
	lease_wait(other.queue, 100, true, on_said, &waited);
	rig_until(&other, &waited.done);
	check_int(waited.code, ==, SL_OK);
	kill(server.pid, SIGSTOP);
	start_ms = clock_mono_ms();
	waited = (struct said){0};
	lease_wait(other.queue, 200, true, on_said, &waited);
	for (int i = 0; i < 3; i++)
		lease_join(other.queue, A, RIG_TTL_MS, on_said, &said[i]);
	rig_until(&other, &said[2].done);
	check_int(said[0].code, ==, SL_UNAVAILABLE);
	check_int(said[2].code, ==, SL_UNAVAILABLE);
	check(strstr(said[0].text, "no answer within 300 ms") != NULL);
	check_int(clock_mono_ms() - start_ms, >=, 290);
	check(!waited.done); /* it had asked for 200 ms more */
	rig_until(&other, &waited.done);
	check_int(waited.code, ==, SL_UNAVAILABLE);
	check_int(clock_mono_ms() - start_ms, <, 3000);
	check_int(clock_mono_ms() - start_ms, >=, 490);
	kill(server.pid, SIGCONT);
	rig_until_up(&other, true);
	check_int(join(&other, A, RIG_TTL_MS).code, ==, SL_OK);
	rig_close(&other);
	close_rig();
}

static void
a_cut_connection_fails_what_is_in_flight_and_comes_back(void)
{
	struct said waited = {0};

	open_rig();
	lease_wait(rig.queue, 10000, true, on_said, &waited);
	loop_turn(rig.loop, 20);
	raw_int(&rig, "CLIENT KILL TYPE normal SKIPME yes");
	rig_until(&rig, &waited.done);
	check_int(waited.code, ==, SL_UNAVAILABLE);
	rig_until_up(&rig, false);
	rig_until_up(&rig, true);
	check_int(rig.ups, ==, 2);
	check_int(join(&rig, A, RIG_TTL_MS).code, ==, SL_OK); /* the epoch was read again */
	close_rig();
}

static void
a_server_that_is_not_there_is_named(void)
{
	struct said said;

	rig_open_queue(&rig, "unix:///nonexistent/redis.sock", 0, 1000);
	said = push_run(&rig, READY_NEW, 1, 1, 1);
	check_int(said.code, ==, SL_UNAVAILABLE);
	check(strstr(said.text, "No such file") != NULL);
	check(strstr(queue_last_error(rig.queue), "No such file") != NULL);
	check(!queue_is_up(rig.queue));
	check_int(rig.ups + rig.downs, ==, 0);
	close_rig();
}

/* ---- login, names, limits ---- */

static void
a_wrong_password_is_told_without_the_password(void)
{
	static const char *const locked[] = {"--requirepass", "open sesame", NULL};
	char url[256];
	int64_t end_ms;

	if (!own_server(locked))
		return;
	snprintf(url, sizeof(url), "unix://:hunter2@%s", server.url + strlen("unix://"));
	rig_open_queue(&rig, url, 0, 1000);
	end_ms = clock_mono_ms() + RIG_WAIT_MS;
	while (queue_last_error(rig.queue)[0] == '\0' && clock_mono_ms() < end_ms)
		loop_turn(rig.loop, 20);
	check(strstr(queue_last_error(rig.queue), "WRONGPASS") != NULL);
	check(strstr(queue_last_error(rig.queue), "hunter2") == NULL);
	check(!queue_is_up(rig.queue));
	rig_close(&rig);
	rig_open_queue(&rig, server.url, 0, 1000);
	end_ms = clock_mono_ms() + RIG_WAIT_MS;
	while (queue_last_error(rig.queue)[0] == '\0' && clock_mono_ms() < end_ms)
		loop_turn(rig.loop, 20);
	check(strstr(queue_last_error(rig.queue), "NOAUTH") != NULL);
	rig_close(&rig);
	snprintf(url, sizeof(url), "unix://default:open%%20sesame@%s?db=3",
		 server.url + strlen("unix://"));
	rig_open_queue(&rig, url, 0, 1000);
	rig_until_up(&rig, true);
	check_int(rig_rebuild(&rig), ==, SL_OK);
	rig.raw = raw_connect(url);
	check_int(raw_int(&rig, "SELECT 3"), >, 0);
	check_int(raw_int(&rig, "EXISTS sluice:{s00}:epoch"), ==, 1);
	close_rig();
}

static int
free_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0), port = 0;

	if (bind(fd, (struct sockaddr *)&address, len) == 0 &&
	    getsockname(fd, (struct sockaddr *)&address, &len) == 0)
		port = ntohs(address.sin_port);
	close(fd);
	return port;
}

static void
a_host_is_reached_by_address_and_by_name(void)
{
	static const char *const hosts[] = {"127.0.0.1", "localhost"};
	char port[16], url[128];
	const char *const extra[] = {"--port", port, "--bind", "127.0.0.1", NULL};

	snprintf(port, sizeof(port), "%d", free_port());
	if (!own_server(extra))
		return;
	for (int i = 0; i < 2; i++) {
		snprintf(url, sizeof(url), "redis://%s:%s", hosts[i], port);
		rig_open_queue(&rig, url, 0, 5000);
		rig_until_up(&rig, true);
		check_int(rig_rebuild(&rig), ==, SL_OK);
		rig_close(&rig);
	}
	rig_open_queue(&rig, "redis://localhost:1", 0, 5000); /* freed while it looks the name up */
	rig_close(&rig);
}

static void
a_full_server_still_takes_hand_ins_and_renewals(void)
{
	struct lease_hand last = {.key_id = 1, .lane = 'q', .tenure = 1, .count = 1, .clean = true};
	struct said said;

	if (!own_server(NULL))
		return;
	rig_open(&rig, server.url);
	check_int(join(&rig, A, 1000).code, ==, SL_OK);
	push_run(&rig, READY_NEW, 1, 1, 10);
	push_run(&rig, READY_NEW, 2, 11, 20);
	taken_fini(&taken);
	lease_exchange(rig.queue, A, 1000, &(struct lease_want){.turns = 1, .jobs = 1}, NULL, 0,
		       on_taken, &taken);
	rig_until(&rig, &taken.done);
	check_int(taken.count, ==, 1);
	raw_int(&rig, "CONFIG SET maxmemory 1");
	said = push_run(&rig, READY_NEW, 3, 21, 21);
	check_int(said.code, ==, SL_UNAVAILABLE);
	check(strstr(said.text, "OOM") != NULL);
	check_int(raw_int(&rig, "EXISTS sluice:{s00}:q:3"), ==, 0);
	check_int(join(&rig, B, RIG_TTL_MS).code, ==, SL_OK);
	rig_sleep(300); /* less than nine tenths are left: it renews, hands in, takes key 2 */
	taken_fini(&taken);
	lease_exchange(rig.queue, A, 1000, &(struct lease_want){.turns = 1, .jobs = 1}, &last, 1,
		       on_taken, &taken);
	rig_until(&rig, &taken.done);
	check_int(taken.code, ==, SL_OK);
	check_int(taken.count, ==, 1);
	check_int(taken.turns[0].key, ==, 2);
	check_int(raw_int(&rig, "LLEN sluice:{s00}:q:1"), ==, 9);
	exchange(&rig, B, 1, 1, NULL, 0, &taken);
	check_int(taken.code, ==, SL_OK);
	check_int(taken.count, ==, 1);
	check_int(expire(&rig, B).value, ==, 1);
	raw_int(&rig, "CONFIG SET maxmemory 0");
	check_int(push_run(&rig, READY_NEW, 3, 21, 21).code, ==, SL_OK);
	close_rig();
}

static void
the_policy_is_read(void)
{
	static const char *const evicting[] = {"--maxmemory-policy", "allkeys-lru", NULL};
	struct said said = {0};

	if (!own_server(evicting))
		return;
	rig_open(&rig, server.url);
	queue_check_policy(rig.queue, on_said, &said);
	rig_until(&rig, &said.done);
	check_int(said.code, ==, SL_OK);
	check_int(said.value, ==, 0);
	raw_int(&rig, "CONFIG SET maxmemory-policy noeviction");
	said = (struct said){0};
	queue_check_policy(rig.queue, on_said, &said);
	rig_until(&rig, &said.done);
	check_int(said.value, ==, 1);
	close_rig();
}

static void
a_replica_is_left_for_the_new_master(void)
{
	if (!own_server(NULL))
		return;
	rig_open(&rig, server.url);
	raw_int(&rig, "REPLICAOF 127.0.0.1 1");
	check_int(push_run(&rig, READY_NEW, 1, 1, 1).code, ==, SL_UNAVAILABLE);
	rig_until_up(&rig, false);
	raw_int(&rig, "REPLICAOF NO ONE");
	rig_until_up(&rig, true);
	check_int(push_run(&rig, READY_NEW, 1, 1, 1).code, ==, SL_OK);
	close_rig();
}

/* ---- freeing ---- */

static void
freeing_fails_what_is_in_flight_first(void)
{
	struct said said[5] = {0};
	struct ready_entry entry = {.key_id = 1, .envelope = SLICE_LITERAL("000000000001")};

	open_rig();
	lease_wait(rig.queue, 10000, true, on_said, &said[0]);
	ready_push(rig.queue, READY_NEW, &entry, 1, on_said, &said[1]);
	ready_push(rig.queue, READY_FRONT, &entry, 1, on_said, &said[2]); /* gathered, not sent */
	lease_join(rig.queue, A, RIG_TTL_MS, on_said, &said[3]);
	queue_rebuild_begin(rig.queue, on_said, &said[4]);
	queue_free(rig.queue);
	for (int i = 0; i < 5; i++) {
		check(said[i].done);
		check_int(said[i].code, ==, SL_UNAVAILABLE);
	}
	rig.queue = NULL;
	rig_close(&rig);
}

static void
on_said_free(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	on_said(arg, code, value, error);
	queue_free(rig.queue);
	rig.queue = NULL;
}

static void
a_callback_may_free_the_queue(void)
{
	struct said first = {0}, second = {0}, third = {0};

	open_rig();
	lease_join(rig.queue, A, RIG_TTL_MS, on_said_free, &first); /* on an answer */
	lease_join(rig.queue, B, RIG_TTL_MS, on_said, &second);
	lease_wait(rig.queue, 1000, true, on_said, &third);
	rig_until(&rig, &first.done);
	check_int(first.code, ==, SL_OK);
	check_int(second.code, ==, SL_UNAVAILABLE);
	check_int(third.code, ==, SL_UNAVAILABLE);
	loop_turn(rig.loop, 10);
	rig_close(&rig);
	open_rig();
	first = second = (struct said){0};
	lease_wait(rig.queue, 10000, true, on_said_free, &first); /* while the connection is lost */
	loop_turn(rig.loop, 20);
	raw_int(&rig, "CLIENT KILL TYPE normal SKIPME yes");
	rig_until(&rig, &first.done);
	loop_turn(rig.loop, 10);
	rig_close(&rig);
	rig_open_queue(&rig, "unix:///nonexistent/redis.sock", 0, 1000);
	first = second = (struct said){0};
	lease_join(rig.queue, A, RIG_TTL_MS, on_said_free, &first); /* refused */
	lease_join(rig.queue, B, RIG_TTL_MS, on_said, &second);
	rig_until(&rig, &first.done);
	check(second.done);
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
	CHECK_RUN(flushed_scripts_are_loaded_again);
	CHECK_RUN(a_shard_key_of_another_type_is_an_error_not_a_crash);
	CHECK_RUN(a_list_of_another_type_is_put_aside_and_its_key_goes_on);
	CHECK_RUN(entries_that_nobody_could_have_written_reach_the_worker);
	CHECK_RUN(held_and_ready_entries_that_make_no_sense_are_survived);
	CHECK_RUN(a_restarted_server_is_found_again_without_its_epoch);
	CHECK_RUN(a_hung_server_is_given_up_in_time);
	CHECK_RUN(a_cut_connection_fails_what_is_in_flight_and_comes_back);
	CHECK_RUN(a_server_that_is_not_there_is_named);
	CHECK_RUN(a_wrong_password_is_told_without_the_password);
	CHECK_RUN(a_host_is_reached_by_address_and_by_name);
	CHECK_RUN(a_full_server_still_takes_hand_ins_and_renewals);
	CHECK_RUN(the_policy_is_read);
	CHECK_RUN(a_replica_is_left_for_the_new_master);
	CHECK_RUN(freeing_fails_what_is_in_flight_first);
	CHECK_RUN(a_callback_may_free_the_queue);
	server_stop(&server);
	return check_done();
}
