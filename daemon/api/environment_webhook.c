/* daemon/api/environment_webhook.c - what an environment says about its webhooks: where they go, which, and the
 * keys that sign them (wire.md 6.4, 9, 18.6). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/api/admin.h"
#include "daemon/api/identity.h"
#include "daemon/api/resources.h"
#include "daemon/api/show.h"

#define SEALED_MAX 4096
#define KEY_BEFORE_MS INT64_C(86400000) /* how long the key before a rotation signs, too */
#define NAMES                                                                            \
	"\"all\", \"none\" or names of sync, sync_unchanged, sync_error, async_action, " \
	"auth_creation, auth_refresh_error"

/* ---- settings ---------------------------------------------------------------------------------- */

static bool
read_url(struct api_call *call, const char *name, const char **out)
{
	struct json_value value = json_get(call->body, name);
	const char *host;
	char *text;

	if (value.type == JSON_NONE)
		return true;
	text = value.type == JSON_NULL_ ? sl_strdup("") : json_text(value, NULL);
	if (text == NULL) {
		api_fail_issue(call, "invalid_body", "invalid_type", name,
			       "%s must be a text without \\u0000, or null for none", name);
		return false;
	}
	*out = api_keep(call, text);
	if (text[0] == '\0' || identity_url_is(text))
		return true;
	host = strstr(text, "://");
	if (host != NULL && host[3 + strcspn(host + 3, "/?#@")] == '@')
		api_fail_issue(call, "invalid_body", "invalid_format", name,
			       "%s holds user info: leave it out; the receiver knows sluice by the "
			       "signature, or by a secret path",
			       name);
	else
		api_fail_issue(call, "invalid_body", "invalid_format", name,
			       "%s must be an http or https URL of at most 2048 bytes, or null for "
			       "none",
			       name);
	return false;
}

/* One name, which may be all or none if it stands alone. */
static bool
add_event(struct slice name, bool alone, int *events)
{
	char text[40];

	if (name.len >= sizeof(text) || memchr(name.data, '\0', name.len) != NULL)
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)name.len, name.data);
	if (alone && strcmp(text, "all") == 0)
		*events = ACCOUNT_WEBHOOK_ALL;
	else if (!alone || strcmp(text, "none") != 0)
		*events |= (int)account_webhook_parse(text);
	return account_webhook_parse(text) != 0 ||
	       (alone && (strcmp(text, "all") == 0 || strcmp(text, "none") == 0));
}

static bool
add_list(const char *text, int *events)
{
	bool alone = strchr(text, ',') == NULL, fine = true;

	while (fine) {
		size_t len;

		text += strspn(text, " ");
		len = strcspn(text, ",");
		while (len > 0 && text[len - 1] == ' ')
			len--;
		fine = add_event((struct slice){text, len}, alone, events);
		text += strcspn(text, ",");
		if (*text++ == '\0')
			break;
	}
	return fine;
}

static bool
add_array(struct json_value list, int *events)
{
	struct json_iter it;
	bool fine = true;

	json_iter_init(&it, list);
	while (fine && json_iter_next(&it)) {
		char *name = json_text(it.value, NULL);

		fine = name != NULL && add_event(slice_text(name), false, events);
		free(name);
	}
	json_iter_fini(&it);
	return fine;
}

static bool
read_events(struct api_call *call, int *out)
{
	struct json_value value = json_get(call->body, "webhook_events");
	bool fine = true;
	char *text;

	if (value.type == JSON_NONE)
		return true;
	*out = value.type == JSON_NULL_ ? ACCOUNT_WEBHOOK_DEFAULT : 0;
	if (value.type == JSON_ARRAY_) {
		fine = add_array(value, out);
	} else if (value.type != JSON_NULL_) {
		text = json_text(value, NULL);
		fine = text != NULL && add_list(text, out);
		free(text);
	}
	if (!fine)
		api_fail_issue(call, "invalid_body", "invalid_value", "webhook_events",
			       "webhook_events must be " NAMES
			       ": separated by commas, or as an array; or null for the default");
	return fine;
}

bool
admin_read_webhook(struct api_call *call, struct admin_webhook *out)
{
	*out = (struct admin_webhook){.events = -1};
	if (!read_url(call, "webhook_url", &out->url) ||
	    !read_url(call, "webhook_url_secondary", &out->url_secondary) ||
	    !read_events(call, &out->events))
		return false;
	out->given = out->url != NULL || out->url_secondary != NULL || out->events >= 0;
	return true;
}

void
admin_show_webhook(struct json_writer *w, const struct account_environment *row)
{
	admin_show_name(w, "webhook_url", row->webhook_url);
	admin_show_name(w, "webhook_url_secondary", row->webhook_url_secondary);
	jw_key(w, "webhook_events");
	jw_array(w);
	for (int bit = 1; bit <= ACCOUNT_WEBHOOK_ALL; bit *= 2)
		if ((row->webhook_events & bit) != 0)
			jw_text(w, account_webhook_name((enum account_webhook)bit));
	jw_array_end(w);
}

/* ---- signing keys ------------------------------------------------------------------------------ */

struct signing {
	struct api_call *call;
	const char *environment; /* kept by the call */
	bool rotates;
	char key[UUID_TEXT]; /* a new one; wiped at the end */
};

