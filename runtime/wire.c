#include "runtime/wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/channel.h"

#define KEEP_ROOM \
	(256u << 10) /* a buffer that grew beyond this is given back before the next frame */

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

/* Takes the descriptor out of a message.  False: more than one, or cut off. */
static bool
take_descriptor(struct msghdr *message, int *passed)
{
	struct cmsghdr *header = CMSG_FIRSTHDR(message);

	if ((message->msg_flags & MSG_CTRUNC) != 0)
		return false;
	if (header == NULL)
		return true;
	if (*passed >= 0 || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
	    header->cmsg_len != CMSG_LEN(sizeof(int)))
		return false;
	memcpy(passed, CMSG_DATA(header), sizeof(int));
	return true;
}

static ssize_t
receive(int fd, char *bytes, size_t len, int *passed)
{
	union control control = {.bytes = {0}};
	struct iovec part = {bytes, len};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = sizeof(control.bytes)};
	ssize_t got;

	if (passed == NULL)
		return read(fd, bytes, len);
	got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	if (got > 0 && !take_descriptor(&message, passed))
		return -1;
	return got;
}

/* 1: all len bytes; 0: the stream ended before the first; -1: it ended later, or failed. */
static int
read_all(int fd, char *bytes, size_t len, int *passed)
{
	size_t have = 0;

	while (have < len) {
		ssize_t got = receive(fd, bytes + have, len - have, passed);

		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0 && have == 0)
			return 0;
		if (got <= 0)
			return -1;
		have += (size_t)got;
	}
	return 1;
}

int
wire_read(int fd, struct buf *body, struct frame *frame, int *passed)
{
	unsigned char prefix[4];
	size_t len;
	int rc;

	if (passed != NULL)
		*passed = -1;
	if (body->size > KEEP_ROOM)
		buf_fini(body);
	buf_clear(body);
	rc = read_all(fd, (char *)prefix, sizeof(prefix), passed);
	if (rc <= 0)
		return rc;
	len =
	    (size_t)prefix[0] << 24 | (size_t)prefix[1] << 16 | (size_t)prefix[2] << 8 | prefix[3];
	if (len == 0 || len > RUNNER_FRAME_MAX || !buf_reserve(body, len))
		return -1;
	if (read_all(fd, body->data, len, passed) != 1)
		return -1;
	body->len = len;
	if (frame_decode(buf_slice(body), frame, NULL) != SL_OK)
		return -1;
	return 1;
}

static ssize_t
send_with(int fd, struct slice bytes, int passed)
{
	union control control = {.bytes = {0}};
	struct iovec part = {(char *)bytes.data, bytes.len};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &passed, sizeof(int));
	return sendmsg(fd, &message, MSG_NOSIGNAL);
}

bool
wire_write(int fd, struct slice bytes, int passed)
{
	while (bytes.len > 0) {
		ssize_t put =
		    passed >= 0 ? send_with(fd, bytes, passed) : write(fd, bytes.data, bytes.len);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return false;
		passed = -1;
		bytes.data += put;
		bytes.len -= (size_t)put;
	}
	return true;
}
