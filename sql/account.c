#include "sql/account.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "sql/account_rows.h"

struct account {
	struct loop *loop;
	struct pg *pg;
};

struct account *
account_new(struct loop *loop, const struct pg_settings *settings, pg_state_cb *cb, void *arg)
{
	struct account *account = sl_alloc(sizeof(*account));

	account->loop = loop;
	account->pg = pg_new(loop, settings, cb, arg);
	return account;
}

void
account_free(struct account *account)
{
	if (account == NULL)
		return;
	pg_free(account->pg);
	loop_free_later(account->loop, free, account);
}

struct pg *
account_pg(struct account *account)
{
	return account->pg;
}

bool
account_is_up(const struct account *account)
{
	return pg_is_up(account->pg);
}

struct loop *
account_loop(const struct account *account)
{
	return account->loop;
}

struct account_call *
account_call_new(void *arg, const char *one)
{
	struct account_call *call = sl_alloc(sizeof(*call));

	call->arg = arg;
	call->one = one;
	return call;
}

void
account_send(struct account *account, struct unit *unit, unit_cb *answered,
	     struct account_call *call)
{
	unit_send(unit, account->pg, UNIT_WAIT_MS, answered, call);
}

const PGresult *
account_rows(const struct unit_answer *answer)
{
	return answer->results[answer->count - 1];
}

enum sl_code
account_outcome(const struct account_call *call, const struct unit_answer *answer, int *count,
		struct sl_error *error)
{
	*count = 0;
	*error = answer->error;
	if (answer->code != SL_OK)
		return answer->code;
	*count = PQntuples(account_rows(answer));
	if (*count == 0 && call->one != NULL)
		return sl_fail(error, SL_NOT_FOUND, "there is no such %s", call->one);
	return SL_OK;
}

static void
account_on_done(void *arg, const struct unit_answer *answer)
{
	struct account_call *call = arg;
	struct sl_error error;
	int64_t id = 0;
	int count;
	enum sl_code code = account_outcome(call, answer, &count, &error);

	if (code == SL_OK && PQgetisnull(account_rows(answer), 0, 0))
		code = sl_fail(&error, SL_CONFLICT, "the %s is not as expected", call->one);
	else if (code == SL_OK)
		id = value_int(account_rows(answer), 0, 0);
	call->cb.done(call->arg, code, id, code == SL_OK ? NULL : &error);
	free(call);
}

void
account_send_done(struct account *account, struct unit *unit, const char *what, account_done_cb *cb,
		  void *arg)
{
	struct account_call *call = account_call_new(arg, what);

	call->cb.done = cb;
	account_send(account, unit, account_on_done, call);
}
