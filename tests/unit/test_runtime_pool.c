/* The pool against sluice-runner-mini (argv[1], SLUICE_TEST_RUNNER_MINI or ./sluice-runner-mini):
 * the real runner with fixtures/mini_prelude.js for a prelude; and against itself as a runner that
 * breaks the protocol. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/frame.h"
#include "runtime/channel.h"
#include "runtime/wire.h"
#include "tests/lib/check.h"
#include "tests/unit/test_runtime_rig.h"

static int count_children(pid_t parent, pid_t *child);

/* A failed test leaves its pool behind, and runs whose jobs are gone: only the processes can go. */
static void
clean_up(void)
{
	pid_t child;

	pool = NULL;
	while (count_children(getpid(), &child) > 0 && kill(child, SIGKILL) == 0)
		waitpid(child, NULL, 0);
}

static void
begin_with(struct pool_settings with)
{
	if (pool != NULL)
		clean_up();
	start_with(with);
}

static void
begin(void)
{
	begin_with(settings());
}

/* The parent of a process and whether it lives, from /proc; false: no such process. */
static bool
parent_of(pid_t pid, pid_t *parent)
{
	char path[64], line[512], state;
	FILE *file;
	char *after;
	bool ok = false;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "r");
	if (file == NULL)
		return false;
	if (fgets(line, sizeof(line), file) != NULL && (after = strrchr(line, ')')) != NULL)
		ok = sscanf(after, ") %c %d", &state, parent) == 2 && state != 'Z';
	fclose(file);
	return ok;
}

/* Children of parent; the first in *child (0: none). */
static int
count_children(pid_t parent, pid_t *child)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int count = 0;

	*child = 0;
	check(proc != NULL);
	while ((entry = readdir(proc)) != NULL) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10), of;

		if (pid > 0 && parent_of(pid, &of) && of == parent) {
			*child = pid;
			count++;
		}
	}
	closedir(proc);
	return count;
}

static pid_t
zygote_pid(void)
{
	pid_t child;

	check_int(count_children(getpid(), &child), ==, 1);
	return child;
}

/* The process that executes the run of a function process. */
static pid_t
run_of(pid_t function)
{
	pid_t run;
	int count = count_children(function, &run);

	if (isolation == POOL_SNAPSHOT) {
		check_int(count, ==, 0);
		return function;
	}
	check_int(count, ==, 1);
	return run;
}

static const char echo[] = "exports.run = function (h, i) { h.done(i); }";
static const char forever[] = "exports.run = function (h) { for (;;) {} }";
static const char busy[] = "exports.run = function (h) { h.call('log', {}); for (;;) {} }";
static const char calls[] =
    "exports.run = function (h) { h.call('http', {a: 1}, undefined, function () { h.done(1); }); }";
static const char token[] = "var t = host.raw.hex(host.raw.random(8));"
			    "exports.run = function (h) { h.done(t); }";

static void
a_run_returns_its_output_in_utf8(void)
{
	struct job job = {0};

	begin();
	check_int(try_submit(&job, 1, 1, echo, "{\"a\":\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\"}",
			     SAFE_MS),
		  ==, SL_OK);
	check_int(pool_running(pool), ==, 1);
	wait_end(&job);
	check_int(job.end, ==, RUN_OK);
	check_text(job.payload, "{\"a\":\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\"}");
	check_int(pool_running(pool), ==, 0);
	stop();
}

static void
an_undefined_output_is_empty_and_a_lone_surrogate_stays_escaped(void)
{
	struct job job;

	begin();
	job = run_code(1, "exports.run = function (h) { h.done(); }", SAFE_MS);
	check_int(job.end, ==, RUN_OK);
	check_text(job.payload, "");
	job = run_code(2, "exports.run = function (h) { h.done('\\ud83d!'); }", SAFE_MS);
	check_text(job.payload, "\"\\ud83d!\"");
	stop();
}

static void
a_call_is_answered_with_bytes(void)
{
	struct job job = {0};

	begin();
	submit(
	    &job, 1,
	    "exports.run = function (h) { h.call('http', {path: '/\xf0\x9f\x98\x80'}, 'b\xc3\xbc',"
	    " function (ok, meta, body) { h.done([ok, meta.status, h.raw.hex(body)]); }); }",
	    SAFE_MS);
	wait_calls(&job, 1);
	check_text(job.op, "http");
	check_text(job.meta, "{\"path\":\"/\xf0\x9f\x98\x80\"}");
	check_text(job.body, "b\xc3\xbc");
	run_reply(job.run, job.call_id, true, SLICE_LITERAL("{\"status\":200}"),
		  SLICE_LITERAL("\x00\xff\x01"));
	wait_end(&job);
	check_text(job.payload, "[true,200,\"00ff01\"]");
	stop();
}

static void
a_hundred_calls_at_once_are_all_answered(void)
{
	struct job job = {.answer = true};

	begin();
	submit(&job, 1,
	       "exports.run = function (h) { var n = 0; for (var i = 0; i < 100; i++)"
	       " h.call('http', {}, undefined, function () { if (++n === 100) h.done(n); });"
	       " h.call('log', {}); }",
	       SAFE_MS);
	wait_end(&job);
	check_text(job.payload, "100");
	check_int(job.calls, ==, 101);
	stop();
}

