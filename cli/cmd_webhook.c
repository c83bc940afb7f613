/* cli/cmd_webhook.c - sluice webhook: what is sent to the apps, how they answered, and sending it again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/secret.h"
#include "cli/arguments.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/table.h"
#include "cli/trouble.h"

enum { PATH_ROOM = 32 << 10, BODY_ROOM = 64 << 10, ROWS_ROOM = 64 << 20, PAGE = 1000 };

#define TEST_MS 30000 /* to wait for a test: an endpoint has delivery_timeout (20 s) to answer */

#define ENDPOINTS_MAX 100000 /* that are shown */

static enum print_style
state_style(const char *state)
{
	if (strcmp(state, "delivered") == 0 || strcmp(state, "active") == 0)
		return STYLE_GOOD;
	if (strcmp(state, "exhausted") == 0 || strcmp(state, "paused") == 0)
		return STYLE_BAD;
	return strcmp(state, "pending") == 0 || strcmp(state, "unset") == 0 ? STYLE_PLAIN
									    : STYLE_WARN;
}

static void
add_state(struct table *table, struct json_value value)
{
	char *text = json_text(value, NULL);

	table_styled(table, text != NULL ? state_style(text) : STYLE_PLAIN, text);
	free(text);
}

/* The status of a try, or why it has none. */
static void
add_outcome(struct table *table, struct json_value try)
{
	int64_t status;

	if (json_int(json_get(try, "status"), &status))
		table_printf(table, "%lld", (long long)status);
	else
		table_json(table, json_get(try, "failure"));
}

static void
print_deliveries(struct json_value rows)
{
	struct table *table =
	    table_new("DELIVERY STATE >TRIES ANSWER NEXT >AGE TYPE ENVIRONMENT CONNECTION URL");
	int64_t now_ms = clock_wall_ms();
	struct json_iter it;

	json_iter_init(&it, rows);
	while (json_iter_next(&it)) {
		table_json(table, json_get(it.value, "id"));
		add_state(table, json_get(it.value, "state"));
		table_json(table, json_get(it.value, "tries"));
		add_outcome(table, json_get(it.value, "last_try"));
		table_since(table, json_get(it.value, "next_try_at"), now_ms);
		table_since(table, json_get(it.value, "created_at"), now_ms);
		table_json(table, json_get(it.value, "type"));
		table_json(table, json_get(it.value, "environment"));
		table_json(table, json_get(it.value, "connection_id"));
		table_json(table, json_path(it.value, "endpoint.url"));
	}
	json_iter_fini(&it);
	if (table_rows(table) > 0)
		table_print(table, stdout);
	else
		puts("there is no such delivery");
	table_free(table);
}

/* "paused: gone", or the state alone. */
static void
add_endpoint_state(struct table *table, struct json_value endpoint)
{
	char *state = json_text(json_get(endpoint, "state"), NULL);
	char *cause = json_text(json_path(endpoint, "paused.cause"), NULL);
	char text[80];

	snprintf(text, sizeof(text), "%s%s%s", state != NULL ? state : "-",
		 cause != NULL ? ": " : "", cause != NULL ? cause : "");
	table_styled(table, state != NULL ? state_style(state) : STYLE_PLAIN, text);
	free(cause);
	free(state);
}

static void
print_endpoints(struct json_value rows)
{
	struct table *table = table_new(
	    "ENDPOINT STATE >FAILURES >FAILING RETRY >PENDING >OLDEST KIND ENVIRONMENT URL");
	int64_t now_ms = clock_wall_ms();
	struct json_iter it;

	json_iter_init(&it, rows);
	while (json_iter_next(&it)) {
		table_json(table, json_get(it.value, "id"));
		add_endpoint_state(table, it.value);
		table_json(table, json_get(it.value, "failures"));
		table_since(table, json_get(it.value, "failing_since"), now_ms);
		table_since(table, json_get(it.value, "retry_at"), now_ms);
		table_json(table, json_get(it.value, "pending"));
		table_since(table, json_get(it.value, "oldest_pending_at"), now_ms);
		table_json(table, json_get(it.value, "kind"));
		table_json(table, json_get(it.value, "environment"));
		table_json(table, json_get(it.value, "url"));
	}
	json_iter_fini(&it);
	if (table_rows(table) > 0)
		table_print(table, stdout);
	else
		puts("there is no such endpoint");
	table_free(table);
}

