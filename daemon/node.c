#include "daemon/node.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/secret.h"
#include "config.h"
#include "daemon/scheduler/scheduler.h"
#include "daemon/worker/dispatch.h"
#include "runtime/pool.h"
#include "sql/account.h"
#include "sql/node.h"
#include "sql/settle.h"

#define LEAVE_MS 1000
#define DOING_MAX (64 << 10)
#define HOST_MAX 40 /* bytes of it in a name */

struct node {
	struct daemon *daemon;
	struct loop_timer *timer;
	struct loop_signal *quiet_signal, *release_signal;
	bool quiet; /* what is wanted, as far as it is known here */
	/* A signal said so and the ledger does not know yet; counted, so that a beat which was under way
	 * at the time does not pass for its answer. */
	int said, said_known;
	int said_sent; /* by the beat in flight */
	bool writing;
	bool due;     /* once more, after the answer */
	bool failing; /* the last beat did not get through; told once */
	bool leaving, gone;
	int64_t leave_by_ms;
	char operators[NODE_OPERATORS_MAX][SECRET_SHA256_HEX];
	int operator_count;
};

void
node_make_name(char out[64])
{
	char host[HOST_MAX] = "localhost";
	uint32_t boot;

	(void)gethostname(host, sizeof(host) - 1);
	for (char *at = host; *at != '\0'; at++)
		if (strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
			       "0123456789._-") == 0)
			*at = '-';
	secret_random(&boot, sizeof(boot));
	snprintf(out, 64, "%s:%ld:%08x", host[0] != '\0' ? host : "localhost", (long)getpid(),
		 boot);
}

/* ---- what it does ---------------------------------------------------------------------------- */

struct jobs {
	struct json_writer *w;
	int count;
};

static void
show_job(void *arg, const char *job_id)
{
	struct jobs *jobs = arg;

	if (jobs->count++ < NODE_JOBS_MAX)
		jw_text(jobs->w, job_id);
}

/* {"runners","running","calls","waiting","runner_up","jobs":[..],"leases":[one for each shard]} of a worker, else {}. */
static void
describe(const struct daemon *daemon, struct buf *out)
{
	const struct dispatch *dispatch = daemon->dispatch;
	struct dispatch_load load;
	struct json_writer w;
	struct jobs jobs = {.w = &w};

	jw_init(&w, out);
	jw_object(&w);
	if (dispatch != NULL) {
		dispatch_load(dispatch, &load);
		jw_member_int(&w, "runners", load.runners);
		jw_member_int(&w, "running", load.running);
		jw_member_int(&w, "calls", load.calls);
		jw_member_int(&w, "waiting", load.waiting);
		jw_member_bool(&w, "runner_up", pool_is_up(daemon->pool));
		jw_key(&w, "jobs");
		jw_array(&w);
		dispatch_each_run(dispatch, show_job, &jobs);
		jw_array_end(&w);
		jw_key(&w, "leases");
		jw_array(&w);
		for (int i = 0; i < daemon->shard_count; i++)
			jw_text(&w, dispatch_lease(dispatch, i));
		jw_array_end(&w);
	}
	jw_object_end(&w);
}

static void
name_keys(const struct secret_ring *ring, struct buf *out)
{
	for (size_t i = 0; i < secret_ring_count(ring); i++)
		buf_printf(out, "%s%s", i > 0 ? " " : "", secret_ring_id(ring, i));
}

static enum node_state
state_of(const struct node *node)
{
	if (node->daemon->draining)
		return NODE_DRAINING;
	if (!node->daemon->started)
		return NODE_STARTING;
	return node->quiet ? NODE_QUIET : NODE_LIVE;
}

/* ---- beats ----------------------------------------------------------------------------------- */

static void write_row(struct node *node);

static void
apply(struct node *node, bool quiet, const char *by)
{
	if (node->quiet != quiet)
		log_info(quiet ? "worker_quiet" : "worker_released", "node=%s by=%s",
			 node->daemon->node, by);
	node->quiet = quiet;
	if (node->daemon->dispatch != NULL)
		dispatch_quiet(node->daemon->dispatch, quiet);
}

static void
keep_operators(struct node *node, const char *const *digests, int count)
{
	node->operator_count = 0;
	for (int i = 0; i < count; i++)
		if (strlen(digests[i]) == SECRET_SHA256_HEX - 1)
			memcpy(node->operators[node->operator_count++], digests[i],
			       strlen(digests[i]) + 1);
}

