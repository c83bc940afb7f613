#include "daemon/warm.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "daemon/api/directory.h"
#include "runtime/pool.h"
#include "sql/account.h"

#define AGAIN_MS 500 /* to look for room again */
#define TRIES 20

struct environment {         /* one whose deploys were seen */
	int64_t deployed_ms; /* of the newest version that was looked at */
};

struct item {
	int64_t version_id;
	int tries;
};

struct warm {
	struct daemon *daemon;
	struct map *environments; /* id -> environment */
	struct item *items;       /* owned: versions to load; the first count are waiting */
	int count, size;
	bool busy;                                /* the first one is looked up or loaded */
	const struct directory_function *loading; /* counted, or NULL */
	int64_t began_ms;
	struct loop_timer *timer;
};

static void
drop_first(struct warm *warm)
{
	warm->count--;
	memmove(warm->items, warm->items + 1, (size_t)warm->count * sizeof(*warm->items));
}

static void next(void *arg);

/* The first one is done with: loaded, or not to be. */
static void
go_on(struct warm *warm)
{
	directory_release(warm->loading);
	warm->loading = NULL;
	warm->busy = false;
	drop_first(warm);
	loop_timer_in(warm->timer, 0);
}

static void
on_loaded(void *arg, enum sl_code code)
{
	struct warm *warm = arg;
	const struct account_function *row = &warm->loading->row;

	if (code == SL_OK)
		log_info("function_warm",
			 "environment=%" PRId64 " version=%" PRId64 " function=%s ms=%" PRId64,
			 row->environment_id, row->version_id, log_text(row->name),
			 clock_mono_ms() - warm->began_ms);
	go_on(warm);
}

static void
try_later(struct warm *warm)
{
	warm->busy = false;
	if (++warm->items[0].tries > TRIES)
		drop_first(warm);
	loop_timer_in(warm->timer, AGAIN_MS);
}

static void
on_version(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct warm *warm = arg;
	const struct directory_function *version = object;
	struct pool_function function;
	char *file;

	(void)error;
	if (code != SL_OK) {
		go_on(warm);
		return;
	}
	file = sl_asprintf("%s-%s.cjs", version->row.name, version->row.unique_key);
	function = (struct pool_function){.version_id = version->row.version_id,
					  .environment_id = version->row.environment_id,
					  .name = version->row.name,
					  .file = file, /* as a run has it */
					  .code = version->row.code,
					  .code_len = strlen(version->row.code)};
	warm->began_ms = clock_mono_ms();
	code = pool_warm(warm->daemon->pool, &function, on_loaded, warm, NULL);
	free(file);
	if (code == SL_OK)
		warm->loading = directory_hold(version);
	else if (code == SL_EXHAUSTED || code == SL_UNAVAILABLE)
		try_later(warm);
	else
		go_on(warm);
}

/* Runs go first: on a node that is half busy their CPU time is not to be had. */
static void
next(void *arg)
{
	struct warm *warm = arg;
	int most = (int)config_int(warm->daemon->config, "runners");

	if (warm->busy || warm->count == 0 || warm->daemon->draining)
		return;
	if (pool_running(warm->daemon->pool) > most / 2) {
		try_later(warm);
		return;
	}
	warm->busy = true;
	directory_version(warm->daemon->directory, warm->items[0].version_id, on_version, warm);
}

static void
on_ignored(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	(void)arg;
	(void)code;
	(void)object;
	(void)error;
}

static void
add(struct warm *warm, const struct account_function *row)
{
	for (int i = 0; i < warm->count; i++)
		if (warm->items[i].version_id == row->version_id)
			return;
	if (warm->count == warm->size)
		return;
	warm->items[warm->count++] = (struct item){.version_id = row->version_id};
	if ((warm->daemon->roles & ROLE_API) != 0)
		directory_function(warm->daemon->directory, row->environment_id, row->unique_key,
				   row->type, row->name, on_ignored, NULL);
}

/* All that one deploy writes has the same time. */
static void
on_functions(void *arg, enum sl_code code, const struct account_function *rows, int count,
	     const struct sl_error *error)
{
	struct warm *warm = arg;
	struct environment *environment;
	int64_t newest = 0, seen;

	(void)error;
	for (int i = 0; i < count; i++)
		if (rows[i].deployed_ms > newest)
			newest = rows[i].deployed_ms;
	if (code != SL_OK || count == 0)
		return;
	environment = map_get_int(warm->environments, rows[0].environment_id);
	if (environment == NULL) {
		environment = sl_alloc(sizeof(*environment));
		environment->deployed_ms = newest - 1;
		(void)map_put_int(warm->environments, rows[0].environment_id, environment);
	}
	seen = environment->deployed_ms;
	environment->deployed_ms = newest;
	for (int i = 0; i < count; i++)
		if (rows[i].deployed_ms > seen && rows[i].enabled)
			add(warm, &rows[i]);
	loop_timer_in(warm->timer, 0);
}

/* After a reconnect (payload NULL) nothing is done: nobody knows what was missed, and runs load what
 * they need. */
static void
on_deployed(void *arg, const char *channel, const char *payload)
{
	struct warm *warm = arg;
	int64_t environment_id = payload != NULL ? strtoll(payload, NULL, 10) : 0;

	(void)channel;
	if (environment_id > 0 && !warm->daemon->draining)
		account_function_list(warm->daemon->account, environment_id, NULL, on_functions,
				      warm);
}

struct warm *
warm_new(struct daemon *daemon)
{
	struct warm *warm = sl_alloc(sizeof(*warm));

	warm->daemon = daemon;
	warm->environments = map_new();
	warm->size = 2 * (int)config_int(daemon->config, "runners");
	warm->items = sl_calloc((size_t)warm->size, sizeof(*warm->items));
	warm->timer = loop_timer_new(daemon->loop, next, warm);
	pg_listen(account_pg(daemon->account), ACCOUNT_DEPLOYED, on_deployed, warm);
	return warm;
}

void
warm_free(struct warm *warm)
{
	if (warm == NULL)
		return;
	directory_release(warm->loading);
	loop_timer_free(warm->timer);
	map_free(warm->environments, free);
	free(warm->items);
	free(warm);
}
