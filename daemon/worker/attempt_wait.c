/* daemon/worker/attempt_wait.c - a run that only waits for providers' windows lends its place.
 *
 * Whether its function has something else to do at that moment is not known here; it may then share its
 * processor with one run more than the settings say, for as long as it does not ask for anything. */
#include "daemon/worker/attempt.h"
#include "daemon/worker/dispatch.h"
#include "daemon/worker/host_call.h"

/* All that it has asked for waits, and an action that it has triggered is one that does. */
static bool
only_waits(const struct attempt *attempt)
{
	if (attempt->state != ATTEMPT_RUNNING || attempt->aborting || attempt->calls == NULL)
		return false;
	for (const struct host_call *call = attempt->calls; call != NULL; call = call->next)
		if (!call->waits && (call->nested == NULL || !call->nested->is_lent))
			return false;
	return true;
}

void
attempt_note_limit(struct attempt *attempt, const struct gate_place *place)
{
	while (attempt->parent != NULL)
		attempt = attempt->parent;
	attempt->limit = *place;
}

void
attempt_look_at_calls(struct attempt *attempt)
{
	struct dispatch *dispatch = attempt->daemon->dispatch;
	bool lends = only_waits(attempt);

	if (lends == attempt->is_lent)
		return;
	if (!lends)
		dispatch_take_back(dispatch, attempt->placed);
	else if (!dispatch_lend(dispatch, attempt->placed))
		return;
	attempt->is_lent = lends;
	if (attempt->lent != NULL)
		attempt->lent(attempt->arg, lends);
	if (attempt->parent != NULL)
		attempt_look_at_calls(attempt->parent);
}
