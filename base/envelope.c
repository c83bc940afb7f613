#include "base/envelope.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/envelope_part.h"
#include "base/utf8.h"

#define SEQ_MAX INT64_C(999999999999)
#define TRIES_MAX 32767 /* a smallint in the ledger */
/* Room that the fields beside the input can take: 12 digits, 10 numbers of 9 bytes, id, heads, MAC.
 */
#define OVERHEAD_MAX 160

enum field {
	FIELD_VERSION,
	FIELD_JOB,
	FIELD_ENVIRONMENT,
	FIELD_KEY,
	FIELD_FUNCTION_VERSION,
	FIELD_CONNECTION,
	FIELD_ATTEMPT,
	FIELD_MAX_RETRIES,
	FIELD_KIND,
	FIELD_WEBHOOK,
	FIELD_ACCEPTED,
	FIELD_INPUT,
	FIELD_COUNT,
};

void
envelope_key(const struct secret_ring *ring, uint8_t out[32])
{
	secret_ring_derive(ring, "sluice envelope", out);
}

void
envelope_mac(struct slice bytes, const uint8_t key[32], uint8_t out[ENVELOPE_MAC_LEN])
{
	uint8_t whole[32];

	secret_hmac_sha256((struct slice){(const char *)key, 32}, bytes, whole);
	memcpy(out, whole, ENVELOPE_MAC_LEN);
}

static bool
kind_is_known(int64_t kind)
{
	return kind >= JOB_ACTION && kind <= JOB_EVENT;
}

static bool
fields_are_sound(const struct envelope *e)
{
	return e->seq >= 0 && e->seq <= SEQ_MAX && e->environment_id >= 0 && e->key_id >= 0 &&
	       e->function_version_id >= 0 && e->connection_id >= 0 && e->attempt >= 1 &&
	       e->attempt <= TRIES_MAX && e->max_retries >= 0 && e->max_retries <= TRIES_MAX &&
	       kind_is_known(e->kind) && e->accepted_ms >= 0 &&
	       (!e->has_input || e->input.len <= ENVELOPE_INPUT_MAX);
}

void
envelope_id_to_bytes(const char *text, uint8_t out[ENVELOPE_ID_LEN])
{
	for (size_t i = 0; i < ENVELOPE_ID_LEN; i++) {
		unsigned byte = 0;

		text += *text == '-';
		for (int digit = 0; digit < 2; digit++, text++) {
			unsigned c = (unsigned char)*text;

			byte = byte << 4 | (c <= '9' ? c - '0' : c - 'a' + 10);
		}
		out[i] = (uint8_t)byte;
	}
}

void
envelope_id_to_text(const char *bytes, char out[UUID_TEXT])
{
	for (size_t i = 0, at = 0; i < ENVELOPE_ID_LEN; i++, at += 2) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			out[at++] = '-';
		snprintf(out + at, 3, "%02x", (unsigned char)bytes[i]);
	}
}

void
envelope_encode(const struct envelope *envelope, const uint8_t key[32], struct buf *out)
{
	uint8_t id[ENVELOPE_ID_LEN], mac[ENVELOPE_MAC_LEN];
	char lower[UUID_TEXT];
	struct frame_writer w;
	struct buf body;
	size_t start = out->len;
	bool is_id = uuid_parse(slice_text(envelope->job_id), lower);

	assert(is_id && fields_are_sound(envelope));
	(void)is_id;
	envelope_id_to_bytes(lower, id);
	buf_init(&body, ENVELOPE_INPUT_MAX + OVERHEAD_MAX);
	frame_begin(&w, &body, FIELD_COUNT);
	frame_add_int(&w, ENVELOPE_VERSION);
	frame_add_bin(&w, id, sizeof(id));
	frame_add_int(&w, envelope->environment_id);
	frame_add_int(&w, envelope->key_id);
	frame_add_int(&w, envelope->function_version_id);
	frame_add_int(&w, envelope->connection_id);
	frame_add_int(&w, envelope->attempt);
	frame_add_int(&w, envelope->max_retries);
	frame_add_int(&w, envelope->kind);
	frame_add_bool(&w, envelope->webhook);
	frame_add_int(&w, envelope->accepted_ms);
	if (envelope->has_input)
		frame_add_bin(&w, envelope->input.data, envelope->input.len);
	else
		frame_add_nil(&w);
	frame_end(&w);
	assert(!body.over);
	buf_printf(out, "%0*lld", ENVELOPE_SEQ_DIGITS, (long long)envelope->seq);
	buf_add(out, body.data + ENVELOPE_FRAME_PREFIX,
		body.len - ENVELOPE_FRAME_PREFIX); /* entries have their own ends */
	buf_fini(&body);
	if (out->over)
		return;
	envelope_mac((struct slice){out->data + start, out->len - start}, key, mac);
	buf_add(out, mac, sizeof(mac));
}

