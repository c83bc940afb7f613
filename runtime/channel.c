#include "runtime/channel.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/loop.h"

#define READ_STEP (64u << 10) /* room for one read */
#define KEEP_ROOM (256u << 10)

/* Invariant: once closed, no callback is made any more and the struct only waits to be freed. */
struct channel {
	struct loop *loop; /* borrowed */
	int fd;            /* owned */
	bool descriptors;
	const struct channel_events *events; /* borrowed */
	void *arg;
	struct loop_watch *watch; /* owned */
	struct loop_timer *again; /* owned: frames that waited for the end of a pause */
	struct buf in, out;
	size_t sent; /* bytes at the front of out that are gone */
	int passed;  /* owned: a descriptor nobody took yet, or -1 */
	bool paused, closed, failed;
	bool high; /* out was above CHANNEL_OUT_LOW */
};

bool
runner_frame_ok(const struct runner_expect *expect, const struct frame *frame, const char **why)
{
	int64_t type =
	    frame->count > 0 && frame->field[0].type == FRAME_INT ? frame->field[0].number : -1;
	bool shaped = false;

	switch (type) {
	case RUNNER_LOADED:
		*why = "LOADED out of order";
		return expect->loading && frame_is(frame, "ibs");
	case RUNNER_CALL:
		shaped = frame_is(frame, "iiisss");
		break;
	case RUNNER_DONE:
		shaped = frame_is(frame, "iibs");
		break;
	case RUNNER_DIED:
		shaped = frame_is(frame, "iisi");
		break;
	}
	*why = "unknown or misshapen frame";
	if (!shaped)
		return false;
	*why = "frame without a run";
	if (expect->loading || expect->run_id == 0)
		return false;
	*why = "frame for another run";
	if (frame->field[1].number != expect->run_id)
		return false;
	*why = "call without an id that wants an answer";
	if (type == RUNNER_CALL && frame->field[2].number == 0 &&
	    !slice_is(frame->field[3].bytes, "log"))
		return false;
	*why = "call id out of order";
	if (type == RUNNER_CALL && frame->field[2].number != 0 &&
	    frame->field[2].number <= expect->last_call)
		return false;
	return true;
}

bool
runner_control_ok(bool up, const struct frame *frame, const char **why)
{
	int64_t type =
	    frame->count > 0 && frame->field[0].type == FRAME_INT ? frame->field[0].number : -1;

	switch (type) {
	case RUNNER_HELLO:
		*why = "HELLO out of order or misshapen";
		if (up || !frame_is(frame, "iis"))
			return false;
		*why = "sluice-runner speaks another protocol version";
		return frame->field[1].number == RUNNER_PROTOCOL;
	case RUNNER_FORKED:
		*why = "control frame out of order or misshapen";
		return up && frame_is(frame, "iii");
	case RUNNER_GONE:
		*why = "control frame out of order or misshapen";
		return up && frame_is(frame, "iiii") && frame->field[3].number >= 0 &&
		       frame->field[3].number <= INT32_MAX;
	}
	*why = "unknown control frame";
	return false;
}

static void on_watch(void *arg, int what);
static void on_again(void *arg);

struct channel *
channel_new(struct loop *loop, int fd, bool descriptors, const struct channel_events *events,
	    void *arg)
{
	struct channel *channel = sl_alloc(sizeof(*channel));
	int flags = fcntl(fd, F_GETFL), rc = fcntl(fd, F_SETFL, flags | O_NONBLOCK);

	assert(flags >= 0 && rc == 0);
	(void)rc;
	channel->loop = loop;
	channel->fd = fd;
	channel->descriptors = descriptors;
	channel->events = events;
	channel->arg = arg;
	channel->passed = -1;
	buf_init(&channel->in, RUNNER_FRAME_MAX + 4u + READ_STEP);
	buf_init(&channel->out, CHANNEL_OUT_MAX);
	channel->watch = loop_watch_new(loop, fd, on_watch, channel);
	channel->again = loop_timer_new(loop, on_again, channel);
	loop_watch_set(channel->watch, LOOP_READ);
	return channel;
}

static void
free_now(void *arg)
{
	struct channel *channel = arg;

	buf_fini(&channel->in); /* not before: a frame of it may have been what led here */
	buf_fini(&channel->out);
	free(channel);
}

void
channel_free(struct channel *channel)
{
	if (channel == NULL)
		return;
	assert(!channel->closed);
	channel->closed = true;
	loop_watch_free(channel->watch);
	loop_timer_free(channel->again);
	close(channel->fd);
	if (channel->passed >= 0)
		close(channel->passed);
	loop_free_later(channel->loop, free_now, channel);
}

static void
watch(struct channel *channel)
{
	bool writes = channel_waiting(channel) > 0 && !channel->failed;

	loop_watch_set(channel->watch,
		       (channel->paused ? 0 : LOOP_READ) | (writes ? LOOP_WRITE : 0));
}

static void
end(struct channel *channel, const char *why)
{
	if (channel->closed)
		return;
	loop_watch_set(channel->watch, 0);
	loop_timer_stop(channel->again);
	channel->paused = true;
	channel->failed = true;
	channel->events->on_end(channel->arg, why);
}

