/* daemon/worker/host.c - the table of ops, and the life of a call.
 *
 * The function is not trusted: every member is checked.  An op that has an effect passes the gate
 * of the attempt (attempt_effect()) before it is served; `http` does so for each of its tries. */
#include "daemon/worker/host.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "daemon/egress/send.h"
#include "daemon/worker/host_call.h"

enum {
	FOR_ACTION = 1 << JOB_ACTION,
	FOR_SYNC = 1 << JOB_SYNC | 1 << JOB_WEBHOOK,
	FOR_ALL = FOR_ACTION | FOR_SYNC | 1 << JOB_EVENT,
};
enum { WITH_CONNECTION = 1, WITH_EFFECT = 2 };

#define RETRY_MS 250

struct host_op {
	const char *name;
	unsigned kinds; /* that may ask for it */
	unsigned with;
	void (*serve)(struct host_call *call);
};

static const struct host_op ops[] = {
    {"http", FOR_ALL, WITH_CONNECTION, host_http},
    {"fetch", FOR_ALL, WITH_EFFECT, host_fetch},
    {"connection", FOR_ALL, WITH_CONNECTION, host_connection},
    {"integration", FOR_ALL, WITH_CONNECTION, host_integration},
    {"paginate_defaults", FOR_ALL, WITH_CONNECTION, host_paginate},
    {"metadata_set", FOR_ALL, WITH_CONNECTION | WITH_EFFECT, host_metadata_set},
    {"metadata_update", FOR_ALL, WITH_CONNECTION | WITH_EFFECT, host_metadata_update},
    {"environment_variables", FOR_ALL, 0, host_variables},
    {"get_flow_attributes", FOR_ALL, 0, host_flow_attributes},
    {"log", FOR_ALL, 0, host_log},
    {"trigger_action", FOR_ALL, 0, host_trigger_action},
    {"trigger_sync", FOR_ALL, WITH_EFFECT, host_trigger_sync},
    {"start_sync", FOR_ALL, WITH_EFFECT, host_start_sync},
    {"try_acquire_lock", FOR_ALL, 0, host_lock},
    {"release_lock", FOR_ALL, 0, host_unlock},
    {"release_all_locks", FOR_ALL, 0, host_unlock_all},
    {"get_checkpoint", FOR_ALL, 0, host_checkpoint_get},
    {"save_checkpoint", FOR_ALL, WITH_EFFECT, host_checkpoint_save},
    {"clear_checkpoint", FOR_ALL, WITH_EFFECT, host_checkpoint_clear},
    {"batch_save", FOR_SYNC, WITH_EFFECT, host_batch_save},
    {"batch_update", FOR_SYNC, WITH_EFFECT, host_batch_update},
    {"batch_delete", FOR_SYNC, WITH_EFFECT, host_batch_delete},
    {"get_records_by_ids", FOR_SYNC, 0, host_records_by_ids},
    {"list_records", FOR_SYNC, 0, host_records_list},
    {"track_deletes_start", FOR_SYNC, WITH_EFFECT, host_track_start},
    {"track_deletes_end", FOR_SYNC, WITH_EFFECT, host_track_end},
    {"delete_records_from_previous_executions", FOR_SYNC, WITH_EFFECT, host_delete_unseen},
    {"set_merging_strategy", FOR_SYNC, 0, host_merging},
};

/* ---- answers --------------------------------------------------------------------------------- */

/* Drops what serving it has made. */
static void
call_clear(struct host_call *call)
{
	if (call->state != NULL)
		call->state_free(call->state);
	call->state = NULL;
	for (int i = 0; i < call->kept_count; i++)
		free(call->kept[i]);
	call->kept_count = call->header_count = 0;
}

static void
call_free(void *arg)
{
	struct host_call *call = arg;

	loop_timer_free(call->retry);
	directory_release(call->connection);
	directory_release(call->integration);
	call_clear(call);
	free(call->meta_bytes);
	free(call->body);
	free(call);
}

static void
unlink_call(struct host_call *call)
{
	if (call->link == NULL)
		return;
	*call->link = call->next;
	if (call->next != NULL)
		call->next->link = call->link;
	call->link = NULL;
}

