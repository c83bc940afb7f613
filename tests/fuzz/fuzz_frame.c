/* What a runner may send: frames one after the other, each judged as the daemon does, in the state
 * that the accepted ones lead to.  Build: clang -fsanitize=fuzzer,address,undefined. */
#include <stdlib.h>
#include <string.h>

#include "base/frame.h"
#include "runtime/channel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Touches every byte that a field claims to have. */
static void
touch(const struct frame *frame)
{
	volatile unsigned char sum = 0;

	if (frame->count > FRAME_FIELDS_MAX)
		abort();
	for (size_t i = 0; i < frame->count; i++) {
		const struct frame_field *field = &frame->field[i];

		if (field->type != FRAME_BYTES)
			continue;
		for (size_t at = 0; at < field->bytes.len; at++)
			sum ^= (unsigned char)field->bytes.data[at];
	}
	(void)sum;
}

/* Follows what pool_process.c does with an accepted frame; false: it would kill the process. */
static bool
follow(struct runner_expect *expect, const struct frame *frame)
{
	const char *why = NULL;

	if (!runner_frame_ok(expect, frame, &why)) {
		if (why == NULL)
			abort();
		return false;
	}
	switch (frame->field[0].number) {
	case RUNNER_LOADED:
		if (!expect->loading)
			abort();
		expect->loading = false;
		return frame->field[1].number != 0;
	case RUNNER_CALL:
		if (frame->field[2].number != 0) {
			if (frame->field[2].number <= expect->last_call)
				abort(); /* one id, two answers */
			expect->last_call = frame->field[2].number;
		}
		return true;
	case RUNNER_DONE:
		if (expect->run_id == 0 || frame->field[1].number != expect->run_id)
			abort();
		expect->run_id = expect->run_id < 8 ? expect->run_id + 1 : 0;
		expect->last_call = 0;
		return true;
	case RUNNER_DIED:
		return false;
	}
	abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct runner_expect expect = {.loading = true, .run_id = 1};
	struct slice rest = {(const char *)data, size};
	struct slice body;
	struct frame frame;
	bool up = false, heard = true;
	size_t used;

	while (frame_peek(rest, RUNNER_FRAME_MAX, &body, &used) == 1) {
		const char *why = NULL;
		/* The decoder may not rely on what lies behind the body. */
		char *copy = malloc(body.len);

		if (copy == NULL || used > rest.len || body.len > used)
			abort();
		memcpy(copy, body.data, body.len);
		body.data = copy;
		if (frame_decode(body, &frame, NULL) == SL_OK) {
			touch(&frame);
			heard = heard && follow(&expect, &frame);
			if (runner_control_ok(up, &frame, &why))
				up = true;
			else if (why == NULL)
				abort();
		}
		free(copy);
		rest.data += used;
		rest.len -= used;
	}
	return 0;
}
