#include "base/secret.h"
#include "sql/record_prune.h"
#include "tests/integration/sync_rig.h"

#define ROWS_MAX 40

static int64_t sync_id;
static const char *model = "M";

static struct record_counts counts;
static struct record_row rows[ROWS_MAX];
static char payloads[ROWS_MAX][24];
static int row_count;
static long long pruned;
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
on_rows(void *arg, enum sl_code code, const struct record_row *it, int count, bool goes_on,
	const struct sl_error *error)
{
	(void)arg;
	(void)goes_on;
	row_count = count;
	for (int i = 0; i < count && i < ROWS_MAX; i++) {
		rows[i] = it[i];
		snprintf(payloads[i], sizeof(payloads[i]), "%.*s", (int)it[i].payload.len,
			 it[i].payload.data);
	}
	rig_answered(code, error);
}

static void
on_pruned(void *arg, enum sl_code code, int64_t count, bool goes_on, const struct sl_error *error)
{
	(void)arg;
	pruned = count;
	more = goes_on;
	rig_answered(code, error);
}

/* One record in a batch of its own, so that each has a place of its own. */
static void
write_one(void (*write)(struct sync_store *store, const struct record_batch *batch,
			record_counts_cb *cb, void *arg),
	  const char *id, const char *payload)
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
	CALL(SL_OK, write(rig_store, &batch, on_counts, NULL));
}

static void
save(const char *id, const char *payload)
{
	write_one(record_save, id, payload);
}

/* All records, by place. */
static void
list(void)
{
	struct record_query query = {
	    .connection_id = rig_connection, .model = model, .limit = ROWS_MAX};

	CALL(SL_OK, record_list(rig_store, &query, on_rows, NULL));
}

/* Up to the row that list() saw at this index. */
static void
prune(int until, int limit, int expected, bool expect_more)
{
	struct record_row last = rows[until];
	struct record_prune it = {rig_connection, model, last.last_modified_us, last.uuid, limit};

	CALL(SL_OK, record_prune(rig_store, &it, on_pruned, NULL));
	check_int(pruned, ==, expected);
	check_int(more, ==, expect_more);
}

static void
fresh(void)
{
	rig_sql("DELETE FROM record; DELETE FROM record_cut");
	save("1", "a");
	save("2", "b");
	save("3", "c");
	save("4", "d");
	list();
	check_int(row_count, ==, 4);
}

static void
payloads_are_emptied_oldest_first_up_to_a_place(void)
{
	struct record_row before[4];

	fresh();
	memcpy(before, rows, sizeof(before));
	prune(2, 1, 1, true);
	prune(2, 1, 1, true);
	prune(2, 1, 1, false);
	prune(2, 1, 0, false);
	list();
	for (int i = 0; i < 4; i++) {
		check_text(payloads[i], i == 3 ? "d" : "");
		check((rows[i].pruned_us != 0) == (i != 3));
		/* Nobody is shown it again. */
		check_int(rows[i].last_modified_us, ==, before[i].last_modified_us);
		check_int(rows[i].last_action, ==, before[i].last_action);
		check(memcmp(rows[i].digest, before[i].digest, RECORD_DIGEST) == 0);
	}
	check_int(rig_sql("SELECT sum(length(payload)) FROM record"), ==, 1);
	write_one(record_delete, "4", "gone");
	list();
	prune(3, 10, 1, false); /* deleted ones, too */
	list();
	check_int(rows[3].last_action, ==, RECORD_DELETED);
	check_int(rows[3].deleted_us, >, 0);
	check_text(payloads[3], "");
}

/* What is saved as it was is no change, but readers from the start find it again. */
static void
a_pruned_record_that_is_saved_again_has_its_payload(void)
{
	struct record_row first;

	fresh();
	first = rows[0];
	prune(3, 10, 4, false);
	save("1", "a");
	check_int(counts.unchanged, ==, 1);
	check_int(counts.added + counts.updated, ==, 0);
	list();
	check_text(payloads[0], "a");
	check_int(rows[0].pruned_us, ==, 0);
	check_int(rows[0].last_modified_us, ==, first.last_modified_us);
	check_int(rows[0].first_seen_us, ==, first.first_seen_us);
	check_text(payloads[1], "");
	prune(3, 10, 1, false); /* though it stands before where pruning was */
	save("2", "B");
	check_int(counts.updated, ==, 1);
	list();
	check_text(payloads[3], "B");
	check_int(rows[3].pruned_us, ==, 0);
	check_int(rig_sql("SELECT count(*) FROM record WHERE payload = ''"), ==, 3);
}

/* Left alone, because somebody changed it since: also not given another content. */
static void
a_record_that_is_left_alone_stays_pruned(void)
{
	struct record_item item = {.id = "1", .payload = slice_text("old")};
	struct record_batch batch = {.connection_id = rig_connection,
				     .sync_id = sync_id,
				     .model = model,
				     .items = &item,
				     .count = 1};

	fresh();
	prune(3, 10, 4, false);
	batch.unless_changed_since_us = rows[0].last_modified_us - 1;
	CALL(SL_OK, record_save(rig_store, &batch, on_counts, NULL));
	check_int(counts.unchanged, ==, 1);
	list();
	check_text(payloads[0], "");
	check_int(rows[0].pruned_us, >, 0);
}

