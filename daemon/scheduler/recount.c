/* daemon/scheduler/recount.c - a pass: all models are looked at, and those that are marked are counted. */
#include "daemon/scheduler/recount.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "sql/record_recount.h"

#define PASS_MS (10 * 60 * 1000)
#define COUNT_MS (15 * 60 * 1000) /* for one model, however large */
#define PAUSE_MS 20               /* between steps: syncs go first */

/* IDLE -> FINDING ... -> COUNTING ... -> IDLE, with a pause before each step but the first.  What fails
 * ends the pass. */
enum recount_state { RECOUNT_IDLE, RECOUNT_FINDING, RECOUNT_COUNTING };

struct recount {
	struct daemon *daemon;
	char *conninfo;           /* owned */
	struct sync_store *store; /* owned; of a pass */
	struct loop_timer *timer;
	enum recount_state state;
	int64_t pass_ms; /* when the next one is due */
	struct recount_place last;
	int64_t counted;
};

static void
end(struct recount *recount)
{
	struct sync_store *store = recount->store;

	if (recount->counted > 0)
		log_info("records_counted", "models=%lld", (long long)recount->counted);
	recount->counted = 0;
	free(recount->last.model);
	recount->last = (struct recount_place){0};
	recount->state = RECOUNT_IDLE;
	recount->pass_ms = clock_mono_ms() + PASS_MS;
	recount->store = NULL;
	loop_timer_stop(recount->timer);
	sync_store_free(store); /* answers what is under way, with a failure */
}

/* True: go on with the answer. */
static bool
goes_on(struct recount *recount, enum sl_code code, const struct sl_error *error)
{
	if (recount->store == NULL)
		return false;
	if (code == SL_OK)
		return true;
	log_warn("recount_failed", "error=%s", log_text(error->text));
	end(recount);
	return false;
}

static void
on_found(void *arg, enum sl_code code, bool more, const struct recount_place *last,
	 const struct sl_error *error)
{
	struct recount *recount = arg;

	if (!goes_on(recount, code, error))
		return;
	free(recount->last.model);
	recount->last = (struct recount_place){0};
	if (more)
		recount->last = (struct recount_place){last->connection_id, sl_strdup(last->model)};
	else
		recount->state = RECOUNT_COUNTING;
	loop_timer_in(recount->timer, PAUSE_MS);
}

static void
on_counted(void *arg, enum sl_code code, bool counted, const struct sl_error *error)
{
	struct recount *recount = arg;

	if (!goes_on(recount, code, error))
		return;
	if (!counted) {
		end(recount);
		return;
	}
	recount->counted++;
	loop_timer_in(recount->timer, PAUSE_MS);
}

static void
on_pause_over(void *arg)
{
	struct recount *recount = arg;

	switch (recount->state) {
	case RECOUNT_IDLE:
		return;
	case RECOUNT_FINDING:
		recount_find(recount->store, &recount->last, on_found, recount);
		return;
	case RECOUNT_COUNTING:
		recount_one(recount->store, on_counted, recount);
		return;
	}
}

/* ---- the outside ----------------------------------------------------------------------------- */

void
recount_tick(struct recount *recount)
{
	struct pg_settings settings = {
	    .conninfo = recount->conninfo, .name = "sluiced recount", .timeout_ms = COUNT_MS};

	if (recount->state != RECOUNT_IDLE || clock_mono_ms() < recount->pass_ms)
		return;
	recount->store = sync_store_new(recount->daemon->loop, &settings);
	recount->state = RECOUNT_FINDING;
	on_pause_over(recount);
}

void
recount_stop(struct recount *recount)
{
	if (recount->store != NULL)
		end(recount);
	recount->pass_ms = 0;
}

struct recount *
recount_new(struct daemon *daemon, const char *conninfo)
{
	struct recount *recount = sl_alloc(sizeof(*recount));

	recount->daemon = daemon;
	recount->conninfo = sl_strdup(conninfo);
	recount->timer = loop_timer_new(daemon->loop, on_pause_over, recount);
	return recount;
}

static void
free_now(void *arg)
{
	struct recount *recount = arg;

	free(recount->conninfo);
	free(recount);
}

void
recount_free(struct recount *recount)
{
	if (recount == NULL)
		return;
	recount_stop(recount);
	loop_timer_free(recount->timer);
	loop_free_later(recount->daemon->loop, free_now, recount);
}
