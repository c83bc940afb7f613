/* daemon/doctor_gather.c - see doctor_gather.h.
 *
 * A question that is not answered in time is left alone: its answer still comes, and what was gathered is
 * freed with the last one. */
#include "daemon/doctor_gather.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "config.h"
#include "daemon/compiler.h"
#include "daemon/submit.h"
#include "queue/health.h"
#include "queue/overview.h"
#include "runtime/pool.h"
#include "sql/account.h"
#include "sql/delivery.h"
#include "sql/health.h"
#include "sql/migrate.h"
#include "sql/node.h"

struct gather {
	struct daemon *daemon;
	struct doctor_facts facts;
	struct loop_timer *timer;
	int asking; /* questions without an answer */
	bool told;
	bool health, nodes; /* both halves of what Postgres knows are here */
	int64_t sent_ms;    /* monotonic */
	char *texts[2 * (DOCTOR_NODES_MAX + 2 * DOCTOR_QUEUES_MAX) + DOCTOR_SHARDS_MAX +
		    10]; /* owned: what facts borrows */
	size_t text_count;
	struct sl_error compiler_error;
	/* The lines that wait longest, the oldest first. */
	struct candidate {
		int64_t key_id;
		struct doctor_queue queue; /* without names */
	} oldest[DOCTOR_QUEUES_MAX];
	int oldest_count;
	int overviews; /* shards that have not said what waits */
	bool unseen;   /* one of them could not */
	gather_cb *cb;
	void *arg;
};

struct shard_ask {
	struct gather *gather;
	int shard;
};

static const char *
keep(struct gather *gather, const char *text)
{
	if (gather->text_count == sizeof(gather->texts) / sizeof(gather->texts[0]))
		return "";
	return gather->texts[gather->text_count++] = sl_strdup(text);
}

static void
free_now(void *arg)
{
	struct gather *gather = arg;

	for (size_t i = 0; i < gather->text_count; i++)
		free(gather->texts[i]);
	free(gather);
}

static void
tell(struct gather *gather)
{
	struct doctor_report *report = sl_alloc(sizeof(*report));

	gather->told = true;
	loop_timer_free(gather->timer);
	gather->facts.postgres = gather->health && gather->nodes;
	doctor_judge(&gather->facts, report);
	gather->cb(gather->arg, report);
	free(report);
}

static void
answered(struct gather *gather)
{
	if (--gather->asking > 0)
		return;
	if (!gather->told)
		tell(gather);
	loop_free_later(gather->daemon->loop, free_now, gather);
}

static void
on_time_over(void *arg)
{
	tell(arg);
}

/* ---- Postgres -------------------------------------------------------------------------------- */

static void
note_postgres_error(struct gather *gather, const struct sl_error *error)
{
	if (gather->facts.postgres_error[0] == '\0' && error != NULL)
		gather->facts.postgres_error = keep(gather, error->text);
}

static void
take_stopped(struct gather *gather, const struct health *health)
{
	struct doctor_facts *facts = &gather->facts;

	facts->stopped_total = (int)health->stopped_total;
	for (int i = 0; i < health->stopped_count && i < DOCTOR_QUEUES_MAX; i++) {
		const struct health_line *line = &health->stopped[i];

		facts->stopped[facts->stopped_count++] = (struct doctor_queue){
		    .environment = keep(gather, line->environment),
		    .line = line->name[0] != '\0' ? keep(gather, line->name) : NULL,
		    .paused = line->paused,
		    .draining = line->draining,
		};
	}
}

static void
on_health(void *arg, enum sl_code code, const struct health *health, const struct sl_error *error)
{
	struct gather *gather = arg;
	struct doctor_facts *facts = &gather->facts;

	if (!gather->told && code != SL_OK) {
		note_postgres_error(gather, error);
	} else if (!gather->told) {
		gather->health = true;
		facts->postgres_latency_ms = clock_mono_ms() - gather->sent_ms;
		facts->postgres_skew_ms =
		    health->clock_ms + facts->postgres_latency_ms / 2 - clock_wall_ms();
		facts->ledger_version = health->version;
		facts->lock_held = health->lock_held;
		facts->sessions = health->sessions;
		facts->strangers = health->strangers;
		facts->overdue_ms = health->overdue_ms;
		facts->dead_hour = health->dead;
		facts->quarantined_hour = health->quarantined;
		facts->late_ms = health->late_ms;
		facts->stalled = health->stalled;
		facts->webhook_late_ms = health->webhook_late_ms;
		facts->endpoints_paused = health->endpoints_paused;
		facts->paused_endpoint = keep(gather, health->paused_endpoint);
		facts->paused_in = keep(gather, health->paused_in);
		facts->paused_cause = (enum doctor_pause)health->paused_cause;
		take_stopped(gather, health);
	}
	answered(gather);
}

