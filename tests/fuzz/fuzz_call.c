/* What the daemon reads of a runner's CALL: its frame, then its description, JSON that a function
 * may have made up, by the same calls as daemon/worker/host.c.  Beside that the reader of JSON
 * itself: what it hands out lies in the text, and written anew it is taken again.
 * Build: dev/check fuzz, or CONTRIBUTING.md for clang's -fsanitize=fuzzer. */
#include <stdlib.h>
#include <string.h>

#include "base/frame.h"
#include "base/json.h"
#include "runtime/channel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define COPY_MAX (1u << 20)

static void
must(bool condition)
{
	if (!condition)
		abort();
}

static void
check_inside(struct slice text, struct slice part)
{
	must(part.data >= text.data && part.data + part.len <= text.data + text.len);
}

static void
check_text(struct json_value value)
{
	size_t len = 0;
	char *with = json_text(value, &len), *without = json_text(value, NULL);

	must((with != NULL) == (value.type == JSON_TEXT));
	must(with == NULL || with[len] == '\0');
	must(without == NULL || (with != NULL && strlen(without) == len));
	must(with == NULL || without != NULL || memchr(with, '\0', len) != NULL);
	free(with);
	free(without);
}

/* Some name was written with U+FFFD: lone surrogates differ in the text, and are the same then. */
static bool names_may_meet;

/* Visits everything and writes it to out; depth is bounded by the checker. */
static void
walk(struct slice text, struct json_value value, struct json_writer *w)
{
	struct json_iter it;
	int64_t number;

	check_inside(text, value.raw);
	check_text(value);
	(void)json_int(value, &number);
	(void)json_is_yes(value);
	if (value.type != JSON_OBJECT_ && value.type != JSON_ARRAY_) {
		jw_raw(w, value.raw);
		return;
	}
	if (value.type == JSON_OBJECT_)
		jw_object(w);
	else
		jw_array(w);
	json_iter_init(&it, value);
	while (json_iter_next(&it)) {
		must((it.key != NULL) == (value.type == JSON_OBJECT_));
		if (it.key != NULL) {
			check_inside(text, it.raw_key);
			must(it.key[it.key_len] == '\0');
			if (memmem(it.key, it.key_len, "\xEF\xBF\xBD", 3) != NULL)
				names_may_meet = true;
			jw_key_n(w, it.key, it.key_len);
		}
		walk(text, it.value, w);
	}
	json_iter_fini(&it);
	if (value.type == JSON_OBJECT_)
		jw_object_end(w);
	else
		jw_array_end(w);
}

static void
read_codes(struct json_value list)
{
	struct json_iter it;

	json_iter_init(&it, list);
	while (json_iter_next(&it)) {
		int64_t code;

		(void)json_int(it.value, &code);
	}
	json_iter_fini(&it);
}

static void
read_meta(struct slice meta)
{
	static const char *const members[] = {
	    "method",      "endpoint", "baseUrlOverride",   "params",
	    "headers",     "retries",  "retryOn",           "level",
	    "retryHeader", "message",  "providerConfigKey", "metadata",
	    "connectionId"};
	struct json_value value, again;
	struct json_writer w;
	struct buf out;

	if (json_check(meta, &value, NULL) != SL_OK)
		return;
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		check_text(json_get(value, members[i]));
	check_text(json_get(json_get(value, "retryHeader"), "at"));
	check_text(json_path(value, "headers.0.x"));
	if (json_get(value, "retryOn").type == JSON_ARRAY_)
		read_codes(json_get(value, "retryOn"));
	buf_init(&out, COPY_MAX);
	jw_init(&w, &out);
	names_may_meet = false;
	walk(meta, value, &w);
	if (!out.over && !names_may_meet) {
		must(json_check(buf_slice(&out), &again, NULL) == SL_OK);
		must(again.type == value.type);
	}
	buf_fini(&out);
}

static void
read_frames(struct slice rest)
{
	struct runner_expect expect = {.run_id = 1};
	struct slice body;
	struct frame frame;
	const char *why;
	size_t used;

	while (frame_peek(rest, RUNNER_FRAME_MAX, &body, &used) == 1) {
		if (frame_decode(body, &frame, NULL) != SL_OK ||
		    !runner_frame_ok(&expect, &frame, &why))
			return;
		if (frame.field[0].number == RUNNER_CALL)
			read_meta(frame.field[4].bytes);
		rest.data += used;
		rest.len -= used;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = {(const char *)data, size};

	/* A frame is a lucky find for one that knows no msgpack: most inputs are its JSON alone. */
	read_frames(bytes);
	read_meta(bytes);
	return 0;
}
