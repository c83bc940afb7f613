/* sql/inspect_sync.h - syncs with their schedules and runs as the ledger knows them, for operators to look at.
 *
 * On the connection of sql/dead.h, as sql/inspect.h.  Every call answers once, from the loop; rows are
 * borrowed for the call, texts are never NULL. */
#ifndef SLUICE_SQL_INSPECT_SYNC_H
#define SLUICE_SQL_INSPECT_SYNC_H

#include "base/job.h"
#include "sql/dead.h"
#include "sql/sync.h"

#define INSPECT_SYNCS_MAX 1000
/* Syncs that one page looks at: with a filter that fits few of them, it may have fewer than it could. */
#define INSPECT_SYNCS_SCAN 5000
#define INSPECT_SYNC_LATE_MS 60000 /* a run that is due for so long is late */

enum inspect_sync_state {
	INSPECT_SYNC_ANY,
	INSPECT_SYNC_NEW,       /* no run was ever started */
	INSPECT_SYNC_QUEUED,    /* its newest run waits, or has had no effect yet */
	INSPECT_SYNC_RUNNING,   /* its newest run has begun */
	INSPECT_SYNC_PAUSED,    /* none is open, and none starts by itself */
	INSPECT_SYNC_SUCCEEDED, /* so did the newest run */
	INSPECT_SYNC_FAILED,    /* the newest run ended in any other way */
	/* Not states but what a list may be asked for. */
	INSPECT_SYNC_LATE,    /* its next run is due for INSPECT_SYNC_LATE_MS */
	INSPECT_SYNC_TROUBLE, /* enum sync_trouble says which */
};

struct inspect_sync {
	int64_t id;
	char uuid[UUID_TEXT];
	int64_t environment_id, integration_id, function_id, connection_row;
	const char *environment, *integration, *connection, *name, *variant;
	const char *version;           /* the active one; "": none, or the function is disabled */
	const char *declared;          /* how often, by that version; "": never by itself */
	enum inspect_sync_state state; /* NEW..FAILED */
	enum sync_trouble trouble;
	int64_t trouble_ms; /* since when; 0: none */
	int still_runs;     /* as in struct sync_row */

	bool scheduled, started; /* started false: paused */
	const char *frequency;   /* the connection's own; "": the function's counts */
	int64_t every_ms;        /* 0: never by itself */
	int64_t next_run_ms;     /* 0: none */
	int64_t late_ms;         /* since when it is due; 0: it is not */

	/* The newest run; job "": none was started, or it is forgotten. */
	char job[UUID_TEXT];
	int64_t accepted_ms; /* 0: not known (any more) */
	int64_t began_ms;    /* its first effect; 0: none yet, or not known */
	int attempt;
	const char *node;          /* that runs it; "": none is known */
	bool open;                 /* it has not ended: then what follows is of an earlier one */
	enum job_state last_state; /* 0: none has ended */
	int64_t last_ended_ms;
	const char *last_result; /* JSON: counts by model; "": none */
	int64_t last_success_ms; /* when the newest good run began; 0: none */
};

struct inspect_sync_filter {
	int64_t environment_id;                      /* 0: all */
	const char *integration, *connection, *name; /* NULL: all */
	enum inspect_sync_state state;
	enum sync_trouble trouble; /* for INSPECT_SYNC_TROUBLE */
	int64_t after;             /* syncs behind this id */
	int limit;                 /* 1..INSPECT_SYNCS_MAX (asserted) */
};
/* In the order in which they were made.  next: `after` of the page behind it, 0 when this is the last; there
 * may be a next page when this one is empty. */
typedef void inspect_syncs_cb(void *arg, enum sl_code code, const struct inspect_sync *rows,
			      int count, int64_t next, const struct sl_error *error);
void inspect_sync_list(struct dead_store *store, const struct inspect_sync_filter *filter,
		       inspect_syncs_cb *cb, void *arg);

struct inspect_sync_more {
	const char *definition;     /* of the active version, JSON; "": none */
	bool checkpoint;            /* there is one; its value is the customer's, and not read */
	int64_t checkpoint_version; /* grows with each save */
	int64_t checkpoint_bytes;
	const char **windows; /* models whose deletes are being tracked */
	int window_count;
};
typedef void inspect_sync_cb(void *arg, enum sl_code code, const struct inspect_sync *row,
			     const struct inspect_sync_more *more, const struct sl_error *error);
/* SL_NOT_FOUND: there is no such sync (any more).  uuid as uuid_parse() wrote it. */
void inspect_sync_show(struct dead_store *store, const char *uuid, inspect_sync_cb *cb, void *arg);

#endif
