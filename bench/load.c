/* bench/load.c - a small HTTP load generator for the measurements here; loopback only.
 *
 * usage: load get PORT CONNECTIONS SECONDS PATH
 *        load jobs PORT CONNECTIONS JOBS KEY...     async triggers, then reads every result; keys
 *                                                   take turns
 *        load accepts PORT CONNECTIONS JOBS KEY...  async triggers only
 *        load drain PORT CONNECTIONS JOBS KEY...    async triggers until all jobs have ended; prints,
 *                                                   waits for a line, reads every result, prints
 *        load lone PORT JOBS KEY                    one at a time: trigger, then wait for the result
 *        load pace accept|read PORT CONNECTIONS RATE SECONDS EVERY KEY...
 *                                                   triggers at a rate (see load_pace.c); read: and
 *                                                   the result of each
 *
 * All but pace are closed loops, print one line of JSON and end after 60 s at the latest.  Exit code 1
 * when an answer was not what it should be.  The action is `noop` of connection `c`, integration `w`;
 * $LOAD_INPUT is the length of its JSON input (least and default: 8).  With $LOAD_NAMES pace uses so many
 * connections in turn: `c0`, `c1`, ... */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "load.h"

#define RUN_SECONDS_MAX 60

struct load {
	int epoll, port;
	struct connection connection[CONNECTIONS_MAX];
	int connections;
	struct job *jobs;
	int job_count, next_job, done;
	bool reading; /* all are accepted; results are read now */
	char body[BODY_MAX];
	const char *path;
	long long answers;
	double began, accepted, ended;
};

/* The body of every trigger; its input is a JSON object of that many bytes. */
static void
make_body(struct load *load, int input)
{
	char value[INPUT_MAX];

	if (input < 8 || input > INPUT_MAX)
		fail("LOAD_INPUT", "8 to 8192");
	memset(value, 'x', sizeof(value));
	snprintf(load->body, sizeof(load->body),
		 "{\"action_name\":\"noop\",\"input\":{\"a\":\"%.*s\"}}", input - 8, value);
}

/* Gives an idle connection its next request. */
static void
feed(struct load *load, struct connection *connection)
{
	connection->phase = PHASE_IDLE;
	if (load->path != NULL) {
		connection->phase = PHASE_GETTING;
		send_get(connection, load->path, NULL);
		return;
	}
	if (load->next_job == load->job_count)
		return;
	connection->job = load->next_job++;
	connection->phase = load->reading ? PHASE_READING : PHASE_ACCEPTING;
	if (load->reading)
		send_read(connection, &load->jobs[connection->job]);
	else
		send_trigger(connection, load->jobs[connection->job].key, "c", load->body);
}

static void
on_answer(struct load *load, struct connection *connection, int status, const char *body)
{
	switch (connection->phase) {
	case PHASE_GETTING:
		if (status != 200)
			fail("GET", body);
		load->answers++;
		break;
	case PHASE_ACCEPTING:
		if (status != 202)
			fail("trigger", body);
		keep_id(&load->jobs[connection->job], body);
		load->done++;
		break;
	case PHASE_READING:
		if (status == 404) { /* its wait was over */
			send_read(connection, &load->jobs[connection->job]);
			return;
		}
		if (status != 200)
			fail("result", body);
		load->done++;
		break;
	case PHASE_IDLE:
		fail("an answer that nobody asked for", body);
		break;
	}
	feed(load, connection);
}

/* Serves the connections until everything is done, or until the time is. */
static void
serve(struct load *load, double seconds)
{
	struct epoll_event events[64];
	char body[ANSWER_MAX];
	int status;

	for (int i = 0; i < load->connections; i++)
		feed(load, &load->connection[i]);
	while (now() - load->began < seconds &&
	       (load->path != NULL || load->done < load->job_count)) {
		int count = epoll_wait(load->epoll, events, 64, 100);

		for (int i = 0; i < count; i++) {
			struct connection *connection = events[i].data.ptr;

			enum took took;

			while ((took = take_answer(connection, &status, body, sizeof(body),
						   false)) == TOOK_ANSWER)
				on_answer(load, connection, status, body);
			if (took == TOOK_END)
				fail("recv", "the server closed the connection");
		}
	}
	if (load->path == NULL && load->done < load->job_count)
		fail("not done in time", load->reading ? "results" : "triggers");
}

static void
open_connections(struct load *load, int count)
{
	if (count < 1 || count > CONNECTIONS_MAX)
		fail("connections", "1 to 1024");
	load->epoll = epoll_create1(EPOLL_CLOEXEC);
	load->connections = count;
	for (int i = 0; i < count; i++) {
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = &load->connection[i]};

		load->connection[i].fd = dial(load->port);
		if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, load->connection[i].fd, &event) != 0)
			fail("epoll", strerror(errno));
	}
	load->began = now();
}

static void
run_get(struct load *load, int connections, double seconds, const char *path)
{
	load->path = path;
	open_connections(load, connections);
	serve(load, seconds < RUN_SECONDS_MAX ? seconds : RUN_SECONDS_MAX);
	printf("{\"requests\":%lld,\"seconds\":%.3f}\n", load->answers, now() - load->began);
}

static void
make_jobs(struct load *load, int count, char **keys, int key_count)
{
	load->jobs = calloc((size_t)count, sizeof(*load->jobs));
	if (load->jobs == NULL || key_count < 1)
		fail("jobs", "no memory, or no key");
	load->job_count = count;
	for (int i = 0; i < count; i++)
		load->jobs[i].key = keys[i % key_count];
}

