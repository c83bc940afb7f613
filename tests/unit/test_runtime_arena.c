/* The arena and its snapshots: the allocator by itself, and the whole of the runner's inside (the
 * real prelude included) under script_run(), whose frames go to a socket that is read here. */
#include <duktape.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/channel.h"
#include "runtime/runner.h"
#include "runtime/snapshot.h"
#include "tests/lib/check.h"

#define HEAP (32u << 20)
#define BLOCKS 4000

static struct arena arena;
static struct snapshot snapshot;
static struct sl_error error;
static bool watch; /* what is about snapshots is tested with and without */

static void
begin(void)
{
	check_int(arena_init(&arena, NULL, HEAP, &error), ==, SL_OK);
}

static void
freeze(void)
{
	int fd = snapshot_open();

	if (snapshot.arena == NULL)
		snapshot_init(&snapshot, &arena);
	if (watch)
		snapshot_watch(&snapshot);
	arena_close_holes(&arena);
	check(fd >= 0 && snapshot_freeze(&snapshot, fd));
	close(fd);
}

/* The same numbers in each run of the tests. */
static unsigned
next_number(void)
{
	static unsigned state = 1;

	state = state * 1103515245 + 12345;
	return state >> 8;
}

static size_t
some_size(void)
{
	unsigned kind = next_number() % 100;

	if (kind < 80)
		return 1 + next_number() % 200;
	return 1 + next_number() % (kind < 97 ? 5000 : 100000);
}

static bool
is_filled(const unsigned char *bytes, size_t len, unsigned char with)
{
	for (size_t i = 0; i < len; i++) {
		if (bytes[i] != with)
			return false;
	}
	return true;
}

static void
blocks_keep_their_bytes_whatever_happens_to_others(void)
{
	static unsigned char *block[BLOCKS];
	static size_t len[BLOCKS];

	begin();
	for (int step = 0; step < 200000; step++) {
		int i = (int)(next_number() % BLOCKS);
		size_t size = some_size();
		unsigned char with = (unsigned char)i;

		if (block[i] == NULL || next_number() % 3 == 0) {
			size_t kept = len[i] < size ? len[i] : size;

			block[i] = arena_realloc(&arena, block[i], size);
			check(block[i] != NULL && (uintptr_t)block[i] % 16 == 0);
			check(is_filled(block[i], kept, with));
			memset(block[i], with, size);
			len[i] = size;
		} else {
			check(is_filled(block[i], len[i], with));
			arena_free(&arena, block[i]);
			block[i] = NULL;
			len[i] = 0;
		}
	}
	for (int i = 0; i < BLOCKS; i++) {
		arena_free(&arena, block[i]);
		block[i] = NULL;
		len[i] = 0;
	}
	check_int(arena_used(&arena), ==, 0);
	arena_fini(&arena);
}

static void
what_was_freed_is_handed_out_again(void)
{
	size_t extent = 0;

	begin();
	for (int round = 0; round < 50; round++) {
		void *block[200];

		for (int i = 0; i < 200; i++)
			block[i] = arena_alloc(&arena, 10 + (size_t)i * 50);
		for (int i = 0; i < 200; i++)
			arena_free(&arena, block[(i * 7 + round) % 200]);
		if (round == 1)
			extent = arena_extent(&arena);
	}
	check_int(arena_extent(&arena), <=, extent);
	arena_fini(&arena);
}

/* As an array grows under a script that fills it: an eighth more each time, small objects
 * meanwhile.  Without merging and reuse the holes would be nine times what is in use. */
static void
a_growing_array_leaves_no_holes_that_stay_empty(void)
{
	size_t size = 4096;
	char *array;

	begin();
	array = arena_alloc(&arena, size);
	while (size < HEAP / 4) {
		size_t more = size / 8;

		for (size_t i = 0; i < more / 16; i++)
			check(arena_alloc(&arena, 56) != NULL);
		array = arena_realloc(&arena, array, size + more);
		check(array != NULL);
		size += more;
	}
	check_int(arena_extent(&arena), <, 2 * arena_used(&arena));
	arena_fini(&arena);
}

