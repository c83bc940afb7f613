#include "sql/outbox.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/secret.h"
#include "sql/account_rows.h"

static const struct unit_statement outbox_add_event = {
    "outbox_add_event",
    "INSERT INTO outbox (id, environment_id, connection_id, type, outcome, body)"
    " VALUES ($1::uuid, $2::bigint, $3::bigint, $4::bigint, $5::bigint, $6::text)"
    " RETURNING connection_id"};

struct refusal {
	account_done_cb *cb;
	void *arg;
	struct sl_error error;
};

static void
outbox_on_refused(void *arg)
{
	struct refusal *refusal = arg;

	refusal->cb(refusal->arg, SL_INVALID, 0, &refusal->error);
	free(refusal);
}

void
outbox_add(struct account *account, const struct settle_event *event, account_done_cb *cb,
	   void *arg)
{
	struct json_value value;
	struct sl_error error;
	struct unit *unit;
	char id[UUID_TEXT];
	char *body;

	/* JSON that was checked is text that Postgres takes. */
	if (json_check(event->body, &value, &error) != SL_OK) {
		struct refusal *refusal = sl_alloc(sizeof(*refusal));

		*refusal = (struct refusal){.cb = cb, .arg = arg, .error = error};
		loop_soon(account_loop(account), outbox_on_refused, refusal);
		return;
	}
	uuid_v7(id);
	body = sl_strndup(event->body.data, event->body.len);
	unit = unit_new();
	unit_add(unit, &outbox_add_event);
	unit_bind_text(unit, id);
	unit_bind_int(unit, event->environment_id);
	unit_bind_int(unit, event->connection_id);
	unit_bind_int(unit, event->type);
	unit_bind_int(unit, event->outcome);
	unit_bind_text(unit, body);
	account_send_done(account, unit, "event", cb, arg);
	free(body);
}
