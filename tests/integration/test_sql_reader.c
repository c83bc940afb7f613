/* What a reader is owed: whoever follows cursors, or asks for what was modified since the last thing
 * seen, sees every change of a model at least once, whatever writers do meanwhile. */
#include "tests/integration/sync_rig.h"

#define ROUNDS 12
#define WRITERS 3
#define NAMES 40
#define BATCHES 150 /* of each writer */

static int64_t sync_id;

/* ---- writers, each on a connection of its own --------------------------------------------------- */

struct writer {
	struct sync_store *store;
	bool busy, failed;
	char ids[4][16], payload[16];
	struct record_item items[4];
	int sent;
};
static struct writer writers[WRITERS];

static void
on_written(void *arg, enum sl_code code, const struct record_counts *counts,
	   const struct sl_error *error)
{
	struct writer *writer = arg;

	(void)counts;
	(void)error;
	writer->busy = false;
	writer->failed = writer->failed || code != SL_OK;
}

typedef void write_call(struct sync_store *store, const struct record_batch *batch,
			record_counts_cb *cb, void *arg);

/* count ids of the writer, all with its payload. */
static void
write_some(struct writer *writer, write_call *write, int count)
{
	struct record_batch batch = {.connection_id = rig_connection,
				     .sync_id = sync_id,
				     .model = "M",
				     .items = writer->items,
				     .count = count};

	for (int i = 0; i < count; i++) {
		writer->items[i] = (struct record_item){.id = writer->ids[i],
							.payload = slice_text(writer->payload)};
		memcpy(writer->items[i].digest, writer->payload, RECORD_DIGEST);
	}
	writer->busy = true;
	write(writer->store, &batch, on_written, writer);
}

/* ---- readers: what each has seen last of every record ------------------------------------------- */

struct reader {
	bool by_cursor; /* or by modified_after, which is inclusive */
	bool busy;
	int64_t at_us;
	char at_uuid[UUID_TEXT];
	int rows; /* of the last page */
	struct known {
		char id[16], payload[16];
	} known[400];
	int known_count;
};
static struct reader readers[2] = {{.by_cursor = true}, {.by_cursor = false}};

static void
learn(struct reader *reader, const struct record_row *row)
{
	struct known *known = reader->known;

	for (int i = 0; i < reader->known_count && strcmp(known->id, row->id) != 0; i++)
		known++;
	if (known == &reader->known[reader->known_count])
		reader->known_count++;
	check_int(reader->known_count, <=, 400);
	snprintf(known->id, sizeof(known->id), "%s", row->id);
	snprintf(known->payload, sizeof(known->payload), "%.*s", (int)row->payload.len,
		 row->payload.data);
}

static void
on_rows(void *arg, enum sl_code code, const struct record_row *rows, int count, bool more,
	const struct sl_error *error)
{
	struct reader *reader = arg;

	(void)error;
	check_int(code, ==, SL_OK);
	reader->busy = false;
	reader->rows = count;
	for (int i = 0; i < count; i++) {
		check_int(rows[i].last_modified_us, >=, reader->at_us);
		learn(reader, &rows[i]);
		reader->at_us = rows[i].last_modified_us;
		memcpy(reader->at_uuid, rows[i].uuid, sizeof(reader->at_uuid));
	}
	if (!more && !reader->by_cursor)
		reader->rows = 0; /* the last moment comes again each time */
}

static void
read_on(struct reader *reader)
{
	struct record_query query = {.connection_id = rig_connection, .model = "M", .limit = 200};

	if (reader->busy)
		return;
	query.after_uuid = reader->by_cursor ? reader->at_uuid : "";
	query.after_us = reader->by_cursor ? reader->at_us : 0;
	query.modified_since_us = reader->by_cursor ? 0 : reader->at_us;
	reader->busy = true;
	record_list(rig_store, &query, on_rows, reader);
}

static void
read_all(void)
{
	for (int i = 0; i < 2; i++)
		do {
			rig_until(!readers[i].busy);
			read_on(&readers[i]);
			rig_until(!readers[i].busy);
		} while (readers[i].rows > 0);
}

/* Every row of the table is what both readers believe, and they believe nothing else. */
static void
check_readers(void)
{
	PGresult *truth = PQexec(
	    rig_direct, "SELECT id, convert_from(payload, 'UTF8') FROM record WHERE model = 'M'");

	for (int r = 0; r < 2; r++) {
		check_int(readers[r].known_count, ==, PQntuples(truth));
		for (int i = 0; i < PQntuples(truth); i++) {
			const struct known *known = readers[r].known;

			for (int k = 0; k < readers[r].known_count &&
					strcmp(known->id, PQgetvalue(truth, i, 0)) != 0;
			     k++)
				known++;
			check_text(known->id, PQgetvalue(truth, i, 0));
			check_text(known->payload, PQgetvalue(truth, i, 1));
		}
	}
	PQclear(truth);
}

static void
fresh(void)
{
	rig_sql("DELETE FROM record; DELETE FROM record_model; DELETE FROM record_cut");
	for (int i = 0; i < 2; i++)
		readers[i] = (struct reader){.by_cursor = i == 0};
	for (int i = 0; i < WRITERS; i++)
		rig_until(sync_store_is_up(writers[i].store));
}

