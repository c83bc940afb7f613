/* base/envelope_part.h - what the envelopes of jobs and calls share; for envelope*.c only. */
#ifndef SLUICE_BASE_ENVELOPE_PART_H
#define SLUICE_BASE_ENVELOPE_PART_H

#include "base/envelope.h"
#include "base/frame.h"

#define ENVELOPE_VERSION 1
#define ENVELOPE_MAC_LEN 16
#define ENVELOPE_ID_LEN 16
#define ENVELOPE_FRAME_PREFIX 4 /* of a frame; entries have their own ends */

/* Over bytes, cut to what an envelope carries. */
void envelope_mac(struct slice bytes, const uint8_t key[32], uint8_t out[ENVELOPE_MAC_LEN]);
/* text: a lower case id, as uuid_parse() makes it. */
void envelope_id_to_bytes(const char *text, uint8_t out[ENVELOPE_ID_LEN]);
void envelope_id_to_text(const char *bytes, char out[UUID_TEXT]);
bool envelope_is_utf8(struct slice bytes);
/* The body of a signed envelope whose MAC was good: SL_OK and its fields, SL_INVALID or
 * SL_UNAVAILABLE (a newer version). */
SL_MUST_USE enum sl_code envelope_fields(struct slice body, struct frame *out,
					 struct sl_error *error);

#endif
