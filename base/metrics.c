#include "base/metrics.h"

#include <assert.h>

static const char *const kinds[] = {"action", "sync", "webhook", "event", NULL};
static const char *const outcomes[] = {"succeeded",   "failed", "cancelled", "expired",
				       "worker_lost", "dead",   NULL};
static const char *const lanes[] = {"new", "front", "slot", "delayed", NULL};
static const char *const pauses[] = {"paused", "draining", NULL};
static const char *const schedule_states[] = {"started", "paused", NULL};
static const char *const troubles[] = {"interrupted", "stalled", "repeats_page", NULL};
static const char *const repairs[] = {"job_repushed", "queue_rebuilt", "lease_expired",
				      "job_resolved", NULL};
static const char *const quarantines[] = {"forged", "broken", NULL};
static const char *const securities[] = {"forbidden_call", "protocol", "queue_entry", "call", NULL};
static const char *const records[] = {"added", "updated", "deleted", "unchanged", NULL};
static const char *const schedules[] = {"started", "open", "postponed", NULL};
static const char *const backlogs[] = {"held", "left", NULL};
static const char *const refusals[] = {"queue_full", "node_full",   "draining", "rate_limit",
				       "auth",       "unavailable", NULL};
static const char *const batches[] = {"accept", "settle", NULL};
static const char *const classes[] = {"1xx", "2xx", "3xx", "4xx", "5xx", NULL};
static const char *const provider[] = {"ok",           "rate_limited", "client_error",
				       "server_error", "failed",       NULL};
static const char *const directions[] = {"sent", "received", NULL};
static const char *const refreshes[] = {"ok", "refused", "unavailable", "shared", NULL};
static const char *const learned[] = {"told", "none", "remaining", NULL};
static const char *const tries[] = {"delivered", "failed", NULL};
static const char *const endpoints[] = {"paused", "open", "failing", NULL};
static const char *const kills[] = {"timeout", "cpu",   "memory",  "syscall", "protocol",
				    "signal",  "fatal", "aborted", NULL};
static const char *const starts[] = {"cold", "image", "warm", NULL};
static const char *version[] = {"", NULL};

/* Seconds.  A store answers in a millisecond or it is in trouble; a job may wait for hours. */
static const double store_bounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
				      0.25,   0.5,   1,      2.5,   5,    10,    0};
static const double http_bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
				     0.5,   1,      2.5,   5,    10,    30,   60,  0};
static const double job_bounds[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,   1,     2.5, 5,
				    10,    30,   60,    300,  900, 3600, 21600, 86400, 0};
static const double batch_bounds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 0};

#define ROW(id, form, text, says, ...) \
	[id] = {.type = form, .name = text, .help = says, __VA_ARGS__}
#define COUNTER(id, text, says, ...) ROW(id, METRIC_COUNTER, "sluice_" text, says, __VA_ARGS__)
#define GAUGE(id, text, says, ...) ROW(id, METRIC_GAUGE, "sluice_" text, says, __VA_ARGS__)
#define HISTOGRAM(id, text, says, limits, ...) \
	ROW(id, METRIC_HISTOGRAM, "sluice_" text, says, .bounds = limits, __VA_ARGS__)
#define PROCESS(id, form, text, says) ROW(id, form, "process_" text, says, NONE)
#define BY(name, list) .label = {name}, .value = {list}
#define BY_KIND BY("kind", kinds)
#define NONE .label = {NULL}
#define PER_ENVIRONMENT .label = {"environment", "lane"}, .value = {NULL, lanes}

