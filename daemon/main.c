/* daemon/main.c - sluiced: options, settings, roles, start order, stop order.
 *
 * Exit codes are sysexits(3): 64 bad option, 65 schema newer than this build, 69 Postgres or Redis
 * cannot be reached, 70 something of ours failed, 71 an address cannot be listened on or a socket that
 * was passed is none, 75 another daemon runs on DIR, 78 bad settings. */
#include <ctype.h>
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "config.h"
#include "daemon/api/api.h"
#include "daemon/call.h"
#include "daemon/cancel.h"
#include "daemon/compiler.h"
#include "daemon/concurrency.h"
#include "daemon/daemon.h"
#include "daemon/egress/gate.h"
#include "daemon/deliver/deliver.h"
#include "daemon/egress/fresh.h"
#include "daemon/exposed.h"
#include "daemon/keys.h"
#include "daemon/monitor.h"
#include "daemon/node.h"
#include "daemon/notify.h"
#include "daemon/options.h"
#include "daemon/paths.h"
#include "daemon/rekey.h"
#include "daemon/reload.h"
#include "daemon/scheduler/scheduler.h"
#include "daemon/seal.h"
#include "daemon/service.h"
#include "daemon/settings.h"
#include "daemon/shard.h"
#include "daemon/sockets.h"
#include "daemon/standalone.h"
#include "daemon/steer.h"
#include "daemon/submit.h"
#include "daemon/warm.h"
#include "daemon/worker/dispatch.h"
#include "http/client.h"
#include "http/guard.h"
#include "http/listen.h"
#include "provider/catalog.h"
#include "queue/queue.h"
#include "runtime/pool.h"
#include "sql/account.h"
#include "sql/dead.h"
#include "sql/delivery.h"
#include "sql/ledger.h"
#include "sql/migrate.h"
#include "sql/settle.h"
#include "sql/sync.h"

#define QUEUE_START_MS 5000
#define DATABASE_START_MS 30000

extern char **environ;

static int
fail(int status, const char *format, const char *text)
{
	fputs("sluiced: ", stderr);
	fprintf(stderr, format, text);
	fputc('\n', stderr);
	return status;
}

/* A peer that goes away is an error of that write; a hang-up of the terminal is not a reason to
 * stop. */
static void
ignore_signals(void)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	(void)sigaction(SIGPIPE, &ignore, NULL);
	(void)sigaction(SIGHUP, &ignore, NULL);
	(void)sigaction(SIGUSR1, &ignore, NULL); /* until node.c takes them */
	(void)sigaction(SIGUSR2, &ignore, NULL);
}

/* ---- start ----------------------------------------------------------------------------------- */

static const char *
database_url(const struct daemon *daemon)
{
	return daemon->standalone != NULL ? standalone_database_url(daemon->standalone)
					  : config_text(daemon->config, "database_url");
}

/* For what needs a session of its own: LISTEN, the scheduler's lock, migrations. */
static const char *
direct_url(const struct daemon *daemon)
{
	const char *url = config_text(daemon->config, "database_direct_url");

	return url != NULL ? url : database_url(daemon);
}

static bool
is_pooled(const struct daemon *daemon)
{
	return strcmp(config_text(daemon->config, "database_pooling"), "transaction") == 0;
}

static int
start_standalone(struct daemon *daemon)
{
	const char *directory = config_text(daemon->config, "standalone");
	struct sl_error error;
	enum sl_code code;

	if (directory == NULL)
		return EX_OK;
	code = standalone_open(directory, &daemon->standalone, &error);
	if (code == SL_OK)
		code = standalone_start(daemon->standalone, daemon->notify, &error);
	if (code == SL_OK)
		return EX_OK;
	return fail(code == SL_CONFLICT ? EX_TEMPFAIL : EX_UNAVAILABLE, "%s", error.text);
}

