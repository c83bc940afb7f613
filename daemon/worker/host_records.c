/* daemon/worker/host_records.c - records that a sync saves, updates and deletes. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/json_merge.h"
#include "base/log.h"
#include "base/map.h"
#include "daemon/record_show.h"
#include "daemon/worker/host_call.h"
#include "daemon/worker/sync_run.h"
#include "provider/moment.h"

#define ID_MAX 255
#define MERGE_ROUNDS 3
#define MERGED_MAX (32 << 20)  /* bytes of one merged record */
#define SEALED_MAX (160 << 20) /* of one record: a frame's body in base64 */
#define ITEMS_MAX (192u << 20) /* of all of a batch; more is only what an update merges into */

/* ---- what a batch is --------------------------------------------------------------------------- */

struct entry {
	char *id;
	struct json_value value; /* the record, borrowed from the call's body */
};

struct batch {
	struct entry *entries; /* ids are unique */
	int count;
	struct map *by_id; /* id -> index + 1 */
	int round;         /* of an update */
	/* What is sent to the ledger; payloads are owned, ids borrowed from entries. */
	struct record_item *items;
	int item_count;
	size_t item_bytes;
	struct record_box *box;
	/* Rows that are read in several pages. */
	int64_t after_us;
	char after_uuid[UUID_TEXT];
};

static void
drop_items(struct batch *batch)
{
	for (int i = 0; i < batch->item_count; i++)
		free((void *)(uintptr_t)batch->items[i].payload.data);
	batch->item_count = 0;
	batch->item_bytes = 0;
}

static void
batch_free(void *state)
{
	struct batch *batch = state;

	drop_items(batch);
	for (int i = 0; i < batch->count; i++)
		free(batch->entries[i].id);
	map_free(batch->by_id, NULL);
	record_box_free(batch->box);
	free(batch->entries);
	free(batch->items);
	free(batch);
}

const char *
host_write_name(struct host_call *call)
{
	if (call->write[0] == '\0')
		uuid_v4(call->write);
	snprintf(call->write_name, sizeof(call->write_name), "%s.%d", call->write, call->writes);
	return call->write_name;
}

bool
host_find_model(struct host_call *call)
{
	const char *name = host_keep_text(call, json_get(call->meta, "model"));
	char names[300];

	if (name != NULL)
		call->model = sync_run_model(call->attempt->sync, name);
	if (call->model != NULL)
		return true;
	sync_run_names(call->attempt->sync, names, sizeof(names));
	host_failf(call, "unknown_model",
		   "The model \"%.100s\" is not one of this sync; its models are: %s",
		   name != NULL ? name : "", names);
	return false;
}

char *
host_record_id(struct json_value value)
{
	size_t len, kept = 0;
	char *text = json_text(value, &len);

	if (text == NULL)
		return NULL;
	for (size_t i = 0; i < len; i++)
		if (text[i] != '\0')
			text[kept++] = text[i];
	text[kept] = '\0';
	return text;
}

/* The id of a record as text: malloc'd; NULL: it has none, and the call is refused. */
static char *
read_id(struct host_call *call, struct json_value record, int index)
{
	struct json_value id = json_get(record, "id");
	char *text = NULL;

	if (record.type != JSON_OBJECT_) {
		host_failf(call, "invalid_record", "The record at index %d is not an object",
			   index);
		return NULL;
	}
	if (id.type == JSON_NUMBER)
		text = sl_strndup(id.raw.data, id.raw.len);
	else if (id.type == JSON_TEXT)
		text = host_record_id(id);
	if (text != NULL && text[0] != '\0' && strlen(text) <= ID_MAX)
		return text;
	free(text);
	host_failf(call, "invalid_record",
		   "The record at index %d needs an \"id\": a text of 1 to %d bytes, or a number",
		   index, ID_MAX);
	return NULL;
}

static bool
read_entries(struct host_call *call, struct batch *batch, struct json_value list)
{
	struct json_iter it;
	bool good = true;
	int index = 0, twice = 0;

	json_iter_init(&it, list);
	while (good && json_iter_next(&it)) {
		char *id = read_id(call, it.value, index++);

		good = id != NULL;
		if (good && map_get_text(batch->by_id, id) == NULL) {
			batch->entries[batch->count] = (struct entry){.id = id, .value = it.value};
			map_put_text(batch->by_id, id, (void *)(uintptr_t)++batch->count);
		} else if (good) {
			twice++;
			free(id);
		}
	}
	json_iter_fini(&it);
	if (!good)
		return false;                      /* the call is answered and gone */
	if (twice > 0 && !call->model->twice_told) /* ids may be of people: they are not named */
		log_warn("record_twice", "job=%s model=%s count=%d remedy=%s",
			 attempt_job(call->attempt), log_text(call->model->name), twice,
			 log_text("only the first record of an id counts in one call"));
	call->model->twice_told = call->model->twice_told || twice > 0;
	return true;
}

