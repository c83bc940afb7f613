#include "sql/refresh.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/secret.h"
#include "sql/account_rows.h"

/* The row is read by a statement of its own: its snapshot is taken behind the lock that the claim may have waited
 * for, so it shows what whoever held that has stored. */
static const struct unit_statement refresh_claim = {
    "refresh_claim",
    "INSERT INTO refresh AS o (connection_id, claim, claimed_until)"
    " SELECT id, 1, clock_timestamp() + $2::bigint * interval '1 millisecond' FROM connection"
    "  WHERE id = $1::bigint"
    " ON CONFLICT (connection_id) DO UPDATE SET claim = o.claim + 1,"
    "  claimed_until = excluded.claimed_until"
    "  WHERE o.claimed_until IS NULL OR o.claimed_until < clock_timestamp()"
    " RETURNING claim"};

static const struct unit_statement refresh_row = {
    "refresh_row", "SELECT " ACCOUNT_CONNECTION_COLUMNS ACCOUNT_CONNECTION_FROM
		   "WHERE c.id = $1::bigint"};

/* First the claim, then the credentials: all writers lock in this order.  A claim that has run out meanwhile is no
 * reason to throw a new token away: what it would replace must only be what it was made from. */
static const struct unit_statement refresh_end = {
    "refresh_end",
    "UPDATE refresh SET claimed_until = CASE WHEN claim = $2::bigint THEN NULL ELSE claimed_until END,"
    " refreshed_at = now(), failed_at = NULL, failing_day = NULL, failing_days = 0, cause = '',"
    " log_id = NULL WHERE connection_id = $1::bigint AND EXISTS (SELECT FROM connection"
    "  WHERE id = $1::bigint AND credentials = $3::text)"};

static const struct unit_statement refresh_write = {
    "refresh_write",
    "UPDATE connection SET credentials = $3::text, last_fetched_at = now(),"
    " updated_at = greatest(now(), created_at + interval '1 millisecond')"
    " WHERE id = $1::bigint AND credentials = $2::text RETURNING id, " ACCOUNT_NOTIFY("environment_id")};

/* $5 null: nothing to tell of; it stays as it was.  $6 to $10: the event; $6 null: none. */
static const struct unit_statement refresh_failed = {
    "refresh_failed",
    "WITH b AS (SELECT log_id FROM refresh WHERE connection_id = $1::bigint AND claim = $2::bigint),"
    " u AS (UPDATE refresh SET claimed_until = NULL, failed_at = now(), cause = $4::text,"
    "  log_id = coalesce(log_id, $5::uuid),"
    "  failing_days = failing_days + CASE WHEN $5::uuid IS NOT NULL AND failing_day IS DISTINCT FROM"
    "   (now() AT TIME ZONE 'UTC')::date THEN 1 ELSE 0 END,"
    "  failing_day = CASE WHEN $5::uuid IS NULL THEN failing_day"
    "   ELSE (now() AT TIME ZONE 'UTC')::date END"
    "  WHERE connection_id = $1::bigint AND claim = $2::bigint AND EXISTS (SELECT FROM connection"
    "   WHERE id = $1::bigint AND credentials = $3::text) RETURNING connection_id),"
    " e AS (INSERT INTO outbox (id, environment_id, connection_id, type, outcome, body)"
    "  SELECT $6::uuid, $7::bigint, $1::bigint, $8::bigint, $9::bigint, $10::text FROM b, u"
    "  WHERE b.log_id IS NULL AND $6::uuid IS NOT NULL)"
    " SELECT c.id, " ACCOUNT_NOTIFY("c.environment_id") " FROM connection c, u"
							  " WHERE c.id = u.connection_id"};

static const struct unit_statement refresh_unclaim = {
    "refresh_unclaim", "UPDATE refresh SET claimed_until = NULL"
		       " WHERE connection_id = $1::bigint AND claim = $2::bigint"};

static const struct unit_statement refresh_touched = {
    "refresh_touched",
    "UPDATE connection SET last_fetched_at = now() WHERE id = ANY ($1::bigint[])"
    " AND last_fetched_at < now() - interval '1 hour'"};

static const struct unit_statement refresh_idle = {
    "refresh_idle",
    "UPDATE connection SET last_fetched_at = now() WHERE id IN (SELECT id FROM connection"
    "  WHERE last_fetched_at < now() - $1::bigint * interval '1 millisecond'"
    "  ORDER BY last_fetched_at, id LIMIT $2::bigint FOR UPDATE SKIP LOCKED)"};

/* Those that the statement before has just moved; a row more than it took does no harm. */
static const struct unit_statement refresh_taken = {
    "refresh_taken",
    "SELECT " ACCOUNT_CONNECTION_COLUMNS ACCOUNT_CONNECTION_FROM
    "WHERE c.last_fetched_at = now() ORDER BY c.id LIMIT $1::bigint"};

struct begin {
	refresh_claim_cb *cb;
	void *arg;
};

