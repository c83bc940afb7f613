/* The pool, the runner and the prelude together: functions as the compiler hands them over.  The
 * runner is argv[1], SLUICE_TEST_RUNNER or ./sluice-runner. */
#include "tests/lib/check.h"
#include "tests/unit/test_runtime_rig.h"

#define ACTION(body) "exports.default = {type: 'action', exec: function (nango, input) {" body "}};"
#define GRIN "\xf0\x9f\x98\x80"

static void
start(void)
{
	struct pool_settings with = settings();

	with.heap_bytes = 64 << 20;
	start_with(with);
}

static void
an_action_returns_its_input(void)
{
	struct job job = {0};

	start();
	check_int(try_submit(&job, 1, 1, ACTION("return {ok: true, input: input};"),
			     "{\"a\":\"" GRIN "\",\"lone\":\"\\ud83d\"}", SAFE_MS),
		  ==, SL_OK);
	wait_end(&job);
	check_int(job.end, ==, RUN_OK);
	check_text(job.payload,
		   "{\"ok\":true,\"input\":{\"a\":\"" GRIN "\",\"lone\":\"\\ud83d\"}}");
	stop();
}

static void
a_request_goes_out_by_a_call_and_its_answer_comes_back(void)
{
	struct job job = {0};

	start();
	submit(&job, 1,
	       ACTION("return nango.get({endpoint: '/" GRIN "'}).then(function (r) {"
		      " return [r.status, r.data.name]; });"),
	       SAFE_MS);
	wait_calls(&job, 1);
	check_text(job.op, "http");
	check(strstr(job.meta, "\"endpoint\":\"/" GRIN "\"") != NULL);
	run_reply(job.run, job.call_id, true,
		  SLICE_LITERAL("{\"status\":200,\"statusText\":\"OK\",\"headers\":"
				"{\"content-type\":\"application/json\"}}"),
		  SLICE_LITERAL("{\"name\":\"gr\xc3\xbc\xc3\x9f " GRIN "\"}"));
	wait_end(&job);
	check_int(job.end, ==, RUN_OK);
	check_text(job.payload, "[200,\"gr\xc3\xbc\xc3\x9f " GRIN "\"]");
	stop();
}

static void
zod_parses_and_refuses(void)
{
	struct job job;

	start();
	job = run_code(1,
		       "var z = require('zod'); var I = z.object({a: z.string()});" ACTION(
			   "return [I.safeParse({a: 'x'}).success, I.safeParse({a: 1}).success];"),
		       SAFE_MS);
	check_int(job.end, ==, RUN_OK);
	check_text(job.payload, "[true,false]");
	stop();
}

static void
a_thrown_error_has_the_shape_of_the_wire(void)
{
	struct job job;

	start();
	job = run_code(1, ACTION("throw new Error('boom " GRIN "');"), SAFE_MS);
	check_int(job.end, ==, RUN_ERROR);
	check(strstr(job.payload, "\"code\":\"script_internal_error\"") != NULL);
	check(strstr(job.payload, "\"message\":\"boom " GRIN "\"") != NULL);
	check(strstr(job.payload, "test-unit.cjs") != NULL);
	stop();
}

static void
a_promise_that_nothing_can_settle_is_a_deadlock(void)
{
	struct job job;

	start();
	job = run_code(1, ACTION("return new Promise(function () {});"), SAFE_MS);
	check_int(job.end, ==, RUN_ERROR);
	check(strstr(job.payload, "deadlock") != NULL);
	stop();
}

static void
timers_and_promises_work_together(void)
{
	struct job job;

	start();
	job = run_code(1,
		       ACTION("return new Promise(function (ok) { setTimeout(function () {"
			      " Promise.resolve('late').then(ok); }, 20); });"),
		       SAFE_MS);
	check_int(job.end, ==, RUN_OK);
	check_text(job.payload, "\"late\"");
	stop();
}

static void
no_run_sees_another_ones_changes_or_random_numbers(void)
{
	static const char code[] = "var n = 0;" ACTION(
	    "n++; var seen = [n, typeof Object.prototype.x]; Object.prototype.x = 1;"
	    "return seen.concat(Math.random());");
	char first[64];
	struct job job;

	start();
	job = run_code(1, code, SAFE_MS);
	check(strncmp(job.payload, "[1,\"undefined\",", 15) == 0);
	copy(first, sizeof(first), slice_text(job.payload));
	job = run_code(1, code, SAFE_MS);
	check(strncmp(job.payload, "[1,\"undefined\",", 15) == 0);
	check(strcmp(job.payload, first) != 0);
	stop();
}

static void
the_engine_and_the_host_are_out_of_a_functions_reach(void)
{
	struct job job;

	start();
	job = run_code(1, ACTION("return [typeof __host, typeof __sluice];"), SAFE_MS);
	check_text(job.payload, "[\"undefined\",\"undefined\"]");
	stop();
}

static void
memory_and_loops_are_bounded_with_the_real_prelude_too(void)
{
	struct job job;

	start();
	job = run_code(1, ACTION("for (var a = [];;) a.push({n: a.length});"), SAFE_MS);
	check_int(job.end, ==, RUN_MEMORY);
	job = run_code(2, ACTION("for (;;) {}"), 300);
	check_int(job.end, ==, RUN_TIMEOUT);
	job = run_code(3, ACTION("function f(n) { return f(n + 1) + 1; } return f(0);"), SAFE_MS);
	check_int(job.end, ==, RUN_ERROR);
	check(strstr(job.payload, "RangeError") != NULL);
	stop();
}

int
main(int argc, char **argv)
{
	runner_path = argc > 1 ? argv[1] : getenv("SLUICE_TEST_RUNNER");
	if (runner_path == NULL)
		runner_path = "./sluice-runner";
	log_set_level(LOG_LEVEL_ERROR);
	CHECK_RUN(an_action_returns_its_input);
	CHECK_RUN(a_request_goes_out_by_a_call_and_its_answer_comes_back);
	CHECK_RUN(zod_parses_and_refuses);
	CHECK_RUN(a_thrown_error_has_the_shape_of_the_wire);
	CHECK_RUN(a_promise_that_nothing_can_settle_is_a_deadlock);
	CHECK_RUN(timers_and_promises_work_together);
	CHECK_RUN(no_run_sees_another_ones_changes_or_random_numbers);
	CHECK_RUN(the_engine_and_the_host_are_out_of_a_functions_reach);
	CHECK_RUN(memory_and_loops_are_bounded_with_the_real_prelude_too);
	return check_done();
}
