/* daemon/worker/host_model.c - records that are read, and what a run says of a whole model. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "daemon/record_show.h"
#include "daemon/worker/host_call.h"
#include "daemon/worker/sync_run.h"

#define PAGE_ROWS 100
#define IDS_MAX 100

/* ---- reading ----------------------------------------------------------------------------------- */

struct reading {     /* one page, or the records of some ids */
	char *model; /* as stored */
	char *ids[IDS_MAX];
	int id_count;
	int64_t after_us;
	char after_uuid[UUID_TEXT];
	struct record_box *box;
	struct buf out;
	struct json_writer w;
};

static void
reading_free(void *state)
{
	struct reading *reading = state;

	for (int i = 0; i < reading->id_count; i++)
		free(reading->ids[i]);
	buf_fini(&reading->out);
	record_box_free(reading->box);
	free(reading->model);
	free(reading);
}

/* Any model of the connection may be read, of this sync's variant.  NULL: the call is refused. */
static struct reading *
reading_new(struct host_call *call)
{
	const char *name = host_keep_text(call, json_get(call->meta, "model"));
	const struct sync_run *sync = call->attempt->sync;
	struct reading *reading;

	if (name == NULL) {
		host_fail(call, "invalid_request", "the model must be named");
		return NULL;
	}
	reading = sl_alloc(sizeof(*reading));
	reading->model = strcmp(sync->variant, "base") == 0
			     ? sl_strdup(name)
			     : sl_asprintf("%s::%s", name, sync->variant);
	reading->box =
	    record_box_new(call->attempt->daemon->ring, sync->connection_id, reading->model);
	buf_init(&reading->out, HOST_ANSWER_MAX);
	jw_init(&reading->w, &reading->out);
	call->state = reading;
	call->state_free = reading_free;
	return reading;
}

static void
reading_send(struct host_call *call, record_rows_cb *cb)
{
	struct reading *reading = call->state;
	const struct record_query query = {
	    .connection_id = call->attempt->sync->connection_id,
	    .model = reading->model,
	    .after_us = reading->after_us,
	    .after_uuid = reading->after_uuid,
	    .ids = (const char *const *)reading->ids,
	    .id_count = reading->id_count,
	    .limit = PAGE_ROWS,
	};

	call->pending = true;
	record_list(call->attempt->daemon->syncs, &query, cb, call);
}

/* Writes the rows; false: the call is refused. */
static bool
show_rows(struct host_call *call, const struct record_row *rows, int count)
{
	struct reading *reading = call->state;
	struct sl_error error;

	for (int i = 0; i < count; i++) {
		if (record_show(reading->box, &rows[i], &reading->w, &error) == SL_OK)
			continue;
		log_error("record_unreadable", "connection=%lld error=%s",
			  (long long)call->attempt->sync->connection_id, log_text(error.text));
		host_fail(call, "server_error", error.text);
		return false;
	}
	if (count > 0) {
		reading->after_us = rows[count - 1].last_modified_us;
		memcpy(reading->after_uuid, rows[count - 1].uuid, sizeof(reading->after_uuid));
	}
	return true;
}

/* As the body: a page may be large, and the meta is parsed where prototypes are at home. */
static void
answer_reading(struct host_call *call)
{
	struct reading *reading = call->state;

	if (reading->out.over)
		host_fail(call, "response_too_large",
			  "the records are larger than a function can be given (64 MiB)");
	else
		host_answer(call, true, SLICE_LITERAL("null"), buf_slice(&reading->out));
}

static void
on_page(void *arg, enum sl_code code, const struct record_row *rows, int count, bool more,
	const struct sl_error *error)
{
	struct host_call *call = arg;
	struct reading *reading = call->state;
	struct buf place;

	if (host_is_orphan(call))
		return;
	if (code != SL_OK) {
		host_fail_write(call, code, error);
		return;
	}
	jw_object(&reading->w);
	jw_key(&reading->w, "records");
	jw_array(&reading->w);
	if (!show_rows(call, rows, count))
		return;
	jw_array_end(&reading->w);
	buf_init(&place, 1000);
	if (more && count > 0)
		record_place(&rows[count - 1], &place);
	jw_member_text(&reading->w, "next_cursor", place.data);
	jw_object_end(&reading->w);
	buf_fini(&place);
	answer_reading(call);
}

void
host_records_list(struct host_call *call)
{
	struct json_value cursor = json_get(call->meta, "cursor");
	struct reading *reading = reading_new(call);
	const char *place;

	if (reading == NULL)
		return;
	place = host_keep_text(call, cursor);
	if ((cursor.type != JSON_NONE && cursor.type != JSON_NULL_ && place == NULL) ||
	    (place != NULL && !record_place_parse(place, &reading->after_us, reading->after_uuid)))
		host_fail(call, "invalid_cursor", "The cursor is not one of a record");
	else
		reading_send(call, on_page);
}

