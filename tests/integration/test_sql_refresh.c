/* Refreshes of credentials in the ledger: one claim at a time, an old token never over a new one, failures by the day. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sql/refresh.h"
#include "tests/integration/sql_rig.h"

static struct account *account;

static SL_PRINTF(1, 2) long long sql(const char *format, ...)
{
	char text[1000];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return rig_sql(text);
}

struct seen {
	bool done;
	enum sl_code code;
	int64_t claim;
	int count;
	char credentials[64], log_id[64];
	int failing_days;
	bool failed, refreshed;
};

static void
take(struct seen *seen, enum sl_code code, const struct account_connection *row)
{
	seen->done = true;
	seen->code = code;
	if (row == NULL)
		return;
	snprintf(seen->credentials, sizeof(seen->credentials), "%s", row->credentials);
	snprintf(seen->log_id, sizeof(seen->log_id), "%s", row->failure_log_id);
	seen->failing_days = row->failing_days;
	seen->failed = row->failed_mono_ms != 0;
	seen->refreshed = row->refreshed_mono_ms != 0;
}

static void
on_claim(void *arg, enum sl_code code, int64_t claim, const struct account_connection *row,
	 const struct sl_error *error)
{
	struct seen *seen = arg;

	(void)error;
	seen->claim = claim;
	take(seen, code, row);
}

static void
on_rows(void *arg, enum sl_code code, const struct account_connection *rows, int count,
	const struct sl_error *error)
{
	struct seen *seen = arg;

	(void)error;
	seen->count = count;
	take(seen, code, count > 0 ? rows : NULL);
}

static void
until_done(const struct seen *seen)
{
	int64_t until = clock_mono_ms() + RIG_WAIT_MS;

	while (!seen->done && clock_mono_ms() < until)
		loop_turn(rig_loop, 20);
	check(seen->done);
}

static struct seen
begin(int64_t id, int64_t ttl_ms)
{
	struct seen seen = {0};

	refresh_begin(account, id, ttl_ms, on_claim, &seen);
	until_done(&seen);
	return seen;
}

static struct seen
store(int64_t id, int64_t claim, const char *before, const char *after)
{
	struct seen seen = {0};

	refresh_store(account, id, claim, before, after, on_rows, &seen);
	until_done(&seen);
	return seen;
}

static struct seen
fail(int64_t id, int64_t claim, const char *before, const char *log_id, bool tells)
{
	const struct settle_event event = {.environment_id = 1,
					   .connection_id = id,
					   .type = SETTLE_EVENT_AUTH,
					   .outcome = SETTLE_EVENT_FAILED,
					   .body = SLICE_LITERAL("{\"type\":\"auth\"}")};
	const struct refresh_failure failure = {
	    .cause = "no", .log_id = log_id, .event = tells ? &event : NULL};
	struct seen seen = {0};

	refresh_fail(account, id, claim, before, &failure, on_rows, &seen);
	until_done(&seen);
	return seen;
}

static int64_t
connection(const char *name)
{
	sql("INSERT INTO connection (environment_id, integration_id, connection_id, credentials, seal_row, connection_config,"
	    " metadata, tags, end_user, webhook_url_override) VALUES (1, 1, '%s', 'old', '%s', '{}', '{}', '{}', 'null', '')",
	    name, name);
	return sql("SELECT id FROM connection WHERE connection_id = '%s'", name);
}

#define LOG_A "0b2e4a3e-6a71-4c8e-9a4b-111111111111"
#define LOG_B "0b2e4a3e-6a71-4c8e-9a4b-222222222222"

static void
one_of_two_has_the_claim_until_it_ends(void)
{
	int64_t id = connection("claims");
	struct seen first = begin(id, 60000), second = begin(id, 60000), third;

	check_int(first.code, ==, SL_OK);
	check_int(first.claim, ==, 1);
	check_text(first.credentials, "old");
	check_int(second.code, ==, SL_OK);
	check_int(second.claim, ==, 0);
	sql("UPDATE refresh SET claimed_until = now() - interval '1 second'");
	third = begin(id, 60000);
	check_int(third.claim, ==, 2);
	refresh_drop(account, id, first.claim); /* not the last: nothing happens */
	check_int(begin(id, 60000).claim, ==, 0);
	refresh_drop(account, id, third.claim);
	check_int(begin(id, 60000).claim, ==, 3);
	check_int(begin(123456, 60000).code, ==, SL_NOT_FOUND);
}

