#include "cli/bench.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/loop.h"
#include "base/secret.h"
#include "cli/print.h"

enum {
	TURN_MS = 10,
	PAUSE_FIRST_MS = 10,
	PAUSE_MOST_MS = 500,
	HELD_MOST_MS = 5000, /* of a Retry-After */
	SHOW_MS = 200,
	LOOK_US = 1000000,
};

static void
add_sample(struct bench_samples *samples, int64_t us)
{
	samples->us[samples->count++] = us < 0 ? 0 : us;
}

/* ---- asking for jobs -------------------------------------------------------------------------- */

static bool
is_end(const char *state)
{
	static const char *const ends[] = {"succeeded", "failed", "expired", "cancelled", "dead"};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (strcmp(state, ends[i]) == 0)
			return true;
	return false;
}

static void
job_ended(struct bench_job *job, struct json_value shown, bool good)
{
	struct bench *bench = job->bench;
	int64_t from_ms, to_ms;

	job->ended = true;
	bench->ended++;
	bench->succeeded += good;
	bench->failed += !good;
	bench->ended_us = clock_mono_us();
	if (!print_time(json_get(shown, "accepted_at"), &from_ms) ||
	    !print_time(json_path(shown, "result.at"), &to_ms)) {
		add_sample(&bench->result, bench->ended_us - job->sent_us);
		return;
	}
	add_sample(&bench->result, (to_ms - from_ms) * 1000);
	if (bench->first_ms == 0 || from_ms < bench->first_ms)
		bench->first_ms = from_ms;
	if (to_ms > bench->last_ms)
		bench->last_ms = to_ms;
}

static void
on_shown(void *arg, const struct http_answer *raw)
{
	struct bench_job *job = arg;
	struct answer answer;
	char *state;

	job->asking = false;
	job->bench->asking--;
	answer_take(&answer, raw);
	state = json_text(json_path(answer.json, "job.state"), NULL);
	if (answer_is_good(&answer) && state != NULL && is_end(state))
		job_ended(job, json_get(answer.json, "job"), strcmp(state, "succeeded") == 0);
	job->next_ask_ms = clock_mono_ms() + job->pause_ms;
	job->pause_ms = job->pause_ms * 2 < PAUSE_MOST_MS ? job->pause_ms * 2 : PAUSE_MOST_MS;
	free(state);
	answer_fini(&answer);
}

/* The oldest ones that have not ended: lines are first in, first out. */
static void
ask(struct bench *bench)
{
	int64_t now_ms = clock_mono_ms();
	int most = bench->accepted < bench->jobs ? (bench->clients + 3) / 4 : bench->clients;

	while (bench->front < bench->accepted && bench->job[bench->front].ended)
		bench->front++;
	for (int i = bench->front, seen = 0; i < bench->accepted && seen < most; i++) {
		struct bench_job *job = &bench->job[i];
		char path[80];

		if (job->ended)
			continue;
		seen++;
		if (job->asking || job->next_ask_ms > now_ms)
			continue;
		job->asking = true;
		bench->asking++;
		snprintf(path, sizeof(path), "/admin/v1/jobs/%s", job->id);
		client_send(bench->cli, "GET", path, NULL, true, on_shown, job);
	}
}

/* ---- sending ---------------------------------------------------------------------------------- */

struct sent { /* one request; freed by its callback */
	struct bench *bench;
	int64_t sent_us;
};

static void
take_accepted(struct bench *bench, struct answer *answer, int64_t sent_us)
{
	struct bench_job *job = &bench->job[bench->accepted];
	char *id = json_text(json_get(answer->json, "id"), NULL);

	if (id == NULL || !uuid_parse(slice_text(id), job->id)) {
		bench->gave_up = true;
	} else {
		*job = (struct bench_job){.bench = bench,
					  .sent_us = sent_us,
					  .next_ask_ms = clock_mono_ms() + PAUSE_FIRST_MS,
					  .pause_ms = PAUSE_FIRST_MS};
		uuid_parse(slice_text(id), job->id);
		bench->accepted++;
		bench->accepted_us = clock_mono_us();
		add_sample(&bench->accept, bench->accepted_us - sent_us);
	}
	free(id);
}

static void
take_result(struct bench *bench, bool good, int64_t sent_us)
{
	bench->accepted++;
	bench->ended++;
	bench->succeeded += good;
	bench->failed += !good;
	bench->accepted_us = bench->ended_us = clock_mono_us();
	add_sample(&bench->result, bench->ended_us - sent_us);
}

