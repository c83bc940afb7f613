#include <stdlib.h>

#include "base/alloc.h"
#include "sql/record_store.h"

/* opened 0: an earlier release, which cannot read the lists of what was seen, deletes nothing. */
static const struct unit_statement track_open = {
    "track_open", "INSERT INTO track_window (sync_id, model, opened, since)"
		  " SELECT $1::bigint, $2::text, 0, nextval('record_seen') ON CONFLICT DO NOTHING"};

/* Closed by this very write, whose answer was lost: it is told again. */
static const struct unit_statement track_is_open = {
    "track_is_open",
    "WITH " RECORD_AGAIN(
	"$4::text") " SELECT require(coalesce((SELECT true FROM track_window"
		    " WHERE sync_id = $3::bigint AND model = $2::text FOR UPDATE), (SELECT true FROM again)),"
		    " 'SL404', 'no window of tracked deletes is open')"};

/* Rows keep payload and digest: what was deleted can still be read.  What the lists name is taken
 * out by grouping, which costs the same however wrong a plan made on empty tables guesses. */
#define TRACK_CHANGE                                                               \
	"SELECT -count(*) AS live, 0 AS added, 0 AS updated, count(*) AS deleted," \
	" 0 AS unchanged FROM gone"
#define TRACK_DELETE(opened)                                                                    \
	RECORD_AGAIN("$4::text")                                                                \
	", unseen AS MATERIALIZED (SELECT max(e.place) AS place FROM ("                         \
	"  SELECT o.id, o.ctid AS place FROM record o WHERE " RECORD_MODEL                      \
	"   AND o.deleted IS NULL AND o.seen < " opened                                         \
	"  UNION ALL SELECT unnest(u.ids), NULL FROM record_unchanged u WHERE " RECORD_MODEL    \
	"   AND u.seen >= " opened "  ) e GROUP BY e.id HAVING bool_and(e.place IS NOT NULL))," \
	" gone AS (UPDATE record r SET deleted = at, last_modified = at, last_action = 4,"      \
	"  sync_id = $3::bigint FROM moment, unseen WHERE r.ctid = unseen.place"                \
	"  RETURNING r.id), "
#define TRACK_TELL                                                                              \
	" SELECT id FROM gone UNION ALL SELECT r.id FROM again CROSS JOIN LATERAL (SELECT o.id" \
	"  FROM record o WHERE " RECORD_MODEL " AND " RECORD_ORDERED                            \
	"   AND o.last_modified = " SYNC_AT_US(                                                 \
	    "again.told[6]") "   AND o.deleted = o.last_modified) r"

static const struct unit_statement track_close = {
    "track_close",
    "WITH " RECORD_MOMENT ", closed AS (DELETE FROM track_window WHERE sync_id = $3::bigint"
    "  AND track_window.model = $2::text RETURNING coalesce(since, opened) AS opened), " TRACK_DELETE(
	"(SELECT opened FROM closed)") RECORD_COUNTED(TRACK_CHANGE, "$4::text") TRACK_TELL};

static const struct unit_statement track_delete = {
    "track_delete", "WITH " RECORD_MOMENT ", " TRACK_DELETE("$5::bigint")
			RECORD_COUNTED(TRACK_CHANGE, "$4::text") TRACK_TELL};

/* Lists of unchanged records are kept for open windows, for runs that are under way, and for a while:
 * runs that nobody notes, of webhooks, do not last an hour. */
static const struct unit_statement track_mark = {
    "track_mark",
    "WITH marked AS (UPDATE sync SET mark = nextval('record_seen'), marked_at = now()"
    "  WHERE id = $2::bigint RETURNING mark),"
    " needed AS MATERIALIZED (SELECT least("
    "  (SELECT min(coalesce(w.since, w.opened)) FROM sync s JOIN track_window w ON w.sync_id = s.id"
    "   WHERE s.connection_id = $1::bigint),"
    "  (SELECT min(s.mark) FROM sync s WHERE s.connection_id = $1::bigint AND s.id <> $2::bigint"
    "   AND s.marked_at > now() - interval '25 hours'"
    "   AND (SELECT true FROM result r WHERE r.job_id = s.job_id) IS NULL)) AS seen),"
    " dropped AS (DELETE FROM record_unchanged u USING needed n WHERE u.connection_id = $1::bigint"
    "  AND u.at < now() - interval '1 hour' AND u.seen < coalesce(n.seen, u.seen + 1))"
    " SELECT coalesce((SELECT mark FROM marked), nextval('record_seen')),"
    "  floor(extract(epoch FROM now()) * 1000)::bigint"};

