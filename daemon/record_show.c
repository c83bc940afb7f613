#include "daemon/record_show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "provider/moment.h"

#define TIME_TEXT 33 /* "2026-01-31T12:00:00.990544+00:00" */
#define PLACE_MAX 1000

struct record_box {
	struct secret_work *work;
	struct buf row; /* what is sealed with a record: "record:CONNECTION:MODEL:" and its id */
	size_t row_len; /* without the id */
	struct buf plain;
	int64_t
	    last_us; /* the newest time that was written, and its text: records of a batch share it */
	char last_time[TIME_TEXT];
};

struct record_box *
record_box_new(const struct secret_ring *ring, int64_t connection_id, const char *model)
{
	struct record_box *box = sl_alloc(sizeof(*box));

	box->work = secret_work_new(ring);
	buf_init(&box->row, PLACE_MAX);
	buf_init(&box->plain, RECORD_PLAIN_MAX);
	buf_printf(&box->row, "record:%lld:%s:", (long long)connection_id, model);
	box->row_len = box->row.len;
	return box;
}

void
record_box_free(struct record_box *box)
{
	if (box == NULL)
		return;
	secret_work_free(box->work);
	buf_fini(&box->row);
	buf_fini(&box->plain);
	free(box);
}

void
record_digest(struct record_box *box, struct slice plain, uint8_t out[RECORD_DIGEST])
{
	uint8_t full[32];

	secret_work_sha256(box->work, plain, full);
	memcpy(out, full, RECORD_DIGEST);
}

static struct slice
seal_row(struct record_box *box, const char *id)
{
	box->row.len = box->row_len;
	buf_add_text(&box->row, id);
	return buf_slice(&box->row);
}

void
record_seal(struct record_box *box, const char *id, struct slice plain, struct buf *out)
{
	secret_work_seal(box->work, plain, seal_row(box, id), out);
}

enum sl_code
record_open(struct record_box *box, const struct record_row *row, struct buf *out,
	    struct sl_error *error)
{
	if (row->payload.len == 0 || row->pruned_us != 0)
		return SL_OK;
	return secret_work_open(box->work, row->payload, seal_row(box, row->id), out, error);
}

/* ---- times and places ------------------------------------------------------------------------- */

static char *
put_digits(char *at, int number, int width)
{
	for (int i = width - 1; i >= 0; i--, number /= 10)
		at[i] = (char)('0' + number % 10);
	return at + width;
}

static void
time_text(int64_t wall_us, char out[TIME_TEXT])
{
	time_t seconds = (time_t)(wall_us / 1000000);
	struct tm parts;
	char *at = out;

	gmtime_r(&seconds, &parts);
	at = put_digits(at, parts.tm_year + 1900, 4);
	*at++ = '-';
	at = put_digits(at, parts.tm_mon + 1, 2);
	*at++ = '-';
	at = put_digits(at, parts.tm_mday, 2);
	*at++ = 'T';
	at = put_digits(at, parts.tm_hour, 2);
	*at++ = ':';
	at = put_digits(at, parts.tm_min, 2);
	*at++ = ':';
	at = put_digits(at, parts.tm_sec, 2);
	*at++ = '.';
	at = put_digits(at, (int)(wall_us % 1000000), 6);
	memcpy(at, "+00:00", 7);
}

void
record_place(const struct record_row *row, struct buf *out)
{
	char place[TIME_TEXT + UUID_TEXT + 2];

	time_text(row->last_modified_us, place);
	memcpy(place + TIME_TEXT - 1, "||", 2);
	memcpy(place + TIME_TEXT + 1, row->uuid, UUID_TEXT);
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
add_time(struct record_box *box, struct buf *out, const char *key, int64_t wall_us)
{
	buf_add_text(out, key);
	if (wall_us == 0) {
		buf_add(out, "null", 4);
		return;
	}
	if (wall_us != box->last_us)
		time_text(wall_us, box->last_time);
	box->last_us = wall_us;
	buf_add_char(out, '"');
	buf_add(out, box->last_time, TIME_TEXT - 1);
	buf_add_char(out, '"');
}

/* Nothing in it needs escaping. */
static void
write_metadata(struct record_box *box, struct json_writer *w, const struct record_row *row)
{
	struct buf *out = w->out;

	jw_key(w, "_nango_metadata");
	jw_object(w);
	add_time(box, out, "\"first_seen_at\":", row->first_seen_us);
	add_time(box, out, ",\"last_modified_at\":", row->last_modified_us);
	buf_add_text(out, ",\"last_action\":\"");
	buf_add_text(out, action_name(row->last_action));
	buf_add_char(out, '"');
	add_time(box, out, ",\"deleted_at\":", row->deleted_us);
	add_time(box, out, ",\"pruned_at\":", row->pruned_us);
	buf_add_text(out, ",\"cursor\":\"");
	record_place(row, out);
	buf_add_char(out, '"');
	jw_object_end(w);
}

/* Is it an object with one id, a text that is stored as it stands there, and nothing that is ours? */
static bool
is_as_shown(struct json_value payload)
{
	struct json_iter it;
	bool as_shown = true;
	int ids = 0;

	json_iter_init(&it, payload);
	while (as_shown && json_iter_next(&it)) {
		if (it.key_len == 2 && memcmp(it.key, "id", 2) == 0)
			as_shown = it.value.type == JSON_TEXT && ++ids == 1 &&
				   memchr(it.value.raw.data, '\\', it.value.raw.len) == NULL;
		else
			as_shown = strcmp(it.key, "_nango_metadata") != 0;
	}
	json_iter_fini(&it);
	return as_shown && ids == 1;
}

/* The members as they were saved; only id becomes a text. */
static void
write_members(struct json_writer *w, struct json_value payload, const char *id)
{
	struct json_iter it;
	bool has_id = false;

	json_iter_init(&it, payload);
	while (json_iter_next(&it)) {
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
record_show(struct record_box *box, const struct record_row *row, struct json_writer *w,
	    struct sl_error *error)
{
	struct json_value payload = {0};
	enum sl_code code;

	buf_clear(&box->plain);
	code = record_open(box, row, &box->plain, error);
	if (code != SL_OK)
		return code;
	/* It was checked before it was sealed, and nobody else can have sealed it. */
	if (box->plain.len > 0 && box->plain.data[0] == '{')
		payload = (struct json_value){JSON_OBJECT_, buf_slice(&box->plain)};
	jw_object(w);
	if (payload.type == JSON_OBJECT_ && is_as_shown(payload))
		jw_raw(w, (struct slice){payload.raw.data + 1, payload.raw.len - 2});
	else
		write_members(w, payload, row->id);
	write_metadata(box, w, row);
	jw_object_end(w);
	return code;
}
