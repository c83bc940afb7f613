/* daemon/api/deploy.c - what `nango deploy` calls: the plan (confirmation) and the deploy (wire.md
 * 13).
 *
 * Everything is read, checked and compiled before the first row is written, and all rows are
 * written in one transaction: a deploy that fails changes nothing. */
#include "daemon/api/deploy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/log.h"
#include "daemon/api/resources.h"
#include "daemon/compiler.h"

#define CLI_OLDEST (39 * 1000 + 25) /* 0.39.25 */

void
cli_telemetry(struct api_call *call)
{
	api_reply_empty(call, 204); /* nothing is kept: this service reports to nobody */
}

/* The published CLI refuses nothing itself; versions before 0.39.25 send another form. */
static bool
check_cli(struct api_call *call)
{
	const char *agent = http_request_header(call->request, "user-agent");
	unsigned major, minor, patch;

	if (agent == NULL || sscanf(agent, "nango-cli/%u.%u.%u", &major, &minor, &patch) != 3 ||
	    major > 0 || minor * 1000 + patch >= CLI_OLDEST)
		return true;
	api_fail(call, 400, "invalid_cli_version", "this CLI is too old; npm install nango@latest");
	return false;
}

static void
fail(struct deploy *deploy, enum sl_code code, const struct sl_error *error)
{
	struct api_call *call = deploy->call;

	deploy_free(deploy);
	api_fail_sl(call, code, error);
}

static const struct deploy_item *
find_item(const struct deploy *deploy, const struct account_function *row)
{
	for (int i = 0; i < deploy->count; i++)
		if (strcmp(deploy->item[i].name, row->name) == 0 &&
		    strcmp(deploy->item[i].type, row->type) == 0 &&
		    strcmp(deploy->item[i].integration, row->unique_key) == 0)
			return &deploy->item[i];
	return NULL;
}

static const struct account_function *
find_row(const struct deploy_item *item, const struct account_function *rows, int count)
{
	for (int i = 0; i < count; i++)
		if (strcmp(item->name, rows[i].name) == 0 &&
		    strcmp(item->type, rows[i].type) == 0 &&
		    strcmp(item->integration, rows[i].unique_key) == 0)
			return &rows[i];
	return NULL;
}

/* Does this deploy remove the function?  Another source (Functions API, catalog) owns its own. */
static bool
removes(const struct deploy *deploy, const struct account_function *row)
{
	bool is_event = strcmp(row->type, "on-event") == 0;

	if (find_item(deploy, row) != NULL || strcmp(row->source, deploy->source) != 0 ||
	    (is_event && !deploy->has_events))
		return false;
	switch (deploy->mode) {
	case DEPLOY_ALL:
		return true;
	case DEPLOY_INTEGRATION:
		for (int i = 0; i < deploy->count; i++)
			if (strcmp(deploy->item[i].integration, row->unique_key) == 0)
				return true;
		return false;
	case DEPLOY_SINGLE:
		return false;
	}
	return false;
}

/* ---- the plan -------------------------------------------------------------------------------- */

static void
plan_member(struct json_writer *w, const char *type, const char *integration, const char *name,
	    const char *event, struct json_value definition, int64_t connections)
{
	jw_object(w);
	jw_member_text(w, "name", name);
	jw_member_text(w, "providerConfigKey", integration);
	if (strcmp(type, "sync") == 0) {
		jw_member_int(w, "connections", connections);
		jw_member_bool(w, "auto_start", json_is_yes(json_get(definition, "auto_start")));
	}
	if (strcmp(type, "on-event") == 0)
		jw_member_text(w, "event", event);
	jw_object_end(w);
}

static void
plan_written(struct json_writer *w, const struct deploy *deploy, const char *key, const char *type,
	     bool is_new, const struct account_function *rows, int count)
{
	jw_key(w, key);
	jw_array(w);
	for (int i = 0; i < deploy->count; i++) {
		const struct deploy_item *item = &deploy->item[i];
		const struct account_function *row;
		int64_t connections;

		if (strcmp(item->type, type) != 0)
			continue;
		row = find_row(item, rows, count);
		if ((row == NULL) != is_new)
			continue;
		connections = row != NULL ? row->connections : 0;
		for (int j = 0; j < count && row == NULL; j++)
			if (strcmp(rows[j].unique_key, item->integration) == 0)
				connections = rows[j].connections;
		plan_member(w, type, item->integration, item->name, item->event, item->parsed,
			    connections);
	}
	jw_array_end(w);
}

static void
plan_removed(struct json_writer *w, const struct deploy *deploy, const char *key, const char *type,
	     const struct account_function *rows, int count)
{
	jw_key(w, key);
	jw_array(w);
	for (int i = 0; i < count; i++) {
		struct json_value definition = {0};

		if (strcmp(rows[i].type, type) != 0 || !removes(deploy, &rows[i]))
			continue;
		if (json_check(slice_text(rows[i].definition), &definition, NULL) != SL_OK)
			definition.type = JSON_NONE;
		plan_member(w, type, rows[i].unique_key, rows[i].name, rows[i].event, definition,
			    rows[i].connections);
	}
	jw_array_end(w);
}

