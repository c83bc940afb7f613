/* daemon/worker/host_account.c - connections, integrations, metadata, variables; the function's log.
 */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "daemon/api/metadata.h"
#include "daemon/api/show.h"
#include "daemon/egress/fresh.h"
#include "daemon/worker/host_call.h"
#include "provider/catalog.h"

void
host_fail_credentials(struct host_call *call, const char *code, const char *text,
		      const struct account_connection *row)
{
	struct json_writer w;
	struct sl_error failed;
	struct buf shown, out;

	buf_init(&shown, HOST_ANSWER_MAX / 2);
	buf_init(&out, HOST_ANSWER_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	jw_member_text(&w, "code", code);
	jw_member_text(&w, "message", text);
	jw_member_int(&w, "status", 424);
	jw_key(&w, "body");
	jw_object(&w);
	jw_key(&w, "error");
	jw_object(&w);
	jw_member_text(&w, "code", code);
	jw_member_text(&w, "message", text);
	if (show_connection(call->attempt->daemon->ring, row, 0, &shown, &failed) == SL_OK)
		jw_member_raw(&w, "payload", buf_slice(&shown));
	jw_object_end(&w);
	jw_object_end(&w);
	jw_object_end(&w);
	buf_fini(&shown);
	if (out.over)
		host_fail(call, code, text);
	else
		host_answer(call, false, buf_slice(&out), (struct slice){NULL, 0});
	buf_fini(&out);
}

static void
on_fresh(void *arg, const struct fresh_answer *answer)
{
	struct host_call *call = arg;
	unsigned flags = SHOW_CREDENTIALS;
	struct sl_error error;
	struct buf out;

	if (host_is_orphan(call))
		return;
	if (answer->code == SL_INVALID) {
		host_fail_credentials(call, answer->wire_code, answer->text, answer->row);
		return;
	}
	if (answer->code != SL_OK) {
		if (answer->code == SL_UNAVAILABLE && host_retry(call, NULL))
			return;
		(void)sl_fail(&error, answer->code, "%s", answer->text);
		host_fail_sl(call, answer->code, &error);
		return;
	}
	if (json_is_yes(json_get(call->meta, "refreshToken")))
		flags |= SHOW_REFRESH_TOKEN;
	buf_init(&out, HOST_ANSWER_MAX);
	if (show_connection(call->attempt->daemon->ring, answer->row, flags, &out, &error) != SL_OK)
		host_fail(call, "invalid_credentials", error.text);
	else
		host_answer_json(call, &out);
	show_buf_wipe(&out);
}

void
host_connection(struct host_call *call)
{
	const struct fresh_ask ask = {.row = &call->connection->row,
				      .force = json_is_yes(json_get(call->meta, "forceRefresh"))};

	call->pending = true;
	fresh_get(call->attempt->daemon->fresh, &ask, on_fresh, call);
}

static unsigned
read_include(struct json_value list)
{
	struct json_iter it;
	unsigned flags = 0;

	if (list.type != JSON_ARRAY_)
		return 0;
	json_iter_init(&it, list);
	while (json_iter_next(&it)) {
		if (slice_is(it.value.raw, "\"webhook\""))
			flags |= SHOW_WEBHOOK;
		else if (slice_is(it.value.raw, "\"credentials\""))
			flags |= SHOW_CREDENTIALS;
	}
	json_iter_fini(&it);
	return flags;
}

void
host_integration(struct host_call *call)
{
	struct sl_error error;
	struct buf out;

	buf_init(&out, HOST_ANSWER_MAX);
	if (show_integration(call->attempt->daemon, &call->integration->row,
			     read_include(json_get(call->meta, "include")), &out, &error) != SL_OK)
		host_fail(call, "server_error", error.text);
	else
		host_answer_json(call, &out);
	secret_wipe(out.data, out.len);
	buf_fini(&out);
}

static void
on_variables(void *arg, enum sl_code code, const struct account_variable *rows, int count,
	     const struct sl_error *error)
{
	struct host_call *call = arg;
	struct sl_error failed;
	struct buf out;

	if (host_is_orphan(call))
		return;
	if (code != SL_OK) {
		host_fail_sl(call, code, error);
		return;
	}
	buf_init(&out, HOST_ANSWER_MAX);
	if (show_variables(call->attempt->daemon->ring, call->attempt->environment_id, rows, count,
			   &out, &failed) != SL_OK)
		host_fail(call, "server_error", failed.text);
	else
		host_answer_json(call, &out);
	secret_wipe(out.data, out.len);
	buf_fini(&out);
}

void
host_variables(struct host_call *call)
{
	call->pending = true;
	account_variable_list(call->attempt->daemon->account, call->attempt->environment_id,
			      on_variables, call);
}

void
host_flow_attributes(struct host_call *call)
{
	const char *definition = call->attempt->function->row.definition;
	struct json_value value, attributes = {0};

	if (json_check(slice_text(definition), &value, NULL) == SL_OK)
		attributes = json_get(value, "attributes");
	host_answer(call, true,
		    attributes.type == JSON_OBJECT_ ? attributes.raw : SLICE_LITERAL("{}"),
		    (struct slice){NULL, 0});
}

/* ---- metadata -------------------------------------------------------------------------------- */

static void
wrote_metadata(struct host_call *call, int status, enum sl_code code, const struct sl_error *error)
{
	struct json_writer w;
	struct buf out;

	if (host_is_orphan(call))
		return;
	if (code != SL_OK) {
		host_fail_sl(call, code, error);
		return;
	}
	directory_forget(call->attempt->daemon->directory);
	buf_init(&out, HOST_ANSWER_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	jw_member_int(&w, "status", status);
	jw_key(&w, "data");
	jw_object(&w);
	jw_member_raw(&w, "metadata", json_get(call->meta, "metadata").raw);
	jw_member_text(&w, "connection_id", call->connection->row.connection_id);
	jw_member_text(&w, "provider_config_key", call->connection->row.unique_key);
	jw_object_end(&w);
	jw_object_end(&w);
	host_answer_json(call, &out);
	buf_fini(&out);
}

static void
on_set(void *arg, enum sl_code code, const struct sl_error *error)
{
	wrote_metadata(arg, 201, code, error);
}

static void
on_updated(void *arg, enum sl_code code, const struct sl_error *error)
{
	wrote_metadata(arg, 200, code, error);
}

static void
write_metadata(struct host_call *call, bool merge)
{
	struct json_value metadata = json_get(call->meta, "metadata");

	if (metadata.type != JSON_OBJECT_) {
		host_fail(call, "invalid_request", "metadata must be an object");
		return;
	}
	call->pending = true;
	metadata_write(call->attempt->daemon, call->connection->row.id, metadata.raw, merge,
		       merge ? on_updated : on_set, call);
}

void
host_metadata_set(struct host_call *call)
{
	write_metadata(call, false);
}

void
host_metadata_update(struct host_call *call)
{
	write_metadata(call, true);
}

void
host_paginate(struct host_call *call)
{
	const struct provider *provider =
	    catalog_find(call->attempt->daemon->catalog, call->connection->row.provider);

	if (provider != NULL && provider->paginate.len > 0)
		host_answer(call, true, provider->paginate, (struct slice){NULL, 0});
	else
		host_fail(call, "unsupported", "this provider has no defaults for pagination");
}

/* ---- log ------------------------------------------------------------------------------------- */

#define LOG_LINE_COST 100   /* bytes that a line of none takes */
#define LOG_MAX (99 * 1000) /* bytes of a message, and of its meta (wire.md 15) */

/* The text of a value, cut, without a NUL byte inside.  malloc'd. */
static char *
loggable(struct json_value value)
{
	size_t len;
	char *text = json_text(value, &len);
	struct buf out;

	if (text == NULL)
		return sl_strdup("");
	if (len > LOG_MAX)
		len = LOG_MAX;
	buf_init(&out, LOG_MAX * 6 + 1);
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\0')
			buf_add_text(&out, "\\u0000");
		else
			buf_add_char(&out, text[i]);
	}
	free(text);
	return out.len > 0 ? buf_take(&out, NULL) : sl_strdup("");
}

static enum log_level
level_of(struct json_value level)
{
	static const struct {
		const char *name;
		enum log_level level;
	} levels[] = {{"\"error\"", LOG_LEVEL_ERROR},
		      {"\"warn\"", LOG_LEVEL_WARN},
		      {"\"debug\"", LOG_LEVEL_DEBUG}};

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (slice_is(level.raw, levels[i].name))
			return levels[i].level;
	return LOG_LEVEL_INFO;
}

/* As the log shows it. */
static const char *
job_shown(const struct attempt *attempt)
{
	const char *job = attempt_job(attempt);

	return job[0] != '\0' ? job : "none";
}

/* One line more; past the limit one notice, and false from then on. */
static bool
log_has_room(struct attempt *attempt, size_t len)
{
	int64_t most = config_int(attempt->daemon->config, "log_volume");

	if (attempt->log_full)
		return false;
	attempt->log_bytes += (int64_t)len;
	attempt->log_full = attempt->log_bytes > most;
	if (attempt->log_full)
		log_warn("function_log_full",
			 "job=%s function=%s connection=%s limit=%lld effect=%s",
			 job_shown(attempt), attempt->function->row.name,
			 log_text(attempt->connection->row.connection_id), (long long)most,
			 log_text("further lines of this run are dropped"));
	return !attempt->log_full;
}

void
host_log(struct host_call *call)
{
	struct attempt *attempt = call->attempt;
	struct json_value about = json_get(call->meta, "meta");
	char *message = loggable(json_get(call->meta, "message"));
	char *meta = sl_strndup(about.raw.data != NULL ? about.raw.data : "",
				about.raw.len > LOG_MAX ? 0 : about.raw.len);

	if (log_has_room(attempt, call->meta.raw.len + LOG_LINE_COST))
		log_event(level_of(json_get(call->meta, "level")), "function_log",
			  "job=%s function=%s connection=%s message=%s%s%s", job_shown(attempt),
			  attempt->function->row.name,
			  log_text(attempt->connection->row.connection_id), log_text(message),
			  meta[0] != '\0' ? " meta=" : "", meta[0] != '\0' ? log_text(meta) : "");
	free(message);
	free(meta);
	host_answer(call, true, SLICE_LITERAL("null"), (struct slice){NULL, 0});
}
