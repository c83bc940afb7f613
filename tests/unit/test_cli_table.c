#include <locale.h>
#include <stdlib.h>

#include "cli/print.h"
#include "cli/table.h"
#include "tests/lib/check.h"

static char text[4096];

static const char *
safe(const char *bytes, size_t len)
{
	struct buf out;

	buf_init(&out, sizeof(text) - 1);
	print_safe(&out, (struct slice){bytes, len});
	snprintf(text, sizeof(text), "%s", buf_slice(&out).data);
	buf_fini(&out);
	return text;
}
#define SAFE(literal) safe(literal, sizeof(literal) - 1)

static const char *
printed(const struct table *table)
{
	FILE *file = fmemopen(text, sizeof(text), "w");

	table_print(table, file);
	fclose(file);
	return text;
}

static void
bytes_that_steer_a_terminal_are_shown_as_escapes(void)
{
	check_text(SAFE("\033[2Jx"), "\\x1b[2Jx");
	check_text(SAFE("a\nb\tc\r"), "a\\nb\\tc\\x0d");
	check_text(SAFE("\x7f"), "\\x7f");
	check_text(SAFE("\xc2\x9b"
			"31m"),
		   "\\x9b31m"); /* C1 CSI */
	check_text(SAFE("a\xe2\x80\xae"
			"b"),
		   "a\\u{202e}b"); /* right to left */
	check_text(SAFE("\xe2\x80\x8b\xef\xbb\xbf"), "\\u{200b}\\u{feff}");
	check_text(SAFE("\xf3\xa0\x81\x81"), "\\u{e0041}"); /* tag letters hide */
	check_text(SAFE("a\0b"), "a\\x00b");
}

static void
bytes_that_are_no_utf8_are_shown_one_by_one(void)
{
	check_text(SAFE("\xff\xc3(\xed\xa0\x80"), "\\xff\\xc3(\\xed\\xa0\\x80");
	check_text(SAFE("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
		   "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
}

static void
columns_are_as_wide_as_a_terminal_shows_them(void)
{
	struct table *table = table_new("NAME >N LAST");

	table_text(table, "\xc3\xa9t\xc3\xa9"); /* 3 columns, 5 bytes */
	table_printf(table, "%d", 7);
	table_text(table, "x");
	table_text(table, "\xe6\x97\xa5\xe6\x9c\xac"); /* two wide characters */
	table_printf(table, "%d", 1234);
	table_text(table, NULL);
	table_text(table, "\033");
	table_text(table, "");
	table_text(table, "a long one at the end");
	check_text(printed(table), "NAME     N  LAST\n"
				   "\xc3\xa9t\xc3\xa9      7  x\n"
				   "\xe6\x97\xa5\xe6\x9c\xac  1234  -\n"
				   "\\x1b     -  a long one at the end\n");
	table_free(table);
}

static void
values_of_json_become_cells(void)
{
	static const char json[] =
	    "{\"t\":\"a\\u001bb\",\"n\":12,\"y\":true,\"z\":null,\"ms\":61500,"
	    "\"at\":\"2026-11-22T05:12:00.000Z\",\"bad\":\"2026-11-22\"}";
	struct table *table = table_new("A B C D E F G H I");
	struct json_value value;
	int64_t at_ms;

	check_int(json_check(slice_text(json), &value, NULL), ==, SL_OK);
	check(print_time(json_get(value, "at"), &at_ms));
	check_int(at_ms, ==, 1795324320000);
	check(!print_time(json_get(value, "bad"), &at_ms));
	table_json(table, json_get(value, "t"));
	table_json(table, json_get(value, "n"));
	table_json(table, json_get(value, "y"));
	table_json(table, json_get(value, "z"));
	table_json(table, json_get(value, "absent"));
	table_span(table, json_get(value, "ms"));
	table_span(table, json_get(value, "z"));
	table_since(table, json_get(value, "at"), at_ms + 2500);
	table_since(table, json_get(value, "at"), at_ms - 850);
	check_text(printed(table), "A       B   C    D  E  F      G  H     I\n"
				   "a\\x1bb  12  yes  -  -  1m01s  -  2.5s  in 850ms\n");
	table_free(table);
}

static void
spans_have_two_units_at_most(void)
{
	static const struct {
		int64_t ms;
		const char *shown;
	} rows[] = {{-5, "0ms"},         {0, "0ms"},         {999, "999ms"},
		    {1000, "1.0s"},      {59999, "59.9s"},   {60000, "1m00s"},
		    {3599999, "59m59s"}, {3600000, "1h00m"}, {86399999, "23h59m"},
		    {90000000, "1d01h"}};
	char span[PRINT_SPAN];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_span(rows[i].ms, span);
		check_text(span, rows[i].shown);
	}
}

static void
json_stays_the_same_document_and_steers_nothing(void)
{
	static const char raw[] = "{\"a\":\"\xc2\x9b\x7f\xe2\x80\xae\xf3\xa0\x81\x81\xc3\xa9\\n\"}";
	FILE *file = fmemopen(text, sizeof(text), "w");

	print_json(file, slice_text(raw));
	fclose(file);
	check_text(text, "{\"a\":\"\\u009b\\u007f\\u202e\\udb40\\udc41\xc3\xa9\\n\"}\n");
}

static void
no_colours_come_where_no_terminal_is(void)
{
	FILE *file = fmemopen(text, sizeof(text), "w");

	setenv("TERM", "xterm", 1);
	print_styled(file, STYLE_BAD, "fail\033");
	fclose(file);
	check_text(text, "fail\\x1b");
}

int
main(void)
{
	setlocale(LC_CTYPE, "C.UTF-8");
	CHECK_RUN(bytes_that_steer_a_terminal_are_shown_as_escapes);
	CHECK_RUN(bytes_that_are_no_utf8_are_shown_one_by_one);
	CHECK_RUN(columns_are_as_wide_as_a_terminal_shows_them);
	CHECK_RUN(values_of_json_become_cells);
	CHECK_RUN(spans_have_two_units_at_most);
	CHECK_RUN(json_stays_the_same_document_and_steers_nothing);
	CHECK_RUN(no_colours_come_where_no_terminal_is);
	return check_done();
}
