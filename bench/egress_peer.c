/* bench/egress_peer.c - a provider that costs little, and a client that asks it through whatever is in between.
 *
 *   egress_peer serve PORT             GET /wait/MS... : 200 after half of MS to one and a half of it, by chance (or those that
 *                                      ask in parallel would come in step), 1 KiB, {"us":N,...}: N is the time
 *                                      from the request's last byte to the answer.  /hold... : answered when a line comes on stdin
 *   egress_peer ask PORT PATH CONNECTIONS SECONDS [-d BODY] [HEADER: VALUE]...
 *   egress_peer curl PORT PATH CONNECTIONS SECONDS         the same by libcurl's multi interface
 * ask and curl print {"requests","seconds","p50_us","p99_us","over_p50_us","over_p99_us"}: over is what a request took beyond
 * the "us" of its answer.  Built with -lcurl. */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { PEERS_MAX = 4096, BYTES = 8192, PAD = 960, SAMPLES_MAX = 2000000 };

static int64_t
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void
die(const char *what)
{
	fprintf(stderr, "egress_peer: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- the provider ------------------------------------------------------------------------------ */

struct peer {
	int fd;
	char in[BYTES];
	size_t len;
	int64_t came_us, due_us; /* due 0: nothing is owed */
	int held;
};

static struct peer *peers[PEERS_MAX];
static int timer;

static void
answer(struct peer *peer)
{
	char body[PAD + 100], out[PAD + 400];
	int len = snprintf(body, sizeof(body), "{\"us\":%lld,\"pad\":\"%0*d\"}",
			   (long long)(now_us() - peer->came_us), PAD, 0);
	int all = snprintf(out, sizeof(out),
			   "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len,
			   body);

	peer->due_us = 0;
	peer->held = 0;
	if (write(peer->fd, out, (size_t)all) != all)
		shutdown(peer->fd, SHUT_RDWR);
}

static void
arm(void)
{
	int64_t first = 0, wait;
	struct itimerspec at = {0};

	for (int i = 0; i < PEERS_MAX; i++)
		if (peers[i] != NULL && peers[i]->due_us != 0 && (first == 0 || peers[i]->due_us < first))
			first = peers[i]->due_us;
	if (first != 0) {
		wait = first - now_us();
		at.it_value.tv_nsec = wait <= 0 ? 1 : wait % 1000000 * 1000;
		at.it_value.tv_sec = wait <= 0 ? 0 : wait / 1000000;
	}
	timerfd_settime(timer, 0, &at, NULL);
}

static void
take(struct peer *peer)
{
	const char *end = memmem(peer->in, peer->len, "\r\n\r\n", 4);
	long ms = 0;

	if (end == NULL)
		return;
	peer->came_us = now_us();
	peer->in[peer->len < BYTES ? peer->len : BYTES - 1] = '\0';
	peer->held = strstr(peer->in, "/hold") != NULL;
	if (strstr(peer->in, "/wait/") != NULL)
		ms = strtol(strstr(peer->in, "/wait/") + 6, NULL, 10);
	peer->len = 0; /* a GET, and nobody pipelines */
	if (peer->held)
		return;
	if (ms == 0) {
		answer(peer);
	} else {
		peer->due_us = peer->came_us + ms * 500 + (int64_t)((double)ms * 1000 * drand48());
		arm();
	}
}

static void
serve(int port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int yes = 1, epoll = epoll_create1(0), listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct epoll_event events[256], event = {.events = EPOLLIN};
	int64_t held = 0;

	inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(listener, 4096) != 0)
		die("listen");
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	event.data.fd = listener;
	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	event.data.fd = timer;
	epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event);
	event.data.fd = 0;
	epoll_ctl(epoll, EPOLL_CTL_ADD, 0, &event);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		int count = epoll_wait(epoll, events, 256, -1);

		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;
			char bytes[64];

			if (fd == 0) {
				if (read(0, bytes, sizeof(bytes)) <= 0)
					exit(0);
				held = 0;
				for (int p = 0; p < PEERS_MAX; p++)
					if (peers[p] != NULL && peers[p]->held) {
						answer(peers[p]);
						held++;
					}
				printf("%lld\n", (long long)held);
				fflush(stdout);
			} else if (fd == timer) {
				int64_t now = now_us();

				if (read(timer, bytes, 8) < 0 && errno != EAGAIN)
					die("timer");
				for (int p = 0; p < PEERS_MAX; p++)
					if (peers[p] != NULL && peers[p]->due_us != 0 && peers[p]->due_us <= now)
						answer(peers[p]);
				arm();
			} else if (fd == listener) {
				int made = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

				if (made < 0)
					continue;
				if (made >= PEERS_MAX) {
					close(made);
					continue;
				}
				setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
				peers[made] = calloc(1, sizeof(struct peer));
				peers[made]->fd = made;
				event.data.fd = made;
				epoll_ctl(epoll, EPOLL_CTL_ADD, made, &event);
			} else {
				struct peer *peer = peers[fd];
				ssize_t got = read(fd, peer->in + peer->len, BYTES - peer->len);

				if (got <= 0) {
					close(fd);
					free(peer);
					peers[fd] = NULL;
				} else {
					peer->len += (size_t)got;
					take(peer);
				}
			}
		}
	}
}

