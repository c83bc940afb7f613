/* What people see of deliveries and endpoints, and what they do about them. */
#include <stdarg.h>

#include "sql/delivery_show.h"
#include "sql/endpoint.h"
#include "tests/integration/sql_rig.h"

#define ROWS 64
#define T0 INT64_C(1760000000000) /* when the deliveries of most tests were made */
#define TYPE_SYNC 1
#define TYPE_ACTION 2

static struct dead_store *store;
static long long dev, prod;

/* ---- calls that wait for their answer ------------------------------------------------------- */

struct answer {
	int calls, count;
	enum sl_code code;
	struct delivery_row rows[ROWS]; /* without their texts */
	struct delivery_show_try tries[ROWS];
	struct endpoint_row endpoints[ROWS];
	char text[4000]; /* of the first row */
	char next[UUID_TEXT];
	int64_t next_id, resent;
	bool more;
};

static void
on_list(void *arg, enum sl_code code, const struct delivery_row *rows, int count, const char *next,
	const struct sl_error *error)
{
	struct answer *answer = arg;

	(void)error;
	answer->calls++;
	answer->code = code;
	answer->count = count;
	for (int i = 0; i < count && i < ROWS; i++)
		answer->rows[i] = rows[i];
	if (count > 0)
		snprintf(answer->text, sizeof(answer->text), "%s|%s|%s|%s|%s", rows[0].environment,
			 rows[0].url, rows[0].integration, rows[0].connection,
			 rows[0].last_failure);
	snprintf(answer->next, sizeof(answer->next), "%s", next);
}

static void
on_show(void *arg, enum sl_code code, const struct delivery_row *row, struct slice body,
	const struct delivery_show_try *tries, int count, const struct sl_error *error)
{
	struct answer *answer = arg;
	size_t len = 0;

	(void)error;
	answer->calls++;
	answer->code = code;
	answer->count = count;
	if (row == NULL)
		return;
	answer->rows[0] = *row;
	len =
	    (size_t)snprintf(answer->text, sizeof(answer->text), "%.*s", (int)body.len, body.data);
	for (int i = 0; i < count; i++) {
		if (i < ROWS)
			answer->tries[i] = tries[i];
		if (len < sizeof(answer->text))
			len += (size_t)snprintf(answer->text + len, sizeof(answer->text) - len,
						"|%d %s %s %s %s %s %.*s", tries[i].number,
						tries[i].node, tries[i].url, tries[i].failure,
						tries[i].detail, tries[i].headers,
						(int)tries[i].answer.len, tries[i].answer.data);
	}
}

static void
on_done(void *arg, enum sl_code code, const struct sl_error *error)
{
	struct answer *answer = arg;

	(void)error;
	answer->calls++;
	answer->code = code;
}

static void
on_resent(void *arg, enum sl_code code, int64_t resent, bool more, const struct sl_error *error)
{
	struct answer *answer = arg;

	answer->resent = resent;
	answer->more = more;
	on_done(arg, code, error);
}

static void
on_endpoints(void *arg, enum sl_code code, const struct endpoint_row *rows, int count, int64_t next,
	     const struct sl_error *error)
{
	struct answer *answer = arg;

	answer->count = count;
	for (int i = 0; i < count && i < ROWS; i++)
		answer->endpoints[i] = rows[i];
	answer->next_id = next;
	on_done(arg, code, error);
}

static void
on_endpoint(void *arg, enum sl_code code, const struct endpoint_row *row,
	    const struct sl_error *error)
{
	struct answer *answer = arg;

	if (row != NULL) {
		answer->endpoints[0] = *row;
		snprintf(answer->text, sizeof(answer->text), "%s|%s", row->environment, row->url);
	}
	on_done(arg, code, error);
}

static enum sl_code
wait_for(struct answer *answer)
{
	rig_until(answer->calls > 0);
	check_int(answer->calls, ==, 1);
	return answer->code;
}

