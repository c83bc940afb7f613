/* sql/resolve.h - what becomes of what a session ran when it ended.  Private to sql/.
 *
 * A session that was lost: each try that it had begun, and each run of a suspect, is a death; the job that
 * has too many is set aside.  One that ended in order: no deaths.  Then, for the tries it had begun: no
 * tries left: a result, worker_lost.  Else a retry that is due now.  The commands see the
 * sessions that were ended earlier in the same unit; they must be commands of their own, because
 * ending a session waits for its last batch, and only a later statement sees what that batch wrote.
 */
#ifndef SLUICE_SQL_RESOLVE_H
#define SLUICE_SQL_RESOLVE_H

#include <stdint.h>

#include "sql/unit.h"

/* Adds commands behind the one that set session.live to false.  deaths_max: 0 for a session that ended in
 * order.  Returns the index of those that resolve_count() counts. */
int resolve_add(struct unit *unit, int deaths_max);
/* How many jobs were resolved. */
int64_t resolve_count(const struct unit_answer *answer, int first);

#endif
