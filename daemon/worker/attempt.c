/* daemon/worker/attempt.c - see attempt.h for the states. */
#include "daemon/worker/attempt.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/worker/action_left.h"
#include "daemon/worker/attempt_parts.h"
#include "daemon/worker/dispatch.h"
#include "daemon/worker/host.h"
#include "daemon/worker/sync_left.h"
#include "daemon/worker/sync_run.h"
#include "sql/record.h"
#include "sql/settle.h"

#define START_RETRY_MS 100
#define JOB_STARTS_MAX 10 /* without a zygote: another worker may have one */
#define CLOSE_RETRY_MS 250

static const bool attempt_allows[6][6] = {
    [ATTEMPT_RESOLVING] =
	{[ATTEMPT_PREPARING] = true, [ATTEMPT_STARTING] = true, [ATTEMPT_ENDED] = true},
    [ATTEMPT_PREPARING] = {[ATTEMPT_STARTING] = true, [ATTEMPT_ENDED] = true},
    [ATTEMPT_STARTING] = {[ATTEMPT_RUNNING] = true, [ATTEMPT_ENDED] = true},
    [ATTEMPT_RUNNING] = {[ATTEMPT_CLOSING] = true, [ATTEMPT_ENDED] = true},
    [ATTEMPT_CLOSING] = {[ATTEMPT_ENDED] = true},
};

static void
attempt_free(void *arg)
{
	struct attempt *attempt = arg;

	attempt_gate_free(attempt->gate);
	loop_timer_free(attempt->timer);
	sync_run_free(attempt->sync);
	directory_release(attempt->environment);
	directory_release(attempt->function);
	directory_release(attempt->connection);
	directory_release(attempt->logger);
	free(attempt->checkpoint.before);
	free(attempt->checkpoint.after);
	free(attempt->why_died);
	free(attempt->input);
	free(attempt);
}

void
attempt_enter(struct attempt *attempt, enum attempt_state to)
{
	assert(attempt_allows[attempt->state][to]);
	attempt->state = to;
	if (to == ATTEMPT_ENDED)
		loop_free_later(attempt->daemon->loop, attempt_free, attempt);
}

/* ---- the end --------------------------------------------------------------------------------- */

void
attempt_finish(struct attempt *attempt, enum job_state state, bool aborted, struct slice output)
{
	struct attempt_end end = {.state = state,
				  .aborted = aborted,
				  .refused = aborted && attempt->begin == BEGIN_REFUSED,
				  .output = output};
	bool tells = !aborted && (attempt->kind == JOB_SYNC || attempt->kind == JOB_WEBHOOK);
	bool tells_action = !aborted && attempt->kind == JOB_ACTION && attempt->webhook;
	struct sync_left left;
	struct action_left action_left;

	attempt->run = NULL;
	loop_timer_stop(attempt->timer); /* it may be due in this turn of the loop */
	host_cancel_all(attempt);
	attempt_gate_close(attempt);
	host_release_locks(attempt);
	if (attempt->placed)
		dispatch_unnest(attempt->daemon->dispatch);
	attempt_enter(attempt, ATTEMPT_ENDED);
	if (attempt->limit.connection_id != 0)
		end.closed_ms = gate_closed_ms(attempt->daemon->gates, &attempt->limit);
	if (tells) {
		sync_left_init(&left, attempt, state, output);
		end.run = &left.run;
	}
	if (tells_action) {
		action_left_init(&action_left, attempt, state, output);
		end.run = &action_left.run;
	}
	if (attempt->died && !aborted)
		end.death = &attempt->death;
	attempt->cb(attempt->arg, &end);
	if (tells)
		sync_left_fini(&left);
	if (tells_action)
		action_left_fini(&action_left);
}

void
attempt_finish_error(struct attempt *attempt, const char *code, const char *message,
		     const char *error)
{
	struct json_writer w;
	struct buf out;

	buf_init(&out, 1 << 20);
	jw_init(&w, &out);
	jw_object(&w);
	jw_member_text(&w, "code", code);
	jw_member_text(&w, "message", message);
	jw_key(&w, "payload");
	jw_object(&w);
	if (error != NULL)
		jw_member_text(&w, "error", error);
	jw_object_end(&w);
	jw_object_end(&w);
	attempt_finish(attempt, JOB_FAILED, false, buf_slice(&out));
	buf_fini(&out);
}