/* A private Postgres listens before it takes connections: it may still recover from a crash. */
static enum sl_code
standalone_migrate(struct daemon *daemon, int *applied, struct sl_error *error)
{
	const struct timespec nap = {.tv_nsec = 20 * 1000000L};
	int64_t until = clock_mono_ms() + DATABASE_START_MS;
	enum sl_code code;

	while ((code = migrate_apply(database_url(daemon), applied, error)) == SL_UNAVAILABLE &&
	       clock_mono_ms() < until) {
		notify_busy(daemon->notify, "Starting: Postgres recovers");
		(void)nanosleep(&nap, NULL);
	}
	return code;
}

static int
start_schema(struct daemon *daemon, bool migrate)
{
	struct sl_error error;
	int applied = 0;
	enum sl_code code;

	if (daemon->standalone != NULL)
		code = standalone_migrate(daemon, &applied, &error);
	else if (migrate)
		code = migrate_apply(direct_url(daemon), &applied, &error);
	else
		code = migrate_check(direct_url(daemon), &error);
	if (applied > 0)
		log_info("migrated", "applied=%d version=%d", applied, migrate_version());
	switch (code) {
	case SL_OK:
		return EX_OK;
	case SL_CONFLICT:
		return fail(EX_DATAERR, "%s", error.text);
	case SL_INVALID:
		return fail(EX_CONFIG, "%s", error.text);
	case SL_NOT_FOUND:
	case SL_UNAVAILABLE:
	case SL_EXHAUSTED:
	case SL_INTERNAL:
		break;
	}
	return fail(EX_UNAVAILABLE, "%s", error.text);
}

static int
start_secrets(struct daemon *daemon)
{
	struct sl_error error;

	if (seal_load(daemon, daemon->config, &daemon->ring, &error) != SL_OK)
		return fail(EX_CONFIG, "%s", error.text);
	return EX_OK;
}

static int
start_check(struct daemon *daemon)
{
	struct sl_error error;
	enum sl_code code = seal_check(daemon, direct_url(daemon), &error);

	if (code == SL_OK)
		return EX_OK;
	return fail(code == SL_INVALID ? EX_CONFIG : EX_UNAVAILABLE, "%s", error.text);
}

/* Redis may not throw entries away when it is full: what it lost would come back by the sweep only, late. */
static void
on_policy(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	(void)arg;
	(void)error;
	if (code == SL_OK && value == 0)
		log_warn("redis_evicts", "remedy=%s",
			 log_text("set maxmemory-policy to noeviction"));
}

static void
on_queue_state(void *arg, bool up)
{
	const struct daemon *daemon = arg;

	gates_store_changed(daemon->gates, up);
}

static int
start_queue(struct daemon *daemon)
{
	int shards = (int)config_int(daemon->config, "queue_shards");
	struct queue_settings settings = {.shards = shards,
					  .url = daemon->standalone != NULL
						     ? standalone_redis_url(daemon->standalone)
						     : config_text(daemon->config, "redis_url")};
	int64_t until = clock_mono_ms() + QUEUE_START_MS;
	struct sl_error error;

	daemon->queues = sl_calloc((size_t)shards, sizeof(struct queue *));
	for (; daemon->shard_count < shards; daemon->shard_count++) {
		settings.shard = daemon->shard_count;
		if (queue_new(daemon->loop, &settings, on_queue_state, daemon,
			      &daemon->queues[daemon->shard_count], &error) != SL_OK)
			return fail(EX_CONFIG, "redis_url: %s", error.text);
	}
	while (!shards_are_up(daemon) && !daemon->given_up && clock_mono_ms() < until) {
		notify_busy(daemon->notify, "Starting: waiting for Redis");
		loop_turn(daemon->loop, 50);
	}
	for (int i = 0; i < shards; i++)
		if (!queue_is_up(daemon->queues[i]))
			return fail(EX_UNAVAILABLE, "Redis cannot be reached: %s",
				    queue_last_error(daemon->queues[i]));
	queue_check_policy(daemon->queues[0], on_policy, NULL);
	return EX_OK;
}