void
host_answer(struct host_call *call, bool ok, struct slice meta, struct slice body)
{
	struct attempt *attempt = call->attempt;

	assert(attempt != NULL); /* host_is_orphan() was asked first */
	if (attempt->run != NULL && !attempt->aborting && call->id != 0)
		run_reply(attempt->run, call->id, ok, meta, body);
	unlink_call(call);
	call->attempt = NULL;
	loop_free_later(attempt->daemon->loop, call_free, call);
	attempt_look_at_calls(attempt);
}

void
host_fail(struct host_call *call, const char *code, const char *message)
{
	struct json_writer w;
	struct buf out;

	buf_init(&out, 1 << 16);
	jw_init(&w, &out);
	jw_object(&w);
	jw_member_text(&w, "code", code);
	jw_member_text(&w, "message", message);
	jw_object_end(&w);
	host_answer(call, false, buf_slice(&out), (struct slice){NULL, 0});
	buf_fini(&out);
}

void
host_failf(struct host_call *call, const char *code, const char *format, ...)
{
	char text[600];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	host_fail(call, code, text);
}

void
host_answer_json(struct host_call *call, const struct buf *out)
{
	if (out->over)
		host_fail(call, "response_too_large",
			  "the answer is larger than a function can be given (64 MiB)");
	else
		host_answer(call, true, buf_slice(out), (struct slice){NULL, 0});
}

void
host_fail_sl(struct host_call *call, enum sl_code code, const struct sl_error *error)
{
	host_fail(call,
		  code == SL_NOT_FOUND ? "unknown_connection"
		  : code == SL_INVALID ? "invalid_request"
				       : "server_error",
		  code == SL_NOT_FOUND ? "there is no such connection in this environment"
		  : error != NULL      ? error->text
				       : "the service could not do this right now");
}

static void
fail_aborted(struct host_call *call)
{
	host_fail(call, "script_aborted", "the worker may not act for this run any more");
}

#define CANCELLED                                                                          \
	SLICE_LITERAL("{\"code\":\"script_aborted\",\"message\":\"the job was cancelled: " \
		      "nothing that it asks for is done any more\"}")

static void
refuse_cancelled(struct attempt *attempt, int64_t call_id)
{
	if (call_id != 0) /* it waits for the answer */
		run_reply(attempt->run, call_id, false, CANCELLED, (struct slice){NULL, 0});
}

void
host_fail_write(struct host_call *call, enum sl_code code, const struct sl_error *error)
{
	if (code == SL_CONFLICT)
		fail_aborted(call);
	else if (code != SL_UNAVAILABLE || !host_retry(call, NULL))
		host_fail(call, code == SL_INVALID ? "invalid_request" : "server_error",
			  error != NULL ? error->text : "the service could not do this right now");
}

bool
host_is_orphan(struct host_call *call)
{
	call->pending = false;
	if (call->attempt != NULL)
		return false;
	call_free(call);
	return true;
}

void
host_cancel_all(struct attempt *attempt)
{
	attempt->checkpoint.first = NULL;
	attempt->checkpoint.last = &attempt->checkpoint.first;
	while (attempt->calls != NULL) {
		struct host_call *call = attempt->calls;
		struct attempt *nested = call->nested;

		unlink_call(call);
		if (call->egress != NULL) {
			egress_cancel(call->egress);
			call->egress = NULL;
		}
		if (call->fetch != NULL)
			http_call_cancel(call->fetch);
		call->attempt = NULL;
		if (call->retry != NULL)
			loop_timer_stop(call->retry);
		if (!call->pending)
			loop_free_later(attempt->daemon->loop, call_free, call);
		if (nested != NULL) /* its end frees the call */
			attempt_abort(nested);
	}
	attempt_look_at_calls(attempt);
}

void
host_refuse_all(struct attempt *attempt)
{
	for (const struct host_call *call = attempt->calls; call != NULL; call = call->next)
		refuse_cancelled(attempt, call->id);
	host_cancel_all(attempt);
}

const char *
host_keep_text(struct host_call *call, struct json_value value)
{
	char *text = json_text(value, NULL);

	if (text != NULL) {
		assert(call->kept_count < (int)(sizeof(call->kept) / sizeof(call->kept[0])));
		call->kept[call->kept_count++] = text;
	}
	return text;
}

/* ---- serving --------------------------------------------------------------------------------- */

static void
on_allowed(void *arg, bool allowed)
{
	struct host_call *call = arg;

	if (allowed)
		call->op->serve(call);
	else
		fail_aborted(call);
}

static void
serve(struct host_call *call)
{
	if ((call->op->with & WITH_EFFECT) != 0)
		attempt_effect(call->attempt, on_allowed, call);
	else
		call->op->serve(call);
}

