#include "base/envelope.h"

#include <stdlib.h>

#include "base/frame.h"
#include "tests/lib/check.h"

static const uint8_t key[32] = "0123456789abcdef0123456789abcde";

static struct envelope
sample(void)
{
	return (struct envelope){
	    .seq = 42,
	    .job_id = "019aeafd-6a7b-7000-8000-0000000000ff",
	    .environment_id = 3,
	    .key_id = INT64_MAX,
	    .function_version_id = 65536,
	    .connection_id = 0,
	    .attempt = 2,
	    .max_retries = 3,
	    .kind = JOB_ACTION,
	    .webhook = true,
	    .accepted_ms = 1764821520123,
	    .has_input = true,
	    .input = SLICE_LITERAL("{\"a\":1}"),
	};
}

/* Decodes a copy that ends where its memory ends, so that a sanitizer sees a read behind it. */
static enum sl_code
decode(const char *bytes, size_t len)
{
	char *copy = malloc(len > 0 ? len : 1);
	struct envelope out;
	enum sl_code code;

	memcpy(copy, bytes, len);
	code = envelope_decode((struct slice){copy, len}, key, &out, NULL);
	free(copy);
	return code;
}

/* An entry with a sound MAC around any body. */
static enum sl_code
decode_signed(const char *seq, struct slice body)
{
	uint8_t mac[32];
	enum sl_code code;
	struct buf entry;

	buf_init(&entry, 100000);
	buf_add_text(&entry, seq);
	buf_add_slice(&entry, body);
	secret_hmac_sha256((struct slice){(const char *)key, 32}, buf_slice(&entry), mac);
	buf_add(&entry, mac, 16);
	code = decode(entry.data, entry.len);
	buf_fini(&entry);
	return code;
}

static void
what_is_encoded_is_decoded(void)
{
	struct envelope in = sample(), out;
	struct buf buf;

	buf_init(&buf, 100000);
	envelope_encode(&in, key, &buf);
	check(strncmp(buf.data, "000000000042", 12) == 0);
	check_int(envelope_decode(buf_slice(&buf), key, &out, NULL), ==, SL_OK);
	check_int(out.seq, ==, in.seq);
	check_text(out.job_id, in.job_id);
	check_int(out.environment_id, ==, in.environment_id);
	check_int(out.key_id, ==, in.key_id);
	check_int(out.function_version_id, ==, in.function_version_id);
	check_int(out.connection_id, ==, in.connection_id);
	check_int(out.attempt, ==, in.attempt);
	check_int(out.max_retries, ==, in.max_retries);
	check_int(out.kind, ==, in.kind);
	check_int(out.webhook, ==, in.webhook);
	check_int(out.accepted_ms, ==, in.accepted_ms);
	check(out.has_input);
	check(slice_equal(out.input, in.input));
	check(out.input.data > buf.data && out.input.data < buf.data + buf.len);
	buf_fini(&buf);
}

static void
extremes_are_carried(void)
{
	struct envelope in = sample(), out;
	char *input = malloc(ENVELOPE_INPUT_MAX);
	struct buf buf;

	memset(input, ' ', ENVELOPE_INPUT_MAX);
	in.seq = 999999999999;
	in.environment_id = in.function_version_id = in.connection_id = in.accepted_ms = INT64_MAX;
	in.attempt = in.max_retries = 32767;
	in.input = (struct slice){input, ENVELOPE_INPUT_MAX};
	buf_init(&buf, 100000);
	envelope_encode(&in, key, &buf);
	check_int(envelope_decode(buf_slice(&buf), key, &out, NULL), ==, SL_OK);
	check_int(out.seq, ==, in.seq);
	check_int(out.input.len, ==, ENVELOPE_INPUT_MAX);
	check_int(out.attempt, ==, 32767);
	for (int kind = JOB_ACTION; kind <= JOB_EVENT; kind++) {
		in.kind = (enum job_kind)kind;
		in.has_input = false;
		buf_clear(&buf);
		envelope_encode(&in, key, &buf);
		check_int(envelope_decode(buf_slice(&buf), key, &out, NULL), ==, SL_OK);
		check_int(out.kind, ==, kind);
		check(!out.has_input);
		check_int(out.input.len, ==, 0);
	}
	buf_fini(&buf);
	free(input);
}

static void
entries_can_stand_behind_other_bytes(void)
{
	struct envelope in = sample(), out;
	struct buf buf;

	buf_init(&buf, 100000);
	buf_add_text(&buf, "before");
	envelope_encode(&in, key, &buf);
	check_int(envelope_decode((struct slice){buf.data + 6, buf.len - 6}, key, &out, NULL), ==,
		  SL_OK);
	buf_fini(&buf);
}

static void
a_full_buffer_is_over(void)
{
	struct envelope in = sample();
	struct buf buf;

	for (size_t cap = 0; cap < 80; cap++) {
		buf_init(&buf, cap);
		envelope_encode(&in, key, &buf);
		check(buf.over);
		buf_fini(&buf);
	}
}

static void
no_cut_and_no_changed_bit_is_taken(void)
{
	struct envelope in = sample();
	struct buf buf;

	buf_init(&buf, 100000);
	envelope_encode(&in, key, &buf);
	check_int(decode(buf.data, buf.len), ==, SL_OK);
	for (size_t len = 0; len < buf.len; len++) {
		enum sl_code code = decode(buf.data, len);

		check_int(code, ==, len <= 28 ? SL_INVALID : SL_CONFLICT);
	}
	for (size_t at = 0; at < buf.len; at++) {
		for (int bit = 0; bit < 8; bit++) {
			enum sl_code code;

			buf.data[at] ^= (char)(1 << bit);
			code = decode(buf.data, buf.len);
			check(code == SL_CONFLICT || (code == SL_INVALID && at < 12));
			buf.data[at] ^= (char)(1 << bit);
		}
	}
	buf_add_char(&buf, 'x');
	check_int(decode(buf.data, buf.len), ==, SL_CONFLICT);
	buf_fini(&buf);
}

