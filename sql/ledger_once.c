/* sql/ledger_once.c - accepting a job at most once per idempotency key, or with a delay.
 *
 * The key's row and the job commit together.  Two requests with one key meet at the row's primary
 * key: the second waits for the first one's commit and then reads what that wrote.  A repeat after
 * a commit in doubt finds its own row.
 *
 * A delay is a retry row with number 1; accepted_at is then the end of the delay (0008_cancel.sql).
 * It commits with the job, so a repeat that finds the job adds none: it may have been taken. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "sql/ledger_state.h"
#include "sql/unit.h"

#define ONCE_WAIT_MS 5000
#define ONCE_DOUBT_MS 10000

struct once {
	struct ledger *ledger;
	struct ledger_job job; /* input owned */
	char *key;             /* NULL: none */
	char digest[SECRET_SHA256_HEX];
	int64_t until_ms; /* of repeats; 0: none was needed yet */
	ledger_accept_once_cb *cb;
	void *arg;
};

#define ONCE_JOB(key, environment, version, connection, kind, retries, webhook, input, delay, id, \
		 rest)                                                                            \
	" j AS (INSERT INTO job (id, environment_id, key_id, function_version_id, connection_id," \
	" accepted_at, kind, max_retries, webhook, input) SELECT " id ", " environment            \
	"::bigint, " key "::bigint, " version "::bigint, " connection "::bigint, now() + " delay  \
	"::bigint * interval '1 millisecond', " kind "::bigint, " retries "::bigint, " webhook    \
	"::bigint <> 0, (SELECT p FROM unnest(" input "::bytea[]) u(p)) " rest                    \
	" RETURNING id, accepted_at) INSERT INTO retry (job_id, number, due_at)"                  \
	" SELECT id, 1, accepted_at FROM j WHERE " delay "::bigint > 0"

static const struct unit_statement once_insert = {
    "once_insert",
    "WITH i AS (INSERT INTO idempotency AS t (environment_id, key, job_id, digest, expires_at)"
    " VALUES ($1::bigint, $2::text, $3::uuid, $4::text, now() + interval '24 hours')"
    " ON CONFLICT (environment_id, key) DO UPDATE SET job_id = excluded.job_id,"
    " digest = excluded.digest, expires_at = excluded.expires_at WHERE t.expires_at < now()"
    " RETURNING job_id)," ONCE_JOB("$5", "$1", "$6", "$7", "$8", "$9", "$10", "$11", "$12",
				   "i.job_id", "FROM i")};

static const struct unit_statement once_delayed = {
    "once_delayed", "WITH " ONCE_JOB("$3", "$1", "$4", "$5", "$6", "$7", "$8", "$9", "$10",
				     "$2::uuid", "ON CONFLICT (id) DO NOTHING")};

static const struct unit_statement once_find_job = {
    "once_find_job", "SELECT id, ''::text, seq FROM job WHERE id = $1::uuid"};

static const struct unit_statement once_find = {
    "once_find", "SELECT i.job_id, i.digest, (SELECT j.seq FROM job j WHERE j.id = i.job_id)"
		 " FROM idempotency i WHERE i.environment_id = $1::bigint AND i.key = $2::text"};

static void once_send(struct once *once);

static void
once_free(struct once *once)
{
	free((char *)(uintptr_t)once->job.input.data);
	free(once->key);
	free(once);
}

static void
once_report(struct once *once, const PGresult *row)
{
	char id[UUID_TEXT];
	struct sl_error error;

	if (PQntuples(row) != 1) {
		sl_fail(&error, SL_INTERNAL, "the row of an idempotency key vanished");
		once->cb(once->arg, SL_INTERNAL, 0, NULL, &error);
		return;
	}
	value_uuid(row, 0, 0, id);
	if (strcmp(id, once->job.id) == 0) {
		once->cb(once->arg, SL_OK, value_int(row, 0, 2), NULL, NULL);
	} else if (strcmp(value_text(row, 0, 1), once->digest) == 0) {
		once->cb(once->arg, SL_OK, value_int(row, 0, 2), id, NULL);
	} else {
		sl_fail(&error, SL_CONFLICT, "this idempotency key was used with another request");
		once->cb(once->arg, SL_CONFLICT, 0, NULL, &error);
	}
}

static void
once_on_answer(void *arg, const struct unit_answer *answer)
{
	struct once *once = arg;
	int64_t now = clock_mono_ms();

	if (!ledger_is_closed(once->ledger) &&
	    (answer->in_doubt || (answer->code == SL_UNAVAILABLE && once->until_ms > 0))) {
		if (once->until_ms == 0)
			once->until_ms = now + ONCE_DOUBT_MS;
		if (now < once->until_ms) {
			once_send(once);
			return;
		}
	}
	if (answer->code != SL_OK)
		once->cb(once->arg, answer->code, 0, NULL, &answer->error);
	else
		once_report(once, answer->results[1]);
	once_free(once);
}

static void
once_send(struct once *once)
{
	struct unit *unit = unit_new();
	const struct ledger_job *job = &once->job;
	struct value_array input;

	value_array_init(&input, VALUE_BYTEA);
	value_array_bytes(&input, job->input);
	unit_add(unit, once->key != NULL ? &once_insert : &once_delayed);
	unit_bind_int(unit, job->environment_id);
	if (once->key != NULL)
		unit_bind_text(unit, once->key);
	unit_bind_text(unit, job->id);
	if (once->key != NULL)
		unit_bind_text(unit, once->digest);
	unit_bind_int(unit, job->key_id);
	unit_bind_int(unit, job->function_version_id);
	unit_bind_int(unit, job->connection_id);
	unit_bind_int(unit, job->kind);
	unit_bind_int(unit, job->max_retries);
	unit_bind_int(unit, job->webhook);
	unit_bind_array(unit, &input);
	unit_bind_int(unit, job->delay_ms);
	if (once->key != NULL) {
		unit_add(unit, &once_find);
		unit_bind_int(unit, job->environment_id);
		unit_bind_text(unit, once->key);
	} else {
		unit_add(unit, &once_find_job);
		unit_bind_text(unit, job->id);
	}
	unit_send(unit, ledger_writer(once->ledger), ONCE_WAIT_MS, once_on_answer, once);
}

void
ledger_accept_once(struct ledger *ledger, const struct ledger_job *job, const char *idempotency_key,
		   const char *digest, ledger_accept_once_cb *cb, void *arg)
{
	struct once *once = sl_alloc(sizeof(*once));
	struct sl_error error;

	once->ledger = ledger;
	once->job = *job;
	once->job.input.data = NULL;
	if (ledger_check(job, once->job.id, &error) != SL_OK) {
		free(once);
		cb(arg, error.code, 0, NULL, &error);
		return;
	}
	if (job->input.len > 0)
		once->job.input.data = sl_memdup(job->input.data, job->input.len);
	if (idempotency_key != NULL) {
		once->key = sl_strdup(idempotency_key);
		memcpy(once->digest, digest, sizeof(once->digest));
	}
	once->cb = cb;
	once->arg = arg;
	once_send(once);
}
