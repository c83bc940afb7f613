/* cli/cmd_worker.c - sluice worker: the nodes of the fleet, and which of them take work. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli/arguments.h"
#include "cli/ask.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/table.h"
#include "cli/trouble.h"

enum { PATH_ROOM = 4096, POLL_FIRST_MS = 100, POLL_MOST_MS = 1000, WAIT_MAX_S = 7 * 86400 };

struct chosen {       /* names of workers, whole */
	char **names; /* owned, and each of them */
	int count;
};

static void
chosen_fini(struct chosen *chosen)
{
	for (int i = 0; i < chosen->count; i++)
		free(chosen->names[i]);
	free(chosen->names);
}

static void
chosen_add(struct chosen *chosen, const char *name)
{
	chosen->names =
	    sl_realloc(chosen->names, ((size_t)chosen->count + 1) * sizeof(*chosen->names));
	chosen->names[chosen->count++] = sl_strdup(name);
}

/* ---- the list --------------------------------------------------------------------------------- */

static enum print_style
state_style(const char *state)
{
	if (strcmp(state, "lost") == 0)
		return STYLE_BAD;
	return strcmp(state, "live") == 0 ? STYLE_GOOD : STYLE_WARN;
}

static void
add_worker(struct table *table, struct json_value worker, int64_t now_ms)
{
	char *state = json_text(json_get(worker, "state"), NULL), roles[80] = "";
	int64_t running = 0, runners = 0;
	struct json_iter it;

	json_iter_init(&it, json_get(worker, "roles"));
	while (json_iter_next(&it)) {
		char *role = json_text(it.value, NULL);
		size_t used = strlen(roles);

		snprintf(roles + used, sizeof(roles) - used, "%s%s", used > 0 ? "," : "",
			 role != NULL ? role : "?");
		free(role);
	}
	json_iter_fini(&it);
	table_json(table, json_get(worker, "name"));
	table_styled(table, state != NULL ? state_style(state) : STYLE_PLAIN, state);
	table_printf(table, "%s%s", roles,
		     json_is_yes(json_get(worker, "leads")) ? " (leads)" : "");
	if (json_int(json_get(worker, "running"), &running) &&
	    json_int(json_get(worker, "runners"), &runners))
		table_printf(table, "%lld/%lld", (long long)running, (long long)runners);
	else
		table_text(table, NULL);
	table_json(table, json_get(worker, "calls"));
	table_json(table, json_get(worker, "version"));
	table_since(table, json_get(worker, "started_at"), now_ms);
	table_span(table, json_get(worker, "seen_ms"));
	free(state);
}

static void
print_workers(struct json_value workers)
{
	struct table *table = table_new("NAME STATE ROLES >RUNNING >CALLS VERSION >UP >SEEN");
	int64_t now_ms = clock_wall_ms();
	struct json_iter it;

	json_iter_init(&it, workers);
	while (json_iter_next(&it))
		add_worker(table, it.value, now_ms);
	json_iter_fini(&it);
	table_print(table, stdout);
	table_free(table);
}

int
cmd_worker_ls(struct cli *cli, const struct arguments *arguments)
{
	struct answer answer;
	int status = client_need(cli, "GET", "/admin/v1/workers", NULL, &answer);

	(void)arguments;
	if (status == EX_OK && cli->json)
		print_json(stdout, answer.json.raw);
	else if (status == EX_OK)
		print_workers(json_get(answer.json, "workers"));
	answer_fini(&answer);
	return status;
}

/* ---- which are meant -------------------------------------------------------------------------- */

/* The one whose name is word or alone begins with it. */
static int
choose_one(const struct cli *cli, struct json_value workers, const char *word,
	   struct chosen *chosen)
{
	char *found = NULL, *other = NULL;
	struct json_iter it;
	int status = EX_OK;

