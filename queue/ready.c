#include "queue/ready.h"

#include <assert.h>
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
#define INDEX_SLOTS 1024 /* a power of two, over CALL_ENTRIES_MAX */

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
	int environment_count;
	int64_t environments[]; /* of the entries, each once */
};

static void push_next(struct queue *queue);

/* Ids in the order in which they came first. */
struct index {
	int64_t ids[CALL_ENTRIES_MAX];
	int count;
	int16_t slots[INDEX_SLOTS]; /* place + 1; 0: free */
};

/* The entries of a call by key: KEYS name each list once. */
struct group {
	int first, last; /* entries; -1: none */
	int count;
	int environment; /* place in environments: of its first entry */
	bool is_long;    /* likewise */
};

struct grouping {
	const struct ready_entry *entries[CALL_ENTRIES_MAX];
	int next[CALL_ENTRIES_MAX]; /* entry of the same key; -1: none */
	int entry_count;
	struct group groups[CALL_ENTRIES_MAX]; /* beside keys */
	struct index keys, environments;
};

static int
index_of(struct index *index, int64_t id)
{
	size_t slot =
	    (size_t)((uint64_t)id * UINT64_C(0x9E3779B97F4A7C15) >> 32) & (INDEX_SLOTS - 1);

	for (; index->slots[slot] != 0; slot = (slot + 1) & (INDEX_SLOTS - 1)) {
		if (index->ids[index->slots[slot] - 1] == id)
			return index->slots[slot] - 1;
	}
	index->ids[index->count++] = id;
	index->slots[slot] = (int16_t)index->count;
	return index->count - 1;
}

static void
group_add(struct grouping *grouping, const struct ready_entry *entry)
{
	int known = grouping->keys.count, at = grouping->entry_count++;
	int key = index_of(&grouping->keys, entry->key_id);
	struct group *group = &grouping->groups[key];

	if (key == known)
		*group = (struct group){
		    .first = -1,
		    .last = -1,
		    .environment = index_of(&grouping->environments, entry->environment_id),
		    .is_long = entry->is_long};
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

/* {lists put aside, depth of each environment} */
static bool
is_push_reply(const struct redisReply *reply, int environments)
{
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 1 + (size_t)environments)
		return false;
	for (size_t i = 0; i < reply->elements; i++) {
		if (reply->element[i]->type != REDIS_REPLY_INTEGER)
			return false;
	}
	return true;
}

/* A depth that was counted anew. */
struct recount {
	struct queue *queue;
	int64_t environment_id;
};

static void
on_recounted(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct recount *recount = arg;

	(void)error; /* logged; the depth is too high until somebody asks for it */
	if (code == SL_OK && recount->queue->depth_cb != NULL)
		recount->queue->depth_cb(recount->queue->depth_arg, recount->environment_id, value);
	free(recount);
}

static void
tell_depths(const struct push_call *call, const struct redisReply *reply)
{
	struct queue *queue = call->queue;
	bool put_aside = reply->element[0]->integer > 0;

	if (put_aside)
		log_error("queue_list_put_aside", "shard=%d script=push lists=%lld", queue->shard,
			  reply->element[0]->integer);
	for (int i = 0; i < call->environment_count; i++) {
		struct recount *recount;

		if (queue->depth_cb != NULL)
			queue->depth_cb(queue->depth_arg, call->environments[i],
					reply->element[1 + i]->integer);
		if (!put_aside || queue->closing)
			continue;
		recount = sl_alloc(sizeof(*recount)); /* what was in it is still counted */
		recount->queue = queue;
		recount->environment_id = call->environments[i];
		ready_environment_depth(queue, call->environments[i], on_recounted, recount);
	}
}

static void
on_pushed(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct push_call *call = arg;
	struct queue *queue = call->queue;
	struct push_request *ended;
	struct sl_error why;

	if (error == NULL && !is_push_reply(reply, call->environment_count)) {
		redis_unexpected(&why, "push", "integers", reply);
		error = &why;
	}
	if (error == NULL)
		tell_depths(call, reply);
	ended = requests_ended(queue, call->count, error != NULL);
	queue->push_in_flight = false;
	free(call);
	push_next(queue);
	requests_tell(ended, error);
}

static void
push_args(struct queue *queue, struct redis_args *args, const struct grouping *grouping,
	  enum ready_lane lane)
{
	redis_args_text(args, lane == READY_FRONT ? "f" : "q");
	redis_args_text(args, queue->keys.prefix);
	redis_args_int(args, grouping->environments.count);
	for (int i = 0; i < grouping->environments.count; i++)
		redis_args_int(args, grouping->environments.ids[i]);
	for (int i = 0; i < grouping->keys.count; i++) {
		const struct group *group = &grouping->groups[i];

		redis_args_int(args, grouping->keys.ids[i]);
		redis_args_int(args, group->environment + 1);
		redis_args_int(args, group->is_long ? 1 : 0);
		redis_args_int(args, group->count);
		for (int at = group->first; at >= 0; at = grouping->next[at])
			redis_args_kept(
			    args,
			    grouping->entries[at]->envelope); /* the request outlives the call */
	}
}

static void
push_send(struct queue *queue, const struct grouping *grouping, enum ready_lane lane)
{
	static const enum key_noun nouns[] = {KEY_READY,      KEY_TURN,     KEY_HELD,  KEY_WAKE,
					      KEY_FRONTS,     KEY_DEPTHS,   KEY_SLOTS, KEY_LONG,
					      KEY_LONG_READY, KEY_LONG_WAKE};
	const int noun_count = (int)(sizeof(nouns) / sizeof(nouns[0]));
	const struct index *environments = &grouping->environments;
	size_t size = (size_t)environments->count * sizeof(environments->ids[0]);
	struct queue_call *call =
	    queue_call_new(queue, SCRIPT_PUSH, 1 + noun_count + grouping->keys.count, true);
	struct push_call *push = sl_alloc(sizeof(*push) + size);
	char name[KEYS_LIST_SIZE];

	for (int i = 0; i < noun_count; i++)
		queue_call_key(call, nouns[i]);
	for (int i = 0; i < grouping->keys.count; i++) {
		keys_list(&queue->keys, lane == READY_FRONT ? 'f' : 'q', grouping->keys.ids[i],
			  name);
		redis_args_text(queue_call_args(call), name);
	}
	queue_call_epoch(call);
	push_args(queue, queue_call_args(call), grouping, lane);
	push->queue = queue;
	push->count = grouping->entry_count;
	push->environment_count = environments->count;
	memcpy(push->environments, environments->ids, size);
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
queue_on_depth(struct queue *queue, queue_depth_cb *cb, void *arg)
{
	queue->depth_cb = cb;
	queue->depth_arg = arg;
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
		request->entries[i] = entries[i];
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
