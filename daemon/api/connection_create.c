/* daemon/api/connection_create.c - connections given from outside: POST /connections and its flat
 * ancestor POST /connection (wire.md 5.1, 5.3). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "daemon/api/auth_event.h"
#include "daemon/api/identity.h"
#include "daemon/api/resources.h"
#include "daemon/api/show.h"
#include "daemon/deliver/deliver.h"
#include "daemon/event.h"
#include "daemon/worker/dispatch.h"
#include "provider/catalog.h"
#include "provider/credential.h"
#include "sql/outbox.h"

#define CREDENTIALS_MAX (1 << 20)
#define SEALED_MAX (4 << 20)

struct create {
	struct api_call *call;
	const char *integration;
	bool legacy; /* the answer echoes the body */
	struct account_connection row;
	char id[UUID_TEXT], seal_row[UUID_TEXT + 16];
	struct identity identity;
	const struct provider *provider; /* of the catalog */
	struct event_place place;        /* of the row that was written */
	bool overridden;
	enum sl_code refused; /* why it was not validated */
	char *objection;      /* kept by the call; NULL: none */
	const char *event;    /* kept by the call: the body of what the environment is told */
};

/* ---- after the row is written ----------------------------------------------------------------- */

static void
on_shown(void *arg, enum sl_code code, const struct account_connection *row, int count,
	 const struct sl_error *error)
{
	struct create *create = arg;
	struct api_call *call = create->call;
	unsigned flags = SHOW_CREATED_Z;
	struct sl_error failed;
	struct buf out;

	(void)count;
	if (code != SL_OK) {
		api_fail_sl(call, code, error);
		return;
	}
	if (api_has_scope(call->key, "environment:connections:read_credentials"))
		flags |= SHOW_CREDENTIALS;
	buf_init(&out, API_BODY_MAX);
	if (show_connection(call->daemon->ring, row, flags, &out, &failed) == SL_OK) {
		show_reply(call, 201, &out);
		return;
	}
	show_buf_wipe(&out);
	api_fail_sl(call, SL_INTERNAL, &failed);
}

static void
reply_created(struct create *create)
{
	if (create->legacy)
		api_reply(create->call, 201, create->call->body.raw);
	else
		account_connection_by_id(create->call->daemon->account, create->place.connection_id,
					 on_shown, create);
}

/* A 201 says that the event is committed.  Without it the caller hears 503 and asks again, which overrides the
 * connection and tells of that; nobody would tell of one that was created quietly. */
