/* daemon/api/record.c - GET /records (wire.md 4.1, 18.4).
 *
 * A page is read from the ledger in pieces, and ends early when it is large: what one request holds
 * in memory does not grow with the size of records. */
#include "daemon/api/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/api/resources.h"
#include "daemon/record_show.h"
#include "sql/record.h"

#define LIMIT_MAX 10000
#define LIMIT_DEFAULT 100
#define IDS_MAX 100
#define CURSOR_MAX 1000
#define PAGE_BYTES (32 << 20) /* a page ends with the record that passes this */
#define PIECE_FIRST 20        /* records read before their size is known */
#define PIECE_MAX 2000
#define PIECE_BYTES (4 << 20)
#define MONTHS_BACK 12

struct list {
	struct api_call *call;
	const char *integration, *connection_id;
	char model[2 * 256 + 4]; /* with its variant */
	struct record_query query;
	const char *ids[IDS_MAX];
	char after_uuid[UUID_TEXT];
	int left; /* records that the page may still ask for */
	int written;
	bool asked;        /* a piece is under way */
	bool over;         /* nothing more is written */
	bool goes_on;      /* records follow what is written */
	enum sl_code code; /* unless SL_OK the page failed */
	struct sl_error error;
	struct record_box *box;
	struct buf place; /* of the last record written, as a cursor */
	struct buf out;
	struct json_writer w;
};

/* ---- times ------------------------------------------------------------------------- */

/* count digits at *at, which moves on; -1: there are fewer. */
static int
digits(const char **at, int count)
{
	int number = 0;

	for (int i = 0; i < count; i++, (*at)++) {
		if (**at < '0' || **at > '9')
			return -1;
		number = number * 10 + (**at - '0');
	}
	return number;
}

/* "YYYY-MM-DDTHH:MM[:SS[.fraction]]" and then zone; false: it is no such moment after 1970. */
static bool
time_parse(const char *text, const char *zone, int64_t *wall_us)
{
	static const char marks[] = "--T:";
	struct tm parts = {0}, back;
	int *const field[] = {&parts.tm_year, &parts.tm_mon, &parts.tm_mday, &parts.tm_hour,
			      &parts.tm_min};
	int64_t micro = 0, scale = 100000;
	time_t seconds;

	for (int i = 0; i < 5; i++) {
		*field[i] = digits(&text, i == 0 ? 4 : 2);
		if (*field[i] < 0 || (i < 4 && *text++ != marks[i]))
			return false;
	}
	if (*text == ':') {
		text++;
		parts.tm_sec = digits(&text, 2);
		if (parts.tm_sec < 0)
			return false;
		if (*text == '.' && (*++text < '0' || *text > '9'))
			return false;
		for (; *text >= '0' && *text <= '9'; text++, scale /= 10)
			micro += (*text - '0') * scale;
	}
	if (strcmp(text, zone) != 0 || parts.tm_year < 1970)
		return false;
	parts.tm_year -= 1900;
	parts.tm_mon -= 1;
	back = parts;
	seconds = timegm(&back); /* brings 31 February into order, which then differs */
	if (back.tm_mon != parts.tm_mon || back.tm_mday != parts.tm_mday ||
	    back.tm_hour != parts.tm_hour || back.tm_min != parts.tm_min ||
	    back.tm_sec != parts.tm_sec)
		return false;
	*wall_us = (int64_t)seconds * 1000000 + micro;
	return true;
}

/* ---- the page --------------------------------------------------------------------------------- */

static void
list_reply(struct list *list)
{
	struct api_call *call = list->call;
	struct buf out = list->out;
	struct json_writer w = list->w;

	w.out = &out;
	jw_array_end(&w);
	jw_key(&w, "next_cursor");
	if (list->goes_on)
		jw_text(&w, list->place.data);
	else
		jw_null(&w);
	jw_object_end(&w);
	record_box_free(list->box);
	buf_fini(&list->place);
	if (list->code == SL_OK) {
		api_reply_buf(call, 200, &out);
		return;
	}
	buf_fini(&out);
	api_fail_sl(call, list->code, &list->error);
}

/* False: a record cannot be read. */
static bool
write_rows(struct list *list, const struct record_row *rows, int count, bool more)
{
	int shown = 0;

	for (; shown < count && list->out.len < PAGE_BYTES; shown++) {
		list->code = record_show(list->box, &rows[shown], &list->w, &list->error);
		if (list->code == SL_OK)
			continue;
		log_error("record_unreadable", "connection=%lld error=%s",
			  (long long)list->query.connection_id, log_text(list->error.text));
		list->code = SL_INTERNAL;
		return false;
	}
	list->written += shown;
	list->goes_on = more || shown < count;
	if (shown > 0) {
		buf_clear(&list->place);
		record_place(&rows[shown - 1], &list->place);
	}
	return true;
}

