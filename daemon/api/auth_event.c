#include "daemon/api/auth_event.h"

#include "base/json.h"

static struct json_value
stored(const char *text)
{
	struct json_value value;

	return json_check(slice_text(text), &value, NULL) == SL_OK ? value : (struct json_value){0};
}

static void
add_object(struct json_writer *w, const char *key, struct json_value value)
{
	struct buf sorted;

	buf_init(&sorted, AUTH_EVENT_MAX);
	if (value.type == JSON_OBJECT_)
		json_add_sorted(value, &sorted);
	else
		buf_add_text(&sorted, "{}");
	jw_member_raw(w, key, buf_slice(&sorted));
	buf_fini(&sorted);
}

/* An organization is known by its id, and left out when there is none. */
static void
add_end_user(struct json_writer *w, struct json_value user)
{
	struct json_value organization = json_path(user, "organization.id");

	if (user.type != JSON_OBJECT_)
		return;
	jw_key(w, "endUser");
	jw_object(w);
	jw_member_raw(w, "endUserEmail", json_get(user, "email").raw);
	jw_member_raw(w, "endUserId", json_get(user, "id").raw);
	if (organization.type == JSON_TEXT)
		jw_member_raw(w, "organizationId", organization.raw);
	add_object(w, "tags", json_get(user, "tags"));
	jw_object_end(w);
}

/* The keys of every object in order, for they are signed as they are. */
static void
write_body(const char *environment, const char *auth_mode, const char *operation,
	   const struct account_connection *row, const char *error_type, const char *error_text,
	   struct buf *out)
{
	struct json_writer w;

	jw_init(&w, out);
	jw_object(&w);
	jw_member_text(&w, "authMode", auth_mode);
	jw_member_text(&w, "connectionId", row->connection_id);
	add_end_user(&w, stored(row->end_user));
	jw_member_text(&w, "environment", environment);
	if (error_type != NULL) {
		jw_key(&w, "error");
		jw_object(&w);
		jw_member_text(&w, "description", error_text);
		jw_member_text(&w, "type", error_type);
		jw_object_end(&w);
	}
	jw_member_text(&w, "from", "nango");
	jw_member_text(&w, "operation", operation);
	jw_member_text(&w, "provider", row->provider);
	jw_member_text(&w, "providerConfigKey", row->unique_key);
	jw_member_bool(&w, "success", error_type == NULL);
	add_object(&w, "tags", stored(row->tags));
	jw_member_text(&w, "type", "auth");
	jw_object_end(&w);
}

void
auth_event_write(const char *environment, const char *auth_mode, const char *operation,
		 const struct account_connection *row, struct buf *out)
{
	write_body(environment, auth_mode, operation, row, NULL, NULL, out);
}

void
auth_event_write_failure(const char *environment, const char *auth_mode,
			 const struct account_connection *row, const char *error_type,
			 const char *error_text, struct buf *out)
{
	write_body(environment, auth_mode, "refresh", row, error_type, error_text, out);
}
