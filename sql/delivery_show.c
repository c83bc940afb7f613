#include "sql/delivery_show.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "sql/dead_store.h"

#define DELIVERY_RESEND_BATCH 1000                    /* rows of one transaction */
#define DELIVERY_TIME_MAX_MS ((INT64_C(1) << 48) - 1) /* that an id of version 7 can tell */

/* Of rows m of delivery, a page at most: what belongs to them is looked up row by row. */
#define DELIVERY_NEXT_TRY                                                        \
	"CASE WHEN u.due_at IS NOT NULL AND p.url <> '' AND p.paused_at IS NULL" \
	" THEN greatest(u.due_at, p.open_until) END"
#define DELIVERY_MADE_AND_NEXT DEAD_V7_MS("m.id") ", " DEAD_MS(DELIVERY_NEXT_TRY)
#define DELIVERY_ENDED_AND_LAST DEAD_MS("m.ended_at") ", " DEAD_MS("l.at")
#define DELIVERY_SHOWN                                                                         \
	"SELECT m.id, m.event_id, m.job_id, m.type, m.state, m.tries, coalesce(n.name, ''),"   \
	" p.uuid, coalesce(p.url, ''), coalesce(i.unique_key, ''),"                            \
	" coalesce(c.connection_id, ''), " DELIVERY_MADE_AND_NEXT ", " DELIVERY_ENDED_AND_LAST \
	", l.status, coalesce(l.failure, '')"
#define DELIVERY_FROM                                                              \
	" LEFT JOIN environment n ON n.id = m.environment_id"                      \
	" LEFT JOIN endpoint p ON p.id = m.endpoint_id"                            \
	" LEFT JOIN LATERAL (SELECT e.connection_id, e.body FROM outbox e"         \
	"  WHERE e.id = m.event_id LIMIT 1) o ON true"                             \
	" LEFT JOIN connection c ON c.id = o.connection_id"                        \
	" LEFT JOIN integration i ON i.id = c.integration_id"                      \
	" LEFT JOIN LATERAL (SELECT x.due_at FROM delivery_due x"                  \
	"  WHERE x.delivery_id = m.id LIMIT 1) u ON true"                          \
	" LEFT JOIN LATERAL (SELECT t.at, t.status, t.failure FROM delivery_try t" \
	"  WHERE t.delivery_id = m.id ORDER BY t.number DESC LIMIT 1) l ON true"

enum { DELIVERY_COLUMNS = 17 }; /* of DELIVERY_SHOWN */

/* The scan is by the index of what it is asked for first: where; the rest is asked of what it found.  There is
 * always a row, which says how far the page has looked; without a match its id is null. */
#define DELIVERY_PAGE(from, where)                                                                    \
	"b AS MATERIALIZED (SELECT d.* FROM " from " d WHERE " where                                  \
	"  AND ($2::uuid IS NULL OR d.id > $2::uuid)"                                                 \
	"  AND ($3::uuid IS NULL OR d.id < $3::uuid)"                                                 \
	"  AND ($4::uuid IS NULL OR d.id < $4::uuid)"                                                 \
	"  ORDER BY d.id DESC LIMIT $5::bigint),"                                                     \
	" m AS MATERIALIZED (SELECT * FROM b WHERE ($6::bigint = 0 OR b.type = $6::bigint)"           \
	"  AND ($7::bigint = 0 OR b.state = $7::bigint)"                                              \
	"  AND (NOT $8::boolean OR b.state IN (2, 4))"                                                \
	"  AND ($9::uuid IS NULL OR b.endpoint_id = (SELECT id FROM endpoint WHERE uuid = $9::uuid))" \
	"  ORDER BY b.id DESC LIMIT $10::bigint),"                                                    \
	" s AS (" DELIVERY_SHOWN " FROM m" DELIVERY_FROM ")"                                          \
	" SELECT s.*, (SELECT count(*) FROM b), (SELECT b.id FROM b ORDER BY b.id LIMIT 1)"           \
	" FROM (SELECT) t LEFT JOIN s ON true ORDER BY s.id DESC"
#define DELIVERY_ENVIRONMENT "($1::bigint = 0 OR d.environment_id = $1::bigint)"

/* Planned each time: filters that were not asked for fold away. */
static const struct unit_statement delivery_page = {
    NULL, "WITH " DELIVERY_PAGE("delivery", DELIVERY_ENVIRONMENT)};
