#include "daemon/deliver/deliver.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/resource.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/metrics.h"
#include "daemon/deliver/backoff.h"
#include "daemon/deliver/lane.h"
#include "daemon/deliver/post.h"
#include "daemon/worker/dispatch.h"
#include "http/client.h"
#include "sql/delivery.h"

#define TICK_MS 1000
#define LOOK_MS 250     /* for tries that are slow */
#define CLAIM_GAP_MS 5  /* between claims that take what came meanwhile */
#define EMPTY_GAP_MS 20 /* the same when the last one found nothing: events may be for nobody */
#define LEASE_SPARE_MS 10000  /* past the time that a try may take: for the record */
#define KEPT_CONNECTIONS 1024 /* idle ones; fewer where descriptors are few */
#define BYTES_MAX (64 << 20)  /* of bodies that are under way */
#define CLAIM_BYTES (32 << 20)

/* SENDING -> RECORDING -> freed.  Its place in the lane is taken until it is freed, so that what
 * the ledger knows of the endpoint is never behind by more than those. */
enum try_state { TRY_SENDING, TRY_RECORDING };

struct deliver_try {
	struct deliver *deliver;
	enum try_state state;
	char id[UUID_TEXT], endpoint_uuid[UUID_TEXT];
	int64_t claim, endpoint_id;
	int number, round;
	char *url;    /* owned */
	size_t bytes; /* of the body */
	int64_t sent_ms;
	bool slow;
	enum delivery_outcome outcome;
	bool gone;
	int64_t open_ms;
	TAILQ_ENTRY(deliver_try) entry;
};

TAILQ_HEAD(try_list, deliver_try);

struct deliver {
	struct daemon *daemon;
	struct lanes *lanes;
	struct loop_timer *tick, *look, *gap;
	struct try_list tries; /* in the order of their start */
	int64_t bytes;
	bool stopped;
	bool claiming;
	enum lanes_claim kind;            /* of the claim in flight, or of the last one */
	bool due[LANES_TRUSTED + 1];      /* claims to be made */
	int64_t after[LANES_TRUSTED + 1]; /* endpoints to go on behind */
	int64_t claim_ms;                 /* when the last one was sent */
	int64_t gap_ms;                   /* from then to the next one at least */
};

static void go_on(struct deliver *deliver, bool at_once);

/* ---- tries ----------------------------------------------------------------------------------- */

static void
try_free(struct deliver_try *try)
{
	struct deliver *deliver = try->deliver;
	bool more = lanes_ended(deliver->lanes, try->endpoint_id, try->slow, clock_mono_ms());

	TAILQ_REMOVE(&deliver->tries, try, entry);
	if (try->state == TRY_SENDING)
		deliver->bytes -= (int64_t)try->bytes;
	free(try->url);
	free(try);
	deliver->due[LANES_ALL] |= more;
	go_on(deliver, false);
}

static void
log_end(const struct deliver_try *try, bool paused)
{
	char url[POST_URL_SHOWN];

	post_url_shown(try->url, url);
	if (try->outcome == DELIVERY_GIVEN_UP)
		log_warn("webhook_exhausted", "delivery=%s endpoint=%s url=%s tries=%d remedy=%s",
			 try->id, try->endpoint_uuid, log_text(url), try->number,
			 log_text("sluice webhook show tells why, sluice webhook resend sends it "
				  "again"));
	if (paused)
		log_error("webhook_endpoint_paused", "endpoint=%s url=%s cause=%s remedy=%s",
			  try->endpoint_uuid, log_text(url), try->gone ? "gone" : "failing",
			  log_text("once it is well: sluice webhook resume"));
	else if (try->open_ms > 0)
		log_warn("webhook_endpoint_open", "endpoint=%s url=%s for_ms=%lld",
			 try->endpoint_uuid, log_text(url), (long long)try->open_ms);
}