static void
keep_why(struct bench *bench, struct answer *answer)
{
	if (bench->why.text == NULL)
		bench->why = *answer;
	else
		answer_fini(answer);
}

/* An operator said so, and only an operator takes it back: waiting does not help. */
static bool
is_draining(const struct answer *answer)
{
	return slice_is(json_path(answer->json, "error.code").raw, "\"queue_draining\"");
}

static void
on_sent(void *arg, const struct http_answer *raw)
{
	struct sent *sent = arg;
	struct bench *bench = sent->bench;
	struct answer answer;

	bench->sending--;
	answer_take(&answer, raw);
	if (answer_is_good(&answer) && bench->sync) {
		take_result(bench, true, sent->sent_us);
	} else if (answer_is_good(&answer)) {
		take_accepted(bench, &answer, sent->sent_us);
	} else if ((answer.status == 429 || answer.status == 503) && !is_draining(&answer)) {
		int64_t wait_ms = answer.retry_after_s > 0 ? answer.retry_after_s * 1000LL : 1000;

		bench->held++;
		bench->held_until_ms =
		    clock_mono_ms() + (wait_ms < HELD_MOST_MS ? wait_ms : HELD_MOST_MS);
	} else if (bench->sync && answer.failure == HTTP_ANSWERED && answer.status >= 500) {
		take_result(bench, false, sent->sent_us); /* the function's own failure */
		keep_why(bench, &answer);
	} else {
		bench->gave_up = bench->gave_up || !bench->interrupted;
		keep_why(bench, &answer);
	}
	if (answer.text != NULL && answer.text != bench->why.text)
		answer_fini(&answer);
	free(sent);
}

static void
send_more(struct bench *bench)
{
	while (!bench->gave_up && bench->sending < bench->clients &&
	       bench->accepted + bench->sending < bench->jobs &&
	       clock_mono_ms() >= bench->held_until_ms) {
		struct sent *sent = sl_alloc(sizeof(*sent));

		sent->bench = bench;
		sent->sent_us = clock_mono_us();
		bench->sending++;
		client_send(bench->cli, "POST", "/admin/v1/jobs", &bench->body, true, on_sent,
			    sent);
	}
}

/* ---- in the middle of it ---------------------------------------------------------------------- */

static void
look_at_line(struct bench *bench, struct json_value lines)
{
	struct json_iter it;

	json_iter_init(&it, lines);
	if (json_iter_next(&it)) { /* the deepest one comes first */
		bench->paused = bench->paused || json_is_yes(json_get(it.value, "paused"));
		if (!json_int(json_get(it.value, "limit"), &bench->line_limit))
			bench->line_limit = -1;
		if (!json_int(json_get(it.value, "running"), &bench->line_running))
			bench->line_running = -1;
	}
	json_iter_fini(&it);
}

static void
look_at_workers(struct bench *bench, struct json_value workers)
{
	struct json_iter it;

	bench->runners = bench->running = 0;
	json_iter_init(&it, workers);
	while (json_iter_next(&it)) {
		int64_t runners, running;

		if (slice_is(json_get(it.value, "state").raw, "\"live\"") &&
		    json_int(json_get(it.value, "runners"), &runners) &&
		    json_int(json_get(it.value, "running"), &running)) {
			bench->runners += runners;
			bench->running += running;
		}
	}
	json_iter_fini(&it);
}

/* What is full while it runs: looked at once, when half of it is accepted or it runs for a while. */
static void
look(struct bench *bench)
{
	struct answer answer;
	struct buf path;

	buf_init(&path, 4096);
	buf_add_text(&path, "/admin/v1/queues");
	path_query(&path, "environment", bench->environment);
	client_ask(bench->cli, "GET", path.data, NULL, &answer);
	bench->paused = json_is_yes(json_path(answer.json, "queues.0.paused"));
	look_at_line(bench, json_path(answer.json, "queues.0.lines"));
	answer_fini(&answer);
	client_ask(bench->cli, "GET", "/admin/v1/workers", NULL, &answer);
	if (answer_is_good(&answer))
		look_at_workers(bench, json_get(answer.json, "workers"));
	answer_fini(&answer);
	buf_fini(&path);
}