static const struct answer *
list(const struct delivery_filter *filter)
{
	static struct answer answer;

	answer = (struct answer){0};
	delivery_list(store, filter, on_list, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	return &answer;
}

static const struct answer *
show(int64_t environment, const char *id)
{
	static struct answer answer;

	answer = (struct answer){0};
	delivery_show(store, environment, id, on_show, &answer);
	(void)wait_for(&answer);
	return &answer;
}

static enum sl_code
resend(int64_t environment, const char *id)
{
	struct answer answer = {0};

	delivery_resend(store, environment, id, on_done, &answer);
	return wait_for(&answer);
}

static const struct answer *
resend_failed(const struct delivery_resend_filter *filter)
{
	static struct answer answer;

	answer = (struct answer){0};
	delivery_resend_failed(store, filter, on_resent, &answer);
	check_int(wait_for(&answer), ==, SL_OK);
	return &answer;
}

static const struct answer *
endpoint(int64_t environment, const char *uuid)
{
	static struct answer answer;

	answer = (struct answer){0};
	endpoint_show(store, environment, uuid, on_endpoint, &answer);
	(void)wait_for(&answer);
	return &answer;
}

static const struct answer *
steer(int64_t environment, const char *uuid, bool pause)
{
	static struct answer answer;

	answer = (struct answer){0};
	endpoint_steer(store, environment, uuid, pause, on_endpoint, &answer);
	(void)wait_for(&answer);
	return &answer;
}

/* ---- what is there -------------------------------------------------------------------------- */

SL_PRINTF(1, 2) static long long sql(const char *format, ...)
{
	char text[2000];
	va_list values;

	va_start(values, format);
	vsnprintf(text, sizeof(text), format, values);
	va_end(values);
	return rig_sql(text);
}

SL_PRINTF(2, 3) static void sql_text(char out[UUID_TEXT], const char *format, ...)
{
	char text[2000];
	va_list values;
	PGresult *result;

	va_start(values, format);
	vsnprintf(text, sizeof(text), format, values);
	va_end(values);
	result = PQexec(rig_direct, text);
	rig_must(PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) > 0, text);
	snprintf(out, UUID_TEXT, "%s", PQgetvalue(result, 0, 0));
	PQclear(result);
}

/* A delivery that was made at T0 + at ms: with what its event, its state and its place need. */
static void
plant(char out[UUID_TEXT], int64_t at, const char *url, int type, int state)
{
	sql_text(out, "SELECT plant(%lld, '%s', %d, %d)", (long long)(T0 + at), url, type, state);
}

static void
try(const char *id, int number, int status, const char *failure)
{
	sql("INSERT INTO delivery_try VALUES ('%s', %d, timestamptz 'epoch' + %lld * interval '1 ms',"
	    " %d, 'node:%d', 'http://then/%d', %d, '%s', 'as told', '%s', '\\x6869ff', %s)",
	    id, number, (long long)T0 + number, number * 10, number, number, status, failure,
	    status > 0 ? "{\"a\":\"b\"}" : "", status == 500 ? "true" : "false");
}

static void
prepare(void)
{
	rig_sql("INSERT INTO environment (name, uuid, is_production, signing_key, callback_url,"
		" webhook_events) VALUES ('dev', 'u1', false, '', '', 0), ('prod', 'u2', false, '',"
		" '', 0)");
	dev = rig_sql("SELECT id FROM environment WHERE name = 'dev'");
	prod = rig_sql("SELECT id FROM environment WHERE name = 'prod'");
	rig_sql("INSERT INTO integration (environment_id, unique_key, provider, display_name,"
		" forward_webhooks, credentials, seal_row, config, custom)"
		" SELECT id, 'hub', 'p', '', true, '', '', '{}', '{}' FROM environment");
	rig_sql(
	    "INSERT INTO connection (environment_id, integration_id, connection_id, credentials,"
	    " seal_row, connection_config, metadata, tags, end_user, webhook_url_override)"
	    " SELECT environment_id, id, 'anna', '', '', '{}', '{}', '{}', '', ''"
	    " FROM integration");
	/* By the trigger no event makes a delivery: nobody wants any.  An odd url's environment is prod. */
	rig_sql(
	    "CREATE FUNCTION plant(ms bigint, at text, type int, state int) RETURNS uuid"
	    " LANGUAGE plpgsql AS $$ DECLARE"
	    " made uuid := (lpad(to_hex(ms), 12, '0') || '7'"
	    "   || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid;"
	    " event uuid := gen_random_uuid(); p record; job uuid := gen_random_uuid();"
	    " BEGIN SELECT * INTO STRICT p FROM endpoint e WHERE e.url = at;"
	    " INSERT INTO outbox (id, environment_id, connection_id, job_id, type, body)"
	    "  SELECT event, c.environment_id, c.id, job, plant.type, '{\"from\":\"nango\"}'"
	    "  FROM connection c WHERE c.environment_id = p.environment_id;"
	    " INSERT INTO delivery (id, event_id, endpoint_id, environment_id, job_id, type, state,"
	    "  tries, ended_at) SELECT made, event, p.id, p.environment_id, job, plant.type,"
	    "  plant.state, CASE WHEN plant.state = 1 THEN 0 ELSE 8 END,"
	    "  CASE WHEN plant.state > 2 THEN now() END;"
	    " IF plant.state < 3 THEN INSERT INTO delivery_due (delivery_id, endpoint_id, due_at)"
	    "  VALUES (made, p.id, now() + interval '1 hour'); END IF;"
	    " RETURN made; END $$");
}

