/* daemon/api/admin_dead.c - jobs that were set aside because they killed what ran them (R3):
 * /admin/v1/dead: look, replay, take off the list. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/api/admin.h"
#include "daemon/api/resources.h"
#include "daemon/daemon.h"
#include "sql/dead.h"

struct place { /* an environment, for its name */
	int64_t id;
	char *name; /* owned */
};

struct dead {
	struct api_call *call;
	struct place *places; /* owned */
	int place_count;
	const char *environment; /* asked for; NULL: all */
	int64_t environment_id;
	char before[UUID_TEXT]; /* "": from the newest */
	int64_t before_ms, limit;
	char (*ids)[UUID_TEXT]; /* owned */
	int count;
	void (*go)(struct dead *dead);
};

static void
dead_release(struct dead *dead)
{
	for (int i = 0; i < dead->place_count; i++)
		free(dead->places[i].name);
	free(dead->places);
	free(dead->ids);
}

static void
dead_reply(struct dead *dead, struct buf *out)
{
	struct api_call *call = dead->call;

	dead_release(dead);
	api_reply_buf(call, 200, out);
}

static void
dead_fail(struct dead *dead, enum sl_code code, const struct sl_error *error)
{
	struct api_call *call = dead->call;

	dead_release(dead);
	if (code == SL_NOT_FOUND)
		api_fail(call, 404, "not_found", "this job is not in the dead list");
	else
		api_fail_sl(call, code, error);
}

static struct dead *
dead_new(struct api_call *call, void (*go)(struct dead *dead))
{
	struct dead *dead = api_state(call, sizeof(*dead));

	dead->call = call;
	dead->go = go;
	dead->limit = ADMIN_LIMIT_DEFAULT;
	return dead;
}

/* ---- which environment ------------------------------------------------------------------------ */

static void
on_environments(void *arg, enum sl_code code, const struct account_environment *rows, int count,
		const struct sl_error *error)
{
	struct dead *dead = arg;
	struct api_call *call = dead->call;

	if (code != SL_OK) {
		dead_fail(dead, code, error);
		return;
	}
	dead->places = sl_calloc((size_t)count + 1, sizeof(*dead->places));
	dead->place_count = count;
	for (int i = 0; i < count; i++) {
		dead->places[i] = (struct place){rows[i].id, sl_strdup(rows[i].name)};
		if (dead->environment != NULL && strcmp(rows[i].name, dead->environment) == 0)
			dead->environment_id = rows[i].id;
	}
	if (dead->environment == NULL || dead->environment_id != 0) {
		dead->go(dead);
		return;
	}
	dead_release(dead);
	api_fail(call, 404, "not_found", "there is no environment of that name");
}

/* Goes on by dead->go with the names of all environments. */
static void
find_environment(struct dead *dead)
{
	if (dead->environment != NULL &&
	    !api_check_name(dead->call, API_NAME_ENVIRONMENT, dead->environment,
			    dead->call->body.type == JSON_OBJECT_ ? "invalid_body"
								  : "invalid_query_params",
			    "environment"))
		return;
	account_environment_list(dead->call->daemon->account, on_environments, dead);
}

/* ---- looking ---------------------------------------------------------------------------------- */

static void
show_last(struct json_writer *w, int signal, int64_t memory, const char *last_call)
{
	jw_key(w, "signal");
	if (signal > 0)
		jw_int(w, signal);
	else
		jw_null(w);
	jw_key(w, "memory");
	if (memory > 0)
		jw_int(w, memory);
	else
		jw_null(w);
	jw_member_text(w, "last_call", last_call[0] != '\0' ? last_call : NULL);
}

/* The members; the object stays open. */
static void
show_row(const struct dead *dead, struct json_writer *w, const struct dead_row *row)
{
	const char *environment = NULL;

	for (int i = 0; i < dead->place_count; i++)
		if (dead->places[i].id == row->environment_id)
			environment = dead->places[i].name;
	jw_object(w);
	jw_member_text(w, "id", row->job_id);
	jw_member_text(w, "environment", environment);
	jw_member_text(w, "kind", job_kind_name(row->kind));
	jw_member_text(w, "integration", row->integration[0] != '\0' ? row->integration : NULL);
	jw_member_text(w, "function", row->function[0] != '\0' ? row->function : NULL);
	jw_member_int(w, "function_version", row->function_version_id);
	jw_member_int(w, "connection", row->connection_id);
	jw_member_int(w, "deaths", row->deaths);
	show_last(w, row->signal, row->memory, row->last_call);
	admin_show_time(w, "at", row->at_ms);
	jw_member_int(w, "replays", row->replays);
	jw_member_text(w, "last_replay", row->last_replay[0] != '\0' ? row->last_replay : NULL);
}