static void
another_key_is_a_conflict(void)
{
	static const uint8_t other[32] = "0123456789abcdef0123456789abcdX";
	struct envelope in = sample(), out;
	struct buf buf;

	buf_init(&buf, 100000);
	envelope_encode(&in, other, &buf);
	check_int(envelope_decode(buf_slice(&buf), key, &out, NULL), ==, SL_CONFLICT);
	buf_fini(&buf);
}

static void
a_newer_version_is_left_for_a_newer_worker(void)
{
	check_int(decode_signed("000000000001", SLICE_LITERAL("\x91\x02")), ==, SL_UNAVAILABLE);
	check_int(decode_signed("000000000001", SLICE_LITERAL("\x9F\x02\x91\xC0")), ==,
		  SL_UNAVAILABLE);
	check_int(decode_signed("000000000001", SLICE_LITERAL("\x91\x01")), ==, SL_INVALID);
	check_int(decode_signed("000000000001", SLICE_LITERAL("\x91\x00")), ==, SL_INVALID);
	check_int(decode_signed("000000000001", SLICE_LITERAL("\x91\xFF")), ==, SL_INVALID);
	check_int(decode_signed("000000000001", SLICE_LITERAL("\xA1x")), ==, SL_INVALID);
	check_int(decode_signed("00000000000x", SLICE_LITERAL("\x91\x02")), ==, SL_INVALID);
}

/* One field of a good version 1 array replaced. */
static enum sl_code
decode_with(size_t replaced, enum frame_type type, int64_t number, size_t len)
{
	static char bytes[ENVELOPE_INPUT_MAX + 1];
	struct frame_writer w;
	struct buf body;
	enum sl_code code;

	buf_init(&body, 100000);
	frame_begin(&w, &body, 12);
	for (size_t i = 0; i < 12; i++) {
		if (i == replaced && type == FRAME_NIL)
			frame_add_nil(&w);
		else if (i == replaced && type == FRAME_BOOL)
			frame_add_bool(&w, number != 0);
		else if (i == replaced && type == FRAME_INT)
			frame_add_int(&w, number);
		else if (i == replaced)
			frame_add_bin(&w, bytes, len);
		else if (i == 1)
			frame_add_bin(&w, bytes, 16);
		else if (i == 9)
			frame_add_bool(&w, false);
		else if (i == 11)
			frame_add_nil(&w);
		else
			frame_add_int(&w, 1);
	}
	frame_end(&w);
	code = decode_signed("000000000001", (struct slice){body.data + 4, body.len - 4});
	buf_fini(&body);
	return code;
}

static void
every_field_is_held_to_type_and_range(void)
{
	check_int(decode_with(99, FRAME_NIL, 0, 0), ==, SL_OK);
	for (size_t i = 0; i < 12; i++) {
		check_int(decode_with(i, FRAME_NIL, 0, 0), ==, i == 11 ? SL_OK : SL_INVALID);
		check_int(decode_with(i, FRAME_BOOL, 1, 0), ==, i == 9 ? SL_OK : SL_INVALID);
		check_int(decode_with(i, FRAME_BYTES, 0, 3), ==, i == 11 ? SL_OK : SL_INVALID);
		check_int(decode_with(i, FRAME_INT, -1, 0), ==, SL_INVALID);
	}
	for (size_t i = 6; i <= 7; i++) {
		check_int(decode_with(i, FRAME_INT, 32767, 0), ==, SL_OK);
		check_int(decode_with(i, FRAME_INT, 32768, 0), ==, SL_INVALID);
		check_int(decode_with(i, FRAME_INT, (INT64_C(1) << 32) + 1, 0), ==, SL_INVALID);
	}
	check_int(decode_with(6, FRAME_INT, 0, 0), ==, SL_INVALID);
	check_int(decode_with(7, FRAME_INT, 0, 0), ==, SL_OK);
	check_int(decode_with(8, FRAME_INT, 0, 0), ==, SL_INVALID);
	check_int(decode_with(8, FRAME_INT, 4, 0), ==, SL_OK);
	check_int(decode_with(8, FRAME_INT, 5, 0), ==, SL_INVALID);
	check_int(decode_with(8, FRAME_INT, (INT64_C(1) << 32) + 1, 0), ==, SL_INVALID);
	check_int(decode_with(1, FRAME_BYTES, 0, 15), ==, SL_INVALID);
	check_int(decode_with(1, FRAME_BYTES, 0, 17), ==, SL_INVALID);
	check_int(decode_with(11, FRAME_BYTES, 0, ENVELOPE_INPUT_MAX), ==, SL_OK);
	check_int(decode_with(11, FRAME_BYTES, 0, ENVELOPE_INPUT_MAX + 1), ==, SL_INVALID);
}

int
main(void)
{
	CHECK_RUN(what_is_encoded_is_decoded);
	CHECK_RUN(extremes_are_carried);
	CHECK_RUN(entries_can_stand_behind_other_bytes);
	CHECK_RUN(a_full_buffer_is_over);
	CHECK_RUN(no_cut_and_no_changed_bit_is_taken);
	CHECK_RUN(another_key_is_a_conflict);
	CHECK_RUN(a_newer_version_is_left_for_a_newer_worker);
	CHECK_RUN(every_field_is_held_to_type_and_range);
	return check_done();
}
