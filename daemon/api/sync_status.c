/* daemon/api/sync_status.c - GET /sync/status (wire.md 3). */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "daemon/api/resources.h"
#include "daemon/api/sync_request.h"
#include "sql/record_count.h"

/* Syncs are read in pages; of each, the records are counted, and it is written out. */
struct status {
	struct api_call *call;
	struct sync_scope scope;
	struct buf out;
	struct json_writer w;
	struct sync_page_row *rows; /* of the page; texts owned */
	int count;
	struct sync_place next;
	bool more;
};

/* ---- pages ------------------------------------------------------------------------------------ */

static void
drop_page(struct status *status)
{
	for (int i = 0; i < status->count; i++) {
		struct sync_page_row *it = &status->rows[i];
		const char *const texts[] = {it->row.name,      it->row.variant,
					     it->row.frequency, it->row.last_result,
					     it->connection,    it->checkpoint};

		for (size_t t = 0; t < sizeof(texts) / sizeof(*texts); t++)
			free((void *)(uintptr_t)texts[t]);
	}
	free(status->rows);
	status->rows = NULL;
	status->count = 0;
}

static void
keep_page(struct status *status, const struct sync_page_row *rows, int count)
{
	status->rows = sl_calloc((size_t)count + 1, sizeof(*status->rows));
	status->count = count;
	for (int i = 0; i < count; i++) {
		struct sync_page_row *it = &status->rows[i];

		*it = rows[i];
		it->row.definition = "";
		it->row.name = sl_strdup(it->row.name);
		it->row.variant = sl_strdup(it->row.variant);
		it->row.frequency = sl_strdup(it->row.frequency);
		it->row.last_result = sl_strdup(it->row.last_result);
		it->connection = sl_strdup(it->connection);
		it->checkpoint = sl_strdup(it->checkpoint);
	}
}

/* ---- entries ---------------------------------------------------------------------------------- */

static void
member_time(struct json_writer *w, const char *key, int64_t wall_ms)
{
	char text[CLOCK_ISO_SIZE];

	if (wall_ms > 0)
		clock_iso(wall_ms, text);
	jw_member_text(w, key, wall_ms > 0 ? text : NULL);
}

static const char *
status_of(const struct sync_row *row, bool failed)
{
	if (row->running)
		return "RUNNING";
	if (!row->scheduled)
		return "STOPPED";
	if (!row->started)
		return "PAUSED";
	return failed ? "ERROR" : "SUCCESS";
}

static int64_t
count_of(const struct record_count *counts, int count, const struct sync_row *row,
	 const char *model)
{
	size_t len = strlen(model);

	for (int i = 0; i < count; i++) {
		const char *rest = counts[i].model + len;

		if (counts[i].connection_id != row->connection_id ||
		    strncmp(counts[i].model, model, len) != 0)
			continue;
		if (rest[0] == '\0'
			? strcmp(row->variant, SYNC_BASE) == 0
			: strncmp(rest, "::", 2) == 0 && strcmp(rest + 2, row->variant) == 0)
			return counts[i].count;
	}
	return 0;
}

static void
show_counts(struct json_writer *w, struct json_value definition, const struct sync_row *row,
	    const struct record_count *counts, int count)
{
	struct json_value models = json_get(definition, "models");
	struct json_iter it;

	jw_key(w, "recordCount");
	jw_object(w);
	if (models.type == JSON_ARRAY_) {
		json_iter_init(&it, models);
		while (json_iter_next(&it)) {
			char *model = json_text(it.value, NULL);

			if (model != NULL)
				jw_member_int(w, model, count_of(counts, count, row, model));
			free(model);
		}
		json_iter_fini(&it);
	}
	jw_object_end(w);
}

static void
show(struct json_writer *w, const struct sync_page_row *it, struct json_value definition,
     const struct record_count *counts, int count)
{
	const struct sync_row *row = &it->row;
	bool failed = row->last_state != 0 && row->last_state != JOB_SUCCEEDED;

	jw_object(w);
	jw_member_text(w, "id", row->uuid);
	jw_member_text(w, "connection_id", it->connection);
	jw_member_text(w, "type", row->last_success_ms > 0 ? "INCREMENTAL" : "INITIAL");
	if (row->last_ended_ms > 0)
		member_time(w, "finishedAt", row->last_ended_ms);
	member_time(w, "nextScheduledSyncAt", row->next_run_ms);
	jw_member_text(w, "name", row->name);
	jw_member_text(w, "variant", row->variant);
	jw_member_text(w, "status", status_of(row, failed));
	if (row->frequency[0] != '\0')
		jw_member_text(w, "frequency", row->frequency);
	else
		jw_member_raw(w, "frequency", json_get(definition, "runs").raw);
	if (row->last_result[0] != '\0')
		jw_member_raw(w, "latestResult", slice_text(row->last_result));
	if (row->running || row->last_state != 0)
		jw_member_text(w, "latestExecutionStatus",
			       row->running ? "RUNNING"
			       : failed     ? "STOPPED"
					    : "SUCCESS");
	if (row->trouble != SYNC_NO_TROUBLE)
		jw_member_text(w, "trouble", sync_trouble_name(row->trouble));
	show_counts(w, definition, row, counts, count);
	jw_member_raw(w, "checkpoint", slice_text(it->checkpoint));
	jw_object_end(w);
}

