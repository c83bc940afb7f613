/* daemon/api/webhook_delivery.c - GET and POST /webhooks/deliveries: what apps were told, how they answered, and
 * to tell them again. */
#include <string.h>

#include "base/log.h"
#include "config.h"
#include "daemon/api/resources.h"
#include "daemon/api/webhook.h"
#include "daemon/deliver/deliver.h"
#include "sql/delivery_show.h"

#define RESEND_DEFAULT 1000

static const struct {
	const char *name;
	enum delivery_state state;
} states[] = {
    {"pending", DELIVERY_PENDING},
    {"retrying", DELIVERY_RETRYING},
    {"delivered", DELIVERY_DELIVERED},
    {"exhausted", DELIVERY_EXHAUSTED},
};
enum { STATES = sizeof(states) / sizeof(states[0]) };

struct deliveries {
	struct webhook_place place;
	char id[UUID_TEXT];
	struct delivery_filter filter;
	struct delivery_resend_filter resend;
};

static void
deliveries_fail(struct deliveries *it, enum sl_code code, const struct sl_error *error)
{
	if (code == SL_NOT_FOUND)
		api_fail(it->place.call, 404, "not_found",
			 "there is no such delivery, or it is no longer kept; "
			 "GET /webhooks/deliveries lists them");
	else if (code == SL_CONFLICT)
		api_fail(it->place.call, 409, "conflict",
			 "a try of this delivery is under way; look again when it has ended");
	else
		api_fail_sl(it->place.call, code, error);
}

/* ---- as JSON ---------------------------------------------------------------------------------- */

static void
show_status(struct json_writer *w, int status)
{
	jw_key(w, "status");
	if (status > 0)
		jw_int(w, status);
	else
		jw_null(w);
}

static void
show_last(struct json_writer *w, const struct delivery_row *row)
{
	jw_key(w, "last_try");
	if (row->last_ms == 0) {
		jw_null(w);
		return;
	}
	jw_object(w);
	admin_show_time(w, "at", row->last_ms);
	show_status(w, row->last_status);
	admin_show_name(w, "failure", row->last_failure);
	jw_object_end(w);
}

/* The members; the object stays open. */
static void
show_delivery(struct json_writer *w, const struct delivery_row *row)
{
	jw_object(w);
	jw_member_text(w, "id", row->id);
	jw_member_text(w, "event_id", row->event_id);
	jw_member_text(w, "type", webhook_type_name(row->type));
	admin_show_name(w, "environment", row->environment);
	jw_key(w, "endpoint");
	jw_object(w);
	admin_show_name(w, "id", row->endpoint);
	admin_show_name(w, "url", row->url);
	jw_object_end(w);
	admin_show_name(w, "connection_id", row->connection);
	admin_show_name(w, "provider_config_key", row->integration);
	admin_show_name(w, "job", row->job);
	for (int i = 0; i < STATES; i++)
		if (states[i].state == row->state)
			jw_member_text(w, "state", states[i].name);
	jw_member_int(w, "tries", row->tries);
	admin_show_time(w, "created_at", row->created_ms);
	admin_show_time(w, "next_try_at", row->next_try_ms);
	admin_show_time(w, "ended_at", row->ended_ms);
	show_last(w, row);
}

/* What every try sends; times and signatures are of each. */
static void
show_request(struct json_writer *w, const struct delivery_row *row, struct slice body)
{
	jw_key(w, "request");
	jw_object(w);
	jw_member_text(w, "method", "POST");
	admin_show_name(w, "url", row->url);
	jw_key(w, "headers");
	jw_object(w);
	jw_member_text(w, "content-type", "application/json");
	jw_member_text(w, "user-agent", "sluice/" PACKAGE_VERSION);
	jw_member_text(w, "webhook-id", row->event_id);
	jw_object_end(w);
	jw_key(w, "body");
	jw_text_n(w, body.data, body.len);
	jw_object_end(w);
}

static void
show_try(struct json_writer *w, const struct delivery_show_try *it)
{
	jw_object(w);
	jw_member_int(w, "number", it->number);
	admin_show_time(w, "at", it->at_ms);
	jw_member_int(w, "took_ms", it->took_ms);
	jw_member_text(w, "node", it->node);
	jw_member_text(w, "url", it->url);
	show_status(w, it->status);
	admin_show_name(w, "failure", it->failure);
	jw_member_text(w, "detail", it->detail);
	jw_key(w, "answer");
	if (it->status > 0) {
		jw_object(w);
		jw_member_raw(w, "headers",
			      slice_text(it->headers[0] != '\0' ? it->headers : "{}"));
		jw_key(w, "body");
		jw_text_n(w, it->answer.data, it->answer.len);
		jw_member_bool(w, "truncated", it->cut);
		jw_object_end(w);
	} else {
		jw_null(w);
	}
	jw_object_end(w);
}