void
attempt_finish_aborted(struct attempt *attempt)
{
	attempt_finish(attempt, JOB_FAILED, true, (struct slice){NULL, 0});
}

/* ---- closing: a definition with track_deletes ------------------------------------------------- */

static void close_next(struct attempt *attempt);

static void
on_unseen(void *arg, enum sl_code code, const char *const *ids, int count,
	  const struct sl_error *error)
{
	struct attempt *attempt = arg;
	struct record_counts counts = {.deleted = count};

	(void)ids;
	attempt->pending = false;
	if (attempt->aborting || code == SL_CONFLICT) {
		attempt_finish_aborted(attempt);
		return;
	}
	if (code == SL_UNAVAILABLE) { /* again, until Postgres is back or the session is lost */
		loop_timer_in(attempt->timer, CLOSE_RETRY_MS);
		return;
	}
	if (code != SL_OK) {
		attempt_finish_error(attempt, "action_script_failure",
				     "The records that the run did not see could not be deleted",
				     error != NULL ? error->text : sl_code_name(code));
		return;
	}
	sync_model_count(&attempt->sync->models[attempt->sync->model_count - 1 - attempt->closing],
			 &counts);
	close_next(attempt);
}

static void
delete_unseen(void *arg, bool allowed)
{
	struct attempt *attempt = arg;
	const struct sync_run *sync = attempt->sync;
	struct sync_fence fence;

	if (!allowed)
		return; /* refused: the gate aborts the attempt */
	attempt->pending = true;
	fence = attempt_write_fence(attempt);
	record_delete_unseen(attempt->daemon->syncs, sync->connection_id, sync->id,
			     sync->models[sync->model_count - 1 - attempt->closing].full,
			     sync->mark, &fence, NULL, on_unseen, attempt);
}

static void
close_next(struct attempt *attempt)
{
	if (attempt->closing-- > 0)
		attempt_effect(attempt, delete_unseen, attempt);
	else
		attempt_finish(attempt, JOB_SUCCEEDED, false, SLICE_LITERAL("true"));
}

/* ---- running --------------------------------------------------------------------------------- */

static void
on_call(void *arg, struct run *run, int64_t call_id, struct slice op, struct slice meta,
	struct slice body)
{
	struct attempt *attempt = arg;

	attempt->run = run; /* a call can come before pool_run() has returned */
	host_serve(attempt, call_id, op, meta, body);
}

/* What failed and where in its author's own file; the error's text may hold secrets. */
static void
log_failure(const struct attempt *attempt, struct slice payload)
{
	struct json_value error;
	char *code, *at;

	if (json_check(payload, &error, NULL) != SL_OK)
		return;
	code = json_text(json_get(error, "code"), NULL);
	at = json_text(json_path(error, "additional_properties.typescript.0"), NULL);
	log_info("function_failed", "job=%s kind=%s function=%s code=%s at=%s",
		 attempt_job(attempt)[0] != '\0' ? attempt_job(attempt) : "none",
		 job_kind_name(attempt->kind), attempt->function->row.name,
		 log_text(code != NULL ? code : "none"), log_text(at != NULL ? at : "unknown"));
	free(code);
	free(at);
}

/* Cut near its limit.  Its list of what exists is not whole: nothing unseen is deleted. */
static void
finish_interrupted(struct attempt *attempt)
{
	char why[200];

	if (sync_left_gets_on(attempt)) {
		attempt->trouble = SYNC_INTERRUPTED;
		attempt_finish(attempt, JOB_SUCCEEDED, false, SLICE_LITERAL("true"));
		return;
	}
	attempt->trouble = SYNC_STALLED;
	snprintf(why, sizeof(why),
		 "%d runs in a row reached their limit with the checkpoint they had begun with",
		 attempt->still_runs);
	attempt_finish_error(attempt, "sync_stalled",
			     "The sync does not get on: its checkpoint stays the same. Save a "
			     "checkpoint after each page, or raise sync_timeout",
			     why);
}