static enum doctor_node_state
state_of(const struct node_row *row)
{
	if (row->lost)
		return DOCTOR_NODE_LOST;
	switch (row->state) {
	case NODE_STARTING:
		return DOCTOR_NODE_STARTING;
	case NODE_LIVE:
		return row->quiet ? DOCTOR_NODE_QUIET : DOCTOR_NODE_LIVE;
	case NODE_QUIET:
		return DOCTOR_NODE_QUIET;
	case NODE_DRAINING:
		return DOCTOR_NODE_DRAINING;
	}
	return DOCTOR_NODE_LIVE;
}

static void
take_row(struct gather *gather, const struct node_row *row)
{
	struct doctor_node *node = &gather->facts.nodes[gather->facts.node_count++];
	struct json_value doing;
	int64_t runners = 0, running = 0;

	*node = (struct doctor_node){
	    .name = keep(gather, row->name),
	    .version = keep(gather, row->version),
	    .roles = row->roles, /* the bits are the same, asserted in gather_start() */
	    .schema_version = row->schema_version,
	    .state = state_of(row),
	    .leads = row->leads,
	    .seen_ms = row->seen_ms,
	    .runner_up = true,
	};
	if (json_check(slice_text(row->doing), &doing, NULL) != SL_OK)
		return;
	(void)json_int(json_get(doing, "runners"), &runners);
	(void)json_int(json_get(doing, "running"), &running);
	node->runners = (int)runners;
	node->running = (int)running;
	node->runner_up = !slice_is(json_get(doing, "runner_up").raw, "false");
}

static void
on_nodes(void *arg, enum sl_code code, const struct node_row *rows, int count,
	 const struct sl_error *error)
{
	struct gather *gather = arg;

	if (!gather->told && code != SL_OK) {
		note_postgres_error(gather, error);
	} else if (!gather->told) {
		gather->nodes = true;
		/* The newest, if there are too many: lost ones stay in the list for a while. */
		for (int i = count > DOCTOR_NODES_MAX ? count - DOCTOR_NODES_MAX : 0; i < count;
		     i++)
			take_row(gather, &rows[i]);
	}
	answered(gather);
}

/* ---- Redis ----------------------------------------------------------------------------------- */

static void
on_shard(void *arg, enum sl_code code, const struct queue_health *health,
	 const struct sl_error *error)
{
	struct shard_ask *ask = arg;
	struct gather *gather = ask->gather;
	struct doctor_shard *shard = &gather->facts.shards[ask->shard];

	if (!gather->told && code != SL_OK && error != NULL) {
		shard->error = keep(gather, error->text);
	} else if (!gather->told && code == SL_OK) {
		shard->answered = true;
		shard->latency_ms = health->latency_ms;
		shard->skew_ms = health->skew_ms;
		shard->evicts = health->evicts;
		shard->memory = health->memory;
		shard->memory_max = health->memory_max;
	}
	free(ask);
	answered(gather);
}

static void
ask_shards(struct gather *gather)
{
	struct daemon *daemon = gather->daemon;

	gather->facts.shard_count = daemon->shard_count;
	for (int i = 0; i < daemon->shard_count; i++) {
		struct doctor_shard *shard = &gather->facts.shards[i];
		struct shard_ask *ask = sl_alloc(sizeof(*ask));

		shard->up = queue_is_up(daemon->queues[i]);
		shard->built = queue_epoch(daemon->queues[i])[0] != '\0';
		shard->unbuilt_ms = queue_unbuilt_ms(daemon->queues[i]);
		shard->error = keep(gather, shard->up ? "" : queue_last_error(daemon->queues[i]));
		ask->gather = gather;
		ask->shard = i;
		gather->asking++;
		queue_health(daemon->queues[i], on_shard, ask);
	}
}

/* ---- what waits ------------------------------------------------------------------------------ */

static void
take_candidate(struct gather *gather, int64_t key_id, int running, int64_t depth, int64_t oldest_ms)
{
	int at = gather->oldest_count;

	if (oldest_ms < 0)
		return;
	if (at == DOCTOR_QUEUES_MAX && gather->oldest[--at].queue.oldest_ms >= oldest_ms)
		return;
	for (; at > 0 && gather->oldest[at - 1].queue.oldest_ms < oldest_ms; at--)
		gather->oldest[at] = gather->oldest[at - 1];
	gather->oldest[at] = (struct candidate){
	    .key_id = key_id,
	    .queue = {.running = running, .depth = depth, .oldest_ms = oldest_ms},
	};
	if (gather->oldest_count < DOCTOR_QUEUES_MAX)
		gather->oldest_count++;
}

