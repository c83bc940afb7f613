/* daemon/worker/host_call.h - one call of a function to its host, for the files that serve it.
 *
 * A call is answered once, by host_answer() or host_fail().  What it waits for sets `pending`, and
 * asks host_is_orphan() first when it comes: the attempt may have ended, and the call is then gone. */
#ifndef SLUICE_DAEMON_WORKER_HOST_CALL_H
#define SLUICE_DAEMON_WORKER_HOST_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "daemon/worker/attempt.h"
#include "http/client.h"
#include "runtime/channel.h"

#define HOST_HEADERS_MAX 64
#define HOST_ANSWER_MAX (RUNNER_FRAME_MAX - 65536) /* one frame carries it */

struct egress;
struct host_op;
struct sync_model;

struct host_call {
	struct host_call *next, **link; /* in attempt->calls */
	struct attempt *attempt;        /* NULL: it ended */
	int64_t id;
	const struct host_op *op;
	char *meta_bytes, *body;
	size_t body_len;
	struct json_value meta;
	const struct directory_connection *connection;   /* held */
	const struct directory_integration *integration; /* held */
	struct egress *egress;
	struct http_call *fetch;
	struct attempt *nested;         /* the action that it triggered */
	struct host_call *next_in_line; /* of the calls about the checkpoint */
	struct sync_model *model;       /* of the attempt's sync */
	char write[UUID_TEXT];          /* names its writes of records; "": not asked for yet */
	int writes;                     /* that were answered well */
	char write_name[UUID_TEXT + 12];
	void *state; /* of the op; freed with the call by state_free */
	void (*state_free)(void *state);
	struct loop_timer *retry; /* armed while host_retry() waits */
	void (*again)(struct host_call *call);
	struct http_header header[HOST_HEADERS_MAX];
	int header_count;
	void *kept[HOST_HEADERS_MAX * 2 + 32];
	int kept_count;
	bool waits;   /* for a provider's window */
	bool pending; /* something is under way and will come back */
};

/* Answers and ends the call; meta is JSON. */
void host_answer(struct host_call *call, bool ok, struct slice meta, struct slice body);
void host_answer_json(struct host_call *call, const struct buf *out); /* whole or not at all */
void host_fail(struct host_call *call, const char *code, const char *message);
void host_failf(struct host_call *call, const char *code, const char *format, ...) SL_PRINTF(3, 4);
/* As the API answers a read of a connection whose credentials are no good: 424, code, and the connection
 * without them. */
void host_fail_credentials(struct host_call *call, const char *code, const char *text,
			   const struct account_connection *row);
/* For what the ledger or a lookup of the connection said. */
void host_fail_sl(struct host_call *call, enum sl_code code, const struct sl_error *error);
/* For a write behind a fence (sql/sync.h): SL_CONFLICT is the end of this run. */
void host_fail_write(struct host_call *call, enum sl_code code, const struct sl_error *error);
/* Postgres is away: serves the call of a job again after a moment, until it is back or the session
 * is lost with the attempt.  again NULL: the op as a whole, past the gate, its state is
 * dropped.  False: it is a sync call, which somebody waits for. */
bool host_retry(struct host_call *call, void (*again)(struct host_call *call));
/* What was pending came back; true: the attempt ended meanwhile, and the call is freed. */
bool host_is_orphan(struct host_call *call);

/* Text of a member, kept with the call; NULL: no text, or it holds U+0000. */
const char *host_keep_text(struct host_call *call, struct json_value value);
/* call->header from an object; false: a bad name or value, or too many. */
bool host_read_headers(struct host_call *call, struct json_value headers);
bool host_is_token(const char *text); /* RFC 9110 section 5.6.2; "" is one here */
/* status, statusText and headers of an answer, as members. */
void host_write_answer(struct json_writer *w, const struct http_answer *got);

/* The name of the call's next write (struct record_batch): the same until that is answered well, also
 * when the op is served again.  Borrowed from the call. */
const char *host_write_name(struct host_call *call);
/* call->model from the member model; false: it is none of the sync's, and the call is refused. */
bool host_find_model(struct host_call *call);

/* The id of a record that is a JSON text, as it is stored: without U+0000.  malloc'd; NULL: no text. */
char *host_record_id(struct json_value value);

/* ---- the ops: each answers its call, now or later --------------------------------------------- */
void host_http(struct host_call *call);
void host_fetch(struct host_call *call);

void host_connection(struct host_call *call);
void host_integration(struct host_call *call);
void host_paginate(struct host_call *call);
void host_metadata_set(struct host_call *call);
void host_metadata_update(struct host_call *call);
void host_variables(struct host_call *call);
void host_flow_attributes(struct host_call *call);
void host_log(struct host_call *call);

void host_trigger_action(struct host_call *call);
void host_trigger_sync(struct host_call *call);
void host_start_sync(struct host_call *call);

void host_lock(struct host_call *call);
void host_unlock(struct host_call *call);
void host_unlock_all(struct host_call *call);
void host_checkpoint_get(struct host_call *call);
void host_checkpoint_save(struct host_call *call);
void host_checkpoint_clear(struct host_call *call);

void host_batch_save(struct host_call *call);
void host_batch_update(struct host_call *call);
void host_batch_delete(struct host_call *call);
void host_records_by_ids(struct host_call *call);
void host_records_list(struct host_call *call);
void host_track_start(struct host_call *call);
void host_track_end(struct host_call *call);
void host_delete_unseen(struct host_call *call);
void host_merging(struct host_call *call);

#endif
