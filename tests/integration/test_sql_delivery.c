#include <stdarg.h>

#include "base/secret.h"
#include "sql/delivery.h"
#include "sql/reclaim.h"
#include "tests/integration/sync_rig.h"

#define DAY_MS (24 * 3600 * INT64_C(1000))
#define ROWS_MAX 600

/* What a claim gave; its texts are copied. */
struct taken {
	struct delivery_claimed rows[ROWS_MAX];
	char url[ROWS_MAX][64], body[ROWS_MAX][64];
	int count;
	int64_t last;
};

struct told { /* of a record */
	int calls;
	enum sl_code code;
	bool paused;
};

static struct delivery_store *one, *two;
static struct reclaim *reclaim;
static struct taken a, b;
static struct delivery_survey seen;
static int64_t number;

static long long sql(const char *format, ...) __attribute__((format(printf, 1, 2)));

static long long
sql(const char *format, ...)
{
	char text[1000];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return rig_sql(text);
}

static void
on_claimed(void *arg, enum sl_code code, const struct delivery_claimed *rows, int count,
	   int64_t last, const struct sl_error *error)
{
	struct taken *taken = arg;

	check_int(count, <=, ROWS_MAX);
	for (int i = 0; i < count; i++) {
		taken->rows[i] = rows[i];
		snprintf(taken->url[i], sizeof(taken->url[i]), "%s", rows[i].url);
		snprintf(taken->body[i], sizeof(taken->body[i]), "%s", rows[i].body);
	}
	taken->count = count;
	taken->last = last;
	rig_answered(code, error);
}

static void
on_recorded(void *arg, enum sl_code code, bool paused, const struct sl_error *error)
{
	struct told *told = arg;

	check((code == SL_OK) == (error == NULL));
	told->calls++;
	told->code = code;
	told->paused = paused;
}

static void
on_survey(void *arg, enum sl_code code, const struct delivery_survey *survey,
	  const struct sl_error *error)
{
	(void)arg;
	if (survey != NULL)
		seen = *survey;
	rig_answered(code, error);
}

static void
on_number(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	(void)arg;
	number = value;
	rig_answered(code, error);
}

static void
fresh(void)
{
	rig_sql("TRUNCATE outbox, delivery, delivery_due, delivery_try, endpoint RESTART IDENTITY;"
		" UPDATE environment SET webhook_events = 61, signing_key = 'sealed',"
		" signing_key_before = '', signing_key_at = NULL;"
		" UPDATE connection SET webhook_url_override = ''");
}

static int64_t
endpoint(int slot, const char *url)
{
	return sql("INSERT INTO endpoint (environment_id, slot, url) VALUES (1, %d, '%s')"
		   " RETURNING id",
		   slot, url);
}

/* An endpoint that a connection of its own names, and events of that. */
static int64_t
own_endpoint(int64_t connection, const char *url)
{
	sql("UPDATE connection SET webhook_url_override = '%s' WHERE id = %lld", url,
	    (long long)connection);
	return sql("SELECT id FROM endpoint WHERE url = '%s'", url);
}

/* Events of a connection, by a statement that knows no outcome, as an earlier release writes them. */
static void
tell(int64_t connection, int events)
{
	sql("INSERT INTO outbox (id, environment_id, connection_id, job_id, type, body)"
	    " SELECT new_event_id(), 1, %lld, gen_random_uuid(), 1, '{\"n\":' || i || '}'"
	    " FROM generate_series(1, %d) i",
	    (long long)connection, events);
}

/* For the endpoint i + 1 of a fresh database, when called for 0, 1, ... */
static void
own_events(int i, int events)
{
	char url[20];

	snprintf(url, sizeof(url), "http://h%d", i);
	check_int(own_endpoint(rig_connection, url), ==, i + 1);
	tell(rig_connection, events);
}

static const struct delivery_ask all = {.room = 256, .fresh_room = 256, .lease_ms = 60000};

static int
claim(struct delivery_store *store, const struct delivery_ask *ask, struct taken *taken)
{
	CALL(SL_OK, delivery_claim(store, ask, on_claimed, taken));
	return taken->count;
}

static int
of_endpoint(const struct taken *taken, int64_t id)
{
	int count = 0;

	for (int i = 0; i < taken->count; i++)
		count += taken->rows[i].endpoint_id == id;
	return count;
}

static struct delivery_tried
tried_of(const struct taken *taken, int at, enum delivery_outcome outcome)
{
	const struct delivery_claimed *row = &taken->rows[at];
	struct delivery_tried tried = {
	    .claim = row->claim,
	    .endpoint_id = row->endpoint_id,
	    .number = row->number,
	    .at_ms = 1700000000123,
	    .took_ms = 45,
	    .url = taken->url[at],
	    .status = outcome == DELIVERY_OK ? 200 : 500,
	    .failure = outcome == DELIVERY_OK ? "" : "http_status",
	    .detail = "",
	    .headers = "{}",
	    .outcome = outcome,
	    .delay_ms = 5000,
	};

	memcpy(tried.id, row->id, sizeof(tried.id));
	return tried;
}

static void
record(struct delivery_store *store, const struct delivery_tried *tried, struct told *told)
{
	*told = (struct told){0};
	delivery_record(store, "node", tried, 5 * DAY_MS, on_recorded, told);
}

static enum sl_code
record_one(struct delivery_store *store, const struct delivery_tried *tried, bool *paused)
{
	struct told told;

	record(store, tried, &told);
	rig_until(told.calls > 0);
	check_int(told.calls, ==, 1);
	if (paused != NULL)
		*paused = told.paused;
	return told.code;
}

static enum sl_code
outcome(const struct taken *taken, int at, enum delivery_outcome outcome)
{
	struct delivery_tried tried = tried_of(taken, at, outcome);

	return record_one(one, &tried, NULL);
}

static void
all_due(void)
{
	rig_sql("UPDATE delivery_due SET due_at = now() - interval '1 second'");
}

/* ---- who is told ---------------------------------------------------------------------------- */