static void
succeed(struct attempt *attempt, struct slice output)
{
	switch (attempt->kind) {
	case JOB_ACTION:
		attempt_finish(attempt, JOB_SUCCEEDED, attempt->aborting, output);
		return;
	case JOB_SYNC:
		if (attempt->interrupted && !attempt->aborting) {
			finish_interrupted(attempt);
			return;
		}
		if (attempt->sync->track_deletes && !attempt->aborting) {
			attempt->run = NULL;
			host_cancel_all(attempt);
			attempt_gate_drop(attempt); /* calls that waited there are gone */
			attempt->closing = attempt->sync->model_count;
			attempt_enter(attempt, ATTEMPT_CLOSING);
			close_next(attempt);
			return;
		}
		break;
	case JOB_WEBHOOK:
	case JOB_EVENT:
		break;
	}
	attempt_finish(attempt, JOB_SUCCEEDED, attempt->aborting, SLICE_LITERAL("true"));
}

/* It goes into the ledger and into answers as it is.  What is no JSON, or nested deeper than ours may be,
 * ends here, whoever is to blame. */
static bool
is_json(enum run_end end, struct slice payload, struct sl_error *error)
{
	struct json_value value;

	if ((end != RUN_OK && end != RUN_ERROR) || (end == RUN_OK && payload.len == 0))
		return true;
	if (json_check(payload, &value, error) != SL_OK)
		return false;
	if (end == RUN_OK || value.type == JSON_OBJECT_)
		return true;
	(void)sl_fail(error, SL_INVALID, "an error is an object");
	return false;
}

static bool
has_code(struct slice payload, const char *quoted)
{
	struct json_value error;

	return json_check(payload, &error, NULL) == SL_OK &&
	       slice_is(json_get(error, "code").raw, quoted);
}

void
attempt_finish_died(struct attempt *attempt)
{
	attempt->death.begun = attempt->begin == BEGIN_DURABLE;
	attempt_finish_error(attempt, "action_script_failure",
			     "The process that ran the function died", attempt->why_died);
}

static void
take_death(struct attempt *attempt, struct run_death death, const char *text)
{
	attempt->died = true;
	attempt->death.signal = death.signal;
	attempt->death.memory = death.memory;
	attempt->why_died = sl_strdup(text);
	if (attempt->begin != BEGIN_ASKED) {
		attempt_finish_died(attempt);
		return;
	}
	/* Whether the try is used up hangs on that answer. */
	attempt->run = NULL;
	host_cancel_all(attempt);
	attempt_gate_drop(attempt);
	attempt_enter(attempt, ATTEMPT_CLOSING);
}

static void
on_end(void *arg, struct run *run, enum run_end end, struct slice payload, const char *text)
{
	struct attempt *attempt = arg;
	struct sl_error error;

	if (attempt->cancelled) { /* whatever it says: the ledger has its result */
		attempt_finish_aborted(attempt);
		return;
	}
	if (!is_json(end, payload, &error)) {
		log_warn("result_unusable", "function=%s environment=%lld error=%s",
			 attempt->function->row.name, (long long)attempt->environment_id,
			 log_text(error.text));
		attempt_finish_error(attempt, "script_internal_error",
				     "The function's result cannot be kept", error.text);
		return;
	}
	switch (end) {
	case RUN_OK:
		succeed(attempt, payload);
		return;
	case RUN_ERROR:
		/* The error that its last saveCheckpoint() threw is no failure. */
		if (attempt->interrupted && !attempt->aborting &&
		    has_code(payload, "\"execution_interrupted\"")) {
			finish_interrupted(attempt);
			return;
		}
		if (attempt->kind == JOB_SYNC && has_code(payload, "\"page_repeated\""))
			attempt->trouble = SYNC_REPEATS_PAGE;
		log_failure(attempt, payload);
		attempt_finish(attempt, JOB_FAILED, attempt->aborting, payload);
		return;
	case RUN_TIMEOUT:
		attempt_finish_error(attempt, "execution_timeout",
				     "The function ran longer than its limit and was stopped",
				     text);
		return;
	case RUN_MEMORY:
		attempt_finish_error(attempt, "function_runtime_out_of_memory",
				     "The function used more memory than its limit and was stopped",
				     text);
		return;
	case RUN_CRASHED:
		take_death(attempt, run_death(run), text);
		return;
	case RUN_ABORTED:
		attempt_finish_aborted(attempt);
		return;
	}
}

