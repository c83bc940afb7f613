/* daemon/api/admin.c - what operators set per environment: settings and variables (/admin/v1). */
#include "daemon/api/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "daemon/api/metadata.h"
#include "daemon/api/resources.h"
#include "daemon/api/show.h"

#define SETTINGS_MAX (1 << 20)
#define SEALED_MAX (4 << 20)
#define VALUE_MAX (64 << 10)
#define WRITE_TRIES 10 /* while others change the same settings */

/* The settings that operators can change.  Other members of the row came with POST /environments.
 */
static const struct setting {
	const char *name;
	int64_t min, max; /* whole numbers */
} settings[] = {
    {"action_timeout", 1, 86400}, /* seconds that an action may run */
    {NULL, 0, 0},
};

/* Members of the row that are sealed texts: shown as being there, no more. */
static bool
is_sealed(const char *name)
{
	return strcmp(name, "hmac_key") == 0 || strcmp(name, "otlp_headers") == 0;
}

struct admin {
	struct api_call *call;
	int64_t id;
	int tries;
	const char *variable, *value;
	struct admin_concurrency concurrency;
	struct admin_webhook webhook;
	bool sync_limit_given;
	int sync_limit; /* 0: taken back */
	void (*found)(struct admin *admin, const struct account_environment *row);
};

/* ---- which environment --------------------------------------------------------------------------
 */

static void
on_environment(void *arg, enum sl_code code, const struct account_environment *rows, int count,
	       const struct sl_error *error)
{
	struct admin *admin = arg;

	if (code == SL_NOT_FOUND || (code == SL_OK && count == 0)) {
		api_fail(admin->call, 404, "not_found", "there is no environment of that name");
		return;
	}
	if (code != SL_OK) {
		api_fail_sl(admin->call, code, error);
		return;
	}
	admin->id = rows[0].id;
	admin->found(admin, &rows[0]);
}

/* segment[0] is "admin", [1] "v1", [2] "environments", [3] the name. */
static struct admin *
admin_new(struct api_call *call, void (*found)(struct admin *, const struct account_environment *))
{
	static const char *const none[] = {NULL};
	struct admin *admin;

	if (!api_query_strict(call, none) ||
	    !api_check_name(call, API_NAME_ENVIRONMENT, call->segment[3], "invalid_uri_params",
			    "name"))
		return NULL;
	admin = api_state(call, sizeof(*admin));
	admin->call = call;
	admin->found = found;
	return admin;
}

static void
look_up(struct admin *admin)
{
	account_environment_by_name(admin->call->daemon->account, admin->call->segment[3],
				    on_environment, admin);
}

/* ---- GET ------------------------------------------------------------------------------------- */

static void
show_settings(struct json_writer *w, const char *text)
{
	struct json_value stored;
	struct json_iter it;

	jw_key(w, "settings");
	jw_object(w);
	if (json_check(slice_text(text), &stored, NULL) == SL_OK && stored.type == JSON_OBJECT_) {
		json_iter_init(&it, stored);
		while (json_iter_next(&it)) {
			if (it.value.type == JSON_NULL_) /* taken back: the default counts */
				continue;
			if (is_sealed(it.key))
				jw_member_text(w, it.key, "(set)");
			else
				jw_member_raw(w, it.key, it.value.raw);
		}
		json_iter_fini(&it);
	}
	jw_object_end(w);
}

static void
show_environment(struct json_writer *w, const struct account_environment *row)
{
	jw_object(w);
	jw_member_text(w, "name", row->name);
	jw_member_int(w, "id", row->id);
	jw_member_text(w, "uuid", row->uuid);
	jw_member_bool(w, "is_production", row->is_production);
	jw_member_text(w, "callback_url", row->callback_url[0] != '\0' ? row->callback_url : NULL);
	show_settings(w, row->settings);
	admin_show_concurrency(w, "concurrency", row->concurrency_by, row->concurrency_limit);
	jw_key(w, "sync_limit");
	if (row->sync_limit > 0)
		jw_int(w, row->sync_limit);
	else
		jw_null(w);
	admin_show_webhook(w, row);
	jw_object_end(w);
}

static void
reply_environment(struct admin *admin, const struct account_environment *row)
{
	struct json_writer w;
	struct buf out;

	buf_init(&out, API_BODY_MAX);
	jw_init(&w, &out);
	show_environment(&w, row);
	api_reply_buf(admin->call, 200, &out);
}

