/* cli/cmd_job.c - sluice job: one job, and what an operator may do to it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"
#include "base/secret.h"
#include "cli/arguments.h"
#include "cli/ask.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/print.h"
#include "cli/trouble.h"

/* ---- show ------------------------------------------------------------------------------------- */

static enum print_style
state_style(const char *state)
{
	if (strcmp(state, "succeeded") == 0)
		return STYLE_GOOD;
	if (strcmp(state, "failed") == 0 || strcmp(state, "dead") == 0)
		return STYLE_BAD;
	if (strcmp(state, "expired") == 0 || strcmp(state, "cancelled") == 0 ||
	    strcmp(state, "retrying") == 0)
		return STYLE_WARN;
	return STYLE_PLAIN;
}

static void
print_state(struct json_value job)
{
	char *state = json_text(json_get(job, "state"), NULL);
	int64_t position;

	printf("%-12s ", "state");
	print_styled(stdout, state != NULL ? state_style(state) : STYLE_PLAIN,
		     state != NULL ? state : "-");
	if (json_int(json_get(job, "position"), &position))
		printf("  (place %lld in its line)", (long long)position);
	fputc('\n', stdout);
	free(state);
}

static void
print_tries(struct json_value job, int64_t now_ms)
{
	struct json_value attempts = json_get(job, "attempts");
	int64_t retries = 0, number = 0;
	struct json_iter it;

	(void)json_int(json_get(job, "max_retries"), &retries);
	json_iter_init(&it, attempts);
	while (json_iter_next(&it)) {
		char *node = json_text(json_get(it.value, "node"), NULL);
		char name[32];

		(void)json_int(json_get(it.value, "number"), &number);
		snprintf(name, sizeof(name), "try %lld of %lld", (long long)number,
			 (long long)retries + 1);
		print_member_time(name, json_get(it.value, "began_at"), now_ms);
		if (node != NULL) {
			printf("%-12s on ", "");
			print_text(stdout, slice_text(node));
			fputc('\n', stdout);
		}
		free(node);
	}
	json_iter_fini(&it);
	if (number == 0)
		printf("%-12s none of %lld begun\n", "tries", (long long)retries + 1);
}

static void
print_job(struct json_value job)
{
	int64_t now_ms = clock_wall_ms(), deaths = 0;
	struct json_value result = json_get(job, "result");

	print_member("job", json_get(job, "id"), "");
	print_state(job);
	print_member("environment", json_get(job, "environment"), "");
	print_member("kind", json_get(job, "kind"), "");
	print_member("integration", json_get(job, "integration"), "");
	print_member("function", json_get(job, "function"), "");
	print_member("version", json_get(job, "version"), "");
	print_member("connection", json_get(job, "connection"), "");
	print_member("line", json_get(job, "line"), "");
	print_member_time("accepted", json_get(job, "accepted_at"), now_ms);
	print_member_time("due", json_get(job, "due_at"), now_ms);
	print_tries(job, now_ms);
	if (json_int(json_get(job, "deaths"), &deaths) && deaths > 0)
		printf("%-12s %lld times it killed, or lost, what ran it\n", "deaths",
		       (long long)deaths);
	print_member_time("ended", json_get(result, "at"), now_ms);
	print_member("output", json_get(result, "output"),
		     json_is_yes(json_get(result, "cut")) ? " ... (cut)" : "");
}

/* ---- the commands ----------------------------------------------------------------------------- */

/* Asks for /admin/v1/jobs/ID[/verb]. */
static int
ask_job(struct cli *cli, const struct arguments *arguments, const char *verb, struct answer *answer)
{
	const char *id = arguments->words[0];
	struct buf path, body;
	int status;

	*answer = (struct answer){0};
	if (!uuid_parse(slice_text(id), NULL))
		return fail_usage(cli,
				  "%.60s is no job's id: those look like "
				  "01a201e4-9e69-7582-b741-81dccdf5eacc",
				  id);
	buf_init(&path, 256);
	buf_init(&body, 16);
	buf_add_text(&body, "{}");
	buf_add_text(&path, "/admin/v1/jobs");
	path_add(&path, id);
	if (verb != NULL)
		path_add(&path, verb);
	status = client_need(cli, verb != NULL ? "POST" : "GET", path.data,
			     verb != NULL ? &body : NULL, answer);
	if (status == EX_OK && cli->json)
		print_json(stdout, answer->json.raw);
	buf_fini(&path);
	buf_fini(&body);
	return status;
}

int
cmd_job_show(struct cli *cli, const struct arguments *arguments)
{
	struct answer answer;
	int status = ask_job(cli, arguments, NULL, &answer);

	if (status == EX_OK && !cli->json)
		print_job(json_get(answer.json, "job"));
	answer_fini(&answer);
	return status;
}

/* "ID WHAT" on a line of its own. */
static void
print_done(struct json_value id, const char *what)
{
	char *text = json_text(id, NULL);

	print_text(stdout, slice_text(text));
	printf(" %s\n", what);
	free(text);
}

int
cmd_job_retry(struct cli *cli, const struct arguments *arguments)
{
	struct answer answer;
	int status = ask_job(cli, arguments, "retry", &answer);

	if (status == EX_OK && !cli->json) {
		if (json_get(answer.json, "retry_of").type == JSON_TEXT)
			print_done(json_get(answer.json, "id"),
				   "is the new job; the old one's result stays");
		else
			print_done(json_get(answer.json, "id"), "is due now");
	}
	answer_fini(&answer);
	return status;
}

int
cmd_job_cancel(struct cli *cli, const struct arguments *arguments)
{
	struct answer answer;
	int status = ask_job(cli, arguments, "cancel", &answer);

	if (status == EX_OK && !cli->json)
		print_done(json_get(answer.json, "id"), "is cancelled");
	answer_fini(&answer);
	return status;
}

int
cmd_job_kill(struct cli *cli, const struct arguments *arguments)
{
	struct answer answer;
	int status =
	    ask_yes(cli, "Kill the process of job %.60s now, in the middle of what it does",
		    arguments->words[0]);

	if (status != EX_OK)
		return status;
	status = ask_job(cli, arguments, "kill", &answer);
	if (status == EX_OK && !cli->json)
		print_done(json_get(answer.json, "id"), "is cancelled, its process killed");
	answer_fini(&answer);
	return status;
}
