#include "daemon/worker/action_left.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define BODY_MAX (1 << 20)
#define DESCRIPTION_MAX (64 << 10) /* of what the function said; GET /action/:id has all of it */

/* Of a text cut inside a character, what is whole. */
static size_t
cut(const char *text, size_t len)
{
	if (len <= DESCRIPTION_MAX)
		return len;
	len = DESCRIPTION_MAX;
	while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--;
	return len;
}

/* action_ended() of 0019_event says the same of what others end. */
static void
write_error(struct json_writer *w, struct slice output)
{
	static const char *const paths[] = {"message", "payload.message", "payload.error", "code"};
	struct json_value error = {0};
	char *type = NULL, *text = NULL;
	size_t len = 0;

	if (json_check(output, &error, NULL) == SL_OK)
		type = json_text(json_get(error, "code"), NULL);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]) && text == NULL; i++)
		text = json_text(json_path(error, paths[i]), &len);
	jw_key(w, "error");
	jw_object(w);
	jw_key(w, "description");
	if (text != NULL)
		jw_text_n(w, text, cut(text, len));
	else
		jw_text(w, "action_script_failure");
	jw_member_text(w, "type", type != NULL ? type : "action_script_failure");
	jw_object_end(w);
	free(text);
	free(type);
}

/* The keys of every object in order, for they are signed as they are. */
static void
write_body(const struct attempt *attempt, enum job_state state, struct slice output,
	   struct buf *out)
{
	char status_url[UUID_TEXT + sizeof("/action/")] = "/action/";
	struct json_writer w;

	memcpy(status_url + sizeof("/action/") - 1, attempt->job_id, UUID_TEXT);
	jw_init(&w, out);
	jw_object(&w);
	jw_member_text(&w, "connectionId", attempt->connection->row.connection_id);
	if (state != JOB_SUCCEEDED)
		write_error(&w, output);
	jw_member_text(&w, "from", "nango");
	jw_key(&w, "payload");
	jw_object(&w);
	jw_member_text(&w, "id", attempt->job_id);
	jw_member_text(&w, "statusUrl", status_url);
	jw_object_end(&w);
	jw_member_text(&w, "providerConfigKey", attempt->connection->row.unique_key);
	jw_member_bool(&w, "success", state == JOB_SUCCEEDED);
	jw_member_text(&w, "type", "async_action");
	jw_object_end(&w);
}

void
action_left_init(struct action_left *left, const struct attempt *attempt, enum job_state state,
		 struct slice output)
{
	*left = (struct action_left){0};
	buf_init(&left->body, BODY_MAX);
	if (attempt->connection != NULL)
		write_body(attempt, state, output, &left->body);
	if (attempt->connection == NULL ||
	    left->body.over) { /* not known yet; no such names are deployed */
		left->run.unstarted = true;
		return;
	}
	left->event = (struct settle_event){.environment_id = attempt->environment_id,
					    .connection_id = attempt->connection_id,
					    .type = SETTLE_EVENT_ASYNC_ACTION,
					    .outcome = state == JOB_SUCCEEDED ? SETTLE_EVENT_CHANGED
									      : SETTLE_EVENT_FAILED,
					    .body = buf_slice(&left->body)};
	left->run.events = &left->event;
	left->run.event_count = 1;
}

void
action_left_fini(struct action_left *left)
{
	buf_fini(&left->body);
}
