/* Loading ahead, and what processes of one version share.  argv[1]: the runner, with the small
 * prelude. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/pool_internal.h"
#include "tests/unit/test_runtime_rig.h"

static const char echo[] = "exports.run = function (h, i) { h.done(i); }";
static const char token[] = "var t = host.raw.hex(host.raw.random(8));"
			    "exports.run = function (h) { h.done(t); }";
static const char token_and_call[] =
    "var t = host.raw.hex(host.raw.random(8));"
    "exports.run = function (h) { h.call('http', {t: t}, undefined, function () { h.done(t); }); }";
/* 4 MB of a module's own, all of which the run reads. */
static const char large[] =
    "var t = []; for (var i = 0; i < 1000; i++) t.push(new Uint8Array(4096));"
    "exports.run = function (h) { var s = 0; for (var i = 0; i < 1000; i++) s += t[i][0];"
    " h.call('http', {s: s}, undefined, function () { h.done(1); }); }";

struct warming {
	int calls;
	enum sl_code code;
};

static void
on_warm(void *arg, enum sl_code code)
{
	struct warming *warming = arg;

	warming->calls++;
	warming->code = code;
}

static enum sl_code
warm(struct warming *warming, int64_t version, const char *code)
{
	struct pool_function function = {.version_id = version,
					 .environment_id = 1,
					 .name = "test",
					 .file = "test-unit.cjs",
					 .code = code,
					 .code_len = strlen(code)};
	struct sl_error error = {0};

	return pool_warm(pool, &function, on_warm, warming, &error);
}

static void
begin_with(int processes_max)
{
	struct pool_settings with = settings();
	int64_t until = clock_mono_ms() + WAIT_MS;

	with.processes_max = processes_max;
	start_with(with);
	while (pool->zygote.state != ZYGOTE_UP && clock_mono_ms() < until)
		loop_turn(loop, 50);
}

static void
wait_warm(struct warming *warming)
{
	int64_t until = clock_mono_ms() + WAIT_MS;

	while (warming->calls == 0 && clock_mono_ms() < until)
		loop_turn(loop, 50);
	check_int(warming->calls, ==, 1);
}

static void
warm_now(int64_t version, const char *code)
{
	struct warming warming = {0};

	check_int(warm(&warming, version, code), ==, SL_OK);
	wait_warm(&warming);
	check_int(warming.code, ==, SL_OK);
}

/* The processes in this state. */
static int
count_in(enum process_state state)
{
	int count = 0;

	for (struct process *process = pool->processes; process != NULL; process = process->next)
		count += process->state == state ? 1 : 0;
	return count;
}

static void
a_version_is_loaded_ahead_of_its_first_run(void)
{
	struct warming again = {0};
	pid_t pid;

	begin_with(2);
	warm_now(1, echo);
	check_int(count_in(PROCESS_IDLE), ==, 1);
	pid = pool->processes->pid;
	check_int(warm(&again, 1, echo), ==, SL_CONFLICT);
	check_int(run_code(1, echo, SAFE_MS).end, ==, RUN_OK);
	check_int(pool->processes->pid, ==, pid);
	check_int(again.calls, ==, 0);
	stop();
}

static void
a_run_joins_a_process_that_loads_ahead(void)
{
	struct warming warming = {0};
	struct job job = {0};

	begin_with(4);
	check_int(warm(&warming, 1, echo), ==, SL_OK);
	submit(&job, 1, echo, SAFE_MS);
	check_int(count_in(PROCESS_FORKING), ==, 1);
	wait_end(&job);
	check_int(job.end, ==, RUN_OK);
	check_int(warming.calls, ==, 1);
	check_int(warming.code, ==, SL_OK);
	stop();
}

static void
a_module_that_fails_ahead_fails_its_run_as_ever(void)
{
	static const char bad[] = "throw new Error('at load');";
	struct warming warming = {0};
	struct job job;

	begin_with(2);
	check_int(warm(&warming, 1, bad), ==, SL_OK);
	wait_warm(&warming);
	check_int(warming.code, ==, SL_UNAVAILABLE);
	job = run_code(1, bad, SAFE_MS);
	check_int(job.end, ==, RUN_ERROR);
	check(strstr(job.payload, "at load") != NULL);
	stop();
}

static void
loading_ahead_takes_no_process_that_was_used_of_late(void)
{
	struct warming warming = {0};

	begin_with(2);
	check_int(run_code(1, echo, SAFE_MS).end, ==, RUN_OK);
	check_int(run_code(2, echo, SAFE_MS).end, ==, RUN_OK);
	check_int(warm(&warming, 3, echo), ==, SL_EXHAUSTED);
	for (struct process *process = pool->processes; process != NULL; process = process->next)
		process->entered_ms -= POOL_RECENT_MS + 1;
	check_int(warm(&warming, 3, echo), ==, SL_OK);
	wait_warm(&warming);
	check_int(warming.code, ==, SL_OK);
	stop();
}