static void
an_event_has_a_delivery_for_each_url_of_its_environment(void)
{
	int64_t first, second;

	fresh();
	first = endpoint(ENDPOINT_PRIMARY, "http://one");
	second = endpoint(ENDPOINT_SECONDARY, "http://two");
	tell(rig_connection, 3);
	check_int(
	    sql("SELECT count(*) FROM delivery v JOIN outbox o ON o.id = v.event_id"
		" JOIN delivery_due d ON d.delivery_id = v.id AND d.endpoint_id = v.endpoint_id"
		" WHERE v.job_id = o.job_id AND v.environment_id = 1 AND v.type = 1"
		" AND v.state = 1 AND v.tries = 0 AND v.xmin = o.xmin AND d.due_at <= now()"
		" AND substr(v.id::text, 15, 1) = '7'"),
	    ==, 6);
	check_int(claim(one, &all, &a), ==, 6);
	check_int(of_endpoint(&a, first), ==, 3);
	check_int(of_endpoint(&a, second), ==, 3);
}

static void
a_url_that_is_empty_is_told_nothing(void)
{
	fresh();
	endpoint(ENDPOINT_PRIMARY, "");
	tell(rig_connection, 1);
	check_int(sql("SELECT count(*) FROM delivery"), ==, 0);
	endpoint(ENDPOINT_SECONDARY, "http://two");
	tell(rig_connection, 1);
	check_int(sql("SELECT count(*) FROM delivery"), ==, 1);
	check_int(sql("SELECT count(*) FROM outbox"), ==, 2);
}

static void
the_url_of_a_connection_replaces_both(void)
{
	int64_t own;

	fresh();
	endpoint(ENDPOINT_PRIMARY, "http://one");
	endpoint(ENDPOINT_SECONDARY, "http://two");
	own = own_endpoint(rig_second, "http://own");
	check_int(own_endpoint(rig_foreign, "http://own"), ==, own); /* one row for both */
	tell(rig_second, 1);
	tell(rig_foreign, 1);
	check_int(sql("SELECT count(*) FROM delivery"), ==, 2);
	check_int(claim(one, &all, &a), ==, 2);
	check_int(of_endpoint(&a, own), ==, 2);
	tell(rig_connection, 1);
	check_int(claim(one, &all, &a), ==, 2);
	check_int(of_endpoint(&a, own), ==, 0);
}

static void
what_the_environment_does_not_want_is_not_delivered(void)
{
	static const struct {
		int type, outcome, bit;
	} kinds[] = {
	    {1, 0, 1}, {1, 1, 1}, {1, 2, 2},  {1, 3, 4},
	    {2, 0, 8}, {2, 3, 8}, {3, 1, 16}, {3, 3, 32},
	};

	fresh();
	endpoint(ENDPOINT_PRIMARY, "http://one");
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		for (int bit = 1; bit <= 32; bit *= 2) {
			sql("TRUNCATE delivery; UPDATE environment SET webhook_events = %d", bit);
			sql("INSERT INTO outbox (id, environment_id, connection_id, job_id, type,"
			    " outcome, body) VALUES (new_event_id(), 1, 1, NULL, %d, %d, '{}')",
			    kinds[i].type, kinds[i].outcome);
			check_int(sql("SELECT count(*) FROM delivery"), ==, bit == kinds[i].bit);
		}
	}
}

/* ---- claims --------------------------------------------------------------------------------- */

static void
a_claim_says_all_that_a_try_needs(void)
{
	fresh();
	sql("UPDATE environment SET signing_key_before = 'before',"
	    " signing_key_at = now() - interval '1 hour'");
	endpoint(ENDPOINT_PRIMARY, "http://one");
	tell(rig_connection, 1);
	sql("UPDATE delivery_due SET due_at = now() - interval '10 seconds'");
	sql("UPDATE delivery SET tries = 5, base = 3");
	check_int(claim(one, &all, &a), ==, 1);
	check_int(sql("SELECT count(*) FROM delivery WHERE id = '%s' AND event_id = '%s'",
		      a.rows[0].id, a.rows[0].event_id),
		  ==, 1);
	check_text(a.url[0], "http://one");
	check_text(a.body[0], "{\"n\":1}");
	check_int(a.rows[0].claim, ==, 1);
	check_int(a.rows[0].endpoint_id, ==, 1);
	check_int(sql("SELECT id FROM endpoint WHERE uuid = '%s'", a.rows[0].endpoint_uuid), ==, 1);
	check_int(a.last, ==, 1);
	check_int(a.rows[0].environment_id, ==, 1);
	check_int(a.rows[0].number, ==, 6);
	check_int(a.rows[0].round, ==, 3);
	check_int(a.rows[0].signing_key_age_ms, >=, 3600 * 1000);
	check_int(a.rows[0].late_ms, >=, 10000);
	check_int(a.rows[0].late_ms, <, 60000);
	check(!a.rows[0].failing);
	sql("UPDATE environment SET signing_key_at = NULL");
	all_due();
	check_int(claim(one, &all, &a), ==, 1);
	check_int(a.rows[0].signing_key_age_ms, ==, -1);
}

/* The first claim stands still in the middle: it may not write the one delivery that it would end. */
static void
two_nodes_claim_different_rows(void)
{
	const struct delivery_ask some = {.room = 60, .fresh_room = 60, .lease_ms = 60000};
	bool same = false;

	fresh();
	endpoint(ENDPOINT_PRIMARY, "http://one");
	tell(rig_connection, 100);
	rig_sql("UPDATE delivery_due SET due_at = due_at - interval '1 min' WHERE delivery_id ="
		" (SELECT v.id FROM delivery v JOIN outbox o ON o.id = v.event_id"
		"  WHERE body = '{\"n\":7}'); DELETE FROM outbox WHERE body = '{\"n\":7}'");
	rig_sql("BEGIN; SELECT FROM delivery FOR UPDATE");
	a.count = -1;
	delivery_claim(one, &some, on_claimed, &a);
	rig_turns(100);
	check_int(a.count, ==, -1);
	check_int(claim(two, &some, &b), ==, 40);
	rig_sql("ROLLBACK");
	rig_until(a.count >= 0);
	check_int(a.count, ==, 59);
	for (int i = 0; i < a.count; i++)
		for (int j = 0; j < b.count; j++)
			same = same || strcmp(a.rows[i].id, b.rows[j].id) == 0;
	check(!same);
	check_int(sql("SELECT count(*) FROM delivery_due WHERE claim = 1"), ==, 99);
}

