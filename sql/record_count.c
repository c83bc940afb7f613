#include "sql/record_count.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "sql/sync_store.h"

struct count_call {
	struct sync_call call; /* first: what sync_send() knows */
	record_count_cb *cb;
};

/* A model that has to be counted is counted here, for as long as the scheduler has not come to it. */
static const struct unit_statement record_counted = {
    "record_counted",
    "SELECT k.connection_id, k.model, k.live FROM (SELECT DISTINCT u.i FROM unnest($1::bigint[])"
    "  u(i)) c CROSS JOIN LATERAL (SELECT m.connection_id, m.model,"
    "   CASE WHEN m.counted_at IS NOT NULL THEN m.live ELSE (SELECT count(*) FROM record r"
    "    WHERE r.connection_id = m.connection_id AND r.model = m.model AND r.deleted IS NULL) END"
    "    AS live FROM record_model m WHERE m.connection_id = c.i OFFSET 0) k WHERE k.live > 0"};

static void
on_counted(void *arg, const struct unit_answer *answer)
{
	struct count_call *counting = arg;
	struct record_count *rows;
	struct sl_error error;
	int count;
	enum sl_code code = sync_outcome(&counting->call, answer, &count, &error);

	rows = sl_calloc((size_t)count + 1, sizeof(*rows));
	for (int i = 0; i < count; i++) {
		rows[i].connection_id = value_int(sync_answer_rows(answer), i, 0);
		rows[i].model = value_text(sync_answer_rows(answer), i, 1);
		rows[i].count = value_int(sync_answer_rows(answer), i, 2);
	}
	counting->cb(counting->call.arg, code, rows, count, code == SL_OK ? NULL : &error);
	free(rows);
	free(counting);
}

void
record_count(struct sync_store *store, const int64_t *connections, int count, record_count_cb *cb,
	     void *arg)
{
	struct count_call *counting = sl_alloc(sizeof(*counting));
	struct unit *unit = unit_new();
	struct value_array ids;

	value_array_init(&ids, VALUE_INT8);
	for (int i = 0; i < count; i++)
		value_array_int(&ids, connections[i]);
	counting->call.arg = arg;
	counting->cb = cb;
	unit_add(unit, &record_counted);
	unit_bind_array(unit, &ids);
	sync_send(store, unit, on_counted, &counting->call);
}
