#include "base/secret.h"
#include "sql/record_retain.h"
#include "tests/integration/sync_rig.h"

#define DAY_US (INT64_C(86400) * 1000000)

static int64_t sync_id;
static struct record_counts counts;
static struct retain_model models[RETAIN_FIND_MAX];
static char names[RETAIN_FIND_MAX][24];
static int model_count;
static long long done;
static struct retain_chunk next;
static bool more;

static void
on_counts(void *arg, enum sl_code code, const struct record_counts *it,
	  const struct sl_error *error)
{
	(void)arg;
	counts = *it;
	rig_answered(code, error);
}

static void
on_models(void *arg, enum sl_code code, const struct retain_model *it, int count,
	  const struct sl_error *error)
{
	(void)arg;
	model_count = count;
	for (int i = 0; i < count; i++) {
		models[i] = it[i];
		snprintf(names[i], sizeof(names[i]), "%s", it[i].model);
		models[i].model = names[i];
	}
	rig_answered(code, error);
}

static void
on_chunk(void *arg, enum sl_code code, int64_t count, const struct retain_chunk *it,
	 const struct sl_error *error)
{
	(void)arg;
	done = count;
	more = it != NULL;
	if (it != NULL) {
		next = *it;
		next.model.model = names[0];
	}
	rig_answered(code, error);
}

static int64_t
days_ago(int days)
{
	return clock_wall_ms() * 1000 - days * DAY_US;
}

static void
find_old(int expected)
{
	CALL(SL_OK,
	     retain_find_old(rig_store, days_ago(30), &(struct retain_model){0}, on_models, NULL));
	check_int(model_count, ==, expected);
}

static void
find_idle(int expected)
{
	CALL(SL_OK,
	     retain_find_idle(rig_store, days_ago(60), &(struct retain_model){0}, on_models, NULL));
	check_int(model_count, ==, expected);
}

/* The first chunk of the model that was found first. */
static struct retain_chunk
first(int days)
{
	return (struct retain_chunk){.model = models[0], .before_us = days_ago(days)};
}

static void
empty(const struct retain_chunk *chunk, int expected, bool expect_more)
{
	struct retain_chunk it = *chunk;

	CALL(SL_OK, retain_empty(rig_store, &it, on_chunk, NULL));
	check_int(done, ==, expected);
	check_int(more, ==, expect_more);
}

static void
delete_(const struct retain_chunk *chunk, int expected, bool expect_more)
{
	struct retain_chunk it = *chunk;

	CALL(SL_OK, retain_delete(rig_store, &it, on_chunk, NULL));
	check_int(done, ==, expected);
	check_int(more, ==, expect_more);
}

static void
save(const char *model, const char *id, const char *payload)
{
	struct record_item item = {.id = id, .payload = slice_text(payload)};
	struct record_batch batch = {.connection_id = rig_connection,
				     .sync_id = sync_id,
				     .model = model,
				     .items = &item,
				     .count = 1};
	uint8_t full[32];

	secret_hmac_sha256(SLICE_LITERAL("test"), item.payload, full);
	memcpy(item.digest, full, RECORD_DIGEST);
	CALL(SL_OK, record_save(rig_store, &batch, on_counts, NULL));
}

/* So many records of M that were last changed so long ago, each at a moment of its own. */
static void
add_old(int count, int days, int64_t of_sync)
{
	char text[600];

	snprintf(
	    text, sizeof(text),
	    "INSERT INTO record (connection_id, model, id, sync_id, seen, last_action,"
	    " first_seen, last_modified, digest, payload)"
	    " SELECT 1, 'M', 'old' || %d || '-' || n, %lld, 1, 1, now(), now() - interval '%d days'"
	    " + n * interval '1 ms', '\\x00', 'p' FROM generate_series(1, %d) n",
	    days, (long long)of_sync, days, count);
	rig_sql(text);
}

static void
fresh(void)
{
	rig_sql("DELETE FROM record; DELETE FROM record_model; DELETE FROM schedule;"
		" UPDATE sync SET claimed_at = NULL, last_ended = NULL, marked_at = NULL,"
		" emptied_at = NULL, removed_at = NULL;"
		" INSERT INTO record_model (connection_id, model, live, pruned_to)"
		" VALUES (1, 'M', 0, '-infinity')");
}

static long long
with_payload(void)
{
	return rig_sql("SELECT count(*) FROM record WHERE payload <> ''");
}

/* ---- payloads ------------------------------------------------------------------------------- */

