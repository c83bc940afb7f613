/* sql/resolve.h - what becomes of the tries that a session had begun when it ended.  Private to
 * sql/.
 *
 * No tries left: a result, worker_lost.  Else a retry that is due now.  The commands see the
 * sessions that were ended earlier in the same unit; they must be commands of their own, because
 * ending a session waits for its last batch, and only a later statement sees what that batch wrote.
 */
#ifndef SLUICE_SQL_RESOLVE_H
#define SLUICE_SQL_RESOLVE_H

#include <stdint.h>

#include "sql/unit.h"

/* Adds two commands behind the one that set session.live to false; returns the first one's index.
 */
int resolve_add(struct unit *unit);
/* How many tries were resolved. */
int64_t resolve_count(const struct unit_answer *answer, int first);

#endif
