#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/frame.h"
#include "base/json.h"
#include "runtime/binding.h"
#include "runtime/bytecode.h"
#include "runtime/channel.h"
#include "runtime/runner.h"
#include "runtime/text.h"
#include "runtime/wire.h"

#define ERROR_MAX 65536     /* bytes of an error object made here */
#define ERROR_TEXT_MAX 8192 /* bytes of one text in it */
#define FRAMES_MAX 10       /* lines of a stack trace, after the first */

/* One call of a __sluice method; texts are UTF-8. */
struct invocation {
	struct runner *runner; /* set by invoke() */
	const char *method;
	struct slice text[4];
	int texts; /* arguments: these texts ... */
	double number;
	bool has_number; /* ... or this number, */
	bool ok;         /* and for reply: ok, a text and bytes */
	struct slice bytes;
	bool is_reply;
	bool result; /* what the method returned, as a boolean */
};

static void
on_fatal(void *udata, const char *message)
{
	(void)udata;
	(void)message;
	_exit(RUNNER_EXIT_FATAL);
}

static void
push_utf8(struct runner *runner, struct slice utf8)
{
	struct buf *text;

	if (text_is_plain(utf8)) {
		duk_push_lstring(runner->ctx, utf8.data, utf8.len);
		return;
	}
	text = run_scratch(runner, SCRATCH_TEXT, 2 * (size_t)RUNNER_FRAME_MAX);
	text_from_utf8(utf8, text);
	duk_push_lstring(runner->ctx, buf_slice(text).data, text->len);
	buf_fini(text);
}

static void
push_uint8array(duk_context *ctx, struct slice bytes)
{
	void *room = duk_push_fixed_buffer(ctx, bytes.len);

	if (bytes.len > 0)
		memcpy(room, bytes.data, bytes.len);
	duk_push_buffer_object(ctx, -1, 0, bytes.len, DUK_BUFOBJ_UINT8ARRAY);
	duk_remove(ctx, -2);
}

/* The prelude's object lies in the stash, which no script can reach. */
static duk_ret_t
invoke_inside(duk_context *ctx, void *udata)
{
	struct invocation *invocation = udata;
	duk_idx_t arguments = 0;

	duk_push_global_stash(ctx);
	duk_get_prop_string(ctx, -1, "sluice");
	duk_push_string(ctx, invocation->method);
	if (invocation->has_number) {
		duk_push_number(ctx, invocation->number);
		arguments++;
	}
	if (invocation->is_reply) {
		duk_push_boolean(ctx, invocation->ok);
		arguments++;
	}
	for (int i = 0; i < invocation->texts; i++) {
		push_utf8(invocation->runner, invocation->text[i]);
		arguments++;
	}
	if (invocation->is_reply) {
		push_uint8array(ctx, invocation->bytes);
		arguments++;
	}
	duk_call_prop(ctx, -2 - arguments, arguments);
	invocation->result = duk_to_boolean(ctx, -1);
	return 0;
}

/* False: the method threw; the error is on the stack, for describe(). */
static bool
invoke(struct runner *runner, struct invocation *invocation)
{
	invocation->runner = runner;
	if (duk_safe_call(runner->ctx, invoke_inside, invocation, 0, 1) != DUK_EXEC_SUCCESS)
		return false;
	duk_pop(runner->ctx);
	return true;
}

static bool
invoke_method(struct runner *runner, const char *method, bool *result)
{
	struct invocation invocation = {.method = method};
	bool ok = invoke(runner, &invocation);

	*result = invocation.result;
	return ok;
}

static void
add_utf8(duk_context *ctx, duk_idx_t idx, struct buf *out)
{
	duk_size_t len;
	const char *text = duk_safe_to_lstring(ctx, idx, &len);

	if (len > ERROR_TEXT_MAX)
		len = ERROR_TEXT_MAX;
	text_to_utf8((struct slice){text, len}, TEXT_LONE_REPLACE, out);
}

struct description {
	struct buf name, message, stack; /* UTF-8 */
};

/* [error]; reading its properties may throw anything */
static duk_ret_t
describe_inside(duk_context *ctx, void *udata)
{
	struct description *description = udata;

	if (!duk_is_object(ctx, -1)) {
		buf_add_text(&description->name, "Error");
		add_utf8(ctx, -1, &description->message);
		return 0;
	}
	duk_get_prop_string(ctx, -1, "name");
	add_utf8(ctx, -1, &description->name);
	duk_get_prop_string(ctx, -2, "message");
	add_utf8(ctx, -1, &description->message);
	duk_get_prop_string(ctx, -3, "stack");
	add_utf8(ctx, -1, &description->stack);
	return 0;
}

