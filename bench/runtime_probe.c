/* runtime-probe RUNNER snapshot|fork COMMAND ... - what bench/runtime measures of the runners, one JSON
 * object a line on stdout.
 *
 *   run FILE INPUT COUNT     CPU time of a warm run, in the function's process and here
 *   turns FILE INPUT COUNT VERSIONS PROCESSES
 *                            likewise, a row for each of COUNT rounds in which VERSIONS versions take turns
 *   first WAY FILE..         wall time of the first run of each, the best of TRIES processes; WAY: cold,
 *                            warmed (loaded ahead), image (after its process has been evicted)
 *   wait FILE COUNT          memory of COUNT runs of one version that wait for an answer
 *
 * It is the daemon's end of a pool without the daemon.  To read other processes' memory it must be
 * root, as the runners forbid it to everyone else. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/loop.h"
#include "runtime/pool.h"

#define TRIES 3
#define WARM_RUNS 50
#define RUN_MS 60000
#define WAIT_MAX 256
#define PIDS_MAX 512
#define PROCESSES 4

static const char context[] =
    "{\"environmentName\":\"dev\",\"environmentId\":1,\"connectionId\":\"c\","
    "\"providerConfigKey\":\"b\",\"provider\":\"b\",\"functionName\":\"bench\",\"jobId\":null,"
    "\"attempt\":1,\"variant\":\"base\",\"loggerLevel\":\"warn\"}";

struct probe {
	struct loop *loop;
	struct pool *pool;
	int open;     /* runs that have not ended */
	int asked;    /* of them, those that wait for an answer */
	bool failed;  /* a run ended otherwise than well */
	bool answers; /* calls are answered, with an error */
	bool warming;
};

struct cpu {
	double function_us, own_us;
};

static void
on_call(void *arg, struct run *run, int64_t call_id, struct slice op, struct slice meta,
	struct slice body)
{
	struct probe *probe = arg;

	(void)op;
	(void)meta;
	(void)body;
	if (call_id == 0)
		return;
	probe->asked++;
	if (probe->answers)
		run_reply(run, call_id, false,
			  SLICE_LITERAL("{\"code\":\"none\",\"message\":\"none\"}"),
			  SLICE_LITERAL(""));
}

static void
on_end(void *arg, struct run *run, enum run_end end, struct slice payload, const char *text)
{
	struct probe *probe = arg;

	(void)run;
	probe->open--;
	if (end != RUN_OK && end != RUN_ABORTED && !probe->answers) {
		probe->failed = true;
		fprintf(stderr, "runtime-probe: %s: %.*s\n", text, (int)payload.len, payload.data);
	}
}

static const struct run_events events = {on_call, on_end};

static char *
read_file(const char *path, size_t *len)
{
	FILE *file = fopen(path, "rb");
	struct buf text;
	char part[65536];
	size_t got;

	buf_init(&text, 64u << 20);
	while (file != NULL && (got = fread(part, 1, sizeof(part), file)) > 0)
		buf_add(&text, part, got);
	if (file == NULL || ferror(file) != 0) {
		fprintf(stderr, "runtime-probe: %s cannot be read\n", path);
		exit(1);
	}
	fclose(file);
	*len = text.len;
	buf_add_char(&text, '\0');
	return text.data;
}

static void
submit(struct probe *probe, const struct pool_function *function, const char *input)
{
	struct sl_error error = {0};
	struct run *run;

	while (pool_run(probe->pool, function, "action", slice_text(input), slice_text(context),
			RUN_MS, &events, probe, &run, &error) != SL_OK)
		loop_turn(probe->loop, 1);
	probe->open++;
}

static void
finish(struct probe *probe)
{
	while (probe->open > 0)
		loop_turn(probe->loop, 100);
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static int
children_of(pid_t pid, pid_t *out, int max)
{
	char path[80];
	FILE *file;
	int count = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	file = fopen(path, "r");
	while (file != NULL && count < max && fscanf(file, "%d", &out[count]) == 1)
		count++;
	if (file != NULL)
		fclose(file);
	return count;
}

/* The function processes: the children of our only child. */
static int
functions(pid_t *out)
{
	pid_t zygote;

	return children_of(getpid(), &zygote, 1) == 1 ? children_of(zygote, out, PIDS_MAX) : 0;
}

/* Of the process alone, in nanoseconds, and of children it has waited for, in ticks. */
static double
cpu_us(pid_t pid)
{
	long long own = 0, user = 0, sys = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
	file = fopen(path, "r");
	if (file == NULL || fscanf(file, "%lld", &own) != 1)
		own = 0;
	if (file != NULL)
		fclose(file);
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "r");
	if (file == NULL ||
	    fscanf(file, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %lld %lld",
		   &user, &sys) != 2)
		user = sys = 0;
	if (file != NULL)
		fclose(file);
	return (double)own / 1e3 + (double)(user + sys) * 1e6 / (double)sysconf(_SC_CLK_TCK);
}

