#include "daemon/api/sync_scope.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "daemon/api/api.h"

/* ---- names ------------------------------------------------------------------------------------ */

void
sync_scope_want_variant(struct sync_scope *scope, const char *name, const char *variant)
{
	struct sync_want *want;
	int count = scope->want_count++;

	if ((count & (count - 1)) == 0) /* full at each power of two */
		scope->wants = sl_realloc(scope->wants, (size_t)(count > 0 ? 2 * count : 1) *
							    sizeof(*scope->wants));
	want = &scope->wants[count];
	want->name = sl_strdup(name);
	want->variant = sl_strdup(variant);
}

bool
sync_scope_want(struct sync_scope *scope, const char *text)
{
	const char *colons = strstr(text, "::");
	char *name = colons != NULL ? sl_strndup(text, (size_t)(colons - text)) : sl_strdup(text);
	const char *variant = colons != NULL ? colons + 2 : SYNC_BASE;
	bool fine = api_name_is(API_NAME_FUNCTION, name) && api_name_is(API_NAME_FUNCTION, variant);

	if (fine)
		sync_scope_want_variant(scope, name, variant);
	free(name);
	return fine;
}

static bool
has_others(struct json_value object)
{
	struct json_iter it;
	bool others = false;

	json_iter_init(&it, object);
	while (json_iter_next(&it))
		others |= strcmp(it.key, "name") != 0 && strcmp(it.key, "variant") != 0;
	json_iter_fini(&it);
	return others;
}

const char *
sync_scope_read(struct sync_scope *scope, struct json_value element)
{
	char *text = NULL, *name, *variant;
	const char *wrong;

	if (element.type == JSON_OBJECT_) {
		if (has_others(element))
			return "unrecognized_keys";
		name = json_text(json_get(element, "name"), NULL);
		variant = json_text(json_get(element, "variant"), NULL);
		if (name != NULL && variant != NULL) /* a colon in the name makes a bad variant */
			text = sl_asprintf("%s::%s", name, variant);
		free(name);
		free(variant);
	} else {
		text = json_text(element, NULL);
	}
	wrong = text == NULL                   ? "invalid_type"
		: sync_scope_want(scope, text) ? NULL
					       : "invalid_format";
	free(text);
	return wrong;
}

const char *
sync_scope_read_all(struct sync_scope *scope, struct json_value syncs, int *at)
{
	const char *wrong = NULL;
	struct json_iter it;

	*at = -1;
	if (syncs.type != JSON_ARRAY_)
		return "invalid_type";
	json_iter_init(&it, syncs);
	while (wrong == NULL && json_iter_next(&it))
		wrong = ++*at == SYNC_WANTS_MAX ? "too_big" : sync_scope_read(scope, it.value);
	json_iter_fini(&it);
	return wrong;
}

/* ---- functions and connection ----------------------------------------------------------------- */

static void
add_pick(struct sync_scope *scope, int64_t function_id, const char *variant)
{
	int count = scope->set.pick_count++;

	if ((count & (count - 1)) == 0)
		scope->picks = sl_realloc(scope->picks, (size_t)(count > 0 ? 2 * count : 1) *
							    sizeof(*scope->picks));
	scope->picks[count] = (struct sync_pick){function_id, variant};
	scope->set.picks = scope->picks;
}

/* A name that was asked for twice is picked once: a run is not started twice. */
static bool
is_picked(const struct sync_scope *scope, int64_t function_id, const char *variant)
{
	for (int i = 0; i < scope->set.pick_count; i++)
		if (scope->picks[i].function_id == function_id &&
		    strcmp(scope->picks[i].variant, variant) == 0)
			return true;
	return false;
}

static void
add_picks(struct sync_scope *scope)
{
	for (int i = 0; i < scope->functions->count; i++) {
		const struct account_function *row = &scope->functions->rows[i];

		if (strcmp(row->type, "sync") != 0 || (scope->enabled_only && !row->enabled))
			continue;
		if (scope->want_count == 0)
			add_pick(scope, row->id, NULL);
		for (int w = 0; w < scope->want_count; w++)
			if (strcmp(scope->wants[w].name, row->name) == 0 &&
			    !is_picked(scope, row->id, scope->wants[w].variant))
				add_pick(scope, row->id, scope->wants[w].variant);
	}
}

static void
on_connection(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct sync_scope *scope = arg;

	if (code == SL_NOT_FOUND)
		scope->missing = SYNC_MISSING_CONNECTION;
	if (code == SL_OK)
		scope->set.connection_id = ((const struct directory_connection *)object)->row.id;
	scope->cb(scope->arg, code, error);
}

static void
on_functions(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct sync_scope *scope = arg;

	if (code != SL_OK) {
		scope->cb(scope->arg, code, error);
		return;
	}
	scope->functions = directory_hold(object);
	add_picks(scope);
	if (scope->connection_id != NULL)
		directory_connection(scope->daemon->directory, scope->environment_id,
				     scope->integration, scope->connection_id, on_connection,
				     scope);
	else
		scope->cb(scope->arg, SL_OK, NULL);
}

static void
on_integration(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct sync_scope *scope = arg;

	if (code == SL_OK) {
		scope->set.integration_id = ((const struct directory_integration *)object)->row.id;
		directory_functions(scope->daemon->directory, scope->environment_id,
				    scope->integration, on_functions, scope);
		return;
	}
	if (code == SL_NOT_FOUND)
		scope->missing = SYNC_MISSING_INTEGRATION;
	scope->cb(scope->arg, code, error);
}

void
sync_scope_find(struct sync_scope *scope, sync_scope_cb *cb, void *arg)
{
	scope->cb = cb;
	scope->arg = arg;
	directory_integration(scope->daemon->directory, scope->environment_id, scope->integration,
			      on_integration, scope);
}

const struct account_function *
sync_scope_function(const struct sync_scope *scope, int64_t id)
{
	for (int i = 0; i < scope->functions->count; i++)
		if (scope->functions->rows[i].id == id)
			return &scope->functions->rows[i];
	return NULL;
}

void
sync_scope_fini(struct sync_scope *scope)
{
	for (int i = 0; i < scope->want_count; i++) {
		free(scope->wants[i].name);
		free(scope->wants[i].variant);
	}
	free(scope->wants);
	free(scope->picks);
	directory_release(scope->functions);
	memset(scope, 0, sizeof(*scope));
}
