/* cli/cmd_env.c - sluice env: the settings of environments, and the key that signs their webhooks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "cli/arguments.h"
#include "cli/ask.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/table.h"
#include "cli/trouble.h"

enum { PATH_ROOM = 16 << 10, BODY_ROOM = 1 << 20, VALUE_MAX = 64 << 10 };

/* How the value of NAME=VALUE becomes JSON; nothing behind the = is null, which takes a setting back. */
enum setting_kind {
	SETTING_TEXT,
	SETTING_NUMBER,
	SETTING_CONCURRENCY, /* BY:LIMIT */
};

static const struct setting {
	const char *name;
	enum setting_kind kind;
} settings[] = {
    {"webhook_url", SETTING_TEXT},    {"webhook_url_secondary", SETTING_TEXT},
    {"webhook_events", SETTING_TEXT}, {"action_timeout", SETTING_NUMBER},
    {"sync_limit", SETTING_NUMBER},   {"concurrency", SETTING_CONCURRENCY},
};
#define SETTING_COUNT (int)(sizeof(settings) / sizeof(settings[0]))

/* "/admin/v1/environments/NAME[/more]"; EX_USAGE: NAME cannot be one. */
static int
env_path(const struct cli *cli, const char *name, const char *more, struct buf *path)
{
	if (!path_can_be(name))
		return fail_usage(cli, "%.60s is no environment's name; `sluice env ls` has them",
				  name);
	buf_add_text(path, "/admin/v1/environments");
	path_add(path, name);
	if (more != NULL)
		buf_add_text(path, more);
	return EX_OK;
}

/* ---- looking ---------------------------------------------------------------------------------- */

/* ["a","b"] as "a,b"; a text as it is; null as nothing.  Appended. */
static void
add_names(struct buf *out, struct json_value names)
{
	const char *comma = "";
	struct json_iter it;
	char *text = json_text(names, NULL);

	if (text != NULL)
		buf_add_text(out, text);
	free(text);
	if (names.type != JSON_ARRAY_)
		return;
	json_iter_init(&it, names);
	for (; json_iter_next(&it); comma = ",") {
		text = json_text(it.value, NULL);
		buf_printf(out, "%s%s", comma, text != NULL ? text : "?");
		free(text);
	}
	json_iter_fini(&it);
}

/* "connection:5", as `env set` takes it. */
static void
add_concurrency(struct buf *out, struct json_value concurrency)
{
	char *by = json_text(json_get(concurrency, "by"), NULL);
	int64_t limit;

	if (by != NULL && json_int(json_get(concurrency, "limit"), &limit))
		buf_printf(out, "%s:%lld", by, (long long)limit);
	free(by);
}

static void
print_environments(struct json_value rows)
{
	struct table *table =
	    table_new("ENVIRONMENT PRODUCTION CONCURRENCY >SYNC-LIMIT WEBHOOK-EVENTS WEBHOOK-URL");
	struct buf text;
	struct json_iter it;

	buf_init(&text, BODY_ROOM);
	json_iter_init(&it, rows);
	while (json_iter_next(&it)) {
		table_json(table, json_get(it.value, "name"));
		table_json(table, json_get(it.value, "is_production"));
		buf_clear(&text);
		add_concurrency(&text, json_get(it.value, "concurrency"));
		table_text(table, buf_slice(&text).data);
		table_json(table, json_get(it.value, "sync_limit"));
		buf_clear(&text);
		add_names(&text, json_get(it.value, "webhook_events"));
		table_text(table, buf_slice(&text).data);
		table_json(table, json_get(it.value, "webhook_url"));
	}
	json_iter_fini(&it);
	buf_fini(&text);
	table_print(table, stdout);
	table_free(table);
}

int
cmd_env_ls(struct cli *cli, const struct arguments *arguments)
{
	struct answer answer;
	int status = client_need(cli, "GET", "/admin/v1/environments", NULL, &answer);

	(void)arguments;
	if (status == EX_OK && cli->json)
		print_json(stdout, answer.json.raw);
	else if (status == EX_OK)
		print_environments(json_get(answer.json, "environments"));
	answer_fini(&answer);
	return status;
}

/* A line that is there when its text is. */
static void
print_line(const char *name, const struct buf *text)
{
	if (text->len == 0)
		return;
	printf("%-24s ", name);
	print_text(stdout, buf_slice(text));
	fputc('\n', stdout);
}

static void
print_value(const char *name, struct json_value value)
{
	struct buf text;
	size_t len = 0;
	char *plain = json_text(value, &len);

	buf_init(&text, BODY_ROOM);
	if (plain != NULL)
		buf_add(&text, plain, len);
	else if (value.type == JSON_BOOL)
		buf_add_text(&text, json_is_yes(value) ? "yes" : "no");
	else if (value.type != JSON_NONE && value.type != JSON_NULL_)
		buf_add_slice(&text, value.raw);
	print_line(name, &text);
	buf_fini(&text);
	free(plain);
}