static bool
lists_model(struct json_value definition, struct slice model)
{
	struct json_iter it;
	bool found = false;

	if (json_get(definition, "models").type != JSON_ARRAY_)
		return false;
	json_iter_init(&it, json_get(definition, "models"));
	while (!found && json_iter_next(&it))
		found = slice_equal(it.value.raw, model);
	json_iter_fini(&it);
	return found;
}

/* Models that vanish from a sync that stays and has connections: their records would go. */
static void
plan_models(struct json_writer *w, const struct deploy *deploy, const struct account_function *rows,
	    int count)
{
	jw_key(w, "deletedModels");
	jw_array(w);
	for (int i = 0; i < count; i++) {
		const struct deploy_item *item = find_item(deploy, &rows[i]);
		struct json_value definition;
		struct json_iter it;

		if (item == NULL || strcmp(rows[i].type, "sync") != 0 || rows[i].connections == 0 ||
		    json_check(slice_text(rows[i].definition), &definition, NULL) != SL_OK ||
		    json_get(definition, "models").type != JSON_ARRAY_)
			continue;
		json_iter_init(&it, json_get(definition, "models"));
		while (json_iter_next(&it))
			if (!lists_model(item->parsed, it.value.raw))
				jw_raw(w, it.value.raw);
		json_iter_fini(&it);
	}
	jw_array_end(w);
}

