#include "base/secret.h"
#include "tests/integration/sync_rig.h"

/* What tests look at is copied; a page is at most this long. */
#define ROWS_MAX 1200
#define BYTES_MAX 400

static int64_t sync_id;
static const char *model = "M";

static struct record_counts counts;
static struct record_row rows[ROWS_MAX];
static char ids[ROWS_MAX][24];
static char payloads[ROWS_MAX][BYTES_MAX];
static int row_count;
static bool more;
static int64_t mark;

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
	row_count = count;
	more = goes_on;
	for (int i = 0; i < count && i < ROWS_MAX; i++) {
		rows[i] = it[i];
		snprintf(ids[i], sizeof(ids[i]), "%s", it[i].id);
		snprintf(payloads[i], sizeof(payloads[i]), "%.*s", (int)it[i].payload.len,
			 it[i].payload.data);
	}
	rig_answered(code, error);
}

static void
on_keys(void *arg, enum sl_code code, const char *const *it, int count,
	const struct sl_error *error)
{
	(void)arg;
	row_count = count;
	for (int i = 0; i < count && i < ROWS_MAX; i++)
		snprintf(ids[i], sizeof(ids[i]), "%s", it[i]);
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

/* ---- batches written as "id=payload id=payload" --------------------------------------------- */

static void
digest_of(struct slice text, uint8_t out[RECORD_DIGEST])
{
	uint8_t full[32];

	secret_hmac_sha256(SLICE_LITERAL("test"), text, full);
	memcpy(out, full, RECORD_DIGEST);
}

static char batch_text[2000];
static struct record_item items[RECORD_BATCH_MAX + 1];
static struct record_batch batch;

static void
batch_of(const char *text)
{
	char *save = NULL, *part;

	snprintf(batch_text, sizeof(batch_text), "%s", text);
	batch = (struct record_batch){
	    .connection_id = rig_connection, .sync_id = sync_id, .model = model, .items = items};
	for (part = strtok_r(batch_text, " ", &save); part != NULL;
	     part = strtok_r(NULL, " ", &save)) {
		struct record_item *item = &items[batch.count++];
		char *payload = strchr(part, '=');

		*payload++ = '\0';
		*item = (struct record_item){.id = part, .payload = slice_text(payload)};
		digest_of(item->payload, item->digest);
	}
}

static void
check_counts(int added, int updated, int deleted, int unchanged, int refused)
{
	check_int(counts.added, ==, added);
	check_int(counts.updated, ==, updated);
	check_int(counts.deleted, ==, deleted);
	check_int(counts.unchanged, ==, unchanged);
	check_int(counts.refused, ==, refused);
}

static void
save(const char *text)
{
	batch_of(text);
	CALL(SL_OK, record_save(rig_store, &batch, on_counts, NULL));
}

static void
delete_(const char *text)
{
	batch_of(text);
	CALL(SL_OK, record_delete(rig_store, &batch, on_counts, NULL));
}

/* Each item was read with the payload `expected`. */
static void
update(const char *text, const char *expected)
{
	batch_of(text);
	for (int i = 0; i < batch.count; i++)
		digest_of(slice_text(expected), items[i].expected);
	CALL(SL_OK, record_update(rig_store, &batch, on_counts, NULL));
}

static void
list(struct record_query *query)
{
	query->connection_id = rig_connection;
	query->model = model;
	if (query->limit == 0)
		query->limit = 1000;
	CALL(SL_OK, record_list(rig_store, query, on_rows, NULL));
}

static const struct record_row *
read_one(const char *id)
{
	struct record_query query = {.ids = &id, .id_count = 1};

	list(&query);
	check_int(row_count, ==, 1);
	check_text(ids[0], id);
	return &rows[0];
}

static void
fresh(const char *name)
{
	model = name;
	rig_sql("DELETE FROM record; DELETE FROM track_window");
}

/* ---- writing -------------------------------------------------------------------------------- */

static void
saving_tells_added_from_updated_from_unchanged(void)
{
	struct record_row before;

	fresh("M");
	save("1=a 2=b 3=c");
	check_counts(3, 0, 0, 0, 0);
	before = *read_one("1");
	check_int(before.last_action, ==, RECORD_ADDED);
	check_int(before.first_seen_us, ==, before.last_modified_us);
	check_int(before.first_seen_us / 1000, >, clock_wall_ms() - 60000);
	check_int(before.deleted_us, ==, 0);
	check_int(before.pruned_us, ==, 0);
	save("4=d 1=a 2=B");
	check_counts(1, 1, 0, 1, 0);
	check_int(read_one("1")->last_modified_us, ==, before.last_modified_us); /* not touched */
	check_int(rows[0].last_action, ==, RECORD_ADDED);
	check_text(rows[0].uuid, before.uuid);
	check_int(read_one("2")->last_modified_us, >, before.last_modified_us);
	check_int(rows[0].first_seen_us, ==, before.first_seen_us);
	check_int(rows[0].last_action, ==, RECORD_UPDATED);
	check_text(payloads[0], "B");
	check(memcmp(rows[0].digest, items[1].digest, RECORD_DIGEST) == 0 ||
	      memcmp(rows[0].digest, items[2].digest, RECORD_DIGEST) == 0);
	save("");
	check_counts(0, 0, 0, 0, 0);
	model = "M::other"; /* a model of its own */
	save("1=a");
	check_counts(1, 0, 0, 0, 0);
}

static void
a_deleted_record_that_is_saved_again_is_added_afresh(void)
{
	struct record_row before;

	fresh("M");
	save("1=a 2=b");
	before = *read_one("1");
	delete_("1=gone");
	check_counts(0, 0, 1, 0, 0);
	check_int(read_one("1")->last_action, ==, RECORD_DELETED);
	check_text(payloads[0], "gone");
	check_int(rows[0].deleted_us, ==, rows[0].last_modified_us);
	check_int(rows[0].first_seen_us, ==, before.first_seen_us);
	delete_("1=again"); /* left as it is */
	check_counts(0, 0, 0, 0, 0);
	read_one("1");
	check_text(payloads[0], "gone");
	save("1=a");
	check_counts(1, 0, 0, 0, 0);
	check_int(read_one("1")->last_action, ==, RECORD_ADDED);
	check_int(rows[0].deleted_us, ==, 0);
	check_int(rows[0].first_seen_us, >, before.first_seen_us);
	check_text(rows[0].uuid, before.uuid);
	delete_("1=gone");
	save("1=gone"); /* the digest of the deleted row does not count */
	check_counts(1, 0, 0, 0, 0);
}

static void
deleting_an_unknown_id_makes_a_deleted_row_that_is_not_counted(void)
{
	fresh("M");
	save("1=a");
	batch_of("1=x 7=y");
	items[1].deleted_ms = 1700000000123;
	CALL(SL_OK, record_delete(rig_store, &batch, on_counts, NULL));
	check_counts(0, 0, 1, 0, 0);
	check_int(read_one("7")->last_action, ==, RECORD_DELETED);
	check_int(rows[0].deleted_us, ==, 1700000000123000);
	check_int(rows[0].last_modified_us, >, 1700000000123000);
	check_text(payloads[0], "y");
}

static void
an_update_needs_the_content_that_was_read(void)
{
	fresh("M");
	save("1=a 2=b 3=a 4=a");
	delete_("4=a");
	update("1=A 2=A 3=a 4=A 5=A", "a");
	check_counts(0, 1, 0, 1, 3); /* 2 changed since, 4 is deleted, 5 is unknown */
	read_one("1");
	check_text(payloads[0], "A");
	read_one("2");
	check_text(payloads[0], "b");
	check_int(rig_sql("SELECT count(*) FROM record"), ==, 4);
	update("1=A", "a"); /* again, its first answer was lost */
	check_counts(0, 0, 0, 1, 0);
}

static void
rows_that_changed_since_are_left_alone(void)
{
	int64_t began;

	fresh("M");
	save("1=a 2=b 3=c");
	began = read_one("3")->last_modified_us;
	save("1=new");
	batch_of("1=old 2=B 3=c 4=d");
	batch.unless_changed_since_us = began;
	CALL(SL_OK, record_save(rig_store, &batch, on_counts, NULL));
	check_counts(1, 1, 0, 2, 0);
	read_one("1");
	check_text(payloads[0], "new");
	read_one("2");
	check_text(payloads[0], "B");
	batch_of("1=old 3=gone");
	batch.unless_changed_since_us = began;
	CALL(SL_OK, record_delete(rig_store, &batch, on_counts, NULL));
	check_counts(0, 0, 1, 1, 0);
	batch_of("1=old");
	batch.unless_changed_since_us = began;
	CALL(SL_OK, record_update(rig_store, &batch, on_counts, NULL));
	check_counts(0, 0, 0, 1, 0);
	read_one("1");
	check_text(payloads[0], "new");
}

static void
payloads_come_back_byte_for_byte(void)
{
	static const char text[] = "{\"a\":\"\\u0000 \xf0\x9f\x98\x80 \\ud83d\",\"n\":1.10e400}";
	static const char bytes[] = {'x', 0, '\xff', '\\', 'y'};
	static char long_id[256];
	struct record_row row;

	fresh("M");
	memset(long_id, 'i', sizeof(long_id) - 1);
	batch_of("1=a 2=b 3=c");
	items[0].payload = SLICE_LITERAL(text);
	items[0].id = "\xf0\x9f\x98\x80 '\"\\";
	items[1].payload = (struct slice){bytes, sizeof(bytes)};
	items[2].id = long_id;
	CALL(SL_OK, record_save(rig_store, &batch, on_counts, NULL));
	row = *read_one("\xf0\x9f\x98\x80 '\"\\");
	check_int(row.payload.len, ==, sizeof(text) - 1);
	check_text(payloads[0], text);
	check_int(read_one("2")->payload.len, ==, sizeof(bytes));
	check_int(rig_sql("SELECT (payload = '\\x7800ff5c79')::int FROM record WHERE id = '2'"), ==,
		  1);
	check_int(rig_sql("SELECT count(*) FROM record WHERE length(id) = 255"), ==, 1);
}

static void
bad_batches_are_refused_whole(void)
{
	static char long_id[300];

	fresh("M");
	memset(long_id, 'i', 256);
	batch_of("2=a 1=b 2=c");
	CALL(SL_INVALID, record_save(rig_store, &batch, on_counts, NULL));
	batch_of("1=a 2=b");
	items[1].id = "";
	CALL(SL_INVALID, record_save(rig_store, &batch, on_counts, NULL));
	items[1].id = long_id;
	CALL(SL_INVALID, record_update(rig_store, &batch, on_counts, NULL));
	items[1].id = "\xff";
	CALL(SL_INVALID, record_save(rig_store, &batch, on_counts, NULL));
	batch.count = RECORD_BATCH_MAX + 1;
	CALL(SL_INVALID, record_delete(rig_store, &batch, on_counts, NULL));
	batch_of("1=a 2=b");
	items[0].payload.len = (size_t)300 << 20; /* counted, not read */
	CALL(SL_EXHAUSTED, record_save(rig_store, &batch, on_counts, NULL));
	batch_of("1=a");
	batch.connection_id = 999;
	CALL(SL_NOT_FOUND, record_save(rig_store, &batch, on_counts, NULL));
	check_int(rig_sql("SELECT count(*) FROM record"), ==, 0);
}

static void
a_thousand_records_are_one_batch(void)
{
	static char names[RECORD_BATCH_MAX][12], texts[RECORD_BATCH_MAX][60];

	fresh("M");
	for (int round = 0; round < 3; round++) {
		batch_of("");
		batch.count = RECORD_BATCH_MAX;
		for (int i = 0; i < RECORD_BATCH_MAX; i++) {
			snprintf(names[i], sizeof(names[i]), "%d", i);
			snprintf(texts[i], sizeof(texts[i]), "{\"id\":%d,\"round\":%d}", i,
				 round == 2 && i % 4 == 0);
			items[i] =
			    (struct record_item){names[i], slice_text(texts[i]), {0}, {0}, 0};
			digest_of(items[i].payload, items[i].digest);
		}
		CALL(SL_OK, record_save(rig_store, &batch, on_counts, NULL));
		if (round == 0)
			check_counts(1000, 0, 0, 0, 0);
		else if (round == 1)
			check_counts(0, 0, 0, 1000, 0);
		else
			check_counts(0, 250, 0, 750, 0);
		/* One transaction each; what did not change is not written. */
		check_int(rig_sql("SELECT count(DISTINCT xmin::text) FROM record"), ==,
			  round == 2 ? 2 : 1);
	}
	check_int(
	    rig_sql("SELECT count(*) FROM record r, (SELECT xmin FROM record WHERE id = '1') o"
		    " WHERE r.xmin = o.xmin"),
	    ==, 750);
}

/* Of the same ids in opposite order, through two connections. */
static void
batches_at_the_same_time_do_not_stop_each_other(void)
{
	struct pg_settings settings = {rig_conninfo, "sluiced second", false, 0, false};
	struct sync_store *second = sync_store_new(rig_loop, &settings);
	char name[12];

	fresh("M");
	rig_until(sync_store_is_up(second));
	rig_calls = 0;
	for (int round = 0; round < 60; round++) {
		batch_of("");
		batch.count = 2;
		items[round % 2] = (struct record_item){.id = "a", .payload = slice_text("1")};
		items[1 - round % 2] = (struct record_item){.id = "b", .payload = slice_text("2")};
		snprintf(name, sizeof(name), "%d", round);
		digest_of(slice_text(name), items[0].digest);
		digest_of(slice_text(name), items[1].digest);
		record_save(round % 2 ? second : rig_store, &batch, on_counts, NULL);
	}
	rig_until(rig_calls == 60);
	check_int(rig_code, ==, SL_OK);
	sync_store_free(second);
}

/* ---- reading -------------------------------------------------------------------------------- */

static void
pages_hold_each_record_once_and_in_order(void)
{
	static const char *const texts[] = {"1=a 2=b 3=c 4=d", "5=e 6=f 7=g", "2=B 8=h", "9=i"};
	int seen[10] = {0}, total = 0;
	struct record_query query = {.after_uuid = "", .limit = 2};
	struct record_row last = {0};
	int64_t third = 0;

	fresh("M");
	for (int i = 0; i < 4; i++) {
		save(texts[i]);
		if (i == 2)
			third = read_one("8")->last_modified_us;
	}
	do {
		list(&query);
		check_int(row_count, <=, 2);
		for (int i = 0; i < row_count; i++) {
			check_int(rows[i].last_modified_us, >=, last.last_modified_us);
			if (rows[i].last_modified_us == last.last_modified_us)
				check(strcmp(rows[i].uuid, last.uuid) > 0);
			last = rows[i];
			seen[ids[i][0] - '0']++;
			total++;
		}
		query.after_us = last.last_modified_us;
		query.after_uuid = last.uuid;
	} while (more);
	check_int(total, ==, 9);
	for (int i = 1; i < 10; i++)
		check_int(seen[i], ==, 1);
	list(&query);
	check_int(row_count, ==, 0);
	check(!more);
	save("1=A"); /* what changes comes again, at the end */
	list(&query);
	check_int(row_count, ==, 1);
	check_text(ids[0], "1");
	query = (struct record_query){.modified_since_us = third};
	list(&query);
	check_int(row_count, ==, 4); /* 2, 8, 9, 1: inclusive */
	query.modified_since_us = third + 1;
	list(&query);
	check_int(row_count, ==, 2);
}

static void
a_page_that_is_exactly_full_does_not_promise_more(void)
{
	struct record_query query = {.limit = 2};

	fresh("M");
	save("1=a 2=b");
	list(&query);
	check_int(row_count, ==, 2);
	check(!more);
	query.limit = 1;
	list(&query);
	check(more);
}

static void
records_are_filtered_by_action_and_id(void)
{
	static const char *const some[] = {"3", "1", "3", "nope"};
	struct record_query query = {.actions = RECORD_ADDED};

	fresh("M");
	save("1=a 2=b 3=c");
	save("2=B");
	delete_("3=x");
	list(&query);
	check_int(row_count, ==, 1);
	check_text(ids[0], "1");
	query.actions = RECORD_UPDATED | RECORD_DELETED;
	list(&query);
	check_int(row_count, ==, 2);
	check_text(ids[0], "2");
	check_text(ids[1], "3");
	query.actions = 0;
	query.ids = some;
	query.id_count = 4;
	list(&query);
	check_int(row_count, ==, 2);
	check_text(ids[0], "1");
	check_text(ids[1], "3");
	query.actions = RECORD_DELETED;
	list(&query);
	check_int(row_count, ==, 1);
	query = (struct record_query){rig_connection, "Unknown", 0, NULL, 0, 0, NULL, 0, 10};
	CALL(SL_OK, record_list(rig_store, &query, on_rows, NULL));
	check_int(row_count, ==, 0);
	query.after_uuid = "no uuid";
	CALL(SL_INVALID, record_list(rig_store, &query, on_rows, NULL));
	query.after_uuid = NULL;
	query.limit = 10001;
	CALL(SL_INVALID, record_list(rig_store, &query, on_rows, NULL));
}

/* 40 records of 4 MiB: a page of a thousand would take more memory than a page may. */
static void
a_page_of_big_payloads_ends_early(void)
{
	struct record_query query = {.after_uuid = "", .limit = 1000};
	struct record_row last;
	int total = 0, pages = 0;

	fresh("M");
	rig_sql("INSERT INTO record (connection_id, model, id, sync_id, seen, last_action,"
		" first_seen, last_modified, digest, payload) SELECT 1, 'M', n::text, 1, 1, 1,"
		" now(), now(), '\\x00', decode(repeat('00', 4194304), 'hex')"
		" FROM generate_series(1, 40) n");
	do {
		list(&query);
		check_int(row_count, >, 0);
		check_int(row_count, <, 20);
		last = rows[row_count - 1];
		query.after_us = last.last_modified_us;
		query.after_uuid = last.uuid;
		total += row_count;
		pages++;
	} while (more && pages < 40);
	check_int(total, ==, 40);
	check_int(pages, >, 2);
}

/* The clock of the server is set back: what is written later is still later in the order. */
static void
the_order_grows_whatever_the_clock_says(void)
{
	int64_t ahead;

	fresh("M");
	save("1=a");
	rig_sql("UPDATE record SET last_modified = now() + interval '1 day'");
	ahead = read_one("1")->last_modified_us;
	save("2=b");
	check_int(read_one("2")->last_modified_us, ==, ahead + 1);
	delete_("1=x");
	check_int(read_one("1")->last_modified_us, ==, ahead + 2);
}

/* A writer who got its place first commits first: a reader never sees a place before that of a row
 * that comes later. */
static void
places_become_visible_in_their_order(void)
{
	struct record_query query = {.after_uuid = ""};

	fresh("M");
	rig_sql("BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('M', 1))");
	rig_sql("INSERT INTO record (connection_id, model, id, sync_id, seen, last_action,"
		" first_seen, last_modified, digest, payload) VALUES (1, 'M', 'early', 1, 1, 1,"
		" clock_timestamp(), clock_timestamp(), '\\x00', '')");
	rig_calls = 0;
	batch_of("late=x");
	record_save(rig_store, &batch, on_counts, NULL);
	rig_turns(100);
	check_int(rig_calls, ==, 0); /* waits for the other writer of the model */
	rig_sql("COMMIT");
	rig_until(rig_calls > 0);
	list(&query);
	check_int(row_count, ==, 2);
	check_text(ids[0], "early");
	check_text(ids[1], "late");
}

/* ---- tracked deletes ------------------------------------------------------------------------ */

static void
track_start(int64_t session, enum sl_code expected)
{
	struct sync_fence fence = {.session = session};

	CALL(expected, record_track_start(rig_store, sync_id, model, &fence, rig_on_done, NULL));
}

static void
track_end(int64_t session, enum sl_code expected)
{
	struct sync_fence fence = {.session = session};

	CALL(expected, record_track_end(rig_store, rig_connection, sync_id, model, &fence, NULL,
					on_keys, NULL));
}

static void
a_window_survives_runs_and_deletes_only_what_was_not_seen(void)
{
	fresh("M");
	save("1=a 2=b 3=c 4=d 5=e");
	delete_("5=x");
	model = "N";
	save("1=a"); /* of another model */
	model = "M";
	track_end(0, SL_NOT_FOUND);
	track_start(0, SL_OK);
	save("1=a");           /* seen in the first run, unchanged */
	track_start(0, SL_OK); /* a second run: the window stays as it was opened */
	save("3=C 6=f");
	track_end(0, SL_OK);
	check_int(row_count, ==, 2);
	check_int(ids[0][0] + ids[1][0], ==, '2' + '4');
	check_int(read_one("2")->last_action, ==, RECORD_DELETED);
	check_text(payloads[0], "b"); /* kept */
	check_int(rows[0].deleted_us, ==, rows[0].last_modified_us);
	check_int(read_one("1")->deleted_us, ==, 0);
	check_int(read_one("6")->deleted_us, ==, 0);
	track_end(0, SL_NOT_FOUND); /* it is closed */
	model = "N";
	check_int(read_one("1")->deleted_us, ==, 0);
}

static void
what_is_updated_or_left_alone_was_seen_too(void)
{
	int64_t began;

	fresh("M");
	save("1=a 2=b 3=c");
	began = read_one("1")->last_modified_us;
	save("2=new");
	track_start(0, SL_OK);
	update("1=A", "a");
	batch_of("2=old");
	batch.unless_changed_since_us = began;
	CALL(SL_OK, record_save(rig_store, &batch, on_counts, NULL));
	track_end(0, SL_OK);
	check_int(row_count, ==, 1);
	check_text(ids[0], "3");
}

static void
what_was_not_seen_since_a_mark_is_deleted(void)
{
	fresh("M");
	save("1=a 2=b");
	CALL(SL_OK, record_mark(rig_store, rig_connection, 0, on_mark, NULL));
	save("2=b 3=c");
	CALL(SL_OK, record_delete_unseen(rig_store, rig_connection, sync_id, model, mark, NULL,
					 NULL, on_keys, NULL));
	check_int(row_count, ==, 1);
	check_text(ids[0], "1");
	CALL(SL_OK, record_delete_unseen(rig_store, rig_connection, sync_id, model, mark, NULL,
					 NULL, on_keys, NULL));
	check_int(row_count, ==, 0);
}

static void
clearing_removes_the_records_of_one_sync(void)
{
	fresh("M");
	save("1=a 2=b");
	model = "N";
	save("1=a");
	batch_of("2=b");
	batch.sync_id = sync_id + 1;
	CALL(SL_OK, record_save(rig_store, &batch, on_counts, NULL));
	CALL(SL_OK, record_clear(rig_store, rig_connection, sync_id, NULL, rig_on_done, NULL));
	check_int(rig_sql("SELECT count(*) FROM record"), ==, 1);
	read_one("2");
	model = "M";
	save("1=a");
	check_counts(1, 0, 0, 0, 0);
}

/* ---- the fence ------------------------------------------------------------------------------ */

static void
an_ended_session_writes_nothing(void)
{
	int64_t session = rig_new_session();

	fresh("M");
	batch_of("1=a 2=b");
	batch.fence.session = session;
	CALL(SL_OK, record_save(rig_store, &batch, on_counts, NULL));
	check_counts(2, 0, 0, 0, 0);
	track_start(session, SL_OK);
	rig_end_session(session);
	batch_of("1=b 3=c");
	batch.fence.session = session;
	digest_of(slice_text("a"), items[0].expected);
	CALL(SL_CONFLICT, record_save(rig_store, &batch, on_counts, NULL));
	check_counts(0, 0, 0, 0, 0);
	CALL(SL_CONFLICT, record_update(rig_store, &batch, on_counts, NULL));
	CALL(SL_CONFLICT, record_delete(rig_store, &batch, on_counts, NULL));
	track_end(session, SL_CONFLICT);
	CALL(SL_CONFLICT, record_delete_unseen(rig_store, rig_connection, sync_id, model, INT64_MAX,
					       &batch.fence, NULL, on_keys, NULL));
	CALL(SL_CONFLICT,
	     record_clear(rig_store, rig_connection, sync_id, &batch.fence, rig_on_done, NULL));
	model = "N";
	track_start(session, SL_CONFLICT);
	batch.fence.session = 123456; /* never was */
	CALL(SL_CONFLICT, record_save(rig_store, &batch, on_counts, NULL));
	check_int(rig_sql("SELECT count(*) FROM record WHERE last_action = 1 AND deleted IS NULL"),
		  ==, 2);
	check_int(rig_sql("SELECT count(*) FROM track_window"), ==, 1);
}

/* A session cannot end between the look at it and the commit of what it writes. */
static void
a_session_ends_before_or_after_a_batch(void)
{
	int64_t session = rig_new_session();

	fresh("M");
	rig_sql("BEGIN");
	rig_end_session(session); /* not committed yet */
	batch_of("1=a");
	batch.fence.session = session;
	rig_calls = 0;
	record_save(rig_store, &batch, on_counts, NULL);
	rig_turns(100);
	check_int(rig_calls, ==, 0);
	rig_sql("COMMIT");
	rig_until(rig_calls > 0);
	check_int(rig_code, ==, SL_CONFLICT);
	check_int(rig_sql("SELECT count(*) FROM record"), ==, 0);
}

/* ---- plans and faults ----------------------------------------------------------------------- */

/* Plans are made while the tables are empty, and kept: they must not be scans of what they become.
 */
static void
statements_read_their_rows_and_no_others(void)
{
	static const char *const some[] = {"1", "2"};
	struct record_query query = {.ids = some, .id_count = 2}, page = {.limit = 10};
	long long before = 0;

	fresh("M");
	rig_sql("VACUUM ANALYZE"); /* entries of rows that are gone count as read, too */
	rig_cut("sluiced");
	rig_turns(300);
	rig_until(sync_store_is_up(rig_store));
	for (int round = 0; round < 2; round++) {
		if (round == 1) {
			rig_sql("INSERT INTO record (connection_id, model, id, sync_id, seen,"
				" last_action, first_seen, last_modified, digest, payload)"
				" SELECT 1, 'M', 'x' || n, 1, 1, 1, now() + n * interval '1 ms',"
				" now() + n * interval '1 ms', '\\x00', 'p'"
				" FROM generate_series(1, 20000) n");
			before = rig_rows_read(false);
		}
		save("1=a 2=b 3=c");
		update("1=A", "a");
		delete_("2=x");
		list(&query);
		check_int(row_count, ==, 2);
		list(&page);
		check_int(row_count, ==, round == 0 ? 3 : 10);
		batch_of("9=a");
		batch.fence.session = rig_new_session();
		CALL(SL_OK, record_save(rig_store, &batch, on_counts, NULL));
	}
	check_int(rig_rows_read(true) - before, <, 500);
}

static void
a_lost_connection_is_unavailable_and_saving_again_is_harmless(void)
{
	fresh("M");
	rig_until(sync_store_is_up(rig_store));
	rig_sql("BEGIN; LOCK TABLE record IN EXCLUSIVE MODE");
	batch_of("1=a");
	rig_calls = 0;
	record_save(rig_store, &batch, on_counts, NULL);
	rig_turns(100);
	rig_cut("sluiced records");
	rig_until(rig_calls > 0);
	check_int(rig_code, ==, SL_UNAVAILABLE);
	rig_sql("COMMIT");
	save("1=a");
	check_counts(1, 0, 0, 0, 0);
	save("1=a");
	check_counts(0, 0, 0, 1, 0);
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
	CHECK_RUN(saving_tells_added_from_updated_from_unchanged);
	CHECK_RUN(a_deleted_record_that_is_saved_again_is_added_afresh);
	CHECK_RUN(deleting_an_unknown_id_makes_a_deleted_row_that_is_not_counted);
	CHECK_RUN(an_update_needs_the_content_that_was_read);
	CHECK_RUN(rows_that_changed_since_are_left_alone);
	CHECK_RUN(payloads_come_back_byte_for_byte);
	CHECK_RUN(bad_batches_are_refused_whole);
	CHECK_RUN(a_thousand_records_are_one_batch);
	CHECK_RUN(batches_at_the_same_time_do_not_stop_each_other);
	CHECK_RUN(pages_hold_each_record_once_and_in_order);
	CHECK_RUN(a_page_that_is_exactly_full_does_not_promise_more);
	CHECK_RUN(records_are_filtered_by_action_and_id);
	CHECK_RUN(a_page_of_big_payloads_ends_early);
	CHECK_RUN(the_order_grows_whatever_the_clock_says);
	CHECK_RUN(places_become_visible_in_their_order);
	CHECK_RUN(a_window_survives_runs_and_deletes_only_what_was_not_seen);
	CHECK_RUN(what_is_updated_or_left_alone_was_seen_too);
	CHECK_RUN(what_was_not_seen_since_a_mark_is_deleted);
	CHECK_RUN(clearing_removes_the_records_of_one_sync);
	CHECK_RUN(an_ended_session_writes_nothing);
	CHECK_RUN(a_session_ends_before_or_after_a_batch);
	CHECK_RUN(statements_read_their_rows_and_no_others);
	CHECK_RUN(a_lost_connection_is_unavailable_and_saving_again_is_harmless);
	rig_sync_stop();
	return check_done();
}
