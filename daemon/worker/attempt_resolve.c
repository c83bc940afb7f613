/* daemon/worker/attempt_resolve.c - what an attempt needs before it can start: rows, then, for a
 * sync, its place in the order of records. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "daemon/worker/attempt_parts.h"
#include "daemon/worker/sync_run.h"
#include "sql/record.h"

/* May the attempt go on after this answer?  If not, it is gone. */
static bool
went_well(struct attempt *attempt, const char *what, enum sl_code code,
	  const struct sl_error *error)
{
	char text[300];

	attempt->pending = false;
	if (attempt->aborting) {
		attempt_finish_aborted(attempt);
		return false;
	}
	if (code == SL_OK)
		return true;
	/* Postgres is away, or the session has ended: nothing ran; the job stays open and comes back. */
	if ((code == SL_UNAVAILABLE || code == SL_CONFLICT) && attempt->job_id[0] != '\0') {
		attempt_finish_aborted(attempt);
		return false;
	}
	snprintf(text, sizeof(text), "the %s of this job %s: %s", what,
		 code == SL_NOT_FOUND ? "does not exist any more" : "could not be read",
		 error != NULL ? error->text : sl_code_name(code));
	attempt_finish_error(attempt, "action_script_failure", "The function could not be started",
			     text);
	return false;
}

/* ---- preparing: syncs and their webhooks ------------------------------------------------------ */

static int64_t
limit_ms(const struct attempt *attempt)
{
	const struct config *config = attempt->daemon->config;

	switch (attempt->kind) {
	case JOB_ACTION:
		return attempt->environment->action_timeout_ms;
	case JOB_SYNC:
		return config_int(config, "sync_timeout");
	case JOB_WEBHOOK:
		return config_int(config, "webhook_timeout");
	case JOB_EVENT:
		return config_int(config, "event_timeout");
	}
	return 0;
}

static void
start(struct attempt *attempt)
{
	int64_t limit = limit_ms(attempt), now = clock_mono_ms();

	attempt->deadline_mono_ms = now + limit;
	attempt->soft_mono_ms = now + limit / 10 * 8; /* wire.md 14.1 */
	if (attempt->parent != NULL &&
	    attempt->parent->deadline_mono_ms < attempt->deadline_mono_ms)
		attempt->deadline_mono_ms = attempt->parent->deadline_mono_ms;
	attempt->starts_left = ATTEMPT_STARTS_MAX;
	attempt_enter(attempt, ATTEMPT_STARTING);
	attempt_try_start(attempt);
}

static void
on_cleared(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct attempt *attempt = arg;

	if (went_well(attempt, "records", code, error))
		start(attempt);
}

static void
clear(void *arg, bool allowed)
{
	struct attempt *attempt = arg;
	struct sync_fence fence;

	if (!allowed)
		return; /* refused: the gate aborts the attempt */
	attempt->pending = true;
	fence = attempt_write_fence(attempt);
	record_clear(attempt->daemon->syncs, attempt->sync->connection_id, attempt->sync->id,
		     &fence, on_cleared, attempt);
}

static void
on_mark(void *arg, enum sl_code code, int64_t mark, int64_t at_ms, const struct sl_error *error)
{
	struct attempt *attempt = arg;

	if (!went_well(attempt, "place in the order of records", code, error))
		return;
	attempt->sync->mark = mark;
	attempt->sync->marked_ms = at_ms;
	if (attempt->sync->empty_cache)
		attempt_effect(attempt, clear, attempt);
	else
		start(attempt);
}

static void
on_sync(void *arg, enum sl_code code, const struct sync_row *rows, int count,
	const struct sl_error *error)
{
	struct attempt *attempt = arg;
	struct json_value input;
	bool empty_cache = false;

	if (code == SL_OK && count != 1)
		code = SL_NOT_FOUND;
	if (!went_well(attempt, "sync", code, error))
		return;
	/* The ledger would refuse all that it writes (fence()). */
	if (attempt->kind == JOB_SYNC && strcmp(rows[0].job_id, attempt->job_id) != 0) {
		attempt_finish_error(attempt, "script_aborted", "Another run of the sync has begun",
				     NULL);
		return;
	}
	if (json_check((struct slice){attempt->input, attempt->input_len}, &input, NULL) == SL_OK)
		empty_cache = json_is_yes(json_get(input, "emptyCache"));
	attempt->sync = sync_run_new(&rows[0], attempt->function->row.definition, empty_cache);
	attempt_enter(attempt, ATTEMPT_PREPARING);
	attempt->pending = true;
	record_mark(attempt->daemon->syncs, rows[0].connection_id,
		    attempt->kind == JOB_SYNC ? rows[0].id : 0, on_mark, attempt);
}

static void
find_sync(struct attempt *attempt)
{
	struct json_value input;
	int64_t id;

	if (json_check((struct slice){attempt->input, attempt->input_len}, &input, NULL) != SL_OK ||
	    !json_int(json_get(input, "sync"), &id)) {
		attempt_finish_error(attempt, "action_script_failure",
				     "The function could not be started",
				     "the job does not say which sync it runs");
		return;
	}
	sync_read(attempt->daemon->syncs, id, on_sync, attempt);
}

/* ---- resolving ------------------------------------------------------------------------------- */

static void
on_connection(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct attempt *attempt = arg;

	if (!went_well(attempt, "connection", code, error))
		return;
	attempt->connection = directory_hold(object);
	switch (attempt->kind) {
	case JOB_SYNC:
	case JOB_WEBHOOK:
		find_sync(attempt);
		return;
	case JOB_ACTION:
	case JOB_EVENT:
		start(attempt);
		return;
	}
}

static void
on_logger(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct attempt *attempt = arg;

	if (!went_well(attempt, "logger level", code, error))
		return;
	attempt->logger = directory_hold(object);
	directory_connection_by_id(attempt->daemon->directory, attempt->connection_id,
				   on_connection, attempt);
}

static void
on_version(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct attempt *attempt = arg;

	if (!went_well(attempt, "function version", code, error))
		return;
	attempt->function = directory_hold(object);
	directory_logger(attempt->daemon->directory, attempt->environment_id, on_logger, attempt);
}

static void
on_environment(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct attempt *attempt = arg;

	if (!went_well(attempt, "environment", code, error))
		return;
	attempt->environment = directory_hold(object);
	directory_version(attempt->daemon->directory, attempt->version_id, on_version, attempt);
}

void
attempt_resolve(void *arg)
{
	struct attempt *attempt = arg;

	assert(attempt->state == ATTEMPT_RESOLVING);
	directory_environment(attempt->daemon->directory, attempt->environment_id, on_environment,
			      attempt);
}
