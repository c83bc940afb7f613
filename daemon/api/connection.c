/* daemon/api/connection.c - connections: list, read, patch, delete (wire.md 5.1). */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "daemon/api/identity.h"
#include "daemon/api/resources.h"
#include "daemon/api/show.h"
#include "daemon/egress/fresh.h"
#include "daemon/event.h"

#define LIST_LIMIT_MAX 2000
#define LIST_LIMIT_DEFAULT 10000
#define FILTER_TAGS_MAX 10
#define FILTER_INTEGRATIONS_MAX 100
#define READ_CREDENTIALS "environment:connections:read_credentials"

/* ---- list -------------------------------------------------------------------------------------
 */

struct list {
	struct api_call *call;
	struct account_connection_filter filter;
	const char *keys[FILTER_INTEGRATIONS_MAX];
	const char *tag_names[FILTER_TAGS_MAX], *tag_values[FILTER_TAGS_MAX];
	struct buf
	    names; /* what keys and tag_names point into; fixed room, so that they stay valid */
};

/* Answers 400; the list's own memory goes first. */
static bool
list_refuse(struct list *list, const char *issue, const char *path, const char *text)
{
	struct api_call *call = list->call;

	buf_fini(&list->names);
	api_fail_issue(call, "invalid_query_params", issue, path, "%s", text);
	return false;
}

/* A copy of len bytes of text, in the list's memory. */
static const char *
list_keep(struct list *list, const char *text, size_t len)
{
	size_t start = list->names.len;

	buf_add(&list->names, text, len);
	buf_add_char(&list->names, '\0');
	return list->names.data + start;
}

static bool
read_integrations(struct list *list, const char *value)
{
	while (true) {
		size_t len = strcspn(value, ",");
		const char *key = list_keep(list, value, len);

		if (!api_name_is(API_NAME_INTEGRATION, key))
			return list_refuse(list, "invalid_format", "integrationId",
					   "integrationId must be a comma list of integration ids");
		if (list->filter.unique_key_count == FILTER_INTEGRATIONS_MAX)
			return list_refuse(list, "too_big", "integrationId",
					   "integrationId has more than 100 entries");
		list->keys[list->filter.unique_key_count++] = key;
		if (value[len] == '\0')
			return true;
		value += len + 1;
	}
}

/* tags[name]=value; names are kept in lower case, as they are stored. */
static bool
read_tag(struct list *list, const char *name, const char *value)
{
	size_t len = strlen(name);
	char *key;

	if (len < 7 || name[len - 1] != ']')
		return list_refuse(list, "invalid_format", "tags",
				   "tags must be given as tags[name]=value");
	if (list->filter.tag_count == FILTER_TAGS_MAX)
		return list_refuse(list, "too_big", "tags", "at most 10 tags can be asked for");
	key = (char *)(uintptr_t)list_keep(list, name + 5, len - 6);
	for (char *at = key; *at != '\0'; at++)
		if (*at >= 'A' && *at <= 'Z')
			*at = (char)(*at - 'A' + 'a');
	list->tag_names[list->filter.tag_count] = key;
	list->tag_values[list->filter.tag_count++] = value;
	return true;
}

/* A whole number from min to max in plain digits. */
static bool
read_number(struct list *list, const char *name, int min, int max, int *out)
{
	const char *value = api_query(list->call, name);
	char text[100];
	long number;
	char *end;

	if (value == NULL)
		return true;
	errno = 0;
	number = strtol(value, &end, 10);
	if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0 || number < min ||
	    number > max) {
		snprintf(text, sizeof(text), "%s must be a whole number from %d to %d", name, min,
			 max);
		return list_refuse(list, number > max ? "too_big" : "invalid_type", name, text);
	}
	*out = (int)number;
	return true;
}

static bool
read_filter(struct list *list)
{
	struct account_connection_filter *filter = &list->filter;
	struct http_request *request = list->call->request;
	int limit = LIST_LIMIT_DEFAULT, page = 0;

	for (int i = 0; i < http_request_query_pairs(request); i++) {
		const char *name, *value;

		http_request_query_at(request, i, &name, &value);
		if (strcmp(name, "integrationId") == 0 && !read_integrations(list, value))
			return false;
		if (strncmp(name, "tags[", 5) == 0 && !read_tag(list, name, value))
			return false;
	}
	filter->connection_id = api_query(list->call, "connectionId");
	if (filter->connection_id != NULL &&
	    !api_name_is(API_NAME_CONNECTION, filter->connection_id))
		return list_refuse(list, "invalid_format", "connectionId",
				   "connectionId is no connection id");
	filter->search = api_query(list->call, "search");
	if (filter->search != NULL && filter->search[0] == '\0')
		filter->search = NULL;
	if (filter->search != NULL && strlen(filter->search) > 255)
		return list_refuse(list, "too_big", "search", "search is longer than 255 bytes");
	filter->end_user_id = api_query(list->call, "endUserId");
	filter->end_user_organization_id = api_query(list->call, "endUserOrganizationId");
	if (!read_number(list, "limit", 1, LIST_LIMIT_MAX, &limit) ||
	    !read_number(list, "page", 0, INT_MAX / LIST_LIMIT_DEFAULT, &page))
		return false;
	filter->limit = limit;
	filter->offset = page * limit;
	filter->unique_keys = list->keys;
	filter->tag_names = list->tag_names;
	filter->tag_values = list->tag_values;
	return true;
}