/* Those that the ledger does not know any more are left out: they belonged to what was deleted. */
static void
on_lines(void *arg, enum sl_code code, const struct health_line *lines, int count,
	 const struct sl_error *error)
{
	struct gather *gather = arg;
	struct doctor_facts *facts = &gather->facts;

	(void)error;
	for (int i = 0; !gather->told && code == SL_OK && i < gather->oldest_count; i++) {
		const struct candidate *candidate = &gather->oldest[i];

		for (int at = 0; at < count; at++) {
			struct doctor_queue *queue = &facts->queues[facts->queue_count];

			if (lines[at].key_id != candidate->key_id)
				continue;
			*queue = candidate->queue;
			queue->environment = keep(gather, lines[at].environment);
			queue->line = keep(gather, lines[at].name);
			queue->limit = lines[at].slots;
			queue->paused = lines[at].paused;
			queue->draining = lines[at].draining;
			facts->queue_count++;
			break;
		}
	}
	if (!gather->told)
		facts->queues_known = code == SL_OK && !gather->unseen;
	answered(gather);
}

static void
on_overview(void *arg, enum sl_code code, const struct overview_environment *environments,
	    int count, const struct sl_error *error)
{
	struct gather *gather = arg;
	int64_t ids[DOCTOR_QUEUES_MAX];

	(void)error;
	gather->unseen = gather->unseen || code != SL_OK;
	for (int i = 0; code == SL_OK && i < count; i++)
		for (int at = 0; at < environments[i].line_count; at++) {
			const struct overview_line *line = &environments[i].line[at];

			take_candidate(gather, line->key_id, line->running, line->depth,
				       line->oldest_ms);
		}
	if (--gather->overviews == 0 && !gather->told) {
		for (int i = 0; i < gather->oldest_count; i++)
			ids[i] = gather->oldest[i].key_id;
		gather->facts.queues_known = !gather->unseen;
		if (gather->oldest_count > 0) {
			gather->asking++;
			health_lines(account_pg(gather->daemon->account), ids, gather->oldest_count,
				     on_lines, gather);
		}
	}
	answered(gather);
}

static void
ask_overviews(struct gather *gather)
{
	struct daemon *daemon = gather->daemon;

	gather->overviews = daemon->shard_count;
	for (int i = 0; i < daemon->shard_count; i++) {
		gather->asking++;
		queue_overview(daemon->queues[i], NULL, 0, on_overview, gather);
	}
}

/* ---- this node ------------------------------------------------------------------------------- */

static int64_t
count_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	int64_t count = 0;

	if (folder == NULL)
		return 0;
	while (readdir(folder) != NULL)
		count++;
	(void)closedir(folder);
	return count - 3; /* ".", ".." and the folder itself */
}

static void
look_here(struct gather *gather)
{
	struct daemon *daemon = gather->daemon;
	struct doctor_facts *facts = &gather->facts;
	struct rlimit limit;

	facts->node = daemon->node;
	facts->version = PACKAGE_VERSION;
	facts->roles = daemon->roles;
	facts->schema_version = migrate_version();
	submit_backlog(daemon, &facts->backlog, &facts->backlog_left);
	facts->backlog_full = submit_is_full(daemon);
	facts->runner_up = daemon->pool == NULL || pool_is_up(daemon->pool);
	facts->compiler = daemon->compiler == NULL ||
			  compiler_is_there(daemon->compiler, &gather->compiler_error) == SL_OK;
	facts->compiler_error = gather->compiler_error.text;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
		facts->descriptors = count_descriptors();
		facts->descriptors_max = (int64_t)limit.rlim_cur;
	}
}

void
gather_start(struct daemon *daemon, gather_cb *cb, void *arg)
{
	struct gather *gather = sl_alloc(sizeof(*gather));
	struct pg *pg = account_pg(daemon->account);

	_Static_assert(DOCTOR_API == (int)ROLE_API && DOCTOR_WORKER == (int)ROLE_WORKER &&
			   DOCTOR_SCHEDULER == (int)ROLE_SCHEDULER,
		       "roles are the same bits");
	_Static_assert(DOCTOR_PAUSE_OPERATOR == (int)ENDPOINT_PAUSE_OPERATOR &&
			   DOCTOR_PAUSE_GONE == (int)ENDPOINT_PAUSE_GONE &&
			   DOCTOR_PAUSE_FAILING == (int)ENDPOINT_PAUSE_FAILING,
		       "causes are the same numbers");
	_Static_assert(DOCTOR_SHARDS_MAX >= QUEUE_SHARDS_MAX, "there is room for all shards");
	gather->daemon = daemon;
	gather->cb = cb;
	gather->arg = arg;
	gather->facts.postgres_error = keep(gather, pg_is_up(pg) ? "" : pg_last_error(pg));
	gather->sent_ms = clock_mono_ms();
	gather->timer = loop_timer_new(daemon->loop, on_time_over, gather);
	loop_timer_in(gather->timer, GATHER_MS);
	gather->asking = 1; /* ourselves: an answer may come from inside */
	look_here(gather);
	gather->asking += 2;
	health_ask(pg, on_health, gather);
	node_list(pg, on_nodes, gather);
	ask_shards(gather);
	ask_overviews(gather);
	answered(gather);
}