static void
timers_fire_in_order(void)
{
	struct job job;

	begin();
	job = run_code(1,
		       "exports.run = function (h) { var s = '';"
		       " h.after(30, function () { h.done(s + 'c'); });"
		       " h.after(10, function () { s += 'b'; });"
		       " h.after(10, function () { s += 'B'; });"
		       " h.cancel(h.after(1, function () { s += 'x'; }));"
		       " h.after(0, function () { s += 'a'; }); }",
		       SAFE_MS);
	check_text(job.payload, "\"abBc\"");
	stop();
}

static void
a_thrown_error_ends_as_an_error_object(void)
{
	struct job job;

	begin();
	job = run_code(1, "exports.run = function () { throw new TypeError('boom'); }", SAFE_MS);
	check_int(job.end, ==, RUN_ERROR);
	check_text(job.payload, "{\"code\":\"script_internal_error\",\"payload\":{\"message\":"
				"\"boom\",\"name\":\"TypeError\"}}");
	stop();
}

static void
a_module_that_cannot_load_fails_its_run_and_nothing_else(void)
{
	struct job job;

	begin();
	job = run_code(1, "throw new RangeError('no \xf0\x9f\x98\x80');", SAFE_MS);
	check_int(job.end, ==, RUN_ERROR);
	check(strstr(job.payload, "\"message\":\"no \xf0\x9f\x98\x80\",\"name\":\"RangeError\"") !=
	      NULL);
	job = run_code(1, "exports.run = (", SAFE_MS);
	check_int(job.end, ==, RUN_ERROR);
	check(strstr(job.payload, "SyntaxError") != NULL);
	job = run_code(2, echo, SAFE_MS);
	check_int(job.end, ==, RUN_OK);
	stop();
}

static void
nothing_left_to_wait_for_is_a_deadlock(void)
{
	struct job job;

	begin();
	job = run_code(1, "exports.run = function () {}", SAFE_MS);
	check_int(job.end, ==, RUN_ERROR);
	check(strstr(job.payload, "deadlock") != NULL);
	stop();
}

static void
an_endless_loop_ends_at_its_deadline(void)
{
	struct job job;
	int64_t began;

	begin();
	check_int(run_code(2, echo, SAFE_MS).end, ==, RUN_OK);
	began = clock_mono_ms();
	job = run_code(1, forever, 300);
	check_int(job.end, ==, RUN_TIMEOUT);
	check_int(clock_mono_ms() - began, >=, 300);
	check_int(clock_mono_ms() - began, <, 1300);
	job = run_code(3, "for (;;) {}", 300);
	check_int(job.end, ==, RUN_TIMEOUT);
	check_int(run_code(2, echo, SAFE_MS).end, ==, RUN_OK);
	stop();
}

static void
the_cpu_limit_ends_what_the_deadline_would_allow(void)
{
	struct pool_settings with = settings();
	struct job job;

	with.cpu_ms = 900;
	begin_with(with);
	job = run_code(1,
		       "exports.run = function (h) { /^(a+)+$/.test('aaaaaaaaaaaaaaaaaaaaaaaaaaa"
		       "aaaaaaaaaaaaaaaaaa!'); for (;;) {} }",
		       6 * SAFE_MS);
	check_int(job.end, ==, RUN_TIMEOUT);
	check(strstr(job.text, "CPU") != NULL);
	stop();
}

static void
a_memory_bomb_ends_at_the_heap_limit(void)
{
	struct job job;

	begin();
	job = run_code(1,
		       "exports.run = function (h) { var a = []; for (;;) a.push({n: a.length, s:"
		       " 'x' + a.length}); }",
		       SAFE_MS);
	check_int(job.end, ==, RUN_MEMORY);
	job = run_code(2,
		       "exports.run = function (h) { var a = []; for (;;) try { a.push(new"
		       " Uint8Array(1 << 16)); } catch (e) {} }",
		       SAFE_MS);
	check_int(job.end, ==, RUN_MEMORY);
	job = run_code(3, "var a = []; for (;;) a.push(new Uint8Array(1 << 16));", SAFE_MS);
	check_int(job.end, ==, RUN_MEMORY);
	stop();
}

static void
one_refused_allocation_can_be_caught(void)
{
	struct job job;

	begin();
	job = run_code(1,
		       "exports.run = function (h) { try { new Uint8Array(1 << 30); } catch (e) {"
		       " h.done('caught'); } }",
		       SAFE_MS);
	check_int(job.end, ==, RUN_OK);
	check_text(job.payload, "\"caught\"");
	stop();
}