static void
on_found(void *arg, enum sl_code code, const struct record_row *rows, int count, bool more,
	 const struct sl_error *error)
{
	struct host_call *call = arg;
	struct reading *reading = call->state;

	if (host_is_orphan(call))
		return;
	if (code != SL_OK) {
		host_fail_write(call, code, error);
		return;
	}
	if (!show_rows(call, rows, count))
		return;
	if (more && count > 0) {
		reading_send(call, on_found);
		return;
	}
	jw_array_end(&reading->w);
	answer_reading(call);
}

void
host_records_by_ids(struct host_call *call)
{
	struct json_value list = json_get(call->meta, "ids");
	struct reading *reading = reading_new(call);
	struct json_iter it;
	bool fits = list.type == JSON_ARRAY_;

	if (reading == NULL)
		return;
	json_iter_init(&it, list);
	while (fits && json_iter_next(&it)) {
		char *id = host_record_id(it.value);

		fits = id != NULL && reading->id_count < IDS_MAX;
		if (fits)
			reading->ids[reading->id_count++] = id;
		else
			free(id);
	}
	json_iter_fini(&it);
	jw_array(&reading->w);
	if (!fits) {
		host_failf(call, "invalid_request", "ids must be a list of at most %d texts",
			   IDS_MAX);
	} else if (reading->id_count == 0) {
		jw_array_end(&reading->w);
		answer_reading(call);
	} else {
		reading_send(call, on_found);
	}
}

/* ---- deletes that are found by what was not seen ------------------------------------------------- */

static void
on_started(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct host_call *call = arg;

	if (host_is_orphan(call))
		return;
	if (code == SL_OK)
		host_answer(call, true, SLICE_LITERAL("null"), (struct slice){NULL, 0});
	else
		host_fail_write(call, code, error);
}

void
host_track_start(struct host_call *call)
{
	struct sync_fence fence = attempt_write_fence(call->attempt);

	if (!host_find_model(call))
		return;
	call->pending = true;
	record_track_start(call->attempt->daemon->syncs, call->attempt->sync->id, call->model->full,
			   &fence, on_started, call);
}

static void
on_deleted(void *arg, enum sl_code code, const char *const *ids, int count,
	   const struct sl_error *error)
{
	struct host_call *call = arg;
	struct record_counts counts = {.deleted = count};
	struct json_writer w;
	struct buf out;

	if (host_is_orphan(call))
		return;
	if (code == SL_NOT_FOUND) {
		host_failf(call, "track_deletes_not_started",
			   "trackDeletesEnd(\"%.100s\") needs a trackDeletesStart before it",
			   call->model->name);
		return;
	}
	if (code != SL_OK) {
		host_fail_write(call, code, error);
		return;
	}
	sync_model_count(call->model, &counts);
	buf_init(&out, HOST_ANSWER_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	jw_key(&w, "deletedKeys");
	jw_array(&w);
	for (int i = 0; i < count; i++)
		jw_text(&w, ids[i]);
	jw_array_end(&w);
	jw_object_end(&w);
	host_answer_json(call, &out);
	buf_fini(&out);
}

void
host_track_end(struct host_call *call)
{
	const struct sync_run *sync = call->attempt->sync;
	struct sync_fence fence = attempt_write_fence(call->attempt);

	if (!host_find_model(call))
		return;
	call->pending = true;
	record_track_end(call->attempt->daemon->syncs, sync->connection_id, sync->id,
			 call->model->full, &fence, host_write_name(call), on_deleted, call);
}

void
host_delete_unseen(struct host_call *call)
{
	const struct sync_run *sync = call->attempt->sync;
	struct sync_fence fence = attempt_write_fence(call->attempt);

	if (!host_find_model(call))
		return;
	call->pending = true;
	record_delete_unseen(call->attempt->daemon->syncs, sync->connection_id, sync->id,
			     call->model->full, sync->mark, &fence, host_write_name(call),
			     on_deleted, call);
}

/* ---- merging ----------------------------------------------------------------------------------- */

void
host_merging(struct host_call *call)
{
	struct slice strategy = json_get(call->meta, "strategy").raw;
	bool careful = slice_is(strategy, "\"ignore_if_modified_after\"");

	if (!host_find_model(call))
		return;
	if (!careful && !slice_is(strategy, "\"override\"")) {
		host_fail(
		    call, "invalid_request",
		    "The merging strategy must be \"override\" or \"ignore_if_modified_after\"");
		return;
	}
	if (call->model->merging_set && !call->model->merging_told) {
		call->model->merging_told = true;
		log_warn("merging_strategy_kept", "job=%s model=%s remedy=%s",
			 attempt_job(call->attempt), log_text(call->model->name),
			 log_text("setMergingStrategy counts once for a model in a run"));
	} else if (!call->model->merging_set) {
		call->model->merging_set = true;
		if (careful)
			call->model->since_us = call->attempt->sync->marked_ms * 1000;
	}
	host_answer(call, true, SLICE_LITERAL("null"), (struct slice){NULL, 0});
}