static void
on_listed(void *arg, enum sl_code code, const struct dead_row *rows, int count,
	  const struct sl_error *error)
{
	struct dead *dead = arg;
	struct json_writer w;
	struct buf out;

	if (code != SL_OK) {
		dead_fail(dead, code, error);
		return;
	}
	buf_init(&out, API_BODY_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	jw_key(&w, "data");
	jw_array(&w);
	for (int i = 0; i < count; i++) {
		show_row(dead, &w, &rows[i]);
		jw_object_end(&w);
	}
	jw_array_end(&w);
	jw_member_text(&w, "next", count == dead->limit ? rows[count - 1].job_id : NULL);
	jw_object_end(&w);
	dead_reply(dead, &out);
}

static void
list(struct dead *dead)
{
	dead_list(dead->call->daemon->dead, dead->environment_id,
		  dead->before[0] != '\0' ? dead->before : NULL, (int)dead->limit, on_listed, dead);
}

void
admin_dead_list(struct api_call *call)
{
	static const char *const names[] = {"environment", "limit", "before", NULL};
	struct dead *dead = dead_new(call, list);
	const char *before = api_query(call, "before");

	dead->environment = api_query(call, "environment");
	if (!api_query_strict(call, names) ||
	    !admin_read_number(call, "limit", DEAD_CALL_MAX, &dead->limit))
		return;
	if (before != NULL && !uuid_parse(slice_text(before), dead->before))
		api_fail_issue(call, "invalid_query_params", "invalid_format", "before",
			       "before must be the id of a job: `next` of the page before");
	else
		find_environment(dead);
}

static void
on_shown(void *arg, enum sl_code code, const struct dead_row *row, const struct dead_death *deaths,
	 int count, const struct sl_error *error)
{
	struct dead *dead = arg;
	struct json_writer w;
	struct buf out;

	if (code != SL_OK) {
		dead_fail(dead, code, error);
		return;
	}
	buf_init(&out, API_BODY_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	jw_key(&w, "data");
	show_row(dead, &w, row);
	jw_key(&w, "history");
	jw_array(&w);
	for (int i = 0; i < count; i++) {
		jw_object(&w);
		jw_member_text(&w, "cause",
			       deaths[i].cause == SETTLE_RUNNER_DIED ? "runner_died"
								     : "worker_lost");
		show_last(&w, deaths[i].signal, deaths[i].memory, deaths[i].last_call);
		admin_show_time(&w, "at", deaths[i].at_ms);
		jw_object_end(&w);
	}
	jw_array_end(&w);
	jw_object_end(&w);
	jw_object_end(&w);
	dead_reply(dead, &out);
}

static void
show(struct dead *dead)
{
	dead_show(dead->call->daemon->dead, dead->ids[0], on_shown, dead);
}

void
admin_dead_read(struct api_call *call)
{
	struct dead *dead = dead_new(call, show);

	dead->ids = sl_calloc(1, sizeof(*dead->ids));
	if (uuid_parse(slice_text(call->segment[3]), dead->ids[0])) {
		find_environment(dead);
		return;
	}
	dead_release(dead);
	api_fail_issue(call, "invalid_uri_params", "invalid_format", "id",
		       "the job id must be a UUID");
}

/* ---- replay ----------------------------------------------------------------------------------- */

/* ids of the body. */
static bool
read_ids(struct dead *dead)
{
	struct api_call *call = dead->call;
	struct json_value value = json_get(call->body, "ids");
	bool fine = true;
	struct json_iter it;
	char path[24] = "";
	int at = 0;

	if (!admin_read_array(call, value, "ids", DEAD_CALL_MAX, &dead->count))
		return false;
	dead->ids = sl_calloc((size_t)dead->count, sizeof(*dead->ids));
	json_iter_init(&it, value);
	for (; fine && json_iter_next(&it); at++) {
		char *text = json_text(it.value, NULL);

		snprintf(path, sizeof(path), "ids.%d", at);
		fine = text != NULL && uuid_parse(slice_text(text), dead->ids[at]);
		free(text);
	}
	json_iter_fini(&it);
	if (fine)
		return true;
	dead_release(dead);
	api_fail_issue(call, "invalid_body", "invalid_format", path,
		       "ids must be ids of jobs: %s is no UUID", path);
	return false;
}

static const char *
refusal_code(enum sl_code code)
{
	switch (code) {
	case SL_NOT_FOUND:
		return "not_found";
	case SL_CONFLICT:
		return "disabled_resource";
	case SL_EXHAUSTED:
		return "too_many_replays";
	case SL_INVALID:
		return "not_replayable";
	case SL_UNAVAILABLE:
		return "queue_draining";
	case SL_OK:
	case SL_INTERNAL:
		break;
	}
	return "not_replayed";
}

static void
on_replayed(void *arg, enum sl_code code, const struct dead_replayed *jobs, int count,
	    const struct sl_error *error)
{
	struct dead *dead = arg;
	struct json_writer w;
	struct buf out;
	int good = 0;

	if (code != SL_OK) {
		dead_fail(dead, code, error);
		return;
	}
	buf_init(&out, API_BODY_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	jw_key(&w, "data");
	jw_array(&w);
	for (int i = 0; i < count; i++) {
		good += jobs[i].code == SL_OK;
		jw_object(&w);
		jw_member_text(&w, "id", jobs[i].old_id);
		jw_member_text(&w, "new_id", jobs[i].code == SL_OK ? jobs[i].new_id : NULL);
		if (jobs[i].code != SL_OK) {
			jw_key(&w, "error");
			jw_object(&w);
			jw_member_text(&w, "code", refusal_code(jobs[i].code));
			jw_member_text(&w, "message", jobs[i].why);
			jw_object_end(&w);
		}
		jw_object_end(&w);
	}
	jw_array_end(&w);
	jw_member_int(&w, "replayed", good);
	jw_object_end(&w);
	log_info("dead_replayed", "jobs=%d asked=%d", good, count);
	dead_reply(dead, &out);
}

static void
replay(struct dead *dead)
{
	struct daemon *daemon = dead->call->daemon;

	dead_replay(daemon->dead, (const char(*)[UUID_TEXT])dead->ids, dead->count,
		    (int)config_int(daemon->config, "dead_replays_max"), on_replayed, dead);
}

static void
on_to_replay(void *arg, enum sl_code code, const struct dead_row *rows, int count,
	     const struct sl_error *error)
{
	struct dead *dead = arg;

	if (code != SL_OK) {
		dead_fail(dead, code, error);
		return;
	}
	if (count == 0) {
		on_replayed(dead, SL_OK, NULL, 0, NULL);
		return;
	}
	dead->ids = sl_calloc((size_t)count, sizeof(*dead->ids));
	dead->count = count;
	for (int i = 0; i < count; i++)
		memcpy(dead->ids[i], rows[i].job_id, sizeof(dead->ids[i]));
	replay(dead);
}

static void
replay_environment(struct dead *dead)
{
	dead_list(dead->call->daemon->dead, dead->environment_id, NULL, (int)dead->limit,
		  on_to_replay, dead);
}

/* {"ids": [..]}, or {"environment": .., "limit": ..}: the newest of that environment. */
void
admin_dead_replay(struct api_call *call)
{
	static const char *const names[] = {"ids", "environment", "limit", NULL};
	struct dead *dead = dead_new(call, replay_environment);
	struct json_value ids = json_get(call->body, "ids");
	struct json_value environment = json_get(call->body, "environment");
	struct json_value limit = json_get(call->body, "limit");

	if (!api_strict(call, call->body, names))
		return;
	if ((ids.type == JSON_NONE) == (environment.type == JSON_NONE) ||
	    (ids.type != JSON_NONE && limit.type != JSON_NONE)) {
		api_fail_issue(call, "invalid_body", "custom", "ids",
			       "give either ids, or environment and maybe limit");
		return;
	}
	if (ids.type != JSON_NONE) {
		if (read_ids(dead))
			replay(dead);
		return;
	}
	if (limit.type != JSON_NONE &&
	    (!json_int(limit, &dead->limit) || dead->limit < 1 || dead->limit > DEAD_CALL_MAX)) {
		api_fail_issue(call, "invalid_body", "invalid_value", "limit",
			       "limit must be a whole number from 1 to %d", DEAD_CALL_MAX);
		return;
	}
	if (api_text(call, call->body, "environment", true, 0, &dead->environment))
		find_environment(dead);
}

/* ---- taking off ------------------------------------------------------------------------------- */

static void
on_purged(void *arg, enum sl_code code, int64_t count, const struct sl_error *error)
{
	struct dead *dead = arg;
	struct buf out;

	if (code != SL_OK) {
		dead_fail(dead, code, error);
		return;
	}
	log_info("dead_purged", "jobs=%lld", (long long)count);
	buf_init(&out, 64);
	buf_printf(&out, "{\"deleted\":%lld}", (long long)count);
	dead_reply(dead, &out);
}

static void
purge(struct dead *dead)
{
	dead_purge(dead->call->daemon->dead, dead->environment_id,
		   (const char(*)[UUID_TEXT])dead->ids, dead->count, dead->before_ms, on_purged,
		   dead);
}

/* {"ids": [..]}, or ?environment=, ?before= or both: all of them at once only when asked so. */
void
admin_dead_delete(struct api_call *call)
{
	static const char *const query[] = {"environment", "before", NULL};
	static const char *const names[] = {"ids", NULL};
	struct dead *dead = dead_new(call, purge);
	bool by_query = http_request_query(call->request).len > 0;
	bool by_ids = json_get(call->body, "ids").type != JSON_NONE;

	dead->before_ms = clock_wall_ms() + 1;
	dead->environment = api_query(call, "environment");
	if (!api_query_strict(call, query) || !api_strict(call, call->body, names))
		return;
	if (by_query == by_ids)
		api_fail_issue(call, "invalid_body", "custom", "ids",
			       "give either ids in the body, or environment and before as query");
	else if (by_ids && read_ids(dead))
		purge(dead);
	else if (by_query && admin_read_before(call, &dead->before_ms))
		find_environment(dead);
}