static void
the_cap_refuses_and_freeing_makes_room_again(void)
{
	void *large, *small;

	begin();
	arena_set_room(&arena, 1 << 20);
	large = arena_alloc(&arena, 1 << 19);
	small = arena_alloc(&arena, 100);
	check(large != NULL && small != NULL);
	check(arena_alloc(&arena, 1 << 19) == NULL);
	check(arena_alloc(&arena, SIZE_MAX) == NULL && arena_alloc(&arena, SIZE_MAX - 7) == NULL);
	check(arena_realloc(&arena, large, 1 << 20) == NULL);
	check_int(arena_refusals(&arena), ==, 4);
	arena_free(&arena, large);
	check(arena_alloc(&arena, 1 << 19) != NULL);
	arena_fini(&arena);
}

static void
refuse_for_ever(void)
{
	for (int i = 0; i < 2 * ARENA_REFUSALS_MAX; i++) {
		if (arena_alloc(&arena, 2 << 20) != NULL)
			_exit(1);
	}
	_exit(2);
}

static void
a_heap_that_goes_on_asking_ends_its_process(void)
{
	int status = 0;
	pid_t pid;

	begin();
	arena_set_room(&arena, 1 << 20);
	pid = fork();
	if (pid == 0)
		refuse_for_ever();
	check(pid > 0 && waitpid(pid, &status, 0) == pid);
	check(WIFEXITED(status) && WEXITSTATUS(status) == RUNNER_EXIT_MEMORY);
	arena_fini(&arena);
}

static void
a_revert_restores_bytes_and_the_allocator(void)
{
	char *kept, *freed, *large;
	size_t used, extent;

	begin();
	kept = arena_alloc(&arena, 100);
	large = arena_alloc(&arena, 100000);
	check(kept != NULL && large != NULL);
	memset(kept, 'k', 100);
	memset(large, 'l', 100000);
	freeze();
	used = arena_used(&arena);
	extent = arena_extent(&arena);
	for (int round = 0; round < 5; round++) {
		char *first = arena_alloc(&arena, 100);

		if (round == 0)
			freed = first;
		check(first == freed); /* the same steps from the same state */
		memset(kept, 'x', 100);
		memset(large, 'x', 50000);
		check(arena_realloc(&arena, large, 10) != NULL);
		for (int i = 0; i < 1000; i++)
			memset(arena_alloc(&arena, 5000), 'y', 5000);
		check(snapshot_revert(&snapshot));
		check(is_filled((unsigned char *)kept, 100, 'k'));
		check(is_filled((unsigned char *)large, 100000, 'l'));
		check_int(arena_used(&arena), ==, used);
		check_int(arena_extent(&arena), ==, extent);
	}
	snapshot_fini(&snapshot);
	arena_fini(&arena);
}

static void
what_is_shared_and_what_is_frozen_are_both_restored(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = 200;
	unsigned char *shared, *later;

	begin();
	shared = arena_alloc(&arena, pages * page);
	memset(shared, 's', pages * page);
	snapshot_init(&snapshot, &arena);
	check_int(snapshot_share(&snapshot, &error), ==, SL_OK);
	later = arena_alloc(&arena, 10 * page);
	memset(later, 'l', 10 * page);
	memset(shared + 50 * page, 'c', 3 * page); /* most of it stays as shared */
	freeze();
	for (int round = 0; round < 5; round++) {
		memset(shared, 'x', pages * page);
		memset(later, 'x', 10 * page);
		check(snapshot_revert(&snapshot));
		check(is_filled(shared, 50 * page, 's'));
		check(is_filled(shared + 50 * page, 3 * page, 'c'));
		check(is_filled(shared + 53 * page, (pages - 53) * page, 's'));
		check(is_filled(later, 10 * page, 'l'));
	}
	snapshot_fini(&snapshot);
	arena_fini(&arena);
}

/* The first runs teach which pages to copy back: others, and more than are copied, are restored as
 * well. */
static void
pages_that_no_earlier_run_wrote_are_restored_too(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = 1500, extent;
	unsigned char *kept, *fresh;

	begin();
	kept = arena_alloc(&arena, pages * page);
	memset(kept, 'k', pages * page);
	freeze();
	extent = arena_extent(&arena);
	for (size_t round = 0; round < 8; round++) {
		for (size_t at = round % 5; at < pages; at += round < 2 ? 50 : 5)
			kept[at * page] = 'x';
		fresh = arena_alloc(&arena, (size_t)4096 << (2 * (round % 5)));
		memset(fresh, 'x', (size_t)4096 << (2 * (round % 5)));
		check(snapshot_revert(&snapshot));
		check(is_filled(kept, pages * page, 'k'));
		check(is_filled((unsigned char *)arena.state + extent, 4 << 20, 0));
	}
	snapshot_fini(&snapshot);
	arena_fini(&arena);
}

