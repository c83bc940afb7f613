/* cli/cmd_queue.c - sluice queue: what waits, and whether it may start. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"
#include "cli/arguments.h"
#include "cli/ask.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/table.h"
#include "cli/trouble.h"

enum { PATH_MAX_ = 16 << 10, POLL_FIRST_MS = 100, POLL_MOST_MS = 2000, WAIT_MAX_S = 7 * 86400 };

static void
add_state(struct table *table, struct json_value place)
{
	if (json_is_yes(json_get(place, "draining")) && json_is_yes(json_get(place, "paused")))
		table_styled(table, STYLE_WARN, "paused,draining");
	else if (json_is_yes(json_get(place, "draining")))
		table_styled(table, STYLE_WARN, "draining");
	else if (json_is_yes(json_get(place, "paused")))
		table_styled(table, STYLE_WARN, "paused");
	else
		table_text(table, "open");
}

static void
add_queue(struct table *table, struct json_value queue)
{
	table_json(table, json_get(queue, "environment"));
	add_state(table, queue);
	table_json(table, json_get(queue, "depth"));
	table_json(table, json_get(queue, "running"));
	table_json(table, json_get(queue, "delayed"));
	table_span(table, json_get(queue, "oldest_ms"));
}

static struct table *
queue_table(void)
{
	return table_new("ENVIRONMENT STATE >DEPTH >RUNNING >DELAYED >OLDEST");
}

static void
print_lines(struct json_value queue)
{
	struct table *table = table_new("LINE STATE >LIMIT >DEPTH >RUNNING >OLDEST");
	struct json_iter it;

	json_iter_init(&it, json_get(queue, "lines"));
	while (json_iter_next(&it)) {
		table_json(table, json_get(it.value, "name"));
		add_state(table, it.value);
		table_json(table, json_get(it.value, "limit"));
		table_json(table, json_get(it.value, "depth"));
		table_json(table, json_get(it.value, "running"));
		table_span(table, json_get(it.value, "oldest_ms"));
	}
	json_iter_fini(&it);
	if (table_rows(table) > 0) {
		fputc('\n', stdout);
		table_print(table, stdout);
		if (json_is_yes(json_get(queue, "more")))
			puts("(the deepest lines only)");
	}
	table_free(table);
}

static void
print_queues(struct json_value queues)
{
	struct table *table = queue_table();
	struct json_iter it;

	json_iter_init(&it, queues);
	while (json_iter_next(&it))
		add_queue(table, it.value);
	json_iter_fini(&it);
	table_print(table, stdout);
	table_free(table);
	json_iter_init(&it, queues);
	while (json_iter_next(&it))
		print_lines(it.value);
	json_iter_fini(&it);
}

int
cmd_queue_ls(struct cli *cli, const struct arguments *arguments)
{
	struct answer answer;
	struct buf path;
	int status;

	buf_init(&path, PATH_MAX_);
	buf_add_text(&path, "/admin/v1/queues");
	if (arguments->word_count > 0)
		path_query(&path, "environment", arguments->words[0]);
	status = client_need(cli, "GET", path.data, NULL, &answer);
	if (status == EX_OK && cli->json)
		print_json(stdout, answer.json.raw);
	else if (status == EX_OK)
		print_queues(json_get(answer.json, "queues"));
	answer_fini(&answer);
	buf_fini(&path);
	return status;
}

/* ---- peek ------------------------------------------------------------------------------------- */

static void
add_function(struct table *table, struct json_value job)
{
	char *integration = json_text(json_get(job, "integration"), NULL);
	char *function = json_text(json_get(job, "function"), NULL);

	if (integration != NULL && function != NULL)
		table_printf(table, "%s/%s", integration, function);
	else
		table_text(table, function != NULL ? function : integration);
	free(integration);
	free(function);
}

