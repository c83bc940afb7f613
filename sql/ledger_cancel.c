/* sql/ledger_cancel.c - ending jobs from outside; the function cancel_job (0008_cancel.sql) says how
 * a cancel and a worker that begins the job at the same moment meet. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/metrics.h"
#include "sql/ledger_state.h"
#include "sql/unit.h"

#define CANCEL_WAIT_MS 5000
#define CANCEL_DOUBT_MS 10000

enum cancel_answer { CANCEL_UNKNOWN, CANCEL_NOW, CANCEL_ENDED, CANCEL_BEFORE };

struct cancel {
	struct ledger *ledger;
	char job_id[UUID_TEXT];
	int64_t environment_id;
	enum job_kind kind;
	bool kill;
	int64_t until_ms; /* of repeats; 0: none was needed yet */
	ledger_cancel_cb *cb;
	void *arg;
};

struct look {
	ledger_ended_cb *cb;
	void *arg;
};

static const struct unit_statement cancel_one = {
    "cancel_one", "SELECT cancel_job($1::uuid, $2::bigint, $3::bigint, $4::text),"
		  " (SELECT j.kind FROM job j WHERE j.id = $1::uuid)"};

static const struct unit_statement cancel_kill = {
    "cancel_kill", "SELECT kill_job($1::uuid, $2::bigint, $3::bigint, $4::text),"
		   " (SELECT j.kind FROM job j WHERE j.id = $1::uuid)"};

static const struct unit_statement cancel_ended = {
    "cancel_ended", "SELECT i FROM unnest($1::uuid[]) WITH ORDINALITY u(i, o)"
		    " WHERE (SELECT true FROM result r WHERE r.job_id = i) IS NOT NULL ORDER BY o"};

static const struct unit_statement cancel_newest = {"cancel_newest",
						    "SELECT last_value FROM job_seq"};

static void cancel_send(struct cancel *cancel);

/* After a commit in doubt a job that is found cancelled was most likely cancelled by us, and is what
 * the caller wanted in any case. */
static enum sl_code
cancel_code(const struct cancel *cancel, enum cancel_answer answer, struct sl_error *error)
{
	switch (answer) {
	case CANCEL_NOW:
		return SL_OK;
	case CANCEL_BEFORE:
		if (cancel->until_ms > 0 || cancel->kill)
			return SL_OK;
		return sl_fail(error, SL_CONFLICT, "the job was cancelled before");
	case CANCEL_ENDED:
		return sl_fail(error, SL_CONFLICT, "the job has ended");
	case CANCEL_UNKNOWN:
		break;
	}
	return sl_fail(error, SL_NOT_FOUND, "no such job");
}

static void
cancel_on_answer(void *arg, const struct unit_answer *answer)
{
	struct cancel *cancel = arg;
	struct sl_error error = answer->error;
	enum sl_code code = answer->code;
	enum cancel_answer what = CANCEL_UNKNOWN;
	int64_t now = clock_mono_ms();

	if (!ledger_is_closed(cancel->ledger) &&
	    (answer->in_doubt || (code == SL_UNAVAILABLE && cancel->until_ms > 0))) {
		if (cancel->until_ms == 0)
			cancel->until_ms = now + CANCEL_DOUBT_MS;
		if (now < cancel->until_ms) {
			cancel_send(cancel);
			return;
		}
	}
	if (code == SL_OK) {
		what = (enum cancel_answer)value_int(answer->results[0], 0, 0);
		code = cancel_code(cancel, what, &error);
	}
	if (code == SL_OK && (what == CANCEL_NOW || cancel->until_ms > 0))
		metrics_finished((enum job_kind)value_int(answer->results[0], 0, 1), JOB_CANCELLED,
				 false);
	cancel->cb(cancel->arg, code, code == SL_OK ? NULL : &error);
	free(cancel);
}

static void
cancel_send(struct cancel *cancel)
{
	struct unit *unit = unit_new();

	unit_add(unit, cancel->kill ? &cancel_kill : &cancel_one);
	unit_bind_text(unit, cancel->job_id);
	unit_bind_int(unit, cancel->environment_id);
	unit_bind_int(unit, cancel->kind);
	unit_bind_text(unit, LEDGER_CANCELLED_OUTPUT);
	unit_send(unit, ledger_reader(cancel->ledger), CANCEL_WAIT_MS, cancel_on_answer, cancel);
}

static void
cancel_ask(struct ledger *ledger, const char *job_id, int64_t environment_id, enum job_kind kind,
	   bool kill, ledger_cancel_cb *cb, void *arg)
{
	struct cancel *cancel = sl_alloc(sizeof(*cancel));
	struct sl_error error;

	if (!uuid_parse(slice_text(job_id), cancel->job_id)) {
		free(cancel);
		sl_fail(&error, SL_INVALID, "the job id is no uuid");
		cb(arg, SL_INVALID, &error);
		return;
	}
	cancel->ledger = ledger;
	cancel->environment_id = environment_id;
	cancel->kind = kind;
	cancel->kill = kill;
	cancel->cb = cb;
	cancel->arg = arg;
	cancel_send(cancel);
}

void
ledger_cancel(struct ledger *ledger, const char *job_id, int64_t environment_id, enum job_kind kind,
	      ledger_cancel_cb *cb, void *arg)
{
	cancel_ask(ledger, job_id, environment_id, kind, false, cb, arg);
}

void
ledger_kill(struct ledger *ledger, const char *job_id, int64_t environment_id, ledger_cancel_cb *cb,
	    void *arg)
{
	cancel_ask(ledger, job_id, environment_id, (enum job_kind)0, true, cb, arg);
}

static void
cancel_on_ended(void *arg, const struct unit_answer *answer)
{
	struct look *look = arg;
	char(*ids)[UUID_TEXT] = NULL;
	int64_t newest = 0;
	int count = 0;

	if (answer->code == SL_OK) {
		count = PQntuples(answer->results[0]);
		newest = value_int(answer->results[1], 0, 0);
	}
	ids = sl_calloc((size_t)count + 1, sizeof(*ids));
	for (int i = 0; i < count; i++)
		value_uuid(answer->results[0], i, 0, ids[i]);
	look->cb(look->arg, answer->code, (const char(*)[UUID_TEXT])ids, count, newest);
	free(ids);
	free(look);
}

void
ledger_ended(struct ledger *ledger, const char (*job_ids)[UUID_TEXT], int count,
	     ledger_ended_cb *cb, void *arg)
{
	struct look *look = sl_alloc(sizeof(*look));
	struct unit *unit = unit_new();
	struct value_array ids;

	look->cb = cb;
	look->arg = arg;
	value_array_init(&ids, VALUE_UUID);
	for (int i = 0; i < count; i++)
		value_array_uuid(&ids, job_ids[i]);
	unit_add(unit, &cancel_ended);
	unit_bind_array(unit, &ids);
	unit_add(unit, &cancel_newest);
	unit_send(unit, ledger_reader(ledger), CANCEL_WAIT_MS, cancel_on_ended, look);
}