static void
refresh_on_begun(void *arg, const struct unit_answer *answer)
{
	struct begin *begin = arg;
	struct account_connection row;
	struct sl_error error = answer->error;
	enum sl_code code = answer->code;
	int64_t claim = 0;

	if (code == SL_OK && PQntuples(answer->results[1]) == 0)
		code = sl_fail(&error, SL_NOT_FOUND, "there is no such connection");
	if (code == SL_OK) {
		account_connection_read(&row, answer->results[1], 0);
		if (PQntuples(answer->results[0]) == 1)
			claim = value_int(answer->results[0], 0, 0);
	}
	begin->cb(begin->arg, code, claim, code == SL_OK ? &row : NULL,
		  code == SL_OK ? NULL : &error);
	free(begin);
}

void
refresh_begin(struct account *account, int64_t connection_id, int64_t ttl_ms, refresh_claim_cb *cb,
	      void *arg)
{
	struct begin *begin = sl_alloc(sizeof(*begin));
	struct unit *unit = unit_new();

	begin->cb = cb;
	begin->arg = arg;
	unit_add(unit, &refresh_claim);
	unit_bind_int(unit, connection_id);
	unit_bind_int(unit, ttl_ms);
	unit_add(unit, &refresh_row);
	unit_bind_int(unit, connection_id);
	unit_send(unit, account_pg(account), UNIT_WAIT_MS, refresh_on_begun, begin);
}

static void
bind_claim(struct unit *unit, int64_t connection_id, int64_t claim)
{
	unit_bind_int(unit, connection_id);
	unit_bind_int(unit, claim);
}

static void
send_with_row(struct account *account, struct unit *unit, int64_t connection_id,
	      account_connections_cb *cb, void *arg)
{
	unit_add(unit, &refresh_row);
	unit_bind_int(unit, connection_id);
	account_send_connections(account, unit, "connection", cb, arg);
}

void
refresh_store(struct account *account, int64_t connection_id, int64_t claim, const char *before,
	      const char *after, account_connections_cb *cb, void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &refresh_end);
	bind_claim(unit, connection_id, claim);
	unit_bind_text(unit, before);
	unit_add(unit, &refresh_write);
	unit_bind_int(unit, connection_id);
	unit_bind_text(unit, before);
	unit_bind_text(unit, after);
	send_with_row(account, unit, connection_id, cb, arg);
}

/* JSON that was checked is text that Postgres takes. */
static bool
event_is_sound(const struct settle_event *event)
{
	struct json_value value;

	return event != NULL && json_check(event->body, &value, NULL) == SL_OK;
}

void
refresh_fail(struct account *account, int64_t connection_id, int64_t claim, const char *before,
	     const struct refresh_failure *failure, account_connections_cb *cb, void *arg)
{
	const struct settle_event *event = event_is_sound(failure->event) ? failure->event : NULL;
	char *body = event != NULL ? sl_strndup(event->body.data, event->body.len) : NULL;
	struct unit *unit = unit_new();
	char id[UUID_TEXT];

	uuid_v7(id);
	unit_add(unit, &refresh_failed);
	bind_claim(unit, connection_id, claim);
	unit_bind_text(unit, before);
	unit_bind_text(unit, failure->cause);
	unit_bind_text(unit, failure->log_id);
	unit_bind_text(unit, event != NULL ? id : NULL);
	unit_bind_int(unit, event != NULL ? event->environment_id : 0);
	unit_bind_int(unit, event != NULL ? (int64_t)event->type : 0);
	unit_bind_int(unit, event != NULL ? (int64_t)event->outcome : 0);
	unit_bind_text(unit, body);
	send_with_row(account, unit, connection_id, cb, arg);
	free(body);
}

static void
refresh_on_unheard(void *arg, const struct unit_answer *answer)
{
	(void)arg; /* a claim ends by itself, and a moment can be moved the next time */
	(void)answer;
}

void
refresh_drop(struct account *account, int64_t connection_id, int64_t claim)
{
	struct unit *unit = unit_new();

	unit_add(unit, &refresh_unclaim);
	bind_claim(unit, connection_id, claim);
	unit_send(unit, account_pg(account), UNIT_WAIT_MS, refresh_on_unheard, NULL);
}

void
refresh_touch(struct account *account, const int64_t *ids, int count)
{
	struct unit *unit = unit_new();
	struct value_array array;

	value_array_init(&array, VALUE_INT8);
	for (int i = 0; i < count; i++)
		value_array_int(&array, ids[i]);
	unit_add(unit, &refresh_touched);
	unit_bind_array(unit, &array);
	unit_send(unit, account_pg(account), UNIT_WAIT_MS, refresh_on_unheard, NULL);
}

void
refresh_take_idle(struct account *account, int64_t idle_ms, int limit, account_connections_cb *cb,
		  void *arg)
{
	struct unit *unit = unit_new();

	unit_add(unit, &refresh_idle);
	unit_bind_int(unit, idle_ms);
	unit_bind_int(unit, limit);
	unit_add(unit, &refresh_taken);
	unit_bind_int(unit, limit);
	account_send_connections(account, unit, NULL, cb, arg);
}
