#include "daemon/egress/gate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "base/secret.h"
#include "daemon/egress/gate_parts.h"
#include "daemon/shard.h"

#define STORE_MS 250    /* without an answer for so long a node decides by itself */
#define AWAY_LOOK_MS 20 /* meanwhile: how often it looks whether the store is back */
/* In a long wait it looks after a quarter of it, but within these: an operator may clear it. */
#define LOOK_LEAST_MS 1000
#define LOOK_MOST_MS 5000
#define CONFIRM_MS 20 /* a pass that is older asks again before its request goes */
#define CONFIRMS_MAX 3
/* When Redis is back, nodes have so long to tell it what it may have lost; meanwhile it is as if it was away. */
#define BACK_MS 250
#define KEEP_MS 60000 /* how long strikes are remembered behind a window */

/* ---- lines ------------------------------------------------------------------------------------- */

static void
line_add(struct line *line, struct gate_pass *pass)
{
	pass->prev = line->tail;
	pass->next = NULL;
	*(line->tail != NULL ? &line->tail->next : &line->head) = pass;
	line->tail = pass;
	line->count++;
}

static void
line_add_front(struct line *line, struct gate_pass *pass)
{
	pass->prev = NULL;
	pass->next = line->head;
	*(line->head != NULL ? &line->head->prev : &line->tail) = pass;
	line->head = pass;
	line->count++;
}

static void
line_remove(struct line *line, struct gate_pass *pass)
{
	*(pass->prev != NULL ? &pass->prev->next : &line->head) = pass->next;
	*(pass->next != NULL ? &pass->next->prev : &line->tail) = pass->prev;
	line->count--;
}

static void
count_waiting(struct gates *gates, int more)
{
	gates->waiting += more;
	metric_set(&metrics[METRIC_GATE_WAITING], 0, 0, gates->waiting);
}

/* ---- places ------------------------------------------------------------------------------------ */

static void
place_name(const struct gate_place *place, char out[PLACE_SIZE])
{
	snprintf(out, PLACE_SIZE, "%c%" PRId64, place->per_app ? 'i' : 'c',
		 place->per_app ? place->integration_id : place->connection_id);
}

static struct place *
place_find(const struct gates *gates, const struct gate_place *place)
{
	char name[PLACE_SIZE];

	place_name(place, name);
	return map_get_text(gates->places, name);
}

static void
on_place_timer(void *arg)
{
	gate_place_step(arg);
}

/* Maybe from inside of a step: then behind it. */
static void
look_soon(struct place *place)
{
	place->again = place->stepping;
	if (!place->stepping)
		loop_timer_in(place->timer, 0);
}

void
gate_tick_soon(struct gates *gates, int64_t ms)
{
	int64_t due_ms = clock_mono_ms() + ms;

	if (gates->closing || (loop_timer_is_armed(gates->tick) && gates->tick_ms <= due_ms))
		return;
	gates->tick_ms = due_ms;
	loop_timer_in(gates->tick, ms);
}

static struct place *
place_of(struct gates *gates, const struct gate_place *from)
{
	struct place *place = place_find(gates, from);

	if (place != NULL)
		return place;
	place = sl_calloc(1, sizeof(*place));
	place->gates = gates;
	place->queue = shard_queue(gates->daemon, from->environment_id);
	place->id = (struct queue_gate){from->environment_id, from->integration_id,
					from->connection_id, from->per_app};
	place_name(from, place->name);
	place->timer = loop_timer_new(gates->daemon->loop, on_place_timer, place);
	if (map_count(gates->places) == 0)
		gate_tick_soon(gates, TICK_MS);
	(void)map_put_text(gates->places, place->name, place);
	return place;
}

static void
place_free(void *value)
{
	struct place *place = value;
	struct line *lines[] = {&place->waiting, &place->out};

	for (int i = 0; i < 2; i++)
		for (struct gate_pass *pass = lines[i]->head, *next; pass != NULL; pass = next) {
			next = pass->next;
			free(pass);
		}
	loop_timer_free(place->timer);
	free(place);
}

/* ---- who may go -------------------------------------------------------------------------------- */