static void
deep_recursion_is_an_error_and_not_a_crash(void)
{
	static const char *const codes[] = {
	    "function f(n) { return 1 + f(n + 1); } F = function () { f(0); }",
	    "F = function () { var s = new Array(20000).join('['); JSON.parse(s); }",
	    "F = function () { var a = []; for (var i = 0; i < 20000; i++) a = [a];"
	    " JSON.stringify(a); }",
	    "F = function () { new Function(new Array(20000).join('(')); }",
	    "F = function () { new Function('return ' + new Array(20000).join('-') + '1'); }",
	    "F = function () { new RegExp(new Array(20000).join('(')); }",
	    "F = function () { /(?:(a)|b)*$/.exec(new Array(200000).join('ab') + 'c'); throw 1; }",
	    "F = function () { var o = {}; o.toString = function () { return '' + o; }; '' + o; }",
	    "F = function () { var p = {}; for (var i = 0; i < 20000; i++) p = new Proxy(p, {});"
	    " p.x; throw 1; }",
	    "F = function () { var f = function () {}; for (var i = 0; i < 20000; i++)"
	    " f = f.bind(null); f(); throw 1; }",
	    "F = function () { [1, 2].sort(function s() { return [1, 2].sort(s); }); }",
	    "F = function () { 'a'.replace(/a/, function r() { return 'a'.replace(/a/, r); }); }",
	};
	struct job job;

	begin();
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		char code[512];

		snprintf(code, sizeof(code),
			 "var F; %s; exports.run = function (h) { try { F(); } catch (e) {"
			 " h.done('caught'); } }",
			 codes[i]);
		job = run_code((int64_t)i + 1, code, SAFE_MS);
		check_text(job.payload, "\"caught\"");
	}
	stop();
}

static void
a_killed_run_is_reported_with_its_signal(void)
{
	struct job job = {0};
	pid_t function, run;

	begin();
	submit(&job, 1, calls, SAFE_MS);
	wait_calls(&job, 1);
	check_int(count_children(zygote_pid(), &function), ==, 1);
	run = run_of(function);
	check(kill(run, SIGABRT) == 0);
	wait_end(&job);
	check_int(job.end, ==, RUN_CRASHED);
	check(strstr(job.text, "signal 6 ") != NULL);
	check_int(job.death.signal, ==, SIGABRT);
	job = run_code(2, echo, SAFE_MS);
	check_int(job.end, ==, RUN_OK);
	stop();
}

static void
a_killed_function_process_takes_its_run_along(void)
{
	struct job job = {0};
	pid_t function, run, parent;
	int64_t until = clock_mono_ms() + WAIT_MS;

	begin();
	submit(&job, 1, busy, SAFE_MS);
	wait_calls(&job, 1);
	check_int(count_children(zygote_pid(), &function), ==, 1);
	run = run_of(function);
	check(kill(function, SIGKILL) == 0);
	wait_end(&job);
	check_int(job.end, ==, RUN_CRASHED);
	check(strstr(job.text, "signal 9") != NULL);
	check_int(job.death.signal, ==, SIGKILL);
	check_int(job.death.memory, >, 1 << 20);
	while (parent_of(run, &parent) && clock_mono_ms() < until)
		pass_ms(10);
	check(!parent_of(run, &parent));
	stop();
}

/* A number from /proc/<pid>/status, or -1. */
static long
status_number(pid_t pid, const char *field)
{
	char path[64], line[256];
	size_t len = strlen(field);
	long number = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "r");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		if (strncmp(line, field, len) == 0 && line[len] == ':')
			number = strtol(line + len + 1, NULL, 10);
	}
	if (file != NULL)
		fclose(file);
	return number;
}

