/* daemon/worker/attempt_effect.c - the gate in front of effects: begun, and under a live session.
 *
 * A nested attempt has no gate of its own to pass: its effects are those of the outermost one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/log.h"
#include "daemon/worker/attempt_parts.h"
#include "daemon/worker/dispatch.h"
#include "daemon/worker/sync_run.h"
#include "sql/settle.h"

#define EFFECT_LOOK_MS 50
#define NO_SESSION (-1) /* the worker's has ended: no such row, so the ledger refuses */

struct effect { /* waits for "begun", or for a beat of the session */
	struct effect *next;
	struct attempt *owner; /* the attempt that asked: the outermost, or one inside of it */
	attempt_effect_cb *cb;
	void *arg;
};

struct begin { /* one settle_begin in flight; outlives the attempt when that ends first */
	struct attempt *attempt; /* NULL: it ended */
	struct daemon *daemon;
};

struct attempt_gate {
	struct attempt *attempt;
	struct begin *begin;
	struct effect *first, **last; /* in the order asked */
	struct loop_timer *look;      /* armed while they wait for a beat */
};

static void try_effects(void *arg);

static struct attempt *
outermost(struct attempt *attempt)
{
	while (attempt->parent != NULL)
		attempt = attempt->parent;
	return attempt;
}

const char *
attempt_job(const struct attempt *attempt)
{
	while (attempt->parent != NULL)
		attempt = attempt->parent;
	return attempt->job_id;
}

/* Text of somebody else: a byte that is no part of a character would spoil the rest of a log line. */
static void
make_plain(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
			*text = '?';
}

void
attempt_note_call(struct attempt *attempt, const char *op, const char *method, const char *at)
{
	char *out = outermost(attempt)->death.last_call;
	const char *host = at != NULL ? strstr(at, "://") : NULL;

	if (host != NULL) /* which may carry a password */
		at = host + 3 + strcspn(host + 3, "/?#");
	if (method == NULL || at == NULL)
		snprintf(out, ATTEMPT_LAST_CALL_MAX + 1, "%s", op);
	else
		snprintf(out, ATTEMPT_LAST_CALL_MAX + 1, "%s %s %.*s", op, method,
			 (int)strcspn(at, "?#"), at);
	make_plain(out);
}

struct sync_fence
attempt_write_fence(const struct attempt *attempt)
{
	struct sync_fence fence = {0};

	while (attempt->parent != NULL)
		attempt = attempt->parent;
	if (attempt->job_id[0] == '\0')
		return fence;
	fence.session = settle_session(attempt->daemon->settle);
	if (fence.session == 0)
		fence.session = NO_SESSION;
	fence.job_id = attempt->job_id;
	fence.number = attempt->number;
	if (attempt->sync != NULL) {
		fence.sync_id = attempt->sync->id;
		fence.newest = attempt->kind == JOB_SYNC;
	}
	return fence;
}

struct attempt_gate *
attempt_gate_new(struct attempt *attempt)
{
	struct attempt_gate *gate = sl_alloc(sizeof(*gate));

	gate->attempt = attempt;
	gate->last = &gate->first;
	gate->look = loop_timer_new(attempt->daemon->loop, try_effects, gate);
	return gate;
}

void
attempt_gate_free(struct attempt_gate *gate)
{
	loop_timer_free(gate->look);
	free(gate);
}

void
attempt_gate_drop(struct attempt *attempt)
{
	struct attempt_gate *gate = outermost(attempt)->gate;
	struct effect **link = &gate->first, *effect;

	while ((effect = *link) != NULL) {
		if (attempt->parent != NULL && effect->owner != attempt) {
			link = &effect->next;
			continue;
		}
		*link = effect->next;
		free(effect);
	}
	gate->last = link;
}

void
attempt_gate_close(struct attempt *attempt)
{
	struct attempt_gate *gate = attempt->gate;

	attempt_gate_drop(attempt);
	if (attempt->parent != NULL)
		return;
	loop_timer_stop(gate->look);
	if (gate->begin != NULL)
		gate->begin->attempt = NULL;
	gate->begin = NULL;
}

