/* daemon/doctor_webhook.c - the doctor's checks of what apps are told of. */
#include <inttypes.h>

#include "daemon/doctor_parts.h"

void
doctor_check_webhooks(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	struct doctor_check *check;
	char age[32];

	if (facts->webhook_late_ms <= DOCTOR_WEBHOOK_MS) {
		doctor_add(judge, "webhooks", DOCTOR_OK, "webhooks are sent when they are due");
		return;
	}
	check =
	    doctor_add(judge, "webhooks", DOCTOR_WARN, "a webhook is due for %s and was not sent",
		       doctor_span(facts->webhook_late_ms, age));
	if (judge->live == 0) {
		doctor_says(check->cause, "no worker is live that would send it");
		doctor_says(check->remedy, "see workers");
	} else {
		doctor_says(check->cause, "an app answers slowly, more is sent to it than it takes "
					  "at a time, or the workers are of an earlier release");
		doctor_says(check->remedy,
			    "sluice webhook endpoints; look for webhook and delivery in the log of "
			    "the workers; finish an upgrade");
	}
	check->runbook = "webhookslate";
}

static const char *
pause_text(enum doctor_pause cause)
{
	switch (cause) {
	case DOCTOR_PAUSE_NONE:
	case DOCTOR_PAUSE_OPERATOR:
		return "an operator paused it";
	case DOCTOR_PAUSE_GONE:
		return "it answered 410: the app wants no more";
	case DOCTOR_PAUSE_FAILING:
		return "each try failed for delivery_pause_after";
	}
	return "";
}

void
doctor_check_endpoints(struct judge *judge)
{
	const struct doctor_facts *facts = judge->facts;
	bool one = facts->endpoints_paused == 1;
	struct doctor_check *check;

	if (facts->endpoints_paused == 0) {
		doctor_add(judge, "endpoints", DOCTOR_OK, "no endpoint of webhooks is paused");
		return;
	}
	check = doctor_add(judge, "endpoints", DOCTOR_WARN,
			   "%" PRId64 " endpoint%s of webhooks %s paused: %s of %s%s",
			   facts->endpoints_paused, one ? "" : "s", one ? "is" : "are",
			   facts->paused_endpoint, facts->paused_in, one ? "" : ", ...");
	doctor_says(check->cause, "%s", pause_text(facts->paused_cause));
	doctor_says(
	    check->remedy,
	    "sluice webhook endpoints %s; when the app takes them again: sluice webhook resume %s",
	    facts->paused_in, facts->paused_endpoint);
	check->runbook = "webhookendpointpaused";
}
