/* cli/cmd_dead.c - sluice dead: jobs that were set aside because they killed what ran them. */
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
#include "cli/table.h"
#include "cli/trouble.h"

enum { PATH_ROOM = 16 << 10, BODY_ROOM = 64 << 10 };

/* ---- looking ---------------------------------------------------------------------------------- */

static void
add_signal(struct table *table, struct json_value value)
{
	int64_t number;

	if (!json_int(value, &number))
		table_text(table, NULL);
	else if (number == 9)
		table_text(table, "KILL"); /* by the kernel (memory), or by us (time) */
	else
		table_printf(table, "%lld", (long long)number);
}

static void
add_memory(struct table *table, struct json_value value)
{
	int64_t bytes;

	if (json_int(value, &bytes))
		table_printf(table, "%lld MiB", (long long)(bytes + (1 << 19)) >> 20);
	else
		table_text(table, NULL);
}

static void
print_dead(struct json_value rows)
{
	struct table *table =
	    table_new("JOB ENVIRONMENT FUNCTION >DEATHS SIGNAL >MEMORY >REPLAYS >AGE LAST-CALL");
	int64_t now_ms = clock_wall_ms();
	struct json_iter it;

	json_iter_init(&it, rows);
	while (json_iter_next(&it)) {
		char *integration = json_text(json_get(it.value, "integration"), NULL);
		char *function = json_text(json_get(it.value, "function"), NULL);

		table_json(table, json_get(it.value, "id"));
		table_json(table, json_get(it.value, "environment"));
		if (integration != NULL && function != NULL)
			table_printf(table, "%s/%s", integration, function);
		else
			table_text(table, function);
		table_json(table, json_get(it.value, "deaths"));
		add_signal(table, json_get(it.value, "signal"));
		add_memory(table, json_get(it.value, "memory"));
		table_json(table, json_get(it.value, "replays"));
		table_since(table, json_get(it.value, "at"), now_ms);
		table_json(table, json_get(it.value, "last_call"));
		free(integration);
		free(function);
	}
	json_iter_fini(&it);
	if (table_rows(table) > 0)
		table_print(table, stdout);
	else
		puts("no job was set aside");
	table_free(table);
}

static void
print_next(struct json_value next)
{
	char *text = json_text(next, NULL);

	if (text != NULL) {
		fputs("more: --before ", stdout);
		print_text(stdout, slice_text(text));
		fputc('\n', stdout);
	}
	free(text);
}

int
cmd_dead_ls(struct cli *cli, const struct arguments *arguments)
{
	struct answer answer;
	struct sl_error error;
	int64_t limit = 50;
	char number[24];
	struct buf path;
	int status;

	if (arguments_int(arguments, "--limit", 1, 1000, &limit, &error) != SL_OK)
		return fail_usage(cli, "%s", error.text);
	snprintf(number, sizeof(number), "%lld", (long long)limit);
	buf_init(&path, PATH_ROOM);
	buf_add_text(&path, "/admin/v1/dead");
	path_query(&path, "limit", number);
	if (arguments->word_count > 0)
		path_query(&path, "environment", arguments->words[0]);
	path_query(&path, "before", arguments_text(arguments, "--before"));
	status = client_need(cli, "GET", path.data, NULL, &answer);
	if (status == EX_OK && cli->json) {
		print_json(stdout, answer.json.raw);
	} else if (status == EX_OK) {
		print_dead(json_get(answer.json, "data"));
		print_next(json_get(answer.json, "next"));
	}
	answer_fini(&answer);
	buf_fini(&path);
	return status;
}

static void
print_history(struct json_value row)
{
	struct table *table = table_new("WHEN CAUSE SIGNAL >MEMORY LAST-CALL");
	struct json_iter it;

	json_iter_init(&it, json_get(row, "history"));
	while (json_iter_next(&it)) {
		table_json(table, json_get(it.value, "at"));
		table_json(table, json_get(it.value, "cause"));
		add_signal(table, json_get(it.value, "signal"));
		add_memory(table, json_get(it.value, "memory"));
		table_json(table, json_get(it.value, "last_call"));
	}
	json_iter_fini(&it);
	if (table_rows(table) > 0) {
		fputc('\n', stdout);
		table_print(table, stdout);
	}
	table_free(table);
}

int
cmd_dead_show(struct cli *cli, const struct arguments *arguments)
{
	const char *id = arguments->words[0];
	struct answer answer;
	struct buf path;
	int status;

	if (!uuid_parse(slice_text(id), NULL))
		return fail_usage(cli, "%.60s is no job's id", id);
	buf_init(&path, PATH_ROOM);
	buf_add_text(&path, "/admin/v1/dead");
	path_add(&path, id);
	status = client_need(cli, "GET", path.data, NULL, &answer);
	if (status == EX_OK && cli->json) {
		print_json(stdout, answer.json.raw);
	} else if (status == EX_OK) {
		struct json_value row = json_get(answer.json, "data");
		struct buf list;

		buf_init(&list, row.raw.len + 8);
		buf_add_char(&list, '[');
		buf_add_slice(&list, row.raw);
		buf_add_char(&list, ']');
		print_dead((struct json_value){JSON_ARRAY_, buf_slice(&list)});
		buf_fini(&list);
		print_history(row);
	}
	answer_fini(&answer);
	buf_fini(&path);
	return status;
}

