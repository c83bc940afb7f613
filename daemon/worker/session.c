/* daemon/worker/session.c - see session.h. */
#include "daemon/worker/session.h"

#include <assert.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "daemon/settings.h"
#include "sql/settle.h"

#define REOPEN_MS 300

struct session {
	struct daemon *daemon;
	const struct session_events *events;
	void *arg;
	enum session_state state;
	int64_t ttl_ms;
	int64_t beat_ok_ms; /* when the last good beat was sent, monotonic */
	bool silent;
	bool beating, stopping;
	struct loop_timer *renew, *reopen;
};

struct beat {
	struct session *session;
	int64_t sent_ms;
	int64_t id;
};

enum session_state
session_state(const struct session *session)
{
	return session->state;
}

bool
session_may_effect(const struct session *session)
{
	return !session->silent && session->beat_ok_ms > clock_mono_ms() - session->ttl_ms * 2 / 3;
}

void
session_silence(struct session *session)
{
	session->silent = true;
}

/* ---- proof of life --------------------------------------------------------------------------- */

static void
on_beat(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct beat *beat = arg;
	struct session *session = beat->session;
	int64_t now = settle_session(session->daemon->settle);

	session->beating = false;
	if (code == SL_OK && beat->id == now)
		session->beat_ok_ms = beat->sent_ms;
	else if (code == SL_CONFLICT && now == 0)
		session->events->lost(session->arg);
	else if (code != SL_OK)
		log_warn("beat_failed", "code=%s error=%s", sl_code_name(code),
			 log_text(error != NULL ? error->text : ""));
	free(beat);
}

static void
on_renew(void *arg)
{
	struct session *session = arg;
	struct beat *beat;

	if (settle_session(session->daemon->settle) == 0) {
		if (session->state == SESSION_LIVE || session->state == SESSION_ENDING)
			session->events->lost(session->arg);
		return;
	}
	if (!session->beating) {
		beat = sl_alloc(sizeof(*beat));
		beat->session = session;
		beat->sent_ms = clock_mono_ms();
		beat->id = settle_session(session->daemon->settle);
		session->beating = true;
		settle_beat(session->daemon->settle, on_beat, beat);
	}
	session->events->tick(session->arg);
}

/* ---- start and end --------------------------------------------------------------------------- */

static void
enter_off(struct session *session)
{
	session->state = SESSION_OFF;
	if (!session->stopping)
		loop_timer_in(session->reopen, REOPEN_MS);
	session->events->closed(session->arg);
}

static void
on_opened(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct session *session = arg;

	assert(session->state == SESSION_OPENING);
	if (code != SL_OK) {
		log_debug("session_not_opened", "error=%s",
			  log_text(error != NULL ? error->text : ""));
		enter_off(session);
		return;
	}
	FAULT_POINT("session_opened");
	session->beat_ok_ms = clock_mono_ms();
	session->silent = false;
	session->state = SESSION_LIVE;
	session->events->opened(session->arg);
}

static void
on_reopen(void *arg)
{
	struct session *session = arg;

	if (session->state != SESSION_OFF || session->stopping)
		return;
	session->state = SESSION_OPENING;
	settle_open(session->daemon->settle, session->daemon->node, on_opened, session);
}

static void
on_closed(void *arg, enum sl_code code, const struct sl_error *error)
{
	(void)error;
	if (code != SL_OK && code != SL_CONFLICT)
		log_warn("session_not_closed", "code=%s", sl_code_name(code));
	enter_off(arg);
}

void
session_end(struct session *session)
{
	if (session->state == SESSION_LIVE)
		session->state = SESSION_ENDING;
}

void
session_close(struct session *session)
{
	assert(session->state == SESSION_ENDING);
	session->state = SESSION_CLOSING;
	if (settle_session(session->daemon->settle) == 0)
		on_closed(session, SL_OK, NULL);
	else
		settle_close(session->daemon->settle, on_closed, session);
}

void
session_stop(struct session *session)
{
	session->stopping = true;
}

struct session *
session_new(struct daemon *daemon, int64_t ttl_ms, const struct session_events *events, void *arg)
{
	struct session *session = sl_alloc(sizeof(*session));

	session->daemon = daemon;
	session->events = events;
	session->arg = arg;
	session->ttl_ms = ttl_ms;
	session->renew = loop_timer_new(daemon->loop, on_renew, session);
	session->reopen = loop_timer_new(daemon->loop, on_reopen, session);
	loop_timer_every(session->renew, ttl_ms / 3);
	loop_timer_in(session->reopen, 0);
	return session;
}

void
session_free(struct session *session)
{
	if (session == NULL)
		return;
	loop_timer_free(session->renew);
	loop_timer_free(session->reopen);
	free(session);
}
