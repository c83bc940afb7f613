/* bench/load_pace.c - requests at a given rate.
 *
 * A request that found no free connection at its time is sent when there is one; its latency counts
 * from when it was due, so that a slow server does not choose what is measured.  One that is late by
 * over a second is not sent any more, and is counted. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "load.h"

#define LATE_SECONDS 1.0
#define REST_SECONDS 60.0 /* for what is still open at the end */

struct samples {
	double *ms;
	size_t len, size;
};

struct counts {
	long long sent, accepted, ended, too_many, unavailable, retry_after, other, unsent, dropped;
};

struct pacer {
	const struct pace *pace;
	int epoll;
	struct connection *connection;
	struct job *job;  /* of each connection */
	double *due;      /* of each connection's request */
	int *idle, idles; /* indexes */
	long long next;   /* number of the next request */
	double began, reported;
	struct counts counts;
	struct samples accept, refuse, end;
};

static void
add_sample(struct samples *samples, double ms)
{
	if (samples->len == samples->size) {
		samples->size = samples->size > 0 ? 2 * samples->size : 4096;
		samples->ms = realloc(samples->ms, samples->size * sizeof(*samples->ms));
		if (samples->ms == NULL)
			fail("samples", "no memory");
	}
	samples->ms[samples->len++] = ms;
}

static void
print_samples(const char *name, struct samples *samples)
{
	double p50 = percentile(samples->ms, samples->len, 0.5);

	printf(",\"%s\":[%.2f,%.2f,%.2f]", name, p50, percentile(samples->ms, samples->len, 0.99),
	       percentile(samples->ms, samples->len, 1));
	samples->len = 0;
}

static void
report(struct pacer *pacer, double at)
{
	const struct counts *c = &pacer->counts;

	printf("{\"at\":%.2f,\"seconds\":%.3f,\"sent\":%lld,\"accepted\":%lld,\"ended\":%lld,"
	       "\"too_many\":%lld,\"unavailable\":%lld,\"retry_after\":%lld,\"other\":%lld,"
	       "\"unsent\":%lld,\"dropped\":%lld",
	       at - pacer->began, at - pacer->reported, c->sent, c->accepted, c->ended, c->too_many,
	       c->unavailable, c->retry_after, c->other, c->unsent, c->dropped);
	print_samples("accept_ms", &pacer->accept);
	print_samples("refuse_ms", &pacer->refuse);
	print_samples("end_ms", &pacer->end);
	printf("}\n");
	fflush(stdout);
	pacer->counts = (struct counts){0};
	pacer->reported = at;
}

static void
open_one(struct pacer *pacer, int n)
{
	struct connection *connection = &pacer->connection[n];
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = (unsigned)n};

	connection->fd = dial(pacer->pace->port);
	connection->len = 0;
	connection->phase = PHASE_IDLE;
	if (epoll_ctl(pacer->epoll, EPOLL_CTL_ADD, connection->fd, &event) != 0)
		fail("epoll", "a connection cannot be added");
}

static void
become_idle(struct pacer *pacer, int n)
{
	pacer->connection[n].phase = PHASE_IDLE;
	pacer->idle[pacer->idles++] = n;
}

static void
on_answer(struct pacer *pacer, int n, int status, const char *body)
{
	struct connection *connection = &pacer->connection[n];
	double ms = (now() - pacer->due[n]) * 1e3;

	if (connection->phase == PHASE_READING && status == 404) { /* its wait was over */
		send_read(connection, &pacer->job[n]);
		return;
	}
	if (connection->phase == PHASE_READING && status == 200) {
		pacer->counts.ended++;
		add_sample(&pacer->end, ms);
	} else if (connection->phase == PHASE_ACCEPTING && status == 202) {
		pacer->counts.accepted++;
		add_sample(&pacer->accept, ms);
		if (pacer->pace->reads) {
			keep_id(&pacer->job[n], body);
			connection->phase = PHASE_READING;
			send_read(connection, &pacer->job[n]);
			return;
		}
	} else if (status == 429 || status == 503) {
		pacer->counts.too_many += status == 429 ? 1 : 0;
		pacer->counts.unavailable += status == 503 ? 1 : 0;
		pacer->counts.retry_after += connection->retry_after ? 1 : 0;
		add_sample(&pacer->refuse, ms);
	} else if (pacer->counts.other++ == 0) {
		fprintf(stderr, "load: %d: %.300s\n", status, body);
	}
	become_idle(pacer, n);
}

static void
on_ready(struct pacer *pacer, int n)
{
	struct connection *connection = &pacer->connection[n];
	static char body[ANSWER_MAX];
	enum took took;
	int status;

	while ((took = take_answer(connection, &status, body, sizeof(body), false)) == TOOK_ANSWER)
		on_answer(pacer, n, status, body);
	if (took != TOOK_END)
		return;
	close(connection->fd);
	if (connection->phase != PHASE_IDLE) {
		pacer->counts.dropped++;
		become_idle(pacer, n);
	}
	open_one(pacer, n);
}

static void
send_due(struct pacer *pacer, double at)
{
	const struct pace *pace = pacer->pace;
	long long due = (long long)((at - pacer->began) * pace->rate) + 1;
	long long late = due - (long long)(LATE_SECONDS * pace->rate);

	if (pacer->next < late) {
		pacer->counts.unsent += late - pacer->next;
		pacer->next = late;
	}
	while (pacer->next < due && pacer->idles > 0) {
		int n = pacer->idle[--pacer->idles];
		char name[16] = "c";

		pacer->due[n] = pacer->began + (double)pacer->next / pace->rate;
		pacer->job[n].key = pace->keys[pacer->next % pace->key_count];
		if (pace->names > 0)
			snprintf(name, sizeof(name), "c%lld",
				 pacer->next / pace->key_count % pace->names);
		pacer->next++;
		pacer->connection[n].phase = PHASE_ACCEPTING;
		pacer->counts.sent++;
		send_trigger(&pacer->connection[n], pacer->job[n].key, name, pace->body);
	}
}

static void
turn(struct pacer *pacer)
{
	struct epoll_event events[64];
	int count = epoll_wait(pacer->epoll, events, 64, 1);

	for (int i = 0; i < count; i++)
		on_ready(pacer, (int)events[i].data.u32);
}

void
run_pace(const struct pace *pace)
{
	size_t count = (size_t)pace->connections;
	struct pacer pacer = {.pace = pace, .epoll = epoll_create1(EPOLL_CLOEXEC)};
	double at, end;

	pacer.connection = calloc(count, sizeof(*pacer.connection));
	pacer.job = calloc(count, sizeof(*pacer.job));
	pacer.due = calloc(count, sizeof(*pacer.due));
	pacer.idle = calloc(count, sizeof(*pacer.idle));
	if (pacer.connection == NULL || pacer.job == NULL || pacer.due == NULL ||
	    pacer.idle == NULL)
		fail("connections", "no memory");
	for (int n = 0; n < pace->connections; n++) {
		open_one(&pacer, n);
		become_idle(&pacer, n);
	}
	pacer.began = pacer.reported = now();
	end = pacer.began + pace->seconds;
	while ((at = now()) < end) {
		if (at - pacer.reported >= pace->every)
			report(&pacer, at);
		send_due(&pacer, at);
		turn(&pacer);
	}
	while (pacer.idles < pace->connections && now() < end + REST_SECONDS)
		turn(&pacer);
	pacer.counts.dropped += pace->connections - pacer.idles;
	report(&pacer, now());
}
