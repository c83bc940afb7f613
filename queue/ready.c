#include "queue/ready.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "base/alloc.h"
#include "base/log.h"
#include "queue/core.h"
#include "queue/redis_reply.h"

/* Caps of one script call: unpack() in Lua takes some 8,000 values, and a call stops the server for
 * as long as it takes. */
#define CALL_ENTRIES_MAX 500
#define CALL_BYTES_MAX (1u << 20)
/* What may wait behind a call: Redis has stalled, or is too slow.  Beyond it pushes are refused;
 * the jobs are in the ledger, and the sweep brings them. */
#define WAITING_BYTES_MAX (64u << 20)
#define GROUP_SLOTS 1024 /* hash of the keys of a call; a power of two, over CALL_ENTRIES_MAX */
#define SEQ_DIGITS 12

/* Entries wait in the order of the calls, and a script call takes as many from the front as fit: a
 * request may be spread over several calls, and a call may hold entries of several requests, of one
 * lane.  One call is in flight at a time, so entries of a key arrive in order. */
struct push_request {
	struct push_request *next;
	enum ready_lane lane;
	queue_cb *cb;
	void *arg;
	int count;
	int sent;                    /* entries that an answered call held */
	size_t len;                  /* of bytes */
	struct ready_entry *entries; /* owned; envelopes point into bytes */
	char *bytes;                 /* owned */
};

struct push_call {
	struct queue *queue;
	int count; /* entries from the front of the list */
};

static void push_next(struct queue *queue);

/* The entries of a call by key: KEYS name each list once. */
struct group {
	int64_t key_id;
	int first, last; /* entries */
	int count;
};

struct grouping {
	const struct ready_entry *entries[CALL_ENTRIES_MAX];
	int next[CALL_ENTRIES_MAX]; /* entry of the same key; -1: none */
	int entry_count;
	struct group groups[CALL_ENTRIES_MAX];
	int group_count;
	int16_t slots[GROUP_SLOTS]; /* group + 1; 0: free */
};

static struct group *
group_of(struct grouping *grouping, int64_t key_id)
{
	size_t slot =
	    (size_t)((uint64_t)key_id * UINT64_C(0x9E3779B97F4A7C15) >> 32) & (GROUP_SLOTS - 1);
	struct group *group;

	while (grouping->slots[slot] != 0) {
		group = &grouping->groups[grouping->slots[slot] - 1];
		if (group->key_id == key_id)
			return group;
		slot = (slot + 1) & (GROUP_SLOTS - 1);
	}
	group = &grouping->groups[grouping->group_count++];
	grouping->slots[slot] = (int16_t)grouping->group_count;
	*group = (struct group){key_id, -1, -1, 0};
	return group;
}

static void
group_add(struct grouping *grouping, const struct ready_entry *entry)
{
	struct group *group = group_of(grouping, entry->key_id);
	int at = grouping->entry_count++;

	grouping->entries[at] = entry;
	grouping->next[at] = -1;
	if (group->last >= 0)
		grouping->next[group->last] = at;
	else
		group->first = at;
	group->last = at;
	group->count++;
}

/* Takes entries from the front while they fit; at least one. */
static void
group_front(const struct queue *queue, struct grouping *grouping)
{
	size_t bytes = 0;

	for (const struct push_request *request = queue->push_head; request != NULL;
	     request = request->next) {
		if (request->lane != queue->push_head->lane)
			return;
		for (int i = request->sent; i < request->count; i++) {
			bytes += request->entries[i].envelope.len;
			if (grouping->entry_count == CALL_ENTRIES_MAX ||
			    (bytes > CALL_BYTES_MAX && grouping->entry_count > 0))
				return;
			group_add(grouping, &request->entries[i]);
		}
	}
}

static void
request_free(struct push_request *request)
{
	free(request->entries);
	free(request->bytes);
	free(request);
}

static void
requests_tell(struct push_request *request, const struct sl_error *error)
{
	struct push_request *next;

	for (; request != NULL; request = next) {
		next = request->next;
		if (error != NULL)
			request->cb(request->arg, error->code, 0, error);
		else
			request->cb(request->arg, SL_OK, request->count, NULL);
		request_free(request);
	}
}

/* Takes the requests that the answered call has ended off the list: all of whose entries are in,
 * or, when it failed, which had any in it.  The rest of those is not sent: it would overtake. */