static void
on_listed(void *arg, enum sl_code code, const struct account_connection *rows, int count,
	  const struct sl_error *error)
{
	struct list *list = arg;
	struct api_call *call = list->call;
	struct buf out;

	buf_fini(&list->names);
	if (code != SL_OK) {
		api_fail_sl(call, code, error);
		return;
	}
	buf_init(&out, API_BODY_MAX);
	buf_add_text(&out, "{\"connections\":[");
	for (int i = 0; i < count; i++) {
		if (i > 0)
			buf_add_char(&out, ',');
		show_connection_short(&rows[i], &out);
	}
	buf_add_text(&out, "]}");
	if (out.over) {
		buf_fini(&out);
		api_fail(call, 500, "server_error",
			 "the list is larger than this server sends; ask for a part of it with "
			 "limit and page");
		return;
	}
	api_reply_buf(call, 200, &out);
}

void
connection_list(struct api_call *call)
{
	static const char *const names[] = {"connectionId",
					    "search",
					    "endUserId",
					    "integrationId",
					    "endUserOrganizationId",
					    "limit",
					    "page",
					    "tags[",
					    NULL};
	struct list *list;
	size_t room = http_request_query(call->request).len + 256;

	if (!api_query_strict(call, names))
		return;
	list = api_state(call, sizeof(*list));
	list->call = call;
	list->filter.environment_id = call->environment->row.id;
	buf_init(&list->names, room);
	buf_reserve(&list->names, room);
	if (read_filter(list))
		account_connection_list(call->daemon->account, &list->filter, on_listed, list);
}

/* ---- one --------------------------------------------------------------------------------------
 */

struct one {
	struct api_call *call;
	const char *integration;
	bool refresh_token, force;
	struct identity identity;
};

/* The connection that path and query name; NULL: answered.  names: the query's parameters. */
static struct one *
read_name(struct api_call *call, const char *const *names)
{
	struct one *one;
	const char *integration;

	if (!api_query_strict(call, names) ||
	    !api_check_name(call, API_NAME_CONNECTION, call->segment[1], "invalid_uri_params",
			    "connectionId"))
		return NULL;
	integration = api_query(call, "provider_config_key");
	if (integration == NULL) {
		api_fail_issue(call, "invalid_query_params", "invalid_type", "provider_config_key",
			       "provider_config_key is required");
		return NULL;
	}
	if (!api_check_name(call, API_NAME_INTEGRATION, integration, "invalid_query_params",
			    "provider_config_key"))
		return NULL;
	one = api_state(call, sizeof(*one));
	one->call = call;
	one->integration = integration;
	return one;
}

/* "true" or "false"; false: answered. */
static bool
read_flag(struct api_call *call, const char *name, bool *out)
{
	const char *value = api_query(call, name);

	*out = value != NULL && strcmp(value, "true") == 0;
	if (value == NULL || *out || strcmp(value, "false") == 0)
		return true;
	api_fail_issue(call, "invalid_query_params", "invalid_value", name,
		       "%s must be true or false", name);
	return false;
}

static void
on_integration_of_missing(void *arg, enum sl_code code, const struct account_integration *row,
			  int count, const struct sl_error *error)
{
	struct one *one = arg;

	(void)row;
	(void)count;
	if (code == SL_NOT_FOUND)
		api_fail(
		    one->call, 400, "unknown_provider_config",
		    "there is no such integration in this environment; check provider_config_key");
	else if (code == SL_OK)
		api_fail(one->call, 404, "not_found",
			 "there is no such connection of this integration");
	else
		api_fail_sl(one->call, code, error);
}

