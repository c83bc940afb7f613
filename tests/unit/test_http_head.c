#include <stdlib.h>

#include "base/alloc.h"
#include "http/body.h"
#include "http/head.h"
#include "http/target.h"
#include "tests/lib/check.h"

#define HOST "Host: a\r\n"
#define END HOST "\r\n"

/* Gate and parser over bytes, in steps of `step`: the status of the refusal, 0 when taken, -1 when
 * the head is not complete. */
static int
verdict_in_steps(const char *bytes, size_t len, size_t step, struct head *out)
{
	struct head_gate gate;
	struct http_refusal refusal = {0};
	enum head_progress progress = HEAD_MORE;
	struct head head;
	int status;

	head_gate_init(&gate);
	for (size_t have = step; progress == HEAD_MORE; have += step) {
		progress = head_gate(&gate, bytes, have < len ? have : len, &refusal);
		if (have >= len)
			break;
	}
	if (progress != HEAD_WHOLE)
		return progress == HEAD_MORE ? -1 : refusal.status;
	status = head_parse(&head, bytes + gate.start, gate.seen - gate.start, &refusal)
		     ? 0
		     : refusal.status;
	if (out != NULL)
		*out = head;
	else
		head_fini(&head);
	return status;
}

static int
verdict_n(const char *bytes, size_t len)
{
	int whole = verdict_in_steps(bytes, len, len, NULL);

	for (size_t step = 1; step <= 7; step++)
		check_int(verdict_in_steps(bytes, len, step, NULL), ==, whole);
	return whole;
}

static int
verdict(const char *bytes)
{
	return verdict_n(bytes, strlen(bytes));
}

static struct head
parse(const char *bytes)
{
	struct head head;

	check_int(verdict_in_steps(bytes, strlen(bytes), strlen(bytes), &head), ==, 0);
	return head;
}

static void
a_head_is_taken_apart(void)
{
	struct head head = parse("\r\nPOST /a/b?c=d HTTP/1.1\r\nHost: x:80\r\nX-Empty:\r\n"
				 "X-Blank: \t v w \t\r\nContent-Length: 12\r\n\r\n");

	check_text(head.method, "POST");
	check(slice_is(head.target, "/a/b?c=d"));
	check(slice_is(head.path, "/a/b"));
	check(slice_is(head.query, "c=d"));
	check_int(head.minor, ==, 1);
	check_int(head.field_count, ==, 4);
	check_text(head.fields[1].name, "X-Empty");
	check_text(head.fields[1].value, "");
	check_text(head.fields[2].value, "v w");
	check_int(head.body, ==, HEAD_BODY_LENGTH);
	check_int(head.length, ==, 12);
	check(head.keep_alive);
	head_fini(&head);
}

