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
texts_are_ordered_normalised_and_cased_by_icu(void)
{
	struct job job = {0};

	start();
	submit(
	    &job, 1,
	    ACTION("var list = ['z', 'Z', '\\u00e9', 'f', '10', '9', '_', '\\u0142'];"
		   "var long = new Array(400).join('\\u00e9');"
		   "return [list.sort(function (a, b) { return a.localeCompare(b); }).join(''),"
		   " ['a10', 'a9'].sort(function (a, b) {"
		   "  return a.localeCompare(b, undefined, {numeric: true}); }).join(),"
		   " 'a'.localeCompare('\\u00c1', 'en', {sensitivity: 'base'}),"
		   " '\\ufb01\\u2460'.normalize('NFKC'), '\\u00e9'.normalize('NFD').length,"
		   " long.normalize('NFD').length, long.localeCompare(long + 'a'),"
		   " '\\u0391\\u03a3'.toLowerCase(), 'i'.toLocaleUpperCase('tr'),"
		   " '\\ud801\\udc28'.toUpperCase() === '\\ud801\\udc00',"
		   " JSON.stringify('\\ud83d').length, '\\ud83d'.normalize('NFC').length,"
		   " new Date(0).toLocaleString('en-US', {timeZone: 'America/New_York'}),"
		   " new Date(1.72e12).toLocaleTimeString('en-US', {timeZone: 'Asia/Kolkata'})];"),
	    SAFE_MS);
	wait_end(&job);
	check_int(job.end, ==, RUN_OK);
	check_text(job.payload, "[\"_109\xc3\xa9"
				"f\xc5\x82zZ\",\"a9,a10\",0,\"fi1\",2,798,-1,\"\xce\xb1\xcf\x82\","
				"\"\xc4\xb0\",true,8,1,\"12/31/1969, 7:00:00 PM\",\"3:16:40 PM\"]");
	stop();
}

/* Three entries: d/, d/a.csv (deflated, 88 bytes), b.txt (stored). */
static const char archive[] =
    "UEsDBBQAAAAAAI9SJVgAAAAAAAAAAAAAAAACAAAAZC9QSwMEFAAAAAgAj1IlWEmaa70PAAAAWAAAAAcA"
    "AABkL2EuY3N2y0zRyUvMTeUy1KmgKgYAUEsDBBQAAAAAAI9SJVjPYiAZBQAAAAUAAAAFAAAAYi50eHRw"
    "bGFpblBLAQIUAxQAAAAAAI9SJVgAAAAAAAAAAAAAAAACAAAAAAAAAAAAAACAAQAAAABkL1BLAQIUAxQA"
    "AAAIAI9SJVhJmmu9DwAAAFgAAAAHAAAAAAAAAAAAAACAASAAAABkL2EuY3N2UEsBAhQDFAAAAAAAj1Il"
    "WM9iIBkFAAAABQAAAAUAAAAAAAAAAAAAAIABVAAAAGIudHh0UEsFBgAAAAADAAMAmAAAAHwAAAAAAA==";

static void
an_archive_is_read_in_memory(void)
{
	static const char code[] = ACTION(
	    "var b = Buffer.from(input, 'base64'), at = b.indexOf('d/a.csv', b.lastIndexOf('d/a.csv')) - 46;"
	    "return require('unzipper').Open.buffer(b).then(function (zip) {"
	    " return Promise.all(zip.files.map(function (f) { return f.buffer().then(function (d) {"
	    "  return [f.path, f.type, f.compressedSize < f.uncompressedSize, d.length, d.toString().slice(0, 9),"
	    "   f.lastModifiedDateTime.toISOString()]; }); }));"
	    "}).then(function (out) { b.writeUInt32LE(2000000000, at + 24);"
	    " return require('unzipper').Open.buffer(b).then(function (zip) { return zip.files[1].buffer(); })"
	    " .then(function () { return 'read'; }, function (e) { out.push(e.message); return out; }); });");
	char input[1024];
	struct job job = {0};

	snprintf(input, sizeof(input), "\"%s\"", archive);
	start();
	check_int(try_submit(&job, 1, 1, code, input, SAFE_MS), ==, SL_OK);
	wait_end(&job);
	check_text(
	    job.payload,
	    "[[\"d/\",\"Directory\",false,0,\"\",\"2024-01-05T10:20:30.000Z\"],"
	    "[\"d/a.csv\",\"File\",true,88,\"id,name\\n1\",\"2024-01-05T10:20:30.000Z\"],"
	    "[\"b.txt\",\"File\",false,5,\"plain\",\"2024-01-05T10:20:30.000Z\"],\"the compressed data is damaged\"]");
	stop();
}