static void
let_out(struct place *place, struct gate_pass *pass, const char *name, int64_t gone_ms,
	bool counted)
{
	int64_t waited_ms = clock_mono_ms() - pass->entered_ms;

	line_remove(&place->waiting, pass);
	line_add(&place->out, pass);
	count_waiting(place->gates, -1);
	pass->is_out = true;
	pass->out_ms = clock_mono_ms();
	pass->gone_ms = gone_ms;
	pass->counted = counted;
	snprintf(pass->name, sizeof(pass->name), "%s", name);
	if (pass->told_wait)
		metrics_observe_ms(METRIC_GATE_WAIT, 0, waited_ms);
	pass->cb(pass->arg, true, waited_ms); /* may end it */
}

static void
refuse(struct place *place, struct gate_pass *pass)
{
	int64_t waited_ms = clock_mono_ms() - pass->entered_ms;
	gate_cb *cb = pass->cb;
	void *arg = pass->arg;

	line_remove(&place->waiting, pass);
	count_waiting(place->gates, -1);
	free(pass);
	cb(arg, false, waited_ms);
}

static void
on_asked(void *arg, enum sl_code code, const struct queue_gate_answer *answer)
{
	struct ask *ask = arg;
	struct place *place = ask->place;
	int64_t now_ms = clock_mono_ms();
	bool overtaken;
	int used = 0;

	place->ask = NULL;
	if (code != SL_OK) {
		place->next_ms = now_ms + AWAY_LOOK_MS;
		free(ask);
		gate_place_step(place);
		return;
	}
	gate_show_away(place->gates, false);
	/* What it closed for was learnt behind the ask: the answer does not know it yet. */
	overtaken = gate_place_closed_ms(place, now_ms) > 0 && place->learnt_ms >= ask->sent_ms;
	if (!overtaken && !answer->counted && place->telling == 0)
		overtaken = gate_remind(place, now_ms); /* it has lost what this node remembers */
	if (answer->closed_ms > 0 || (place->telling == 0 && !overtaken && !place->owes))
		place->closed_until_ms =
		    gate_longer(overtaken || place->telling > 0 ? place->closed_until_ms : 0,
				answer->closed_ms > 0 ? now_ms + answer->closed_ms + 1 : 0);
	place->next_ms = now_ms + answer->wait_ms + (answer->wait_ms > 0 ? 1 : 0);
	place->stepping = true;
	while (!overtaken && used < answer->granted && place->waiting.head != NULL)
		let_out(place, place->waiting.head, ask->names[used++], answer->now_ms,
			answer->counted);
	place->stepping = false;
	while (used < answer->granted && answer->counted && !place->gates->closing)
		gate_give_back(place, ask->names[used++], answer->now_ms);
	free(ask);
	gate_place_step(place);
}

static void
send_ask(struct place *place, int64_t now_ms)
{
	struct gates *gates = place->gates;
	struct ask *ask = sl_calloc(1, sizeof(*ask));

	ask->place = place;
	ask->sent_ms = place->asked_ms = now_ms;
	ask->count =
	    place->waiting.count < QUEUE_GATE_ASK_MAX ? place->waiting.count : QUEUE_GATE_ASK_MAX;
	for (int i = 0; i < ask->count; i++)
		snprintf(ask->names[i], sizeof(ask->names[i]), "%s.%" PRIx64, gates->node,
			 ++gates->named);
	place->ask = ask;
	queue_gate_ask(place->queue, &place->id, (const char(*)[QUEUE_GATE_NAME_SIZE])ask->names,
		       ask->count, on_asked, ask);
}

/* Those whose window opens behind their deadline, or whose deadline is over. */
static void
refuse_late(struct place *place, int64_t now_ms)
{
	int64_t opens_ms = gate_longer(now_ms, place->closed_until_ms);

	for (struct gate_pass *pass = place->waiting.head, *next; pass != NULL; pass = next) {
		next = pass->next;
		if (pass->give_up_ms > opens_ms)
			continue;
		refuse(place, pass);
		next = place->waiting.head; /* the line may have changed meanwhile */
	}
}

static void
tell_waits(struct place *place, int64_t wait_ms)
{
	for (struct gate_pass *pass = place->waiting.head, *next; pass != NULL; pass = next) {
		next = pass->next;
		if (pass->told_wait)
			continue;
		pass->told_wait = true;
		metrics_count(METRIC_GATE_WAITS, 0);
		if (pass->on_wait == NULL)
			continue;
		pass->on_wait(pass->arg, wait_ms);
		next = place->waiting.head;
	}
}

