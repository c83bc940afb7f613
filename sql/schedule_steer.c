#include "sql/schedule_steer.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "sql/schedule.h"
#include "sql/sync_row.h"

#define STEER_TELL "pg_notify('" SCHEDULE_CHANGED "', '')"

/* $1 connection, $2 functions and $3 variants of the picks.  Of one connection and of all in
 * statements of their own: one plan would read all for one. */
#define STEER_MEANT(of)                                                                      \
	"meant AS MATERIALIZED (SELECT s.id, s.function_id"                                  \
	"  FROM unnest($2::bigint[], $3::text[]) p(f, v) JOIN sync s ON s.function_id = p.f" \
	"  WHERE " of " AND s.removed_at IS NULL AND (p.v IS NULL OR s.variant = p.v))"
#define STEER_ONE "s.connection_id = $1::bigint"
#define STEER_ALL "$1::bigint = 0"

/* Locked in the order of ids: two that steer the same syncs wait for each other, not in a circle.
 * Schedules are looked up by arrays, which no plan can turn into a scan of them all. */
#define STEER_WRITE                                                                       \
	" held AS MATERIALIZED (SELECT h.sync_id FROM schedule h"                         \
	"  WHERE h.sync_id = ANY (ARRAY(SELECT id FROM meant)) AND h.started <> $4::bool" \
	"  ORDER BY h.sync_id FOR UPDATE),"                                               \
	" written AS (UPDATE schedule h SET started = $4::bool, next_run_at ="            \
	"   CASE WHEN $4::bool THEN next_slot(h.anchor, h.every_ms, now()) END"           \
	"  WHERE h.sync_id = ANY (ARRAY(SELECT sync_id FROM held)) RETURNING h.sync_id)"  \
	" SELECT (SELECT count(*) FROM meant), w.changed,"                                \
	"  CASE WHEN w.changed > 0 THEN " STEER_TELL " END"                               \
	" FROM (SELECT count(*) AS changed FROM written) w"

static const struct unit_statement steer_one = {"steer_one",
						"WITH " STEER_MEANT(STEER_ONE) "," STEER_WRITE};
static const struct unit_statement steer_all = {"steer_all",
						"WITH " STEER_MEANT(STEER_ALL) "," STEER_WRITE};

/* Of one sync.  A run that is due stays due. */
static const struct unit_statement steer_frequency = {
    "steer_frequency",
    "WITH " STEER_MEANT(
	STEER_ONE) ","
		   " active AS MATERIALIZED (SELECT definition_member((SELECT v.definition"
		   "   FROM function_version v WHERE v.id = (SELECT f.version_id FROM function f"
		   "    WHERE f.id = m.function_id)), 'runs') AS declared FROM meant m),"
		   " written AS (UPDATE schedule h SET frequency = $4::text, every_ms = e.ms, next_run_at = CASE"
		   "   WHEN NOT h.started OR e.ms IS NULL THEN NULL"
		   "   WHEN h.next_run_at <= now() THEN h.next_run_at"
		   "   ELSE next_slot(h.anchor, e.ms, now()) END"
		   "  FROM (SELECT every_ms(coalesce($4::text, (SELECT declared FROM active))) AS ms) e"
		   "  WHERE h.sync_id = (SELECT id FROM meant) RETURNING h.sync_id)"
		   " SELECT (SELECT declared FROM active), " STEER_TELL " FROM written"};

struct steer_call {
	struct sync_call call; /* first: what sync_send() knows */
	struct sync_store *store;
	const struct sync_set *set;
	bool start;
	schedule_steer_cb *cb;
	schedule_frequency_cb *frequency_cb;
};

/* ---- start, pause ----------------------------------------------------------------------------- */

static void
steer_end(struct steer_call *steer, enum sl_code code, int64_t found, int64_t changed,
	  const struct sl_error *error)
{
	steer->cb(steer->call.arg, code, found, changed, code == SL_OK ? NULL : error);
	free(steer);
}

static void
steer_on_written(void *arg, const struct unit_answer *answer)
{
	struct steer_call *steer = arg;
	const PGresult *rows;

	if (answer->code != SL_OK) {
		steer_end(steer, answer->code, 0, 0, &answer->error);
		return;
	}
	rows = sync_answer_rows(answer);
	steer_end(steer, SL_OK, value_int(rows, 0, 0), value_int(rows, 0, 1), NULL);
}

static void
steer_write(struct steer_call *steer)
{
	struct unit *unit = unit_new();

	unit_add(unit, steer->set->connection_id != 0 ? &steer_one : &steer_all);
	unit_bind_int(unit, steer->set->connection_id);
	sync_set_bind_picks(unit, steer->set);
	unit_bind_bool(unit, steer->start);
	sync_send(steer->store, unit, steer_on_written, &steer->call);
}

static void steer_make(struct steer_call *steer, int64_t first_connection);

static void
steer_on_made(void *arg, const struct unit_answer *answer)
{
	struct steer_call *steer = arg;
	int64_t next;

	if (answer->code != SL_OK)
		steer_end(steer, answer->code, 0, 0, &answer->error);
	else if (sync_set_made(answer, &next))
		steer_make(steer, next);
	else
		steer_write(steer);
}

/* What is missing is made first: a schedule that the scheduler would make a moment later, of a sync
 * that was paused here, would start it. */
static void
steer_make(struct steer_call *steer, int64_t first_connection)
{
	struct unit *unit = unit_new();

	sync_set_add_make(unit, steer->set, first_connection);
	sync_send(steer->store, unit, steer_on_made, &steer->call);
}

static void
steer(struct sync_store *store, const struct sync_set *set, bool start, schedule_steer_cb *cb,
      void *arg)
{
	struct steer_call *steer = sl_alloc(sizeof(*steer));

	steer->call.arg = arg;
	steer->store = store;
	steer->set = set;
	steer->start = start;
	steer->cb = cb;
	steer_make(steer, 0);
}

void
schedule_start(struct sync_store *store, const struct sync_set *set, schedule_steer_cb *cb,
	       void *arg)
{
	steer(store, set, true, cb, arg);
}

void
schedule_pause(struct sync_store *store, const struct sync_set *set, schedule_steer_cb *cb,
	       void *arg)
{
	steer(store, set, false, cb, arg);
}

/* ---- frequency -------------------------------------------------------------------------------- */

static void
steer_on_frequency(void *arg, const struct unit_answer *answer)
{
	struct steer_call *steer = arg;
	struct sl_error error;
	int count;
	enum sl_code code = sync_outcome(&steer->call, answer, &count, &error);

	steer->frequency_cb(steer->call.arg, code,
			    code == SL_OK ? value_text(sync_answer_rows(answer), 0, 0) : "",
			    code == SL_OK ? NULL : &error);
	free(steer);
}

void
schedule_frequency(struct sync_store *store, const struct sync_set *set, const char *frequency,
		   schedule_frequency_cb *cb, void *arg)
{
	struct steer_call *steer = sl_alloc(sizeof(*steer));
	struct unit *unit = unit_new();

	steer->call.arg = arg;
	steer->call.one = "sync with a schedule";
	steer->frequency_cb = cb;
	sync_set_add_make(unit, set, 0);
	unit_add(unit, &steer_frequency);
	unit_bind_int(unit, set->connection_id);
	sync_set_bind_picks(unit, set);
	unit_bind_text(unit, frequency);
	sync_send(store, unit, steer_on_frequency, &steer->call);
}