/* ---- lists ------------------------------------------------------------------------------------ */

/* What is listed: its path under /admin/v1/webhooks is also the name of the rows in the answer. */
struct list {
	const char *name;
	void (*print)(struct json_value rows);
	int64_t limit;
	struct buf rows; /* the rows that are there, with commas */
	char *next;      /* owned: where to go on; NULL: that is all */
};

static const struct list deliveries = {.name = "deliveries", .print = print_deliveries};
static const struct list endpoints = {.name = "endpoints", .print = print_endpoints};

static void
list_fini(struct list *list)
{
	free(list->next);
	buf_fini(&list->rows);
}

static void
list_add(struct list *list, struct json_value row)
{
	if (list->rows.len > 0)
		buf_add_char(&list->rows, ',');
	buf_add_slice(&list->rows, row.raw);
	list->limit--;
}

static void
list_path(const struct list *list, const struct arguments *arguments, struct buf *path)
{
	/* The options of `webhook ls`; `webhook endpoints` has none of them. */
	static const char *const filters[] = {"endpoint", "type",   "state",
					      "since",    "before", "job"};
	char number[24], option[24];

	snprintf(number, sizeof(number), "%lld",
		 (long long)(list->limit < PAGE ? list->limit : PAGE));
	buf_clear(path);
	buf_printf(path, "/admin/v1/webhooks/%s", list->name);
	path_query(path, "limit", number);
	if (arguments->word_count > 0)
		path_query(path, "environment", arguments->words[0]);
	for (size_t i = 0;
	     arguments->command->options != NULL && i < sizeof(filters) / sizeof(filters[0]); i++) {
		snprintf(option, sizeof(option), "--%s", filters[i]);
		path_query(path, filters[i], arguments_text(arguments, option));
	}
	path_query(path, "cursor", list->next);
}

/* Pages until limit rows are there, or all. */
static int
list_collect(struct cli *cli, const struct arguments *arguments, struct list *list)
{
	int status = EX_OK;
	struct answer answer;
	struct json_iter it;
	struct buf path;

	buf_init(&path, PATH_ROOM);
	do {
		list_path(list, arguments, &path);
		free(list->next);
		list->next = NULL;
		status = client_need(cli, "GET", path.data, NULL, &answer);
		if (status == EX_OK) {
			json_iter_init(&it, json_get(answer.json, list->name));
			while (json_iter_next(&it))
				list_add(list, it.value);
			json_iter_fini(&it);
			list->next = json_text(json_get(answer.json, "next"), NULL);
		}
		answer_fini(&answer);
	} while (status == EX_OK && list->limit > 0 && list->next != NULL);
	buf_fini(&path);
	return status;
}

/* {"deliveries":[rows],"next":text}, or the table; without next when the rows are no list of the server's. */
static void
list_print(const struct cli *cli, const struct list *list, bool next)
{
	struct json_writer w;
	struct buf out;

	buf_init(&out, list->rows.len + PATH_ROOM);
	jw_init(&w, &out);
	jw_object(&w);
	jw_key(&w, list->name);
	jw_array(&w);
	buf_add_slice(&out, buf_slice(&list->rows));
	jw_array_end(&w);
	if (next)
		jw_member_text(&w, "next", list->next);
	jw_object_end(&w);
	if (cli->json)
		print_json(stdout, buf_slice(&out));
	else
		list->print(
		    json_get((struct json_value){JSON_OBJECT_, buf_slice(&out)}, list->name));
	buf_fini(&out);
	if (next && !cli->json && list->next != NULL) {
		fputs("more: --cursor ", stdout);
		print_text(stdout, slice_text(list->next));
		fputc('\n', stdout);
	}
}

int
cmd_webhook_ls(struct cli *cli, const struct arguments *arguments)
{
	const char *cursor = arguments_text(arguments, "--cursor");
	struct list list = deliveries;
	struct sl_error error;
	int status;

	list.limit = 100;
	if (arguments_int(arguments, "--limit", 1, 1000, &list.limit, &error) != SL_OK)
		return fail_usage(cli, "%s", error.text);
	list.next = cursor != NULL ? sl_strdup(cursor) : NULL;
	buf_init(&list.rows, ROWS_ROOM);
	status = list_collect(cli, arguments, &list);
	if (status == EX_OK)
		list_print(cli, &list, true);
	list_fini(&list);
	return status;
}

