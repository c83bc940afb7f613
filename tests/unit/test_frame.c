#include "base/frame.h"

#include <stdlib.h>

#include "tests/lib/check.h"

/* Decodes a copy that ends where its memory ends, so that a sanitizer sees a read behind it. */
static enum sl_code
decode(const void *bytes, size_t len, struct frame *out)
{
	char *copy = malloc(len > 0 ? len : 1);
	enum sl_code code;

	memcpy(copy, bytes, len);
	code = frame_decode((struct slice){copy, len}, out, NULL);
	free(copy);
	return code;
}

#define DECODE(literal, out) decode(literal, sizeof(literal) - 1, out)

static void
write_sample(struct buf *out)
{
	struct frame_writer w;

	frame_begin(&w, out, 6);
	frame_add_int(&w, 12);
	frame_add_text(&w, "text");
	frame_add_bin(&w, "b\0n", 3);
	frame_add_bool(&w, true);
	frame_add_nil(&w);
	frame_add_int(&w, INT64_MIN);
	frame_end(&w);
}

static void
what_is_written_is_read(void)
{
	struct slice body;
	struct frame frame;
	struct buf buf;
	size_t used;

	buf_init(&buf, 1000);
	write_sample(&buf);
	check_int(frame_peek(buf_slice(&buf), 1000, &body, &used), ==, 1);
	check_int(used, ==, buf.len);
	check_int(frame_decode(body, &frame, NULL), ==, SL_OK);
	check(frame_is(&frame, "issb?i"));
	check_int(frame.field[0].number, ==, 12);
	check(slice_is(frame.field[1].bytes, "text"));
	check(slice_equal(frame.field[2].bytes, SLICE_LITERAL("b\0n")));
	check_int(frame.field[3].number, ==, 1);
	check_int(frame.field[4].type, ==, FRAME_NIL);
	check(frame.field[5].number == INT64_MIN);
	buf_fini(&buf);
}

static void
every_size_of_number_survives(void)
{
	struct frame_writer w;
	struct slice body;
	struct frame frame;
	struct buf buf;
	size_t used;

	buf_init(&buf, 1000);
	for (int bits = 0; bits < 63; bits++) {
		for (int64_t off = -1; off <= 1; off++) {
			for (int minus = 0; minus < 2; minus++) {
				int64_t number = (INT64_C(1) << bits) + off;

				number = minus ? -number : number;
				buf_clear(&buf);
				frame_begin(&w, &buf, 2);
				frame_add_int(&w, number);
				frame_add_int(&w, INT64_MAX);
				frame_end(&w);
				check_int(frame_peek(buf_slice(&buf), 100, &body, &used), ==, 1);
				check_int(frame_decode(body, &frame, NULL), ==, SL_OK);
				check_int(frame.field[0].number, ==, number);
				check(frame.field[1].number == INT64_MAX);
			}
		}
	}
	buf_fini(&buf);
}

static void
bytes_of_every_head_survive(void)
{
	static const size_t lens[] = {0, 1, 31, 32, 255, 256, 65535, 65536};
	char *bytes = calloc(1, 65537);
	struct frame_writer w;
	struct slice body;
	struct frame frame;
	struct buf buf;
	size_t used;

	buf_init(&buf, 200000);
	memset(bytes, 'x', 65536);
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		buf_clear(&buf);
		bytes[lens[i]] = '\0';
		frame_begin(&w, &buf, 3);
		frame_add_int(&w, 1);
		frame_add_text(&w, bytes);
		frame_add_bin(&w, bytes, lens[i]);
		frame_end(&w);
		bytes[lens[i]] = 'x';
		check_int(frame_peek(buf_slice(&buf), 200000, &body, &used), ==, 1);
		check_int(frame_decode(body, &frame, NULL), ==, SL_OK);
		check_int(frame.field[1].bytes.len, ==, lens[i]);
		check_int(frame.field[2].bytes.len, ==, lens[i]);
	}
	buf_fini(&buf);
	free(bytes);
}

static void
frames_follow_each_other_in_a_stream(void)
{
	struct slice stream, body;
	struct frame frame;
	struct buf buf;
	size_t used;

	buf_init(&buf, 1000);
	for (int i = 0; i < 3; i++)
		write_sample(&buf);
	stream = buf_slice(&buf);
	for (int i = 0; i < 3; i++) {
		check_int(frame_peek(stream, 100, &body, &used), ==, 1);
		check_int(frame_decode(body, &frame, NULL), ==, SL_OK);
		stream.data += used;
		stream.len -= used;
	}
	check_int(stream.len, ==, 0);
	buf_fini(&buf);
}