static void
print_environment(struct json_value row)
{
	struct json_iter it;
	struct buf text;

	buf_init(&text, BODY_ROOM);
	print_value("environment", json_get(row, "name"));
	print_value("id", json_get(row, "id"));
	print_value("uuid", json_get(row, "uuid"));
	print_value("production", json_get(row, "is_production"));
	print_value("callback_url", json_get(row, "callback_url"));
	add_concurrency(&text, json_get(row, "concurrency"));
	print_line("concurrency", &text);
	print_value("sync_limit", json_get(row, "sync_limit"));
	json_iter_init(&it, json_get(row, "settings"));
	while (json_iter_next(&it))
		print_value(it.key, it.value);
	json_iter_fini(&it);
	print_value("webhook_url", json_get(row, "webhook_url"));
	print_value("webhook_url_secondary", json_get(row, "webhook_url_secondary"));
	buf_clear(&text);
	add_names(&text, json_get(row, "webhook_events"));
	print_line("webhook_events", &text);
	buf_fini(&text);
}

/* ---- the key that signs ----------------------------------------------------------------------- */

/* What the server says of the key, without the key itself unless it was asked for. */
static bool
may_show(const char *name, bool secrets)
{
	return secrets || (strcmp(name, "webhook_signing_key") != 0 &&
			   strcmp(name, "standard_webhooks_secret") != 0);
}

static void
add_members(struct json_writer *w, struct json_value object, bool secrets)
{
	struct json_iter it;

	json_iter_init(&it, object);
	while (json_iter_next(&it))
		if (may_show(it.key, secrets))
			jw_member_raw(w, it.key, it.value.raw);
	json_iter_fini(&it);
}

/* Both documents in one, or the lines; environment may be nothing. */
static void
print_with_key(const struct cli *cli, struct json_value environment, struct json_value key,
	       bool secrets)
{
	struct json_writer w;
	struct json_iter it;
	struct buf out;

	if (!cli->json) {
		print_environment(environment);
		json_iter_init(&it, key);
		while (json_iter_next(&it))
			if (may_show(it.key, secrets))
				print_value(it.key, it.value);
		json_iter_fini(&it);
		return;
	}
	buf_init(&out, 2 * BODY_ROOM);
	jw_init(&w, &out);
	jw_object(&w);
	add_members(&w, environment, true);
	add_members(&w, key, secrets);
	jw_object_end(&w);
	print_json(stdout, buf_slice(&out));
	buf_fini(&out);
}

static int
get_key(struct cli *cli, const char *name, struct answer *answer)
{
	struct buf path;
	int status;

	buf_init(&path, PATH_ROOM);
	status = env_path(cli, name, "/signing-key", &path);
	if (status == EX_OK)
		status = client_need(cli, "GET", path.data, NULL, answer);
	buf_fini(&path);
	return status;
}

int
cmd_env_show(struct cli *cli, const struct arguments *arguments)
{
	bool secrets = arguments_has(arguments, "--secrets");
	struct answer answer = {0}, key = {0};
	struct buf path;
	int status;

	buf_init(&path, PATH_ROOM);
	status = env_path(cli, arguments->words[0], NULL, &path);
	if (status == EX_OK)
		status = client_need(cli, "GET", path.data, NULL, &answer);
	if (status == EX_OK && secrets)
		status = get_key(cli, arguments->words[0], &key);
	if (status == EX_OK)
		print_with_key(cli, answer.json, key.json, secrets);
	answer_fini(&key);
	answer_fini(&answer);
	buf_fini(&path);
	return status;
}

int
cmd_env_rotate_key(struct cli *cli, const struct arguments *arguments)
{
	const char *name = arguments->words[0];
	struct answer answer = {0}, key = {0};
	struct buf path, body;
	int status;

	buf_init(&path, PATH_ROOM);
	buf_init(&body, 64);
	buf_add_text(&body, "{}");
	status = env_path(cli, name, "/signing-key/rotate", &path);
	if (status == EX_OK)
		status = ask_yes(cli,
				 "Give %.60s another signing key: X-Nango-Hmac-Sha256 is made with "
				 "it from now on",
				 name);
	if (status == EX_OK)
		status = client_need(cli, "POST", path.data, &body, &answer);
	if (status == EX_OK)
		status = get_key(cli, name, &key);
	if (status == EX_OK)
		print_with_key(cli, (struct json_value){0}, key.json,
			       arguments_has(arguments, "--secrets"));
	answer_fini(&key);
	answer_fini(&answer);
	buf_fini(&body);
	buf_fini(&path);
	return status;
}

