/* daemon/worker/guests.c - see guests.h. */
#include "daemon/worker/guests.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/envelope.h"
#include "base/log.h"
#include "base/metrics.h"
#include "queue/call.h"

#define TELL_AGAIN_MS 500
#define TELL_FOR_MS 120000
#define ANSWER_ROOM 1024 /* of an answer beside its output */
#define NOBODY "-"       /* a name, where none is needed */

struct guest { /* one that runs */
	struct guest *next, **link;
	struct guests *guests;
	int shard;
	char id[UUID_TEXT];
	char node[CALL_NODE_MAX + 1];
};

struct reply { /* an answer on its way */
	struct reply *next, **link;
	struct guests *guests;
	int shard;
	char node[CALL_NODE_MAX + 1];
	struct buf bytes;
	int64_t until_ms;
	struct loop_timer *again;
};

struct guest_shard {
	struct guests *guests;
	int shard;
	int64_t waiting; /* that are known to */
	int asked;       /* places of the take in flight; 0: none is */
};

struct guests {
	struct daemon *daemon;
	struct calls *calls;
	const struct room *room;
	const struct guests_events *events;
	void *arg;
	struct guest_shard *shards; /* owned */
	int first_shard;            /* that is asked first the next time */
	struct guest *running;
	struct reply *replies;
	bool stopping;
	bool quiet; /* takes none, for now */
};

/* ---- answers --------------------------------------------------------------------------------- */

static void tell(void *arg);

static void
reply_free(struct reply *reply)
{
	*reply->link = reply->next;
	if (reply->next != NULL)
		reply->next->link = reply->link;
	loop_timer_free(reply->again);
	buf_fini(&reply->bytes);
	free(reply);
}

static void
on_told(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct reply *reply = arg;
	struct guests *guests = reply->guests;

	(void)value;
	FAULT_POINT("call_told");
	if ((code == SL_UNAVAILABLE || code == SL_CONFLICT) && clock_mono_ms() < reply->until_ms) {
		loop_timer_in(reply->again, TELL_AGAIN_MS);
		return;
	}
	if (code != SL_OK) /* its asker looks after the lease, and gives up with it */
		log_warn("call_not_answered", "shard=%d error=%s", reply->shard,
			 log_text(error != NULL ? error->text : sl_code_name(code)));
	reply_free(reply);
	guests->events->changed(guests->arg);
}

static void
tell(void *arg)
{
	struct reply *reply = arg;

	call_answer(reply->guests->daemon->queues[reply->shard], reply->node,
		    buf_slice(&reply->bytes), on_told, reply);
}

static void
answer(struct guests *guests, int shard, const char *node, const struct call_answer *what)
{
	struct reply *reply = sl_alloc(sizeof(*reply));

	reply->guests = guests;
	reply->shard = shard;
	memcpy(reply->node, node, sizeof(reply->node));
	buf_init(&reply->bytes, CALL_OUTPUT_MAX + ANSWER_ROOM);
	call_answer_encode(what, guests->daemon->envelope_key, &reply->bytes);
	reply->until_ms = clock_mono_ms() + TELL_FOR_MS;
	reply->again = loop_timer_new(guests->daemon->loop, tell, reply);
	reply->next = guests->replies;
	reply->link = &guests->replies;
	if (reply->next != NULL)
		reply->next->link = &reply->next;
	guests->replies = reply;
	tell(reply);
}

static void
answer_started(const struct guest *guest)
{
	struct guests *guests = guest->guests;
	const char *worker = guests->events->worker(guests->arg, guest->shard);
	struct call_answer what = {.what = CALL_STARTED};

	if (worker[0] == '\0') /* guests_moved() follows */
		return;
	memcpy(what.id, guest->id, sizeof(what.id));
	memcpy(what.worker, worker, strlen(worker) + 1);
	answer(guests, guest->shard, guest->node, &what);
}

/* ---- running --------------------------------------------------------------------------------- */

static void
guest_free(struct guest *guest)
{
	*guest->link = guest->next;
	if (guest->next != NULL)
		guest->next->link = guest->link;
	free(guest);
}

static void
on_guest_end(void *arg, const struct attempt_end *end)
{
	static const char too_large[] =
	    "{\"code\":\"action_script_failure\",\"message\":\"The function's output is too large for a "
	    "call that ran on another node\",\"payload\":{\"error\":\"output over 4 MiB\"}}";
	struct guest *guest = arg;
	struct call_answer what = {.what = CALL_ENDED,
				   .worker = NOBODY,
				   .state = end->state,
				   .aborted = end->aborted,
				   .has_output = end->output.len > 0,
				   .output = end->output};

	FAULT_POINT("call_ended");
	memcpy(what.id, guest->id, sizeof(what.id));
	if (end->output.len > CALL_OUTPUT_MAX) {
		what.state = JOB_FAILED;
		what.output = (struct slice){too_large, sizeof(too_large) - 1};
	}
	answer(guest->guests, guest->shard, guest->node, &what);
	guest_free(guest);
}

static void
refuse(struct guests *guests, int shard, const struct call_envelope *call)
{
	struct call_answer what = {.what = CALL_REFUSED, .worker = NOBODY};

	memcpy(what.id, call->id, sizeof(what.id));
	answer(guests, shard, call->node, &what);
}

