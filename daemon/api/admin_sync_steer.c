/* daemon/api/admin_sync_steer.c - POST /admin/v1/syncs/{id}/start, /pause and /trigger. */
#include "base/alloc.h"
#include "base/log.h"
#include "daemon/api/admin_sync.h"
#include "daemon/api/resources.h"
#include "daemon/sync_start.h"
#include "sql/schedule_steer.h"

struct steering {
	struct api_call *call;
	char uuid[UUID_TEXT];
	const char *what; /* for the log */
	int64_t id, environment_id;
	struct sync_pick pick; /* its variant is owned by the call */
	struct sync_set set;   /* of this sync alone */
	bool pause;
	struct sync_start_how how;
	void (*found)(struct steering *steering);
};

static void
on_sync(void *arg, enum sl_code code, const struct inspect_sync *sync,
	const struct inspect_sync_more *more, const struct sl_error *error)
{
	struct steering *steering = arg;

	(void)more;
	if (code != SL_OK) {
		admin_sync_fail(steering->call, code, error);
		return;
	}
	steering->id = sync->id;
	steering->environment_id = sync->environment_id;
	steering->pick = (struct sync_pick){
	    .function_id = sync->function_id,
	    .variant = api_keep(steering->call, sl_strdup(sync->variant)),
	};
	steering->set = (struct sync_set){.integration_id = sync->integration_id,
					  .connection_id = sync->connection_row,
					  .picks = &steering->pick,
					  .pick_count = 1};
	steering->found(steering);
}

/* NULL: the call was answered. */
static struct steering *
steering_new(struct api_call *call, const char *what, void (*found)(struct steering *steering))
{
	struct steering *steering = api_state(call, sizeof(*steering));

	steering->call = call;
	steering->what = what;
	steering->found = found;
	return admin_sync_id(call, steering->uuid) ? steering : NULL;
}

static void
find(struct steering *steering)
{
	inspect_sync_show(steering->call->daemon->dead, steering->uuid, on_sync, steering);
}

static void
done(struct steering *steering, int started)
{
	log_info("sync_steered", "sync=%lld environment=%lld what=%s", (long long)steering->id,
		 (long long)steering->environment_id, steering->what);
	admin_show_sync(steering->call, steering->uuid, started);
}

/* ---- start, pause ----------------------------------------------------------------------------- */

static void
on_scheduled(void *arg, enum sl_code code, int64_t found, int64_t changed,
	     const struct sl_error *error)
{
	struct steering *steering = arg;

	(void)changed;
	if (code == SL_OK && found == 0) /* removed meanwhile */
		code = SL_NOT_FOUND;
	if (code != SL_OK)
		admin_sync_fail(steering->call, code, error);
	else
		done(steering, -1);
}

static void
set_schedule(struct steering *steering)
{
	struct sync_store *store = steering->call->daemon->syncs;

	if (steering->pause)
		schedule_pause(store, &steering->set, on_scheduled, steering);
	else
		schedule_start(store, &steering->set, on_scheduled, steering);
}

static void
set_paused(struct api_call *call, const char *what, bool pause)
{
	static const char *const none[] = {NULL};
	struct steering *steering = steering_new(call, what, set_schedule);

	if (steering == NULL || !api_strict(call, call->body, none))
		return;
	steering->pause = pause;
	find(steering);
}

void
admin_sync_begin(struct api_call *call)
{
	set_paused(call, "start", false);
}

void
admin_sync_pause(struct api_call *call)
{
	set_paused(call, "pause", true);
}

/* ---- trigger ---------------------------------------------------------------------------------- */

static void
on_started(void *arg, enum sl_code code, bool started, const struct sl_error *error)
{
	struct steering *steering = arg;

	if (code != SL_OK)
		api_fail_submit(steering->call, steering->environment_id, code, error);
	else
		done(steering, started);
}

static void
on_row(void *arg, enum sl_code code, const struct sync_row *row, int count,
       const struct sl_error *error)
{
	struct steering *steering = arg;
	struct api_call *call = steering->call;

	(void)count;
	if (code != SL_OK)
		admin_sync_fail(call, code, error);
	else if (row->version_id == 0)
		api_fail(call, 409, "disabled_resource",
			 "its function is disabled or was removed: enable or deploy it first");
	else
		sync_start(call->daemon, row, &steering->how, on_started, steering);
}

static void
trigger(struct steering *steering)
{
	sync_read(steering->call->daemon->syncs, steering->id, on_row, steering);
}

void
admin_sync_trigger(struct api_call *call)
{
	static const char *const names[] = {"reset", "emptyCache", NULL};
	struct steering *steering = steering_new(call, "trigger", trigger);

	if (steering == NULL || !api_strict(call, call->body, names) ||
	    !api_bool(call, call->body, "reset", false, &steering->how.reset) ||
	    !api_bool(call, call->body, "emptyCache", false, &steering->how.empty_cache))
		return;
	if (steering->how.empty_cache && !steering->how.reset)
		api_fail_issue(call, "invalid_body", "invalid_value", "emptyCache",
			       "emptyCache needs reset: a checkpoint that stays would keep the "
			       "removed records away");
	else
		find(steering);
}
