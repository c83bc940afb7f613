/* daemon/api/integration.c - integrations: create, read, list, patch, delete (wire.md 6.1). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "daemon/api/metadata.h"
#include "daemon/api/resources.h"
#include "daemon/api/show.h"
#include "provider/catalog.h"

#define PLAIN_MAX (1 << 20)
#define SEALED_MAX (4 << 20)
#define SECRET_MAX 16384
#define READ_CREDENTIALS "environment:integrations:read_credentials"

struct change {
	struct api_call *call;
	const char *key;                /* as it is called now */
	struct account_integration row; /* of create: all; of patch: what the body has, else NULL */
	bool has_forward;
	bool created;
};

/* ---- what bodies hold --------------------------------------------------------------------------
 */

/* {name: text}, as the bytes that came; absent: *out NULL. */
static bool
read_map(struct api_call *call, const char *name, const char **out)
{
	struct json_value map;
	struct json_iter it;
	char path[100] = "";

	*out = NULL;
	if (!api_object(call, call->body, name, false, &map))
		return false;
	if (map.type == JSON_NONE)
		return true;
	json_iter_init(&it, map);
	while (path[0] == '\0' && json_iter_next(&it))
		if (it.value.type != JSON_TEXT)
			snprintf(path, sizeof(path), "%s.%.60s", name, it.key);
	json_iter_fini(&it);
	if (path[0] != '\0') {
		api_fail_issue(call, "invalid_body", "invalid_type", path, "%s must be a text",
			       path);
		return false;
	}
	*out = api_keep(call, sl_strndup(map.raw.data, map.raw.len));
	return true;
}

/* Appends one text member of `credentials`.  NULL: fine; else what is wrong with it. */
static const char *
add_credential(struct json_value credentials, const char *name, bool required,
	       struct json_writer *w)
{
	struct json_value value = json_get(credentials, name);
	const char *wrong = NULL;
	size_t len;
	char *text;

	if (value.type == JSON_NONE || (value.type == JSON_NULL_ && !required))
		return required ? "is required" : NULL;
	text = json_text(value, &len);
	if (text == NULL)
		return "must be a text";
	if (strlen(text) != len)
		wrong = "must not hold \\u0000";
	else if (len > SECRET_MAX)
		wrong = "is too long";
	else if (len == 0 && required)
		wrong = "must not be empty";
	else
		jw_member_text(w, name, text);
	secret_wipe(text, len);
	free(text);
	return wrong;
}

static bool
type_is(struct json_value credentials, const char *name)
{
	char *text = json_text(json_get(credentials, "type"), NULL);
	bool same = text != NULL && strcmp(text, name) == 0;

	free(text);
	return same;
}

/* `credentials` of the body, sealed for seal_row and kept by the call; absent: *out NULL. */
static bool
read_credentials(struct api_call *call, const struct provider *provider, const char *seal_row,
		 const char **out)
{
	static const char *const names[] = {"type",   "client_id",      "client_secret",
					    "scopes", "webhook_secret", NULL};
	struct json_value credentials;
	const char *wrong = NULL, *name = NULL;
	bool required;
	struct buf plain, sealed;
	struct json_writer w;
	char path[80];

	*out = NULL;
	if (!api_object(call, call->body, "credentials", false, &credentials))
		return false;
	if (credentials.type == JSON_NONE)
		return true;
	/* Connections with client credentials bring a client of their own; its integration may hold one for all. */
	required = provider->auth_mode == AUTH_OAUTH2;
	if ((!required && provider->auth_mode != AUTH_OAUTH2_CC) ||
	    !type_is(credentials, provider->auth_mode_name)) {
		api_fail_issue(
		    call, "invalid_body", "invalid_value", "credentials.type",
		    required || provider->auth_mode == AUTH_OAUTH2_CC
			? "credentials.type must be %s for this provider"
			: "integrations of a provider with %s hold no credentials; connections do",
		    provider->auth_mode_name);
		return false;
	}
	if (!api_strict(call, credentials, names))
		return false;
	buf_init(&plain, PLAIN_MAX);
	jw_init(&w, &plain);
	jw_object(&w);
	jw_member_text(&w, "type", provider->auth_mode_name);
	for (int i = 1; wrong == NULL && names[i] != NULL; i++) {
		name = names[i];
		wrong = add_credential(credentials, name, required && i <= 2, &w);
	}
	jw_object_end(&w);
	if (wrong == NULL) {
		buf_init(&sealed, SEALED_MAX);
		secret_seal(call->daemon->ring, buf_slice(&plain), seal_row, &sealed);
		*out = api_keep(call, buf_take(&sealed, NULL));
	}
	show_buf_wipe(&plain);
	if (wrong == NULL)
		return true;
	snprintf(path, sizeof(path), "credentials.%s", name);
	api_fail_issue(call, "invalid_body", "custom", path, "%s %s", path, wrong);
	return false;
}