int
cmd_webhook_endpoints(struct cli *cli, const struct arguments *arguments)
{
	struct list list = endpoints;
	int status;

	list.limit = ENDPOINTS_MAX;
	buf_init(&list.rows, ROWS_ROOM);
	status = list_collect(cli, arguments, &list);
	if (status == EX_OK)
		list_print(cli, &list, true);
	list_fini(&list);
	return status;
}

/* ---- show ------------------------------------------------------------------------------------- */

/* "/admin/v1/webhooks/NAME/ID[/verb]"; EX_USAGE when ID is none. */
static int
one_path(const struct cli *cli, const char *name, const char *id, const char *verb,
	 struct buf *path)
{
	buf_clear(path);
	if (!uuid_parse(slice_text(id), NULL))
		return fail_usage(cli, "%.60s is no id; `sluice webhook %s` shows them", id,
				  strcmp(name, "endpoints") == 0 ? "endpoints" : "ls");
	buf_printf(path, "/admin/v1/webhooks/%s", name);
	path_add(path, id);
	if (verb != NULL)
		path_add(path, verb);
	return EX_OK;
}

static void
print_headers(const char *name, struct json_value headers)
{
	struct json_iter it;

	if (headers.type != JSON_OBJECT_)
		return;
	json_iter_init(&it, headers);
	while (json_iter_next(&it)) {
		size_t len = 0;
		char *text = json_text(it.value, &len);

		printf("%-12s ", name);
		print_text(stdout, (struct slice){it.key, it.key_len});
		fputs(": ", stdout);
		print_text(stdout, text != NULL ? (struct slice){text, len} : it.value.raw);
		fputc('\n', stdout);
		free(text);
		name = "";
	}
	json_iter_fini(&it);
}

static void
print_answer(struct json_value answer)
{
	print_headers("answered", json_get(answer, "headers"));
	print_member("body", json_get(answer, "body"),
		     json_is_yes(json_get(answer, "truncated")) ? "  (there was more)" : "");
}

static void
print_attempts(struct json_value attempts)
{
	struct table *table = table_new(">TRY AT >TOOK ANSWER NODE URL DETAIL");
	struct json_iter it;

	json_iter_init(&it, attempts);
	while (json_iter_next(&it)) {
		table_json(table, json_get(it.value, "number"));
		table_json(table, json_get(it.value, "at"));
		table_span(table, json_get(it.value, "took_ms"));
		add_outcome(table, it.value);
		table_json(table, json_get(it.value, "node"));
		table_json(table, json_get(it.value, "url"));
		table_json(table, json_get(it.value, "detail"));
	}
	json_iter_fini(&it);
	if (table_rows(table) > 0) {
		fputc('\n', stdout);
		table_print(table, stdout);
	}
	table_free(table);
}

/* The newest try is the last one: they are in the order of their numbers. */
static struct json_value
last_of(struct json_value attempts)
{
	struct json_value last = {0};
	struct json_iter it;

	json_iter_init(&it, attempts);
	while (json_iter_next(&it))
		last = it.value;
	json_iter_fini(&it);
	return last;
}

static void
print_delivery(struct json_value answer)
{
	struct json_value row = json_get(answer, "delivery"), request = json_get(row, "request");
	struct json_value attempts = json_get(answer, "attempts");
	int64_t now_ms = clock_wall_ms();

	if (attempts.type == JSON_NONE)
		attempts = json_get(row, "attempts");
	if (request.type == JSON_NONE)
		request = json_get(answer, "request");
	print_member("delivery", json_get(row, "id"), "");
	print_member("event", json_get(row, "event_id"), "  (the webhook-id)");
	print_member("type", json_get(row, "type"), "");
	print_member("state", json_get(row, "state"), "");
	print_member("tries", json_get(row, "tries"), "");
	print_member_time("next try", json_get(row, "next_try_at"), now_ms);
	print_member_time("created", json_get(row, "created_at"), now_ms);
	print_member_time("ended", json_get(row, "ended_at"), now_ms);
	print_member("environment", json_get(row, "environment"), "");
	print_member("integration", json_get(row, "provider_config_key"), "");
	print_member("connection", json_get(row, "connection_id"), "");
	print_member("job", json_get(row, "job"), "");
	print_member("endpoint", json_path(row, "endpoint.id"), "");
	print_member("url", json_path(row, "endpoint.url"), "");
	print_headers("request", json_get(request, "headers"));
	print_member("body", json_get(request, "body"), "");
	print_answer(json_get(last_of(attempts), "answer"));
	print_attempts(attempts);
}

