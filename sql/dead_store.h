/* sql/dead_store.h - what the files share that use its connection.  Private to them. */
#ifndef SLUICE_SQL_DEAD_STORE_H
#define SLUICE_SQL_DEAD_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "sql/dead.h"
#include "sql/unit.h"

struct dead_store {
	struct loop *loop;
	struct pg *pg;
	bool closed;
	int64_t hour_ms; /* monotonic: when the hour of quarantined began; 0: none was added yet */
	int quarantined; /* in that hour */
};

struct dead_call {
	struct dead_store *store;
	union { /* the one that the reader of the answer knows */
		dead_rows_cb *rows;
		dead_show_cb *show;
		dead_count_cb *count;
		quarantine_rows_cb *entries;
	} cb; /* count may be NULL */
	void *arg;
	struct sl_error refused; /* of a call that was not sent */
};

/* Milliseconds since 1970 of a timestamptz column, and back. */
#define DEAD_MS(column) "(extract(epoch FROM " column ") * 1000)::bigint"
#define DEAD_AT(param) "(timestamptz 'epoch' + " param "::bigint * interval '1 millisecond')"
/* The same of when an id of version 7 was made. */
#define DEAD_V7_MS(column) \
	"('x' || translate(left(" column "::text, 13), '-', ''))::bit(48)::bigint"

/* A unit whose first command keeps its plans to the order of an index: then a LIMIT bounds what they read,
 * whatever the statistics say of how much there is. */
struct unit *dead_unit_in_order(void);
struct dead_call *dead_call_new(struct dead_store *store, void *arg);
void dead_send(struct dead_call *call, struct unit *unit, unit_cb *answered);
/* Answers a call of dead_count_cb without asking the database; from the loop, like others. */
void dead_refuse_count(struct dead_call *call, enum sl_code code, const char *why);
void dead_on_count(void *arg, const struct unit_answer *answer); /* number of rows, or the number */

#endif