static void
what_is_written_after_the_place_is_not_pruned(void)
{
	struct record_row last;
	struct record_prune it;

	fresh();
	last = rows[3];
	it = (struct record_prune){rig_connection, model, last.last_modified_us, last.uuid, 10};
	save("4", "D"); /* the record of the cursor has moved on */
	CALL(SL_OK, record_prune(rig_store, &it, on_pruned, NULL));
	check_int(pruned, ==, 3);
	check(!more);
	list();
	check_text(payloads[3], "D");
	it.model = "Unknown";
	CALL(SL_OK, record_prune(rig_store, &it, on_pruned, NULL));
	check_int(pruned, ==, 0);
	check(!more);
}

static void
wrong_places_limits_and_connections_are_refused(void)
{
	struct record_prune it = {rig_connection, model, 1, "no uuid", 10};

	fresh();
	CALL(SL_INVALID, record_prune(rig_store, &it, on_pruned, NULL));
	it.until_uuid = rows[0].uuid;
	it.limit = 0;
	CALL(SL_INVALID, record_prune(rig_store, &it, on_pruned, NULL));
	it.limit = 10001;
	CALL(SL_INVALID, record_prune(rig_store, &it, on_pruned, NULL));
	it.limit = 10;
	it.connection_id = 999;
	CALL(SL_NOT_FOUND, record_prune(rig_store, &it, on_pruned, NULL));
	check_int(rig_sql("SELECT count(*) FROM record WHERE payload = ''"), ==, 0);
}

/* A writer that stands before a row is not overtaken: what it commits is seen, and not lost. */
static void
pruning_waits_for_a_writer_of_the_model(void)
{
	struct record_row last;
	struct record_prune it;

	fresh();
	last = rows[3];
	it = (struct record_prune){rig_connection, model, last.last_modified_us, last.uuid, 10};
	rig_sql("BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('M', 1))");
	rig_calls = 0;
	record_prune(rig_store, &it, on_pruned, NULL);
	rig_turns(100);
	check_int(rig_calls, ==, 0);
	rig_sql("COMMIT");
	rig_until(rig_calls > 0);
	check_int(pruned, ==, 4);
}

/* 6 payloads of 32 MiB: one call lets go of 128 MiB and a little. */
static void
a_call_ends_early_when_payloads_are_big(void)
{
	rig_sql("DELETE FROM record; DELETE FROM record_cut");
	rig_sql("INSERT INTO record (connection_id, model, id, sync_id, seen, last_action,"
		" first_seen, last_modified, digest, payload) SELECT 1, 'M', n::text, 1, 1, 1,"
		" now(), now(), '\\x00', convert_to(repeat('x', 33554432), 'UTF8')"
		" FROM generate_series(1, 6) n");
	rows[0] = (struct record_row){.last_modified_us = INT64_C(4000000000000000),
				      .uuid = "ffffffff-ffff-ffff-ffff-ffffffffffff"};
	prune(0, 10, 4, true);
	prune(0, 10, 2, false);
}

/* Plans are made while the tables are empty.  A prefix that is pruned already is not read again. */
static void
pruning_reads_its_rows_and_no_others(void)
{
	struct record_prune it = {rig_connection, model, INT64_C(4000000000000000),
				  "ffffffff-ffff-ffff-ffff-ffffffffffff", 100};
	long long before;

	rig_sql("DELETE FROM record; DELETE FROM record_cut");
	rig_sql("VACUUM ANALYZE");
	rig_cut("sluiced");
	rig_turns(300);
	rig_until(sync_store_is_up(rig_store));
	CALL(SL_OK, record_prune(rig_store, &it, on_pruned, NULL));
	rig_sql(
	    "INSERT INTO record (connection_id, model, id, sync_id, seen, last_action,"
	    " first_seen, last_modified, digest, payload)"
	    " SELECT 1, 'M', 'x' || n, 1, 1, 1, now(), now() + n * interval '1 ms', '\\x00', 'p'"
	    " FROM generate_series(1, 20000) n");
	before = rig_rows_read(false);
	for (int i = 0; i < 40; i++)
		CALL(SL_OK, record_prune(rig_store, &it, on_pruned, NULL));
	check_int(pruned, ==, 100);
	check(more);
	check_int(rig_rows_read(true) - before, <, 40 * 400); /* with the prefix: over 80,000 */
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
	CHECK_RUN(payloads_are_emptied_oldest_first_up_to_a_place);
	CHECK_RUN(a_pruned_record_that_is_saved_again_has_its_payload);
	CHECK_RUN(a_record_that_is_left_alone_stays_pruned);
	CHECK_RUN(what_is_written_after_the_place_is_not_pruned);
	CHECK_RUN(wrong_places_limits_and_connections_are_refused);
	CHECK_RUN(pruning_waits_for_a_writer_of_the_model);
	CHECK_RUN(a_call_ends_early_when_payloads_are_big);
	CHECK_RUN(pruning_reads_its_rows_and_no_others);
	rig_sync_stop();
	return check_done();
}
