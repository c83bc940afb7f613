#include "daemon/concurrency.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/map.h"
#include "sql/sync.h"

struct known { /* a key of the ledger */
	int64_t key_id;
};

struct concurrency {
	struct daemon *daemon;
	struct map *keys;    /* "environment:name" -> known */
	uint64_t generation; /* of the directory that they were looked up under */
};

struct ask {
	struct concurrency *concurrency;
	char *name; /* owned: of the map */
	uint64_t generation;
	concurrency_cb *cb;
	void *arg;
};

struct concurrency *
concurrency_new(struct daemon *daemon)
{
	struct concurrency *concurrency = sl_alloc(sizeof(*concurrency));

	concurrency->daemon = daemon;
	concurrency->keys = map_new();
	return concurrency;
}

void
concurrency_free(struct concurrency *concurrency)
{
	if (concurrency == NULL)
		return;
	map_free(concurrency->keys, free);
	free(concurrency);
}

struct concurrency_rule
concurrency_rule(const struct account_environment *environment,
		 const struct account_function *function)
{
	if (function->concurrency_by == ACCOUNT_CONCURRENCY_INHERIT)
		return (struct concurrency_rule){environment->concurrency_by,
						 environment->concurrency_limit, false};
	return (struct concurrency_rule){function->concurrency_by, function->concurrency_limit,
					 true};
}

void
concurrency_name(const struct concurrency_rule *rule, int64_t function_id, int64_t connection_id,
		 char out[CONCURRENCY_NAME_SIZE])
{
	switch (rule->by) {
	case ACCOUNT_CONCURRENCY_INHERIT:
	case ACCOUNT_CONCURRENCY_ENVIRONMENT:
		snprintf(out, CONCURRENCY_NAME_SIZE, "actions");
		return;
	case ACCOUNT_CONCURRENCY_CONNECTION:
		if (rule->own)
			snprintf(out, CONCURRENCY_NAME_SIZE,
				 "actions:function:%lld:connection:%lld", (long long)function_id,
				 (long long)connection_id);
		else
			snprintf(out, CONCURRENCY_NAME_SIZE, "actions:connection:%lld",
				 (long long)connection_id);
		return;
	case ACCOUNT_CONCURRENCY_FUNCTION:
		snprintf(out, CONCURRENCY_NAME_SIZE, "actions:function:%lld",
			 (long long)function_id);
		return;
	}
}

/* Forgets all when the directory was forgotten, or there are too many. */
static void
tidy(struct concurrency *concurrency)
{
	uint64_t generation = directory_generation(concurrency->daemon->directory);

	if (concurrency->generation == generation &&
	    map_count(concurrency->keys) < CONCURRENCY_KEYS_MAX)
		return;
	map_free(concurrency->keys, free);
	concurrency->keys = map_new();
	concurrency->generation = generation;
}

static void
on_key(void *arg, enum sl_code code, int64_t key_id, const struct sl_error *error)
{
	struct ask *ask = arg;
	struct concurrency *concurrency = ask->concurrency;
	struct known *known;

	tidy(concurrency);
	if (code == SL_OK && ask->generation == concurrency->generation) {
		known = sl_alloc(sizeof(*known));
		known->key_id = key_id;
		free(map_put_text(concurrency->keys, ask->name, known));
	}
	ask->cb(ask->arg, code, key_id, error);
	free(ask->name);
	free(ask);
}

/* Answers from what is known; else what is to be asked of the ledger. */
static struct ask *
look_up(struct concurrency *concurrency, int64_t environment_id, const char *name,
	concurrency_cb *cb, void *arg)
{
	const struct known *known;
	struct ask *ask;
	char *full;

	tidy(concurrency);
	full = sl_asprintf("%lld:%s", (long long)environment_id, name);
	known = map_get_text(concurrency->keys, full);
	if (known != NULL) {
		free(full);
		cb(arg, SL_OK, known->key_id, NULL);
		return NULL;
	}
	ask = sl_alloc(sizeof(*ask));
	*ask = (struct ask){concurrency, full, concurrency->generation, cb, arg};
	return ask;
}

void
concurrency_key(struct daemon *daemon, const struct directory_environment *environment,
		const struct directory_function *function, int64_t connection_row_id,
		concurrency_cb *cb, void *arg)
{
	struct concurrency *concurrency = daemon->concurrency;
	struct concurrency_rule rule = concurrency_rule(&environment->row, &function->row);
	char name[CONCURRENCY_NAME_SIZE];
	struct ask *ask;

	if (rule.by == ACCOUNT_CONCURRENCY_ENVIRONMENT) {
		cb(arg, SL_OK, environment->row.key_id, NULL);
		return;
	}
	concurrency_name(&rule, function->row.id, connection_row_id, name);
	ask = look_up(concurrency, environment->row.id, name, cb, arg);
	if (ask != NULL)
		sync_key(daemon->syncs, environment->row.id, name, rule.limit, on_key, ask);
}

void
concurrency_sync_key(struct daemon *daemon, int64_t environment_id, concurrency_cb *cb, void *arg)
{
	struct ask *ask = look_up(daemon->concurrency, environment_id, "syncs", cb, arg);

	if (ask != NULL)
		sync_lane(daemon->syncs, environment_id,
			  (int)config_int(daemon->config, "sync_limit"), on_key, ask);
}
