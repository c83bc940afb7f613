/* daemon/api/deploy_read.c - a deploy request, checked whole before anything is done with it
 * (wire.md 13). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/interval.h"
#include "daemon/api/deploy.h"

#define FUNCTIONS_MAX 5000

void
deploy_free(struct deploy *deploy)
{
	if (deploy == NULL)
		return;
	if (deploy->link != NULL) {
		*deploy->link = deploy->next;
		if (deploy->next != NULL)
			deploy->next->link = deploy->link;
	}
	for (int i = 0; i < deploy->count; i++) {
		struct deploy_item *item = &deploy->item[i];

		free(item->integration);
		free(item->type);
		free(item->name);
		free(item->event);
		free(item->version);
		free(item->js);
		free(item->ts);
		free(item->definition);
		free(item->code);
	}
	free(deploy->item);
	free(deploy->gone);
	free(deploy->source);
	free(deploy);
}

static size_t
utf8_count(const char *text)
{
	size_t count = 0;

	for (; *text != '\0'; text++)
		count += ((unsigned char)*text & 0xc0) != 0x80;
	return count;
}

static bool
complain(struct deploy *deploy, const char *issue, const char *where, int index, const char *member,
	 const char *what)
{
	char path[160];

	snprintf(path, sizeof(path), "%s.%d%s%s", where, index, member[0] != '\0' ? "." : "",
		 member);
	api_fail_issue(deploy->call, "invalid_body", issue, path, "%s %s", path, what);
	return false;
}

/* The object without one member, byte for byte. */
static char *
without(struct json_value object, const char *name)
{
	struct json_writer w;
	struct json_iter it;
	struct buf out;

	buf_init(&out, object.raw.len + 16);
	jw_init(&w, &out);
	jw_object(&w);
	json_iter_init(&it, object);
	while (json_iter_next(&it))
		if (strcmp(it.key, name) != 0) {
			jw_key_n(&w, it.key, it.key_len);
			jw_raw(&w, it.value.raw);
		}
	json_iter_fini(&it);
	jw_object_end(&w);
	return buf_take(&out, NULL);
}

static struct deploy_item *
add_item(struct deploy *deploy)
{
	if (deploy->count == deploy->size) {
		deploy->size = deploy->size > 0 ? deploy->size * 2 : 16;
		deploy->item =
		    sl_realloc(deploy->item, (size_t)deploy->size * sizeof(*deploy->item));
	}
	memset(&deploy->item[deploy->count], 0, sizeof(*deploy->item));
	return &deploy->item[deploy->count++];
}

static bool
read_file(struct deploy *deploy, struct deploy_item *item, struct json_value value,
	  const char *where, int index)
{
	struct json_value file = json_get(value, "fileBody");

	struct json_value ts = json_get(file, "ts");

	item->js = json_text(json_get(file, "js"), NULL);
	item->ts = json_text(ts, NULL);
	if (item->js == NULL || item->js[0] == '\0')
		return complain(deploy, "invalid_type", where, index, "fileBody.js",
				"must be the compiled function (text without \\u0000)");
	if (item->ts == NULL && ts.type != JSON_NONE && ts.type != JSON_NULL_)
		return complain(deploy, "invalid_type", where, index, "fileBody.ts",
				"must be the source (text without \\u0000)");
	if (item->ts == NULL)
		item->ts = sl_strdup("");
	item->definition = without(value, "fileBody");
	return json_check(slice_text(item->definition), &item->parsed, NULL) == SL_OK;
}

static bool
has_definition(struct json_value definitions, struct json_value name)
{
	char *text = json_text(name, NULL);
	bool found = text != NULL && json_get(definitions, text).type != JSON_NONE;

	free(text);
	return found;
}

/* Each model and the input must have a JSON schema. */
static bool
check_schemas(struct deploy *deploy, const struct deploy_item *item, int index)
{
	struct json_value definitions = json_path(item->parsed, "models_json_schema.definitions");
	struct json_value input = json_get(item->parsed, "input");
	struct json_iter it;
	bool ok = true;

	if (json_get(item->parsed, "models").type != JSON_ARRAY_)
		return complain(deploy, "invalid_type", "flowConfigs", index, "models",
				"must be an array of model names");
	json_iter_init(&it, json_get(item->parsed, "models"));
	while (ok && json_iter_next(&it))
		ok = has_definition(definitions, it.value);
	json_iter_fini(&it);
	if (ok && input.type == JSON_TEXT)
		ok = has_definition(definitions, input);
	return ok || complain(deploy, "custom", "flowConfigs", index, "models_json_schema",
			      "must hold a definition for each model and for the input");
}

