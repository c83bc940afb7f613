#include "daemon/egress/gate_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"

#define STRIKE_MS 3000 /* a refusal that says nothing, as lua/gate_leave.lua has it */
#define STRIKE_MAX_MS 600000
#define LOW_REMAINING 100 /* from here on the store is told what remains */

/* ---- what the log says ------------------------------------------------------------------------- */

static void
show_closed(struct place *place, const char *by, int64_t ms)
{
	if (ms <= 0 || place->shown_closed)
		return;
	place->shown_closed = true;
	log_info("gate_closed",
		 "place=%s environment=%" PRId64 " integration=%" PRId64 " connection=%" PRId64
		 " by=%s ms=%" PRId64,
		 place->name, place->id.environment_id, place->id.integration_id,
		 place->id.connection_id, by, ms);
}

void
gate_show_opened(struct place *place, int64_t now_ms)
{
	if (!place->shown_closed || gate_place_closed_ms(place, now_ms) > 0)
		return;
	place->shown_closed = false;
	log_info("gate_opened", "place=%s waiting=%d", place->name, place->waiting.count);
}

/* Keeps a time that is known to be behind what this node has believed so far. */
static void
close_for(struct place *place, int64_t ms, int64_t now_ms)
{
	if (ms <= 0 || now_ms + ms <= place->closed_until_ms)
		return;
	place->closed_until_ms = now_ms + ms;
	place->learnt_ms = now_ms;
	gate_tick_soon(place->gates, TICK_OWING_MS);
}

/* ---- with the store away ----------------------------------------------------------------------- */

void
gate_show_away(struct gates *gates, bool away)
{
	if (gates->away == away || gates->closing)
		return;
	gates->away = away;
	if (away)
		log_warn(
		    "gate_store_away", "remedy=%s",
		    log_text("Redis does not answer: each place lets one request at a time out"));
	else
		log_info("gate_store_back", "places=%zu", map_count(gates->places));
}

/* What both say, the strictest of it; from at_ms on, as of now_ms. */
static void
owe(struct place *place, const struct limit_news *news, int64_t at_ms, int64_t now_ms)
{
	struct limit_news *debt = &place->debt;
	int64_t passed = now_ms - at_ms;
	bool first = !place->owes;

	if (first)
		*debt = (struct limit_news){
		    .closed_ms = -1, .remaining = -1, .reset_ms = -1, .limit = -1};
	else if (debt->closed_ms > 0)
		debt->closed_ms = gate_longer(0, debt->closed_ms - (now_ms - place->debt_ms));
	if (!first && debt->reset_ms > 0)
		debt->reset_ms = gate_longer(0, debt->reset_ms - (now_ms - place->debt_ms));
	debt->limited |= news->limited;
	if (news->limited && news->closed_ms >= 0)
		debt->closed_ms =
		    gate_longer(debt->closed_ms, gate_longer(0, news->closed_ms - passed));
	if (news->remaining >= 0 && (debt->remaining < 0 || news->remaining < debt->remaining))
		debt->remaining = news->remaining;
	if (news->reset_ms >= 0)
		debt->reset_ms =
		    gate_longer(debt->reset_ms, gate_longer(0, news->reset_ms - passed));
	if (news->limit > 0)
		debt->limit = news->limit;
	place->debt_ms = now_ms;
	place->owes = true;
	gate_tick_soon(place->gates, TICK_OWING_MS);
}

/* A refusal that said nothing is passed on as this node has taken it. */
static void
owe_what_was_learnt(struct place *place, const struct limit_news *news, int64_t now_ms)
{
	struct limit_news taken = *news;

	if (taken.limited && taken.closed_ms < 0 && taken.reset_ms < 0)
		taken.closed_ms = gate_place_closed_ms(place, now_ms);
	owe(place, &taken, now_ms, now_ms);
}

/* What this node learns by itself of an answer. */
static void
learn(struct place *place, const struct limit_news *news, bool by_itself, int64_t now_ms)
{
	int64_t ms = -1;

	if (news->limited)
		ms = news->closed_ms;
	if (news->remaining == 0)
		ms = gate_longer(ms, news->reset_ms);
	if (news->limited && ms < 0 && by_itself && gate_place_closed_ms(place, now_ms) == 0) {
		ms = STRIKE_MS << (place->strikes < 10 ? place->strikes : 10);
		ms = ms < STRIKE_MAX_MS ? ms : STRIKE_MAX_MS;
	}
	if (news->limited && by_itself && gate_place_closed_ms(place, now_ms) == 0)
		place->strikes++;
	if (!news->limited)
		place->strikes = 0;
	close_for(place, ms, now_ms);
	if (by_itself)
		show_closed(place, news->limited ? "refused" : "remaining", ms);
}

/* ---- the store --------------------------------------------------------------------------------- */

bool
gate_store_is_there(const struct place *place)
{
	return !place->gates->closing && queue_is_up(place->queue) &&
	       (place->ask == NULL || !place->ask->late);
}

