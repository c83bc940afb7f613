/* daemon/scheduler/retention.c - passes over old records, chunk by chunk. */
#include "daemon/scheduler/retention.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "sql/record_retain.h"
#include "sql/sync.h"

#define PASS_MS 30000
#define DELETE_PASS_MS 600000 /* looks at every sync that is idle */
#define PAUSE_MS 20           /* between chunks: syncs go first */

/* IDLE -> ASKING (what time it is) -> FINDING -> CHUNK -> PAUSED -> CHUNK ... -> FINDING (until nothing is
 * left) -> NOTING ... -> IDLE; first payloads, then, if it is time, records.  What fails ends the pass. */
enum retention_state {
	RETENTION_IDLE,
	RETENTION_ASKING,
	RETENTION_FINDING,
	RETENTION_CHUNK,
	RETENTION_PAUSED,
	RETENTION_NOTING
};

struct retention {
	struct daemon *daemon;
	char *conninfo;           /* owned */
	struct sync_store *store; /* owned; NULL: this process does not lead */
	struct loop_timer *timer;
	enum retention_state state;
	bool deleting;
	int64_t pass_ms, delete_ms; /* when the next pass is due, and the next that deletes */
	int64_t before_us;
	struct retain_model *models; /* owned, names too */
	int count, at;
	struct retain_model last; /* of the models before; its name is owned */
	struct retain_chunk chunk;
	int64_t sync_id; /* the sync whose models were walked; 0: none */
	bool whole;      /* all of them, to their ends */
	int64_t emptied, deleted;
};

static void find_models(struct retention *retention);
static void next_model(struct retention *retention);

static void
drop_models(struct retention *retention)
{
	for (int i = 0; i < retention->count; i++)
		free((void *)(uintptr_t)retention->models[i].model);
	free(retention->models);
	retention->models = NULL;
	retention->count = retention->at = 0;
}

static void
forget_last(struct retention *retention)
{
	free((void *)(uintptr_t)retention->last.model);
	retention->last = (struct retain_model){0};
}

static void
end(struct retention *retention)
{
	if (retention->emptied > 0)
		log_info("records_emptied", "count=%lld", (long long)retention->emptied);
	if (retention->deleted > 0)
		log_info("records_expired", "count=%lld", (long long)retention->deleted);
	retention->emptied = retention->deleted = 0;
	drop_models(retention);
	forget_last(retention);
	retention->state = RETENTION_IDLE;
	retention->pass_ms = clock_mono_ms() + PASS_MS;
}

/* True: go on with the answer. */
static bool
goes_on(struct retention *retention, enum retention_state state, enum sl_code code,
	const struct sl_error *error)
{
	if (retention->store == NULL)
		return false;
	assert(retention->state == state);
	if (code == SL_OK)
		return true;
	log_warn("retention_failed", "error=%s", log_text(error->text));
	end(retention);
	return false;
}

/* ---- records of syncs, or payloads ----------------------------------------------------------- */

static void
on_now(void *arg, enum sl_code code, int64_t now_us, const struct sl_error *error)
{
	struct retention *retention = arg;
	const char *name = retention->deleting ? "records_delete_after" : "records_prune_after";

	if (!goes_on(retention, RETENTION_ASKING, code, error))
		return;
	retention->before_us = now_us - config_int(retention->daemon->config, name) * 1000;
	find_models(retention);
}

/* The ledger says what time it is, since its clock dated the records: that of a leader which is days ahead
 * would empty what is new. */
static void
begin(struct retention *retention, bool deleting)
{
	forget_last(retention);
	retention->deleting = deleting;
	retention->sync_id = 0;
	retention->state = RETENTION_ASKING;
	retain_now(retention->store, on_now, retention);
}

/* A pass over payloads has come to its end: nothing old is left. */
static void
note_pass(double wall_s)
{
	metric_set(&metrics[METRIC_RETENTION], 0, 0, wall_s);
}

static void
phase_over(struct retention *retention)
{
	if (!retention->deleting)
		note_pass((double)clock_wall_ms() / 1000);
	if (!retention->deleting && clock_mono_ms() >= retention->delete_ms) {
		retention->delete_ms = clock_mono_ms() + DELETE_PASS_MS;
		begin(retention, true);
	} else {
		end(retention);
	}
}

static void
on_noted(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct retention *retention = arg;

	if (!goes_on(retention, RETENTION_NOTING, code, error))
		return;
	if (retention->at < retention->count)
		next_model(retention);
	else
		phase_over(retention);
}

/* Models come by sync: when the next is of another one, the one before is done. */
static bool
note_sync(struct retention *retention, int64_t next_id)
{
	int64_t done = retention->sync_id;
	bool whole = retention->whole;

	if (next_id == done)
		return false;
	retention->sync_id = next_id;
	retention->whole = true;
	if (done == 0 || !whole)
		return false;
	retention->state = RETENTION_NOTING;
	retain_emptied(retention->store, done, on_noted, retention);
	return true;
}