static struct push_request *
requests_ended(struct queue *queue, int count, bool failed)
{
	struct push_request *ended = NULL, **tail = &ended;

	while (count > 0) {
		struct push_request *request = queue->push_head;
		int here =
		    request->count - request->sent < count ? request->count - request->sent : count;

		request->sent += here;
		count -= here;
		if (request->sent < request->count && !failed)
			break;
		queue->push_head = request->next;
		if (queue->push_head == NULL)
			queue->push_tail = NULL;
		queue->push_bytes -= request->len;
		request->next = NULL;
		*tail = request;
		tail = &request->next;
	}
	return ended;
}

static void
on_pushed(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct push_call *call = arg;
	struct queue *queue = call->queue;
	struct push_request *ended;
	struct sl_error why;

	if (error == NULL && reply->type != REDIS_REPLY_INTEGER) {
		redis_unexpected(&why, "push", "an integer", reply);
		error = &why;
	}
	if (error == NULL && reply->integer > 0)
		log_error("queue_list_put_aside", "shard=%d script=push lists=%lld", queue->shard,
			  reply->integer);
	ended = requests_ended(queue, call->count, error != NULL);
	queue->push_in_flight = false;
	free(call);
	push_next(queue);
	requests_tell(ended, error);
}

static void
push_send(struct queue *queue, const struct grouping *grouping, enum ready_lane lane)
{
	static const enum key_noun nouns[] = {KEY_READY, KEY_TURN, KEY_HELD, KEY_WAKE, KEY_FRONTS};
	const int noun_count = (int)(sizeof(nouns) / sizeof(nouns[0]));
	struct queue_call *call =
	    queue_call_new(queue, SCRIPT_PUSH, 1 + noun_count + grouping->group_count, true);
	struct redis_args *args = queue_call_args(call);
	struct push_call *push = sl_alloc(sizeof(*push));
	char name[KEYS_LIST_SIZE];

	for (int i = 0; i < noun_count; i++)
		queue_call_key(call, nouns[i]);
	for (int i = 0; i < grouping->group_count; i++) {
		keys_list(&queue->keys, lane == READY_FRONT, grouping->groups[i].key_id, name);
		redis_args_text(args, name);
	}
	queue_call_epoch(call);
	redis_args_text(args, lane == READY_FRONT ? "f" : "q");
	redis_args_text(args, queue->keys.prefix);
	redis_args_text(args, queue->build[0] != '\0' ? "1" : "0");
	for (int i = 0; i < grouping->group_count; i++) {
		const struct group *group = &grouping->groups[i];

		redis_args_int(args, group->key_id);
		redis_args_int(args, group->count);
		for (int at = group->first; at >= 0; at = grouping->next[at])
			redis_args_kept(
			    args,
			    grouping->entries[at]->envelope); /* the request outlives the call */
	}
	push->queue = queue;
	push->count = grouping->entry_count;
	queue->push_in_flight = true;
	queue_call_send(call, on_pushed, push);
}

static void
push_next(struct queue *queue)
{
	struct grouping *grouping;

	if (queue->push_in_flight || queue->push_head == NULL || queue->closing)
		return;
	grouping = sl_alloc(sizeof(*grouping));
	group_front(queue, grouping);
	push_send(queue, grouping, queue->push_head->lane);
	free(grouping);
}

static void
tell_refused(void *arg)
{
	struct queue *queue = arg;
	struct push_request *refused = queue->push_refused;
	struct sl_error error;

	queue->push_refused = NULL;
	sl_fail(&error, SL_UNAVAILABLE, "Redis is behind: more than %u MiB wait to be pushed",
		WAITING_BYTES_MAX >> 20);
	requests_tell(refused, &error);
}

void
ready_push(struct queue *queue, enum ready_lane lane, const struct ready_entry *entries, int count,
	   queue_cb *cb, void *arg)
{
	struct push_request *request = sl_alloc(sizeof(*request));
	size_t len = 0;

	assert(count > 0 && !queue->closing);
	for (int i = 0; i < count; i++)
		len += entries[i].envelope.len;
	request->lane = lane;
	request->cb = cb;
	request->arg = arg;
	request->count = count;
	request->bytes = sl_alloc(len + 1);
	request->entries = sl_calloc((size_t)count, sizeof(*request->entries));
	len = 0;
	for (int i = 0; i < count; i++) {
		const struct slice *envelope = &entries[i].envelope;

		if (envelope->len > 0)
			memcpy(request->bytes + len, envelope->data, envelope->len);
		request->entries[i].key_id = entries[i].key_id;
		request->entries[i].envelope = (struct slice){request->bytes + len, envelope->len};
		len += envelope->len;
	}
	request->len = len;
	if (queue->push_head != NULL && queue->push_bytes + len > WAITING_BYTES_MAX) {
		request->next = queue->push_refused;
		queue->push_refused = request;
		if (request->next == NULL)
			loop_soon(queue->loop, tell_refused, queue);
		return;
	}
	if (queue->push_tail != NULL)
		queue->push_tail->next = request;
	else
		queue->push_head = request;
	queue->push_tail = request;
	queue->push_bytes += len;
	push_next(queue);
}

