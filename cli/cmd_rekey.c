/* cli/cmd_rekey.c - sluice rekey: everything sealed anew under the first encryption key. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli/arguments.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/table.h"
#include "cli/trouble.h"

enum { POLL_FIRST_MS = 100, POLL_MOST_MS = 1000, WAIT_MAX_S = 7 * 86400 };

static bool
text_is(struct json_value value, const char *text)
{
	char *found = json_text(value, NULL);
	bool same = found != NULL && strcmp(found, text) == 0;

	free(found);
	return same;
}

static void
print_pass(struct json_value pass, int64_t now_ms)
{
	if (pass.type != JSON_OBJECT_) {
		puts("no pass yet: sluice rekey begins one");
		return;
	}
	print_member("pass", json_get(pass, "state"), "");
	print_member("key", json_get(pass, "key"), "");
	print_member("node", json_get(pass, "node"), "");
	if (!text_is(json_get(pass, "state"), "finished"))
		print_member("at", json_get(pass, "at"), "");
	print_member("checked", json_get(pass, "checked"), "");
	print_member("sealed", json_get(pass, "sealed"), "");
	print_member("failed", json_get(pass, "failed"), "");
	print_member_time("started", json_get(pass, "started_at"), now_ms);
	print_member_time("finished", json_get(pass, "finished_at"), now_ms);
}

static void
print_nodes(struct json_value nodes, struct json_value key)
{
	struct table *table = table_new("NODE KEYS");
	char *first = json_text(key, NULL);
	struct json_iter it, one;

	json_iter_init(&it, nodes);
	while (json_iter_next(&it)) {
		char keys[400] = "";
		size_t used = 0;

		json_iter_init(&one, json_get(it.value, "keys"));
		while (json_iter_next(&one) && used < sizeof(keys) - 40) {
			char *id = json_text(one.value, NULL);

			used += (size_t)snprintf(keys + used, sizeof(keys) - used, "%s%.16s%s",
						 used > 0 ? " " : "", id != NULL ? id : "?",
						 used == 0 ? " (seals)" : "");
			free(id);
		}
		json_iter_fini(&one);
		table_json(table, json_get(it.value, "name"));
		if (json_is_yes(json_get(it.value, "lost")))
			table_styled(table, STYLE_BAD, "lost");
		else
			table_styled(table,
				     first != NULL && strncmp(keys, first, strlen(first)) == 0
					 ? STYLE_GOOD
					 : STYLE_WARN,
				     used > 0 ? keys : "an earlier release: not told");
	}
	json_iter_fini(&it);
	table_print(table, stdout);
	table_free(table);
	free(first);
}

static void
print_values(struct json_value values)
{
	struct table *table = table_new("WHAT KEY >VALUES");
	struct json_iter it, one;

	json_iter_init(&it, values);
	while (json_iter_next(&it)) {
		struct json_value keys = json_get(it.value, "keys");

		if (keys.type != JSON_OBJECT_) {
			table_json(table, json_get(it.value, "kind"));
			table_styled(table, STYLE_WARN,
				     "not counted: too many, or the ledger is away");
			table_text(table, NULL);
			continue;
		}
		json_iter_init(&one, keys);
		while (json_iter_next(&one)) {
			table_json(table, json_get(it.value, "kind"));
			table_text(table, one.key);
			table_json(table, one.value);
		}
		json_iter_fini(&one);
	}
	json_iter_fini(&it);
	table_print(table, stdout);
	table_free(table);
}

static int
show(struct cli *cli)
{
	struct answer answer;
	int status = client_need(cli, "GET", "/admin/v1/rekey", NULL, &answer);

	if (status == EX_OK && cli->json) {
		print_json(stdout, answer.json.raw);
	} else if (status == EX_OK) {
		print_pass(json_get(answer.json, "pass"), clock_wall_ms());
		putchar('\n');
		print_nodes(json_get(answer.json, "nodes"), json_get(answer.json, "key"));
		putchar('\n');
		print_values(json_get(answer.json, "values"));
	}
	answer_fini(&answer);
	return status;
}

/* Until it is not running any more; answer holds what was said last. */
static int
wait_for(struct cli *cli, int64_t seconds, struct answer *answer)
{
	int64_t until_ms = clock_mono_ms() + seconds * 1000, pause_ms = POLL_FIRST_MS;
	int status = EX_OK;

	while (status == EX_OK &&
	       !text_is(json_get(json_get(answer->json, "pass"), "state"), "finished")) {
		if (clock_mono_ms() >= until_ms)
			return fail(cli, EX_TEMPFAIL, "timeout",
				    "not finished after %lld s; it goes on: sluice rekey --status",
				    (long long)seconds);
		client_pause(cli, pause_ms);
		pause_ms = pause_ms * 2 > POLL_MOST_MS ? POLL_MOST_MS : pause_ms * 2;
		answer_fini(answer);
		status = client_need(cli, "GET", "/admin/v1/rekey?count=false", NULL, answer);
		if (status == EX_OK &&
		    text_is(json_get(json_get(answer->json, "pass"), "state"), "interrupted"))
			return fail(cli, EX_TEMPFAIL, "interrupted",
				    "the pass was interrupted; its node's log says why, and sluice "
				    "rekey goes on with it");
	}
	return status;
}

int
cmd_rekey(struct cli *cli, const struct arguments *arguments)
{
	int64_t seconds = 0, failed = 0;
	struct sl_error error;
	struct answer answer;
	int status;

	if (arguments_has(arguments, "--status"))
		return arguments_has(arguments, "--wait")
			   ? fail_usage(cli, "--status begins nothing that could be waited for")
			   : show(cli);
	if (arguments_int(arguments, "--wait", 1, WAIT_MAX_S, &seconds, &error) != SL_OK)
		return fail_usage(cli, "%s", error.text);
	status = client_need(cli, "POST", "/admin/v1/rekey", NULL, &answer);
	if (status == EX_OK && seconds > 0)
		status = wait_for(cli, seconds, &answer);
	if (status == EX_OK && cli->json)
		print_json(stdout, answer.json.raw);
	else if (status == EX_OK)
		print_pass(json_get(answer.json, "pass"), clock_wall_ms());
	if (status == EX_OK &&
	    json_int(json_get(json_get(answer.json, "pass"), "failed"), &failed) && failed > 0 &&
	    seconds > 0)
		status = fail(cli, EX_DATAERR, "not_opened",
			      "%lld values are still under another key: sluice rekey --status has "
			      "which, the log of the node why",
			      (long long)failed);
	answer_fini(&answer);
	return status;
}
