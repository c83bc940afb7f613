/* daemon/service.c - see service.h. */
#include "daemon/service.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "daemon/egress/fresh.h"
#include "daemon/api/api.h"
#include "daemon/call.h"
#include "daemon/deliver/deliver.h"
#include "daemon/node.h"
#include "daemon/ready.h"
#include "daemon/reload.h"
#include "daemon/shard.h"
#include "daemon/watchdog.h"
#include "daemon/worker/dispatch.h"
#include "runtime/pool.h"
#include "sql/account.h"

#define READY_LOOK_MS 20
#define STATUS_LOOK_MS 1000
#define STOP_LOOK_MS 20
#define STOP_SPARE_MS 5000 /* past the drain: for answers that are on their way */
#define STOP_HURRY_MS 1000 /* after the second signal */
#define STATUS_MAX 512

enum service_state { SERVICE_STARTING, SERVICE_READY, SERVICE_DRAINING, SERVICE_HURRYING };

struct service {
	struct daemon *daemon;
	struct config *config;
	const struct settings_sources *sources;
	enum service_state state;
	struct loop_signal *term, *interrupt, *hangup;
	struct loop_timer *status, *poll;
	struct watchdog *watchdog;
	char told[STATUS_MAX];   /* the last STATUS */
	char failed[STATUS_MAX]; /* why the last reload failed; empty: it did not */
	int early;               /* a stop's signal that came before service_run(); 0: none */
	bool early_hangup;
	int64_t drained_ms; /* what waits ends then, and all of it at until_ms */
	int64_t until_ms;
	bool worker_done;
};

/* ---- state and status ------------------------------------------------------------------------ */

static void
add_work(const struct service *service, struct buf *text)
{
	int running = service->daemon->pool != NULL ? pool_running(service->daemon->pool) : 0;

	if (service->daemon->pool != NULL)
		buf_printf(text, "%d function%s at work", running, running == 1 ? "" : "s");
	else
		buf_add_text(text, "no functions run here");
}

static void
write_status(const struct service *service, struct buf *text)
{
	int64_t left_ms = service->drained_ms - clock_mono_ms();
	struct buf why;

	buf_init(&why, 1024);
	switch (service->state) {
	case SERVICE_STARTING:
		(void)ready_is(service->daemon, &why);
		buf_printf(text, "Starting: %s", why.len > 0 ? why.data : "all is there");
		break;
	case SERVICE_READY:
		if (ready_is(service->daemon, &why))
			buf_add_text(text, node_is_quiet(service->daemon->self) ? "Quiet, "
										: "Running, ");
		else
			buf_printf(text, "Degraded (%s), ", why.data);
		add_work(service, text);
		if (service->failed[0] != '\0')
			buf_printf(text, "; the last reload failed: %s", service->failed);
		break;
	case SERVICE_DRAINING:
		buf_add_text(text, "Stopping, ");
		add_work(service, text);
		buf_printf(text, ", %lld s left", (long long)(left_ms > 0 ? left_ms / 1000 : 0));
		break;
	case SERVICE_HURRYING:
		buf_add_text(text, "Stopping now");
		break;
	}
	buf_fini(&why);
}

/* also: further lines that go with it, "READY=1\n". */
static void
tell(struct service *service, const char *also)
{
	struct buf text, state;

	if (!notify_is_on(service->daemon->notify))
		return;
	buf_init(&text, STATUS_MAX - 1);
	buf_init(&state, 2 * STATUS_MAX);
	write_status(service, &text);
	if (text.len > 0 && (*also != '\0' || strcmp(text.data, service->told) != 0)) {
		snprintf(service->told, sizeof(service->told), "%s", text.data);
		buf_printf(&state, "%sSTATUS=%s", also, text.data);
		notify_send(service->daemon->notify, state.data);
	}
	buf_fini(&text);
	buf_fini(&state);
}

/* Redis and Postgres are there: what is waited for is our own work, such as a queue that is built anew,
 * and may take longer than a start usually does.  While they are away the manager's patience decides. */
static bool
is_worth_waiting(const struct daemon *daemon)
{
	return account_is_up(daemon->account) && shards_are_up(daemon);
}

static void
look_for_ready(struct service *service)
{
	struct buf text;

	buf_init(&text, STATUS_MAX - 1);
	if (ready_is(service->daemon, &text)) {
		service->state = SERVICE_READY;
		log_info("ready", "node=%s", service->daemon->node);
		tell(service, "READY=1\n");
		loop_timer_every(service->status, STATUS_LOOK_MS);
	} else if (is_worth_waiting(service->daemon)) {
		buf_clear(&text);
		write_status(service, &text);
		notify_busy(service->daemon->notify, text.data);
	} else {
		tell(service, "");
	}
	buf_fini(&text);
}

static void
on_status(void *arg)
{
	struct service *service = arg;

	if (service->state == SERVICE_STARTING)
		look_for_ready(service);
	else
		tell(service, "");
}

/* ---- reload ---------------------------------------------------------------------------------- */

static void
on_hangup(void *arg, int signo)
{
	struct service *service = arg;
	struct sl_error error;
	char begun[80];

	(void)signo;
	if (!service->daemon->started) {
		service->early_hangup = true;
		return;
	}
	if (service->daemon->draining)
		return;
	FAULT_POINT("reload_begun");
	/* systemd compares this with when it sent the signal, so nothing may be cut off. */
	snprintf(begun, sizeof(begun), "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=Reloading",
		 (long long)clock_mono_us());
	if (service->state == SERVICE_READY) /* before, /ready decides when READY=1 comes */
		notify_send(service->daemon->notify, begun);
	service->failed[0] = '\0';
	if (reload(service->daemon, service->config, service->sources, &error) != SL_OK)
		snprintf(service->failed, sizeof(service->failed), "%s", error.text);
	if (service->state == SERVICE_READY) /* again, whatever came of it */
		tell(service, "READY=1\n");
}

