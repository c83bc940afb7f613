/* cli/cmd_sync.c - sluice sync: how syncs stand, and whether and when they run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/secret.h"
#include "cli/arguments.h"
#include "cli/ask.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/table.h"
#include "cli/trouble.h"

enum { PATH_ROOM = 16 << 10, ROWS_ROOM = 64 << 20 };

static enum print_style
state_style(const char *state)
{
	if (strcmp(state, "succeeded") == 0)
		return STYLE_GOOD;
	if (strcmp(state, "failed") == 0)
		return STYLE_BAD;
	return strcmp(state, "paused") == 0 ? STYLE_WARN : STYLE_PLAIN;
}

static void
add_styled(struct table *table, struct json_value value, bool bad)
{
	char *text = json_text(value, NULL);

	if (text == NULL)
		table_text(table, NULL);
	else
		table_styled(table, bad ? STYLE_BAD : state_style(text), text);
	free(text);
}

static void
add_function(struct table *table, struct json_value sync)
{
	char *integration = json_text(json_get(sync, "integration"), NULL);
	char *name = json_text(json_get(sync, "name"), NULL);
	char *variant = json_text(json_get(sync, "variant"), NULL);
	bool base = variant == NULL || strcmp(variant, "base") == 0;

	table_printf(table, "%s/%s%s%s", integration != NULL ? integration : "",
		     name != NULL ? name : "", base ? "" : "::", base ? "" : variant);
	free(integration);
	free(name);
	free(variant);
}

static void
print_syncs(struct json_value rows)
{
	struct table *table = table_new(
	    "SYNC STATE TROUBLE NEXT LAST-RUN >TOOK ENVIRONMENT FUNCTION CONNECTION NODE");
	int64_t now_ms = clock_wall_ms();
	struct json_iter it;

	json_iter_init(&it, rows);
	while (json_iter_next(&it)) {
		table_json(table, json_get(it.value, "id"));
		add_styled(table, json_get(it.value, "state"), false);
		add_styled(table, json_get(it.value, "trouble"), true);
		table_since(table, json_path(it.value, "schedule.next_run_at"), now_ms);
		table_since(table, json_path(it.value, "last_run.ended_at"), now_ms);
		table_span(table, json_path(it.value, "last_run.duration_ms"));
		table_json(table, json_get(it.value, "environment"));
		add_function(table, it.value);
		table_json(table, json_get(it.value, "connection"));
		table_json(table, json_path(it.value, "run.node"));
	}
	json_iter_fini(&it);
	if (table_rows(table) > 0)
		table_print(table, stdout);
	else
		puts("there is no such sync");
	table_free(table);
}

/* ---- ls --------------------------------------------------------------------------------------- */

/* Appends the rows of an array, with commas; returns how many. */
static int64_t
add_rows(struct buf *out, struct json_value rows)
{
	int64_t count = 0;
	struct json_iter it;

	json_iter_init(&it, rows);
	for (; json_iter_next(&it); count++) {
		if (out->len > 0)
			buf_add_char(out, ',');
		buf_add_slice(out, it.value.raw);
	}
	json_iter_fini(&it);
	return count;
}

static void
list_path(const struct arguments *arguments, int64_t limit, const char *cursor, struct buf *path)
{
	char number[24];

	snprintf(number, sizeof(number), "%lld", (long long)limit);
	buf_clear(path);
	buf_add_text(path, "/admin/v1/syncs");
	path_query(path, "limit", number);
	if (arguments->word_count > 0)
		path_query(path, "environment", arguments->words[0]);
	path_query(path, "integration", arguments_text(arguments, "--integration"));
	path_query(path, "connection", arguments_text(arguments, "--connection"));
	path_query(path, "name", arguments_text(arguments, "--name"));
	path_query(path, "state", arguments_text(arguments, "--state"));
	path_query(path, "cursor", cursor);
}

/* Pages until limit rows are there: one looks at so many syncs only, and may have few that fit.  next: where
 * to go on, owned; NULL: that is all. */
static int
collect(struct cli *cli, const struct arguments *arguments, int64_t limit, struct buf *rows,
	char **next)
{
	const char *from = arguments_text(arguments, "--cursor");
	char *cursor = from != NULL ? sl_strdup(from) : NULL;
	int status = EX_OK;
	struct answer answer;
	struct buf path;

	buf_init(&path, PATH_ROOM);
	do {
		list_path(arguments, limit, cursor, &path);
		free(cursor);
		cursor = NULL;
		status = client_need(cli, "GET", path.data, NULL, &answer);
		if (status == EX_OK) {
			limit -= add_rows(rows, json_get(answer.json, "syncs"));
			cursor = json_text(json_get(answer.json, "next"), NULL);
		}
		answer_fini(&answer);
	} while (status == EX_OK && limit > 0 && cursor != NULL);
	buf_fini(&path);
	*next = cursor;
	return status;
}