static void
show_progress(const struct bench *bench, bool last)
{
	if (isatty(STDERR_FILENO) != 1 || bench->cli->json)
		return;
	if (last)
		fputs("\r\033[K", stderr);
	else
		fprintf(stderr, "\r\033[K%d of %d accepted, %d ended", bench->accepted, bench->jobs,
			bench->ended);
	fflush(stderr);
}

static void
on_interrupt(void *arg, int signo)
{
	struct bench *bench = arg;

	(void)signo;
	bench->interrupted = true;
}

static bool
is_over(const struct bench *bench, int64_t until_ms)
{
	return bench->ended == bench->jobs || bench->gave_up || bench->interrupted ||
	       clock_mono_ms() >= until_ms;
}

void
bench_run(struct bench *bench)
{
	struct loop *loop = bench->cli->loop;
	struct loop_signal *signal = loop_signal_new(loop, SIGINT, on_interrupt, bench);
	int64_t until_ms = clock_mono_ms() + bench->seconds * 1000, shown_ms = 0;
	bool looked = false;

	bench->line_limit = bench->line_running = bench->runners = bench->running = -1;
	bench->job = sl_calloc((size_t)bench->jobs, sizeof(*bench->job));
	bench->accept.us = sl_calloc((size_t)bench->jobs, sizeof(int64_t));
	bench->result.us = sl_calloc((size_t)bench->jobs, sizeof(int64_t));
	bench->began_us = clock_mono_us();
	while (!is_over(bench, until_ms)) {
		send_more(bench);
		if (!bench->sync)
			ask(bench);
		loop_turn(loop, TURN_MS);
		if (!looked && (bench->accepted >= (bench->jobs + 1) / 2 ||
				clock_mono_us() - bench->began_us >= LOOK_US)) {
			looked = true;
			look(bench);
		}
		if (clock_mono_ms() - shown_ms >= SHOW_MS) {
			show_progress(bench, false);
			shown_ms = clock_mono_ms();
		}
	}
	show_progress(bench, true);
	/* What is still on its way ends here: its callbacks point at bench.  Requests have deadlines. */
	while (bench->sending + bench->asking > 0)
		loop_turn(loop, TURN_MS);
	loop_signal_free(signal);
}

/* ---- figures ---------------------------------------------------------------------------------- */

static int
by_size(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

double
bench_part(struct bench_samples *samples, double part)
{
	int at = (int)(part * (double)samples->count);

	if (samples->count == 0)
		return -1;
	qsort(samples->us, (size_t)samples->count, sizeof(int64_t), by_size);
	if (at >= samples->count)
		at = samples->count - 1;
	return (double)samples->us[at] / 1000;
}

static void
limit_of_queue(const struct bench *bench, struct buf *out)
{
	int64_t accept_us = bench->accepted_us - bench->began_us;
	int64_t end_us = bench->ended_us - bench->began_us;

	if (bench->paused)
		buf_printf(out, "an operator: the queue is paused (`sluice queue resume %.60s`)",
			   bench->environment);
	else if (bench->line_limit > 0 && bench->line_running >= bench->line_limit)
		buf_printf(
		    out,
		    "the line: it runs at most %lld of these jobs at a time (its concurrency limit)",
		    (long long)bench->line_limit);
	else if (bench->runners > 0 && bench->running >= bench->runners)
		buf_printf(
		    out,
		    "the runners: all %lld were busy; more workers, or a larger setting `runners`",
		    (long long)bench->runners);
	else if (bench->ended == bench->jobs && end_us <= accept_us + accept_us / 5 + 200000)
		buf_printf(
		    out,
		    "accepting: jobs ended as fast as %d clients got them accepted; more --clients "
		    "tell whether the service can do more",
		    bench->clients);
	else if (bench->line_limit < 0 || bench->runners < 0)
		buf_add_text(out, "not known: it was over before there was anything to see");
	else
		buf_add_text(
		    out, "starting and settling jobs (Redis, Postgres): neither the line nor the "
			 "runners were full");
}

void
bench_limit(const struct bench *bench, struct buf *out)
{
	if (bench->held > 0)
		buf_printf(out, "the API: it said %d times to come again later", bench->held);
	else if (bench->sync)
		buf_printf(
		    out,
		    "%d clients, each of which waits for its result; more --clients tell whether "
		    "the service can do more",
		    bench->clients);
	else
		limit_of_queue(bench, out);
}

void
bench_fini(struct bench *bench)
{
	answer_fini(&bench->why);
	buf_fini(&bench->body);
	free(bench->job);
	free(bench->accept.us);
	free(bench->result.us);
}