/* The first line, then those that are in the module's own file, as the SDK's errors have them. */
static void
write_stack(struct json_writer *w, const struct description *description, struct slice file)
{
	const char *at = buf_slice(&description->stack).data;
	const char *end = at + description->stack.len;
	int frames = 0;

	jw_key(w, "stacktrace");
	jw_array(w);
	for (bool first = true; at < end && frames < FRAMES_MAX; first = false) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		size_t len;

		if (stop == NULL)
			stop = end;
		while (at < stop && *at == ' ')
			at++;
		len = (size_t)(stop - at);
		if (first || (file.len > 0 && memmem(at, len, file.data, file.len) != NULL)) {
			jw_text_n(w, at, len);
			frames += first ? 0 : 1;
		}
		at = stop < end ? stop + 1 : end;
	}
	jw_array_end(w);
}

static void
write_error(struct buf *out, const struct description *description, struct slice file)
{
	struct json_writer w;

	jw_init(&w, out);
	jw_object(&w);
	jw_member_text(&w, "code", "script_internal_error");
	jw_key(&w, "payload");
	jw_object(&w);
	jw_key(&w, "message");
	jw_text_n(&w, buf_slice(&description->message).data, description->message.len);
	jw_key(&w, "name");
	jw_text_n(&w, buf_slice(&description->name).data, description->name.len);
	write_stack(&w, description, file);
	jw_object_end(&w);
	jw_object_end(&w);
}

static void
description_init(struct description *description)
{
	buf_init(&description->name, ERROR_TEXT_MAX * 2);
	buf_init(&description->message, ERROR_TEXT_MAX * 2);
	buf_init(&description->stack, ERROR_TEXT_MAX * 2);
}

static void
description_fini(struct description *description)
{
	buf_fini(&description->name);
	buf_fini(&description->message);
	buf_fini(&description->stack);
}

/* Takes the error off the stack and appends its error object. */
static void
describe(struct runner *runner, struct buf *out)
{
	struct description description;

	description_init(&description);
	if (duk_safe_call(runner->ctx, describe_inside, &description, 1, 1) != DUK_EXEC_SUCCESS)
		buf_add_text(&description.message, " (an error that cannot be read)");
	duk_pop(runner->ctx);
	write_error(out, &description, buf_slice(&runner->file));
	description_fini(&description);
}

void
script_error_json(struct buf *out, const char *name, const char *message)
{
	struct description description;

	description_init(&description);
	buf_add_text(&description.name, name);
	buf_add_text(&description.message, message);
	write_error(out, &description, SLICE_LITERAL(""));
	description_fini(&description);
}

static long
engine_version(duk_context *ctx)
{
	long version;

	duk_get_global_string(ctx, "Duktape");
	duk_get_prop_string(ctx, -1, "version");
	version = (long)duk_get_number(ctx, -1);
	duk_pop_2(ctx);
	return version;
}

static duk_ret_t
boot_inside(duk_context *ctx, void *udata)
{
	binding_install(ctx, udata);
	duk_push_external_buffer(ctx);
	duk_config_buffer(ctx, -1, (void *)(uintptr_t)bytecode_data, bytecode_len);
	duk_load_function(ctx);
	duk_call(ctx, 0);
	duk_pop(ctx);
	duk_push_global_stash(ctx);
	if (!duk_get_global_string(ctx, "__sluice") || !duk_is_object(ctx, -1))
		return duk_error(ctx, DUK_ERR_ERROR, "the prelude defines no __sluice");
	duk_put_prop_string(ctx, -2, "sluice");
	duk_push_global_object(ctx);
	if (!duk_del_prop_string(ctx, -1, "__sluice") || duk_has_prop_string(ctx, -1, "__host"))
		return duk_error(ctx, DUK_ERR_ERROR,
				 "the prelude leaves __sluice or __host behind");
	return 0;
}

enum sl_code
script_boot(struct runner *runner, struct sl_error *error)
{
	duk_context *ctx =
	    duk_create_heap(arena_alloc, arena_realloc, arena_free, &runner->arena, on_fatal);
	long version;

	if (ctx == NULL)
		return sl_fail(error, SL_EXHAUSTED, "no memory for the engine");
	runner->ctx = ctx;
	version = engine_version(ctx);
	if (version != bytecode_version)
		return sl_fail(error, SL_CONFLICT,
			       "the prelude was compiled for Duktape %ld, the library is %ld; "
			       "rebuild sluice-runner",
			       bytecode_version, version);
	if (duk_safe_call(ctx, boot_inside, runner, 0, 1) != DUK_EXEC_SUCCESS)
		return sl_fail(error, SL_INTERNAL, "the prelude failed: %s",
			       duk_safe_to_stacktrace(ctx, -1));
	duk_pop(ctx);
	/* Twice, for what finalizers let go; from here on the children share these pages. */
	duk_gc(ctx, 0);
	duk_gc(ctx, 0);
	return SL_OK;
}

