/* Workers, a pusher and a scheduler at random against a real Redis, beside a model of the ledger.
 *
 * What must hold at every step: no key is in two workers' hands while their leases hold; a job runs
 * after every older job of its key that was in Redis when it was taken; a claim that the ledger's
 * rules allow never meets a worker that still runs.  At the end every job was settled.
 * SLUICE_TEST_REDIS names the server, which is emptied.  SLUICE_TEST_SEED repeats a run.  77: not
 * set. */
#include "tests/integration/queue_rig.h"

enum {
	WORKERS = 5,
	KEYS = 12,
	JOBS_MAX = 6000, /* seqs are indexes */
	TURNS_MAX = 4,
	STEPS = 5000,
	DRAIN_STEPS = 4000,
};

struct job {
	int key;
	bool in_redis; /* its push was answered, and not flushed since */
	bool settled;
};

struct turn {
	int key;
	bool front;
	int64_t tenure; /* of our hold; -1: the claim was refused */
	int count;
	int64_t seqs[64];
};

struct worker {
	char name[32];
	int64_t session;
	bool joined;
	int turn_count;
	struct turn turns[TURNS_MAX];
};

static struct {
	struct job jobs[JOBS_MAX];
	int job_count;
	struct hold {
		int64_t session, tenure; /* session 0: released */
	} holds[KEYS];
	bool session_live[JOBS_MAX];
	int64_t sessions;
	int owner[KEYS]; /* worker + 1 by the leases that hold; 0: none */
	struct worker workers[WORKERS];
	int64_t
	    dead[JOBS_MAX]; /* sessions of crashed workers that the scheduler has not ended yet */
	int dead_count;
	int taken, kept, refused, crashes, flushes, late, lost_answers, expired;
} model;

static struct rig rig;
static unsigned long long seed;

static int
random_below(int limit)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (int)(seed % (unsigned long long)limit);
}

/* ---- the ledger's rules ---- */

static bool
claim(const struct worker *worker, int key, int64_t prev_session, int64_t prev_tenure,
      int64_t *tenure)
{
	struct hold *hold = &model.holds[key];

	if (hold->session != 0 && hold->session != worker->session &&
	    !(hold->session == prev_session && hold->tenure == prev_tenure) &&
	    model.session_live[hold->session])
		return false;
	for (int i = 0; i < WORKERS; i++) { /* nobody else may be running it */
		const struct worker *other = &model.workers[i];

		if (other == worker || !model.session_live[other->session])
			continue;
		for (int t = 0; t < other->turn_count; t++)
			check(other->turns[t].key != key || other->turns[t].tenure < 0);
	}
	hold->session = worker->session;
	*tenure = ++hold->tenure;
	return true;
}

static void
worker_start(struct worker *worker)
{
	int64_t session = ++model.sessions;

	check(session < JOBS_MAX);
	model.session_live[session] = true;
	*worker = (struct worker){.session = session};
	snprintf(worker->name, sizeof(worker->name), "%lld.%x", (long long)session,
		 random_below(1 << 16));
}

/* Ends the leases of others than those that Redis still knows. */
static void
owners_after_expiry(void)
{
	for (int key = 0; key < KEYS; key++) {
		const struct worker *worker;

		if (model.owner[key] == 0)
			continue;
		worker = &model.workers[model.owner[key] - 1];
		if (raw_int(&rig, "ZSCORE sluice:{s00}:workers %s", worker->name) < 0)
			model.owner[key] = 0;
	}
}

static void
owners_forget(int worker)
{
	for (int key = 0; key < KEYS; key++) {
		if (model.owner[key] == worker + 1)
			model.owner[key] = 0;
	}
}

/* ---- moves ---- */

static void
mark_pushed(enum sl_code code, const int64_t *seqs, int count)
{
	for (int i = 0; i < count && code == SL_OK; i++)
		model.jobs[seqs[i]].in_redis = true;
}

static void
move_push(void)
{
	int key = random_below(KEYS), count = 1 + random_below(6);
	int64_t seqs[8];

	if (model.job_count + count >= JOBS_MAX)
		return;
	for (int i = 0; i < count; i++) {
		seqs[i] = model.job_count++;
		model.jobs[seqs[i]].key = key;
	}
	if (random_below(10) == 0)
		return; /* the api died between commit and push */
	mark_pushed(push_seqs(&rig, READY_NEW, key, seqs, count).code, seqs, count);
}

struct missed {
	bool done;
	enum sl_code code;
	bool missing[READY_MISSING_MAX];
};

static void
on_missed(void *arg, enum sl_code code, const bool *missing, int count)
{
	struct missed *missed = arg;

	missed->done = true;
	missed->code = code;
	if (missing != NULL)
		memcpy(missed->missing, missing, (size_t)count * sizeof(*missing));
}