static void
a_cut_stream_wants_more_and_a_cut_body_is_refused(void)
{
	struct slice body;
	struct frame frame;
	struct buf buf;
	size_t used;

	buf_init(&buf, 1000);
	write_sample(&buf);
	for (size_t len = 0; len < buf.len; len++) {
		char *copy = malloc(len > 0 ? len : 1);

		memcpy(copy, buf.data, len);
		check_int(frame_peek((struct slice){copy, len}, 1000, &body, &used), ==, 0);
		free(copy);
	}
	for (size_t len = 0; len < buf.len - 4; len++) {
		check_int(decode(buf.data + 4, len, &frame), ==, SL_INVALID);
		check_int(frame.count, ==, 0);
	}
	buf_fini(&buf);
}

static void
a_claimed_length_is_judged_before_its_bytes_come(void)
{
	struct slice body;
	size_t used;

	check_int(frame_peek(SLICE_LITERAL("\0\0\0\0"), 100, &body, &used), ==, -1);
	check_int(frame_peek(SLICE_LITERAL("\0\0\0\x65"), 100, &body, &used), ==, -1);
	check_int(frame_peek(SLICE_LITERAL("\0\0\0\x64"), 100, &body, &used), ==, 0);
	check_int(frame_peek(SLICE_LITERAL("\xFF\xFF\xFF\xFF"), 100, &body, &used), ==, -1);
}

static void
claimed_counts_and_lengths_cost_nothing(void)
{
	struct frame frame;

	check_int(DECODE("\xDD\xFF\xFF\xFF\xFF\x01", &frame), ==, SL_INVALID);
	check_int(DECODE("\xDC\xFF\xFF\x01", &frame), ==, SL_INVALID);
	check_int(DECODE("\x92\x01\xC6\xFF\xFF\xFF\xFF", &frame), ==, SL_INVALID);
	check_int(DECODE("\x92\x01\xDB\xFF\xFF\xFF\xFFx", &frame), ==, SL_INVALID);
	check_int(DECODE("\x92\x01\xBFx", &frame), ==, SL_INVALID);
}

static void
only_scalars_and_bytes_are_taken(void)
{
	struct frame frame;
	char bytes[] = "\x92\x01?\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

	for (int tag = 0x80; tag < 0xA0; tag++) { /* maps and arrays */
		bytes[2] = (char)tag;
		check_int(decode(bytes, 3, &frame), ==, SL_INVALID);
	}
	for (int tag = 0xC0; tag < 0xE0; tag++) {
		bool refused = tag == 0xC1 || (tag >= 0xC7 && tag <= 0xCB) ||
			       (tag >= 0xD4 && tag <= 0xD8) || tag >= 0xDC;
		bool taken = false;

		bytes[2] = (char)tag;
		for (size_t len = 3; len < sizeof(bytes); len++)
			taken = taken || decode(bytes, len, &frame) == SL_OK;
		check_int(taken, ==, !refused);
	}
}

static void
the_array_has_one_to_twelve_fields_and_starts_with_a_type(void)
{
	struct frame frame;

	check_int(DECODE("", &frame), ==, SL_INVALID);
	check_int(DECODE("\x01", &frame), ==, SL_INVALID);
	check_int(DECODE("\x90", &frame), ==, SL_INVALID);
	check_int(DECODE("\x91\x01", &frame), ==, SL_OK);
	check_int(DECODE("\xDC\x00\x01\x01", &frame), ==, SL_OK);
	check_int(DECODE("\xDD\x00\x00\x00\x01\x01", &frame), ==, SL_OK);
	check_int(DECODE("\x9C\1\2\3\4\5\6\7\1\1\1\1\1", &frame), ==, SL_OK);
	check_int(frame.count, ==, 12);
	check_int(DECODE("\x9D\1\2\3\4\5\6\7\1\1\1\1\1\1", &frame), ==, SL_INVALID);
	check_int(DECODE("\x91\xC0", &frame), ==, SL_INVALID);
	check_int(DECODE("\x91\xA1x", &frame), ==, SL_INVALID);
	check_int(DECODE("\x91\x01\x01", &frame), ==, SL_INVALID); /* a byte left over */
}

