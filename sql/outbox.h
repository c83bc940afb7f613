/* sql/outbox.h - events that no job writes: what happened to a connection.
 *
 * Those of a job are committed with its result (sql/settle.h).  Either way a trigger makes their deliveries in
 * the same transaction (0018_webhook). */
#ifndef SLUICE_SQL_OUTBOX_H
#define SLUICE_SQL_OUTBOX_H

#include "sql/account.h"
#include "sql/settle.h"

/* SL_OK: committed; id is the connection's.  SL_INVALID: the body is no JSON.  SL_UNAVAILABLE: not written, or
 * that is not known: the event is asked for again, as another one. */
void outbox_add(struct account *account, const struct settle_event *event, account_done_cb *cb,
		void *arg);

#endif
