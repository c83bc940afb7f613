/* bench/webhook_sink.c - a receiver of webhooks that costs little; loopback only.
 *
 * usage: webhook_sink PORT PORTS EVERY
 * Listens on that many ports from PORT on and answers each POST with 200.  The path is the number of the
 * endpoint.  Lines on stdin, each answered by a line of JSON on stdout:
 *     hang     of every EVERY endpoints the last one never answers from now on
 *     answer   all answer again; connections that wait are closed
 *     reset    what was counted is forgotten
 *     report   {"received":n,"hung":n,"seconds":s,"last":t,"p50_ms":x,"p99_ms":x,"max_ms":x,
 *               "body_bytes":n,"connections":n}
 * seconds: between the first and the last one received; last: when, by the monotonic clock.  Delays are from the time in webhook-id, a UUID of
 * version 7, to the end of the body here, and of the endpoints that do not hang, nor would after `hang`. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

enum { PEERS_MAX = 16384, REQUEST_MAX = 65536, EVENTS = 256, BACKLOG = 1024 };

enum kind { KIND_NONE, KIND_LISTENER, KIND_PEER, KIND_STDIN };

struct peer {
	enum kind kind;
	bool hangs;
	char *text; /* of a peer: what has come and is no whole request yet */
	size_t len;
};

struct sink {
	int epoll, every;
	bool hanging, over;
	struct peer peers[PEERS_MAX]; /* by descriptor */
	double first, last;
	double *delays_ms;
	size_t delays, delays_size;
	long long received, hung, accepted, body_bytes;
};

static double
wall_ms(void)
{
	struct timespec at;

	clock_gettime(CLOCK_REALTIME, &at);
	return (double)at.tv_sec * 1e3 + (double)at.tv_nsec / 1e6;
}

static void
watch(struct sink *sink, int fd, enum kind kind)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (fd >= PEERS_MAX || epoll_ctl(sink->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
		fail("epoll", "a descriptor cannot be added");
	sink->peers[fd] = (struct peer){.kind = kind};
	if (kind == KIND_PEER && (sink->peers[fd].text = malloc(REQUEST_MAX)) == NULL)
		fail("peer", "no memory");
}

static void
drop(struct sink *sink, int fd)
{
	free(sink->peers[fd].text);
	sink->peers[fd] = (struct peer){0};
	close(fd);
}

static void
listen_on(struct sink *sink, int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    listen(fd, BACKLOG) != 0)
		fail("listen", strerror(errno));
	watch(sink, fd, KIND_LISTENER);
}

static void
accept_peers(struct sink *sink, int listener)
{
	int fd, on = 1;

	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		watch(sink, fd, KIND_PEER);
		sink->accepted++;
	}
}

static void
keep_delay(struct sink *sink, double ms)
{
	if (sink->delays == sink->delays_size) {
		sink->delays_size = sink->delays_size > 0 ? 2 * sink->delays_size : 65536;
		sink->delays_ms =
		    realloc(sink->delays_ms, sink->delays_size * sizeof(*sink->delays_ms));
		if (sink->delays_ms == NULL)
			fail("delays", "no memory");
	}
	sink->delays_ms[sink->delays++] = ms;
}

/* When the event came into being, in ms, by the first 48 bits of its id. */
static double
event_ms(const char *head)
{
	const char *id = strcasestr(head, "\r\nwebhook-id:");
	char digits[13];

	if (id == NULL ||
	    (id = strpbrk(id + strlen("\r\nwebhook-id:"), "0123456789abcdef")) == NULL ||
	    strlen(id) < ID_TEXT)
		fail("no webhook-id", head);
	snprintf(digits, sizeof(digits), "%.8s%.4s", id, id + 9);
	return (double)strtoull(digits, NULL, 16);
}

