#include "sql/sync_set.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "sql/sync_row.h"

/* Connections and rows of a page. */
#define SET_CONNECTIONS 256
#define SET_ROWS 500

/* $1 integration, $2 connection or 0, $3 the first connection, $4 how many; $5 functions and $6
 * variants of the picks.  The one connection is also the first: no other is read on the way to it. */
#define SET_PAGE                                                      \
	"(SELECT o.id, o.connection_id FROM connection o"             \
	" WHERE o.integration_id = $1::bigint AND o.id >= $3::bigint" \
	"  AND ($2::bigint = 0 OR o.id = $2::bigint) ORDER BY o.id LIMIT $4::bigint)"
#define SET_PICKS "unnest($5::bigint[], $6::text[]) p(f, v)"

/* make_syncs() takes locks: it is asked for what is missing only. */
static const struct unit_statement set_make = {
    "sync_set_make",
    "WITH o AS MATERIALIZED " SET_PAGE ","
    " w AS MATERIALIZED (SELECT p.f, o.id FROM o, " SET_PICKS
    "  WHERE (p.v IS NULL OR p.v = '" SYNC_BASE "')"
    "   AND (SELECT (SELECT h.sync_id FROM schedule h WHERE h.sync_id = s.id) FROM sync s"
    "    WHERE s.function_id = p.f AND s.connection_id = o.id"
    "     AND s.variant = '" SYNC_BASE "') IS NULL)"
    " SELECT make_syncs(array_agg(DISTINCT w.f), array_agg(DISTINCT w.id), '" SYNC_BASE "')"
    " FROM w HAVING count(*) > 0"};

static const struct unit_statement set_end = {
    "sync_set_end", "SELECT coalesce(max(o.id), 0), count(*) FROM " SET_PAGE " o"};

/* $7 and $8: name and variant of the last row that was read of the first connection, $9 how many rows.
 * What a row has is looked up for it by LATERAL ... LIMIT, which no plan can turn into a scan. */
static const struct unit_statement set_rows = {
    "sync_set_rows",
    "WITH o AS MATERIALIZED " SET_PAGE ","
    " w AS MATERIALIZED (SELECT o.id AS connection_id, o.connection_id AS connection,"
    "   f.name COLLATE \"C\" AS name, s.variant COLLATE \"C\" AS variant, s.id, s.function_id"
    "  FROM o, LATERAL (SELECT s.id, s.function_id, s.variant FROM sync s"
    "   WHERE s.connection_id = o.id AND s.removed_at IS NULL OFFSET 0) s,"
    "  LATERAL (SELECT f.name FROM function f WHERE f.id = s.function_id"
    "   AND f.deleted_at IS NULL LIMIT 1) f"
    "  WHERE EXISTS (SELECT FROM " SET_PICKS
    "    WHERE p.f = s.function_id AND (p.v IS NULL OR p.v = s.variant))"
    "   AND (o.id, f.name COLLATE \"C\", s.variant COLLATE \"C\")"
    "    > ($3::bigint, $7::text, $8::text)"
    "  ORDER BY 1, 3, 4 LIMIT $9::bigint)"
    " SELECT d.*, w.connection, coalesce(k.value, 'null') FROM w, LATERAL (SELECT " SYNC_COLUMNS(
	"''") " FROM" SYNC_TABLES "WHERE s.id = w.id LIMIT 1) d"
	      " LEFT JOIN LATERAL (SELECT k.value FROM checkpoint k WHERE k.function_id = w.function_id"
	      "  AND k.connection_id = w.connection_id AND k.variant = w.variant LIMIT 1) k ON true"
	      " ORDER BY w.connection_id, w.name, w.variant"};

struct page_call {
	struct sync_call call; /* first: what sync_send() knows */
	sync_page_cb *cb;
};

static void
set_bind(struct unit *unit, const struct sync_set *set, int64_t first_connection)
{
	int64_t one = set->connection_id;

	unit_bind_int(unit, set->integration_id);
	unit_bind_int(unit, one);
	unit_bind_int(unit, one > first_connection ? one : first_connection);
	unit_bind_int(unit, one != 0 ? 1 : SET_CONNECTIONS);
}

void
sync_set_bind_picks(struct unit *unit, const struct sync_set *set)
{
	struct value_array functions, variants;

	value_array_init(&functions, VALUE_INT8);
	value_array_init(&variants, VALUE_TEXT);
	for (int i = 0; i < set->pick_count; i++) {
		value_array_int(&functions, set->picks[i].function_id);
		value_array_text(&variants, set->picks[i].variant);
	}
	unit_bind_array(unit, &functions);
	unit_bind_array(unit, &variants);
}

void
sync_set_add_make(struct unit *unit, const struct sync_set *set, int64_t first_connection)
{
	unit_add(unit, &set_make);
	set_bind(unit, set, first_connection);
	sync_set_bind_picks(unit, set);
	unit_add(unit, &set_end);
	set_bind(unit, set, first_connection);
}

bool
sync_set_made(const struct unit_answer *answer, int64_t *next_connection)
{
	*next_connection = value_int(answer->results[1], 0, 0) + 1;
	return value_int(answer->results[1], 0, 1) == SET_CONNECTIONS;
}

/* Where to go on after a page; false: nowhere. */
static bool
set_next(const struct unit_answer *answer, const struct sync_page_row *rows, int count,
	 struct sync_place *next)
{
	int64_t connection;
	bool more = sync_set_made(answer, &connection);

	if (count < SET_ROWS) {
		next->connection_id = connection;
		return more;
	}
	next->connection_id = rows[count - 1].row.connection_id;
	snprintf(next->name, sizeof(next->name), "%s", rows[count - 1].row.name);
	snprintf(next->variant, sizeof(next->variant), "%s", rows[count - 1].row.variant);
	return true;
}

static void
set_on_page(void *arg, const struct unit_answer *answer)
{
	struct page_call *page = arg;
	const PGresult *result;
	struct sync_place next = {0};
	struct sync_page_row *rows;
	struct sl_error error;
	bool more = false;
	int count;
	enum sl_code code = sync_outcome(&page->call, answer, &count, &error);

	rows = sl_calloc((size_t)count + 1, sizeof(*rows));
	if (code == SL_OK) {
		result = sync_answer_rows(answer);
		for (int i = 0; i < count; i++) {
			sync_read_row(&rows[i].row, result, i);
			rows[i].connection = value_text(result, i, SYNC_COLUMN_COUNT);
			rows[i].checkpoint = value_text(result, i, SYNC_COLUMN_COUNT + 1);
		}
		more = set_next(answer, rows, count, &next);
	}
	page->cb(page->call.arg, code, rows, count, &next, more, code == SL_OK ? NULL : &error);
	free(rows);
	free(page);
}

void
sync_set_page(struct sync_store *store, const struct sync_set *set, const struct sync_place *after,
	      sync_page_cb *cb, void *arg)
{
	struct page_call *page = sl_alloc(sizeof(*page));
	struct unit *unit = unit_new();

	page->call.arg = arg;
	page->cb = cb;
	sync_set_add_make(unit, set, after->connection_id);
	unit_add(unit, &set_rows);
	set_bind(unit, set, after->connection_id);
	sync_set_bind_picks(unit, set);
	unit_bind_text(unit, after->name);
	unit_bind_text(unit, after->variant);
	unit_bind_int(unit, SET_ROWS);
	sync_send(store, unit, set_on_page, &page->call);
}