static const struct unit_statement delivery_page_of_endpoint = {
    NULL, "WITH e AS MATERIALIZED (SELECT p.id FROM endpoint p WHERE p.uuid = $9::uuid"
	  "  AND ($1::bigint = 0 OR p.environment_id = $1::bigint)), " DELIVERY_PAGE(
	      "delivery", "d.endpoint_id = (SELECT id FROM e)")};
static const struct unit_statement delivery_page_of_job = {
    NULL,
    "WITH j AS MATERIALIZED (SELECT * FROM delivery WHERE job_id = $11::uuid), " DELIVERY_PAGE(
	"j", DELIVERY_ENVIRONMENT)};

static const struct unit_statement delivery_one = {
    "delivery_one",
    DELIVERY_SHOWN ", coalesce(o.body, '') FROM delivery m" DELIVERY_FROM " WHERE m.id = $1::uuid"
		   " AND ($2::bigint = 0 OR m.environment_id = $2::bigint)"};

static const struct unit_statement delivery_tries = {
    "delivery_tries",
    "SELECT * FROM (SELECT number, " DEAD_MS(
	"at") ", took_ms, node, url, status, failure, detail, headers, answer, cut"
	      " FROM delivery_try WHERE delivery_id = $1::uuid"
	      " ORDER BY number DESC LIMIT $2::bigint) t ORDER BY number"};

/* Made, and not forgotten by half. */
#define DELIVERY_WHOLE                                                                  \
	"FROM delivery d JOIN endpoint p ON p.id = d.endpoint_id WHERE d.id = $1::uuid" \
	" AND ($2::bigint = 0 OR d.environment_id = $2::bigint)"                        \
	" AND EXISTS (SELECT FROM outbox o WHERE o.id = d.event_id)"

/* The deliverer's order of locks (sql/delivery.c): delivery_due, then delivery.  A claim is odd; one whose time is
 * over is taken away, so that nothing late is recorded for it. */
static const struct unit_statement delivery_again_due = {
    "delivery_again_due",
    "INSERT INTO delivery_due AS u (delivery_id, endpoint_id, due_at)"
    " SELECT d.id, d.endpoint_id, now() " DELIVERY_WHOLE
    " ON CONFLICT (delivery_id) DO UPDATE SET due_at = now(), claim = u.claim + (u.claim & 1)"
    "  WHERE u.claim & 1 = 0 OR u.due_at <= now()"};

/* now() stays the same in a transaction: due then is what the statement before has written. */
static const struct unit_statement delivery_again = {
    "delivery_again",
    "UPDATE delivery d SET state = CASE WHEN d.tries = 0 THEN 1 ELSE 2 END, base = d.tries,"
    " ended_at = NULL FROM delivery_due u WHERE d.id = $1::uuid"
    " AND u.delivery_id = d.id AND u.due_at = now()"
    " AND ($2::bigint = 0 OR d.environment_id = $2::bigint) RETURNING 1"};

static const struct unit_statement delivery_is_whole = {"delivery_is_whole",
							"SELECT 1 " DELIVERY_WHOLE};

/* Exhausted ones have no row in delivery_due: who makes it resends it.  In the order of ids, so that two of
 * these wait for each other one way only. */
#define DELIVERY_AGAIN(where)                                                          \
	"b AS MATERIALIZED (SELECT d.* FROM delivery d WHERE " where                   \
	"  AND d.id > $2::uuid AND d.id < $3::uuid ORDER BY d.id LIMIT $4::bigint),"   \
	" picked AS MATERIALIZED (SELECT b.id, b.endpoint_id FROM b"                   \
	"  WHERE b.state = 4 AND ($5::bigint = 0 OR b.type = $5::bigint)"              \
	"  AND EXISTS (SELECT FROM endpoint p WHERE p.id = b.endpoint_id)"             \
	"  AND EXISTS (SELECT FROM outbox o WHERE o.id = b.event_id)"                  \
	"  ORDER BY b.id LIMIT $6::bigint),"                                           \
	" made AS (INSERT INTO delivery_due (delivery_id, endpoint_id, due_at)"        \
	"  SELECT id, endpoint_id, now() FROM picked ORDER BY id"                      \
	"  ON CONFLICT (delivery_id) DO NOTHING RETURNING delivery_id),"               \
	" again AS (UPDATE delivery d SET state = 2, base = d.tries, ended_at = NULL"  \
	"  FROM made WHERE d.id = made.delivery_id RETURNING 1)"                       \
	" SELECT (SELECT count(*) FROM again), (SELECT count(*) FROM picked),"         \
	" (SELECT count(*) FROM b), (SELECT id FROM picked ORDER BY id DESC LIMIT 1)," \
	" (SELECT id FROM b ORDER BY id DESC LIMIT 1)"
