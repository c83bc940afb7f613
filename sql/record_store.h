/* sql/record_store.h - what the record*.c files share.  Private to them.
 *
 * Who writes records of a model holds the model's lock until the commit.  So what a statement reads
 * before it writes stays true, two batches do not wait in a circle, and last_modified grows in the
 * order of commits: a reader who has seen a place in the order has seen all before it. */
#ifndef SLUICE_SQL_RECORD_STORE_H
#define SLUICE_SQL_RECORD_STORE_H

#include "sql/sync_store.h"

#define RECORD_MODEL "connection_id = $1::bigint AND model = $2::text"
/* Every row; said, so that the planner may use the index record_order. */
#define RECORD_ORDERED "last_modified > '-infinity'"
/* Before every place of its time. */
#define RECORD_NO_UUID "00000000-0000-0000-0000-000000000000"
#define RECORD_LOCK(model) "pg_advisory_xact_lock(hashtextextended(" model ", $1::bigint))"
/* The moment of a write: its place in the order of "seen", the newest place in the model, and a time
 * later than that and than any that was given before, also to records that are gone, even if the
 * clock was set back.  Not max(): planned while the table is empty it reads the whole model, which
 * costs as little then. */
#define RECORD_MOMENT                                                              \
	"moment AS MATERIALIZED (SELECT nextval('record_seen') AS seen, n.newest," \
	" greatest(clock_timestamp(), n.newest + interval '1 microsecond',"        \
	"  n.given + interval '1 microsecond') AS at"                              \
	" FROM (SELECT (SELECT last_modified FROM record WHERE " RECORD_MODEL      \
	"  AND " RECORD_ORDERED " ORDER BY last_modified DESC LIMIT 1) AS newest," \
	" (SELECT newest FROM record_model WHERE " RECORD_MODEL ") AS given OFFSET 0) n)"
/* A write that is repeated, because the answer to its commit was lost, finds what it told then: `told`
 * is its name, counts and moment.  `write` may be null. */
#define RECORD_AGAIN(write)                                                       \
	"again AS MATERIALIZED (SELECT string_to_array(e.text, ' ') AS told"      \
	" FROM record_model k, unnest(k.recent) AS e(text) WHERE k." RECORD_MODEL \
	" AND split_part(e.text, ' ', 1) = " write ")"
#define RECORD_RECENT "8"
#define RECORD_MOMENT_US SYNC_US("m.at")
/* Keeps what is counted of the model: `change` says by how many (live, and what is told) if anything
 * was written.  A newer place than the last one counted is of an earlier release, which does not
 * count. */
#define RECORD_COUNTED(change, write)                                                       \
	"counted AS (INSERT INTO record_model AS k (connection_id, model, live, newest,"    \
	"   counted_at, recent) SELECT $1::bigint, $2::text, c.live, m.at,"                 \
	"   CASE WHEN m.newest IS NULL THEN m.at END, CASE WHEN " write " IS NULL"          \
	"    THEN '{}' ELSE ARRAY[concat_ws(' ', " write ", c.added, c.updated, c.deleted," \
	"     c.unchanged, " RECORD_MOMENT_US ")] END FROM moment m, (" change ") c"        \
	"  ON CONFLICT (connection_id, model) DO UPDATE SET live = k.live + excluded.live," \
	"   newest = excluded.newest, counted_at = CASE WHEN k.newest >="                   \
	"    coalesce((SELECT newest FROM moment), '-infinity') THEN k.counted_at END,"     \
	"   recent = (excluded.recent || k.recent)[1:" RECORD_RECENT "])"

/* Adds the fence and the lock of a model; $1 and $2 of what follows are bound by the caller. */
void record_add_lock(struct unit *unit, const struct sync_fence *fence, int64_t connection_id,
		     const char *model);

#endif
