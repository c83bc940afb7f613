#include "base/secret.h"
#include "sql/record_count.h"
#include "sql/record_recount.h"
#include "tests/integration/sync_rig.h"

/* How many records a model has, kept with each write; writes that are repeated; lists of what was
 * unchanged. */

#define MANY 30 /* unchanged ones that are worth a list */

static int64_t sync_id, mark;
static const char *model = "M";
static struct record_counts counts;
static int key_count;
static bool flag;
static struct recount_place place;
static char place_model[40];

static void
on_counts(void *arg, enum sl_code code, const struct record_counts *it,
	  const struct sl_error *error)
{
	(void)arg;
	counts = *it;
	rig_answered(code, error);
}

static void
on_keys(void *arg, enum sl_code code, const char *const *ids, int count,
	const struct sl_error *error)
{
	(void)arg;
	(void)ids;
	key_count = count;
	rig_answered(code, error);
}

static void
on_mark(void *arg, enum sl_code code, int64_t number, int64_t at_ms, const struct sl_error *error)
{
	(void)arg;
	check_int(at_ms, >, 0);
	mark = number;
	rig_answered(code, error);
}

static void
on_found(void *arg, enum sl_code code, bool more, const struct recount_place *last,
	 const struct sl_error *error)
{
	(void)arg;
	flag = more;
	snprintf(place_model, sizeof(place_model), "%s", last->model != NULL ? last->model : "");
	place = (struct recount_place){last->connection_id, place_model};
	rig_answered(code, error);
}

static void
on_counted(void *arg, enum sl_code code, bool counted, const struct sl_error *error)
{
	(void)arg;
	flag = counted;
	rig_answered(code, error);
}

static int64_t live_of_model;

static void
on_live(void *arg, enum sl_code code, const struct record_count *rows, int count,
	const struct sl_error *error)
{
	(void)arg;
	live_of_model = 0;
	for (int i = 0; i < count; i++)
		if (strcmp(rows[i].model, model) == 0)
			live_of_model = rows[i].count;
	rig_answered(code, error);
}

static struct record_item items[MANY];
static char names[MANY][12];
static struct record_batch batch;

/* Records first to last - 1, all with this payload. */
static void
batch_of(int first, int last, const char *payload)
{
	batch = (struct record_batch){.connection_id = rig_connection,
				      .sync_id = sync_id,
				      .model = model,
				      .items = items,
				      .count = last - first};
	for (int i = 0; i < last - first; i++) {
		uint8_t full[32];

		snprintf(names[i], sizeof(names[i]), "%d", first + i);
		secret_hmac_sha256(SLICE_LITERAL("test"), slice_text(payload), full);
		items[i] = (struct record_item){.id = names[i], .payload = slice_text(payload)};
		memcpy(items[i].digest, full, RECORD_DIGEST);
	}
}

static void
save(int first, int last, const char *payload)
{
	batch_of(first, last, payload);
	CALL(SL_OK, record_save(rig_store, &batch, on_counts, NULL));
}

/* The number that is kept, the one that is told, and the rows. */
static void
check_live(int wanted)
{
	const int64_t connections[] = {rig_connection};
	char text[200];

	snprintf(text, sizeof(text),
		 "SELECT live FROM record_model WHERE model = '%s' AND counted_at IS NOT NULL",
		 model);
	check_int(rig_sql(text), ==, wanted);
	snprintf(text, sizeof(text),
		 "SELECT count(*) FROM record WHERE model = '%s' AND deleted IS NULL", model);
	check_int(rig_sql(text), ==, wanted);
	CALL(SL_OK, record_count(rig_store, connections, 1, on_live, NULL));
	check_int(live_of_model, ==, wanted);
}

static void
fresh(void)
{
	rig_sql("DELETE FROM record; DELETE FROM record_model; DELETE FROM track_window;"
		" DELETE FROM record_unchanged");
}

static void
track_start(void)
{
	CALL(SL_OK, record_track_start(rig_store, sync_id, model, NULL, rig_on_done, NULL));
}

