#include "http/client_state.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"

/* The caller's stream, between curl and the caller.  Curl may not be called from inside its own
 * callbacks, which is where the caller is asked; so what the caller does there to any call of this
 * client is noted, and done by client_wake() from the loop. */

void
call_wake(struct http_call *call)
{
	struct http_client *client = call->client;

	if (!call->woken) {
		call->woken = true;
		TAILQ_INSERT_TAIL(&client->woken, call, woken_entry);
	}
	if (!loop_timer_is_armed(client->due_timer))
		loop_timer_in(client->due_timer, 0);
}

void
call_forget_wake(struct http_call *call)
{
	if (call->woken)
		TAILQ_REMOVE(&call->client->woken, call, woken_entry);
	call->woken = false;
}

/* What curl had kept while it was paused comes from inside of this. */
static void
go_on(struct http_call *call)
{
	CURLcode result;

	call->paused_in = call->paused_out = false;
	call->moved_ms = clock_mono_ms();
	result = curl_easy_pause(call->easy, CURLPAUSE_CONT);
	if (result != CURLE_OK)
		call_on_hop_over(call, result);
}

void
client_wake(struct http_client *client)
{
	struct http_call *call, *last = TAILQ_LAST(&client->woken, http_calls);

	while (last != NULL && (call = TAILQ_FIRST(&client->woken)) != NULL) {
		bool is_last = call == last; /* who is woken meanwhile has another turn */

		call_forget_wake(call);
		if (call->state == CALL_RUNNING && call->cancelled) {
			call_finish(call, HTTP_CANCELLED, "ERR_CANCELED", "canceled");
		} else if (call->state == CALL_RUNNING && call->start_due) {
			call->start_due = false;
			call_start_hop(call);
		} else if (call->state == CALL_RUNNING && (call->paused_in || call->paused_out)) {
			go_on(call);
		}
		if (is_last)
			return;
	}
}

void
http_call_resume(struct http_call *call)
{
	if (call->state == CALL_RUNNING)
		call_wake(call);
}

/* ---- clocks -----------------------------------------------------------------------------------
 */

/* Is it the peer who must move?  While it thinks about a whole request timeout_ms counts. */
static bool
stall_counts(const struct http_call *call)
{
	bool sends = call->source && call->taken > 0 && !call->source_ended;

	return !call->paused_in && !call->paused_out && (call->headed || sends);
}

static void
arm_clock(struct http_call *call, int64_t now_ms)
{
	int64_t wait_ms = call->stream.stall_ms;

	if (stall_counts(call))
		wait_ms -= now_ms - call->moved_ms;
	if (!call->headed && call->deadline_ms - now_ms < wait_ms)
		wait_ms = call->deadline_ms - now_ms;
	loop_timer_in(call->clock, wait_ms > 0 ? wait_ms : 0);
}

static void
on_clock(void *arg)
{
	struct http_call *call = arg;
	int64_t now_ms = clock_mono_ms();

	if (call->state != CALL_RUNNING)
		return;
	if (!call->headed && now_ms >= call->deadline_ms)
		call_finish_timeout(call);
	else if (stall_counts(call) && now_ms - call->moved_ms >= call->stream.stall_ms)
		call_finish(call, HTTP_TIMEOUT, "ECONNABORTED", "no byte came or went for %lldms",
			    (long long)call->stream.stall_ms);
	else
		arm_clock(call, now_ms);
}

bool
call_has_clock(const struct http_call *call)
{
	return call->streams && call->stream.stall_ms > 0;
}

void
call_start_clock(struct http_call *call)
{
	if (!call_has_clock(call))
		return;
	if (call->clock == NULL)
		call->clock = loop_timer_new(call->client->loop, on_clock, call);
	call->moved_ms = clock_mono_ms();
	arm_clock(call, call->moved_ms);
}

/* ---- curl's callbacks -------------------------------------------------------------------------
 */

/* A piece of the network's size is decoded in one go, and kept by curl while we are paused; so how
 * much a piece can swell to must have a bound, which only these have (1032 times). */
static bool
is_bounded_coding(const char *coding)
{
	static const char *const bounded[] = {"gzip", "x-gzip", "deflate", "identity", NULL};

	for (int i = 0; bounded[i] != NULL; i++) {
		if (strcasecmp(coding, bounded[i]) == 0)
			return true;
	}
	return false;
}

static bool
ask_on_head(struct http_call *call)
{
	struct http_header headers[ANSWER_FIELDS_MAX];
	struct http_answer head = {.failure = HTTP_ANSWERED, .text = ""};
	bool streams;
	char *url;

	if (call->stream.on_head == NULL)
		return true;
	call_show(call, headers, &head, &url);
	call->client->inside++;
	streams = call->stream.on_head(call->arg, &head);
	call->client->inside--;
	curl_free(url);
	return streams;
}

/* False: curl is to stop. */
bool
stream_on_head(struct http_call *call)
{
	const char *coding;

	if (call->headed)
		return true;
	call->headed = true;
	call->moved_ms = clock_mono_ms();
	call->streams_body = ask_on_head(call) && call->stream.on_body != NULL;
	if (call->cancelled)
		return false;
	coding = call_field_value(call, "content-encoding");
	call->bad_coding =
	    call->streams_body && call->decompress && coding != NULL && !is_bounded_coding(coding);
	return !call->bad_coding;
}

size_t
stream_on_body(struct http_call *call, struct slice bytes)
{
	bool took;

	if (call->cancelled)
		return 0;
	call->client->inside++;
	took = call->stream.on_body(call->arg, bytes);
	call->client->inside--;
	if (call->cancelled)
		return 0;
	call->paused_in = !took;
	call->moved_ms = clock_mono_ms();
	return took ? bytes.len : CURL_WRITEFUNC_PAUSE;
}

/* Curl does not hold a source to the length that was announced. */
static size_t
room_for(const struct http_call *call, size_t size)
{
	int64_t left = call->stream.length - call->taken;

	return call->stream.length >= 0 && left < (int64_t)size ? (size_t)left : size;
}

size_t
stream_on_want(char *out, size_t size, size_t count, void *arg)
{
	struct http_call *call = arg;
	size_t room = room_for(call, size * count);
	int64_t n;

	if (call->cancelled)
		return CURL_READFUNC_ABORT;
	if (room == 0)
		return 0;
	call->client->inside++;
	n = call->stream.on_want(call->arg, out, room);
	call->client->inside--;
	if (call->cancelled)
		return CURL_READFUNC_ABORT;
	assert(n <= (int64_t)room);
	call->paused_out = n == 0;
	call->moved_ms = clock_mono_ms();
	if (n == 0)
		return CURL_READFUNC_PAUSE;
	if (n == HTTP_STREAM_END && call->stream.length < 0) {
		call->source_ended = true;
		return 0;
	}
	if (n < 0) { /* also an end that comes too soon */
		call->source_failed = true;
		return CURL_READFUNC_ABORT;
	}
	call->taken += n;
	call->source_ended = call->taken == call->stream.length;
	return (size_t)n;
}
