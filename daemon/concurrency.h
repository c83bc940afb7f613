/* daemon/concurrency.h - which concurrency key an async action or a run of a sync gets.
 *
 * The environment says by what its actions are kept apart (all together, by connection, by function),
 * a function may say it for itself; each key runs as many at a time as that setting allows
 * (sql/account.h).  All runs of syncs of an environment have one key, with a limit of its own.  Keys are
 * rows of the ledger, made when they are first needed. */
#ifndef SLUICE_DAEMON_CONCURRENCY_H
#define SLUICE_DAEMON_CONCURRENCY_H

#include "base/error.h"
#include "daemon/api/directory.h"
#include "daemon/daemon.h"

#define CONCURRENCY_KEYS_MAX 20000 /* kept; past it all are looked up anew */
#define CONCURRENCY_NAME_SIZE 80

struct concurrency; /* the keys that were looked up; opaque */
struct concurrency *concurrency_new(struct daemon *daemon);
void concurrency_free(struct concurrency *concurrency); /* after the sync store; NULL is fine */

/* What holds for a function: its own setting, else its environment's. */
struct concurrency_rule {
	enum account_concurrency by; /* never INHERIT */
	int limit;
	bool own; /* of the function itself */
};
struct concurrency_rule concurrency_rule(const struct account_environment *environment,
					 const struct account_function *function);

/* The name of the key of a job under that rule. */
void concurrency_name(const struct concurrency_rule *rule, int64_t function_id,
		      int64_t connection_id, char out[CONCURRENCY_NAME_SIZE]);

/* SL_OK: key_id.  Else as sync_key(). */
typedef void concurrency_cb(void *arg, enum sl_code code, int64_t key_id,
			    const struct sl_error *error);
/* cb comes at once, from inside the call, for the environment's own key and for one that is known;
 * what is known is forgotten with the directory. */
void concurrency_key(struct daemon *daemon, const struct directory_environment *environment,
		     const struct directory_function *function, int64_t connection_row_id,
		     concurrency_cb *cb, void *arg);
/* The same for a run of a sync. */
void concurrency_sync_key(struct daemon *daemon, int64_t environment_id, concurrency_cb *cb,
			  void *arg);

#endif