static void
release_effects(struct attempt_gate *gate, bool allowed)
{
	struct effect *effect;

	while ((effect = gate->first) != NULL && !gate->attempt->aborting) {
		gate->first = effect->next;
		if (gate->first == NULL)
			gate->last = &gate->first;
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
		attempt->gate->begin = NULL;
		attempt->begin = code == SL_OK ? BEGIN_DURABLE : BEGIN_REFUSED;
		if (code != SL_OK)
			log_warn("begin_refused", "job=%s attempt=%d code=%s error=%s",
				 attempt->job_id, attempt->number, sl_code_name(code),
				 log_text(error != NULL ? error->text : ""));
		if (attempt->died && attempt->begin == BEGIN_DURABLE)
			attempt_finish_died(attempt);
		else
			try_effects(attempt->gate);
		if (attempt->begin == BEGIN_REFUSED)
			attempt_abort(attempt);
	}
	/* Refused is the ledger's word; anything else leaves in doubt whether the attempt is begun,
	 * which only the end of the session resolves. */
	if (code != SL_OK && (code != SL_CONFLICT || settle_session(begin->daemon->settle) == 0))
		dispatch_session_lost(begin->daemon->dispatch);
	free(begin);
}

void
attempt_fenced(struct attempt *attempt, bool allowed)
{
	if (attempt->aborting || attempt->cancelled || attempt->state == ATTEMPT_ENDED)
		return;
	attempt->fence = NULL;
	if (!allowed)
		attempt->begin = BEGIN_REFUSED;
	else if (attempt->begin == BEGIN_FENCING)
		attempt->begin = BEGIN_NOT_YET;
	try_effects(attempt->gate);
	if (!allowed)
		attempt_abort(attempt);
}

static void
ask_begin(struct attempt_gate *gate)
{
	struct attempt *attempt = gate->attempt;

	attempt->begin = BEGIN_ASKED;
	gate->begin = sl_alloc(sizeof(*gate->begin));
	gate->begin->attempt = attempt;
	gate->begin->daemon = attempt->daemon;
	settle_begin(attempt->daemon->settle, attempt->job_id, attempt->number, on_begun,
		     gate->begin);
}

/* Without a good beat an effect waits: the next one allows it, or the session is lost and the
 * attempt is killed.  The function never sees that Postgres was away. */
static void
try_effects(void *arg)
{
	struct attempt_gate *gate = arg;
	bool good = dispatch_may_effect(gate->attempt->daemon->dispatch);

	if (gate->first == NULL || gate->attempt->aborting)
		return;
	switch (gate->attempt->begin) {
	case BEGIN_NOT_YET:
		if (!good) {
			loop_timer_in(gate->look, EFFECT_LOOK_MS);
		} else if (gate->attempt->fence != NULL) {
			gate->attempt->begin = BEGIN_FENCING;
			gate->attempt->fence(gate->attempt->arg);
		} else {
			ask_begin(gate);
		}
		return;
	case BEGIN_FENCING:
	case BEGIN_ASKED:
		return;
	case BEGIN_DURABLE:
		if (good)
			release_effects(gate, true);
		else
			loop_timer_in(gate->look, EFFECT_LOOK_MS);
		return;
	case BEGIN_REFUSED:
		release_effects(gate, false);
		return;
	}
}

void
attempt_effect(struct attempt *attempt, attempt_effect_cb *cb, void *arg)
{
	struct attempt_gate *gate = outermost(attempt)->gate;
	struct effect *effect;

	if (gate->attempt->job_id[0] == '\0') {
		cb(arg, true);
		return;
	}
	effect = sl_alloc(sizeof(*effect));
	effect->owner = attempt;
	effect->cb = cb;
	effect->arg = arg;
	*gate->last = effect;
	gate->last = &effect->next;
	try_effects(gate);
}
