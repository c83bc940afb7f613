#include "base/json.h"

#include <stdlib.h>

#include "tests/lib/check.h"

static struct sl_error error;

/* Checks a copy that ends where its memory ends, so that a sanitizer sees a read behind it. */
static enum sl_code
check_copy(const char *text, size_t len)
{
	char *copy = malloc(len > 0 ? len : 1);
	struct json_value value;
	enum sl_code code;

	memcpy(copy, text, len);
	code = json_check((struct slice){copy, len}, &value, &error);
	if (code == SL_OK && (value.type == JSON_NONE || value.raw.len == 0))
		code = SL_INTERNAL;
	if (code != SL_OK && value.type != JSON_NONE)
		code = SL_INTERNAL;
	free(copy);
	return code;
}

/* Borrowed from text, which must be good. */
static struct json_value
good(const char *text)
{
	struct json_value value;

	check_int(json_check(slice_text(text), &value, NULL), ==, SL_OK);
	return value;
}

static void
good_texts_are_taken(void)
{
	static const char *const texts[] = {
	    "null",
	    " true\r\n",
	    "\tfalse ",
	    "0",
	    "-0",
	    "-0.0",
	    "1",
	    "-12.50e+10",
	    "1E400",
	    "0e0",
	    "123456789012345678901234567890",
	    "1e-999999999999999999999",
	    "\"\"",
	    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uD83D\\uDE00\"",
	    "\"\\ud800\"",
	    "\"\\udc00\\ud800\"",
	    "\"\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF\"",
	    "\"\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\"",
	    "[]",
	    "[ ]",
	    "{}",
	    "{ }",
	    "[1,[2,[3,{}]],{\"a\":[]}]",
	    " { \"a\" : 1 , \"b\" : [ true , null ] } ",
	    "{\"\":0}",
	    "[\"a\",\"a\"]",
	    "[{\"a\":1,\"a\":2}]",
	    "{\"x\":{\"a\":1,\"a\":2}}",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (check_copy(texts[i], strlen(texts[i])) != SL_OK)
			check_text(texts[i], error.text);
	}
}

static void
bad_texts_are_refused(void)
{
	static const char *const texts[] = {
	    "",
	    " ",
	    "nul",
	    "nulll",
	    "True",
	    "NaN",
	    "Infinity",
	    "-",
	    "+1",
	    "01",
	    "-01",
	    "1.",
	    ".5",
	    "1.e5",
	    "1e",
	    "1e+",
	    "0x10",
	    "1 2",
	    "--1",
	    "1,",
	    ",",
	    ":",
	    "]",
	    "}",
	    "[",
	    "{",
	    "[1",
	    "[1,",
	    "[1,]",
	    "[,1]",
	    "[1 2]",
	    "[1}",
	    "{]",
	    "{1:2}",
	    "{\"a\"}",
	    "{\"a\":}",
	    "{\"a\":1",
	    "{\"a\":1,",
	    "{\"a\":1,}",
	    "{\"a\" 1}",
	    "{\"a\":1 \"b\":2}",
	    "{,}",
	    "{\"a\"::1}",
	    "{'a':1}",
	    "[1]]",
	    "{}{}",
	    "\"",
	    "\"a",
	    "\"\\",
	    "\"\\\"",
	    "\"\\x\"",
	    "\"\\u12\"",
	    "\"\\u123g\"",
	    "\"\\u\"",
	    "\"\\U0041\"",
	    "\"\n\"",
	    "\"\x1F\"",
	    "\"\t\"",
	    "// c\n1",
	    "/**/1",
	    "'a'",
	    "[1]//",
	    "\xEF\xBB\xBF[]",
	    "\"\x80\"",
	    "\"\xBF\"",
	    "\"\xC0\x80\"",
	    "\"\xC1\xBF\"",
	    "\"\xC2\"",
	    "\"\xC2\x20\"",
	    "\"\xE0\x80\x80\"",
	    "\"\xE0\x9F\xBF\"",
	    "\"\xED\xA0\x80\"",
	    "\"\xED\xBF\xBF\"",
	    "\"\xE2\x82\"",
	    "\"\xF0\x80\x80\x80\"",
	    "\"\xF0\x8F\xBF\xBF\"",
	    "\"\xF4\x90\x80\x80\"",
	    "\"\xF5\x80\x80\x80\"",
	    "\"\xFF\"",
	    "\xC2\xA0",
	    "\v1",
	    "\f1",
	    "1\xC2\xA0",
	    "\xE2\x80\xA8"
	    "1",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (check_copy(texts[i], strlen(texts[i])) != SL_INVALID)
			check_text(texts[i], "(should be refused)");
	}
}

