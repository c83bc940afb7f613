/* sql/account.h - environments, keys, integrations, connections, functions: rows in and out.
 *
 * Every call answers once, from the loop.  Structs handed to callbacks are borrowed for the call
 * unless a copy is named; texts are NUL-terminated, never NULL unless said.  JSON columns are kept
 * as the bytes that came (type text).  Sealed texts are base/secret's; this folder never opens
 * them. Every change that the catalog caches sends NOTIFY sluice_catalog with the environment id.
 */
#ifndef SLUICE_SQL_ACCOUNT_H
#define SLUICE_SQL_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/loop.h"
#include "base/secret.h"
#include "sql/pg.h"

#define ACCOUNT_CHANNEL "sluice_catalog"
#define ACCOUNT_DEPLOYED "sluice_deployed" /* a deploy, after its NOTIFY of the former; likewise */
#define ACCOUNT_LIMITS "sluice_limits"     /* slots of concurrency keys changed; likewise */

struct account; /* opaque: one connection for all of this */

struct account *account_new(struct loop *loop, const struct pg_settings *settings, pg_state_cb *cb,
			    void *arg);
void account_free(struct account *account);
struct pg *account_pg(struct account *account); /* for pg_listen */
bool account_is_up(const struct account *account);

/* code: SL_OK; SL_NOT_FOUND; SL_CONFLICT (unique name taken, or a condition did not hold);
 * SL_UNAVAILABLE. */
typedef void account_done_cb(void *arg, enum sl_code code, int64_t id,
			     const struct sl_error *error);

/* ---- concurrency ---------------------------------------------------------------------------- */
#define ACCOUNT_CONCURRENCY_MAX 500

/* What async actions are kept apart by: each environment, connection or function has a concurrency
 * key of its own, of which so many jobs may run at a time. */
enum account_concurrency {
	ACCOUNT_CONCURRENCY_INHERIT = 0, /* of a function: as its environment says */
	ACCOUNT_CONCURRENCY_ENVIRONMENT,
	ACCOUNT_CONCURRENCY_CONNECTION,
	ACCOUNT_CONCURRENCY_FUNCTION,
};
/* "environment", "connection", "function"; NULL for INHERIT and what is no such value. */
const char *account_concurrency_name(enum account_concurrency by);
/* INHERIT: it is none of these names. */
enum account_concurrency account_concurrency_parse(const char *name);

/* Writes the setting, and the slots of the keys that it governs, in one transaction; tells the
 * catalogs and ACCOUNT_LIMITS.  What runs goes on; jobs that wait stay under the key they were
 * accepted with.  SL_INVALID: by INHERIT (of an environment) or unknown, limit not 1 to
 * ACCOUNT_CONCURRENCY_MAX. */
void account_environment_concurrency(struct account *account, int64_t environment_id,
				     enum account_concurrency by, int limit, account_done_cb *cb,
				     void *arg);
/* INHERIT: limit is ignored.  ENVIRONMENT: the function's jobs are under the key of the whole
 * environment, so the environment's limit holds for them and is what is read back. */
void account_function_concurrency(struct account *account, int64_t environment_id,
				  int64_t function_id, enum account_concurrency by, int limit,
				  account_done_cb *cb, void *arg);

/* The same for runs of syncs, which have one key in an environment.  limit 0: taken back, and standard
 * (the setting sync_limit) holds.  SL_INVALID: not 0 to ACCOUNT_CONCURRENCY_MAX. */
void account_environment_sync_limit(struct account *account, int64_t environment_id, int limit,
				    int standard, account_done_cb *cb, void *arg);

/* ---- webhooks ------------------------------------------------------------------------------- */

/* What an environment is told of; bits of account_environment.webhook_events, which webhook_bit() of the
 * migrations knows too. */
enum account_webhook {
	ACCOUNT_WEBHOOK_SYNC = 1,           /* a run of a sync that changed something */
	ACCOUNT_WEBHOOK_SYNC_UNCHANGED = 2, /* one that did not */
	ACCOUNT_WEBHOOK_SYNC_ERROR = 4,
	ACCOUNT_WEBHOOK_ASYNC_ACTION = 8,
	ACCOUNT_WEBHOOK_AUTH_CREATION = 16,
	ACCOUNT_WEBHOOK_AUTH_REFRESH_ERROR = 32,
};
#define ACCOUNT_WEBHOOK_ALL 63
#define ACCOUNT_WEBHOOK_DEFAULT (ACCOUNT_WEBHOOK_ALL - ACCOUNT_WEBHOOK_SYNC_UNCHANGED)

