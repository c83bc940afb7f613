/* daemon/worker/attempt.c - see attempt.h for the states. */
#include "daemon/worker/attempt.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/log.h"
#include "daemon/worker/dispatch.h"
#include "daemon/worker/host.h"
#include "sql/settle.h"

#define START_RETRY_MS 100
#define EFFECT_LOOK_MS 50
#define STARTS_MAX 100 /* 10 s for a zygote that comes back */

static const bool attempt_allows[4][4] = {
    [ATTEMPT_RESOLVING] = {[ATTEMPT_STARTING] = true, [ATTEMPT_ENDED] = true},
    [ATTEMPT_STARTING] = {[ATTEMPT_RUNNING] = true, [ATTEMPT_ENDED] = true},
    [ATTEMPT_RUNNING] = {[ATTEMPT_ENDED] = true},
};

struct effect { /* a host call that waits for "begun", or for a beat of the session */
	struct effect *next;
	attempt_effect_cb *cb;
	void *arg;
};

struct begin { /* one settle_begin in flight; outlives the attempt when that ends first */
	struct attempt *attempt; /* NULL: it ended */
	struct daemon *daemon;
};

/* What an attempt needs for its effects is found through this wrapper, which is what is allocated.
 */
struct attempt_box {
	struct attempt attempt;
	struct begin *begin;
	struct effect *first, **last; /* in the order asked */
	struct loop_timer *look;      /* armed while they wait for a beat */
};

static void
attempt_free(void *arg)
{
	struct attempt *attempt = arg;

	loop_timer_free(((struct attempt_box *)attempt)->look);
	loop_timer_free(attempt->timer);
	directory_release(attempt->environment);
	directory_release(attempt->function);
	directory_release(attempt->connection);
	free(attempt->input);
	free(attempt);
}

static void
attempt_enter(struct attempt *attempt, enum attempt_state to)
{
	assert(attempt_allows[attempt->state][to]);
	attempt->state = to;
	if (to == ATTEMPT_ENDED)
		loop_free_later(attempt->daemon->loop, attempt_free, attempt);
}

/* Their host calls are gone. */
static void
drop_effects(struct attempt_box *box)
{
	struct effect *effect;

	while ((effect = box->first) != NULL) {
		box->first = effect->next;
		free(effect);
	}
	box->last = &box->first;
	loop_timer_stop(box->look);
}

static void
finish(struct attempt *attempt, enum job_state state, bool aborted, struct slice output)
{
	struct attempt_end end = {.state = state, .aborted = aborted, .output = output};
	struct attempt_box *box = (struct attempt_box *)attempt;

	attempt->run = NULL;
	host_cancel_all(attempt);
	drop_effects(box);
	if (box->begin != NULL)
		box->begin->attempt = NULL;
	attempt_enter(attempt, ATTEMPT_ENDED);
	attempt->cb(attempt->arg, &end);
}

static void try_effects(void *arg);

static void
finish_error(struct attempt *attempt, const char *code, const char *message,
	     const char *payload_error)
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
	if (payload_error != NULL)
		jw_member_text(&w, "error", payload_error);
	jw_object_end(&w);
	jw_object_end(&w);
	finish(attempt, JOB_FAILED, false, buf_slice(&out));
	buf_fini(&out);
}

/* ---- effects --------------------------------------------------------------------------------- */

static void
release_effects(struct attempt_box *box, bool allowed)
{
	struct effect *effect;

	while ((effect = box->first) != NULL && !box->attempt.aborting) {
		box->first = effect->next;
		if (box->first == NULL)
			box->last = &box->first;
		effect->cb(effect->arg, allowed);
		free(effect);
	}
}

static void
on_begun(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct begin *begin = arg;
	struct attempt *attempt = begin->attempt;

	FAULT_POINT("attempt_begun");
	if (attempt != NULL) {
		struct attempt_box *box = (struct attempt_box *)attempt;

		box->begin = NULL;
		attempt->begin = code == SL_OK ? BEGIN_DURABLE : BEGIN_REFUSED;
		if (code != SL_OK)
			log_warn("begin_refused", "job=%s attempt=%d code=%s error=%s",
				 attempt->job_id, attempt->number, sl_code_name(code),
				 log_text(error != NULL ? error->text : ""));
		try_effects(box);
		if (attempt->begin == BEGIN_REFUSED)
			attempt_abort(attempt);
	}
	/* Refused is the ledger's word; anything else leaves in doubt whether the attempt is begun,
	 * which only the end of the session resolves. */
	if (code != SL_OK && (code != SL_CONFLICT || settle_session(begin->daemon->settle) == 0))
		dispatch_session_lost(begin->daemon->dispatch);
	free(begin);
}