/* {"syncs":[rows],name:value}, or the table; value NULL: no such member, or null. */
static void
print_rows(const struct cli *cli, const struct buf *rows, const char *name, struct slice value)
{
	struct buf out;

	buf_init(&out, rows->len + PATH_ROOM);
	buf_add_text(&out, "{\"syncs\":[");
	buf_add_slice(&out, buf_slice(rows));
	buf_add_char(&out, ']');
	if (name != NULL) {
		buf_printf(&out, ",\"%s\":", name);
		buf_add_slice(&out, value);
	}
	buf_add_char(&out, '}');
	if (cli->json)
		print_json(stdout, buf_slice(&out));
	else
		print_syncs(json_get((struct json_value){JSON_OBJECT_, buf_slice(&out)}, "syncs"));
	buf_fini(&out);
}

int
cmd_sync_ls(struct cli *cli, const struct arguments *arguments)
{
	struct sl_error error;
	struct json_writer w;
	struct buf rows, quoted;
	int64_t limit = 100;
	char *next = NULL;
	int status;

	if (arguments_int(arguments, "--limit", 1, 1000, &limit, &error) != SL_OK)
		return fail_usage(cli, "%s", error.text);
	buf_init(&rows, ROWS_ROOM);
	buf_init(&quoted, PATH_ROOM);
	status = collect(cli, arguments, limit, &rows, &next);
	if (status == EX_OK) {
		jw_init(&w, &quoted);
		jw_text(&w, next);
		print_rows(cli, &rows, "next", buf_slice(&quoted));
	}
	if (status == EX_OK && !cli->json && next != NULL) {
		fputs("more: --cursor ", stdout);
		print_text(stdout, slice_text(next));
		fputc('\n', stdout);
	}
	free(next);
	buf_fini(&quoted);
	buf_fini(&rows);
	return status;
}

/* ---- show ------------------------------------------------------------------------------------- */

/* "/admin/v1/syncs/ID[/verb]"; EX_USAGE when ID is none. */
static int
sync_path(const struct cli *cli, const char *id, const char *verb, struct buf *path)
{
	buf_clear(path);
	if (!uuid_parse(slice_text(id), NULL))
		return fail_usage(cli, "%.60s is no sync's id; `sluice sync ls` shows them", id);
	buf_add_text(path, "/admin/v1/syncs");
	path_add(path, id);
	if (verb != NULL)
		path_add(path, verb);
	return EX_OK;
}

static void
print_schedule(struct json_value schedule, int64_t now_ms)
{
	int64_t late_ms = 0;
	char span[PRINT_SPAN];

	if (schedule.type != JSON_OBJECT_) {
		printf("%-12s none\n", "schedule");
		return;
	}
	print_member("frequency", json_get(schedule, "frequency"),
		     json_is_yes(json_get(schedule, "own_frequency"))
			 ? "  (of this connection; the function has another)"
			 : "");
	if (json_is_yes(json_get(schedule, "paused")))
		printf("%-12s paused\n", "next run");
	print_member_time("next run", json_get(schedule, "next_run_at"), now_ms);
	if (json_int(json_get(schedule, "late_ms"), &late_ms) && late_ms > 1000) {
		print_span(late_ms, span);
		printf("%-12s %s\n", "late", span);
	}
}

/* {"Model": {"added": 1, ..}, ..} as "Model: added 1, ..", and {"Model": 1} as "Model: 1". */
static void
print_counts(const char *name, struct json_value counts)
{
	struct json_iter it, inner;

	if (counts.type != JSON_OBJECT_)
		return;
	json_iter_init(&it, counts);
	while (json_iter_next(&it)) {
		const char *comma = "";

		printf("%-12s ", name);
		print_text(stdout, (struct slice){it.key, it.key_len});
		fputs(": ", stdout);
		if (it.value.type == JSON_OBJECT_) {
			json_iter_init(&inner, it.value);
			for (; json_iter_next(&inner); comma = ", ") {
				fputs(comma, stdout);
				print_text(stdout, (struct slice){inner.key, inner.key_len});
				fputc(' ', stdout);
				print_text(stdout, inner.value.raw);
			}
			json_iter_fini(&inner);
		} else {
			print_text(stdout, it.value.raw);
		}
		fputc('\n', stdout);
		name = "";
	}
	json_iter_fini(&it);
}

static void
print_runs(struct json_value sync, int64_t now_ms)
{
	struct json_value run = json_get(sync, "run"), last = json_get(sync, "last_run");
	char span[PRINT_SPAN];
	int64_t took_ms;

	print_member("run", json_get(run, "job"), "");
	print_member_time("accepted", json_get(run, "accepted_at"), now_ms);
	print_member_time("began", json_get(run, "began_at"), now_ms);
	print_member("on", json_get(run, "node"), "");
	print_member("last run", json_get(last, "state"), "");
	print_member("its job", json_get(last, "job"), "");
	print_member_time("ended", json_get(last, "ended_at"), now_ms);
	if (json_int(json_get(last, "duration_ms"), &took_ms)) {
		print_span(took_ms, span);
		printf("%-12s %s\n", "took", span);
	}
	print_counts("result", json_get(last, "result"));
	print_member_time("last success", json_get(sync, "last_success_at"), now_ms);
}

