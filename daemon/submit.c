#include "daemon/submit.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/envelope.h"
#include "base/fault.h"
#include "base/log.h"
#include "queue/ready.h"

struct submit { /* between accept and push */
	struct daemon *daemon;
	struct ledger_job job; /* input borrows from bytes */
	char *bytes;
	submit_cb *cb;
	ledger_accept_once_cb *once_cb;
	void *arg;
};

static void
on_pushed(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	(void)arg;
	(void)value;
	/* Redis is away or was rebuilt: the job is in the ledger, the scheduler's sweep brings it.
	 */
	if (code != SL_OK)
		log_debug("push_left_to_sweep", "code=%s error=%s", sl_code_name(code),
			  log_text(error != NULL ? error->text : ""));
}

static void
push(const struct submit *submit, int64_t seq)
{
	const struct ledger_job *job = &submit->job;
	struct envelope envelope = {
	    .seq = seq,
	    .environment_id = job->environment_id,
	    .key_id = job->key_id,
	    .function_version_id = job->function_version_id,
	    .connection_id = job->connection_id,
	    .attempt = 1,
	    .max_retries = job->max_retries,
	    .kind = job->kind,
	    .webhook = job->webhook,
	    .accepted_ms = clock_wall_ms(),
	    .has_input = job->input.len <= ENVELOPE_INPUT_MAX,
	    .input = job->input,
	};
	struct ready_entry entry = {.key_id = envelope.key_id,
				    .environment_id = envelope.environment_id};
	struct buf bytes;

	memcpy(envelope.job_id, job->id, sizeof(envelope.job_id));
	buf_init(&bytes, ENVELOPE_INPUT_MAX + 1024);
	envelope_encode(&envelope, submit->daemon->envelope_key, &bytes);
	entry.envelope = buf_slice(&bytes);
	ready_push(submit->daemon->queue, READY_NEW, &entry, 1, on_pushed, NULL);
	buf_fini(&bytes);
}

static void
on_accepted_once(void *arg, enum sl_code code, int64_t seq, const char *existing_id,
		 const struct sl_error *error)
{
	struct submit *submit = arg;

	FAULT_POINT("accept_committed");
	if (code == SL_OK && existing_id == NULL && submit->job.delay_ms == 0) {
		push(submit, seq);
		FAULT_POINT("accept_pushed");
	}
	if (submit->once_cb != NULL)
		submit->once_cb(submit->arg, code, seq, existing_id, error);
	else
		submit->cb(submit->arg, code, error);
	free(submit->bytes);
	free(submit);
}

static void
on_accepted(void *arg, enum sl_code code, int64_t seq, const struct sl_error *error)
{
	on_accepted_once(arg, code, seq, NULL, error);
}

static struct submit *
submit_new(struct daemon *daemon, const struct ledger_job *job, void *arg)
{
	struct submit *submit = sl_alloc(sizeof(*submit));

	submit->daemon = daemon;
	submit->job = *job;
	submit->bytes = sl_memdup(job->input.data, job->input.len);
	submit->job.input.data = submit->bytes;
	submit->arg = arg;
	return submit;
}

static bool
is_full(struct daemon *daemon, struct sl_error *error)
{
	if (ledger_pending(daemon->ledger) < SUBMIT_PENDING_MAX)
		return false;
	(void)sl_fail(error, SL_EXHAUSTED, "%d accepts wait for the ledger", SUBMIT_PENDING_MAX);
	return true;
}

void
submit_job(struct daemon *daemon, const struct ledger_job *job, submit_cb *cb, void *arg)
{
	struct submit *submit;
	struct sl_error error;

	if (is_full(daemon, &error)) {
		cb(arg, SL_EXHAUSTED, &error);
		return;
	}
	submit = submit_new(daemon, job, arg);
	submit->cb = cb;
	if (job->delay_ms > 0)
		ledger_accept_once(daemon->ledger, &submit->job, NULL, NULL, on_accepted_once,
				   submit);
	else
		ledger_accept(daemon->ledger, &submit->job, on_accepted, submit);
}

void
submit_job_once(struct daemon *daemon, const struct ledger_job *job, const char *idempotency_key,
		const char *digest, ledger_accept_once_cb *cb, void *arg)
{
	struct submit *submit;
	struct sl_error error;

	if (is_full(daemon, &error)) {
		cb(arg, SL_EXHAUSTED, 0, NULL, &error);
		return;
	}
	submit = submit_new(daemon, job, arg);
	submit->once_cb = cb;
	ledger_accept_once(daemon->ledger, &submit->job, idempotency_key, digest, on_accepted_once,
			   submit);
}