static int
start_egress(struct daemon *daemon)
{
	char *directory = path_catalog(daemon->config);
	struct guard_rules rules;
	struct sl_error error;
	int status = EX_OK;

	settings_guard_rules(daemon->config, &rules);
	if (guard_new(NULL, &daemon->guard, &error) != SL_OK ||
	    guard_set(daemon->guard, &rules, &error) != SL_OK)
		status = fail(EX_CONFIG, "egress: %s", error.text);
	else if (catalog_load(directory, &daemon->catalog, &error) != SL_OK)
		status = fail(EX_CONFIG, "provider catalog: %s", error.text);
	else if (http_client_new(daemon->loop, daemon->guard, &daemon->client, &error) != SL_OK ||
		 http_client_new(daemon->loop, daemon->guard, &daemon->webhook_client, &error) !=
		     SL_OK)
		status = fail(EX_SOFTWARE, "%s", error.text);
	else
		reload_provider_client(daemon);
	free(directory);
	return status;
}

static int
start_worker(struct daemon *daemon)
{
	char *runner = path_runner(daemon->config);
	struct pg_settings hot = {.conninfo = database_url(daemon),
				  .name = "sluiced worker",
				  .hot = true,
				  .pooled = is_pooled(daemon)};
	struct pg_settings deliveries = {.conninfo = database_url(daemon),
					 .name = "sluiced deliveries",
					 .hot = true,
					 .pooled = is_pooled(daemon)};
	struct pool_settings settings = {
	    .runner_path = runner,
	    .processes_max = dispatch_processes(daemon->config),
	    .waiting_max = (int)config_int(daemon->config, "runners_waiting"),
	    .heap_bytes = config_int(daemon->config, "runner_heap"),
	    .idle_ms = config_int(daemon->config, "runner_idle"),
	    .cpu_ms = config_int(daemon->config, "runner_cpu"),
	    .isolation = strcmp(config_text(daemon->config, "runner_isolation"), "fork") == 0
			     ? POOL_FORK
			     : POOL_SNAPSHOT,
	};
	struct sl_error error;
	int status = EX_OK;

	if (pool_new(daemon->loop, &settings, &daemon->pool, &error) != SL_OK) {
		status = fail(EX_CONFIG, "runner: %s", error.text);
	} else {
		daemon->settle = settle_new(daemon->loop, &hot);
		daemon->dispatch = dispatch_new(daemon);
		daemon->warm = warm_new(daemon);
		daemon->deliveries = delivery_store_new(daemon->loop, &deliveries);
		daemon->deliver = deliver_new(daemon);
	}
	free(runner);
	return status;
}

/* Sockets that were passed stand for all of `listen`: whoever holds them keeps connections waiting while
 * no process of ours is there. */
static int
adopt_sockets(struct daemon *daemon)
{
	struct sl_error error;

	for (int i = 0; i < daemon->sockets.api_count; i++)
		if (api_adopt(daemon->api, daemon->sockets.api[i], &error) != SL_OK)
			return fail(EX_OSERR, "LISTEN_FDS: %s", error.text);
	return EX_OK;
}

static int
listen_on(struct daemon *daemon)
{
	char *addresses = sl_strdup(config_text(daemon->config, "listen")), *rest = addresses,
	     *address;
	struct sl_error error;
	int status = EX_OK;

	while (status == EX_OK && (address = strtok_r(rest, ", ", &rest)) != NULL)
		if (api_listen(daemon->api, address, &error) != SL_OK)
			status = fail(error.code == SL_INVALID ? EX_CONFIG : EX_OSERR, "listen: %s",
				      error.text);
	free(addresses);
	return status;
}