/* Wire.md section 13: a description has at most 2000 characters, a scope 255. */
static bool
check_metadata(struct deploy *deploy, struct json_value metadata, int index)
{
	char *description = json_text(json_get(metadata, "description"), NULL);
	bool ok = description == NULL || utf8_count(description) <= 2000;
	struct json_iter it;

	free(description);
	if (!ok)
		return complain(deploy, "too_big", "flowConfigs", index, "metadata.description",
				"must be at most 2000 characters");
	if (json_get(metadata, "scopes").type != JSON_ARRAY_)
		return true;
	json_iter_init(&it, json_get(metadata, "scopes"));
	while (ok && json_iter_next(&it))
		ok = it.value.type == JSON_TEXT && it.value.raw.len <= 2 + 255;
	json_iter_fini(&it);
	return ok || complain(deploy, "too_big", "flowConfigs", index, "metadata.scopes",
			      "must be texts of at most 255 bytes");
}

static bool
check_runs(struct deploy *deploy, struct json_value runs, int index)
{
	char *text = json_text(runs, NULL);
	struct sl_error error;
	int64_t every;
	bool ok = runs.type == JSON_NONE || runs.type == JSON_NULL_ ||
		  (text != NULL && interval_parse(text, &every, &error) == SL_OK);

	if (!ok)
		(void)complain(deploy, "custom", "flowConfigs", index, "runs",
			       text == NULL ? "must be a text such as \"every 5 minutes\""
					    : error.text);
	free(text);
	return ok;
}

struct member {
	const char *name;
	enum json_type type;
};

/* A member that is there has the type the wire gives it; null counts as absent.  NULL: all have;
 * else the first that has not. */
static const struct member *
find_mistyped(struct json_value object, const struct member *members)
{
	for (; members->name != NULL; members++) {
		enum json_type type = json_get(object, members->name).type;

		if (type != JSON_NONE && type != JSON_NULL_ && type != members->type)
			return members;
	}
	return NULL;
}

static const char *
type_text(enum json_type type)
{
	switch (type) {
	case JSON_OBJECT_:
		return "must be an object";
	case JSON_ARRAY_:
		return "must be an array";
	case JSON_TEXT:
		return "must be a text";
	case JSON_BOOL:
		return "must be true or false";
	case JSON_NUMBER:
		return "must be a number";
	case JSON_NULL_:
	case JSON_NONE:
		break;
	}
	return "must not be there";
}

static bool
check_types(struct deploy *deploy, struct json_value value, int index)
{
	static const struct member members[] = {{"version", JSON_TEXT},
						{"input", JSON_TEXT},
						{"sync_type", JSON_TEXT},
						{"track_deletes", JSON_BOOL},
						{"auto_start", JSON_BOOL},
						{"metadata", JSON_OBJECT_},
						{"attributes", JSON_OBJECT_},
						{"endpoints", JSON_ARRAY_},
						{"features", JSON_ARRAY_},
						{"webhookSubscriptions", JSON_ARRAY_},
						{NULL, JSON_NONE}};
	static const struct member about[] = {
	    {"description", JSON_TEXT}, {"scopes", JSON_ARRAY_}, {NULL, JSON_NONE}};
	const struct member *wrong = find_mistyped(value, members);
	char path[40];

	if (wrong != NULL)
		return complain(deploy, "invalid_type", "flowConfigs", index, wrong->name,
				type_text(wrong->type));
	wrong = find_mistyped(json_get(value, "metadata"), about);
	if (wrong == NULL)
		return true;
	snprintf(path, sizeof(path), "metadata.%s", wrong->name);
	return complain(deploy, "invalid_type", "flowConfigs", index, path, type_text(wrong->type));
}

static bool
check_sync_type(struct deploy *deploy, struct json_value value, int index)
{
	char *type = json_text(json_get(value, "sync_type"), NULL);
	bool incremental = type != NULL && strcmp(type, "incremental") == 0;
	bool known = type == NULL || incremental || strcmp(type, "full") == 0;

	free(type);
	if (!known)
		return complain(deploy, "invalid_value", "flowConfigs", index, "sync_type",
				"must be full or incremental");
	if (incremental && json_is_yes(json_get(value, "track_deletes")))
		return complain(deploy, "custom", "flowConfigs", index, "track_deletes",
				"cannot be true for an incremental sync");
	return true;
}