/* Two endpoints of dev, one of prod; no deliveries. */
static void
fresh(void)
{
	rig_sql("TRUNCATE endpoint, delivery, delivery_due, delivery_try, outbox");
	sql("INSERT INTO endpoint (environment_id, slot, url) VALUES (%lld, 1, 'http://one'),"
	    " (%lld, 2, 'http://two'), (%lld, 1, 'http://three')",
	    dev, dev, prod);
}

static void
endpoint_of(char out[UUID_TEXT], const char *url)
{
	sql_text(out, "SELECT uuid FROM endpoint WHERE url = '%s'", url);
}

/* ---- lists ---------------------------------------------------------------------------------- */

static void
a_page_is_newest_first_and_the_next_goes_on_behind_it_while_rows_are_added(void)
{
	struct delivery_filter filter = {.environment_id = dev, .limit = 2};
	char ids[5][UUID_TEXT], late[UUID_TEXT], cursor[UUID_TEXT];
	const struct answer *page;

	fresh();
	for (int i = 0; i < 5; i++)
		plant(ids[i], i * 1000, "http://one", TYPE_SYNC, DELIVERY_DELIVERED);
	page = list(&filter);
	check_int(page->count, ==, 2);
	check_text(page->rows[0].id, ids[4]);
	check_text(page->rows[1].id, ids[3]);
	check_int(page->rows[1].created_ms, ==, T0 + 3000);
	memcpy(cursor, page->next, sizeof(cursor));
	filter.before = cursor;
	plant(late, 9000, "http://one", TYPE_SYNC, DELIVERY_DELIVERED);
	page = list(&filter);
	check_int(page->count, ==, 2);
	check_text(page->rows[0].id, ids[2]);
	check_text(page->rows[1].id, ids[1]);
	memcpy(cursor, page->next, sizeof(cursor));
	page = list(&filter);
	check_int(page->count, ==, 1);
	check_text(page->rows[0].id, ids[0]);
	check_text(page->next, "");
}

static void
a_row_says_what_when_where_and_for_whom(void)
{
	struct delivery_filter filter = {.environment_id = dev, .limit = 5};
	const struct answer *page;
	char id[UUID_TEXT], uuid[UUID_TEXT], other[UUID_TEXT];

	fresh();
	endpoint_of(uuid, "http://one");
	plant(id, 0, "http://one", TYPE_ACTION, DELIVERY_RETRYING);
	try(id, 1, 0, "timeout");
	try(id, 2, 503, "http_status");
	page = list(&filter);
	check_int(page->count, ==, 1);
	check_text(page->text, "dev|http://one|hub|anna|http_status");
	check_text(page->rows[0].endpoint, uuid);
	check_int(page->rows[0].type, ==, TYPE_ACTION);
	check_int(page->rows[0].state, ==, DELIVERY_RETRYING);
	check_int(page->rows[0].tries, ==, 8);
	check_int(page->rows[0].last_status, ==, 503);
	check_int(page->rows[0].last_ms, ==, T0 + 2);
	check_int(page->rows[0].ended_ms, ==, 0);
	check_int(page->rows[0].next_try_ms, >, clock_wall_ms() + 3500000);
	sql_text(other, "SELECT job_id FROM delivery");
	check_text(page->rows[0].job, other);
	sql_text(other, "SELECT event_id FROM delivery");
	check_text(page->rows[0].event_id, other);
	rig_sql("UPDATE endpoint SET paused_at = now()");
	check_int(list(&filter)->rows[0].next_try_ms, ==, 0);
	rig_sql("UPDATE endpoint SET paused_at = NULL, open_until = now() + interval '2 hours'");
	check_int(list(&filter)->rows[0].next_try_ms, >, clock_wall_ms() + 7100000);
	rig_sql("DELETE FROM delivery_due");
	check_int(list(&filter)->rows[0].next_try_ms, ==, 0);
	rig_sql("BEGIN; DELETE FROM connection; UPDATE delivery SET job_id = NULL");
	rig_sql("COMMIT");
	page = list(&filter);
	check_text(page->text, "dev|http://one|||http_status");
	check_text(page->rows[0].job, "");
	rig_sql(
	    "INSERT INTO connection (environment_id, integration_id, connection_id, credentials,"
	    " seal_row, connection_config, metadata, tags, end_user, webhook_url_override)"
	    " SELECT environment_id, id, 'anna', '', '', '{}', '{}', '{}', '', ''"
	    " FROM integration");
}

