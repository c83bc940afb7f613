/* daemon/api/environment.c - environments, their API keys and variables (wire.md 6.4). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/api/identity.h"
#include "daemon/api/resources.h"
#include "daemon/api/show.h"

#define SEALED_MAX (4 << 20)
#define HEADERS_MAX (64 << 10) /* of otlp_headers: sealed, it is one of the settings of a row */
#define SET_PRODUCTION "account:environments:set_production"

static bool
no_query(struct api_call *call)
{
	static const char *const none[] = {NULL};

	return api_query_strict(call, none);
}

/* Seals plain for "environment:<uuid>:<what>"; malloc'd. */
static char *
seal_member(struct api_call *call, const char *uuid, const char *what, struct slice plain)
{
	char *row = sl_asprintf("environment:%s:%s", uuid, what);
	struct buf sealed;

	buf_init(&sealed, SEALED_MAX);
	secret_seal(call->daemon->ring, plain, row, &sealed);
	free(row);
	return buf_take(&sealed, NULL);
}

/* ---- variables -------------------------------------------------------------------------------- */

static void
on_variables(void *arg, enum sl_code code, const struct account_variable *rows, int count,
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
	if (show_variables(call->daemon->ring, call->environment->row.id, rows, count, &out,
			   &failed) == SL_OK) {
		show_reply(call, 200, &out);
		return;
	}
	show_buf_wipe(&out);
	api_fail_sl(call, SL_INTERNAL, &failed);
}

void
environment_variables(struct api_call *call)
{
	account_variable_list(call->daemon->account, call->environment->row.id, on_variables, call);
}

/* ---- API keys -------------------------------------------------------------------------------- */

struct key_change {
	struct api_call *call;
	const char *display_name;
	char secret[UUID_TEXT];
};

/* A row number in the body, by name. */
static bool
read_id(struct api_call *call, const char *name, int64_t *out)
{
	if (json_int(json_get(call->body, name), out) && *out > 0)
		return true;
	api_fail_issue(call, "invalid_body", "invalid_type", name,
		       "%s must be a whole number above 0", name);
	return false;
}

/* Row numbers of environments are 32 bits: one beyond that names nothing. */
static bool
check_environment_id(struct api_call *call, int64_t id)
{
	if (id <= INT32_MAX)
		return true;
	api_fail(call, 404, "not_found", "there is no such environment");
	return false;
}