static long
faults(void)
{
	struct rusage usage;

	check(getrusage(RUSAGE_SELF, &usage) == 0);
	return usage.ru_minflt;
}

/* The runs read all of a heap and write the same bytes to some of it; later ones write elsewhere. */
static void
after_some_runs_there_are_no_faults_but_for_what_is_new(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = 1000;
	volatile unsigned char *kept;
	long before = 0;

	begin();
	kept = arena_alloc(&arena, pages * page);
	memset((unsigned char *)(uintptr_t)kept, 'k', pages * page);
	freeze();
	for (size_t round = 0; round < 60; round++) {
		if (round == 50)
			before = faults();
		for (size_t at = 0; at < pages; at++) {
			if (kept[at * page] == 'k' && at % 100 == 7)
				kept[at * page] = 'k';
		}
		check(snapshot_revert(&snapshot));
	}
	if (watch) {
		check_int(faults() - before, <, 20);
		check_int(snapshot.windows, ==, 0);
	}
	kept[500 * page] = 'x';
	kept[501 * page] = 'x';
	check_int(snapshot.windows, ==, watch ? 1 : 0);
	check(snapshot_revert(&snapshot));
	check(is_filled((unsigned char *)(uintptr_t)kept, pages * page, 'k'));
	snapshot_fini(&snapshot);
	arena_fini(&arena);
}

/* For builds with a sanitizer, whose own handler would turn the signal into an exit status. */
const char *__asan_default_options(void);
const char *
__asan_default_options(void)
{
	return "handle_segv=0";
}

static void
read_nowhere(void)
{
	const volatile char *nowhere =
	    mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	_exit(*nowhere);
}

static void
a_fault_that_is_no_write_to_the_heap_ends_the_process(void)
{
	struct rlimit none = {0, 0};
	int status = 0;
	pid_t pid;

	begin();
	freeze();
	pid = fork();
	if (pid == 0) {
		(void)setrlimit(RLIMIT_CORE, &none);
		read_nowhere();
	}
	check(pid > 0 && waitpid(pid, &status, 0) == pid);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	snapshot_fini(&snapshot);
	arena_fini(&arena);
}

/* What a process that has been taken over may leave for others of its version. */
static void
memory_that_holds_no_frozen_heap_is_not_adopted(void)
{
	struct {
		uint64_t extent, count, at, len;
	} table;
	const uint64_t odd[][4] = {{0, 0, 0, 0},
				   {4095, 0, 0, 0},
				   {8192, 5000, 0, 4096},
				   {8192, 1, 1, 4096},
				   {8192, 1, 0, 0},
				   {8192, 1, 8192, 4096},
				   {8192, 1, 4096, UINT64_MAX - 4095},
				   {UINT64_MAX - 4095, 0, 0, 0}};

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		int fd = snapshot_open();

		begin();
		snapshot_init(&snapshot, &arena);
		memcpy(&table, odd[i], sizeof(table));
		check(fd >= 0 && ftruncate(fd, (off_t)arena.size) == 0);
		check(pwrite(fd, &table, sizeof(table), (off_t)(arena.size - 16384)) ==
		      (ssize_t)sizeof(table));
		check(!snapshot_adopt(&snapshot, fd));
		close(fd);
		snapshot_fini(&snapshot);
		arena_fini(&arena);
	}
}

static void
a_frozen_heap_cannot_be_written_through_its_descriptor(void)
{
	int fd = snapshot_open();

	begin();
	snapshot_init(&snapshot, &arena);
	arena_close_holes(&arena);
	check(fd >= 0 && snapshot_freeze(&snapshot, fd));
	check(pwrite(fd, "x", 1, 0) < 0 && ftruncate(fd, 0) != 0);
	check(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) != 0);
	close(fd);
	snapshot_fini(&snapshot);
	arena_fini(&arena);
}

