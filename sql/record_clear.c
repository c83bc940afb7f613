#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "sql/record_store.h"

#define CLEAR_ROWS 20000 /* of one transaction: writers of these models wait for it */

struct clear_call {
	struct sync_call call; /* first: what sync_send() knows */
	struct sync_store *store;
	int64_t connection_id, sync_id;
	struct sync_fence fence;
	char job_id[UUID_TEXT]; /* of the fence */
	char *model, *id;       /* owned: the last row that was looked at */
};

static const struct unit_statement clear_lock = {
    "clear_lock", "SELECT " RECORD_LOCK("m.model") " FROM (SELECT k.model FROM record_model k"
						   " WHERE k.connection_id = $1::bigint"
						   " ORDER BY k.model) m"};

static const struct unit_statement clear_rows = {
    "clear_rows",
    "WITH page AS MATERIALIZED (SELECT r.ctid AS at, r.model, r.id, r.sync_id FROM record r"
    "  WHERE r.connection_id = $1::bigint AND (r.model, r.id) > ($3::text, $4::text)"
    "  ORDER BY r.model, r.id LIMIT $5::bigint),"
    " gone AS (DELETE FROM record WHERE ctid = ANY (ARRAY("
    "  SELECT at FROM page WHERE sync_id = $2::bigint)))"
    " SELECT model, id, (SELECT count(*) FROM page) FROM page ORDER BY model DESC, id DESC LIMIT 1"};

static void clear_next(struct clear_call *clear);

static void
on_cleared(void *arg, const struct unit_answer *answer)
{
	struct clear_call *clear = arg;
	struct sl_error error;
	int count;
	enum sl_code code = sync_outcome(&clear->call, answer, &count, &error);

	free(clear->model);
	free(clear->id);
	if (code == SL_OK && count > 0 && value_int(sync_answer_rows(answer), 0, 2) == CLEAR_ROWS) {
		clear->model = sl_strdup(value_text(sync_answer_rows(answer), 0, 0));
		clear->id = sl_strdup(value_text(sync_answer_rows(answer), 0, 1));
		clear_next(clear);
		return;
	}
	clear->call.cb.done(clear->call.arg, code, code == SL_OK ? NULL : &error);
	free(clear);
}

static void
clear_next(struct clear_call *clear)
{
	struct unit *unit = unit_new();

	sync_add_fence(unit, &clear->fence);
	unit_add(unit, &clear_lock);
	unit_bind_int(unit, clear->connection_id);
	unit_add(unit, &clear_rows);
	unit_bind_int(unit, clear->connection_id);
	unit_bind_int(unit, clear->sync_id);
	unit_bind_text(unit, clear->model != NULL ? clear->model : "");
	unit_bind_text(unit, clear->id != NULL ? clear->id : "");
	unit_bind_int(unit, CLEAR_ROWS);
	sync_send(clear->store, unit, on_cleared, &clear->call);
}

void
record_clear(struct sync_store *store, int64_t connection_id, int64_t sync_id,
	     const struct sync_fence *fence, sync_done_cb *cb, void *arg)
{
	struct clear_call *clear = sl_alloc(sizeof(*clear));

	clear->call.arg = arg;
	clear->call.cb.done = cb;
	clear->store = store;
	clear->connection_id = connection_id;
	clear->sync_id = sync_id;
	if (fence != NULL) {
		clear->fence = *fence;
		snprintf(clear->job_id, sizeof(clear->job_id), "%s",
			 fence->job_id != NULL ? fence->job_id : "");
		clear->fence.job_id = clear->job_id;
	}
	clear_next(clear);
}
