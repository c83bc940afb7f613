/* What a function may do to the C side of its runner: calls of every member of __host with made up
 * arguments, as bytes describe them.  What comes out for the daemon must be frames that the daemon
 * takes.  The heap is malloc's here, not the arena, so that AddressSanitizer sees each block.
 * Build: dev/check fuzz, or CONTRIBUTING.md for clang's -fsanitize=fuzzer. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/binding.h"
#include "runtime/channel.h"
#include "runtime/runner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CALLS_MAX 64
#define TEXT_MAX 4096

struct input {
	const uint8_t *at, *end;
};

static struct runner runner;

static unsigned
byte(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

/* Bytes of the input itself, or, so that short inputs reach long texts, some of them repeated. */
static size_t
text(struct input *in, char *out)
{
	unsigned kind = byte(in);
	size_t len = kind < 200 ? kind : (kind - 199) * 64u, have = (size_t)(in->end - in->at),
	       piece;

	if (have == 0)
		return 0;
	piece = have < 1 + kind % 32 ? have : 1 + kind % 32;
	for (size_t i = 0; i < len; i++)
		out[i] = (char)in->at[kind < 200 ? (i < have ? i : have - 1) : i % piece];
	in->at += kind < 200 ? (len < have ? len : have) : piece;
	return len;
}

static void
push_number(duk_context *ctx, struct input *in)
{
	static const double odd[] = {0,     -0.0, 1,    -1,         0.5,           65536,
				     65537, 1e9,  1e15, 4294967296, -2147483649.0, 1e308};
	unsigned which = byte(in);
	double number = 0;

	if (which < sizeof(odd) / sizeof(odd[0])) {
		number = odd[which];
	} else if (which == 255) {
		number = 0.0 / 0.0;
	} else if (which == 254) {
		number = 1.0 / 0.0;
	} else {
		for (size_t i = 0; i < sizeof(number); i++)
			((unsigned char *)&number)[i] = (unsigned char)byte(in);
	}
	duk_push_number(ctx, number);
}

static void
push_bytes(duk_context *ctx, struct input *in, unsigned kind)
{
	char bytes[TEXT_MAX];
	size_t len = text(in, bytes), skip = len > 0 ? byte(in) % len : 0;
	void *room =
	    kind % 2 == 0 ? duk_push_fixed_buffer(ctx, len) : duk_push_dynamic_buffer(ctx, len);

	if (len > 0)
		memcpy(room, bytes, len);
	if (kind < 8)
		return;
	duk_push_buffer_object(ctx, -1, skip, len - skip,
			       kind < 10   ? DUK_BUFOBJ_UINT8ARRAY
			       : kind < 11 ? DUK_BUFOBJ_NODEJS_BUFFER
					   : DUK_BUFOBJ_DATAVIEW);
	if (kind % 2 == 1) /* the buffer shrinks below its view: C must not read on */
		duk_resize_buffer(ctx, -2, len / 2);
	duk_remove(ctx, -2);
}

static void
push_argument(duk_context *ctx, struct input *in)
{
	static const char *const names[] = {"md5", "sha1", "sha256", "sha512",
					    "log", "http", "",       "sha3"};
	char bytes[TEXT_MAX];
	unsigned kind = byte(in) % 18;
	size_t len;

	switch (kind) {
	case 0:
		duk_push_undefined(ctx);
		return;
	case 1:
		duk_push_null(ctx);
		return;
	case 2:
		duk_push_boolean(ctx, byte(in) & 1);
		return;
	case 3:
		duk_push_object(ctx);
		return;
	case 4:
		duk_push_array(ctx);
		return;
	case 5:
	case 13:
		push_number(ctx, in);
		return;
	case 14:
	case 15:
		duk_push_string(ctx, names[byte(in) % 8]);
		return;
	case 6:
	case 7:
	case 8:
	case 9:
	case 10:
	case 11:
		push_bytes(ctx, in, kind);
		return;
	default:
		len = text(in, bytes);
		duk_push_lstring(ctx, bytes, len);
		return;
	}
}

/* Descriptor 3 is a file here.  Whatever was written is frames, each of which the daemon takes from
 * a run that is going on. */