static void read_piece(struct list *list);

/* Once the size of records is known, the next piece is read while this one is written. */
static void
on_rows(void *arg, enum sl_code code, const struct record_row *rows, int count, bool more,
	const struct sl_error *error)
{
	struct list *list = arg;
	bool next = code == SL_OK && !list->over && more && count > 0 && list->left > count;
	bool ahead = list->written > 0;

	list->asked = false;
	list->left -= count;
	if (next) {
		list->query.after_us = rows[count - 1].last_modified_us;
		memcpy(list->after_uuid, rows[count - 1].uuid, sizeof(list->after_uuid));
		list->query.after_uuid = list->after_uuid;
	}
	if (next && ahead)
		read_piece(list);
	if (!list->over && code != SL_OK) {
		list->code = code;
		list->error = *error;
		list->over = true;
	}
	if (!list->over)
		list->over =
		    !write_rows(list, rows, count, more) || !next || list->out.len >= PAGE_BYTES;
	if (!list->over && !ahead)
		read_piece(list);
	if (list->over && !list->asked)
		list_reply(list);
}

static void
read_piece(struct list *list)
{
	size_t each = list->written > 0 ? list->out.len / (size_t)list->written + 1 : 0;
	int64_t piece = each > 0 ? (int64_t)(PIECE_BYTES / each) : PIECE_FIRST;

	if (piece > PIECE_MAX)
		piece = PIECE_MAX;
	if (piece < 1)
		piece = 1;
	list->query.limit = piece < list->left ? (int)piece : list->left;
	list->asked = true;
	record_list(list->call->daemon->syncs, &list->query, on_rows, list);
}

static void
on_connection(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct list *list = arg;
	const struct directory_connection *connection = object;

	if (code == SL_NOT_FOUND) {
		api_fail(
		    list->call, 400, "unknown_connection",
		    "no such connection for this integration; check Connection-Id and Provider-Config-Key");
		return;
	}
	if (code != SL_OK) {
		api_fail_sl(list->call, code, error);
		return;
	}
	list->query.connection_id = connection->row.id;
	list->box =
	    record_box_new(list->call->daemon->ring, list->query.connection_id, list->query.model);
	buf_init(&list->out, 2 * (size_t)RECORD_PLAIN_MAX);
	buf_init(&list->place, CURSOR_MAX);
	jw_init(&list->w, &list->out);
	jw_object(&list->w);
	jw_key(&list->w, "records");
	jw_array(&list->w);
	read_piece(list);
}

/* ---- what is asked ---------------------------------------------------------------------------- */

static bool
refuse(struct list *list, const char *issue, const char *path, const char *text)
{
	api_fail_issue(list->call, "invalid_query_params", issue, path, "%s", text);
	return false;
}

static bool
read_limit(struct list *list)
{
	const char *value = api_query(list->call, "limit");
	long number = LIMIT_DEFAULT;
	char *end;

	if (value != NULL) {
		number = strtol(value, &end, 10);
		if (value[0] < '0' || value[0] > '9' || *end != '\0' || number < 1 ||
		    number > LIMIT_MAX)
			return refuse(list, number > LIMIT_MAX ? "too_big" : "invalid_type",
				      "limit", "limit must be a whole number from 1 to 10000");
	}
	list->left = (int)number;
	return true;
}

/* Twelve months before now, at the same day and time. */
static int64_t
oldest_us(void)
{
	time_t now = (time_t)(clock_wall_ms() / 1000);
	struct tm parts;

	gmtime_r(&now, &parts);
	parts.tm_mon -= MONTHS_BACK;
	return (int64_t)timegm(&parts) * 1000000;
}

static bool
read_since(struct list *list, const char *name)
{
	const char *value = api_query(list->call, name);
	int64_t since;

	if (value == NULL)
		return true;
	if (!time_parse(value, "Z", &since))
		return refuse(list, "invalid_format", name,
			      "must be a moment in UTC such as 2026-01-31T12:00:00Z");
	if (since < oldest_us())
		return refuse(list, "custom", name, "must not be more than 12 months ago");
	list->query.modified_since_us = since;
	return true;
}

