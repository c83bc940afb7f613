/* daemon/reload.c - see reload.h. */
#include "daemon/reload.h"

#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "daemon/api/api.h"
#include "daemon/api/directory.h"
#include "daemon/deliver/deliver.h"
#include "daemon/node.h"
#include "daemon/seal.h"
#include "daemon/submit.h"
#include "http/client.h"
#include "http/guard.h"

enum { PROVIDERS_CONNECTIONS = 1024, PROVIDERS_IDLE = 256 }; /* of all hosts */

struct outcome {
	struct daemon *daemon;
	int applied, left;
};

void
reload_provider_client(struct daemon *daemon)
{
	int64_t per_host = config_int(daemon->config, "provider_connections");

	http_client_limit(daemon->client, per_host,
			  per_host > PROVIDERS_CONNECTIONS ? per_host : PROVIDERS_CONNECTIONS,
			  PROVIDERS_IDLE);
}

static void
reload_guard(struct daemon *daemon)
{
	struct guard_rules rules;
	struct sl_error error;

	settings_guard_rules(daemon->config, &rules);
	if (guard_set(daemon->guard, &rules, &error) != SL_OK)
		log_error("egress_rules", "error=%s", log_text(error.text)); /* they were checked */
}

/* Of a value that is kept somewhere, the keeper is told. */
static void
tell_keeper(struct daemon *daemon, const char *name)
{
	if (strcmp(name, "log_level") == 0)
		settings_log_level(daemon->config);
	else if (strcmp(name, "queued_max") == 0 || strcmp(name, "backlog_max") == 0)
		submits_reloaded(daemon->submits);
	else if ((strcmp(name, "connections_max") == 0 || strcmp(name, "body_budget") == 0) &&
		 daemon->api != NULL)
		api_reloaded(daemon->api);
	else if ((strcmp(name, "delivery_parallel") == 0 ||
		  strcmp(name, "delivery_endpoint_parallel") == 0) &&
		 daemon->deliver != NULL)
		deliver_reloaded(daemon->deliver);
	else if (strcmp(name, "action_timeout") == 0)
		directory_forget(daemon->directory); /* kept with each environment */
	else if (strcmp(name, "provider_connections") == 0)
		reload_provider_client(daemon);
	else if (strncmp(name, "egress_", 7) == 0)
		reload_guard(daemon);
}

static void
on_change(void *arg, const struct config_row *row, bool applied)
{
	struct outcome *outcome = arg;

	if (!applied) {
		outcome->left++;
		log_warn("setting_needs_restart", "setting=%s", row->name);
		return;
	}
	outcome->applied++;
	tell_keeper(outcome->daemon, row->name);
	log_info("setting_changed", "setting=%s source=%s", row->name,
		 config_source(outcome->daemon->config, row->name));
}

static bool
is_same_ring(const struct secret_ring *a, const struct secret_ring *b)
{
	bool same = secret_ring_count(a) == secret_ring_count(b);

	for (size_t i = 0; same && i < secret_ring_count(a); i++)
		same = strcmp(secret_ring_id(a, i), secret_ring_id(b, i)) == 0;
	return same;
}

/* What is kept of the account may be sealed by a key that is gone now. */
static void
take_keys(struct daemon *daemon, const struct secret_ring *ring)
{
	if (is_same_ring(daemon->ring, ring))
		return;
	secret_ring_take(daemon->ring, ring);
	directory_forget(daemon->directory);
	node_changed(daemon->self);
	log_info("encryption_keys_changed", "keys=%zu seals=%s", secret_ring_count(ring),
		 secret_ring_id(ring, 0));
}

enum sl_code
reload(struct daemon *daemon, struct config *config, const struct settings_sources *sources,
       struct sl_error *error)
{
	struct outcome outcome = {.daemon = daemon};
	struct secret_ring *ring = NULL;
	struct config *fresh = NULL;
	enum sl_code code = settings_load(sources, &fresh, error);

	assert(daemon->config == config);
	if (code ==
	    SL_OK) /* of the source that is in force: another one is a setting that needs a restart */
		code = seal_load(daemon, config, &ring, error);
	if (code == SL_OK) { /* nothing can fail from here on */
		(void)config_apply(config, fresh, on_change, &outcome);
		take_keys(daemon, ring);
		log_info("reloaded", "changed=%d need_restart=%d", outcome.applied, outcome.left);
	} else {
		log_error("reload_failed", "error=%s remedy=%s", log_text(error->text),
			  log_text("nothing was changed; correct it and reload again"));
	}
	secret_ring_free(ring);
	config_free(fresh);
	return code;
}
