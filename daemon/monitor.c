#include "daemon/monitor.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "config.h"
#include "daemon/api/api.h"
#include "daemon/deliver/deliver.h"
#include "daemon/ready.h"
#include "daemon/scheduler/scheduler.h"
#include "daemon/shard.h"
#include "daemon/submit.h"
#include "daemon/worker/dispatch.h"
#include "http/server.h"
#include "runtime/pool.h"
#include "sql/account.h"
#include "sql/dead.h"
#include "sql/delivery.h"
#include "sql/ledger.h"
#include "sql/settle.h"
#include "sql/sync.h"

enum { CONNECTIONS_MAX = 64 };

struct monitor {
	struct daemon *daemon;
	struct http_server *server;
};

/* ---- this process ---------------------------------------------------------------------------- */

static void
set(enum metric_id id, double value)
{
	metric_set(&metrics[id], 0, 0, value);
}

/* A counter that the kernel keeps. */
static void
raise_to(enum metric_id id, double value)
{
	double more = value - metric_read(&metrics[id], 0, 0);

	metric_add(&metrics[id], 0, 0, more > 0 ? more : 0);
}

static double
seconds_of(struct timeval time)
{
	return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

/* Field 22 of proc_pid_stat(5), in ticks since boot; the name in field 2 may hold anything but ends at the
 * last ')'. */
static double
start_time(void)
{
	double now = (double)clock_wall_ms() / 1000, ticks = (double)sysconf(_SC_CLK_TCK);
	char line[1024], *at;
	struct timespec up;
	FILE *file = fopen("/proc/self/stat", "re");
	size_t len;

	if (file == NULL)
		return NAN;
	len = fread(line, 1, sizeof(line) - 1, file);
	(void)fclose(file);
	line[len] = '\0';
	at = strrchr(line, ')');
	for (int field = 2; at != NULL && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (at == NULL || ticks <= 0 || clock_gettime(CLOCK_BOOTTIME, &up) != 0)
		return NAN;
	return now - ((double)up.tv_sec + (double)up.tv_nsec / 1e9) + strtod(at, NULL) / ticks;
}

static double
resident_bytes(void)
{
	double pages = NAN;
	FILE *file = fopen("/proc/self/statm", "re");

	if (file == NULL)
		return NAN;
	if (fscanf(file, "%*s %lf", &pages) != 1)
		pages = NAN;
	(void)fclose(file);
	return pages * (double)sysconf(_SC_PAGESIZE);
}

static double
open_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int count = -3; /* ".", ".." and that of the directory itself */

	if (directory == NULL)
		return NAN;
	while (readdir(directory) != NULL)
		count++;
	(void)closedir(directory);
	return count;
}

static void
look_at_process(void)
{
	struct rusage usage;
	struct rlimit limit;

	if (getrusage(RUSAGE_SELF, &usage) == 0)
		raise_to(METRIC_CPU, seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime));
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		set(METRIC_FDS_MAX,
		    limit.rlim_cur == RLIM_INFINITY ? INFINITY : (double)limit.rlim_cur);
	set(METRIC_FDS, open_descriptors());
	set(METRIC_RSS, resident_bytes());
	if (isnan(metric_read(&metrics[METRIC_START_TIME], 0, 0)))
		set(METRIC_START_TIME, start_time());
	metrics_build(PACKAGE_VERSION);
}

/* ---- its parts ------------------------------------------------------------------------------- */

static bool
postgres_is_up(const struct daemon *daemon)
{
	return account_is_up(daemon->account) && ledger_is_up(daemon->ledger) &&
	       (daemon->settle == NULL || settle_is_up(daemon->settle)) &&
	       (daemon->syncs == NULL || sync_store_is_up(daemon->syncs)) &&
	       (daemon->dead == NULL || dead_store_is_up(daemon->dead)) &&
	       (daemon->deliveries == NULL || delivery_store_is_up(daemon->deliveries));
}

