/* sql/ledger_state.h - what the other file of the ledger needs of it.  Private to sql/. */
#ifndef SLUICE_SQL_LEDGER_STATE_H
#define SLUICE_SQL_LEDGER_STATE_H

#include "sql/ledger.h"

struct reads; /* opaque */

/* The connection that accepts; borrowed. */
struct pg *ledger_writer(const struct ledger *ledger);
/* The one that polls read through; borrowed. */
struct pg *ledger_reader(const struct ledger *ledger);
struct reads *ledger_reads(const struct ledger *ledger);
/* ledger_free() is at work: nothing may be sent any more. */
bool ledger_is_closed(const struct ledger *ledger);
/* SL_INVALID when a row would be refused by the schema; id gets the lower-case form. */
SL_MUST_USE enum sl_code ledger_check(const struct ledger_job *job, char *id,
				      struct sl_error *error);

/* ---- ledger_read.c: the connection that polls read through, and who waits for it ------------- */
struct reads *reads_new(struct loop *loop, const struct pg_settings *settings);
void reads_free(struct reads *reads); /* answers who waits */
struct pg *reads_pg(const struct reads *reads);

#endif
