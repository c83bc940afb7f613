/* daemon/api/sync_scope.h - what a request about syncs means: which functions of an integration, in
 * which variants, for which connections; for the API and for functions that steer syncs. */
#ifndef SLUICE_DAEMON_API_SYNC_SCOPE_H
#define SLUICE_DAEMON_API_SYNC_SCOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "daemon/api/directory.h"
#include "daemon/daemon.h"
#include "sql/sync_set.h"

#define SYNC_WANTS_MAX 256 /* of a request's array */

struct sync_want {            /* one asked for by name */
	char *name, *variant; /* owned */
};

enum sync_missing { SYNC_MISSING_NOTHING, SYNC_MISSING_INTEGRATION, SYNC_MISSING_CONNECTION };

typedef void sync_scope_cb(void *arg, enum sl_code code, const struct sl_error *error);

struct sync_scope { /* zeroed by its owner, ended by sync_scope_fini() */
	struct daemon *daemon;
	int64_t environment_id;
	const char *integration, *connection_id; /* connection_id NULL: all of the integration */
	struct sync_want *wants;                 /* none: every sync */
	int want_count;
	bool enabled_only; /* passes over functions that are disabled */
	/* What was found: set is whole after SL_OK. */
	enum sync_missing missing;
	const struct directory_functions *functions; /* held; functions of all types */
	struct sync_set set;
	struct sync_pick *picks; /* those of set; variants point into wants */
	sync_scope_cb *cb;
	void *arg;
};

/* Adds "name" or "name::variant"; false: neither is a name (nothing was added). */
bool sync_scope_want(struct sync_scope *scope, const char *text);
/* As names that were checked; copied. */
void sync_scope_want_variant(struct sync_scope *scope, const char *name, const char *variant);
/* Adds an element of `syncs`: such a text, or {name, variant}.  NULL: fine, else the zod issue code of
 * what is wrong with it. */
const char *sync_scope_read(struct sync_scope *scope, struct json_value element);
/* Adds all of the array `syncs`.  NULL: fine, else the issue, of the element *at, -1: of the array. */
#define SYNC_WANTS_RULE \
	"syncs must be an array of at most 256 of \"name\", \"name::variant\" or {name, variant}"
const char *sync_scope_read_all(struct sync_scope *scope, struct json_value syncs, int *at);
/* Finds functions and connection; names that are unknown are passed over.  SL_NOT_FOUND:
 * scope->missing says what.  cb comes once, maybe from inside the call. */
void sync_scope_find(struct sync_scope *scope, sync_scope_cb *cb, void *arg);
/* The function by its id; NULL: none of this scope. */
const struct account_function *sync_scope_function(const struct sync_scope *scope, int64_t id);
void sync_scope_fini(struct sync_scope *scope);

#endif
