/* Workers, a pusher and a scheduler at random against a real Redis, beside a model of the ledger.
 *
 * What must hold at every step: no slot of a key is in two workers' hands while their leases hold,
 * and no more slots than the key's limit are given out, whatever it was before; a job of a key with
 * one slot runs after every older job of its key that was in Redis when it was taken, and one that a
 * slot takes is older than what stays behind; a claim that the ledger's rules allow never meets a
 * worker that still runs; an environment's depth is the sum of its lists.  At the end every job was
 * settled.  Keys with long jobs have one of them in each slot, are given only as far as there are places
 * for them, and stand in their own line whenever one of theirs may start.
 * SLUICE_TEST_REDIS names the server, which is emptied.  SLUICE_TEST_SEED repeats a run.  77: not
 * set. */
#include "tests/integration/queue_rig.h"

enum {
	WORKERS = 5,
	KEYS = 12,
	PLAIN_KEYS = 5, /* keys below it always have one slot */
	LONG_KEYS = 8,  /* keys from it on have long jobs */
	SLOTS = 4,
	JOBS_MAX = 20000, /* seqs are indexes */
	TURNS_MAX = 4,
	STEPS = 5000,
	STEPS_MAX = 20000, /* until everything was seen */
	DRAIN_STEPS = 12000,
};

struct job {
	int key;
	bool in_redis; /* its push was answered, and not flushed since */
	bool drawn;    /* a slot has taken it: what comes late does not overtake it */
	bool settled;
};

