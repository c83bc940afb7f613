#include "sql/pg.h"

#include <assert.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/secret.h"
#include "sql/pg_link.h"
#include "sql/unit.h"

#define PG_BACKOFF_MIN_MS 100
#define PG_BACKOFF_MAX_MS 2000
#define PG_TIMEOUT_MS 10000
#define PG_NEXT_HOST_MS 3000
#define PG_EXPIRE_MS 100

/* Who may follow whom; see pg_link.h. */
static const bool pg_allows[PG_CLOSED + 1][PG_CLOSED + 1] = {
    [PG_WAITING] = {[PG_CONNECTING] = true, [PG_WAITING] = true, [PG_CLOSED] = true},
    [PG_CONNECTING] = {[PG_GREETING] = true, [PG_WAITING] = true, [PG_CLOSED] = true},
    [PG_GREETING] = {[PG_UP] = true, [PG_WAITING] = true, [PG_CLOSED] = true},
    [PG_UP] = {[PG_WAITING] = true, [PG_CLOSED] = true},
};

/* ---- state ---------------------------------------------------------------------------------- */

void
pg_enter(struct pg *pg, enum pg_state to)
{
	assert(pg_allows[pg->state][to]);
	pg->state = to;
	switch (to) {
	case PG_WAITING:
		loop_timer_in(pg->timer, pg->backoff_ms);
		return;
	case PG_CONNECTING:
	case PG_GREETING:
		loop_timer_in(pg->timer, pg->host_count > 1 && pg->timeout_ms > PG_NEXT_HOST_MS
					     ? PG_NEXT_HOST_MS
					     : pg->timeout_ms);
		return;
	case PG_UP:
		pg->backoff_ms = PG_BACKOFF_MIN_MS;
		pg->error[0] = '\0';
		loop_timer_stop(pg->timer);
		return;
	case PG_CLOSED:
		loop_timer_stop(pg->timer);
		return;
	}
}

static void
pg_disconnect(struct pg *pg)
{
	loop_watch_free(pg->watch);
	pg->watch = NULL;
	PQfinish(pg->conn);
	pg->conn = NULL;
	pg->prepared_count = 0;
	pg->broken = false;
}

/* Doubles with each failure; a quarter of it is random, so that a fleet does not return as one. */
static int
pg_next_backoff(const struct pg *pg)
{
	int next = pg->backoff_ms * 2 > PG_BACKOFF_MAX_MS ? PG_BACKOFF_MAX_MS : pg->backoff_ms * 2;
	uint8_t dice;

	secret_random(&dice, sizeof(dice));
	return next - next / 4 * dice / 255;
}

static void
pg_fail_all(struct pg *pg, struct unit_list *list)
{
	struct unit *unit;

	while ((unit = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, unit, link);
		unit_fail(unit, pg->error[0] != '\0' ? pg->error : "the connection was closed");
		unit_finish(unit);
	}
}

void
pg_lost(struct pg *pg, const char *why)
{
	bool was_up = pg->state == PG_UP;

	pg_explain(pg, why);
	if (was_up || pg->backoff_ms == PG_BACKOFF_MIN_MS)
		log_warn("postgres_down", "connection=%s error=%s", log_text(pg->name),
			 log_text(pg->error));
	pg_disconnect(pg);
	pg_enter(pg, PG_WAITING);
	pg->backoff_ms = pg_next_backoff(pg);
	pg_fail_all(pg, &pg->sent);
	if (was_up && pg->state != PG_CLOSED && pg->cb != NULL)
		pg->cb(pg->arg, false);
}

static void
pg_on_broken(void *arg)
{
	struct pg *pg = arg;

	if (pg->broken && pg->conn != NULL)
		pg_lost(pg, PQerrorMessage(pg->conn));
}

/* From inside a caller's call nobody may be called back: the loss is handled when the turn ends. */
static void
pg_break(struct pg *pg)
{
	if (!pg->broken)
		loop_soon(pg->loop, pg_on_broken, pg);
	pg->broken = true;
}

