/* daemon/api/admin_worker.c - the processes of the fleet: /admin/v1/workers: look, quiet, release. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/api/admin.h"
#include "daemon/api/resources.h"
#include "daemon/daemon.h"
#include "daemon/settings.h"
#include "queue/lease.h"
#include "sql/node.h"

#define LOOK_MS 50   /* until it says that it does what was asked */
#define WAIT_MS 2000 /* at most; its next beat will say so */

struct steer {
	struct api_call *call;
	const char *name; /* borrowed from the call */
	bool quiet;       /* what is asked for */
	bool force;
	int64_t until_ms;
	struct loop_timer *timer;
	int asking; /* shards whose lease is being ended */
	int64_t resolved;
	struct buf out; /* the answer */
};

/* ---- looking ---------------------------------------------------------------------------------- */

static const char *
state_name(const struct node_row *row)
{
	if (row->lost)
		return "lost";
	switch (row->state) {
	case NODE_STARTING:
		return "starting";
	case NODE_LIVE:
		return "live";
	case NODE_QUIET:
		return "quiet";
	case NODE_DRAINING:
		return "draining";
	}
	return "live"; /* of a newer build */
}

static void
show_roles(struct json_writer *w, unsigned roles)
{
	static const struct {
		unsigned bit;
		const char *name;
	} all[] = {{ROLE_API, "api"}, {ROLE_WORKER, "worker"}, {ROLE_SCHEDULER, "scheduler"}};

	jw_key(w, "roles");
	jw_array(w);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if ((roles & all[i].bit) != 0)
			jw_text(w, all[i].name);
	jw_array_end(w);
}

static void
show_number(struct json_writer *w, struct json_value doing, const char *key)
{
	int64_t number = 0;

	(void)json_int(json_get(doing, key), &number);
	jw_member_int(w, key, number);
}

static void
show_worker(struct json_writer *w, const struct node_row *row, bool leads)
{
	struct json_value doing = {JSON_NONE, {NULL, 0}}, jobs;

	if (json_check(slice_text(row->doing), &doing, NULL) != SL_OK)
		doing.type = JSON_NONE; /* nobody of ours wrote that */
	jobs = json_get(doing, "jobs");
	jw_object(w);
	jw_member_text(w, "name", row->name);
	show_roles(w, row->roles);
	jw_member_text(w, "version", row->version);
	admin_show_time(w, "started_at", row->started_ms);
	jw_member_int(w, "seen_ms", row->seen_ms);
	jw_member_text(w, "state", state_name(row));
	jw_member_bool(w, "leads", leads);
	jw_key(w, "session");
	if (row->session_id != 0)
		jw_int(w, row->session_id);
	else
		jw_null(w);
	show_number(w, doing, "runners");
	show_number(w, doing, "running");
	show_number(w, doing, "calls");
	show_number(w, doing, "waiting");
	jw_member_raw(w, "jobs", jobs.type == JSON_ARRAY_ ? jobs.raw : (struct slice){"[]", 2});
	jw_object_end(w);
}

