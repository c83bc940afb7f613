#include "daemon/api/metadata.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/map.h"
#include "daemon/api/api.h"
#include "daemon/api/directory.h"
#include "daemon/api/resources.h"
#include "sql/account.h"

#define WRITE_TRIES 10       /* of a merge whose row others keep changing */
#define CONNECTIONS_MAX 1000 /* in one request */

/* ---- merging --------------------------------------------------------------------------------- */

struct member {
	struct slice key, value; /* as they stand in the patch */
	bool written;
};

/* The patch's members by name; of a name that stands twice the last value counts, at the first
 * place. */
struct patch {
	struct map *by_name;
	struct member *member;
	size_t count, size;
};

static void
patch_read(struct patch *patch, struct json_value object)
{
	struct json_iter it;

	json_iter_init(&it, object);
	while (json_iter_next(&it)) {
		struct member *known = NULL;
		uintptr_t index = (uintptr_t)map_get(patch->by_name, it.key, it.key_len);

		if (index > 0)
			known = &patch->member[index - 1];
		if (known != NULL) {
			known->value = it.value.raw;
			continue;
		}
		if (patch->count == patch->size) {
			patch->size = patch->size > 0 ? patch->size * 2 : 16;
			patch->member =
			    sl_realloc(patch->member, patch->size * sizeof(*patch->member));
		}
		patch->member[patch->count++] =
		    (struct member){.key = it.raw_key, .value = it.value.raw};
		/* Indexes from 1: members move when the array grows, and NULL means absent. */
		map_put(patch->by_name, it.key, it.key_len, (void *)(uintptr_t)patch->count);
	}
	json_iter_fini(&it);
}

static void
add_member(struct buf *out, bool *first, struct slice key, struct slice value)
{
	if (!*first)
		buf_add_char(out, ',');
	*first = false;
	buf_add_slice(out, key);
	buf_add_char(out, ':');
	buf_add_slice(out, value);
}

static void
merge_into(struct buf *out, struct json_value base, struct patch *patch)
{
	struct json_iter it;
	bool first = true;

	buf_add_char(out, '{');
	json_iter_init(&it, base);
	while (base.type == JSON_OBJECT_ && json_iter_next(&it)) {
		uintptr_t index = (uintptr_t)map_get(patch->by_name, it.key, it.key_len);
		struct member *member = index > 0 ? &patch->member[index - 1] : NULL;

		if (member == NULL) {
			add_member(out, &first, it.raw_key, it.value.raw);
		} else if (!member->written) {
			add_member(out, &first, it.raw_key, member->value);
			member->written = true;
		}
	}
	json_iter_fini(&it);
	for (size_t i = 0; i < patch->count; i++)
		if (!patch->member[i].written)
			add_member(out, &first, patch->member[i].key, patch->member[i].value);
	buf_add_char(out, '}');
}