/* A row that the other node has just locked is not waited for. */
static void
a_claim_waits_for_no_lock(void)
{
	fresh();
	endpoint(ENDPOINT_PRIMARY, "http://one");
	tell(rig_connection, 3);
	rig_sql("BEGIN; SELECT FROM delivery_due ORDER BY delivery_id LIMIT 1 FOR UPDATE");
	check_int(claim(one, &all, &a), ==, 2);
	rig_sql("ROLLBACK");
	check_int(claim(one, &all, &a), ==, 1);
	rig_sql("UPDATE delivery_due SET due_at = now();"
		" UPDATE endpoint SET open_until = now(), failures = 5, failing_since = now()");
	rig_sql("BEGIN; SELECT FROM endpoint FOR UPDATE");
	check_int(claim(one, &all, &a), ==, 0); /* somebody else probes it */
	rig_sql("ROLLBACK");
	check_int(claim(one, &all, &a), ==, 1);
}

static void
endpoints_take_turns(void)
{
	struct delivery_ask ask = {.room = 2, .fresh_room = 1, .lease_ms = 60000};

	fresh();
	for (int i = 0; i < 3; i++)
		own_events(i, 10);
	check_int(claim(one, &ask, &a), ==, 2);
	check_int(a.rows[0].endpoint_id, ==, 1);
	check_int(a.rows[1].endpoint_id, ==, 2);
	check_int(a.last, ==, 2);
	ask.after = a.last;
	check_int(claim(one, &ask, &a), ==, 2);
	check_int(a.rows[0].endpoint_id, ==, 3);
	check_int(a.rows[1].endpoint_id, ==, 1);
	ask.room = 10; /* once round, not twice */
	ask.after = a.last;
	check_int(claim(one, &ask, &a), ==, 3);
	ask.after = 1000;
	check_int(claim(one, &ask, &a), ==, 3);
	check_int(a.last, ==, 3);
	rig_sql("UPDATE delivery_due SET due_at = now() + interval '1 minute'");
	ask.after = 77;
	check_int(claim(one, &ask, &a), ==, 0);
	check_int(a.last, ==, 77);
}

static void
what_is_due_longest_goes_first(void)
{
	fresh();
	endpoint(ENDPOINT_PRIMARY, "http://one");
	tell(rig_connection, 5);
	rig_sql(
	    "UPDATE delivery_due d SET due_at = now() - interval '1 hour' FROM delivery v, outbox o"
	    " WHERE v.id = d.delivery_id AND o.id = v.event_id AND o.body = '{\"n\":4}'");
	check_int(
	    claim(one, &(struct delivery_ask){.room = 1, .fresh_room = 9, .lease_ms = 60000}, &a),
	    ==, 1);
	check_text(a.body[0], "{\"n\":4}");
}

static void
a_lane_gives_no_more_than_its_room(void)
{
	struct delivery_lane lanes[] = {{3, 4}, {1, 0}};
	struct delivery_ask ask = {
	    .room = 100, .fresh_room = 1, .lanes = lanes, .lane_count = 2, .lease_ms = 60000};

	fresh();
	for (int i = 0; i < 4; i++)
		own_events(i, 10);
	check_int(claim(one, &ask, &a), ==, 6);
	check_int(of_endpoint(&a, 1), ==, 0);
	check_int(of_endpoint(&a, 2), ==, 1);
	check_int(of_endpoint(&a, 3), ==, 4);
	check_int(of_endpoint(&a, 4), ==, 1);
	ask.fresh_room = 0;
	lanes[1].room = 2;
	check_int(claim(one, &ask, &a), ==, 6);
	check_int(of_endpoint(&a, 1), ==, 2);
	check_int(of_endpoint(&a, 3), ==, 4);
	check_int(a.rows[0].endpoint_id, ==, 1);
	ask.after = 1;
	check_int(claim(one, &ask, &a), ==, 4); /* 2 of the third are left */
	check_int(a.rows[0].endpoint_id, ==, 3);
	check_int(a.last, ==, 1);
	ask.lane_count = 0;
	check_int(claim(one, &ask, &a), ==, 0);
}

static void
the_bytes_of_a_claim_are_limited_but_the_first_row_goes(void)
{
	struct delivery_ask ask = {.room = 100, .fresh_room = 100, .lease_ms = 60000};

	fresh();
	endpoint(ENDPOINT_PRIMARY, "http://one");
	tell(rig_connection, 9); /* of 7 bytes */
	ask.bytes = 3;
	check_int(claim(one, &ask, &a), ==, 1);
	ask.bytes = 21;
	check_int(claim(one, &ask, &a), ==, 3);
	ask.bytes = 27;
	check_int(claim(one, &ask, &a), ==, 3);
	ask.bytes = 0;
	check_int(claim(one, &ask, &a), ==, 2);
}

static void
what_is_paused_open_or_without_a_url_waits(void)
{
	fresh();
	endpoint(ENDPOINT_PRIMARY, "http://one");
	tell(rig_connection, 1);
	rig_sql("UPDATE endpoint SET paused_at = now(), pause_cause = 1");
	check_int(claim(one, &all, &a), ==, 0);
	rig_sql("UPDATE endpoint SET paused_at = NULL, open_until = now() + interval '1 minute'");
	check_int(claim(one, &all, &a), ==, 0);
	rig_sql("UPDATE endpoint SET open_until = NULL, url = ''");
	check_int(claim(one, &all, &a), ==, 0);
	rig_sql("UPDATE endpoint SET url = 'http://new', failures = 1, failing_since = now()");
	check_int(claim(one, &all, &a), ==, 1);
	check_text(a.url[0], "http://new");
	check(a.rows[0].failing);
}

