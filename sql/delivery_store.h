/* sql/delivery_store.h - what delivery.c and delivery_record.c share.  Private to them.
 *
 * Locks are taken in one order everywhere: delivery_due, delivery, endpoint by id.  A claim waits
 * for none. */
#ifndef SLUICE_SQL_DELIVERY_STORE_H
#define SLUICE_SQL_DELIVERY_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sql/delivery.h"
#include "sql/unit.h"

struct delivery_item { /* a call of delivery_record() */
	TAILQ_ENTRY(delivery_item) link;
	struct delivery_tried tried; /* its texts and bytes are owned */
	char *node;                  /* owned */
	int64_t pause_after_ms;
	int64_t until_ms; /* monotonic: no longer tried after that */
	size_t bytes;
	enum sl_code code;
	bool paused;
	delivery_record_cb *cb;
	void *arg;
};
TAILQ_HEAD(delivery_items, delivery_item);

/* Invariant: flight is what the unit under way is about, or the one that will be sent again when
 * the timer fires; queue waits for the next one. */
struct delivery_store {
	struct loop *loop;
	struct pg *pg;
	bool closed;
	struct delivery_items queue, flight;
	bool outstanding; /* a unit of records is under way */
	bool doubt;       /* flight may have been committed */
	bool flushing;    /* at the end of this turn */
	struct loop_timer *again;
};

/* Neither claims nor records wait for the disk; see delivery.h. */
void delivery_add_relaxed(struct unit *unit);

/* ---- of delivery_record.c ------------------------------------------------------------------- */

void delivery_record_init(struct delivery_store *store);
/* Answers what is left; the connection is closed already. */
void delivery_record_fini(struct delivery_store *store);

#endif