void
record_track_start(struct sync_store *store, int64_t sync_id, const char *model,
		   const struct sync_fence *fence, sync_done_cb *cb, void *arg)
{
	struct sync_call *call = sync_call_new(arg, NULL);
	struct unit *unit = unit_new();

	call->cb.done = cb;
	sync_add_fence(unit, fence);
	unit_add(unit, &track_open);
	unit_bind_int(unit, sync_id);
	unit_bind_text(unit, model);
	sync_send(store, unit, sync_on_done, call);
}

static void
record_on_keys(void *arg, const struct unit_answer *answer)
{
	struct sync_call *call = arg;
	const char **ids;
	struct sl_error error;
	int count;
	enum sl_code code = sync_outcome(call, answer, &count, &error);

	ids = sl_calloc((size_t)count + 1, sizeof(*ids));
	for (int i = 0; i < count; i++)
		ids[i] = value_text(sync_answer_rows(answer), i, 0);
	call->cb.keys(call->arg, code, ids, count, code == SL_OK ? NULL : &error);
	free(ids);
	free(call);
}

void
record_track_end(struct sync_store *store, int64_t connection_id, int64_t sync_id,
		 const char *model, const struct sync_fence *fence, const char *write,
		 record_keys_cb *cb, void *arg)
{
	struct sync_call *call = sync_call_new(arg, NULL);
	struct unit *unit = unit_new();

	call->cb.keys = cb;
	record_add_lock(unit, fence, connection_id, model);
	for (int i = 0; i < 2; i++) {
		unit_add(unit, i == 0 ? &track_is_open : &track_close);
		unit_bind_int(unit, connection_id);
		unit_bind_text(unit, model);
		unit_bind_int(unit, sync_id);
		unit_bind_text(unit, write);
	}
	sync_send(store, unit, record_on_keys, call);
}

static void
record_on_mark(void *arg, const struct unit_answer *answer)
{
	struct sync_call *call = arg;
	struct sl_error error;
	int64_t mark = 0, at_ms = 0;
	int count;
	enum sl_code code = sync_outcome(call, answer, &count, &error);

	if (code == SL_OK) {
		mark = value_int(sync_answer_rows(answer), 0, 0);
		at_ms = value_int(sync_answer_rows(answer), 0, 1);
	}
	call->cb.mark(call->arg, code, mark, at_ms, code == SL_OK ? NULL : &error);
	free(call);
}

void
record_mark(struct sync_store *store, int64_t connection_id, int64_t sync_id, record_mark_cb *cb,
	    void *arg)
{
	struct sync_call *call = sync_call_new(arg, NULL);
	struct unit *unit = unit_new();

	call->cb.mark = cb;
	unit_add(unit, &track_mark);
	unit_bind_int(unit, connection_id);
	unit_bind_int(unit, sync_id);
	sync_send(store, unit, record_on_mark, call);
}

void
record_delete_unseen(struct sync_store *store, int64_t connection_id, int64_t sync_id,
		     const char *model, int64_t mark, const struct sync_fence *fence,
		     const char *write, record_keys_cb *cb, void *arg)
{
	struct sync_call *call = sync_call_new(arg, NULL);
	struct unit *unit = unit_new();

	call->cb.keys = cb;
	record_add_lock(unit, fence, connection_id, model);
	unit_add(unit, &track_delete);
	unit_bind_int(unit, connection_id);
	unit_bind_text(unit, model);
	unit_bind_int(unit, sync_id);
	unit_bind_text(unit, write);
	unit_bind_int(unit, mark);
	sync_send(store, unit, record_on_keys, call);
}