static void
raw_nul_bytes_are_refused_everywhere(void)
{
	const char text[] = " {\"a\" : [1, \"x\"] } ";

	for (size_t at = 0; at <= sizeof(text) - 1; at++) {
		char with[sizeof(text)];

		memcpy(with, text, at);
		with[at] = '\0';
		memcpy(with + at + 1, text + at, sizeof(text) - 1 - at);
		check_int(check_copy(with, sizeof(with)), ==, SL_INVALID);
	}
}

static const char sample[] =
    "{\"id\":\"\\u00e4\\ud83d\\ude00\xE2\x82\xAC\",\"n\":[-1.5e+3,0,true,false,null,{}],"
    "\"o\":{\"k\\n\":[[],\"\\\\\"]}}";

static void
every_cut_is_refused(void)
{
	check_int(check_copy(sample, sizeof(sample) - 1), ==, SL_OK);
	for (size_t len = 0; len < sizeof(sample) - 1; len++)
		check_int(check_copy(sample, len), ==, SL_INVALID);
}

/* Walks all of a checked value, also into containers; reading it is the test. */
static size_t
walk(struct json_value value)
{
	struct json_iter it;
	size_t count = 1, len;
	int64_t number;
	char *text = json_text(value, &len);

	check((text != NULL) == (value.type == JSON_TEXT));
	free(text);
	json_is_yes(value);
	json_int(value, &number);
	json_iter_init(&it, value);
	while (json_iter_next(&it))
		count += walk(it.value);
	json_iter_fini(&it);
	return count;
}

static void
any_changed_byte_is_refused_or_can_be_walked(void)
{
	size_t len = sizeof(sample) - 1;

	for (size_t at = 0; at < len; at++) {
		for (int value = 0; value < 256; value++) {
			char *copy = malloc(len);
			struct json_value found;

			memcpy(copy, sample, len);
			copy[at] = (char)value;
			if (json_check((struct slice){copy, len}, &found, NULL) == SL_OK)
				check_int(walk(found), >=, 1);
			free(copy);
		}
	}
}