static void
write_sync_context(const struct sync_run *sync, struct json_writer *w)
{
	char at[CLOCK_ISO_SIZE];

	jw_member_text(w, "syncId", sync->uuid);
	jw_member_text(w, "variant", sync->variant);
	clock_iso(sync->last_success_ms, at);
	jw_member_text(w, "lastSyncDate", sync->last_success_ms > 0 ? at : NULL);
	jw_member_bool(w, "trackDeletes", sync->track_deletes);
	jw_member_bool(w, "emptyCache", sync->empty_cache);
}

static void
write_context(const struct attempt *attempt, struct buf *out)
{
	const struct account_connection *connection = &attempt->connection->row;
	struct json_writer w;

	jw_init(&w, out);
	jw_object(&w);
	jw_member_text(&w, "environmentName", attempt->environment->row.name);
	jw_member_int(&w, "environmentId", attempt->environment->row.id);
	jw_member_text(&w, "connectionId", connection->connection_id);
	jw_member_int(&w, "nangoConnectionId", connection->id);
	jw_member_text(&w, "providerConfigKey", connection->unique_key);
	jw_member_text(&w, "provider", connection->provider);
	jw_member_text(&w, "functionName", attempt->function->row.name);
	jw_member_text(&w, "jobId", attempt->job_id[0] != '\0' ? attempt->job_id : NULL);
	jw_member_int(&w, "attempt", attempt->number);
	jw_member_text(&w, "loggerLevel", attempt->logger->level);
	if (attempt->sync != NULL)
		jw_member_int(&w, "syncJobId", attempt->seq);
	if (attempt->sync != NULL)
		write_sync_context(attempt->sync, &w);
	else
		jw_member_text(&w, "variant", "base");
	jw_object_end(&w);
}

/* What exec, or onWebhook, is given; attempt.h says what the job's input is. */
static struct slice
run_input(const struct attempt *attempt)
{
	struct slice input = {attempt->input, attempt->input_len};
	struct json_value value;

	switch (attempt->kind) {
	case JOB_ACTION:
		return input;
	case JOB_WEBHOOK:
		if (json_check(input, &value, NULL) == SL_OK)
			return json_get(value, "payload").raw;
		break;
	case JOB_SYNC:
	case JOB_EVENT:
		break;
	}
	return (struct slice){NULL, 0};
}

static enum sl_code
start_run(struct attempt *attempt, struct run **run, struct sl_error *error)
{
	static const struct run_events events = {.on_call = on_call, .on_end = on_end};
	const struct account_function *row = &attempt->function->row;
	struct pool_function function = {.version_id = row->version_id,
					 .environment_id = attempt->environment_id};
	int64_t left = attempt->deadline_mono_ms - clock_mono_ms();
	struct buf context;
	char *file;
	enum sl_code code;

	if (attempt->parent != NULL && !attempt->placed)
		attempt->placed = dispatch_nest(attempt->daemon->dispatch);
	if (attempt->parent != NULL && !attempt->placed)
		return sl_fail(
		    error, SL_EXHAUSTED,
		    "too many functions of this node have triggered an action and wait for it");
	file = sl_asprintf("%s-%s.cjs", row->name, row->unique_key);
	function.name = row->name;
	function.file = file;
	function.code = row->code;
	function.code_len = strlen(row->code);
	buf_init(&context, 1 << 20);
	function.job = attempt_job(attempt);
	write_context(attempt, &context);
	code = pool_run(attempt->daemon->pool, &function, job_kind_name(attempt->kind),
			run_input(attempt), buf_slice(&context), left > 1 ? left : 1, &events,
			attempt, run, error);
	buf_fini(&context);
	free(file);
	return code;
}

void
attempt_try_start(struct attempt *attempt)
{
	struct sl_error error;
	struct run *run = NULL;
	enum sl_code code = start_run(attempt, &run, &error);

	if (code == SL_OK) {
		attempt_enter(attempt, ATTEMPT_RUNNING);
		attempt->run = run;
		return;
	}
	if (code == SL_UNAVAILABLE && attempt->job_id[0] != '\0' &&
	    attempt->starts_left <= ATTEMPT_STARTS_MAX - JOB_STARTS_MAX)
		attempt->starts_left = 0;
	if ((code == SL_UNAVAILABLE || code == SL_EXHAUSTED) && attempt->starts_left-- > 0) {
		loop_timer_in(attempt->timer, START_RETRY_MS);
		return;
	}
	log_error("run_not_started", "function=%s error=%s", attempt->function->row.name,
		  log_text(error.text));
	if ((code == SL_UNAVAILABLE || code == SL_EXHAUSTED) && attempt->job_id[0] != '\0') {
		/* This node cannot run anything now: nothing ran, another one may have the job. */
		dispatch_short(attempt->daemon->dispatch, error.text);
		attempt_finish_aborted(attempt);
		return;
	}
	attempt_finish_error(attempt, "action_script_failure", "The function could not be started",
			     error.text);
}