static void
a_breaker_that_has_passed_lets_one_probe_through_in_the_fleet(void)
{
	struct delivery_tried tried;

	fresh();
	endpoint(ENDPOINT_PRIMARY, "http://one");
	tell(rig_connection, 5);
	rig_sql("UPDATE endpoint SET open_until = now(), failures = 5, failing_since = now()");
	check_int(claim(one, &all, &a), ==, 1);
	check_int(claim(two, &all, &b), ==, 0);
	check_int(sql("SELECT count(*) FROM endpoint WHERE open_until > now() + interval '50 s'"),
		  ==, 1);
	tried = tried_of(&a, 0, DELIVERY_AGAIN);
	tried.open_ms = 3600000;
	check_int(record_one(one, &tried, NULL), ==, SL_OK);
	check_int(claim(two, &all, &b), ==, 0);
	check_int(sql("SELECT count(*) FROM endpoint WHERE open_until > now() + interval '59 min'"
		      " AND failures = 6"),
		  ==, 1);
	rig_sql("UPDATE endpoint SET open_until = now()");
	check_int(claim(two, &all, &a), ==, 1);
	tried = tried_of(&a, 0, DELIVERY_OK);
	check_int(record_one(two, &tried, NULL), ==, SL_OK);
	check_int(claim(one, &all, &a), ==, 3);
	check(!a.rows[0].failing);
}

static void
a_claim_whose_lease_is_over_is_due_again_and_its_record_is_refused(void)
{
	fresh();
	endpoint(ENDPOINT_PRIMARY, "http://one");
	tell(rig_connection, 1);
	check_int(claim(one, &(struct delivery_ask){.room = 9, .fresh_room = 9, .lease_ms = 1}, &a),
		  ==, 1);
	rig_turns(5);
	check_int(claim(two, &all, &b), ==, 1);
	check_text(a.rows[0].id, b.rows[0].id);
	check_int(b.rows[0].claim, >, a.rows[0].claim);
	check_int(b.rows[0].number, ==, 1); /* nobody said that the first try was made */
	check_int(outcome(&a, 0, DELIVERY_AGAIN), ==, SL_CONFLICT);
	check_int(sql("SELECT count(*) FROM delivery_try"), ==, 0);
	check_int(sql("SELECT count(*) FROM endpoint WHERE failures > 0"), ==, 0);
	check_int(outcome(&b, 0, DELIVERY_OK), ==, SL_OK);
	check_int(outcome(&b, 0, DELIVERY_OK), ==, SL_CONFLICT);
	check_int(outcome(&a, 0, DELIVERY_OK), ==, SL_CONFLICT);
	check_int(sql("SELECT count(*) FROM delivery_try"), ==, 1);
	check_int(claim(one, &all, &a), ==, 0);
}

static void
a_delivery_whose_event_is_gone_ends(void)
{
	fresh();
	endpoint(ENDPOINT_PRIMARY, "http://one");
	tell(rig_connection, 3);
	rig_sql("DELETE FROM outbox WHERE body = '{\"n\":1}';"
		" DELETE FROM delivery WHERE id = (SELECT v.id FROM delivery v JOIN outbox o"
		"  ON o.id = v.event_id WHERE body = '{\"n\":3}')");
	check_int(claim(one, &all, &a), ==, 1);
	check_text(a.body[0], "{\"n\":2}");
	check_int(sql("SELECT count(*) FROM delivery_due"), ==, 1);
	check_int(sql("SELECT count(*) FROM delivery WHERE state = 4 AND ended_at IS NOT NULL"), ==,
		  1);
}

/* ---- records -------------------------------------------------------------------------------- */

static void
a_success_ends_the_delivery_and_is_logged(void)
{
	struct delivery_tried tried;

	fresh();
	endpoint(ENDPOINT_PRIMARY, "http://one");
	tell(rig_connection, 1);
	claim(one, &all, &a);
	tried = tried_of(&a, 0, DELIVERY_OK);
	tried.status = 204;
	tried.headers = "{\"x\":\"y\"}";
	tried.answer = slice_text("thanks");
	tried.cut = true;
	check_int(record_one(one, &tried, NULL), ==, SL_OK);
	check_int(sql("SELECT count(*) FROM delivery WHERE state = 3 AND tries = 1"
		      " AND ended_at IS NOT NULL"),
		  ==, 1);
	check_int(sql("SELECT count(*) FROM delivery_due"), ==, 0);
	check_int(
	    sql("SELECT count(*) FROM delivery_try WHERE delivery_id = '%s' AND number = 1"
		" AND extract(epoch FROM at) = 1700000000.123 AND took_ms = 45 AND node = 'node'"
		" AND url = 'http://one' AND status = 204 AND failure = '' AND detail = ''"
		" AND headers = '{\"x\":\"y\"}' AND answer = 'thanks' AND cut",
		a.rows[0].id),
	    ==, 1);
}

static void
a_failure_is_due_again_and_the_last_one_is_not(void)
{
	fresh();
	endpoint(ENDPOINT_PRIMARY, "http://one");
	tell(rig_connection, 1);
	claim(one, &all, &a);
	check_int(outcome(&a, 0, DELIVERY_AGAIN), ==, SL_OK);
	check_int(sql("SELECT count(*) FROM delivery_due WHERE due_at > now() + interval '4 s'"
		      " AND due_at <= now() + interval '5 s' AND claim = 2"), /* even: it waits */
		  ==, 1);
	check_int(sql("SELECT count(*) FROM delivery WHERE state = 2 AND tries = 1"
		      " AND ended_at IS NULL"),
		  ==, 1);
	check_int(claim(one, &all, &a), ==, 0);
	all_due();
	check_int(claim(one, &all, &a), ==, 1);
	check_int(a.rows[0].number, ==, 2);
	check_int(a.rows[0].claim, ==, 3);
	rig_sql("UPDATE endpoint SET paused_at = now(), pause_cause = 1"); /* meanwhile */
	check_int(outcome(&a, 0, DELIVERY_GIVEN_UP), ==, SL_OK);
	check_int(sql("SELECT count(*) FROM delivery WHERE state = 4 AND tries = 2"
		      " AND ended_at IS NOT NULL"),
		  ==, 1);
	check_int(sql("SELECT count(*) FROM delivery_due"), ==, 0);
	check_int(sql("SELECT count(*) FROM endpoint WHERE pause_cause = 1 AND failures = 2"), ==,
		  1);
}