static void
on_recorded(void *arg, enum sl_code code, bool paused, const struct sl_error *error)
{
	struct deliver_try *try = arg;

	if (code == SL_OK) {
		FAULT_POINT("delivery_recorded");
		if (try->outcome == DELIVERY_GIVEN_UP)
			metrics_count(METRIC_WEBHOOKS_EXHAUSTED, 0);
		log_end(try, paused);
	} else if (code == SL_CONFLICT) {
		metrics_count(METRIC_WEBHOOK_LATE_RECORDS, 0);
		log_info("webhook_record_late", "delivery=%s try=%d", try->id, try->number);
	} else {
		log_warn("webhook_not_recorded", "delivery=%s try=%d code=%s error=%s", try->id,
			 try->number, sl_code_name(code),
			 log_text(error != NULL ? error->text : ""));
	}
	try_free(try);
}

/* What comes of the try: sets its outcome and how long it waits for the next one. */
static int64_t
judge(struct deliver_try *try, const struct post_answer *answer)
{
	const char *text = config_text(try->deliver->daemon->config, "delivery_schedule");
	struct backoff backoff;
	int64_t delay;

	if (*answer->failure == '\0') {
		try->outcome = DELIVERY_OK;
		return 0;
	}
	if (backoff_parse(text, &backoff, NULL) != SL_OK)
		assert(!"the setting was checked");
	delay = backoff_delay_ms(&backoff, try->round, answer->retry_after_ms);
	try->gone = answer->status == 410;
	try->outcome = DELIVERY_AGAIN;
	if (delay >= 0)
		return delay;
	if (try->gone) /* it will have another chance when the endpoint is resumed */
		return backoff.delay_ms[backoff.tries - 1];
	try->outcome = DELIVERY_GIVEN_UP;
	return 0;
}

static enum lane_end
lane_end_of(const struct post_answer *answer)
{
	if (*answer->failure == '\0')
		return LANE_DELIVERED;
	return strcmp(answer->failure, "timeout") == 0 ? LANE_TIMED_OUT : LANE_FAILED;
}

static void
log_answer(const struct deliver_try *try, const struct post_answer *answer, int64_t delay_ms)
{
	char url[POST_URL_SHOWN];

	if (try->outcome == DELIVERY_OK) {
		log_debug("webhook_delivered",
			  "delivery=%s endpoint=%s try=%d status=%d took_ms=%lld", try->id,
			  try->endpoint_uuid, try->number, answer->status,
			  (long long)answer->took_ms);
		return;
	}
	post_url_shown(try->url, url);
	log_info("webhook_failed",
		 "delivery=%s endpoint=%s url=%s try=%d status=%d failure=%s next_ms=%lld", try->id,
		 try->endpoint_uuid, log_text(url), try->number, answer->status, answer->failure,
		 try->outcome == DELIVERY_AGAIN ? (long long)delay_ms : -1LL);
}

static void
count_answer(const struct post_answer *answer)
{
	metrics_count(METRIC_WEBHOOK_TRIES,
		      *answer->failure == '\0' ? METRIC_WEBHOOK_DELIVERED : METRIC_WEBHOOK_FAILED);
	metrics_observe_ms(METRIC_WEBHOOK_SECONDS, 0, answer->took_ms);
}

static void
on_answer(void *arg, const struct post_answer *answer)
{
	struct deliver_try *try = arg;
	struct deliver *deliver = try->deliver;
	struct delivery_tried tried = {
	    .claim = try->claim,
	    .endpoint_id = try->endpoint_id,
	    .number = try->number,
	    .at_ms = answer->at_ms,
	    .took_ms = answer->took_ms,
	    .url = try->url,
	    .status = answer->status,
	    .failure = answer->failure,
	    .detail = answer->detail,
	    .headers = answer->headers,
	    .answer = answer->body,
	    .cut = answer->cut,
	};

	if (answer->cancelled) { /* the process ends: the lease decides */
		try_free(try);
		return;
	}
	FAULT_POINT("delivery_answered");
	memcpy(tried.id, try->id, sizeof(tried.id));
	count_answer(answer);
	try->open_ms = tried.open_ms =
	    lanes_answered(deliver->lanes, try->endpoint_id, lane_end_of(answer), clock_mono_ms());
	tried.delay_ms = judge(try, answer);
	tried.outcome = try->outcome;
	tried.gone = try->gone;
	log_answer(try, answer, tried.delay_ms);
	try->state = TRY_RECORDING;
	deliver->bytes -= (int64_t)try->bytes;
	delivery_record(deliver->daemon->deliveries, deliver->daemon->node, &tried,
			config_int(deliver->daemon->config, "delivery_pause_after"), on_recorded,
			try);
}