static void
pg_on_timer(void *arg)
{
	struct pg *pg = arg;

	switch (pg->state) {
	case PG_WAITING:
		pg_connect(pg);
		return;
	case PG_CONNECTING:
	case PG_GREETING:
		if (pg->host_count > 1)
			pg->first_host = (pg->first_host + 1) % pg->host_count;
		pg_lost(pg, "timed out while connecting");
		return;
	case PG_UP:
		pg_lost(pg, "timed out waiting for an answer");
		return;
	case PG_CLOSED:
		return;
	}
}

/* ---- sending -------------------------------------------------------------------------------- */

/* libpq keeps what the socket does not take; without POLLOUT both sides would wait for ever. */
void
pg_flush(struct pg *pg)
{
	switch (PQflush(pg->conn)) {
	case 0:
		loop_watch_set(pg->watch, LOOP_READ);
		return;
	case 1:
		loop_watch_set(pg->watch, LOOP_READ | LOOP_WRITE);
		return;
	default:
		pg_break(pg);
	}
}

static bool
pg_is_prepared(const struct pg *pg, const struct unit_statement *statement)
{
	for (int i = 0; i < pg->prepared_count; i++)
		if (pg->prepared[i] == statement)
			return true;
	return false;
}

void
pg_transmit(struct pg *pg, struct unit *unit)
{
	bool ok = true;

	unit->sent = true;
	unit->sent_us = clock_mono_us();
	if (TAILQ_EMPTY(&pg->sent) && pg->state == PG_UP)
		loop_timer_in(pg->timer, pg->timeout_ms);
	TAILQ_INSERT_TAIL(&pg->sent, unit, link);
	if (pg->pooled) {
		unit->at = -1;
		ok = pg_transmit_settings(pg);
	}
	for (int i = 0; ok && i < unit->count; i++)
		ok = unit_transmit(unit, i, pg->conn, !pg->pooled);
	if (!ok || PQpipelineSync(pg->conn) != 1)
		pg_break(pg);
}

/* Those who count on the statement fail as it did, not for want of it; the next one tries again. */
static void
pg_on_prepared(void *arg, const struct unit_answer *answer)
{
	struct pg_preparation *preparation = arg;
	struct pg *pg = preparation->pg;
	const struct unit_statement *statement = preparation->statement;
	struct unit *unit;

	free(preparation);
	if (answer->code == SL_OK || answer->in_doubt)
		return;
	log_error("postgres_prepare_failed", "statement=%s error=%s", statement->name,
		  log_text(answer->error.text));
	for (unit = TAILQ_FIRST(&pg->sent); unit != NULL; unit = TAILQ_NEXT(unit, link))
		unit_fail_with(unit, statement, answer);
	for (int i = 0; i < pg->prepared_count; i++)
		if (pg->prepared[i] == statement)
			pg->prepared[i] = pg->prepared[--pg->prepared_count];
}

/* A transaction of its own: a statement stays prepared whatever becomes of those who use it. */
static void
pg_prepare(struct pg *pg, const struct unit_statement *statement)
{
	struct pg_preparation *preparation;
	struct unit *unit;

	if (pg->pooled || statement->name == NULL || pg_is_prepared(pg, statement))
		return;
	assert(pg->prepared_count < PG_STATEMENTS_MAX);
	pg->prepared[pg->prepared_count++] = statement;
	unit = unit_new();
	unit_add(unit, statement);
	unit->prepare = true;
	unit->cb = pg_on_prepared;
	preparation = sl_alloc(sizeof(*preparation));
	preparation->pg = pg;
	preparation->statement = statement;
	unit->arg = preparation;
	pg_transmit(pg, unit);
}

static void
pg_send_waiting(struct pg *pg)
{
	struct unit *unit;

	while (pg->state == PG_UP && !pg->broken && (unit = TAILQ_FIRST(&pg->waiting)) != NULL) {
		TAILQ_REMOVE(&pg->waiting, unit, link);
		for (int i = 0; i < unit->count; i++)
			pg_prepare(pg, unit->commands[i].statement);
		pg_transmit(pg, unit);
	}
	if (pg->state == PG_UP && !pg->broken)
		pg_flush(pg);
}

