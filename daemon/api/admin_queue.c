/* daemon/api/admin_queue.c - GET /admin/v1/queues: what waits, by environment and by line.
 *
 * Numbers come from Redis (one script call for each shard, bounded) and are null while it is away or
 * being built; pauses, names and what is delayed come from the ledger. */
#include "daemon/api/admin_queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "daemon/api/resources.h"
#include "daemon/shard.h"
#include "queue/overview.h"
#include "sql/inspect.h"
#include "sql/steer.h"

struct queue_line {
	int64_t key_id;
	char *name; /* owned; NULL: the ledger does not know it (any more) */
	int slots;
	bool paused;
	int64_t depth, running, oldest_ms;
};

struct queue_row { /* an environment */
	int64_t id;
	char *name;                   /* owned */
	bool paused, draining, known; /* known: Redis has answered for it */
	int64_t depth, running, delayed, oldest_ms;
};

struct queues {
	struct api_call *call;
	const char *environment; /* asked for; NULL: all */
	bool single;             /* {"queue": ..} of that one */
	int64_t cancelled;
	bool more;
	struct queue_row *rows; /* owned */
	int count;
	struct queue_line *lines; /* owned; of the one asked for */
	int line_count;
	bool lines_cut;
	int asked; /* shards whose answer is awaited */
};

struct shard_ask {
	struct queues *queues;
	int shard;
};

static void
queues_release(struct queues *queues)
{
	for (int i = 0; i < queues->count; i++)
		free(queues->rows[i].name);
	for (int i = 0; i < queues->line_count; i++)
		free(queues->lines[i].name);
	free(queues->rows);
	free(queues->lines);
}

static void
queues_fail(struct queues *queues, enum sl_code code, const struct sl_error *error)
{
	struct api_call *call = queues->call;

	queues_release(queues);
	api_fail_sl(call, code, error);
}

static struct queue_row *
row_of(struct queues *queues, int64_t id)
{
	for (int i = 0; i < queues->count; i++)
		if (queues->rows[i].id == id)
			return &queues->rows[i];
	return NULL;
}

/* ---- the answer -------------------------------------------------------------------------------- */

static void
show_number(struct json_writer *w, const char *key, int64_t number, bool known)
{
	jw_key(w, key);
	if (known && number >= 0)
		jw_int(w, number);
	else
		jw_null(w);
}

static void
show_lines(const struct queues *queues, bool known, struct json_writer *w)
{
	jw_key(w, "lines");
	jw_array(w);
	for (int i = 0; i < queues->line_count; i++) {
		const struct queue_line *line = &queues->lines[i];

		if (line->name == NULL)
			continue;
		jw_object(w);
		jw_member_int(w, "id", line->key_id);
		jw_member_text(w, "name", line->name);
		jw_member_int(w, "limit", line->slots);
		jw_member_bool(w, "paused", line->paused);
		show_number(w, "depth", line->depth, known);
		show_number(w, "running", line->running, known);
		show_number(w, "oldest_ms", line->oldest_ms, known);
		jw_object_end(w);
	}
	jw_array_end(w);
	if (queues->lines_cut)
		jw_member_bool(w, "more", true);
}

static void
show_row(const struct queues *queues, const struct queue_row *row, struct json_writer *w)
{
	jw_object(w);
	jw_member_text(w, "environment", row->name);
	jw_member_bool(w, "paused", row->paused);
	jw_member_bool(w, "draining", row->draining);
	show_number(w, "depth", row->depth, row->known);
	show_number(w, "running", row->running, row->known);
	jw_member_int(w, "delayed", row->delayed);
	show_number(w, "oldest_ms", row->oldest_ms, row->known);
	if (queues->environment != NULL)
		show_lines(queues, row->known, w);
	jw_object_end(w);
}