/* The scheduler's sweep of one key. */
static void
move_sweep(int key)
{
	int64_t open[READY_MISSING_MAX], late[READY_MISSING_MAX];
	struct missed missed = {0};
	int count = 0, late_count = 0;

	for (int64_t seq = 0; seq < model.job_count && count < READY_MISSING_MAX; seq++) {
		if (model.jobs[seq].key == key && !model.jobs[seq].settled)
			open[count++] = seq;
	}
	if (count == 0)
		return;
	ready_missing(rig.queue, key, open, count, on_missed, &missed);
	rig_until(&rig, &missed.done);
	if (missed.code != SL_OK)
		return;
	for (int i = 0; i < count; i++) {
		check(missed.missing[i] == !model.jobs[open[i]].in_redis);
		if (missed.missing[i])
			late[late_count++] = open[i];
	}
	if (late_count == 0)
		return;
	model.late += late_count;
	mark_pushed(push_seqs(&rig, READY_FRONT, key, late, late_count).code, late, late_count);
}

static void
move_flush(void)
{
	raw_int(&rig, "FLUSHALL");
	model.flushes++;
	for (int64_t seq = 0; seq < model.job_count; seq++)
		model.jobs[seq].in_redis = false;
	memset(model.owner, 0, sizeof(model.owner));
}

static void
move_rebuild(void)
{
	struct said said = {0};

	queue_rebuild_begin(rig.queue, on_said, &said);
	rig_until(&rig, &said.done);
	check_int(said.code, ==, SL_OK);
	for (int key = 0; key < KEYS; key++) {
		int64_t open[JOBS_MAX];
		int count = 0;

		if (random_below(4) == 0)
			move_push(); /* accepted meanwhile */
		for (int64_t seq = 0; seq < model.job_count; seq++) {
			if (model.jobs[seq].key == key && !model.jobs[seq].settled)
				open[count++] = seq;
		}
		if (count > 0)
			mark_pushed(push_seqs(&rig, READY_NEW, key, open, count).code, open, count);
	}
	said = (struct said){0};
	queue_rebuild_end(rig.queue, on_said, &said);
	rig_until(&rig, &said.done);
	check_int(said.code, ==, SL_OK);
}

/* Runs the first jobs of a turn to their end; those that ended before are skipped. */
static int
settle_some(struct turn *turn, int most)
{
	int count = turn->count < most ? turn->count : most;

	for (int i = 0; i < count; i++)
		model.jobs[turn->seqs[i]].settled = true;
	return count;
}

/* Takes over what an exchange gave, and checks it. */
static void
take(struct worker *worker, const struct taken *taken)
{
	int me = (int)(worker - model.workers) + 1;

	check(taken->count <= TURNS_MAX);
	for (int i = 0; i < taken->count; i++) {
		const struct taken_turn *from = &taken->turns[i];
		struct turn *turn = &worker->turns[worker->turn_count];
		int key = (int)from->key;
		int64_t tenure = -1;

		check(model.owner[key] == 0 || model.owner[key] == me);
		check(!from->kept ||
		      (model.owner[key] == me && model.holds[key].session == worker->session));
		model.owner[key] = me;
		model.taken++;
		model.kept += from->kept;
		if (from->kept)
			tenure = model.holds[key].tenure;
		else if (!claim(worker, key, from->session, from->tenure, &tenure))
			model.refused++;
		*turn = (struct turn){
		    .key = key, .front = from->front, .tenure = tenure, .count = from->count};
		check(from->count <= 64);
		for (int j = 0; j < from->count; j++)
			turn->seqs[j] = from->seqs[j];
		for (int64_t seq = 0; seq < from->seqs[from->count - 1];
		     seq++) { /* none was left behind */
			bool here = model.jobs[seq].key != key || !model.jobs[seq].in_redis ||
				    model.jobs[seq].settled;

			for (int j = 0; j < from->count && !here; j++)
				here = from->seqs[j] == seq;
			check(here);
		}
		for (int j = 1; j < from->count; j++)
			check(from->seqs[j] >= from->seqs[j - 1]);
		worker->turn_count++;
	}
}

/* Another epoch, or the lease ran out: what runs is settled, the holds released, a new session. */
static void
worker_over(struct worker *worker)
{
	for (int t = 0; t < worker->turn_count; t++) {
		if (worker->turns[t].tenure >= 0)
			settle_some(&worker->turns[t], 1);
	}
	for (int key = 0; key < KEYS; key++) {
		if (model.holds[key].session == worker->session)
			model.holds[key].session = 0;
	}
	model.session_live[worker->session] = false;
	owners_forget((int)(worker - model.workers));
	worker_start(worker);
}

