#include "daemon/api/sync_scope.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define PAGE 1000 /* connections read at once */

bool
sync_scope_want(struct sync_scope *scope, const char *text)
{
	struct sync_want want = {.text = sl_strdup(text), .variant = SYNC_BASE};
	char *colons = strstr(want.text, "::");

	want.name = want.text;
	if (colons != NULL) {
		*colons = '\0';
		want.variant = colons + 2;
	}
	if (!api_name_is(API_NAME_FUNCTION, want.name) ||
	    !api_name_is(API_NAME_FUNCTION, want.variant)) {
		free(want.text);
		return false;
	}
	if ((scope->want_count & (scope->want_count - 1)) == 0) /* full at each power of two */
		scope->wants = sl_realloc(
		    scope->wants, (size_t)(scope->want_count > 0 ? 2 * scope->want_count : 1) *
				      sizeof(*scope->wants));
	scope->wants[scope->want_count++] = want;
	return true;
}

void
sync_scope_fini(struct sync_scope *scope)
{
	for (int i = 0; i < scope->want_count; i++)
		free(scope->wants[i].text);
	for (int i = 0; i < scope->connection_count; i++)
		free(scope->connections[i].name);
	for (int i = 0; i < scope->lane_count; i++)
		free(scope->lanes[i].targets);
	free(scope->wants);
	free(scope->connections);
	free(scope->lanes);
	directory_release(scope->functions);
	memset(scope, 0, sizeof(*scope));
}

/* ---- functions and connections ---------------------------------------------------------------- */

static void
add_connection(struct sync_scope *scope, const struct account_connection *row)
{
	if (scope->connection_count % PAGE == 0)
		scope->connections =
		    sl_realloc(scope->connections, (size_t)(scope->connection_count + PAGE) *
						       sizeof(*scope->connections));
	scope->connections[scope->connection_count++] =
	    (struct sync_connection){row->id, sl_strdup(row->connection_id)};
}

static void list_page(struct sync_scope *scope);

static void
on_page(void *arg, enum sl_code code, const struct account_connection *rows, int count,
	const struct sl_error *error)
{
	struct sync_scope *scope = arg;

	if (code != SL_OK) {
		scope->cb(scope->arg, code, error);
		return;
	}
	for (int i = 0; i < count; i++)
		add_connection(scope, &rows[i]);
	if (count == PAGE)
		list_page(scope);
	else
		scope->cb(scope->arg, SL_OK, NULL);
}

static void
list_page(struct sync_scope *scope)
{
	struct account_connection_filter filter = {
	    .environment_id = scope->call->environment->row.id,
	    .unique_keys = &scope->integration,
	    .unique_key_count = 1,
	    .limit = PAGE,
	    .offset = scope->connection_count,
	};

	account_connection_list(scope->call->daemon->account, &filter, on_page, scope);
}

static void
on_connection(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct sync_scope *scope = arg;
	const struct directory_connection *connection = object;

	if (code == SL_NOT_FOUND)
		scope->missing = SYNC_MISSING_CONNECTION;
	if (code == SL_OK)
		add_connection(scope, &connection->row);
	scope->cb(scope->arg, code, error);
}

static void
on_functions(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct sync_scope *scope = arg;
	struct api_call *call = scope->call;

	if (code != SL_OK) {
		scope->cb(scope->arg, code, error);
		return;
	}
	scope->functions = directory_hold(object);
	if (scope->connection_id != NULL)
		directory_connection(call->daemon->directory, call->environment->row.id,
				     scope->integration, scope->connection_id, on_connection,
				     scope);
	else
		list_page(scope);
}

