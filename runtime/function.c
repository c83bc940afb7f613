#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/frame.h"
#include "runtime/channel.h"
#include "runtime/runner.h"
#include "runtime/wire.h"

#define ERROR_MAX 65536 /* bytes of the error object of LOADED */

/* Own process group, so that the zygote can end whatever comes from here; its socket and, until it
 * is frozen, its memfd; the second filter. */
static void
enter(struct runner *runner, int socket)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != runner->self ||
	    setpgid(0, 0) != 0)
		_exit(RUNNER_EXIT_SETUP);
	if (socket != SANDBOX_SOCKET && dup2(socket, SANDBOX_SOCKET) != SANDBOX_SOCKET)
		_exit(RUNNER_EXIT_SETUP);
	run_prepare(runner);
	if (runner->memory >= 0 && runner->memory != SANDBOX_MEMORY &&
	    dup2(runner->memory, SANDBOX_MEMORY) != SANDBOX_MEMORY)
		_exit(RUNNER_EXIT_SETUP);
	if (runner->memory >= 0)
		runner->memory = SANDBOX_MEMORY;
	if (close_range(0, SANDBOX_SOCKET - 1, 0) != 0 ||
	    close_range(runner->memory >= 0 ? SANDBOX_MEMORY + 1 : SANDBOX_SOCKET + 1, ~0u, 0) != 0)
		_exit(RUNNER_EXIT_SETUP);
	runner->self = getpid();
	if (sandbox_enter(&runner->sandbox,
			  runner->by_snapshot ? SANDBOX_LOAD : SANDBOX_FUNCTION) != 0)
		_exit(RUNNER_EXIT_SETUP);
}

static void
send_frame(struct buf *out)
{
	if (out->over || !wire_write(SANDBOX_SOCKET, buf_slice(out), -1))
		_exit(RUNNER_EXIT_PROTOCOL);
	buf_fini(out);
}

/* A frozen heap has the module already: its code is not looked at again. */
static bool
load_module(struct runner *runner, const struct frame *frame, bool frozen, struct buf *error_json)
{
	bool ok = true;

	script_name(runner, frame->field[3].bytes);
	if (frozen) {
		run_adopt(runner);
	} else {
		ok = script_load(runner, frame->field[2].bytes, frame->field[3].bytes,
				 frame->field[4].bytes, error_json);
		if (ok)
			run_freeze(runner);
	}
	return ok;
}

static void
load(struct runner *runner, bool frozen)
{
	struct frame frame;
	struct buf error_json, out;
	struct frame_writer w;
	bool ok;
	int rc = wire_read(SANDBOX_SOCKET, &runner->in, &frame, NULL);

	if (rc == 0)
		_exit(RUNNER_EXIT_OK);
	if (rc < 0 || !frame_is(&frame, "iisss") || frame.field[0].number != RUNNER_LOAD)
		_exit(RUNNER_EXIT_PROTOCOL);
	buf_init(&error_json, ERROR_MAX);
	ok = load_module(runner, &frame, frozen, &error_json);
	if (runner->by_snapshot && sandbox_enter(&runner->sandbox, SANDBOX_SERVE) != 0)
		_exit(RUNNER_EXIT_SETUP);
	buf_init(&out, RUNNER_FRAME_MAX);
	frame_begin(&w, &out, 3);
	frame_add_int(&w, RUNNER_LOADED);
	frame_add_bool(&w, ok);
	frame_add_bin(&w, buf_slice(&error_json).data, error_json.len);
	frame_end(&w);
	buf_fini(&error_json);
	send_frame(&out);
	if (!ok)
		_exit(RUNNER_EXIT_OK);
}

static void
run(struct runner *runner, const struct frame *frame)
{
	struct run_outcome outcome = {.reason = NULL};
	struct frame_writer w;
	struct buf out;

	runner->run_id = frame->field[1].number;
	runner->done = false;
	if (run_begin(runner, frame->field[5].number, &outcome) == RUN_INSIDE) {
		script_run(runner, frame->field[2].bytes, frame->field[3].bytes,
			   frame->field[4].bytes);
		run_end(runner);
	}
	if (outcome.reason == NULL)
		return;
	buf_init(&out, RUNNER_FRAME_MAX);
	frame_begin(&w, &out, 4);
	frame_add_int(&w, RUNNER_DIED);
	frame_add_int(&w, runner->run_id);
	frame_add_text(&w, outcome.reason);
	frame_add_int(&w, outcome.detail);
	frame_end(&w);
	send_frame(&out);
}

void
function_serve(struct runner *runner, int socket, bool frozen)
{
	enter(runner, socket);
	load(runner, frozen && runner->by_snapshot);
	for (;;) {
		struct frame frame;
		int rc = wire_read(SANDBOX_SOCKET, &runner->in, &frame, NULL);

		if (rc == 0)
			_exit(RUNNER_EXIT_OK);
		if (rc < 0)
			_exit(RUNNER_EXIT_PROTOCOL);
		/* The answer to a call of a run that has ended meanwhile. */
		if (frame_is(&frame, "iiibss") && frame.field[0].number == RUNNER_REPLY)
			continue;
		if (!frame_is(&frame, "iisssi") || frame.field[0].number != RUNNER_RUN ||
		    frame.field[1].number <= 0 || frame.field[5].number <= 0)
			_exit(RUNNER_EXIT_PROTOCOL);
		run(runner, &frame);
	}
}