static int
start_api(struct daemon *daemon)
{
	char *directory = path_compiler(daemon->config);

	daemon->compiler = compiler_new(daemon, directory);
	free(directory);
	daemon->api = api_new(daemon);
	return daemon->sockets.api_count > 0 ? adopt_sockets(daemon) : listen_on(daemon);
}

static int
start_keys(struct daemon *daemon)
{
	const char *path = daemon->standalone != NULL ? standalone_keys_file(daemon->standalone)
						      : config_text(daemon->config, "keys_file");
	bool given = daemon->standalone == NULL &&
		     strcmp(config_source(daemon->config, "keys_file"), "credential") == 0;
	char address[LISTEN_TEXT], *host_port;
	struct sl_error error;
	int status = EX_OK;

	if (path == NULL)
		return EX_OK;
	api_address(daemon->api, address, sizeof(address));
	host_port = sl_asprintf("http://%s", address);
	if (keys_ensure(daemon, path, host_port, given, &error) != SL_OK)
		status = fail(EX_UNAVAILABLE, "%s", error.text);
	free(host_port);
	return status;
}

static int
start_monitor(struct daemon *daemon)
{
	struct sl_error error;

	if (monitor_new(daemon, &daemon->monitor, &error) == SL_OK)
		return EX_OK;
	if (daemon->sockets.metrics_count > 0)
		return fail(EX_OSERR, "LISTEN_FDS: %s", error.text);
	return fail(error.code == SL_INVALID ? EX_CONFIG : EX_OSERR, "metrics_listen: %s",
		    error.text);
}

static int
start_parts(struct daemon *daemon)
{
	bool pooled = is_pooled(daemon);
	struct pg_settings account = {.conninfo = direct_url(daemon), .name = "sluiced account"};
	struct pg_settings syncs = {
	    .conninfo = database_url(daemon), .name = "sluiced syncs", .pooled = pooled};
	struct pg_settings dead = {
	    .conninfo = database_url(daemon), .name = "sluiced dead", .pooled = pooled};
	struct pg_settings accept = {.conninfo = database_url(daemon),
				     .name = "sluiced ledger",
				     .hot = true,
				     .pooled = pooled};
	struct sl_error error;
	int status = start_queue(daemon);

	if (status == EX_OK)
		status = start_egress(daemon);
	if (status != EX_OK)
		return status;
	daemon->account = account_new(daemon->loop, &account, NULL, NULL);
	daemon->self = node_new(daemon);
	daemon->rekey = rekey_new(daemon, direct_url(daemon));
	daemon->directory = directory_new(daemon);
	daemon->fresh = fresh_new(daemon);
	daemon->concurrency = concurrency_new(daemon);
	daemon->ledger = ledger_new(daemon->loop, &accept);
	daemon->submits = submits_new(daemon);
	daemon->cancels = cancel_watch_new(daemon);
	if ((daemon->roles & (ROLE_API | ROLE_WORKER)) != 0) {
		daemon->syncs = sync_store_new(daemon->loop, &syncs);
		daemon->dead = dead_store_new(daemon->loop, &dead);
		daemon->steer = steer_new(daemon);
		daemon->callers = callers_new(daemon);
		daemon->gates = gates_new(daemon);
	}
	if ((daemon->roles & ROLE_SCHEDULER) != 0)
		daemon->scheduler = scheduler_new(daemon, direct_url(daemon));
	if (daemon->standalone != NULL && scheduler_clear(daemon->scheduler, &error) != SL_OK)
		status = fail(EX_UNAVAILABLE, "%s", error.text);
	if (status == EX_OK && (daemon->roles & ROLE_WORKER) != 0)
		status = start_worker(daemon);
	if (status == EX_OK && (daemon->roles & ROLE_API) != 0)
		status = start_api(daemon);
	if (status == EX_OK && (daemon->roles & ROLE_API) != 0)
		status = start_keys(daemon);
	if (status == EX_OK)
		status = start_monitor(daemon);
	return status;
}

