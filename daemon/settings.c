/* daemon/settings.c - names, types, defaults and checks of all settings. */
#include "daemon/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/secret.h"
#include "daemon/daemon.h"
#include "daemon/deliver/backoff.h"
#include "http/guard.h"

unsigned
settings_roles(const char *text)
{
	static const struct {
		const char *name;
		unsigned bit;
	} role[] = {{"api", ROLE_API}, {"worker", ROLE_WORKER}, {"scheduler", ROLE_SCHEDULER}};
	unsigned roles = 0;

	for (const char *at = text; *at != '\0';) {
		size_t len = strcspn(at, ",");
		unsigned bit = 0;

		for (size_t i = 0; i < sizeof(role) / sizeof(role[0]); i++)
			if (strlen(role[i].name) == len && memcmp(role[i].name, at, len) == 0)
				bit = role[i].bit;
		if (bit == 0)
			return 0;
		roles |= bit;
		at += len + (at[len] == ',');
	}
	return roles;
}

static enum sl_code
check_roles(const char *text, struct sl_error *error)
{
	if (settings_roles(text) == 0)
		return sl_fail(error, SL_INVALID,
			       "role is \"%s\"; it is a list of api, worker, scheduler", text);
	return SL_OK;
}

static bool
policy_parse(const char *text, enum guard_policy *out)
{
	static const char *const names[] = {
	    [GUARD_DENYLIST] = "denylist",
	    [GUARD_ALLOWLIST] = "allowlist",
	    [GUARD_PERMISSIVE] = "permissive",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], text) == 0) {
			*out = (enum guard_policy)i;
			return true;
		}
	return false;
}

static enum sl_code
check_allow(const char *text, struct sl_error *error)
{
	struct guard *guard = NULL;
	enum sl_code code = guard_new(text, &guard, error);

	guard_free(guard);
	return code;
}

static enum sl_code
check_policy(const char *text, struct sl_error *error)
{
	enum guard_policy policy;

	if (!policy_parse(text, &policy))
		return sl_fail(error, SL_INVALID,
			       "egress_policy is \"%s\"; it is denylist, allowlist or permissive", text);
	return SL_OK;
}

void
settings_guard_rules(const struct config *config, struct guard_rules *out)
{
	out->policy = GUARD_DENYLIST;
	(void)policy_parse(config_text(config, "egress_policy"), &out->policy);
	out->allow = config_text(config, "egress_allow");
	out->deny = config_text(config, "egress_deny");
}

static enum sl_code
check_isolation(const char *text, struct sl_error *error)
{
	if (strcmp(text, "snapshot") != 0 && strcmp(text, "fork") != 0)
		return sl_fail(error, SL_INVALID,
			       "runner_isolation is \"%s\"; it is snapshot or fork", text);
	return SL_OK;
}

static enum sl_code
check_pooling(const char *text, struct sl_error *error)
{
	if (strcmp(text, "session") != 0 && strcmp(text, "transaction") != 0)
		return sl_fail(error, SL_INVALID,
			       "database_pooling is \"%s\"; it is session or transaction", text);
	return SL_OK;
}

static enum sl_code
check_level(const char *text, struct sl_error *error)
{
	if (strcmp(text, "error") != 0 && strcmp(text, "warn") != 0 && strcmp(text, "info") != 0 &&
	    strcmp(text, "debug") != 0)
		return sl_fail(error, SL_INVALID,
			       "log_level is \"%s\"; it is one of error, warn, info, debug", text);
	return SL_OK;
}

/* The text is never repeated. */
static enum sl_code
check_keys(const char *text, struct sl_error *error)
{
	struct secret_ring *ring;
	enum sl_code code = secret_ring_parse(slice_text(text), "key", &ring, error);

	secret_ring_free(ring);
	return code;
}

static enum sl_code
check_public_url(const char *text, struct sl_error *error)
{
	size_t len = strlen(text);

	if ((strncmp(text, "https://", 8) != 0 && strncmp(text, "http://", 7) != 0) ||
	    text[len - 1] == '/' || text[strcspn(text, " \"?#")] != '\0')
		return sl_fail(
		    error, SL_INVALID,
		    "public_url is \"%s\"; it is http:// or https://, a host and maybe a "
		    "path, without a slash at the end",
		    text);
	return SL_OK;
}