/* ---- the client -------------------------------------------------------------------------------- */

static int64_t *took, *over;
static size_t samples;
static int skipped; /* the first requests of all connections come in step: they are not counted */

static void
note(int64_t began_us, const char *text)
{
	const char *us = strstr(text, "\"us\":");
	int64_t all = now_us() - began_us;

	if (us == NULL) {
		fprintf(stderr, "egress_peer: unexpected answer: %.300s\n", text);
		exit(1);
	}
	if (skipped > 0) {
		skipped--;
		return;
	}
	if (samples == SAMPLES_MAX)
		return;
	took[samples] = all;
	over[samples++] = all - strtoll(us + 5, NULL, 10);
}

static int
by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static void
report(int64_t began_us)
{
	double seconds = (double)(now_us() - began_us) / 1e6;

	if (samples == 0)
		die("no answer");
	qsort(took, samples, sizeof(*took), by_size);
	qsort(over, samples, sizeof(*over), by_size);
	printf("{\"requests\":%zu,\"seconds\":%.3f,\"p50_us\":%lld,\"p99_us\":%lld,\"over_p50_us\":%lld,\"over_p99_us\":%lld}\n",
	       samples, seconds, (long long)took[samples / 2], (long long)took[samples * 99 / 100],
	       (long long)over[samples / 2], (long long)over[samples * 99 / 100]);
}

struct line {
	int fd;
	char in[BYTES];
	size_t len;
	int64_t began_us;
};