static bool
read_flow(struct deploy *deploy, struct json_value value, int index)
{
	struct deploy_item *item = add_item(deploy);

	if (value.type != JSON_OBJECT_)
		return complain(deploy, "invalid_type", "flowConfigs", index, "",
				"must be an object");
	if (!check_types(deploy, value, index))
		return false;
	item->integration = json_text(json_get(value, "providerConfigKey"), NULL);
	item->name = json_text(json_get(value, "syncName"), NULL);
	item->type = json_text(json_get(value, "type"), NULL);
	item->version = json_text(json_get(value, "version"), NULL);
	item->event = sl_strdup("");
	if (item->integration == NULL || !api_name_is(API_NAME_INTEGRATION, item->integration))
		return complain(deploy, "invalid_format", "flowConfigs", index, "providerConfigKey",
				"must be an integration id");
	if (item->name == NULL || !api_name_is(API_NAME_FUNCTION, item->name))
		return complain(deploy, "invalid_format", "flowConfigs", index, "syncName",
				"must be letters, digits, _ and - (1 to 255)");
	if (item->type == NULL ||
	    (strcmp(item->type, "action") != 0 && strcmp(item->type, "sync") != 0))
		return complain(deploy, "invalid_value", "flowConfigs", index, "type",
				"must be action or sync");
	if (item->version != NULL && item->version[0] == '\0') {
		free(item->version);
		item->version = NULL;
	}
	if (item->version != NULL && strlen(item->version) > 255)
		return complain(deploy, "too_big", "flowConfigs", index, "version",
				"must be at most 255 bytes");
	if (strcmp(item->type, "sync") == 0 && !check_runs(deploy, json_get(value, "runs"), index))
		return false;
	return check_sync_type(deploy, value, index) &&
	       check_metadata(deploy, json_get(value, "metadata"), index) &&
	       read_file(deploy, item, value, "flowConfigs", index) &&
	       check_schemas(deploy, item, index);
}

static bool
read_event(struct deploy *deploy, const char *integration, struct json_value value, int index)
{
	static const char *const events[] = {"post-connection-creation", "pre-connection-deletion",
					     "validate-connection"};
	struct deploy_item *item = add_item(deploy);
	bool known = false;

	item->integration = sl_strdup(integration);
	item->type = sl_strdup("on-event");
	item->name = json_text(json_get(value, "name"), NULL);
	item->event = json_text(json_get(value, "event"), NULL);
	if (item->name == NULL || !api_name_is(API_NAME_FUNCTION, item->name))
		return complain(deploy, "invalid_format", "onEventScriptsByProvider", index,
				"scripts.name", "must be letters, digits, _ and - (1 to 255)");
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		known = known || (item->event != NULL && strcmp(events[i], item->event) == 0);
	if (!known)
		return complain(
		    deploy, "invalid_value", "onEventScriptsByProvider", index, "scripts.event",
		    "must be post-connection-creation, pre-connection-deletion or validate-connection");
	return read_file(deploy, item, value, "onEventScriptsByProvider", index);
}

static bool
read_events(struct deploy *deploy)
{
	struct json_value list = json_get(deploy->call->body, "onEventScriptsByProvider");
	struct json_iter it, scripts;
	bool ok = true;
	int index = 0;

	deploy->has_events = list.type == JSON_ARRAY_;
	if (!deploy->has_events)
		return true;
	json_iter_init(&it, list);
	while (ok && json_iter_next(&it)) {
		char *integration = json_text(json_get(it.value, "providerConfigKey"), NULL);

		if (integration == NULL || !api_name_is(API_NAME_INTEGRATION, integration) ||
		    json_get(it.value, "scripts").type != JSON_ARRAY_) {
			ok = complain(deploy, "invalid_type", "onEventScriptsByProvider", index,
				      "providerConfigKey",
				      "must be an integration id, beside an array of scripts");
		} else {
			json_iter_init(&scripts, json_get(it.value, "scripts"));
			while (ok && json_iter_next(&scripts))
				ok = read_event(deploy, integration, scripts.value, index);
			json_iter_fini(&scripts);
		}
		free(integration);
		index++;
	}
	json_iter_fini(&it);
	return ok;
}

static bool
read_flows(struct deploy *deploy)
{
	struct json_value list = json_get(deploy->call->body, "flowConfigs");
	struct json_iter it;
	bool ok = true;
	int index = 0;

	if (list.type != JSON_ARRAY_) {
		api_fail_issue(deploy->call, "invalid_body", "invalid_type", "flowConfigs",
			       "flowConfigs must be an array");
		return false;
	}
	json_iter_init(&it, list);
	while (ok && json_iter_next(&it)) {
		if (index >= FUNCTIONS_MAX)
			ok = complain(deploy, "too_big", "flowConfigs", index, "",
				      "is one function too many (5000 at most)");
		else
			ok = read_flow(deploy, it.value, index);
		index++;
	}
	json_iter_fini(&it);
	return ok;
}

