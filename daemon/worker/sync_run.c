/* daemon/worker/sync_run.c - see sync_run.h. */
#include "daemon/worker/sync_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/metrics.h"

static void
read_models(struct sync_run *run, struct json_value models)
{
	struct json_iter it;
	int size = 0;

	if (models.type != JSON_ARRAY_)
		return;
	json_iter_init(&it, models);
	while (json_iter_next(&it))
		size++;
	json_iter_fini(&it);
	run->models = sl_calloc((size_t)size + 1, sizeof(*run->models));
	json_iter_init(&it, models);
	while (json_iter_next(&it)) {
		char *name = json_text(it.value, NULL);
		struct sync_model *model = &run->models[run->model_count];

		if (name == NULL)
			continue;
		model->name = name;
		model->full = strcmp(run->variant, "base") == 0
				  ? sl_strdup(name)
				  : sl_asprintf("%s::%s", name, run->variant);
		run->model_count++;
	}
	json_iter_fini(&it);
}

struct sync_run *
sync_run_new(const struct sync_row *row, const char *definition, bool empty_cache)
{
	struct sync_run *run = sl_alloc(sizeof(*run));
	struct json_value value;

	run->id = row->id;
	run->function_id = row->function_id;
	run->connection_id = row->connection_id;
	memcpy(run->uuid, row->uuid, sizeof(run->uuid));
	run->variant = sl_strdup(row->variant);
	run->last_success_ms = row->last_success_ms;
	run->still_runs = row->still_runs;
	run->empty_cache = empty_cache;
	if (json_check(slice_text(definition), &value, NULL) == SL_OK) {
		run->track_deletes = json_is_yes(json_get(value, "track_deletes"));
		read_models(run, json_get(value, "models"));
	}
	return run;
}

void
sync_run_free(struct sync_run *run)
{
	if (run == NULL)
		return;
	for (int i = 0; i < run->model_count; i++) {
		free(run->models[i].name);
		free(run->models[i].full);
	}
	free(run->models);
	free(run->variant);
	free(run);
}

struct sync_model *
sync_run_model(struct sync_run *run, const char *name)
{
	for (int i = 0; i < run->model_count; i++)
		if (strcmp(run->models[i].name, name) == 0)
			return &run->models[i];
	return NULL;
}

void
sync_run_names(const struct sync_run *run, char *out, size_t size)
{
	size_t len = 0;

	out[0] = '\0';
	for (int i = 0; i < run->model_count && len + 1 < size; i++) {
		int more =
		    snprintf(out + len, size - len, "%s%s", i > 0 ? ", " : "", run->models[i].name);

		len += more > 0 ? (size_t)more : 0;
	}
}

void
sync_model_count(struct sync_model *model, const struct record_counts *counts)
{
	const int64_t by_action[] = {[METRIC_RECORD_ADDED] = counts->added,
				     [METRIC_RECORD_UPDATED] = counts->updated,
				     [METRIC_RECORD_DELETED] = counts->deleted,
				     [METRIC_RECORD_UNCHANGED] = counts->unchanged};

	for (int i = 0; i < (int)(sizeof(by_action) / sizeof(by_action[0])); i++)
		metric_add(&metrics[METRIC_RECORDS], i, 0, (double)by_action[i]);
	model->touched = true;
	model->added += counts->added;
	model->updated += counts->updated;
	model->deleted += counts->deleted;
	/* What this run wrote itself is not what others changed. */
	if (model->since_us != 0 && counts->at_us > model->since_us)
		model->since_us = counts->at_us;
}

void
sync_run_result(const struct sync_run *run, struct buf *out)
{
	struct json_writer w;

	jw_init(&w, out);
	jw_object(&w);
	for (int i = 0; i < run->model_count; i++) {
		const struct sync_model *model = &run->models[i];

		if (!model->touched)
			continue;
		jw_key(&w, model->name);
		jw_object(&w);
		jw_member_int(&w, "added", model->added);
		jw_member_int(&w, "updated", model->updated);
		jw_member_int(&w, "deleted", model->deleted);
		jw_object_end(&w);
	}
	jw_object_end(&w);
}
