#include "daemon/scheduler/refresher.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/log.h"
#include "daemon/egress/fresh.h"
#include "sql/refresh.h"

#define PERIOD_MS 5000
#define AT_ONCE 8

struct refresher {
	struct daemon *daemon;
	bool asking;
	bool closed;   /* goes with the last answer */
	int out;       /* that are looked at */
	int64_t due_ms;
};

static void
end_if_closed(struct refresher *refresher)
{
	if (refresher->closed && !refresher->asking && refresher->out == 0)
		free(refresher);
}

static void
on_fresh(void *arg, const struct fresh_answer *answer)
{
	struct refresher *refresher = arg;

	(void)answer; /* fresh.c has recorded and told it */
	refresher->out--;
	end_if_closed(refresher);
}

static void
on_idle(void *arg, enum sl_code code, const struct account_connection *rows, int count,
	const struct sl_error *error)
{
	struct refresher *refresher = arg;

	refresher->asking = false;
	if (code != SL_OK)
		log_debug("idle_connections_unknown", "error=%s", log_text(error->text));
	if (code == SL_OK && count > 0) /* there may be more */
		refresher->due_ms = 0;
	for (int i = 0; code == SL_OK && !refresher->closed && i < count; i++) {
		const struct fresh_ask ask = {.row = &rows[i]};

		refresher->out++;
		fresh_get(refresher->daemon->fresh, &ask, on_fresh, refresher);
	}
	end_if_closed(refresher);
}

void
refresher_tick(struct refresher *refresher)
{
	int64_t idle_ms = config_int(refresher->daemon->config, "refresh_idle_after");

	if (refresher->asking || refresher->out > 0 || clock_mono_ms() < refresher->due_ms ||
	    !account_is_up(refresher->daemon->account))
		return;
	refresher->due_ms = clock_mono_ms() + PERIOD_MS;
	refresher->asking = true;
	refresh_take_idle(refresher->daemon->account, idle_ms, AT_ONCE, on_idle, refresher);
}

struct refresher *
refresher_new(struct daemon *daemon)
{
	struct refresher *refresher = sl_alloc(sizeof(*refresher));

	refresher->daemon = daemon;
	return refresher;
}

void
refresher_free(struct refresher *refresher)
{
	refresher->closed = true;
	end_if_closed(refresher);
}