/* ---- the walk --------------------------------------------------------------------------------- */

static void
fail(struct status *status, enum sl_code code, const struct sl_error *error)
{
	buf_fini(&status->out);
	drop_page(status);
	sync_fail(status->call, &status->scope, code, error, 400, "invalid_body");
}

static void
fail_large(struct status *status)
{
	buf_fini(&status->out);
	sync_scope_fini(&status->scope);
	api_fail(status->call, 400, "resource_capped",
		 "the answer is larger than 75 MiB; ask for fewer syncs, or for one connection");
}

static void
end(struct status *status)
{
	struct buf out;

	jw_array_end(&status->w);
	jw_object_end(&status->w);
	out = status->out;
	sync_scope_fini(&status->scope);
	api_reply_buf(status->call, 200, &out);
}

static void read_page(struct status *status);

static void
on_counts(void *arg, enum sl_code code, const struct record_count *counts, int count,
	  const struct sl_error *error)
{
	struct status *status = arg;
	const struct account_function *function;
	struct json_value definition;

	if (code != SL_OK) {
		fail(status, code, error);
		return;
	}
	for (int i = 0; i < status->count; i++) {
		function = sync_scope_function(&status->scope, status->rows[i].row.function_id);
		if (function == NULL ||
		    json_check(slice_text(function->definition), &definition, NULL) != SL_OK)
			definition = (struct json_value){.type = JSON_NONE};
		show(&status->w, &status->rows[i], definition, counts, count);
	}
	drop_page(status);
	if (status->out.over)
		fail_large(status);
	else if (status->more)
		read_page(status);
	else
		end(status);
}

static void
on_page(void *arg, enum sl_code code, const struct sync_page_row *rows, int count,
	const struct sync_place *next, bool more, const struct sl_error *error)
{
	struct status *status = arg;
	int64_t *connections;

	if (code != SL_OK) {
		fail(status, code, error);
		return;
	}
	keep_page(status, rows, count);
	status->next = *next;
	status->more = more;
	connections = sl_calloc((size_t)count + 1, sizeof(*connections));
	for (int i = 0; i < count; i++)
		connections[i] = rows[i].row.connection_id;
	record_count(status->call->daemon->syncs, connections, count, on_counts, status);
	free(connections);
}

static void
read_page(struct status *status)
{
	sync_set_page(status->call->daemon->syncs, &status->scope.set, &status->next, on_page,
		      status);
}

static void
on_scope(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct status *status = arg;

	if (code != SL_OK) {
		fail(status, code, error);
		return;
	}
	jw_init(&status->w, &status->out);
	jw_object(&status->w);
	jw_key(&status->w, "syncs");
	jw_array(&status->w);
	if (status->scope.set.pick_count == 0) /* nothing of that name: passed over */
		end(status);
	else
		read_page(status);
}

/* "*", or names by commas. */
static bool
read_query(struct status *status, const char *text)
{
	bool fine = text != NULL;

	if (fine && strcmp(text, "*") == 0)
		return true;
	while (fine) {
		size_t len = strcspn(text, ",");
		char *one = sl_strndup(text, len);

		fine = sync_scope_want(&status->scope, one);
		free(one);
		if (fine && text[len] == '\0')
			return true;
		text += len + 1;
	}
	sync_scope_fini(&status->scope);
	api_fail_issue(status->call, "invalid_query_params",
		       text == NULL ? "invalid_type" : "invalid_format", "syncs",
		       "syncs must be * or names by commas, each \"name\" or \"name::variant\"");
	return false;
}

void
sync_status(struct api_call *call)
{
	static const char *const names[] = {"syncs", "provider_config_key", "connection_id", NULL};
	struct status *status = api_state(call, sizeof(*status));
	struct sync_scope *scope = &status->scope;

	status->call = call;
	buf_init(&status->out, API_BODY_MAX);
	scope->daemon = call->daemon;
	scope->environment_id = call->environment->row.id;
	scope->integration = api_query(call, "provider_config_key");
	scope->connection_id = api_query(call, "connection_id");
	if (!api_query_strict(call, names))
		return;
	if (scope->integration == NULL) {
		api_fail_issue(call, "invalid_query_params", "invalid_type", "provider_config_key",
			       "provider_config_key is required");
		return;
	}
	if (!api_check_name(call, API_NAME_INTEGRATION, scope->integration, "invalid_query_params",
			    "provider_config_key") ||
	    (scope->connection_id != NULL &&
	     !api_check_name(call, API_NAME_CONNECTION, scope->connection_id,
			     "invalid_query_params", "connection_id")))
		return;
	if (read_query(status, api_query(call, "syncs")))
		sync_scope_find(scope, on_scope, status);
}
