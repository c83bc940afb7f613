#include "daemon/api/show.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/json.h"
#include "daemon/api/api.h"
#include "provider/catalog.h"
#include "provider/credential.h"

#define TIME_SIZE 48
#define PLAIN_MAX \
	(1        \
	 << 20) /* credentials and variables are far smaller: see the limits of a request's body \
		   */

void
show_buf_wipe(struct buf *out)
{
	secret_wipe(out->data, out->len);
	buf_fini(out);
}

void
show_reply(struct api_call *call, int status, struct buf *out)
{
	if (out->over)
		api_fail(call, 500, "server_error", "the answer is larger than this server sends");
	else
		api_reply(call, status, buf_slice(out));
	show_buf_wipe(out);
}

static void
member_time(struct json_writer *w, const char *key, int64_t wall_ms, bool plus)
{
	char text[TIME_SIZE];

	api_time(wall_ms, plus, text, sizeof(text));
	jw_member_text(w, key, text);
}

enum sl_code
show_open_credentials(const struct secret_ring *ring, const struct account_connection *row,
		      struct buf *out, struct sl_error *error)
{
	if (row->credentials[0] == '\0') {
		buf_add_text(out, "{}");
		return SL_OK;
	}
	return secret_open(ring, slice_text(row->credentials), row->seal_row, out, error);
}

/* Its credentials could not be refreshed; the log tells why under that id. */
static void
show_errors(const struct account_connection *row, struct json_writer *w)
{
	jw_key(w, "errors");
	jw_array(w);
	if (row->failure_log_id[0] != '\0') {
		jw_object(w);
		jw_member_text(w, "type", "auth");
		jw_member_text(w, "log_id", row->failure_log_id);
		jw_object_end(w);
	}
	jw_array_end(w);
}

/* What S and F have in common. */
static void
show_base(const struct account_connection *row, struct json_writer *w)
{
	jw_member_int(w, "id", row->id);
	jw_member_text(w, "connection_id", row->connection_id);
	jw_member_text(w, "provider_config_key", row->unique_key);
	jw_member_text(w, "provider", row->provider);
	show_errors(row, w);
	jw_member_raw(w, "end_user", slice_text(row->end_user));
	jw_member_raw(w, "tags", slice_text(row->tags));
	jw_member_raw(w, "metadata", slice_text(row->metadata));
}

void
show_connection_short(const struct account_connection *row, struct buf *out)
{
	struct json_writer w;

	jw_init(&w, out);
	jw_object(&w);
	show_base(row, &w);
	member_time(&w, "created", row->created_ms, true);
	jw_object_end(&w);
}

enum sl_code
show_connection(const struct secret_ring *ring, const struct account_connection *row,
		unsigned flags, struct buf *out, struct sl_error *error)
{
	bool plus = (flags & SHOW_CREATED_Z) == 0;
	enum sl_code code = SL_OK;
	struct json_writer w;
	struct buf plain, shown;

	buf_init(&plain, PLAIN_MAX);
	buf_init(&shown, PLAIN_MAX);
	if ((flags & SHOW_CREDENTIALS) != 0)
		code = show_open_credentials(ring, row, &plain, error);
	if (code == SL_OK && plain.len > 0)
		credential_show(buf_slice(&plain), (flags & SHOW_REFRESH_TOKEN) != 0, &shown);
	if (code == SL_OK) {
		jw_init(&w, out);
		jw_object(&w);
		show_base(row, &w);
		jw_member_raw(&w, "connection_config", slice_text(row->connection_config));
		jw_member_text(&w, "webhook_url_override",
			       row->webhook_url_override[0] != '\0' ? row->webhook_url_override
								    : NULL);
		member_time(&w, "created_at", row->created_ms, plus);
		member_time(&w, "updated_at", row->updated_ms, plus);
		member_time(&w, "last_fetched_at", row->last_fetched_ms, plus);
		jw_member_raw(&w, "credentials",
			      shown.len > 0 ? buf_slice(&shown) : SLICE_LITERAL("{}"));
		jw_object_end(&w);
	}
	show_buf_wipe(&plain);
	show_buf_wipe(&shown);
	return code;
}