static const struct unit_statement delivery_again_failed = {
    NULL, "WITH " DELIVERY_AGAIN(DELIVERY_ENVIRONMENT)};
static const struct unit_statement delivery_again_failed_of_endpoint = {
    NULL, "WITH e AS MATERIALIZED (SELECT p.id FROM endpoint p WHERE p.uuid = $7::uuid"
	  "  AND ($1::bigint = 0 OR p.environment_id = $1::bigint)), " DELIVERY_AGAIN(
	      "d.endpoint_id = (SELECT id FROM e)")};

struct delivery_call {
	union { /* the one that the reader of the answer knows */
		delivery_list_cb *list;
		delivery_show_cb *show;
		delivery_done_cb *done;
	} cb;
	void *arg;
	int limit, scan;
};

static struct delivery_call *
delivery_call_new(void *arg)
{
	struct delivery_call *call = sl_alloc(sizeof(*call));

	call->arg = arg;
	return call;
}

/* Ids that were made before ms are below it, others above. */
static void
delivery_bound(int64_t ms, char out[UUID_TEXT])
{
	if (ms > DELIVERY_TIME_MAX_MS)
		ms = DELIVERY_TIME_MAX_MS;
	snprintf(out, UUID_TEXT, "%08llx-%04llx-0000-0000-000000000000",
		 (unsigned long long)(ms >> 16) & 0xffffffff, (unsigned long long)ms & 0xffff);
}

static void
delivery_read_id(const PGresult *rows, int row, int column, char out[UUID_TEXT])
{
	out[0] = '\0';
	if (!PQgetisnull(rows, row, column))
		value_uuid(rows, row, column, out);
}

static void
delivery_read(struct delivery_row *delivery, const PGresult *rows, int row)
{
	int at = 0;

	delivery_read_id(rows, row, at++, delivery->id);
	delivery_read_id(rows, row, at++, delivery->event_id);
	delivery_read_id(rows, row, at++, delivery->job);
	delivery->type = (int)value_int(rows, row, at++);
	delivery->state = (enum delivery_state)value_int(rows, row, at++);
	delivery->tries = (int)value_int(rows, row, at++);
	delivery->environment = value_text(rows, row, at++);
	delivery_read_id(rows, row, at++, delivery->endpoint);
	delivery->url = value_text(rows, row, at++);
	delivery->integration = value_text(rows, row, at++);
	delivery->connection = value_text(rows, row, at++);
	delivery->created_ms = value_int(rows, row, at++);
	delivery->next_try_ms = value_int(rows, row, at++);
	delivery->ended_ms = value_int(rows, row, at++);
	delivery->last_ms = value_int(rows, row, at++);
	delivery->last_status = (int)value_int(rows, row, at++);
	delivery->last_failure = value_text(rows, row, at++);
	assert(at == DELIVERY_COLUMNS);
}

/* ---- a page --------------------------------------------------------------------------------- */

static void
delivery_on_list(void *arg, const struct unit_answer *answer)
{
	struct delivery_call *call = arg;
	const PGresult *rows = answer->code == SL_OK ? answer->results[answer->count - 1] : NULL;
	int count = rows != NULL && !PQgetisnull(rows, 0, 0) ? PQntuples(rows) : 0;
	struct delivery_row *list = sl_calloc((size_t)count + 1, sizeof(*list));
	char next[UUID_TEXT] = "";

	for (int i = 0; i < count; i++)
		delivery_read(&list[i], rows, i);
	if (count == call->limit)
		memcpy(next, list[count - 1].id, sizeof(next));
	else if (rows != NULL && value_int(rows, 0, DELIVERY_COLUMNS) == call->scan)
		delivery_read_id(rows, 0, DELIVERY_COLUMNS + 1, next);
	call->cb.list(call->arg, answer->code, list, count, next,
		      answer->code == SL_OK ? NULL : &answer->error);
	free(list);
	free(call);
}

