/* sql/migrate.h - apply the numbered migrations, in order, each in a transaction, under one lock.
 *
 * Blocking: used before the loop runs (standalone start, --migrate). */
#ifndef SLUICE_SQL_MIGRATE_H
#define SLUICE_SQL_MIGRATE_H

#include "base/error.h"

/* The newest migration this build knows. */
int migrate_version(void);
/* Applies what is missing; *applied gets how many.  SL_CONFLICT: the schema is newer than this
 * build; SL_UNAVAILABLE: no connection; SL_INTERNAL: a migration failed (text names it). */
SL_MUST_USE enum sl_code migrate_apply(const char *conninfo, int *applied, struct sl_error *error);
/* Checks only: SL_OK when current; SL_CONFLICT newer; SL_INVALID older ("run sluiced --migrate").
 */
SL_MUST_USE enum sl_code migrate_check(const char *conninfo, struct sl_error *error);

#endif