static void
ask_begin(struct attempt_box *box)
{
	struct attempt *attempt = &box->attempt;

	attempt->begin = BEGIN_ASKED;
	box->begin = sl_alloc(sizeof(*box->begin));
	box->begin->attempt = attempt;
	box->begin->daemon = attempt->daemon;
	settle_begin(attempt->daemon->settle, attempt->job_id, attempt->number, on_begun,
		     box->begin);
}

/* Without a good beat an effect waits: the next one allows it, or the session is lost and the
 * attempt is killed.  The function never sees that Postgres was away. */
static void
try_effects(void *arg)
{
	struct attempt_box *box = arg;
	bool good = dispatch_may_effect(box->attempt.daemon->dispatch);

	if (box->first == NULL || box->attempt.aborting)
		return;
	switch (box->attempt.begin) {
	case BEGIN_NOT_YET:
		if (good)
			ask_begin(box);
		else
			loop_timer_in(box->look, EFFECT_LOOK_MS);
		return;
	case BEGIN_ASKED:
		return;
	case BEGIN_DURABLE:
		if (good)
			release_effects(box, true);
		else
			loop_timer_in(box->look, EFFECT_LOOK_MS);
		return;
	case BEGIN_REFUSED:
		release_effects(box, false);
		return;
	}
}