static void
pg_on_expiry(void *arg)
{
	struct pg *pg = arg;
	struct unit *unit, *next;
	struct unit_list late = TAILQ_HEAD_INITIALIZER(late);
	int64_t now = clock_mono_ms();

	for (unit = TAILQ_FIRST(&pg->waiting); unit != NULL; unit = next) {
		next = TAILQ_NEXT(unit, link);
		if (unit->wait_until_ms > now && pg->state != PG_CLOSED)
			continue;
		TAILQ_REMOVE(&pg->waiting, unit, link);
		TAILQ_INSERT_TAIL(&late, unit, link);
	}
	if (!TAILQ_EMPTY(&pg->waiting))
		loop_timer_in(pg->expiry, PG_EXPIRE_MS);
	pg_fail_all(pg, &late);
}

static void
pg_on_refused(void *arg)
{
	unit_finish(arg);
}

void
pg_submit(struct pg *pg, struct unit *unit)
{
	if (pg->state == PG_CLOSED) { /* a callback of pg_free() asks for more */
		unit_fail(unit, "the connection was closed");
		loop_soon(pg->loop, pg_on_refused, unit);
		return;
	}
	TAILQ_INSERT_TAIL(&pg->waiting, unit, link);
	pg_send_waiting(pg);
	if (!TAILQ_EMPTY(&pg->waiting) && !loop_timer_is_armed(pg->expiry))
		loop_timer_in(pg->expiry, PG_EXPIRE_MS);
}

/* ---- receiving ------------------------------------------------------------------------------ */

/* A unit was answered whole.  False: stop, the connection is not what it was. */
static bool
pg_answered(struct pg *pg, struct unit *unit)
{
	bool read_only = unit->read_only;

	TAILQ_REMOVE(&pg->sent, unit, link);
	metric_observe(&metrics[METRIC_POSTGRES_LATENCY], 0, 0,
		       (double)(clock_mono_us() - unit->sent_us) / 1e6);
	if (pg->state == PG_UP) {
		if (TAILQ_EMPTY(&pg->sent))
			loop_timer_stop(pg->timer);
		else
			loop_timer_in(pg->timer, pg->timeout_ms);
	}
	unit_finish(unit);
	if (pg->conn == NULL)
		return false;
	if (read_only) /* a failover: look for the server that takes writes */
		pg_lost(pg, "the server is read-only");
	return pg->conn != NULL;
}

static void
pg_collect(struct pg *pg)
{
	struct unit *unit;

	while ((unit = TAILQ_FIRST(&pg->sent)) != NULL && !PQisBusy(pg->conn)) {
		PGresult *result = PQgetResult(pg->conn);

		if (result == NULL) { /* the end of one command */
			if (unit->at++ > unit->count) {
				pg_lost(pg, "answers out of step");
				return;
			}
			continue;
		}
		if (PQresultStatus(result) != PGRES_PIPELINE_SYNC) {
			unit_take(unit, result);
			continue;
		}
		PQclear(result);
		if (!unit_is_whole(unit)) {
			pg_lost(pg, "an answer was lost: out of memory");
			return;
		}
		if (!pg_answered(pg, unit))
			return;
	}
}

static void
pg_collect_notifies(struct pg *pg)
{
	PGnotify *notify;

	while (pg->conn != NULL && (notify = PQnotifies(pg->conn)) != NULL) {
		for (int i = 0; i < pg->listener_count && pg->state != PG_CLOSED; i++) {
			struct pg_listener *it = &pg->listeners[i];

			if (strcmp(it->channel, notify->relname) == 0)
				it->cb(it->arg, it->channel, notify->extra);
		}
		PQfreemem(notify);
	}
}

/* ---- listening ------------------------------------------------------------------------------ */

static void
pg_on_listening(void *arg, const struct unit_answer *answer)
{
	struct pg_listener *listener = arg;

	if (answer->code == SL_OK)
		listener->cb(listener->arg, listener->channel, NULL);
	else if (!answer->in_doubt)
		log_error("postgres_listen_failed", "error=%s", log_text(answer->error.text));
}

static void
pg_send_listen(struct pg *pg, struct pg_listener *listener)
{
	struct unit *unit = unit_new();

	unit_add(unit, &listener->listen);
	unit->cb = pg_on_listening;
	unit->arg = listener;
	pg_transmit(pg, unit);
}