/* "sync", "sync_unchanged", "sync_error", "async_action", "auth_creation", "auth_refresh_error"; NULL for what is not
 * one of the bits. */
const char *account_webhook_name(enum account_webhook event);
/* 0: it is none of these names. */
enum account_webhook account_webhook_parse(const char *name);

/* Where the environment's events go, and which: NULL and -1: as it is; "": nowhere.  A URL that is another
 * one than before is tried with what is pending and without the troubles of the former, but stays paused if an
 * operator paused it.  Jobs that are accepted before a catalog has heard of it are told of as it knew. */
void account_environment_webhook(struct account *account, int64_t environment_id,
				 const char *primary, const char *secondary, int events,
				 account_done_cb *cb, void *arg);

/* ---- environments and keys ------------------------------------------------------------------ */
struct account_environment {
	int64_t id;
	int64_t key_id; /* the concurrency key of its async actions */
	const char *name;
	const char *uuid;
	bool is_production;
	const char *signing_key;  /* sealed, row "environment:<uuid>:signing_key"; "" if none */
	const char *settings;     /* JSON object: members that were set over the admin API */
	const char *callback_url; /* "" if none */
	enum account_concurrency concurrency_by; /* never INHERIT */
	int concurrency_limit;
	int sync_limit;     /* runs of syncs at a time; 0: as the setting says */
	int webhook_events; /* bits of enum account_webhook */
	const char *webhook_url, *webhook_url_secondary; /* "" if none */
	const char *signing_key_before;                  /* sealed as signing_key; "" if none */
	int64_t
	    signing_key_ms; /* wall time since when signing_key is the one; 0: it never changed */
};
typedef void account_environments_cb(void *arg, enum sl_code code,
				     const struct account_environment *rows, int count,
				     const struct sl_error *error);
void account_environment_list(struct account *account, account_environments_cb *cb, void *arg);
void account_environment_by_id(struct account *account, int64_t id, account_environments_cb *cb,
			       void *arg);
void account_environment_by_uuid(struct account *account, const char *uuid,
				 account_environments_cb *cb, void *arg);
void account_environment_by_name(struct account *account, const char *name,
				 account_environments_cb *cb, void *arg);
/* Creates the environment, its concurrency key and its first full-access key (digest, scopes
 * "environment:*", display name "Default").  SL_CONFLICT: name taken. */
struct account_new_environment {
	const char *name, *uuid, *signing_key, *callback_url, *key_digest;
	bool is_production;
};
void account_environment_create(struct account *account, const struct account_new_environment *row,
				account_done_cb *cb, void *arg);
/* SL_CONFLICT: it is a production environment (name "prod" or is_production): refused. */
void account_environment_delete(struct account *account, int64_t id, account_done_cb *cb,
				void *arg);
/* Replaces settings (whole JSON object) if they still are expected; SL_CONFLICT otherwise (the
 * caller reads again). */
void account_environment_settings(struct account *account, int64_t id, const char *expected,
				  const char *settings, account_done_cb *cb, void *arg);
/* A new key; the one before is kept, and signs beside it for a day. */
void account_environment_signing_key(struct account *account, int64_t id, const char *sealed,
				     account_done_cb *cb, void *arg);
/* Gives a key to an environment that has none; one that it has stays. */
void account_environment_first_signing_key(struct account *account, int64_t id, const char *sealed,
					   account_done_cb *cb, void *arg);

struct account_key {
	int64_t id;
	int64_t environment_id; /* 0: account-level or operator */
	const char *display_name;
	const char *scopes; /* separated by one space */
	int64_t created_ms;
};
typedef void account_key_cb(void *arg, enum sl_code code, const struct account_key *row,
			    const struct sl_error *error);
/* digest: secret_sha256_hex of the key text. */
void account_key_find(struct account *account, const char *digest, account_key_cb *cb, void *arg);
/* environment_id 0: account-level.  id: the new key's.  SL_CONFLICT: display name taken in that
 * environment; SL_NOT_FOUND: no such environment. */
