/* tests/integration/queue_rig.h - a queue, a second blocking connection to look behind it, and a
 * Redis server of the test's own for what must not be done to the shared one. */
#ifndef SLUICE_TESTS_QUEUE_RIG_H
#define SLUICE_TESTS_QUEUE_RIG_H

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>

#include <hiredis/hiredis.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "queue/lease.h"
#include "queue/ready.h"
#include "queue/redis_url.h"
#include "tests/lib/check.h"

#define RIG_WAIT_MS 15000
#define RIG_TTL_MS 10000

struct rig {
	struct loop *loop;
	struct queue *queue;
	redisContext *raw;
	int ups, downs;
};

/* What a queue_cb was told. */
struct said {
	bool done;
	enum sl_code code;
	int64_t value;
	char text[240];
};

/* What a lease_exchange_cb was told; copied. */
struct taken {
	bool done;
	enum sl_code code;
	char text[240];
	int count;
	struct lease_waits waits;
	struct taken_turn {
		int64_t key;
		int slot;
		char lane;
		char holder[LEASE_WORKER_MAX + 1];
		int64_t session, tenure;
		bool kept;
		int count;
		int64_t *seqs;    /* owned, with the rest in `taken` */
		char **envelopes; /* owned */
		size_t *lens;     /* owned */
	} * turns;
};

static inline void
on_said(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct said *said = arg;

	said->done = true;
	said->code = code;
	said->value = value;
	snprintf(said->text, sizeof(said->text), "%s", error != NULL ? error->text : "");
}

static inline void
on_taken(void *arg, enum sl_code code, const struct lease_turn *turns, int count,
	 const struct lease_waits *waits, const struct sl_error *error)
{
	struct taken *taken = arg;

	taken->done = true;
	taken->code = code;
	snprintf(taken->text, sizeof(taken->text), "%s", error != NULL ? error->text : "");
	taken->count = count;
	if (waits != NULL)
		taken->waits = *waits;
	taken->turns = sl_calloc((size_t)count + 1, sizeof(*taken->turns));
	for (int i = 0; i < count; i++) {
		struct taken_turn *turn = &taken->turns[i];
		size_t jobs = (size_t)turns[i].count;

		turn->key = turns[i].key_id;
		snprintf(turn->holder, sizeof(turn->holder), "%s", turns[i].holder);
		turn->session = turns[i].holder_session;
		turn->tenure = turns[i].holder_tenure;
		turn->kept = turns[i].kept;
		turn->slot = turns[i].slot;
		turn->lane = turns[i].lane;
		turn->count = turns[i].count;
		turn->seqs = sl_calloc(jobs, sizeof(*turn->seqs));
		turn->envelopes = sl_calloc(jobs, sizeof(*turn->envelopes));
		turn->lens = sl_calloc(jobs, sizeof(*turn->lens));
		for (size_t j = 0; j < jobs; j++) {
			const struct slice *envelope = &turns[i].envelopes[j];

			turn->seqs[j] = strtoll(envelope->data, NULL, 10);
			turn->envelopes[j] = sl_memdup(envelope->data, envelope->len);
			turn->lens[j] = envelope->len;
		}
	}
}

static inline void
taken_fini(struct taken *taken)
{
	for (int i = 0; i < taken->count; i++) {
		for (int j = 0; j < taken->turns[i].count; j++)
			free(taken->turns[i].envelopes[j]);
		free(taken->turns[i].seqs);
		free(taken->turns[i].envelopes);
		free(taken->turns[i].lens);
	}
	free(taken->turns);
	*taken = (struct taken){0};
}

/* Turns the loop until *flag; fails the test when that takes too long. */
static inline void
rig_until(struct rig *rig, const bool *flag)
{
	int64_t end_ms = clock_mono_ms() + RIG_WAIT_MS;

	while (!*flag && clock_mono_ms() < end_ms)
		loop_turn(rig->loop, 20);
	check(*flag);
}

static inline void
rig_until_up(struct rig *rig, bool up)
{
	int64_t end_ms = clock_mono_ms() + RIG_WAIT_MS;

	while (queue_is_up(rig->queue) != up && clock_mono_ms() < end_ms)
		loop_turn(rig->loop, 20);
	check(queue_is_up(rig->queue) == up);
}

static inline void
rig_sleep(int ms)
{
	struct timespec wait = {ms / 1000, (ms % 1000) * 1000000L};

	nanosleep(&wait, NULL);
}

static inline void
on_rig_state(void *arg, bool up)
{
	struct rig *rig = arg;

	if (up)
		rig->ups++;
	else
		rig->downs++;
}

static inline redisContext *
raw_connect(const char *text)
{
	struct redis_url url;
	redisContext *raw = NULL;

	if (redis_url_parse(text, &url, NULL) == SL_OK) {
		raw = url.path != NULL ? redisConnectUnix(url.path)
				       : redisConnect(url.places[0].host, url.places[0].port);
		if (raw != NULL && raw->err == 0 && url.password != NULL)
			freeReplyObject(redisCommand(raw, "AUTH %s", url.password));
		redis_url_fini(&url);
	}
	return raw;
}

