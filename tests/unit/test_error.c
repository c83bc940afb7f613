#include "base/error.h"

#include "base/utf8.h"
#include "tests/lib/check.h"

static void
fail_fills_code_and_text(void)
{
	struct sl_error error;

	check_int(sl_fail(&error, SL_CONFLICT, "ttl is %d", 7), ==, SL_CONFLICT);
	check_int(error.code, ==, SL_CONFLICT);
	check_text(error.text, "ttl is 7");
}

static void
fail_takes_no_error(void)
{
	check_int(sl_fail(NULL, SL_EXHAUSTED, "nobody asks"), ==, SL_EXHAUSTED);
}

static void
fail_may_quote_the_error_it_fills(void)
{
	struct sl_error error;

	sl_fail(&error, SL_INVALID, "inner");
	sl_fail(&error, SL_INVALID, "outer: %s", error.text);
	check_text(error.text, "outer: inner");
}

static void
long_texts_are_cut_between_characters(void)
{
	struct sl_error error;
	char text[400];

	for (size_t pad = 0; pad < 8; pad++) {
		static const char *const characters[] = {"\xC3\xA4", "\xE2\x82\xAC",
							 "\xF0\x9F\x98\x80"};

		for (size_t kind = 0; kind < 3; kind++) {
			size_t len = strlen(characters[kind]), at = pad;

			memset(text, 'x', pad);
			for (; at + len < sizeof(text); at += len)
				memcpy(text + at, characters[kind], len);
			text[at] = '\0';
			sl_fail(&error, SL_INVALID, "%s", text);
			at = 0;
			while (at < strlen(error.text)) {
				size_t step = utf8_len(error.text + at, strlen(error.text) - at);

				check_int(step, >, 0);
				at += step;
			}
			check_int(at, >, sizeof(error.text) - 1 - len);
		}
	}
}

static void
every_code_has_a_name(void)
{
	check_text(sl_code_name(SL_OK), "ok");
	check_text(sl_code_name(SL_INVALID), "invalid");
	check_text(sl_code_name(SL_NOT_FOUND), "not_found");
	check_text(sl_code_name(SL_CONFLICT), "conflict");
	check_text(sl_code_name(SL_UNAVAILABLE), "unavailable");
	check_text(sl_code_name(SL_EXHAUSTED), "exhausted");
	check_text(sl_code_name(SL_INTERNAL), "internal");
	check_text(sl_code_name((enum sl_code)99), "unknown");
}

static void
a_text_of_several_lines_becomes_one(void)
{
	struct sl_error error;

	sl_fail(&error, SL_UNAVAILABLE, "server: %s", "failed\n\tIs it running?\n\n");
	check_text(error.text, "server: failed Is it running?");
}

int
main(void)
{
	CHECK_RUN(fail_fills_code_and_text);
	CHECK_RUN(fail_takes_no_error);
	CHECK_RUN(fail_may_quote_the_error_it_fills);
	CHECK_RUN(long_texts_are_cut_between_characters);
	CHECK_RUN(every_code_has_a_name);
	CHECK_RUN(a_text_of_several_lines_becomes_one);
	return check_done();
}
