/* daemon/api/sync_scope.h - what a request about syncs means: which functions, which connections,
 * and the rows of the syncs that these make.
 *
 * A connection has one sync per function and variant.  The one of variant "base" is made when it is
 * first asked for; others exist only once somebody made them. */
#ifndef SLUICE_DAEMON_API_SYNC_SCOPE_H
#define SLUICE_DAEMON_API_SYNC_SCOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/api/api.h"
#include "sql/sync.h"

#define SYNC_BASE "base"

struct sync_want {  /* one asked for by name */
	char *text; /* owned: name and variant point into it */
	const char *name, *variant;
};

struct sync_connection {
	int64_t id; /* row id */
	char *name; /* connection id; owned */
};

enum sync_missing { SYNC_MISSING_NOTHING, SYNC_MISSING_INTEGRATION, SYNC_MISSING_CONNECTION };

struct sync_scope;
typedef void sync_scope_cb(void *arg, enum sl_code code, const struct sl_error *error);
/* A row of the walk, borrowed for the call.  Ends with sync_lane_next() or sync_lane_fail(), now or
 * later. */
struct sync_lane;
typedef void sync_row_cb(void *arg, struct sync_lane *lane, const struct sync_row *row);

struct sync_lane { /* goes through connections, one sync after the other */
	struct sync_scope *scope;
	int index; /* 0 .. lanes - 1 */
	const struct sync_connection *connection;
	struct sync_target {
		int64_t function_id, sync_id; /* sync_id 0: the base variant of the function */
	} * targets;                          /* owned */
	int target_count, target_at;
};

struct sync_scope { /* zeroed by its owner, ended by sync_scope_fini() */
	struct api_call *call;
	const char *integration, *connection_id; /* connection_id NULL: all of the integration */
	struct sync_want *wants;                 /* none: every sync */
	int want_count;
	enum sync_missing missing;
	const struct directory_functions *functions; /* held; functions of all types */
	struct sync_connection *connections;
	int connection_count, connection_at;
	struct sync_lane *lanes;
	int lane_count, lanes_live;
	enum sl_code code; /* of the first failure of the walk */
	struct sl_error error;
	sync_scope_cb *cb;
	sync_row_cb *row_cb;
	void *arg;
};

/* Adds "name" or "name::variant"; false: neither is a name (nothing was added). */
bool sync_scope_want(struct sync_scope *scope, const char *text);
/* Finds functions and connections.  SL_NOT_FOUND: scope->missing says what. */
void sync_scope_find(struct sync_scope *scope, sync_scope_cb *cb, void *arg);
/* Goes through the rows of what was asked for; names that are unknown are passed over.  lanes: how
 * many connections at once.  cb at the end, with the first failure if there was one. */
void sync_scope_walk(struct sync_scope *scope, int lanes, sync_row_cb *row_cb, sync_scope_cb *cb,
		     void *arg);
void sync_lane_next(struct sync_lane *lane);
void sync_lane_fail(struct sync_lane *lane, enum sl_code code, const struct sl_error *error);
/* The function by its id; NULL: it left meanwhile. */
const struct account_function *sync_scope_function(const struct sync_scope *scope, int64_t id);
void sync_scope_fini(struct sync_scope *scope);

#endif
