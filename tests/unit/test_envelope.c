#include "base/envelope.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* Bodies that no sluice writes, behind a sound version and in front of a sound MAC: 16 million items,
 * 2^32-1 of them or as many bytes, maps with a key twice, ext, NaN, nesting. */
static const struct slice odd_bodies[] = {
    {"", 0},
    SLICE_LITERAL("\x90"),
    SLICE_LITERAL("\xDD\xFF\xFF\xFF\xFF\x01"),
    SLICE_LITERAL("\xDD\x00\xF4\x24\x00\x01"),
    SLICE_LITERAL("\xDC\xFF\xFF\x01"),
    SLICE_LITERAL("\xDF\xFF\xFF\xFF\xFF\x01\x01"),
    SLICE_LITERAL("\x82\xA1"
		  "a\x01\xA1"
		  "a\x02"),
    SLICE_LITERAL("\x9C\x01\xDD\xFF\xFF\xFF\xFF"),
    SLICE_LITERAL("\x9C\x01\xDF\xFF\xFF\xFF\xFF"),
    SLICE_LITERAL("\x9C\x01\xC6\xFF\xFF\xFF\xFF"
		  "abc"),
    SLICE_LITERAL("\x9C\x01\xDB\xFF\xFF\xFF\xFF"
		  "abc"),
    SLICE_LITERAL("\x9C\x01\xC7\xFF\x01"
		  "abc"),
    SLICE_LITERAL("\x9C\x01\xD4\x01\x01"),
    SLICE_LITERAL("\x9C\x01\xCB\x7F\xF8\x00\x00\x00\x00\x00\x00"),
    SLICE_LITERAL("\x9C\x01\xCA\x7F\xC0\x00\x00"),
    SLICE_LITERAL("\x9C\x01\xCF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"),
    SLICE_LITERAL("\x9C\x01\xC1"),
    SLICE_LITERAL("\x92\x01\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91"
		  "\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\xC0"),
};

static enum sl_code
decode_labelled(struct slice body, const char *label, bool answer)
{
	static struct call_envelope call;
	static struct call_answer reply;
	uint8_t own[32], mac[32];
	enum sl_code code;
	struct buf entry;

	buf_init(&entry, 100000);
	buf_add_slice(&entry, body);
	secret_hmac_sha256((struct slice){(const char *)key, 32}, slice_text(label), own);
	secret_hmac_sha256((struct slice){(const char *)own, 32}, body, mac);
	buf_add(&entry, mac, 16);
	code = answer ? call_answer_decode(buf_slice(&entry), key, &reply, NULL)
		      : call_envelope_decode(buf_slice(&entry), key, &call, NULL);
	buf_fini(&entry);
	return code;
}

static void
what_no_sluice_writes_is_refused(void)
{
	static char deep[100000];

	for (size_t i = 0; i < sizeof(odd_bodies) / sizeof(odd_bodies[0]); i++) {
		check_int(decode_signed("000000000001", odd_bodies[i]), ==, SL_INVALID);
		check_int(decode_labelled(odd_bodies[i], "sluice call", false), ==, SL_INVALID);
		check_int(decode_labelled(odd_bodies[i], "sluice call answer", true), ==,
			  SL_INVALID);
	}
	memset(deep, 0x91, sizeof(deep));
	deep[0] = (char)0x9C;
	deep[1] = 1;
	check_int(decode_signed("000000000001", (struct slice){deep, 90000}), ==, SL_INVALID);
}

/* A child that may not ask for more memory decodes what claims gigabytes: it would be killed by the
 * first attempt (out of memory ends a process). */
static void
claims_are_refused_before_memory_is_asked_for(void)
{
#if !defined(__SANITIZE_ADDRESS__)
	struct rlimit none = {16u << 20,
			      16u << 20}; /* less than there is: nothing more is mapped */
	pid_t child;
	int status;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		bool good = setrlimit(RLIMIT_AS, &none) == 0 && setrlimit(RLIMIT_DATA, &none) == 0;

		for (size_t i = 2; i < sizeof(odd_bodies) / sizeof(odd_bodies[0]); i++)
			good = good && decode_signed("000000000001", odd_bodies[i]) == SL_INVALID;
		_exit(good ? 0 : 1);
	}
	check(child > 0 && waitpid(child, &status, 0) == child);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
#endif
}