static void
look_at_parts(const struct daemon *daemon)
{
	struct dispatch_load load;
	int64_t held, left;

	submit_backlog(daemon, &held, &left);
	metric_set(&metrics[METRIC_BACKLOG], METRIC_BACKLOG_HELD, 0, (double)held);
	metric_set(&metrics[METRIC_BACKLOG], METRIC_BACKLOG_LEFT, 0, (double)left);
	set(METRIC_BACKLOG_MAX, (double)config_int(daemon->config, "backlog_max"));
	set(METRIC_QUEUED_MAX, (double)config_int(daemon->config, "queued_max"));
	set(METRIC_POSTGRES_UP, postgres_is_up(daemon));
	set(METRIC_REDIS_UP, shards_are_up(daemon));
	if (daemon->scheduler != NULL)
		set(METRIC_SCHEDULER_LEADS, scheduler_leads(daemon->scheduler));
	if (daemon->api != NULL)
		set(METRIC_HTTP_CONNECTIONS, api_connections(daemon->api));
	if (daemon->pool == NULL)
		return;
	set(METRIC_WEBHOOKS_IN_FLIGHT, deliver_in_flight(daemon->deliver));
	set(METRIC_SETTLE_PENDING, settle_pending(daemon->settle));
	set(METRIC_RUNNER_UP, pool_is_up(daemon->pool));
	set(METRIC_RUNNER_PROCESSES, pool_processes(daemon->pool));
	dispatch_load(daemon->dispatch, &load);
	set(METRIC_RUNNING, pool_running(daemon->pool) - load.waiting);
	set(METRIC_RUNS_WAITING, load.waiting);
	set(METRIC_RUNNER_PLACES, (double)(config_int(daemon->config, "runners") +
					   config_int(daemon->config, "call_runners")));
}

void
monitor_write(const struct daemon *daemon, struct buf *out)
{
	look_at_process();
	look_at_parts(daemon);
	metrics_write(out);
}

/* ---- the listener ---------------------------------------------------------------------------- */

static void
on_head(void *arg, struct http_request *request, struct http_verdict *verdict)
{
	const char *method = http_request_method(request);

	(void)arg;
	verdict->body_max = 0;
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
		verdict->status = 405;
		verdict->error_code = "method_not_allowed";
		verdict->error_text = "this listener answers GET and HEAD";
		verdict->extra_headers = "Allow: GET, HEAD\r\n";
	}
}

static void
reply_metrics(const struct monitor *monitor, struct http_request *request)
{
	struct http_reply reply = {.status = 200, .content_type = MONITOR_TEXT_TYPE};
	struct buf text;

	buf_init(&text, MONITOR_TEXT_MAX);
	monitor_write(monitor->daemon, &text);
	reply.body = buf_slice(&text);
	if (text.over)
		http_request_fail(request, 500, "server_error", "the metrics are too long");
	else
		http_request_reply(request, &reply);
	buf_fini(&text);
}

static void
on_request(void *arg, struct http_request *request)
{
	static const struct http_reply ok = {.status = 200, .body = {"{\"result\":\"ok\"}", 15}};
	struct monitor *monitor = arg;
	struct slice path = http_request_path(request);
	struct buf why;

	buf_init(&why, 1024);
	if (slice_is(path, "/metrics"))
		reply_metrics(monitor, request);
	else if (slice_is(path, "/health") ||
		 (slice_is(path, "/ready") && ready_is(monitor->daemon, &why)))
		http_request_reply(request, &ok);
	else if (slice_is(path, "/ready"))
		http_request_fail(request, 503, "not_ready", why.data);
	else
		http_request_fail(request, 404, "not_found",
				  "this listener has /metrics, /health and /ready");
	buf_fini(&why);
}

enum sl_code
monitor_new(struct daemon *daemon, struct monitor **out, struct sl_error *error)
{
	static const struct http_handler handler = {.on_head = on_head, .on_request = on_request};
	const struct http_server_settings settings = {.connections_max = CONNECTIONS_MAX,
						      .body_budget = 1};
	const char *address = config_text(daemon->config, "metrics_listen");
	struct monitor *monitor;
	const struct sockets *passed = &daemon->sockets;
	enum sl_code code = SL_OK;

	*out = NULL;
	if (address == NULL && passed->metrics_count == 0)
		return SL_OK;
	monitor = sl_alloc(sizeof(*monitor));
	monitor->daemon = daemon;
	monitor->server = http_server_new(daemon->loop, &settings, &handler, monitor);
	if (passed->metrics_count == 0)
		code = http_server_listen(monitor->server, address, error);
	for (int i = 0; code == SL_OK && i < passed->metrics_count; i++)
		code = http_server_adopt(monitor->server, passed->metrics[i], error);
	if (code == SL_OK)
		*out = monitor;
	else
		monitor_free(monitor);
	return code;
}

void
monitor_free(struct monitor *monitor)
{
	if (monitor == NULL)
		return;
	http_server_free(monitor->server);
	free(monitor);
}
