#include "http/server.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/listen.h"
#include "http/server_state.h"

enum {
	ACCEPTS_A_TURN = 64,      /* then connections already there get their turn */
	ACCEPT_PAUSE_MS = 100,    /* when there is no descriptor left */
	PAUSE_LOG_MS = 60 * 1000, /* such a shortage is logged once a minute */
	UNSENT_MAX = 128 * 1024,  /* bytes the kernel takes beyond what is on its way */
};

static int64_t
or_default(int64_t value, int64_t fallback)
{
	return value > 0 ? value : fallback;
}

static void server_on_pause_over(void *arg);

struct http_server *
http_server_new(struct loop *loop, const struct http_server_settings *settings,
		const struct http_handler *handler, void *arg)
{
	struct http_server *server = sl_alloc(sizeof(*server));

	server->loop = loop;
	server->settings = *settings;
	server->handler = *handler;
	server->arg = arg;
	server->settings.connections_max = (int)or_default(settings->connections_max, 10000);
	server->settings.body_budget = or_default(settings->body_budget, 256 * 1024 * 1024);
	server->settings.head_ms = or_default(settings->head_ms, 10 * 1000);
	server->settings.body_gap_ms = or_default(settings->body_gap_ms, 10 * 1000);
	server->settings.flush_ms = or_default(settings->flush_ms, 10 * 1000);
	server->settings.idle_ms = or_default(settings->idle_ms, 75 * 1000);
	server->pause_logged_ms = clock_mono_ms() - PAUSE_LOG_MS;
	server->accept_pause = loop_timer_new(loop, server_on_pause_over, server);
	return server;
}

/* Without this a listener whose queue is not empty would wake us without end. */
static void
server_pause_accept(struct http_server *server)
{
	struct http_listener *listener;
	int64_t now_ms = clock_mono_ms();

	server->pauses++;
	LIST_FOREACH(listener, &server->listeners, entry)
	{
		loop_watch_set(listener->watch, 0);
	}
	loop_timer_in(server->accept_pause, ACCEPT_PAUSE_MS);
	if (now_ms - server->pause_logged_ms < PAUSE_LOG_MS)
		return;
	server->pause_logged_ms = now_ms;
	log_warn("accept_paused", "connections=%d pauses=%" PRId64 " remedy=\"raise LimitNOFILE\"",
		 server->conn_count, server->pauses);
}

static void
server_on_pause_over(void *arg)
{
	struct http_server *server = arg;
	struct http_listener *listener;

	LIST_FOREACH(listener, &server->listeners, entry)
	{
		loop_watch_set(listener->watch, LOOP_READ);
	}
}

/* True: look for another one. */
static bool
accept_one(struct http_listener *listener)
{
	struct http_server *server = listener->server;
	struct sockaddr_storage peer = {0};
	socklen_t len = sizeof(peer);
	char text[PEER_TEXT];
	int on = 1, unsent = UNSENT_MAX;
	int fd =
	    accept4(listener->fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			server_pause_accept(server);
		return errno == EINTR || errno == ECONNABORTED;
	}
	if (peer.ss_family != AF_UNIX) {
		/* Answers are written whole; keepalive finds clients that vanished in a long wait;
		 * an answer nobody reads stays here, under the flush clock, and not in the kernel.
		 * None of these failing matters. */
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
		setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	}
	listen_peer_text((struct sockaddr *)&peer, text, sizeof(text));
	conn_open(server, fd, text);
	return true;
}

static void
listener_on_event(void *arg, int what)
{
	struct http_listener *listener = arg;

	(void)what;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		if (!accept_one(listener))
			return;
	}
}

static void
listener_add(struct http_server *server, int fd, const char *unix_path, bool adopted)
{
	struct http_listener *listener = sl_alloc(sizeof(*listener));

	listener->server = server;
	listener->fd = fd;
	listener->adopted = adopted;
	listener->unix_path = unix_path != NULL ? sl_strdup(unix_path) : NULL;
	listener->watch = loop_watch_new(server->loop, fd, listener_on_event, listener);
	loop_watch_set(listener->watch, LOOP_READ);
	LIST_INSERT_HEAD(&server->listeners, listener, entry);
}

