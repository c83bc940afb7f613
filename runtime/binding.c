#include "runtime/binding.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/frame.h"
#include "runtime/channel.h"
#include "runtime/inflate.h"
#include "runtime/number.h"
#include "runtime/runner.h"
#include "runtime/text.h"
#include "runtime/unicode.h"
#include "runtime/wire.h"

/* An error thrown by Duktape leaves these functions by longjmp, so whatever buffer they hold is of
 * run_scratch(). */

#define FRAME_ROOM (RUNNER_FRAME_MAX - 4096) /* for the two payloads of a frame */
#define RANDOM_MAX 65536                     /* bytes, as crypto.getRandomValues */
#define TIMER_MAX_MS 2147483647.0
#define CALL_ID_MAX 9007199254740991.0

static struct runner *
runner_of(duk_context *ctx)
{
	duk_memory_functions functions;
	struct arena *arena;

	duk_get_memory_functions(ctx, &functions);
	arena = functions.udata;
	return arena->owner;
}

static struct slice
text_argument(duk_context *ctx, duk_idx_t idx)
{
	duk_size_t len;
	const char *text = duk_require_lstring(ctx, idx, &len);

	return (struct slice){text, len};
}

static struct slice
bytes_argument(duk_context *ctx, duk_idx_t idx)
{
	duk_size_t len;
	const char *bytes = duk_require_buffer_data(ctx, idx, &len);

	return (struct slice){bytes != NULL ? bytes : "", len};
}

/* Pushes a Uint8Array. */
static void
push_bytes(duk_context *ctx, struct slice bytes)
{
	void *room = duk_push_fixed_buffer(ctx, bytes.len);

	if (bytes.len > 0)
		memcpy(room, bytes.data, bytes.len);
	duk_push_buffer_object(ctx, -1, 0, bytes.len, DUK_BUFOBJ_UINT8ARRAY);
	duk_remove(ctx, -2);
}

static struct buf *
text_room(duk_context *ctx, size_t cap)
{
	return run_scratch(runner_of(ctx), SCRATCH_TEXT, cap);
}

static void
push_and_free(duk_context *ctx, struct buf *buf)
{
	push_bytes(ctx, buf_slice(buf));
	buf_fini(buf);
}

static struct runner *
require_run(duk_context *ctx)
{
	struct runner *runner = runner_of(ctx);

	if (runner->run_id == 0 || runner->done)
		(void)duk_generic_error(ctx, "no run is going on");
	return runner;
}

static duk_ret_t
too_large(duk_context *ctx, const char *what)
{
	return duk_range_error(ctx, "%s is larger than %u bytes", what, (unsigned)FRAME_ROOM);
}

