/* daemon/scheduler/survey.h - what waits in the whole fleet, for the metrics of the scheduler that leads.
 *
 * Every SURVEY_MS the schedules of all syncs are counted, and the lists of all shards and the retry rows, by
 * environment and lane: the METRIC_OPEN_MAX deepest environments, the rest as "other".  Work is bounded: one
 * call for each shard, which looks at OVERVIEW_LINES_MAX lines (queue/overview.h), and two queries.  Of an
 * environment with more lines than it was given the lanes are counted over some of them, the rest of its depth
 * is counted as lane "new". */
#ifndef SLUICE_DAEMON_SCHEDULER_SURVEY_H
#define SLUICE_DAEMON_SCHEDULER_SURVEY_H

#include "daemon/daemon.h"

struct reclaim;
struct survey; /* opaque */

#define SURVEY_MS 10000
#define SURVEY_ENVIRONMENTS 10000 /* told apart at most */

struct survey *survey_new(struct daemon *daemon, struct reclaim *reclaim);
/* Before the queues and reclaim are freed; what they answer later is ignored. */
void survey_free(struct survey *survey); /* NULL is fine */
/* Often, while this scheduler leads: starts one when it is due. */
void survey_tick(struct survey *survey);
/* It does not lead (any more): its numbers are nobody's. */
void survey_forget(struct survey *survey);

#endif