/* ---- replay and purge ------------------------------------------------------------------------- */

/* Either ids or an environment, and not both: all of them at once only when asked so. */
static int
check_choice(const struct cli *cli, const struct arguments *arguments, bool by_query)
{
	if ((arguments->word_count > 0) == by_query)
		return fail_usage(cli, "say which: either ids of jobs, or --environment ENV");
	for (int i = 0; i < arguments->word_count; i++)
		if (!uuid_parse(slice_text(arguments->words[i]), NULL))
			return fail_usage(cli, "%.60s is no job's id", arguments->words[i]);
	return EX_OK;
}

static void
write_ids(struct json_writer *w, const struct arguments *arguments)
{
	jw_key(w, "ids");
	jw_array(w);
	for (int i = 0; i < arguments->word_count; i++)
		jw_text(w, arguments->words[i]);
	jw_array_end(w);
}

static int
print_replayed(struct json_value rows)
{
	int status = EX_OK;
	struct json_iter it;

	json_iter_init(&it, rows);
	while (json_iter_next(&it)) {
		char *id = json_text(json_get(it.value, "id"), NULL);
		char *new_id = json_text(json_get(it.value, "new_id"), NULL);
		char *why = json_text(json_path(it.value, "error.message"), NULL);

		print_text(stdout, slice_text(id));
		fputs(new_id != NULL ? " runs again as " : " is not replayed: ", stdout);
		print_text(stdout, slice_text(new_id != NULL ? new_id : why));
		fputc('\n', stdout);
		if (new_id == NULL)
			status = EX_DATAERR;
		free(id);
		free(new_id);
		free(why);
	}
	json_iter_fini(&it);
	return status;
}

int
cmd_dead_replay(struct cli *cli, const struct arguments *arguments)
{
	bool by_environment = arguments_has(arguments, "--environment");
	struct sl_error error;
	struct answer answer;
	struct json_writer w;
	int64_t limit = 100;
	struct buf body;
	int status = check_choice(cli, arguments, by_environment);

	if (status != EX_OK)
		return status;
	if (arguments_int(arguments, "--limit", 1, 1000, &limit, &error) != SL_OK)
		return fail_usage(cli, "%s", error.text);
	buf_init(&body, BODY_ROOM);
	jw_init(&w, &body);
	jw_object(&w);
	if (by_environment) {
		jw_member_text(&w, "environment", arguments_text(arguments, "--environment"));
		jw_member_int(&w, "limit", limit);
	} else {
		write_ids(&w, arguments);
	}
	jw_object_end(&w);
	status = client_need(cli, "POST", "/admin/v1/dead/replay", &body, &answer);
	if (status == EX_OK && cli->json) {
		print_json(stdout, answer.json.raw);
	} else if (status == EX_OK) {
		if (json_get(json_path(answer.json, "data.0"), "id").type == JSON_NONE)
			puts("no job was set aside");
		status = print_replayed(json_get(answer.json, "data"));
	}
	answer_fini(&answer);
	buf_fini(&body);
	return status;
}

static int
ask_purge(const struct cli *cli, const struct arguments *arguments)
{
	const char *environment = arguments_text(arguments, "--environment");
	const char *before = arguments_text(arguments, "--before");

	if (arguments->word_count > 0)
		return ask_yes(cli, "Take %d jobs off the dead list", arguments->word_count);
	return ask_yes(cli, "Take all jobs of %.80s%s%.40s off the dead list",
		       environment != NULL ? environment : "every environment",
		       before != NULL ? " that died before " : "", before != NULL ? before : "");
}

int
cmd_dead_purge(struct cli *cli, const struct arguments *arguments)
{
	bool by_query =
	    arguments_has(arguments, "--environment") || arguments_has(arguments, "--before");
	struct answer answer;
	struct json_writer w;
	struct buf body, path;
	int64_t deleted = 0;
	int status = check_choice(cli, arguments, by_query);

	if (status == EX_OK)
		status = ask_purge(cli, arguments);
	if (status != EX_OK)
		return status;
	buf_init(&body, BODY_ROOM);
	buf_init(&path, PATH_ROOM);
	buf_add_text(&path, "/admin/v1/dead");
	path_query(&path, "environment", arguments_text(arguments, "--environment"));
	path_query(&path, "before", arguments_text(arguments, "--before"));
	jw_init(&w, &body);
	jw_object(&w);
	if (!by_query)
		write_ids(&w, arguments);
	jw_object_end(&w);
	status = client_need(cli, "DELETE", path.data, by_query ? NULL : &body, &answer);
	if (status == EX_OK && cli->json)
		print_json(stdout, answer.json.raw);
	else if (status == EX_OK && json_int(json_get(answer.json, "deleted"), &deleted))
		printf("%lld taken off the dead list; their results stay\n", (long long)deleted);
	answer_fini(&answer);
	buf_fini(&body);
	buf_fini(&path);
	return status;
}