/* What the API does to a delivery that is sent again: the schedule begins anew, the numbers go on. */
static void
a_delivery_that_is_resent_goes_on_counting_but_begins_its_rounds_anew(void)
{
	fresh();
	endpoint(ENDPOINT_PRIMARY, "http://one");
	tell(rig_connection, 1);
	claim(one, &all, &a);
	check_int(outcome(&a, 0, DELIVERY_GIVEN_UP), ==, SL_OK);
	rig_sql("INSERT INTO delivery_due (delivery_id, endpoint_id, due_at) SELECT id, 1, now()"
		" FROM delivery; UPDATE delivery SET state = 2, base = tries, ended_at = NULL");
	check_int(claim(one, &all, &a), ==, 1);
	check_int(a.rows[0].number, ==, 2);
	check_int(a.rows[0].round, ==, 1);
	check_int(outcome(&a, 0, DELIVERY_OK), ==, SL_OK);
	check_int(sql("SELECT count(*) FROM delivery WHERE state = 3 AND tries = 2"), ==, 1);
}

/* The first record is under way while the others come in. */
static void
records_gather_and_go_in_one_transaction(void)
{
	struct told told[40];

	fresh();
	endpoint(ENDPOINT_PRIMARY, "http://one");
	tell(rig_connection, 40);
	check_int(claim(one, &all, &a), ==, 40);
	rig_sql("BEGIN; LOCK TABLE delivery_try IN EXCLUSIVE MODE");
	for (int i = 0; i < 40; i++) {
		struct delivery_tried tried = tried_of(&a, i, i % 2 ? DELIVERY_AGAIN : DELIVERY_OK);

		tried.delay_ms = (i + 1) * 60000;
		if (i == 20)
			tried.claim += 2; /* not ours any more */
		record(one, &tried, &told[i]);
		if (i == 0)
			rig_turns(50);
	}
	rig_sql("COMMIT");
	for (int i = 0; i < 40; i++) {
		rig_until(told[i].calls > 0);
		check_int(told[i].calls, ==, 1);
		check_int(told[i].code, ==, i == 20 ? SL_CONFLICT : SL_OK);
	}
	check_int(sql("SELECT count(*) FROM delivery_try"), ==, 39);
	check_int(sql("SELECT count(DISTINCT xmin::text) FROM delivery_try"), ==, 2);
	check_int(sql("SELECT count(*) FROM delivery_due"), ==, 21);
	for (int i = 1; i < 40; i += 2)
		check_int(
		    sql("SELECT count(*) FROM delivery_due WHERE delivery_id = '%s'"
			" AND due_at BETWEEN now() + interval '%d s' AND now() + interval '%d s'",
			a.rows[i].id, i * 60 + 30, i * 60 + 60),
		    ==, 1);
}

static void
bytes_that_are_no_text_do_not_fail_the_others(void)
{
	struct delivery_tried bad, good;
	struct told told[2];

	fresh();
	endpoint(ENDPOINT_PRIMARY, "http://one");
	tell(rig_connection, 2);
	claim(one, &all, &a);
	bad = tried_of(&a, 0, DELIVERY_AGAIN);
	bad.failure = "\xc3(";
	bad.detail = "a\xff\xfe z\xed\xa0\x80";
	bad.headers = "{\"x\":\"\x80\\u0000\"}";
	bad.answer = (struct slice){"\0\xff\0", 3};
	bad.status = 1000000;
	bad.took_ms = INT64_MAX;
	bad.delay_ms = INT64_MAX;
	good = tried_of(&a, 1, DELIVERY_OK);
	good.detail = NULL;
	record(one, &bad, &told[0]);
	record(one, &good, &told[1]);
	rig_until(told[0].calls > 0 && told[1].calls > 0);
	check_int(told[0].code, ==, SL_OK);
	check_int(told[1].code, ==, SL_OK);
	check_int(sql("SELECT count(*) FROM delivery_try WHERE failure = U&'\\FFFD('"
		      " AND detail = U&'a\\FFFD\\FFFD z\\FFFD\\FFFD\\FFFD' AND answer = '\\x00ff00'"
		      " AND headers = U&'{\"x\":\"\\FFFD\\\\u0000\"}'"),
		  ==, 1);
}

static void
an_endpoint_that_is_well_is_not_written(void)
{
	long long at;

	fresh();
	endpoint(ENDPOINT_PRIMARY, "http://one");
	at = sql("SELECT xmin::text::bigint FROM endpoint");
	tell(rig_connection, 3);
	claim(one, &all, &a);
	for (int i = 0; i < 3; i++)
		check_int(outcome(&a, i, DELIVERY_OK), ==, SL_OK);
	check_int(sql("SELECT xmin::text::bigint FROM endpoint"), ==, at);
}

static void
failures_are_counted_until_a_success(void)
{
	struct delivery_tried tried;

	fresh();
	endpoint(ENDPOINT_PRIMARY, "http://one");
	tell(rig_connection, 4);
	claim(one, &all, &a);
	check_int(outcome(&a, 0, DELIVERY_AGAIN), ==, SL_OK);
	rig_sql("UPDATE endpoint SET failing_since = now() - interval '1 hour'");
	tried = tried_of(&a, 1, DELIVERY_AGAIN);
	tried.open_ms = 60000;
	check_int(record_one(one, &tried, NULL), ==, SL_OK);
	check_int(sql("SELECT count(*) FROM endpoint WHERE failures = 2 AND paused_at IS NULL"
		      " AND failing_since < now() - interval '59 min'"
		      " AND open_until > now() + interval '55 s'"),
		  ==, 1);
	check_int(outcome(&a, 2, DELIVERY_OK), ==, SL_OK);
	check_int(sql("SELECT count(*) FROM endpoint WHERE failures = 0 AND paused_at IS NULL"
		      " AND failing_since IS NULL AND open_until IS NULL"),
		  ==, 1);
	check_int(outcome(&a, 3, DELIVERY_GIVEN_UP), ==, SL_OK);
	check_int(sql("SELECT count(*) FROM endpoint WHERE failures = 1"
		      " AND failing_since > now() - interval '1 min'"),
		  ==, 1);
}

