/* tests/unit/test_runtime_rig.h - one pool with a runner, and jobs on it that remember what they
 * saw. */
#ifndef SLUICE_TESTS_TEST_RUNTIME_RIG_H
#define SLUICE_TESTS_TEST_RUNTIME_RIG_H

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "runtime/pool.h"
#include "tests/lib/check.h"

#define WAIT_MS 20000 /* for what must happen; generous, for machines under load */
#define HEAP (32 << 20)
#define SAFE_MS 15000

struct job {
	struct run *run;
	bool ended;
	enum run_end end;
	struct run_death death;
	char payload[2048], text[256];
	int calls;
	int64_t call_id;
	char op[32], meta[2048], body[128];
	size_t body_len;
	bool answer; /* reply from inside on_call */
};

static const char context[] =
    "{\"environmentName\":\"dev\",\"environmentId\":1,\"connectionId\":\"conn\","
    "\"providerConfigKey\":\"unit\",\"provider\":\"unit\",\"functionName\":\"test\",\"jobId\":\"j\","
    "\"attempt\":1,\"syncId\":null,\"lastSyncDate\":null,\"variant\":\"base\","
    "\"loggerLevel\":\"info\",\"environmentVariables\":null}";

static const char *runner_path;
static struct loop *loop;
static struct pool *pool;
static enum pool_isolation isolation; /* all tests are run with each */

static inline void
copy(char *out, size_t size, struct slice in)
{
	size_t len = in.len < size - 1 ? in.len : size - 1;

	memcpy(out, in.data, len);
	out[len] = '\0';
}

static inline void
on_call(void *arg, struct run *run, int64_t call_id, struct slice op, struct slice meta,
	struct slice body)
{
	struct job *job = arg;

	job->calls++;
	job->call_id = call_id;
	copy(job->op, sizeof(job->op), op);
	copy(job->meta, sizeof(job->meta), meta);
	copy(job->body, sizeof(job->body), body);
	job->body_len = body.len;
	if (job->answer && call_id != 0)
		run_reply(run, call_id, true, SLICE_LITERAL("{}"), SLICE_LITERAL(""));
}

static inline void
on_end(void *arg, struct run *run, enum run_end end, struct slice payload, const char *text)
{
	struct job *job = arg;

	check(run == job->run);
	check(!job->ended);
	job->ended = true;
	job->end = end;
	job->death = run_death(run);
	copy(job->payload, sizeof(job->payload), payload);
	copy(job->text, sizeof(job->text), slice_text(text));
}

static const struct run_events events = {on_call, on_end};

static inline struct pool_settings
settings(void)
{
	return (struct pool_settings){.runner_path = runner_path,
				      .processes_max = 2,
				      .heap_bytes = HEAP,
				      .idle_ms = 60000,
				      .cpu_ms = 10000,
				      .isolation = isolation};
}

static inline void
start_with(struct pool_settings with)
{
	struct sl_error error = {0};

	loop = loop_new();
	check_int(pool_new(loop, &with, &pool, &error), ==, SL_OK);
}

static inline void
stop(void)
{
	pool_free(pool);
	pool = NULL;
	loop_free(loop);
	loop = NULL;
}

static inline enum sl_code
try_submit(struct job *job, int64_t version, int64_t environment, const char *code,
	   const char *input, int64_t deadline_ms)
{
	struct pool_function function = {.version_id = version,
					 .environment_id = environment,
					 .name = "test",
					 .file = "test-unit.cjs",
					 .code = code,
					 .code_len = strlen(code),
					 .job = "job-of-the-test"};
	struct sl_error error = {0};

	job->ended = false;
	return pool_run(pool, &function, "action", slice_text(input), slice_text(context),
			deadline_ms, &events, job, &job->run, &error);
}

static inline void
submit(struct job *job, int64_t version, const char *code, int64_t deadline_ms)
{
	check_int(try_submit(job, version, 1, code, "{}", deadline_ms), ==, SL_OK);
}

static inline void
wait_end(struct job *job)
{
	int64_t until = clock_mono_ms() + WAIT_MS;

	while (!job->ended && clock_mono_ms() < until)
		loop_turn(loop, 50);
	check(job->ended);
}

static inline void
wait_calls(struct job *job, int calls)
{
	int64_t until = clock_mono_ms() + WAIT_MS;

	while (job->calls < calls && !job->ended && clock_mono_ms() < until)
		loop_turn(loop, 50);
	check_int(job->calls, >=, calls);
}

static inline void
pass_ms(int64_t ms)
{
	int64_t until = clock_mono_ms() + ms;

	while (clock_mono_ms() < until)
		loop_turn(loop, 10);
}

static inline struct job
run_code(int64_t version, const char *code, int64_t deadline_ms)
{
	static struct job job; /* a run that ends after this returned finds it */

	memset(&job, 0, sizeof(job));
	submit(&job, version, code, deadline_ms);
	wait_end(&job);
	return job;
}

#endif