static void
ask(int port, const char *path, int count, double seconds, const char *body, char **headers, int header_count)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct line *lines = calloc((size_t)count, sizeof(*lines));
	int yes = 1, epoll = epoll_create1(0), open = count;
	struct epoll_event events[256], event = {.events = EPOLLIN};
	int64_t began = now_us(), until = began + (int64_t)(seconds * 1e6);
	char request[4096];
	int len = snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n", body != NULL ? "POST" : "GET", path);

	for (int i = 0; i < header_count; i++)
		len += snprintf(request + len, sizeof(request) - (size_t)len, "%s\r\n", headers[i]);
	if (body != NULL)
		len += snprintf(request + len, sizeof(request) - (size_t)len, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
	len += snprintf(request + len, sizeof(request) - (size_t)len, "\r\n%s", body != NULL ? body : "");
	skipped = seconds > 0.5 ? count : 0;
	inet_pton(AF_INET, "127.0.0.1", &at.sin_addr);
	for (int i = 0; i < count; i++) {
		lines[i].fd = socket(AF_INET, SOCK_STREAM, 0);
		setsockopt(lines[i].fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
		if (connect(lines[i].fd, (struct sockaddr *)&at, sizeof(at)) != 0)
			die("connect");
		event.data.u32 = (uint32_t)i;
		epoll_ctl(epoll, EPOLL_CTL_ADD, lines[i].fd, &event);
		lines[i].began_us = now_us();
		if (write(lines[i].fd, request, (size_t)len) != len)
			die("write");
	}
	while (open > 0) {
		int got = epoll_wait(epoll, events, 256, 120000);

		if (got == 0)
			die("no answer within two minutes");
		for (int i = 0; i < got; i++) {
			struct line *line = &lines[events[i].data.u32];
			ssize_t n = read(line->fd, line->in + line->len, BYTES - 1 - line->len);
			char *end, *size;

			if (n <= 0)
				die("the server closed");
			line->len += (size_t)n;
			line->in[line->len] = '\0';
			end = strstr(line->in, "\r\n\r\n");
			size = end != NULL ? strcasestr(line->in, "content-length:") : NULL;
			if (end == NULL || (size != NULL && line->len < (size_t)(end + 4 - line->in) + strtoul(size + 15, NULL, 10)) ||
			    (size == NULL && strstr(end, "\r\n0\r\n\r\n") == NULL))
				continue;
			note(line->began_us, end);
			line->len = 0;
			if (now_us() >= until) {
				close(line->fd);
				open--;
				continue;
			}
			line->began_us = now_us();
			if (write(line->fd, request, (size_t)len) != len)
				die("write");
		}
	}
	report(began);
}

struct transfer {
	CURL *easy;
	char in[BYTES];
	size_t len;
	int64_t began_us;
};

static size_t
on_bytes(char *bytes, size_t size, size_t count, void *arg)
{
	struct transfer *transfer = arg;
	size_t len = size * count;

	if (len > BYTES - 1 - transfer->len)
		len = BYTES - 1 - transfer->len;
	memcpy(transfer->in + transfer->len, bytes, len);
	transfer->len += len;
	transfer->in[transfer->len] = '\0';
	return size * count;
}

static void
by_curl(int port, const char *path, int count, double seconds)
{
	struct transfer *transfers = calloc((size_t)count, sizeof(*transfers));
	int64_t began = now_us(), until = began + (int64_t)(seconds * 1e6);
	int left = count, running, queued;
	CURLM *multi = curl_multi_init();
	CURLMsg *message;
	char url[256];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d%s", port, path);
	for (int i = 0; i < count; i++) {
		transfers[i].easy = curl_easy_init();
		curl_easy_setopt(transfers[i].easy, CURLOPT_URL, url);
		curl_easy_setopt(transfers[i].easy, CURLOPT_PRIVATE, &transfers[i]);
		curl_easy_setopt(transfers[i].easy, CURLOPT_WRITEFUNCTION, on_bytes);
		curl_easy_setopt(transfers[i].easy, CURLOPT_WRITEDATA, &transfers[i]);
		transfers[i].began_us = now_us();
		curl_multi_add_handle(multi, transfers[i].easy);
	}
	while (left > 0) {
		curl_multi_perform(multi, &running);
		while ((message = curl_multi_info_read(multi, &queued)) != NULL) {
			struct transfer *transfer;

			if (message->msg != CURLMSG_DONE)
				continue;
			curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
			note(transfer->began_us, transfer->in);
			curl_multi_remove_handle(multi, transfer->easy);
			transfer->len = 0;
			if (now_us() >= until) {
				left--;
				continue;
			}
			transfer->began_us = now_us();
			curl_multi_add_handle(multi, transfer->easy);
		}
		if (left > 0)
			curl_multi_poll(multi, NULL, 0, 1000, NULL);
	}
	report(began);
}

int
main(int argc, char **argv)
{
	const char *body = NULL;
	int at = 6;

	signal(SIGPIPE, SIG_IGN);
	took = calloc(SAMPLES_MAX, sizeof(*took));
	over = calloc(SAMPLES_MAX, sizeof(*over));
	if (took == NULL || over == NULL)
		die("memory");
	if (argc == 3 && strcmp(argv[1], "serve") == 0) {
		serve((int)strtol(argv[2], NULL, 10));
	} else if (argc >= 6 && strcmp(argv[1], "ask") == 0) {
		if (argc > at + 1 && strcmp(argv[at], "-d") == 0) {
			body = argv[at + 1];
			at += 2;
		}
		ask((int)strtol(argv[2], NULL, 10), argv[3], (int)strtol(argv[4], NULL, 10), strtod(argv[5], NULL), body, argv + at, argc - at);
	} else if (argc == 6 && strcmp(argv[1], "curl") == 0) {
		by_curl((int)strtol(argv[2], NULL, 10), argv[3], (int)strtol(argv[4], NULL, 10), strtod(argv[5], NULL));
	} else {
		fprintf(stderr, "egress_peer: see the head of the file\n");
		return 2;
	}
	return 0;
}
