/* daemon/record_show.h - a record as functions see it (wire.md 4.1), and its place in the order. */
#ifndef SLUICE_DAEMON_RECORD_SHOW_H
#define SLUICE_DAEMON_RECORD_SHOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "base/secret.h"
#include "sql/record.h"

#define RECORD_PLAIN_MAX (100 << 20) /* bytes of a record, opened */

/* For records of one model, with its variant, many in a row; not kept longer than that
 * (secret_work_new()). */
struct record_box; /* opaque */
struct record_box *record_box_new(const struct secret_ring *ring, int64_t connection_id,
				  const char *model);
void record_box_free(struct record_box *box); /* NULL is fine */
/* What tells whether a record changed: of its JSON text as it came. */
void record_digest(struct record_box *box, struct slice plain, uint8_t out[RECORD_DIGEST]);
/* Seals the JSON text of the record of that id; appended. */
void record_seal(struct record_box *box, const char *id, struct slice plain, struct buf *out);
/* Appends the JSON text of a row; nothing when it was pruned. */
SL_MUST_USE enum sl_code record_open(struct record_box *box, const struct record_row *row,
				     struct buf *out, struct sl_error *error);
/* Writes it with the id as text and _nango_metadata. */
SL_MUST_USE enum sl_code record_show(struct record_box *box, const struct record_row *row,
				     struct json_writer *w, struct sl_error *error);

/* The row's place: base64 of "<last_modified_at>||<uuid>".  Appended. */
void record_place(const struct record_row *row, struct buf *out);
/* False: it is no such place. */
bool record_place_parse(const char *cursor, int64_t *last_modified_us, char uuid[UUID_TEXT]);

#endif
