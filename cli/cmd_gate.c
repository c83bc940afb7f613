/* cli/cmd_gate.c - sluice gate: which providers do not want to be asked now, and until when. */
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "cli/arguments.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/table.h"
#include "cli/trouble.h"

enum { GATE_PATH_MAX = 16 << 10 };

static void
add_gate(struct table *table, struct json_value gate)
{
	int64_t closed_ms = 0;

	table_json(table, json_get(gate, "environment"));
	table_json(table, json_get(gate, "integration"));
	table_json(table, json_get(gate, "connection"));
	(void)json_int(json_get(gate, "closed_ms"), &closed_ms);
	table_styled(table, closed_ms > 0 ? STYLE_WARN : STYLE_PLAIN,
		     closed_ms > 0 ? "closed" : "open");
	if (closed_ms > 0)
		table_span(table, json_get(gate, "closed_ms"));
	else
		table_text(table, NULL);
	table_json(table, json_get(gate, "remaining"));
	table_span(table, json_get(gate, "reset_ms"));
	table_json(table, json_get(gate, "fits"));
	table_json(table, json_get(gate, "in_flight"));
	table_json(table, json_get(gate, "waiting_here"));
	table_json(table, json_get(gate, "learnt_from"));
}

int
cmd_gate_ls(struct cli *cli, const struct arguments *arguments)
{
	struct table *table;
	struct answer answer;
	struct json_iter it;
	struct buf path;
	int status;

	buf_init(&path, GATE_PATH_MAX);
	buf_add_text(&path, "/admin/v1/gates");
	if (arguments->word_count > 0)
		path_query(&path, "environment", arguments->words[0]);
	status = client_need(cli, "GET", path.data, NULL, &answer);
	if (status == EX_OK && cli->json) {
		print_json(stdout, answer.json.raw);
	} else if (status == EX_OK) {
		table =
		    table_new("ENVIRONMENT INTEGRATION CONNECTION STATE >OPENS >REMAINING >RESET "
			      ">FITS >IN-FLIGHT >WAITING FROM");
		json_iter_init(&it, json_get(answer.json, "gates"));
		while (json_iter_next(&it))
			add_gate(table, it.value);
		json_iter_fini(&it);
		if (table_rows(table) > 0)
			table_print(table, stdout);
		else
			puts("no window of a provider is known");
		table_free(table);
		if (json_is_yes(json_get(answer.json, "more")))
			puts("(there are more)");
	}
	answer_fini(&answer);
	buf_fini(&path);
	return status;
}

int
cmd_gate_clear(struct cli *cli, const struct arguments *arguments)
{
	struct answer answer = {0};
	int64_t cleared = 0;
	int status = EX_OK;
	struct buf path;

	for (int i = 0; i < arguments->word_count; i++)
		if (!path_can_be(arguments->words[i]))
			return fail_usage(cli, "ENV, INTEGRATION and CONNECTION must be names");
	buf_init(&path, GATE_PATH_MAX);
	buf_add_text(&path, "/admin/v1/gates");
	for (int i = 0; i < arguments->word_count; i++)
		path_add(&path, arguments->words[i]);
	status = client_need(cli, "DELETE", path.data, NULL, &answer);
	if (status == EX_OK && cli->json) {
		print_json(stdout, answer.json.raw);
	} else if (status == EX_OK) {
		(void)json_int(json_get(answer.json, "cleared"), &cleared);
		printf("%lld window%s forgotten\n", (long long)cleared, cleared == 1 ? "" : "s");
	}
	answer_fini(&answer);
	buf_fini(&path);
	return status;
}