static enum sl_code
check_schedule(const char *text, struct sl_error *error)
{
	struct backoff backoff;
	struct sl_error why;

	if (backoff_parse(text, &backoff, &why) != SL_OK)
		return sl_fail(error, SL_INVALID, "delivery_schedule is \"%s\": %s", text,
			       why.text);
	return SL_OK;
}

#define DAY_MS (24 * 3600 * INT64_C(1000))

const struct config_row settings_rows[] = {
    {"listen", CONFIG_TEXT, "127.0.0.1:3003", 0, 0,
     "Where the API listens: ADDRESS:PORT, [ADDRESS]:PORT or unix:PATH; several by commas.", NULL,
     0},
    {"metrics_listen", CONFIG_TEXT, NULL, 0, 0,
     "ADDRESS:PORT, [ADDRESS]:PORT or unix:PATH of a listener that serves only /metrics, /health and "
     "/ready, without a key, whatever the role.",
     NULL, 0},
    {"public_url", CONFIG_TEXT, NULL, 0, 0,
     "Where others reach this API, as http(s)://HOST[/PATH]: for URLs that are shown to users.",
     check_public_url, CONFIG_LIVE},
    {"role", CONFIG_TEXT, "api,worker,scheduler", 0, 0,
     "What this node does: a list of api, worker, scheduler.", check_roles, 0},
    {"standalone", CONFIG_TEXT, NULL, 0, 0,
     "Directory of an embedded service: private Redis and Postgres, keys and logs live under it.",
     NULL, 0},
    {"database_url", CONFIG_TEXT, NULL, 0, 0,
     "Postgres, as postgresql:// URL or libpq conninfo.  Not with standalone.", NULL,
     CONFIG_SECRET},
    {"database_direct_url", CONFIG_TEXT, NULL, 0, 0,
     "The same Postgres without the pooler that database_url leads to: for what needs a session.",
     NULL, CONFIG_SECRET},
    {"database_pooling", CONFIG_TEXT, "session", 0, 0,
     "Who keeps a server connection at database_url: session (Postgres, or a pooler in session mode) or transaction (a pooler in that mode).",
     check_pooling, 0},
    {"redis_url", CONFIG_TEXT, NULL, 0, 0,
     "Redis, as redis://[user:password@]host:port/db or unix:///path; a cluster as "
     "redis://host:port,...?cluster=yes; sentinels as redis+sentinel://host:port,.../master.",
     NULL, CONFIG_SECRET},
    {"queue_shards", CONFIG_INT, "1", 1, 64,
     "Parts that the queue is split into by environment; the same number on all nodes of a fleet.",
     NULL, 0},
    {"encryption_key_file", CONFIG_TEXT, NULL, 0, 0,
     "File of 64 hex digits a line that seals credentials: the first line seals, all open.", NULL,
     CONFIG_SECRET},
    {"encryption_key", CONFIG_TEXT, NULL, 0, 0,
     "The same keys themselves, between commas or blanks, in place of a file; from the environment only, which forgets them.",
     check_keys, 0},
    {"keys_file", CONFIG_TEXT, NULL, 0, 0,
     "File for the first API keys: made if missing (0600), and what it names exists after start.",
     NULL, CONFIG_SECRET},
    {"egress_policy", CONFIG_TEXT, "denylist", 0, 0,
     "What functions, the proxy and webhooks may reach: denylist (all but inner networks and egress_deny), allowlist (only egress_allow) or permissive (private and link-local addresses, too).",
     check_policy, CONFIG_LIVE},
    {"egress_allow", CONFIG_TEXT, "", 0, 0,
     "CIDR blocks that may be reached although they are loopback, private or link-local; for allowlist all that may be reached, host names (api.example.org, *.example.org) too.",
     check_allow, CONFIG_LIVE},
    {"egress_deny", CONFIG_TEXT, "", 0, 0,
     "CIDR blocks and host names that may not be reached, whatever egress_allow says.", check_allow,
     CONFIG_LIVE},
    {"api_rate_limit", CONFIG_INT, "100000", 1, INT64_C(1000000000),
     "Points (requests) per account and minute before the API of this node answers 429; a request without a good key costs 10 of its address.",
     NULL, CONFIG_LIVE},
    {"sync_limit", CONFIG_INT, "100", 1, 500,
     "Runs of syncs of one environment at a time in the fleet, unless the environment says it; of the node that leads.",
     NULL, CONFIG_LIVE},
    {"schedule_jitter", CONFIG_SECONDS, "0", 0, 3600000,
     "A scheduled run of a sync starts up to so much later than its slot, by chance, but within its interval: spreads the runs of a fleet.",
     NULL, CONFIG_LIVE},
    {"queued_max", CONFIG_INT, "10000", 1, INT64_C(1000000000),
     "Jobs of one environment that may wait in the queue; past it the API answers 429.", NULL,
     CONFIG_LIVE},
    {"backlog_max", CONFIG_INT, "100000", 1, INT64_C(1000000000),
     "Jobs that this node has accepted and that are not in the queue yet; past it the API answers 503.",
     NULL, CONFIG_LIVE},
    {"dead_replays_max", CONFIG_INT, "3", 0, 1000,
     "How often a job on the dead list may be replayed.", NULL, CONFIG_LIVE},
    {"connections_max", CONFIG_INT, "10000", 1, 1000000,
     "Client connections at most; 256 more are answered 503, further ones closed at once.", NULL,
     CONFIG_LIVE},
    {"body_budget", CONFIG_BYTES, "256MiB", 1 << 20, INT64_C(1) << 40,
     "Bytes of request bodies held at once; past it the API answers 503.", NULL, CONFIG_LIVE},
    {"runners", CONFIG_INT, "16", 1, 4096,
     "Functions that may run at once on this node; actions that they trigger run beside.", NULL, 0},
    {"sync_runners", CONFIG_INT, "12", 1, 4096,
     "Of these, runs of syncs at most; always one less than runners, so that others find a place.",
     NULL, 0},
    {"call_runners", CONFIG_INT, "8", 0, 4096,
     "Sync calls that may run beside them; further ones use the places of jobs, before any job.",
     NULL, 0},
    {"runners_waiting", CONFIG_INT, "64", 0, 4096,
     "Runs that may wait for a provider's limit beside all of them, lending their places to others.",
     NULL, 0},
    {"runner_processes", CONFIG_INT, "64", 1, 4096,
     "Function processes at most, idle ones included; those that may run at once are never fewer.",
     NULL, 0},
    {"runner_heap", CONFIG_BYTES, "128MiB", 16 << 20, INT64_C(4) << 30, "Heap of one run at most.",
     NULL, 0},
    {"runner_isolation", CONFIG_TEXT, "snapshot", 0, 0,
     "How a run is kept from the next: snapshot (memory is reverted) or fork (a process for each run).",
     check_isolation, 0},
    {"runner_idle", CONFIG_SECONDS, "5m", 1000, DAY_MS,
     "An idle function process ends after this long.", NULL, 0},
    {"runner_cpu", CONFIG_SECONDS, "5m", 100, DAY_MS, "CPU time of one run at most.", NULL, 0},
    {"log_volume", CONFIG_BYTES, "4MiB", 1024, INT64_C(1) << 40,
     "Log lines of one run at most; further ones are dropped, with one notice.", NULL, CONFIG_LIVE},
    {"action_timeout", CONFIG_SECONDS, "15m", 100, DAY_MS, "Run time of an action at most.", NULL,
     CONFIG_LIVE},
    {"sync_timeout", CONFIG_SECONDS, "24h", 100, DAY_MS, "Run time of a sync at most.", NULL,
     CONFIG_LIVE},
    {"sync_stall_runs", CONFIG_INT, "3", 1, 1000,
     "So many runs of a sync that reach the limit in a row with the same checkpoint fail it.", NULL,
     CONFIG_LIVE},
    {"webhook_timeout", CONFIG_SECONDS, "1h", 100, DAY_MS,
     "Run time of a webhook function at most.", NULL, CONFIG_LIVE},
    {"event_timeout", CONFIG_SECONDS, "5m", 100, DAY_MS, "Run time of an event function at most.",
     NULL, CONFIG_LIVE},
    {"call_start_limit", CONFIG_SECONDS, "30s", 100, 600000,
     "A sync call that no worker has started for this long fails.", NULL, 0},
    {"start_limit", CONFIG_SECONDS, "24h", 1000, 30 * DAY_MS,
     "An async action that was not started for this long ends as expired.", NULL, CONFIG_LIVE},
    {"sync_start_limit", CONFIG_SECONDS, "1h", 1000, 30 * DAY_MS, "Likewise for a run of a sync.",
     NULL, CONFIG_LIVE},
    {"webhook_start_limit", CONFIG_SECONDS, "5m", 1000, 30 * DAY_MS,
     "Likewise for a webhook function.", NULL, CONFIG_LIVE},
    {"event_start_limit", CONFIG_SECONDS, "1h", 1000, 30 * DAY_MS,
     "Likewise for an event function.", NULL, CONFIG_LIVE},
    {"retention", CONFIG_SECONDS, "7d", 5 * DAY_MS, 3650 * DAY_MS,
     "How long jobs that ended are kept, with their results; by whole days.", NULL, CONFIG_LIVE},
    {"records_prune_after", CONFIG_SECONDS, "30d", DAY_MS, 3650 * DAY_MS,
     "The payload of a record that nobody changed for this long is emptied; its id, metadata and place stay.",
     NULL, CONFIG_LIVE},
    {"records_delete_after", CONFIG_SECONDS, "60d", DAY_MS, 3650 * DAY_MS,
     "Records of a sync that did not run for this long are deleted; a model that something else still writes is kept.",
     NULL, CONFIG_LIVE},
    {"delivery_timeout", CONFIG_SECONDS, "20s", 100, 600000,
     "One try to deliver an outgoing webhook at most.", NULL, CONFIG_LIVE},
    {"delivery_schedule", CONFIG_TEXT, "0s,5s,5m,30m,2h,5h,10h,10h", 0, 0,
     "Waits before each try of a delivery, the first of them 0s; as many tries as waits.",
     check_schedule, CONFIG_LIVE},
    {"delivery_parallel", CONFIG_INT, "256", 2, 4096,
     "Deliveries of this node that may be under way, half of them to endpoints that do not answer well; of those that hang, as many beside.",
     NULL, CONFIG_LIVE},
    {"delivery_endpoint_parallel", CONFIG_INT, "16", 1, 1024,
     "Of these, to one endpoint at most; one at a time until it has answered 2xx, and after a failure.",
     NULL, CONFIG_LIVE},
    {"delivery_pause_after", CONFIG_SECONDS, "5d", 1000, 365 * DAY_MS,
     "An endpoint that has only failed for this long is paused.", NULL, CONFIG_LIVE},
    {"delivery_retention", CONFIG_SECONDS, "7d", 2 * DAY_MS, 3650 * DAY_MS,
     "How long events, their deliveries and the tries are kept.", NULL, CONFIG_LIVE},
    {"refresh_idle_after", CONFIG_SECONDS, "1d", 60000, 365 * DAY_MS,
     "Credentials of a connection that nobody used for this long are looked at, and refreshed if they end.",
     NULL, CONFIG_LIVE},
    {"provider_timeout", CONFIG_SECONDS, "5m", 100, DAY_MS, "One request to a provider at most.",
     NULL, CONFIG_LIVE},
    {"proxy_timeout", CONFIG_SECONDS, "5m", 100, DAY_MS,
     "One try of a proxied request, until the head of the provider's answer is there, at most.", NULL,
     CONFIG_LIVE},
    {"proxy_body_max", CONFIG_BYTES, "1GiB", 1024, INT64_C(1) << 50,
     "Body of a proxied request at most; it is passed on as it comes.", NULL, CONFIG_LIVE},
    {"provider_response_max", CONFIG_BYTES, "48MiB", 1024, 60 << 20,
     "Body of a provider's answer at most.", NULL, CONFIG_LIVE},
    {"provider_connections", CONFIG_INT, "64", 1, 10000,
     "Connections of this node to one host of a provider at most; further requests wait for one.",
     NULL, CONFIG_LIVE},
    {"lease_ttl", CONFIG_SECONDS, "15s", 1000, 600000,
     "A worker that does not renew for this long has lost its keys and its session.", NULL, 0},
    {"retry_first", CONFIG_SECONDS, "1s", 10, 600000,
     "Wait before the first retry of an async action; doubles.", NULL, CONFIG_LIVE},
    {"deaths_max", CONFIG_INT, "3", 1, 100,
     "A job that its runner or its worker died of so many times is set aside, whatever tries are left.",
     NULL, CONFIG_LIVE},
    {"drain_timeout", CONFIG_SECONDS, "30s", 0, DAY_MS, "How long a stop waits for what runs.",
     NULL, CONFIG_LIVE},
    {"compiler_dir", CONFIG_TEXT, NULL, 0, 0,
     "Where the compiler package is (found by itself when installed).", NULL, 0},
    {"catalog_dir", CONFIG_TEXT, NULL, 0, 0,
     "Where the provider definitions are (found by itself when installed).", NULL, 0},
    {"runner_path", CONFIG_TEXT, NULL, 0, 0,
     "The sluice-runner program (found by itself when installed).", NULL, 0},
    {"node_path", CONFIG_TEXT, "node", 0, 0,
     "Node.js, for the compiler; needed on nodes that take deploys.", NULL, 0},
    {"compile_timeout", CONFIG_SECONDS, "60s", 1000, 600000, "One function's compilation at most.",
     NULL, CONFIG_LIVE},
    {"compile_memory", CONFIG_BYTES, "1GiB", 64 << 20, INT64_C(64) << 30,
     "Memory of the compiler at most.", NULL, CONFIG_LIVE},
    {"log_level", CONFIG_TEXT, "info", 0, 0, "error, warn, info or debug.", check_level,
     CONFIG_LIVE},
    {NULL, CONFIG_TEXT, NULL, 0, 0, NULL, NULL, 0},
};