static struct cpu
cpu_now(void)
{
	struct rusage usage;
	struct cpu cpu = {0};
	pid_t pid[PIDS_MAX];
	int count = functions(pid);

	for (int i = 0; i < count; i++)
		cpu.function_us += cpu_us(pid[i]);
	getrusage(RUSAGE_SELF, &usage);
	cpu.own_us = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e6 +
		     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
	return cpu;
}

static void
measure_run(struct probe *probe, const char *path, const char *input, int count)
{
	struct pool_function function = {.version_id = 1, .environment_id = 1, .name = "bench"};
	struct cpu before, after;

	function.file = "bench.cjs";
	function.code = read_file(path, &function.code_len);
	probe->answers = true;
	for (int i = 0; i < (count < WARM_RUNS ? 3 : WARM_RUNS); i++) {
		submit(probe, &function, input);
		finish(probe);
	}
	before = cpu_now();
	for (int i = 0; i < count; i++) {
		submit(probe, &function, input);
		finish(probe);
	}
	after = cpu_now();
	printf("{\"function_us\":%.2f,\"own_us\":%.2f}\n",
	       (after.function_us - before.function_us) / count,
	       (after.own_us - before.own_us) / count);
	free((char *)(uintptr_t)function.code);
}

/* Runs of a round: enough for the clock that counts CPU time, few enough for many rounds. */
#define ROUND_RUNS 1000
#define WARM_ROUNDS 30

static void
measure_turns(struct probe *probe, const char *path, const char *input, int rounds, int versions)
{
	struct pool_function function = {.environment_id = 1, .name = "bench", .file = "bench.cjs"};
	struct cpu before, after;
	int64_t began;

	function.code = read_file(path, &function.code_len);
	probe->answers = true;
	for (int round = -1; round < rounds; round++) {
		int runs = round < 0 ? WARM_ROUNDS * versions : ROUND_RUNS;

		before = cpu_now();
		began = clock_mono_us();
		for (int i = 0; i < runs; i++) {
			function.version_id = 1 + i % versions;
			submit(probe, &function, input);
			finish(probe);
		}
		after = cpu_now();
		if (round >= 0)
			printf("{\"function_us\":%.2f,\"own_us\":%.2f,\"wall_us\":%.2f}\n",
			       (after.function_us - before.function_us) / runs,
			       (after.own_us - before.own_us) / runs,
			       (double)(clock_mono_us() - began) / runs);
		fflush(stdout);
	}
	free((char *)(uintptr_t)function.code);
}

static double
now_ms(void)
{
	return (double)clock_mono_us() / 1e3;
}

static void
on_warm(void *arg, enum sl_code code)
{
	(void)code; /* a module that cannot be loaded is told by its run */
	((struct probe *)arg)->warming = false;
}

static void
warm(struct probe *probe, const struct pool_function *function)
{
	struct sl_error error = {0};

	while (pool_warm(probe->pool, function, on_warm, probe, &error) != SL_OK)
		loop_turn(probe->loop, 1);
	probe->warming = true;
	while (probe->warming)
		loop_turn(probe->loop, 100);
}

static void
measure_first(struct probe *probe, const char *way, const char *path, int64_t *version)
{
	struct pool_function function = {.environment_id = 1, .name = "bench", .file = "bench.cjs"};
	struct pool_function other = function;
	double wall = 1e9, began;

	function.code = read_file(path, &function.code_len);
	other.code = "module.exports = { default: { type: 'action', exec: function () {} } };";
	other.code_len = strlen(other.code);
	probe->answers = true;
	for (int i = 0; i < TRIES; i++) {
		function.version_id = ++*version;
		if (strcmp(way, "cold") != 0)
			warm(probe, &function);
		for (int j = 0; j < PROCESSES && strcmp(way, "image") == 0; j++) {
			other.version_id = ++*version;
			submit(probe, &other, "{}");
			finish(probe);
		}
		began = now_ms();
		submit(probe, &function, "{}");
		finish(probe);
		if (now_ms() - began < wall)
			wall = now_ms() - began;
	}
	printf("{\"file\":\"%s\",\"wall_ms\":%.3f}\n", basename(path), wall);
	free((char *)(uintptr_t)function.code);
}

