/* daemon/api/directory.h - rows of the account tables, looked up once and kept until they change.
 *
 * Requests resolve key, environment, connection and function here without a round trip.  A NOTIFY
 * of sluice_catalog drops what is cached; an entry is never older than DIRECTORY_TTL_MS anyway.
 * Lookups of one row share one query.  Objects are counted: a callback borrows, directory_hold()
 * keeps. */
#ifndef SLUICE_DAEMON_API_DIRECTORY_H
#define SLUICE_DAEMON_API_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "daemon/daemon.h"
#include "sql/account.h"

#define DIRECTORY_TTL_MS 60000

struct directory_object { /* first member of each row type below */
	int refs;
	int64_t loaded_ms;
	void *owned[16]; /* texts, freed with the object */
	int owned_count;
};

struct directory_key {
	struct directory_object object;
	int64_t id, environment_id; /* environment 0: account-level or operator */
	const char *scopes;
};
struct directory_environment {
	struct directory_object object;
	struct account_environment row; /* texts owned by the object */
	int64_t action_timeout_ms;      /* run limit of actions */
};
struct directory_integration {
	struct directory_object object;
	struct account_integration row;
};
struct directory_connection {
	struct directory_object object;
	struct account_connection row;
};
struct directory_logger { /* what NANGO_LOGGER_LEVEL of an environment says */
	struct directory_object object;
	const char *level; /* debug, info, warn, error or off */
};
struct directory_function {
	struct directory_object object;
	struct account_function row; /* code and ts only from directory_version() */
};
/* All active functions of an integration, as account_function_list() gives them. */
struct directory_functions {
	struct directory_object object;
	struct account_function *rows; /* owned by the object, as are their texts */
	int count;
};

struct directory *directory_new(struct daemon *daemon);
void directory_free(struct directory *directory);
void directory_forget(struct directory *directory); /* drops the whole cache */
/* Another one each time the cache was dropped. */
uint64_t directory_generation(const struct directory *directory);

/* object is one of the types above, borrowed for the call, NULL unless code is SL_OK.  May be
 * called from inside the lookup when the row is cached.  SL_NOT_FOUND, SL_UNAVAILABLE. */
typedef void directory_cb(void *arg, enum sl_code code, const void *object,
			  const struct sl_error *error);

void directory_key(struct directory *directory, const char *key_text, directory_cb *cb, void *arg);
void directory_environment(struct directory *directory, int64_t id, directory_cb *cb, void *arg);
/* uuid: as it stands in the URL of incoming webhooks, in lower case. */
void directory_environment_by_uuid(struct directory *directory, const char *uuid, directory_cb *cb,
				   void *arg);
void directory_integration(struct directory *directory, int64_t environment_id,
			   const char *unique_key, directory_cb *cb, void *arg);
void directory_connection(struct directory *directory, int64_t environment_id,
			  const char *unique_key, const char *connection_id, directory_cb *cb,
			  void *arg);
void directory_connection_by_id(struct directory *directory, int64_t id, directory_cb *cb,
				void *arg);
void directory_function(struct directory *directory, int64_t environment_id, const char *unique_key,
			const char *type, const char *name, directory_cb *cb, void *arg);
void directory_logger(struct directory *directory, int64_t environment_id, directory_cb *cb,
		      void *arg);
/* An integration that does not exist has none: count 0. */
void directory_functions(struct directory *directory, int64_t environment_id,
			 const char *unique_key, directory_cb *cb, void *arg);
void directory_version(struct directory *directory, int64_t version_id, directory_cb *cb,
		       void *arg);

/* Is the environment to be told how an async action of the connection ends?  As it stands when the job is
 * accepted (ledger_job.webhook); where the event goes, and whether it does, is as it stands at the end. */
bool directory_tells_of_action(const struct directory_environment *environment,
			       const struct directory_connection *connection);

/* Takes / drops a count; object may be NULL for release. */
const void *directory_hold(const void *object);
void directory_release(const void *object);

#endif
