#include "daemon/egress/fresh.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/metrics.h"
#include "daemon/api/show.h"
#include "daemon/egress/flight.h"
#include "provider/catalog.h"
#include "provider/token.h"
#include "sql/refresh.h"

#define TOUCH_MS 2000
#define TOUCH_AGE_MS (3600 * INT64_C(1000))
#define TOUCH_MAX 1000
#define OPEN_MAX (1 << 20)

struct waiter {
	struct waiter *next;
	fresh_cb *cb;
	void *arg;
};

struct line { /* a flight of this node, and who waits for it */
	struct fresh *fresh;
	struct flight *flight;
	int64_t connection_id;
	struct waiter *first, **last;
};

struct fresh {
	struct daemon *daemon;
	struct map *lines; /* by connection */
	int64_t touched[TOUCH_MAX];
	int touched_count;
	struct loop_timer *touch;
};

struct opened {
	struct buf plain;
	struct json_value value;
};

static enum sl_code
open_row(struct fresh *fresh, const struct account_connection *row, struct opened *out,
	 struct sl_error *error)
{
	enum sl_code code;

	buf_init(&out->plain, OPEN_MAX);
	code = show_open_credentials(fresh->daemon->ring, row, &out->plain, error);
	if (code == SL_OK && json_check(buf_slice(&out->plain), &out->value, NULL) != SL_OK)
		code = sl_fail(error, SL_INVALID, "the stored credentials are not JSON");
	return code;
}

/* ---- when -------------------------------------------------------------------------------------- */

enum fresh_need
fresh_need(const struct fresh_case *c)
{
	int64_t now = clock_mono_ms();
	int64_t left = token_expires_ms(c->credentials) - clock_wall_ms();
	const struct account_connection *row = c->row;

	if (!token_is_refreshable(c->provider, c->credentials))
		return FRESH_AS_IT_IS;
	if (c->force)
		return FRESH_NEEDED;
	if (c->stale && row->refreshed_mono_ms != 0 &&
	    now - row->refreshed_mono_ms < FRESH_COOLDOWN_MS)
		return FRESH_AS_IT_IS; /* a new one was refused, too */
	if (!c->stale && left > FRESH_AHEAD_MS)
		return FRESH_AS_IT_IS;
	if (row->failing_days >= FRESH_DAYS_MAX)
		return left > 0 && !c->stale ? FRESH_AS_IT_IS : FRESH_EXHAUSTED;
	if (row->failed_mono_ms != 0 && now - row->failed_mono_ms < FRESH_COOLDOWN_MS)
		return left > 0 && (c->stale || row->failure_log_id[0] == '\0') ? FRESH_AS_IT_IS
										: FRESH_BACKOFF;
	return FRESH_NEEDED;
}

static bool
is_stale(const char *stale, struct json_value credentials)
{
	char *token = stale != NULL ? token_text(credentials) : NULL;
	bool same = token != NULL && strcmp(token, stale) == 0;

	if (token != NULL)
		secret_wipe(token, strlen(token));
	free(token);
	return same;
}

/* ---- answers ----------------------------------------------------------------------------------- */

static void
answer_opened(fresh_cb *cb, void *arg, const struct account_connection *row, struct slice plain)
{
	const struct fresh_answer answer = {.code = SL_OK, .row = row, .credentials = plain};

	cb(arg, &answer);
}

static void
answer_refused(fresh_cb *cb, void *arg, const struct account_connection *row, const char *wire_code,
	       const char *text)
{
	const struct fresh_answer answer = {
	    .code = SL_INVALID, .row = row, .wire_code = wire_code, .text = text};

	cb(arg, &answer);
}

static void
flush_touched(void *arg)
{
	struct fresh *fresh = arg;

	if (fresh->touched_count > 0)
		refresh_touch(fresh->daemon->account, fresh->touched, fresh->touched_count);
	fresh->touched_count = 0;
}