static void
track_end(const char *write, enum sl_code expected, int deleted)
{
	key_count = -1;
	CALL(expected, record_track_end(rig_store, rig_connection, sync_id, model, NULL, write,
					on_keys, NULL));
	if (expected == SL_OK)
		check_int(key_count, ==, deleted);
}

/* ---- counts --------------------------------------------------------------------------------- */

static void
the_number_follows_every_kind_of_write(void)
{
	fresh();
	save(0, 5, "a");
	check_live(5);
	save(2, 8, "b"); /* 3 updated, 3 added */
	check_live(8);
	save(0, 2, "a");
	check_live(8);
	batch_of(6, 9, "gone"); /* 8 is unknown */
	CALL(SL_OK, record_delete(rig_store, &batch, on_counts, NULL));
	check_live(6);
	save(6, 7, "back");
	check_live(7);
	batch_of(0, 1, "merged");
	memcpy(items[0].expected, items[0].digest, RECORD_DIGEST);
	CALL(SL_OK, record_update(rig_store, &batch, on_counts, NULL));
	check_int(counts.refused, ==, 1);
	check_live(7);
	CALL(SL_OK, record_mark(rig_store, rig_connection, 0, on_mark, NULL));
	save(1, 3, "c");
	CALL(SL_OK, record_delete_unseen(rig_store, rig_connection, sync_id, model, mark, NULL,
					 NULL, on_keys, NULL));
	check_int(key_count, ==, 5);
	check_live(2);
	track_start();
	save(1, 2, "c");
	track_end(NULL, SL_OK, 1);
	check_live(1);
	rig_sql("DELETE FROM record WHERE id IN ('1', '2')"); /* as others remove rows */
	check_live(0);
	save(0, 4, "d");
	CALL(SL_OK, record_clear(rig_store, rig_connection, sync_id, NULL, rig_on_done, NULL));
	check_live(0);
}

static void
a_write_that_fails_counts_nothing(void)
{
	fresh();
	save(0, 3, "a");
	batch_of(3, 6, "a");
	items[1].id = "\xff";
	CALL(SL_INVALID, record_save(rig_store, &batch, on_counts, NULL));
	batch_of(3, 6, "a");
	batch.fence.session = 123456;
	CALL(SL_CONFLICT, record_save(rig_store, &batch, on_counts, NULL));
	check_live(3);
}

/* It writes rows and windows as release 0012 did. */
static void
what_an_earlier_release_writes_is_counted_anew(void)
{
	static const char insert[] =
	    "INSERT INTO record (connection_id, model, id, sync_id, seen, last_action,"
	    " first_seen, last_modified, digest, payload) SELECT 1, 'M', 'x' || n, 1, 1, 1,"
	    " clock_timestamp(), clock_timestamp(), '\\x00', 'p' FROM generate_series(1, 4) n";
	const int64_t connections[] = {rig_connection};

	fresh();
	save(0, 3, "a");
	rig_sql(insert);
	place = (struct recount_place){0, NULL};
	CALL(SL_OK, recount_find(rig_store, &place, on_found, NULL));
	check(!flag);
	check_text(place_model, "M");
	check_int(rig_sql("SELECT count(*) FROM record_model WHERE counted_at IS NULL"), ==, 1);
	CALL(SL_OK, record_count(rig_store, connections, 1, on_live, NULL));
	check_int(live_of_model, ==, 7); /* not what was kept */
	save(3, 4, "a");
	CALL(SL_OK, recount_one(rig_store, on_counted, NULL));
	check(flag);
	check_live(8);
	CALL(SL_OK, recount_one(rig_store, on_counted, NULL));
	check(!flag);
	/* Between two writes of ours it is seen by the second one. */
	rig_sql("UPDATE record SET deleted = now(), last_modified = clock_timestamp(),"
		" last_action = 4 WHERE id LIKE 'x%'");
	save(4, 5, "a");
	CALL(SL_OK, recount_one(rig_store, on_counted, NULL));
	check(flag);
	check_live(5);
	/* A model that only the other one has written. */
	fresh();
	rig_sql(insert);
	rig_sql("DELETE FROM record_model");
	place = (struct recount_place){0, NULL};
	CALL(SL_OK, recount_find(rig_store, &place, on_found, NULL));
	CALL(SL_OK, recount_one(rig_store, on_counted, NULL));
	check(flag);
	check_live(4);
}