void
pg_ready(struct pg *pg)
{
	pg_enter(pg, PG_UP);
	log_info("postgres_up", "connection=%s", log_text(pg->name));
	for (int i = 0; i < pg->listener_count; i++)
		pg_send_listen(pg, &pg->listeners[i]);
	if (pg->cb != NULL)
		pg->cb(pg->arg, true);
	pg_send_waiting(pg);
}

void
pg_on_socket(void *arg, int what)
{
	struct pg *pg = arg;

	switch (pg->state) {
	case PG_CONNECTING:
		pg_poll(pg);
		return;
	case PG_GREETING:
	case PG_UP:
		break;
	case PG_WAITING:
	case PG_CLOSED:
		return;
	}
	if (pg->broken)
		return;
	if (PQconsumeInput(pg->conn) != 1) {
		pg_lost(pg, PQerrorMessage(pg->conn));
		return;
	}
	if (what & LOOP_WRITE)
		pg_flush(pg);
	pg_collect(pg);
	pg_collect_notifies(pg);
}

/* ---- public --------------------------------------------------------------------------------- */

struct pg *
pg_new(struct loop *loop, const struct pg_settings *settings, pg_state_cb *cb, void *arg)
{
	struct pg *pg = sl_alloc(sizeof(*pg));

	pg->loop = loop;
	pg->conninfo = sl_strdup(settings->conninfo);
	pg->name = sl_strdup(settings->name);
	pg->hot = settings->hot;
	pg->pooled = settings->pooled;
	pg->host_count = 1;
	pg->timeout_ms = settings->timeout_ms > 0 ? settings->timeout_ms : PG_TIMEOUT_MS;
	pg->backoff_ms = PG_BACKOFF_MIN_MS;
	pg->cb = cb;
	pg->arg = arg;
	pg->timer = loop_timer_new(loop, pg_on_timer, pg);
	pg->expiry = loop_timer_new(loop, pg_on_expiry, pg);
	TAILQ_INIT(&pg->waiting);
	TAILQ_INIT(&pg->sent);
	pg_parse_conninfo(pg);
	pg_explain(pg, "not connected yet");
	loop_timer_in(pg->timer, 0);
	return pg;
}

static void
pg_dispose(void *arg)
{
	struct pg *pg = arg;

	for (int i = 0; i < pg->listener_count; i++)
		free((char *)(uintptr_t)pg->listeners[i].listen.text);
	secret_wipe(pg->conninfo, strlen(pg->conninfo));
	if (pg->password != NULL)
		secret_wipe(pg->password, strlen(pg->password));
	free(pg->conninfo);
	free(pg->password);
	free(pg->hosts);
	free(pg->addresses);
	free(pg->ports);
	free(pg->name);
	free(pg);
}

void
pg_free(struct pg *pg)
{
	if (pg == NULL)
		return;
	pg_enter(pg, PG_CLOSED);
	pg_disconnect(pg);
	loop_timer_free(pg->timer);
	loop_timer_free(pg->expiry);
	pg_fail_all(pg, &pg->sent);
	pg_fail_all(pg, &pg->waiting);
	loop_free_later(pg->loop, pg_dispose, pg);
}

bool
pg_is_up(const struct pg *pg)
{
	return pg->state == PG_UP && !pg->broken;
}

const char *
pg_last_error(const struct pg *pg)
{
	return pg->error;
}

void
pg_listen(struct pg *pg, const char *channel, pg_notify_cb *cb, void *arg)
{
	struct pg_listener *listener = &pg->listeners[pg->listener_count++];

	assert(pg->listener_count <= PG_LISTENERS_MAX);
	assert(strlen(channel) < PG_CHANNEL_MAX);
	assert(strspn(channel, "abcdefghijklmnopqrstuvwxyz_") == strlen(channel));
	snprintf(listener->channel, sizeof(listener->channel), "%s", channel);
	listener->pg = pg;
	listener->listen.text = sl_asprintf("LISTEN %s", channel);
	listener->cb = cb;
	listener->arg = arg;
	if (pg_is_up(pg)) {
		pg_send_listen(pg, listener);
		if (!pg->broken)
			pg_flush(pg);
	}
}