static void
random_bytes_are_refused(void)
{
	unsigned state = 12345;
	char bytes[300];

	for (int round = 0; round < 20000; round++) {
		size_t len = (size_t)round % sizeof(bytes);
		struct call_envelope call;
		struct call_answer answer;

		for (size_t i = 0; i < len; i++) {
			state = state * 1103515245u + 12345u;
			bytes[i] = (char)(state >> 16);
		}
		check(decode(bytes, len) != SL_OK);
		check(call_envelope_decode((struct slice){bytes, len}, key, &call, NULL) != SL_OK);
		check(call_answer_decode((struct slice){bytes, len}, key, &answer, NULL) != SL_OK);
	}
}

static void
an_input_that_is_no_utf8_is_refused(void)
{
	static const char *const bad[] = {"\"\x80\"", "\"\xC0\x80\"", "\"\xED\xA0\x80\"",
					  "\"\xF4\x90\x80\x80\"", "\"\xE2\x82"};
	struct envelope in = sample(), out;
	struct buf buf;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		in.input = slice_text(bad[i]);
		buf_init(&buf, 100000);
		envelope_encode(&in, key, &buf);
		check_int(envelope_decode(buf_slice(&buf), key, &out, NULL), ==, SL_INVALID);
		buf_fini(&buf);
	}
	in.input = slice_text("\"\xE2\x82\xAC \xF0\x9F\x98\x80\"");
	buf_init(&buf, 100000);
	envelope_encode(&in, key, &buf);
	check_int(envelope_decode(buf_slice(&buf), key, &out, NULL), ==, SL_OK);
	buf_fini(&buf);
}

static void
an_entry_of_more_than_a_mebibyte_is_not_looked_at(void)
{
	char *bytes = calloc(1, ENVELOPE_MAX + 1);
	struct envelope out;

	memset(bytes, '0', 12);
	check_int(envelope_decode((struct slice){bytes, ENVELOPE_MAX}, key, &out, NULL), ==,
		  SL_CONFLICT);
	check_int(envelope_decode((struct slice){bytes, ENVELOPE_MAX + 1}, key, &out, NULL), ==,
		  SL_INVALID);
	free(bytes);
}

/* ---- calls ---- */

static struct call_envelope
sample_call(void)
{
	return (struct call_envelope){
	    .id = "019aeafd-6a7b-7000-8000-0000000000ff",
	    .node = "12.ab-c_D",
	    .environment_id = 3,
	    .function_version_id = 65536,
	    .connection_id = INT64_MAX,
	    .kind = JOB_ACTION,
	    .start_by_ms = 1764821520123,
	    .has_input = true,
	    .input = SLICE_LITERAL("{\"a\":1}"),
	};
}

static struct call_answer
sample_answer(void)
{
	return (struct call_answer){
	    .id = "019aeafd-6a7b-7000-8000-0000000000ff",
	    .what = CALL_ENDED,
	    .worker = "9.0badcafe",
	    .state = JOB_FAILED,
	    .aborted = true,
	    .has_output = true,
	    .output = SLICE_LITERAL("null"),
	};
}

static void
a_call_and_its_answer_are_carried(void)
{
	struct call_envelope call = sample_call(), call_out;
	struct call_answer answer = sample_answer(), answer_out;
	struct buf buf;

	buf_init(&buf, 100000);
	call_envelope_encode(&call, key, &buf);
	check_int(call_envelope_decode(buf_slice(&buf), key, &call_out, NULL), ==, SL_OK);
	check_text(call_out.id, call.id);
	check_text(call_out.node, call.node);
	check_int(call_out.environment_id, ==, 3);
	check_int(call_out.function_version_id, ==, 65536);
	check(call_out.connection_id == INT64_MAX && call_out.kind == JOB_ACTION);
	check(call_out.start_by_ms == call.start_by_ms);
	check(call_out.has_input && slice_equal(call_out.input, call.input));
	call.has_input = false;
	buf_clear(&buf);
	call_envelope_encode(&call, key, &buf);
	check_int(call_envelope_decode(buf_slice(&buf), key, &call_out, NULL), ==, SL_OK);
	check(!call_out.has_input);
	buf_clear(&buf);
	call_answer_encode(&answer, key, &buf);
	check_int(call_answer_decode(buf_slice(&buf), key, &answer_out, NULL), ==, SL_OK);
	check_text(answer_out.id, answer.id);
	check_text(answer_out.worker, answer.worker);
	check(answer_out.what == CALL_ENDED && answer_out.state == JOB_FAILED &&
	      answer_out.aborted);
	check(answer_out.has_output && slice_is(answer_out.output, "null"));
	answer = (struct call_answer){.what = CALL_STARTED, .worker = "9.x"};
	memcpy(answer.id, call.id, sizeof(answer.id));
	buf_clear(&buf);
	call_answer_encode(&answer, key, &buf);
	check_int(call_answer_decode(buf_slice(&buf), key, &answer_out, NULL), ==, SL_OK);
	check(answer_out.what == CALL_STARTED && !answer_out.has_output);
	buf_fini(&buf);
}

