#include "queue/gate.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "base/alloc.h"
#include "queue/core.h"
#include "queue/redis_reply.h"

enum { ANSWER_MEMBERS = 5, ROW_MEMBERS = 10, PLACE_SIZE = 24 };

static void
place_name(const struct queue_gate *gate, char out[PLACE_SIZE])
{
	snprintf(out, PLACE_SIZE, "%c%lld", gate->per_app ? 'i' : 'c',
		 (long long)(gate->per_app ? gate->integration_id : gate->connection_id));
}

/* KEYS[1] and KEYS[2]. */
static struct queue_call *
gate_call(struct queue *queue, enum script_id id, int keys, const struct queue_gate *gate)
{
	struct queue_call *call = queue_call_bare(queue, id, keys);
	char place[PLACE_SIZE], key[KEYS_GATE_SIZE];

	place_name(gate, place);
	keys_gate(&queue->keys, place, false, key);
	redis_args_text(queue_call_args(call), key);
	keys_gate(&queue->keys, place, true, key);
	redis_args_text(queue_call_args(call), key);
	return call;
}

/* Integers only, so many of them. */
static bool
are_integers(const struct redisReply *reply, size_t count)
{
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (reply->element[i]->type != REDIS_REPLY_INTEGER)
			return false;
	return true;
}

/* ---- ask --------------------------------------------------------------------------------------- */

struct ask {
	queue_gate_ask_cb *cb;
	void *arg;
	int count;
};

static void
on_asked(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct ask *ask = arg;
	struct queue_gate_answer answer;
	struct sl_error why;

	if (error == NULL &&
	    (!are_integers(reply, ANSWER_MEMBERS) || reply->element[0]->integer < 0 ||
	     reply->element[0]->integer > ask->count)) {
		redis_unexpected(&why, "gate_enter", "five numbers", reply);
		error = &why;
	}
	if (error != NULL) {
		ask->cb(ask->arg, error->code, NULL);
	} else {
		answer = (struct queue_gate_answer){.granted = (int)reply->element[0]->integer,
						    .wait_ms = reply->element[1]->integer,
						    .closed_ms = reply->element[2]->integer,
						    .counted = reply->element[3]->integer != 0,
						    .now_ms = reply->element[4]->integer};
		ask->cb(ask->arg, SL_OK, &answer);
	}
	free(ask);
}

void
queue_gate_ask(struct queue *queue, const struct queue_gate *gate,
	       const char (*names)[QUEUE_GATE_NAME_SIZE], int count, queue_gate_ask_cb *cb,
	       void *arg)
{
	struct queue_call *call = gate_call(queue, SCRIPT_GATE_ENTER, 2, gate);
	struct redis_args *args = queue_call_args(call);
	struct ask *ask = sl_alloc(sizeof(*ask));

	assert(count > 0 && count <= QUEUE_GATE_ASK_MAX);
	*ask = (struct ask){cb, arg, count};
	redis_args_int(args, count);
	for (int i = 0; i < count; i++)
		redis_args_text(args, names[i]);
	redis_args_int(args, QUEUE_GATE_LEASE_MS);
	queue_call_send(call, on_asked, ask);
}

/* ---- tell -------------------------------------------------------------------------------------- */

struct tell {
	queue_gate_tell_cb *cb;
	void *arg;
};

static void
on_told(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct tell *tell = arg;
	struct sl_error why;

	if (error == NULL && !are_integers(reply, 2)) {
		redis_unexpected(&why, "gate_leave", "two numbers", reply);
		error = &why;
	}
	if (error != NULL)
		tell->cb(tell->arg, error->code, 0, false);
	else
		tell->cb(tell->arg, SL_OK, reply->element[0]->integer,
			 reply->element[1]->integer != 0);
	free(tell);
}

