#include "base/buf.h"

#include <stdlib.h>

#include "tests/lib/check.h"

static void
appends_keep_a_nul_behind_them(void)
{
	struct buf buf;

	buf_init(&buf, 1000);
	check(buf.data == NULL);
	check(buf_add(&buf, "a\0b", 3));
	check(buf_add_text(&buf, "cd"));
	check(buf_add_char(&buf, 'e'));
	check(buf_add_slice(&buf, SLICE_LITERAL("fg")));
	check(buf_printf(&buf, "%d-%s", 42, "x"));
	check_int(buf.len, ==, 12);
	check(memcmp(buf.data, "a\0bcdefg42-x", 13) == 0);
	buf_fini(&buf);
}

static void
nothing_can_be_appended_from_nowhere(void)
{
	struct buf buf;

	buf_init(&buf, 10);
	check(buf_add(&buf, NULL, 0));
	check(buf_add_slice(&buf, (struct slice){NULL, 0}));
	check_int(buf.len, ==, 0);
	buf_fini(&buf);
}

static void
the_cap_is_exact(void)
{
	struct buf buf;

	for (size_t cap = 0; cap < 200; cap++) {
		buf_init(&buf, cap);
		for (size_t i = 0; i < cap; i++)
			check(buf_add_char(&buf, 'x'));
		check(!buf.over);
		check_int(buf.size, <=, cap);
		check(!buf_add_char(&buf, 'x'));
		check(buf.over);
		check_int(buf.len, ==, cap);
		buf_fini(&buf);
	}
}

static void
a_buffer_that_is_over_holds_a_prefix(void)
{
	struct buf buf;

	buf_init(&buf, 5);
	check(buf_add_text(&buf, "abc"));
	check(!buf_add_text(&buf, "def"));
	check(!buf_add_text(&buf, "g")); /* would fit, but would leave a gap */
	check(!buf_printf(&buf, "%s", ""));
	check_text(buf.data, "abc");
	buf_clear(&buf);
	check(!buf.over);
	check(buf_printf(&buf, "%s", "12345"));
	check_text(buf.data, "12345");
	check(!buf_printf(&buf, "%d", 6));
	check_text(buf.data, "12345");
	buf_fini(&buf);
}

static void
lengths_near_the_end_of_memory_are_refused(void)
{
	struct buf buf;

	buf_init(&buf, SIZE_MAX - 1);
	check(buf_add_char(&buf, 'x'));
	check(!buf_reserve(&buf, SIZE_MAX));
	check(buf.over);
	buf_fini(&buf);
}

static void
reserve_makes_room_without_using_it(void)
{
	struct buf buf;

	buf_init(&buf, 100);
	check(buf_reserve(&buf, 100));
	check_int(buf.len, ==, 0);
	check_int(buf.size, ==, 100);
	memset(buf.data, 'y', 100);
	check(!buf_reserve(&buf, 101));
	buf_fini(&buf);
}

static void
consume_drops_the_front(void)
{
	struct buf buf;

	buf_init(&buf, 100);
	buf_consume(&buf, 0);
	buf_add_text(&buf, "hello");
	buf_consume(&buf, 2);
	check_text(buf.data, "llo");
	buf_consume(&buf, 3);
	check_int(buf.len, ==, 0);
	check_text(buf.data, "");
	buf_fini(&buf);
}

static void
take_gives_the_bytes_away(void)
{
	struct buf buf;
	size_t len;
	char *text;

	buf_init(&buf, 10);
	text = buf_take(&buf, &len);
	check_text(text, "");
	check_int(len, ==, 0);
	free(text);
	buf_add_text(&buf, "abc");
	text = buf_take(&buf, NULL);
	check_text(text, "abc");
	free(text);
	check(buf.data == NULL && buf.len == 0 && buf.cap == 10);
	check(buf_add_text(&buf, "again"));
	buf_fini(&buf);
}

static void
slices_compare_by_bytes(void)
{
	struct buf buf;

	buf_init(&buf, 10);
	check_int(buf_slice(&buf).len, ==, 0);
	check(buf_slice(&buf).data != NULL);
	check(slice_is(slice_text(NULL), ""));
	check(slice_is(SLICE_LITERAL("abc"), "abc"));
	check(!slice_is(SLICE_LITERAL("abc"), "ab"));
	check(!slice_is(SLICE_LITERAL("a\0c"), "a"));
	check(slice_equal((struct slice){NULL, 0}, SLICE_LITERAL("")));
	check(!slice_equal(SLICE_LITERAL("abc"), SLICE_LITERAL("abd")));
	buf_fini(&buf);
}

static void
hex_digits_have_their_value_and_nothing_else_has(void)
{
	int digits = 0;

	for (int c = 0; c < 256; c++)
		digits += hex_digit((char)c) >= 0;
	check_int(digits, ==, 22);
	check_int(hex_digit('0'), ==, 0);
	check_int(hex_digit('9'), ==, 9);
	check_int(hex_digit('a'), ==, 10);
	check_int(hex_digit('F'), ==, 15);
	check_int(hex_digit('g'), ==, -1);
}

int
main(void)
{
	CHECK_RUN(appends_keep_a_nul_behind_them);
	CHECK_RUN(nothing_can_be_appended_from_nowhere);
	CHECK_RUN(the_cap_is_exact);
	CHECK_RUN(a_buffer_that_is_over_holds_a_prefix);
	CHECK_RUN(lengths_near_the_end_of_memory_are_refused);
	CHECK_RUN(reserve_makes_room_without_using_it);
	CHECK_RUN(consume_drops_the_front);
	CHECK_RUN(take_gives_the_bytes_away);
	CHECK_RUN(slices_compare_by_bytes);
	CHECK_RUN(hex_digits_have_their_value_and_nothing_else_has);
	return check_done();
}