/* A key that the body gives.  Not "." or "..": RFC 3986 takes these out of paths, so that nobody
 * could read or delete such an integration. */
static bool
check_new_key(struct api_call *call, const char *key)
{
	if (strcmp(key, ".") != 0 && strcmp(key, "..") != 0)
		return api_check_name(call, API_NAME_INTEGRATION, key, "invalid_body",
				      "unique_key");
	api_fail_issue(call, "invalid_body", "invalid_format", "unique_key",
		       "unique_key must not be a dot segment of a path");
	return false;
}

/* What creation and patch have in common. */
static bool
read_common(struct change *change, bool key_required)
{
	struct api_call *call = change->call;
	struct account_integration *row = &change->row;

	change->has_forward = json_get(call->body, "forward_webhooks").type != JSON_NONE;
	if (!api_text(call, call->body, "unique_key", key_required, 4096, &row->unique_key) ||
	    (row->unique_key != NULL && !check_new_key(call, row->unique_key)) ||
	    !api_text(call, call->body, "display_name", false, 1020, &row->display_name) ||
	    !api_bool(call, call->body, "forward_webhooks", true, &row->forward_webhooks) ||
	    !read_map(call, "integration_config", &row->config) ||
	    !read_map(call, "custom", &row->custom))
		return false;
	return true;
}

/* ---- answers ------------------------------------------------------------------------------------
 */

/* public_url, or else where this request was sent to. */
static char *
webhook_base(const struct api_call *call)
{
	const char *url = config_text(call->daemon->config, "public_url");
	const char *host = http_request_header(call->request, "host");

	return sl_asprintf("%s%s/webhook/%s", url != NULL ? "" : "http://",
			   url != NULL    ? url
			   : host != NULL ? host
					  : "localhost",
			   call->environment->row.uuid);
}

static void
reply_one(struct api_call *call, const struct account_integration *row, unsigned flags)
{
	char *base = webhook_base(call);
	struct sl_error error;
	struct buf out;
	enum sl_code code;

	buf_init(&out, API_BODY_MAX);
	buf_add_text(&out, "{\"data\":");
	code = show_integration_at(call->daemon, row, flags, base, &out, &error);
	free(base);
	if (code != SL_OK) {
		show_buf_wipe(&out);
		api_fail_sl(call, SL_INTERNAL, &error);
		return;
	}
	buf_add_text(&out, "}");
	show_reply(call, 200, &out);
}

static void
on_shown(void *arg, enum sl_code code, const struct account_integration *row, int count,
	 const struct sl_error *error)
{
	struct change *change = arg;

	(void)count;
	if (code != SL_OK)
		api_fail_sl(change->call, code, error);
	else
		reply_one(change->call, row, 0);
}