int
cmd_webhook_show(struct cli *cli, const struct arguments *arguments)
{
	struct answer answer = {0};
	struct buf path;
	int status;

	buf_init(&path, PATH_ROOM);
	status = one_path(cli, "deliveries", arguments->words[0], NULL, &path);
	if (status == EX_OK)
		status = client_need(cli, "GET", path.data, NULL, &answer);
	if (status == EX_OK && cli->json)
		print_json(stdout, answer.json.raw);
	else if (status == EX_OK)
		print_delivery(answer.json);
	answer_fini(&answer);
	buf_fini(&path);
	return status;
}

/* ---- resend, pause, resume -------------------------------------------------------------------- */

/* POSTs the verb to one after the other and stops at the first that fails; prints the rows of those that were
 * done.  row: its member in the answer. */
static int
steer(struct cli *cli, const struct arguments *arguments, const struct list *what, const char *row,
      const char *verb)
{
	struct list list = *what;
	struct buf path, body;
	int status = EX_OK;

	buf_init(&path, PATH_ROOM);
	buf_init(&body, 64);
	buf_init(&list.rows, ROWS_ROOM);
	buf_add_text(&body, "{}");
	for (int i = 0; i < arguments->word_count && status == EX_OK; i++)
		status = one_path(cli, list.name, arguments->words[i], verb, &path);
	for (int i = 0; i < arguments->word_count && status == EX_OK; i++) {
		struct answer answer;

		(void)one_path(cli, list.name, arguments->words[i], verb, &path);
		status = client_need(cli, "POST", path.data, &body, &answer);
		if (status == EX_OK)
			list_add(&list, json_get(answer.json, row));
		answer_fini(&answer);
	}
	if (list.rows.len > 0)
		list_print(cli, &list, false);
	list_fini(&list);
	buf_fini(&body);
	buf_fini(&path);
	return status;
}

/* Those of an environment whose tries are used up since a time. */
static int
resend_failed(struct cli *cli, const struct arguments *arguments)
{
	static const char *const members[] = {"environment", "since", "before", "endpoint", "type"};
	struct sl_error error;
	struct answer answer;
	struct json_writer w;
	int64_t limit = 1000, resent = 0;
	struct buf body;
	int status;

	if (arguments_int(arguments, "--limit", 1, 10000, &limit, &error) != SL_OK)
		return fail_usage(cli, "%s", error.text);
	buf_init(&body, BODY_ROOM);
	jw_init(&w, &body);
	jw_object(&w);
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		char option[24];

		snprintf(option, sizeof(option), "--%s", members[i]);
		if (arguments_has(arguments, option))
			jw_member_text(&w, members[i], arguments_text(arguments, option));
	}
	jw_member_int(&w, "limit", limit);
	jw_object_end(&w);
	status = client_need(cli, "POST", "/admin/v1/webhooks/deliveries/resend", &body, &answer);
	if (status == EX_OK && cli->json) {
		print_json(stdout, answer.json.raw);
	} else if (status == EX_OK && json_int(json_get(answer.json, "resent"), &resent)) {
		printf("%lld %s sent again%s\n", (long long)resent, resent == 1 ? "is" : "are",
		       json_is_yes(json_get(answer.json, "more"))
			   ? "; there are more: run it again, or with a higher --limit"
			   : "");
	}
	answer_fini(&answer);
	buf_fini(&body);
	return status;
}