/* Takes the first whole request out of what has come; false if there is none. */
static bool
take_request(struct sink *sink, int fd)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
	struct peer *peer = &sink->peers[fd];
	const char *end, *length;
	size_t total, body;
	bool slow;

	peer->text[peer->len] = '\0';
	end = strstr(peer->text, "\r\n\r\n");
	if (end == NULL)
		return false;
	length = strcasestr(peer->text, "\r\nContent-Length:");
	if (strncmp(peer->text, "POST /", 6) != 0 || length == NULL || length > end)
		fail("not what is expected", peer->text);
	body = strtoul(length + strlen("\r\nContent-Length:"), NULL, 10);
	total = (size_t)(end + 4 - peer->text) + body;
	if (total >= REQUEST_MAX)
		fail("a request is too long", peer->text);
	if (peer->len < total)
		return false;
	slow = strtol(peer->text + 6, NULL, 10) % sink->every == sink->every - 1;
	if (slow && sink->hanging) {
		sink->hung++;
		peer->hangs = true;
		peer->len = 0;
		return false;
	}
	if (!slow)
		keep_delay(sink, wall_ms() - event_ms(peer->text));
	sink->last = now();
	if (sink->received++ == 0)
		sink->first = sink->last;
	sink->body_bytes += (long long)body;
	if (send(fd, answer, sizeof(answer) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(answer) - 1 &&
	    errno != EPIPE && errno != ECONNRESET)
		fail("send", strerror(errno));
	memmove(peer->text, peer->text + total, peer->len - total);
	peer->len -= total;
	return true;
}

static void
serve_peer(struct sink *sink, int fd)
{
	struct peer *peer = &sink->peers[fd];
	ssize_t got = recv(fd, peer->text + peer->len, REQUEST_MAX - 1 - peer->len, 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		drop(sink, fd);
		return;
	}
	peer->len += (size_t)got;
	while (take_request(sink, fd))
		;
}

static void
answer_all(struct sink *sink)
{
	sink->hanging = false;
	for (int fd = 0; fd < PEERS_MAX; fd++)
		if (sink->peers[fd].hangs)
			drop(sink, fd);
}

static void
report(struct sink *sink)
{
	double p50 = percentile(sink->delays_ms, sink->delays, 0.5);

	printf(
	    "{\"received\":%lld,\"hung\":%lld,\"seconds\":%.4f,\"last\":%.4f,\"p50_ms\":%.2f,\"p99_ms\":%.2f,"
	    "\"max_ms\":%.2f,\"body_bytes\":%lld,\"connections\":%lld}\n",
	    sink->received, sink->hung, sink->last - sink->first, sink->last, p50,
	    percentile(sink->delays_ms, sink->delays, 0.99),
	    percentile(sink->delays_ms, sink->delays, 1), sink->body_bytes, sink->accepted);
}

static void
obey(struct sink *sink)
{
	char line[64];
	ssize_t got = read(STDIN_FILENO, line, sizeof(line) - 1); /* one line: each is answered */

	if (got <= 0) {
		sink->over = true;
		return;
	}
	line[got] = '\0';
	if (strcmp(line, "report\n") == 0) {
		report(sink);
	} else {
		if (strcmp(line, "hang\n") == 0) {
			sink->hanging = true;
		} else if (strcmp(line, "answer\n") == 0) {
			answer_all(sink);
		} else if (strcmp(line, "reset\n") == 0) {
			sink->received = sink->hung = sink->accepted = sink->body_bytes = 0;
			sink->first = sink->last = 0;
			sink->delays = 0;
		} else {
			fail("no such command", line);
		}
		printf("{}\n");
	}
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	static struct sink sink;
	struct epoll_event events[EVENTS];
	int port, ports;

	if (argc != 4 || (port = (int)strtol(argv[1], NULL, 10)) < 1 ||
	    (ports = (int)strtol(argv[2], NULL, 10)) < 1 ||
	    (sink.every = (int)strtol(argv[3], NULL, 10)) < 2) {
		fprintf(stderr, "usage: webhook_sink PORT PORTS EVERY\n");
		return 64;
	}
	sink.epoll = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < ports; i++)
		listen_on(&sink, port + i);
	watch(&sink, STDIN_FILENO, KIND_STDIN);
	printf("{}\n");
	fflush(stdout);
	while (!sink.over) {
		int count = epoll_wait(sink.epoll, events, EVENTS, -1);

		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;

			switch (sink.peers[fd].kind) {
			case KIND_LISTENER:
				accept_peers(&sink, fd);
				break;
			case KIND_PEER:
				serve_peer(&sink, fd);
				break;
			case KIND_STDIN:
				obey(&sink);
				break;
			case KIND_NONE: /* closed in this turn */
				break;
			}
		}
	}
	return 0;
}