static void
print_sync(struct json_value sync)
{
	struct json_value checkpoint = json_get(sync, "checkpoint");
	int64_t now_ms = clock_wall_ms(), version, bytes, still;
	struct json_iter it;

	print_member("sync", json_get(sync, "id"), "");
	print_member("state", json_get(sync, "state"), "");
	print_member("trouble", json_get(sync, "trouble"), "");
	print_member_time("since", json_get(sync, "trouble_since"), now_ms);
	if (json_int(json_get(sync, "still_runs"), &still) && still > 0)
		printf("%-12s %lld runs in a row ended with the checkpoint they began with\n",
		       "still", (long long)still);
	print_member("environment", json_get(sync, "environment"), "");
	print_member("integration", json_get(sync, "integration"), "");
	print_member("function", json_get(sync, "name"), "");
	print_member("version", json_get(sync, "version"), "");
	print_member("variant", json_get(sync, "variant"), "");
	print_member("connection", json_get(sync, "connection"), "");
	print_schedule(json_get(sync, "schedule"), now_ms);
	print_runs(sync, now_ms);
	if (json_int(json_get(checkpoint, "version"), &version) &&
	    json_int(json_get(checkpoint, "bytes"), &bytes))
		printf("%-12s version %lld, %lld bytes\n", "checkpoint", (long long)version,
		       (long long)bytes);
	json_iter_init(&it, json_get(sync, "delete_windows"));
	while (json_iter_next(&it))
		print_member("tracks", it.value, "  (deletes of what a run does not see)");
	json_iter_fini(&it);
	print_counts("records", json_get(sync, "records"));
}

int
cmd_sync_show(struct cli *cli, const struct arguments *arguments)
{
	struct answer answer = {0};
	struct buf path;
	int status;

	buf_init(&path, PATH_ROOM);
	status = sync_path(cli, arguments->words[0], NULL, &path);
	if (status == EX_OK)
		status = client_need(cli, "GET", path.data, NULL, &answer);
	if (status == EX_OK && cli->json)
		print_json(stdout, answer.json.raw);
	else if (status == EX_OK)
		print_sync(json_get(answer.json, "sync"));
	answer_fini(&answer);
	buf_fini(&path);
	return status;
}

/* ---- start, pause, run ------------------------------------------------------------------------ */

/* POSTs the verb to one after the other and stops at the first that fails; prints the rows of those that were
 * done.  started: adds how many runs were. */
static int
steer(struct cli *cli, const struct arguments *arguments, const char *verb, const char *text,
      bool started)
{
	struct buf path, body, rows, number;
	int64_t runs = 0;
	int status = EX_OK;

	buf_init(&path, PATH_ROOM);
	buf_init(&body, PATH_ROOM);
	buf_init(&rows, ROWS_ROOM);
	buf_init(&number, 32);
	buf_add_text(&body, text);
	for (int i = 0; i < arguments->word_count && status == EX_OK; i++)
		status = sync_path(cli, arguments->words[i], verb, &path);
	for (int i = 0; i < arguments->word_count && status == EX_OK; i++) {
		struct answer answer;

		(void)sync_path(cli, arguments->words[i], verb, &path);
		status = client_need(cli, "POST", path.data, &body, &answer);
		if (status == EX_OK) {
			if (rows.len > 0)
				buf_add_char(&rows, ',');
			buf_add_slice(&rows, json_get(answer.json, "sync").raw);
			runs += json_is_yes(json_get(answer.json, "started")) ? 1 : 0;
		}
		answer_fini(&answer);
	}
	buf_printf(&number, "%lld", (long long)runs);
	if (rows.len > 0)
		print_rows(cli, &rows, started ? "started" : NULL, buf_slice(&number));
	if (rows.len > 0 && started && !cli->json && runs < arguments->word_count)
		printf("%lld started; the others have a run that is open\n", (long long)runs);
	buf_fini(&number);
	buf_fini(&rows);
	buf_fini(&body);
	buf_fini(&path);
	return status;
}

int
cmd_sync_start(struct cli *cli, const struct arguments *arguments)
{
	return steer(cli, arguments, "start", "{}", false);
}

int
cmd_sync_pause(struct cli *cli, const struct arguments *arguments)
{
	return steer(cli, arguments, "pause", "{}", false);
}

int
cmd_sync_run(struct cli *cli, const struct arguments *arguments)
{
	bool reset = arguments_has(arguments, "--reset");
	bool empty = arguments_has(arguments, "--empty-cache");
	int status = EX_OK;

	if (empty && !reset)
		return fail_usage(cli, "--empty-cache needs --reset: with its checkpoint a run "
				       "would not bring the removed records back");
	if (reset)
		status = ask_yes(cli, "Forget the checkpoint%s of %d sync%s",
				 empty ? " and remove the records" : "", arguments->word_count,
				 arguments->word_count == 1 ? "" : "s");
	if (status != EX_OK)
		return status;
	return steer(cli, arguments, "trigger",
		     empty   ? "{\"reset\":true,\"emptyCache\":true}"
		     : reset ? "{\"reset\":true}"
			     : "{}",
		     true);
}