static void
move_exchange(struct worker *worker)
{
	struct lease_hand hands[TURNS_MAX];
	struct turn left[TURNS_MAX];
	int hand_count = 0, left_count = 0, wanted;
	struct taken taken = {0};

	if (!worker->joined) {
		struct said said = join(&rig, worker->name, RIG_TTL_MS);

		worker->joined = said.code == SL_OK;
		return;
	}
	for (int t = 0; t < worker->turn_count; t++) {
		struct turn *turn = &worker->turns[t];
		bool refused = turn->tenure < 0;

		if (!refused && random_below(3) == 0) {
			left[left_count++] = *turn; /* still runs */
			continue;
		}
		hands[hand_count++] = (struct lease_hand){
		    .key_id = turn->key,
		    .tenure = turn->tenure,
		    .front = turn->front,
		    .count = refused ? 0 : settle_some(turn, random_below(turn->count + 1)),
		    .clean = !refused};
	}
	wanted = random_below(TURNS_MAX - left_count + 1);
	memcpy(worker->turns, left, sizeof(left));
	worker->turn_count = left_count;
	exchange(&rig, worker->name, wanted, 1 + random_below(8), hands, hand_count, &taken);
	if (taken.code != SL_OK) {
		check_int(taken.code, ==, SL_CONFLICT);
		worker_over(worker);
	} else if (random_below(60) == 0) { /* the answer is lost: leave, join; holds stay */
		struct said said = expire(&rig, worker->name);

		check(said.code == SL_OK || said.code == SL_CONFLICT);
		model.lost_answers++;
		for (int t = 0; t < worker->turn_count; t++) {
			if (worker->turns[t].tenure >= 0)
				settle_some(&worker->turns[t], 1);
		}
		worker->turn_count = 0;
		worker->joined = false;
		owners_forget((int)(worker - model.workers));
	} else {
		for (int h = 0; h < hand_count; h++) /* handed in ... */
			model.owner[hands[h].key_id] = 0;
		for (int i = 0; i < taken.count; i++) { /* ... or not, if kept */
			if (taken.turns[i].kept)
				model.owner[taken.turns[i].key] = (int)(worker - model.workers) + 1;
		}
		take(worker, &taken);
	}
	taken_fini(&taken);
}

/* kill -9: its lease ends when the scheduler finds it past its deadline, its session at another
 * time. */
static void
move_crash(int at)
{
	struct worker *worker = &model.workers[at];

	if (!worker->joined)
		return;
	model.crashes++;
	raw_int(&rig, "ZADD sluice:{s00}:workers XX 1 %s", worker->name); /* time passes */
	check(model.dead_count < JOBS_MAX);
	model.dead[model.dead_count++] = worker->session;
	worker->turn_count = 0;
	model.expired += expire(&rig, NULL).value > 0;
	owners_after_expiry();
	worker_start(worker);
}

/* The scheduler ends the sessions of crashed workers. */
static void
move_end_sessions(void)
{
	while (model.dead_count > 0)
		model.session_live[model.dead[--model.dead_count]] = false;
}

static void
step(int dice)
{
	struct worker *worker = &model.workers[random_below(WORKERS)];

	if (dice < 250)
		move_push();
	else if (dice < 950)
		move_exchange(worker);
	else if (dice < 970)
		move_end_sessions();
	else if (dice < 980)
		move_sweep(random_below(KEYS));
	else if (dice < 995)
		move_crash(random_below(WORKERS));
	else if (dice < 997)
		move_flush();
	else if (queue_epoch(rig.queue)[0] == '\0')
		move_rebuild();
}

static int
open_jobs(void)
{
	int count = 0;

	for (int64_t seq = 0; seq < model.job_count; seq++)
		count += !model.jobs[seq].settled;
	return count;
}

static void
no_job_is_lost_doubled_or_overtaken(void)
{
	rig_open(&rig, rig_url());
	for (int i = 0; i < WORKERS; i++)
		worker_start(&model.workers[i]);
	for (int i = 0; i < STEPS; i++)
		step(random_below(1000));
	if (queue_epoch(rig.queue)[0] == '\0')
		move_rebuild();
	for (int i = 0; i < DRAIN_STEPS && open_jobs() > 0; i++) {
		if (i % 20 == 0) {
			move_end_sessions();
			move_sweep(i / 20 % KEYS);
		}
		move_exchange(&model.workers[i % WORKERS]);
		if (i % 100 == 99 && queue_epoch(rig.queue)[0] == '\0')
			move_rebuild();
	}
	printf(
	    "# jobs %d, turns %d, kept %d, refused %d, crashes %d, flushes %d, late %d, lost answers %d, "
	    "leases expired %d\n",
	    model.job_count, model.taken, model.kept, model.refused, model.crashes, model.flushes,
	    model.late, model.lost_answers, model.expired);
	check_int(open_jobs(), ==, 0);
	check(model.taken > 1000 && model.kept > 0 && model.refused > 0 && model.crashes > 0);
	check(model.flushes > 0 && model.late > 0 && model.lost_answers > 0 && model.expired > 0);
	rig_close(&rig);
}

int
main(void)
{
	const char *text = getenv("SLUICE_TEST_SEED");

	if (rig_url() == NULL) {
		printf("1..0 # SKIP SLUICE_TEST_REDIS is not set\n");
		return 77;
	}
	log_set_level(LOG_LEVEL_ERROR);
	seed = text != NULL ? strtoull(text, NULL, 10) : (unsigned long long)clock_wall_ms();
	printf("# seed %llu\n", seed);
	seed = seed * 0x9E3779B97F4A7C15ull | 1;
	CHECK_RUN(no_job_is_lost_doubled_or_overtaken);
	return check_done();
}
