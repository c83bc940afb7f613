/* bench/load_http.c - connections to the API and what goes over them; loopback only. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

double
now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

void
fail(const char *what, const char *detail)
{
	fprintf(stderr, "load: %s: %s\n", what, detail);
	exit(1);
}

int
dial(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		fail("connect", strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

/* One that the server has closed shows when its answer is taken. */
static void
send_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);

		if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
			return;
		if (sent <= 0)
			fail("send", strerror(errno));
		text += sent;
		len -= (size_t)sent;
	}
}

void
send_get(struct connection *connection, const char *path, const char *key)
{
	char text[512];
	int len = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: localhost\r\n%s%s%s\r\n",
			   path, key != NULL ? "Authorization: Bearer " : "",
			   key != NULL ? key : "", key != NULL ? "\r\n" : "");

	send_all(connection->fd, text, (size_t)len);
}

void
send_trigger(struct connection *connection, const char *key, const char *name, const char *body)
{
	char text[BODY_MAX + 700];
	int len = snprintf(
	    text, sizeof(text),
	    "POST /action/trigger HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"
	    "Provider-Config-Key: w\r\nConnection-Id: %s\r\nX-Async: true\r\n"
	    "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
	    key, name, strlen(body), body);

	send_all(connection->fd, text, (size_t)len);
}

void
send_read(struct connection *connection, const struct job *job)
{
	char path[80];

	snprintf(path, sizeof(path), "/action/%s?wait=30", job->id);
	send_get(connection, path, job->key);
}

void
keep_id(struct job *job, const char *body)
{
	const char *at = strstr(body, "\"id\":\"");

	if (at == NULL || strlen(at) < 6 + ID_TEXT)
		fail("no id in the answer", body);
	memcpy(job->id, at + 6, ID_TEXT - 1);
}

/* Length of the first whole answer in the buffer, or 0; *status and *body are set when there is
 * one. */
static size_t
whole_answer(struct connection *connection, int *status, const char **body)
{
	const char *end, *length, *later;
	size_t total;

	connection->answer[connection->len] = '\0';
	end = strstr(connection->answer, "\r\n\r\n");
	if (end == NULL)
		return 0;
	*status = (int)strtol(connection->answer + strlen("HTTP/1.1 "), NULL, 10);
	length = strcasestr(connection->answer, "\r\nContent-Length:");
	later = strcasestr(connection->answer, "\r\nRetry-After:");
	connection->retry_after = later != NULL && later < end;
	total = (size_t)(end + 4 - connection->answer);
	if (length != NULL && length < end)
		total += strtoul(length + strlen("\r\nContent-Length:"), NULL, 10);
	if (total >= ANSWER_MAX)
		fail("an answer is too long", connection->answer);
	*body = end + 4;
	return connection->len >= total ? total : 0;
}

enum took
take_answer(struct connection *connection, int *status, char *body, size_t size, bool wait)
{
	for (;;) {
		const char *at;
		size_t total = whole_answer(connection, status, &at);
		ssize_t got;

		if (total > 0) {
			snprintf(body, size, "%.*s", (int)(connection->answer + total - at), at);
			memmove(connection->answer, connection->answer + total,
				connection->len - total);
			connection->len -= total;
			return TOOK_ANSWER;
		}
		got = recv(connection->fd, connection->answer + connection->len,
			   ANSWER_MAX - 1 - connection->len, wait ? 0 : MSG_DONTWAIT);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return TOOK_NOTHING;
		if (got <= 0)
			return TOOK_END;
		connection->len += (size_t)got;
	}
}

static int
by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double
percentile(double *values, size_t count, double share)
{
	size_t at = (size_t)((double)count * share);

	if (count == 0)
		return 0;
	qsort(values, count, sizeof(*values), by_size);
	return values[at < count ? at : count - 1];
}
