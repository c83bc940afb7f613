#include "sql/sync_store.h"

#include <stdlib.h>

#include "base/alloc.h"

struct sync_store {
	struct loop *loop;
	struct pg *pg;
};

static const struct unit_statement sync_fence = {
    "sync_fence", "SELECT fence($1::bigint, $2::uuid, $3::bigint, $4::bigint, $5::boolean)"};

struct sync_store *
sync_store_new(struct loop *loop, const struct pg_settings *settings)
{
	struct sync_store *store = sl_alloc(sizeof(*store));
	struct pg_settings hot = *settings;

	hot.hot = true; /* every statement goes by an index */
	store->loop = loop;
	store->pg = pg_new(loop, &hot, NULL, NULL);
	return store;
}

void
sync_store_free(struct sync_store *store)
{
	if (store == NULL)
		return;
	pg_free(store->pg);
	loop_free_later(store->loop, free, store);
}

bool
sync_store_is_up(const struct sync_store *store)
{
	return pg_is_up(store->pg);
}

struct sync_call *
sync_call_new(void *arg, const char *one)
{
	struct sync_call *call = sl_alloc(sizeof(*call));

	call->arg = arg;
	call->one = one;
	return call;
}

void
sync_send(struct sync_store *store, struct unit *unit, unit_cb *answered, struct sync_call *call)
{
	unit_send(unit, store->pg, UNIT_WAIT_MS, answered, call);
}

static void
sync_on_refused(void *arg)
{
	struct sync_call *call = arg;
	struct unit_answer answer = call->refused;

	call->answered(call, &answer);
}

void
sync_refuse(struct sync_store *store, unit_cb *answered, struct sync_call *call, enum sl_code code,
	    const char *why)
{
	call->answered = answered;
	call->refused.code = sl_fail(&call->refused.error, code, "%s", why);
	loop_soon(store->loop, sync_on_refused, call);
}

void
sync_add_fence(struct unit *unit, const struct sync_fence *fence)
{
	const char *job_id;

	if (fence == NULL)
		return;
	job_id = fence->job_id != NULL && fence->job_id[0] != '\0' ? fence->job_id : NULL;
	if (fence->session == 0 && job_id == NULL && fence->sync_id == 0)
		return;
	unit_add(unit, &sync_fence);
	unit_bind_int(unit, fence->session);
	unit_bind_text(unit, job_id);
	unit_bind_int(unit, fence->number);
	unit_bind_int(unit, fence->sync_id);
	unit_bind_bool(unit, fence->newest);
}

const PGresult *
sync_answer_rows(const struct unit_answer *answer)
{
	return answer->results[answer->count - 1];
}

enum sl_code
sync_outcome(const struct sync_call *call, const struct unit_answer *answer, int *count,
	     struct sl_error *error)
{
	*count = 0;
	*error = answer->error;
	if (answer->code != SL_OK)
		return answer->code;
	*count = PQntuples(sync_answer_rows(answer));
	if (*count == 0 && call->one != NULL)
		return sl_fail(error, SL_NOT_FOUND, "there is no such %s", call->one);
	return SL_OK;
}

void
sync_on_done(void *arg, const struct unit_answer *answer)
{
	struct sync_call *call = arg;
	struct sl_error error;
	int count;
	enum sl_code code = sync_outcome(call, answer, &count, &error);

	call->cb.done(call->arg, code, code == SL_OK ? NULL : &error);
	free(call);
}