/* ---- life ------------------------------------------------------------------------------------ */

/* Reverse of the start: who calls back goes before what it calls. */
static void
free_parts(struct daemon *daemon)
{
	monitor_free(daemon->monitor);
	(void)deliver_stop(daemon->deliver);
	submits_close(daemon->submits);
	callers_close(daemon->callers);
	compiler_free(daemon->compiler);
	scheduler_free(daemon->scheduler);
	pool_free(daemon->pool);
	settle_free(daemon->settle);
	ledger_free(daemon->ledger);
	sync_store_free(daemon->syncs);
	dead_store_free(daemon->dead);
	fresh_free(daemon->fresh); /* while its calls can be answered */
	http_client_free(daemon->client);
	http_client_free(daemon->webhook_client);
	delivery_store_free(daemon->deliveries);
	deliver_free(daemon->deliver);
	gates_close(daemon->gates);
	for (int i = 0; i < daemon->shard_count; i++)
		queue_free(daemon->queues[i]);
	submits_free(daemon->submits);
	callers_free(daemon->callers);
	account_free(daemon->account);
	rekey_free(daemon->rekey);
	cancel_watch_free(daemon->cancels);
	node_free(daemon->self);
	steer_free(daemon->steer);
	warm_free(daemon->warm);
	api_free(daemon->api);
	dispatch_free(daemon->dispatch);
	gates_free(daemon->gates);
	concurrency_free(daemon->concurrency);
	directory_free(daemon->directory);
	catalog_free(daemon->catalog);
	guard_free(daemon->guard);
	free(daemon->queues);
}

static int
serve(struct daemon *daemon, struct config *config, const struct settings_sources *sources)
{
	char address[LISTEN_TEXT] = "";
	struct service *service;
	struct sl_error error;
	int status;

	daemon->loop = loop_new();
	if (daemon->standalone != NULL)
		standalone_watch(daemon->standalone, daemon->loop);
	service = service_new(daemon, config, sources);
	status = start_parts(daemon);
	if (status == EX_OK) {
		if (daemon->api != NULL)
			api_address(daemon->api, address, sizeof(address));
		log_info("started", "version=%s node=%s role=%s listen=%s sockets=%d",
			 PACKAGE_VERSION, daemon->node, config_text(daemon->config, "role"),
			 log_text(address), daemon->sockets.api_count);
		if (service_run(service, &error) != SL_OK)
			status = fail(EX_OSERR, "%s", error.text);
	}
	service_free(service);
	free_parts(daemon);
	return daemon->given_up ? EX_OK : status;
}

/* What the service manager has for us, and for us alone. */
static int
start_service(struct daemon *daemon)
{
	struct sl_error error;

	if (notify_new(&daemon->notify, &error) != SL_OK)
		return fail(EX_CONFIG, "%s", error.text);
	switch (sockets_take(&daemon->sockets, &error)) {
	case SL_OK:
		break;
	case SL_UNAVAILABLE:
		return fail(EX_OSERR, "%s", error.text);
	case SL_INVALID:
	case SL_NOT_FOUND:
	case SL_CONFLICT:
	case SL_EXHAUSTED:
	case SL_INTERNAL:
		return fail(EX_CONFIG, "%s", error.text);
	}
	if (daemon->sockets.api_count > 0 && (daemon->roles & ROLE_API) == 0)
		return fail(EX_CONFIG, "%s",
			    "a listening socket was passed, and role has no api: remove the socket "
			    "unit, or give this node the role");
	return EX_OK;
}

