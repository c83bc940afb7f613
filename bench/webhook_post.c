/* bench/webhook_post.c - what libcurl alone can send: signed webhooks to bench/webhook_sink, and nothing else.
 *
 * usage: webhook_post PORT PORTS COUNT PARALLEL     bodies, one a line, on stdin; they take turns
 * COUNT posts, so many at once, to the ports in turn, over connections that are kept; each with the three
 * signatures of a webhook, made anew.  Prints {"posts":n,"seconds":s,"cpu":s}. */
#include <curl/curl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "load.h"

enum { PARALLEL_MAX = 1024, BODIES_MAX = 1000, LINE_MAX_BYTES = 65536 };

static const char key[] = "6e8bc430-9c3a-4f5f-8f43-0123456789ab";

struct post {
	CURL *easy;
	struct curl_slist *headers;
};

struct poster {
	CURLM *multi;
	int epoll;
	long timeout_ms; /* as curl wishes; -1: none */
	struct post posts[PARALLEL_MAX];
	char *bodies[BODIES_MAX];
	int body_count, port, ports, parallel;
	long long sent, done, count;
};

static void
hex(const unsigned char *bytes, char out[65])
{
	for (int i = 0; i < 32; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

/* An id as new_event_id() makes them. */
static void
make_id(long long number, char out[ID_TEXT])
{
	struct timespec at;
	unsigned long long ms;

	clock_gettime(CLOCK_REALTIME, &at);
	ms = (unsigned long long)at.tv_sec * 1000 + (unsigned long long)at.tv_nsec / 1000000;
	snprintf(out, ID_TEXT, "%08llx-%04llx-7000-8000-%012llx", (ms >> 16) & 0xffffffff,
		 ms & 0xffff, (unsigned long long)number & 0xffffffffffffULL);
}

static void
add_header(struct post *post, const char *name, const char *value)
{
	char line[300];

	snprintf(line, sizeof(line), "%s: %s", name, value);
	post->headers = curl_slist_append(post->headers, line);
}

static void
sign(struct post *post, const char *body, const char *id)
{
	static char text[LINE_MAX_BYTES + 200];
	unsigned char digest[32], base64[64];
	char line[100], seconds[24];
	int len;

	snprintf(text, sizeof(text), "%s%s", key, body);
	EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL);
	hex(digest, line);
	add_header(post, "X-Nango-Signature", line);
	HMAC(EVP_sha256(), key, (int)strlen(key), (const unsigned char *)body, strlen(body), digest,
	     NULL);
	hex(digest, line);
	add_header(post, "X-Nango-Hmac-Sha256", line);
	snprintf(seconds, sizeof(seconds), "%lld", (long long)time(NULL));
	len = snprintf(text, sizeof(text), "%s.%s.%s", id, seconds, body);
	HMAC(EVP_sha256(), key, (int)strlen(key), (unsigned char *)text, (size_t)len, digest, NULL);
	EVP_EncodeBlock(base64, digest, 32);
	snprintf(line, sizeof(line), "v1,%s", base64);
	add_header(post, "webhook-id", id);
	add_header(post, "webhook-timestamp", seconds);
	add_header(post, "webhook-signature", line);
}

static void
send_next(struct poster *poster, struct post *post)
{
	const char *body = poster->bodies[poster->sent % poster->body_count];
	char id[ID_TEXT], url[64];

	curl_slist_free_all(post->headers);
	post->headers = NULL;
	add_header(post, "content-type", "application/json");
	add_header(post, "Expect", "");
	make_id(poster->sent, id);
	sign(post, body, id);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/0",
		 poster->port + (int)(poster->sent++ % poster->ports));
	curl_easy_setopt(post->easy, CURLOPT_URL, url);
	curl_easy_setopt(post->easy, CURLOPT_POSTFIELDS, body);
	curl_easy_setopt(post->easy, CURLOPT_HTTPHEADER, post->headers);
	curl_multi_add_handle(poster->multi, post->easy);
}

static size_t
take_body(char *data, size_t size, size_t count, void *arg)
{
	(void)data;
	(void)arg;
	return size * count;
}