void
ready_close(struct queue *queue)
{
	struct push_request *rest = queue->push_head;
	struct sl_error error;

	assert(!queue->push_in_flight); /* it has failed with the connection */
	queue->push_head = queue->push_tail = NULL;
	queue->push_bytes = 0;
	sl_fail(&error, SL_UNAVAILABLE, "the queue is closing");
	requests_tell(rest, &error);
	tell_refused(queue);
}

/* ---- questions ---- */

struct missing_ask {
	ready_missing_cb *cb;
	void *arg;
	int count;
};

/* A call about the two lists of a key. */
static struct queue_call *
lists_call(struct queue *queue, enum script_id id, int64_t key_id)
{
	struct queue_call *call = queue_call_new(queue, id, 3, true);
	char name[KEYS_LIST_SIZE];

	keys_list(&queue->keys, false, key_id, name);
	redis_args_text(queue_call_args(call), name);
	keys_list(&queue->keys, true, key_id, name);
	redis_args_text(queue_call_args(call), name);
	queue_call_epoch(call);
	return call;
}

static void
add_seq(struct queue_call *call, int64_t seq)
{
	char text[24];

	snprintf(text, sizeof(text), "%0*" PRId64, SEQ_DIGITS, seq);
	redis_args_text(queue_call_args(call), text);
}

static void
on_missing(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct missing_ask *ask = arg;
	bool *missing;
	struct sl_error why;

	if (error == NULL && (reply->type != REDIS_REPLY_ARRAY || reply->elements != 1 ||
			      reply->element[0]->type != REDIS_REPLY_STRING ||
			      reply->element[0]->len != (size_t)ask->count)) {
		redis_unexpected(&why, "missing", "a character per seq", reply);
		error = &why;
	}
	if (error != NULL) {
		ask->cb(ask->arg, error->code, NULL, 0);
		free(ask);
		return;
	}
	missing = sl_calloc((size_t)ask->count, sizeof(*missing));
	for (int i = 0; i < ask->count; i++)
		missing[i] = reply->element[0]->str[i] == '1';
	ask->cb(ask->arg, SL_OK, missing, ask->count);
	free(missing);
	free(ask);
}

void
ready_missing(struct queue *queue, int64_t key_id, const int64_t *seqs, int count,
	      ready_missing_cb *cb, void *arg)
{
	struct missing_ask *ask = sl_alloc(sizeof(*ask));
	struct queue_call *call = lists_call(queue, SCRIPT_MISSING, key_id);

	assert(count > 0 && count <= READY_MISSING_MAX);
	ask->cb = cb;
	ask->arg = arg;
	ask->count = count;
	for (int i = 0; i < count; i++)
		add_seq(call, seqs[i]);
	queue_call_send(call, on_missing, ask);
}

/* which: element of the answer that is the value. */
static void
on_place(struct queue_ask *ask, const struct redisReply *reply, const struct sl_error *error,
	 size_t which)
{
	struct sl_error why;

	if (error == NULL && (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
			      reply->element[which]->type != REDIS_REPLY_INTEGER)) {
		redis_unexpected(&why, "position", "two integers", reply);
		error = &why;
	}
	if (error != NULL)
		queue_ask_done(ask, error->code, 0, error);
	else
		queue_ask_done(ask, SL_OK, reply->element[which]->integer, NULL);
}

static void
on_position(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	on_place(arg, reply, error, 1);
}

static void
on_depth(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	on_place(arg, reply, error, 0);
}

void
ready_position(struct queue *queue, int64_t key_id, int64_t seq, queue_cb *cb, void *arg)
{
	struct queue_call *call = lists_call(queue, SCRIPT_POSITION, key_id);

	add_seq(call, seq);
	queue_call_send(call, on_position, queue_ask_new(queue, cb, arg));
}

void
ready_depth(struct queue *queue, int64_t key_id, queue_cb *cb, void *arg)
{
	struct queue_call *call = lists_call(queue, SCRIPT_POSITION, key_id);

	redis_args_text(queue_call_args(call), "");
	queue_call_send(call, on_depth, queue_ask_new(queue, cb, arg));
}