int64_t
settings_start_limit_ms(const struct config *config, enum job_kind kind)
{
	switch (kind) {
	case JOB_ACTION:
		return config_int(config, "start_limit");
	case JOB_SYNC:
		return config_int(config, "sync_start_limit");
	case JOB_WEBHOOK:
		return config_int(config, "webhook_start_limit");
	case JOB_EVENT:
		return config_int(config, "event_start_limit");
	}
	return 0;
}

/* What seals has exactly one source. */
static enum sl_code
check_key_source(const struct config *config, bool standalone, struct sl_error *error)
{
	const char *file = config_text(config, "encryption_key_file"),
		   *key = config_text(config, "encryption_key"),
		   *source = config_source(config, "encryption_key");

	if (key != NULL && strcmp(source, "environment") != 0)
		return sl_fail(error, SL_INVALID,
			       "encryption_key (from %s) is taken from the environment only, as "
			       "SLUICE_ENCRYPTION_KEY; or put the keys into encryption_key_file",
			       source);
	if (file != NULL && key != NULL)
		return sl_fail(
		    error, SL_INVALID,
		    "encryption_key_file (from %s) and encryption_key (from %s) are both "
		    "set; remove one of them",
		    config_source(config, "encryption_key_file"), source);
	if (standalone && (file != NULL || key != NULL))
		return sl_fail(
		    error, SL_INVALID, "%s (from %s) cannot be set together with standalone",
		    file != NULL ? "encryption_key_file" : "encryption_key",
		    file != NULL ? config_source(config, "encryption_key_file") : source);
	if (!standalone && file == NULL && key == NULL)
		return sl_fail(
		    error, SL_INVALID,
		    "encryption_key_file is not set; set it (or SLUICE_ENCRYPTION_KEY), or "
		    "use --standalone DIR for an embedded service");
	return SL_OK;
}