static void
a_new_token_goes_over_the_one_that_was_refreshed_and_no_other(void)
{
	int64_t id = connection("stores");
	struct seen seen = begin(id, 60000);

	seen = store(id, seen.claim, "old", "new");
	check_int(seen.code, ==, SL_OK);
	check_text(seen.credentials, "new");
	check(seen.refreshed);
	seen = begin(id, 60000);
	sql("UPDATE connection SET credentials = 'imported' WHERE id = %lld", (long long)id);
	seen = store(id, seen.claim, "new", "late");
	check_text(seen.credentials, "imported");
	/* A claim that ran out is no reason to lose a token. */
	seen = begin(id, 1);
	sql("UPDATE refresh SET claim = claim + 5, claimed_until = now() + interval '1 hour'");
	seen = store(id, seen.claim, "imported", "kept");
	check_text(seen.credentials, "kept");
	check_int(begin(id, 60000).claim, ==, 0); /* the other's claim stands */
}

static void
failures_count_by_the_day_and_the_first_one_is_told(void)
{
	int64_t id = connection("fails");
	struct seen seen = begin(id, 60000);

	seen = fail(id, seen.claim, "old", NULL, false);
	check(seen.failed);
	check_text(seen.log_id, "");
	check_int(seen.failing_days, ==, 0);
	seen = fail(id, begin(id, 60000).claim, "old", LOG_A, true);
	check_text(seen.log_id, LOG_A);
	check_int(seen.failing_days, ==, 1);
	seen = fail(id, begin(id, 60000).claim, "old", LOG_B, true);
	check_text(seen.log_id, LOG_A); /* of the first */
	check_int(seen.failing_days, ==, 1);
	check_int(sql("SELECT count(*) FROM outbox WHERE connection_id = %lld", (long long)id), ==,
		  1);
	sql("UPDATE refresh SET failing_day = failing_day - 1");
	seen = fail(id, begin(id, 60000).claim, "old", LOG_B, true);
	check_int(seen.failing_days, ==, 2);
	/* Of credentials that are not there any more nothing is recorded. */
	sql("UPDATE connection SET credentials = 'imported' WHERE id = %lld", (long long)id);
	sql("UPDATE refresh SET failing_day = failing_day - 1");
	seen = fail(id, begin(id, 60000).claim, "old", LOG_B, true);
	check_int(seen.failing_days, ==, 2);
	check_text(seen.credentials, "imported");
	sql("UPDATE refresh SET claimed_until = NULL");
	seen = store(id, begin(id, 60000).claim, "imported", "well");
	check_int(seen.failing_days, ==, 0);
	check(!seen.failed);
	check_text(seen.log_id, "");
}

static void
a_claim_that_was_lost_records_no_failure(void)
{
	int64_t id = connection("overtaken"), lost = begin(id, 60000).claim;
	struct seen seen;

	sql("UPDATE refresh SET claimed_until = now() - interval '1 second' WHERE connection_id = %lld",
	    (long long)id);
	check_int(begin(id, 60000).claim, ==, lost + 1);
	seen = fail(id, lost, "old", LOG_A, true);
	check_int(seen.code, ==, SL_OK);
	check(!seen.failed);
	check_text(seen.log_id, "");
	check_int(seen.failing_days, ==, 0);
	check_int(sql("SELECT count(*) FROM outbox WHERE connection_id = %lld", (long long)id), ==,
		  0);
	check_int(begin(id, 60000).claim, ==, 0); /* who came second still has it */
}

static void
on_upsert(void *arg, enum sl_code code, const struct account_connection *row, bool overridden,
	  const struct sl_error *error)
{
	struct seen *seen = arg;

	(void)error;
	seen->count = overridden;
	take(seen, code, row);
}