void account_key_create(struct account *account, int64_t environment_id, const char *display_name,
			const char *digest, const char *scopes, account_done_cb *cb, void *arg);
void account_key_delete(struct account *account, int64_t environment_id, int64_t key_id,
			account_done_cb *cb, void *arg);

struct account_variable {
	const char *name, *value;
}; /* value sealed, row "variable:<environment id>:<name>" */
typedef void account_variables_cb(void *arg, enum sl_code code, const struct account_variable *rows,
				  int count, const struct sl_error *error);
void account_variable_list(struct account *account, int64_t environment_id,
			   account_variables_cb *cb, void *arg);
void account_variable_put(struct account *account, int64_t environment_id, const char *name,
			  const char *sealed, account_done_cb *cb, void *arg);
void account_variable_delete(struct account *account, int64_t environment_id, const char *name,
			     account_done_cb *cb, void *arg);

/* ---- integrations --------------------------------------------------------------------------- */
struct account_integration {
	int64_t id, environment_id;
	const char *unique_key, *provider, *display_name;
	bool forward_webhooks;
	const char *credentials; /* sealed JSON, row "integration:<environment id>:<unique_key at
				    creation: `seal_row`>"; "" if none */
	const char *seal_row; /* associated data of the seal: fixed at creation, survives renames */
	const char *config;   /* integration_config JSON object */
	const char *custom;   /* JSON object */
	int64_t created_ms, updated_ms;
};
typedef void account_integrations_cb(void *arg, enum sl_code code,
				     const struct account_integration *rows, int count,
				     const struct sl_error *error);
void account_integration_list(struct account *account, int64_t environment_id,
			      account_integrations_cb *cb, void *arg);
void account_integration_find(struct account *account, int64_t environment_id,
			      const char *unique_key, account_integrations_cb *cb,
			      void *arg); /* count 1, or SL_NOT_FOUND */
/* Ignores id and times.  SL_CONFLICT: unique_key taken. */
void account_integration_create(struct account *account, const struct account_integration *row,
				account_done_cb *cb, void *arg);
/* Writes all members of row by row->id.  SL_CONFLICT: new unique_key taken, or renamed while it has
 * connections. */
void account_integration_update(struct account *account, const struct account_integration *row,
				account_done_cb *cb, void *arg);
void account_integration_delete(struct account *account, int64_t environment_id,
				const char *unique_key, account_done_cb *cb, void *arg);

/* ---- connections ---------------------------------------------------------------------------- */
struct account_connection {
	int64_t id, environment_id, integration_id;
	const char *connection_id;
	const char *unique_key, *provider; /* of its integration (joined) */
	const char *credentials;           /* sealed JSON, row seal_row */
	const char *seal_row;              /* "connection:" and a uuid made by the creator */
	const char *connection_config;     /* JSON object */
	const char *metadata;              /* JSON object or "null" */
	const char *tags;                  /* JSON object */
	const char *end_user;              /* JSON object or "null" */
	const char *webhook_url_override;  /* "" if none */
	int64_t created_ms, updated_ms, last_fetched_ms;
	/* How the last refresh of its credentials went (sql/refresh.h); the moments are of this process's monotonic
	 * clock, 0: none.  Read only. */
	const char *failure_log_id; /* "": nothing that its owner must know of */
	int64_t failed_mono_ms, refreshed_mono_ms;
	int failing_days; /* in a row */
};
typedef void account_connections_cb(void *arg, enum sl_code code,
				    const struct account_connection *rows, int count,
				    const struct sl_error *error);
struct account_connection_filter {
	int64_t environment_id;
	const char *connection_id; /* exact, or NULL */
	const char *search; /* part of connection id or end user's id, e-mail, name; or NULL */
	const char *end_user_id, *end_user_organization_id; /* or NULL */
	const char *const *unique_keys;
	int unique_key_count; /* of integrations; 0: all */
	const char *const *tag_names, *const *tag_values;
	int tag_count; /* all must match */
	int limit, offset;
};
/* Newest first. */
void account_connection_list(struct account *account,
			     const struct account_connection_filter *filter,
			     account_connections_cb *cb, void *arg);
void account_connection_find(struct account *account, int64_t environment_id,
			     const char *unique_key, const char *connection_id,
			     account_connections_cb *cb, void *arg); /* 1 row or SL_NOT_FOUND */