enum sl_code
settings_check(const struct config *config, struct sl_error *error)
{
	unsigned roles = settings_roles(config_text(config, "role"));
	bool standalone = config_text(config, "standalone") != NULL;
	static const char *const fleet[] = {"database_url", "redis_url"};
	enum sl_code code = check_key_source(config, standalone, error);

	if (strcmp(config_text(config, "egress_policy"), "allowlist") != 0 &&
	    guard_list_has_name(config_text(config, "egress_allow")))
		return sl_fail(error, SL_INVALID,
			       "egress_allow (from %s) names a host; that is for egress_policy = "
			       "allowlist, otherwise it takes CIDR blocks",
			       config_source(config, "egress_allow"));
	for (size_t i = 0; i < sizeof(fleet) / sizeof(fleet[0]); i++) {
		bool set = config_text(config, fleet[i]) != NULL;

		if (standalone && set)
			return sl_fail(error, SL_INVALID,
				       "%s (from %s) cannot be set together with standalone",
				       fleet[i], config_source(config, fleet[i]));
		if (!standalone && !set)
			return sl_fail(
			    error, SL_INVALID,
			    "%s is not set; set it, or use --standalone DIR for an embedded service",
			    fleet[i]);
	}
	if (standalone && config_text(config, "database_direct_url") != NULL)
		return sl_fail(
		    error, SL_INVALID,
		    "database_direct_url (from %s) cannot be set together with standalone",
		    config_source(config, "database_direct_url"));
	if (strcmp(config_text(config, "database_pooling"), "transaction") == 0 &&
	    config_text(config, "database_direct_url") == NULL)
		return sl_fail(
		    error, SL_INVALID,
		    "database_direct_url is not set; database_pooling = transaction needs it, "
		    "past the pooler, for what needs a session");
	if (standalone && roles != (ROLE_API | ROLE_WORKER | ROLE_SCHEDULER))
		return sl_fail(error, SL_INVALID,
			       "standalone runs all roles; remove the setting role");
	return code;
}