/* ---- set -------------------------------------------------------------------------------------- */

/* EX_USAGE with the names that there are, and the one that was probably meant. */
static int
fail_setting(const struct cli *cli, const char *name)
{
	const char *names[SETTING_COUNT], *nearest;
	char list[200] = "";

	for (int i = 0; i < SETTING_COUNT; i++) {
		size_t used = strlen(list);

		names[i] = settings[i].name;
		snprintf(list + used, sizeof(list) - used, "%s%s", i > 0 ? ", " : "", names[i]);
	}
	nearest = arguments_nearest(name, names, SETTING_COUNT);
	return fail_usage(cli, "there is no setting %.60s%s%s%s; there are %s", name,
			  nearest != NULL ? " (did you mean " : "", nearest != NULL ? nearest : "",
			  nearest != NULL ? "?)" : "", list);
}

static bool
is_number(const char *text)
{
	return text[0] != '\0' && strlen(text) <= 15 && (text[0] != '0' || text[1] == '\0') &&
	       text[strspn(text, "0123456789")] == '\0';
}

static int
write_concurrency(const struct cli *cli, struct json_writer *w, const char *value)
{
	const char *colon = strchr(value, ':');
	char by[32];

	if (colon == NULL || (size_t)(colon - value) >= sizeof(by) || !is_number(colon + 1))
		return fail_usage(cli, "concurrency is BY:LIMIT, as in environment:1, "
				       "connection:5 or function:10");
	snprintf(by, sizeof(by), "%.*s", (int)(colon - value), value);
	jw_object(w);
	jw_member_text(w, "by", by);
	jw_member_raw(w, "limit", slice_text(colon + 1));
	jw_object_end(w);
	return EX_OK;
}

static int
write_setting(const struct cli *cli, struct json_writer *w, const struct setting *setting,
	      const char *value)
{
	if (strlen(value) > VALUE_MAX)
		return fail_usage(cli, "%s is longer than %d bytes", setting->name, VALUE_MAX);
	jw_key(w, setting->name);
	if (value[0] == '\0') {
		jw_null(w);
		return EX_OK;
	}
	switch (setting->kind) {
	case SETTING_TEXT:
		jw_text(w, value);
		return EX_OK;
	case SETTING_NUMBER:
		if (!is_number(value))
			return fail_usage(cli, "%s is a whole number, not %.60s", setting->name,
					  value);
		jw_raw(w, slice_text(value));
		return EX_OK;
	case SETTING_CONCURRENCY:
		return write_concurrency(cli, w, value);
	}
	return EX_USAGE;
}

/* All of the words behind the environment's name, each setting at most once. */
static int
write_settings(const struct cli *cli, const struct arguments *arguments, struct json_writer *w)
{
	bool given[SETTING_COUNT] = {false};
	int status = EX_OK;

	for (int i = 1; i < arguments->word_count && status == EX_OK; i++) {
		const char *word = arguments->words[i], *equals = strchr(word, '=');
		size_t len = equals != NULL ? (size_t)(equals - word) : strlen(word);
		char name[64];
		int at = 0;

		snprintf(name, sizeof(name), "%.*s", len < sizeof(name) ? (int)len : 60, word);
		while (at < SETTING_COUNT && strcmp(settings[at].name, name) != 0)
			at++;
		if (at == SETTING_COUNT)
			return fail_setting(cli, name);
		if (equals == NULL)
			return fail_usage(cli, "%s needs a value: %s=VALUE, or %s= for none", name,
					  name, name);
		if (given[at])
			return fail_usage(cli, "%s stands there twice", name);
		given[at] = true;
		status = write_setting(cli, w, &settings[at], equals + 1);
	}
	return status;
}

int
cmd_env_set(struct cli *cli, const struct arguments *arguments)
{
	struct answer answer = {0};
	struct json_writer w;
	struct buf path, body;
	int status;

	buf_init(&path, PATH_ROOM);
	buf_init(&body, BODY_ROOM);
	jw_init(&w, &body);
	jw_object(&w);
	status = env_path(cli, arguments->words[0], NULL, &path);
	if (status == EX_OK)
		status = write_settings(cli, arguments, &w);
	jw_object_end(&w);
	if (status == EX_OK)
		status = client_need(cli, "PATCH", path.data, &body, &answer);
	if (status == EX_OK && cli->json)
		print_json(stdout, answer.json.raw);
	else if (status == EX_OK)
		print_environment(answer.json);
	answer_fini(&answer);
	buf_fini(&body);
	buf_fini(&path);
	return status;
}