/* In one transaction what came last decides. */
static void
a_batch_leaves_the_failures_behind_the_last_success(void)
{
	static const char outcomes[] = "0010011"; /* of tries, in their order; 1: failed */
	struct told told[7];

	fresh();
	endpoint(ENDPOINT_PRIMARY, "http://one");
	tell(rig_connection, 7);
	claim(one, &all, &a);
	for (int i = 0; i < 7; i++) {
		struct delivery_tried tried =
		    tried_of(&a, i, outcomes[i] == '1' ? DELIVERY_AGAIN : DELIVERY_OK);

		record(one, &tried, &told[i]);
	}
	for (int i = 0; i < 7; i++)
		rig_until(told[i].calls > 0);
	check_int(sql("SELECT count(DISTINCT xmin::text) FROM delivery_try"), ==, 1);
	check_int(sql("SELECT failures FROM endpoint"), ==, 2);
}

static void
gone_pauses_at_once_and_says_so_once(void)
{
	struct delivery_tried tried[2];
	struct told told[3];

	fresh();
	endpoint(ENDPOINT_PRIMARY, "http://one");
	tell(rig_connection, 3);
	claim(one, &all, &a);
	for (int i = 0; i < 2; i++) {
		tried[i] = tried_of(&a, i, DELIVERY_AGAIN);
		tried[i].gone = true;
		record(one, &tried[i], &told[i]);
	}
	tried[0] = tried_of(&a, 2, DELIVERY_OK);
	record(one, &tried[0], &told[2]);
	for (int i = 0; i < 3; i++)
		rig_until(told[i].calls > 0);
	check_int(told[0].paused + told[1].paused, ==, 1);
	check(!told[2].paused);
	check_int(sql("SELECT pause_cause FROM endpoint WHERE paused_at IS NOT NULL"), ==,
		  ENDPOINT_PAUSE_GONE);
	check_int(sql("SELECT count(*) FROM delivery WHERE state = 2"), ==, 2);
	all_due();
	check_int(claim(one, &all, &a), ==, 0);
}

static void
five_days_of_failures_pause_and_an_operators_pause_stays_his(void)
{
	struct delivery_tried tried;
	bool paused;

	fresh();
	endpoint(ENDPOINT_PRIMARY, "http://one");
	tell(rig_connection, 3);
	claim(one, &all, &a);
	rig_sql("UPDATE endpoint SET failures = 9, failing_since = now() - interval '119 hours'");
	tried = tried_of(&a, 0, DELIVERY_AGAIN);
	check_int(record_one(one, &tried, &paused), ==, SL_OK);
	check(!paused);
	rig_sql("UPDATE endpoint SET failing_since = now() - interval '121 hours'");
	tried = tried_of(&a, 1, DELIVERY_AGAIN);
	check_int(record_one(one, &tried, &paused), ==, SL_OK);
	check(paused);
	check_int(sql("SELECT pause_cause FROM endpoint WHERE paused_at IS NOT NULL"), ==,
		  ENDPOINT_PAUSE_FAILING);
	rig_sql("UPDATE endpoint SET pause_cause = 1, paused_at = now() - interval '1 hour'");
	tried = tried_of(&a, 2, DELIVERY_AGAIN);
	tried.gone = true;
	check_int(record_one(one, &tried, &paused), ==, SL_OK);
	check(!paused);
	check_int(
	    sql("SELECT pause_cause FROM endpoint WHERE paused_at < now() - interval '59 min'"), ==,
	    ENDPOINT_PAUSE_OPERATOR);
}

static void
what_an_old_url_answered_is_no_trouble_of_the_new_one(void)
{
	struct delivery_tried tried;

	fresh();
	endpoint(ENDPOINT_PRIMARY, "http://one");
	tell(rig_connection, 1);
	claim(one, &all, &a);
	rig_sql("UPDATE endpoint SET url = 'http://new'");
	tried = tried_of(&a, 0, DELIVERY_AGAIN);
	tried.gone = true;
	check_int(record_one(one, &tried, NULL), ==, SL_OK);
	check_int(sql("SELECT count(*) FROM endpoint WHERE paused_at IS NULL AND failures = 0"), ==,
		  1);
	check_int(sql("SELECT count(*) FROM delivery_try WHERE url = 'http://one'"), ==, 1);
}

/* The tries are written, and then nobody says so: the connection is cut while the transaction waits. */
static void
a_record_in_doubt_is_repeated_and_written_once(void)
{
	struct delivery_tried tried[4];
	struct told told[4];

	fresh();
	endpoint(ENDPOINT_PRIMARY, "http://one");
	tell(rig_connection, 4);
	claim(one, &all, &a);
	rig_sql("BEGIN; LOCK TABLE delivery_try IN EXCLUSIVE MODE");
	for (int i = 0; i < 4; i++) {
		tried[i] = tried_of(&a, i, i == 0 ? DELIVERY_OK : DELIVERY_AGAIN);
		record(one, &tried[i], &told[i]);
	}
	rig_turns(100);
	rig_cut("sluiced deliver one");
	/* The first two as ours, the third by somebody else under a claim of its own. */
	for (int i = 0; i < 3; i++)
		sql("INSERT INTO delivery_try VALUES ('%s', 1, timestamptz 'epoch' + 1700000000123 *"
		    " interval '1 ms', 45, '%s', 'http://one', 200, '', '', '{}', '', false);",
		    tried[i].id, i == 2 ? "other" : "node");
	sql("DELETE FROM delivery_due WHERE delivery_id = '%s'", tried[0].id);
	sql("UPDATE delivery_due SET claim = claim + 1 WHERE delivery_id IN ('%s', '%s')",
	    tried[1].id, tried[2].id);
	rig_sql("COMMIT");
	for (int i = 0; i < 4; i++) {
		rig_until(told[i].calls > 0);
		check_int(told[i].calls, ==, 1);
		check_int(told[i].code, ==, i == 2 ? SL_CONFLICT : SL_OK);
	}
	check_int(sql("SELECT count(*) FROM delivery_try"), ==, 4);
	check_int(sql("SELECT failures FROM endpoint"), ==,
		  1); /* of the one that was written now */
	check_int(sql("SELECT count(*) FROM delivery_due WHERE claim = 2"), ==, 3);
}

