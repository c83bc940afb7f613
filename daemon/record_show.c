#include "daemon/record_show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "provider/moment.h"

#define TIME_TEXT 40
#define PLACE_MAX 1000

void
record_digest(struct slice plain, uint8_t out[RECORD_DIGEST])
{
	uint8_t full[32];

	secret_sha256(plain, full);
	memcpy(out, full, RECORD_DIGEST);
}

static char *
seal_row(int64_t connection_id, const char *model, const char *id)
{
	return sl_asprintf("record:%lld:%s:%s", (long long)connection_id, model, id);
}

void
record_seal(const struct secret_ring *ring, int64_t connection_id, const char *model,
	    const char *id, struct slice plain, struct buf *out)
{
	char *row = seal_row(connection_id, model, id);

	secret_seal(ring, plain, row, out);
	free(row);
}

enum sl_code
record_open(const struct secret_ring *ring, int64_t connection_id, const char *model,
	    const struct record_row *row, struct buf *out, struct sl_error *error)
{
	enum sl_code code = SL_OK;
	char *name;

	if (row->payload.len == 0 || row->pruned_us != 0)
		return SL_OK;
	name = seal_row(connection_id, model, row->id);
	code = secret_open(ring, row->payload, name, out, error);
	free(name);
	return code;
}

/* ---- times and places ------------------------------------------------------------------------- */

static void
time_text(int64_t wall_us, char out[TIME_TEXT])
{
	time_t seconds = (time_t)(wall_us / 1000000);
	struct tm parts;
	char text[24];

	gmtime_r(&seconds, &parts);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
	snprintf(out, TIME_TEXT, "%s.%06d+00:00", text, (int)(wall_us % 1000000));
}

void
record_place(const struct record_row *row, struct buf *out)
{
	char place[TIME_TEXT + UUID_TEXT + 2], at[TIME_TEXT];

	time_text(row->last_modified_us, at);
	snprintf(place, sizeof(place), "%s||%s", at, row->uuid);
	base64_add(out, place, strlen(place));
}

/* "....990544+00:00": moment_parse() reads milliseconds, the rest stands in digits 4 to 6. */
static bool
time_read(const char *text, int64_t *wall_us)
{
	const char *fraction = strchr(text, '.');
	int64_t wall_ms;
	int micro = 0;

	if (fraction == NULL || strlen(fraction) != strlen(".990544+00:00") ||
	    strspn(fraction + 1, "0123456789") != 6 || !moment_parse(text, 0, &wall_ms))
		return false;
	for (int i = 4; i <= 6; i++)
		micro = micro * 10 + (fraction[i] - '0');
	*wall_us = wall_ms * 1000 + micro;
	return true;
}

bool
record_place_parse(const char *cursor, int64_t *last_modified_us, char uuid[UUID_TEXT])
{
	struct buf place;
	char *mark = NULL;
	bool fine;

	buf_init(&place, PLACE_MAX);
	fine = base64_decode(slice_text(cursor), &place) && place.data != NULL &&
	       strlen(place.data) == place.len;
	if (fine)
		mark = strstr(place.data, "||");
	fine = mark != NULL && uuid_parse(slice_text(mark + 2), uuid);
	if (fine) {
		*mark = '\0';
		fine = time_read(place.data, last_modified_us);
	}
	buf_fini(&place);
	return fine;
}

/* ---- a record --------------------------------------------------------------------------------- */

static void
member_time(struct json_writer *w, const char *key, int64_t wall_us)
{
	char text[TIME_TEXT];

	if (wall_us != 0)
		time_text(wall_us, text);
	jw_member_text(w, key, wall_us != 0 ? text : NULL);
}

static const char *
action_name(enum record_action action)
{
	switch (action) {
	case RECORD_ADDED:
		return "ADDED";
	case RECORD_UPDATED:
		return "UPDATED";
	case RECORD_DELETED:
		return "DELETED";
	}
	return "ADDED";
}

static void
write_metadata(struct json_writer *w, const struct record_row *row)
{
	struct buf place;

	buf_init(&place, PLACE_MAX);
	record_place(row, &place);
	jw_key(w, "_nango_metadata");
	jw_object(w);
	member_time(w, "first_seen_at", row->first_seen_us);
	member_time(w, "last_modified_at", row->last_modified_us);
	jw_member_text(w, "last_action", action_name(row->last_action));
	member_time(w, "deleted_at", row->deleted_us);
	member_time(w, "pruned_at", row->pruned_us);
	jw_member_text(w, "cursor", place.data);
	jw_object_end(w);
	buf_fini(&place);
}

/* The members as they were saved; only id becomes a text. */
static void
write_members(struct json_writer *w, struct json_value payload, const char *id)
{
	struct json_iter it;
	bool has_id = false;

	json_iter_init(&it, payload);
	while (payload.type == JSON_OBJECT_ && json_iter_next(&it)) {
		if (it.key_len == 2 && memcmp(it.key, "id", 2) == 0) {
			jw_member_text(w, "id", id);
			has_id = true;
			continue;
		}
		if (strcmp(it.key, "_nango_metadata") == 0) /* ours follows */
			continue;
		jw_raw(w, it.raw_key); /* as it was escaped */
		buf_add_char(w->out, ':');
		buf_add_slice(w->out, it.value.raw);
	}
	json_iter_fini(&it);
	if (!has_id)
		jw_member_text(w, "id", id);
}

enum sl_code
record_show(const struct secret_ring *ring, int64_t connection_id, const char *model,
	    const struct record_row *row, struct json_writer *w, struct sl_error *error)
{
	struct json_value payload = {0};
	struct buf plain;
	enum sl_code code;

	buf_init(&plain, RECORD_PLAIN_MAX);
	code = record_open(ring, connection_id, model, row, &plain, error);
	if (code == SL_OK && plain.len > 0)
		code = json_check(buf_slice(&plain), &payload, error);
	if (code == SL_OK) {
		jw_object(w);
		write_members(w, payload, row->id);
		write_metadata(w, row);
		jw_object_end(w);
	}
	buf_fini(&plain);
	return code;
}