static void
on_plan(void *arg, enum sl_code code, const struct account_function *rows, int count,
	const struct sl_error *error)
{
	struct deploy *deploy = arg;
	struct api_call *call = deploy->call;
	struct json_writer w;
	struct buf out;

	if (code != SL_OK) {
		fail(deploy, code, error);
		return;
	}
	buf_init(&out, API_BODY_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	plan_written(&w, deploy, "newSyncs", "sync", true, rows, count);
	plan_written(&w, deploy, "updatedSyncs", "sync", false, rows, count);
	plan_removed(&w, deploy, "deletedSyncs", "sync", rows, count);
	plan_written(&w, deploy, "newActions", "action", true, rows, count);
	plan_written(&w, deploy, "updatedActions", "action", false, rows, count);
	plan_removed(&w, deploy, "deletedActions", "action", rows, count);
	plan_models(&w, deploy, rows, count);
	plan_written(&w, deploy, "newOnEventScripts", "on-event", true, rows, count);
	plan_written(&w, deploy, "updatedOnEventScripts", "on-event", false, rows, count);
	plan_removed(&w, deploy, "deletedOnEventScripts", "on-event", rows, count);
	jw_object_end(&w);
	deploy_free(deploy);
	api_reply_buf(call, 200, &out);
}

void
deploy_confirm(struct api_call *call)
{
	struct deploy *deploy;

	if (!check_cli(call))
		return;
	deploy = deploy_read(call);
	if (deploy != NULL)
		account_function_list(call->daemon->account, call->environment->row.id, NULL,
				      on_plan, deploy);
}

/* ---- the deploy ------------------------------------------------------------------------------ */

/* Deploys of this process that compile or write.  What a deploy removes is decided by what it read
 * before it writes: two of one environment side by side would keep each other's functions. */
static struct deploy *writing;

static void
fail_concurrent(struct deploy *deploy)
{
	struct api_call *call = deploy->call;

	deploy_free(deploy);
	api_fail(call, 409, "concurrent_deployment",
		 "another deploy of this environment is running; try again when it is done");
}

/* The deploy's turn until deploy_free(); false: another one of its environment has it. */
static bool
take_turn(struct deploy *deploy)
{
	for (const struct deploy *other = writing; other != NULL; other = other->next)
		if (other->call->environment->row.id == deploy->call->environment->row.id)
			return false;
	deploy->next = writing;
	deploy->link = &writing;
	if (writing != NULL)
		writing->link = &deploy->next;
	writing = deploy;
	return true;
}

static void
on_written(void *arg, enum sl_code code, const struct account_deployed *rows, int count,
	   const struct sl_error *error)
{
	struct deploy *deploy = arg;
	struct api_call *call = deploy->call;
	struct json_writer w;
	struct buf out;

	FAULT_POINT("deploy_committed");
	if (code == SL_CONFLICT) {
		fail_concurrent(deploy);
		return;
	}
	if (code != SL_OK) {
		fail(deploy, code, error);
		return;
	}
	directory_forget(call->daemon->directory);
	log_info("deployed", "environment=%s functions=%d removed=%d", call->environment->row.name,
		 count, deploy->gone_count);
	buf_init(&out, API_BODY_MAX);
	jw_init(&w, &out);
	jw_array(&w);
	for (int i = 0; i < count; i++) {
		const struct deploy_item *item = i < deploy->count ? &deploy->item[i] : NULL;
		struct json_value models = {0};

		if (item != NULL)
			models = json_get(item->parsed, "models");
		jw_object(&w);
		jw_member_text(&w, "name", rows[i].name);
		jw_member_raw(&w, "models",
			      models.type == JSON_ARRAY_ ? models.raw : SLICE_LITERAL("[]"));
		jw_member_text(&w, "version", rows[i].version);
		jw_member_text(&w, "providerConfigKey", rows[i].unique_key);
		jw_member_text(&w, "type", rows[i].type);
		jw_object_end(&w);
	}
	jw_array_end(&w);
	deploy_free(deploy);
	api_reply_buf(call, 200, &out);
}

static void
write_all(struct deploy *deploy)
{
	struct account_deploy_item *rows = sl_calloc((size_t)deploy->count + 1, sizeof(*rows));
	char(*digests)[SECRET_SHA256_HEX] = sl_calloc((size_t)deploy->count + 1, sizeof(*digests));

	for (int i = 0; i < deploy->count; i++) {
		const struct deploy_item *item = &deploy->item[i];
		struct buf text;

		buf_init(&text, SIZE_MAX / 2);
		buf_add_text(&text, item->definition);
		buf_add_char(&text, '\n');
		buf_add_text(&text, item->code);
		secret_sha256_hex(buf_slice(&text), digests[i]);
		buf_fini(&text);
		rows[i] = (struct account_deploy_item){.integration_id = item->integration_id,
						       .type = item->type,
						       .name = item->name,
						       .event = item->event,
						       .source = deploy->source,
						       .definition = item->definition,
						       .version = item->version,
						       .code = item->code,
						       .ts = item->ts,
						       .digest = digests[i]};
	}
	account_deploy(deploy->call->daemon->account, deploy->call->environment->row.id,
		       deploy->seen_version, rows, deploy->count, deploy->gone, deploy->gone_count,
		       on_written, deploy);
	free(rows);
	free(digests);
}

static void
on_existing(void *arg, enum sl_code code, const struct account_function *rows, int count,
	    const struct sl_error *error)
{
	struct deploy *deploy = arg;

	if (code != SL_OK) {
		fail(deploy, code, error);
		return;
	}
	for (int i = 0; i < count; i++)
		if (rows[i].version_id > deploy->seen_version)
			deploy->seen_version = rows[i].version_id;
	deploy->gone = sl_calloc((size_t)count + 1, sizeof(*deploy->gone));
	if (json_is_yes(json_get(deploy->call->body, "reconcile")))
		for (int i = 0; i < count; i++)
			if (removes(deploy, &rows[i]))
				deploy->gone[deploy->gone_count++] = rows[i].id;
	write_all(deploy);
}

static void lower_next(struct deploy *deploy);

static void
on_lowered(void *arg, enum sl_code code, const char *es5, const struct sl_error *error)
{
	struct deploy *deploy = arg;
	struct deploy_item *item = &deploy->item[deploy->at];
	struct api_call *call = deploy->call;

	if (code != SL_OK) {
		char text[600];

		snprintf(text, sizeof(text), "%s %s of %s: %s", item->type, item->name,
			 item->integration, error != NULL ? error->text : "");
		deploy_free(deploy);
		api_fail(call, code == SL_INVALID ? 400 : 503,
			 code == SL_INVALID ? "compilation_error" : "service_unavailable", text);
		return;
	}
	item->code = sl_strdup(es5);
	deploy->at++;
	lower_next(deploy);
}

static void
lower_next(struct deploy *deploy)
{
	struct daemon *daemon = deploy->call->daemon;

	if (deploy->at < deploy->count) {
		const struct deploy_item *item = &deploy->item[deploy->at];

		compiler_lower(daemon->compiler, item->js, item->ts, item->name, item->integration,
			       item->type, on_lowered, deploy);
		return;
	}
	account_function_list(daemon->account, deploy->call->environment->row.id, NULL, on_existing,
			      deploy);
}

static void
on_integrations(void *arg, enum sl_code code, const struct account_integration *rows, int count,
		const struct sl_error *error)
{
	struct deploy *deploy = arg;
	struct api_call *call = deploy->call;

	if (code != SL_OK) {
		fail(deploy, code, error);
		return;
	}
	for (int i = 0; i < deploy->count; i++) {
		struct deploy_item *item = &deploy->item[i];

		for (int j = 0; j < count; j++)
			if (strcmp(rows[j].unique_key, item->integration) == 0)
				item->integration_id = rows[j].id;
		if (item->integration_id == 0) {
			char name[300];

			snprintf(name, sizeof(name), "%s", item->integration);
			deploy_free(deploy);
			api_failf(
			    call, 400, "provider_not_on_account",
			    "there is no integration %s in this environment; create it first (POST /integrations)",
			    name);
			return;
		}
	}
	lower_next(deploy);
}

void
deploy_run(struct api_call *call)
{
	struct deploy *deploy;

	if (!check_cli(call))
		return;
	deploy = deploy_read(call);
	if (deploy == NULL)
		return;
	if (!take_turn(deploy)) {
		fail_concurrent(deploy);
		return;
	}
	account_integration_list(call->daemon->account, call->environment->row.id, on_integrations,
				 deploy);
}