	json_iter_init(&it, workers);
	while (json_iter_next(&it)) {
		char *name = json_text(json_get(it.value, "name"), NULL);
		bool whole = name != NULL && strcmp(name, word) == 0;

		if (whole) { /* even when another one begins with it */
			free(other);
			other = NULL;
			free(found);
			found = name;
			break;
		}
		if (name == NULL || strncmp(name, word, strlen(word)) != 0) {
			free(name);
		} else if (found == NULL) {
			found = name;
		} else {
			free(other);
			other = name;
		}
	}
	json_iter_fini(&it);
	if (found == NULL)
		status =
		    fail(cli, EX_NOINPUT, "not_found",
			 "no worker's name begins with %.63s; `sluice worker ls` has them", word);
	else if (other != NULL)
		status = fail_usage(cli, "%.63s may be %.63s or %.63s: write more of it", word,
				    found, other);
	else
		chosen_add(chosen, found);
	free(found);
	free(other);
	return status;
}

/* All nodes with the role worker whose state is one of states (words between blanks). */
static void
choose_all(struct json_value workers, const char *states, struct chosen *chosen)
{
	struct json_iter it, role;

	json_iter_init(&it, workers);
	while (json_iter_next(&it)) {
		char *name = json_text(json_get(it.value, "name"), NULL);
		char *state = json_text(json_get(it.value, "state"), NULL);
		bool works = false;

		json_iter_init(&role, json_get(it.value, "roles"));
		while (json_iter_next(&role))
			works = works || slice_is(role.value.raw, "\"worker\"");
		json_iter_fini(&role);
		if (works && name != NULL && state != NULL && strstr(states, state) != NULL)
			chosen_add(chosen, name);
		free(name);
		free(state);
	}
	json_iter_fini(&it);
}

static int
choose(struct cli *cli, const struct arguments *arguments, const char *states,
       struct chosen *chosen)
{
	bool all = arguments_has(arguments, "--all");
	struct json_value workers;
	struct answer answer;
	int status;

	if (all == (arguments->word_count > 0))
		return fail_usage(cli, "say which: names of workers, or --all");
	status = client_need(cli, "GET", "/admin/v1/workers", NULL, &answer);
	workers = json_get(answer.json, "workers");
	for (int i = 0; i < arguments->word_count && status == EX_OK; i++)
		status = choose_one(cli, workers, arguments->words[i], chosen);
	if (status == EX_OK && all)
		choose_all(workers, states, chosen);
	answer_fini(&answer);
	return status;
}

/* ---- quiet and release ------------------------------------------------------------------------ */

/* POSTs the verb to each; their rows are added to out, a JSON array without its brackets.  resolved: jobs
 * that were taken from lost ones. */
static int
steer(struct cli *cli, const struct chosen *chosen, const char *verb, const char *body,
      struct buf *out, int64_t *resolved)
{
	struct buf text;
	int status = EX_OK;

	buf_init(&text, 64);
	buf_add_text(&text, body);
	for (int i = 0; i < chosen->count && status == EX_OK; i++) {
		struct answer answer;
		struct buf path;
		int64_t jobs;

		buf_init(&path, PATH_ROOM);
		buf_add_text(&path, "/admin/v1/workers");
		path_add(&path, chosen->names[i]);
		path_add(&path, verb);
		status = client_need(cli, "POST", path.data, &text, &answer);
		if (status == EX_OK) {
			if (out->len > 0)
				buf_add_char(out, ',');
			buf_add_slice(out, json_get(answer.json, "worker").raw);
			if (json_int(json_get(answer.json, "resolved"), &jobs))
				*resolved += jobs;
		}
		answer_fini(&answer);
		buf_fini(&path);
	}
	buf_fini(&text);
	return status;
}

/* {"workers":[rows],"resolved":n}, or the table. */
static void
print_rows(const struct cli *cli, const struct buf *rows, int64_t resolved)
{
	struct buf out;

	buf_init(&out, rows->len + 64);
	buf_printf(&out, "{\"workers\":[");
	buf_add_slice(&out, buf_slice(rows));
	buf_printf(&out, "],\"resolved\":%lld}", (long long)resolved);
	if (!cli->json && resolved > 0)
		printf("%lld jobs of lost sessions were taken back\n", (long long)resolved);
	if (cli->json)
		print_json(stdout, buf_slice(&out));
	else
		print_workers(
		    json_get((struct json_value){JSON_OBJECT_, buf_slice(&out)}, "workers"));
	buf_fini(&out);
}

