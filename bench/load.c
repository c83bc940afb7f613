/* bench/load.c - a small closed-loop HTTP load generator for bench/run and bench/queue; loopback only.
 *
 * usage: load get PORT CONNECTIONS SECONDS PATH
 *        load jobs PORT CONNECTIONS JOBS KEY...     async triggers, then reads every result; keys
 *                                                   take turns
 *        load accepts PORT CONNECTIONS JOBS KEY...  async triggers only
 *        load drain PORT CONNECTIONS JOBS KEY...    async triggers until all jobs have ended; prints,
 *                                                   waits for a line, reads every result, prints
 *        load lone PORT JOBS KEY                    one at a time: trigger, then wait for the result
 *
 * Prints one line of JSON.  Exit code 1 when an answer was not what it should be; every run ends after
 * 60 s at the latest.  The action is `noop` of connection `c`, integration `w`; $LOAD_INPUT is the
 * length of its JSON input (least and default: 8). */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	CONNECTIONS_MAX = 512,
	ANSWER_MAX = 16384,
	ID_TEXT = 37,
	RUN_SECONDS_MAX = 60,
	INPUT_MAX = 8192
};

/* IDLE -> ACCEPTING (a trigger is on the wire) -> IDLE ..., then READING -> IDLE; GETTING loops. */
enum phase { PHASE_IDLE, PHASE_GETTING, PHASE_ACCEPTING, PHASE_READING };

struct job {
	char id[ID_TEXT];
	const char *key;
};

struct connection {
	int fd;
	enum phase phase;
	int job; /* index of the job in work */
	char answer[ANSWER_MAX];
	size_t len;
};

struct load {
	int epoll, port;
	struct connection connection[CONNECTIONS_MAX];
	int connections;
	struct job *jobs;
	int job_count, next_job, done;
	bool reading; /* all are accepted; results are read now */
	char body[INPUT_MAX + 64];
	const char *path;
	long long answers;
	double began, accepted, ended;
};

static double
now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void
fail(const char *what, const char *detail)
{
	fprintf(stderr, "load: %s: %s\n", what, detail);
	exit(1);
}

static int
dial(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		fail("connect", strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static void
send_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);

		if (sent <= 0)
			fail("send", strerror(errno));
		text += sent;
		len -= (size_t)sent;
	}
}

static void
send_get(struct connection *connection, const char *path, const char *key)
{
	char text[512];
	int len = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: localhost\r\n%s%s%s\r\n",
			   path, key != NULL ? "Authorization: Bearer " : "",
			   key != NULL ? key : "", key != NULL ? "\r\n" : "");

	send_all(connection->fd, text, (size_t)len);
}

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

static void
send_trigger(struct load *load, struct connection *connection, const char *key)
{
	char text[INPUT_MAX + 700];
	int len = snprintf(
	    text, sizeof(text),
	    "POST /action/trigger HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"
	    "Provider-Config-Key: w\r\nConnection-Id: c\r\nX-Async: true\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
	    key, strlen(load->body), load->body);

	send_all(connection->fd, text, (size_t)len);
}

static void
send_read(struct connection *connection, const struct job *job)
{
	char path[80];

	snprintf(path, sizeof(path), "/action/%s?wait=30", job->id);
	send_get(connection, path, job->key);
}

/* Length of the first whole answer in the buffer, or 0; *status and *body are set when there is
 * one. */
static size_t
whole_answer(struct connection *connection, int *status, const char **body)
{
	const char *end, *length;
	size_t total;

	connection->answer[connection->len] = '\0';
	end = strstr(connection->answer, "\r\n\r\n");
	if (end == NULL)
		return 0;
	*status = (int)strtol(connection->answer + strlen("HTTP/1.1 "), NULL, 10);
	length = strcasestr(connection->answer, "\r\nContent-Length:");
	total = (size_t)(end + 4 - connection->answer);
	if (length != NULL && length < end)
		total += strtoul(length + strlen("\r\nContent-Length:"), NULL, 10);
	if (total >= ANSWER_MAX)
		fail("an answer is too long", connection->answer);
	*body = end + 4;
	return connection->len >= total ? total : 0;
}

/* True when another whole answer was there; otherwise more bytes are read, blocking when wait is
 * set. */
static bool
take_answer(struct connection *connection, int *status, char *body, size_t size, bool wait)
{
	for (;;) {
		const char *at;
		size_t total = whole_answer(connection, status, &at);
		ssize_t got;

		if (total > 0) {
			snprintf(body, size, "%.*s", (int)(connection->answer + total - at), at);
			memmove(connection->answer, connection->answer + total,
				connection->len - total);
			connection->len -= total;
			return true;
		}
		got = recv(connection->fd, connection->answer + connection->len,
			   ANSWER_MAX - 1 - connection->len, wait ? 0 : MSG_DONTWAIT);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return false;
		if (got <= 0)
			fail("recv",
			     got == 0 ? "the server closed the connection" : strerror(errno));
		connection->len += (size_t)got;
	}
}

static void
keep_id(struct job *job, const char *body)
{
	const char *at = strstr(body, "\"id\":\"");

	if (at == NULL || strlen(at) < 6 + ID_TEXT)
		fail("no id in the answer", body);
	memcpy(job->id, at + 6, ID_TEXT - 1);
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
		send_trigger(load, connection, load->jobs[connection->job].key);
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

			while (take_answer(connection, &status, body, sizeof(body), false))
				on_answer(load, connection, status, body);
		}
	}
	if (load->path == NULL && load->done < load->job_count)
		fail("not done in time", load->reading ? "results" : "triggers");
}

static void
open_connections(struct load *load, int count)
{
	if (count < 1 || count > CONNECTIONS_MAX)
		fail("connections", "1 to 512");
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

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
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

		send_trigger(load, connection, load->jobs[i].key);
		take_answer(connection, &status, body, sizeof(body), true);
		if (status != 202)
			fail("trigger", body);
		keep_id(&load->jobs[i], body);
		do {
			send_read(connection, &load->jobs[i]);
			take_answer(connection, &status, body, sizeof(body), true);
		} while (status == 404);
		if (status != 200)
			fail("result", body);
		took[i] = now() - at;
	}
	qsort(took, (size_t)load->job_count, sizeof(*took), by_size);
	printf("{\"jobs\":%d,\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n", load->job_count,
	       took[load->job_count / 2] * 1e3, took[load->job_count * 99 / 100] * 1e3);
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
	const char *input = getenv("LOAD_INPUT");

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
	} else if (argc == 5 && strcmp(argv[1], "lone") == 0) {
		load.port = number(argv[2]);
		make_jobs(&load, number(argv[3]), argv + 4, 1);
		run_lone(&load);
	} else {
		fprintf(
		    stderr,
		    "usage: load get PORT CONNECTIONS SECONDS PATH | load jobs|accepts|drain PORT CONNECTIONS JOBS KEY... | "
		    "load lone PORT JOBS KEY\n");
		return 64;
	}
	free(load.jobs);
	return 0;
}