static void
errors_name_the_byte_and_what_was_expected(void)
{
	static const char *const cases[][2] = {
	    {"{\"a\" 1}", "JSON, byte 5: expected ':'"},
	    {"[1 2]", "JSON, byte 3: expected ',' or ']'"},
	    {"[1,]", "JSON, byte 3: expected a value"},
	    {"{} x", "JSON, byte 3: expected the end of the text"},
	    {"\"ab\xFF\"", "JSON, byte 3: expected valid UTF-8"},
	    {"\"abc", "JSON, byte 4: expected the end of a string"},
	    {"012", "JSON, byte 1: expected no digit behind a leading zero"},
	    {"{\"a\":1,\"b\":2,\"a\":3}", "JSON, byte 13: the key \"a\" stands there twice"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		check_int(check_copy(cases[i][0], strlen(cases[i][0])), ==, SL_INVALID);
		check_text(error.text, cases[i][1]);
	}
}

static enum sl_code
check_nested(size_t depth, char open, char close)
{
	char *text = malloc(2 * depth);
	enum sl_code code;

	memset(text, open, depth);
	memset(text + depth, close, depth);
	code = check_copy(text, 2 * depth);
	free(text);
	return code;
}

static void
depth_ends_at_the_limit(void)
{
	check_int(check_nested(JSON_DEPTH_MAX, '[', ']'), ==, SL_OK);
	check_int(check_nested(JSON_DEPTH_MAX + 1, '[', ']'), ==, SL_INVALID);
	check_int(check_nested(1000000, '[', ']'), ==, SL_INVALID);
	check_int(check_nested(JSON_DEPTH_MAX, '[', '}'), ==, SL_INVALID);
}

static void
each_level_remembers_its_kind(void)
{
	struct buf text;
	struct json_value value;

	buf_init(&text, 100000);
	for (int i = 0; i < JSON_DEPTH_MAX; i++)
		buf_add_text(&text, i % 3 == 0 ? "[" : "{\"a\":");
	buf_add_text(&text, "7");
	for (int i = JSON_DEPTH_MAX - 1; i >= 0; i--)
		buf_add_text(&text, i % 3 == 0 ? "]" : "}");
	check_int(json_check(buf_slice(&text), &value, NULL), ==, SL_OK);
	for (size_t at = text.len - JSON_DEPTH_MAX; at < text.len; at++) {
		text.data[at] ^= ']' ^ '}';
		check_int(json_check(buf_slice(&text), &value, NULL), ==, SL_INVALID);
		text.data[at] ^= ']' ^ '}';
	}
	buf_fini(&text);
}

static void
repeated_keys_are_found_after_unescaping(void)
{
	static const char *const repeated[] = {
	    "{\"a\":1,\"a\":2}",
	    "{\"a\":1,\"b\":{},\"\\u0061\":2}",
	    "{\"\":1,\"\":2}",
	    "{\"\\ud83d\\ude00\":1,\"\xF0\x9F\x98\x80\":2}",
	    "{\"\\ud800\":1,\"\\uD800\":2}",
	    "{\"\\u0000\":1,\"\\u0000\":2}",
	    "{\"\\/\":1,\"/\":2}",
	    "{\"\\n\":1,\"\\u000a\":2}",
	};
	static const char *const different[] = {
	    "{\"a\":1,\"aa\":2}",
	    "{\"a\":1,\"A\":2}",
	    "{\"a\":1,\"a\\u0000\":2}",
	    "{\"\\ud800\":1,\"\\udc00\":2,\"\\ufffd\":3}",
	    "{\"a\":{\"b\":1},\"b\":2,\"c\":[{\"a\":3}]}",
	};

	for (size_t i = 0; i < sizeof(repeated) / sizeof(repeated[0]); i++)
		check_int(check_copy(repeated[i], strlen(repeated[i])), ==, SL_INVALID);
	for (size_t i = 0; i < sizeof(different) / sizeof(different[0]); i++)
		check_int(check_copy(different[i], strlen(different[i])), ==, SL_OK);
}

static void
a_million_keys_are_checked_and_iterated(void)
{
	struct buf text;
	struct json_value value;
	struct json_iter it;
	size_t count = 0;

	buf_init(&text, (size_t)1 << 26);
	buf_add_char(&text, '{');
	for (int i = 0; i < 1000000; i++)
		buf_printf(&text, "%s\"key_%07d\":%d", i > 0 ? "," : "", 999999 - i, i);
	buf_add_char(&text, '}');
	check_int(json_check(buf_slice(&text), &value, &error), ==, SL_OK);
	json_iter_init(&it, value);
	while (json_iter_next(&it))
		count++;
	json_iter_fini(&it);
	check_int(count, ==, 1000000);
	text.len--;
	buf_add_text(&text, ",\"key_012345\\u0036\":0}");
	check_int(json_check(buf_slice(&text), &value, &error), ==, SL_INVALID);
	check(strstr(error.text, "key_012345") != NULL);
	buf_fini(&text);
}

static void
long_keys_among_many_cost_what_they_weigh(void)
{
	struct buf text;
	struct json_value value;

	buf_init(&text, (size_t)1 << 26);
	buf_add_text(&text, "{\"");
	for (int i = 0; i < 4000000; i++)
		buf_add_char(&text, 'k');
	buf_add_text(&text, "\":0");
	for (int i = 0; i < 200000; i++)
		buf_printf(&text, ",\"k%d\":%d", i, i);
	buf_add_text(&text, "}");
	check_int(json_check(buf_slice(&text), &value, NULL), ==, SL_OK);
	buf_fini(&text);
}

static void
the_name_of_a_repeated_key_is_cut_between_characters(void)
{
	struct buf text;
	struct json_value value;

	buf_init(&text, 10000);
	for (int pad = 0; pad < 4; pad++) {
		buf_clear(&text);
		buf_add_char(&text, '{');
		for (int twice = 0; twice < 2; twice++) {
			buf_add_text(&text, twice ? ",\"" : "\"");
			buf_add(&text, "xxxx", (size_t)pad);
			for (int i = 0; i < 100; i++)
				buf_add_text(&text, "\xF0\x9F\x98\x80");
			buf_add_text(&text, "\":1");
		}
		buf_add_char(&text, '}');
		check_int(json_check(buf_slice(&text), &value, &error), ==, SL_INVALID);
		check(strstr(error.text, "\xF0\x9F\x98\x80... stands there twice") != NULL);
	}
	buf_fini(&text);
}

static void
values_are_the_bytes_that_came(void)
{
	struct json_value value = good(" {\"a\": 1.0 ,\"b\" :[ 1 , 2 ]\t} ");

	check_int(value.type, ==, JSON_OBJECT_);
	check(slice_is(value.raw, "{\"a\": 1.0 ,\"b\" :[ 1 , 2 ]\t}"));
	check(slice_is(json_get(value, "a").raw, "1.0"));
	check(slice_is(json_get(value, "b").raw, "[ 1 , 2 ]"));
	check_int(json_get(value, "b").type, ==, JSON_ARRAY_);
	check_int(json_get(value, "c").type, ==, JSON_NONE);
	check_int(json_get(json_get(value, "a"), "a").type, ==, JSON_NONE);
}

static void
members_are_iterated_in_order(void)
{
	struct json_value value =
	    good("{ \"a\\n\" : 1 ,\"\":\"x,}\", \"\\u0000z\":{\"q\":[1,\"]\"]}}");
	struct json_iter it;

	json_iter_init(&it, value);
	check(json_iter_next(&it));
	check_text(it.key, "a\n");
	check(slice_is(it.raw_key, "\"a\\n\""));
	check(slice_is(it.value.raw, "1"));
	check(json_iter_next(&it));
	check_text(it.key, "");
	check(slice_is(it.value.raw, "\"x,}\""));
	check(json_iter_next(&it));
	check_int(it.key_len, ==, 2);
	check(memcmp(it.key, "\0z", 3) == 0);
	check(slice_is(it.value.raw, "{\"q\":[1,\"]\"]}"));
	check(!json_iter_next(&it));
	check_int(it.value.type, ==, JSON_NONE);
	check(!json_iter_next(&it));
	json_iter_fini(&it);
}

static void
elements_have_no_key(void)
{
	static const enum json_type types[] = {JSON_NUMBER, JSON_TEXT,   JSON_BOOL,
					       JSON_NULL_,  JSON_ARRAY_, JSON_OBJECT_};
	struct json_iter it;
	size_t count = 0;

	json_iter_init(&it, good("[ -1,\"a\", true ,null,[[]], {} ]"));
	while (json_iter_next(&it)) {
		check(it.key == NULL);
		check_int(it.raw_key.len, ==, 0);
		check_int(it.value.type, ==, types[count++]);
	}
	json_iter_fini(&it);
	check_int(count, ==, 6);
	json_iter_init(&it, good("12"));
	check(!json_iter_next(&it));
	json_iter_fini(&it);
	json_iter_init(&it, (struct json_value){.type = JSON_NONE});
	check(!json_iter_next(&it));
	json_iter_fini(&it);
	json_iter_init(&it, good("{ }"));
	check(!json_iter_next(&it));
	json_iter_fini(&it);
}

static void
members_are_found_by_unescaped_key(void)
{
	struct json_value value = good("{\"ab\":1,\"\\u0061\":2,\"\\ud83d\\ude00\":3,\"\":4}");

	check(slice_is(json_get(value, "a").raw, "2"));
	check(slice_is(json_get(value, "ab").raw, "1"));
	check(slice_is(json_get(value, "\xF0\x9F\x98\x80").raw, "3"));
	check(slice_is(json_get(value, "").raw, "4"));
	check_int(json_get(value, "abc").type, ==, JSON_NONE);
	check_int(json_get(good("[{\"a\":1}]"), "0").type, ==, JSON_NONE);
	check(slice_is(json_path(good("{\"x\":{\"a\":1,\"a\":2}}"), "x.a").raw, "2"));
}

static void
paths_step_through_objects_and_arrays(void)
{
	struct json_value value = good("{\"data\":{\"items\":[{\"id\":7},[8,9]],\"0\":\"zero\"}}");

	check(slice_is(json_path(value, "data.items.0.id").raw, "7"));
	check(slice_is(json_path(value, "data.items.1.1").raw, "9"));
	check(slice_is(json_path(value, "data.0").raw, "\"zero\""));
	check(json_path(value, "").type == JSON_OBJECT_);
	check_int(json_path(value, "data.items.2").type, ==, JSON_NONE);
	check_int(json_path(value, "data.items.-1").type, ==, JSON_NONE);
	check_int(json_path(value, "data.items.x").type, ==, JSON_NONE);
	check_int(json_path(value, "data.items.99999999999999999999").type, ==, JSON_NONE);
	check_int(json_path(value, "data.nothing.id").type, ==, JSON_NONE);
	check_int(json_path(value, "data.items.0.id.x").type, ==, JSON_NONE);
}

static void
text_is(const char *json, const char *wanted, size_t wanted_len)
{
	size_t len = 999;
	char *text = json_text(good(json), &len);

	check(text != NULL);
	check_int(len, ==, wanted_len);
	check(memcmp(text, wanted, wanted_len + 1) == 0);
	free(text);
}

/* Runs of backslashes before a quote, odd and even, more than one quote in a string. */
static void
a_string_ends_at_the_first_quote_that_is_not_escaped(void)
{
	struct json_value value;
	struct buf text;

	buf_init(&text, 1000);
	for (int pairs = 0; pairs < 20; pairs++) {
		for (int quotes = 0; quotes < 3; quotes++) {
			buf_clear(&text);
			buf_add_text(&text, "{\"a\":\"");
			for (int quote = 0; quote <= quotes; quote++) {
				if (quote > 0)
					buf_add_text(&text, quote == 1 ? "\\\"" : "\\\"x");
				for (int pair = 0; pair < pairs; pair++)
					buf_add_text(&text, "\\\\");
			}
			buf_add_text(&text, "\",\"b\":7}");
			check_int(json_check(buf_slice(&text), &value, NULL), ==, SL_OK);
			check(slice_is(json_get(value, "b").raw, "7"));
		}
	}
	buf_fini(&text);
}

static void
texts_are_unescaped(void)
{
	text_is("\"\"", "", 0);
	text_is("\"a\\\"\\\\\\/\\b\\f\\n\\r\\tz\"", "a\"\\/\b\f\n\r\tz", 10);
	text_is("\"\\u0041\\u00e4\\u20AC\\ud83d\\ude00\"", "A\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80",
		10);
	text_is("\"a\\u0000b\"", "a\0b", 3);
	text_is("\"\\ud83d\"", "\xEF\xBF\xBD", 3);
	text_is("\"\\ude00\\ud83dx\"", "\xEF\xBF\xBD\xEF\xBF\xBDx", 7);
	text_is("\"\\ud83d\\u0041\"",
		"\xEF\xBF\xBD"
		"A",
		4);
	text_is("\"\\ud83d\\ud83d\\ude00\"", "\xEF\xBF\xBD\xF0\x9F\x98\x80", 7);
	check(json_text(good("\"a\\u0000b\""), NULL) == NULL);
	check(json_text(good("12"), NULL) == NULL);
	check(json_text((struct json_value){.type = JSON_NONE}, NULL) == NULL);
}

static void
whole_numbers_are_read_exactly(void)
{
	static const struct {
		const char *text;
		bool fits;
		int64_t number;
	} cases[] = {
	    {"0", true, 0},
	    {"-0", true, 0},
	    {"0.000", true, 0},
	    {"0e99999999999", true, 0},
	    {"7", true, 7},
	    {"-7", true, -7},
	    {"9007199254740993", true, 9007199254740993},
	    {"9223372036854775807", true, INT64_MAX},
	    {"9223372036854775808", false, 0},
	    {"-9223372036854775808", true, INT64_MIN},
	    {"-9223372036854775809", false, 0},
	    {"99999999999999999999", false, 0},
	    {"12.0", true, 12},
	    {"1.2e1", true, 12},
	    {"1200e-2", true, 12},
	    {"100e-3", false, 0},
	    {"1.5", false, 0},
	    {"0.5", false, 0},
	    {"1e18", true, 1000000000000000000},
	    {"1e19", false, 0},
	    {"1e999999999999", false, 0},
	    {"1e-999999999999", false, 0},
	    {"0.00012e5", true, 12},
	    {"10203", true, 10203},
	    {"1000000", true, 1000000},
	};
	int64_t number;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		number = 0;
		if (json_int(good(cases[i].text), &number) != cases[i].fits ||
		    number != cases[i].number)
			check_text(cases[i].text, "(read wrong)");
	}
	check(!json_int(good("\"1\""), &number));
	check(!json_int(good("true"), &number));
	check(!json_int((struct json_value){.type = JSON_NONE}, &number));
}

