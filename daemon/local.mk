# daemon: sluiced, the only place where the layers meet.
bin_PROGRAMS += sluiced
sluiced_SOURCES = \
	daemon/main.c daemon/daemon.h \
	daemon/backlog.c daemon/backlog.h \
	daemon/backlog_watch.c daemon/backlog_watch.h \
	daemon/call.c daemon/call.h \
	daemon/cancel.c daemon/cancel.h \
	daemon/compiler.c daemon/compiler.h \
	daemon/concurrency.c daemon/concurrency.h \
	daemon/doctor.c daemon/doctor.h daemon/doctor_parts.h \
	daemon/doctor_fleet.c daemon/doctor_queue.c daemon/doctor_webhook.c \
	daemon/doctor_gather.c daemon/doctor_gather.h \
	daemon/event.c daemon/event.h \
	daemon/keys.c daemon/keys.h \
	daemon/monitor.c daemon/monitor.h \
	daemon/node.c daemon/node.h \
	daemon/notify.c daemon/notify.h \
	daemon/options.c daemon/options.h \
	daemon/exposed.c daemon/exposed.h \
	daemon/paths.c daemon/paths.h \
	daemon/ready.c daemon/ready.h \
	daemon/record_show.c daemon/record_show.h \
	daemon/rekey.c daemon/rekey.h \
	daemon/reload.c daemon/reload.h \
	daemon/seal.c daemon/seal.h \
	daemon/service.c daemon/service.h \
	daemon/settings.c daemon/settings.h \
	daemon/sockets.c daemon/sockets.h \
	daemon/standalone.c daemon/standalone.h daemon/standalone_state.h \
	daemon/standalone_dir.c \
	daemon/shard.c daemon/shard.h \
	daemon/steer.c daemon/steer.h \
	daemon/submit.c daemon/submit.h \
	daemon/sync_start.c daemon/sync_start.h \
	daemon/user.c daemon/user.h \
	daemon/warm.c daemon/warm.h \
	daemon/watchdog.c daemon/watchdog.h \
	daemon/deliver/backoff.c daemon/deliver/backoff.h \
	daemon/deliver/deliver.c daemon/deliver/deliver.h \
	daemon/deliver/lane.c daemon/deliver/lane.h \
	daemon/deliver/post.c daemon/deliver/post.h \
	daemon/deliver/sign.c daemon/deliver/sign.h \
	daemon/egress/flight.c daemon/egress/flight.h daemon/egress/flight_parts.h daemon/egress/flight_token.c \
	daemon/egress/fresh.c daemon/egress/fresh.h \
	daemon/egress/gate.c daemon/egress/gate.h daemon/egress/gate_learn.c daemon/egress/gate_parts.h \
	daemon/egress/send.c daemon/egress/send.h daemon/egress/shown.c daemon/egress/shown.h \
	daemon/api/action.c daemon/api/action.h \
	daemon/api/action_cancel.c daemon/api/action_read.c \
	daemon/api/admin.c daemon/api/admin.h daemon/api/admin_function.c \
	daemon/api/admin_bench.c \
	daemon/api/admin_dead.c daemon/api/admin_doctor.c daemon/api/admin_gate.c daemon/api/admin_quarantine.c \
	daemon/api/admin_read.c daemon/api/admin_rekey.c daemon/api/admin_worker.c \
	daemon/api/admin_job.c daemon/api/admin_job_create.c \
	daemon/api/admin_queue.c daemon/api/admin_queue.h daemon/api/admin_steer.c \
	daemon/api/admin_sync.c daemon/api/admin_sync.h daemon/api/admin_sync_steer.c \
	daemon/api/auth_event.c daemon/api/auth_event.h \
	daemon/api/api.c daemon/api/api.h \
	daemon/api/check.c \
	daemon/api/connection.c daemon/api/connection_create.c \
	daemon/api/deploy.c daemon/api/deploy.h daemon/api/deploy_read.c \
	daemon/api/directory.c daemon/api/directory.h \
	daemon/api/endpoint.c \
	daemon/api/identity.c daemon/api/identity.h \
	daemon/api/environment.c daemon/api/environment_webhook.c \
	daemon/api/health.c \
	daemon/api/integration.c \
	daemon/api/metadata.c daemon/api/metadata.h \
	daemon/api/proxy.c daemon/api/proxy_ask.c daemon/api/proxy.h \
	daemon/api/provider.c \
	daemon/api/rate.c daemon/api/rate.h \
	daemon/api/record.c daemon/api/record.h \
	daemon/api/record_prune.c \
	daemon/api/resources.h daemon/api/routes.c \
	daemon/api/show.c daemon/api/show.h \
	daemon/api/sync.c \
	daemon/api/sync_request.c daemon/api/sync_request.h \
	daemon/api/sync_scope.c daemon/api/sync_scope.h \
	daemon/api/sync_status.c \
	daemon/api/sync_steer.c \
	daemon/api/sync_variant.c \
	daemon/api/webhook.c daemon/api/webhook.h \
	daemon/api/webhook_delivery.c \
	daemon/api/webhook_endpoint.c \
	daemon/api/webhook_in.c \
	daemon/api/webhook_test.c \
	daemon/scheduler/limits.c daemon/scheduler/limits.h \
	daemon/scheduler/outgoing.c daemon/scheduler/outgoing.h \
	daemon/scheduler/recount.c daemon/scheduler/recount.h \
	daemon/scheduler/refresher.c daemon/scheduler/refresher.h \
	daemon/scheduler/retention.c daemon/scheduler/retention.h \
	daemon/scheduler/scheduler.c daemon/scheduler/scheduler.h \
	daemon/scheduler/schedule.c daemon/scheduler/schedule.h \
	daemon/scheduler/survey.c daemon/scheduler/survey.h \
	daemon/scheduler/sweep.c daemon/scheduler/sweep.h \
	daemon/scheduler/upkeep.c daemon/scheduler/upkeep.h \
	daemon/worker/attempt.c daemon/worker/attempt.h daemon/worker/attempt_parts.h \
	daemon/worker/attempt_effect.c daemon/worker/attempt_wait.c daemon/worker/attempt_resolve.c \
	daemon/worker/calls.c daemon/worker/calls.h \
	daemon/worker/dispatch.c daemon/worker/dispatch.h \
	daemon/worker/guests.c daemon/worker/guests.h \
	daemon/worker/held.c daemon/worker/held.h \
	daemon/worker/lane.c daemon/worker/lane.h \
	daemon/worker/room.c daemon/worker/room.h \
	daemon/worker/session.c daemon/worker/session.h \
	daemon/worker/host.c daemon/worker/host.h daemon/worker/host_call.h \
	daemon/worker/host_account.c daemon/worker/host_fetch.c daemon/worker/host_http.c \
	daemon/worker/host_model.c daemon/worker/host_records.c \
	daemon/worker/host_state.c daemon/worker/host_trigger.c \
	daemon/worker/action_left.c daemon/worker/action_left.h \
	daemon/worker/sync_left.c daemon/worker/sync_left.h \
	daemon/worker/sync_run.c daemon/worker/sync_run.h \
	daemon/worker/turn.c daemon/worker/turn.h daemon/worker/turn_parts.h \
	daemon/worker/turn_claim.c daemon/worker/turn_end.c