/* Open descriptors of a process, or -1 when we may not look. */
static int
count_descriptors(pid_t pid)
{
	char path[64];
	struct dirent *entry;
	int count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (dir == NULL)
		return -1;
	while ((entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.' ? 1 : 0;
	closedir(dir);
	return count;
}

static void
each_process_is_under_the_filters_of_its_level(void)
{
	struct job job = {0};
	pid_t function, run;
	int descriptors;

	begin();
	submit(&job, 1, calls, SAFE_MS);
	wait_calls(&job, 1);
	check_int(count_children(zygote_pid(), &function), ==, 1);
	run = run_of(function);
	check_int(status_number(zygote_pid(), "Seccomp_filters"), ==, 1);
	check_int(status_number(function, "Seccomp_filters"), ==, isolation == POOL_FORK ? 2 : 3);
	check_int(status_number(run, "Seccomp_filters"), ==, 3);
	check_int(status_number(run, "Seccomp"), ==, 2);
	check_int(status_number(run, "NoNewPrivs"), ==, 1);
	descriptors = count_descriptors(run);
	check(descriptors == 1 || descriptors == -1);
	stop();
}

/* 12 calls of 8 MiB: what is not answered waits in the runner once 64 MiB are here. */
static void
calls_that_hold_much_wait_in_the_runner(void)
{
	static const char code[] =
	    "exports.run = function (h) { var body = new Uint8Array(8 << 20), n = 0;"
	    "for (var i = 0; i < 12; i++) h.call('http', {}, body, function () {"
	    "if (++n === 12) h.done(n); }); }";
	struct job job = {0};

	begin();
	submit(&job, 1, code, SAFE_MS);
	wait_calls(&job, 8);
	pass_ms(300);
	check_int(job.calls, ==, 8);
	for (int64_t id = 8; id >= 1; id--)
		run_reply(job.run, id, true, SLICE_LITERAL("{}"), SLICE_LITERAL(""));
	wait_calls(&job, 12);
	for (int64_t id = 9; id <= 12; id++)
		run_reply(job.run, id, true, SLICE_LITERAL("{}"), SLICE_LITERAL(""));
	wait_end(&job);
	check_text(job.payload, "12");
	stop();
}

static void
a_frozen_run_is_killed_at_its_deadline(void)
{
	struct job job = {0};
	pid_t function, parent;
	int64_t until = clock_mono_ms() + WAIT_MS;

	begin();
	submit(&job, 1, calls, 800);
	wait_calls(&job, 1);
	check_int(count_children(zygote_pid(), &function), ==, 1);
	check(kill(function, SIGSTOP) == 0);
	wait_end(&job);
	check_int(job.end, ==, RUN_TIMEOUT);
	while (parent_of(function, &parent) && clock_mono_ms() < until)
		pass_ms(10);
	check(!parent_of(function, &parent));
	stop();
}

static void
a_run_survives_being_stopped_and_continued(void)
{
	struct job job = {0};
	pid_t function, run;

	begin();
	submit(&job, 1,
	       "exports.run = function (h) { h.call('log', {}); h.after(300, function () {"
	       " h.done('on'); }); }",
	       SAFE_MS);
	wait_calls(&job, 1);
	check_int(count_children(zygote_pid(), &function), ==, 1);
	run = run_of(function);
	check(kill(run, SIGSTOP) == 0 && kill(function, SIGSTOP) == 0);
	pass_ms(50);
	check(kill(run, SIGCONT) == 0 && kill(function, SIGCONT) == 0);
	wait_end(&job);
	check_int(job.end, ==, RUN_OK);
	check_text(job.payload, "\"on\"");
	check_int(run_code(1, echo, SAFE_MS).end, ==, RUN_OK);
	stop();
}

static void
what_a_run_does_to_its_world_is_gone_in_the_next(void)
{
	static const char code[] =
	    "var n = 0; exports.run = function (h) { n++; var seen = [n, typeof leak,"
	    " Object.prototype.x, [].sum];"
	    " leak = 1; Object.prototype.x = 1; Array.prototype.sum = 1; h.done(seen); }";
	struct job job;

	begin();
	for (int i = 0; i < 3; i++) {
		job = run_code(1, code, SAFE_MS);
		check_text(job.payload, "[1,\"undefined\",null,null]");
	}
	stop();
}

static void
random_bytes_differ_between_runs(void)
{
	static const char code[] =
	    "exports.run = function (h) { h.done(h.raw.hex(h.raw.random(16))); }";
	char first[64];

	begin();
	copy(first, sizeof(first), slice_text(run_code(1, code, SAFE_MS).payload));
	check_int(strlen(first), ==, 34);
	check(strcmp(run_code(1, code, SAFE_MS).payload, first) != 0);
	stop();
}

static void
digests_and_texts_match_known_values(void)
{
	struct job job;

	begin();
	job = run_code(
	    1,
	    "exports.run = function (h) { var r = h.raw, e = r.utf8Encode; h.done(["
	    " r.hex(r.hash('md5', e('abc'))), r.hex(r.hash('sha1', e('abc'))),"
	    " r.hex(r.hmac('sha256', e('key'), e('The quick brown fox jumps over the lazy dog'))),"
	    " r.hex(e('\xf0\x9f\x98\x80\\ud800')), r.utf8Decode(r.hexDecode('f09f9880ff')),"
	    " r.base64(e('fo'), false), r.utf8Decode(r.base64Decode('Zm8')),"
	    " r.equal(e('a'), e('a')), r.equal(e('a'), e('b')), r.equal(e('a'), e('ab'))]); }",
	    SAFE_MS);
	check_text(job.payload,
		   "[\"900150983cd24fb0d6963f7d28e17f72\","
		   "\"a9993e364706816aba3e25717850c26c9cd0d89d\","
		   "\"f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8\","
		   "\"f09f9880efbfbd\",\"\xf0\x9f\x98\x80\xef\xbf\xbd\",\"Zm8=\",\"fo\","
		   "true,false,false]");
	stop();
}

static struct job many[64];
static int started, room_reports;

static void
submit_more(void *arg)
{
	(void)arg;
	room_reports++;
	while (started < 64 && pool_has_room(pool)) {
		struct job *job = &many[started];

		check_int(try_submit(job, started % 3, 1, echo, "{}", WAIT_MS), ==, SL_OK);
		started++;
	}
}

static void
sixty_four_runs_share_the_processes_there_may_be(void)
{
	struct pool_settings with = settings();
	int64_t until = clock_mono_ms() + WAIT_MS;
	int ended = 0, most = 0;
	struct job extra = {0};

	with.processes_max = 4;
	begin_with(with);
	memset(many, 0, sizeof(many));
	started = room_reports = 0;
	pool_on_room(pool, submit_more, NULL);
	submit_more(NULL);
	check_int(started, ==, 4);
	check_int(try_submit(&extra, 9, 1, echo, "{}", SAFE_MS), ==, SL_EXHAUSTED);
	while (ended < 64 && clock_mono_ms() < until) {
		pid_t child;
		int now;

		loop_turn(loop, 50);
		now = count_children(zygote_pid(), &child);
		most = now > most ? now : most;
		ended = 0;
		for (int i = 0; i < 64; i++)
			ended += many[i].ended ? 1 : 0;
	}
	check_int(ended, ==, 64);
	check_int(most, >, 1);
	check_int(most, <=, 4);
	check_int(room_reports, >, 1);
	for (int i = 0; i < 64; i++)
		check_int(many[i].end, ==, RUN_OK);
	stop();
}

static void
a_process_never_serves_another_environment_or_version(void)
{
	struct job a = {0}, b = {0}, c = {0}, again = {0};

	begin();
	check_int(try_submit(&a, 7, 1, token, "", SAFE_MS), ==, SL_OK);
	wait_end(&a);
	check_int(try_submit(&again, 7, 1, token, "", SAFE_MS), ==, SL_OK);
	wait_end(&again);
	check_text(again.payload, a.payload); /* warm: the same process */
	check_int(try_submit(&b, 7, 2, token, "", SAFE_MS), ==, SL_OK);
	wait_end(&b);
	check(b.end == RUN_OK && strcmp(b.payload, a.payload) != 0);
	check_int(try_submit(&c, 8, 1, token, "", SAFE_MS), ==, SL_OK);
	wait_end(&c);
	check(c.end == RUN_OK && strcmp(c.payload, a.payload) != 0);
	check(strcmp(c.payload, b.payload) != 0);
	stop();
}

static void
an_idle_process_makes_room(void)
{
	pid_t child;
	char c[64];

	begin();
	check_int(run_code(1, token, SAFE_MS).end, ==, RUN_OK);
	check_int(run_code(2, token, SAFE_MS).end, ==, RUN_OK);
	copy(c, sizeof(c), slice_text(run_code(3, token, SAFE_MS).payload));
	check_int(count_children(zygote_pid(), &child), ==, 2);
	check_text(run_code(3, token, SAFE_MS).payload, c);
	stop();
}

static void
an_idle_process_ends_after_a_while(void)
{
	struct pool_settings with = settings();
	int64_t until = clock_mono_ms() + WAIT_MS;
	pid_t child;

	with.idle_ms = 100;
	begin_with(with);
	check_int(run_code(1, echo, SAFE_MS).end, ==, RUN_OK);
	check_int(count_children(zygote_pid(), &child), ==, 1);
	while (count_children(zygote_pid(), &child) > 0 && clock_mono_ms() < until)
		pass_ms(20);
	check_int(count_children(zygote_pid(), &child), ==, 0);
	check_int(run_code(1, echo, SAFE_MS).end, ==, RUN_OK);
	stop();
}

static void
an_aborted_run_ends_later_and_only_once(void)
{
	struct job job = {0};
	pid_t child;
	int64_t until = clock_mono_ms() + WAIT_MS;

	begin();
	submit(&job, 1, calls, SAFE_MS);
	wait_calls(&job, 1);
	run_abort(job.run);
	run_abort(job.run);
	check(!job.ended);
	wait_end(&job);
	check_int(job.end, ==, RUN_ABORTED);
	check_int(pool_running(pool), ==, 0);
	while (count_children(zygote_pid(), &child) > 0 && clock_mono_ms() < until)
		pass_ms(10);
	check_int(count_children(zygote_pid(), &child), ==, 0);
	submit(&job, 1, calls, SAFE_MS); /* aborted before there is a process */
	run_abort(job.run);
	wait_end(&job);
	check_int(job.end, ==, RUN_ABORTED);
	stop();
}

static void
freeing_the_pool_aborts_what_runs_and_leaves_no_process(void)
{
	struct job job = {0}, waiting = {0};
	pid_t zygote, function, parent;
	int64_t until = clock_mono_ms() + WAIT_MS;

	begin();
	submit(&job, 1, calls, SAFE_MS);
	wait_calls(&job, 1);
	zygote = zygote_pid();
	check_int(count_children(zygote, &function), ==, 1);
	submit(&waiting, 2, calls, SAFE_MS);
	stop();
	check(job.ended && job.end == RUN_ABORTED);
	check(waiting.ended && waiting.end == RUN_ABORTED);
	check(!parent_of(zygote, &parent));
	while (parent_of(function, &parent) && clock_mono_ms() < until)
		usleep(1000);
	check(!parent_of(function, &parent));
}

/* Well before its CPU limit would end it. */
static void
wait_gone(pid_t pid)
{
	int64_t until = clock_mono_ms() + 5000;
	pid_t parent;

	while (parent_of(pid, &parent) && clock_mono_ms() < until)
		pass_ms(10);
	check(!parent_of(pid, &parent));
}

static int rooms;

static void
count_room(void *arg)
{
	(void)arg;
	rooms++;
}

static void
a_killed_zygote_is_replaced(void)
{
	struct job job = {0}, refused = {0};
	int64_t until = clock_mono_ms() + WAIT_MS;
	pid_t function, run;

	begin();
	rooms = 0;
	pool_on_room(pool, count_room, NULL);
	submit(&job, 1, busy, SAFE_MS);
	wait_calls(&job, 1);
	check_int(count_children(zygote_pid(), &function), ==, 1);
	run = run_of(function);
	check(kill(zygote_pid(), SIGKILL) == 0);
	wait_end(&job);
	check_int(job.end, ==, RUN_CRASHED);
	check(!pool_has_room(pool));
	check_int(try_submit(&refused, 1, 1, echo, "{}", SAFE_MS), ==, SL_UNAVAILABLE);
	while (!pool_has_room(pool) && clock_mono_ms() < until)
		loop_turn(loop, 20);
	pass_ms(20);
	check_int(rooms, ==, 1);
	wait_gone(function);
	wait_gone(run);
	check_int(run_code(1, echo, SAFE_MS).end, ==, RUN_OK);
	stop();
}

static _Noreturn void
daemon_with_a_busy_run(void)
{
	struct job job = {0};

	begin();
	submit(&job, 1, busy, SAFE_MS);
	for (;;)
		loop_turn(loop, 1000);
}

static void
nothing_outlives_a_killed_daemon(void)
{
	int64_t until = clock_mono_ms() + WAIT_MS;
	pid_t daemon_pid = fork(), zygote = 0, function = 0, run = 0;

	if (daemon_pid == 0)
		daemon_with_a_busy_run();
	while (run == 0 && clock_mono_ms() < until) {
		usleep(10000);
		if (count_children(daemon_pid, &zygote) > 0 &&
		    count_children(zygote, &function) > 0 &&
		    (isolation == POOL_SNAPSHOT || count_children(function, &run) > 0))
			run = isolation == POOL_SNAPSHOT ? function : run;
	}
	usleep(50000); /* into its loop */
	check(kill(daemon_pid, SIGKILL) == 0 && waitpid(daemon_pid, NULL, 0) == daemon_pid);
	check(run > 0);
	begin(); /* wait_gone() turns a loop */
	wait_gone(run);
	wait_gone(function);
	wait_gone(zygote);
	stop();
}

static void
a_missing_runner_is_unavailable_and_not_fatal(void)
{
	struct pool_settings with = settings();
	struct job job = {0};

	with.runner_path = "/nonexistent/sluice-runner";
	begin_with(with);
	check(!pool_has_room(pool));
	check_int(try_submit(&job, 1, 1, echo, "{}", SAFE_MS), ==, SL_UNAVAILABLE);
	pass_ms(300);
	check(!pool_has_room(pool));
	stop();
}

/* In a process of its own, as a filter is for good. */
static _Noreturn void
run_without_memfd(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	pid_t function, run;
	struct job job = {0};

	if (ctx == NULL || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(memfd_create), 0) != 0 ||
	    seccomp_load(ctx) != 0)
		_exit(2);
	begin();
	submit(&job, 1, calls, SAFE_MS);
	wait_calls(&job, 1);
	if (count_children(zygote_pid(), &function) != 1 || count_children(function, &run) != 1)
		_exit(3);
	run_reply(job.run, job.call_id, true, SLICE_LITERAL("{}"), SLICE_LITERAL(""));
	wait_end(&job);
	stop();
	_exit(job.end == RUN_OK ? 0 : 4);
}

static void
where_the_system_has_no_memfd_each_run_is_a_fork(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		if (setjmp(check_escape) != 0) /* not on as a second program */
			_exit(91);
		run_without_memfd();
	}
	check(pid > 0 && waitpid(pid, &status, 0) == pid);
	check_int(status, ==, 0);
}

