/* daemon/api/admin_gate.c - /admin/v1/gates: the windows of providers, as Redis has them; and forgetting them. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "daemon/api/admin.h"
#include "daemon/api/directory.h"
#include "daemon/api/resources.h"
#include "daemon/daemon.h"
#include "daemon/egress/gate.h"
#include "daemon/shard.h"
#include "queue/gate.h"

struct gates_row {
	struct gates_show *show;
	struct queue_gate_window window;
	char *environment, *integration,
	    *connection; /* owned; NULL: there is no such row any more */
};

struct gates_show {
	struct api_call *call;
	const char *environment; /* asked for; NULL: all */
	int64_t environment_id;
	struct gates_row *rows; /* owned */
	int count, asked;       /* asked: answers that are awaited */
	bool more;
	enum sl_code code; /* of a shard that could not be asked */
	struct sl_error error;
	struct account_environment *environments; /* owned: ids and owned names */
	int environment_count;
};

/* ---- the list ---------------------------------------------------------------------------------- */

static void
release(struct gates_show *show)
{
	for (int i = 0; i < show->count; i++) {
		free(show->rows[i].integration);
		free(show->rows[i].connection);
	}
	for (int i = 0; i < show->environment_count; i++)
		free((char *)show->environments[i].name);
	free(show->rows);
	free(show->environments);
}

static void
fail(struct gates_show *show, enum sl_code code, const struct sl_error *error)
{
	struct api_call *call = show->call;

	release(show);
	api_fail_sl(call, code, error);
}

static void
show_number(struct json_writer *w, const char *name, int64_t number)
{
	jw_key(w, name);
	if (number >= 0)
		jw_int(w, number);
	else
		jw_null(w);
}

static void
show_row(const struct gates_row *row, struct json_writer *w)
{
	const struct queue_gate *gate = &row->window.gate;
	const struct gate_place place = {gate->environment_id, gate->connection_id,
					 gate->integration_id, gate->per_app};

	jw_object(w);
	jw_member_text(w, "environment", row->environment);
	jw_member_text(w, "integration", row->integration);
	jw_member_text(w, "connection", gate->per_app ? NULL : row->connection);
	jw_member_int(w, "closed_ms", row->window.closed_ms);
	show_number(w, "remaining", row->window.remaining);
	show_number(w, "reset_ms", row->window.reset_ms);
	show_number(w, "fits", row->window.fits);
	jw_member_int(w, "in_flight", row->window.out);
	jw_member_int(w, "waiting_here", gate_waiting(row->show->call->daemon->gates, &place));
	admin_show_name(w, "learnt_from", row->window.by);
	jw_object_end(w);
}

static int
closed_first(const void *a, const void *b)
{
	const struct gates_row *one = a, *other = b;

	if (one->window.closed_ms != other->window.closed_ms)
		return one->window.closed_ms > other->window.closed_ms ? -1 : 1;
	return one->window.gate.connection_id < other->window.gate.connection_id ? -1 : 1;
}

