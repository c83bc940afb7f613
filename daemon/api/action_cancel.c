/* daemon/api/action_cancel.c - DELETE /action/{id} (wire.md 18.2). */
#include "base/fault.h"
#include "daemon/api/action.h"
#include "sql/ledger.h"

static void
on_cancelled(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct api_call *call = arg;

	FAULT_POINT("cancel_committed");
	if (code == SL_OK)
		api_reply_success(call);
	else if (code == SL_NOT_FOUND)
		api_fail(call, 404, "not_found",
			 "there is no action with this id in this environment");
	else if (code == SL_CONFLICT)
		api_fail(call, 409, "conflict",
			 "the action has ended already; its result stays as it is");
	else
		api_fail_sl(call, code, error);
}

/* The entry in the queue stays and is skipped: whoever takes it learns from the ledger. */
void
action_cancel(struct api_call *call)
{
	char id[UUID_TEXT];

	if (!uuid_parse(slice_text(call->segment[1]), id)) {
		api_fail_issue(call, "invalid_uri_params", "invalid_format", "id",
			       "the action id must be a UUID");
		return;
	}
	ledger_cancel(call->daemon->ledger, id, call->environment->row.id, JOB_ACTION, on_cancelled,
		      call);
}