/* call(callId, op, metaText, body) */
static duk_ret_t
host_call(duk_context *ctx)
{
	struct runner *runner = require_run(ctx);
	double call_id = duk_require_number(ctx, 0);
	struct slice op = text_argument(ctx, 1);
	struct slice meta = text_argument(ctx, 2), body = SLICE_LITERAL("");
	bool is_text = duk_is_string(ctx, 3);
	struct buf *meta_utf8, *body_utf8, *out;
	struct frame_writer w;

	if (is_text)
		body = text_argument(ctx, 3);
	else if (!duk_is_null_or_undefined(ctx, 3))
		body = bytes_argument(ctx, 3);
	if (!(call_id >= 0 && call_id <= CALL_ID_MAX)) /* NaN too */
		return duk_range_error(ctx, "a call needs a number");
	if (op.len > 64)
		return duk_type_error(ctx, "unknown operation");
	if ((int64_t)call_id == 0 && !slice_is(op, "log")) /* the daemon would end the run */
		return duk_type_error(ctx, "a call without a number can only be a log");
	meta_utf8 = run_scratch(runner, SCRATCH_META, FRAME_ROOM);
	body_utf8 = run_scratch(runner, SCRATCH_BODY, FRAME_ROOM);
	if (meta.len > FRAME_ROOM || !text_to_utf8(meta, TEXT_LONE_ESCAPE, meta_utf8))
		return too_large(ctx, "the request");
	if (body.len > FRAME_ROOM || (is_text && !text_to_utf8(body, TEXT_LONE_REPLACE, body_utf8)))
		return too_large(ctx, "the request body");
	if (is_text)
		body = buf_slice(body_utf8);
	if (meta_utf8->len + body.len > FRAME_ROOM)
		return too_large(ctx, "the request");
	out = run_scratch(runner, SCRATCH_FRAME, RUNNER_FRAME_MAX + 4u);
	frame_begin(&w, out, 6);
	frame_add_int(&w, RUNNER_CALL);
	frame_add_int(&w, runner->run_id);
	frame_add_int(&w, (int64_t)call_id);
	frame_add_bin(&w, op.data, op.len);
	frame_add_bin(&w, buf_slice(meta_utf8).data, meta_utf8->len);
	frame_add_bin(&w, body.data, body.len);
	frame_end(&w);
	if (out->over || !wire_write(SANDBOX_SOCKET, buf_slice(out), -1))
		_exit(RUNNER_EXIT_PROTOCOL);
	buf_fini(out);
	buf_fini(body_utf8);
	buf_fini(meta_utf8);
	return 0;
}

/* done(ok, payloadText) */
static duk_ret_t
host_done(duk_context *ctx)
{
	struct runner *runner = require_run(ctx);
	bool ok = duk_require_boolean(ctx, 0);
	struct slice text = duk_is_undefined(ctx, 1) ? SLICE_LITERAL("") : text_argument(ctx, 1);
	struct buf *payload = text_room(ctx, FRAME_ROOM);

	if (text.len > FRAME_ROOM || !text_to_utf8(text, TEXT_LONE_ESCAPE, payload))
		return too_large(ctx, "the output");
	script_send_done(runner, ok, buf_slice(payload));
	buf_fini(payload);
	return 0;
}

/* timer(id, ms) */
static duk_ret_t
host_timer(duk_context *ctx)
{
	struct runner *runner = runner_of(ctx);
	double id = duk_require_number(ctx, 0), ms = duk_require_number(ctx, 1);

	if (!(ms > 0)) /* NaN too */
		ms = 0;
	if (ms > TIMER_MAX_MS)
		ms = TIMER_MAX_MS;
	if (!timers_add(&runner->timers, id, clock_mono_ms() + (int64_t)ms))
		return duk_range_error(ctx, "more than %d timers", TIMERS_MAX);
	return 0;
}

/* timerClear(id) */
static duk_ret_t
host_timer_clear(duk_context *ctx)
{
	timers_remove(&runner_of(ctx)->timers, duk_require_number(ctx, 0));
	return 0;
}

/* random(n) -> bytes */
static duk_ret_t
host_random(duk_context *ctx)
{
	double count = duk_require_number(ctx, 0);
	size_t len, have = 0;
	char *room, part[256]; /* the kernel must not write to the heap: see snapshot.h */

	if (!(count >= 0 && count <= RANDOM_MAX)) /* before the cast: it has no value else */
		return duk_range_error(ctx, "random: 0 to %d bytes", RANDOM_MAX);
	len = (size_t)count;
	room = duk_push_fixed_buffer(ctx, len);
	while (have < len) {
		size_t most = len - have < sizeof(part) ? len - have : sizeof(part);
		ssize_t got = getrandom(part, most, 0);

		if (got < 0 && errno != EINTR)
			return duk_generic_error(ctx, "the system has no random bytes");
		if (got > 0) {
			memcpy(room + have, part, (size_t)got);
			have += (size_t)got;
		}
	}
	duk_push_buffer_object(ctx, -1, 0, len, DUK_BUFOBJ_UINT8ARRAY);
	return 1;
}

