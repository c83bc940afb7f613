# HTTP as transport: the strict server, the client, the address guard.
noinst_LIBRARIES += libhttp.a
libhttp_a_SOURCES = \
	http/server.c http/server.h http/server_state.h \
	http/conn.c http/exchange.c http/request.c http/reply.c http/stream.c \
	http/head.c http/head.h http/body.c http/body.h \
	http/target.c http/target.h http/field.c http/field.h \
	http/refusal.c http/refusal.h http/listen.c http/listen.h \
	http/client.c http/client.h http/client_state.h \
	http/client_url.c http/client_transfer.c http/client_stream.c \
	http/client_failure.c \
	http/guard.c http/guard.h
libhttp_a_CPPFLAGS = $(AM_CPPFLAGS) $(LIBEVENT_CFLAGS) $(CURL_CFLAGS)

# Unit tests; servers and clients on loopback.
http_tests = test_http_client \
	test_http_guard \
	test_http_head \
	test_http_server \
	test_http_stream \
	test_http_stream_client \
	test_http_tls
check_PROGRAMS += $(http_tests)
TESTS += $(http_tests)
http_test_libs = libhttp.a $(base_test_libs) $(CURL_LIBS)
test_http_client_SOURCES = tests/unit/test_http_client.c
test_http_client_LDADD = $(http_test_libs)
test_http_guard_SOURCES = tests/unit/test_http_guard.c
test_http_guard_LDADD = $(http_test_libs)
test_http_head_SOURCES = tests/unit/test_http_head.c
test_http_head_LDADD = $(http_test_libs)
test_http_server_SOURCES = tests/unit/test_http_server.c
test_http_server_LDADD = $(http_test_libs)
test_http_stream_SOURCES = tests/unit/test_http_stream.c
test_http_stream_LDADD = $(http_test_libs)
test_http_stream_client_SOURCES = tests/unit/test_http_stream_client.c
test_http_stream_client_LDADD = $(http_test_libs)
test_http_tls_SOURCES = tests/unit/test_http_tls.c
test_http_tls_LDADD = $(http_test_libs) -lssl
