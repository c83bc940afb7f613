/* sql/sync_row.h - how a sync is read, by whatever statement finds it.  Private to sync*.c.
 *
 * A statement selects SYNC_COLUMNS of SYNC_TABLES, where s is the sync, f its function, v the active
 * version and c the schedule; more columns of its own follow from SYNC_COLUMN_COUNT on. */
#ifndef SLUICE_SQL_SYNC_ROW_H
#define SLUICE_SQL_SYNC_ROW_H

#include "sql/sync_set.h"
#include "sql/sync_store.h"

/* What the ledger says of the newest run goes before what the sync was told: a run whose worker was
 * lost told nothing. */
#define SYNC_COLUMNS(definition)                                                                                                                                                             \
	"s.id, s.uuid, s.environment_id, s.function_id, s.connection_id, s.key_id, f.name,"                                                                                                  \
	" s.variant, v.id, " definition ", " SYNC_MS(                                                                                                                                        \
	    "s.last_success") ", s.job_id, " SYNC_OPEN                                                                                                                                       \
			      ", coalesce(e.state, s.last_state), " SYNC_MS("coalesce(e.ended_at, s.last_ended)") ", s.last_result, c.sync_id IS NOT NULL, c.started, c.every_ms, " SYNC_MS( \
				  "c.next_run_at") ", c.frequency, s.trouble, " SYNC_MS("s.trouble_at") ", s.still_runs"
#define SYNC_COLUMN_COUNT 24
#define SYNC_TABLES                                                                              \
	" sync s JOIN function f ON f.id = s.function_id"                                        \
	" LEFT JOIN function_version v ON v.id = f.version_id AND f.enabled"                     \
	"  AND f.deleted_at IS NULL"                                                             \
	" LEFT JOIN LATERAL (SELECT r.state, r.ended_at FROM result r WHERE r.job_id = s.job_id" \
	"  LIMIT 1) e ON true LEFT JOIN schedule c ON c.sync_id = s.id "
#define SYNC_SELECT "SELECT " SYNC_COLUMNS("v.definition") " FROM" SYNC_TABLES

/* Texts are borrowed from result. */
void sync_read_row(struct sync_row *row, const PGresult *result, int i);

/* The first two commands of a unit: make what is missing of a set, for so many connections from
 * first_connection on. */
void sync_set_add_make(struct unit *unit, const struct sync_set *set, int64_t first_connection);
/* Of the answer of such a unit: are there connections behind, and from which on? */
bool sync_set_made(const struct unit_answer *answer, int64_t *next_connection);
/* The next two parameters: function ids as bigint[], variants as text[]. */
void sync_set_bind_picks(struct unit *unit, const struct sync_set *set);

#endif
