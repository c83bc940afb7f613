/* libpq has no memory for an answer: it returns no result, or an error of its own, where the server did all. */
#include <dlfcn.h>

#include "base/secret.h"
#include "sql/account.h"
#include "sql/ledger.h"
#include "tests/integration/sql_rig.h"

static enum { GOOD, NONE, OWN_ERROR } next_answer;

/* In libpq's place, for the code under test: rows that come become what next_answer says, once. */
PGresult *
PQgetResult(PGconn *conn)
{
	PGresult *(*real)(PGconn *);
	PGresult *result;

	*(void **)(&real) = dlsym(RTLD_NEXT, "PQgetResult");
	result = real(conn);
	if (next_answer == GOOD || PQresultStatus(result) != PGRES_TUPLES_OK)
		return result;
	PQclear(result);
	result = next_answer == NONE ? NULL : PQmakeEmptyPGresult(conn, PGRES_FATAL_ERROR);
	next_answer = GOOD;
	return result;
}

static int calls;
static enum sl_code code_;

static void
on_key(void *arg, enum sl_code code, const struct account_key *row, const struct sl_error *error)
{
	(void)arg;
	(void)row;
	(void)error;
	calls++;
	code_ = code;
}

static void
on_environment(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
{
	(void)arg;
	(void)id;
	(void)error;
	calls++;
	code_ = code;
}

static void
on_accepted(void *arg, enum sl_code code, int64_t seq, const struct sl_error *error)
{
	(void)arg;
	(void)seq;
	(void)error;
	calls++;
	code_ = code;
}

static void
a_key_whose_answer_was_lost_is_not_unknown(void)
{
	struct pg_settings settings = {rig_conninfo, "sluiced account", true, 0, false};
	struct account *account = account_new(rig_loop, &settings, NULL, NULL);
	struct account_new_environment row = {"dev", "uuid", "s1:sealed", "", "", false};
	char digest[SECRET_SHA256_HEX];

	secret_sha256_hex(slice_text("the key"), digest);
	row.key_digest = digest;
	rig_until(account_is_up(account));
	calls = 0;
	account_environment_create(account, &row, on_environment, NULL);
	rig_until(calls == 1);
	check_int(code_, ==, SL_OK);
	for (int how = NONE; how <= OWN_ERROR; how++) {
		rig_until(account_is_up(account));
		calls = 0;
		next_answer = how;
		account_key_find(account, digest, on_key, NULL);
		rig_until(calls == 1);
		check_int(next_answer, ==, GOOD);
		check_int(code_, ==, SL_UNAVAILABLE);
	}
	rig_until(account_is_up(account));
	calls = 0;
	account_key_find(account, digest, on_key, NULL);
	rig_until(calls == 1);
	check_int(code_, ==, SL_OK);
	account_free(account);
}

static void
a_job_whose_answer_was_lost_is_accepted_once(void)
{
	struct pg_settings settings = {rig_conninfo, "sluiced accept", true, 0, false};
	struct ledger *ledger = ledger_new(rig_loop, &settings);
	struct ledger_job job = {.environment_id = 7,
				 .key_id = 70,
				 .function_version_id = 3,
				 .connection_id = 9,
				 .kind = JOB_ACTION,
				 .input = slice_text("{}")};

	for (int how = NONE; how <= OWN_ERROR; how++) {
		rig_until(ledger_is_up(ledger));
		uuid_v7(job.id);
		calls = 0;
		next_answer = how;
		ledger_accept(ledger, &job, on_accepted, NULL);
		rig_until(calls == 1);
		check_int(next_answer, ==, GOOD);
		check_int(code_, ==, SL_OK);
		check_int(rig_sql("SELECT count(*) FROM job"), ==, how);
	}
	ledger_free(ledger);
}

int
main(void)
{
	rig_start();
	rig_migrate();
	CHECK_RUN(a_key_whose_answer_was_lost_is_not_unknown);
	CHECK_RUN(a_job_whose_answer_was_lost_is_accepted_once);
	rig_stop();
	return check_done();
}
