/* base/metrics.h - the metrics of this program, in one table; doc/metrics.md tells what they mean.
 *
 * A module counts by metric_add(&metrics[METRIC_...], place, place, 1), the places being the enums below or
 * those that a row's comment names.  The table is a global as the log is: what is counted is of the process. */
#ifndef SLUICE_BASE_METRICS_H
#define SLUICE_BASE_METRICS_H

#include "base/job.h"
#include "base/metric.h"

enum metric_id {
	METRIC_JOBS_ENQUEUED, /* kind */
	METRIC_JOBS_FINISHED, /* kind, enum metric_outcome */
	METRIC_JOBS_RETRIED,  /* kind */
	METRIC_JOBS_DEAD,
	METRIC_JOB_WAIT,     /* kind */
	METRIC_JOB_RUN,      /* kind */
	METRIC_QUEUE_DEPTH,  /* environment (open), enum metric_lane */
	METRIC_QUEUE_AGE,    /* environment (open), enum metric_lane */
	METRIC_QUEUE_PAUSED, /* environment (open), enum metric_pause */
	METRIC_QUEUE_CALLS,
	METRIC_SCHEDULES, /* enum metric_schedules */
	METRIC_SCHEDULE_LATE,
	METRIC_SYNCS_TROUBLE, /* enum metric_trouble */
	METRIC_RETENTION,
	METRIC_LAST_CLAIM,
	METRIC_LEASE_LOST,
	METRIC_SESSION_LOST,
	METRIC_SESSIONS_ENDED,
	METRIC_LATE_RESULTS,
	METRIC_REPAIRS,     /* enum metric_repair */
	METRIC_QUARANTINED, /* enum metric_quarantine */
	METRIC_SECURITY,    /* enum metric_security */
	METRIC_SYNCS_INTERRUPTED,
	METRIC_RECORDS, /* enum metric_record */
	METRIC_SYNCS_STALLED,
	METRIC_SYNCS_PAGE_REPEATED,
	METRIC_SCHEDULE_RUNS, /* enum metric_schedule */
	METRIC_BACKLOG,       /* enum metric_backlog */
	METRIC_BACKLOG_MAX,
	METRIC_QUEUED_MAX,
	METRIC_REFUSED,      /* enum metric_refusal */
	METRIC_COMMIT_BATCH, /* enum metric_batch */
	METRIC_SETTLE_PENDING,
	METRIC_POSTGRES_LATENCY,
	METRIC_POSTGRES_UP,
	METRIC_REDIS_LATENCY,
	METRIC_REDIS_UP,
	METRIC_HTTP_REQUESTS, /* status class: 1xx to 5xx as 0 to 4 */
	METRIC_HTTP_LATENCY,
	METRIC_HTTP_CONNECTIONS,
	METRIC_PROVIDER_REQUESTS, /* enum metric_provider */
	METRIC_PROVIDER_LATENCY,
	METRIC_PROXY_REQUESTS, /* status class, as METRIC_HTTP_REQUESTS */
	METRIC_PROXY_BYTES,    /* enum metric_proxy */
	METRIC_REFRESHES, /* enum metric_refresh */
	METRIC_REFRESH_SECONDS,
	METRIC_GATE_CLOSED,
	METRIC_GATE_WAITING,
	METRIC_GATE_WAITS,
	METRIC_GATE_WAIT,
	METRIC_GATE_LEARNED, /* enum metric_learned */
	METRIC_GATE_STORE_AWAY,
	METRIC_WEBHOOK_TRIES, /* enum metric_webhook */
	METRIC_WEBHOOKS_EXHAUSTED,
	METRIC_WEBHOOK_LATE_RECORDS,
	METRIC_WEBHOOK_SECONDS,
	METRIC_WEBHOOK_DELAY,
	METRIC_WEBHOOKS_IN_FLIGHT,
	METRIC_WEBHOOKS_PENDING,
	METRIC_WEBHOOK_OLDEST,
	METRIC_WEBHOOK_ENDPOINTS, /* enum metric_endpoint */
	METRIC_SANDBOX_KILLS,     /* enum metric_kill */
	METRIC_RUNNER_UP,
	METRIC_RUNNER_PROCESSES,
	METRIC_RUNNER_PLACES,
	METRIC_RUNNING,
	METRIC_RUNS_WAITING,
	METRIC_RUNNER_STARTS, /* enum metric_start */
	METRIC_SCHEDULER_LEADS,
	METRIC_BUILD_INFO,
	METRIC_CPU,
	METRIC_RSS,
	METRIC_FDS,
	METRIC_FDS_MAX,
	METRIC_START_TIME,
	METRIC_COUNT
};

