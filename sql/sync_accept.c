#include <stdlib.h>

#include "base/alloc.h"
#include "sql/ledger.h"
#include "sql/sync_store.h"

/* The note and the job are one transaction: a sync is never kept waiting for a run that did not come
 * into the ledger. */
static const struct unit_statement sync_claim = {
    "sync_claim",
    "WITH u AS (UPDATE sync s SET job_id = $2::uuid, claimed_at = now() WHERE s.id = $1::bigint"
    "  AND s.removed_at IS NULL AND NOT " SYNC_OPEN " RETURNING s.id)"
    " SELECT require((SELECT true FROM sync s WHERE s.id = $1::bigint AND s.removed_at IS NULL),"
    "  'SL404', 'there is no such sync'),"
    " require((SELECT true FROM u), 'SL409', 'a run of the sync is open')"};

static const struct unit_statement sync_job = {
    "sync_job",
    "INSERT INTO job (id, environment_id, key_id, function_version_id, connection_id, kind,"
    " max_retries, webhook, input) VALUES ($1::uuid, $2::bigint, $3::bigint, $4::bigint,"
    " $5::bigint, $6::bigint, $7::bigint, false, convert_to($8::text, 'UTF8')) RETURNING seq"};

/* The checkpoint keeps counting: what a run that saw it before still writes is refused. */
static const struct unit_statement sync_forget[] = {
    {"sync_forget_success", "UPDATE sync SET last_success = NULL WHERE id = $1::bigint"},
    {"sync_forget_checkpoint",
     "UPDATE checkpoint SET value = NULL, version = version + 1"
     " WHERE (connection_id, function_id, variant)"
     "  = (SELECT connection_id, function_id, variant FROM sync WHERE id = $1::bigint)"},
    {"sync_forget_windows", "DELETE FROM track_window WHERE sync_id = $1::bigint"},
};

static void
sync_on_accepted(void *arg, const struct unit_answer *answer)
{
	struct sync_call *call = arg;
	struct sl_error error;
	int count;
	enum sl_code code = sync_outcome(call, answer, &count, &error);
	int64_t seq = code == SL_OK ? value_int(sync_answer_rows(answer), 0, 0) : 0;

	call->cb.accepted(call->arg, code, seq, code == SL_OK ? NULL : &error);
	free(call);
}

static void
sync_add_job(struct unit *unit, const struct ledger_job *job)
{
	char *input = sl_strndup(job->input.data, job->input.len);

	unit_add(unit, &sync_job);
	unit_bind_text(unit, job->id);
	unit_bind_int(unit, job->environment_id);
	unit_bind_int(unit, job->key_id);
	unit_bind_int(unit, job->function_version_id);
	unit_bind_int(unit, job->connection_id);
	unit_bind_int(unit, job->kind);
	unit_bind_int(unit, job->max_retries);
	unit_bind_text(unit, input); /* copied */
	free(input);
}

void
sync_accept(struct sync_store *store, int64_t id, const struct ledger_job *job, bool reset,
	    sync_accept_cb *cb, void *arg)
{
	struct sync_call *call = sync_call_new(arg, "job");
	char job_id[UUID_TEXT];
	struct unit *unit;

	call->cb.accepted = cb;
	if (!uuid_parse(slice_text(job->id), job_id)) {
		sync_refuse(store, sync_on_accepted, call, SL_INVALID, "the job id is no uuid");
		return;
	}
	unit = unit_new();
	unit_add(unit, &sync_claim);
	unit_bind_int(unit, id);
	unit_bind_text(unit, job_id);
	for (size_t i = 0; reset && i < sizeof(sync_forget) / sizeof(*sync_forget); i++) {
		unit_add(unit, &sync_forget[i]);
		unit_bind_int(unit, id);
	}
	sync_add_job(unit, job);
	sync_send(store, unit, sync_on_accepted, call);
}