void
admin_environment_read(struct api_call *call)
{
	struct admin *admin = admin_new(call, reply_environment);

	if (admin != NULL)
		look_up(admin);
}

static void
on_listed(void *arg, enum sl_code code, const struct account_environment *rows, int count,
	  const struct sl_error *error)
{
	struct api_call *call = arg;
	struct json_writer w;
	struct buf out;

	if (code != SL_OK) {
		api_fail_sl(call, code, error);
		return;
	}
	buf_init(&out, API_BODY_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	jw_key(&w, "environments");
	jw_array(&w);
	for (int i = 0; i < count; i++)
		show_environment(&w, &rows[i]);
	jw_array_end(&w);
	jw_object_end(&w);
	api_reply_buf(call, 200, &out);
}

void
admin_environment_list(struct api_call *call)
{
	account_environment_list(call->daemon->account, on_listed, call);
}

/* ---- PATCH ----------------------------------------------------------------------------------- */

static void
on_all_written(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
{
	struct admin *admin = arg;
	struct api_call *call = admin->call;

	(void)id;
	if (code != SL_OK) {
		api_fail_sl(call, code, error);
		return;
	}
	directory_forget(call->daemon->directory);
	log_info("environment_settings_changed", "environment=%s", log_text(call->segment[3]));
	admin->found = reply_environment;
	look_up(admin);
}

static void
on_limit_written(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
{
	struct admin *admin = arg;
	const struct admin_webhook *webhook = &admin->webhook;

	if (code == SL_OK && webhook->given)
		account_environment_webhook(admin->call->daemon->account, admin->id, webhook->url,
					    webhook->url_secondary, webhook->events, on_all_written,
					    admin);
	else
		on_all_written(admin, code, id, error);
}

static void
on_concurrency_written(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
{
	struct admin *admin = arg;
	struct daemon *daemon = admin->call->daemon;

	if (code == SL_OK && admin->sync_limit_given)
		account_environment_sync_limit(daemon->account, admin->id, admin->sync_limit,
					       (int)config_int(daemon->config, "sync_limit"),
					       on_limit_written, admin);
	else
		on_limit_written(admin, code, id, error);
}

static void
on_settings_written(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
{
	const struct admin_concurrency taken_back = {.by = ACCOUNT_CONCURRENCY_ENVIRONMENT,
						     .limit = 1};
	struct admin *admin = arg;
	const struct admin_concurrency *concurrency =
	    admin->concurrency.is_null ? &taken_back : &admin->concurrency;

	if (code == SL_CONFLICT && ++admin->tries < WRITE_TRIES)
		look_up(admin); /* somebody else was faster: again, from what is there now */
	else if (code == SL_OK && admin->concurrency.given)
		account_environment_concurrency(admin->call->daemon->account, admin->id,
						concurrency->by, concurrency->limit,
						on_concurrency_written, admin);
	else
		on_concurrency_written(admin, code, id, error);
}

/* The members of the body that are kept as settings. */
static void
settings_patch(struct api_call *call, struct buf *out)
{
	struct json_writer w;

	jw_init(&w, out);
	jw_object(&w);
	for (const struct setting *setting = settings; setting->name != NULL; setting++) {
		struct json_value value = json_get(call->body, setting->name);

		if (value.type != JSON_NONE)
			jw_member_raw(&w, setting->name, value.raw);
	}
	jw_object_end(&w);
}

static void
on_first_key(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
{
	struct admin *admin = arg;

	(void)id;
	if (code == SL_OK)
		look_up(admin);
	else
		api_fail_sl(admin->call, code, error);
}

static void
write_settings(struct admin *admin, const struct account_environment *row)
{
	struct api_call *call = admin->call;
	struct sl_error error;
	struct buf out, patch;

	if (admin->webhook.given && row->signing_key[0] == '\0') {
		admin_give_signing_key(call, row, on_first_key, admin);
		return;
	}
	buf_init(&out, SETTINGS_MAX);
	buf_init(&patch, SETTINGS_MAX);
	settings_patch(call, &patch);
	if (metadata_merge(slice_text(row->settings), buf_slice(&patch), &out, &error) == SL_OK)
		account_environment_settings(call->daemon->account, row->id, row->settings,
					     out.data, on_settings_written, admin);
	else
		api_fail_sl(call, SL_INTERNAL, &error);
	buf_fini(&out);
	buf_fini(&patch);
}

/* A column of its own: the ledger counts by it. */
static bool
read_sync_limit(struct admin *admin)
{
	struct json_value value = json_get(admin->call->body, "sync_limit");
	int64_t number = 0;

	admin->sync_limit_given = value.type != JSON_NONE;
	if (value.type != JSON_NONE && value.type != JSON_NULL_ &&
	    (!json_int(value, &number) || number < 1 || number > ACCOUNT_CONCURRENCY_MAX)) {
		api_fail_issue(admin->call, "invalid_body", "invalid_value", "sync_limit",
			       "sync_limit must be a whole number from 1 to %d, or null",
			       ACCOUNT_CONCURRENCY_MAX);
		return false;
	}
	admin->sync_limit = (int)number;
	return true;
}

/* null takes a setting back. */
static bool
check_settings(struct admin *admin)
{
	static const char *const own[] = {"concurrency", "sync_limit", "webhook_url",
					  "webhook_url_secondary", "webhook_events"};
	enum { OWN = sizeof(own) / sizeof(own[0]) };
	const char *names[OWN + sizeof(settings) / sizeof(settings[0])];
	struct api_call *call = admin->call;
	int64_t number;

	memcpy(names, own, sizeof(own));
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		names[OWN + i] = settings[i].name; /* the last one is NULL */
	if (!api_strict(call, call->body, names))
		return false;
	for (const struct setting *setting = settings; setting->name != NULL; setting++) {
		struct json_value value = json_get(call->body, setting->name);

		if (value.type == JSON_NONE || value.type == JSON_NULL_ ||
		    (json_int(value, &number) && number >= setting->min && number <= setting->max))
			continue;
		api_fail_issue(call, "invalid_body", "invalid_type", setting->name,
			       "%s must be a whole number from %lld to %lld", setting->name,
			       (long long)setting->min, (long long)setting->max);
		return false;
	}
	return read_sync_limit(admin) && admin_read_concurrency(call, &admin->concurrency) &&
	       admin_read_webhook(call, &admin->webhook);
}

void
admin_environment_patch(struct api_call *call)
{
	struct admin *admin = admin_new(call, write_settings);

	if (admin != NULL && check_settings(admin))
		look_up(admin);
}

/* ---- variables ------------------------------------------------------------------------------- */

static void
on_variable_written(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
{
	struct admin *admin = arg;
	struct api_call *call = admin->call;

	(void)id;
	if (code == SL_NOT_FOUND) {
		api_fail(call, 404, "not_found", "there is no such variable in this environment");
	} else if (code != SL_OK) {
		api_fail_sl(call, code, error);
	} else {
		directory_forget(call->daemon->directory);
		api_reply_success(call);
	}
}

static bool
variable_is(const char *name)
{
	if (name[0] >= '0' && name[0] <= '9')
		return false;
	return name[0] != '\0' && strlen(name) <= 255 &&
	       name[strspn(name,
			   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")] ==
		   '\0';
}

static bool
read_variable(struct admin *admin)
{
	admin->variable = admin->call->segment[5];
	if (variable_is(admin->variable))
		return true;
	api_fail_issue(
	    admin->call, "invalid_uri_params", "invalid_format", "variable",
	    "a variable's name is made of letters, digits and _ (1 to 255), and does not start with a digit");
	return false;
}

static void
put_variable(struct admin *admin, const struct account_environment *row)
{
	struct api_call *call = admin->call;
	char *seal_row = sl_asprintf("variable:%lld:%s", (long long)row->id, admin->variable);
	struct buf sealed;

	buf_init(&sealed, SEALED_MAX);
	secret_seal(call->daemon->ring, slice_text(admin->value), seal_row, &sealed);
	secret_wipe((char *)(uintptr_t)admin->value, strlen(admin->value));
	account_variable_put(call->daemon->account, row->id, admin->variable, sealed.data,
			     on_variable_written, admin);
	buf_fini(&sealed);
	free(seal_row);
}

void
admin_variable_put(struct api_call *call)
{
	static const char *const names[] = {"value", NULL};
	struct admin *admin = admin_new(call, put_variable);

	if (admin != NULL && read_variable(admin) && api_strict(call, call->body, names) &&
	    api_text(call, call->body, "value", true, VALUE_MAX, &admin->value))
		look_up(admin);
}

static void
delete_variable(struct admin *admin, const struct account_environment *row)
{
	account_variable_delete(admin->call->daemon->account, row->id, admin->variable,
				on_variable_written, admin);
}

void
admin_variable_delete(struct api_call *call)
{
	struct admin *admin = admin_new(call, delete_variable);

	if (admin != NULL && read_variable(admin))
		look_up(admin);
}