enum sl_code
metadata_merge(struct slice base, struct slice patch_text, struct buf *out, struct sl_error *error)
{
	struct patch patch = {.by_name = NULL};
	struct json_value base_value = {0}, patch_value;
	enum sl_code code = json_check(patch_text, &patch_value, error);

	if (code == SL_OK && base.len > 0)
		code = json_check(base, &base_value, error);
	if (code != SL_OK)
		return code;
	if (patch_value.type != JSON_OBJECT_)
		return sl_fail(error, SL_INVALID, "what is merged must be a JSON object");
	patch.by_name = map_new();
	patch_read(&patch, patch_value);
	merge_into(out, base_value, &patch);
	map_free(patch.by_name, NULL);
	free(patch.member);
	if (out->over)
		return sl_fail(error, SL_EXHAUSTED, "the merged document is too large");
	return SL_OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* One write of all ids or of none.  A merge reads each row, then writes under the condition that
 * nobody changed one meanwhile; a replacement needs neither. */
struct write {
	struct daemon *daemon;
	int64_t *ids;
	int count, at, tries;
	struct slice patch; /* owned */
	bool merge;
	char **expected; /* per id; NULL: whatever it is */
	char **texts;    /* per id; merges only */
	size_t bytes;    /* held in expected and texts */
	metadata_cb *cb;
	void *arg;
};

static void
write_clear(struct write *write)
{
	for (int i = 0; i < write->count; i++) {
		free(write->expected[i]);
		free(write->texts[i]);
		write->expected[i] = write->texts[i] = NULL;
	}
	write->at = 0;
	write->bytes = 0;
}

static void
write_end(struct write *write, enum sl_code code, const struct sl_error *error)
{
	if (code == SL_OK)
		directory_forget(write->daemon->directory);
	write_clear(write);
	write->cb(write->arg, code, error);
	free((void *)(uintptr_t)write->patch.data);
	free(write->expected);
	free(write->texts);
	free(write->ids);
	free(write);
}

static void write_read_next(struct write *write);

static void
on_written(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
{
	struct write *write = arg;
	struct sl_error failed;

	(void)id;
	if (code == SL_CONFLICT &&
	    !write->merge) /* without a condition only a missing row conflicts */
		code = sl_fail(&failed, SL_NOT_FOUND, "a connection was deleted meanwhile");
	else if (code == SL_CONFLICT && ++write->tries < WRITE_TRIES) {
		write_clear(write);
		write_read_next(write);
		return;
	} else if (code == SL_CONFLICT) {
		code = sl_fail(&failed, SL_CONFLICT,
			       "others keep changing the same metadata; try again");
	} else {
		failed = error != NULL ? *error : (struct sl_error){.code = code};
	}
	write_end(write, code, &failed);
}

static void
write_send(struct write *write)
{
	const char **texts = sl_calloc((size_t)write->count, sizeof(*texts));

	for (int i = 0; i < write->count; i++)
		texts[i] = write->merge ? write->texts[i] : write->patch.data;
	account_connection_metadata(write->daemon->account, write->ids,
				    (const char *const *)write->expected, texts, write->count,
				    on_written, write);
	free(texts);
}

static void
on_read(void *arg, enum sl_code code, const struct account_connection *row, int count,
	const struct sl_error *error)
{
	struct write *write = arg;
	struct sl_error failed;
	struct buf out;

	(void)count;
	if (code != SL_OK) {
		write_end(write, code, error);
		return;
	}
	buf_init(&out, API_BODY_MAX > write->bytes ? API_BODY_MAX - write->bytes : 1);
	code = metadata_merge(slice_text(row->metadata), write->patch, &out, &failed);
	if (code != SL_OK) {
		buf_fini(&out);
		write_end(write, code, &failed);
		return;
	}
	write->bytes += out.len + strlen(row->metadata);
	write->expected[write->at] = sl_strdup(row->metadata);
	write->texts[write->at] = buf_take(&out, NULL);
	write->at++;
	write_read_next(write);
}

static void
write_read_next(struct write *write)
{
	if (write->at < write->count)
		account_connection_by_id(write->daemon->account, write->ids[write->at], on_read,
					 write);
	else
		write_send(write);
}

static void
write_start(struct daemon *daemon, const int64_t *ids, int count, struct slice patch, bool merge,
	    metadata_cb *cb, void *arg)
{
	struct write *write = sl_alloc(sizeof(*write));

	assert(count > 0);
	write->daemon = daemon;
	write->ids = sl_memdup(ids, (size_t)count * sizeof(*ids));
	write->count = count;
	write->patch = (struct slice){sl_memdup(patch.data, patch.len), patch.len};
	write->merge = merge;
	write->expected = sl_calloc((size_t)count, sizeof(*write->expected));
	write->texts = sl_calloc((size_t)count, sizeof(*write->texts));
	write->cb = cb;
	write->arg = arg;
	if (merge)
		write_read_next(write);
	else
		write_send(write);
}

void
metadata_write(struct daemon *daemon, int64_t connection_row_id, struct slice patch, bool merge,
	       metadata_cb *cb, void *arg)
{
	write_start(daemon, &connection_row_id, 1, patch, merge, cb, arg);
}

/* ---- requests -------------------------------------------------------------------------------- */

struct change {
	struct api_call *call;
	const char *integration;
	const char *one;       /* the id when it comes alone */
	struct json_value ids; /* the array, or JSON_NONE */
	struct json_iter it;   /* over ids; live only between two lookups */
	struct slice metadata;
	bool merge;
	int64_t row[CONNECTIONS_MAX];
	int count, at;
};

static void
on_changed(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct change *change = arg;
	struct api_call *call = change->call;

	if (code == SL_OK)
		api_reply(call, change->merge ? 200 : 201, call->body.raw);
	else if (code == SL_NOT_FOUND)
		api_fail(call, 404, "unknown_connection",
			 "a connection was deleted meanwhile; nothing was changed");
	else if (code == SL_EXHAUSTED)
		api_fail_issue(call, "invalid_body", "too_big", "metadata",
			       "the merged metadata is too large");
	else
		api_fail_sl(call, code, error);
}

static void look_up_next(struct change *change);

static void
on_found(void *arg, enum sl_code code, const struct account_connection *row, int count,
	 const struct sl_error *error)
{
	struct change *change = arg;
	struct api_call *call = change->call;

	(void)count;
	if (code != SL_OK) {
		json_iter_fini(&change->it);
		if (code == SL_NOT_FOUND)
			api_fail(call, 404, "unknown_connection",
				 "no such connection for this integration; nothing was changed");
		else
			api_fail_sl(call, code, error);
		return;
	}
	for (int i = 0; i < change->count; i++)
		if (change->row[i] == row->id) { /* named twice */
			look_up_next(change);
			return;
		}
	change->row[change->count++] = row->id;
	look_up_next(change);
}

static void
find(struct change *change, const char *connection_id)
{
	struct api_call *call = change->call;

	account_connection_find(call->daemon->account, call->environment->row.id,
				change->integration, connection_id, on_found, change);
}

static void
look_up_next(struct change *change)
{
	struct api_call *call = change->call;

	if (change->ids.type == JSON_ARRAY_ && json_iter_next(&change->it)) {
		char *id = json_text(change->it.value, NULL);

		find(change, id);
		free(id);
		return;
	}
	json_iter_fini(&change->it);
	if (change->count == 0) /* an empty array: nothing to do is done */
		on_changed(change, SL_OK, NULL);
	else if (change->metadata.len > (size_t)(API_BODY_MAX / change->count))
		/* It is written once for each connection, all in one command. */
		api_fail_issue(call, "invalid_body", "too_big", "metadata",
			       "%zu bytes of metadata for %d connections are more than the %d that "
			       "are written at once; send them in several requests",
			       change->metadata.len, change->count, API_BODY_MAX);
	else
		write_start(call->daemon, change->row, change->count, change->metadata,
			    change->merge, on_changed, change);
}

/* Each element of the array is a name of a connection, and there are not too many. */
static bool
check_ids(struct api_call *call, struct json_value ids)
{
	enum { FINE, NO_TEXT, NO_NAME } what = FINE;
	struct json_iter it;
	char path[40];
	int at = 0;

	json_iter_init(&it, ids);
	while (what == FINE && at <= CONNECTIONS_MAX && json_iter_next(&it)) {
		char *id = json_text(it.value, NULL);

		if (id == NULL)
			what = NO_TEXT;
		else if (!api_name_is(API_NAME_CONNECTION, id))
			what = NO_NAME;
		free(id);
		at++;
	}
	json_iter_fini(&it);
	snprintf(path, sizeof(path), "connection_id.%d", at - 1);
	if (what == NO_TEXT)
		api_fail_issue(call, "invalid_body", "invalid_type", path,
			       "a connection id must be a text");
	else if (what == NO_NAME)
		api_fail_issue(call, "invalid_body", "invalid_format", path,
			       "this is no connection id");
	else if (at > CONNECTIONS_MAX)
		api_fail_issue(call, "invalid_body", "too_big", "connection_id",
			       "at most %d connections can be changed at once", CONNECTIONS_MAX);
	else
		return true;
	return false;
}

static void
change_many(struct api_call *call, bool merge)
{
	static const char *const names[] = {"connection_id", "provider_config_key", "metadata",
					    NULL};
	struct change *change = api_state(call, sizeof(*change));
	struct json_value id = json_get(call->body, "connection_id"), metadata;

	change->call = call;
	change->merge = merge;
	if (!api_strict(call, call->body, names) ||
	    !api_text(call, call->body, "provider_config_key", true, 4096, &change->integration) ||
	    !api_check_name(call, API_NAME_INTEGRATION, change->integration, "invalid_body",
			    "provider_config_key") ||
	    !api_object(call, call->body, "metadata", true, &metadata))
		return;
	change->metadata = metadata.raw;
	if (id.type == JSON_ARRAY_) {
		if (!check_ids(call, id))
			return;
		change->ids = id;
		json_iter_init(&change->it, id);
		look_up_next(change);
		return;
	}
	if (!api_text(call, call->body, "connection_id", true, 4096, &change->one) ||
	    !api_check_name(call, API_NAME_CONNECTION, change->one, "invalid_body",
			    "connection_id"))
		return;
	find(change, change->one);
}

static void
change_one(struct api_call *call, bool merge)
{
	struct change *change = api_state(call, sizeof(*change));

	change->call = call;
	change->merge = merge;
	change->metadata = call->body.raw;
	if (!api_header(call, "provider-config-key", &change->integration) ||
	    !api_check_name(call, API_NAME_INTEGRATION, change->integration, "invalid_headers",
			    "provider-config-key") ||
	    !api_check_name(call, API_NAME_CONNECTION, call->segment[1], "invalid_uri_params",
			    "connectionId"))
		return;
	find(change, call->segment[1]);
}

void
metadata_replace(struct api_call *call)
{
	change_many(call, false);
}

void
metadata_update(struct api_call *call)
{
	change_many(call, true);
}

void
metadata_replace_one(struct api_call *call)
{
	change_one(call, false);
}

void
metadata_update_one(struct api_call *call)
{
	change_one(call, true);
}
