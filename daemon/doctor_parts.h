/* daemon/doctor_parts.h - what the doctor's checks share.
 *
 *   doctor        what the facts say together, Postgres and Redis, the node that answers, the verdict
 *   doctor_fleet  scheduler, workers, builds, clocks
 *   doctor_queue  what waits and why; what was set aside; syncs that are late or do not get on
 *   doctor_webhook  what apps are told of: endpoints that are paused, webhooks that are late */
#ifndef SLUICE_DAEMON_DOCTOR_PARTS_H
#define SLUICE_DAEMON_DOCTOR_PARTS_H

#include "base/error.h"
#include "daemon/doctor.h"

/* What several checks need to know, worked out once. */
struct judge {
	const struct doctor_facts *facts;
	struct doctor_report *report;
	bool redis; /* all shards are up and built */
	/* Processes with the role worker; lost: not long ago. */
	int workers, live, quiet, lost, starting, draining;
	int places, busy;                 /* of the live ones */
	int mute;                         /* live ones that cannot start a function */
	int schedulers;                   /* processes with that role, not lost */
	const struct doctor_node *leader; /* says that it leads; it may be lost */
	const struct doctor_node *one_quiet, *one_lost, *one_mute;
};

struct doctor_check *doctor_add(struct judge *judge, const char *name, enum doctor_state state,
				const char *format, ...) SL_PRINTF(4, 5);
void doctor_says(char out[DOCTOR_TEXT], const char *format, ...) SL_PRINTF(2, 3);
/* "850 ms", "12 s", "5 min", "3 h" */
const char *doctor_span(int64_t ms, char out[32]);

/* doctor_fleet.c; all of them need the ledger's facts */
void doctor_check_scheduler(struct judge *judge);
void doctor_check_workers(struct judge *judge);
void doctor_check_versions(struct judge *judge);
void doctor_check_clocks(struct judge *judge);

/* doctor_queue.c; likewise */
void doctor_check_queue_age(struct judge *judge);
void doctor_check_capacity(struct judge *judge);
void doctor_check_paused(struct judge *judge);
void doctor_check_set_aside(struct judge *judge);
void doctor_check_schedules(struct judge *judge);
void doctor_check_syncs(struct judge *judge);

/* doctor_webhook.c; likewise */
void doctor_check_webhooks(struct judge *judge);
void doctor_check_endpoints(struct judge *judge);

#endif
