/* bench/records_probe.c - saves records through the ledger's own code, without runners or HTTP.
 *
 * usage: records-probe CONNINFO KEY_FILE CONNECTION SYNC MODEL FIRST COUNT BYTES REVISION
 * Batches of 1,000, one after the other, as a sync does; prints seconds in calls of record_save() and
 * seconds that sealing took before them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "daemon/record_show.h"
#include "sql/record.h"

#define BATCH RECORD_BATCH_MAX
#define ID_TEXT 24
#define PLAIN_MAX 65536

struct probe {
	struct loop *loop;
	struct sync_store *store;
	struct secret_ring *ring;
	struct record_box *box;
	int64_t connection, sync;
	const char *model;
	long first, count, bytes, revision;
	long done;
	struct record_item items[BATCH];
	char ids[BATCH][ID_TEXT];
	int64_t began_us, saving_us, sealing_us;
	struct record_counts counts;
};

static void save_next(struct probe *probe);

static void
fail(const char *what, const struct sl_error *error)
{
	fprintf(stderr, "records-probe: %s: %s\n", what, error->text);
	exit(1);
}

static void
on_saved(void *arg, enum sl_code code, const struct record_counts *counts,
	 const struct sl_error *error)
{
	struct probe *probe = arg;

	if (code != SL_OK)
		fail("save", error);
	probe->saving_us += clock_mono_us() - probe->began_us;
	probe->counts.added += counts->added;
	probe->counts.updated += counts->updated;
	probe->counts.unchanged += counts->unchanged;
	probe->done += BATCH;
	if (probe->done < probe->count)
		save_next(probe);
	else
		loop_stop(probe->loop);
}

/* A record as the sync of bench/records makes it, in length. */
static void
make_item(struct probe *probe, int i)
{
	static char plain[PLAIN_MAX];
	long number = probe->first + probe->done + i;
	struct record_item *item = &probe->items[i];
	struct buf sealed;
	int len;

	snprintf(probe->ids[i], ID_TEXT, "%ld", number);
	len = snprintf(plain, sizeof(plain), "{\"id\":\"%ld\",\"revision\":%ld,\"text\":\"", number,
		       probe->revision);
	for (; len < probe->bytes - 2; len++)
		plain[len] = (char)('a' + (len * 7 + number) % 26);
	memcpy(plain + len, "\"}", 3);
	*item = (struct record_item){.id = probe->ids[i]};
	record_digest(probe->box, slice_text(plain), item->digest);
	buf_init(&sealed, 2 * PLAIN_MAX);
	record_seal(probe->box, item->id, slice_text(plain), &sealed);
	item->payload.data = buf_take(&sealed, &item->payload.len);
}

static void
save_next(struct probe *probe)
{
	struct record_batch batch = {.connection_id = probe->connection,
				     .sync_id = probe->sync,
				     .model = probe->model,
				     .items = probe->items,
				     .count = BATCH};
	int64_t before = clock_mono_us();

	for (int i = 0; i < BATCH; i++)
		make_item(probe, i);
	probe->began_us = clock_mono_us();
	probe->sealing_us += probe->began_us - before;
	record_save(probe->store, &batch, on_saved, probe);
	for (int i = 0; i < BATCH; i++)
		free((void *)(uintptr_t)probe->items[i].payload.data);
}

static void
start(void *arg)
{
	struct probe *probe = arg;

	if (!sync_store_is_up(probe->store))
		loop_soon(probe->loop, start, probe);
	else
		save_next(probe);
}

int
main(int argc, char **argv)
{
	static struct probe probe;
	struct pg_settings settings = {.name = "records-probe"};
	struct sl_error error;

	log_set_level(LOG_LEVEL_ERROR);
	if (argc != 10) {
		fprintf(stderr,
			"usage: records-probe CONNINFO KEY_FILE CONNECTION SYNC MODEL FIRST "
			"COUNT BYTES REVISION\n");
		return 2;
	}
	settings.conninfo = argv[1];
	if (secret_ring_load(argv[2], &probe.ring, &error) != SL_OK)
		fail(argv[2], &error);
	probe.connection = atoll(argv[3]);
	probe.sync = atoll(argv[4]);
	probe.model = argv[5];
	probe.first = strtol(argv[6], NULL, 10);
	probe.count = strtol(argv[7], NULL, 10);
	probe.bytes = strtol(argv[8], NULL, 10);
	probe.revision = strtol(argv[9], NULL, 10);
	probe.box = record_box_new(probe.ring, probe.connection, probe.model);
	probe.loop = loop_new();
	probe.store = sync_store_new(probe.loop, &settings);
	loop_soon(probe.loop, start, &probe);
	loop_run(probe.loop);
	printf("{\"seconds\":%.6f,\"sealing\":%.6f,\"added\":%" PRId64 ",\"updated\":%" PRId64
	       ",\"unchanged\":%" PRId64 "}\n",
	       (double)probe.saving_us / 1e6, (double)probe.sealing_us / 1e6, probe.counts.added,
	       probe.counts.updated, probe.counts.unchanged);
	sync_store_free(probe.store);
	loop_free(probe.loop);
	record_box_free(probe.box);
	secret_ring_free(probe.ring);
	return 0;
}