static void
listener_close(struct http_listener *listener)
{
	LIST_REMOVE(listener, entry);
	loop_watch_free(listener->watch);
	close(listener->fd);
	if (listener->unix_path != NULL)
		unlink(listener->unix_path); /* best effort: the next start clears a stale one */
	free(listener->unix_path);
	loop_free_later(listener->server->loop, free, listener);
}

enum sl_code
http_server_listen(struct http_server *server, const char *address, struct sl_error *error)
{
	const char *unix_path;
	enum sl_code code;
	int fd;

	code = listen_open(address, server->settings.reuse_port, &fd, &unix_path, error);
	if (code == SL_OK)
		listener_add(server, fd, unix_path, false);
	return code;
}

enum sl_code
http_server_adopt(struct http_server *server, int fd, struct sl_error *error)
{
	enum sl_code code = listen_check(fd, error);

	if (code == SL_OK)
		listener_add(server, fd, NULL, true);
	return code;
}

void
http_server_caps(struct http_server *server, int connections_max, int64_t body_budget)
{
	server->settings.connections_max = connections_max;
	server->settings.body_budget = body_budget;
}

void
http_server_address(const struct http_server *server, char *out, size_t size)
{
	const struct http_listener *listener;

	out[0] = '\0';
	LIST_FOREACH(listener, &server->listeners, entry)
	{
		listen_text(listener->fd, out, size); /* the last one stands */
	}
}

int
http_server_port(const struct http_server *server)
{
	const struct http_listener *listener;
	int port = 0;

	/* The list has the newest first; the last match is the first that was added. */
	LIST_FOREACH(listener, &server->listeners, entry)
	{
		struct sockaddr_storage address = {0};
		socklen_t len = sizeof(address);

		if (getsockname(listener->fd, (struct sockaddr *)&address, &len) < 0)
			continue;
		if (address.ss_family == AF_INET)
			port = ntohs(((struct sockaddr_in *)&address)->sin_port);
		else if (address.ss_family == AF_INET6)
			port = ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
	}
	return port;
}

void
http_server_drain(struct http_server *server)
{
	struct http_listener *listener;
	struct http_conn *conn, *next;

	/* Who was let in by the kernel is let in by us, unless somebody else will: closing the queue
	 * would reset them. */
	LIST_FOREACH(listener, &server->listeners, entry)
	{
		for (int i = 0; !listener->adopted && i < ACCEPTS_A_TURN && accept_one(listener);
		     i++)
			continue;
	}
	server->draining = true;
	loop_timer_stop(server->accept_pause);
	while ((listener = LIST_FIRST(&server->listeners)) != NULL)
		listener_close(listener);
	for (conn = LIST_FIRST(&server->conns); conn != NULL; conn = next) {
		next = LIST_NEXT(conn, entry);
		conn_drain(conn);
	}
}

bool
http_server_is_idle(const struct http_server *server)
{
	const struct http_conn *conn;

	LIST_FOREACH(conn, &server->conns, entry)
	{
		if (!conn_is_idle(conn))
			return false;
	}
	return LIST_EMPTY(&server->requests);
}

int
http_server_connections(const struct http_server *server)
{
	return server->conn_count;
}

void
http_server_free(struct http_server *server)
{
	struct http_listener *listener;
	struct http_conn *conn;
	struct http_request *request;

	if (server == NULL)
		return;
	while ((listener = LIST_FIRST(&server->listeners)) != NULL)
		listener_close(listener);
	while ((conn = LIST_FIRST(&server->conns)) != NULL)
		conn_close(conn); /* tells on_gone */
	while ((request = LIST_FIRST(&server->requests)) != NULL) {
		LIST_REMOVE(request, entry); /* still owed a reply, which will only free it */
		request->server = NULL;
	}
	loop_timer_free(server->accept_pause);
	loop_free_later(server->loop, free, server); /* we may be inside one of its callbacks */
}