static void
only_true_is_true(void)
{
	check(json_is_yes(good("true")));
	check(!json_is_yes(good("false")));
	check(!json_is_yes(good("1")));
	check(!json_is_yes((struct json_value){.type = JSON_NONE}));
}

static void
the_writer_sets_commas_and_quotes(void)
{
	struct json_writer w;
	struct buf out;

	buf_init(&out, 1000);
	jw_init(&w, &out);
	jw_object(&w);
	jw_member_text(&w, "a", "x");
	jw_member_text(&w, "none", NULL);
	jw_member_int(&w, "n", INT64_MIN);
	jw_member_bool(&w, "t", true);
	jw_member_raw(&w, "r", SLICE_LITERAL("1.0"));
	jw_member_raw(&w, "e", SLICE_LITERAL(""));
	jw_key(&w, "list");
	jw_array(&w);
	jw_null(&w);
	jw_bool(&w, false);
	jw_object(&w);
	jw_object_end(&w);
	jw_array(&w);
	jw_array_end(&w);
	jw_int(&w, 5);
	jw_array_end(&w);
	jw_key_n(&w, "k\0", 2);
	jw_raw(&w, SLICE_LITERAL("{}"));
	jw_object_end(&w);
	check_text(out.data,
		   "{\"a\":\"x\",\"none\":null,\"n\":-9223372036854775808,\"t\":true,\"r\":1.0,"
		   "\"e\":null,\"list\":[null,false,{},[],5],\"k\\u0000\":{}}");
	buf_fini(&out);
}