/* A command behind the queue's back.  Its integer; -1 for nil; the length of a string or array. */
static inline long long
raw_int(struct rig *rig, const char *format, ...)
{
	va_list args;
	redisReply *reply;
	long long value = -1;

	va_start(args, format);
	reply = redisvCommand(rig->raw, format, args);
	va_end(args);
	check(reply != NULL);
	if (reply->type == REDIS_REPLY_ERROR)
		printf("# %s: %s\n", format, reply->str);
	check(reply->type != REDIS_REPLY_ERROR);
	if (reply->type == REDIS_REPLY_INTEGER)
		value = reply->integer;
	else if (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS)
		value = (long long)reply->len;
	else if (reply->type == REDIS_REPLY_ARRAY)
		value = (long long)reply->elements;
	freeReplyObject(reply);
	return value;
}

static inline enum sl_code
rig_rebuild(struct rig *rig)
{
	struct said said = {0};

	queue_rebuild_begin(rig->queue, on_said, &said);
	rig_until(rig, &said.done);
	if (said.code != SL_OK)
		return said.code;
	said = (struct said){0};
	queue_rebuild_end(rig->queue, on_said, &said);
	rig_until(rig, &said.done);
	return said.code;
}

/* Does not wait for the connection. */
static inline void
rig_open_queue(struct rig *rig, const char *url, int shard, int timeout_ms)
{
	const struct queue_settings settings = {
	    .url = url, .shard = shard, .shards = shard + 1, .timeout_ms = timeout_ms};
	struct sl_error error;

	*rig = (struct rig){0};
	rig->loop = loop_new();
	check_int(queue_new(rig->loop, &settings, on_rig_state, rig, &rig->queue, &error), ==,
		  SL_OK);
}

/* Connected to an empty server, with an epoch. */
static inline void
rig_open(struct rig *rig, const char *url)
{
	rig_open_queue(rig, url, 0, 5000);
	rig->raw = raw_connect(url);
	check(rig->raw != NULL && rig->raw->err == 0);
	raw_int(rig, "FLUSHALL");
	rig_until_up(rig, true);
	check_int(rig_rebuild(rig), ==, SL_OK);
}

static inline void
rig_close(struct rig *rig)
{
	queue_free(rig->queue);
	loop_turn(rig->loop, 0);
	loop_free(rig->loop);
	if (rig->raw != NULL)
		redisFree(rig->raw);
	*rig = (struct rig){0};
}

/* ---- calls that wait for their answer ---- */

static inline size_t
envelope_text(char *out, size_t size, int64_t seq)
{
	return (size_t)snprintf(out, size, "%012lld job", (long long)seq);
}

/* Of the keys that tests push to. */
static inline int64_t
rig_environment(int64_t key)
{
	return 100 + key % 3;
}

static int64_t rig_long_from = INT64_MAX; /* keys from it on have long jobs */

static inline struct said
push_seqs(struct rig *rig, enum ready_lane lane, int64_t key, const int64_t *seqs, int count)
{
	struct ready_entry *entries = sl_calloc((size_t)count, sizeof(*entries));
	char(*texts)[32] = sl_calloc((size_t)count, sizeof(*texts));
	struct said said = {0};

	for (int i = 0; i < count; i++) {
		entries[i].key_id = key;
		entries[i].environment_id = rig_environment(key);
		entries[i].is_long = key >= rig_long_from;
		entries[i].envelope.len = envelope_text(texts[i], sizeof(texts[i]), seqs[i]);
		entries[i].envelope.data = texts[i];
	}
	ready_push(rig->queue, lane, entries, count, on_said, &said);
	free(entries); /* copied by then */
	free(texts);
	rig_until(rig, &said.done);
	return said;
}

static inline struct said
push_run(struct rig *rig, enum ready_lane lane, int64_t key, int64_t from, int64_t to)
{
	int64_t *seqs = sl_calloc((size_t)(to - from + 1), sizeof(*seqs));
	struct said said;

	for (int64_t seq = from; seq <= to; seq++)
		seqs[seq - from] = seq;
	said = push_seqs(rig, lane, key, seqs, (int)(to - from + 1));
	free(seqs);
	return said;
}

static inline struct said
join(struct rig *rig, const char *worker, int64_t ttl_ms)
{
	struct said said = {0};

	lease_join(rig->queue, worker, ttl_ms, on_said, &said);
	rig_until(rig, &said.done);
	return said;
}

static inline struct said
expire(struct rig *rig, const char *worker)
{
	struct said said = {0};

	lease_expire(rig->queue, worker, on_said, &said);
	rig_until(rig, &said.done);
	return said;
}