static void
try_start(struct deliver *deliver, const struct delivery_claimed *row)
{
	struct deliver_try *try = sl_alloc(sizeof(*try));
	struct post_ask ask = {
	    .url = row->url,
	    .id = row->event_id,
	    .body = slice_text(row->body),
	    .environment_uuid = row->environment_uuid,
	    .signing_key = row->signing_key,
	    .signing_key_before = row->signing_key_before,
	    .signing_key_age_ms = row->signing_key_age_ms,
	    .fresh = row->failing,
	};

	try->deliver = deliver;
	memcpy(try->id, row->id, sizeof(try->id));
	memcpy(try->endpoint_uuid, row->endpoint_uuid, sizeof(try->endpoint_uuid));
	try->claim = row->claim;
	try->endpoint_id = row->endpoint_id;
	try->number = row->number;
	try->round = row->round;
	try->url = sl_strdup(row->url);
	try->bytes = ask.body.len;
	try->sent_ms = clock_mono_ms();
	deliver->bytes += (int64_t)try->bytes;
	TAILQ_INSERT_TAIL(&deliver->tries, try, entry);
	metrics_observe_ms(METRIC_WEBHOOK_DELAY, 0, row->late_ms);
	(void)post_send(deliver->daemon, &ask, on_answer, try);
}

/* ---- claims ---------------------------------------------------------------------------------- */

static void
on_claimed(void *arg, enum sl_code code, const struct delivery_claimed *rows, int count,
	   int64_t last, const struct sl_error *error)
{
	struct deliver *deliver = arg;
	bool more;

	deliver->claiming = false;
	if (code != SL_OK) {
		(void)lanes_claimed(deliver->lanes, NULL, 0, clock_mono_ms());
		log_debug("webhooks_not_claimed", "error=%s", /* the connection has told why */
			  log_text(error != NULL ? error->text : ""));
		return; /* the next tick asks again */
	}
	if (count > 0)
		FAULT_POINT("delivery_claimed");
	deliver->gap_ms = count > 0 ? CLAIM_GAP_MS : EMPTY_GAP_MS;
	more = lanes_claimed(deliver->lanes, rows, count, clock_mono_ms());
	deliver->after[deliver->kind] = last;
	for (int i = 0; i < count; i++)
		try_start(deliver, &rows[i]);
	deliver->due[deliver->kind] |= more;
	go_on(deliver, more);
}

static void
claim(struct deliver *deliver, enum lanes_claim kind)
{
	struct delivery_ask ask = {.after = deliver->after[kind]};
	int64_t timeout_ms = config_int(deliver->daemon->config, "delivery_timeout");
	int64_t bytes = BYTES_MAX - deliver->bytes;

	if (bytes <= 0 || !lanes_ask(deliver->lanes, kind, &ask))
		return; /* it stays due: the end of a try asks again */
	deliver->due[kind] = false;
	ask.lease_ms = timeout_ms + LEASE_SPARE_MS;
	ask.bytes = bytes < CLAIM_BYTES ? bytes : CLAIM_BYTES;
	deliver->kind = kind;
	deliver->claiming = true;
	deliver->claim_ms = clock_mono_ms();
	delivery_claim(deliver->daemon->deliveries, &ask, on_claimed, deliver);
}

static bool
may_claim(const struct deliver *deliver)
{
	const struct daemon *daemon = deliver->daemon;

	return !deliver->stopped && !deliver->claiming && daemon->started && !daemon->draining &&
	       !dispatch_is_quiet(daemon->dispatch) && delivery_store_is_up(daemon->deliveries);
}