static void
written_texts_are_escaped_and_come_back(void)
{
	static const char text[] =
	    "\"\\/\b\f\n\r\t\x01\x1F\x7F\xC3\xA4\xE2\x80\xA8\xF0\x9F\x98\x80\0z";
	struct json_value value;
	struct json_writer w;
	struct buf out;
	size_t len;
	char *back;

	buf_init(&out, 1000);
	jw_init(&w, &out);
	jw_text_n(&w, text, sizeof(text) - 1);
	check_text(out.data, "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7F\xC3\xA4\xE2\x80\xA8"
			     "\xF0\x9F\x98\x80\\u0000z\"");
	check_int(json_check(buf_slice(&out), &value, NULL), ==, SL_OK);
	back = json_text(value, &len);
	check_int(len, ==, sizeof(text) - 1);
	check(memcmp(back, text, len) == 0);
	free(back);
	buf_fini(&out);
}

static void
written_texts_are_always_utf8(void)
{
	struct json_value value;
	struct json_writer w;
	struct buf out;

	buf_init(&out, 1000);
	jw_init(&w, &out);
	jw_text_n(&w, "a\xC3(\xFF\xED\xA0\x80", 7);
	check_text(out.data, "\"a\xEF\xBF\xBD(\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
	for (int a = 0; a < 256; a++) {
		for (int b = 0; b < 256; b++) {
			char pair[2] = {(char)a, (char)b};

			buf_clear(&out);
			jw_init(&w, &out);
			jw_text_n(&w, pair, 2);
			check_int(json_check(buf_slice(&out), &value, NULL), ==, SL_OK);
		}
	}
	buf_fini(&out);
}

/* ---- sorted --------------------------------------------------------------------------------- */

static void
check_sorted(const char *text, const char *expected)
{
	struct json_value value;
	struct buf out;

	buf_init(&out, 1 << 16);
	check_int(json_check(slice_text(text), &value, NULL), ==, SL_OK);
	json_add_sorted(value, &out);
	check_text(out.data, expected);
	buf_fini(&out);
}

static void
keys_are_sorted_at_every_level_and_scalars_stay(void)
{
	check_sorted(
	    "{ \"b\" : 1.50 , \"a\" : { \"d\":[ {\"z\":1,\"y\":\"\\u0041 \"} , null ], \"c\":{} } }",
	    "{\"a\":{\"c\":{},\"d\":[{\"y\":\"\\u0041 \",\"z\":1},null]},\"b\":1.50}");
	check_sorted("{\"b\":1,\"\\u0061\":2,\"B\":3,\"\\u00e9\":4,\"\":5}",
		     "{\"\":5,\"B\":3,\"\\u0061\":2,\"b\":1,\"\\u00e9\":4}");
	check_sorted(" [ ] ", "[]");
	check_sorted(" -0 ", "-0");
}

int
main(void)
{
	CHECK_RUN(good_texts_are_taken);
	CHECK_RUN(bad_texts_are_refused);
	CHECK_RUN(raw_nul_bytes_are_refused_everywhere);
	CHECK_RUN(every_cut_is_refused);
	CHECK_RUN(any_changed_byte_is_refused_or_can_be_walked);
	CHECK_RUN(errors_name_the_byte_and_what_was_expected);
	CHECK_RUN(depth_ends_at_the_limit);
	CHECK_RUN(each_level_remembers_its_kind);
	CHECK_RUN(repeated_keys_are_found_after_unescaping);
	CHECK_RUN(a_million_keys_are_checked_and_iterated);
	CHECK_RUN(long_keys_among_many_cost_what_they_weigh);
	CHECK_RUN(the_name_of_a_repeated_key_is_cut_between_characters);
	CHECK_RUN(values_are_the_bytes_that_came);
	CHECK_RUN(members_are_iterated_in_order);
	CHECK_RUN(elements_have_no_key);
	CHECK_RUN(members_are_found_by_unescaped_key);
	CHECK_RUN(paths_step_through_objects_and_arrays);
	CHECK_RUN(a_string_ends_at_the_first_quote_that_is_not_escaped);
	CHECK_RUN(texts_are_unescaped);
	CHECK_RUN(whole_numbers_are_read_exactly);
	CHECK_RUN(only_true_is_true);
	CHECK_RUN(the_writer_sets_commas_and_quotes);
	CHECK_RUN(written_texts_are_escaped_and_come_back);
	CHECK_RUN(written_texts_are_always_utf8);
	CHECK_RUN(keys_are_sorted_at_every_level_and_scalars_stay);
	return check_done();
}