static void
each_filter_holds_alone_and_with_the_others(void)
{
	char a[UUID_TEXT], b[UUID_TEXT], c[UUID_TEXT], d[UUID_TEXT], e[UUID_TEXT];
	char one[UUID_TEXT], job[UUID_TEXT], none[UUID_TEXT];
	struct delivery_filter all = {.limit = 10}, filter;

	fresh();
	endpoint_of(one, "http://one");
	plant(a, 0, "http://one", TYPE_SYNC, DELIVERY_PENDING);
	plant(b, 1000, "http://one", TYPE_ACTION, DELIVERY_RETRYING);
	plant(c, 2000, "http://two", TYPE_ACTION, DELIVERY_DELIVERED);
	plant(d, 3000, "http://one", TYPE_ACTION, DELIVERY_EXHAUSTED);
	plant(e, 4000, "http://three", TYPE_ACTION, DELIVERY_EXHAUSTED);
	sql_text(job, "SELECT job_id FROM delivery WHERE id = '%s'", d);
	uuid_v7(none);
	check_int(list(&all)->count, ==, 5);

	filter = (struct delivery_filter){.environment_id = prod, .limit = 10};
	check_int(list(&filter)->count, ==, 1);
	check_text(list(&filter)->rows[0].id, e);
	filter = (struct delivery_filter){.endpoint = one, .limit = 10};
	check_int(list(&filter)->count, ==, 3);
	filter.endpoint = none;
	check_int(list(&filter)->count, ==, 0);
	filter = (struct delivery_filter){.type = TYPE_SYNC, .limit = 10};
	check_int(list(&filter)->count, ==, 1);
	check_text(list(&filter)->rows[0].id, a);
	filter = (struct delivery_filter){.state = DELIVERY_RETRYING, .limit = 10};
	check_int(list(&filter)->count, ==, 1);
	check_text(list(&filter)->rows[0].id, b);
	filter = (struct delivery_filter){.failed = true, .limit = 10};
	check_int(list(&filter)->count, ==, 3);
	filter = (struct delivery_filter){.since_ms = T0 + 1000, .limit = 10};
	check_int(list(&filter)->count, ==, 4);
	filter = (struct delivery_filter){.before_ms = T0 + 1000, .limit = 10};
	check_int(list(&filter)->count, ==, 1);
	filter = (struct delivery_filter){.job = job, .limit = 10};
	check_int(list(&filter)->count, ==, 1);
	check_text(list(&filter)->rows[0].id, d);
	filter.environment_id = prod;
	check_int(list(&filter)->count, ==, 0);

	filter = (struct delivery_filter){.environment_id = dev,
					  .endpoint = one,
					  .type = TYPE_ACTION,
					  .failed = true,
					  .since_ms = T0 + 1001,
					  .before_ms = T0 + 3001,
					  .job = job,
					  .limit = 10};
	check_int(list(&filter)->count, ==, 1);
	check_text(list(&filter)->rows[0].id, d);
	filter.type = TYPE_SYNC;
	check_int(list(&filter)->count, ==, 0);
}

static void
a_page_looks_at_so_many_rows_and_says_where_it_stopped(void)
{
	struct delivery_filter filter = {
	    .environment_id = dev, .state = DELIVERY_EXHAUSTED, .limit = 5};
	const struct answer *page;
	char id[UUID_TEXT], cursor[UUID_TEXT];

	fresh();
	plant(id, 0, "http://one", TYPE_SYNC, DELIVERY_EXHAUSTED);
	sql("INSERT INTO delivery (id, event_id, endpoint_id, environment_id, type, state)"
	    " SELECT (lpad(to_hex(%lld + n), 12, '0') || '7' || repeat('0', 19))::uuid, gen_random_uuid(),"
	    " (SELECT id FROM endpoint WHERE url = 'http://one'), %lld, 1, 3"
	    " FROM generate_series(1, %d) n",
	    (long long)T0, dev, DELIVERY_LIST_SCAN);
	page = list(&filter);
	check_int(page->count, ==, 0);
	check_int(strlen(page->next), ==, UUID_TEXT - 1);
	memcpy(cursor, page->next, sizeof(cursor));
	filter.before = cursor;
	page = list(&filter);
	check_int(page->count, ==, 1);
	check_text(page->rows[0].id, id);
	check_text(page->next, "");
}