sluiced_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS) $(LIBEVENT_CFLAGS) \
	-DSLUICE_LIBEXECDIR='"$(libexecdir)"' -DSLUICE_DATADIR='"$(pkgdatadir)"' \
	-DSLUICE_SOURCEDIR='"$(abs_srcdir)"'
sluiced_LDADD = libsql.a libqueue.a libprovider.a libhttp.a libruntime.a libbase.a \
	$(LIBPQ_LIBS) $(HIREDIS_LIBS) $(CURL_LIBS) $(JANSSON_LIBS) $(LIBEVENT_LIBS) $(MSGPACK_LIBS) $(OPENSSL_LIBS)

# The parts that stand on base alone have unit tests.
daemon_tests = test_daemon_backlog test_daemon_doctor test_daemon_rate test_daemon_room test_daemon_service \
	test_daemon_shown test_deliver_backoff test_deliver_lane test_deliver_sign test_egress_gate
check_PROGRAMS += $(daemon_tests)
TESTS += $(daemon_tests)
test_daemon_backlog_SOURCES = tests/unit/test_daemon_backlog.c daemon/backlog.c
test_daemon_backlog_LDADD = $(base_test_libs)
test_daemon_doctor_SOURCES = tests/unit/test_daemon_doctor.c \
	daemon/doctor.c daemon/doctor_fleet.c daemon/doctor_queue.c daemon/doctor_webhook.c
test_daemon_doctor_LDADD = $(base_test_libs)
test_daemon_rate_SOURCES = tests/unit/test_daemon_rate.c daemon/api/rate.c
test_daemon_rate_LDADD = $(base_test_libs)
test_daemon_room_SOURCES = tests/unit/test_daemon_room.c daemon/worker/room.c
test_daemon_room_LDADD = $(base_test_libs)
test_daemon_service_SOURCES = tests/unit/test_daemon_service.c daemon/notify.c daemon/sockets.c
test_daemon_service_LDADD = $(base_test_libs)
test_daemon_shown_SOURCES = tests/unit/test_daemon_shown.c daemon/egress/shown.c
test_daemon_shown_LDADD = $(base_test_libs)
test_deliver_backoff_SOURCES = tests/unit/test_deliver_backoff.c daemon/deliver/backoff.c
test_deliver_backoff_LDADD = $(base_test_libs)
test_deliver_lane_SOURCES = tests/unit/test_deliver_lane.c daemon/deliver/lane.c
test_deliver_lane_LDADD = $(base_test_libs)
test_deliver_sign_SOURCES = tests/unit/test_deliver_sign.c daemon/deliver/sign.c
test_deliver_sign_LDADD = $(base_test_libs)
test_egress_gate_SOURCES = tests/integration/test_egress_gate.c tests/integration/queue_rig.h \
	daemon/egress/gate.c daemon/egress/gate_learn.c daemon/shard.c
test_egress_gate_CPPFLAGS = $(AM_CPPFLAGS) $(HIREDIS_CFLAGS) $(LIBEVENT_CFLAGS)
test_egress_gate_LDADD = libqueue.a $(base_test_libs) $(HIREDIS_LIBS)
