/* daemon/api/webhook_test.c - POST /webhooks/test: one signed request to a receiver, now, and what came of it.
 *
 * It is no event: nothing of it is kept, and nothing of it is tried again. */
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/api/identity.h"
#include "daemon/api/resources.h"
#include "daemon/api/webhook.h"
#include "daemon/deliver/post.h"
#include "http/client.h"

#define TESTS_MAX 4 /* of an environment at a time, on this node */
#define TESTS_RETRY_S 5
#define URL_MAX_BYTES 2048
#define TEST_BODY_MAX 1024

struct testing {
	struct webhook_place place;
	TAILQ_ENTRY(testing) link;
	const char *url; /* NULL: the environment's own */
	char id[UUID_TEXT];
	char *body; /* kept by the call */
};
TAILQ_HEAD(testing_list, testing);

struct webhook_tests {
	struct testing_list running;
};

struct webhook_tests *
webhook_tests_new(void)
{
	struct webhook_tests *tests = sl_alloc(sizeof(*tests));

	TAILQ_INIT(&tests->running);
	return tests;
}

void
webhook_tests_free(struct webhook_tests *tests)
{
	free(tests);
}

static void
show_answer(struct json_writer *w, const struct post_answer *answer)
{
	jw_key(w, "answer");
	if (answer->status == 0) {
		jw_null(w);
		return;
	}
	jw_object(w);
	jw_member_raw(w, "headers", slice_text(answer->headers));
	jw_key(w, "body");
	jw_text_n(w, answer->body.data, answer->body.len);
	jw_member_bool(w, "truncated", answer->cut);
	jw_object_end(w);
}

static void
show_request(struct json_writer *w, const struct testing *testing, const struct post_answer *answer)
{
	jw_key(w, "request");
	jw_object(w);
	jw_member_text(w, "url", testing->url);
	jw_key(w, "headers");
	jw_object(w);
	for (int i = 0; i < answer->sent_count; i++)
		jw_member_text(w, answer->sent[i].name, answer->sent[i].value);
	jw_object_end(w);
	jw_member_text(w, "body", testing->body);
	jw_object_end(w);
}

static void
on_answer(void *arg, const struct post_answer *answer)
{
	struct testing *testing = arg;
	struct api_call *call = testing->place.call;
	char shown[POST_URL_SHOWN];
	struct json_writer w;
	struct buf out;

	TAILQ_REMOVE(&api_webhook_tests(call->daemon->api)->running, testing, link);
	if (answer->cancelled) {
		api_fail_sl(call, SL_UNAVAILABLE, NULL);
		return;
	}
	post_url_shown(testing->url, shown);
	log_info("webhook_tested", "environment=%lld url=%s status=%d failure=%s",
		 (long long)testing->place.environment_id, log_text(shown), answer->status,
		 answer->failure);
	buf_init(&out, API_BODY_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	jw_key(&w, "status");
	if (answer->status > 0)
		jw_int(&w, answer->status);
	else
		jw_null(&w);
	admin_show_name(&w, "failure", answer->failure);
	jw_member_text(&w, "detail", answer->detail);
	jw_member_int(&w, "took_ms", answer->took_ms);
	show_request(&w, testing, answer);
	show_answer(&w, answer);
	jw_object_end(&w);
	api_reply_buf(call, 200, &out);
}

/* Its keys in order, as those of every body that is signed. */
static char *
make_body(const char *environment)
{
	char now[CLOCK_ISO_SIZE];
	struct json_writer w;
	struct buf out;

	clock_iso(clock_wall_ms(), now);
	buf_init(&out, TEST_BODY_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	jw_member_text(&w, "environment", environment);
	jw_member_text(&w, "from", "sluice");
	jw_member_text(&w, "sentAt", now);
	jw_member_text(&w, "type", "test");
	jw_object_end(&w);
	return buf_take(&out, NULL);
}

static int
count_running(const struct webhook_tests *tests, int64_t environment_id)
{
	const struct testing *it;
	int count = 0;

	TAILQ_FOREACH(it, &tests->running, link)
	count += it->place.environment_id == environment_id;
	return count;
}

static void
send_test(struct testing *testing)
{
	struct api_call *call = testing->place.call;
	const struct account_environment *environment = &call->environment->row;
	struct webhook_tests *tests = api_webhook_tests(call->daemon->api);
	int64_t age_ms = clock_wall_ms() - environment->signing_key_ms;
	struct post_ask ask;

	if (testing->url == NULL)
		testing->url = environment->webhook_url;
	if (testing->url[0] == '\0') {
		api_fail_issue(call, "invalid_body", "custom", "url",
			       "give a url: this environment has no primary one (webhook_url)");
		return;
	}
	if (count_running(tests, environment->id) >= TESTS_MAX) {
		api_fail_rate(call, TESTS_RETRY_S);
		return;
	}
	uuid_v7(testing->id);
	testing->body = api_keep(call, make_body(environment->name));
	ask = (struct post_ask){
	    .url = testing->url,
	    .id = testing->id,
	    .body = slice_text(testing->body),
	    .environment_uuid = environment->uuid,
	    .signing_key = environment->signing_key,
	    .signing_key_before = environment->signing_key_before,
	    /* the ledger's clock may be ahead of ours */
	    .signing_key_age_ms = environment->signing_key_ms == 0 ? -1
				  : age_ms < 0                     ? 0
								   : age_ms,
	};
	TAILQ_INSERT_TAIL(&tests->running, testing, link);
	(void)post_send(call->daemon, &ask, on_answer, testing);
}

static void
on_environment(void *arg, enum sl_code code, const void *object, const struct sl_error *error)
{
	struct testing *testing = arg;
	struct api_call *call = testing->place.call;

	if (code != SL_OK) {
		api_fail_sl(call, code, error);
		return;
	}
	call->environment = directory_hold(object); /* goes with the call, as that of a key */
	send_test(testing);
}

static void
found(struct webhook_place *place)
{
	struct testing *testing = (struct testing *)place;
	struct api_call *call = place->call;

	if (call->environment != NULL)
		send_test(testing);
	else
		directory_environment(call->daemon->directory, place->environment_id,
				      on_environment, testing);
}

void
webhook_test(struct api_call *call)
{
	static const char *const names[] = {"environment", "url", NULL};
	struct testing *testing = webhook_place_new(call, sizeof(*testing));

	if (!webhook_strict(&testing->place, names) ||
	    !api_text(call, call->body, "url", false, URL_MAX_BYTES, &testing->url))
		return;
	if (testing->url != NULL && !identity_url_is(testing->url))
		api_fail_issue(call, "invalid_body", "invalid_format", "url",
			       "url must be an http or https URL");
	else
		webhook_find(&testing->place, true, found);
}