/* Each word adds what it says (wire.md 18.4); all three are the same as no filter. */
static bool
read_filter(struct list *list)
{
	static const struct {
		const char *lower, *upper;
		enum record_action action;
	} words[] = {{"added", "ADDED", RECORD_ADDED},
		     {"updated", "UPDATED", RECORD_UPDATED},
		     {"deleted", "DELETED", RECORD_DELETED}};
	const char *value = api_query(list->call, "filter");

	while (value != NULL) {
		struct slice word = {value, strcspn(value, ",")};
		unsigned action = 0;

		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (slice_is(word, words[i].lower) || slice_is(word, words[i].upper))
				action = words[i].action;
		if (action == 0)
			return refuse(
			    list, "invalid_value", "filter",
			    "filter must be added, updated or deleted, or several by commas");
		list->query.actions |= action;
		value = value[word.len] == ',' ? value + word.len + 1 : NULL;
	}
	return true;
}

static bool
read_cursor(struct list *list)
{
	const char *value = api_query(list->call, "cursor");

	list->query.after_uuid = "";
	if (value == NULL)
		return true;
	if (value[0] == '\0' || strlen(value) > CURSOR_MAX)
		return refuse(list, value[0] == '\0' ? "too_small" : "too_big", "cursor",
			      "cursor must have 1 to 1000 characters");
	if (record_place_parse(value, &list->query.after_us, list->after_uuid)) {
		list->query.after_uuid = list->after_uuid;
		return true;
	}
	api_fail(list->call, 400, "invalid_cursor",
		 "cursor is not one that this server gave; take next_cursor of a page, or the "
		 "cursor of a record");
	return false;
}

/* Repeated: ids=a&ids=b, also as ids[]=a or ids[0]=a. */
static bool
read_ids(struct list *list)
{
	struct http_request *request = list->call->request;

	for (int i = 0; i < http_request_query_pairs(request); i++) {
		const char *name, *value;

		http_request_query_at(request, i, &name, &value);
		if (strcmp(name, "ids") != 0 && strncmp(name, "ids[", 4) != 0)
			continue;
		if (value[0] == '\0' || strlen(value) > 256)
			return refuse(list, value[0] == '\0' ? "too_small" : "too_big", "ids",
				      "an id must have 1 to 256 characters");
		if (list->query.id_count == IDS_MAX)
			return refuse(list, "too_big", "ids", "at most 100 ids can be asked for");
		list->ids[list->query.id_count++] = value;
	}
	list->query.ids = list->ids;
	return true;
}

static bool
read_model(struct list *list, const char *model)
{
	const char *variant = api_query(list->call, "variant");

	if (model == NULL)
		model = api_query(list->call, "model");
	if (model == NULL)
		return refuse(list, "invalid_type", "model", "model is required");
	if (!api_check_name(list->call, API_NAME_MODEL, model, "invalid_query_params", "model"))
		return false;
	if (variant != NULL && !api_check_name(list->call, API_NAME_FUNCTION, variant,
					       "invalid_query_params", "variant"))
		return false;
	if (variant != NULL && strcmp(variant, "base") != 0)
		snprintf(list->model, sizeof(list->model), "%s::%s", model, variant);
	else
		snprintf(list->model, sizeof(list->model), "%s", model);
	list->query.model = list->model;
	return true;
}

void
record_reply(struct api_call *call, const char *model)
{
	static const char *const names[] = {"model", "variant", "modified_after", "delta",
					    "limit", "filter",  "cursor",         "ids",
					    "ids[",  NULL};
	struct list *list = api_state(call, sizeof(*list));

	list->call = call;
	if (!api_header(call, "connection-id", &list->connection_id) ||
	    !api_header(call, "provider-config-key", &list->integration) ||
	    !api_check_name(call, API_NAME_CONNECTION, list->connection_id, "invalid_headers",
			    "connection-id") ||
	    !api_check_name(call, API_NAME_INTEGRATION, list->integration, "invalid_headers",
			    "provider-config-key") ||
	    !api_query_strict(call, names) || !read_model(list, model) || !read_limit(list) ||
	    !read_since(list, "delta") || !read_since(list, "modified_after") ||
	    !read_filter(list) || !read_ids(list) || !read_cursor(list))
		return;
	directory_connection(call->daemon->directory, call->environment->row.id, list->integration,
			     list->connection_id, on_connection, list);
}

void
record_read(struct api_call *call)
{
	record_reply(call, NULL);
}
