/* daemon/api/admin_rekey.c - sealing everything anew, and what is sealed with which key: /admin/v1/rekey. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "daemon/api/admin.h"
#include "daemon/api/resources.h"
#include "daemon/rekey.h"
#include "sql/node.h"

struct show {
	struct api_call *call;
	int http_status;
	bool count;
	struct buf nodes; /* JSON array */
};

/* ---- the processes and their keys -------------------------------------------------------------- */

static void
show_keys(struct json_writer *w, const char *keys)
{
	jw_array(w);
	while (*keys != '\0') {
		size_t len = strcspn(keys, " ");
		char id[SECRET_KEY_ID];

		snprintf(id, sizeof(id), "%.*s", (int)len, keys);
		jw_text(w, id);
		keys += len + (keys[len] == ' ');
	}
	jw_array_end(w);
}

static void
show_nodes(struct json_writer *w, const struct node_row *rows, int count)
{
	jw_array(w);
	for (int i = 0; i < count; i++) {
		jw_object(w);
		jw_member_text(w, "name", rows[i].name);
		jw_member_bool(w, "lost", rows[i].lost);
		jw_key(w, "keys");
		show_keys(w, rows[i].keys);
		jw_object_end(w);
	}
	jw_array_end(w);
}

/* ---- the pass, and what is under which key ----------------------------------------------------- */

static void
show_pass(struct json_writer *w, const struct rekey_status *status)
{
	const struct secret_pass *pass = &status->pass;

	jw_key(w, "pass");
	if (!status->has_pass) {
		jw_null(w);
		return;
	}
	jw_object(w);
	jw_member_text(w, "state",
		       pass->finished_ms != 0 ? "finished"
					      : (pass->alive ? "running" : "interrupted"));
	jw_member_text(w, "key", pass->key_id);
	jw_member_text(w, "node", pass->node);
	jw_member_text(w, "at", secret_kind_name(pass->kind));
	jw_member_int(w, "checked", pass->checked);
	jw_member_int(w, "sealed", pass->sealed);
	jw_member_int(w, "failed", pass->failed);
	admin_show_time(w, "started_at", pass->started_ms);
	admin_show_time(w, "finished_at", pass->finished_ms);
	jw_object_end(w);
}

static void
show_values(struct json_writer *w, const struct rekey_status *status)
{
	jw_key(w, "values");
	jw_array(w);
	for (int i = 0; i < SECRET_KINDS; i++) {
		const struct rekey_kind *kind = &status->kind[i];

		jw_object(w);
		jw_member_text(w, "kind", secret_kind_name((enum secret_kind)i));
		jw_key(w, "keys");
		if (kind->counted)
			jw_object(w);
		else
			jw_null(w);
		for (int at = 0; kind->counted && at < kind->keys; at++)
			jw_member_int(w, kind->key[at].id, kind->key[at].values);
		if (kind->counted)
			jw_object_end(w);
		jw_object_end(w);
	}
	jw_array_end(w);
}

static void
on_status(void *arg, enum sl_code code, const struct rekey_status *status,
	  const struct sl_error *error)
{
	struct show *show = arg;
	struct api_call *call = show->call;
	struct json_writer w;
	struct buf out;

	if (code != SL_OK) {
		buf_fini(&show->nodes);
		api_fail_sl(call, code, error);
		return;
	}
	buf_init(&out, API_BODY_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	jw_member_text(&w, "key", secret_ring_id(call->daemon->ring, 0));
	jw_member_raw(&w, "nodes", buf_slice(&show->nodes));
	show_pass(&w, status);
	if (show->count)
		show_values(&w, status);
	jw_object_end(&w);
	buf_fini(&show->nodes);
	api_reply_buf(call, show->http_status, &out);
}

static void
on_nodes(void *arg, enum sl_code code, const struct node_row *rows, int count,
	 const struct sl_error *error)
{
	struct show *show = arg;
	struct json_writer w;

	if (code != SL_OK) {
		api_fail_sl(show->call, code, error);
		return;
	}
	buf_init(&show->nodes, API_BODY_MAX);
	jw_init(&w, &show->nodes);
	show_nodes(&w, rows, count);
	rekey_status(show->call->daemon->rekey, show->count, on_status, show);
}

static void
show_start(struct api_call *call, int http_status, bool count)
{
	struct show *show = api_state(call, sizeof(*show));

	show->call = call;
	show->http_status = http_status;
	show->count = count;
	node_list(account_pg(call->daemon->account), on_nodes, show);
}

/* ?count=false: without what is under which key, which reads the whole table of records. */
void
admin_rekey_read(struct api_call *call)
{
	static const char *const names[] = {"count", NULL};
	const char *count;

	if (!api_query_strict(call, names))
		return;
	count = api_query(call, "count");
	if (count != NULL && strcmp(count, "true") != 0 && strcmp(count, "false") != 0) {
		api_fail_issue(call, "invalid_query_params", "invalid_type", "count",
			       "must be true or false");
		return;
	}
	show_start(call, 200, count == NULL || strcmp(count, "true") == 0);
}

static void
on_started(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct api_call *call = arg;

	if (code == SL_CONFLICT)
		api_fail(call, 409, "conflict", error->text);
	else if (code != SL_OK)
		api_fail_sl(call, code, error);
	else
		show_start(call, 202, false);
}

void
admin_rekey_start(struct api_call *call)
{
	static const char *const names[] = {NULL};

	if (api_strict(call, call->body, names))
		rekey_start(call->daemon->rekey, on_started, call);
}