/* ---- GET /webhooks/deliveries ----------------------------------------------------------------- */

static void
on_listed(void *arg, enum sl_code code, const struct delivery_row *rows, int count,
	  const char *next, const struct sl_error *error)
{
	struct deliveries *it = arg;
	struct json_writer w;
	struct buf out;

	if (code != SL_OK) {
		deliveries_fail(it, code, error);
		return;
	}
	buf_init(&out, API_BODY_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	jw_key(&w, "deliveries");
	jw_array(&w);
	for (int i = 0; i < count; i++) {
		show_delivery(&w, &rows[i]);
		jw_object_end(&w);
	}
	jw_array_end(&w);
	admin_show_name(&w, "next", next);
	jw_object_end(&w);
	api_reply_buf(it->place.call, 200, &out);
}

static void
list(struct webhook_place *place)
{
	struct deliveries *it = (struct deliveries *)place;

	it->filter.environment_id = place->environment_id;
	delivery_list(place->call->daemon->dead, &it->filter, on_listed, it);
}

static bool
read_state(struct api_call *call, struct delivery_filter *filter)
{
	const char *state = api_query(call, "state");

	if (state == NULL)
		return true;
	for (int i = 0; i < STATES; i++)
		if (strcmp(state, states[i].name) == 0)
			filter->state = states[i].state;
	filter->failed = strcmp(state, "failed") == 0;
	if (filter->failed || filter->state != 0)
		return true;
	api_fail_issue(call, "invalid_query_params", "invalid_value", "state",
		       "state must be pending, retrying, delivered or exhausted, "
		       "or failed for retrying and exhausted");
	return false;
}

/* A query parameter that is an id. */
static bool
read_uuid(struct api_call *call, const char *name, const char **out)
{
	return webhook_uuid(call, "invalid_query_params", name, api_query(call, name), out);
}

void
webhook_delivery_list(struct api_call *call)
{
	static const char *const names[] = {"environment", "endpoint", "type",  "state",  "since",
					    "before",      "job",      "limit", "cursor", NULL};
	struct deliveries *it = webhook_place_new(call, sizeof(*it));
	struct delivery_filter *filter = &it->filter;
	int64_t limit = ADMIN_LIMIT_DEFAULT;

	if (!webhook_strict(&it->place, names) || !read_uuid(call, "endpoint", &filter->endpoint) ||
	    !webhook_type(call, "invalid_query_params", api_query(call, "type"), &filter->type) ||
	    !read_state(call, filter) || !admin_read_time(call, "since", &filter->since_ms) ||
	    !admin_read_time(call, "before", &filter->before_ms) ||
	    !read_uuid(call, "job", &filter->job) ||
	    !admin_read_number(call, "limit", DELIVERY_LIST_MAX, &limit) ||
	    !read_uuid(call, "cursor", &filter->before))
		return;
	filter->limit = (int)limit;
	webhook_find(&it->place, false, list);
}

/* ---- GET /webhooks/deliveries/{id} ------------------------------------------------------------ */

static void
on_shown(void *arg, enum sl_code code, const struct delivery_row *row, struct slice body,
	 const struct delivery_show_try *tries, int count, const struct sl_error *error)
{
	struct deliveries *it = arg;
	struct json_writer w;
	struct buf out;

	if (code != SL_OK) {
		deliveries_fail(it, code, error);
		return;
	}
	buf_init(&out, API_BODY_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	jw_key(&w, "delivery");
	show_delivery(&w, row);
	show_request(&w, row, body);
	jw_key(&w, "attempts");
	jw_array(&w);
	for (int i = 0; i < count; i++)
		show_try(&w, &tries[i]);
	jw_array_end(&w);
	jw_object_end(&w);
	jw_object_end(&w);
	api_reply_buf(it->place.call, 200, &out);
}

static void
show(struct webhook_place *place)
{
	struct deliveries *it = (struct deliveries *)place;

	delivery_show(place->call->daemon->dead, place->environment_id, it->id, on_shown, it);
}

void
webhook_delivery_read(struct api_call *call)
{
	static const char *const names[] = {"environment", NULL};
	struct deliveries *it = webhook_place_new(call, sizeof(*it));

	if (webhook_id(call, "delivery", it->id) && webhook_strict(&it->place, names))
		webhook_find(&it->place, false, show);
}

/* ---- POST /webhooks/deliveries/{id}/resend ---------------------------------------------------- */

static void
on_again(void *arg, enum sl_code code, const struct delivery_row *row, struct slice body,
	 const struct delivery_show_try *tries, int count, const struct sl_error *error)
{
	struct deliveries *it = arg;
	struct json_writer w;
	struct buf out;

	(void)body;
	(void)tries;
	(void)count;
	if (code != SL_OK) {
		deliveries_fail(it, code, error);
		return;
	}
	buf_init(&out, API_BODY_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	jw_key(&w, "delivery");
	show_delivery(&w, row);
	jw_object_end(&w);
	jw_object_end(&w);
	api_reply_buf(it->place.call, 200, &out);
}

static void
on_resent(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct deliveries *it = arg;
	struct daemon *daemon = it->place.call->daemon;

	if (code != SL_OK) {
		deliveries_fail(it, code, error);
		return;
	}
	log_info("webhook_resent", "delivery=%s", it->id);
	deliver_poke(daemon->deliver);
	delivery_show(daemon->dead, it->place.environment_id, it->id, on_again, it);
}

static void
resend(struct webhook_place *place)
{
	struct deliveries *it = (struct deliveries *)place;

	delivery_resend(place->call->daemon->dead, place->environment_id, it->id, on_resent, it);
}

void
webhook_delivery_resend(struct api_call *call)
{
	static const char *const names[] = {"environment", NULL};
	struct deliveries *it = webhook_place_new(call, sizeof(*it));

	if (webhook_id(call, "delivery", it->id) && webhook_strict(&it->place, names))
		webhook_find(&it->place, false, resend);
}

/* ---- POST /webhooks/deliveries/resend --------------------------------------------------------- */

static void
on_all_resent(void *arg, enum sl_code code, int64_t resent, bool more, const struct sl_error *error)
{
	struct deliveries *it = arg;
	struct api_call *call = it->place.call;
	struct buf out;

	if (resent > 0) {
		log_info("webhooks_resent", "environment=%lld deliveries=%lld",
			 (long long)it->place.environment_id, (long long)resent);
		deliver_poke(call->daemon->deliver);
	}
	if (code != SL_OK) { /* asked again it goes on behind those */
		deliveries_fail(it, code, error);
		return;
	}
	buf_init(&out, 128);
	buf_printf(&out, "{\"resent\":%lld,\"more\":%s}", (long long)resent,
		   more ? "true" : "false");
	api_reply_buf(call, 200, &out);
}

static void
resend_failed(struct webhook_place *place)
{
	struct deliveries *it = (struct deliveries *)place;

	it->resend.environment_id = place->environment_id;
	delivery_resend_failed(place->call->daemon->dead, &it->resend, on_all_resent, it);
}

/* A time in the body. */
static bool
read_time(struct api_call *call, const char *name, bool required, int64_t *out)
{
	const char *text;

	if (!api_text(call, call->body, name, required, 0, &text))
		return false;
	if (text == NULL || admin_parse_time(text, out))
		return true;
	api_fail_issue(call, "invalid_body", "invalid_format", name,
		       "%s must be a time as the list shows it, like 2026-11-22T05:12:00.123Z",
		       name);
	return false;
}

static bool
read_limit(struct api_call *call, int *out)
{
	struct json_value value = json_get(call->body, "limit");
	int64_t limit = RESEND_DEFAULT;

	if (value.type != JSON_NONE &&
	    (!json_int(value, &limit) || limit < 1 || limit > DELIVERY_RESEND_MAX)) {
		api_fail_issue(call, "invalid_body", "invalid_value", "limit",
			       "limit must be a whole number from 1 to %d", DELIVERY_RESEND_MAX);
		return false;
	}
	*out = (int)limit;
	return true;
}

void
webhook_delivery_resend_failed(struct api_call *call)
{
	static const char *const names[] = {"environment", "since", "before", "endpoint",
					    "type",        "limit", NULL};
	struct deliveries *it = webhook_place_new(call, sizeof(*it));
	struct delivery_resend_filter *filter = &it->resend;
	const char *endpoint, *type;

	if (!webhook_strict(&it->place, names) ||
	    !read_time(call, "since", true, &filter->since_ms) ||
	    !read_time(call, "before", false, &filter->before_ms) ||
	    !api_text(call, call->body, "endpoint", false, 0, &endpoint) ||
	    !webhook_uuid(call, "invalid_body", "endpoint", endpoint, &filter->endpoint) ||
	    !api_text(call, call->body, "type", false, 0, &type) ||
	    !webhook_type(call, "invalid_body", type, &filter->type) ||
	    !read_limit(call, &filter->limit))
		return;
	webhook_find(&it->place, true, resend_failed);
}