static void
print_jobs(struct json_value jobs)
{
	struct table *table =
	    table_new("JOB STATE >TRY >AGE DUE KIND FUNCTION CONNECTION LINE NODE");
	int64_t now_ms = clock_wall_ms();
	struct json_iter it;

	json_iter_init(&it, jobs);
	while (json_iter_next(&it)) {
		table_json(table, json_get(it.value, "id"));
		table_json(table, json_get(it.value, "state"));
		table_json(table, json_get(it.value, "attempt"));
		table_since(table, json_get(it.value, "accepted_at"), now_ms);
		table_since(table, json_get(it.value, "due_at"), now_ms);
		table_json(table, json_get(it.value, "kind"));
		add_function(table, it.value);
		table_json(table, json_get(it.value, "connection"));
		table_json(table, json_get(it.value, "line"));
		table_json(table, json_get(it.value, "node"));
	}
	json_iter_fini(&it);
	if (table_rows(table) > 0)
		table_print(table, stdout);
	else
		puts("no jobs wait or run here");
	table_free(table);
}

/* "/admin/v1/queues/ENV/VERB"; EX_USAGE when ENV cannot be a name. */
static int
queue_path(const struct cli *cli, const struct arguments *arguments, const char *verb,
	   struct buf *path)
{
	const char *environment = arguments->words[0];

	buf_init(path, PATH_MAX_);
	if (!path_can_be(environment))
		return fail_usage(cli, "ENV must be the name of an environment");
	buf_add_text(path, "/admin/v1/queues");
	path_add(path, environment);
	path_add(path, verb);
	return EX_OK;
}

int
cmd_queue_peek(struct cli *cli, const struct arguments *arguments)
{
	struct answer answer = {0};
	struct sl_error error;
	struct json_value next;
	int64_t limit = 20;
	struct buf path;
	char number[24];
	int status = queue_path(cli, arguments, "jobs", &path);

	if (status == EX_OK &&
	    arguments_int(arguments, "--limit", 1, 1000, &limit, &error) != SL_OK)
		status = fail_usage(cli, "%s", error.text);
	if (status == EX_OK) {
		snprintf(number, sizeof(number), "%lld", (long long)limit);
		path_query(&path, "limit", number);
		path_query(&path, "line", arguments_text(arguments, "--line"));
		path_query(&path, "after", arguments_text(arguments, "--after"));
		status = client_need(cli, "GET", path.data, NULL, &answer);
	}
	if (status == EX_OK && cli->json) {
		print_json(stdout, answer.json.raw);
	} else if (status == EX_OK) {
		print_jobs(json_get(answer.json, "jobs"));
		next = json_get(answer.json, "next");
		if (next.type == JSON_TEXT) {
			fputs("more: --after ", stdout);
			print_text(stdout, (struct slice){next.raw.data + 1, next.raw.len - 2});
			fputc('\n', stdout);
		}
	}
	answer_fini(&answer);
	buf_fini(&path);
	return status;
}

/* ---- pause, resume, drain --------------------------------------------------------------------- */

static void
print_queue(struct json_value queue)
{
	struct table *table = queue_table();

	add_queue(table, queue);
	table_print(table, stdout);
	table_free(table);
}

/* POSTs verb with the body; prints the queue as it is then, unless quiet. */
static int
steer(struct cli *cli, const struct arguments *arguments, const char *verb, const struct buf *body,
      bool quiet, struct answer *answer)
{
	struct buf path;
	int status = queue_path(cli, arguments, verb, &path);

	*answer = (struct answer){0};
	if (status == EX_OK)
		status = client_need(cli, "POST", path.data, body, answer);
	buf_fini(&path);
	if (status != EX_OK || quiet)
		return status;
	if (cli->json)
		print_json(stdout, answer->json.raw);
	else
		print_queue(json_get(answer->json, "queue"));
	return status;
}

static int
steer_line(struct cli *cli, const struct arguments *arguments, const char *verb)
{
	struct answer answer;
	struct json_writer w;
	struct buf body;
	int status;

	buf_init(&body, PATH_MAX_);
	jw_init(&w, &body);
	jw_object(&w);
	if (arguments_has(arguments, "--line"))
		jw_member_text(&w, "line", arguments_text(arguments, "--line"));
	jw_object_end(&w);
	status = steer(cli, arguments, verb, &body, false, &answer);
	answer_fini(&answer);
	buf_fini(&body);
	return status;
}