struct metric metrics[METRIC_COUNT] = {
    COUNTER(METRIC_JOBS_ENQUEUED, "jobs_enqueued_total",
	    "Jobs accepted by this node: committed to the ledger.", BY_KIND),
    COUNTER(METRIC_JOBS_FINISHED, "jobs_finished_total",
	    "Jobs that ended, counted by the node that committed the end; each once in the fleet.",
	    .label = {"kind", "outcome"}, .value = {kinds, outcomes}),
    COUNTER(METRIC_JOBS_RETRIED, "job_retries_total", "Tries that failed and are to be made again.",
	    BY_KIND),
    COUNTER(METRIC_JOBS_DEAD, "jobs_dead_total",
	    "Jobs set aside on the dead list, because what ran them died too often.", NONE),
    HISTOGRAM(METRIC_JOB_WAIT, "job_wait_seconds",
	      "From accepted (or due, when delayed) to the start of the first try.", job_bounds,
	      BY_KIND),
    HISTOGRAM(METRIC_JOB_RUN, "job_run_seconds", "How long a try of a job ran.", job_bounds,
	      BY_KIND),
    GAUGE(METRIC_QUEUE_DEPTH, "queue_depth",
	  "Jobs in the queue, those that run included; only from the scheduler that leads.",
	  PER_ENVIRONMENT),
    GAUGE(METRIC_QUEUE_AGE, "queue_oldest_age_seconds",
	  "Age of the oldest job in the queue that waits; only from the scheduler that leads.",
	  PER_ENVIRONMENT, .fold_max = true),
    GAUGE(
	METRIC_QUEUE_PAUSED, "queue_paused",
	"1: an operator has paused the environment, or lets it drain; only from the scheduler that "
	"leads.",
	.label = {"environment", "how"}, .value = {NULL, pauses}, .fold_max = true),
    GAUGE(METRIC_QUEUE_CALLS, "queue_calls",
	  "Sync calls in Redis that no worker has taken yet; only from the scheduler that leads.",
	  NONE),
    GAUGE(METRIC_SCHEDULES, "schedules", "Schedules of syncs; only from the scheduler that leads.",
	  BY("state", schedule_states)),
    GAUGE(
	METRIC_SCHEDULE_LATE, "schedule_late_seconds",
	"Since when the first run that is due could have been started; only from the scheduler that "
	"leads.",
	NONE),
    GAUGE(METRIC_SYNCS_TROUBLE, "syncs_trouble",
	  "Syncs whose runs do not come on; only from the scheduler that leads.",
	  BY("trouble", troubles)),
    GAUGE(
	METRIC_RETENTION, "records_retention_timestamp_seconds",
	"When all payloads of records that are old were empty, in seconds since 1970; only from the "
	"scheduler that leads.",
	NONE),
    GAUGE(METRIC_LAST_CLAIM, "last_claim_timestamp_seconds",
	  "When this node last claimed work in the ledger, in seconds since 1970.", NONE),
    COUNTER(METRIC_LEASE_LOST, "lease_lost_total",
	    "Leases in Redis that this worker lost or gave up in doubt, and joined anew.", NONE),
    COUNTER(METRIC_SESSION_LOST, "session_lost_total",
	    "Sessions in the ledger that this worker found ended by others.", NONE),
    COUNTER(METRIC_SESSIONS_ENDED, "sessions_ended_total",
	    "Sessions of lost workers that this scheduler ended.", NONE),
    COUNTER(METRIC_LATE_RESULTS, "late_results_total",
	    "Results that the ledger refused: the job had ended, or the session was over.", NONE),
    COUNTER(METRIC_REPAIRS, "reclaim_repairs_total",
	    "What the scheduler that leads had to put right.", BY("what", repairs)),
    COUNTER(METRIC_QUARANTINED, "quarantined_total",
	    "Queue entries that were no jobs and were put aside.", BY("reason", quarantines)),
    COUNTER(METRIC_SECURITY, "security_events_total", "Events logged as security_event.",
	    BY("kind", securities)),
    COUNTER(METRIC_SYNCS_INTERRUPTED, "syncs_interrupted_total",
	    "Runs of syncs that were cut and go on from their checkpoint in another run.", NONE),
    COUNTER(METRIC_RECORDS, "records_total",
	    "Records that functions saved, updated and deleted here, by what that did.",
	    BY("action", records)),
    COUNTER(METRIC_SYNCS_STALLED, "syncs_stalled_total",
	    "Runs of syncs that were cut like those before them and whose checkpoint did not move.",
	    NONE),
    COUNTER(METRIC_SYNCS_PAGE_REPEATED, "syncs_page_repeated_total",
	    "Runs of syncs that failed because a provider gave the same page over and over.", NONE),
    COUNTER(
	METRIC_SCHEDULE_RUNS, "schedule_runs_total",
	"Slots of schedules that came: the sync's run was started, the one before was still open, "
	"or the slot was put off.",
	BY("outcome", schedules)),
    GAUGE(METRIC_BACKLOG, "backlog_jobs",
	  "Jobs that this node accepted and that are not known to be in Redis; left: their push "
	  "failed, the scheduler brings them.",
	  BY("state", backlogs)),
    GAUGE(METRIC_BACKLOG_MAX, "backlog_max_jobs", "The setting backlog_max.", NONE),
    GAUGE(METRIC_QUEUED_MAX, "queued_max_jobs", "The setting queued_max.", NONE),
    COUNTER(METRIC_REFUSED, "refused_total", "Requests and jobs refused before they were accepted.",
	    BY("reason", refusals)),
    HISTOGRAM(METRIC_COMMIT_BATCH, "commit_batch_size", "Rows committed in one transaction.",
	      batch_bounds, BY("batch", batches)),
    GAUGE(METRIC_SETTLE_PENDING, "settle_pending",
	  "Claims, begins and results of this worker that wait for their commit.", NONE),
    HISTOGRAM(METRIC_POSTGRES_LATENCY, "postgres_latency_seconds",
	      "From sending a transaction to Postgres to its answer.", store_bounds, NONE),
    GAUGE(METRIC_POSTGRES_UP, "postgres_up", "1: the connections to Postgres are up.", NONE),
    HISTOGRAM(METRIC_REDIS_LATENCY, "redis_latency_seconds",
	      "From sending a command to Redis to its answer; commands that wait are left out.",
	      store_bounds, NONE),
    GAUGE(METRIC_REDIS_UP, "redis_up", "1: all shards of the queue can be reached.", NONE),
    COUNTER(METRIC_HTTP_REQUESTS, "http_requests_total", "Requests answered, by class of status.",
	    BY("class", classes)),
    HISTOGRAM(METRIC_HTTP_LATENCY, "http_request_duration_seconds",
	      "From a request's head to its answer; long polls and sync calls included.",
	      http_bounds, NONE),
    GAUGE(METRIC_HTTP_CONNECTIONS, "http_connections", "Client connections that are open.", NONE),
    COUNTER(METRIC_PROVIDER_REQUESTS, "provider_requests_total",
	    "Requests sent to providers, each try of them, by outcome.", BY("outcome", provider)),
    HISTOGRAM(METRIC_PROVIDER_LATENCY, "provider_request_duration_seconds",
	      "How long a request to a provider took.", http_bounds, NONE),
    COUNTER(METRIC_PROXY_REQUESTS, "proxy_requests_total",
	    "Requests to /proxy that were answered, by class of status.", BY("class", classes)),
    COUNTER(METRIC_PROXY_BYTES, "proxy_bytes_total",
	    "Bytes of bodies that were passed on to providers and from them.",
	    BY("direction", directions)),
    COUNTER(METRIC_REFRESHES, "refreshes_total",
	    "Refreshes of a connection's credentials, by how they ended.", BY("result", refreshes)),
    HISTOGRAM(METRIC_REFRESH_SECONDS, "refresh_duration_seconds",
	      "How long a refresh that went well took, with waits for others.", http_bounds, NONE),
    GAUGE(METRIC_GATE_CLOSED, "gate_closed",
	  "Windows of providers that this node knows to be closed.", NONE),
    GAUGE(METRIC_GATE_WAITING, "gate_waiting",
	  "Requests that wait at a provider's window, or are about to pass it.", NONE),
    COUNTER(METRIC_GATE_WAITS, "gate_waits_total", "Requests that had to wait at a window.", NONE),
    HISTOGRAM(METRIC_GATE_WAIT, "gate_wait_seconds", "How long those waited that were let out.",
	      job_bounds, NONE),
    COUNTER(METRIC_GATE_LEARNED, "gate_learned_total",
	    "Answers that closed a window: a refusal that says for how long, one that does not, or "
	    "nothing remaining.",
	    BY("from", learned)),
    COUNTER(METRIC_GATE_STORE_AWAY, "gate_store_away_total",
	    "Requests that this node let out by itself, because Redis was away.", NONE),
    COUNTER(METRIC_WEBHOOK_TRIES, "webhook_tries_total",
	    "Tries to deliver an event to an endpoint that were answered, or got no answer.",
	    BY("outcome", tries)),
    COUNTER(METRIC_WEBHOOKS_EXHAUSTED, "webhook_exhausted_total",
	    "Deliveries given up after the last try of delivery_schedule.", NONE),
    COUNTER(METRIC_WEBHOOK_LATE_RECORDS, "webhook_late_records_total",
	    "Tries that were told to the ledger after their lease: the event was, or is, sent once "
	    "more.",
	    NONE),
    HISTOGRAM(METRIC_WEBHOOK_SECONDS, "webhook_seconds", "How long a try took.", http_bounds, NONE),
    HISTOGRAM(METRIC_WEBHOOK_DELAY, "webhook_delay_seconds",
	      "From when a try was due to when it was sent.", job_bounds, NONE),
    GAUGE(METRIC_WEBHOOKS_IN_FLIGHT, "webhooks_in_flight", "Tries of this node under way.", NONE),
    GAUGE(METRIC_WEBHOOKS_PENDING, "webhooks_pending",
	  "Deliveries that are neither delivered nor exhausted, counted to 100,001; only from the "
	  "scheduler that leads.",
	  NONE),
    GAUGE(METRIC_WEBHOOK_OLDEST, "webhook_oldest_seconds",
	  "How long the oldest delivery has been due whose endpoint is sent to; only from the "
	  "scheduler that leads.",
	  NONE),
    GAUGE(METRIC_WEBHOOK_ENDPOINTS, "webhook_endpoints",
	  "Endpoints in trouble, each in the first state that fits; only from the scheduler that "
	  "leads.",
	  BY("state", endpoints)),
    COUNTER(METRIC_SANDBOX_KILLS, "sandbox_kills_total",
	    "Runs that were ended by force, or whose process died.", BY("reason", kills)),
    GAUGE(METRIC_RUNNER_UP, "runner_up", "1: functions can be started on this node.", NONE),
    GAUGE(METRIC_RUNNER_PROCESSES, "runner_processes", "Function processes, idle ones included.",
	  NONE),
    GAUGE(METRIC_RUNNER_PLACES, "runner_places",
	  "Functions that may run at once on this node: runners and call_runners.", NONE),
    GAUGE(METRIC_RUNNING, "running",
	  "Functions that run now on this node, but for those that lend their places.", NONE),
    GAUGE(METRIC_RUNS_WAITING, "runs_waiting",
	  "Functions that wait for a provider's limit and lend their places.", NONE),
    COUNTER(METRIC_RUNNER_STARTS, "runner_starts_total",
	    "Runs by what they found: an idle process (warm), the image of a loaded heap (image), "
	    "nothing (cold).",
	    BY("start", starts)),
    GAUGE(METRIC_SCHEDULER_LEADS, "scheduler_leads", "1: this node's scheduler leads.", NONE),
    GAUGE(METRIC_BUILD_INFO, "build_info", "1; the label tells the release.",
	  BY("version", version)),
    PROCESS(METRIC_CPU, METRIC_COUNTER, "cpu_seconds_total",
	    "CPU time of this process, user and system."),
    PROCESS(METRIC_RSS, METRIC_GAUGE, "resident_memory_bytes", "Resident memory of this process."),
    PROCESS(METRIC_FDS, METRIC_GAUGE, "open_fds", "Descriptors that are open."),
    PROCESS(METRIC_FDS_MAX, METRIC_GAUGE, "max_fds", "Descriptors that may be open."),
    PROCESS(METRIC_START_TIME, METRIC_GAUGE, "start_time_seconds",
	    "When this process was started, in seconds since 1970."),
};

