/* sql/settle_session.c - a worker's session: opened, kept alive, ended. */
#include <assert.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "sql/resolve.h"
#include "sql/settle_state.h"
#include "sql/unit.h"

static const struct unit_statement settle_open_session = {
    "settle_open_session", "INSERT INTO session (node) VALUES ($1::text) RETURNING id"};

static const struct unit_statement settle_beat_session = {
    "settle_beat_session",
    "UPDATE session SET beat = beat + 1 WHERE id = $1::bigint AND live RETURNING beat"};

static const struct unit_statement settle_end_session = {
    "settle_end_session",
    "UPDATE session SET live = false WHERE id = $1::bigint AND live RETURNING id"};

static const struct unit_statement settle_free_holds = {
    "settle_free_holds", "UPDATE hold SET session_id = NULL"
			 " WHERE session_id = $1::bigint AND (key_id, slot) NOT IN"
			 "  (SELECT k, n FROM unnest($2::bigint[], $3::smallint[]) u(k, n))"};

/* If the session was ended by this transaction, and not by the scheduler before: then its holds tell the
 * next holder that it was lost. */
static const struct unit_statement settle_leave_holds = {
    "settle_leave_holds",
    "UPDATE hold SET session_id = NULL WHERE session_id = $1::bigint AND (SELECT NOT s.live"
    " AND s.xmin = pg_current_xact_id()::xid FROM session s WHERE s.id = $1::bigint)"};

static struct settle_call *
settle_call_new(struct settle *settle, settle_cb *cb, void *arg)
{
	struct settle_call *call = sl_alloc(sizeof(*call));

	call->settle = settle;
	call->session = settle->session;
	call->cb = cb;
	call->arg = arg;
	return call;
}

static void
settle_on_open(void *arg, const struct unit_answer *answer)
{
	struct settle_call *call = arg;

	if (answer->code == SL_OK)
		call->settle->session = value_int(answer->results[0], 0, 0);
	call->cb(call->arg, answer->code, answer->code == SL_OK ? NULL : &answer->error);
	free(call);
}

void
settle_open(struct settle *settle, const char *node, settle_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &settle_open_session);
	unit_bind_text(unit, node);
	unit_send(unit, settle->pg, UNIT_WAIT_MS, settle_on_open, settle_call_new(settle, cb, arg));
}

int64_t
settle_session(const struct settle *settle)
{
	return settle->session;
}

static void
settle_on_beat(void *arg, const struct unit_answer *answer)
{
	struct settle_call *call = arg;
	struct settle *settle = call->settle;
	struct sl_error error = answer->error;
	enum sl_code code = answer->code;

	if (code == SL_OK && PQntuples(answer->results[0]) == 0) {
		code = sl_fail(&error, SL_CONFLICT, "the session was ended");
		settle_lose_session(settle, call->session);
	}
	call->cb(call->arg, code, code == SL_OK ? NULL : &error);
	free(call);
	settle_deliver(settle);
}

/* Not part of a batch: it does not wait for one to fill, and a lost beat is not repeated. */
void
settle_beat(struct settle *settle, settle_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &settle_beat_session);
	unit_bind_int(unit, settle->session);
	unit_send(unit, settle->pg, SETTLE_BEAT_WAIT_MS, settle_on_beat,
		  settle_call_new(settle, cb, arg));
}

static void
settle_on_released(void *arg, const struct unit_answer *answer)
{
	struct settle_call *call = arg;

	call->cb(call->arg, answer->code, answer->code == SL_OK ? NULL : &answer->error);
	free(call);
}

void
settle_release(struct settle *settle, const struct settle_key *keep, int count, settle_cb *cb,
	       void *arg)
{
	struct unit *unit = unit_new();
	struct value_array keys, slots;

	value_array_init(&keys, VALUE_INT8);
	value_array_init(&slots, VALUE_INT2);
	for (int i = 0; i < count; i++) {
		value_array_int(&keys, keep[i].key_id);
		value_array_int(&slots, keep[i].slot);
	}
	unit_add(unit, &settle_free_holds);
	unit_bind_int(unit, settle->session);
	unit_bind_array(unit, &keys);
	unit_bind_array(unit, &slots);
	unit_send(unit, settle->pg, SETTLE_BEAT_WAIT_MS, settle_on_released,
		  settle_call_new(settle, cb, arg));
}

static void
settle_on_close(void *arg, const struct unit_answer *answer)
{
	struct settle_call *call = arg;
	struct sl_error error = answer->error;
	enum sl_code code = answer->code;
	int64_t resolved;

	if (code == SL_OK && PQntuples(answer->results[0]) == 0)
		code = sl_fail(&error, SL_CONFLICT, "the session was ended");
	else if (code == SL_OK && (resolved = resolve_count(answer, call->resolved)) > 0)
		log_warn("session_closed_with_attempts", "attempts=%lld", (long long)resolved);
	if ((code == SL_OK || code == SL_CONFLICT) && call->settle->session == call->session)
		call->settle->session = 0;
	call->cb(call->arg, code, code == SL_OK ? NULL : &error);
	free(call);
}

void
settle_send_close(struct settle *settle)
{
	struct settle_call *call = settle->closing;
	struct unit *unit = unit_new();

	settle->closing = NULL;
	unit_add(unit, &settle_end_session);
	unit_bind_int(unit, call->session);
	unit_add(unit, &settle_leave_holds);
	unit_bind_int(unit, call->session);
	call->resolved = resolve_add(unit, 0);
	unit_send(unit, settle->pg, UNIT_WAIT_MS, settle_on_close, call);
}

void
settle_close(struct settle *settle, settle_cb *cb, void *arg)
{
	assert(settle->closing == NULL);
	settle->closing = settle_call_new(settle, cb, arg);
	settle_flush_soon(settle);
}