static void
a_delivery_is_shown_with_its_body_and_every_try_in_order(void)
{
	const struct answer *shown;
	char id[UUID_TEXT], other[UUID_TEXT];

	fresh();
	plant(id, 0, "http://one", TYPE_SYNC, DELIVERY_EXHAUSTED);
	plant(other, 0, "http://one", TYPE_SYNC, DELIVERY_EXHAUSTED);
	try(id, 2, 500, "http_status");
	try(id, 1, 0, "timeout");
	try(other, 1, 200, "");
	shown = show(dev, id);
	check_int(shown->code, ==, SL_OK);
	check_int(shown->count, ==, 2);
	check_text(shown->text,
		   "{\"from\":\"nango\"}|1 node:1 http://then/1 timeout as told  hi\xff"
		   "|2 node:2 http://then/2 http_status as told {\"a\":\"b\"} hi\xff");
	check_int(shown->tries[1].at_ms, ==, T0 + 2);
	check_int(shown->tries[1].took_ms, ==, 20);
	check_int(shown->tries[1].status, ==, 500);
	check(shown->tries[1].cut && !shown->tries[0].cut);
	check_int(show(0, id)->code, ==, SL_OK);
	check_int(show(prod, id)->code, ==, SL_NOT_FOUND);
	uuid_v7(other);
	check_int(show(dev, other)->code, ==, SL_NOT_FOUND);
}

static void
of_very_many_tries_the_newest_are_shown(void)
{
	const struct answer *shown;
	char id[UUID_TEXT];

	fresh();
	plant(id, 0, "http://one", TYPE_SYNC, DELIVERY_EXHAUSTED);
	for (int i = 1; i <= DELIVERY_SHOW_TRIES + 3; i++)
		try(id, i, 500, "http_status");
	shown = show(dev, id);
	check_int(shown->count, ==, DELIVERY_SHOW_TRIES);
	check_int(shown->tries[0].number, ==, 4);
}

/* ---- again ---------------------------------------------------------------------------------- */

static long long
of(const char *id, const char *what)
{
	return sql("SELECT %s FROM delivery d LEFT JOIN delivery_due u ON u.delivery_id = d.id"
		   " WHERE d.id = '%s'",
		   what, id);
}

static void
check_is_due(const char *id, int base)
{
	check_int(of(id, "count(u.due_at)"), ==, 1);
	check_int(of(id, "(u.due_at <= now())::int"), ==, 1);
	check_int(of(id, "(u.endpoint_id = d.endpoint_id)::int"), ==, 1);
	check_int(of(id, "base"), ==, base);
	check_int(of(id, "count(ended_at)"), ==, 0);
}

static void
a_resent_delivery_is_due_now_and_begins_its_schedule_anew(void)
{
	char id[UUID_TEXT];

	fresh();
	for (int state = DELIVERY_PENDING; state <= DELIVERY_EXHAUSTED; state++) {
		plant(id, state, "http://one", TYPE_SYNC, state);
		check_int(resend(dev, id), ==, SL_OK);
		check_is_due(id, state == DELIVERY_PENDING ? 0 : 8);
		check_int(of(id, "state"), ==,
			  state == DELIVERY_PENDING ? DELIVERY_PENDING : DELIVERY_RETRYING);
		check_int(resend(0, id), ==, SL_OK); /* twice is fine */
	}
}

static void
what_another_environment_has_or_retention_took_is_not_resent(void)
{
	struct delivery_resend_filter all = {.since_ms = T0, .limit = 10};
	char id[UUID_TEXT], unknown[UUID_TEXT];

	fresh();
	plant(id, 0, "http://one", TYPE_SYNC, DELIVERY_EXHAUSTED);
	uuid_v7(unknown);
	check_int(resend(prod, id), ==, SL_NOT_FOUND);
	check_int(resend(dev, unknown), ==, SL_NOT_FOUND);
	rig_sql("DELETE FROM outbox");
	check_int(resend(dev, id), ==, SL_NOT_FOUND);
	check_int(resend_failed(&all)->resent, ==, 0);
	check_int(rig_sql("SELECT count(*) FROM delivery_due"), ==, 0);
	check_int(of(id, "state"), ==, DELIVERY_EXHAUSTED);
}

static void
a_try_under_way_is_in_the_way_of_a_resend_until_its_lease_is_over(void)
{
	char id[UUID_TEXT];

	fresh();
	plant(id, 0, "http://one", TYPE_SYNC, DELIVERY_RETRYING);
	rig_sql("UPDATE delivery_due SET claim = 7, due_at = now() + interval '30 seconds'");
	check_int(resend(dev, id), ==, SL_CONFLICT);
	check_int(of(id, "base"), ==, 0);
	check_int(of(id, "(u.due_at > now())::int"), ==, 1);
	rig_sql("UPDATE delivery_due SET due_at = now() - interval '1 second'");
	check_int(resend(dev, id), ==, SL_OK);
	check_is_due(id, 8);
	check_int(of(id, "claim"), ==, 8); /* what the lost one says now is refused */
	check_int(resend(dev, id), ==, SL_OK);
	check_int(of(id, "claim"), ==, 8);
}