static void
judge_frames(void)
{
	struct runner_expect expect = {.run_id = 1, .last_call = 0};
	size_t len = (size_t)lseek(SANDBOX_SOCKET, 0, SEEK_CUR), used, at = 0;
	char *bytes = malloc(len + 1);

	if (bytes == NULL || pread(SANDBOX_SOCKET, bytes, len, 0) != (ssize_t)len)
		abort();
	while (at < len) {
		struct slice body;
		struct frame frame;
		const char *why = NULL;

		if (frame_peek((struct slice){bytes + at, len - at}, RUNNER_FRAME_MAX, &body,
			       &used) != 1 ||
		    frame_decode(body, &frame, NULL) != SL_OK ||
		    !runner_frame_ok(&expect, &frame, &why))
			abort();
		at += used;
	}
	free(bytes);
	if (lseek(SANDBOX_SOCKET, 0, SEEK_SET) != 0 || ftruncate(SANDBOX_SOCKET, 0) != 0)
		abort();
}

/* decode(encode(x)) is x. */
static void
judge_pair(duk_context *ctx, const char *encode, const char *decode, struct input *in)
{
	char bytes[TEXT_MAX];
	size_t len = text(in, bytes);
	duk_size_t got;
	void *back;

	duk_get_prop_string(ctx, 0, decode);
	duk_get_prop_string(ctx, 0, encode);
	if (len > 0)
		memcpy(duk_push_fixed_buffer(ctx, len), bytes, len);
	else
		duk_push_fixed_buffer(ctx, 0);
	duk_push_boolean(ctx, byte(in) & 1);
	duk_call(ctx, 2);
	duk_call(ctx, 1);
	back = duk_require_buffer_data(ctx, -1, &got);
	if (got != len || (len > 0 && memcmp(back, bytes, len) != 0))
		abort();
	duk_pop(ctx);
}

static duk_ret_t
play(duk_context *ctx, void *arg)
{
	static const char *const names[] = {
	    "call",  "done", "timer",  "timerClear", "random",     "hash",      "hmac",
	    "equal", "hex",  "base64", "utf8Encode", "utf8Decode", "hexDecode", "base64Decode"};
	struct input *in = arg;

	duk_get_global_string(ctx, "__host"); /* index 0 */
	for (int i = 0; i < CALLS_MAX && in->at < in->end; i++) {
		unsigned which = byte(in) % 16;
		int count;

		if (which >= 14) {
			judge_pair(ctx, which == 14 ? "hex" : "base64",
				   which == 14 ? "hexDecode" : "base64Decode", in);
			continue;
		}
		runner.run_id = byte(in) % 8 > 0;
		runner.done = false;
		duk_get_prop_string(ctx, 0, names[which]);
		count = (int)(byte(in) % 6);
		for (int n = 0; n < count; n++)
			push_argument(ctx, in);
		duk_pcall(ctx, count);
		duk_pop(ctx);
		judge_frames();
	}
	return 0;
}

static void *
heap_alloc(void *udata, duk_size_t size)
{
	(void)udata;
	return size > 0 ? malloc(size) : NULL;
}

static void *
heap_realloc(void *udata, void *pointer, duk_size_t size)
{
	(void)udata;
	if (size > 0)
		return realloc(pointer, size);
	free(pointer);
	return NULL;
}

static void
heap_free(void *udata, void *pointer)
{
	(void)udata;
	free(pointer);
}

static void
on_fatal(void *udata, const char *why)
{
	(void)udata;
	(void)why;
	abort();
}

static void
open_once(void)
{
	static bool opened;
	int fd;

	if (opened)
		return;
	opened = true;
	fd = memfd_create("frames", MFD_CLOEXEC);
	if (fd < 0 || (fd != SANDBOX_SOCKET && dup2(fd, SANDBOX_SOCKET) != SANDBOX_SOCKET) ||
	    digest_open(&runner.digests, NULL) != SL_OK ||
	    arena_init(&runner.arena, &runner, 1 << 20, NULL) != SL_OK)
		abort();
	if (fd != SANDBOX_SOCKET)
		close(fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};
	duk_context *ctx;

	open_once();
	ctx = duk_create_heap(heap_alloc, heap_realloc, heap_free, &runner.arena, on_fatal);
	if (ctx == NULL)
		abort();
	binding_install(ctx, &runner);
	if (duk_safe_call(ctx, play, &in, 0, 1) != DUK_EXEC_SUCCESS)
		abort();
	timers_fini(&runner.timers);
	for (int i = 0; i < SCRATCHES; i++)
		buf_fini(&runner.scratch[i]);
	duk_destroy_heap(ctx);
	return 0;
}