/* Providers whose integrations hold no credentials show null, as does one that was given none. */
static enum sl_code
show_client(const struct secret_ring *ring, const struct account_integration *row,
	    struct json_writer *w, struct sl_error *error)
{
	static const char *const names[] = {"type", "client_id", "client_secret", "scopes",
					    "webhook_secret"};
	struct json_value opened;
	struct buf plain;
	enum sl_code code;

	jw_key(w, "credentials");
	if (row->credentials[0] == '\0') {
		jw_null(w);
		return SL_OK;
	}
	buf_init(&plain, PLAIN_MAX);
	code = secret_open(ring, slice_text(row->credentials), row->seal_row, &plain, error);
	if (code == SL_OK && json_check(buf_slice(&plain), &opened, NULL) != SL_OK)
		code = sl_fail(error, SL_INTERNAL, "the sealed credentials are not JSON");
	if (code == SL_OK) {
		jw_object(w);
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			jw_member_raw(w, names[i], json_get(opened, names[i]).raw);
		jw_object_end(w);
	}
	show_buf_wipe(&plain);
	return code;
}

/* null for a provider whose webhooks are not routed, and where the base is not known. */
static void
show_webhook(const struct provider *provider, const struct account_integration *row,
	     const char *webhook_base, struct json_writer *w)
{
	char *url = NULL;

	if (provider != NULL && provider->webhook != WEBHOOK_NONE && webhook_base != NULL) {
		struct buf key;

		buf_init(&key, 4096);
		for (const char *at = row->unique_key; *at != '\0'; at++)
			if (*at == ' ')
				buf_add_text(&key, "%20"); /* all others may stand in a path */
			else
				buf_add_char(&key, *at);
		url = sl_asprintf("%s/%s", webhook_base, key.data);
		buf_fini(&key);
	}
	jw_member_text(w, "webhook_url", url);
	free(url);
}

enum sl_code
show_integration(const struct daemon *daemon, const struct account_integration *row, unsigned flags,
		 struct buf *out, struct sl_error *error)
{
	return show_integration_at(daemon, row, flags, NULL, out, error);
}

enum sl_code
show_integration_at(const struct daemon *daemon, const struct account_integration *row,
		    unsigned flags, const char *webhook_base, struct buf *out,
		    struct sl_error *error)
{
	const struct provider *provider = catalog_find(daemon->catalog, row->provider);
	const char *display_name = row->display_name;
	enum sl_code code = SL_OK;
	struct json_writer w;
	char logo[200];

	if (display_name[0] == '\0')
		display_name = provider != NULL ? provider->display_name : row->provider;
	snprintf(logo, sizeof(logo), "/images/template-logos/%.100s.svg", row->provider);
	jw_init(&w, out);
	jw_object(&w);
	jw_member_text(&w, "unique_key", row->unique_key);
	jw_member_text(&w, "provider", row->provider);
	jw_member_text(&w, "display_name", display_name);
	jw_member_text(&w, "logo", logo);
	jw_member_bool(&w, "forward_webhooks", row->forward_webhooks);
	member_time(&w, "created_at", row->created_ms, false);
	member_time(&w, "updated_at", row->updated_ms, false);
	if ((flags & SHOW_WEBHOOK) != 0)
		show_webhook(provider, row, webhook_base, &w);
	if ((flags & SHOW_CREDENTIALS) != 0)
		code = show_client(daemon->ring, row, &w, error);
	jw_object_end(&w);
	return code;
}

enum sl_code
show_variables(const struct secret_ring *ring, int64_t environment_id,
	       const struct account_variable *rows, int count, struct buf *out,
	       struct sl_error *error)
{
	enum sl_code code = SL_OK;
	struct json_writer w;

	jw_init(&w, out);
	jw_array(&w);
	for (int i = 0; code == SL_OK && i < count; i++) {
		char *seal_row =
		    sl_asprintf("variable:%lld:%s", (long long)environment_id, rows[i].name);
		struct buf plain;

		buf_init(&plain, PLAIN_MAX);
		code = secret_open(ring, slice_text(rows[i].value), seal_row, &plain, error);
		if (code == SL_OK) {
			jw_object(&w);
			jw_member_text(&w, "name", rows[i].name);
			jw_key(&w, "value");
			jw_text_n(&w, plain.data != NULL ? plain.data : "", plain.len);
			jw_object_end(&w);
		}
		show_buf_wipe(&plain);
		free(seal_row);
	}
	jw_array_end(&w);
	return code;
}