static void
a_resend_comes_behind_what_the_deliverer_records_meanwhile(void)
{
	struct answer answer = {0};
	char id[UUID_TEXT];

	fresh();
	plant(id, 0, "http://one", TYPE_SYNC, DELIVERY_RETRYING);
	rig_sql("UPDATE delivery_due SET claim = 7, due_at = now() - interval '1 second'");
	rig_sql("BEGIN");
	sql("DELETE FROM delivery_due WHERE delivery_id = '%s' AND claim = 7", id);
	delivery_resend(store, dev, id, on_done, &answer);
	rig_until(rig_sql("SELECT count(*) FROM pg_locks WHERE NOT granted") == 1);
	check_int(answer.calls, ==, 0);
	sql("UPDATE delivery SET state = 3, tries = 9, ended_at = now() WHERE id = '%s'", id);
	rig_sql("COMMIT");
	check_int(wait_for(&answer), ==, SL_OK);
	check_is_due(id, 9);
	check_int(of(id, "state"), ==, DELIVERY_RETRYING);
}

static void
all_that_failed_since_then_are_resent_oldest_first_up_to_a_limit(void)
{
	struct delivery_resend_filter filter = {
	    .environment_id = dev, .since_ms = T0 + 1000, .before_ms = T0 + 6000, .limit = 2};
	char ids[7][UUID_TEXT], foreign[UUID_TEXT], fine[UUID_TEXT];
	const struct answer *done;

	fresh();
	for (int i = 0; i < 7; i++)
		plant(ids[i], i * 1000, "http://one", TYPE_SYNC, DELIVERY_EXHAUSTED);
	plant(foreign, 3000, "http://three", TYPE_SYNC, DELIVERY_EXHAUSTED);
	plant(fine, 3000, "http://one", TYPE_SYNC, DELIVERY_DELIVERED);
	done = resend_failed(&filter);
	check(done->resent == 2 && done->more);
	check_is_due(ids[1], 8);
	check_is_due(ids[2], 8);
	check_int(of(ids[3], "state"), ==, DELIVERY_EXHAUSTED);
	filter.limit = 10;
	done = resend_failed(&filter);
	check(done->resent == 3 && !done->more);
	check_is_due(ids[5], 8);
	check_int(of(ids[0], "state"), ==, DELIVERY_EXHAUSTED);
	check_int(of(ids[6], "state"), ==, DELIVERY_EXHAUSTED);
	check_int(of(foreign, "state"), ==, DELIVERY_EXHAUSTED);
	check_int(of(fine, "state"), ==, DELIVERY_DELIVERED);
	check_int(rig_sql("SELECT count(*) FROM delivery_due"), ==, 5);
}

static void
what_is_resent_can_be_narrowed_to_an_endpoint_and_a_type(void)
{
	char two[UUID_TEXT], a[UUID_TEXT], b[UUID_TEXT], c[UUID_TEXT];
	struct delivery_resend_filter filter = {
	    .environment_id = dev, .endpoint = two, .type = TYPE_ACTION, .limit = 10};

	fresh();
	endpoint_of(two, "http://two");
	plant(a, 0, "http://one", TYPE_ACTION, DELIVERY_EXHAUSTED);
	plant(b, 1, "http://two", TYPE_ACTION, DELIVERY_EXHAUSTED);
	plant(c, 2, "http://two", TYPE_SYNC, DELIVERY_EXHAUSTED);
	check_int(resend_failed(&filter)->resent, ==, 1);
	check_is_due(b, 8);
	filter.endpoint = NULL;
	check_int(resend_failed(&filter)->resent, ==, 1);
	check_is_due(a, 8);
	filter.type = 0;
	check_int(resend_failed(&filter)->resent, ==, 1);
	check_is_due(c, 8);
}

static void
many_that_failed_are_found_behind_many_that_did_not(void)
{
	struct delivery_resend_filter filter = {
	    .environment_id = dev, .since_ms = T0, .limit = 2500};
	const struct answer *done;

	fresh();
	sql("WITH n AS (SELECT n, gen_random_uuid() AS event FROM generate_series(1, 24000) n),"
	    " o AS (INSERT INTO outbox (id, environment_id, connection_id, type, body)"
	    "  SELECT event, %lld, 1, 1, '{}' FROM n)"
	    " INSERT INTO delivery (id, event_id, endpoint_id, environment_id, type, state, tries)"
	    " SELECT (lpad(to_hex(%lld + n), 12, '0') || '7' || repeat('0', 19))::uuid, event,"
	    " (SELECT id FROM endpoint WHERE url = 'http://one'), %lld, 1,"
	    " CASE WHEN n > 21000 THEN 4 ELSE 3 END, 8 FROM n",
	    dev, (long long)T0, dev);
	done = resend_failed(&filter);
	check(done->resent == 2500 && done->more);
	check_int(
	    rig_sql("SELECT count(*) FROM delivery_due u JOIN delivery d ON d.id = u.delivery_id"
		    " WHERE d.state = 2 AND d.base = 8"),
	    ==, 2500);
	done = resend_failed(&filter);
	check(done->resent == 500 && !done->more);
	check_int(rig_sql("SELECT count(*) FROM delivery WHERE state = 4"), ==, 0);
}

