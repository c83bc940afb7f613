/* sql/health.h - what the doctor asks the ledger (daemon/doctor.h): a few reads, each bounded. */
#ifndef SLUICE_SQL_HEALTH_H
#define SLUICE_SQL_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "sql/pg.h"

struct health_line {    /* a concurrency key, or an environment; texts are borrowed */
	int64_t key_id; /* 0: the environment */
	const char *environment, *name; /* name "": the environment */
	int slots; /* how many of its jobs may run at once; 0: an environment */
	bool paused, draining;
};

struct health {
	int64_t clock_ms;          /* wall time of the server */
	int version;               /* of the schema */
	bool lock_held;            /* some scheduler's */
	int64_t sessions;          /* live */
	int64_t strangers;         /* of them: of processes that have no row (sql/node.h) */
	int64_t overdue_ms;        /* since when the oldest retry is due; 0: none is */
	int64_t dead, quarantined; /* in the last hour; counted to HEALTH_COUNT_MAX */
	int64_t late_ms;           /* since when the first run of a sync is due; 0: none is */
	int64_t stalled;           /* syncs that do not get on; counted likewise */
	/* Since when the first webhook is due at an endpoint that takes them; 0: none is.  Of
	 * HEALTH_COUNT_MAX endpoints. */
	int64_t webhook_late_ms;
	int64_t endpoints_paused;                /* counted likewise */
	const char *paused_endpoint, *paused_in; /* one of them and its environment, or "" */
	int paused_cause;                        /* enum endpoint_pause (sql/delivery.h) */
	const struct health_line
	    *stopped; /* paused or draining; HEALTH_STOPPED_MAX of them at most */
	int stopped_count;
	int64_t stopped_total;
};
#define HEALTH_COUNT_MAX 1000
#define HEALTH_STOPPED_MAX 20
typedef void health_cb(void *arg, enum sl_code code, const struct health *health,
		       const struct sl_error *error);
/* cb once, from the loop; health is borrowed, NULL on errors.  The server gives up after HEALTH_MS. */
#define HEALTH_MS 1500
void health_ask(struct pg *pg, health_cb *cb, void *arg);

#define HEALTH_LINES_MAX 100
typedef void health_lines_cb(void *arg, enum sl_code code, const struct health_line *lines,
			     int count, const struct sl_error *error);
/* Those that exist of these keys, in no order.  count: 1..HEALTH_LINES_MAX (asserted). */
void health_lines(struct pg *pg, const int64_t *key_ids, int count, health_lines_cb *cb, void *arg);

#endif