/* That it was used is kept to the hour. */
static void
touch(struct fresh *fresh, const struct account_connection *row)
{
	if (clock_wall_ms() - row->last_fetched_ms < TOUCH_AGE_MS)
		return;
	for (int i = 0; i < fresh->touched_count; i++)
		if (fresh->touched[i] == row->id)
			return;
	if (fresh->touched_count == TOUCH_MAX) /* the others are for the next time */
		return;
	fresh->touched[fresh->touched_count++] = row->id;
	if (!loop_timer_is_armed(fresh->touch))
		loop_timer_in(fresh->touch, TOUCH_MS);
}

static void
on_landed(void *arg, const struct fresh_answer *answer)
{
	struct line *line = arg;
	bool first = true;

	map_remove_int(line->fresh->lines, line->connection_id);
	while (line->first != NULL) {
		struct waiter *waiter = line->first;

		line->first = waiter->next;
		if (!first)
			metrics_count(METRIC_REFRESHES, METRIC_REFRESH_SHARED);
		first = false;
		waiter->cb(waiter->arg, answer);
		free(waiter);
	}
	free(line);
}

static void
join(struct fresh *fresh, const struct fresh_case *c, fresh_cb *cb, void *arg)
{
	struct line *line = map_get_int(fresh->lines, c->row->id);
	struct waiter *waiter = sl_alloc(sizeof(*waiter));

	waiter->cb = cb;
	waiter->arg = arg;
	if (line == NULL) {
		line = sl_alloc(sizeof(*line));
		line->fresh = fresh;
		line->connection_id = c->row->id;
		line->last = &line->first;
		map_put_int(fresh->lines, line->connection_id, line);
		line->flight = flight_start(fresh->daemon, c, on_landed, line);
	} else if (c->force) {
		flight_force(line->flight);
	}
	*line->last = waiter;
	line->last = &waiter->next;
}

void
fresh_get(struct fresh *fresh, const struct fresh_ask *ask, fresh_cb *cb, void *arg)
{
	struct fresh_case c = {.row = ask->row, .force = ask->force};
	struct opened opened;
	struct sl_error error;

	if (open_row(fresh, ask->row, &opened, &error) != SL_OK) {
		show_buf_wipe(&opened.plain);
		answer_refused(
		    cb, arg, ask->row, "invalid_credentials",
		    "the stored credentials cannot be opened with the keys of this server; import the connection again");
		return;
	}
	c.provider = catalog_find(fresh->daemon->catalog, ask->row->provider);
	c.credentials = opened.value;
	c.plain = buf_slice(&opened.plain);
	c.stale = is_stale(ask->stale, opened.value);
	touch(fresh, ask->row);
	switch (c.provider == NULL || (ask->stale != NULL && !c.stale && !c.force)
		    ? FRESH_AS_IT_IS
		    : fresh_need(&c)) {
	case FRESH_AS_IT_IS:
		answer_opened(cb, arg, ask->row, c.plain);
		break;
	case FRESH_NEEDED:
		join(fresh, &c, cb, arg);
		break;
	case FRESH_BACKOFF:
		answer_refused(cb, arg, ask->row, "connection_refresh_backoff", FRESH_BACKOFF_TEXT);
		break;
	case FRESH_EXHAUSTED:
		answer_refused(cb, arg, ask->row, "connection_refresh_exhausted",
			       FRESH_EXHAUSTED_TEXT);
		break;
	}
	show_buf_wipe(&opened.plain);
}

bool
fresh_is_idle(const struct fresh *fresh)
{
	return map_count(fresh->lines) == 0 && fresh->touched_count == 0;
}

struct fresh *
fresh_new(struct daemon *daemon)
{
	struct fresh *fresh = sl_alloc(sizeof(*fresh));

	fresh->daemon = daemon;
	fresh->lines = map_new();
	fresh->touch = loop_timer_new(daemon->loop, flush_touched, fresh);
	return fresh;
}

void
fresh_free(struct fresh *fresh)
{
	struct line *line;
	void *value;
	size_t at;

	if (fresh == NULL)
		return;
	for (at = 0; map_each(fresh->lines, &at, &value); at = 0) {
		line = value;
		flight_abort(line->flight); /* lands, which takes the line out */
		assert(map_get_int(fresh->lines, line->connection_id) != line);
	}
	map_free(fresh->lines, NULL);
	loop_timer_free(fresh->touch);
	free(fresh);
}
