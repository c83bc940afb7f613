#include <stdlib.h>

#include "base/alloc.h"
#include "sql/ledger.h"
#include "sql/sync_store.h"

/* The note and the job are one transaction: a sync is never kept waiting for a run that did not come
 * into the ledger. */
static const struct unit_statement sync_claim = {
    "sync_claim",
    "WITH u AS (UPDATE sync s SET job_id = $2::uuid, claimed_at = now() WHERE s.id = $1::bigint"
    "  AND s.removed_at IS NULL AND (s.job_id = $2::uuid OR NOT " SYNC_OPEN ") RETURNING s.id)"
    " SELECT require((SELECT true FROM sync s WHERE s.id = $1::bigint AND s.removed_at IS NULL),"
    "  'SL404', 'there is no such sync'),"
    " require((SELECT true FROM u), 'SL409', 'a run of the sync is open')"};

/* Not by a unit that is repeated after it committed: the run may have begun.  The checkpoint keeps
 * counting: what a run that saw it before still writes is refused. */
#define SYNC_NEW " AND (SELECT true FROM job j WHERE j.id = $2::uuid) IS NULL"
static const struct unit_statement sync_forget[] = {
    {"sync_forget_success",
     "UPDATE sync SET last_success = NULL, still_runs = 0 WHERE id = $1::bigint" SYNC_NEW},
    {"sync_forget_checkpoint",
     "UPDATE checkpoint SET value = NULL, version = version + 1"
     " WHERE (connection_id, function_id, variant)"
     "  = (SELECT connection_id, function_id, variant FROM sync WHERE id = $1::bigint)" SYNC_NEW},
    {"sync_forget_windows", "DELETE FROM track_window WHERE sync_id = $1::bigint" SYNC_NEW},
};

static const struct unit_statement sync_job = {
    "sync_job",
    "INSERT INTO job (id, environment_id, key_id, function_version_id, connection_id, kind,"
    " max_retries, webhook, input) VALUES ($1::uuid, $2::bigint, $3::bigint, $4::bigint,"
    " $5::bigint, $6::bigint, $7::bigint, false, convert_to($8::text, 'UTF8'))"
    " ON CONFLICT (id) DO NOTHING"};

static const struct unit_statement sync_job_seq = {"sync_job_seq",
						   "SELECT seq FROM job WHERE id = $1::uuid"};

struct accept { /* one run on its way into the ledger */
	struct sync_call call;
	struct sync_store *store;
	int64_t sync_id;
	struct ledger_job job;
	char *input; /* owned */
	bool reset, repeated;
};

static void accept_send(struct accept *accept);

static void
accept_answered(void *arg, const struct unit_answer *answer)
{
	struct accept *accept = arg;
	struct sl_error error;
	int count;
	enum sl_code code;
	int64_t seq = 0;

	if (answer->in_doubt && !accept->repeated) {
		accept->repeated = true;
		accept_send(accept);
		return;
	}
	code = sync_outcome(&accept->call, answer, &count, &error);
	if (code == SL_OK)
		seq = value_int(sync_answer_rows(answer), 0, 0);
	accept->call.cb.accepted(accept->call.arg, code, seq, code == SL_OK ? NULL : &error);
	free(accept->input);
	free(accept);
}

static void
accept_send(struct accept *accept)
{
	const struct ledger_job *job = &accept->job;
	struct unit *unit = unit_new();

	unit_add(unit, &sync_claim);
	unit_bind_int(unit, accept->sync_id);
	unit_bind_text(unit, job->id);
	for (size_t i = 0; accept->reset && i < sizeof(sync_forget) / sizeof(*sync_forget); i++) {
		unit_add(unit, &sync_forget[i]);
		unit_bind_int(unit, accept->sync_id);
		unit_bind_text(unit, job->id);
	}
	unit_add(unit, &sync_job);
	unit_bind_text(unit, job->id);
	unit_bind_int(unit, job->environment_id);
	unit_bind_int(unit, job->key_id);
	unit_bind_int(unit, job->function_version_id);
	unit_bind_int(unit, job->connection_id);
	unit_bind_int(unit, job->kind);
	unit_bind_int(unit, job->max_retries);
	unit_bind_text(unit, accept->input);
	unit_add(unit, &sync_job_seq);
	unit_bind_text(unit, job->id);
	sync_send(accept->store, unit, accept_answered, &accept->call);
}

void
sync_accept(struct sync_store *store, int64_t id, const struct ledger_job *job, bool reset,
	    sync_accept_cb *cb, void *arg)
{
	struct accept *accept = sl_alloc(sizeof(*accept));
	char job_id[UUID_TEXT];

	accept->call = (struct sync_call){.cb.accepted = cb, .arg = arg, .one = "job"};
	accept->store = store;
	accept->sync_id = id;
	accept->job = *job;
	accept->job.input = (struct slice){NULL, 0};
	accept->input = sl_strndup(job->input.data, job->input.len);
	accept->reset = reset;
	if (uuid_parse(slice_text(job->id), job_id))
		accept_send(accept);
	else
		sync_refuse(store, accept_answered, &accept->call, SL_INVALID,
			    "the job id is no uuid");
}