static void
records_of_two_nodes_do_not_lock_each_other_out(void)
{
	static struct told told[512];
	int left = 0;

	fresh();
	for (int i = 0; i < 8; i++)
		own_events(i, 64);
	check_int(claim(one,
			&(struct delivery_ask){.room = 512, .fresh_room = 64, .lease_ms = 60000},
			&a),
		  ==, 512);
	for (int i = 0; i < 512; i++) { /* both have all endpoints, in different orders */
		int at = i % 2 ? i : 511 - i;
		struct delivery_tried tried =
		    tried_of(&a, at, i % 3 ? DELIVERY_AGAIN : DELIVERY_OK);

		record(i % 2 ? one : two, &tried, &told[i]);
		if (i % 16 == 0)
			loop_turn(rig_loop, 0);
	}
	for (int i = 0; i < 512; i++) {
		rig_until(told[i].calls > 0);
		left += told[i].code != SL_OK;
	}
	check_int(left, ==, 256); /* each row of an odd place twice, of an even one never */
}

static void
calls_of_a_store_that_is_closed_are_answered(void)
{
	struct pg_settings settings = {rig_conninfo, "sluiced deliver three", false, 0, false};
	struct delivery_store *store = delivery_store_new(rig_loop, &settings);
	struct delivery_tried tried;
	struct told told[2];

	fresh();
	endpoint(ENDPOINT_PRIMARY, "http://one");
	tell(rig_connection, 1);
	claim(store, &all, &a);
	check(delivery_store_is_up(store));
	tried = tried_of(&a, 0, DELIVERY_OK);
	rig_sql("BEGIN; LOCK TABLE delivery_due IN EXCLUSIVE MODE");
	record(store, &tried, &told[0]);
	rig_turns(50);
	record(store, &tried, &told[1]);
	rig_calls = 0;
	delivery_claim(store, &all, on_claimed, &b);
	delivery_store_free(store);
	check_int(told[0].calls, ==, 1);
	check_int(told[0].code, ==, SL_UNAVAILABLE);
	check_int(told[1].calls, ==, 1);
	check_int(told[1].code, ==, SL_UNAVAILABLE);
	check_int(rig_calls, ==, 1);
	check_int(rig_code, ==, SL_UNAVAILABLE);
	rig_sql("ROLLBACK");
	rig_cut_some("sluiced deliver three", true); /* it had begun what nobody waits for */
}

/* ---- looking and forgetting ----------------------------------------------------------------- */

static void
the_survey_counts_what_waits_and_who_is_in_trouble(void)
{
	fresh();
	CALL(SL_OK, delivery_survey(one, on_survey, NULL));
	check_int(seen.pending, ==, 0);
	check_int(seen.oldest_ms, ==, 0);
	rig_sql(
	    "INSERT INTO endpoint (environment_id, slot, url, paused_at, failing_since, open_until)"
	    " SELECT 1, 3, 'http://' || i, CASE WHEN i IN (1, 2) THEN now() END,"
	    "  CASE WHEN i IN (2, 3, 4) THEN now() END,"
	    "  now() + CASE WHEN i IN (2, 3) THEN 1 ELSE -1 END * interval '1 hour'"
	    " FROM generate_series(1, 5) i;"
	    " INSERT INTO delivery_due SELECT gen_random_uuid(), i,"
	    "  now() - interval '1 min' / i, 0 FROM generate_series(1, 5) i");
	CALL(SL_OK, delivery_survey(one, on_survey, NULL));
	check_int(seen.pending, ==, 5);
	check_int(seen.oldest_ms, >=, 15000); /* of the fourth: the others before are not sent to */
	check_int(seen.oldest_ms, <, 20000);
	check_int(seen.paused, ==, 2);
	check_int(seen.open, ==, 1);
	check_int(seen.failing, ==, 1);
}

static void
old_events_go_with_all_that_was_made_of_them(void)
{
	fresh();
	endpoint(ENDPOINT_PRIMARY, "http://one");
	tell(rig_connection, 3);
	claim(one, &all, &a);
	check_int(outcome(&a, 0, DELIVERY_OK), ==, SL_OK);
	check_int(outcome(&a, 1, DELIVERY_AGAIN), ==, SL_OK);
	CALL(SL_OK, reclaim_drop_old_events(reclaim, DAY_MS, on_number, NULL));
	check_int(number, ==, 0);
	check_int(sql("SELECT count(*) FROM delivery"), ==, 3);
	CALL(SL_OK, reclaim_drop_old_events(reclaim, -1000, on_number, NULL));
	check_int(number, ==, 3 + 3 + 2 + 2);
	CALL(SL_OK, reclaim_drop_old_events(reclaim, -1000, on_number, NULL));
	check_int(number, ==, 0);
	check_int(sql("SELECT count(*) FROM outbox") + sql("SELECT count(*) FROM delivery") +
		      sql("SELECT count(*) FROM delivery_due") +
		      sql("SELECT count(*) FROM delivery_try"),
		  ==, 0);
	check_int(outcome(&a, 2, DELIVERY_OK), ==, SL_CONFLICT);
}

static void
what_waits_for_an_endpoint_that_is_gone_goes(void)
{
	int64_t kept;

	fresh();
	endpoint(ENDPOINT_PRIMARY, "http://one");
	kept = own_endpoint(rig_second, "http://own");
	tell(rig_connection, 3);
	tell(rig_second, 2);
	rig_sql("DELETE FROM endpoint WHERE slot = 1");
	CALL(SL_OK, reclaim_drop_old_events(reclaim, DAY_MS, on_number, NULL));
	check_int(number, ==, 3);
	CALL(SL_OK, reclaim_drop_old_events(reclaim, DAY_MS, on_number, NULL));
	check_int(number, ==, 0);
	check_int(
	    sql("SELECT count(*) FROM delivery_due WHERE endpoint_id = %lld", (long long)kept), ==,
	    2);
}

/* ---- cost ----------------------------------------------------------------------------------- */

static long long
rows_read_by_a_claim(const struct delivery_ask *ask)
{
	long long before = rig_rows_read(true);

	claim(one, ask, &a);
	return rig_rows_read(true) - before;
}

/* 20,000 deliveries of one endpoint that is not sent to, and then 500 such endpoints: a claim for the
 * others reads about as much as without them, and one row for each of the 500. */