static void
many_runs_leave_their_process_no_larger(void)
{
	static const char code[] =
	    "exports.run = function (h, i) { var s = 'gr\xc3\xbc\xc3\x9f '; while (s.length < 100000)"
	    " s += s; h.call('log', {s: s}, s); h.after(5000, function () {}); try { h.raw.hex(new"
	    " Uint8Array(30 << 20)); } catch (e) {} h.done(s.length); }";
	pid_t function;
	long before;

	begin();
	for (int i = 0; i < 3; i++)
		check_int(run_code(1, code, SAFE_MS).end, ==, RUN_OK);
	check_int(count_children(zygote_pid(), &function), ==, 1);
	pass_ms(50);
	before = status_number(function, "VmSize") + status_number(function, "VmRSS");
	for (int i = 0; i < 20; i++)
		check_int(run_code(1, code, SAFE_MS).end, ==, RUN_OK);
	pass_ms(50);
	check_int(status_number(function, "VmSize") + status_number(function, "VmRSS"), <,
		  before + 2000);
	stop();
}

/* --- A runner that breaks the protocol: this program, told how by the heap size. --- */

enum lie {
	LIE_VERSION = 1,
	LIE_GARBAGE,
	LIE_OVERSIZED,
	LIE_SILENT_EXIT,
	LIE_FORKED_WITHOUT_PIDFD,
	LIE_GONE_UNKNOWN,
	/* from here on the zygote is honest and the function process is not */
	LIE_UNLOADED_DONE,
	LIE_WRONG_RUN,
	LIE_UNKNOWN_TYPE,
	LIE_MISSHAPEN,
	LIE_CALL_ORDER,
	LIE_CALL_WITHOUT_ID,
	LIE_LOADED_TWICE,
	LIE_OVERSIZED_FUNCTION,
	LIE_NESTED,
	LIE_EXIT_70,
	LIE_EXIT_9,
	LIE_DIED_ODD,
};

