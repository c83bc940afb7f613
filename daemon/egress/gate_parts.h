/* daemon/egress/gate_parts.h - what gate.c (who may go) and gate_learn.c (what is known of a window) share; for these
 * two only. */
#ifndef SLUICE_DAEMON_EGRESS_GATE_PARTS_H
#define SLUICE_DAEMON_EGRESS_GATE_PARTS_H

#include "base/loop.h"
#include "base/map.h"
#include "daemon/egress/gate.h"
#include "queue/gate.h"
#include "queue/queue.h"

#define PLACE_SIZE 24
#define TICK_MS 1000
#define TICK_OWING_MS 100

struct place;

/* WAITING -> OUT; freed by its end, or by a refusal. */
struct gate_pass {
	struct place *place;
	struct gate_pass *prev, *next; /* in the line, or among those out */
	gate_wait_cb *on_wait;
	gate_cb *cb;
	void *arg;
	int64_t entered_ms, give_up_ms, out_ms;
	int64_t gone_ms; /* Redis's clock; 0: let out by this node */
	bool is_out, told_wait;
	int confirms; /* how often it asked again */
	bool counted; /* the store counts it */
	char name[QUEUE_GATE_NAME_SIZE];
};

struct line {
	struct gate_pass *head, *tail;
	int count;
};

/* An ask for several passes of a place: who goes is decided when it is answered. */
struct ask {
	struct place *place;
	int64_t sent_ms;
	bool late; /* not answered within STORE_MS */
	int count;
	char names[QUEUE_GATE_ASK_MAX][QUEUE_GATE_NAME_SIZE];
};

struct tell {
	struct place *place;
	struct limit_news news;
	int64_t at_ms;
	bool answered;
};

/* Invariant: it has an armed timer, an ask on its way, or nobody in its line. */
struct place {
	struct gates *gates;
	struct queue *queue;
	struct queue_gate id;
	char name[PLACE_SIZE];
	struct line waiting, out;
	struct ask *ask; /* on its way; NULL: none */
	int telling;
	struct loop_timer *timer;
	int64_t next_ms, asked_ms; /* when the store is asked (again), and was asked last */
	int64_t closed_until_ms, learnt_ms; /* as far as this node knows, and since when it does */
	bool shown_closed;                  /* the log says that it is closed */
	bool stepping, again;
	int strikes; /* with the store away */
	bool owes;   /* the store does not know yet: */
	struct limit_news debt;
	int64_t debt_ms;
};

struct gates {
	struct daemon *daemon;
	struct map *places; /* by name */
	struct loop_timer *tick;
	int64_t tick_ms; /* when it is due */
	char node[20];
	uint64_t named;
	int waiting;
	bool away, closing;
	bool lost; /* the connection to Redis, and it was not back since */
	int64_t
	    trusted_ms; /* from then on what Redis does not know is not known by other nodes either */
};

/* How long nobody gets out, as far as this node knows. */
static inline int64_t
gate_place_closed_ms(const struct place *place, int64_t now_ms)
{
	return place->closed_until_ms > now_ms ? place->closed_until_ms - now_ms : 0;
}

static inline int64_t
gate_longer(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

void gate_place_step(struct place *place); /* lets go whom it may, and asks for the others */
void gate_tick_soon(struct gates *gates, int64_t ms);

/* Is Redis to be asked at all? */
bool gate_store_is_there(const struct place *place);
void gate_show_away(struct gates *gates, bool away);
void gate_show_opened(struct place *place, int64_t now_ms);
/* A request is back; news NULL: there was no answer. */
void gate_learn(struct place *place, const struct gate_pass *pass, const struct limit_news *news);
/* The store says that it knows nothing: is there a window that this node remembers?  Then it is told again. */
bool gate_remind(struct place *place, int64_t now_ms);
/* Tells the store what it does not know yet. */
void gate_publish(struct place *place);
/* A pass that the store let out, with which nothing was sent. */
void gate_give_back(struct place *place, const char *name, int64_t gone_ms);

#endif
