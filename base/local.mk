# base: what every layer needs and none owns.
noinst_LIBRARIES += libbase.a
libbase_a_SOURCES = \
	base/alloc.c base/alloc.h \
	base/buf.c base/buf.h \
	base/clock.c base/clock.h \
	base/config.c base/config.h base/config_value.c base/config_value.h \
	base/envelope.c base/envelope.h \
	base/envelope_call.c base/envelope_part.h \
	base/error.c base/error.h \
	base/fault.c base/fault.h \
	base/frame.c base/frame.h \
	base/interval.c base/interval.h \
	base/job.c base/job.h \
	base/json.c base/json.h base/json_check.c base/json_key.c base/json_key.h base/json_write.c \
	base/json_merge.c base/json_merge.h \
	base/json_sort.c \
	base/log.c base/log.h \
	base/loop.c base/loop.h \
	base/map.c base/map.h \
	base/metric.c base/metric.h base/metrics.c base/metrics.h \
	base/secret.c base/secret.h base/secret_text.c \
	base/utf8.h
libbase_a_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS) $(MSGPACK_CFLAGS) $(OPENSSL_CFLAGS)

# A unit test links only what its folder may use, so the linker holds the layers too.
base_tests = test_buf \
	test_clock \
	test_config \
	test_envelope \
	test_error \
	test_frame \
	test_interval \
	test_json \
	test_json_merge \
	test_log \
	test_loop \
	test_map \
	test_metric \
	test_secret
check_PROGRAMS += $(base_tests)
TESTS += $(base_tests)
base_test_libs = libbase.a $(LIBEVENT_LIBS) $(MSGPACK_LIBS) $(OPENSSL_LIBS)
test_buf_SOURCES = tests/unit/test_buf.c tests/lib/check.h
test_buf_LDADD = $(base_test_libs)
test_clock_SOURCES = tests/unit/test_clock.c
test_clock_LDADD = $(base_test_libs)
test_config_SOURCES = tests/unit/test_config.c
test_config_LDADD = $(base_test_libs)
test_envelope_SOURCES = tests/unit/test_envelope.c
test_envelope_LDADD = $(base_test_libs)
test_error_SOURCES = tests/unit/test_error.c
test_error_LDADD = $(base_test_libs)
test_frame_SOURCES = tests/unit/test_frame.c
test_frame_LDADD = $(base_test_libs)
test_interval_SOURCES = tests/unit/test_interval.c
test_interval_LDADD = $(base_test_libs)
test_json_SOURCES = tests/unit/test_json.c
test_json_LDADD = $(base_test_libs)
test_json_merge_SOURCES = tests/unit/test_json_merge.c
test_json_merge_LDADD = $(base_test_libs)
test_log_SOURCES = tests/unit/test_log.c
test_log_LDADD = $(base_test_libs)
test_loop_SOURCES = tests/unit/test_loop.c
test_loop_LDADD = $(base_test_libs)
test_map_SOURCES = tests/unit/test_map.c
test_map_LDADD = $(base_test_libs)
test_metric_SOURCES = tests/unit/test_metric.c
test_metric_LDADD = $(base_test_libs) -lm
test_secret_SOURCES = tests/unit/test_secret.c
test_secret_LDADD = $(base_test_libs)