static void
on_written(void *arg, enum sl_code code, bool quiet, const char *const *operators, int count,
	   const struct sl_error *error)
{
	struct node *node = arg;

	node->writing = false;
	if (node->leaving)
		return;
	if (code != SL_OK && !node->failing)
		log_warn("node_not_written", "error=%s",
			 log_text(error != NULL ? error->text : ""));
	node->failing = code != SL_OK;
	if (code == SL_OK) {
		node->said_known = node->said_sent;
		keep_operators(node, operators, count);
		if (node->said == node->said_known && quiet != node->quiet) {
			apply(node, quiet, "operator");
			node->due = true; /* the row is to say that it is so */
		}
	}
	if (node->due)
		write_row(node);
}

static void
write_row(struct node *node)
{
	const struct daemon *daemon = node->daemon;
	struct node_beat beat = {
	    .name = daemon->node,
	    .version = PACKAGE_VERSION,
	    .roles = daemon->roles,
	    .beat_ms = config_int(daemon->config, "lease_ttl") / 3,
	    .session_id = daemon->settle != NULL ? settle_session(daemon->settle) : 0,
	    .state = state_of(node),
	    .leads = daemon->scheduler != NULL && scheduler_leads(daemon->scheduler),
	    .says_quiet = node->said != node->said_known,
	    .quiet = node->quiet,
	};
	struct buf doing, keys;

	node->due = node->writing;
	if (node->writing || node->leaving)
		return;
	buf_init(&doing, DOING_MAX);
	describe(daemon, &doing);
	beat.doing = doing.data;
	buf_init(&keys, SECRET_KEYS_MAX * SECRET_KEY_ID);
	name_keys(daemon->ring, &keys);
	beat.keys = keys.data;
	node->writing = true;
	node->said_sent = node->said;
	node_write(account_pg(daemon->account), &beat, on_written, node);
	buf_fini(&doing);
	buf_fini(&keys);
}

static void
on_timer(void *arg)
{
	write_row(arg);
}

static void
on_notify(void *arg, const char *channel, const char *payload)
{
	struct node *node = arg;

	(void)channel;
	/* NULL: the connection is a new one, and there may have been a notice meanwhile. */
	if (payload == NULL || strcmp(payload, node->daemon->node) == 0)
		write_row(node);
}

static void
on_signal(void *arg, int signo)
{
	struct node *node = arg;

	if ((node->daemon->roles & ROLE_WORKER) == 0) {
		log_warn("signal_without_meaning", "signal=%d reason=%s", signo,
			 log_text("this node has no worker that could be quiet"));
		return;
	}
	node->said++;
	apply(node, signo == SIGUSR1, "signal");
	write_row(node);
}

bool
node_is_quiet(const struct node *node)
{
	return node->quiet;
}

void
node_changed(struct node *node)
{
	apply(node, node->quiet, ""); /* the worker may be there only now */
	write_row(node);
}

static void
on_removed(void *arg, enum sl_code code, int64_t count, const struct sl_error *error)
{
	struct node *node = arg;

	(void)count;
	if (code != SL_OK)
		log_debug("node_not_removed", "error=%s",
			  log_text(error != NULL ? error->text : ""));
	node->gone = true;
}

/* Behind a beat that is under way: the connection keeps the order. */
bool
node_leave(struct node *node)
{
	if (!node->leaving) {
		node->leaving = true;
		node->leave_by_ms = clock_mono_ms() + LEAVE_MS;
		loop_timer_stop(node->timer);
		node_remove(account_pg(node->daemon->account), node->daemon->node, on_removed,
			    node);
	}
	return node->gone || clock_mono_ms() > node->leave_by_ms;
}

bool
node_knows_operator(const struct node *node, const char *digest)
{
	for (int i = 0; i < node->operator_count; i++)
		if (secret_equal(node->operators[i], digest, SECRET_SHA256_HEX))
			return true;
	return false;
}

struct node *
node_new(struct daemon *daemon)
{
	struct node *node = sl_alloc(sizeof(*node));

	node->daemon = daemon;
	node->timer = loop_timer_new(daemon->loop, on_timer, node);
	loop_timer_every(node->timer, config_int(daemon->config, "lease_ttl") / 3);
	node->quiet_signal = loop_signal_new(daemon->loop, SIGUSR1, on_signal, node);
	node->release_signal = loop_signal_new(daemon->loop, SIGUSR2, on_signal, node);
	pg_listen(account_pg(daemon->account), NODE_CHANNEL, on_notify, node);
	write_row(node);
	return node;
}

void
node_free(struct node *node)
{
	if (node == NULL)
		return;
	loop_timer_free(node->timer);
	loop_signal_free(node->quiet_signal);
	loop_signal_free(node->release_signal);
	free(node);
}