static void
say(int fd, int passed, const char *shape, const int64_t *numbers)
{
	struct frame_writer w;
	struct buf out;

	buf_init(&out, 4096);
	frame_begin(&w, &out, strlen(shape));
	for (size_t i = 0; shape[i] != '\0'; i++) {
		if (shape[i] == 'i')
			frame_add_int(&w, numbers[i]);
		else if (shape[i] == 'b')
			frame_add_bool(&w, numbers[i] != 0);
		else
			frame_add_text(&w, "text");
	}
	frame_end(&w);
	if (!wire_write(fd, buf_slice(&out), passed))
		_exit(1);
	buf_fini(&out);
}

#define SAY(fd, passed, shape, ...) say(fd, passed, shape, (const int64_t[]){__VA_ARGS__})

static _Noreturn void
lying_function(int fd, enum lie lie)
{
	struct buf in;
	struct frame frame;
	int64_t run;

	buf_init(&in, RUNNER_FRAME_MAX);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || wire_read(fd, &in, &frame, NULL) != 1)
		_exit(1);
	if (lie == LIE_UNLOADED_DONE)
		SAY(fd, -1, "iibs", RUNNER_DONE, 1, 1, 0);
	SAY(fd, -1, "ibs", RUNNER_LOADED, 1, 0);
	if (wire_read(fd, &in, &frame, NULL) != 1)
		_exit(1);
	run = frame.field[1].number;
	if (lie == LIE_WRONG_RUN)
		SAY(fd, -1, "iibs", RUNNER_DONE, run + 1, 1, 0);
	if (lie == LIE_UNKNOWN_TYPE)
		SAY(fd, -1, "ii", 99, run);
	if (lie == LIE_MISSHAPEN)
		SAY(fd, -1, "iii", RUNNER_DONE, run, 1);
	if (lie == LIE_CALL_ORDER) {
		SAY(fd, -1, "iiisss", RUNNER_CALL, run, 5, 0, 0, 0);
		SAY(fd, -1, "iiisss", RUNNER_CALL, run, 5, 0, 0, 0);
	}
	if (lie == LIE_CALL_WITHOUT_ID)
		SAY(fd, -1, "iiisss", RUNNER_CALL, run, 0, 0, 0, 0);
	if (lie == LIE_LOADED_TWICE)
		SAY(fd, -1, "ibs", RUNNER_LOADED, 1, 0);
	if (lie == LIE_OVERSIZED_FUNCTION && !wire_write(fd, SLICE_LITERAL("\xff\xff\xff\xff"), -1))
		_exit(1);
	if (lie == LIE_NESTED && !wire_write(fd, SLICE_LITERAL("\0\0\0\2\x91\x90"), -1))
		_exit(1);
	if (lie == LIE_DIED_ODD)
		SAY(fd, -1, "iisi", RUNNER_DIED, run, 0, 1);
	if (lie == LIE_EXIT_70)
		_exit(70);
	if (lie == LIE_EXIT_9)
		_exit(9);
	pause();
	_exit(0);
}