enum sl_code
settings_load(const struct settings_sources *sources, struct config **out, struct sl_error *error)
{
	int argc = sources->argc;
	char **argv = sl_calloc((size_t)argc + 1, sizeof(*argv));
	enum sl_code code;

	*out = NULL;
	memcpy(argv, sources->argv, (size_t)argc * sizeof(*argv));
	code = config_load(settings_rows, sources->file, sources->environment, &argc, argv, out,
			   error);
	if (code != SL_OK)
		code = SL_INVALID;
	else if (argc > 1)
		code =
		    sl_fail(error, SL_NOT_FOUND, "unknown option %s; see sluiced --help", argv[1]);
	else
		code = settings_check(*out, error);
	if (code != SL_OK) {
		config_free(*out);
		*out = NULL;
	}
	free(argv);
	return code;
}

void
settings_weaknesses(const struct config *config, struct buf *out)
{
	if (config_int(config, "drain_timeout") == 0)
		buf_add_text(out, "drain_timeout is 0, which weakens I13: a stop ends what runs at "
				  "once, and jobs without a retry fail with worker_lost\n");
	if (strcmp(config_text(config, "egress_policy"), "permissive") == 0)
		buf_add_text(out, "egress_policy is permissive, which opens private, shared and "
				  "link-local addresses to functions\n");
	if (strcmp(config_text(config, "egress_policy"), "allowlist") != 0 &&
	    *config_text(config, "egress_allow") != '\0')
		buf_add_text(out,
			     "egress_allow is set, which opens the inner network to functions: "
			     "only what is named there\n");
}

void
settings_log_level(const struct config *config)
{
	const char *level = config_text(config, "log_level");

	log_set_level(strcmp(level, "error") == 0   ? LOG_LEVEL_ERROR
		      : strcmp(level, "warn") == 0  ? LOG_LEVEL_WARN
		      : strcmp(level, "debug") == 0 ? LOG_LEVEL_DEBUG
						    : LOG_LEVEL_INFO);
}
