#include "base/json.h"
#include "sql/ledger.h"
#include "sql/reclaim.h"
#include "sql/settle.h"
#include "tests/integration/sql_rig.h"

static struct ledger *ledger;
static struct settle *one, *two;
static struct reclaim *reclaim;
static int key = 100; /* a fresh concurrency key for each test */

/* ---- calls that wait for their answer ------------------------------------------------------- */

struct answer {
	int calls;
	enum sl_code code;
	int64_t number; /* seq, tenure or count */
	bool lost;      /* of a claim */
	struct settle_judged judged[4];
	int count;
};

static void
on_done(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct answer *answer = arg;

	(void)error;
	answer->calls++;
	answer->code = code;
}

static void
on_number(void *arg, enum sl_code code, int64_t number, const struct sl_error *error)
{
	struct answer *answer = arg;

	answer->number = number;
	on_done(arg, code, error);
}

static void
on_claim(void *arg, enum sl_code code, int64_t tenure, bool lost,
	 const struct settle_judged *judged, int count, const struct sl_error *error)
{
	struct answer *answer = arg;

	answer->lost = lost;
	answer->count = count;
	for (int i = 0; i < count && i < 4; i++)
		answer->judged[i] = judged[i];
	on_number(arg, code, tenure, error);
}

static void
on_death(void *arg, enum sl_code code, bool ended, bool dead, const struct sl_error *error)
{
	(void)ended;
	(void)dead;
	on_done(arg, code, error);
}

static enum sl_code
wait_for(struct answer *answer)
{
	rig_until(answer->calls > 0);
	check_int(answer->calls, ==, 1);
	return answer->code;
}