static void
on_integration(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct host_call *call = arg;

	if (host_is_orphan(call))
		return;
	if (code != SL_OK) {
		host_fail_sl(call, code, error);
		return;
	}
	call->integration = directory_hold(object);
	serve(call);
}

static void
on_connection(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct host_call *call = arg;

	if (host_is_orphan(call))
		return;
	if (code != SL_OK) {
		host_fail_sl(call, code, error);
		return;
	}
	call->connection = directory_hold(object);
	call->pending = true;
	directory_integration(call->attempt->daemon->directory, call->attempt->environment_id,
			      call->connection->row.unique_key, on_integration, call);
}

/* Looks the connection up afresh: a setMetadata() of this run must be seen by the next
 * getMetadata(). */
static void
find_connection(struct host_call *call)
{
	const struct account_connection *own = &call->attempt->connection->row;
	const char *key = host_keep_text(call, json_get(call->meta, "providerConfigKey"));
	const char *id = host_keep_text(call, json_get(call->meta, "connectionId"));

	call->pending = true;
	directory_connection(call->attempt->daemon->directory, call->attempt->environment_id,
			     key != NULL ? key : own->unique_key,
			     id != NULL ? id : own->connection_id, on_connection, call);
}

static void
on_retry(void *arg)
{
	struct host_call *call = arg;

	if (call->again != NULL) {
		call->again(call);
		return;
	}
	call_clear(call);
	serve(call);
}

bool
host_retry(struct host_call *call, void (*again)(struct host_call *call))
{
	if (attempt_job(call->attempt)[0] == '\0')
		return false;
	call->again = again;
	if (call->retry == NULL)
		call->retry = loop_timer_new(call->attempt->daemon->loop, on_retry, call);
	loop_timer_in(call->retry, RETRY_MS);
	return true;
}

/* A request is told with its method and where it goes; never with what it carries. */
static void
note_call(struct host_call *call)
{
	bool is_http = strcmp(call->op->name, "http") == 0;

	if (strcmp(call->op->name, "log") == 0) /* says nothing, and comes between */
		return;
	attempt_note_call(call->attempt, call->op->name,
			  is_http ? host_keep_text(call, json_get(call->meta, "method")) : NULL,
			  is_http ? host_keep_text(call, json_get(call->meta, "endpoint")) : NULL);
}

static const struct host_op *
find_op(struct slice name)
{
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (slice_is(name, ops[i].name))
			return &ops[i];
	return NULL;
}

static struct host_call *
call_new(struct attempt *attempt, int64_t id, struct slice meta, struct slice body)
{
	struct host_call *call = sl_alloc(sizeof(*call));

	call->attempt = attempt;
	call->id = id;
	call->meta_bytes = sl_memdup(meta.data, meta.len);
	call->body = sl_memdup(body.data, body.len);
	call->body_len = body.len;
	call->next = attempt->calls;
	call->link = &attempt->calls;
	if (call->next != NULL)
		call->next->link = &call->next;
	attempt->calls = call;
	return call;
}

static void
start(struct host_call *call)
{
	note_call(call);
	if ((call->op->with & WITH_CONNECTION) != 0)
		find_connection(call);
	else
		serve(call);
}

void
host_serve(struct attempt *attempt, int64_t call_id, struct slice op, struct slice meta,
	   struct slice body)
{
	struct host_call *call;
	struct sl_error error;

	if (attempt->aborting)
		return;
	if (attempt->cancelled) {
		refuse_cancelled(attempt, call_id);
		return;
	}
	if (call_id == 0 && attempt->log_full && slice_is(op, "log"))
		return; /* a flood costs no more than its frames */
	call = call_new(attempt, call_id, meta, body);
	call->op = find_op(op);
	if (meta.len > 0 &&
	    json_check((struct slice){call->meta_bytes, meta.len}, &call->meta, &error) != SL_OK)
		host_fail(call, "invalid_request", "the call's description is no JSON");
	else if (call->op == NULL)
		host_fail(call, "unsupported",
			  "this version of sluice does not offer that call yet");
	else if ((call->op->kinds & 1u << attempt->kind) == 0)
		host_failf(call, "unsupported", "%s is for syncs, this is a function of kind %s",
			   call->op->name, job_kind_name(attempt->kind));
	else
		start(call);
	attempt_look_at_calls(attempt);
}
