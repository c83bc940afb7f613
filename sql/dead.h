/* sql/dead.h - what was set aside: jobs that killed what ran them, and queue entries that are none.
 *
 * A job comes to the dead list when it ends by its deaths (sql/settle.h, sql/reclaim.h); its row keeps
 * what is known of them.  Quarantine keeps the bytes of entries that no worker may run.  Both go with
 * the days that retention drops, or by purge.  A connection of its own; every call answers once, from
 * the loop; rows are borrowed for the call, texts are never NULL. */
#ifndef SLUICE_SQL_DEAD_H
#define SLUICE_SQL_DEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/job.h"
#include "base/loop.h"
#include "base/secret.h"
#include "sql/pg.h"
#include "sql/settle.h"

#define DEAD_CALL_MAX 1000            /* rows of one list, jobs of one replay or purge */
#define QUARANTINE_BYTES_MAX 20480    /* of an entry; the rest is cut off */
#define QUARANTINE_ROWS_PER_HOUR 1000 /* of one store; one more is not kept */

struct dead_store; /* opaque */

struct dead_store *dead_store_new(struct loop *loop, const struct pg_settings *settings);
void dead_store_free(struct dead_store *store); /* NULL is fine; open calls fail */
bool dead_store_is_up(const struct dead_store *store);

struct dead_row {
	char job_id[UUID_TEXT];
	int64_t environment_id, function_version_id, connection_id;
	enum job_kind kind;
	const char *integration, *function; /* names; "": deleted with their environment */
	int deaths;
	int signal;            /* of the last runner that died; 0: none did, or not known */
	int64_t memory;        /* bytes, likewise */
	const char *last_call; /* likewise; "": none */
	int64_t at_ms;         /* wall time */
	int replays;
	char last_replay[UUID_TEXT]; /* job id; "": none */
};
typedef void dead_rows_cb(void *arg, enum sl_code code, const struct dead_row *rows, int count,
			  const struct sl_error *error);
/* Newest jobs first.  environment_id 0: of all.  before: only jobs accepted before that one; NULL: from
 * the newest.  limit: 1..DEAD_CALL_MAX. */
void dead_list(struct dead_store *store, int64_t environment_id, const char *before, int limit,
	       dead_rows_cb *cb, void *arg);

struct dead_death { /* one of the deaths that are kept of a job */
	enum settle_cause cause;
	int64_t session_id; /* 0: counted by the worker that came after the one that was lost */
	int signal;
	int64_t memory;
	const char *last_call;
	int64_t at_ms;
};
/* row with its deaths, oldest first.  SL_NOT_FOUND: the job is not in the list. */
typedef void dead_show_cb(void *arg, enum sl_code code, const struct dead_row *row,
			  const struct dead_death *deaths, int count, const struct sl_error *error);
void dead_show(struct dead_store *store, const char *job_id, dead_show_cb *cb, void *arg);

struct dead_replayed {
	char old_id[UUID_TEXT], new_id[UUID_TEXT]; /* new_id: "" unless code is SL_OK */
	/* SL_OK; SL_NOT_FOUND: not in the list, or the job or its function is gone; SL_CONFLICT: the
	 * function is disabled; SL_EXHAUSTED: replayed max_replays times; SL_UNAVAILABLE: its
	 * environment drains; SL_INVALID: a run of a sync, which its schedule or POST /sync/trigger
	 * starts. */
	enum sl_code code;
	const char *why; /* for humans; "" with SL_OK */
};
typedef void dead_replay_cb(void *arg, enum sl_code code, const struct dead_replayed *jobs,
			    int count, const struct sl_error *error);
/* Accepts each job again as a new one: same input, retries and key, the function's active version.  The
 * scheduler brings it into the queue, as a delayed start that is due now.  A commit in doubt is repeated
 * for 10 s: it replays nothing twice.  jobs come in the order asked, each id once.  SL_INVALID: an id
 * is no uuid, or there are more than DEAD_CALL_MAX. */
void dead_replay(struct dead_store *store, const char (*job_ids)[UUID_TEXT], int count,
		 int max_replays, dead_replay_cb *cb, void *arg);

typedef void dead_count_cb(void *arg, enum sl_code code, int64_t count,
			   const struct sl_error *error);
/* Takes jobs off the list, with their deaths; their results stay.  environment_id 0: of all.  Either
 * those with these ids, or with job_ids NULL all that were set aside before before_ms (wall). */
void dead_purge(struct dead_store *store, int64_t environment_id, const char (*job_ids)[UUID_TEXT],
		int count, int64_t before_ms, dead_count_cb *cb, void *arg);

struct quarantine_entry {
	int64_t id;     /* unused by quarantine_add() */
	int shard;      /* of the queue */
	int64_t key_id; /* in whose list it stood; 0: not known */
	const char
	    *reason; /* for humans, without the entry's content; copied, 200 bytes are kept */
	struct slice bytes; /* copied */
	bool security;      /* forged, not just broken */
	int64_t at_ms;      /* unused by quarantine_add() */
};
/* count: its id.  SL_EXHAUSTED: over QUARANTINE_ROWS_PER_HOUR, not kept.  cb may be NULL. */
void quarantine_add(struct dead_store *store, const struct quarantine_entry *entry,
		    dead_count_cb *cb, void *arg);
typedef void quarantine_rows_cb(void *arg, enum sl_code code, const struct quarantine_entry *rows,
				int count, const struct sl_error *error);
/* Newest first.  before: only ids below; 0: from the newest.  limit: 1..DEAD_CALL_MAX. */
void quarantine_list(struct dead_store *store, int64_t before, int limit, quarantine_rows_cb *cb,
		     void *arg);
/* Either those with these ids, or with ids NULL all from before before_ms (wall). */
void quarantine_purge(struct dead_store *store, const int64_t *ids, int count, int64_t before_ms,
		      dead_count_cb *cb, void *arg);

#endif