/* Fields of smaps_rollup, in KiB. */
static bool
read_memory(pid_t pid, double *private, double *pss, double *rss)
{
	char path[64], line[256];
	double value;
	FILE *file;

	*private = *pss = *rss = 0;
	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	file = fopen(path, "r");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "Private_Clean: %lf", &value) == 1 ||
		    sscanf(line, "Private_Dirty: %lf", &value) == 1)
			*private += value;
		if (sscanf(line, "Pss: %lf", &value) == 1)
			*pss = value;
		if (sscanf(line, "Rss: %lf", &value) == 1)
			*rss = value;
	}
	if (file != NULL)
		fclose(file);
	return *rss > 0;
}

static void
measure_wait(struct probe *probe, const char *path, int count)
{
	struct pool_function function = {.version_id = 1, .environment_id = 1, .name = "bench"};
	double private[WAIT_MAX], pss[WAIT_MAX], rss[WAIT_MAX], sum = 0;
	pid_t pid[PIDS_MAX];
	int found;

	function.file = "bench.cjs";
	function.code = read_file(path, &function.code_len);
	for (int i = 0; i < count; i++)
		submit(probe, &function, "{\"id\":\"1\"}");
	while (probe->asked < count && probe->open == count)
		loop_turn(probe->loop, 100);
	found = functions(pid);
	if (found > WAIT_MAX)
		found = WAIT_MAX;
	for (int i = 0; i < found; i++) {
		if (!read_memory(pid[i], &private[i], &pss[i], &rss[i]))
			probe->failed = true;
		sum += pss[i];
	}
	qsort(private, (size_t)found, sizeof(*private), compare);
	qsort(pss, (size_t)found, sizeof(*pss), compare);
	if (found != count || probe->failed) {
		fprintf(stderr, "runtime-probe: %d processes of %d wait\n", found, count);
		exit(1);
	}
	printf(
	    "{\"processes\":%d,\"private_kb\":%.0f,\"private_max_kb\":%.0f,\"pss_kb\":%.0f,\"sum_pss_kb\":%.0f,"
	    "\"rss_kb\":%.0f}\n",
	    found, private[found / 2], private[found - 1], pss[found / 2], sum, rss[0]);
	free((char *)(uintptr_t)function.code);
}

int
main(int argc, char **argv)
{
	struct pool_settings settings = {
	    .heap_bytes = 128 << 20, .idle_ms = 600000, .cpu_ms = 60000};
	struct probe probe = {0};
	struct sl_error error = {0};
	int64_t version = 0;

	if (argc < 5) {
		fprintf(stderr, "usage: runtime-probe RUNNER snapshot|fork COMMAND ...\n");
		return 2;
	}
	settings.runner_path = argv[1];
	settings.isolation = strcmp(argv[2], "fork") == 0 ? POOL_FORK : POOL_SNAPSHOT;
	settings.processes_max = strcmp(argv[3], "wait") == 0 ? WAIT_MAX : PROCESSES;
	if (strcmp(argv[3], "turns") == 0 && argc == 9)
		settings.processes_max = (int)strtol(argv[8], NULL, 10);
	/* Or they would be too fresh for others to be loaded ahead in their place. */
	if (strcmp(argv[3], "first") == 0)
		settings.idle_ms = 30;
	probe.loop = loop_new();
	if (pool_new(probe.loop, &settings, &probe.pool, &error) != SL_OK) {
		fprintf(stderr, "runtime-probe: %s\n", error.text);
		return 1;
	}
	if (strcmp(argv[3], "run") == 0 && argc == 7)
		measure_run(&probe, argv[4], argv[5], (int)strtol(argv[6], NULL, 10));
	else if (strcmp(argv[3], "turns") == 0 && argc == 9)
		measure_turns(&probe, argv[4], argv[5], (int)strtol(argv[6], NULL, 10),
			      (int)strtol(argv[7], NULL, 10));
	else if (strcmp(argv[3], "wait") == 0 && argc == 6)
		measure_wait(&probe, argv[4], (int)strtol(argv[5], NULL, 10));
	else if (strcmp(argv[3], "first") == 0)
		for (int i = 5; i < argc; i++)
			measure_first(&probe, argv[4], argv[i], &version);
	pool_free(probe.pool);
	loop_free(probe.loop);
	return probe.failed ? 1 : 0;
}