static void
numbers_keep_sign_and_range(void)
{
	struct frame frame;

	check_int(DECODE("\x93\xD0\x80\xD1\xFF\x7F\xFF", &frame), ==, SL_OK);
	check_int(frame.field[0].number, ==, -128);
	check_int(frame.field[1].number, ==, -129);
	check_int(frame.field[2].number, ==, -1);
	check_int(DECODE("\x92\xCC\xFF\xE0", &frame), ==, SL_OK);
	check_int(frame.field[0].number, ==, 255);
	check_int(frame.field[1].number, ==, -32);
	check_int(DECODE("\x91\xCF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF", &frame), ==, SL_OK);
	check_int(DECODE("\x91\xCF\x80\0\0\0\0\0\0\0", &frame), ==, SL_INVALID);
}

static void
shape_counts_and_types_each_field(void)
{
	struct frame frame;

	check_int(DECODE("\x94\x01\xC3\xA1x\xC0", &frame), ==, SL_OK);
	check(frame_is(&frame, "ibs?"));
	check(frame_is(&frame, "????"));
	check(!frame_is(&frame, "ibs"));
	check(!frame_is(&frame, "ibs??"));
	check(!frame_is(&frame, "iis?"));
	check(!frame_is(&frame, "ibb?"));
	check(!frame_is(&frame, "ibsi"));
	check(!frame_is(&frame, "sbs?"));
}

static void
the_type_can_be_seen_without_the_rest(void)
{
	int64_t type = 0;

	check(frame_peek_type(SLICE_LITERAL("\x93\x07\xCB"), &type));
	check_int(type, ==, 7);
	check(!frame_peek_type(SLICE_LITERAL("\x93"), &type));
	check(!frame_peek_type(SLICE_LITERAL("\x90"), &type));
	check(!frame_peek_type(SLICE_LITERAL("\x91\xC0"), &type));
	check(!frame_peek_type(SLICE_LITERAL("\xDD\0\0"), &type));
	check(!frame_peek_type((struct slice){NULL, 0}, &type));
}

static void
a_full_buffer_leaves_no_half_frame_unnoticed(void)
{
	struct buf buf;

	for (size_t cap = 0; cap < 40; cap++) {
		buf_init(&buf, cap);
		write_sample(&buf);
		check(buf.over == (cap < 4 + 1 + 1 + 5 + 5 + 1 + 1 + 9));
		buf_fini(&buf);
	}
}

static void
any_two_changed_bytes_do_no_harm(void)
{
	struct frame frame;
	struct buf buf;

	buf_init(&buf, 1000);
	write_sample(&buf);
	for (size_t at = 4; at < buf.len; at++) {
		char kept = buf.data[at];

		for (int value = 0; value < 256; value++) {
			buf.data[at] = (char)value;
			if (at + 1 < buf.len) {
				char next = buf.data[at + 1];

				buf.data[at + 1] = (char)(255 - value);
				(void)!decode(buf.data + 4, buf.len - 4, &frame);
				buf.data[at + 1] = next;
			}
			if (decode(buf.data + 4, buf.len - 4, &frame) == SL_OK)
				check_int(frame.count, <=, 12);
			else
				check_int(frame.count, ==, 0);
		}
		buf.data[at] = kept;
	}
	buf_fini(&buf);
}

int
main(void)
{
	CHECK_RUN(what_is_written_is_read);
	CHECK_RUN(every_size_of_number_survives);
	CHECK_RUN(bytes_of_every_head_survive);
	CHECK_RUN(frames_follow_each_other_in_a_stream);
	CHECK_RUN(a_cut_stream_wants_more_and_a_cut_body_is_refused);
	CHECK_RUN(a_claimed_length_is_judged_before_its_bytes_come);
	CHECK_RUN(claimed_counts_and_lengths_cost_nothing);
	CHECK_RUN(only_scalars_and_bytes_are_taken);
	CHECK_RUN(the_array_has_one_to_twelve_fields_and_starts_with_a_type);
	CHECK_RUN(numbers_keep_sign_and_range);
	CHECK_RUN(shape_counts_and_types_each_field);
	CHECK_RUN(the_type_can_be_seen_without_the_rest);
	CHECK_RUN(a_full_buffer_leaves_no_half_frame_unnoticed);
	CHECK_RUN(any_two_changed_bytes_do_no_harm);
	return check_done();
}