/* Somebody waits: lets go whom it may, or asks.  When to look again, in ms. */
static int64_t
place_look(struct place *place, int64_t now_ms)
{
	int64_t closed_ms = gate_place_closed_ms(place, now_ms), look_ms, opens_ms;

	if (place->ask != NULL && !place->ask->late && queue_is_up(place->queue)) {
		look_ms = place->ask->sent_ms + STORE_MS - now_ms;
		if (look_ms > 0)
			return look_ms;
		place->ask->late = true;
	}
	if (!gate_store_is_there(place) || now_ms < place->gates->trusted_ms) {
		gate_show_away(place->gates, true);
		if (closed_ms > 0)
			return closed_ms;
		if (place->out.count > 0)
			return AWAY_LOOK_MS;
		metrics_count(METRIC_GATE_STORE_AWAY, 0);
		let_out(place, place->waiting.head, "", 0, false);
		return AWAY_LOOK_MS;
	}
	gate_publish(place);
	opens_ms = gate_longer(place->next_ms, place->closed_until_ms);
	look_ms = (opens_ms - place->asked_ms) / 4;
	look_ms = look_ms < LOOK_LEAST_MS  ? LOOK_LEAST_MS
		  : look_ms < LOOK_MOST_MS ? look_ms
					   : LOOK_MOST_MS;
	look_ms += place->asked_ms;
	if (opens_ms > now_ms && look_ms > now_ms)
		return (opens_ms < look_ms ? opens_ms : look_ms) - now_ms;
	send_ask(place, now_ms);
	return STORE_MS;
}

void
gate_place_step(struct place *place)
{
	int64_t now_ms, look_ms = 0, end_ms = INT64_MAX;

	if (place->stepping || place->gates->closing)
		return;
	place->stepping = true;
	now_ms = clock_mono_ms();
	gate_show_opened(place, now_ms);
	refuse_late(place, now_ms);
	if (place->waiting.head != NULL)
		look_ms = place_look(place, now_ms);
	if (place->ask == NULL || place->ask->late)
		tell_waits(place, gate_longer(look_ms, gate_place_closed_ms(place, now_ms)));
	for (struct gate_pass *pass = place->waiting.head; pass != NULL; pass = pass->next)
		end_ms = pass->give_up_ms < end_ms ? pass->give_up_ms : end_ms;
	if (end_ms - now_ms < look_ms)
		look_ms = gate_longer(0, end_ms - now_ms);
	if (place->waiting.head != NULL)
		loop_timer_in(place->timer, place->again ? 0 : look_ms);
	else
		loop_timer_stop(place->timer);
	place->stepping = place->again = false;
}

/* ---- passes ------------------------------------------------------------------------------------ */

struct gate_pass *
gate_enter(struct gates *gates, const struct gate_place *from, int64_t give_up_mono_ms,
	   gate_wait_cb *on_wait, gate_cb *cb, void *arg)
{
	struct place *place = place_of(gates, from);
	struct gate_pass *pass = sl_calloc(1, sizeof(*pass));

	pass->place = place;
	pass->on_wait = on_wait;
	pass->cb = cb;
	pass->arg = arg;
	pass->entered_ms = clock_mono_ms();
	pass->give_up_ms = give_up_mono_ms;
	if (place->waiting.count == 0)
		place->next_ms = 0;
	line_add(&place->waiting, pass);
	count_waiting(gates, 1);
	look_soon(place); /* all that enter in this turn are asked for at once */
	return pass;
}
bool
gate_confirm(struct gate_pass *pass)
{
	struct place *place = pass->place;
	int64_t now_ms = clock_mono_ms();

	if (gate_place_closed_ms(place, now_ms) == 0 &&
	    (now_ms - pass->out_ms <= CONFIRM_MS || ++pass->confirms > CONFIRMS_MAX))
		return true;
	line_remove(&place->out, pass);
	pass->is_out = false;
	if (pass->counted && gate_store_is_there(place))
		gate_give_back(place, pass->name, pass->gone_ms);
	line_add_front(&place->waiting, pass);
	count_waiting(place->gates, 1);
	place->next_ms = 0;
	look_soon(place);
	return false;
}

