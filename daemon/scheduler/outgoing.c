#include "daemon/scheduler/outgoing.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "sql/delivery.h"

#define SURVEY_MS 10000

struct outgoing {
	struct daemon *daemon;
	char *conninfo;               /* owned */
	struct delivery_store *store; /* owned; while this process leads */
	bool asking;
	int64_t due_ms;
};

static void
set(enum metric_id id, int place, double value)
{
	metric_set(&metrics[id], place, 0, value);
}

static void
clear_metrics(void)
{
	set(METRIC_WEBHOOKS_PENDING, 0, NAN);
	set(METRIC_WEBHOOK_OLDEST, 0, NAN);
	for (int i = 0; i <= METRIC_ENDPOINT_FAILING; i++)
		set(METRIC_WEBHOOK_ENDPOINTS, i, NAN);
}

static void
on_survey(void *arg, enum sl_code code, const struct delivery_survey *survey,
	  const struct sl_error *error)
{
	struct outgoing *outgoing = arg;

	outgoing->asking = false;
	if (code != SL_OK || outgoing->store == NULL) {
		log_debug("webhooks_not_surveyed", "error=%s",
			  log_text(error != NULL ? error->text : ""));
		clear_metrics();
		return;
	}
	set(METRIC_WEBHOOKS_PENDING, 0, (double)survey->pending);
	set(METRIC_WEBHOOK_OLDEST, 0, (double)survey->oldest_ms / 1000);
	set(METRIC_WEBHOOK_ENDPOINTS, METRIC_ENDPOINT_PAUSED, (double)survey->paused);
	set(METRIC_WEBHOOK_ENDPOINTS, METRIC_ENDPOINT_OPEN, (double)survey->open);
	set(METRIC_WEBHOOK_ENDPOINTS, METRIC_ENDPOINT_FAILING, (double)survey->failing);
}

void
outgoing_tick(struct outgoing *outgoing)
{
	struct pg_settings settings = {.conninfo = outgoing->conninfo, .name = "sluiced outgoing"};

	if (outgoing->store == NULL) {
		outgoing->store = delivery_store_new(outgoing->daemon->loop, &settings);
		outgoing->due_ms = 0;
	}
	if (outgoing->asking || clock_mono_ms() < outgoing->due_ms ||
	    !delivery_store_is_up(outgoing->store))
		return;
	outgoing->due_ms = clock_mono_ms() + SURVEY_MS;
	outgoing->asking = true;
	delivery_survey(outgoing->store, on_survey, outgoing);
}

void
outgoing_stop(struct outgoing *outgoing)
{
	struct delivery_store *store = outgoing->store;

	if (store == NULL)
		return;
	outgoing->store = NULL;
	delivery_store_free(store); /* answers what is under way */
	clear_metrics();
}

struct outgoing *
outgoing_new(struct daemon *daemon, const char *conninfo)
{
	struct outgoing *outgoing = sl_alloc(sizeof(*outgoing));

	outgoing->daemon = daemon;
	outgoing->conninfo = sl_strdup(conninfo);
	return outgoing;
}

void
outgoing_free(struct outgoing *outgoing)
{
	outgoing_stop(outgoing);
	free(outgoing->conninfo);
	free(outgoing);
}
