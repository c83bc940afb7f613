#include <signal.h>
#include <stdarg.h>

#include "base/json.h"
#include "sql/dead.h"
#include "sql/ledger.h"
#include "sql/reclaim.h"
#include "sql/settle.h"
#include "tests/integration/sql_rig.h"

#define DAY_MS (24 * 3600 * INT64_C(1000))
#define DEATHS_MAX 3

static struct ledger *ledger;
static struct settle *one, *two;
static struct reclaim *reclaim;
static struct dead_store *store;
static int key = 100; /* a fresh concurrency key for each test */
static long long environment, version;

/* ---- calls that wait for their answer ------------------------------------------------------- */

struct answer {
	int calls;
	enum sl_code code;
	int64_t number; /* tenure or count */
	bool lost, ended, dead;
	struct settle_judged judged[4];
	int count;
	struct dead_row rows[8];
	struct dead_death deaths[8];
	struct dead_replayed replayed[8];
	struct quarantine_entry entries[8];
	char text[300];
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
	for (int i = 0; i < count && i < 4; i++)
		answer->judged[i] = judged[i];
	on_number(arg, code, tenure, error);
}

static void
on_death(void *arg, enum sl_code code, bool ended, bool dead, const struct sl_error *error)
{
	struct answer *answer = arg;

	answer->ended = ended;
	answer->dead = dead;
	on_done(arg, code, error);
}

static void
on_status(void *arg, enum sl_code code, const struct ledger_status *status,
	  const struct sl_error *error)
{
	struct answer *answer = arg;

	if (status != NULL) {
		answer->number = status->state;
		answer->count = status->attempt;
		snprintf(answer->text, sizeof(answer->text), "%.*s", (int)status->output.len,
			 status->output.data);
	}
	on_done(arg, code, error);
}

static void
on_rows(void *arg, enum sl_code code, const struct dead_row *rows, int count,
	const struct sl_error *error)
{
	struct answer *answer = arg;

	answer->count = count;
	for (int i = 0; i < count && i < 8; i++)
		answer->rows[i] = rows[i];
	if (count > 0) /* texts are borrowed for the call */
		snprintf(answer->text, sizeof(answer->text), "%s/%s", rows[0].integration,
			 rows[0].function);
	on_done(arg, code, error);
}

static void
on_show(void *arg, enum sl_code code, const struct dead_row *row, const struct dead_death *deaths,
	int count, const struct sl_error *error)
{
	struct answer *answer = arg;

	answer->count = count;
	if (row != NULL) {
		answer->rows[0] = *row;
		snprintf(answer->text, sizeof(answer->text), "%s", row->last_call);
	}
	for (int i = 0; i < count && i < 8; i++)
		answer->deaths[i] = deaths[i];
	on_done(arg, code, error);
}

static void
on_replay(void *arg, enum sl_code code, const struct dead_replayed *jobs, int count,
	  const struct sl_error *error)
{
	struct answer *answer = arg;

	answer->count = count;
	for (int i = 0; i < count && i < 8; i++)
		answer->replayed[i] = jobs[i];
	on_done(arg, code, error);
}

static void
on_entries(void *arg, enum sl_code code, const struct quarantine_entry *rows, int count,
	   const struct sl_error *error)
{
	struct answer *answer = arg;

	answer->count = count;
	for (int i = 0; i < count && i < 8; i++)
		answer->entries[i] = rows[i];
	if (count > 0)
		snprintf(answer->text, sizeof(answer->text), "%s", rows[0].reason);
	on_done(arg, code, error);
}

static enum sl_code
wait_for(struct answer *answer)
{
	rig_until(answer->calls > 0);
	check_int(answer->calls, ==, 1);
	return answer->code;
}

SL_PRINTF(1, 2) static long long sql(const char *format, ...)
{
	char text[900];
	va_list values;

	va_start(values, format);
	vsnprintf(text, sizeof(text), format, values);
	va_end(values);
	return rig_sql(text);
}