/* A new key, sealed for the environment of that uuid; malloc'd. */
static char *
seal_new_key(struct api_call *call, const char *uuid, char key[UUID_TEXT])
{
	char row[UUID_TEXT + 40];
	struct buf sealed;

	uuid_v4(key);
	snprintf(row, sizeof(row), "environment:%s:signing_key", uuid);
	buf_init(&sealed, SEALED_MAX);
	secret_seal(call->daemon->ring, slice_text(key), row, &sealed);
	return buf_take(&sealed, NULL);
}

static void
on_rotated(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
{
	struct signing *signing = arg;
	struct api_call *call = signing->call;
	struct buf out;

	(void)id;
	buf_init(&out, 200);
	buf_printf(&out, "{\"data\":{\"webhook_signing_key\":\"%s\"}}", signing->key);
	secret_wipe(signing->key, sizeof(signing->key));
	if (code == SL_OK) {
		directory_forget(call->daemon->directory);
		log_info("signing_key_rotated", "environment=%s", log_text(signing->environment));
		show_reply(call, 200, &out);
		return;
	}
	show_buf_wipe(&out);
	api_fail_sl(call, code, error);
}

static void
rotate(struct signing *signing, const struct account_environment *row)
{
	struct api_call *call = signing->call;
	char *sealed = seal_new_key(call, row->uuid, signing->key);

	signing->environment = api_keep(call, sl_strdup(row->name));
	account_environment_signing_key(call->daemon->account, row->id, sealed, on_rotated,
					signing);
	free(sealed);
}

void
environment_rotate_signing_key(struct api_call *call)
{
	static const char *const none[] = {NULL};
	struct signing *signing;

	if (!api_query_strict(call, none))
		return;
	signing = api_state(call, sizeof(*signing));
	signing->call = call;
	rotate(signing, &call->environment->row);
}

static void
reply_key(struct api_call *call, const struct account_environment *row)
{
	bool had_another = row->signing_key_before[0] != '\0' &&
			   row->signing_key_ms + KEY_BEFORE_MS > clock_wall_ms();
	char name[UUID_TEXT + 40];
	struct json_writer w;
	struct sl_error error;
	struct buf key, secret, out;
	enum sl_code code;

	snprintf(name, sizeof(name), "environment:%s:signing_key", row->uuid);
	buf_init(&key, SEALED_MAX);
	buf_init(&secret, SEALED_MAX);
	buf_init(&out, 4 * SEALED_MAX);
	code = secret_open(call->daemon->ring, slice_text(row->signing_key), name, &key, &error);
	if (code == SL_OK) {
		buf_add_text(&secret, "whsec_");
		base64_add(&secret, key.data, key.len);
		jw_init(&w, &out);
		jw_object(&w);
		jw_key(&w, "webhook_signing_key");
		jw_text_n(&w, key.data, key.len);
		jw_key(&w, "standard_webhooks_secret");
		jw_text_n(&w, secret.data, secret.len);
		admin_show_time(&w, "rotated_at", row->signing_key_ms);
		admin_show_time(&w, "previous_until",
				had_another ? row->signing_key_ms + KEY_BEFORE_MS : 0);
		jw_object_end(&w);
		show_reply(call, 200, &out);
	} else {
		show_buf_wipe(&out);
		api_fail_sl(call, code, &error);
	}
	show_buf_wipe(&key);
	show_buf_wipe(&secret);
}

static void look_up(struct signing *signing);

static void
on_first_key(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
{
	struct signing *signing = arg;

	(void)id;
	if (code != SL_OK) {
		api_fail_sl(signing->call, code, error);
		return;
	}
	directory_forget(signing->call->daemon->directory);
	look_up(signing); /* another node may have been faster */
}

void
admin_give_signing_key(struct api_call *call, const struct account_environment *row,
		       account_done_cb *cb, void *arg)
{
	char key[UUID_TEXT];
	char *sealed = seal_new_key(call, row->uuid, key);

	secret_wipe(key, sizeof(key));
	account_environment_first_signing_key(call->daemon->account, row->id, sealed, cb, arg);
	free(sealed);
}

static void
on_environment(void *arg, enum sl_code code, const struct account_environment *rows, int count,
	       const struct sl_error *error)
{
	struct signing *signing = arg;
	struct api_call *call = signing->call;

	(void)count;
	if (code == SL_NOT_FOUND)
		api_fail(call, 404, "not_found", "there is no environment of that name");
	else if (code != SL_OK)
		api_fail_sl(call, code, error);
	else if (signing->rotates)
		rotate(signing, &rows[0]);
	else if (rows[0].signing_key[0] == '\0')
		admin_give_signing_key(call, &rows[0], on_first_key, signing);
	else
		reply_key(call, &rows[0]);
}

static void
look_up(struct signing *signing)
{
	account_environment_by_name(signing->call->daemon->account, signing->call->segment[3],
				    on_environment, signing);
}

static void
find(struct api_call *call, bool rotates)
{
	struct signing *signing;

	if (!api_check_name(call, API_NAME_ENVIRONMENT, call->segment[3], "invalid_uri_params",
			    "name"))
		return;
	signing = api_state(call, sizeof(*signing));
	signing->call = call;
	signing->rotates = rotates;
	look_up(signing);
}

void
admin_signing_key_read(struct api_call *call)
{
	find(call, false);
}

void
admin_signing_key_rotate(struct api_call *call)
{
	find(call, true);
}
