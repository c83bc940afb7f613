/* daemon/api/connection_create.c - connections given from outside: POST /connections and its flat
 * ancestor POST /connection (wire.md 5.1, 5.3). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "daemon/api/identity.h"
#include "daemon/api/resources.h"
#include "daemon/api/show.h"
#include "provider/catalog.h"
#include "provider/credential.h"

#define CREDENTIALS_MAX (1 << 20)
#define SEALED_MAX (4 << 20)

struct create {
	struct api_call *call;
	const char *integration;
	bool legacy; /* the answer echoes the body */
	struct account_connection row;
	char id[UUID_TEXT], seal_row[UUID_TEXT + 16];
	struct identity identity;
};

static void
on_upserted(void *arg, enum sl_code code, const struct account_connection *row, bool overridden,
	    const struct sl_error *error)
{
	struct create *create = arg;
	struct api_call *call = create->call;
	unsigned flags = SHOW_CREATED_Z;
	struct sl_error failed;
	struct buf out;

	if (code != SL_OK) {
		api_fail_sl(call, code, error);
		return;
	}
	directory_forget(call->daemon->directory);
	log_info("connection_imported", "environment=%s integration=%s operation=%s",
		 log_text(call->environment->row.name), log_text(row->unique_key),
		 overridden ? "override" : "creation");
	if (create->legacy) {
		api_reply(call, 201, call->body.raw);
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
look_up(struct create *create)
{
	struct api_call *call = create->call;

	account_integration_find(call->daemon->account, call->environment->row.id,
				 create->integration, on_integration, create);
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