/* --- A whole runner in this process. --- */

#define MODULE(body) "exports.default = {type: 'action', exec: function (nango, input) {" body "}};"

static struct runner runner;
static int daemon_end = -1;

static void
runner_start(const char *code)
{
	struct buf problem;
	int ends[2];

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	daemon_end = ends[0] == SANDBOX_SOCKET ? ends[1] : ends[0];
	if (ends[0] != SANDBOX_SOCKET && ends[1] != SANDBOX_SOCKET) {
		check(dup2(ends[1], SANDBOX_SOCKET) == SANDBOX_SOCKET);
		close(ends[1]);
	}
	check(fcntl(daemon_end, F_SETFL, O_NONBLOCK) == 0);
	runner = (struct runner){.by_snapshot = true, .memory = -1};
	buf_init(&runner.in, RUNNER_FRAME_MAX);
	buf_init(&problem, 65536);
	check_int(arena_init(&runner.arena, &runner, HEAP, &error), ==, SL_OK);
	check_int(digest_open(&runner.digests, &error), ==, SL_OK);
	check_int(script_boot(&runner, &error), ==, SL_OK);
	arena_set_room(&runner.arena, HEAP);
	snapshot_init(&runner.snapshot, &runner.arena);
	check_int(snapshot_share(&runner.snapshot, &error), ==, SL_OK);
	if (watch)
		snapshot_watch(&runner.snapshot);
	run_prepare(&runner);
	check(runner.by_snapshot);
	check(script_load(&runner, SLICE_LITERAL("test"), SLICE_LITERAL("test.cjs"),
			  slice_text(code), &problem));
	run_freeze(&runner);
	buf_fini(&problem);
}

/* Up to, and not with, run_end(). */
static void
execute(int64_t id, const char *input)
{
	struct run_outcome outcome;

	runner.run_id = id;
	check_int(run_begin(&runner, 10000, &outcome), ==, RUN_INSIDE);
	script_run(&runner, SLICE_LITERAL("action"), slice_text(input),
		   SLICE_LITERAL("{\"connectionId\":\"c\"}"));
	check(runner.done);
}

/* What has been sent since. */
static size_t
sent(char *out, size_t size)
{
	ssize_t got = read(daemon_end, out, size - 1);

	check(got > 0);
	out[got] = '\0';
	return (size_t)got;
}

static void
runner_stop(void)
{
	close(daemon_end);
	close(SANDBOX_SOCKET);
	timer_delete(runner.cpu_timer);
	digest_fini(&runner.digests);
	buf_fini(&runner.in);
	buf_fini(&runner.file);
	snapshot_fini(&runner.snapshot);
	arena_fini(&runner.arena);
}

/* All of the arena's range that is there; what was never touched reads as zeros. */
static int
count_in_arena(const char *text)
{
	const char *at = (const char *)runner.arena.state;
	const char *end = at + arena_extent(&runner.arena) + (8 << 20);
	int count = 0;

	while ((at = memmem(at, (size_t)(end - at), text, strlen(text))) != NULL) {
		count++;
		at++;
	}
	return count;
}

static void
no_byte_of_a_runs_data_is_in_the_arena_after_it(void)
{
	char bytes[65536];

	runner_start("var kept = [];" MODULE(
	    "kept.push(input); globalThis.g = input.a; Object.prototype.p = input.a;"
	    "setTimeout(function () { return input; }, 100000);"
	    "return {got: input.a + '!', up: input.a.toUpperCase(), bytes: Buffer.from(input.a)};"));
	for (int round = 0; round < 5; round++) {
		execute(round + 1, "{\"a\":\"cAnArYoFaRuN\",\"b\":[\"cAnArYoFaRuN\"]}");
		check(sent(bytes, sizeof(bytes)) > 0);
		check_int(count_in_arena("cAnArYoFaRuN"), >, 2);
		check_int(count_in_arena("CANARYOFARUN"), >, 0);
		run_end(&runner);
		check_int(count_in_arena("cAnArYoFaRuN"), ==, 0);
		check_int(count_in_arena("CANARYOFARUN"), ==, 0);
	}
	runner_stop();
}