static void
on_listed(void *arg, enum sl_code code, const struct node_row *rows, int count,
	  const struct sl_error *error)
{
	struct api_call *call = arg;
	struct json_writer w;
	struct buf out;
	int leader = -1;

	if (code != SL_OK) {
		api_fail_sl(call, code, error);
		return;
	}
	buf_init(&out, API_BODY_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	jw_key(&w, "workers");
	jw_array(&w);
	for (int i = 0; i < count; i++) {
		/* One that was killed says so until it is lost: the last word counts. */
		if (rows[i].leads && (leader < 0 || rows[i].seen_ms < rows[leader].seen_ms))
			leader = i;
	}
	for (int i = 0; i < count; i++)
		show_worker(&w, &rows[i], i == leader && !rows[i].lost);
	jw_array_end(&w);
	jw_object_end(&w);
	api_reply_buf(call, 200, &out);
}

void
admin_worker_list(struct api_call *call)
{
	node_list(account_pg(call->daemon->account), on_listed, call);
}

/* ---- steering --------------------------------------------------------------------------------- */

static void
steer_fail(struct steer *steer, enum sl_code code, const struct sl_error *error)
{
	struct api_call *call = steer->call;

	loop_timer_free(steer->timer);
	if (code == SL_NOT_FOUND)
		api_failf(call, 404, "not_found",
			  "no process of the name %s: GET /admin/v1/workers has the list",
			  steer->name);
	else
		api_fail_sl(call, code, error);
}

static void
on_forgotten(void *arg, enum sl_code code, int64_t count, const struct sl_error *error)
{
	struct steer *steer = arg;

	(void)count;
	if (code != SL_OK) /* it stays in the list as one that is lost */
		log_debug("node_not_removed", "error=%s",
			  log_text(error != NULL ? error->text : ""));
	api_reply_buf(steer->call, 200, &steer->out);
}

/* One that was ended by force is dealt with: its row goes; if it wakes, it writes another one. */
static void
steer_reply(struct steer *steer, const struct node_row *row)
{
	struct api_call *call = steer->call;
	struct json_writer w;

	loop_timer_free(steer->timer);
	buf_init(&steer->out, API_BODY_MAX);
	jw_init(&w, &steer->out);
	jw_object(&w);
	jw_key(&w, "worker");
	show_worker(&w, row, row->leads && !row->lost);
	if (steer->force)
		jw_member_int(&w, "resolved", steer->resolved);
	jw_object_end(&w);
	if (steer->force)
		node_remove(account_pg(call->daemon->account), steer->name, on_forgotten, steer);
	else
		api_reply_buf(call, 200, &steer->out);
}

static void
refuse(struct steer *steer, const char *text)
{
	loop_timer_free(steer->timer);
	api_failf(steer->call, 409, "conflict", "%s %s", steer->name, text);
}

static void
on_looked(void *arg, enum sl_code code, const struct node_row *rows, int count,
	  const struct sl_error *error)
{
	struct steer *steer = arg;

	(void)count;
	if (code != SL_OK)
		steer_fail(steer, code, error);
	else if (steer->force || rows[0].lost || (rows[0].state == NODE_QUIET) == steer->quiet ||
		 rows[0].state == NODE_DRAINING || clock_mono_ms() >= steer->until_ms)
		steer_reply(steer, &rows[0]);
	else
		loop_timer_in(steer->timer, LOOK_MS);
}

static void
look(void *arg)
{
	struct steer *steer = arg;

	node_find(account_pg(steer->call->daemon->account), steer->name, on_looked, steer);
}

/* ---- force: what is lost is ended now ---------------------------------------------------------- */

static void
on_lease_ended(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct steer *steer = arg;

	(void)value;
	if (code != SL_OK) /* it ends by its time */
		log_warn("lease_not_ended", "node=%s error=%s", steer->name,
			 log_text(error != NULL ? error->text : ""));
	if (--steer->asking == 0)
		look(steer);
}

/* Its leases, one for each shard, as its last beat named them: its keys are free at once. */
static void
end_leases(struct steer *steer, const char *text)
{
	struct daemon *daemon = steer->call->daemon;
	struct json_value doing;
	struct json_iter it;

	steer->asking = 1; /* ourselves */
	if (json_check(slice_text(text), &doing, NULL) == SL_OK) {
		json_iter_init(&it, json_get(doing, "leases"));
		for (int shard = 0; shard < daemon->shard_count && json_iter_next(&it); shard++) {
			char *lease = json_text(it.value, NULL);

			if (lease != NULL && lease_name_ok(lease) &&
			    queue_is_up(daemon->queues[shard])) {
				steer->asking++;
				lease_expire(daemon->queues[shard], lease, on_lease_ended, steer);
			}
			free(lease);
		}
		json_iter_fini(&it);
	}
	if (--steer->asking == 0)
		look(steer);
}

static void
on_row_of_ended(void *arg, enum sl_code code, const struct node_row *rows, int count,
		const struct sl_error *error)
{
	struct steer *steer = arg;

	(void)count;
	if (code != SL_OK)
		steer_fail(steer, code, error);
	else
		end_leases(steer, rows[0].doing);
}

static void
on_ended(void *arg, enum sl_code code, int64_t resolved, const struct sl_error *error)
{
	struct steer *steer = arg;

	if (code == SL_CONFLICT) {
		refuse(steer, "was seen just now: it is not lost");
		return;
	}
	if (code != SL_OK) {
		steer_fail(steer, code, error);
		return;
	}
	log_warn("worker_ended", "node=%s resolved=%lld by=operator", log_text(steer->name),
		 (long long)resolved);
	steer->resolved = resolved;
	node_find(account_pg(steer->call->daemon->account), steer->name, on_row_of_ended, steer);
}

/* ---- what is allowed --------------------------------------------------------------------------- */

/* Why it cannot be done; NULL: it can. */
static const char *
objection(const struct steer *steer, const struct node_row *row)
{
	if ((row->roles & ROLE_WORKER) == 0)
		return "does not have the role worker: there is nothing to quiet";
	if (steer->quiet)
		return row->state == NODE_DRAINING && !row->lost ? "is stopping already" : NULL;
	if (row->lost)
		return steer->force ? NULL
				    : "is lost; with \"force\": true its session is ended now, and "
				      "what it ran goes to others as far as its tries allow";
	return row->quiet || row->state == NODE_QUIET ? NULL
						      : "is live and not quiet: nothing to release";
}

static void
on_found(void *arg, enum sl_code code, const struct node_row *rows, int count,
	 const struct sl_error *error)
{
	struct steer *steer = arg;
	struct daemon *daemon = steer->call->daemon;
	const char *why;

	(void)count;
	if (code != SL_OK) {
		steer_fail(steer, code, error);
		return;
	}
	why = objection(steer, &rows[0]);
	steer->force = steer->force && rows[0].lost;
	if (why != NULL) {
		refuse(steer, why);
	} else if (steer->force) {
		node_end_sessions(account_pg(daemon->account), steer->name,
				  (int)config_int(daemon->config, "deaths_max"), on_ended, steer);
	} else {
		log_info("worker_steered", "node=%s quiet=%d by=operator", log_text(steer->name),
			 steer->quiet);
		node_set_quiet(account_pg(daemon->account), steer->name, steer->quiet, on_looked,
			       steer);
	}
}

static void
begin(struct api_call *call, bool quiet, bool force)
{
	struct steer *steer = api_state(call, sizeof(*steer));

	steer->call = call;
	steer->name = call->segment[3];
	steer->quiet = quiet;
	steer->force = force;
	steer->until_ms = clock_mono_ms() + WAIT_MS;
	steer->timer = loop_timer_new(call->daemon->loop, look, steer);
	node_find(account_pg(call->daemon->account), steer->name, on_found, steer);
}

void
admin_worker_quiet(struct api_call *call)
{
	static const char *const names[] = {NULL};

	if (api_strict(call, call->body, names))
		begin(call, true, false);
}

/* {"force": bool} */
void
admin_worker_release(struct api_call *call)
{
	static const char *const names[] = {"force", NULL};
	bool force;

	if (api_strict(call, call->body, names) &&
	    api_bool(call, call->body, "force", false, &force))
		begin(call, false, force);
}