static _Noreturn void
lying_runner(enum lie lie)
{
	struct buf in;
	struct frame frame;
	int socket, status;

	buf_init(&in, 4096);
	if (lie == LIE_SILENT_EXIT)
		_exit(0);
	if (lie == LIE_GARBAGE && !wire_write(3, SLICE_LITERAL("\0\0\0\4\xc1\xc1\xc1\xc1"), -1))
		_exit(1);
	if (lie == LIE_OVERSIZED && !wire_write(3, SLICE_LITERAL("\xff\xff\xff\xff"), -1))
		_exit(1);
	SAY(3, -1, "iis", RUNNER_HELLO, lie == LIE_VERSION ? RUNNER_PROTOCOL + 1 : RUNNER_PROTOCOL,
	    0);
	if (lie == LIE_GONE_UNKNOWN)
		SAY(3, -1, "iiii", RUNNER_GONE, 1, 0, 0);
	while (wire_read(3, &in, &frame, &socket) == 1) {
		pid_t pid;
		int pidfd;

		if (frame.field[0].number == RUNNER_MEMORY) {
			close(socket);
			continue;
		}
		pid = fork();
		if (pid == 0)
			lying_function(socket, lie);
		close(socket);
		pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		SAY(3, lie == LIE_FORKED_WITHOUT_PIDFD ? -1 : pidfd, "iii", RUNNER_FORKED,
		    frame.field[1].number, pid);
		close(pidfd);
		if (waitpid(pid, &status, 0) == pid)
			SAY(3, -1, "iiii", RUNNER_GONE, pid, status, 1);
	}
	_exit(0);
}