void
gate_leave(struct gate_pass *pass, const struct limit_news *news)
{
	struct place *place = pass->place;

	if (!pass->is_out) {
		line_remove(&place->waiting, pass);
		count_waiting(place->gates, -1);
		free(pass);
		return;
	}
	line_remove(&place->out, pass);
	gate_learn(place, pass, news);
	free(pass);
	if (place->waiting.count > 0) {
		place->next_ms = 0; /* but not before its window opens */
		look_soon(place);
	}
}

int64_t
gate_closed_ms(const struct gates *gates, const struct gate_place *from)
{
	const struct place *place = place_find(gates, from);

	return place != NULL ? gate_place_closed_ms(place, clock_mono_ms()) : 0;
}

int
gate_waiting(const struct gates *gates, const struct gate_place *from)
{
	const struct place *place = place_find(gates, from);

	return place != NULL ? place->waiting.count : 0;
}

void
gates_forget(struct gates *gates, int64_t integration_id, int64_t connection_id)
{
	size_t at = 0;
	void *value;

	while (map_each(gates->places, &at, &value)) {
		struct place *place = value;

		if (place->id.integration_id != integration_id ||
		    (connection_id != 0 &&
		     (place->id.per_app || place->id.connection_id != connection_id)))
			continue;
		place->closed_until_ms = place->next_ms = 0;
		place->strikes = 0;
		place->owes = false;
		if (place->waiting.count > 0)
			look_soon(place);
	}
}

/* ---- all of them ------------------------------------------------------------------------------- */

static bool
is_idle(const struct place *place, int64_t now_ms)
{
	return place->waiting.count == 0 && place->out.count == 0 && place->ask == NULL &&
	       place->telling == 0 && !place->owes && place->closed_until_ms <= now_ms &&
	       (place->strikes == 0 || place->closed_until_ms + KEEP_MS <= now_ms);
}

static void
on_tick(void *arg)
{
	struct gates *gates = arg;
	int64_t now_ms = clock_mono_ms();
	int closed = 0;
	bool owing = false;
	size_t at = 0;
	void *value;

	while (map_each(gates->places, &at, &value)) {
		struct place *place = value;

		gate_publish(place);
		gate_show_opened(place, now_ms);
		closed += gate_place_closed_ms(place, now_ms) > 0;
		owing |= place->owes;
		if (!is_idle(place, now_ms))
			continue;
		(void)map_remove_text(gates->places, place->name);
		place_free(place);
	}
	metric_set(&metrics[METRIC_GATE_CLOSED], 0, 0, closed);
	if (map_count(gates->places) > 0)
		gate_tick_soon(gates, owing || closed > 0 ? TICK_OWING_MS : TICK_MS);
}

struct gates *
gates_new(struct daemon *daemon)
{
	struct gates *gates = sl_calloc(1, sizeof(*gates));
	uint64_t random;

	gates->daemon = daemon;
	gates->places = map_new();
	gates->tick = loop_timer_new(daemon->loop, on_tick, gates);
	secret_random(&random, sizeof(random));
	snprintf(gates->node, sizeof(gates->node), "%" PRIx64, random);
	metric_set(&metrics[METRIC_GATE_CLOSED], 0, 0, 0);
	metric_set(&metrics[METRIC_GATE_WAITING], 0, 0, 0);
	return gates;
}

void
gates_store_changed(struct gates *gates, bool up)
{
	int64_t now_ms = clock_mono_ms();
	size_t at = 0;
	void *value;

	if (gates == NULL || !up || !gates->lost) {
		if (gates != NULL)
			gates->lost |= !up;
		return;
	}
	gates->lost = false;
	gates->trusted_ms = now_ms + BACK_MS;
	while (map_each(gates->places, &at, &value)) {
		struct place *place = value;

		(void)gate_remind(place, now_ms);
		gate_publish(place);
	}
}

void
gates_close(struct gates *gates)
{
	if (gates == NULL)
		return;
	gates->closing = true;
	loop_timer_stop(gates->tick);
}

void
gates_free(struct gates *gates)
{
	if (gates == NULL)
		return;
	map_free(gates->places, place_free);
	loop_timer_free(gates->tick);
	free(gates);
}