static int
by_name(const void *a, const void *b)
{
	const struct deploy_item *x = *(struct deploy_item *const *)a,
				 *y = *(struct deploy_item *const *)b;
	int order = strcmp(x->integration, y->integration);

	if (order == 0)
		order = strcmp(x->type, y->type);
	return order != 0 ? order : strcmp(x->name, y->name);
}

/* Two functions of one name in one request have no order: refused. */
static bool
check_twins(struct deploy *deploy)
{
	struct deploy_item **sorted = sl_calloc((size_t)deploy->count + 1, sizeof(*sorted));
	const struct deploy_item *twin = NULL;

	for (int i = 0; i < deploy->count; i++)
		sorted[i] = &deploy->item[i];
	qsort(sorted, (size_t)deploy->count, sizeof(*sorted), by_name);
	for (int i = 1; i < deploy->count && twin == NULL; i++)
		if (by_name(&sorted[i - 1], &sorted[i]) == 0)
			twin = sorted[i];
	free(sorted);
	if (twin == NULL)
		return true;
	api_fail_issue(deploy->call, "invalid_body", "custom", "flowConfigs",
		       "the %s %s of %s stands twice in this deploy", twin->type, twin->name,
		       twin->integration);
	return false;
}

/* The members of the request: no others, and each of its type (wire.md 13; the last three are what
 * older CLIs send). */
static bool
check_request(struct api_call *call)
{
	static const struct member members[] = {{"flowConfigs", JSON_ARRAY_},
						{"onEventScriptsByProvider", JSON_ARRAY_},
						{"deployMode", JSON_TEXT},
						{"reconcile", JSON_BOOL},
						{"debug", JSON_BOOL},
						{"sdkVersion", JSON_TEXT},
						{"nangoYamlBody", JSON_TEXT},
						{"source", JSON_TEXT},
						{"singleDeployMode", JSON_BOOL},
						{"jsonSchema", JSON_OBJECT_},
						{"postConnectionScriptsByProvider", JSON_ARRAY_},
						{NULL, JSON_NONE}};
	const char *names[sizeof(members) / sizeof(members[0])];
	const struct member *wrong;

	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		names[i] = members[i].name;
	if (!api_strict(call, call->body, names))
		return false;
	wrong = find_mistyped(call->body, members);
	if (wrong == NULL)
		return true;
	api_fail_issue(call, "invalid_body", "invalid_type", wrong->name, "%s %s", wrong->name,
		       type_text(wrong->type));
	return false;
}

static bool
read_mode(struct deploy *deploy)
{
	const char *mode, *source;

	if (!api_text(deploy->call, deploy->call->body, "deployMode", false, 0, &mode) ||
	    !api_text(deploy->call, deploy->call->body, "source", false, 0, &source))
		return false;
	deploy->source = sl_strdup(source != NULL ? source : "repo");
	deploy->mode = json_is_yes(json_get(deploy->call->body, "singleDeployMode")) ? DEPLOY_SINGLE
										     : DEPLOY_ALL;
	if (mode != NULL && strcmp(mode, "single") == 0)
		deploy->mode = DEPLOY_SINGLE;
	else if (mode != NULL && strcmp(mode, "integration") == 0)
		deploy->mode = DEPLOY_INTEGRATION;
	else if (mode != NULL && strcmp(mode, "all") != 0) {
		api_fail_issue(deploy->call, "invalid_body", "invalid_value", "deployMode",
			       "deployMode must be all, integration or single");
		return false;
	}
	if (strcmp(deploy->source, "repo") != 0 && strcmp(deploy->source, "standalone") != 0 &&
	    strcmp(deploy->source, "catalog") != 0) {
		api_fail_issue(deploy->call, "invalid_body", "invalid_value", "source",
			       "source must be repo, standalone or catalog");
		return false;
	}
	return true;
}

struct deploy *
deploy_read(struct api_call *call)
{
	struct deploy *deploy;

	if (!check_request(call))
		return NULL;
	deploy = sl_alloc(sizeof(*deploy));
	deploy->call = call;
	if (read_mode(deploy) && read_flows(deploy) && read_events(deploy) && check_twins(deploy))
		return deploy;
	deploy_free(deploy);
	return NULL;
}