/* ---- repeats -------------------------------------------------------------------------------- */

static void
a_repeated_write_tells_what_it_did(void)
{
	fresh();
	batch_of(0, 4, "a");
	batch.write = "first.0";
	for (int i = 0; i < 2; i++) {
		CALL(SL_OK, record_save(rig_store, &batch, on_counts, NULL));
		check_int(counts.added, ==, 4);
		check_int(counts.unchanged, ==, 0);
	}
	save(4, 5, "a"); /* one of the two that are under way at once */
	CALL(SL_OK, (batch_of(0, 4, "a"), batch.write = "first.0",
		     record_save(rig_store, &batch, on_counts, NULL)));
	check_int(counts.added, ==, 4);
	batch.write = "first.1";
	CALL(SL_OK, record_save(rig_store, &batch, on_counts, NULL));
	check_int(counts.added, ==, 0);
	check_int(counts.unchanged, ==, 4);
	batch_of(0, 2, "gone");
	batch.write = "second.0";
	for (int i = 0; i < 2; i++) {
		CALL(SL_OK, record_delete(rig_store, &batch, on_counts, NULL));
		check_int(counts.deleted, ==, 2);
	}
	check_live(3);
	track_start();
	save(2, 3, "a");
	for (int i = 0; i < 2; i++)
		track_end("third.0", SL_OK, 2);
	track_end("third.1", SL_NOT_FOUND, 0);
	track_start();
	save(2, 3, "a");
	for (int i = 0; i < 2; i++)
		track_end("fourth.0", SL_OK, 0); /* there was nothing to delete */
	check_live(1);
}

/* ---- lists ---------------------------------------------------------------------------------- */

static void
unchanged_records_are_listed_and_count_as_seen(void)
{
	long long rows;

	fresh();
	save(0, MANY, "a");
	rows = rig_sql("SELECT xmin::text::bigint FROM record WHERE id = '1'");
	track_start();
	save(0, MANY - 2, "a");
	check_int(counts.unchanged, ==, MANY - 2);
	check_int(rig_sql("SELECT count(*) FROM record_unchanged"), ==, 1);
	check_int(rig_sql("SELECT xmin::text::bigint FROM record WHERE id = '1'"), ==, rows);
	track_end(NULL, SL_OK, 2);
	check_live(MANY - 2);
	/* What was listed before a window opened is not seen in it. */
	track_start();
	track_end(NULL, SL_OK, MANY - 2);
	check_live(0);
}

static void
a_record_goes_over_to_the_sync_that_saves_it(void)
{
	fresh();
	save(0, MANY, "a");
	batch_of(0, MANY, "a");
	batch.sync_id = sync_id + 1;
	CALL(SL_OK, record_save(rig_store, &batch, on_counts, NULL));
	check_int(counts.unchanged, ==, MANY);
	CALL(SL_OK, record_clear(rig_store, rig_connection, sync_id, NULL, rig_on_done, NULL));
	check_live(MANY);
}

/* It cannot read lists: of a window that was written to since, it deletes nothing. */
static void
a_window_of_an_earlier_release_goes_on_and_is_not_closed_by_it(void)
{
	char text[200];

	fresh();
	save(0, MANY, "a");
	snprintf(text, sizeof(text),
		 "INSERT INTO track_window (sync_id, model, opened) SELECT %lld, 'M',"
		 " nextval('record_seen')",
		 (long long)sync_id);
	rig_sql(text);
	save(0, MANY - 3, "a");
	check_int(rig_sql("SELECT count(*) FROM record r, track_window w WHERE r.seen < w.opened"),
		  ==, 0);
	track_end(NULL, SL_OK, 3);
	check_live(MANY - 3);
}