/* ---- endpoints ------------------------------------------------------------------------------ */

static void
endpoints_come_in_pages_each_with_its_state_and_what_is_pending(void)
{
	struct answer page = {0}, next = {0};
	char a[UUID_TEXT], b[UUID_TEXT], c[UUID_TEXT];

	fresh();
	plant(a, 5000, "http://one", TYPE_SYNC, DELIVERY_PENDING);
	plant(b, 3000, "http://one", TYPE_SYNC, DELIVERY_RETRYING);
	plant(c, 1000, "http://one", TYPE_SYNC, DELIVERY_DELIVERED);
	rig_sql("UPDATE endpoint SET failing_since = now(), failures = 6,"
		" open_until = now() + interval '50 seconds' WHERE url = 'http://two'");
	endpoint_list(store, 0, 0, 2, on_endpoints, &page);
	check_int(wait_for(&page), ==, SL_OK);
	check_int(page.count, ==, 2);
	check_int(page.endpoints[0].slot, ==, ENDPOINT_PRIMARY);
	check_int(page.endpoints[0].state, ==, ENDPOINT_ACTIVE);
	check_int(page.endpoints[0].pending, ==, 2);
	check_int(page.endpoints[0].oldest_ms, ==, T0 + 3000);
	check_int(page.endpoints[1].slot, ==, ENDPOINT_SECONDARY);
	check_int(page.endpoints[1].state, ==, ENDPOINT_OPEN);
	check_int(page.endpoints[1].failures, ==, 6);
	check_int(page.endpoints[1].retry_ms, >, clock_wall_ms());
	check_int(page.endpoints[1].pending, ==, 0);
	check_int(page.endpoints[1].oldest_ms, ==, 0);
	endpoint_list(store, 0, page.next_id, 2, on_endpoints, &next);
	check_int(wait_for(&next), ==, SL_OK);
	check_int(next.count, ==, 1);
	check_int(next.next_id, ==, 0);
	next = (struct answer){0};
	endpoint_list(store, prod, 0, 2, on_endpoints, &next);
	check_int(wait_for(&next), ==, SL_OK);
	check_int(next.count, ==, 1);
}

static void
what_is_pending_is_counted_up_to_a_limit(void)
{
	char uuid[UUID_TEXT];

	fresh();
	endpoint_of(uuid, "http://one");
	sql("INSERT INTO delivery_due (delivery_id, endpoint_id, due_at)"
	    " SELECT new_event_id(), (SELECT id FROM endpoint WHERE url = 'http://one'), now()"
	    " FROM generate_series(1, %d)",
	    ENDPOINT_PENDING_MAX + 50);
	check_int(endpoint(dev, uuid)->endpoints[0].pending, ==, ENDPOINT_PENDING_MAX + 1);
	check_int(endpoint(dev, uuid)->endpoints[0].oldest_ms, >, clock_wall_ms() - 60000);
}

/* The statistics of lanes say little of one that is much longer than others. */
static void
counting_what_is_pending_reads_so_much_however_long_a_lane_is(void)
{
	char uuid[UUID_TEXT];
	long long before;

	fresh();
	endpoint_of(uuid, "http://one");
	sql("INSERT INTO delivery_due (delivery_id, endpoint_id, due_at)"
	    " SELECT gen_random_uuid(), CASE WHEN n > 3000 THEN (SELECT id FROM endpoint WHERE url ="
	    " 'http://one') ELSE -(n %% 30) END, now() FROM generate_series(1, %d) n",
	    6 * ENDPOINT_PENDING_MAX);
	rig_sql("ANALYZE delivery_due");
	before = rig_rows_read(true);
	rig_until(dead_store_is_up(store));
	check_int(endpoint(dev, uuid)->endpoints[0].pending, ==, ENDPOINT_PENDING_MAX + 1);
	check_int(rig_rows_read(true) - before, <, 2 * ENDPOINT_PENDING_MAX);
	rig_until(dead_store_is_up(store));
}

