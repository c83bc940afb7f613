#include "sql/ledger.h"
#include "tests/integration/sql_rig.h"

static struct ledger *ledger;

/* ---- what the callbacks saw ----------------------------------------------------------------- */

#define SEEN_MAX 6000

static struct seen {
	char id[UUID_TEXT];
	int calls;
	enum sl_code code;
	int64_t seq;
	char text[240];
} seen[SEEN_MAX];
static int answers, refused, out_of_order;
static int64_t last_seq;

static void
on_accept(void *arg, enum sl_code code, int64_t seq, const struct sl_error *error)
{
	struct seen *it = arg;

	it->calls++;
	it->code = code;
	it->seq = seq;
	answers++;
	if (code != SL_OK) {
		refused++;
		snprintf(it->text, sizeof(it->text), "%s", error->text);
	} else {
		out_of_order += seq <= last_seq;
		last_seq = seq;
	}
}

static void
reset(void)
{
	memset(seen, 0, sizeof(seen));
	answers = refused = out_of_order = 0;
	last_seq = 0;
}

static void
accept_input(struct ledger *to, struct seen *it, struct slice input)
{
	struct ledger_job job = {.environment_id = 7,
				 .key_id = 70,
				 .function_version_id = 3,
				 .connection_id = 9,
				 .kind = JOB_ACTION,
				 .max_retries = 2,
				 .webhook = true,
				 .input = input};

	uuid_v7(it->id);
	memcpy(job.id, it->id, sizeof(job.id));
	ledger_accept(to, &job, on_accept, it);
}

static void
accept_many(int from, int count)
{
	char input[40];

	for (int i = from; i < from + count; i++) {
		snprintf(input, sizeof(input), "{\"n\":%d}", i);
		accept_input(ledger, &seen[i], slice_text(input));
	}
}

static struct ledger *
start(const char *conninfo, const char *name, int timeout_ms)
{
	struct pg_settings settings = {conninfo, name, true, timeout_ms, false};

	return ledger_new(rig_loop, &settings);
}

static struct {
	int calls;
	enum sl_code code;
	struct ledger_status status;
	char bytes[200];
	size_t len;
} got;

static void
on_status(void *arg, enum sl_code code, const struct ledger_status *status,
	  const struct sl_error *error)
{
	(void)arg;
	(void)error;
	got.calls++;
	got.code = code;
	if (code != SL_OK)
		return;
	got.status = *status;
	got.len = status->output.len;
	memcpy(got.bytes, status->output.data, got.len < 200 ? got.len : 200);
}

static void
on_input(void *arg, enum sl_code code, struct slice input, const struct sl_error *error)
{
	(void)arg;
	(void)error;
	got.calls++;
	got.code = code;
	got.len = input.len;
	memcpy(got.bytes, input.data, got.len < 200 ? got.len : 200);
}