void
delivery_list(struct dead_store *store, const struct delivery_filter *filter, delivery_list_cb *cb,
	      void *arg)
{
	bool filtered = filter->type != 0 || filter->state != 0 || filter->failed ||
			(filter->job != NULL && filter->endpoint != NULL);
	struct delivery_call *call = delivery_call_new(arg);
	struct unit *unit = dead_unit_in_order();
	char since[UUID_TEXT], before[UUID_TEXT];

	assert(filter->limit >= 1 && filter->limit <= DELIVERY_LIST_MAX);
	call->cb.list = cb;
	call->limit = filter->limit;
	call->scan = filtered ? DELIVERY_LIST_SCAN : filter->limit;
	delivery_bound(filter->since_ms, since);
	delivery_bound(filter->before_ms, before);
	unit_add(unit, filter->job != NULL        ? &delivery_page_of_job
		       : filter->endpoint != NULL ? &delivery_page_of_endpoint
						  : &delivery_page);
	unit_bind_int(unit, filter->environment_id);
	unit_bind_text(unit, filter->since_ms > 0 ? since : NULL);
	unit_bind_text(unit, filter->before_ms > 0 ? before : NULL);
	unit_bind_text(unit, filter->before);
	unit_bind_int(unit, call->scan);
	unit_bind_int(unit, filter->type);
	unit_bind_int(unit, filter->failed ? 0 : (int64_t)filter->state);
	unit_bind_bool(unit, filter->failed);
	unit_bind_text(unit, filter->endpoint);
	unit_bind_int(unit, filter->limit);
	if (filter->job != NULL)
		unit_bind_text(unit, filter->job);
	unit_send(unit, store->pg, UNIT_WAIT_MS, delivery_on_list, call);
}

/* ---- one ------------------------------------------------------------------------------------ */

static void
delivery_read_try(struct delivery_show_try *it, const PGresult *rows, int row)
{
	it->number = (int)value_int(rows, row, 0);
	it->at_ms = value_int(rows, row, 1);
	it->took_ms = value_int(rows, row, 2);
	it->node = value_text(rows, row, 3);
	it->url = value_text(rows, row, 4);
	it->status = (int)value_int(rows, row, 5);
	it->failure = value_text(rows, row, 6);
	it->detail = value_text(rows, row, 7);
	it->headers = value_text(rows, row, 8);
	it->answer = value_bytes(rows, row, 9);
	it->cut = value_bool(rows, row, 10);
}

static void
delivery_on_show(void *arg, const struct unit_answer *answer)
{
	struct delivery_call *call = arg;
	struct delivery_show_try *tries = NULL;
	struct sl_error error = answer->error;
	enum sl_code code = answer->code;
	struct delivery_row row = {0};
	struct slice body = {NULL, 0};
	int count = 0;

	if (code == SL_OK && PQntuples(answer->results[0]) == 0)
		code = sl_fail(&error, SL_NOT_FOUND, "there is no such delivery");
	if (code == SL_OK) {
		delivery_read(&row, answer->results[0], 0);
		body = value_bytes(answer->results[0], 0, DELIVERY_COLUMNS);
		count = PQntuples(answer->results[1]);
		tries = sl_calloc((size_t)count + 1, sizeof(*tries));
		for (int i = 0; i < count; i++)
			delivery_read_try(&tries[i], answer->results[1], i);
	}
	call->cb.show(call->arg, code, code == SL_OK ? &row : NULL, body, tries, count,
		      code == SL_OK ? NULL : &error);
	free(tries);
	free(call);
}

void
delivery_show(struct dead_store *store, int64_t environment_id, const char *id,
	      delivery_show_cb *cb, void *arg)
{
	struct delivery_call *call = delivery_call_new(arg);
	struct unit *unit = unit_new();

	call->cb.show = cb;
	unit_add(unit, &delivery_one);
	unit_bind_text(unit, id);
	unit_bind_int(unit, environment_id);
	unit_add(unit, &delivery_tries);
	unit_bind_text(unit, id);
	unit_bind_int(unit, DELIVERY_SHOW_TRIES);
	unit_send(unit, store->pg, UNIT_WAIT_MS, delivery_on_show, call);
}

/* ---- again ---------------------------------------------------------------------------------- */