/* Texts with more than ASCII, too, pass through buffers outside of the arena. */
static void
nothing_of_a_run_is_left_outside_the_arena(void)
{
	char bytes[65536];

	runner_start(MODULE("setTimeout(function () {}, 100000); setInterval(function () {}, 5e4);"
			    "return input;"));
	execute(1, "{\"a\":\"gr\xc3\xbc\xc3\x9f\"}");
	check(sent(bytes, sizeof(bytes)) > 0);
	check_int(runner.timers.count, ==, 2);
	run_end(&runner);
	check_int(runner.timers.count, ==, 0);
	check(runner.timers.heap == NULL);
	check_int(runner.run_id, ==, 0);
	check(!runner.done);
	for (int i = 0; i < SCRATCHES; i++)
		check(runner.scratch[i].data == NULL);
	runner_stop();
}

/* The text fits beside the heap but not into it, so its C function is left by longjmp. */
static void
a_buffer_left_behind_by_an_error_is_freed(void)
{
	char bytes[65536];
	struct mallinfo2 before = mallinfo2(), now;

	runner_start(MODULE("var b = new Uint8Array(12 << 20).buffer; try { return"
			    " Buffer.from(b).toString('hex'); } catch (e) { return 'caught'; }"));
	for (int round = 1; round <= 3; round++) {
		execute(round, "{}");
		check(sent(bytes, sizeof(bytes)) > 0);
		check(memmem(bytes, sizeof(bytes), "caught", 6) != NULL);
		run_end(&runner);
		for (int i = 0; i < SCRATCHES; i++)
			check(runner.scratch[i].data == NULL);
	}
	now = mallinfo2();
	check_int(now.uordblks + now.hblkhd, <, before.uordblks + before.hblkhd + (4 << 20));
	runner_stop();
}

static void
much_garbage_of_a_module_is_not_frozen(void)
{
	runner_start(
	    "for (var i = 0; i < 12; i++) { var o = {b: new Uint8Array(1 << 20)}; o.o = o; }"
	    "o = null;" MODULE("return 1;"));
	check_int(runner.used_before, >, 1 << 20);
	check_int(arena_used(&runner.arena), <, runner.used_before + (3 << 20));
	runner_stop();
}

static void
an_equal_run_from_the_same_state_leaves_equal_bytes_behind(void)
{
	char first[65536], second[65536];
	size_t len;

	runner_start("var n = 0;" MODULE("n++; return n;"));
	execute(1, "{}");
	len = sent(first, sizeof(first));
	run_end(&runner);
	execute(1, "{}");
	check_int(sent(second, sizeof(second)), ==, len);
	check(memcmp(first, second, len) == 0);
	run_end(&runner);
	runner_stop();
}

static void
run_snapshots(void)
{
	CHECK_RUN(a_revert_restores_bytes_and_the_allocator);
	CHECK_RUN(what_is_shared_and_what_is_frozen_are_both_restored);
	CHECK_RUN(pages_that_no_earlier_run_wrote_are_restored_too);
	CHECK_RUN(after_some_runs_there_are_no_faults_but_for_what_is_new);
	CHECK_RUN(a_fault_that_is_no_write_to_the_heap_ends_the_process);
	CHECK_RUN(no_byte_of_a_runs_data_is_in_the_arena_after_it);
	CHECK_RUN(nothing_of_a_run_is_left_outside_the_arena);
	CHECK_RUN(an_equal_run_from_the_same_state_leaves_equal_bytes_behind);
}

int
main(void)
{
	CHECK_RUN(blocks_keep_their_bytes_whatever_happens_to_others);
	CHECK_RUN(what_was_freed_is_handed_out_again);
	CHECK_RUN(a_growing_array_leaves_no_holes_that_stay_empty);
	CHECK_RUN(the_cap_refuses_and_freeing_makes_room_again);
	CHECK_RUN(a_heap_that_goes_on_asking_ends_its_process);
	CHECK_RUN(a_frozen_heap_cannot_be_written_through_its_descriptor);
	CHECK_RUN(memory_that_holds_no_frozen_heap_is_not_adopted);
	CHECK_RUN(a_buffer_left_behind_by_an_error_is_freed);
	CHECK_RUN(much_garbage_of_a_module_is_not_frozen);
	run_snapshots();
	printf("# writes are watched\n");
	watch = true;
	run_snapshots();
	return check_done();
}