static void
start(struct guests *guests, int shard, const struct call_envelope *call)
{
	struct attempt_ask ask = {
	    .number = 1,
	    .environment_id = call->environment_id,
	    .function_version_id = call->function_version_id,
	    .connection_id = call->connection_id,
	    .kind = call->kind,
	    .input = call->input,
	};
	struct guest *guest = sl_alloc(sizeof(*guest));

	FAULT_POINT("call_taken");
	guest->guests = guests;
	guest->shard = shard;
	memcpy(guest->id, call->id, sizeof(guest->id));
	memcpy(guest->node, call->node, sizeof(guest->node));
	guest->next = guests->running;
	guest->link = &guests->running;
	if (guest->next != NULL)
		guest->next->link = &guest->next;
	guests->running = guest;
	calls_start_now(guests->calls, &ask, on_guest_end, guest);
	answer_started(guest);
}

/* ---- taking ---------------------------------------------------------------------------------- */

static void
take(struct guests *guests, int shard, struct slice bytes)
{
	struct call_envelope call;
	struct sl_error error;
	enum sl_code code =
	    call_envelope_decode(bytes, guests->daemon->envelope_key, &call, &error);

	if (code == SL_CONFLICT) {
		metrics_count(METRIC_SECURITY, METRIC_CALL);
		log_warn("security_event", "kind=security_call shard=%d detail=%s", shard,
			 log_text(error.text));
	} else if (code != SL_OK) /* whoever asked gets no answer and ends it by its time */
		log_error("call_refused", "shard=%d bytes=%zu error=%s", shard, bytes.len,
			  log_text(error.text));
	else if (guests->stopping || guests->quiet || call.kind != JOB_ACTION ||
		 (call.start_by_ms != 0 && call.start_by_ms < clock_wall_ms()))
		refuse(guests, shard, &call);
	else
		start(guests, shard, &call);
}

static void
on_taken(void *arg, enum sl_code code, const struct slice *envelopes, int count,
	 const struct sl_error *error)
{
	struct guest_shard *shard = arg;
	struct guests *guests = shard->guests;

	calls_expect(guests->calls, -shard->asked);
	if (code != SL_OK)
		log_debug("calls_not_taken", "shard=%d error=%s", shard->shard,
			  log_text(error != NULL ? error->text : sl_code_name(code)));
	if (code != SL_OK || count < shard->asked)
		shard->waiting = 0; /* more of them wake us again */
	shard->asked = 0;
	for (int i = 0; i < count; i++)
		take(guests, shard->shard, envelopes[i]);
	guests->events->changed(guests->arg);
}

void
guests_go_on(struct guests *guests)
{
	int shards = guests->daemon->shard_count;

	for (int i = 0; i < shards && !guests->stopping && !guests->quiet; i++) {
		struct guest_shard *shard = &guests->shards[(guests->first_shard + i) % shards];
		int places = room_for_calls(guests->room) - calls_waiting(guests->calls);

		if (places <= 0)
			return;
		if (shard->waiting == 0 || shard->asked > 0)
			continue;
		if (places > shard->waiting)
			places = (int)shard->waiting;
		if (places > CALL_TAKE_MAX)
			places = CALL_TAKE_MAX;
		shard->asked = places;
		calls_expect(guests->calls, places);
		guests->first_shard = (shard->shard + 1) % shards;
		call_take(guests->daemon->queues[shard->shard], places, on_taken, shard);
	}
}

void
guests_wait(struct guests *guests, int shard, int64_t count)
{
	if (count > guests->shards[shard].waiting)
		guests->shards[shard].waiting = count;
}

void
guests_moved(struct guests *guests, int shard)
{
	for (const struct guest *guest = guests->running; guest != NULL; guest = guest->next)
		if (guest->shard == shard)
			answer_started(guest);
}

void
guests_quiet(struct guests *guests, bool quiet)
{
	guests->quiet = quiet;
}

void
guests_stop(struct guests *guests)
{
	guests->stopping = true;
}

bool
guests_are_told(const struct guests *guests)
{
	for (int i = 0; i < guests->daemon->shard_count; i++)
		if (guests->shards[i].asked > 0)
			return false;
	return guests->replies == NULL;
}

struct guests *
guests_new(struct daemon *daemon, struct calls *calls, const struct room *room,
	   const struct guests_events *events, void *arg)
{
	struct guests *guests = sl_alloc(sizeof(*guests));

	guests->daemon = daemon;
	guests->calls = calls;
	guests->room = room;
	guests->events = events;
	guests->arg = arg;
	guests->shards = sl_calloc((size_t)daemon->shard_count, sizeof(*guests->shards));
	for (int i = 0; i < daemon->shard_count; i++) {
		guests->shards[i].guests = guests;
		guests->shards[i].shard = i;
	}
	return guests;
}

void
guests_free(struct guests *guests)
{
	if (guests == NULL)
		return;
	while (guests->running != NULL)
		guest_free(guests->running);
	while (guests->replies != NULL)
		reply_free(guests->replies);
	free(guests->shards);
	free(guests);
}