static duk_ret_t
push_digest(duk_context *ctx, const unsigned char *digest, size_t len)
{
	if (len == 0)
		return duk_type_error(ctx, "unknown digest");
	push_bytes(ctx, (struct slice){(const char *)digest, len});
	return 1;
}

/* hash(alg, bytes) -> bytes */
static duk_ret_t
host_hash(duk_context *ctx)
{
	unsigned char digest[DIGEST_MAX];
	size_t len = digest_hash(&runner_of(ctx)->digests, duk_require_string(ctx, 0),
				 bytes_argument(ctx, 1), digest);

	return push_digest(ctx, digest, len);
}

/* hmac(alg, key, bytes) -> bytes */
static duk_ret_t
host_hmac(duk_context *ctx)
{
	unsigned char digest[DIGEST_MAX];
	size_t len = digest_hmac(&runner_of(ctx)->digests, duk_require_string(ctx, 0),
				 bytes_argument(ctx, 1), bytes_argument(ctx, 2), digest);

	return push_digest(ctx, digest, len);
}

/* equal(a, b) -> boolean; the time depends on the length alone. */
static duk_ret_t
host_equal(duk_context *ctx)
{
	struct slice a = bytes_argument(ctx, 0), b = bytes_argument(ctx, 1);
	volatile unsigned char difference = 0;

	if (a.len != b.len) {
		duk_push_false(ctx);
		return 1;
	}
	for (size_t i = 0; i < a.len; i++)
		difference |= (unsigned char)(a.data[i] ^ b.data[i]);
	duk_push_boolean(ctx, difference == 0);
	return 1;
}

/* utf8Encode(text) -> bytes */
static duk_ret_t
host_utf8_encode(duk_context *ctx)
{
	struct buf *out = text_room(ctx, FRAME_ROOM);

	if (!text_to_utf8(text_argument(ctx, 0), TEXT_LONE_REPLACE, out))
		return too_large(ctx, "the text");
	push_and_free(ctx, out);
	return 1;
}

/* utf8Decode(bytes) -> text */
static duk_ret_t
host_utf8_decode(duk_context *ctx)
{
	struct slice bytes = bytes_argument(ctx, 0);
	struct buf *out;

	if (text_is_plain(bytes)) {
		duk_push_lstring(ctx, bytes.data, bytes.len);
		return 1;
	}
	out = text_room(ctx, 2 * (size_t)RUNNER_FRAME_MAX);
	if (!text_from_utf8(bytes, out))
		return too_large(ctx, "the text");
	duk_push_lstring(ctx, buf_slice(out).data, out->len);
	buf_fini(out);
	return 1;
}

typedef bool convert_fn(struct slice in, struct buf *out);

static bool
base64_url(struct slice in, struct buf *out)
{
	return text_add_base64(in, true, out);
}

static bool
base64_standard(struct slice in, struct buf *out)
{
	return text_add_base64(in, false, out);
}

static duk_ret_t
bytes_to_text(duk_context *ctx, convert_fn *convert)
{
	struct buf *out = text_room(ctx, 2 * (size_t)RUNNER_FRAME_MAX);

	if (!convert(bytes_argument(ctx, 0), out))
		return too_large(ctx, "the text");
	duk_push_lstring(ctx, buf_slice(out).data, out->len);
	buf_fini(out);
	return 1;
}

static duk_ret_t
text_to_bytes(duk_context *ctx, convert_fn *convert)
{
	struct buf *out = text_room(ctx, 2 * (size_t)RUNNER_FRAME_MAX);

	if (!convert(text_argument(ctx, 0), out))
		return too_large(ctx, "the text");
	push_and_free(ctx, out);
	return 1;
}

/* base64(bytes, urlSafe) -> text */
static duk_ret_t
host_base64(duk_context *ctx)
{
	return bytes_to_text(ctx, duk_to_boolean(ctx, 1) ? base64_url : base64_standard);
}