static void
delivery_on_again(void *arg, const struct unit_answer *answer)
{
	struct delivery_call *call = arg;
	struct sl_error error = answer->error;
	enum sl_code code = answer->code;

	if (code == SL_OK && PQntuples(answer->results[1]) == 0)
		code = PQntuples(answer->results[2]) > 0
			   ? sl_fail(&error, SL_CONFLICT, "a try of this delivery is under way")
			   : sl_fail(&error, SL_NOT_FOUND, "there is no such delivery");
	call->cb.done(call->arg, code, code == SL_OK ? NULL : &error);
	free(call);
}

void
delivery_resend(struct dead_store *store, int64_t environment_id, const char *id,
		delivery_done_cb *cb, void *arg)
{
	static const struct unit_statement *const statements[] = {
	    &delivery_again_due, &delivery_again, &delivery_is_whole};
	struct delivery_call *call = delivery_call_new(arg);
	struct unit *unit = unit_new();

	call->cb.done = cb;
	for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
		unit_add(unit, statements[i]);
		unit_bind_text(unit, id);
		unit_bind_int(unit, environment_id);
	}
	unit_send(unit, store->pg, UNIT_WAIT_MS, delivery_on_again, call);
}

/* ---- all that failed ------------------------------------------------------------------------ */

struct delivery_resending {
	struct dead_store *store;
	struct delivery_resend_filter filter;
	char endpoint[UUID_TEXT];
	char at[UUID_TEXT];  /* looked at so far */
	char end[UUID_TEXT]; /* not at this or behind */
	int64_t resent;
	int64_t room; /* of the transaction under way */
	delivery_resent_cb *cb;
	void *arg;
};

static void delivery_resend_some(struct delivery_resending *it);

static void
delivery_on_resent(void *arg, const struct unit_answer *answer)
{
	struct delivery_resending *it = arg;
	bool full = false, more = false;

	if (answer->code == SL_OK) {
		const PGresult *row = answer->results[answer->count - 1];

		it->resent += value_int(row, 0, 0);
		full = value_int(row, 0, 1) == it->room;
		more = full || value_int(row, 0, 2) == DELIVERY_LIST_SCAN;
		if (more)
			value_uuid(row, 0, full ? 3 : 4, it->at);
		if (more && it->resent < it->filter.limit && !it->store->closed) {
			delivery_resend_some(it);
			return;
		}
	}
	it->cb(it->arg, answer->code, it->resent, more,
	       answer->code == SL_OK ? NULL : &answer->error);
	free(it);
}

static void
delivery_resend_some(struct delivery_resending *it)
{
	struct unit *unit = dead_unit_in_order();

	it->room = it->filter.limit - it->resent;
	if (it->room > DELIVERY_RESEND_BATCH)
		it->room = DELIVERY_RESEND_BATCH;
	unit_add(unit, it->filter.endpoint != NULL ? &delivery_again_failed_of_endpoint
						   : &delivery_again_failed);
	unit_bind_int(unit, it->filter.environment_id);
	unit_bind_text(unit, it->at);
	unit_bind_text(unit, it->end);
	unit_bind_int(unit, DELIVERY_LIST_SCAN);
	unit_bind_int(unit, it->filter.type);
	unit_bind_int(unit, it->room);
	if (it->filter.endpoint != NULL)
		unit_bind_text(unit, it->filter.endpoint);
	unit_send(unit, it->store->pg, UNIT_WAIT_MS, delivery_on_resent, it);
}

void
delivery_resend_failed(struct dead_store *store, const struct delivery_resend_filter *filter,
		       delivery_resent_cb *cb, void *arg)
{
	struct delivery_resending *it = sl_alloc(sizeof(*it));

	assert(filter->limit >= 1 && filter->limit <= DELIVERY_RESEND_MAX);
	it->store = store;
	it->filter = *filter;
	it->cb = cb;
	it->arg = arg;
	if (filter->endpoint != NULL) {
		memcpy(it->endpoint, filter->endpoint, sizeof(it->endpoint));
		it->filter.endpoint = it->endpoint;
	}
	delivery_bound(filter->since_ms, it->at);
	delivery_bound(filter->before_ms > 0 ? filter->before_ms : DELIVERY_TIME_MAX_MS, it->end);
	delivery_resend_some(it);
}