static struct job
run_with_liar(enum lie lie)
{
	static struct job job;
	struct pool_settings with = settings();

	memset(&job, 0, sizeof(job));
	with.runner_path = "/proc/self/exe";
	with.heap_bytes = (1 << 20) + lie;
	begin_with(with);
	if (try_submit(&job, 1, 1, echo, "{}", SAFE_MS) == SL_OK)
		wait_end(&job);
	stop();
	return job;
}

static void
a_lying_function_process_is_killed_and_its_run_crashes(void)
{
	for (enum lie lie = LIE_UNLOADED_DONE; lie <= LIE_NESTED; lie++) {
		struct job job = run_with_liar(lie);

		check(job.ended);
		if (lie < LIE_OVERSIZED_FUNCTION)
			check(strstr(job.text, "broke the protocol") != NULL);
		check_int(job.end, ==, RUN_CRASHED);
	}
}

static void
a_lying_zygote_is_killed_and_its_runs_crash(void)
{
	for (enum lie lie = LIE_VERSION; lie <= LIE_GONE_UNKNOWN; lie++) {
		struct job job = run_with_liar(lie);

		check(job.ended);
		check_int(job.end, ==, RUN_CRASHED);
	}
}

static void
the_way_a_process_ended_is_told_by_its_status(void)
{
	struct job job = run_with_liar(LIE_EXIT_70);

	check_int(job.end, ==, RUN_MEMORY);
	job = run_with_liar(LIE_EXIT_9);
	check_int(job.end, ==, RUN_CRASHED);
	check(strstr(job.text, "status 9") != NULL);
	check_int(run_with_liar(LIE_DIED_ODD).end, ==, RUN_CRASHED);
}

static void
run_all(void)
{
	CHECK_RUN(a_run_returns_its_output_in_utf8);
	CHECK_RUN(an_undefined_output_is_empty_and_a_lone_surrogate_stays_escaped);
	CHECK_RUN(a_call_is_answered_with_bytes);
	CHECK_RUN(a_hundred_calls_at_once_are_all_answered);
	CHECK_RUN(timers_fire_in_order);
	CHECK_RUN(a_thrown_error_ends_as_an_error_object);
	CHECK_RUN(a_module_that_cannot_load_fails_its_run_and_nothing_else);
	CHECK_RUN(nothing_left_to_wait_for_is_a_deadlock);
	CHECK_RUN(an_endless_loop_ends_at_its_deadline);
	CHECK_RUN(the_cpu_limit_ends_what_the_deadline_would_allow);
	CHECK_RUN(a_memory_bomb_ends_at_the_heap_limit);
	CHECK_RUN(one_refused_allocation_can_be_caught);
	CHECK_RUN(deep_recursion_is_an_error_and_not_a_crash);
	CHECK_RUN(a_killed_run_is_reported_with_its_signal);
	CHECK_RUN(a_killed_function_process_takes_its_run_along);
	CHECK_RUN(each_process_is_under_the_filters_of_its_level);
	CHECK_RUN(calls_that_hold_much_wait_in_the_runner);
	CHECK_RUN(a_frozen_run_is_killed_at_its_deadline);
	CHECK_RUN(a_run_survives_being_stopped_and_continued);
	CHECK_RUN(what_a_run_does_to_its_world_is_gone_in_the_next);
	CHECK_RUN(random_bytes_differ_between_runs);
	CHECK_RUN(digests_and_texts_match_known_values);
	CHECK_RUN(sixty_four_runs_share_the_processes_there_may_be);
	CHECK_RUN(a_process_never_serves_another_environment_or_version);
	CHECK_RUN(an_idle_process_makes_room);
	CHECK_RUN(an_idle_process_ends_after_a_while);
	CHECK_RUN(an_aborted_run_ends_later_and_only_once);
	CHECK_RUN(freeing_the_pool_aborts_what_runs_and_leaves_no_process);
	CHECK_RUN(a_killed_zygote_is_replaced);
	CHECK_RUN(nothing_outlives_a_killed_daemon);
	CHECK_RUN(a_missing_runner_is_unavailable_and_not_fatal);
	CHECK_RUN(where_the_system_has_no_memfd_each_run_is_a_fork);
	CHECK_RUN(many_runs_leave_their_process_no_larger);
	CHECK_RUN(a_lying_function_process_is_killed_and_its_run_crashes);
	CHECK_RUN(a_lying_zygote_is_killed_and_its_runs_crash);
	CHECK_RUN(the_way_a_process_ended_is_told_by_its_status);
}

int
main(int argc, char **argv)
{
	runner_path = getenv("SLUICE_TEST_RUNNER_MINI");
	if (argc > 1 && isdigit((unsigned char)argv[1][0]))
		lying_runner(strtol(argv[1], NULL, 10) - (1 << 20));
	if (argc > 1)
		runner_path = argv[1];
	if (runner_path == NULL)
		runner_path = "./sluice-runner-mini";
	log_set_level(LOG_LEVEL_ERROR);
	for (isolation = POOL_SNAPSHOT; isolation <= POOL_FORK; isolation++) {
		printf("# %s\n", isolation == POOL_FORK ? "forks" : "snapshots");
		run_all();
	}
	return check_done();
}