static int
run(struct daemon *daemon, struct config *config, const struct settings_sources *sources,
    bool migrate)
{
	int status = start_service(daemon);

	if (status == EX_OK)
		status = start_standalone(daemon);
	if (status == EX_OK)
		status = start_secrets(daemon);
	if (status == EX_OK)
		status = start_schema(daemon, migrate);
	if (status == EX_OK && !migrate)
		status = start_check(daemon);
	if (status == EX_OK && !migrate)
		status = serve(daemon, config, sources);
	if (daemon->standalone != NULL && daemon->notify != NULL)
		notify_busy(daemon->notify, "Stopping: waiting for the private servers");
	standalone_close(daemon->standalone);
	if (daemon->loop != NULL)
		loop_free(daemon->loop);
	secret_ring_free(daemon->ring);
	notify_free(daemon->notify);
	return status;
}

/* Is it a setting that may hold a secret? */
static bool
is_secret(const char *entry)
{
	for (const struct config_row *row = settings_rows; row->name != NULL; row++) {
		size_t len = strlen(row->name), at = 0;

		if ((row->flags & CONFIG_SECRET) == 0 && strcmp(row->name, "encryption_key") != 0)
			continue;
		while (at < len && entry[at] == toupper((unsigned char)row->name[at]))
			at++;
		if (at == len && entry[at] == '=')
			return true;
	}
	return false;
}

/* The pointers alone: the texts outlive unsetenv().  But secrets are moved: /proc/PID/environ shows the bytes that the
 * kernel put there, whatever environ says, and a child would inherit them. */
static char **
take_environment(void)
{
	static const char prefix[] = "SLUICE_";
	size_t count = 0;
	char **copy;

	while (environ[count] != NULL)
		count++;
	copy = sl_memdup(environ, (count + 1) * sizeof(*environ));
	for (size_t i = 0; i < count; i++) {
		size_t name_len = strcspn(copy[i], "=");
		char *entry = copy[i], *name;

		if (strncmp(entry, prefix, sizeof(prefix) - 1) != 0 ||
		    !is_secret(entry + sizeof(prefix) - 1))
			continue;
		copy[i] = sl_strdup(entry); /* for reloads; until the process ends */
		name = sl_strndup(entry, name_len);
		secret_wipe(entry + name_len + 1, strlen(entry + name_len + 1));
		(void)unsetenv(name);
		free(name);
	}
	return copy;
}

/* No core, and no look at our memory by others of our user: keys and credentials are in it.  (The checker of
 * leaks in a sanitized build has to look.) */
static void
hide_memory(void)
{
	const struct rlimit none = {0, 0};

	(void)setrlimit(RLIMIT_CORE, &none);
#ifndef __SANITIZE_ADDRESS__
	(void)prctl(PR_SET_DUMPABLE, 0);
#endif
}

int
main(int argc, char **argv)
{
	struct options options = {0};
	struct daemon daemon = {0};
	struct settings_sources sources;
	struct config *config = NULL;
	struct sl_error error;
	char **environment;
	enum sl_code code;
	int status = options_read(&argc, argv, &options);

	if (status >= 0)
		return status;
	ignore_signals();
	hide_memory();
	environment = take_environment();
	sources = (struct settings_sources){options.file, environment, argv, argc};
	code = settings_load(&sources, &config, &error);
	if (code != SL_OK) {
		status = fail(code == SL_NOT_FOUND ? EX_USAGE : EX_CONFIG, "%s", error.text);
	} else if (options.check) {
		exposed_warn(options.file, config);
		status = options_check(config);
	} else {
		exposed_warn(options.file, config);
		settings_log_level(config);
		/* Large bodies go back to the system: glibc would raise this with the first one and
		 * keep the rest. */
		(void)mallopt(M_MMAP_THRESHOLD, 256 * 1024);
		(void)unsetenv("CREDENTIALS_DIRECTORY");
		node_make_name(daemon.node);
		daemon.config = config;
		daemon.roles = settings_roles(config_text(config, "role"));
		status = run(&daemon, config, &sources, options.migrate);
		if (status == EX_OK)
			log_info("stopped", "node=%s", daemon.node);
	}
	config_free(config);
	free(environment);
	return status;
}