void
script_name(struct runner *runner, struct slice file)
{
	buf_init(&runner->file, 1024);
	buf_add_slice(&runner->file, file);
}

bool
script_load(struct runner *runner, struct slice name, struct slice file, struct slice code,
	    struct buf *error_json)
{
	struct invocation load = {.method = "load", .texts = 3, .text = {code, file, name}};
	bool ignored;

	if (invoke(runner, &load) && invoke_method(runner, "drain", &ignored))
		return true;
	if (arena_refusals(&runner->arena) > 0)
		_exit(RUNNER_EXIT_MEMORY);
	describe(runner, error_json);
	return false;
}

void
script_send_done(struct runner *runner, bool ok, struct slice payload)
{
	struct frame_writer w;
	struct buf out;

	/* A run that failed after the heap was full most likely failed because of it; its own
	 * message ("alloc failed") would help nobody. */
	if (!ok && arena_refusals(&runner->arena) > 0)
		_exit(RUNNER_EXIT_MEMORY);
	buf_init(&out, RUNNER_FRAME_MAX + 4u);
	frame_begin(&w, &out, 4);
	frame_add_int(&w, RUNNER_DONE);
	frame_add_int(&w, runner->run_id);
	frame_add_bool(&w, ok);
	frame_add_bin(&w, payload.data, payload.len);
	frame_end(&w);
	if (out.over || !wire_write(SANDBOX_SOCKET, buf_slice(&out), -1))
		_exit(RUNNER_EXIT_PROTOCOL);
	buf_fini(&out);
	runner->done = true;
}

/* The prelude itself threw: its own fault, or the heap was full at a bad moment. */
static void
fail_run(struct runner *runner)
{
	struct buf json;

	if (runner->done)
		return;
	buf_init(&json, ERROR_MAX);
	describe(runner, &json);
	script_send_done(runner, false, buf_slice(&json));
	buf_fini(&json);
}

/* Runs promise jobs; then, when nothing can happen any more, says so to the run. */
static bool
settle(struct runner *runner)
{
	bool idle = false, ignored;

	if (!invoke_method(runner, "drain", &ignored))
		return false;
	if (runner->done)
		return true;
	if (!invoke_method(runner, "idle", &idle))
		return false;
	if (!idle)
		return true;
	return invoke_method(runner, "deadlock", &ignored) &&
	       invoke_method(runner, "drain", &ignored);
}

static bool
take_reply(struct runner *runner)
{
	struct invocation reply = {.method = "reply", .is_reply = true, .has_number = true};
	struct frame frame;

	/* The frame's end may still be on its way: this blocks until it is here. */
	if (wire_read(SANDBOX_SOCKET, &runner->in, &frame, NULL) != 1 ||
	    !frame_is(&frame, "iiibss") || frame.field[0].number != RUNNER_REPLY ||
	    frame.field[1].number != runner->run_id)
		_exit(RUNNER_EXIT_PROTOCOL);
	reply.number = (double)frame.field[2].number;
	reply.ok = frame.field[3].number != 0;
	reply.text[0] = frame.field[4].bytes;
	reply.texts = 1;
	reply.bytes = frame.field[5].bytes;
	return invoke(runner, &reply);
}

static bool
fire_timer(struct runner *runner)
{
	struct invocation timer = {.method = "timer", .has_number = true};

	if (!timers_take_due(&runner->timers, clock_mono_ms(), &timer.number))
		return true;
	return invoke(runner, &timer) && settle(runner);
}

/* Waits for a reply or a timer and handles at most one of each, so that neither starves. */
static bool
next_event(struct runner *runner)
{
	struct pollfd wait = {.fd = SANDBOX_SOCKET, .events = POLLIN};
	int64_t ms = timers_wait_ms(&runner->timers, clock_mono_ms());
	int ready = poll(&wait, 1, (int)ms); /* at most TIMER_MAX_MS */

	if (ready < 0 && errno != EINTR)
		_exit(RUNNER_EXIT_PROTOCOL);
	if (ready > 0 && (!take_reply(runner) || !settle(runner)))
		return false;
	return runner->done || fire_timer(runner);
}

void
script_run(struct runner *runner, struct slice kind, struct slice input, struct slice context)
{
	struct invocation run = {.method = "run", .texts = 3, .text = {kind, input, context}};
	bool ok = invoke(runner, &run) && settle(runner);

	while (ok && !runner->done)
		ok = next_event(runner);
	if (!ok)
		fail_run(runner);
}