static void
take_ended(struct poster *poster)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(poster->multi, &left)) != NULL) {
		CURL *easy = message->easy_handle;
		struct post *post;
		long status = 0;

		if (message->data.result != CURLE_OK)
			fail("POST", curl_easy_strerror(message->data.result));
		curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
		if (status != 200)
			fail("POST", "another answer than 200");
		curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&post);
		curl_multi_remove_handle(poster->multi, easy);
		poster->done++;
		if (poster->sent < poster->count)
			send_next(poster, post);
	}
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *watched)
{
	struct poster *poster = arg;
	struct epoll_event event = {.data.fd = fd};

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		epoll_ctl(poster->epoll, EPOLL_CTL_DEL, fd, NULL);
		return 0;
	}
	event.events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
	if (epoll_ctl(poster->epoll, watched != NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) !=
	    0)
		fail("epoll", "a descriptor cannot be watched");
	curl_multi_assign(poster->multi, fd, poster);
	return 0;
}

static int
on_timer(CURLM *multi, long ms, void *arg)
{
	struct poster *poster = arg;

	(void)multi;
	poster->timeout_ms = ms;
	return 0;
}

static void
turn(struct poster *poster)
{
	struct epoll_event events[64];
	int running, count = epoll_wait(poster->epoll, events, 64, (int)poster->timeout_ms);

	if (count == 0 && poster->timeout_ms >= 0) {
		poster->timeout_ms = -1;
		curl_multi_socket_action(poster->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	}
	for (int i = 0; i < count; i++) {
		int mask = (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
			   (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
			   (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);

		curl_multi_socket_action(poster->multi, events[i].data.fd, mask, &running);
	}
	take_ended(poster);
}

static void
read_bodies(struct poster *poster)
{
	static char line[LINE_MAX_BYTES];

	while (poster->body_count < BODIES_MAX && fgets(line, sizeof(line), stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if ((poster->bodies[poster->body_count++] = strdup(line)) == NULL)
			fail("bodies", "no memory");
	}
	if (poster->body_count == 0)
		fail("bodies", "none on stdin");
}

int
main(int argc, char **argv)
{
	static struct poster poster;
	double began;

	if (argc != 5 || (poster.port = (int)strtol(argv[1], NULL, 10)) < 1 ||
	    (poster.ports = (int)strtol(argv[2], NULL, 10)) < 1 ||
	    (poster.count = strtoll(argv[3], NULL, 10)) < 1 ||
	    (poster.parallel = (int)strtol(argv[4], NULL, 10)) < 1 ||
	    poster.parallel > PARALLEL_MAX) {
		fprintf(stderr, "usage: webhook_post PORT PORTS COUNT PARALLEL <BODIES\n");
		return 64;
	}
	read_bodies(&poster);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	poster.multi = curl_multi_init();
	poster.epoll = epoll_create1(EPOLL_CLOEXEC);
	poster.timeout_ms = -1;
	curl_multi_setopt(poster.multi, CURLMOPT_MAXCONNECTS, (long)PARALLEL_MAX);
	curl_multi_setopt(poster.multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(poster.multi, CURLMOPT_SOCKETDATA, &poster);
	curl_multi_setopt(poster.multi, CURLMOPT_TIMERFUNCTION, on_timer);
	curl_multi_setopt(poster.multi, CURLMOPT_TIMERDATA, &poster);
	began = now();
	for (int i = 0; i < poster.parallel; i++) {
		struct post *post = &poster.posts[i];

		post->easy = curl_easy_init();
		curl_easy_setopt(post->easy, CURLOPT_PRIVATE, post);
		curl_easy_setopt(post->easy, CURLOPT_WRITEFUNCTION, take_body);
		if (poster.sent < poster.count)
			send_next(&poster, post);
	}
	while (poster.done < poster.count)
		turn(&poster);
	printf("{\"posts\":%lld,\"seconds\":%.4f,\"cpu\":%.4f}\n", poster.done, now() - began,
	       (double)clock() / CLOCKS_PER_SEC);
	for (int i = 0; i < poster.parallel; i++) {
		curl_easy_cleanup(poster.posts[i].easy);
		curl_slist_free_all(poster.posts[i].headers);
	}
	for (int i = 0; i < poster.body_count; i++)
		free(poster.bodies[i]);
	curl_multi_cleanup(poster.multi);
	curl_global_cleanup();
	return 0;
}
