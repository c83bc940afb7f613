/* daemon/doctor.h - what is wrong, why, and what to do: facts in, checks and a verdict out.
 *
 * No I/O: daemon/api/admin_doctor.c gathers the facts.  A cause is found by putting facts together (jobs are
 * old and all workers are quiet), so each fact that could not be had says so instead of a value that looks
 * good.  Texts are words of the operator; no secret is in them. */
#ifndef SLUICE_DAEMON_DOCTOR_H
#define SLUICE_DAEMON_DOCTOR_H

#include <stdbool.h>
#include <stdint.h>

#define DOCTOR_NODES_MAX 200
#define DOCTOR_QUEUES_MAX 20
#define DOCTOR_SHARDS_MAX 64
#define DOCTOR_CHECKS_MAX 24
#define DOCTOR_TEXT 320

#define DOCTOR_SLOW_MS 250        /* an answer of Postgres or Redis that is slow */
#define DOCTOR_OLD_MS 60000       /* a job that waits for so long is old, */
#define DOCTOR_VERY_OLD_MS 600000 /* and for so long is a failure */
#define DOCTOR_SKEW_MS 2000       /* clocks that differ by more */
#define DOCTOR_RECENT_MS 300000   /* what was lost before is no news */
#define DOCTOR_BUILD_MS 15000     /* queues of a Redis that is new are there by then */
#define DOCTOR_LATE_MS 60000      /* a run of a sync that is due for so long was not started */
#define DOCTOR_STALLED_MANY 10   /* so many syncs that do not get on are not one function's fault */
#define DOCTOR_WEBHOOK_MS 300000 /* a webhook that is due for so long is not sent in time */
#define DOCTOR_OVERDUE_MS 15000  /* a retry that is due for so long was not taken by a scheduler */

enum doctor_role { DOCTOR_API = 1, DOCTOR_WORKER = 2, DOCTOR_SCHEDULER = 4 };
enum doctor_node_state {
	DOCTOR_NODE_LIVE,
	DOCTOR_NODE_QUIET,
	DOCTOR_NODE_STARTING,
	DOCTOR_NODE_DRAINING,
	DOCTOR_NODE_LOST,
};

struct doctor_node { /* a process of the fleet; texts are borrowed */
	const char *name, *version;
	unsigned roles;
	int schema_version;
	enum doctor_node_state state;
	bool leads;
	int64_t seen_ms;
	int runners, running;
	bool runner_up; /* of a worker: it can start functions */
};

struct doctor_queue { /* a line of jobs, or a whole environment; texts are borrowed */
	const char *environment, *line; /* line NULL: the environment */
	bool paused, draining;
	int limit; /* how many may run at once; 0: not known */
	int running;
	int64_t depth, oldest_ms; /* oldest_ms -1: none waits */
};

struct doctor_shard {       /* of the queue: its Redis */
	bool up, built;     /* built: its epoch is there */
	int64_t unbuilt_ms; /* since when it is not, as long as it was up */
	bool answered;      /* the rest is known */
	int64_t latency_ms, skew_ms;
	bool evicts;                /* maxmemory-policy is not noeviction */
	int64_t memory, memory_max; /* bytes; memory_max 0: no bound */
	const char *error;          /* why not, borrowed; "": nothing is known */
};

struct doctor_facts {
	const char *node, *version; /* who answers */
	unsigned roles;
	int schema_version; /* that this build knows */

	bool postgres; /* it answered in time; else nothing of the ledger is known */
	const char *postgres_error;
	int64_t postgres_latency_ms, postgres_skew_ms; /* skew: its clock less ours */
	int ledger_version;                            /* of the schema that is there */
	bool lock_held;                                /* by a scheduler that leads */
	int64_t sessions, strangers; /* live ones; of them those of processes without a row */
	int64_t overdue_ms;          /* how long the oldest retry is due; 0: none */
	int64_t dead_hour, quarantined_hour; /* in the last hour */
	int64_t late_ms; /* how long the first run of a sync is due; 0: none is */
	int64_t stalled; /* syncs that do not get on */
	int64_t
	    webhook_late_ms; /* how long the first webhook is due that could be sent; 0: none is */
	int64_t endpoints_paused; /* of webhooks; one of them, its environment and why: */
	const char *paused_endpoint, *paused_in;
	enum doctor_pause {
		DOCTOR_PAUSE_NONE,
		DOCTOR_PAUSE_OPERATOR,
		DOCTOR_PAUSE_GONE,
		DOCTOR_PAUSE_FAILING
	} paused_cause;
	struct doctor_node nodes[DOCTOR_NODES_MAX];
	int node_count;

	struct doctor_shard shards[DOCTOR_SHARDS_MAX];
	int shard_count;

	bool queues_known;
	struct doctor_queue
	    queues[DOCTOR_QUEUES_MAX]; /* those that wait longest, the oldest first */
	int queue_count;
	struct doctor_queue stopped[DOCTOR_QUEUES_MAX]; /* paused or draining */
	int stopped_count, stopped_total;

	/* of the node that answers */
	int64_t backlog,
	    backlog_left; /* accepted and not in Redis; of them, those whose push failed */
	bool backlog_full;
	bool runner_up; /* of a worker */
	bool compiler;  /* of an api node: there is one */
	const char *compiler_error;
	int64_t descriptors, descriptors_max; /* 0: not known */
};

enum doctor_state { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL };
enum doctor_verdict { DOCTOR_HEALTHY, DOCTOR_DEGRADED, DOCTOR_DOWN };

struct doctor_check {
	const char *name; /* static */
	enum doctor_state state;
	char text[DOCTOR_TEXT];
	char cause[DOCTOR_TEXT], remedy[DOCTOR_TEXT]; /* "": none */
	const char *runbook; /* static: a section of doc/runbook.md, in lower case; NULL: none */
};

struct doctor_report {
	enum doctor_verdict verdict;
	struct doctor_check checks[DOCTOR_CHECKS_MAX];
	int count;
};

/* DOWN: no job can be taken or run.  DEGRADED: something is not as it should be.  facts are borrowed for the
 * call. */
void doctor_judge(const struct doctor_facts *facts, struct doctor_report *out);

#endif
