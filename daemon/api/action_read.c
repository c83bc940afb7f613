/* daemon/api/action_read.c - GET /action/{id} (wire.md 2.2, 18.1). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "daemon/api/action.h"
#include "daemon/shard.h"
#include "daemon/worker/dispatch.h"
#include "queue/ready.h"
#include "sql/ledger.h"

#define WAIT_MAX_S 60
#define WAIT_LOOK_MS 250 /* how often a long poll looks for results of other nodes */

struct poll {
	struct poll *next, **link; /* in the list of those that wait */
	struct api_call *call;
	char id[UUID_TEXT];
	int64_t until_ms; /* 0: no waiting */
	struct loop_timer *timer;
	bool reading, gone;
	bool found; /* the ledger has it, in this environment */
	bool again; /* it ended while the ledger was being read */
	struct ledger_status status;
};

/* Long polls of this process, by job id or not at all: there are few. */
static struct poll *waiting;

static void look(void *arg);

static void
poll_end(struct poll *poll)
{
	if (poll->link != NULL) {
		*poll->link = poll->next;
		if (poll->next != NULL)
			poll->next->link = poll->link;
		poll->link = NULL;
	}
	loop_timer_free(poll->timer);
	poll->timer = NULL;
}

static void
reply_running(struct poll *poll, int64_t position)
{
	const struct ledger_status *status = &poll->status;
	bool here = poll->call->daemon->dispatch != NULL &&
		    dispatch_is_running(poll->call->daemon->dispatch, poll->id);
	const char *state = "queued";
	int64_t retry_after = 1, now = clock_wall_ms();
	struct api_call *call = poll->call;
	struct buf headers;

	if (status->retry_due_ms > 0) {
		if (status->attempt > 0) /* else its first start is delayed */
			state = "retrying";
		if (status->retry_due_ms > now)
			retry_after = (status->retry_due_ms - now + 999) / 1000;
	} else if (here || status->attempt_live) {
		state = "running";
	}
	buf_init(&headers, 1024);
	buf_printf(&headers, "X-Sluice-State: %s\r\nX-Sluice-Attempt: %d\r\nRetry-After: %lld\r\n",
		   state, status->attempt > 0 ? status->attempt : (here ? 1 : 0),
		   (long long)retry_after);
	if (position >= 0 && strcmp(state, "queued") == 0)
		buf_printf(&headers, "X-Sluice-Position: %lld\r\n", (long long)position);
	poll_end(poll);
	api_reply_headers(
	    call, 404,
	    SLICE_LITERAL(
		"{\"error\":{\"code\":\"not_found\",\"message\":\"The action has no result yet; "
		"it is queued or running\"}}"),
	    headers.data);
	buf_fini(&headers);
}

static void
on_position(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	(void)error;
	reply_running(arg, code == SL_OK ? value : -1);
}

static void
on_read(void *arg, enum sl_code code, const struct ledger_status *status,
	const struct sl_error *error)
{
	struct poll *poll = arg;
	struct api_call *call = poll->call;
	struct queue *queue;

	poll->reading = false;
	if (code == SL_NOT_FOUND) {
		poll_end(poll);
		api_fail(call, 404, "not_found",
			 "there is no action with this id in this environment");
		return;
	}
	if (code != SL_OK) {
		poll_end(poll);
		api_fail_sl(call, code, error);
		return;
	}
	if (status->state != 0) {
		poll_end(poll);
		action_reply_outcome(call, status->state, status->output);
		return;
	}
	poll->found = true;
	if (poll->again) {
		poll->again = false;
		look(poll);
		return;
	}
	if (poll->until_ms > clock_mono_ms() && !poll->gone && !call->daemon->draining) {
		loop_timer_in(poll->timer, WAIT_LOOK_MS);
		return;
	}
	poll->status = *status;
	poll->status.output = (struct slice){NULL, 0};
	queue = shard_queue(call->daemon, call->environment->row.id);
	if (poll->gone || !queue_is_up(queue)) {
		reply_running(poll, -1);
		return;
	}
	poll->reading = true;
	ready_position(queue, status->key_id, status->seq, on_position, poll);
}

static void
look(void *arg)
{
	struct poll *poll = arg;

	if (poll->reading)
		return;
	poll->reading = true;
	ledger_read(poll->call->daemon->ledger, poll->id, poll->call->environment->row.id, on_read,
		    poll);
}

static void
on_gone(struct api_call *call)
{
	for (struct poll *poll = waiting; poll != NULL; poll = poll->next) {
		if (poll->call != call)
			continue;
		poll->gone = true;
		loop_timer_in(poll->timer, 0);
		return;
	}
}

bool
action_is_awaited(const char *job_id)
{
	for (const struct poll *poll = waiting; poll != NULL; poll = poll->next)
		if (strcmp(poll->id, job_id) == 0)
			return true;
	return false;
}

void
action_job_ended(const char *job_id, enum job_state state, struct slice output)
{
	struct poll *next;

	for (struct poll *poll = waiting; poll != NULL; poll = next) {
		next = poll->next;
		if (strcmp(poll->id, job_id) != 0)
			continue;
		if (poll->reading) {
			poll->again = true;
		} else if (state != 0 && poll->found && !poll->gone) {
			poll_end(poll);
			action_reply_outcome(poll->call, state, output);
		} else {
			loop_timer_in(poll->timer, 0);
		}
	}
}

void
action_read(struct api_call *call)
{
	static const char *const known[] = {"wait", NULL};
	struct poll *poll;
	const char *wait = api_query(call, "wait");
	char *end;
	long seconds = 0;

	if (!api_query_strict(call, known))
		return;
	if (wait != NULL) {
		seconds = strtol(wait, &end, 10);
		if (wait[0] < '0' || wait[0] > '9' || *end != '\0' || seconds < 1 ||
		    seconds > WAIT_MAX_S) {
			api_fail_issue(call, "invalid_query_params", "invalid_value", "wait",
				       "wait must be whole seconds from 1 to %d", WAIT_MAX_S);
			return;
		}
	}
	poll = api_state(call, sizeof(*poll));
	poll->call = call;
	call->on_gone = on_gone;
	if (!uuid_parse(slice_text(call->segment[1]), poll->id)) {
		api_fail_issue(call, "invalid_uri_params", "invalid_format", "id",
			       "the action id must be a UUID");
		return;
	}
	poll->timer = loop_timer_new(call->daemon->loop, look, poll);
	if (seconds > 0) {
		poll->until_ms = clock_mono_ms() + seconds * 1000;
		poll->next = waiting;
		poll->link = &waiting;
		if (waiting != NULL)
			waiting->link = &poll->next;
		waiting = poll;
	}
	look(poll);
}