static void
half_of_the_processes_at_most_are_loaded_ahead(void)
{
	begin_with(4);
	for (int64_t version = 1; version <= 6; version++) {
		warm_now(version, echo);
		check_int(count_in(PROCESS_IDLE), <=, 2);
	}
	check_int(count_in(PROCESS_IDLE), ==, 2);
	stop();
}

static void
a_run_comes_before_what_is_loaded_ahead(void)
{
	struct warming one = {0}, two = {0};
	struct job first = {0}, second = {0};

	begin_with(2);
	check_int(warm(&one, 1, echo), ==, SL_OK);
	submit(&first, 2, echo, SAFE_MS);
	submit(&second, 3, echo, SAFE_MS); /* no room: what loads version 1 makes room */
	check(warm(&two, 4, echo) != SL_OK);
	wait_end(&first);
	wait_end(&second);
	check_int(first.end, ==, RUN_OK);
	check_int(second.end, ==, RUN_OK);
	check_int(one.calls, ==, 1);
	stop();
}

/* Code that has run once would make another token. */
static void
a_second_process_takes_over_what_the_first_has_loaded(void)
{
	struct job a = {0}, b = {0}, other = {0};

	begin_with(4);
	submit(&a, 1, token_and_call, SAFE_MS);
	submit(&b, 1, token_and_call, SAFE_MS);
	submit(&other, 2, token_and_call, SAFE_MS);
	wait_calls(&a, 1);
	wait_calls(&b, 1);
	wait_calls(&other, 1);
	check_int(count_in(PROCESS_RUNNING), ==, 3);
	check((strcmp(a.meta, b.meta) == 0) == (isolation == POOL_SNAPSHOT));
	check(strcmp(a.meta, other.meta) != 0);
	run_reply(a.run, a.call_id, true, SLICE_LITERAL("{}"), SLICE_LITERAL(""));
	run_reply(b.run, b.call_id, true, SLICE_LITERAL("{}"), SLICE_LITERAL(""));
	run_reply(other.run, other.call_id, true, SLICE_LITERAL("{}"), SLICE_LITERAL(""));
	wait_end(&a);
	wait_end(&b);
	wait_end(&other);
	check_int(a.end, ==, RUN_OK);
	check_int(b.end, ==, RUN_OK);
	stop();
}

static void
another_environment_loads_the_version_itself(void)
{
	struct job a = {0}, b = {0};

	begin_with(4);
	check_int(try_submit(&a, 1, 1, token, "", SAFE_MS), ==, SL_OK);
	wait_end(&a);
	check_int(try_submit(&b, 1, 2, token, "", SAFE_MS), ==, SL_OK);
	wait_end(&b);
	check(a.end == RUN_OK && b.end == RUN_OK && strcmp(a.payload, b.payload) != 0);
	stop();
}

/* Private_Dirty of a process in KiB; -1: the system does not let us look (not root). */
static long
private_kb(pid_t pid)
{
	char path[64], line[256];
	long kb = -1, value;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	file = fopen(path, "r");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "Private_Dirty: %ld", &value) == 1)
			kb = value;
	}
	if (file != NULL)
		fclose(file);
	return kb;
}

static void
processes_of_one_version_share_the_memory_of_its_module(void)
{
	struct job jobs[3] = {{0}};

	begin_with(4);
	for (int i = 0; i < 3; i++)
		submit(&jobs[i], 1, large, SAFE_MS);
	for (int i = 0; i < 3; i++)
		wait_calls(&jobs[i], 1);
	for (int i = 0; i < 3 && isolation == POOL_SNAPSHOT; i++)
		check_int(private_kb(jobs[i].run->process->pid), <, 2000);
	stop();
}

static void
an_evicted_version_comes_back_without_being_loaded_again(void)
{
	char a[64];

	begin_with(1);
	copy(a, sizeof(a), slice_text(run_code(1, token, SAFE_MS).payload));
	check_int(run_code(2, token, SAFE_MS).end, ==, RUN_OK);
	check((strcmp(run_code(1, token, SAFE_MS).payload, a) == 0) ==
	      (isolation == POOL_SNAPSHOT));
	stop();
}