/* What the chosen ones still run; their rows replace those of out. */
static int64_t
still_running(struct json_value workers, const struct chosen *chosen, struct buf *out)
{
	int64_t sum = 0;
	struct json_iter it;

	buf_clear(out);
	json_iter_init(&it, workers);
	while (json_iter_next(&it)) {
		char *name = json_text(json_get(it.value, "name"), NULL);
		char *state = json_text(json_get(it.value, "state"), NULL);
		int64_t running = 0, calls = 0;
		bool mine = false;

		for (int i = 0; i < chosen->count && name != NULL; i++)
			mine = mine || strcmp(chosen->names[i], name) == 0;
		if (mine) {
			buf_printf(out, "%s", out->len > 0 ? "," : "");
			buf_add_slice(out, it.value.raw);
			(void)json_int(json_get(it.value, "running"), &running);
			(void)json_int(json_get(it.value, "calls"), &calls);
		}
		if (state == NULL ||
		    strcmp(state, "lost") != 0) /* a lost one's figures stay as they were */
			sum += running + calls; /* 0 of those that were not chosen */
		free(name);
		free(state);
	}
	json_iter_fini(&it);
	return sum;
}

static int
wait_idle(struct cli *cli, const struct chosen *chosen, int64_t wait_s, struct buf *rows)
{
	int64_t until_ms = clock_mono_ms() + wait_s * 1000, pause_ms = POLL_FIRST_MS, left = 0;
	struct answer answer;
	int status;

	for (;;) {
		status = client_need(cli, "GET", "/admin/v1/workers", NULL, &answer);
		if (status == EX_OK)
			left = still_running(json_get(answer.json, "workers"), chosen, rows);
		answer_fini(&answer);
		if (status != EX_OK || left == 0 || clock_mono_ms() >= until_ms)
			break;
		client_pause(cli, pause_ms);
		pause_ms = pause_ms * 2 < POLL_MOST_MS ? pause_ms * 2 : POLL_MOST_MS;
	}
	if (status == EX_OK && left > 0)
		return fail(
		    cli, EX_TEMPFAIL, "still_running",
		    "%lld jobs and calls still run after %lld s; the workers stay quiet, and what "
		    "runs goes on",
		    (long long)left, (long long)wait_s);
	return status;
}

int
cmd_worker_quiet(struct cli *cli, const struct arguments *arguments)
{
	struct chosen chosen = {0};
	struct sl_error error;
	int64_t wait_s = 0, resolved = 0;
	struct buf rows;
	int status;

	if (arguments_int(arguments, "--wait", 1, WAIT_MAX_S, &wait_s, &error) != SL_OK)
		return fail_usage(cli, "%s", error.text);
	buf_init(&rows, 64 << 20);
	status = choose(cli, arguments, "live starting quiet", &chosen);
	if (status == EX_OK)
		status = steer(cli, &chosen, "quiet", "{}", &rows, &resolved);
	if (status == EX_OK && wait_s > 0)
		status = wait_idle(cli, &chosen, wait_s, &rows);
	if (status == EX_OK)
		print_rows(cli, &rows, resolved);
	buf_fini(&rows);
	chosen_fini(&chosen);
	return status;
}

int
cmd_worker_release(struct cli *cli, const struct arguments *arguments)
{
	bool force = arguments_has(arguments, "--force");
	struct chosen chosen = {0};
	int64_t resolved = 0;
	struct buf rows;
	int status;

	if (force && arguments_has(arguments, "--all"))
		return fail_usage(cli, "--force takes names, not --all");
	buf_init(&rows, 64 << 20);
	status = choose(cli, arguments, "quiet", &chosen);
	if (status == EX_OK && force)
		status = ask_yes(cli, "End the session of %s%s: what runs there is taken as lost",
				 chosen.names[0], chosen.count > 1 ? " and others" : "");
	if (status == EX_OK)
		status = steer(cli, &chosen, "release", force ? "{\"force\":true}" : "{}", &rows,
			       &resolved);
	if (status == EX_OK)
		print_rows(cli, &rows, resolved);
	buf_fini(&rows);
	chosen_fini(&chosen);
	return status;
}
