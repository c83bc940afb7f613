#include "sql/record_prune.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "sql/record_store.h"

#define PRUNE_LIMIT_MAX 10000
/* Payloads of one call: writers of the model wait for it, and so does whoever asked. */
#define PRUNE_BYTES "134217728"

struct prune_call {
	struct sync_call call; /* first: what sync_send() knows */
	record_pruned_cb *cb;
};

/* $3 and $4 the last place, $5 limit.  The search goes on where the last one ended: everything up
 * to record_cut is known to be empty, so that a long prefix is not read by each call.  Rows are
 * written by their ctid, which stands as long as the model is locked. */
#define PRUNE_UNTIL "(" SYNC_AT_US("$3") ", $4::uuid)"
#define PRUNE_PLACE "last_modified, uuid"
#define PRUNE_CUT "FROM record_cut WHERE " RECORD_MODEL
static const struct unit_statement record_prune_rows = {
    "record_prune_rows",
    "WITH found AS MATERIALIZED (SELECT ctid AS at, " PRUNE_PLACE
    ",  row_number() OVER place AS n, sum(octet_length(payload)) OVER place"
    "   - octet_length(payload) AS before"
    "  FROM record WHERE " RECORD_MODEL " AND " RECORD_ORDERED " AND pruned IS NULL"
    "   AND (" PRUNE_PLACE ") > (coalesce((SELECT cut_to " PRUNE_CUT "), '-infinity'),"
    "    coalesce((SELECT cut_uuid " PRUNE_CUT "), '" RECORD_NO_UUID "'))"
    "   AND (" PRUNE_PLACE ") <= " PRUNE_UNTIL "  WINDOW place AS (ORDER BY " PRUNE_PLACE
    " ROWS UNBOUNDED PRECEDING)"
    "  ORDER BY " PRUNE_PLACE " LIMIT $5::bigint + 1),"
    " taken AS MATERIALIZED (SELECT * FROM found WHERE n <= $5::bigint AND before < " PRUNE_BYTES
    "),"
    " emptied AS (UPDATE record SET payload = '', pruned = clock_timestamp()"
    "  WHERE ctid = ANY (ARRAY(SELECT at FROM taken))),"
    " told AS MATERIALIZED (SELECT (SELECT count(*) FROM taken) AS count,"
    "  (SELECT count(*) FROM found) > (SELECT count(*) FROM taken) AS more),"
    " reached AS MATERIALIZED (SELECT p.* FROM told CROSS JOIN LATERAL"
    "  ((SELECT " PRUNE_PLACE " FROM taken WHERE more ORDER BY n DESC LIMIT 1)"
    "  UNION ALL (SELECT " PRUNE_PLACE " FROM record WHERE NOT more AND " RECORD_MODEL
    "   AND " RECORD_ORDERED " AND (" PRUNE_PLACE ") <= " PRUNE_UNTIL
    "   ORDER BY last_modified DESC, uuid DESC LIMIT 1)) p),"
    " cut AS (INSERT INTO record_cut AS c (connection_id, model, cut_to, cut_uuid)"
    "  SELECT $1::bigint, $2::text, " PRUNE_PLACE " FROM reached"
    "  ON CONFLICT (connection_id, model) DO UPDATE"
    "   SET cut_to = excluded.cut_to, cut_uuid = excluded.cut_uuid"
    "   WHERE (c.cut_to, c.cut_uuid) < (excluded.cut_to, excluded.cut_uuid))"
    " SELECT count, more FROM told"};

static void
on_pruned(void *arg, const struct unit_answer *answer)
{
	struct prune_call *pruning = arg;
	struct sl_error error;
	int64_t pruned = 0;
	bool more = false;
	int count;
	enum sl_code code = sync_outcome(&pruning->call, answer, &count, &error);

	if (code == SL_OK) {
		pruned = value_int(sync_answer_rows(answer), 0, 0);
		more = value_bool(sync_answer_rows(answer), 0, 1);
	}
	pruning->cb(pruning->call.arg, code, pruned, more, code == SL_OK ? NULL : &error);
	free(pruning);
}

void
record_prune(struct sync_store *store, const struct record_prune *prune, record_pruned_cb *cb,
	     void *arg)
{
	struct prune_call *pruning = sl_alloc(sizeof(*pruning));
	char until[UUID_TEXT];
	struct unit *unit;

	pruning->call.arg = arg;
	pruning->cb = cb;
	if (!uuid_parse(slice_text(prune->until_uuid), until)) {
		sync_refuse(store, on_pruned, &pruning->call, SL_INVALID, "the place is no uuid");
		return;
	}
	if (prune->limit < 1 || prune->limit > PRUNE_LIMIT_MAX) {
		sync_refuse(store, on_pruned, &pruning->call, SL_INVALID,
			    "the limit is not between 1 and 10,000");
		return;
	}
	unit = unit_new();
	record_add_lock(unit, NULL, prune->connection_id, prune->model);
	unit_add(unit, &record_prune_rows);
	unit_bind_int(unit, prune->connection_id);
	unit_bind_text(unit, prune->model);
	unit_bind_int(unit, prune->until_us);
	unit_bind_text(unit, until);
	unit_bind_int(unit, prune->limit);
	sync_send(store, unit, on_pruned, &pruning->call);
}