/* Ending the one idle for longest would end, each time, the one that is needed next. */
static void
most_versions_in_turn_keep_their_process_when_there_is_one_too_many(void)
{
	enum { PROCESSES = 8, ROUNDS = 20 };
	int runs = 0;

	begin_with(PROCESSES);
	for (int round = 0; round < ROUNDS; round++) {
		for (int version = 1; version <= PROCESSES + 1; version++, runs++)
			check_int(run_code(version, token, SAFE_MS).end, ==, RUN_OK);
	}
	check_int(pool->last_tag, <, runs / 2); /* processes that were made; about a fifth */
	stop();
}

static void
a_new_zygote_loads_all_anew(void)
{
	char a[64];

	begin_with(2);
	copy(a, sizeof(a), slice_text(run_code(1, token, SAFE_MS).payload));
	check_int(pool->image_count, ==, isolation == POOL_SNAPSHOT ? 1 : 0);
	zygote_fail(pool, "for the test");
	check_int(pool->image_count, ==, 0);
	while (!pool_has_room(pool))
		loop_turn(loop, 50);
	check(strcmp(run_code(1, token, SAFE_MS).payload, a) != 0);
	stop();
}

static int
new_memory(void)
{
	return memfd_create("heap", MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

static void
memory_that_is_not_sealed_is_not_kept(void)
{
	struct pool few = {.settings = {.processes_max = 1}};
	struct process process = {.version_id = 1, .environment_id = 1};
	int fd = new_memory();

	image_keep(&few, &process, fd);
	check(image_find(&few, 1, 1) == NULL);
	check(fcntl(fd, F_GETFD) < 0); /* it was ours to close */
	fd = new_memory();
	check(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
	image_keep(&few, &process, fd);
	check(image_find(&few, 1, 1) == NULL);
}

static void
memory_of_a_large_heap_is_not_kept(void)
{
	struct pool few = {.settings = {.processes_max = 1}};
	struct process process = {.version_id = 1, .environment_id = 1};
	int fd = new_memory();

	check(fallocate(fd, 0, 0, 17 << 20) == 0);
	check(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) ==
	      0);
	image_keep(&few, &process, fd);
	check(image_find(&few, 1, 1) == NULL);
}

static void
images_are_bounded_and_the_one_used_last_stays(void)
{
	struct pool few = {.settings = {.processes_max = 1}};
	struct process process = {.environment_id = 1};

	for (process.version_id = 1; process.version_id <= 5; process.version_id++) {
		int fd = new_memory();

		check(fcntl(fd, F_ADD_SEALS,
			    F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
		image_keep(&few, &process, fd);
		check_int(few.image_count, <=, 2);
		check(image_find(&few, process.version_id, 1) != NULL);
		image_find(&few, process.version_id, 1)->used_ms = process.version_id;
	}
	check(image_find(&few, 4, 1) != NULL);
	check(image_find(&few, 5, 2) == NULL);
	image_forget_all(&few);
	check_int(few.image_count, ==, 0);
}

static void
run_all(void)
{
	CHECK_RUN(a_version_is_loaded_ahead_of_its_first_run);
	CHECK_RUN(a_run_joins_a_process_that_loads_ahead);
	CHECK_RUN(a_module_that_fails_ahead_fails_its_run_as_ever);
	CHECK_RUN(loading_ahead_takes_no_process_that_was_used_of_late);
	CHECK_RUN(half_of_the_processes_at_most_are_loaded_ahead);
	CHECK_RUN(a_run_comes_before_what_is_loaded_ahead);
	CHECK_RUN(a_second_process_takes_over_what_the_first_has_loaded);
	CHECK_RUN(another_environment_loads_the_version_itself);
	CHECK_RUN(processes_of_one_version_share_the_memory_of_its_module);
	CHECK_RUN(an_evicted_version_comes_back_without_being_loaded_again);
	CHECK_RUN(most_versions_in_turn_keep_their_process_when_there_is_one_too_many);
	CHECK_RUN(a_new_zygote_loads_all_anew);
}

int
main(int argc, char **argv)
{
	runner_path = getenv("SLUICE_TEST_RUNNER_MINI");
	if (argc > 1)
		runner_path = argv[1];
	if (runner_path == NULL)
		runner_path = "./sluice-runner-mini";
	log_set_level(LOG_LEVEL_ERROR);
	CHECK_RUN(memory_that_is_not_sealed_is_not_kept);
	CHECK_RUN(memory_of_a_large_heap_is_not_kept);
	CHECK_RUN(images_are_bounded_and_the_one_used_last_stays);
	for (isolation = POOL_SNAPSHOT; isolation <= POOL_FORK; isolation++) {
		printf("# %s\n", isolation == POOL_FORK ? "forks" : "snapshots");
		run_all();
	}
	return check_done();
}
