#include "daemon/worker/sync_left.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/json.h"
#include "daemon/worker/sync_run.h"

#define RESULT_MAX (1 << 20)
#define BODY_MAX (4 << 20) /* a checkpoint twice, and names */

/* ---- events: the keys of every object in order, for they are signed as they are ---------------- */

static void
add_checkpoint(struct json_writer *w, const char *key, const char *text)
{
	struct json_value value;
	struct buf sorted;

	buf_init(&sorted, BODY_MAX);
	if (text != NULL && json_check(slice_text(text), &value, NULL) == SL_OK)
		json_add_sorted(value, &sorted);
	jw_member_raw(w, key, buf_slice(&sorted)); /* null if there was none */
	buf_fini(&sorted);
}

static void
begin_event(struct json_writer *w, const struct attempt *attempt, struct buf *out)
{
	const struct attempt_checkpoint *checkpoint = &attempt->checkpoint;

	jw_init(w, out);
	jw_object(w);
	if (checkpoint->known) {
		jw_key(w, "checkpoints");
		jw_object(w);
		add_checkpoint(w, "from", checkpoint->before);
		add_checkpoint(w, "to", checkpoint->after);
		jw_object_end(w);
	}
	jw_member_text(w, "connectionId", attempt->connection->row.connection_id);
}

static const char *
sync_type(const struct attempt *attempt)
{
	if (attempt->kind == JOB_WEBHOOK)
		return "WEBHOOK";
	return attempt->sync->last_success_ms > 0 ? "INCREMENTAL" : "INITIAL";
}

static void
end_event(struct json_writer *w, const struct attempt *attempt)
{
	jw_member_text(w, "syncName", attempt->function->row.name);
	jw_member_text(w, "syncType", sync_type(attempt));
	jw_member_text(w, "syncVariant", attempt->sync->variant);
	jw_member_text(w, "type", "sync");
	jw_object_end(w);
}

static void
write_success(const struct attempt *attempt, const struct sync_model *model, struct buf *out)
{
	char began[CLOCK_ISO_SIZE];
	struct json_writer w;

	/* Apps ask for the records from then on: a worker whose clock is ahead must hide none of them. */
	clock_iso(attempt->sync->marked_ms, began);
	begin_event(&w, attempt, out);
	jw_member_text(&w, "from", "nango");
	jw_member_text(&w, "model", model->name);
	jw_member_text(&w, "modifiedAfter", began);
	jw_member_text(&w, "providerConfigKey", attempt->connection->row.unique_key);
	jw_member_text(&w, "queryTimeStamp", began);
	jw_key(&w, "responseResults");
	jw_object(&w);
	jw_member_int(&w, "added", model->added);
	jw_member_int(&w, "deleted", model->deleted);
	jw_member_int(&w, "updated", model->updated);
	jw_object_end(&w);
	jw_member_bool(&w, "success", true);
	end_event(&w, attempt);
}

/* What the failure says of itself, else its name. */
static char *
describe(struct slice output)
{
	struct json_value error;
	size_t len;
	char *text = NULL;

	if (json_check(output, &error, NULL) == SL_OK) {
		text = json_text(json_get(error, "message"), &len);
		if (text == NULL)
			text = json_text(json_get(error, "code"), &len);
	}
	return text != NULL ? text : sl_strdup("The function failed");
}

static void
write_failure(const struct attempt *attempt, struct slice output, struct buf *out)
{
	char began[CLOCK_ISO_SIZE], failed[CLOCK_ISO_SIZE], *why = describe(output);
	const struct sync_run *sync = attempt->sync;
	struct json_writer w;
	struct buf models;

	clock_iso(attempt->began_ms, began);
	clock_iso(clock_wall_ms(), failed);
	buf_init(&models, BODY_MAX);
	for (int i = 0; i < sync->model_count; i++)
		buf_printf(&models, "%s%s", i > 0 ? "," : "", sync->models[i].name);
	begin_event(&w, attempt, out);
	jw_key(&w, "error");
	jw_object(&w);
	jw_member_text(&w, "description", why);
	jw_key(&w, "payload");
	jw_object(&w);
	jw_member_text(&w, "why", "sync");
	jw_object_end(&w);
	jw_member_text(&w, "type", "script_error");
	jw_object_end(&w);
	jw_member_text(&w, "failedAt", failed);
	jw_member_text(&w, "from", "nango");
	jw_key(&w, "model");
	jw_text_n(&w, models.len > 0 ? models.data : "", models.len);
	jw_member_text(&w, "providerConfigKey", attempt->connection->row.unique_key);
	jw_member_text(&w, "startedAt", began);
	jw_member_bool(&w, "success", false);
	end_event(&w, attempt);
	buf_fini(&models);
	free(why);
}