int
cmd_queue_pause(struct cli *cli, const struct arguments *arguments)
{
	return steer_line(cli, arguments, "pause");
}

int
cmd_queue_resume(struct cli *cli, const struct arguments *arguments)
{
	return steer_line(cli, arguments, "resume");
}

/* Jobs of an answer's first queue that have not ended; -1: the answer does not say. */
static int64_t
left_in(struct json_value queue)
{
	int64_t depth, delayed;

	if (!json_int(json_get(queue, "depth"), &depth) ||
	    !json_int(json_get(queue, "delayed"), &delayed))
		return -1;
	return depth + delayed;
}

/* Polls until the queue is empty or the time is over; answer: the last one. */
static int
wait_empty(struct cli *cli, const struct arguments *arguments, int64_t wait_s,
	   struct answer *answer)
{
	int64_t until_ms = clock_mono_ms() + wait_s * 1000, pause_ms = POLL_FIRST_MS, left;
	struct buf path;
	int status;

	buf_init(&path, PATH_MAX_);
	buf_add_text(&path, "/admin/v1/queues");
	path_query(&path, "environment", arguments->words[0]);
	for (;;) {
		answer_fini(answer);
		status = client_need(cli, "GET", path.data, NULL, answer);
		left = status == EX_OK ? left_in(json_path(answer->json, "queues.0")) : 0;
		if (left <= 0 || clock_mono_ms() >= until_ms)
			break;
		client_pause(cli, pause_ms);
		pause_ms = pause_ms * 2 < POLL_MOST_MS ? pause_ms * 2 : POLL_MOST_MS;
	}
	buf_fini(&path);
	if (left > 0)
		return fail(
		    cli, EX_TEMPFAIL, "not_empty",
		    "%lld jobs are still there after %lld s; %.60s goes on draining (`sluice "
		    "queue peek %.60s` shows them)",
		    (long long)left, (long long)wait_s, arguments->words[0], arguments->words[0]);
	return left < 0 ? fail(cli, EX_PROTOCOL, "no_api",
			       "the server did not say how deep the queue is")
			: status;
}

/* {"queue": as it is now, "cancelled": n} */
static void
print_drained(const struct cli *cli, struct json_value queue, int64_t cancelled)
{
	struct json_writer w;
	struct buf out;

	if (!cli->json) {
		if (cancelled > 0)
			printf("%lld jobs that waited were cancelled\n", (long long)cancelled);
		print_queue(queue);
		return;
	}
	buf_init(&out, queue.raw.len + 64);
	jw_init(&w, &out);
	jw_object(&w);
	jw_member_raw(&w, "queue", queue.raw);
	jw_member_int(&w, "cancelled", cancelled);
	jw_object_end(&w);
	print_json(stdout, buf_slice(&out));
	buf_fini(&out);
}

int
cmd_queue_drain(struct cli *cli, const struct arguments *arguments)
{
	bool cancel = arguments_has(arguments, "--cancel");
	bool wait = arguments_has(arguments, "--wait");
	int64_t wait_s = 0, cancelled = 0;
	struct answer answer = {0};
	struct sl_error error;
	struct buf body;
	int status = EX_OK;

	if (arguments_int(arguments, "--wait", 1, WAIT_MAX_S, &wait_s, &error) != SL_OK)
		return fail_usage(cli, "%s", error.text);
	if (cancel)
		status = ask_yes(cli, "Cancel every job of %.80s that waits", arguments->words[0]);
	if (status != EX_OK)
		return status;
	buf_init(&body, 64);
	buf_printf(&body, "{\"cancel\":%s}", cancel ? "true" : "false");
	status = steer(cli, arguments, "drain", &body, true, &answer);
	if (status == EX_OK) {
		(void)json_int(json_get(answer.json, "cancelled"), &cancelled);
		if (!wait)
			print_drained(cli, json_get(answer.json, "queue"), cancelled);
		else if ((status = wait_empty(cli, arguments, wait_s, &answer)) == EX_OK)
			print_drained(cli, json_path(answer.json, "queues.0"), cancelled);
	}
	answer_fini(&answer);
	buf_fini(&body);
	return status;
}