static void
report_frames(struct channel *channel)
{
	size_t at = 0;

	while (!channel->closed && !channel->paused) {
		struct slice rest = {buf_slice(&channel->in).data + at, channel->in.len - at};
		struct slice body;
		struct frame frame;
		size_t used;
		int rc = frame_peek(rest, RUNNER_FRAME_MAX, &body, &used);

		if (rc == 0)
			break;
		if (rc < 0 || frame_decode(body, &frame, NULL) != SL_OK) {
			end(channel, rc < 0 ? "oversized frame" : "malformed frame");
			return;
		}
		at += used;
		channel->events->on_frame(channel->arg, &frame);
	}
	if (channel->closed)
		return;
	buf_consume(&channel->in, at);
	if (channel->in.len == 0 && channel->in.size > KEEP_ROOM)
		buf_fini(&channel->in);
}

/* Receives bytes and at most one descriptor.  The kernel ends a read after the message that carried
 * one, so a second one can only come before the first was taken. */
static ssize_t
receive(struct channel *channel, char *bytes, size_t len)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec part = {bytes, len};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *header;
	ssize_t got;

	if (!channel->descriptors)
		return recv(channel->fd, bytes, len, 0);
	message.msg_control = control.bytes;
	message.msg_controllen = sizeof(control.bytes);
	got = recvmsg(channel->fd, &message, MSG_CMSG_CLOEXEC);
	header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
	if (header == NULL || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
	    header->cmsg_len != CMSG_LEN(sizeof(int)))
		return got;
	if (channel->passed >= 0)
		close(channel->passed); /* its frame did not want it */
	memcpy(&channel->passed, CMSG_DATA(header), sizeof(int));
	return got;
}

/* One read and the frames it completes; false: nothing more is there now, or the channel ended. */
static bool
read_some(struct channel *channel)
{
	ssize_t got;

	if (!buf_reserve(&channel->in, READ_STEP)) {
		end(channel, "oversized frame");
		return false;
	}
	got = receive(channel, channel->in.data + channel->in.len, READ_STEP);
	if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return false;
	if (got <= 0) {
		end(channel, got == 0 ? "closed its socket" : strerror(errno));
		return false;
	}
	channel->in.len += (size_t)got;
	report_frames(channel);
	return !channel->closed && !channel->paused;
}

static void
note_drain(struct channel *channel)
{
	if (!channel->high || channel_waiting(channel) > CHANNEL_OUT_LOW)
		return;
	channel->high = false;
	if (channel->events->on_drain != NULL)
		channel->events->on_drain(channel->arg);
}

static void
on_watch(void *arg, int what)
{
	struct channel *channel = arg;

	if ((what & LOOP_WRITE) != 0) {
		channel_flush(channel);
		note_drain(channel);
	}
	if ((what & LOOP_READ) != 0 && !channel->closed && !channel->paused)
		read_some(channel);
}

static void
on_again(void *arg)
{
	struct channel *channel = arg;

	if (channel->failed)
		end(channel, channel->out.over ? "does not read its socket" : "closed its socket");
	else
		report_frames(channel);
}

struct buf *
channel_out(struct channel *channel)
{
	return &channel->out;
}

size_t
channel_waiting(const struct channel *channel)
{
	return channel->out.len - channel->sent;
}

/* The owner may be in the middle of something: it hears of this from the loop. */
static void
fail_later(struct channel *channel)
{
	channel->failed = true;
	loop_timer_in(channel->again, 0);
}

void
channel_flush(struct channel *channel)
{
	struct buf *out = &channel->out;

	if (channel->failed)
		return;
	if (out->over) {
		fail_later(channel);
		return;
	}
	while (channel->sent < out->len) {
		ssize_t put = send(channel->fd, out->data + channel->sent, out->len - channel->sent,
				   MSG_NOSIGNAL);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
			/* Frames that arrived before the end count; the end shows on reading. */
			if (channel->paused)
				fail_later(channel);
			channel->sent = out->len;
			break;
		}
		if (put < 0)
			break;
		channel->sent += (size_t)put;
	}
	if (channel->sent == out->len) {
		channel->sent = 0;
		buf_clear(out);
		if (out->size > KEEP_ROOM)
			buf_fini(out);
	} else if (channel->sent > out->len / 2) {
		buf_consume(out, channel->sent); /* each byte is moved at most once per halving */
		channel->sent = 0;
	}
	if (channel_waiting(channel) > CHANNEL_OUT_LOW)
		channel->high = true;
	watch(channel);
}

void
channel_pause(struct channel *channel, bool paused)
{
	if (channel->paused == paused || channel->failed)
		return;
	channel->paused = paused;
	watch(channel);
	if (!paused && channel->in.len > 0)
		loop_timer_in(channel->again, 0);
}

void
channel_catch_up(struct channel *channel)
{
	if (channel->paused)
		return;
	while (read_some(channel))
		continue;
}

int
channel_send_descriptor(struct channel *channel, struct slice frame, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = {0}};
	struct iovec part = {(char *)frame.data, frame.len};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	ssize_t put;

	assert(channel_waiting(channel) == 0);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(int));
	do {
		put = sendmsg(channel->fd, &message, MSG_NOSIGNAL);
	} while (put < 0 && errno == EINTR);
	/* A unix stream socket takes so few bytes whole or not at all. */
	if (put == (ssize_t)frame.len)
		return 1;
	if (put < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS))
		return -1;
	return 0;
}

int
channel_take_descriptor(struct channel *channel)
{
	int fd = channel->passed;

	channel->passed = -1;
	return fd;
}