static void
read_status(const char *id, int64_t environment)
{
	memset(&got, 0, sizeof(got));
	ledger_read(ledger, id, environment, on_status, NULL);
	rig_until(got.calls == 1);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void
a_thousand_jobs_are_committed_in_the_order_given(void)
{
	reset();
	accept_many(0, 1000);
	check_int(ledger_pending(ledger), ==, 1000);
	rig_until(answers == 1000);
	check_int(refused, ==, 0);
	check_int(out_of_order, ==, 0);
	check_int(ledger_pending(ledger), ==, 0);
	check_int(rig_sql("SELECT count(*) FROM job WHERE environment_id = 7 AND key_id = 70"
			  " AND function_version_id = 3 AND connection_id = 9 AND kind = 1"
			  " AND max_retries = 2 AND webhook"),
		  ==, 1000);
	check_int(
	    rig_sql("SELECT count(*) FROM (SELECT convert_from(input, 'UTF8')::jsonb ->> 'n' AS n,"
		    " row_number() OVER (ORDER BY seq) - 1 AS place FROM job) t"
		    " WHERE n::bigint = place"),
	    ==, 1000);
}

static void
jobs_of_one_turn_share_a_commit_up_to_the_cap(void)
{
	rig_sql("TRUNCATE job");
	reset();
	accept_many(0, 2500);
	rig_until(answers == 2500);
	check_int(rig_sql("SELECT count(DISTINCT xmin::text) FROM job"), ==, 3);
	check_int(
	    rig_sql("SELECT max(n) FROM (SELECT count(*) AS n FROM job GROUP BY xmin::text) t"), ==,
	    LEDGER_BATCH_ROWS);
	check_int(out_of_order, ==, 0);
}

static void
a_batch_is_capped_by_bytes_too(void)
{
	char *big = sl_alloc(700 * 1024);

	memset(big, 'x', 700 * 1024);
	rig_sql("TRUNCATE job");
	reset();
	for (int i = 0; i < 3; i++)
		accept_input(ledger, &seen[i], (struct slice){big, 700 * 1024});
	free(big);
	rig_until(answers == 3);
	check_int(rig_sql("SELECT count(DISTINCT xmin::text) FROM job"), ==, 3);
	check_int(rig_sql("SELECT min(length(input)) FROM job"), ==, 700 * 1024);
}

static void
a_bad_row_does_not_harm_its_neighbours(void)
{
	struct ledger_job bad = {.id = "not-a-uuid", .kind = JOB_ACTION};

	reset();
	accept_many(0, 1);
	ledger_accept(ledger, &bad, on_accept, &seen[1]);
	snprintf(bad.id, sizeof(bad.id), "%s", "018f0000-0000-7000-8000-000000000000");
	bad.max_retries = 70000;
	ledger_accept(ledger, &bad, on_accept, &seen[2]);
	accept_many(3, 1);
	rig_until(answers == 4);
	check_int(seen[0].code, ==, SL_OK);
	check_int(seen[1].code, ==, SL_INVALID);
	check_int(seen[2].code, ==, SL_INVALID);
	check_int(seen[3].code, ==, SL_OK);
}

static void
a_job_outside_of_every_day_is_accepted_all_the_same(void)
{
	struct ledger_job job = {.id = "00000000-1111-7000-8000-000000000001", .kind = JOB_SYNC};

	reset();
	ledger_accept(ledger, &job, on_accept, &seen[0]);
	rig_until(answers == 1);
	check_int(seen[0].code, ==, SL_OK);
	check_int(rig_sql("SELECT count(*) FROM job_default WHERE input IS NULL"), ==, 1);
}

static void
input_comes_back_byte_for_byte(void)
{
	static const char bytes[] =
	    "{\"a\":\"\\u0000 \xf0\x9f\x98\x80\",\"n\":12345678901234567890}\0raw";

	reset();
	accept_input(ledger, &seen[0], (struct slice){bytes, sizeof(bytes) - 1});
	accept_input(ledger, &seen[1], (struct slice){"", 0});
	rig_until(answers == 2);
	memset(&got, 0, sizeof(got));
	ledger_input(ledger, seen[0].id, on_input, NULL);
	rig_until(got.calls == 1);
	check_int(got.code, ==, SL_OK);
	check_int(got.len, ==, sizeof(bytes) - 1);
	check(memcmp(got.bytes, bytes, got.len) == 0);
	ledger_input(ledger, seen[1].id, on_input, NULL);
	rig_until(got.calls == 2);
	check_int(got.code, ==, SL_OK);
	check_int(got.len, ==, 0);
	ledger_input(ledger, "018f0000-0000-7000-8000-00000000dead", on_input, NULL);
	rig_until(got.calls == 3);
	check_int(got.code, ==, SL_NOT_FOUND);
}

static void
a_status_tells_what_the_ledger_knows(void)
{
	char text[400];

	reset();
	accept_many(0, 1);
	rig_until(answers == 1);
	read_status(seen[0].id, 7);
	check_int(got.code, ==, SL_OK);
	check_int(got.status.state, ==, 0);
	check_int(got.status.kind, ==, JOB_ACTION);
	check_int(got.status.seq, ==, seen[0].seq);
	check_int(got.status.key_id, ==, 70);
	check_int(got.status.attempt, ==, 0);
	check(!got.status.attempt_live);
	rig_sql("INSERT INTO session (node) VALUES ('x')");
	snprintf(text, sizeof(text),
		 "INSERT INTO attempt (job_id, number, session_id) VALUES ('%s', 1,"
		 " (SELECT max(id) FROM session))",
		 seen[0].id);
	rig_sql(text);
	read_status(seen[0].id, 7);
	check_int(got.status.attempt, ==, 1);
	check(got.status.attempt_live);
	rig_sql("UPDATE session SET live = false; UPDATE attempt SET ended_at = now()");
	snprintf(text, sizeof(text),
		 "INSERT INTO retry VALUES ('%s', 2, to_timestamp(4000000000.5))", seen[0].id);
	rig_sql(text);
	read_status(seen[0].id, 7);
	check(!got.status.attempt_live);
	check_int(got.status.retry_due_ms, ==, 4000000000500);
	snprintf(text, sizeof(text),
		 "INSERT INTO result (job_id, attempt, state, session_id, output)"
		 " VALUES ('%s', 2, 2, 1, '\\x7b007d')",
		 seen[0].id);
	rig_sql(text);
	read_status(seen[0].id, 7);
	check_int(got.status.state, ==, JOB_FAILED);
	check_int(got.status.attempt, ==, 2);
	check(!got.status.attempt_live);
	check_int(got.status.retry_due_ms, ==, 0);
	check_int(got.len, ==, 3);
	check(memcmp(got.bytes, "{\0}", 3) == 0);
}

static void
a_job_of_another_environment_is_not_found(void)
{
	reset();
	accept_many(0, 1);
	rig_until(answers == 1);
	read_status(seen[0].id, 8);
	check_int(got.code, ==, SL_NOT_FOUND);
}

/* ---- many reads at a time ------------------------------------------------------------------- */

struct look {
	int calls;
	enum sl_code code;
	int64_t seq;
	size_t len;
	char last;
};
static struct look looks[SEEN_MAX];
static int looked;

static void
on_look(void *arg, enum sl_code code, const struct ledger_status *status,
	const struct sl_error *error)
{
	struct look *it = arg;

	check((code == SL_OK) == (error == NULL));
	it->calls++;
	it->code = code;
	looked++;
	if (code != SL_OK)
		return;
	it->seq = status->seq;
	it->len = status->output.len;
	it->last = it->len > 0 ? status->output.data[it->len - 1] : '\0';
}

/* All in one turn of the loop. */
static void
look_at(int count)
{
	memset(looks, 0, sizeof(looks));
	looked = 0;
	for (int i = 0; i < count; i++)
		ledger_read(ledger, seen[i].id, 7, on_look, &looks[i]);
}

/* Each with an output of its own that ends in its row's number; the one at long_row is too long to
 * travel with others. */
static void
accept_and_end(int count, int long_row)
{
	char text[300];

	rig_sql("TRUNCATE job, attempt, result, retry");
	reset();
	accept_many(0, count);
	rig_until(answers == count);
	snprintf(
	    text, sizeof(text),
	    "INSERT INTO result (job_id, attempt, state, session_id, output)"
	    " SELECT id, 0, 1, 1, convert_to(repeat('x', (CASE WHEN n = %d THEN 300000 ELSE n %%"
	    " 50 END)::int) || chr(65 + (n %% 26)::int), 'UTF8')"
	    " FROM (SELECT id, row_number() OVER (ORDER BY seq) - 1 AS n FROM job) t",
	    long_row);
	rig_sql(text);
}

static long long
transactions(void)
{
	rig_cut("sluiced accept"); /* servers tell what they did when they end */
	PQreset(rig_direct);
	rig_turns(300);
	return rig_sql("SELECT xact_commit FROM pg_stat_database"
		       " WHERE datname = current_database()");
}

static void
reads_of_one_turn_share_statements_and_get_their_own_answers(void)
{
	long long before;

	accept_and_end(1000, 500);
	before = transactions();
	look_at(1000);
	rig_until(looked == 1000);
	for (int i = 0; i < 1000; i++) {
		check_int(looks[i].calls, ==, 1);
		check_int(looks[i].code, ==, SL_OK);
		check_int(looks[i].seq, ==, seen[i].seq);
		check_int(looks[i].len, ==, i == 500 ? 300001 : i % 50 + 1);
		check_int(looks[i].last, ==, 'A' + i % 26);
	}
	check_int(transactions() - before, <, 100);
}

static void
reads_that_come_while_one_is_under_way_go_together(void)
{
	long long before;

	accept_and_end(500, -1);
	before = transactions();
	rig_sql("BEGIN; LOCK TABLE job");
	memset(looks, 0, sizeof(looks));
	looked = 0;
	for (int i = 0; i < 500; i++) { /* each in a turn of its own */
		ledger_read(ledger, seen[i].id, 7, on_look, &looks[i]);
		loop_turn(rig_loop, 1);
	}
	check_int(looked, ==, 0);
	rig_sql("COMMIT");
	rig_until(looked == 500);
	for (int i = 0; i < 500; i++)
		check_int(looks[i].seq, ==, seen[i].seq);
	check_int(transactions() - before, <, 100);
}

static void
a_read_that_finds_nothing_does_not_harm_its_neighbours(void)
{
	accept_and_end(10, -1);
	snprintf(seen[2].id, sizeof(seen[2].id), "018f0000-0000-7000-8000-00000000dead");
	snprintf(seen[4].id, sizeof(seen[4].id), "no uuid at all");
	snprintf(seen[6].id, sizeof(seen[6].id), "%s",
		 seen[5].id); /* one that is asked for twice */
	look_at(10);
	ledger_read(ledger, seen[9].id, 8, on_look, &looks[10]);
	ledger_read(ledger, seen[9].id, INT64_MAX, on_look, &looks[11]);
	ledger_read(ledger, seen[9].id, INT64_MIN, on_look, &looks[12]);
	rig_until(looked == 13);
	for (int i = 0; i < 13; i++) {
		check_int(looks[i].calls, ==, 1);
		check_int(looks[i].code, ==,
			  i == 4              ? SL_INVALID
			  : i == 2 || i >= 10 ? SL_NOT_FOUND
					      : SL_OK);
	}
	check_int(looks[6].seq, ==, seen[5].seq);
}

/* As when a page of the disk is damaged: whoever reads that row fails. */
static void
a_row_that_cannot_be_read_does_not_harm_its_neighbours(void)
{
	char text[400];

	accept_and_end(20, -1);
	rig_sql("CREATE FUNCTION damaged() RETURNS bytea LANGUAGE plpgsql AS $$ BEGIN"
		" RAISE EXCEPTION USING ERRCODE = 'XX001', MESSAGE = 'bad page'; END $$;"
		" ALTER TABLE result RENAME TO result_good");
	snprintf(
	    text, sizeof(text),
	    "CREATE VIEW result AS SELECT job_id, attempt, state, session_id, CASE WHEN job_id ="
	    " '%s' THEN damaged() ELSE output END AS output FROM result_good",
	    seen[7].id);
	rig_sql(text);
	look_at(20);
	rig_until(looked == 20);
	for (int i = 0; i < 20; i++) {
		check_int(looks[i].calls, ==, 1);
		check_int(looks[i].code, ==, i == 7 ? SL_INTERNAL : SL_OK);
	}
	rig_sql(
	    "DROP VIEW result; ALTER TABLE result_good RENAME TO result; DROP FUNCTION damaged");
	look_at(20);
	rig_until(looked == 20);
	check_int(looks[7].code, ==, SL_OK);
}

/* R2: never "not found" for a job that is there. */
static void
reads_whose_connection_is_cut_are_unavailable_and_those_behind_them_are_answered(void)
{
	accept_and_end(30, -1);
	rig_sql("BEGIN; LOCK TABLE job");
	look_at(30);
	rig_turns(50);
	for (int i = 0; i < 10; i++)
		ledger_read(ledger, seen[i].id, 7, on_look, &looks[30 + i]);
	rig_turns(50);
	check_int(looked, ==, 0);
	rig_cut("sluiced accept reads");
	rig_until(looked >= 30);
	rig_sql("COMMIT");
	rig_until(looked == 40);
	for (int i = 0; i < 40; i++) {
		check_int(looks[i].calls, ==, 1);
		check_int(looks[i].code, ==, i < 30 ? SL_UNAVAILABLE : SL_OK);
	}
}

static struct ledger *reading;

static void
on_look_free(void *arg, enum sl_code code, const struct ledger_status *status,
	     const struct sl_error *error)
{
	struct ledger *it = reading;

	on_look(arg, code, status, error);
	reading = NULL;
	ledger_free(it); /* NULL from the second one on */
}

static void
a_read_may_free_the_ledger_and_all_are_answered_once(void)
{
	accept_and_end(10, 3);
	for (int before = 0; before < 2; before++) {
		reading = start(rig_conninfo, "sluiced brief", 0);
		memset(looks, 0, sizeof(looks));
		looked = 0;
		if (before == 0)
			rig_until(ledger_is_up(reading));
		rig_turns(before == 0 ? 50 : 0);
		for (int i = 0; i < 10; i++)
			ledger_read(reading, seen[i].id, 7, on_look_free, &looks[i]);
		if (before == 1) { /* never sent */
			struct ledger *it = reading;

			reading = NULL;
			ledger_free(it);
		}
		rig_until(looked == 10);
		rig_turns(20);
		for (int i = 0; i < 10; i++) {
			check_int(looks[i].calls, ==, 1);
			check_int(looks[i].code, ==,
				  before == 0 && i == 0 ? SL_OK : SL_UNAVAILABLE);
		}
	}
}

/* ---- connections that are lost -------------------------------------------------------------- */

/* The server's processes are ended again and again while jobs come in. */
static void
cut_connections_lose_nothing_and_double_nothing(void)
{
	int sent = 0, cuts = 0;
	long long rows;

	rig_sql("TRUNCATE job, attempt, result, retry");
	reset();
	while (sent < 5000) {
		accept_many(sent, 50);
		sent += 50;
		rig_turns(2);
		if (sent % 500 == 0)
			cuts += (int)rig_cut("sluiced accept");
	}
	rig_until(answers == 5000);
	check_int(cuts, >, 3);
	check_int(refused, ==, 0);
	rows = rig_sql("SELECT count(*) FROM job");
	check_int(rows, ==, 5000);
	for (int i = 0; i < 5000; i++)
		check_int(seen[i].calls, ==, 1);
	check_int(out_of_order, ==, 0);
}

/* The batch waits for a lock when its connection is cut: whether it committed is not known. */
static void
a_commit_in_doubt_is_repeated_when_the_server_is_back(void)
{
	reset();
	rig_until(ledger_is_up(ledger));
	rig_sql("TRUNCATE job; BEGIN; LOCK TABLE job IN EXCLUSIVE MODE");
	accept_many(0, 20);
	rig_turns(100);
	check_int(answers, ==, 0);
	rig_cut("sluiced accept");
	rig_turns(300);
	check_int(answers, ==, 0);
	rig_sql("COMMIT");
	rig_until(answers == 20);
	check_int(refused, ==, 0);
	check_int(rig_sql("SELECT count(*) FROM job"), ==, 20);
}

/* As if the first commit had been made and only its answer was lost. */
static void
a_repeated_commit_finds_what_is_there(void)
{
	char text[400];

	reset();
	rig_until(ledger_is_up(ledger));
	rig_sql("TRUNCATE job; BEGIN; LOCK TABLE job IN EXCLUSIVE MODE");
	accept_many(0, 2);
	rig_turns(100);
	snprintf(
	    text, sizeof(text),
	    "INSERT INTO job (id, seq, environment_id, key_id, function_version_id,"
	    " connection_id, kind, max_retries, webhook) VALUES ('%s', 1, 7, 70, 3, 9, 1, 2, true)",
	    seen[0].id);
	rig_sql(text);
	rig_cut("sluiced accept");
	rig_sql("COMMIT");
	rig_until(answers == 2);
	check_int(seen[0].code, ==, SL_OK);
	check_int(seen[0].seq, ==, 1);
	check_int(seen[1].code, ==, SL_OK);
	check_int(rig_sql("SELECT count(*) FROM job"), ==, 2);
}

static void
a_doubt_that_cannot_be_resolved_ends_after_ten_seconds(void)
{
	char off[160], on[160];
	int64_t began;

	snprintf(off, sizeof(off), "ALTER DATABASE %s ALLOW_CONNECTIONS false", rig_database);
	snprintf(on, sizeof(on), "ALTER DATABASE %s ALLOW_CONNECTIONS true", rig_database);
	reset();
	rig_until(ledger_is_up(ledger));
	rig_sql("TRUNCATE job; BEGIN; LOCK TABLE job IN EXCLUSIVE MODE");
	accept_many(0, 1);
	rig_turns(100);
	PQclear(PQexec(rig_admin, off));
	rig_cut("sluiced accept");
	began = clock_mono_ms();
	rig_turns(500);
	accept_many(1, 1); /* waits in the queue: five seconds, not ten */
	rig_until(seen[1].calls == 1);
	check_int(clock_mono_ms() - began, <, 7500);
	check_int(seen[0].calls, ==, 0);
	rig_until(seen[0].calls == 1);
	check_int(clock_mono_ms() - began, <, 12500);
	check_int(seen[0].code, ==, SL_UNAVAILABLE);
	check_int(seen[1].code, ==, SL_UNAVAILABLE);
	read_status(seen[0].id, 7);
	check_int(got.code, ==, SL_UNAVAILABLE);
	rig_sql("COMMIT");
	PQclear(PQexec(rig_admin, on));
	accept_many(2, 1);
	rig_until(seen[2].calls == 1);
	check_int(seen[2].code, ==, SL_OK);
	check_int(rig_sql("SELECT count(*) FROM job"), ==, 1);
}

static void
a_commit_that_takes_too_long_is_not_made_later(void)
{
	struct ledger *hasty = start(rig_conninfo, "sluiced hasty", 500);

	reset();
	rig_sql("TRUNCATE job; BEGIN; LOCK TABLE job IN EXCLUSIVE MODE");
	accept_input(hasty, &seen[0], slice_text("1"));
	rig_until(answers == 1);
	check_int(seen[0].code, ==, SL_UNAVAILABLE);
	rig_sql("COMMIT");
	rig_turns(200);
	check_int(rig_sql("SELECT count(*) FROM job"), ==, 0);
	ledger_free(hasty);
}

static void
a_read_only_server_accepts_nothing(void)
{
	char off[160], on[160];

	snprintf(off, sizeof(off), "ALTER DATABASE %s SET default_transaction_read_only = on",
		 rig_database);
	snprintf(on, sizeof(on), "ALTER DATABASE %s RESET default_transaction_read_only",
		 rig_database);
	reset();
	rig_sql("TRUNCATE job");
	PQclear(PQexec(rig_admin, off));
	rig_cut("sluiced accept");
	rig_turns(50);
	accept_many(0, 1);
	rig_turns(1000);
	check_int(answers, ==, 0);
	PQclear(PQexec(rig_admin, on));
	rig_until(answers == 1);
	check_int(seen[0].code, ==, SL_OK);
}

static void
without_a_server_an_accept_fails_in_bounded_time_and_tells_no_secret(void)
{
	struct ledger *lost = start("host=/nonexistent password=hunter2secret dbname=x", "lost", 0);
	struct ledger *broken = start("postgresql://me:hunter2secret@[x/db", "broken", 0);
	int64_t began = clock_mono_ms();

	reset();
	accept_input(lost, &seen[0], slice_text("1"));
	accept_input(broken, &seen[1], slice_text("1"));
	rig_until(answers == 2);
	check_int(clock_mono_ms() - began, <, 6500);
	for (int i = 0; i < 2; i++) {
		check_int(seen[i].code, ==, SL_UNAVAILABLE);
		check(strstr(seen[i].text, "hunter2") == NULL);
	}
	ledger_free(lost);
	ledger_free(broken);
}

static struct {
	int calls;
	enum sl_code code;
	int64_t seq;
	char id[UUID_TEXT];
} once;

static void
on_once(void *arg, enum sl_code code, int64_t seq, const char *earlier,
	const struct sl_error *error)
{
	(void)arg;
	(void)error;
	once.calls++;
	once.code = code;
	once.seq = seq;
	snprintf(once.id, sizeof(once.id), "%s", earlier == NULL ? "" : earlier);
}

static void
accept_once(struct ledger *to, const char *key, const char *request, char *id)
{
	struct ledger_job job = {
	    .environment_id = 7, .kind = JOB_ACTION, .input = slice_text("{}")};
	char digest[SECRET_SHA256_HEX];

	uuid_v7(id);
	memcpy(job.id, id, sizeof(job.id));
	secret_sha256_hex(slice_text(request), digest);
	memset(&once, 0, sizeof(once));
	ledger_accept_once(to, &job, key, digest, on_once, NULL);
}

static void
an_idempotency_key_stands_for_one_job(void)
{
	char first[UUID_TEXT], second[UUID_TEXT];
	int64_t seq;

	rig_until(ledger_is_up(ledger));
	rig_sql("TRUNCATE job");
	accept_once(ledger, "k", "request", first);
	rig_until(once.calls == 1);
	check_int(once.code, ==, SL_OK);
	check_text(once.id, "");
	seq = once.seq;
	accept_once(ledger, "k", "request", second);
	rig_until(once.calls == 1);
	check_int(once.code, ==, SL_OK);
	check_text(once.id, first);
	check_int(once.seq, ==, seq);
	accept_once(ledger, "k", "another request", second);
	rig_until(once.calls == 1);
	check_int(once.code, ==, SL_CONFLICT);
	check_int(rig_sql("SELECT count(*) FROM job"), ==, 1);
}

static void
a_key_in_doubt_is_repeated_and_finds_its_own_job(void)
{
	char id[UUID_TEXT];

	rig_sql("TRUNCATE job; BEGIN; LOCK TABLE job IN EXCLUSIVE MODE");
	accept_once(ledger, "doubt", "request", id);
	rig_turns(100);
	rig_cut("sluiced accept");
	rig_turns(50);
	rig_sql("COMMIT");
	rig_until(once.calls == 1);
	check_int(once.code, ==, SL_OK);
	check_text(once.id, "");
	check_int(rig_sql("SELECT count(*) FROM job"), ==, 1);
}

static void
freeing_ends_a_key_that_is_under_way(void)
{
	struct ledger *brief = start(rig_conninfo, "sluiced brief", 0);
	char id[UUID_TEXT];

	rig_until(ledger_is_up(brief));
	accept_once(brief, "brief", "request", id);
	ledger_free(brief);
	check_int(once.calls, ==, 1);
	check_int(once.code, ==, SL_UNAVAILABLE);
	rig_turns(100);
	check_int(once.calls, ==, 1);
}

static void
freeing_answers_what_is_open(void)
{
	struct ledger *brief = start(rig_conninfo, "sluiced brief", 0);

	reset();
	rig_until(ledger_is_up(brief));
	accept_input(brief, &seen[0], slice_text("1"));
	rig_turns(0);
	accept_input(brief, &seen[1], slice_text("1"));
	ledger_free(brief);
	check_int(answers, ==, 2);
	check_int(seen[1].code, ==, SL_UNAVAILABLE);
	rig_turns(20);
}

static void
free_brief(void *arg, enum sl_code code, int64_t seq, const struct sl_error *error)
{
	struct ledger **brief = arg;

	(void)seq;
	(void)error;
	(void)code;
	answers++;
	if (*brief != NULL) {
		struct ledger *it = *brief;

		*brief = NULL;
		ledger_free(it);
	}
}

static void
a_callback_may_free_the_ledger(void)
{
	static struct ledger *brief;
	struct ledger_job job = {.kind = JOB_ACTION};

	brief = start(rig_conninfo, "sluiced brief", 0);
	reset();
	for (int i = 0; i < 3; i++) {
		uuid_v7(job.id);
		ledger_accept(brief, &job, free_brief, &brief);
	}
	rig_until(answers == 3);
	check(brief == NULL);
	rig_turns(20);
}

int
main(void)
{
	rig_start();
	rig_migrate();
	ledger = start(rig_conninfo, "sluiced accept", 0);
	CHECK_RUN(a_thousand_jobs_are_committed_in_the_order_given);
	CHECK_RUN(jobs_of_one_turn_share_a_commit_up_to_the_cap);
	CHECK_RUN(a_batch_is_capped_by_bytes_too);
	CHECK_RUN(a_bad_row_does_not_harm_its_neighbours);
	CHECK_RUN(a_job_outside_of_every_day_is_accepted_all_the_same);
	CHECK_RUN(input_comes_back_byte_for_byte);
	CHECK_RUN(a_status_tells_what_the_ledger_knows);
	CHECK_RUN(a_job_of_another_environment_is_not_found);
	CHECK_RUN(reads_of_one_turn_share_statements_and_get_their_own_answers);
	CHECK_RUN(reads_that_come_while_one_is_under_way_go_together);
	CHECK_RUN(a_read_that_finds_nothing_does_not_harm_its_neighbours);
	CHECK_RUN(a_row_that_cannot_be_read_does_not_harm_its_neighbours);
	CHECK_RUN(reads_whose_connection_is_cut_are_unavailable_and_those_behind_them_are_answered);
	CHECK_RUN(a_read_may_free_the_ledger_and_all_are_answered_once);
	CHECK_RUN(cut_connections_lose_nothing_and_double_nothing);
	CHECK_RUN(a_commit_in_doubt_is_repeated_when_the_server_is_back);
	CHECK_RUN(a_repeated_commit_finds_what_is_there);
	CHECK_RUN(a_doubt_that_cannot_be_resolved_ends_after_ten_seconds);
	CHECK_RUN(a_commit_that_takes_too_long_is_not_made_later);
	CHECK_RUN(a_read_only_server_accepts_nothing);
	CHECK_RUN(without_a_server_an_accept_fails_in_bounded_time_and_tells_no_secret);
	CHECK_RUN(an_idempotency_key_stands_for_one_job);
	CHECK_RUN(a_key_in_doubt_is_repeated_and_finds_its_own_job);
	CHECK_RUN(freeing_ends_a_key_that_is_under_way);
	CHECK_RUN(freeing_answers_what_is_open);
	CHECK_RUN(a_callback_may_free_the_ledger);
	ledger_free(ledger);
	rig_stop();
	return check_done();
}