static void
control_bytes_are_refused(void)
{
	for (int c = 0; c < 0x20; c++) {
		char bytes[] = "GET / HTTP/1.1\r\nHost: a\r\nX: b?c\r\n\r\n";

		if (c == '\t')
			continue;
		*strchr(bytes, '?') = (char)c;
		check_int(verdict_n(bytes, sizeof(bytes) - 1), ==, 400);
	}
	check_int(verdict("GET / HTTP/1.1\r\nX: \x7f\r\n" END), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\nX: \xc3\xa4\tb\r\n" END), ==, 0);
	check_int(verdict("\x16\x03\x01"), ==, 400); /* a TLS client */
}

static void
line_ends_and_folding_are_strict(void)
{
	check_int(verdict("GET / HTTP/1.1\nHost: a\n\n"), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\nHost: a\n\r\n"), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\nHost: a\r\n\n"), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\nHost: a\r\n\rx"), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n"), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\nHost: a\r\n\tb\r\n\r\n"), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\nHost: a\r\n "), ==, 400); /* at once */
	check_int(verdict("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), ==, 400);
	check_int(verdict(" GET / HTTP/1.1\r\n" END), ==, 400);
	check_int(verdict("\r\n\r\nGET / HTTP/1.1\r\n" END), ==, 0);
	check_int(verdict("\r\n\r\n\r\n"), ==, 400);
	check_int(verdict("\nGET / HTTP/1.1\r\n" END), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\nHost: a\r\n"), ==, -1);
}

static void
request_lines_are_strict(void)
{
	check_int(verdict("GET  / HTTP/1.1\r\n" END), ==, 400);
	check_int(verdict("GET /  HTTP/1.1\r\n" END), ==, 400);
	check_int(verdict("GET / HTTP/1.1 \r\n" END), ==, 400);
	check_int(verdict("GET\t/ HTTP/1.1\r\n" END), ==, 400);
	check_int(verdict("GET / x HTTP/1.1\r\n" END), ==, 400);
	check_int(verdict("GET /\r\n" END), ==, 400);
	check_int(verdict("GET\r\n" END), ==, 400);
	check_int(verdict("GET / HTTP/1.1x\r\n" END), ==, 400);
	check_int(verdict("GET / http/1.1\r\n" END), ==, 400);
	check_int(verdict("GET / HTTQ/1.1\r\n" END), ==, 400);
	check_int(verdict("GET / HTTP/1.2\r\n" END), ==, 505);
	check_int(verdict("GET / HTTP/2.0\r\n" END), ==, 505);
	check_int(verdict("PRI * HTTP/2.0\r\n\r\n"), ==, 505);
	check_int(verdict("GET / HTTP/0.9\r\n" END), ==, 505);
	check_int(verdict("G@T / HTTP/1.1\r\n" END), ==, 400);
	check_int(verdict("BREW / HTTP/1.1\r\n" END), ==, 405);
	check_int(verdict("get / HTTP/1.1\r\n" END), ==, 405);
	check_int(verdict("CONNECT a:1 HTTP/1.1\r\n" END), ==, 405);
	check_int(verdict("TRACE / HTTP/1.1\r\n" END), ==, 405);
	check_int(verdict("OPTIONS / HTTP/1.1\r\n" END), ==, 0);
	check_int(verdict("HEAD / HTTP/1.1\r\n" END), ==, 0);
}

static void
targets_are_origin_form_or_our_own_host(void)
{
	check_int(verdict("GET x HTTP/1.1\r\n" END), ==, 400);
	check_int(verdict("OPTIONS * HTTP/1.1\r\n" END), ==, 400);
	check_int(verdict("GET http://a/x HTTP/1.1\r\n" END), ==, 0);
	check_int(verdict("GET HTTPS://A/x HTTP/1.1\r\n" END), ==, 0);
	check_int(verdict("GET http://b/x HTTP/1.1\r\n" END), ==, 400);
	check_int(verdict("GET http://a@b/x HTTP/1.1\r\n" END), ==, 400);
	check_int(verdict("GET http://a HTTP/1.1\r\n" END), ==, 400);
	check_int(verdict("GET ftp://a/ HTTP/1.1\r\n" END), ==, 400);
	check_int(verdict("GET http://a/x HTTP/1.0\r\n\r\n"), ==, 400);
	check_int(verdict("GET /%00 HTTP/1.1\r\n" END), ==, 400);
	check_int(verdict("GET /%0 HTTP/1.1\r\n" END), ==, 400);
	check_int(verdict("GET /%zz HTTP/1.1\r\n" END), ==, 400);
	check_int(verdict("GET /a% HTTP/1.1\r\n" END), ==, 400);
	check_int(verdict("GET /?a=% HTTP/1.1\r\n" END), ==, 400);
	check_int(verdict("GET /#f HTTP/1.1\r\n" END), ==, 400);
	check_int(verdict("GET /a\\b HTTP/1.1\r\n" END), ==, 400);
	check_int(verdict("GET /\xc3\xa4 HTTP/1.1\r\n" END), ==, 400);
	check_int(verdict("GET /%2f%5c%ff HTTP/1.1\r\n" END), ==, 0);
}

static void
field_names_are_tokens_followed_by_their_colon(void)
{
	check_int(verdict("GET / HTTP/1.1\r\n: x\r\n" END), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\nX : x\r\n" END), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\nX\t: x\r\n" END), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\nX\r\n" END), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\nX y: x\r\n" END), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\n\xc3\xa4: x\r\n" END), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\n(x): x\r\n" END), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\nX:\r\n" END), ==, 0);
}

static void
exactly_one_host_is_wanted(void)
{
	check_int(verdict("GET / HTTP/1.1\r\n\r\n"), ==, 400);
	check_int(verdict("GET / HTTP/1.0\r\n\r\n"), ==, 0);
	check_int(verdict("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"), ==, 400);
	check_int(verdict("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\nHost:\r\n\r\n"), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\nHost: a:x\r\n\r\n"), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\nHost: []\r\n\r\n"), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"), ==, 0);
	check_int(verdict("GET / HTTP/1.1\r\nHost: a_b.C-d:80\r\n\r\n"), ==, 0);
}