static void
on_timer(void *arg)
{
	struct attempt *attempt = arg;

	switch (attempt->state) {
	case ATTEMPT_STARTING:
		attempt_try_start(attempt);
		return;
	case ATTEMPT_CLOSING:
		attempt_effect(attempt, delete_unseen, attempt);
		return;
	case ATTEMPT_RUNNING: /* cancelled, and it has not returned */
		attempt_abort(attempt);
		return;
	case ATTEMPT_RESOLVING:
	case ATTEMPT_PREPARING:
	case ATTEMPT_ENDED:
		return;
	}
}

/* ---- start and abort ------------------------------------------------------------------------- */

struct attempt *
attempt_start(struct daemon *daemon, const struct attempt_ask *ask, attempt_cb *cb, void *arg)
{
	struct attempt *attempt = sl_alloc(sizeof(*attempt));

	attempt->daemon = daemon;
	attempt->state = ATTEMPT_RESOLVING;
	if (ask->job_id != NULL)
		memcpy(attempt->job_id, ask->job_id, sizeof(attempt->job_id));
	attempt->seq = ask->seq;
	attempt->number = ask->number;
	attempt->environment_id = ask->environment_id;
	attempt->version_id = ask->function_version_id;
	attempt->connection_id = ask->connection_id;
	attempt->kind = ask->kind;
	attempt->webhook = ask->webhook;
	attempt->began_ms = clock_wall_ms();
	attempt->input = sl_memdup(ask->input.data, ask->input.len);
	attempt->input_len = ask->input.len;
	attempt->timer = loop_timer_new(daemon->loop, on_timer, attempt);
	attempt->gate = attempt_gate_new(attempt);
	attempt->checkpoint.last = &attempt->checkpoint.first;
	attempt->fence = ask->fence;
	attempt->lent = ask->lent;
	attempt->cb = cb;
	attempt->arg = arg;
	/* From the loop, so that cb never comes before the caller has the pointer. */
	loop_soon(daemon->loop, attempt_resolve, attempt);
	return attempt;
}

struct attempt *
attempt_start_nested(struct attempt *parent, const struct attempt_ask *ask, attempt_cb *cb,
		     void *arg)
{
	struct attempt *attempt = attempt_start(parent->daemon, ask, cb, arg);

	assert(parent->depth < ATTEMPT_DEPTH_MAX && ask->job_id == NULL);
	attempt->parent = parent;
	attempt->depth = parent->depth + 1;
	return attempt;
}

void
attempt_cancel(struct attempt *attempt)
{
	if (attempt->cancelled)
		return;
	if (attempt->state != ATTEMPT_RUNNING || attempt->aborting) {
		attempt_abort(attempt); /* no function is under way */
		return;
	}
	attempt->cancelled = true;
	host_refuse_all(attempt);
	attempt_gate_close(attempt);
	loop_timer_in(attempt->timer, ATTEMPT_GRACE_MS);
}

void
attempt_abort(struct attempt *attempt)
{
	if (attempt->aborting || attempt->state == ATTEMPT_ENDED)
		return;
	attempt->aborting = true;
	host_cancel_all(attempt);
	attempt_gate_close(attempt);
	switch (attempt->state) {
	case ATTEMPT_RUNNING:
		run_abort(attempt->run);
		break;
	case ATTEMPT_STARTING:
		attempt_finish_aborted(attempt);
		break;
	case ATTEMPT_PREPARING:
	case ATTEMPT_CLOSING:
		if (!attempt->pending) /* else the answer ends it */
			attempt_finish_aborted(attempt);
		break;
	case ATTEMPT_RESOLVING: /* the lookup's answer ends it */
	case ATTEMPT_ENDED:
		break;
	}
	/* It may outlive the one it ran inside of by a moment. */
	attempt->parent = NULL;
}