static inline struct said
set_limits(struct rig *rig, const struct ready_limit *limits, int count)
{
	struct said said = {0};

	ready_limits(rig->queue, limits, count, on_said, &said);
	rig_until(rig, &said.done);
	return said;
}

static inline int64_t
environment_depth(struct rig *rig, int64_t environment_id)
{
	struct said said = {0};

	ready_environment_depth(rig->queue, environment_id, on_said, &said);
	rig_until(rig, &said.done);
	check_int(said.code, ==, SL_OK);
	return said.value;
}

/* The turn, with its first count entries settled. */
static inline struct lease_hand
hand_of(const struct taken_turn *turn, int64_t tenure, int count)
{
	return (struct lease_hand){.key_id = turn->key,
				   .slot = turn->slot,
				   .lane = turn->lane,
				   .tenure = tenure,
				   .count = count,
				   .clean = true,
				   .environment_id = rig_environment(turn->key)};
}

static inline struct said
wait_token(struct rig *rig, int64_t wait_ms)
{
	struct said said = {0};

	lease_wait(rig->queue, wait_ms, true, on_said, &said);
	rig_until(rig, &said.done);
	return said;
}

/* taken is emptied first. */
static inline void
exchange_longs(struct rig *rig, const char *worker, const struct lease_want *want,
	       const struct lease_hand *hands, int hand_count, struct taken *taken)
{
	taken_fini(taken);
	lease_exchange(rig->queue, worker, RIG_TTL_MS, want, hands, hand_count, on_taken, taken);
	rig_until(rig, &taken->done);
}

/* The same, with as many turns of long keys as come. */
static inline void
exchange(struct rig *rig, const char *worker, int turns, int jobs, const struct lease_hand *hands,
	 int hand_count, struct taken *taken)
{
	struct lease_want want = {.turns = turns, .longs = turns, .jobs = jobs};

	exchange_longs(rig, worker, &want, hands, hand_count, taken);
}

/* Calls of scripts by SHA since the server started. */
static inline long long
script_calls(struct rig *rig)
{
	redisReply *reply = redisCommand(rig->raw, "INFO commandstats");
	const char *at = strstr(reply->str, "cmdstat_evalsha:calls=");
	long long calls = at != NULL ? strtoll(at + strlen("cmdstat_evalsha:calls="), NULL, 10) : 0;

	freeReplyObject(reply);
	return calls;
}

/* ---- a server of our own ---- */

struct server {
	char dir[64];
	char url[128];
	pid_t pid;
};

/* extra: further options (NULL-terminated), or NULL.  False: there is no redis-server. */
static inline bool
server_start(struct server *server, const char *const *extra)
{
	const char *args[24] = {"redis-server", "--port", "0", "--save", "", "--appendonly", "no"};
	char socket[96];
	int count = 7, status;
	redisContext *raw;

	if (server->dir[0] == '\0') {
		snprintf(server->dir, sizeof(server->dir), "/tmp/sluice-queue-XXXXXX");
		if (mkdtemp(server->dir) == NULL)
			return false;
	}
	snprintf(socket, sizeof(socket), "%s/r", server->dir);
	snprintf(server->url, sizeof(server->url), "unix://%s", socket);
	args[count++] = "--unixsocket";
	args[count++] = socket;
	args[count++] = "--dir";
	args[count++] = server->dir;
	for (int i = 0; extra != NULL && extra[i] != NULL; i++)
		args[count++] = extra[i];
	fflush(stdout);
	server->pid = fork();
	if (server->pid == 0) {
		int null = open("/dev/null", O_RDWR);

		prctl(PR_SET_PDEATHSIG, SIGKILL); /* with the test, however that ends */
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		execvp(args[0], (char *const *)args);
		_exit(127);
	}
	for (int tries = 0; tries < 500 && server->pid > 0; tries++) {
		bool good;

		if (waitpid(server->pid, &status, WNOHANG) == server->pid)
			break;
		raw = redisConnectUnix(socket);
		good = raw != NULL && raw->err == 0;
		if (raw != NULL)
			redisFree(raw);
		if (good)
			return true;
		rig_sleep(10);
	}
	server->pid = 0;
	return false;
}

static inline void
server_kill(struct server *server)
{
	if (server->pid <= 0)
		return;
	kill(server->pid, SIGCONT);
	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
	server->pid = 0;
}

static inline void
server_stop(struct server *server)
{
	char socket[96];

	server_kill(server);
	if (server->dir[0] == '\0')
		return;
	snprintf(socket, sizeof(socket), "%.60s/r", server->dir);
	unlink(socket);
	rmdir(server->dir);
	*server = (struct server){0};
}

/* Of the environment: a URL or the path of a socket.  NULL: not set. */
static inline const char *
rig_url(void)
{
	static char url[256];
	const char *text = getenv("SLUICE_TEST_REDIS");

	if (text == NULL || text[0] == '\0')
		return NULL;
	snprintf(url, sizeof(url), "%s%s", text[0] == '/' ? "unix://" : "", text);
	return url;
}

#endif