/* ---- stop ------------------------------------------------------------------------------------ */

static void
on_stop_poll(void *arg)
{
	struct service *service = arg;
	struct daemon *daemon = service->daemon;
	bool idle = daemon->api == NULL || api_is_idle(daemon->api);
	bool sent = deliver_stop(daemon->deliver) && fresh_is_idle(daemon->fresh);
	int64_t now = clock_mono_ms();
	struct buf text;

	if (now > service->drained_ms)
		callers_give_up(daemon->callers);
	sent = sent || now > service->drained_ms; /* the rest is left to its lease */
	if (((service->worker_done && idle && sent) || now > service->until_ms) &&
	    node_leave(daemon->self)) {
		loop_stop(daemon->loop);
		return;
	}
	buf_init(&text, STATUS_MAX - 1);
	write_status(service, &text);
	notify_busy(daemon->notify, text.data);
	buf_fini(&text);
}

static void
on_worker_done(void *arg)
{
	struct service *service = arg;

	service->worker_done = true;
}

static void
stop(struct service *service, int signo)
{
	struct daemon *daemon = service->daemon;
	int64_t timeout = config_int(daemon->config, "drain_timeout");

	log_info("stopping", "signal=%d", signo);
	service->state = SERVICE_DRAINING;
	service->drained_ms = clock_mono_ms() + timeout;
	service->until_ms = service->drained_ms + STOP_SPARE_MS;
	tell(service, "STOPPING=1\n");
	loop_timer_stop(service->status);
	daemon->draining = true;
	node_changed(daemon->self);
	if (daemon->api != NULL)
		api_drain(daemon->api);
	service->worker_done = daemon->dispatch == NULL;
	if (daemon->dispatch != NULL)
		dispatch_stop(daemon->dispatch, timeout, on_worker_done, service);
	loop_timer_every(service->poll, STOP_LOOK_MS);
}

static void
on_term(void *arg, int signo)
{
	struct service *service = arg;
	struct daemon *daemon = service->daemon;

	if (!daemon->started) { /* a session may be open already: it is to be closed in order */
		daemon->given_up = service->early != 0;
		service->early = signo;
		return;
	}
	switch (service->state) {
	case SERVICE_STARTING:
	case SERVICE_READY:
		stop(service, signo);
		return;
	case SERVICE_DRAINING: /* quick, but a session that is closed saves others waiting for its end */
		log_warn("stopping_now", "signal=%d", signo);
		service->state = SERVICE_HURRYING;
		service->drained_ms = clock_mono_ms();
		service->until_ms = service->drained_ms + STOP_HURRY_MS;
		tell(service, "");
		if (daemon->dispatch != NULL && !service->worker_done)
			dispatch_hurry(daemon->dispatch);
		return;
	case SERVICE_HURRYING:
		loop_stop(daemon->loop);
		return;
	}
}

/* ---- life ------------------------------------------------------------------------------------ */

struct service *
service_new(struct daemon *daemon, struct config *config, const struct settings_sources *sources)
{
	struct service *service = sl_alloc(sizeof(*service));

	service->daemon = daemon;
	service->config = config;
	service->sources = sources;
	service->poll = loop_timer_new(daemon->loop, on_stop_poll, service);
	service->status = loop_timer_new(daemon->loop, on_status, service);
	service->term = loop_signal_new(daemon->loop, SIGTERM, on_term, service);
	service->interrupt = loop_signal_new(daemon->loop, SIGINT, on_term, service);
	service->hangup = loop_signal_new(daemon->loop, SIGHUP, on_hangup, service);
	return service;
}

enum sl_code
service_run(struct service *service, struct sl_error *error)
{
	struct daemon *daemon = service->daemon;
	enum sl_code code = watchdog_new(daemon->loop, daemon->notify, &service->watchdog, error);

	if (code != SL_OK)
		return code;
	daemon->started = true;
	node_changed(daemon->self);
	if (service->early_hangup)
		on_hangup(service, SIGHUP);
	loop_timer_every(service->status, READY_LOOK_MS);
	if (service->early != 0)
		on_term(service, service->early);
	if (daemon->given_up)
		on_term(service, service->early);
	loop_run(daemon->loop);
	return SL_OK;
}

void
service_free(struct service *service)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigset_t ours;

	if (service == NULL)
		return;
	sigemptyset(&ours);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGINT);
	sigaddset(&ours, SIGHUP);
	/* No moment in which one of them would kill us: the exit status is that of a stop in order. */
	(void)sigprocmask(SIG_BLOCK, &ours, NULL);
	loop_signal_free(service->term);
	loop_signal_free(service->interrupt);
	loop_signal_free(service->hangup);
	(void)sigaction(SIGTERM, &ignore, NULL);
	(void)sigaction(SIGINT, &ignore, NULL);
	(void)sigaction(SIGHUP, &ignore, NULL);
	(void)sigprocmask(SIG_UNBLOCK, &ours, NULL);
	loop_timer_free(service->poll);
	loop_timer_free(service->status);
	watchdog_free(service->watchdog);
	free(service);
}
