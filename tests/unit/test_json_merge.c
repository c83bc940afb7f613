#include "base/json_merge.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "tests/lib/check.h"

static void
merged(const char *base, const char *patch, const char *wanted)
{
	struct json_value under, over;
	struct buf out;

	check_int(json_check(slice_text(base), &under, NULL), ==, SL_OK);
	check_int(json_check(slice_text(patch), &over, NULL), ==, SL_OK);
	buf_init(&out, 1 << 20);
	json_merge(under, over, &out);
	check_text(out.data, wanted);
	buf_fini(&out);
}

static void
objects_are_merged_at_any_depth(void)
{
	merged("{\"a\":{\"b\":{\"c\":1,\"d\":2}},\"e\":3}", "{\"a\":{\"b\":{\"d\":9}}}",
	       "{\"a\":{\"b\":{\"c\":1,\"d\":9}},\"e\":3}");
	merged("{}", "{}", "{}");
}

static void
anything_else_is_replaced(void)
{
	merged("{\"a\":[1,2,3],\"b\":{\"x\":1},\"c\":1}", "{\"a\":[4],\"b\":null,\"c\":{\"y\":2}}",
	       "{\"a\":[4],\"b\":null,\"c\":{\"y\":2}}");
	merged("[1]", "{\"a\":1}", "{\"a\":1}");
}

static void
order_and_bytes_are_kept(void)
{
	merged("{\"z\":1.50,\"a\":\"\\u0041\"}", "{\"n\":1e2,\"a\":\"x\",\"m\":0}",
	       "{\"z\":1.50,\"a\":\"x\",\"n\":1e2,\"m\":0}");
}

static void
names_are_compared_unescaped(void)
{
	merged("{\"a\":1}", "{\"\\u0061\":2}", "{\"a\":2}");
	merged("{\"o\":{\"a\":1}}", "{\"o\":{\"a\":2,\"a\":3}}", "{\"o\":{\"a\":3}}");
}

static void
the_deepest_documents_are_merged(void)
{
	enum { DEPTH = JSON_DEPTH_MAX - 1 };
	struct buf text;

	buf_init(&text, 1 << 20);
	for (int i = 0; i < DEPTH; i++)
		buf_add_text(&text, "{\"a\":");
	buf_add_text(&text, "1");
	for (int i = 0; i < DEPTH; i++)
		buf_add_char(&text, '}');
	merged(text.data, text.data, text.data);
	buf_fini(&text);
}

int
main(void)
{
	CHECK_RUN(objects_are_merged_at_any_depth);
	CHECK_RUN(anything_else_is_replaced);
	CHECK_RUN(order_and_bytes_are_kept);
	CHECK_RUN(names_are_compared_unescaped);
	CHECK_RUN(the_deepest_documents_are_merged);
	return check_done();
}