static void
on_written(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
{
	struct change *change = arg;
	struct api_call *call = change->call;

	(void)id;
	if (code == SL_CONFLICT && change->created) {
		api_fail_issue(call, "invalid_body", "invalid_string", "uniqueKey",
			       "an integration %.100s is there already", change->row.unique_key);
	} else if (code == SL_CONFLICT) {
		api_fail_issue(
		    call, "invalid_body", "invalid_string", "uniqueKey",
		    "the key %.100s is taken, or this integration has connections and must keep its key",
		    change->row.unique_key);
	} else if (code != SL_OK) {
		api_fail_sl(call, code, error);
	} else {
		directory_forget(call->daemon->directory);
		account_integration_find(call->daemon->account, call->environment->row.id,
					 change->row.unique_key, on_shown, change);
	}
}

/* ---- create -------------------------------------------------------------------------------------
 */

void
integration_create(struct api_call *call)
{
	static const char *const names[] = {"provider",         "unique_key",  "display_name",
					    "forward_webhooks", "credentials", "integration_config",
					    "custom",           NULL};
	struct change *change = api_state(call, sizeof(*change));
	struct account_integration *row = &change->row;
	const struct provider *provider;

	change->call = call;
	change->created = true;
	if (!api_strict(call, call->body, names) ||
	    !api_text(call, call->body, "provider", true, 4096, &row->provider))
		return;
	provider = catalog_find(call->daemon->catalog, row->provider);
	if (provider == NULL) {
		api_fail_issue(call, "invalid_body", "invalid_string", "provider",
			       "there is no provider %.100s; GET /providers lists them",
			       row->provider);
		return;
	}
	if (!read_common(change, true))
		return;
	row->environment_id = call->environment->row.id;
	row->seal_row =
	    api_keep(call, sl_asprintf("integration:%lld:%s", (long long)row->environment_id,
				       row->unique_key));
	if (!read_credentials(call, provider, row->seal_row, &row->credentials))
		return;
	if (row->credentials == NULL)
		row->credentials = "";
	if (row->display_name == NULL)
		row->display_name = ""; /* shown as the provider's */
	if (row->config == NULL)
		row->config = "{}";
	if (row->custom == NULL)
		row->custom = "{}";
	account_integration_create(call->daemon->account, row, on_written, change);
}

/* ---- patch --------------------------------------------------------------------------------------
 */

/* stored with the members of patch; NULL patch: stored.  The result is kept by the call. */
static const char *
merge_map(struct api_call *call, const char *stored, const char *patch)
{
	struct sl_error error;
	struct buf out;

	if (patch == NULL)
		return stored;
	buf_init(&out, API_BODY_MAX);
	if (metadata_merge(slice_text(stored), slice_text(patch), &out, &error) != SL_OK) {
		buf_fini(&out); /* what is stored was checked; a patch has at most 1 MiB: only the
				   size is left */
		return NULL;
	}
	return api_keep(call, buf_take(&out, NULL));
}

static void
on_patch_found(void *arg, enum sl_code code, const struct account_integration *stored, int count,
	       const struct sl_error *error)
{
	struct change *change = arg;
	struct api_call *call = change->call;
	struct account_integration *body = &change->row, row;
	const struct provider *provider;

	(void)count;
	if (code != SL_OK) {
		api_fail_sl(call, code, error);
		return;
	}
	row = *stored;
	provider = catalog_find(call->daemon->catalog, row.provider);
	if (provider == NULL && json_get(call->body, "credentials").type != JSON_NONE) {
		api_failf(call, 400, "invalid_body",
			  "this server does not know the provider %.100s any more", row.provider);
		return;
	}
	if (provider != NULL && !read_credentials(call, provider, row.seal_row, &body->credentials))
		return;
	if (body->credentials != NULL)
		row.credentials = body->credentials;
	if (body->unique_key != NULL)
		row.unique_key = body->unique_key;
	else
		body->unique_key = change->key;
	if (body->display_name != NULL)
		row.display_name = body->display_name;
	if (change->has_forward)
		row.forward_webhooks = body->forward_webhooks;
	row.config = merge_map(call, stored->config, body->config);
	row.custom = merge_map(call, stored->custom, body->custom);
	if (row.config == NULL || row.custom == NULL) {
		api_fail_issue(call, "invalid_body", "too_big", "integration_config",
			       "integration_config or custom would become too large");
		return;
	}
	account_integration_update(call->daemon->account, &row, on_written, change);
}

/* The integration that the path names; false: answered. */
static bool
check_key(struct api_call *call)
{
	return api_check_name(call, API_NAME_INTEGRATION, call->segment[1], "invalid_uri_params",
			      "uniqueKey");
}

void
integration_patch(struct api_call *call)
{
	static const char *const names[] = {"unique_key",  "display_name",       "forward_webhooks",
					    "credentials", "integration_config", "custom",
					    NULL};
	struct change *change;

	if (!check_key(call) || !api_strict(call, call->body, names))
		return;
	change = api_state(call, sizeof(*change));
	change->call = call;
	change->key = call->segment[1];
	if (!read_common(change, false))
		return;
	account_integration_find(call->daemon->account, call->environment->row.id, change->key,
				 on_patch_found, change);
}

/* ---- read, list, delete ---------------------------------------------------------------------- */

struct look {
	struct api_call *call;
	unsigned flags;
	const char *key, *provider; /* integration_config: kept by the call */
};

static void
on_read(void *arg, enum sl_code code, const struct account_integration *row, int count,
	const struct sl_error *error)
{
	struct look *look = arg;

	(void)count;
	if (code != SL_OK)
		api_fail_sl(look->call, code, error);
	else
		reply_one(look->call, row, look->flags);
}

void
integration_read(struct api_call *call)
{
	static const char *const names[] = {"include", NULL};
	struct look *look;
	unsigned flags = 0;

	if (!check_key(call) || !api_query_strict(call, names))
		return;
	for (int i = 0; i < http_request_query_pairs(call->request); i++) {
		const char *name, *value;

		http_request_query_at(call->request, i, &name, &value);
		if (strcmp(value, "webhook") == 0) {
			flags |= SHOW_WEBHOOK;
		} else if (strcmp(value, "credentials") == 0) {
			flags |= SHOW_CREDENTIALS;
		} else {
			api_fail_issue(call, "invalid_query_params", "invalid_value", "include",
				       "include must be webhook or credentials");
			return;
		}
	}
	if ((flags & SHOW_CREDENTIALS) != 0 && !api_has_scope(call->key, READ_CREDENTIALS)) {
		api_fail(call, 403, "forbidden", "this key lacks the scope " READ_CREDENTIALS);
		return;
	}
	look = api_state(call, sizeof(*look));
	look->call = call;
	look->flags = flags;
	account_integration_find(call->daemon->account, call->environment->row.id, call->segment[1],
				 on_read, look);
}

static void
on_list(void *arg, enum sl_code code, const struct account_integration *rows, int count,
	const struct sl_error *error)
{
	struct api_call *call = arg;
	struct sl_error failed;
	struct buf out;

	if (code != SL_OK) {
		api_fail_sl(call, code, error);
		return;
	}
	buf_init(&out, API_BODY_MAX);
	buf_add_text(&out, "{\"data\":[");
	for (int i = 0; code == SL_OK && i < count; i++) {
		if (i > 0)
			buf_add_char(&out, ',');
		code = show_integration(call->daemon, &rows[i], 0, &out, &failed);
	}
	buf_add_text(&out, "]}");
	if (code == SL_OK) {
		api_reply_buf(call, 200, &out);
		return;
	}
	buf_fini(&out);
	api_fail_sl(call, SL_INTERNAL, &failed);
}

void
integration_list(struct api_call *call)
{
	account_integration_list(call->daemon->account, call->environment->row.id, on_list, call);
}

static void
on_deleted(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
{
	struct api_call *call = arg;

	(void)id;
	if (code != SL_OK) {
		api_fail_sl(call, code, error);
		return;
	}
	directory_forget(call->daemon->directory);
	api_reply_success(call);
}

void
integration_delete(struct api_call *call)
{
	if (check_key(call))
		account_integration_delete(call->daemon->account, call->environment->row.id,
					   call->segment[1], on_deleted, call);
}

/* ---- GET /config/{key} (legacy) -------------------------------------------------------------- */

static void
config_functions(struct json_writer *w, const char *key, const char *type,
		 const struct account_function *rows, int count)
{
	jw_key(w, key);
	jw_array(w);
	for (int i = 0; i < count; i++) {
		struct json_value definition, text = {0};
		char time[48];

		if (strcmp(rows[i].type, type) != 0)
			continue;
		if (json_check(slice_text(rows[i].definition), &definition, NULL) == SL_OK)
			text = json_path(definition, "metadata.description");
		api_time(rows[i].deployed_ms, false, time, sizeof(time));
		jw_object(w);
		jw_member_text(w, "name", rows[i].name);
		jw_member_text(w, "updated_at", time);
		jw_member_raw(w, "description", text.raw);
		jw_object_end(w);
	}
	jw_array_end(w);
}

static void
on_config_functions(void *arg, enum sl_code code, const struct account_function *rows, int count,
		    const struct sl_error *error)
{
	struct look *look = arg;
	struct api_call *call = look->call;
	struct json_writer w;
	struct buf out;

	if (code != SL_OK) {
		api_fail_sl(call, code, error);
		return;
	}
	buf_init(&out, API_BODY_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	jw_key(&w, "config");
	jw_object(&w);
	jw_member_text(&w, "unique_key", look->key);
	jw_member_text(&w, "provider", look->provider);
	config_functions(&w, "syncs", "sync", rows, count);
	config_functions(&w, "actions", "action", rows, count);
	jw_object_end(&w);
	jw_object_end(&w);
	api_reply_buf(call, 200, &out);
}

static void
on_config(void *arg, enum sl_code code, const struct account_integration *row, int count,
	  const struct sl_error *error)
{
	struct look *look = arg;
	struct api_call *call = look->call;

	(void)count;
	if (code != SL_OK) {
		api_fail_sl(call, code, error);
		return;
	}
	look->key = api_keep(call, sl_strdup(row->unique_key));
	look->provider = api_keep(call, sl_strdup(row->provider));
	account_function_list(call->daemon->account, call->environment->row.id, row->unique_key,
			      on_config_functions, look);
}

void
integration_config(struct api_call *call)
{
	struct look *look;

	if (!check_key(call))
		return;
	look = api_state(call, sizeof(*look));
	look->call = call;
	account_integration_find(call->daemon->account, call->environment->row.id, call->segment[1],
				 on_config, look);
}