enum metric_outcome { /* of a job: states of base/job.h, and dead: set aside */
		      METRIC_SUCCEEDED,
		      METRIC_FAILED,
		      METRIC_CANCELLED,
		      METRIC_EXPIRED,
		      METRIC_WORKER_LOST,
		      METRIC_DEAD,
};
enum metric_lane { METRIC_LANE_NEW, METRIC_LANE_FRONT, METRIC_LANE_SLOT, METRIC_LANE_DELAYED };
enum metric_pause { METRIC_PAUSED, METRIC_DRAINING };
enum metric_record {
	METRIC_RECORD_ADDED,
	METRIC_RECORD_UPDATED,
	METRIC_RECORD_DELETED,
	METRIC_RECORD_UNCHANGED
};
enum metric_schedule { METRIC_SCHEDULE_STARTED, METRIC_SCHEDULE_OPEN, METRIC_SCHEDULE_POSTPONED };
enum metric_schedules { METRIC_SCHEDULES_STARTED, METRIC_SCHEDULES_PAUSED };
enum metric_trouble {
	METRIC_TROUBLE_INTERRUPTED,
	METRIC_TROUBLE_STALLED,
	METRIC_TROUBLE_REPEATS_PAGE
};
enum metric_repair {                       /* what the scheduler had to put right */
		     METRIC_REPUSHED,      /* an open job that was in no list */
		     METRIC_REBUILT,       /* a shard's queue built anew */
		     METRIC_LEASE_EXPIRED, /* a worker's lease that ran out */
		     METRIC_JOB_RESOLVED,  /* a job of a session that was ended */
};
enum metric_quarantine { METRIC_QUARANTINE_FORGED, METRIC_QUARANTINE_BROKEN };
enum metric_security { METRIC_FORBIDDEN_CALL, METRIC_PROTOCOL, METRIC_QUEUE_ENTRY, METRIC_CALL };
enum metric_backlog { METRIC_BACKLOG_HELD, METRIC_BACKLOG_LEFT };
enum metric_refusal {
	METRIC_REFUSED_QUEUE_FULL,
	METRIC_REFUSED_NODE_FULL,
	METRIC_REFUSED_DRAINING,
	METRIC_REFUSED_RATE,
	METRIC_REFUSED_AUTH,
	METRIC_REFUSED_UNAVAILABLE,
};
enum metric_batch { METRIC_BATCH_ACCEPT, METRIC_BATCH_SETTLE };
enum metric_provider {
	METRIC_PROVIDER_OK,           /* 1xx to 3xx */
	METRIC_PROVIDER_LIMITED,      /* 429 */
	METRIC_PROVIDER_CLIENT_ERROR, /* other 4xx */
	METRIC_PROVIDER_SERVER_ERROR, /* 5xx */
	METRIC_PROVIDER_FAILED,       /* no answer */
};
enum metric_proxy { METRIC_PROXY_SENT, METRIC_PROXY_RECEIVED }; /* to and from providers */
enum metric_refresh { /* of credentials */
		      METRIC_REFRESH_OK,
		      METRIC_REFRESH_REFUSED,     /* by the token endpoint */
		      METRIC_REFRESH_UNAVAILABLE, /* it, or the ledger, does not answer */
		      METRIC_REFRESH_SHARED,      /* had by who waited for another's */
};
enum metric_learned {                           /* from what a window was learnt */
		      METRIC_LEARNED_TOLD,      /* a refusal that says for how long */
		      METRIC_LEARNED_NONE,      /* one that does not */
		      METRIC_LEARNED_REMAINING, /* an answer with nothing left */
};
enum metric_webhook { METRIC_WEBHOOK_DELIVERED, METRIC_WEBHOOK_FAILED };
enum metric_endpoint { METRIC_ENDPOINT_PAUSED, METRIC_ENDPOINT_OPEN, METRIC_ENDPOINT_FAILING };
enum metric_kill {
	METRIC_KILL_TIMEOUT,
	METRIC_KILL_CPU,
	METRIC_KILL_MEMORY,
	METRIC_KILL_SYSCALL,
	METRIC_KILL_PROTOCOL,
	METRIC_KILL_SIGNAL,
	METRIC_KILL_FATAL,
	METRIC_KILL_ABORTED
};
enum metric_start { METRIC_START_COLD, METRIC_START_IMAGE, METRIC_START_WARM };

extern struct metric metrics[METRIC_COUNT];

void metrics_build(const char *version); /* sets sluice_build_info; version is kept */

/* One more, by place. */
static inline void
metrics_count(enum metric_id id, int place)
{
	metric_add(&metrics[id], place, 0, 1);
}

void metrics_count_kind(enum metric_id id, enum job_kind kind);
void metrics_finished(enum job_kind kind, enum job_state state, bool dead);
/* Seconds between two readings of one clock in milliseconds. */
void metrics_observe_ms(enum metric_id id, int place, int64_t ms);

/* Appends all of them. */
void metrics_write(struct buf *out);

#endif
