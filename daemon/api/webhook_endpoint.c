/* daemon/api/webhook_endpoint.c - GET and POST /webhooks/endpoints: where events go, how it does, to pause and
 * to resume. */
#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "daemon/api/resources.h"
#include "daemon/api/webhook.h"
#include "daemon/deliver/deliver.h"
#include "sql/endpoint.h"

struct endpoints {
	struct webhook_place place;
	char uuid[UUID_TEXT];
	int64_t after, limit;
	bool pause;
};

static void
endpoints_fail(struct endpoints *it, enum sl_code code, const struct sl_error *error)
{
	if (code == SL_NOT_FOUND)
		api_fail(it->place.call, 404, "not_found",
			 "there is no such endpoint; GET /webhooks/endpoints lists them");
	else
		api_fail_sl(it->place.call, code, error);
}

static const char *
kind_name(enum endpoint_slot slot)
{
	switch (slot) {
	case ENDPOINT_PRIMARY:
		return "primary";
	case ENDPOINT_SECONDARY:
		return "secondary";
	case ENDPOINT_OVERRIDE:
		return "override";
	}
	return NULL;
}

static const char *
state_name(enum endpoint_state state)
{
	switch (state) {
	case ENDPOINT_ACTIVE:
		return "active";
	case ENDPOINT_FAILING:
		return "failing";
	case ENDPOINT_OPEN:
		return "open";
	case ENDPOINT_PAUSED:
		return "paused";
	case ENDPOINT_UNSET:
		return "unset";
	}
	return NULL;
}

static const char *
pause_name(enum endpoint_pause pause)
{
	switch (pause) {
	case ENDPOINT_PAUSE_OPERATOR:
		return "operator";
	case ENDPOINT_PAUSE_GONE:
		return "gone";
	case ENDPOINT_PAUSE_FAILING:
		return "failing";
	}
	return NULL;
}

static void
show_endpoint(struct json_writer *w, const struct endpoint_row *row)
{
	jw_object(w);
	jw_member_text(w, "id", row->uuid);
	admin_show_name(w, "environment", row->environment);
	jw_member_text(w, "kind", kind_name(row->slot));
	admin_show_name(w, "url", row->url);
	jw_member_text(w, "state", state_name(row->state));
	jw_key(w, "paused");
	if (row->paused_ms > 0) {
		jw_object(w);
		admin_show_time(w, "since", row->paused_ms);
		jw_member_text(w, "cause", pause_name(row->pause));
		jw_object_end(w);
	} else {
		jw_null(w);
	}
	admin_show_time(w, "failing_since", row->failing_ms);
	jw_member_int(w, "failures", row->failures);
	admin_show_time(w, "retry_at", row->retry_ms);
	jw_member_int(w, "pending", row->pending);
	admin_show_time(w, "oldest_pending_at", row->oldest_ms);
	jw_object_end(w);
}

/* ---- GET /webhooks/endpoints ------------------------------------------------------------------ */

static void
on_listed(void *arg, enum sl_code code, const struct endpoint_row *rows, int count, int64_t next,
	  const struct sl_error *error)
{
	struct endpoints *it = arg;
	struct json_writer w;
	struct buf out;
	char *cursor;

	if (code != SL_OK) {
		endpoints_fail(it, code, error);
		return;
	}
	buf_init(&out, API_BODY_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	jw_key(&w, "endpoints");
	jw_array(&w);
	for (int i = 0; i < count; i++)
		show_endpoint(&w, &rows[i]);
	jw_array_end(&w);
	cursor = sl_asprintf("%lld", (long long)next);
	jw_member_text(&w, "next", next > 0 ? cursor : NULL);
	free(cursor);
	jw_object_end(&w);
	api_reply_buf(it->place.call, 200, &out);
}

static void
list(struct webhook_place *place)
{
	struct endpoints *it = (struct endpoints *)place;

	endpoint_list(place->call->daemon->dead, place->environment_id, it->after, (int)it->limit,
		      on_listed, it);
}

void
webhook_endpoint_list(struct api_call *call)
{
	static const char *const names[] = {"environment", "limit", "cursor", NULL};
	struct endpoints *it = webhook_place_new(call, sizeof(*it));

	it->limit = ADMIN_LIMIT_DEFAULT;
	if (webhook_strict(&it->place, names) &&
	    admin_read_number(call, "limit", ENDPOINT_LIST_MAX, &it->limit) &&
	    admin_read_number(call, "cursor", INT64_MAX, &it->after))
		webhook_find(&it->place, false, list);
}

/* ---- one -------------------------------------------------------------------------------------- */

static void
on_shown(void *arg, enum sl_code code, const struct endpoint_row *row, const struct sl_error *error)
{
	struct endpoints *it = arg;
	struct json_writer w;
	struct buf out;

	if (code != SL_OK) {
		endpoints_fail(it, code, error);
		return;
	}
	buf_init(&out, API_BODY_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	jw_key(&w, "endpoint");
	show_endpoint(&w, row);
	jw_object_end(&w);
	api_reply_buf(it->place.call, 200, &out);
}

static void
show(struct webhook_place *place)
{
	struct endpoints *it = (struct endpoints *)place;

	endpoint_show(place->call->daemon->dead, place->environment_id, it->uuid, on_shown, it);
}

static void
on_steered(void *arg, enum sl_code code, const struct endpoint_row *row,
	   const struct sl_error *error)
{
	struct endpoints *it = arg;

	if (code == SL_OK) {
		log_info("webhook_endpoint_steered", "endpoint=%s what=%s", it->uuid,
			 it->pause ? "pause" : "resume");
		if (!it->pause)
			deliver_poke(it->place.call->daemon->deliver);
	}
	on_shown(it, code, row, error);
}

static void
steer(struct webhook_place *place)
{
	struct endpoints *it = (struct endpoints *)place;

	endpoint_steer(place->call->daemon->dead, place->environment_id, it->uuid, it->pause,
		       on_steered, it);
}

static void
find_one(struct api_call *call, bool pause, void (*go)(struct webhook_place *place))
{
	static const char *const names[] = {"environment", NULL};
	struct endpoints *it = webhook_place_new(call, sizeof(*it));

	it->pause = pause;
	if (webhook_id(call, "endpoint", it->uuid) && webhook_strict(&it->place, names))
		webhook_find(&it->place, false, go);
}

void
webhook_endpoint_read(struct api_call *call)
{
	find_one(call, false, show);
}

void
webhook_endpoint_pause(struct api_call *call)
{
	find_one(call, true, steer);
}

void
webhook_endpoint_resume(struct api_call *call)
{
	find_one(call, false, steer);
}