/* ---- interrupted ------------------------------------------------------------------------------ */

bool
sync_left_gets_on(struct attempt *attempt)
{
	const struct attempt_checkpoint *checkpoint = &attempt->checkpoint;
	const char *before = checkpoint->before != NULL ? checkpoint->before : "";
	const char *after = checkpoint->after != NULL ? checkpoint->after : "";

	if (strcmp(before, after) == 0)
		attempt->still_runs = attempt->sync->still_runs + 1;
	return attempt->still_runs < config_int(attempt->daemon->config, "sync_stall_runs");
}

static enum settle_event_outcome
model_outcome(const struct sync_model *model)
{
	return model->added + model->updated + model->deleted > 0 ? SETTLE_EVENT_CHANGED
								  : SETTLE_EVENT_UNCHANGED;
}

/* ---- all of it -------------------------------------------------------------------------------- */

static struct buf *
add_event(struct sync_left *left, const struct attempt *attempt, enum settle_event_outcome outcome)
{
	int at = left->run.event_count++;

	left->events[at] = (struct settle_event){.environment_id = attempt->environment_id,
						 .connection_id = attempt->sync->connection_id,
						 .type = SETTLE_EVENT_SYNC,
						 .outcome = outcome};
	buf_init(&left->bodies[at], BODY_MAX);
	return &left->bodies[at];
}

/* A run tells of every model, also without a change; a webhook of those that it wrote to. */
static void
add_events(struct sync_left *left, const struct attempt *attempt, enum job_state state,
	   struct slice output)
{
	const struct sync_run *sync = attempt->sync;
	int kept = 0;

	if (state != JOB_SUCCEEDED)
		write_failure(attempt, output, add_event(left, attempt, SETTLE_EVENT_FAILED));
	for (int i = 0; state == JOB_SUCCEEDED && i < sync->model_count; i++)
		if (attempt->kind == JOB_SYNC || sync->models[i].touched)
			write_success(attempt, &sync->models[i],
				      add_event(left, attempt, model_outcome(&sync->models[i])));
	for (int i = 0; i < left->run.event_count; i++) {
		if (left->bodies[i].over) { /* no such names are deployed */
			buf_fini(&left->bodies[i]);
			continue;
		}
		left->bodies[kept] = left->bodies[i];
		left->events[kept] = left->events[i];
		left->events[kept].body = buf_slice(&left->bodies[kept]);
		kept++;
	}
	left->run.event_count = kept;
	left->run.events = left->events;
}

void
sync_left_init(struct sync_left *left, const struct attempt *attempt, enum job_state state,
	       struct slice output)
{
	const struct sync_run *sync = attempt->sync;

	*left = (struct sync_left){0};
	buf_init(&left->result, RESULT_MAX);
	if (sync == NULL) { /* it ended before the sync was known */
		left->run.unstarted = true;
		return;
	}
	left->events = sl_calloc((size_t)sync->model_count + 1, sizeof(*left->events));
	left->bodies = sl_calloc((size_t)sync->model_count + 1, sizeof(*left->bodies));
	add_events(left, attempt, state, output);
	if (attempt->kind != JOB_SYNC)
		return;
	sync_run_result(sync, &left->result);
	left->run.sync_id = sync->id;
	left->run.began_ms = sync->marked_ms;
	left->run.result = left->result.over ? NULL : left->result.data;
	left->run.trouble = attempt->trouble;
	left->run.still_runs = attempt->still_runs;
	if (attempt->trouble == SYNC_INTERRUPTED) {
		uuid_v7(left->again);
		left->run.again = left->again;
	}
}

void
sync_left_fini(struct sync_left *left)
{
	for (int i = 0; i < left->run.event_count; i++)
		buf_fini(&left->bodies[i]);
	free(left->bodies);
	free(left->events);
	buf_fini(&left->result);
}
