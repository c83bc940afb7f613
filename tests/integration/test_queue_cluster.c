/* queue/ on two nodes of a Redis Cluster that the test starts: whose slot it is, changes.
 * 77: no server, as in the other tests of queue/. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "tests/integration/queue_rig.h"

#define SLOT "12958" /* of {s00} */

static struct rig rig, other;
static struct taken taken;
static struct node {
	struct server server;
	int port, bus;
	char id[64];
	redisContext *raw;
} nodes[2];

/* Two sockets at once, so that the ports differ. */
static void
free_ports(int *out, int count)
{
	int fds[4];

	check_int(count, <=, 4);
	for (int i = 0; i < count; i++) {
		struct sockaddr_in address = {.sin_family = AF_INET,
					      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		socklen_t len = sizeof(address);

		fds[i] = socket(AF_INET, SOCK_STREAM, 0);
		check_int(bind(fds[i], (struct sockaddr *)&address, len), ==, 0);
		check_int(getsockname(fds[i], (struct sockaddr *)&address, &len), ==, 0);
		out[i] = ntohs(address.sin_port);
	}
	for (int i = 0; i < count; i++)
		close(fds[i]);
}

/* A command to one node; its integer, or 0 for OK. */
static long long
node_do(struct node *node, const char *format, ...)
{
	va_list args;
	redisReply *reply;
	long long value;

	va_start(args, format);
	reply = redisvCommand(node->raw, format, args);
	va_end(args);
	check(reply != NULL);
	if (reply->type == REDIS_REPLY_ERROR)
		printf("# %s: %s\n", format, reply->str);
	check(reply->type != REDIS_REPLY_ERROR);
	value = reply->integer;
	freeReplyObject(reply);
	return value;
}

static bool
node_start(struct node *node)
{
	char port[16], bus[16];
	const char *const args[] = {
	    "--port",         port, "--bind", "127.0.0.1", "--cluster-enabled", "yes",
	    "--cluster-port", bus,  NULL};
	redisReply *reply;
	int ports[2];

	free_ports(ports, 2);
	node->port = ports[0];
	node->bus = ports[1];
	snprintf(port, sizeof(port), "%d", node->port);
	snprintf(bus, sizeof(bus), "%d", node->bus);
	if (!server_start(&node->server, args))
		return false;
	node->raw = redisConnectUnix(node->server.url + strlen("unix://"));
	check(node->raw != NULL && node->raw->err == 0);
	reply = redisCommand(node->raw, "CLUSTER MYID");
	check(reply != NULL && reply->type == REDIS_REPLY_STRING && reply->len < sizeof(node->id));
	snprintf(node->id, sizeof(node->id), "%s", reply->str);
	freeReplyObject(reply);
	return true;
}

/* Node 0 has all slots, and both know it. */
static bool
cluster_start(void)
{
	static const char *const seen = "cluster_slots_ok:16384";

	if (!node_start(&nodes[0]) || !node_start(&nodes[1])) {
		printf("# no redis-server to start: not tested\n");
		return false;
	}
	node_do(&nodes[0], "CLUSTER ADDSLOTSRANGE 0 16383");
	node_do(&nodes[1], "CLUSTER MEET 127.0.0.1 %d %d", nodes[0].port, nodes[0].bus);
	for (int i = 0; i < 2; i++) {
		bool ready = false;

		for (int tries = 0; tries < 1000 && !ready; tries++) {
			redisReply *reply = redisCommand(nodes[i].raw, "CLUSTER INFO");

			ready = reply != NULL && reply->type == REDIS_REPLY_STRING &&
				strstr(reply->str, seen) != NULL &&
				strstr(reply->str, "cluster_known_nodes:2") != NULL &&
				strstr(reply->str, "cluster_state:ok") != NULL;
			if (reply != NULL)
				freeReplyObject(reply);
			if (!ready)
				rig_sleep(10);
		}
		check(ready);
	}
	return true;
}

static void
cluster_stop(void)
{
	char path[96];

	for (int i = 0; i < 2; i++) {
		if (nodes[i].raw != NULL)
			redisFree(nodes[i].raw);
		server_kill(&nodes[i].server); /* else it may write its view again */
		snprintf(path, sizeof(path), "%.60s/nodes.conf", nodes[i].server.dir);
		unlink(path);
		server_stop(&nodes[i].server);
		nodes[i] = (struct node){0};
	}
}

static void
open_queue(struct rig *out, const struct node *seed)
{
	char url[64];

	snprintf(url, sizeof(url), "redis://127.0.0.1:%d?cluster=yes", seed->port);
	rig_open_queue(out, url, 0, 5000);
	rig_until_up(out, true);
}

static void
a_moved_slot_is_followed_by_both_connections(void)
{
	struct said waited = {0};

	open_queue(&rig, &nodes[1]);
	check_int(rig_rebuild(&rig), ==, SL_OK);
	check_int(node_do(&nodes[0], "EXISTS sluice:{s00}:epoch"), ==, 1);
	lease_wait(rig.queue, 20000, true, on_said, &waited);
	loop_turn(rig.loop, 20);
	node_do(&nodes[0], "FLUSHALL");
	node_do(&nodes[1], "CLUSTER SETSLOT " SLOT " NODE %s", nodes[1].id);
	node_do(&nodes[0], "CLUSTER SETSLOT " SLOT " NODE %s", nodes[1].id);
	rig_until(&rig, &waited.done); /* not after 20 s: the server says MOVED */
	check_int(waited.code, ==, SL_UNAVAILABLE);
	(void)push_run(&rig, READY_NEW, 1, 1, 1);
	rig_until_up(&rig, false);
	rig_until_up(&rig, true);
	check_int(rig_rebuild(&rig), ==, SL_OK);
	check_int(push_run(&rig, READY_NEW, 1, 1, 1).code, ==, SL_OK);
	check_int(node_do(&nodes[1], "LLEN sluice:{s00}:q:1"), ==, 1);
	rig_close(&rig);
	node_do(&nodes[1], "FLUSHALL");
	node_do(&nodes[0], "CLUSTER SETSLOT " SLOT " NODE %s", nodes[0].id);
	node_do(&nodes[1], "CLUSTER SETSLOT " SLOT " NODE %s", nodes[0].id);
}

/* The queue's keys are partly on the other node; a script meets that.  Ends with all at home. */
static void
meet_a_moving_slot(struct rig *from)
{
	struct said said;

	node_do(&nodes[0], "CLUSTER SETSLOT " SLOT " MIGRATING %s", nodes[1].id);
	said = push_run(from, READY_NEW, 2, 5, 5);
	check_int(said.code, ==, SL_UNAVAILABLE);
	check(strstr(said.text, "TRYAGAIN") != NULL);
	check(!queue_is_up(from->queue));
	node_do(&nodes[0], "CLUSTER SETSLOT " SLOT " STABLE");
}

static void
queues_whose_slot_moved_under_a_script_are_retired(void)
{
	open_queue(&rig, &nodes[0]);
	check_int(rig_rebuild(&rig), ==, SL_OK);
	check_int(push_run(&rig, READY_NEW, 1, 1, 1).code, ==, SL_OK);
	meet_a_moving_slot(&rig);
	rig_until_up(&rig, true);
	check_text(queue_epoch(rig.queue), "");
	check_int(node_do(&nodes[0], "EXISTS sluice:{s00}:epoch"), ==, 0);
	check_int(push_run(&rig, READY_NEW, 1, 1, 1).code, ==, SL_CONFLICT);
	check_int(rig_rebuild(&rig), ==, SL_OK);
	check_int(push_run(&rig, READY_NEW, 1, 1, 1).code, ==, SL_OK);
	rig_close(&rig);
}

static void
queues_that_another_process_has_rebuilt_meanwhile_are_left_alone(void)
{
	char epoch[64];

	open_queue(&rig, &nodes[0]);
	check_int(rig_rebuild(&rig), ==, SL_OK);
	open_queue(&other, &nodes[1]);
	meet_a_moving_slot(&rig);
	meet_a_moving_slot(&other);
	rig_until_up(&rig, true);
	check_int(rig_rebuild(&rig), ==, SL_OK);
	snprintf(epoch, sizeof(epoch), "%s", queue_epoch(rig.queue));
	rig_until_up(&other, true);
	check_text(queue_epoch(other.queue), epoch);
	check_int(push_run(&rig, READY_NEW, 1, 1, 1).code, ==, SL_OK);
	check_int(push_run(&other, READY_NEW, 1, 2, 2).code, ==, SL_OK);
	rig_close(&other);
	rig_close(&rig);
}

/* The key that the old lease holds is free again, whatever this Redis believes. */
static void
a_lease_of_an_earlier_connection_ends_with_the_next(void)
{
	open_queue(&rig, &nodes[0]);
	check_int(rig_rebuild(&rig), ==, SL_OK);
	check_int(join(&rig, "1.aaaa", RIG_TTL_MS).code, ==, SL_OK);
	check_int(push_run(&rig, READY_NEW, 1, 1, 1).code, ==, SL_OK);
	exchange(&rig, "1.aaaa", 1, 8, NULL, 0, &taken);
	check_int(taken.count, ==, 1);
	node_do(&nodes[0], "CLIENT KILL TYPE normal SKIPME yes");
	rig_until_up(&rig, false);
	rig_until_up(&rig, true);
	exchange(&rig, "1.aaaa", 1, 8, NULL, 0, &taken);
	check_int(taken.code, ==, SL_CONFLICT);
	check_text(taken.text, "lease");
	check_int(join(&rig, "1.bbbb", RIG_TTL_MS).code, ==, SL_OK);
	exchange(&rig, "1.bbbb", 1, 8, NULL, 0, &taken);
	check_int(taken.count, ==, 1);
	check_int(taken.turns[0].key, ==, 1);
	taken_fini(&taken);
	rig_close(&rig);
}

static void
a_server_without_cluster_is_told(void)
{
	char port[16], url[64];
	const char *const extra[] = {"--port", port, "--bind", "127.0.0.1", NULL};
	struct server server = {0};
	int64_t end_ms = clock_mono_ms() + RIG_WAIT_MS;
	int free_port;

	free_ports(&free_port, 1);
	snprintf(port, sizeof(port), "%d", free_port);
	check(server_start(&server, extra));
	snprintf(url, sizeof(url), "redis://127.0.0.1:%s?cluster=yes", port);
	rig_open_queue(&rig, url, 0, 1000);
	while (queue_last_error(rig.queue)[0] == '\0' && clock_mono_ms() < end_ms)
		loop_turn(rig.loop, 20);
	check(strstr(queue_last_error(rig.queue), "no node of a cluster") != NULL);
	check(!queue_is_up(rig.queue));
	rig_close(&rig);
	server_stop(&server);
}

int
main(void)
{
	if (!cluster_start())
		return 77;
	CHECK_RUN(a_moved_slot_is_followed_by_both_connections);
	CHECK_RUN(queues_whose_slot_moved_under_a_script_are_retired);
	CHECK_RUN(queues_that_another_process_has_rebuilt_meanwhile_are_left_alone);
	CHECK_RUN(a_lease_of_an_earlier_connection_ends_with_the_next);
	CHECK_RUN(a_server_without_cluster_is_told);
	cluster_stop();
	return check_done();
}
