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

/* What tells whether a record changed: of its JSON text as it came. */
void record_digest(struct slice plain, uint8_t out[RECORD_DIGEST]);
/* Seals the JSON text of a record, for its model with the variant and its id. */
void record_seal(const struct secret_ring *ring, int64_t connection_id, const char *model,
		 const char *id, struct slice plain, struct buf *out);
/* Appends the JSON text of a row; nothing when it was pruned. */
SL_MUST_USE enum sl_code record_open(const struct secret_ring *ring, int64_t connection_id,
				     const char *model, const struct record_row *row,
				     struct buf *out, struct sl_error *error);
/* Writes it with the id as text and _nango_metadata. */
SL_MUST_USE enum sl_code record_show(const struct secret_ring *ring, int64_t connection_id,
				     const char *model, const struct record_row *row,
				     struct json_writer *w, struct sl_error *error);

/* The row's place: base64 of "<last_modified_at>||<uuid>".  Appended. */
void record_place(const struct record_row *row, struct buf *out);
/* False: it is no such place. */
bool record_place_parse(const char *cursor, int64_t *last_modified_us, char uuid[UUID_TEXT]);

#endif