static void
framing_is_told_once_and_exactly(void)
{
	static const char *const bad[] = {
	    "Content-Length: +3\r\n",
	    "Content-Length: -1\r\n",
	    "Content-Length: 0x3\r\n",
	    "Content-Length: 3 3\r\n",
	    "Content-Length: 3\t\r\n",
	    "Content-Length:\t3\r\n",
	    "Transfer-Encoding:\tchunked\r\n",
	    "Content-Length: 3,3\r\n",
	    "Content-Length:\r\n",
	    "Content-Length: 3\r\nContent-Length: 3\r\n",
	    "Content-Length: 3\r\ncontent-length: 4\r\n",
	    "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
	    "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
	    "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
	    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
	};
	static const char *const unknown[] = {
	    "Transfer-Encoding: gzip, chunked\r\n",
	    "Transfer-Encoding: xchunked\r\n",
	    "Transfer-Encoding: chunked, identity\r\n",
	    "Transfer-Encoding: identity\r\n",
	    "Transfer-Encoding:\r\n",
	    "Transfer-Encoding: \"chunked\"\r\n",
	    "Transfer-Encoding: chunked;q=1\r\n",
	};
	char bytes[256];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(bytes, sizeof(bytes), "POST / HTTP/1.1\r\n%s" END, bad[i]);
		check_int(verdict(bytes), ==, 400);
	}
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		snprintf(bytes, sizeof(bytes), "POST / HTTP/1.1\r\n%s" END, unknown[i]);
		check_int(verdict(bytes), ==, 501);
	}
	check_int(verdict("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n" END), ==,
		  413);
	check_int(verdict("POST / HTTP/1.1\r\nTransfer-Encoding: CHUNKED\r\n" END), ==, 0);
	check_int(verdict("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n" END), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\nContent-Length: 5\r\n" END), ==, 400);
	check_int(verdict("GET / HTTP/1.1\r\nContent-Length: 0\r\n" END), ==, 0);
	check_int(verdict("HEAD / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" END), ==, 400);
	check_int(verdict("DELETE / HTTP/1.1\r\nContent-Length: 5\r\n" END), ==, 0);
	check_int(verdict("POST / HTTP/1.1\r\nExpect: x\r\n" END), ==, 417);
	check_int(verdict("POST / HTTP/1.1\r\nExpect: 100-Continue\r\n" END), ==, 0);
}