static void
an_import_clears_failures_and_a_refresh_from_before_it_comes_too_late(void)
{
	struct account_connection row = {.environment_id = 1,
					 .integration_id = 1,
					 .connection_id = "again",
					 .credentials = "imported",
					 .seal_row = "again",
					 .connection_config = "{}",
					 .metadata = "{}",
					 .tags = "{}",
					 .end_user = "null",
					 .webhook_url_override = ""};
	int64_t id = connection("again"), claim;
	struct seen seen = fail(id, begin(id, 60000).claim, "old", LOG_A, false);

	check_int(seen.failing_days, ==, 1);
	claim = begin(id, 60000).claim;
	seen = (struct seen){0};
	account_connection_upsert(account, &row, on_upsert, &seen);
	until_done(&seen);
	check_int(seen.code, ==, SL_OK);
	seen = store(id, claim, "old", "late");
	check_text(seen.credentials, "imported");
	check(!seen.failed && !seen.refreshed);
	seen = fail(id, claim, "imported", LOG_B,
		    true); /* the same bytes do not give the claim back */
	check(!seen.failed);
	check_text(seen.log_id, "");
	check_int(seen.failing_days, ==, 0);
	check_int(sql("SELECT count(*) FROM outbox WHERE connection_id = %lld", (long long)id), ==,
		  0);
	check_int(begin(id, 60000).claim, >, claim); /* free at once */
}

static void
use_is_noted_to_the_hour(void)
{
	const int64_t ids[] = {connection("used"), connection("just used"), connection("unused")};
	char stale[200], recent[200];

	sql("UPDATE connection SET last_fetched_at = now() - CASE connection_id WHEN 'just used'"
	    " THEN interval '30 minutes' ELSE interval '2 hours' END");
	snprintf(
	    stale, sizeof(stale),
	    "SELECT count(*) FROM connection WHERE id IN (%lld, %lld) AND last_fetched_at < now()"
	    " - interval '1 hour'",
	    (long long)ids[0], (long long)ids[2]);
	snprintf(recent, sizeof(recent),
		 "SELECT count(*) FROM connection WHERE id = %lld AND last_fetched_at < now()"
		 " - interval '20 minutes'",
		 (long long)ids[1]);
	refresh_touch(account, ids, 2);
	rig_until(rig_sql(stale) == 1); /* the one that was not named stays */
	check_int(sql("SELECT count(*) FROM connection WHERE id = %lld AND last_fetched_at < now()"
		      " - interval '1 hour'",
		      (long long)ids[2]),
		  ==, 1);
	check_int(rig_sql(recent), ==, 1);
}

static void
those_that_nobody_uses_are_taken_once_the_oldest_first(void)
{
	int64_t older = connection("older"), young = connection("young");
	struct seen seen = {0};

	sql("UPDATE connection SET last_fetched_at = now()");
	sql("UPDATE connection SET last_fetched_at = now() - interval '2 days' WHERE id = %lld",
	    (long long)older);
	sql("UPDATE connection SET last_fetched_at = now() - interval '30 hours' WHERE id = %lld",
	    (long long)young);
	refresh_take_idle(account, 86400000, 1, on_rows, &seen);
	until_done(&seen);
	check_int(seen.count, ==, 1);
	check_int(
	    sql("SELECT count(*) FROM connection WHERE last_fetched_at < now() - interval '1 day'"),
	    ==, 1);
	check_int(sql("SELECT id FROM connection WHERE last_fetched_at < now() - interval '1 day'"),
		  ==, young);
	seen = (struct seen){0};
	refresh_take_idle(account, 86400000, 10, on_rows, &seen);
	until_done(&seen);
	check_int(seen.count, ==, 1);
	seen = (struct seen){0};
	refresh_take_idle(account, 86400000, 10, on_rows, &seen);
	until_done(&seen);
	check_int(seen.count, ==, 0);
}

int
main(void)
{
	struct pg_settings settings = {.name = "test"};

	rig_start();
	rig_migrate();
	settings.conninfo = rig_conninfo;
	sql("INSERT INTO environment (name, uuid, is_production, signing_key, callback_url) VALUES ('dev', 'u', false, '', '')");
	sql("INSERT INTO integration (environment_id, unique_key, provider, display_name, forward_webhooks, credentials, seal_row,"
	    " config, custom) VALUES (1, 'w', 'p', '', true, '', '', '{}', '{}')");
	account = account_new(rig_loop, &settings, NULL, NULL);
	CHECK_RUN(one_of_two_has_the_claim_until_it_ends);
	CHECK_RUN(a_new_token_goes_over_the_one_that_was_refreshed_and_no_other);
	CHECK_RUN(failures_count_by_the_day_and_the_first_one_is_told);
	CHECK_RUN(a_claim_that_was_lost_records_no_failure);
	CHECK_RUN(an_import_clears_failures_and_a_refresh_from_before_it_comes_too_late);
	CHECK_RUN(use_is_noted_to_the_hour);
	CHECK_RUN(those_that_nobody_uses_are_taken_once_the_oldest_first);
	account_free(account);
	rig_stop();
	return check_done();
}