/* base64Decode(text) -> bytes */
static duk_ret_t
host_base64_decode(duk_context *ctx)
{
	return text_to_bytes(ctx, text_add_base64_decoded);
}

/* hex(bytes) -> text */
static duk_ret_t
host_hex(duk_context *ctx)
{
	return bytes_to_text(ctx, text_add_hex);
}

/* hexDecode(text) -> bytes */
static duk_ret_t
host_hex_decode(duk_context *ctx)
{
	return text_to_bytes(ctx, text_add_hex_decoded);
}

/* Units of a text up to this many are converted on the stack: names that are sorted. */
#define UNITS_SHORT 256

/* A text of Duktape is UTF-16 in which each unit was encoded by itself. */
struct units_buf {
	uint16_t fixed[UNITS_SHORT];
	struct buf *more; /* of run_scratch() */
};

/* False: the text is too long. */
static bool
to_units(duk_context *ctx, struct slice cesu8, enum scratch which, struct units_buf *room,
	 struct units *out)
{
	uint16_t *units = room->fixed;

	if (cesu8.len > FRAME_ROOM)
		return false;
	if (cesu8.len > UNITS_SHORT) {
		room->more = run_scratch(runner_of(ctx), which, 2 * (size_t)FRAME_ROOM);
		if (!buf_reserve(room->more, 2 * cesu8.len))
			return false;
		units = (uint16_t *)(void *)room->more->data;
	}
	*out = (struct units){units, (int32_t)text_to_units(cesu8, units)};
	return true;
}

/* collate(a, b, level, numeric) -> number */
static duk_ret_t
host_collate(duk_context *ctx)
{
	struct units_buf rooms[2] = {{.more = NULL}, {.more = NULL}};
	int level = duk_require_int(ctx, 2);
	struct units a, b;
	int order;

	if (level < 0 || level >= UNICODE_LEVELS)
		return duk_range_error(ctx, "unknown level");
	if (!to_units(ctx, text_argument(ctx, 0), SCRATCH_META, &rooms[0], &a) ||
	    !to_units(ctx, text_argument(ctx, 1), SCRATCH_BODY, &rooms[1], &b))
		return too_large(ctx, "the text");
	order = unicode_compare(&runner_of(ctx)->unicode, a, b, (enum unicode_level)level,
				duk_to_boolean(ctx, 3));
	for (int i = 0; i < 2; i++) {
		if (rooms[i].more != NULL)
			buf_fini(rooms[i].more);
	}
	duk_push_int(ctx, order);
	return 1;
}

/* What is to become of a text; form is for normalisation, the rest for case. */
struct change {
	bool is_case;
	enum unicode_form form;
	bool upper;
	const char *language;
};

static int32_t
apply(duk_context *ctx, const struct change *change, struct units text, uint16_t *out, int32_t room)
{
	if (change->is_case)
		return unicode_change_case(text, change->upper, change->language, out, room);
	return unicode_normalize(&runner_of(ctx)->unicode, text, change->form, out, room);
}

/* Pushes the changed text.  A result is seldom longer than its source, so most need one try. */
static duk_ret_t
push_changed(duk_context *ctx, struct slice text, const struct change *change)
{
	struct units_buf room = {.more = NULL};
	struct buf *units = run_scratch(runner_of(ctx), SCRATCH_FRAME, 4 * (size_t)FRAME_ROOM);
	int32_t size = (int32_t)(text.len < FRAME_ROOM ? text.len : FRAME_ROOM) + 64, len;
	struct units in;
	struct buf *out;

	if (!to_units(ctx, text, SCRATCH_BODY, &room, &in))
		return too_large(ctx, "the text");
	for (;;) {
		if (!buf_reserve(units, 2 * (size_t)size))
			return too_large(ctx, "the text");
		len = apply(ctx, change, in, (uint16_t *)(void *)units->data, size);
		if (len <= size)
			break;
		size = len;
	}
	if (len < 0)
		return duk_generic_error(ctx, "the text cannot be converted");
	out = text_room(ctx, 2 * (size_t)RUNNER_FRAME_MAX);
	if (!text_from_units((const uint16_t *)(void *)units->data, (size_t)len, out))
		return too_large(ctx, "the text");
	duk_push_lstring(ctx, buf_slice(out).data, out->len);
	buf_fini(out);
	buf_fini(units);
	if (room.more != NULL)
		buf_fini(room.more);
	return 1;
}