static void
the_largest_call_and_answer_are_carried(void)
{
	struct call_envelope call = sample_call(), call_out;
	struct call_answer answer = sample_answer(), answer_out;
	char *bytes = malloc(CALL_INPUT_MAX);
	struct buf buf;

	memset(bytes, ' ', CALL_INPUT_MAX);
	memset(call.node, 'n', CALL_NODE_MAX);
	call.node[CALL_NODE_MAX] = '\0';
	memcpy(answer.worker, call.node, sizeof(answer.worker));
	call.environment_id = call.function_version_id = call.start_by_ms = INT64_MAX;
	call.input = (struct slice){bytes, CALL_INPUT_MAX};
	answer.output = (struct slice){bytes, CALL_OUTPUT_MAX};
	buf_init(&buf, 16 << 20);
	call_envelope_encode(&call, key, &buf);
	check_int(call_envelope_decode(buf_slice(&buf), key, &call_out, NULL), ==, SL_OK);
	check_int(call_out.input.len, ==, CALL_INPUT_MAX);
	buf_clear(&buf);
	call_answer_encode(&answer, key, &buf);
	check_int(call_answer_decode(buf_slice(&buf), key, &answer_out, NULL), ==, SL_OK);
	check_int(answer_out.output.len, ==, CALL_OUTPUT_MAX);
	buf_fini(&buf);
	free(bytes);
}

static void
none_of_the_three_passes_for_another(void)
{
	struct call_envelope call = sample_call(), call_out;
	struct call_answer answer = sample_answer(), answer_out;
	struct envelope job = sample(), job_out;
	struct buf buf;

	buf_init(&buf, 100000);
	call_envelope_encode(&call, key, &buf);
	check_int(call_answer_decode(buf_slice(&buf), key, &answer_out, NULL), ==, SL_CONFLICT);
	check(envelope_decode(buf_slice(&buf), key, &job_out, NULL) != SL_OK);
	buf_clear(&buf);
	call_answer_encode(&answer, key, &buf);
	check_int(call_envelope_decode(buf_slice(&buf), key, &call_out, NULL), ==, SL_CONFLICT);
	check(envelope_decode(buf_slice(&buf), key, &job_out, NULL) != SL_OK);
	buf_clear(&buf);
	envelope_encode(&job, key, &buf);
	check_int(call_envelope_decode(buf_slice(&buf), key, &call_out, NULL), ==, SL_CONFLICT);
	check_int(call_answer_decode(buf_slice(&buf), key, &answer_out, NULL), ==, SL_CONFLICT);
	buf_fini(&buf);
}

static void
no_cut_and_no_changed_bit_of_a_call_is_taken(void)
{
	struct call_envelope call = sample_call(), call_out;
	struct call_answer answer = sample_answer(), answer_out;
	struct buf buf;

	for (int which = 0; which < 2; which++) {
		buf_init(&buf, 100000);
		if (which == 0)
			call_envelope_encode(&call, key, &buf);
		else
			call_answer_encode(&answer, key, &buf);
		for (size_t len = 0; len < buf.len; len++) {
			struct slice cut = {buf.data, len};
			enum sl_code code = which == 0
						? call_envelope_decode(cut, key, &call_out, NULL)
						: call_answer_decode(cut, key, &answer_out, NULL);

			check_int(code, ==, len <= 16 ? SL_INVALID : SL_CONFLICT);
		}
		for (size_t bit = 0; bit < buf.len * 8; bit++) {
			buf.data[bit / 8] ^= (char)(1 << bit % 8);
			check_int(which == 0
				      ? call_envelope_decode(buf_slice(&buf), key, &call_out, NULL)
				      : call_answer_decode(buf_slice(&buf), key, &answer_out, NULL),
				  ==, SL_CONFLICT);
			buf.data[bit / 8] ^= (char)(1 << bit % 8);
		}
		buf_fini(&buf);
	}
}

