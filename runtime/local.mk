# runtime: customer code in a process of its own; libruntime.a is the daemon's end.
noinst_LIBRARIES += libruntime.a
libruntime_a_SOURCES = \
	runtime/channel.c runtime/channel.h \
	runtime/landlock.c runtime/landlock.h \
	runtime/pool.c runtime/pool.h runtime/pool_internal.h \
	runtime/pool_end.c runtime/pool_image.c runtime/pool_process.c runtime/pool_zygote.c \
	runtime/sandbox.c runtime/sandbox.h \
	runtime/text.c runtime/text.h \
	runtime/wire.c runtime/wire.h
libruntime_a_CPPFLAGS = $(AM_CPPFLAGS) $(SECCOMP_CFLAGS)

libexec_PROGRAMS += sluice-runner
runner_parts = \
	runtime/runner.h runtime/bytecode.h \
	runtime/arena.c runtime/arena.h \
	runtime/binding.c runtime/binding.h \
	runtime/digest.c runtime/digest.h \
	runtime/function.c runtime/run.c runtime/script.c \
	runtime/inflate.c runtime/inflate.h \
	runtime/number.c runtime/number.h \
	runtime/snapshot.c runtime/snapshot.h \
	runtime/timers.c runtime/timers.h \
	runtime/unicode.c runtime/unicode.h \
	runtime/zygote.c
runner_sources = runtime/runner_main.c $(runner_parts)
sluice_runner_SOURCES = $(runner_sources)
nodist_sluice_runner_SOURCES = runtime/bytecode.c
sluice_runner_CPPFLAGS = $(AM_CPPFLAGS) $(SECCOMP_CFLAGS) $(OPENSSL_CFLAGS) $(ICU_CFLAGS) $(ZLIB_CFLAGS)
sluice_runner_LDADD = libruntime.a libbase.a $(DUKTAPE_LIBS) $(SECCOMP_LIBS) $(OPENSSL_LIBS) $(MSGPACK_LIBS) $(ICU_LIBS) $(ZLIB_LIBS)

# The same runner with a prelude of a few lines, for tests of the C side alone.
check_PROGRAMS += sluice-runner-mini
sluice_runner_mini_SOURCES = $(runner_sources)
nodist_sluice_runner_mini_SOURCES = runtime/bytecode_mini.c
sluice_runner_mini_CPPFLAGS = $(sluice_runner_CPPFLAGS)
sluice_runner_mini_LDADD = $(sluice_runner_LDADD)
EXTRA_DIST += tests/unit/fixtures/mini_prelude.js

# The runner's inside without its main, for fuzz targets.
check_LIBRARIES += librunner.a
librunner_a_SOURCES = $(runner_parts)
nodist_librunner_a_SOURCES = runtime/bytecode_mini.c
librunner_a_CPPFLAGS = $(sluice_runner_CPPFLAGS)

noinst_PROGRAMS += mkbytecode
mkbytecode_SOURCES = runtime/mkbytecode.c
mkbytecode_LDADD = libruntime.a libbase.a $(DUKTAPE_LIBS)

# The prelude is made from a checkout with Node and is shipped in the tarball; its bytecode is made
# here, by the Duktape that will load it.
prelude_sources = \
	runtime/prelude/src/arguments.js \
	runtime/prelude/src/arrays.js \
	runtime/prelude/src/bytes.js \
	runtime/prelude/src/calls.js \
	runtime/prelude/src/collections.js \
	runtime/prelude/src/core.js \
	runtime/prelude/src/crypto.js \
	runtime/prelude/src/date.js \
	runtime/prelude/src/errors.js \
	runtime/prelude/src/failure.js \
	runtime/prelude/src/fetch.js \
	runtime/prelude/src/helpers.js \
	runtime/prelude/src/http.js \
	runtime/prelude/src/intl.js \
	runtime/prelude/src/jobs.js \
	runtime/prelude/src/json.js \
	runtime/prelude/src/legacy_url.js \
	runtime/prelude/src/main.js \
	runtime/prelude/src/messages.js \
	runtime/prelude/src/modules.js \
	runtime/prelude/src/objects.js \
	runtime/prelude/src/paginate.js \
	runtime/prelude/src/sdk.js \
	runtime/prelude/src/stream.js \
	runtime/prelude/src/strings.js \
	runtime/prelude/src/symbols.js \
	runtime/prelude/src/timers.js \
	runtime/prelude/src/unzip.js \
	runtime/prelude/src/url.js \
	runtime/prelude/src/zod.js