static void
old_payloads_are_emptied_in_chunks_and_young_ones_stay(void)
{
	struct retain_chunk chunk;

	fresh();
	add_old(1200, 40, sync_id);
	add_old(10, 5, sync_id);
	find_old(1);
	check_text(models[0].model, "M");
	chunk = first(30);
	empty(&chunk, 500, true);
	check_int(with_payload(), ==, 710);
	empty(&next, 500, true);
	empty(&next, 200, false);
	check_int(with_payload(), ==, 10);
	check_int(rig_sql("SELECT count(*) FROM record WHERE pruned IS NOT NULL"
			  " AND last_modified < now() - interval '39 days'"),
		  ==, 1200);
	find_old(0); /* nothing is due until the oldest of the young ones is */
	rig_sql("DELETE FROM record WHERE pruned IS NOT NULL;"
		" UPDATE record SET last_modified = last_modified - interval '40 days'");
	rig_sql("UPDATE record_model SET pruned_to = pruned_to - interval '40 days'");
	find_old(1);
	chunk = first(30);
	empty(&chunk, 10, false);
	find_old(0);
}

/* Its first record may be of an earlier release, which kept no account of models. */
static void
a_model_that_was_not_known_is_looked_at_from_its_first_record(void)
{
	struct retain_chunk chunk;

	fresh();
	rig_sql("DELETE FROM record_model");
	add_old(2, 40, sync_id);
	save("M", "new", "n");
	find_old(1);
	chunk = first(30);
	empty(&chunk, 2, false);
	find_old(0);
	check_int(with_payload(), ==, 1);
}

static void
emptying_goes_on_where_another_left_off(void)
{
	struct retain_chunk chunk;

	fresh();
	add_old(700, 40, sync_id);
	find_old(1);
	chunk = first(30);
	empty(&chunk, 500, true);
	find_old(1); /* another scheduler, which knows no place */
	chunk = first(30);
	empty(&chunk, 200, false);
	check_int(with_payload(), ==, 0);
	find_old(0);
}

static void
what_is_saved_again_keeps_its_payload_until_it_changes(void)
{
	struct retain_chunk chunk;

	fresh();
	save("M", "1", "a");
	save("M", "2", "b");
	rig_sql("UPDATE record SET last_modified = last_modified - interval '40 days';"
		" UPDATE record_model SET pruned_to = '-infinity'");
	find_old(1);
	chunk = first(30);
	empty(&chunk, 2, false);
	save("M", "1", "a");
	check_int(counts.unchanged, ==, 1);
	check_int(with_payload(), ==, 1);
	find_old(0);
	chunk = (struct retain_chunk){.model = {0, rig_connection, "M"}, .before_us = days_ago(30)};
	empty(&chunk, 0, false);
	check_int(with_payload(), ==, 1);
	save("M", "1", "A");
	rig_sql("UPDATE record SET last_modified = last_modified - interval '40 days'"
		" WHERE id = '1'; UPDATE record_model SET pruned_to = '-infinity'");
	empty(&chunk, 1, false);
}

static void
a_model_that_is_written_is_not_waited_for(void)
{
	struct retain_chunk chunk;

	fresh();
	add_old(3, 70, sync_id);
	find_old(1);
	chunk = first(30);
	rig_sql("BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('M', 1))");
	CALL(SL_CONFLICT, retain_empty(rig_store, &chunk, on_chunk, NULL));
	chunk.model.sync_id = sync_id;
	CALL(SL_CONFLICT, retain_delete(rig_store, &chunk, on_chunk, NULL));
	rig_sql("COMMIT; BEGIN; SELECT FROM connection WHERE id = 1 FOR UPDATE");
	CALL(SL_CONFLICT, retain_empty(rig_store, &chunk, on_chunk, NULL)); /* being deleted */
	rig_sql("COMMIT");
	chunk.model.connection_id = 999;
	CALL(SL_CONFLICT, retain_empty(rig_store, &chunk, on_chunk, NULL));
	check_int(with_payload(), ==, 3);
}

/* 5 payloads of 8 MiB: a chunk lets go of 16 MiB. */
static void
a_chunk_of_big_payloads_is_short(void)
{
	struct retain_chunk chunk;

	fresh();
	add_old(5, 40, sync_id);
	rig_sql("UPDATE record SET payload = convert_to(repeat('x', 8388608), 'UTF8')");
	find_old(1);
	chunk = first(30);
	empty(&chunk, 2, true);
	empty(&next, 2, true);
	empty(&next, 1, false);
}

/* ---- records -------------------------------------------------------------------------------- */