static void
what_waits_for_endpoints_that_are_not_sent_to_costs_little(void)
{
	const struct delivery_ask ask = {.room = 20, .fresh_room = 1, .lease_ms = 60000};
	long long alone, beside, many;

	fresh();
	own_endpoint(rig_second, "http://well");
	tell(rig_second, 10);
	alone = rows_read_by_a_claim(&ask);
	check_int(a.count, ==, 1);
	endpoint(ENDPOINT_PRIMARY, "http://one");
	tell(rig_connection, 20000);
	rig_sql("UPDATE endpoint SET paused_at = now() WHERE slot = 1; ANALYZE");
	beside = rows_read_by_a_claim(&ask);
	check_int(a.count, ==, 1);
	check_int(beside - alone, <, 100);
	rig_sql("INSERT INTO endpoint (environment_id, slot, url, open_until) SELECT 1, 3,"
		" 'http://h' || i, now() + interval '1 hour' FROM generate_series(1, 500) i;"
		" INSERT INTO delivery_due SELECT gen_random_uuid(), p.id, now(), 0"
		" FROM endpoint p, generate_series(1, 10) WHERE p.open_until IS NOT NULL");
	many = rows_read_by_a_claim(&ask);
	check_int(a.count, ==, 1);
	check_int(many - beside, <, 500 * 3);
}

/* Plans are made once and kept: of tables of two rows a plan that reads them whole is the cheapest. */
static void
plans_made_for_small_tables_are_good_for_large_ones(void)
{
	const struct delivery_ask ask = {.room = 10, .fresh_room = 10, .lease_ms = 60000};
	long long before;

	fresh();
	endpoint(ENDPOINT_PRIMARY, "http://one");
	tell(rig_connection, 2);
	rig_sql("VACUUM ANALYZE");
	rig_cut_some("sluiced deliver", true);
	rig_turns(300);
	check_int(claim(one, &ask, &a), ==, 2);
	check_int(outcome(&a, 0, DELIVERY_OK), ==, SL_OK);
	check_int(outcome(&a, 1, DELIVERY_AGAIN), ==, SL_OK);
	rig_sql(
	    "INSERT INTO endpoint (environment_id, slot, url) SELECT 1, 3, 'http://h' || i"
	    " FROM generate_series(1, 3000) i;"
	    " INSERT INTO delivery_try SELECT gen_random_uuid(), 1, now(), 1, '', '', 1, '', '',"
	    "  '', '', false FROM generate_series(1, 3000)");
	tell(rig_connection, 3000);
	PQreset(rig_direct); /* it says now what it has read */
	rig_sql("SET client_min_messages = warning");
	rig_turns(100);
	before = rig_rows_read(false);
	check_int(claim(one, &ask, &a), ==, 10);
	check_int(outcome(&a, 0, DELIVERY_OK), ==, SL_OK);
	check_int(outcome(&a, 1, DELIVERY_AGAIN), ==, SL_OK);
	check_int(outcome(&a, 2, DELIVERY_GIVEN_UP), ==, SL_OK);
	check_int(rig_rows_read(true) - before, <, 1000);
}

int
main(void)
{
	struct pg_settings settings = {NULL, "sluiced deliver one", false, 0, false};

	rig_sync_start();
	settings.conninfo = rig_conninfo;
	one = delivery_store_new(rig_loop, &settings);
	settings.name = "sluiced deliver two";
	two = delivery_store_new(rig_loop, &settings);
	settings.name = "sluiced reclaim";
	settings.timeout_ms = 60000;
	reclaim = reclaim_new(rig_loop, &settings);
	CHECK_RUN(an_event_has_a_delivery_for_each_url_of_its_environment);
	CHECK_RUN(a_url_that_is_empty_is_told_nothing);
	CHECK_RUN(the_url_of_a_connection_replaces_both);
	CHECK_RUN(what_the_environment_does_not_want_is_not_delivered);
	CHECK_RUN(a_claim_says_all_that_a_try_needs);
	CHECK_RUN(two_nodes_claim_different_rows);
	CHECK_RUN(a_claim_waits_for_no_lock);
	CHECK_RUN(endpoints_take_turns);
	CHECK_RUN(what_is_due_longest_goes_first);
	CHECK_RUN(a_lane_gives_no_more_than_its_room);
	CHECK_RUN(the_bytes_of_a_claim_are_limited_but_the_first_row_goes);
	CHECK_RUN(what_is_paused_open_or_without_a_url_waits);
	CHECK_RUN(a_breaker_that_has_passed_lets_one_probe_through_in_the_fleet);
	CHECK_RUN(a_claim_whose_lease_is_over_is_due_again_and_its_record_is_refused);
	CHECK_RUN(a_delivery_whose_event_is_gone_ends);
	CHECK_RUN(a_success_ends_the_delivery_and_is_logged);
	CHECK_RUN(a_failure_is_due_again_and_the_last_one_is_not);
	CHECK_RUN(a_delivery_that_is_resent_goes_on_counting_but_begins_its_rounds_anew);
	CHECK_RUN(records_gather_and_go_in_one_transaction);
	CHECK_RUN(bytes_that_are_no_text_do_not_fail_the_others);
	CHECK_RUN(an_endpoint_that_is_well_is_not_written);
	CHECK_RUN(failures_are_counted_until_a_success);
	CHECK_RUN(a_batch_leaves_the_failures_behind_the_last_success);
	CHECK_RUN(gone_pauses_at_once_and_says_so_once);
	CHECK_RUN(five_days_of_failures_pause_and_an_operators_pause_stays_his);
	CHECK_RUN(what_an_old_url_answered_is_no_trouble_of_the_new_one);
	CHECK_RUN(a_record_in_doubt_is_repeated_and_written_once);
	CHECK_RUN(records_of_two_nodes_do_not_lock_each_other_out);
	CHECK_RUN(calls_of_a_store_that_is_closed_are_answered);
	CHECK_RUN(the_survey_counts_what_waits_and_who_is_in_trouble);
	CHECK_RUN(old_events_go_with_all_that_was_made_of_them);
	CHECK_RUN(what_waits_for_an_endpoint_that_is_gone_goes);
	CHECK_RUN(what_waits_for_endpoints_that_are_not_sent_to_costs_little);
	CHECK_RUN(plans_made_for_small_tables_are_good_for_large_ones);
	reclaim_free(reclaim);
	delivery_store_free(two);
	delivery_store_free(one);
	rig_sync_stop();
	return check_done();
}