static void
reply(struct gates_show *show)
{
	struct api_call *call = show->call;
	struct json_writer w;
	struct buf out;

	if (show->code != SL_OK) {
		fail(show, show->code, &show->error);
		return;
	}
	qsort(show->rows, (size_t)show->count, sizeof(*show->rows), closed_first);
	buf_init(&out, API_BODY_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	jw_key(&w, "gates");
	jw_array(&w);
	for (int i = 0; i < show->count; i++)
		show_row(&show->rows[i], &w);
	jw_array_end(&w);
	if (show->more)
		jw_member_bool(&w, "more", true);
	jw_object_end(&w);
	release(show);
	api_reply_buf(call, 200, &out);
}

static void
on_connection(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	const struct directory_connection *connection = object;
	struct gates_row *row = arg;
	struct gates_show *show = row->show;

	(void)error; /* without names it is shown all the same */
	if (code == SL_OK) {
		row->integration = sl_strdup(connection->row.unique_key);
		row->connection = sl_strdup(connection->row.connection_id);
	}
	if (--show->asked == 0)
		reply(show);
}

static void
name_rows(struct gates_show *show)
{
	struct directory *directory = show->call->daemon->directory;

	show->asked = show->count + 1; /* ours, until all are asked */
	for (int i = 0; i < show->count; i++) {
		struct gates_row *row = &show->rows[i];

		for (int at = 0; at < show->environment_count; at++)
			if (show->environments[at].id == row->window.gate.environment_id)
				row->environment = (char *)show->environments[at].name;
		directory_connection_by_id(directory, row->window.gate.connection_id, on_connection,
					   row);
	}
	if (--show->asked == 0)
		reply(show);
}

static void
on_windows(void *arg, enum sl_code code, const struct queue_gate_window *rows, int count,
	   const struct sl_error *error)
{
	struct gates_show *show = arg;

	if (code != SL_OK) {
		show->code = code;
		show->error = *error;
	}
	show->more |= count == QUEUE_GATE_LIST_MAX;
	for (int i = 0; i < count; i++) {
		if (show->environment != NULL &&
		    rows[i].gate.environment_id != show->environment_id)
			continue;
		show->rows =
		    sl_realloc(show->rows, (size_t)(show->count + 1) * sizeof(*show->rows));
		show->rows[show->count++] = (struct gates_row){.show = show, .window = rows[i]};
	}
	if (--show->asked == 0)
		name_rows(show);
}

static void
on_environments(void *arg, enum sl_code code, const struct account_environment *rows, int count,
		const struct sl_error *error)
{
	struct gates_show *show = arg;
	struct daemon *daemon = show->call->daemon;
	bool none = code == SL_NOT_FOUND || (code == SL_OK && count == 0);

	if (show->environment != NULL && none) {
		api_failf(show->call, 404, "not_found",
			  "there is no environment %.100s; GET /admin/v1/queues lists them",
			  show->environment);
		return;
	}
	if (code != SL_OK && !none) {
		fail(show, code, error);
		return;
	}
	show->environments = sl_calloc((size_t)count + 1, sizeof(*show->environments));
	for (int i = 0; i < count; i++) {
		show->environments[i].id = rows[i].id;
		show->environments[i].name = sl_strdup(rows[i].name);
	}
	show->environment_count = count;
	show->environment_id = show->environment != NULL ? rows[0].id : 0;
	show->asked = daemon->shard_count;
	for (int i = 0; i < daemon->shard_count; i++)
		queue_gate_list(daemon->queues[i], on_windows, show);
}

void
admin_gate_list(struct api_call *call)
{
	static const char *const known[] = {"environment", NULL};
	struct gates_show *show = api_state(call, sizeof(*show));

	show->call = call;
	show->environment = api_query(call, "environment");
	if (!api_query_strict(call, known) ||
	    (show->environment != NULL &&
	     !api_check_name(call, API_NAME_ENVIRONMENT, show->environment, "invalid_query_params",
			     "environment")))
		return;
	if (show->environment != NULL)
		account_environment_by_name(call->daemon->account, show->environment,
					    on_environments, show);
	else
		account_environment_list(call->daemon->account, on_environments, show);
}

/* ---- forgetting -------------------------------------------------------------------------------- */

struct gates_clear {
	struct api_call *call;
	const char *environment, *integration,
	    *connection; /* connection NULL: all of the integration */
	int64_t environment_id, integration_id, connection_id;
};

static void
on_cleared(void *arg, enum sl_code code, int64_t count, const struct sl_error *error)
{
	struct gates_clear *clear = arg;
	struct json_writer w;
	struct buf out;

	if (code != SL_OK) {
		api_fail_sl(clear->call, code, error);
		return;
	}
	gates_forget(clear->call->daemon->gates, clear->integration_id, clear->connection_id);
	log_info("gate_cleared", "environment=%lld integration=%lld connection=%lld windows=%lld",
		 (long long)clear->environment_id, (long long)clear->integration_id,
		 (long long)clear->connection_id, (long long)count);
	buf_init(&out, 64);
	jw_init(&w, &out);
	jw_object(&w);
	jw_member_int(&w, "cleared", count);
	jw_object_end(&w);
	api_reply_buf(clear->call, 200, &out);
}

static void
clear_them(struct gates_clear *clear)
{
	queue_gate_clear(shard_queue(clear->call->daemon, clear->environment_id),
			 clear->integration_id, clear->connection_id, on_cleared, clear);
}

static void
on_clear_connection(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	const struct directory_connection *connection = object;
	struct gates_clear *clear = arg;

	if (code == SL_NOT_FOUND) {
		api_failf(clear->call, 404, "not_found", "%.60s has no connection %.100s in %.60s",
			  clear->integration, clear->connection, clear->environment);
	} else if (code != SL_OK) {
		api_fail_sl(clear->call, code, error);
	} else {
		clear->connection_id = connection->row.id;
		clear_them(clear);
	}
}

static void
on_clear_integration(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	const struct directory_integration *integration = object;
	struct gates_clear *clear = arg;

	if (code == SL_NOT_FOUND) {
		api_failf(clear->call, 404, "not_found",
			  "%.60s has no integration %.100s; GET /admin/v1/gates lists windows",
			  clear->environment, clear->integration);
	} else if (code != SL_OK) {
		api_fail_sl(clear->call, code, error);
	} else {
		clear->integration_id = integration->row.id;
		if (clear->connection != NULL)
			directory_connection(clear->call->daemon->directory, clear->environment_id,
					     clear->integration, clear->connection,
					     on_clear_connection, clear);
		else
			clear_them(clear);
	}
}

static void
on_clear_environment(void *arg, enum sl_code code, const struct account_environment *rows,
		     int count, const struct sl_error *error)
{
	struct gates_clear *clear = arg;

	if (code == SL_NOT_FOUND || (code == SL_OK && count == 0)) {
		api_failf(clear->call, 404, "not_found",
			  "there is no environment %.100s; GET /admin/v1/queues lists them",
			  clear->environment);
	} else if (code != SL_OK) {
		api_fail_sl(clear->call, code, error);
	} else {
		clear->environment_id = rows[0].id;
		directory_integration(clear->call->daemon->directory, rows[0].id,
				      clear->integration, on_clear_integration, clear);
	}
}

/* /admin/v1/gates/ENVIRONMENT/INTEGRATION[/CONNECTION] */
void
admin_gate_clear(struct api_call *call)
{
	struct gates_clear *clear = api_state(call, sizeof(*clear));

	clear->call = call;
	clear->environment = call->segment[3];
	clear->integration = call->segment[4];
	clear->connection = call->segments > 5 ? call->segment[5] : NULL;
	if (api_check_name(call, API_NAME_ENVIRONMENT, clear->environment, "invalid_uri_params",
			   "environment") &&
	    api_check_name(call, API_NAME_INTEGRATION, clear->integration, "invalid_uri_params",
			   "integration") &&
	    (clear->connection == NULL ||
	     api_check_name(call, API_NAME_CONNECTION, clear->connection, "invalid_uri_params",
			    "connection")))
		account_environment_by_name(call->daemon->account, clear->environment,
					    on_clear_environment, clear);
}
