/* daemon/api/admin_quarantine.c - queue entries that no worker may run: /admin/v1/quarantine. */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "daemon/api/admin.h"
#include "daemon/api/resources.h"
#include "daemon/daemon.h"
#include "sql/dead.h"

struct quarantine {
	struct api_call *call;
	int64_t limit, before;
	bool with_bytes;
};

static void
show_entry(const struct quarantine *quarantine, struct json_writer *w,
	   const struct quarantine_entry *entry)
{
	struct buf text;

	jw_object(w);
	jw_member_int(w, "id", entry->id);
	jw_member_int(w, "shard", entry->shard);
	jw_key(w, "key");
	if (entry->key_id > 0)
		jw_int(w, entry->key_id);
	else
		jw_null(w);
	jw_member_text(w, "reason", entry->reason);
	jw_member_bool(w, "security", entry->security);
	admin_show_time(w, "at", entry->at_ms);
	jw_member_int(w, "size", (int64_t)entry->bytes.len);
	if (quarantine->with_bytes) {
		buf_init(&text, 2 * QUARANTINE_BYTES_MAX);
		base64_add(&text, entry->bytes.data, entry->bytes.len);
		jw_key(w, "bytes");
		jw_text_n(w, text.data != NULL ? text.data : "", text.len);
		buf_fini(&text);
	}
	jw_object_end(w);
}

static void
on_listed(void *arg, enum sl_code code, const struct quarantine_entry *rows, int count,
	  const struct sl_error *error)
{
	struct quarantine *quarantine = arg;
	struct api_call *call = quarantine->call;
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
	for (int i = 0; i < count; i++)
		show_entry(quarantine, &w, &rows[i]);
	jw_array_end(&w);
	jw_key(&w, "next");
	if (count == quarantine->limit)
		jw_int(&w, rows[count - 1].id);
	else
		jw_null(&w);
	jw_object_end(&w);
	api_reply_buf(call, 200, &out);
}

/* ?include=bytes shows the entries themselves, in base64: they may hold inputs of customers. */
void
admin_quarantine_list(struct api_call *call)
{
	static const char *const names[] = {"limit", "before", "include", NULL};
	struct quarantine *quarantine = api_state(call, sizeof(*quarantine));
	const char *include = api_query(call, "include");

	quarantine->call = call;
	quarantine->limit = ADMIN_LIMIT_DEFAULT;
	if (!api_query_strict(call, names) ||
	    !admin_read_number(call, "limit", DEAD_CALL_MAX, &quarantine->limit) ||
	    !admin_read_number(call, "before", INT64_MAX, &quarantine->before))
		return;
	quarantine->with_bytes = include != NULL;
	if (include != NULL && !slice_is(slice_text(include), "bytes"))
		api_fail_issue(call, "invalid_query_params", "invalid_value", "include",
			       "include must be bytes");
	else
		quarantine_list(call->daemon->dead, quarantine->before, (int)quarantine->limit,
				on_listed, quarantine);
}

static void
on_purged(void *arg, enum sl_code code, int64_t count, const struct sl_error *error)
{
	struct quarantine *quarantine = arg;
	char text[64];

	if (code != SL_OK) {
		api_fail_sl(quarantine->call, code, error);
		return;
	}
	log_info("quarantine_purged", "entries=%lld", (long long)count);
	snprintf(text, sizeof(text), "{\"deleted\":%lld}", (long long)count);
	api_reply(quarantine->call, 200, slice_text(text));
}

static bool
read_ids(struct api_call *call, int64_t **ids, int *count)
{
	struct json_value value = json_get(call->body, "ids");
	bool fine = true;
	struct json_iter it;

	if (!admin_read_array(call, value, "ids", DEAD_CALL_MAX, count))
		return false;
	*ids = api_keep(call, sl_calloc((size_t)*count, sizeof(**ids)));
	json_iter_init(&it, value);
	for (int at = 0; fine && json_iter_next(&it); at++)
		fine = json_int(it.value, &(*ids)[at]) && (*ids)[at] > 0;
	json_iter_fini(&it);
	if (!fine)
		api_fail_issue(call, "invalid_body", "invalid_type", "ids",
			       "ids must be numbers of entries, as the list shows them");
	return fine;
}

/* {"ids": [..]} or ?before=. */
void
admin_quarantine_delete(struct api_call *call)
{
	static const char *const query[] = {"before", NULL};
	static const char *const names[] = {"ids", NULL};
	struct quarantine *quarantine = api_state(call, sizeof(*quarantine));
	bool by_query = api_query(call, "before") != NULL;
	bool by_ids = json_get(call->body, "ids").type != JSON_NONE;
	int64_t before_ms = 0, *ids = NULL;
	int count = 0;

	quarantine->call = call;
	if (!api_query_strict(call, query) || !api_strict(call, call->body, names))
		return;
	if (by_query == by_ids)
		api_fail_issue(call, "invalid_body", "custom", "ids",
			       "give either ids in the body, or before as query");
	else if (by_query ? admin_read_before(call, &before_ms) : read_ids(call, &ids, &count))
		quarantine_purge(call->daemon->dead, ids, count, before_ms, on_purged, quarantine);
}