static void
name_ids(struct writer *writer, const char *first, const char *second, int version)
{
	snprintf(writer->ids[0], sizeof(writer->ids[0]), "%s", first);
	snprintf(writer->ids[1], sizeof(writer->ids[1]), "%s", second);
	snprintf(writer->payload, sizeof(writer->payload), "%-15d", version);
}

/* Backends of the code under test that wait for a lock. */
static long long
waiting(void)
{
	PGresult *result = PQexec(rig_admin, "SELECT count(*) FROM pg_stat_activity"
					     " WHERE wait_event_type = 'Lock'"
					     " AND application_name LIKE 'sluiced%'");
	long long count = strtoll(PQgetvalue(result, 0, 0), NULL, 10);

	PQclear(result);
	return count;
}

/* ---- the claims ------------------------------------------------------------------------------ */

/* The first writer gets its place, and is then held up before it commits: by a row that somebody
 * else has locked.  The second one comes later, and would be done before it. */
static void
a_place_that_commits_late_hides_nothing(void)
{
	static write_call *const calls[] = {record_save, record_delete};

	fresh();
	name_ids(&writers[0], "held", "other", 0);
	write_some(&writers[0], record_save, 2);
	rig_until(!writers[0].busy);
	for (int round = 1; round <= ROUNDS; round++) {
		char name[16];

		read_all();
		rig_sql("BEGIN; SELECT FROM record WHERE id = 'held' FOR UPDATE");
		snprintf(name, sizeof(name), "a%d", round);
		name_ids(&writers[0], name, "held", round);
		write_some(&writers[0], calls[round % 2], 2);
		rig_until(waiting() == 1);
		snprintf(name, sizeof(name), "b%d", round);
		name_ids(&writers[1], name, "other", round);
		write_some(&writers[1], record_save, 2);
		rig_until(!writers[1].busy || waiting() == 2);
		read_all(); /* what is committed now may be behind what comes */
		rig_sql("COMMIT");
		rig_until(!writers[0].busy && !writers[1].busy);
		read_all();
		check_readers();
	}
	check(!writers[0].failed && !writers[1].failed);
}

/* Without barriers: as fast as it goes, on few records. */
static void
readers_keep_up_with_several_writers(void)
{
	unsigned seed = 7;
	bool working = true;

	fresh();
	for (int i = 0; i < WRITERS; i++)
		writers[i].sent = 0;
	while (working) {
		working = false;
		for (int i = 0; i < WRITERS; i++) {
			struct writer *writer = &writers[i];
			int first = (int)(seed = seed * 1103515245 + 12345) & 0xffff;

			working = working || writer->busy || writer->sent < BATCHES;
			if (writer->busy || writer->sent == BATCHES)
				continue;
			for (int k = 0; k < 4; k++)
				snprintf(writer->ids[k], sizeof(writer->ids[k]), "r%d",
					 (first + k * 7) % NAMES);
			snprintf(writer->payload, sizeof(writer->payload), "%-15d",
				 writer->sent * WRITERS + i);
			write_some(writer, writer->sent++ % 5 == 4 ? record_delete : record_save,
				   4);
		}
		read_on(&readers[0]);
		read_on(&readers[1]);
		loop_turn(rig_loop, 1);
	}
	read_all();
	check_readers();
	for (int i = 0; i < WRITERS; i++)
		check(!writers[i].failed);
}

/* The clock of the server is set back, and nothing is left of what was read: what is saved then is
 * still behind the cursor of the reader. */
static void
places_are_not_given_twice_to_a_model_that_was_emptied(void)
{
	fresh();
	name_ids(&writers[0], "1", "2", 1);
	write_some(&writers[0], record_save, 2);
	rig_until(!writers[0].busy);
	rig_sql("UPDATE record SET last_modified = last_modified + interval '1 hour';"
		" UPDATE record_model SET newest = newest + interval '1 hour'");
	read_all();
	CALL(SL_OK, record_clear(rig_store, rig_connection, sync_id, NULL, rig_on_done, NULL));
	name_ids(&writers[0], "1", "2", 2);
	write_some(&writers[0], record_save, 2);
	rig_until(!writers[0].busy);
	read_all();
	check_readers();
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
	struct pg_settings settings = {NULL, "sluiced writer", false, 0, false};

	rig_sync_start();
	settings.conninfo = rig_conninfo;
	for (int i = 0; i < WRITERS; i++)
		writers[i].store = sync_store_new(rig_loop, &settings);
	rig_calls = 0;
	sync_ensure(rig_store, rig_function, rig_connection, "base", on_sync, NULL);
	while (rig_calls == 0)
		loop_turn(rig_loop, 20);
	CHECK_RUN(a_place_that_commits_late_hides_nothing);
	CHECK_RUN(readers_keep_up_with_several_writers);
	CHECK_RUN(places_are_not_given_twice_to_a_model_that_was_emptied);
	for (int i = 0; i < WRITERS; i++)
		sync_store_free(writers[i].store);
	rig_sync_stop();
	return check_done();
}