/* normalize(text, form) -> text; form: 0 NFC, 1 NFD, 2 NFKC, 3 NFKD */
static duk_ret_t
host_normalize(duk_context *ctx)
{
	int form = duk_require_int(ctx, 1);
	struct change change = {.is_case = false};

	if (form < 0 || form >= UNICODE_FORMS)
		return duk_range_error(ctx, "unknown form");
	change.form = (enum unicode_form)form;
	return push_changed(ctx, text_argument(ctx, 0), &change);
}

/* changeCase(text, upper, language) -> text */
static duk_ret_t
host_change_case(duk_context *ctx)
{
	struct change change = {.is_case = true,
				.upper = duk_require_boolean(ctx, 1),
				.language = duk_require_string(ctx, 2)};

	return push_changed(ctx, text_argument(ctx, 0), &change);
}

/* escapeLone(text) -> text: each surrogate without its partner as \udXXX; all others stay. */
static duk_ret_t
host_escape_lone(duk_context *ctx)
{
	struct slice text = text_argument(ctx, 0);
	struct buf *out;

	if (!text_has_lone(text)) {
		duk_dup(ctx, 0);
		return 1;
	}
	out = text_room(ctx, 2 * (size_t)RUNNER_FRAME_MAX);
	if (!text_escape_lone(text, out))
		return too_large(ctx, "the text");
	duk_push_lstring(ctx, buf_slice(out).data, out->len);
	buf_fini(out);
	return 1;
}

/* zoneOffset(zone, ms) -> ms ahead of UTC, or NaN */
static duk_ret_t
host_zone_offset(duk_context *ctx)
{
	int32_t offset;

	if (unicode_zone_offset(duk_require_string(ctx, 0), duk_require_number(ctx, 1), &offset))
		duk_push_int(ctx, offset);
	else
		duk_push_nan(ctx);
	return 1;
}

void
binding_install(duk_context *ctx, struct runner *runner)
{
	static const duk_function_list_entry functions[] = {
	    {"call", host_call, 4},
	    {"done", host_done, 2},
	    {"timer", host_timer, 2},
	    {"timerClear", host_timer_clear, 1},
	    {"random", host_random, 1},
	    {"hash", host_hash, 2},
	    {"hmac", host_hmac, 3},
	    {"equal", host_equal, 2},
	    {"utf8Encode", host_utf8_encode, 1},
	    {"utf8Decode", host_utf8_decode, 1},
	    {"base64", host_base64, 2},
	    {"base64Decode", host_base64_decode, 1},
	    {"hex", host_hex, 1},
	    {"hexDecode", host_hex_decode, 1},
	    {"collate", host_collate, 4},
	    {"normalize", host_normalize, 2},
	    {"changeCase", host_change_case, 3},
	    {"zoneOffset", host_zone_offset, 2},
	    {"escapeLone", host_escape_lone, 1},
	    {"inflate", inflate_bytes, 2},
	    {"Number", number_construct, DUK_VARARGS},
	    {"parseFloat", number_parse_float, 1},
	    {"parseInt", number_parse_int, 2},
	    {"toString", number_to_string, 1},
	    {"toFixed", number_to_fixed, 1},
	    {"round", number_round, 1},
	    {"cbrt", number_cbrt, 1},
	    {NULL, NULL, 0},
	};

	runner->arena.owner = runner;
	duk_push_object(ctx);
	duk_put_function_list(ctx, -1, functions);
	duk_put_global_string(ctx, "__host");
}