static void
on_told(void *arg, enum sl_code code, int64_t closed_ms, bool by_this)
{
	struct tell *tell = arg;
	struct place *place = tell->place;
	int64_t now_ms = clock_mono_ms();

	place->telling--;
	if (code == SL_OK) {
		close_for(place, closed_ms, now_ms);
		if (by_this)
			show_closed(place, tell->news.limited ? "refused" : "remaining", closed_ms);
	} else if (tell->answered) {
		owe(place, &tell->news, tell->at_ms, now_ms);
	}
	free(tell);
	gate_place_step(place);
}

/* pass: NULL: what this node owes.  news NULL: there was no answer. */
static void
send_news(struct place *place, const struct gate_pass *pass, const struct limit_news *news)
{
	struct tell *tell = sl_calloc(1, sizeof(*tell));
	char others[QUEUE_GATE_OTHERS_MAX][QUEUE_GATE_NAME_SIZE];
	struct queue_gate_news out = {.pass = pass != NULL ? pass->name : "",
				      .gone_ms = pass != NULL ? pass->gone_ms : 0,
				      .answered = news != NULL,
				      .closed_ms = -1,
				      .remaining = -1,
				      .reset_ms = -1,
				      .limit = -1,
				      .others = (const char(*)[QUEUE_GATE_NAME_SIZE])others};

	tell->place = place;
	tell->at_ms = clock_mono_ms();
	tell->answered = news != NULL;
	if (news != NULL) {
		tell->news = *news;
		out.limited = news->limited;
		out.closed_ms = news->closed_ms;
		out.remaining = news->remaining;
		out.reset_ms = news->reset_ms;
		out.limit = news->limit;
	}
	for (struct gate_pass *at = place->out.head; pass != NULL && !pass->counted && at != NULL &&
						     out.other_count < QUEUE_GATE_OTHERS_MAX;
	     at = at->next) {
		if (at->counted || at->name[0] == '\0')
			continue;
		memcpy(others[out.other_count++], at->name, sizeof(at->name));
		at->counted = true; /* from now on, unless another node was first */
	}
	place->telling++;
	queue_gate_tell(place->queue, &place->id, &out, on_told, tell);
}

bool
gate_remind(struct place *place, int64_t now_ms)
{
	const struct limit_news known = {.limited = true,
					 .closed_ms = gate_place_closed_ms(place, now_ms),
					 .remaining = -1,
					 .reset_ms = -1,
					 .limit = -1};

	if (known.closed_ms == 0)
		return false;
	owe(place, &known, now_ms, now_ms);
	return true;
}

void
gate_publish(struct place *place)
{
	struct limit_news debt = place->debt;
	int64_t passed = clock_mono_ms() - place->debt_ms;

	if (!place->owes || !gate_store_is_there(place))
		return;
	place->owes = false; /* comes back when it is not taken */
	if (debt.closed_ms > 0)
		debt.closed_ms = gate_longer(0, debt.closed_ms - passed);
	if (debt.reset_ms > 0)
		debt.reset_ms = gate_longer(0, debt.reset_ms - passed);
	send_news(place, NULL, &debt);
}

void
gate_give_back(struct place *place, const char *name, int64_t gone_ms)
{
	struct queue_gate_news news = {.pass = name,
				       .gone_ms = gone_ms,
				       .unused = true,
				       .closed_ms = -1,
				       .remaining = -1,
				       .reset_ms = -1,
				       .limit = -1};
	struct tell *tell = sl_calloc(1, sizeof(*tell));

	tell->place = place;
	place->telling++;
	queue_gate_tell(place->queue, &place->id, &news, on_told, tell);
}

/* ---- an answer --------------------------------------------------------------------------------- */

/* Whether the store is told of an answer to a request that it does not count. */
static bool
is_worth_telling(const struct limit_news *news)
{
	return news->limited ||
	       (news->remaining >= 0 && news->reset_ms >= 0 &&
		(news->remaining <= LOW_REMAINING || news->remaining <= news->limit / 10));
}

static void
count_learnt(const struct limit_news *news)
{
	if (news->limited)
		metrics_count(METRIC_GATE_LEARNED, news->closed_ms >= 0 || news->reset_ms >= 0
						       ? METRIC_LEARNED_TOLD
						       : METRIC_LEARNED_NONE);
	else if (news->remaining == 0)
		metrics_count(METRIC_GATE_LEARNED, METRIC_LEARNED_REMAINING);
}

void
gate_learn(struct place *place, const struct gate_pass *pass, const struct limit_news *news)
{
	int64_t now_ms = clock_mono_ms();

	if (news != NULL) {
		count_learnt(news);
		learn(place, news, !gate_store_is_there(place), now_ms);
	}
	if (!pass->counted && (news == NULL || !is_worth_telling(news)))
		return;
	if (gate_store_is_there(place))
		send_news(place, pass, news);
	else if (news != NULL && is_worth_telling(news))
		owe_what_was_learnt(place, news, now_ms);
}