struct turn {
	int key, slot;
	char lane;
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
	} holds[KEYS][SLOTS];
	int limit[KEYS];       /* in the ledger */
	bool paused[KEYS];     /* likewise */
	int redis_limit[KEYS]; /* as Redis was told last */
	bool session_live[JOBS_MAX];
	int64_t sessions;
	struct owner {
		int worker; /* + 1, by the leases that hold; 0: none */
		char lane;
	} owner[KEYS][SLOTS];
	struct worker workers[WORKERS];
	int64_t
	    dead[JOBS_MAX]; /* sessions of crashed workers that the scheduler has not ended yet */
	int dead_count;
	int taken, kept, refused, crashes, flushes, late, lost_answers, expired;
	int slot_turns, side_by_side, limit_changes, pauses, long_turns, strayed;
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
claim(const struct worker *worker, int key, int slot, int64_t prev_session, int64_t prev_tenure,
      int64_t *tenure)
{
	struct hold *hold = &model.holds[key][slot];

	if (slot >= model.limit[key])
		return false;
	if (hold->session != 0 && hold->session != worker->session &&
	    !(hold->session == prev_session && hold->tenure == prev_tenure) &&
	    model.session_live[hold->session])
		return false;
	for (int i = 0; i < WORKERS; i++) { /* nobody else may be running it */
		const struct worker *other = &model.workers[i];

		if (other == worker || !model.session_live[other->session])
			continue;
		for (int t = 0; t < other->turn_count; t++)
			check(other->turns[t].key != key || other->turns[t].slot != slot ||
			      other->turns[t].tenure < 0);
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
	for (int i = 0; i < KEYS * SLOTS; i++) {
		struct owner *owner = &model.owner[i / SLOTS][i % SLOTS];
		const struct worker *worker;

		if (owner->worker == 0)
			continue;
		worker = &model.workers[owner->worker - 1];
		if (raw_int(&rig, "ZSCORE sluice:{s00}:workers %s", worker->name) < 0)
			owner->worker = 0;
	}
}

static void
owners_forget(int worker)
{
	for (int i = 0; i < KEYS * SLOTS; i++) {
		if (model.owner[i / SLOTS][i % SLOTS].worker == worker + 1)
			model.owner[i / SLOTS][i % SLOTS].worker = 0;
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

/* An earlier release knows one line only. */
static void
move_stray(void)
{
	int key = LONG_KEYS + random_below(KEYS - LONG_KEYS);

	if (raw_int(&rig, "EXISTS sluice:{s00}:epoch") == 1)
		model.strayed += raw_int(&rig, "ZADD sluice:{s00}:ready NX 1 %d", key) == 1;
}

struct missed {
	bool done;
	enum sl_code code;
	bool missing[READY_MISSING_MAX];
};

static void
on_missed(void *arg, enum sl_code code, const enum ready_place *places, int count)
{
	struct missed *missed = arg;

	missed->done = true;
	missed->code = code;
	for (int i = 0; i < count; i++)
		missed->missing[i] = places[i] == READY_MISSING;
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

/* The scheduler tells Redis what the ledger says. */
static void
tell_limits(void)
{
	struct ready_limit limits[KEYS];
	struct said said;

	for (int key = 0; key < KEYS; key++)
		limits[key] = (struct ready_limit){key, model.paused[key] ? 0 : model.limit[key]};
	said = set_limits(&rig, limits, KEYS);
	for (int key = 0; key < KEYS && said.code == SL_OK; key++)
		model.redis_limit[key] = limits[key].slots;
	if (said.code != SL_OK)
		check_int(said.code, ==, SL_CONFLICT);
}

/* An operator changes a key's limit, pauses or resumes it; the scheduler may hear of it later. */
static void
move_limit(void)
{
	int key = random_below(KEYS);

	if (key >= PLAIN_KEYS)
		model.limit[key] = 1 + random_below(SLOTS);
	model.paused[key] = random_below(3) == 0;
	model.limit_changes++;
	model.pauses += model.paused[key];
	if (random_below(3) > 0)
		tell_limits();
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
	tell_limits();
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

/* No more slots are out than the key has; a key in one piece is in no slot's hands as well. */
static void
check_slots(int key, char lane)
{
	int out = 0;

	for (int slot = 0; slot < SLOTS; slot++) {
		const struct owner *owner = &model.owner[key][slot];

		if (owner->worker == 0)
			continue;
		out++;
		check((owner->lane == 's') == (lane == 's'));
	}
	check(out <= model.redis_limit[key]);
	model.side_by_side += out > 1;
}

/* Jobs that were moved to the list of a slot stay there whatever comes back to the lanes; also when
 * nobody heard of it. */
static bool
note_drawn(const struct taken_turn *turn)
{
	bool before = model.jobs[turn->seqs[0]].drawn;

	for (int j = 0; j < turn->count; j++)
		model.jobs[turn->seqs[j]].drawn = true;
	return before;
}

/* None was left behind that is older than the last of the turn. */
static void
check_order(const struct taken_turn *turn)
{
	int64_t last = turn->seqs[turn->count - 1];

	for (int j = 1; j < turn->count; j++)
		check(turn->seqs[j] >= turn->seqs[j - 1]);
	if (turn->lane == 's') {
		bool drawn = note_drawn(turn);

		for (int lane = 0; lane < 2 && !drawn; lane++) {
			redisReply *reply =
			    redisCommand(rig.raw, "LINDEX sluice:{s00}:%s:%lld 0",
					 lane == 0 ? "q" : "f", (long long)turn->key);

			check(reply->type == REDIS_REPLY_NIL ||
			      strtoll(reply->str, NULL, 10) >= last);
			freeReplyObject(reply);
		}
		return;
	}
	for (int64_t seq = 0; seq < last; seq++) {
		bool here = model.jobs[seq].key != turn->key || !model.jobs[seq].in_redis ||
			    model.jobs[seq].settled;

		for (int j = 0; j < turn->count && !here; j++)
			here = turn->seqs[j] == seq;
		check(here);
	}
}

/* Takes over what an exchange gave, and checks it. */
static void
take(struct worker *worker, const struct taken *taken, int longs)
{
	int me = (int)(worker - model.workers) + 1;

	check(taken->count <= TURNS_MAX);
	for (int i = 0; i < taken->count; i++) {
		const struct taken_turn *from = &taken->turns[i];
		struct turn *turn = &worker->turns[worker->turn_count];
		int key = (int)from->key, slot = from->slot;
		struct owner *owner = &model.owner[key][slot];
		int64_t tenure = -1;

		check(slot < SLOTS && (from->lane == 's' || slot == 0));
		if (key >= LONG_KEYS) {
			check(from->lane == 's' && from->count == 1);
			check(longs-- > 0);
			model.long_turns++;
		}
		check(owner->worker == 0 || owner->worker == me);
		check(!from->kept ||
		      (owner->worker == me && model.holds[key][slot].session == worker->session));
		*owner = (struct owner){me, from->lane};
		check_slots(key, from->lane);
		model.taken++;
		model.kept += from->kept;
		model.slot_turns += from->lane == 's';
		if (from->kept)
			tenure = model.holds[key][slot].tenure;
		else if (!claim(worker, key, slot, from->session, from->tenure, &tenure))
			model.refused++;
		*turn = (struct turn){.key = key,
				      .slot = slot,
				      .lane = from->lane,
				      .tenure = tenure,
				      .count = from->count};
		check(from->count <= 64);
		for (int j = 0; j < from->count; j++)
			turn->seqs[j] = from->seqs[j];
		check_order(from);
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
	for (int i = 0; i < KEYS * SLOTS; i++) {
		struct hold *hold = &model.holds[i / SLOTS][i % SLOTS];

		if (hold->session == worker->session)
			hold->session = 0;
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
	int hand_count = 0, left_count = 0;
	struct lease_want want = {.jobs = 1 + random_below(8)};
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
		    .slot = turn->slot,
		    .lane = turn->lane,
		    .environment_id = rig_environment(turn->key),
		    .tenure = turn->tenure,
		    .count = refused ? 0 : settle_some(turn, random_below(turn->count + 1)),
		    .clean = !refused};
	}
	want.turns = random_below(TURNS_MAX - left_count + 1);
	want.longs = random_below(want.turns + 1);
	memcpy(worker->turns, left, sizeof(left));
	worker->turn_count = left_count;
	exchange_longs(&rig, worker->name, &want, hands, hand_count, &taken);
	if (taken.code != SL_OK) {
		check_int(taken.code, ==, SL_CONFLICT);
		worker_over(worker);
	} else if (random_below(60) == 0) { /* the answer is lost: leave, join; holds stay */
		struct said said = expire(&rig, worker->name);

		check(said.code == SL_OK || said.code == SL_CONFLICT);
		model.lost_answers++;
		for (int i = 0; i < taken.count; i++)
			if (taken.turns[i].lane == 's')
				note_drawn(&taken.turns[i]);
		for (int t = 0; t < worker->turn_count; t++) {
			if (worker->turns[t].tenure >= 0)
				settle_some(&worker->turns[t], 1);
		}
		worker->turn_count = 0;
		worker->joined = false;
		owners_forget((int)(worker - model.workers));
	} else {
		for (int h = 0; h < hand_count; h++) /* handed in ... */
			model.owner[hands[h].key_id][hands[h].slot].worker = 0;
		for (int i = 0; i < taken.count; i++) { /* ... or not, if kept */
			if (taken.turns[i].kept)
				model.owner[taken.turns[i].key][taken.turns[i].slot] =
				    (struct owner){(int)(worker - model.workers) + 1,
						   taken.turns[i].lane};
		}
		take(worker, &taken, want.longs);
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

/* Depths against lists, on the server: environments that differ. */
static void
check_depths(void)
{
	static const char script[] =
	    "local sums = {} "
	    "for _, list in ipairs(redis.call('KEYS', 'sluice:{s00}:[qfs]:*')) do "
	    "local environment = tostring(100 + string.match(list, ':(%d+)[%d.]*$') % 3) "
	    "sums[environment] = (sums[environment] or 0) + redis.call('LLEN', list) end "
	    "local depths, wrong = redis.call('HGETALL', 'sluice:{s00}:depths'), 0 "
	    "for i = 1, #depths, 2 do "
	    "if tonumber(depths[i + 1]) ~= sums[depths[i]] then wrong = wrong + 1 end "
	    "sums[depths[i]] = nil end "
	    "for _ in pairs(sums) do wrong = wrong + 1 end return wrong";
	redisReply *reply = redisCommand(rig.raw, "EVAL %s 0", script);

	check(reply->type == REDIS_REPLY_INTEGER);
	check_int(reply->integer, ==, 0);
	freeReplyObject(reply);
}

/* Of each long key: in its line, at the place of as many slots as are held, or nothing of it may start. */
static void
check_lines(void)
{
	static const char script[] =
	    "local p, wrong = 'sluice:{s00}:', 0 "
	    "for _, key in ipairs(redis.call('SMEMBERS', p .. 'long')) do "
	    "local slots = redis.call('HGET', p .. 'slots', key) or ':' "
	    "local _, busy = string.gsub(string.match(slots, '^[^:]*'), '%d+', '') "
	    "local limit = tonumber(redis.call('HGET', p .. 'limits', key) or 1) "
	    "local score = redis.call('ZSCORE', p .. 'long_ready', key) "
	    "local stray = redis.call('ZSCORE', p .. 'ready', key) "
	    "local waits = string.find(slots, ':%d') "
	    "or redis.call('EXISTS', p .. 'q:' .. key, p .. 'f:' .. key) > 0 "
	    "if score and math.floor(score / 2 ^ 40) ~= busy then wrong = wrong + 1 end "
	    "if waits and busy < limit and not score and not stray then wrong = wrong + 1 end "
	    "end return wrong";
	redisReply *reply = redisCommand(rig.raw, "EVAL %s 0", script);

	check(reply->type == REDIS_REPLY_INTEGER);
	check_int(reply->integer, ==, 0);
	freeReplyObject(reply);
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
	else if (dice < 978)
		move_sweep(random_below(KEYS));
	else if (dice < 983)
		move_limit();
	else if (dice < 985)
		move_stray();
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

/* Chance may leave one of the rare events out of a run. */
static bool
saw_everything(void)
{
	return model.taken > 1000 && model.kept > 0 && model.refused > 0 && model.crashes > 0 &&
	       model.flushes > 0 && model.late > 0 && model.lost_answers > 0 && model.expired > 0 &&
	       model.slot_turns > 500 && model.side_by_side > 100 && model.limit_changes > 5 &&
	       model.pauses > 0 && model.long_turns > 300 && model.strayed > 0;
}

static void
no_job_is_lost_doubled_or_overtaken(void)
{
	rig_open(&rig, rig_url());
	rig_long_from = LONG_KEYS;
	for (int i = 0; i < WORKERS; i++)
		worker_start(&model.workers[i]);
	for (int key = 0; key < KEYS; key++)
		model.limit[key] = key < PLAIN_KEYS ? 1 : 1 + random_below(SLOTS);
	tell_limits();
	for (int i = 0; i < STEPS || (i < STEPS_MAX && !saw_everything()); i++) {
		step(random_below(1000));
		check_depths();
		check_lines();
	}
	if (queue_epoch(rig.queue)[0] == '\0')
		move_rebuild();
	memset(model.paused, 0, sizeof(model.paused)); /* resumed */
	for (int i = 0; i < DRAIN_STEPS && open_jobs() > 0; i++) {
		if (i % 20 == 0) {
			move_end_sessions();
			move_sweep(i / 20 % KEYS);
			tell_limits();
		}
		check_depths();
		move_exchange(&model.workers[i % WORKERS]);
		if (i % 100 == 99 && queue_epoch(rig.queue)[0] == '\0')
			move_rebuild();
	}
	printf(
	    "# jobs %d, turns %d, kept %d, refused %d, crashes %d, flushes %d, late %d, lost answers %d, "
	    "leases expired %d\n# slot turns %d, beside another %d, limit changes %d, pauses %d, long turns %d\n",
	    model.job_count, model.taken, model.kept, model.refused, model.crashes, model.flushes,
	    model.late, model.lost_answers, model.expired, model.slot_turns, model.side_by_side,
	    model.limit_changes, model.pauses, model.long_turns);
	check_int(open_jobs(), ==, 0);
	check(saw_everything());
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