void
queue_gate_tell(struct queue *queue, const struct queue_gate *gate,
		const struct queue_gate_news *news, queue_gate_tell_cb *cb, void *arg)
{
	struct queue_call *call = gate_call(queue, SCRIPT_GATE_LEAVE, 3, gate);
	struct redis_args *args = queue_call_args(call);
	struct tell *tell = sl_alloc(sizeof(*tell));
	char place[PLACE_SIZE];

	assert(news->other_count <= QUEUE_GATE_OTHERS_MAX);
	*tell = (struct tell){cb, arg};
	place_name(gate, place);
	queue_call_key(call, KEY_GATES);
	redis_args_text(args, news->pass);
	redis_args_int(args, news->gone_ms);
	redis_args_int(args, news->answered ? 1 : news->unused ? 2 : 0);
	redis_args_int(args, news->limited);
	redis_args_int(args, news->closed_ms);
	redis_args_int(args, news->remaining);
	redis_args_int(args, news->reset_ms);
	redis_args_int(args, news->limit);
	redis_args_text(args, place);
	redis_args_int(args, gate->environment_id);
	redis_args_int(args, gate->integration_id);
	redis_args_int(args, gate->connection_id);
	redis_args_int(args, QUEUE_GATE_LEASE_MS);
	for (int i = 0; i < news->other_count; i++)
		redis_args_text(args, news->others[i]);
	queue_call_send(call, on_told, tell);
}

/* ---- for those who look ------------------------------------------------------------------------ */

struct list {
	queue_gate_list_cb *cb;
	void *arg;
};

static bool
read_row(struct redisReply *const *values, struct queue_gate_window *out)
{
	const struct redisReply *place = values[0], *by = values[ROW_MEMBERS - 1];

	if (place->type != REDIS_REPLY_STRING || by->type != REDIS_REPLY_STRING || place->len == 0)
		return false;
	for (int i = 1; i < ROW_MEMBERS - 1; i++)
		if (values[i]->type != REDIS_REPLY_INTEGER)
			return false;
	*out = (struct queue_gate_window){
	    .gate = {values[1]->integer, values[2]->integer, values[3]->integer,
		     place->str[0] == 'i'},
	    .closed_ms = values[4]->integer,
	    .remaining = values[5]->integer,
	    .reset_ms = values[6]->integer,
	    .out = values[7]->integer,
	    .fits = values[8]->integer,
	};
	snprintf(out->by, sizeof(out->by), "%s", by->str);
	return true;
}

static void
on_listed(void *arg, struct redisReply *reply, const struct sl_error *error)
{
	struct list *list = arg;
	struct queue_gate_window *rows = NULL;
	bool fine =
	    error == NULL && reply->type == REDIS_REPLY_ARRAY && reply->elements % ROW_MEMBERS == 0;
	int count = fine ? (int)(reply->elements / ROW_MEMBERS) : 0;
	struct sl_error why;

	if (fine)
		rows = sl_calloc((size_t)count + 1, sizeof(*rows));
	for (int i = 0; i < count && fine; i++)
		fine = read_row(reply->element + (size_t)i * ROW_MEMBERS, &rows[i]);
	if (error == NULL && !fine) {
		redis_unexpected(&why, "gate_list", "windows", reply);
		error = &why;
	}
	if (error != NULL)
		list->cb(list->arg, error->code, NULL, 0, error);
	else
		list->cb(list->arg, SL_OK, rows, count, NULL);
	free(rows);
	free(list);
}

/* KEYS[1] and ARGV[1] of gate_list and gate_clear. */
static struct queue_call *
look_call(struct queue *queue, enum script_id id)
{
	struct queue_call *call = queue_call_bare(queue, id, 1);
	char key[KEYS_GATE_SIZE];

	queue_call_key(call, KEY_GATES);
	keys_gate(&queue->keys, "", false, key);
	redis_args_text(queue_call_args(call), key);
	return call;
}

void
queue_gate_list(struct queue *queue, queue_gate_list_cb *cb, void *arg)
{
	struct queue_call *call = look_call(queue, SCRIPT_GATE_LIST);
	struct list *list = sl_alloc(sizeof(*list));

	*list = (struct list){cb, arg};
	redis_args_int(queue_call_args(call), QUEUE_GATE_LIST_MAX);
	queue_call_send(call, on_listed, list);
}

void
queue_gate_clear(struct queue *queue, int64_t integration_id, int64_t connection_id, queue_cb *cb,
		 void *arg)
{
	struct queue_call *call = look_call(queue, SCRIPT_GATE_CLEAR);

	redis_args_int(queue_call_args(call), integration_id);
	redis_args_int(queue_call_args(call), connection_id);
	queue_call_send(call, queue_ask_integer, queue_ask_new(queue, cb, arg));
}