static void
an_endpoint_is_in_the_first_state_that_fits(void)
{
	static const struct {
		const char *set;
		enum endpoint_state state;
	} cases[] = {
	    {"failing_since = NULL", ENDPOINT_ACTIVE},
	    {"failing_since = now()", ENDPOINT_FAILING},
	    {"open_until = now() - interval '1 second'", ENDPOINT_FAILING},
	    {"open_until = now() + interval '1 minute'", ENDPOINT_OPEN},
	    {"url = ''", ENDPOINT_UNSET},
	    {"paused_at = now(), pause_cause = 2", ENDPOINT_PAUSED},
	};
	char uuid[UUID_TEXT];

	fresh();
	endpoint_of(uuid, "http://one");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		sql("UPDATE endpoint SET %s WHERE uuid = '%s'", cases[i].set, uuid);
		check_int(endpoint(dev, uuid)->endpoints[0].state, ==, cases[i].state);
		check((endpoint(dev, uuid)->endpoints[0].retry_ms > 0) ==
		      (cases[i].state == ENDPOINT_OPEN));
	}
}

static void
a_pause_stays_as_it_is_and_a_resume_forgets_all_trouble(void)
{
	const struct answer *it;
	char uuid[UUID_TEXT];

	fresh();
	endpoint_of(uuid, "http://one");
	check_int(steer(prod, uuid, true)->code, ==, SL_NOT_FOUND);
	check_int(endpoint(prod, uuid)->code, ==, SL_NOT_FOUND);
	it = steer(dev, uuid, true);
	check_int(it->code, ==, SL_OK);
	check_int(it->endpoints[0].state, ==, ENDPOINT_PAUSED);
	check_int(it->endpoints[0].pause, ==, ENDPOINT_PAUSE_OPERATOR);
	check_text(it->text, "dev|http://one");
	sql("UPDATE endpoint SET paused_at = timestamptz 'epoch' + interval '5 ms', pause_cause = 3,"
	    " failing_since = now(), failures = 9, open_until = now() + interval '1 minute'"
	    " WHERE uuid = '%s'",
	    uuid);
	it = steer(0, uuid, true);
	check_int(it->endpoints[0].pause, ==, ENDPOINT_PAUSE_FAILING);
	check_int(it->endpoints[0].paused_ms, ==, 5);
	it = steer(dev, uuid, false);
	check_int(it->endpoints[0].state, ==, ENDPOINT_ACTIVE);
	check_int(it->endpoints[0].paused_ms, ==, 0);
	check_int(it->endpoints[0].failing_ms, ==, 0);
	check_int(it->endpoints[0].failures, ==, 0);
	check_int(sql("SELECT count(open_until) FROM endpoint WHERE uuid = '%s'", uuid), ==, 0);
	check_int(rig_sql("SELECT count(*) FROM endpoint WHERE paused_at IS NOT NULL"), ==, 0);
}

int
main(void)
{
	struct pg_settings settings = {0};

	rig_start();
	rig_migrate();
	prepare();
	settings.conninfo = rig_conninfo;
	settings.name = "sluiced dead";
	store = dead_store_new(rig_loop, &settings);
	rig_until(dead_store_is_up(store));
	CHECK_RUN(a_page_is_newest_first_and_the_next_goes_on_behind_it_while_rows_are_added);
	CHECK_RUN(a_row_says_what_when_where_and_for_whom);
	CHECK_RUN(each_filter_holds_alone_and_with_the_others);
	CHECK_RUN(a_page_looks_at_so_many_rows_and_says_where_it_stopped);
	CHECK_RUN(a_delivery_is_shown_with_its_body_and_every_try_in_order);
	CHECK_RUN(of_very_many_tries_the_newest_are_shown);
	CHECK_RUN(a_resent_delivery_is_due_now_and_begins_its_schedule_anew);
	CHECK_RUN(what_another_environment_has_or_retention_took_is_not_resent);
	CHECK_RUN(a_try_under_way_is_in_the_way_of_a_resend_until_its_lease_is_over);
	CHECK_RUN(a_resend_comes_behind_what_the_deliverer_records_meanwhile);
	CHECK_RUN(all_that_failed_since_then_are_resent_oldest_first_up_to_a_limit);
	CHECK_RUN(what_is_resent_can_be_narrowed_to_an_endpoint_and_a_type);
	CHECK_RUN(many_that_failed_are_found_behind_many_that_did_not);
	CHECK_RUN(endpoints_come_in_pages_each_with_its_state_and_what_is_pending);
	CHECK_RUN(what_is_pending_is_counted_up_to_a_limit);
	CHECK_RUN(counting_what_is_pending_reads_so_much_however_long_a_lane_is);
	CHECK_RUN(an_endpoint_is_in_the_first_state_that_fits);
	CHECK_RUN(a_pause_stays_as_it_is_and_a_resume_forgets_all_trouble);
	dead_store_free(store);
	rig_turns(20);
	rig_stop();
	return check_done();
}
