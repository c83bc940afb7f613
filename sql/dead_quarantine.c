/* sql/dead_quarantine.c - entries of the queue that no worker may run, kept for a human to look at. */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "sql/dead_store.h"

#define QUARANTINE_HOUR_MS 3600000
#define QUARANTINE_REASON_MAX 200
#define QUARANTINE_TIME_MAX_MS ((int64_t)1 << 47)

static const struct unit_statement quarantine_insert = {
    "quarantine_insert",
    "INSERT INTO quarantine (shard, key_id, reason, bytes, security)"
    " SELECT $1::bigint, $2::bigint, $3::text, b, $5::bool FROM unnest($4::bytea[]) u(b)"
    " RETURNING id"};

static const struct unit_statement quarantine_page = {
    "quarantine_page", "SELECT id, shard, key_id, reason, bytes, security, " DEAD_MS(
			   "at") " FROM quarantine WHERE $1::bigint = 0 OR id < $1::bigint"
				 " ORDER BY id DESC LIMIT $2::bigint"};

static const struct unit_statement quarantine_remove = {
    "quarantine_remove", "WITH gone AS (DELETE FROM quarantine WHERE id = ANY ($1::bigint[])"
			 " RETURNING id) SELECT count(*) FROM gone"};

static const struct unit_statement quarantine_remove_old = {
    "quarantine_remove_old", "WITH gone AS (DELETE FROM quarantine WHERE at < " DEAD_AT(
				 "$1") " RETURNING id) SELECT count(*) FROM gone"};

/* A flood of bad entries must not become a flood of rows. */
static bool
quarantine_has_room(struct dead_store *store)
{
	int64_t now = clock_mono_ms();

	if (store->hour_ms == 0 || now - store->hour_ms >= QUARANTINE_HOUR_MS) {
		store->hour_ms = now;
		store->quarantined = 0;
	}
	return store->quarantined++ < QUARANTINE_ROWS_PER_HOUR;
}

/* Without what is no UTF-8. */
static char *
quarantine_text(const char *text)
{
	struct slice all = slice_text(text);
	size_t len = 0;
	char *out;

	while (len < all.len) {
		size_t next = utf8_len(all.data + len, all.len - len);

		if (next == 0 || len + next > QUARANTINE_REASON_MAX)
			break;
		len += next;
	}
	out = sl_strndup(text, len);
	return out;
}

void
quarantine_add(struct dead_store *store, const struct quarantine_entry *entry, dead_count_cb *cb,
	       void *arg)
{
	struct dead_call *call = dead_call_new(store, arg);
	struct slice bytes = entry->bytes;
	struct value_array array;
	struct unit *unit;
	char *reason;

	call->cb.count = cb;
	if (!quarantine_has_room(store)) {
		dead_refuse_count(call, SL_EXHAUSTED, "too many bad entries within an hour");
		return;
	}
	if (bytes.data == NULL)
		bytes = SLICE_LITERAL("");
	if (bytes.len > QUARANTINE_BYTES_MAX)
		bytes.len = QUARANTINE_BYTES_MAX;
	value_array_init(&array, VALUE_BYTEA);
	value_array_bytes(&array, bytes);
	reason = quarantine_text(entry->reason);
	unit = unit_new();
	unit_add(unit, &quarantine_insert);
	unit_bind_int(unit, entry->shard);
	unit_bind_int(unit, entry->key_id);
	unit_bind_text(unit, reason);
	unit_bind_array(unit, &array);
	unit_bind_bool(unit, entry->security);
	free(reason);
	dead_send(call, unit, dead_on_count);
}

static void
quarantine_on_rows(void *arg, const struct unit_answer *answer)
{
	struct dead_call *call = arg;
	int count = answer->code == SL_OK ? PQntuples(answer->results[0]) : 0;
	struct quarantine_entry *rows = sl_calloc((size_t)count + 1, sizeof(*rows));

	for (int i = 0; i < count; i++) {
		rows[i].id = value_int(answer->results[0], i, 0);
		rows[i].shard = (int)value_int(answer->results[0], i, 1);
		rows[i].key_id = value_int(answer->results[0], i, 2);
		rows[i].reason = value_text(answer->results[0], i, 3);
		rows[i].bytes = value_bytes(answer->results[0], i, 4);
		rows[i].security = value_bool(answer->results[0], i, 5);
		rows[i].at_ms = value_int(answer->results[0], i, 6);
	}
	call->cb.entries(call->arg, answer->code, rows, count,
			 answer->code == SL_OK ? NULL : &answer->error);
	free(rows);
	free(call);
}

static void
quarantine_on_refused(void *arg)
{
	struct dead_call *call = arg;

	call->cb.entries(call->arg, call->refused.code, NULL, 0, &call->refused);
	free(call);
}

void
quarantine_list(struct dead_store *store, int64_t before, int limit, quarantine_rows_cb *cb,
		void *arg)
{
	struct dead_call *call = dead_call_new(store, arg);
	struct unit *unit;

	call->cb.entries = cb;
	if (before < 0 || limit < 1 || limit > DEAD_CALL_MAX) {
		sl_fail(&call->refused, SL_INVALID,
			"before or limit is out of range (limit: 1 to %d)", DEAD_CALL_MAX);
		loop_soon(store->loop, quarantine_on_refused, call);
		return;
	}
	unit = unit_new();
	unit_add(unit, &quarantine_page);
	unit_bind_int(unit, before);
	unit_bind_int(unit, limit);
	dead_send(call, unit, quarantine_on_rows);
}

void
quarantine_purge(struct dead_store *store, const int64_t *ids, int count, int64_t before_ms,
		 dead_count_cb *cb, void *arg)
{
	struct dead_call *call = dead_call_new(store, arg);
	struct unit *unit;
	struct value_array array;

	call->cb.count = cb;
	if (ids != NULL ? count > DEAD_CALL_MAX
			: before_ms < 0 || before_ms > QUARANTINE_TIME_MAX_MS) {
		dead_refuse_count(call, SL_INVALID,
				  ids != NULL ? "there are too many ids"
					      : "before is out of range");
		return;
	}
	unit = unit_new();
	if (ids != NULL) {
		value_array_init(&array, VALUE_INT8);
		for (int i = 0; i < count; i++)
			value_array_int(&array, ids[i]);
		unit_add(unit, &quarantine_remove);
		unit_bind_array(unit, &array);
	} else {
		unit_add(unit, &quarantine_remove_old);
		unit_bind_int(unit, before_ms);
	}
	dead_send(call, unit, dead_on_count);
}