static void
on_key_created(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
{
	struct key_change *change = arg;
	struct api_call *call = change->call;
	struct json_writer w;
	struct buf out;
	char now[48];

	if (code != SL_OK) {
		secret_wipe(change->secret, sizeof(change->secret));
		if (code == SL_NOT_FOUND)
			api_fail(call, 404, "not_found", "there is no such environment");
		else if (code == SL_CONFLICT)
			api_fail(call, 409, "conflict",
				 "this environment has a key of that display_name already");
		else
			api_fail_sl(call, code, error);
		return;
	}
	api_time(clock_wall_ms(), false, now, sizeof(now));
	buf_init(&out, 1 << 16);
	jw_init(&w, &out);
	jw_object(&w);
	jw_key(&w, "data");
	jw_object(&w);
	jw_member_int(&w, "id", id);
	jw_member_text(&w, "display_name", change->display_name);
	jw_member_raw(&w, "scopes", SLICE_LITERAL("[\"environment:*\"]"));
	jw_member_text(&w, "secret", change->secret);
	jw_member_text(&w, "created_at", now);
	jw_object_end(&w);
	jw_object_end(&w);
	secret_wipe(change->secret, sizeof(change->secret));
	show_reply(call, 200, &out);
}

void
environment_create_key(struct api_call *call)
{
	static const char *const names[] = {"environment_id", "display_name", NULL};
	struct key_change *change = api_state(call, sizeof(*change));
	char digest[SECRET_SHA256_HEX];
	int64_t environment_id;

	change->call = call;
	if (!api_strict(call, call->body, names) ||
	    !read_id(call, "environment_id", &environment_id) ||
	    !api_text(call, call->body, "display_name", true, 255, &change->display_name))
		return;
	if (change->display_name[0] == '\0') {
		api_fail_issue(call, "invalid_body", "too_small", "display_name",
			       "display_name must not be empty");
		return;
	}
	if (!check_environment_id(call, environment_id))
		return;
	uuid_v4(change->secret);
	secret_sha256_hex(slice_text(change->secret), digest);
	account_key_create(call->daemon->account, environment_id, change->display_name, digest,
			   "environment:*", on_key_created, change);
}

static void
on_key_deleted(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
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
environment_delete_key(struct api_call *call)
{
	static const char *const names[] = {"environment_id", "key_id", NULL};
	int64_t environment_id, key_id;

	if (!api_strict(call, call->body, names) ||
	    !read_id(call, "environment_id", &environment_id) ||
	    !read_id(call, "key_id", &key_id) || !check_environment_id(call, environment_id))
		return;
	account_key_delete(call->daemon->account, environment_id, key_id, on_key_deleted, call);
}

/* ---- creation -------------------------------------------------------------------------------- */

struct creation {
	struct api_call *call;
	const char *name;
	bool is_production;
	int64_t id;
	char *settings; /* kept by the call; "{}": nothing to keep */
};

static void
reply_created(struct creation *creation)
{
	struct api_call *call = creation->call;
	struct buf out;

	directory_forget(call->daemon->directory);
	log_info("environment_created", "environment=%s", log_text(creation->name));
	buf_init(&out, 4096); /* the name needs no escapes: wire.md 6.4 */
	buf_printf(&out, "{\"data\":{\"id\":%lld,\"name\":\"%s\"}}", (long long)creation->id,
		   creation->name);
	api_reply_buf(call, 200, &out);
}

static void
on_settings(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
{
	struct creation *creation = arg;

	(void)id;
	if (code != SL_OK) {
		log_warn("environment_without_settings", "environment=%s code=%s",
			 log_text(creation->name), sl_code_name(code));
		api_fail_sl(creation->call, code, error);
		return;
	}
	reply_created(creation);
}

static void
on_created(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
{
	struct creation *creation = arg;
	struct api_call *call = creation->call;

	if (code == SL_CONFLICT) {
		api_fail(call, 409, "conflict", "there is an environment of that name already");
		return;
	}
	if (code != SL_OK) {
		api_fail_sl(call, code, error);
		return;
	}
	creation->id = id;
	if (strcmp(creation->settings, "{}") == 0)
		reply_created(creation);
	else
		account_environment_settings(call->daemon->account, id, "{}", creation->settings,
					     on_settings, creation);
}

/* A text member that must not be readable in the ledger. */
static void
keep_sealed(struct api_call *call, const char *uuid, const char *name, struct json_writer *w)
{
	struct json_value value = json_get(call->body, name);
	char *sealed;

	if (value.type == JSON_NONE || value.type == JSON_NULL_)
		return;
	sealed = seal_member(call, uuid, name, value.raw); /* as JSON: an array stays one */
	jw_member_text(w, name, sealed);
	free(sealed);
}

/* What the body may hold beside name, is_production and callback_url: checked, and kept as
 * settings. */
static bool
read_settings(struct creation *creation, const char *uuid)
{
	struct api_call *call = creation->call;
	struct json_value headers = json_get(call->body, "otlp_headers");
	const char *hmac_key, *endpoint;
	bool hmac_enabled, slack;
	struct json_writer w;
	struct buf out;

	if (!api_text(call, call->body, "hmac_key", false, 1024, &hmac_key))
		return false;
	if (hmac_key != NULL)
		secret_wipe((char *)(uintptr_t)hmac_key, strlen(hmac_key));
	if (!api_bool(call, call->body, "hmac_enabled", false, &hmac_enabled) ||
	    !api_bool(call, call->body, "slack_notifications", false, &slack) ||
	    !api_text(call, call->body, "otlp_endpoint", false, 2048, &endpoint))
		return false;
	if (endpoint != NULL && endpoint[0] != '\0' && !identity_url_is(endpoint)) {
		api_fail_issue(call, "invalid_body", "invalid_format", "otlp_endpoint",
			       "otlp_endpoint must be an http or https URL");
		return false;
	}
	if (headers.type != JSON_NONE && headers.type != JSON_NULL_ &&
	    headers.type != JSON_ARRAY_ && headers.type != JSON_OBJECT_) {
		api_fail_issue(call, "invalid_body", "invalid_type", "otlp_headers",
			       "otlp_headers must be a list or an object");
		return false;
	}
	if (headers.raw.len > HEADERS_MAX) {
		api_fail_issue(call, "invalid_body", "too_big", "otlp_headers",
			       "otlp_headers is longer than %d bytes", HEADERS_MAX);
		return false;
	}
	buf_init(&out, SEALED_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	if (json_get(call->body, "hmac_enabled").type != JSON_NONE)
		jw_member_bool(&w, "hmac_enabled", hmac_enabled);
	if (json_get(call->body, "slack_notifications").type != JSON_NONE)
		jw_member_bool(&w, "slack_notifications", slack);
	if (endpoint != NULL && endpoint[0] != '\0')
		jw_member_text(&w, "otlp_endpoint", endpoint);
	keep_sealed(call, uuid, "hmac_key", &w);
	keep_sealed(call, uuid, "otlp_headers", &w);
	jw_object_end(&w);
	creation->settings = api_keep(call, buf_take(&out, NULL));
	return true;
}

static bool
read_creation(struct creation *creation, const char **callback_url)
{
	static const char *const names[] = {"name",          "is_production", "callback_url",
					    "hmac_key",      "hmac_enabled",  "slack_notifications",
					    "otlp_endpoint", "otlp_headers",  NULL};
	struct api_call *call = creation->call;

	if (!api_strict(call, call->body, names) ||
	    !api_text(call, call->body, "name", true, 4096, &creation->name) ||
	    !api_check_name(call, API_NAME_ENVIRONMENT, creation->name, "invalid_body", "name") ||
	    !api_bool(call, call->body, "is_production", false, &creation->is_production) ||
	    !api_text(call, call->body, "callback_url", false, 2048, callback_url))
		return false;
	if (*callback_url == NULL)
		*callback_url = "";
	if ((*callback_url)[0] != '\0' && !identity_url_is(*callback_url)) {
		api_fail_issue(call, "invalid_body", "invalid_format", "callback_url",
			       "callback_url must be an http or https URL");
		return false;
	}
	if (creation->is_production && !api_has_scope(call->key, SET_PRODUCTION)) {
		api_fail(call, 403, "forbidden", "this key lacks the scope " SET_PRODUCTION);
		return false;
	}
	return true;
}

void
environment_create(struct api_call *call)
{
	struct creation *creation = api_state(call, sizeof(*creation));
	struct account_new_environment row = {0};
	char uuid[UUID_TEXT], secret[UUID_TEXT], digest[SECRET_SHA256_HEX];
	char *sealed;

	creation->call = call;
	uuid_v4(uuid);
	if (!read_creation(creation, &row.callback_url) || !read_settings(creation, uuid))
		return;
	row.name = creation->name;
	row.uuid = uuid;
	row.is_production = creation->is_production;
	/* The first key is known to nobody: POST /environment/api-keys makes those that are used.
	 */
	uuid_v4(secret);
	secret_sha256_hex(slice_text(secret), digest);
	row.key_digest = digest;
	uuid_v4(secret);
	sealed = seal_member(call, uuid, "signing_key", slice_text(secret));
	row.signing_key = sealed;
	account_environment_create(call->daemon->account, &row, on_created, creation);
	secret_wipe(secret, sizeof(secret));
	free(sealed);
}

/* ---- deletion and list ----------------------------------------------------------------------- */

static void
on_deleted(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
{
	struct api_call *call = arg;

	if (code == SL_CONFLICT) {
		api_fail(call, 400, "cannot_delete_prod_environment",
			 "a production environment cannot be deleted");
	} else if (code == SL_NOT_FOUND) {
		api_fail(call, 404, "not_found", "there is no such environment");
	} else if (code != SL_OK) {
		api_fail_sl(call, code, error);
	} else {
		directory_forget(call->daemon->directory);
		log_info("environment_deleted", "id=%lld", (long long)id);
		api_reply_empty(call, 204);
	}
}

void
environment_delete(struct api_call *call)
{
	const char *text = call->segment[1];
	long long id;
	char *end;

	if (!no_query(call))
		return;
	errno = 0;
	id = strtoll(text, &end, 10);
	if (text[0] < '1' || text[0] > '9' || *end != '\0' || errno != 0) {
		api_fail_issue(call, "invalid_uri_params", "invalid_type", "environmentId",
			       "the id of an environment is a whole number");
		return;
	}
	if (check_environment_id(call, id))
		account_environment_delete(call->daemon->account, id, on_deleted, call);
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
	jw_key(&w, "data");
	jw_array(&w);
	for (int i = 0; i < count; i++) {
		jw_object(&w);
		jw_member_text(&w, "name", rows[i].name);
		jw_member_bool(&w, "is_production", rows[i].is_production);
		jw_object_end(&w);
	}
	jw_array_end(&w);
	jw_object_end(&w);
	api_reply_buf(call, 200, &out);
}

void
environment_list(struct api_call *call)
{
	if (call->environment != NULL) /* the key of one environment sees that one */
		on_listed(call, SL_OK, &call->environment->row, 1, NULL);
	else
		account_environment_list(call->daemon->account, on_listed, call);
}