EXTRA_DIST += runtime/prelude/prelude.js $(prelude_sources)
CLEANFILES += runtime/bytecode.c runtime/bytecode_mini.c

$(srcdir)/runtime/prelude/prelude.js: $(srcdir)/compiler/package-lock.json $(prelude_sources)
	$(AM_V_GEN)cd $(srcdir)/compiler && { test -d node_modules || npm ci --no-audit --no-fund --loglevel=error; } && \
	$(NODE) bin/build-prelude.mjs $(abs_srcdir)/runtime/prelude/prelude.js

runtime/bytecode.c: $(srcdir)/runtime/prelude/prelude.js mkbytecode$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) runtime && ./mkbytecode$(EXEEXT) $(srcdir)/runtime/prelude/prelude.js $@.tmp && mv $@.tmp $@

# Unit tests; the pool drives the real sluice-runner (SLUICE_TEST_RUNNER).
runtime_tests = test_runtime_text \
	test_runtime_pool test_runtime_walls test_runtime_warm
check_PROGRAMS += $(runtime_tests)
TESTS += $(runtime_tests)
test_runtime_text_SOURCES = tests/unit/test_runtime_text.c
test_runtime_text_LDADD = libruntime.a $(base_test_libs)
test_runtime_pool_SOURCES = tests/unit/test_runtime_pool.c
test_runtime_pool_CPPFLAGS = $(AM_CPPFLAGS) $(SECCOMP_CFLAGS)
test_runtime_pool_LDADD = libruntime.a $(base_test_libs) $(SECCOMP_LIBS)
test_runtime_walls_SOURCES = tests/unit/test_runtime_walls.c tests/unit/test_runtime_rig.h
test_runtime_walls_CPPFLAGS = $(AM_CPPFLAGS) $(SECCOMP_CFLAGS)
test_runtime_walls_LDADD = libruntime.a $(base_test_libs) $(SECCOMP_LIBS)
test_runtime_warm_SOURCES = tests/unit/test_runtime_warm.c tests/unit/test_runtime_rig.h
test_runtime_warm_LDADD = libruntime.a $(base_test_libs)

runtime/bytecode_mini.c: $(srcdir)/tests/unit/fixtures/mini_prelude.js mkbytecode$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) runtime && ./mkbytecode$(EXEEXT) $(srcdir)/tests/unit/fixtures/mini_prelude.js $@.tmp && mv $@.tmp $@

check_PROGRAMS += test_runtime_arena test_runtime_sandbox test_runtime_prelude
TESTS += test_runtime_arena test_runtime_sandbox test_runtime_prelude
test_runtime_arena_SOURCES = tests/unit/test_runtime_arena.c $(runner_parts)
nodist_test_runtime_arena_SOURCES = runtime/bytecode.c
test_runtime_arena_CPPFLAGS = $(sluice_runner_CPPFLAGS)
test_runtime_arena_LDADD = $(sluice_runner_LDADD)
test_runtime_sandbox_SOURCES = tests/unit/test_runtime_sandbox.c
test_runtime_sandbox_CPPFLAGS = $(AM_CPPFLAGS) $(SECCOMP_CFLAGS)
test_runtime_sandbox_LDADD = libruntime.a libbase.a $(SECCOMP_LIBS)
test_runtime_prelude_SOURCES = tests/unit/test_runtime_prelude.c tests/unit/test_runtime_rig.h
test_runtime_prelude_LDADD = libruntime.a libbase.a $(LIBEVENT_LIBS) $(MSGPACK_LIBS)