static void
records_of_a_sync_that_does_not_run_are_deleted_in_chunks(void)
{
	struct retain_chunk chunk;

	fresh();
	add_old(700, 70, sync_id);
	add_old(7, 65, sync_id + 1);
	rig_sql("UPDATE record SET deleted = now() WHERE id = 'old70-1'");
	rig_sql("UPDATE record_model SET live = 706;"
		" UPDATE sync SET claimed_at = now() - interval '61 days'");
	find_idle(1);
	check_int(models[0].sync_id, ==, sync_id);
	chunk = first(60);
	delete_(&chunk, 500, true);
	delete_(&next, 200, false);
	check_int(rig_sql("SELECT count(*) FROM record"), ==, 7); /* of another sync */
	check_int(rig_sql("SELECT live FROM record_model"), ==, 7);
	CALL(SL_OK, retain_emptied(rig_store, sync_id, rig_on_done, NULL));
	find_idle(0);
	rig_sql("UPDATE sync SET emptied_at = now() - interval '61 days'"); /* a webhook, maybe */
	find_idle(1);
}

static void
syncs_that_run_or_may_be_late_are_left_alone(void)
{
	static const char *const alive[] = {
	    "claimed_at = now() - interval '59 days'",
	    "claimed_at = now() - interval '61 days', last_ended = now() - interval '59 days'",
	    "marked_at = now() - interval '59 days'",
	    "claimed_at = now() - interval '61 days', removed_at = now()", /* others remove it */
	};
	struct retain_chunk chunk = {.model = {0, rig_connection, "M"}, .before_us = days_ago(60)};

	chunk.model.sync_id = sync_id;
	for (size_t i = 0; i < sizeof(alive) / sizeof(alive[0]); i++) {
		char text[200];

		fresh();
		add_old(3, 70, sync_id);
		snprintf(text, sizeof(text), "UPDATE sync SET %s", alive[i]);
		rig_sql(text);
		find_idle(0);
		delete_(&chunk, -1, false); /* it came back between the two */
	}
	fresh();
	add_old(3, 70, sync_id);
	rig_sql(
	    "UPDATE sync SET claimed_at = now() - interval '61 days';"
	    " INSERT INTO schedule (sync_id, started, every_ms) SELECT id, true, 2678400000 FROM sync");
	find_idle(0); /* every 31 days: late after 62 */
	rig_sql("UPDATE schedule SET started = false");
	find_idle(1); /* paused */
	check_int(rig_sql("SELECT count(*) FROM record"), ==, 3);
}

static void
a_model_to_which_something_is_written_is_kept_whole(void)
{
	struct retain_chunk chunk;

	fresh();
	add_old(3, 70, sync_id);
	add_old(1, 59, sync_id);
	find_idle(1); /* it never ran: webhooks feed it */
	chunk = first(60);
	delete_(&chunk, -1, false);
	check_int(rig_sql("SELECT count(*) FROM record"), ==, 4);
	rig_sql(
	    "UPDATE record SET last_modified = now() - interval '61 days' WHERE id = 'old59-1'");
	delete_(&chunk, 4, false);
}

/* ---- plans ---------------------------------------------------------------------------------- */

static void
what_is_not_due_is_not_read(void)
{
	struct retain_chunk chunk;
	long long before;

	fresh();
	rig_sql("VACUUM ANALYZE");
	rig_cut("sluiced");
	rig_turns(300);
	rig_until(sync_store_is_up(rig_store));
	find_old(1);
	chunk = first(30);
	empty(&chunk, 0, false);
	rig_sql("UPDATE record_model SET pruned_to = '-infinity'");
	add_old(300, 40, sync_id);
	add_old(20000, 5, sync_id);
	before = rig_rows_read(false);
	empty(&chunk, 300, false);
	find_old(0);
	find_idle(1);
	chunk.model.sync_id = sync_id;
	delete_(&chunk, -1, false);
	check_int(rig_rows_read(true) - before, <, 3000);
}

static void
on_sync(void *arg, enum sl_code code, const struct sync_row *row, int count,
	const struct sl_error *error)
{
	(void)arg;
	if (count > 0)
		sync_id = row->id;
	rig_answered(code, error);
}

int
main(void)
{
	rig_sync_start();
	rig_calls = 0;
	sync_ensure(rig_store, rig_function, rig_connection, "base", on_sync, NULL);
	while (rig_calls == 0)
		loop_turn(rig_loop, 20);
	CHECK_RUN(old_payloads_are_emptied_in_chunks_and_young_ones_stay);
	CHECK_RUN(a_model_that_was_not_known_is_looked_at_from_its_first_record);
	CHECK_RUN(emptying_goes_on_where_another_left_off);
	CHECK_RUN(what_is_saved_again_keeps_its_payload_until_it_changes);
	CHECK_RUN(a_model_that_is_written_is_not_waited_for);
	CHECK_RUN(a_chunk_of_big_payloads_is_short);
	CHECK_RUN(records_of_a_sync_that_does_not_run_are_deleted_in_chunks);
	CHECK_RUN(syncs_that_run_or_may_be_late_are_left_alone);
	CHECK_RUN(a_model_to_which_something_is_written_is_kept_whole);
	CHECK_RUN(what_is_not_due_is_not_read);
	rig_sync_stop();
	return check_done();
}