/* 424, with the connection as it is, but for its credentials. */
static void
fail_refresh(struct api_call *call, const struct fresh_answer *answer)
{
	struct json_writer w;
	struct sl_error failed;
	struct buf shown, out;

	buf_init(&shown, API_BODY_MAX);
	buf_init(&out, API_BODY_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	jw_key(&w, "error");
	jw_object(&w);
	jw_member_text(&w, "code", answer->wire_code);
	jw_member_text(&w, "message", answer->text);
	if (show_connection(call->daemon->ring, answer->row, 0, &shown, &failed) == SL_OK)
		jw_member_raw(&w, "payload", buf_slice(&shown));
	jw_object_end(&w);
	jw_object_end(&w);
	buf_fini(&shown);
	show_reply(call, 424, &out);
}

static void
on_fresh(void *arg, const struct fresh_answer *answer)
{
	struct one *one = arg;
	struct api_call *call = one->call;
	struct sl_error failed;
	unsigned flags = 0;
	struct buf out;

	if (answer->code == SL_INVALID) {
		fail_refresh(call, answer);
		return;
	}
	if (answer->code != SL_OK) {
		(void)sl_fail(&failed, answer->code, "%s", answer->text);
		api_fail_sl(call, answer->code, &failed);
		return;
	}
	if (api_has_scope(call->key, READ_CREDENTIALS))
		flags |= SHOW_CREDENTIALS | (one->refresh_token ? SHOW_REFRESH_TOKEN : 0);
	buf_init(&out, API_BODY_MAX);
	if (show_connection(call->daemon->ring, answer->row, flags, &out, &failed) == SL_OK) {
		show_reply(call, 200, &out);
		return;
	}
	show_buf_wipe(&out);
	api_fail_sl(call, SL_INTERNAL, &failed);
}

static void
on_read(void *arg, enum sl_code code, const struct account_connection *row, int count,
	const struct sl_error *error)
{
	struct one *one = arg;
	struct api_call *call = one->call;
	struct fresh_ask ask = {.row = row, .force = one->force};

	(void)count;
	if (code == SL_NOT_FOUND) { /* what is missing? */
		account_integration_find(call->daemon->account, call->environment->row.id,
					 one->integration, on_integration_of_missing, one);
		return;
	}
	if (code != SL_OK) {
		api_fail_sl(call, code, error);
		return;
	}
	fresh_get(call->daemon->fresh, &ask, on_fresh, one);
}

void
connection_read(struct api_call *call)
{
	static const char *const names[] = {"provider_config_key", "force_refresh", "refresh_token",
					    "refresh_github_app_jwt_token", NULL};
	struct one *one = read_name(call, names);
	bool jwt;

	if (one == NULL || !read_flag(call, "force_refresh", &one->force) ||
	    !read_flag(call, "refresh_token", &one->refresh_token) ||
	    !read_flag(call, "refresh_github_app_jwt_token", &jwt))
		return;
	if ((one->force || jwt || one->refresh_token) && !api_has_scope(call->key, READ_CREDENTIALS)) {
		api_fail(call, 403, "forbidden", "this key lacks the scope " READ_CREDENTIALS);
		return;
	}
	account_connection_find(call->daemon->account, call->environment->row.id, one->integration,
				call->segment[1], on_read, one);
}

static void
on_patched(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
{
	struct one *one = arg;
	struct api_call *call = one->call;

	(void)id;
	if (code != SL_OK) {
		api_fail_sl(call, code, error);
		return;
	}
	directory_forget(call->daemon->directory);
	api_reply_success(call);
}

static void
on_patch_found(void *arg, enum sl_code code, const struct account_connection *row, int count,
	       const struct sl_error *error)
{
	struct one *one = arg;
	struct api_call *call = one->call;
	char *tags;

	(void)count;
	if (code != SL_OK) {
		api_fail_sl(call, code, error);
		return;
	}
	tags = identity_patched_tags(&one->identity, row->tags);
	account_connection_patch(call->daemon->account, row->id, tags, one->identity.end_user,
				 one->identity.webhook_url_override, on_patched, one);
	free(tags);
}

void
connection_patch(struct api_call *call)
{
	static const char *const query[] = {"provider_config_key", NULL};
	static const char *const members[] = {"end_user", "tags", "webhook_url_override", NULL};
	struct one *one = read_name(call, query);

	if (one == NULL || !api_strict(call, call->body, members) ||
	    !identity_read(call, &one->identity))
		return;
	account_connection_find(call->daemon->account, call->environment->row.id, one->integration,
				call->segment[1], on_patch_found, one);
}

static void
on_deleted(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
{
	struct one *one = arg;
	struct api_call *call = one->call;

	(void)id;
	if (code == SL_NOT_FOUND) {
		api_fail(call, 400, "unknown_connection", NULL);
	} else if (code != SL_OK) {
		api_fail_sl(call, code, error);
	} else {
		directory_forget(call->daemon->directory);
		api_reply_success(call);
	}
}

static void
delete_now(struct one *one)
{
	struct api_call *call = one->call;

	account_connection_delete(call->daemon->account, call->environment->row.id,
				  one->integration, call->segment[1], on_deleted, one);
}

/* The deletion goes on whatever the function said: its last chance is over. */
static void
on_farewell(void *arg, enum sl_code code, struct slice output, const struct sl_error *error)
{
	struct one *one = arg;

	(void)output;
	if (code != SL_OK)
		log_warn("event_failed", "event=%s integration=%s code=%s error=%s", EVENT_DELETING,
			 log_text(one->integration), sl_code_name(code),
			 log_text(error != NULL ? error->text : ""));
	delete_now(one);
}

static void
on_delete_found(void *arg, enum sl_code code, const struct account_connection *row, int count,
		const struct sl_error *error)
{
	struct one *one = arg;
	struct event_place place;

	(void)count;
	if (code != SL_OK) {
		on_deleted(one, code, 0, error);
		return;
	}
	place = (struct event_place){row->environment_id, row->id, one->integration};
	event_run(one->call->daemon, &place, EVENT_DELETING, on_farewell, one);
}

void
connection_delete(struct api_call *call)
{
	static const char *const names[] = {"provider_config_key", NULL};
	struct one *one = read_name(call, names);

	if (one != NULL)
		account_connection_find(call->daemon->account, call->environment->row.id,
					one->integration, call->segment[1], on_delete_found, one);
}