static void
accept(char *id, int max_retries, const char *input)
{
	struct answer answer = {0};
	struct ledger_job job = {.environment_id = 1,
				 .key_id = key,
				 .function_version_id = 2,
				 .connection_id = 3,
				 .kind = JOB_ACTION,
				 .max_retries = max_retries,
				 .input = slice_text(input)};

	uuid_v7(id);
	memcpy(job.id, id, UUID_TEXT);
	ledger_accept(ledger, &job, on_number, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
}

static void
open_session(struct settle *settle)
{
	struct answer answer = {0};

	settle_open(settle, "node", on_done, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(settle_session(settle), >, 0);
}

static enum sl_code
claim(struct settle *settle, int64_t session, int64_t tenure, const char (*ids)[UUID_TEXT],
      int count, struct answer *answer)
{
	memset(answer, 0, sizeof(*answer));
	settle_claim(settle, key, 0, session, tenure, ids, count, on_claim, answer);
	return wait_for(answer);
}

static enum sl_code
begin(struct settle *settle, const char *id, int number)
{
	struct answer answer = {0};

	settle_begin(settle, id, number, on_done, &answer);
	return wait_for(&answer);
}

static enum sl_code
result(struct settle *settle, const char *id, int attempt, enum job_state state, const char *output)
{
	struct answer answer = {0};

	settle_result(settle, id, attempt, state, slice_text(output), NULL, false, on_done,
		      &answer);
	return wait_for(&answer);
}

static enum sl_code
retry(struct settle *settle, const char *id, int attempt, int64_t delay_ms)
{
	struct answer answer = {0};

	settle_retry(settle, id, attempt, delay_ms, false, on_done, &answer);
	return wait_for(&answer);
}

static int64_t
end_session(int64_t session, int64_t beat, enum sl_code expected)
{
	struct answer answer = {0};

	reclaim_end_session(reclaim, session, beat, 3, on_number, &answer);
	check_int(wait_for(&answer), ==, expected);
	return answer.number;
}

static long long
count_of(const char *what, const char *id)
{
	char text[300];

	snprintf(text, sizeof(text), "SELECT count(*) FROM %s WHERE %s = '%s'", what,
		 strncmp(what, "job", 3) == 0 ? "id" : "job_id", id);
	return rig_sql(text);
}

static struct ledger_status status;
static char output[400];

static void
on_status(void *arg, enum sl_code code, const struct ledger_status *it,
	  const struct sl_error *error)
{
	if (code == SL_OK) {
		status = *it;
		snprintf(output, sizeof(output), "%.*s", (int)it->output.len, it->output.data);
	}
	on_done(arg, code, error);
}

static void
read_status(const char *id)
{
	struct answer answer = {0};

	ledger_read(ledger, id, 1, on_status, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
}

static struct reclaim_job jobs[100];
static char inputs[100][20];
static int job_count;

static void
on_jobs(void *arg, enum sl_code code, const struct reclaim_job *it, int count)
{
	job_count = count;
	for (int i = 0; i < count && i < 100; i++) {
		jobs[i] = it[i];
		snprintf(inputs[i], sizeof(inputs[i]), "%.*s", (int)it[i].input.len,
			 it[i].input.data);
	}
	on_done(arg, code, NULL);
}

static int
due_retries(void)
{
	struct answer answer = {0};

	reclaim_due_retries(reclaim, 50, on_jobs, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	return job_count;
}

/* Both workers fresh, no rows of earlier tests. */
static void
fresh(void)
{
	key++;
	rig_sql("TRUNCATE job, attempt, result, retry");
	open_session(one);
	open_session(two);
}

/* ---- the life of a job ---------------------------------------------------------------------- */

static void
a_job_is_claimed_judged_begun_and_settled(void)
{
	char ids[3][UUID_TEXT];
	struct answer answer;

	fresh();
	accept(ids[0], 3, "{}");
	accept(ids[1], 0, "{}");
	uuid_v7(ids[2]); /* nobody accepted it */
	check_int(claim(one, -1, -1, ids, 3, &answer), ==, SL_OK);
	check_int(answer.number, ==, 1);
	check_int(answer.count, ==, 3);
	check(answer.judged[0].known && !answer.judged[0].ended && !answer.judged[0].waiting);
	check_int(answer.judged[0].attempt, ==, 0);
	check_int(answer.judged[0].max_retries, ==, 3);
	check(answer.judged[1].known && answer.judged[1].max_retries == 0);
	check(!answer.judged[2].known);
	check_text(answer.judged[2].job_id, ids[2]);
	check_int(begin(one, ids[0], 1), ==, SL_OK);
	read_status(ids[0]);
	check_int(status.state, ==, 0);
	check_int(status.attempt, ==, 1);
	check(status.attempt_live);
	check_int(result(one, ids[0], 1, JOB_SUCCEEDED, "{\"a\":1}"), ==, SL_OK);
	read_status(ids[0]);
	check_int(status.state, ==, JOB_SUCCEEDED);
	check_text(output, "{\"a\":1}");
	check_int(result(one, ids[0], 1, JOB_FAILED, "{}"), ==,
		  SL_CONFLICT);                                    /* the first one stays */
	check_int(claim(one, -1, -1, ids, 1, &answer), ==, SL_OK); /* ours already */
	check(answer.judged[0].ended);
	check_int(answer.judged[0].attempt, ==, 1);
}

static void
many_results_share_a_commit_and_each_gets_its_own_answer(void)
{
	static char ids[300][UUID_TEXT];
	static struct answer answers[600];
	int done = 0;

	fresh();
	for (int i = 0; i < 300; i++)
		uuid_v7(ids[i]);
	for (int i = 0; i < 300; i += 10) /* every tenth was ended by someone else */
		check_int(result(two, ids[i], 1, JOB_CANCELLED, ""), ==, SL_OK);
	memset(answers, 0, sizeof(answers));
	for (int i = 0; i < 300; i++)
		settle_result(one, ids[i], 1, JOB_SUCCEEDED, slice_text("1"), NULL, false, on_done,
			      &answers[i]);
	for (int i = 0; i < 300; i++) /* and all a second time in the same batch */
		settle_result(one, ids[i], 1, JOB_SUCCEEDED, slice_text("2"), NULL, false, on_done,
			      &answers[300 + i]);
	check_int(settle_pending(one), ==, 600);
	rig_until(settle_pending(one) == 0);
	for (int i = 0; i < 300; i++) {
		check_int(answers[i].code, ==, i % 10 == 0 ? SL_CONFLICT : SL_OK);
		check_int(answers[300 + i].code, ==, SL_CONFLICT);
		done += answers[i].calls + answers[300 + i].calls;
	}
	check_int(done, ==, 600);
	check_int(rig_sql("SELECT count(DISTINCT xmin::text) FROM result WHERE state = 1"), ==, 1);
}

static void
after_a_busy_batch_the_next_one_gathers(void)
{
	struct answer answers[10] = {{0}}, last[2] = {{0}};
	char id[UUID_TEXT];

	fresh();
	for (int round = 0; round < 20;
	     round++) { /* a test that is not run for 4 ms sees nothing */
		rig_sql("TRUNCATE result");
		memset(answers, 0, sizeof(answers));
		memset(last, 0, sizeof(last));
		for (int i = 0; i < 10; i++) {
			uuid_v7(id);
			settle_result(one, id, 1, JOB_SUCCEEDED, slice_text("1"), NULL, false,
				      on_done, &answers[i]);
		}
		wait_for(&answers[9]);
		for (int i = 0; i < 2; i++) {
			uuid_v7(id);
			settle_result(one, id, 1, JOB_FAILED, slice_text("1"), NULL, false, on_done,
				      &last[i]);
			loop_turn(rig_loop, 0); /* without gathering the first is on its way now */
		}
		check_int(wait_for(&last[0]), ==, SL_OK);
		check_int(wait_for(&last[1]), ==, SL_OK);
		if (rig_sql("SELECT count(DISTINCT xmin::text) FROM result") == 2)
			return;
	}
	check(false);
}

static void
a_result_that_is_there_already_fails_no_other(void)
{
	struct answer answers[5] = {{0}};
	char ids[5][UUID_TEXT];

	fresh();
	for (int i = 0; i < 5; i++)
		accept(ids[i], 1, "{}");
	check_int(result(two, ids[2], 0, JOB_CANCELLED, ""), ==, SL_OK);
	check_int(begin(two, ids[4], 1), ==, SL_OK);
	for (int i = 0; i < 3; i++)
		settle_result(one, ids[i], 1, JOB_SUCCEEDED, slice_text("1"), NULL, false, on_done,
			      &answers[i]);
	for (int i = 3; i < 5; i++)
		settle_begin(one, ids[i], 1, on_done, &answers[i]);
	rig_until(settle_pending(one) == 0);
	for (int i = 0; i < 5; i++)
		check_int(answers[i].code, ==, i == 2 || i == 4 ? SL_CONFLICT : SL_OK);
	check_int(rig_sql("SELECT count(*) FROM result"), ==, 3);
	check_int(rig_sql("SELECT count(*) FROM attempt"), ==, 2);
	check_int(result(one, ids[3], 1, JOB_SUCCEEDED, "1"), ==, SL_OK);
}

/* ---- the fence ------------------------------------------------------------------------------ */

static void
nothing_is_written_under_a_session_that_was_ended(void)
{
	char ids[1][UUID_TEXT];
	struct answer answer = {0};
	int64_t session;

	fresh();
	accept(ids[0], 5, "{}");
	session = settle_session(one);
	end_session(session, 0, SL_OK);
	check_int(begin(one, ids[0], 1), ==, SL_CONFLICT);
	check_int(settle_session(one), ==, 0);
	check_int(result(one, ids[0], 1, JOB_SUCCEEDED, "1"), ==, SL_CONFLICT);
	check_int(retry(one, ids[0], 1, 0), ==, SL_CONFLICT);
	check_int(claim(one, -1, -1, ids, 1, &answer), ==, SL_CONFLICT);
	settle_beat(one, on_done, memset(&answer, 0, sizeof(answer)));
	check_int(wait_for(&answer), ==, SL_CONFLICT);
	check_int(count_of("attempt", ids[0]) + count_of("result", ids[0]) +
		      count_of("retry", ids[0]),
		  ==, 0);
	open_session(one);
	check_int(begin(one, ids[0], 1), ==, SL_OK);
}

/* Each kind is the first to notice, in a batch of its own. */
static void
each_kind_of_write_is_fenced(void)
{
	char ids[1][UUID_TEXT];
	struct answer answer = {0};

	fresh();
	accept(ids[0], 5, "{}");
	end_session(settle_session(one), 0, SL_OK);
	check_int(result(one, ids[0], 1, JOB_SUCCEEDED, "1"), ==, SL_CONFLICT);
	open_session(one);
	end_session(settle_session(one), 0, SL_OK);
	check_int(retry(one, ids[0], 1, 0), ==, SL_CONFLICT);
	open_session(one);
	end_session(settle_session(one), 0, SL_OK);
	check_int(claim(one, -1, -1, ids, 1, &answer), ==, SL_CONFLICT);
	check_int(rig_sql("SELECT (SELECT count(*) FROM attempt) + (SELECT count(*) FROM result)"
			  " + (SELECT count(*) FROM retry)"),
		  ==, 0);
	open_session(one);
	end_session(settle_session(one), 0, SL_OK);
	memset(&answer, 0, sizeof(answer));
	settle_beat(one, on_done, &answer);
	check_int(wait_for(&answer), ==, SL_CONFLICT);
	check_int(settle_session(one), ==, 0);
}

static void
a_session_that_beats_is_not_ended(void)
{
	struct answer answer = {0};

	fresh();
	settle_beat(one, on_done, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	end_session(settle_session(one), 0, SL_CONFLICT);
	end_session(settle_session(one), 1, SL_OK);
}

static void
a_held_key_is_claimed_by_token_or_after_the_session_ended(void)
{
	struct answer answer;
	int64_t first;

	fresh();
	check_int(claim(one, -1, -1, NULL, 0, &answer), ==, SL_OK);
	first = settle_session(one);
	check_int(claim(two, -1, -1, NULL, 0, &answer), ==, SL_CONFLICT);
	check_int(claim(two, first, 2, NULL, 0, &answer), ==, SL_CONFLICT); /* stale token */
	check_int(claim(two, first + 1000, 1, NULL, 0, &answer), ==, SL_CONFLICT);
	check_int(claim(two, first, 1, NULL, 0, &answer), ==, SL_OK);
	check_int(answer.number, ==, 2);
	check_int(claim(one, -1, -1, NULL, 0, &answer), ==, SL_CONFLICT);
	check_int(claim(one, first, 1, NULL, 0, &answer), ==, SL_CONFLICT);
	end_session(settle_session(two), 0, SL_OK);
	check_int(claim(one, -1, -1, NULL, 0, &answer), ==, SL_OK);
	check_int(answer.number, ==, 3);
}

static void
one_flush_claims_several_keys(void)
{
	struct answer answers[5] = {{0}};
	struct answer taken;

	fresh();
	key += 10;
	check_int(claim(two, -1, -1, NULL, 0, &taken), ==, SL_OK);
	for (int i = 0; i < 5; i++) /* key + 4 .. key, the last one is held */
		settle_claim(one, key + 4 - i, 0, -1, -1, NULL, 0, on_claim, &answers[i]);
	rig_until(settle_pending(one) == 0);
	for (int i = 0; i < 5; i++)
		check_int(answers[i].code, ==, i == 4 ? SL_CONFLICT : SL_OK);
	key += 10;
}

/* ---- keys with several slots ---------------------------------------------------------------- */

/* A key of its own in concurrency_key. */
static void
new_key(int slots)
{
	char text[300];

	rig_sql("INSERT INTO environment (name, uuid, is_production, signing_key, callback_url)"
		" VALUES ('slots', 'slots', false, '', '') ON CONFLICT DO NOTHING");
	snprintf(text, sizeof(text),
		 "INSERT INTO concurrency_key (environment_id, name, slots) SELECT id,"
		 " gen_random_uuid()::text, %d FROM environment RETURNING id",
		 slots);
	key = (int)rig_sql(text);
}

static void
set_slots(int slots)
{
	char text[100];

	snprintf(text, sizeof(text), "UPDATE concurrency_key SET slots = %d WHERE id = %d", slots,
		 key);
	rig_sql(text);
}

static enum sl_code
claim_slot(struct settle *settle, int slot, int64_t session, int64_t tenure, struct answer *answer)
{
	memset(answer, 0, sizeof(*answer));
	settle_claim(settle, key, slot, session, tenure, NULL, 0, on_claim, answer);
	return wait_for(answer);
}

static void
each_slot_of_a_key_has_a_holder_of_its_own(void)
{
	struct answer answer;

	fresh();
	new_key(3);
	check_int(claim_slot(one, 0, -1, -1, &answer), ==, SL_OK);
	check_int(claim_slot(two, 1, -1, -1, &answer), ==, SL_OK);
	check_int(claim_slot(two, 2, -1, -1, &answer), ==, SL_OK);
	check_int(answer.number, ==, 1);
	check_int(claim_slot(one, 3, -1, -1, &answer), ==, SL_CONFLICT); /* the limit */
	check_int(claim_slot(one, 500, -1, -1, &answer), ==, SL_CONFLICT);
	check_int(claim_slot(one, -1, -1, -1, &answer), ==, SL_INVALID);
	check_int(claim_slot(one, 40000, -1, -1, &answer), ==, SL_INVALID);
	check_int(claim_slot(two, 0, -1, -1, &answer), ==, SL_CONFLICT);
	check_int(claim_slot(one, 2, -1, -1, &answer), ==, SL_CONFLICT);
	/* A token is of one slot. */
	check_int(claim_slot(one, 2, settle_session(two), 2, &answer), ==, SL_CONFLICT);
	check_int(claim_slot(one, 2, settle_session(two), 1, &answer), ==, SL_OK);
	check_int(answer.number, ==, 2);
	check(!answer.lost);
	check_int(claim_slot(one, 1, settle_session(two), 2, &answer), ==, SL_CONFLICT);
	end_session(settle_session(two), 0, SL_OK);
	check_int(claim_slot(one, 1, -1, -1, &answer), ==, SL_OK);
	check(answer.lost);
	key = 1000000; /* a key that is not there has one slot */
	check_int(claim_slot(one, 0, -1, -1, &answer), ==, SL_OK);
	check_int(claim_slot(one, 1, -1, -1, &answer), ==, SL_CONFLICT);
	key = 100000;
}

static void
one_flush_claims_slots_of_several_keys(void)
{
	struct answer answers[6] = {{0}};
	int keys[2];

	fresh();
	for (int i = 0; i < 2; i++) {
		new_key(2);
		keys[i] = key;
	}
	for (int i = 0; i < 6; i++) /* slots 2, 1, 0 of both */
		settle_claim(one, keys[i % 2], 2 - i / 2, -1, -1, NULL, 0, on_claim, &answers[i]);
	rig_until(settle_pending(one) == 0);
	for (int i = 0; i < 6; i++)
		check_int(answers[i].code, ==, i < 2 ? SL_CONFLICT : SL_OK);
	memset(answers, 0, sizeof(answers));
	for (int i = 0; i < 6; i++) /* by a token that only slot 1 of the second key has */
		settle_claim(two, keys[i % 2], 2 - i / 2, settle_session(one), i == 3 ? 1 : 2, NULL,
			     0, on_claim, &answers[i]);
	rig_until(settle_pending(two) == 0);
	for (int i = 0; i < 6; i++)
		check_int(answers[i].code, ==, i == 3 ? SL_OK : SL_CONFLICT);
	key = 110000;
}

static void
a_lower_limit_refuses_what_starts_next(void)
{
	struct answer answer;
	char id[UUID_TEXT];

	fresh();
	new_key(3);
	for (int slot = 0; slot < 3; slot++)
		check_int(claim_slot(one, slot, -1, -1, &answer), ==, SL_OK);
	accept(id, 0, "{}");
	set_slots(2);
	check_int(claim_slot(one, 2, -1, -1, &answer), ==, SL_CONFLICT); /* its own, too */
	check_int(claim_slot(two, 2, settle_session(one), 1, &answer), ==, SL_CONFLICT);
	check_int(begin(one, id, 1), ==, SL_OK); /* what runs there goes on to its end */
	check_int(result(one, id, 1, JOB_SUCCEEDED, "1"), ==, SL_OK);
	check_int(claim_slot(one, 1, -1, -1, &answer), ==, SL_OK);
	set_slots(3);
	check_int(claim_slot(two, 2, settle_session(one), 1, &answer), ==, SL_OK);
	key = 120000;
}

static void
slots_are_released_one_by_one(void)
{
	struct settle_key keep[2];
	struct answer answer;

	fresh();
	new_key(3);
	for (int slot = 0; slot < 3; slot++)
		check_int(claim_slot(one, slot, -1, -1, &answer), ==, SL_OK);
	keep[0] = (struct settle_key){key, 1};
	keep[1] = (struct settle_key){key + 1, 0};
	memset(&answer, 0, sizeof(answer));
	settle_release(one, keep, 2, on_done, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(claim_slot(two, 0, -1, -1, &answer), ==, SL_OK);
	check(!answer.lost);
	check_int(claim_slot(two, 1, -1, -1, &answer), ==, SL_CONFLICT);
	check_int(claim_slot(two, 2, -1, -1, &answer), ==, SL_OK);
	key = 130000;
}

static struct reclaim_limit limits[8];

static void
on_limits(void *arg, enum sl_code code, const struct reclaim_limit *it, int count)
{
	struct answer *answer = arg;

	answer->count = count;
	for (int i = 0; i < count && i < 8; i++)
		limits[i] = it[i];
	on_done(arg, code, NULL);
}

static void
the_scheduler_reads_all_limits_above_one(void)
{
	struct answer answer = {0};
	int first;

	rig_sql("DELETE FROM concurrency_key");
	new_key(2);
	first = key;
	new_key(1);
	new_key(500);
	reclaim_limits(reclaim, 100, on_limits, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(answer.count, ==, 2);
	check_int(limits[0].key_id, ==, first);
	check_int(limits[0].slots, ==, 2);
	check_int(limits[1].key_id, ==, key);
	check_int(limits[1].slots, ==, 500);
	check_int(limits[1].environment_id, ==, rig_sql("SELECT id FROM environment"));
	key = 140000;
}

/* What an environment says goes before. */
static void
the_scheduler_gives_runs_of_syncs_the_slots_of_its_setting(void)
{
	struct answer answer = {0};

	rig_sql("DELETE FROM concurrency_key;"
		" INSERT INTO concurrency_key (environment_id, name, slots)"
		" SELECT id, 'syncs', 100 FROM environment;"
		" INSERT INTO concurrency_key (environment_id, name, slots)"
		" SELECT id, 'actions:connection:1', 9 FROM environment");
	reclaim_limits(reclaim, 20, on_limits, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(answer.count, ==, 2);
	check_int(limits[0].slots, ==, 20);
	check_int(limits[1].slots, ==, 9);
	rig_sql("UPDATE environment SET sync_limit = 30");
	memset(&answer, 0, sizeof(answer));
	reclaim_limits(reclaim, 20, on_limits, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(limits[0].slots, ==, 30);
	rig_sql("UPDATE environment SET sync_limit = NULL; DELETE FROM concurrency_key");
}

static void
begin_is_refused_when_the_job_is_not_ours_to_start(void)
{
	char id[UUID_TEXT], unknown[UUID_TEXT];

	fresh();
	accept(id, 1, "{}");
	uuid_v7(unknown);
	check_int(begin(one, unknown, 1), ==, SL_CONFLICT);
	check_int(begin(one, id, 1), ==, SL_OK);
	check_int(begin(two, id, 1), ==, SL_CONFLICT); /* another session has that try */
	check_int(begin(one, id, 1), ==, SL_CONFLICT); /* and it starts once */
	check_int(begin(one, id, 3), ==, SL_CONFLICT); /* one retry: at most two starts */
	check_int(begin(one, id, 2), ==, SL_OK);
	check_int(result(two, id, 0, JOB_CANCELLED, ""), ==, SL_OK);
	accept(id, 1, "{}");
	check_int(result(two, id, 0, JOB_CANCELLED, ""), ==, SL_OK);
	check_int(begin(one, id, 1), ==, SL_CONFLICT); /* cancelled */
	check_int(begin(one, "nonsense", 1), ==, SL_INVALID);
}

/* Ending a session waits for the batch that is under way, and then sees what it wrote. */
static void
a_batch_under_way_is_seen_by_the_end_of_its_session(void)
{
	char id[UUID_TEXT];
	struct answer begun = {0}, ended = {0};
	char text[200];

	fresh();
	accept(id, 0, "{}");
	snprintf(text, sizeof(text),
		 "BEGIN; INSERT INTO attempt (job_id, number, session_id)"
		 " VALUES ('%s', 1, 999999)",
		 id);
	rig_sql(text); /* the begin will wait for this row, with its session locked */
	settle_begin(one, id, 1, on_done, &begun);
	rig_turns(100);
	reclaim_end_session(reclaim, settle_session(one), 0, 3, on_number, &ended);
	rig_turns(200);
	check_int(begun.calls + ended.calls, ==, 0);
	rig_sql("ROLLBACK");
	check_int(wait_for(&begun), ==, SL_OK);
	check_int(wait_for(&ended), ==, SL_OK);
	check_int(ended.number, ==, 1);
	read_status(id);
	check_int(status.state, ==, JOB_WORKER_LOST);
}

/* ---- retries and lost workers --------------------------------------------------------------- */

static struct reclaim_delayed delayed; /* the first of them */
static int delayed_count;

static void
on_delayed(void *arg, enum sl_code code, const struct reclaim_delayed *rows, int count)
{
	bool *said = arg;

	check_int(code, ==, SL_OK);
	if (count > 0)
		delayed = rows[0];
	delayed_count = count;
	*said = true;
}

static void
ask_delayed(void)
{
	bool said = false;

	reclaim_delayed(reclaim, on_delayed, &said);
	rig_until(said);
}

static void
a_failed_try_waits_and_comes_back(void)
{
	char ids[1][UUID_TEXT];
	struct answer answer = {0};

	fresh();
	accept(ids[0], 2, "{\"x\":1}");
	check_int(begin(one, ids[0], 1), ==, SL_OK);
	check_int(retry(one, ids[0], 1, 60000), ==, SL_OK);
	check_int(retry(one, ids[0], 1, 60000), ==, SL_CONFLICT); /* decided once */
	read_status(ids[0]);
	check_int(status.attempt, ==, 1);
	check(!status.attempt_live);
	check_int(status.retry_due_ms, >, clock_wall_ms() + 50000);
	check_int(claim(one, -1, -1, ids, 1, &answer), ==, SL_OK);
	check(answer.judged[0].waiting);
	check_int(due_retries(), ==, 0);
	ask_delayed();
	check_int(delayed_count, ==, 1);
	check_int(delayed.jobs, ==, 1);
	check_int(delayed.late_ms, ==, 0);
	rig_sql("UPDATE retry SET due_at = now() - interval '2 s'");
	ask_delayed();
	check_int(delayed.late_ms, >=, 2000);
	check_int(delayed.late_ms, <, 60000);
	check_int(due_retries(), ==, 1);
	check_text(jobs[0].id, ids[0]);
	check_int(jobs[0].attempt, ==, 2);
	check_int(jobs[0].max_retries, ==, 2);
	check_int(jobs[0].key_id, ==, key);
	check_int(jobs[0].accepted_ms, >, clock_wall_ms() - 60000);
	check(jobs[0].has_input);
	check_text(inputs[0], "{\"x\":1}");
	check_int(due_retries(), ==, 0);
	check_int(begin(one, ids[0], 2), ==, SL_OK);
	ask_delayed();
	check_int(delayed_count, ==, 0);
}

static void
a_try_without_effects_that_fails_is_counted_too(void)
{
	char id[UUID_TEXT];

	fresh();
	accept(id, 1, "{}");
	check_int(retry(one, id, 1, 0), ==, SL_OK);
	check_int(count_of("attempt", id), ==, 1);
	check_int(due_retries(), ==, 1);
	check_int(jobs[0].attempt, ==, 2);
	accept(id, 1, "{}");
	check_int(result(one, id, 0, JOB_CANCELLED, ""), ==, SL_OK);
	check_int(retry(one, id, 1, 0), ==, SL_CONFLICT);
	check_int(count_of("retry", id), ==, 0);
}

static void
retries_of_ended_jobs_are_dropped_and_the_others_come_in_order(void)
{
	char ids[5][UUID_TEXT];
	char text[200];

	fresh();
	for (int i = 0; i < 5; i++)
		accept(ids[i], 1, "{}");
	for (int i = 4; i >= 0; i--)
		check_int(retry(one, ids[i], 1, 0), ==, SL_OK);
	snprintf(text, sizeof(text),
		 "INSERT INTO result (job_id, attempt, state, session_id) VALUES ('%s', 0, 3, 0)",
		 ids[2]);
	rig_sql(text);
	check_int(due_retries(), ==, 4);
	check_text(jobs[0].id, ids[0]);
	check_text(jobs[1].id, ids[1]);
	check_text(jobs[2].id, ids[3]);
	check_text(jobs[3].id, ids[4]);
	check_int(rig_sql("SELECT count(*) FROM retry"), ==, 0);
}

static void
a_lost_worker_uses_up_the_tries_it_had_begun(void)
{
	char none[UUID_TEXT], some[UUID_TEXT], done[UUID_TEXT], idle[UUID_TEXT], waits[UUID_TEXT];
	struct json_value value;
	struct sl_error error;

	fresh();
	accept(none, 0, "{}");
	accept(some, 1, "{}");
	accept(done, 0, "{}");
	accept(idle, 0, "{}");
	accept(waits, 2, "{}");
	check_int(begin(one, none, 1), ==, SL_OK);
	check_int(begin(one, some, 1), ==, SL_OK);
	check_int(begin(one, done, 1), ==, SL_OK);
	check_int(begin(one, waits, 1), ==, SL_OK);
	check_int(result(one, done, 1, JOB_SUCCEEDED, "1"), ==, SL_OK);
	check_int(retry(one, waits, 1, 0), ==, SL_OK);
	check_int(due_retries(), ==, 1); /* on its way through Redis */
	check_int(end_session(settle_session(one), 0, SL_OK), ==, 2);
	read_status(none);
	check_int(status.state, ==, JOB_WORKER_LOST);
	check_int(json_check(slice_text(output), &value, &error), ==, SL_OK);
	check(slice_is(json_get(value, "code").raw, "\"action_script_failure\""));
	check(strstr(output, "\"payload\":{\"error\":\"worker_lost: ") != NULL);
	read_status(some);
	check_int(status.state, ==, 0);
	check_int(status.attempt, ==, 1);
	check(!status.attempt_live);
	read_status(done);
	check_int(status.state, ==, JOB_SUCCEEDED);
	read_status(idle);
	check_int(status.state, ==, 0);
	check_int(due_retries(), ==, 1); /* not the one that waits a second time */
	check_text(jobs[0].id, some);
	check_int(jobs[0].attempt, ==, 2);
	end_session(settle_session(one), 0, SL_CONFLICT);
	check_int(begin(two, some, 2), ==, SL_OK);
	check_int(end_session(settle_session(two), 0, SL_OK), ==, 1);
	read_status(some);
	check_int(status.state, ==, JOB_WORKER_LOST);
}

static void
closing_ends_the_session_after_what_was_handed_in(void)
{
	char id[UUID_TEXT], open[UUID_TEXT];
	struct answer settled = {0}, closed = {0}, taken;

	fresh();
	accept(id, 0, "{}");
	accept(open, 0, "{}");
	check_int(claim(one, -1, -1, NULL, 0, &taken), ==, SL_OK);
	check_int(begin(one, open, 1), ==, SL_OK);
	settle_result(one, id, 1, JOB_SUCCEEDED, slice_text("1"), NULL, false, on_done, &settled);
	settle_close(one, on_done, &closed);
	check_int(wait_for(&closed), ==, SL_OK);
	check_int(settled.code, ==, SL_OK);
	check_int(settled.calls, ==, 1);
	check_int(settle_session(one), ==, 0);
	read_status(open);
	check_int(status.state, ==, JOB_WORKER_LOST);
	check_int(claim(two, -1, -1, NULL, 0, &taken), ==, SL_OK);
	memset(&closed, 0, sizeof(closed));
	settle_close(one, on_done, &closed);
	check_int(wait_for(&closed), ==, SL_CONFLICT);
}

static void
all_sessions_can_be_ended_at_once(void)
{
	char id[UUID_TEXT];
	struct answer answer = {0};
	long long live;

	fresh();
	accept(id, 0, "{}");
	check_int(begin(two, id, 1), ==, SL_OK);
	live = rig_sql("SELECT count(*) FROM session WHERE live");
	reclaim_end_all_sessions(reclaim, 3, on_number, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(answer.number, ==, live);
	check_int(rig_sql("SELECT count(*) FROM session WHERE live"), ==, 0);
	read_status(id);
	check_int(status.state, ==, JOB_WORKER_LOST);
}

static int sessions_seen;

static void
on_sessions(void *arg, enum sl_code code, const struct reclaim_session *sessions, int count)
{
	sessions_seen = 0;
	for (int i = 0; i < count; i++)
		sessions_seen += sessions[i].id == settle_session(one) && sessions[i].beat == 2;
	on_done(arg, code, NULL);
}

static void
the_scheduler_sees_each_beat(void)
{
	struct answer answer = {0};

	fresh();
	for (int i = 0; i < 2; i++) {
		memset(&answer, 0, sizeof(answer));
		settle_beat(one, on_done, &answer);
		check_int(wait_for(&answer), ==, SL_OK);
	}
	memset(&answer, 0, sizeof(answer));
	reclaim_sessions(reclaim, on_sessions, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(sessions_seen, ==, 1);
}

static void
open_jobs_are_found_page_by_page(void)
{
	char ids[7][UUID_TEXT];
	char *big = sl_alloc(20001);
	struct answer answer = {0};

	fresh();
	for (int i = 0; i < 5; i++)
		accept(ids[i], 1, "{}");
	memset(big, '1', 20000);
	accept(ids[5], 1, big);
	accept(ids[6], 1, "");
	free(big);
	check_int(result(one, ids[1], 1, JOB_SUCCEEDED, "1"), ==, SL_OK);
	check_int(retry(one, ids[2], 1, 60000), ==, SL_OK);
	check_int(begin(one, ids[3], 1), ==, SL_OK);
	reclaim_open_jobs(reclaim, 0, NULL, 2, on_jobs, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(job_count, ==, 2);
	check_text(jobs[0].id, ids[0]);
	check_text(jobs[1].id, ids[3]);
	check_int(jobs[1].attempt, ==, 2);
	memset(&answer, 0, sizeof(answer));
	reclaim_open_jobs(reclaim, 0, ids[3], 50, on_jobs, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(job_count, ==, 3);
	check_text(jobs[1].id, ids[5]);
	check(!jobs[1].has_input && jobs[1].input.len == 0);
	check(jobs[2].has_input && jobs[2].input.len == 0);
	memset(&answer, 0, sizeof(answer));
	reclaim_open_jobs(reclaim, 60000, "", 50, on_jobs, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(job_count, ==, 0);
}

static void
one_scheduler_leads_until_its_connection_ends(void)
{
	struct pg_settings settings = {rig_conninfo, "sluiced second", false, 0, false};
	struct reclaim *second = reclaim_new(rig_loop, &settings);
	struct answer answer = {0};

	for (int i = 0; i < 2; i++) { /* asking again changes nothing */
		memset(&answer, 0, sizeof(answer));
		reclaim_lead(reclaim, on_number, &answer);
		check_int(wait_for(&answer), ==, SL_OK);
		check_int(answer.number, ==, 1);
	}
	check(reclaim_is_leader(reclaim));
	memset(&answer, 0, sizeof(answer));
	reclaim_lead(second, on_number, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(answer.number, ==, 0);
	check(!reclaim_is_leader(second));
	rig_cut("sluiced scheduler");
	rig_until(!reclaim_is_leader(reclaim));
	memset(&answer, 0, sizeof(answer));
	reclaim_lead(second, on_number, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(answer.number, ==, 1);
	reclaim_free(second);
	memset(&answer, 0, sizeof(answer));
	reclaim_partitions(reclaim, on_number, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(answer.number, ==, 0);
}

/* ---- plans ---------------------------------------------------------------------------------- */

/* Plans are made while the tables are empty, and kept: they must not be scans of what they become.
 */
static void
statements_read_their_rows_and_no_others(void)
{
	char ids[1][UUID_TEXT];
	struct answer answer = {0};
	long long before = 0;

	fresh();
	rig_sql("VACUUM ANALYZE"); /* entries of rows that are gone count as read, too */
	rig_cut("sluiced");
	rig_turns(300);
	rig_until(settle_is_up(one) && settle_is_up(two) && ledger_is_up(ledger));
	for (int round = 0; round < 2; round++) {
		if (round == 1) {
			rig_sql(
			    "INSERT INTO job SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)"
			    "::bigint), 12, '0') || left(md5(n::text), 20))::uuid,"
			    " n, 1, 1, 1, 1, now(), 1, 1, true FROM generate_series(1, 20000) n;"
			    "INSERT INTO result SELECT id, 1, 1, 1 FROM job ON CONFLICT DO NOTHING;"
			    "INSERT INTO attempt SELECT id, 1, 1 FROM job ON CONFLICT DO NOTHING;"
			    "INSERT INTO retry SELECT id, 2, 'infinity' FROM job ON CONFLICT DO NOTHING;"
			    "INSERT INTO hold SELECT 1000000 + n, 0, 1, 1 FROM"
			    " generate_series(1, 20000) n;"
			    "INSERT INTO death SELECT id, id, 1, 1, false FROM job ON CONFLICT DO NOTHING;"
			    "INSERT INTO concurrency_key (environment_id, name, slots) SELECT id, n, 2"
			    " FROM environment, generate_series(1, 20000) n;"
			    "INSERT INTO session (node, live) SELECT 'old', false FROM"
			    " generate_series(1, 20000)");
			before = rig_rows_read(false);
		}
		key++;
		accept(ids[0], 3, "{}");
		check_int(claim(two, -1, -1, NULL, 0, &answer), ==, SL_OK);
		check_int(claim(one, -1, -1, ids, 1, &answer), ==, SL_CONFLICT);
		check_int(claim(one, settle_session(two), 1, ids, 1, &answer), ==, SL_OK);
		check_int(claim_slot(one, 1, -1, -1, &answer), ==, SL_CONFLICT);
		memset(&answer, 0, sizeof(answer));
		settle_suspect(one, ids[0], 3, on_done, &answer);
		check_int(wait_for(&answer), ==, SL_OK);
		memset(&answer, 0, sizeof(answer));
		settle_death(one, ids[0], 1, false, &(struct settle_death){9, 0, NULL}, 3, 0,
			     slice_text(""), on_death, &answer);
		check_int(wait_for(&answer), ==, SL_OK);
		check_int(due_retries(), ==, 1);
		check_int(begin(one, ids[0], 1), ==, SL_OK);
		check_int(retry(one, ids[0], 1, 60000), ==, SL_OK);
		check_int(begin(one, ids[0], 2), ==, SL_OK);
		check_int(result(one, ids[0], 2, JOB_SUCCEEDED, "1"), ==, SL_OK);
		read_status(ids[0]);
	}
	check_int(rig_rows_read(true) - before, <, 2000);
	rig_sql("DELETE FROM hold WHERE key_id > 1000000; DELETE FROM session WHERE node = 'old'");
}

/* ---- faults --------------------------------------------------------------------------------- */

#define STORM 1500

/* Each job is begun, then ended or sent to a retry, while the connection is cut again and again. */
static void
cut_connections_settle_each_job_once(void)
{
	static char ids[STORM][UUID_TEXT];
	static struct answer begun[STORM], ended[STORM];
	int next_end = 0, cuts = 0;

	fresh();
	memset(begun, 0, sizeof(begun));
	memset(ended, 0, sizeof(ended));
	for (int i = 0; i < STORM; i++)
		accept(ids[i], 1, "{}");
	for (int i = 0; i < STORM; i++) {
		settle_begin(one, ids[i], 1, on_done, &begun[i]);
		if (i % 5 == 0)
			loop_turn(rig_loop, 2);
		for (; next_end < i && begun[next_end].calls > 0; next_end++) {
			check_int(begun[next_end].code, ==, SL_OK);
			if (next_end % 3 == 0)
				settle_retry(one, ids[next_end], 1, 0, false, on_done,
					     &ended[next_end]);
			else
				settle_result(one, ids[next_end], 1, JOB_SUCCEEDED, slice_text("1"),
					      NULL, false, on_done, &ended[next_end]);
		}
		if (i % 150 != 149)
			continue;
		rig_until(settle_is_up(one)); /* what gathered is on its way now */
		cuts += (int)rig_cut("sluiced worker one");
		rig_until(!settle_is_up(one));
	}
	rig_until(settle_pending(one) == 0);
	for (; next_end < STORM; next_end++)
		settle_result(one, ids[next_end], 1, JOB_SUCCEEDED, slice_text("1"), NULL, false,
			      on_done, &ended[next_end]);
	rig_until(settle_pending(one) == 0);
	check_int(cuts, >, 2);
	for (int i = 0; i < STORM; i++) {
		check_int(begun[i].code, ==, SL_OK);
		check_int(begun[i].calls, ==, 1);
		check_int(ended[i].code, ==, SL_OK);
		check_int(ended[i].calls, ==, 1);
	}
	check_int(rig_sql("SELECT count(*) FROM attempt"), ==, STORM);
	check_int(rig_sql("SELECT (SELECT count(*) FROM result) + (SELECT count(*) FROM retry)"),
		  ==, STORM);
}

/* The first commit was made, its answer lost, and the retry taken before the second. */
static void
a_repeated_retry_is_not_queued_twice(void)
{
	char id[UUID_TEXT];
	struct answer answer = {0};
	char text[300];

	fresh();
	accept(id, 1, "{}");
	check_int(begin(one, id, 1), ==, SL_OK);
	rig_sql("BEGIN; LOCK TABLE retry IN EXCLUSIVE MODE");
	settle_retry(one, id, 1, 0, false, on_done, &answer);
	rig_turns(100);
	rig_cut("sluiced worker one");
	rig_turns(20);
	snprintf(text, sizeof(text), "UPDATE attempt SET ended_at = now() WHERE job_id = '%s'", id);
	rig_sql(text);
	rig_sql("COMMIT");
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(count_of("retry", id), ==, 0);
}

static void
a_repeated_begin_and_result_of_ours_count_as_done(void)
{
	char id[UUID_TEXT], other[UUID_TEXT];
	struct answer begun = {0}, settled = {0}, foreign = {0};
	char text[500];

	fresh();
	accept(id, 1, "{}");
	accept(other, 1, "{}");
	rig_sql("BEGIN; LOCK TABLE result IN EXCLUSIVE MODE");
	settle_result(one, other, 1, JOB_SUCCEEDED, slice_text("1"), NULL, false, on_done,
		      &settled);
	settle_begin(one, id, 1, on_done, &begun);
	settle_begin(one, other, 2, on_done, &foreign);
	rig_turns(100);
	rig_cut("sluiced worker one");
	rig_turns(20);
	snprintf(
	    text, sizeof(text),
	    "INSERT INTO result (job_id, attempt, state, session_id) VALUES ('%s', 1, 1, %lld);"
	    "INSERT INTO attempt (job_id, number, session_id) VALUES ('%s', 1, %lld)",
	    other, (long long)settle_session(one), id, (long long)settle_session(one));
	rig_sql(text);
	rig_sql("COMMIT");
	check_int(wait_for(&settled), ==, SL_OK);
	check_int(wait_for(&begun), ==, SL_OK);
	check_int(wait_for(&foreign), ==, SL_CONFLICT); /* that job has ended */
}

/* A session that was ended while the connection was away: what was in doubt is refused. */
static void
a_result_in_doubt_is_refused_when_the_session_was_ended_meanwhile(void)
{
	char id[UUID_TEXT];
	struct answer answer = {0};
	char text[200];

	fresh();
	accept(id, 0, "{}");
	rig_sql("BEGIN; LOCK TABLE result IN EXCLUSIVE MODE");
	settle_result(one, id, 1, JOB_SUCCEEDED, slice_text("1"), NULL, false, on_done, &answer);
	rig_turns(100);
	rig_cut("sluiced worker one");
	snprintf(text, sizeof(text), "UPDATE session SET live = false WHERE id = %lld",
		 (long long)settle_session(one));
	rig_sql(text);
	rig_sql("COMMIT");
	check_int(wait_for(&answer), ==, SL_CONFLICT);
	check_int(count_of("result", id), ==, 0);
	check_int(settle_session(one), ==, 0);
}

static void
freeing_answers_what_is_open(void)
{
	struct pg_settings settings = {rig_conninfo, "sluiced brief", true, 0, false};
	struct settle *brief = settle_new(rig_loop, &settings);
	struct answer answers[3] = {{0}};
	char id[UUID_TEXT];

	uuid_v7(id);
	open_session(brief);
	settle_begin(brief, id, 1, on_done, &answers[0]);
	rig_turns(0);
	settle_begin(brief, id, 2, on_done, &answers[1]);
	settle_close(brief, on_done, &answers[2]);
	settle_free(brief);
	for (int i = 0; i < 3; i++) {
		check_int(answers[i].calls, ==, 1);
		check_int(answers[i].code, !=, SL_OK);
	}
	rig_turns(20);
}

int
main(void)
{
	struct pg_settings settings = {NULL, "sluiced accept", true, 0, false};

	rig_start();
	rig_migrate();
	settings.conninfo = rig_conninfo;
	ledger = ledger_new(rig_loop, &settings);
	settings.name = "sluiced worker one";
	one = settle_new(rig_loop, &settings);
	settings.name = "sluiced worker two";
	two = settle_new(rig_loop, &settings);
	settings.name = "sluiced scheduler";
	settings.hot = false;
	reclaim = reclaim_new(rig_loop, &settings);
	CHECK_RUN(a_job_is_claimed_judged_begun_and_settled);
	CHECK_RUN(many_results_share_a_commit_and_each_gets_its_own_answer);
	CHECK_RUN(after_a_busy_batch_the_next_one_gathers);
	CHECK_RUN(a_result_that_is_there_already_fails_no_other);
	CHECK_RUN(nothing_is_written_under_a_session_that_was_ended);
	CHECK_RUN(each_kind_of_write_is_fenced);
	CHECK_RUN(a_session_that_beats_is_not_ended);
	CHECK_RUN(a_held_key_is_claimed_by_token_or_after_the_session_ended);
	CHECK_RUN(one_flush_claims_several_keys);
	CHECK_RUN(each_slot_of_a_key_has_a_holder_of_its_own);
	CHECK_RUN(one_flush_claims_slots_of_several_keys);
	CHECK_RUN(a_lower_limit_refuses_what_starts_next);
	CHECK_RUN(slots_are_released_one_by_one);
	CHECK_RUN(the_scheduler_reads_all_limits_above_one);
	CHECK_RUN(the_scheduler_gives_runs_of_syncs_the_slots_of_its_setting);
	CHECK_RUN(begin_is_refused_when_the_job_is_not_ours_to_start);
	CHECK_RUN(a_batch_under_way_is_seen_by_the_end_of_its_session);
	CHECK_RUN(a_failed_try_waits_and_comes_back);
	CHECK_RUN(a_try_without_effects_that_fails_is_counted_too);
	CHECK_RUN(retries_of_ended_jobs_are_dropped_and_the_others_come_in_order);
	CHECK_RUN(a_lost_worker_uses_up_the_tries_it_had_begun);
	CHECK_RUN(closing_ends_the_session_after_what_was_handed_in);
	CHECK_RUN(all_sessions_can_be_ended_at_once);
	CHECK_RUN(the_scheduler_sees_each_beat);
	CHECK_RUN(open_jobs_are_found_page_by_page);
	CHECK_RUN(one_scheduler_leads_until_its_connection_ends);
	CHECK_RUN(statements_read_their_rows_and_no_others);
	CHECK_RUN(cut_connections_settle_each_job_once);
	CHECK_RUN(a_repeated_retry_is_not_queued_twice);
	CHECK_RUN(a_repeated_begin_and_result_of_ours_count_as_done);
	CHECK_RUN(a_result_in_doubt_is_refused_when_the_session_was_ended_meanwhile);
	CHECK_RUN(freeing_answers_what_is_open);
	settle_free(one);
	settle_free(two);
	reclaim_free(reclaim);
	ledger_free(ledger);
	rig_stop();
	return check_done();
}