static void
run_jobs(struct load *load, int connections)
{
	open_connections(load, connections);
	serve(load, RUN_SECONDS_MAX);
	load->accepted = now();
	load->reading = true;
	load->next_job = load->done = 0;
	serve(load, RUN_SECONDS_MAX);
	load->ended = now();
	printf("{\"jobs\":%d,\"accepted_seconds\":%.3f,\"seconds\":%.3f}\n", load->job_count,
	       load->accepted - load->began, load->ended - load->began);
}

static void
run_accepts(struct load *load, int connections)
{
	open_connections(load, connections);
	serve(load, RUN_SECONDS_MAX);
	printf("{\"jobs\":%d,\"seconds\":%.4f}\n", load->job_count, now() - load->began);
}

/* Live: jobs run while others are accepted.  A key's jobs end in the order they were accepted in, which
 * may differ from ours by as many as there are connections: when the last ones have ended, all have. */
static void
run_drain(struct load *load, int connections, int keys)
{
	int last = load->job_count - keys - connections;
	double paused;

	open_connections(load, connections);
	serve(load, RUN_SECONDS_MAX);
	load->accepted = now();
	load->reading = true;
	load->next_job = load->done = last > 0 ? last : 0;
	serve(load, RUN_SECONDS_MAX);
	printf("{\"jobs\":%d,\"accepted_seconds\":%.4f,\"seconds\":%.4f}\n", load->job_count,
	       load->accepted - load->began, now() - load->began);
	fflush(stdout);
	if (getchar() != '\n')
		fail("stdin", "a line was expected");
	paused = now();
	load->next_job = load->done = 0;
	serve(load, RUN_SECONDS_MAX);
	printf("{\"read_seconds\":%.4f}\n", now() - paused);
	fflush(stdout);
	getchar();
}

static void
must_take(struct connection *connection, int *status, char *body)
{
	if (take_answer(connection, status, body, ANSWER_MAX, true) != TOOK_ANSWER)
		fail("recv", strerror(errno));
}

static void
run_lone(struct load *load)
{
	struct connection *connection = &load->connection[0];
	double *took = calloc((size_t)load->job_count, sizeof(*took));
	char body[ANSWER_MAX];
	int status;

	if (took == NULL)
		fail("jobs", "no memory");
	open_connections(load, 1);
	for (int i = 0; i < load->job_count; i++) {
		double at = now();

		send_trigger(connection, load->jobs[i].key, "c", load->body);
		must_take(connection, &status, body);
		if (status != 202)
			fail("trigger", body);
		keep_id(&load->jobs[i], body);
		do {
			send_read(connection, &load->jobs[i]);
			must_take(connection, &status, body);
		} while (status == 404);
		if (status != 200)
			fail("result", body);
		took[i] = now() - at;
	}
	printf("{\"jobs\":%d,\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n", load->job_count,
	       percentile(took, (size_t)load->job_count, 0.5) * 1e3,
	       percentile(took, (size_t)load->job_count, 0.99) * 1e3);
	free(took);
}

static int
number(const char *text)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*text == '\0' || *end != '\0' || value < 1 || value > 10000000)
		fail("not a number", text);
	return (int)value;
}

int
main(int argc, char **argv)
{
	static struct load load;
	const char *input = getenv("LOAD_INPUT"), *names = getenv("LOAD_NAMES");

	make_body(&load, input != NULL ? number(input) : 8);
	if (argc == 6 && strcmp(argv[1], "get") == 0) {
		load.port = number(argv[2]);
		run_get(&load, number(argv[3]), number(argv[4]), argv[5]);
	} else if (argc >= 6 && strcmp(argv[1], "jobs") == 0) {
		load.port = number(argv[2]);
		make_jobs(&load, number(argv[4]), argv + 5, argc - 5);
		run_jobs(&load, number(argv[3]));
	} else if (argc >= 6 && strcmp(argv[1], "accepts") == 0) {
		load.port = number(argv[2]);
		make_jobs(&load, number(argv[4]), argv + 5, argc - 5);
		run_accepts(&load, number(argv[3]));
	} else if (argc >= 6 && strcmp(argv[1], "drain") == 0) {
		load.port = number(argv[2]);
		make_jobs(&load, number(argv[4]), argv + 5, argc - 5);
		run_drain(&load, number(argv[3]), argc - 5);
	} else if (argc >= 9 && strcmp(argv[1], "pace") == 0) {
		struct pace pace = {.reads = strcmp(argv[2], "read") == 0,
				    .port = number(argv[3]),
				    .connections = number(argv[4]),
				    .rate = number(argv[5]),
				    .seconds = number(argv[6]),
				    .every = number(argv[7]),
				    .body = load.body,
				    .keys = argv + 8,
				    .key_count = argc - 8,
				    .names = names != NULL ? number(names) : 0};

		if (pace.connections > CONNECTIONS_MAX)
			fail("connections", "1 to 1024");
		run_pace(&pace);
	} else if (argc == 5 && strcmp(argv[1], "lone") == 0) {
		load.port = number(argv[2]);
		make_jobs(&load, number(argv[3]), argv + 4, 1);
		run_lone(&load);
	} else {
		fprintf(
		    stderr,
		    "usage: load get PORT CONNECTIONS SECONDS PATH | load jobs|drain PORT CONNECTIONS JOBS KEY... | "
		    "load accepts|lone|pace, see load.c\n");
		return 64;
	}
	free(load.jobs);
	return 0;
}