static void
lists_go_when_a_run_begins_that_needs_them_no_more(void)
{
	fresh();
	save(0, MANY, "a");
	save(0, MANY, "a");
	CALL(SL_OK, record_mark(rig_store, rig_connection, sync_id, on_mark, NULL));
	check_int(rig_sql("SELECT mark FROM sync WHERE mark IS NOT NULL"), ==, mark);
	check_int(rig_sql("SELECT count(*) FROM record_unchanged"), ==, 1); /* it is young */
	track_start();
	save(0, MANY, "a");
	rig_sql("UPDATE record_unchanged SET at = now() - interval '2 hours'");
	CALL(SL_OK, record_mark(rig_store, rig_connection, sync_id, on_mark, NULL));
	check_int(rig_sql("SELECT count(*) FROM record_unchanged"), ==, 1); /* the window's */
	track_end(NULL, SL_OK, 0);
	CALL(SL_OK, record_mark(rig_store, rig_second, 0, on_mark, NULL));
	check_int(rig_sql("SELECT count(*) FROM record_unchanged"), ==, 1); /* another's */
	/* Another sync of the connection runs since before it. */
	rig_sql("INSERT INTO concurrency_key (environment_id, name) VALUES (1, 'other');"
		"INSERT INTO sync (environment_id, function_id, connection_id, variant, key_id,"
		" mark, marked_at) SELECT environment_id, function_id, connection_id, 'other',"
		" (SELECT id FROM concurrency_key WHERE name = 'other'), 0, now() FROM sync"
		" LIMIT 1");
	CALL(SL_OK, record_mark(rig_store, rig_connection, sync_id, on_mark, NULL));
	check_int(rig_sql("SELECT count(*) FROM record_unchanged"), ==, 1);
	rig_sql("UPDATE sync SET marked_at = now() - interval '2 days' WHERE variant = 'other'");
	CALL(SL_OK, record_mark(rig_store, rig_connection, sync_id, on_mark, NULL));
	check_int(rig_sql("SELECT count(*) FROM record_unchanged"), ==, 0);
}

/* More than one transaction takes, among those of another sync. */
static void
all_records_of_a_sync_are_cleared_however_many(void)
{
	fresh();
	save(0, 1, "a");
	rig_sql("INSERT INTO record (connection_id, model, id, sync_id, seen, last_action,"
		" first_seen, last_modified, digest, payload) SELECT 1, 'M', 'x' || n,"
		" r.sync_id + n % 2 * 1000, 1, 1, r.first_seen, r.last_modified, '\\x00', 'p'"
		" FROM record r, generate_series(1, 40100) n");
	rig_sql("UPDATE record_model SET live = live + 40100");
	CALL(SL_OK, record_clear(rig_store, rig_connection, sync_id, NULL, rig_on_done, NULL));
	check_int(rig_sql("SELECT count(*) FROM record r, sync s WHERE s.id = r.sync_id"), ==, 0);
	check_live(20050);
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
	CALL(SL_OK, sync_ensure(rig_store, rig_function, rig_connection, "base", on_sync, NULL));
	CHECK_RUN(the_number_follows_every_kind_of_write);
	CHECK_RUN(a_write_that_fails_counts_nothing);
	CHECK_RUN(what_an_earlier_release_writes_is_counted_anew);
	CHECK_RUN(a_repeated_write_tells_what_it_did);
	CHECK_RUN(unchanged_records_are_listed_and_count_as_seen);
	CHECK_RUN(a_record_goes_over_to_the_sync_that_saves_it);
	CHECK_RUN(a_window_of_an_earlier_release_goes_on_and_is_not_closed_by_it);
	CHECK_RUN(lists_go_when_a_run_begins_that_needs_them_no_more);
	CHECK_RUN(all_records_of_a_sync_are_cleared_however_many);
	rig_sync_stop();
	return check_done();
}