/* The records of the call's body; NULL: the call is refused. */
static struct batch *
batch_read(struct host_call *call)
{
	struct batch *batch;
	struct json_value list;
	struct json_iter it;
	int size = 0;

	if (!host_find_model(call))
		return NULL;
	if (json_check((struct slice){call->body, call->body_len}, &list, NULL) != SL_OK ||
	    list.type != JSON_ARRAY_) {
		host_fail(call, "invalid_request", "records must come as a list");
		return NULL;
	}
	json_iter_init(&it, list);
	while (size <= RECORD_BATCH_MAX && json_iter_next(&it))
		size++;
	json_iter_fini(&it);
	if (size > RECORD_BATCH_MAX) {
		host_failf(call, "invalid_request", "at most %d records can come at once",
			   RECORD_BATCH_MAX);
		return NULL;
	}
	batch = sl_alloc(sizeof(*batch));
	batch->entries = sl_calloc((size_t)size + 1, sizeof(*batch->entries));
	batch->items = sl_calloc((size_t)size + 1, sizeof(*batch->items));
	batch->by_id = map_new();
	batch->box = record_box_new(call->attempt->daemon->ring, call->attempt->sync->connection_id,
				    call->model->full);
	call->state = batch;
	call->state_free = batch_free;
	return read_entries(call, batch, list) ? batch : NULL;
}

static struct record_item *
add_item(struct host_call *call, const char *id, struct slice plain)
{
	struct batch *batch = call->state;
	struct record_item *item = &batch->items[batch->item_count++];
	struct buf sealed;

	*item = (struct record_item){.id = id};
	record_digest(batch->box, plain, item->digest);
	buf_init(&sealed, SEALED_MAX);
	record_seal(batch->box, id, plain, &sealed);
	item->payload.data = buf_take(&sealed, &item->payload.len);
	batch->item_bytes += item->payload.len;
	return item;
}

static void
send_items(struct host_call *call,
	   void (*write)(struct sync_store *store, const struct record_batch *batch,
			 record_counts_cb *cb, void *arg),
	   record_counts_cb *cb)
{
	struct batch *batch = call->state;
	const struct record_batch wanted = {
	    .connection_id = call->attempt->sync->connection_id,
	    .sync_id = call->attempt->sync->id,
	    .model = call->model->full,
	    .fence = attempt_write_fence(call->attempt),
	    .unless_changed_since_us = call->model->since_us,
	    .write = host_write_name(call),
	    .items = batch->items,
	    .count = batch->item_count,
	};

	call->pending = true;
	write(call->attempt->daemon->syncs, &wanted, cb, call);
	drop_items(batch);
}

static void
answer_done(struct host_call *call)
{
	host_answer(call, true, SLICE_LITERAL("true"), (struct slice){NULL, 0});
}

/* ---- save and delete --------------------------------------------------------------------------- */

static void
on_counts(void *arg, enum sl_code code, const struct record_counts *counts,
	  const struct sl_error *error)
{
	struct host_call *call = arg;

	FAULT_POINT("records_saved");
	if (host_is_orphan(call))
		return;
	if (code != SL_OK) {
		host_fail_write(call, code, error);
		return;
	}
	call->writes++;
	sync_model_count(call->model, counts);
	answer_done(call);
}

void
host_batch_save(struct host_call *call)
{
	struct batch *batch = batch_read(call);

	if (batch == NULL)
		return;
	if (batch->count == 0) {
		answer_done(call);
		return;
	}
	for (int i = 0; i < batch->count; i++)
		(void)add_item(call, batch->entries[i].id, batch->entries[i].value.raw);
	send_items(call, record_save, on_counts);
}

/* When the record was deleted, if it says so. */
static int64_t
deleted_ms(struct json_value record)
{
	char *text = json_text(json_get(record, "deletedAt"), NULL);
	int64_t at_ms = 0;

	if (text != NULL && !moment_parse(text, clock_wall_ms(), &at_ms))
		at_ms = 0;
	free(text);
	return at_ms;
}

