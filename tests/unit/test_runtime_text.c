#include "runtime/text.h"

#include "tests/lib/check.h"

static struct buf out;

static const char *
utf8(const char *cesu8, size_t len, enum text_lone lone)
{
	buf_clear(&out);
	check(text_to_utf8((struct slice){cesu8, len}, lone, &out));
	return buf_slice(&out).data;
}

static const char *
cesu8(const char *text, size_t len)
{
	buf_clear(&out);
	check(text_from_utf8((struct slice){text, len}, &out));
	return buf_slice(&out).data;
}

#define UTF8(literal) utf8(literal, sizeof(literal) - 1, TEXT_LONE_REPLACE)
#define UTF8_JSON(literal) utf8(literal, sizeof(literal) - 1, TEXT_LONE_ESCAPE)
#define CESU8(literal) cesu8(literal, sizeof(literal) - 1)
#define FFFD "\xef\xbf\xbd"

static void
plain_text_passes_unchanged(void)
{
	check_text(UTF8(""), "");
	check_text(UTF8("abc"), "abc");
	check_text(UTF8("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xef\xbf\xbf"),
		   "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xef\xbf\xbf");
	check_text(CESU8("gr\xc3\xbc\xc3\x9f \xe2\x82\xac"), "gr\xc3\xbc\xc3\x9f \xe2\x82\xac");
	UTF8("a\0b");
	check_int(out.len, ==, 3);
	check(memcmp(out.data, "a\0b", 3) == 0);
}

static void
a_surrogate_pair_becomes_one_character(void)
{
	check_text(UTF8("x\xed\xa0\xbd\xed\xb8\x80y"), "x\xf0\x9f\x98\x80y"); /* U+1F600 */
	check_text(UTF8("\xed\xa0\x80\xed\xb0\x80"), "\xf0\x90\x80\x80");     /* U+10000 */
	check_text(UTF8("\xed\xaf\xbf\xed\xbf\xbf"), "\xf4\x8f\xbf\xbf");     /* U+10FFFF */
}

static void
a_four_byte_character_becomes_a_pair(void)
{
	check_text(CESU8("x\xf0\x9f\x98\x80y"), "x\xed\xa0\xbd\xed\xb8\x80y");
	check_text(CESU8("\xf0\x90\x80\x80"), "\xed\xa0\x80\xed\xb0\x80");
	check_text(CESU8("\xf4\x8f\xbf\xbf"), "\xed\xaf\xbf\xed\xbf\xbf");
}

static void
every_character_survives_the_way_there_and_back(void)
{
	struct buf there;

	buf_init(&there, 64);
	for (unsigned c = 0x10000; c <= 0x10ffff; c += 0x3fb) {
		char text[4] = {(char)(0xf0 | c >> 18), (char)(0x80 | (c >> 12 & 63)),
				(char)(0x80 | (c >> 6 & 63)), (char)(0x80 | (c & 63))};

		buf_clear(&there);
		buf_clear(&out);
		check(text_from_utf8((struct slice){text, 4}, &there));
		check_int(there.len, ==, 6);
		check(text_to_utf8(buf_slice(&there), TEXT_LONE_REPLACE, &out));
		check(slice_equal(buf_slice(&out), (struct slice){text, 4}));
	}
	buf_fini(&there);
}

static void
a_lone_surrogate_is_replaced_or_escaped(void)
{
	check_text(UTF8("a\xed\xa0\xbd"), "a" FFFD);
	check_text(UTF8("\xed\xa0\xbdz"), FFFD "z");
	check_text(UTF8("\xed\xb8\x80z"), FFFD "z");
	check_text(UTF8_JSON("\"\xed\xa0\xbdz\""), "\"\\ud83dz\"");
	check_text(UTF8_JSON("\"\xed\xb8\x80\""), "\"\\ude00\"");
	/* the wrong way round: two of them */
	check_text(UTF8_JSON("\xed\xb8\x80\xed\xa0\xbd"), "\\ude00\\ud83d");
	/* high, high, low: one and a pair */
	check_text(UTF8_JSON("\xed\xa0\xbd\xed\xa0\xbd\xed\xb8\x80"), "\\ud83d\xf0\x9f\x98\x80");
	/* a proper character is no partner */
	check_text(UTF8("\xed\xa0\xbd\xe2\x82\xac"), FFFD "\xe2\x82\xac");
}

static void
four_bytes_inside_the_engine_pass(void)
{
	check_text(UTF8("\xf0\x9f\x98\x80"), "\xf0\x9f\x98\x80");
}

static void
bytes_that_are_no_text_are_replaced_one_by_one(void)
{
	check_text(UTF8("a\xff\x62"), "a" FFFD "b");
	check_text(UTF8("\xc0\x80"), FFFD FFFD);
	check_text(UTF8("\xe2\x82"), FFFD FFFD);
	check_text(UTF8("\xed\xa0"), FFFD FFFD);
	check_text(UTF8("\xf4\x90\x80\x80"), FFFD FFFD FFFD FFFD);
}

