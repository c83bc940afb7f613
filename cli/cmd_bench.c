/* cli/cmd_bench.c - sluice bench: how fast this service accepts jobs and brings them to an end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/alloc.h"
#include "cli/arguments.h"
#include "cli/bench.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/print.h"
#include "cli/trouble.h"

enum { JOBS_MAX = 1000000, SECONDS_MAX = 86400, BODY_MAX = 1 << 20 };

static const char *const parts[] = {"environment", "integration", "connection", "function"};
enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

/* The function to run: the four options, or what the service has for this.  Values are owned. */
static int
choose_function(struct cli *cli, const struct arguments *arguments, char *value[PARTS])
{
	struct answer answer;
	struct buf body;
	int given = 0, status;

	for (int i = 0; i < PARTS; i++) {
		char option[32];
		const char *text;

		snprintf(option, sizeof(option), "--%s", parts[i]);
		text = arguments_text(arguments, option);
		given += text != NULL;
		value[i] = text != NULL ? sl_strdup(text) : NULL;
	}
	if (given == PARTS)
		return EX_OK;
	if (given > 0)
		return fail_usage(
		    cli, "a function of your own needs all of --environment, --integration, "
			 "--connection and --function");
	buf_init(&body, 8);
	buf_add_text(&body, "{}");
	status = client_need(cli, "POST", "/admin/v1/bench", &body, &answer);
	for (int i = 0; i < PARTS && status == EX_OK; i++) {
		value[i] = json_text(json_get(answer.json, parts[i]), NULL);
		if (value[i] == NULL)
			status =
			    fail(cli, EX_PROTOCOL, "no_api", "the server did not say what to run");
	}
	answer_fini(&answer);
	buf_fini(&body);
	return status;
}

static int
write_body(struct bench *bench, const struct arguments *arguments, char *const value[PARTS])
{
	const char *input = arguments_text(arguments, "--input");
	struct json_value checked;
	struct sl_error error;
	struct json_writer w;

	if (input != NULL && json_check(slice_text(input), &checked, &error) != SL_OK)
		return fail_usage(bench->cli, "--input is no JSON: %s", error.text);
	buf_init(&bench->body, BODY_MAX);
	jw_init(&w, &bench->body);
	jw_object(&w);
	for (int i = 0; i < PARTS; i++)
		jw_member_text(&w, parts[i], value[i]);
	if (input != NULL)
		jw_member_raw(&w, "input", slice_text(input));
	if (bench->sync)
		jw_member_bool(&w, "sync", true);
	jw_object_end(&w);
	return bench->body.over
		   ? fail_usage(bench->cli, "--input is larger than %d bytes", BODY_MAX)
		   : EX_OK;
}

static int
read_numbers(struct bench *bench, const struct arguments *arguments)
{
	int64_t jobs = 1000, clients = 16;
	struct sl_error error;

	bench->seconds = 60;
	bench->sync = arguments_has(arguments, "--sync");
	if (arguments_int(arguments, "--jobs", 1, JOBS_MAX, &jobs, &error) != SL_OK ||
	    arguments_int(arguments, "--clients", 1, BENCH_CLIENTS_MAX, &clients, &error) !=
		SL_OK ||
	    arguments_int(arguments, "--seconds", 1, SECONDS_MAX, &bench->seconds, &error) != SL_OK)
		return fail_usage(bench->cli, "%s", error.text);
	bench->jobs = (int)jobs;
	bench->clients = (int)clients;
	return EX_OK;
}

/* ---- the report ------------------------------------------------------------------------------- */

struct figures {
	double accept_p50, accept_p99, result_p50, result_p99; /* ms; -1: none */
	double accepts_s, ends_s;
};

static double
rate(int count, int64_t us)
{
	return us > 0 ? (double)count * 1e6 / (double)us : 0;
}

static struct figures
figures_of(struct bench *bench)
{
	int64_t ends_us = bench->ended_us - bench->began_us;

	if (bench->last_ms > bench->first_ms && bench->first_ms > 0)
		ends_us = (bench->last_ms - bench->first_ms) * 1000;
	return (struct figures){.accept_p50 = bench_part(&bench->accept, 0.5),
				.accept_p99 = bench_part(&bench->accept, 0.99),
				.result_p50 = bench_part(&bench->result, 0.5),
				.result_p99 = bench_part(&bench->result, 0.99),
				.accepts_s =
				    rate(bench->accepted, bench->accepted_us - bench->began_us),
				.ends_s = rate(bench->ended, ends_us)};
}