static void
accept_kind(char *id, int max_retries, enum job_kind kind)
{
	struct answer answer = {0};
	struct ledger_job job = {.environment_id = environment,
				 .key_id = key,
				 .function_version_id = version,
				 .connection_id = 3,
				 .kind = kind,
				 .max_retries = max_retries,
				 .webhook = true,
				 .input = slice_text("{\"x\":1}")};

	uuid_v7(id);
	memcpy(job.id, id, UUID_TEXT);
	ledger_accept(ledger, &job, on_number, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
}

static void
accept(char *id, int max_retries)
{
	accept_kind(id, max_retries, JOB_ACTION);
}

static void
open_session(struct settle *settle)
{
	struct answer answer = {0};

	settle_open(settle, "node", on_done, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
}

static enum sl_code
claim(struct settle *settle, const char *id, struct answer *answer)
{
	char ids[1][UUID_TEXT];

	memcpy(ids[0], id, UUID_TEXT);
	memset(answer, 0, sizeof(*answer));
	settle_claim(settle, key, 0, -1, -1, (const char(*)[UUID_TEXT])ids, 1, on_claim, answer);
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
result(struct settle *settle, const char *id, int attempt, enum job_state state, bool suspect)
{
	struct answer answer = {0};

	settle_result(settle, id, attempt, state, slice_text("1"), NULL, suspect, on_done, &answer);
	return wait_for(&answer);
}

static enum sl_code
retry(struct settle *settle, const char *id, int attempt, bool suspect)
{
	struct answer answer = {0};

	settle_retry(settle, id, attempt, 0, suspect, on_done, &answer);
	return wait_for(&answer);
}

static enum sl_code
suspect(struct settle *settle, const char *id, int deaths_max)
{
	struct answer answer = {0};

	settle_suspect(settle, id, deaths_max, on_done, &answer);
	return wait_for(&answer);
}

static const struct settle_death segfault = {SIGSEGV, 1234567, "GET https://api.test/items"};

static struct answer
death(struct settle *settle, const char *id, int number, bool begun)
{
	struct answer answer = {0};

	settle_death(settle, id, number, begun, &segfault, DEATHS_MAX, 0,
		     slice_text("{\"code\":\"runner\"}"), on_death, &answer);
	wait_for(&answer);
	return answer;
}

static int64_t
end_session(struct settle *settle)
{
	struct answer answer = {0};

	reclaim_end_session(reclaim, settle_session(settle), 0, DEATHS_MAX, on_number, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	open_session(settle); /* a new process of that worker */
	return answer.number;
}

static struct answer
status_of(const char *id)
{
	struct answer answer = {0};

	ledger_read(ledger, id, environment, on_status, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	return answer;
}

static int due_count, due_attempt;

static void
on_due(void *arg, enum sl_code code, const struct reclaim_job *jobs, int count)
{
	due_count = count;
	due_attempt = count > 0 ? jobs[count - 1].attempt : 0;
	on_done(arg, code, NULL);
}

/* The number of the try that came back from the retry table; 0: none. */
static int
due(void)
{
	struct answer answer = {0};

	reclaim_due_retries(reclaim, 50, on_due, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	return due_attempt;
}

static long long
deaths_of(const char *id)
{
	return sql("SELECT count(*) FROM death WHERE job_id = '%s' AND NOT open", id);
}

static long long
rows_of(const char *table, const char *id)
{
	return sql("SELECT count(*) FROM %s WHERE job_id = '%s'", table, id);
}

/* Both workers fresh, no rows of earlier tests. */
static void
fresh(void)
{
	key++;
	rig_sql("TRUNCATE job, attempt, result, retry, death, dead, quarantine");
	open_session(one);
	open_session(two);
}

/* ---- runners that die ----------------------------------------------------------------------- */

static void
a_runner_that_dies_before_any_effect_uses_up_no_try(void)
{
	static const int retries[] = {0, 3};
	struct answer answer;
	char id[UUID_TEXT];

	for (int i = 0; i < 2; i++) {
		fresh();
		accept(id, retries[i]);
		answer = death(one, id, 1, false);
		check_int(answer.code, ==, SL_OK);
		check(!answer.ended && !answer.dead);
		check_int(rows_of("attempt", id), ==, 0);
		check_int(due(), ==, 1);
		check_int(deaths_of(id), ==, 1);
		check_int(claim(one, id, &answer), ==, SL_OK);
		check_int(answer.judged[0].deaths, ==, 1);
		check_int(answer.judged[0].attempt, ==, 0);
		check_int(begin(one, id, 1), ==, SL_OK);
		check_int(result(one, id, 1, JOB_SUCCEEDED, false), ==, SL_OK);
	}
}

static void
a_runner_that_dies_after_an_effect_uses_up_the_try(void)
{
	struct answer answer;
	char id[UUID_TEXT];

	fresh();
	accept(id, 0);
	check_int(begin(one, id, 1), ==, SL_OK);
	answer = death(one, id, 1, true);
	check_int(answer.code, ==, SL_OK);
	check(answer.ended && !answer.dead);
	check_int(due(), ==, 0);
	answer = status_of(id);
	check_int(answer.number, ==, JOB_FAILED);
	check_text(answer.text, "{\"code\":\"runner\"}");
	check_int(rows_of("dead", id), ==, 0);
	accept(id, 3);
	check_int(begin(one, id, 1), ==, SL_OK);
	answer = death(one, id, 1, true);
	check(answer.code == SL_OK && !answer.ended);
	check_int(due(), ==, 2);
	check_int(begin(one, id, 1), ==, SL_CONFLICT);
	check_int(begin(one, id, 2), ==, SL_OK);
}

static void
three_deaths_set_a_job_aside_although_tries_are_left(void)
{
	struct json_value value;
	struct sl_error error;
	struct answer answer;
	char id[UUID_TEXT];

	fresh();
	accept(id, 5);
	check_int(begin(one, id, 1), ==, SL_OK);
	check(!death(one, id, 1, true).ended);
	check_int(due(), ==, 2);
	check(!death(one, id, 2, false).ended);
	check_int(due(), ==, 2);
	check_int(begin(one, id, 2), ==, SL_OK);
	answer = death(one, id, 2, true);
	check(answer.code == SL_OK && answer.ended && answer.dead);
	check_int(due(), ==, 0);
	answer = status_of(id);
	check_int(answer.number, ==, JOB_FAILED);
	check_int(json_check(slice_text(answer.text), &value, &error), ==, SL_OK);
	check(slice_is(json_get(value, "code").raw, "\"action_script_failure\""));
	check(strstr(answer.text, "\"error\":\"poison: ") != NULL);
	check(strstr(answer.text, "signal 11") != NULL);
	memset(&answer, 0, sizeof(answer));
	dead_show(store, id, on_show, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_text(answer.rows[0].job_id, id);
	check_int(answer.rows[0].environment_id, ==, environment);
	check_int(answer.rows[0].kind, ==, JOB_ACTION);
	check_int(answer.rows[0].function_version_id, ==, version);
	check_int(answer.rows[0].connection_id, ==, 3);
	check_int(answer.rows[0].deaths, ==, 3);
	check_int(answer.rows[0].signal, ==, SIGSEGV);
	check_int(answer.rows[0].memory, ==, 1234567);
	check_text(answer.text, "GET https://api.test/items");
	check_int(answer.rows[0].at_ms, >, clock_wall_ms() - 60000);
	check_int(answer.count, ==, 3);
	check_int(answer.deaths[0].cause, ==, SETTLE_RUNNER_DIED);
	check_int(answer.deaths[2].session_id, ==, settle_session(one));
	check_int(claim(one, id, &answer), ==, SL_OK);
	check(answer.judged[0].ended);
}

static void
a_death_is_refused_when_the_run_is_not_that_sessions(void)
{
	struct answer answer = {0};
	char id[UUID_TEXT], unknown[UUID_TEXT];

	fresh();
	accept(id, 3);
	uuid_v7(unknown);
	check_int(death(one, unknown, 1, false).code, ==, SL_CONFLICT);
	check_int(death(one, id, 1, true).code, ==, SL_CONFLICT); /* never begun */
	check_int(death(one, id, 0, false).code, ==, SL_INVALID);
	check_int(death(one, "nonsense", 1, false).code, ==, SL_INVALID);
	settle_death(one, id, 1, false, &segfault, 0, 0, slice_text(""), on_death, &answer);
	check_int(wait_for(&answer), ==, SL_INVALID);
	check_int(begin(two, id, 1), ==, SL_OK);
	check_int(death(one, id, 1, true).code, ==, SL_CONFLICT);
	check_int(death(one, id, 1, false).code, ==, SL_CONFLICT);
	check_int(result(two, id, 1, JOB_SUCCEEDED, false), ==, SL_OK);
	check_int(death(two, id, 1, true).code, ==, SL_CONFLICT); /* ended */
	accept(id, 3);
	memset(&answer, 0, sizeof(answer));
	reclaim_end_session(reclaim, settle_session(one), 0, DEATHS_MAX, on_number, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(death(one, id, 1, false).code, ==, SL_CONFLICT); /* the fence */
	check_int(settle_session(one), ==, 0);
	check_int(rig_sql("SELECT count(*) FROM death"), ==, 0);
	check_int(rig_sql("SELECT count(*) FROM retry"), ==, 0);
}

static void
what_a_runner_asked_for_last_is_kept_as_text(void)
{
	struct settle_death end = {.signal = 9};
	struct answer answer = {0};
	char id[UUID_TEXT], call[300];

	fresh();
	accept(id, 0);
	memset(call, 'a', sizeof(call) - 1);
	call[sizeof(call) - 1] = '\0';
	memcpy(call, "\xff\xc3", 2);
	memcpy(call + 198, "\xe2\x82\xac", 3); /* does not fit whole */
	end.last_call = call;
	settle_death(one, id, 1, false, &end, 1, 0, slice_text(""), on_death, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check(answer.dead);
	memset(&answer, 0, sizeof(answer));
	dead_show(store, id, on_show, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int((int)strlen(answer.text), ==, 198);
	check(strncmp(answer.text, "??aa", 4) == 0);
	check_int(answer.rows[0].signal, ==, 9);
	check_int(answer.rows[0].memory, ==, 0);
}

/* One batch with deaths, suspects, results and begins of several jobs: each gets its own answer. */
static void
deaths_share_a_batch_with_all_else(void)
{
	struct answer answers[8] = {{0}};
	char ids[6][UUID_TEXT];

	fresh();
	for (int i = 0; i < 6; i++)
		accept(ids[i], 1);
	settle_death(one, ids[0], 1, false, &segfault, 1, 0, slice_text(""), on_death, &answers[0]);
	settle_suspect(one, ids[1], 3, on_done, &answers[1]);
	settle_begin(one, ids[2], 1, on_done, &answers[2]);
	settle_death(one, ids[3], 2, true, &segfault, 3, 0, slice_text(""), on_death, &answers[3]);
	settle_result(one, ids[4], 1, JOB_SUCCEEDED, slice_text("1"), NULL, true, on_done,
		      &answers[4]);
	settle_death(one, ids[5], 1, false, &segfault, 3, 0, slice_text(""), on_death, &answers[5]);
	settle_suspect(one, ids[4], 3, on_done, &answers[6]);
	settle_death(one, ids[4], 1, false, &segfault, 3, 0, slice_text(""), on_death, &answers[7]);
	rig_until(settle_pending(one) == 0);
	check(answers[0].code == SL_OK && answers[0].dead);
	check_int(answers[1].code, ==, SL_OK);
	check_int(answers[2].code, ==, SL_OK);
	check_int(answers[3].code, ==, SL_CONFLICT);
	check_int(answers[4].code, ==, SL_OK);
	check(answers[5].code == SL_OK && !answers[5].ended);
	check_int(answers[6].code, ==, SL_CONFLICT);
	check_int(answers[7].code, ==, SL_CONFLICT);
	check_int(rig_sql("SELECT count(DISTINCT xmin::text) FROM death"), ==, 1);
}

/* ---- workers that are lost ------------------------------------------------------------------ */

static void
a_job_that_kills_its_worker_before_any_effect_is_dead_after_three_starts(void)
{
	struct settle *workers[] = {one, two, one, two};
	struct answer answer;
	char id[UUID_TEXT];
	int starts = 0;

	fresh();
	accept(id, 5);
	for (int i = 0; i < 4; i++) {
		check_int(claim(workers[i], id, &answer), ==, SL_OK);
		check_int(answer.lost, ==, i > 0);
		if (answer.judged[0].ended)
			break;
		check_int(answer.judged[0].deaths, ==, i < 2 ? 0 : 2);
		if (answer.lost || answer.judged[0].deaths > 0)
			check_int(suspect(workers[i], id, DEATHS_MAX), ==, SL_OK);
		starts++;
		end_session(workers[i]); /* it ran the job, and that was its end */
	}
	check_int(starts, ==, 3);
	answer = status_of(id);
	check_int(answer.number, ==, JOB_WORKER_LOST);
	check_int(answer.count, ==, 0); /* no try was used */
	check(strstr(answer.text, "\"error\":\"poison: ") != NULL);
	memset(&answer, 0, sizeof(answer));
	dead_show(store, id, on_show, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(answer.rows[0].deaths, ==, 3);
	check_int(answer.rows[0].signal, ==, 0);
	check_int(answer.count, ==, 3);
	check_int(answer.deaths[0].session_id, ==, 0); /* presumed */
	check_int(answer.deaths[1].cause, ==, SETTLE_WORKER_LOST);
}

static void
an_innocent_job_at_the_head_of_a_lost_key_is_counted_once(void)
{
	struct answer answer;
	char id[UUID_TEXT];

	fresh();
	accept(id, 0);
	check_int(claim(one, id, &answer), ==, SL_OK);
	end_session(one); /* while something else ran */
	check_int(claim(two, id, &answer), ==, SL_OK);
	check(answer.lost);
	check_int(suspect(two, id, DEATHS_MAX), ==, SL_OK);
	check_int(retry(two, id, 1, true), ==, SL_OK); /* it came to its end in that start */
	check_int(due(), ==, 2);
	for (int i = 0; i < 5; i++) { /* and five workers are lost before they come to it */
		struct settle *worker = i % 2 == 0 ? two : one;

		check_int(claim(worker, id, &answer), ==, SL_OK);
		check_int(answer.judged[0].deaths, ==, 1);
		end_session(worker);
	}
	check_int(claim(two, id, &answer), ==, SL_OK);
	check(answer.lost);
	check_int(suspect(two, id, DEATHS_MAX), ==, SL_OK);
	check_int(deaths_of(id), ==, 1);
	check_int(result(two, id, 2, JOB_SUCCEEDED, true), ==, SL_OK);
	check_int(rig_sql("SELECT count(*) FROM death WHERE open"), ==, 0);
	end_session(two);
	check_int(deaths_of(id), ==, 1);
}

static void
a_worker_lost_after_an_effect_is_a_death_and_a_try(void)
{
	struct answer answer;
	char id[UUID_TEXT], other[UUID_TEXT];

	fresh();
	accept(id, 5);
	accept(other, 0);
	check_int(begin(one, other, 1), ==, SL_OK);
	for (int number = 1; number <= 3; number++) {
		check_int(begin(one, id, number), ==, SL_OK);
		end_session(one);
		check_int(deaths_of(id), ==, number);
		check_int(due(), ==, number < 3 ? number + 1 : 0);
	}
	answer = status_of(id);
	check_int(answer.number, ==, JOB_WORKER_LOST);
	check_int(answer.count, ==, 3);
	check(strstr(answer.text, "poison: ") != NULL);
	check_int(rows_of("dead", id), ==, 1);
	answer = status_of(other); /* its tries were used up, that is all */
	check_int(answer.number, ==, JOB_WORKER_LOST);
	check(strstr(answer.text, "worker_lost: ") != NULL);
	check_int(rows_of("dead", other), ==, 0);
	check_int(deaths_of(other), ==, 1);
}

static void
a_suspect_that_had_effects_dies_once(void)
{
	struct answer answer;
	char id[UUID_TEXT];

	fresh();
	accept(id, 5);
	check(!death(one, id, 1, false).ended);
	check_int(due(), ==, 1);
	check_int(suspect(one, id, DEATHS_MAX), ==, SL_OK);
	check_int(begin(one, id, 1), ==, SL_OK);
	check_int(end_session(one), ==, 1);
	check_int(deaths_of(id), ==, 2);
	check_int(due(), ==, 2);
	check_int(suspect(one, id, DEATHS_MAX), ==, SL_OK);
	answer = death(one, id, 2, false); /* its runner dies instead */
	check(answer.code == SL_OK && answer.dead);
	check_int(rig_sql("SELECT count(*) FROM death WHERE open"), ==, 0);
	end_session(one);
	check_int(deaths_of(id), ==, 3);
	check_int(rig_sql("SELECT deaths FROM dead"), ==, 3);
}

static void
a_suspect_is_refused_when_it_has_ended_or_has_died_too_often(void)
{
	char id[UUID_TEXT], unknown[UUID_TEXT];

	fresh();
	accept(id, 5);
	uuid_v7(unknown);
	check_int(suspect(one, unknown, DEATHS_MAX), ==, SL_CONFLICT);
	check_int(suspect(one, "nonsense", DEATHS_MAX), ==, SL_INVALID);
	check_int(suspect(one, id, 0), ==, SL_INVALID);
	check(!death(one, id, 1, false).ended);
	check_int(due(), ==, 1);
	check(!death(one, id, 1, false).ended);
	check_int(due(), ==, 1);
	check_int(suspect(one, id, 2), ==, SL_CONFLICT); /* the limit was lowered: set aside now */
	check_int(rows_of("dead", id), ==, 1);
	check_int(status_of(id).number, ==, JOB_FAILED);
	check_int(suspect(one, id, 20), ==, SL_CONFLICT);
	accept(id, 5);
	check_int(result(one, id, 1, JOB_SUCCEEDED, false), ==, SL_OK);
	check_int(suspect(one, id, DEATHS_MAX), ==, SL_CONFLICT);
	check_int(deaths_of(id), ==, 0);
}

static void
a_presumed_death_never_ends_a_job(void)
{
	struct answer answer;
	char id[UUID_TEXT];

	fresh();
	accept(id, 0);
	check_int(claim(one, id, &answer), ==, SL_OK);
	end_session(one);
	check_int(claim(one, id, &answer), ==, SL_OK);
	check(answer.lost);
	check_int(suspect(one, id, 1), ==, SL_OK);
	check_int(deaths_of(id), ==, 1);
	check_int(result(one, id, 1, JOB_SUCCEEDED, true), ==, SL_OK);
	check_int(rows_of("dead", id), ==, 0);
}

static void
a_clean_end_is_no_loss_and_no_death(void)
{
	struct answer answer, closed = {0};
	char id[UUID_TEXT], begun[UUID_TEXT];

	fresh();
	accept(id, 0);
	accept(begun, 2);
	check_int(claim(one, id, &answer), ==, SL_OK);
	check_int(suspect(one, id, DEATHS_MAX), ==, SL_OK);
	check_int(begin(one, begun, 1), ==, SL_OK);
	settle_close(one, on_done, &closed);
	check_int(wait_for(&closed), ==, SL_OK);
	check_int(claim(two, id, &answer), ==, SL_OK);
	check(!answer.lost);
	check_int(answer.judged[0].deaths, ==, 1); /* the presumed one of before */
	check_int(deaths_of(begun), ==, 0);
	check_int(due(), ==, 2);
	check_int(rig_sql("SELECT count(*) FROM death WHERE open"), ==, 0);
	open_session(one);
}

static void
a_key_handed_over_in_order_is_not_lost(void)
{
	struct answer answer;
	int64_t session;
	char id[UUID_TEXT];

	fresh();
	accept(id, 0);
	session = settle_session(one);
	check_int(claim(one, id, &answer), ==, SL_OK);
	memset(&answer, 0, sizeof(answer));
	end_session(one); /* after it had left its token */
	settle_claim(two, key, 0, session, 1, NULL, 0, on_claim, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check(!answer.lost);
	end_session(two);
	check_int(claim(one, id, &answer), ==, SL_OK);
	check(answer.lost);
	check_int(claim(one, id, &answer), ==, SL_OK); /* said once */
	check(!answer.lost);
	memset(&answer, 0, sizeof(answer));
	settle_release(one, NULL, 0, on_done, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(claim(two, id, &answer), ==, SL_OK);
	check(!answer.lost);
}

/* A start that was given back under a live session: whoever starts it next knows better. */
static void
a_suspicion_of_another_session_ends_with_the_next_start(void)
{
	char id[UUID_TEXT];

	fresh();
	accept(id, 5);
	check(!death(one, id, 1, false).ended);
	check_int(due(), ==, 1);
	check_int(suspect(one, id, DEATHS_MAX), ==, SL_OK);
	check_int(suspect(two, id, DEATHS_MAX), ==, SL_OK);
	end_session(one);
	check_int(deaths_of(id), ==, 1);
	end_session(two);
	check_int(deaths_of(id), ==, 2);
}

static void
all_sessions_at_once_count_each_death_once(void)
{
	struct answer answer = {0};
	char ids[2][UUID_TEXT];

	fresh();
	for (int i = 0; i < 2; i++) {
		accept(ids[i], 1);
		check_int(suspect(i == 0 ? one : two, ids[i], DEATHS_MAX), ==, SL_OK);
	}
	check_int(begin(two, ids[1], 1), ==, SL_OK);
	for (int i = 0; i < 2; i++) { /* the second time nobody is left */
		memset(&answer, 0, sizeof(answer));
		reclaim_end_all_sessions(reclaim, 2, on_number, &answer);
		check_int(wait_for(&answer), ==, SL_OK);
	}
	for (int i = 0; i < 2; i++) {
		check_int(deaths_of(ids[i]), ==, 2);
		check_int(rows_of("dead", ids[i]), ==, 1);
		check_int(status_of(ids[i]).number, ==, JOB_WORKER_LOST);
	}
	check_int(due(), ==, 0);
}

static void
a_job_that_has_died_was_started_and_does_not_expire(void)
{
	struct reclaim_late late = {.limit_ms = 60000};
	struct answer answer = {0};

	fresh();
	accept(late.job_id, 0);
	check(!death(one, late.job_id, 1, false).ended);
	check_int(due(), ==, 1);
	sql("UPDATE job SET accepted_at = accepted_at - interval '1 h' WHERE id = '%s'",
	    late.job_id);
	reclaim_expire(reclaim, &late, 1, false, on_number, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(answer.number, ==, 0);
}

/* ---- faults --------------------------------------------------------------------------------- */

static void
a_report_that_is_repeated_changes_nothing(void)
{
	char id[UUID_TEXT];

	fresh();
	accept(id, 3);
	check_int(begin(one, id, 1), ==, SL_OK);
	for (int i = 0; i < 3; i++) {
		check_int(
		    sql("SELECT job_died('%s', 'aaaaaaaa-0000-4000-8000-000000000001', 1, true,"
			" %lld, 3, 0, '', 9, 0, NULL)",
			id, (long long)settle_session(one)),
		    ==, 1);
		if (i == 0) /* the answer is lost, and the try is taken meanwhile */
			check_int(due(), ==, 2);
	}
	check_int(deaths_of(id), ==, 1);
	check_int(due(), ==, 0);
	for (int i = 0; i < 3; i++)
		check_int(sql("SELECT suspect_job('%s', 'aaaaaaaa-0000-4000-8000-000000000002', 7,"
			      " 3)::int",
			      id),
			  ==, 1);
	check_int(sql("SELECT count(*) FROM death WHERE open"), ==, 1);
	check_int(deaths_of(id), ==, 1);
	check_int(begin(one, id, 2), ==, SL_OK);
	for (int i = 0; i < 3; i++)
		check_int(
		    sql("SELECT job_died('%s', 'aaaaaaaa-0000-4000-8000-000000000003', 2, true,"
			" %lld, 2, 0, '', 9, 0, NULL)",
			id, (long long)settle_session(one)),
		    ==, 3);
	check_int(deaths_of(id), ==, 2);
	check_int(rows_of("dead", id), ==, 1);
	check_int(rows_of("result", id), ==, 1);
}

#define STORM 600

/* Each job's runner dies, or it is a suspect, while the connection is cut again and again. */
static void
cut_connections_count_each_death_once(void)
{
	static char ids[STORM][UUID_TEXT];
	static struct answer answers[STORM];
	int cuts = 0;

	fresh();
	memset(answers, 0, sizeof(answers));
	for (int i = 0; i < STORM; i++)
		accept(ids[i], 1);
	for (int i = 0; i < STORM; i++) {
		if (i % 2 == 0)
			settle_death(one, ids[i], 1, false, &segfault, i % 4 == 0 ? 1 : 3, 60000,
				     slice_text(""), on_death, &answers[i]);
		else
			settle_suspect(one, ids[i], DEATHS_MAX, on_done, &answers[i]);
		if (i % 5 == 0)
			loop_turn(rig_loop, 2);
		if (i % 100 != 99)
			continue;
		rig_until(settle_is_up(one)); /* what gathered is on its way now */
		cuts += (int)rig_cut("sluiced worker one");
		rig_until(!settle_is_up(one));
	}
	rig_until(settle_pending(one) == 0);
	check_int(cuts, >, 2);
	for (int i = 0; i < STORM; i++) {
		check_int(answers[i].code, ==, SL_OK);
		check_int(answers[i].calls, ==, 1);
		check_int(answers[i].dead, ==, i % 4 == 0);
	}
	check_int(rig_sql("SELECT count(*) FROM death WHERE cause = 1"), ==, STORM / 2);
	check_int(rig_sql("SELECT count(*) FROM death WHERE open"), ==, STORM / 2);
	check_int(rig_sql("SELECT count(*) FROM death WHERE cause = 2 AND NOT open"), ==,
		  STORM / 2);
	check_int(rig_sql("SELECT count(*) FROM retry"), ==, STORM / 4);
	check_int(rig_sql("SELECT count(*) FROM dead"), ==, STORM / 4);
	check_int(rig_sql("SELECT count(*) FROM result"), ==, STORM / 4);
	end_session(one);
	check_int(rig_sql("SELECT count(*) FROM death"), ==, STORM / 2 * 3);
}

/* What a claim in doubt found is still so when it is repeated: the holder did not come to know. */
static void
a_repeated_claim_still_says_that_the_key_was_lost(void)
{
	struct answer answer;
	char id[UUID_TEXT];

	fresh();
	accept(id, 0);
	check_int(claim(one, id, &answer), ==, SL_OK);
	end_session(one);
	rig_sql("BEGIN; LOCK TABLE hold IN EXCLUSIVE MODE");
	memset(&answer, 0, sizeof(answer));
	settle_claim(two, key, 0, -1, -1, NULL, 0, on_claim, &answer);
	rig_turns(100);
	rig_cut("sluiced worker two");
	rig_turns(20);
	/* The first commit was made, its answer lost. */
	sql("UPDATE hold SET session_id = %lld, tenure = tenure + 1, lost = true WHERE key_id = %d",
	    (long long)settle_session(two), key);
	rig_sql("COMMIT");
	check_int(wait_for(&answer), ==, SL_OK);
	check(answer.lost);
}

/* ---- the dead list -------------------------------------------------------------------------- */

static void
make_dead(char *id, enum job_kind kind)
{
	struct answer answer = {0};

	accept_kind(id, 2, kind);
	settle_death(one, id, 1, false, &segfault, 1, 0, slice_text(""), on_death, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check(answer.dead);
}

static void
the_list_is_read_page_by_page(void)
{
	struct answer answer = {0};
	char ids[5][UUID_TEXT], unknown[UUID_TEXT];

	fresh();
	for (int i = 0; i < 5; i++)
		make_dead(ids[i], JOB_ACTION);
	sql("UPDATE dead SET environment_id = 77 WHERE job_id = '%s'", ids[3]);
	dead_list(store, 0, NULL, 2, on_rows, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(answer.count, ==, 2);
	check_text(answer.rows[0].job_id, ids[4]);
	check_text(answer.text, "crm/get-items");
	check_text(answer.rows[1].job_id, ids[3]);
	memset(&answer, 0, sizeof(answer));
	dead_list(store, 0, ids[3], 8, on_rows, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(answer.count, ==, 3);
	check_text(answer.rows[2].job_id, ids[0]);
	memset(&answer, 0, sizeof(answer));
	dead_list(store, 77, NULL, 8, on_rows, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(answer.count, ==, 1);
	check_text(answer.rows[0].job_id, ids[3]);
	memset(&answer, 0, sizeof(answer));
	dead_list(store, 0, "x", 8, on_rows, &answer);
	check_int(wait_for(&answer), ==, SL_INVALID);
	memset(&answer, 0, sizeof(answer));
	dead_list(store, 0, NULL, DEAD_CALL_MAX + 1, on_rows, &answer);
	check_int(wait_for(&answer), ==, SL_INVALID);
	uuid_v7(unknown);
	memset(&answer, 0, sizeof(answer));
	dead_show(store, unknown, on_show, &answer);
	check_int(wait_for(&answer), ==, SL_NOT_FOUND);
	memset(&answer, 0, sizeof(answer));
	dead_show(store, "x", on_show, &answer);
	check_int(wait_for(&answer), ==, SL_INVALID);
}

static void
replay(const char (*ids)[UUID_TEXT], int count, int max_replays, struct answer *answer)
{
	memset(answer, 0, sizeof(*answer));
	dead_replay(store, ids, count, max_replays, on_replay, answer);
	wait_for(answer);
}

static void
a_dead_job_is_replayed_as_a_new_one_with_the_active_version(void)
{
	struct answer answer, shown = {0};
	char ids[1][UUID_TEXT];
	long long newer;

	fresh();
	make_dead(ids[0], JOB_ACTION);
	newer = sql("INSERT INTO function_version (function_id, version, event, source, definition,"
		    " code, ts, digest) SELECT function_id, '2', '', 'repo', '{}', '', '', ''"
		    " FROM function_version WHERE id = %lld RETURNING id",
		    version);
	sql("UPDATE function SET version_id = %lld", newer);
	replay((const char(*)[UUID_TEXT])ids, 1, 3, &answer);
	check_int(answer.code, ==, SL_OK);
	check_int(answer.count, ==, 1);
	check_int(answer.replayed[0].code, ==, SL_OK);
	check_text(answer.replayed[0].old_id, ids[0]);
	check_int(sql("SELECT count(*) FROM job n JOIN job o ON o.id = '%s' WHERE n.id = '%s'"
		      " AND n.function_version_id = %lld AND n.input = o.input AND n.seq > o.seq"
		      " AND (n.environment_id, n.key_id, n.connection_id, n.kind, n.max_retries,"
		      " n.webhook) = (o.environment_id, o.key_id, o.connection_id, o.kind,"
		      " o.max_retries, o.webhook)",
		      ids[0], answer.replayed[0].new_id, newer),
		  ==, 1);
	check_int(due(), ==, 1); /* its first try comes into the queue */
	dead_show(store, ids[0], on_show, &shown);
	check_int(wait_for(&shown), ==, SL_OK);
	check_int(shown.rows[0].replays, ==, 1);
	check_text(shown.rows[0].last_replay, answer.replayed[0].new_id);
	check_int(begin(one, answer.replayed[0].new_id, 1), ==, SL_OK);
	check_int(result(one, answer.replayed[0].new_id, 1, JOB_SUCCEEDED, false), ==, SL_OK);
	sql("UPDATE function SET version_id = %lld", version);
}

static void
many_are_replayed_at_once_each_as_often_as_is_allowed(void)
{
	struct answer answer;
	char ids[5][UUID_TEXT];

	fresh();
	for (int i = 0; i < 4; i++)
		make_dead(ids[i], i == 2 ? JOB_SYNC : JOB_ACTION);
	uuid_v7(ids[4]); /* nobody knows it */
	for (int i = 0; i < 3; i++) {
		replay((const char(*)[UUID_TEXT])ids, 5, 2, &answer);
		check_int(answer.code, ==, SL_OK);
		check_int(answer.count, ==, 5);
		for (int k = 0; k < 4; k++) {
			if (k == 2)
				continue;
			check_int(answer.replayed[k].code, ==, i < 2 ? SL_OK : SL_EXHAUSTED);
			check_int(answer.replayed[k].new_id[0] == '\0', ==, i == 2);
			check_text(answer.replayed[k].old_id, ids[k]);
		}
		check_int(answer.replayed[2].code, ==, SL_INVALID);
		check_int(answer.replayed[4].code, ==, SL_NOT_FOUND);
		check(answer.replayed[4].why[0] != '\0');
	}
	memcpy(ids[1], ids[0], UUID_TEXT);
	replay((const char(*)[UUID_TEXT])ids, 2, 100, &answer); /* one id twice */
	check_int(answer.count, ==, 1);
	check_int(rig_sql("SELECT count(*) FROM retry WHERE number = 1"), ==, 7);
	check_int(rig_sql("SELECT sum(replays) FROM dead"), ==, 7);
	memcpy(ids[1], "x", 2);
	replay((const char(*)[UUID_TEXT])ids, 2, 100, &answer);
	check_int(answer.code, ==, SL_INVALID);
	replay((const char(*)[UUID_TEXT])ids, DEAD_CALL_MAX + 1, 100, &answer);
	check_int(answer.code, ==, SL_INVALID);
}

static void
a_job_whose_function_is_gone_or_disabled_is_not_replayed(void)
{
	struct answer answer;
	char ids[1][UUID_TEXT];

	fresh();
	make_dead(ids[0], JOB_ACTION);
	rig_sql("UPDATE function SET enabled = false");
	replay((const char(*)[UUID_TEXT])ids, 1, 3, &answer);
	check_int(answer.replayed[0].code, ==, SL_CONFLICT);
	rig_sql("UPDATE function SET enabled = true, deleted_at = now()");
	replay((const char(*)[UUID_TEXT])ids, 1, 3, &answer);
	check_int(answer.replayed[0].code, ==, SL_NOT_FOUND);
	check(strstr(answer.replayed[0].why, "function") != NULL);
	rig_sql("UPDATE function SET deleted_at = NULL");
	check_int(rig_sql("SELECT count(*) FROM retry"), ==, 0);
	check_int(rig_sql("SELECT replays FROM dead"), ==, 0);
	sql("DELETE FROM job WHERE id = '%s'", ids[0]);
	replay((const char(*)[UUID_TEXT])ids, 1, 3, &answer);
	check_int(answer.replayed[0].code, ==, SL_NOT_FOUND);
}

static void
a_replay_in_doubt_replays_once(void)
{
	struct answer answer = {0};
	char ids[1][UUID_TEXT], again[UUID_TEXT];

	fresh();
	make_dead(ids[0], JOB_ACTION);
	rig_sql("BEGIN; LOCK TABLE dead IN EXCLUSIVE MODE");
	dead_replay(store, (const char(*)[UUID_TEXT])ids, 1, 3, on_replay, &answer);
	rig_turns(100);
	rig_cut("sluiced dead");
	rig_turns(50);
	check_int(answer.calls, ==, 0);
	rig_sql("COMMIT");
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(answer.replayed[0].code, ==, SL_OK);
	memcpy(again, answer.replayed[0].new_id, UUID_TEXT);
	/* Had the first one come to its commit, the same ids find it so. */
	check_int(sql("SELECT replay_dead('%s', '%s', 1)", ids[0], again), ==, 1);
	check_int(rig_sql("SELECT replays FROM dead"), ==, 1);
	check_int(rows_of("retry", again), ==, 1);
	check_int(sql("SELECT count(*) FROM job WHERE id <> '%s'", ids[0]), ==, 1);
}

static long long
purge(long long of, const char (*ids)[UUID_TEXT], int count, int64_t before_ms,
      enum sl_code expected)
{
	struct answer answer = {0};

	dead_purge(store, of, ids, count, before_ms, on_number, &answer);
	check_int(wait_for(&answer), ==, expected);
	return answer.number;
}

static void
purge_takes_jobs_off_the_list_with_their_deaths(void)
{
	char ids[4][UUID_TEXT], bad[1][UUID_TEXT] = {"x"};

	fresh();
	for (int i = 0; i < 4; i++)
		make_dead(ids[i], JOB_ACTION);
	sql("UPDATE dead SET at = at - interval '1 h', environment_id = 77 WHERE job_id = '%s'",
	    ids[3]);
	check_int(purge(environment, (const char(*)[UUID_TEXT])ids + 2, 2, 0, SL_OK), ==, 1);
	check_int(rig_sql("SELECT count(*) FROM dead"), ==, 3);
	check_int(rig_sql("SELECT count(*) FROM death"), ==, 3);
	check_int(purge(environment, NULL, 0, clock_wall_ms() - 60000, SL_OK), ==, 0);
	check_int(purge(0, NULL, 0, clock_wall_ms() - 60000, SL_OK), ==, 1);
	check_int(purge(0, (const char(*)[UUID_TEXT])bad, 1, 0, SL_INVALID), ==, 0);
	check_int(purge(0, NULL, 0, -1, SL_INVALID), ==, 0);
	check_int(purge(0, (const char(*)[UUID_TEXT])ids, 4, 0, SL_OK), ==, 2);
	check_int(rig_sql("SELECT (SELECT count(*) FROM dead) + (SELECT count(*) FROM death)"), ==,
		  0);
	check_int(rig_sql("SELECT count(*) FROM result"), ==, 4);
}

static void
rows_go_with_the_days_that_retention_drops(void)
{
	struct answer answer = {0};
	char id[UUID_TEXT];

	fresh();
	make_dead(id, JOB_ACTION);
	rig_sql(
	    "INSERT INTO death (job_id, token, session_id, cause, open)"
	    " VALUES (uuid_day(current_date - 20), gen_random_uuid(), 1, 1, false);"
	    "INSERT INTO dead (job_id, environment_id, kind, function_version_id, connection_id,"
	    " deaths) VALUES (uuid_day(current_date - 20), 1, 1, 1, 1, 3);"
	    "INSERT INTO quarantine (shard, key_id, reason, bytes, security, at)"
	    " VALUES (0, 1, 'old', '', false, now() - interval '8 days'),"
	    " (0, 1, 'new', '', false, now())");
	reclaim_delete_old(reclaim, 7 * DAY_MS, on_number, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(rig_sql("SELECT count(*) FROM death"), ==, 1);
	check_int(rig_sql("SELECT count(*) FROM dead"), ==, 1);
	check_int(rig_sql("SELECT count(*) FROM quarantine"), ==, 1);
}

/* ---- quarantine ----------------------------------------------------------------------------- */

static int64_t
quarantine(const struct quarantine_entry *entry, enum sl_code expected)
{
	struct answer answer = {0};

	quarantine_add(store, entry, on_number, &answer);
	check_int(wait_for(&answer), ==, expected);
	return answer.number;
}

static void
bad_entries_are_kept_within_bounds(void)
{
	static char big[QUARANTINE_BYTES_MAX + 100];
	struct quarantine_entry entry = {.shard = 3,
					 .key_id = 7,
					 .reason = "wrong MAC",
					 .bytes = {"\0\xff\x01", 3},
					 .security = true};
	struct answer answer = {0};
	int64_t first, second, ids[2];

	fresh();
	first = quarantine(&entry, SL_OK);
	entry.bytes = (struct slice){big, sizeof(big)};
	entry.reason = "too long \xff";
	entry.security = false;
	second = quarantine(&entry, SL_OK);
	entry.bytes = (struct slice){NULL, 0};
	quarantine(&entry, SL_OK);
	check_int(rig_sql("SELECT length(bytes) FROM quarantine ORDER BY id DESC LIMIT 1 OFFSET 1"),
		  ==, QUARANTINE_BYTES_MAX);
	quarantine_list(store, 0, 8, on_entries, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(answer.count, ==, 3);
	check_text(answer.text, "too long ");
	check_int(answer.entries[2].id, ==, first);
	check_int(answer.entries[2].shard, ==, 3);
	check_int(answer.entries[2].key_id, ==, 7);
	check(answer.entries[2].security && !answer.entries[1].security);
	check_int(answer.entries[2].bytes.len, ==, 3);
	check_int(answer.entries[2].at_ms, >, clock_wall_ms() - 60000);
	memset(&answer, 0, sizeof(answer));
	quarantine_list(store, second, 8, on_entries, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(answer.count, ==, 1);
	memset(&answer, 0, sizeof(answer));
	quarantine_list(store, 0, 0, on_entries, &answer);
	check_int(wait_for(&answer), ==, SL_INVALID);
	ids[0] = first;
	ids[1] = 999999;
	memset(&answer, 0, sizeof(answer));
	quarantine_purge(store, ids, 2, 0, on_number, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(answer.number, ==, 1);
	memset(&answer, 0, sizeof(answer));
	quarantine_purge(store, NULL, 0, clock_wall_ms() + 1000, on_number, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(answer.number, ==, 2);
}

static void
a_flood_of_bad_entries_is_no_flood_of_rows(void)
{
	struct pg_settings settings = {rig_conninfo, "sluiced flood", false, 0, false};
	struct dead_store *flood = dead_store_new(rig_loop, &settings);
	struct quarantine_entry entry = {.reason = "x", .bytes = {"x", 1}};
	struct answer answer = {0};

	fresh();
	for (int i = 0; i < QUARANTINE_ROWS_PER_HOUR; i++)
		quarantine_add(flood, &entry, NULL, NULL);
	quarantine_add(flood, &entry, on_number, &answer);
	check_int(wait_for(&answer), ==, SL_EXHAUSTED);
	memset(&answer, 0, sizeof(answer));
	quarantine_list(flood, 0, 1, on_entries, &answer); /* behind all of them */
	check_int(wait_for(&answer), ==, SL_OK);
	check_int(rig_sql("SELECT count(*) FROM quarantine"), ==, QUARANTINE_ROWS_PER_HOUR);
	memset(&answer, 0, sizeof(answer));
	quarantine_list(flood, 0, 1, on_entries, &answer);
	dead_store_free(flood);
	check(wait_for(&answer) != SL_OK);
}

int
main(void)
{
	struct pg_settings settings = {NULL, "sluiced accept", true, 0, false};

	rig_start();
	rig_migrate();
	environment = rig_sql("INSERT INTO environment (name, uuid, is_production, signing_key,"
			      " callback_url) VALUES ('dev', 'u', false, '', '') RETURNING id");
	rig_sql("INSERT INTO integration (environment_id, unique_key, provider, display_name,"
		" forward_webhooks, credentials, seal_row, config, custom)"
		" SELECT id, 'crm', 'p', '', false, '', '', '', '' FROM environment;"
		"INSERT INTO function (environment_id, integration_id, type, name)"
		" SELECT environment_id, id, 'action', 'get-items' FROM integration");
	version = rig_sql("INSERT INTO function_version (function_id, version, event, source,"
			  " definition, code, ts, digest) SELECT id, '1', '', 'repo', '{}', '', '',"
			  " '' FROM function RETURNING id");
	sql("UPDATE function SET version_id = %lld", version);
	settings.conninfo = rig_conninfo;
	ledger = ledger_new(rig_loop, &settings);
	settings.name = "sluiced worker one";
	one = settle_new(rig_loop, &settings);
	settings.name = "sluiced worker two";
	two = settle_new(rig_loop, &settings);
	settings.hot = false;
	settings.name = "sluiced scheduler";
	reclaim = reclaim_new(rig_loop, &settings);
	settings.name = "sluiced dead";
	store = dead_store_new(rig_loop, &settings);
	CHECK_RUN(a_runner_that_dies_before_any_effect_uses_up_no_try);
	CHECK_RUN(a_runner_that_dies_after_an_effect_uses_up_the_try);
	CHECK_RUN(three_deaths_set_a_job_aside_although_tries_are_left);
	CHECK_RUN(a_death_is_refused_when_the_run_is_not_that_sessions);
	CHECK_RUN(what_a_runner_asked_for_last_is_kept_as_text);
	CHECK_RUN(deaths_share_a_batch_with_all_else);
	CHECK_RUN(a_job_that_kills_its_worker_before_any_effect_is_dead_after_three_starts);
	CHECK_RUN(an_innocent_job_at_the_head_of_a_lost_key_is_counted_once);
	CHECK_RUN(a_worker_lost_after_an_effect_is_a_death_and_a_try);
	CHECK_RUN(a_suspect_that_had_effects_dies_once);
	CHECK_RUN(a_suspect_is_refused_when_it_has_ended_or_has_died_too_often);
	CHECK_RUN(a_presumed_death_never_ends_a_job);
	CHECK_RUN(a_clean_end_is_no_loss_and_no_death);
	CHECK_RUN(a_key_handed_over_in_order_is_not_lost);
	CHECK_RUN(a_suspicion_of_another_session_ends_with_the_next_start);
	CHECK_RUN(all_sessions_at_once_count_each_death_once);
	CHECK_RUN(a_job_that_has_died_was_started_and_does_not_expire);
	CHECK_RUN(a_report_that_is_repeated_changes_nothing);
	CHECK_RUN(cut_connections_count_each_death_once);
	CHECK_RUN(a_repeated_claim_still_says_that_the_key_was_lost);
	CHECK_RUN(the_list_is_read_page_by_page);
	CHECK_RUN(a_dead_job_is_replayed_as_a_new_one_with_the_active_version);
	CHECK_RUN(many_are_replayed_at_once_each_as_often_as_is_allowed);
	CHECK_RUN(a_job_whose_function_is_gone_or_disabled_is_not_replayed);
	CHECK_RUN(a_replay_in_doubt_replays_once);
	CHECK_RUN(purge_takes_jobs_off_the_list_with_their_deaths);
	CHECK_RUN(rows_go_with_the_days_that_retention_drops);
	CHECK_RUN(bad_entries_are_kept_within_bounds);
	CHECK_RUN(a_flood_of_bad_entries_is_no_flood_of_rows);
	settle_free(one);
	settle_free(two);
	reclaim_free(reclaim);
	dead_store_free(store);
	ledger_free(ledger);
	rig_stop();
	return check_done();
}