void
metrics_build(const char *text)
{
	version[0] = text;
	metric_set(&metrics[METRIC_BUILD_INFO], 0, 0, 1);
}

/* What a later release put into the ledger is not counted, and nothing to die of. */
static bool
is_kind(enum job_kind kind)
{
	return kind >= JOB_ACTION && kind <= JOB_EVENT;
}

void
metrics_count_kind(enum metric_id id, enum job_kind kind)
{
	if (is_kind(kind))
		metric_add(&metrics[id], (int)kind - JOB_ACTION, 0, 1);
}

static enum metric_outcome
outcome_of(enum job_state state)
{
	switch (state) {
	case JOB_SUCCEEDED:
		return METRIC_SUCCEEDED;
	case JOB_FAILED:
		return METRIC_FAILED;
	case JOB_CANCELLED:
		return METRIC_CANCELLED;
	case JOB_EXPIRED:
		return METRIC_EXPIRED;
	case JOB_WORKER_LOST:
		return METRIC_WORKER_LOST;
	}
	assert(!"no such state");
	return METRIC_FAILED;
}

void
metrics_finished(enum job_kind kind, enum job_state state, bool dead)
{
	if (!is_kind(kind))
		return;
	metric_add(&metrics[METRIC_JOBS_FINISHED], (int)kind - JOB_ACTION,
		   dead ? METRIC_DEAD : outcome_of(state), 1);
	if (dead)
		metrics_count(METRIC_JOBS_DEAD, 0);
}

void
metrics_observe_ms(enum metric_id id, int place, int64_t ms)
{
	metric_observe(&metrics[id], place, 0, (double)ms / 1000);
}

void
metrics_write(struct buf *out)
{
	for (int i = 0; i < METRIC_COUNT; i++)
		metric_write(&metrics[i], out);
}