int
cmd_webhook_resend(struct cli *cli, const struct arguments *arguments)
{
	static const char *const choosing[] = {"--since", "--before", "--endpoint", "--type",
					       "--limit"};
	bool by_query = arguments_has(arguments, "--environment");

	for (size_t i = 0; i < sizeof(choosing) / sizeof(choosing[0]); i++)
		if (arguments_has(arguments, choosing[i]) && !by_query)
			return fail_usage(cli, "%s needs --environment ENV", choosing[i]);
	if ((arguments->word_count > 0) == by_query)
		return fail_usage(
		    cli, "say which: either ids of deliveries, or --environment ENV --since TIME");
	if (by_query && !arguments_has(arguments, "--since"))
		return fail_usage(cli, "since when?  --since TIME, as 2026-11-22T05:12:00.000Z");
	return by_query ? resend_failed(cli, arguments)
			: steer(cli, arguments, &deliveries, "delivery", "resend");
}

int
cmd_webhook_pause(struct cli *cli, const struct arguments *arguments)
{
	return steer(cli, arguments, &endpoints, "endpoint", "pause");
}

int
cmd_webhook_resume(struct cli *cli, const struct arguments *arguments)
{
	return steer(cli, arguments, &endpoints, "endpoint", "resume");
}

/* ---- test ------------------------------------------------------------------------------------- */

/* What to do about a try that got no answer. */
static const char *
remedy_of(const char *failure)
{
	static const struct {
		const char *failure, *remedy;
	} remedies[] = {
	    {"refused_url",
	     "an address that is loopback or private is called only if the setting egress_allow of "
	     "sluiced opens it: egress_allow = 127.0.0.0/8 for an app on this machine"},
	    {"ENOTFOUND", "look at the host's name; it is looked up by the nodes, not here"},
	    {"ECONNREFUSED", "nobody listens there: start the app, or look at host and port"},
	    {"timeout",
	     "answer within delivery_timeout (20 s): take the event, and work on it later"},
	};

	for (size_t i = 0; i < sizeof(remedies) / sizeof(remedies[0]); i++)
		if (strcmp(remedies[i].failure, failure) == 0)
			return remedies[i].remedy;
	return NULL;
}

/* EX_OK: the endpoint took it. */
static int
print_test(const struct cli *cli, struct json_value test)
{
	struct json_value answer = json_get(test, "answer");
	char *failure = json_text(json_get(test, "failure"), NULL);
	int64_t status = 0, took_ms = 0;
	char span[PRINT_SPAN];
	bool taken = failure == NULL && json_int(json_get(test, "status"), &status) &&
		     status >= 200 && status < 300;

	if (cli->json) {
		print_json(stdout, test.raw);
		free(failure);
		return taken ? EX_OK : EX_UNAVAILABLE;
	}
	print_member("url", json_path(test, "request.url"), "");
	print_member("sent", json_path(test, "request.body"), "");
	print_member("status", json_get(test, "status"), taken ? "  (delivered)" : "");
	print_member("failure", json_get(test, "failure"), "");
	print_member("why", json_get(test, "detail"), "");
	if (json_int(json_get(test, "took_ms"), &took_ms)) {
		print_span(took_ms, span);
		printf("%-12s %s\n", "took", span);
	}
	print_answer(answer);
	if (failure != NULL && remedy_of(failure) != NULL)
		printf("%-12s %s\n", "do", remedy_of(failure));
	free(failure);
	return taken ? EX_OK : EX_UNAVAILABLE;
}

int
cmd_webhook_test(struct cli *cli, const struct arguments *arguments)
{
	const char *environment = arguments_text(arguments, "--environment");
	struct answer answer;
	struct json_writer w;
	struct buf body;
	int status;

	if (!arguments_has(arguments, "--timeout") && cli->timeout_ms < TEST_MS)
		cli->timeout_ms = TEST_MS;
	buf_init(&body, BODY_ROOM);
	jw_init(&w, &body);
	jw_object(&w);
	jw_member_text(&w, "environment", environment != NULL ? environment : "dev");
	if (arguments->word_count > 0)
		jw_member_text(&w, "url", arguments->words[0]);
	jw_object_end(&w);
	status = client_need(cli, "POST", "/admin/v1/webhooks/test", &body, &answer);
	if (status == EX_OK)
		status = print_test(cli, answer.json);
	answer_fini(&answer);
	buf_fini(&body);
	return status;
}