/* Makes a claim that is due, the two kinds in turn.  Not at_once: some time after the one before,
 * so that a stream of events costs claims by time and not by event. */
static void
go_on(struct deliver *deliver, bool at_once)
{
	int64_t wait_ms = deliver->claim_ms + deliver->gap_ms - clock_mono_ms();

	if (!may_claim(deliver) || (!deliver->due[LANES_ALL] && !deliver->due[LANES_TRUSTED]))
		return;
	if (!at_once && wait_ms > 0) {
		if (!loop_timer_is_armed(deliver->gap))
			loop_timer_in(deliver->gap, wait_ms);
		return;
	}
	for (int i = 1; i <= 2 && !deliver->claiming; i++) {
		enum lanes_claim kind = (enum lanes_claim)((deliver->kind + i) % 2);

		if (deliver->due[kind])
			claim(deliver, kind);
	}
}

static void
on_gap(void *arg)
{
	go_on(arg, true);
}

static void
on_look(void *arg)
{
	struct deliver *deliver = arg;
	int64_t since = clock_mono_ms() - LANE_SLOW_MS;
	struct deliver_try *try;

	TAILQ_FOREACH(try, &deliver->tries, entry)
	{
		if (try->sent_ms > since)
			break;
		if (!try->slow && try->state == TRY_SENDING) {
			try->slow = true;
			lanes_slow(deliver->lanes, try->endpoint_id);
		}
	}
	go_on(deliver, false); /* those that are trusted may have got places by it */
}

static void
on_tick(void *arg)
{
	struct deliver *deliver = arg;

	lanes_forget_idle(deliver->lanes, clock_mono_ms());
	deliver->due[LANES_ALL] = deliver->due[LANES_TRUSTED] = true;
	go_on(deliver, true);
}

/* ---- the outside ----------------------------------------------------------------------------- */

void
deliver_poke(struct deliver *deliver)
{
	if (deliver == NULL)
		return;
	deliver->due[LANES_ALL] = deliver->due[LANES_TRUSTED] = true;
	go_on(deliver, false);
}

bool
deliver_stop(struct deliver *deliver)
{
	if (deliver == NULL)
		return true;
	deliver->stopped = true;
	return TAILQ_EMPTY(&deliver->tries) && !deliver->claiming;
}

int
deliver_in_flight(const struct deliver *deliver)
{
	return lanes_under_way(deliver->lanes);
}

void
deliver_reloaded(struct deliver *deliver)
{
	int64_t places = config_int(deliver->daemon->config, "delivery_parallel");
	int64_t kept = KEPT_CONNECTIONS;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur / 4 < (rlim_t)kept)
		kept = (int64_t)limit.rlim_cur / 4;
	lanes_limit(deliver->lanes, (int)places,
		    (int)config_int(deliver->daemon->config, "delivery_endpoint_parallel"));
	/* Many endpoints may share a host: lanes keep them apart, the client must not join them. */
	http_client_limit(deliver->daemon->webhook_client, LANES_OVER * places, LANES_OVER * places,
			  kept);
}

struct deliver *
deliver_new(struct daemon *daemon)
{
	struct deliver *deliver = sl_alloc(sizeof(*deliver));

	deliver->daemon = daemon;
	deliver->lanes = lanes_new();
	TAILQ_INIT(&deliver->tries);
	deliver->tick = loop_timer_new(daemon->loop, on_tick, deliver);
	deliver->look = loop_timer_new(daemon->loop, on_look, deliver);
	deliver->gap = loop_timer_new(daemon->loop, on_gap, deliver);
	deliver_reloaded(deliver);
	loop_timer_every(deliver->tick, TICK_MS);
	loop_timer_every(deliver->look, LOOK_MS);
	return deliver;
}

void
deliver_free(struct deliver *deliver)
{
	if (deliver == NULL)
		return;
	assert(TAILQ_EMPTY(&deliver->tries) && !deliver->claiming);
	loop_timer_free(deliver->tick);
	loop_timer_free(deliver->look);
	loop_timer_free(deliver->gap);
	lanes_free(deliver->lanes);
	free(deliver);
}