static void
numbers_are_read_and_printed_as_the_standard_has_it(void)
{
	struct job job;

	start();
	job = run_code(
	    1,
	    ACTION(
		"return [Number('9007199254740993'), parseFloat(' 9007199254740993.0x'),"
		" parseInt('9007199254740993', 10), Number(' -12.5e1 '), Number('0x1F'), String(parseFloat('0x1234567890123456')),"
		" parseInt('0x1f'), parseInt('12px'), parseInt('z', 36), new Number(5) + 1,"
		" new Number(7) instanceof Number, Number.MAX_SAFE_INTEGER, Number.isInteger(5), Number.parseFloat === parseFloat,"
		" String(Number('9007199254740993 x')), (1e21).toString(36), (0.1).toString(3), (-255.5).toString(16),"
		" (2.5).toFixed(0), (1.005).toFixed(2), (-2.5).toFixed(0), (123.456).toFixed(25), (-0).toFixed(1), (1e21).toFixed(2),"
		" Math.round(9007199254740991), Math.round(0.49999999999999994), Math.cbrt(27), Math.cbrt(2)];"),
	    SAFE_MS);
	check_text(
	    job.payload,
	    "[9007199254740992,9007199254740992,9007199254740992,-125,31,\"0\",31,12,35,6,true,9007199254740"
	    "991,true,true,\"NaN\",\"5v1j4f4ds7c000\",\"0.0022002200220022002200220022002201\",\"-ff.8\",\"3\",\"1.00\",\"-3\",\"123.4560000000000030695446185\",\"0.0\",\"1e+21\",9007199254740991,0,3,1.2599210498948732]");
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

/* Runs code three times on one process; each output must be the same. */
static void
check_each_run_says(const char *code, const char *payload)
{
	start();
	for (int i = 0; i < 3; i++) {
		struct job job = run_code(1, code, SAFE_MS);

		check_int(job.end, ==, RUN_OK);
		check_text(job.payload, payload);
	}
	stop();
}

static void
globals_of_a_run_are_gone_in_the_next(void)
{
	check_each_run_says(ACTION("var seen = [typeof globalThis.mine, typeof Map, typeof JSON.x];"
				   "globalThis.mine = 1; delete globalThis.Map; JSON.x = 1;"
				   "return seen;"),
			    "[\"undefined\",\"function\",\"undefined\"]");
}

static void
prototypes_that_a_run_changed_are_as_before_in_the_next(void)
{
	check_each_run_says(
	    ACTION("var seen = ['x' in {}, [3].map(String)[0], Promise.prototype.then.name,"
		   " typeof Error.prototype.y, Object.isFrozen(Array.prototype)];"
		   "Object.prototype.x = 1; Array.prototype.map = function () { return 'bad'; };"
		   "Error.prototype.y = 1; Object.freeze(Array.prototype); return seen;"),
	    "[false,\"3\",\"then\",\"undefined\",false]");
}

static void
module_variables_are_as_loaded_in_each_run(void)
{
	check_each_run_says(
	    "var n = 0, list = [], map = new Map();" ACTION(
		"n++; list.push(n); map.set(n, n); definition = 7;"
		"exports.default.exec.count = (exports.default.exec.count || 0) + 1;"
		"return [n, list.length, map.size, exports.default.exec.count];"),
	    "[1,1,1,1]");
}

static void
zod_registries_of_a_run_are_empty_in_the_next(void)
{
	check_each_run_says(
	    "var z = require('zod'); var S = z.object({a: z.string()});" ACTION(
		"var seen = [z.globalRegistry.has(S), S.safeParse({a: 1}).success,"
		" z.config().customError === undefined];"
		"z.globalRegistry.add(S, {id: 'left'}); z.config({customError: function () {"
		" return 'left'; }}); S.safeParse = function () { return {success: true}; };"
		"return seen;"),
	    "[false,false,true]");
}

static void
random_numbers_do_not_repeat_from_run_to_run(void)
{
	static const char code[] =
	    "var crypto = require('crypto'); var early = Math.random();" ACTION(
		"return [Math.random(), Math.random(), crypto.randomUUID()];");
	char seen[8][128];

	start();
	for (int i = 0; i < 8; i++) {
		copy(seen[i], sizeof(seen[i]), slice_text(run_code(1, code, SAFE_MS).payload));
		check(strlen(seen[i]) > 50);
		for (int before = 0; before < i; before++)
			check(strcmp(seen[i], seen[before]) != 0);
	}
	stop();
}

static void
timers_of_a_run_never_fire_in_the_next(void)
{
	static const char code[] = ACTION(
	    "if (input.leave) { setTimeout(function () { nango.log('late'); }, 30);"
	    " setInterval(function () { nango.log('late'); }, 10); return 'left'; }"
	    "return new Promise(function (ok) { setTimeout(function () { ok('clean'); }, 80); });");
	struct job job = {0};

	start();
	for (int i = 0; i < 2; i++) {
		check_int(try_submit(&job, 1, 1, code, "{\"leave\":true}", SAFE_MS), ==, SL_OK);
		wait_end(&job);
		check_text(job.payload, "\"left\"");
		pass_ms(20);
		check_int(try_submit(&job, 1, 1, code, "{}", SAFE_MS), ==, SL_OK);
		wait_end(&job);
		check_text(job.payload, "\"clean\"");
	}
	check_int(job.calls, ==, 0);
	stop();
}

static void
promises_that_a_run_left_pending_never_settle_in_the_next(void)
{
	static const char code[] = "var waiting = []; var late = 0;" ACTION(
	    "waiting.push(nango.get({endpoint: '/a'}).then(function () { late++; }, function () {"
	    " late++; })); Promise.resolve().then(function () { late = late; });"
	    "return [waiting.length, late];");
	struct job job = {0};

	start();
	for (int i = 0; i < 3; i++) {
		job = (struct job){0};
		submit(&job, 1, code, SAFE_MS);
		wait_end(&job); /* its call stays without an answer */
		check_int(job.end, ==, RUN_OK);
		check_int(job.calls, ==, 1);
		check_text(job.payload, "[1,0]");
	}
	stop();
}

static void
what_a_module_left_waiting_is_waiting_in_each_run(void)
{
	check_each_run_says("var n = 0; setTimeout(function () { n++; }, 1);" ACTION(
				"return new Promise(function (ok) { setTimeout(function () { ok(n);"
				" }, 20); });"),
			    "1");
}

static void
a_failed_run_leaves_nothing_behind_either(void)
{
	static const char code[] = "var n = 0;" ACTION("globalThis.left = n++; if (input.fail)"
						       " throw new Error('n ' + n); return n;");
	struct job job = {0};

	start();
	for (int i = 0; i < 3; i++) {
		check_int(try_submit(&job, 1, 1, code, "{\"fail\":1}", SAFE_MS), ==, SL_OK);
		wait_end(&job);
		check_int(job.end, ==, RUN_ERROR);
		check(strstr(job.payload, "\"message\":\"n 1\"") != NULL);
	}
	check_int(try_submit(&job, 1, 1, code, "{}", SAFE_MS), ==, SL_OK);
	wait_end(&job);
	check_text(job.payload, "1");
	stop();
}

static void
each_run_has_the_whole_heap_to_itself(void)
{
	/* Two thirds of the cap each time, and cycles, which no reference count frees. */
	check_each_run_says(ACTION("var all = []; for (var i = 0; i < 10; i++) { var o = {b: new"
				   " Uint8Array(4 << 20)}; o.o = o; all.push(o); } return"
				   " all.length;"),
			    "10");
}

static void
the_cpu_limit_is_of_a_run_and_not_of_its_process(void)
{
	static const char code[] = "var at = Date.now();" ACTION(
	    "var t = Date.now(); while (Date.now() - t < 400) {} return Date.now() - at > 300;");
	struct pool_settings with = settings();

	with.heap_bytes = 64 << 20;
	with.cpu_ms = 1000;
	start_with(with);
	for (int i = 0; i < 4; i++)
		check_int(run_code(1, code, SAFE_MS).end, ==, RUN_OK);
	check_int(run_code(2, ACTION("for (;;) {}"), SAFE_MS).end, ==, RUN_TIMEOUT);
	stop();
}

static void
a_run_after_one_that_was_killed_is_not_disturbed(void)
{
	static const char code[] = "var n = 0;" ACTION(
	    "n++; if (input.bad === 'memory') for (var a = [];;) a.push({n: 1});"
	    "if (input.bad === 'loop') for (;;) {} return n;");
	/* Only the loop waits for its deadline; to fill the heap takes as long as the machine wants. */
	static const struct {
		const char *input;
		int64_t deadline_ms;
		enum run_end end;
	} bad[] = {{"{\"bad\":\"memory\"}", SAFE_MS, RUN_MEMORY},
		   {"{\"bad\":\"loop\"}", 1500, RUN_TIMEOUT}};
	struct job job = {0};

	start();
	for (int i = 0; i < 2; i++) {
		check_int(try_submit(&job, 1, 1, code, bad[i].input, bad[i].deadline_ms), ==,
			  SL_OK);
		wait_end(&job);
		check_int(job.end, ==, bad[i].end);
		check_int(try_submit(&job, 1, 1, code, "{}", SAFE_MS), ==, SL_OK);
		wait_end(&job);
		check_text(job.payload, "1");
	}
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

static void
run_all(void)
{
	CHECK_RUN(an_action_returns_its_input);
	CHECK_RUN(a_request_goes_out_by_a_call_and_its_answer_comes_back);
	CHECK_RUN(texts_are_ordered_normalised_and_cased_by_icu);
	CHECK_RUN(an_archive_is_read_in_memory);
	CHECK_RUN(numbers_are_read_and_printed_as_the_standard_has_it);
	CHECK_RUN(zod_parses_and_refuses);
	CHECK_RUN(a_thrown_error_has_the_shape_of_the_wire);
	CHECK_RUN(a_promise_that_nothing_can_settle_is_a_deadlock);
	CHECK_RUN(timers_and_promises_work_together);
	CHECK_RUN(no_run_sees_another_ones_changes_or_random_numbers);
	CHECK_RUN(globals_of_a_run_are_gone_in_the_next);
	CHECK_RUN(prototypes_that_a_run_changed_are_as_before_in_the_next);
	CHECK_RUN(module_variables_are_as_loaded_in_each_run);
	CHECK_RUN(zod_registries_of_a_run_are_empty_in_the_next);
	CHECK_RUN(random_numbers_do_not_repeat_from_run_to_run);
	CHECK_RUN(timers_of_a_run_never_fire_in_the_next);
	CHECK_RUN(promises_that_a_run_left_pending_never_settle_in_the_next);
	CHECK_RUN(what_a_module_left_waiting_is_waiting_in_each_run);
	CHECK_RUN(a_failed_run_leaves_nothing_behind_either);
	CHECK_RUN(each_run_has_the_whole_heap_to_itself);
	CHECK_RUN(the_cpu_limit_is_of_a_run_and_not_of_its_process);
	CHECK_RUN(a_run_after_one_that_was_killed_is_not_disturbed);
	CHECK_RUN(the_engine_and_the_host_are_out_of_a_functions_reach);
	CHECK_RUN(memory_and_loops_are_bounded_with_the_real_prelude_too);
}

int
main(int argc, char **argv)
{
	runner_path = argc > 1 ? argv[1] : getenv("SLUICE_TEST_RUNNER");
	if (runner_path == NULL)
		runner_path = "./sluice-runner";
	log_set_level(LOG_LEVEL_ERROR);
	for (isolation = POOL_SNAPSHOT; isolation <= POOL_FORK; isolation++) {
		printf("# %s\n", isolation == POOL_FORK ? "forks" : "snapshots");
		run_all();
	}
	return check_done();
}