void
host_batch_delete(struct host_call *call)
{
	struct batch *batch = batch_read(call);

	if (batch == NULL)
		return;
	if (batch->count == 0) {
		answer_done(call);
		return;
	}
	for (int i = 0; i < batch->count; i++)
		add_item(call, batch->entries[i].id, batch->entries[i].value.raw)->deleted_ms =
		    deleted_ms(batch->entries[i].value);
	send_items(call, record_delete, on_counts);
}

/* ---- update: read, merge, write if nobody else wrote; again if somebody did ---------------------- */

static void read_page(struct host_call *call);

static void
on_updated(void *arg, enum sl_code code, const struct record_counts *counts,
	   const struct sl_error *error)
{
	struct host_call *call = arg;
	struct batch *batch = call->state;

	if (host_is_orphan(call))
		return;
	if (code != SL_OK) {
		host_fail_write(call, code, error);
		return;
	}
	call->writes++;
	sync_model_count(call->model, counts);
	if (counts->refused == 0 || call->model->since_us != 0) {
		answer_done(call);
	} else if (++batch->round < MERGE_ROUNDS) {
		/* What was written merges to what it is, and is not counted again. */
		batch->after_uuid[0] = '\0';
		read_page(call);
	} else {
		host_fail(call, "server_error", "others keep changing the same records; try again");
	}
}

/* False: the call is refused. */
static bool
merge_row(struct host_call *call, const struct record_row *row)
{
	const struct batch *batch = call->state;
	uintptr_t index = (uintptr_t)map_get_text(batch->by_id, row->id);
	struct json_value base = {0};
	struct buf plain, merged;
	struct sl_error error;
	enum sl_code code;

	if (index == 0 || batch->item_count == batch->count)
		return true;
	buf_init(&plain, RECORD_PLAIN_MAX);
	buf_init(&merged, MERGED_MAX);
	code = record_open(batch->box, row, &plain, &error);
	if (code == SL_OK && plain.len > 0)
		code = json_check(buf_slice(&plain), &base, &error);
	if (code == SL_OK) {
		json_merge(base, batch->entries[index - 1].value, &merged);
		if (merged.over)
			code = sl_fail(&error, SL_EXHAUSTED, "a merged record is over %d MiB",
				       MERGED_MAX >> 20);
		else if (batch->item_bytes > ITEMS_MAX)
			code = sl_fail(&error, SL_EXHAUSTED,
				       "the merged records are over %u MiB: update fewer at once",
				       ITEMS_MAX >> 20);
	}
	if (code == SL_OK)
		memcpy(add_item(call, batch->entries[index - 1].id, buf_slice(&merged))->expected,
		       row->digest, RECORD_DIGEST);
	else
		host_fail(call, "server_error", error.text);
	buf_fini(&plain);
	buf_fini(&merged);
	return code == SL_OK;
}

static void
on_page(void *arg, enum sl_code code, const struct record_row *rows, int count, bool more,
	const struct sl_error *error)
{
	struct host_call *call = arg;
	struct batch *batch = call->state;

	if (host_is_orphan(call))
		return;
	if (code != SL_OK) {
		host_fail_write(call, code, error);
		return;
	}
	for (int i = 0; i < count; i++)
		if (!merge_row(call, &rows[i]))
			return;
	if (more && count > 0) {
		batch->after_us = rows[count - 1].last_modified_us;
		memcpy(batch->after_uuid, rows[count - 1].uuid, sizeof(batch->after_uuid));
		read_page(call);
	} else if (batch->item_count == 0) { /* ids that nobody has saved are ignored */
		answer_done(call);
	} else {
		send_items(call, record_update, on_updated);
	}
}

static void
read_page(struct host_call *call)
{
	const struct batch *batch = call->state;
	const char **ids = sl_calloc((size_t)batch->count, sizeof(*ids));
	const struct record_query query = {
	    .connection_id = call->attempt->sync->connection_id,
	    .model = call->model->full,
	    .after_us = batch->after_us,
	    .after_uuid = batch->after_uuid,
	    .actions = RECORD_ADDED | RECORD_UPDATED,
	    .ids = ids,
	    .id_count = batch->count,
	    .limit = batch->count,
	};

	for (int i = 0; i < batch->count; i++)
		ids[i] = batch->entries[i].id;
	call->pending = true;
	record_list(call->attempt->daemon->syncs, &query, on_page, call);
	free(ids);
}

void
host_batch_update(struct host_call *call)
{
	struct batch *batch = batch_read(call);

	if (batch != NULL && batch->count == 0)
		answer_done(call);
	else if (batch != NULL)
		read_page(call);
}
