# queue: Redis, who runs what next.
noinst_LIBRARIES += libqueue.a

libqueue_a_SOURCES = \
	queue/call.c queue/call.h \
	queue/gate.c queue/gate.h \
	queue/health.c queue/health.h \
	queue/ready_ask.c \
	queue/ready_limits.c \
	queue/keys.c queue/keys.h \
	queue/lease.c queue/lease.h \
	queue/lock.c queue/lock.h \
	queue/overview.c queue/overview.h \
	queue/queue.c queue/queue.h queue/core.h \
	queue/ready.c queue/ready.h \
	queue/rebuild.c \
	queue/redis.c queue/redis.h \
	queue/redis_args.c queue/redis_args.h \
	queue/redis_login.c queue/redis_login.h \
	queue/redis_lookup.c queue/redis_lookup.h \
	queue/redis_reply.c queue/redis_reply.h \
	queue/redis_route.c queue/redis_route.h \
	queue/redis_url.c queue/redis_url.h \
	queue/scripts.h
nodist_libqueue_a_SOURCES = queue/scripts.c
libqueue_a_CFLAGS = $(AM_CFLAGS) $(HIREDIS_CFLAGS) $(LIBEVENT_CFLAGS)

# One file per transition; a missing or misnamed one does not compile (enum script_id).
queue_lua = \
	queue/lua/push.lua \
	queue/lua/exchange.lua \
	queue/lua/join.lua \
	queue/lua/expire.lua \
	queue/lua/wake.lua \
	queue/lua/missing.lua \
	queue/lua/position.lua \
	queue/lua/build.lua \
	queue/lua/clear.lua \
	queue/lua/publish.lua \
	queue/lua/lock_acquire.lua \
	queue/lua/lock_release.lua \
	queue/lua/live.lua \
	queue/lua/depth.lua \
	queue/lua/limits.lua \
	queue/lua/overview.lua \
	queue/lua/runs.lua \
	queue/lua/call_push.lua \
	queue/lua/call_take.lua \
	queue/lua/call_withdraw.lua \
	queue/lua/call_answer.lua \
	queue/lua/gate_enter.lua \
	queue/lua/gate_leave.lua \
	queue/lua/gate_list.lua \
	queue/lua/gate_clear.lua

EXTRA_DIST += $(queue_lua) queue/lua/embed.awk
BUILT_SOURCES += queue/scripts.c
CLEANFILES += queue/scripts.c

queue/scripts.c: $(queue_lua) queue/lua/embed.awk queue/local.mk
	$(AM_V_GEN)$(MKDIR_P) queue && cd $(srcdir) && \
	LC_ALL=C $(AWK) -f queue/lua/embed.awk $(queue_lua) > $(abs_builddir)/queue/scripts.c.new && \
	mv $(abs_builddir)/queue/scripts.c.new $(abs_builddir)/$@

# Tests.  Those of tests/integration want SLUICE_TEST_REDIS and exit 77 without it.
queue_tests = test_queue_keys \
	test_queue \
	test_queue_call \
	test_queue_cluster \
	test_queue_depth \
	test_queue_epoch \
	test_queue_faults \
	test_queue_gate \
	test_queue_lock \
	test_queue_model \
	test_queue_pause \
	test_queue_ready \
	test_queue_slots \
	test_queue_long \
	test_redis_url
check_PROGRAMS += $(queue_tests)
TESTS += $(queue_tests)
queue_test_libs = libqueue.a $(base_test_libs) $(HIREDIS_LIBS)
test_queue_keys_SOURCES = tests/unit/test_queue_keys.c
test_queue_keys_LDADD = $(queue_test_libs)
test_queue_SOURCES = tests/integration/test_queue.c tests/integration/queue_rig.h
test_queue_CPPFLAGS = $(AM_CPPFLAGS) $(HIREDIS_CFLAGS)
test_queue_LDADD = $(queue_test_libs)
test_queue_cluster_SOURCES = tests/integration/test_queue_cluster.c
test_queue_cluster_CPPFLAGS = $(AM_CPPFLAGS) $(HIREDIS_CFLAGS)
test_queue_cluster_LDADD = $(queue_test_libs)
test_queue_faults_SOURCES = tests/integration/test_queue_faults.c
test_queue_faults_CPPFLAGS = $(AM_CPPFLAGS) $(HIREDIS_CFLAGS)
test_queue_faults_LDADD = $(queue_test_libs)
test_queue_gate_SOURCES = tests/integration/test_queue_gate.c
test_queue_gate_CPPFLAGS = $(AM_CPPFLAGS) $(HIREDIS_CFLAGS)
test_queue_gate_LDADD = $(queue_test_libs)
test_queue_lock_SOURCES = tests/integration/test_queue_lock.c
test_queue_lock_CPPFLAGS = $(AM_CPPFLAGS) $(HIREDIS_CFLAGS)
test_queue_lock_LDADD = $(queue_test_libs)
test_queue_model_SOURCES = tests/integration/test_queue_model.c
test_queue_model_CPPFLAGS = $(AM_CPPFLAGS) $(HIREDIS_CFLAGS)
test_queue_model_LDADD = $(queue_test_libs)
test_queue_pause_SOURCES = tests/integration/test_queue_pause.c
test_queue_pause_CPPFLAGS = $(AM_CPPFLAGS) $(HIREDIS_CFLAGS)
test_queue_pause_LDADD = $(queue_test_libs)
test_queue_call_SOURCES = tests/integration/test_queue_call.c
test_queue_call_CPPFLAGS = $(AM_CPPFLAGS) $(HIREDIS_CFLAGS)
test_queue_call_LDADD = $(queue_test_libs)
test_queue_depth_SOURCES = tests/integration/test_queue_depth.c
test_queue_depth_CPPFLAGS = $(AM_CPPFLAGS) $(HIREDIS_CFLAGS)
test_queue_depth_LDADD = $(queue_test_libs)
test_queue_long_SOURCES = tests/integration/test_queue_long.c
test_queue_long_CPPFLAGS = $(AM_CPPFLAGS) $(HIREDIS_CFLAGS)
test_queue_long_LDADD = $(queue_test_libs)
test_queue_slots_SOURCES = tests/integration/test_queue_slots.c
test_queue_slots_CPPFLAGS = $(AM_CPPFLAGS) $(HIREDIS_CFLAGS)
test_queue_slots_LDADD = $(queue_test_libs)
test_queue_epoch_SOURCES = tests/integration/test_queue_epoch.c
test_queue_epoch_CPPFLAGS = $(AM_CPPFLAGS) $(HIREDIS_CFLAGS)
test_queue_epoch_LDADD = $(queue_test_libs)
test_queue_ready_SOURCES = tests/integration/test_queue_ready.c
test_queue_ready_CPPFLAGS = $(AM_CPPFLAGS) $(HIREDIS_CFLAGS)
test_queue_ready_LDADD = $(queue_test_libs)
test_redis_url_SOURCES = tests/unit/test_redis_url.c
test_redis_url_CPPFLAGS = $(AM_CPPFLAGS) $(HIREDIS_CFLAGS)
test_redis_url_LDADD = $(queue_test_libs)