static void
on_models(void *arg, enum sl_code code, const struct retain_model *models, int count,
	  const struct sl_error *error)
{
	struct retention *retention = arg;

	if (!goes_on(retention, RETENTION_FINDING, code, error))
		return;
	drop_models(retention);
	retention->models = sl_calloc((size_t)count + 1, sizeof(*retention->models));
	retention->count = count;
	for (int i = 0; i < count; i++) {
		retention->models[i] = models[i];
		retention->models[i].model = sl_strdup(models[i].model);
	}
	next_model(retention);
}

static void
find_models(struct retention *retention)
{
	retention->state = RETENTION_FINDING;
	(retention->deleting ? retain_find_idle : retain_find_old)(
	    retention->store, retention->before_us, &retention->last, on_models, retention);
}

/* ---- chunks ---------------------------------------------------------------------------------- */

static void
on_chunk(void *arg, enum sl_code code, int64_t count, const struct retain_chunk *next,
	 const struct sl_error *error)
{
	struct retention *retention = arg;
	bool busy = code == SL_CONFLICT;

	if (!goes_on(retention, RETENTION_CHUNK, busy ? SL_OK : code, error))
		return;
	if (busy || count < 0)
		retention->whole = false;
	else
		*(retention->deleting ? &retention->deleted : &retention->emptied) += count;
	if (next != NULL) {
		retention->chunk.after_us = next->after_us;
		memcpy(retention->chunk.after_uuid, next->after_uuid, sizeof(next->after_uuid));
	} else {
		retention->at++;
		retention->chunk.model.model = NULL;
	}
	retention->state = RETENTION_PAUSED;
	loop_timer_in(retention->timer, PAUSE_MS);
}

static void
send_chunk(struct retention *retention)
{
	retention->state = RETENTION_CHUNK;
	(retention->deleting ? retain_delete : retain_empty)(retention->store, &retention->chunk,
							     on_chunk, retention);
}

static void
next_model(struct retention *retention)
{
	bool last_page = retention->count < RETAIN_FIND_MAX;

	if (retention->at == retention->count && !last_page) {
		struct retain_model *last = &retention->models[retention->count - 1];

		forget_last(retention);
		retention->last = *last;
		last->model = NULL;
		find_models(retention);
		return;
	}
	if (retention->at == retention->count) {
		if (!retention->deleting || !note_sync(retention, 0))
			phase_over(retention);
		return;
	}
	if (retention->deleting && note_sync(retention, retention->models[retention->at].sync_id))
		return;
	retention->chunk = (struct retain_chunk){.model = retention->models[retention->at],
						 .before_us = retention->before_us};
	send_chunk(retention);
}

static void
on_pause_over(void *arg)
{
	struct retention *retention = arg;

	if (retention->state != RETENTION_PAUSED)
		return;
	if (retention->chunk.model.model != NULL)
		send_chunk(retention);
	else
		next_model(retention);
}

/* ---- the outside ----------------------------------------------------------------------------- */

void
retention_tick(struct retention *retention)
{
	struct pg_settings settings = {.conninfo = retention->conninfo,
				       .name = "sluiced retention"};

	if (retention->store == NULL) {
		retention->store = sync_store_new(retention->daemon->loop, &settings);
		retention->pass_ms = retention->delete_ms = 0;
		note_pass((double)clock_wall_ms() / 1000); /* it has had no time yet */
	}
	if (retention->state == RETENTION_IDLE && clock_mono_ms() >= retention->pass_ms &&
	    sync_store_is_up(retention->store))
		begin(retention, false);
}

/* What is under way is answered, with failures, while the store goes. */
void
retention_stop(struct retention *retention)
{
	struct sync_store *store = retention->store;

	if (store == NULL)
		return;
	retention->store = NULL;
	note_pass(NAN);
	loop_timer_stop(retention->timer);
	end(retention);
	sync_store_free(store);
}

struct retention *
retention_new(struct daemon *daemon, const char *conninfo)
{
	struct retention *retention = sl_alloc(sizeof(*retention));

	retention->daemon = daemon;
	retention->conninfo = sl_strdup(conninfo);
	retention->timer = loop_timer_new(daemon->loop, on_pause_over, retention);
	return retention;
}

static void
free_now(void *arg)
{
	struct retention *retention = arg;

	free(retention->conninfo);
	free(retention);
}

void
retention_free(struct retention *retention)
{
	retention_stop(retention);
	loop_timer_free(retention->timer);
	loop_free_later(retention->daemon->loop, free_now, retention);
}