static void
on_integration(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct sync_scope *scope = arg;
	struct api_call *call = scope->call;

	(void)object;
	if (code == SL_OK) {
		directory_functions(call->daemon->directory, call->environment->row.id,
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
	struct api_call *call = scope->call;

	scope->cb = cb;
	scope->arg = arg;
	directory_integration(call->daemon->directory, call->environment->row.id,
			      scope->integration, on_integration, scope);
}

const struct account_function *
sync_scope_function(const struct sync_scope *scope, int64_t id)
{
	for (int i = 0; i < scope->functions->count; i++)
		if (scope->functions->rows[i].id == id)
			return &scope->functions->rows[i];
	return NULL;
}

/* ---- the walk --------------------------------------------------------------------------------- */

static bool
is_wanted(const struct sync_scope *scope, const char *name, const char *variant)
{
	for (int i = 0; i < scope->want_count; i++)
		if (strcmp(scope->wants[i].name, name) == 0 &&
		    strcmp(scope->wants[i].variant, variant) == 0)
			return true;
	return scope->want_count == 0;
}

static void
add_target(struct sync_lane *lane, int64_t function_id, int64_t sync_id)
{
	lane->targets =
	    sl_realloc(lane->targets, (size_t)(lane->target_count + 1) * sizeof(*lane->targets));
	lane->targets[lane->target_count++] = (struct sync_target){function_id, sync_id};
}

static void
add_bases(struct sync_lane *lane)
{
	const struct sync_scope *scope = lane->scope;

	for (int i = 0; i < scope->functions->count; i++) {
		const struct account_function *row = &scope->functions->rows[i];

		if (strcmp(row->type, "sync") == 0 && row->enabled &&
		    is_wanted(scope, row->name, SYNC_BASE))
			add_target(lane, row->id, 0);
	}
}

static void take_connection(struct sync_lane *lane);

static void
on_row(void *arg, enum sl_code code, const struct sync_row *rows, int count,
       const struct sl_error *error)
{
	struct sync_lane *lane = arg;
	struct sync_scope *scope = lane->scope;

	(void)count;
	if (code == SL_NOT_FOUND) /* the function or the connection was removed meanwhile */
		sync_lane_next(lane);
	else if (code != SL_OK)
		sync_lane_fail(lane, code, error);
	else
		scope->row_cb(scope->arg, lane, &rows[0]);
}

void
sync_lane_next(struct sync_lane *lane)
{
	struct sync_store *store = lane->scope->call->daemon->syncs;
	const struct sync_target *target;

	if (lane->scope->code != SL_OK || lane->target_at == lane->target_count) {
		take_connection(lane);
		return;
	}
	target = &lane->targets[lane->target_at++];
	if (target->sync_id != 0)
		sync_read(store, target->sync_id, on_row, lane);
	else
		sync_ensure(store, target->function_id, lane->connection->id, SYNC_BASE, on_row,
			    lane);
}

void
sync_lane_fail(struct sync_lane *lane, enum sl_code code, const struct sl_error *error)
{
	if (lane->scope->code == SL_OK) {
		lane->scope->code = code;
		lane->scope->error = error != NULL ? *error : (struct sl_error){.code = code};
	}
	sync_lane_next(lane);
}

static void
on_listed(void *arg, enum sl_code code, const struct sync_row *rows, int count,
	  const struct sl_error *error)
{
	struct sync_lane *lane = arg;

	if (code != SL_OK) {
		sync_lane_fail(lane, code, error);
		return;
	}
	for (int i = 0; i < count; i++)
		if (strcmp(rows[i].variant, SYNC_BASE) != 0 &&
		    is_wanted(lane->scope, rows[i].name, rows[i].variant))
			add_target(lane, rows[i].function_id, rows[i].id);
	sync_lane_next(lane);
}

static bool
wants_variants(const struct sync_scope *scope)
{
	for (int i = 0; i < scope->want_count; i++)
		if (strcmp(scope->wants[i].variant, SYNC_BASE) != 0)
			return true;
	return scope->want_count == 0;
}

/* Without variants all connections have the same targets: none, or each at least one. */
static bool
wants_anything(const struct sync_scope *scope)
{
	struct sync_lane probe = {.scope = (struct sync_scope *)(uintptr_t)scope};

	add_bases(&probe);
	free(probe.targets);
	return probe.target_count > 0 || wants_variants(scope);
}

/* The next connection that no lane has taken, or the end of the lane; of the last one: of the walk.
 */
static void
take_connection(struct sync_lane *lane)
{
	struct sync_scope *scope = lane->scope;

	if (scope->code != SL_OK || scope->connection_at == scope->connection_count) {
		if (--scope->lanes_live == 0)
			scope->cb(scope->arg, scope->code, &scope->error);
		return;
	}
	lane->connection = &scope->connections[scope->connection_at++];
	lane->target_count = lane->target_at = 0;
	add_bases(lane);
	if (wants_variants(scope))
		sync_list(scope->call->daemon->syncs, lane->connection->id, on_listed, lane);
	else
		sync_lane_next(lane);
}

void
sync_scope_walk(struct sync_scope *scope, int lanes, sync_row_cb *row_cb, sync_scope_cb *cb,
		void *arg)
{
	scope->row_cb = row_cb;
	scope->cb = cb;
	scope->arg = arg;
	if (lanes > scope->connection_count)
		lanes = scope->connection_count;
	if (!wants_anything(scope))
		lanes = 0;
	if (lanes == 0) {
		cb(arg, SL_OK, NULL);
		return;
	}
	scope->lanes = sl_calloc((size_t)lanes, sizeof(*scope->lanes));
	scope->lane_count = scope->lanes_live = lanes;
	for (int i = 0; i < lanes; i++) {
		scope->lanes[i].scope = scope;
		scope->lanes[i].index = i;
	}
	/* A lane may end inside this loop; the walk cannot before the last one has started. */
	for (int i = 0; i < lanes; i++)
		take_connection(&scope->lanes[i]);
}