static void
malformed_utf8_is_counted_as_the_encoding_standard_does(void)
{
	check_text(CESU8("\xff"), FFFD);
	check_text(CESU8("\x80\x80"), FFFD FFFD);
	check_text(CESU8("\xc3"), FFFD);
	check_text(CESU8("\xe2\x82"), FFFD); /* a maximal subpart is one */
	check_text(CESU8("\xe2\x82x"), FFFD "x");
	check_text(CESU8("\xf0\x9f\x98"), FFFD);
	check_text(CESU8("\xf0\x9f\x98x"), FFFD "x");
	check_text(CESU8("\xc0\xaf"), FFFD FFFD); /* overlong */
	check_text(CESU8("\xe0\x80\xaf"), FFFD FFFD FFFD);
	check_text(CESU8("\xf0\x80\x80\xaf"), FFFD FFFD FFFD FFFD);
	check_text(CESU8("\xed\xa0\xbd"), FFFD FFFD FFFD); /* surrogates are no UTF-8 */
	check_text(CESU8("\xf4\x90\x80\x80"), FFFD FFFD FFFD FFFD);
	check_text(CESU8("\xf5\x80"), FFFD FFFD);
	check_text(CESU8("a\xe2\x82\xc3\xbc"), "a" FFFD "\xc3\xbc");
}

static void
plain_means_the_same_bytes_in_both_forms(void)
{
	check(text_is_plain(SLICE_LITERAL("")));
	check(text_is_plain(SLICE_LITERAL("a\xc3\xbc\xe2\x82\xac")));
	check(!text_is_plain(SLICE_LITERAL("\xf0\x9f\x98\x80")));
	check(!text_is_plain(SLICE_LITERAL("\xed\xa0\xbd")));
	check(!text_is_plain(SLICE_LITERAL("a\xff")));
	check(!text_is_plain(SLICE_LITERAL("\xe2\x82")));
}

static void
a_full_buffer_is_reported(void)
{
	struct buf small;

	buf_init(&small, 4);
	check(!text_to_utf8(SLICE_LITERAL("12345"), TEXT_LONE_REPLACE, &small));
	buf_clear(&small);
	check(!text_from_utf8(SLICE_LITERAL("\xf0\x9f\x98\x80"), &small));
	buf_clear(&small);
	check(!text_add_base64(SLICE_LITERAL("12345"), false, &small));
	buf_clear(&small);
	check(!text_add_hex(SLICE_LITERAL("123"), &small));
	buf_fini(&small);
}

static const char *
base64(const char *bytes, bool url_safe)
{
	buf_clear(&out);
	check(text_add_base64(slice_text(bytes), url_safe, &out));
	return buf_slice(&out).data;
}

static const char *
unbase64(const char *text)
{
	buf_clear(&out);
	check(text_add_base64_decoded(slice_text(text), &out));
	return buf_slice(&out).data;
}

static void
base64_matches_the_vectors_of_rfc_4648(void)
{
	static const char *const plain[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
	static const char *const coded[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
					    "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};

	for (int i = 0; i < 7; i++) {
		check_text(base64(plain[i], false), coded[i]);
		check_text(unbase64(coded[i]), plain[i]);
	}
	check_text(base64("\xfb\xff\xfe", false), "+//+");
	check_text(base64("\xfb\xff\xfe", true), "-__-");
	check_text(base64("fo", true), "Zm8");
}

static void
base64_decoding_takes_either_alphabet_and_skips_junk(void)
{
	check_text(unbase64("+//+"), "\xfb\xff\xfe");
	check_text(unbase64("-__-"), "\xfb\xff\xfe");
	check_text(unbase64("Zm8"), "fo");
	check_text(unbase64("Zm\r\n 9v"), "foo");
	check_text(unbase64("Zm9v*Zm9v"), "foofoo");
	check_text(unbase64("Zg==Zg=="), "f");
	check_text(unbase64("Z"), "");
}

static void
hex_goes_both_ways_and_stops_at_junk(void)
{
	buf_clear(&out);
	check(text_add_hex(SLICE_LITERAL("\x00\x0f\xf0\xff"), &out));
	check_text(out.data, "000ff0ff");
	buf_clear(&out);
	check(text_add_hex_decoded(SLICE_LITERAL("41424a4B4"), &out));
	check_text(out.data, "ABJK");
	buf_clear(&out);
	check(text_add_hex_decoded(SLICE_LITERAL("41zz42"), &out));
	check_text(out.data, "A");
}

int
main(void)
{
	buf_init(&out, 1 << 20);
	CHECK_RUN(plain_text_passes_unchanged);
	CHECK_RUN(a_surrogate_pair_becomes_one_character);
	CHECK_RUN(a_four_byte_character_becomes_a_pair);
	CHECK_RUN(every_character_survives_the_way_there_and_back);
	CHECK_RUN(a_lone_surrogate_is_replaced_or_escaped);
	CHECK_RUN(four_bytes_inside_the_engine_pass);
	CHECK_RUN(bytes_that_are_no_text_are_replaced_one_by_one);
	CHECK_RUN(malformed_utf8_is_counted_as_the_encoding_standard_does);
	CHECK_RUN(plain_means_the_same_bytes_in_both_forms);
	CHECK_RUN(a_full_buffer_is_reported);
	CHECK_RUN(base64_matches_the_vectors_of_rfc_4648);
	CHECK_RUN(base64_decoding_takes_either_alphabet_and_skips_junk);
	CHECK_RUN(hex_goes_both_ways_and_stops_at_junk);
	buf_fini(&out);
	return check_done();
}
