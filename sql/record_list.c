#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "sql/record_store.h"

#define RECORD_LIMIT_MAX 10000
/* A page ends early when its payloads pass this: it is held in memory as a whole. */
#define RECORD_PAGE_BYTES "67108864"

#define RECORD_FIRST_SEEN SYNC_US("first_seen")
#define RECORD_LAST_MODIFIED SYNC_US("last_modified")
#define RECORD_DELETED_AT SYNC_US("deleted")
#define RECORD_PRUNED_AT SYNC_US("pruned")
#define RECORD_AFTER SYNC_AT_US("$3")
#define RECORD_SINCE SYNC_AT_US("$5")
/* $3 and $4 the place to go on after, $5 oldest time or 0, $6 actions or 0, $7 limit.  `more` tells
 * whether another row follows. */
#define RECORD_PAGE(from)                                                                       \
	"SELECT id, payload, digest, last_action, " RECORD_FIRST_SEEN ", " RECORD_LAST_MODIFIED \
	", " RECORD_DELETED_AT ", " RECORD_PRUNED_AT ", uuid, more"                             \
	" FROM (SELECT r.*, lead(true) OVER place IS NOT NULL AS more,"                         \
	"  sum(octet_length(payload)) OVER (place ROWS UNBOUNDED PRECEDING)"                    \
	"   - octet_length(payload) AS before " from " " RECORD_ORDERED                         \
	"  AND (last_modified, uuid) > (" RECORD_AFTER ", $4::uuid)"                            \
	"  AND last_modified >= " RECORD_SINCE                                                  \
	"  AND ($6::bigint = 0 OR last_action & $6::bigint <> 0)"                               \
	"  WINDOW place AS (ORDER BY last_modified, uuid)"                                      \
	"  ORDER BY last_modified, uuid LIMIT $7::bigint) page"                                 \
	" WHERE before < " RECORD_PAGE_BYTES " ORDER BY last_modified, uuid"

static const struct unit_statement record_page = {
    "record_page", RECORD_PAGE("FROM record r WHERE " RECORD_MODEL " AND")};

static const struct unit_statement record_page_of_ids = {
    "record_page_of_ids",
    RECORD_PAGE("FROM (SELECT DISTINCT i FROM unnest($8::text[]) i) u"
		" CROSS JOIN LATERAL (SELECT * FROM record WHERE " RECORD_MODEL
		"  AND id = u.i LIMIT 1) r WHERE")};

static void
record_read(struct record_row *row, const PGresult *result, int i)
{
	struct slice digest = value_bytes(result, i, 2);

	row->id = value_text(result, i, 0);
	row->payload = value_bytes(result, i, 1);
	if (digest.len == RECORD_DIGEST)
		memcpy(row->digest, digest.data, RECORD_DIGEST);
	row->last_action = (enum record_action)value_int(result, i, 3);
	row->first_seen_us = value_int(result, i, 4);
	row->last_modified_us = value_int(result, i, 5);
	row->deleted_us = value_int(result, i, 6);
	row->pruned_us = value_int(result, i, 7);
	value_uuid(result, i, 8, row->uuid);
}

static void
record_on_rows(void *arg, const struct unit_answer *answer)
{
	struct sync_call *call = arg;
	struct record_row *rows;
	struct sl_error error;
	bool more = false;
	int count;
	enum sl_code code = sync_outcome(call, answer, &count, &error);

	rows = sl_calloc((size_t)count + 1, sizeof(*rows));
	for (int i = 0; i < count; i++)
		record_read(&rows[i], sync_answer_rows(answer), i);
	if (count > 0)
		more = value_bool(sync_answer_rows(answer), count - 1, 9);
	call->cb.records(call->arg, code, rows, count, more, code == SL_OK ? NULL : &error);
	free(rows);
	free(call);
}

static void
record_bind_query(struct unit *unit, const struct record_query *query, const char *after_uuid)
{
	struct value_array ids;

	unit_add(unit, query->id_count > 0 ? &record_page_of_ids : &record_page);
	unit_bind_int(unit, query->connection_id);
	unit_bind_text(unit, query->model);
	unit_bind_int(unit, after_uuid[0] == '\0' ? 0 : query->after_us);
	unit_bind_text(unit, after_uuid[0] == '\0' ? RECORD_NO_UUID : after_uuid);
	unit_bind_int(unit, query->modified_since_us);
	unit_bind_int(unit, query->actions);
	unit_bind_int(unit, query->limit);
	if (query->id_count == 0)
		return;
	value_array_init(&ids, VALUE_TEXT);
	for (int i = 0; i < query->id_count; i++)
		value_array_text(&ids, query->ids[i]);
	unit_bind_array(unit, &ids);
}

void
record_list(struct sync_store *store, const struct record_query *query, record_rows_cb *cb,
	    void *arg)
{
	struct sync_call *call = sync_call_new(arg, NULL);
	char after[UUID_TEXT] = "";
	struct unit *unit;

	call->cb.records = cb;
	if (query->after_uuid != NULL && query->after_uuid[0] != '\0' &&
	    !uuid_parse(slice_text(query->after_uuid), after)) {
		sync_refuse(store, record_on_rows, call, SL_INVALID, "the place is no uuid");
		return;
	}
	if (query->limit < 1 || query->limit > RECORD_LIMIT_MAX) {
		sync_refuse(store, record_on_rows, call, SL_INVALID,
			    "the limit is not between 1 and 10,000");
		return;
	}
	unit = unit_new();
	record_bind_query(unit, query, after);
	sync_send(store, unit, record_on_rows, call);
}