static void
print_times(const char *name, double p50, double p99)
{
	if (p50 >= 0)
		printf("%-18s p50 %.1f ms, p99 %.1f ms\n", name, p50, p99);
}

static void
print_report(struct bench *bench, const struct figures *f, const char *limit)
{
	printf("%-18s %d of %d by %d clients, %s\n", bench->sync ? "calls" : "jobs",
	       bench->accepted, bench->jobs, bench->clients,
	       bench->sync ? "each waiting for its result" : "through the queue");
	printf("%-18s %d well, %d failed, %d not seen to end\n", "ended", bench->succeeded,
	       bench->failed, bench->accepted - bench->ended);
	if (!bench->sync)
		printf("%-18s %.0f/s\n", "accepts", f->accepts_s);
	printf("%-18s %.0f/s\n", "ends", f->ends_s);
	print_times("accept", f->accept_p50, f->accept_p99);
	print_times(bench->sync ? "call to result" : "accept to result", f->result_p50,
		    f->result_p99);
	printf("%-18s %s\n", "limited by", limit);
}

static void
member_number(struct json_writer *w, const char *key, double number)
{
	char text[40];

	if (number < 0) {
		jw_key(w, key);
		jw_null(w);
		return;
	}
	snprintf(text, sizeof(text), "%.3f", number);
	jw_member_raw(w, key, slice_text(text));
}

static void
print_report_json(struct bench *bench, const struct figures *f, const char *limit)
{
	struct json_writer w;
	struct buf out;

	buf_init(&out, 16 << 10);
	jw_init(&w, &out);
	jw_object(&w);
	jw_key(&w, "bench");
	jw_object(&w);
	jw_member_text(&w, "mode", bench->sync ? "sync" : "async");
	jw_member_text(&w, "environment", bench->environment);
	jw_member_int(&w, "jobs", bench->jobs);
	jw_member_int(&w, "clients", bench->clients);
	jw_member_int(&w, "accepted", bench->accepted);
	jw_member_int(&w, "succeeded", bench->succeeded);
	jw_member_int(&w, "failed", bench->failed);
	jw_member_int(&w, "not_ended", bench->accepted - bench->ended);
	jw_member_int(&w, "held_back", bench->held);
	member_number(&w, "accepts_per_s", f->accepts_s);
	member_number(&w, "ends_per_s", f->ends_s);
	member_number(&w, "accept_p50_ms", f->accept_p50);
	member_number(&w, "accept_p99_ms", f->accept_p99);
	member_number(&w, "result_p50_ms", f->result_p50);
	member_number(&w, "result_p99_ms", f->result_p99);
	jw_member_text(&w, "limited_by", limit);
	jw_object_end(&w);
	jw_object_end(&w);
	print_json(stdout, buf_slice(&out));
	buf_fini(&out);
}

static int
report(struct bench *bench)
{
	struct figures figures = figures_of(bench);
	struct trouble trouble;
	struct buf limit;

	if (bench->gave_up) {
		trouble_of(bench->cli, &bench->why, &trouble);
		return trouble_print(bench->cli, &trouble, &bench->why);
	}
	buf_init(&limit, 4096);
	bench_limit(bench, &limit);
	if (bench->cli->json)
		print_report_json(bench, &figures, limit.data);
	else
		print_report(bench, &figures, limit.data);
	buf_fini(&limit);
	if (bench->ended < bench->jobs)
		return fail(
		    bench->cli, EX_TEMPFAIL, "not_ended",
		    "%s before all had ended; what is queued goes on (`sluice queue drain %.60s "
		    "--cancel` drops it)",
		    bench->interrupted ? "interrupted" : "the time was over", bench->environment);
	return bench->failed > 0
		   ? fail(bench->cli, EX_DATAERR, "failed",
			  "%d of them failed: the figures are of failures, too", bench->failed)
		   : EX_OK;
}

int
cmd_bench(struct cli *cli, const struct arguments *arguments)
{
	struct bench bench = {.cli = cli};
	char *value[PARTS] = {0};
	int status = read_numbers(&bench, arguments);

	if (status == EX_OK)
		status = choose_function(cli, arguments, value);
	if (status == EX_OK)
		status = write_body(&bench, arguments, value);
	bench.environment = value[0];
	if (status == EX_OK) {
		bench_run(&bench);
		status = report(&bench);
	}
	for (int i = 0; i < PARTS; i++)
		free(value[i]);
	bench_fini(&bench);
	return status;
}