static void
fields_of_calls_are_held_to_type_and_range(void)
{
	static const char id[] = "\xC4\x10"
				 "0123456789abcdef";
	static const struct {
		bool answer;
		const char *rest;
		size_t len;
		enum sl_code code;
	} cases[] = {
#define CALL(text, code) {false, text, sizeof(text) - 1, code}
#define ANSWER(text, code)                         \
	{                                          \
		true, text, sizeof(text) - 1, code \
	}
	    CALL("\xA1n\x01\x01\x01\x01\x01\xC0", SL_OK),
	    CALL("\xA0\x01\x01\x01\x01\x01\xC0", SL_INVALID),      /* no node */
	    CALL("\xA3n:1\x01\x01\x01\x01\x01\xC0", SL_INVALID),   /* no name */
	    CALL("\xA2n\x80\x01\x01\x01\x01\x01\xC0", SL_INVALID), /* no UTF-8 */
	    CALL("\xA1n\xFF\x01\x01\x01\x01\xC0", SL_INVALID),     /* -1 */
	    CALL("\xA1n\x01\x01\x01\x05\x01\xC0", SL_INVALID),     /* kind */
	    CALL("\xA1n\x01\x01\x01\x01\x01\xA1\x80", SL_INVALID), /* input */
	    CALL("\xA1n\x01\x01\x01\x01\x01\x01", SL_INVALID),     /* input's type */
	    CALL("\xA1n\x01\x01\x01\x01\x01\xC0\xC0", SL_INVALID), /* one more */
	    CALL("\x01\x01\x01\x01\x01\x01\xC0", SL_INVALID),
	    ANSWER("\x01\xA1w\x00\xC2\xC0", SL_OK),
	    ANSWER("\x02\xA1w\x01\xC2\xC0", SL_OK),
	    ANSWER("\x03\xA1w\x00\xC2\xC0", SL_OK),
	    ANSWER("\x02\xA1w\x00\xC2\xC0", SL_INVALID), /* ended without a state */
	    ANSWER("\x01\xA1w\x01\xC2\xC0", SL_INVALID), /* started with one */
	    ANSWER("\x01\xA1w\x00\xC2\xA1x", SL_INVALID),
	    ANSWER("\x04\xA1w\x00\xC2\xC0", SL_INVALID),
	    ANSWER("\x02\xA1w\x06\xC2\xC0", SL_INVALID),
	    ANSWER("\x02\xA1w\x01\x00\xC0", SL_INVALID),
	    ANSWER("\x02\xA1 \x01\xC2\xC0", SL_INVALID),
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf body;

		buf_init(&body, 1000);
		buf_add_text(&body, cases[i].answer ? "\x97\x01" : "\x99\x01");
		buf_add(&body, id, sizeof(id) - 1);
		buf_add(&body, cases[i].rest, cases[i].len);
		check_int(decode_labelled(buf_slice(&body),
					  cases[i].answer ? "sluice call answer" : "sluice call",
					  cases[i].answer),
			  ==, cases[i].code);
		buf_fini(&body);
	}
	check_int(decode_labelled(SLICE_LITERAL("\x91\x02"), "sluice call", false), ==,
		  SL_UNAVAILABLE);
	check_int(decode_labelled(SLICE_LITERAL("\x91\x02"), "sluice call answer", true), ==,
		  SL_UNAVAILABLE);
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
	CHECK_RUN(what_no_sluice_writes_is_refused);
	CHECK_RUN(claims_are_refused_before_memory_is_asked_for);
	CHECK_RUN(random_bytes_are_refused);
	CHECK_RUN(an_input_that_is_no_utf8_is_refused);
	CHECK_RUN(an_entry_of_more_than_a_mebibyte_is_not_looked_at);
	CHECK_RUN(a_call_and_its_answer_are_carried);
	CHECK_RUN(the_largest_call_and_answer_are_carried);
	CHECK_RUN(none_of_the_three_passes_for_another);
	CHECK_RUN(no_cut_and_no_changed_bit_of_a_call_is_taken);
	CHECK_RUN(fields_of_calls_are_held_to_type_and_range);
	return check_done();
}