/* The numbers were signed by a sluice, so a bad one is a bug there; the worker must not act on it.
 */
static bool
take_fields(const struct frame *frame, struct envelope *out)
{
	const struct frame_field *field = frame->field;

	if (!frame_is(frame, "isiiiiiiibi?") || field[FIELD_JOB].bytes.len != ENVELOPE_ID_LEN)
		return false;
	if (field[FIELD_INPUT].type != FRAME_BYTES && field[FIELD_INPUT].type != FRAME_NIL)
		return false;
	if (field[FIELD_ATTEMPT].number < 1 || field[FIELD_ATTEMPT].number > TRIES_MAX ||
	    field[FIELD_MAX_RETRIES].number < 0 || field[FIELD_MAX_RETRIES].number > TRIES_MAX ||
	    !kind_is_known(field[FIELD_KIND].number))
		return false;
	envelope_id_to_text(field[FIELD_JOB].bytes.data, out->job_id);
	out->environment_id = field[FIELD_ENVIRONMENT].number;
	out->key_id = field[FIELD_KEY].number;
	out->function_version_id = field[FIELD_FUNCTION_VERSION].number;
	out->connection_id = field[FIELD_CONNECTION].number;
	out->attempt = (int)field[FIELD_ATTEMPT].number;
	out->max_retries = (int)field[FIELD_MAX_RETRIES].number;
	out->kind = (enum job_kind)field[FIELD_KIND].number;
	out->webhook = field[FIELD_WEBHOOK].number != 0;
	out->accepted_ms = field[FIELD_ACCEPTED].number;
	out->has_input = field[FIELD_INPUT].type == FRAME_BYTES;
	out->input = field[FIELD_INPUT].bytes;
	return fields_are_sound(out) && envelope_is_utf8(out->input);
}

static bool
take_seq(struct slice bytes, int64_t *seq)
{
	*seq = 0;
	for (size_t i = 0; i < ENVELOPE_SEQ_DIGITS; i++) {
		if (bytes.data[i] < '0' || bytes.data[i] > '9')
			return false;
		*seq = *seq * 10 + (bytes.data[i] - '0');
	}
	return true;
}

bool
envelope_is_utf8(struct slice bytes)
{
	size_t at = 0, len;

	while (at < bytes.len) {
		if ((unsigned char)bytes.data[at] < 0x80) {
			at++;
			continue;
		}
		len = utf8_len(bytes.data + at, bytes.len - at);
		if (len == 0)
			return false;
		at += len;
	}
	return true;
}

enum sl_code
envelope_fields(struct slice body, struct frame *out, struct sl_error *error)
{
	int64_t version;

	if (!frame_peek_type(body, &version) || version < ENVELOPE_VERSION)
		return sl_fail(error, SL_INVALID, "envelope: no version in front");
	if (version > ENVELOPE_VERSION)
		return sl_fail(error, SL_UNAVAILABLE, "envelope: version %lld is newer than %d",
			       (long long)version, ENVELOPE_VERSION);
	return frame_decode(body, out, error);
}

enum sl_code
envelope_decode(struct slice bytes, const uint8_t key[32], struct envelope *out,
		struct sl_error *error)
{
	struct slice signed_part, body;
	struct frame frame;
	uint8_t mac[ENVELOPE_MAC_LEN];
	enum sl_code code;

	*out = (struct envelope){0};
	if (bytes.len <= ENVELOPE_SEQ_DIGITS + ENVELOPE_MAC_LEN || !take_seq(bytes, &out->seq))
		return sl_fail(error, SL_INVALID, "envelope: cut, or no seq in front");
	if (bytes.len > ENVELOPE_MAX)
		return sl_fail(error, SL_INVALID, "envelope: %zu bytes are more than %d", bytes.len,
			       ENVELOPE_MAX);
	signed_part = (struct slice){bytes.data, bytes.len - ENVELOPE_MAC_LEN};
	body =
	    (struct slice){bytes.data + ENVELOPE_SEQ_DIGITS, signed_part.len - ENVELOPE_SEQ_DIGITS};
	envelope_mac(signed_part, key, mac);
	if (!secret_equal(mac, bytes.data + signed_part.len, ENVELOPE_MAC_LEN))
		return sl_fail(error, SL_CONFLICT, "envelope: not written with this cluster's key");
	code = envelope_fields(body, &frame, error);
	if (code == SL_OK && !take_fields(&frame, out))
		code = sl_fail(error, SL_INVALID, "envelope: a field has a wrong type or value");
	return code;
}