static void
on_told(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
{
	struct create *create = arg;

	(void)id;
	if (code != SL_OK) {
		api_fail_sl(create->call, code, error);
		return;
	}
	deliver_poke(create->call->daemon->deliver);
	reply_created(create);
}

static void
tell(struct create *create)
{
	struct settle_event event = {.environment_id = create->place.environment_id,
				     .connection_id = create->place.connection_id,
				     .type = SETTLE_EVENT_AUTH,
				     .outcome = SETTLE_EVENT_CHANGED,
				     .body = slice_text(create->event)};

	outbox_add(create->call->daemon->account, &event, on_told, create);
}

/* The functions of a creation come before its event: a call that is repeated because of that is no creation any more. */
static void
on_announced(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct create *create = arg;

	if (code != SL_OK) /* the connection is there all the same */
		log_error("event_not_queued", "event=%s connection=%lld error=%s", EVENT_CREATED,
			  (long long)create->place.connection_id,
			  log_text(error != NULL ? error->text : ""));
	tell(create);
}

/* What the function says against the connection: message or error of its ActionError. */
static char *
objection(struct slice output)
{
	struct json_value error, payload;
	char *code, *text = NULL;

	if (json_check(output, &error, NULL) != SL_OK)
		return NULL;
	code = json_text(json_get(error, "code"), NULL);
	payload = json_get(error, "payload");
	if (code != NULL && strcmp(code, "action_script_runtime_error") == 0) {
		text = json_text(json_get(payload, "message"), NULL);
		if (text == NULL)
			text = json_text(json_get(payload, "error"), NULL);
	}
	free(code);
	return text;
}

static void
reply_refused(struct create *create)
{
	struct api_call *call = create->call;
	struct sl_error error;

	if (create->refused == SL_INVALID) {
		api_fail(call, 400, "connection_validation_failed",
			 create->objection != NULL ? create->objection
						   : "the validate-connection function of this "
						     "integration refused the connection");
		return;
	}
	(void)sl_fail(&error, SL_UNAVAILABLE, "the validate-connection function could not run");
	api_fail_sl(call, SL_UNAVAILABLE, &error);
}

static void
on_refused_deleted(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
{
	struct create *create = arg;

	(void)id;
	if (code != SL_OK && code != SL_NOT_FOUND)
		log_error("refused_connection_stays", "connection=%lld code=%s error=%s",
			  (long long)create->place.connection_id, sl_code_name(code),
			  log_text(error != NULL ? error->text : ""));
	directory_forget(create->call->daemon->directory);
	reply_refused(create);
}

/* A connection that was refused goes; one that was there before stays, with its new credentials. */
static void
on_validated(void *arg, enum sl_code code, struct slice output, const struct sl_error *error)
{
	struct create *create = arg;
	struct api_call *call = create->call;

	if (code == SL_OK) {
		if (create->overridden)
			tell(create);
		else
			event_submit(call->daemon, &create->place, EVENT_CREATED, on_announced,
				     create);
		return;
	}
	log_warn("connection_not_validated", "connection=%lld code=%s error=%s",
		 (long long)create->place.connection_id, sl_code_name(code),
		 log_text(error != NULL ? error->text : ""));
	create->refused = code;
	create->objection = objection(output);
	if (create->objection != NULL)
		api_keep(call, create->objection);
	if (create->overridden)
		reply_refused(create);
	else
		account_connection_delete(call->daemon->account, create->place.environment_id,
					  create->integration, create->row.connection_id,
					  on_refused_deleted, create);
}

static void
write_event(struct create *create, const struct account_connection *row)
{
	struct api_call *call = create->call;
	struct buf body;

	buf_init(&body, AUTH_EVENT_MAX);
	auth_event_write(call->environment->row.name, create->provider->auth_mode_name,
			 create->overridden ? "override" : "creation", row, &body);
	create->event = api_keep(call, buf_take(&body, NULL));
}

static void
on_upserted(void *arg, enum sl_code code, const struct account_connection *row, bool overridden,
	    const struct sl_error *error)
{
	struct create *create = arg;
	struct api_call *call = create->call;

	if (code != SL_OK) {
		api_fail_sl(call, code, error);
		return;
	}
	directory_forget(call->daemon->directory);
	log_info("connection_imported", "environment=%s integration=%s operation=%s",
		 log_text(call->environment->row.name), log_text(row->unique_key),
		 overridden ? "override" : "creation");
	create->overridden = overridden;
	create->place = (struct event_place){row->environment_id, row->id, create->integration};
	write_event(create, row);
	event_run(call->daemon, &create->place, EVENT_VALIDATE, on_validated, create);
}

/* ---- before ----------------------------------------------------------------------------------- */

/* Seals what was checked and writes the row. */
static void
seal_and_write(struct create *create, const struct account_integration *integration,
	       const struct buf *plain)
{
	struct api_call *call = create->call;
	struct account_connection *row = &create->row;
	struct buf sealed;
	char uuid[UUID_TEXT];

	uuid_v4(uuid);
	snprintf(create->seal_row, sizeof(create->seal_row), "connection:%s", uuid);
	buf_init(&sealed, SEALED_MAX);
	secret_seal(call->daemon->ring, buf_slice(plain), create->seal_row, &sealed);
	row->environment_id = integration->environment_id;
	row->integration_id = integration->id;
	row->credentials = sealed.data;
	row->seal_row = create->seal_row;
	row->tags = create->identity.tags != NULL ? create->identity.tags : "{}";
	row->end_user = create->identity.end_user != NULL ? create->identity.end_user : "null";
	row->webhook_url_override = create->identity.webhook_url_override != NULL
					? create->identity.webhook_url_override
					: "";
	account_connection_upsert(call->daemon->account, row, on_upserted, create);
	buf_fini(&sealed);
}

/* "api_key is required" -> missing_api_key, as the original names it. */
static void
fail_legacy(struct api_call *call, const struct sl_error *error)
{
	size_t len = strcspn(error->text, " ");
	char code[100];

	if (strncmp(error->text + len, " is required", 12) != 0) {
		api_fail(call, 400, "invalid_body", error->text);
		return;
	}
	snprintf(code, sizeof(code), "missing_%s%.*s",
		 slice_is((struct slice){error->text, len}, "username") ||
			 slice_is((struct slice){error->text, len}, "password")
		     ? "basic_"
		     : "",
		 (int)(len < 60 ? len : 60), error->text);
	api_fail(call, 400, code, error->text);
}

static void
on_integration(void *arg, enum sl_code code, const struct account_integration *row, int count,
	       const struct sl_error *error)
{
	struct create *create = arg;
	struct api_call *call = create->call;
	const struct provider *provider;
	struct sl_error failed = {0};
	char path[128] = "credentials";
	struct buf plain;

	(void)count;
	if (code == SL_NOT_FOUND) {
		if (create->legacy)
			api_fail(
			    call, 400, "unknown_provider_config",
			    "there is no such integration in this environment; check provider_config_key");
		else
			api_fail(
			    call, 404, "not_found",
			    "there is no such integration in this environment; check provider_config_key");
		return;
	}
	if (code != SL_OK) {
		api_fail_sl(call, code, error);
		return;
	}
	provider = catalog_find(call->daemon->catalog, row->provider);
	if (provider == NULL) {
		api_failf(call, 400, "invalid_body",
			  "this server does not know the provider %.100s any more", row->provider);
		return;
	}
	create->provider = provider;
	buf_init(&plain, CREDENTIALS_MAX);
	code = create->legacy ? credential_from_legacy(provider, call->body, &plain, &failed)
			      : credential_check(provider, json_get(call->body, "credentials"),
						 &plain, path, &failed);
	if (code == SL_OK)
		seal_and_write(create, row, &plain);
	show_buf_wipe(&plain);
	if (code == SL_INVALID && create->legacy)
		fail_legacy(call, &failed);
	else if (code == SL_INVALID)
		api_fail_issue(call, "invalid_body", "custom", path, "%s", failed.text);
	else if (code != SL_OK)
		api_fail_issue(call, "invalid_body", "too_big", "credentials", "%s", failed.text);
}

/* connection_config is loose but for one member. */
static bool
check_config(struct api_call *call, struct json_value config)
{
	struct json_value scopes = json_get(config, "oauth_scopes_override");
	bool fine = scopes.type == JSON_NONE || scopes.type == JSON_ARRAY_;
	struct json_iter it;

	if (scopes.type == JSON_ARRAY_) {
		json_iter_init(&it, scopes);
		while (json_iter_next(&it))
			fine = fine && it.value.type == JSON_TEXT;
		json_iter_fini(&it);
	}
	if (!fine)
		api_fail_issue(call, "invalid_body", "invalid_type",
			       "connection_config.oauth_scopes_override",
			       "oauth_scopes_override must be an array of texts");
	return fine;
}

/* A valid name that is not "." or "..": RFC 3986 takes these out of paths, so that nobody could
 * read or delete such a connection. */
static bool
check_id(struct api_call *call, const char *id)
{
	if (strcmp(id, ".") != 0 && strcmp(id, "..") != 0)
		return api_check_name(call, API_NAME_CONNECTION, id, "invalid_body",
				      "connection_id");
	api_fail_issue(call, "invalid_body", "invalid_format", "connection_id",
		       "connection_id must not be a dot segment of a path");
	return false;
}

/* metadata and connection_config, as the bytes that came. */
static bool
read_documents(struct create *create)
{
	struct api_call *call = create->call;
	struct json_value metadata, config;

	if (!api_object(call, call->body, "metadata", false, &metadata) ||
	    !api_object(call, call->body, "connection_config", false, &config) ||
	    !check_config(call, config))
		return false;
	create->row.metadata = metadata.raw.len > 0
				   ? api_keep(call, sl_strndup(metadata.raw.data, metadata.raw.len))
				   : "{}";
	create->row.connection_config =
	    config.raw.len > 0 ? api_keep(call, sl_strndup(config.raw.data, config.raw.len)) : "{}";
	return true;
}

static void
find_integration(struct create *create)
{
	struct api_call *call = create->call;

	account_integration_find(call->daemon->account, call->environment->row.id,
				 create->integration, on_integration, create);
}

static void
on_functions(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct create *create = arg;

	if (code != SL_OK)
		api_fail_sl(create->call, code, error);
	else if (event_is_wanted(object, EVENT_VALIDATE))
		api_fail(
		    create->call, 503, "service_unavailable",
		    "this node runs no functions (it has no worker, or a quiet one), and the integration "
		    "validates its connections; "
		    "ask one that does");
	else
		find_integration(create);
}

/* Where nothing can run, a connection that has to be validated is not even written. */
static void
look_up(struct create *create)
{
	struct api_call *call = create->call;

	if (call->daemon->dispatch != NULL && !dispatch_is_quiet(call->daemon->dispatch))
		find_integration(create);
	else
		directory_functions(call->daemon->directory, call->environment->row.id,
				    create->integration, on_functions, create);
}

void
connection_create(struct api_call *call)
{
	static const char *const names[] = {"provider_config_key",
					    "connection_id",
					    "metadata",
					    "connection_config",
					    "webhook_url_override",
					    "end_user",
					    "tags",
					    "credentials",
					    NULL};
	struct create *create = api_state(call, sizeof(*create));

	create->call = call;
	if (!api_strict(call, call->body, names) ||
	    !api_text(call, call->body, "provider_config_key", true, 4096, &create->integration) ||
	    !api_check_name(call, API_NAME_INTEGRATION, create->integration, "invalid_body",
			    "provider_config_key") ||
	    !api_text(call, call->body, "connection_id", false, 4096, &create->row.connection_id))
		return;
	if (create->row.connection_id == NULL) {
		uuid_v4(create->id);
		create->row.connection_id = create->id;
	}
	if (!check_id(call, create->row.connection_id) || !read_documents(create) ||
	    !identity_read(call, &create->identity))
		return;
	look_up(create);
}

/* A required text of the flat form; its own code when it is missing. */
static bool
legacy_text(struct api_call *call, const char *name, const char *code, const char **out)
{
	enum json_type type = json_get(call->body, name).type;

	if (type == JSON_NONE || type == JSON_NULL_) {
		api_failf(call, 400, code, "%s is required", name);
		return false;
	}
	return api_text(call, call->body, name, true, 4096, out);
}

void
connection_legacy_create(struct api_call *call)
{
	struct create *create = api_state(call, sizeof(*create));

	create->call = call;
	create->legacy = true;
	if (!legacy_text(call, "connection_id", "missing_connection", &create->row.connection_id) ||
	    !legacy_text(call, "provider_config_key", "missing_provider_config",
			 &create->integration) ||
	    !check_id(call, create->row.connection_id) ||
	    !api_check_name(call, API_NAME_INTEGRATION, create->integration, "invalid_body",
			    "provider_config_key") ||
	    !read_documents(create))
		return;
	look_up(create);
}
