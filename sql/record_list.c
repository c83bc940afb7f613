#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "sql/record_store.h"

#define RECORD_LIMIT_MAX 10000
/* A page ends early when its payloads pass this: it is held in memory as a whole. */
#define RECORD_PAGE_BYTES 67108864
#define RECORD_TEXT_OF(number) #number
#define RECORD_TEXT(number) RECORD_TEXT_OF(number)
#define RECORD_PAGE_TEXT RECORD_TEXT(RECORD_PAGE_BYTES)

#define RECORD_AFTER SYNC_AT_US("$3")
#define RECORD_SINCE SYNC_AT_US("$5")
/* $3 and $4 the place to go on after, $5 oldest time or 0, $6 actions or 0, $7 rows.  Of payloads that
 * pass the bound one row more comes, which tells that there is one. */
#define RECORD_PAGE(from)                                                                     \
	"SELECT id, payload, digest, last_action, first_seen, last_modified, deleted,"        \
	" pruned, uuid FROM (SELECT r.*, sum(octet_length(payload)) OVER (ORDER BY"           \
	"   last_modified, uuid ROWS BETWEEN UNBOUNDED PRECEDING AND 2 PRECEDING)"            \
	"  AS before " from " " RECORD_ORDERED "  AND (last_modified, uuid) > (" RECORD_AFTER \
	", $4::uuid)"                                                                         \
	"  AND last_modified >= " RECORD_SINCE                                                \
	"  AND ($6::bigint = 0 OR last_action & $6::bigint <> 0)"                             \
	"  ORDER BY last_modified, uuid LIMIT $7::bigint) page"                               \
	" WHERE before IS NULL OR before < " RECORD_PAGE_TEXT " ORDER BY last_modified, uuid"

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
	row->first_seen_us = value_us(result, i, 4);
	row->last_modified_us = value_us(result, i, 5);
	row->deleted_us = value_us(result, i, 6);
	row->pruned_us = value_us(result, i, 7);
	value_uuid(result, i, 8, row->uuid);
}

struct list_call {
	struct sync_call call; /* first: what sync_send() knows */
	int limit;
};

/* One row more than is wanted was asked for: it tells that there is one, and is not given. */
static void
record_on_rows(void *arg, const struct unit_answer *answer)
{
	struct list_call *listing = arg;
	struct sync_call *call = &listing->call;
	struct record_row *rows;
	struct sl_error error;
	int count, kept = 0;
	size_t bytes = 0;
	enum sl_code code = sync_outcome(call, answer, &count, &error);

	rows = sl_calloc((size_t)count + 1, sizeof(*rows));
	for (; kept < count && kept < listing->limit && bytes < RECORD_PAGE_BYTES; kept++) {
		record_read(&rows[kept], sync_answer_rows(answer), kept);
		bytes += rows[kept].payload.len;
	}
	call->cb.records(call->arg, code, rows, kept, kept < count, code == SL_OK ? NULL : &error);
	free(rows);
	free(listing);
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
	unit_bind_int(unit, query->limit + 1);
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
	struct list_call *listing = sl_alloc(sizeof(*listing));
	struct sync_call *call = &listing->call;
	char after[UUID_TEXT] = "";
	struct unit *unit;

	call->arg = arg;
	call->cb.records = cb;
	listing->limit = query->limit;
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
