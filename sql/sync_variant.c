#include "sql/sync_variant.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "sql/schedule.h"
#include "sql/sync_row.h"

enum variant_found { VARIANT_FREE, VARIANT_THERE, VARIANT_GOING, VARIANT_MANY };

/* $1 function, $2 connection, $3 variant. */
#define VARIANT_SIBLINGS \
	"FROM sync s WHERE s.function_id = $1::bigint AND s.connection_id = $2::bigint"

static const struct unit_statement variant_base = {
    "sync_variant_base",
    "SELECT make_syncs(ARRAY[$1::bigint], ARRAY[$2::bigint], '" SYNC_BASE "')"
    " WHERE (SELECT true " VARIANT_SIBLINGS " AND s.variant = '" SYNC_BASE "') IS NULL"};

/* Whoever makes another variant of it waits here, so that they are counted one after the other. */
static const struct unit_statement variant_lock = {
    "sync_variant_lock",
    "SELECT require((SELECT true " VARIANT_SIBLINGS " AND s.variant = '" SYNC_BASE "'"
    " FOR NO KEY UPDATE), 'SL404', 'there is no such sync function for that connection')"};

static const struct unit_statement variant_make = {
    "sync_variant_make",
    "WITH found AS MATERIALIZED (SELECT CASE"
    "  WHEN EXISTS (SELECT " VARIANT_SIBLINGS " AND s.variant = $3::text) THEN 1"
    "  WHEN EXISTS (SELECT " VARIANT_SIBLINGS " AND s.removed_at IS NOT NULL"
    "   AND starts_with(s.variant, $3::text || ':removed:')) THEN 2"
    "  WHEN (SELECT count(*) " VARIANT_SIBLINGS " AND s.variant <> '" SYNC_BASE "'"
    "   AND s.removed_at IS NULL) >= $4::bigint THEN 3 ELSE 0 END AS what)"
    " SELECT f.what, CASE f.what WHEN 0 THEN"
    "  make_syncs(ARRAY[$1::bigint], ARRAY[$2::bigint], $3::text) END,"
    " CASE f.what WHEN 0 THEN pg_notify('" SCHEDULE_CHANGED "', '') END FROM found f"};

static const struct unit_statement variant_find = {
    "sync_variant_find", SYNC_SELECT "WHERE s.function_id = $1::bigint"
				     " AND s.connection_id = $2::bigint AND s.variant = $3::text"};

/* Locked before it is read: a run that is being claimed is seen. */
static const struct unit_statement variant_remove[] = {
    {"sync_variant_hold", "SELECT s.id " VARIANT_SIBLINGS " AND s.variant = $3::text FOR UPDATE"},
    {"sync_variant_remove",
     "SELECT CASE WHEN " SYNC_OPEN " THEN s.job_id END, remove_sync(s.id) " VARIANT_SIBLINGS
     " AND s.variant = $3::text"},
};

struct removed_call {
	struct sync_call call; /* first: what sync_send() knows */
	sync_removed_cb *cb;
};

static void
variant_bind(struct unit *unit, int64_t function_id, int64_t connection_id, const char *variant)
{
	unit_bind_int(unit, function_id);
	unit_bind_int(unit, connection_id);
	if (variant != NULL)
		unit_bind_text(unit, variant);
}

static enum sl_code
variant_outcome(enum variant_found what, struct sl_error *error)
{
	switch (what) {
	case VARIANT_FREE:
		return SL_OK;
	case VARIANT_THERE:
		return sl_fail(error, SL_CONFLICT, "the sync has that variant already");
	case VARIANT_GOING:
		return sl_fail(error, SL_UNAVAILABLE,
			       "a deleted variant of that name is still being removed");
	case VARIANT_MANY:
		return sl_fail(error, SL_EXHAUSTED, "the sync has %d variants already",
			       SYNC_VARIANTS_MAX);
	}
	return sl_fail(error, SL_INTERNAL, "unexpected answer %d", (int)what);
}

static void
variant_on_made(void *arg, const struct unit_answer *answer)
{
	struct sync_call *call = arg;
	struct sync_row row = {0};
	struct sl_error error;
	int count;
	enum sl_code code = sync_outcome(call, answer, &count, &error);

	if (answer->code == SL_OK)
		code = variant_outcome((enum variant_found)value_int(answer->results[2], 0, 0),
				       &error);
	if (code == SL_OK && count == 0) /* the function was deleted at this moment */
		code = sl_fail(&error, SL_NOT_FOUND, "there is no such %s", call->one);
	if (code == SL_OK)
		sync_read_row(&row, sync_answer_rows(answer), 0);
	call->cb.rows(call->arg, code, &row, code == SL_OK, code == SL_OK ? NULL : &error);
	free(call);
}

void
sync_variant_create(struct sync_store *store, int64_t function_id, int64_t connection_id,
		    const char *variant, sync_rows_cb *cb, void *arg)
{
	struct sync_call *call = sync_call_new(arg, "sync function for that connection");
	struct unit *unit = unit_new();

	call->cb.rows = cb;
	unit_add(unit, &variant_base);
	variant_bind(unit, function_id, connection_id, NULL);
	unit_add(unit, &variant_lock);
	variant_bind(unit, function_id, connection_id, NULL);
	unit_add(unit, &variant_make);
	variant_bind(unit, function_id, connection_id, variant);
	unit_bind_int(unit, SYNC_VARIANTS_MAX);
	unit_add(unit, &variant_find);
	variant_bind(unit, function_id, connection_id, variant);
	sync_send(store, unit, variant_on_made, call);
}

static void
variant_on_removed(void *arg, const struct unit_answer *answer)
{
	struct removed_call *removed = arg;
	char job_id[UUID_TEXT] = "";
	struct sl_error error;
	int count;
	enum sl_code code = sync_outcome(&removed->call, answer, &count, &error);

	if (code == SL_OK && !PQgetisnull(sync_answer_rows(answer), 0, 0))
		value_uuid(sync_answer_rows(answer), 0, 0, job_id);
	removed->cb(removed->call.arg, code, job_id, code == SL_OK ? NULL : &error);
	free(removed);
}

void
sync_variant_delete(struct sync_store *store, int64_t function_id, int64_t connection_id,
		    const char *variant, sync_removed_cb *cb, void *arg)
{
	struct removed_call *removed = sl_alloc(sizeof(*removed));
	struct unit *unit = unit_new();

	removed->call.arg = arg;
	removed->call.one = "variant of that sync";
	removed->cb = cb;
	for (size_t i = 0; i < sizeof(variant_remove) / sizeof(*variant_remove); i++) {
		unit_add(unit, &variant_remove[i]);
		variant_bind(unit, function_id, connection_id, variant);
	}
	sync_send(store, unit, variant_on_removed, &removed->call);
}