/* By row id, in any environment (a job names its connection so): 1 row or SL_NOT_FOUND. */
void account_connection_by_id(struct account *account, int64_t id, account_connections_cb *cb,
			      void *arg);
/* Inserts, or overrides the row of the same (integration, connection_id), keeping its id.  The
 * callback's single row is what is stored now; created_ms == updated_ms on creation only (SL_OK),
 * override is told by *overridden of account_upsert_cb. */
typedef void account_upsert_cb(void *arg, enum sl_code code, const struct account_connection *row,
			       bool overridden, const struct sl_error *error);
void account_connection_upsert(struct account *account, const struct account_connection *row,
			       account_upsert_cb *cb, void *arg);
/* NULL members stay as they are. */
void account_connection_patch(struct account *account, int64_t id, const char *tags,
			      const char *end_user, const char *webhook_url_override,
			      account_done_cb *cb, void *arg);
/* With all that it has; its records first, in transactions of their own, so that many of them hold nobody
 * up.  One that fails in between leaves a connection with fewer records: it is to be asked for again. */
void account_connection_delete(struct account *account, int64_t environment_id,
			       const char *unique_key, const char *connection_id,
			       account_done_cb *cb, void *arg);
/* Writes metadata of all ids in one transaction, if each still has its expected text (NULL:
 * whatever it is); SL_CONFLICT: one changed meanwhile, nothing was written: read again. */
void account_connection_metadata(struct account *account, const int64_t *ids,
				 const char *const *expected, const char *const *metadata,
				 int count, account_done_cb *cb, void *arg);

/* ---- functions and deploys ------------------------------------------------------------------ */
struct account_function {
	int64_t id, version_id, integration_id, environment_id;
	const char *unique_key;             /* of the integration */
	const char *type;                   /* "action", "sync", "on-event" */
	const char *name, *version, *event; /* event: of on-event, else "" */
	const char *source;                 /* "repo", "catalog", "standalone" */
	const char *definition; /* the FC of the deploy without fileBody, JSON object as it came */
	bool enabled;
	int64_t deployed_ms;
	const char *code;    /* ES5; only from account_version_find, else "" */
	const char *ts;      /* TypeScript source; likewise */
	int64_t connections; /* how many connections its integration has (list only) */
	enum account_concurrency concurrency_by; /* its own; INHERIT: none */
	int concurrency_limit;                   /* 0: none of its own */
};
typedef void account_functions_cb(void *arg, enum sl_code code, const struct account_function *rows,
				  int count, const struct sl_error *error);
/* unique_key NULL: the whole environment.  Only active versions. */
void account_function_list(struct account *account, int64_t environment_id, const char *unique_key,
			   account_functions_cb *cb, void *arg);
/* The active version by (integration, type, name): 1 row (without code) or SL_NOT_FOUND. */
void account_function_find(struct account *account, int64_t environment_id, const char *unique_key,
			   const char *type, const char *name, account_functions_cb *cb, void *arg);
/* With code and ts; also versions that are no longer active (a job uses one version to its end). */
void account_version_find(struct account *account, int64_t version_id, account_functions_cb *cb,
			  void *arg);

struct account_deploy_item { /* one function to write */
	int64_t integration_id;
	const char *type, *name, *event, *source, *definition;
	const char *version; /* NULL: the server counts: "1" (action, sync) or "0.0.1" (on-event)
				first, then the last number + 1 */
	const char *code, *ts, *digest; /* digest of code + definition */
};
struct account_deployed {
	const char *type, *name, *unique_key, *version;
	int64_t version_id;
};
typedef void account_deploy_cb(void *arg, enum sl_code code, const struct account_deployed *rows,
			       int count, const struct sl_error *error);
/* One transaction under a try-lock per environment: writes items as new active versions, disables
 * and removes the functions in delete_ids (function ids).  SL_CONFLICT: another deploy of the
 * environment is running.
 * seen_version is the newest version_id of the list that delete_ids were worked out from (-1: not
 * checked): a deploy that came in between is SL_CONFLICT too. */
void account_deploy(struct account *account, int64_t environment_id, int64_t seen_version,
		    const struct account_deploy_item *items, int count, const int64_t *delete_ids,
		    int delete_count, account_deploy_cb *cb, void *arg);

#endif