static void
queues_reply(struct queues *queues)
{
	struct api_call *call = queues->call;
	struct json_writer w;
	struct buf out;

	buf_init(&out, API_BODY_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	if (queues->single) {
		jw_key(&w, "queue");
		show_row(queues, &queues->rows[0], &w);
		if (queues->cancelled >= 0)
			jw_member_int(&w, "cancelled", queues->cancelled);
		if (queues->more)
			jw_member_bool(&w, "more", true);
	} else {
		jw_key(&w, "queues");
		jw_array(&w);
		for (int i = 0; i < queues->count; i++)
			show_row(queues, &queues->rows[i], &w);
		jw_array_end(&w);
	}
	jw_object_end(&w);
	queues_release(queues);
	api_reply_buf(call, 200, &out);
}

/* ---- lines ------------------------------------------------------------------------------------- */

static int
deepest_first(const void *a, const void *b)
{
	const struct queue_line *one = a, *other = b;

	if (one->depth != other->depth)
		return one->depth > other->depth ? -1 : 1;
	return one->key_id < other->key_id ? -1 : one->key_id > other->key_id;
}

static struct queue_line *
line_of(struct queues *queues, int64_t key_id)
{
	struct queue_line *line;

	for (int i = 0; i < queues->line_count; i++)
		if (queues->lines[i].key_id == key_id)
			return &queues->lines[i];
	queues->lines =
	    sl_realloc(queues->lines, (size_t)(queues->line_count + 1) * sizeof(*queues->lines));
	line = &queues->lines[queues->line_count++];
	*line = (struct queue_line){.key_id = key_id, .oldest_ms = -1};
	return line;
}

static void
on_lines(void *arg, enum sl_code code, const struct inspect_line *rows, int count,
	 const struct sl_error *error)
{
	struct queues *queues = arg;

	if (code != SL_OK) {
		queues_fail(queues, code, error);
		return;
	}
	for (int i = 0; i < count; i++) {
		struct queue_line *line = line_of(queues, rows[i].key_id);

		free(line->name);
		line->name = sl_strdup(rows[i].name);
		line->slots = rows[i].slots;
		line->paused = rows[i].paused;
	}
	qsort(queues->lines, (size_t)queues->line_count, sizeof(*queues->lines), deepest_first);
	while (queues->line_count > OVERVIEW_LINES_MAX) {
		free(queues->lines[--queues->line_count].name);
		queues->lines_cut = true;
	}
	queues_reply(queues);
}

static void
ask_lines(struct queues *queues)
{
	int64_t *ids = sl_calloc((size_t)queues->line_count + 1, sizeof(*ids));

	for (int i = 0; i < queues->line_count; i++)
		ids[i] = queues->lines[i].key_id;
	inspect_lines(queues->call->daemon->dead, queues->rows[0].id, ids, queues->line_count,
		      on_lines, queues);
	free(ids);
}

/* ---- Redis ------------------------------------------------------------------------------------- */

static void
overview_done(struct queues *queues)
{
	if (queues->environment != NULL)
		ask_lines(queues);
	else
		queues_reply(queues);
}

static void
take_lines(struct queues *queues, const struct overview_environment *environment)
{
	queues->lines_cut = environment->lines > environment->line_count;
	for (int i = 0; i < environment->line_count; i++) {
		const struct overview_line *from = &environment->line[i];
		struct queue_line *line = line_of(queues, from->key_id);

		line->depth = from->depth;
		line->running = from->running;
		line->oldest_ms = from->oldest_ms;
	}
}

static void
on_overview(void *arg, enum sl_code code, const struct overview_environment *environments,
	    int count, const struct sl_error *error)
{
	struct shard_ask *ask = arg;
	struct queues *queues = ask->queues;

	(void)error;
	for (int i = 0; i < queues->count && code == SL_OK; i++)
		if (shard_of(queues->call->daemon, queues->rows[i].id) == ask->shard)
			queues->rows[i].known = true;
	free(ask);
	for (int i = 0; i < count; i++) {
		struct queue_row *row = row_of(queues, environments[i].environment_id);

		if (row == NULL)
			continue;
		row->depth = environments[i].depth;
		row->running = environments[i].running;
		row->oldest_ms = environments[i].oldest_ms;
		if (queues->environment != NULL)
			take_lines(queues, &environments[i]);
	}
	if (--queues->asked == 0)
		overview_done(queues);
}

static void
ask_shards(struct queues *queues)
{
	struct daemon *daemon = queues->call->daemon;
	int64_t only = queues->environment != NULL ? queues->rows[0].id : 0;

	queues->asked = 1; /* ours, until all are asked */
	for (int i = 0; i < daemon->shard_count; i++) {
		struct shard_ask *ask;

		if ((only != 0 && shard_of(daemon, only) != i) || !queue_is_up(daemon->queues[i]))
			continue;
		ask = sl_alloc(sizeof(*ask));
		*ask = (struct shard_ask){queues, i};
		queues->asked++;
		queue_overview(daemon->queues[i], &only, only != 0 ? 1 : 0, on_overview, ask);
	}
	if (--queues->asked == 0)
		overview_done(queues);
}

/* ---- the ledger -------------------------------------------------------------------------------- */

static void
on_delayed(void *arg, enum sl_code code, const struct inspect_delayed *rows, int count,
	   const struct sl_error *error)
{
	struct queues *queues = arg;

	if (code != SL_OK) {
		queues_fail(queues, code, error);
		return;
	}
	for (int i = 0; i < count; i++) {
		struct queue_row *row = row_of(queues, rows[i].environment_id);

		if (row != NULL)
			row->delayed = rows[i].count;
	}
	ask_shards(queues);
}

static void
on_steered(void *arg, enum sl_code code, const struct steer_row *rows, int count,
	   const struct sl_error *error)
{
	struct queues *queues = arg;

	if (code != SL_OK) {
		queues_fail(queues, code, error);
		return;
	}
	for (int i = 0; i < count; i++) {
		struct queue_row *row = row_of(queues, rows[i].environment_id);

		if (row == NULL || rows[i].key_id != 0)
			continue;
		row->paused = rows[i].paused;
		row->draining = rows[i].draining;
	}
	inspect_delayed(queues->call->daemon->dead,
			queues->environment != NULL ? queues->rows[0].id : 0, on_delayed, queues);
}

static void
on_environments(void *arg, enum sl_code code, const struct account_environment *rows, int count,
		const struct sl_error *error)
{
	struct queues *queues = arg;

	if (code != SL_OK && code != SL_NOT_FOUND) {
		queues_fail(queues, code, error);
		return;
	}
	if (queues->environment != NULL && (code == SL_NOT_FOUND || count == 0)) {
		api_failf(queues->call, 404, "not_found",
			  "there is no environment %.100s; GET /admin/v1/queues lists them",
			  queues->environment);
		return;
	}
	queues->rows = sl_calloc((size_t)count + 1, sizeof(*queues->rows));
	queues->count = count;
	for (int i = 0; i < count; i++)
		queues->rows[i] = (struct queue_row){
		    .id = rows[i].id, .name = sl_strdup(rows[i].name), .oldest_ms = -1};
	steer_list(queues->call->daemon->dead, on_steered, queues);
}

void
admin_show_queue(struct api_call *call, const char *environment, int64_t cancelled, bool more)
{
	struct queues *queues = api_keep(call, sl_alloc(sizeof(*queues)));

	queues->call = call;
	queues->environment = environment;
	queues->single = true;
	queues->cancelled = cancelled;
	queues->more = more;
	account_environment_by_name(call->daemon->account, environment, on_environments, queues);
}

void
admin_queue_list(struct api_call *call)
{
	static const char *const known[] = {"environment", NULL};
	struct queues *queues = api_state(call, sizeof(*queues));

	queues->call = call;
	queues->cancelled = -1;
	queues->environment = api_query(call, "environment");
	if (!api_query_strict(call, known) ||
	    (queues->environment != NULL &&
	     !api_check_name(call, API_NAME_ENVIRONMENT, queues->environment,
			     "invalid_query_params", "environment")))
		return;
	if (queues->environment != NULL)
		account_environment_by_name(call->daemon->account, queues->environment,
					    on_environments, queues);
	else
		account_environment_list(call->daemon->account, on_environments, queues);
}