static void
connection_lives_on_as_version_and_header_say(void)
{
	static const struct {
		const char *bytes;
		bool keep;
	} rows[] = {
	    {"GET / HTTP/1.1\r\n" END, true},
	    {"GET / HTTP/1.1\r\nConnection: close\r\n" END, false},
	    {"GET / HTTP/1.1\r\nConnection: x, Close\r\n" END, false},
	    {"GET / HTTP/1.1\r\nConnection: keep-alive\r\nConnection: close\r\n" END, false},
	    {"GET / HTTP/1.1\r\nConnection: closed\r\n" END, true},
	    {"GET / HTTP/1.0\r\n" END, false},
	    {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n" END, true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct head head = parse(rows[i].bytes);

		check_int(head.keep_alive, ==, rows[i].keep);
		head_fini(&head);
	}
}

static void
content_encodings_are_noticed(void)
{
	struct head head = parse("POST / HTTP/1.1\r\nContent-Encoding: gzip\r\n" END);

	check(head.encoded);
	head_fini(&head);
	head = parse("POST / HTTP/1.1\r\nContent-Encoding: Identity\r\n" END);
	check(!head.encoded);
	head_fini(&head);
}

/* prefix + count times filler + suffix */
static int
verdict_filled(const char *prefix, const char *filler, size_t count, const char *suffix)
{
	size_t len = strlen(filler);
	struct buf bytes;
	int status;

	buf_init(&bytes, 1 << 20);
	buf_add_text(&bytes, prefix);
	for (size_t i = 0; i < count; i++)
		buf_add(&bytes, filler, len);
	buf_add_text(&bytes, suffix);
	status = verdict_n(bytes.data, bytes.len);
	buf_fini(&bytes);
	return status;
}

static void
sizes_are_capped_at_the_byte(void)
{
	const size_t frame = strlen("GET / HTTP/1.1"); /* of a request line with "/" */
	const size_t head = strlen("GET / HTTP/1.1\r\nX: \r\n" END);
	const char *end = " HTTP/1.1\r\n" END;

	check_int(verdict_filled("GET /", "a", HEAD_LINE_MAX - frame, end), ==, 0);
	check_int(verdict_filled("GET /", "a", HEAD_LINE_MAX - frame + 1, end), ==, 414);
	check_int(verdict_filled("GET /", "a", 64000, end), ==, 414);
	check_int(verdict_filled("", "a", 9000, ""), ==, 414);
	check_int(verdict_filled("GET / HTTP/1.1\r\nX: ", "a", HEAD_BYTES_MAX - head, "\r\n" END),
		  ==, 0);
	check_int(
	    verdict_filled("GET / HTTP/1.1\r\nX: ", "a", HEAD_BYTES_MAX - head + 1, "\r\n" END), ==,
	    431);
	check_int(verdict_filled("GET / HTTP/1.1\r\nX: ", "a", 100000, ""), ==, 431);
	check_int(verdict_filled("GET / HTTP/1.1\r\n", "X: y\r\n", HEAD_FIELDS_MAX - 1, END), ==,
		  0);
	check_int(verdict_filled("GET / HTTP/1.1\r\n", "X: y\r\n", HEAD_FIELDS_MAX, END), ==, 431);
	check_int(verdict_filled("GET / HTTP/1.1\r\n", "X: y\r\n", 2000, END), ==, 431);
}

/* Reads a chunked body in steps; status of the refusal, 0 when whole, -1 when more is needed. */
static int
chunks_in_steps(const char *bytes, int64_t max, size_t step, const char *want)
{
	struct head head = {.body = HEAD_BODY_CHUNKED};
	struct body_reader reader;
	struct http_refusal refusal = {0};
	enum body_progress progress = BODY_MORE;
	size_t at = 0, len = strlen(bytes), used;
	struct buf out;
	bool same;

	buf_init(&out, (size_t)max);
	check(body_start(&reader, &head, max, &refusal));
	while (progress == BODY_MORE && at < len) {
		progress = body_read(&reader, bytes + at, len - at < step ? len - at : step, &used,
				     &out, &refusal);
		at += used;
	}
	same = want == NULL || slice_is(buf_slice(&out), want);
	buf_fini(&out);
	check(same);
	check(progress != BODY_WHOLE || at == len || bytes[at] == '!');
	return progress == BODY_WHOLE ? 0 : progress == BODY_MORE ? -1 : refusal.status;
}

static int
chunks(const char *bytes, int64_t max, const char *want)
{
	int whole = chunks_in_steps(bytes, max, strlen(bytes), want);

	for (size_t step = 1; step < 6; step++)
		check_int(chunks_in_steps(bytes, max, step, want), ==, whole);
	return whole;
}

static void
chunks_are_strict_and_capped_before_they_are_kept(void)
{
	check_int(chunks("3\r\nabc\r\n02\r\nde\r\n0\r\n\r\n", 100, "abcde"), ==, 0);
	check_int(chunks("3\r\nabc\r\n0\r\n\r\n!next", 100, "abc"), ==, 0);
	check_int(chunks("0\r\n\r\n", 0, ""), ==, 0);
	check_int(chunks("A\r\n0123456789\r\n0000000000000000\r\n\r\n", 10, "0123456789"), ==, 0);
	check_int(chunks("3\r\nabc", 100, "abc"), ==, -1);
	check_int(chunks("3\r\nabc\r\n", 100, "abc"), ==, -1);
	check_int(chunks("0x3\r\nabc\r\n0\r\n\r\n", 100, ""), ==, 400);
	check_int(chunks("-1\r\n", 100, ""), ==, 400);
	check_int(chunks("+3\r\nabc", 100, ""), ==, 400);
	check_int(chunks("\r\n", 100, ""), ==, 400);
	check_int(chunks("3;a=b\r\nabc\r\n0\r\n\r\n", 100, ""), ==, 400);
	check_int(chunks("3 \r\nabc\r\n", 100, ""), ==, 400);
	check_int(chunks("3\nabc\r\n", 100, ""), ==, 400);
	check_int(chunks("3\r\r\nabc", 100, ""), ==, 400);
	check_int(chunks("3\r\nabcd", 100, "abc"), ==, 400);
	check_int(chunks("3\r\nabc\n0\r\n\r\n", 100, "abc"), ==, 400);
	check_int(chunks("00000000000000003\r\nabc", 100, ""), ==, 400);
	check_int(chunks("ffffffffffffffff\r\n", 100, ""), ==, 413);
	check_int(chunks("0\r\nX: y\r\n\r\n", 100, ""), ==, 400);
	check_int(chunks("0\r\n\n", 100, ""), ==, 400);
	check_int(chunks("6\r\nabcdef\r\n5\r\n", 10, "abcdef"), ==, 413);
}

static void
a_length_over_the_cap_is_refused_from_the_number_alone(void)
{
	struct head head = {.body = HEAD_BODY_LENGTH, .length = 11};
	struct body_reader reader;
	struct http_refusal refusal = {0};

	check(!body_start(&reader, &head, 10, &refusal));
	check_int(refusal.status, ==, 413);
	check(body_start(&reader, &head, 11, &refusal));
}

static int
path_verdict(const char *path)
{
	struct http_refusal refusal = {0};

	return target_check_path(slice_text(path), &refusal) ? 0 : refusal.status;
}

static void
paths_have_no_empty_or_dot_segments(void)
{
	check_int(path_verdict("/"), ==, 0);
	check_int(path_verdict("/a/b/"), ==, 0);
	check_int(path_verdict("/a%2fb/..c/.d"), ==, 0);
	check_int(path_verdict("//"), ==, 404);
	check_int(path_verdict("//a"), ==, 404);
	check_int(path_verdict("/a//b"), ==, 404);
	check_int(path_verdict("/a//"), ==, 404);
	check_int(path_verdict("/./a"), ==, 404);
	check_int(path_verdict("/a/.."), ==, 404);
	check_int(path_verdict("/%2e%2e/a"), ==, 404);
	check_int(path_verdict("/.%2E/a"), ==, 404);
	check_int(path_verdict("/%2e"), ==, 404);
	check_int(path_verdict("/%ff"), ==, 400);
	check_int(path_verdict("/%c0%ae%c0%ae/"), ==, 400);
}

static void
segments_are_decoded_after_splitting(void)
{
	struct target_pieces pieces;

	target_segments(slice_text("/a%2Fb/%C3%A4+/"), &pieces);
	check_int(pieces.count, ==, 3);
	check_text(pieces.texts[0], "a/b");
	check_text(pieces.texts[1], "\xc3\xa4+");
	check_text(pieces.texts[2], "");
	target_pieces_fini(&pieces);
}

static void
query_pairs_are_decoded_in_order(void)
{
	struct target_pieces pieces;

	target_pairs(slice_text("a=1&&b%5Bc%5D=x+y%2B&d&e==f&="), &pieces);
	check_int(pieces.count, ==, 10);
	check_text(pieces.texts[2], "b[c]");
	check_text(pieces.texts[3], "x y+");
	check_text(pieces.texts[4], "d");
	check_text(pieces.texts[5], "");
	check_text(pieces.texts[7], "=f");
	check_text(pieces.texts[8], "");
	target_pieces_fini(&pieces);
	target_pairs(slice_text(""), &pieces);
	check_int(pieces.count, ==, 0);
	target_pieces_fini(&pieces);
	target_pairs(slice_text("a&b&c&d&e"), &pieces);
	check_int(pieces.count, ==, 10);
	target_pieces_fini(&pieces);
	target_pairs(slice_text("a=%ff"), &pieces);
	check_int(pieces.count, ==, -1);
	target_pieces_fini(&pieces);
	target_pairs(slice_text("a=%00"), &pieces);
	check_int(pieces.count, ==, -1);
	target_pieces_fini(&pieces);
}

int
main(void)
{
	CHECK_RUN(a_head_is_taken_apart);
	CHECK_RUN(control_bytes_are_refused);
	CHECK_RUN(line_ends_and_folding_are_strict);
	CHECK_RUN(request_lines_are_strict);
	CHECK_RUN(targets_are_origin_form_or_our_own_host);
	CHECK_RUN(field_names_are_tokens_followed_by_their_colon);
	CHECK_RUN(exactly_one_host_is_wanted);
	CHECK_RUN(framing_is_told_once_and_exactly);
	CHECK_RUN(connection_lives_on_as_version_and_header_say);
	CHECK_RUN(content_encodings_are_noticed);
	CHECK_RUN(sizes_are_capped_at_the_byte);
	CHECK_RUN(chunks_are_strict_and_capped_before_they_are_kept);
	CHECK_RUN(a_length_over_the_cap_is_refused_from_the_number_alone);
	CHECK_RUN(paths_have_no_empty_or_dot_segments);
	CHECK_RUN(segments_are_decoded_after_splitting);
	CHECK_RUN(query_pairs_are_decoded_in_order);
	return check_done();
}