void
attempt_effect(struct attempt *attempt, attempt_effect_cb *cb, void *arg)
{
	struct attempt_box *box = (struct attempt_box *)attempt;
	struct effect *effect;

	if (attempt->job_id[0] == '\0') {
		cb(arg, true);
		return;
	}
	effect = sl_alloc(sizeof(*effect));
	effect->cb = cb;
	effect->arg = arg;
	*box->last = effect;
	box->last = &effect->next;
	try_effects(box);
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

static void
on_end(void *arg, struct run *run, enum run_end end, struct slice payload, const char *text)
{
	struct attempt *attempt = arg;

	(void)run;
	switch (end) {
	case RUN_OK:
		finish(attempt, JOB_SUCCEEDED, attempt->aborting, payload);
		return;
	case RUN_ERROR:
		finish(attempt, JOB_FAILED, attempt->aborting, payload);
		return;
	case RUN_TIMEOUT:
		finish_error(attempt, "execution_timeout",
			     "The function ran longer than its limit and was stopped", text);
		return;
	case RUN_MEMORY:
		finish_error(attempt, "function_runtime_out_of_memory",
			     "The function used more memory than its limit and was stopped", text);
		return;
	case RUN_CRASHED:
		finish_error(attempt, "action_script_failure",
			     "The process that ran the function died", text);
		return;
	case RUN_ABORTED:
		finish(attempt, JOB_FAILED, true, (struct slice){NULL, 0});
		return;
	}
}

static void
write_context(struct attempt *attempt, struct buf *out)
{
	const struct account_connection *connection = &attempt->connection->row;
	struct json_writer w;

	buf_init(out, 1 << 20);
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
	jw_member_text(&w, "variant", "base");
	jw_member_text(&w, "loggerLevel", "warn");
	jw_object_end(&w);
}

static void
try_start(void *arg)
{
	static const struct run_events events = {.on_call = on_call, .on_end = on_end};
	struct attempt *attempt = arg;
	const struct account_function *row = &attempt->function->row;
	struct pool_function function = {.version_id = row->version_id,
					 .environment_id = attempt->environment_id};
	int64_t left = attempt->deadline_mono_ms - clock_mono_ms();
	struct sl_error error;
	struct run *run = NULL;
	struct buf context;
	char *file;
	enum sl_code code;

	file = sl_asprintf("%s-%s.cjs", row->name, row->unique_key);
	function.name = row->name;
	function.file = file;
	function.code = row->code;
	function.code_len = strlen(row->code);
	write_context(attempt, &context);
	code = pool_run(attempt->daemon->pool, &function, job_kind_name(attempt->kind),
			(struct slice){attempt->input, attempt->input_len}, buf_slice(&context),
			left > 1 ? left : 1, &events, attempt, &run, &error);
	buf_fini(&context);
	free(file);
	if (code == SL_OK) {
		attempt_enter(attempt, ATTEMPT_RUNNING);
		attempt->run = run;
		return;
	}
	if ((code == SL_UNAVAILABLE || code == SL_EXHAUSTED) && attempt->starts_left-- > 0) {
		loop_timer_in(attempt->timer, START_RETRY_MS);
		return;
	}
	log_error("run_not_started", "function=%s error=%s", row->name, log_text(error.text));
	if ((code == SL_UNAVAILABLE || code == SL_EXHAUSTED) && attempt->job_id[0] != '\0') {
		/* This node cannot run anything now: nothing ran, another one may have the job. */
		finish(attempt, JOB_FAILED, true, (struct slice){NULL, 0});
		return;
	}
	finish_error(attempt, "action_script_failure", "The function could not be started",
		     error.text);
}

/* ---- resolving ------------------------------------------------------------------------------- */

static bool
resolved(struct attempt *attempt, const char *what, enum sl_code code, const struct sl_error *error)
{
	char text[300];

	if (attempt->aborting) {
		finish(attempt, JOB_FAILED, true, (struct slice){NULL, 0});
		return false;
	}
	if (code == SL_OK)
		return true;
	if (code == SL_UNAVAILABLE && attempt->job_id[0] != '\0') {
		/* Postgres is away: nothing ran; the job stays open and comes back. */
		finish(attempt, JOB_FAILED, true, (struct slice){NULL, 0});
		return false;
	}
	snprintf(text, sizeof(text), "the %s of this job %s: %s", what,
		 code == SL_NOT_FOUND ? "does not exist any more" : "could not be read",
		 error != NULL ? error->text : sl_code_name(code));
	finish_error(attempt, "action_script_failure", "The function could not be started", text);
	return false;
}

static void
on_connection(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct attempt *attempt = arg;

	if (!resolved(attempt, "connection", code, error))
		return;
	attempt->connection = directory_hold(object);
	attempt->deadline_mono_ms = clock_mono_ms() + attempt->environment->action_timeout_ms;
	attempt->starts_left = STARTS_MAX;
	attempt_enter(attempt, ATTEMPT_STARTING);
	try_start(attempt);
}

static void
on_version(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct attempt *attempt = arg;

	if (!resolved(attempt, "function version", code, error))
		return;
	attempt->function = directory_hold(object);
	directory_connection_by_id(attempt->daemon->directory, attempt->connection_id,
				   on_connection, attempt);
}

static void
on_environment(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct attempt *attempt = arg;

	if (!resolved(attempt, "environment", code, error))
		return;
	attempt->environment = directory_hold(object);
	directory_version(attempt->daemon->directory, attempt->version_id, on_version, attempt);
}

static void
resolve(void *arg)
{
	struct attempt *attempt = arg;

	directory_environment(attempt->daemon->directory, attempt->environment_id, on_environment,
			      attempt);
}

struct attempt *
attempt_start(struct daemon *daemon, const struct attempt_ask *ask, attempt_cb *cb, void *arg)
{
	struct attempt_box *box = sl_alloc(sizeof(*box));
	struct attempt *attempt = &box->attempt;

	attempt->daemon = daemon;
	attempt->state = ATTEMPT_RESOLVING;
	if (ask->job_id != NULL)
		memcpy(attempt->job_id, ask->job_id, sizeof(attempt->job_id));
	attempt->number = ask->number;
	attempt->environment_id = ask->environment_id;
	attempt->version_id = ask->function_version_id;
	attempt->connection_id = ask->connection_id;
	attempt->kind = ask->kind;
	attempt->input = sl_memdup(ask->input.data, ask->input.len);
	attempt->input_len = ask->input.len;
	attempt->timer = loop_timer_new(daemon->loop, try_start, attempt);
	box->last = &box->first;
	box->look = loop_timer_new(daemon->loop, try_effects, box);
	attempt->cb = cb;
	attempt->arg = arg;
	/* From the loop, so that cb never comes before the caller has the pointer. */
	loop_soon(daemon->loop, resolve, attempt);
	return attempt;
}

void
attempt_abort(struct attempt *attempt)
{
	if (attempt->aborting)
		return;
	attempt->aborting = true;
	switch (attempt->state) {
	case ATTEMPT_RUNNING:
		host_cancel_all(attempt);
		drop_effects((struct attempt_box *)attempt);
		run_abort(attempt->run);
		return;
	case ATTEMPT_STARTING:
		finish(attempt, JOB_FAILED, true, (struct slice){NULL, 0});
		return;
	case ATTEMPT_RESOLVING: /* the lookup's answer ends it */
	case ATTEMPT_ENDED:
		return;
	}
}
